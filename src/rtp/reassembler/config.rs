//! The configuration of a reassembler.

use std::time::Duration;

use crate::rtp::payload::PayloadFormat;

/// A request for packets is sent once more after this time, in case it was lost: that costs a few bytes, and where it was
/// not lost the sender does not send a packet again that soon.
#[cfg(feature = "relay")]
pub(crate) const REPEAT: Duration = Duration::from_millis(10);

/// From one request for a packet to the next at least.
#[cfg(feature = "relay")]
const MIN_RETRY: Duration = Duration::from_millis(25);

/// From one request for a packet to the next, if an answer comes within `timeout`: a quarter of that, so that the loss of a
/// request or of the answer costs no more.
#[cfg(feature = "relay")]
pub(crate) fn retry_after(timeout: Duration) -> Duration {
    (timeout / 4).max(MIN_RETRY)
}

/// When a reassembler asks for missing packets, and when it gives them up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct NackConfig {
    /// From the first packet after a gap to the first request, as packets overtake each other. If fewer than a quarter of the
    /// missing ones come by themselves in this time, it is 2 ms.
    pub first_after: Duration,
    /// From one request for a packet to the next: a quarter of a round trip, if the loss of a request or of the answer is to
    /// cost no more than that.
    pub retry_after: Duration,
    /// From the first packet after a gap until it is given up.
    pub give_up: Duration,
    /// Requests for one packet at most.
    pub max_requests: u8,
}

impl Default for NackConfig {
    /// 10 ms, 100 ms, and 20 requests within 1 s.
    fn default() -> Self {
        Self {
            first_after: Duration::from_millis(10),
            retry_after: Duration::from_millis(100),
            give_up: Duration::from_secs(1),
            max_requests: 20,
        }
    }
}

/// The formats and the limits of a reassembler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct ReassemblerConfig {
    /// The payload format of the packets.
    pub format: PayloadFormat,
    /// The identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// Whether a structure counts as soon as the frame that carries it is whole. `false` for encrypted frames.
    pub adopt_structures: bool,
    /// How missing packets are asked for.
    pub nack: NackConfig,
    /// How long after the first packet the reassembler still takes one from before it. This holds up nothing but
    /// `Reassembler::settled`.
    pub start_within: Duration,
    /// Packets from the first that is missing or of an incomplete frame to the newest, at most.
    pub max_packets: usize,
    /// Bytes held at most: packets from their RTP headers on, and frames that wait for their structure.
    ///
    /// Beyond that the reassembler needs up to 256 bytes for each of `max_packets`, and while it puts a frame together,
    /// up to three times the frame's size. A packet counts with its own length: if the memory that it lies in is
    /// larger, such as a block that holds other things too, that is for the caller to count.
    pub max_bytes: usize,
    /// Whole frames at most that wait for their structure.
    pub max_waiting: usize,
}

impl ReassemblerConfig {
    /// 100 ms to start, 2048 packets of 1 MiB in all, and 64 frames that wait for their structure.
    pub fn new(format: PayloadFormat, descriptor_id: u8) -> Self {
        Self {
            format,
            descriptor_id,
            adopt_structures: format == PayloadFormat::Av1,
            nack: NackConfig::default(),
            start_within: Duration::from_millis(100),
            max_packets: 2048,
            max_bytes: 1 << 20,
            max_waiting: 64,
        }
    }
}
