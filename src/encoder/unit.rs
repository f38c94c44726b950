//! The result of encoding a picture.

use bytes::Bytes;

use crate::Time;
use crate::bitstream;
use crate::picture::Size;
use crate::structure::{FramePlan, PicturePlan};

/// One layer frame of a temporal unit.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LayerFrame {
    /// Its OBUs: in a key frame the sequence header OBU, then a frame OBU. There is no temporal delimiter.
    pub data: Bytes,
    /// Its place in the structure.
    pub plan: FramePlan,
    /// Its size in luma samples.
    pub size: Size,
    /// Its `base_q_idx`.
    pub quantizer: u8,
}

/// One picture, encoded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TemporalUnit {
    /// When the picture was captured, as the caller said.
    pub captured: Time,
    /// What the planner decided for the picture, as a `Describer` takes it.
    pub plan: PicturePlan,
    /// The layer frames, lowest spatial layer first; none if nothing was wanted.
    pub frames: Vec<LayerFrame>,
}

impl TemporalUnit {
    /// The temporal unit as a decoder takes it: a temporal delimiter, then every frame. Empty if there
    /// are no frames.
    pub fn to_bytes(&self) -> Bytes {
        if self.frames.is_empty() {
            return Bytes::new();
        }
        let mut out = Vec::with_capacity(2 + self.frames.iter().map(|f| f.data.len()).sum::<usize>());
        bitstream::write_temporal_delimiter(&mut out);
        for frame in &self.frames {
            out.extend_from_slice(&frame.data);
        }
        out.into()
    }
}
