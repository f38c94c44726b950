//! The organizer of a group, in the extensions of its context (RFC 9420, sections 8.1 and 13.4).

use openmls::prelude::*;

/// The type of the extension whose data is the organizer's signature key: one for private use (RFC 9420, section 17.3).
const TYPE: u16 = 0xf4c0;

/// As openmls names it.
pub(super) const EXTENSION: ExtensionType = ExtensionType::Unknown(TYPE);

/// The extensions of a group with this organizer. A group requires of its members to know the extension, so that all of
/// them keep the rules.
pub(super) fn naming(signature_key: &[u8]) -> Extensions<GroupContext> {
    let required = RequiredCapabilitiesExtension::new(&[EXTENSION], &[], &[]);
    let organizer = UnknownExtension(signature_key.to_vec());
    Extensions::from_vec(vec![Extension::RequiredCapabilities(required), Extension::Unknown(TYPE, organizer)])
        .expect("two that a group context may have")
}

/// The organizer's signature key.
pub(super) fn named_by(extensions: &Extensions<GroupContext>) -> Option<&[u8]> {
    extensions.iter().find_map(|extension| match extension {
        Extension::Unknown(TYPE, key) => Some(&key.0[..]),
        _ => None,
    })
}

/// Whether the extensions before are those of a group with an organizer, and new ones name an organizer and do nothing
/// else.
pub(super) fn is_handed_over(before: &Extensions<GroupContext>, after: &Extensions<GroupContext>) -> bool {
    let named = named_by(before).and_then(|_| named_by(after));
    named.is_some_and(|key| *after == naming(key))
}
