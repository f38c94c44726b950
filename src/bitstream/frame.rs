//! Frame headers (section 5.9) as data. `syntax` reads and writes them.

#![allow(
    clippy::exhaustive_structs,
    clippy::exhaustive_enums,
    reason = "the names and codes of the standard, which are fixed"
)]

use super::sequence::SequenceHeader;

/// NUM_REF_FRAMES: reference slots.
pub const NUM_REF_FRAMES: usize = 8;
/// REFS_PER_FRAME: references of one frame, LAST_FRAME to ALTREF_FRAME.
pub const REFS_PER_FRAME: usize = 7;
/// PRIMARY_REF_NONE: no reference to take probabilities and other state from.
pub const PRIMARY_REF_NONE: u8 = 7;
/// MAX_SEGMENTS.
pub const MAX_SEGMENTS: usize = 8;
/// SEG_LVL_MAX: features of a segment.
pub const SEG_LVL_MAX: usize = 8;
/// SUPERRES_NUM: the superres_denom of a frame that is not upscaled.
pub const SUPERRES_NUM: u8 = 8;
/// WARPEDMODEL_PREC_BITS: fractional bits of gm_params.
pub(super) const WARPEDMODEL_PREC_BITS: u32 = 16;
/// gm_params of no motion.
pub const GM_IDENTITY: [i32; 6] = [0, 0, 1 << WARPEDMODEL_PREC_BITS, 0, 0, 1 << WARPEDMODEL_PREC_BITS];

/// frame_type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FrameType {
    /// KEY_FRAME.
    #[default]
    Key,
    /// INTER_FRAME.
    Inter,
    /// INTRA_ONLY_FRAME.
    IntraOnly,
    /// SWITCH_FRAME.
    Switch,
}

/// interpolation_filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterpolationFilter {
    /// EIGHTTAP.
    #[default]
    EightTap,
    /// EIGHTTAP_SMOOTH.
    EightTapSmooth,
    /// EIGHTTAP_SHARP.
    EightTapSharp,
    /// BILINEAR.
    Bilinear,
    /// SWITCHABLE: each block codes its own filter.
    Switchable,
}

/// FrameRestorationType, in the order of lr_type's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestorationType {
    /// RESTORE_NONE.
    #[default]
    None,
    /// RESTORE_SWITCHABLE.
    Switchable,
    /// RESTORE_WIENER.
    Wiener,
    /// RESTORE_SGRPROJ.
    SgrProj,
}

/// TxMode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TxMode {
    /// ONLY_4X4: of lossless frames, and of no others.
    Only4x4,
    /// TX_MODE_LARGEST.
    #[default]
    Largest,
    /// TX_MODE_SELECT.
    Select,
}

/// GmType: the kind of global motion of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum WarpType {
    /// IDENTITY.
    #[default]
    Identity,
    /// TRANSLATION.
    Translation,
    /// ROTZOOM.
    RotZoom,
    /// AFFINE.
    Affine,
}

/// uncompressed_header(), section 5.9.2. Names are the standard's.
///
/// [`FrameHeader::key`] and [`FrameHeader::inter`] make headers to start from. If the syntax does not code a
/// field because other fields determine it, a header to be written must have the value there that the
/// standard infers. Fields without any effect are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// The header shows the frame of slot `frame_to_show_map_idx` and codes no new one. Reading takes the
    /// other fields from that slot; writing looks only at the index, the id and the time.
    pub show_existing_frame: bool,
    /// 0 to 7.
    pub frame_to_show_map_idx: u8,
    /// display_frame_id, of show_existing_frame.
    pub display_frame_id: u32,
    /// frame_presentation_time, if the sequence has a decoder model and no fixed picture interval.
    pub frame_presentation_time: u32,
    /// frame_type.
    pub frame_type: FrameType,
    /// The frame is output once decoded.
    pub show_frame: bool,
    /// The frame may be output later, by show_existing_frame.
    pub showable_frame: bool,
    /// The header can be read without earlier frames.
    pub error_resilient_mode: bool,
    /// Symbol probabilities stay as they are within tiles.
    pub disable_cdf_update: bool,
    /// Palettes and intra block copy may be used.
    pub allow_screen_content_tools: bool,
    /// Motion vectors are whole samples. This is the coded value; the standard takes it as 1 for intra
    /// frames.
    pub force_integer_mv: bool,
    /// current_frame_id, if the sequence has frame ids.
    pub current_frame_id: u32,
    /// The frame has a size of its own or that of a reference.
    pub frame_size_override_flag: bool,
    /// OrderHint: the low OrderHintBits of the output order.
    pub order_hint: u32,
    /// Index into `ref_frame_idx` or [`PRIMARY_REF_NONE`].
    pub primary_ref_frame: u8,
    /// buffer_removal_time of each operating point, if buffer_removal_time_present_flag is 1; 0 for an
    /// operating point that has none coded.
    pub buffer_removal_time: Option<Vec<u32>>,
    /// Bit `i`: slot `i` takes this frame.
    pub refresh_frame_flags: u8,
    /// The order hints in the encoder's slots; coded if
    /// [`codes_ref_order_hints`](Self::codes_ref_order_hints) is true.
    pub ref_order_hint: [u32; NUM_REF_FRAMES],
    /// UpscaledWidth, in luma samples.
    pub upscaled_width: u32,
    /// FrameHeight, in luma samples.
    pub frame_height: u32,
    /// SuperresDenom: 9 to 16 eighths, or [`SUPERRES_NUM`].
    pub superres_denom: u8,
    /// render_width_minus_1 and render_height_minus_1 are coded.
    pub render_and_frame_size_different: bool,
    /// RenderWidth, in luma samples.
    pub render_width: u32,
    /// RenderHeight, in luma samples.
    pub render_height: u32,
    /// frame_size_with_refs(): the first index into `ref_frame_idx` with found_ref equal to 1.
    pub found_ref: Option<u8>,
    /// Intra block copy may be used.
    pub allow_intrabc: bool,
    /// Only LAST_FRAME and GOLDEN_FRAME are coded; the set frame refs process derives the others.
    pub frame_refs_short_signaling: bool,
    /// The slot of each reference, LAST_FRAME first; zeros for intra frames.
    pub ref_frame_idx: [u8; REFS_PER_FRAME],
    /// delta_frame_id_minus_1 of each reference, if the sequence has frame ids.
    pub delta_frame_id_minus_1: [u32; REFS_PER_FRAME],
    /// Motion vectors of eighths of a sample.
    pub allow_high_precision_mv: bool,
    /// interpolation_filter.
    pub interpolation_filter: InterpolationFilter,
    /// Blocks may use other than simple motion.
    pub is_motion_mode_switchable: bool,
    /// Motion vectors of references serve as candidates.
    pub use_ref_frame_mvs: bool,
    /// Symbol probabilities at the end of the frame are not saved.
    pub disable_frame_end_update_cdf: bool,
    /// tile_info().
    pub tile_info: TileInfo,
    /// quantization_params().
    pub quantization: QuantizationParams,
    /// segmentation_params().
    pub segmentation: SegmentationParams,
    /// Blocks code a change of the quantizer index.
    pub delta_q_present: bool,
    /// Left shift of that change, 0 to 3.
    pub delta_q_res: u8,
    /// Blocks code a change of the loop filter level.
    pub delta_lf_present: bool,
    /// Left shift of that change, 0 to 3.
    pub delta_lf_res: u8,
    /// One change per edge direction and plane.
    pub delta_lf_multi: bool,
    /// loop_filter_level: luma vertical and horizontal, U, V; 0 to 63 each.
    pub loop_filter_level: [u8; 4],
    /// 0 to 7.
    pub loop_filter_sharpness: u8,
    /// The level depends on reference and mode.
    pub loop_filter_delta_enabled: bool,
    /// Marks the coded deltas, if loop_filter_delta_update is 1.
    pub loop_filter_delta_update: Option<LoopFilterDeltaUpdate>,
    /// The deltas in force. Those that are not coded come from the primary reference or are the default.
    pub loop_filter_deltas: LoopFilterDeltas,
    /// CdefDamping, 3 to 6.
    pub cdef_damping: u8,
    /// log2 of the number of strengths, 0 to 3.
    pub cdef_bits: u8,
    /// The first `1 << cdef_bits` count.
    pub cdef_strengths: [CdefStrength; 8],
    /// FrameRestorationType by plane.
    pub frame_restoration_type: [RestorationType; 3],
    /// LoopRestorationSize of luma is `64 << lr_unit_shift`: 0 to 2.
    pub lr_unit_shift: u8,
    /// Chroma units have half that size.
    pub lr_uv_shift: bool,
    /// TxMode.
    pub tx_mode: TxMode,
    /// Blocks may use compound prediction.
    pub reference_select: bool,
    /// Blocks may use skip mode.
    pub skip_mode_present: bool,
    /// Blocks may use warped motion.
    pub allow_warped_motion: bool,
    /// Blocks use only some of the transform types.
    pub reduced_tx_set: bool,
    /// GmType of each reference.
    pub gm_type: [WarpType; REFS_PER_FRAME],
    /// gm_params of each reference, in units of 1/65536.
    pub gm_params: [[i32; 6]; REFS_PER_FRAME],
    /// film_grain_params().
    pub film_grain: FilmGrainParams,
}

/// tile_info(), section 5.9.15.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileInfo {
    /// All tiles have one size, which follows from `tile_cols_log2` and `tile_rows_log2`.
    pub uniform_tile_spacing_flag: bool,
    /// TileColsLog2.
    pub tile_cols_log2: u8,
    /// TileRowsLog2.
    pub tile_rows_log2: u8,
    /// Width of each tile column in superblocks, if they are not uniform.
    pub width_in_sbs: Vec<u32>,
    /// Height of each tile row in superblocks, if they are not uniform.
    pub height_in_sbs: Vec<u32>,
    /// The tile whose final symbol probabilities are saved.
    pub context_update_tile_id: u16,
    /// TileSizeBytes, 1 to 4; coded only in frames with more than one tile.
    pub tile_size_bytes: u8,
}

impl Default for TileInfo {
    /// One tile, which is enough for frames of up to 4096 samples in width and 4096x2304 in all.
    fn default() -> Self {
        Self {
            uniform_tile_spacing_flag: true,
            tile_cols_log2: 0,
            tile_rows_log2: 0,
            width_in_sbs: vec![],
            height_in_sbs: vec![],
            context_update_tile_id: 0,
            tile_size_bytes: 4,
        }
    }
}

/// quantization_params(), section 5.9.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QuantizationParams {
    /// 0 to 255.
    pub base_q_idx: u8,
    /// DeltaQYDc, -64 to 63 as all deltas.
    pub delta_q_y_dc: i8,
    /// U and V have deltas of their own.
    pub diff_uv_delta: bool,
    /// DeltaQUDc.
    pub delta_q_u_dc: i8,
    /// DeltaQUAc.
    pub delta_q_u_ac: i8,
    /// DeltaQVDc.
    pub delta_q_v_dc: i8,
    /// DeltaQVAc.
    pub delta_q_v_ac: i8,
    /// qm_y, qm_u and qm_v (0 to 15), if using_qmatrix is 1.
    pub qm: Option<[u8; 3]>,
}

/// FeatureData by segment and feature; `None` if FeatureEnabled is 0.
pub type SegmentationFeatures = [[Option<i16>; SEG_LVL_MAX]; MAX_SEGMENTS];

/// segmentation_params(), section 5.9.14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentationParams {
    /// segmentation_enabled.
    pub enabled: bool,
    /// segmentation_update_map.
    pub update_map: bool,
    /// segmentation_temporal_update.
    pub temporal_update: bool,
    /// segmentation_update_data.
    pub update_data: bool,
    /// The features in force: those of the primary reference, if not updated.
    pub features: SegmentationFeatures,
}

/// loop_filter_ref_deltas and loop_filter_mode_deltas, -64 to 63 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopFilterDeltas {
    /// By reference, INTRA_FRAME first.
    pub ref_deltas: [i8; 8],
    /// By mode.
    pub mode_deltas: [i8; 2],
}

impl Default for LoopFilterDeltas {
    /// The values of setup_past_independence() (section 6.8.2).
    fn default() -> Self {
        Self { ref_deltas: [1, 0, 0, 0, -1, 0, -1, -1], mode_deltas: [0, 0] }
    }
}

/// update_ref_delta and update_mode_delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoopFilterDeltaUpdate {
    /// By reference.
    pub ref_deltas: [bool; 8],
    /// By mode.
    pub mode_deltas: [bool; 2],
}

/// One of the strengths of cdef_params(), section 5.9.19. Secondary ones are 0, 1, 2 or 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CdefStrength {
    /// cdef_y_pri_strength, 0 to 15.
    pub y_pri: u8,
    /// cdef_y_sec_strength.
    pub y_sec: u8,
    /// cdef_uv_pri_strength, 0 to 15.
    pub uv_pri: u8,
    /// cdef_uv_sec_strength.
    pub uv_sec: u8,
}

/// film_grain_params(), section 5.9.30; names are the standard's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct FilmGrainParams {
    pub apply_grain: bool,
    pub grain_seed: u16,
    /// If update_grain is 0, the slot that all parameters but the seed come from.
    pub film_grain_params_ref_idx: Option<u8>,
    /// point_y_value and point_y_scaling, up to 14.
    pub point_y: Vec<[u8; 2]>,
    pub chroma_scaling_from_luma: bool,
    /// point_cb_value and point_cb_scaling, up to 10.
    pub point_cb: Vec<[u8; 2]>,
    /// point_cr_value and point_cr_scaling, up to 10.
    pub point_cr: Vec<[u8; 2]>,
    pub grain_scaling_minus_8: u8,
    pub ar_coeff_lag: u8,
    pub ar_coeffs_y_plus_128: Vec<u8>,
    pub ar_coeffs_cb_plus_128: Vec<u8>,
    pub ar_coeffs_cr_plus_128: Vec<u8>,
    pub ar_coeff_shift_minus_6: u8,
    pub grain_scale_shift: u8,
    pub cb_mult: u8,
    pub cb_luma_mult: u8,
    pub cb_offset: u16,
    pub cr_mult: u8,
    pub cr_luma_mult: u8,
    pub cr_offset: u16,
    pub overlap_flag: bool,
    pub clip_to_restricted_range: bool,
}

impl FrameHeader {
    /// A shown key frame of the sequence's full size, which refreshes every slot, with every tool off.
    pub fn key(sequence: &SequenceHeader) -> Self {
        Self {
            show_existing_frame: false,
            frame_to_show_map_idx: 0,
            display_frame_id: 0,
            frame_presentation_time: 0,
            frame_type: FrameType::Key,
            show_frame: true,
            showable_frame: false,
            error_resilient_mode: true,
            disable_cdf_update: false,
            allow_screen_content_tools: sequence.seq_force_screen_content_tools == 1,
            force_integer_mv: sequence.seq_force_screen_content_tools == 1
                && sequence.seq_force_integer_mv == 1,
            current_frame_id: 0,
            frame_size_override_flag: false,
            order_hint: 0,
            primary_ref_frame: PRIMARY_REF_NONE,
            buffer_removal_time: None,
            refresh_frame_flags: 0xff,
            ref_order_hint: [0; NUM_REF_FRAMES],
            upscaled_width: sequence.max_frame_width,
            frame_height: sequence.max_frame_height,
            superres_denom: SUPERRES_NUM,
            render_and_frame_size_different: false,
            render_width: sequence.max_frame_width,
            render_height: sequence.max_frame_height,
            found_ref: None,
            allow_intrabc: false,
            frame_refs_short_signaling: false,
            ref_frame_idx: [0; REFS_PER_FRAME],
            delta_frame_id_minus_1: [0; REFS_PER_FRAME],
            allow_high_precision_mv: false,
            interpolation_filter: InterpolationFilter::EightTap,
            is_motion_mode_switchable: false,
            use_ref_frame_mvs: false,
            disable_frame_end_update_cdf: sequence.reduced_still_picture_header,
            tile_info: TileInfo::default(),
            quantization: QuantizationParams::default(),
            segmentation: SegmentationParams::default(),
            delta_q_present: false,
            delta_q_res: 0,
            delta_lf_present: false,
            delta_lf_res: 0,
            delta_lf_multi: false,
            loop_filter_level: [0; 4],
            loop_filter_sharpness: 0,
            loop_filter_delta_enabled: true,
            loop_filter_delta_update: None,
            loop_filter_deltas: LoopFilterDeltas::default(),
            cdef_damping: 3,
            cdef_bits: 0,
            cdef_strengths: Default::default(),
            frame_restoration_type: Default::default(),
            lr_unit_shift: 0,
            lr_uv_shift: false,
            tx_mode: TxMode::Largest,
            reference_select: false,
            skip_mode_present: false,
            allow_warped_motion: false,
            reduced_tx_set: false,
            gm_type: Default::default(),
            gm_params: [GM_IDENTITY; REFS_PER_FRAME],
            film_grain: FilmGrainParams::default(),
        }
    }

    /// A shown inter frame of the sequence's full size that refreshes no slot. It is not error resilient, and
    /// its motion vectors count quarter samples; otherwise it is as [`key`](Self::key).
    pub fn inter(sequence: &SequenceHeader) -> Self {
        Self {
            frame_type: FrameType::Inter,
            showable_frame: true,
            error_resilient_mode: false,
            refresh_frame_flags: 0,
            ..Self::key(sequence)
        }
    }

    /// Makes the frame `width` x `height` luma samples: sets the frame size, the render size and
    /// frame_size_override_flag, which is set unless the frame has the sequence's full size. Switch frames need
    /// that flag in any case, so their callers must set it.
    pub fn set_frame_size(&mut self, sequence: &SequenceHeader, width: u32, height: u32) {
        (self.upscaled_width, self.frame_height) = (width, height);
        (self.render_width, self.render_height) = (width, height);
        self.frame_size_override_flag =
            (width, height) != (sequence.max_frame_width, sequence.max_frame_height);
    }

    /// FrameIsIntra.
    pub fn is_intra(&self) -> bool {
        matches!(self.frame_type, FrameType::Key | FrameType::IntraOnly)
    }

    /// FrameWidth: the coded width, before superres (section 5.9.8).
    pub fn frame_width(&self) -> u32 {
        let denom = u64::from(self.superres_denom).max(1);
        ((u64::from(self.upscaled_width) * u64::from(SUPERRES_NUM) + denom / 2) / denom) as u32
    }

    /// MiCols: columns of 4x4 luma samples, an even number (section 5.9.9).
    pub fn mi_cols(&self) -> u32 {
        2 * self.frame_width().div_ceil(8)
    }

    /// MiRows: rows of 4x4 luma samples, an even number.
    pub fn mi_rows(&self) -> u32 {
        2 * self.frame_height.div_ceil(8)
    }

    /// Whether ref_order_hint is coded.
    pub fn codes_ref_order_hints(&self, sequence: &SequenceHeader) -> bool {
        (!self.is_intra() || self.refresh_frame_flags != 0xff)
            && self.error_resilient_mode
            && sequence.enable_order_hint()
    }

    /// get_qindex( 1, segmentId ) of section 7.12.2: the quantizer index of a segment without block deltas.
    pub fn qindex(&self, segment_id: usize) -> u8 {
        let base = i16::from(self.quantization.base_q_idx);
        match self.segmentation.features[segment_id][0] {
            Some(data) if self.segmentation.enabled => (base + data).clamp(0, 255) as u8,
            _ => base as u8,
        }
    }

    /// CodedLossless: all segments are coded without loss.
    pub fn coded_lossless(&self) -> bool {
        let q = &self.quantization;
        (0..MAX_SEGMENTS).all(|segment| self.qindex(segment) == 0)
            && [q.delta_q_y_dc, q.delta_q_u_dc, q.delta_q_u_ac, q.delta_q_v_dc, q.delta_q_v_ac] == [0; 5]
    }
}
