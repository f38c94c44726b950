//! From whole frames to temporal units that can be decoded, for the decode target that is shown.
//!
//! The buffer goes by what the Dependency Descriptor says of each frame (AV1 RTP specification, Appendix A):
//! the frames that it refers to (`frame_diffs`), the decode targets that it belongs to, and the frame before it
//! in each chain (A.5). Hand it frames only once they have been opened, so that all of this is the sender's word;
//! what a relay may change (RTP timestamp, marker bit, active decode targets) decides only how long the buffer
//! waits and what it groups, never whether a frame can be decoded.
//!
//! # When a temporal unit is handed on
//! As soon as every frame of the picture that the decode target needs is there. Pictures go out in the order of
//! their frame numbers, so a gap holds up what follows it, unless [`FrameBuffer::settle`] has said that nothing
//! more comes below. How long the buffer waits for a frame depends on what it would lose without it
//! ([`FrameBufferConfig`]): the longest for the chain of the lowest spatial layer, without which nothing can be shown,
//! and the shortest for a frame in no chain, which costs but one picture or two.
//!
//! # Old frames, and senders that count anew
//! Frame numbers have 16 bits. If frames come with their [order](SealedOrder), the buffer unwraps 24 bits, and believes
//! only the order: within an epoch nothing goes back, so a key picture that a relay held back comes too late. A sender
//! whose numbers go back has keys of a later epoch, and its first key picture makes the buffer start anew. A frame far
//! ahead of all others counts once no other has come for a second, as a frame forged by somebody with the key could
//! otherwise make those of the sender late.
//!
//! Frames in the clear have no such order, and a relay can do with them what it likes anyway. Of these a key picture
//! more than 4096 frames back starts the buffer anew, and so does any frame after two minutes without one, by when its
//! number may have come around.
//!
//! # When a chain is broken
//! The buffer goes on with the best decode target below whose chain is whole, and asks for a
//! refresh of the layers above it; if there is no such target, it asks for a key frame. The wanted target comes back
//! at a frame with a switch indication for it (A.7).

mod config;
mod event;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

pub use config::FrameBufferConfig;
pub use event::{DropReason, FrameBufferEvent};

use super::decodable::MAX_SPATIAL_LAYERS;
pub use super::decodable::{DecodableFrame, DecodableUnit};
use super::descriptor::{DecodeTargetIndication, DependencyStructure, MAX_DECODE_TARGETS};
use super::frame::{OpenedFrame, SealedOrder};
use super::list::List;
use super::numbers::{Decoded, MAX_FRAME_DIFF, nearest, unwrap};
use crate::Time;
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// Frames that may be missing before a frame, and one more for each millisecond since the last, for its number to be
/// one that its sender can have come to.
const MAX_AHEAD: u64 = 64;

/// A frame farther ahead is believed once no other has come for so long.
const SILENCE: Duration = Duration::from_secs(1);

/// Without frames for so long, the 16 bits of their numbers may have come half around, of 273 frames a second.
const MAX_PAUSE: Duration = Duration::from_secs(120);

/// Structures whose frames share one copy: that of the running coded video sequence, and those just before and after.
const MAX_STRUCTURES: usize = 3;

#[derive(Debug)]
struct Held {
    /// The frame number, counted on beyond 16 bits.
    number: u64,
    arrived: Time,
    /// When the first of this frame and those after it arrived.
    since: Time,
    known: Arc<Known>,
    frame: OpenedFrame,
}

impl Held {
    fn indication(&self, target: usize) -> DecodeTargetIndication {
        let indications = &self.frame.dependencies.decode_target_indications;
        indications.get(target).copied().unwrap_or(DecodeTargetIndication::NotPresent)
    }

    fn is_needed(&self, target: usize) -> bool {
        self.indication(target) != DecodeTargetIndication::NotPresent
    }

    fn is_key(&self) -> bool {
        is_key(&self.frame)
    }

    /// Whether no frame after it in its picture is of the decode target.
    fn ends_picture(&self, target: DecodeTarget) -> bool {
        self.frame.end_of_picture || self.frame.dependencies.layer.spatial_id >= target.spatial_id
    }

    fn chain_diff(&self, chain: Option<usize>) -> u64 {
        let diff = chain.and_then(|chain| self.frame.dependencies.chain_diffs.get(chain));
        diff.copied().unwrap_or(0).into()
    }

    /// Whether it is part of the chain of a target (`PartOfActiveChain` of A.6).
    fn is_in_chain(&self, target: usize, chain: Option<usize>) -> bool {
        let vital = |target| self.indication(target) >= DecodeTargetIndication::Switch;
        match chain {
            None => vital(target),
            Some(chain) => {
                let protected_by = self.frame.structure.protected_by.iter().enumerate();
                protected_by.filter(|(_, by)| usize::from(**by) == chain).all(|(target, _)| vital(target))
            }
        }
    }
}

/// A structure, and what takes long to look up in it.
#[derive(Debug)]
struct Known {
    structure: Arc<DependencyStructure>,
    /// The layer that each decode target shows.
    targets: ArrayVec<LayerId, MAX_DECODE_TARGETS>,
}

impl Known {
    fn new(structure: Arc<DependencyStructure>) -> Self {
        let count = structure.decode_targets.min(MAX_DECODE_TARGETS as u8);
        let targets = (0..count).map(|target| structure.decode_target_layer(target)).collect();
        Self { structure, targets }
    }
}

/// The fate of a frame that another one needs.
enum Fate {
    Decoded,
    Lost,
    /// It may still come.
    Pending,
}

/// The frames that one of a picture refers to.
#[derive(Clone, Copy)]
struct References {
    /// One of those before the picture was lost.
    lost: bool,
    /// Since when the last of those is known to be missing that may still come.
    pending: Option<Time>,
    /// Those in the picture, as bits.
    inside: u8,
}

/// The verdict on a picture for one decode target.
enum Verdict {
    /// The frames with these bits can be decoded, and it is all that will be had of the picture.
    Ready(u8),
    /// The chain is broken.
    Broken,
    /// Something may still come until this time; from the second one on it should be asked for anew, if there is one.
    Wait(Time, Option<Time>),
}

/// Holds frames until they can be decoded.
///
/// After every [`insert`](Self::insert), [`settle`](Self::settle) and at [`next_timeout`](Self::next_timeout),
/// [`poll`](Self::poll) until it has nothing more to say.
#[derive(Debug)]
pub struct FrameBuffer {
    config: FrameBufferConfig,
    target: DecodeTarget,
    /// By frame number.
    frames: VecDeque<Held>,
    bytes: usize,
    events: VecDeque<FrameBufferEvent>,
    decoded: Decoded,
    /// The highest frame number seen.
    highest: Option<u64>,
    /// When the last frame came that was taken.
    last: Time,
    /// The newest epoch seen.
    epoch: u64,
    /// Frames of an epoch before are of a sender that has started anew since.
    first_epoch: u64,
    /// Those of the frames that came last.
    structures: ArrayVec<Arc<Known>, MAX_STRUCTURES>,
    /// Frames below were handed on or never will be.
    next: u64,
    /// Frames below have come, or never will.
    settled: u64,
    /// The structure of the coded video sequence whose key frame was handed on.
    sequence: Option<Arc<DependencyStructure>>,
    /// The chains of all targets were broken at the last picture.
    broken: bool,
    /// The active decode targets, and the frame that said so.
    active: Option<(u64, u32)>,
    last_request: Option<Time>,
    wake: Option<Time>,
}

impl FrameBuffer {
    /// A buffer that waits for its first key frame.
    pub fn new(config: FrameBufferConfig, target: DecodeTarget) -> Self {
        Self {
            config,
            target,
            frames: VecDeque::new(),
            bytes: 0,
            events: VecDeque::new(),
            decoded: Decoded::new(),
            highest: None,
            last: Time::ZERO,
            epoch: 0,
            first_epoch: 0,
            structures: ArrayVec::new(),
            next: 0,
            settled: 0,
            sequence: None,
            broken: false,
            active: None,
            last_request: None,
            wake: None,
        }
    }

    /// Sets the decode target to be shown, from the next picture on. The buffer goes up to it as soon as a frame is
    /// there at which a decoder can switch, and asks for such a frame.
    ///
    /// If a structure has no such decode target, the buffer shows its highest one of no higher layer.
    pub fn set_target(&mut self, target: DecodeTarget) {
        self.target = target;
    }

    /// Sets the waiting times and the limits, as the round-trip time changes.
    pub fn set_config(&mut self, config: FrameBufferConfig) {
        self.config = config;
    }

    /// The decode target to be shown.
    pub fn target(&self) -> DecodeTarget {
        self.target
    }

    /// Frames held.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether no frame is held.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of payload held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all that was received, for a stream of another sender from now on. If the same sender goes on, and its
    /// frames come with their [order](SealedOrder), there is no need to, and a frame from before could be shown again.
    pub fn reset(&mut self) {
        *self = Self { last_request: self.last_request, ..Self::new(self.config, self.target) };
    }

    /// The decoder has lost its references: the next unit handed on will start with a key frame, and one is asked
    /// for.
    pub fn restart(&mut self, now: Time) {
        self.sequence = None;
        self.request_key_frame(now);
    }

    /// A key frame is needed for a reason of the caller's, say since frames come that have no structure: asks for it,
    /// unless something was asked for a short time ago.
    pub fn request_key_frame(&mut self, now: Time) {
        self.request(now, Refresh::KEY);
    }

    /// Takes a frame that arrived at `now`.
    ///
    /// # Errors
    /// [`DropReason::Late`], [`TooFar`](DropReason::TooFar), [`Duplicate`](DropReason::Duplicate) or
    /// [`Full`](DropReason::Full).
    pub fn insert(&mut self, now: Time, mut frame: OpenedFrame) -> Result<(), DropReason> {
        let number = self.place(now, &frame)?;
        let at = self.frames.partition_point(|held| held.number < number);
        if self.frames.get(at).is_some_and(|held| held.number == number) {
            return Err(DropReason::Duplicate);
        }
        let bytes = self.bytes + frame.payload.len();
        if self.frames.len() >= self.config.max_frames || bytes > self.config.max_bytes {
            return Err(DropReason::Full);
        }
        self.bytes = bytes;
        self.highest = Some(self.highest.map_or(number, |highest| highest.max(number)));
        self.last = now;
        self.epoch = self.epoch.max(frame.order.map_or(0, |order| order.epoch));
        let known = self.share_structure(&mut frame);
        let since = self.frames.get(at).map_or(now, |after| after.since.min(now));
        self.frames.insert(at, Held { number, arrived: now, since, known, frame });
        Ok(())
    }

    /// The number of a frame, counted on beyond its bits. If its sender counts anew, so does the buffer.
    fn place(&mut self, now: Time, frame: &OpenedFrame) -> Result<u64, DropReason> {
        let anew = match frame.order {
            Some(order) => (1 << 24) + u64::from(order.number),
            None => (1 << 16) + u64::from(frame.frame_number),
        };
        let Some(highest) = self.highest else { return Ok(anew) };
        let pause = now - self.last;
        let Some(SealedOrder { epoch, number }) = frame.order else {
            let number = unwrap(frame.frame_number, highest);
            if pause >= MAX_PAUSE || is_key(frame) && number + MAX_FRAME_DIFF < self.next {
                self.start_anew();
                return Ok(anew);
            }
            return if number < self.next { Err(DropReason::Late) } else { Ok(number) };
        };
        if epoch < self.first_epoch {
            return Err(DropReason::Late);
        }
        let number = nearest(number.into(), 24, highest);
        let milliseconds = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let too_far = number.saturating_sub(highest) > MAX_AHEAD.saturating_add(milliseconds);
        if number >= self.next && !too_far {
            return Ok(number);
        }
        if epoch > self.epoch && is_key(frame) {
            self.start_anew();
            self.first_epoch = epoch;
            return Ok(anew);
        }
        if epoch > self.epoch {
            // Of a sender that counts anew, and whose key picture was lost.
            self.request_key_frame(now);
        }
        if !too_far {
            Err(DropReason::Late)
        } else if pause < SILENCE {
            Err(DropReason::TooFar)
        } else {
            Ok(number)
        }
    }

    fn start_anew(&mut self) {
        for held in std::mem::take(&mut self.frames) {
            self.drop_held(&held, DropReason::Superseded);
        }
        self.reset_numbers();
    }

    /// Lets the frame share the structure of others, if it is the same: to compare two takes no time then, and each is
    /// held once.
    fn share_structure(&mut self, frame: &mut OpenedFrame) -> Arc<Known> {
        let is_same = |known: &&Arc<Known>| {
            Arc::ptr_eq(&known.structure, &frame.structure) || known.structure == frame.structure
        };
        if let Some(known) = self.structures.iter().find(is_same) {
            frame.structure = Arc::clone(&known.structure);
            return Arc::clone(known);
        }
        let known = Arc::new(Known::new(Arc::clone(&frame.structure)));
        self.structures.truncate(MAX_STRUCTURES - 1);
        self.structures.insert(0, Arc::clone(&known));
        known
    }

    /// Frames below `frame_number` have come, or never will: a gap below it is not waited for.
    pub fn settle(&mut self, frame_number: u16) {
        if let Some(highest) = self.highest {
            let number = unwrap(frame_number, highest);
            self.settled = self.settled.max(number.min(highest + 1));
        }
    }

    /// The next event at the time `now`. The caller polls until it is `None`.
    pub fn poll(&mut self, now: Time) -> Option<FrameBufferEvent> {
        self.wake = None;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.step(now) {
                return self.events.pop_front();
            }
        }
    }

    /// When to poll again if nothing comes before, as the last poll has found.
    pub fn next_timeout(&self) -> Option<Time> {
        self.wake
    }

    fn reset_numbers(&mut self) {
        self.decoded = Decoded::new();
        (self.highest, self.next, self.settled) = (None, 0, 0);
        (self.sequence, self.active) = (None, None);
        self.bytes = 0;
    }

    /// Decides on the first picture that is held; `false` if there is none, or it has to wait.
    fn step(&mut self, now: Time) -> bool {
        let picture = self.picture(0);
        let Some(first) = self.frames.front() else { return false };
        let known = Arc::clone(&first.known);
        let structure = &known.structure;
        for held in self.frames.range(picture.clone()) {
            // A new structure makes all active, unless it comes with a mask.
            let all = held.frame.starts_sequence.then_some(u32::MAX);
            if let Some(mask) = held.frame.active_decode_targets.or(all)
                && self.active.is_none_or(|(number, _)| number < held.number)
            {
                self.active = Some((held.number, mask));
            }
        }
        let full = self.frames.len() >= self.config.max_frames || self.bytes > self.config.max_bytes / 2;
        let started = self.sequence.as_ref().is_some_and(|of| Arc::ptr_eq(of, structure) || of == structure);
        let targets = self.candidates(&known.targets);
        let wanted = targets.first().map(|(target, _)| *target);
        // They are the same for all targets, of which there may be 32.
        let references: ArrayVec<References, MAX_SPATIAL_LAYERS> =
            self.frames.range(picture.clone()).map(|held| self.references(held, &picture)).collect();
        for (target, layer) in targets.iter().copied() {
            let patience = match targets.last() {
                Some((_, lowest)) if lowest.spatial_id < layer.spatial_id => self.config.refresh_after,
                _ => self.config.give_up,
            };
            let judged = (target, layer, patience);
            match self.judge(now, picture.clone(), &references, judged, started, full) {
                Verdict::Broken => {}
                Verdict::Ready(decodable) => {
                    if let Some(&(_, want)) = targets.first().filter(|(wanted, _)| *wanted != target) {
                        // A higher frame rate alone comes back by itself, at the next frame that allows a switch.
                        let refresh = Refresh::layers(layer.spatial_id + 1..=want.spatial_id);
                        if !refresh.is_none() {
                            self.request(now, refresh);
                        }
                    }
                    self.hand_on(picture, decodable, (wanted, target), layer);
                    return true;
                }
                Verdict::Wait(until, refresh_at) => {
                    self.wake = Some(until);
                    if let Some(refresh_at) = refresh_at {
                        self.refresh_while_waiting(now, refresh_at, picture.end);
                    }
                    return targets.first().is_some_and(|wanted| self.skip_to_key(now, picture.end, *wanted));
                }
            }
        }
        if !self.frames.range(picture.end..).any(Held::is_key) {
            self.request(now, Refresh::KEY);
        }
        self.broken = true;
        self.hand_on(picture, 0, (wanted, usize::MAX), LayerId::default());
        true
    }

    /// The frames of one picture from index `start` on: of one timestamp, each of a higher spatial layer than the
    /// one before, as far as they have come.
    fn picture(&self, start: usize) -> Range<usize> {
        let mut end = start;
        while let Some(held) = self.frames.get(end) {
            let same = end == start || {
                let before = &self.frames[end - 1].frame;
                let frame = &held.frame;
                end - start < MAX_SPATIAL_LAYERS
                    && frame.timestamp == before.timestamp
                    && frame.dependencies.layer.spatial_id > before.dependencies.layer.spatial_id
                    && Arc::ptr_eq(&frame.structure, &before.structure)
            };
            if !same {
                break;
            }
            end += 1;
        }
        start..end
    }

    /// The decode targets that may be shown and their layers, best first: the wanted one, or the nearest to
    /// it of those that are active, and below it all that are of no higher layer.
    fn candidates(&self, layers: &[LayerId]) -> ArrayVec<(usize, LayerId), MAX_DECODE_TARGETS> {
        let LayerId { spatial_id, temporal_id } = self.target;
        let mask = self.active.map_or(u32::MAX, |(_, mask)| mask);
        let mut targets: ArrayVec<_, MAX_DECODE_TARGETS> = layers.iter().copied().enumerate().collect();
        targets.retain(|(_, layer)| layer.spatial_id <= spatial_id && layer.temporal_id <= temporal_id);
        if targets.iter().any(|(target, _)| mask >> target & 1 != 0) {
            targets.retain(|(target, _)| mask >> *target & 1 != 0);
        }
        targets.sort_unstable_by_key(|(_, layer)| std::cmp::Reverse(*layer));
        targets
    }

    /// The lowest layer's chain misses a frame: asks for a key picture from `refresh_at` on, unless one has come.
    fn refresh_while_waiting(&mut self, now: Time, refresh_at: Time, from: usize) {
        if self.frames.range(from..).any(Held::is_key) {
            return;
        }
        if refresh_at <= now {
            self.request(now, Refresh::KEY);
        }
        let next =
            self.last_request.map_or(refresh_at, |last| refresh_at.max(last + self.config.request_interval));
        self.wake = self.wake.map(|wake| wake.min(next));
    }

    /// The verdict on a picture, the first that is held, for a decode target, whose chain is waited for with
    /// `patience`. Its sequence may have `started` with a frame before. With `full` it waits for nothing.
    fn judge(
        &self,
        now: Time,
        picture: Range<usize>,
        references: &[References],
        (target, layer, patience): (usize, LayerId, Duration),
        mut started: bool,
        full: bool,
    ) -> Verdict {
        let FrameBufferConfig { give_up, refresh_after, skip_after, .. } = self.config;
        let mut wait = Wait { now, full, until: None };
        let first = &self.frames[picture.start];
        let structure = &first.frame.structure;
        let chain = structure.protected_by.get(target).map(|chain| usize::from(*chain));
        let mut decodable = 0u8;
        let mut intact = true;
        // The waits of the chain.
        let mut chain_wait = Wait { now, full, until: None };
        // A decoder that starts here misses nothing, and nothing that may come before it can be decoded.
        let mut before = if first.is_key() && (!started || self.broken) { first.number } else { self.next };
        for (bit, held) in self.frames.range(picture.clone()).enumerate() {
            // Frames that may still come before this one, and nothing is known of.
            if held.number > before.max(self.settled) {
                wait.until(self.noticed(before) + skip_after);
            }
            before = held.number + 1;

            let diff = held.chain_diff(chain);
            if diff != 0 {
                match self.fate(held.number, diff, &picture, decodable) {
                    Fate::Decoded => {}
                    Fate::Lost => intact = false,
                    Fate::Pending => {
                        intact &= chain_wait.until(self.noticed(held.number.saturating_sub(diff)) + patience);
                    }
                }
            }
            if !held.is_needed(target) {
                continue;
            }
            started |= held.is_key();
            let References { lost, pending, inside } = references[bit];
            if let Some(noticed) = pending {
                wait.until(noticed + skip_after);
            }
            let can_be_decoded = started && !lost && pending.is_none() && inside & !decodable == 0;
            if can_be_decoded {
                decodable |= 1 << bit;
                if held.indication(target) == DecodeTargetIndication::Switch || diff == 0 && chain.is_some() {
                    intact = true;
                    chain_wait.until = None;
                }
            } else if held.is_in_chain(target, chain) {
                intact = false;
            }
        }
        let refresh_at =
            chain_wait.until.filter(|_| patience == give_up).map(|until| until - give_up + refresh_after);
        wait.also(&chain_wait);
        self.wait_for_the_rest(&mut wait, picture, layer, chain);
        match wait.until {
            Some(until) => Verdict::Wait(until, refresh_at),
            None if intact => Verdict::Ready(decodable),
            None => Verdict::Broken,
        }
    }

    /// Waits until no more frames of a picture are to come that the decode target needs.
    fn wait_for_the_rest(
        &self,
        wait: &mut Wait,
        picture: Range<usize>,
        target: DecodeTarget,
        chain: Option<usize>,
    ) {
        let FrameBufferConfig { refresh_after, skip_after, .. } = self.config;
        let last = &self.frames[picture.end - 1];
        if last.ends_picture(target) {
            return;
        }
        match self.frames.get(picture.end) {
            None => {
                wait.until(last.arrived + refresh_after);
            }
            Some(after) if after.number <= self.settled.max(last.number + 1) => {}
            Some(after) => {
                // The next picture tells whether a frame between is of the chain.
                let vital = after.chain_diff(chain);
                let vital = vital != 0 && after.number - last.number > vital;
                wait.until(self.noticed(last.number + 1) + if vital { refresh_after } else { skip_after });
            }
        }
    }

    /// What becomes of the frame `diff` before frame `number`, which is of `picture`; of that, the frames with the
    /// bits `decodable` can be decoded as far as they have been looked at.
    fn fate(&self, number: u64, diff: u64, picture: &Range<usize>, decodable: u8) -> Fate {
        let Some(needed) = number.checked_sub(diff) else { return Fate::Lost };
        if needed < self.next {
            return if self.decoded.contains(needed) { Fate::Decoded } else { Fate::Lost };
        }
        let mut of_picture = self.frames.range(picture.clone()).enumerate();
        if let Some((bit, _)) = of_picture.find(|(_, held)| held.number == needed) {
            return if decodable >> bit & 1 != 0 { Fate::Decoded } else { Fate::Lost };
        }
        if needed < self.settled { Fate::Lost } else { Fate::Pending }
    }

    /// What is known of the frames that one of a picture refers to.
    fn references(&self, held: &Held, picture: &Range<usize>) -> References {
        let mut references = References { lost: false, pending: None, inside: 0 };
        for diff in &held.frame.dependencies.frame_diffs {
            let needed = held.number.saturating_sub(u64::from(*diff));
            let mut of_picture = self.frames.range(picture.clone());
            if let Some(bit) = of_picture.position(|held| held.number == needed) {
                references.inside |= 1 << bit;
                continue;
            }
            match self.fate(held.number, u64::from(*diff), picture, 0) {
                Fate::Decoded => {}
                Fate::Lost => references.lost = true,
                Fate::Pending => references.pending = references.pending.max(Some(self.noticed(needed))),
            }
        }
        references
    }

    /// Since when a frame is known to be missing: a later one has come.
    fn noticed(&self, missing: u64) -> Time {
        let later = self.frames.partition_point(|held| held.number <= missing);
        self.frames.get(later).map(|held| held.since).unwrap_or_default()
    }

    /// Drops all frames before a key picture that is complete, if the picture before it has waited long enough.
    fn skip_to_key(&mut self, now: Time, from: usize, (target, layer): (usize, LayerId)) -> bool {
        let mut start = from;
        while start < self.frames.len() {
            let picture = self.picture(start);
            let first = &self.frames[start];
            let whole = self.frames[picture.end - 1].ends_picture(layer);
            if first.is_key() && first.is_needed(target) && whole {
                let until = first.arrived + self.config.skip_after;
                if until > now {
                    self.wake = self.wake.map(|wake| wake.min(until));
                    return false;
                }
                self.next = first.number;
                let superseded: Vec<Held> = self.frames.drain(..start).collect();
                for held in superseded {
                    self.drop_held(&held, DropReason::Superseded);
                }
                return true;
            }
            start = picture.end;
        }
        false
    }

    /// Takes a picture, the first that is held, out of the buffer: the frames with the bits `decodable` become a
    /// unit, the others are dropped. The targets are the wanted one and that of the unit.
    fn hand_on(
        &mut self,
        picture: Range<usize>,
        decodable: u8,
        (wanted, target): (Option<usize>, usize),
        layer: LayerId,
    ) {
        let mut unit: Option<DecodableUnit> = None;
        for bit in 0..picture.len() {
            let Some(held) = self.frames.pop_front() else { return };
            self.next = held.number + 1;
            if decodable >> bit & 1 == 0 {
                let reason = if !wanted.is_some_and(|wanted| held.is_needed(wanted)) {
                    DropReason::NotNeeded
                } else if wanted == Some(target) {
                    DropReason::MissingReference
                } else {
                    DropReason::ChainBroken
                };
                self.drop_held(&held, reason);
                continue;
            }
            self.broken = false;
            self.bytes -= held.frame.payload.len();
            self.decoded.insert(held.number);
            if held.is_key() {
                self.sequence = Some(held.frame.structure.clone());
            }
            let OpenedFrame { frame_number, timestamp, dependencies, structure, payload, .. } = held.frame;
            let frame = DecodableFrame { frame_number, layer: dependencies.layer, payload };
            let unit = unit.get_or_insert_with(|| DecodableUnit {
                timestamp,
                target: layer,
                structure,
                frames: List::new(),
            });
            unit.frames.push(frame);
        }
        self.events.extend(unit.map(FrameBufferEvent::Unit));
    }

    fn drop_held(&mut self, held: &Held, reason: DropReason) {
        self.bytes = self.bytes.saturating_sub(held.frame.payload.len());
        self.events.push_back(FrameBufferEvent::Dropped { frame_number: held.frame.frame_number, reason });
    }

    fn request(&mut self, now: Time, refresh: Refresh) {
        if self.last_request.is_none_or(|last| now - last >= self.config.request_interval) {
            self.last_request = Some(now);
            self.events.push_back(FrameBufferEvent::Refresh(refresh));
        }
    }
}

/// The time at which all waits have ended.
struct Wait {
    now: Time,
    /// Nothing is waited for.
    full: bool,
    until: Option<Time>,
}

impl Wait {
    /// Waits until then; `false` if that is over.
    fn until(&mut self, until: Time) -> bool {
        let waits = !self.full && until > self.now;
        if waits {
            self.until = Some(self.until.map_or(until, |other| other.max(until)));
        }
        waits
    }

    fn also(&mut self, other: &Self) {
        if let Some(until) = other.until {
            self.until(until);
        }
    }
}

/// Whether nothing at all is needed to decode a frame, in a decoder that may just have been made.
fn is_key(frame: &OpenedFrame) -> bool {
    frame.starts_sequence && frame.dependencies.frame_diffs.is_empty()
}
