//! The quantizers of a picture at a constant bitrate.

use arrayvec::ArrayVec;

use super::buffer::Buffer;
use super::config::{Bitrate, LAYERS, LayerBitrates, RateConfig, layers_of};
use super::layer::{Layer, is_still, step_for};
use super::refine::{AIM, RESERVE, Refinement, finer};
use super::split::Split;
use super::{CodedBits, FrameBudget, Source};
use crate::Time;
use crate::encoder::quantizer::{self, Place, Pulse, Quantizer};
use crate::picture::Size;
use crate::structure::{
    DecodeTarget, DecodeTargets, FramePlan, LayerId, PicturePlan, ScalabilityMode, Structure,
};

/// A spatial layer that is ahead of its bitrate gives it back within about this time, in seconds.
const PAYBACK: f64 = 1.0;
/// The most that a frame's bits are changed for that, as a share.
const MOST_PAYBACK: f64 = 0.5;
/// The same for a temporal layer that is further ahead than the others of its spatial layer.
const OWN_PAYBACK: f64 = 1.0;
const MOST_OWN_PAYBACK: f64 = 0.3;
/// The share of its buffer that every decode target has in reserve.
const LOW: f64 = 0.4;
/// The share of the buffer by which a layer may stay ahead. The first picture of a call takes it, and all others gain.
const FREE: f64 = 0.33;
/// A frame that a spatial layer begins with takes at most so many seconds of its bitrate, and aims a little below.
const FIRST: f64 = 0.4;
const FIRST_AIM: f64 = 0.9;
/// Another frame takes at most so many times its budget.
const MOST: f64 = 4.5;
/// The share of a buffer that a frame may take, and aims at where it would take more.
const ROOM: f64 = 0.9;
const ROOM_AIM: f64 = 0.72;
/// Where nothing is known yet, a sample takes so many bits at a step of one sample, for each level of novelty: in frames
/// that a layer begins with, and in others of the lowest temporal layer.
const FIRST_COST: f64 = 4.0;
const INTER_COST: f64 = 1.0;
/// The novelty of a picture that is the same as its reference: it can still be made sharper.
const NOISE: f64 = 0.2;
/// The bits that the other temporal layers have against the lowest, at first.
const UPPER: f64 = 0.33;
/// Below these shares of their buffers the highest temporal layer, all but the lowest, and all are left out.
const DROP: [f64; 3] = [0.3, 0.15, 0.05];

/// The most layers that a mode has.
const ALL: usize = LAYERS * LAYERS;

/// A decode target, the layers that it needs, and its buffer.
struct Target {
    target: DecodeTarget,
    layers: ArrayVec<LayerId, ALL>,
    bitrate: f64,
    buffer: Buffer,
}

impl Target {
    /// Whether it needs all that another one needs, and more.
    fn includes(&self, other: &Self) -> bool {
        self.layers.len() > other.layers.len() && other.layers.iter().all(|layer| self.layers.contains(layer))
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
    /// The decode targets that somebody wants, and the layers that are coded for them.
    wanted: DecodeTargets,
    coded: ArrayVec<LayerId, ALL>,
    /// The index that the frames of each spatial layer were derived from.
    base: [u8; LAYERS],
    refinement: Refinement,
    /// What there is to code in each frame of the picture planned last.
    sources: ArrayVec<Source, LAYERS>,
    /// Whether a frame had the largest quantizer when it was coded last.
    at_largest: bool,
}

/// Whether a spatial layer begins with a frame, which then takes as much as others do in a while.
fn begins(frame: &FramePlan) -> bool {
    frame.temporal_ref.is_none()
}

/// Seconds of their bitrates by which layers are ahead together.
fn mean_ahead<'a>(layers: impl Iterator<Item = &'a Layer>) -> f64 {
    let (ahead, bitrate) = layers.fold((0.0, 0.0), |(ahead, bitrate), layer| {
        (ahead + layer.ahead * layer.bitrate, bitrate + layer.bitrate)
    });
    ahead / f64::max(bitrate, 1.0)
}

impl BitrateController {
    pub(in crate::encoder) fn new(config: RateConfig, mode: ScalabilityMode, size: Size) -> Self {
        let structure = mode.structure();
        let target = |target| Target {
            target,
            layers: layers_of(structure, target).collect(),
            bitrate: 0.0,
            buffer: Buffer::full(config.buffer.as_secs_f64()),
        };
        Self {
            targets: structure.decode_targets().map(target).collect(),
            config,
            structure,
            size,
            layers: Default::default(),
            split: Split::default(),
            bitrates: LayerBitrates::default(),
            captured: None,
            interval: 1.0 / 30.0,
            wanted: DecodeTargets::NONE,
            coded: ArrayVec::new(),
            base: [0; LAYERS],
            refinement: Refinement::default(),
            sources: ArrayVec::new(),
            at_largest: false,
        }
    }

    /// The bitrates of the layers.
    pub(in crate::encoder) fn bitrates(&self) -> &LayerBitrates {
        &self.bitrates
    }

    /// How many seconds the buffer of a decode target lasts at its bitrate; negative if it is overdrawn.
    pub(in crate::encoder) fn buffer(&self, target: DecodeTarget) -> Option<f64> {
        let found = self.targets.iter().find(|other| other.target == target)?;
        (found.bitrate > 0.0).then(|| found.buffer.level())
    }

    /// Goes on with another mode or size. What was learned of the layers is forgotten, what their path has still to carry is
    /// not.
    pub(in crate::encoder) fn restart(&mut self, mode: ScalabilityMode, size: Size) {
        let wanted =
            self.targets.iter().filter(|target| self.wanted.contains(target.target) && target.bitrate > 0.0);
        let level = wanted.map(|target| target.buffer.level()).reduce(f64::min);
        let (captured, interval) = (self.captured, self.interval);
        *self = Self { captured, interval, ..Self::new(self.config.clone(), mode, size) };
        if let Some(level) = level {
            self.targets.iter_mut().for_each(|target| target.buffer = Buffer::full(level));
            let ahead = self.config.buffer.as_secs_f64() - level;
            self.layers.iter_mut().flatten().for_each(|layer| layer.ahead = ahead);
        }
    }

    /// Changes the bitrate and what may be done for it.
    pub(in crate::encoder) fn set_config(&mut self, config: RateConfig) {
        self.config = config;
    }

    /// The highest temporal layer to code of a picture, or none if the picture is to be left out whole.
    pub(super) fn admits(&self, captured: Time, wanted: DecodeTargets) -> Option<u8> {
        let highest = self.structure.temporal_layers - 1;
        if !self.config.drop_pictures || !self.at_largest {
            return Some(highest);
        }
        let size = self.config.buffer.as_secs_f64();
        let counts =
            || self.targets.iter().filter(|target| wanted.contains(target.target) && target.bitrate > 0.0);
        // Whoever can take little gets less of the stream from the relay. Those who get more lose no pictures by that.
        let best = |target: &&Target| !counts().any(|other| other.includes(target));
        let levels = counts().filter(best).map(|target| target.buffer.level());
        let lowest = levels.fold(size, f64::min);
        let share = (lowest + self.elapsed(captured)) / size.max(f64::MIN_POSITIVE);
        match DROP.map(|least| share < least) {
            [_, _, true] => None,
            [_, true, _] => Some(0),
            [true, ..] => Some(highest.saturating_sub(1)),
            _ => Some(highest),
        }
    }

    pub(super) fn plan(
        &mut self,
        captured: Time,
        picture: &PicturePlan,
        look: impl Fn(&FramePlan) -> Source,
    ) -> Vec<FrameBudget> {
        let elapsed = self.elapsed(captured);
        // A pause is no frame rate.
        if self.captured.is_some() && elapsed < 1.0 {
            self.interval += (elapsed.max(0.001) - self.interval) * 0.1;
        }
        self.captured = Some(captured);
        self.set_coded(picture.wanted);
        let look = |frame| {
            let Source { novelty, coarsest } = look(frame);
            Source { novelty: novelty + NOISE, coarsest }
        };
        let sources: ArrayVec<Source, LAYERS> = picture.frames.iter().map(look).collect();
        self.refinement.note(picture, &sources, *self.config.quantizers.start());
        for (frame, source) in picture.frames.iter().zip(&sources) {
            self.assume(frame, source.novelty);
        }
        self.share(elapsed);
        let budgets = self.budgets(picture);
        let pulse = Pulse::of(picture);
        let mut planned = Vec::with_capacity(picture.frames.len());
        for (i, frame) in picture.frames.iter().enumerate() {
            let (Source { novelty, coarsest }, budget) = (sources[i], budgets[i]);
            let largest = *self.config.quantizers.end();
            let lambda = pulse.lambda(self.place(frame.layer, begins(frame)).lambda());
            let still = !begins(frame) && is_still(novelty);
            // What the buffers hold is shared by the frames of the picture. A frame that may take nearly nothing
            // would ruin all that follow.
            let room = self.room(picture, &budgets, i, 0.0).max(budget / 8.0);
            let (qindex, most) = if begins(frame) {
                let most = budget.min(room);
                (self.first_index(frame.layer, most * FIRST_AIM, novelty), most)
            } else {
                let fits = self.layer(frame.layer).cost(pulse).step(room * ROOM_AIM, novelty);
                (self.inter_index(frame.layer, pulse, fits), (budget * MOST).min(room * ROOM))
            };
            let (qindex, refine) = match coarsest {
                None => (qindex, None),
                Some(coarsest) => {
                    let reserve = RESERVE * self.config.buffer.as_secs_f64();
                    let room = self.room(picture, &budgets, i, reserve);
                    let aim = room.max(budget / 8.0).min(most * AIM);
                    let cost = self.layer(frame.layer).cost(pulse);
                    let fits = quantizer::index_of(cost.step(aim, novelty));
                    // What nobody refers to need not become finer.
                    let refined = if frame.layer.temporal_id == 0 { aim as u64 } else { 0 };
                    (fits.max(finer(coarsest)), Some(refined))
                }
            };
            let q = Quantizer::new(self.bounded(qindex), lambda);
            planned.push(FrameBudget { q, lambda, tried: begins(frame), most, largest, still, refine });
        }
        self.sources = sources;
        planned
    }

    pub(super) fn coded(&mut self, picture: &PicturePlan, frames: impl Iterator<Item = CodedBits>) {
        let Some(now) = self.captured else { return };
        let most = self.config.buffer.as_secs_f64();
        let pulse = Pulse::of(picture);
        self.at_largest = false;
        for ((frame, coded), source) in picture.frames.iter().zip(frames).zip(self.sources.take()) {
            let Source { novelty, coarsest } = source;
            let bits = coded.bits as f64;
            // Where a still picture gets sharper, its bits say nothing of those at a larger step.
            let (tried, tried_at) = match is_still(novelty) {
                true => (bits, coded.qindex),
                false => (coded.tried as f64, coded.tried_at),
            };
            let step = quantizer::step(tried_at);
            let interval = self.interval_of(frame.layer);
            let layer = self.layer_mut(frame.layer);
            if begins(frame) {
                // What the last such frame took says more than all before.
                layer.first.learn(tried, step, novelty, f64::INFINITY);
            } else if coarsest.is_none() || !is_still(novelty) {
                // What a screen takes that stands still says nothing of what moves.
                layer.cost_mut(pulse).learn(tried, step, novelty, interval);
            }
            layer.coded(now, bits, interval, most);
            if begins(frame) && matches!(self.config.bitrate, Bitrate::Total(_)) {
                self.spread(frame.layer.spatial_id);
            }
            self.at_largest |= coded.qindex >= *self.config.quantizers.end();
            for target in &mut self.targets {
                if frame.needed_by.contains(target.target) && target.bitrate > 0.0 {
                    target.buffer.take(bits / target.bitrate);
                }
            }
        }
    }

    /// Seconds since the last picture.
    fn elapsed(&self, captured: Time) -> f64 {
        self.captured.map_or(0.0, |last| (captured - last).as_secs_f64())
    }

    fn layer(&self, layer: LayerId) -> &Layer {
        &self.layers[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)]
    }

    fn layer_mut(&mut self, layer: LayerId) -> &mut Layer {
        &mut self.layers[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)]
    }

    fn place(&self, layer: LayerId, key: bool) -> Place {
        Place::new(self.structure, layer, key)
    }

    /// Seconds from a frame of a layer to the next.
    fn interval_of(&self, layer: LayerId) -> f64 {
        let cycle = self.structure.cycle;
        let frames = cycle.iter().filter(|picture| picture.iter().any(|frame| frame.layer == layer)).count();
        self.interval * cycle.len() as f64 / frames.max(1) as f64
    }

    /// Notes the layers that are coded for the decode targets that somebody wants.
    fn set_coded(&mut self, wanted: DecodeTargets) {
        self.wanted = wanted;
        // A lone spatial layer is coded without those below it, but for key pictures.
        let lone = wanted.iter().next().map(|first| first.spatial_id);
        let lone = lone.filter(|&lone| wanted.iter().all(|target| target.spatial_id == lone));
        let needed = |layer: &LayerId| {
            let of = |target: &Target| wanted.contains(target.target) && target.layers.contains(layer);
            lone.is_none_or(|lone| layer.spatial_id == lone) && self.targets.iter().any(of)
        };
        self.coded = self.structure.decode_targets().filter(needed).collect();
    }

    /// Assumes what the frames of a spatial layer cost of which none was coded yet, from the novelty of this one.
    fn assume(&mut self, frame: &FramePlan, novelty: f64) {
        let samples = self.structure.layer_size(self.size, frame.layer.spatial_id).samples() as f64;
        let of_spatial = &mut self.layers[usize::from(frame.layer.spatial_id)];
        let typical = if begins(frame) {
            of_spatial[0].first.assume(samples * novelty * FIRST_COST, novelty);
            1.0
        } else {
            novelty
        };
        for (layer, share) in of_spatial.iter_mut().zip([1.0, UPPER, UPPER]) {
            for &(pulse, _) in Pulse::all(self.structure.temporal_layers) {
                layer.cost_mut(pulse).assume(samples * novelty * INTER_COST * share, typical);
            }
        }
    }

    /// Takes the bitrates of the layers, as given or as learned, and fills the buffers.
    fn share(&mut self, elapsed: f64) {
        self.bitrates = match self.config.bitrate {
            Bitrate::Layers(bitrates) => bitrates,
            Bitrate::Total(total) => {
                let total = total as f64;
                let base = self.base_for(&self.coded, total);
                let rates: ArrayVec<f64, ALL> =
                    self.coded.iter().map(|&layer| self.rate(layer, base)).collect();
                self.split.learn(&self.coded, &rates, elapsed);
                let limits = &self.config.limits;
                let mut bitrates = self.split.bitrates(self.structure, self.size, &self.coded, total, limits);
                self.refinement.give(self.structure, &mut bitrates);
                bitrates
            }
        };
        for (spatial_id, of_spatial) in (0u8..).zip(&mut self.layers) {
            for (temporal_id, layer) in (0u8..).zip(of_spatial) {
                layer.bitrate = self.bitrates.get(LayerId::new(spatial_id, temporal_id)) as f64;
            }
        }
        let size = self.config.buffer.as_secs_f64();
        for target in &mut self.targets {
            target.bitrate = target.layers.iter().map(|&layer| self.bitrates.get(layer) as f64).sum();
            target.buffer.fill(elapsed, size);
        }
    }

    /// The nearest index that a frame may have.
    fn bounded(&self, qindex: u8) -> u8 {
        qindex.clamp(*self.config.quantizers.start(), *self.config.quantizers.end())
    }

    /// Bit/s of a layer at this base index.
    fn rate(&self, layer: LayerId, base: u8) -> f64 {
        let qindex = self.place(layer, false).qindex(base);
        let bits = |&(pulse, share): &(Pulse, f64)| {
            let step = quantizer::step(self.bounded(pulse.qindex(qindex)));
            share * self.layer(layer).cost(pulse).mean_bits(step)
        };
        Pulse::all(self.structure.temporal_layers).iter().map(bits).sum::<f64>() / self.interval_of(layer)
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

    /// The bits that each frame should take on average or, if its spatial layer begins with it, the most that it may.
    fn budgets(&self, picture: &PicturePlan) -> ArrayVec<f64, LAYERS> {
        let mut budgets = ArrayVec::<f64, LAYERS>::new();
        for frame in &picture.frames {
            let LayerId { spatial_id, .. } = frame.layer;
            if !begins(frame) {
                budgets.push(self.layer(frame.layer).bitrate * self.interval_of(frame.layer));
                continue;
            }
            let of_spatial = &self.layers[usize::from(spatial_id)];
            let own: f64 = of_spatial.iter().map(|layer| layer.bitrate).sum();
            if own == 0.0 {
                // No other frame of the layer is coded.
                let samples = |spatial_id| self.structure.layer_size(self.size, spatial_id).samples() as f64;
                let share = 0.6 * (samples(spatial_id) / self.size.samples() as f64).powf(0.75);
                budgets.push(self.bitrates.total() as f64 * FIRST * share);
                continue;
            }
            // Whoever shows this layer takes the lower frames of a key picture too, even if no others.
            let shown = LayerId::new(spatial_id, self.structure.temporal_layers - 1);
            let below: f64 = (picture.frames.iter().zip(&budgets))
                .filter(|(below, _)| begins(below) && below.needed_by.contains(shown))
                .map(|(_, budget)| budget)
                .sum();
            let all = self.bitrates.of_target(self.structure, shown) as f64 * FIRST - below;
            budgets.push((own * FIRST).min(all).max(own * FIRST / 4.0));
        }
        budgets
    }

    /// The bits that the buffers have for frame `i` of a picture, if so many seconds are kept in reserve.
    fn room(&self, picture: &PicturePlan, budgets: &[f64], i: usize, reserve: f64) -> f64 {
        let of_target = |target: &Target| {
            let needed = picture.frames.iter().zip(budgets);
            let needed = needed.filter(|(frame, _)| frame.needed_by.contains(target.target));
            let all: f64 = needed.map(|(_, budget)| budget).sum();
            (target.buffer.level() - reserve) * target.bitrate * budgets[i] / all.max(1.0)
        };
        let needed_by = picture.frames[i].needed_by.intersection(self.wanted);
        self.targets
            .iter()
            .filter(|target| needed_by.contains(target.target))
            .map(of_target)
            .fold(f64::INFINITY, f64::min)
    }

    /// The quantizer index of a frame that its spatial layer begins with, which should take at most `aim` bits.
    fn first_index(&self, layer: LayerId, aim: f64, novelty: f64) -> u8 {
        let least = quantizer::index_of(self.layer(layer).first.step(aim, novelty));
        match self.base[usize::from(layer.spatial_id)] {
            0 => least,
            base => self.place(layer, true).qindex(base).max(least),
        }
    }

    /// The quantizer index of another frame of a picture, whose step is to be at least `fits`.
    fn inter_index(&mut self, layer: LayerId, pulse: Pulse, fits: f64) -> u8 {
        // Where the layers were given their bitrates one by one, each has its own base.
        let together: ArrayVec<LayerId, LAYERS> = match self.config.bitrate {
            Bitrate::Layers(_) => [layer].into_iter().collect(),
            Bitrate::Total(_) => {
                self.coded.iter().copied().filter(|other| other.spatial_id == layer.spatial_id).collect()
            }
        };
        let bitrate: f64 = together.iter().map(|&layer| self.layer(layer).bitrate).sum();
        let ahead = mean_ahead(together.iter().map(|&layer| self.layer(layer)));
        let free = FREE * self.config.buffer.as_secs_f64();
        let payback = ((ahead - free) / PAYBACK).clamp(-MOST_PAYBACK, MOST_PAYBACK);
        let base = self.base_for(&together, bitrate * (1.0 - payback));
        if layer.temporal_id == 0 {
            self.base[usize::from(layer.spatial_id)] = base;
        }
        // Each layer pays a part of what it is further ahead than the others, or what its own buffer lacks.
        let level = self.buffer(layer).unwrap_or(f64::INFINITY);
        let lacking = LOW * self.config.buffer.as_secs_f64() - level;
        let further = (self.layer(layer).ahead - ahead).max(lacking);
        let payback = (further / OWN_PAYBACK).clamp(-MOST_OWN_PAYBACK, MOST_OWN_PAYBACK);
        let step = quantizer::step(self.place(layer, false).qindex(base)) * step_for(1.0 - payback);
        pulse.qindex(quantizer::index_of(step)).max(quantizer::index_of(fits))
    }

    /// Lets all temporal layers of a spatial layer pay for the frame that it began with.
    fn spread(&mut self, spatial_id: u8) {
        let of_spatial = &mut self.layers[usize::from(spatial_id)];
        let ahead = mean_ahead(of_spatial.iter());
        for layer in of_spatial {
            layer.ahead = ahead;
        }
    }
}
