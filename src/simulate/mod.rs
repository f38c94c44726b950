//! Calls in virtual time.

mod estimator;
mod link;
mod table;
mod trace;

pub use estimator::{Estimator, PacketReport};
pub use link::{Link, LinkConfig};
pub use table::{Table, TableError};
pub use trace::{MAX_OPPORTUNITIES, OPPORTUNITY_BYTES, Trace, TraceError};
