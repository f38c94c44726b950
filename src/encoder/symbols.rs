//! The symbols of a superblock's blocks, written once they are decided (AV1 specification, sections 5.11.4 to
//! 5.11.39).

use super::kernels::*;
use super::palette;
use super::pieces::Pieces;
use super::residual::coded_area;
use super::tile::{Leaf, TileCoder};

impl TileCoder<'_, '_> {
    /// Writes the partition of the square at `bo` and its blocks; `next` counts the leaves that are written.
    pub(super) fn write_partition(
        &mut self,
        cw: &mut ContextWriter<'_>,
        pieces: &mut Pieces,
        bsize: BlockSize,
        bo: TileBlockOffset,
        next: &mut usize,
    ) {
        if bo.0.x >= self.ts.mi_width || bo.0.y >= self.ts.mi_height {
            return;
        }
        let leaf = self.leaves[*next];
        if leaf.bsize == bsize {
            cw.write_partition(&mut pieces.last, bo, PartitionType::PARTITION_NONE, bsize);
            self.note(cw, &leaf);
            self.write_block(cw, pieces, &leaf);
            *next += 1;
            cw.bc.update_partition_context(bo, bsize, bsize);
            return;
        }
        cw.write_partition(&mut pieces.last, bo, PartitionType::PARTITION_SPLIT, bsize);
        let half = bsize.width_mi() / 2;
        let subsize =
            bsize.subsize(PartitionType::PARTITION_SPLIT).expect("only squares of 16 and more are split");
        for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let at = TileBlockOffset(BlockOffset { x: bo.0.x + dx * half, y: bo.0.y + dy * half });
            self.write_partition(cw, pieces, subsize, at, next);
        }
    }

    fn write_block(&mut self, cw: &mut ContextWriter<'_>, pieces: &mut Pieces, leaf: &Leaf) {
        let Leaf { bo, bsize, .. } = *leaf;
        cw.write_skip(&mut pieces.last, bo, leaf.skip);
        if leaf.skip {
            cw.bc.reset_skip_context(bo, bsize, 1, 1, ChromaSampling::Cs420);
        } else if std::mem::take(&mut self.tells) {
            // The first block with coefficients tells it for its superblock.
            pieces.cut(self.frame.superblock(self.ts.to_frame_block_offset(bo).0));
        }
        let w = &mut pieces.last;
        let inter = leaf.ref_frame != RefType::INTRA_FRAME;
        if self.frame.copies.is_some() {
            self.copy_probabilities.write_copied(w, inter);
        }
        if self.is_copy(leaf) {
            let candidates = leaf.candidates.expect("a copy has a predicted vector");
            cw.write_mv(w, leaf.mv, candidates.predicted, MvSubpelPrecision::MV_SUBPEL_NONE);
        } else if self.frame.intra {
            self.write_intra_mode_kf(cw, w, leaf);
        } else {
            cw.write_is_inter(w, bo, inter);
            if inter {
                self.write_inter(cw, w, leaf);
            } else {
                cw.write_intra_mode(w, bsize, leaf.mode);
            }
        }
        if !inter {
            if leaf.mode.is_directional() {
                cw.write_angle_delta(w, leaf.angle, leaf.mode);
            }
            cw.write_intra_uv_mode(w, leaf.uv_mode, leaf.mode, bsize);
            if leaf.uv_mode.is_cfl() {
                cw.write_cfl_alphas(w, leaf.cfl);
            }
            if leaf.uv_mode.is_directional() {
                cw.write_angle_delta(w, leaf.angle_of(leaf.uv_mode), leaf.uv_mode);
            }
            if self.frame.screen {
                self.write_palette(w, leaf);
            }
        }
        if !leaf.skip {
            self.write_residual(cw, w, leaf);
        }
    }

    /// Writes palette_mode_info() and palette_tokens() of sections 5.11.46 and 5.11.49.
    fn write_palette<W: Writer>(&mut self, w: &mut W, leaf: &Leaf) {
        let &Leaf { bo, bsize, palette, .. } = leaf;
        let size = self.visible(bsize, bo);
        let probabilities = &mut *self.palette_probabilities;
        let has = !palette.is_empty();
        if leaf.mode == PredictionMode::DC_PRED {
            probabilities.write_has_luma(w, bsize, self.palettes.neighbours(bo), has);
        }
        if has {
            probabilities.write_size(w, bsize, palette.len());
            for (bits, value) in palette.literals(&self.palettes.cache(bo)) {
                w.literal(bits, value);
            }
        }
        if leaf.uv_mode == PredictionMode::DC_PRED {
            probabilities.write_has_chroma(w, has, false);
        }
        if has {
            let area = Area::BlockRect { bo: bo.0, width: size.0, height: size.1 };
            let source = self.ts.input_tile.planes[0].subregion(area);
            palette.index(&source, size, &mut self.palettes.map);
            palette::write_map(w, probabilities, &self.palettes.map, size, palette.len());
        }
    }

    /// Writes intra_frame_y_mode, for which copies above and to the left count as flat blocks.
    fn write_intra_mode_kf<W: Writer>(&self, cw: &mut ContextWriter<'_>, w: &mut W, leaf: &Leaf) {
        let BlockOffset { x, y } = leaf.bo.0;
        let above = y.checked_sub(1).map(|y| (x, y));
        let left = x.checked_sub(1).map(|x| (x, y));
        let copies = [above, left].map(|at| at.filter(|&(x, y)| cw.bc.blocks[y][x].is_inter()));
        copies.iter().flatten().for_each(|&(x, y)| cw.bc.blocks[y][x].mode = PredictionMode::DC_PRED);
        cw.write_intra_mode_kf(w, leaf.bo, leaf.mode);
        copies.iter().flatten().for_each(|&(x, y)| cw.bc.blocks[y][x].mode = PredictionMode::NEWMV);
    }

    fn write_inter<W: Writer>(&self, cw: &mut ContextWriter<'_>, w: &mut W, leaf: &Leaf) {
        let Leaf { bo, bsize, mode, .. } = *leaf;
        cw.fill_neighbours_ref_counts(bo);
        cw.write_ref_frames(w, self.frame.fi, bo);
        let candidates =
            leaf.candidates.unwrap_or_else(|| self.neighbours.find(bo, bsize.width(), leaf.ref_frame).0);
        cw.write_inter_mode(w, mode, candidates.context);
        // NEWMV may take the first candidate, NEARMV the second (section 5.11.24).
        let later = match mode {
            PredictionMode::NEWMV => candidates.later[0],
            PredictionMode::NEAR0MV => candidates.later[1],
            _ => return,
        };
        if let Some(context) = later {
            cw.write_drl_mode(w, false, context.into());
        }
        if mode == PredictionMode::NEWMV {
            cw.write_mv(w, leaf.mv, candidates.predicted, MvSubpelPrecision::MV_SUBPEL_LOW_PRECISION);
        }
    }

    fn write_residual<W: Writer>(&self, cw: &mut ContextWriter<'_>, w: &mut W, leaf: &Leaf) {
        let Leaf { bo, bsize, .. } = *leaf;
        let at = self.ts.to_frame_block_offset(bo);
        for plane in 0..3 {
            let dec = usize::from(plane > 0);
            let (tx_size, plane_bsize, tx_type, mode) = if plane == 0 {
                (bsize.tx_size(), bsize, leaf.tx_type, leaf.mode)
            } else {
                let plane_bsize = bsize.subsampled_size(1, 1).expect("4:2:0 halves every block");
                (bsize.largest_chroma_tx_size(1, 1), plane_bsize, leaf.uv_tx_type, leaf.uv_mode)
            };
            // Only the part of the block within the picture counts for the contexts.
            let width = (((self.frame.fi.w_in_b - at.0.x) * 4) >> dec).min(tx_size.width());
            let height = (((self.frame.fi.h_in_b - at.0.y) * 4) >> dec).min(tx_size.height());
            let from = leaf.coefficients_of(plane);
            cw.write_coeffs_lv_map(
                w,
                plane,
                bo,
                &self.coefficients[from..][..coded_area(tx_size)],
                leaf.eob[plane],
                mode,
                tx_size,
                tx_type,
                plane_bsize,
                dec,
                dec,
                false,
                width,
                height,
            );
        }
    }
}
