//! From packets to whole frames.
//!
//! One reassembler is for one stream, as its SSRC and payload type tell it from others, and takes its packets in any
//! order, with duplicates and gaps. A frame comes out as soon as all its packets are there, whatever is missing
//! before it: putting frames in order is the [frame buffer](super::frame_buffer)'s work, so that each can be opened
//! as early as possible.
//!
//! # Missing packets
//! A gap in the sequence numbers is asked for again ([`Reassembler::nacks`]), at growing intervals, until it is
//! given up. A relay that drops layers renumbers what it forwards, so every gap is a loss. Frames that miss a packet
//! which was given up are abandoned. [`Reassembler::settled`] says below which frame number nothing more can come,
//! so that the frame buffer does not wait for frames that a relay has dropped.
//!
//! # Structures
//! A descriptor can only be read by its structure, which comes with a key frame. A frame whose templates are not
//! known waits for it. Where frames are encrypted, [`ReassemblerConfig::adopt_structures`] is off, and the structure
//! of a frame counts for others only once it has been opened and given to [`Reassembler::adopt`]: otherwise anybody
//! on the way could replace it.

mod config;
mod entry;
mod event;
mod machine;

pub use config::{NackConfig, ReassemblerConfig};
pub use event::{Abandoned, Accepted, ReassemblerEvent, ReassemblerStatistics, Rejected};
pub use machine::Reassembler;
