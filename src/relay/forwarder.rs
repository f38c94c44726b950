//! Which frames of a stream go on to a receiver.

use std::sync::Arc;
use std::time::Duration;

use super::frames::{RelayFrame, Sequence};
use crate::Time;
use crate::rtp::descriptor::DecodeTargetIndication;
use crate::rtp::numbers::MAX_FRAME_DIFF;
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// How long a sender that leaves out what a receiver gets has time to bring what the receiver can get instead.
const LEFT_OUT: Duration = Duration::from_millis(50);

/// How a forwarder asks for what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Users build it by a literal.
pub struct ForwarderConfig {
    /// The shortest time from one request for a refresh to the next, whatever becomes of the target meanwhile.
    pub request_interval: Duration,
}

impl Default for ForwarderConfig {
    /// A request every 300 ms.
    fn default() -> Self {
        Self { request_interval: Duration::from_millis(300) }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // A packet goes on or does not.
pub enum Forward {
    /// The receiver does not get it.
    Drop,
    /// The receiver gets it.
    Send {
        /// Whether the packet is the last of its picture for this receiver, so that its marker bit is to be set. A
        /// marker bit that the sender set stays set.
        end_of_picture: bool,
    },
}

/// Decides for one receiver of a stream which frames it gets.
///
/// A frame goes on if the receiver's decode target needs it and the receiver has been given all that the frame refers
/// to. So no decoder ever waits for a frame that was dropped on purpose.
///
/// - A target whose frames are all forwarded already, such as a lower layer of an `L` mode, is taken at once, unless it is
///   inactive: the sender may leave out what is below the only layer that somebody wants.
/// - Any other target is entered at a frame with a switch indication (A.7) whose references were forwarded. Until
///   then the former target goes on, and [`poll`](Self::poll) says which refresh to ask the sender for.
/// - A frame that is lost on the way to the relay may still come. What refers to it goes on all the same, since the
///   receiver will get the lost frame by retransmission, late as it is, or ask for a refresh itself.
///
/// The decision on a frame is made with the first of its packets, and holds for the others and for retransmissions.
///
/// A picture's last frame is told by its layer, so that a picture in which the receiver goes up ends twice: with the layer
/// that it had, and with the one that it enters; and with each layer that goes on for the sake of the latter alone. Receivers
/// that wait for the end of a picture, such as Chromium, show all; they would never decode a picture without an end, nor what
/// refers to it.
#[derive(Debug, Clone)]
#[repr(C, align(64))] // What a packet needs is one cache line: a relay with many receivers waits for memory most of all.
pub struct Forwarder {
    sequence: Option<Arc<Sequence>>,
    /// The frame that started the sequence that the receiver is in.
    started: Option<u64>,
    /// For which target and active decode targets the sequence has `wanted`.
    wanted_of: Option<(DecodeTarget, u32)>,
    /// The decode targets that are active, as the last frame had it.
    active: u32,
    /// Spatial layers whose last frame of temporal layer 0 was dropped: bit `spatial_id`.
    dropped_layers: u32,
    target: Option<DecodeTarget>,
    /// What is needed to enter the target.
    needs: Refresh,
    /// The decode target that goes on now, and the one that is to, by their places in the structure: 32 at most.
    current: Option<u8>,
    wanted: Option<u8>,
    decided: Decided,
    /// From when on a refresh is to be asked for, if one is needed.
    ask_at: Time,
    /// The earliest time of another request.
    free_at: Time,
    config: ForwarderConfig,
}

impl Forwarder {
    /// A forwarder that drops everything until it has a target.
    pub fn new(config: ForwarderConfig) -> Self {
        Self {
            config,
            target: None,
            sequence: None,
            started: None,
            current: None,
            wanted: None,
            wanted_of: None,
            active: u32::MAX,
            decided: Decided::default(),
            dropped_layers: 0,
            ask_at: Time::ZERO,
            free_at: Time::ZERO,
            needs: Refresh::NONE,
        }
    }

    /// What the receiver is to get from the next frame on; `None` pauses the stream.
    ///
    /// A structure that has no such decode target, or none that is active, is taken at the best of no higher layer.
    pub fn set_target(&mut self, now: Time, target: Option<DecodeTarget>) {
        if target == self.target {
            return;
        }
        self.target = target;
        match target {
            // Whoever pauses the stream need not hand its frames in: whatever comes is dropped.
            None => (self.current, self.needs, self.dropped_layers) = (None, Refresh::NONE, u32::MAX),
            // The sequence may be known already, or not.
            Some(target) => match self.sequence.clone() {
                Some(sequence) => {
                    if let Some(wanted) = sequence.target(target, u32::MAX) {
                        self.approach(now, &sequence, wanted);
                        self.ask_at = now.max(self.free_at);
                    }
                }
                None => (self.needs, self.ask_at) = (Refresh::KEY, now + self.config.request_interval),
            },
        }
    }

    /// What the receiver is to get.
    pub fn target(&self) -> Option<DecodeTarget> {
        self.target
    }

    /// The decode target that goes on now: another one than [`target`](Self::target) until that can be entered.
    pub fn current(&self) -> Option<DecodeTarget> {
        self.sequence.as_ref()?.targets.get(self.current_place()?).copied()
    }

    fn current_place(&self) -> Option<usize> {
        self.current.map(usize::from)
    }

    fn wanted_place(&self) -> Option<usize> {
        self.wanted.map(usize::from)
    }

    /// Whether a frame has come, whether it was forwarded or not.
    pub fn has_begun(&self) -> bool {
        self.sequence.is_some()
    }

    /// The decode targets that the receiver can decode of what it gets now, as bits: those of the structure's that are
    /// active and of which [`current`](Self::current) needs all frames.
    pub fn active_decode_targets(&self) -> u32 {
        let contained = self.sequence.as_ref().zip(self.current_place());
        self.active & contained.map_or(0, |(sequence, current)| sequence.contained(current))
    }

    /// Whether a frame went on as the last of its picture.
    pub(super) fn ended_picture(&self, frame: u64) -> bool {
        self.decided.get(frame) == Decision::Forwarded { ends_picture: true }
    }

    /// Whether it was decided that a frame does not go on.
    pub(super) fn is_dropped(&self, frame: u64) -> bool {
        self.decided.get(frame) == Decision::Dropped
    }

    /// A frame that was to go on is lost on the way to the receiver for good, since it waited for too long: neither does
    /// what refers to it go on. Lower layers that do not need it do; for the others a refresh is asked for.
    pub fn handle_loss(&mut self, now: Time, frame: u64, layer: LayerId) {
        if !self.decided.get(frame).is_forwarded() {
            return;
        }
        self.decided.insert(frame, Decision::Dropped);
        // All that comes later of the layer refers to a frame of temporal layer 0. What refers to another one is over soon.
        if layer.temporal_id > 0 {
            return;
        }
        self.dropped_layers |= 1 << layer.spatial_id;
        if let Some(sequence) = self.sequence.clone() {
            self.lose(now, &sequence, layer);
        }
    }

    /// A layer cannot go on before it is refreshed. Lower targets that do not need it go on.
    fn lose(&mut self, now: Time, sequence: &Sequence, layer: LayerId) {
        let Some(current) = self.current_place() else { return };
        if !sequence.needs_layer(current, layer.spatial_id) {
            return;
        }
        let unharmed = |target: &usize| {
            sequence.contains(current, *target) && !sequence.needs_layer(*target, layer.spatial_id)
        };
        let targets = (0..sequence.targets.len()).filter(unharmed);
        self.current = targets.max_by_key(|&target| sequence.targets[target]).map(|target| target as u8);
        if let Some(wanted) = self.wanted_place() {
            self.approach(now, sequence, wanted);
            self.ask_at = now.max(self.free_at);
        }
    }

    /// Decides on a packet of a frame.
    pub fn handle_frame(&mut self, now: Time, frame: &RelayFrame) -> Forward {
        let mut decision = self.decided.get(frame.number);
        if decision == Decision::Unknown {
            let LayerId { spatial_id, temporal_id } = frame.layer;
            decision = match self.decide(now, frame) {
                true => Decision::Forwarded { ends_picture: self.ends_picture(frame) },
                false => Decision::Dropped,
            };
            self.decided.insert(frame.number, decision);
            if temporal_id == 0 {
                let dropped = u32::from(decision == Decision::Dropped);
                self.dropped_layers = self.dropped_layers & !(1 << spatial_id) | dropped << spatial_id;
            }
        }
        match decision {
            Decision::Forwarded { ends_picture } => {
                Forward::Send { end_of_picture: frame.end_of_frame && ends_picture }
            }
            Decision::Dropped | Decision::Unknown => Forward::Drop,
        }
    }

    /// The refresh to ask the sender for at `now`, if there is one. It is said again after
    /// [`request_interval`](ForwarderConfig::request_interval) while it is still needed.
    pub fn poll(&mut self, now: Time) -> Option<Refresh> {
        if self.needs.is_none() || now < self.ask_at {
            return None;
        }
        self.ask_at = now + self.config.request_interval;
        self.free_at = self.ask_at;
        Some(self.needs)
    }

    /// When to poll again, if nothing comes before.
    pub fn next_timeout(&self) -> Option<Time> {
        (!self.needs.is_none()).then_some(self.ask_at)
    }

    fn decide(&mut self, now: Time, frame: &RelayFrame) -> bool {
        let is_known = self.sequence.as_ref().is_some_and(|sequence| Arc::ptr_eq(sequence, &frame.sequence));
        if self.started.is_none_or(|started| frame.number > started) && (frame.key || !is_known) {
            // Only a key frame takes the receiver into another sequence.
            self.sequence = Some(Arc::clone(&frame.sequence));
            self.started = None;
            self.current = None;
        }
        self.active = frame.active_decode_targets;
        let Some(target) = self.target else { return false };
        // The search for it is most of the work on a frame, and seldom finds anything new.
        let key = Some((target, self.active)).filter(|_| is_known);
        let found = self.wanted_place().filter(|_| key.is_some() && key == self.wanted_of);
        let Some(wanted) = found.or_else(|| frame.sequence.target(target, self.active)) else { return false };
        (self.wanted, self.wanted_of) = (Some(wanted as u8), key);
        if frame.key && self.started.is_none() {
            self.started = Some(frame.number);
            (self.current, self.needs) = (Some(wanted as u8), Refresh::NONE);
            return frame.is_needed(wanted);
        }
        if self.started.is_none_or(|started| frame.number < started) {
            self.approach(now, &frame.sequence, wanted);
            return false;
        }
        if self.current_place() != Some(wanted) {
            self.approach(now, &frame.sequence, wanted);
        }
        let goes_on = self.current_place().is_some_and(|current| {
            frame.is_needed(current) && frame.refers_to().all(|number| self.may_come(number))
        });
        let enters = self.current_place() != Some(wanted)
            && frame.is_needed(wanted)
            && frame.refers_to().all(|number| self.decided.get(number).is_forwarded());
        let at_target = frame.layer.spatial_id == frame.sequence.targets[wanted].spatial_id;
        if enters && at_target && frame.indication(wanted) == DecodeTargetIndication::Switch {
            (self.current, self.needs) = (Some(wanted as u8), Refresh::NONE);
        }
        // A frame that it refers to was dropped, such as one that came before a late key frame.
        let is_lost =
            !goes_on && !enters && self.current_place().is_some_and(|current| frame.is_needed(current));
        if is_lost && frame.layer.temporal_id == 0 {
            self.dropped_layers |= 1 << frame.layer.spatial_id;
            self.lose(now, &frame.sequence, frame.layer);
        }
        goes_on || enters
    }

    /// Whether a frame was forwarded, or will be when it comes.
    fn may_come(&self, number: u64) -> bool {
        let is_later = self.started.is_some_and(|started| number > started);
        match self.decided.get(number) {
            Decision::Forwarded { .. } => true,
            Decision::Unknown => is_later,
            Decision::Dropped => false,
        }
    }

    /// Goes over to a target whose frames are all forwarded already, or notes what is needed to enter it.
    fn approach(&mut self, now: Time, sequence: &Sequence, wanted: usize) {
        if self.is_active(wanted)
            && self.current_place().is_some_and(|current| sequence.contains(current, wanted))
        {
            (self.current, self.needs) = (Some(wanted as u8), Refresh::NONE);
            return;
        }
        let before = self.needs;
        self.needs = self.refresh_for(sequence, wanted);
        if before.is_none() && !self.needs.is_none() {
            // The sender may bring the layer by itself. If nothing of the current target comes any more, the receiver sees
            // no picture meanwhile, and a sender that brings it does so with the next one.
            let goes_on = self.current_place().is_none_or(|current| self.is_active(current));
            let patience = if goes_on { self.config.request_interval } else { LEFT_OUT };
            self.ask_at = self.free_at.max(now + patience.min(self.config.request_interval));
        }
    }

    fn is_active(&self, target: usize) -> bool {
        self.active.checked_shr(target as u32).is_some_and(|bits| bits & 1 != 0)
    }

    /// What a receiver of the current target needs to enter another.
    fn refresh_for(&self, sequence: &Sequence, wanted: usize) -> Refresh {
        if self.started.is_none() {
            return Refresh::KEY;
        }
        let to = sequence.targets[wanted].spatial_id;
        let from = self
            .current_place()
            .and_then(|current| sequence.targets.get(current))
            .map(|layer| layer.spatial_id);
        match from {
            // Higher temporal layers come by themselves.
            Some(from) if from == to => Refresh::NONE,
            from => {
                let first = from.filter(|from| *from < to).map_or(0, |from| from + 1);
                let lacks = |spatial_id: &u8| {
                    self.dropped_layers >> spatial_id & 1 != 0 && sequence.needs_layer(wanted, *spatial_id)
                };
                Refresh::layers((first..=to).filter(lacks))
            }
        }
    }

    /// Whether no frame after this one of its picture goes to the receiver, as far as can be told: a layer that is waited
    /// for may follow.
    fn ends_picture(&self, frame: &RelayFrame) -> bool {
        let is_highest_of = |target: usize| {
            let target = frame.sequence.targets.get(target);
            target.is_some_and(|target| frame.layer.spatial_id >= target.spatial_id)
        };
        // On the way down, a frame of the lower target may be followed by none of the higher one.
        let enters = |wanted: usize| frame.is_needed(wanted) && is_highest_of(wanted);
        // A frame that goes on for the sake of the wanted target alone may be the last of its picture.
        let alone = |current: usize| !frame.is_needed(current);
        self.current_place().is_none_or(|current| is_highest_of(current) || alone(current))
            || self.wanted_place().is_some_and(enters)
    }
}

/// What was decided on a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Nothing: no packet of it has come.
    Unknown,
    Dropped,
    Forwarded {
        /// No frame after it of its picture is forwarded.
        ends_picture: bool,
    },
}

impl Decision {
    fn is_forwarded(self) -> bool {
        matches!(self, Self::Forwarded { .. })
    }
}

/// Frames in a word, two bits each.
const FRAMES: u64 = 32;
const WORDS: usize = (MAX_FRAME_DIFF / FRAMES) as usize;

/// The decisions on the last [`MAX_FRAME_DIFF`] frames. Older ones count as dropped.
#[derive(Debug, Clone)]
#[repr(C)] // As that of the forwarder.
struct Decided {
    /// The number after the highest that was decided on; 0 if there is none.
    end: u64,
    /// Frame n is at n modulo the number of frames.
    words: [u64; WORDS],
}

impl Default for Decided {
    fn default() -> Self {
        Self { words: [0; WORDS], end: 0 }
    }
}

impl Decided {
    /// The word of a frame, and how far its bits are from the lowest.
    fn place(number: u64) -> (usize, u64) {
        ((number % MAX_FRAME_DIFF / FRAMES) as usize, number % FRAMES * 2)
    }

    fn get(&self, number: u64) -> Decision {
        if number >= self.end {
            return Decision::Unknown;
        }
        if self.end - number > MAX_FRAME_DIFF {
            return Decision::Dropped;
        }
        let (word, shift) = Self::place(number);
        match self.words[word] >> shift & 3 {
            0 => Decision::Unknown,
            1 => Decision::Dropped,
            2 => Decision::Forwarded { ends_picture: false },
            _ => Decision::Forwarded { ends_picture: true },
        }
    }

    fn insert(&mut self, number: u64, decision: Decision) {
        // A jump of the numbers clears no more than there is.
        for passed in self.end.max(number.saturating_sub(MAX_FRAME_DIFF))..number {
            self.set(passed, Decision::Unknown);
        }
        self.end = self.end.max(number + 1);
        if self.end - number <= MAX_FRAME_DIFF {
            self.set(number, decision);
        }
    }

    fn set(&mut self, number: u64, decision: Decision) {
        let (word, shift) = Self::place(number);
        let code = match decision {
            Decision::Unknown => 0,
            Decision::Dropped => 1,
            Decision::Forwarded { ends_picture: false } => 2,
            Decision::Forwarded { ends_picture: true } => 3,
        };
        self.words[word] = self.words[word] & !(3 << shift) | code << shift;
    }
}
