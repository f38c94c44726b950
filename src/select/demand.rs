//! The sender's side: what all receivers of a stream want of it.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::{MAX_LAYERS, StreamDecision};
use crate::structure::{DecodeTarget, DecodeTargets};

/// A receiver of a stream. The numbers are the app's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReceiverId(pub u32);

/// A decode target that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerDemand {
    /// The decode target.
    pub target: DecodeTarget,
    /// Bit/s that the best served of its receivers can take, all that the target needs included.
    pub bitrate: u64,
}

/// What to encode: every decode target that somebody wants, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// The targets.
    pub layers: ArrayVec<LayerDemand, MAX_LAYERS>,
}

impl Demand {
    /// The targets as a set, for the encoder's `EncodeOptions::wanted`. Nothing needs to be encoded where it is
    /// empty.
    pub fn wanted(&self) -> DecodeTargets {
        self.layers.iter().map(|layer| layer.target).collect()
    }
}

/// How long a layer that nobody wants any more is still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemandConfig {
    /// A spatial layer, whose return costs a refresh or a key picture.
    pub spatial_linger: Duration,
    /// A temporal layer, which comes back for nothing.
    pub temporal_linger: Duration,
}

impl Default for DemandConfig {
    fn default() -> Self {
        Self { spatial_linger: Duration::from_secs(4), temporal_linger: Duration::from_millis(500) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Wish {
    receiver: ReceiverId,
    layer: LayerDemand,
}

/// Folds the decisions of a stream's receivers into one [`Demand`].
///
/// What a receiver wants counts at once. What it wants no longer lingers ([`DemandConfig`]), so that a window
/// that is hidden for a moment, or a receiver that comes back, does not cost a restart.
#[derive(Debug, Clone, Default)]
pub struct DemandFold {
    config: DemandConfig,
    /// In the order of the receivers.
    wishes: Vec<Wish>,
    demand: Demand,
}

impl DemandFold {
    /// A fold without receivers.
    pub fn new(config: DemandConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes what was decided for a receiver of this stream.
    pub fn set_receiver(&mut self, _now: Duration, receiver: ReceiverId, decision: &StreamDecision) {
        let at = self.wishes.binary_search_by_key(&receiver, |wish| wish.receiver);
        match (at, decision.target) {
            (Ok(at), None) => {
                self.wishes.remove(at);
            }
            (Ok(at), Some(target)) => self.wishes[at].layer = LayerDemand { target, bitrate: decision.room },
            (Err(at), Some(target)) => {
                self.wishes
                    .insert(at, Wish { receiver, layer: LayerDemand { target, bitrate: decision.room } });
            }
            (Err(_), None) => {}
        }
    }

    /// Forgets a receiver that left.
    pub fn remove_receiver(&mut self, _now: Duration, receiver: ReceiverId) {
        self.wishes.retain(|wish| wish.receiver != receiver);
    }

    /// What to encode at `now`.
    pub fn demand(&mut self, _now: Duration) -> &Demand {
        self.demand.layers.clear();
        for wish in &self.wishes {
            let layers = &mut self.demand.layers;
            match layers.binary_search_by_key(&wish.layer.target, |layer| layer.target) {
                Ok(at) => layers[at].bitrate = layers[at].bitrate.max(wish.layer.bitrate),
                Err(at) if !layers.is_full() => layers.insert(at, wish.layer),
                Err(_) => {}
            }
        }
        &self.demand
    }
}
