//! global_motion_params() (sections 5.9.24 to 5.9.29).

use super::descriptors::Syntax;
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{FrameHeader, GM_IDENTITY, REFS_PER_FRAME, WARPEDMODEL_PREC_BITS, WarpType};
use crate::bitstream::slots::RefSlot;

pub(super) fn global_motion_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    previous: &RefSlot,
) -> Result<(), BitstreamError> {
    if h.is_intra() {
        s.infer("gm_type", &mut h.gm_type, [WarpType::Identity; REFS_PER_FRAME])?;
        return s.infer("gm_params", &mut h.gm_params, [GM_IDENTITY; REFS_PER_FRAME]);
    }
    let high_precision = h.allow_high_precision_mv;
    let refs = h.gm_type.iter_mut().zip(&mut h.gm_params).zip(&previous.gm_params);
    for ((gm_type, params), previous) in refs {
        let mut is_global = *gm_type != WarpType::Identity;
        s.flag("is_global", &mut is_global)?;
        let mut inferred = WarpType::Identity;
        if is_global {
            let mut is_rot_zoom = *gm_type == WarpType::RotZoom;
            s.flag("is_rot_zoom", &mut is_rot_zoom)?;
            inferred = WarpType::RotZoom;
            if !is_rot_zoom {
                let mut is_translation = *gm_type == WarpType::Translation;
                s.flag("is_translation", &mut is_translation)?;
                inferred = if is_translation { WarpType::Translation } else { WarpType::Affine };
            }
        }
        s.infer("gm_type", gm_type, inferred)?;
        let param = |s: &mut S, idx: usize, params: &mut [i32; 6]| {
            global_param(s, *gm_type, high_precision, idx, previous[idx], &mut params[idx])
        };
        if *gm_type >= WarpType::RotZoom {
            param(s, 2, params)?;
            param(s, 3, params)?;
            if *gm_type == WarpType::Affine {
                param(s, 4, params)?;
                param(s, 5, params)?;
            } else {
                let [_, _, p2, p3, p4, p5] = params;
                s.infer("gm_params", p4, -*p3)?;
                s.infer("gm_params", p5, *p2)?;
            }
        }
        if *gm_type >= WarpType::Translation {
            param(s, 0, params)?;
            param(s, 1, params)?;
        }
        let [p0, p1, matrix @ ..] = params;
        if *gm_type < WarpType::Translation {
            s.infer("gm_params", p0, 0)?;
            s.infer("gm_params", p1, 0)?;
        }
        if *gm_type <= WarpType::Translation {
            s.infer("gm_params", matrix, [1 << WARPEDMODEL_PREC_BITS, 0, 0, 1 << WARPEDMODEL_PREC_BITS])?;
        }
    }
    Ok(())
}

/// read_global_param(): coded as a difference to the value of the primary reference.
fn global_param<S: Syntax>(
    s: &mut S,
    gm_type: WarpType,
    high_precision: bool,
    idx: usize,
    previous: i32,
    value: &mut i32,
) -> Result<(), BitstreamError> {
    let (abs_bits, prec_bits) = match (idx, gm_type) {
        (0 | 1, WarpType::Translation) => (9 - u32::from(!high_precision), 3 - u32::from(!high_precision)),
        (0 | 1, _) => (12, 6),
        _ => (12, 15),
    };
    let prec_diff = WARPEDMODEL_PREC_BITS - prec_bits;
    let (round, sub) = if idx % 3 == 2 { (1 << WARPEDMODEL_PREC_BITS, 1 << prec_bits) } else { (0, 0) };
    let mx = 1i32 << abs_bits;
    let r = (previous >> prec_diff) - sub;
    // decode_signed_subexp_with_ref( -mx, mx + 1, r ).
    let coded = value.wrapping_sub(round) >> prec_diff;
    let mut code = coded.wrapping_add(mx) as u32;
    unsigned_subexp_with_ref(s, 2 * mx as u32 + 1, (r + mx) as u32, &mut code)?;
    // Writing a value that the precision cannot hold fails here.
    s.infer("gm_params", value, ((code as i32 - mx) << prec_diff) + round)
}

/// decode_unsigned_subexp_with_ref(): a value below `mx`, near `r` in few bits.
fn unsigned_subexp_with_ref<S: Syntax>(
    s: &mut S,
    mx: u32,
    r: u32,
    value: &mut u32,
) -> Result<(), BitstreamError> {
    let mirrored = r << 1 > mx;
    let mirror = |x: u32| if mirrored { (mx - 1).wrapping_sub(x) } else { x };
    let r = mirror(r);
    // The inverse of inverse_recenter().
    let given = mirror(*value);
    let mut v = if given > 2 * r {
        given
    } else if given >= r {
        (given - r) << 1
    } else {
        ((r - given) << 1) - 1
    };
    subexp(s, mx, &mut v)?;
    let recentred = if v > 2 * r {
        v
    } else if v & 1 == 1 {
        r - v.div_ceil(2)
    } else {
        r + (v >> 1)
    };
    *value = mirror(recentred);
    Ok(())
}

/// decode_subexp(): a value below `num_syms`, small ones in few bits.
fn subexp<S: Syntax>(s: &mut S, num_syms: u32, value: &mut u32) -> Result<(), BitstreamError> {
    const K: u32 = 3;
    let (mut i, mut mk) = (0, 0);
    loop {
        let b2 = if i > 0 { K + i - 1 } else { K };
        let a = 1 << b2;
        let mut rest = value.wrapping_sub(mk);
        if num_syms <= mk + 3 * a {
            s.ns("subexp_final_bits", num_syms - mk, &mut rest)?;
            *value = rest + mk;
            return Ok(());
        }
        let mut more = rest >= a;
        s.flag("subexp_more_bits", &mut more)?;
        if !more {
            s.bits("subexp_bits", b2, &mut rest)?;
            *value = rest + mk;
            return Ok(());
        }
        i += 1;
        mk += a;
    }
}
