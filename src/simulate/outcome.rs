//! What became of a call: its receivers, their windows and paths, and its senders.

use std::time::Duration;

use super::policies::Policy;
use crate::Time;
use crate::select::StreamId;
use crate::structure::LayerId;

/// Figures of one receiver's path over half a second, in bit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct PathSample {
    /// The path's capacity.
    pub capacity: u64,
    /// The estimate at the end.
    pub estimate: u64,
    /// Media that was sent, retransmissions included.
    pub media: u64,
    /// Padding sent for probes.
    pub padding: u64,
}

/// What became of a receiver.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiverOutcome {
    /// Each of its windows.
    pub windows: Vec<(StreamId, WindowOutcome)>,
    /// The stalled time of all windows together that no policy can avoid. An ideal relay would stall for so
    /// long: one that knows the trace beforehand and always sends, to the window that has waited longest, the
    /// newest picture, as small as the smallest of the lowest decode target and decodable by itself.
    pub unavoidable: Duration,
    /// The sum of [`WindowOutcome::ssim_area`] that the windows would have at best: with the best decode targets for each
    /// 400 ms of the trace, if changes, losses and key pictures cost nothing.
    pub best: f64,
    /// The path's figures, half second by half second.
    pub samples: Vec<PathSample>,
    /// Packets sent.
    pub packets: u64,
    /// Packets of these that were lost.
    pub lost: u64,
    /// Milliseconds from capture to screen of all pictures shown, in rising order.
    pub delays: Vec<u16>,
    /// How often a decision changed the spatial layer of a stream. Pauses do not count, but a stream that
    /// comes back in another layer does.
    pub decided_switches: u64,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// The name of the call.
    pub call: String,
    /// The policy that decided.
    pub policy: Policy,
    /// Whether senders encoded only the layers that some receiver wanted.
    pub on_demand: bool,
    /// How long the call lasted.
    pub duration: Duration,
    /// The receivers in their order.
    pub receivers: Vec<ReceiverOutcome>,
    /// Bytes that each sender encoded and sent.
    pub sent_bytes: Vec<u64>,
    /// Time that each sender took to encode, on one core.
    pub encode_time: Vec<Duration>,
}

/// What became of a window. Times count only while it is visible.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct WindowOutcome {
    /// Time that the window was visible.
    pub visible: Duration,
    /// Time in freezes.
    pub stalled: Duration,
    /// Time that the stream was paused though the window was visible; the part beyond
    /// [`FREEZE`](super::model::FREEZE) is in `stalled` as well.
    pub paused: Duration,
    /// The beginning and the end of each freeze.
    pub freezes: Vec<(Time, Time)>,
    /// How often the size of the pictures shown changed. That is more often than it was decided: before and
    /// after a stall there are pictures whose upper frames come too late, which are shown smaller.
    pub switches: u64,
    /// Seconds in which the window showed a picture that was not too old.
    pub live: f64,
    /// The integral of SSIM over that time, in seconds.
    pub ssim: f64,
    /// `visible` in seconds, each times the window's megapixels.
    pub visible_area: f64,
    /// `ssim`, each second times the window's megapixels.
    pub ssim_area: f64,
    /// Pictures shown.
    pub pictures: u64,
    /// The times at which the window began to show another layer, or nothing.
    pub layers: Vec<(Time, Option<LayerId>)>,
}
