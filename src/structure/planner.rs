//! The planner: which frames the next picture is coded as, and what they refer to.

use super::frames::{FrameTemplate, Structure};
use super::layer::{DecodeTarget, DecodeTargets, LayerId};
use super::mode::ScalabilityMode;
use super::refresh::Refresh;
use crate::picture::Size;

/// Index into `ref_frame_idx` (AV1 5.9.2) of LAST_FRAME, which is the frame's own spatial layer in an earlier
/// picture, or the layer below if the frame does not refer to an earlier picture.
pub const LAST_FRAME: usize = 0;

/// Index into `ref_frame_idx` of GOLDEN_FRAME, which is the layer below in the same picture.
pub const GOLDEN_FRAME: usize = 3;

/// What the next picture is coded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // The two things that can be asked of a picture.
pub struct PictureRequest {
    /// What is to be coded anew. The planner keeps it in mind until it is done.
    pub refresh: Refresh,
    /// The decode targets that somebody receives. If there are none, nothing is coded.
    pub wanted: DecodeTargets,
}

/// The frames of one picture, or temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PicturePlan {
    /// Number of the picture, from 0 on. Pictures without frames count.
    pub picture_number: u64,
    /// The mode of its structure.
    pub mode: ScalabilityMode,
    /// The size of the highest spatial layer in luma samples.
    pub size: Size,
    /// Whether it is a key picture. The planner may plan one that nobody asked for.
    pub key: bool,
    /// Its place in the structure: 0 for the key picture, n for picture n - 1 of the [cycle](Structure::cycle).
    pub position: usize,
    /// The decode targets that it is coded for.
    pub wanted: DecodeTargets,
    /// The decode targets of which every frame is coded from here on, as long as the wanted ones do not change. Those below
    /// a lone layer that is wanted again count until it is back.
    pub available: DecodeTargets,
    /// What to code, lowest spatial layer first, at most one frame of each.
    pub frames: Vec<FramePlan>,
}

/// The kind of a frame, by which `frame_type` is coded (AV1 6.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // The kinds of AV1 that the planner uses; every encoder has to know all of them.
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
#[non_exhaustive]
pub struct FramePlan {
    /// Number of the frame among all frames of all layers, from 0 on. Frames that are left out have numbers too,
    /// so that coded frames keep the distances of the structure; a pause of many pictures counts as one cycle. The
    /// lowest 16 bits are the frame_number of the Dependency Descriptor.
    pub frame_number: u64,
    /// The frame's layer.
    pub layer: LayerId,
    /// How it is coded.
    pub kind: FrameKind,
    /// The slot of an earlier frame of the same spatial layer that it refers to.
    pub temporal_ref: Option<u8>,
    /// The slot of the frame one spatial layer below, in the same picture, that it refers to.
    pub inter_layer_ref: Option<u8>,
    /// `refresh_frame_flags`: bit i is set if slot i holds the frame from now on.
    pub refresh_frame_flags: u8,
    /// `ref_frame_idx`: the slots behind LAST_FRAME to ALTREF_FRAME. The plan chooses [`LAST_FRAME`] and
    /// [`GOLDEN_FRAME`]; the others repeat LAST_FRAME, because a receiver of the frame could hold something else
    /// in any other slot. In frames that are not inter frames all are 0, and not to be coded.
    pub ref_slots: [u8; 7],
    /// `primary_ref_frame`: the index into `ref_slots` of the frame whose probabilities this frame starts from, or
    /// none.
    pub primary_ref: Option<usize>,
    /// Numbers of the frames that it needs: at most two that it refers to. An intra-only frame of a key picture
    /// needs the key frame, since no decoder starts without one.
    pub depends_on: Vec<u64>,
    /// The decode targets that need it, wanted or not.
    pub needed_by: DecodeTargets,
    /// Whether a receiver can begin to take this layer here. At temporal layer 0 the receiver has to have taken
    /// the spatial layers below or, if the frame is intra-only, any other. At a higher temporal layer it has to have taken the
    /// same spatial layer up to the temporal layer below.
    pub is_switch_point: bool,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    frame_number: u64,
    spatial_id: u8,
}

/// The decode targets that are available, kept from one picture to the next.
#[derive(Debug, Clone, Copy, Default)]
struct Available {
    /// The decode targets wanted and the spatial layers present.
    asked: (DecodeTargets, u8),
    targets: DecodeTargets,
}

/// How a spatial layer whose earlier frames are gone can be coded again.
enum WayBack {
    /// From the layer below, at a frame of temporal layer 0.
    Below,
    /// By an intra-only frame of temporal layer 0.
    IntraOnly,
    /// By an intra-only frame of temporal layer 0 while a higher layer goes on, otherwise by a key picture.
    IntraOnlyOrKey,
    /// By a key picture.
    Key,
}

/// Walks a structure picture by picture and leaves out the frames that nobody needs.
///
/// No frame refers to one that was left out. A temporal layer comes back when somebody wants it. A spatial layer
/// comes back with its next frame of temporal layer 0, predicted from the layer below it (or intra-only in the S
/// modes). If the structure has no such prediction, as in the `_KEY` modes or for spatial layer 0 of the `L` modes,
/// the planner makes the picture a key picture, because the wanted layer would otherwise never come back. A key
/// picture starts the structure's cycle anew.
///
/// If all decode targets that somebody wants are of one spatial layer, the layers below it are left out in the `L` modes
/// too: from the picture after its first on, the layer is predicted from itself alone. When a lower layer is wanted again
/// while such a layer goes on, spatial layer 0 comes back intra-only, and so costs the receivers of the others no key
/// picture.
///
/// A [`Refresh`] does the same to layers that are present. The planner forgets the frames that such a layer could
/// refer to just before its next frame of temporal layer 0, so that it leaves no picture out.
#[derive(Debug, Clone)]
pub struct Planner {
    structure: &'static Structure,
    size: Size,
    /// Pictures since the key picture, modulo the cycle: the next one is this one of the cycle.
    position: usize,
    picture_number: u64,
    /// The last picture that has frames: its number, and that of its frame of spatial layer 0, coded or not.
    last: Option<(u64, u64)>,
    /// The first frame number, which is not 0 if the planner goes on where another one ended.
    first_frame_number: u64,
    /// The refresh that was asked for and is still to be done.
    refresh: Refresh,
    /// Spatial layers whose last frame of temporal layer 0 was planned: bit `spatial_id`.
    present: u8,
    /// The decode targets that are available with the layers present and the decode targets wanted last.
    available: Available,
    slots: [Option<Held>; 8],
}

impl Planner {
    /// A planner of a mode. `size` is that of the pictures and of the highest spatial layer, in luma samples. The
    /// first picture will be a key picture.
    pub fn new(mode: ScalabilityMode, size: Size) -> Self {
        Self {
            structure: mode.structure(),
            size,
            position: 0,
            picture_number: 0,
            last: None,
            first_frame_number: 0,
            refresh: Refresh::KEY,
            present: 0,
            available: Available::default(),
            slots: [None; 8],
        }
    }

    /// Goes on with another mode or size, with a key picture. The numbers of pictures and frames go on, so that
    /// receivers see one stream.
    pub fn restart(&mut self, mode: ScalabilityMode, size: Size) {
        let first_frame_number = self.next_frame_number();
        let picture_number = self.picture_number;
        *self = Self { picture_number, first_frame_number, ..Self::new(mode, size) };
    }

    /// The structure that the planner walks.
    pub fn structure(&self) -> &'static Structure {
        self.structure
    }

    /// Plans the next picture. The encoder has to code every frame of the plan; if it cannot, the caller has to ask
    /// for a key picture next.
    ///
    /// If nobody wants anything, the plan has no frames. The planner does a refresh that was asked for meanwhile as
    /// soon as somebody wants its layer.
    pub fn next(&mut self, request: PictureRequest) -> PicturePlan {
        let structure = self.structure;
        let wanted = request.wanted.intersection(DecodeTargets::all(structure));
        self.refresh = self.refresh.union(request.refresh);
        let key = !wanted.is_empty()
            && (self.refresh.is_key()
                || wanted.iter().any(|target| self.key_needed(target.spatial_id, wanted)));
        let (position, template) = if key {
            self.refresh = Refresh::NONE;
            self.slots = [None; 8];
            (0, structure.key)
        } else {
            (self.position + 1, structure.cycle[self.position])
        };
        self.position = position % structure.cycle.len();
        let base = self.frame_number(key);
        let lone = self.lone(wanted);
        let without_below = lone.filter(|&spatial_id| !key && self.goes_on_alone(template, spatial_id));
        let mut frames = Vec::with_capacity(template.len());
        for frame in template {
            let LayerId { spatial_id, temporal_id } = frame.layer;
            if temporal_id == 0 && !self.refresh.is_key() && self.refresh.contains(spatial_id) {
                self.refresh = self.refresh.without(spatial_id);
                self.forget(spatial_id);
            }
            let needed_by = structure.needed_by(template, spatial_id);
            let is_below = without_below.is_some_and(|lone| spatial_id < lone);
            let planned = if is_below || needed_by.intersection(wanted).is_empty() {
                None
            } else {
                self.plan(frame, base, frames.first(), frames.last(), needed_by)
            };
            if temporal_id == 0 {
                self.present = self.present & !(1 << spatial_id) | u8::from(planned.is_some()) << spatial_id;
            }
            match planned {
                Some(plan) => frames.push(plan),
                None => self.leave_out(frame),
            }
        }
        let picture_number = self.picture_number;
        self.picture_number += 1;
        if !frames.is_empty() {
            self.last = Some((picture_number, base));
        }
        let asked = (wanted, self.present);
        if self.available.asked != asked {
            self.available = Available { asked, targets: self.available(wanted, lone) };
        }
        PicturePlan {
            picture_number,
            mode: structure.mode,
            size: self.size,
            key,
            position,
            wanted,
            available: self.available.targets,
            frames,
        }
    }

    /// Leaves a picture out, as if it had not been captured: the next one takes its place in the structure. What the
    /// request asks to be coded anew is kept in mind.
    pub fn skip(&mut self, request: PictureRequest) -> PicturePlan {
        self.refresh = self.refresh.union(request.refresh);
        let picture_number = self.picture_number;
        self.picture_number += 1;
        PicturePlan {
            picture_number,
            mode: self.structure.mode,
            size: self.size,
            key: false,
            position: self.position,
            wanted: request.wanted.intersection(DecodeTargets::all(self.structure)),
            available: self.available.targets,
            frames: Vec::new(),
        }
    }

    /// The first number that no frame of the last picture has.
    fn next_frame_number(&self) -> u64 {
        let layers = u64::from(self.structure.spatial_layers);
        self.last.map_or(self.first_frame_number, |(_, number)| number + layers)
    }

    /// The number of the next picture's frame of spatial layer 0.
    fn frame_number(&self, key: bool) -> u64 {
        match self.last {
            Some((picture, number)) if !key => {
                // Nothing refers back by more than the cycle, so a longer pause needs no more numbers. A jump by 2^15
                // could not be told from a step back.
                let elapsed = (self.picture_number - picture).min(self.structure.cycle.len() as u64);
                number + elapsed * u64::from(self.structure.spatial_layers)
            }
            _ => self.next_frame_number(),
        }
    }

    /// The decode targets of which every frame is coded if `wanted` are wanted, whose spatial layer may be `lone`.
    fn available(&self, wanted: DecodeTargets, lone: Option<u8>) -> DecodeTargets {
        let structure = self.structure;
        let pictures = || [structure.key].into_iter().chain(structure.cycle.iter().copied());
        let missing = |target: DecodeTarget| {
            pictures().any(|picture| {
                picture.iter().any(|frame| {
                    let needed_by = structure.needed_by(picture, frame.layer.spatial_id);
                    needed_by.contains(target) && needed_by.intersection(wanted).is_empty()
                })
            })
        };
        let present = |spatial_id: u8| self.present >> spatial_id & 1 != 0;
        // Those below it are coded until it is back.
        let of_lone = |spatial_id: u8| lone.is_none_or(|lone| lone == spatial_id || !present(lone));
        structure
            .decode_targets()
            .filter(|&LayerId { spatial_id, .. }| present(spatial_id) && of_lone(spatial_id))
            .filter(|&target| !missing(target))
            .collect()
    }

    /// The spatial layer of all decode targets that are wanted, if the structure predicts its frames from the layer below
    /// in every picture.
    fn lone(&self, wanted: DecodeTargets) -> Option<u8> {
        let lone = wanted.iter().next()?.spatial_id;
        let is_lone = wanted.iter().all(|target| target.spatial_id == lone);
        (is_lone && matches!(self.way_back(lone), WayBack::Below)).then_some(lone)
    }

    /// Whether the frame that a spatial layer has in a picture can do without the layer below.
    fn goes_on_alone(&self, picture: &[FrameTemplate], spatial_id: u8) -> bool {
        let frame = picture.iter().find(|frame| frame.layer.spatial_id == spatial_id);
        frame.is_some_and(|frame| {
            let is_refreshed = frame.layer.temporal_id == 0 && self.refresh.contains(spatial_id);
            let earlier = frame.temporal_ref.and_then(|slot| self.earlier(slot, frame.layer));
            earlier.is_some() && !is_refreshed
        })
    }

    /// The frame of a template, or nothing if the frames that it refers to were left out. If it has an earlier frame of its
    /// own layer, it goes without the layer below. `base` is the number of the picture's frame of spatial layer 0; `lowest`
    /// and `below` are the first and the last frame planned for this picture.
    fn plan(
        &mut self,
        template: &FrameTemplate,
        base: u64,
        lowest: Option<&FramePlan>,
        below: Option<&FramePlan>,
        needed_by: DecodeTargets,
    ) -> Option<FramePlan> {
        let LayerId { spatial_id, temporal_id } = template.layer;
        let temporal_ref = template.temporal_ref.and_then(|slot| self.earlier(slot, template.layer));
        let comes_back = template.temporal_ref.is_some() && temporal_ref.is_none();
        if comes_back && temporal_id > 0 {
            return None;
        }
        let is_above = below.is_some_and(|below| below.layer.spatial_id + 1 == spatial_id);
        let inter_layer_ref = template.inter_layer_ref.filter(|_| is_above);
        if inter_layer_ref != template.inter_layer_ref && temporal_ref.is_none() {
            return None;
        }
        let kind = match (temporal_ref, inter_layer_ref) {
            (None, None) if template.is_key() => FrameKind::Key,
            (None, None) => match self.way_back(spatial_id) {
                WayBack::IntraOnly | WayBack::IntraOnlyOrKey => FrameKind::IntraOnly,
                WayBack::Below | WayBack::Key => return None,
            },
            _ => FrameKind::Inter,
        };
        let mut ref_slots = [temporal_ref.or(inter_layer_ref).unwrap_or(0); 7];
        if let Some(slot) = inter_layer_ref {
            ref_slots[GOLDEN_FRAME] = slot;
        }
        let refers_to = [temporal_ref, inter_layer_ref].into_iter().flatten();
        let mut depends_on: Vec<u64> =
            refers_to.filter_map(|slot| Some(self.slots[slot as usize]?.frame_number)).collect();
        if kind == FrameKind::IntraOnly {
            depends_on
                .extend(lowest.filter(|frame| frame.kind == FrameKind::Key).map(|key| key.frame_number));
        }
        let frame_number = base + u64::from(spatial_id);
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

    /// The slot to refer to for an earlier frame of the same spatial layer: the template's or, if its frame was left
    /// out, that of the newest frame of a lower temporal layer.
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

    /// Forgets the frames that a frame which is not coded would have replaced, as they are out of date from now on.
    /// A frame of temporal layer 0 takes its whole spatial layer with it, because all later ones follow from it.
    fn leave_out(&mut self, template: &FrameTemplate) {
        let LayerId { spatial_id, temporal_id } = template.layer;
        if temporal_id == 0 {
            return self.forget(spatial_id);
        }
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if held.is_some_and(|held| held.spatial_id == spatial_id) && template.refresh >> slot & 1 != 0 {
                *held = None;
            }
        }
    }

    /// Forgets all frames of a spatial layer, so that nothing refers to them.
    fn forget(&mut self, spatial_id: u8) {
        for held in &mut self.slots {
            *held = held.filter(|held| held.spatial_id != spatial_id);
        }
    }

    /// Whether only a key picture can bring a spatial layer that somebody wants, or can refresh it if that was asked
    /// for.
    fn key_needed(&self, spatial_id: u8, wanted: DecodeTargets) -> bool {
        let held = |spatial_id| self.slots.iter().flatten().any(|held| held.spatial_id == spatial_id);
        let goes_on = |spatial_id| held(spatial_id) && !self.refresh.contains(spatial_id);
        match self.way_back(spatial_id) {
            // It goes on alone.
            WayBack::Below if goes_on(spatial_id) && !held(0) => false,
            WayBack::Below => self.key_needed(spatial_id - 1, wanted),
            WayBack::IntraOnly => false,
            WayBack::IntraOnlyOrKey if !held(0) => !wanted.iter().any(|target| goes_on(target.spatial_id)),
            WayBack::IntraOnlyOrKey | WayBack::Key => !goes_on(spatial_id),
        }
    }

    fn way_back(&self, spatial_id: u8) -> WayBack {
        let refers_below = |picture: &[FrameTemplate], temporal_id| {
            picture.iter().any(|frame| {
                frame.layer == LayerId::new(spatial_id, temporal_id) && frame.inter_layer_ref.is_some()
            })
        };
        let has_layer_above =
            |picture: &&[FrameTemplate]| picture.iter().any(|frame| frame.inter_layer_ref.is_some());
        if self.structure.cycle.iter().any(|picture| refers_below(picture, 0)) {
            WayBack::Below
        } else if spatial_id == 0 && self.structure.cycle.iter().any(has_layer_above) {
            WayBack::IntraOnlyOrKey
        } else if self.structure.has_separate_layers() {
            WayBack::IntraOnly
        } else {
            WayBack::Key
        }
    }
}
