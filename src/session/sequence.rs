//! Numbered items, put in order.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::rtp::numbers::unwrap;
use crate::rtp::reassembler::{NackConfig, ReassemblerStatistics};

/// Numbers at most from the first that is missing, or has not been taken out, to the newest.
pub(super) const MAX_NUMBERS: usize = 1024;

/// Bytes of items held at most.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// How late an item may come: about as late as openers tell from a replay. All others are ahead, such as those after a
/// pause of the relay's.
const MAX_LATE: u64 = 4096;

/// Puts items in the order of their numbers, and says which are missing and which are given up.
///
/// The numbers are those that were sealed with the items, so whoever is on the way can neither swap items nor make up
/// gaps.
#[derive(Debug)]
pub(super) struct Sequence<T> {
    slots: VecDeque<Slot<T>>,
    /// The number of the first slot.
    base: u64,
    epochs: Option<Epochs>,
    /// If the first number of all is below this, those before it are missing.
    beginning: u16,
    bytes: usize,
    missing: usize,
    /// Lost before the first slot, and not told yet.
    skipped: u64,
    nack: NackConfig,
    statistics: ReassemblerStatistics,
}

/// A number as it was sealed with an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// Modulo 2^16.
    pub(super) number: u16,
    /// Of the key that it was sealed with.
    pub(super) epoch: u64,
    /// Whether the sender began to count in this epoch. A sender counts on from one epoch to the next, unless it has lost
    /// count, say since its program started anew.
    pub(super) anew: bool,
}

/// The epochs of which items are taken. What an epoch has comes before all that the next one has.
#[derive(Debug, Clone, Copy)]
struct Epochs {
    latest: u64,
    /// The lowest number of the latest epoch.
    from: u64,
    previous: Option<u64>,
    /// After the highest number of the epochs before.
    to: u64,
}

impl Epochs {
    fn new(epoch: u64, number: u64) -> Self {
        Self { latest: epoch, from: number, previous: None, to: 0 }
    }

    /// Goes over to an epoch, if it is a later one. All numbers so far are before `end`.
    fn advance(self, epoch: u64, number: u64, end: u64) -> Self {
        if epoch <= self.latest {
            return self;
        }
        Self { latest: epoch, from: number, previous: Some(self.latest), to: end }
    }

    /// Notes a number of an epoch. Returns `false` if the epoch has no such number.
    fn insert(&mut self, epoch: u64, number: u64) -> bool {
        if epoch == self.latest {
            self.from = self.from.min(number.max(self.to));
            return number >= self.to;
        }
        let is_previous = self.previous == Some(epoch) && number < self.from;
        if is_previous {
            self.to = self.to.max(number + 1);
        }
        is_previous
    }
}

/// The state of a number.
#[derive(Debug)]
pub(super) enum Slot<T> {
    /// It has not come.
    Missing(Missing),
    /// It has come; with its size in bytes.
    Here(T, usize),
    /// It was given up.
    Lost,
    /// It was taken out.
    Taken,
}

#[derive(Debug)]
pub(super) struct Missing {
    noticed: Time,
    next_request: Time,
    requests: u8,
}

impl<T> Sequence<T> {
    /// Asks for missing numbers, and gives them up, as `nack` says. A first number below `beginning` shows a stream from
    /// its beginning, of which the numbers before it are missing.
    pub(super) fn new(nack: NackConfig, beginning: u16) -> Self {
        Self {
            slots: VecDeque::new(),
            base: 0,
            epochs: None,
            beginning,
            bytes: 0,
            missing: 0,
            skipped: 0,
            nack,
            statistics: ReassemblerStatistics::default(),
        }
    }

    pub(super) fn statistics(&self) -> ReassemblerStatistics {
        self.statistics
    }

    /// Sets the time after which a number is asked for again.
    pub(super) fn set_retry_after(&mut self, retry_after: Duration) {
        self.nack.retry_after = retry_after;
    }

    /// Takes an item of `size` bytes. Returns `false` if it came before or was given up.
    pub(super) fn insert(&mut self, now: Time, number: Number, item: T, size: usize) -> bool {
        let Number { number, epoch, anew } = number;
        let count_on = match &self.epochs {
            None => false,
            // A sender counts on in later epochs only.
            Some(epochs) => epoch <= epochs.latest || !anew && self.unwrap(number) >= self.end(),
        };
        if !count_on {
            self.start(number);
        }
        let number = self.unwrap(number);
        let mut epochs = match self.epochs {
            Some(epochs) if count_on => epochs.advance(epoch, number, self.end()),
            _ => Epochs::new(epoch, number),
        };
        let is_of_epoch = epochs.insert(epoch, number);
        self.epochs = Some(epochs);
        if !is_of_epoch {
            self.statistics.late += 1;
            return false;
        }
        if let Some(gap) = number.checked_sub(self.end()) {
            let count = gap.saturating_add(1);
            if count > MAX_NUMBERS as u64 {
                self.jump(number);
            }
            while self.slots.len() as u64 + (number - self.end()) >= MAX_NUMBERS as u64 {
                self.give_up_front();
            }
            self.append_missing(now, number - self.end() + 1);
        }
        while self.bytes + size > MAX_BYTES && self.bytes > 0 {
            self.give_up_front();
        }
        let at = number.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else {
            self.statistics.late += 1;
            return false;
        };
        let Slot::Missing(missing) = slot else {
            self.statistics.late += 1;
            return false;
        };
        self.statistics.packets += 1;
        self.statistics.recovered += u64::from(missing.requests > 0);
        self.missing -= 1;
        self.bytes += size;
        *slot = Slot::Here(item, size);
        true
    }

    /// Begins to count at a number, or a little before it.
    fn start(&mut self, number: u16) {
        while !self.slots.is_empty() {
            self.give_up_front();
        }
        let before = if number < self.beginning { number } else { 0 };
        self.base = (1 << 32) + u64::from(number - before);
    }

    /// The number beyond 16 bits: at most [`MAX_LATE`] before the newest, or else after it.
    fn unwrap(&self, number: u16) -> u64 {
        unwrap(number, self.end() + (1 << 15) - MAX_LATE)
    }

    /// The number after the newest.
    fn end(&self) -> u64 {
        self.base + self.slots.len() as u64
    }

    fn append_missing(&mut self, now: Time, count: u64) {
        let next_request = now + self.nack.first_after;
        for _ in 0..count {
            let missing = Missing { noticed: now, next_request, requests: 0 };
            self.slots.push_back(Slot::Missing(missing));
        }
        self.missing += count as usize;
        self.statistics.missing += count - 1;
    }

    /// Goes on at a number so far ahead that all before it are given up.
    fn jump(&mut self, number: u64) {
        while !self.slots.is_empty() {
            self.give_up_front();
        }
        let skipped = number - self.base;
        self.skipped += skipped;
        self.statistics.missing += skipped;
        self.statistics.lost += skipped;
        self.base = number;
    }

    /// Gives up what the first number has or waits for.
    fn give_up_front(&mut self) {
        let Some(slot) = self.slots.pop_front() else { return };
        self.base += 1;
        match slot {
            Slot::Missing(_) => {
                self.missing -= 1;
                self.statistics.lost += 1;
                self.skipped += 1;
            }
            Slot::Here(_, size) => {
                self.bytes -= size;
                self.statistics.lost += 1;
                self.skipped += 1;
            }
            Slot::Lost => self.skipped += 1,
            Slot::Taken => {}
        }
    }

    /// Gives up what has been missing for long enough.
    pub(super) fn tick(&mut self, now: Time) {
        let give_up = self.nack.give_up;
        for slot in &mut self.slots {
            if self.missing == 0 {
                break;
            }
            match slot {
                Slot::Missing(missing) if missing.noticed + give_up <= now => {
                    *slot = Slot::Lost;
                    self.missing -= 1;
                    self.statistics.lost += 1;
                }
                // Those behind it are missing for no longer.
                Slot::Missing(_) => break,
                _ => {}
            }
        }
    }

    /// How many were lost just before the first number that is missing or here. They are told once.
    pub(super) fn pop_lost(&mut self) -> Option<u64> {
        let mut lost = std::mem::take(&mut self.skipped);
        while let Some(Slot::Lost | Slot::Taken) = self.slots.front() {
            lost += u64::from(matches!(self.slots.pop_front(), Some(Slot::Lost)));
            self.base += 1;
        }
        (lost > 0).then_some(lost)
    }

    /// The item with the first number, if it is here, once [`pop_lost`](Self::pop_lost) has nothing to tell.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.slots.front().filter(|slot| matches!(slot, Slot::Here(..)))?;
        let Some(Slot::Here(item, size)) = self.slots.pop_front() else { return None };
        self.base += 1;
        self.bytes -= size;
        Some(item)
    }

    /// The slots, from the first number on.
    pub(super) fn slots(&self) -> &VecDeque<Slot<T>> {
        &self.slots
    }

    /// Takes the item out that is so many numbers behind the first.
    pub(super) fn take(&mut self, at: usize) -> Option<T> {
        let slot = self.slots.get_mut(at).filter(|slot| matches!(slot, Slot::Here(..)))?;
        let Slot::Here(item, size) = std::mem::replace(slot, Slot::Taken) else { return None };
        self.bytes -= size;
        Some(item)
    }

    /// Puts the numbers to be asked for at `now` into `numbers`, lowest first, modulo 2^16.
    pub(super) fn nacks(&mut self, now: Time, numbers: &mut Vec<u16>) {
        numbers.clear();
        let NackConfig { retry_after, max_requests, .. } = self.nack;
        if self.missing == 0 {
            return;
        }
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let Slot::Missing(missing) = slot else { continue };
            if missing.next_request > now || missing.requests >= max_requests {
                continue;
            }
            missing.next_request = now + retry_after;
            missing.requests += 1;
            numbers.push((self.base + at as u64) as u16);
        }
        self.statistics.nacks += numbers.len() as u64;
    }

    /// When to look again, if nothing comes before.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        let NackConfig { give_up, max_requests, .. } = self.nack;
        let missing = self.slots.iter().filter(|_| self.missing > 0).filter_map(|slot| match slot {
            Slot::Missing(missing) if missing.requests < max_requests => {
                Some(missing.next_request.min(missing.noticed + give_up))
            }
            Slot::Missing(missing) => Some(missing.noticed + give_up),
            _ => None,
        });
        missing.min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A number of the first epoch.
    fn of(number: u16) -> Number {
        Number { number, epoch: 7, anew: true }
    }

    const GIVE_UP: Duration = Duration::from_millis(30);

    fn sequence() -> Sequence<u16> {
        Sequence::new(NackConfig { give_up: GIVE_UP, ..NackConfig::default() }, 4)
    }

    /// What there is to take: `Err` for lost ones.
    fn popped(sequence: &mut Sequence<u16>, now: Time) -> Vec<Result<u16, u64>> {
        sequence.tick(now);
        std::iter::from_fn(|| sequence.pop_lost().map(Err).or_else(|| sequence.pop().map(Ok))).collect()
    }

    #[test]
    fn items_come_in_order_and_lost_ones_in_their_place() {
        let ms = Time::from_millis;
        let mut sequence = sequence();
        for number in [65_534, 0, 65_535, 3] {
            assert!(sequence.insert(ms(0), of(number), number, 100));
        }
        assert_eq!(popped(&mut sequence, ms(0)), [Ok(65_534), Ok(65_535), Ok(0)]);
        assert_eq!(sequence.next_timeout(), Some(ms(10)));
        let mut asked = vec![];
        sequence.nacks(ms(10), &mut asked);
        assert_eq!(asked, [1, 2]);
        assert!(sequence.insert(ms(20), of(2), 2, 100));
        assert_eq!(popped(&mut sequence, ms(29)), []);
        assert_eq!(popped(&mut sequence, ms(30)), [Err(1), Ok(2), Ok(3)]);
        assert!(!sequence.insert(ms(30), of(1), 1, 100) && !sequence.insert(ms(30), of(3), 3, 100));
        let statistics = sequence.statistics();
        assert_eq!((statistics.packets, statistics.recovered, statistics.late), (5, 1, 2));
        assert_eq!((statistics.missing, statistics.lost, statistics.nacks), (3, 1, 2));
        assert_eq!((sequence.next_timeout(), sequence.bytes, sequence.missing), (None, 0, 0));
    }

    #[test]
    fn those_before_the_first_may_be_missing() {
        let mut sequence = sequence();
        assert!(sequence.insert(Time::ZERO, of(2), 2, 1) && sequence.insert(Time::ZERO, of(0), 0, 1));
        assert_eq!(popped(&mut sequence, Time::ZERO), [Ok(0)]);
        assert_eq!(popped(&mut sequence, Time::ZERO + GIVE_UP), [Err(1), Ok(2)]);
    }

    #[test]
    fn numbers_go_on_in_another_epoch_unless_the_sender_lost_count() {
        let mut sequence = sequence();
        let mut insert = |epoch, number, anew| {
            let taken = sequence.insert(Time::ZERO, Number { number, epoch, anew }, number, 1);
            (taken, popped(&mut sequence, Time::ZERO))
        };
        assert_eq!(insert(1, 500, false), (true, vec![Ok(500)]));
        // One of the next epoch overtakes the last one of this.
        assert_eq!(insert(2, 502, false), (true, vec![]));
        assert_eq!(insert(1, 501, false), (true, vec![Ok(501), Ok(502)]));
        // The sender counts anew, from its beginning; what is on its way from before is late.
        assert_eq!(insert(3, 2, true), (true, vec![]));
        assert_eq!(insert(2, 503, false), (false, vec![]));
        assert_eq!(insert(3, 0, true), (true, vec![Ok(0)]));
        assert_eq!(insert(3, 1, true), (true, vec![Ok(1), Ok(2)]));
        // Ahead of what came before, and yet anew. Nobody waits any longer for what was missing.
        assert_eq!(insert(3, 9, true), (true, vec![]));
        assert_eq!(insert(4, 30, true), (true, vec![Err(7), Ok(30)]));
        // What an epoch has comes before all that the next one has, and only the next one.
        assert_eq!(insert(5, 35, false), (true, vec![]));
        assert_eq!((insert(4, 36, true).0, insert(4, 34, true).0), (false, true));
        assert_eq!(insert(6, 37, false), (true, vec![]));
        assert_eq!((insert(4, 31, true).0, insert(5, 36, false).0), (false, true));
        // The epoch in which the sender began to count anew was missed.
        assert_eq!(insert(8, 33, false), (true, vec![Err(7), Ok(33)]));
    }

    #[test]
    fn after_any_pause_items_come_at_once() {
        for pause in [1025, 30_000, 32_768, 50_000, 61_000] {
            let mut sequence = sequence();
            let mut number: u16 = 9;
            assert!(sequence.insert(Time::ZERO, of(number), number, 1));
            assert_eq!(popped(&mut sequence, Time::ZERO), [Ok(9)]);
            number = number.wrapping_add(pause);
            assert!(sequence.insert(Time::ZERO, of(number), number, 1));
            assert_eq!(popped(&mut sequence, Time::ZERO), [Err(u64::from(pause) - 1), Ok(number)]);
        }
    }

    #[test]
    fn a_sequence_has_its_number_of_items_and_bytes() {
        let mut sequence = sequence();
        let mut insert = |number: u16, size| {
            sequence.insert(Time::ZERO, of(number), number, size);
            assert!(sequence.slots.len() <= MAX_NUMBERS && sequence.bytes <= MAX_BYTES);
            let missing = sequence.slots.iter().filter(|slot| matches!(slot, Slot::Missing(_))).count();
            let bytes: usize =
                sequence.slots.iter().map(|s| if let Slot::Here(_, n) = s { *n } else { 0 }).sum();
            assert_eq!((sequence.missing, sequence.bytes), (missing, bytes));
        };
        // Each second one is missing; then jumps of all sizes, back and forth.
        (0..3000).for_each(|n| insert(n * 2, 1000));
        (0..20).for_each(|n| insert(n * 2, MAX_BYTES / 2));
        for jump in [1, 1000, 1023, 1024, 1025, 5000, 32_767, 32_768, 40_000, 65_535] {
            let mut number: u16 = 9;
            for _ in 0..40 {
                number = number.wrapping_add(jump);
                insert(number, 1 << (number % 20));
            }
        }
        let told = popped(&mut sequence, Time::ZERO + GIVE_UP);
        let lost: u64 = told.iter().filter_map(|item| item.err()).sum();
        assert_eq!(lost, sequence.statistics().lost);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_in_order_and_once(
            first in 4..u16::MAX,
            steps in vec((0..40u16, 0..15u64), 1..200),
        ) {
            let mut sequence = sequence();
            let (mut now, mut out, mut lost) = (Time::ZERO, vec![], 0);
            for (at, (ahead, pause)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(pause);
                let number = first.wrapping_add(at as u16 / 2).wrapping_add(ahead);
                sequence.insert(now, of(number), number, 10);
                for item in popped(&mut sequence, now) {
                    match item {
                        Ok(number) => out.push(number.wrapping_sub(first)),
                        Err(count) => lost += count,
                    }
                }
                sequence.nacks(now, &mut vec![]);
                prop_assert!(sequence.next_timeout().is_none_or(|at| at > now));
            }
            out.extend(popped(&mut sequence, now + GIVE_UP).into_iter().flatten().map(|n| n.wrapping_sub(first)));
            prop_assert!(out.is_sorted_by(|a, b| a < b), "{:?}", out);
            prop_assert_eq!(out.len() as u64, sequence.statistics().packets);
            prop_assert!(lost <= sequence.statistics().lost);
            prop_assert_eq!((sequence.bytes, sequence.missing), (0, 0));
        }
    }
}
