//! Calls in virtual time: what becomes of a receiver's windows under one way to decide or another.
//!
//! A [`Call`] is a list of events in the order of their times; nothing waits, and the same call has the same
//! [`Outcome`], packet by packet.
//!
//! | stage | what it does |
//! | --- | --- |
//! | sender | codes pictures by the [structure](crate::structure) with the frame sizes of a real encode ([`Table`]), all layers or those in demand; a request brings a layer refresh or a key picture at the next allowed one |
//! | uplink | 40 ms, nothing is lost; packets come paced |
//! | relay | forwards the frames of the decided target whose references it has forwarded; sends again what is asked for, up to a second |
//! | [`Link`] | a drop-tail queue, the opportunities of a [`Trace`], delay, random loss |
//! | receiver | reports every 50 ms, asks for what is lost, and for a refresh where frames wait in vain; decodes what has all its references and shows the largest of each picture, unless it is [`LATE`] |
//! | [`Estimator`] | tells the [`Policy`] what the path carries; the policy decides every 100 ms |
//!
//! What a window shows is held against the scene as it is at that time: SSIM at the window's size, of a picture
//! that is 0 to 12 pictures old, as measured on the encode. A gap of more than [`FREEZE`] between two pictures
//! is a freeze and counts as stalled time from the first to the second, whatever the reason: lost, late, or
//! paused by the policy. All policies share link, estimator, relay and receiver.

mod call;
mod estimator;
mod link;
mod oracle;
mod policies;
mod receiver;
mod relay;
mod report;
mod scenario;
mod sender;
mod table;
mod trace;

pub use call::{Call, HEADERS, Outcome, PAYLOAD, ReceiverOutcome, ReceiverSpec, Sample, Script};
pub use estimator::{Estimator, PacketReport};
pub use link::{Link, LinkConfig};
pub use policies::Policy;
pub use receiver::{FREEZE, LATE, Seen};
pub use report::{Report, Summary};
pub use table::{AGES, MAX_FRAMES, Table, TableError};
pub use trace::{MAX_OPPORTUNITIES, OPPORTUNITY_BYTES, Trace, TraceError};
