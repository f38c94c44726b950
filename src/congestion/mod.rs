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
//! - [`send_path`] and [`receive_path`]: the two ends of a path, with these parts joined.
//!
//! One path has one of each, whatever the number of its streams, and two types join them: [`SendPath`] and
//! [`ReceivePath`]. Programs that need it otherwise drive the parts themselves. The round of a sender: it hands packets
//! to the [`Pacer`], polls it, gives each packet that comes out a number by [`SentLog::push`], writes that into the
//! packet's header extension ([`RtpPacketMut::set_extension`](crate::rtp::RtpPacketMut::set_extension)) and sends it.
//! Each feedback message goes to [`SentLog::handle_feedback`], its reports to [`Estimator::report`], the new
//! [`Estimator::bitrate`] to [`Pacer::set_bitrate`], and a probe that [`Estimator::probe`] asks for to
//! [`Pacer::start_probe`]. While no message comes it calls [`Estimator::silence`], so that the bitrate of a dead path
//! goes down.
//!
//! All of them hold a bounded amount of memory, whatever a peer sends. They allocate for some feedback messages, and
//! nothing for each packet.

mod arrivals;
pub mod estimator;
pub mod feedback;
pub mod pacer;
pub mod path;
pub mod receive_path;
mod relief;
pub mod send_path;
pub mod sent;
mod trend;
mod types;

pub use estimator::Estimator;
pub use feedback::{FeedbackConfig, FeedbackError, FeedbackGenerator};
pub use pacer::{PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass};
pub use path::{PacedPath, PaddingPacket, PathOutput, SendPathConfig};
pub use receive_path::ReceivePath;
pub use send_path::{PathPacket, SendPath, SendPathOutput};
pub use sent::SentLog;
pub use types::{PacketReport, PathState, Probe};
