//! Prediction of a block from another picture: an earlier one of its layer, or the layer below.

use std::cell::RefCell;

use arrayvec::ArrayVec;

use super::interlayer::{self, INTER_LAYER};
use super::kernels::*;
use super::motion::{self, Candidates, TEMPORAL, Target, mv_bits};
use super::tile::{Choice, Leaf, TileCoder};

/// About how many bits each mode takes, without the bits of its vector.
mod bits {
    pub(super) const GLOBAL: f32 = 1.5;
    pub(super) const NEAREST: f32 = 1.5;
    pub(super) const NEAR: f32 = 3.0;
    pub(super) const NEW: f32 = 2.5;
    pub(super) const TEMPORAL: f32 = 0.5;
    pub(super) const INTER_LAYER: f32 = 1.5;
}

/// An upsampled picture is smooth, so that its difference understates by so much what is left to code.
const SMOOTH: f32 = 1.1;

impl TileCoder<'_, '_> {
    /// The best prediction from another picture; nothing if there is no picture to predict from.
    pub(super) fn choose_inter(
        &mut self,
        cw: &ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        parent: Option<MotionVector>,
    ) -> Option<Choice> {
        let frame = self.frame;
        let lambda = self.q.lambda_satd;
        let at = self.ts.to_frame_block_offset(bo);
        let (x, y) = (at.0.x * 4, at.0.y * 4);
        let source = self.ts.input_tile.planes[0].subregion(Area::BlockStartingAt { bo: bo.0 });
        let target = Target {
            source,
            x: x as isize,
            y: y as isize,
            width: bsize.width(),
            height: bsize.height(),
            picture_width: frame.fi.w_in_b * 4,
            picture_height: frame.fi.h_in_b * 4,
            lambda,
            cpu: self.cpu,
            tried: RefCell::default(),
        };
        let mut best: Option<Choice> = None;
        let mut candidates = None;
        let mut consider = |mode, ref_frame, mv, bits: f32, difference: u32| {
            let cost = difference as f32 + lambda * bits;
            if best.is_none_or(|b| cost < b.cost) {
                best = Some(Choice { mode, angle: 0, ref_frame, mv, candidates: None, bits, cost });
            }
        };
        if let Some(reference) = frame.temporal {
            let reference = &reference.planes[0];
            let (found, stack) = Candidates::find(cw, frame.fi, TEMPORAL, bo, bsize);
            candidates = Some(found);
            let predicted = found.predicted;
            let zero = MotionVector::default();
            let base_bits = bits::TEMPORAL;
            let still = target.satd(reference, zero, &mut self.prediction);
            consider(PredictionMode::GLOBALMV, TEMPORAL, zero, base_bits + bits::GLOBAL, still);
            let still_enough = (still as f32) < lambda * (1.0 + bsize.area() as f32 / 64.0);
            for (candidate, (mode, mode_bits)) in stack
                .iter()
                .zip([(PredictionMode::NEARESTMV, bits::NEAREST), (PredictionMode::NEAR0MV, bits::NEAR)])
            {
                let difference = if candidate.this_mv == zero {
                    still
                } else if still_enough {
                    continue;
                } else {
                    target.satd(reference, candidate.this_mv, &mut self.prediction)
                };
                consider(mode, TEMPORAL, candidate.this_mv, base_bits + mode_bits, difference);
            }
            if !still_enough {
                let mut starts = ArrayVec::<MotionVector, 10>::new();
                starts.extend(stack.iter().take(3).map(|c| c.this_mv));
                starts.extend(parent);
                let field = frame.below.as_ref().and_then(|b| b.motion);
                let (centre_x, centre_y) = (x + bsize.width() / 2, y + bsize.height() / 2);
                starts.extend(field.and_then(|m| m.doubled(centre_x, centre_y)));
                starts.extend(frame.earlier.and_then(|m| m.stretched(centre_x, centre_y, frame.distance)));
                starts.extend(frame.displacements.iter().flat_map(|d| d.at(centre_x, centre_y)));
                let whole = target.search_whole(reference, &starts, predicted, frame.effort.first_step);
                // If the vector of the block around is still the best, its halves need not be tried again;
                // and if the best vector of whole samples is far off, fractions will not save the block.
                let near = |p: &MotionVector| {
                    (p.row - whole.mv.row).abs() < 8
                        && (p.col - whole.mv.col).abs() < 8
                        && (p.row | p.col) & 7 != 0
                };
                let found = match parent.filter(near) {
                    _ if whole.cost > frame.effort.fractions * self.hopeless_cost(bsize) => whole,
                    Some(p) => target.refine(reference, p, predicted, &[2], &mut self.prediction),
                    None if frame.effort.fit => target.fit(reference, whole, predicted, &mut self.prediction),
                    None => target.refine(reference, whole.mv, predicted, &[4, 2], &mut self.prediction),
                };
                let vector_bits = mv_bits(found.mv, predicted);
                consider(
                    PredictionMode::NEWMV,
                    TEMPORAL,
                    found.mv,
                    base_bits + bits::NEW + vector_bits,
                    (found.cost - lambda * vector_bits) as u32,
                );
            }
        }
        if let Some(below) = &frame.below {
            let difference = match below.upsampled {
                Some(up) => {
                    let region = up.planes[0].region(Area::StartingAt { x: x as isize, y: y as isize });
                    let (w, h) = (
                        bsize.width().min(target.picture_width - x),
                        bsize.height().min(target.picture_height - y),
                    );
                    get_satd_clipped(&target.source, &region, bsize, w, h, self.cpu)
                }
                None => {
                    let to = &mut self.prediction.as_region_mut();
                    let size = (frame.fi.width, frame.fi.height);
                    let block = (bsize.width(), bsize.height());
                    interlayer::predict_block(to, &below.frame.planes[0], below.size, size, (x, y), block);
                    let region = self.prediction.as_region();
                    get_satd(&target.source, &region, block.0, block.1, 8, self.cpu)
                }
            };
            let difference = (difference as f32 * SMOOTH) as u32;
            let bits = bits::INTER_LAYER + bits::GLOBAL;
            consider(PredictionMode::GLOBALMV, INTER_LAYER, MotionVector::default(), bits, difference);
        }
        best.map(|best| match best.ref_frame {
            TEMPORAL => Choice { candidates, ..best },
            _ => best,
        })
    }

    /// Predicts all planes of a block from another picture and writes them into the reconstruction.
    pub(super) fn predict_inter(&mut self, leaf: &Leaf) {
        let frame = self.frame;
        let at = self.ts.to_frame_block_offset(leaf.bo);
        for plane in 0..3 {
            let dec = usize::from(plane > 0);
            let (width, height) = (leaf.bsize.width() >> dec, leaf.bsize.height() >> dec);
            let (x, y) = ((at.0.x * 4) >> dec, (at.0.y * 4) >> dec);
            if self.is_copy(leaf) {
                self.predict_copy(plane, leaf.bo.0, leaf.mv, width);
                continue;
            }
            let area = Area::BlockRect { bo: leaf.bo.0, width, height };
            let mut to = self.ts.rec.planes[plane].subregion_mut(area);
            if leaf.ref_frame == TEMPORAL {
                let reference = frame.temporal.expect("the choice was among the references there are");
                let po = PlaneOffset { x: x as isize, y: y as isize };
                motion::predict(&mut to, &reference.planes[plane], po, leaf.mv, width, height, self.cpu);
                continue;
            }
            let below = frame.below.as_ref().expect("the choice was among the references there are");
            match below.upsampled {
                Some(up) if width > 4 && height > 4 => {
                    let from = &up.planes[plane];
                    let (w, h) = (width.min(from.cfg.width - x), height.min(from.cfg.height - y));
                    for row in 0..h {
                        to[row][..w].copy_from_slice(&from.row((y + row) as isize)[x..x + w]);
                    }
                }
                _ => {
                    let size = (frame.fi.width, frame.fi.height);
                    let reference = &below.frame.planes[plane];
                    interlayer::predict_block(&mut to, reference, below.size, size, (x, y), (width, height));
                }
            }
        }
    }
}

/// Transformed difference of the part of a block that lies within the upsampled picture.
fn get_satd_clipped(
    a: &PlaneRegion<'_, u8>,
    b: &PlaneRegion<'_, u8>,
    bsize: BlockSize,
    width: usize,
    height: usize,
    cpu: CpuFeatureLevel,
) -> u32 {
    if width == bsize.width() && height == bsize.height() {
        return get_satd(a, b, width, height, 8, cpu);
    }
    // Whole 8x8 pieces: both sides end at a multiple of 8.
    let mut sum = 0;
    for y in (0..height).step_by(8) {
        for x in (0..width).step_by(8) {
            let area = Area::Rect { x: x as isize, y: y as isize, width: 8, height: 8 };
            sum += get_satd(&a.subregion(area), &b.subregion(area), 8, 8, 8, cpu);
        }
    }
    sum
}
