//! The eight reference slots: the state of earlier frames that later frame headers depend on.

#![allow(clippy::exhaustive_structs, reason = "the names of the standard, which are fixed")]

use super::error::BitstreamError;
use super::frame::{FilmGrainParams, FrameHeader, FrameType, LoopFilterDeltas, SegmentationFeatures};
use super::frame::{GM_IDENTITY, NUM_REF_FRAMES, REFS_PER_FRAME};
use super::sequence::{FrameIdNumbers, SequenceHeader};

/// One slot: the values that the reference frame update process (section 7.20) saves of a frame header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefSlot {
    /// RefValid: the slot holds a frame that may be referenced.
    pub valid: bool,
    /// RefFrameId.
    pub frame_id: u32,
    /// RefFrameType.
    pub frame_type: FrameType,
    /// The frame may still be shown by show_existing_frame.
    pub showable_frame: bool,
    /// RefOrderHint.
    pub order_hint: u32,
    /// RefUpscaledWidth, in luma samples.
    pub upscaled_width: u32,
    /// RefFrameWidth, before upscaling.
    pub frame_width: u32,
    /// RefFrameHeight.
    pub frame_height: u32,
    /// RefRenderWidth.
    pub render_width: u32,
    /// RefRenderHeight.
    pub render_height: u32,
    /// RefBitDepth.
    pub bit_depth: u8,
    /// RefSubsamplingX.
    pub subsampling_x: bool,
    /// RefSubsamplingY.
    pub subsampling_y: bool,
    /// SavedGmParams of LAST_FRAME to ALTREF_FRAME.
    pub gm_params: [[i32; 6]; REFS_PER_FRAME],
    /// The saved loop filter deltas.
    pub loop_filter_deltas: LoopFilterDeltas,
    /// The saved segmentation features.
    pub segmentation: SegmentationFeatures,
    /// The saved film grain parameters.
    pub film_grain: FilmGrainParams,
}

/// The state that frame headers are read and written against. The encoder and each reader keep it in step:
/// they code a header against it, then [`update`](Self::update) it with that header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RefSlots {
    /// The slots by index.
    pub slots: [RefSlot; NUM_REF_FRAMES],
}

impl RefSlots {
    /// Eight empty slots.
    pub fn new() -> Self {
        Self::default()
    }

    /// RefOrderHint of every slot, which an error resilient frame repeats as ref_order_hint.
    pub fn order_hints(&self) -> [u32; NUM_REF_FRAMES] {
        std::array::from_fn(|i| self.slots[i].order_hint)
    }

    /// Slot `i`, if it holds a frame that may be referenced.
    ///
    /// # Errors
    /// [`BitstreamError::MissingReference`] if it does not.
    pub fn get(&self, i: u8) -> Result<&RefSlot, BitstreamError> {
        let slot = self.slots.get(usize::from(i)).filter(|slot| slot.valid);
        slot.ok_or(BitstreamError::MissingReference { slot: i })
    }

    /// Applies the reference frame update process (section 7.20) of the frame that `header` describes. If the
    /// header shows an existing key frame, the loading process (section 7.21) comes first.
    pub fn update(&mut self, sequence: &SequenceHeader, header: &FrameHeader) {
        if header.show_existing_frame {
            let Ok(shown) = self.get(header.frame_to_show_map_idx) else { return };
            if shown.frame_type == FrameType::Key {
                // A key frame can be shown this way only once (section 6.8.2).
                let shown = RefSlot { showable_frame: false, ..shown.clone() };
                self.slots.fill(shown);
            }
            return;
        }
        if let Some(ids) = &sequence.frame_id_numbers {
            self.mark_by_frame_id(ids, header.current_frame_id);
        }
        if header.codes_ref_order_hints(sequence) {
            for (slot, &hint) in self.slots.iter_mut().zip(&header.ref_order_hint) {
                slot.valid &= slot.order_hint == hint;
                slot.order_hint = hint;
            }
        }
        let color = &sequence.color_config;
        let saved = RefSlot {
            valid: true,
            frame_id: header.current_frame_id,
            frame_type: header.frame_type,
            showable_frame: header.showable_frame,
            order_hint: header.order_hint,
            upscaled_width: header.upscaled_width,
            frame_width: header.frame_width(),
            frame_height: header.frame_height,
            render_width: header.render_width,
            render_height: header.render_height,
            bit_depth: color.bit_depth,
            subsampling_x: color.subsampling_x,
            subsampling_y: color.subsampling_y,
            gm_params: header.gm_params,
            loop_filter_deltas: header.loop_filter_deltas,
            segmentation: header.segmentation.features,
            film_grain: header.film_grain.clone(),
        };
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if header.refresh_frame_flags >> i & 1 == 1 {
                slot.clone_from(&saved);
            }
        }
    }

    /// mark_ref_frames() of section 5.9.4: invalidates slots whose frame id is too far away.
    pub(super) fn mark_by_frame_id(&mut self, ids: &FrameIdNumbers, current: u32) {
        let (all, reach) = (1 << ids.id_len(), 1 << ids.delta_len());
        for slot in &mut self.slots {
            slot.valid &= match current > reach {
                true => (current - reach..=current).contains(&slot.frame_id),
                false => slot.frame_id <= current || slot.frame_id >= all + current - reach,
            };
        }
    }

    /// The set frame refs process (section 7.8): derives all seven references from LAST_FRAME and
    /// GOLDEN_FRAME. `order_hint` is that of the current frame.
    ///
    /// # Errors
    /// [`BitstreamError::Value`] if one of the two does not precede the current frame.
    pub fn set_frame_refs(
        &self,
        sequence: &SequenceHeader,
        order_hint: u32,
        last_frame_idx: u8,
        gold_frame_idx: u8,
    ) -> Result<[u8; REFS_PER_FRAME], BitstreamError> {
        // Positions relative to the current frame: the standard adds curFrameHint to both sides.
        let hints: [i32; NUM_REF_FRAMES] =
            std::array::from_fn(|i| sequence.relative_dist(self.slots[i].order_hint, order_hint));
        let mut used = [false; NUM_REF_FRAMES];
        for (field, i) in [("last_frame_idx", last_frame_idx), ("gold_frame_idx", gold_frame_idx)] {
            match hints.get(usize::from(i)) {
                Some(&hint) if hint < 0 => used[usize::from(i)] = true,
                _ => return Err(BitstreamError::Value { field }),
            }
        }
        let mut refs = [None; REFS_PER_FRAME];
        refs[0] = Some(last_frame_idx);
        refs[3] = Some(gold_frame_idx);
        let latest = |used: &[bool; NUM_REF_FRAMES], backward: bool| {
            let free = (0..NUM_REF_FRAMES).filter(|&i| !used[i] && (hints[i] >= 0) == backward);
            free.max_by_key(|&i| (hints[i], i))
        };
        let earliest_backward = |used: &[bool; NUM_REF_FRAMES]| {
            let free = (0..NUM_REF_FRAMES).filter(|&i| !used[i] && hints[i] >= 0);
            free.min_by_key(|&i| (hints[i], i))
        };
        let mut take = |used: &mut [bool; NUM_REF_FRAMES], to: usize, found: Option<usize>| {
            if let Some(i) = found {
                used[i] = true;
                refs[to] = Some(i as u8);
            }
        };
        // ALTREF_FRAME, then BWDREF_FRAME and ALTREF2_FRAME, look ahead.
        let found = latest(&used, true);
        take(&mut used, 6, found);
        for to in [4, 5] {
            let found = earliest_backward(&used);
            take(&mut used, to, found);
        }
        // The remaining ones look back: LAST2_FRAME, LAST3_FRAME, BWDREF_FRAME, ALTREF2_FRAME, ALTREF_FRAME.
        for to in [1, 2, 4, 5, 6] {
            if refs[to].is_none() {
                let Some(i) = latest(&used, false) else { break };
                used[i] = true;
                refs[to] = Some(i as u8);
            }
        }
        let earliest = (0..NUM_REF_FRAMES).min_by_key(|&i| (hints[i], i)).unwrap_or(0) as u8;
        Ok(refs.map(|r| r.unwrap_or(earliest)))
    }

    /// The slot that load_previous() of section 6.8.2 takes PrevGmParams and other state from; the defaults
    /// for `None`.
    pub(super) fn previous(&self, i: Option<u8>) -> Result<RefSlot, BitstreamError> {
        match i {
            Some(i) => self.get(i).cloned(),
            None => Ok(RefSlot { gm_params: [GM_IDENTITY; REFS_PER_FRAME], ..Default::default() }),
        }
    }
}

/// The parts of a header that follow from the slots.
impl FrameHeader {
    /// A header that shows the frame of slot `i` (0 to 7).
    ///
    /// # Errors
    /// [`BitstreamError::MissingReference`] if the slot is empty; [`BitstreamError::NotShowable`] if its
    /// frame may not be shown (section 6.8.2).
    pub fn show_existing(sequence: &SequenceHeader, slots: &RefSlots, i: u8) -> Result<Self, BitstreamError> {
        let mut header = Self::key(sequence);
        header.load(slots, i)?;
        header.display_frame_id = slots.get(i)?.frame_id;
        Ok(header)
    }

    /// Fills the header with the values that it has by show_existing_frame of slot `i`.
    pub(super) fn load(&mut self, slots: &RefSlots, i: u8) -> Result<(), BitstreamError> {
        let slot = slots.get(i)?;
        if !slot.showable_frame {
            return Err(BitstreamError::NotShowable { slot: i });
        }
        self.show_existing_frame = true;
        self.frame_to_show_map_idx = i;
        self.frame_type = slot.frame_type;
        self.refresh_frame_flags = if slot.frame_type == FrameType::Key { 0xff } else { 0 };
        self.order_hint = slot.order_hint;
        self.current_frame_id = slot.frame_id;
        self.upscaled_width = slot.upscaled_width;
        self.frame_height = slot.frame_height;
        self.render_width = slot.render_width;
        self.render_height = slot.render_height;
        self.film_grain = slot.film_grain.clone();
        Ok(())
    }

    /// SkipModeFrame as indices into `ref_frame_idx`; `None` if skipModeAllowed is 0 (section 5.9.22).
    pub fn skip_mode_frames(&self, sequence: &SequenceHeader, slots: &RefSlots) -> Option<[usize; 2]> {
        if self.is_intra() || !self.reference_select || !sequence.enable_order_hint() {
            return None;
        }
        let hints = self.ref_frame_idx.map(|i| slots.slots[usize::from(i & 7)].order_hint);
        let dist = |i: usize| sequence.relative_dist(hints[i], self.order_hint);
        // The standard takes the first of equals and max_by_key the last, hence rev().
        let refs = || (0..REFS_PER_FRAME).rev();
        let forward = refs().filter(|&i| dist(i) < 0).max_by_key(|&i| dist(i))?;
        let backward = (0..REFS_PER_FRAME).filter(|&i| dist(i) > 0).min_by_key(|&i| dist(i));
        let other = backward.or_else(|| {
            let before = |i: &usize| sequence.relative_dist(hints[*i], hints[forward]) < 0;
            refs().filter(before).max_by_key(|&i| sequence.relative_dist(hints[i], hints[forward]))
        })?;
        Some([forward.min(other), forward.max(other)])
    }
}
