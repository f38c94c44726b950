//! The decisions for one block: what it is predicted from, and what is left to code.
//!
//! Predictions are compared by transformed difference and a rate model; the best is then coded once.

use std::mem::MaybeUninit;

use arrayvec::ArrayVec;

use super::interlayer;
use super::kernels::*;
use super::motion::{self, Target, mv_bits};
use super::residual::{self, coded_area};
use super::tile::{INTER_LAYER, Leaf, TEMPORAL, TileCoder, set_block};

/// Bits that a mode takes, roughly; vectors come on top.
mod bits {
    pub(super) const GLOBAL: f32 = 1.5;
    pub(super) const NEAREST: f32 = 1.5;
    pub(super) const NEAR: f32 = 3.0;
    pub(super) const NEW: f32 = 2.5;
    pub(super) const TEMPORAL: f32 = 0.5;
    pub(super) const INTER_LAYER: f32 = 1.5;
    pub(super) const INTRA_IN_INTER: f32 = 5.0;
    pub(super) const CODED: f32 = 1.0;
    pub(super) const UV_AS_LUMA: f32 = 1.5;
    pub(super) const UV_DC: f32 = 2.5;
    pub(super) const UV_CFL: f32 = 7.0;
}

/// Luma modes that are tried, with about how many bits each takes.
const INTRA_MODES: [(PredictionMode, f32); 7] = [
    (PredictionMode::DC_PRED, 1.5),
    (PredictionMode::SMOOTH_PRED, 3.0),
    (PredictionMode::PAETH_PRED, 3.0),
    (PredictionMode::V_PRED, 3.0),
    (PredictionMode::H_PRED, 3.0),
    (PredictionMode::SMOOTH_V_PRED, 4.5),
    (PredictionMode::SMOOTH_H_PRED, 4.5),
];

/// One way to predict a block, and the estimate of what it costs.
#[derive(Clone, Copy, Debug)]
struct Choice {
    mode: PredictionMode,
    ref_frame: RefType,
    mv: MotionVector,
    bits: f32,
    cost: f32,
}

/// What became of a block that was tried.
pub(super) enum Tried {
    /// It is coded, at this squared error and rate together.
    Coded(f32),
    /// It is predicted so badly that smaller blocks are better for certain; they may begin their search here.
    Hopeless(Option<MotionVector>),
}

impl TileCoder<'_, '_> {
    /// The cost of a prediction from which smaller blocks nearly always win.
    fn hopeless_cost(&self, bsize: BlockSize) -> f32 {
        let effort = self.frame.effort;
        let bits_a_sample = match bsize {
            BlockSize::BLOCK_64X64 => effort.hopeless[0],
            BlockSize::BLOCK_32X32 => effort.hopeless[1],
            _ => return f32::MAX,
        };
        self.frame.q.lambda_satd * bits_a_sample * bsize.area() as f32
    }

    /// Codes one block and appends its leaf, unless that is hopeless.
    pub(super) fn code_block(
        &mut self,
        cw: &mut ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        parent: Option<MotionVector>,
    ) -> Tried {
        let q = self.frame.q;
        let inter = if self.frame.intra { None } else { self.choose_inter(cw, bsize, bo, parent) };
        if let Some(c) = inter.filter(|c| c.cost > self.hopeless_cost(bsize)) {
            return Tried::Hopeless((c.ref_frame == TEMPORAL).then_some(c.mv));
        }
        // A block that another picture predicts well is not tried as an intra block.
        let good = |c: &Choice| c.cost < q.lambda_satd * (2.0 + bsize.area() as f32 * self.frame.effort.good);
        let choice = match inter {
            Some(c) if good(&c) => c,
            inter => {
                let intra = self.choose_intra(bsize, bo, inter.map(|c| c.cost));
                match inter {
                    Some(c) if c.cost <= intra.cost => c,
                    _ => intra,
                }
            }
        };
        let mut leaf = Leaf {
            bsize,
            bo,
            skip: true,
            mode: choice.mode,
            uv_mode: choice.mode,
            cfl: CFLParams::default(),
            ref_frame: choice.ref_frame,
            mv: choice.mv,
            tx_type: TxType::DCT_DCT,
            uv_tx_type: TxType::DCT_DCT,
            eob: [0; 3],
            coefficients: self.coefficients.len(),
        };
        let tx_size = bsize.tx_size();
        let uv_tx_size = bsize.largest_chroma_tx_size(1, 1);
        let size = coded_area(tx_size) + 2 * coded_area(uv_tx_size);
        self.coefficients.resize(leaf.coefficients + size, 0);

        let mut distortion = 0.0;
        let mut rate = choice.bits;
        let mut coded_bits = 0.0;
        if choice.ref_frame == RefType::INTRA_FRAME {
            self.predict_intra(&leaf, 0, leaf.mode, tx_size, &[], 0);
            if tx_size.width().max(tx_size.height()) <= 16 {
                leaf.tx_type = uv_intra_mode_to_tx_type_context(leaf.mode);
            }
        } else {
            self.predict_inter(&leaf);
        }
        let luma = self.code_plane(&mut leaf, 0, tx_size);
        distortion += luma.distortion;
        coded_bits += luma.bits;
        if choice.ref_frame == RefType::INTRA_FRAME {
            rate += self.choose_and_predict_chroma(&mut leaf, uv_tx_size);
        }
        for plane in 1..3 {
            let coded = self.code_plane(&mut leaf, plane, uv_tx_size);
            distortion += coded.distortion;
            coded_bits += coded.bits;
        }
        leaf.skip = leaf.eob == [0; 3];
        if !leaf.skip {
            rate += bits::CODED + coded_bits;
        }
        set_block(cw, &leaf);
        self.leaves.push(leaf);
        Tried::Coded(distortion + q.lambda * rate)
    }

    /// The best prediction from another picture, if there is one to predict from.
    fn choose_inter(
        &mut self,
        cw: &ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        parent: Option<MotionVector>,
    ) -> Option<Choice> {
        let frame = self.frame;
        let lambda = frame.q.lambda_satd;
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
        };
        let mut best: Option<Choice> = None;
        let mut consider = |mode, ref_frame, mv, bits: f32, difference: u32| {
            let cost = difference as f32 + lambda * bits;
            if best.is_none_or(|b| cost < b.cost) {
                best = Some(Choice { mode, ref_frame, mv, bits, cost });
            }
        };
        if let Some(reference) = frame.temporal {
            let reference = &reference.planes[0];
            let mut stack = ArrayVec::<CandidateMV, 9>::new();
            cw.find_mvrefs(bo, [TEMPORAL, RefType::NONE_FRAME], &mut stack, bsize, frame.fi, false);
            let zero = MotionVector::default();
            let predicted = stack.first().map_or(zero, |c| c.this_mv);
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
                let mut starts = ArrayVec::<MotionVector, 7>::new();
                starts.extend(stack.iter().take(3).map(|c| c.this_mv));
                starts.extend(parent);
                let field = frame.below.as_ref().and_then(|b| b.motion);
                let (centre_x, centre_y) = (x + bsize.width() / 2, y + bsize.height() / 2);
                starts.extend(field.and_then(|m| m.doubled(centre_x, centre_y)));
                starts.extend(frame.earlier.and_then(|m| m.stretched(centre_x, centre_y, frame.distance)));
                let whole = target.search_whole(reference, &starts, predicted);
                // Where the larger block's vector is still the best, it needs no halves again; and where whole
                // samples are far off, fractions will not save the block.
                let near = |p: &MotionVector| {
                    (p.row - whole.mv.row).abs() < 8
                        && (p.col - whole.mv.col).abs() < 8
                        && (p.row | p.col) & 7 != 0
                };
                let found = match parent.filter(near) {
                    _ if whole.cost > frame.effort.fractions * self.hopeless_cost(bsize) => whole,
                    Some(p) => target.refine(reference, p, predicted, &[2], &mut self.prediction),
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
            // An upsampled picture is smooth: it differs less than what it leaves to code would say.
            let difference = (difference as f32 * 1.2) as u32;
            let bits = bits::INTER_LAYER + bits::GLOBAL;
            consider(PredictionMode::GLOBALMV, INTER_LAYER, MotionVector::default(), bits, difference);
        }
        best
    }

    /// The best intra mode; its prediction is not left anywhere.
    ///
    /// Where the first mode is far dearer than `rival`, the others are not tried: they seldom save that much.
    fn choose_intra(&mut self, bsize: BlockSize, bo: TileBlockOffset, rival: Option<f32>) -> Choice {
        let lambda = self.frame.q.lambda_satd;
        let tx_size = bsize.tx_size();
        let overhead = if self.frame.intra { 0.0 } else { bits::INTRA_IN_INTER };
        let mut best: Option<Choice> = None;
        for (mode, mode_bits) in INTRA_MODES {
            self.predict_intra_at(bsize, bo, 0, mode, tx_size, &[], 0);
            let difference = self.satd_of_reconstruction(bsize, bo, 0);
            let bits = overhead + mode_bits;
            let cost = difference as f32 + lambda * bits;
            if best.is_none_or(|b| cost < b.cost) {
                best = Some(Choice {
                    mode,
                    ref_frame: RefType::INTRA_FRAME,
                    mv: MotionVector::default(),
                    bits,
                    cost,
                });
            }
            if rival.is_some_and(|r| cost > self.frame.effort.rival * r) && mode == PredictionMode::DC_PRED {
                break;
            }
        }
        best.expect("there are intra modes")
    }

    /// Transformed difference of the source and what stands in the reconstruction.
    fn satd_of_reconstruction(&self, bsize: BlockSize, bo: TileBlockOffset, plane: usize) -> u32 {
        let dec = usize::from(plane > 0);
        let area = Area::BlockRect { bo: bo.0, width: bsize.width() >> dec, height: bsize.height() >> dec };
        let source = self.ts.input_tile.planes[plane].subregion(area);
        let made = self.ts.rec.planes[plane].subregion(area);
        get_satd(&source, &made, bsize.width() >> dec, bsize.height() >> dec, 8, self.cpu)
    }

    /// Chooses the chroma mode of an intra block and predicts with it; gives the mode's bits.
    fn choose_and_predict_chroma(&mut self, leaf: &mut Leaf, tx_size: TxSize) -> f32 {
        let lambda = self.frame.q.lambda_satd;
        let (mut best, mut best_bits) = (f32::MAX, 0.0);
        for (mode, mode_bits) in [(leaf.mode, bits::UV_AS_LUMA), (PredictionMode::DC_PRED, bits::UV_DC)] {
            if mode == leaf.uv_mode && best < f32::MAX {
                continue;
            }
            let difference = self.try_chroma(leaf, mode, tx_size, &[], [0; 2]);
            let cost = difference as f32 + lambda * mode_bits;
            if cost < best {
                (best, best_bits, leaf.uv_mode) = (cost, mode_bits, mode);
            }
        }
        let mut buffer = Aligned::<[MaybeUninit<i16>; 32 * 32]>::uninit_array();
        if leaf.bsize.cfl_allowed() {
            let luma = leaf.bsize.tx_size();
            let ac: &[i16] =
                luma_ac(&mut buffer.data, &mut self.ts, leaf.bo, leaf.bsize, luma, self.frame.fi);
            let alpha = self.cfl_scales(leaf, tx_size, ac);
            if alpha != [0; 2] {
                let difference = self.try_chroma(leaf, PredictionMode::UV_CFL_PRED, tx_size, ac, alpha);
                if (difference as f32) + lambda * bits::UV_CFL < best {
                    leaf.uv_mode = PredictionMode::UV_CFL_PRED;
                    leaf.cfl = CFLParams::from_alpha(alpha[0], alpha[1]);
                    self.set_uv_tx_type(leaf, tx_size);
                    return bits::UV_CFL;
                }
            }
        }
        self.try_chroma(leaf, leaf.uv_mode, tx_size, &[], [0; 2]);
        self.set_uv_tx_type(leaf, tx_size);
        best_bits
    }

    /// Predicts both chroma planes and gives the transformed difference to the source.
    fn try_chroma(
        &mut self,
        leaf: &Leaf,
        mode: PredictionMode,
        tx_size: TxSize,
        ac: &[i16],
        alpha: [i16; 2],
    ) -> u32 {
        (1..3)
            .map(|plane| {
                self.predict_intra(leaf, plane, mode, tx_size, ac, alpha[plane - 1]);
                self.satd_of_reconstruction(leaf.bsize, leaf.bo, plane)
            })
            .sum()
    }

    /// The scales of luma's shape `ac` that fit U and V best, by least squares over the flat prediction; in 1/8,
    /// as the shape is.
    fn cfl_scales(&mut self, leaf: &Leaf, tx_size: TxSize, ac: &[i16]) -> [i16; 2] {
        let energy: i64 = ac.iter().map(|&a| i64::from(a) * i64::from(a)).sum();
        if energy == 0 {
            return [0; 2];
        }
        let (width, height) = (leaf.bsize.width() / 2, leaf.bsize.height() / 2);
        let area = Area::BlockRect { bo: leaf.bo.0, width, height };
        [1, 2].map(|plane| {
            self.predict_intra(leaf, plane, PredictionMode::DC_PRED, tx_size, &[], 0);
            let source = self.ts.input_tile.planes[plane].subregion(area);
            let made = self.ts.rec.planes[plane].subregion(area);
            let mut product = 0i64;
            for (row, ac) in ac.chunks_exact(width).enumerate() {
                for ((&s, &m), &a) in source[row].iter().zip(&made[row][..width]).zip(ac) {
                    product += i64::from(a) * (i64::from(s) - i64::from(m));
                }
            }
            (product as f64 * 64.0 / energy as f64).round().clamp(-16.0, 16.0) as i16
        })
    }

    /// Chroma's transform type follows from its mode (section 5.11.47).
    fn set_uv_tx_type(&self, leaf: &mut Leaf, tx_size: TxSize) {
        if tx_size.width().max(tx_size.height()) <= 16 {
            leaf.uv_tx_type = uv_intra_mode_to_tx_type_context(leaf.uv_mode);
        }
    }

    fn predict_intra(
        &mut self,
        leaf: &Leaf,
        plane: usize,
        mode: PredictionMode,
        tx_size: TxSize,
        ac: &[i16],
        alpha: i16,
    ) {
        self.predict_intra_at(leaf.bsize, leaf.bo, plane, mode, tx_size, ac, alpha);
    }

    /// Predicts a block of one plane from its neighbours, into the reconstruction.
    #[allow(clippy::too_many_arguments)]
    fn predict_intra_at(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        plane: usize,
        mode: PredictionMode,
        tx_size: TxSize,
        ac: &[i16],
        alpha: i16,
    ) {
        let dec = usize::from(plane > 0);
        let tile_rect = self.ts.tile_rect().decimated(dec, dec);
        let rec = &mut self.ts.rec.planes[plane];
        let po = bo.plane_offset(rec.plane_cfg);
        let parameter = if mode.is_cfl() { IntraParam::Alpha(alpha) } else { IntraParam::AngleDelta(0) };
        let mut buffer = Aligned::uninit_array();
        let edges = get_intra_edges(
            &mut buffer,
            &rec.as_const(),
            bo,
            0,
            0,
            bsize,
            po,
            tx_size,
            8,
            Some(mode),
            self.frame.fi.sequence.enable_intra_edge_filter,
            parameter,
        );
        let area = Area::BlockRect { bo: bo.0, width: tx_size.width(), height: tx_size.height() };
        mode.predict_intra(
            tile_rect,
            &mut rec.subregion_mut(area),
            tx_size,
            8,
            ac,
            parameter,
            None,
            &edges,
            self.cpu,
        );
    }

    /// Predicts all planes of a block from another picture, into the reconstruction.
    fn predict_inter(&mut self, leaf: &Leaf) {
        let frame = self.frame;
        let at = self.ts.to_frame_block_offset(leaf.bo);
        for plane in 0..3 {
            let dec = usize::from(plane > 0);
            let (width, height) = (leaf.bsize.width() >> dec, leaf.bsize.height() >> dec);
            let (x, y) = ((at.0.x * 4) >> dec, (at.0.y * 4) >> dec);
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

    /// Codes what one plane of a block has left after prediction.
    fn code_plane(&mut self, leaf: &mut Leaf, plane: usize, tx_size: TxSize) -> residual::Coded {
        let tx_type = if plane == 0 { leaf.tx_type } else { leaf.uv_tx_type };
        let dec = usize::from(plane > 0);
        let q = self.frame.q;
        let intra = leaf.ref_frame == RefType::INTRA_FRAME;
        let area = Area::BlockRect {
            bo: leaf.bo.0,
            width: leaf.bsize.width() >> dec,
            height: leaf.bsize.height() >> dec,
        };
        let source = self.ts.input_tile.planes[plane].subregion(area);
        let mut made = self.ts.rec.planes[plane].subregion_mut(area);
        let from = leaf.coefficients_of(plane);
        let coded = residual::code(
            &mut self.scratch,
            &source,
            &mut made,
            tx_size,
            tx_type,
            &q,
            !intra,
            &mut self.coefficients[from..],
            self.cpu,
        );
        leaf.eob[plane] = coded.eob;
        coded
    }
}

impl Leaf {
    /// Where the coefficients of a plane begin.
    pub(super) fn coefficients_of(&self, plane: usize) -> usize {
        let luma = coded_area(self.bsize.tx_size());
        let chroma = coded_area(self.bsize.largest_chroma_tx_size(1, 1));
        self.coefficients + [0, luma, luma + chroma][plane]
    }
}

/// Transformed difference over the part of a block that lies within the upsampled picture.
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
