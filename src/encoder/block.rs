//! The decision for one block: which prediction it takes, and whether it is coded at all.
//!
//! Predictions are compared by their transformed difference and a model of their rate; the best one is then
//! coded once.

use super::kernels::*;
use super::motion::TEMPORAL;
use super::palette::Palette;
use super::residual::{self, coded_area};
use super::tile::{Choice, Leaf, TileCoder, Tried};

/// About how many bits fewer a place in the scan takes without a transform than with one: what is left of glyphs is 0
/// at most places. Measured on a page that is scrolled.
const IDENTITY_SAVES: f32 = 0.25;

/// Whether the standard has the identity transform for this block's luma (section 5.11.48).
fn may_be_identity(leaf: &Leaf) -> bool {
    leaf.bsize.width() <= if leaf.ref_frame == RefType::INTRA_FRAME { 16 } else { 32 }
}

/// Transform types of luma that are tried beside the usual one, in blocks of up to 16x16; all are in the sets of these
/// sizes (section 5.11.48).
const INTRA_TRANSFORMS: [TxType; 4] =
    [TxType::ADST_ADST, TxType::ADST_DCT, TxType::DCT_ADST, TxType::DCT_DCT];
const INTER_TRANSFORMS: [TxType; 8] = [
    TxType::ADST_ADST,
    TxType::ADST_DCT,
    TxType::DCT_ADST,
    TxType::FLIPADST_DCT,
    TxType::DCT_FLIPADST,
    TxType::FLIPADST_FLIPADST,
    TxType::ADST_FLIPADST,
    TxType::FLIPADST_ADST,
];

/// About how many bits a block takes to say that it has coefficients.
const CODED_BITS: f32 = 1.0;

impl TileCoder<'_, '_> {
    /// Codes one block and appends its leaf, unless its prediction is hopeless. `parent` is the vector of the
    /// block around it, from which the search also starts.
    pub(super) fn code_block(
        &mut self,
        cw: &mut ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        parent: Option<MotionVector>,
    ) -> Tried {
        let q = self.q;
        if self.frame.copies.is_some() {
            if let Some(copy) = self.choose_copy(cw, bsize, bo) {
                let (leaf, cost) = self.code_choice(bsize, bo, &copy, Palette::default());
                self.set_block(cw, &leaf);
                self.leaves.push(leaf);
                return Tried::Coded(cost);
            }
            if self.is_copied_in_part(bsize, bo) {
                return Tried::Hopeless(None);
            }
        }
        let inter = if self.frame.intra { None } else { self.choose_inter(bsize, bo, parent) };
        // A palette may still describe a block that no other picture predicts.
        let hopeless = |c: &Choice| !self.frame.screen && c.cost > self.hopeless_cost(bsize);
        if let Some(c) = inter.filter(hopeless) {
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
        let (leaf, cost) = if self.frame.screen {
            self.code_or_palette(bsize, bo, &choice)
        } else {
            self.code_choice(bsize, bo, &choice, Palette::default())
        };
        self.set_block(cw, &leaf);
        self.leaves.push(leaf);
        Tried::Coded(cost)
    }

    /// Codes a block in one way behind all coefficients there are, and returns its cost: squared error and rate
    /// together.
    pub(super) fn code_choice(
        &mut self,
        bsize: BlockSize,
        bo: TileBlockOffset,
        choice: &Choice,
        palette: Palette,
    ) -> (Leaf, f32) {
        let lambda = self.q.lambda;
        let intra = choice.ref_frame == RefType::INTRA_FRAME;
        let mut leaf = Leaf::new(bsize, bo, choice, palette, self.used);
        let tx_size = bsize.tx_size();
        let uv_tx_size = bsize.largest_chroma_tx_size(1, 1);
        let size = coded_area(tx_size) + 2 * coded_area(uv_tx_size);
        self.used += size;
        if self.used > self.coefficients.len() {
            self.coefficients.resize(self.used, 0);
        }

        let mut rate = choice.bits;
        let mut coded_bits = 0.0;
        if intra {
            if palette.is_empty() {
                self.predict_luma(bsize, bo, leaf.mode, leaf.angle);
            } else {
                self.predict_palette(&leaf);
            }
            if tx_size.width().max(tx_size.height()) <= 16 {
                leaf.tx_type = uv_intra_mode_to_tx_type_context(leaf.mode);
            }
        } else {
            self.predict_inter(&leaf);
        }
        let luma = if self.frame.screen && may_be_identity(&leaf) {
            self.code_luma_of_screen(&mut leaf, tx_size)
        } else {
            self.code_plane(&mut leaf, 0, tx_size)
        };
        let mut distortion = luma.distortion;
        coded_bits += luma.bits;
        if intra {
            rate += self.choose_and_predict_chroma(&mut leaf, uv_tx_size);
        }
        // Chroma of an inter block takes luma's transform type, if luma has coefficients (section 5.11.47).
        if !intra && leaf.eob[0] > 0 {
            leaf.uv_tx_type = leaf.tx_type;
        }
        for plane in 1..3 {
            let coded = self.code_plane(&mut leaf, plane, uv_tx_size);
            distortion += coded.distortion;
            coded_bits += coded.bits;
        }
        leaf.skip = leaf.eob == [0; 3];
        if !leaf.skip {
            rate += CODED_BITS + coded_bits;
        }
        (leaf, distortion + lambda * rate)
    }

    /// Codes luma with the usual transform and with none, and keeps what costs less.
    ///
    /// Glyphs have sharp edges anywhere: without a transform, what is left of them stays where it is.
    fn code_luma_of_screen(&mut self, leaf: &mut Leaf, tx_size: TxSize) -> residual::Coded {
        let (side, usual_type) = (leaf.bsize.width(), leaf.tx_type);
        let size = side * side;
        self.keep_luma(leaf, 0);
        let usual = self.code_plane(leaf, 0, tx_size);
        if usual.distortion < self.q.lambda * 4.0 && usual.eob == 0 {
            return usual;
        }
        self.keep_luma(leaf, size);
        self.put_luma(leaf, 0);
        let from = leaf.coefficients_of(0);
        self.other.coefficients[..size].copy_from_slice(&self.coefficients[from..from + size]);
        leaf.tx_type = TxType::IDTX;
        let identity = self.code_plane(leaf, 0, tx_size);
        let lambda = self.q.lambda;
        let saved = IDENTITY_SAVES * f32::from(identity.eob);
        let identity = residual::Coded { bits: (identity.bits - saved).max(0.0), ..identity };
        let cost = |c: &residual::Coded| c.distortion + lambda * c.bits;
        if identity.eob > 0 && cost(&identity) < cost(&usual) {
            return identity;
        }
        self.put_luma(leaf, size);
        self.coefficients[from..from + size].copy_from_slice(&self.other.coefficients[..size]);
        leaf.tx_type = usual_type;
        leaf.eob[0] = usual.eob;
        usual
    }

    /// Keeps a block's luma of the reconstruction at `at`.
    fn keep_luma(&mut self, leaf: &Leaf, at: usize) {
        let side = leaf.bsize.width();
        let area = Area::BlockRect { bo: leaf.bo.0, width: side, height: side };
        let region = self.ts.rec.planes[0].subregion(area);
        for (to, from) in self.other.samples[at..].chunks_exact_mut(side).zip(region.rows_iter()) {
            to.copy_from_slice(&from[..side]);
        }
    }

    /// Writes what is kept at `at` into the reconstruction.
    fn put_luma(&mut self, leaf: &Leaf, at: usize) {
        let side = leaf.bsize.width();
        let area = Area::BlockRect { bo: leaf.bo.0, width: side, height: side };
        let mut region = self.ts.rec.planes[0].subregion_mut(area);
        for (to, from) in region.rows_iter_mut().zip(self.other.samples[at..].chunks_exact(side)) {
            to[..side].copy_from_slice(from);
        }
    }

    /// Codes the difference that prediction has left in one plane of a block.
    fn code_plane(&mut self, leaf: &mut Leaf, plane: usize, tx_size: TxSize) -> residual::Coded {
        let tx_type = if plane == 0 { leaf.tx_type } else { leaf.uv_tx_type };
        let dec = usize::from(plane > 0);
        let q = self.q;
        let intra = leaf.ref_frame == RefType::INTRA_FRAME;
        let area = Area::BlockRect {
            bo: leaf.bo.0,
            width: leaf.bsize.width() >> dec,
            height: leaf.bsize.height() >> dec,
        };
        let source = self.ts.input_tile.planes[plane].subregion(area);
        let mut made = self.ts.rec.planes[plane].subregion_mut(area);
        let from = leaf.coefficients_of(plane);
        let tried = self.frame.effort.transforms[usize::from(!intra)];
        let others: &[TxType] = match (plane, tx_size.width()) {
            (0, ..=16) if !self.frame.screen => {
                let all: &[TxType] = if intra { &INTRA_TRANSFORMS } else { &INTER_TRANSFORMS };
                &all[..tried]
            }
            _ => &[],
        };
        let (coded, best) = residual::code(
            &mut self.scratch,
            &source,
            &mut made,
            tx_size,
            tx_type,
            &q,
            !intra,
            &mut self.coefficients[from..],
            self.cpu,
            others,
            self.frame.effort,
        );
        if plane == 0 {
            leaf.tx_type = best;
        }
        leaf.eob[plane] = coded.eob;
        coded
    }
}
