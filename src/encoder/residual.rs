//! From a prediction to a reconstruction: transform and quantization, with their rate and distortion.

use std::sync::LazyLock;

use super::effort::Effort;
use super::forward::Forward;
use super::kernels::*;
use super::quantizer::Quantizer;

/// The most coefficients that a transform block codes: 64-point transforms keep their lower 32.
pub(crate) const MAX_CODED: usize = 32 * 32;

/// Working memory of one tile's transforms.
pub(crate) struct Scratch {
    residual: Box<Aligned<[i16; 64 * 64]>>,
    coefficients: Box<Aligned<[i16; 64 * 64]>>,
    forward: Forward,
    dequantized: Box<Aligned<[i16; MAX_CODED]>>,
    /// The dequantized coefficients and the quantized ones of another transform type.
    other: Box<Aligned<[i16; MAX_CODED]>>,
    other_levels: Box<[i16; MAX_CODED]>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            residual: Box::new(Aligned::new([0; 64 * 64])),
            coefficients: Box::new(Aligned::new([0; 64 * 64])),
            forward: Forward::new(),
            dequantized: Box::new(Aligned::new([0; MAX_CODED])),
            other: Box::new(Aligned::new([0; MAX_CODED])),
            other_levels: Box::new([0; MAX_CODED]),
        }
    }
}

/// The result of coding one transform block.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Coded {
    /// Number of coefficients up to the last that is not zero, in scan order.
    pub(crate) eob: u16,
    /// The squared error that remains.
    pub(crate) distortion: f32,
    /// About how many bits the coefficients take.
    pub(crate) bits: f32,
}

/// The number of coefficients that a transform of this size codes.
pub(crate) fn coded_area(tx_size: TxSize) -> usize {
    tx_size.width().min(32) * tx_size.height().min(32)
}

/// Steps by which a transform's coefficients are larger than an orthonormal one's, as a shift
/// (section 7.12.3: the larger ones are scaled down to keep within their range).
fn scale_shift(tx_size: TxSize) -> u32 {
    match tx_size.area() {
        0..=256 => 0,
        257..=1024 => 1,
        _ => 2,
    }
}

/// Transforms and quantizes the difference between `source` and the prediction in `reconstruction`, writes
/// the coefficients to `quantized`, if there are any, and adds the difference that they restore to the prediction.
///
/// Of `tx_type` and of `others` the type is taken that costs least, and returned. If a block costs hardly less
/// coded than uncoded, it stays uncoded: its eob is 0.
#[allow(clippy::too_many_arguments)]
pub(crate) fn code(
    scratch: &mut Scratch,
    source: &PlaneRegion<'_, u8>,
    reconstruction: &mut PlaneRegionMut<'_, u8>,
    tx_size: TxSize,
    tx_type: TxType,
    q: &Quantizer,
    inter: bool,
    quantized: &mut [i16],
    cpu: CpuFeatureLevel,
    others: &[TxType],
    effort: &Effort,
) -> (Coded, TxType) {
    let (width, area) = (tx_size.width(), tx_size.area());
    let residual = &mut scratch.residual.data[..area];
    let (energy, sum) = differences(residual, source, &reconstruction.as_const(), width);
    let quantized = &mut quantized[..coded_area(tx_size)];
    let shift = scale_shift(tx_size);
    let (dc, ac) = (Step::new(q.dc, shift), Step::new(q.ac, shift));
    // The result if nothing is coded.
    let nothing = Coded { eob: 0, distortion: energy as f32, bits: 0.0 };
    // No coefficient is larger than the root of the energy.
    let least = (q.ac.min(q.dc) as f32 / 8.0) * (1.0 - DC_ROUNDING);
    if (energy as f32) < least * least {
        return (nothing, tx_type);
    }
    if inter && effort.quiet > 0.0 {
        let step = q.ac as f32 / 8.0;
        let share = effort.quiet * QUIET[usize::from(source.plane_cfg.xdec > 0)][tx_size.width_log2() - 2];
        let little = (energy as f32) < share * step * step * area as f32;
        if little && (sum.abs() as f32) < QUIET_SUM * step * width as f32 {
            return (nothing, tx_type);
        }
    }
    let coefficients = &mut scratch.coefficients.data[..area];
    let restored = &mut scratch.dequantized.data[..quantized.len()];
    let column = tx_size.height().min(32);
    let last_rounding = if inter { effort.last_rounding } else { LAST_ROUNDING_INTRA };
    let forward = &mut scratch.forward;
    forward.begin();
    let mut attempt = |tx_type, quantized: &mut [i16], restored: &mut [i16]| {
        forward.transform(residual, energy, coefficients, tx_size, tx_type, cpu);
        let levels = quantize(coefficients, quantized, restored, column, (dc, ac), shift, last_rounding)?;
        let distortion = energy as f32 - levels.gain / (64 >> (2 * shift)) as f32;
        let coded = Coded { eob: levels.eob, distortion: distortion.max(0.0), bits: levels.bits };
        Some((coded, distortion + q.lambda * levels.bits))
    };
    let Some((mut coded, mut cost)) = attempt(tx_type, quantized, restored) else {
        return (nothing, tx_type);
    };
    let mut best = tx_type;
    if coded.eob > 1 {
        let restored_by_other = &mut scratch.other.data[..quantized.len()];
        let levels = &mut scratch.other_levels[..quantized.len()];
        for &other in others.iter().filter(|&&other| other != tx_type) {
            let Some((by_other, cost_of_other)) = attempt(other, levels, restored_by_other) else { continue };
            let cost_of_other = cost_of_other + q.lambda * OTHER_TYPE_BITS;
            if cost_of_other < cost {
                (best, cost) = (other, cost_of_other);
                coded = Coded { bits: by_other.bits + OTHER_TYPE_BITS, ..by_other };
                quantized.copy_from_slice(levels);
                restored.copy_from_slice(restored_by_other);
            }
        }
    }
    let luma = source.plane_cfg.xdec == 0;
    let worth = if inter && luma { WORTH_CODING } else { 1.0 };
    if cost >= energy as f32 * worth {
        return (nothing, tx_type);
    }
    inverse_transform_add(restored, reconstruction, coded.eob, tx_size, best, 8, cpu);
    (coded, best)
}

/// A luma block that another picture predicts is coded if that costs less than this share of what it costs uncoded. What is
/// left of a good prediction is mostly noise: coded in part, it flickers and is no better a reference. Chroma and intra blocks
/// lose by it. Measured on real clips.
const WORTH_CODING: f32 = 0.85;
/// Of luma and of chroma, for blocks of 4x4 to 64x64: the mean squared error, in squared steps, below which less than about one
/// block in ten is coded once it is transformed. Measured on real clips.
const QUIET: [[f32; 5]; 2] =
    [[0.015, 0.011, 0.0156, 0.0156, 0.0156], [0.022, 0.0078, 0.0028, 0.0014, 0.0014]];
/// ... unless its first coefficient is larger than so many steps.
const QUIET_SUM: f32 = 0.5;
/// About how many bits more another transform type than the usual one takes.
const OTHER_TYPE_BITS: f32 = 2.0;

/// The quantized coefficients of a block, summed up.
struct Levels {
    eob: u16,
    /// The squared error that they remove, at the transform's scale.
    gain: f32,
    bits: f32,
}

wide! {
    /// Quantizes the coefficients of a square transform with `column` coefficients a side, and restores them.
    /// Returns nothing if all of them become 0.
    fn quantize(
        coefficients: &[i16],
        quantized: &mut [i16],
        restored: &mut [i16],
        column: usize,
        steps: (Step, Step),
        shift: u32,
        last_rounding: f32,
    ) -> Option<Levels> {
        let (dc, ac) = steps;
        let places = scan_places(column);
        let dead_zone = ((1.0 - last_rounding) * ac.size).ceil() as i16;
        let mut last = -1i16;
        for (&place, &c) in places.iter().zip(coefficients) {
            let counts = if c.saturating_abs() >= dead_zone { place } else { -1 };
            last = last.max(counts);
        }
        let dc_level = (f32::from(coefficients[0]).abs() * dc.inverse + DC_ROUNDING) as i16;
        if last <= 0 {
            last = if dc_level > 0 { 0 } else { -1 };
        }
        if last < 0 {
            return None;
        }
        let eob = last as u16 + 1;
        quantized.fill(0);
        restored.fill(0);
        // The scan runs along diagonals, so the first `eob` coefficients lie in a corner of the block. Its rows are taken
        // whole where they are short.
        let corner = diagonals(eob).min(column);
        let (side, rows) = if column < 32 { (corner * column, 1) } else { (corner.next_multiple_of(8), corner) };
        // Sums of whole numbers may be formed in any order, so that wide vectors hold parts of them. None is larger than
        // the energy of a block.
        let (mut gain, mut tenths) = (0i32, 0i32);
        for first in (0..quantized.len()).step_by(column).take(rows) {
            let range = first..first + side;
            let (levels, values) = (&mut quantized[range.clone()], &mut restored[range.clone()]);
            let inputs = places[range.clone()].iter().zip(&coefficients[range.clone()]);
            for ((&place, &c), (level, value)) in inputs.zip(levels.iter_mut().zip(values.iter_mut())) {
                let magnitude = whole(i32::from(c).abs() as f32 * ac.inverse + AC_ROUNDING);
                let magnitude = if place <= last { magnitude } else { 0 };
                let sign = i32::from(c >> 15);
                *level = ((magnitude ^ sign) - sign) as i16;
                *value = ((((magnitude * ac.step) >> shift) ^ sign) - sign) as i16;
            }
            if first == 0 {
                let sign = coefficients[0].signum();
                levels[0] = dc_level * sign;
                values[0] = ((i32::from(dc_level) * dc.step) >> shift) as i16 * sign;
            }
            for ((&level, &value), &c) in levels.iter().zip(&*values).zip(&coefficients[range]) {
                let (value, c) = (i32::from(value), i32::from(c));
                gain = gain.wrapping_add(value * (2 * c - value));
                tenths += level_bits(level);
            }
        }
        let (gain, mut bits) = (gain as f32, tenths as f32 * 0.1);
        bits += 4.0 + 0.55 * f32::from(eob);
        Some(Levels { eob, gain, bits })
    }
}

/// The part of a step that is added before the fraction is cut off. The last coefficient of a block has to be
/// larger than others to be worth its place in the scan. Measured on real clips.
const DC_ROUNDING: f32 = 0.42;
const AC_ROUNDING: f32 = 0.39;
const LAST_ROUNDING_INTRA: f32 = 0.34;

/// A quantizer step at a transform's scale.
#[derive(Clone, Copy)]
struct Step {
    step: i32,
    size: f32,
    inverse: f32,
}

impl Step {
    fn new(step: i32, shift: u32) -> Self {
        let size = step as f32 / (1 << shift) as f32;
        Self { step, size, inverse: 1.0 / size }
    }
}

/// The place in the scan of each coefficient of a square transform with `side` coefficients a side, 4 to 32.
fn scan_places(side: usize) -> &'static [i16] {
    static TABLES: [LazyLock<Vec<i16>>; 4] = [
        LazyLock::new(|| diagonal_scan(4)),
        LazyLock::new(|| diagonal_scan(8)),
        LazyLock::new(|| diagonal_scan(16)),
        LazyLock::new(|| diagonal_scan(32)),
    ];
    &TABLES[side.trailing_zeros() as usize - 2]
}

/// Default_Scan of the standard (section 9.3): it walks the diagonals up and down in turn, the first one up.
fn diagonal_scan(side: usize) -> Vec<i16> {
    let mut places = vec![0; side * side];
    let mut place = 0;
    for diagonal in 0..2 * side - 1 {
        let rows = diagonal.saturating_sub(side - 1)..=diagonal.min(side - 1);
        let mut walk: Vec<usize> = rows.collect();
        if diagonal % 2 == 1 {
            walk.reverse();
        }
        for row in walk {
            places[row * side + diagonal - row] = place;
            place += 1;
        }
    }
    places
}

/// The number of diagonals that hold the first `eob` coefficients of a scan.
#[inline(always)]
fn diagonals(eob: u16) -> usize {
    let eob = usize::from(eob);
    (1..64).find(|d| d * (d + 1) / 2 >= eob).unwrap_or(64)
}

/// The whole part of a number from 0.3 to 2^22, which the sum with 2^23 rounds to. A number that is whole itself, or nearly, may
/// become its neighbour.
#[inline(always)]
fn whole(number: f32) -> i32 {
    const LARGE: f32 = (1 << 23) as f32;
    (number - 0.5 + LARGE).to_bits() as i32 - LARGE.to_bits() as i32
}

/// About how many tenths of a bit a level takes besides those of its place.
#[inline(always)]
fn level_bits(level: i16) -> i32 {
    let level = i32::from(level).abs();
    // How many bits the level has, by its exponent as a number with a fraction.
    let width = ((level as f32).to_bits() >> 23) as i32 - 126;
    let large = 33 + 14 * width;
    let small = if level == 2 { 40 } else { 24 * level };
    if level > 2 { large } else { small }
}

/// Writes `a - b` of a square with sides of `width` samples into `to`, and returns the sum of its squares and that of itself.
fn differences(to: &mut [i16], a: &PlaneRegion<'_, u8>, b: &PlaneRegion<'_, u8>, width: usize) -> (u32, i32) {
    match width {
        4 => subtract::<4, 4>(to, a, b),
        8 => subtract::<8, 8>(to, a, b),
        16 => subtract::<16, 16>(to, a, b),
        32 => subtract::<32, 32>(to, a, b),
        _ => subtract::<64, 16>(to, a, b),
    }
}

wide! {
    /// Writes `a - b` into `to`, and returns the sum of its squares and that of itself. Vectors have `LANES` places, and rows
    /// `WIDTH`.
    fn subtract<const WIDTH: usize, const LANES: usize>(
        to: &mut [i16],
        a: &PlaneRegion<'_, u8>,
        b: &PlaneRegion<'_, u8>,
    ) -> (u32, i32) {
        let (mut squares, mut sum) = ([0u32; LANES], 0);
        // The differences of so many rows have a sum of 16 bits.
        for (half, to) in to.chunks_mut(32 * WIDTH).enumerate() {
            let mut sums = [0i16; LANES];
            for (y, to) in to.chunks_exact_mut(WIDTH).enumerate() {
                let (a, b) = (&a[32 * half + y][..WIDTH], &b[32 * half + y][..WIDTH]);
                for x in (0..WIDTH).step_by(LANES) {
                    for i in 0..LANES {
                        let d = i16::from(a[x + i]) - i16::from(b[x + i]);
                        to[x + i] = d;
                        sums[i] += d;
                        squares[i] += (i32::from(d) * i32::from(d)) as u32;
                    }
                }
            }
            sum += sums.iter().map(|&sum| i32::from(sum)).sum::<i32>();
        }
        (squares.iter().sum(), sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_are_the_standards() {
        // Default_Scan_4x4: which coefficient stands at each place.
        let standard = [0, 4, 1, 2, 5, 8, 12, 9, 6, 3, 7, 10, 13, 14, 11, 15];
        for (place, position) in standard.into_iter().enumerate() {
            assert_eq!(scan_places(4)[position], place as i16);
        }
        for side in [8, 16, 32] {
            let mut places = scan_places(side).to_vec();
            assert_eq!((places[side], places[1]), (1, 2));
            places.sort_unstable();
            assert!(places.iter().enumerate().all(|(i, &p)| p == i as i16));
        }
    }

    #[test]
    fn levels_are_whole_numbers_and_cost_what_their_bits_do() {
        for number in [0.3, 0.39, 0.999, 1.01, 7.25, 255.75, 20_000.5] {
            assert_eq!(whole(number), number as i32, "{number}");
        }
        for (level, tenths) in [(0, 0), (1, 24), (-2, 40), (3, 61), (-4, 75), (7, 75), (1024, 187)] {
            assert_eq!(level_bits(level), tenths, "{level}");
        }
    }

    #[test]
    fn differences_have_the_sums_of_their_samples() {
        // The greatest differences there are, and others.
        let plane = |of: &dyn Fn(usize) -> u8| {
            let mut plane = Plane::<u8>::new(64, 64, 0, 0, 0, 0);
            plane.data_origin_mut().iter_mut().enumerate().for_each(|(i, sample)| *sample = of(i));
            plane
        };
        let bright = plane(&|i| if i % 7 > 0 { 255 } else { 254 });
        let dark = plane(&|i| if i % 11 > 0 { 0 } else { (i * i) as u8 });
        for (a, b) in [(&bright, &dark), (&dark, &bright)] {
            for width in [4, 8, 16, 32, 64] {
                let (a, b) = (&a.as_region(), &b.as_region());
                let mut to = vec![0; width * width];
                let (squares, sum) = differences(&mut to, a, b, width);
                let expected: Vec<i32> = (0..width * width)
                    .map(|i| (i / width, i % width))
                    .map(|(y, x)| i32::from(a[y][x]) - i32::from(b[y][x]))
                    .collect();
                assert!(to.iter().map(|&d| i32::from(d)).eq(expected.iter().copied()), "width {width}");
                assert_eq!(squares as i32, expected.iter().map(|d| d * d).sum::<i32>(), "width {width}");
                assert_eq!(sum, expected.iter().sum::<i32>(), "width {width}");
            }
        }
    }

    #[test]
    fn the_corner_holds_what_the_scan_reaches() {
        for side in [4, 8, 16, 32] {
            let places = scan_places(side);
            for eob in 1..=(side * side) as u16 {
                let corner = diagonals(eob).min(side);
                let outside = (0..side * side).filter(|i| i / side >= corner || i % side >= corner);
                assert!(outside.into_iter().all(|i| places[i] as u16 >= eob), "side {side} eob {eob}");
            }
        }
    }
}
