//! Candidates for the vector of a block, which its neighbours tell (AV1 specification, section 7.10.2).
//!
//! The kernels find them, too, but read 30 bytes of each 4x4 samples for it, which stalled for a tenth of the time that frames of
//! layers took. All blocks are squares of at least 8x8 here, with one reference, which is an earlier picture: 8 bytes of each 8x8
//! samples do.

use arrayvec::ArrayVec;

use super::kernels::*;

/// Row and column of a vector, as one number.
type Packed = u32;

fn pack(mv: MotionVector) -> Packed {
    u32::from(mv.row as u16) << 16 | u32::from(mv.col as u16)
}

fn unpack(vector: Packed) -> MotionVector {
    MotionVector { row: (vector >> 16) as i16, col: vector as i16 }
}

/// The most candidates there are, and how many of them matter.
const MOST: usize = 8;
const USED: usize = 3;
/// The weight from which a candidate counts as a near one.
const REF_CAT_LEVEL: u32 = 640;
/// How far neighbours are looked at, in blocks of 8x8.
const REACH: usize = 3;

/// What a block's symbols need of the candidates for its vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidates {
    /// The context of the mode.
    pub(crate) context: usize,
    /// The first candidate, which a new vector is told as a difference to.
    pub(crate) predicted: MotionVector,
    /// For the first and the second candidate: the context of the bit that says whether it is taken or a later one, if
    /// there is a later one.
    pub(crate) later: [Option<u8>; 2],
}

/// What later blocks need of one, for each of its 8x8 samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbour {
    pub(crate) mv: MotionVector,
    pub(crate) ref_frame: RefType,
    /// Whether its vector was none of the candidates.
    pub(crate) new: bool,
    /// Its width and height, in blocks of 8x8.
    pub(crate) side: u8,
}

/// The blocks of a tile that are decided.
pub(crate) struct Neighbours {
    blocks: Vec<Neighbour>,
    /// Size of the tile in blocks of 8x8.
    cols: usize,
    rows: usize,
    /// Where the tile begins in the frame, and the frame's size, in blocks of 4x4.
    origin: BlockOffset,
    frame: (usize, usize),
}

/// A list of candidates while it is made.
struct List {
    ref_frame: RefType,
    vectors: [Packed; MOST],
    weights: [u32; MOST],
    len: usize,
    /// How many neighbours with this reference have new vectors.
    new: usize,
}

impl List {
    fn new(ref_frame: RefType) -> Self {
        Self { ref_frame, vectors: [0; MOST], weights: [0; MOST], len: 0, new: 0 }
    }

    /// Notes a neighbour, and returns whether it has the same reference.
    // Once, so that little code is read for a block: it stalls more than the calls do.
    #[inline(never)]
    fn add(&mut self, neighbour: &Neighbour, weight: u32) -> bool {
        if neighbour.ref_frame != self.ref_frame {
            return false;
        }
        self.new += usize::from(neighbour.new);
        let vector = pack(neighbour.mv);
        let known = self.vectors[..self.len].iter().position(|&other| other == vector);
        let place = known.unwrap_or(self.len);
        // Where there is no more room, it has no place.
        if place < MOST {
            self.vectors[place] = vector;
            self.weights[place] += weight;
            self.len = self.len.max(place + 1);
        }
        true
    }

    /// The vector with the largest weight, the first one of several, and that weight, which becomes 0.
    fn take(&mut self) -> (Packed, u32) {
        let mut place = 0;
        for i in 1..self.len {
            place = if self.weights[i] > self.weights[place] { i } else { place };
        }
        let weight = std::mem::take(&mut self.weights[place]);
        (self.vectors[place], weight)
    }
}

/// A row or a column of neighbours along a block.
struct Line {
    /// The first one in the tile's blocks, and the step to the next one.
    first: usize,
    step: usize,
    /// How many of them are within the tile.
    len: usize,
}

impl Neighbours {
    /// Those of a tile of `cols` and `rows` blocks of 8x8, which begins at `origin` in a frame; both that and the frame's width and
    /// height are in blocks of 4x4.
    pub(crate) fn new(cols: usize, rows: usize, origin: BlockOffset, frame: (usize, usize)) -> Self {
        let (mv, ref_frame) = (MotionVector::default(), RefType::INTRA_FRAME);
        let none = Neighbour { mv, ref_frame, new: false, side: 1 };
        Self { blocks: vec![none; cols * rows], cols, rows, origin, frame }
    }

    /// Notes a block that begins at `bo`.
    pub(crate) fn set(&mut self, bo: TileBlockOffset, block: Neighbour) {
        let (x, y, side) = (bo.0.x / 2, bo.0.y / 2, usize::from(block.side));
        let (right, bottom) = ((x + side).min(self.cols), (y + side).min(self.rows));
        for row in y..bottom {
            self.blocks[row * self.cols..][x..right].fill(block);
        }
    }

    /// The candidates for a square block of `side` luma samples that is predicted from `ref_frame`, the best first, and what its
    /// symbols need of them.
    pub(crate) fn find(
        &self,
        bo: TileBlockOffset,
        side: usize,
        ref_frame: RefType,
    ) -> (Candidates, ArrayVec<MotionVector, USED>) {
        let (x, y, side) = (bo.0.x / 2, bo.0.y / 2, side / 8);
        let mut list = List::new(ref_frame);
        let at = |x: usize, y: usize| y * self.cols + x;
        let above = |distance| Line { first: at(x, y - distance), step: 1, len: side.min(self.cols - x) };
        let left =
            |distance| Line { first: at(x - distance, y), step: self.cols, len: side.min(self.rows - y) };
        let (up, back) = (y.min(REACH), x.min(REACH));
        let (mut done_up, mut done_back) = (0, 0);
        let mut row_match = up > 0 && self.scan(&mut list, above(1), side, (1, up), &mut done_up);
        let mut col_match = back > 0 && self.scan(&mut list, left(1), side, (1, back), &mut done_back);
        if up > 0 && x + side < self.cols && has_above_right(x, y, side) {
            row_match |= list.add(&self.blocks[at(x + side, y - 1)], 4);
        }
        let near = usize::from(row_match) + usize::from(col_match);
        let new = list.new.min(1);
        list.weights[..list.len].iter_mut().for_each(|weight| *weight += REF_CAT_LEVEL);
        if up > 0 && back > 0 {
            row_match |= list.add(&self.blocks[at(x - 1, y - 1)], 4);
        }
        for distance in 2..=REACH {
            if distance <= up && 2 * distance - 1 > done_up {
                row_match |= self.scan(&mut list, above(distance), side, (distance, up), &mut done_up);
            }
            if distance <= back && 2 * distance - 1 > done_back {
                col_match |= self.scan(&mut list, left(distance), side, (distance, back), &mut done_back);
            }
        }
        let all = usize::from(row_match) + usize::from(col_match);
        // NewMvContext, and RefMvContext 4 bits above it.
        let context = match near {
            0 => all.min(1) + (all << 4),
            1 => 3 - new + ((2 + all) << 4),
            _ => 5 - new + (5 << 4),
        };
        let mut best = ArrayVec::<_, USED>::new();
        for _ in 0..list.len.min(USED) {
            best.push(list.take());
        }
        let mut list = best;
        if list.len() < 2 {
            let lines = [(up > 0).then(|| above(1)), (back > 0).then(|| left(1))];
            let len = side.min(self.cols - x).min(self.rows - y);
            self.search_further(&mut list, lines.into_iter().flatten(), len);
        }
        let far = |i: usize| u8::from(list[i].1 < REF_CAT_LEVEL);
        let later = |i: usize| (list.len() > i + 1).then(|| far(i) + far(i + 1));
        let later = [later(0), later(1)];
        let within = self.range(bo, 8 * side);
        let mut vectors = ArrayVec::<MotionVector, USED>::new();
        for &(vector, _) in &list {
            vectors.push(within(unpack(vector)));
        }
        let predicted = vectors.first().copied().unwrap_or_default();
        (Candidates { context, predicted, later }, vectors)
    }

    /// Adds the neighbours of a line `distance` blocks away, of `reach` that may be looked at, and returns whether any has the
    /// reference of the list. `done` becomes the distance up to which the blocks found reach, in blocks of 4x4.
    #[inline(never)]
    fn scan(
        &self,
        list: &mut List,
        line: Line,
        side: usize,
        (distance, reach): (usize, usize),
        done: &mut usize,
    ) -> bool {
        let mut found = false;
        let mut i = 0;
        while i < line.len {
            let neighbour = &self.blocks[line.first + i * line.step];
            let theirs = usize::from(neighbour.side);
            let len = if side == 8 { theirs.clamp(2, 8) } else { theirs.min(side) };
            let mut weight = 2;
            if side <= theirs {
                weight = 2 * (reach - distance + 1).min(theirs);
                *done = weight + 2 * distance - 2;
            }
            found |= list.add(neighbour, (2 * len * weight) as u32);
            i += len;
        }
        found
    }

    /// Adds vectors to whatever reference along the first `len` blocks of lines, up to two (section 7.10.2.12).
    fn search_further(
        &self,
        list: &mut ArrayVec<(Packed, u32), USED>,
        lines: impl Iterator<Item = Line>,
        len: usize,
    ) {
        for line in lines {
            let mut i = 0;
            while i < len && list.len() < 2 {
                let neighbour = &self.blocks[line.first + i * line.step];
                let inter = neighbour.ref_frame != RefType::INTRA_FRAME;
                let vector = pack(neighbour.mv);
                if inter && list.iter().all(|candidate| candidate.0 != vector) {
                    list.push((vector, 2));
                }
                i += usize::from(neighbour.side);
            }
        }
    }

    /// Keeps vectors from pointing far beyond the frame (section 7.10.2.14).
    fn range(&self, bo: TileBlockOffset, side: usize) -> impl Fn(MotionVector) -> MotionVector {
        let limits = |at: usize, of: usize| {
            let (at, of, border) = (at as i32 * 32, of as i32 * 32, 128 + 8 * side as i32);
            (-at - border, of - at - 8 * side as i32 + border)
        };
        let cols = limits(self.origin.x + bo.0.x, self.frame.0);
        let rows = limits(self.origin.y + bo.0.y, self.frame.1);
        let within = |v: i16, (least, most): (i32, i32)| i32::from(v).clamp(least, most) as i16;
        move |mv| MotionVector { row: within(mv.row, rows), col: within(mv.col, cols) }
    }
}

/// Whether the block above the right neighbour of one is coded before it; all in blocks of 8x8.
fn has_above_right(x: usize, y: usize, side: usize) -> bool {
    let (col, row) = (x & 7, y & 7);
    if col & side != 0 && row & side != 0 {
        return false;
    }
    let mut side = side;
    while col & side != 0 {
        side *= 2;
        if col & side != 0 && row & side != 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Numbers without a pattern.
    struct Noise(u32);

    impl Noise {
        fn below(&mut self, n: u32) -> u32 {
            self.0 = self.0.wrapping_mul(1664525).wrapping_add(1013904223);
            (self.0 >> 8) % n
        }
    }

    /// Two tiles of blocks of all sizes, of which each is compared with what the kernels find for it, and then noted for both.
    #[test]
    fn candidates_are_those_that_the_kernels_find() {
        let config =
            EncoderConfig { width: 200, height: 136, tile_cols: 2, tile_rows: 1, ..EncoderConfig::default() };
        let fi = FrameInvariants::<u8>::new(Arc::new(config.clone()), Arc::new(Sequence::new(&config)));
        let mut noise = Noise(1);
        let mut several = 0;
        for round in 0..12 {
            let (x, width) = [(0, 32), (32, fi.w_in_b - 32)][round % 2];
            let mut frame = FrameBlocks::new(fi.w_in_b, fi.h_in_b);
            let mut tile = TileBlocksMut::new(&mut frame, x, 0, width, fi.h_in_b);
            let mut probabilities = CDFContext::new(100);
            let cw = ContextWriter::new(&mut probabilities, BlockContext::new(&mut tile));
            let origin = BlockOffset { x, y: 0 };
            let mut neighbours = Neighbours::new(width / 2, fi.h_in_b / 2, origin, (fi.w_in_b, fi.h_in_b));
            let mut squares: Vec<_> = (0..fi.h_in_b.div_ceil(16))
                .flat_map(|y| (0..width.div_ceil(16)).map(move |x| (16 * x, 16 * y, BlockSize::BLOCK_64X64)))
                .rev()
                .collect();
            while let Some((x, y, bsize)) = squares.pop() {
                if x >= width || y >= fi.h_in_b {
                    continue;
                }
                let side = bsize.width_mi();
                let straddles = x + side > width || y + side > fi.h_in_b;
                if side > 2 && (straddles || noise.below(3) > 0) {
                    let smaller = bsize.subsize(PartitionType::PARTITION_SPLIT).expect("larger than 8x8");
                    let half = side / 2;
                    let quarters = [(half, half), (0, half), (half, 0), (0, 0)];
                    squares.extend(quarters.map(|(dx, dy)| (x + dx, y + dy, smaller)));
                    continue;
                }
                let bo = TileBlockOffset(BlockOffset { x, y });
                let refs = [RefType::INTRA_FRAME, RefType::LAST_FRAME, RefType::GOLDEN_FRAME];
                for ref_frame in [refs[1], refs[2]] {
                    let mut expected = ArrayVec::<CandidateMV, 9>::new();
                    let references = [ref_frame, RefType::NONE_FRAME];
                    let context = cw.find_mvrefs(bo, references, &mut expected, bsize, &fi, false);
                    let far = |i: usize| u8::from(expected[i].weight < REF_CAT_LEVEL);
                    let later = [0, 1].map(|i| (expected.len() > i + 1).then(|| far(i) + far(i + 1)));
                    let predicted = expected.first().map_or(MotionVector::default(), |c| c.this_mv);
                    let (found, list) = neighbours.find(bo, bsize.width(), ref_frame);
                    assert_eq!(found, Candidates { context, predicted, later }, "{x},{y} {bsize:?}");
                    let expected: Vec<_> = expected.iter().map(|c| c.this_mv).take(USED).collect();
                    assert_eq!(list[..], expected, "{x},{y} {bsize:?}");
                    several += usize::from(list.len() == USED);
                }
                let ref_frame = refs[[1, 1, 1, 2, 0][noise.below(5) as usize]];
                let new = ref_frame != refs[0] && noise.below(2) > 0;
                // Some point beyond the frame.
                let mut component = || (noise.below(4) as i16 - 1) * 700;
                let mv = MotionVector { row: component(), col: component() };
                let mv = if ref_frame == refs[0] { MotionVector::default() } else { mv };
                let inter = if new { PredictionMode::NEWMV } else { PredictionMode::NEARESTMV };
                let block = Block {
                    mode: if ref_frame == refs[0] { PredictionMode::DC_PRED } else { inter },
                    ref_frames: [ref_frame, RefType::NONE_FRAME],
                    mv: [mv, MotionVector::default()],
                    bsize,
                    n4_w: side as u8,
                    n4_h: side as u8,
                    ..Block::default()
                };
                for y in y..(y + side).min(fi.h_in_b) {
                    cw.bc.blocks[y][x..(x + side).min(width)].fill(block);
                }
                neighbours.set(bo, Neighbour { mv, ref_frame, new, side: (side / 2) as u8 });
            }
        }
        assert!(several > 100, "{several}");
    }
}
