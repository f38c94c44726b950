//! The insiders of a call: members of a second group, who open what guests do not.

use openmls::prelude::*;

use super::error::{MlsError, refused};
use crate::e2ee::agreement::Agreement;
use crate::e2ee::secret::BaseKey;
use crate::e2ee::upper::{Caps, GuestCap, MAX_GUEST_CAPS};

/// The type of the extension of a leaf whose data is its caps for guests: one for private use (RFC 9420, section 17.3).
const TYPE: u16 = 0xf4c1;

/// As openmls names it.
pub(super) const EXTENSION: ExtensionType = ExtensionType::Unknown(TYPE);

/// Has a leaf state these caps.
pub(super) fn state(extensions: &mut Extensions<LeafNode>, caps: &[GuestCap]) -> Result<(), MlsError> {
    if caps.len() > MAX_GUEST_CAPS {
        return Err(MlsError::TooManyCaps);
    }
    let stated = Extension::Unknown(TYPE, UnknownExtension(GuestCap::write(caps)));
    extensions.add_or_replace(stated).map(drop).map_err(refused("stating caps"))
}

/// The caps that a leaf states.
pub(super) fn stated_by(leaf: &LeafNode) -> impl Iterator<Item = GuestCap> + '_ {
    let stated = leaf.extensions().iter().find_map(|extension| match extension {
        Extension::Unknown(TYPE, caps) => Some(&caps.0[..]),
        _ => None,
    });
    GuestCap::read(stated.unwrap_or_default())
}

/// The caps of all members.
pub(super) fn caps(group: &MlsGroup) -> Caps {
    let mut all = Caps::new();
    for (index, leaf) in group.treesync().full_leaves() {
        for cap in stated_by(leaf) {
            all.entry((index.u32().into(), cap.stream)).or_insert(cap.spatial_id);
        }
    }
    all
}

/// What the insiders know in an epoch of the call and its guests do not: a secret of their group's exporter (RFC 9420,
/// section 8.5), for the call's group and epoch.
pub(super) fn secret(
    agreement: Agreement,
    call: &MlsGroup,
    insiders: &MlsGroup,
    crypto: &impl OpenMlsCrypto,
) -> Result<BaseKey, MlsError> {
    let context = [&call.epoch().as_u64().to_be_bytes()[..], call.group_id().as_slice()].concat();
    let size = agreement.suite.key_len();
    let secret = insiders.export_secret(crypto, "layercast 1.0 Insiders", &context, size);
    secret.map(BaseKey::new).map_err(refused("exporting the insiders' secret"))
}
