//! The selector: one receiver's inputs, and the decisions that follow from them.

use std::time::Duration;

use super::*;

/// How careful a selector is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectorConfig {
    /// Share of the available bitrate that is left free, 0 to 1.
    pub headroom: f32,
    /// Share of the processor's time for decoding that is used, 0 to 1.
    pub cpu_share: f32,
    /// Share of lost packets above which bits are kept back for redundancy, 0 to 1.
    pub loss_threshold: f32,
    /// How long the path has to carry more before a higher spatial layer follows.
    pub up_hold: Duration,
    /// The longest time that this becomes after up-switches that failed, each of which doubles it.
    pub max_hold: Duration,
}

impl Default for SelectorConfig {
    fn default() -> Self {
        Self {
            headroom: 0.05,
            cpu_share: 0.8,
            loss_threshold: 0.05,
            up_hold: Duration::from_secs(3),
            max_hold: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, Clone)]
struct Stream {
    id: StreamId,
    offer: Offer,
    window: Window,
    cap: Cap,
}

/// Decides which decode target of each stream one receiver gets.
#[derive(Debug, Clone)]
pub struct Selector {
    config: SelectorConfig,
    network: Network,
    cap: Cap,
    streams: Vec<Stream>,
    decision: Decision,
}

impl Selector {
    /// A selector that knows of nothing yet.
    pub fn new(config: SelectorConfig) -> Self {
        Self {
            config,
            network: Network::default(),
            cap: Cap::default(),
            streams: Vec::new(),
            decision: Decision::default(),
        }
    }

    /// Takes what is known of the path.
    pub fn set_network(&mut self, _now: Duration, network: Network) {
        self.network = network;
    }

    /// Takes what is known of the receiver's processor.
    pub fn set_cpu(&mut self, _now: Duration, _cpu: &Cpu) {}

    /// Takes a stream's window.
    pub fn set_window(&mut self, _now: Duration, stream: StreamId, window: Window) {
        self.stream(stream).window = window;
    }

    /// Takes a stream's layers.
    pub fn set_offer(&mut self, _now: Duration, stream: StreamId, offer: &Offer) {
        self.stream(stream).offer.clone_from(offer);
    }

    /// Takes the cap of a stream, or of every stream and their total.
    pub fn set_cap(&mut self, _now: Duration, stream: Option<StreamId>, cap: Cap) {
        match stream {
            Some(stream) => self.stream(stream).cap = cap,
            None => self.cap = cap,
        }
    }

    /// Forgets a stream.
    pub fn remove_stream(&mut self, stream: StreamId) {
        self.streams.retain(|known| known.id != stream);
    }

    /// Decides anew. Nothing is allocated unless a stream is new.
    pub fn decide(&mut self, _now: Duration) -> &Decision {
        let budget = self
            .network
            .available_bitrate
            .map(|bits| bits.min(MAX_BITRATE))
            .map(|bits| (bits as f64 * (1.0 - f64::from(self.config.headroom))) as u64);
        let mut left = budget.unwrap_or(MAX_BITRATE);
        self.decision.streams.clear();
        self.decision.fits = true;
        let share = left / self.streams.len().max(1) as u64;
        for stream in &self.streams {
            let window = stream.window;
            let shows = |layer: &LayerOffer| {
                let covered = stream.offer.layers.iter().any(|other| {
                    other.width < layer.width
                        && (other.width >= window.width || other.height >= window.height)
                });
                !covered && layer.bitrate <= share
            };
            let best =
                stream.offer.layers.iter().filter(|layer| shows(layer)).max_by_key(|layer| layer.target);
            let best = best.filter(|_| window.visible);
            self.decision.fits &= best.is_some() || !window.visible;
            let bitrate = best.map_or(0, |layer| layer.bitrate);
            left -= bitrate;
            self.decision.streams.push(StreamDecision {
                stream: stream.id,
                target: best.map(|layer| layer.target),
                bitrate,
                room: if best.is_some() { share } else { 0 },
                reason: if window.visible { Reason::Network } else { Reason::Hidden },
                refresh: None,
                utility: 0,
            });
        }
        self.decision.total_bitrate = self.decision.streams.iter().map(|stream| stream.bitrate).sum();
        self.decision.budget = budget;
        self.decision.redundancy = budget.map(|_| left);
        &self.decision
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        let at = match self.streams.binary_search_by_key(&id, |stream| stream.id) {
            Ok(at) => at,
            Err(at) => {
                let new =
                    Stream { id, offer: Offer::default(), window: Window::default(), cap: Cap::default() };
                self.streams.insert(at, new);
                at
            }
        };
        &mut self.streams[at]
    }
}
