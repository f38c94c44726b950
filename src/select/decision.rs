//! Decisions, and the reasons for them.

use std::time::Duration;

use super::input::StreamId;
use crate::structure::{DecodeTarget, Refresh};

/// Which input keeps a stream from a higher decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// None: it gets the best target on offer.
    Full,
    /// The window shows no more than this.
    Window,
    /// A cap.
    Cap,
    /// The processor decodes no more than this.
    Cpu,
    /// The path carries no more than this.
    Network,
    /// The path would carry more, but for the bits kept back against loss.
    Loss,
    /// The path may carry more, but has not proven so for long enough.
    Proving,
    /// The window is hidden, so that the stream is paused.
    Hidden,
    /// No layer is on offer, so that the stream is paused.
    NotOnOffer,
}

/// The decision about one stream.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StreamDecision {
    /// The stream.
    pub stream: StreamId,
    /// The decode target to forward; `None` if the stream is paused.
    pub target: Option<DecodeTarget>,
    /// Bit/s of the target, as offered; 0 if the stream is paused.
    pub bitrate: u64,
    /// Bit/s that this target could have at no other stream's expense: its own, and its share of the bits
    /// left over. It is [`MAX_BITRATE`](super::MAX_BITRATE) if no limit is known, and 0 if the stream is
    /// paused.
    pub room: u64,
    /// The input that keeps the stream from a higher target.
    pub reason: Reason,
    /// The refresh to ask the sender for now, so that the receiver can start with its new target. One decision says
    /// so: the one that switches, or the first that is
    /// [`refresh_interval`](super::SelectorConfig::refresh_interval) after the last refresh of the stream. Otherwise
    /// it is [`Refresh::NONE`].
    pub refresh: Refresh,
    /// The target's value to the receiver, by the module's model, in 1/65536.
    pub utility: u32,
}

/// A burst on top of the streams, which finds out how much the path carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probe {
    /// Bit/s in all: the streams' own, and padding or redundancy up to this.
    pub bitrate: u64,
    /// Its length.
    pub duration: Duration,
}

/// The decision about one receiver.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Decision {
    /// Every stream that the selector knows, in the order of their numbers.
    pub streams: Vec<StreamDecision>,
    /// Bit/s of all targets together.
    pub total_bitrate: u64,
    /// Bit/s that there were to share out; `None` if no limit is known.
    pub budget: Option<u64>,
    /// Whether every visible stream has its minimum service: the lowest decode target that the caps leave.
    pub fits: bool,
    /// A probe to start now; one decision says so once. The streams go on as decided while it runs.
    pub probe: Option<Probe>,
    /// Bit/s of redundancy (forward error correction) that the path carries besides the streams; `None` if
    /// its capacity is not known.
    pub redundancy: Option<u64>,
    /// The value of all targets to the receiver, in 1/65536.
    pub utility: u64,
}

impl Decision {
    /// The decision about a stream, if the selector knows it.
    pub fn stream(&self, stream: StreamId) -> Option<&StreamDecision> {
        let at = self.streams.binary_search_by_key(&stream, |decision| decision.stream).ok()?;
        self.streams.get(at)
    }
}
