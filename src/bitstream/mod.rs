//! Reading and writing of AV1 streams: OBUs, headers, IVF and Section 5 files (AV1 specification, sections 5
//! and 6).
//!
//! - [`obus`] walks through the OBUs of a temporal unit; `write_*_obu` append OBUs to one.
//! - [`SequenceHeader`] and [`FrameHeader`] are the complete headers. Frame headers are read and written
//!   against the [`RefSlots`], which each frame updates.
//! - [`HeaderReader`] finds the frames of a stream and reads their headers and sizes.
//! - [`Extractor`] drops the layers above a chosen one.
//! - [`IvfReader`], [`IvfWriter`] and [`section5`] read and write files.
//!
//! This module does not look into tiles and knows no coder. Sections without a document are those of the AV1
//! specification.

mod bits;
mod error;
mod extract;
mod frame;
mod ivf;
mod obu;
pub mod section5;
mod sequence;
mod slots;
mod syntax;
#[cfg(test)]
mod tests;
mod tiles;
mod walk;

pub use bits::{BitReader, BitWriter, leb128, write_leb128};
pub use error::{BitstreamError, FileError};
pub use extract::{Extractor, operating_points_below};
pub use frame::{
    CdefStrength, FilmGrainParams, FrameHeader, FrameType, GM_IDENTITY, InterpolationFilter,
    LoopFilterDeltaUpdate, LoopFilterDeltas, MAX_SEGMENTS, NUM_REF_FRAMES, PRIMARY_REF_NONE,
    QuantizationParams, REFS_PER_FRAME, RestorationType, SEG_LVL_MAX, SUPERRES_NUM, SegmentationFeatures,
    SegmentationParams, TileInfo, TxMode, WarpType,
};
pub use ivf::{IvfFrame, IvfHeader, IvfReader, IvfTemporalUnits, IvfWriter};
pub use obu::{
    Obu, ObuHeader, ObuType, Obus, obus, write_frame_header_obu, write_frame_obu, write_obu,
    write_sequence_obu, write_temporal_delimiter,
};
pub use sequence::{
    ColorConfig, ColorDescription, DecoderModelInfo, FrameIdNumbers, OperatingParameters, OperatingPoint,
    SELECT_INTEGER_MV, SELECT_SCREEN_CONTENT_TOOLS, SequenceHeader, TimingInfo,
};
pub use slots::{RefSlot, RefSlots};
pub use tiles::{TileLayout, tile_group, tile_size_bytes};
pub use walk::{FrameInfo, Frames, HeaderReader};
