//! Prediction from the layer below: a reference of another size and a zero vector (AV1 specification,
//! sections 7.11.3.3 and 7.11.3.4).
//!
//! If the layer below has exactly half the width and height, the sample positions do not depend on the block,
//! so that every block's prediction is a crop of one picture: the reference upsampled ([`Upsampled`]).
//! If it has another size, or a block is so small that the standard takes shorter filters, [`predict_block`]
//! predicts block by block as the standard says.

use super::kernels::*;
use super::superblock::SIDE;

/// The reference that is the picture of the layer below.
pub(crate) const INTER_LAYER: RefType = RefType::GOLDEN_FRAME;

/// The two filters used here (section 7.11.3.4): the regular one, and the one for 4 samples or fewer.
#[rustfmt::skip]
static FILTERS: [[[i16; 8]; 16]; 2] = [
    [
        [0, 0, 0, 128, 0, 0, 0, 0], [0, 2, -6, 126, 8, -2, 0, 0],
        [0, 2, -10, 122, 18, -4, 0, 0], [0, 2, -12, 116, 28, -8, 2, 0],
        [0, 2, -14, 110, 38, -10, 2, 0], [0, 2, -14, 102, 48, -12, 2, 0],
        [0, 2, -16, 94, 58, -12, 2, 0], [0, 2, -14, 84, 66, -12, 2, 0],
        [0, 2, -14, 76, 76, -14, 2, 0], [0, 2, -12, 66, 84, -14, 2, 0],
        [0, 2, -12, 58, 94, -16, 2, 0], [0, 2, -12, 48, 102, -14, 2, 0],
        [0, 2, -10, 38, 110, -14, 2, 0], [0, 2, -8, 28, 116, -12, 2, 0],
        [0, 0, -4, 18, 122, -10, 2, 0], [0, 0, -2, 8, 126, -6, 2, 0],
    ],
    [
        [0, 0, 0, 128, 0, 0, 0, 0], [0, 0, -4, 126, 8, -2, 0, 0],
        [0, 0, -8, 122, 18, -4, 0, 0], [0, 0, -10, 116, 28, -6, 0, 0],
        [0, 0, -12, 110, 38, -8, 0, 0], [0, 0, -12, 102, 48, -10, 0, 0],
        [0, 0, -14, 94, 58, -10, 0, 0], [0, 0, -12, 84, 66, -10, 0, 0],
        [0, 0, -12, 76, 76, -12, 0, 0], [0, 0, -10, 66, 84, -12, 0, 0],
        [0, 0, -10, 58, 94, -14, 0, 0], [0, 0, -10, 48, 102, -12, 0, 0],
        [0, 0, -8, 38, 110, -12, 0, 0], [0, 0, -6, 28, 116, -10, 0, 0],
        [0, 0, -4, 18, 122, -8, 0, 0], [0, 0, -2, 8, 126, -4, 0, 0],
    ],
];

/// The positions in the reference from which the samples of one axis are read (section 7.11.3.3).
#[derive(Clone, Copy)]
struct Axis {
    /// Reference size relative to the picture's, 14 fractional bits.
    scale: i64,
    /// Position of the last sample of the reference plane.
    last: i64,
}

impl Axis {
    fn new(reference: usize, picture: usize, subsampled: usize) -> Self {
        let scale = (((reference << 14) + picture / 2) / picture) as i64;
        Self { scale, last: ((reference + subsampled) >> subsampled) as i64 - 1 }
    }

    /// Position in the reference of a block that begins at sample `at`, 10 fractional bits.
    fn start(&self, at: usize) -> i64 {
        let base = ((at as i64) * 16 + 8) * self.scale - (8 << 14);
        // Round2Signed by REF_SCALE_SHIFT + SUBPEL_BITS - SCALE_SUBPEL_BITS, then the filter's offset.
        let rounded = if base < 0 { -((-base + 128) >> 8) } else { (base + 128) >> 8 };
        rounded + 32
    }

    /// Distance between two samples in the reference, 10 fractional bits.
    fn step(&self) -> i64 {
        (self.scale + 8) >> 4
    }
}

/// Predicts one block of plane `plane` with a zero vector from `reference`, a picture of
/// `reference_size`, for a picture of `size` (both width and height in luma samples).
///
/// `(x, y)` is the block's corner and `(width, height)` its size, both in this plane.
pub(crate) fn predict_block(
    to: &mut PlaneRegionMut<'_, u8>,
    reference: &Plane<u8>,
    reference_size: (usize, usize),
    size: (usize, usize),
    (x, y): (usize, usize),
    (width, height): (usize, usize),
) {
    if halves(reference_size, size) && (width, height) == (4, 4) {
        predict_4x4(to, reference, reference_size, (x, y));
    } else {
        predict_any(to, reference, reference_size, size, (x, y), (width, height));
    }
}

/// [`predict_block`] of any size and ratio.
fn predict_any(
    to: &mut PlaneRegionMut<'_, u8>,
    reference: &Plane<u8>,
    reference_size: (usize, usize),
    size: (usize, usize),
    (x, y): (usize, usize),
    (width, height): (usize, usize),
) {
    let (xdec, ydec) = (reference.cfg.xdec, reference.cfg.ydec);
    let (ax, ay) = (Axis::new(reference_size.0, size.0, xdec), Axis::new(reference_size.1, size.1, ydec));
    let (fx, fy) = (&FILTERS[usize::from(width <= 4)], &FILTERS[usize::from(height <= 4)]);
    let (x0, xs, y0, ys) = (ax.start(x), ax.step(), ay.start(y), ay.step());
    let rows = ((((height as i64 - 1) * ys + 1023) >> 10) + 8) as usize;
    // A reference is at most twice as large in each direction.
    let mut between = [[0i16; 64]; 2 * 64 + 9];
    for (r, line) in between[..rows].iter_mut().enumerate() {
        let row = reference.row(((y0 >> 10) + r as i64 - 3).clamp(0, ay.last) as isize);
        for (c, out) in line[..width].iter_mut().enumerate() {
            let p = x0 + xs * c as i64;
            let taps = &fx[((p >> 6) & 15) as usize];
            let sum: i32 = (0..8)
                .map(|t| {
                    let s = row[((p >> 10) + t - 3).clamp(0, ax.last) as usize];
                    i32::from(taps[t as usize]) * i32::from(s)
                })
                .sum();
            *out = ((sum + 4) >> 3) as i16;
        }
    }
    for r in 0..height {
        let p = (y0 & 1023) + ys * r as i64;
        let (taps, top) = (&fy[((p >> 6) & 15) as usize], (p >> 10) as usize);
        for (c, out) in to[r][..width].iter_mut().enumerate() {
            let sum: i32 = (0..8).map(|t| i32::from(taps[t]) * i32::from(between[top + t][c])).sum();
            *out = ((sum + 1024) >> 11).clamp(0, 255) as u8;
        }
    }
}

/// [`predict_block`] of 4x4 samples from a reference of exactly half the size. Chroma of blocks of 8x8 comes here.
fn predict_4x4(
    to: &mut PlaneRegionMut<'_, u8>,
    reference: &Plane<u8>,
    reference_size: (usize, usize),
    (x, y): (usize, usize),
) {
    // The four samples of an axis are read from six: the first one from the first four of these, the two in the middle from the
    // next four, and the last one from the last four.
    const FIRST: [usize; 4] = [0, 1, 1, 2];
    let last = |size: usize, dec: usize| ((size + dec) >> dec) as isize - 1;
    let (right, bottom) =
        (last(reference_size.0, reference.cfg.xdec), last(reference_size.1, reference.cfg.ydec));
    let columns: [usize; 6] = std::array::from_fn(|i| ((x / 2 + i) as isize - 2).clamp(0, right) as usize);
    let taps: [[i32; 4]; 2] =
        PHASES.map(|phase| std::array::from_fn(|t| i32::from(FILTERS[1][phase][2 + t])));
    let mut between = [[0i32; 4]; 6];
    for (r, line) in between.iter_mut().enumerate() {
        let row = reference.row(((y / 2 + r) as isize - 2).clamp(0, bottom));
        let samples = columns.map(|column| i32::from(row[column]));
        for c in 0..4 {
            let mut sum = 4;
            for t in 0..4 {
                sum += taps[c % 2][t] * samples[FIRST[c] + t];
            }
            line[c] = sum >> 3;
        }
    }
    for r in 0..4 {
        let mut sums = [1024i32; 4];
        for t in 0..4 {
            for c in 0..4 {
                sums[c] += taps[r % 2][t] * between[FIRST[r] + t][c];
            }
        }
        for (out, sum) in to[r][..4].iter_mut().zip(sums) {
            *out = (sum >> 11).clamp(0, 255) as u8;
        }
    }
}

/// Whether every block's prediction is a crop of one picture: the reference is exactly half as large.
pub(crate) fn halves(reference: (usize, usize), size: (usize, usize)) -> bool {
    reference.0 * 2 == size.0 && reference.1 * 2 == size.1
}

/// The superblock of a layer below, upsampled to the size of the layer above; each plane when it is first asked for.
pub(crate) struct Upsampled {
    planes: [Plane<u8>; 3],
    /// Where the superblock begins that each plane shows, in its samples.
    at: [Option<(usize, usize)>; 3],
}

/// Taps before an even sample and after it: the positions of an exact 2:1 step fall on phases 12/16 and
/// 4/16.
const PHASES: [usize; 2] = [12, 4];

impl Upsampled {
    pub(crate) fn new() -> Self {
        let plane = |dec: usize| Plane::new(SIDE >> dec, SIDE >> dec, dec, dec, 0, 0);
        Self { planes: [plane(0), plane(1), plane(1)], at: [None; 3] }
    }

    /// The prediction of plane `p` from `reference` at `(x, y)`, in samples of that plane, up to the end of the superblock.
    ///
    /// The reference is padded by at least half a superblock.
    pub(crate) fn from(
        &mut self,
        reference: &Frame<u8>,
        p: usize,
        (x, y): (usize, usize),
    ) -> PlaneRegion<'_, u8> {
        let (reference, plane) = (&reference.planes[p], &mut self.planes[p]);
        let side = SIDE >> reference.cfg.xdec;
        let (left, top) = (x / side * side, y / side * side);
        if self.at[p] != Some((left, top)) {
            self.at[p] = Some((left, top));
            if p == 0 {
                upsample::<SIDE, { SIDE / 2 + 8 }>(plane, reference, (left, top));
            } else {
                upsample::<{ SIDE / 2 }, { SIDE / 4 + 8 }>(plane, reference, (left, top));
            }
        }
        self.planes[p].region(Area::StartingAt { x: (x - left) as isize, y: (y - top) as isize })
    }
}

wide! {
    /// Upsamples a square with sides of `N` samples that begins at `(x, y)`, from the `READ` = `N` / 2 + 8 rows and
    /// columns of the reference around it.
    fn upsample<const N: usize, const READ: usize>(
        to: &mut Plane<u8>,
        from: &Plane<u8>,
        corner: (usize, usize),
    ) {
        let (x, y) = ((corner.0 / 2) as isize - 4, (corner.1 / 2) as isize - 4);
        let rows = from.slice(PlaneOffset { x, y });
        let (even, odd) = (&FILTERS[0][PHASES[0]], &FILTERS[0][PHASES[1]]);
        // Less by 128, which the taps sum to: their sums have 16 bits then.
        let mut between = [[0i16; N]; READ];
        let mut samples = [0i16; READ];
        for (r, line) in between.iter_mut().enumerate() {
            for (to, &from) in samples.iter_mut().zip(&rows[r][..READ]) {
                *to = i16::from(from) - 128;
            }
            // An even sample lies after reference sample i - 1, an odd one after sample i.
            let windows: [&[i16]; 9] = std::array::from_fn(|t| &samples[t..][..N / 2]);
            for (i, pair) in line.chunks_exact_mut(2).enumerate() {
                let (mut a, mut b) = (4i16, 4i16);
                for t in 0..8 {
                    a += even[t] * windows[t][i];
                    b += odd[t] * windows[t + 1][i];
                }
                pair[0] = a >> 3;
                pair[1] = b >> 3;
            }
        }
        let stride = to.cfg.stride;
        for (r, out) in to.data_origin_mut().chunks_mut(stride).take(N).enumerate() {
            let taps = &FILTERS[0][PHASES[r % 2]];
            let lines: [&[i16]; 8] = std::array::from_fn(|t| &between[r.div_ceil(2) + t][..]);
            for (x, out) in out[..N].iter_mut().enumerate() {
                let mut sum = 1024i32;
                for t in 0..8 {
                    sum += i32::from(taps[t]) * i32::from(lines[t][x]);
                }
                *out = ((sum >> 11) + 128).clamp(0, 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Frame<u8> {
        let mut frame = Frame::new_with_padding(width, height, Default::default(), 88);
        let mut state = 1u32;
        for plane in &mut frame.planes {
            for sample in plane.data.iter_mut() {
                state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                *sample = (state >> 24) as u8;
            }
            plane.pad(width, height);
        }
        frame
    }

    #[test]
    fn an_exact_half_is_a_crop_of_one_picture() {
        let (size, half) = ((72, 48), (36, 24));
        let reference = noise(half.0, half.1);
        let mut upsampled = Upsampled::new();
        assert!(halves(half, size));
        for plane in 0..3 {
            let dec = usize::from(plane > 0);
            let mut block = Plane::<u8>::new(64, 64, dec, dec, 0, 0);
            for (x, y, w, h) in [(0, 0, 8, 8), (8, 16, 16, 8), (16, 8, 16, 16), (24, 8, 8, 16)] {
                if (x + w) > size.0 >> dec || (y + h) > size.1 >> dec {
                    continue;
                }
                let to = &mut block.as_region_mut();
                predict_block(to, &reference.planes[plane], half, size, (x, y), (w, h));
                for r in 0..h {
                    let crop = upsampled.from(&reference, plane, (x, y));
                    assert_eq!(&to[r][..w], &crop[r][..w], "plane {plane} block {x},{y} {w}x{h} row {r}");
                }
            }
        }
    }

    #[test]
    fn the_smallest_blocks_have_a_shorter_way_to_the_same_samples() {
        let (size, half) = ((72, 48), (36, 24));
        let reference = noise(half.0, half.1);
        for plane in &reference.planes {
            let (width, height) = (size.0 >> plane.cfg.xdec, size.1 >> plane.cfg.ydec);
            for (x, y) in (0..height / 4).flat_map(|y| (0..width / 4).map(move |x| (4 * x, 4 * y))) {
                let mut blocks =
                    [(); 2].map(|()| Plane::<u8>::new(8, 8, plane.cfg.xdec, plane.cfg.ydec, 0, 0));
                predict_4x4(&mut blocks[0].as_region_mut(), plane, half, (x, y));
                predict_any(&mut blocks[1].as_region_mut(), plane, half, size, (x, y), (4, 4));
                let rows = |block: &Plane<u8>| [0, 1, 2, 3].map(|r| block.row(r)[..4].to_vec());
                assert_eq!(rows(&blocks[0]), rows(&blocks[1]), "block {x},{y}");
            }
        }
    }

    #[test]
    fn a_flat_layer_stays_flat_at_any_ratio() {
        let mut reference = noise(17, 9);
        for plane in &mut reference.planes {
            plane.data.fill(77);
        }
        let mut block = Plane::<u8>::new(64, 64, 0, 0, 0, 0);
        predict_block(&mut block.as_region_mut(), &reference.planes[0], (17, 9), (33, 17), (16, 8), (16, 8));
        assert!((0..8).all(|r| block.row(r)[..16].iter().all(|&s| s == 77)));
    }
}
