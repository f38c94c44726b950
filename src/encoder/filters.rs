//! The loop filters of a frame, and what is repeated around it for those that refer to it. Threads share its bands.

use rayon::prelude::*;

use super::bands::{Band, HEIGHT};
use super::cdef::{self, Cdef};
use super::deblock::{self, Levels};
use super::kernels::*;

/// What filtering a frame takes of memory.
#[derive(Clone, Default)]
pub(super) struct Filters {
    edges: Vec<deblock::Kinds>,
    /// For each band.
    cdef: Vec<cdef::Filter>,
    /// What superblocks choose from.
    strengths: Option<Cdef>,
}

impl Filters {
    /// Deblocks a frame, and chooses the strengths of CDEF. Where there are two sets, superblocks take those by which they differ
    /// less from the source, if that saves more squared error than `choice`, what it costs to tell it.
    pub(super) fn prepare(
        &mut self,
        frame: &mut Frame<u8>,
        source: &Frame<u8>,
        blocks: &FrameBlocks,
        size: (usize, usize),
        (levels, cdef): (Levels, Cdef),
        choice: f64,
    ) -> Cdef {
        let rows = frame.planes[0].cfg.height / 8;
        if levels[0] > 0 || levels[1] > 0 {
            let filter = deblock::Filter { blocks, size, levels };
            self.edges.resize(filter.cols() * rows, Default::default());
            filter.filter(&mut Band::whole(frame, size), &mut self.edges);
        }
        self.cdef.resize_with(rows.div_ceil(HEIGHT), Default::default);
        self.strengths = cdef.filters().then_some(cdef);
        if !cdef.filters() {
            return cdef;
        }
        let band = |i: usize| i * HEIGHT..((i + 1) * HEIGHT).min(rows);
        for (i, filter) in self.cdef.iter_mut().enumerate() {
            filter.look_around(frame, band(i));
            filter.second.clear();
        }
        let frame = &*frame;
        self.cdef.par_iter_mut().enumerate().for_each(|(i, filter)| {
            let [samples, source] = [frame, source].map(|frame| {
                let (luma, stride) = (&frame.planes[0], frame.planes[0].cfg.stride);
                (&luma.data_origin()[band(i).start * 8 * stride..], stride)
            });
            filter.look_at_blocks(samples, band(i), blocks, cdef);
            if cdef.second.is_some() {
                filter.compare(samples, source, cdef);
            }
        });
        self.choose(cdef, choice)
    }

    /// Lets each superblock take the better one of two sets, if that is worth the bits, and otherwise the frame.
    ///
    /// Half of the blocks are compared, and a bit is to save twice its usual worth. Measured on real clips.
    fn choose(&mut self, cdef: Cdef, choice: f64) -> Cdef {
        let Some(second) = cdef.second else { return cdef };
        let (mut by, mut best) = ([0; 2], 0);
        for errors in self.cdef.iter().flat_map(|filter| &filter.errors) {
            by[0] += errors[0];
            by[1] += errors[1];
            best += errors[0].min(errors[1]);
        }
        if best as f64 + choice >= by[0].min(by[1]) as f64 {
            let luma = if by[1] < by[0] { second } else { cdef.luma };
            for filter in &mut self.cdef {
                filter.second.resize(filter.errors.len(), by[1] < by[0]);
            }
            return Cdef { luma, second: None, ..cdef };
        }
        for filter in &mut self.cdef {
            filter.second.extend(filter.errors.iter().map(|errors| errors[1] < errors[0]));
        }
        cdef
    }

    /// Which superblocks take the second set of strengths.
    pub(super) fn second(&self) -> Vec<bool> {
        self.cdef.iter().flat_map(|filter| &filter.second).copied().collect()
    }

    /// Enhances a frame that is prepared, and pads it.
    pub(super) fn filter(&mut self, frame: &mut Frame<u8>, size: (usize, usize)) {
        finish(&mut Band::whole(frame, size), &mut self.cdef, self.strengths);
    }
}

/// Runs the last filter, unless it is off, and pads what is then done.
fn finish(band: &mut Band<'_>, filters: &mut [cdef::Filter], cdef: Option<Cdef>) {
    if !band.is_one() {
        let (mut upper, mut lower) = band.split();
        let (above, below) = filters.split_at_mut(upper.rows.len() / HEIGHT);
        rayon::join(|| finish(&mut upper, above, cdef), || finish(&mut lower, below, cdef));
        return;
    }
    if let (Some(cdef), Some(filter)) = (cdef, filters.first_mut()) {
        filter.filter(band, cdef);
    }
    band.pad();
}
