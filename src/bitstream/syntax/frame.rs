//! uncompressed_header() (section 5.9.2).

use super::descriptors::Syntax;
use super::film_grain::film_grain_params;
use super::filters::{cdef_params, loop_filter_params, lr_params};
use super::global_motion::global_motion_params;
use super::quantization::{delta_q_and_lf_params, quantization_params, segmentation_params};
use super::tile_info::tile_info;
use crate::bitstream::bits::{BitReader, BitWriter};
use crate::bitstream::error::BitstreamError;
use crate::bitstream::frame::{
    CdefStrength, FrameHeader, FrameType, InterpolationFilter, NUM_REF_FRAMES, PRIMARY_REF_NONE,
    REFS_PER_FRAME, SUPERRES_NUM, TxMode,
};
use crate::bitstream::sequence::{SELECT_INTEGER_MV, SELECT_SCREEN_CONTENT_TOOLS, SequenceHeader};
use crate::bitstream::slots::RefSlots;
use crate::structure::LayerId;

/// The state that uncompressed_header() depends on.
struct Context<'a> {
    sequence: &'a SequenceHeader,
    slots: &'a RefSlots,
    layer: LayerId,
}

impl Context<'_> {
    fn uncompressed_header<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let seq = self.sequence;
        let reduced = seq.reduced_still_picture_header;
        if reduced {
            s.infer("show_existing_frame", &mut h.show_existing_frame, false)?;
            s.infer("frame_type", &mut h.frame_type, FrameType::Key)?;
            s.infer("show_frame", &mut h.show_frame, true)?;
            s.infer("showable_frame", &mut h.showable_frame, false)?;
            s.infer("error_resilient_mode", &mut h.error_resilient_mode, true)?;
        } else {
            s.flag("show_existing_frame", &mut h.show_existing_frame)?;
            if h.show_existing_frame {
                return self.show_existing_frame(s, h);
            }
            s.f("frame_type", 2, &mut h.frame_type)?;
            s.flag("show_frame", &mut h.show_frame)?;
            if h.show_frame {
                self.temporal_point_info(s, h)?;
                s.infer("showable_frame", &mut h.showable_frame, h.frame_type != FrameType::Key)?;
            } else {
                s.flag("showable_frame", &mut h.showable_frame)?;
            }
            if self.resets(h) {
                s.infer("error_resilient_mode", &mut h.error_resilient_mode, true)?;
            } else {
                s.flag("error_resilient_mode", &mut h.error_resilient_mode)?;
            }
        }
        s.flag("disable_cdf_update", &mut h.disable_cdf_update)?;
        if seq.seq_force_screen_content_tools == SELECT_SCREEN_CONTENT_TOOLS {
            s.flag("allow_screen_content_tools", &mut h.allow_screen_content_tools)?;
        } else {
            let forced = seq.seq_force_screen_content_tools == 1;
            s.infer("allow_screen_content_tools", &mut h.allow_screen_content_tools, forced)?;
        }
        self.force_integer_mv(s, h)?;
        let mut slots = self.slots.clone();
        if let Some(ids) = &seq.frame_id_numbers {
            s.f("current_frame_id", ids.id_len(), &mut h.current_frame_id)?;
            slots.mark_by_frame_id(ids, h.current_frame_id);
        } else {
            s.infer("current_frame_id", &mut h.current_frame_id, 0)?;
        }
        if h.frame_type == FrameType::Switch {
            s.infer("frame_size_override_flag", &mut h.frame_size_override_flag, true)?;
        } else if reduced {
            s.infer("frame_size_override_flag", &mut h.frame_size_override_flag, false)?;
        } else {
            s.flag("frame_size_override_flag", &mut h.frame_size_override_flag)?;
        }
        s.f("order_hint", seq.order_hint_bits.into(), &mut h.order_hint)?;
        if h.is_intra() || h.error_resilient_mode {
            s.infer("primary_ref_frame", &mut h.primary_ref_frame, PRIMARY_REF_NONE)?;
        } else {
            s.f("primary_ref_frame", 3, &mut h.primary_ref_frame)?;
        }
        self.buffer_removal_time(s, h)?;
        if self.resets(h) {
            s.infer("refresh_frame_flags", &mut h.refresh_frame_flags, 0xff)?;
        } else {
            s.f("refresh_frame_flags", 8, &mut h.refresh_frame_flags)?;
            if h.frame_type == FrameType::IntraOnly && h.refresh_frame_flags == 0xff {
                return Err(BitstreamError::Value { field: "refresh_frame_flags" });
            }
        }
        if h.codes_ref_order_hints(seq) {
            for (hint, slot) in h.ref_order_hint.iter_mut().zip(&mut slots.slots) {
                s.f("ref_order_hint", seq.order_hint_bits.into(), hint)?;
                slot.valid &= slot.order_hint == *hint;
                // The standard leaves the hint of an invalid slot open. With the coded one, the header of an
                // error resilient frame reads the same whatever frames were lost before it.
                slot.order_hint = *hint;
            }
        } else {
            s.absent(&mut h.ref_order_hint, [0; NUM_REF_FRAMES]);
        }
        if h.is_intra() {
            self.intra_frame(s, h)?;
        } else {
            self.inter_frame(s, h, &slots)?;
        }
        if reduced || h.disable_cdf_update {
            s.infer("disable_frame_end_update_cdf", &mut h.disable_frame_end_update_cdf, true)?;
        } else {
            s.flag("disable_frame_end_update_cdf", &mut h.disable_frame_end_update_cdf)?;
        }
        let primary = h.ref_frame_idx.get(usize::from(h.primary_ref_frame)).copied();
        let previous = slots.previous(primary)?;
        tile_info(s, h, seq)?;
        quantization_params(s, &mut h.quantization, &seq.color_config)?;
        segmentation_params(s, &mut h.segmentation, primary.is_some(), &previous)?;
        delta_q_and_lf_params(s, h)?;
        let coded_lossless = h.coded_lossless();
        if coded_lossless && h.delta_q_present {
            return Err(BitstreamError::Value { field: "delta_q_present" });
        }
        let all_lossless = coded_lossless && h.superres_denom == SUPERRES_NUM;
        let num_planes = seq.color_config.num_planes();
        loop_filter_params(s, h, coded_lossless, num_planes, &previous)?;
        if coded_lossless || h.allow_intrabc || !seq.enable_cdef {
            s.infer("cdef_damping", &mut h.cdef_damping, 3)?;
            s.infer("cdef_bits", &mut h.cdef_bits, 0)?;
            s.infer("cdef_strengths", &mut h.cdef_strengths[0], CdefStrength::default())?;
        } else {
            cdef_params(s, h, num_planes)?;
        }
        if all_lossless || h.allow_intrabc || !seq.enable_restoration {
            s.infer("lr_type", &mut h.frame_restoration_type, Default::default())?;
        } else {
            lr_params(s, h, seq)?;
        }
        if coded_lossless {
            s.infer("tx_mode", &mut h.tx_mode, TxMode::Only4x4)?;
        } else {
            let mut select = h.tx_mode == TxMode::Select;
            s.flag("tx_mode_select", &mut select)?;
            s.infer("tx_mode", &mut h.tx_mode, if select { TxMode::Select } else { TxMode::Largest })?;
        }
        if h.is_intra() {
            s.infer("reference_select", &mut h.reference_select, false)?;
        } else {
            s.flag("reference_select", &mut h.reference_select)?;
        }
        if h.skip_mode_frames(seq, &slots).is_some() {
            s.flag("skip_mode_present", &mut h.skip_mode_present)?;
        } else {
            s.infer("skip_mode_present", &mut h.skip_mode_present, false)?;
        }
        if h.is_intra() || h.error_resilient_mode || !seq.enable_warped_motion {
            s.infer("allow_warped_motion", &mut h.allow_warped_motion, false)?;
        } else {
            s.flag("allow_warped_motion", &mut h.allow_warped_motion)?;
        }
        s.flag("reduced_tx_set", &mut h.reduced_tx_set)?;
        global_motion_params(s, h, &previous)?;
        film_grain_params(s, h, seq, &slots)
    }

    /// Whether the frame refreshes all slots because of its type alone.
    fn resets(&self, h: &FrameHeader) -> bool {
        h.frame_type == FrameType::Switch || h.frame_type == FrameType::Key && h.show_frame
    }

    fn show_existing_frame<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        s.f("frame_to_show_map_idx", 3, &mut h.frame_to_show_map_idx)?;
        self.temporal_point_info(s, h)?;
        h.load(self.slots, h.frame_to_show_map_idx)?;
        if let Some(ids) = &self.sequence.frame_id_numbers {
            s.f("display_frame_id", ids.id_len(), &mut h.display_frame_id)?;
            if h.display_frame_id != h.current_frame_id {
                return Err(BitstreamError::Value { field: "display_frame_id" });
            }
        }
        Ok(())
    }

    fn temporal_point_info<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let equal_interval =
            self.sequence.timing_info.is_some_and(|timing| timing.num_ticks_per_picture_minus_1.is_some());
        match &self.sequence.decoder_model_info {
            Some(model) if !equal_interval => {
                let n = u32::from(model.frame_presentation_time_length_minus_1) + 1;
                s.f("frame_presentation_time", n, &mut h.frame_presentation_time)
            }
            _ => Ok(()),
        }
    }

    fn force_integer_mv<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let field = "force_integer_mv";
        let forced = self.sequence.seq_force_integer_mv;
        if h.allow_screen_content_tools && forced == SELECT_INTEGER_MV {
            s.flag(field, &mut h.force_integer_mv)
        } else {
            s.infer(field, &mut h.force_integer_mv, h.allow_screen_content_tools && forced == 1)
        }
    }

    fn buffer_removal_time<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let seq = self.sequence;
        let field = "buffer_removal_time";
        let Some(model) = &seq.decoder_model_info else {
            return s.infer(field, &mut h.buffer_removal_time, None);
        };
        let n = u32::from(model.buffer_removal_time_length_minus_1) + 1;
        if let Some(times) = s.present("buffer_removal_time_present_flag", &mut h.buffer_removal_time)? {
            s.len(field, times, seq.operating_points.len())?;
            for (time, op) in times.iter_mut().zip(&seq.operating_points) {
                let has_model = op.operating_parameters.is_some();
                if has_model && op.contains(self.layer) {
                    s.f(field, n, time)?;
                } else {
                    s.infer(field, time, 0)?;
                }
            }
        }
        Ok(())
    }

    fn intra_frame<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        s.infer("found_ref", &mut h.found_ref, None)?;
        self.frame_size(s, h)?;
        self.render_size(s, h)?;
        if h.allow_screen_content_tools && h.superres_denom == SUPERRES_NUM {
            s.flag("allow_intrabc", &mut h.allow_intrabc)?;
        } else {
            s.infer("allow_intrabc", &mut h.allow_intrabc, false)?;
        }
        s.infer("use_ref_frame_mvs", &mut h.use_ref_frame_mvs, false)
    }

    fn inter_frame<S: Syntax>(
        &self,
        s: &mut S,
        h: &mut FrameHeader,
        slots: &RefSlots,
    ) -> Result<(), BitstreamError> {
        let seq = self.sequence;
        s.infer("allow_intrabc", &mut h.allow_intrabc, false)?;
        if seq.enable_order_hint() {
            s.flag("frame_refs_short_signaling", &mut h.frame_refs_short_signaling)?;
        } else {
            s.infer("frame_refs_short_signaling", &mut h.frame_refs_short_signaling, false)?;
        }
        if h.frame_refs_short_signaling {
            let [mut last, _, _, mut gold, ..] = h.ref_frame_idx;
            s.f("last_frame_idx", 3, &mut last)?;
            s.f("gold_frame_idx", 3, &mut gold)?;
            let refs = slots.set_frame_refs(seq, h.order_hint, last, gold)?;
            s.infer("ref_frame_idx", &mut h.ref_frame_idx, refs)?;
        }
        for i in 0..REFS_PER_FRAME {
            if !h.frame_refs_short_signaling {
                s.f("ref_frame_idx", 3, &mut h.ref_frame_idx[i])?;
            }
            let slot = slots.get(h.ref_frame_idx[i])?;
            if let Some(ids) = &seq.frame_id_numbers {
                let delta = &mut h.delta_frame_id_minus_1[i];
                s.f("delta_frame_id_minus_1", ids.delta_len(), delta)?;
                let expected = h.current_frame_id.wrapping_sub(*delta + 1) & ((1 << ids.id_len()) - 1);
                if expected != slot.frame_id {
                    return Err(BitstreamError::Value { field: "delta_frame_id_minus_1" });
                }
            }
        }
        if h.frame_size_override_flag && !h.error_resilient_mode {
            self.frame_size_with_refs(s, h, slots)?;
        } else {
            s.infer("found_ref", &mut h.found_ref, None)?;
            self.frame_size(s, h)?;
            self.render_size(s, h)?;
        }
        self.check_references(h, slots)?;
        if h.force_integer_mv {
            s.infer("allow_high_precision_mv", &mut h.allow_high_precision_mv, false)?;
        } else {
            s.flag("allow_high_precision_mv", &mut h.allow_high_precision_mv)?;
        }
        let mut switchable = h.interpolation_filter == InterpolationFilter::Switchable;
        s.flag("is_filter_switchable", &mut switchable)?;
        if switchable {
            h.interpolation_filter = InterpolationFilter::Switchable;
        } else {
            s.f("interpolation_filter", 2, &mut h.interpolation_filter)?;
        }
        s.flag("is_motion_mode_switchable", &mut h.is_motion_mode_switchable)?;
        if h.error_resilient_mode || !seq.enable_ref_frame_mvs {
            s.infer("use_ref_frame_mvs", &mut h.use_ref_frame_mvs, false)
        } else {
            s.flag("use_ref_frame_mvs", &mut h.use_ref_frame_mvs)
        }
    }

    /// The requirements on references of sections 6.8.2 and 6.8.6.
    fn check_references(&self, h: &FrameHeader, slots: &RefSlots) -> Result<(), BitstreamError> {
        let color = &self.sequence.color_config;
        for i in h.ref_frame_idx {
            let slot = slots.get(i)?;
            if (slot.bit_depth, slot.subsampling_x, slot.subsampling_y)
                != (color.bit_depth, color.subsampling_x, color.subsampling_y)
            {
                return Err(BitstreamError::ReferenceFormat { slot: i });
            }
            let (width, height) = (h.frame_width(), h.frame_height);
            if 2 * width < slot.upscaled_width
                || 2 * height < slot.frame_height
                || width > 16 * slot.upscaled_width
                || height > 16 * slot.frame_height
            {
                return Err(BitstreamError::ReferenceSize { slot: i });
            }
        }
        Ok(())
    }

    fn frame_size<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let seq = self.sequence;
        if h.frame_size_override_flag {
            let n = u32::from(seq.frame_width_bits_minus_1) + 1;
            s.f_above("frame_width_minus_1", n, 1, &mut h.upscaled_width)?;
            let n = u32::from(seq.frame_height_bits_minus_1) + 1;
            s.f_above("frame_height_minus_1", n, 1, &mut h.frame_height)?;
            if h.upscaled_width > seq.max_frame_width || h.frame_height > seq.max_frame_height {
                return Err(BitstreamError::Value { field: "frame_width_minus_1" });
            }
        } else {
            s.infer("frame_width", &mut h.upscaled_width, seq.max_frame_width)?;
            s.infer("frame_height", &mut h.frame_height, seq.max_frame_height)?;
        }
        self.superres_params(s, h)
    }

    fn superres_params<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        let mut use_superres = h.superres_denom != SUPERRES_NUM;
        if self.sequence.enable_superres {
            s.flag("use_superres", &mut use_superres)?;
        } else {
            s.infer("use_superres", &mut use_superres, false)?;
        }
        if use_superres {
            s.f_above("coded_denom", 3, SUPERRES_NUM as u32 + 1, &mut h.superres_denom)
        } else {
            h.superres_denom = SUPERRES_NUM;
            Ok(())
        }
    }

    fn render_size<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), BitstreamError> {
        s.flag("render_and_frame_size_different", &mut h.render_and_frame_size_different)?;
        if h.render_and_frame_size_different {
            s.f_above("render_width_minus_1", 16, 1, &mut h.render_width)?;
            s.f_above("render_height_minus_1", 16, 1, &mut h.render_height)
        } else {
            s.infer("render_width", &mut h.render_width, h.upscaled_width)?;
            s.infer("render_height", &mut h.render_height, h.frame_height)
        }
    }

    fn frame_size_with_refs<S: Syntax>(
        &self,
        s: &mut S,
        h: &mut FrameHeader,
        slots: &RefSlots,
    ) -> Result<(), BitstreamError> {
        for (i, slot) in h.ref_frame_idx.into_iter().enumerate() {
            let mut found_ref = h.found_ref == Some(i as u8);
            s.flag("found_ref", &mut found_ref)?;
            if found_ref {
                h.found_ref = Some(i as u8);
                let slot = slots.get(slot)?;
                s.infer("frame_width", &mut h.upscaled_width, slot.upscaled_width)?;
                s.infer("frame_height", &mut h.frame_height, slot.frame_height)?;
                s.infer("render_width", &mut h.render_width, slot.render_width)?;
                s.infer("render_height", &mut h.render_height, slot.render_height)?;
                s.absent(&mut h.render_and_frame_size_different, false);
                return self.superres_params(s, h);
            }
        }
        s.infer("found_ref", &mut h.found_ref, None)?;
        self.frame_size(s, h)?;
        self.render_size(s, h)
    }
}

impl FrameHeader {
    /// Reads uncompressed_header() of a frame of `layer`. `slots` is the state before the frame. The reader
    /// then stands at the first bit behind the header.
    ///
    /// # Errors
    /// [`BitstreamError`] if the header ends early, breaks the standard or refers to a slot without a frame.
    pub fn parse(
        r: &mut BitReader<'_>,
        sequence: &SequenceHeader,
        slots: &RefSlots,
        layer: LayerId,
    ) -> Result<Self, BitstreamError> {
        let mut header = Self::key(sequence);
        Context { sequence, slots, layer }.uncompressed_header(r, &mut header)?;
        Ok(header)
    }

    /// Writes uncompressed_header() of a frame of `layer`. `slots` is the state before the frame.
    ///
    /// # Errors
    /// [`BitstreamError::Value`] and [`BitstreamError::Inferred`] if the syntax has no code for a value of
    /// the header; otherwise as [`parse`](Self::parse).
    pub fn write(
        &self,
        w: &mut BitWriter,
        sequence: &SequenceHeader,
        slots: &RefSlots,
        layer: LayerId,
    ) -> Result<(), BitstreamError> {
        Context { sequence, slots, layer }.uncompressed_header(w, &mut self.clone())
    }
}
