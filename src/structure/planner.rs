//! The planner: which frames the next picture is coded as, and what they refer to.

use super::{DecodeTargets, FrameTemplate, LayerId, ScalabilityMode, Structure};

/// Index into `ref_frame_idx` (AV1 5.9.2) of LAST_FRAME, which is the frame's own spatial layer in an earlier
/// picture; where the frame does not refer to that, it is the layer below.
pub const LAST_FRAME: usize = 0;

/// Index into `ref_frame_idx` of GOLDEN_FRAME, which is the layer below in the same picture.
pub const GOLDEN_FRAME: usize = 3;

/// What the next picture is coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureRequest {
    /// Whether it has to be a key picture.
    pub key: bool,
    /// The decode targets that somebody receives. Where there are none, nothing is coded.
    pub wanted: DecodeTargets,
}

/// The frames of one picture, or temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PicturePlan {
    /// Number of the picture: the first that the planner was asked for is 0, and pictures without frames
    /// count.
    pub picture: u64,
    /// Whether it is a key picture. It may be one that was not asked for.
    pub key: bool,
    /// What to code, lowest spatial layer first, at most one frame of each.
    pub frames: Vec<FramePlan>,
}

/// The kind of a frame, by which `frame_type` is coded (AV1 6.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// KEY_FRAME, shown.
    Key,
    /// INTRA_ONLY_FRAME.
    IntraOnly,
    /// INTER_FRAME.
    Inter,
}

/// One frame to be coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramePlan {
    /// Number of the frame among all frames of all layers: the first is 0, each next one is higher by 1.
    pub frame_number: u64,
    /// The frame's layer.
    pub layer: LayerId,
    /// How it is coded.
    pub kind: FrameKind,
    /// The slot of an earlier frame of the same spatial layer that it refers to.
    pub temporal_ref: Option<u8>,
    /// The slot of the frame one spatial layer below, in the same picture, that it refers to.
    pub inter_layer_ref: Option<u8>,
    /// `refresh_frame_flags`: bit i is set where slot i holds the frame from now on.
    pub refresh_frame_flags: u8,
    /// `ref_frame_idx`: the slots behind LAST_FRAME to ALTREF_FRAME. Of these [`LAST_FRAME`] and
    /// [`GOLDEN_FRAME`] are chosen and the others repeat LAST_FRAME, so that none is a slot which some
    /// receiver of the frame fills otherwise. All are 0, and not to be coded, unless the frame is an inter
    /// frame.
    pub ref_slots: [u8; 7],
    /// `primary_ref_frame`: the index into `ref_slots` whose probabilities the frame starts from, or none.
    pub primary_ref: Option<usize>,
    /// Numbers of the frames that it refers to: at most two.
    pub depends_on: Vec<u64>,
    /// The decode targets that need it, wanted or not.
    pub needed_by: DecodeTargets,
    /// Whether a receiver can begin to take this layer here: at temporal layer 0, one that has taken the
    /// spatial layers below or, in the S modes, any other; above, one that has taken the same spatial layer
    /// up to the temporal layer below.
    pub is_switch_point: bool,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    frame_number: u64,
    spatial_id: u8,
}

/// How a spatial layer whose earlier frames are gone can be coded again.
enum WayBack {
    /// From the layer below, at a frame of temporal layer 0.
    Below,
    /// By an intra-only frame of temporal layer 0.
    IntraOnly,
    /// By a key picture.
    Key,
}

/// Walks a structure picture by picture and leaves out the frames that nobody needs.
///
/// A frame that was left out is never referred to. A temporal layer comes back when it is wanted; a spatial
/// layer comes back with its next frame of temporal layer 0, predicted from the layer below it (or intra-only
/// in the S modes). Where the structure has no such prediction, as in the `_KEY` modes or for spatial layer
/// 0, the picture becomes a key picture unasked, lest a wanted layer stay away for ever. A key picture starts
/// the structure's cycle anew.
#[derive(Debug, Clone)]
pub struct Planner {
    structure: &'static Structure,
    /// Pictures since the key picture, modulo the cycle: the next one is this one of the cycle.
    position: usize,
    picture: u64,
    frame_number: u64,
    /// A key picture was coded, and none asked for since.
    started: bool,
    slots: [Option<Held>; 8],
}

impl Planner {
    /// A planner whose first picture will be a key picture.
    pub fn new(mode: ScalabilityMode) -> Self {
        Self {
            structure: mode.structure(),
            position: 0,
            picture: 0,
            frame_number: 0,
            started: false,
            slots: [None; 8],
        }
    }

    /// The structure that the planner walks.
    pub fn structure(&self) -> &'static Structure {
        self.structure
    }

    /// Plans the next picture. Every frame of the plan has to be coded, or the next picture be asked for as a
    /// key picture.
    ///
    /// Where nothing is wanted there are no frames; a key picture asked for then comes as soon as something
    /// is.
    pub fn next(&mut self, request: PictureRequest) -> PicturePlan {
        let wanted = request.wanted.intersection(DecodeTargets::all(self.structure));
        self.started &= !request.key;
        let key =
            !wanted.is_empty() && (!self.started || wanted.iter().any(|t| self.key_needed(t.spatial_id)));
        let template = if key {
            self.started = true;
            self.slots = [None; 8];
            self.position = 0;
            self.structure.key
        } else {
            let template = self.structure.cycle[self.position];
            self.position = (self.position + 1) % self.structure.cycle.len();
            template
        };
        let mut frames = Vec::with_capacity(template.len());
        for frame in template {
            let needed_by = self.structure.needed_by(template, frame.layer.spatial_id);
            let planned = if needed_by.intersection(wanted).is_empty() {
                None
            } else {
                self.plan(frame, frames.last(), needed_by)
            };
            match planned {
                Some(plan) => frames.push(plan),
                None => self.leave_out(frame),
            }
        }
        let picture = self.picture;
        self.picture += 1;
        PicturePlan { picture, key, frames }
    }

    /// The frame of a template, or nothing where what it refers to was left out. `below` is the last frame
    /// planned for this picture.
    fn plan(
        &mut self,
        template: &FrameTemplate,
        below: Option<&FramePlan>,
        needed_by: DecodeTargets,
    ) -> Option<FramePlan> {
        let LayerId { spatial_id, temporal_id } = template.layer;
        let temporal_ref = template.temporal_ref.and_then(|slot| self.earlier(slot, template.layer));
        let comes_back = template.temporal_ref.is_some() && temporal_ref.is_none();
        if comes_back && temporal_id > 0 {
            return None;
        }
        let inter_layer_ref = template.inter_layer_ref;
        if inter_layer_ref.is_some() && below.is_none_or(|below| below.layer.spatial_id + 1 != spatial_id) {
            return None;
        }
        let kind = match (temporal_ref, inter_layer_ref) {
            (None, None) if template.is_key() => FrameKind::Key,
            (None, None) => match self.way_back(spatial_id) {
                WayBack::IntraOnly => FrameKind::IntraOnly,
                WayBack::Below | WayBack::Key => return None,
            },
            _ => FrameKind::Inter,
        };
        let mut ref_slots = [temporal_ref.or(inter_layer_ref).unwrap_or(0); 7];
        if let Some(slot) = inter_layer_ref {
            ref_slots[GOLDEN_FRAME] = slot;
        }
        let refers_to = [temporal_ref, inter_layer_ref].into_iter().flatten();
        let depends_on = refers_to.filter_map(|slot| Some(self.slots[slot as usize]?.frame_number)).collect();
        let frame_number = self.frame_number;
        self.frame_number += 1;
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if template.refresh >> slot & 1 != 0 {
                *held = Some(Held { frame_number, spatial_id });
            }
        }
        Some(FramePlan {
            frame_number,
            layer: template.layer,
            kind,
            temporal_ref,
            inter_layer_ref,
            refresh_frame_flags: template.refresh,
            ref_slots,
            primary_ref: (kind == FrameKind::Inter).then_some(LAST_FRAME),
            depends_on,
            needed_by,
            is_switch_point: temporal_id > 0 || temporal_ref.is_none(),
        })
    }

    /// The slot to refer to for an earlier frame of the same spatial layer: the template's, or where its
    /// frame was left out the newest of a lower temporal layer.
    fn earlier(&self, slot: u8, layer: LayerId) -> Option<u8> {
        let held = |slot: u8| self.slots[slot as usize].filter(|held| held.spatial_id == layer.spatial_id);
        if held(slot).is_some() {
            return Some(slot);
        }
        let lower = self.structure.cycle.iter().flat_map(|picture| picture.iter()).filter(|frame| {
            frame.layer.spatial_id == layer.spatial_id && frame.layer.temporal_id < layer.temporal_id
        });
        let refreshed = lower.fold(0, |slots, frame| slots | frame.refresh);
        (0..8)
            .filter(|slot| refreshed >> slot & 1 != 0)
            .filter_map(|slot| Some((held(slot)?.frame_number, slot)))
            .max()
            .map(|(_, slot)| slot)
    }

    /// Forgets what a frame that is not coded would have replaced, which is out of date from now on: a frame
    /// of temporal layer 0 takes its whole spatial layer with it, as all later ones follow from it.
    fn leave_out(&mut self, template: &FrameTemplate) {
        let LayerId { spatial_id, temporal_id } = template.layer;
        for (slot, held) in self.slots.iter_mut().enumerate() {
            let of_layer = held.is_some_and(|held| held.spatial_id == spatial_id);
            if of_layer && (temporal_id == 0 || template.refresh >> slot & 1 != 0) {
                *held = None;
            }
        }
    }

    /// Whether no frame but that of a key picture can bring a spatial layer that is wanted.
    fn key_needed(&self, spatial_id: u8) -> bool {
        let present = self.slots.iter().flatten().any(|held| held.spatial_id == spatial_id);
        !present
            && match self.way_back(spatial_id) {
                WayBack::Below => self.key_needed(spatial_id - 1),
                WayBack::IntraOnly => false,
                WayBack::Key => true,
            }
    }

    fn way_back(&self, spatial_id: u8) -> WayBack {
        let of_layer = |picture: &'static [FrameTemplate]| {
            picture.iter().find(|frame| frame.layer.spatial_id == spatial_id)
        };
        let base = self.structure.cycle.iter().filter_map(|picture| of_layer(picture));
        let mut base = base.filter(|frame| frame.layer.temporal_id == 0);
        if base.any(|frame| frame.inter_layer_ref.is_some()) {
            WayBack::Below
        } else if of_layer(self.structure.key)
            .is_some_and(|frame| !frame.is_key() && frame.inter_layer_ref.is_none())
        {
            WayBack::IntraOnly
        } else {
            WayBack::Key
        }
    }
}
