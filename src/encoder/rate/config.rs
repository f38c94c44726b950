//! What the caller asks of rate control.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::structure::{DecodeTarget, LayerId, Structure};

/// The most spatial and temporal layers that a mode has.
pub(super) const LAYERS: usize = 3;

/// The bitrate of each layer by itself, without the layers that it depends on, in bit/s. [`LayerBitrates::default`] has
/// 0 for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LayerBitrates([[u64; LAYERS]; LAYERS]);

impl LayerBitrates {
    /// The bitrate of a layer; 0 for layers that no mode has.
    pub fn get(&self, layer: LayerId) -> u64 {
        let of_spatial = self.0.get(usize::from(layer.spatial_id));
        of_spatial.and_then(|of| of.get(usize::from(layer.temporal_id))).copied().unwrap_or(0)
    }

    /// Sets the bitrate of a layer.
    ///
    /// # Panics
    /// If no mode has such a layer: its `spatial_id` or `temporal_id` is above 2.
    pub fn set(&mut self, layer: LayerId, bitrate: u64) {
        self.0[usize::from(layer.spatial_id)][usize::from(layer.temporal_id)] = bitrate;
    }

    /// The bitrate of all layers together.
    pub fn total(&self) -> u64 {
        self.0.iter().flatten().fold(0, |sum, &bitrate| sum.saturating_add(bitrate))
    }

    /// The same proportions, with so many bit/s of all layers together, rounded up for each.
    #[must_use]
    pub fn scaled_to(&self, total: u64) -> Self {
        let sum = u128::from(self.total().max(1));
        let scaled = |bitrate: u64| (u128::from(bitrate) * u128::from(total)).div_ceil(sum) as u64;
        Self(self.0.map(|of_spatial| of_spatial.map(scaled)))
    }

    /// The bitrate of all layers that a decode target needs, those of key pictures alone left out.
    pub fn of_target(&self, structure: &Structure, target: DecodeTarget) -> u64 {
        layers_of(structure, target).fold(0, |sum, layer| sum.saturating_add(self.get(layer)))
    }
}

/// The layers whose frames a decode target needs in other pictures than key pictures.
pub(super) fn layers_of(
    structure: &Structure,
    target: DecodeTarget,
) -> impl Iterator<Item = LayerId> + use<'_> {
    structure.decode_targets().filter(move |&layer| {
        structure.cycle.iter().any(|picture| {
            let own = picture.iter().any(|frame| frame.layer == layer);
            own && structure.needed_by(picture, layer.spatial_id).contains(target)
        })
    })
}

/// How many bits a second the stream may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bitrate {
    /// All layers together, in bit/s. What each layer gets is learned from the content: all spatial layers are coded
    /// with the same quantizers, within the bounds that libwebrtc has for the bitrate of a layer of their size.
    Total(u64),
    /// Each layer by itself.
    Layers(LayerBitrates),
}

/// Rate control: the bitrate to keep, and what may be done for it. [`RateConfig::new`], with the fields that differ
/// changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateConfig {
    /// The bitrate. What a picture may take follows from when it and the one before were captured, as
    /// [`SvcEncoder::encode`](crate::encoder::SvcEncoder::encode) is told; a frame rate is set nowhere.
    pub bitrate: Bitrate,
    /// The most that decode targets may take, with all layers that they need, in bit/s: what their best served receivers
    /// can take. Of those of a spatial layer the highest counts; layers without a limit take what they need. They do not
    /// change bitrates that are given one by one.
    pub limits: Vec<(DecodeTarget, u64)>,
    /// How much the stream may be ahead of its bitrate: the delay that a path of just this bitrate adds. Each decode
    /// target has a buffer of its own.
    pub buffer: Duration,
    /// The least and the largest `base_q_idx` of a frame, 1 to 255.
    pub quantizers: RangeInclusive<u8>,
    /// Whether pictures may be left out if the largest quantizer still takes too many bits: those of the highest
    /// temporal layer first.
    pub drop_pictures: bool,
}

impl RateConfig {
    /// This bitrate, with a buffer of 600 ms, `base_q_idx` from 10 to 255, and no picture left out.
    pub fn new(bitrate: Bitrate) -> Self {
        let buffer = Duration::from_millis(600);
        Self { bitrate, limits: Vec::new(), buffer, quantizers: 10..=255, drop_pictures: false }
    }

    /// Whether there is a bitrate, and an index between the bounds.
    pub(in crate::encoder) fn is_valid(&self) -> bool {
        let bitrate = match self.bitrate {
            Bitrate::Total(total) => total,
            Bitrate::Layers(bitrates) => bitrates.total(),
        };
        bitrate > 0 && *self.quantizers.start() > 0 && !self.quantizers.is_empty()
    }
}
