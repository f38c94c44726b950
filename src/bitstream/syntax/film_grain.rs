//! film_grain_params() (section 5.9.30).

use super::descriptors::Syntax;
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{FilmGrainParams, FrameHeader, FrameType};
use crate::bitstream::sequence::{ColorConfig, SequenceHeader};
use crate::bitstream::slots::RefSlots;

pub(super) fn film_grain_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    seq: &SequenceHeader,
    slots: &RefSlots,
) -> Result<(), BitstreamError> {
    let reset = FilmGrainParams::default();
    if !seq.film_grain_params_present || !h.show_frame && !h.showable_frame {
        return s.infer("film_grain_params", &mut h.film_grain, reset);
    }
    // The parameters of a slot may have apply_grain 0; the coded flag is 1 even then.
    let mut apply_grain = h.film_grain.apply_grain || h.film_grain.film_grain_params_ref_idx.is_some();
    s.flag("apply_grain", &mut apply_grain)?;
    if !apply_grain {
        return s.infer("film_grain_params", &mut h.film_grain, reset);
    }
    s.f("grain_seed", 16, &mut h.film_grain.grain_seed)?;
    let mut update_grain = h.film_grain.film_grain_params_ref_idx.is_none();
    if h.frame_type == FrameType::Inter {
        s.flag("update_grain", &mut update_grain)?;
    } else {
        s.infer("update_grain", &mut update_grain, true)?;
    }
    if update_grain {
        s.infer("apply_grain", &mut h.film_grain.apply_grain, true)?;
        return film_grain_update(s, &mut h.film_grain, &seq.color_config);
    }
    let mut i = h.film_grain.film_grain_params_ref_idx.unwrap_or_default();
    s.f("film_grain_params_ref_idx", 3, &mut i)?;
    if !h.ref_frame_idx.contains(&i) {
        return Err(BitstreamError::Value { field: "film_grain_params_ref_idx" });
    }
    let loaded = FilmGrainParams {
        grain_seed: h.film_grain.grain_seed,
        film_grain_params_ref_idx: Some(i),
        ..slots.get(i)?.film_grain.clone()
    };
    s.infer("film_grain_params", &mut h.film_grain, loaded)
}

fn film_grain_update<S: Syntax>(
    s: &mut S,
    g: &mut FilmGrainParams,
    color: &ColorConfig,
) -> Result<(), BitstreamError> {
    points(s, "num_y_points", 14, &mut g.point_y)?;
    if color.mono_chrome {
        s.infer("chroma_scaling_from_luma", &mut g.chroma_scaling_from_luma, false)?;
    } else {
        s.flag("chroma_scaling_from_luma", &mut g.chroma_scaling_from_luma)?;
    }
    let is_420 = color.subsampling_x && color.subsampling_y;
    if color.mono_chrome || g.chroma_scaling_from_luma || is_420 && g.point_y.is_empty() {
        s.infer("num_cb_points", &mut g.point_cb, vec![])?;
        s.infer("num_cr_points", &mut g.point_cr, vec![])?;
    } else {
        points(s, "num_cb_points", 10, &mut g.point_cb)?;
        points(s, "num_cr_points", 10, &mut g.point_cr)?;
        if is_420 && g.point_cb.is_empty() != g.point_cr.is_empty() {
            return Err(BitstreamError::Value { field: "num_cr_points" });
        }
    }
    s.f("grain_scaling_minus_8", 2, &mut g.grain_scaling_minus_8)?;
    s.f("ar_coeff_lag", 2, &mut g.ar_coeff_lag)?;
    let lag = usize::from(g.ar_coeff_lag);
    let num_pos_luma = 2 * lag * (lag + 1);
    let (has_y, has_cb, has_cr) = (
        !g.point_y.is_empty(),
        g.chroma_scaling_from_luma || !g.point_cb.is_empty(),
        g.chroma_scaling_from_luma || !g.point_cr.is_empty(),
    );
    let num_pos_chroma = num_pos_luma + usize::from(has_y);
    for (coded, n, coeffs) in [
        (has_y, num_pos_luma, &mut g.ar_coeffs_y_plus_128),
        (has_cb, num_pos_chroma, &mut g.ar_coeffs_cb_plus_128),
        (has_cr, num_pos_chroma, &mut g.ar_coeffs_cr_plus_128),
    ] {
        s.len("ar_coeffs", coeffs, if coded { n } else { 0 })?;
        for coeff in coeffs {
            s.f("ar_coeffs", 8, coeff)?;
        }
    }
    s.f("ar_coeff_shift_minus_6", 2, &mut g.ar_coeff_shift_minus_6)?;
    s.f("grain_scale_shift", 2, &mut g.grain_scale_shift)?;
    for (coded, mult, luma_mult, offset) in [
        (!g.point_cb.is_empty(), &mut g.cb_mult, &mut g.cb_luma_mult, &mut g.cb_offset),
        (!g.point_cr.is_empty(), &mut g.cr_mult, &mut g.cr_luma_mult, &mut g.cr_offset),
    ] {
        if coded {
            s.f("mult", 8, mult)?;
            s.f("luma_mult", 8, luma_mult)?;
            s.f("offset", 9, offset)?;
        } else {
            s.absent(mult, 0);
            s.absent(luma_mult, 0);
            s.absent(offset, 0);
        }
    }
    s.flag("overlap_flag", &mut g.overlap_flag)?;
    s.flag("clip_to_restricted_range", &mut g.clip_to_restricted_range)
}

/// Points of a scaling function: at most `max`, their values rising.
fn points<S: Syntax>(
    s: &mut S,
    field: &'static str,
    max: usize,
    points: &mut Vec<[u8; 2]>,
) -> Result<(), BitstreamError> {
    let mut n = points.len() as u32;
    s.f(field, 4, &mut n)?;
    if n as usize > max {
        return Err(BitstreamError::Value { field });
    }
    s.len(field, points, n as usize)?;
    for [value, scaling] in points.iter_mut() {
        s.f(field, 8, value)?;
        s.f(field, 8, scaling)?;
    }
    match points.is_sorted_by(|a, b| a[0] < b[0]) {
        true => Ok(()),
        false => Err(BitstreamError::Value { field }),
    }
}
