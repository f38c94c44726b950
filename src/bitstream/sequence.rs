//! The sequence header (section 5.5) as data. `syntax` reads and writes it.

#![allow(clippy::exhaustive_structs, reason = "the names of the standard, which are fixed")]

use crate::structure::LayerId;

/// seq_force_screen_content_tools: each frame codes whether it uses them.
pub const SELECT_SCREEN_CONTENT_TOOLS: u8 = 2;
/// seq_force_integer_mv: each frame codes whether its motion vectors are integers.
pub const SELECT_INTEGER_MV: u8 = 2;

/// sequence_header_obu(), section 5.5.1. Names are the standard's; a flag that only
/// announces another element is an `Option` of that element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// 0 Main, 1 High, 2 Professional.
    pub seq_profile: u8,
    /// The sequence is one frame.
    pub still_picture: bool,
    /// The short header of a still picture.
    pub reduced_still_picture_header: bool,
    /// Without it there is no `decoder_model_info` either.
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
    /// Lengths of the frame ids, if frames carry them.
    pub frame_id_numbers: Option<FrameIdNumbers>,
    /// Superblocks have 128x128 luma samples in place of 64x64.
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
    /// Compound prediction may weight references by their distance; false without order hints.
    pub enable_jnt_comp: bool,
    /// Frames may use the motion vectors of references; false without order hints.
    pub enable_ref_frame_mvs: bool,
    /// 0, 1 or [`SELECT_SCREEN_CONTENT_TOOLS`].
    pub seq_force_screen_content_tools: u8,
    /// 0, 1 or [`SELECT_INTEGER_MV`]; the latter if screen content tools are never used.
    pub seq_force_integer_mv: u8,
    /// OrderHintBits: 1 to 8, or 0 if enable_order_hint is 0.
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
    /// num_ticks_per_picture_minus_1, if equal_picture_interval is 1.
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

/// One operating point: its layers, and the level a decoder needs for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperatingPoint {
    /// operating_point_idc: bit `t` for temporal layer `t`, bit `8 + s` for spatial layer `s`; 0 if
    /// the stream is not layered.
    pub idc: u16,
    /// seq_level_idx, 0 to 31 (annex A.3).
    pub seq_level_idx: u8,
    /// seq_tier; false up to a seq_level_idx of 7.
    pub seq_tier: bool,
    /// operating_parameters_info(), if the decoder model covers this operating point.
    pub operating_parameters: Option<OperatingParameters>,
    /// initial_display_delay_minus_1, 0 to 15.
    pub initial_display_delay_minus_1: Option<u8>,
}

impl OperatingPoint {
    /// Whether the layer is part of this operating point (section 5.3.1; 5.9.2 for an idc of 0).
    pub fn contains(&self, layer: LayerId) -> bool {
        let bit = |n: u8| self.idc.checked_shr(n.into()).unwrap_or(0) & 1 == 1;
        self.idc == 0 || bit(layer.temporal_id) && bit(layer.spatial_id.saturating_add(8))
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
    /// Primaries, transfer and matrix, if color_description_present_flag is 1.
    pub color_description: Option<ColorDescription>,
    /// Samples have the full range in place of the studio range.
    pub color_range: bool,
    /// Chroma has half the width.
    pub subsampling_x: bool,
    /// Chroma has half the height.
    pub subsampling_y: bool,
    /// 0 unknown, 1 vertical, 2 colocated; only for 4:2:0.
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
    /// What holds if color_description_present_flag is 0 (section 5.5.2).
    pub const UNSPECIFIED: Self =
        Self { color_primaries: 2, transfer_characteristics: 2, matrix_coefficients: 2 };

    /// BT.709 primaries, the sRGB curve and no matrix: coded as full range 4:4:4.
    pub(super) const SRGB: Self =
        Self { color_primaries: 1, transfer_characteristics: 13, matrix_coefficients: 0 };
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
}
