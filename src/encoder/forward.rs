//! Forward transforms of 8x8 to 64x64 in numbers of 16 bits: cosine transforms and asymmetric sine transforms.
//!
//! Those of the kernels take numbers of 32 bits and twice as many multiplications. All nodes of these are weighted sums of a
//! column or a row with weights of at most 1, so that the energy of a block bounds them: where it is small, they are computed
//! with more bits below the point.
// Closures, and the iterators that call them, would be compiled for any machine; see `Pass::columns`.
#![allow(clippy::needless_range_loop, clippy::reversed_empty_ranges)]

use super::kernels::*;

/// The transform of one dimension.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Cosine,
    Sine,
    /// The sine transform of what is mirrored.
    Flipped,
}

/// The transforms of columns and of rows, where this file has them.
fn kinds(tx_type: TxType) -> Option<[Kind; 2]> {
    use Kind::{Cosine, Flipped, Sine};
    Some(match tx_type {
        TxType::DCT_DCT => [Cosine, Cosine],
        TxType::ADST_DCT => [Sine, Cosine],
        TxType::DCT_ADST => [Cosine, Sine],
        TxType::ADST_ADST => [Sine, Sine],
        TxType::FLIPADST_DCT => [Flipped, Cosine],
        TxType::DCT_FLIPADST => [Cosine, Flipped],
        TxType::FLIPADST_FLIPADST => [Flipped, Flipped],
        TxType::ADST_FLIPADST => [Sine, Flipped],
        TxType::FLIPADST_ADST => [Flipped, Sine],
        _ => return None,
    })
}

/// The most coefficients that a transform codes along a side: those of 64 samples are the lower half.
const CODED: usize = 32;

/// The residual of a block, and its columns once they are transformed: types that differ in the rows alone share them.
pub(crate) struct Forward {
    columns: Box<[Aligned<[i16; 64 * CODED]>; 3]>,
    /// Which of them there are.
    done: [bool; 3],
}

impl Forward {
    pub(crate) fn new() -> Self {
        Self { columns: Box::new(std::array::from_fn(|_| Aligned::new([0; 64 * CODED]))), done: [false; 3] }
    }

    /// Forgets the columns of the block before.
    pub(crate) fn begin(&mut self) {
        self.done = [false; 3];
    }

    /// Transforms a residual, whose squares have the sum `energy`, into coefficients of the scale and the order that the kernels
    /// have: one column after the other. Of 64x64 there are the lower 32x32 alone.
    pub(crate) fn transform(
        &mut self,
        residual: &[i16],
        energy: u32,
        output: &mut [i16],
        tx_size: TxSize,
        tx_type: TxType,
        cpu: CpuFeatureLevel,
    ) {
        let side = tx_size.width();
        let Some([columns, rows]) = kinds(tx_type).filter(|_| matches!(side, 8 | 16 | 32 | 64)) else {
            return transform(residual, output, tx_size, tx_type, cpu);
        };
        // By how many bits the columns are scaled up first, the largest energy with which they need not be scaled down, and what
        // the two passes scale by beside the scale that is asked for.
        let (up, most, rest): (u32, u64, u32) = match side {
            8 => (3, 1 << 19, 2),
            16 => (3, 1 << 17, 3),
            32 => (2, 1 << 17, 4),
            _ => (1, 1 << 17, 5),
        };
        let down = (0..6).find(|down| u64::from(energy) <= most << (2 * down)).unwrap_or(6);
        let coded = side.min(CODED);
        let between = &mut self.columns[columns as usize].data[..side * coded];
        if !self.done[columns as usize] {
            self.done[columns as usize] = true;
            pass(columns, (side, side), residual, between, Scale { up, down }, true);
        }
        let output = &mut output[..coded * coded];
        let (up, down) = if rest >= down { (0, rest - down) } else { (1, 0) };
        pass(rows, (side, coded), between, output, Scale { up: 0, down }, false);
        if up > 0 {
            output.iter_mut().for_each(|c| *c <<= up);
        }
    }
}

/// By how many bits numbers are scaled up before a pass, and down after it.
#[derive(Clone, Copy)]
struct Scale {
    up: u32,
    down: u32,
}

/// Transforms columns, as many as `size` says beside how long they are, and transposes them then if that is asked for.
fn pass(kind: Kind, size: (usize, usize), from: &[i16], to: &mut [i16], scale: Scale, transpose: bool) {
    let job = Pass { kind, side: size.0, width: size.1, scale, transpose };
    by_lanes(&job, from, to);
}

/// One pass over columns of `side` numbers.
struct Pass {
    kind: Kind,
    side: usize,
    /// How many columns there are.
    width: usize,
    scale: Scale,
    transpose: bool,
}

impl ByLanes for Pass {
    #[inline(always)]
    fn run<V8: Lanes, V16: Lanes>(&self, from: &[i16], to: &mut [i16]) {
        match self.side {
            8 => self.columns::<V8, 8>(8, from, to),
            16 => self.columns::<V16, 16>(16, from, to),
            32 => self.columns::<V16, 32>(32, from, to),
            _ => self.columns::<V16, 64>(self.width, from, to),
        }
    }
}

impl Pass {
    // No closures from here on: the compiler takes them for functions of any machine, in which it puts no vectors of AVX2.
    #[inline(always)]
    fn columns<V: Lanes, const N: usize>(&self, width: usize, from: &[i16], to: &mut [i16])
    where
        [V; N]: Transform,
    {
        // A sine transform is one of cosines of what is mirrored, so that the one that is to be mirrored is not.
        let mirrored = self.kind == Kind::Sine;
        let factor = 1 << (15 - self.scale.down).min(14);
        let coded = if N < CODED { N } else { CODED };
        for first in (0..width).step_by(V::PLACES) {
            let mut rows = [V::load(&from[first..]); N];
            for y in 0..N {
                let from_y = if mirrored { N - 1 - y } else { y };
                rows[y] = V::load(&from[from_y * width + first..]).up(self.scale.up);
            }
            if self.kind == Kind::Cosine {
                rows = rows.cosines();
                // The first coefficient has a scale of its own.
                rows[0] = rows[0].times(HALF);
            } else {
                rows = rows.sines();
            }
            if self.scale.down > 0 {
                for row in &mut rows[..coded] {
                    *row = row.times(factor);
                }
            }
            if self.transpose {
                for i in 0..coded / V::PLACES {
                    let square = &mut rows[i * V::PLACES..][..V::PLACES];
                    V::transpose(square);
                    for y in 0..V::PLACES {
                        square[y].store(&mut to[(first + y) * coded + i * V::PLACES..]);
                    }
                }
            } else {
                for y in 0..coded {
                    rows[y].store(&mut to[y * width + first..]);
                }
            }
        }
    }
}

/// Transforms of as many numbers as there are vectors, one for each place.
trait Transform {
    fn cosines(self) -> Self;
    fn sines(self) -> Self;
}

/// The cosine of pi / 4, in 1/32768.
const HALF: i16 = 23170;
/// For each transform of 2, 4, 8, 16 and 32 numbers, n, the cosines and sines of (2i + 1) pi / 4n.
const ANGLES_2: [(i16, i16); 1] = [(30274, 12540)];
const ANGLES_4: [(i16, i16); 2] = [(32138, 6393), (27246, 18205)];
const ANGLES_8: [(i16, i16); 4] = [(32610, 3212), (31357, 9512), (28899, 15447), (25330, 20788)];
const ANGLES_16: [(i16, i16); 8] = [
    (32729, 1608),
    (32413, 4808),
    (31786, 7962),
    (30853, 11039),
    (29622, 14010),
    (28106, 16846),
    (26320, 19520),
    (24279, 22006),
];
const ANGLES_32: [(i16, i16); 16] = [
    (32758, 804),
    (32679, 2411),
    (32522, 4011),
    (32286, 5602),
    (31972, 7180),
    (31581, 8740),
    (31114, 10279),
    (30572, 11793),
    (29957, 13279),
    (29269, 14733),
    (28511, 16151),
    (27684, 17531),
    (26791, 18868),
    (25833, 20160),
    (24812, 21403),
    (23732, 22595),
];

/// The sum of `x[i] cos((2i + 1) k pi / 2n)` for each k (DCT-II).
#[inline(always)]
fn even_1<V: Lanes>(x: [V; 1]) -> [V; 1] {
    x
}

/// The sum of `x[i] cos((2i + 1) (2k + 1) pi / 4n)` for each k (DCT-IV).
#[inline(always)]
fn odd_1<V: Lanes>(x: [V; 1]) -> [V; 1] {
    [x[0].times(HALF)]
}

/// Both of `n` numbers from those of half as many.
macro_rules! even {
    ($n:literal, $half:literal, $even:ident, $even_half:ident, $odd_half:ident) => {
        #[inline(always)]
        fn $even<V: Lanes>(x: [V; $n]) -> [V; $n] {
            let (mut sums, mut differences) = ([x[0]; $half], [x[0]; $half]);
            for i in 0..$half {
                sums[i] = x[i].plus(x[$n - 1 - i]);
                differences[i] = x[i].minus(x[$n - 1 - i]);
            }
            let (even, odd) = ($even_half(sums), $odd_half(differences));
            let mut y = x;
            for k in 0..$half {
                (y[2 * k], y[2 * k + 1]) = (even[k], odd[k]);
            }
            y
        }
    };
}
macro_rules! odd {
    ($n:literal, $half:literal, $odd:ident, $even_half:ident, $angles:ident) => {
        #[inline(always)]
        fn $odd<V: Lanes>(x: [V; $n]) -> [V; $n] {
            let (mut a, mut b) = ([x[0]; $half], [x[0]; $half]);
            for i in 0..$half {
                let (cos, sin) = $angles[i];
                let (one, other) = (x[i], x[$n - 1 - i]);
                a[i] = one.times(cos).plus(other.times(sin));
                let (one, other) = (one.times(sin), other.times(cos));
                b[i] = if i % 2 == 0 { one.minus(other) } else { other.minus(one) };
            }
            // The second one stands for a transform of sines.
            let (a, b) = ($even_half(a), $even_half(b));
            let mut y = x;
            (y[0], y[$n - 1]) = (a[0], b[0]);
            for k in 1..$half {
                y[2 * k - 1] = a[k].plus(b[$half - k]);
                y[2 * k] = a[k].minus(b[$half - k]);
            }
            y
        }
    };
}

even!(2, 1, even_2, even_1, odd_1);
odd!(2, 1, odd_2, even_1, ANGLES_2);
even!(4, 2, even_4, even_2, odd_2);
odd!(4, 2, odd_4, even_2, ANGLES_4);
even!(8, 4, even_8, even_4, odd_4);
odd!(8, 4, odd_8, even_4, ANGLES_8);
even!(16, 8, even_16, even_8, odd_8);
odd!(16, 8, odd_16, even_8, ANGLES_16);
even!(32, 16, even_32, even_16, odd_16);
odd!(32, 16, odd_32, even_16, ANGLES_32);
even!(64, 32, even_64, even_32, odd_32);

macro_rules! transform {
    ($n:literal, $even:ident, $odd:ident) => {
        impl<V: Lanes> Transform for [V; $n] {
            #[inline(always)]
            fn cosines(self) -> Self {
                $even(self)
            }

            #[inline(always)]
            fn sines(self) -> Self {
                let mut y = $odd(self);
                let zero = y[0].minus(y[0]);
                for k in (1..$n).step_by(2) {
                    y[k] = zero.minus(y[k]);
                }
                y
            }
        }
    };
}

transform!(8, even_8, odd_8);
transform!(16, even_16, odd_16);

/// Of the larger ones the standard has no sine transforms.
macro_rules! cosines {
    ($n:literal, $even:ident) => {
        impl<V: Lanes> Transform for [V; $n] {
            #[inline(always)]
            fn cosines(self) -> Self {
                $even(self)
            }

            #[inline(always)]
            fn sines(self) -> Self {
                self
            }
        }
    };
}

cosines!(32, even_32);
cosines!(64, even_64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_what_they_say() {
        let all = [&ANGLES_2[..], &ANGLES_4, &ANGLES_8, &ANGLES_16, &ANGLES_32];
        for (angles, n) in all.into_iter().zip([2, 4, 8, 16, 32]) {
            assert_eq!(angles.len(), n / 2);
            for (i, &(cos, sin)) in angles.iter().enumerate() {
                let angle = (2 * i + 1) as f64 * std::f64::consts::PI / (4 * n) as f64;
                assert_eq!(
                    (cos, sin),
                    ((angle.cos() * 32768.0).round() as i16, (angle.sin() * 32768.0).round() as i16)
                );
            }
        }
    }

    /// The transform that the standard inverts, in numbers with a fraction, at the scale of the kernels.
    fn exact(residual: &[i16], side: usize, [columns, rows]: [Kind; 2]) -> Vec<f64> {
        let weight = |kind: Kind, k: usize, i: usize| {
            let (n, k, i) = (side as f64, k as f64, if kind == Kind::Flipped { side - 1 - i } else { i });
            let at = (2 * i + 1) as f64 * std::f64::consts::PI / (2.0 * n);
            let value = match kind {
                Kind::Cosine if k == 0.0 => 0.5f64.sqrt(),
                Kind::Cosine => (at * k).cos(),
                _ => (at * (k + 0.5)).sin(),
            };
            (2.0 / n).sqrt() * value
        };
        let mut between = vec![0.0; side * side];
        for (k, x, y) in triples(side) {
            between[k * side + x] += weight(columns, k, y) * f64::from(residual[y * side + x]);
        }
        let mut all = vec![0.0; side * side];
        let scale = [8.0, 4.0, 2.0][side.max(16).ilog2() as usize - 4];
        for (k, r, x) in triples(side) {
            all[k * side + r] += scale * weight(rows, k, x) * between[r * side + x];
        }
        all
    }

    fn triples(side: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..side * side * side).map(move |i| (i / side / side, i / side % side, i % side))
    }

    #[test]
    fn transforms_are_those_of_the_standard() {
        let types = [
            TxType::DCT_DCT,
            TxType::ADST_DCT,
            TxType::DCT_ADST,
            TxType::ADST_ADST,
            TxType::FLIPADST_DCT,
            TxType::DCT_FLIPADST,
            TxType::FLIPADST_FLIPADST,
            TxType::ADST_FLIPADST,
            TxType::FLIPADST_ADST,
        ];
        let mut forward = Forward::new();
        let mut state = 7u32;
        let sizes = [TxSize::TX_8X8, TxSize::TX_16X16, TxSize::TX_32X32, TxSize::TX_64X64];
        for (side, tx_size) in [8, 16, 32, 64].into_iter().zip(sizes) {
            let coded = side.min(CODED);
            // Up to the largest differences there are, of one sign and of both.
            for (amplitude, flat) in
                [(1, false), (9, false), (60, false), (255, false), (255, true), (-255, true)]
            {
                let residual: Vec<i16> = (0..side * side)
                    .map(|_| {
                        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
                        let noise = (state >> 16) as i16;
                        if flat { amplitude } else { noise % (amplitude + 1) }
                    })
                    .collect();
                let energy = residual.iter().map(|&r| (i32::from(r) * i32::from(r)) as u32).sum();
                forward.begin();
                for &tx_type in &types[..if side >= 32 { 1 } else { types.len() }] {
                    let mut coefficients = vec![0; coded * coded];
                    let cpu = CpuFeatureLevel::default();
                    forward.transform(&residual, energy, &mut coefficients, tx_size, tx_type, cpu);
                    let kinds = kinds(tx_type).expect("all are of this file");
                    let exact = exact(&residual, side, kinds);
                    // Fewer bits below the point for large energies.
                    let most = if amplitude.abs() < 100 { 3.0 } else { 24.0f64.max(0.75 * side as f64) };
                    let exact = exact.chunks_exact(side).flat_map(|column| &column[..coded]);
                    for (i, (&c, &exact)) in coefficients.iter().zip(exact).enumerate() {
                        let off = (f64::from(c) - exact).abs();
                        assert!(off <= most, "{side} {tx_type:?} {amplitude} {flat} at {i}: {c} {exact}");
                    }
                }
                // All machines have to code the same.
                let scale = Scale { up: 2, down: 3 };
                let pass = Pass { kind: Kind::Cosine, side, width: side, scale, transpose: true };
                let mut both = [vec![0; side * coded], vec![0; side * coded]];
                by_lanes(&pass, &residual, &mut both[0]);
                pass.run::<[i16; 8], [i16; 8]>(&residual, &mut both[1]);
                assert_eq!(both[0], both[1], "{side} {amplitude}");
            }
        }
    }
}
