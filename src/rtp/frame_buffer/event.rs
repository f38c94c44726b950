//! The answers and events of a frame buffer.

use crate::rtp::decodable::DecodableUnit;
use crate::structure::Refresh;

/// Why a frame is not handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DropReason {
    /// Frames after it were handed on or given up already.
    #[error("it came too late")]
    Late,
    /// It is farther ahead than its sender can be by now: somebody else with the key sealed it, or the sender counts
    /// anew.
    #[error("it is too far ahead")]
    TooFar,
    /// It is held already.
    #[error("it came twice")]
    Duplicate,
    /// The buffer holds all it may.
    #[error("the buffer is full")]
    Full,
    /// The decode target does not need it.
    #[error("the decode target does not need it")]
    NotNeeded,
    /// A frame that it refers to was never handed on; the chain of the decode target is whole.
    #[error("a frame that it refers to is missing")]
    MissingReference,
    /// The chain of its decode target is broken.
    #[error("the chain of the decode target is broken")]
    ChainBroken,
    /// A key frame came while it waited for what it needs.
    #[error("a later key frame takes its place")]
    Superseded,
}

/// An event of a frame buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameBufferEvent {
    /// A temporal unit to be decoded.
    Unit(DecodableUnit),
    /// A frame will not be handed on.
    Dropped {
        /// As the descriptor has it.
        frame_number: u16,
        /// Why.
        reason: DropReason,
    },
    /// Something to ask the sender for.
    Refresh(Refresh),
}
