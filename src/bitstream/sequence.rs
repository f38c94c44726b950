//! The sequence header (section 5.5).

use super::Error;
use super::bits::{BitReader, BitWriter, Syntax};

/// seq_force_screen_content_tools: each frame says whether it uses them.
pub const SELECT_SCREEN_CONTENT_TOOLS: u8 = 2;
/// seq_force_integer_mv: each frame says whether its motion vectors are integers.
pub const SELECT_INTEGER_MV: u8 = 2;

/// sequence_header_obu(), section 5.5.1. Names are the standard's; flags that only say whether
/// something follows are an `Option`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// 0 Main, 1 High, 2 Professional.
    pub seq_profile: u8,
    /// The sequence is one frame.
    pub still_picture: bool,
    /// The short header of a still picture.
    pub reduced_still_picture_header: bool,
    /// Where it is missing, there is no `decoder_model_info` either.
    pub timing_info: Option<TimingInfo>,
    /// Lengths of the decoder model's fields.
    pub decoder_model_info: Option<DecoderModelInfo>,
    /// Whether operating points carry an initial display delay.
    pub initial_display_delay_present_flag: bool,
    /// 1 to 32 of them, the preferred one first.
    pub operating_points: Vec<OperatingPoint>,
    /// Bits of a coded frame width, less 1: 0 to 15.
    pub frame_width_bits_minus_1: u8,
    /// Bits of a coded frame height, less 1: 0 to 15.
    pub frame_height_bits_minus_1: u8,
    /// Largest width of a frame, in luma samples: 1 to 65536.
    pub max_frame_width: u32,
    /// Largest height of a frame, in luma samples: 1 to 65536.
    pub max_frame_height: u32,
    /// Lengths of the frame ids, where frames carry them.
    pub frame_id_numbers: Option<FrameIdNumbers>,
    /// Superblocks of 128x128 in place of 64x64.
    pub use_128x128_superblock: bool,
    /// Blocks may use filter intra prediction.
    pub enable_filter_intra: bool,
    /// Intra edges may be filtered.
    pub enable_intra_edge_filter: bool,
    /// Inter-intra prediction may be used.
    pub enable_interintra_compound: bool,
    /// Masked compound prediction may be used.
    pub enable_masked_compound: bool,
    /// Frames may allow warped motion.
    pub enable_warped_motion: bool,
    /// Both directions may have their own interpolation filter.
    pub enable_dual_filter: bool,
    /// Compound prediction may weigh by distance; false without order hints.
    pub enable_jnt_comp: bool,
    /// Frames may use the motion vectors of references; false without order hints.
    pub enable_ref_frame_mvs: bool,
    /// 0, 1 or [`SELECT_SCREEN_CONTENT_TOOLS`].
    pub seq_force_screen_content_tools: u8,
    /// 0, 1 or [`SELECT_INTEGER_MV`]; the latter where screen content tools are never used.
    pub seq_force_integer_mv: u8,
    /// OrderHintBits: 1 to 8, or 0 where enable_order_hint is 0.
    pub order_hint_bits: u8,
    /// Frames may be coded narrower than shown.
    pub enable_superres: bool,
    /// Frames may use the constrained directional enhancement filter.
    pub enable_cdef: bool,
    /// Frames may use loop restoration.
    pub enable_restoration: bool,
    /// Sample format and colours.
    pub color_config: ColorConfig,
    /// Frames carry film grain parameters.
    pub film_grain_params_present: bool,
}

/// timing_info(), section 5.5.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimingInfo {
    /// Units of `time_scale` in one display tick, from 1.
    pub num_units_in_display_tick: u32,
    /// Units in one second, from 1.
    pub time_scale: u32,
    /// num_ticks_per_picture_minus_1, where equal_picture_interval is 1.
    pub num_ticks_per_picture_minus_1: Option<u32>,
}

/// decoder_model_info(), section 5.5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecoderModelInfo {
    /// Bits of the buffer delays, less 1: 0 to 31.
    pub buffer_delay_length_minus_1: u8,
    /// Units of time_scale in one decoding tick.
    pub num_units_in_decoding_tick: u32,
    /// Bits of buffer_removal_time, less 1: 0 to 31.
    pub buffer_removal_time_length_minus_1: u8,
    /// Bits of frame_presentation_time, less 1: 0 to 31.
    pub frame_presentation_time_length_minus_1: u8,
}

/// One operating point: the layers that make it, and what it takes to decode them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperatingPoint {
    /// operating_point_idc: bit `t` for temporal layer `t`, bit `8 + s` for spatial layer `s`; 0 where
    /// the stream is not layered.
    pub idc: u16,
    /// seq_level_idx, 0 to 31 (annex A.3).
    pub seq_level_idx: u8,
    /// seq_tier; false up to a seq_level_idx of 7.
    pub seq_tier: bool,
    /// operating_parameters_info(), where the decoder model covers this operating point.
    pub operating_parameters: Option<OperatingParameters>,
    /// initial_display_delay_minus_1, 0 to 15.
    pub initial_display_delay_minus_1: Option<u8>,
}

impl OperatingPoint {
    /// Whether the layer is part of this operating point (section 5.3.1; 5.9.2 for an idc of 0).
    pub fn contains(&self, temporal_id: u8, spatial_id: u8) -> bool {
        let bit = |n: u8| self.idc.checked_shr(n.into()).unwrap_or(0) & 1 == 1;
        self.idc == 0 || bit(temporal_id) && bit(spatial_id.saturating_add(8))
    }
}

/// operating_parameters_info(), section 5.5.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperatingParameters {
    /// In units of 1/90000 s.
    pub decoder_buffer_delay: u32,
    /// In units of 1/90000 s.
    pub encoder_buffer_delay: u32,
    /// Frames may arrive after their removal time.
    pub low_delay_mode_flag: bool,
}

/// Lengths of the frame ids in frame headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameIdNumbers {
    /// 0 to 15.
    pub delta_frame_id_length_minus_2: u8,
    /// 0 to 7.
    pub additional_frame_id_length_minus_1: u8,
}

impl FrameIdNumbers {
    /// idLen of section 5.9.2: bits of current_frame_id.
    pub fn id_len(&self) -> u32 {
        u32::from(self.additional_frame_id_length_minus_1) + u32::from(self.delta_frame_id_length_minus_2) + 3
    }

    /// Bits of delta_frame_id_minus_1.
    pub fn delta_len(&self) -> u32 {
        u32::from(self.delta_frame_id_length_minus_2) + 2
    }
}

/// color_config(), section 5.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColorConfig {
    /// BitDepth: 8, 10 or 12.
    pub bit_depth: u8,
    /// No chroma planes.
    pub mono_chrome: bool,
    /// Primaries, transfer and matrix, where color_description_present_flag is 1.
    pub color_description: Option<ColorDescription>,
    /// Full range in place of studio range.
    pub color_range: bool,
    /// Chroma has half the width.
    pub subsampling_x: bool,
    /// Chroma has half the height.
    pub subsampling_y: bool,
    /// 0 unknown, 1 vertical, 2 colocated; only of 4:2:0.
    pub chroma_sample_position: u8,
    /// The two chroma planes may have quantizers of their own.
    pub separate_uv_delta_q: bool,
}

impl ColorConfig {
    /// NumPlanes: 1 or 3.
    pub fn num_planes(&self) -> usize {
        if self.mono_chrome { 1 } else { 3 }
    }
}

impl Default for ColorConfig {
    /// 8-bit 4:2:0 in studio range.
    fn default() -> Self {
        Self {
            bit_depth: 8,
            mono_chrome: false,
            color_description: None,
            color_range: false,
            subsampling_x: true,
            subsampling_y: true,
            chroma_sample_position: 0,
            separate_uv_delta_q: false,
        }
    }
}

/// Code points of ISO/IEC 23091-4 (section 6.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColorDescription {
    /// color_primaries.
    pub color_primaries: u8,
    /// transfer_characteristics.
    pub transfer_characteristics: u8,
    /// matrix_coefficients.
    pub matrix_coefficients: u8,
}

impl ColorDescription {
    /// BT.709 primaries, the sRGB curve and no matrix: coded as full range 4:4:4.
    const SRGB: Self = Self { color_primaries: 1, transfer_characteristics: 13, matrix_coefficients: 0 };
}

impl SequenceHeader {
    /// A header for frames up to `width` x `height` luma samples (1 to 65536 each): profile 0, 8-bit
    /// 4:2:0, 64x64 superblocks, one operating point of idc 0 and level 31 (no limit), order hints of
    /// 7 bits, and every tool off.
    pub fn new(width: u32, height: u32) -> Self {
        let bits_minus_1 = |size: u32| size.saturating_sub(1).checked_ilog2().unwrap_or(0) as u8;
        Self {
            seq_profile: 0,
            still_picture: false,
            reduced_still_picture_header: false,
            timing_info: None,
            decoder_model_info: None,
            initial_display_delay_present_flag: false,
            operating_points: vec![OperatingPoint { seq_level_idx: 31, ..Default::default() }],
            frame_width_bits_minus_1: bits_minus_1(width),
            frame_height_bits_minus_1: bits_minus_1(height),
            max_frame_width: width,
            max_frame_height: height,
            frame_id_numbers: None,
            use_128x128_superblock: false,
            enable_filter_intra: false,
            enable_intra_edge_filter: false,
            enable_interintra_compound: false,
            enable_masked_compound: false,
            enable_warped_motion: false,
            enable_dual_filter: false,
            enable_jnt_comp: false,
            enable_ref_frame_mvs: false,
            seq_force_screen_content_tools: 0,
            seq_force_integer_mv: SELECT_INTEGER_MV,
            order_hint_bits: 7,
            enable_superres: false,
            enable_cdef: false,
            enable_restoration: false,
            color_config: ColorConfig::default(),
            film_grain_params_present: false,
        }
    }

    /// Whether frames carry order hints.
    pub fn enable_order_hint(&self) -> bool {
        self.order_hint_bits > 0
    }

    /// get_relative_dist() of section 5.9.3: how far order hint `a` lies after `b`.
    pub fn relative_dist(&self, a: u32, b: u32) -> i32 {
        if self.order_hint_bits == 0 {
            return 0;
        }
        let m = 1i32 << (self.order_hint_bits - 1);
        let diff = (a as i32).wrapping_sub(b as i32);
        (diff & (m - 1)) - (diff & m)
    }

    /// Reads the payload of a sequence header OBU, its trailing bits included.
    ///
    /// # Errors
    /// [`Error::End`], [`Error::TrailingBits`] and [`Error::Value`] for what section 6.4 forbids.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut r = BitReader::new(payload);
        let mut header = Self::new(1, 1);
        sequence_header(&mut r, &mut header)?;
        r.trailing_bits()?;
        Ok(header)
    }

    /// Writes sequence_header_obu(), without trailing bits.
    ///
    /// # Errors
    /// [`Error::Value`] and [`Error::Inferred`], where the syntax cannot say what the header says.
    pub fn write(&self, w: &mut BitWriter) -> Result<(), Error> {
        sequence_header(w, &mut self.clone())
    }
}

fn sequence_header<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), Error> {
    s.f("seq_profile", 3, &mut h.seq_profile)?;
    if h.seq_profile > 2 {
        return Err(Error::Value { field: "seq_profile" });
    }
    s.flag("still_picture", &mut h.still_picture)?;
    s.flag("reduced_still_picture_header", &mut h.reduced_still_picture_header)?;
    let reduced = h.reduced_still_picture_header;
    if reduced && !h.still_picture {
        return Err(Error::Value { field: "still_picture" });
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
            return Err(Error::Value { field: "additional_frame_id_length_minus_1" });
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

fn operating_points<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), Error> {
    s.flag("initial_display_delay_present_flag", &mut h.initial_display_delay_present_flag)?;
    let mut count = h.operating_points.len() as u32;
    s.f_above("operating_points_cnt_minus_1", 5, 1, &mut count)?;
    s.len("operating_points_cnt_minus_1", &mut h.operating_points, count as usize)?;
    for i in 0..h.operating_points.len() {
        let (before, rest) = h.operating_points.split_at_mut(i);
        let op = &mut rest[0];
        s.f("operating_point_idc", 12, &mut op.idc)?;
        if before.iter().any(|other| other.idc == op.idc) {
            return Err(Error::Value { field: "operating_point_idc" });
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

fn timing_info<S: Syntax>(s: &mut S, t: &mut TimingInfo) -> Result<(), Error> {
    s.f("num_units_in_display_tick", 32, &mut t.num_units_in_display_tick)?;
    s.f("time_scale", 32, &mut t.time_scale)?;
    if t.num_units_in_display_tick == 0 || t.time_scale == 0 {
        return Err(Error::Value { field: "timing_info" });
    }
    if let Some(ticks) = s.present("equal_picture_interval", &mut t.num_ticks_per_picture_minus_1)? {
        s.uvlc("num_ticks_per_picture_minus_1", ticks)?;
        if *ticks == u32::MAX {
            return Err(Error::Value { field: "num_ticks_per_picture_minus_1" });
        }
    }
    Ok(())
}

fn decoder_model_info<S: Syntax>(s: &mut S, m: &mut DecoderModelInfo) -> Result<(), Error> {
    s.f("buffer_delay_length_minus_1", 5, &mut m.buffer_delay_length_minus_1)?;
    s.f("num_units_in_decoding_tick", 32, &mut m.num_units_in_decoding_tick)?;
    s.f("buffer_removal_time_length_minus_1", 5, &mut m.buffer_removal_time_length_minus_1)?;
    s.f("frame_presentation_time_length_minus_1", 5, &mut m.frame_presentation_time_length_minus_1)
}

fn inter_tools<S: Syntax>(s: &mut S, h: &mut SequenceHeader) -> Result<(), Error> {
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
fn choice<S: Syntax>(s: &mut S, field: &'static str, select: u8, value: &mut u8) -> Result<(), Error> {
    let mut choose = *value == select;
    s.flag(field, &mut choose)?;
    if choose {
        *value = select;
        return Ok(());
    }
    s.f(field, 1, value)
}

fn color_config<S: Syntax>(s: &mut S, seq_profile: u8, c: &mut ColorConfig) -> Result<(), Error> {
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
        return Err(Error::Value { field: "matrix_coefficients" });
    }
    if c.subsampling_x && c.subsampling_y {
        s.f("chroma_sample_position", 2, &mut c.chroma_sample_position)?;
    } else {
        s.infer("chroma_sample_position", &mut c.chroma_sample_position, 0)?;
    }
    s.flag("separate_uv_delta_q", &mut c.separate_uv_delta_q)
}
