//! Prediction of a block from another picture: an earlier one of its layer, or the layer below.

use std::cell::RefCell;

use arrayvec::ArrayVec;

use super::interlayer::{self, INTER_LAYER, Upsampled};
use super::kernels::*;
use super::motion::{self, TEMPORAL, Target, mv_bits};
use super::tile::{Below, Choice, Leaf, TileCoder, copy_rows};

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
/// A block that an earlier picture predicts at fewer bits a sample than this is not tried from the layer below, which hardly ever
/// predicts it better. Measured on real clips.
const UNRIVALLED: f32 = 0.25;
/// Whether vectors of whole samples tell that a block is hopeless is asked first where it differs by so many times the hopeless
/// cost without motion. Measured on real clips.
const MOVES: f32 = 0.5;

impl TileCoder<'_, '_> {
    /// The best prediction from another picture; nothing if there is no picture to predict from.
    pub(super) fn choose_inter(
        &mut self,
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
            side: bsize.width(),
            picture_width: frame.fi.w_in_b * 4,
            picture_height: frame.fi.h_in_b * 4,
            lambda,
            cpu: self.cpu,
            tried: RefCell::default(),
        };
        let mut best: Option<Choice> = None;
        let mut candidates = None;
        let consider = |best: &mut Option<Choice>, mode, ref_frame, mv, bits: f32, difference: u32| {
            let cost = difference as f32 + lambda * bits;
            if best.is_none_or(|b| cost < b.cost) {
                *best = Some(Choice { mode, angle: 0, ref_frame, mv, candidates: None, bits, cost });
            }
        };
        if let Some(reference) = frame.temporal {
            let reference = &reference.planes[0];
            let (found, stack) = self.neighbours.find(bo, bsize.width(), TEMPORAL);
            candidates = Some(found);
            let predicted = found.predicted;
            let zero = MotionVector::default();
            let base_bits = bits::TEMPORAL;
            let hopeless = self.hopeless_cost(bsize);
            let search = || {
                let mut starts = ArrayVec::<MotionVector, 10>::new();
                starts.extend(stack.iter().take(3).copied());
                starts.extend(parent);
                let field = frame.below.as_ref().and_then(|b| b.motion);
                let (centre_x, centre_y) = (x + bsize.width() / 2, y + bsize.height() / 2);
                starts.extend(field.and_then(|m| m.doubled(centre_x, centre_y)));
                starts.extend(frame.earlier.and_then(|m| m.stretched(centre_x, centre_y, frame.distance)));
                starts.extend(frame.displacements.iter().flat_map(|d| d.at(centre_x, centre_y)));
                let effort = frame.effort;
                let first_step = if parent.is_some() { effort.inner_step } else { effort.first_step };
                target.search_whole(reference, &starts, predicted, first_step)
            };
            let mut whole = None;
            let moves = || target.sad(reference, zero) as f32 > MOVES * hopeless;
            if let Some(times) = frame.effort.out_of_reach.filter(|_| !frame.screen && moves()) {
                let found = search();
                if found.cost > times * hopeless {
                    let (mode, ref_frame, mv) = (PredictionMode::NEWMV, TEMPORAL, found.mv);
                    let (candidates, cost) = (None, found.cost);
                    return Some(Choice { mode, angle: 0, ref_frame, mv, candidates, bits: 0.0, cost });
                }
                whole = Some(found);
            }
            let still = target.satd(reference, zero, &mut self.prediction);
            consider(&mut best, PredictionMode::GLOBALMV, TEMPORAL, zero, base_bits + bits::GLOBAL, still);
            let still_enough = (still as f32) < lambda * (1.0 + bsize.area() as f32 / 64.0);
            for (&candidate, (mode, mode_bits)) in stack
                .iter()
                .zip([(PredictionMode::NEARESTMV, bits::NEAREST), (PredictionMode::NEAR0MV, bits::NEAR)])
            {
                let difference = if candidate == zero {
                    still
                } else if still_enough {
                    continue;
                } else {
                    target.satd(reference, candidate, &mut self.prediction)
                };
                consider(&mut best, mode, TEMPORAL, candidate, base_bits + mode_bits, difference);
            }
            if !still_enough {
                let whole = whole.unwrap_or_else(search);
                // If the vector of the block around is still the best, its halves need not be tried again;
                // and if the best vector of whole samples is far off, fractions will not save the block.
                let near = |p: &MotionVector| {
                    (p.row - whole.mv.row).abs() < 8
                        && (p.col - whole.mv.col).abs() < 8
                        && (p.row | p.col) & 7 != 0
                };
                let scratch = &mut self.prediction;
                let one_side = frame.effort.one_side;
                let found = match parent.filter(near) {
                    _ if whole.cost > frame.effort.fractions * hopeless => whole,
                    Some(p) => target.refine(reference, p, predicted, &[2], one_side, scratch),
                    None if frame.effort.fit => target.fit(reference, whole, predicted, scratch),
                    None => target.refine(reference, whole.mv, predicted, &[4, 2], one_side, scratch),
                };
                let vector_bits = mv_bits(found.mv, predicted);
                consider(
                    &mut best,
                    PredictionMode::NEWMV,
                    TEMPORAL,
                    found.mv,
                    base_bits + bits::NEW + vector_bits,
                    (found.cost - lambda * vector_bits) as u32,
                );
            }
        }
        // Most blocks know the earlier picture's best by now, and few are better predicted from the layer below.
        let rival = |b: &Choice| b.cost > lambda * (2.0 + bsize.area() as f32 * UNRIVALLED);
        if let (Some(below), true) = (&frame.below, best.as_ref().is_none_or(rival)) {
            let working = (&mut self.upsampled, &mut self.prediction);
            let difference = difference_below(&target, below, frame.fi, working);
            let bits = bits::INTER_LAYER + bits::GLOBAL;
            consider(
                &mut best,
                PredictionMode::GLOBALMV,
                INTER_LAYER,
                MotionVector::default(),
                bits,
                difference,
            );
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
            if below.halves && width > 4 && height > 4 {
                let from = self.upsampled.from(below.frame, plane, (x, y));
                let visible = |blocks: usize, at: usize| ((blocks * 4) >> dec) - at;
                let (w, h) =
                    (width.min(visible(frame.fi.w_in_b, x)), height.min(visible(frame.fi.h_in_b, y)));
                copy_rows(to.rows_iter_mut().zip(from.rows_iter()).take(h), w);
            } else {
                let size = (frame.fi.width, frame.fi.height);
                let reference = &below.frame.planes[plane];
                interlayer::predict_block(&mut to, reference, below.size, size, (x, y), (width, height));
            }
        }
    }
}

/// The transformed difference of a block's luma predicted from the layer below. A plane is working memory.
fn difference_below(
    target: &Target<'_>,
    below: &Below<'_>,
    fi: &FrameInvariants<u8>,
    (upsampled, scratch): (&mut Upsampled, &mut Plane<u8>),
) -> u32 {
    let (side, at) = (target.side, (target.x as usize, target.y as usize));
    let difference = if below.halves {
        let region = upsampled.from(below.frame, 0, at);
        let (width, height) = (side.min(target.picture_width - at.0), side.min(target.picture_height - at.1));
        satd_clipped(&target.source, &region, side, (width, height), target.cpu)
    } else {
        let size = (fi.width, fi.height);
        let to = &mut scratch.as_region_mut();
        interlayer::predict_block(to, &below.frame.planes[0], below.size, size, at, (side, side));
        satd(&target.source, &scratch.as_region(), side, target.cpu)
    };
    (difference as f32 * SMOOTH) as u32
}

/// Transformed difference of the part of a block that lies within the upsampled picture.
fn satd_clipped(
    a: &PlaneRegion<'_, u8>,
    b: &PlaneRegion<'_, u8>,
    side: usize,
    (width, height): (usize, usize),
    cpu: CpuFeatureLevel,
) -> u32 {
    if width == side && height == side {
        return satd(a, b, side, cpu);
    }
    // Whole 8x8 pieces: both sides end at a multiple of 8.
    let mut sum = 0;
    for y in (0..height).step_by(8) {
        for x in (0..width).step_by(8) {
            let area = Area::Rect { x: x as isize, y: y as isize, width: 8, height: 8 };
            sum += satd(&a.subregion(area), &b.subregion(area), 8, cpu);
        }
    }
    sum
}
