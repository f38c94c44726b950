//! Layers to be coded anew, so that a receiver can begin or go on.

use std::fmt;

/// A set of spatial layers whose next frame of temporal layer 0 shall not refer to earlier pictures of the layer; or
/// a key picture, which is that for all of them.
///
/// The whole crate uses this one word. A selector's decision, a receiver's jitter buffer and an SFU ask
/// for a refresh; RTCP carries it as a picture loss indication (a key picture, RFC 4585), a full intra request (the
/// same, RFC 5104) or a layer refresh request (layers, RFC 9627); and a [`Planner`](super::Planner) takes it.
///
/// A refreshed layer is predicted from the layer below it, and in the `S` modes intra-only, so that no receiver of
/// the layer misses a picture. The `_KEY` modes, and spatial layer 0 of the `L` modes, have no such prediction: the
/// planner then makes the picture a key picture.
///
/// ```
/// # use layercast::structure::Refresh;
/// // A receiver of spatial layer 0 wants to see layer 2; another one lost layer 1.
/// let refresh = Refresh::layers(1..=2).union(Refresh::layer(1));
/// assert_eq!(refresh.spatial_ids().collect::<Vec<_>>(), [1, 2]);
/// assert_eq!(refresh.union(Refresh::KEY), Refresh::KEY);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Refresh {
    /// Bit `spatial_id`, and [`KEY`](Self::KEY) for a key picture.
    bits: u8,
}

impl Refresh {
    /// Nothing is to be coded anew.
    pub const NONE: Self = Self { bits: 0 };

    /// A key picture.
    pub const KEY: Self = Self { bits: 0x80 };

    /// One spatial layer.
    ///
    /// # Panics
    /// If `spatial_id` is above 3.
    pub const fn layer(spatial_id: u8) -> Self {
        assert!(spatial_id < 4, "AV1 has no such spatial layer");
        Self { bits: 1 << spatial_id }
    }

    /// The spatial layers of a range. A receiver that decodes spatial layer a and wants layer b needs `a + 1..=b`.
    ///
    /// # Panics
    /// If a `spatial_id` is above 3.
    pub fn layers(spatial_ids: impl IntoIterator<Item = u8>) -> Self {
        spatial_ids.into_iter().map(Self::layer).fold(Self::NONE, Self::union)
    }

    /// The layers of both sets. A key picture brings every layer.
    pub const fn union(self, other: Self) -> Self {
        let bits = self.bits | other.bits;
        if bits & Self::KEY.bits != 0 { Self::KEY } else { Self { bits } }
    }

    /// Whether nothing is asked for.
    pub const fn is_none(self) -> bool {
        self.bits == 0
    }

    /// Whether a key picture is asked for.
    pub const fn is_key(self) -> bool {
        self.bits == Self::KEY.bits
    }

    /// Whether a spatial layer is to be coded anew. A key picture codes every layer anew.
    pub const fn contains(self, spatial_id: u8) -> bool {
        self.is_key() || spatial_id < 4 && self.bits >> spatial_id & 1 != 0
    }

    /// The spatial layers asked for, lowest first; none for a key picture.
    pub fn spatial_ids(self) -> impl DoubleEndedIterator<Item = u8> {
        (0..4).filter(move |spatial_id| self.bits >> spatial_id & 1 != 0)
    }

    /// The set without the spatial layers above one.
    #[cfg(feature = "select")]
    pub(crate) const fn up_to(self, spatial_id: u8) -> Self {
        Self { bits: self.bits & (Self::KEY.bits | ((2 << spatial_id) - 1)) }
    }

    /// The set without a spatial layer.
    pub(super) const fn without(self, spatial_id: u8) -> Self {
        Self { bits: self.bits & !(1 << spatial_id) }
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NONE => f.write_str("NONE"),
            Self::KEY => f.write_str("KEY"),
            _ => f.debug_set().entries(self.spatial_ids()).finish(),
        }
    }
}
