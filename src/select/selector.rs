//! The selector: takes one receiver's inputs, and makes the decisions that follow from them.

use std::cmp::Ordering;

use super::allocate::Allocator;
use super::config::SelectorConfig;
use super::cpu::Processor;
use super::decision::{Decision, Reason, StreamDecision};
use super::input::{Cap, Cpu, LayerOffer, MAX_BITRATE, Network, Offer, StreamId, Switch, Window};
use super::messages::ReceiverReport;
use super::path::{Budget, Path};
use super::stream::{Candidate, Limits, Mask, Resource, Stream, Worth};
use crate::Time;
use crate::structure::{DecodeTarget, Refresh};

/// Streams whose spatial layer rises by one decision, at most.
const AT_ONCE: usize = 2;

/// Decides which decode target of each stream one receiver gets; the [module](super) says how.
#[derive(Debug, Clone)]
pub struct Selector {
    config: SelectorConfig,
    path: Path,
    processor: Processor,
    cap: Cap,
    /// In the order of their numbers.
    streams: Vec<Stream>,
    allocator: Allocator,
    /// When the minimum service last ceased to fit; `None` while it fits.
    short_since: Option<Time>,
    /// When bits were first shared out.
    began: Option<Time>,
    decision: Decision,
}

impl Selector {
    /// A selector without any inputs yet.
    pub fn new(config: SelectorConfig) -> Self {
        Self {
            config,
            path: Path::new(),
            processor: Processor::default(),
            cap: Cap::default(),
            streams: Vec::new(),
            allocator: Allocator::default(),
            short_since: None,
            began: None,
            decision: Decision::default(),
        }
    }

    /// Takes the state of the path. Call it at least once a second, because no stream rises on an old
    /// estimate. A state without an available bitrate does not renew the last estimate.
    pub fn set_network(&mut self, now: Time, network: Network) {
        self.path.set(now, network, &self.config);
    }

    /// Takes the state of the receiver's processor. A load belongs to the targets of the last decision.
    pub fn set_cpu(&mut self, now: Time, cpu: &Cpu) {
        let in_use = self.streams.iter().filter_map(|stream| Some(stream.held_in(Mask::MAX)?.samples)).sum();
        self.processor.set(now, cpu, in_use, &self.config);
    }

    /// Takes a stream's window.
    pub fn set_window(&mut self, _now: Time, stream: StreamId, window: Window) {
        self.stream(stream).set_window(window);
    }

    /// Takes a stream's layers, with their bitrates as last measured.
    pub fn set_offer(&mut self, _now: Time, stream: StreamId, offer: &Offer) {
        let stream = self.stream(stream);
        (stream.offer.up, stream.offer.down) = (offer.up, offer.down);
        stream.offer.layers.clear();
        for layer in &offer.layers {
            let known = |other: &LayerOffer| other.target == layer.target;
            if is_sound(layer) && !stream.offer.layers.iter().any(known) {
                let bitrate = layer.bitrate.max(1);
                stream.offer.layers.push(LayerOffer { bitrate, ..*layer });
            }
        }
        stream.stale = true;
    }

    /// Takes the cap of a stream, or, without a stream, of every stream and of their total.
    pub fn set_cap(&mut self, _now: Time, stream: Option<StreamId>, cap: Cap) {
        match stream {
            Some(stream) => self.stream(stream).set_cap(cap),
            None => {
                let changed = self.cap != cap;
                for stream in &mut self.streams {
                    stream.fresh |= changed;
                    stream.stale |= changed;
                }
                self.cap = cap;
            }
        }
    }

    /// Takes a receiver's report: windows, processor and caps. A stream that the report does not name becomes
    /// hidden and loses its cap; the selector forgets it if it has no layers on offer either.
    ///
    /// A receiver can name any stream. What the report says of a stream that the selector does not know counts for
    /// nothing and is not kept, so that the cost of a report is in proportion to its length. A relay gives the last
    /// report again after the offer of a new stream.
    pub fn set_report(&mut self, now: Time, report: &ReceiverReport) {
        for stream in &mut self.streams {
            stream.named = (false, false);
        }
        for (id, window) in &report.windows {
            if let Some(stream) = self.known(*id) {
                stream.set_window(*window);
                stream.named.0 = true;
            }
        }
        for (id, cap) in &report.caps {
            if let Some(stream) = id.and_then(|id| self.known(id)) {
                stream.set_cap(*cap);
                stream.named.1 = true;
            }
        }
        for stream in &mut self.streams {
            if !stream.named.0 {
                stream.set_window(Window::default());
            }
            if !stream.named.1 {
                stream.set_cap(Cap::default());
            }
        }
        let of_all = report.caps.iter().rev().find(|(id, _)| id.is_none());
        self.set_cap(now, None, of_all.map_or(Cap::default(), |(_, cap)| *cap));
        if let Some(cpu) = &report.cpu {
            self.set_cpu(now, cpu);
        }
        self.streams.retain(|stream| stream.named != (false, false) || !stream.offer.layers.is_empty());
    }

    /// The last decision.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Whether a stream has a window that can be seen.
    pub fn shows(&self, stream: StreamId) -> bool {
        let at = self.streams.binary_search_by_key(&stream, |stream| stream.id);
        at.is_ok_and(|at| self.streams[at].window.visible)
    }

    /// Forgets a stream.
    pub fn remove_stream(&mut self, stream: StreamId) {
        self.streams.retain(|known| known.id != stream);
    }

    /// Decides anew for `now`. It allocates only for streams that are new.
    pub fn decide(&mut self, now: Time) -> &Decision {
        let config = self.config;
        if !self.streams.is_empty() {
            self.began.get_or_insert(now);
        }
        let starts = self.began.is_some_and(|began| now - began < config.start);
        let budget = self.path.budget(now, &config);
        let worth = Worth::new(self.path.loss(now), &config);
        for stream in &mut self.streams {
            if stream.stale {
                stream.refresh(&self.cap);
            }
        }
        self.allocator.reserve(self.streams.len());
        let cpu_fits = self.share_cpu(now, &worth);
        let cap = self.cap.max_bitrate.unwrap_or(MAX_BITRATE).min(MAX_BITRATE);
        let keep = self.streams.iter().filter_map(Stream::keeps).sum::<u64>();
        let keeps = |budget: &Budget| if keep <= budget.keep { budget.now.max(keep) } else { budget.now };
        let bits = budget.as_ref().map_or(MAX_BITRATE, keeps).min(cap);
        let in_use: u64 =
            self.streams.iter().filter_map(|stream| Some(stream.held_in(stream.within_cpu)?.bitrate)).sum();
        self.set_ceilings(now, budget.map(|budget| budget.proven.map(|bits| bits.min(cap))), &worth);
        let fits = self.share_minimum(now, bits, cap, starts, &worth);

        let total = self.allocator.spent;
        let spare = bits.saturating_sub(total);
        let kept_back = budget.map_or(0, |budget| budget.unprotected.saturating_sub(bits));
        let limits = Limits {
            spare,
            network: if cap < budget.map_or(MAX_BITRATE, |budget| budget.now) {
                Reason::Cap
            } else {
                Reason::Network
            },
            kept_back: if self.path.reserve(now, &config) > 0.0 { kept_back } else { 0 },
        };
        let unlimited = budget.is_none() && self.cap.max_bitrate.is_none();
        let (mut fell, mut rose) = (false, 0);
        let decision = &mut self.decision;
        decision.streams.clear();
        (decision.fits, decision.utility) = (fits && cpu_fits, 0);
        for (i, stream) in self.streams.iter_mut().enumerate() {
            let chosen = self.allocator.chosen(i).map(|choice| stream.candidates[usize::from(choice.option)]);
            let target = chosen.map(|candidate| candidate.target);
            let bitrate = chosen.map_or(0, |candidate| candidate.bitrate);
            let reason = stream.reason(chosen.as_ref(), &limits, &worth);
            let room = match chosen {
                None => 0,
                Some(_) if unlimited => MAX_BITRATE,
                Some(_) => bitrate + (u128::from(spare) * u128::from(bitrate) / u128::from(total)) as u64,
            };
            let utility = chosen.as_ref().map_or(0, |candidate| worth.of(candidate));
            decision.utility += u64::from(utility);
            decision.streams.push(StreamDecision {
                stream: stream.id,
                target,
                bitrate,
                room: stream.cap.max_bitrate.map_or(room, |max| room.min(max)),
                reason,
                refresh: stream.ask(now, target, refresh(stream.held, target, &stream.offer), &config),
                utility,
            });
            let level = |target: Option<DecodeTarget>| target.map_or(0, |target| target.spatial_id + 1);
            let (before, after) = (level(stream.held), level(target));
            // Path or processor forced a switch that window, caps and offer did not call for.
            let forced = after < before && stream.held_in(stream.within_window).is_some();
            let risen = after > before && after > 1 && !stream.fresh;
            fell |= forced;
            rose += u32::from(risen);
            if (forced || risen) && before.max(after) > 1 {
                stream.switched(now, forced);
            }
            stream.held = target;
            let paused = matches!(reason, Reason::Hidden | Reason::NotOnOffer | Reason::Cap);
            stream.fresh = target.is_none() && paused;
        }
        // At the start there is no proof that the path carries less than the lowest layers.
        let guessed = starts && in_use <= self.minimum(true);
        let congested = !guessed && budget.is_some_and(|budget| budget.now < in_use);
        self.path.decided(now, in_use, congested, fell, rose, &config);
        let wanted = self.next_step(&worth).map(|step| total + step).filter(|wanted| *wanted <= cap);
        let decision = &mut self.decision;
        decision.probe = wanted.and_then(|wanted| self.path.probe(now, wanted, !fits, &config));
        decision.total_bitrate = total;
        decision.budget = budget.map(|_| bits).or(self.cap.max_bitrate);
        decision.redundancy = budget.map(|budget| budget.unprotected.saturating_sub(total));
        decision
    }

    /// Limits each stream to its share of the processor, as if bits cost nothing; equal streams get the same
    /// limit. Returns whether every stream keeps its minimum.
    fn share_cpu(&mut self, now: Time, worth: &Worth) -> bool {
        let lowest = |stream: &Stream| {
            let shown =
                stream.candidates.iter().enumerate().filter(|(i, _)| stream.within_window >> i & 1 != 0);
            shown.map(|(_, candidate)| candidate.samples).min()
        };
        let least = self.streams.iter().filter_map(lowest).sum();
        let Some(capacity) = self.processor.capacity(now, least) else {
            for stream in &mut self.streams {
                stream.within_cpu = stream.within_window;
            }
            return true;
        };
        for (stream, ladder) in self.streams.iter().zip(&mut self.allocator.ladders) {
            stream.ladder(ladder, stream.within_window, u8::MAX, Resource::Samples, worth);
        }
        let fits = self.allocator.share(self.streams.len(), capacity);
        for (i, stream) in self.streams.iter_mut().enumerate() {
            let most = self.allocator.least_of_equals(i).map_or(0, |choice| choice.cost);
            let decodable = |(i, c): (usize, &Candidate)| if c.samples <= most { 1 << i } else { 0 };
            let mask: Mask = stream.candidates.iter().enumerate().map(decodable).sum();
            stream.within_cpu = stream.within_window & mask;
        }
        fits
    }

    /// Shares `bits` out among the candidates below the ceilings. Returns whether every stream gets its
    /// minimum.
    fn share_bits(&mut self, bits: u64, worth: &Worth) -> bool {
        for (stream, ladder) in self.streams.iter().zip(&mut self.allocator.ladders) {
            stream.ladder(ladder, stream.within_cpu, stream.ceiling, Resource::Bitrate, worth);
        }
        self.allocator.share(self.streams.len(), bits)
    }

    /// Shares `bits` out. If the minimum does not fit for a time, the part of it that is in use stays for a
    /// while, and at the start all of it, if `cap` permits. Returns whether the minimum fits.
    fn share_minimum(&mut self, now: Time, bits: u64, cap: u64, starts: bool, worth: &Worth) -> bool {
        if self.share_bits(bits, worth) {
            self.short_since = None;
            return true;
        }
        let since = *self.short_since.get_or_insert(now);
        let minimum = self.minimum(starts);
        if minimum > bits && minimum <= cap && now - since < self.config.patience {
            self.allocator.share(self.streams.len(), minimum);
        }
        false
    }

    /// Bit/s of the minimum service of all streams, or of those that are not paused now.
    fn minimum(&self, all: bool) -> u64 {
        let lowest =
            |stream: &Stream| stream.masked(stream.within_cpu).map(|candidate| candidate.bitrate).min();
        let counts = |stream: &&Stream| all || stream.held_in(stream.within_cpu).is_some();
        self.streams.iter().filter(counts).filter_map(lowest).sum()
    }

    /// Sets the level up to which each stream may go: its present one, unless it is fresh or the bits that
    /// the path has proven to carry let it rise. The outer `None` means an unknown path, the inner one a path
    /// that has proven nothing.
    fn set_ceilings(&mut self, now: Time, proven: Option<Option<u64>>, worth: &Worth) {
        let config = self.config;
        let mut higher = false;
        let may_rise = !matches!(proven, Some(None));
        for stream in &mut self.streams {
            let level = stream.held.map_or(0, |held| held.spatial_id + 1);
            let left = stream.switches_left(now, &config);
            stream.one_fall = left == 1;
            stream.ceiling = match stream.fresh {
                true => u8::MAX,
                // A rise leaves one switch to fall with.
                false if may_rise && left >= 2 => u8::MAX,
                false => level,
            }
            // No stream waits for its minimum service.
            .max(1);
            let above = |c: &Candidate| c.level() > level.max(1) && c.level() <= stream.ceiling;
            higher |= !stream.fresh && stream.masked(stream.within_cpu).any(above);
        }
        let Some(Some(proven)) = proven.filter(|_| higher) else { return };
        self.share_bits(proven, worth);
        // The two streams whose rises are worth most. The others wait: each rise costs a refresh, and those of many streams
        // at once would fill the path.
        let mut first = [None::<(u32, usize, u8)>; AT_ONCE];
        for (i, stream) in self.streams.iter_mut().enumerate().filter(|(_, stream)| !stream.fresh) {
            let level = stream.held.map_or(0, |held| held.spatial_id + 1).max(1);
            stream.ceiling = level;
            let chosen = self.allocator.chosen(i).map(|choice| stream.candidates[usize::from(choice.option)]);
            if let Some(chosen) = chosen.filter(|chosen| chosen.level() > level) {
                let held = stream.held_in(stream.within_cpu).map_or(0, |held| worth.of(held));
                let gain = worth.of(&chosen).saturating_sub(held);
                let mut next = Some((gain, i, chosen.level()));
                for place in &mut first {
                    if place.map(|(gain, ..)| gain) < next.map(|(gain, ..)| gain) {
                        std::mem::swap(place, &mut next);
                    }
                }
            }
        }
        for (_, i, level) in first.into_iter().flatten() {
            self.streams[i].ceiling = level;
        }
    }

    /// Bit/s of the step up of the most value for its bits, among those that the path prevents.
    fn next_step(&self, worth: &Worth) -> Option<u64> {
        let mut best: Option<(u64, u64)> = None;
        for (i, stream) in self.streams.iter().enumerate() {
            let chosen = self.allocator.chosen(i);
            let chosen = chosen.map(|choice| &stream.candidates[usize::from(choice.option)]);
            let (value, bitrate) = chosen.map_or((0, 0), |c| (worth.of(c), c.bitrate));
            for candidate in stream.masked(stream.within_cpu) {
                if worth.of(candidate) <= value || candidate.bitrate <= bitrate {
                    continue;
                }
                let (gain, cost) = (u64::from(worth.of(candidate) - value), candidate.bitrate - bitrate);
                if best.is_none_or(|(best_gain, best_cost)| gain * best_cost > best_gain * cost) {
                    best = Some((gain, cost));
                }
            }
        }
        best.map(|(_, cost)| cost)
    }

    /// The choices of a stream in the last decision.
    #[cfg(test)]
    pub(super) fn ladder(&self, id: StreamId) -> &super::allocate::Ladder {
        let at = self.streams.binary_search_by_key(&id, |stream| stream.id).unwrap();
        &self.allocator.ladders[at]
    }

    #[cfg(test)]
    pub(super) fn known_streams(&self) -> Vec<StreamId> {
        self.streams.iter().map(|stream| stream.id).collect()
    }

    /// A stream that is known already.
    fn known(&mut self, id: StreamId) -> Option<&mut Stream> {
        let at = self.streams.binary_search_by_key(&id, |stream| stream.id).ok()?;
        self.streams.get_mut(at)
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        let at = match self.streams.binary_search_by_key(&id, |stream| stream.id) {
            Ok(at) => at,
            Err(at) => {
                self.streams.insert(at, Stream::new(id));
                at
            }
        };
        &mut self.streams[at]
    }
}

/// Whether a layer of an offer is possible.
fn is_sound(layer: &LayerOffer) -> bool {
    let LayerOffer { target, bitrate, size, frame_rate, .. } = *layer;
    target.spatial_id < 4
        && target.temporal_id < 8
        && (1..=MAX_BITRATE).contains(&bitrate.max(1))
        && size.is_codable()
        && frame_rate > 0.0
        && frame_rate <= 1000.0
}

/// The refresh that a receiver of `before` needs to go on with `after`.
fn refresh(before: Option<DecodeTarget>, after: Option<DecodeTarget>, offer: &Offer) -> Refresh {
    let Some(target) = after else { return Refresh::NONE };
    let Some(before) = before else { return Refresh::KEY };
    let up = before.spatial_id + 1..=target.spatial_id;
    let switch = match target.spatial_id.cmp(&before.spatial_id) {
        Ordering::Less => offer.down,
        Ordering::Equal => Switch::Free,
        Ordering::Greater => offer.up,
    };
    match switch {
        Switch::Free => Refresh::NONE,
        // Only the way down tells layers that build on each other from independent encodings.
        Switch::LayerRefresh if offer.down == Switch::LayerRefresh => Refresh::layer(target.spatial_id),
        Switch::LayerRefresh => Refresh::layers(up),
        Switch::KeyFrame => Refresh::KEY,
    }
}
