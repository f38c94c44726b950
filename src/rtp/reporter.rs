//! Sender and receiver reports (RFC 3550, section 6.4): when they are due, and what is in them.
//!
//! They go out on their own, as RFC 5506 allows, without the items of section 6.5: which streams belong together is for
//! the program to agree on.

use std::time::Duration;

use crate::Time;
use crate::rtp::numbers::unwrap;
use crate::rtp::{ReportBlock, RtcpMessage, RtpHeader, SenderInfo};

/// From one report to the next. Section 6.2 recommends 360 divided by the bandwidth in kbit/s, in seconds, which is
/// this at 360 kbit/s; two ends need no random part in it, which is there so that many members do not report at once.
const INTERVAL: Duration = Duration::from_secs(1);
/// `MAX_DROPOUT` and `MAX_MISORDER` of section A.1: a sequence number that is further ahead or behind begins a new
/// stream, once the next one follows it.
const MAX_DROPOUT: u64 = 3000;
const MAX_MISORDER: u64 = 100;
/// Ticks of the RTP clock in a second.
const CLOCK: u64 = 90_000;
/// Of a longer round trip nothing is believed.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(10);

/// A time in units of 2^-32 s, in which its seconds wrap.
fn ntp(time: Time) -> u64 {
    let since = time.since_start();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    since.as_secs() << 32 | fraction
}

/// The same in units of 2^-16 s.
fn ntp_middle(time: Time) -> u32 {
    (ntp(time) >> 16) as u32
}

/// When the next report is due.
#[derive(Debug, Default)]
struct Schedule {
    /// The last report, or what was sent or came first, and whether anything was or did since.
    last: Option<Time>,
    news: bool,
}

impl Schedule {
    fn handle_packet(&mut self, now: Time) {
        self.last.get_or_insert(now);
        self.news = true;
    }

    fn next_timeout(&self) -> Option<Time> {
        self.last.filter(|_| self.news).map(|last| last + INTERVAL)
    }

    fn poll(&mut self, now: Time) -> bool {
        let due = self.next_timeout().is_some_and(|at| at <= now);
        if due {
            (self.last, self.news) = (Some(now), false);
        }
        due
    }
}

/// Counts what a sender sends.
#[derive(Debug, Default)]
pub(crate) struct SenderReports {
    schedule: Schedule,
    packets: u32,
    octets: u32,
}

impl SenderReports {
    /// A packet with this much payload is sent.
    pub(crate) fn handle_packet(&mut self, now: Time, payload: usize) {
        self.schedule.handle_packet(now);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
    }

    /// The report that is due, if any. `timestamp` is that of `now`.
    pub(crate) fn poll(&mut self, now: Time, ssrc: u32, timestamp: u32) -> Option<RtcpMessage> {
        let Self { packets, octets, .. } = *self;
        self.schedule.poll(now).then(|| RtcpMessage::SenderReport {
            ssrc,
            info: SenderInfo { ntp: ntp(now), timestamp, packets, octets },
            blocks: vec![],
        })
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.schedule.next_timeout()
    }
}

/// The time from a sender report to the receiver's answer, without the time that the receiver had it; `None` if the
/// receiver answered none, or none of the last ten seconds.
pub(crate) fn round_trip(now: Time, block: &ReportBlock) -> Option<Duration> {
    if block.last_report == 0 {
        return None;
    }
    let passed = ntp_middle(now).wrapping_sub(block.last_report);
    let ticks = passed.checked_sub(block.since_last_report)?;
    let round_trip = Duration::from_micros((u64::from(ticks) * 1_000_000) >> 16);
    (round_trip <= MAX_ROUND_TRIP).then_some(round_trip)
}

/// Counts what a receiver receives of one stream (sections A.1, A.3 and A.8).
#[derive(Debug, Default)]
pub(crate) struct ReceiverReports {
    schedule: Schedule,
    counts: Option<Counts>,
    /// The one after a sequence number that was far from the others.
    jump: Option<u16>,
    /// The last sender report's middle 32 bits, and when it came.
    last_report: Option<(u32, Time)>,
}

/// Sequence numbers are without their wraps.
#[derive(Debug)]
struct Counts {
    first: u64,
    highest: u64,
    received: u64,
    /// Expected and received as of the report before.
    before: (u64, u64),
    /// Arrival time less timestamp of the last packet, in ticks, and 16 times the jitter.
    transit: u32,
    jitter: u64,
}

impl ReceiverReports {
    /// A packet of the stream came.
    pub(crate) fn handle_packet(&mut self, now: Time, header: &RtpHeader) {
        let &RtpHeader { sequence_number, timestamp, .. } = header;
        let since = now.since_start();
        let ticks = u64::from(since.subsec_micros()) * CLOCK / 1_000_000;
        let arrived = since.as_secs().wrapping_mul(CLOCK).wrapping_add(ticks) as u32;
        let transit = arrived.wrapping_sub(timestamp);
        let number = self.counts.as_ref().map(|counts| unwrap(sequence_number, counts.highest));
        let is_far = |counts: &Counts, number: u64| {
            number > counts.highest + MAX_DROPOUT || number + MAX_MISORDER < counts.highest
        };
        match (&mut self.counts, number) {
            (Some(counts), Some(number)) if !is_far(counts, number) => {
                counts.received += 1;
                if number > counts.highest {
                    counts.highest = number;
                    // Packets that were sent again tell nothing of the path's variation.
                    let off = transit.wrapping_sub(counts.transit).cast_signed().unsigned_abs();
                    counts.transit = transit;
                    counts.jitter = counts.jitter - ((counts.jitter + 8) >> 4) + u64::from(off);
                }
            }
            (Some(_), _) if self.jump != Some(sequence_number) => {
                self.jump = Some(sequence_number.wrapping_add(1));
                return;
            }
            (counts, _) => {
                // The wraps begin at 1, so that no number before it is below 0.
                let first = (1 << 16) + u64::from(sequence_number);
                *counts =
                    Some(Counts { first, highest: first, received: 1, before: (0, 0), transit, jitter: 0 });
            }
        }
        self.jump = None;
        self.schedule.handle_packet(now);
    }

    /// A report of the stream's sender came.
    pub(crate) fn handle_report(&mut self, now: Time, info: &SenderInfo) {
        self.last_report = Some((info.middle(), now));
    }

    /// The report that is due, if any.
    pub(crate) fn poll(&mut self, now: Time, ssrc: u32, media_ssrc: u32) -> Option<RtcpMessage> {
        let counts = self.counts.as_mut()?;
        if !self.schedule.poll(now) {
            return None;
        }
        let expected = counts.highest - counts.first + 1;
        let (expected_now, received_now) = (expected - counts.before.0, counts.received - counts.before.1);
        counts.before = (expected, counts.received);
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction = (lost_now << 8).checked_div(expected_now).unwrap_or(0);
        let lost =
            i64::try_from(expected).unwrap_or(i64::MAX) - i64::try_from(counts.received).unwrap_or(i64::MAX);
        let (last_report, since) =
            self.last_report.map_or((0, 0), |(report, at)| (report, (now - at).as_micros() << 16));
        let block = ReportBlock {
            ssrc: media_ssrc,
            fraction_lost: fraction.min(255) as u8,
            lost: lost.clamp(-(1 << 23), (1 << 23) - 1) as i32,
            highest: (counts.highest - (1 << 16)) as u32,
            jitter: (counts.jitter >> 4) as u32,
            last_report,
            since_last_report: (since / 1_000_000).min(u32::MAX.into()) as u32,
        };
        Some(RtcpMessage::ReceiverReport { ssrc, blocks: vec![block] })
    }

    pub(crate) fn next_timeout(&self) -> Option<Time> {
        self.schedule.next_timeout()
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

    fn header(sequence_number: u16, timestamp: u32) -> RtpHeader {
        RtpHeader { sequence_number, timestamp, ..RtpHeader::default() }
    }

    fn block(message: Option<RtcpMessage>) -> ReportBlock {
        let Some(RtcpMessage::ReceiverReport { ssrc: 1, blocks }) = message else { panic!("{message:?}") };
        blocks[0]
    }

    #[test]
    fn a_sender_report_counts_and_comes_each_second_while_packets_go() {
        let mut reports = SenderReports::default();
        assert_eq!((reports.next_timeout(), reports.poll(ms(5000), 7, 0)), (None, None));
        reports.handle_packet(ms(500), 100);
        reports.handle_packet(ms(600), 50);
        assert_eq!(reports.next_timeout(), Some(ms(1500)));
        assert_eq!(reports.poll(ms(1499), 7, 0), None);
        let info = SenderInfo { ntp: 3 << 31, timestamp: 9, packets: 2, octets: 150 };
        let report = RtcpMessage::SenderReport { ssrc: 7, info, blocks: vec![] };
        assert_eq!(reports.poll(ms(1500), 7, 9), Some(report));
        assert_eq!((reports.next_timeout(), reports.poll(ms(9000), 7, 0)), (None, None));
    }

    #[test]
    fn a_receiver_report_counts_losses_and_jitter() {
        let mut reports = ReceiverReports::default();
        // Each 10th of 100 is lost; of the others each second one comes 10 ms late, and one comes twice.
        for n in (0..100u16).filter(|n| n % 10 != 4) {
            let at = ms(10 * u64::from(n) + if n % 2 == 0 { 10 } else { 0 });
            let header = header(65_500u16.wrapping_add(n), 900 * u32::from(n));
            reports.handle_packet(at, &header);
            if n == 99 {
                reports.handle_packet(at, &header);
            }
        }
        let first = block(reports.poll(ms(1010), 1, 2));
        assert_eq!((first.ssrc, first.lost, first.fraction_lost), (2, 9, 23));
        assert_eq!(first.highest, (1 << 16) + 63);
        // 10 ms are 900 ticks.
        assert!((750..=900).contains(&first.jitter), "{first:?}");
        assert_eq!((first.last_report, first.since_last_report), (0, 0));
        assert_eq!(reports.poll(ms(3000), 1, 2), None, "nothing came");
        // The next ones all come, and some that were missing.
        for n in [64, 65, 66, 14, 24] {
            reports.handle_packet(ms(3000), &header(n, 0));
        }
        let second = block(reports.poll(ms(3000), 1, 2));
        assert_eq!((second.lost, second.fraction_lost), (7, 0));
        // A number far from the others is believed once the next one follows it.
        for n in [30_000, 67, 40_000, 40_001] {
            reports.handle_packet(ms(5000), &header(n, 0));
        }
        let third = block(reports.poll(ms(5000), 1, 2));
        assert_eq!((third.highest, third.lost), (40_001, 0));
    }

    #[test]
    fn the_answer_to_a_report_tells_the_round_trip() {
        let (mut sender, mut receiver) = (SenderReports::default(), ReceiverReports::default());
        sender.handle_packet(ms(100_000), 10);
        let Some(RtcpMessage::SenderReport { info, .. }) = sender.poll(ms(101_000), 7, 0) else { panic!() };
        // The receiver's clock is an hour ahead.
        let away = |at: u64| ms(3_600_000 + at);
        receiver.handle_packet(away(100_050), &header(1, 0));
        receiver.handle_report(away(101_050), &info);
        let report = block(receiver.poll(away(101_250), 1, 7));
        let measured = round_trip(ms(101_300), &report).unwrap();
        assert!(measured.abs_diff(Duration::from_millis(100)) < Duration::from_millis(1), "{measured:?}");
        assert_eq!(round_trip(ms(101_100), &report), None, "answered before it was sent");
        assert_eq!(round_trip(ms(120_000), &report), None);
        assert_eq!(round_trip(ms(101_300), &ReportBlock::default()), None);
    }

    proptest! {
        #[test]
        fn any_packets_are_counted(
            packets in vec((any::<u64>(), prop_oneof![0..50u16, any::<u16>()], any::<u32>()), 0..200),
        ) {
            let mut reports = ReceiverReports::default();
            let mut time = Time::ZERO;
            for (at, sequence_number, timestamp) in packets {
                time = time.max(Time::from_micros(at));
                reports.handle_packet(time, &header(sequence_number, timestamp));
                reports.handle_report(time, &SenderInfo::default());
                if let Some(message) = reports.poll(time, 1, 2) {
                    prop_assert!(block(Some(message)).lost <= 3000 * 200);
                }
                prop_assert!(reports.next_timeout().is_none_or(|at| at > time || at == Time::MAX));
            }
        }
    }
}
