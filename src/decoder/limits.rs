//! What a temporal unit may make the decoder do, found out from its headers before the library sees a byte.

use super::error::DecodeError;
use crate::bitstream::{ColorDescription, HeaderReader};
use crate::picture::{Colours, Size};

/// Spatial layers that a stream can have (`spatial_id` is two bits wide).
pub(super) const MAX_SPATIAL_LAYERS: usize = 4;

/// The most frames of a temporal unit that are decoded, hidden ones and those of all layers included. SVC streams
/// have one a spatial layer, and the pyramids of offline encoders up to six.
pub const MAX_FRAMES: usize = 8;

/// The most tiles of a frame, whose number is taken as the next power of two of columns and rows. It is the most that
/// any level permits (AV1 specification, A.3). The libraries keep some 30 kB for each.
pub const MAX_TILES: usize = 128;

/// Reads the headers of a stream, and refuses the temporal units that ask for too much.
#[derive(Debug)]
pub(super) struct Limits {
    max_size: Size,
    max_samples: u32,
    /// The largest frame of each spatial layer, if it is known. A layer without one does not exist.
    layers: Option<[Option<Size>; MAX_SPATIAL_LAYERS]>,
    headers: HeaderReader,
}

impl Limits {
    pub fn new(max_size: Size, max_samples: u32) -> Self {
        Self { max_size, max_samples, layers: None, headers: HeaderReader::new() }
    }

    /// Bounds the frames of each spatial layer, the lowest first; no sizes lift the bounds.
    pub fn set_layer_sizes(&mut self, sizes: &[Size]) {
        let bounds = || std::array::from_fn(|spatial_id| sizes.get(spatial_id).copied());
        self.layers = (!sizes.is_empty()).then(bounds);
    }

    /// Forgets the references.
    pub fn reset(&mut self) {
        self.headers = HeaderReader::new();
    }

    /// What the samples of the stream mean.
    pub fn colours(&self) -> Colours {
        let Some(sequence) = self.headers.sequence() else { return Colours::UNSPECIFIED };
        let config = &sequence.color_config;
        let description = config.color_description.unwrap_or(ColorDescription::UNSPECIFIED);
        Colours {
            primaries: description.color_primaries,
            transfer: description.transfer_characteristics,
            matrix: description.matrix_coefficients,
            full_range: config.color_range,
        }
    }

    /// Goes through all frames of a temporal unit, and says for each spatial layer where the frame that it shows ends.
    pub fn check(
        &mut self,
        temporal_unit: &[u8],
    ) -> Result<[Option<usize>; MAX_SPATIAL_LAYERS], DecodeError> {
        let mut frames = 0;
        let mut shown = [None; MAX_SPATIAL_LAYERS];
        for frame in self.headers.temporal_unit(temporal_unit) {
            let frame = frame?;
            frames += 1;
            if frames > MAX_FRAMES {
                return Err(DecodeError::TooManyFrames);
            }
            let header = &frame.header;
            let spatial_id = frame.layer().spatial_id;
            let layer = usize::from(spatial_id);
            let is_shown = header.show_frame || header.show_existing_frame;
            if is_shown && shown[layer].replace(frame.range.end).is_some() {
                return Err(DecodeError::ShownTwice { spatial_id });
            }
            let size = Size::new(header.upscaled_width, header.frame_height);
            let within = |max: Size| size.width <= max.width && size.height <= max.height;
            let of_layer = self.layers.as_ref().is_none_or(|layers| layers[layer].is_some_and(within));
            if !within(self.max_size) || size.samples() > self.max_samples.into() || !of_layer {
                return Err(DecodeError::FrameSize { size, spatial_id });
            }
            let tiles = 1 << (header.tile_info.tile_cols_log2 + header.tile_info.tile_rows_log2);
            if tiles > MAX_TILES {
                return Err(DecodeError::TooManyTiles(tiles));
            }
        }
        Ok(shown)
    }
}
