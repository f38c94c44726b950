//! One layer: what its frames cost at each quantizer, and how far it is ahead of its bitrate.

use crate::Time;
use crate::encoder::quantizer::Pulse;

/// Bits fall with this power of the step. Measured on real clips: 1.3 to 1.6.
const POWER: f64 = 1.4;
/// Bits that any frame takes: its headers, and a flag for each superblock.
const LEAST: f64 = 120.0;
/// A layer is never ahead by more seconds: what cannot be paid back is forgotten.
const FURTHEST: f64 = 3.0;
/// What frames cost is forgotten over this time, in seconds.
const MEMORY: f64 = 0.5;
/// A picture of less novelty shows nothing new. What its frame takes goes into a sharper picture, and the next one takes
/// less: each such frame counts for more than others.
const STILL: f64 = 0.4;
const STILL_WEIGHT: f64 = 0.6;

/// Whether a picture of this novelty shows nothing new.
pub(super) fn is_still(novelty: f64) -> bool {
    novelty < STILL
}

/// What the step is multiplied by for so many times the bits.
pub(super) fn step_for(bits: f64) -> f64 {
    bits.powf(-1.0 / POWER)
}

/// The cost of frames of a kind. A frame's bits grow with what there is to code in it, its *novelty*: how much the
/// source differs from that of the reference, or from sample to sample if there is no reference.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// Means of the bits at a step of one sample, and of the novelty.
    bits: f64,
    novelty: f64,
    frames: u32,
}

impl Cost {
    /// Assumes how much a frame of this novelty costs until the first one is coded.
    pub(super) fn assume(&mut self, bits_at_step_1: f64, novelty: f64) {
        if self.frames == 0 {
            (self.bits, self.novelty) = (bits_at_step_1, novelty);
        }
    }

    /// The bits of a frame of usual novelty at this step.
    pub(super) fn mean_bits(&self, step: f64) -> f64 {
        LEAST + self.bits * step.powf(-POWER)
    }

    /// The step at which a frame of this novelty takes so many bits.
    pub(super) fn step(&self, bits: f64, novelty: f64) -> f64 {
        (self.bits / self.novelty * novelty / (bits - LEAST).max(1.0)).powf(1.0 / POWER)
    }

    /// Learns from a frame of this novelty that took so many bits, `interval` seconds after the one before.
    pub(super) fn learn(&mut self, bits: f64, step: f64, novelty: f64, interval: f64) {
        self.frames = self.frames.saturating_add(1);
        let least = if is_still(novelty) { STILL_WEIGHT } else { 1.0 / f64::from(self.frames) };
        let weight = (1.0 - (-interval / MEMORY).exp()).max(least);
        let bits = (bits - LEAST).max(LEAST / 2.0) * step.powf(POWER);
        self.bits += (bits - self.bits) * weight;
        self.novelty += (novelty - self.novelty) * weight;
    }
}

/// A layer's frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layer {
    inter: Cost,
    /// Of those that a pulse makes finer: where noise is coded from some quantizer on, they cost far more than the others tell.
    fine: Cost,
    /// Of frames that the spatial layer begins with.
    pub(super) first: Cost,
    /// Bit/s that it is to take.
    pub(super) bitrate: f64,
    /// Seconds of its bitrate by which it was ahead after its last frame; negative if it was behind.
    pub(super) ahead: f64,
    last: Option<Time>,
}

impl Layer {
    pub(super) fn cost(&self, pulse: Pulse) -> &Cost {
        if pulse.is_fine() { &self.fine } else { &self.inter }
    }

    pub(super) fn cost_mut(&mut self, pulse: Pulse) -> &mut Cost {
        if pulse.is_fine() { &mut self.fine } else { &mut self.inter }
    }

    /// Takes note of a frame. The layer is never ahead or behind by more than `most` seconds: what was not used by then
    /// is lost, and what cannot be paid back is forgotten.
    pub(super) fn coded(&mut self, now: Time, bits: f64, interval: f64, most: f64) {
        let since = self.last.map_or(interval, |last| (now - last).as_secs_f64());
        self.last = Some(now);
        // A layer of which key pictures alone are coded has no bitrate to be ahead of.
        let taken = if self.bitrate > 0.0 { bits / self.bitrate } else { since };
        self.ahead = (self.ahead + taken - since).clamp(-most, FURTHEST);
    }
}
