//! Calls in virtual time.

mod call;
mod estimator;
mod link;
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
