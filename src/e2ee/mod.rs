//! End-to-end encryption: a relay passes the media on and cannot read it.
//!
//! Every frame of a layer, every audio frame and every data message becomes an SFrame (RFC 9605): a header with
//! key id and counter, the ciphertext and a tag. The fields that a relay (SFU) needs stay outside, in the RTP
//! header and the Dependency Descriptor. Those of them that have to be honest are bound to the frame
//! ([`Binding`]): the relay may drop layers and rewrite sequence numbers, timestamps, SSRC and the active decode
//! targets; the receiver finds out if it changes, swaps, replays or relabels a frame ([`OpenError`]).
//!
//! - [`VideoSealer`] and [`Sealer`] encrypt, [`VideoOpener`] and [`Opener`] decrypt: all media pass through them.
//! - [`SenderKeys`] seal and a [`Grant`] opens: everything, one sender, or one spatial layer alone. A receiver
//!   asks a [`KeySource`] for its keys, such as a [`KeyRing`] of grants.
//! - [`mls`] agrees on the keys of a call: newcomers cannot read the past and leavers cannot read the future.
//!
//! # Senders are not proven by their keys
//! The keys are symmetric: everybody who can open a frame could also have sealed it (RFC 9605, section 7.2). A
//! member of an MLS group can seal in the name of any other member, and an observer with the grant of one layer
//! can seal that layer in its sender's name, for everybody: with any frame number, dependencies and structure, and
//! with counters ahead of the sender's. Openers bound how far ahead ([`OpenError::TooFar`]), so that one such frame
//! does not shut the sender's out; many of them do, and so does one that comes before any of the sender's. Relays have no
//! key and can seal nothing. A former member can seal until the epochs that it knew are over ([`mls::Group::enter`]).
//!
//! If the members of a call agree on it, senders sign what they seal ([`attest`]). Then a receiver knows within a second
//! which of the frames that it opened are the sender's.
//!
//! # Late frames
//! A relay can withhold frames. One that it delivers later than 2048 frames behind the newest is refused
//! ([`OpenError::Stale`]), also if the 16 bits of the frame number have come around: an 8-bit count of the rounds is
//! sealed with the frame, which comes around itself after 2^24 frames (52 hours of 90 a second). This does not hold of
//! [`Binding::None`].
//!
//! # Ciphers
//! AES-GCM is that of the crate ring, whose key schedule is kept from frame to frame; AES-CTR with HMAC is that
//! of RustCrypto, through the crate `sframe`. This module reads the headers itself, since the crate allocates
//! for them, and frames in place itself, since the buffers of the crate are laid out in another way.

mod agreement;
pub mod attest;
mod cipher;
mod header;
mod issue;
mod keys;
mod label;
pub mod mls;
mod open;
mod roster;
mod seal;
mod secret;
#[cfg(test)]
mod tests;
mod upper;

pub use agreement::{Agreement, Binding, CipherSuite, Schedule};
pub use header::{Context, Header, HeaderBytes, KeyIdError, KeyIdLayout, MAX_HEADER};
pub use issue::{SenderKeyError, SenderKeys};
pub use keys::{GrantRefused, KeyRing, KeySource, ROUND_TRIP};
pub use label::{PageFrame, Relabelled, SealedUnit};
pub use open::{OpenError, Opener, VideoOpener};
pub use seal::{MAX_FRAMES, SealError, Sealer, VideoSealer};
pub use secret::{BaseKey, Grant, GrantBytes, GrantError, NoRandomness, Scope};
pub use upper::{GuestCap, MAX_GUEST_CAPS};
