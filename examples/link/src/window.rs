//! Which numbers of a sequence were there: no packet is taken twice, and none is sealed twice.

use rtc_shared::replay_detector::ReplayDetector;

/// Numbers that are remembered, from the highest one down. A retransmission of an older packet comes too late.
pub(crate) const WINDOW: usize = 2048;

/// The last numbers of a sequence that wraps at a power of two (RFC 3711, section 3.3.2).
///
/// `rtc-srtp` has a window too. It starts it by the first packet before that is authenticated, so that one forged packet
/// can make a receiver refuse the stream behind it.
#[derive(Debug)]
pub(crate) struct Window {
    /// The highest number possible, which is all ones.
    mask: u64,
    highest: Option<u64>,
    /// Of number n, at n modulo [`WINDOW`].
    seen: [u64; WINDOW / 64],
    checked: u64,
}

/// Where a number is, seen from those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It was not there.
    New,
    /// It was there, or it is older than the window.
    Seen,
    /// It is so far ahead that the next highest number could be taken for an old one.
    Ahead,
}

impl Window {
    /// Of numbers with so many bits that come from the network, where the first one may have been overtaken.
    pub fn incoming(bits: u32) -> Self {
        Self { mask: (1 << bits) - 1, highest: None, seen: [0; WINDOW / 64], checked: 0 }
    }

    /// Of numbers that are given out. From the first one down to 0 they are in its round; below that, where nobody can
    /// tell which round they are of, they count as seen.
    pub fn outgoing(bits: u32) -> Self {
        Self { seen: [u64::MAX; WINDOW / 64], ..Self::incoming(bits) }
    }

    pub fn place(&self, number: u64) -> Place {
        let Some(highest) = self.highest else { return Place::New };
        let ahead = number.wrapping_sub(highest) & self.mask;
        let behind = highest.wrapping_sub(number) & self.mask;
        if ahead != 0 && ahead <= self.mask / 2 {
            return if ahead <= self.mask / 4 { Place::New } else { Place::Ahead };
        }
        if behind < WINDOW as u64 && !self.has(number) { Place::New } else { Place::Seen }
    }

    pub fn insert(&mut self, number: u64) {
        let highest = self.highest.unwrap_or_else(|| {
            (0..=number).rev().take(WINDOW).for_each(|number| self.set(number, false));
            number
        });
        let ahead = number.wrapping_sub(highest) & self.mask;
        if ahead <= self.mask / 2 {
            for back in 0..ahead.min(WINDOW as u64) {
                self.set(number.wrapping_sub(back), false);
            }
            self.highest = Some(number);
        }
        self.set(number, true);
    }

    fn has(&self, number: u64) -> bool {
        let at = number as usize % WINDOW;
        self.seen[at / 64] & 1 << (at % 64) != 0
    }

    fn set(&mut self, number: u64, seen: bool) {
        let at = number as usize % WINDOW;
        let bit = 1 << (at % 64);
        if seen { self.seen[at / 64] |= bit } else { self.seen[at / 64] &= !bit }
    }
}

impl ReplayDetector for Window {
    fn check(&mut self, number: u64) -> bool {
        self.checked = number;
        number <= self.mask && self.place(number) != Place::Seen
    }

    fn accept(&mut self) {
        self.insert(self.checked);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_new_once() {
        let mut window = Window::outgoing(16);
        for number in [65_530, 65_531, 65_535, 65_533, 0, 3, 1, 65_534, 65_000] {
            assert_eq!(window.place(number), Place::New, "{number}");
            window.insert(number);
            assert_eq!(window.place(number), Place::Seen, "{number}");
        }
        assert_eq!(window.place(2), Place::New);
        let mut window = Window::outgoing(16);
        window.insert(3);
        assert_eq!(
            [65_535, 0, 2, 3, 4].map(|number| window.place(number) == Place::New),
            [false, true, true, false, true]
        );
    }

    #[test]
    fn what_is_older_than_the_window_counts_as_seen() {
        let mut window = Window::incoming(16);
        window.insert(100);
        window.insert(100 + WINDOW as u64 + 5);
        assert_eq!(window.place(105), Place::Seen);
        assert_eq!(window.place(106), Place::New);
        assert_eq!(window.place(100 + WINDOW as u64 + 5 + 16_383), Place::New);
        assert_eq!(window.place(100 + WINDOW as u64 + 5 + 16_384), Place::Ahead);
    }

    #[test]
    fn what_is_only_checked_changes_nothing() {
        let mut window = Window::incoming(31);
        assert!(window.check(1 << 30));
        assert!(window.check(5));
        window.accept();
        assert!(window.check(6) && window.check(4) && !window.check(5) && !window.check(1 << 31));
    }

    proptest! {
        /// It says what a set of all numbers says, for steps of every size.
        #[test]
        fn a_set_says_the_same(start in any::<u16>(), steps in prop::collection::vec(-2500_i64..9000, 1..200)) {
            let (mut window, mut set) = (Window::outgoing(16), HashSet::new());
            // Numbers that do not wrap.
            let first = 1 << 20 | i64::from(start);
            let mut highest = first;
            window.insert(highest as u64 & 0xffff);
            set.insert(highest);
            for step in steps {
                let number = highest + step;
                let expected = number >= 1 << 20 && number + WINDOW as i64 > highest && !set.contains(&number);
                let place = window.place(number as u64 & 0xffff);
                prop_assert_eq!(place == Place::New, expected, "{} at {}", number - first, highest - first);
                if expected {
                    window.insert(number as u64 & 0xffff);
                    set.insert(number);
                    highest = highest.max(number);
                }
            }
        }
    }
}
