//! The sender's side: which layers of a stream all its receivers together want.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::decision::StreamDecision;
use super::input::MAX_LAYERS;
use crate::Time;
use crate::structure::{DecodeTarget, DecodeTargets};

/// A receiver of a stream. The numbers are the app's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // A number.
pub struct ReceiverId(pub u32);

/// A decode target that some receiver wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // Plain data.
pub struct LayerDemand {
    /// The decode target.
    pub target: DecodeTarget,
    /// Bit/s that the best served of its receivers can take, all that the target needs included.
    pub bitrate: u64,
}

/// What to encode of a stream: every decode target that some receiver wants. Targets collect into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    pub(super) layers: ArrayVec<LayerDemand, MAX_LAYERS>,
}

impl FromIterator<LayerDemand> for Demand {
    /// Takes up to [`MAX_LAYERS`] targets, in any order; of two bitrates for the same target the higher one
    /// counts.
    fn from_iter<I: IntoIterator<Item = LayerDemand>>(layers: I) -> Self {
        let mut demand = Self::default();
        layers.into_iter().for_each(|layer| put(&mut demand.layers, layer));
        demand
    }
}

impl Demand {
    /// The targets, lowest first.
    pub fn layers(&self) -> &[LayerDemand] {
        &self.layers
    }

    /// The targets as a set, for the encoder's `EncodeOptions::wanted`. If it is empty, nothing needs to be
    /// encoded.
    pub fn wanted(&self) -> DecodeTargets {
        self.layers.iter().map(|layer| layer.target).collect()
    }
}

/// How long a layer that no receiver wants any more is still encoded. [`DemandConfig::default`] makes one
/// whose fields can then be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DemandConfig {
    /// The linger of a spatial layer, whose return costs a refresh or a key picture; 4 s by default.
    pub spatial_linger: Duration,
    /// The linger of a temporal layer, whose return costs nothing; 0.5 s by default.
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

/// A target that is encoded, and when a receiver last wanted it.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    layer: LayerDemand,
    at: Time,
}

/// Folds the decisions of a stream's receivers into one [`Demand`].
///
/// A new wish of a receiver counts at once. A layer that no receiver wants any more lingers
/// ([`DemandConfig`]), so that a window that is hidden for a moment, or a receiver that comes back, does not
/// cost a restart: the highest target of a spatial layer that has no viewer left lingers for the longer time,
/// a higher temporal layer for the shorter one.
#[derive(Debug, Clone, Default)]
pub struct DemandFold {
    config: DemandConfig,
    /// In the order of the receivers.
    wishes: Vec<Wish>,
    /// The targets that receivers have left, in any order.
    wanted: ArrayVec<Wanted, MAX_LAYERS>,
    demand: Demand,
    /// When the next of them has lingered for long enough.
    lingers_until: Option<Time>,
}

impl DemandFold {
    /// A fold without receivers.
    pub fn new(config: DemandConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// Takes the decision about this stream for one of its receivers. Says whether it wants another target than before;
    /// its bitrate may be another one in any case.
    pub fn set_receiver(&mut self, now: Time, receiver: ReceiverId, decision: &StreamDecision) -> bool {
        let wish = decision.target.map(|target| LayerDemand { target, bitrate: decision.room });
        let at = self.wishes.binary_search_by_key(&receiver, |wish| wish.receiver);
        let before = at.ok().map(|at| self.wishes[at].layer);
        if let Some(layer) = before {
            self.leave(now, layer);
        }
        match (at, wish) {
            (Ok(at), None) => {
                self.wishes.remove(at);
            }
            (Ok(at), Some(layer)) => self.wishes[at].layer = layer,
            (Err(at), Some(layer)) => self.wishes.insert(at, Wish { receiver, layer }),
            (Err(_), None) => {}
        }
        before.map(|layer| layer.target) != decision.target
    }

    /// Forgets a receiver that left.
    pub fn remove_receiver(&mut self, now: Time, receiver: ReceiverId) {
        if let Ok(at) = self.wishes.binary_search_by_key(&receiver, |wish| wish.receiver) {
            self.leave(now, self.wishes[at].layer);
            self.wishes.remove(at);
        }
    }

    /// The layers to encode at `now`. Nothing is allocated.
    pub fn demand(&mut self, now: Time) -> &Demand {
        let DemandConfig { spatial_linger, temporal_linger } = self.config;
        let layers = &mut self.demand.layers;
        layers.clear();
        for wish in &self.wishes {
            put(layers, wish.layer);
        }
        self.wanted.retain(|wanted| now - wanted.at < spatial_linger.max(temporal_linger));
        let watched = layers.clone();
        self.lingers_until = None;
        for wanted in &self.wanted {
            let target = wanted.layer.target;
            let of_spatial = |other: &LayerDemand| other.target.spatial_id == target.spatial_id;
            let linger = if watched.iter().any(of_spatial) { temporal_linger } else { spatial_linger };
            let known = watched.iter().any(|layer| layer.target == target);
            if !known && now - wanted.at < linger {
                put(layers, wanted.layer);
                let until = wanted.at + linger;
                self.lingers_until = Some(self.lingers_until.map_or(until, |next| next.min(until)));
            }
        }
        &self.demand
    }

    /// When the last [`demand`](Self::demand) becomes less because a layer has lingered for long enough, if nobody decides
    /// anything before.
    pub fn next_timeout(&self) -> Option<Time> {
        self.lingers_until
    }

    /// Remembers that a target was wanted until `now`.
    fn leave(&mut self, now: Time, layer: LayerDemand) {
        match self.wanted.iter_mut().find(|wanted| wanted.layer.target == layer.target) {
            Some(wanted) => {
                wanted.layer.bitrate = match wanted.at == now {
                    true => wanted.layer.bitrate.max(layer.bitrate),
                    false => layer.bitrate,
                };
                wanted.at = now;
            }
            None => {
                let oldest = self.wanted.iter().enumerate().min_by_key(|(_, wanted)| wanted.at);
                if let Some((oldest, _)) = oldest.filter(|_| self.wanted.is_full()) {
                    self.wanted.swap_remove(oldest);
                }
                self.wanted.push(Wanted { layer, at: now });
            }
        }
    }
}

/// Adds a target; of two bitrates the higher one counts. No stream offers more than [`MAX_LAYERS`] targets.
fn put(layers: &mut ArrayVec<LayerDemand, MAX_LAYERS>, layer: LayerDemand) {
    match layers.binary_search_by_key(&layer.target, |layer| layer.target) {
        Ok(at) => layers[at].bitrate = layers[at].bitrate.max(layer.bitrate),
        Err(at) if !layers.is_full() => layers.insert(at, layer),
        Err(_) => {}
    }
}
