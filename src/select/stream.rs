//! A stream as a selector knows it: its candidates, their values, and its recent switches.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::allocate::{Choice, Ladder};
use super::config::SelectorConfig;
use super::decision::Reason;
use super::input::{Cap, LayerOffer, MAX_BITRATE, MAX_LAYERS, Offer, StreamId, Window};
use super::value::{MAX_VALUE, quality, value};
use crate::Time;
use crate::structure::{DecodeTarget, Refresh};

/// Switches are counted over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// Falls within this time of each other are steps of one: a drop of the path is not known at once.
const ONE_FALL: Duration = Duration::from_secs(2);

/// A decode target of an offer, and its value in the stream's window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub target: DecodeTarget,
    pub bitrate: u64,
    /// Luma samples a second.
    pub samples: u64,
    pub value: u32,
}

impl Candidate {
    pub fn level(&self) -> u8 {
        self.target.spatial_id + 1
    }
}

/// The candidates that may be taken: bit i for the ith.
pub(super) type Mask = u16;
const _: () = assert!(MAX_LAYERS <= Mask::BITS as usize);

#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub id: StreamId,
    pub offer: Offer,
    pub window: Window,
    pub cap: Cap,
    /// Whether the candidates are to be made anew.
    pub stale: bool,
    /// In the order of their bitrates.
    pub candidates: ArrayVec<Candidate, MAX_LAYERS>,
    /// The candidates in the order of their samples.
    pub by_samples: ArrayVec<u8, MAX_LAYERS>,
    /// The candidates that the caps leave; of these, the ones that the window shows; and of these, the ones
    /// that the processor decodes.
    pub within_cap: Mask,
    pub within_window: Mask,
    pub within_cpu: Mask,
    /// The target decided last.
    pub held: Option<DecodeTarget>,
    /// Whether it may rise at once, because its window was hidden or smaller before.
    pub fresh: bool,
    /// The highest level that it may be given now: its spatial layer + 1, 0 for none.
    pub ceiling: u8,
    /// Whether it may fall only once more, so that it falls as low as it may have to.
    pub one_fall: bool,
    /// The latest switches for want of bits or time, oldest first.
    pub switches: ArrayVec<Time, 8>,
    /// When it fell, if the last of them was a fall.
    fell: Option<Time>,
    /// The refresh that the receiver needs and that was not asked for yet.
    owed: Refresh,
    /// When a refresh was last asked for.
    asked: Option<Time>,
    /// Whether the last report has a window and a cap for it.
    pub named: (bool, bool),
}

/// Which of a candidate's costs is shared out.
#[derive(Clone, Copy)]
pub(super) enum Resource {
    Bitrate,
    Samples,
}

impl Stream {
    pub fn new(id: StreamId) -> Self {
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
            fell: None,
            owed: Refresh::NONE,
            asked: None,
            named: (false, false),
        }
    }

    pub fn set_window(&mut self, window: Window) {
        let old = self.window;
        if old != window {
            self.fresh |= window.size.width > old.size.width
                || window.size.height > old.size.height
                || window.priority > old.priority
                || window.max_frame_rate.unwrap_or(f32::INFINITY)
                    > old.max_frame_rate.unwrap_or(f32::INFINITY);
            self.window = window;
            self.stale = true;
        }
    }

    pub fn set_cap(&mut self, cap: Cap) {
        let changed = self.cap != cap;
        self.fresh |= changed;
        self.stale |= changed;
        self.cap = cap;
    }

    /// The refresh to ask the sender for now, with a target that needs this one.
    pub fn ask(
        &mut self,
        now: Time,
        target: Option<DecodeTarget>,
        needs: Refresh,
        config: &SelectorConfig,
    ) -> Refresh {
        self.owed = match target {
            // To start again takes a key picture in any case.
            None => Refresh::NONE,
            Some(target) => self.owed.up_to(target.spatial_id).union(needs),
        };
        let early = self.asked.is_some_and(|asked| now - asked < config.refresh_interval);
        if early || self.owed.is_none() {
            return Refresh::NONE;
        }
        self.asked = Some(now);
        std::mem::take(&mut self.owed)
    }

    pub fn visible(&self) -> bool {
        self.window.visible && self.window.size.samples() > 0
    }

    /// Makes the candidates anew, and finds those that caps and window leave.
    pub fn refresh(&mut self, all: &Cap) {
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
    pub fn held_in(&self, mask: Mask) -> Option<&Candidate> {
        let held = self.held?;
        self.masked(mask).find(|candidate| candidate.target == held)
    }

    /// Bit/s of the lowest frame rate of the spatial layer that is held, or of all if none is.
    pub fn keeps(&self) -> Option<u64> {
        let level = self.held_in(self.within_cpu).map(Candidate::level);
        let kept = self.masked(self.within_cpu).filter(|c| level.is_none_or(|level| c.level() == level));
        kept.map(|candidate| candidate.bitrate).min()
    }

    pub fn masked(&self, mask: Mask) -> impl Iterator<Item = &Candidate> {
        self.candidates.iter().enumerate().filter(move |(i, _)| mask >> i & 1 != 0).map(|(_, c)| c)
    }

    /// The most that any of the candidates of `mask` is worth.
    fn top(&self, mask: Mask) -> u32 {
        self.masked(mask).map(|candidate| candidate.value).max().unwrap_or(0)
    }

    /// The ladder of the candidates of `mask` up to the ceiling. The spatial layer that is held, and all
    /// above, get a bonus, which a switch down has to be worth.
    pub fn ladder(&self, ladder: &mut Ladder, mask: Mask, ceiling: u8, resource: Resource, worth: &Worth) {
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
    pub fn switches_left(&mut self, now: Time, config: &SelectorConfig) -> u8 {
        self.switches.retain(|at| now - *at < MINUTE);
        config.max_switches.saturating_sub(self.switches.len() as u8)
    }

    /// Counts a switch, a fall or a rise.
    pub fn switched(&mut self, now: Time, fell: bool) {
        let goes_on = fell && self.fell.is_some_and(|at| now - at < ONE_FALL);
        self.fell = fell.then_some(now);
        if goes_on {
            self.switches.pop();
        } else if self.switches.is_full() {
            self.switches.remove(0);
        }
        self.switches.push(now);
    }
}

/// Whether a cap leaves a layer.
fn within(layer: &LayerOffer, cap: &Cap) -> bool {
    cap.max_spatial_id.is_none_or(|max| layer.target.spatial_id <= max)
        && cap.max_temporal_id.is_none_or(|max| layer.target.temporal_id <= max)
        && cap.max_height.is_none_or(|max| layer.size.height <= max)
        && cap.max_frame_rate.is_none_or(|max| layer.frame_rate <= max * RATE_TOLERANCE)
        && cap.max_bitrate.is_none_or(|max| layer.bitrate <= max)
}

/// 29.97 is 30.
const RATE_TOLERANCE: f32 = 1.01;

/// Whether a window can show a layer: no smaller one fills it, and its frame rate is of use or its picture
/// size has no lower one.
fn shows(window: &Window, layer: &LayerOffer, layers: &[LayerOffer]) -> bool {
    let filled = layers.iter().any(|other| {
        other.size.samples() < layer.size.samples()
            && (other.size.width >= window.size.width || other.size.height >= window.size.height)
    });
    let fast = window.max_frame_rate.is_some_and(|max| layer.frame_rate > max * RATE_TOLERANCE)
        && layers.iter().any(|other| {
            other.target.spatial_id == layer.target.spatial_id && other.frame_rate < layer.frame_rate
        });
    !filled && !fast
}

/// The value of candidates under loss: each spatial layer that one is built of has to arrive.
pub(super) struct Worth {
    /// By spatial layer, in 1/65536.
    arrives: [u64; 4],
    switch_cost: f64,
}

impl Worth {
    pub fn new(loss: f64, config: &SelectorConfig) -> Self {
        let arrives = if loss > f64::from(config.loss_threshold) { 1.0 - loss } else { 1.0 };
        let mut share = 65536.0;
        let arrives = [(); 4].map(|()| {
            let this = share as u64;
            share *= arrives;
            this
        });
        Self { arrives, switch_cost: f64::from(config.switch_cost.clamp(0.0, 1.0)) }
    }

    pub fn of(&self, candidate: &Candidate) -> u32 {
        let arrives = self.arrives[usize::from(candidate.target.spatial_id & 3)];
        ((u64::from(candidate.value) * arrives) >> 16).max(1) as u32
    }
}

/// The bounds on the bits, for the reasons.
pub(super) struct Limits {
    /// Bit/s left over.
    pub spare: u64,
    /// Whether the path or the cap on all streams bounds them.
    pub network: Reason,
    /// Bit/s kept back against loss.
    pub kept_back: u64,
}

impl Stream {
    /// Which input keeps the stream from more than `chosen`.
    pub fn reason(&self, chosen: Option<&Candidate>, limits: &Limits, worth: &Worth) -> Reason {
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
