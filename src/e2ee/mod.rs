//! End-to-end encryption: what a relay passes on and cannot read.
//!
//! Every frame of a layer, every audio frame and every data message becomes an SFrame (RFC 9605): a header with
//! key id and counter, the ciphertext and a tag. What the relay needs stays outside, in the RTP header and the
//! Dependency Descriptor, and what of it has to be honest is bound to the frame ([`Binding`]): the relay may
//! drop layers, rewrite sequence numbers, timestamps, SSRC and the active decode targets, and is found out if it
//! changes, swaps, replays or relabels a frame ([`OpenError`]).
//!
//! - [`VideoSealer`] and [`VideoOpener`], [`Sealer`] and [`Opener`]: the door that all goes through.
//! - [`SenderKeys`] seal, a [`Grant`] opens: everything, one sender, or one spatial layer alone. A receiver
//!   has them from a [`KeySource`], such as a [`KeyRing`].
//! - [`mls`] agrees on the keys of a call: who joins cannot read what was, who left cannot read what follows.
//!
//! One thing SFrame does not do: within an MLS group, members who have each other's keys could seal in each
//! other's name (RFC 9605, section 7.2). Relays, observers and former members cannot.
//!
//! The ciphers are those of the crates ring (AES-GCM, whose key schedule is kept from frame to frame) and
//! RustCrypto through the crate `sframe` (AES-CTR with HMAC). The header is read here, since the crate allocates
//! for it, and the framing is done here, since its buffers have other ideas of what is in place.

mod cipher;
mod header;
mod keys;
mod label;
pub mod mls;
mod open;
mod seal;
#[cfg(test)]
mod tests;

pub use header::{Context, Header, KeyIdError, KeyIdLayout, MAX_HEADER};
pub use keys::{
    BaseKey, Grant, GrantError, KeyRing, KeySource, NoRandomness, Schedule, Scope, SenderKeyError, SenderKeys,
};
pub use label::{Relabelled, Unit};
pub use open::{OpenError, Opener, VideoOpener};
pub use seal::{MAX_FRAMES, SealError, Sealer, VideoSealer};
/// The cipher suites of RFC 9605, section 4.5.
pub use sframe::CipherSuite;

/// What all in a call agree on before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How it is encrypted: AES-256-GCM with SHA-512 by default.
    pub suite: CipherSuite,
    /// What is where in a key id.
    pub layout: KeyIdLayout,
    /// How the keys of an epoch are derived.
    pub schedule: Schedule,
    /// How video frames are bound to their descriptors.
    pub binding: Binding,
}

impl Default for Agreement {
    fn default() -> Self {
        Self {
            suite: CipherSuite::AesGcm256Sha512,
            layout: KeyIdLayout::default(),
            schedule: Schedule::default(),
            binding: Binding::default(),
        }
    }
}

/// How a video frame is bound to what its Dependency Descriptor says: frame number, layer, dependencies and the
/// structure by which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Binding {
    /// It is sealed with the frame, in 7 bytes for most: the receiver can say what was changed.
    #[default]
    Inside,
    /// As SFrame metadata (RFC 9605, section 4.4.3), which takes no byte on the wire: the receiver can say
    /// that something was changed.
    Metadata,
    /// It is not: for peers that know only RFC 9605. Only the spatial layer is, by its key.
    None,
}

impl Binding {
    /// The label as metadata, and as what is sealed with the frame.
    fn place(self, label: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Self::Inside => (&[], label),
            Self::Metadata => (label, &[]),
            Self::None => (&[], &[]),
        }
    }
}
