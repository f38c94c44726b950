//! The round-trip time, as retransmissions show it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// Requests that are remembered.
const MAX_ASKED: usize = 256;
/// The shortest and the longest time in which an answer is expected.
const RANGE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Measures from the request for a packet to its arrival, and smooths as RFC 6298, section 2, does.
///
/// Only packets that were asked for once count (Karn's algorithm, section 3): of others nobody knows which request was
/// answered. A packet that others have overtaken may come just after the request for it, and the answer to that once
/// more a round trip later, so a measurement counts only when it is too late for another arrival.
#[derive(Debug)]
pub(super) struct RoundTrip {
    /// Smoothed round trip and its variation; `None` before the first measurement.
    measured: Option<(Duration, Duration)>,
    asked: VecDeque<Asked>,
}

/// A packet that was asked for.
#[derive(Debug)]
struct Asked {
    sequence_number: u16,
    at: Time,
    /// Whether it was asked for again.
    again: bool,
    /// The last arrival of it.
    arrived: Option<Time>,
}

impl RoundTrip {
    pub(super) fn new() -> Self {
        Self { measured: None, asked: VecDeque::with_capacity(MAX_ASKED) }
    }

    /// Packets are asked for.
    pub(super) fn handle_request(&mut self, now: Time, sequence_numbers: &[u16]) {
        self.settle(now);
        for &sequence_number in sequence_numbers {
            match self.find(sequence_number) {
                Some(asked) => asked.again = true,
                None => {
                    if self.asked.len() == MAX_ASKED {
                        self.pop();
                    }
                    self.asked.push_back(Asked { sequence_number, at: now, again: false, arrived: None });
                }
            }
        }
    }

    /// A packet came, for the first time or again, that may have been asked for.
    pub(super) fn handle_arrival(&mut self, now: Time, sequence_number: u16) {
        if let Some(asked) = self.find(sequence_number) {
            asked.arrived = Some(now);
        }
        self.settle(now);
    }

    fn find(&mut self, sequence_number: u16) -> Option<&mut Asked> {
        self.asked.iter_mut().find(|asked| asked.sequence_number == sequence_number)
    }

    /// Takes the measurements for which it is too late to change.
    fn settle(&mut self, now: Time) {
        while self.asked.front().is_some_and(|asked| now - asked.at > RANGE.1) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some(asked) = self.asked.pop_front() else { return };
        if let Some(arrived) = asked.arrived.filter(|_| !asked.again) {
            self.measure(arrived - asked.at);
        }
    }

    /// Takes a measurement.
    pub(super) fn measure(&mut self, sample: Duration) {
        self.measured = Some(match self.measured {
            None => (sample, sample / 2),
            Some((smoothed, variation)) => {
                let off = smoothed.abs_diff(sample);
                ((smoothed * 7 + sample) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// The smoothed round-trip time; `None` before the first measurement.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.measured.map(|(smoothed, _)| smoothed)
    }

    /// The time in which an answer comes, if it comes.
    pub(super) fn timeout(&self) -> Option<Duration> {
        let (smoothed, variation) = self.measured?;
        // A fast path is not asked twice in the time in which packets overtake each other.
        Some((smoothed + (variation * 4).max(smoothed / 8)).clamp(RANGE.0, RANGE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_tell_the_round_trip_unless_a_packet_was_asked_for_twice() {
        let ms = Time::from_millis;
        let mut trip = RoundTrip::new();
        assert_eq!(trip.timeout(), None);
        trip.handle_request(ms(0), &[7, 8, 65_535]);
        trip.handle_request(ms(50), &[8]);
        trip.handle_arrival(ms(90), 8);
        trip.handle_arrival(ms(90), 9);
        // Number 7 was only late, and comes again.
        trip.handle_arrival(ms(5), 7);
        trip.handle_arrival(ms(100), 7);
        assert_eq!(trip.smoothed(), None);
        trip.handle_request(ms(1001), &[]);
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(100)));
        assert_eq!(trip.timeout(), Some(Duration::from_millis(300)));
        // Steady answers bring the timeout down to a little above the round trip.
        for n in 0..50u16 {
            let asked = 2000 * (u64::from(n) + 1);
            trip.handle_request(ms(asked), &[n]);
            trip.handle_arrival(ms(asked + 100), n);
        }
        assert!((Duration::from_millis(110)..Duration::from_millis(120)).contains(&trip.timeout().unwrap()));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_requests() {
        let mut trip = RoundTrip::new();
        let numbers: Vec<u16> = (0..5000).collect();
        trip.handle_request(Time::ZERO, &numbers);
        assert_eq!(trip.asked.len(), MAX_ASKED);
        trip.handle_arrival(Time::from_millis(10), 0);
        trip.handle_arrival(Time::from_millis(10), 4999);
        trip.handle_arrival(Time::from_secs(2), 1);
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(10)));
    }
}
