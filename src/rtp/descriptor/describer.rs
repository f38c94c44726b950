//! Our own structures as dependency structures, and the descriptors of planned frames.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::{
    ChainDiffs, DecodeTargetIndication, DependencyDescriptor, DependencyStructure, FrameDiffs, Indications,
    Template,
};
use crate::structure::{
    DecodeTarget, DecodeTargets, FrameKind, FramePlan, FrameTemplate, LayerId, PicturePlan, PictureRequest,
    Planner, ScalabilityMode, Structure,
};

/// At most this many spatial layers, and so frames of a picture.
const MAX_SPATIAL: usize = 4;

/// Describes the frames that a [`Planner`] plans.
///
/// The decode targets are the mode's, highest first, as the examples of A.10.2 have them. There is one chain
/// for each spatial layer: the frames that its decode target of temporal layer 0 needs.
///
/// Frames are numbered as if none was ever left out, so that those which are coded keep the distances of the
/// templates. The frames of a mode whose layers are all wanted take three bytes each, those of a key picture's
/// first frame excepted; only where a layer comes back is something custom.
#[derive(Debug, Clone)]
pub struct Describer {
    walk: Walk,
    dependency_structure: Arc<DependencyStructure>,
    /// What the frames of the key picture and of each picture of the cycle are to the decode targets, by
    /// spatial layer.
    indications: Vec<[Indications; MAX_SPATIAL]>,
    /// Decode targets that the receivers were last told to be active.
    active: u32,
    /// Chains in which no frame has said so yet.
    untold: u32,
}

impl Describer {
    /// For the frames of a planner of the same mode, from its first picture on, whose top layer is `width` x
    /// `height` samples.
    ///
    /// # Panics
    /// Where the width or height is not from 1 to 65536.
    pub fn new(mode: ScalabilityMode, width: u32, height: u32) -> Self {
        let structure = mode.structure();
        let (dependency_structure, indications) = derive(structure, (width, height), 0);
        Self {
            walk: Walk::new(structure),
            dependency_structure: Arc::new(dependency_structure),
            indications,
            active: 0,
            untold: 0,
        }
    }

    /// Goes on with another mode or size: for the frames of a new planner, from its first picture on. Frame
    /// numbers go on, and the template ids are not those that held so far.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn restart(&mut self, mode: ScalabilityMode, width: u32, height: u32) {
        let before = &self.dependency_structure;
        let offset = (before.template_id_offset + before.templates.len() as u8) % 64;
        let structure = mode.structure();
        let (dependency_structure, indications) = derive(structure, (width, height), offset);
        let number = self.walk.next_number();
        self.walk = Walk { number, ..Walk::new(structure) };
        self.dependency_structure = Arc::new(dependency_structure);
        self.indications = indications;
        (self.active, self.untold) = (0, 0);
    }

    /// The structure by which the descriptors are written and read.
    pub fn structure(&self) -> &Arc<DependencyStructure> {
        &self.dependency_structure
    }

    /// The descriptors of a picture's frames, in their order, each as of a frame of a single packet. `wanted`
    /// is what the picture was requested for. The pictures are to come in the planner's order; those without
    /// frames may be left out.
    ///
    /// The first frame of a key picture brings the structure along. When the decode targets that are to be
    /// had change, the descriptors say so up to the next frame of each of their chains: a receiver that misses
    /// it finds its chain broken.
    pub fn describe(
        &mut self,
        picture: &PicturePlan,
        wanted: DecodeTargets,
    ) -> ArrayVec<DependencyDescriptor, MAX_SPATIAL> {
        let mut descriptors = ArrayVec::new();
        if picture.frames.is_empty() {
            return descriptors;
        }
        let position = self.walk.begin(picture);
        let active = self.walk.available(wanted);
        if picture.key || active != self.active {
            self.active = active;
            let told = picture.key && active == self.dependency_structure.all_decode_targets();
            self.untold = if told { 0 } else { self.dependency_structure.active_chains(active) };
        }
        for (index, plan) in picture.frames.iter().enumerate() {
            let frame = self.walk.frame(plan, picture.key);
            let spatial_id = usize::from(plan.layer.spatial_id);
            let mut descriptor = self.choose(&frame, plan.layer, &self.indications[position][spatial_id]);
            descriptor.structure =
                (picture.key && index == 0).then(|| Arc::clone(&self.dependency_structure));
            descriptor.active_decode_targets = (self.untold != 0).then_some(active);
            self.untold &= !frame.in_chains;
            descriptors.push(descriptor);
        }
        descriptors
    }

    /// The descriptor that says the frame in the fewest bits.
    fn choose(&self, frame: &Frame, layer: LayerId, indications: &Indications) -> DependencyDescriptor {
        let structure = &self.dependency_structure;
        let chains = structure.active_chains(self.active);
        let describe = |(index, template): (usize, &Template)| {
            let same_chains = (0..).zip(frame.chain_diffs.iter().zip(&template.chain_diffs));
            let same_chains = same_chains.filter(|(chain, _)| chains >> chain & 1 != 0);
            let same_chains = same_chains.into_iter().all(|(_, (is, would_be))| is == would_be);
            let differs = [
                template.decode_target_indications != *indications,
                template.frame_diffs != frame.frame_diffs,
                !same_chains,
            ];
            let bits = [2 * indications.len(), 2 + 6 * frame.frame_diffs.len(), 8 * frame.chain_diffs.len()];
            let bits: usize = differs.iter().zip(bits).filter(|(differs, _)| **differs).map(|(_, n)| n).sum();
            (bits, index, differs)
        };
        let of_layer = structure.templates.iter().enumerate().filter(|(_, template)| template.layer == layer);
        // Every layer of a mode has a template.
        let (_, index, [dtis, frame_diffs, chain_diffs]) =
            of_layer.map(describe).min().unwrap_or((0, 0, [true; 3]));
        DependencyDescriptor {
            start_of_frame: true,
            end_of_frame: true,
            template_id: (structure.template_id_offset + index as u8) % 64,
            frame_number: frame.number as u16,
            structure: None,
            active_decode_targets: None,
            custom_indications: dtis.then(|| indications.clone()),
            custom_frame_diffs: frame_diffs.then(|| frame.frame_diffs.clone()),
            custom_chain_diffs: chain_diffs.then(|| frame.chain_diffs.clone()),
        }
    }
}

/// What is known of a frame once it is numbered.
struct Frame {
    number: u64,
    frame_diffs: FrameDiffs,
    chain_diffs: ChainDiffs,
    /// The chains that it is of, as bits.
    in_chains: u32,
}

/// Follows planned pictures: frame numbers, what the slots hold and where the chains are.
#[derive(Debug, Clone)]
struct Walk {
    structure: &'static Structure,
    /// Number of the frame of spatial layer 0 in the last picture, be it coded or not.
    number: u64,
    /// The planner's numbers of the last picture and of the last key picture.
    pictures: Option<(u64, u64)>,
    /// Number of the last key frame.
    key_frame: u64,
    /// Number of the frame that each slot holds.
    slots: [u64; 8],
    /// Number of the last frame of each chain.
    chains: [u64; MAX_SPATIAL],
    /// Spatial layers that were not left out since they were last begun.
    present: [bool; MAX_SPATIAL],
}

impl Walk {
    fn new(structure: &'static Structure) -> Self {
        Self {
            structure,
            number: 0,
            pictures: None,
            key_frame: 0,
            slots: [0; 8],
            chains: [0; MAX_SPATIAL],
            present: [false; MAX_SPATIAL],
        }
    }

    /// The first number that no frame of the last picture has.
    fn next_number(&self) -> u64 {
        self.number + self.pictures.map_or(0, |_| u64::from(self.structure.spatial_layers))
    }

    /// Goes on to a picture: gives 0 for a key picture, 1 for the first of the cycle and so on.
    fn begin(&mut self, picture: &PicturePlan) -> usize {
        let cycle = self.structure.cycle;
        let (last, key) = self.pictures.unwrap_or((picture.picture, picture.picture));
        let elapsed = picture.picture.saturating_sub(last);
        let layers = u64::from(self.structure.spatial_layers);
        if picture.key {
            self.number = self.next_number();
            self.pictures = Some((picture.picture, picture.picture));
        } else {
            // Nothing refers back by more than the cycle, so that a longer pause needs no more numbers: 2^15 of
            // them cannot be told from a step back.
            self.number += elapsed.min(cycle.len() as u64) * layers;
            self.pictures = Some((picture.picture, key));
        }
        // Pictures without frames in between left out all that they had.
        for missed in 1..elapsed.min(cycle.len() as u64 + 1) {
            let position = (picture.picture - missed).checked_sub(key + 1);
            let Some(position) = position else { break };
            self.begin_layers(cycle[position as usize % cycle.len()], &[]);
        }
        if picture.key {
            self.begin_layers(self.structure.key, &picture.frames);
            return 0;
        }
        let position = (picture.picture - key).saturating_sub(1) as usize % cycle.len();
        self.begin_layers(cycle[position], &picture.frames);
        position + 1
    }

    /// A spatial layer is present from its frame of temporal layer 0 on, until one is left out.
    fn begin_layers(&mut self, picture: &[FrameTemplate], coded: &[FramePlan]) {
        for frame in picture.iter().filter(|frame| frame.layer.temporal_id == 0) {
            self.present[usize::from(frame.layer.spatial_id)] =
                coded.iter().any(|plan| plan.layer == frame.layer);
        }
    }

    /// The decode targets, as bits, of which every frame is coded where `wanted` are wanted.
    fn available(&self, wanted: DecodeTargets) -> u32 {
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
        targets(structure).enumerate().fold(0, |bits, (index, target)| {
            let available = self.present[usize::from(target.spatial_id)] && !missing(target);
            bits | u32::from(available) << index
        })
    }

    /// Goes on to a frame of the picture.
    fn frame(&mut self, plan: &FramePlan, key_picture: bool) -> Frame {
        let LayerId { spatial_id, temporal_id } = plan.layer;
        let number = self.number + u64::from(spatial_id);
        if plan.kind == FrameKind::Key {
            self.key_frame = number;
        }
        let refers_to = [plan.temporal_ref, plan.inter_layer_ref].into_iter().flatten();
        let mut refers_to: ArrayVec<u64, 2> = refers_to.map(|slot| self.slots[usize::from(slot)]).collect();
        // An intra-only frame beside a key frame is of its coded video sequence: no decoder starts without.
        if key_picture && plan.kind == FrameKind::IntraOnly {
            refers_to.push(self.key_frame);
        }
        let begins_anew = !key_picture && temporal_id == 0 && plan.temporal_ref.is_none();
        let mut in_chains = 0;
        let mut chain_diffs = ChainDiffs::new();
        for chain in 0..self.structure.spatial_layers {
            let last = &mut self.chains[usize::from(chain)];
            let is_new = plan.kind == FrameKind::Key || begins_anew && chain == spatial_id;
            // What is too far to be said is of a chain that protects nothing active.
            let diff = if is_new { 0 } else { number.saturating_sub(*last).min(255) as u8 };
            chain_diffs.push(diff);
            if plan.needed_by.contains(LayerId::new(chain, 0)) {
                in_chains |= 1 << chain;
                *last = number;
            }
        }
        for (slot, held) in self.slots.iter_mut().enumerate() {
            if plan.refresh_frame_flags >> slot & 1 != 0 {
                *held = number;
            }
        }
        let frame_diffs = refers_to.iter().map(|&other| (number - other) as u16).collect();
        Frame { number, frame_diffs, chain_diffs, in_chains }
    }
}

/// The decode targets of a structure in the order of the descriptor, highest first.
fn targets(structure: &Structure) -> impl Iterator<Item = DecodeTarget> + use<> {
    let (spatial, temporal) = (structure.spatial_layers, structure.temporal_layers);
    (0..spatial).rev().flat_map(move |s| (0..temporal).rev().map(move |t| LayerId::new(s, t)))
}

/// The dependency structure of a mode, and what the frames of its key picture and of each picture of its cycle
/// are to the decode targets. Both come of a walk through the structure with all its layers.
fn derive(
    structure: &'static Structure,
    (width, height): (u32, u32),
    template_id_offset: u8,
) -> (DependencyStructure, Vec<[Indications; MAX_SPATIAL]>) {
    for side in [width, height] {
        assert!((1..=65536).contains(&side), "a picture of {width}x{height}");
    }
    let mut planner = Planner::new(structure.mode);
    let mut walk = Walk::new(structure);
    let all = DecodeTargets::all(structure);
    let cycle = structure.cycle.len();
    let mut frames = Vec::new();
    // The templates are those of the key picture and the first two cycles, after which they repeat; two more
    // show what is referred to later on.
    for position in 0..=4 * cycle {
        let picture = planner.next(PictureRequest { key: position == 0, wanted: all });
        walk.begin(&picture);
        for plan in picture.frames {
            let frame = walk.frame(&plan, picture.key);
            frames.push((position, plan, frame));
        }
    }
    let mut templates: Vec<Template> = Vec::new();
    let mut by_position = vec![<[Indications; MAX_SPATIAL]>::default(); cycle + 1];
    for (index, (position, plan, frame)) in frames.iter().enumerate() {
        if *position > 2 * cycle {
            break;
        }
        let indicate = |target| indicate(&frames[index..], &frames[..index], target);
        let template = Template {
            layer: plan.layer,
            decode_target_indications: targets(structure).map(indicate).collect(),
            frame_diffs: frame.frame_diffs.clone(),
            chain_diffs: frame.chain_diffs.clone(),
        };
        if *position <= cycle {
            by_position[*position][usize::from(plan.layer.spatial_id)] =
                template.decode_target_indications.clone();
        }
        if !templates.contains(&template) {
            templates.push(template);
        }
    }
    templates.sort_by_key(|template| template.layer);
    let dependency_structure = DependencyStructure {
        template_id_offset,
        decode_targets: structure.spatial_layers * structure.temporal_layers,
        templates,
        chains: structure.spatial_layers,
        protected_by: targets(structure).map(|target| target.spatial_id).collect(),
        resolutions: (0..structure.spatial_layers).map(|s| structure.layer_size(width, height, s)).collect(),
    };
    (dependency_structure, by_position)
}

/// What the first of `from_here` is to a decode target, whose frames come `before` and follow.
fn indicate(
    from_here: &[(usize, FramePlan, Frame)],
    before: &[(usize, FramePlan, Frame)],
    target: DecodeTarget,
) -> DecodeTargetIndication {
    let refers_to = |frame: &Frame| -> ArrayVec<u64, 2> {
        frame.frame_diffs.iter().map(|&diff| frame.number - u64::from(diff)).collect()
    };
    let Some(((_, plan, this), later)) = from_here.split_first() else {
        return DecodeTargetIndication::NotPresent;
    };
    if !plan.needed_by.contains(target) {
        return DecodeTargetIndication::NotPresent;
    }
    let later = || later.iter().filter(|(_, plan, _)| plan.needed_by.contains(target));
    if !later().any(|(_, _, frame)| refers_to(frame).contains(&this.number)) {
        return DecodeTargetIndication::Discardable;
    }
    // Who can decode this frame has all that it refers to, directly or not.
    let mut had = refers_to(this).to_vec();
    for (_, _, frame) in before.iter().rev() {
        if had.contains(&frame.number) {
            had.extend(refers_to(frame));
        }
    }
    let needed = later().flat_map(|(_, _, frame)| refers_to(frame));
    match needed.into_iter().all(|number| number >= this.number || had.contains(&number)) {
        true => DecodeTargetIndication::Switch,
        false => DecodeTargetIndication::Required,
    }
}
