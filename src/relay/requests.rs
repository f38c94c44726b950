//! The refreshes that all receivers of a stream ask for.

use std::time::Duration;

use super::frames::RelayFrame;
use crate::Time;
use crate::structure::Refresh;

/// Combines the refreshes that the receivers of one stream need into few requests to its sender.
///
/// Every receiver pays for a refresh in bits, and any of them can make its [`Forwarder`](super::Forwarder) ask for one
/// again and again, by hiding and showing its window. However many receivers there are, the sender is asked once in
/// an interval at most; what is asked for in between waits and is combined.
///
/// A sender that does not trust its relay can limit what the relay asks for in the same way.
#[derive(Debug, Clone)]
pub struct RefreshRequests {
    interval: Duration,
    waiting: Refresh,
    ask_at: Time,
}

impl Default for RefreshRequests {
    /// One request a second.
    fn default() -> Self {
        Self::new(Duration::from_secs(1))
    }
}

impl RefreshRequests {
    /// Passes on one request in `interval` at most, and the first at once.
    pub fn new(interval: Duration) -> Self {
        Self { interval, waiting: Refresh::NONE, ask_at: Time::ZERO }
    }

    /// Takes what a receiver needs.
    pub fn handle_request(&mut self, refresh: Refresh) {
        self.waiting = self.waiting.union(refresh);
    }

    /// Takes a frame of the stream. A key frame brings all that was asked for.
    pub fn handle_frame(&mut self, frame: &RelayFrame) {
        if frame.key {
            self.waiting = Refresh::NONE;
        }
    }

    /// The refresh to ask the sender for at `now`, if there is one.
    pub fn poll(&mut self, now: Time) -> Option<Refresh> {
        if self.waiting.is_none() || now < self.ask_at {
            return None;
        }
        self.ask_at = now + self.interval;
        Some(std::mem::take(&mut self.waiting))
    }

    /// When to poll again, if nothing comes before.
    pub fn next_timeout(&self) -> Option<Time> {
        (!self.waiting.is_none()).then_some(self.ask_at)
    }
}
