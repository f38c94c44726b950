//! Decoding of one temporal unit at a time, by rav1d or by libdav1d.
//!
//! The default decoder is rav1d, dav1d rewritten in Rust, which needs nothing of the system. With the feature
//! `dav1d` it is the system's libdav1d, 1.3 or newer (the API that the crate `dav1d` 0.11 binds): Debian 13
//! and Ubuntu 24.04 have it, Debian 12 is too old with its 1.0. Both take the same settings and give the same
//! samples.
//!
//! Every call returns the pictures of the data that it was given. Several threads share the tiles and rows of
//! one frame; frames are not decoded in parallel with each other. This module asks the library for the
//! pictures of all spatial layers and chooses among them itself, so the library never holds a picture back to
//! wait for a higher layer that a relay has dropped.
//!
//! # Loss
//! After an error the decoder has forgotten all references, and returns [`DecodeError::NeedKeyFrame`] until a
//! temporal unit brings a sequence header and a key frame. It cannot detect every loss: if a reference never
//! came, it predicts the frame from the older picture in the same slot. A caller that learns of the loss,
//! from the transport or from a Dependency Descriptor, calls [`Decoder::reset`].
//!
//! # Limits
//! A sender may be hostile, and a few bytes of AV1 code pictures that take seconds to decode. Before the library
//! sees a byte of a temporal unit, the decoder therefore reads all its headers, and refuses the unit if
//!
//! - it is larger than [`DecoderConfig::max_unit_size`], 1 MiB by default;
//! - it shows more than one frame of a spatial layer, or has more than [`MAX_FRAMES`] frames in all, hidden frames
//!   included;
//! - a frame is larger than [`DecoderConfig::max_size`], [`DecoderConfig::frame_size_limit`], or the size of its
//!   layer that [`Decoder::set_layer_sizes`] was given, or has more than [`MAX_TILES`] tiles.
//!
//! One call then decodes at most [`MAX_FRAMES`] frames of the largest size. In a call it is one for each spatial
//! layer, and the layers' sizes are best taken from what was authenticated: the resolutions of the Dependency
//! Descriptor's structure that came with the frame. Both libraries are given the limit on the samples as well.
//!
//! Only OBUs that affect the samples reach the library; metadata and unknown types do not. The library has
//! the entry points of C, so a panic inside rav1d would end the process and cannot become an error here.
//! Damaged streams have not caused one.

mod error;
mod limits;
mod unit;

pub use error::DecodeError;
pub use limits::{MAX_FRAMES, MAX_TILES};

use crate::picture::{Colours, Picture, PictureView, Size};
use bytes::Bytes;
use limits::{Limits, MAX_SPATIAL_LAYERS};
use unit::Part;
// Never both: rav1d exports the symbols of libdav1d too, and is linked only if it is named.
#[cfg(feature = "dav1d")]
use dav1d as backend;
#[cfg(not(feature = "dav1d"))]
use rav1d::dav1d as backend;

/// The largest temporal unit that a decoder can be set to accept, in bytes.
pub const MAX_TEMPORAL_UNIT: usize = 64 << 20;

/// The largest frame size limit that can be set, in luma samples: the decoders count bytes in 32 bits.
const MAX_FRAME_SIZE_LIMIT: u32 = 1 << 30;

/// The pictures of a temporal unit that the decoder returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// The picture of the highest spatial layer that has arrived, of the layers in operating point 0.
    #[default]
    HighestLayer,
    /// The picture of the highest spatial layer that has arrived, of the layers in this operating point: an
    /// index (0 to 31) into the list of the sequence header (AV1 specification, section 5.5.1). OBUs of other
    /// layers are not decoded. If the stream lists fewer points, point 0 counts.
    OperatingPoint(u8),
    /// One picture for each spatial layer that has arrived, from the lowest up.
    AllLayers,
}

/// Settings of a [`Decoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "written as a literal, with `..Default::default()`")]
pub struct DecoderConfig {
    /// The pictures that the decoder returns.
    pub output: Output,
    /// Threads, 1 to 256. With 1, the default, the caller's thread does all the work.
    pub threads: usize,
    /// The largest frame that is decoded, in luma samples, 1 to 2^30. The default is that of
    /// level 5: 8912896 (4096x2176).
    pub frame_size_limit: u32,
    /// The largest width and the largest height of a frame that is decoded, at least 1 each. The default is that of
    /// level 5: 8192x4352.
    pub max_size: Size,
    /// The largest temporal unit that is decoded, in bytes, 1 to [`MAX_TEMPORAL_UNIT`]. The default is 1 MiB, which
    /// at 30 pictures a second is 250 Mbit/s. Files may need more.
    pub max_unit_size: usize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            output: Output::default(),
            threads: 1,
            frame_size_limit: 8_912_896,
            max_size: Size::new(8192, 4352),
            max_unit_size: 1 << 20,
        }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodedPicture {
    /// The samples. Their size may differ from layer to layer.
    pub picture: Picture,
    /// The `spatial_id` of the layer, 0 if the stream has no layers.
    pub spatial_id: u8,
    /// The timestamp that [`Decoder::decode`] was given with the temporal unit.
    pub timestamp: i64,
    /// What the samples mean, as the sequence header says.
    pub colours: Colours,
}

/// A decoder for one stream.
pub struct Decoder {
    inner: backend::Decoder,
    output: Output,
    max_unit_size: usize,
    limits: Limits,
    need_key_frame: bool,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("output", &self.output)
            .field("need_key_frame", &self.need_key_frame)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder that waits for its first key frame.
    ///
    /// # Errors
    /// [`DecodeError::Config`] if a setting is out of range, [`DecodeError::Start`] if the decoder library
    /// cannot start.
    pub fn new(config: DecoderConfig) -> Result<Self, DecodeError> {
        let DecoderConfig { output, threads, frame_size_limit, max_size, max_unit_size } = config;
        let Some(threads) = u32::try_from(threads).ok().filter(|t| (1..=256).contains(t)) else {
            return Err(DecodeError::Config("`threads` is not in 1..=256"));
        };
        if !(1..=MAX_FRAME_SIZE_LIMIT).contains(&frame_size_limit) {
            return Err(DecodeError::Config("`frame_size_limit` is not in 1..=2^30"));
        }
        if max_size.width == 0 || max_size.height == 0 {
            return Err(DecodeError::Config("`max_size` is empty"));
        }
        if !(1..=MAX_TEMPORAL_UNIT).contains(&max_unit_size) {
            return Err(DecodeError::Config("`max_unit_size` is not in 1..=MAX_TEMPORAL_UNIT"));
        }
        let operating_point = match output {
            Output::OperatingPoint(point @ 0..=31) => point.into(),
            Output::OperatingPoint(_) => return Err(DecodeError::Config("operating point is not in 0..=31")),
            Output::HighestLayer | Output::AllLayers => 0,
        };
        let mut settings = backend::Settings::new();
        settings.set_n_threads(threads);
        settings.set_max_frame_delay(1);
        settings.set_operating_point(operating_point);
        settings.set_all_layers(true);
        settings.set_frame_size_limit(frame_size_limit);
        let inner = backend::Decoder::with_settings(&settings)
            .map_err(|error| DecodeError::Start(error.to_string()))?;
        let limits = Limits::new(max_size, frame_size_limit);
        Ok(Self { inner, output, max_unit_size, limits, need_key_frame: true })
    }

    /// Takes the size of each spatial layer, the lowest first. From now on a frame that is larger than its layer, or
    /// of a layer beyond these, is an error. No sizes lift the limit, and so it is in the beginning.
    ///
    /// A receiver takes the sizes from the structure that the sender sealed with its frames, so that nobody makes it
    /// decode larger pictures than the sender says it sends.
    pub fn set_layer_sizes(&mut self, sizes: &[Size]) {
        self.limits.set_layer_sizes(sizes);
    }

    /// Decodes one temporal unit in the low-overhead bitstream format (AV1 specification, section 5.2), with
    /// or without a temporal delimiter, and returns its pictures. Each carries `timestamp`, whose unit the
    /// caller chooses.
    ///
    /// There are no pictures if the unit shows no frame, or none of the operating point.
    ///
    /// # Errors
    /// Any but [`DecodeError::Config`] and [`DecodeError::Start`]. The decoder then waits for a temporal unit
    /// with a sequence header and a key frame.
    pub fn decode(
        &mut self,
        temporal_unit: &[u8],
        timestamp: i64,
    ) -> Result<Vec<DecodedPicture>, DecodeError> {
        let pictures = self.decode_unit(temporal_unit, timestamp);
        if pictures.is_err() {
            self.reset();
        }
        pictures
    }

    /// Forgets all references, as after an error. Decoding resumes at the next key frame.
    pub fn reset(&mut self) {
        self.inner.flush();
        self.limits.reset();
        self.need_key_frame = true;
    }

    /// Whether the next temporal unit must bring a sequence header and a key frame.
    pub fn needs_key_frame(&self) -> bool {
        self.need_key_frame
    }

    fn decode_unit(
        &mut self,
        temporal_unit: &[u8],
        timestamp: i64,
    ) -> Result<Vec<DecodedPicture>, DecodeError> {
        if temporal_unit.len() > self.max_unit_size {
            return Err(DecodeError::UnitSize(temporal_unit.len()));
        }
        let unit = unit::split(temporal_unit)?;
        if self.need_key_frame && !unit.starts_sequence {
            return Err(DecodeError::NeedKeyFrame);
        }
        let shown = self.limits.check(temporal_unit)?;
        self.need_key_frame = false;
        let data = Bytes::copy_from_slice(temporal_unit);
        let mut layers: [Option<backend::Picture>; MAX_SPATIAL_LAYERS] = Default::default();
        let refused = |error: backend::Error| DecodeError::Refused(error.to_string());
        for Part { spatial_id, range } in unit.parts {
            let layer = usize::from(spatial_id);
            let mut rest = range.start;
            if let Some(end) = shown[layer].filter(|end| range.start < *end && *end <= range.end) {
                layers[layer] = self.decode_part(data.slice(rest..end), true).map_err(refused)?;
                rest = end;
            }
            if rest < range.end {
                self.decode_part(data.slice(rest..range.end), false).map_err(refused)?;
            }
        }
        let shown = (0..).zip(layers).filter_map(|(spatial_id, picture)| Some((spatial_id, picture?)));
        let colours = self.limits.colours();
        let copy = |(spatial_id, picture)| {
            Ok(DecodedPicture { picture: copy_out(&picture)?, spatial_id, timestamp, colours })
        };
        match self.output {
            Output::AllLayers => shown.map(copy).collect(),
            Output::HighestLayer | Output::OperatingPoint(_) => shown.last().map(copy).into_iter().collect(),
        }
    }

    /// Decodes OBUs of one spatial layer, of which no frame is shown but the last, if `is_shown`.
    ///
    /// The library takes no more data before its picture was taken. rav1d loses some bytes for good with each picture
    /// that is asked for and not there, so that none is asked for but after a frame that is shown.
    fn decode_part(
        &mut self,
        part: Bytes,
        is_shown: bool,
    ) -> Result<Option<backend::Picture>, backend::Error> {
        self.inner.send_data(part, None, None, None)?;
        if !is_shown {
            return Ok(None);
        }
        match self.inner.get_picture() {
            Err(error) if error.is_again() => Ok(None),
            picture => picture.map(Some),
        }
    }
}

fn copy_out(picture: &backend::Picture) -> Result<Picture, DecodeError> {
    use backend::PixelLayout::{I400, I420, I422, I444};
    let bits = picture.bit_depth();
    let layout = match picture.pixel_layout() {
        I400 => "4:0:0",
        I420 => "4:2:0",
        I422 => "4:2:2",
        I444 => "4:4:4",
    };
    if (bits, layout) != (8, "4:2:0") {
        return Err(DecodeError::Format { bits, layout });
    }
    let components = [0, 1, 2].map(backend::PlanarImageComponent::from);
    let planes = components.map(|component| picture.plane(component));
    let strides = components.map(|component| picture.stride(component) as usize);
    let [y, u, v] = &planes;
    let size = Size::new(picture.width(), picture.height());
    Ok(PictureView::new(size, [y, u, v], strides)?.to_picture())
}

#[cfg(all(test, feature = "encoder"))]
mod tests;
