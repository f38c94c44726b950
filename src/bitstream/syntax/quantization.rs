//! Quantizers and segments (sections 5.9.12, 5.9.14, 5.9.17 and 5.9.18).

use super::descriptors::Syntax;
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{FrameHeader, QuantizationParams, SEG_LVL_MAX, SegmentationParams};
use crate::bitstream::sequence::ColorConfig;
use crate::bitstream::slots::RefSlot;

pub(super) fn quantization_params<S: Syntax>(
    s: &mut S,
    q: &mut QuantizationParams,
    color: &ColorConfig,
) -> Result<(), BitstreamError> {
    s.f("base_q_idx", 8, &mut q.base_q_idx)?;
    delta_q(s, &mut q.delta_q_y_dc)?;
    if color.mono_chrome {
        s.infer("diff_uv_delta", &mut q.diff_uv_delta, false)?;
        s.infer("DeltaQUDc", &mut q.delta_q_u_dc, 0)?;
        s.infer("DeltaQUAc", &mut q.delta_q_u_ac, 0)?;
    } else {
        if color.separate_uv_delta_q {
            s.flag("diff_uv_delta", &mut q.diff_uv_delta)?;
        } else {
            s.infer("diff_uv_delta", &mut q.diff_uv_delta, false)?;
        }
        delta_q(s, &mut q.delta_q_u_dc)?;
        delta_q(s, &mut q.delta_q_u_ac)?;
    }
    if q.diff_uv_delta {
        delta_q(s, &mut q.delta_q_v_dc)?;
        delta_q(s, &mut q.delta_q_v_ac)?;
    } else {
        s.infer("DeltaQVDc", &mut q.delta_q_v_dc, q.delta_q_u_dc)?;
        s.infer("DeltaQVAc", &mut q.delta_q_v_ac, q.delta_q_u_ac)?;
    }
    if let Some([qm_y, qm_u, qm_v]) = s.present("using_qmatrix", &mut q.qm)? {
        s.f("qm_y", 4, qm_y)?;
        s.f("qm_u", 4, qm_u)?;
        if color.separate_uv_delta_q {
            s.f("qm_v", 4, qm_v)?;
        } else {
            s.infer("qm_v", qm_v, *qm_u)?;
        }
    }
    Ok(())
}

/// read_delta_q().
fn delta_q<S: Syntax>(s: &mut S, value: &mut i8) -> Result<(), BitstreamError> {
    let mut delta_coded = *value != 0;
    s.flag("delta_coded", &mut delta_coded)?;
    if delta_coded {
        s.su("delta_q", 7, value)
    } else {
        *value = 0;
        Ok(())
    }
}

pub(super) fn segmentation_params<S: Syntax>(
    s: &mut S,
    p: &mut SegmentationParams,
    has_primary: bool,
    previous: &RefSlot,
) -> Result<(), BitstreamError> {
    s.flag("segmentation_enabled", &mut p.enabled)?;
    if !p.enabled {
        return s.infer("segmentation_params", p, SegmentationParams::default());
    }
    if has_primary {
        s.flag("segmentation_update_map", &mut p.update_map)?;
        if p.update_map {
            s.flag("segmentation_temporal_update", &mut p.temporal_update)?;
        } else {
            s.infer("segmentation_temporal_update", &mut p.temporal_update, false)?;
        }
        s.flag("segmentation_update_data", &mut p.update_data)?;
    } else {
        s.infer("segmentation_update_map", &mut p.update_map, true)?;
        s.infer("segmentation_temporal_update", &mut p.temporal_update, false)?;
        s.infer("segmentation_update_data", &mut p.update_data, true)?;
    }
    if !p.update_data {
        return s.infer("FeatureData", &mut p.features, previous.segmentation);
    }
    // Segmentation_Feature_Bits, _Signed and _Max.
    const FEATURES: [(u32, bool, i16); SEG_LVL_MAX] = [
        (8, true, 255),
        (6, true, 63),
        (6, true, 63),
        (6, true, 63),
        (6, true, 63),
        (3, false, 7),
        (0, false, 0),
        (0, false, 0),
    ];
    for segment in &mut p.features {
        for (feature, (bits, signed, max)) in segment.iter_mut().zip(FEATURES) {
            let Some(value) = s.present("feature_enabled", feature)? else { continue };
            if signed {
                s.su("feature_value", 1 + bits, value)?;
                *value = (*value).clamp(-max, max);
            } else {
                let mut code =
                    u16::try_from(*value).map_err(|_| BitstreamError::Value { field: "feature_value" })?;
                s.f("feature_value", bits, &mut code)?;
                *value = code as i16;
            }
        }
    }
    Ok(())
}

pub(super) fn delta_q_and_lf_params<S: Syntax>(s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
    if h.quantization.base_q_idx > 0 {
        s.flag("delta_q_present", &mut h.delta_q_present)?;
    } else {
        s.infer("delta_q_present", &mut h.delta_q_present, false)?;
    }
    if h.delta_q_present {
        s.f("delta_q_res", 2, &mut h.delta_q_res)?;
    } else {
        s.absent(&mut h.delta_q_res, 0);
    }
    if h.delta_q_present && !h.allow_intrabc {
        s.flag("delta_lf_present", &mut h.delta_lf_present)?;
    } else {
        s.infer("delta_lf_present", &mut h.delta_lf_present, false)?;
    }
    if h.delta_lf_present {
        s.f("delta_lf_res", 2, &mut h.delta_lf_res)?;
        s.flag("delta_lf_multi", &mut h.delta_lf_multi)
    } else {
        s.absent(&mut h.delta_lf_res, 0);
        s.absent(&mut h.delta_lf_multi, false);
        Ok(())
    }
}
