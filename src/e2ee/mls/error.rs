//! Why an operation of MLS failed.

use crate::e2ee::roster::Breach;

/// Why an operation of MLS failed. The group is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MlsError {
    /// The bytes are no such message of MLS.
    #[error("not a {0} of MLS")]
    Malformed(&'static str),
    /// It is a message of MLS that has no place in a call, or that no member sent.
    #[error("a message of MLS that has no place here")]
    Unexpected,
    /// The keys of this epoch are in use already: one sender, one set of keys.
    #[error("the sender keys of epoch {epoch} are in use")]
    InUse {
        /// The epoch.
        epoch: u64,
    },
    /// A member did what has no place in a call, or what the [`Rules`](super::Rules) forbid.
    #[error("member {member} {breach}")]
    Forbidden {
        /// The member's index: our own, if we were about to do it.
        member: u32,
        /// What it did.
        breach: Breach,
    },
    /// A key package is over within [`MIN_LIFETIME`](super::MIN_LIFETIME), or has not begun, or lasts for longer than [`MAX_LIFETIME`](super::MAX_LIFETIME).
    #[error("the key package of {} is not in time: it is over, or lasts too long", name.escape_ascii())]
    Lifetime {
        /// The name in it.
        name: Vec<u8>,
    },
    /// A commit of our own waits for [`Group::merge`](super::Group::merge) or [`Group::discard`](super::Group::discard).
    #[error("a commit of our own is not merged yet")]
    Pending,
    /// A welcome to a group with an organizer comes from somebody else.
    #[error("a welcome that is not the organizer's")]
    NotOrganizers,
    /// More than [`MAX_GUEST_CAPS`](crate::e2ee::MAX_GUEST_CAPS) streams with a cap.
    #[error("too many streams with a cap for guests")]
    TooManyCaps,
    /// The protocol does not allow it: say the message is of another epoch, or its signature is wrong.
    #[error("{what}: {source}")]
    Refused {
        /// The operation.
        what: &'static str,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Names what failed.
pub(super) fn refused<E: std::error::Error + Send + Sync + 'static>(
    what: &'static str,
) -> impl FnOnce(E) -> MlsError {
    move |source| MlsError::Refused { what, source: Box::new(source) }
}
