//! sequence_header_obu() (section 5.5.1).

use super::descriptors::Syntax;
use crate::bitstream::bits::{BitReader, BitWriter};
use crate::bitstream::error::BitstreamError;
use crate::bitstream::sequence::{
    ColorConfig, ColorDescription, DecoderModelInfo, SELECT_INTEGER_MV, SELECT_SCREEN_CONTENT_TOOLS,
    SequenceHeader, TimingInfo,
};

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU, its trailing bits included.
    ///
    /// # Errors
    /// [`BitstreamError::End`], [`BitstreamError::TrailingBits`] and [`BitstreamError::Value`] if the payload
    /// ends early or holds what section 6.4 forbids.
    pub fn parse(payload: &[u8]) -> Result<Self, BitstreamError> {
        let mut r = BitReader::new(payload);
        let mut header = Self::new(1, 1);
        sequence_header(&mut r, &mut header)?;
        r.trailing_bits()?;
        Ok(header)
    }

    /// Writes sequence_header_obu(), without trailing bits.
    ///
    /// # Errors
    /// [`BitstreamError::Value`] and [`BitstreamError::Inferred`] if the syntax has no code for a value of
    /// the header.
    pub fn write(&self, w: &mut BitWriter) -> Result<(), BitstreamError> {
        sequence_header(w, &mut self.clone())
    }
}

fn sequence_header<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), BitstreamError> {
    s.f("seq_profile", 3, &mut h.seq_profile)?;
    if h.seq_profile > 2 {
        return Err(BitstreamError::Value { field: "seq_profile" });
    }
    s.flag("still_picture", &mut h.still_picture)?;
    s.flag("reduced_still_picture_header", &mut h.reduced_still_picture_header)?;
    let reduced = h.reduced_still_picture_header;
    if reduced && !h.still_picture {
        return Err(BitstreamError::Value { field: "still_picture" });
    }
    if reduced {
        s.infer("timing_info", &mut h.timing_info, None)?;
        s.infer("decoder_model_info", &mut h.decoder_model_info, None)?;
        s.infer("initial_display_delay_present_flag", &mut h.initial_display_delay_present_flag, false)?;
        s.len("operating_points_cnt_minus_1", &mut h.operating_points, 1)?;
        let op = &mut h.operating_points[0];
        s.infer("operating_point_idc", &mut op.idc, 0)?;
        s.f("seq_level_idx", 5, &mut op.seq_level_idx)?;
        s.infer("seq_tier", &mut op.seq_tier, false)?;
        s.infer("operating_parameters_info", &mut op.operating_parameters, None)?;
        s.infer("initial_display_delay_minus_1", &mut op.initial_display_delay_minus_1, None)?;
    } else {
        if let Some(timing) = s.present("timing_info_present_flag", &mut h.timing_info)? {
            timing_info(s, timing)?;
            if let Some(model) = s.present("decoder_model_info_present_flag", &mut h.decoder_model_info)? {
                decoder_model_info(s, model)?;
            }
        } else {
            s.infer("decoder_model_info", &mut h.decoder_model_info, None)?;
        }
        operating_points(s, h)?;
    }
    s.f("frame_width_bits_minus_1", 4, &mut h.frame_width_bits_minus_1)?;
    s.f("frame_height_bits_minus_1", 4, &mut h.frame_height_bits_minus_1)?;
    let (nw, nh) = (u32::from(h.frame_width_bits_minus_1) + 1, u32::from(h.frame_height_bits_minus_1) + 1);
    s.f_above("max_frame_width_minus_1", nw, 1, &mut h.max_frame_width)?;
    s.f_above("max_frame_height_minus_1", nh, 1, &mut h.max_frame_height)?;
    if reduced {
        s.infer("frame_id_numbers_present_flag", &mut h.frame_id_numbers, None)?;
    } else if let Some(ids) = s.present("frame_id_numbers_present_flag", &mut h.frame_id_numbers)? {
        s.f("delta_frame_id_length_minus_2", 4, &mut ids.delta_frame_id_length_minus_2)?;
        s.f("additional_frame_id_length_minus_1", 3, &mut ids.additional_frame_id_length_minus_1)?;
        if ids.id_len() > 16 {
            return Err(BitstreamError::Value { field: "additional_frame_id_length_minus_1" });
        }
    }
    s.flag("use_128x128_superblock", &mut h.use_128x128_superblock)?;
    s.flag("enable_filter_intra", &mut h.enable_filter_intra)?;
    s.flag("enable_intra_edge_filter", &mut h.enable_intra_edge_filter)?;
    if reduced {
        s.infer("enable_interintra_compound", &mut h.enable_interintra_compound, false)?;
        s.infer("enable_masked_compound", &mut h.enable_masked_compound, false)?;
        s.infer("enable_warped_motion", &mut h.enable_warped_motion, false)?;
        s.infer("enable_dual_filter", &mut h.enable_dual_filter, false)?;
        s.infer("enable_jnt_comp", &mut h.enable_jnt_comp, false)?;
        s.infer("enable_ref_frame_mvs", &mut h.enable_ref_frame_mvs, false)?;
        let select = SELECT_SCREEN_CONTENT_TOOLS;
        s.infer("seq_force_screen_content_tools", &mut h.seq_force_screen_content_tools, select)?;
        s.infer("seq_force_integer_mv", &mut h.seq_force_integer_mv, SELECT_INTEGER_MV)?;
        s.infer("order_hint_bits", &mut h.order_hint_bits, 0)?;
    } else {
        inter_tools(s, h)?;
    }
    s.flag("enable_superres", &mut h.enable_superres)?;
    s.flag("enable_cdef", &mut h.enable_cdef)?;
    s.flag("enable_restoration", &mut h.enable_restoration)?;
    color_config(s, h.seq_profile, &mut h.color_config)?;
    s.flag("film_grain_params_present", &mut h.film_grain_params_present)
}

fn operating_points<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), BitstreamError> {
    s.flag("initial_display_delay_present_flag", &mut h.initial_display_delay_present_flag)?;
    let mut count = h.operating_points.len() as u32;
    s.f_above("operating_points_cnt_minus_1", 5, 1, &mut count)?;
    s.len("operating_points_cnt_minus_1", &mut h.operating_points, count as usize)?;
    for i in 0..h.operating_points.len() {
        let (before, rest) = h.operating_points.split_at_mut(i);
        let op = &mut rest[0];
        s.f("operating_point_idc", 12, &mut op.idc)?;
        if before.iter().any(|other| other.idc == op.idc) {
            return Err(BitstreamError::Value { field: "operating_point_idc" });
        }
        s.f("seq_level_idx", 5, &mut op.seq_level_idx)?;
        if op.seq_level_idx > 7 {
            s.flag("seq_tier", &mut op.seq_tier)?;
        } else {
            s.infer("seq_tier", &mut op.seq_tier, false)?;
        }
        if let Some(model) = &h.decoder_model_info {
            let field = "decoder_model_present_for_this_op";
            if let Some(parameters) = s.present(field, &mut op.operating_parameters)? {
                let n = u32::from(model.buffer_delay_length_minus_1) + 1;
                s.f("decoder_buffer_delay", n, &mut parameters.decoder_buffer_delay)?;
                s.f("encoder_buffer_delay", n, &mut parameters.encoder_buffer_delay)?;
                s.flag("low_delay_mode_flag", &mut parameters.low_delay_mode_flag)?;
            }
        } else {
            s.infer("operating_parameters_info", &mut op.operating_parameters, None)?;
        }
        if h.initial_display_delay_present_flag {
            let field = "initial_display_delay_present_for_this_op";
            if let Some(delay) = s.present(field, &mut op.initial_display_delay_minus_1)? {
                s.f("initial_display_delay_minus_1", 4, delay)?;
            }
        } else {
            s.infer("initial_display_delay_minus_1", &mut op.initial_display_delay_minus_1, None)?;
        }
    }
    Ok(())
}

fn timing_info<S: Syntax>(s: &mut S, t: &mut TimingInfo) -> Result<(), BitstreamError> {
    s.f("num_units_in_display_tick", 32, &mut t.num_units_in_display_tick)?;
    s.f("time_scale", 32, &mut t.time_scale)?;
    if t.num_units_in_display_tick == 0 || t.time_scale == 0 {
        return Err(BitstreamError::Value { field: "timing_info" });
    }
    if let Some(ticks) = s.present("equal_picture_interval", &mut t.num_ticks_per_picture_minus_1)? {
        s.uvlc("num_ticks_per_picture_minus_1", ticks)?;
        if *ticks == u32::MAX {
            return Err(BitstreamError::Value { field: "num_ticks_per_picture_minus_1" });
        }
    }
    Ok(())
}

fn decoder_model_info<S: Syntax>(s: &mut S, m: &mut DecoderModelInfo) -> Result<(), BitstreamError> {
    s.f("buffer_delay_length_minus_1", 5, &mut m.buffer_delay_length_minus_1)?;
    s.f("num_units_in_decoding_tick", 32, &mut m.num_units_in_decoding_tick)?;
    s.f("buffer_removal_time_length_minus_1", 5, &mut m.buffer_removal_time_length_minus_1)?;
    s.f("frame_presentation_time_length_minus_1", 5, &mut m.frame_presentation_time_length_minus_1)
}

fn inter_tools<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), BitstreamError> {
    s.flag("enable_interintra_compound", &mut h.enable_interintra_compound)?;
    s.flag("enable_masked_compound", &mut h.enable_masked_compound)?;
    s.flag("enable_warped_motion", &mut h.enable_warped_motion)?;
    s.flag("enable_dual_filter", &mut h.enable_dual_filter)?;
    let mut enable_order_hint = h.order_hint_bits > 0;
    s.flag("enable_order_hint", &mut enable_order_hint)?;
    if enable_order_hint {
        s.flag("enable_jnt_comp", &mut h.enable_jnt_comp)?;
        s.flag("enable_ref_frame_mvs", &mut h.enable_ref_frame_mvs)?;
    } else {
        s.infer("enable_jnt_comp", &mut h.enable_jnt_comp, false)?;
        s.infer("enable_ref_frame_mvs", &mut h.enable_ref_frame_mvs, false)?;
    }
    let select = SELECT_SCREEN_CONTENT_TOOLS;
    choice(s, "seq_force_screen_content_tools", select, &mut h.seq_force_screen_content_tools)?;
    if h.seq_force_screen_content_tools > 0 {
        choice(s, "seq_force_integer_mv", SELECT_INTEGER_MV, &mut h.seq_force_integer_mv)?;
    } else {
        s.infer("seq_force_integer_mv", &mut h.seq_force_integer_mv, SELECT_INTEGER_MV)?;
    }
    if enable_order_hint {
        s.f_above("order_hint_bits_minus_1", 3, 1, &mut h.order_hint_bits)
    } else {
        s.infer("order_hint_bits", &mut h.order_hint_bits, 0)
    }
}

/// seq_choose_*: a flag for `select`, else the value of one bit.
fn choice<S: Syntax>(
    s: &mut S,
    field: &'static str,
    select: u8,
    value: &mut u8,
) -> Result<(), BitstreamError> {
    let mut choose = *value == select;
    s.flag(field, &mut choose)?;
    if choose {
        *value = select;
        return Ok(());
    }
    s.f(field, 1, value)
}

fn color_config<S: Syntax>(s: &mut S, seq_profile: u8, c: &mut ColorConfig) -> Result<(), BitstreamError> {
    let mut high_bitdepth = c.bit_depth > 8;
    s.flag("high_bitdepth", &mut high_bitdepth)?;
    let mut twelve_bit = c.bit_depth > 10;
    if seq_profile == 2 && high_bitdepth {
        s.flag("twelve_bit", &mut twelve_bit)?;
    } else {
        s.infer("twelve_bit", &mut twelve_bit, false)?;
    }
    let bit_depth = match (high_bitdepth, twelve_bit) {
        (false, _) => 8,
        (true, false) => 10,
        (true, true) => 12,
    };
    s.infer("bit_depth", &mut c.bit_depth, bit_depth)?;
    if seq_profile == 1 {
        s.infer("mono_chrome", &mut c.mono_chrome, false)?;
    } else {
        s.flag("mono_chrome", &mut c.mono_chrome)?;
    }
    if let Some(description) = s.present("color_description_present_flag", &mut c.color_description)? {
        s.f("color_primaries", 8, &mut description.color_primaries)?;
        s.f("transfer_characteristics", 8, &mut description.transfer_characteristics)?;
        s.f("matrix_coefficients", 8, &mut description.matrix_coefficients)?;
    }
    if c.mono_chrome {
        s.flag("color_range", &mut c.color_range)?;
        s.infer("subsampling_x", &mut c.subsampling_x, true)?;
        s.infer("subsampling_y", &mut c.subsampling_y, true)?;
        s.infer("chroma_sample_position", &mut c.chroma_sample_position, 0)?;
        return s.infer("separate_uv_delta_q", &mut c.separate_uv_delta_q, false);
    }
    if c.color_description == Some(ColorDescription::SRGB) {
        s.infer("color_range", &mut c.color_range, true)?;
        s.infer("subsampling_x", &mut c.subsampling_x, false)?;
        s.infer("subsampling_y", &mut c.subsampling_y, false)?;
    } else {
        s.flag("color_range", &mut c.color_range)?;
        if seq_profile == 2 && c.bit_depth == 12 {
            s.flag("subsampling_x", &mut c.subsampling_x)?;
            if c.subsampling_x {
                s.flag("subsampling_y", &mut c.subsampling_y)?;
            } else {
                s.infer("subsampling_y", &mut c.subsampling_y, false)?;
            }
        } else {
            s.infer("subsampling_x", &mut c.subsampling_x, seq_profile != 1)?;
            s.infer("subsampling_y", &mut c.subsampling_y, seq_profile == 0)?;
        }
    }
    // Section 6.4.2: no matrix means the planes are of one size.
    if c.color_description.is_some_and(|d| d.matrix_coefficients == 0) && c.subsampling_x {
        return Err(BitstreamError::Value { field: "matrix_coefficients" });
    }
    if c.subsampling_x && c.subsampling_y {
        s.f("chroma_sample_position", 2, &mut c.chroma_sample_position)?;
    } else {
        s.infer("chroma_sample_position", &mut c.chroma_sample_position, 0)?;
    }
    s.flag("separate_uv_delta_q", &mut c.separate_uv_delta_q)
}
