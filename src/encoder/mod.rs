//! The layered coder: pictures in, temporal units of an AV1 SVC stream out.
//!
//! A picture goes through these modules in turn:
//!
//! | module | stage |
//! | --- | --- |
//! | `downscale` | the picture at the size of each spatial layer |
//! | `frame` | one layer frame: its tiles, its loop filters, what later frames need of it |
//! | `tile` | superblocks: the partition into blocks |
//! | `block`, `motion`, `interlayer` | what a block is predicted from |
//! | `effort` | how much of that is tried |
//! | `residual`, `quantizer` | what is left to code |
//! | `symbols` | the block as symbols of the range coder |
//! | `deblock` | the deblocking filter |
//! | `header` | sequence and frame headers around it all |
//!
//! `kernels` names all that is taken from rav1e, whose kernels do the arithmetic.

mod block;
mod deblock;
mod downscale;
mod effort;
mod frame;
mod header;
mod interlayer;
mod kernels;
mod motion;
mod quantizer;
mod residual;
mod symbols;
mod tile;

use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;

use crate::bitstream::{self, RefSlots, SequenceHeader};
use crate::picture::{Picture, PictureView, Size, plane_size};
use crate::structure::{
    DecodeTargets, FrameKind, FramePlan, PicturePlan, PictureRequest, Planner, Refresh, ScalabilityMode,
};
use downscale::Downscaler;
use effort::effort;
use frame::{CodedFrame, Job, LayerCoder, Reference};
use quantizer::Quantizer;

/// The smallest width and height of a picture, in luma samples.
pub const MIN_SIZE: u32 = 16;
/// The largest width and height of a picture, in luma samples.
pub const MAX_SIZE: u32 = 16384;

/// Why a coder cannot be made or cannot take a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The size is not one that the coder takes.
    #[error("a picture is {MIN_SIZE} to {MAX_SIZE} samples wide and high, not {0}")]
    Size(Size),
    /// Quantizer index 0 would be lossless coding, which the coder does not know.
    #[error("the quantizer index is 1 to 255")]
    Quantizer,
    /// The tile columns asked for are more than AV1 has.
    #[error("at most 64 tile columns (log2 of 6), not 2^{0}")]
    Tiles(u8),
    /// There is no such speed.
    #[error("speed is 0 to 3, not {0}")]
    Speed(u8),
    /// The picture does not have the size that the coder was made for.
    #[error("the coder takes {expected}, not {given}")]
    PictureSize {
        /// The size that the coder was made for.
        expected: Size,
        /// The size of the picture.
        given: Size,
    },
    /// A header could not be written.
    #[error("header: {0}")]
    Header(#[from] bitstream::BitstreamError),
}

/// What a coder is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvcConfig {
    /// Size of the pictures, and of the highest spatial layer, in luma samples.
    pub size: Size,
    /// Which layers there are, and what refers to what.
    pub mode: ScalabilityMode,
    /// `base_q_idx` (AV1 specification, section 6.8.11) of the lowest temporal layer, 1 (best) to 255.
    pub quantizer: u8,
    /// log2 of the tile columns of the highest spatial layer: 0 codes best, n lets up to 2^n threads
    /// share a frame, of the rayon pool that `encode` is called in. Lower layers get as many as are at least 320 samples wide.
    pub tile_columns_log2: u8,
    /// How hard the coder tries, 0 (fewest bits) to 3 (fastest).
    pub speed: u8,
}

/// The speed that most calls want.
pub const DEFAULT_SPEED: u8 = 2;

impl SvcConfig {
    /// Pictures of this size at a middling quantizer and [`DEFAULT_SPEED`]; four tile columns where they
    /// are at least 320 samples wide each, one in smaller pictures.
    pub fn new(size: Size, mode: ScalabilityMode) -> Self {
        let tile_columns_log2 = if size.width >= 1280 { 2 } else { 0 };
        Self { size, mode, quantizer: 100, tile_columns_log2, speed: DEFAULT_SPEED }
    }
}

/// What one picture is coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// What is to be coded anew, such as by a key picture, at which a receiver can begin. The coder keeps it in mind
    /// until it is done.
    pub refresh: Refresh,
    /// The decode targets that somebody watches; all, if it is `None`. Layers that none of them needs
    /// are neither coded nor referred to.
    pub wanted: Option<DecodeTargets>,
}

/// One layer frame of a temporal unit.
#[derive(Debug, Clone)]
pub struct LayerFrame {
    /// Its OBUs: a frame OBU, in a key frame after the sequence header OBU. No temporal delimiter.
    pub data: Bytes,
    /// Its place in the structure.
    pub plan: FramePlan,
    /// Its size in luma samples.
    pub size: Size,
}

/// All that one picture was coded as.
#[derive(Debug, Clone)]
pub struct TemporalUnit {
    /// The time that came with the picture.
    pub timestamp: i64,
    /// What the planner decided for the picture, as a `Describer` takes it.
    pub plan: PicturePlan,
    /// The layer frames, lowest spatial layer first; none if nothing was wanted.
    pub frames: Vec<LayerFrame>,
}

impl TemporalUnit {
    /// The temporal unit as a decoder takes it: a temporal delimiter, then every frame. Empty where there are
    /// no frames.
    pub fn to_bytes(&self) -> Bytes {
        if self.frames.is_empty() {
            return Bytes::new();
        }
        let mut out = Vec::with_capacity(2 + self.frames.iter().map(|f| f.data.len()).sum::<usize>());
        bitstream::write_temporal_delimiter(&mut out);
        for frame in &self.frames {
            out.extend_from_slice(&frame.data);
        }
        out.into()
    }
}

/// One spatial layer: its scaled picture, its coder, and what it last reconstructed.
struct Layer {
    size: Size,
    coder: LayerCoder,
    /// From the layer above, and where the scaled picture goes; the highest layer codes the caller's picture.
    scaled: Option<(Downscaler, Picture)>,
    last: Option<Arc<Reference>>,
}

/// Codes pictures as layers.
///
/// ```
/// # use layercast::{Size, encoder::*, picture::Picture, structure::ScalabilityMode};
/// let mut encoder = SvcEncoder::new(SvcConfig::new(Size::new(64, 64), ScalabilityMode::L2T1))?;
/// let picture = Picture::new(Size::new(64, 64));
/// let unit = encoder.encode(&picture.view(), 0, EncodeOptions::default())?;
/// assert_eq!(unit.frames.len(), 2);
/// # Ok::<(), layercast::encoder::Error>(())
/// ```
pub struct SvcEncoder {
    config: SvcConfig,
    sequence: SequenceHeader,
    sequence_obu: Bytes,
    planner: Planner,
    layers: Vec<Layer>,
    /// What the eight reference slots hold.
    slots: [Option<Arc<Reference>>; 8],
    /// The same, as frame headers see them.
    header_slots: RefSlots,
}

impl SvcEncoder {
    /// A coder whose first picture will be a key picture.
    ///
    /// # Errors
    /// [`Error`], where the configuration asks for what there is not.
    pub fn new(config: SvcConfig) -> Result<Self, Error> {
        let SvcConfig { size, mode, quantizer, tile_columns_log2, speed } = config;
        if ![size.width, size.height].iter().all(|side| (MIN_SIZE..=MAX_SIZE).contains(side)) {
            return Err(Error::Size(size));
        }
        if quantizer == 0 {
            return Err(Error::Quantizer);
        }
        if tile_columns_log2 > 6 {
            return Err(Error::Tiles(tile_columns_log2));
        }
        let structure = mode.structure();
        let layers = (0..structure.spatial_layers)
            .map(|spatial_id| {
                let layer_size = |spatial_id| structure.layer_size(size, spatial_id);
                let own_size = layer_size(spatial_id);
                let own = plane_size(own_size, 0);
                let above = (spatial_id + 1 < structure.spatial_layers).then(|| layer_size(spatial_id + 1));
                // Tiles narrower than this cost more than they win.
                let mut tiles = tile_columns_log2;
                while tiles > 0 && own.0 >> tiles < 320 {
                    tiles -= 1;
                }
                let effort = effort(speed, own).ok_or(Error::Speed(speed))?;
                Ok(Layer {
                    size: own_size,
                    coder: LayerCoder::new(own, tiles, effort),
                    scaled: above.map(|a| (Downscaler::new(a, own_size), Picture::new(own_size))),
                    last: None,
                })
            })
            .collect::<Result<_, Error>>()?;
        let sequence = header::sequence(&config);
        let mut obu = Vec::new();
        bitstream::write_sequence_obu(&mut obu, &sequence)?;
        Ok(Self {
            sequence,
            sequence_obu: obu.into(),
            planner: Planner::new(mode, size),
            layers,
            slots: Default::default(),
            header_slots: RefSlots::new(),
            config,
        })
    }

    /// What the coder was made for.
    pub fn config(&self) -> &SvcConfig {
        &self.config
    }

    /// The sequence header OBU, as every key frame carries it.
    pub fn sequence_header(&self) -> Bytes {
        self.sequence_obu.clone()
    }

    /// Sets `base_q_idx` for the pictures that follow, 1 (best) to 255.
    ///
    /// # Errors
    /// [`Error::Quantizer`] for 0.
    pub fn set_quantizer(&mut self, quantizer: u8) -> Result<(), Error> {
        if quantizer == 0 {
            return Err(Error::Quantizer);
        }
        self.config.quantizer = quantizer;
        Ok(())
    }

    /// Codes one picture; `timestamp` is handed through.
    ///
    /// The picture becomes a key picture unasked where a layer that is wanted can come back no other way (see
    /// [`Planner`]).
    ///
    /// # Errors
    /// [`Error::PictureSize`], where the picture is not of the configured size. The coder is as before then.
    pub fn encode(
        &mut self,
        picture: &PictureView<'_>,
        timestamp: i64,
        options: EncodeOptions,
    ) -> Result<TemporalUnit, Error> {
        let (expected, given) = (self.config.size, picture.size());
        if given != expected {
            return Err(Error::PictureSize { expected, given });
        }
        let structure = self.planner.structure();
        let wanted = options.wanted.unwrap_or_else(|| DecodeTargets::all(structure));
        let plan = self.planner.next(PictureRequest { refresh: options.refresh, wanted });
        self.set_sources(picture, &plan.frames);
        let coded = self.code(&plan);
        let mut frames = Vec::with_capacity(plan.frames.len());
        for (frame, coded) in plan.frames.iter().zip(coded) {
            let layer = &self.layers[usize::from(frame.layer.spatial_id)];
            let mut data = Vec::new();
            if frame.kind == FrameKind::Key {
                data.extend_from_slice(&self.sequence_obu);
            }
            header::write_frame(
                &mut data,
                &self.sequence,
                &mut self.header_slots,
                frame,
                plan.picture_number,
                &coded,
                layer.coder.tiling(),
            )?;
            frames.push(LayerFrame { data: data.into(), plan: frame.clone(), size: layer.size });
        }
        Ok(TemporalUnit { timestamp, plan, frames })
    }

    /// What a decoder shows of a spatial layer after the last picture: the coder's own reconstruction.
    /// `None` before the layer's first frame.
    pub fn reconstruction(&self, spatial_id: u8) -> Option<Picture> {
        let reference = self.layers.get(usize::from(spatial_id))?.last.as_ref()?;
        Some(frame::to_picture(&reference.frame, reference.size))
    }

    /// The last picture scaled down to spatial layer `spatial_id`, to compare its reconstruction with. `None` for
    /// the highest layer, which codes the caller's picture as it is. A layer that was not coded may lag behind.
    pub fn source(&self, spatial_id: u8) -> Option<&Picture> {
        let (_, scaled) = self.layers.get(usize::from(spatial_id))?.scaled.as_ref()?;
        Some(scaled)
    }

    /// Scales the picture down and hands every layer that is to be coded its samples.
    fn set_sources(&mut self, picture: &PictureView<'_>, frames: &[FramePlan]) {
        let Some(lowest) = frames.iter().map(|f| usize::from(f.layer.spatial_id)).min() else { return };
        let top = self.layers.len() - 1;
        for spatial_id in (lowest..=top).rev() {
            let (below, above) = self.layers.split_at_mut(spatial_id + 1);
            let layer = &mut below[spatial_id];
            let from_above = above.first().map(|a| match &a.scaled {
                Some((_, scaled)) => scaled.view(),
                None => *picture,
            });
            let view = match (&mut layer.scaled, from_above) {
                (Some((scaler, scaled)), Some(from)) => {
                    scaler.scale(&from, scaled);
                    scaled.view()
                }
                _ => *picture,
            };
            if frames.iter().any(|f| usize::from(f.layer.spatial_id) == spatial_id) {
                layer.coder.set_source(&view);
            }
        }
    }

    /// Codes the frames of a picture: one after the other where they are predicted from each other, at once
    /// where they are not.
    fn code(&mut self, picture: &PicturePlan) -> Vec<CodedFrame> {
        let (base, temporal_layers) = (self.config.quantizer, self.planner.structure().temporal_layers);
        let frames = &picture.frames;
        let quantizer = |plan: &FramePlan| {
            Quantizer::of_frame(base, picture.key, plan.layer.temporal_id, temporal_layers)
        };
        let slots = &self.slots;
        if frames.iter().all(|f| f.inter_layer_ref.is_none()) {
            let mut jobs: Vec<(&mut Layer, &FramePlan)> = Vec::with_capacity(frames.len());
            for (spatial_id, layer) in self.layers.iter_mut().enumerate() {
                if let Some(plan) = frames.iter().find(|f| usize::from(f.layer.spatial_id) == spatial_id) {
                    jobs.push((layer, plan));
                }
            }
            let coded: Vec<_> = jobs
                .into_par_iter()
                .map(|(layer, plan)| code_frame(layer, plan, slots, quantizer(plan), picture.picture_number))
                .collect();
            for (plan, coded) in frames.iter().zip(&coded) {
                self.keep(plan, coded);
            }
            return coded;
        }
        let mut all = Vec::with_capacity(frames.len());
        for plan in frames {
            let layer = &mut self.layers[usize::from(plan.layer.spatial_id)];
            let coded = code_frame(layer, plan, &self.slots, quantizer(plan), picture.picture_number);
            self.keep(plan, &coded);
            all.push(coded);
        }
        all
    }

    /// The reference frame update process (section 7.20).
    fn keep(&mut self, plan: &FramePlan, coded: &CodedFrame) {
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if plan.refresh_frame_flags >> slot & 1 != 0 {
                *held = Some(Arc::clone(&coded.reference));
            }
        }
        self.layers[usize::from(plan.layer.spatial_id)].last = Some(Arc::clone(&coded.reference));
    }
}

fn code_frame(
    layer: &mut Layer,
    plan: &FramePlan,
    slots: &[Option<Arc<Reference>>; 8],
    q: Quantizer,
    picture: u64,
) -> CodedFrame {
    let held = |slot: u8| slots[usize::from(slot)].as_deref();
    // A layer holds on to its last frame only while a slot may still need it.
    layer.last = None;
    layer.coder.code(&Job {
        intra: plan.kind != FrameKind::Inter,
        q,
        picture,
        temporal: plan.temporal_ref.and_then(held),
        below: plan.inter_layer_ref.and_then(held),
        primary: plan.primary_ref.and_then(|i| held(plan.ref_slots[i])),
    })
}
