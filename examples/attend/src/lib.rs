//! A participant of a meeting as a state machine, without its media: what it says to the relay and believes of it, the groups
//! of MLS, and who is who.
//!
//! The relay's messages and commands go in by `handle_*(now, ..)`, one at a time. Then [`Attendee::poll`] is called until it
//! says how long there is nothing: requests and notices come out of it. What there is to send and to receive goes to the
//! [`Media`], which a program brings: sessions over a link, or the transforms of a web page.
//!
//! What the relay says about people is shown, and believed only as far as the group of MLS says so too: names and keys are
//! those of the group, and the organizer is whom the group's state names.

pub mod attested;
pub mod circle;
pub mod commands;
mod connection;
mod control;
mod epochs;
mod events;
pub mod media;
pub mod notice;
pub mod openings;
pub mod people;
mod requests;
pub mod sayings;
pub mod seen;
pub mod sources;
mod standing;
pub mod state;
mod windows;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use layercast::e2ee::mls::{Fingerprint, Identity};
use layercast::select::Window;
use layercast::{Size, Time};
use layercast_meeting::{
    Admission, Kind, LinkDescription, MeetingId, Numbered, ParticipantId, Request, Rights, Secret, Text,
};

use circle::Circle;
pub use media::Media;
use notice::Notice;
use people::People;
use requests::{Purpose, Requests};
use sayings::Sayings;
use sources::{Source, Sources};

/// From one attempt to join to the next, if the relay has too much to do.
const KNOCK_AGAIN: Duration = Duration::from_secs(1);
/// The report of windows is sent again this often, with the decode times of the meantime.
const REPORT: Duration = Duration::from_secs(5);
/// From one report to the next, however often windows change.
const REPORT_AGAIN: Duration = Duration::from_millis(100);

/// By what right somebody comes.
#[derive(Debug, Clone)]
pub enum Entry {
    /// With an account and its password.
    Account(Text, Secret),
    /// With the code of an invitation.
    Invitation(Secret),
}

/// What a participant comes with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The meeting.
    pub meeting: MeetingId,
    /// By what right.
    pub entry: Entry,
    /// The name that the others see.
    pub name: Text,
    /// A key pair by which the others recognise this person in every meeting.
    pub identity: Option<Identity>,
    /// The highest spatial layer of the camera that guests and people from outside have keys for; all if there is none.
    pub guest_limit: Option<u8>,
    /// The windows in which others are shown, in pixels; 0x0 if nobody is.
    pub window: Size,
    /// Of each second, the time for decoding; as much as it takes if there is none.
    pub cpu_budget: Option<Duration>,
    /// Whether the organizer lets everybody in who knocks.
    pub admit_all: bool,
    /// Microseconds since 1970 at the time 0.
    pub unix: u64,
}

/// What the attendee wants of the program.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Output {
    /// To the relay, over the WebSocket.
    Request(Numbered),
    /// A new end of the link is to be made; its description goes to [`Attendee::handle_link`].
    MakeLink,
    /// The relay's end of it.
    Link(LinkDescription),
    /// For people.
    Notice(Notice),
    /// An invitation's code.
    Invitation(Secret),
    /// It is over.
    Ended,
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// A participant of one meeting.
pub struct Attendee<M> {
    config: Config,
    /// What is sent and received.
    pub media: M,
    outputs: VecDeque<Output>,
    requests: Requests,
    /// Whether the WebSocket is open, and whether it was before.
    connected: bool,
    was_connected: bool,
    session: Option<Secret>,
    admission: Option<Admission>,
    /// Whether we are in, on this connection.
    admitted: bool,
    /// Whether the relay knows, on this connection, what it is not to forward of the camera.
    limited: bool,
    /// When the organizer begins an epoch for want of tracks, and when it did.
    next_update: Option<Time>,
    last_update: Option<Time>,
    /// With this message of MLS it is known whether the relay took a commit before the connection was lost.
    settles: Option<u64>,
    rights: Rights,
    people: People,
    circle: Circle,
    sources: Sources,
    sayings: Sayings,
    link_up: bool,
    /// The number of the last message of MLS.
    seen: u64,
    /// The windows of all streams, unless each has its own.
    window: Size,
    windows: Option<BTreeMap<u32, Window>>,
    /// Mean decode times, by the samples of a picture.
    decode_times: Vec<(u32, Duration)>,
    /// When to knock again at a relay that has too much to do.
    next_join: Option<Time>,
    /// When to make another link, after how long a pause, and when one came to nothing.
    next_link: Option<Time>,
    link_pause: Duration,
    link_failed: Option<Time>,
    next_report: Option<Time>,
    last_report: Option<Time>,
    next_state: Option<Time>,
    last_state: Option<Time>,
    next_attestation: Option<Time>,
    hand: bool,
    /// Whom the relay named the organizer, and when.
    organizer: Option<(ParticipantId, Time)>,
    /// Whom the group named its organizer when it was last looked at.
    trusted_organizer: Option<Fingerprint>,
    warned_of_reflections: bool,
    was_admitted: bool,
    ended: bool,
    failed: Option<String>,
}

impl<M: Media> Attendee<M> {
    /// One who has not come yet.
    pub fn new(config: Config, media: M) -> Self {
        let caps = config.guest_limit.map(|limit| sources::caps(limit).to_vec()).unwrap_or_default();
        Self {
            media,
            outputs: VecDeque::new(),
            requests: Requests::default(),
            connected: false,
            was_connected: false,
            session: None,
            admission: None,
            settles: None,
            admitted: false,
            limited: false,
            next_update: None,
            last_update: None,
            rights: Rights { voice: false, camera: false, share: false },
            people: People::default(),
            circle: Circle::new(config.name.as_str(), config.identity.clone(), caps),
            sources: Sources::new(config.guest_limit.is_some()),
            sayings: Sayings::default(),
            link_up: false,
            seen: 0,
            window: config.window,
            windows: None,
            decode_times: Vec::new(),
            next_join: None,
            next_link: None,
            link_pause: Duration::ZERO,
            link_failed: None,
            next_report: None,
            last_report: None,
            next_state: None,
            last_state: None,
            next_attestation: None,
            hand: false,
            organizer: None,
            trusted_organizer: None,
            warned_of_reflections: false,
            was_admitted: false,
            ended: false,
            failed: None,
            config,
        }
    }

    /// Adds something that is sent, before the meeting or in it, and returns its place. It is announced when it is wanted and
    /// allowed. `rows` are those of its pictures.
    pub fn add_source(&mut self, kind: Kind, rows: Option<u32>, wanted: bool) -> usize {
        self.sources.add(kind, rows, wanted)
    }

    /// The rows of a source's pictures.
    pub fn set_rows(&mut self, place: usize, rows: Option<u32>) {
        self.sources.get_mut(place).into_iter().for_each(|source| source.rows = rows);
    }

    /// The group of MLS, and what is on its way to it.
    pub fn circle(&self) -> &Circle {
        &self.circle
    }

    /// What is sent, each with its place.
    pub fn sources(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.sources.iter()
    }

    /// The place of the camera, the screen or the sound among the sources.
    pub fn place_of(&self, kind: Kind) -> Option<usize> {
        self.sources.place_of(kind)
    }

    /// The name of somebody, as the group has it, or a number.
    pub fn name_of(&self, who: ParticipantId) -> String {
        self.known_name_of(who).unwrap_or_else(|| format!("participant {}", who.0))
    }

    /// The name of somebody who is in the group.
    pub fn known_name_of(&self, who: ParticipantId) -> Option<String> {
        self.people.name(who, &self.circle)
    }

    /// Whether it is in the meeting, with keys and a link.
    pub fn is_seated(&self) -> bool {
        self.admitted && self.link_up && self.circle.group().is_some()
    }

    /// Whether the link for the media is up.
    pub fn is_linked(&self) -> bool {
        self.link_up
    }

    /// Whether there is a connection to the relay.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether the relay was ever reached.
    pub fn was_connected(&self) -> bool {
        self.was_connected
    }

    /// Whether it is over.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Microseconds since 1970 at the time 0.
    pub fn unix(&self) -> u64 {
        self.config.unix
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    fn ask(&mut self, purpose: Purpose, request: Request) {
        if self.connected {
            let numbered = self.requests.number(purpose, request);
            self.outputs.push_back(Output::Request(numbered));
        }
    }

    fn end(&mut self, why: &str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.notice(Notice::Ended { why: why.into() });
            self.outputs.push_back(Output::Ended);
        }
    }

    /// It is over, and not by the choice of somebody who may end it.
    fn fail(&mut self, why: &str) {
        if !self.ended {
            self.failed = Some(why.into());
        }
        self.end(why);
    }

    /// Once it has ended: whether it was in the meeting, and then left or saw its end.
    ///
    /// # Errors
    /// What else became of it.
    pub fn outcome(&self) -> Result<(), String> {
        match &self.failed {
            Some(why) => Err(why.clone()),
            None if self.was_admitted => Ok(()),
            None if self.was_connected => Err("never let in".into()),
            None => Err("the relay was never reached".into()),
        }
    }

    /// What there is to do at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.ended {
            return Output::Timeout(None);
        }
        if self.connected && self.next_join.is_some_and(|at| at <= now) {
            self.next_join = None;
            self.join();
        }
        if self.connected && self.admitted && self.next_link.is_some_and(|at| at <= now) {
            self.next_link = None;
            self.outputs.push_back(Output::MakeLink);
        }
        self.stand(now);
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let timers = [
            self.next_join,
            self.next_link.filter(|_| self.admitted),
            self.next_report.filter(|_| self.admitted),
            self.next_state.filter(|_| self.admitted),
            self.next_attestation.filter(|_| self.admitted),
            self.next_update.filter(|_| self.admitted),
            self.circle.next_timeout(),
        ];
        Output::Timeout(timers.into_iter().flatten().min())
    }
}
