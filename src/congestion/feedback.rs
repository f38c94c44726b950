//! Transport-wide feedback, by draft-holmer-rmcat-transport-wide-cc-extensions-01: the numbers of packets, and the
//! message that says when they arrived.
//!
//! The message is a transport layer feedback (RFC 4585, packet type 205) of format 15. Its lists of chunks and deltas
//! are written and read by the crate `rtcp-types`.

use std::time::Duration;

use rtcp_types::prelude::{FciParser, RtcpPacketWriter};
use rtcp_types::{Twcc, TwccPacketStatus};

use crate::Time;
use crate::rtp::RtcpMessage;
use crate::rtp::numbers::unwrap;
use crate::rtp::rtcp::{RTPFB, TRANSPORT_WIDE};

/// The name by which the header extension is agreed on (`a=extmap` in SDP).
pub const EXTENSION_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Numbers that a generator remembers, a power of two. Of 2.5 MB in packets of 1200 bytes nothing is forgotten.
const WINDOW: u64 = 2048;
/// A packet that comes late is told of if it is at most so many numbers behind the newest.
const LATE: u64 = 256;
/// Bytes of the lists in a message at most, so that it fits a packet together with others.
const MAX_LISTS: usize = 1000;
/// Bytes around a message: IP, UDP, and SRTCP.
const OVERHEAD: usize = 42;
/// Messages take at most this share of the bytes that arrive: the 5 % of RFC 3550, section 6.2.
const SHARE: usize = 20;
/// Times in a message count units of 250 µs, its reference time units of 256 of them.
const TICK: i64 = 250;
const REFERENCE_TICKS: i64 = 256;

/// Why a message is no transport-wide feedback about the packets sent. It changes nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FeedbackError {
    /// A message of another type or format.
    #[error("not a transport-wide feedback message")]
    Type,
    /// A message that ends within its lists, or has a symbol that the draft reserves.
    #[error("a feedback message whose lists do not fit its length")]
    Lists,
    /// Packets that were never sent.
    #[error("feedback about packet {number}, which was not sent yet")]
    NotSent {
        /// The number of the last packet in the message.
        number: u16,
    },
}

/// The number in the header extension's bytes, which [`RtpPacket::extension`](crate::rtp::RtpPacket::extension)
/// returns; `None` if they have another length than the draft's 2 bytes, or the 4 of its second version.
pub fn transport_number(extension: &[u8]) -> Option<u16> {
    match *extension {
        [high, low] | [high, low, _, _] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// The properties of a [`FeedbackGenerator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedbackConfig {
    /// The receiver's own SSRC.
    pub sender_ssrc: u32,
    /// The SSRC of a stream that is received.
    pub media_ssrc: u32,
    /// Messages are at least this far apart.
    pub shortest: Duration,
    /// They are at most this far apart while packets come, even if they take more than 5 % of the bytes received.
    pub longest: Duration,
}

impl FeedbackConfig {
    /// Messages every 50 to 250 ms.
    pub fn new(sender_ssrc: u32, media_ssrc: u32) -> Self {
        let (shortest, longest) = (Duration::from_millis(50), Duration::from_millis(250));
        Self { sender_ssrc, media_ssrc, shortest, longest }
    }
}

/// Notes when packets arrive, and makes feedback messages of it.
///
/// A message names each number since the last one, as arrived or not. If a packet comes after a message that named it
/// as missing, the next message goes back to it. A number that is far from the last ones is a new beginning: nothing is
/// said of those before it.
#[derive(Debug)]
pub struct FeedbackGenerator {
    config: FeedbackConfig,
    /// The tick of arrival of number n is at n modulo [`WINDOW`].
    arrivals: Box<[Option<i64>]>,
    /// The numbers to be told of, without their wraps: those from the first to before the second.
    from: u64,
    end: u64,
    /// The earliest number that the window may hold.
    floor: u64,
    /// Messages made.
    count: u8,
    /// When the last message was made, its bytes, and the bytes that came since.
    last: Option<(Time, usize)>,
    bytes: usize,
    /// When the first packet came that no message tells of.
    waiting: Option<Time>,
    statuses: Vec<TwccPacketStatus>,
}

impl FeedbackGenerator {
    /// A generator that has seen no packet.
    pub fn new(config: FeedbackConfig) -> Self {
        Self {
            config,
            arrivals: vec![None; WINDOW as usize].into(),
            from: 0,
            end: 0,
            floor: 0,
            count: 0,
            last: None,
            bytes: 0,
            waiting: None,
            statuses: Vec::with_capacity(WINDOW as usize),
        }
    }

    /// Notes that a packet of `bytes` with the transport-wide `number` arrived at `now`.
    pub fn handle_packet(&mut self, now: Time, number: u16, bytes: usize) {
        let number = self.unwrapped(number);
        if number >= self.end {
            // Numbers between are missing until they come.
            for missing in self.end..number {
                self.arrivals[(missing % WINDOW) as usize] = None;
            }
            self.end = number + 1;
            self.floor = self.floor.max(self.end.saturating_sub(WINDOW));
            self.from = self.from.max(self.floor);
        } else if number < self.floor || self.end - number > LATE {
            return;
        } else if self.arrivals[(number % WINDOW) as usize].is_some() {
            // Came before.
            return;
        }
        let since = now.since_start();
        let seconds = since.as_secs().min(1 << 38) as i64;
        let tick = seconds * (1_000_000 / TICK) + i64::from(since.subsec_micros()) / TICK;
        self.arrivals[(number % WINDOW) as usize] = Some(tick);
        self.from = self.from.min(number);
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting.get_or_insert(now);
    }

    /// The number without its wraps. If it is far from the last ones, everything begins anew with it.
    fn unwrapped(&mut self, number: u16) -> u64 {
        let near = unwrap(number, self.end);
        if self.end == 0 || near >= self.end + WINDOW || near + WINDOW < self.end {
            // In the next round, so that no number before it is below 0.
            let begin = (self.end | 0xffff) + 1 + u64::from(number);
            (self.from, self.end, self.floor) = (begin, begin, begin);
            return begin;
        }
        near
    }

    /// The message that is due at `now`, if any. Call it again until it returns `None`.
    pub fn poll(&mut self, now: Time) -> Option<RtcpMessage> {
        if now < self.next_timeout()? {
            return None;
        }
        let lists = self.lists();
        let mut body = Vec::with_capacity(8 + lists.len());
        body.extend_from_slice(&self.config.sender_ssrc.to_be_bytes());
        body.extend_from_slice(&self.config.media_ssrc.to_be_bytes());
        body.extend_from_slice(&lists);
        if self.from == self.end {
            self.last = Some((now, OVERHEAD + 4 + body.len()));
            self.bytes = 0;
            self.waiting = None;
        }
        Some(RtcpMessage::Other { count: TRANSPORT_WIDE, packet_type: RTPFB, body })
    }

    /// When the next message is due; `None` while no packet has come since the last one.
    pub fn next_timeout(&self) -> Option<Time> {
        let waiting = self.waiting?;
        let Some((at, size)) = self.last else { return Some(waiting) };
        let enough = self.bytes >= SHARE * size;
        Some(at + if enough { self.config.shortest } else { self.config.longest })
    }

    /// Writes as many numbers as a message holds, which are told of then.
    fn lists(&mut self) -> Vec<u8> {
        let arrival = |number: u64| self.arrivals[(number % WINDOW) as usize];
        let mut before = None;
        let mut reference = 0;
        self.statuses.clear();
        for number in self.from..self.end {
            let Some(tick) = arrival(number) else {
                self.statuses.push(TwccPacketStatus::NotReceived);
                continue;
            };
            let last = *before.get_or_insert_with(|| {
                reference = tick.div_euclid(REFERENCE_TICKS);
                reference * REFERENCE_TICKS
            });
            // A delta that a message cannot say begins the next one.
            let Ok(delta) = i16::try_from(tick - last) else { break };
            before = Some(tick);
            self.statuses.push(TwccPacketStatus::Received { delta });
        }
        let builder = Twcc::builder(
            self.from as u16,
            (reference & 0xff_ffff) as u32,
            self.count,
            &self.statuses,
            Some(MAX_LISTS),
        );
        self.count = self.count.wrapping_add(1);
        // At least one, so that polling comes to an end.
        self.from += builder.packet_status_count().max(1) as u64;
        let mut lists = vec![0; builder.calculate_size().unwrap_or(0)];
        builder.write_into_unchecked(&mut lists);
        lists
    }
}

/// A feedback message that was received.
#[derive(Debug)]
pub(super) struct Feedback<'a> {
    lists: Twcc<'a>,
    len: u16,
}

impl<'a> Feedback<'a> {
    pub fn read(message: &'a RtcpMessage) -> Result<Self, FeedbackError> {
        let RtcpMessage::Other { count: TRANSPORT_WIDE, packet_type: RTPFB, body } = message else {
            return Err(FeedbackError::Type);
        };
        let lists = body.get(8..).ok_or(FeedbackError::Lists)?;
        let &[_, _, high, low, ..] = lists else { return Err(FeedbackError::Lists) };
        let len = u16::from_be_bytes([high, low]);
        if len == 0 {
            return Err(FeedbackError::Lists);
        }
        Ok(Self { lists: Twcc::parse(lists).map_err(|_| FeedbackError::Lists)?, len })
    }

    /// The number of packets that it tells of, at least 1.
    pub fn len(&self) -> u16 {
        self.len
    }

    /// The first number.
    pub fn first(&self) -> u16 {
        self.lists.base_sequence_number()
    }

    /// The reference time, in units of 64 ms that wrap at 2^24.
    pub fn reference(&self) -> u32 {
        self.lists.reference_time()
    }

    /// For each packet, from [`first`](Self::first) on, the µs from the reference time to its arrival, if it arrived.
    pub fn packets(&self) -> impl Iterator<Item = Result<Option<i64>, FeedbackError>> + 'a {
        let mut since = 0;
        self.lists.packets().map(move |packet| match packet {
            Ok((_, TwccPacketStatus::NotReceived)) => Ok(None),
            Ok((_, TwccPacketStatus::Received { delta })) => {
                since += i64::from(delta) * TICK;
                Ok(Some(since))
            }
            Err(_) => Err(FeedbackError::Lists),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::rtcp;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    fn generator() -> FeedbackGenerator {
        FeedbackGenerator::new(FeedbackConfig::new(1, 2))
    }

    /// The numbers of a message and the µs of arrival by the receiver's clock, for which it is less than 12 days old.
    fn read(message: &RtcpMessage) -> Vec<(u16, Option<i64>)> {
        let feedback = Feedback::read(message).unwrap();
        let reference = i64::from(feedback.reference()) * REFERENCE_TICKS * TICK;
        let packets = feedback.packets().map(|packet| packet.unwrap().map(|since| reference + since));
        let numbers = (0..feedback.len()).map(|n| feedback.first().wrapping_add(n));
        numbers.zip(packets).collect()
    }

    #[test]
    fn a_message_lies_as_the_draft_draws_it() {
        let mut generator = generator();
        // 64 ms are one unit of the reference time; 250 µs one tick. One packet is missing, one came early.
        generator.handle_packet(Time::from_micros(128_500), 0xffff, 1000);
        generator.handle_packet(Time::from_micros(140_000), 2, 1000);
        generator.handle_packet(Time::from_micros(130_000), 0, 1000);
        let message = generator.poll(ms(200)).unwrap();
        let mut bytes = Vec::new();
        rtcp::write(std::slice::from_ref(&message), &mut bytes).unwrap();
        let expected = [
            &[0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2][..],
            // Number 65535 on, 4 packets, reference time 2, message 0.
            &[0xff, 0xff, 0, 4, 0, 0, 2, 0],
            // Two-bit symbols: 1, 1, 0, 1. Ticks: 2, 6, 40.
            &[0b1101_0100, 0b0100_0000, 2, 6, 40, 0, 0, 0],
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(
            read(&message),
            [(65535, Some(128_500)), (0, Some(130_000)), (1, None), (2, Some(140_000))]
        );
        assert_eq!(generator.poll(ms(2000)), None, "everything is told");
    }

    #[test]
    fn messages_come_every_50_ms_and_seldom_if_they_would_take_more_than_their_share() {
        let messages = |bytes: usize| {
            let mut generator = generator();
            let mut times = Vec::new();
            for n in 0..100 {
                generator.handle_packet(ms(10 * n), n as u16, bytes);
                times.extend(generator.poll(ms(10 * n)).map(|_| 10 * n));
            }
            assert!(generator.next_timeout().is_some_and(|at| at <= ms(1240)));
            times
        };
        let often = messages(1200);
        assert_eq!(often[..4], [0, 50, 100, 150]);
        let seldom = messages(40);
        assert_eq!(seldom[..4], [0, 250, 500, 750]);
    }

    #[test]
    fn a_packet_that_comes_late_is_told_of_after_all_and_one_that_comes_twice_is_not() {
        let mut generator = generator();
        for n in [10, 11, 13] {
            generator.handle_packet(ms(n), n as u16, 1200);
        }
        assert_eq!(read(&generator.poll(ms(14)).unwrap()).len(), 4);
        generator.handle_packet(ms(20), 12, 1200);
        generator.handle_packet(ms(21), 13, 1200);
        generator.handle_packet(ms(22), 14, 1200);
        let told = read(&generator.poll(ms(500)).unwrap());
        assert_eq!(told, [(12, Some(20_000)), (13, Some(13_000)), (14, Some(22_000))]);
    }

    #[test]
    fn a_long_gap_is_split_and_a_far_number_begins_anew() {
        let mut generator = generator();
        generator.handle_packet(ms(0), 5, 1200);
        assert!(generator.poll(ms(0)).is_some());
        // 10 s later: more than a delta can say, but the first of a message needs none.
        generator.handle_packet(ms(10_000), 6, 1200);
        generator.handle_packet(ms(20_000), 1500, 1200);
        let first = read(&generator.poll(ms(20_000)).unwrap());
        assert_eq!((first[0], first.len()), ((6, Some(10_000_000)), 1494));
        let second = read(&generator.poll(ms(20_000)).unwrap());
        assert_eq!(second, [(1500, Some(20_000_000))]);
        // Nothing is said of what lies between.
        generator.handle_packet(ms(20_100), 40_000, 1200);
        generator.handle_packet(ms(20_110), 39_000, 1200);
        assert_eq!(read(&generator.poll(ms(21_000)).unwrap()), [(40_000, Some(20_100_000))]);
    }

    #[test]
    fn many_packets_are_split_over_messages_that_fit() {
        let mut generator = generator();
        // Deltas of 2 bytes each.
        for n in 0..1500u64 {
            generator.handle_packet(ms(100 * n), n as u16, 1200);
        }
        let mut told = Vec::new();
        while let Some(message) = generator.poll(ms(200_000)) {
            let RtcpMessage::Other { body, .. } = &message else { panic!() };
            assert!(body.len() <= MAX_LISTS + 8);
            told.extend(read(&message));
        }
        let expected: Vec<_> = (0..1500).map(|n| (n as u16, Some(100_000 * i64::from(n)))).collect();
        assert_eq!(told, expected);
    }

    /// Two messages of Chromium 156, of which each has three bytes of padding.
    #[test]
    fn feedback_of_a_browser_is_read() {
        let mut packet =
            vec![0xaf, 205, 0, 6, 0, 0, 0x10, 4, 0, 0, 0x10, 6, 7, 0x0a, 0, 3, 0x0c, 0x52, 0x50, 0x20];
        packet.extend([0x20, 3, 0x76, 0x70, 0x30, 0, 0, 3]);
        packet.extend([0xaf, 205, 0, 6, 0, 0, 0x10, 4, 0, 0, 0x10, 6, 7, 0x0d, 0, 3, 0x0c, 0x52, 0x51, 0x21]);
        packet.extend([0x20, 3, 0x66, 0x50, 0x51, 0, 0, 3]);
        let messages: Vec<_> = rtcp::read(&packet).map(Result::unwrap).collect();
        let told: Vec<_> = messages.iter().flat_map(read).collect();
        let numbers: Vec<_> = told.iter().map(|(number, arrival)| (*number, arrival.is_some())).collect();
        assert_eq!(numbers, (1802..1808).map(|number| (number, true)).collect::<Vec<_>>());
        let first = told[0].1.unwrap();
        let since: Vec<_> = told.iter().map(|(_, arrival)| arrival.unwrap() - first).collect();
        assert_eq!(since, [0, 28_000, 40_000, 60_000, 80_000, 100_250]);
    }

    #[test]
    fn what_is_no_feedback_is_refused() {
        let other =
            |packet_type, body: &[u8]| RtcpMessage::Other { count: 15, packet_type, body: body.to_vec() };
        assert_eq!(Feedback::read(&other(206, &[0; 20])).err(), Some(FeedbackError::Type));
        assert_eq!(Feedback::read(&other(205, &[0; 12])).err(), Some(FeedbackError::Lists));
        assert_eq!(Feedback::read(&other(205, &[0; 20])).err(), Some(FeedbackError::Lists), "of no packet");
        assert_eq!(transport_number(&[1, 2]), Some(258));
        assert_eq!(transport_number(&[1, 2, 3, 4]), Some(258));
        assert_eq!(transport_number(&[1]), None);
    }

    proptest! {
        /// Whatever order, numbers and times packets come in: polling ends, messages say what happened, and few
        /// numbers are told of.
        #[test]
        fn any_packets_are_told_of_truly(
            begin in any::<u16>(),
            packets in vec(
                (prop_oneof![9 => 0..20u16, 1 => any::<u16>()], prop_oneof![9 => 0..5000u64, 1 => 0..20_000_000u64]),
                1..300,
            ),
            poll_every in 1..40usize,
        ) {
            let mut generator = generator();
            let (mut number, mut now) = (begin, Time::from_secs(1));
            let mut arrived = std::collections::HashMap::<u16, Vec<i64>>::new();
            for (at, (step, passed)) in packets.into_iter().enumerate() {
                number = number.wrapping_add(step).wrapping_sub(if step < 20 { 5 } else { 0 });
                now += Duration::from_micros(passed);
                generator.handle_packet(now, number, 1200);
                let tick = now.since_start().as_micros() as i64 / TICK;
                arrived.entry(number).or_default().push(tick * TICK);
                if at % poll_every == 0 {
                    for _ in 0..WINDOW + 1 {
                        let Some(message) = generator.poll(now) else { break };
                        for (number, at) in read(&message) {
                            if let Some(at) = at {
                                prop_assert!(arrived[&number].contains(&at), "{number} at {at}");
                            }
                        }
                    }
                    let done = generator.next_timeout().is_none_or(|at| at > now);
                    prop_assert!(done, "polling has no end");
                }
                prop_assert!(generator.end - generator.from <= WINDOW);
            }
        }
    }
}
