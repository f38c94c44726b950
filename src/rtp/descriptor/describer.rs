//! Our own structures as dependency structures, and the descriptors of planned frames.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::types::{
    ChainDiffs, DecodeTargetIndication, DependencyDescriptor, DependencyStructure, DescriptorError,
    FrameDiffs, Indications, Template,
};
use crate::picture::Size;
use crate::structure::{
    DecodeTarget, DecodeTargets, FrameKind, FramePlan, LayerId, PicturePlan, PictureRequest, Planner,
    ScalabilityMode, Structure,
};

/// At most this many spatial layers, and so frames of a picture.
const MAX_SPATIAL: usize = 4;

/// Describes the frames that a [`Planner`] plans.
///
/// The decode targets are the mode's, highest first, as the examples of A.10.2 have them. There is one chain
/// for each spatial layer: the frames that its decode target of temporal layer 0 needs.
///
/// Mode, size, frame numbers and references are the plan's own. The describer remembers only what the receivers were
/// told: the structure, the active decode targets, and where the chains are. The frames of a mode whose layers are
/// all wanted take three bytes each, except a key picture's first frame; only a layer that comes back needs custom
/// fields.
#[derive(Debug, Clone, Default)]
pub struct Describer {
    sequence: Option<Sequence>,
    /// Decode targets that the receivers were last told to be active.
    active: u32,
    /// Chains none of whose frames has told them yet, as bits.
    untold: u32,
    chains: Chains,
}

/// The structure of the pictures of one mode and size.
#[derive(Debug, Clone)]
struct Sequence {
    mode: ScalabilityMode,
    size: Size,
    structure: Arc<DependencyStructure>,
    /// What the frames of the key picture and of each picture of the cycle are to the decode targets, by
    /// spatial layer.
    indications: Vec<[Indications; MAX_SPATIAL]>,
}

impl Sequence {
    /// The template ids begin with `template_id_offset`.
    fn new(mode: ScalabilityMode, size: Size, template_id_offset: u8) -> Self {
        let (structure, indications) = derive(mode.structure(), size, template_id_offset);
        Self { mode, size, structure: Arc::new(structure), indications }
    }
}

impl DependencyStructure {
    /// The structure of a mode, as a [`Describer`] announces it at first, for pictures whose highest layer has
    /// this size in luma samples.
    ///
    /// # Panics
    /// If the width or height is not from 1 to 65536.
    pub fn of_mode(mode: ScalabilityMode, size: Size) -> Self {
        derive(mode.structure(), size, 0).0
    }
}

impl Describer {
    /// A describer whose first picture has to be a key picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// The structure by which the descriptors are written and read; `None` before the first key picture.
    pub fn structure(&self) -> Option<&Arc<DependencyStructure>> {
        self.sequence.as_ref().map(|sequence| &sequence.structure)
    }

    /// The descriptors of a picture's frames, in their order, each as of a frame of a single packet. The pictures are
    /// to come in the planner's order; those without frames may be left out.
    ///
    /// The first frame of a key picture brings the structure along. When the available decode
    /// targets change, the descriptors say so up to the next frame of each of their chains: a receiver that misses
    /// that frame finds its chain broken. A key picture of another mode or size brings a new structure, whose template
    /// ids are not those that held so far.
    ///
    /// # Errors
    /// [`DescriptorError::NoStructure`] if no key picture of this mode and size came before: receivers could
    /// not read the descriptors. The planner is to be asked for a key picture then.
    ///
    /// # Panics
    /// If the width or height of the pictures is not from 1 to 65536.
    pub fn describe(&mut self, picture: &PicturePlan) -> Result<Vec<DependencyDescriptor>, DescriptorError> {
        if picture.frames.is_empty() {
            return Ok(Vec::new());
        }
        let holds = |sequence: &Sequence| (sequence.mode, sequence.size) == (picture.mode, picture.size);
        let sequence = match self.sequence.take() {
            Some(sequence) if holds(&sequence) => sequence,
            before if picture.key => {
                let offset = before.map_or(0, |before| before.structure.template_ids().end % 64);
                Sequence::new(picture.mode, picture.size, offset)
            }
            before => {
                self.sequence = before;
                return Err(DescriptorError::NoStructure);
            }
        };
        let structure = &sequence.structure;
        let active = active_targets(picture);
        if picture.key || active != self.active {
            self.active = active;
            let told = picture.key && active == structure.all_decode_targets();
            self.untold = if told { 0 } else { structure.active_chains(active) };
        }
        let mut descriptors = Vec::with_capacity(picture.frames.len());
        for (index, plan) in picture.frames.iter().enumerate() {
            let frame = self.chains.frame(picture, plan);
            let indications = &sequence.indications[picture.position][usize::from(plan.layer.spatial_id)];
            let mut descriptor = choose(structure, active, &frame, plan.layer, indications);
            descriptor.structure = (picture.key && index == 0).then(|| Arc::clone(structure));
            descriptor.active_decode_targets = (self.untold != 0).then_some(active);
            self.untold &= !frame.in_chains;
            descriptors.push(descriptor);
        }
        self.sequence = Some(sequence);
        Ok(descriptors)
    }
}

/// The descriptor that says the frame in the fewest bits.
fn choose(
    structure: &DependencyStructure,
    active: u32,
    frame: &Frame,
    layer: LayerId,
    indications: &Indications,
) -> DependencyDescriptor {
    let chains = structure.active_chains(active);
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

/// What is known of a frame once it is numbered.
struct Frame {
    number: u64,
    frame_diffs: FrameDiffs,
    chain_diffs: ChainDiffs,
    /// The chains that it is part of, as bits.
    in_chains: u32,
}

/// Where the chains are: the number of the last frame of each.
#[derive(Debug, Clone, Default)]
struct Chains([u64; MAX_SPATIAL]);

impl Chains {
    /// Goes on to a frame of a picture.
    fn frame(&mut self, picture: &PicturePlan, plan: &FramePlan) -> Frame {
        let LayerId { spatial_id, temporal_id } = plan.layer;
        let number = plan.frame_number;
        let begins_anew = !picture.key && temporal_id == 0 && plan.temporal_ref.is_none();
        let mut in_chains = 0;
        let mut chain_diffs = ChainDiffs::new();
        for (chain, last) in (0..picture.mode.structure().spatial_layers).zip(&mut self.0) {
            let is_new = plan.kind == FrameKind::Key
                || begins_anew && chain == spatial_id
                || plan.kind == FrameKind::IntraOnly && !goes_on(picture, chain);
            // Only a chain that protects no active decode target has a distance too large to be written.
            let diff = if is_new { 0 } else { number.saturating_sub(*last).min(255) as u8 };
            chain_diffs.push(diff);
            if plan.needed_by.contains(LayerId::new(chain, 0)) {
                in_chains |= 1 << chain;
                *last = number;
            }
        }
        let frame_diffs = plan.depends_on.iter().map(|&other| (number - other) as u16).collect();
        Frame { number, frame_diffs, chain_diffs, in_chains }
    }
}

/// Whether the frame of temporal layer 0 that a spatial layer has in a picture refers to an earlier one of its chain.
fn goes_on(picture: &PicturePlan, spatial_id: u8) -> bool {
    let layer = LayerId::new(spatial_id, 0);
    picture.frames.iter().any(|frame| frame.layer == layer && frame.temporal_ref.is_some())
}

/// The active decode targets of a picture, as bits.
fn active_targets(picture: &PicturePlan) -> u32 {
    let available = targets(picture.mode.structure()).map(|target| picture.available.contains(target));
    available.enumerate().fold(0, |bits, (index, available)| bits | u32::from(available) << index)
}

/// The decode targets of a structure in the order of the descriptor, highest first.
fn targets(structure: &Structure) -> impl Iterator<Item = DecodeTarget> + use<> {
    let (spatial, temporal) = (structure.spatial_layers, structure.temporal_layers);
    (0..spatial).rev().flat_map(move |s| (0..temporal).rev().map(move |t| LayerId::new(s, t)))
}

/// The dependency structure of a mode, and what the frames of its key picture and of each picture of its cycle
/// are to the decode targets. Both come from a walk through the structure with all its layers.
fn derive(
    structure: &'static Structure,
    size: Size,
    template_id_offset: u8,
) -> (DependencyStructure, Vec<[Indications; MAX_SPATIAL]>) {
    assert!(size.is_codable(), "a picture of {size}");
    let mut planner = Planner::new(structure.mode, size);
    let mut chains = Chains::default();
    let all = DecodeTargets::all(structure);
    let cycle = structure.cycle.len();
    let mut frames = Vec::new();
    // The templates are those of the key picture and the first two cycles, after which they repeat; two more
    // show what is referred to later on.
    for position in 0..=4 * cycle {
        let picture = planner.next(PictureRequest { wanted: all, ..PictureRequest::default() });
        for plan in &picture.frames {
            let frame = chains.frame(&picture, plan);
            frames.push((position, plan.clone(), frame));
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
        resolutions: (0..structure.spatial_layers).map(|s| structure.layer_size(size, s)).collect(),
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
    // A receiver that can decode this frame has all that it refers to, directly or not.
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
