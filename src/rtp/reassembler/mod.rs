//! From packets to whole frames.
//!
//! One reassembler is for one stream, as its SSRC and payload type tell it from others, and takes its packets in any
//! order, with duplicates and gaps. A frame comes out as soon as all its packets are there, whatever is missing
//! before it. Putting frames in order is the [frame buffer](super::frame_buffer)'s work, so that each can be opened
//! as early as possible.
//!
//! # Missing packets
//! The reassembler asks for the packets of a gap in the sequence numbers ([`Reassembler::nacks`]) until it gives them up,
//! and for the one after the newest if the picture goes on and nothing comes. A relay that
//! drops layers renumbers what it forwards, so every gap is a loss. What was lost in a long silence is not asked for: a
//! key picture is newer, and costs less. A packet far ahead of all others is not believed until the next one follows
//! it, since it would make packets missing that were never sent, and in the end those late that are still to come.
//! Frames that miss a packet which was given up are abandoned. [`Reassembler::settled`] says below which frame number
//! nothing more can come, so that the frame buffer does not wait for frames that a relay has dropped.
//!
//! # Structures
//! A descriptor can only be read by its structure, which comes with a key frame. A frame whose templates are not
//! known waits for it. For encrypted frames [`ReassemblerConfig::adopt_structures`] is off, and the structure of a
//! frame counts for others only once the caller has opened the frame and given its structure to
//! [`Reassembler::adopt`]. Otherwise anybody on the way could replace it.

mod config;
mod entry;
mod event;
mod machine;
mod strays;

pub use config::{NackConfig, ReassemblerConfig};
#[cfg(feature = "relay")]
pub(crate) use config::{REPEAT, retry_after};
pub use event::{Abandoned, Accepted, ReassemblerEvent, ReassemblerStatistics, Rejected};
pub use machine::{MAX_PACKET, Reassembler};
