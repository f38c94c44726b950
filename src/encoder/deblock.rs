//! The deblocking filter (AV1 specification, section 7.14), for frames whose blocks have one transform
//! each and one filter level.

use rayon::prelude::*;

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

/// Filters the whole picture in place.
pub(crate) fn filter_frame(
    frame: &mut Frame<u8>,
    blocks: &FrameBlocks,
    size: (usize, usize),
    levels: Levels,
) {
    frame.planes.par_iter_mut().enumerate().for_each(|(p, plane)| {
        let (vertical, horizontal) =
            if p == 0 { (levels[0], levels[1]) } else { (levels[p + 1], levels[p + 1]) };
        if vertical > 0 {
            filter_plane::<true>(plane, blocks, size, p > 0, Limits::new(vertical));
        }
        if horizontal > 0 {
            filter_plane::<false>(plane, blocks, size, p > 0, Limits::new(horizontal));
        }
    });
}

wide! {
    /// Filters all edges of one direction; `VERTICAL` edges run down, and are filtered across columns.
    ///
    /// Blocks are at least 8x8 luma samples, so that edges come in pieces of 8 luma or 4 chroma samples.
    fn filter_plane<const VERTICAL: bool>(
        plane: &mut Plane<u8>,
        blocks: &FrameBlocks,
        size: (usize, usize),
        chroma: bool,
        limits: Limits,
    ) {
        let (width, height) = size;
        let dec = usize::from(chroma);
        let stride = plane.cfg.stride;
        let data = plane.data_origin_mut();
        let (cols, rows) = (width.div_ceil(8), height.div_ceil(8));
        // Only pieces of 4 that begin within the picture are filtered: CDEF looks at what lies beyond.
        let along = if VERTICAL { height } else { width };
        let short = |piece: usize| !chroma && piece * 8 + 4 >= along;
        let side = |b: &Block| usize::from(if VERTICAL { b.n4_w } else { b.n4_h }) * 4;
        for row in 0..rows {
            let mut col = 0;
            while col < cols {
                let block = &blocks[row * 2][col * 2];
                let size = side(block);
                let at = if VERTICAL { col } else { row };
                if at > 0 && at * 8 % size == 0 {
                    let before =
                        if VERTICAL { &blocks[row * 2][col * 2 - 1] } else { &blocks[row * 2 - 1][col * 2] };
                    let length = size.min(side(before)) >> dec;
                    let offset = ((row * 8) >> dec) * stride + ((col * 8) >> dec);
                    let edge = Edge { data, offset, stride };
                    match (chroma, length, short(if VERTICAL { row } else { col })) {
                        (true, ..=4, _) => edge.filter::<VERTICAL, 4, 2>(limits),
                        (true, _, _) => edge.filter::<VERTICAL, 4, 3>(limits),
                        (false, ..=8, false) => edge.filter::<VERTICAL, 8, 4>(limits),
                        (false, ..=8, true) => edge.filter::<VERTICAL, 4, 4>(limits),
                        (false, _, false) => edge.filter::<VERTICAL, 8, 7>(limits),
                        (false, _, true) => edge.filter::<VERTICAL, 4, 7>(limits),
                    }
                }
                col += if VERTICAL { size / 8 } else { 1 };
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
    /// sizes 4 and 8, in luma 4 and 7 for 8 and 16.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // Lanes index the samples' second dimension.
    fn filter<const VERTICAL: bool, const N: usize, const REACH: usize>(self, l: Limits) {
        let mut s: Across<N> = [[0; N]; 14];
        let first = self.offset - REACH * if VERTICAL { 1 } else { self.stride };
        if VERTICAL {
            for lane in 0..N {
                let from = &self.data[first + lane * self.stride..][..2 * REACH];
                for (k, &sample) in from.iter().enumerate() {
                    s[Q0 - REACH + k][lane] = sample.into();
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
            for lane in 0..N {
                let to = &mut self.data[first + lane * self.stride..][..2 * REACH];
                for k in REACH - changed..REACH + changed {
                    to[k] = s[Q0 - REACH + k][lane] as u8;
                }
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

/// For each place, -1 if all differences are at most the limit, otherwise 0.
#[inline(always)]
fn within<const N: usize>(limit: i16, pairs: &[(&[i16; N], &[i16; N])]) -> [i16; N] {
    let mut most = [0i16; N];
    for (a, b) in pairs {
        for i in 0..N {
            most[i] = most[i].max((a[i] - b[i]).abs());
        }
    }
    // A `map` of the array may be a call, which knows of no wide vectors.
    for most in &mut most {
        *most = if *most <= limit { -1 } else { 0 };
    }
    most
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
    let mut pairs: [(&[i16; N], &[i16; N]); 6] = [(&s[p(1)], &s[p(0)]); 6];
    pairs[1] = (&s[q(1)], &s[q(0)]);
    if REACH >= 3 {
        pairs[2] = (&s[p(2)], &s[p(1)]);
        pairs[3] = (&s[q(2)], &s[q(1)]);
    }
    if REACH >= 4 {
        pairs[4] = (&s[p(3)], &s[p(2)]);
        pairs[5] = (&s[q(3)], &s[q(2)]);
    }
    let mut mask = within(l.limit, &pairs);
    for i in 0..N {
        let step = (s[P0][i] - s[Q0][i]).abs() * 2 + (s[P0 - 1][i] - s[Q0 + 1][i]).abs() / 2;
        mask[i] &= if step <= l.blimit { -1 } else { 0 };
    }
    if none(&mask) {
        return 0;
    }
    let mut flat = [0i16; N];
    if REACH >= 3 {
        let far = if REACH >= 4 { 3 } else { 2 };
        flat = within(
            1,
            &[
                (&s[p(1)], &s[P0]),
                (&s[q(1)], &s[Q0]),
                (&s[p(2)], &s[P0]),
                (&s[q(2)], &s[Q0]),
                (&s[p(far)], &s[P0]),
                (&s[q(far)], &s[Q0]),
            ],
        );
    }
    let mut wide = [0i16; N];
    if REACH == 7 {
        wide = within(
            1,
            &[
                (&s[p(4)], &s[P0]),
                (&s[q(4)], &s[Q0]),
                (&s[p(5)], &s[P0]),
                (&s[q(5)], &s[Q0]),
                (&s[p(6)], &s[P0]),
                (&s[q(6)], &s[Q0]),
            ],
        );
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
fn smooth<const N: usize, const TAPS: usize, const TWICE: usize, const LOG2: u32>(
    s: &mut Across<N>,
    before: &Across<N>,
    mask: &[i16; N],
) {
    let (low, high) = (P0 - TAPS, Q0 + TAPS);
    for (at, s) in s.iter_mut().enumerate().take(high).skip(low + 1) {
        let mut sum = [1i16 << (LOG2 - 1); N];
        for tap in 0..=2 * TAPS {
            let from = (at + tap).saturating_sub(TAPS).clamp(low, high);
            let weight = if tap.abs_diff(TAPS) <= TWICE { 2 } else { 1 };
            for i in 0..N {
                sum[i] += before[from][i] * weight;
            }
        }
        for i in 0..N {
            s[i] = ((sum[i] >> LOG2) & mask[i]) | (s[i] & !mask[i]);
        }
    }
}
