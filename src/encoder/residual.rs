//! From a prediction to a reconstruction: transform, quantization, and what both cost.

use std::mem::MaybeUninit;

use super::kernels::*;
use super::quantizer::Quantizer;

/// The most coefficients that a transform block codes: 64-point transforms keep their lower 32.
pub(crate) const MAX_CODED: usize = 32 * 32;

/// Working memory of one tile's transforms.
pub(crate) struct Scratch {
    residual: Box<Aligned<[i16; 64 * 64]>>,
    coefficients: Box<Aligned<[i16; 64 * 64]>>,
    dequantized: Box<Aligned<[i16; MAX_CODED]>>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            residual: Box::new(Aligned::new([0; 64 * 64])),
            coefficients: Box::new(Aligned::new([0; 64 * 64])),
            dequantized: Box::new(Aligned::new([0; MAX_CODED])),
        }
    }
}

/// What coding one transform block comes to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coded {
    /// Coefficients up to the last that is not zero, in scan order.
    pub(crate) eob: u16,
    /// Squared error that remains.
    pub(crate) distortion: f32,
    /// About how many bits the coefficients take.
    pub(crate) bits: f32,
}

/// The coefficients that a transform of this size codes.
pub(crate) fn coded_area(tx_size: TxSize) -> usize {
    tx_size.width().min(32) * tx_size.height().min(32)
}

/// Steps by which a transform's coefficients are larger than an orthonormal one's, as a shift
/// (section 7.12.3: the larger ones are scaled down to keep within their range).
fn scale_shift(tx_size: TxSize) -> u32 {
    match tx_size.area() {
        ..=256 => 0,
        ..=1024 => 1,
        _ => 2,
    }
}

/// Transforms and quantizes what `source` differs from the prediction in `reconstruction`, leaves the
/// quantized coefficients in `quantized` and adds what they restore to the prediction.
///
/// A block that is dearer to code than to leave is left: its eob is 0.
#[allow(clippy::too_many_arguments)]
pub(crate) fn code(
    scratch: &mut Scratch,
    source: &PlaneRegion<'_, u8>,
    reconstruction: &mut PlaneRegionMut<'_, u8>,
    tx_size: TxSize,
    tx_type: TxType,
    q: &Quantizer,
    quantize: impl Fn(&[i16], &mut [i16]) -> u16,
    quantized: &mut [i16],
    cpu: CpuFeatureLevel,
) -> Coded {
    let (width, area) = (tx_size.width(), tx_size.area());
    let residual = &mut scratch.residual.data[..area];
    let energy = subtract(residual, source, &reconstruction.as_const(), width);
    let quantized = &mut quantized[..coded_area(tx_size)];
    quantized.fill(0);
    // No coefficient can reach the quantizer's dead zone.
    let least = (q.ac.min(q.dc) as f32 / 8.0) * 0.57;
    if (energy as f32) < least * least {
        return Coded { eob: 0, distortion: energy as f32, bits: 0.0 };
    }
    let coefficients = &mut scratch.coefficients.data[..area];
    transform(residual, coefficients, tx_size, tx_type, cpu);
    let eob = quantize(coefficients, quantized);
    if eob == 0 {
        return Coded { eob: 0, distortion: energy as f32, bits: 0.0 };
    }
    let shift = scale_shift(tx_size);
    let restored = &mut scratch.dequantized.data[..quantized.len()];
    restored.fill(0);
    let (mut gain, mut bits) = (0i64, 0.0f32);
    // The scan runs along diagonals, so the first `eob` coefficients lie in a corner of the block.
    let corner = diagonals(eob);
    let column = tx_size.height().min(32);
    for first in (0..quantized.len()).step_by(column).take(corner) {
        for i in first..first + corner.min(column) {
            let level = quantized[i];
            if level == 0 {
                continue;
            }
            let step = if i == 0 { q.dc } else { q.ac };
            let magnitude = (i32::from(level).abs() * step) >> shift;
            let value = if level < 0 { -magnitude } else { magnitude };
            restored[i] = value as i16;
            gain += i64::from(value) * i64::from(2 * i32::from(coefficients[i]) - value);
            bits += level_bits(level.unsigned_abs());
        }
    }
    bits += 3.0 + 0.45 * f32::from(eob);
    let distortion = energy as f32 - gain as f32 / (64 >> (2 * shift)) as f32;
    if distortion + q.lambda * bits >= energy as f32 {
        quantized.fill(0);
        return Coded { eob: 0, distortion: energy as f32, bits: 0.0 };
    }
    inverse_transform_add(restored, reconstruction, eob, tx_size, tx_type, 8, cpu);
    Coded { eob, distortion: distortion.max(0.0), bits }
}

/// How many diagonals hold the first `eob` coefficients of a scan.
fn diagonals(eob: u16) -> usize {
    (1..64).find(|d| d * (d + 1) / 2 >= usize::from(eob)).unwrap_or(64)
}

/// About how many bits a level takes beyond those of its place.
fn level_bits(level: u16) -> f32 {
    match level {
        1 => 2.2,
        2 => 3.6,
        _ => 3.0 + 1.3 * (16 - level.leading_zeros()) as f32,
    }
}

/// Writes what `a` has more than `b` into `to` and gives the sum of its squares.
fn subtract(to: &mut [i16], a: &PlaneRegion<'_, u8>, b: &PlaneRegion<'_, u8>, width: usize) -> u64 {
    let mut energy = 0u64;
    for (y, to) in to.chunks_exact_mut(width).enumerate() {
        let mut row = 0u32;
        for ((to, &a), &b) in to.iter_mut().zip(&a[y][..width]).zip(&b[y][..width]) {
            let d = i16::from(a) - i16::from(b);
            *to = d;
            row += (i32::from(d) * i32::from(d)) as u32;
        }
        energy += u64::from(row);
    }
    energy
}

/// rav1e's forward transform writes every coefficient, so its output may begin initialized.
fn transform(input: &[i16], output: &mut [i16], tx_size: TxSize, tx_type: TxType, cpu: CpuFeatureLevel) {
    // SAFETY: `MaybeUninit<i16>` has the layout of `i16`, and the kernel only writes whole values.
    let output = unsafe { &mut *(std::ptr::from_mut(output) as *mut [MaybeUninit<i16>]) };
    forward_transform(input, output, tx_size.width(), tx_size, tx_type, 8, cpu);
}
