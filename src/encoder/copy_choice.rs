//! Blocks that are copied within the picture.
//!
//! Such a block is an inter block whose reference is the picture itself. Where the kernels ask for a reference it is
//! [`COPIED`], since they know no other: a picture with copies has no real references.

use arrayvec::ArrayVec;

use super::candidates::Candidates;
use super::copies::{Bounds, DELAY};
use super::kernels::*;
use super::superblock;
use super::tile::{Choice, Leaf, TileCoder};

/// The reference that stands for the picture itself.
pub(super) const COPIED: RefType = RefType::LAST_FRAME;

impl TileCoder<'_, '_> {
    /// Whether a block is copied within the picture.
    pub(super) fn is_copy(&self, leaf: &Leaf) -> bool {
        self.frame.copies.is_some() && leaf.ref_frame == COPIED
    }

    /// How a block is copied from another place of the picture, if it is there.
    pub(super) fn choose_copy(
        &self,
        cw: &ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
    ) -> Option<Choice> {
        let copies = self.frame.copies?;
        let (x, y, tile) = self.place(bo);
        let mut all = ArrayVec::<CandidateMV, 9>::new();
        cw.find_mvrefs(bo, [COPIED, RefType::NONE_FRAME], &mut all, bsize, self.frame.fi, false);
        // The standard does not search further for copies; what the kernels find by that has this weight.
        let stack: ArrayVec<MotionVector, 9> =
            all.iter().filter(|c| c.weight > 2).map(|c| c.this_mv).collect();
        let zero = MotionVector::default();
        let usual = match bo.0.y < BlockSize::BLOCK_64X64.height_mi() {
            true => MotionVector { row: 0, col: -8 * (superblock::SIDE * (DELAY + 1)) as i16 },
            false => MotionVector { row: -8 * superblock::SIDE as i16, col: 0 },
        };
        let predicted = stack.iter().take(2).copied().find(|&mv| mv != zero).unwrap_or(usual);
        let vector_bits = &self.copy_bits;
        let cost = |mv: MotionVector| vector_bits.vector(mv, predicted);
        let mut first = ArrayVec::<MotionVector, 10>::from_iter([predicted]);
        first.extend(stack);
        let (mv, bits) = copies.find((x, y), bsize.width(), tile, &first, cost)?;
        let candidates = Some(Candidates { context: 0, predicted, later: [None; 2] });
        let bits = bits + vector_bits.copied;
        let (mode, angle) = (PredictionMode::NEWMV, 0);
        Some(Choice { mode, angle, ref_frame: COPIED, mv, candidates, bits, cost: 0.0 })
    }

    /// Whether a quarter of a block is somewhere else in the picture, so that smaller blocks are better.
    pub(super) fn is_copied_in_part(&self, bsize: BlockSize, bo: TileBlockOffset) -> bool {
        let Some(copies) = self.frame.copies.filter(|_| bsize != BlockSize::BLOCK_8X8) else { return false };
        let (x, y, tile) = self.place(bo);
        let half = bsize.width() / 2;
        let quarters = [(x, y), (x + half, y), (x, y + half), (x + half, y + half)];
        quarters.iter().any(|&at| copies.find(at, half, tile, &[], |_| 0.0).is_some())
    }

    /// Where a block is, in luma samples, and its tile.
    fn place(&self, bo: TileBlockOffset) -> (usize, usize, Bounds) {
        let at = self.ts.to_frame_block_offset(bo).0;
        let (left, top) = ((at.x - bo.0.x) * 4, (at.y - bo.0.y) * 4);
        let (right, bottom) = (left + self.ts.mi_width * 4, top + self.ts.mi_height * 4);
        (at.x * 4, at.y * 4, Bounds { left, top, right, bottom })
    }

    /// Copies a block of one plane within the reconstruction; between two samples chroma is their mean.
    pub(super) fn predict_copy(&mut self, plane: usize, bo: BlockOffset, mv: MotionVector, side: usize) {
        let rec = &mut self.ts.rec.planes[plane];
        let dec = rec.plane_cfg.xdec;
        let along = |at: usize, by: i16| ((at * 4) >> dec) as isize + isize::from(by >> (3 + dec));
        let between = |by: i16| usize::from(dec > 0 && by & 8 != 0);
        let (dx, dy) = (between(mv.col), between(mv.row));
        let mut samples = [[0u8; 64]; 64];
        let (x, y) = (along(bo.x, mv.col), along(bo.y, mv.row));
        let from = Area::Rect { x, y, width: side + dx, height: side + dy };
        let region = rec.subregion(from);
        for (y, to) in samples[..side].iter_mut().enumerate() {
            let (row, below) = (&region[y][..side + dx], &region[y + dy][..side + dx]);
            if (dx, dy) == (0, 0) {
                to[..side].copy_from_slice(&row[..side]);
                continue;
            }
            for (x, to) in to[..side].iter_mut().enumerate() {
                let four = [row[x], row[x + dx], below[x], below[x + dx]];
                *to = ((four.iter().map(|&sample| u16::from(sample)).sum::<u16>() + 2) >> 2) as u8;
            }
        }
        let mut to = rec.subregion_mut(Area::BlockRect { bo, width: side, height: side });
        for (to, from) in to.rows_iter_mut().zip(&samples[..side]) {
            to[..side].copy_from_slice(&from[..side]);
        }
    }
}
