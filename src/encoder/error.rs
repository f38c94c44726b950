//! The error of the encoder.

use super::config::{MAX_SIZE, MAX_SPEED, MIN_SIZE};
use crate::bitstream;
use crate::picture::Size;

/// Why an encoder cannot be made or cannot take a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The encoder does not take pictures of this size.
    #[error("a picture is {MIN_SIZE} to {MAX_SIZE} samples wide and high, not {0}")]
    Size(Size),
    /// Quantizer index 0 would be lossless coding, which the encoder does not support.
    #[error("the quantizer index is 1 to 255")]
    Quantizer,
    /// Bounds of the quantizer that no index lies between, or a bitrate of 0.
    #[error("rate control needs a bitrate above 0 and quantizers from 1 on")]
    Rate,
    /// AV1 has fewer tile columns than the configuration asks for.
    #[error("at most 64 tile columns (log2 of 6), not 2^{0}")]
    Tiles(u8),
    /// There is no such speed.
    #[error("speed is 0 to {MAX_SPEED}, not {0}")]
    Speed(u8),
    /// The system does not start as many threads as the configuration asks for.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// Number of threads that the configuration asks for.
        threads: usize,
        /// The error of the system.
        reason: String,
    },
    /// A header cannot be written, such as one of [`Colours`](crate::picture::Colours) that 4:2:0 pictures cannot have.
    #[error("header: {0}")]
    Header(#[from] bitstream::BitstreamError),
}
