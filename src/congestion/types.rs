//! What the parts of this room tell each other.

use std::time::Duration;

use crate::Time;

/// The fate of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "those who keep a log of their own build it")]
pub struct PacketReport {
    /// When it was sent.
    pub sent: Time,
    /// When it arrived, by the receiver's clock, whose start may be any; `None` if it is lost.
    pub arrived: Option<Time>,
    /// Its bytes.
    pub bytes: usize,
    /// The number of the probe that it is part of.
    pub probe: Option<u32>,
}

/// A short time of a higher bitrate, to find out whether the path carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "those who decide on probes build it")]
pub struct Probe {
    /// Bit/s of all packets together, media and padding.
    pub bitrate: u64,
    /// How long to send at this bitrate.
    pub duration: Duration,
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct PathState {
    /// Bit/s that the path carries without a growing queue.
    pub bitrate: u64,
    /// Time from sending a packet to the report of it.
    pub round_trip: Option<Duration>,
    /// Share of the packets that get lost, 0 to 1; `None` if nothing was reported lately.
    pub loss: Option<f32>,
    /// Time that packets now wait in queues, beyond their wait on an idle path; `None` if nothing was reported lately.
    pub queueing_delay: Option<Duration>,
}
