//! Whole calls in virtual time: what becomes of a receiver's windows under one policy or another.
//!
//! A [`Call`] is a list of events in the order of their times. Nothing waits for a clock, and the same call
//! has the same [`Outcome`], packet by packet.
//!
//! | stage | what it does |
//! | --- | --- |
//! | sender | a [`VideoSender`](crate::session::VideoSender): codes pictures by the [structure](crate::structure) with the frame sizes of a real encode ([`CodedVideo`]), all layers or those in demand; seals and packetizes them; answers a request by a layer refresh or a key picture |
//! | uplink | takes 40 ms and loses nothing |
//! | relay | what a [`Room`](crate::relay::Room) has for each receiver: a [`Subscription`](crate::relay::Subscription) for each window, a [`PacedPath`](crate::congestion::PacedPath), and the packets that came last, to be sent again |
//! | [`Link`] | has a drop-tail queue, the opportunities of a [`Trace`], delay and random loss |
//! | receiver | a [`VideoReceiver`](crate::session::VideoReceiver) for each window, without a decoder, and one [`ReceivePath`](crate::congestion::ReceivePath) |
//! | policy | decides every 100 ms, by what the path tells |
//!
//! The quality of a window compares what it shows with the scene at that moment: the SSIM at the window's
//! size of a picture that is 0 to 12 pictures old, as measured on the encode. A gap of more than
//! [`FREEZE`](model::FREEZE) between two pictures is a freeze and counts as stalled time from the first to
//! the second, whatever the reason: the picture was lost or late, or the policy paused the stream. All
//! policies share sender, relay, path, link and receiver.
//!
//! Everything that the simulation assumes rather than measures is in [`model`].

mod call;
mod downlink;
mod engine;
mod flow;
mod link;
pub mod model;
mod oracle;
mod outcome;
mod policies;
mod receiver;
mod report;
mod scale;
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
pub use scale::{Scale, ScaleOutcome, Scheme, View};
pub use trace::{MAX_OPPORTUNITIES, OPPORTUNITY_BYTES, Trace, TraceError};
pub use video::{AGES, CodedVideo, CodedVideoError, MAX_FRAMES};
