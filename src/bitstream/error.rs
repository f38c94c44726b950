//! Why a stream, a header or a file cannot be read or written.

/// Why bits are not a stream, or a header cannot be written as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitstreamError {
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
    /// A frame before any sequence header.
    #[error("a frame before any sequence header")]
    MissingSequenceHeader,
    /// A temporal unit that ends within a frame.
    #[error("a frame lacks tiles")]
    MissingTiles,
    /// An OBU where none of its type belongs (section 7.5).
    #[error("an OBU of type {obu_type} does not belong here")]
    Order {
        /// obu_type.
        obu_type: u8,
    },
    /// Frame headers carry times for each operating point that has a decoder model, so the list of
    /// operating points cannot change below them.
    #[error("the operating points have decoder models and cannot be rewritten")]
    DecoderModel,
}

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file itself; an early end is [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// No IVF file of AV1.
    #[error("not an IVF file of AV1")]
    NotIvf,
    /// A frame or temporal unit of more than 256 MiB.
    #[error("a frame of {size} bytes")]
    TooLarge {
        /// In bytes.
        size: usize,
    },
    /// The stream within.
    #[error(transparent)]
    Stream(#[from] BitstreamError),
}
