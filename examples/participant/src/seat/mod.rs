//! The participant as a state machine: an [`Attendee`] and its media, which are sessions of layercast over a link.
//!
//! The relay's messages, packets of the link and pictures go in by `handle_*(now, ..)`, one at a time. Then [`Seat::poll`] is
//! called until it says how long there is nothing: requests, packets, what is to be decoded, and notices come out of it.

pub mod account;
mod downlink;
mod source;
mod streams;
mod uplink;

use std::collections::VecDeque;
use std::ops::Deref;
use std::time::Duration;

use bytes::Bytes;
use layercast::e2ee::mls::Identity;
use layercast::picture::PictureView;
use layercast::rtp::DecodableUnit;
use layercast::rtp::rtcp::is_rtcp;
use layercast::scene::FRAME_RATE;
use layercast::session::{ReceivedAudio, SendError};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use layercast_attend::commands::Command;
use layercast_attend::{Attendee, Config, Output};
pub use layercast_attend::{Entry, circle, people, sources::Source, state};
use layercast_meeting::{FromRelay, Kind, LinkDescription, MeetingId, Numbered, Secret, Text};

use crate::notice::Notice;
pub use downlink::{Feed, Received};
pub use source::{SourceCounts, VideoSource};
use streams::Streams;

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
    /// From one picture of the camera to the next, the time for coding it; and every 1/30 s, the time for decoding those of the
    /// others. If there is none, coding may take what a machine with nothing else to do has, and decoding all that it takes.
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

/// A participant of one meeting. It is an [`Attendee`] to all who look at it.
pub struct Seat {
    attendee: Attendee<Streams>,
    outputs: VecDeque<SeatOutput>,
}

impl Deref for Seat {
    type Target = Attendee<Streams>;

    fn deref(&self) -> &Self::Target {
        &self.attendee
    }
}

impl Seat {
    /// One who has not come yet.
    pub fn new(config: SeatConfig) -> Self {
        let SeatConfig { camera, screen, audio, .. } = config;
        let attends = Config {
            meeting: config.meeting,
            entry: config.entry,
            name: config.name,
            identity: config.identity,
            guest_limit: config.guest_limit,
            window: config.window,
            cpu_budget: config.cpu_budget.map(|budget| budget.saturating_mul(FRAME_RATE)),
            admit_all: config.admit_all,
            unix: config.unix,
        };
        let mut attendee = Attendee::new(attends, Streams::new(config.unix, config.cpu_budget));
        let mut add = |kind, video: Option<VideoSource>| {
            let place = attendee.add_source(kind, video.as_ref().map(|video| video.size.height), true);
            let added = attendee.media.uplink.add(video);
            debug_assert_eq!(added, place);
        };
        // The camera has the shortest headers, and the path.
        camera.into_iter().for_each(|camera| add(Kind::Camera, Some(camera)));
        if audio {
            add(Kind::Audio, None);
        }
        screen.into_iter().for_each(|screen| add(Kind::Screen, Some(screen)));
        Self { attendee, outputs: VecDeque::new() }
    }

    /// The streams of the others.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.media.downlink.feeds()
    }

    /// Streams that have ended, with what came of them.
    pub fn ended_feeds(&self) -> &[(layercast_meeting::Stream, account::Account)] {
        self.media.downlink.ended()
    }

    /// What is sent, each with its place and counts.
    pub fn sources(&self) -> impl Iterator<Item = (usize, &Source, SourceCounts)> {
        self.attendee.sources().map(|(place, source)| (place, source, self.media.uplink.counts(place)))
    }

    // ---- The relay, and the person at the seat ----

    /// The WebSocket is open.
    pub fn handle_connected(&mut self) {
        self.attendee.handle_connected();
    }

    /// The WebSocket is closed. The groups are kept, and streams begin anew.
    pub fn handle_disconnected(&mut self, now: Time, why: &str) {
        self.attendee.handle_disconnected(now, why);
    }

    /// Takes a message of the relay.
    pub fn handle_message(&mut self, now: Time, message: FromRelay) {
        self.attendee.handle_message(now, message);
    }

    /// Does what a command says.
    pub fn handle_command(&mut self, now: Time, command: Command) {
        self.attendee.handle_command(now, command);
    }

    /// This end of the link is made.
    pub fn handle_link(&mut self, now: Time, description: LinkDescription) {
        self.attendee.handle_link(now, description);
    }

    /// The link is up, or is down.
    pub fn handle_link_state(&mut self, now: Time, up: bool) {
        self.attendee.handle_link_state(now, up);
    }

    /// The link came to nothing, or takes no more streams: another is made after a pause, which grows if that goes on.
    pub fn handle_link_failed(&mut self, now: Time, why: &str) {
        self.attendee.handle_link_failed(now, why);
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
        if !self.is_linked() {
            return Ok(false);
        }
        self.attendee.media.uplink.handle_picture(now, place, picture)
    }

    /// Takes how long coding the last picture of a source took.
    pub fn handle_encode_time(&mut self, place: usize, took: Duration) {
        self.attendee.media.uplink.handle_encode_time(place, took);
    }

    /// Takes a frame of sound, with its timestamp of 48 kHz.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_audio(&mut self, now: Time, payload: &[u8], timestamp: u32) -> Result<(), SendError> {
        match self.place_of(Kind::Audio).filter(|_| self.is_linked()) {
            Some(place) => self.attendee.media.uplink.handle_audio(now, place, payload, timestamp),
            None => Ok(()),
        }
    }

    /// Takes an RTP or RTCP packet of the link, and when it arrived: a picture that is coded may have held it up since, which
    /// the estimate of the path must not see.
    pub fn handle_packet(&mut self, now: Time, arrived: Time, packet: Bytes) {
        let Streams { uplink, downlink, .. } = &mut self.attendee.media;
        if is_rtcp(&packet) {
            uplink.handle_feedback(now, &packet);
        }
        downlink.handle_packet(now, arrived, packet);
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
        self.attendee.media.downlink.handle_shown(now, stream, timestamp, target, size);
        if let Some(took) = took {
            self.attendee.handle_decode_time(size.samples() as u32, took);
        }
    }

    /// A temporal unit could not be decoded.
    pub fn handle_decode_error(&mut self, now: Time, stream: u32) {
        self.attendee.media.downlink.handle_decode_error(now, stream);
    }

    // ---- Out ----

    /// What there is to do at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> SeatOutput {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let wake = match self.attendee.poll(now) {
            Output::Request(request) => return SeatOutput::Request(request),
            Output::MakeLink => return SeatOutput::MakeLink,
            Output::Link(description) => return SeatOutput::Link(description),
            Output::Notice(notice) => return SeatOutput::Notice(notice),
            Output::Invitation(code) => return SeatOutput::Invitation(code),
            Output::Ended => return SeatOutput::Ended,
            Output::Timeout(at) => at,
        };
        if self.has_ended() {
            return SeatOutput::Timeout(None);
        }
        let (is_linked, Streams { uplink, downlink, .. }) =
            (self.attendee.is_linked(), &mut self.attendee.media);
        let (mut packets, mut received) = (Vec::new(), Vec::new());
        let wakes = [wake, uplink.poll(now, &mut packets), downlink.poll(now, &mut packets, &mut received)];
        if is_linked {
            self.outputs.extend(packets.into_iter().map(SeatOutput::Packet));
        }
        self.outputs.extend(received.into_iter().filter_map(|(stream, what)| match what {
            Received::Unit(unit) => Some(SeatOutput::Unit(stream, unit)),
            Received::Audio(frame) => Some(SeatOutput::Audio(stream, frame)),
            Received::Message(_) | Received::Refused(_) => None,
        }));
        let timeout = SeatOutput::Timeout(wakes.into_iter().flatten().min());
        self.outputs.pop_front().unwrap_or(timeout)
    }
}
