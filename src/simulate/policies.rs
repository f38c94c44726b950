//! Policies, which decide the layers that a receiver gets: the crate's selector, and others to compare it
//! with.
//!
//! All of them see the same: the windows, the offers and one estimator's view of the path. None but
//! [`Policy::Fixed`] forwards to a hidden window, or more than a window shows (the next size up).

use super::model::{ALLOCATION, PROBE_AFTER, PROBE_EVERY, PROBE_FOR};
use crate::Time;
use crate::select::{
    LayerOffer, Network, Offer, Priority, Probe, Selector, SelectorConfig, StreamDecision, StreamId, Window,
};
use crate::structure::{DecodeTarget, LayerId};

/// A stream that a receiver watches.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The stream.
    pub stream: StreamId,
    /// Its window.
    pub window: Window,
    /// The layers that its sender offers.
    pub offer: Offer,
}

/// A decision of a policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// The decode target to forward of each watched stream, in their order; `None` pauses a stream.
    pub targets: Vec<Option<DecodeTarget>>,
    /// A probe to start now.
    pub probe: Option<Probe>,
}

/// The policy that decides the layers that a receiver gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// The crate's [`Selector`].
    Selector,
    /// Always the highest decode target of every stream, seen or not.
    Fixed,
    /// Always the lowest decode target of every stream that is seen. Only the path makes it stall.
    Lowest,
    /// Three encodings of each stream, shared out like [`Policy::Allocator`] and switched at key frames.
    Simulcast,
    /// At every decision, stream by stream in the order of their priority, the highest decode target that
    /// fits beside the lowest ones of the streams to come.
    Greedy,
    /// Like the SFUs of today. At most once a second, or at once if the estimate falls below three quarters
    /// of the bits last shared out (mediasoup's rule), it hands out the layers in their order, one after the
    /// other, to all streams by priority, as long as they fit together (LiveKit's allocator).
    Allocator,
}

impl Policy {
    /// All of them, the selector first.
    pub const ALL: [Self; 6] =
        [Self::Selector, Self::Lowest, Self::Fixed, Self::Simulcast, Self::Greedy, Self::Allocator];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Selector => "selector",
            Self::Lowest => "lowest",
            Self::Fixed => "fixed top",
            Self::Simulcast => "simulcast",
            Self::Greedy => "greedy",
            Self::Allocator => "allocator",
        }
    }

    pub(super) fn decider(self, config: SelectorConfig) -> Decider {
        Decider {
            policy: self,
            selector: Selector::new(config),
            shared: None,
            probed: Time::ZERO,
            choice: Choice::default(),
            streams: Vec::new(),
        }
    }
}

/// A policy at work for one receiver.
#[derive(Debug, Clone)]
pub(super) struct Decider {
    policy: Policy,
    selector: Selector,
    /// When the allocator last shared out, and how much.
    shared: Option<(Time, u64)>,
    probed: Time,
    choice: Choice,
    /// The selector's decisions, for the senders' demand.
    streams: Vec<StreamDecision>,
}

impl Decider {
    /// Takes a window or an offer that changed.
    pub fn watch(&mut self, now: Time, watched: &Watched) {
        self.selector.set_offer(now, watched.stream, &watched.offer);
        self.selector.set_window(now, watched.stream, watched.window);
        self.shared = None;
    }

    /// The selector's decision about each stream; empty for other policies.
    pub fn streams(&self) -> &[StreamDecision] {
        &self.streams
    }

    /// Decides; `over_used` is when the path was last congested.
    pub fn decide(
        &mut self,
        now: Time,
        network: Network,
        over_used: Option<Time>,
        watched: &[Watched],
    ) -> &Choice {
        self.choice.probe = None;
        let available = network.available_bitrate.unwrap_or(0);
        match self.policy {
            Policy::Selector => self.select(now, network, watched),
            Policy::Fixed => {
                let top = |w: &Watched| w.offer.layers().iter().map(|layer| layer.target).max();
                self.choice.targets = watched.iter().map(top).collect();
            }
            Policy::Lowest => {
                let lowest = |w: &Watched| useful(w).map(|layer| layer.target).min();
                self.choice.targets = watched.iter().map(lowest).collect();
            }
            Policy::Greedy => {
                self.choice.targets = greedy(available, watched);
                self.probe(now, available, over_used, watched);
            }
            Policy::Simulcast | Policy::Allocator => {
                let due = self
                    .shared
                    .is_none_or(|(at, bitrate)| now >= at + ALLOCATION || available < bitrate / 4 * 3);
                if due {
                    self.shared = Some((now, available));
                    self.choice.targets = allocate(available, watched);
                }
                self.probe(now, available, over_used, watched);
            }
        }
        &self.choice
    }

    fn select(&mut self, now: Time, network: Network, watched: &[Watched]) {
        self.selector.set_network(now, network);
        let decision = self.selector.decide(now);
        let target = |w: &Watched| decision.stream(w.stream).and_then(|stream| stream.target);
        self.choice.targets.clear();
        self.choice.targets.extend(watched.iter().map(target));
        self.choice.probe = decision.probe;
        self.streams.clear();
        self.streams.extend(decision.streams.iter().copied());
    }

    fn probe(&mut self, now: Time, available: u64, over_used: Option<Time>, watched: &[Watched]) {
        let desired: u64 =
            watched.iter().filter_map(|w| useful(w).max_by_key(|l| l.target)).map(|l| l.bitrate).sum();
        let calm = over_used.is_none_or(|at| now >= at + PROBE_AFTER);
        if available < desired && calm && now >= self.probed + PROBE_EVERY {
            self.probed = now;
            // At least the bitrate of the lowest layers, and a little above each goal, so that the estimate
            // reaches it.
            let lowest: u64 = watched.iter().filter_map(|w| useful(w).map(|layer| layer.bitrate).min()).sum();
            let bitrate = (2 * available).max(lowest * 6 / 5).min(desired * 6 / 5);
            self.choice.probe = Some(Probe { bitrate, duration: PROBE_FOR });
        }
    }
}

/// The layers that are of use in the window: those that are not above one which fills it, and none if it is
/// hidden.
fn useful(watched: &Watched) -> impl Iterator<Item = &LayerOffer> {
    let window = watched.window;
    let fills = move |layer: &LayerOffer| {
        layer.size.width >= window.size.width || layer.size.height >= window.size.height
    };
    let layers = watched.offer.layers();
    layers.iter().filter(move |layer| {
        window.visible && !layers.iter().any(|other| other.size.height < layer.size.height && fills(other))
    })
}

/// The streams' places, highest priority first, the larger window first among equals.
fn by_priority(watched: &[Watched]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..watched.len()).collect();
    let rank = |w: &Watched| match w.window.priority {
        Priority::Pinned => 0,
        Priority::ScreenShare => 1,
        Priority::ActiveSpeaker => 2,
        Priority::Thumbnail => 3,
    };
    order.sort_by_key(|&at| (rank(&watched[at]), u32::MAX - watched[at].window.size.height));
    order
}

fn greedy(available: u64, watched: &[Watched]) -> Vec<Option<DecodeTarget>> {
    let lowest = |w: &Watched| useful(w).map(|layer| layer.bitrate).min().unwrap_or(0);
    let mut targets = vec![None; watched.len()];
    let (mut left, mut reserved) = (available, watched.iter().map(lowest).sum::<u64>());
    for at in by_priority(watched) {
        reserved -= lowest(&watched[at]);
        let most = left.saturating_sub(reserved);
        let fits = useful(&watched[at]).filter(|layer| layer.bitrate <= most);
        if let Some(layer) = fits.max_by_key(|layer| layer.target) {
            targets[at] = Some(layer.target);
            left -= layer.bitrate.min(left);
        }
    }
    targets
}

fn allocate(available: u64, watched: &[Watched]) -> Vec<Option<DecodeTarget>> {
    let mut given: Vec<Option<&LayerOffer>> = vec![None; watched.len()];
    let mut left = available;
    let order = by_priority(watched);
    for step in 0..32 {
        let layer = LayerId::new(step / 8, step % 8);
        for &at in &order {
            let Some(layer) = useful(&watched[at]).find(|offer| offer.target == layer) else { continue };
            let has = given[at].map_or(0, |given| given.bitrate);
            // A layer may cost no more than the one below it, as with fewer temporal layers of a larger size.
            if layer.bitrate <= left + has {
                left = left + has - layer.bitrate;
                given[at] = Some(layer);
            }
        }
    }
    given.into_iter().map(|given| given.map(|layer| layer.target)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;
    use crate::simulate::CodedVideo;

    fn watched(windows: &[(u32, bool, Priority)]) -> Vec<Watched> {
        let offer = CodedVideo::scene().offer();
        let watched = |(n, &(height, visible, priority)): (usize, &(u32, bool, Priority))| Watched {
            stream: StreamId(n as u32),
            window: Window { visible, ..Window::new(Size::new(height * 16 / 9, height), priority) },
            offer: offer.clone(),
        };
        windows.iter().enumerate().map(watched).collect()
    }

    fn decide(policy: Policy, available: u64, watched: &[Watched]) -> Choice {
        let mut decider = policy.decider(SelectorConfig::default());
        let network = Network { available_bitrate: Some(available), ..Network::default() };
        decider.decide(Time::from_secs(10), network, None, watched).clone()
    }

    fn names(targets: &[Option<DecodeTarget>]) -> String {
        let name = |t: &Option<DecodeTarget>| t.map_or("-".to_owned(), |target| target.to_string());
        targets.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn baselines_share_out_what_there_is() {
        use Priority::*;
        let streams = watched(&[
            (720, true, Thumbnail),
            (180, true, Thumbnail),
            (360, true, Pinned),
            (360, false, Thumbnail),
        ]);
        let targets = |policy, available| names(&decide(policy, available, &streams).targets);
        assert_eq!(targets(Policy::Fixed, 0), "S2T2 S2T2 S2T2 S2T2");
        assert_eq!(targets(Policy::Lowest, 0), "S0T0 S0T0 S0T0 -");
        assert_eq!(targets(Policy::Greedy, 10_000_000), "S2T2 S0T2 S1T2 -");
        assert_eq!(targets(Policy::Allocator, 10_000_000), "S2T2 S0T2 S1T2 -");
        assert_eq!(targets(Policy::Greedy, 0), "- - - -");
        // The pinned stream takes what the lowest layers of the others leave; the allocator raises all in
        // turn.
        assert_eq!(targets(Policy::Greedy, 570_000), "S0T2 S0T0 S1T2 -");
        assert_eq!(targets(Policy::Allocator, 570_000), "S1T0 S0T2 S1T1 -");
    }

    #[test]
    fn the_allocator_waits_a_second_unless_the_path_gets_much_worse() {
        let streams = watched(&[(720, true, Priority::Thumbnail)]);
        let mut decider = Policy::Allocator.decider(SelectorConfig::default());
        let mut at = |ms, available| {
            let network = Network { available_bitrate: Some(available), ..Network::default() };
            names(&decider.decide(Time::from_millis(ms), network, None, &streams).targets)
        };
        assert_eq!(at(0, 900_000), "S2T2");
        assert_eq!(at(100, 700_000), "S2T2", "no less than three quarters");
        assert_eq!(at(200, 370_000), "S2T0");
        assert_eq!(at(300, 900_000), "S2T0");
        assert_eq!(at(1200, 900_000), "S2T2");
    }

    #[test]
    fn relays_probe_for_what_the_windows_could_show() {
        let streams = watched(&[(180, true, Priority::Thumbnail)]);
        let bitrate = CodedVideo::scene().bitrate(LayerId::new(0, 2));
        let probe = |available| decide(Policy::Greedy, available, &streams).probe.map(|probe| probe.bitrate);
        assert_eq!(probe(bitrate), None);
        assert_eq!(probe(bitrate - 1000), Some(bitrate * 6 / 5));
        assert_eq!(probe(50_000), Some(100_000));
        assert_eq!(probe(10_000), Some(CodedVideo::scene().bitrate(LayerId::new(0, 0)) * 6 / 5));
    }
}
