//! The probabilities of all symbols: those of rav1e's kernels, and those of palettes and copies, which the kernels do not write
//! (AV1 specification, sections 8.2.6 and 9.3).

use super::kernels::*;

/// The most colours of a palette.
pub(super) const MOST_COLOURS: usize = 8;
/// Pairs of width and height of a block (bsizeCtx of section 5.11.46).
const BLOCK_SIZES: usize = 7;
/// Contexts of a colour's index.
pub(super) const INDEX_CONTEXTS: usize = 5;

/// The probabilities with which a tile is coded.
#[derive(Clone)]
pub(crate) struct Probabilities {
    pub(crate) kernels: CDFContext,
    pub(crate) palettes: PaletteProbabilities,
    pub(crate) copies: CopyProbabilities,
}

impl Probabilities {
    /// The default ones at a quantizer index.
    pub(crate) fn new(qindex: u8) -> Self {
        Self {
            kernels: CDFContext::new(qindex),
            palettes: PaletteProbabilities::new(),
            copies: CopyProbabilities::new(),
        }
    }

    /// Forgets how many symbols were coded with each, so that later frames adapt as fast (section 7.20).
    pub(crate) fn reset_counts(&mut self) {
        self.kernels.reset_counts();
        self.palettes.reset_counts();
        self.copies.reset_counts();
    }

    /// Has the kernels write the vectors of copies in place of those into other pictures, or the other way round again.
    pub(crate) fn swap_vectors(&mut self) {
        std::mem::swap(&mut self.kernels.nmv_context, &mut self.copies.vectors);
    }
}

/// 32768 minus the cumulative probability of each symbol but the last; in the last place the number of symbols coded.
type Cdf<const N: usize> = [u16; N];
/// The indices of palettes of `i + 2` colours take the first `i + 2` values.
type IndexCdfs = [[Cdf<MOST_COLOURS>; INDEX_CONTEXTS]; MOST_COLOURS - 1];

/// The probabilities of palettes, which luma alone has.
#[derive(Clone)]
pub(crate) struct PaletteProbabilities {
    has_luma: [[Cdf<2>; 3]; BLOCK_SIZES],
    has_chroma: [Cdf<2>; 2],
    sizes: [Cdf<{ MOST_COLOURS - 1 }>; BLOCK_SIZES],
    indices: IndexCdfs,
}

impl PaletteProbabilities {
    fn new() -> Self {
        Self {
            has_luma: HAS_LUMA.map(|contexts| contexts.map(|p| cdf(&[p]))),
            has_chroma: HAS_CHROMA.map(|p| cdf(&[p])),
            sizes: SIZES.map(|values| cdf(&values)),
            indices: INDICES.map(|contexts| contexts.map(cdf)),
        }
    }

    fn reset_counts(&mut self) {
        for cdf in self.has_luma.as_flattened_mut().iter_mut().chain(&mut self.has_chroma) {
            cdf[1] = 0;
        }
        for cdf in &mut self.sizes {
            cdf[MOST_COLOURS - 2] = 0;
        }
        for (size, contexts) in self.indices.iter_mut().enumerate() {
            for cdf in contexts {
                cdf[size + 1] = 0;
            }
        }
    }

    /// Writes has_palette_y; `neighbours` is how many of the blocks above and to the left have a palette.
    pub(super) fn write_has_luma(
        &mut self,
        w: &mut impl Writer,
        bsize: BlockSize,
        neighbours: usize,
        has: bool,
    ) {
        write(w, has.into(), &mut self.has_luma[size_context(bsize)][neighbours]);
    }

    /// Writes has_palette_uv.
    pub(super) fn write_has_chroma(&mut self, w: &mut impl Writer, luma: bool, has: bool) {
        write(w, has.into(), &mut self.has_chroma[usize::from(luma)]);
    }

    /// Writes the number of colours.
    pub(super) fn write_size(&mut self, w: &mut impl Writer, bsize: BlockSize, size: usize) {
        write(w, size as u32 - 2, &mut self.sizes[size_context(bsize)]);
    }

    /// Writes an index as its `rank` in the order that its neighbours give.
    pub(super) fn write_index(&mut self, w: &mut impl Writer, size: usize, context: usize, rank: u32) {
        let cdf = &mut self.indices[size - 2][context];
        match size {
            2 => write_first::<2>(w, rank, cdf),
            3 => write_first::<3>(w, rank, cdf),
            4 => write_first::<4>(w, rank, cdf),
            5 => write_first::<5>(w, rank, cdf),
            6 => write_first::<6>(w, rank, cdf),
            7 => write_first::<7>(w, rank, cdf),
            _ => write(w, rank, cdf),
        }
    }

    /// How many bits it takes to say whether a block has a palette in luma.
    pub(super) fn has_luma_bits(&self, bsize: BlockSize, neighbours: usize, has: bool) -> f32 {
        bits(&self.has_luma[size_context(bsize)][neighbours], has.into())
    }

    /// How many bits the number of colours takes.
    pub(super) fn size_bits(&self, bsize: BlockSize, size: usize) -> f32 {
        bits(&self.sizes[size_context(bsize)], size - 2)
    }

    /// How many bits each rank takes in each context.
    pub(super) fn index_bits(&self, size: usize) -> [[f32; MOST_COLOURS]; INDEX_CONTEXTS] {
        self.indices[size - 2].map(|cdf| {
            let mut all = [0.0; MOST_COLOURS];
            for (rank, to) in all[..size].iter_mut().enumerate() {
                *to = bits(&cdf[..size], rank);
            }
            all
        })
    }
}

/// The probabilities of copies within a picture.
#[derive(Clone)]
pub(crate) struct CopyProbabilities {
    pub(super) copied: Cdf<2>,
    /// Those of their vectors (MvCtx 1 of section 5.11.32).
    vectors: NMVContext,
}

impl CopyProbabilities {
    fn new() -> Self {
        Self { copied: cdf(&[COPIED]), vectors: default_nmv_context }
    }

    fn reset_counts(&mut self) {
        fn reset<const N: usize>(cdf: &mut Cdf<N>) {
            cdf[N - 1] = 0;
        }
        reset(&mut self.copied);
        reset(&mut self.vectors.joints_cdf);
        for component in &mut self.vectors.comps {
            reset(&mut component.sign_cdf);
            reset(&mut component.classes_cdf);
            reset(&mut component.class0_cdf);
            component.bits_cdf.iter_mut().for_each(reset);
        }
    }

    /// Writes use_intrabc.
    pub(super) fn write_copied(&mut self, w: &mut impl Writer, copied: bool) {
        write(w, copied.into(), &mut self.copied);
    }
}

fn size_context(bsize: BlockSize) -> usize {
    bsize.width_log2() + bsize.height_log2() - 6
}

/// A distribution from the values that the standard prints.
fn cdf<const N: usize>(values: &[u16]) -> Cdf<N> {
    let mut cdf = [0; N];
    for (to, &value) in cdf.iter_mut().zip(values) {
        *to = 32768 - value;
    }
    cdf
}

pub(super) fn bits(cdf: &[u16], symbol: usize) -> f32 {
    let above = if symbol == 0 { 32768 } else { cdf[symbol - 1] };
    let below = if symbol + 1 == cdf.len() { 0 } else { cdf[symbol] };
    bits_of((above - below).max(1))
}

/// How many bits it takes to tell what has so many chances in 32768.
fn bits_of(chances: u16) -> f32 {
    // The whole part of the logarithm, and 8 bits below the highest one for its fraction.
    let whole = chances.ilog2();
    let below = u32::from(chances) << 8 >> whole & 255;
    15.0 - whole as f32 - LOGARITHMS[below as usize]
}

/// log2 of 1 + (n + 1/2) / 256. Not by a library's logarithm, which may differ between machines.
static LOGARITHMS: [f32; 256] = {
    let mut all = [0.0; 256];
    let mut n = 0;
    while n < 256 {
        // Each squaring of a number from 1 to 2 tells one more bit of its logarithm.
        let (mut square, mut bit) = ((512 + 2 * n as u64 + 1) << 23, 0.5);
        while bit > 1e-6 {
            square = ((square as u128 * square as u128) >> 32) as u64;
            if square >= 2 << 32 {
                square >>= 1;
                all[n] += bit;
            }
            bit /= 2.0;
        }
        n += 1;
    }
    all
};

fn write_first<const N: usize>(w: &mut impl Writer, symbol: u32, cdf: &mut [u16]) {
    let cdf: &mut Cdf<N> = cdf.first_chunk_mut().expect("no palette has more colours");
    write(w, symbol, cdf);
}

/// Writes a symbol and adapts its probabilities (section 8.2.6).
fn write<const N: usize>(w: &mut impl Writer, symbol: u32, cdf: &mut Cdf<N>) {
    w.symbol(symbol, cdf);
    let count = cdf[N - 1];
    let rate = 3 + (count >> 4) + (N.ilog2() as u16).min(2);
    for (i, value) in cdf[..N - 1].iter_mut().enumerate() {
        if i < symbol as usize {
            *value += (32768 - *value) >> rate;
        } else {
            *value -= *value >> rate;
        }
    }
    cdf[N - 1] = count + u16::from(count < 32);
}

/// Default_Intrabc_Cdf.
const COPIED: u16 = 30531;

/// Default_Palette_Y_Mode_Cdf.
#[rustfmt::skip]
static HAS_LUMA: [[u16; 3]; BLOCK_SIZES] = [
    [31676, 3419, 1261], [31912, 2859, 980], [31823, 3400, 781], [32030, 3561, 904],
    [32309, 7337, 1462], [32265, 4015, 1521], [32450, 7946, 129],
];

/// Default_Palette_Uv_Mode_Cdf.
static HAS_CHROMA: [u16; 2] = [32461, 21488];

/// Default_Palette_Y_Size_Cdf.
#[rustfmt::skip]
static SIZES: [[u16; 6]; BLOCK_SIZES] = [
    [7952, 13000, 18149, 21478, 25527, 29241], [7139, 11421, 16195, 19544, 23666, 28073],
    [7788, 12741, 17325, 20500, 24315, 28530], [8271, 14064, 18246, 21564, 25071, 28533],
    [12725, 19180, 21863, 24839, 27535, 30120], [9711, 14888, 16923, 21052, 25661, 27875],
    [14940, 20797, 21678, 24186, 27033, 28999],
];

/// Default_Palette_Size_2_Y_Color_Cdf to Default_Palette_Size_8_Y_Color_Cdf.
#[rustfmt::skip]
static INDICES: [[&[u16]; INDEX_CONTEXTS]; MOST_COLOURS - 1] = [
    [&[28710], &[16384], &[10553], &[27036], &[31603]],
    [&[27877, 30490], &[11532, 25697], &[6544, 30234], &[23018, 28072], &[31915, 32385]],
    [
        &[25572, 28046, 30045], &[9478, 21590, 27256], &[7248, 26837, 29824],
        &[19167, 24486, 28349], &[31400, 31825, 32250],
    ],
    [
        &[24779, 26955, 28576, 30282], &[8669, 20364, 24073, 28093], &[4255, 27565, 29377, 31067],
        &[19864, 23674, 26716, 29530], &[31646, 31893, 32147, 32426],
    ],
    [
        &[23132, 25407, 26970, 28435, 30073], &[7443, 17242, 20717, 24762, 27982],
        &[6300, 24862, 26944, 28784, 30671], &[18916, 22895, 25267, 27435, 29652],
        &[31270, 31550, 31808, 32059, 32353],
    ],
    [
        &[23105, 25199, 26464, 27684, 28931, 30318], &[6950, 15447, 18952, 22681, 25567, 28563],
        &[7560, 23474, 25490, 27203, 28921, 30708], &[18544, 22373, 24457, 26195, 28119, 30045],
        &[31198, 31451, 31670, 31882, 32123, 32391],
    ],
    [
        &[21689, 23883, 25163, 26352, 27506, 28827, 30195],
        &[6892, 15385, 17840, 21606, 24287, 26753, 29204],
        &[5651, 23182, 25042, 26518, 27982, 29392, 30900],
        &[19349, 22578, 24418, 25994, 27524, 29031, 30448],
        &[31028, 31270, 31504, 31705, 31927, 32153, 32392],
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_distributions_and_bits_count_them() {
        let p = PaletteProbabilities::new();
        for size in 2..=MOST_COLOURS {
            for bits in p.index_bits(size) {
                let sum: f32 = bits[..size].iter().map(|bits| (-bits).exp2()).sum();
                assert!((sum - 1.0).abs() < 3e-3, "{size} colours: {sum}");
            }
        }
        let expected = (32768.0f32 / (32768.0 - 31676.0)).log2();
        assert!((p.has_luma_bits(BlockSize::BLOCK_8X8, 0, true) - expected).abs() < 3e-3);
    }

    #[test]
    fn what_is_written_often_takes_fewer_bits() {
        let (mut p, mut w) = (PaletteProbabilities::new(), WriterEncoder::new());
        let before = p.index_bits(5)[1][3];
        (0..40).for_each(|_| p.write_index(&mut w, 5, 1, 3));
        assert!(p.index_bits(5)[1][3] < before / 3.0);
        p.reset_counts();
        assert_eq!(p.indices[3][1][4], 0);
    }
}
