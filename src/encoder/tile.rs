//! One tile of a layer frame: the coder first decides and reconstructs each superblock, then writes its
//! symbols.

use super::candidates::{Candidates, Neighbour, Neighbours};
use super::copies::{Copies, CopyBits};
use super::displaced::Displacements;
use super::effort::Effort;
use super::interlayer::Upsampled;
use super::kernels::*;
use super::motion::{MotionField, TEMPORAL, mv_bits};
use super::palette::{Palette, Palettes};
use super::pieces::Pieces;
use super::probabilities::{CopyProbabilities, PaletteProbabilities, Probabilities};
use super::quantizer::Quantizer;
use super::residual::{self, coded_area};
use super::steady::Steady;
use super::still::{Before, Still};

/// The picture of the layer below, as the layer above predicts from it.
pub(crate) struct Below<'a> {
    pub(crate) frame: &'a Frame<u8>,
    pub(crate) size: (usize, usize),
    /// Whether the layer below has exactly half the size.
    pub(crate) halves: bool,
    /// Vectors of the layer below to its temporal reference; absent if it has no such reference.
    pub(crate) motion: Option<&'a MotionField>,
}

/// What all tiles of a frame share.
pub(crate) struct FrameContext<'a> {
    pub(crate) fi: &'a FrameInvariants<u8>,
    pub(crate) q: Quantizer,
    pub(crate) effort: &'static Effort,
    /// What a bit is worth in each superblock, relative to the others; empty if it is worth the same in all.
    pub(crate) weights: &'a [f32],
    /// Whether the frame shows a screen, and blocks say if they have a palette: allow_screen_content_tools.
    pub(crate) screen: bool,
    /// Whether no block may refer to another picture, as in key frames and intra-only frames.
    pub(crate) intra: bool,
    pub(crate) temporal: Option<&'a Frame<u8>>,
    pub(crate) below: Option<Below<'a>>,
    /// How many pictures ago the temporal reference was; 0 if there is none.
    pub(crate) distance: u64,
    /// Where parts of a screen were in the temporal reference.
    pub(crate) displacements: Option<&'a Displacements>,
    /// For each superblock of a screen, whether it stands still, and is taken from the temporal reference as it is there;
    /// empty if none is.
    pub(crate) still: &'a [Still],
    /// Once a tile has so many bits, it takes over what the temporal reference shows coarser, too.
    pub(crate) enough: u32,
    /// What may be taken over from the temporal reference block by block, if the frame shows a screen.
    pub(crate) before: Option<&'a Before<'a>>,
    /// Where else in a screen its blocks are, if they may be copied within it: allow_intrabc.
    pub(crate) copies: Option<&'a Copies<'a>>,
    /// Vectors of the last frame of this layer that has any.
    pub(crate) earlier: Option<&'a MotionField>,
    /// Whether the camera stands still, and blocks that do are to be taken over without a search.
    pub(crate) still_camera: bool,
}

impl FrameContext<'_> {
    /// The number of the superblock at a position in blocks of 4x4.
    pub(super) fn superblock(&self, at: BlockOffset) -> usize {
        at.y / 16 * self.fi.w_in_b.div_ceil(16) + at.x / 16
    }

    /// The quantizer in the superblock at a position in blocks of 4x4.
    fn q_at(&self, at: BlockOffset) -> Quantizer {
        match self.weights.get(self.superblock(at)) {
            Some(&weight) => self.q.weighted(weight),
            None => self.q,
        }
    }
}

/// One coded block: everything that its symbols say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) bsize: BlockSize,
    pub(super) bo: TileBlockOffset,
    pub(super) skip: bool,
    pub(super) mode: PredictionMode,
    /// Steps of 3 degrees from the direction of `mode`, -3 to 3.
    pub(super) angle: i8,
    pub(super) uv_mode: PredictionMode,
    pub(super) cfl: CFLParams,
    pub(super) ref_frame: RefType,
    pub(super) mv: MotionVector,
    pub(super) tx_type: TxType,
    pub(super) uv_tx_type: TxType,
    pub(super) eob: [u16; 3],
    /// The candidates for `mv`, if the block is predicted from the temporal reference by a search.
    pub(super) candidates: Option<Candidates>,
    /// The palette of luma, whose mode is then DC_PRED.
    pub(super) palette: Palette,
    /// Index of the block's first coefficient; luma, U and V follow each other.
    pub(super) coefficients: usize,
}

impl Leaf {
    /// Steps of 3 degrees from the direction of a plane's mode: chroma keeps luma's direction whole, or has none.
    pub(super) fn angle_of(&self, mode: PredictionMode) -> i8 {
        if mode == self.mode { self.angle } else { 0 }
    }

    /// A block without coefficients, and with those it may get at `coefficients`.
    pub(super) fn new(
        bsize: BlockSize,
        bo: TileBlockOffset,
        choice: &Choice,
        palette: Palette,
        coefficients: usize,
    ) -> Self {
        Self {
            bsize,
            bo,
            skip: true,
            mode: choice.mode,
            angle: choice.angle,
            uv_mode: choice.mode,
            cfl: CFLParams::default(),
            ref_frame: choice.ref_frame,
            mv: choice.mv,
            tx_type: TxType::DCT_DCT,
            uv_tx_type: TxType::DCT_DCT,
            eob: [0; 3],
            candidates: choice.candidates,
            palette,
            coefficients,
        }
    }

    /// Index of the first coefficient of a plane.
    pub(super) fn coefficients_of(&self, plane: usize) -> usize {
        let luma = coded_area(self.bsize.tx_size());
        let chroma = coded_area(self.bsize.largest_chroma_tx_size(1, 1));
        self.coefficients + [0, luma, luma + chroma][plane]
    }
}

/// One way to predict a block, and the estimate of what it costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) mode: PredictionMode,
    /// Steps of 3 degrees from the direction of an intra mode, -3 to 3.
    pub(super) angle: i8,
    pub(super) ref_frame: RefType,
    pub(super) mv: MotionVector,
    pub(super) candidates: Option<Candidates>,
    pub(super) bits: f32,
    pub(super) cost: f32,
}

/// The outcome of trying to code a block whole.
pub(super) enum Tried {
    /// The block is coded, at this cost: squared error and rate together.
    Coded(f32),
    /// The block is predicted so badly that smaller ones are better for certain; they may start their search
    /// at this vector.
    Hopeless(Option<MotionVector>),
}

/// How much of a block of a screen is taken from the temporal reference as it is.
#[derive(Clone, Copy, Debug)]
enum Taken {
    /// All of it, at this vector.
    Whole(MotionVector),
    /// At least a quarter, so that smaller blocks are better for certain.
    InPart,
    Nothing,
}

/// Copies the first `width` samples of rows, 4 to 64.
// Without the calls that copies of unknown width are.
pub(super) fn copy_rows<'a>(rows: impl Iterator<Item = (&'a mut [u8], &'a [u8])>, width: usize) {
    #[inline(always)]
    fn all<'a, const WIDTH: usize>(rows: impl Iterator<Item = (&'a mut [u8], &'a [u8])>) {
        for (to, from) in rows {
            to[..WIDTH].copy_from_slice(&from[..WIDTH]);
        }
    }
    match width {
        4 => all::<4>(rows),
        8 => all::<8>(rows),
        16 => all::<16>(rows),
        32 => all::<32>(rows),
        64 => all::<64>(rows),
        _ => rows.for_each(|(to, from)| to[..width].copy_from_slice(&from[..width])),
    }
}

/// One of two ways to code the luma of a block.
pub(super) struct Other {
    pub(super) samples: Vec<u8>,
    pub(super) coefficients: Vec<i16>,
}

impl Other {
    fn new() -> Self {
        Self { samples: vec![0; 2 * 32 * 32], coefficients: vec![0; 32 * 32] }
    }
}

/// The coder of one tile.
pub(super) struct TileCoder<'a, 'f> {
    pub(super) frame: &'f FrameContext<'f>,
    /// The quantizer, with what a bit is worth in this superblock.
    pub(super) q: Quantizer,
    pub(super) ts: TileState<'a>,
    pub(super) scratch: residual::Scratch,
    /// A block's prediction while it is compared with others.
    pub(super) prediction: Plane<u8>,
    /// The layer below, if it has exactly half the size.
    pub(super) upsampled: Upsampled,
    /// What coding a block's luma in one way gave, while it is coded in another.
    pub(super) other: Other,
    /// The blocks of a superblock in coding order.
    pub(super) leaves: Vec<Leaf>,
    /// The first `used` of these are theirs; what is behind them may be anything.
    pub(super) coefficients: Vec<i16>,
    pub(super) used: usize,
    /// What candidates for vectors come from.
    pub(super) neighbours: Neighbours,
    /// Those of all blocks decided so far.
    pub(super) palettes: Palettes,
    pub(super) palette_probabilities: &'a mut PaletteProbabilities,
    pub(super) copy_probabilities: &'a mut CopyProbabilities,
    /// How many bits copies take in this superblock.
    pub(super) copy_bits: CopyBits,
    /// For each block size, the reconstruction of a block while smaller ones overwrite it.
    saved: [Vec<u8>; 4],
    /// How a camera's superblock differs from the temporal reference, where that matters.
    steady: Option<Steady>,
    /// Whether the superblock is taken from the temporal reference.
    taken_over: bool,
    /// Superblocks with a part that was taken over coarser than the frame is, and its quantizer index.
    parts: Vec<(usize, u8)>,
    /// Whether the next block with coefficients tells the strengths of the superblock.
    pub(super) tells: bool,
    pub(super) cpu: CpuFeatureLevel,
}

/// A coded tile.
pub(crate) struct Tile {
    pub(crate) pieces: Pieces,
    /// The superblocks that were left as coarse as they are in the temporal reference.
    pub(crate) left: Vec<usize>,
    /// Superblocks with a part that was taken over coarser than the frame is, and its quantizer index.
    pub(crate) parts: Vec<(usize, u8)>,
    /// Bits of those that became finer than there.
    pub(crate) finer: u32,
}

/// Codes a tile; its symbols adapt `probabilities`.
pub(crate) fn code_tile<'a>(
    frame: &FrameContext<'_>,
    mut ts: TileState<'_>,
    blocks: &'a mut TileBlocksMut<'a>,
    probabilities: &'a mut Probabilities,
) -> Tile {
    ts.begin();
    let mut cw = ContextWriter::new(&mut probabilities.kernels, BlockContext::new(blocks));
    let mut pieces = Pieces::new();
    let (sb_width, sb_height) = (ts.sb_width, ts.sb_height);
    let (width, height) = if frame.screen { (ts.mi_width, ts.mi_height) } else { (0, 0) };
    let (cols, rows) = (ts.mi_width / 2, ts.mi_height / 2);
    let origin = ts.to_frame_block_offset(TileBlockOffset(BlockOffset { x: 0, y: 0 })).0;
    let mut coder = TileCoder {
        frame,
        q: frame.q,
        ts,
        scratch: residual::Scratch::new(),
        prediction: Plane::new(64, 64, 0, 0, 0, 0),
        upsampled: Upsampled::new(),
        other: Other::new(),
        leaves: Vec::with_capacity(64),
        coefficients: vec![0; 4 * 64 * 64 * 3 / 2],
        used: 0,
        neighbours: Neighbours::new(cols, rows, origin, (frame.fi.w_in_b, frame.fi.h_in_b)),
        palettes: Palettes::new(width, height),
        palette_probabilities: &mut probabilities.palettes,
        copy_probabilities: &mut probabilities.copies,
        copy_bits: CopyBits::default(),
        saved: [64, 32, 16, 8].map(|side| vec![0; side * side * 3 / 2]),
        steady: None,
        taken_over: false,
        parts: Vec::new(),
        tells: false,
        cpu: frame.fi.cpu_feature_level,
    };
    let (mut left, mut finer) = (Vec::new(), 0);
    for y in 0..sb_height {
        cw.bc.reset_left_contexts(3);
        for x in 0..sb_width {
            cw.fc_log.clear();
            let bo = TileSuperBlockOffset(SuperBlockOffset { x, y }).block_offset(0, 0);
            let at = coder.ts.to_frame_block_offset(bo).0;
            coder.q = frame.q_at(at);
            let superblock = frame.superblock(at);
            let still = frame.still.get(superblock).copied().unwrap_or(Still::No);
            let before = pieces.last.tell();
            coder.taken_over = match still {
                Still::No => false,
                Still::Coarse => before >= frame.enough,
                Still::Fine => true,
            };
            coder.steady = match frame.temporal {
                Some(reference) if frame.still_camera => {
                    Some(Steady::look(coder.ts.input, reference, (at.x * 4, at.y * 4)))
                }
                _ => None,
            };
            if frame.copies.is_some() {
                coder.copy_bits = CopyBits::new(&cw, &coder.copy_probabilities.copied);
            }
            // Of screens it is not chosen.
            coder.tells = !frame.screen;
            coder.leaves.clear();
            coder.used = 0;
            coder.decide(&mut cw, BlockSize::BLOCK_64X64, bo, None);
            let mut written = 0;
            coder.write_partition(&mut cw, &mut pieces, BlockSize::BLOCK_64X64, bo, &mut written);
            match (still, coder.taken_over) {
                (Still::Coarse, true) => left.push(superblock),
                (Still::Coarse, false) => finer += pieces.last.tell() - before,
                _ => {}
            }
        }
    }
    Tile { pieces, left, parts: coder.parts, finer }
}

impl TileCoder<'_, '_> {
    /// Decides how to code the square at `bo`, reconstructs it, and returns its cost: squared error and rate
    /// together.
    fn decide(
        &mut self,
        cw: &mut ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        parent: Option<MotionVector>,
    ) -> f32 {
        if bo.0.x >= self.ts.mi_width || bo.0.y >= self.ts.mi_height {
            return 0.0;
        }
        let half = bsize.width_mi() / 2;
        let smallest = bsize == BlockSize::BLOCK_8X8;
        let straddles = bo.0.x + half >= self.ts.mi_width || bo.0.y + half >= self.ts.mi_height;
        if self.taken_over && (smallest || !straddles) {
            self.take_over(cw, bsize, bo, MotionVector::default());
            return 0.0;
        }
        let lambda = self.q.lambda;
        let mut hint = parent;
        let mut whole = None;
        let taken = self.taken(bsize, bo);
        if let Taken::Whole(mv) = taken {
            return self.take_over(cw, bsize, bo, mv);
        }
        if let (Some(steady), false, false) = (&self.steady, straddles, smallest) {
            let at = ((bo.0.x & 15) * 4, (bo.0.y & 15) * 4);
            if let Some(error) = steady.error(at, bsize.width(), &self.q) {
                return error + self.take_over(cw, bsize, bo, MotionVector::default());
            }
        }
        if (smallest || !straddles) && !matches!(taken, Taken::InPart) {
            let first = self.leaves.len();
            match self.code_block(cw, bsize, bo, parent) {
                Tried::Hopeless(mv) => hint = mv.or(parent),
                Tried::Coded(cost) => {
                    let cost = cost + lambda * 1.0;
                    let leaf = self.leaves[first];
                    if smallest || self.stop_at(&leaf, cost) || self.is_copy(&leaf) && leaf.skip {
                        return cost;
                    }
                    if leaf.ref_frame == TEMPORAL {
                        hint = Some(leaf.mv);
                    }
                    whole = Some((first, cost));
                    self.save(bsize, bo);
                }
            }
        }
        let subsize = bsize.subsize(PartitionType::PARTITION_SPLIT).expect("squares of 16 and more split");
        let mut cost = lambda * 1.5;
        for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let at = TileBlockOffset(BlockOffset { x: bo.0.x + dx * half, y: bo.0.y + dy * half });
            cost += self.decide(cw, subsize, at, hint);
            if whole.is_some_and(|(_, best)| cost >= best) {
                break;
            }
        }
        match whole {
            Some((first, best)) if cost >= best => {
                self.leaves.truncate(first + 1);
                self.restore(bsize, bo);
                let leaf = self.leaves[first];
                self.set_block(cw, &leaf);
                best
            }
            Some((first, _)) => {
                self.leaves.remove(first);
                cost
            }
            None => cost,
        }
    }

    /// How much of a block the temporal reference shows as it is.
    fn taken(&mut self, bsize: BlockSize, bo: TileBlockOffset) -> Taken {
        let Some(before) = self.frame.before else { return Taken::Nothing };
        let at = self.ts.to_frame_block_offset(bo).0;
        let (x, y, side) = (at.x * 4, at.y * 4, bsize.width());
        let half = side / 2;
        let vectors = |x, y| {
            let moved = self.frame.displacements.iter().flat_map(move |d| d.at(x, y));
            [MotionVector::default()].into_iter().chain(moved)
        };
        let mut in_part = false;
        for mv in vectors(x + half, y + half) {
            if let Some(qindex) = before.shows((x, y), side, mv) {
                if qindex > self.q.qindex {
                    self.parts.push((self.frame.superblock(at), qindex));
                }
                return Taken::Whole(mv);
            }
            let quarters = [(x, y), (x + half, y), (x, y + half), (x + half, y + half)];
            in_part |= side > 8 && quarters.iter().any(|&at| before.shows(at, half, mv).is_some());
        }
        if in_part { Taken::InPart } else { Taken::Nothing }
    }

    /// Takes a block from the temporal reference as it is, and returns its cost.
    fn take_over(
        &mut self,
        cw: &mut ContextWriter<'_>,
        bsize: BlockSize,
        bo: TileBlockOffset,
        mv: MotionVector,
    ) -> f32 {
        let mut mode = PredictionMode::GLOBALMV;
        let (mut candidates, mut bits) = (None, 1.0);
        if mv != MotionVector::default() {
            let (found, stack) = self.neighbours.find(bo, bsize.width(), TEMPORAL);
            candidates = Some(found);
            (mode, bits) = match stack.iter().take(2).position(|&candidate| candidate == mv) {
                Some(0) => (PredictionMode::NEARESTMV, 2.0),
                Some(_) => (PredictionMode::NEAR0MV, 3.0),
                None => (PredictionMode::NEWMV, 3.0 + mv_bits(mv, found.predicted)),
            };
        }
        let choice = Choice { mode, angle: 0, ref_frame: TEMPORAL, mv, candidates, bits: 0.0, cost: 0.0 };
        let leaf = Leaf::new(bsize, bo, &choice, Palette::default(), self.used);
        self.predict_inter(&leaf);
        self.set_block(cw, &leaf);
        self.leaves.push(leaf);
        self.q.lambda * bits
    }

    /// Whether a block is so well coded that smaller ones need not be tried.
    fn stop_at(&self, leaf: &Leaf, cost: f32) -> bool {
        let effort = self.frame.effort;
        let enough = match leaf.bsize {
            BlockSize::BLOCK_64X64 => effort.stop[0],
            BlockSize::BLOCK_32X32 => effort.stop[1],
            _ => effort.stop[2],
        };
        cost < self.q.lambda * enough * (leaf.bsize.area() / 64) as f32
    }

    /// The cost above which a block's prediction is so bad that smaller blocks nearly always win.
    pub(super) fn hopeless_cost(&self, bsize: BlockSize) -> f32 {
        let effort = self.frame.effort;
        let bits_a_sample = match bsize {
            BlockSize::BLOCK_64X64 => effort.hopeless[0],
            BlockSize::BLOCK_32X32 => effort.hopeless[1],
            _ => return f32::MAX,
        };
        self.q.lambda_satd * bits_a_sample * bsize.area() as f32
    }

    fn level(bsize: BlockSize) -> usize {
        6 - bsize.width_log2()
    }

    pub(super) fn save(&mut self, bsize: BlockSize, bo: TileBlockOffset) {
        let mut samples = &mut self.saved[Self::level(bsize)][..];
        for plane in &self.ts.rec.planes {
            let side = bsize.width() >> plane.plane_cfg.xdec;
            let (head, tail) = samples.split_at_mut(side * side);
            let region = plane.subregion(Area::BlockRect { bo: bo.0, width: side, height: side });
            copy_rows(head.chunks_exact_mut(side).zip(region.rows_iter()), side);
            samples = tail;
        }
    }

    pub(super) fn restore(&mut self, bsize: BlockSize, bo: TileBlockOffset) {
        let mut samples = &self.saved[Self::level(bsize)][..];
        for plane in &mut self.ts.rec.planes {
            let side = bsize.width() >> plane.plane_cfg.xdec;
            let (head, tail) = samples.split_at(side * side);
            let mut region = plane.subregion_mut(Area::BlockRect { bo: bo.0, width: side, height: side });
            copy_rows(region.rows_iter_mut().zip(head.chunks_exact(side)), side);
            samples = tail;
        }
    }
}

impl TileCoder<'_, '_> {
    /// Notes a block that is decided for the contexts of later blocks and for the loop filters.
    pub(super) fn note(&self, cw: &mut ContextWriter<'_>, leaf: &Leaf) {
        let block = Block {
            mode: leaf.mode,
            skip: leaf.skip,
            ref_frames: [leaf.ref_frame, RefType::NONE_FRAME],
            mv: [leaf.mv, MotionVector::default()],
            bsize: leaf.bsize,
            n4_w: leaf.bsize.width_mi() as u8,
            n4_h: leaf.bsize.height_mi() as u8,
            txsize: leaf.bsize.tx_size(),
            ..Block::default()
        };
        let (x, y) = (leaf.bo.0.x, leaf.bo.0.y);
        let right = (x + leaf.bsize.width_mi()).min(self.ts.mi_width);
        let bottom = (y + leaf.bsize.height_mi()).min(self.ts.mi_height);
        let row = [block; BlockSize::BLOCK_64X64.width_mi()];
        for y in y..bottom {
            cw.bc.blocks[y][x..right].copy_from_slice(&row[..right - x]);
        }
    }

    /// Notes a block for the decisions about later blocks, and for the edges that they are predicted from.
    pub(super) fn set_block(&mut self, cw: &mut ContextWriter<'_>, leaf: &Leaf) {
        // The kernels find the candidates of copies.
        if self.frame.copies.is_some() {
            self.note(cw, leaf);
        }
        let (x, y) = (leaf.bo.0.x, leaf.bo.0.y);
        let right = (x + leaf.bsize.width_mi()).min(self.ts.mi_width);
        let bottom = (y + leaf.bsize.height_mi()).min(self.ts.mi_height);
        let new = leaf.mode == PredictionMode::NEWMV;
        let side = (leaf.bsize.width() / 8) as u8;
        self.neighbours.set(leaf.bo, Neighbour { mv: leaf.mv, ref_frame: leaf.ref_frame, new, side });
        // Later blocks look at the last row and the last column of this one.
        let mut edge = |y: usize, x: usize| {
            let info = &mut self.ts.coded_block_info[y][x];
            info.luma_mode = leaf.mode;
            info.chroma_mode = leaf.uv_mode;
            info.reference_types = [leaf.ref_frame, RefType::NONE_FRAME];
        };
        (x..right).for_each(|x| edge(bottom - 1, x));
        (y..bottom).for_each(|y| edge(y, right - 1));
        if self.frame.screen {
            self.palettes.set(leaf.bo, leaf.bsize, leaf.palette);
        }
    }
}
