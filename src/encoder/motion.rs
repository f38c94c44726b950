//! Motion search, first of whole samples by absolute difference, then of halves and quarters by the
//! transformed difference of the interpolated block; and the vectors of earlier frames, where searches start.

use std::cell::RefCell;

use arrayvec::ArrayVec;

use super::kernels::*;

/// Vectors are in 1/8 sample, as the bitstream has them; only quarters are used.
pub(crate) const QUARTER: i16 = 2;

/// The reference that is an earlier picture of the layer itself.
pub(crate) const TEMPORAL: RefType = RefType::LAST_FRAME;

/// The block whose motion is searched for.
pub(crate) struct Target<'a> {
    /// Source samples, beginning at the block.
    pub(crate) source: PlaneRegion<'a, u8>,
    /// Position in the picture, in luma samples.
    pub(crate) x: isize,
    pub(crate) y: isize,
    /// Width and height of the block.
    pub(crate) side: usize,
    /// Size of the picture, in luma samples, rounded up to 8.
    pub(crate) picture_width: usize,
    pub(crate) picture_height: usize,
    /// The value of a bit in absolute (transformed) difference.
    pub(crate) lambda: f32,
    pub(crate) cpu: CpuFeatureLevel,
    /// Vectors that were tried already, with their transformed differences. All are of one reference: a target is compared with
    /// no other.
    pub(crate) tried: RefCell<ArrayVec<(MotionVector, u32), 16>>,
}

/// The distance, in samples, that a block may lie beyond the picture: less than the padding of the
/// references.
const BORDER: isize = 12;

/// A vector and its cost: difference and rate together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) mv: MotionVector,
    pub(crate) cost: f32,
}

/// About how many bits `mv` takes as a difference from `predicted`.
pub(crate) fn mv_bits(mv: MotionVector, predicted: MotionVector) -> f32 {
    let component = |d: i16| -> f32 {
        let quarters = u32::from((d / QUARTER).unsigned_abs());
        if quarters == 0 { 0.0 } else { 2.0 + 1.6 * (32 - quarters.leading_zeros()) as f32 }
    };
    1.0 + component(mv.row.wrapping_sub(predicted.row)) + component(mv.col.wrapping_sub(predicted.col))
}

impl Target<'_> {
    fn in_range(&self, mv: MotionVector) -> bool {
        let (x, y) = (self.x + isize::from(mv.col >> 3), self.y + isize::from(mv.row >> 3));
        let side = self.side as isize;
        x >= -(side + BORDER)
            && y >= -(side + BORDER)
            && x <= self.picture_width as isize + BORDER
            && y <= self.picture_height as isize + BORDER
            && mv.row.unsigned_abs() < 1 << 13
            && mv.col.unsigned_abs() < 1 << 13
    }

    pub(crate) fn sad(&self, reference: &Plane<u8>, mv: MotionVector) -> u32 {
        let region = reference.region(Area::StartingAt {
            x: self.x + isize::from(mv.col >> 3),
            y: self.y + isize::from(mv.row >> 3),
        });
        sad(&self.source, &region, self.side, self.cpu)
    }

    /// Transformed difference of the block predicted by `mv`; `scratch` is working memory.
    pub(crate) fn satd(&self, reference: &Plane<u8>, mv: MotionVector, scratch: &mut Plane<u8>) -> u32 {
        let mut tried = self.tried.borrow_mut();
        if let Some(&(_, difference)) = tried.iter().find(|tried| tried.0 == mv) {
            return difference;
        }
        let difference = self.compute_satd(reference, mv, scratch);
        // Where there is no more room, a vector may be computed again.
        let _ = tried.try_push((mv, difference));
        difference
    }

    fn compute_satd(&self, reference: &Plane<u8>, mv: MotionVector, scratch: &mut Plane<u8>) -> u32 {
        if (mv.row | mv.col) & 7 == 0 {
            let region = reference.region(Area::StartingAt {
                x: self.x + isize::from(mv.col >> 3),
                y: self.y + isize::from(mv.row >> 3),
            });
            return satd(&self.source, &region, self.side, self.cpu);
        }
        let at = PlaneOffset { x: self.x, y: self.y };
        predict(&mut scratch.as_region_mut(), reference, at, mv, self.side, self.side, self.cpu);
        satd(&self.source, &scratch.as_region(), self.side, self.cpu)
    }

    /// The best vector of whole samples near one of `starts`. Steps are 4, 2 and 1 samples, from `first_step` on.
    pub(crate) fn search_whole(
        &self,
        reference: &Plane<u8>,
        starts: &[MotionVector],
        predicted: MotionVector,
        first_step: usize,
    ) -> Found {
        let cost = |mv| self.sad(reference, mv) as f32 + self.lambda * mv_bits(mv, predicted);
        let mut best = Found { mv: MotionVector::default(), cost: cost(MotionVector::default()) };
        for (i, start) in starts.iter().enumerate() {
            let mv = MotionVector { row: (start.row + 4) & !7, col: (start.col + 4) & !7 };
            let seen = mv == MotionVector::default()
                || starts[..i].iter().any(|s| (s.row + 4) & !7 == mv.row && (s.col + 4) & !7 == mv.col);
            if seen || !self.in_range(mv) {
                continue;
            }
            let found = Found { mv, cost: cost(mv) };
            if found.cost < best.cost {
                best = found;
            }
        }
        for &step in &[4i16, 2, 1][first_step..] {
            let mut came_from = None;
            for _ in 0..12 {
                let centre = best.mv;
                for (i, (dr, dc)) in [(-1, 0), (0, -1), (0, 1), (1, 0)].into_iter().enumerate() {
                    if came_from == Some(3 - i) {
                        continue;
                    }
                    let mv =
                        MotionVector { row: centre.row + dr * step * 8, col: centre.col + dc * step * 8 };
                    if !self.in_range(mv) {
                        continue;
                    }
                    let found = Found { mv, cost: cost(mv) };
                    if found.cost < best.cost {
                        best = found;
                        came_from = Some(i);
                    }
                }
                if best.mv == centre {
                    break;
                }
            }
        }
        best
    }

    /// The vector near one of whole samples where parabolas through the differences around it, one across and one down,
    /// have their least; or that one itself, if it is better.
    pub(crate) fn fit(
        &self,
        reference: &Plane<u8>,
        whole: Found,
        predicted: MotionVector,
        scratch: &mut Plane<u8>,
    ) -> Found {
        let here = self.sad(reference, whole.mv) as i32;
        // In 1/8 sample, at most half a sample away.
        let least = |row: i16, col: i16| {
            let beside = |sign: i16| {
                let mv =
                    MotionVector { row: whole.mv.row + 8 * sign * row, col: whole.mv.col + 8 * sign * col };
                self.in_range(mv).then(|| self.sad(reference, mv) as i32)
            };
            let (Some(before), Some(after)) = (beside(-1), beside(1)) else { return 0 };
            let bend = before + after - 2 * here;
            if bend <= 0 {
                return 0;
            }
            let quarters = (4 * (before - after) + bend).div_euclid(2 * bend);
            quarters.clamp(-2, 2) as i16 * QUARTER
        };
        let mv = MotionVector { row: whole.mv.row + least(1, 0), col: whole.mv.col + least(0, 1) };
        let mut found = |mv| Found {
            mv,
            cost: self.satd(reference, mv, scratch) as f32 + self.lambda * mv_bits(mv, predicted),
        };
        let whole = found(whole.mv);
        if mv == whole.mv || !self.in_range(mv) {
            return whole;
        }
        let fitted = found(mv);
        if fitted.cost < whole.cost { fitted } else { whole }
    }

    /// On which side of a vector of whole samples, along one axis, the whole sample differs less; none if one is out of range.
    fn nearer(&self, reference: &Plane<u8>, from: MotionVector, (dr, dc): (i16, i16)) -> Option<i16> {
        let beside = |sign: i16| {
            let mv = MotionVector { row: from.row + 8 * sign * dr, col: from.col + 8 * sign * dc };
            self.in_range(mv).then(|| self.sad(reference, mv))
        };
        Some(if beside(-1)? < beside(1)? { -1 } else { 1 })
    }

    /// Refines `from` by `steps` in 1/8 sample: 4 for halves, which begin at whole samples, and 2 for quarters. Halves may be tried
    /// on `one_side` alone, that of the better whole sample.
    pub(crate) fn refine(
        &self,
        reference: &Plane<u8>,
        from: MotionVector,
        predicted: MotionVector,
        steps: &[i16],
        one_side: bool,
        scratch: &mut Plane<u8>,
    ) -> Found {
        let mut cost = |mv| self.satd(reference, mv, scratch) as f32 + self.lambda * mv_bits(mv, predicted);
        let mut best = Found { mv: from, cost: cost(from) };
        for &step in steps {
            let centre = best.mv;
            let mut along = [centre; 2];
            for (axis, (dr, dc)) in [(1, 0), (0, 1)].into_iter().enumerate() {
                let mut axis_best = f32::MAX;
                let nearer =
                    if one_side && step == 4 { self.nearer(reference, centre, (dr, dc)) } else { None };
                for sign in [-1, 1] {
                    if nearer.is_some_and(|nearer| nearer != sign) {
                        continue;
                    }
                    let mv = MotionVector {
                        row: centre.row + sign * dr * step,
                        col: centre.col + sign * dc * step,
                    };
                    if !self.in_range(mv) {
                        continue;
                    }
                    let found = Found { mv, cost: cost(mv) };
                    if found.cost < axis_best {
                        axis_best = found.cost;
                        along[axis] = mv;
                    }
                    if found.cost < best.cost {
                        best = found;
                    }
                }
            }
            // The corner between the better side of each axis.
            let corner = MotionVector { row: along[0].row, col: along[1].col };
            if corner != centre && best.mv != centre && self.in_range(corner) {
                let found = Found { mv: corner, cost: cost(corner) };
                if found.cost < best.cost {
                    best = found;
                }
            }
        }
        best
    }
}

/// Vectors of a frame's temporal prediction, one for each 8x8 luma samples.
#[derive(Debug, Clone)]
pub(crate) struct MotionField {
    cols: usize,
    vectors: Vec<MotionVector>,
    /// How many pictures ago the reference was, at least 1.
    distance: u64,
}

impl MotionField {
    /// The vectors of the frame that `blocks` describe, whose temporal reference was `distance` pictures ago.
    pub(crate) fn new(blocks: &FrameBlocks, distance: u64) -> Self {
        let cols = blocks.cols / 2;
        let vector = |b: &Block| if b.ref_frames[0] == TEMPORAL { b.mv[0] } else { MotionVector::default() };
        let mut vectors = Vec::with_capacity(cols * blocks.rows.div_ceil(2));
        for row in (0..blocks.rows).step_by(2) {
            vectors.extend(blocks[row][..cols * 2].chunks_exact(2).map(|pair| vector(&pair[0])));
        }
        Self { cols, vectors, distance }
    }

    /// Whether the camera stands still: most of the picture does.
    pub(crate) fn is_still(&self) -> bool {
        let still = self.vectors.iter().filter(|&&mv| mv == MotionVector::default()).count();
        still * 2 > self.vectors.len()
    }

    fn at(&self, col: usize, row: usize) -> Option<MotionVector> {
        self.vectors.get(row * self.cols + col.min(self.cols.saturating_sub(1))).copied()
    }

    /// The vector at a luma position, stretched to a reference `distance` pictures ago.
    pub(crate) fn stretched(&self, x: usize, y: usize, distance: u64) -> Option<MotionVector> {
        let mv = self.at(x / 8, y / 8)?;
        let stretch = |v: i16| {
            let quarters = i64::from(v / QUARTER) * distance as i64 / self.distance as i64;
            quarters.clamp(-4000, 4000) as i16 * QUARTER
        };
        Some(MotionVector { row: stretch(mv.row), col: stretch(mv.col) })
    }

    /// The vector at a luma position of the layer above, at that layer's scale.
    pub(crate) fn doubled(&self, x: usize, y: usize) -> Option<MotionVector> {
        let mv = self.at(x / 16, y / 16)?;
        Some(MotionVector { row: mv.row.saturating_mul(2), col: mv.col.saturating_mul(2) })
    }
}

/// Predicts one block of a plane from a reference of the same size (section 7.11.3.4).
///
/// `at` is the block's position in this plane.
pub(crate) fn predict(
    to: &mut PlaneRegionMut<'_, u8>,
    reference: &Plane<u8>,
    at: PlaneOffset,
    mv: MotionVector,
    width: usize,
    height: usize,
    cpu: CpuFeatureLevel,
) {
    let (xdec, ydec) = (reference.cfg.xdec, reference.cfg.ydec);
    let (row, col) = (i32::from(mv.row), i32::from(mv.col));
    let from = PlaneOffset {
        x: at.x + (col >> (3 + xdec)) as isize - 3,
        y: at.y + (row >> (3 + ydec)) as isize - 3,
    };
    put_8tap(
        to,
        reference.slice(from).clamp().subslice(3, 3),
        width,
        height,
        (col << (1 - xdec)) & 15,
        (row << (1 - ydec)) & 15,
        FilterMode::REGULAR,
        FilterMode::REGULAR,
        8,
        cpu,
    );
}
