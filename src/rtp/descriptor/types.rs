//! The fields of descriptors and structures, and their meaning.

use std::sync::Arc;

use crate::picture::Size;
use crate::rtp::list::List;
use crate::structure::LayerId;

/// The most decode targets that a structure has, and so the most chains.
pub const MAX_DECODE_TARGETS: usize = 32;

/// The most spatial layers that a stream has (AV1, spatial_id of 2 bits).
pub const MAX_SPATIAL_LAYERS: usize = 4;

/// The most templates that a structure has: a template id has 6 bits.
pub const MAX_TEMPLATES: usize = 64;

/// The most frames that a frame refers to. The syntax has no limit; AV1 refers to 7, no codec to more than 16.
pub const MAX_FRAME_DIFFS: usize = 16;

/// The role of a frame in a decode target (table A.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(clippy::exhaustive_enums, reason = "a wire type: two bits")]
pub enum DecodeTargetIndication {
    /// `-`: the frame is not of the decode target.
    NotPresent = 0,
    /// `D`: it is, and no other frame of the decode target refers to it.
    Discardable = 1,
    /// `S`: it is, and a receiver that can decode it can decode all that follows of the decode target.
    Switch = 2,
    /// `R`: it is, and neither of the two holds.
    Required = 3,
}

/// The indications of a frame, one for each decode target.
pub type Indications = List<DecodeTargetIndication, MAX_DECODE_TARGETS>;

/// The distances in frame number to the frames referred to: at least 1, in a template at most 16, else 4096.
pub type FrameDiffs = List<u16, MAX_FRAME_DIFFS>;

/// The distance in frame number to the previous frame of each chain: in a template at most 15. 0 if the
/// chain begins anew, and no earlier frame of it is needed.
pub type ChainDiffs = List<u8, MAX_DECODE_TARGETS>;

/// The properties that many frames have in common (A.8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct Template {
    /// The layer of the frames.
    pub layer: LayerId,
    /// Their role in each decode target.
    pub decode_target_indications: Indications,
    /// The frames that they refer to.
    pub frame_diffs: FrameDiffs,
    /// The previous frame of each chain.
    pub chain_diffs: ChainDiffs,
}

/// template_dependency_structure() of A.8.2: the meaning of the template ids of a coded video sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct DependencyStructure {
    /// The template id of the first template, at most 63. Ids wrap behind 63.
    pub template_id_offset: u8,
    /// DtCnt, the number of decode targets: 1 to 32.
    pub decode_targets: u8,
    /// 1 to 64 templates. The first is of layer S0T0, and each next one of the same layer, of the next
    /// temporal layer or of temporal layer 0 of the next spatial layer.
    pub templates: Vec<Template>,
    /// chain_cnt, the number of chains: at most one for each decode target.
    pub chains: u8,
    /// decode_target_protected_by: the chain of each decode target; empty if there are no chains.
    pub protected_by: List<u8, MAX_DECODE_TARGETS>,
    /// The largest width and height of each spatial layer's frames, 1 to 65536; empty if the sender does not tell.
    pub resolutions: List<Size, MAX_SPATIAL_LAYERS>,
}

/// The descriptor of one packet (A.8.2), as it is on the wire: it does not repeat its template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct DependencyDescriptor {
    /// The packet is the first of its frame.
    pub start_of_frame: bool,
    /// The packet is the last of its frame.
    pub end_of_frame: bool,
    /// frame_dependency_template_id, at most 63.
    pub template_id: u8,
    /// Number of the frame in coding order, modulo 2^16. Numbers may be left out.
    pub frame_number: u16,
    /// The structure that holds from this frame on: in the first packet of a coded video sequence.
    pub structure: Option<Arc<DependencyStructure>>,
    /// Bit i is set if decode target i is available from this packet on. Without a mask, a new structure makes all
    /// of them available, and any other descriptor changes nothing.
    pub active_decode_targets: Option<u32>,
    /// Indications in place of the template's.
    pub custom_indications: Option<Indications>,
    /// Frame differences in place of the template's: 1 to 4096.
    pub custom_frame_diffs: Option<FrameDiffs>,
    /// Chain differences in place of the template's: at most 255.
    pub custom_chain_diffs: Option<ChainDiffs>,
}

/// The meaning of a frame's descriptor, once its template is looked up: frame_dependency_definition().
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct FrameDependencies {
    /// The layer of the frame.
    pub layer: LayerId,
    /// The role of the frame in each decode target.
    pub decode_target_indications: Indications,
    /// The frames that it refers to.
    pub frame_diffs: FrameDiffs,
    /// The previous frame of each chain.
    pub chain_diffs: ChainDiffs,
    /// The largest width and height of the frames of its spatial layer.
    pub resolution: Option<Size>,
}

/// Why bytes are no descriptor, or a descriptor cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// The bytes end within the descriptor.
    #[error("the descriptor ends too early")]
    End,
    /// It cannot be read without the structure, which is not known; or no frame can be described, since no key
    /// picture has announced a structure for it.
    #[error("the descriptor needs a structure that is not known")]
    NoStructure,
    /// The structure has no such template; it may be of a later one that was lost.
    #[error("the structure has no template of id {id}")]
    Template {
        /// frame_dependency_template_id.
        id: u8,
    },
    /// More templates than there are ids.
    #[error("a structure of more than 64 templates")]
    TooManyTemplates,
    /// More than [`MAX_FRAME_DIFFS`] frames referred to.
    #[error("a frame that refers to more than 16 others")]
    TooManyFrameDiffs,
    /// A layer that AV1 does not have: a spatial_id above 3 or a temporal_id above 7.
    #[error("a spatial_id above 3 or a temporal_id above 7")]
    Layer,
    /// A value that cannot be written, or a list of another length than the structure says.
    #[error("{field} cannot be written")]
    Value {
        /// The syntax element.
        field: &'static str,
    },
    /// The buffer to write to is too small.
    #[error("no space for a descriptor of {size} bytes")]
    Space {
        /// Bytes needed.
        size: usize,
    },
}

impl DependencyStructure {
    /// The template of an id, if there is one.
    pub fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(self.template_index(id)?)
    }

    /// Its place among the templates.
    pub(crate) fn template_index(&self, id: u8) -> Option<usize> {
        let index = usize::from(id.checked_add(64)?.checked_sub(self.template_id_offset)? % 64);
        (index < self.templates.len()).then_some(index)
    }

    /// What a frame of a template means that has nothing of its own.
    pub(crate) fn dependencies(&self, template: &Template) -> FrameDependencies {
        FrameDependencies {
            layer: template.layer,
            decode_target_indications: template.decode_target_indications.copied(),
            frame_diffs: template.frame_diffs.copied(),
            chain_diffs: template.chain_diffs.copied(),
            resolution: self.resolutions.get(usize::from(template.layer.spatial_id)).copied(),
        }
    }

    /// The template ids, not yet wrapped: from the offset on.
    pub(super) fn template_ids(&self) -> std::ops::Range<u8> {
        self.template_id_offset..self.template_id_offset + self.templates.len().min(64) as u8
    }

    /// Every decode target, as bits: the mask of active ones that a structure begins with.
    pub fn all_decode_targets(&self) -> u32 {
        u32::MAX >> (32 - u32::from(self.decode_targets.clamp(1, 32)))
    }

    /// The layer that decode target `target` shows: decode_target_layers(). It is S0T0 of a target that no
    /// template is of.
    pub fn decode_target_layer(&self, target: u8) -> LayerId {
        let target = usize::from(target);
        let frames = self.templates.iter().filter(|template| {
            let indication = template.decode_target_indications.get(target);
            indication.is_some_and(|&indication| indication != DecodeTargetIndication::NotPresent)
        });
        frames.fold(LayerId::default(), |layer, template| LayerId {
            spatial_id: layer.spatial_id.max(template.layer.spatial_id),
            temporal_id: layer.temporal_id.max(template.layer.temporal_id),
        })
    }

    /// The first decode target that shows `layer`.
    pub fn decode_target(&self, layer: LayerId) -> Option<u8> {
        (0..self.decode_targets).find(|&target| self.decode_target_layer(target) == layer)
    }

    /// The chains that protect decode targets of the mask `active`, as bits. The others are to be ignored.
    pub fn active_chains(&self, active: u32) -> u32 {
        let protected = (0u32..).zip(&self.protected_by).filter(|(target, _)| active >> target & 1 != 0);
        protected.fold(0, |chains, (_, &chain)| chains | 1u32.checked_shl(chain.into()).unwrap_or(0))
    }

    /// Whether a frame is one of chain `chain`: PartOfActiveChain() of A.6, with the decode targets of the
    /// mask `active`.
    pub fn is_in_chain(&self, frame: &FrameDependencies, chain: u8, active: u32) -> bool {
        let protected = || self.protected_by.iter().zip(&frame.decode_target_indications);
        self.active_chains(active).checked_shr(chain.into()).is_some_and(|chains| chains & 1 != 0)
            && protected().filter(|(by, _)| **by == chain).all(|(_, indication)| {
                matches!(indication, DecodeTargetIndication::Switch | DecodeTargetIndication::Required)
            })
    }
}

impl DependencyDescriptor {
    /// The meaning of the descriptor. `known` is the structure that holds, unless the descriptor has one.
    ///
    /// # Errors
    /// [`DescriptorError::Template`], if the structure does not have the template.
    pub fn dependencies(&self, known: &DependencyStructure) -> Result<FrameDependencies, DescriptorError> {
        let structure = self.structure.as_deref().unwrap_or(known);
        let template =
            structure.template(self.template_id).ok_or(DescriptorError::Template { id: self.template_id })?;
        let mut dependencies = structure.dependencies(template);
        if let Some(indications) = &self.custom_indications {
            dependencies.decode_target_indications = indications.copied();
        }
        if let Some(diffs) = &self.custom_frame_diffs {
            dependencies.frame_diffs = diffs.copied();
        }
        if let Some(diffs) = &self.custom_chain_diffs {
            dependencies.chain_diffs = diffs.copied();
        }
        Ok(dependencies)
    }

    /// Whether the frame has anything of its own in place of what its template has.
    #[cfg(feature = "relay")]
    pub(crate) fn has_custom(&self) -> bool {
        self.custom_indications.is_some()
            || self.custom_frame_diffs.is_some()
            || self.custom_chain_diffs.is_some()
    }
}
