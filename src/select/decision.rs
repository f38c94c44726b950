//! What was decided, and why.

use std::time::Duration;

use super::StreamId;
use crate::structure::DecodeTarget;

/// Which input keeps a stream from a higher decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// None: it gets the best that is on offer.
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
    /// The path may carry more, which it has not proven for long enough.
    Proving,
    /// The window is hidden, so that the stream is paused.
    Hidden,
    /// No layer is on offer, so that the stream is paused.
    NotOnOffer,
}

/// What to ask the sender for, so that the receiver can start with its new target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refresh {
    /// A refresh of the target's spatial layer from the layer below, or intra-only.
    Layer {
        /// The decode target to switch to.
        target: DecodeTarget,
    },
    /// A key picture.
    Key,
}

/// What one stream gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StreamDecision {
    /// The stream.
    pub stream: StreamId,
    /// What to forward; `None` where the stream is paused.
    pub target: Option<DecodeTarget>,
    /// Bit/s of the target, as offered; 0 where it is paused.
    pub bitrate: u64,
    /// Bit/s that this target could have at nobody's loss: its own and its share of what is left over. Where
    /// no limit is known this is [`MAX_BITRATE`](super::MAX_BITRATE); 0 where the stream is paused.
    pub room: u64,
    /// Which input binds.
    pub reason: Reason,
    /// To be asked for now: it is said once, in the decision that switches.
    pub refresh: Option<Refresh>,
    /// What the target is worth to the receiver, by the module's model, in 1/65536.
    pub utility: u32,
}

/// Bits to be sent on top to find out what the path carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Bit/s in all: the streams' own, and padding or redundancy up to this.
    pub bitrate: u64,
    /// For how long.
    pub duration: Duration,
}

/// What one receiver gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decision {
    /// Every stream that is known, in the order of their numbers.
    pub streams: Vec<StreamDecision>,
    /// Bit/s of all targets together.
    pub total_bitrate: u64,
    /// Bit/s that there were to share out; `None` where no limit is known.
    pub budget: Option<u64>,
    /// Whether every visible stream has its minimum service: the lowest decode target that the caps leave.
    pub fits: bool,
    /// A probe to be started now: it is said once. The streams go on as decided while it runs.
    pub probe: Option<Probe>,
    /// Bit/s of redundancy (forward error correction) that the path carries besides; `None` where it is not
    /// known what it carries.
    pub redundancy: Option<u64>,
    /// What all targets are worth to the receiver, in 1/65536.
    pub utility: u64,
}

impl Decision {
    /// What a stream gets, if it is known.
    pub fn stream(&self, stream: StreamId) -> Option<&StreamDecision> {
        let at = self.streams.binary_search_by_key(&stream, |decision| decision.stream).ok()?;
        self.streams.get(at)
    }
}
