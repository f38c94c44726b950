//! One layer frame: its tiles, then the loop filters, then the reference that later frames need.

use std::cmp::Reverse;
use std::sync::Arc;

use rayon::prelude::*;

use super::bands::Band;
use super::cdef::Cdef;
use super::copies::Copies;
use super::deblock::Levels;
use super::displaced::{Anchors, Displacements, anchors};
use super::effort::Effort;
use super::filters::Filters;
use super::interlayer;
use super::kernels::*;
use super::motion::MotionField;
use super::pieces::Pieces;
use super::probabilities::Probabilities;
use super::quantizer::Quantizer;
use super::still::{Before, Hashes, Shown, fine_enough, hashes};
use super::texture::weights;
use super::tile::{Below, FrameContext, Tile, code_tile};
use crate::picture::{Picture, PictureView, PlaneView, Size, plane_size};

/// Samples around a reference that blocks may reach: a superblock, the taps of the filter, and a few more.
const PADDING: usize = 88;
/// Pictures of a screen are deblocked if at least this share of their blocks has coefficients.
const DEBLOCKED_SHARE: f32 = 0.25;
/// Bytes of a block that is larger than all that a frame's tiles need.
const LARGEST: usize = 2 << 20;
/// Bits of the OBU header and frame header of most frames.
const HEADERS: u64 = 152;

/// A frame that others may refer to.
pub(crate) struct Reference {
    /// Width and height in luma samples.
    pub(crate) size: (usize, usize),
    pub(crate) frame: Arc<Frame<u8>>,
    /// The probabilities from which later frames may start.
    pub(crate) probabilities: Box<Probabilities>,
    /// Some samples of its source, to tell how much the next one differs.
    pub(crate) sampled: Arc<[u8]>,
    /// The anchors of its source, if that shows a screen.
    pub(crate) anchors: Option<Arc<Anchors>>,
    /// How it shows its superblocks, and its source, if it shows a screen.
    pub(crate) shown: Option<Shown>,
    pub(crate) source: Option<Arc<Frame<u8>>>,
    /// Number of the picture that it is a frame of.
    pub(crate) picture_number: u64,
    /// Its vectors, if it has a temporal reference.
    pub(crate) motion: Option<Arc<MotionField>>,
}

/// A coded frame: the parameters that its header carries, and its tiles.
pub(crate) struct CodedFrame {
    pub(crate) q: Quantizer,
    /// The quantizer index that it was coded with first, and the bits that it took then, but for what only became finer.
    pub(crate) tried: (u8, u64),
    pub(crate) tiles: Vec<Vec<u8>>,
    pub(crate) tiling: TilingInfo,
    /// The tile from whose probabilities later frames start.
    pub(crate) context_update_tile_id: usize,
    pub(crate) levels: Levels,
    pub(crate) cdef: Cdef,
    /// Whether it shows a screen: allow_screen_content_tools.
    pub(crate) screen: bool,
    /// Whether blocks say if they are copied within it: allow_intrabc.
    pub(crate) copies: bool,
    pub(crate) reference: Arc<Reference>,
}

impl CodedFrame {
    /// Bits of the frame. Its headers are not written yet: about what they take is added.
    pub(crate) fn bits(&self) -> u64 {
        bits(&self.tiles)
    }
}

fn bits(tiles: &[Vec<u8>]) -> u64 {
    HEADERS + tiles.iter().map(|tile| 8 * tile.len() as u64).sum::<u64>()
}

/// The parameters and references that a frame is coded with.
pub(crate) struct Job<'a> {
    pub(crate) intra: bool,
    pub(crate) q: Quantizer,
    /// Of a screen's superblocks that the temporal reference shows coarser, as many become finer as take about so many bits;
    /// all if it is none.
    pub(crate) refine: Option<u64>,
    /// Number of the picture.
    pub(crate) picture_number: u64,
    pub(crate) temporal: Option<&'a Reference>,
    pub(crate) below: Option<&'a Reference>,
    /// The reference from whose probabilities the frame starts; none for the default ones.
    pub(crate) primary: Option<&'a Reference>,
    /// Whether later frames may refer to it.
    pub(crate) kept: bool,
}

/// The coder of one spatial layer's frames; it keeps their working memory.
pub(crate) struct LayerCoder {
    size: (usize, usize),
    effort: &'static Effort,
    /// Whether the source shows a screen.
    screen: bool,
    fi: FrameInvariants<u8>,
    /// The tiles of pictures with copies.
    tiling_of_copies: TilingInfo,
    /// The source, and the reconstruction of it.
    input: Arc<Frame<u8>>,
    rec: Arc<Frame<u8>>,
    blocks: FrameBlocks,
    /// The frames of this layer; a frame that nobody else holds is free to be overwritten.
    frames: Vec<Arc<Frame<u8>>>,
    filters: Filters,
    /// Whether the last frame is only prepared for the last filter: no other frame refers to it.
    unfiltered: bool,
    /// Vectors of the layer's last frame that has any.
    last_motion: Option<Arc<MotionField>>,
    /// Every fourth sample of every fourth row of the source's luma.
    sampled: Arc<[u8]>,
    /// The hashes and the anchors of the source, if it shows a screen.
    hashes: Option<Hashes>,
    anchors: Option<Arc<Anchors>>,
    /// Sources that references may hold, if they show a screen.
    sources: Vec<Arc<Frame<u8>>>,
    /// What a bit is worth in each superblock of the source; empty if that shows a screen.
    weights: Vec<f32>,
    /// Bytes of the tiles of the last frame.
    taken: Vec<usize>,
}

fn new_frame(size: (usize, usize)) -> Frame<u8> {
    Frame::new_with_padding(
        size.0.next_multiple_of(8),
        size.1.next_multiple_of(8),
        ChromaSampling::Cs420,
        PADDING,
    )
}

/// A frame that nobody else holds.
fn free_frame(frames: &mut Vec<Arc<Frame<u8>>>, size: (usize, usize)) -> Arc<Frame<u8>> {
    match frames.iter().position(|f| Arc::strong_count(f) == 1) {
        Some(i) => frames.swap_remove(i),
        None => Arc::new(new_frame(size)),
    }
}

impl LayerCoder {
    /// A coder of pictures of `size` luma samples in 2^`tile_cols_log2` tile columns, of which those with copies have
    /// 2^`cols_of_copies_log2`.
    pub(crate) fn new(
        size: (usize, usize),
        tile_cols_log2: u8,
        cols_of_copies_log2: u8,
        effort: &'static Effort,
    ) -> Self {
        let with_tiles = |cols_log2: u8| EncoderConfig {
            width: size.0,
            height: size.1,
            tile_cols: 1 << cols_log2,
            tile_rows: 1,
            ..EncoderConfig::default()
        };
        // glibc gives the memory of a frame's tiles back to the system, and asks for it anew for the next one, until it has seen
        // that a larger block was freed.
        drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGEST)));
        let config = with_tiles(tile_cols_log2);
        let tiling_of_copies = Sequence::new(&with_tiles(cols_of_copies_log2)).tiling;
        let mut sequence = Sequence::new(&config);
        // The kernels switch CDEF off for the smallest sizes, but all layers share one sequence header.
        sequence.enable_cdef = true;
        sequence.enable_restoration = false;
        let fi = FrameInvariants::new(Arc::new(config), Arc::new(sequence));
        Self {
            size,
            effort,
            screen: false,
            tiling_of_copies,
            blocks: FrameBlocks::new(fi.w_in_b, fi.h_in_b),
            input: Arc::new(new_frame(size)),
            rec: Arc::new(new_frame(size)),
            fi,
            frames: Vec::new(),
            filters: Filters::default(),
            unfiltered: false,
            last_motion: None,
            sampled: Arc::default(),
            hashes: None,
            anchors: None,
            sources: Vec::new(),
            weights: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Sets the effort for the frames that follow.
    pub(crate) fn set_effort(&mut self, effort: &'static Effort) {
        self.effort = effort;
    }

    /// Sets whether the frames that follow show a screen.
    pub(crate) fn set_screen(&mut self, screen: bool) {
        self.screen = screen;
    }

    /// Looks at the samples that the next frame is to show: what `change` and `coarsest` are about. Of a screen that is all.
    pub(crate) fn look(&mut self, picture: &PictureView<'_>) {
        let size = self.size;
        let mut sampled = Vec::with_capacity(size.0.div_ceil(4) * size.1.div_ceil(4));
        for row in picture.luma().rows().step_by(4) {
            let (fours, rest) = row.as_chunks::<4>();
            sampled.extend(fours.iter().map(|samples| samples[0]));
            sampled.extend(rest.first());
        }
        self.sampled = sampled.into();
        if self.screen {
            self.copy(picture);
            let hashes = Some(hashes(&self.input, size));
            if hashes != self.hashes {
                self.anchors = Some(Arc::new(anchors(&self.input.planes[0], size)));
            }
            self.hashes = hashes;
        } else {
            (self.hashes, self.anchors) = (None, None);
        }
    }

    /// Takes the samples that the next frame is to show, at which `look` has looked.
    pub(crate) fn set_source(&mut self, picture: &PictureView<'_>) {
        if self.screen {
            self.weights.clear();
        } else {
            self.copy(picture);
            self.weights = weights(&self.input.planes[0], self.size);
        }
    }

    fn copy(&mut self, picture: &PictureView<'_>) {
        let size = self.size;
        if Arc::get_mut(&mut self.input).is_none() {
            let next = free_frame(&mut self.sources, size);
            self.sources.push(std::mem::replace(&mut self.input, next));
        }
        let input = Arc::get_mut(&mut self.input).expect("nobody else holds the source");
        Band::whole(input, size).copy(picture);
    }

    /// Codes one frame of the samples that were set last.
    pub(crate) fn code(&mut self, job: &Job<'_>) -> CodedFrame {
        let q = job.q.weighted(self.effort.bit);
        let distance = job.temporal.map_or(0, |t| job.picture_number - t.picture_number);
        self.fi.base_q_idx = q.qindex;
        self.rec = free_frame(&mut self.frames, self.size);
        let anchors = job.temporal.and_then(|reference| reference.anchors.as_deref());
        let displacements = self
            .anchors
            .as_deref()
            .zip(anchors)
            .map(|(now, before)| Displacements::new(now, before, self.size));
        let shown = job.temporal.and_then(|reference| reference.shown.as_ref());
        // A bitrate makes what stands still finer a part at a time.
        let coarsest = if job.refine.is_some() { q.qindex } else { fine_enough(q.qindex) };
        let still = match (&self.hashes, shown) {
            (Some(hashes), Some(shown)) if !job.intra => shown.still(hashes, coarsest),
            _ => Vec::new(),
        };
        // `code_tile` borrows the rest of the state mutably.
        let now = Arc::clone(&self.input);
        let source = job.temporal.filter(|_| !job.intra).and_then(|reference| reference.source.as_deref());
        let before = source.zip(shown).filter(|_| self.screen);
        let before =
            before.map(|(source, shown)| Before { source, shown, now: &now, size: self.size, coarsest });
        let copies = (job.intra && self.screen)
            .then(|| Copies::new(&now.planes[0], self.size, &self.tiling_of_copies))
            .flatten();
        let tiling = if copies.is_some() { self.tiling_of_copies } else { self.fi.sequence.tiling };
        let enough = job.refine.map_or(u32::MAX, |bits| (bits / tiling.tile_count() as u64) as u32);
        let context = FrameContext {
            copies: copies.as_ref(),
            before: before.as_ref(),
            fi: &self.fi,
            q,
            effort: self.effort,
            screen: self.screen,
            intra: job.intra,
            temporal: job.temporal.map(|r| &*r.frame),
            distance,
            displacements: displacements.as_ref(),
            still: &still,
            enough,
            weights: &self.weights,
            earlier: self.last_motion.as_deref(),
            still_camera: self.effort.steady
                && !self.screen
                && self.last_motion.as_deref().is_some_and(MotionField::is_still),
            below: job.below.map(|b| Below {
                frame: &b.frame,
                size: b.size,
                halves: interlayer::halves(b.size, self.size),
                motion: b.motion.as_deref(),
            }),
        };
        let rec = Arc::get_mut(&mut self.rec).expect("the frame is not a reference yet");
        // Those that took the most last time begin, and a thread takes the next when it has done one, so that all are done at
        // about the same time.
        let mut states: Vec<_> =
            tiles(&tiling, &self.input, rec, &mut self.blocks).into_iter().enumerate().collect();
        states.sort_by_key(|&(i, _)| Reverse(self.taken.get(i)));
        let code = |(i, (state, mut blocks))| {
            let mut probabilities = Box::new(match job.primary {
                Some(reference) => (*reference.probabilities).clone(),
                None => Probabilities::new(q.qindex),
            });
            if context.copies.is_some() {
                probabilities.swap_vectors();
            }
            let tile = code_tile(&context, state, &mut blocks, &mut probabilities);
            if context.copies.is_some() {
                probabilities.swap_vectors();
            }
            (i, tile, probabilities)
        };
        let mut tiles: Vec<(usize, Tile, Box<Probabilities>)> =
            states.into_iter().par_bridge().map(code).collect();
        tiles.sort_by_key(|&(i, ..)| i);
        let (tiles, mut probabilities): (Vec<_>, Vec<_>) =
            tiles.into_iter().map(|(_, tile, adapted)| (tile, adapted)).unzip();
        let finer: u64 = tiles.iter().map(|tile: &Tile| u64::from(tile.finer)).sum();
        let of = |tile: Tile| (tile.pieces, (tile.left, tile.parts));
        let (pieces, (left, parts)): (Vec<_>, (Vec<_>, Vec<_>)) = tiles.into_iter().map(of).unzip();

        // The deblocking filter changes the edges of all blocks, also of those that stand still, in each picture anew;
        // CDEF leaves blocks without coefficients alone.
        let coded = if self.screen && !job.intra { self.coded_share() } else { 1.0 };
        // What is copied is not filtered yet, and the standard has no filters for such pictures at all.
        let coded = if copies.is_some() { 0.0 } else { coded };
        let levels = if coded < DEBLOCKED_SHARE { Levels::default() } else { filter_levels(&q, job.intra) };
        let cdef =
            if coded > 0.0 { cdef_strengths(&q, job.intra, self.screen, self.effort) } else { Cdef::OFF };
        let telling: usize = pieces.iter().map(Pieces::telling).sum();
        // A bit of each.
        let choice = f64::from(q.lambda) * telling as f64;
        let rec = Arc::get_mut(&mut self.rec).expect("the frame is not a reference yet");
        let cdef = self.filters.prepare(rec, &self.input, &self.blocks, self.size, (levels, cdef), choice);
        let second = cdef.second.map(|_| self.filters.second());
        let (motion, tiles) = rayon::join(
            || {
                if job.kept {
                    self.filters.filter(rec, self.size);
                }
                (distance > 0).then(|| Arc::new(MotionField::new(&self.blocks, distance)))
            },
            || pieces.into_par_iter().map(|pieces| pieces.bytes(second.as_deref())).collect::<Vec<_>>(),
        );
        self.taken = tiles.iter().map(Vec::len).collect();
        let context_update_tile_id =
            self.taken.iter().enumerate().max_by_key(|&(_, &bytes)| bytes).map_or(0, |(i, _)| i);
        let mut adapted = probabilities.swap_remove(context_update_tile_id);
        adapted.reset_counts();
        self.unfiltered = !job.kept;
        self.frames.push(Arc::clone(&self.rec));
        CodedFrame {
            q,
            tried: (q.qindex, bits(&tiles).saturating_sub(finer)),
            tiles,
            tiling,
            context_update_tile_id,
            levels,
            cdef,
            screen: self.screen,
            copies: copies.is_some(),
            reference: Arc::new(Reference {
                size: self.size,
                frame: Arc::clone(&self.rec),
                probabilities: adapted,
                sampled: Arc::clone(&self.sampled),
                anchors: self.anchors.clone(),
                shown: self.hashes.clone().map(|hashes| {
                    let before = shown.map(|shown| (shown, &*still));
                    let parts = parts.into_iter().flatten();
                    Shown::new(hashes, q.qindex, before, left.into_iter().flatten(), parts)
                }),
                source: self.hashes.is_some().then(|| Arc::clone(&self.input)),
                motion,
                picture_number: job.picture_number,
            }),
        }
    }

    /// The last frame, which is `reference`, as decoders show it.
    pub(crate) fn reconstruction(&self, reference: &Reference) -> Picture {
        if !self.unfiltered {
            return to_picture(&reference.frame, self.size);
        }
        let (mut frame, mut filters) = ((*reference.frame).clone(), self.filters.clone());
        filters.filter(&mut frame, self.size);
        to_picture(&frame, self.size)
    }

    /// Keeps what the next frame is to know of one that stays as it was coded.
    pub(crate) fn keep_motion(&mut self, coded: &CodedFrame) {
        if coded.reference.motion.is_some() {
            self.last_motion.clone_from(&coded.reference.motion);
        }
    }

    /// The mean difference of the source to that of a reference, in luma.
    pub(crate) fn change(&self, reference: &Reference) -> f64 {
        let differences =
            self.sampled.iter().zip(&*reference.sampled).map(|(a, &b)| u64::from(a.abs_diff(b)));
        differences.sum::<u64>() as f64 / reference.sampled.len() as f64
    }

    /// The largest quantizer index of what a reference shows already of the source; none if that is no screen, or all of it
    /// is new.
    pub(crate) fn coarsest(&self, reference: &Reference) -> Option<u8> {
        reference.shown.as_ref()?.coarsest(self.hashes.as_ref()?)
    }

    /// The share of the picture whose blocks have coefficients.
    fn coded_share(&self) -> f32 {
        let rows = (0..self.blocks.rows).map(|row| &self.blocks[row][..self.blocks.cols]);
        let coded: usize = rows.map(|row| row.iter().filter(|block| !block.skip).count()).sum();
        coded as f32 / (self.blocks.rows * self.blocks.cols) as f32
    }
}

/// The mean difference of samples to their neighbours.
pub(crate) fn detail(plane: &PlaneView<'_>) -> f64 {
    let mut sum = 0u64;
    let rows = (1..plane.height()).step_by(4);
    for y in rows.clone() {
        let (above, row) = (plane.row(y - 1), plane.row(y));
        for ((&left, &here), &above) in row.iter().zip(&row[1..]).zip(&above[1..]) {
            sum += u64::from(here.abs_diff(left)) + u64::from(here.abs_diff(above));
        }
    }
    sum as f64 / (2 * rows.len().max(1) * plane.width()) as f64
}

/// A copy of the visible samples.
fn to_picture(frame: &Frame<u8>, size: (usize, usize)) -> Picture {
    let mut picture = Picture::new(Size::new(size.0 as u32, size.1 as u32));
    for (p, plane) in frame.planes.iter().enumerate() {
        let (width, _) = plane_size(picture.size(), p);
        for (y, row) in picture.plane_mut(p).chunks_exact_mut(width).enumerate() {
            row.copy_from_slice(&plane.row(y as isize)[..width]);
        }
    }
    picture
}

/// Deblocking levels from the quantizer, as measured on real clips.
fn filter_levels(q: &Quantizer, intra: bool) -> Levels {
    let ac = q.ac as f32;
    let level = if intra { ac * 0.1 - 2.4 } else { ac * 0.055 + 3.5 };
    [level.round().clamp(0.0, 63.0) as u8; 4]
}

/// CDEF strengths from the quantizer, as measured on real clips.
fn cdef_strengths(q: &Quantizer, intra: bool, screen: bool, effort: &Effort) -> Cdef {
    let ac = q.ac as f32;
    let (primary, secondary) =
        if intra { (ac * 0.0105, ac * 0.0056) } else { (ac * 0.025, ac * 0.0042 * effort.secondary) };
    let luma = |times: [f32; 2]| {
        let (primary, secondary) = (primary * times[0], secondary * times[1]);
        (primary.round() as u8).min(15) * 4 + (secondary.round() as u8).min(3)
    };
    let [strong, weak] = [[1.4, 2.2], [0.5, 0.5]].map(luma);
    let chroma = ((ac * 0.0035).round() as u8).min(15);
    let second = (!screen && strong != weak).then_some(weak);
    Cdef {
        damping: 3 + (q.qindex >> 6),
        luma: if second.is_some() { strong } else { luma([1.0; 2]) },
        chroma: if effort.chroma_cdef { chroma * 4 + (secondary.round() as u8).min(1) } else { 0 },
        second,
    }
}
