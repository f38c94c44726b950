//! What a room counts. It counts packets, not people: there is no name, address or time in it.

use crate::congestion::PathState;

/// The counts of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RoomStatistics {
    /// Participants that are in the room.
    pub participants: u64,
    /// Streams that they send.
    pub streams: u64,
    /// Packets of streams that came and are fit to be forwarded.
    pub packets: u64,
    /// Packets that went on, once for each receiver.
    pub forwarded: u64,
    /// Packets that did not, since their receiver does not get their layer; once for each receiver.
    pub dropped: u64,
    /// Packets of SSRCs that are no stream's, such as padding.
    pub unknown: u64,
    /// Packets and reports that were refused.
    pub refused: u64,
    /// Participants that were put out.
    pub expelled: u64,
}

/// What goes to a participant, and how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct ParticipantStatistics {
    /// Packets that were sent, retransmissions among them and padding not.
    pub packets: u64,
    /// Their bytes, from the RTP header on.
    pub bytes: u64,
    /// Retransmissions.
    pub retransmissions: u64,
    /// Bytes of padding.
    pub padding: u64,
    /// Frames that waited too long to be sent.
    pub frames_dropped: u64,
    /// Bytes that wait now.
    pub queued: usize,
    /// What is refused of what the participant sends.
    pub refused: u64,
    /// The path.
    pub path: PathState,
}
