//! Intra block copy: blocks of a screen's key picture that are the same elsewhere in it, as glyphs are, and are taken from
//! there (AV1 specification, sections 5.11.26, 6.10.25 and 7.11.3.2).

use super::kernels::*;
use super::probabilities::bits;
use super::superblock;

/// Side of the pieces that are looked for, in samples.
const SIDE: usize = 8;
/// Bits of a position: a row and a column, 14 each.
const POSITION: u32 = 28;
/// Odd, and with no pattern in its bits: the fraction of the golden ratio.
const MIX: u64 = 0x9E37_79B9_7F4A_7C15;
/// Bits of a hash by which most pieces that no block has are told at once.
const SIEVE_LOG2: u32 = 17;
/// Places of a piece that are looked at, the nearest above first.
const LOOKED_AT: usize = 48;
/// Superblocks from a block to those in its row that it may be copied from (INTRABC_DELAY_SB64).
pub(super) const DELAY: usize = 4;
/// A picture has copies from this share of the pieces that are not flat on: it then has no loop filters. A page that was
/// recorded, and is as dear with copies as with filters, has 0.06; slides with a photograph have 0.19, a program's text 0.5.
const SHARE: f32 = 0.1;

/// A tile, in luma samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

/// Where the pieces of a source are.
pub(crate) struct Copies<'a> {
    source: &'a Plane<u8>,
    size: (usize, usize),
    /// The hash of each 8x8 block, row by row; 0 if it is flat, so that other predictions are better.
    blocks: Vec<u64>,
    /// The hash and the position of each piece that some block is, in their order.
    places: Vec<u64>,
}

impl<'a> Copies<'a> {
    /// Of the `width` x `height` samples of a luma plane in such tiles; nothing if too little of it is there twice.
    pub(crate) fn new(source: &'a Plane<u8>, size: (usize, usize), tiles: &TilingInfo) -> Option<Self> {
        let cols = size.0 / SIDE;
        let mut hashes = Hashes::new(size.0);
        let mut copies =
            Self { source, size, blocks: Vec::with_capacity(cols * (size.1 / SIDE)), places: Vec::new() };
        hashes.each_row(source, size.1, |y, of| {
            if y.is_multiple_of(SIDE) {
                let blocks =
                    (0..cols).map(|col| if of.is_flat(col * SIDE) { 0 } else { of.hash(col * SIDE) });
                copies.blocks.extend(blocks);
            }
        });
        let mut sieve = vec![0u64; 1 << (SIEVE_LOG2 - 6)];
        let place = |hash: u64| ((hash >> (70 - SIEVE_LOG2)) as usize, hash >> (64 - SIEVE_LOG2) & 63);
        for &hash in copies.blocks.iter().filter(|&&hash| hash != 0) {
            let (word, bit) = place(hash);
            sieve[word] |= 1 << bit;
        }
        hashes.each_row(source, size.1, |y, of| {
            for x in 0..(size.0 + 1).saturating_sub(SIDE) {
                let hash = of.hash(x);
                let (word, bit) = place(hash);
                if sieve[word] >> bit & 1 != 0 {
                    copies.places.push(hash >> POSITION << POSITION | (y << (POSITION / 2) | x) as u64);
                }
            }
        });
        copies.places.sort_unstable();
        let (width, height) =
            (tiles.tile_width_sb * superblock::SIDE, tiles.tile_height_sb * superblock::SIDE);
        let (mut all, mut found) = (0u32, 0u32);
        for (i, _) in copies.blocks.iter().enumerate().filter(|&(_, &hash)| hash != 0) {
            let (x, y) = (i % cols * SIDE, i / cols * SIDE);
            let (left, top) = (x / width * width, y / height * height);
            let tile = Bounds { left, top, right: left + width, bottom: top + height };
            all += 1;
            found += u32::from(copies.places(x, y).any(|from| copies.may_be(from, (x, y), SIDE, tile)));
        }
        (found as f32 > SHARE * all as f32).then_some(copies)
    }

    /// Places that look like the piece at `(x, y)`, which is a block, from there upwards.
    fn places(&self, x: usize, y: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let hash = self.blocks[y / SIDE * (self.size.0 / SIDE) + x / SIDE] >> POSITION;
        let own = hash << POSITION | (y << (POSITION / 2) | x) as u64;
        let end = self.places.partition_point(|&place| place < own);
        let like = self.places[..end].iter().rev().take_while(move |&&place| place >> POSITION == hash);
        like.take(LOOKED_AT).map(|&place| {
            let at = place as usize;
            (at & 0x3fff, at >> (POSITION / 2) & 0x3fff)
        })
    }

    /// Whether a square may be copied from a place: it is within the tile and decoded by then (section 6.10.25).
    fn may_be(&self, from: (usize, usize), to: (usize, usize), side: usize, tile: Bounds) -> bool {
        let (right, bottom) = (from.0 + side, from.1 + side);
        if from.0 < tile.left
            || from.1 < tile.top
            || right > tile.right.min(self.size.0)
            || bottom > tile.bottom.min(self.size.1)
        {
            return false;
        }
        let superblock = |x: usize, y: usize| (x / superblock::SIDE, y / superblock::SIDE);
        let (from_col, from_row) = superblock(right - 1, bottom - 1);
        let (to_col, to_row) = superblock(to.0, to.1);
        let cols = (tile.right.min(self.size.0) - tile.left).div_ceil(superblock::SIDE);
        // A decoder may be at work on all rows of superblocks at once, each behind the one above.
        from_row <= to_row
            && from_col + DELAY < to_col + (DELAY + 1) * (to_row - from_row)
            && from_row * cols + from_col + DELAY < to_row * cols + to_col
    }

    /// Whether two squares are the same.
    fn same(&self, a: (usize, usize), b: (usize, usize), side: usize) -> bool {
        (0..side).all(|row| {
            let of = |at: (usize, usize)| &self.source.row((at.1 + row) as isize)[at.0..at.0 + side];
            of(a) == of(b)
        })
    }

    /// The pieces of a square that is a block, of which the one with the fewest places tells all there are of the square.
    fn rarest(&self, (x, y): (usize, usize), side: usize) -> Option<(usize, usize)> {
        let cols = self.size.0 / SIDE;
        let pieces = (y / SIDE..(y + side) / SIDE)
            .flat_map(|row| (x / SIDE..(x + side) / SIDE).map(move |col| (col, row)));
        let many = |&(col, row): &(usize, usize)| self.places(col * SIDE, row * SIDE).count();
        let rarest = pieces.filter(|&(col, row)| self.blocks[row * cols + col] != 0).min_by_key(many)?;
        Some((rarest.0 * SIDE, rarest.1 * SIDE))
    }

    /// The vector to a copy of the square at `to` for which `cost` is the least; `first` are tried, too.
    pub(super) fn find(
        &self,
        to: (usize, usize),
        side: usize,
        tile: Bounds,
        first: &[MotionVector],
        cost: impl Fn(MotionVector) -> f32,
    ) -> Option<(MotionVector, f32)> {
        if to.0 + side > self.size.0 || to.1 + side > self.size.1 {
            return None;
        }
        let piece = self.rarest(to, side)?;
        let vector = |from: (usize, usize)| {
            let (row, col) = (from.1 as i32 - to.1 as i32, from.0 as i32 - to.0 as i32);
            // A vector has 1/8 samples, and 14 bits of them.
            let tells = row.abs().max(col.abs()) < 1 << 11;
            tells.then_some(MotionVector { row: 8 * row as i16, col: 8 * col as i16 })
        };
        let place = |mv: MotionVector| {
            let at = |from: usize, by: i16| from.checked_add_signed(isize::from(by >> 3));
            Some((at(to.0, mv.col)?, at(to.1, mv.row)?))
        };
        let own = (piece.0 - to.0, piece.1 - to.1);
        let by_hash = self.places(piece.0, piece.1);
        let by_hash = by_hash.filter_map(|(x, y)| Some((x.checked_sub(own.0)?, y.checked_sub(own.1)?)));
        // What cannot be told at all costs infinitely much.
        let (mut best, mut least) = (None, f32::INFINITY);
        for from in first.iter().filter_map(|&mv| place(mv)).chain(by_hash) {
            let Some(mv) = vector(from).filter(|_| self.may_be(from, to, side, tile)) else { continue };
            let cost = cost(mv);
            if cost < least && self.same(from, to, side) {
                (best, least) = (Some((mv, cost)), cost);
            }
        }
        best
    }
}

/// The hashes of the pieces that begin in one row of a plane, from row to row.
struct Hashes {
    width: usize,
    /// Of the last rows, the hash of each eight samples in a row.
    rows: Vec<[u64; SIDE]>,
    hashes: Vec<u64>,
    /// In how many rows so far all eight samples were the same, and were those of the row above.
    level: Vec<(u8, u8)>,
}

impl Hashes {
    fn new(width: usize) -> Self {
        let pieces = (width + 1).saturating_sub(SIDE);
        Self { width, rows: vec![[0; SIDE]; pieces], hashes: vec![0; pieces], level: vec![(0, 0); pieces] }
    }

    /// Calls `of` for each row of pieces.
    fn each_row(&mut self, plane: &Plane<u8>, height: usize, mut of: impl FnMut(usize, &Self)) {
        let oldest = MIX.wrapping_pow(SIDE as u32);
        self.rows.fill([0; SIDE]);
        self.hashes.fill(0);
        self.level.fill((0, 0));
        for y in 0..height {
            let row = &plane.row(y as isize)[..self.width];
            let above = &plane.row(y.saturating_sub(1) as isize)[..self.width];
            let pieces = self.rows.iter_mut().zip(&mut self.hashes).zip(&mut self.level);
            for (((rows, hash), level), (row, above)) in
                pieces.zip(row.windows(SIDE).zip(above.windows(SIDE)))
            {
                let (samples, above) = (word(row), word(above));
                let mixed = samples.wrapping_mul(MIX);
                let mixed = (mixed ^ mixed >> 32).wrapping_mul(MIX);
                let before = std::mem::replace(&mut rows[y % SIDE], mixed);
                *hash = hash.wrapping_mul(MIX).wrapping_add(mixed).wrapping_sub(before.wrapping_mul(oldest));
                let flat = samples == samples.rotate_left(8);
                level.0 = if flat { level.0.saturating_add(1) } else { 0 };
                level.1 = if samples == above { level.1.saturating_add(1) } else { 0 };
            }
            if y + 1 >= SIDE {
                of(y + 1 - SIDE, self);
            }
        }
    }

    /// The hash of the piece at `x`; its lower bits tell less.
    fn hash(&self, x: usize) -> u64 {
        let hash = self.hashes[x];
        (hash ^ hash >> 29).wrapping_mul(MIX) | 1
    }

    /// Whether all rows or all columns of the piece at `x` are flat.
    fn is_flat(&self, x: usize) -> bool {
        let (rows, columns) = self.level[x];
        usize::from(rows) >= SIDE || usize::from(columns) >= SIDE - 1
    }
}

/// Eight samples as one number, the same on every machine.
fn word(samples: &[u8]) -> u64 {
    u64::from_le_bytes(samples.try_into().expect("eight samples"))
}

/// How many bits the symbols of a copy take.
#[derive(Default)]
pub(super) struct CopyBits {
    /// That a block is copied.
    pub(super) copied: f32,
    /// Which components of a vector differ from what is predicted, and for both the class of the difference.
    pub(super) joints: [f32; 4],
    pub(super) classes: [[f32; 11]; 2],
}

impl CopyBits {
    /// By the probabilities of a tile as they are now.
    pub(super) fn new(cw: &ContextWriter<'_>, copied: &[u16; 2]) -> Self {
        let vectors = &cw.fc.nmv_context;
        Self {
            copied: bits(copied, 1),
            joints: std::array::from_fn(|joint| bits(&vectors.joints_cdf, joint)),
            classes: [0, 1].map(|i| std::array::from_fn(|class| bits(&vectors.comps[i].classes_cdf, class))),
        }
    }

    /// How many bits a vector takes, about.
    pub(super) fn vector(&self, mv: MotionVector, predicted: MotionVector) -> f32 {
        let (row, col) =
            (i32::from(mv.row) - i32::from(predicted.row), i32::from(mv.col) - i32::from(predicted.col));
        let component = |axis: usize, by: i32| {
            let samples = by.unsigned_abs() / 8;
            if samples == 0 {
                return 0.0;
            }
            // The largest class ends here.
            if samples > 1 << 11 {
                return f32::INFINITY;
            }
            // Class 0 has 1 and 2 samples, class n the next 2^n of them.
            let class = ((samples - 1) | 1).ilog2() as usize;
            1.0 + self.classes[axis][class] + class.max(1) as f32
        };
        let joint = 2 * usize::from(row != 0) + usize::from(col != 0);
        self.joints[joint] + component(0, row) + component(1, col)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (640, 320);

    fn tiles(cols: usize) -> TilingInfo {
        let config =
            EncoderConfig { width: SIZE.0, height: SIZE.1, tile_cols: cols, ..EncoderConfig::default() };
        Sequence::new(&config).tiling
    }

    fn whole() -> Bounds {
        Bounds { left: 0, top: 0, right: SIZE.0, bottom: SIZE.1 }
    }

    /// Noise, at each place that of the place which `from` tells.
    fn plane(from: impl Fn(usize, usize) -> (usize, usize)) -> Plane<u8> {
        let mut plane = Plane::new(SIZE.0, SIZE.1, 0, 0, 0, 0);
        let stride = plane.cfg.stride;
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let (from_x, from_y) = from(x, y);
                let mixed = ((from_x + 4096 * from_y + 1) as u64).wrapping_mul(MIX);
                plane.data_origin_mut()[y * stride + x] =
                    ((mixed ^ mixed >> 29).wrapping_mul(MIX) >> 56) as u8;
            }
        }
        plane
    }

    #[test]
    fn what_is_there_twice_is_found_at_its_place() {
        // The lower half shows the upper one, shifted by 7 columns.
        let twice = plane(|x, y| if y >= 160 && x >= 7 { (x - 7, y - 160) } else { (x, y) });
        let copies = Copies::new(&twice, SIZE, &tiles(1)).unwrap();
        let shifted = MotionVector { row: -8 * 160, col: -8 * 7 };
        for (to, side) in [((64, 192), 64), ((8, 160), 8), ((624, 304), 16)] {
            let (mv, bits) = copies.find(to, side, whole(), &[], |mv| f32::from(mv.row.abs())).unwrap();
            assert_eq!((mv, bits), (shifted, 1280.0));
        }
        assert!(copies.find((64, 64), 8, whole(), &[], |_| 0.0).is_none(), "it comes later");
        assert!(copies.find((0, 192), 8, whole(), &[], |_| 0.0).is_none(), "another place");
        assert!(copies.find((624, 304), 32, whole(), &[], |_| 0.0).is_none(), "beyond the picture");
        assert!(copies.find((8, 160), 8, whole(), &[], |_| f32::INFINITY).is_none(), "it cannot be told");
        assert!(Copies::new(&plane(|x, y| (x, y)), SIZE, &tiles(1)).is_none());
        // Stripes are the same everywhere, and other predictions are better.
        assert!(Copies::new(&plane(|x, _| (x % 16, 0)), SIZE, &tiles(1)).is_none());
    }

    #[test]
    fn a_copy_comes_from_what_every_decoder_has_by_then() {
        let picture = plane(|x, y| (x % 8 + 8 * (y % 8), y % 8));
        let copies = Copies { source: &picture, size: SIZE, blocks: Vec::new(), places: Vec::new() };
        let may = |from, to, tile| copies.may_be(from, to, 8, tile);
        // In its own row, four superblocks lie between; in the row above, it is one to the right of the block's at most.
        assert!(may((0, 0), (320, 0), whole()) && !may((57, 0), (320, 0), whole()));
        assert!(may((64 * 5 - 8, 63 - 7), (256, 64), whole()) && !may((64 * 5 - 7, 0), (256, 64), whole()));
        assert!(!may((0, 57), (64 * 5, 0), whole()), "a row below");
        // Of a tile of two columns, all but the last four superblocks are there.
        let narrow = Bounds { left: 128, right: 256, ..whole() };
        assert!(may((128, 0), (192, 128), narrow) && !may((192, 0), (192, 128), narrow));
        assert!(!may((120, 0), (192, 256), narrow) && !may((249, 0), (192, 256), narrow), "another tile");
        let low = Bounds { top: 64, ..whole() };
        assert!(!may((0, 56), (64, 192), low) && may((0, 64), (64, 192), low));
    }

    #[test]
    fn vectors_of_other_classes_take_more_bits() {
        let bits = CopyBits { copied: 0.0, joints: [0.0, 1.0, 1.0, 1.0], classes: [[1.0; 11]; 2] };
        let of = |row: i16, col: i16| {
            let predicted = MotionVector { row: 8, col: -8 };
            bits.vector(MotionVector { row: 8 + 8 * row, col: 8 * col - 8 }, predicted)
        };
        assert_eq!([of(0, 0), of(1, 0), of(0, 2), of(2, -1)], [0.0, 4.0, 4.0, 7.0]);
        assert_eq!([of(0, 3), of(0, 4), of(0, -5), of(0, 9), of(0, 2040)], [4.0, 4.0, 5.0, 6.0, 13.0]);
        let far = MotionVector { row: 8 * 1500, col: 0 };
        assert!(bits.vector(far, MotionVector { row: -8 * 1500, col: 0 }).is_infinite());
    }
}
