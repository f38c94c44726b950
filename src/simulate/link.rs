//! One direction of a path: a queue before a link whose capacity a trace gives.

use std::collections::VecDeque;
use std::time::Duration;

use oorandom::Rand64;

use super::model::{LINK_DELAY, LINK_QUEUE};
use super::trace::{OPPORTUNITY_BYTES, Trace};
use crate::Time;

/// The properties of a path besides its capacity. [`LinkConfig::default`] makes one whose fields can then be
/// changed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Time that every packet takes besides its wait in the queue.
    pub delay: Duration,
    /// Bytes that the queue holds; it drops a packet that does not fit (drop-tail).
    pub queue: usize,
    /// The probability, 0 to 1, that a packet is lost behind the link.
    pub loss: f64,
    /// The seed of that random loss.
    pub seed: u64,
}

impl Default for LinkConfig {
    /// 30 ms one way, a queue of 150 kB, no random loss.
    fn default() -> Self {
        Self { delay: LINK_DELAY, queue: LINK_QUEUE, loss: 0.0, seed: 1 }
    }
}

/// A link with its queue. Packets leave in the order that they came in.
#[derive(Debug, Clone)]
pub struct Link {
    trace: Trace,
    config: LinkConfig,
    random: Rand64,
    /// The opportunity that takes the queue's last byte, and the bytes that it still has room for.
    opportunity: u64,
    room: usize,
    /// Bytes of each packet in the queue and when its last byte leaves.
    queue: VecDeque<(Time, usize)>,
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

    /// Sends a packet, not earlier than the one before. Returns when it arrives, or `None` if it is lost.
    pub fn send(&mut self, now: Time, bytes: usize) -> Option<Time> {
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

    /// Time that every packet takes besides its wait in the queue.
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

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    #[test]
    fn packets_share_opportunities_and_wait_in_the_queue() {
        let config = LinkConfig { delay: Duration::from_millis(30), queue: 4000, ..LinkConfig::default() };
        let mut link = Link::new(Trace::parse("10\n20\n30\n40").unwrap(), config);
        assert_eq!(link.send(Time::ZERO, 700), Some(ms(40)));
        assert_eq!(link.send(Time::ZERO, 700), Some(ms(40)), "the same opportunity");
        assert_eq!(link.send(Time::ZERO, 1200), Some(ms(50)), "begins in the first, ends in the second");
        assert_eq!(link.send(Time::ZERO, 1200), Some(ms(60)));
        assert_eq!(link.send(Time::ZERO, 300), None, "does not fit");
        assert_eq!(link.send(ms(15), 1400), Some(ms(70)), "1400 bytes have left");
        assert_eq!(link.send(ms(100), 1500), Some(ms(130)), "what nobody used is gone");
    }

    #[test]
    fn random_loss_is_what_was_asked_for_and_repeats() {
        let config = LinkConfig { loss: 0.1, ..LinkConfig::default() };
        let lost = || {
            let mut link = Link::new(Trace::constant(100_000_000), config);
            (0..10_000).map(|n| link.send(ms(n), 1000).is_none()).collect::<Vec<_>>()
        };
        let count = lost().iter().filter(|&&lost| lost).count();
        assert!((900..1100).contains(&count), "{count}");
        assert_eq!(lost(), lost());
    }
}
