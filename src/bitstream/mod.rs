//! AV1 streams: OBUs, headers and the files they come in, read and written (AV1 specification, sections
//! 5 and 6).
//!
//! - [`obus`] walks through the OBUs of a temporal unit; `write_*_obu` append them.
//! - [`SequenceHeader`] and [`FrameHeader`] are the headers in full. Frame headers are read and written
//!   against the [`RefSlots`], which each frame updates.

mod bits;
mod frame;
mod obu;
mod sequence;
mod slots;

pub use bits::{BitReader, BitWriter, leb128, write_leb128};
pub use frame::*;
pub use obu::*;
pub use sequence::*;
pub use slots::{RefSlot, RefSlots};

/// Why bits are not a stream, or a header cannot be written as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The data end within a syntax element, or before the size they announce.
    #[error("the data end too early")]
    End,
    /// leb128() of more than 32 bits.
    #[error("a leb128() number of more than 32 bits")]
    Leb128,
    /// Trailing or alignment bits are not what they must be (sections 5.3.4 and 5.3.5).
    #[error("wrong trailing bits")]
    TrailingBits,
    /// A value that the standard does not allow, or that its code cannot say.
    #[error("{field} has a value that is not allowed")]
    Value {
        /// The syntax element.
        field: &'static str,
    },
    /// A header to be written has a value that the standard fixes otherwise here.
    #[error("{field} is not coded here and would be read back as another value")]
    Inferred {
        /// The syntax element.
        field: &'static str,
    },
    /// A reference to a slot that holds no frame.
    #[error("reference slot {slot} holds no frame")]
    MissingReference {
        /// Index of the slot.
        slot: u8,
    },
    /// show_existing_frame of a frame with showable_frame equal to 0.
    #[error("the frame of reference slot {slot} may not be shown")]
    NotShowable {
        /// Index of the slot.
        slot: u8,
    },
    /// A reference more than 2 times larger or 16 times smaller than the frame (section 6.8.6).
    #[error("the frame of reference slot {slot} is too large or too small for this frame")]
    ReferenceSize {
        /// Index of the slot.
        slot: u8,
    },
    /// A reference of another sample format (section 6.8.2).
    #[error("the frame of reference slot {slot} has another sample format")]
    ReferenceFormat {
        /// Index of the slot.
        slot: u8,
    },
}
