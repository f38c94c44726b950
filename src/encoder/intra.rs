//! Prediction of a block from its neighbours in the same frame.

use super::direction::{MOST_STEPS, direction};
use super::kernels::*;
use super::tile::{Choice, Leaf, TileCoder};

/// About how many bits it takes to say that a block of an inter frame is an intra block.
pub(super) const INTRA_IN_INTER: f32 = 5.0;
/// About how many bits each choice takes.
mod bits {
    pub(super) const DIRECTION: f32 = 5.0;
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

impl TileCoder<'_, '_> {
    /// The best intra mode; the reconstruction holds the prediction of the mode that was tried last.
    ///
    /// If the first mode costs far more than `rival`, the others are not tried, since they seldom save that
    /// much.
    pub(super) fn choose_intra(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        rival: Option<f32>,
    ) -> Choice {
        let overhead = if self.frame.intra { 0.0 } else { INTRA_IN_INTER };
        let effort = self.frame.effort;
        let (dc, dc_bits) = INTRA_MODES[0];
        let mut best = self.try_luma(bsize, bo, dc, 0, overhead + dc_bits);
        let hopeless = rival.is_some_and(|rival| best.cost > effort.rival * rival);
        let modes = match (self.frame.intra, hopeless) {
            (true, _) => INTRA_MODES.len(),
            (false, true) => 1,
            (false, false) => effort.modes,
        };
        let keep = |best: &mut Choice, other: Choice| {
            if other.cost < best.cost {
                *best = other;
            }
        };
        for &(mode, mode_bits) in &INTRA_MODES[1..modes] {
            let tried = self.try_luma(bsize, bo, mode, 0, overhead + mode_bits);
            keep(&mut best, tried);
        }
        if modes == INTRA_MODES.len() {
            let area = Area::BlockRect { bo: bo.0, width: bsize.width(), height: bsize.height() };
            let source = self.ts.input_tile.planes[0].subregion(area);
            if let Some((mode, angle)) = direction(&source, bsize.width(), bsize.height()) {
                let bits = overhead + bits::DIRECTION;
                let tried = self.try_luma(bsize, bo, mode, angle, bits);
                keep(&mut best, tried);
                if (best.mode, best.angle) == (mode, angle) {
                    for angle in [angle - 1, angle + 1] {
                        if angle.abs() <= MOST_STEPS {
                            let tried = self.try_luma(bsize, bo, mode, angle, bits);
                            keep(&mut best, tried);
                        }
                    }
                }
            }
        }
        best
    }

    /// Predicts a block's luma by a mode, and estimates what that costs.
    fn try_luma(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        mode: PredictionMode,
        angle: i8,
        bits: f32,
    ) -> Choice {
        self.predict_luma(bsize, bo, mode, angle);
        let difference = self.satd_of_reconstruction(bsize, bo, 0);
        let cost = difference as f32 + self.q.lambda_satd * bits;
        let (ref_frame, mv) = (RefType::INTRA_FRAME, MotionVector::default());
        Choice { mode, angle, ref_frame, mv, candidates: None, bits, cost }
    }

    /// Transformed difference between the source and the samples in the reconstruction.
    fn satd_of_reconstruction(&self, bsize: BlockSize, bo: TileBlockOffset, plane: usize) -> u32 {
        let dec = usize::from(plane > 0);
        let area = Area::BlockRect { bo: bo.0, width: bsize.width() >> dec, height: bsize.height() >> dec };
        let source = self.ts.input_tile.planes[plane].subregion(area);
        let made = self.ts.rec.planes[plane].subregion(area);
        satd(&source, &made, bsize.width() >> dec, self.cpu)
    }

    /// Chooses the chroma mode of an intra block, predicts with it, and returns the bits of the mode.
    pub(super) fn choose_and_predict_chroma(&mut self, leaf: &mut Leaf, tx_size: TxSize) -> f32 {
        let lambda = self.q.lambda_satd;
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
        let mut buffer = Aligned::new([0; 16 * 16]);
        if self.frame.effort.chroma_from_luma && leaf.bsize.cfl_allowed() {
            let side = leaf.bsize.width();
            let area = Area::BlockRect { bo: leaf.bo.0, width: side, height: side };
            let ac = luma_ac(&mut buffer.data, &self.ts.rec.planes[0].subregion(area), side);
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

    /// Predicts both chroma planes and returns their transformed difference from the source.
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

    /// The factors, in 1/8, by which the shape of luma `ac` (itself in 1/8 sample) fits U and V best on top
    /// of the flat prediction, by least squares.
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

    pub(super) fn predict_intra(
        &mut self,
        leaf: &Leaf,
        plane: usize,
        mode: PredictionMode,
        tx_size: TxSize,
        ac: &[i16],
        alpha: i16,
    ) {
        let parameter = if mode.is_cfl() {
            IntraParam::Alpha(alpha)
        } else {
            IntraParam::AngleDelta(leaf.angle_of(mode))
        };
        self.predict_intra_at(leaf.bsize, leaf.bo, plane, mode, tx_size, ac, parameter);
    }

    /// Predicts a block's luma from its neighbours and writes it into the reconstruction.
    pub(super) fn predict_luma(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        mode: PredictionMode,
        angle: i8,
    ) {
        self.predict_intra_at(bsize, bo, 0, mode, bsize.tx_size(), &[], IntraParam::AngleDelta(angle));
    }

    /// Predicts a block of one plane from its neighbours and writes it into the reconstruction.
    #[allow(clippy::too_many_arguments)]
    fn predict_intra_at(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        plane: usize,
        mode: PredictionMode,
        tx_size: TxSize,
        ac: &[i16],
        parameter: IntraParam,
    ) {
        let dec = usize::from(plane > 0);
        let neighbours = mode.is_directional().then(|| {
            let above = self.ts.above_block_info(bo, dec, dec);
            let left = self.ts.left_block_info(bo, dec, dec);
            IntraEdgeFilterParameters::new(plane, above, left)
        });
        let tile_rect = self.ts.tile_rect().decimated(dec, dec);
        let rec = &mut self.ts.rec.planes[plane];
        let po = bo.plane_offset(rec.plane_cfg);
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
            neighbours,
            &edges,
            self.cpu,
        );
    }
}
