//! What a room says to its caller.

use super::conduct::Misconduct;
use super::config::ParticipantId;
use crate::Time;
use crate::select::DemandMessage;

/// Why a room refuses something that the app asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// A participant of this number is in the room.
    #[error("the participant is in the room already")]
    Joined,
    /// No participant of this number is in the room.
    #[error("no such participant is in the room")]
    NotJoined,
    /// [`RoomConfig::max_participants`](super::RoomConfig::max_participants) are in the room.
    #[error("the room is full")]
    Full,
    /// The participant has [`RoomConfig::max_streams`](super::RoomConfig::max_streams).
    #[error("the participant has too many streams")]
    TooManyStreams,
    /// The room has a stream of this number or SSRC.
    #[error("a stream has this number or SSRC already")]
    Published,
}

/// What a room has for its caller.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "one at a time is given out, and none is kept")]
pub enum RoomOutput {
    /// A packet to be sent now: RTP or RTCP, which the app protects by SRTP, if the link has that.
    Transmit {
        /// Whom to.
        to: ParticipantId,
        /// It is the last so many bytes of the buffer that was handed in.
        length: usize,
    },
    /// What a sender is to code of one of its streams. The app brings it by a channel that keeps the order
    /// ([`DemandMessage::write`]).
    Demand {
        /// The sender.
        to: ParticipantId,
        /// What it is to code.
        message: DemandMessage,
    },
    /// A participant was put out: it has left, with its streams, and need not be told to
    /// [`leave`](super::Room::leave). The app closes its connection. Whoever joins under this number later begins anew, so that
    /// to refuse it is up to the app.
    Expelled {
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: Misconduct,
    },
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}
