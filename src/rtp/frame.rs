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

/// A whole frame, opened.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "plain data that callers with another cipher build")]
pub struct OpenedFrame {
    /// As the descriptor has it.
    pub frame_number: u16,
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
