//! The desk in virtual time, over a store in memory or in a file.

mod crash;
mod door;
mod groups;
mod logins;
mod random;
mod rights;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use layercast_meeting::{
    Admission, Answer, Bytes, Credential, Event, FromRelay, Group, Kind, LinkDescription, MeetingId,
    Numbered, ParticipantId, Refusal, Request, Secret, Text,
};

use super::{AuditEvent, ConnectionId, Desk, DeskConfig, DeskOutput, JobId, Now};
use crate::media_api::{MediaCommand, MediaEvent};
use crate::store::Store;

const START: u64 = 1_800_000_000;

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.into())
}

fn bytes(text: &str) -> Bytes {
    Bytes(text.as_bytes().into())
}

fn description() -> LinkDescription {
    LinkDescription {
        ufrag: "u".into(),
        password: secret("p"),
        fingerprint: "sha-256 00".into(),
        addresses: Vec::new(),
    }
}

fn config() -> DeskConfig {
    DeskConfig::new(text("a cellar in Graz"), secret("no password fits"))
}

/// A desk with all that surrounds it. Passwords are stored as they are, so that no test waits for Argon2.
struct Rig {
    desk: Desk,
    now: Now,
    last: u64,
    inbox: BTreeMap<ConnectionId, Vec<FromRelay>>,
    media: Vec<MediaCommand>,
    log: Vec<AuditEvent>,
    jobs: Vec<(JobId, Secret, Secret)>,
    closed: BTreeSet<ConnectionId>,
    /// Whether passwords are verified and links made at once.
    obliging: bool,
    /// Whether everybody reads at once what is sent; if not, who is to be asked.
    reading: bool,
    marks: Vec<ConnectionId>,
}

/// Somebody with a connection at a meeting.
#[derive(Debug, Clone)]
struct Person {
    at: ConnectionId,
    id: ParticipantId,
    token: Secret,
}

impl Rig {
    fn new() -> Self {
        Self::over(Store::in_memory().unwrap(), config())
    }

    fn over(store: Store, config: DeskConfig) -> Self {
        let now = Now { unix: START, at: Duration::from_secs(1000) };
        let desk = Desk::new(now, store, config).unwrap();
        let mut rig = Self {
            desk,
            now,
            last: 0,
            inbox: BTreeMap::new(),
            media: Vec::new(),
            log: Vec::new(),
            jobs: Vec::new(),
            closed: BTreeSet::new(),
            obliging: true,
            reading: true,
            marks: Vec::new(),
        };
        rig.drain();
        rig
    }

    fn drain(&mut self) {
        loop {
            match self.desk.poll(self.now) {
                DeskOutput::Send { to, message } => {
                    for connection in to {
                        assert!(!self.closed.contains(&connection), "{message:?} to a closed connection");
                        self.inbox.entry(connection).or_default().push(message.clone());
                    }
                }
                DeskOutput::Mark { connection } if self.reading => {
                    self.desk.handle_sent(self.now, connection)
                }
                DeskOutput::Mark { connection } => self.marks.push(connection),
                DeskOutput::Close { connection } => {
                    self.closed.insert(connection);
                }
                DeskOutput::Verify { job, hash, password } if self.obliging => {
                    let is_right = hash == password;
                    self.jobs.push((job, hash, password));
                    self.desk.handle_verified(self.now, job, is_right);
                }
                DeskOutput::Verify { job, hash, password } => self.jobs.push((job, hash, password)),
                DeskOutput::Media(command) => {
                    if let (MediaCommand::Link { reply, .. }, true) = (&command, self.obliging) {
                        let event = MediaEvent::Link { reply: *reply, result: Ok(description()) };
                        self.desk.handle_media(self.now, event);
                    }
                    self.media.push(command);
                }
                DeskOutput::Log(event) => self.log.push(event),
                DeskOutput::Timeout(_) => return,
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.unix += 1;
            self.now.at += Duration::from_secs(1);
            self.desk.handle_timeout(self.now);
            self.drain();
        }
    }

    /// Time that passes without anybody looking.
    fn jump(&mut self, seconds: u64) {
        self.now.unix += seconds;
        self.now.at += Duration::from_secs(seconds);
    }

    fn connect_from(&mut self, remote: IpAddr) -> ConnectionId {
        self.last += 1;
        let connection = ConnectionId(self.last);
        self.desk.handle_open(self.now, connection, remote);
        connection
    }

    fn connect(&mut self) -> ConnectionId {
        self.connect_from(Ipv4Addr::LOCALHOST.into())
    }

    fn cut(&mut self, connection: ConnectionId) {
        self.desk.handle_close(self.now, connection);
        self.drain();
    }

    fn ask(&mut self, connection: ConnectionId, request: Request) -> Result<Answer, Refusal> {
        self.last += 1;
        let id = self.last as u32;
        self.desk.handle_request(self.now, connection, Numbered { id, request });
        self.drain();
        let inbox = self.inbox.entry(connection).or_default();
        let at =
            inbox.iter().position(|message| matches!(message, FromRelay::Answer { id: of, .. } if *of == id));
        let Some(FromRelay::Answer { result, .. }) = at.map(|at| inbox.remove(at)) else {
            panic!("no answer");
        };
        result
    }

    /// What happened, as somebody was told since this was last asked.
    fn events(&mut self, connection: ConnectionId) -> Vec<Event> {
        let inbox = self.inbox.remove(&connection).unwrap_or_default();
        inbox
            .into_iter()
            .map(|message| match message {
                FromRelay::Event(event) => event,
                FromRelay::Answer { .. } => panic!("an answer to nothing"),
            })
            .collect()
    }

    fn account(&mut self, name: &str) {
        self.desk.store.add_account(name, "password", false, START).unwrap();
    }

    fn login(&mut self, name: &str) -> ConnectionId {
        let connection = self.connect();
        let request = Request::Login { account: text(name), password: secret("password") };
        assert!(matches!(self.ask(connection, request), Ok(Answer::Session(_))));
        connection
    }

    fn plan(&mut self, connection: ConnectionId) -> MeetingId {
        match self.ask(connection, Request::Plan { title: text("Budget") }) {
            Ok(Answer::Planned(meeting)) => meeting,
            other => panic!("{other:?}"),
        }
    }

    fn invite(&mut self, connection: ConnectionId, meeting: &MeetingId) -> Secret {
        match self.ask(connection, Request::Invite { meeting: meeting.clone() }) {
            Ok(Answer::Invitation(code)) => code,
            other => panic!("{other:?}"),
        }
    }

    fn join(
        &mut self,
        connection: ConnectionId,
        meeting: &MeetingId,
        credential: Credential,
        with_keys: bool,
        seen: u64,
    ) -> Result<Admission, Refusal> {
        let request = Request::Join {
            meeting: meeting.clone(),
            credential,
            name: text("Somebody"),
            key_package: with_keys.then(|| bytes("key package")),
            insiders_key_package: None,
            seen,
        };
        match self.ask(connection, request)? {
            Answer::Joined(admission) => Ok(admission),
            other => panic!("{other:?}"),
        }
    }

    fn seat(
        &mut self,
        connection: ConnectionId,
        meeting: &MeetingId,
        credential: Credential,
    ) -> Result<Person, Refusal> {
        let admission = self.join(connection, meeting, credential, true, 0)?;
        Ok(Person { at: connection, id: admission.participant, token: admission.token })
    }

    fn come_back(&mut self, meeting: &MeetingId, person: &Person, seen: u64) -> Result<Person, Refusal> {
        let connection = self.connect();
        let credential = Credential::Return(person.token.clone());
        let admission = self.join(connection, meeting, credential, false, seen)?;
        Ok(Person { at: connection, id: admission.participant, token: admission.token })
    }

    fn commit(&mut self, by: &Person, epoch: u64, added: &[&Person]) -> Result<Answer, Refusal> {
        let request = Request::Commit {
            group: Group::Meeting,
            epoch,
            message: bytes(&format!("commit {epoch}")),
            welcome: (!added.is_empty()).then(|| bytes("welcome")),
            added: added.iter().map(|person| person.id).collect(),
            removed: Vec::new(),
        };
        self.ask(by.at, request)
    }

    fn publish(&mut self, by: &Person, kind: Kind) -> Result<u32, Refusal> {
        match self.ask(by.at, Request::Publish { kind, member: by.id.0, track: 0, layer_refresh: false })? {
            Answer::Published(published) => Ok(published.stream),
            other => panic!("{other:?}"),
        }
    }

    fn refused(&self, what: &str) -> Option<Refusal> {
        self.log.iter().rev().find(|event| event.what == what)?.refusal
    }

    fn clear(&mut self) {
        self.inbox.clear();
        self.media.clear();
        self.log.clear();
    }
}

/// An organizer, a member and a guest who are in, a member who waits, and how to get at more.
struct Call {
    rig: Rig,
    meeting: MeetingId,
    organizer: Person,
    member: Person,
    guest: Person,
    waits: Person,
}

impl Call {
    fn new() -> Self {
        Self::over(Store::in_memory().unwrap(), config())
    }

    fn over(store: Store, config: DeskConfig) -> Self {
        let mut rig = Rig::over(store, config);
        for name in ["Olga", "Max", "Wim", "Eve"] {
            rig.account(name);
        }
        let olga = rig.login("Olga");
        let meeting = rig.plan(olga);
        let code = rig.invite(olga, &meeting);
        let organizer = rig.seat(olga, &meeting, Credential::Account).unwrap();
        let max = rig.login("Max");
        let member = rig.seat(max, &meeting, Credential::Account).unwrap();
        let guest = rig.connect();
        let guest = rig.seat(guest, &meeting, Credential::Invitation(code)).unwrap();
        let wim = rig.login("Wim");
        let waits = rig.seat(wim, &meeting, Credential::Account).unwrap();
        let mut call = Self { rig, meeting, organizer, member, guest, waits };
        for (epoch, whom) in [call.member.clone(), call.guest.clone()].iter().enumerate() {
            call.admit(whom.id).unwrap();
            call.rig.commit(&call.organizer, epoch as u64, &[whom]).unwrap();
        }
        call.rig.clear();
        call
    }

    fn admit(&mut self, whom: ParticipantId) -> Result<Answer, Refusal> {
        self.rig.ask(self.organizer.at, Request::Admit { participant: whom })
    }

    fn remove(&mut self, whom: ParticipantId) -> Result<Answer, Refusal> {
        self.rig.ask(self.organizer.at, Request::Remove { participant: whom })
    }
}
