//! Packets as they are on the wire: everything that a relay reads, and nothing that it cannot.
//!
//! - [`packet`]: RTP (RFC 3550) and its header extensions (RFC 8285).
//! - [`descriptor`]: the Dependency Descriptor, which says what a frame is needed for and what it needs (AV1 RTP
//!   specification, Appendix A).
//! - [`payload`]: AV1 in the clear (AV1 RTP specification, sections 4 and 5), and encrypted frames
//!   (draft-ietf-avtcore-rtp-sframe).
//! - [`rtcp`] and [`reports`]: what receivers ask for: retransmissions, a key frame, a layer refresh; and what each end reports.
//! - [`packetizer`]: from frames to packets.
//! - [`history`]: the packets that were sent last, for retransmissions.
//! - [`reassembler`]: from packets, in any order, to whole [frames](frame).
//! - [`frame_buffer`]: the jitter buffer, from frames to the temporal units that can be decoded.
//!
//! A receiver opens frames between the reassembler and the frame buffer, so that every decision about decoding rests
//! on the sender's word.
//!
//! All of it turns bytes into values and back: there are no sockets, no clocks, no codec and no cryptography. The
//! reassembler and the frame buffer are machines of one habit: the caller hands something in, then calls `poll` until
//! it returns `None`, and comes back at `next_timeout` at the latest.

mod decodable;
pub mod descriptor;
pub mod fec;
pub mod frame;
pub mod frame_buffer;
pub mod history;
mod list;
pub(crate) mod numbers;
pub(crate) mod overtaken;
pub mod packet;
pub mod packetizer;
pub mod payload;
pub mod reassembler;
#[cfg(any(feature = "relay", feature = "session"))]
#[cfg_attr(not(feature = "session"), allow(dead_code, reason = "a relay makes no sender reports"))]
pub(crate) mod reporter;
pub mod reports;
#[cfg(any(feature = "relay", feature = "session"))]
pub(crate) mod round_trip;
pub mod rtcp;

pub use descriptor::{
    DependencyDescriptor, DependencyStructure, Describer, DescriptorError, FrameDependencies,
};
pub use frame::{OpenedFrame, ReceivedFrame, SealedOrder};
pub use frame_buffer::{DecodableFrame, DecodableUnit, FrameBuffer, FrameBufferConfig, FrameBufferEvent};
pub use history::SentPackets;
pub use list::{List, ListIntoIter};
pub use packet::{PacketError, RtpHeader, RtpPacket, RtpPacketMut};
pub use packetizer::{OutgoingFrame, PacketizeError, Packetizer, PacketizerConfig, Packets};
pub use payload::PayloadFormat;
pub use reassembler::{Reassembler, ReassemblerConfig, ReassemblerEvent, ReassemblerStatistics};
pub use reports::{ReportBlock, SenderInfo};
pub use rtcp::{RtcpError, RtcpMessage};
