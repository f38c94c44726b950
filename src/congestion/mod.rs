//! Congestion control: how much a path carries, and sending no more than that, packet by packet.
//!
//! ```text
//!   SENDER                                                      RECEIVER
//!   packets ──▶ Pacer ──▶ SentLog (number, time) ──▶ network ──▶ FeedbackGenerator
//!                 ▲                │ reports                           │ every 50 to 250 ms
//!      bitrate,   │                ▼                                   │
//!      probes     └────────── Estimator ◀── SentLog::handle_feedback ◀─┘
//! ```
//!
//! - [`feedback`]: the receiver's half of transport-wide congestion control
//!   (draft-holmer-rmcat-transport-wide-cc-extensions-01): each packet of a path carries a number in a header
//!   extension, and an RTCP message says when each number arrived.
//! - [`sent`]: the sender's half, which makes reports of these messages.
//! - [`estimator`]: the bitrate that the path carries, by the reports.
//! - [`pacer`]: spreads packets over time, the important ones first, and sends probes.
//!
//! One path has one of each, whatever the number of its streams. The round of a sender: it hands packets to the
//! [`Pacer`], polls it, gives each packet that comes out a number by [`SentLog::push`], writes that into the packet and
//! sends it. Each feedback message goes to [`SentLog::handle_feedback`], its reports to [`Estimator::report`], the new
//! [`Estimator::bitrate`] to [`Pacer::set_bitrate`], and a probe that [`Estimator::probe`] asks for to
//! [`Pacer::start_probe`]. While no message comes it calls [`Estimator::silence`], so that the bitrate of a dead path
//! goes down. Packets have to be made with the header extension; those of `session` have none yet.
//!
//! All of them hold a bounded amount of memory, whatever a peer sends. They allocate for some feedback messages, and
//! nothing for each packet.

pub mod estimator;
pub mod feedback;
pub mod pacer;
pub mod sent;
mod trend;
mod types;

pub use estimator::Estimator;
pub use feedback::{FeedbackConfig, FeedbackError, FeedbackGenerator};
pub use pacer::{PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass};
pub use sent::SentLog;
pub use types::{PacketReport, PathState, Probe};
