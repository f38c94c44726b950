//! One layer: what its frames cost at each quantizer, and how far it is ahead of its bitrate.

use std::time::Duration;

use crate::Time;

/// Bits fall with this power of the step. Measured on real clips: 1.3 to 1.6.
const POWER: f64 = 1.4;
/// Bits that any frame takes: its headers, and a flag for each superblock.
const LEAST: f64 = 120.0;
/// What frames cost is forgotten over this time, and how much they differ over that one, in seconds.
const MEMORY: f64 = 0.5;
const STILL: f64 = 0.4;
const LONG_MEMORY: f64 = 1.5;

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
    /// A mean of the novelty over a longer time.
    usual: f64,
    frames: u32,
}

impl Cost {
    /// Assumes how much a frame of this novelty costs until the first one is coded.
    pub(super) fn assume(&mut self, bits_at_step_1: f64, novelty: f64) {
        if self.frames == 0 {
            (self.bits, self.novelty, self.usual) = (bits_at_step_1, novelty, novelty);
        }
    }

    /// Whether a frame was coded.
    pub(super) fn is_known(&self) -> bool {
        self.frames > 0
    }

    /// The bits of the usual frame at this step.
    pub(super) fn usual_bits(&self, step: f64) -> f64 {
        LEAST + self.bits * step.powf(-POWER)
    }

    /// The step at which a frame of this novelty takes so many bits.
    pub(super) fn step(&self, bits: f64, novelty: f64) -> f64 {
        (self.bits / self.novelty * novelty / (bits - LEAST).max(1.0)).powf(1.0 / POWER)
    }

    /// Learns from a frame of this novelty that took so many bits, `interval` seconds after the one before.
    pub(super) fn learn(&mut self, bits: f64, step: f64, novelty: f64, interval: f64) {
        self.frames = self.frames.saturating_add(1);
        let at_first = 1.0 / f64::from(self.frames);
        let still = if novelty < STILL { 0.6 } else { 0.0f64 };
        let weight = |memory: f64| (1.0 - (-interval / memory).exp()).max(at_first).max(still);
        let bits = (bits - LEAST).max(LEAST / 2.0) * step.powf(POWER);
        self.bits += (bits - self.bits) * weight(MEMORY);
        self.novelty += (novelty - self.novelty) * weight(MEMORY);
        self.usual += (novelty - self.usual) * weight(LONG_MEMORY);
    }
}

/// A layer's frames.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Layer {
    pub(super) inter: Cost,
    /// Of frames that the spatial layer begins with.
    pub(super) first: Cost,
    /// Bit/s that it is to take.
    pub(super) bitrate: f64,
    /// Bits that it was ahead of its bitrate after its last frame.
    ahead: f64,
    last: Option<Time>,
}

impl Layer {
    /// Bits that the layer was ahead of its bitrate after its last frame; negative if it was behind.
    pub(super) fn ahead(&self) -> f64 {
        self.ahead
    }

    pub(super) fn set_ahead(&mut self, ahead: f64) {
        self.ahead = ahead;
    }

    /// Takes note of a frame. The layer never falls behind by more than `patience`: what was not used then is lost.
    pub(super) fn coded(&mut self, now: Time, bits: f64, expected: Duration, patience: Duration) {
        let since = self.last.map_or(expected, |last| now - last);
        self.last = Some(now);
        self.ahead += bits - self.bitrate * since.as_secs_f64();
        self.ahead = self.ahead.max(-self.bitrate * patience.as_secs_f64());
    }

    /// Forgets how far it was ahead: its bitrate is another one now.
    pub(super) fn settle(&mut self, bound: f64) {
        self.ahead = self.ahead.clamp(-bound, bound);
    }
}
