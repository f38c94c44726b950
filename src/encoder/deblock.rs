//! The deblocking filter (AV1 specification, section 7.14), for frames whose blocks have one transform
//! each and one filter level.

use std::ops::Range;

use super::bands::Band;
use super::kernels::*;

/// Filter levels of a frame: luma across vertical edges, across horizontal ones, U, V; 0 to 63.
pub(crate) type Levels = [u8; 4];

/// Limits that one level gives (section 7.14.4, sharpness 0).
#[derive(Clone, Copy)]
struct Limits {
    limit: i16,
    blimit: i16,
    thresh: i16,
}

impl Limits {
    fn new(level: u8) -> Self {
        let level = i16::from(level);
        let limit = level.max(1);
        Self { limit, blimit: 2 * (level + 2) + limit, thresh: level >> 4 }
    }
}

/// The filter of a frame.
pub(super) struct Filter<'a> {
    pub(super) blocks: &'a FrameBlocks,
    /// Luma samples that the frame shows.
    pub(super) size: (usize, usize),
    pub(super) levels: Levels,
}

impl Filter<'_> {
    /// How many kinds of edges there are in a row of 8x8 luma samples.
    pub(super) fn cols(&self) -> usize {
        self.size.0.div_ceil(8)
    }

    /// Filters a band, and notes the kinds of its edges.
    ///
    /// No edge's filter reads what that of another edge of its direction changes, so that those of one direction come in any
    /// order.
    pub(super) fn filter(&self, band: &mut Band<'_>, kinds: &mut [Kinds]) {
        if !band.is_one() {
            let (mut upper, mut lower) = band.split();
            let (top, middle) = (upper.rows.start, lower.rows.start);
            let (above, below) = kinds.split_at_mut((middle - top) * self.cols());
            rayon::join(|| self.filter(&mut upper, above), || self.filter(&mut lower, below));
            self.filter_edges::<false>(band, kinds, middle..middle + 1);
            return;
        }
        let rows = band.rows.clone();
        for (row, kinds) in rows.clone().zip(kinds.chunks_exact_mut(self.cols())) {
            self.find_edges(row, kinds);
        }
        self.filter_edges::<true>(band, kinds, rows.clone());
        // Those at its top need the band above to be filtered, too.
        self.filter_edges::<false>(band, kinds, rows.start + 1..rows.end);
    }

    /// Finds the edges of a row of 8x8 luma samples.
    fn find_edges(&self, row: usize, kinds: &mut [Kinds]) {
        let of = |sides: [u8; 2]| if sides[0].min(sides[1]) <= 2 { Kind::Short } else { Kind::Long };
        let line = &self.blocks[2 * row];
        for (col, kinds) in kinds.iter_mut().enumerate() {
            let block = &line[2 * col];
            *kinds = [Kind::Inside; 2];
            if col > 0 && (col * 2).is_multiple_of(block.n4_w.into()) {
                kinds[0] = of([block.n4_w, line[2 * col - 1].n4_w]);
            }
            if row > 0 && (row * 2).is_multiple_of(block.n4_h.into()) {
                kinds[1] = of([block.n4_h, self.blocks[2 * row - 1][2 * col].n4_h]);
            }
        }
    }

    /// Filters the edges of one direction in some rows of 8x8 luma samples of a band, of which all edges are known.
    fn filter_edges<const VERTICAL: bool>(&self, band: &mut Band<'_>, kinds: &[Kinds], rows: Range<usize>) {
        let [vertical, horizontal, u, v] = self.levels;
        let top = band.rows.start;
        for (p, level) in [if VERTICAL { vertical } else { horizontal }, u, v].into_iter().enumerate() {
            if level > 0 {
                let (data, stride) = band.samples(p);
                let limits = Limits::new(level);
                filter_rows::<VERTICAL>(data, stride, top, kinds, rows.clone(), self.size, p > 0, limits);
            }
        }
    }
}

/// What lies at the left and at the top of 8x8 luma samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// No edge of a transform.
    #[default]
    Inside,
    /// One with a block of 8 luma samples on at least one side.
    Short,
    Long,
}

/// The kinds of the vertical and of the horizontal edge of 8x8 luma samples. All blocks are at least as large, so that edges
/// come in pieces of 8 luma or 4 chroma samples.
pub(super) type Kinds = [Kind; 2];

wide! {
    /// Filters all edges of one direction in some rows of 8x8 luma samples; `data` and `edges` begin with the row `top`.
    /// `VERTICAL` edges run down, and are filtered across columns.
    fn filter_rows<const VERTICAL: bool>(
        data: &mut [u8],
        stride: usize,
        top: usize,
        edges: &[Kinds],
        within: Range<usize>,
        size: (usize, usize),
        chroma: bool,
        limits: Limits,
    ) {
        let (width, height) = size;
        let dec = usize::from(chroma);
        let (cols, rows) = (width.div_ceil(8), within.end);
        let kind_at = |row: usize, col: usize| edges[(row - top) * cols + col][usize::from(!VERTICAL)];
        // Only pieces of 4 that begin within the picture are filtered: CDEF looks at what lies beyond.
        let along = if VERTICAL { height } else { width };
        let short = |piece: usize| !chroma && piece * 8 + 4 >= along;
        // Two pieces of an edge at a time, where they are alike.
        let (down, right) = if VERTICAL { (2, 1) } else { (1, 2) };
        for row in within.clone().step_by(down) {
            for col in (0..cols).step_by(right) {
                let kind = kind_at(row, col);
                let (next_row, next_col) = (row + down - 1, col + right - 1);
                let inside = next_row < rows && next_col < cols;
                let next = if inside { kind_at(next_row, next_col) } else { Kind::Inside };
                if kind == Kind::Inside && next == Kind::Inside {
                    continue;
                }
                let offset =
                    |row: usize, col: usize| (((row - top) * 8) >> dec) * stride + ((col * 8) >> dec);
                let edge = Edge { data: &mut *data, offset: offset(row, col), stride };
                if kind == next && !short(if VERTICAL { next_row } else { next_col }) {
                    match (chroma, kind) {
                        (true, Kind::Short) => edge.filter::<VERTICAL, 8, 2, 8>(limits),
                        (true, _) => edge.filter::<VERTICAL, 8, 3, 8>(limits),
                        (false, Kind::Short) => edge.filter::<VERTICAL, 16, 4, 16>(limits),
                        (false, _) => edge.filter::<VERTICAL, 16, 7, 16>(limits),
                    }
                    continue;
                }
                for (kind, row, col) in [(kind, row, col), (next, next_row, next_col)] {
                    let edge = Edge { data: &mut *data, offset: offset(row, col), stride };
                    match (chroma, kind, short(if VERTICAL { row } else { col })) {
                        (_, Kind::Inside, _) => {}
                        (true, Kind::Short, _) => edge.filter::<VERTICAL, 4, 2, 8>(limits),
                        (true, _, _) => edge.filter::<VERTICAL, 4, 3, 8>(limits),
                        (false, Kind::Short, false) => edge.filter::<VERTICAL, 8, 4, 16>(limits),
                        (false, Kind::Short, true) => edge.filter::<VERTICAL, 4, 4, 16>(limits),
                        (false, _, false) => edge.filter::<VERTICAL, 8, 7, 16>(limits),
                        (false, _, true) => edge.filter::<VERTICAL, 4, 7, 16>(limits),
                    }
                }
            }
        }
    }
}

/// A piece of an edge; `offset` is its first sample behind the edge.
struct Edge<'a> {
    data: &'a mut [u8],
    offset: usize,
    stride: usize,
}

/// Samples across `N` places of an edge: `P0` is the row before it, `Q0` the row behind it.
type Across<const N: usize> = [[i16; N]; 14];
const P0: usize = 6;
const Q0: usize = 7;

impl Edge<'_> {
    /// Filters `N` places and looks at `REACH` samples on either side of each: in chroma 2 and 3 for filter
    /// sizes 4 and 8, in luma 4 and 7 for 8 and 16. `SIDE` samples around a vertical edge hold them.
    #[inline(always)]
    fn filter<const VERTICAL: bool, const N: usize, const REACH: usize, const SIDE: usize>(self, l: Limits) {
        let mut s: Across<N> = [[0; N]; 14];
        let first = self.offset - if VERTICAL { SIDE / 2 } else { REACH * self.stride };
        let mut square = [[0; SIDE]; SIDE];
        if VERTICAL {
            for (lane, row) in square.iter_mut().enumerate().take(N) {
                row.copy_from_slice(&self.data[first + lane * self.stride..][..SIDE]);
            }
            transpose(&mut square);
            for k in 0..2 * REACH {
                for (s, &sample) in s[Q0 - REACH + k].iter_mut().zip(&square[SIDE / 2 - REACH + k]) {
                    *s = sample.into();
                }
            }
        } else {
            for k in 0..2 * REACH {
                let from = &self.data[first + k * self.stride..][..N];
                for (s, &sample) in s[Q0 - REACH + k].iter_mut().zip(from) {
                    *s = sample.into();
                }
            }
        }
        let changed = filter_across::<N, REACH>(&mut s, l);
        if changed == 0 {
            return;
        }
        if VERTICAL {
            for k in 0..2 * REACH {
                for (&s, to) in s[Q0 - REACH + k].iter().zip(&mut square[SIDE / 2 - REACH + k]) {
                    *to = s as u8;
                }
            }
            transpose(&mut square);
            for (lane, row) in square.iter().enumerate().take(N) {
                self.data[first + lane * self.stride..][..SIDE].copy_from_slice(row);
            }
        } else {
            for k in REACH - changed..REACH + changed {
                let to = &mut self.data[first + k * self.stride..][..N];
                for (&s, to) in s[Q0 - REACH + k].iter().zip(to) {
                    *to = s as u8;
                }
            }
        }
    }
}

/// Makes rows of columns. Each pass takes the first half of the rows and the second one by turns, sample by sample.
#[inline(always)]
fn transpose<const N: usize>(rows: &mut [[u8; N]; N]) {
    for _ in 0..N.ilog2() {
        let before = *rows;
        for i in 0..N / 2 {
            let (a, b) = (&before[i], &before[i + N / 2]);
            for k in 0..N / 2 {
                (rows[2 * i][2 * k], rows[2 * i][2 * k + 1]) = (a[k], b[k]);
                (rows[2 * i + 1][2 * k], rows[2 * i + 1][2 * k + 1]) = (a[N / 2 + k], b[N / 2 + k]);
            }
        }
    }
}

/// Widens the greatest differences by those of two samples at each place.
#[inline(always)]
fn widen<const N: usize>(most: &mut [i16; N], a: &[i16; N], b: &[i16; N]) {
    for i in 0..N {
        most[i] = most[i].max((a[i] - b[i]).abs());
    }
}

/// For each place, -1 if the greatest difference is at most the limit, otherwise 0.
#[inline(always)]
fn within<const N: usize>(most: &[i16; N], limit: i16) -> [i16; N] {
    let mut mask = [0; N];
    // A `map` of the array may be a call, which knows of no wide vectors.
    for i in 0..N {
        mask[i] = if most[i] <= limit { -1 } else { 0 };
    }
    mask
}

#[inline(always)]
fn all<const N: usize>(mask: &[i16; N]) -> bool {
    mask.iter().fold(-1, |a, m| a & m) != 0
}

#[inline(always)]
fn none<const N: usize>(mask: &[i16; N]) -> bool {
    mask.iter().fold(0, |a, m| a | m) == 0
}

/// Section 7.14.6 at `N` places at once; returns how many samples on either side may have changed.
#[inline(always)]
fn filter_across<const N: usize, const REACH: usize>(s: &mut Across<N>, l: Limits) -> usize {
    let (p, q) = (|k: usize| P0 - k, |k: usize| Q0 + k);
    let mut most = [0i16; N];
    for k in 1..REACH.min(4) {
        widen(&mut most, &s[p(k)], &s[p(k - 1)]);
        widen(&mut most, &s[q(k)], &s[q(k - 1)]);
    }
    let mut mask = within(&most, l.limit);
    for i in 0..N {
        let step = (s[P0][i] - s[Q0][i]).abs() * 2 + (s[P0 - 1][i] - s[Q0 + 1][i]).abs() / 2;
        mask[i] &= if step <= l.blimit { -1 } else { 0 };
    }
    if none(&mask) {
        return 0;
    }
    let mut flat = [0i16; N];
    if REACH >= 3 {
        let mut most = [0i16; N];
        for k in 1..REACH.min(4) {
            widen(&mut most, &s[p(k)], &s[P0]);
            widen(&mut most, &s[q(k)], &s[Q0]);
        }
        flat = within(&most, 1);
    }
    let mut wide = [0i16; N];
    if REACH == 7 {
        let mut most = [0i16; N];
        for k in 4..7 {
            widen(&mut most, &s[p(k)], &s[P0]);
            widen(&mut most, &s[q(k)], &s[Q0]);
        }
        wide = within(&most, 1);
    }
    for i in 0..N {
        flat[i] &= mask[i];
        wide[i] &= flat[i];
    }
    let before = *s;
    if !all(&flat) {
        narrow(s, &before, &mask, l.thresh);
    }
    let mut changed = 2;
    if !none(&flat) && !all(&wide) {
        if REACH == 3 {
            smooth::<N, 2, 1, 3>(s, &before, &flat);
        } else {
            smooth::<N, 3, 0, 3>(s, &before, &flat);
            changed = 3;
        }
    }
    if !none(&wide) {
        smooth::<N, 6, 1, 4>(s, &before, &wide);
        changed = 6;
    }
    changed
}

/// Section 7.14.6.3.
#[inline(always)]
fn narrow<const N: usize>(s: &mut Across<N>, before: &Across<N>, mask: &[i16; N], thresh: i16) {
    let clamp = |v: i16| v.clamp(-128, 127);
    for i in 0..N {
        let (ps1, ps0) = (before[P0 - 1][i] - 128, before[P0][i] - 128);
        let (qs0, qs1) = (before[Q0][i] - 128, before[Q0 + 1][i] - 128);
        let hev: i16 = if (ps1 - ps0).abs().max((qs1 - qs0).abs()) > thresh { -1 } else { 0 };
        let filter = clamp((clamp(ps1 - qs1) & hev) + 3 * (qs0 - ps0)) & mask[i];
        let (filter1, filter2) = (clamp(filter + 4) >> 3, clamp(filter + 3) >> 3);
        let half = ((filter1 + 1) >> 1) & !hev;
        s[Q0][i] = clamp(qs0 - filter1) + 128;
        s[P0][i] = clamp(ps0 + filter2) + 128;
        s[Q0 + 1][i] = clamp(qs1 - half) + 128;
        s[P0 - 1][i] = clamp(ps1 + half) + 128;
    }
}

/// Section 7.14.6.4: `TAPS` samples on each side change, the inner `2 * TWICE + 1` taps count twice.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Lanes index the samples' second dimension.
fn smooth<const N: usize, const TAPS: usize, const TWICE: usize, const LOG2: u32>(
    s: &mut Across<N>,
    before: &Across<N>,
    mask: &[i16; N],
) {
    let (low, high) = (P0 - TAPS, Q0 + TAPS);
    let at = |position: isize| &before[position.clamp(low as isize, high as isize) as usize];
    // All taps once, and the inner ones once more: from one sample to the next, one leaves and one comes in.
    let first = low as isize + 1;
    let (taps, twice) = (TAPS as isize, TWICE as isize);
    let (mut sum, mut inner) = ([1i16 << (LOG2 - 1); N], [0i16; N]);
    for tap in -taps..=taps {
        for i in 0..N {
            sum[i] += at(first + tap)[i];
        }
    }
    for tap in -twice..=twice {
        for i in 0..N {
            inner[i] += at(first + tap)[i];
        }
    }
    for position in first..high as isize {
        let s = &mut s[position as usize];
        let (out, new) = (at(position - taps), at(position + taps + 1));
        let (inner_out, inner_new) = (at(position - twice), at(position + twice + 1));
        for i in 0..N {
            s[i] = (((sum[i] + inner[i]) >> LOG2) & mask[i]) | (s[i] & !mask[i]);
            sum[i] += new[i] - out[i];
            inner[i] += inner_new[i] - inner_out[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let mut square: [[u8; 16]; 16] = std::array::from_fn(|y| std::array::from_fn(|x| (16 * y + x) as u8));
        transpose(&mut square);
        assert!((0..256).all(|i| square[i % 16][i / 16] == i as u8), "{square:?}");
    }
}
