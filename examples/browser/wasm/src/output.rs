//! What the page gets as JSON.

use layercast_attend::notice::Notice;
use layercast_attend::people::Participant;
use layercast_meeting::{Kind, LinkDescription, ParticipantId, Secret};
use serde::Serialize;

/// A stream of our own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OwnStream {
    /// What it carries.
    pub kind: Kind,
    /// Its number.
    pub stream: u32,
    /// The SSRC of its packets, and of retransmissions.
    pub ssrc: u32,
    /// Of retransmissions.
    pub rtx_ssrc: u32,
    /// Its number among our own.
    pub track: u16,
}

/// One that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Unpublished {
    /// What it carried.
    pub kind: Kind,
    /// Its number.
    pub stream: u32,
}

/// A stream of somebody else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherStream {
    /// Whose.
    pub participant: ParticipantId,
    /// The name of that person.
    pub name: String,
    /// Its number.
    pub stream: u32,
    /// The SSRC of its packets.
    pub ssrc: u32,
    /// Of retransmissions.
    pub rtx_ssrc: u32,
    /// What it carries.
    pub kind: Kind,
    /// The highest spatial layer that opens here; all do if there is none.
    pub max_spatial_id: Option<u8>,
}

/// What others watch of a stream of our own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Watched {
    /// The stream.
    pub stream: u32,
    /// What it carries.
    pub kind: Kind,
    /// The highest target of each spatial layer.
    pub wanted: Vec<String>,
    /// Bit/s of the highest, if there is a bound.
    pub max_bitrate: Option<u64>,
}

/// The group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupState {
    /// The epoch.
    pub epoch: u64,
    /// Its members.
    pub members: usize,
    /// The digits that all members have in common.
    pub code: String,
    /// Our own digits.
    pub fingerprint: String,
    /// Whether we organize.
    pub organizer: bool,
    /// Whether we open all layers, whatever senders keep from guests.
    pub insider: bool,
}

/// A notice and a line for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// What happened.
    #[serde(flatten)]
    pub notice: Notice,
    /// The line.
    pub text: String,
}

/// What the page is to do, or is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PageOutput {
    /// To the relay, over the WebSocket.
    Send(String),
    /// A new end of the link is to be made.
    MakeLink(bool),
    /// The relay's end of it.
    Link(LinkDescription),
    /// Something of our own is sent from now on.
    Published(OwnStream),
    /// It is not.
    Unpublished(Unpublished),
    /// Somebody else sends something.
    Stream(OtherStream),
    /// It ended.
    StreamEnded(u32),
    /// What others watch.
    Demand(Watched),
    /// For people.
    Notice(Told),
    /// All who are in or at the door.
    People(Vec<Participant>),
    /// The group, if we are in it.
    Group(Option<GroupState>),
    /// An invitation's code.
    Invitation(Secret),
    /// It is over.
    Ended(String),
    /// Nothing until then, in microseconds.
    Timeout(Option<u64>),
}
