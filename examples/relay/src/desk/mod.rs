//! The control side of the relay: who may do what, and what follows from it. A state machine without sockets and clocks.
//!
//! The server tells the desk of connections and their requests, and carries out what [`Desk::poll`] returns:
//!
//! ```text
//!   handle_open, handle_request, handle_close ──▶ ┌──────┐ ──▶ Send, Mark, Close
//!                handle_verified, handle_sent ──▶ │ Desk │ ──▶ Verify: Argon2, elsewhere
//!                                handle_media ──▶ │      │ ──▶ Media
//!                              handle_timeout ──▶ └──┬───┘ ──▶ Log, Timeout
//!                                                  Store
//! ```
//!
//! The store comes first: a request changes the database, then the desk's memory, and then it is answered. If the database
//! fails, the answer is [`Refusal::Failed`] and nothing has changed.
//!
//! # Sessions and participants
//! A session lets its connection plan, appoint, invite and join. It is looked up in the database on each use, so that it
//! ends when its time comes or an operator's command ends it. Within a meeting a participant acts by its place in the
//! roster, which it comes back to by its token, with or without a session. When the operator forgets an account, its
//! participants are put out.

mod account;
mod audit;
mod clock;
mod group;
mod join;
mod limits;
mod media;
mod meeting;
mod organizer;
mod say;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::RandomState;
use std::net::IpAddr;
use std::time::Duration;

use layercast_meeting::{
    Answer, Event, FromRelay, Numbered, ParticipantId, Refusal, Request, Role, Secret, Text,
};

pub(crate) use account::network;
pub use audit::AuditEvent;
use limits::{Bucket, Buckets, Rate};
use meeting::{Meeting, Participant};

use crate::media_api::{LinkReply, MediaCommand, MeetingKey};
use crate::secrets::SecretError;
use crate::store::{AccountId, Hash, HistoryRule, LogBounds, Store, StoreError};

/// The present: the date for what is stored, and a clock that never jumps for all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix seconds.
    pub unix: u64,
    /// Since any fixed point in time.
    pub at: Duration,
}

/// A connection. The server counts them; no number comes again in the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A password that is to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// What the desk wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum DeskOutput {
    /// The message goes to each of these connections.
    Send {
        /// To whom.
        to: Vec<ConnectionId>,
        /// What.
        message: FromRelay,
    },
    /// Once the connection was sent what came before, [`Desk::handle_sent`] is to be told.
    Mark {
        /// Which.
        connection: ConnectionId,
    },
    /// The connection is closed, once it was sent what came before, or after a moment if it does not read.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// The password is to be compared with the hash, outside of the desk; [`Desk::handle_verified`] takes the result. For an
    /// unknown account the hash is one that no password fits, so that it takes as long.
    Verify {
        /// Tells the result from others.
        job: JobId,
        /// Argon2id as a PHC string.
        hash: Secret,
        /// What was given.
        password: Secret,
    },
    /// For the media side, in this order.
    Media(MediaCommand),
    /// For the log.
    Log(AuditEvent),
    /// Nothing is to be done until then, by [`Now::at`]: call [`Desk::handle_timeout`].
    Timeout(Duration),
}

/// What an operator decides, and what protects the relay.
#[derive(Debug, Clone)]
pub struct DeskConfig {
    /// How long a session lasts, in seconds.
    pub session: u64,
    /// Whether meetings that are over are remembered.
    pub history: HistoryRule,
    /// Where the relay stands.
    pub region: Text,
    /// The hash of a password that nobody has, which costs as much as the others.
    pub dummy_hash: Secret,
    /// How long somebody whose connection was lost stays in.
    pub grace: Duration,
    /// How long a meeting goes on with nobody in it.
    pub empty: Duration,
    /// How long a connection may do without a session and a meeting.
    pub idle: Duration,
    /// How many passwords may be verified or wait for it at once.
    pub verifications: usize,
    /// How many messages of MLS a meeting keeps.
    pub log: LogBounds,
    /// How many may be in a meeting, at its door, or have left it.
    pub roster: usize,
}

impl DeskConfig {
    /// The defaults: sessions of 12 hours, no history, a minute's grace, ten minutes for an empty meeting.
    pub fn new(region: Text, dummy_hash: Secret) -> Self {
        Self {
            session: 12 * 60 * 60,
            history: HistoryRule::Off,
            region,
            dummy_hash,
            grace: Duration::from_secs(60),
            empty: Duration::from_secs(10 * 60),
            idle: Duration::from_secs(120),
            verifications: 32,
            log: LogBounds { messages: 20_000, bytes: 16 << 20 },
            roster: 2000,
        }
    }
}

/// Requests of a connection. An organizer has two for each of some hundred people who come at once.
const REQUESTS: Rate = Rate { burst: 500.0, per_second: 50.0 };
/// A connection whose requests were refused so often for their number is closed.
const PATIENCE: u32 = 200;
/// Requests that wait for the answer to an earlier one. A connection with more is closed.
const BACKLOG: usize = 64;
/// Logins of an account from one network, of an account, right ones apart, and of an address. One who guesses from one network
/// keeps nobody else out.
const ACCOUNT_LOGINS: Rate = Rate { burst: 10.0, per_second: 0.1 };
const ALL_ACCOUNT_LOGINS: Rate = Rate { burst: 100.0, per_second: 1.0 };
const ADDRESS_LOGINS: Rate = Rate { burst: 30.0, per_second: 0.5 };
/// Refusals that are logged.
const LOGGED: Rate = Rate { burst: 1000.0, per_second: 100.0 };

/// Why a request was not done.
#[derive(Debug)]
enum Failure {
    Refused(Refusal),
    Store(StoreError),
    Secret(SecretError),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

/// The answer, or nothing if it comes later.
type Handled = Result<Option<Answer>, Failure>;

const DONE: Handled = Ok(Some(Answer::Done));

#[derive(Debug)]
enum Pending {
    Verify,
    Link(LinkReply, Duration),
}

#[derive(Debug)]
struct Connection {
    remote: IpAddr,
    /// Since when it has neither a session nor a meeting, at least.
    idle_since: Duration,
    /// The session that it is in.
    session: Option<Hash>,
    /// The meeting that it is at, and as whom.
    place: Option<(MeetingKey, u32)>,
    /// The messages of MLS after this number are not sent yet.
    unsent: Option<u64>,
    requests: Bucket,
    refused: u32,
    /// The request that waits for somebody else, and those that wait for it; whether they were in time.
    pending: Option<(u32, Pending)>,
    backlog: VecDeque<(Numbered, bool)>,
}

/// A login that is being verified.
#[derive(Debug)]
struct Login {
    connection: ConnectionId,
    account: Option<AccountId>,
    name: Text,
}

/// The control side of the relay.
#[derive(Debug)]
pub struct Desk {
    store: Store,
    config: DeskConfig,
    connections: BTreeMap<ConnectionId, Connection>,
    meetings: BTreeMap<MeetingKey, Meeting>,
    by_id: HashMap<String, MeetingKey>,
    last_key: u32,
    logins: BTreeMap<JobId, Login>,
    last_job: u64,
    links: BTreeMap<LinkReply, ConnectionId>,
    last_link: u64,
    account_logins: Buckets,
    all_account_logins: Buckets,
    address_logins: Buckets,
    logged: Bucket,
    unlogged: u64,
    /// Salts the short names of meetings in the log.
    log_salt: RandomState,
    next_sweep: Duration,
    next_retention: Duration,
    out: VecDeque<DeskOutput>,
}

impl Desk {
    /// A desk over a store, which goes on with the meetings that the store has.
    ///
    /// # Errors
    /// Whatever the store says.
    pub fn new(now: Now, store: Store, config: DeskConfig) -> Result<Self, StoreError> {
        let mut desk = Self {
            store,
            config,
            connections: BTreeMap::new(),
            meetings: BTreeMap::new(),
            by_id: HashMap::new(),
            last_key: 0,
            logins: BTreeMap::new(),
            last_job: 0,
            links: BTreeMap::new(),
            last_link: 0,
            account_logins: Buckets::new(ACCOUNT_LOGINS),
            all_account_logins: Buckets::new(ALL_ACCOUNT_LOGINS),
            address_logins: Buckets::new(ADDRESS_LOGINS),
            logged: Bucket::new(LOGGED),
            unlogged: 0,
            log_salt: RandomState::new(),
            next_sweep: now.at,
            next_retention: now.at,
            out: VecDeque::new(),
        };
        for id in desk.store.started_meetings()? {
            desk.load(now, &id)?;
        }
        Ok(desk)
    }

    /// A connection from an address.
    pub fn handle_open(&mut self, now: Now, connection: ConnectionId, remote: IpAddr) {
        let state = Connection {
            remote,
            idle_since: now.at,
            session: None,
            place: None,
            unsent: None,
            requests: Bucket::new(REQUESTS),
            refused: 0,
            pending: None,
            backlog: VecDeque::new(),
        };
        self.connections.insert(connection, state);
    }

    /// A request. Each is answered, in order.
    pub fn handle_request(&mut self, now: Now, connection: ConnectionId, request: Numbered) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let in_time = state.requests.take(REQUESTS, now.at);
        if !in_time {
            state.refused += 1;
        }
        if state.refused > PATIENCE || state.backlog.len() >= BACKLOG {
            self.log(now, "flood", None, None, Some(Refusal::TooMany));
            self.close(now, connection);
            return;
        }
        if state.pending.is_some() {
            state.backlog.push_back((request, in_time));
        } else {
            self.process(now, connection, request, in_time);
        }
    }

    /// A password was verified.
    pub fn handle_verified(&mut self, now: Now, job: JobId, is_right: bool) {
        let Some(login) = self.logins.remove(&job) else { return };
        let connection = login.connection;
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let Some((id, Pending::Verify)) = state.pending.take_if(|(_, p)| matches!(p, Pending::Verify)) else {
            return;
        };
        let at = self.out.len();
        let result = self.finish_login(now, &login, is_right);
        self.answer(now, connection, id, ("login", None), at, result);
        self.go_on(now, connection);
    }

    /// A connection is gone.
    pub fn handle_close(&mut self, now: Now, connection: ConnectionId) {
        let Some(state) = self.connections.remove(&connection) else { return };
        if let Some((_, Pending::Link(reply, _))) = state.pending {
            self.links.remove(&reply);
        }
        if let Some((key, number)) = state.place {
            self.lose_connection(now, key, number);
        }
    }

    /// The relay goes down: everybody is told, and all connections close.
    pub fn handle_shutdown(&mut self, _now: Now) {
        let to: Vec<_> = self.connections.keys().copied().collect();
        self.send(to.clone(), Event::Closing);
        self.out.extend(to.into_iter().map(|connection| DeskOutput::Close { connection }));
    }

    /// What is to be done: call it again until it returns [`DeskOutput::Timeout`].
    pub fn poll(&mut self, _now: Now) -> DeskOutput {
        self.out.pop_front().unwrap_or(DeskOutput::Timeout(self.next_sweep))
    }

    /// How many connections and meetings there are, and how many people are in them: for the operator's view.
    pub fn figures(&self) -> Figures {
        let running = self.meetings.values().filter(|meeting| meeting.in_media);
        Figures {
            connections: self.connections.len(),
            meetings: running.clone().count(),
            participants: running
                .map(|meeting| meeting.participants.values().filter(|p| p.is_present()).count())
                .sum(),
            verifications: self.logins.len(),
        }
    }

    fn process(&mut self, now: Now, connection: ConnectionId, numbered: Numbered, in_time: bool) {
        let Numbered { id, request } = numbered;
        let kind = audit::kind(&request);
        let before = self.connections.get(&connection).and_then(|state| state.place);
        let at = self.out.len();
        let result = if in_time {
            self.notice_others(now);
            self.dispatch(now, connection, id, request)
        } else {
            Err(Refusal::TooMany.into())
        };
        self.answer(now, connection, id, (kind, before), at, result);
    }

    fn dispatch(&mut self, now: Now, connection: ConnectionId, id: u32, request: Request) -> Handled {
        match request {
            Request::Login { account, password } => self.login(now, connection, id, account, password),
            Request::Session { token } => self.resume_session(now, connection, &token),
            Request::Logout => self.logout(now, connection),
            Request::Plan { title } => self.plan(now, connection, &title),
            Request::Appoint { meeting, account } => self.appoint(now, connection, &meeting, &account),
            Request::Invite { meeting } => self.invite(now, connection, &meeting),
            Request::Join { meeting, credential, name, key_package, insiders_key_package, seen } => {
                let keys = key_package
                    .map(|meeting| meeting::KeyPackages { meeting, insiders: insiders_key_package });
                self.join(now, connection, &meeting, &credential, name, keys, seen)
            }
            Request::Leave => self.leave(now, connection),
            Request::Admit { participant } => self.admit(now, connection, participant),
            Request::Remove { participant } => self.remove(now, connection, participant),
            Request::Allow { participant, right, allowed } => {
                self.allow(connection, participant, right, allowed)
            }
            Request::Lock { locked } => self.lock(connection, locked),
            Request::HandOver { participant } => self.hand_over(connection, participant),
            Request::End => self.end(now, connection),
            Request::LimitCamera { audience, max_spatial_id } => {
                self.limit_camera(connection, audience, max_spatial_id)
            }
            Request::Commit { group, epoch, message, welcome, added, removed } => {
                let commit = group::Commit { group, epoch, message, welcome, added, removed };
                self.commit(now, connection, commit)
            }
            Request::Propose { group, epoch, message } => self.propose(connection, group, epoch, message),
            Request::Link(description) => self.link(now, connection, id, description),
            Request::Publish { kind, member, track, layer_refresh } => {
                self.publish(now, connection, (kind, layer_refresh), member, track)
            }
            Request::Unpublish { stream } => self.unpublish(connection, stream),
            Request::Report { report } => self.report(connection, report),
            Request::Say { message } => self.say(now, connection, message),
            _ => Err(Refusal::Malformed.into()),
        }
    }

    /// Logs a request, and answers it before what it led to, which is in `out` from `at` on.
    fn answer(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: u32,
        (kind, before): (&'static str, Option<(MeetingKey, u32)>),
        at: usize,
        result: Handled,
    ) {
        let result = match result {
            Ok(None) => return,
            Ok(Some(answer)) => Ok(answer),
            Err(Failure::Refused(refusal)) => Err(refusal),
            Err(Failure::Store(error)) => {
                self.out.push_back(DeskOutput::Log(AuditEvent::failed(kind, &error)));
                Err(Refusal::Failed)
            }
            Err(Failure::Secret(error)) => {
                self.out.push_back(DeskOutput::Log(AuditEvent::failed(kind, &error)));
                Err(Refusal::Failed)
            }
        };
        let follows = self.out.split_off(at);
        if !matches!(kind, "report" | "say") || result.is_err() {
            // Whoever leaves was at a meeting before, and whoever joins is after.
            let after = self.connections.get(&connection).and_then(|state| state.place);
            let (key, number) = after.or(before).unzip();
            self.log(now, kind, key, number, result.as_ref().err().copied());
        }
        let message = FromRelay::Answer { id, result };
        self.out.push_back(DeskOutput::Send { to: vec![connection], message });
        self.out.extend(follows);
    }

    /// Goes on with the requests that waited for an answer.
    fn go_on(&mut self, now: Now, connection: ConnectionId) {
        while let Some(state) = self.connections.get_mut(&connection).filter(|state| state.pending.is_none())
        {
            let Some((request, in_time)) = state.backlog.pop_front() else { return };
            self.process(now, connection, request, in_time);
        }
    }

    fn send(&mut self, to: Vec<ConnectionId>, event: Event) {
        if !to.is_empty() {
            self.out.push_back(DeskOutput::Send { to, message: FromRelay::Event(event) });
        }
    }

    fn media(&mut self, command: MediaCommand) {
        self.out.push_back(DeskOutput::Media(command));
    }

    fn close(&mut self, now: Now, connection: ConnectionId) {
        self.out.push_back(DeskOutput::Close { connection });
        self.handle_close(now, connection);
    }

    /// The meeting of an id, from the database if it is not in memory.
    fn load(&mut self, now: Now, id: &str) -> Result<Option<MeetingKey>, StoreError> {
        if let Some(key) = self.by_id.get(id) {
            return Ok(Some(*key));
        }
        let Some(record) = self.store.meeting(id)? else { return Ok(None) };
        let key = MeetingKey(self.last_key + 1);
        let Some(meeting) = Meeting::new(key, id.into(), record, now) else { return Ok(None) };
        self.last_key += 1;
        self.meetings.insert(key, meeting);
        self.by_id.insert(id.into(), key);
        Ok(Some(key))
    }

    /// The meeting that a connection is in, and as whom.
    fn place(&mut self, connection: ConnectionId) -> Result<(&mut Meeting, u32), Failure> {
        let place = self.connections.get(&connection).and_then(|state| state.place);
        let (key, number) = place.ok_or(Refusal::NotNow)?;
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NotNow)?;
        let is_in = meeting.participants.get(&number).is_some_and(Participant::is_present);
        if is_in { Ok((meeting, number)) } else { Err(Refusal::NotNow.into()) }
    }

    /// The same, for the organizer alone.
    fn chair(&mut self, connection: ConnectionId) -> Result<(&mut Meeting, u32), Failure> {
        let (meeting, number) = self.place(connection)?;
        let is_organizer =
            meeting.participants.get(&number).is_some_and(|p| meeting.role(p) == Role::Organizer);
        if is_organizer { Ok((meeting, number)) } else { Err(Refusal::NotOrganizer.into()) }
    }
}

/// What the operator sees of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Open connections.
    pub connections: usize,
    /// Meetings with somebody in them.
    pub meetings: usize,
    /// People in meetings.
    pub participants: usize,
    /// Passwords that are being verified.
    pub verifications: usize,
}

/// Participants that a commit names, each once.
fn numbers(participants: &[ParticipantId]) -> Vec<u32> {
    participants.iter().map(|p| p.0).collect::<BTreeSet<_>>().into_iter().collect()
}
