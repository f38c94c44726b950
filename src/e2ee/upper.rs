//! The layers of a camera that guests do not open.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::agreement::Agreement;
use super::secret::{BaseKey, Grant, Scope};

/// Streams of one member that have a cap, at most.
pub const MAX_GUEST_CAPS: usize = 16;

/// The highest spatial layer of a video stream of its own that a member lets guests open. The layers above it are for the
/// insiders of the call: see [`mls`](super::mls#guests-and-insiders).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs)] // Apps build it.
pub struct GuestCap {
    /// The stream, as in [`Context::video`](super::Context::video).
    pub stream: u16,
    /// The spatial layer; 3 and above are all layers.
    pub spatial_id: u8,
}

impl GuestCap {
    /// Caps as bytes: three of each.
    pub(super) fn write(caps: &[Self]) -> Vec<u8> {
        let bytes = |cap: &Self| {
            let [high, low] = cap.stream.to_be_bytes();
            [high, low, cap.spatial_id]
        };
        caps.iter().flat_map(bytes).collect()
    }

    /// Caps of any bytes. If there are several of a stream, the first holds.
    pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Self> + '_ {
        let chunks = bytes.as_chunks().0.iter().take(MAX_GUEST_CAPS);
        chunks.map(|&[high, low, spatial_id]| Self { stream: u16::from_be_bytes([high, low]), spatial_id })
    }
}

/// The caps of all members: by sender and stream.
pub(super) type Caps = BTreeMap<(u64, u16), u8>;

/// What stands above the caps in one epoch of a call, and its keys.
#[derive(Debug, Clone)]
pub(super) struct UpperLayers {
    pub(super) epoch: u64,
    caps: Arc<Caps>,
    /// The key, which guests lack.
    grant: Option<Grant>,
}

impl UpperLayers {
    pub(super) fn new(epoch: u64, caps: Arc<Caps>, base_key: Option<BaseKey>) -> Self {
        let grant = base_key.map(|base_key| Grant { epoch, scope: Scope::Group, base_key });
        Self { epoch, caps, grant }
    }

    /// Whether a key id is for a layer above its sender's cap.
    pub(super) fn include(&self, agreement: &Agreement, key_id: u64) -> bool {
        let layout = agreement.layout;
        layout.context(key_id).spatial_layer().is_some_and(|(stream, spatial_id)| {
            self.caps.get(&(layout.sender(key_id), stream)).is_some_and(|&cap| spatial_id > cap)
        })
    }

    /// Whether we are among the insiders.
    pub(super) fn has_key(&self) -> bool {
        self.grant.is_some()
    }

    /// The base key of a key id, which is above its sender's cap.
    pub(super) fn base_key(&self, agreement: &Agreement, key_id: u64) -> Option<BaseKey> {
        self.grant.as_ref()?.base_key(agreement, key_id)
    }
}
