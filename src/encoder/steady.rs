//! What stands still in a camera's picture: blocks that are taken from the temporal reference as they are, without a search and
//! without a transform, because what differs is noise that the quantizer would not keep.

use super::kernels::*;
use super::quantizer::Quantizer;
use super::superblock::SIDE;

/// Side of a piece, in samples.
const PIECE: usize = 8;
/// Pieces along the side of a superblock's luma.
const PIECES: usize = SIDE / PIECE;

/// What differs is noise if the root of a piece's mean squared difference is at most so many quantizer steps, the mean
/// difference of a piece so many, and the first coefficient that a transform of the whole block would have so many. Measured on
/// real clips, by bits over time.
const NOISE: f32 = 0.35;
const LEVEL: f32 = 0.1;
const FIRST: f32 = 0.9;

/// How much a piece of 8x8 samples differs from the reference.
#[derive(Clone, Copy, Default)]
struct Difference {
    sum: i32,
    squares: u32,
}

/// How a superblock differs from the reference where it is.
pub(super) struct Steady {
    luma: [[Difference; PIECES]; PIECES],
    chroma: [[[Difference; PIECES / 2]; PIECES / 2]; 2],
}

impl Steady {
    /// Of the superblock whose corner is at `(x, y)` in luma samples. Both frames are padded by a superblock.
    pub(super) fn look<'a>(source: &'a Frame<u8>, reference: &'a Frame<u8>, (x, y): (usize, usize)) -> Self {
        let mut steady = Self { luma: Default::default(), chroma: Default::default() };
        let of = |plane: &'a Plane<u8>| {
            let (x, y, stride) = (x >> plane.cfg.xdec, y >> plane.cfg.ydec, plane.cfg.stride);
            (&plane.data_origin()[y * stride + x..], stride)
        };
        let both = |p: usize| (of(&source.planes[p]), of(&reference.planes[p]));
        let (ours, theirs) = both(0);
        compare::<PIECES, SIDE>(ours, theirs, &mut steady.luma);
        for (p, plane) in steady.chroma.iter_mut().enumerate() {
            let (ours, theirs) = both(p + 1);
            compare::<{ PIECES / 2 }, { SIDE / 2 }>(ours, theirs, plane);
        }
        steady
    }

    /// The squared error of a block of at least 16x16 that is taken over, if it may be; `at` is its corner in the
    /// superblock, in luma samples.
    pub(super) fn error(&self, at: (usize, usize), side: usize, q: &Quantizer) -> Option<f32> {
        let step = q.ac as f32 / 8.0;
        let mut error = 0;
        let mut plane = |rows: &mut dyn Iterator<Item = &[Difference]>, side: usize| {
            let mut total = 0;
            for difference in rows.flatten() {
                let noise = difference.squares as f32 <= NOISE * NOISE * step * step * (PIECE * PIECE) as f32;
                let level = difference.sum.abs() as f32 <= LEVEL * step * (PIECE * PIECE) as f32;
                if !(noise && level) {
                    return false;
                }
                total += difference.sum;
                error += difference.squares;
            }
            total.abs() as f32 <= FIRST * step * side as f32
        };
        let range = |at: usize, piece: usize| at / piece..(at + side) / piece;
        let (cols, rows) = (range(at.0, PIECE), range(at.1, PIECE));
        let mut luma = self.luma[rows].iter().map(|row| &row[cols.clone()]);
        if !plane(&mut luma, side) {
            return None;
        }
        let (cols, rows) = (range(at.0, 2 * PIECE), range(at.1, 2 * PIECE));
        for chroma in &self.chroma {
            let mut chroma = chroma[rows.clone()].iter().map(|row| &row[cols.clone()]);
            if !plane(&mut chroma, side / 2) {
                return None;
            }
        }
        Some(error as f32)
    }
}

wide! {
    /// Compares the samples of a square of `N` x `N` pieces, `WIDTH` samples wide: those of the source and of the reference,
    /// from its corner on, each with their stride.
    fn compare<const N: usize, const WIDTH: usize>(
        source: (&[u8], usize),
        reference: (&[u8], usize),
        differences: &mut [[Difference; N]; N],
    ) {
        for (y, differences) in differences.iter_mut().enumerate() {
            // Each column of the pieces' rows on its own: wide vectors hold many of them.
            let (mut sums, mut squares) = ([0i16; WIDTH], [0i32; WIDTH]);
            for row in y * PIECE..(y + 1) * PIECE {
                let (ours, theirs) = (&source.0[row * source.1..][..WIDTH], &reference.0[row * reference.1..][..WIDTH]);
                for i in 0..WIDTH {
                    let d = i16::from(ours[i]) - i16::from(theirs[i]);
                    sums[i] += d;
                    squares[i] += i32::from(d) * i32::from(d);
                }
            }
            for (i, difference) in differences.iter_mut().enumerate() {
                let (sums, squares) = (&sums[i * PIECE..][..PIECE], &squares[i * PIECE..][..PIECE]);
                let sum = sums.iter().map(|&sum| i32::from(sum)).sum();
                *difference = Difference { sum, squares: squares.iter().sum::<i32>() as u32 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of 128x128 whose samples differ from 100 by what `of` says of a plane, column and row.
    fn frame(of: impl Fn(usize, usize, usize) -> i16) -> Frame<u8> {
        let mut frame = Frame::new_with_padding(128, 128, ChromaSampling::Cs420, 88);
        for (p, plane) in frame.planes.iter_mut().enumerate() {
            let (stride, width, height) = (plane.cfg.stride, plane.cfg.width, plane.cfg.height);
            for (y, row) in plane.data_origin_mut().chunks_mut(stride).take(height).enumerate() {
                for (x, sample) in row[..width].iter_mut().enumerate() {
                    *sample = (100 + of(p, x, y)) as u8;
                }
            }
        }
        frame
    }

    #[test]
    fn noise_stands_still_and_what_moves_or_becomes_brighter_does_not() {
        let q = Quantizer::new(100, 1.0);
        let step = q.ac as i16 / 8;
        let noise = |x: usize, y: usize| if (x + y).is_multiple_of(2) { step / 4 } else { -(step / 4) };
        let reference = frame(|_, _, _| 0);
        let error = |source: &Frame<u8>, at: (usize, usize), side| {
            Steady::look(source, &reference, (64, 64)).error(at, side, &q)
        };
        let noisy = frame(|p, x, y| if p == 0 { noise(x, y) } else { 0 });
        let squares = f32::from(step / 4).powi(2) * 64.0 * 64.0;
        assert_eq!(error(&noisy, (0, 0), 64), Some(squares));
        // One piece in the lower right quarter has moved.
        let moved = frame(|p, x, y| if p == 0 && x >= 120 && y >= 120 { step } else { 0 });
        assert_eq!(error(&moved, (0, 0), 64), None);
        assert_eq!(error(&moved, (32, 32), 32), None);
        assert_eq!(error(&moved, (0, 32), 32), Some(0.0));
        assert_eq!(error(&moved, (32, 32), 16), Some(0.0));
        // All is brighter by less than is seen in a piece alone; and chroma has changed.
        let brighter = frame(|p, _, _| if p == 0 { 1 } else { 0 });
        assert_eq!(error(&brighter, (0, 0), 64), None);
        let coloured = frame(|p, _, _| if p == 2 { step } else { 0 });
        assert_eq!(error(&coloured, (0, 0), 16), None);
    }
}
