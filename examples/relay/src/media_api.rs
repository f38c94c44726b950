//! What the desk and the media side say to each other: plain values over channels.
//!
//! The media side carries out [`MediaCommand`]s in the order in which they come. A meeting has a number of its own, its
//! key, that no other meeting of this process has had, so that the media side learns nothing else of it.

use std::net::{IpAddr, SocketAddr};

use layercast_meeting::{Bytes, Kind, Layers, LinkDescription, ParticipantId};

/// A meeting, as the media side knows it: counted from 1 in each run of the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeetingKey(pub u32);

/// What the desk tells the media side to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaCommand {
    /// A meeting begins, or goes on after a restart.
    OpenMeeting {
        /// Which.
        meeting: MeetingKey,
    },
    /// A meeting is over for the media: all links of it close.
    CloseMeeting {
        /// Which.
        meeting: MeetingKey,
    },
    /// A participant may send and receive from now on.
    Join {
        /// The meeting.
        meeting: MeetingKey,
        /// Who.
        participant: ParticipantId,
    },
    /// A participant is out: its link closes, its streams end, and no packet goes to it after this command. It may join
    /// again later.
    Leave {
        /// The meeting.
        meeting: MeetingKey,
        /// Who.
        participant: ParticipantId,
    },
    /// A participant makes its link, or makes it anew. [`MediaEvent::Link`] answers.
    Link {
        /// The meeting.
        meeting: MeetingKey,
        /// Who.
        participant: ParticipantId,
        /// The participant's end.
        description: LinkDescription,
        /// By which the answer is told from others.
        reply: LinkReply,
    },
    /// A participant sends a stream.
    Publish {
        /// The meeting.
        meeting: MeetingKey,
        /// Who sends it.
        participant: ParticipantId,
        /// Its number in the meeting.
        stream: u32,
        /// The SSRC of its packets: even, and the next one is kept free for retransmissions.
        ssrc: u32,
        /// What it carries.
        kind: Kind,
        /// Whether its sender takes requests for single layers, and not only for key pictures.
        layer_refresh: bool,
    },
    /// A stream ends.
    Unpublish {
        /// The meeting.
        meeting: MeetingKey,
        /// Its number.
        stream: u32,
    },
    /// A stream is forwarded to nobody until it is unmuted: its sender has lost the right to it.
    SetMuted {
        /// The meeting.
        meeting: MeetingKey,
        /// The stream's number.
        stream: u32,
        /// Whether it is.
        muted: bool,
    },
    /// Limits what somebody gets of a camera, or lifts the limit.
    Cap {
        /// The meeting.
        meeting: MeetingKey,
        /// Who gets it.
        participant: ParticipantId,
        /// The stream's number.
        stream: u32,
        /// The highest spatial layer; all if there is none.
        max_spatial_id: Option<u8>,
    },
    /// What a participant's windows are like: a `ReceiverReport` of layercast, as it came, of at most
    /// [`MAX_REPORT`] bytes.
    Report {
        /// The meeting.
        meeting: MeetingKey,
        /// Whose.
        participant: ParticipantId,
        /// The report.
        report: Bytes,
    },
}

impl MediaCommand {
    /// The meeting that it is about.
    pub fn meeting(&self) -> MeetingKey {
        let (Self::OpenMeeting { meeting }
        | Self::CloseMeeting { meeting }
        | Self::Join { meeting, .. }
        | Self::Leave { meeting, .. }
        | Self::Link { meeting, .. }
        | Self::Publish { meeting, .. }
        | Self::Unpublish { meeting, .. }
        | Self::SetMuted { meeting, .. }
        | Self::Cap { meeting, .. }
        | Self::Report { meeting, .. }) = self;
        *meeting
    }
}

/// The longest report that the desk passes on, in bytes.
pub const MAX_REPORT: usize = 16 * 1024;

/// Tells the answers of the media side apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkReply(pub u64);

/// What the media side tells the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// The relay's end of a link, or that there is none to be had.
    Link {
        /// Of which command.
        reply: LinkReply,
        /// The relay's end.
        result: Result<LinkDescription, LinkFailed>,
    },
    /// What is to be coded of a participant's stream: a `DemandMessage` of layercast, as it is sent.
    Demand {
        /// The meeting.
        meeting: MeetingKey,
        /// The stream's sender.
        participant: ParticipantId,
        /// The demand.
        demand: Bytes,
    },
    /// What a participant gets of the others' streams, of those of which that has changed.
    Layers {
        /// The meeting.
        meeting: MeetingKey,
        /// Who gets it.
        participant: ParticipantId,
        /// What, and why no more.
        layers: Vec<Layers>,
    },
    /// The media side shut somebody out for misconduct. It has left the media already.
    Expelled {
        /// The meeting.
        meeting: MeetingKey,
        /// Whom.
        participant: ParticipantId,
        /// Why, in words for the log and for whoever is expelled.
        reason: String,
    },
}

/// The media side could not make a link. Its log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link could not be made")]
pub struct LinkFailed;

/// What the media side is told at its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// Where packets come in.
    pub udp: SocketAddr,
    /// The addresses by which participants reach it, which links name; those of `udp` if there are none.
    pub public: Vec<IpAddr>,
    /// How many threads forward packets.
    pub threads: usize,
}

/// The media side's end of the channels to the desk.
#[derive(Debug)]
pub struct MediaPort {
    /// What it is told to do, in order. The relay goes down when the channel is closed.
    pub commands: crossbeam_channel::Receiver<MediaCommand>,
    /// Where it tells what happens, from any thread.
    pub events: MediaEvents,
}

impl MediaPort {
    /// A port, and the desk's ends of it.
    pub fn new()
    -> (Self, crossbeam_channel::Sender<MediaCommand>, tokio::sync::mpsc::UnboundedReceiver<MediaEvent>) {
        let (sender, commands) = crossbeam_channel::unbounded();
        let (events, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self { commands, events: MediaEvents(events) }, sender, receiver)
    }
}

/// Takes what the media side tells.
#[derive(Debug, Clone)]
pub struct MediaEvents(pub(crate) tokio::sync::mpsc::UnboundedSender<MediaEvent>);

impl MediaEvents {
    /// Tells it. This never waits; after the desk's end it does nothing.
    pub fn send(&self, event: MediaEvent) {
        // The receiver goes with the whole relay.
        let _ = self.0.send(event);
    }
}
