//! The loop filters of a frame, and what is repeated around it for those that refer to it. Threads share its bands.

use super::bands::{Band, HEIGHT};
use super::cdef::{self, Cdef};
use super::deblock::{self, Levels};
use super::kernels::*;

/// What filtering a frame takes of memory.
#[derive(Default)]
pub(super) struct Filters {
    edges: Vec<deblock::Kinds>,
    /// For each band.
    cdef: Vec<cdef::Filter>,
}

impl Filters {
    /// Filters a frame, and pads it.
    pub(super) fn filter(
        &mut self,
        frame: &mut Frame<u8>,
        blocks: &FrameBlocks,
        size: (usize, usize),
        levels: Levels,
        cdef: Cdef,
    ) {
        let rows = frame.planes[0].cfg.height / 8;
        if levels[0] > 0 || levels[1] > 0 {
            let filter = deblock::Filter { blocks, size, levels };
            self.edges.resize(filter.cols() * rows, Default::default());
            filter.filter(&mut Band::whole(frame, size), &mut self.edges);
        }
        self.cdef.resize_with(rows.div_ceil(HEIGHT), Default::default);
        let enhanced = cdef.luma > 0 || cdef.chroma > 0;
        if enhanced {
            for (filter, row) in self.cdef.iter_mut().zip((0..rows).step_by(HEIGHT)) {
                filter.look_around(frame, row..(row + HEIGHT).min(rows));
            }
        }
        let cdef = enhanced.then_some(cdef);
        finish(&mut Band::whole(frame, size), &mut self.cdef, blocks, cdef);
    }
}

/// Runs the last filter, unless it is off, and pads what is then done.
fn finish(band: &mut Band<'_>, filters: &mut [cdef::Filter], blocks: &FrameBlocks, cdef: Option<Cdef>) {
    if !band.is_one() {
        let (mut upper, mut lower) = band.split();
        let (above, below) = filters.split_at_mut(upper.rows.len() / HEIGHT);
        rayon::join(|| finish(&mut upper, above, blocks, cdef), || finish(&mut lower, below, blocks, cdef));
        return;
    }
    if let (Some(cdef), Some(filter)) = (cdef, filters.first_mut()) {
        filter.filter(band, blocks, cdef);
    }
    band.pad();
}
