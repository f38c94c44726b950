//! The bitrate of each layer, where the caller gives the sum alone.

use super::config::{LAYERS, LayerBitrates};
use crate::picture::Size;
use crate::structure::{DecodeTarget, LayerId, Structure};

/// What was learned of the layers' shares is forgotten over this time, in seconds.
const MEMORY: f64 = 2.0;

/// The share of each layer, learned from what the layers cost at the same quantizers.
#[derive(Debug, Clone, Default)]
pub(super) struct Split {
    shares: [[f64; LAYERS]; LAYERS],
    /// Seconds that it has learned for.
    learned: f64,
}

impl Split {
    /// Learns from the bitrates of `layers` at the same quantizers, `interval` seconds after the picture before.
    pub(super) fn learn(&mut self, layers: &[LayerId], rates: &[f64], interval: f64) {
        self.learned = (self.learned + interval).min(MEMORY);
        let weight = (interval / self.learned).clamp(0.0, 1.0);
        let sum: f64 = rates.iter().sum();
        for (layer, rate) in layers.iter().zip(rates) {
            let share = &mut self.shares[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)];
            let weight = if *share == 0.0 { 1.0 } else { weight };
            *share += (rate / sum - *share) * weight;
        }
    }

    /// The bitrates of `layers`: `total` together, or less if the limits of the decode targets have it so.
    pub(super) fn bitrates(
        &self,
        structure: &Structure,
        size: Size,
        layers: &[LayerId],
        total: f64,
        limits: &[(DecodeTarget, u64)],
    ) -> LayerBitrates {
        let share =
            |layer: &LayerId| self.shares[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)];
        let of_spatial = |spatial_id: u8| layers.iter().filter(move |layer| layer.spatial_id == spatial_id);
        let sum: f64 = layers.iter().map(share).sum();
        let spatial_ids = || (0..structure.spatial_layers).filter(|&s| of_spatial(s).next().is_some());
        let top = spatial_ids().next_back().unwrap_or(0);
        let bounds = |spatial_id| bounds(structure.layer_size(size, spatial_id));
        let enough = spatial_ids().map(|s| bounds(s).0).sum::<f64>() <= total;
        let mut bitrates = LayerBitrates::default();
        let mut left = total;
        for spatial_id in spatial_ids() {
            let shares: f64 = of_spatial(spatial_id).map(share).sum();
            let natural = total * shares / sum;
            let (least, most) = bounds(spatial_id);
            let own = match spatial_id == top {
                // Only pictures of full size may need more than a camera does, such as a shared screen.
                true if spatial_id + 1 == structure.spatial_layers => left,
                true => left.min(most),
                false if enough => natural.clamp(least, most),
                false => natural.min(most),
            };
            // What a layer's receivers can take, without the layers below that they need too.
            let shown = LayerId::new(spatial_id, structure.temporal_layers - 1);
            let limit =
                limits.iter().filter(|(target, _)| target.spatial_id == spatial_id).map(|&(_, limit)| limit);
            let below = bitrates.of_target(structure, shown) as f64;
            let own = limit.max().map_or(own, |limit| own.min((limit as f64 - below).max(least / 2.0)));
            left -= own;
            for &layer in of_spatial(spatial_id) {
                bitrates.set(layer, (own * share(&layer) / shares) as u64);
            }
        }
        bitrates
    }
}

/// The bitrate above which pictures of this size gain little, in bit/s: that of all spatial layers at their upper bounds.
pub(in crate::encoder) fn highest_bitrate(structure: &Structure, size: Size) -> u64 {
    (0..structure.spatial_layers)
        .map(|spatial_id| bounds(structure.layer_size(size, spatial_id)).1 as u64)
        .sum()
}

/// The least and the highest bitrate that libwebrtc gives a spatial layer of this size, in bit/s.
fn bounds(size: Size) -> (f64, f64) {
    let samples = size.samples() as f64;
    let least = (480.0 * samples.sqrt() - 95_000.0).max(20_000.0);
    (least, (50_000.0 + 1.6 * samples).max(least))
}
