//! One layer frame: its tiles, then the loop filters, then what later frames need of it.

use std::sync::Arc;

use rayon::prelude::*;

use super::deblock::{self, Levels};
use super::interlayer::{self, Upsampled};
use super::kernels::*;
use super::quantizer::Quantizer;
use super::tile::{Below, FrameContext, MotionField, code_tile};
use crate::picture::{Picture, PictureView, plane_size};

/// Samples around a reference that blocks may reach: a superblock, the filter's taps, and some.
const PADDING: usize = 88;

/// A frame that others may refer to.
pub(crate) struct Reference {
    /// Width and height in luma samples.
    pub(crate) size: (usize, usize),
    pub(crate) frame: Arc<Frame<u8>>,
    pub(crate) cdfs: Box<CDFContext>,
    pub(crate) motion: MotionField,
    /// The frame's vectors lead to the picture just before it.
    pub(crate) temporal: bool,
}

/// Strengths of the constrained directional enhancement filter (section 5.9.19), 0 to 63 each:
/// 4 * primary + secondary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cdef {
    pub(crate) damping: u8,
    pub(crate) luma: u8,
    pub(crate) chroma: u8,
}

/// What the frame header has to say, and the tiles.
pub(crate) struct CodedFrame {
    pub(crate) qindex: u8,
    pub(crate) tiles: Vec<Vec<u8>>,
    /// The tile whose probabilities later frames start from.
    pub(crate) context_update_tile_id: usize,
    pub(crate) levels: Levels,
    pub(crate) cdef: Cdef,
    pub(crate) reference: Arc<Reference>,
}

/// What a frame is coded from.
pub(crate) struct Job<'a> {
    pub(crate) intra: bool,
    pub(crate) qindex: u8,
    pub(crate) temporal: Option<&'a Reference>,
    pub(crate) below: Option<&'a Reference>,
    /// Whose probabilities the frame starts from.
    pub(crate) primary: Option<&'a Reference>,
}

/// The coder of one spatial layer's frames; it keeps their working memory.
pub(crate) struct LayerCoder {
    size: (usize, usize),
    fi: FrameInvariants<u8>,
    fs: FrameState<u8>,
    blocks: FrameBlocks,
    /// The layer below, made when first it is needed.
    upsampled: Option<Upsampled>,
    /// Every frame of this layer; one that nobody else holds is free.
    frames: Vec<Arc<Frame<u8>>>,
    deblocked: Frame<u8>,
}

fn new_frame(size: (usize, usize)) -> Frame<u8> {
    Frame::new_with_padding(
        size.0.next_multiple_of(8),
        size.1.next_multiple_of(8),
        ChromaSampling::Cs420,
        PADDING,
    )
}

impl LayerCoder {
    /// For pictures of `size` luma samples, cut into `tile_cols_log2` tile columns.
    pub(crate) fn new(size: (usize, usize), tile_cols_log2: u8) -> Self {
        let config = EncoderConfig {
            width: size.0,
            height: size.1,
            tile_cols: 1 << tile_cols_log2,
            tile_rows: 1,
            ..EncoderConfig::default()
        };
        let mut sequence = Sequence::new(&config);
        // The smallest sizes would switch it off; the sequence header is one for all layers.
        sequence.enable_cdef = true;
        sequence.enable_restoration = false;
        let fi = FrameInvariants::new(Arc::new(config), Arc::new(sequence));
        let fs = FrameState::new_with_frame(&fi, Arc::new(new_frame(size)));
        Self {
            size,
            blocks: FrameBlocks::new(fi.w_in_b, fi.h_in_b),
            fs,
            fi,
            upsampled: None,
            frames: Vec::new(),
            deblocked: new_frame(size),
        }
    }

    /// How the layer's frames are cut into tiles.
    pub(crate) fn tiling(&self) -> &TilingInfo {
        &self.fi.sequence.tiling
    }

    /// Takes the samples that the next frame is to show.
    pub(crate) fn set_source(&mut self, picture: &PictureView<'_>) {
        let input = Arc::get_mut(&mut self.fs.input).expect("nobody else holds the source");
        for (to, from) in input.planes.iter_mut().zip(picture.planes()) {
            let stride = to.cfg.stride;
            for (to, from) in to.data_origin_mut().chunks_mut(stride).zip(from.rows()) {
                to[..from.len()].copy_from_slice(from);
            }
        }
        pad(input, self.size);
    }

    /// Codes one frame of the samples last set.
    pub(crate) fn code(&mut self, job: &Job<'_>) -> CodedFrame {
        let q = Quantizer::new(job.qindex);
        self.fi.base_q_idx = job.qindex;
        self.fs.rec = match self.frames.iter().position(|f| Arc::strong_count(f) == 1) {
            Some(i) => self.frames.swap_remove(i),
            None => Arc::new(new_frame(self.size)),
        };
        let halves = job.below.is_some_and(|b| interlayer::halves(b.size, self.size));
        if let (Some(below), true) = (job.below, halves) {
            let (width, height) = self.size;
            let upsampled = self.upsampled.get_or_insert_with(|| Upsampled::new(width, height));
            upsampled.fill(&below.frame, below.size);
        }
        let context = FrameContext {
            fi: &self.fi,
            q,
            intra: job.intra,
            temporal: job.temporal.map(|r| &*r.frame),
            below: job.below.map(|b| Below {
                frame: &b.frame,
                size: b.size,
                upsampled: self.upsampled.as_ref().filter(|_| halves),
                motion: b.temporal.then_some(&b.motion),
            }),
        };
        let initial = match job.primary {
            Some(reference) => *reference.cdfs,
            None => CDFContext::new(job.qindex),
        };
        let mut cdfs = vec![initial; self.tiling().tile_count()];
        let tiles: Vec<Vec<u8>> = self
            .fi
            .sequence
            .tiling
            .tile_iter_mut(&mut self.fs, &mut self.blocks)
            .zip(&mut cdfs)
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(tile, cdfs)| {
                let mut blocks = tile.tb;
                code_tile(&context, tile.ts, &mut blocks, cdfs)
            })
            .collect();
        let context_update_tile_id =
            tiles.iter().enumerate().max_by_key(|(_, t)| t.len()).map_or(0, |(i, _)| i);
        let mut adapted = Box::new(cdfs[context_update_tile_id]);
        adapted.reset_counts();

        let levels = filter_levels(&q, job.intra);
        let cdef = cdef_strengths(&q, job.intra);
        let rec = Arc::get_mut(&mut self.fs.rec).expect("the frame is not a reference yet");
        if levels[0] > 0 || levels[1] > 0 {
            deblock::filter_frame(rec, &self.blocks, self.size, levels);
        }
        if cdef.luma > 0 || cdef.chroma > 0 {
            self.fi.cdef_damping = cdef.damping;
            self.fi.cdef_y_strengths[0] = cdef.luma;
            self.fi.cdef_uv_strengths[0] = cdef.chroma;
            filter_cdef(&self.fi, rec, &mut self.deblocked, &self.blocks);
        }
        pad(rec, self.size);
        self.frames.push(Arc::clone(&self.fs.rec));
        CodedFrame {
            qindex: job.qindex,
            tiles,
            context_update_tile_id,
            levels,
            cdef,
            reference: Arc::new(Reference {
                size: self.size,
                frame: Arc::clone(&self.fs.rec),
                cdfs: adapted,
                motion: MotionField::new(&self.blocks),
                temporal: job.temporal.is_some(),
            }),
        }
    }
}

/// The constrained directional enhancement filter (section 7.15), with the one strength that `fi` has; `deblocked`
/// takes what `frame` was before.
fn filter_cdef(
    fi: &FrameInvariants<u8>,
    frame: &mut Frame<u8>,
    deblocked: &mut Frame<u8>,
    blocks: &FrameBlocks,
) {
    for (to, from) in deblocked.planes.iter_mut().zip(&frame.planes) {
        to.data.copy_from_slice(&from.data);
    }
    let (width, height) = (frame.planes[0].cfg.width, frame.planes[0].cfg.height);
    let mut output = TileMut::new(frame, TileRect { x: 0, y: 0, width, height });
    let tile_blocks = blocks.as_tile_blocks();
    for y in 0..height.div_ceil(64) {
        for x in 0..width.div_ceil(64) {
            // Where all blocks are skipped the filter changes nothing.
            let mut rows = y * 16..(y * 16 + 16).min(blocks.rows);
            let cols = x * 16..(x * 16 + 16).min(blocks.cols);
            if rows.all(|row| blocks[row][cols.clone()].iter().all(|b| b.skip)) {
                continue;
            }
            let at = TileSuperBlockOffset(SuperBlockOffset { x, y });
            let directions = cdef_analyze_superblock(fi, deblocked, &tile_blocks, at);
            cdef_filter_superblock(fi, deblocked, &mut output, &tile_blocks, at, 0, &directions);
        }
    }
}

/// A copy of the visible samples.
pub(crate) fn to_picture(frame: &Frame<u8>, size: (usize, usize)) -> Picture {
    let mut picture = Picture::new(size.0, size.1);
    for (p, plane) in frame.planes.iter().enumerate() {
        let (width, _) = plane_size(size.0, size.1, p);
        for (y, row) in picture.plane_mut(p).chunks_exact_mut(width).enumerate() {
            row.copy_from_slice(&plane.row(y as isize)[..width]);
        }
    }
    picture
}

/// Repeats the picture's edge samples around it.
fn pad(frame: &mut Frame<u8>, (width, height): (usize, usize)) {
    for plane in &mut frame.planes {
        plane.pad(width, height);
    }
}

/// Deblocking levels from the quantizer, as measured on real clips.
fn filter_levels(q: &Quantizer, intra: bool) -> Levels {
    let ac = q.ac as f32;
    let level = if intra { ac * 0.067 - 1.6 } else { ac * 0.05 + 2.5 };
    [level.round().clamp(0.0, 63.0) as u8; 4]
}

/// CDEF strengths from the quantizer, as measured on real clips.
fn cdef_strengths(q: &Quantizer, intra: bool) -> Cdef {
    let ac = q.ac as f32;
    let (primary, secondary) = if intra { (ac * 0.008, ac * 0.0028) } else { (ac * 0.019, ac * 0.0014) };
    let (primary, secondary) = ((primary.round() as u8).min(15), (secondary.round() as u8).min(3));
    let chroma = ((ac * 0.0035).round() as u8).min(15);
    Cdef {
        damping: 3 + (q.qindex >> 6),
        luma: primary * 4 + secondary,
        chroma: chroma * 4 + secondary.min(1),
    }
}
