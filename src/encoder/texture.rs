//! Where a picture's texture is weak, an error is seen more: how much a bit is worth in each superblock.
//!
//! SSIM divides the error of a piece by its variance, and so does the eye: what is lost in a wall, in hair or in cloth is
//! seen, what is lost among leaves is not. So a bit is worth less error where the variance is less than elsewhere in the
//! picture. All is computed in whole numbers, so that every machine codes the same bits.

use super::kernels::*;
use super::superblock::{self, SIDE};

/// Side of a piece, in samples.
const PIECE: usize = 8;
/// Added to the sum of a piece's squared differences to its mean: noise of about two levels is no texture.
const NOISE: u32 = 256;

/// For each superblock of the `width` x `height` samples of a plane, what a bit is worth there, relative to the picture's mean.
pub(super) fn weights(plane: &Plane<u8>, (width, height): (usize, usize)) -> Vec<f32> {
    let textures = superblock::map((width, height), |col, row| {
        let (x, y) = (col * SIDE, row * SIDE);
        texture(plane, (x, y), ((x + SIDE).min(width), (y + SIDE).min(height)))
    });
    let mean = textures.iter().map(|&t| i64::from(t)).sum::<i64>() / textures.len().max(1) as i64;
    textures.into_iter().map(|texture| weight(texture - mean as i32)).collect()
}

/// The mean log2 of the variances of a superblock's pieces, in 1/256.
fn texture(plane: &Plane<u8>, (left, top): (usize, usize), (right, bottom): (usize, usize)) -> i32 {
    let columns = (right - left) / PIECE;
    let (mut sum, mut pieces) = (0, 0);
    let mut row = [0; SIDE / PIECE];
    for y in (top..bottom.saturating_sub(PIECE - 1)).step_by(PIECE) {
        let samples = &plane.data_origin()[y * plane.cfg.stride + left..];
        spreads(samples, plane.cfg.stride, &mut row[..columns]);
        sum += row[..columns].iter().map(|&spread| log2(spread + NOISE)).sum::<i32>();
        pieces += columns as i32;
    }
    // A picture's edge may have no whole piece.
    if pieces == 0 { log2(NOISE) } else { sum / pieces }
}

wide! {
    /// For each piece of a row of pieces, the sum of the squared differences of its samples to their mean. `samples` begin
    /// with those of the first piece.
    fn spreads(samples: &[u8], stride: usize, spreads: &mut [u32]) {
        let mut rows = [&samples.as_chunks().0[..spreads.len()]; PIECE];
        for (row, pieces) in rows.iter_mut().enumerate() {
            *pieces = &samples[row * stride..].as_chunks().0[..spreads.len()];
        }
        for (piece, spread) in spreads.iter_mut().enumerate() {
            // Each place of the piece's rows on its own: wide vectors hold them all.
            let (mut sums, mut squares) = ([0u16; PIECE], [0u32; PIECE]);
            for row in rows {
                let row: &[u8; PIECE] = &row[piece];
                for i in 0..PIECE {
                    let sample = u16::from(row[i]);
                    sums[i] += sample;
                    squares[i] += u32::from(sample * sample);
                }
            }
            let (sum, squares) = (sums.iter().sum::<u16>(), squares.iter().sum::<u32>());
            *spread = squares - u32::from(sum) * u32::from(sum) / (PIECE * PIECE) as u32;
        }
    }
}

/// log2 in 1/256; between powers of 2 it is a straight line.
fn log2(value: u32) -> i32 {
    let whole = value.ilog2();
    (whole << 8) as i32 + (((value as u64) << 8 >> whole) as i32 & 255)
}

/// The weight of a superblock whose texture differs so much from the mean, in 1/256 of a log2: with this share of the
/// difference as its exponent, from half to a fifth more.
fn weight(texture: i32) -> f32 {
    const PERCENT: i32 = 30;
    /// Powers of 2 whose exponents are eighths.
    const WEIGHTS: [f32; 11] =
        [0.5, 0.5453, 0.5946, 0.6484, 0.707, 0.7711, 0.8409, 0.917, 1.0, 1.0905, 1.1892];
    let eighths = (texture * PERCENT / 100).div_euclid(32);
    WEIGHTS[(eighths + 8).clamp(0, 10) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_worth_less_where_texture_is_weak() {
        // Three superblocks: flat, weak and strong noise; and one that is 5 samples wide.
        let (width, height) = (197, 64);
        let mut plane = Plane::<u8>::new(width, height, 0, 0, 0, 0);
        let stride = plane.cfg.stride;
        let mut state = 1u32;
        for (i, sample) in plane.data_origin_mut().iter_mut().enumerate() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let strength = [0, 5, 60, 0][(i % stride / 64).min(3)];
            *sample = (100 + (state >> 16) % (strength + 1)) as u8;
        }
        let weights = weights(&plane, (width, height));
        assert_eq!(weights.len(), 4);
        assert!(weights[0] < weights[1] && weights[1] < weights[2], "{weights:?}");
        assert!(weights.iter().all(|weight| (0.5..1.2).contains(weight)), "{weights:?}");
    }

    #[test]
    fn where_all_is_alike_a_bit_is_worth_the_same() {
        let plane = Plane::<u8>::new(128, 128, 0, 0, 0, 0);
        assert_eq!(weights(&plane, (128, 128)), [1.0; 4]);
    }
}
