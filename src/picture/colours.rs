//! What the samples of a picture mean.

/// What the samples of a picture mean, by the numbers of ITU-T H.273 and AV1 (`color_config`, sections 5.5.2 and 6.4.2 of
/// its specification). The default says nothing of it, so that whoever shows the picture has to guess.
///
/// The encoder writes it into the sequence header, and the decoder reads it there. Neither changes a sample for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // Users build it by a literal: the standards have no more to tell.
pub struct Colours {
    /// color_primaries: the colours that red, green and blue stand for.
    pub primaries: u8,
    /// transfer_characteristics: the curve from light to values.
    pub transfer: u8,
    /// matrix_coefficients: how luma and chroma follow from red, green and blue. 0 would be red, green and blue
    /// themselves, which a 4:2:0 picture cannot have.
    pub matrix: u8,
    /// Samples go from 0 to 255. Otherwise luma goes from 16 to 235 and chroma from 16 to 240.
    pub full_range: bool,
}

impl Colours {
    /// Nothing is said of primaries, transfer and matrix. The range is limited.
    pub const UNSPECIFIED: Self = Self::new(2, 2, 2, false);
    /// BT.601 of 625 lines (PAL), in limited range.
    pub const BT601_625: Self = Self::new(5, 6, 5, false);
    /// BT.601 of 525 lines (NTSC), in limited range.
    pub const BT601_525: Self = Self::new(6, 6, 6, false);
    /// BT.709, of high definition, in limited range.
    pub const BT709: Self = Self::new(1, 1, 1, false);
    /// The colours of sRGB by the matrix of BT.601 in full range: JPEG, and so the cameras that send Motion JPEG.
    pub const JPEG: Self = Self::new(1, 13, 5, true);
    /// The colours of sRGB, as of a shared screen, by the matrix of BT.709 in full range.
    pub const SRGB: Self = Self::new(1, 13, 1, true);

    const fn new(primaries: u8, transfer: u8, matrix: u8, full_range: bool) -> Self {
        Self { primaries, transfer, matrix, full_range }
    }
}

impl Default for Colours {
    fn default() -> Self {
        Self::UNSPECIFIED
    }
}
