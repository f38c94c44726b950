//! The sequence numbers of what is forwarded.

/// Words of 64 numbers that are remembered.
const WORDS: usize = 32;
/// Numbers that are remembered: more than a receiver asks for again.
const WINDOW: u16 = 64 * WORDS as u16;

/// Gives the packets of one stream the sequence numbers under which one receiver gets them.
///
/// A packet that is dropped on purpose leaves no gap, since the receiver would ask for it. A packet that was lost or
/// delayed on its way to the relay does leave one: the receiver can ask for it, and it is forwarded under that number
/// when it comes.
///
/// It knows the last 2048 numbers of the sender, in 300 bytes. Whatever the numbers, each costs the same.
#[derive(Debug, Clone, Default)]
pub struct SequenceMap {
    /// The highest number of the sender, and the highest that was given out up to there.
    newest: Option<(u16, u16)>,
    /// Which of the last numbers were dropped: number n is bit n modulo the window.
    dropped: [u64; WORDS],
    /// The number after one that was far behind the others.
    jump: Option<u16>,
    /// Whether nothing is forwarded, so that the sender's numbers need not be told.
    paused: bool,
}

impl SequenceMap {
    /// A map for a stream of which nothing has come yet. The first packet keeps its number.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number under which the receiver gets the sender's packet `number`. `None` if there is none: the packet was
    /// dropped when it came before, or it is more than 2048 behind.
    ///
    /// Two packets in a row that are farther behind are taken for a stream that begins anew (RFC 3550, A.1), from the
    /// second on. The receiver's numbers go on without a gap.
    pub fn forward(&mut self, number: u16) -> Option<u16> {
        self.advance(number).or_else(|| self.forwarded_as(number))
    }

    /// Nothing is forwarded until [`forward`](Self::forward) is called again, which goes on without a gap, however many of
    /// the sender's packets there were meanwhile.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Leaves out the sender's packet `number`. `false` if the receiver misses a packet all the same, since later ones
    /// have been forwarded: then it is better to forward this one too.
    pub fn drop(&mut self, number: u16) -> bool {
        if self.paused {
            return true;
        }
        if let Some(forwarded) = self.advance(number) {
            self.newest = Some((number, forwarded.wrapping_sub(1)));
            let place = number % WINDOW;
            self.dropped[usize::from(place / 64)] |= 1 << (place % 64);
        }
        self.is_dropped(number)
    }

    /// The number that the receiver knows the sender's packet `number` by, whether it has come or not. `None` if it was
    /// dropped, and for numbers that are not remembered.
    pub fn forwarded_as(&self, number: u16) -> Option<u16> {
        let (newest, forwarded) = self.newest?;
        let behind = newest.wrapping_sub(number);
        (behind < WINDOW && !self.is_dropped(number))
            .then(|| forwarded.wrapping_sub(self.kept(newest, behind)))
    }

    /// The sender's number of the packet that the receiver knows by `forwarded`, such as one that it asks for again.
    pub fn original(&self, forwarded: u16) -> Option<u16> {
        let (newest, last) = self.newest?;
        let behind = last.wrapping_sub(forwarded);
        if behind >= WINDOW {
            return None;
        }
        // The last of those behind which no more than so many were kept is itself kept.
        let (mut at, mut beyond) = (behind, WINDOW);
        while beyond - at > 1 {
            let middle = at + (beyond - at) / 2;
            if self.kept(newest, middle) <= behind { at = middle } else { beyond = middle }
        }
        let number = newest.wrapping_sub(at);
        (self.forwarded_as(number) == Some(forwarded)).then_some(number)
    }

    /// Goes on to a number that is higher than all before it, and gives the receiver's number for it.
    fn advance(&mut self, number: u16) -> Option<u16> {
        let Some((newest, forwarded)) = self.newest else {
            self.newest = Some((number, number));
            return Some(number);
        };
        let passed = number.wrapping_sub(newest);
        let forwarded = if std::mem::take(&mut self.paused) {
            self.begin_anew(number);
            forwarded.wrapping_add(1)
        } else if (1..1 << 15).contains(&passed) {
            for (word, mask) in places(newest.wrapping_add(1), passed.min(WINDOW)) {
                self.dropped[word] &= !mask;
            }
            forwarded.wrapping_add(passed)
        } else if newest.wrapping_sub(number) < WINDOW {
            return None;
        } else if self.jump == Some(number) {
            self.begin_anew(number);
            forwarded.wrapping_add(1)
        } else {
            self.jump = Some(number.wrapping_add(1));
            return None;
        };
        self.jump = None;
        self.newest = Some((number, forwarded));
        Some(forwarded)
    }

    /// What came before `number` has no number any more.
    fn begin_anew(&mut self, number: u16) {
        self.dropped = [u64::MAX; WORDS];
        let place = number % WINDOW;
        self.dropped[usize::from(place / 64)] &= !(1 << (place % 64));
    }

    fn is_dropped(&self, number: u16) -> bool {
        let place = number % WINDOW;
        self.newest.is_some_and(|(newest, _)| newest.wrapping_sub(number) < WINDOW)
            && self.dropped[usize::from(place / 64)] >> (place % 64) & 1 != 0
    }

    /// How many of the last `count` numbers, at most [`WINDOW`], were not dropped.
    fn kept(&self, newest: u16, count: u16) -> u16 {
        let places = places(newest.wrapping_sub(count).wrapping_add(1), count);
        count - places.map(|(word, mask)| (self.dropped[word] & mask).count_ones() as u16).sum::<u16>()
    }
}

/// The words, and the bits in them, of `count` numbers from `first` on.
fn places(first: u16, count: u16) -> impl Iterator<Item = (usize, u64)> {
    let (mut place, mut left) = (first % WINDOW, count);
    std::iter::from_fn(move || {
        let (word, bit) = (usize::from(place / 64), place % 64);
        let bits = left.min(64 - bit);
        if bits == 0 {
            return None;
        }
        (place, left) = ((place + bits) % WINDOW, left - bits);
        Some((word, u64::MAX >> (64 - bits) << bit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_dropped_leaves_no_gap_and_what_is_lost_does() {
        let mut map = SequenceMap::new();
        assert_eq!(map.forward(65_533), Some(65_533));
        assert!(map.drop(65_534));
        // 65535 is lost, and numbers wrap around.
        assert_eq!(map.forward(0), Some(65_535));
        assert!(map.drop(1));
        assert_eq!(map.forward(2), Some(0));
        assert_eq!(map.original(65_534), Some(65_535), "the lost one");
        assert_eq!(map.original(65_535), Some(0));
        assert_eq!(map.original(0), Some(2));
        assert_eq!((map.original(1), map.original(32_000)), (None, None));
        // It comes late: the receiver misses it, so it cannot be dropped.
        assert!(!map.drop(65_535));
        assert_eq!(map.forward(65_535), Some(65_534));
        // Duplicates have the same fate again.
        assert_eq!((map.forward(65_534), map.forward(0)), (None, Some(65_535)));
        assert!(map.drop(1));
    }

    #[test]
    fn a_stream_that_begins_anew_goes_on() {
        let mut map = SequenceMap::new();
        map.forward(40_000);
        assert!(map.drop(40_001));
        assert_eq!(map.forward(20_000), None, "a lone old packet");
        assert_eq!(map.forward(40_002), Some(40_001));
        assert_eq!(
            (map.forward(10_000), map.forward(10_001), map.forward(10_002)),
            (None, Some(40_002), Some(40_003))
        );
        assert_eq!((map.original(40_001), map.original(40_003)), (None, Some(10_002)));
        assert_eq!(map.forward(9_999), None);
    }

    #[test]
    fn a_stream_that_was_paused_goes_on_without_a_gap() {
        let mut map = SequenceMap::new();
        map.forward(100);
        map.pause();
        assert!(map.drop(101));
        assert_eq!(map.forward(9000), Some(101));
        assert_eq!((map.original(100), map.original(101), map.forward(9001)), (None, Some(9000), Some(102)));
        // A packet of before the pause that comes late has no number.
        assert_eq!(map.forward(8999), None);
    }

    /// What each number became, in a plain table.
    fn model(packets: &[(u16, bool)]) -> Vec<(u16, Option<u16>)> {
        let mut numbers = std::collections::BTreeMap::new();
        let (mut newest, mut next) = (None, 0_u16);
        for &(number, keep) in packets {
            let from = newest.map_or(number, |newest: u16| newest + 1);
            for number_ in from..=number {
                numbers.insert(number_, Some(next));
                next += 1;
            }
            if number >= from {
                newest = Some(number);
                if !keep {
                    next -= 1;
                    numbers.insert(number, None);
                }
            }
        }
        numbers.into_iter().collect()
    }

    proptest! {
        #[test]
        fn it_is_as_a_plain_table_has_it(start: u16, steps in vec((-3_i16..9, any::<bool>()), 1..400)) {
            let mut at = 20_i16;
            let packets: Vec<_> = steps.iter().map(|&(step, keep)| {
                at = (at + step).max(20);
                (at as u16, keep)
            }).collect();
            let first = packets[0].0;
            let mut map = SequenceMap::new();
            for &(number, keep) in packets.iter().filter(|(number, _)| *number >= first) {
                let number = number.wrapping_add(start);
                if keep { map.forward(number); } else { map.drop(number); }
            }
            let base = start.wrapping_add(first);
            let expected = model(&packets.iter().copied().filter(|(number, _)| *number >= first).collect::<Vec<_>>());
            for (number, forwarded) in expected.into_iter().rev().take(usize::from(WINDOW)) {
                let number = number.wrapping_add(start);
                let forwarded = forwarded.map(|forwarded| forwarded.wrapping_add(base));
                prop_assert_eq!(map.forwarded_as(number), forwarded);
                if let Some(forwarded) = forwarded {
                    prop_assert_eq!(map.original(forwarded), Some(number));
                }
            }
        }

        #[test]
        fn any_numbers_do(numbers in vec((any::<u16>(), any::<bool>()), 0..300)) {
            let mut map = SequenceMap::new();
            for (number, keep) in numbers {
                if keep {
                    if let Some(forwarded) = map.forward(number) {
                        prop_assert_eq!(map.original(forwarded), Some(number));
                    }
                } else {
                    map.drop(number);
                }
                map.original(number);
            }
        }
    }
}
