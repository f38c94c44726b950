//! Payload formats: how a frame becomes the payloads of its packets.
//!
//! - [`av1`]: OBUs in the clear (AV1 RTP specification, sections 4 and 5).
//! - [`sframe`]: SFrame ciphertexts (draft-ietf-avtcore-rtp-sframe).
//! - [`opaque`]: SFrame ciphertexts as browsers send and take them, in one OBU each.

pub mod av1;
pub mod opaque;
pub mod sframe;

/// How frames are put into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PayloadFormat {
    /// A frame is an SFrame ciphertext, cut into packets as it is (draft-ietf-avtcore-rtp-sframe).
    Sframe,
    /// A frame is an SFrame ciphertext in one OBU, in the payload format of AV1: the form of an encoded transform in a
    /// browser.
    Opaque,
    /// A frame is OBUs in the clear (AV1 RTP specification, section 4).
    Av1,
}
