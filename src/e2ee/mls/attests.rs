//! Members who say in their leaf that they attest what they seal.

use openmls::prelude::*;

/// The type of the extension of a leaf that says so, without data: one for private use (RFC 9420, section 17.3).
const TYPE: u16 = 0xf4c2;

/// As openmls names it.
pub(super) const EXTENSION: ExtensionType = ExtensionType::Unknown(TYPE);

/// Has a leaf say so.
pub(super) fn state(extensions: &mut Extensions<LeafNode>) {
    let stated = Extension::Unknown(TYPE, UnknownExtension(Vec::new()));
    extensions.add_or_replace(stated).expect("one that a leaf may have");
}

/// Whether a leaf says so.
pub(super) fn is_stated_by(leaf: &LeafNode) -> bool {
    leaf.extensions().contains(EXTENSION)
}
