//! Every figure that the simulation assumes, in one place.
//!
//! The sizes, encoding times and qualities of pictures are measured and belong to a
//! [`CodedVideo`](super::CodedVideo). The constants of the bandwidth estimator are those of its draft and
//! stand beside it.

use std::time::Duration;

use crate::Time;

// ---- Packets ----

/// Bytes of a frame that one packet carries.
pub const PAYLOAD: usize = 1100;

/// Bytes of the headers around a packet's [`PAYLOAD`]: IP, UDP, and SRTP with its extensions. What a layer costs on the
/// wire is estimated by them; the packets of a call have the headers that the product gives them.
pub const HEADERS: usize = 80;

/// Bytes of a packet that the product does not see: IPv4, UDP, and SRTP's tag of 80 bits.
pub const OVERHEAD: usize = 38;

// ---- Senders ----

/// The time from the camera to the relay: encoding, packets, and a path on which nothing is lost. A request
/// to a sender takes as long in the other direction.
pub const UPLINK: Duration = Duration::from_millis(40);

/// How far the senders start apart in the table of frame sizes, in cycles of the structure, so that the large
/// pictures of different streams do not coincide.
pub const TABLE_OFFSET: usize = 7;

/// When a stream's first picture is captured: cameras do not run in step.
pub(super) fn camera_offset(stream: u32) -> Time {
    Time::from_micros(3_700 * u64::from(stream) % 33_333)
}

// ---- The path to a receiver ----

/// The delay of a path in each direction, unless a call says otherwise.
pub const LINK_DELAY: Duration = Duration::from_millis(30);

/// The bytes that the queue before a link holds, unless a call says otherwise.
pub const LINK_QUEUE: usize = 150_000;

/// The capacity of a drawn LTE link ([`Trace::lte`](super::Trace::lte)) changes in steps of this.
pub const LTE_STEP: Duration = Duration::from_millis(100);

/// The logarithm of that capacity walks at random: each step adds a normal variable of this standard
/// deviation.
pub const LTE_SPREAD: f64 = 0.13;

/// Each step also takes back this share of the logarithm's distance from the mean.
pub const LTE_RETURN: f64 = 0.03;

/// A fade begins at a step that draws a standard normal variable above this.
pub const LTE_FADE_RARITY: f64 = 2.4;

/// The logarithm of a fade's depth at its beginning: a tenth of the capacity is left.
pub const LTE_FADE: f64 = -2.3;

/// The share of a fade (of its logarithm) that is left one step later.
pub const LTE_FADE_LEFT: f64 = 0.93;

// ---- The relay ----

/// The interval between two decisions of a relay about a receiver.
pub const DECIDE: Duration = Duration::from_millis(100);

/// SSRC of receivers in their feedback.
pub(super) const TRANSPORT_FEEDBACK_SSRC: u32 = 1;

/// The estimate that each bandwidth estimator begins with, in bit/s.
pub const START: u64 = 300_000;

/// How far the decisions and reports of one receiver lie behind those of the one before.
pub(super) fn receiver_offset(receiver: usize) -> Duration {
    Duration::from_micros(900 * receiver as u64)
}

// ---- Policies other than the crate's selector ----

/// The least time between two allocations of [`Policy::Allocator`](super::Policy::Allocator), unless the path
/// got much worse.
pub const ALLOCATION: Duration = Duration::from_secs(1);

/// The interval between the probes of a relay that sends less than the windows could show (libwebrtc's).
pub const PROBE_EVERY: Duration = Duration::from_secs(5);

/// The length of such a probe, which goes to twice the estimate.
pub const PROBE_FOR: Duration = Duration::from_millis(100);

/// The time after congestion in which a relay does not probe.
pub const PROBE_AFTER: Duration = Duration::from_secs(2);

// ---- Receivers ----

/// A gap between two shown pictures beyond this is a freeze, and all of it is stall time.
///
/// W3C webrtc-stats (`freezeCount`) takes three times the mean gap, at least 150 ms more than it; the base
/// target of three temporal layers at 30 pictures/s shows 7.5, whose gap of 133 ms makes this 400 ms.
pub const FREEZE: Duration = Duration::from_millis(400);

/// A receiver does not show a picture that is ready only later than this after its capture, though later
/// pictures may refer to it: ITU-T G.114 sets 400 ms one way as the limit for a conversation.
pub const LATE: Duration = Duration::from_millis(400);

// ---- A single sender ([`Flow`](super::Flow)) ----

/// The sizes of its pictures in the order of a cycle, as multiples of the mean, as in a mode of three temporal layers.
pub const FLOW_SIZES: [f64; 4] = [1.6, 0.7, 1.0, 0.7];

/// Each of them is larger or smaller by up to this share of it, at random.
pub const FLOW_SPREAD: f64 = 0.2;

/// It leaves a picture out if the packets before it still need this long at the estimate.
pub const FLOW_SKIP: Duration = Duration::from_millis(100);

// ---- Figures over time ----

/// The samples of an outcome are means over this.
pub const SAMPLE: Duration = Duration::from_millis(500);
