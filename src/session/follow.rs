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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::congestion::SendPathConfig;
    use crate::encoder::SvcConfig;
    use crate::scene::Scene;
    use crate::session::{SenderOutput, VideoSender, VideoSenderConfig};
    use crate::structure::{LayerId, ScalabilityMode};

    fn sender(rate: Option<RateConfig>) -> VideoSender {
        let mut config = VideoSenderConfig::new(1);
        config.path = Some(SendPathConfig::new(200_000));
        config.max_bitrate = Some(1_000_000);
        let mut encoder = SvcConfig::new(Size::new(64, 64), ScalabilityMode::L1T2);
        encoder.rate = rate;
        VideoSender::new(config, encoder, None).unwrap()
    }

    #[test]
    fn layers_that_were_given_one_by_one_keep_their_proportions() {
        let (low, high) = (LayerId::new(0, 0), LayerId::new(0, 1));
        let mut given = LayerBitrates::default();
        given.set(low, 30_000);
        given.set(high, 10_000);
        let mut sender = sender(Some(RateConfig::new(Bitrate::Layers(given))));
        let picture = Scene::new(Size::new(64, 64)).picture(0);
        sender.handle_picture(Time::ZERO, &picture.view()).unwrap();
        let all = (200_000.0 * (FRAMES * SHARE)) as u64;
        let set = |sender: &mut VideoSender| {
            let bitrates = *sender.encoder_mut().unwrap().bitrates().unwrap();
            [low, high].map(|layer| bitrates.get(layer))
        };
        assert_eq!(set(&mut sender), [all * 3 / 4, all / 4]);
        // The program may have others at any time.
        given.set(high, 30_000);
        sender.encoder_mut().unwrap().set_bitrate(Bitrate::Layers(given)).unwrap();
        sender.handle_picture(Time::from_millis(33), &picture.view()).unwrap();
        assert_eq!(set(&mut sender), [all / 2, all / 2]);
    }

    #[test]
    fn pictures_are_left_out_while_nothing_comes_out_of_the_path() {
        let mut sender = sender(None);
        assert!(sender.encoder_mut().unwrap().config().rate.is_none());
        let scene = Scene::new(Size::new(64, 64));
        let mut skipped = [0; 2];
        for n in 0..60 {
            let now = Time::from_millis(33 * n);
            sender.handle_picture(now, &scene.picture(n).view()).unwrap();
            while let SenderOutput::Transmit(_) = sender.poll(now) {}
            skipped[n as usize / 30] = sender.statistics().skipped;
        }
        // The first packets have their time: a path that nothing is known of may be slow.
        assert!(skipped[1] >= 30 && skipped[0] < 20, "{skipped:?}");
        let rate = sender.encoder_mut().unwrap().config().rate.clone().unwrap();
        assert!(rate.drop_pictures);
    }
}
