//! The participant as a state machine.
//!
//! The relay's messages, packets of the link and pictures go in by `handle_*(now, ..)`, one at a time. Then [`Seat::poll`] is
//! called until it says how long there is nothing: requests, packets, what is to be decoded, and notices come out of it.
//!
//! What the relay says about people is shown, and believed only as far as the group of MLS says so too: names and keys are
//! those of the group, and the organizer is whom the group's state names.

pub mod account;
pub mod circle;
mod connection;
mod control;
mod downlink;
mod epochs;
mod events;
pub mod people;
mod requests;
mod seen;
mod source;
mod standing;
pub mod state;
mod uplink;
mod windows;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use layercast::e2ee::mls::{Fingerprint, Identity};
use layercast::picture::PictureView;
use layercast::rtp::DecodableUnit;
use layercast::rtp::rtcp::is_rtcp;
use layercast::session::{ReceivedAudio, SendError};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use layercast_meeting::{
    Admission, Kind, LinkDescription, MeetingId, Numbered, Request, Rights, Secret, Text,
};

use crate::notice::Notice;
use circle::Circle;
use downlink::Downlink;
pub use downlink::{Feed, Received};
use people::People;
use requests::{Purpose, Requests};
pub use source::{Source, SourceCounts, VideoSource};
use uplink::Uplink;

/// From one message about the state to the next.
const STATE: Duration = Duration::from_secs(2);
/// From one attempt to join to the next, if the relay has too much to do.
const KNOCK_AGAIN: Duration = Duration::from_secs(1);
/// The report of windows is sent again this often, with the decode times of the meantime.
const REPORT: Duration = Duration::from_secs(5);

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
pub struct SeatConfig {
    /// The meeting.
    pub meeting: MeetingId,
    /// By what right.
    pub entry: Entry,
    /// The name that the others see.
    pub name: Text,
    /// A key pair by which the others recognise this person in every meeting.
    pub identity: Option<Identity>,
    /// The camera.
    pub camera: Option<VideoSource>,
    /// The shared screen.
    pub screen: Option<VideoSource>,
    /// The highest spatial layer of the camera that guests and people from outside have keys for; all if there is none.
    pub guest_limit: Option<u8>,
    /// Whether there is sound.
    pub audio: bool,
    /// The windows in which others are shown, in pixels; 0x0 if nobody is.
    pub window: Size,
    /// Of each second, the time for decoding; as much as it takes if there is none.
    pub cpu_budget: Option<Duration>,
    /// Whether the organizer lets everybody in who knocks.
    pub admit_all: bool,
    /// Microseconds since 1970 at the time 0.
    pub unix: u64,
}

/// What the seat wants of the program.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum SeatOutput {
    /// To the relay, over the WebSocket.
    Request(Numbered),
    /// A new end of the link is to be made; its description goes to [`Seat::handle_link`].
    MakeLink,
    /// The relay's end of it.
    Link(LinkDescription),
    /// To the relay, over the link: RTP or RTCP.
    Packet(Bytes),
    /// Of a stream, a temporal unit to be decoded and shown now: [`Seat::handle_decoded`].
    Unit(u32, DecodableUnit),
    /// Of a stream, a frame of sound.
    Audio(u32, ReceivedAudio),
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
pub struct Seat {
    config: SeatConfig,
    outputs: VecDeque<SeatOutput>,
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
    uplink: Uplink,
    downlink: Downlink,
    link_up: bool,
    /// The number of the last message of MLS.
    seen: u64,
    window: Size,
    /// Mean decode times, by the samples of a picture.
    decode_times: Vec<(u32, Duration)>,
    /// When to knock again at a relay that has too much to do.
    next_join: Option<Time>,
    /// When to make another link, after how long a pause, and when one came to nothing.
    next_link: Option<Time>,
    link_pause: Duration,
    link_failed: Option<Time>,
    next_report: Option<Time>,
    next_state: Option<Time>,
    /// Whom the relay named the organizer, and when.
    organizer: Option<(layercast_meeting::ParticipantId, Time)>,
    /// Whom the group named its organizer when it was last looked at.
    trusted_organizer: Option<Fingerprint>,
    warned_of_reflections: bool,
    was_admitted: bool,
    ended: bool,
    failed: Option<String>,
}

impl Seat {
    /// One who has not come yet.
    pub fn new(config: SeatConfig) -> Self {
        let mut uplink = Uplink::new(config.guest_limit.is_some());
        let caps = config.guest_limit.map(|limit| uplink::caps(limit).to_vec()).unwrap_or_default();
        // The camera has the shortest headers, and the path.
        let camera = config.camera.clone().map(|video| uplink.add(Kind::Camera, Some(video), true));
        debug_assert!(camera.is_none_or(|place| place == 0));
        if config.audio {
            uplink.add(Kind::Audio, None, true);
        }
        uplink.add(Kind::Data, None, true);
        if let Some(video) = config.screen.clone() {
            uplink.add(Kind::Screen, Some(video), true);
        }
        Self {
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
            uplink,
            downlink: Downlink::default(),
            link_up: false,
            seen: 0,
            window: config.window,
            decode_times: Vec::new(),
            next_join: None,
            next_link: None,
            link_pause: Duration::ZERO,
            link_failed: None,
            next_report: None,
            next_state: None,
            organizer: None,
            trusted_organizer: None,
            warned_of_reflections: false,
            was_admitted: false,
            ended: false,
            failed: None,
            config,
        }
    }

    /// The group of MLS, and what is on its way to it.
    pub fn circle(&self) -> &Circle {
        &self.circle
    }

    /// The streams of the others.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.downlink.feeds()
    }

    /// Streams that have ended, with what came of them.
    pub fn ended_feeds(&self) -> &[(layercast_meeting::Stream, account::Account)] {
        self.downlink.ended()
    }

    /// What is sent, each with its place and counts.
    pub fn sources(&self) -> impl Iterator<Item = (usize, &Source, SourceCounts)> {
        self.uplink.sources().map(|(place, source)| (place, source, self.uplink.counts(place)))
    }

    /// The place of the camera, the screen or the sound among the sources.
    pub fn place_of(&self, kind: Kind) -> Option<usize> {
        self.uplink.place_of(kind)
    }

    /// The name of somebody, as the group has it.
    pub fn name_of(&self, who: layercast_meeting::ParticipantId) -> String {
        self.people.name(who, &self.circle)
    }

    /// Whether it is in the meeting, with keys and a link.
    pub fn is_seated(&self) -> bool {
        self.admitted && self.link_up && self.circle.group().is_some()
    }

    /// Whether there is a connection to the relay.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether the relay was ever reached.
    pub fn was_connected(&self) -> bool {
        self.was_connected
    }

    fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(SeatOutput::Notice(notice));
    }

    fn ask(&mut self, purpose: Purpose, request: Request) {
        if self.connected {
            let numbered = self.requests.number(purpose, request);
            self.outputs.push_back(SeatOutput::Request(numbered));
        }
    }

    fn end(&mut self, why: &str) {
        if !std::mem::replace(&mut self.ended, true) {
            self.notice(Notice::Ended { why: why.into() });
            self.outputs.push_back(SeatOutput::Ended);
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

    // ---- Media ----

    /// Takes a picture of a source that was captured at `now`. `false` if it was not coded: it is muted, nobody watches, or
    /// packets wait.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_picture(
        &mut self,
        now: Time,
        place: usize,
        picture: &PictureView<'_>,
    ) -> Result<bool, SendError> {
        if !self.link_up {
            return Ok(false);
        }
        self.uplink.handle_picture(now, place, picture)
    }

    /// Takes how long coding the last picture of a source took.
    pub fn handle_encode_time(&mut self, place: usize, took: Duration) {
        self.uplink.handle_encode_time(place, took);
    }

    /// Takes a frame of sound, with its timestamp of 48 kHz.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_audio(&mut self, now: Time, payload: &[u8], timestamp: u32) -> Result<(), SendError> {
        match self.uplink.place_of(Kind::Audio).filter(|_| self.link_up) {
            Some(place) => self.uplink.handle_audio(now, place, payload, timestamp),
            None => Ok(()),
        }
    }

    /// Takes an RTP or RTCP packet of the link, and when it arrived: a picture that is coded may have held it up since, which
    /// the estimate of the path must not see.
    pub fn handle_packet(&mut self, now: Time, arrived: Time, packet: Bytes) {
        if is_rtcp(&packet) {
            self.uplink.handle_feedback(now, &packet);
        }
        self.downlink.handle_packet(now, arrived, packet);
    }

    /// A temporal unit was decoded and shown: the layers and size of its picture, and how long it took, if that was measured.
    pub fn handle_decoded(
        &mut self,
        now: Time,
        stream: u32,
        timestamp: u32,
        (target, size): (LayerId, Size),
        took: Option<Duration>,
    ) {
        self.downlink.handle_shown(now, stream, timestamp, target, size);
        let (Some(took), samples) = (took, size.samples() as u32) else { return };
        if let Some((_, mean)) = self.decode_times.iter_mut().find(|(known, _)| *known == samples) {
            *mean = (*mean * 15 + took) / 16;
        } else if self.decode_times.len() < layercast::select::MAX_DECODE_TIMES {
            self.decode_times.push((samples, took));
        }
    }

    /// A temporal unit could not be decoded.
    pub fn handle_decode_error(&mut self, now: Time, stream: u32) {
        self.downlink.handle_decode_error(now, stream);
    }

    // ---- Out ----

    /// What there is to do at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> SeatOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.ended {
            return SeatOutput::Timeout(None);
        }
        if self.connected && self.next_join.is_some_and(|at| at <= now) {
            self.next_join = None;
            self.join();
        }
        if self.connected && self.admitted && self.next_link.is_some_and(|at| at <= now) {
            self.next_link = None;
            self.outputs.push_back(SeatOutput::MakeLink);
        }
        self.stand(now);
        let (mut packets, mut received) = (Vec::new(), Vec::new());
        let mut wake = self.uplink.poll(now, &mut packets);
        wake = [wake, self.downlink.poll(now, &mut packets, &mut received)].into_iter().flatten().min();
        if self.link_up {
            self.outputs.extend(packets.into_iter().map(SeatOutput::Packet));
        }
        for (stream, what) in received {
            match what {
                Received::Unit(unit) => self.outputs.push_back(SeatOutput::Unit(stream, unit)),
                Received::Audio(frame) => self.outputs.push_back(SeatOutput::Audio(stream, frame)),
                Received::Message(message) => self.handle_state(now, stream, &message),
                Received::Refused(_) => {}
            }
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let timers = [
            wake,
            self.next_join,
            self.next_link.filter(|_| self.admitted),
            self.next_report,
            self.next_state,
            self.next_update.filter(|_| self.admitted),
            self.circle.next_timeout(),
        ];
        SeatOutput::Timeout(timers.into_iter().flatten().min())
    }
}
