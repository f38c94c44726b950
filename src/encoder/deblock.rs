//! The deblocking filter (AV1 specification, section 7.14), for frames whose blocks have one transform
//! each and one filter level.

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
pub(crate) fn filter_frame(frame: &mut Frame<u8>, blocks: &FrameBlocks, size: (usize, usize), levels: Levels) {
    for (p, plane) in frame.planes.iter_mut().enumerate() {
        let (vertical, horizontal) =
            if p == 0 { (levels[0], levels[1]) } else { (levels[p + 1], levels[p + 1]) };
        if (p == 0 && vertical == 0 && horizontal == 0) || (p > 0 && vertical == 0) {
            continue;
        }
        if vertical > 0 {
            filter_plane::<true>(plane, blocks, size, p > 0, Limits::new(vertical));
        }
        if horizontal > 0 {
            filter_plane::<false>(plane, blocks, size, p > 0, Limits::new(horizontal));
        }
    }
}

/// Filters all edges of one direction; `VERTICAL` edges run down, and are filtered across columns.
fn filter_plane<const VERTICAL: bool>(
    plane: &mut Plane<u8>,
    blocks: &FrameBlocks,
    (width, height): (usize, usize),
    chroma: bool,
    limits: Limits,
) {
    let dec = usize::from(chroma);
    let stride = plane.cfg.stride;
    let data = plane.data_origin_mut();
    // In units of 4x4 luma samples; edges at or beyond the picture's end are not filtered.
    let (cols, rows) = (width.div_ceil(4), height.div_ceil(4));
    let unit = 1 << dec;
    for row in (0..rows).step_by(unit) {
        let mut col = 0;
        while col < cols {
            let block = &blocks[row | dec][col | dec];
            let side = |b: &Block| -> usize {
                let n4 = if VERTICAL { b.n4_w } else { b.n4_h };
                // The transform is as large as the block, 64 samples at most; chroma has half of it.
                usize::from(n4) * 4 >> dec
            };
            let at = if VERTICAL { col } else { row };
            let size = side(block);
            if at > 0 && (at * 4 >> dec) % size == 0 {
                let before =
                    if VERTICAL { &blocks[row | dec][(col - 1) | dec] } else { &blocks[(row - 1) | dec][col | dec] };
                let length = size.min(side(before)).min(if chroma { 8 } else { 16 });
                let offset = (row * 4 >> dec) * stride + (col * 4 >> dec);
                let (across, along) = if VERTICAL { (1, stride) } else { (stride, 1) };
                filter_edge(data, offset, across, along, length, chroma, limits);
            }
            col += if VERTICAL { usize::from(block.n4_w).max(unit) } else { unit };
        }
    }
}

/// Filters four samples along an edge; `offset` is the first behind it.
#[inline]
fn filter_edge(
    data: &mut [u8],
    offset: usize,
    across: usize,
    along: usize,
    length: usize,
    chroma: bool,
    l: Limits,
) {
    // Samples before the edge that are read: 2, 3 (chroma), 4 or 7; as many behind it.
    let reach = match (length, chroma) {
        (4, _) => 2,
        (_, true) => 3,
        (8, _) => 4,
        _ => 7,
    };
    for i in 0..4 {
        let q0 = offset + i * along;
        let at = |k: isize| (q0 as isize + k * across as isize) as usize;
        let s = |k: isize| i16::from(data[at(k)]);
        let (p1, p0, q0v, q1) = (s(-2), s(-1), s(0), s(1));
        let d = |a: i16, b: i16| (a - b).abs();
        let mut mask = d(p1, p0).max(d(q1, q0v)) > l.limit || d(p0, q0v) * 2 + d(p1, q1) / 2 > l.blimit;
        if mask {
            continue;
        }
        let mut flat = d(p1, p0).max(d(q1, q0v)) <= 1;
        if reach >= 3 {
            let (p2, q2) = (s(-3), s(2));
            mask |= d(p2, p1).max(d(q2, q1)) > l.limit;
            flat &= d(p2, p0).max(d(q2, q0v)) <= 1;
        }
        if reach >= 4 {
            let (p3, q3) = (s(-4), s(3));
            mask |= d(p3, s(-3)).max(d(q3, s(2))) > l.limit;
            flat &= d(p3, p0).max(d(q3, q0v)) <= 1;
        }
        if mask {
            continue;
        }
        if reach == 2 || !flat {
            narrow(data, at(-2), at(-1), at(0), at(1), l.thresh);
            continue;
        }
        let wide = reach == 7
            && (5..=7).all(|k| d(s(-k), p0) <= 1)
            && (4..=6).all(|k| d(s(k), q0v) <= 1);
        match (reach, wide) {
            (3, _) => smooth::<2, 1, 3>(data, q0, across),
            (7, true) => smooth::<6, 1, 4>(data, q0, across),
            _ => smooth::<3, 0, 3>(data, q0, across),
        }
    }
}

/// Section 7.14.6.3.
#[inline]
fn narrow(data: &mut [u8], p1: usize, p0: usize, q0: usize, q1: usize, thresh: i16) {
    let signed = |v: u8| i16::from(v) - 128;
    let clamp = |v: i16| v.clamp(-128, 127);
    let (ps1, ps0, qs0, qs1) = (signed(data[p1]), signed(data[p0]), signed(data[q0]), signed(data[q1]));
    let hev = (ps1 - ps0).abs() > thresh || (qs1 - qs0).abs() > thresh;
    let filter = clamp(if hev { clamp(ps1 - qs1) } else { 0 } + 3 * (qs0 - ps0));
    let (filter1, filter2) = (clamp(filter + 4) >> 3, clamp(filter + 3) >> 3);
    let sample = |v: i16| (clamp(v) + 128) as u8;
    data[q0] = sample(qs0 - filter1);
    data[p0] = sample(ps0 + filter2);
    if !hev {
        let half = (filter1 + 1) >> 1;
        data[q1] = sample(qs1 - half);
        data[p1] = sample(ps1 + half);
    }
}

/// Section 7.14.6.4: `N` samples on each side change, the inner `2 * N2 + 1` taps count twice.
#[inline]
fn smooth<const N: isize, const N2: isize, const LOG2: u32>(data: &mut [u8], q0: usize, across: usize) {
    let mut window = [0u16; 14];
    let count = 2 * (N + 1);
    let first = q0 - (N as usize + 1) * across;
    for (i, w) in window[..count as usize].iter_mut().enumerate() {
        *w = u16::from(data[first + i * across]);
    }
    for i in 0..2 * N {
        let mut sum = 0u16;
        for j in -N..=N {
            let k = (i + 1 + j).clamp(0, count - 1);
            sum += window[k as usize] * if j.abs() <= N2 { 2 } else { 1 };
        }
        data[first + (i as usize + 1) * across] = ((sum + (1 << (LOG2 - 1))) >> LOG2) as u8;
    }
}
