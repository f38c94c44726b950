//! The answers and events of a reassembler.

use crate::rtp::descriptor::DescriptorError;
use crate::rtp::frame::ReceivedFrame;
use crate::rtp::packet::PacketError;

/// The kind of a packet that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// One in its turn, or overtaken by others.
    New,
    /// One that had been asked for again.
    Recovered,
}

/// Why a packet was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It is no RTP packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// It has no Dependency Descriptor, or one that is cut short.
    #[error("no Dependency Descriptor")]
    NoDescriptor,
    /// It came before.
    #[error("it came before")]
    Duplicate,
    /// It was given up, or its frame was.
    #[error("it came too late")]
    Late,
    /// Its sequence number is far from all others. If the next packet has the next number, that one is believed: the
    /// packets between are missing, or if they are more than 3000, the stream starts anew.
    #[error("sequence number {0} is far from the others")]
    OutOfRange(u16),
    /// It has more than [`MAX_PACKET`](super::MAX_PACKET) bytes, or alone more than may be held.
    #[error("a packet of {0} bytes is too large")]
    TooLarge(usize),
}

/// Why a frame is not going to be whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Abandoned {
    /// A packet of it was given up.
    #[error("a packet of it is lost")]
    Lost,
    /// Its packets do not fit together.
    #[error("its packets do not fit together")]
    Mixed,
    /// Its payload is not of the payload format.
    #[error("its payload is malformed")]
    Payload,
    /// Its descriptor cannot be read.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The structure that its template belongs to did not come in time.
    #[error("its structure did not come")]
    NoStructure,
}

/// An event of a reassembler.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "it is moved once, and a box would be an allocation a frame")]
#[non_exhaustive]
pub enum ReassemblerEvent {
    /// A whole frame.
    Frame(ReceivedFrame),
    /// A frame is not going to be whole.
    Abandoned {
        /// As the descriptor has it.
        frame_number: u16,
        /// Why.
        reason: Abandoned,
    },
    /// The stream starts anew: its sequence numbers have no relation to those before.
    ///
    /// Frame numbers may go on. A frame buffer for frames in the clear should be
    /// [reset](crate::rtp::FrameBuffer::reset), as it cannot know; one for sealed frames must not be: it goes by the
    /// order that is sealed with them, and a relay can bring this event about whenever it likes.
    Restarted,
}

/// The counts of a reassembler since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReassemblerStatistics {
    /// Packets taken.
    pub packets: u64,
    /// Of these, the packets that had been asked for again.
    pub recovered: u64,
    /// Packets that came before.
    pub duplicates: u64,
    /// Packets that came too late.
    pub late: u64,
    /// Packets that were missing when a later one came.
    pub missing: u64,
    /// Packets given up.
    pub lost: u64,
    /// Requests for packets.
    pub nacks: u64,
    /// Whole frames.
    pub frames: u64,
    /// Frames abandoned.
    pub abandoned: u64,
}
