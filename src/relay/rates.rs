//! What each layer of a stream costs, as the relay sees it pass.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::frames::Sequence;
use crate::Time;
use crate::picture::Size;
use crate::rtp::descriptor::MAX_DECODE_TARGETS;
use crate::select::{LayerOffer, Offer, Switch};
use crate::structure::{DecodeTarget, LayerId};

/// Bits are counted over this time.
const WINDOW: Duration = Duration::from_secs(1);
/// How much of the last rates stays when a window is over.
const KEPT: f64 = 0.5;
/// Of its frames a second a layer has this share at least in a window in which it was coded all the time.
const WHOLE: f64 = 0.6;
/// Of a structure without resolutions: the size of its highest spatial layer, and pictures a second before any came.
const GUESSED_SIZE: Size = Size::new(1280, 720);
const GUESSED_RATE: f32 = 30.0;
/// Bits for each sample of a layer that was never coded, at the guessed rate, if nothing else is known. Pictures that are
/// closer to each other are more alike: a layer that doubles the rate adds less than half. It is rather too much: a layer that turns
/// out dearer falls, and does not come back for [`SelectorConfig::up_hold`](crate::select::SelectorConfig::up_hold).
const GUESSED_BITS: f64 = 0.12;

const SPATIAL: usize = 4;
const TEMPORAL: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Layer {
    /// Of the window that runs.
    bits: u64,
    frames: u32,
    /// Bit/s and frames a second, as measured last; `None` before.
    rate: Option<(f64, f64)>,
    /// Whether it was coded for a part of the last window only.
    is_partial: bool,
}

/// Measures the bitrate of what is sent besides the layers that a selector chooses.
#[derive(Debug, Default)]
pub(super) struct OtherRate {
    bits: u64,
    since: Option<Time>,
    rate: f64,
}

impl OtherRate {
    /// Counts a packet with its bytes on the wire.
    pub fn handle_packet(&mut self, now: Time, bytes: usize) {
        self.since.get_or_insert(now);
        self.bits += bytes as u64 * 8;
    }

    /// Bit/s of late.
    pub fn bitrate(&mut self, now: Time) -> u64 {
        if let Some(passed) = self.since.map(|since| now - since).filter(|passed| *passed >= WINDOW) {
            let new = self.bits as f64 / passed.as_secs_f64();
            self.rate = if self.rate == 0.0 { new } else { self.rate * KEPT + new * (1.0 - KEPT) };
            (self.since, self.bits) = (Some(now), 0);
        }
        self.rate as u64
    }
}

/// Measures the bitrate of each layer.
///
/// A layer that is not coded now keeps its last rate: it would cost that much again. If it looked free, a selector would
/// choose it.
#[derive(Debug)]
pub(super) struct LayerRates {
    layers: [[Layer; TEMPORAL]; SPATIAL],
    since: Option<Time>,
}

impl LayerRates {
    pub fn new() -> Self {
        Self { layers: [[Layer::default(); TEMPORAL]; SPATIAL], since: None }
    }

    /// Counts a packet with its bytes on the wire, which is the last of its frame or not. Key pictures do not
    /// count: they are few and large, and would make the layers of a stream look far too dear when it begins.
    pub fn handle_packet(&mut self, now: Time, layer: LayerId, bytes: usize, ends_frame: bool, key: bool) {
        self.since.get_or_insert(now);
        let LayerId { spatial_id, temporal_id } = layer;
        let layer = &mut self.layers[usize::from(spatial_id) % SPATIAL][usize::from(temporal_id) % TEMPORAL];
        if !key {
            layer.bits += bytes as u64 * 8;
            layer.frames += u32::from(ends_frame);
        }
    }

    /// Measures, if it is time. Says whether there is anything new.
    pub fn poll(&mut self, now: Time) -> bool {
        let Some(passed) = self.since.map(|since| now - since).filter(|passed| *passed >= WINDOW) else {
            return false;
        };
        self.since = None;
        let seconds = passed.as_secs_f64();
        for layer in self.layers.iter_mut().flatten().filter(|layer| layer.frames > 0) {
            let (bits, frames) = (layer.bits as f64 / seconds, f64::from(layer.frames) / seconds);
            // It began or ended in the window; or has another frame rate from now on, as the next window will show.
            let is_partial = layer.rate.is_some_and(|(_, before)| frames < before * WHOLE);
            if is_partial && !std::mem::replace(&mut layer.is_partial, true) {
                continue;
            }
            layer.is_partial = false;
            let smooth = |before: f64, new: f64| before * KEPT + new * (1.0 - KEPT);
            layer.rate = Some(match layer.rate {
                None => (bits, frames),
                Some((before, frames_before)) => (smooth(before, bits), smooth(frames_before, frames)),
            });
        }
        for layer in self.layers.iter_mut().flatten() {
            (layer.bits, layer.frames) = (0, 0);
        }
        true
    }

    /// When the next measurement is due.
    pub fn next_timeout(&self) -> Option<Time> {
        self.since.map(|since| since + WINDOW)
    }

    /// The bit/s of all layers that were measured.
    fn total(&self, is_needed: impl Fn(u8, u8) -> bool) -> Option<u64> {
        let mut total = 0.0;
        for (spatial_id, layers) in (0..).zip(&self.layers) {
            for (temporal_id, layer) in (0..).zip(layers) {
                if is_needed(spatial_id, temporal_id) {
                    total += layer.rate?.0;
                }
            }
        }
        Some(total as u64)
    }

    /// Pictures a second of all temporal layers up to one, each by the spatial layer that has most of it. A layer that was never
    /// coded counts as much as all below it, as in all modes of the standard: with no pictures nobody would ask for it.
    fn frame_rate(&self, temporal_id: u8) -> Option<f32> {
        let of_layer = |temporal_id: usize| {
            let frames = self.layers.iter().filter_map(|layers| Some(layers[temporal_id].rate?.1));
            frames.reduce(f64::max)
        };
        let above = 1..=usize::from(temporal_id) % TEMPORAL;
        let all = above.fold(of_layer(0)?, |sum, temporal_id| sum + of_layer(temporal_id).unwrap_or(sum));
        Some(all as f32)
    }

    /// Writes what was measured into an offer, whose figures are taken to be true in proportion otherwise.
    pub fn update(&self, sequence: &Sequence, offer: &mut Offer) {
        let measured = |target: DecodeTarget| {
            let at = sequence.targets.iter().position(|layer| *layer == target)?;
            self.total(|spatial_id, temporal_id| sequence.needs(at, LayerId::new(spatial_id, temporal_id)))
        };
        let (mut known, mut scale, mut highest) = ([None; crate::select::MAX_LAYERS], 1.0, 0);
        for (layer, known) in offer.layers().iter().zip(&mut known) {
            *known = measured(layer.target);
            if let Some(bitrate) = known.filter(|bitrate| *bitrate >= highest && layer.bitrate > 0) {
                (highest, scale) = (bitrate, bitrate as f64 / layer.bitrate as f64);
            }
        }
        for (layer, known) in offer.layers_mut().iter_mut().zip(known) {
            layer.bitrate = known.unwrap_or((layer.bitrate as f64 * scale) as u64).max(1);
        }
    }

    /// The offer of a stream without descriptors: all or nothing.
    pub fn whole(&self) -> Offer {
        let (bitrate, frame_rate) = self.layers[0][0].rate.unwrap_or((1_000_000.0, GUESSED_RATE.into()));
        let layer = LayerOffer {
            target: LayerId::default(),
            bitrate: bitrate as u64,
            size: GUESSED_SIZE,
            frame_rate: (frame_rate as f32).clamp(1.0, 240.0),
            luma_samples: (GUESSED_SIZE.samples() as f64 * frame_rate) as u64,
            quality: None,
        };
        Offer::from_layers([layer], Switch::Free, Switch::Free)
    }

    /// The offer of a stream of which nothing is known but its descriptors.
    pub fn offer(&self, sequence: &Sequence) -> Offer {
        let structure = &sequence.structure;
        let highest = sequence.targets.iter().map(|layer| layer.spatial_id).max().unwrap_or(0);
        let size = |spatial_id: u8| {
            let told = structure.resolutions.get(usize::from(spatial_id)).copied();
            let halved = |length: u32| (length >> (highest - spatial_id).min(3)).max(1);
            told.unwrap_or(Size::new(halved(GUESSED_SIZE.width), halved(GUESSED_SIZE.height)))
        };
        let temporal_ids = sequence.targets.iter().map(|layer| layer.temporal_id).max().unwrap_or(0);
        let layers = sequence.targets.iter().map(|&target| {
            let LayerId { spatial_id, temporal_id } = target;
            // A structure does not tell times. Each temporal layer doubles the rate in all modes of the standard.
            let guessed = GUESSED_RATE / f32::from(1u16 << (temporal_ids - temporal_id).min(7));
            let frame_rate = self.frame_rate(temporal_id).unwrap_or(guessed);
            let samples: u64 = (0..=spatial_id)
                .filter(|below| *below == spatial_id || sequence.builds_on_lower_layers())
                .map(|spatial_id| (size(spatial_id).samples() as f64 * f64::from(frame_rate)) as u64)
                .sum();
            LayerOffer {
                target,
                bitrate: (samples as f64 * GUESSED_BITS * f64::from(GUESSED_RATE / frame_rate).sqrt()) as u64,
                size: size(spatial_id),
                frame_rate,
                luma_samples: samples,
                quality: None,
            }
        });
        let mut layers: ArrayVec<LayerOffer, MAX_DECODE_TARGETS> = layers.collect();
        layers.sort_unstable_by_key(|layer| layer.target);
        let (up, down) = sequence.switches();
        let mut offer = Offer::from_layers(layers, up, down);
        self.update(sequence, &mut offer);
        offer
    }
}

impl Sequence {
    /// Whether a target of a higher spatial layer needs all that one of a lower layer needs.
    fn builds_on_lower_layers(&self) -> bool {
        self.switches().1 == Switch::Free
    }

    /// What a switch to a higher spatial layer needs, and one to a lower layer.
    pub fn switches(&self) -> (Switch, Switch) {
        let below = |outer: usize, inner: usize| {
            self.targets[inner].spatial_id < self.targets[outer].spatial_id
                && self.targets[inner].temporal_id <= self.targets[outer].temporal_id
        };
        let pairs = || {
            (0..self.targets.len()).flat_map(|outer| (0..self.targets.len()).map(move |inner| (outer, inner)))
        };
        if pairs()
            .filter(|&(outer, inner)| below(outer, inner))
            .all(|(outer, inner)| self.contains(outer, inner))
        {
            return (Switch::LayerRefresh, Switch::Free);
        }
        // If no target needs a frame of another spatial layer, not even of the key picture, they are streams of their own.
        let crosses = self.structure.templates.iter().any(|template| {
            let needed = template.decode_target_indications.iter().zip(&self.targets);
            needed.into_iter().any(|(indication, target)| {
                *indication != crate::rtp::descriptor::DecodeTargetIndication::NotPresent
                    && target.spatial_id != template.layer.spatial_id
            })
        });
        match crosses {
            true => (Switch::KeyFrame, Switch::KeyFrame),
            false => (Switch::LayerRefresh, Switch::LayerRefresh),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::FrameReader;
    use crate::rtp::descriptor::Describer;
    use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};

    fn sequence(mode: ScalabilityMode) -> std::sync::Arc<Sequence> {
        let mut planner = Planner::new(mode, Size::new(1280, 720));
        let wanted = DecodeTargets::all(mode.structure());
        let plan = planner.next(PictureRequest { wanted, ..Default::default() });
        let descriptors = Describer::new().describe(&plan).unwrap();
        FrameReader::new().handle_descriptor(&descriptors[0]).unwrap().sequence
    }

    #[test]
    fn an_offer_made_of_descriptors_is_that_of_the_mode() {
        for mode in ScalabilityMode::all() {
            let own = Offer::new(mode, Size::new(1280, 720), 30.0, |_| 1);
            let sequence = sequence(mode);
            let made = LayerRates::new().offer(&sequence);
            assert_eq!(made.layers().len(), own.layers().len(), "{mode:?}");
            for (made, own) in made.layers().iter().zip(own.layers()) {
                assert_eq!((made.target, made.size), (own.target, own.size), "{mode:?}");
                assert!((made.frame_rate - own.frame_rate).abs() < 0.1, "{mode:?} {made:?} {own:?}");
            }
            // A stream of one spatial layer has nothing to switch to. The structures of the S and the KEY modes do not differ.
            let has_layers = own.layers().iter().any(|layer| layer.target.spatial_id > 0);
            if has_layers && !mode.to_string().starts_with('S') {
                assert_eq!((made.up, made.down), (own.up, own.down), "{mode:?}");
            }
        }
    }

    #[test]
    fn a_layer_that_is_not_coded_keeps_its_rate() {
        let sequence = sequence(ScalabilityMode::L2T1);
        let mut rates = LayerRates::new();
        let bitrates = |rates: &LayerRates| -> Vec<u64> {
            rates.offer(&sequence).layers().iter().map(|layer| layer.bitrate).collect()
        };
        let guessed = bitrates(&rates);
        assert!(guessed[1] > guessed[0] && guessed[0] > 0);
        let mut now = Time::ZERO;
        for n in 0..150 {
            now = Time::from_millis(20 * n);
            rates.handle_packet(now, LayerId::new(0, 0), 250, true, false);
            if n < 75 {
                rates.handle_packet(now, LayerId::new(1, 0), 500, true, false);
            }
            rates.poll(now);
        }
        rates.poll(now + WINDOW);
        let measured = bitrates(&rates);
        assert!(measured[0].abs_diff(100_000) < 5_000, "{measured:?}");
        assert!(measured[1] > 240_000, "{measured:?}");
    }

    #[test]
    fn a_temporal_layer_that_was_never_coded_doubles_the_frame_rate() {
        let sequence = sequence(ScalabilityMode::L1T3);
        let mut rates = LayerRates::new();
        for n in 0..40 {
            let now = Time::from_millis(100 * n);
            rates.handle_packet(now, LayerId::new(0, n as u8 % 2), 500, true, false);
            rates.poll(now);
        }
        let offer = rates.offer(&sequence);
        let [t0, t1, t2] = [0, 1, 2].map(|at| &offer.layers()[at]);
        assert!(
            (5.0..6.0).contains(&t0.frame_rate) && (10.0..12.0).contains(&t1.frame_rate),
            "{t0:?} {t1:?}"
        );
        assert!((t2.frame_rate - 2.0 * t1.frame_rate).abs() < 0.01, "{t1:?} {t2:?}");
        let more = t2.bitrate as f64 / t1.bitrate as f64;
        assert!((1.3..1.5).contains(&more), "{t1:?} {t2:?}");
    }

    #[test]
    fn layers_that_were_never_coded_cost_in_proportion() {
        let sequence = sequence(ScalabilityMode::L2T1);
        let mut rates = LayerRates::new();
        for n in 0..60 {
            rates.handle_packet(Time::from_millis(20 * n), LayerId::new(0, 0), 500, true, false);
            rates.poll(Time::from_millis(20 * n));
        }
        let mut offer =
            Offer::new(ScalabilityMode::L2T1, Size::new(1280, 720), 50.0, |target| match target.spatial_id {
                0 => 100_000,
                _ => 400_000,
            });
        rates.update(&sequence, &mut offer);
        let bitrates: Vec<u64> = offer.layers().iter().map(|layer| layer.bitrate).collect();
        assert!(
            bitrates[0].abs_diff(200_000) < 10_000 && bitrates[1].abs_diff(800_000) < 40_000,
            "{bitrates:?}"
        );
    }
}
