//! The constrained directional enhancement filter (AV1 specification, section 7.15), with one set of strengths for the frame, or two
//! of which each superblock takes one.

use std::ops::Range;

use super::bands::Band;
use super::kernels::*;
use super::superblock;

/// Strengths of the filter (section 5.9.19), 0 to 63 each: 4 * primary + secondary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cdef {
    pub(crate) damping: u8,
    pub(crate) luma: u8,
    pub(crate) chroma: u8,
    /// Luma's in the superblocks that take the second set; none if there is but one.
    pub(crate) second: Option<u8>,
}

impl Cdef {
    /// Nothing is filtered; 3 is the least damping that a header can tell.
    pub(crate) const OFF: Self = Self { damping: 3, luma: 0, chroma: 0, second: None };

    /// Whether anything is filtered.
    pub(super) fn filters(&self) -> bool {
        self.luma > 0 || self.chroma > 0 || self.second.is_some_and(|luma| luma > 0)
    }
}

/// Side of a filtered block in luma.
const SIDE: usize = 8;
/// Such blocks across a superblock.
const ACROSS: usize = superblock::SIDE / SIDE;
/// Samples that the filter reads beyond a block on either side.
const REACH: usize = 2;
/// In the place of a sample that there is none of: so far from all samples that its difference counts as none, the least
/// of all numbers, and without a sign one of the largest.
const NONE: i16 = i16::MIN;

/// What the filter does to a block of 8x8 luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Block8 {
    /// Whether the block has coefficients; otherwise it is left alone.
    coded: bool,
    direction: u8,
    /// log2 of the contrast along the direction, from which luma's strength follows; 0 to 13, 0 for none at all.
    contrast: u8,
}

/// The filter of a band of a frame, with its working memory.
#[derive(Clone, Default)]
pub(super) struct Filter {
    /// In rows.
    blocks: Vec<Block8>,
    windows: [Window; 3],
    /// For each superblock, the squared error of luma by the first and by the second set of strengths, as far as they are compared.
    pub(super) errors: Vec<[u64; 2]>,
    /// Which superblocks take the second set.
    pub(super) second: Vec<bool>,
    /// The luma blocks that are compared, as both sets filter them.
    filtered: Vec<[[u8; SIDE * SIDE]; 2]>,
}

/// Strengths in one plane.
#[derive(Clone, Copy)]
struct Strengths {
    primary: i16,
    secondary: i16,
    damping: u8,
}

impl Strengths {
    fn new(both: u8, damping: u8) -> Self {
        let (primary, secondary) = (i16::from(both / 4), i16::from(both % 4));
        Self { primary, secondary: secondary + i16::from(secondary == 3), damping }
    }

    /// Those of luma in a block of this contrast.
    fn of_contrast(self, contrast: u8) -> Self {
        let primary = match contrast {
            0 => 0,
            contrast => (self.primary * (3 + i16::from(contrast)) + 8) >> 4,
        };
        Self { primary, ..self }
    }

    /// Filters a block of luma (`N` is 8) or chroma (4) whose first column is `x` of a window.
    fn filter<const N: usize>(self, to: &mut [u8], stride: usize, window: &Window, x: usize, block: &Block8) {
        // Without a primary strength the direction is the first one (section 7.15.1).
        let direction = if self.primary > 0 { block.direction } else { 0 };
        let strengths = if N == SIDE { self.of_contrast(block.contrast) } else { self };
        filter_block::<N>(to, stride, window, x, direction, strengths);
    }

    /// By how much differences are shifted before they are taken off a strength.
    fn shift(self, strength: i16) -> u32 {
        u32::from(self.damping).saturating_sub(strength.max(1).ilog2())
    }
}

impl Filter {
    /// Notes the rows above and below a band of some rows of 8x8 luma samples, before any band is filtered.
    pub(super) fn look_around(&mut self, frame: &Frame<u8>, rows: Range<usize>) {
        for (plane, window) in frame.planes.iter().zip(&mut self.windows) {
            let (top, bottom) = ((rows.start * SIDE) >> plane.cfg.ydec, (rows.end * SIDE) >> plane.cfg.ydec);
            window.look_around(plane, top, bottom);
        }
    }

    /// Looks at the blocks of a band: its luma begins at `samples`.
    pub(super) fn look_at_blocks(
        &mut self,
        (samples, stride): (&[u8], usize),
        rows: Range<usize>,
        blocks: &FrameBlocks,
        cdef: Cdef,
    ) {
        let directed = cdef.luma.max(cdef.chroma).max(cdef.second.unwrap_or(0)) >= 4;
        let columns = self.windows[0].width / SIDE;
        self.blocks.clear();
        for (i, y) in rows.enumerate() {
            let [above, below] = [&blocks[2 * y], &blocks[2 * y + 1]];
            self.blocks.extend((0..columns).map(|x| {
                let skip = |row: &[Block]| row[2 * x].skip && row[2 * x + 1].skip;
                if skip(above) && skip(below) {
                    return Block8::default();
                }
                let rows = std::array::from_fn(|row| &samples[(i * SIDE + row) * stride + x * SIDE..]);
                let (direction, contrast) = if directed { direction(&rows) } else { (0, 0) };
                Block8 { coded: true, direction, contrast }
            }));
        }
    }

    /// Finds the errors of both sets of strengths in a band, after it looked around and at its blocks.
    pub(super) fn compare(
        &mut self,
        (samples, stride): (&[u8], usize),
        (source, source_stride): (&[u8], usize),
        cdef: Cdef,
    ) {
        let window = &mut self.windows[0];
        let columns = window.width / SIDE;
        let sets =
            [cdef.luma, cdef.second.unwrap_or(cdef.luma)].map(|both| Strengths::new(both, cdef.damping));
        self.filtered.clear();
        self.errors.clear();
        self.errors.resize(columns.div_ceil(ACROSS), [0; 2]);
        for (row, blocks) in self.blocks.chunks_exact(columns).enumerate() {
            let compared = |(x, block): &(usize, &Block8)| block.coded && is_compared(*x, row);
            if !blocks.iter().enumerate().any(|one| compared(&one)) {
                window.is_next = false;
                continue;
            }
            window.fill(samples, stride, row * SIDE, SIDE);
            for (x, block) in blocks.iter().enumerate().filter(compared) {
                let at = |stride| row * SIDE * stride + x * SIDE;
                let mut here = [0; SIDE * SIDE];
                let rows = samples[at(stride)..].chunks(stride);
                here.chunks_exact_mut(SIDE)
                    .zip(rows)
                    .for_each(|(to, from)| to.copy_from_slice(&from[..SIDE]));
                let mut filtered = [here; 2];
                for ((set, to), error) in sets.iter().zip(&mut filtered).zip(&mut self.errors[x / ACROSS]) {
                    set.filter::<SIDE>(to, SIDE, window, x * SIDE, block);
                    *error += u64::from(squared_error(to, &source[at(source_stride)..], source_stride));
                }
                self.filtered.push(filtered);
            }
        }
        window.is_next = false;
    }

    /// Filters a band, after it looked around and at its blocks, and compared them if there are two sets of strengths.
    pub(super) fn filter(&mut self, band: &mut Band<'_>, cdef: Cdef) {
        let columns = self.windows[0].width / SIDE;
        let mut filtered = self.filtered.iter();
        for (row, blocks) in self.blocks.chunks_exact(columns).enumerate() {
            let any = blocks.iter().any(|block| block.coded);
            for (p, window) in self.windows.iter_mut().enumerate() {
                let sets = match p {
                    0 => [cdef.luma, cdef.second.unwrap_or(cdef.luma)],
                    _ => [cdef.chroma; 2],
                };
                if !any || sets == [0; 2] {
                    window.is_next = false;
                    continue;
                }
                let (samples, stride) = band.samples(p);
                let sets = sets.map(|both| Strengths::new(both, cdef.damping - u8::from(p > 0)));
                let side = if p > 0 { SIDE / 2 } else { SIDE };
                window.fill(samples, stride, row * side, side);
                let samples = &mut samples[row * side * stride..];
                for (x, block) in blocks.iter().enumerate().filter(|(_, block)| block.coded) {
                    let second = usize::from(self.second.get(x / ACROSS).copied().unwrap_or(false));
                    let to = &mut samples[x * side..];
                    if p > 0 {
                        sets[0].filter::<4>(to, stride, window, x * side, block);
                    } else if cdef.second.is_some() && is_compared(x, row) {
                        let both = filtered.next().expect("all of these were compared");
                        let rows = to.chunks_mut(stride).zip(both[second].chunks_exact(SIDE));
                        rows.for_each(|(to, from)| to[..SIDE].copy_from_slice(from));
                    } else {
                        sets[second].filter::<8>(to, stride, window, x * side, block);
                    }
                }
            }
        }
    }
}

/// Whether a block of luma is compared. Half of them tell well enough which strengths are better.
fn is_compared(x: usize, row: usize) -> bool {
    (x + row) & 1 == 0
}

wide! {
    /// The squared error of a block of 8x8 samples.
    fn squared_error(block: &[u8; SIDE * SIDE], source: &[u8], stride: usize) -> u32 {
        let mut sums = [0i32; SIDE];
        for (y, row) in block.chunks_exact(SIDE).enumerate() {
            let source = &source[y * stride..][..SIDE];
            for i in 0..SIDE {
                let difference = i32::from(row[i]) - i32::from(source[i]);
                sums[i] += difference * difference;
            }
        }
        sums.iter().sum::<i32>() as u32
    }
}

/// Samples to the left of the first one in a window: those that are read, and some more for whole vectors.
const LEFT: usize = 16;

/// The rows of a row of blocks, and those around it, before they are filtered.
#[derive(Clone, Default)]
struct Window {
    samples: Vec<i16>,
    stride: usize,
    /// Samples of the picture in a row, and rows of the band.
    width: usize,
    height: usize,
    /// Whether the window has the row of blocks above the one that comes next.
    is_next: bool,
    /// The rows above and below the band; none beyond the picture.
    around: [[Vec<i16>; REACH]; 2],
}

impl Window {
    fn look_around(&mut self, plane: &Plane<u8>, top: usize, bottom: usize) {
        (self.width, self.height, self.is_next) = (plane.cfg.width, bottom - top, false);
        self.stride = self.width + 2 * LEFT;
        let side = SIDE >> plane.cfg.ydec;
        // What lies beyond the left and the right edge is never written.
        self.samples.resize((side + 2 * REACH) * self.stride, NONE);
        for (rows, first) in self.around.iter_mut().zip([top.checked_sub(REACH), Some(bottom)]) {
            let inside = first.filter(|first| first + REACH <= plane.cfg.height);
            for (i, row) in rows.iter_mut().enumerate() {
                row.resize(self.width, NONE);
                match inside {
                    Some(first) => widen(row, &plane.row((first + i) as isize)[..self.width]),
                    None => row.fill(NONE),
                }
            }
        }
    }

    /// Takes the row of blocks whose first row is `top` of the band's `samples`.
    fn fill(&mut self, samples: &[u8], stride: usize, top: usize, side: usize) {
        let [above, below] = &self.around;
        if self.is_next {
            // Their samples are filtered already.
            self.samples.copy_within(side * self.stride..(side + REACH) * self.stride, 0);
        }
        for (i, to) in self.samples.chunks_exact_mut(self.stride).enumerate() {
            let to = &mut to[LEFT..LEFT + self.width];
            match (top + i).checked_sub(REACH) {
                Some(_) if self.is_next && i < REACH => {}
                Some(y) if y < self.height => widen(to, &samples[y * stride..][..self.width]),
                Some(y) => to.copy_from_slice(&below[y - self.height]),
                None => to.copy_from_slice(&above[i]),
            }
        }
        self.is_next = true;
    }
}

wide! {
    fn widen(to: &mut [i16], from: &[u8]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = from.into();
        }
    }
}

/// For each direction, the way to the samples one and two steps along it: rows down and columns to the right
/// (section 7.15.2, Cdef_Directions).
const STEPS: [[(isize, isize); 2]; 8] = [
    [(-1, 1), (-2, 2)],
    [(0, 1), (-1, 2)],
    [(0, 1), (0, 2)],
    [(0, 1), (1, 2)],
    [(1, 1), (2, 2)],
    [(1, 0), (2, 1)],
    [(1, 0), (2, 0)],
    [(1, 0), (2, -1)],
];

/// Lanes of a vector: the samples that are filtered at once, of 2 rows of 8 or 4 rows of 4.
const LANES: usize = 16;
type Lanes = [i16; LANES];

wide! {
    /// Filters a block of `N`x`N` samples whose first column is `x`.
    fn filter_block<const N: usize>(
        to: &mut [u8],
        stride: usize,
        window: &Window,
        x: usize,
        direction: u8,
        strengths: Strengths,
    ) {
        let (primary, secondary) = (strengths.primary, strengths.secondary);
        if primary == 0 && secondary == 0 {
            return;
        }
        let direction = usize::from(direction);
        let taps = if primary & 1 == 0 { [4, 2] } else { [3, 3] };
        let (shift, far_shift) = (strengths.shift(primary), strengths.shift(secondary));
        let way = |direction: usize, k: usize| {
            let (down, right) = STEPS[direction & 7][k];
            down * window.stride as isize + right
        };
        // What one of the strengths adds stays within the samples that it comes from.
        let both = primary != 0 && secondary != 0;
        let rows = LANES / N;
        for y in (0..N).step_by(rows) {
            let at = (y + REACH) * window.stride + LEFT + x;
            let here = load::<N>(&window.samples, at, window.stride);
            let (mut sum, mut most, mut least) = ([0i16; LANES], here, here);
            for (k, tap) in taps.into_iter().enumerate() {
                if primary != 0 {
                    let way = way(direction, k);
                    for way in [way, -way] {
                        let there = load::<N>(&window.samples, at.wrapping_add_signed(way), window.stride);
                        constrain(&mut sum, &here, &there, primary, shift, tap);
                        if both {
                            bounds(&mut most, &mut least, &there);
                        }
                    }
                }
                if secondary != 0 {
                    for way in [way(direction + 2, k), way(direction + 6, k)] {
                        for way in [way, -way] {
                            let there = load::<N>(&window.samples, at.wrapping_add_signed(way), window.stride);
                            constrain(&mut sum, &here, &there, secondary, far_shift, 2 - k as i16);
                            if both {
                                bounds(&mut most, &mut least, &there);
                            }
                        }
                    }
                }
            }
            let mut filtered = [0u8; LANES];
            for i in 0..LANES {
                let sum = (8 + sum[i] + (sum[i] >> 15)) >> 4;
                let value = here[i] + sum;
                filtered[i] = if both { value.max(least[i]).min(most[i]) } else { value } as u8;
            }
            for (row, from) in filtered.chunks_exact(N).enumerate() {
                to[(y + row) * stride..][..N].copy_from_slice(from);
            }
        }
    }
}

/// The samples of some rows of a block.
#[inline(always)]
fn load<const N: usize>(from: &[i16], at: usize, stride: usize) -> Lanes {
    let mut lanes = [0; LANES];
    for (row, lanes) in lanes.chunks_exact_mut(N).enumerate() {
        lanes.copy_from_slice(&from[at + row * stride..][..N]);
    }
    lanes
}

/// Adds the differences of samples, bounded by a strength, `tap` times.
#[inline(always)]
fn constrain(sum: &mut Lanes, here: &Lanes, there: &Lanes, strength: i16, shift: u32, tap: i16) {
    for i in 0..LANES {
        let difference = there[i].wrapping_sub(here[i]);
        let size = difference.unsigned_abs();
        let bounded = (strength as u16).saturating_sub(size >> shift).min(size) as i16;
        let sign = difference >> 15;
        sum[i] += ((bounded ^ sign) - sign) * tap;
    }
}

/// Widens the bounds of what a sample may become by those of its neighbours that there are.
#[inline(always)]
fn bounds(most: &mut Lanes, least: &mut Lanes, there: &Lanes) {
    for i in 0..LANES {
        most[i] = most[i].max(there[i]);
        least[i] = (least[i] as u16).min(there[i] as u16) as i16;
    }
}

wide! {
    /// The direction of a block, and log2 of its contrast along it (section 7.15.1).
    fn direction(rows: &[&[u8]; SIDE]) -> (u8, u8) {
        // Each row, with room for its samples to be moved by up to 7 places either way.
        let mut single = [[0i16; 3 * SIDE]; SIDE];
        for (to, from) in single.iter_mut().zip(rows) {
            for (to, &from) in to[SIDE..].iter_mut().zip(&from[..SIDE]) {
                *to = i16::from(from) - 128;
            }
        }
        let mut sums = [[0i16; 16]; 8];
        for (y, row) in single.iter().enumerate() {
            // Diagonals: each row lies one place further.
            add(&mut sums[0], &row[SIDE - y..]);
            add(&mut sums[4], &row[1 + y..]);
            for x in 0..SIDE {
                sums[6][x] += row[SIDE + x];
            }
            sums[2][y] = row[SIDE..2 * SIDE].iter().sum();
        }
        // Steep and flat ones: each pair of rows, or of columns, lies one place further.
        for y in 0..SIDE / 2 {
            let mut pair = [0i16; 3 * SIDE];
            for i in 0..3 * SIDE {
                pair[i] = single[2 * y][i] + single[2 * y + 1][i];
            }
            add(&mut sums[7], &pair[SIDE - y..]);
            add(&mut sums[5], &pair[SIDE - 3 + y..]);
        }
        for (y, row) in single.iter().enumerate() {
            for x in 0..SIDE / 2 {
                let pair = row[SIDE + 2 * x] + row[SIDE + 2 * x + 1];
                sums[1][y + x] += pair;
                sums[3][3 + y - x] += pair;
            }
        }
        let mut costs = [0i32; 8];
        for (i, (cost, sums)) in costs.iter_mut().zip(&sums).enumerate() {
            let weights = &WEIGHTS[if i % 2 == 1 { 2 } else { i / 2 % 2 }];
            for (&sum, weight) in sums.iter().zip(weights) {
                *cost += i32::from(sum) * i32::from(sum) * weight;
            }
        }
        let mut best = 0;
        for i in 1..8 {
            if costs[i] > costs[best] {
                best = i;
            }
        }
        let contrast = ((costs[best] - costs[(best + 4) & 7]) >> 10) as u32;
        let contrast = match contrast {
            0 => 0,
            1..128 => 1,
            contrast => (contrast >> 6).ilog2().min(12) as u8 + 1,
        };
        (best as u8, contrast)
    }
}

/// What the square of each sum along a direction counts: 840 over the number of its samples. Diagonals, rows and columns,
/// and the directions between.
const WEIGHTS: [[i32; 16]; 3] = [
    [840, 420, 280, 210, 168, 140, 120, 105, 120, 140, 168, 210, 280, 420, 840, 0],
    [105, 105, 105, 105, 105, 105, 105, 105, 0, 0, 0, 0, 0, 0, 0, 0],
    [420, 210, 140, 105, 105, 105, 105, 105, 140, 210, 420, 0, 0, 0, 0, 0],
];

#[inline(always)]
fn add(sums: &mut [i16; 16], row: &[i16]) {
    for (sum, value) in sums.iter_mut().zip(&row[..16]) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::encoder::filters::Filters;

    /// The same by the kernels of rav1e.
    fn filter_by_rav1e(
        frame: &Frame<u8>,
        blocks: &mut FrameBlocks,
        size: (usize, usize),
        cdef: Cdef,
    ) -> Frame<u8> {
        let config = EncoderConfig { width: size.0, height: size.1, ..EncoderConfig::default() };
        let sequence = Sequence::new(&config);
        let mut fi = FrameInvariants::new(Arc::new(config), Arc::new(sequence));
        fi.cdef_damping = cdef.damping;
        fi.cdef_y_strengths[0] = cdef.luma;
        fi.cdef_uv_strengths[0] = cdef.chroma;
        let mut fs = FrameState::new_with_frame(&fi, Arc::new(frame.clone()));
        fs.rec = Arc::new(frame.clone());
        for mut tile in fi.sequence.tiling.tile_iter_mut(&mut fs, blocks) {
            for y in 0..tile.ts.sb_height {
                for x in 0..tile.ts.sb_width {
                    let at = TileSuperBlockOffset(SuperBlockOffset { x, y });
                    let blocks = &tile.tb.as_const();
                    let found = cdef_analyze_superblock(&fi, frame, blocks, at);
                    cdef_filter_superblock(&fi, frame, &mut tile.ts.rec, blocks, at, 0, &found);
                }
            }
        }
        Arc::unwrap_or_clone(fs.rec)
    }

    #[test]
    fn the_filter_is_that_of_rav1e() {
        // Three bands.
        let size = (136, 152);
        let mut state = 1u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) % below
        };
        let mut frame = Frame::new_with_padding(size.0, size.1, ChromaSampling::Cs420, 96);
        for plane in &mut frame.planes {
            // Slopes of all directions with noise, strong on one side, and steps.
            let (stride, width) = (plane.cfg.stride, plane.cfg.width);
            for (y, row) in plane.data_origin_mut().chunks_mut(stride).enumerate() {
                for (x, sample) in row.iter_mut().enumerate().take(width) {
                    let slope = x * (y / 8) / 4 + y * (x / 16) / 4;
                    *sample = (slope as u32 + random(1 + x as u32 / 3)) as u8;
                }
            }
        }
        for (luma, chroma, damping) in
            [(4, 0, 3), (4 * 7, 0, 5), (4 * 8 + 1, 5, 5), (3, 2, 4), (1, 4, 6), (63, 63, 6), (0, 63, 3)]
        {
            let mut blocks = FrameBlocks::new(size.0 / 4, size.1 / 4);
            for y in 0..size.1 / 4 {
                for block in blocks[y].iter_mut() {
                    block.skip = random(3) > 0;
                }
            }
            let cdef = Cdef { damping, luma, chroma, second: None };
            let expected = filter_by_rav1e(&frame, &mut blocks, size, cdef);
            let mut filtered = frame.clone();
            let mut filters = Filters::default();
            filters.prepare(&mut filtered, &frame, &blocks, size, ([0; 4], cdef), 0.0);
            filters.filter(&mut filtered, size);
            for (p, (ours, theirs)) in filtered.planes.iter().zip(&expected.planes).enumerate() {
                for y in 0..ours.cfg.height as isize {
                    let width = ours.cfg.width;
                    assert_eq!(ours.row(y)[..width], theirs.row(y)[..width], "{cdef:?} plane {p} row {y}");
                }
            }
            assert!(filtered.planes[0].data != frame.planes[0].data || luma == 0);
        }
    }

    #[test]
    fn superblocks_take_the_strengths_that_are_nearer_to_the_source() {
        let size = (192, 128);
        let mut source = Frame::new_with_padding(size.0, size.1, ChromaSampling::Cs420, 96);
        source.planes.iter_mut().for_each(|plane| plane.data.fill(100));
        // The source has the texture of the second and the last of six superblocks, where the others have it by coding alone.
        let texture = |x: usize, y: usize| 100 + ((x * 7 + y * 13) % 5) as u8;
        let textured = |x: usize, y: usize| [1, 5].contains(&(x / 64 + 3 * (y / 64)));
        let mut frame = source.clone();
        for y in 0..size.1 {
            for x in 0..size.0 {
                let put = |frame: &mut Frame<u8>| {
                    let stride = frame.planes[0].cfg.stride;
                    frame.planes[0].data_origin_mut()[y * stride + x] = texture(x, y);
                };
                put(&mut frame);
                if textured(x, y) {
                    put(&mut source);
                }
            }
        }
        let mut blocks = FrameBlocks::new(size.0 / 4, size.1 / 4);
        for y in 0..size.1 / 4 {
            blocks[y].iter_mut().for_each(|block| block.skip = false);
        }
        let cdef = Cdef { damping: 5, luma: 4 * 4 + 3, chroma: 0, second: Some(0) };
        let prepare = |choice: f64| {
            let (mut filters, mut filtered) = (Filters::default(), frame.clone());
            let chosen = filters.prepare(&mut filtered, &source, &blocks, size, ([0; 4], cdef), choice);
            filters.filter(&mut filtered, size);
            (chosen, filters.second(), filtered)
        };
        let (chosen, second, filtered) = prepare(0.0);
        assert_eq!(chosen, cdef);
        assert_eq!(second, [false, true, false, false, false, true]);
        for (x, y) in [(70, 9), (150, 100), (20, 20), (100, 100)] {
            let row = |frame: &Frame<u8>| frame.planes[0].row(y as isize)[x..x + 20].to_vec();
            assert_eq!(row(&filtered) == row(&frame), textured(x, y), "{x},{y}");
        }
        // What costs more than it saves is not told, and all take what is better for most.
        let (chosen, second, _) = prepare(1e9);
        assert_eq!((chosen, second), (Cdef { second: None, ..cdef }, vec![false; 6]));
    }
}
