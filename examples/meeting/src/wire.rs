//! What participants and the relay take for granted of the packets on a link, so that signalling need not carry it.

use crate::Kind;

/// The SSRC of a participant's feedback about what it receives.
pub const FEEDBACK_SSRC: u32 = 1;

/// The SSRC of the feedback that a browser's receivers of sound give, until the browser sends some. Its receivers of video
/// give [`FEEDBACK_SSRC`].
pub const BROWSER_FEEDBACK_SSRC: u32 = 0xfa17_fa17;

/// The SSRC of the relay's feedback.
pub const RELAY_SSRC: u32 = 2;

/// The SSRC of padding, by which either end finds out what the path carries.
pub const PADDING_SSRC: u32 = 3;

/// The payload type of retransmissions (RFC 4588).
pub const RTX_PAYLOAD_TYPE: u8 = 47;

/// The SSRC of a stream's retransmissions. The relay gives streams SSRCs that leave it free.
pub fn rtx_ssrc(ssrc: u32) -> u32 {
    ssrc.wrapping_add(1)
}

/// The payload type of a stream's packets: what layercast's `session` has by default.
pub fn payload_type(kind: Kind) -> u8 {
    match kind {
        Kind::Camera | Kind::Screen => 45,
        Kind::Audio => 111,
        Kind::Data => 46,
    }
}
