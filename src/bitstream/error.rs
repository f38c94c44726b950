//! The errors of this module.

/// Data that are no AV1 stream, or a header that cannot be written as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitstreamError {
    /// The data end within a syntax element, or before the size they announce.
    #[error("the data end too early")]
    End,
    /// A leb128() number of more than 32 bits.
    #[error("a leb128() number of more than 32 bits")]
    Leb128,
    /// Trailing or alignment bits are not what they must be (sections 5.3.4 and 5.3.5).
    #[error("wrong trailing bits")]
    TrailingBits,
    /// A value that the standard does not allow, or for which its syntax has no code.
    #[error("{field} has a value that is not allowed")]
    Value {
        /// The syntax element.
        field: &'static str,
    },
    /// A header to be written has a value where the syntax codes none, and the standard infers another one.
    #[error("{field} is not coded here and would be read back as another value")]
    Inferred {
        /// The syntax element.
        field: &'static str,
    },
    /// The header refers to a slot that holds no frame.
    #[error("reference slot {slot} holds no frame")]
    MissingReference {
        /// Index of the slot.
        slot: u8,
    },
    /// The header shows an existing frame that has showable_frame equal to 0.
    #[error("the frame of reference slot {slot} may not be shown")]
    NotShowable {
        /// Index of the slot.
        slot: u8,
    },
    /// A reference is more than 2 times larger or 16 times smaller than the frame (section 6.8.6).
    #[error("the frame of reference slot {slot} is too large or too small for this frame")]
    ReferenceSize {
        /// Index of the slot.
        slot: u8,
    },
    /// A reference has another sample format (section 6.8.2).
    #[error("the frame of reference slot {slot} has another sample format")]
    ReferenceFormat {
        /// Index of the slot.
        slot: u8,
    },
    /// A frame comes before any sequence header.
    #[error("a frame before any sequence header")]
    MissingSequenceHeader,
    /// The temporal unit ends within a frame.
    #[error("a frame lacks tiles")]
    MissingTiles,
    /// An OBU stands in a place where its type is not allowed (section 7.5).
    #[error("an OBU of type {obu_type} does not belong here")]
    Order {
        /// obu_type.
        obu_type: u8,
    },
    /// The list of operating points cannot be changed, because frame headers carry a time for each operating
    /// point that has a decoder model.
    #[error("the operating points have decoder models and cannot be rewritten")]
    DecoderModel,
}

/// A file that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Reading or writing failed. A file that ends early gives
    /// [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file is no IVF file, or holds another format than AV1.
    #[error("not an IVF file of AV1")]
    NotIvf,
    /// A frame or temporal unit is larger than 256 MiB.
    #[error("a frame of {size} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The file holds a damaged stream.
    #[error(transparent)]
    Stream(#[from] BitstreamError),
}
