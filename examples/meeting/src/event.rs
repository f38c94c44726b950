//! What the relay says.

use serde::{Deserialize, Serialize};

use crate::parse::{parse, write};
use crate::{
    Audience, Bytes, Group, Kind, LinkDescription, MeetingId, ParticipantId, ProtocolError, Rights, Role,
    Secret, Text,
};

/// A message of the relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum FromRelay {
    /// To a request.
    Answer {
        /// The request's number.
        id: u32,
        /// What became of it.
        result: Result<Answer, Refusal>,
    },
    /// What happened.
    Event(Event),
}

impl FromRelay {
    /// Reads a message.
    ///
    /// # Errors
    /// Whatever is no message of a relay within the bounds.
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        parse(text)
    }

    /// The message as text.
    pub fn to_text(&self) -> String {
        write(self)
    }
}

/// What a request brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It is done.
    Done,
    /// To a login, and to a session that goes on.
    Session(Session),
    /// A meeting is planned.
    Planned(MeetingId),
    /// The code of an invitation.
    Invitation(Secret),
    /// One is at the door, or in at once.
    Joined(Admission),
    /// The relay's end of the link.
    Link(LinkDescription),
    /// A stream was announced.
    Published(Published),
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its token.
    pub token: Secret,
    /// Seconds until it ends.
    pub expires_in: u64,
}

/// What somebody who knocks is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// One's number.
    pub participant: ParticipantId,
    /// One's role.
    pub role: Role,
    /// By which one comes back.
    pub token: Secret,
    /// The meeting's title.
    pub title: Text,
    /// Where the relay stands, as its operator says.
    pub region: Text,
    /// What the relay stores of this meeting and for how long, in a sentence for people.
    pub storage: String,
}

/// A stream that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its number in the meeting, which reports name it by.
    pub stream: u32,
    /// The SSRC of its packets, for the sender and for all receivers.
    pub ssrc: u32,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refusal {
    /// No such account, or another password: the relay does not say which.
    #[error("wrong name or password")]
    WrongCredentials,
    /// There is no such session, or it is over.
    #[error("no such session, or it is over")]
    NoSession,
    /// Too many attempts, connections or requests: later.
    #[error("too many attempts: try again later")]
    TooMany,
    /// No such meeting, or it is over.
    #[error("no such meeting")]
    NoMeeting,
    /// No such participant.
    #[error("no such participant")]
    NoParticipant,
    /// No such stream of this participant.
    #[error("no such stream")]
    NoStream,
    /// No such account.
    #[error("no such account")]
    NoAccount,
    /// No invitation has this code, or it was used.
    #[error("the invitation is not valid, or was used before: ask for a new one")]
    Invitation,
    /// The organizer removed whoever asks.
    #[error("removed from this meeting")]
    Removed,
    /// The meeting is locked.
    #[error("the meeting is locked")]
    Locked,
    /// Only the organizer may.
    #[error("only the organizer may do this")]
    NotOrganizer,
    /// Whoever asks has not the right.
    #[error("not allowed to do this")]
    NotAllowed,
    /// The request has no place now: who waits cannot publish, say.
    #[error("not now")]
    NotNow,
    /// Another commit ended that epoch before.
    #[error("another commit was first")]
    StaleEpoch,
    /// A field is not what it should be.
    #[error("a field of the request cannot be right")]
    Malformed,
    /// The relay could not do it: its log says why.
    #[error("the relay failed")]
    Failed,
}

/// Somebody at the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The number.
    pub participant: ParticipantId,
    /// What it would be.
    pub role: Role,
    /// The name it goes by. That of the key package counts.
    pub name: Text,
    /// Its key package of MLS for the meeting's group.
    pub key_package: Bytes,
    /// Its key package for the group of insiders.
    pub insiders_key_package: Option<Bytes>,
    /// Its account is one of another organization, or it has none.
    pub outsider: bool,
    /// It was in before, and comes back without its group of MLS: it needs a new welcome, and no new decision. The commit
    /// that adds it to [`Group::Meeting`] lets it in, with or without [`Request::Admit`](crate::Request).
    #[serde(default)]
    pub known: bool,
}

/// Somebody in the meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The number.
    pub participant: ParticipantId,
    /// What it is.
    pub role: Role,
    /// The name, as the relay was told.
    pub name: Text,
    /// What it may send.
    pub rights: Rights,
}

/// A stream of somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Whose.
    pub participant: ParticipantId,
    /// Its number in the meeting.
    pub stream: u32,
    /// Of its packets.
    pub ssrc: u32,
    /// What it carries.
    pub kind: Kind,
    /// The sender's index in the meeting's group, as the sender says.
    pub member: u32,
    /// Its number among the sender's.
    pub track: u16,
}

/// What the relay forwards of a stream to somebody, and why no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layers {
    /// The stream.
    pub stream: u32,
    /// The spatial and the temporal id of the decode target; nothing is forwarded if there is none.
    pub target: Option<(u8, u8)>,
    /// What keeps the relay from a higher target: the name of a `Reason` of layercast, in small letters.
    pub reason: String,
}

/// A message of MLS, as the relay keeps it for a group.
///
/// Whoever was welcomed to [`Group::Meeting`] gets all messages after that welcome, of both groups, without gaps: one's own
/// too, after the answer to the request that brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlsMessage {
    /// The group.
    pub group: Group,
    /// Its number in the meeting, from 1, without gaps over both groups.
    pub number: u64,
    /// Who brought it.
    pub from: ParticipantId,
    /// The message.
    pub message: Bytes,
}

/// Why a meeting is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The organizer ended it.
    #[error("the organizer ended the meeting")]
    Organizer,
    /// Nobody was in it for too long.
    #[error("the meeting is over, for nobody was in it")]
    Empty,
    /// Its organizer's account was erased, and its meetings with it.
    #[error("the organizer's account was erased at the relay, and the meeting with it")]
    Forgotten,
}

/// What happened in a meeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Event {
    /// To the organizer: somebody knocks, or comes back without its group of MLS.
    Waiting(Asked),
    /// One is in. Those who are in already come as [`Arrived`](Self::Arrived), streams as [`Published`](Self::Published):
    /// all of them, so that one who comes back forgets what it knew of others' streams. It publishes its own again if the
    /// relay does not name them.
    Admitted {
        /// One's rights.
        rights: Rights,
        /// The number of the last message of MLS: what one who was away has not seen follows.
        messages: u64,
        /// One is the organizer, and there is no group yet: one makes it. Others are never told so.
        begins: bool,
    },
    /// Somebody is in.
    Arrived(Arrival),
    /// The connection of somebody who is in was lost, or to the organizer: that of somebody at the door. It may come back.
    Away {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody left for good, or never came back: the organizer removes it from the group.
    Left {
        /// Who.
        participant: ParticipantId,
    },
    /// The organizer removed somebody: oneself, maybe.
    Removed {
        /// Whom.
        participant: ParticipantId,
    },
    /// Somebody's rights are others now.
    Rights {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        rights: Rights,
    },
    /// The organizer is another. That the group says so too counts.
    Organizer {
        /// Who.
        participant: ParticipantId,
    },
    /// The meeting was locked or opened.
    Locked {
        /// Locked or open.
        locked: bool,
    },
    /// The layers of cameras were limited.
    CameraLimited {
        /// Whose: the organizer's limit is for all cameras.
        participant: ParticipantId,
        /// For whom.
        audience: Audience,
        /// The highest spatial layer.
        max_spatial_id: Option<u8>,
    },
    /// The meeting is over.
    Ended {
        /// Why.
        why: EndReason,
    },
    /// The organizer lost the group, and makes another: everybody knocks anew, with another key package.
    GroupLost,
    /// A commit or a proposal.
    Mls(MlsMessage),
    /// A welcome to a group.
    Welcome {
        /// The group.
        group: Group,
        /// The number of the commit that it goes with: messages that follow are for the newcomer too, and that commit
        /// itself is not sent to a newcomer to [`Group::Meeting`].
        number: u64,
        /// The welcome.
        message: Bytes,
    },
    /// A stream was announced.
    Published(Stream),
    /// A stream ended.
    Unpublished {
        /// Its number in the meeting.
        stream: u32,
    },
    /// What is to be coded of a stream of one's own: a `DemandMessage` of layercast.
    Demand {
        /// The demand, which names the stream.
        demand: Bytes,
    },
    /// Somebody who is in says something.
    Said {
        /// Who, as the relay says.
        participant: ParticipantId,
        /// What, sealed by a member of the group.
        message: Bytes,
    },
    /// What the relay forwards of others' cameras and screens to this participant, of those of which that has changed.
    Layers {
        /// One for each stream.
        layers: Vec<Layers>,
    },
    /// The relay closes the link: misconduct, which it names.
    Expelled {
        /// Why.
        reason: String,
    },
    /// The relay goes down soon. Meetings go on when it is back.
    Closing,
}
