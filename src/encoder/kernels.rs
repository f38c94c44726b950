//! Every name that the encoder takes from rav1e's kernels, which are no stable API: no other file of the
//! encoder names rav1e. The unsafe code that they need is here too, and nowhere else.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use rav1e::bench::context::PlaneBlockOffset;
use rav1e::bench::tiling::{CodedBlockInfo, MiTileState, Tile, TileMut, TileRect};
use rav1e::bench::transform::forward_transform;

pub(crate) use rav1e::bench::api::{ChromaSampling, EncoderConfig};
#[cfg(test)]
pub(crate) use rav1e::bench::cdef::{cdef_analyze_superblock, cdef_filter_superblock};
pub(crate) use rav1e::bench::context::{
    Block, BlockContext, BlockOffset, CDFContext, CFLParams, CandidateMV, ContextWriter, FrameBlocks,
    NMVContext, SuperBlockOffset, TileBlockOffset, TileSuperBlockOffset, default_nmv_context,
    uv_intra_mode_to_tx_type_context,
};
pub(crate) use rav1e::bench::cpu_features::CpuFeatureLevel;
use rav1e::bench::dist::{get_sad, get_satd};
use rav1e::bench::ec::WriterBase;
pub(crate) use rav1e::bench::ec::{Writer, WriterEncoder, WriterRecorder};
#[cfg(test)]
pub(crate) use rav1e::bench::encoder::FrameState;
pub(crate) use rav1e::bench::encoder::{FrameInvariants, Sequence};
pub(crate) use rav1e::bench::frame::{AsRegion, Frame, Plane, PlaneOffset};
pub(crate) use rav1e::bench::mc::{FilterMode, MotionVector, put_8tap};
pub(crate) use rav1e::bench::partition::{
    BlockSize, MvSubpelPrecision, PartitionType, RefType, get_intra_edges,
};
pub(crate) use rav1e::bench::predict::{IntraEdgeFilterParameters, IntraParam, PredictionMode};
pub(crate) use rav1e::bench::tiling::{Area, PlaneRegion, PlaneRegionMut, TileBlocksMut, TilingInfo};
pub(crate) use rav1e::bench::transform::{TxSize, TxType, inverse_transform_add};
pub(crate) use rav1e::bench::util::Aligned;

/// Defines a function that is compiled twice, the second time for AVX2, with which plain loops are twice as
/// wide; machines that have AVX2 run that one. All functions that the body calls have to be
/// `#[inline(always)]`. No further instruction set is enabled: fused multiplication rounds differently, and
/// every machine has to code the same bits. On 64-bit ARM plain loops use NEON, which all such machines have.
macro_rules! wide {
    (
        $(#[$meta:meta])*
        fn $name:ident $(<$(const $c:ident: $ct:ty),+>)? ($($arg:ident: $t:ty),* $(,)?) $(-> $ret:ty)? $body:block
    ) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        fn $name $(<$(const $c: $ct),+>)? ($($arg: $t),*) $(-> $ret)? {
            #[inline(always)]
            fn plain $(<$(const $c: $ct),+>)? ($($arg: $t),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2 $(<$(const $c: $ct),+>)? ($($arg: $t),*) $(-> $ret)? {
                    plain $(::<$($c),+>)? ($($arg),*)
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has AVX2.
                    return unsafe { avx2 $(::<$($c),+>)? ($($arg),*) };
                }
            }
            plain $(::<$($c),+>)? ($($arg),*)
        }
    };
}
/// Symbols that are kept, to be written later.
pub(crate) type Recorder = WriterBase<WriterRecorder>;

/// A tile of a frame while it is coded.
///
/// The kernels have such a type themselves. To make one of those takes as long as to clear 0.6 MB, for tools that are not
/// used here.
pub(crate) struct TileState<'a> {
    pub(crate) input: &'a Frame<u8>,
    pub(crate) input_tile: Tile<'a, u8>,
    pub(crate) rec: TileMut<'a, u8>,
    /// Size in superblocks, and in blocks of 4x4.
    pub(crate) sb_width: usize,
    pub(crate) sb_height: usize,
    pub(crate) mi_width: usize,
    pub(crate) mi_height: usize,
    pub(crate) coded_block_info: MiTileState,
    rect: TileRect,
}

impl TileState<'_> {
    /// Has to be called before the first block is coded: what it makes is large, so that the thread of the tile is to do it.
    pub(crate) fn begin(&mut self) {
        self.coded_block_info = MiTileState::new(self.mi_width, self.mi_height);
    }

    pub(crate) fn tile_rect(&self) -> TileRect {
        self.rect
    }

    pub(crate) fn to_frame_block_offset(&self, bo: TileBlockOffset) -> PlaneBlockOffset {
        self.rect.to_frame_block_offset(bo, 0, 0)
    }

    /// The block above one in a plane that is subsampled so, if there is any: the one at the right of two that share their chroma.
    pub(crate) fn above_block_info(
        &self,
        bo: TileBlockOffset,
        xdec: usize,
        ydec: usize,
    ) -> Option<CodedBlockInfo> {
        let row = (bo.0.y - (bo.0.y & 1) * ydec).checked_sub(1)?;
        Some(self.coded_block_info[row][bo.0.x + (!bo.0.x & 1) * xdec])
    }

    /// The block at the left, likewise: the lower one of two.
    pub(crate) fn left_block_info(
        &self,
        bo: TileBlockOffset,
        xdec: usize,
        ydec: usize,
    ) -> Option<CodedBlockInfo> {
        let col = (bo.0.x - (bo.0.x & 1) * xdec).checked_sub(1)?;
        Some(self.coded_block_info[bo.0.y + (!bo.0.y & 1) * ydec][col])
    }
}

/// The tiles of a frame, each with its part of the frame's blocks.
pub(crate) fn tiles<'a>(
    tiling: &TilingInfo,
    input: &'a Frame<u8>,
    rec: &'a mut Frame<u8>,
    blocks: &'a mut FrameBlocks,
) -> Vec<(TileState<'a>, TileBlocksMut<'a>)> {
    let (rec, blocks) = (std::ptr::from_mut(rec), std::ptr::from_mut(blocks));
    let tile = |i: usize| {
        let at = |tile: usize, side_sb: usize, frame: usize| {
            let (start, side) = (tile * side_sb * 64, side_sb * 64);
            (start, side.min(frame - start))
        };
        let (x, width) = at(i % tiling.cols, tiling.tile_width_sb, tiling.frame_width);
        let (y, height) = at(i / tiling.cols, tiling.tile_height_sb, tiling.frame_height);
        let (sb_width, sb_height) = (width.div_ceil(64), height.div_ceil(64));
        let whole = TileRect { x, y, width: sb_width * 64, height: sb_height * 64 };
        let (mi_width, mi_height) = (width / 4, height / 4);
        // SAFETY: both are borrowed mutably for as long as the tiles live. A tile keeps no reference to them, only to its rectangle
        // of each, and no two of these rectangles overlap: tiles are whole superblocks, and the last ones reach into the padding.
        let (rec, blocks) = unsafe { (&mut *rec, &mut *blocks) };
        let state = TileState {
            input,
            input_tile: Tile::new(input, whole),
            rec: TileMut::new(rec, whole),
            sb_width,
            sb_height,
            mi_width,
            mi_height,
            coded_block_info: MiTileState::new(0, 0),
            rect: TileRect { x, y, width, height },
        };
        (state, TileBlocksMut::new(blocks, x / 4, y / 4, mi_width, mi_height))
    };
    (0..tiling.tile_count()).map(tile).collect()
}

wide! {
    /// How luma differs from its mean, in 1/8, at each chroma sample of a block with sides of 8 to 32 luma samples
    /// (section 7.11.5, for blocks of one transform).
    fn compute_luma_ac(ac: &mut [i16], luma: &PlaneRegion<'_, u8>, side: usize) {
        let half = side / 2;
        let mut sum = 0;
        for (y, ac) in ac.chunks_exact_mut(half).enumerate() {
            let (upper, lower) = (&luma[2 * y][..side], &luma[2 * y + 1][..side]);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            for (ac, (upper, lower)) in ac.iter_mut().zip(pairs) {
                let four = [upper[0], upper[1], lower[0], lower[1]].map(i16::from);
                *ac = 2 * (four[0] + four[1] + four[2] + four[3]);
                sum += i32::from(*ac);
            }
        }
        let mean = (sum + (half * half / 2) as i32) / (half * half) as i32;
        ac.iter_mut().for_each(|ac| *ac -= mean as i16);
    }
}

/// The AC contributions of luma to chroma; `ac` has room for those of the largest block.
pub(crate) fn luma_ac<'a>(ac: &'a mut [i16; 16 * 16], luma: &PlaneRegion<'_, u8>, side: usize) -> &'a [i16] {
    let ac = &mut ac[..side * side / 4];
    compute_luma_ac(ac, luma, side);
    ac
}

/// The forward transform, into memory that is already initialized.
pub(crate) fn transform(
    input: &[i16],
    output: &mut [i16],
    tx_size: TxSize,
    tx_type: TxType,
    cpu: CpuFeatureLevel,
) {
    // SAFETY: `MaybeUninit<i16>` has the layout of `i16`, and the kernel writes initialized coefficients
    // only.
    let output = unsafe { &mut *(std::ptr::from_mut(output) as *mut [MaybeUninit<i16>]) };
    forward_transform(input, output, tx_size.width(), tx_size, tx_type, 8, cpu);
}

/// Numbers that one vector holds.
pub(crate) trait Lanes: Copy {
    /// How many they are.
    const PLACES: usize;
    fn load(from: &[i16]) -> Self;
    fn store(self, to: &mut [i16]);
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    /// Times a factor in 1/32768, rounded.
    fn times(self, factor: i16) -> Self;
    /// Times 2 to the power of `bits`.
    fn up(self, bits: u32) -> Self;
    /// Swaps the rows and columns of as many vectors as each has places.
    fn transpose(rows: &mut [Self]);
}

impl<const N: usize> Lanes for [i16; N] {
    const PLACES: usize = N;

    #[inline(always)]
    fn load(from: &[i16]) -> Self {
        std::array::from_fn(|i| from[i])
    }

    #[inline(always)]
    fn store(self, to: &mut [i16]) {
        to[..N].copy_from_slice(&self);
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i].wrapping_add(other[i]))
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i].wrapping_sub(other[i]))
    }

    #[inline(always)]
    fn times(self, factor: i16) -> Self {
        self.map(|number| ((i32::from(number) * i32::from(factor) + (1 << 14)) >> 15) as i16)
    }

    #[inline(always)]
    fn up(self, bits: u32) -> Self {
        self.map(|number| number << bits)
    }

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn transpose(rows: &mut [Self]) {
        for y in 0..N {
            for x in 0..y {
                let (one, other) = (rows[y][x], rows[x][y]);
                (rows[y][x], rows[x][y]) = (other, one);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// Vectors of 8 and 16 numbers of machines that have AVX2. Only functions that are for those make any.
    #[derive(Clone, Copy)]
    pub(super) struct Eight(__m128i);
    #[derive(Clone, Copy)]
    pub(super) struct Sixteen(__m256i);

    macro_rules! lanes {
        ($name:ident, $places:literal, $load:ident, $store:ident, $plus:ident, $minus:ident, $times:ident, $all:ident, $up:ident) => {
            impl Lanes for $name {
                const PLACES: usize = $places;

                #[inline(always)]
                fn load(from: &[i16]) -> Self {
                    // SAFETY: the machine has AVX2, and so many numbers are read as there are.
                    unsafe { Self($load(from[..$places].as_ptr().cast())) }
                }

                #[inline(always)]
                fn store(self, to: &mut [i16]) {
                    // SAFETY: the machine has AVX2, and so many numbers are written as there are.
                    unsafe { $store(to[..$places].as_mut_ptr().cast(), self.0) }
                }

                #[inline(always)]
                fn plus(self, other: Self) -> Self {
                    // SAFETY: the machine has AVX2.
                    unsafe { Self($plus(self.0, other.0)) }
                }

                #[inline(always)]
                fn minus(self, other: Self) -> Self {
                    // SAFETY: the machine has AVX2.
                    unsafe { Self($minus(self.0, other.0)) }
                }

                #[inline(always)]
                fn times(self, factor: i16) -> Self {
                    // SAFETY: the machine has AVX2.
                    unsafe { Self($times(self.0, $all(factor))) }
                }

                #[inline(always)]
                fn up(self, bits: u32) -> Self {
                    // SAFETY: the machine has AVX2.
                    unsafe { Self($up(self.0, _mm_cvtsi32_si128(bits as i32))) }
                }

                #[inline(always)]
                fn transpose(rows: &mut [Self]) {
                    // Each step has the rows of both halves take turns, place by place.
                    let half: usize = $places / 2;
                    for _ in 0..half.ilog2() + 1 {
                        let mut before = [rows[0]; $places];
                        before.copy_from_slice(rows);
                        for i in 0..half {
                            (rows[2 * i], rows[2 * i + 1]) = before[i].take_turns(before[i + half]);
                        }
                    }
                }
            }
        };
    }

    lanes!(
        Eight,
        8,
        _mm_loadu_si128,
        _mm_storeu_si128,
        _mm_add_epi16,
        _mm_sub_epi16,
        _mm_mulhrs_epi16,
        _mm_set1_epi16,
        _mm_sll_epi16
    );
    lanes!(
        Sixteen,
        16,
        _mm256_loadu_si256,
        _mm256_storeu_si256,
        _mm256_add_epi16,
        _mm256_sub_epi16,
        _mm256_mulhrs_epi16,
        _mm256_set1_epi16,
        _mm256_sll_epi16
    );

    impl Eight {
        /// The places of both in turn: the first halves, and the second ones.
        #[inline(always)]
        fn take_turns(self, other: Self) -> (Self, Self) {
            // SAFETY: the machine has AVX2.
            unsafe { (Self(_mm_unpacklo_epi16(self.0, other.0)), Self(_mm_unpackhi_epi16(self.0, other.0))) }
        }
    }

    impl Sixteen {
        #[inline(always)]
        fn take_turns(self, other: Self) -> (Self, Self) {
            // SAFETY: the machine has AVX2.
            unsafe {
                let even = _mm256_unpacklo_epi16(self.0, other.0);
                let odd = _mm256_unpackhi_epi16(self.0, other.0);
                (
                    Self(_mm256_permute2x128_si256::<0x20>(even, odd)),
                    Self(_mm256_permute2x128_si256::<0x31>(even, odd)),
                )
            }
        }
    }
}

/// What may be done by vectors of several machines.
pub(crate) trait ByLanes {
    /// Does it by vectors of 8 places and of 16. Has to be `#[inline(always)]`, and so has all that it calls.
    fn run<V8: Lanes, V16: Lanes>(&self, from: &[i16], to: &mut [i16]);
}

/// Makes a pass over numbers by vectors of what the machine has. All do the same.
pub(crate) fn by_lanes(pass: &impl ByLanes, from: &[i16], to: &mut [i16]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn avx2(pass: &impl ByLanes, from: &[i16], to: &mut [i16]) {
            pass.run::<lanes::Eight, lanes::Sixteen>(from, to);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has AVX2.
            return unsafe { avx2(pass, from, to) };
        }
    }
    pass.run::<[i16; 8], [i16; 8]>(from, to);
}

/// The sum of absolute differences of squares, 8x8 to 64x64, with which both regions begin.
#[inline(always)]
pub(crate) fn sad(
    a: &PlaneRegion<'_, u8>,
    b: &PlaneRegion<'_, u8>,
    side: usize,
    cpu: CpuFeatureLevel,
) -> u32 {
    // The kernels look up the size each time, unless the compiler knows it.
    match side {
        8 => get_sad(a, b, 8, 8, 8, cpu),
        16 => get_sad(a, b, 16, 16, 8, cpu),
        32 => get_sad(a, b, 32, 32, 8, cpu),
        _ => get_sad(a, b, 64, 64, 8, cpu),
    }
}

/// The sum of absolute transformed differences of squares, 4x4 to 64x64, with which both regions begin.
#[inline(always)]
pub(crate) fn satd(
    a: &PlaneRegion<'_, u8>,
    b: &PlaneRegion<'_, u8>,
    side: usize,
    cpu: CpuFeatureLevel,
) -> u32 {
    match side {
        4 => get_satd(a, b, 4, 4, 8, cpu),
        8 => get_satd(a, b, 8, 8, 8, cpu),
        16 => get_satd(a, b, 16, 16, 8, cpu),
        32 => get_satd(a, b, 32, 32, 8, cpu),
        _ => get_satd(a, b, 64, 64, 8, cpu),
    }
}

pub(crate) use wide;
