//! The packets that a stream misses on its way to the relay.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::rtp::overtaken::Overtaken;
use crate::rtp::reassembler::{NackConfig, REPEAT, retry_after};
use crate::rtp::round_trip::RoundTrip;
use crate::rtp::rtcp::Lost;

/// Packets that are missing at most. A longer gap is another stream.
const MAX_MISSING: usize = 256;

/// What a packet is to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has not come before.
    New,
    /// It came before, or too late.
    Old,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    number: u16,
    since: Time,
    requests: u8,
    next: Time,
}

/// Asks a sender for the packets that are lost on the way to the relay, before any receiver notices.
#[derive(Debug)]
pub(super) struct Missing {
    newest: Option<u16>,
    /// In the order of their numbers.
    gaps: VecDeque<Gap>,
    config: NackConfig,
    overtaken: Overtaken,
    round_trip: RoundTrip,
    /// The number after one that was far from the others.
    jump: Option<u16>,
    /// Kept, so that requests do not allocate.
    asked: Vec<u16>,
    /// When the last request is made once more, in case it was lost.
    repeat_at: Option<Time>,
}

impl Missing {
    pub fn new() -> Self {
        Self {
            newest: None,
            gaps: VecDeque::new(),
            config: NackConfig::default(),
            overtaken: Overtaken::new(),
            round_trip: RoundTrip::new(),
            jump: None,
            asked: Vec::new(),
            repeat_at: None,
        }
    }

    /// Packets that are missing now.
    pub fn len(&self) -> usize {
        self.gaps.len()
    }

    /// The round trip to the sender, if it was measured.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    pub fn handle_packet(&mut self, now: Time, number: u16) -> Arrival {
        let Some(newest) = self.newest else {
            self.newest = Some(number);
            return Arrival::New;
        };
        let passed = number.wrapping_sub(newest);
        if (1..=MAX_MISSING as u16).contains(&passed) {
            let next = now + self.overtaken.wait(self.config.first_after);
            for missing in 1..passed {
                if self.gaps.len() == MAX_MISSING {
                    self.gaps.pop_front();
                }
                let number = newest.wrapping_add(missing);
                self.gaps.push_back(Gap { number, since: now, requests: 0, next });
            }
            (self.newest, self.jump) = (Some(number), None);
            return Arrival::New;
        }
        let at = self.gaps.iter().position(|gap| gap.number == number);
        if let Some(gap) = at.and_then(|at| self.gaps.remove(at)) {
            self.overtaken.handle_arrival(now - gap.since, self.config.first_after);
            if gap.requests > 0 {
                self.round_trip.handle_arrival(now, number);
                self.adapt();
            }
            return Arrival::New;
        }
        if newest.wrapping_sub(number) < MAX_MISSING as u16 {
            self.round_trip.handle_arrival(now, number);
            return Arrival::Old;
        }
        // Far from all others: believed once the next one follows it (RFC 3550, A.1).
        if self.jump == Some(number) {
            self.gaps.clear();
            (self.newest, self.jump) = (Some(number), None);
            return Arrival::New;
        }
        self.jump = Some(number.wrapping_add(1));
        Arrival::Old
    }

    fn adapt(&mut self) {
        if let Some(timeout) = self.round_trip.timeout() {
            self.config.retry_after = retry_after(timeout);
        }
    }

    /// What to ask the sender for at `now`.
    pub fn poll(&mut self, now: Time) -> Option<Vec<Lost>> {
        let NackConfig { retry_after, give_up, max_requests, .. } = self.config;
        self.gaps.retain(|gap| now - gap.since < give_up && gap.requests <= max_requests);
        let repeats = self.repeat_at.is_some_and(|at| at <= now);
        if !repeats && self.gaps.iter().all(|gap| gap.next > now) {
            return None;
        }
        self.asked.clear();
        for gap in self.gaps.iter_mut().filter(|gap| gap.next <= now && gap.requests < max_requests) {
            gap.requests += 1;
            gap.next = now + retry_after;
            self.asked.push(gap.number);
        }
        self.gaps.retain(|gap| gap.next > now);
        self.round_trip.handle_request(now, &self.asked);
        self.repeat_at = (!self.asked.is_empty()).then_some(now + REPEAT);
        // With those that were asked for a short time ago.
        let since = retry_after.saturating_sub(REPEAT * 2);
        self.asked.clear();
        self.asked.extend(
            self.gaps.iter().filter(|gap| gap.requests > 0 && gap.next > now + since).map(|gap| gap.number),
        );
        (!self.asked.is_empty()).then(|| Lost::of(self.asked.iter().copied()))
    }

    pub fn next_timeout(&self) -> Option<Time> {
        match self.gaps.is_empty() {
            true => self.repeat_at,
            false => self.gaps.iter().map(|gap| gap.next).chain(self.repeat_at).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    fn numbers(lost: Option<Vec<Lost>>) -> Vec<u16> {
        lost.into_iter().flatten().flat_map(Lost::sequence_numbers).collect()
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_comes() {
        let mut missing = Missing::new();
        for number in [65_534, 65_535, 2, 3] {
            assert_eq!(missing.handle_packet(ms(0), number), Arrival::New);
        }
        assert_eq!(missing.poll(ms(9)), None, "packets overtake each other");
        assert_eq!(numbers(missing.poll(ms(10))), [0, 1]);
        assert_eq!(missing.poll(ms(19)), None);
        assert_eq!(numbers(missing.poll(ms(20))), [0, 1], "in case the request was lost");
        assert_eq!(missing.handle_packet(ms(50), 0), Arrival::New);
        assert_eq!(missing.handle_packet(ms(51), 0), Arrival::Old);
        assert_eq!(missing.poll(ms(109)), None);
        assert_eq!(numbers(missing.poll(ms(110))), [1], "again");
        let mut asked = 2;
        for now in 111..5000 {
            asked += numbers(missing.poll(ms(now))).len();
        }
        // Ten times within the second, and each time but the last one once more.
        assert_eq!((asked, missing.len()), (19, 0));
        assert_eq!(missing.next_timeout(), None);
        assert_eq!(missing.handle_packet(ms(5000), 1), Arrival::Old);
    }

    #[test]
    fn a_stream_that_begins_anew_is_believed_at_its_second_packet() {
        let mut missing = Missing::new();
        missing.handle_packet(ms(0), 40_000);
        assert_eq!(missing.handle_packet(ms(0), 10_000), Arrival::Old);
        assert_eq!(missing.handle_packet(ms(0), 40_001), Arrival::New);
        assert_eq!(missing.handle_packet(ms(0), 20_000), Arrival::Old);
        assert_eq!(missing.handle_packet(ms(0), 20_001), Arrival::New);
        assert_eq!(missing.handle_packet(ms(0), 20_003), Arrival::New);
        assert_eq!(numbers(missing.poll(ms(10))), [20_002]);
    }

    proptest! {
        #[test]
        fn any_packets_make_few_requests(packets in vec((any::<u16>(), 0..50u64), 0..400)) {
            let mut missing = Missing::new();
            let (mut now, mut asked) = (0, 0);
            for (number, passed) in packets {
                now += passed;
                missing.handle_packet(ms(now), number);
                asked += numbers(missing.poll(ms(now))).len();
                prop_assert!(missing.len() <= MAX_MISSING);
                prop_assert!(missing.next_timeout().is_none_or(|at| at > ms(now)));
            }
            prop_assert!(asked <= 8 * 256 * 400);
        }
    }
}
