//! Packets as they are on the wire: everything that a relay reads, and nothing that it cannot.
//!
//! - [`packet`]: RTP (RFC 3550) and its header extensions (RFC 8285).
//! - [`descriptor`]: the Dependency Descriptor, which says what a frame is needed for and what it needs (AV1
//!   RTP specification, Appendix A).
//! - [`av1`]: AV1 as a payload that is not encrypted (AV1 RTP specification, sections 4 and 5).
//! - [`sframe`]: encrypted frames as payload (draft-ietf-avtcore-rtp-sframe).
//! - [`rtcp`]: what receivers ask for: packets again, a key frame, a layer's refresh.
//! - [`packetizer`]: from frames to packets.
//! - [`reassembler`]: from packets, as they come, to frames.
//! - [`frame_buffer`]: from frames to the temporal units that can be decoded.
//!
//! At a receiver frames are opened between the last two, so that what decides about decoding is the sender's word.
//!
//! All of it is bytes in, values out and back: no sockets, no clocks, no codec and no cryptography.

pub mod av1;
pub mod descriptor;
pub mod frame_buffer;
pub mod packet;
pub mod packetizer;
pub mod reassembler;
pub mod rtcp;
pub mod sframe;
