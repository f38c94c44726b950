//! A line of a certain bitrate, for tests without the kernel's queues.

use std::time::{Duration, Instant};

/// What waits in front of the line at most; the rest is lost.
const QUEUE: Duration = Duration::from_millis(300);
/// Bytes of IP and UDP.
const HEADERS: usize = 28;

/// A line one way.
#[derive(Debug)]
pub struct Shaper {
    kbps: Option<u32>,
    free_at: Option<Instant>,
}

impl Shaper {
    /// A line of so many kbit/s, or without a limit.
    pub fn new(kbps: Option<u32>) -> Self {
        Self { kbps: kbps.filter(|kbps| *kbps > 0), free_at: None }
    }

    /// When a datagram that comes now is through. `None` if it is lost.
    pub fn pass(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let Some(kbps) = self.kbps else { return Some(now) };
        let start = self.free_at.map_or(now, |at| at.max(now));
        if start - now > QUEUE {
            return None;
        }
        let bits = (bytes + HEADERS) as u64 * 8;
        let through = start + Duration::from_nanos(bits * 1_000_000 / u64::from(kbps));
        self.free_at = Some(through);
        Some(through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_its_bitrate_and_loses_the_rest() {
        let (mut line, start) = (Shaper::new(Some(400)), Instant::now());
        // 2 Mbit/s for a second.
        let through =
            (0..250).filter(|n| line.pass(start + Duration::from_millis(4 * n), 972).is_some()).count();
        assert!((62..=66).contains(&through), "{through} of 1000 bytes, of which 50 fit and 15 wait");
        assert_eq!(Shaper::new(None).pass(start, 1000), Some(start));
    }
}
