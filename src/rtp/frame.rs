//! Whole frames: as they came, and opened.

use std::sync::Arc;

use bytes::Bytes;

use super::descriptor::{DependencyDescriptor, DependencyStructure, FrameDependencies};

/// A whole frame.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceivedFrame {
    /// The descriptor of its first packet.
    pub descriptor: DependencyDescriptor,
    /// The structure that the descriptor goes by: its own, if it carries one.
    pub structure: Arc<DependencyStructure>,
    /// The meaning of the descriptor.
    pub dependencies: FrameDependencies,
    /// The frame's bytes: an SFrame ciphertext, or OBUs; empty if there are `pieces`.
    pub payload: Bytes,
    /// The ciphertexts in their order, if each packet's payload was encrypted on its own.
    pub pieces: Vec<Bytes>,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Whether its last packet has the marker bit.
    pub marker: bool,
}

/// The place of a frame in its sender's order, as it was sealed with the frame.
///
/// It tells what the 16 bits of a frame number cannot: whether a frame is old, or of a sender that counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "plain data that callers with another cipher build")]
pub struct SealedOrder {
    /// The epoch of its key. A sender that loses count, say since its program starts anew, has keys of a later epoch.
    pub epoch: u64,
    /// How often the frame number came around, and the frame number in the lowest 16 bits: modulo 2^24. Within an
    /// epoch a sender never goes back.
    pub number: u32,
}

/// A whole frame, opened.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "plain data that callers with another cipher build")]
pub struct OpenedFrame {
    /// As the descriptor has it.
    pub frame_number: u16,
    /// The sender's order, if it is sealed with the frame. Without it a frame buffer has nothing but the frame number to
    /// tell new frames from old ones.
    pub order: Option<SealedOrder>,
    /// RTP timestamp: the same for the frames of one picture.
    pub timestamp: u32,
    /// Whether it is the last frame of its picture that was sent: the marker bit.
    pub end_of_picture: bool,
    /// Whether its descriptor carried the structure: a coded video sequence starts here.
    pub starts_sequence: bool,
    /// The active decode targets from this frame on, if they change (A.4).
    pub active_decode_targets: Option<u32>,
    /// The structure that its descriptor goes by.
    pub structure: Arc<DependencyStructure>,
    /// The meaning of the descriptor.
    pub dependencies: FrameDependencies,
    /// Its OBUs.
    pub payload: Bytes,
}

/// Takes a frame that was not sealed, with its descriptor at its word.
impl From<ReceivedFrame> for OpenedFrame {
    fn from(received: ReceivedFrame) -> Self {
        let ReceivedFrame { descriptor, structure, dependencies, payload, timestamp, marker, .. } = received;
        Self {
            frame_number: descriptor.frame_number,
            order: None,
            timestamp,
            end_of_picture: marker,
            starts_sequence: descriptor.structure.is_some(),
            active_decode_targets: descriptor.active_decode_targets,
            structure,
            dependencies,
            payload,
        }
    }
}
