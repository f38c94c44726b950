//! The errors of the decoder.

use crate::bitstream::BitstreamError;
use crate::picture::{PictureError, Size};

/// A decoder that cannot be made, or a temporal unit that it cannot decode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A setting is out of its range.
    #[error("decoder setting {0}")]
    Config(&'static str),
    /// The decoder library could not be started.
    #[error("the decoder does not start: {0}")]
    Start(String),
    /// The temporal unit is larger than [`max_unit_size`](super::DecoderConfig::max_unit_size).
    #[error("a temporal unit of {0} bytes is too large")]
    UnitSize(usize),
    /// The temporal unit has more than [`MAX_FRAMES`](super::MAX_FRAMES) frames.
    #[error("a temporal unit of too many frames")]
    TooManyFrames,
    /// The temporal unit shows more than one frame of a spatial layer.
    #[error("a temporal unit shows several frames of spatial layer {spatial_id}")]
    ShownTwice {
        /// The layer.
        spatial_id: u8,
    },
    /// A frame is larger than the settings or the sizes of the layers allow, or of a layer that has no size.
    #[error("a frame of {}x{} in spatial layer {spatial_id} is too large", size.width, size.height)]
    FrameSize {
        /// Size of the frame in luma samples.
        size: Size,
        /// Its layer.
        spatial_id: u8,
    },
    /// A frame has more than [`MAX_TILES`](super::MAX_TILES) tiles.
    #[error("a frame of {0} tiles")]
    TooManyTiles(usize),
    /// The OBUs do not form a temporal unit.
    #[error("malformed temporal unit: {0}")]
    Malformed(&'static str),
    /// An OBU or a frame header is damaged, or refers to frames that are not there.
    #[error(transparent)]
    Obu(#[from] BitstreamError),
    /// References are missing, and the temporal unit has no sequence header with a key frame.
    #[error("decoding resumes at the next key frame")]
    NeedKeyFrame,
    /// The decoder library refuses the temporal unit: it is damaged.
    #[error("the temporal unit cannot be decoded: {0}")]
    Refused(String),
    /// The picture is not 8-bit 4:2:0.
    #[error("a picture of {bits} bits, {layout}, but only 8-bit 4:2:0 is supported")]
    Format {
        /// Bits of a sample.
        bits: usize,
        /// Chroma format.
        layout: &'static str,
    },
    /// The decoded planes do not form a picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
}
