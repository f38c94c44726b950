//! The encoder of all layers.

use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::config::{Content, EncodeOptions, MAX_SIZE, MIN_SIZE, SvcConfig};
use super::content::Detector;
use super::downscale::Downscaler;
use super::effort::{Speeds, effort};
use super::error::EncodeError;
use super::header;
use super::layer::{CodedFrame, Job, LayerCoder, Reference, detail};
use super::rate::{
    Bitrate, CodedBits, Controller, FrameBudget, LayerBitrates, RateConfig, Source, highest_bitrate,
};
use super::unit::{LayerFrame, TemporalUnit};
use crate::Time;
use crate::bitstream::{RefSlots, SequenceHeader};
use crate::picture::{Colours, Picture, PictureView, Size, plane_size};
use crate::structure::{
    DecodeTarget, DecodeTargets, FrameKind, FramePlan, PicturePlan, PictureRequest, Planner, ScalabilityMode,
};

/// One spatial layer: its scaled picture, its coder, and its last reconstruction.
struct Layer {
    size: Size,
    coder: LayerCoder,
    /// The scaler from the layer above, and the scaled picture; the highest layer codes the caller's picture.
    scaled: Option<(Downscaler, Picture)>,
    last: Option<Arc<Reference>>,
}

impl Layer {
    /// Gives the coder these samples.
    fn set_source(&mut self, picture: &PictureView<'_>) {
        let Self { coder, scaled, .. } = self;
        coder.set_source(&view(scaled, picture));
    }

    /// Has the coder look at these samples.
    fn look(&mut self, picture: &PictureView<'_>) {
        let Self { coder, scaled, .. } = self;
        coder.look(&view(scaled, picture));
    }

    fn code(
        &mut self,
        plan: &FramePlan,
        slots: &Slots,
        mut budget: FrameBudget,
        picture_number: u64,
    ) -> CodedFrame {
        let held = |slot: u8| slots[usize::from(slot)].as_deref();
        // A layer holds on to its last frame only while a slot may still need it.
        self.last = None;
        let mut tried = None;
        loop {
            let mut coded = self.coder.code(&Job {
                intra: plan.kind != FrameKind::Inter,
                q: budget.q,
                refine: budget.refine,
                picture_number,
                temporal: plan.temporal_ref.and_then(held),
                below: plan.inter_layer_ref.and_then(held),
                primary: plan.primary_ref.and_then(|i| held(plan.ref_slots[i])),
                kept: plan.refresh_frame_flags != 0,
            });
            coded.tried = *tried.get_or_insert(coded.tried);
            if !budget.again(coded.bits()) {
                self.coder.keep_motion(&coded);
                return coded;
            }
        }
    }
}

/// A layer's samples of the caller's picture, once they are scaled: `scaled` is that of the layer.
fn view<'a>(scaled: &'a Option<(Downscaler, Picture)>, picture: &PictureView<'a>) -> PictureView<'a> {
    scaled.as_ref().map_or(*picture, |(_, scaled)| scaled.view())
}

/// The contents of the eight reference slots.
type Slots = [Option<Arc<Reference>>; 8];

/// Encodes pictures as the layers of one AV1 stream.
///
/// ```
/// # use layercast::{Size, Time, encoder::*, picture::Picture, structure::ScalabilityMode};
/// let mut encoder = SvcEncoder::new(SvcConfig::new(Size::new(64, 64), ScalabilityMode::L2T1))?;
/// let picture = Picture::new(Size::new(64, 64));
/// let unit = encoder.encode(&picture.view(), Time::ZERO, EncodeOptions::default())?;
/// assert_eq!(unit.frames.len(), 2);
/// # Ok::<(), layercast::encoder::EncodeError>(())
/// ```
pub struct SvcEncoder {
    config: SvcConfig,
    sequence: SequenceHeader,
    sequence_obu: Bytes,
    planner: Planner,
    layers: Vec<Layer>,
    slots: Slots,
    /// The same, as frame headers see them.
    header_slots: RefSlots,
    rate: Controller,
    speeds: Speeds,
    detector: Detector,
    /// The encoder's own threads; without them, it works in the pool of its caller.
    pool: Option<Arc<ThreadPool>>,
}

impl SvcEncoder {
    /// An encoder whose first picture will be a key picture.
    ///
    /// # Errors
    /// [`EncodeError`] if a field of the configuration is out of range, or its threads cannot be started.
    pub fn new(config: SvcConfig) -> Result<Self, EncodeError> {
        let SvcConfig { size, mode, quantizer, threads, .. } = config;
        if quantizer == 0 {
            return Err(EncodeError::Quantizer);
        }
        let rate = Controller::new(&config)?;
        let layers = new_layers(&config)?;
        let pool = match threads {
            0 => None,
            _ => Some(Arc::new(new_pool(threads)?)),
        };
        let (sequence, sequence_obu) = header::sequence(&config)?;
        Ok(Self {
            sequence,
            sequence_obu,
            planner: Planner::new(mode, size),
            layers,
            slots: Default::default(),
            header_slots: RefSlots::new(),
            rate,
            speeds: Speeds::uniform(config.speed),
            detector: Detector::new(),
            pool,
            config,
        })
    }

    /// The configuration, with all that was set since, and the size of the last picture.
    pub fn config(&self) -> &SvcConfig {
        &self.config
    }

    /// The sequence header OBU that every key frame carries. It changes with the size, the mode and the colours.
    pub fn sequence_header(&self) -> Bytes {
        self.sequence_obu.clone()
    }

    /// Sets `base_q_idx` for the pictures that follow, 1 (best) to 255.
    ///
    /// # Errors
    /// [`EncodeError::Quantizer`] for 0.
    pub fn set_quantizer(&mut self, quantizer: u8) -> Result<(), EncodeError> {
        if quantizer == 0 {
            return Err(EncodeError::Quantizer);
        }
        self.config.quantizer = quantizer;
        self.set_rate(None)
    }

    /// Keeps a bitrate from the next picture on; none to go on at the constant quantizer.
    ///
    /// # Errors
    /// [`EncodeError::Rate`] if the bitrate is 0, or the bounds of the quantizer are.
    pub fn set_rate(&mut self, rate: Option<RateConfig>) -> Result<(), EncodeError> {
        let config = SvcConfig { rate, ..self.config.clone() };
        match (&config.rate, &mut self.rate) {
            (Some(rate), Controller::Bitrate(controller)) if rate.is_valid() => {
                controller.set_config(rate.clone());
            }
            (_, controller) => *controller = Controller::new(&config)?,
        }
        self.config = config;
        Ok(())
    }

    /// Changes the bitrate from the next picture on, and begins to keep one if the encoder kept none.
    ///
    /// # Errors
    /// [`EncodeError::Rate`] if the bitrate is 0.
    pub fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), EncodeError> {
        let rate = match &self.config.rate {
            Some(rate) => RateConfig { bitrate, ..rate.clone() },
            None => RateConfig::new(bitrate),
        };
        self.set_rate(Some(rate))
    }

    /// The bitrates that the layers are to keep: as given, or as learned up to the last picture. `None` at a constant
    /// quantizer.
    pub fn bitrates(&self) -> Option<&LayerBitrates> {
        match &self.rate {
            Controller::Fixed(_) => None,
            Controller::Bitrate(controller) => Some(controller.bitrates()),
        }
    }

    /// The bitrate above which pictures of this size gain little, in bit/s: the upper bounds of libwebrtc for all spatial
    /// layers together.
    pub fn highest_bitrate(&self) -> u64 {
        highest_bitrate(self.config.mode.structure(), self.config.size)
    }

    /// How many seconds the buffer of a decode target ([`RateConfig::buffer`]) lasts at its bitrate; negative if its
    /// frames took more than there was. `None` if nothing of it is to be coded, and at a constant quantizer.
    pub fn buffer(&self, target: DecodeTarget) -> Option<f64> {
        match &self.rate {
            Controller::Fixed(_) => None,
            Controller::Bitrate(controller) => controller.buffer(target),
        }
    }

    /// Goes on in another mode with the next picture, which will be a key picture: the layers are others, and receivers
    /// need their sequence header and dependency structure. Does nothing if the mode is the same.
    ///
    /// # Errors
    /// As [`new`](Self::new). They leave the encoder unchanged.
    pub fn set_mode(&mut self, mode: ScalabilityMode) -> Result<(), EncodeError> {
        if mode == self.config.mode {
            return Ok(());
        }
        self.go_on(SvcConfig { mode, ..self.config.clone() })
    }

    /// Says what the samples of the pictures that follow mean. The next one will be a key picture, whose sequence header
    /// tells it. Does nothing if the colours are the same.
    ///
    /// # Errors
    /// As [`new`](Self::new). They leave the encoder unchanged.
    pub fn set_colours(&mut self, colours: Colours) -> Result<(), EncodeError> {
        if colours == self.config.colours {
            return Ok(());
        }
        self.go_on(SvcConfig { colours, ..self.config.clone() })
    }

    /// Says what the pictures that follow show. The stream goes on without a key picture.
    pub fn set_content(&mut self, content: Content) {
        self.config.content = content;
    }

    /// What the pictures are taken to show: what the configuration says, or under [`Content::Automatic`] what was found in those
    /// that came so far, a camera before the first.
    pub fn content(&self) -> Content {
        match self.config.content {
            Content::Automatic if self.detector.screen() => Content::Screen,
            Content::Automatic => Content::Camera,
            told => told,
        }
    }

    /// Goes on as an encoder of another configuration, with a key picture and with picture and frame numbers that go on.
    /// The memory of the layers and of their references is released.
    fn go_on(&mut self, config: SvcConfig) -> Result<(), EncodeError> {
        let layers = new_layers(&config)?;
        (self.sequence, self.sequence_obu) = header::sequence(&config)?;
        self.planner.restart(config.mode, config.size);
        self.layers = layers;
        self.slots = Default::default();
        self.header_slots = RefSlots::new();
        let layers_are_others = (config.mode, config.size) != (self.config.mode, self.config.size);
        if let (Controller::Bitrate(controller), true) = (&mut self.rate, layers_are_others) {
            controller.restart(config.mode, config.size);
        }
        self.config = config;
        Ok(())
    }

    /// Sets the speeds of the pictures that follow. At first all frames have [`SvcConfig::speed`].
    ///
    /// # Errors
    /// [`EncodeError::Speed`] if there is no such speed. It leaves the encoder unchanged.
    pub fn set_speeds(&mut self, speeds: Speeds) -> Result<(), EncodeError> {
        self.speeds = speeds.check()?;
        Ok(())
    }

    /// The speeds of the next picture.
    pub fn speeds(&self) -> Speeds {
        self.speeds
    }

    /// Encodes one picture, `captured` then. Pictures come in the order of their capture, at any distance in time.
    ///
    /// The picture may have another size than the one before: a phone was turned, or a window is shared. The encoder
    /// then goes on with that size and a key picture. It is always a key picture, because a new size takes a new
    /// sequence header and a new dependency structure, and receivers take those at key pictures alone. The plan of the
    /// result tells both, by its `size` and `key`.
    ///
    /// The temporal unit has no frames if nothing is wanted, or if the picture is left out to keep the bitrate
    /// ([`RateConfig::drop_pictures`]).
    ///
    /// The picture becomes a key picture unasked, too, if a wanted layer can come back in no other way (see
    /// [`Planner`]).
    ///
    /// # Errors
    /// [`EncodeError::Size`] if the picture is too small or too large. It leaves the encoder unchanged.
    pub fn encode(
        &mut self,
        picture: &PictureView<'_>,
        captured: Time,
        options: EncodeOptions,
    ) -> Result<TemporalUnit, EncodeError> {
        let size = picture.size();
        if size != self.config.size {
            self.go_on(SvcConfig { size, ..self.config.clone() })?;
        }
        match self.pool.clone() {
            Some(pool) => pool.install(|| self.encode_here(picture, captured, options)),
            // Outside of a pool, each piece of work that can be shared would wait for another thread to wake up.
            None => rayon::scope(|_| self.encode_here(picture, captured, options)),
        }
    }

    /// Encodes one picture of the configured size in the thread pool of the calling thread.
    fn encode_here(
        &mut self,
        picture: &PictureView<'_>,
        captured: Time,
        options: EncodeOptions,
    ) -> Result<TemporalUnit, EncodeError> {
        let structure = self.planner.structure();
        let wanted = options.wanted.unwrap_or_else(|| DecodeTargets::all(structure));
        let Some(highest) = self.rate.admits(captured, wanted) else {
            let plan = self.planner.skip(PictureRequest { refresh: options.refresh, wanted });
            return Ok(TemporalUnit { captured, plan, frames: Vec::new() });
        };
        let wanted = wanted.iter().filter(|target| target.temporal_id <= highest).collect();
        let plan = self.planner.next(PictureRequest { refresh: options.refresh, wanted });
        let (content, detector) = (self.config.content, &mut self.detector);
        let look = || match content {
            Content::Camera => false,
            Content::Screen => true,
            Content::Automatic => detector.look(picture.luma()),
        };
        let lowest = plan.frames.iter().map(|f| usize::from(f.layer.spatial_id)).min();
        let scaled = lowest.map_or(&mut [][..], |lowest| &mut self.layers[lowest..]);
        let ((), screen) = rayon::join(|| scale(picture, scaled), look);
        self.set_tools(&plan, screen);
        for frame in &plan.frames {
            self.layers[usize::from(frame.layer.spatial_id)].look(picture);
        }
        let (layers, slots) = (&self.layers, &self.slots);
        let look = |frame: &FramePlan| {
            let layer = &layers[usize::from(frame.layer.spatial_id)];
            let coder = &layer.coder;
            match frame.temporal_ref.and_then(|slot| slots[usize::from(slot)].as_deref()) {
                None => Source { novelty: detail(&view(&layer.scaled, picture).luma()), coarsest: None },
                Some(reference) => {
                    Source { novelty: coder.change(reference), coarsest: coder.coarsest(reference) }
                }
            }
        };
        let budgets = self.rate.plan(captured, &plan, screen, look);
        let coded = self.code(picture, &plan, &budgets);
        let mut frames = Vec::with_capacity(plan.frames.len());
        let mut taken = Vec::with_capacity(plan.frames.len());
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
            )?;
            let quantizer = coded.q.qindex;
            let (tried_at, tried) = coded.tried;
            taken.push(CodedBits { qindex: quantizer, bits: 8 * data.len() as u64, tried_at, tried });
            frames.push(LayerFrame { data: data.into(), plan: frame.clone(), size: layer.size, quantizer });
        }
        self.rate.coded(&plan, taken.into_iter());
        Ok(TemporalUnit { captured, plan, frames })
    }

    /// The last picture of a spatial layer as a decoder shows it: the encoder's own reconstruction. `None`
    /// before the layer's first frame, also after a change of size, mode or colours.
    ///
    /// CDEF filters frames that no other one refers to only here, so that these take longer.
    pub fn reconstruction(&self, spatial_id: u8) -> Option<Picture> {
        let layer = self.layers.get(usize::from(spatial_id))?;
        Some(layer.coder.reconstruction(layer.last.as_ref()?))
    }

    /// The last picture scaled down to spatial layer `spatial_id`, to compare its reconstruction with. `None`
    /// for the highest layer, which codes the caller's picture as it is. A layer that was left out of the
    /// last picture may still hold an earlier one.
    pub fn source(&self, spatial_id: u8) -> Option<&Picture> {
        let (_, scaled) = self.layers.get(usize::from(spatial_id))?.scaled.as_ref()?;
        Some(scaled)
    }

    /// Tells the layers how much effort their frames of this picture are worth, and whether they show a screen.
    fn set_tools(&mut self, picture: &PicturePlan, screen: bool) {
        for frame in &picture.frames {
            let layer = &mut self.layers[usize::from(frame.layer.spatial_id)];
            let size = plane_size(layer.size, 0);
            let effort = effort(self.speeds.of_frame(picture, frame), size);
            layer.coder.set_screen(screen);
            layer.coder.set_effort(effort.expect("speeds are checked when they are set"));
        }
    }

    /// Codes the frames of a picture, one after the other if they are predicted from each other, otherwise at
    /// once.
    fn code(
        &mut self,
        picture: &PictureView<'_>,
        plan: &PicturePlan,
        budgets: &[FrameBudget],
    ) -> Vec<CodedFrame> {
        let (number, slots) = (plan.picture_number, &mut self.slots);
        let mut jobs: Vec<(&mut Layer, &FramePlan, FrameBudget)> = Vec::with_capacity(plan.frames.len());
        for (spatial_id, layer) in self.layers.iter_mut().enumerate() {
            let mut planned = plan.frames.iter().zip(budgets);
            let own = planned.find(|(frame, _)| usize::from(frame.layer.spatial_id) == spatial_id);
            if let Some((frame, &budget)) = own {
                jobs.push((layer, frame, budget));
            }
        }
        let alone = plan.frames.iter().all(|f| f.inter_layer_ref.is_none());
        let mut coded = Vec::with_capacity(jobs.len());
        if alone {
            let code = |(layer, frame, budget): &mut (&mut Layer, &FramePlan, FrameBudget)| {
                layer.set_source(picture);
                layer.code(frame, slots, *budget, number)
            };
            jobs.par_iter_mut().map(code).collect_into_vec(&mut coded);
            for ((layer, frame, _), coded) in jobs.iter_mut().zip(&coded) {
                keep(slots, layer, frame, coded);
            }
            return coded;
        }
        let [(layer, frame, budget), above @ ..] = &mut jobs[..] else { return coded };
        // The lowest layer has little that threads could share, so that those above get ready meanwhile.
        let lowest = || {
            layer.set_source(picture);
            layer.code(frame, slots, *budget, number)
        };
        let get_ready = || above.par_iter_mut().for_each(|(layer, ..)| layer.set_source(picture));
        let (lowest, ()) = rayon::join(lowest, get_ready);
        keep(slots, layer, frame, &lowest);
        coded.push(lowest);
        for (layer, frame, budget) in above {
            let next = layer.code(frame, slots, *budget, number);
            keep(slots, layer, frame, &next);
            coded.push(next);
        }
        coded
    }
}

/// Scales the picture down to some layers, of which the last is the highest of all.
fn scale(picture: &PictureView<'_>, layers: &mut [Layer]) {
    let mut above = *picture;
    for layer in layers.iter_mut().rev() {
        if let Some((scaler, scaled)) = &mut layer.scaled {
            scaler.scale(&above, scaled);
            above = scaled.view();
        }
    }
}

/// The reference frame update process (section 7.20).
fn keep(slots: &mut Slots, layer: &mut Layer, plan: &FramePlan, coded: &CodedFrame) {
    for (slot, held) in slots.iter_mut().enumerate() {
        if plan.refresh_frame_flags >> slot & 1 != 0 {
            *held = Some(Arc::clone(&coded.reference));
        }
    }
    layer.last = Some(Arc::clone(&coded.reference));
}

/// The layers of a configuration, whose fields other than the quantizer are checked.
fn new_layers(config: &SvcConfig) -> Result<Vec<Layer>, EncodeError> {
    let &SvcConfig { size, mode, tile_columns_log2, speed, .. } = config;
    if ![size.width, size.height].iter().all(|side| (MIN_SIZE..=MAX_SIZE).contains(side)) {
        return Err(EncodeError::Size(size));
    }
    let tile_columns_log2 = tile_columns_log2.unwrap_or(if size.width >= 1280 { 2 } else { 0 });
    if tile_columns_log2 > 6 {
        return Err(EncodeError::Tiles(tile_columns_log2));
    }
    let structure = mode.structure();
    (0..structure.spatial_layers)
        .map(|spatial_id| {
            let layer_size = |spatial_id| structure.layer_size(size, spatial_id);
            let own_size = layer_size(spatial_id);
            let own = plane_size(own_size, 0);
            let above = (spatial_id + 1 < structure.spatial_layers).then(|| layer_size(spatial_id + 1));
            // Narrower tiles cost more than they gain.
            let mut tiles = tile_columns_log2;
            while tiles > 0 && own.0 >> tiles < 320 {
                tiles -= 1;
            }
            // What is copied within a tile may be anywhere in it: one is best, unless the program wants so many.
            let tiles_of_copies = config.tile_columns_log2.map_or(0, |_| tiles);
            let effort = effort(speed, own).ok_or(EncodeError::Speed(speed))?;
            Ok(Layer {
                size: own_size,
                coder: LayerCoder::new(own, tiles, tiles_of_copies, effort),
                scaled: above.map(|a| (Downscaler::new(a, own_size), Picture::new(own_size))),
                last: None,
            })
        })
        .collect()
}

/// A thread pool of the encoder's own.
fn new_pool(threads: usize) -> Result<ThreadPool, EncodeError> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|i| format!("layercast-{i}"))
        .build()
        .map_err(|error| EncodeError::Threads { threads, reason: error.to_string() })
}
