//! One direction of a path: a queue before a link whose capacity a trace gives.

use std::collections::VecDeque;
use std::time::Duration;

use oorandom::Rand64;

use super::Trace;
use super::trace::OPPORTUNITY_BYTES;

/// What a path is like, its capacity apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    /// Time that every packet takes besides what it waits for.
    pub delay: Duration,
    /// Bytes that wait at most; a packet that does not fit is dropped (drop-tail).
    pub queue: usize,
    /// Share of the packets that are lost behind the link, 0 to 1, each by itself.
    pub loss: f64,
    /// Decides which packets these are.
    pub seed: u64,
}

impl Default for LinkConfig {
    /// 30 ms one way, a queue of 150 kB, no random loss.
    fn default() -> Self {
        Self { delay: Duration::from_millis(30), queue: 150_000, loss: 0.0, seed: 1 }
    }
}

/// A link with its queue. Packets leave in the order that they came in.
#[derive(Debug, Clone)]
pub struct Link {
    trace: Trace,
    config: LinkConfig,
    random: Rand64,
    /// The opportunity that the queue's last byte goes with, and the bytes that it has still room for.
    opportunity: u64,
    room: usize,
    /// Bytes of each packet in the queue and when its last byte leaves.
    queue: VecDeque<(Duration, usize)>,
    queued: usize,
}

impl Link {
    /// A link with nothing in its queue.
    pub fn new(trace: Trace, config: LinkConfig) -> Self {
        Self {
            trace,
            config,
            random: Rand64::new(u128::from(config.seed)),
            opportunity: 0,
            room: OPPORTUNITY_BYTES,
            queue: VecDeque::new(),
            queued: 0,
        }
    }

    /// Sends a packet, not earlier than the one before; gives when it arrives, or `None` where it is lost.
    pub fn send(&mut self, now: Duration, bytes: usize) -> Option<Duration> {
        while let Some(&(left, bytes)) = self.queue.front().filter(|(left, _)| *left <= now) {
            debug_assert!(left <= now);
            self.queued -= bytes;
            self.queue.pop_front();
        }
        if self.queued + bytes > self.config.queue {
            return None;
        }
        if self.trace.time(self.opportunity) < now {
            self.opportunity = self.trace.first_from(now);
            self.room = OPPORTUNITY_BYTES;
        }
        let mut rest = bytes;
        while rest > self.room {
            rest -= self.room;
            self.opportunity += 1;
            self.room = OPPORTUNITY_BYTES;
        }
        self.room -= rest;
        let left = self.trace.time(self.opportunity);
        self.queue.push_back((left, bytes));
        self.queued += bytes;
        let lost = self.config.loss > 0.0 && self.random.rand_float() < self.config.loss;
        (!lost).then_some(left + self.config.delay)
    }

    /// Time that every packet takes besides what it waits for.
    pub fn delay(&self) -> Duration {
        self.config.delay
    }

    /// The link's capacity.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn packets_share_opportunities_and_wait_in_the_queue() {
        let config = LinkConfig { delay: 30 * MS, queue: 4000, ..LinkConfig::default() };
        let mut link = Link::new(Trace::parse("10\n20\n30\n40").unwrap(), config);
        assert_eq!(link.send(Duration::ZERO, 700), Some(40 * MS));
        assert_eq!(link.send(Duration::ZERO, 700), Some(40 * MS), "the same opportunity");
        assert_eq!(link.send(Duration::ZERO, 1200), Some(50 * MS), "begins in the first, ends in the second");
        assert_eq!(link.send(Duration::ZERO, 1200), Some(60 * MS));
        assert_eq!(link.send(Duration::ZERO, 300), None, "does not fit");
        assert_eq!(link.send(15 * MS, 1400), Some(70 * MS), "1400 bytes have left");
        assert_eq!(link.send(100 * MS, 1500), Some(130 * MS), "what nobody used is gone");
    }

    #[test]
    fn random_loss_is_what_was_asked_for_and_repeats() {
        let config = LinkConfig { loss: 0.1, ..LinkConfig::default() };
        let lost = || {
            let mut link = Link::new(Trace::constant(100_000_000), config);
            (0..10_000).map(|n| link.send(n * MS, 1000).is_none()).collect::<Vec<_>>()
        };
        let count = lost().iter().filter(|&&lost| lost).count();
        assert!((900..1100).contains(&count), "{count}");
        assert_eq!(lost(), lost());
    }
}
