//! Scalability structures: which layers a picture is coded in, and what each frame refers to.
//!
//! The 25 scalability modes of W3C `webrtc-svc` whose layers differ by 2:1 are one table of constants
//! ([`ScalabilityMode::structure`]), drawn mode by mode in its source. Encoder, packetizer and relay read the
//! same table; a [`Planner`] walks it picture by picture and codes only what somebody wants.

mod planner;
mod refresh;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::picture::Size;
pub use planner::{FrameKind, FramePlan, GOLDEN_FRAME, LAST_FRAME, PicturePlan, PictureRequest, Planner};
pub use refresh::Refresh;

/// A spatial and a temporal layer, as an OBU extension header names them (AV1 5.3.3); the base layer by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // AV1 names a layer by these two.
pub struct LayerId {
    /// 0 is the smallest picture; at most 3.
    pub spatial_id: u8,
    /// 0 is the lowest frame rate; at most 7.
    pub temporal_id: u8,
}

/// What a receiver shows that takes spatial layer `spatial_id` at the frame rate of `temporal_id`: the frames
/// of that spatial layer up to that temporal layer, for which it also needs all that they depend on.
pub type DecodeTarget = LayerId;

impl LayerId {
    /// Layer `spatial_id` (at most 3), `temporal_id` (at most 7).
    pub const fn new(spatial_id: u8, temporal_id: u8) -> Self {
        Self { spatial_id, temporal_id }
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}T{}", self.spatial_id, self.temporal_id)
    }
}

/// A set of decode targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct DecodeTargets {
    /// Bit `8 * spatial_id + temporal_id`.
    bits: u32,
}

impl DecodeTargets {
    /// No decode target.
    pub const NONE: Self = Self { bits: 0 };

    /// All decode targets of a structure.
    pub fn all(structure: &Structure) -> Self {
        structure.decode_targets().collect()
    }

    /// These decode targets and no others.
    ///
    /// # Panics
    /// Where a `spatial_id` is above 3 or a `temporal_id` above 7.
    pub fn only(targets: &[DecodeTarget]) -> Self {
        targets.iter().copied().collect()
    }

    /// Adds a decode target.
    ///
    /// # Panics
    /// Where its `spatial_id` is above 3 or its `temporal_id` above 7.
    pub fn insert(&mut self, target: DecodeTarget) {
        assert!(target.spatial_id < 4 && target.temporal_id < 8, "no decode target {target}");
        self.bits |= 1 << Self::bit(target);
    }

    /// Whether the decode target is in the set.
    pub fn contains(self, target: DecodeTarget) -> bool {
        target.spatial_id < 4 && target.temporal_id < 8 && self.bits >> Self::bit(target) & 1 != 0
    }

    /// What is in either set.
    pub fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// What is in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self { bits: self.bits & other.bits }
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    /// The decode targets of the set, lowest first.
    pub fn iter(self) -> impl Iterator<Item = DecodeTarget> {
        (0..32).filter(move |bit| self.bits >> bit & 1 != 0).map(|bit| LayerId::new(bit / 8, bit % 8))
    }

    fn bit(target: DecodeTarget) -> u8 {
        8 * target.spatial_id + target.temporal_id
    }
}

impl FromIterator<DecodeTarget> for DecodeTargets {
    fn from_iter<I: IntoIterator<Item = DecodeTarget>>(targets: I) -> Self {
        let mut set = Self::NONE;
        for target in targets {
            set.insert(target);
        }
        set
    }
}

/// A scalability mode of W3C `webrtc-svc`, section 5.
///
/// `LxTy` has x spatial and y temporal layers, each spatial layer predicted from the one below; with `_KEY`
/// that is so at key pictures only; with `_KEY_SHIFT` the spatial layers also take turns in their temporal
/// layers; `SxTy` are x encodings that do not refer to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names say it all.
#[non_exhaustive]
pub enum ScalabilityMode {
    L1T1,
    L1T2,
    L1T3,
    L2T1,
    L2T1Key,
    L2T2,
    L2T2Key,
    L2T2KeyShift,
    L2T3,
    L2T3Key,
    L2T3KeyShift,
    L3T1,
    L3T1Key,
    L3T2,
    L3T2Key,
    L3T2KeyShift,
    L3T3,
    L3T3Key,
    L3T3KeyShift,
    S2T1,
    S2T2,
    S2T3,
    S3T1,
    S3T2,
    S3T3,
}

/// The text names no scalability mode of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scalability mode, such as L3T3_KEY")]
#[non_exhaustive]
pub struct UnknownScalabilityMode;

impl ScalabilityMode {
    /// Every mode, in the order of the standard's diagrams.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        table::TABLE.iter().map(|structure| structure.mode)
    }

    /// The structure of the mode.
    pub fn structure(self) -> &'static Structure {
        table::TABLE[self as usize]
    }
}

impl fmt::Display for ScalabilityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.structure().name)
    }
}

impl FromStr for ScalabilityMode {
    type Err = UnknownScalabilityMode;

    /// Reads a name as the standard writes it; it is case-sensitive.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = table::TABLE.iter().find(|structure| structure.name == name);
        found.map(|structure| structure.mode).ok_or(UnknownScalabilityMode)
    }
}

/// One frame of a structure: its layer, and which of AV1's eight reference slots it reads and writes.
///
/// A slot is written by the frames of one layer only (apart from key pictures, which fill more), and a frame
/// reads the slots of layers that every receiver of the frame keeps. So what a slot holds when it is read is
/// the same for every receiver, whatever else it drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameTemplate {
    /// The layer of the frame.
    pub layer: LayerId,
    /// The slot of an earlier picture's frame of the same spatial layer that the frame refers to.
    pub temporal_ref: Option<u8>,
    /// The slot of the same picture's frame one spatial layer below that the frame refers to.
    pub inter_layer_ref: Option<u8>,
    /// The slots that hold the frame afterwards: bit i for slot i, as in `refresh_frame_flags` (AV1 7.20).
    pub refresh: u8,
}

/// A scalability structure: the frames of a key picture and of the pictures after it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Structure {
    /// The mode whose structure this is.
    pub mode: ScalabilityMode,
    /// The mode's name as the standard writes it.
    pub name: &'static str,
    /// Number of spatial layers, 1 to 3.
    pub spatial_layers: u8,
    /// Number of temporal layers, 1 to 3.
    pub temporal_layers: u8,
    /// The width and height of a spatial layer to those of the layer below: 2 to 1.
    pub ratio: (u32, u32),
    /// The frames of a key picture, lowest spatial layer first.
    pub key: &'static [FrameTemplate],
    /// The pictures after the key picture, over and over, each lowest spatial layer first.
    pub cycle: &'static [&'static [FrameTemplate]],
}

impl Structure {
    /// The decode targets, one for each layer, lowest first.
    pub fn decode_targets(&self) -> impl Iterator<Item = DecodeTarget> + use<> {
        let (spatial, temporal) = (self.spatial_layers, self.temporal_layers);
        (0..spatial).flat_map(move |s| (0..temporal).map(move |t| LayerId::new(s, t)))
    }

    /// Whether the spatial layers never refer to each other, as in the `S` modes.
    pub fn has_separate_layers(&self) -> bool {
        self.spatial_layers > 1 && self.key.iter().all(|frame| frame.inter_layer_ref.is_none())
    }

    /// The decode targets that need the frame of spatial layer `spatial_id` in `picture`, which is `key` or
    /// one of `cycle`; none where the picture has no such frame.
    ///
    /// A decode target needs the picture's frame of its own spatial layer if it shows it, and with that the
    /// frames below that this is predicted from. Every target needs the key frame: a decoder starts at no
    /// other, so that the upper encodings of the S modes, though not predicted from it, want it too.
    pub fn needed_by(&self, picture: &[FrameTemplate], spatial_id: u8) -> DecodeTargets {
        self.decode_targets()
            .filter(|target| {
                let shown = picture.iter().rposition(|frame| {
                    frame.layer.spatial_id == target.spatial_id
                        && frame.layer.temporal_id <= target.temporal_id
                });
                let Some(shown) = shown else { return false };
                let above = &picture[..=shown];
                // From the frame shown down to the first that does not refer to the one below it.
                let lowest = above.iter().rposition(|frame| frame.inter_layer_ref.is_none()).unwrap_or(0);
                above[lowest..]
                    .iter()
                    .chain(above.iter().filter(|frame| frame.is_key()))
                    .any(|frame| frame.layer.spatial_id == spatial_id)
            })
            .collect()
    }

    /// Size in luma samples of spatial layer `spatial_id` of a picture: all of it at the top, and a layer below
    /// is smaller by the ratio, rounded up, at least 1.
    ///
    /// A reference is then never larger than the frame, nor smaller by more than the ratio, which AV1 6.8.6
    /// lets be anything up to 16.
    ///
    /// # Panics
    /// Where the structure has no such spatial layer.
    pub fn layer_size(&self, size: Size, spatial_id: u8) -> Size {
        assert!(spatial_id < self.spatial_layers, "no spatial layer {spatial_id}");
        let (num, den) = self.ratio;
        let below = |side: u32| (u64::from(side) * u64::from(den)).div_ceil(u64::from(num)) as u32;
        (spatial_id + 1..self.spatial_layers)
            .fold(Size::new(size.width.max(1), size.height.max(1)), |Size { width, height }, _| {
                Size::new(below(width), below(height))
            })
    }

    /// `operating_point_idc` (AV1 6.4.1) of each decode target, highest quality first: bit t for temporal
    /// layer t, bit 8 + s for spatial layer s. It is a single 0 where there is but one layer.
    ///
    /// The spatial layers below a target's own are part of it in every mode, even if it needs them in key
    /// pictures only: a decoder starts at the key frame, which is of spatial layer 0.
    pub fn operating_points(&self) -> Vec<u16> {
        if self.spatial_layers == 1 && self.temporal_layers == 1 {
            return vec![0];
        }
        let mask = |id: u8| (2u16 << id) - 1;
        let mut points: Vec<u16> = self
            .decode_targets()
            .map(|target| mask(target.spatial_id) << 8 | mask(target.temporal_id))
            .collect();
        points.reverse();
        points
    }
}

impl FrameTemplate {
    /// Whether this is the key frame: the frame of spatial layer 0 that refers to nothing.
    pub const fn is_key(&self) -> bool {
        self.layer.spatial_id == 0 && self.temporal_ref.is_none() && self.inter_layer_ref.is_none()
    }
}
