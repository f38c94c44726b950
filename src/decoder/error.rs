//! The errors of the decoder.

use crate::bitstream::BitstreamError;
use crate::picture::PictureError;

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
    /// The temporal unit is larger than [`MAX_TEMPORAL_UNIT`](super::MAX_TEMPORAL_UNIT).
    #[error("a temporal unit of {0} bytes is too large")]
    UnitSize(usize),
    /// The OBUs do not form a temporal unit.
    #[error("malformed temporal unit: {0}")]
    Malformed(&'static str),
    /// An OBU is damaged.
    #[error(transparent)]
    Obu(#[from] BitstreamError),
    /// References are missing, and the temporal unit has no sequence header with a key frame.
    #[error("decoding resumes at the next key frame")]
    NeedKeyFrame,
    /// The decoder library refuses the temporal unit: it is damaged, its frame is too large, or it refers to
    /// frames that are not there.
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
