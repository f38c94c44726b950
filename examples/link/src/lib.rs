//! A WebRTC link: RTP and RTCP packets, whole, over ICE and DTLS-SRTP.

mod certificate;
mod ice;
mod link;
mod srtp;
mod stun;
mod window;

pub use certificate::{Certificate, CertificateError, Fingerprint, FingerprintError};
pub use link::{
    CONNECT_WITHIN, Closed, Description, Link, LinkError, MAX_DATAGRAM, Media, Output, ProtectError, Rtx,
    State, TooManySsrcs, Transmit,
};
pub use stun::{is_binding_request, ufrag_of};
