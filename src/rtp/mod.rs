//! Packets as they are on the wire: everything that a relay reads, and nothing that it cannot.
//!
//! - [`packet`]: RTP (RFC 3550) and its header extensions (RFC 8285).
//! - [`descriptor`]: the Dependency Descriptor, which says what a frame is needed for and what it needs (AV1
//!   RTP specification, Appendix A).
//!
//! All of it is bytes in, values out and back: no sockets, no clocks, no codec and no cryptography.

pub mod descriptor;
pub mod packet;
