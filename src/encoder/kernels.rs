//! Every name that the encoder takes from rav1e's kernels, which are no stable API: no other file of the
//! encoder names rav1e. The unsafe code that they need is here too, and nowhere else.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

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
pub(crate) use rav1e::bench::dist::{get_sad, get_satd};
pub(crate) use rav1e::bench::ec::{Writer, WriterEncoder};
pub(crate) use rav1e::bench::encoder::{FrameInvariants, FrameState, Sequence};
pub(crate) use rav1e::bench::frame::{AsRegion, Frame, Plane, PlaneOffset};
pub(crate) use rav1e::bench::mc::{FilterMode, MotionVector, put_8tap};
pub(crate) use rav1e::bench::partition::{
    BlockSize, MvSubpelPrecision, PartitionType, RefType, get_intra_edges,
};
pub(crate) use rav1e::bench::predict::{IntraEdgeFilterParameters, IntraParam, PredictionMode, luma_ac};
pub(crate) use rav1e::bench::tiling::{
    Area, PlaneRegion, PlaneRegionMut, TileBlocksMut, TileStateMut, TilingInfo,
};
pub(crate) use rav1e::bench::transform::{TxSize, TxType, inverse_transform_add};
pub(crate) use rav1e::bench::util::Aligned;

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

/// Defines a function that is compiled twice, the second time for AVX2, with which plain loops are twice as
/// wide; machines that have AVX2 run that one. All functions that the body calls have to be
/// `#[inline(always)]`. No further instruction set is enabled: fused multiplication rounds differently, and
/// every machine has to code the same bits.
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
pub(crate) use wide;
