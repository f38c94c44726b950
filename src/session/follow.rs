//! The encoder's bitrate, as the path has it.

use std::time::Duration;

use crate::Time;
use crate::congestion::SendPath;
use crate::encoder::{Bitrate, EncodeError, LayerBitrates, RateConfig, SvcEncoder};
use crate::structure::DecodeTarget;

/// The share of what the path carries that a stream takes. The rest is for what the estimate is wrong by.
const SHARE: f64 = 0.95;
/// The share of a stream's bytes that are its frames, until it is measured.
const FRAMES: f64 = 0.9;
/// The least share of the path that is left to the video, whatever else is sent.
const LEAST_SHARE: f64 = 0.25;
/// What else is sent is measured over this time.
const WINDOW: Duration = Duration::from_secs(1);
/// The bitrate changes if it would differ by one part in this.
const CHANGE: u64 = 50;
/// What a path is told that a stream could use, against what the encoder takes at most.
const WANTED: f64 = 1.3;

/// Bytes that were sent, as a rate.
#[derive(Debug, Default)]
pub(super) struct Meter {
    bytes: u64,
    since: Time,
    /// Bit/s of the last window.
    rate: f64,
}

impl Meter {
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Bit/s, of the last window that is over.
    fn rate(&mut self, now: Time) -> f64 {
        let span = now - self.since;
        if span >= WINDOW {
            self.rate = 8.0 * self.bytes as f64 / span.as_secs_f64();
            (self.bytes, self.since) = (0, now);
        }
        self.rate
    }
}

/// Follows a path: decides what the encoder may take of it.
#[derive(Debug, Default)]
pub(super) struct Follow {
    /// The most that the encoder takes, in bit/s.
    max_bitrate: Option<u64>,
    /// What the best served receivers of decode targets can take.
    pub(super) limits: Vec<(DecodeTarget, u64)>,
    /// Packets of other streams.
    pub(super) others: Meter,
    /// Frames of this one, and all its bytes on the wire: headers, seals, retransmissions, and parity packets too.
    pub(super) frames: Meter,
    wire: Meter,
    counted: u64,
    /// The bitrate that was set, and the proportions of the layers if the program has given them one by one.
    set: u64,
    proportions: Option<LayerBitrates>,
    set_as: Option<Bitrate>,
    set_limits: Vec<(DecodeTarget, u64)>,
}

impl Follow {
    /// Follows a path up to a bitrate, or up to what the encoder finds enough.
    pub(super) fn new(max_bitrate: Option<u64>) -> Self {
        Self { max_bitrate, ..Self::default() }
    }

    /// Sets the bitrate of the encoder for a picture captured at `now`. `wire` counts the bytes of all packets so far, as
    /// they are on the wire.
    pub(super) fn follow(
        &mut self,
        now: Time,
        path: &mut SendPath,
        wire: u64,
        encoder: &mut SvcEncoder,
    ) -> Result<(), EncodeError> {
        self.wire.add((wire - self.counted) as usize);
        self.counted = wire;
        let most = self.max_bitrate.unwrap_or_else(|| encoder.highest_bitrate()).max(1);
        path.set_wanted((most as f64 * WANTED) as u64);
        let carried = path.bitrate() as f64;
        let left = (carried - self.others.rate(now)).max(carried * LEAST_SHARE);
        let (frames, wire) = (self.frames.rate(now), self.wire.rate(now));
        let share = if wire > 0.0 { (frames / wire).clamp(LEAST_SHARE, 1.0) } else { FRAMES } * SHARE;
        let bitrate = ((left * share) as u64).clamp(1, most);
        let given = encoder.config().rate.as_ref().map(|rate| rate.bitrate);
        let is_ours = given.is_some() && given == self.set_as;
        if is_ours && bitrate.abs_diff(self.set) * CHANGE <= self.set && self.limits == self.set_limits {
            return Ok(());
        }
        if !is_ours {
            self.proportions = match given {
                Some(Bitrate::Layers(proportions)) => Some(proportions),
                _ => None,
            };
        }
        self.set = bitrate;
        self.set_limits.clone_from(&self.limits);
        let limits =
            self.limits.iter().map(|&(target, limit)| (target, (limit as f64 * share) as u64)).collect();
        let bitrate = match &self.proportions {
            Some(proportions) => Bitrate::Layers(proportions.scaled_to(bitrate)),
            None => Bitrate::Total(bitrate),
        };
        self.set_as = Some(bitrate);
        // What a path carries may be less than any quantizer brings.
        let rate = encoder.config().rate.clone();
        let rate = rate.unwrap_or_else(|| RateConfig { drop_pictures: true, ..RateConfig::new(bitrate) });
        encoder.set_rate(Some(RateConfig { bitrate, limits, ..rate }))
    }
}
