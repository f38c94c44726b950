//! The frames of a stream as a relay sees them.

use std::sync::Arc;

use crate::rtp::descriptor::{
    DecodeTargetIndication, DependencyDescriptor, DependencyStructure, DescriptorError, FrameDependencies,
    Template,
};
use crate::rtp::numbers::{MAX_FRAME_DIFF, unwrap};
use crate::structure::LayerId;

/// A structure, and what a relay has to look up in it for every frame.
#[derive(Debug)]
pub(crate) struct Sequence {
    pub structure: Arc<DependencyStructure>,
    /// What frames of each template mean that have nothing of their own.
    templates: Vec<FrameDependencies>,
    /// The layer that each decode target shows.
    pub targets: Vec<LayerId>,
    /// For each decode target the set of those whose frames it needs all, itself among them, as bits.
    contained: Vec<u32>,
}

impl Sequence {
    fn new(structure: Arc<DependencyStructure>) -> Self {
        let targets: Vec<_> = (0..structure.decode_targets.min(32))
            .map(|target| structure.decode_target_layer(target))
            .collect();
        let needs = |target: usize| {
            structure.templates.iter().map(move |template| {
                let indication = template.decode_target_indications.get(target).copied();
                indication.is_some_and(|indication| indication != DecodeTargetIndication::NotPresent)
            })
        };
        let contains =
            |outer: usize, inner: usize| needs(inner).zip(needs(outer)).all(|(inner, outer)| outer || !inner);
        let contained = (0..targets.len())
            .map(|outer| {
                let inner = (0..targets.len()).filter(|&inner| contains(outer, inner));
                inner.fold(0, |bits, inner| bits | 1 << inner)
            })
            .collect();
        let templates = structure.templates.iter().map(|template| structure.dependencies(template)).collect();
        Self { structure, templates, targets, contained }
    }

    /// The place of the template of an id.
    fn template(&self, id: u8) -> Result<usize, DescriptorError> {
        self.structure.template_index(id).ok_or(DescriptorError::Template { id })
    }

    /// Whether every frame that decode target `inner` needs is one that `outer` needs too.
    pub fn contains(&self, outer: usize, inner: usize) -> bool {
        self.contained(outer) >> inner & 1 != 0
    }

    /// The decode targets whose frames `target` needs all, as bits: they can be decoded of what is forwarded for it.
    pub fn contained(&self, target: usize) -> u32 {
        self.contained.get(target).copied().unwrap_or(0)
    }

    /// The decode target to forward for a receiver that wants a layer: the best of those that are active and of no
    /// higher spatial or temporal layer, and the lowest of all if there is none.
    pub fn target(&self, wanted: LayerId, active: u32) -> Option<usize> {
        let targets = || self.targets.iter().copied().enumerate();
        let of_no_higher =
            |layer: LayerId| layer.spatial_id <= wanted.spatial_id && layer.temporal_id <= wanted.temporal_id;
        let best = |mask: u32| {
            targets()
                .filter(|&(at, layer)| mask >> at & 1 != 0 && of_no_higher(layer))
                .max_by_key(|(_, layer)| *layer)
        };
        let target =
            best(active).or_else(|| best(u32::MAX)).or_else(|| targets().min_by_key(|(_, layer)| *layer));
        target.map(|(at, _)| at)
    }

    /// The layers of which a decode target needs frames, other than in key pictures; some of them several times.
    fn layers_of(&self, target: usize) -> impl Iterator<Item = LayerId> {
        let needed = move |template: &&Template| {
            let indication = template.decode_target_indications.get(target);
            !template.frame_diffs.is_empty()
                && indication.is_some_and(|&indication| indication != DecodeTargetIndication::NotPresent)
        };
        self.structure.templates.iter().filter(needed).map(|template| template.layer)
    }

    /// Whether a decode target needs frames of a spatial layer besides the key frame.
    pub fn needs_layer(&self, target: usize, spatial_id: u8) -> bool {
        self.layers_of(target).any(|layer| layer.spatial_id == spatial_id)
    }

    /// Whether a decode target needs frames of a layer, other than in key pictures.
    pub fn needs(&self, target: usize, layer: LayerId) -> bool {
        self.layers_of(target).any(|needed| needed == layer)
    }
}

/// The frame that a packet belongs to, as its Dependency Descriptor tells it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayFrame {
    /// The frame number, counted on beyond the descriptor's 16 bits.
    pub number: u64,
    /// Whether the packet is the first of its frame.
    pub start_of_frame: bool,
    /// Whether the packet is the last of its frame.
    pub end_of_frame: bool,
    /// The frame's layer.
    pub layer: LayerId,
    /// Whether a coded video sequence starts with the frame, and a decoder can.
    pub key: bool,
    /// Decode targets that are active from here on, as bits.
    pub active_decode_targets: u32,
    pub(super) sequence: Arc<Sequence>,
    /// The place of the frame's template in the structure.
    template: usize,
    /// What the frame means, if its template alone does not say so.
    custom: Option<FrameDependencies>,
}

impl RelayFrame {
    /// What the frame means.
    pub fn dependencies(&self) -> &FrameDependencies {
        self.custom.as_ref().unwrap_or_else(|| &self.sequence.templates[self.template])
    }

    pub(super) fn indication(&self, target: usize) -> DecodeTargetIndication {
        let indications = &self.dependencies().decode_target_indications;
        indications.get(target).copied().unwrap_or(DecodeTargetIndication::NotPresent)
    }

    pub(super) fn is_needed(&self, target: usize) -> bool {
        self.indication(target) != DecodeTargetIndication::NotPresent
    }

    /// Numbers of the frames that it refers to.
    pub(super) fn refers_to(&self) -> impl Iterator<Item = u64> {
        self.dependencies().frame_diffs.iter().map(|&diff| self.number.saturating_sub(diff.into()))
    }

    /// The structure that the descriptors of this frame's packets are read by.
    pub fn structure(&self) -> &Arc<DependencyStructure> {
        &self.sequence.structure
    }
}

/// Reads the descriptors of one sender's stream, in the order in which its packets come in.
#[derive(Debug, Clone, Default)]
pub struct FrameReader {
    sequence: Option<Arc<Sequence>>,
    /// The highest frame number seen.
    highest: u64,
    /// The number of the frame that told the active decode targets, and what it told.
    active: (u64, u32),
}

impl FrameReader {
    /// A reader that waits for the first structure.
    pub fn new() -> Self {
        Self::default()
    }

    /// The structure that holds now, by which a descriptor is read.
    pub fn structure(&self) -> Option<&Arc<DependencyStructure>> {
        self.sequence.as_ref().map(|sequence| &sequence.structure)
    }

    /// What is looked up in it.
    pub(super) fn sequence(&self) -> Option<&Arc<Sequence>> {
        self.sequence.as_ref()
    }

    /// Reads the descriptor of a packet, which is the content of its header extension.
    ///
    /// # Errors
    /// As [`handle_descriptor`](Self::handle_descriptor), and whatever makes bytes no descriptor.
    pub fn read(&mut self, descriptor: &[u8]) -> Result<RelayFrame, DescriptorError> {
        let descriptor =
            DependencyDescriptor::read(descriptor, self.structure().map(|structure| &**structure))?;
        self.handle_descriptor(&descriptor)
    }

    /// The same in place of the frame that was read before, most of which stays: frames are large.
    pub(super) fn read_over(
        &mut self,
        descriptor: &[u8],
        frame: &mut Option<RelayFrame>,
    ) -> Result<(), DescriptorError> {
        // Most descriptors have the mandatory fields alone (A.8.2).
        if let (&[first, high, low], Some(frame), Some(sequence)) = (descriptor, &mut *frame, &self.sequence)
            && Arc::ptr_eq(&frame.sequence, sequence)
        {
            let (template_id, frame_number) = (first & 0x3f, u16::from_be_bytes([high, low]));
            frame.template = sequence.template(template_id)?;
            let dependencies = &sequence.templates[frame.template];
            (frame.layer, frame.key, frame.custom) = (dependencies.layer, false, None);
            (frame.start_of_frame, frame.end_of_frame) = (first & 0x80 != 0, first & 0x40 != 0);
            frame.number = unwrap(frame_number, self.highest);
            frame.active_decode_targets = self.active.1;
            self.highest = self.highest.max(frame.number);
            return Ok(());
        }
        *frame = Some(self.read(descriptor)?);
        Ok(())
    }

    /// Takes the descriptor of a packet.
    ///
    /// # Errors
    /// [`NoStructure`](DescriptorError::NoStructure) if no structure came yet, and
    /// [`Template`](DescriptorError::Template) if the one that holds lacks the template. A packet like that is of no
    /// use to anybody; it may be late, or the structure's packet was lost and will be sent again.
    pub fn handle_descriptor(
        &mut self,
        descriptor: &DependencyDescriptor,
    ) -> Result<RelayFrame, DescriptorError> {
        let fresh = descriptor.structure.as_ref();
        let sequence = match (fresh, &self.sequence) {
            (Some(fresh), Some(sequence)) if **fresh == *sequence.structure => Arc::clone(sequence),
            (Some(fresh), _) => Arc::new(Sequence::new(Arc::clone(fresh))),
            (None, Some(sequence)) => Arc::clone(sequence),
            (None, None) => return Err(DescriptorError::NoStructure),
        };
        let custom =
            descriptor.has_custom().then(|| descriptor.dependencies(&sequence.structure)).transpose()?;
        let &DependencyDescriptor { start_of_frame, end_of_frame, template_id, frame_number, .. } =
            descriptor;
        let template = sequence.template(template_id)?;
        let dependencies = custom.as_ref().unwrap_or_else(|| &sequence.templates[template]);
        let (layer, key) = (dependencies.layer, fresh.is_some() && dependencies.frame_diffs.is_empty());
        let mut number = match self.sequence {
            None => (1 << 16) + u64::from(frame_number),
            Some(_) => unwrap(frame_number, self.highest),
        };
        if key && number + MAX_FRAME_DIFF < self.highest {
            // A sender that starts anew may begin at any number.
            number += 1 << 16;
        }
        let all = sequence.structure.all_decode_targets();
        if let Some(active) = descriptor.active_decode_targets.or(fresh.map(|_| all))
            && number >= self.active.0
        {
            self.active = (number, active);
        }
        if number >= self.highest {
            self.highest = number;
            self.sequence = Some(Arc::clone(&sequence));
        }
        Ok(RelayFrame {
            number,
            start_of_frame,
            end_of_frame,
            layer,
            key,
            active_decode_targets: self.active.1,
            sequence,
            template,
            custom,
        })
    }
}
