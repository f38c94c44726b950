//! Layers, and sets of decode targets.

use std::fmt;

/// A spatial and a temporal layer, as an OBU extension header names them (AV1 5.3.3); the base layer by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::exhaustive_structs)] // AV1 names a layer by these two.
pub struct LayerId {
    /// 0 is the smallest picture; at most 3.
    pub spatial_id: u8,
    /// 0 is the lowest frame rate; at most 7.
    pub temporal_id: u8,
}

/// What a receiver shows: the frames of spatial layer `spatial_id` up to temporal layer `temporal_id`. It also needs
/// all frames that these depend on.
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

    /// The given decode targets and no others.
    ///
    /// # Panics
    /// If a `spatial_id` is above 3 or a `temporal_id` above 7.
    pub fn only(targets: &[DecodeTarget]) -> Self {
        targets.iter().copied().collect()
    }

    /// Adds a decode target.
    ///
    /// # Panics
    /// If its `spatial_id` is above 3 or its `temporal_id` above 7.
    pub fn insert(&mut self, target: DecodeTarget) {
        assert!(target.spatial_id < 4 && target.temporal_id < 8, "no decode target {target}");
        self.bits |= 1 << Self::bit(target);
    }

    /// Whether the decode target is in the set.
    pub fn contains(self, target: DecodeTarget) -> bool {
        target.spatial_id < 4 && target.temporal_id < 8 && self.bits >> Self::bit(target) & 1 != 0
    }

    /// The decode targets that are in either set.
    pub fn union(self, other: Self) -> Self {
        Self { bits: self.bits | other.bits }
    }

    /// The decode targets that are in both sets.
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
