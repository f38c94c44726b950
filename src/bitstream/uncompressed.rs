//! One description of uncompressed_header() (section 5.9.2) that reads and writes.

use super::Error;
use super::bits::Syntax;
use super::frame::*;
use super::sequence::{ColorConfig, SELECT_INTEGER_MV, SELECT_SCREEN_CONTENT_TOOLS, SequenceHeader};
use super::slots::{RefSlot, RefSlots};
use crate::structure::LayerId;

/// The numbers that bound tile_info().
pub(super) struct TileLimits {
    pub(super) sb_cols: u32,
    pub(super) sb_rows: u32,
    pub(super) sb_shift: u32,
    pub(super) max_tile_width_sb: u32,
    pub(super) min_log2_tile_cols: u32,
    pub(super) max_log2_tile_cols: u32,
    pub(super) max_log2_tile_rows: u32,
    pub(super) min_log2_tiles: u32,
}

/// tile_log2(): the smallest k with `block << k` at least `target`.
fn tile_log2(block: u32, target: u32) -> u32 {
    (0..32).find(|&k| u64::from(block) << k >= u64::from(target)).unwrap_or(32)
}

impl TileLimits {
    pub(super) fn new(h: &FrameHeader, sequence: &SequenceHeader) -> Self {
        const MAX_TILE_WIDTH: u32 = 4096;
        const MAX_TILE_AREA: u32 = 4096 * 2304;
        const MAX_TILE_COLS: u32 = 64;
        const MAX_TILE_ROWS: u32 = 64;
        let sb_shift = if sequence.use_128x128_superblock { 5 } else { 4 };
        let sb_size = sb_shift + 2;
        let (sb_cols, sb_rows) = (h.mi_cols().div_ceil(1 << sb_shift), h.mi_rows().div_ceil(1 << sb_shift));
        let max_tile_width_sb = MAX_TILE_WIDTH >> sb_size;
        let min_log2_tile_cols = tile_log2(max_tile_width_sb, sb_cols);
        Self {
            sb_cols,
            sb_rows,
            sb_shift,
            max_tile_width_sb,
            min_log2_tile_cols,
            max_log2_tile_cols: tile_log2(1, sb_cols.min(MAX_TILE_COLS)),
            max_log2_tile_rows: tile_log2(1, sb_rows.min(MAX_TILE_ROWS)),
            min_log2_tiles: min_log2_tile_cols
                .max(tile_log2(MAX_TILE_AREA >> (2 * sb_size), sb_rows * sb_cols)),
        }
    }
}

/// What uncompressed_header() refers to.
pub(super) struct Context<'a> {
    pub(super) sequence: &'a SequenceHeader,
    pub(super) slots: &'a RefSlots,
    pub(super) layer: LayerId,
}

impl Context<'_> {
    pub(super) fn uncompressed_header<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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
                return Err(Error::Value { field: "refresh_frame_flags" });
            }
        }
        if h.codes_ref_order_hints(seq) {
            for (hint, slot) in h.ref_order_hint.iter_mut().zip(&mut slots.slots) {
                s.f("ref_order_hint", seq.order_hint_bits.into(), hint)?;
                slot.valid &= slot.order_hint == *hint;
                // The standard leaves an invalid slot's hint open; with the coded one, the header of an
                // error resilient frame reads alike whatever was lost before.
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
            return Err(Error::Value { field: "delta_q_present" });
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
        self.film_grain_params(s, h, &slots)
    }

    /// Frames whose type alone says that all slots are refreshed.
    fn resets(&self, h: &FrameHeader) -> bool {
        h.frame_type == FrameType::Switch || h.frame_type == FrameType::Key && h.show_frame
    }

    fn show_existing_frame<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
        s.f("frame_to_show_map_idx", 3, &mut h.frame_to_show_map_idx)?;
        self.temporal_point_info(s, h)?;
        h.load(self.slots, h.frame_to_show_map_idx)?;
        if let Some(ids) = &self.sequence.frame_id_numbers {
            s.f("display_frame_id", ids.id_len(), &mut h.display_frame_id)?;
            if h.display_frame_id != h.current_frame_id {
                return Err(Error::Value { field: "display_frame_id" });
            }
        }
        Ok(())
    }

    fn temporal_point_info<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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

    fn force_integer_mv<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
        let field = "force_integer_mv";
        let forced = self.sequence.seq_force_integer_mv;
        if h.allow_screen_content_tools && forced == SELECT_INTEGER_MV {
            s.flag(field, &mut h.force_integer_mv)
        } else {
            s.infer(field, &mut h.force_integer_mv, h.allow_screen_content_tools && forced == 1)
        }
    }

    fn buffer_removal_time<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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
                if has_model && op.contains(self.layer.temporal_id, self.layer.spatial_id) {
                    s.f(field, n, time)?;
                } else {
                    s.infer(field, time, 0)?;
                }
            }
        }
        Ok(())
    }

    fn intra_frame<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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

    fn inter_frame<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader, slots: &RefSlots) -> Result<(), Error> {
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
                    return Err(Error::Value { field: "delta_frame_id_minus_1" });
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
    fn check_references(&self, h: &FrameHeader, slots: &RefSlots) -> Result<(), Error> {
        let color = &self.sequence.color_config;
        for i in h.ref_frame_idx {
            let slot = slots.get(i)?;
            if (slot.bit_depth, slot.subsampling_x, slot.subsampling_y)
                != (color.bit_depth, color.subsampling_x, color.subsampling_y)
            {
                return Err(Error::ReferenceFormat { slot: i });
            }
            let (width, height) = (h.frame_width(), h.frame_height);
            if 2 * width < slot.upscaled_width
                || 2 * height < slot.frame_height
                || width > 16 * slot.upscaled_width
                || height > 16 * slot.frame_height
            {
                return Err(Error::ReferenceSize { slot: i });
            }
        }
        Ok(())
    }

    fn frame_size<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
        let seq = self.sequence;
        if h.frame_size_override_flag {
            let n = u32::from(seq.frame_width_bits_minus_1) + 1;
            s.f_above("frame_width_minus_1", n, 1, &mut h.upscaled_width)?;
            let n = u32::from(seq.frame_height_bits_minus_1) + 1;
            s.f_above("frame_height_minus_1", n, 1, &mut h.frame_height)?;
            if h.upscaled_width > seq.max_frame_width || h.frame_height > seq.max_frame_height {
                return Err(Error::Value { field: "frame_width_minus_1" });
            }
        } else {
            s.infer("frame_width", &mut h.upscaled_width, seq.max_frame_width)?;
            s.infer("frame_height", &mut h.frame_height, seq.max_frame_height)?;
        }
        self.superres_params(s, h)
    }

    fn superres_params<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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

    fn render_size<S: Syntax>(&self, s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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
    ) -> Result<(), Error> {
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

    fn film_grain_params<S: Syntax>(
        &self,
        s: &mut S,
        h: &mut FrameHeader,
        slots: &RefSlots,
    ) -> Result<(), Error> {
        let seq = self.sequence;
        let reset = FilmGrainParams::default();
        if !seq.film_grain_params_present || !h.show_frame && !h.showable_frame {
            return s.infer("film_grain_params", &mut h.film_grain, reset);
        }
        // Parameters of a slot may themselves say apply_grain 0; the coded flag is 1 even then.
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
            return Err(Error::Value { field: "film_grain_params_ref_idx" });
        }
        let loaded = FilmGrainParams {
            grain_seed: h.film_grain.grain_seed,
            film_grain_params_ref_idx: Some(i),
            ..slots.get(i)?.film_grain.clone()
        };
        s.infer("film_grain_params", &mut h.film_grain, loaded)
    }
}

fn tile_info<S: Syntax>(s: &mut S, h: &mut FrameHeader, seq: &SequenceHeader) -> Result<(), Error> {
    let limits = TileLimits::new(h, seq);
    let t = &mut h.tile_info;
    s.flag("uniform_tile_spacing_flag", &mut t.uniform_tile_spacing_flag)?;
    if t.uniform_tile_spacing_flag {
        s.infer("width_in_sbs", &mut t.width_in_sbs, vec![])?;
        s.infer("height_in_sbs", &mut t.height_in_sbs, vec![])?;
        let (min, max) = (limits.min_log2_tile_cols, limits.max_log2_tile_cols);
        increments(s, "increment_tile_cols_log2", min, max, &mut t.tile_cols_log2)?;
        let min = limits.min_log2_tiles.saturating_sub(t.tile_cols_log2.into());
        increments(s, "increment_tile_rows_log2", min, limits.max_log2_tile_rows, &mut t.tile_rows_log2)?;
    } else {
        let sizes = &mut t.width_in_sbs;
        let widest = tile_sizes(s, "width_in_sbs_minus_1", limits.sb_cols, limits.max_tile_width_sb, sizes)?;
        let area = limits.sb_rows * limits.sb_cols;
        let max_area = if limits.min_log2_tiles > 0 { area >> (limits.min_log2_tiles + 1) } else { area };
        let max_height = (max_area / widest).max(1);
        tile_sizes(s, "height_in_sbs_minus_1", limits.sb_rows, max_height, &mut t.height_in_sbs)?;
        let (cols, rows) = (t.width_in_sbs.len() as u32, t.height_in_sbs.len() as u32);
        s.infer("tile_cols_log2", &mut t.tile_cols_log2, tile_log2(1, cols) as u8)?;
        s.infer("tile_rows_log2", &mut t.tile_rows_log2, tile_log2(1, rows) as u8)?;
    }
    let log2 = u32::from(t.tile_cols_log2 + t.tile_rows_log2);
    if log2 == 0 {
        s.absent(&mut t.tile_size_bytes, 4);
        return s.infer("context_update_tile_id", &mut t.context_update_tile_id, 0);
    }
    s.f("context_update_tile_id", log2, &mut t.context_update_tile_id)?;
    s.f_above("tile_size_bytes_minus_1", 2, 1, &mut t.tile_size_bytes)?;
    let num_tiles = h.tile_layout(seq).map_or(0, |layout| layout.num_tiles());
    match usize::from(h.tile_info.context_update_tile_id) < num_tiles {
        true => Ok(()),
        false => Err(Error::Value { field: "context_update_tile_id" }),
    }
}

/// A number coded as ones above `min`, ended by a zero or by `max`.
fn increments<S: Syntax>(
    s: &mut S,
    field: &'static str,
    min: u32,
    max: u32,
    value: &mut u8,
) -> Result<(), Error> {
    let mut n = min;
    while n < max {
        let mut more = n < u32::from(*value);
        s.flag(field, &mut more)?;
        if !more {
            break;
        }
        n += 1;
    }
    s.infer(field, value, n as u8)
}

/// Sizes of 1 to `max` each that add up to `sbs`; gives the largest. At most 64 (sections 3 and 6.8.14).
fn tile_sizes<S: Syntax>(
    s: &mut S,
    field: &'static str,
    sbs: u32,
    max: u32,
    sizes: &mut Vec<u32>,
) -> Result<u32, Error> {
    let (mut start, mut widest, mut n) = (0, 1, 0);
    let mut given = std::mem::take(sizes).into_iter();
    while start < sbs {
        let mut minus_1 = given.next().unwrap_or(0).wrapping_sub(1);
        s.ns(field, max.min(sbs - start), &mut minus_1)?;
        n += 1;
        if n > 64 {
            return Err(Error::Value { field });
        }
        sizes.push(minus_1 + 1);
        widest = widest.max(minus_1 + 1);
        start += minus_1 + 1;
    }
    match given.next() {
        None => Ok(widest),
        Some(_) => Err(Error::Value { field }),
    }
}

fn quantization_params<S: Syntax>(
    s: &mut S,
    q: &mut QuantizationParams,
    color: &ColorConfig,
) -> Result<(), Error> {
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
fn delta_q<S: Syntax>(s: &mut S, value: &mut i8) -> Result<(), Error> {
    let mut delta_coded = *value != 0;
    s.flag("delta_coded", &mut delta_coded)?;
    if delta_coded {
        s.su("delta_q", 7, value)
    } else {
        *value = 0;
        Ok(())
    }
}

fn segmentation_params<S: Syntax>(
    s: &mut S,
    p: &mut SegmentationParams,
    has_primary: bool,
    previous: &RefSlot,
) -> Result<(), Error> {
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
                let mut code = u16::try_from(*value).map_err(|_| Error::Value { field: "feature_value" })?;
                s.f("feature_value", bits, &mut code)?;
                *value = code as i16;
            }
        }
    }
    Ok(())
}

fn delta_q_and_lf_params<S: Syntax>(s: &mut S, h: &mut FrameHeader) -> Result<(), Error> {
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

fn loop_filter_params<S: Syntax>(
    s: &mut S,
    h: &mut FrameHeader,
    coded_lossless: bool,
    num_planes: usize,
    previous: &RefSlot,
) -> Result<(), Error> {
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

fn cdef_params<S: Syntax>(s: &mut S, h: &mut FrameHeader, num_planes: usize) -> Result<(), Error> {
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
fn cdef_sec_strength<S: Syntax>(s: &mut S, field: &'static str, value: &mut u8) -> Result<(), Error> {
    let mut code = match *value {
        3 => return Err(Error::Value { field }),
        4 => 3,
        other => other,
    };
    s.f(field, 2, &mut code)?;
    *value = if code == 3 { 4 } else { code };
    Ok(())
}

fn lr_params<S: Syntax>(s: &mut S, h: &mut FrameHeader, seq: &SequenceHeader) -> Result<(), Error> {
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
    increments(s, "lr_unit_shift", min, max, &mut h.lr_unit_shift)?;
    if seq.color_config.subsampling_x && seq.color_config.subsampling_y && used(&coded[1..]) {
        s.flag("lr_uv_shift", &mut h.lr_uv_shift)
    } else {
        s.infer("lr_uv_shift", &mut h.lr_uv_shift, false)
    }
}

fn global_motion_params<S: Syntax>(s: &mut S, h: &mut FrameHeader, previous: &RefSlot) -> Result<(), Error> {
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
) -> Result<(), Error> {
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
fn unsigned_subexp_with_ref<S: Syntax>(s: &mut S, mx: u32, r: u32, value: &mut u32) -> Result<(), Error> {
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
fn subexp<S: Syntax>(s: &mut S, num_syms: u32, value: &mut u32) -> Result<(), Error> {
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

fn film_grain_update<S: Syntax>(
    s: &mut S,
    g: &mut FilmGrainParams,
    color: &ColorConfig,
) -> Result<(), Error> {
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
            return Err(Error::Value { field: "num_cr_points" });
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
) -> Result<(), Error> {
    let mut n = points.len() as u32;
    s.f(field, 4, &mut n)?;
    if n as usize > max {
        return Err(Error::Value { field });
    }
    s.len(field, points, n as usize)?;
    for [value, scaling] in points.iter_mut() {
        s.f(field, 8, value)?;
        s.f(field, 8, scaling)?;
    }
    match points.is_sorted_by(|a, b| a[0] < b[0]) {
        true => Ok(()),
        false => Err(Error::Value { field }),
    }
}
