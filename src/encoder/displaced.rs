//! Where parts of a screen were in an earlier picture, up to 1023 samples away: text that was scrolled, a window that was
//! dragged.
//!
//! A picture is described by its *anchors*: pieces of 8x8 luma samples whose first row has a certain hash. As the
//! content selects them, a piece that moves stays an anchor. Pieces that are equal in two pictures, and are nowhere
//! else in either of them, tell a vector; a superblock starts its search at those that most of its anchors tell.

use super::kernels::*;
use super::superblock;

/// Side of a piece, in samples.
const SIDE: usize = 8;
/// One in 2^this pieces is an anchor, about.
const ANCHORS_LOG2: u32 = 5;
/// Bits of a position: a row and a column, 14 each.
const POSITION: u32 = 28;
/// Odd, and with no pattern in its bits: the fraction of the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
/// The vectors that are kept for each superblock.
const KEPT: usize = 2;

/// The anchors of a picture that are found in it once, in the order of their hashes: a hash above, a position below.
pub(crate) type Anchors = Vec<u64>;

/// The anchors of the `width` x `height` samples of a plane.
pub(crate) fn anchors(plane: &Plane<u8>, (width, height): (usize, usize)) -> Anchors {
    let mut all = Vec::new();
    for y in 0..(height + 1).saturating_sub(SIDE) {
        let row = &plane.row(y as isize)[..width];
        let mut x = 0;
        while x + SIDE <= width {
            let first = word(&row[x..x + SIDE]);
            let flat = first == first.rotate_left(8);
            // Most of a screen is flat: of two such words in a row, all that begin in the first are.
            if flat && x + 2 * SIDE <= width && word(&row[x + SIDE..x + 2 * SIDE]) == first {
                x += SIDE;
                continue;
            }
            if !flat && first.wrapping_mul(MIX) >> (64 - ANCHORS_LOG2) == 0 {
                let rows = (1..SIDE).map(|dy| word(&plane.row((y + dy) as isize)[x..x + SIDE]));
                let hash = rows.fold(first, |hash, row| (hash.wrapping_mul(MIX) ^ row).rotate_left(29));
                let hash = hash.wrapping_mul(MIX) >> POSITION << POSITION;
                all.push(hash | (y << (POSITION / 2) | x) as u64);
            }
            x += 1;
        }
    }
    all.sort_unstable();
    // Pieces that occur twice tell no vector.
    let same = |a: usize, b: usize| match (all.get(a), all.get(b)) {
        (Some(a), Some(b)) => a >> POSITION == b >> POSITION,
        _ => false,
    };
    let once = (0..all.len()).filter(|&i| !same(i, i + 1) && !same(i.wrapping_sub(1), i));
    once.map(|i| all[i]).collect()
}

/// Eight samples as one number, the same on every machine.
fn word(samples: &[u8]) -> u64 {
    u64::from_le_bytes(samples.try_into().expect("eight samples"))
}

/// The vectors that anchors tell.
pub(crate) struct Displacements {
    cols: usize,
    /// For each superblock, those that most of its anchors tell, best first.
    superblocks: Vec<[Option<MotionVector>; KEPT]>,
    /// The one that most anchors of the picture tell.
    most: Option<MotionVector>,
}

impl Displacements {
    /// The displacements of a picture of `width` x `height` samples since `reference`, of the same size.
    pub(crate) fn new(anchors: &Anchors, reference: &Anchors, size: (usize, usize)) -> Self {
        let (cols, rows) = superblock::grid(size);
        let mut votes: Vec<(usize, i16, i16)> = Vec::new();
        let mut old = reference.iter().copied().peekable();
        for &new in anchors {
            while old.next_if(|old| old >> POSITION < new >> POSITION).is_some() {}
            let Some(&old) = old.peek().filter(|&old| old >> POSITION == new >> POSITION) else { continue };
            let place = |anchor: u64| {
                let at = anchor as usize;
                (at & 0x3fff, at >> (POSITION / 2) & 0x3fff)
            };
            let ((x, y), (old_x, old_y)) = (place(new), place(old));
            let (dx, dy) = (old_x as i32 - x as i32, old_y as i32 - y as i32);
            // A vector has 1/8 samples, and 14 bits of them.
            if (dx, dy) != (0, 0) && dx.abs().max(dy.abs()) < 1 << 10 {
                votes.push((
                    y / superblock::SIDE * cols + x / superblock::SIDE,
                    8 * dy as i16,
                    8 * dx as i16,
                ));
            }
        }
        votes.sort_unstable();
        let mut superblocks = vec![[None; KEPT]; cols * rows];
        for of_one in votes.chunk_by(|a, b| a.0 == b.0) {
            superblocks[of_one[0].0] = most_told(of_one);
        }
        votes.sort_unstable_by_key(|&(_, row, col)| (row, col));
        Self { cols, superblocks, most: most_told(&votes)[0] }
    }

    /// The vectors to start from at a position in luma samples.
    pub(crate) fn at(&self, x: usize, y: usize) -> impl Iterator<Item = MotionVector> + '_ {
        let own = &self.superblocks[y / superblock::SIDE * self.cols + x / superblock::SIDE];
        own.iter().copied().chain([self.most]).flatten()
    }
}

/// The vectors that are told most often, by at least two anchors; equal ones stand together in `votes`.
fn most_told(votes: &[(usize, i16, i16)]) -> [Option<MotionVector>; KEPT] {
    let mut best = [(1, None); KEPT];
    for equal in votes.chunk_by(|a, b| (a.1, a.2) == (b.1, b.2)) {
        let (_, row, col) = equal[0];
        let told = (equal.len(), Some(MotionVector { row, col }));
        if told.0 > best[0].0 {
            best = [told, best[0]];
        } else if told.0 > best[1].0 {
            best[1] = told;
        }
    }
    best.map(|(_, mv)| mv)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise, with what `inside` is shifted by `(dx, dy)`.
    fn plane(size: (usize, usize), inside: impl Fn(usize, usize) -> bool, dx: usize, dy: usize) -> Plane<u8> {
        let mut plane = Plane::new(size.0, size.1, 0, 0, 0, 0);
        let noise = |x: usize, y: usize| {
            let mixed = ((x + 4096 * y + 1) as u64).wrapping_mul(MIX);
            ((mixed ^ mixed >> 29).wrapping_mul(MIX) >> 56) as u8
        };
        for y in 0..size.1 {
            for x in 0..size.0 {
                let value = if inside(x, y) { noise(x + dx + 2000, y + dy) } else { noise(x, y) };
                let stride = plane.cfg.stride;
                plane.data_origin_mut()[y * stride + x] = value;
            }
        }
        plane
    }

    #[test]
    fn a_dragged_window_is_found_at_any_distance() {
        let size = (640, 400);
        let window = |left: usize, top: usize| {
            move |x: usize, y: usize| (left..left + 200).contains(&x) && (top..top + 150).contains(&y)
        };
        let before = anchors(&plane(size, window(10, 20), 390, 213), size);
        let now = anchors(&plane(size, window(400, 233), 0, 0), size);
        let found = Displacements::new(&now, &before, size);
        let moved = MotionVector { row: 8 * -213, col: 8 * -390 };
        assert_eq!(found.at(460, 300).next(), Some(moved));
        assert_eq!(found.most, Some(moved));
        // Behind the window nothing moved.
        assert!(found.superblocks[0].iter().all(Option::is_none));
    }

    #[test]
    fn flat_and_repeated_samples_tell_nothing() {
        let size = (128, 64);
        let mut stripes = Plane::<u8>::new(size.0, size.1, 0, 0, 0, 0);
        let stride = stripes.cfg.stride;
        for (i, sample) in stripes.data_origin_mut().iter_mut().enumerate() {
            *sample = if i % stride % 16 < 5 { 20 } else { 200 };
        }
        assert!(anchors(&stripes, size).is_empty());
        assert!(anchors(&Plane::new(4, 4, 0, 0, 0, 0), (4, 4)).is_empty());
    }
}
