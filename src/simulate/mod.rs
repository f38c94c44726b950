//! Whole calls in virtual time: what becomes of a receiver's windows under one policy or another.
//!
//! A [`Call`] is a list of events in the order of their times. Nothing waits for a clock, and the same call
//! has the same [`Outcome`], packet by packet.
//!
//! | stage | what it does |
//! | --- | --- |
//! | sender | encodes pictures by the [structure](crate::structure) with the frame sizes of a real encode ([`CodedVideo`]), all layers or those in demand; answers a request by a layer refresh or a key picture at the next allowed picture |
//! | uplink | takes 40 ms and loses nothing; packets come paced |
//! | relay | forwards the frames of the decided target if it has forwarded their references; retransmits lost packets for up to a second |
//! | [`Link`] | has a drop-tail queue, the opportunities of a [`Trace`], delay and random loss |
//! | receiver | reports every 50 ms, asks for lost packets, and for a refresh if frames wait in vain; decodes frames that have all their references, and shows the largest of each picture unless it is [`LATE`](model::LATE) |
//! | [`Estimator`](crate::congestion::Estimator) | tells the [`Policy`] how much the path carries; the policy decides every 100 ms |
//!
//! The quality of a window compares what it shows with the scene at that moment: the SSIM at the window's
//! size of a picture that is 0 to 12 pictures old, as measured on the encode. A gap of more than
//! [`FREEZE`](model::FREEZE) between two pictures is a freeze and counts as stalled time from the first to
//! the second, whatever the reason: the picture was lost or late, or the policy paused the stream. All
//! policies share link, estimator, relay and receiver.
//!
//! Everything that the simulation assumes rather than measures is in [`model`].

mod call;
mod engine;
mod flow;
mod link;
pub mod model;
mod oracle;
mod outcome;
mod policies;
mod receiver;
mod report;
mod scenario;
mod sender;
mod trace;
mod video;

pub use call::{Call, ReceiverSpec, Script};
pub use flow::{Flow, FlowOutcome};
pub use link::{Link, LinkConfig};
pub use outcome::{Outcome, PathSample, ReceiverOutcome, WindowOutcome};
pub use policies::Policy;
pub use report::{Report, Summary};
pub use trace::{MAX_OPPORTUNITIES, OPPORTUNITY_BYTES, Trace, TraceError};
pub use video::{AGES, CodedVideo, CodedVideoError, MAX_FRAMES};
