//! The in-loop filters: deblocking, CDEF and loop restoration (sections 5.9.11, 5.9.19 and 5.9.20).

use super::descriptors::Syntax;
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{FrameHeader, LoopFilterDeltas, RestorationType};
use crate::bitstream::sequence::SequenceHeader;
use crate::bitstream::slots::RefSlot;

pub(super) fn loop_filter_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    coded_lossless: bool,
    num_planes: usize,
    previous: &RefSlot,
) -> Result<(), BitstreamError> {
    if coded_lossless || h.allow_intrabc {
        s.infer("loop_filter_level", &mut h.loop_filter_level, [0; 4])?;
        s.absent(&mut h.loop_filter_sharpness, 0);
        s.absent(&mut h.loop_filter_delta_enabled, true);
        s.absent(&mut h.loop_filter_delta_update, None);
        return s.infer("loop_filter_deltas", &mut h.loop_filter_deltas, LoopFilterDeltas::default());
    }
    let [vertical, horizontal, u, v] = &mut h.loop_filter_level;
    s.f("loop_filter_level", 6, vertical)?;
    s.f("loop_filter_level", 6, horizontal)?;
    if num_planes > 1 && (*vertical > 0 || *horizontal > 0) {
        s.f("loop_filter_level", 6, u)?;
        s.f("loop_filter_level", 6, v)?;
    } else {
        s.infer("loop_filter_level", u, 0)?;
        s.infer("loop_filter_level", v, 0)?;
    }
    s.f("loop_filter_sharpness", 3, &mut h.loop_filter_sharpness)?;
    s.flag("loop_filter_delta_enabled", &mut h.loop_filter_delta_enabled)?;
    let update = match h.loop_filter_delta_enabled {
        true => s.present("loop_filter_delta_update", &mut h.loop_filter_delta_update)?,
        false => {
            s.infer("loop_filter_delta_update", &mut h.loop_filter_delta_update, None)?;
            None
        }
    };
    let (deltas, before) = (&mut h.loop_filter_deltas, &previous.loop_filter_deltas);
    let Some(update) = update else {
        return s.infer("loop_filter_deltas", deltas, *before);
    };
    let refs = update.ref_deltas.iter_mut().zip(&mut deltas.ref_deltas).zip(before.ref_deltas);
    let modes = update.mode_deltas.iter_mut().zip(&mut deltas.mode_deltas).zip(before.mode_deltas);
    for ((coded, delta), before) in refs.chain(modes) {
        s.flag("update_ref_delta", coded)?;
        if *coded {
            s.su("loop_filter_deltas", 7, delta)?;
        } else {
            s.infer("loop_filter_deltas", delta, before)?;
        }
    }
    Ok(())
}

pub(super) fn cdef_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    num_planes: usize,
) -> Result<(), BitstreamError> {
    s.f_above("cdef_damping_minus_3", 2, 3, &mut h.cdef_damping)?;
    s.f("cdef_bits", 2, &mut h.cdef_bits)?;
    for strength in &mut h.cdef_strengths[..1 << h.cdef_bits] {
        s.f("cdef_y_pri_strength", 4, &mut strength.y_pri)?;
        cdef_sec_strength(s, "cdef_y_sec_strength", &mut strength.y_sec)?;
        if num_planes > 1 {
            s.f("cdef_uv_pri_strength", 4, &mut strength.uv_pri)?;
            cdef_sec_strength(s, "cdef_uv_sec_strength", &mut strength.uv_sec)?;
        }
    }
    Ok(())
}

/// A secondary strength of 4 has code 3.
fn cdef_sec_strength<S: Syntax>(
    s: &mut S,
    field: &'static str,
    value: &mut u8,
) -> Result<(), BitstreamError> {
    let mut code = match *value {
        3 => return Err(BitstreamError::Value { field }),
        4 => 3,
        other => other,
    };
    s.f(field, 2, &mut code)?;
    *value = if code == 3 { 4 } else { code };
    Ok(())
}

pub(super) fn lr_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    seq: &SequenceHeader,
) -> Result<(), BitstreamError> {
    let num_planes = seq.color_config.num_planes();
    let (coded, missing) = h.frame_restoration_type.split_at_mut(num_planes);
    for lr_type in coded.iter_mut() {
        s.f("lr_type", 2, lr_type)?;
    }
    for lr_type in missing {
        s.infer("lr_type", lr_type, RestorationType::None)?;
    }
    let used = |types: &[RestorationType]| types.iter().any(|&t| t != RestorationType::None);
    if !used(coded) {
        s.absent(&mut h.lr_unit_shift, 0);
        s.absent(&mut h.lr_uv_shift, false);
        return Ok(());
    }
    let max = 2;
    let min = if seq.use_128x128_superblock { 1 } else { 0 };
    s.increments("lr_unit_shift", min, max, &mut h.lr_unit_shift)?;
    if seq.color_config.subsampling_x && seq.color_config.subsampling_y && used(&coded[1..]) {
        s.flag("lr_uv_shift", &mut h.lr_uv_shift)
    } else {
        s.infer("lr_uv_shift", &mut h.lr_uv_shift, false)
    }
}
