//! The quantizers of a picture at a constant bitrate.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::{CodedBits, FrameBudget};
use super::buffer::Buffer;
use super::config::{Bitrate, LAYERS, LayerBitrates, RateConfig, layers_of};
use super::layer::{Layer, step_for};
use super::split::Split;
use crate::Time;
use crate::encoder::quantizer::{self, Place, Quantizer};
use crate::picture::Size;
use crate::structure::{DecodeTarget, DecodeTargets, FramePlan, LayerId, PicturePlan, ScalabilityMode, Structure};

/// A layer that is ahead of its bitrate gives it back within about this time, in seconds.
const PAYBACK: f64 = 1.0;
/// The share of the buffer that it may keep.
const FREE: f64 = 0.33;
/// The most that a frame's bits are changed for that, as a share.
const MOST_PAYBACK: f64 = 0.5;
/// The same for what a temporal layer is further ahead than the others of its spatial layer.
const OWN_PAYBACK: f64 = 1.0;
const MOST_OWN_PAYBACK: f64 = 0.3;
/// A key picture takes at most so many seconds of its bitrate, and aims a little below.
const KEY: f64 = 0.4;
const KEY_AIM: f64 = 0.9;
/// An inter frame takes at most so many times its budget.
const MOST: f64 = 4.5;
/// The share of a buffer that a frame may empty.
const RESERVE: f64 = 0.9;
/// Where nothing is known yet, a sample costs so many bits at a step of one sample: for each level by which it differs
/// from its neighbours, in frames that a layer begins with, and in others of the lowest temporal layer.
const INTRA: f64 = 4.0;
const INTER: f64 = 1.0;
/// The novelty of a source that does not differ.
const NOISE: f64 = 0.2;

/// A decode target's buffer and the layers that it needs.
struct Target {
    target: DecodeTarget,
    layers: ArrayVec<LayerId, { LAYERS * LAYERS }>,
    buffer: Buffer,
}

impl Target {
    fn bitrate(&self, bitrates: &LayerBitrates) -> f64 {
        self.layers.iter().map(|&layer| bitrates.get(layer) as f64).sum()
    }
}

/// Keeps a bitrate.
pub(in crate::encoder) struct BitrateController {
    config: RateConfig,
    structure: &'static Structure,
    size: Size,
    layers: [[Layer; LAYERS]; LAYERS],
    targets: Vec<Target>,
    split: Split,
    bitrates: LayerBitrates,
    /// When the last picture was captured, and about how many seconds there are from one to the next.
    captured: Option<Time>,
    interval: f64,
    /// The layers that are coded.
    coded: ArrayVec<LayerId, { LAYERS * LAYERS }>,
    /// The index that the frames of each spatial layer were derived from.
    base: [u8; LAYERS],
    /// How much there is to code in each frame of the picture planned last.
    novelty: ArrayVec<f64, LAYERS>,
}

/// Whether a spatial layer begins with a frame, which then costs as much as others do in a while.
fn begins(frame: &FramePlan) -> bool {
    frame.temporal_ref.is_none()
}

impl BitrateController {
    pub(in crate::encoder) fn new(config: RateConfig, mode: ScalabilityMode, size: Size) -> Self {
        let structure = mode.structure();
        let target = |target| Target {
            target,
            layers: layers_of(structure, target).collect(),
            buffer: Buffer::new(0.0),
        };
        Self {
            config,
            structure,
            size,
            layers: Default::default(),
            targets: structure.decode_targets().map(target).collect(),
            split: Split::default(),
            bitrates: LayerBitrates::default(),
            captured: None,
            interval: 1.0 / 30.0,
            coded: ArrayVec::new(),
            base: [0; LAYERS],
            novelty: ArrayVec::new(),
        }
    }

    pub(in crate::encoder) fn config(&self) -> &RateConfig {
        &self.config
    }

    /// The bitrates of the layers.
    pub(in crate::encoder) fn bitrates(&self) -> &LayerBitrates {
        &self.bitrates
    }

    /// How long the buffer of a decode target lasts at its bitrate; negative if it is overdrawn.
    pub(in crate::encoder) fn buffer(&self, target: DecodeTarget) -> Option<f64> {
        let found = self.targets.iter().find(|other| other.target == target)?;
        let bitrate = found.bitrate(&self.bitrates);
        (bitrate > 0.0).then(|| found.buffer.level() / bitrate)
    }

    /// Changes the bitrate and what may be done for it.
    pub(in crate::encoder) fn set_config(&mut self, config: RateConfig) {
        self.config = config;
        let patience = self.config.buffer.as_secs_f64();
        for layer in self.layers.iter_mut().flatten() {
            let bitrate = layer.bitrate;
            layer.settle(bitrate * patience);
        }
    }

    pub(super) fn plan(
        &mut self,
        captured: Time,
        picture: &PicturePlan,
        novelty: impl Fn(&FramePlan) -> f64,
    ) -> Vec<FrameBudget> {
        let elapsed = self.captured.map_or(0.0, |last| (captured - last).as_secs_f64());
        if self.captured.is_some() {
            // A pause is no frame rate.
            let weight = if elapsed < 1.0 { 0.1 } else { 0.0 };
            self.interval += (elapsed.max(0.001) - self.interval) * weight;
        }
        self.captured = Some(captured);
        self.set_coded(picture.wanted);
        self.novelty = picture.frames.iter().map(|frame| novelty(frame) + NOISE).collect();
        for (i, frame) in picture.frames.iter().enumerate() {
            self.assume(frame, self.novelty[i]);
        }
        self.share(elapsed);
        for target in &mut self.targets {
            let bitrate = target.bitrate(&self.bitrates);
            target.buffer.resize(bitrate * self.config.buffer.as_secs_f64());
            target.buffer.fill(bitrate * elapsed);
        }
        let budgets: ArrayVec<f64, LAYERS> =
            picture.frames.iter().map(|frame| self.budget(frame)).collect();
        let mut planned = Vec::with_capacity(picture.frames.len());
        for (i, frame) in picture.frames.iter().enumerate() {
            let layer = frame.layer;
            let place = self.place(layer, begins(frame));
            // What the buffers hold is shared by the frames of the picture.
            let room = self.targets.iter().filter(|target| target.layers.contains(&layer)).map(|target| {
                let frames = picture.frames.iter().zip(&budgets);
                let all: f64 =
                    frames.filter(|(f, _)| target.layers.contains(&f.layer)).map(|(_, budget)| budget).sum();
                target.buffer.level() * RESERVE * budgets[i] / all.max(1.0)
            });
            let room = room.fold(f64::INFINITY, f64::min).max(budgets[i] / 4.0);
            let (qindex, most) = match begins(frame) {
                true => (self.first_index(layer, budgets[i].min(room) * KEY_AIM, self.novelty[i]), budgets[i].min(room)),
                false => (self.inter_index(layer, room, self.novelty[i]), (budgets[i] * MOST).min(room)),
            };
            let (least, largest) = (*self.config.quantizers.start(), *self.config.quantizers.end());
            let q = Quantizer::new(qindex.clamp(least, largest), place.lambda());
            planned.push(FrameBudget { q, lambda: place.lambda(), most, largest });
        }
        planned
    }

    pub(super) fn coded(
        &mut self,
        picture: &PicturePlan,
        frames: impl Iterator<Item = CodedBits>,
    ) {
        let Some(now) = self.captured else { return };
        for ((frame, coded), novelty) in picture.frames.iter().zip(frames).zip(self.novelty.take()) {
            let (bits, tried) = (coded.bits as f64, coded.tried as f64);
            let step = quantizer::step(coded.tried_at);
            let interval = self.interval_of(frame.layer);
            let patience = self.config.buffer;
            let layer = self.layer_mut(frame.layer);
            match begins(frame) {
                true => layer.first.learn(tried, step, novelty, 1.0),
                false => layer.inter.learn(tried, step, novelty, interval),
            }
            layer.coded(now, bits, Duration::from_secs_f64(interval), patience);
            if begins(frame) && matches!(self.config.bitrate, Bitrate::Total(_)) {
                self.spread(frame.layer.spatial_id);
            }
            for target in self.targets.iter_mut().filter(|target| target.layers.contains(&frame.layer)) {
                target.buffer.take(bits);
            }
        }
    }

    /// Lets all temporal layers of a spatial layer pay for the frame that it began with.
    fn spread(&mut self, spatial_id: u8) {
        let of_spatial = &mut self.layers[usize::from(spatial_id)];
        let bitrate: f64 = of_spatial.iter().map(|layer| layer.bitrate).sum();
        let ahead: f64 = of_spatial.iter().map(|layer| layer.ahead()).sum();
        for layer in of_spatial.iter_mut().filter(|layer| layer.bitrate > 0.0) {
            layer.set_ahead(ahead * layer.bitrate / bitrate);
        }
    }

    fn layer(&self, layer: LayerId) -> &Layer {
        &self.layers[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)]
    }

    fn layer_mut(&mut self, layer: LayerId) -> &mut Layer {
        &mut self.layers[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)]
    }

    fn place(&self, layer: LayerId, key: bool) -> Place {
        Place { key, temporal_id: layer.temporal_id, temporal_layers: self.structure.temporal_layers }
    }

    /// Seconds from a frame of a layer to the next.
    fn interval_of(&self, layer: LayerId) -> f64 {
        let cycle = self.structure.cycle;
        let frames = cycle.iter().filter(|picture| picture.iter().any(|frame| frame.layer == layer)).count();
        self.interval * cycle.len() as f64 / frames.max(1) as f64
    }

    /// Notes the layers that are coded for the decode targets that somebody wants.
    fn set_coded(&mut self, wanted: DecodeTargets) {
        let needed = |layer: &LayerId| {
            let of = |target: &Target| wanted.contains(target.target) && target.layers.contains(layer);
            self.targets.iter().any(of)
        };
        self.coded = self.structure.decode_targets().filter(needed).collect();
    }

    /// Assumes what a frame costs, from the detail in its source, as long as nothing is known.
    fn assume(&mut self, frame: &FramePlan, novelty: f64) {
        let samples = self.structure.layer_size(self.size, frame.layer.spatial_id).samples() as f64;
        if begins(frame) {
            let of_spatial = &mut self.layers[usize::from(frame.layer.spatial_id)];
            of_spatial[0].first.assume(samples * novelty * INTRA, novelty);
            for (layer, share) in of_spatial.iter_mut().zip([INTER, INTER / 3.0, INTER / 3.0]) {
                layer.inter.assume(samples * novelty * share, 1.0);
            }
        }
    }

    /// The bitrates of the layers, as given or as learned.
    fn share(&mut self, elapsed: f64) {
        self.bitrates = match self.config.bitrate {
            Bitrate::Layers(bitrates) => bitrates,
            Bitrate::Total(total) => {
                let total = total as f64;
                let base = self.base_for(&self.coded, total);
                let rates: ArrayVec<f64, { LAYERS * LAYERS }> =
                    self.coded.iter().map(|&layer| self.rate(layer, base)).collect();
                self.split.learn(&self.coded, &rates, elapsed);
                self.split.bitrates(self.structure, self.size, &self.coded, total)
            }
        };
        for (spatial_id, of_spatial) in (0u8..).zip(&mut self.layers) {
            for (temporal_id, layer) in (0u8..).zip(of_spatial) {
                layer.bitrate = self.bitrates.get(LayerId::new(spatial_id, temporal_id)) as f64;
            }
        }
    }

    /// Bit/s of a layer at this base index.
    fn rate(&self, layer: LayerId, base: u8) -> f64 {
        let qindex = self.place(layer, false).qindex(base);
        let qindex = qindex.clamp(*self.config.quantizers.start(), *self.config.quantizers.end());
        self.layer(layer).inter.usual_bits(quantizer::step(qindex)) / self.interval_of(layer)
    }

    /// The smallest base index at which these layers together take at most so many bit/s.
    fn base_for(&self, layers: &[LayerId], bitrate: f64) -> u8 {
        let (mut low, mut high) = (1u8, 255u8);
        while low < high {
            let middle = low + (high - low) / 2;
            let rate: f64 = layers.iter().map(|&layer| self.rate(layer, middle)).sum();
            if rate <= bitrate { high = middle } else { low = middle + 1 }
        }
        low
    }

    /// The bits that a frame should take on average or, if its layer begins with it, the most that it may.
    fn budget(&self, frame: &FramePlan) -> f64 {
        if begins(frame) {
            let of_spatial = &self.layers[usize::from(frame.layer.spatial_id)];
            return of_spatial.iter().map(|layer| layer.bitrate).sum::<f64>() * KEY;
        }
        self.layer(frame.layer).bitrate * self.interval_of(frame.layer)
    }

    /// The quantizer index of a frame that its layer begins with, which should take at most `aim` bits.
    fn first_index(&self, layer: LayerId, aim: f64, novelty: f64) -> u8 {
        let least = quantizer::index_of(self.layer(layer).first.step(aim, novelty));
        match self.base[usize::from(layer.spatial_id)] {
            0 => least,
            base => self.place(layer, true).qindex(base).max(least),
        }
    }

    /// The quantizer index of an inter frame.
    fn inter_index(&mut self, layer: LayerId, room: f64, novelty: f64) -> u8 {
        // Where the layers were given their bitrates one by one, each has its own base.
        let together: ArrayVec<LayerId, LAYERS> = match self.config.bitrate {
            Bitrate::Layers(_) => [layer].into_iter().collect(),
            Bitrate::Total(_) => {
                self.coded.iter().copied().filter(|other| other.spatial_id == layer.spatial_id).collect()
            }
        };
        let bitrate: f64 = together.iter().map(|&layer| self.layer(layer).bitrate).sum();
        let ahead: f64 = together.iter().map(|&layer| self.layer(layer).ahead()).sum();
        let free = bitrate * FREE * self.config.buffer.as_secs_f64();
        let payback = ((ahead - free) / (bitrate * PAYBACK).max(1.0)).clamp(-MOST_PAYBACK, MOST_PAYBACK);
        let base = self.base_for(&together, bitrate * (1.0 - payback));
        if layer.temporal_id == 0 {
            self.base[usize::from(layer.spatial_id)] = base;
        }
        // Each layer pays a part of what it is further ahead than the others.
        let own = self.layer(layer);
        let further = own.ahead() / own.bitrate.max(1.0) - ahead / bitrate.max(1.0);
        let payback = (further / OWN_PAYBACK).clamp(-MOST_OWN_PAYBACK, MOST_OWN_PAYBACK);
        let step = quantizer::step(self.place(layer, false).qindex(base)) * step_for(1.0 - payback);
        let fits = own.inter.step(room * 0.8, novelty);
        quantizer::index_of(step.max(fits))
    }
}
