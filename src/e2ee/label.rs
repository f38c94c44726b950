//! The fields that the sender of a video frame vouches for, as bytes.
//!
//! The label of a frame is, in this order: the canonical bytes of its Dependency Descriptor, two bytes of the
//! SHA-256 of the structure by which they are read, for a packet two bytes with its place in the frame, a byte
//! with the layer, and the length of all this in a byte. Seven bytes for most frames. It stands behind the
//! frame, where it can be appended and cut off without moving the frame. Behind it is the round, a byte: how often the
//! 16 bits of the frame number came around. With [`Binding::Page`] the label is what that says, and the round is behind
//! the frame all the same.
//!
//! Two bytes suffice to tell structures apart: a relay can only bring structures that the sender has vouched for,
//! since the canonical bytes of the frame that brings one hold it in full.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::agreement::Binding;
use crate::rtp::descriptor::{DependencyDescriptor, DependencyStructure, DescriptorError, FrameDependencies};
use crate::structure::LayerId;

/// What is sealed in one piece (the T bit of draft-ietf-avtcore-rtp-sframe-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums)] // A bit has two values.
pub enum SealedUnit {
    /// A whole frame of a layer, which is then split into packets (T is 0).
    #[default]
    Frame,
    /// One packet's payload (T is 1).
    Packet {
        /// Place in its frame, from 0.
        index: u16,
        /// Whether it is the last of its frame.
        last: bool,
    },
}

/// Which field that came with a frame is not the one that the sender vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Relabelled {
    /// frame_number.
    #[error("frame number")]
    FrameNumber,
    /// The dependency structure that the frame brings, or by which its template is read.
    #[error("dependency structure")]
    Structure,
    /// spatial_id.
    #[error("spatial layer")]
    SpatialLayer,
    /// temporal_id.
    #[error("temporal layer")]
    TemporalLayer,
    /// Template, decode target indications, frame differences or chain differences.
    #[error("set of dependencies")]
    Dependencies,
    /// The place of a packet in its frame, or whether a packet or a frame was sealed.
    #[error("place in the frame")]
    Unit,
}

/// In the byte with the layer, temporal_id in bits 1 to 3 and spatial_id in bits 4 and 5: a packet.
const PACKET: u8 = 1;

/// In the same byte: the last packet of its frame.
const LAST: u8 = 1 << 6;

/// A structure and the bytes that tell it from others.
#[derive(Debug)]
pub(super) struct Described {
    structure: Arc<DependencyStructure>,
    fingerprint: [u8; 2],
}

impl Described {
    fn new(structure: &Arc<DependencyStructure>) -> Result<Self, DescriptorError> {
        let alone = DependencyDescriptor {
            template_id: structure.template_id_offset,
            structure: Some(Arc::clone(structure)),
            ..DependencyDescriptor::default()
        };
        let mut bytes = Vec::new();
        alone.canonical(structure, &mut bytes)?;
        let digest = Sha256::digest(&bytes);
        Ok(Self { structure: Arc::clone(structure), fingerprint: [digest[0], digest[1]] })
    }

    pub(super) fn structure(&self) -> &Arc<DependencyStructure> {
        &self.structure
    }

    /// The structure that a descriptor brings along, if it is not the one `held`.
    pub(super) fn brought(
        held: Option<&Self>,
        descriptor: &DependencyDescriptor,
    ) -> Result<Option<Self>, DescriptorError> {
        let is_held = |structure: &Arc<DependencyStructure>| {
            held.is_some_and(|held| Arc::ptr_eq(&held.structure, structure) || held.structure == *structure)
        };
        descriptor.structure.as_ref().filter(|structure| !is_held(structure)).map(Self::new).transpose()
    }

    /// The layer that a descriptor names.
    pub(super) fn layer(&self, descriptor: &DependencyDescriptor) -> Result<LayerId, DescriptorError> {
        let id = descriptor.template_id;
        Ok(self.structure.template(id).ok_or(DescriptorError::Template { id })?.layer)
    }

    /// Writes the label of a frame or packet in place of what is in `label`.
    pub(super) fn label(
        &self,
        binding: Binding,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        label: &mut Vec<u8>,
    ) -> Result<(), DescriptorError> {
        label.clear();
        if binding == Binding::Page {
            return self.page_label(descriptor, unit, label);
        }
        descriptor.canonical(&self.structure, label)?;
        label.extend(self.fingerprint);
        let LayerId { spatial_id, temporal_id } = self.layer(descriptor)?;
        let layer = spatial_id << 4 | temporal_id << 1;
        match unit {
            SealedUnit::Frame => label.push(layer),
            SealedUnit::Packet { index, last } => {
                label.extend(index.to_be_bytes());
                label.push(layer | PACKET | if last { LAST } else { 0 });
            }
        }
        // A header extension has at most 255 bytes for its descriptor.
        let size = u8::try_from(label.len()).map_err(|_| DescriptorError::Value { field: "descriptor" })?;
        label.push(size);
        Ok(())
    }

    /// The label of [`Binding::Page`]. No page sees packets; the place of one is told apart from a frame all the same.
    fn page_label(
        &self,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        label: &mut Vec<u8>,
    ) -> Result<(), DescriptorError> {
        let FrameDependencies { layer, frame_diffs, .. } = descriptor.dependencies(&self.structure)?;
        PageFrame { frame_number: descriptor.frame_number, layer, frame_diffs: &frame_diffs }.label(label)?;
        if let SealedUnit::Packet { index, last } = unit {
            label.extend(index.to_be_bytes());
            label.push(PACKET | if last { LAST } else { 0 });
        }
        Ok(())
    }
}

/// What a script of a web page sees of a video frame, and [`Binding::Page`] binds: in the metadata of an
/// `RTCEncodedVideoFrame` (W3C WebRTC Encoded Transform, section 8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a standard names the fields; callers build it")]
pub struct PageFrame<'a> {
    /// The low 16 bits of `frameId`, which are the frame number of the Dependency Descriptor.
    pub frame_number: u16,
    /// `spatialIndex` and `temporalIndex`.
    pub layer: LayerId,
    /// `frameId` less each of the `dependencies`, in any order.
    pub frame_diffs: &'a [u16],
}

impl PageFrame<'_> {
    /// Appends the label.
    pub(super) fn label(&self, label: &mut Vec<u8>) -> Result<(), DescriptorError> {
        let Self { frame_number, layer: LayerId { spatial_id, temporal_id }, frame_diffs } = *self;
        if spatial_id > 3 || temporal_id > 7 {
            return Err(DescriptorError::Layer);
        }
        let count = u8::try_from(frame_diffs.len())
            .map_err(|_| DescriptorError::Value { field: "frame differences" })?;
        label.extend(frame_number.to_be_bytes());
        label.extend([spatial_id, temporal_id, count]);
        let at = label.len();
        label.extend(frame_diffs.iter().flat_map(|diff| diff.to_be_bytes()));
        label[at..].as_chunks_mut::<2>().0.sort_unstable();
        Ok(())
    }
}

/// A number that a sender unwrapped, and by which a receiver tells late frames: round and frame number, 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unwrapped(u32);

impl Unwrapped {
    /// Frames of one picture that a sender may seal in another order than that of their numbers.
    const SHUFFLED: u16 = 64;

    pub(super) fn new(round: u8, frame_number: u16) -> Self {
        Self(u32::from(round) << 16 | u32::from(frame_number))
    }

    pub(super) fn value(self) -> u32 {
        self.0
    }

    pub(super) fn round(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// The sender's next one. A number that goes back begins another round: it came around, or the sender counts anew.
    pub(super) fn next(newest: Option<Self>, frame_number: u16) -> Self {
        let Some(newest) = newest else { return Self::new(0, frame_number) };
        let last = newest.0 as u16;
        let back = last.wrapping_sub(frame_number);
        if back <= Self::SHUFFLED {
            return Self(newest.0.wrapping_sub(back.into()) & 0xff_ffff);
        }
        let round = newest.round().wrapping_add((frame_number < last).into());
        Self::new(round, frame_number)
    }

    /// How many frames it is ahead of another that it is not behind.
    pub(super) fn ahead(self, newest: Self) -> u32 {
        self.0.wrapping_sub(newest.0) & 0xff_ffff
    }

    /// The one that many frames ahead.
    pub(super) fn advanced(self, frames: u32) -> Self {
        Self(self.0.wrapping_add(frames) & 0xff_ffff)
    }

    /// How many frames it is behind another; `None` if it is ahead.
    pub(super) fn behind(self, newest: Self) -> Option<u32> {
        let behind = newest.0.wrapping_sub(self.0) & 0xff_ffff;
        (behind < 1 << 23).then_some(behind)
    }
}

/// The label at the end of a plaintext, with its length byte.
pub(super) fn label_of(plaintext: &[u8]) -> Option<&[u8]> {
    let size = usize::from(*plaintext.last()?) + 1;
    plaintext.len().checked_sub(size).map(|at| &plaintext[at..])
}

/// The first field in which the label of the descriptor that came differs from the one that was sealed. The two
/// must differ.
pub(super) fn difference(came: &[u8], sealed: &[u8]) -> Relabelled {
    let (Some(came), Some(sealed)) = (Parts::of(came), Parts::of(sealed)) else {
        return Relabelled::Dependencies;
    };
    if came.frame_number != sealed.frame_number {
        Relabelled::FrameNumber
    } else if came.fingerprint != sealed.fingerprint || came.brings_structure != sealed.brings_structure {
        Relabelled::Structure
    } else if (came.layer ^ sealed.layer) & 3 << 4 != 0 {
        Relabelled::SpatialLayer
    } else if (came.layer ^ sealed.layer) & 7 << 1 != 0 {
        Relabelled::TemporalLayer
    } else if came.layer != sealed.layer || came.place != sealed.place {
        Relabelled::Unit
    } else {
        Relabelled::Dependencies
    }
}

struct Parts<'a> {
    frame_number: [u8; 2],
    brings_structure: bool,
    fingerprint: [u8; 2],
    layer: u8,
    place: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(label: &'a [u8]) -> Option<Self> {
        let (_size, label) = label.split_last()?;
        let (&layer, before) = label.split_last()?;
        let place = if layer & PACKET != 0 { 2 } else { 0 };
        let (before, place) = before.split_at_checked(before.len().checked_sub(place)?)?;
        let (canonical, fingerprint) = before.split_last_chunk()?;
        let frame_number = [*canonical.get(1)?, *canonical.get(2)?];
        let brings_structure = canonical.get(3).is_some_and(|flags| flags & 0x80 != 0);
        Some(Self { frame_number, brings_structure, fingerprint: *fingerprint, layer, place })
    }
}
