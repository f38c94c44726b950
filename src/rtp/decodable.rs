//! Temporal units that can be decoded.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::descriptor::DependencyStructure;
use super::list::List;
use crate::bitstream;
use crate::structure::{DecodeTarget, LayerId};

/// Frames of one picture at most: one of each spatial layer.
pub(super) const MAX_SPATIAL_LAYERS: usize = 4;

/// A frame of a temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodableFrame {
    /// As the descriptor has it.
    pub frame_number: u16,
    /// Its layer.
    pub layer: LayerId,
    /// Its OBUs.
    pub payload: Bytes,
}

/// The frames of one picture that can be decoded now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodableUnit {
    /// RTP timestamp.
    pub timestamp: u32,
    /// The decode target that it is for: below the wanted one while that is inactive or its chain broken.
    pub target: DecodeTarget,
    /// The structure that their descriptors go by, with the sizes of the layers.
    pub structure: Arc<DependencyStructure>,
    /// One at least, lowest spatial layer first. Every frame that they refer to is among them or was handed on.
    pub frames: List<DecodableFrame, MAX_SPATIAL_LAYERS>,
}

impl DecodableUnit {
    /// The temporal unit as a decoder takes it: a temporal delimiter, then every frame.
    pub fn to_bytes(&self) -> Bytes {
        let mut delimiter = Vec::with_capacity(2);
        bitstream::write_temporal_delimiter(&mut delimiter);
        let length: usize = self.frames.iter().map(|frame| frame.payload.len()).sum();
        let mut bytes = BytesMut::with_capacity(delimiter.len() + length);
        bytes.put_slice(&delimiter);
        self.frames.iter().for_each(|frame| bytes.put_slice(&frame.payload));
        bytes.freeze()
    }
}
