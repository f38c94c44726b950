//! The packets that were sent, until it is known what became of them.

use std::collections::VecDeque;
use std::time::Duration;

use super::feedback::{Feedback, FeedbackError};
use super::types::PacketReport;
use crate::Time;
use crate::rtp::RtcpMessage;

/// Packets that are remembered at most. At 50 Mbit/s they are of the last 1.5 s.
const MAX_PACKETS: usize = 8192;
/// Packets are remembered for this long at most.
const FORGOTTEN: Duration = Duration::from_secs(10);
/// A missing packet is lost if no message that comes so much later says that it arrived after all.
const LATE: Duration = Duration::from_millis(30);
/// Where the receiver's clock is taken to begin, in µs. Its first message sets it to this, so that times before it are
/// times as well.
const RECEIVER_START: i64 = 1 << 42;
/// Reference times count units of this, in µs.
const REFERENCE: i64 = 64_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No message tells of it.
    Open,
    /// A message said at this time that it had not arrived.
    Missing(Time),
    /// Reported.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Time,
    bytes: usize,
    probe: Option<u32>,
    state: State,
}

/// Numbers the packets of a path, and makes reports of the feedback about them.
///
/// A packet is reported once: as arrived with the first message that says so, or as lost. Nothing is reported of
/// packets that no message tells of because the message itself was lost.
#[derive(Debug)]
pub struct SentLog {
    packets: VecDeque<Sent>,
    /// Number of the first, without wraps, and of the first that is later than all that a message told of.
    first: u64,
    told: u64,
    /// Bytes of the packets from `told` on.
    under_way: usize,
    /// The last reference time, as it was sent and in µs without wraps.
    clock: Option<(u32, i64)>,
    reports: Vec<PacketReport>,
}

impl Default for SentLog {
    fn default() -> Self {
        Self::new()
    }
}

impl SentLog {
    /// A log that gives the number 0 first.
    pub fn new() -> Self {
        Self { packets: VecDeque::new(), first: 0, told: 0, under_way: 0, clock: None, reports: Vec::new() }
    }

    /// Notes that a packet of `bytes` is sent at `now`, as part of a probe if the pacer says so. Returns the number for
    /// its header extension.
    pub fn push(&mut self, now: Time, bytes: usize, probe: Option<u32>) -> u16 {
        let old = |packet: &Sent| packet.at + FORGOTTEN < now;
        while self.packets.len() >= MAX_PACKETS || self.packets.front().is_some_and(old) {
            self.pop();
        }
        let number = self.first + self.packets.len() as u64;
        self.packets.push_back(Sent { at: now, bytes, probe, state: State::Open });
        self.under_way += bytes;
        number as u16
    }

    fn pop(&mut self) {
        self.tell(self.first + 1);
        self.packets.pop_front();
        self.first += 1;
    }

    /// A message tells of the packets before a number.
    fn tell(&mut self, before: u64) {
        let new = self.told..before.max(self.told);
        let packets = self.packets.range((new.start - self.first) as usize..(new.end - self.first) as usize);
        self.under_way -= packets.map(|packet| packet.bytes).sum::<usize>();
        self.told = new.end;
    }

    /// Bytes of the packets that are on their way: no message tells of them or of any later one.
    pub fn bytes_under_way(&self) -> usize {
        self.under_way
    }

    /// When the oldest packet was sent that is on its way: no message tells of it or of any later one.
    pub fn under_way(&self) -> Option<Time> {
        self.packets.get((self.told - self.first) as usize).map(|packet| packet.at)
    }

    /// Takes a message that came at `now`. Returns the packets whose fate is known by it, in the order that they were
    /// sent, but for those that come late.
    ///
    /// # Errors
    /// [`FeedbackError`]; the message says nothing then.
    pub fn handle_feedback(
        &mut self,
        now: Time,
        message: &RtcpMessage,
    ) -> Result<&[PacketReport], FeedbackError> {
        let feedback = Feedback::read(message)?;
        let next = self.first + self.packets.len() as u64;
        // The latest number sent that is the message's first modulo 2^16. Later ones it may have, but none not sent.
        let behind = (next as u16).wrapping_sub(feedback.first());
        let from = next.checked_sub(u64::from(behind)).filter(|_| behind > 0);
        let not_sent =
            || FeedbackError::NotSent { number: feedback.first().wrapping_add(feedback.len() - 1) };
        let from = from.ok_or_else(not_sent)?;
        if u64::from(feedback.len()) > next - from {
            return Err(not_sent());
        }
        // All of it is read before any of it is believed. It is no longer than the log, or than 2^16 packets.
        if feedback.packets().any(|packet| packet.is_err())
            || feedback.packets().count() < feedback.len().into()
        {
            return Err(FeedbackError::Lists);
        }
        let reference = self.reference(feedback.reference());
        self.reports.clear();
        for (number, packet) in (from..).zip(feedback.packets()) {
            let Some(sent) = number.checked_sub(self.first).and_then(|at| self.packets.get_mut(at as usize))
            else {
                continue;
            };
            match (packet, sent.state) {
                (_, State::Done) | (Ok(None), State::Missing(_)) | (Err(_), _) => {}
                (Ok(None), State::Open) => sent.state = State::Missing(now),
                (Ok(Some(since)), _) => {
                    sent.state = State::Done;
                    let arrived = Time::from_micros(reference.saturating_add(since).max(0) as u64);
                    let Sent { at, bytes, probe, .. } = *sent;
                    self.reports.push(PacketReport { sent: at, arrived: Some(arrived), bytes, probe });
                }
            }
        }
        // Lost ones were sent before most of those.
        let arrived = self.reports.len();
        self.report_lost(now, from);
        self.reports.rotate_left(arrived);
        self.tell(from + u64::from(feedback.len()));
        while self.first < self.told && self.packets.front().is_some_and(|sent| sent.state == State::Done) {
            self.pop();
        }
        Ok(&self.reports)
    }

    /// Reports the packets before a number that are missing for long enough.
    fn report_lost(&mut self, now: Time, before: u64) {
        let told = (self.told - self.first) as usize;
        for (number, sent) in (self.first..).zip(self.packets.iter_mut().take(told)) {
            let lost = match sent.state {
                State::Missing(since) => now >= since + LATE,
                // The message about it got lost.
                State::Open if number < before => {
                    sent.state = State::Done;
                    false
                }
                _ => false,
            };
            if lost {
                sent.state = State::Done;
                let Sent { at, bytes, probe, .. } = *sent;
                self.reports.push(PacketReport { sent: at, arrived: None, bytes, probe });
            }
        }
    }

    /// A reference time in µs of the receiver's clock, by the one before it.
    fn reference(&mut self, reference: u32) -> i64 {
        let (last, micros) = self.clock.unwrap_or((reference, RECEIVER_START));
        // Of 24 bits, with a sign.
        let passed = i64::from((reference.wrapping_sub(last) << 8) as i32 >> 8);
        let micros = micros.saturating_add(passed * REFERENCE);
        self.clock = Some((reference, micros));
        micros
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::feedback::{FeedbackConfig, FeedbackGenerator};
    use super::*;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    /// A message with these lists, without the two SSRCs in front.
    fn message(lists: &[u8]) -> RtcpMessage {
        RtcpMessage::Other { count: 15, packet_type: 205, body: [&[0; 8], lists].concat() }
    }

    /// Sends a packet each 10 ms; those that `arrives` names take 20 ms, by a receiver's clock that is a day ahead.
    fn exchange(count: u64, arrives: impl Fn(u64) -> Option<u64>) -> Vec<PacketReport> {
        let mut log = SentLog::new();
        let mut generator = FeedbackGenerator::new(FeedbackConfig::new(1, 2));
        let mut there: Vec<(u64, u16)> = Vec::new();
        let mut reports = Vec::new();
        for now in 0..10 * count + 500 {
            if now < 10 * count && now % 10 == 0 {
                let number = log.push(ms(now), 1000, None);
                there.extend(arrives(now / 10).map(|late| (now + 20 + late, number)));
            }
            there.retain(|(at, number)| {
                if *at == now {
                    generator.handle_packet(ms(now + 86_400_000), *number, 1000);
                }
                *at > now
            });
            while let Some(message) = generator.poll(ms(now + 86_400_000)) {
                reports.extend_from_slice(log.handle_feedback(ms(now + 20), &message).unwrap());
            }
        }
        reports
    }

    #[test]
    fn every_packet_is_reported_once_as_it_arrived() {
        let reports = exchange(70_000, |_| Some(0));
        assert_eq!(reports.len(), 70_000);
        let first = reports[0];
        for (report, n) in reports.iter().zip(0..) {
            assert_eq!(report.sent, ms(10 * n));
            let delay = |report: &PacketReport| report.arrived.unwrap() - report.sent;
            assert_eq!(delay(report), delay(&first), "packet {n}");
        }
    }

    #[test]
    fn lost_packets_are_told_from_late_ones() {
        // Each 10th is lost, each 7th comes 35 ms late.
        let reports = exchange(1000, |n| match n {
            // Of the last ones no further message tells.
            n if n % 10 == 3 && n < 990 => None,
            n if n % 7 == 6 => Some(35),
            _ => Some(0),
        });
        assert_eq!(reports.iter().filter(|report| report.arrived.is_none()).count(), 99);
        let mut sent: Vec<_> = reports.iter().map(|report| report.sent).collect();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!((sent.len(), reports.len()), (1000, 1000), "each of them once");
    }

    #[test]
    fn packets_of_a_lost_message_are_not_lost() {
        let mut log = SentLog::new();
        (0..6).for_each(|n| assert_eq!(log.push(ms(n), 100, Some(7)), n as u16));
        assert_eq!(log.under_way(), Some(ms(0)));
        // Of packet 0, and of 4: one-bit vectors.
        let first = [0, 0, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0];
        let reports = log.handle_feedback(ms(30), &message(&first)).unwrap();
        let arrived = Some(Time::from_micros(RECEIVER_START as u64 + 1000));
        assert_eq!(reports, [PacketReport { sent: ms(0), arrived, bytes: 100, probe: Some(7) }]);
        assert_eq!(log.under_way(), Some(ms(1)));
        let fourth = [0, 4, 0, 1, 0, 0, 2, 1, 0x20, 1, 8, 0];
        let reports = log.handle_feedback(ms(90), &message(&fourth)).unwrap();
        let arrived = Some(Time::from_micros(RECEIVER_START as u64 + 66_000));
        assert_eq!(reports, [PacketReport { sent: ms(4), arrived, bytes: 100, probe: Some(7) }]);
        assert_eq!(log.handle_feedback(ms(200), &message(&fourth)).unwrap(), [], "said before");
        assert_eq!(log.under_way(), Some(ms(5)));
        assert_eq!(log.packets.len(), 1);
    }

    #[test]
    fn feedback_about_what_was_not_sent_is_refused() {
        let mut log = SentLog::new();
        let at_5 = [0, 5, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0];
        assert_eq!(
            log.handle_feedback(ms(0), &message(&at_5)),
            Err(FeedbackError::NotSent { number: 5 }),
            "nothing was sent"
        );
        (0..5).for_each(|n| {
            log.push(ms(n), 100, None);
        });
        assert_eq!(log.handle_feedback(ms(9), &message(&at_5)), Err(FeedbackError::NotSent { number: 5 }));
        let beyond = [0, 4, 0, 2, 0, 0, 1, 0, 0x20, 2, 4, 4];
        assert_eq!(log.handle_feedback(ms(9), &message(&beyond)), Err(FeedbackError::NotSent { number: 5 }));
        let short = [0, 3, 0, 2, 0, 0, 1, 0, 0x20, 2];
        assert_eq!(log.handle_feedback(ms(9), &message(&short)), Err(FeedbackError::Lists));
        assert_eq!(log.under_way(), Some(ms(0)), "nothing was believed");
    }

    #[test]
    fn the_log_is_bounded() {
        let mut log = SentLog::new();
        (0..3 * MAX_PACKETS as u64).for_each(|n| {
            log.push(Time::from_micros(n), 100, None);
        });
        assert_eq!(log.packets.len(), MAX_PACKETS);
        for n in 0..MAX_PACKETS as u64 {
            log.push(ms(20_000 + n), 100, None);
        }
        assert!(log.packets.front().unwrap().at >= ms(20_000));
    }

    proptest! {
        /// Feedback of any bytes: each packet is reported once at most, and little is remembered.
        #[test]
        fn any_feedback_is_taken_or_refused(
            messages in vec((0..60u64, vec(any::<u8>(), 0..60), 0..100u16, 0..100u16), 0..30),
        ) {
            let mut log = SentLog::new();
            let mut reported = std::collections::HashSet::new();
            let mut now = 0;
            for (count, mut lists, first, len) in messages {
                for _ in 0..count {
                    log.push(ms(now), 100, None);
                    now += 1;
                }
                // Half of them are about packets that were sent.
                if lists.len() >= 8 && first % 2 == 0 {
                    lists[..2].copy_from_slice(&(now as u16).wrapping_sub(first).to_be_bytes());
                    lists[2..4].copy_from_slice(&len.to_be_bytes());
                }
                if let Ok(reports) = log.handle_feedback(ms(now), &message(&lists)) {
                    for report in reports {
                        prop_assert!(report.sent < ms(now) && reported.insert(report.sent));
                    }
                }
                prop_assert!(log.packets.len() <= MAX_PACKETS && log.told >= log.first);
                prop_assert!(log.told <= log.first + log.packets.len() as u64);
            }
        }
    }
}
