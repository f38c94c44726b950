//! Frame numbers, counted on beyond their bits.

/// How far back a frame can refer: a frame difference has 12 bits at most (A.8.2).
pub(crate) const MAX_FRAME_DIFF: u64 = 1 << 12;

/// The number nearest to `highest` whose lowest 16 bits are these.
pub(crate) fn unwrap(number: u16, highest: u64) -> u64 {
    nearest(number.into(), 16, highest)
}

/// The number nearest to `highest` whose lowest `bits`, 1 to 63, are those of `number`.
pub(super) fn nearest(number: u64, bits: u32, highest: u64) -> u64 {
    let unused = 64 - bits;
    let ahead = (number.wrapping_sub(highest) << unused) as i64 >> unused;
    highest.saturating_add_signed(ahead)
}

/// Which of the last [`MAX_FRAME_DIFF`] frames were handed on.
#[derive(Debug)]
pub(super) struct Decoded {
    bits: Box<[u64; (MAX_FRAME_DIFF / 64) as usize]>,
    /// The number after the last one that was handed on.
    end: u64,
}

impl Decoded {
    pub(super) fn new() -> Self {
        Self { bits: Box::new([0; (MAX_FRAME_DIFF / 64) as usize]), end: 0 }
    }

    fn bit(number: u64) -> (usize, u64) {
        ((number % MAX_FRAME_DIFF / 64) as usize, 1 << (number % 64))
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let (word, bit) = Self::bit(number);
        number < self.end && self.end - number <= MAX_FRAME_DIFF && self.bits[word] & bit != 0
    }

    /// `number` is above all that were inserted before.
    pub(super) fn insert(&mut self, number: u64) {
        for passed in (self.end..number).take(MAX_FRAME_DIFF as usize) {
            let (word, bit) = Self::bit(passed);
            self.bits[word] &= !bit;
        }
        let (word, bit) = Self::bit(number);
        self.bits[word] |= bit;
        self.end = number + 1;
    }
}
