//! The configuration of a frame buffer.

use std::time::Duration;

/// The waiting times and the limits of a frame buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct FrameBufferConfig {
    /// How long the buffer waits for a missing frame of the lowest spatial layer's chain.
    pub give_up: Duration,
    /// How long the buffer waits for a missing frame of an upper layer's chain, and for the last frame of a picture,
    /// before it shows lower layers. If the lowest layer itself is missing it asks for a key picture after this time,
    /// and goes on with whichever comes first, the frame or the key picture.
    pub refresh_after: Duration,
    /// How long the buffer waits for any other missing frame. That should be longer than packets overtake each other,
    /// and longer than a retransmission takes if retransmitted frames of every layer are to be shown.
    pub skip_after: Duration,
    /// The shortest time from one request for a refresh to the next.
    pub request_interval: Duration,
    /// Frames held at most.
    pub max_frames: usize,
    /// Bytes of payload held at most; a frame of more than half of it may be refused. Beyond that a frame takes 512
    /// bytes, and up to 8 kB if it has a structure of its own.
    pub max_bytes: usize,
}

impl Default for FrameBufferConfig {
    /// 1 s of waiting for chains and 100 ms for other frames, a request every 300 ms, 256 frames of 8 MiB in all.
    fn default() -> Self {
        Self {
            give_up: Duration::from_secs(1),
            refresh_after: Duration::from_secs(1),
            skip_after: Duration::from_millis(100),
            request_interval: Duration::from_millis(300),
            max_frames: 256,
            max_bytes: 8 << 20,
        }
    }
}
