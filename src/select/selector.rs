//! The selector: one receiver's inputs, and the decisions that follow from them.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::allocate::{Allocator, Choice, Ladder};
use super::cpu::Processor;
use super::path::{Budget, Path};
use super::value::{MAX_VALUE, quality, value};
use super::{
    Cap, Cpu, Decision, LayerOffer, MAX_BITRATE, MAX_LAYERS, Network, Offer, Reason, ReceiverReport, Refresh,
    StreamDecision, StreamId, Switch, Window,
};
use crate::structure::DecodeTarget;

/// How careful a selector is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SelectorConfig {
    /// Share of the available bitrate that is left free, 0 to 1.
    pub headroom: f32,
    /// Share of the processor's time for decoding that is used, 0 to 1.
    pub cpu_share: f32,
    /// Share of lost packets above which bits are kept back for redundancy, 0 to 1.
    pub loss_threshold: f32,
    /// How long the path has to carry more before more is used of it; at most 15 s.
    pub settle: Duration,
    /// How long the path has to carry more before a higher spatial layer follows; at most 15 s.
    pub up_hold: Duration,
    /// The longest pause after congestion and failures, each of which doubles [`Self::up_hold`].
    pub max_hold: Duration,
    /// The shortest time of a probe; four round trips if that is more, up to four times this.
    pub probe_duration: Duration,
    /// How long minimum service goes on that the path is said not to carry, before streams are paused.
    pub patience: Duration,
    /// How many spatial switches a minute a stream may come to because of path and processor. It rises only
    /// where one is left to fall with; with the last one it falls as low as it may have to.
    pub max_switches: u8,
    /// A lower spatial layer has to be worth a switch by this share of the best that the present one is worth.
    pub switch_cost: f32,
}

impl Default for SelectorConfig {
    fn default() -> Self {
        Self {
            headroom: 0.05,
            cpu_share: 0.8,
            loss_threshold: 0.05,
            settle: Duration::from_secs(1),
            up_hold: Duration::from_secs(10),
            max_hold: Duration::from_secs(60),
            probe_duration: Duration::from_millis(500),
            patience: Duration::from_secs(60),
            max_switches: 4,
            switch_cost: 0.3,
        }
    }
}

/// Switches are counted over this time.
const MINUTE: Duration = Duration::from_secs(60);

/// A decode target of an offer, and what it is worth in the stream's window.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    target: DecodeTarget,
    bitrate: u64,
    /// Luma samples a second.
    samples: u64,
    value: u32,
}

impl Candidate {
    fn level(&self) -> u8 {
        self.target.spatial_id + 1
    }
}

/// Which candidates may be taken: bit i for the ith.
type Mask = u16;
const _: () = assert!(MAX_LAYERS <= Mask::BITS as usize);

#[derive(Debug, Clone)]
struct Stream {
    id: StreamId,
    offer: Offer,
    window: Window,
    cap: Cap,
    /// Whether the candidates are to be made anew.
    stale: bool,
    /// In the order of their bitrates.
    candidates: ArrayVec<Candidate, MAX_LAYERS>,
    /// The candidates in the order of their samples.
    by_samples: ArrayVec<u8, MAX_LAYERS>,
    /// What the caps leave, what of this the window does, and what of this the processor does.
    within_cap: Mask,
    within_window: Mask,
    within_cpu: Mask,
    /// The target decided last.
    held: Option<DecodeTarget>,
    /// Whether it may rise at once, as its window was hidden or smaller before.
    fresh: bool,
    /// The highest level that it may be given now: its spatial layer + 1, 0 for none.
    ceiling: u8,
    /// Whether it may fall only once more, so that it falls as low as it may have to.
    one_fall: bool,
    /// The latest switches for want of bits or time, oldest first.
    switches: ArrayVec<Duration, 8>,
    /// Whether the last report has a window and a cap for it.
    named: (bool, bool),
}

/// Which of a candidate's costs is shared out.
#[derive(Clone, Copy)]
enum Resource {
    Bitrate,
    Samples,
}

impl Stream {
    fn new(id: StreamId) -> Self {
        Self {
            id,
            offer: Offer::default(),
            window: Window::default(),
            cap: Cap::default(),
            stale: true,
            candidates: ArrayVec::new(),
            by_samples: ArrayVec::new(),
            within_cap: 0,
            within_window: 0,
            within_cpu: 0,
            held: None,
            fresh: true,
            ceiling: 0,
            one_fall: false,
            switches: ArrayVec::new(),
            named: (false, false),
        }
    }

    fn visible(&self) -> bool {
        self.window.visible && self.window.width > 0 && self.window.height > 0
    }

    /// Makes the candidates anew, and what caps and window leave of them.
    fn refresh(&mut self, all: &Cap) {
        self.stale = false;
        self.candidates.clear();
        self.by_samples.clear();
        (self.within_cap, self.within_window) = (0, 0);
        if !self.visible() {
            return;
        }
        let layers = &self.offer.layers;
        let mut order: ArrayVec<u8, MAX_LAYERS> = (0..layers.len() as u8).collect();
        order.sort_unstable_by_key(|&i| (layers[usize::from(i)].bitrate, layers[usize::from(i)].target));
        for layer in order.iter().map(|&i| &layers[usize::from(i)]) {
            let of_same = layers.iter().filter(|other| other.target.spatial_id == layer.target.spatial_id);
            let top = of_same.max_by_key(|other| other.target.temporal_id).unwrap_or(layer);
            let bit = 1 << self.candidates.len();
            if within(layer, &self.cap) && within(layer, all) {
                self.within_cap |= bit;
                if shows(&self.window, layer, layers) {
                    self.within_window |= bit;
                }
            }
            self.candidates.push(Candidate {
                target: layer.target,
                bitrate: layer.bitrate,
                samples: layer.luma_samples.clamp(1, MAX_BITRATE),
                value: value(layer, quality(top), &self.window),
            });
        }
        let candidates = &self.candidates;
        self.by_samples.extend(0..candidates.len() as u8);
        self.by_samples.sort_unstable_by_key(|&i| (candidates[usize::from(i)].samples, i));
    }

    /// The held target, if it is among those of `mask`.
    fn held_in(&self, mask: Mask) -> Option<&Candidate> {
        let held = self.held?;
        self.masked(mask).find(|candidate| candidate.target == held)
    }

    /// Bit/s of the lowest frame rate of the spatial layer that is held, or of all where none is.
    fn keeps(&self) -> Option<u64> {
        let level = self.held_in(self.within_cpu).map(Candidate::level);
        let kept = self.masked(self.within_cpu).filter(|c| level.is_none_or(|level| c.level() == level));
        kept.map(|candidate| candidate.bitrate).min()
    }

    fn masked(&self, mask: Mask) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().enumerate().filter(move |(i, _)| mask >> i & 1 != 0).map(|(_, c)| c)
    }

    /// The most that any of the candidates of `mask` is worth.
    fn top(&self, mask: Mask) -> u32 {
        self.masked(mask).map(|candidate| candidate.value).max().unwrap_or(0)
    }

    /// The ladder of the candidates of `mask` up to the ceiling. The spatial layer that is held, and all above,
    /// get a bonus, which a switch down has to be worth.
    fn ladder(&self, ladder: &mut Ladder, mask: Mask, ceiling: u8, resource: Resource, worth: &Worth) {
        ladder.clear();
        let held = self.held_in(mask).map_or((u8::MAX, 0), |held| {
            let of_level = self.masked(mask).filter(|c| c.level() == held.level());
            let most = of_level.map(|c| worth.of(c)).max().unwrap_or(0);
            (held.level(), (f64::from(most) * worth.switch_cost) as u32)
        });
        for i in 0..self.candidates.len() {
            let option = match resource {
                Resource::Bitrate => i as u8,
                Resource::Samples => self.by_samples[i],
            };
            let candidate = &self.candidates[usize::from(option)];
            let between = self.one_fall && (2..held.0).contains(&candidate.level());
            if mask >> option & 1 == 0 || candidate.level() > ceiling || between {
                continue;
            }
            let cost = match resource {
                Resource::Bitrate => candidate.bitrate,
                Resource::Samples => candidate.samples,
            };
            let bonus = if candidate.level() >= held.0 { held.1 } else { 0 };
            ladder.push(Choice { cost, value: (worth.of(candidate) + bonus).min(MAX_VALUE), option });
        }
    }

    /// How many more switches the last minute leaves it.
    fn switches_left(&mut self, now: Duration, config: &SelectorConfig) -> u8 {
        self.switches.retain(|at| now.saturating_sub(*at) < MINUTE);
        config.max_switches.saturating_sub(self.switches.len() as u8)
    }

    fn switched(&mut self, now: Duration) {
        if self.switches.is_full() {
            self.switches.remove(0);
        }
        self.switches.push(now);
    }
}

/// Whether a cap leaves a layer.
fn within(layer: &LayerOffer, cap: &Cap) -> bool {
    cap.max_spatial_id.is_none_or(|max| layer.target.spatial_id <= max)
        && cap.max_temporal_id.is_none_or(|max| layer.target.temporal_id <= max)
        && cap.max_height.is_none_or(|max| layer.height <= max)
        && cap.max_frame_rate.is_none_or(|max| layer.frame_rate <= max * RATE_TOLERANCE)
        && cap.max_bitrate.is_none_or(|max| layer.bitrate <= max)
}

/// 29.97 is 30.
const RATE_TOLERANCE: f32 = 1.01;

/// Whether a window can show a layer: no smaller one fills it, and its frame rate is of use or its picture size
/// has no lower one.
fn shows(window: &Window, layer: &LayerOffer, layers: &[LayerOffer]) -> bool {
    let samples = |layer: &LayerOffer| u64::from(layer.width) * u64::from(layer.height);
    let filled = layers.iter().any(|other| {
        samples(other) < samples(layer) && (other.width >= window.width || other.height >= window.height)
    });
    let fast = window.max_frame_rate.is_some_and(|max| layer.frame_rate > max * RATE_TOLERANCE)
        && layers.iter().any(|other| {
            other.target.spatial_id == layer.target.spatial_id && other.frame_rate < layer.frame_rate
        });
    !filled && !fast
}

/// What candidates are worth under loss: each spatial layer that one is built of has to arrive.
struct Worth {
    /// By spatial layer, in 1/65536.
    arrives: [u64; 4],
    switch_cost: f64,
}

impl Worth {
    fn new(loss: f64, config: &SelectorConfig) -> Self {
        let arrives = if loss > f64::from(config.loss_threshold) { 1.0 - loss } else { 1.0 };
        let mut share = 65536.0;
        let arrives = [(); 4].map(|()| {
            let this = share as u64;
            share *= arrives;
            this
        });
        Self { arrives, switch_cost: f64::from(config.switch_cost.clamp(0.0, 1.0)) }
    }

    fn of(&self, candidate: &Candidate) -> u32 {
        let arrives = self.arrives[usize::from(candidate.target.spatial_id & 3)];
        ((u64::from(candidate.value) * arrives) >> 16).max(1) as u32
    }
}

/// Decides which decode target of each stream one receiver gets. See the [module](super) for how.
#[derive(Debug, Clone)]
pub struct Selector {
    config: SelectorConfig,
    path: Path,
    processor: Processor,
    cap: Cap,
    /// In the order of their numbers.
    streams: Vec<Stream>,
    allocator: Allocator,
    /// Since when the minimum service does not fit.
    short_since: Option<Duration>,
    decision: Decision,
}

impl Selector {
    /// A selector that knows of nothing yet.
    pub fn new(config: SelectorConfig) -> Self {
        Self {
            config,
            path: Path::new(),
            processor: Processor::default(),
            cap: Cap::default(),
            streams: Vec::new(),
            allocator: Allocator::default(),
            short_since: None,
            decision: Decision::default(),
        }
    }

    /// Takes what is known of the path. To be called at least each second, for an old estimate lets nothing rise;
    /// one without an available bitrate leaves the last one as old as it is.
    pub fn set_network(&mut self, now: Duration, network: Network) {
        self.path.set(now, network, &self.config);
    }

    /// Takes what is known of the receiver's processor. A load belongs to the targets of the last decision.
    pub fn set_cpu(&mut self, now: Duration, cpu: &Cpu) {
        let in_use = self.streams.iter().filter_map(|stream| Some(stream.held_in(Mask::MAX)?.samples)).sum();
        self.processor.set(now, cpu, in_use, &self.config);
    }

    /// Takes a stream's window.
    pub fn set_window(&mut self, _now: Duration, stream: StreamId, window: Window) {
        let stream = self.stream(stream);
        let old = stream.window;
        if old != window {
            stream.fresh |= window.width > old.width
                || window.height > old.height
                || window.priority > old.priority
                || window.max_frame_rate.unwrap_or(f32::INFINITY)
                    > old.max_frame_rate.unwrap_or(f32::INFINITY);
            stream.window = window;
            stream.stale = true;
        }
    }

    /// Takes a stream's layers, with bitrates as last measured.
    pub fn set_offer(&mut self, _now: Duration, stream: StreamId, offer: &Offer) {
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

    /// Takes the cap of a stream, or of every stream and their total.
    pub fn set_cap(&mut self, _now: Duration, stream: Option<StreamId>, cap: Cap) {
        match stream {
            Some(stream) => {
                let stream = self.stream(stream);
                let changed = stream.cap != cap;
                stream.fresh |= changed;
                stream.stale |= changed;
                stream.cap = cap;
            }
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

    /// Takes a receiver's report: windows, processor and caps. A stream that it does not name is hidden and
    /// without a cap, and forgotten if nothing is on offer of it either.
    pub fn set_report(&mut self, now: Duration, report: &ReceiverReport) {
        for stream in &mut self.streams {
            stream.named = (false, false);
        }
        for (id, window) in &report.windows {
            self.set_window(now, *id, *window);
            self.stream(*id).named.0 = true;
        }
        for (id, cap) in report.caps.iter().filter_map(|(id, cap)| Some((id.as_ref()?, cap))) {
            self.set_cap(now, Some(*id), *cap);
            self.stream(*id).named.1 = true;
        }
        for i in 0..self.streams.len() {
            let Stream { id, named: (window, cap), .. } = self.streams[i];
            if !window {
                self.set_window(now, id, Window::default());
            }
            if !cap {
                self.set_cap(now, Some(id), Cap::default());
            }
        }
        let of_all = report.caps.iter().rev().find(|(id, _)| id.is_none());
        self.set_cap(now, None, of_all.map_or(Cap::default(), |(_, cap)| *cap));
        if let Some(cpu) = &report.cpu {
            self.set_cpu(now, cpu);
        }
        self.streams.retain(|stream| stream.named != (false, false) || !stream.offer.layers.is_empty());
    }

    /// Forgets a stream.
    pub fn remove_stream(&mut self, stream: StreamId) {
        self.streams.retain(|known| known.id != stream);
    }

    /// Decides anew, for `now`. Nothing is allocated unless streams are new.
    pub fn decide(&mut self, now: Duration) -> &Decision {
        let config = self.config;
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
        let fits = self.share_minimum(now, bits, cap, &worth);

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
        let (mut fell, mut rose) = (false, false);
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
                refresh: refresh(stream.held, target, &stream.offer),
                utility,
            });
            let level = |target: Option<DecodeTarget>| target.map_or(0, |target| target.spatial_id + 1);
            let (before, after) = (level(stream.held), level(target));
            // A switch is the path's or the processor's doing where window, caps and offer did not call for it.
            let forced = after < before && stream.held_in(stream.within_window).is_some();
            let risen = after > before && after > 1 && !stream.fresh;
            fell |= forced;
            rose |= risen;
            if (forced || risen) && before.max(after) > 1 {
                stream.switched(now);
            }
            stream.held = target;
            let paused = matches!(reason, Reason::Hidden | Reason::NotOnOffer | Reason::Cap);
            stream.fresh = target.is_none() && paused;
        }
        let congested = budget.is_some_and(|budget| budget.now < in_use);
        self.path.decided(now, congested, fell, rose, &config);
        let wanted = self.next_step(&worth).map(|step| total + step).filter(|wanted| *wanted <= cap);
        let decision = &mut self.decision;
        decision.probe = wanted.and_then(|wanted| self.path.probe(now, wanted, !fits, &config));
        decision.total_bitrate = total;
        decision.budget = budget.map(|_| bits).or(self.cap.max_bitrate);
        decision.redundancy = budget.map(|budget| budget.unprotected.saturating_sub(total));
        decision
    }

    /// Limits each stream to what the processor decodes, shared out as if bits cost nothing, and equals alike.
    /// Whether that leaves every stream its minimum.
    fn share_cpu(&mut self, now: Duration, worth: &Worth) -> bool {
        let Some(capacity) = self.processor.capacity(now) else {
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

    /// Shares `bits` out among what is below the ceilings. Whether every stream has its minimum within them.
    fn share_bits(&mut self, bits: u64, worth: &Worth) -> bool {
        for (stream, ladder) in self.streams.iter().zip(&mut self.allocator.ladders) {
            stream.ladder(ladder, stream.within_cpu, stream.ceiling, Resource::Bitrate, worth);
        }
        self.allocator.share(self.streams.len(), bits)
    }

    /// Shares `bits` out. Where the minimum does not fit for once, what there is of it stays for a while, if `cap`
    /// lets it.
    fn share_minimum(&mut self, now: Duration, bits: u64, cap: u64, worth: &Worth) -> bool {
        if self.share_bits(bits, worth) {
            self.short_since = None;
            return true;
        }
        let since = *self.short_since.get_or_insert(now);
        let minimum = self.minimum_in_use();
        if minimum > bits && minimum <= cap && now.saturating_sub(since) < self.config.patience {
            self.allocator.share(self.streams.len(), minimum);
        }
        false
    }

    /// Bit/s of the minimum service of the streams that are not paused now.
    fn minimum_in_use(&self) -> u64 {
        let lowest = |stream: &Stream| {
            stream.held_in(stream.within_cpu)?;
            stream.masked(stream.within_cpu).map(|candidate| candidate.bitrate).min()
        };
        self.streams.iter().filter_map(lowest).sum()
    }

    /// Sets how high each stream may go: where it is, unless it is fresh or what the path has proven to carry
    /// lets it rise. The outer `None` is a path of which nothing is known, the inner one of which nothing is
    /// proven.
    fn set_ceilings(&mut self, now: Duration, proven: Option<Option<u64>>, worth: &Worth) {
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
            // Minimum service is nobody's to wait for.
            .max(1);
            let above = |c: &Candidate| c.level() > level.max(1) && c.level() <= stream.ceiling;
            higher |= !stream.fresh && stream.masked(stream.within_cpu).any(above);
        }
        let Some(Some(proven)) = proven.filter(|_| higher) else { return };
        self.share_bits(proven, worth);
        for (i, stream) in self.streams.iter_mut().enumerate().filter(|(_, stream)| !stream.fresh) {
            let level = stream.held.map_or(0, |held| held.spatial_id + 1);
            let chosen = self.allocator.chosen(i);
            let reached = chosen.map_or(0, |choice| stream.candidates[usize::from(choice.option)].level());
            stream.ceiling = level.max(reached).max(1);
        }
    }

    /// Bit/s of the step up that is worth most for its bits, of those that the path keeps back.
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

    /// The choices that the last decision had for a stream.
    #[cfg(test)]
    pub(super) fn ladder(&self, id: StreamId) -> &Ladder {
        let at = self.streams.binary_search_by_key(&id, |stream| stream.id).unwrap();
        &self.allocator.ladders[at]
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

/// What bounds the bits, for the reasons.
struct Limits {
    /// Bit/s left over.
    spare: u64,
    /// Whether the path bounds them or the cap on all streams.
    network: Reason,
    /// Bit/s kept back against loss.
    kept_back: u64,
}

impl Stream {
    /// Which input keeps the stream from more than `chosen`.
    fn reason(&self, chosen: Option<&Candidate>, limits: &Limits, worth: &Worth) -> Reason {
        let value = chosen.map_or(0, |candidate| candidate.value);
        if !self.visible() {
            return Reason::Hidden;
        }
        if self.candidates.is_empty() {
            return Reason::NotOnOffer;
        }
        if value < self.top(self.within_cpu) {
            let bitrate = chosen.map_or(0, |candidate| candidate.bitrate);
            let under_loss = chosen.map_or(0, |candidate| worth.of(candidate));
            let mut better =
                self.masked(self.within_cpu).filter(|candidate| worth.of(candidate) > under_loss);
            let Some(better) = better.next() else { return Reason::Loss };
            let cost = better.bitrate.saturating_sub(bitrate);
            return if cost <= limits.spare {
                Reason::Proving
            } else if cost <= limits.spare + limits.kept_back {
                Reason::Loss
            } else {
                limits.network
            };
        }
        let higher =
            |mask: Mask| self.masked(mask).any(|c| chosen.is_none_or(|chosen| c.target > chosen.target));
        if value < self.top(self.within_window) {
            Reason::Cpu
        } else if higher(self.within_cap & !self.within_window) {
            Reason::Window
        } else if higher(!self.within_cap) {
            Reason::Cap
        } else {
            Reason::Full
        }
    }
}

/// Whether a layer of an offer is one that can be.
fn is_sound(layer: &LayerOffer) -> bool {
    let LayerOffer { target, bitrate, width, height, frame_rate, .. } = *layer;
    target.spatial_id < 4
        && target.temporal_id < 8
        && (1..=MAX_BITRATE).contains(&bitrate.max(1))
        && (1..=65536).contains(&width)
        && (1..=65536).contains(&height)
        && frame_rate > 0.0
        && frame_rate <= 1000.0
}

/// What to ask for between two targets.
fn refresh(before: Option<DecodeTarget>, after: Option<DecodeTarget>, offer: &Offer) -> Option<Refresh> {
    let target = after?;
    let Some(before) = before else { return Some(Refresh::Key) };
    let switch = match target.spatial_id.cmp(&before.spatial_id) {
        std::cmp::Ordering::Less => offer.down,
        std::cmp::Ordering::Equal => Switch::Free,
        std::cmp::Ordering::Greater => offer.up,
    };
    match switch {
        Switch::Free => None,
        Switch::LayerRefresh => Some(Refresh::Layer { target }),
        Switch::KeyFrame => Some(Refresh::Key),
    }
}
