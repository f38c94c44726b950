//! The round-trip time, as retransmissions show it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// Requests that are remembered.
const MAX_ASKED: usize = 256;
/// Measurements that count: the last ones.
const MAX_MEASURED: usize = 16;
/// The shortest and the longest time in which an answer is expected.
const RANGE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Measures from the first request for a packet to its arrival.
///
/// A packet is asked for again before the answer can be there, so that a measurement may be of a later request than the
/// first, or of its answer, and is too long then. It is never too short: a packet that comes before it is asked for a
/// second time was overtaken by others, and not lost, and counts only if it comes once more. So the round-trip time is
/// the lower quartile of the last measurements, and the median says how much they vary.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    measured: VecDeque<Duration>,
    /// The lower quartile of them and the median; `None` before the first.
    quartiles: Option<(Duration, Duration)>,
    asked: VecDeque<Asked>,
}

/// A packet that was asked for.
#[derive(Debug)]
struct Asked {
    sequence_number: u16,
    /// For the first time.
    at: Time,
    again: bool,
    /// The first arrival, and the second.
    arrived: [Option<Time>; 2],
}

impl RoundTrip {
    pub(crate) fn new() -> Self {
        Self {
            measured: VecDeque::with_capacity(MAX_MEASURED),
            quartiles: None,
            asked: VecDeque::with_capacity(MAX_ASKED),
        }
    }

    /// Packets are asked for.
    pub(crate) fn handle_request(&mut self, now: Time, sequence_numbers: &[u16]) {
        self.settle(now);
        for &sequence_number in sequence_numbers {
            match self.find(sequence_number) {
                Some(asked) => asked.again = true,
                None => {
                    if self.asked.len() == MAX_ASKED {
                        self.pop();
                    }
                    self.asked.push_back(Asked {
                        sequence_number,
                        at: now,
                        again: false,
                        arrived: [None; 2],
                    });
                }
            }
        }
    }

    /// A packet came, for the first time or again, that may have been asked for.
    pub(crate) fn handle_arrival(&mut self, now: Time, sequence_number: u16) {
        if let Some(arrived) = self.find(sequence_number).map(|asked| &mut asked.arrived)
            && let Some(free) = arrived.iter_mut().find(|arrived| arrived.is_none())
        {
            *free = Some(now);
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
        let [first, second] = asked.arrived;
        if let Some(arrived) = if asked.again { first } else { second } {
            self.measure(arrived - asked.at);
        }
    }

    /// Takes a measurement.
    pub(crate) fn measure(&mut self, sample: Duration) {
        if self.measured.len() == MAX_MEASURED {
            self.measured.pop_front();
        }
        self.measured.push_back(sample);
        let mut sorted = [Duration::MAX; MAX_MEASURED];
        sorted.iter_mut().zip(&self.measured).for_each(|(sorted, measured)| *sorted = *measured);
        sorted.sort_unstable();
        let last = self.measured.len() - 1;
        self.quartiles = Some((sorted[last / 4], sorted[last / 2]));
    }

    /// The round-trip time; `None` before the first measurement.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.quartiles.map(|(quartile, _)| quartile)
    }

    /// The time in which an answer comes, if it comes.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let (quartile, median) = self.quartiles?;
        // A fast path is not asked twice in the time in which packets overtake each other.
        let variation = ((median - quartile) * 4).clamp(quartile / 8, quartile / 2);
        Some((quartile + variation).clamp(RANGE.0, RANGE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Time {
        Time::from_millis(milliseconds)
    }

    #[test]
    fn packets_that_were_overtaken_tell_nothing_unless_they_come_again() {
        let mut trip = RoundTrip::new();
        assert_eq!(trip.timeout(), None);
        trip.handle_request(ms(0), &[7, 8, 65_535]);
        // Numbers 7 and 8 were only late. The answer for 7 comes as well.
        trip.handle_arrival(ms(5), 7);
        trip.handle_arrival(ms(5), 8);
        trip.handle_arrival(ms(90), 9);
        trip.handle_arrival(ms(100), 7);
        assert_eq!(trip.smoothed(), None);
        trip.handle_request(ms(1001), &[]);
        assert_eq!((trip.smoothed(), trip.measured.len()), (Some(Duration::from_millis(100)), 1));
        assert_eq!(trip.timeout(), Some(Duration::from_micros(112_500)));
    }

    /// One request in three is lost, and each is repeated after 60 ms.
    #[test]
    fn lost_requests_do_not_make_the_path_seem_long() {
        let mut trip = RoundTrip::new();
        for n in 0..60u16 {
            let asked = 2000 * u64::from(n);
            trip.handle_request(ms(asked), &[n]);
            trip.handle_request(ms(asked + 60), &[n]);
            if n % 3 != 0 {
                trip.handle_arrival(ms(asked + 100 + u64::from(n % 2)), n);
            }
            trip.handle_arrival(ms(asked + 160), n);
        }
        trip.handle_request(ms(1_000_000), &[]);
        assert!((100..=101).contains(&trip.smoothed().unwrap().as_millis()), "{trip:?}");
        assert!(trip.timeout().unwrap() < Duration::from_millis(116), "{trip:?}");
    }

    #[test]
    fn a_path_that_changes_is_measured_anew() {
        let mut trip = RoundTrip::new();
        (0..20).for_each(|_| trip.measure(Duration::from_millis(100)));
        (0..MAX_MEASURED).for_each(|_| trip.measure(Duration::from_millis(250)));
        assert_eq!(trip.smoothed(), Some(Duration::from_millis(250)));
    }

    #[test]
    fn it_remembers_a_bounded_number_of_requests() {
        let mut trip = RoundTrip::new();
        let numbers: Vec<u16> = (0..5000).collect();
        trip.handle_request(Time::ZERO, &numbers);
        assert_eq!(trip.asked.len(), MAX_ASKED);
        for now in [10, 20] {
            trip.handle_arrival(ms(now), 0);
            trip.handle_arrival(ms(now), 4999);
        }
        trip.handle_arrival(ms(2000), 1);
        assert_eq!((trip.smoothed(), trip.measured.len()), (Some(Duration::from_millis(20)), 1));
        (0..100).for_each(|_| trip.measure(Duration::from_millis(30)));
        assert_eq!(trip.measured.len(), MAX_MEASURED);
    }
}
