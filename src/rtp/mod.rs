//! Packets as they are on the wire: everything that a relay reads, and nothing that it cannot.
//!
//! - [`packet`]: RTP (RFC 3550) and its header extensions (RFC 8285).
//! - [`descriptor`]: the Dependency Descriptor, which says what a frame is needed for and what it needs (AV1
//!   RTP specification, Appendix A).
//! - [`av1`]: AV1 as a payload that is not encrypted (AV1 RTP specification, sections 4 and 5).
//! - [`sframe`]: encrypted frames as payload (draft-ietf-avtcore-rtp-sframe).
//! - [`rtcp`]: what receivers ask for: packets again, a key frame, a layer's refresh.
//!
//! All of it is bytes in, values out and back: no sockets, no clocks, no codec and no cryptography.

pub mod av1;
pub mod descriptor;
pub mod packet;
pub mod rtcp;
pub mod sframe;
