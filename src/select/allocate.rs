//! Shares one budget out over streams: chooses for each, so that the sum of values is large.
//!
//! Each stream is a ladder of choices, of rising cost and value. Every stream gets its lowest choice first.
//! From there the allocator takes the steps along each ladder's upper convex hull in the order of value per
//! cost, whichever the stream. If the next step of a stream does not fit, the stream stays at its choice,
//! with all its equals, and the others go on. At the first few of these steps the allocator also tries the
//! choices below the hull that do fit, each with everything that follows from it, and keeps the best.
//!
//! More budget never gives less value. As long as every step fits, the sum is the highest of all choices of
//! that cost, because steps come in the order of their slopes. So if a larger budget lets one more step fit,
//! it gives at least that maximum, however the allocator filled the smaller budget. If it does not, the same
//! stream stays behind in both, with the same choices to try, and the same argument holds for the other
//! streams and the budget left.

use std::cmp::Ordering;

use arrayvec::ArrayVec;

use super::input::MAX_LAYERS;

/// One choice of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    /// At least 1, at most [`MAX_BITRATE`](super::MAX_BITRATE).
    pub cost: u64,
    /// At least 1, at most [`MAX_VALUE`](super::value::MAX_VALUE).
    pub value: u32,
    /// What the choice stands for.
    pub option: u8,
}

/// The choices of a stream that are worth their cost: each costs more than the one before and has a higher
/// value.
#[derive(Debug, Clone, Default)]
pub(super) struct Ladder {
    choices: ArrayVec<Choice, MAX_LAYERS>,
    /// A hash, the same for streams with the same choices.
    kind: u64,
}

impl Ladder {
    pub fn clear(&mut self) {
        self.choices.clear();
        self.kind = 0;
    }

    /// Adds a choice. Choices come in the order of their costs, and at most [`MAX_LAYERS`] have room.
    pub fn push(&mut self, choice: Choice) {
        match self.choices.last() {
            Some(last) if last.value >= choice.value => return,
            Some(last) if last.cost == choice.cost => {
                self.choices.pop();
            }
            _ => {}
        }
        if self.choices.try_push(choice).is_ok() {
            let mixed = self.kind.rotate_left(23) ^ choice.cost.rotate_left(24) ^ u64::from(choice.value);
            self.kind = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    pub fn choices(&self) -> &[Choice] {
        &self.choices
    }
}

/// A step along a ladder's hull.
#[derive(Debug, Clone, Copy)]
struct Step {
    cost: u64,
    value: u32,
    stream: u16,
    from: u8,
    to: u8,
}

/// Steps of more value per cost come first. Equal slopes take turns by their place on the ladder.
fn by_slope(a: &Step, b: &Step) -> Ordering {
    let slope = |a: &Step, b: &Step| u64::from(a.value) * b.cost;
    slope(b, a).cmp(&slope(a, b)).then((a.to, a.stream).cmp(&(b.to, b.stream)))
}

/// One way to spend the budget, as far as it is followed.
#[derive(Debug, Clone, Default)]
struct Branch {
    /// The choice of each stream, or [`PAUSED`].
    at: Vec<u8>,
    frozen: Vec<bool>,
    left: u64,
    value: u64,
    /// The next step to be looked at.
    step: usize,
}

const PAUSED: u8 = u8::MAX;

impl Branch {
    fn copy(&mut self, from: &Self) {
        self.at.clone_from(&from.at);
        self.frozen.clone_from(&from.frozen);
        (self.left, self.value, self.step) = (from.left, from.value, from.step);
    }

    fn go(&mut self, ladders: &[Ladder], stream: usize, to: u8) {
        let choices = ladders[stream].choices();
        let (from, to_choice) = (choices[usize::from(self.at[stream])], choices[usize::from(to)]);
        self.left -= to_choice.cost - from.cost;
        self.value += u64::from(to_choice.value - from.value);
        self.at[stream] = to;
    }
}

/// The number of streams at which the allocator tries choices below the hull.
const MAX_DEPTH: usize = 3;

/// Shares out budgets, and keeps its buffers from one to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Allocator {
    pub ladders: Vec<Ladder>,
    steps: Vec<Step>,
    minima: Vec<Step>,
    branches: [Branch; 1 + 2 * MAX_DEPTH],
    /// The cost of all choices made.
    pub spent: u64,
}

impl Allocator {
    /// Makes room for `streams` ladders, so that later calls allocate nothing.
    pub fn reserve(&mut self, streams: usize) {
        self.ladders.resize_with(streams.max(self.ladders.len()), Ladder::default);
        let streams = self.ladders.len();
        self.steps.clear();
        self.steps.reserve(streams * MAX_LAYERS);
        self.minima.clear();
        self.minima.reserve(streams);
        for branch in &mut self.branches {
            branch.at.clear();
            branch.at.reserve(streams);
            branch.frozen.clear();
            branch.frozen.reserve(streams);
        }
    }

    /// Shares `budget` out over the first `streams` ladders, of which empty ones take nothing. Returns
    /// whether every other ladder gets at least its lowest choice. If these do not all fit, the allocator
    /// takes them in the order of value per cost, and none gets more.
    pub fn share(&mut self, streams: usize, budget: u64) -> bool {
        let ladders = &self.ladders[..streams];
        self.minima.clear();
        self.steps.clear();
        for (stream, ladder) in ladders.iter().enumerate() {
            let Some(lowest) = ladder.choices().first() else { continue };
            let step = |cost, value, from, to| Step { cost, value, stream: stream as u16, from, to };
            self.minima.push(step(lowest.cost, lowest.value, PAUSED, 0));
            hull(ladder.choices(), |from, to, cost, value| self.steps.push(step(cost, value, from, to)));
        }
        let base = &mut self.branches[0];
        base.at.clear();
        base.at.resize(streams, PAUSED);
        base.frozen.clear();
        base.frozen.resize(streams, false);
        (base.left, base.value, base.step) = (budget, 0, 0);
        let fits = self.minima.iter().map(|step| step.cost).sum::<u64>() <= budget;
        if !fits {
            self.minima.sort_unstable_by(by_slope);
        }
        for step in &self.minima {
            if step.cost <= base.left {
                base.left -= step.cost;
                base.at[usize::from(step.stream)] = step.to;
            }
        }
        if fits {
            self.steps.sort_unstable_by(by_slope);
            let depth = match streams {
                0..=4 => MAX_DEPTH,
                5..=16 => 2,
                _ => 1,
            };
            fill(ladders, &self.steps, &mut self.branches[..1 + 2 * depth]);
        }
        self.spent = budget - self.branches[0].left;
        fits
    }

    /// The choice made for a stream.
    pub fn chosen(&self, stream: usize) -> Option<Choice> {
        let at = *self.branches[0].at.get(stream)?;
        self.ladders[stream].choices().get(usize::from(at)).copied()
    }

    /// The cheapest choice made for a stream or one of its equals, if the stream got any.
    pub fn least_of_equals(&self, stream: usize) -> Option<Choice> {
        let chosen = self.chosen(stream)?;
        let equals =
            (0..self.branches[0].at.len()).filter(|i| self.ladders[*i].kind == self.ladders[stream].kind);
        equals.filter_map(|i| self.chosen(i)).min_by_key(|choice| choice.cost).or(Some(chosen))
    }
}

/// The steps between the corners of the choices' upper convex hull, each of them at most as steep as the one
/// before.
pub(super) fn hull(choices: &[Choice], mut step: impl FnMut(u8, u8, u64, u32)) {
    let mut corners = ArrayVec::<u8, MAX_LAYERS>::new();
    let between = |from: u8, to: u8| {
        let (from, to) = (choices[usize::from(from)], choices[usize::from(to)]);
        (to.cost - from.cost, to.value - from.value)
    };
    for to in 0..choices.len() as u8 {
        while let [.., before, last] = corners[..] {
            let (flat, steep) = (between(before, last), between(last, to));
            if u64::from(steep.1) * flat.0 <= u64::from(flat.1) * steep.0 {
                break;
            }
            corners.pop();
        }
        corners.push(to);
    }
    for corners in corners.windows(2) {
        let (cost, value) = between(corners[0], corners[1]);
        step(corners[0], corners[1], cost, value);
    }
}

/// Takes the steps that fit, from the first branch's next one to the last. The other branches are room in
/// which to try choices, two for each stream at which that happens.
fn fill(ladders: &[Ladder], steps: &[Step], branches: &mut [Branch]) {
    let Some((this, room)) = branches.split_first_mut() else { return };
    while let Some(step) = steps.get(this.step) {
        this.step += 1;
        let stream = usize::from(step.stream);
        if this.frozen[stream] {
            continue;
        }
        if step.cost <= this.left {
            this.go(ladders, stream, step.to);
            continue;
        }
        let kind = ladders[stream].kind;
        for (frozen, ladder) in this.frozen.iter_mut().zip(ladders) {
            *frozen |= ladder.kind == kind;
        }
        let below = step.from + 1..step.to;
        if below.is_empty() {
            continue;
        }
        let Some((best, room)) = room.split_first_mut() else { continue };
        best.value = 0;
        let floor = ladders[stream].choices()[usize::from(step.from)].cost;
        for to in std::iter::once(step.from).chain(below) {
            if ladders[stream].choices()[usize::from(to)].cost - floor > this.left {
                break;
            }
            room[0].copy(this);
            room[0].go(ladders, stream, to);
            fill(ladders, steps, room);
            if room[0].value > best.value || to == step.from {
                std::mem::swap(best, &mut room[0]);
            }
        }
        std::mem::swap(this, best);
        return;
    }
}
