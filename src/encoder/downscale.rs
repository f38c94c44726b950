//! Pictures scaled down for the lower layers.
//!
//! The filter is the Catmull-Rom cubic stretched to the ratio, eight taps for 2:1, centred as AV1 upsamples
//! (section 7.11.3.3): the corners of the picture stay in place. Its weights are rational, so every machine
//! makes the same picture.

use rayon::prelude::*;

use super::kernels::wide;
use crate::picture::{Chroma, Picture, PictureView, PlaneView, Size, plane_size};

/// The most taps that a filter has: eight for 2:1, ten for 5:2.
const TAPS: usize = 10;
/// Rows that one thread makes at a time.
const BAND: usize = 32;
/// Weights sum to 1 << WEIGHT_BITS.
const WEIGHT_BITS: u32 = 10;

/// The source of one output sample: the first input sample, which may lie before the picture, and the weights
/// from there on.
#[derive(Clone, Copy, Debug)]
struct Tap {
    first: isize,
    weights: [i16; TAPS],
}

/// The taps of every sample of an axis that goes from `from` samples to `to`.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = (from as f64 / to as f64).max(1.0);
    let kernel = |x: f64| -> f64 {
        let x = if x < 0.0 { -x } else { x };
        if x < 1.0 {
            (1.5 * x - 2.5) * x * x + 1.0
        } else if x < 2.0 {
            ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
        } else {
            0.0
        }
    };
    let taps = (0..to).map(|i| {
        let centre = (i as f64 + 0.5) * (from as f64 / to as f64) - 0.5;
        let first = (centre - 2.0 * scale).floor() as isize + 1;
        let exact: [f64; TAPS] =
            std::array::from_fn(|t| kernel(((first + t as isize) as f64 - centre) / scale));
        let sum: f64 = exact.iter().sum();
        let one = f64::from(1 << WEIGHT_BITS);
        let mut weights = exact.map(|w| (w / sum * one).round() as i16);
        // The largest weight makes up for the rounding of all.
        let rest = (1 << WEIGHT_BITS) - weights.iter().sum::<i16>();
        if let Some(largest) = weights.iter_mut().max() {
            *largest += rest;
        }
        Tap { first, weights }
    });
    taps.collect()
}

/// Scales pictures of one size to another, which is at most two and a half times smaller.
#[derive(Debug)]
pub(crate) struct Downscaler {
    planes: [PlaneScaler; 3],
}

impl Downscaler {
    /// A scaler of pictures of size `from` to size `to`.
    pub(crate) fn new(from: Size, to: Size) -> Self {
        let plane = |p: usize| {
            let (from, to) = (plane_size(from, p), plane_size(to, p));
            PlaneScaler { columns: taps(from.0, to.0), rows: taps(from.1, to.1), memory: Vec::new() }
        };
        Self { planes: [plane(0), plane(1), plane(2)] }
    }

    /// Scales `from` into `to`; both have the sizes that the scaler was made for.
    pub(crate) fn scale(&mut self, from: &PictureView<'_>, to: &mut Picture) {
        let [luma, u, v] = &mut self.planes;
        let [to_luma, to_u, to_v] = to.planes_mut();
        rayon::join(
            || luma.scale(&from.luma(), [to_luma]),
            || match from.chroma() {
                Chroma::Planar(from) => {
                    rayon::join(|| u.scale(&from[0], [to_u]), || v.scale(&from[1], [to_v]));
                }
                Chroma::Interleaved(from) => u.scale(&from, [to_u, to_v]),
            },
        );
    }
}

/// Scales planes of one size.
#[derive(Debug)]
struct PlaneScaler {
    columns: Vec<Tap>,
    rows: Vec<Tap>,
    /// Working memory of each band.
    memory: Vec<i32>,
}

impl PlaneScaler {
    /// Scales a plane in which samples of `N` planes take turns.
    fn scale<const N: usize>(&mut self, from: &PlaneView<'_>, to: [&mut [u8]; N]) {
        let Self { columns, rows, memory } = self;
        // The filtered column sums of one output row, with the edges repeated on both sides; memory for their even and
        // odd samples; and the sums while the planes still take turns.
        let length = from.width() / N + 2 * TAPS;
        let (bands, needed) = (rows.len().div_ceil(BAND), 2 * length + from.width());
        memory.resize(bands * needed, 0);
        let mut planes = to.map(|plane| plane.chunks_mut(BAND * columns.len()));
        let to: Vec<[&mut [u8]; N]> =
            (0..bands).map(|_| planes.each_mut().map(|plane| plane.next().unwrap_or_default())).collect();
        let bands = to.into_par_iter().zip(rows.par_chunks(BAND)).zip(memory.par_chunks_mut(needed));
        bands.for_each(|((to, rows), memory)| scale_rows(from, to, columns, rows, memory, length));
    }
}

wide! {
    fn scale_rows<const N: usize>(
        from: &PlaneView<'_>,
        to: [&mut [u8]; N],
        columns: &[Tap],
        rows: &[Tap],
        memory: &mut [i32],
        length: usize,
    ) {
        let (width, last) = (from.width(), from.height() as isize - 1);
        let (line, memory) = memory.split_at_mut(length);
        let (halves, sums) = memory.split_at_mut(length);
        let by_two = by_two(columns);
        let mut to = to.map(|plane| plane.chunks_exact_mut(columns.len()));
        for tap in rows {
            let lines: [&[u8]; TAPS] =
                std::array::from_fn(|t| &from.row((tap.first + t as isize).clamp(0, last) as usize)[..width]);
            if N > 1 {
                sum_rows(sums, &lines, &tap.weights);
            }
            for (plane, to) in to.iter_mut().enumerate() {
                let middle = &mut line[TAPS..TAPS + width / N];
                if N > 1 {
                    for (to, turn) in middle.iter_mut().zip(sums.chunks_exact(N)) {
                        *to = turn[plane];
                    }
                } else {
                    sum_rows(middle, &lines, &tap.weights);
                }
                if let Some(out) = to.next() {
                    scale_line(line, halves, columns, by_two.as_ref(), out);
                }
            }
        }
    }
}

/// Scales a row of column sums, which has `TAPS` samples more on both sides. `halves` is working memory of its length.
#[inline(always)]
fn scale_line(line: &mut [i32], halves: &mut [i32], columns: &[Tap], by_two: Option<&Tap>, out: &mut [u8]) {
    let (first, last) = (TAPS, line.len() - TAPS - 1);
    let (left, right) = (line[first], line[last]);
    line[..first].fill(left);
    line[last + 1..].fill(right);
    // No sum is more than 255 * 1024 * 1024 and half of that: the magnitudes of the weights sum to less than 1.5.
    let half = 1 << (2 * WEIGHT_BITS - 1);
    let round = |sum: i32| ((sum + half) >> (2 * WEIGHT_BITS)).clamp(0, 255) as u8;
    if let Some(Tap { first, weights }) = by_two {
        let (even, odd) = halves.split_at_mut(line.len() / 2);
        for (pair, (even, odd)) in line.chunks_exact(2).zip(even.iter_mut().zip(odd.iter_mut())) {
            (*even, *odd) = (pair[0], pair[1]);
        }
        let start = (first + TAPS as isize) as usize;
        let (a, b) = if start.is_multiple_of(2) { (&*even, &*odd) } else { (&*odd, &even[1..]) };
        let (a, b) = (&a[start / 2..][..out.len() + 3], &b[start / 2..][..out.len() + 3]);
        let w = weights.map(i32::from);
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = 0;
            for k in 0..4 {
                sum += w[2 * k] * a[i + k] + w[2 * k + 1] * b[i + k];
            }
            *out = round(sum);
        }
        return;
    }
    for (tap, out) in columns.iter().zip(out) {
        let window = &line[(tap.first + TAPS as isize) as usize..];
        let mut sum = 0;
        for (&w, &s) in tap.weights.iter().zip(window) {
            sum += i32::from(w) * s;
        }
        *out = round(sum);
    }
}

/// The first tap of an axis, if all samples have the same eight weights and each begins two samples after the
/// one before.
fn by_two(taps: &[Tap]) -> Option<Tap> {
    let first = *taps.first()?;
    let same =
        |(i, tap): (usize, &Tap)| tap.weights == first.weights && tap.first == first.first + 2 * i as isize;
    (first.weights[8..] == [0; TAPS - 8] && taps.iter().enumerate().all(same)).then_some(first)
}

/// Sums rows by their weights.
#[inline(always)]
fn sum_rows(sums: &mut [i32], rows: &[&[u8]; TAPS], weights: &[i16; TAPS]) {
    if weights[8..] == [0; TAPS - 8] {
        sum_first_rows::<8>(sums, rows, weights);
    } else {
        sum_first_rows::<TAPS>(sums, rows, weights);
    }
}

/// Sums the first `N` rows by their weights.
#[inline(always)]
fn sum_first_rows<const N: usize>(sums: &mut [i32], rows: &[&[u8]; TAPS], weights: &[i16; TAPS]) {
    for (x, sum) in sums.iter_mut().enumerate() {
        *sum = 0;
        for t in 0..N {
            *sum += i32::from(weights[t]) * i32::from(rows[t][x]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_in_reach() {
        for (from, to) in [(640, 320), (33, 17), (1278, 639), (17, 9), (2, 1), (1, 1)] {
            let all = taps(from, to);
            assert_eq!(all.len(), to);
            for tap in all {
                assert_eq!(tap.weights.iter().sum::<i16>(), 1 << WEIGHT_BITS);
                assert!(tap.first >= -(TAPS as isize) && tap.first <= from as isize);
            }
        }
        // The textbook filter of a half: symmetric, eight taps.
        assert_eq!(taps(640, 320)[100].weights, [-12, -36, 116, 444, 444, 116, -36, -12, 0, 0]);
    }

    #[test]
    fn a_flat_picture_stays_flat_and_a_ramp_a_ramp() {
        let mut from = Picture::new(Size::new(66, 34));
        for (i, s) in from.plane_mut(0).iter_mut().enumerate() {
            *s = (i % 66) as u8 * 3;
        }
        let mut to = Picture::new(Size::new(33, 17));
        Downscaler::new(from.size(), to.size()).scale(&from.view(), &mut to);
        assert!(to.plane(1).iter().all(|&s| s == 128));
        for row in to.plane(0).chunks_exact(33) {
            for (x, &s) in row.iter().enumerate().take(30).skip(3) {
                // Between samples 2x and 2x + 1.
                assert_eq!(s, (6 * x + 2) as u8, "column {x}");
            }
        }
    }
}
