//! One sender over one link, with the product's two ends of a path and the packets that go between them: pacer,
//! transport-wide numbers, feedback messages, log and estimator. The sender codes as much as the estimate says.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use oorandom::Rand64;

use super::link::{Link, LinkConfig};
use super::model::{FLOW_SIZES, FLOW_SKIP, FLOW_SPREAD, HEADERS, PAYLOAD, START};
use super::trace::Trace;
use crate::Time;
use crate::congestion::{
    FeedbackConfig, PacerConfig, PacketClass, PathPacket, ReceivePath, SendPath, SendPathConfig,
    SendPathOutput,
};
use crate::rtp::{RtpHeader, rtcp};

/// The flow is looked at in steps of this.
const TICK: Duration = Duration::from_millis(1);
/// Estimates are noted in steps of this.
const ESTIMATES: u64 = 10;
/// Identifier of the transport-wide number's header extension.
const TRANSPORT_ID: u8 = 3;
/// SSRC of the padding, which is not that of the media.
const PADDING_SSRC: u32 = 2;

/// A sender and a link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Flow {
    /// The link's capacity.
    pub trace: Trace,
    /// Its delay, queue and loss. The way back has the same delay and loses nothing.
    pub link: LinkConfig,
    /// The most that the sender codes, in bit/s.
    pub most: u64,
    /// The pacer's properties.
    pub pacer: PacerConfig,
}

/// What became of a flow.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FlowOutcome {
    /// The estimate in bit/s, each 10 ms.
    pub estimates: Vec<u64>,
    /// Of each packet that arrived: when it was sent, its bytes, µs in the link's queue, and whether it is padding.
    pub packets: Vec<(Time, usize, u32, bool)>,
    /// Packets that were lost.
    pub lost: u64,
    /// Pictures that the sender left out, since packets still waited to be sent.
    pub skipped: u64,
    /// Frames that the pacer dropped.
    pub dropped: u64,
    /// Bytes of all feedback messages.
    pub feedback: u64,
}

impl Flow {
    /// A sender that uses all that the link carries, up to 20 Mbit/s.
    pub fn new(trace: Trace, link: LinkConfig) -> Self {
        Self { trace, link, most: 20_000_000, pacer: PacerConfig::default() }
    }

    /// Runs it for a time. The same flow has the same outcome.
    pub fn run(&self, duration: Duration) -> FlowOutcome {
        let mut outcome = FlowOutcome::default();
        let mut link = Link::new(self.trace.clone(), self.link);
        let mut random = Rand64::new(u128::from(self.link.seed));
        let mut config = SendPathConfig::new(START);
        (config.wanted, config.pacer, config.padding_ssrc) = (self.most, self.pacer, PADDING_SSRC);
        let overhead = config.overhead;
        let mut path = SendPath::new(config, Some(TRANSPORT_ID));
        let mut receiver = ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(1, 2));
        let media = packet();
        // What is under way.
        let mut there: VecDeque<(Time, Bytes)> = VecDeque::new();
        let mut back: VecDeque<(Time, Bytes)> = VecDeque::new();
        let (mut pictures, mut next_picture) = (0, Time::ZERO);
        for tick in 0..(duration.as_millis() / TICK.as_millis()) as u64 {
            let now = Time::from_millis(tick);
            if now >= next_picture {
                next_picture += Duration::from_micros(33_333);
                let base = pictures % FLOW_SIZES.len();
                let spread = 1.0 + FLOW_SPREAD * (2.0 * random.rand_float() - 1.0);
                let bits = path.bitrate().min(self.most) as f64 / 30.0 * FLOW_SIZES[base] * spread;
                pictures += 1;
                if path.queued_time() > FLOW_SKIP {
                    outcome.skipped += 1;
                } else {
                    let bytes = ((bits / 8.0) as usize).max(HEADERS + 1);
                    let packets = bytes.div_ceil(PAYLOAD + HEADERS);
                    for _ in 0..packets {
                        let class = if base == 0 { PacketClass::Base } else { PacketClass::Media };
                        let packet = media.slice(..bytes.div_ceil(packets) - overhead);
                        path.handle_packet(now, PathPacket { class, frame: pictures as u64, packet });
                    }
                }
            }
            loop {
                let packet = match path.poll(now) {
                    SendPathOutput::Transmit(packet) => packet.packet,
                    SendPathOutput::Dropped { .. } => {
                        outcome.dropped += 1;
                        continue;
                    }
                    SendPathOutput::Bitrate(_) => continue,
                    SendPathOutput::Timeout(_) => break,
                };
                let bytes = packet.len() + overhead;
                let padding = packet[8..12] == PADDING_SSRC.to_be_bytes();
                match link.send(now, bytes) {
                    Some(arrives) => {
                        let waited = (arrives - (now + link.delay())).as_micros() as u32;
                        outcome.packets.push((now, bytes, waited, padding));
                        there.push_back((arrives, packet));
                    }
                    None => outcome.lost += 1,
                }
            }
            while let Some((arrives, packet)) = there.pop_front() {
                if arrives > now {
                    there.push_front((arrives, packet));
                    break;
                }
                receiver.handle_packet(arrives, &packet);
            }
            while let Some(packet) = receiver.poll(now) {
                outcome.feedback += packet.len() as u64;
                back.push_back((now + link.delay(), packet));
            }
            while back.front().is_some_and(|(arrives, _)| *arrives <= now) {
                let Some((_, packet)) = back.pop_front() else { break };
                for message in rtcp::read(&packet).flatten() {
                    // A message that came too late for the log says nothing.
                    let _ = path.handle_feedback(now, &message);
                }
            }
            if tick % ESTIMATES == 0 {
                outcome.estimates.push(path.bitrate());
            }
        }
        outcome
    }

    /// The share of the link's capacity that an outcome's media used, by the packets sent from one time to another.
    pub fn used(&self, outcome: &FlowOutcome, from: Time, to: Time) -> f64 {
        let media =
            |&&(sent, _, _, padding): &&(Time, usize, u32, bool)| !padding && sent >= from && sent < to;
        let bytes: usize = outcome.packets.iter().filter(media).map(|packet| packet.1).sum();
        let capacity = self.trace.bitrate(from, to) as f64 / 8.0 * (to - from).as_secs_f64();
        bytes as f64 / capacity.max(1.0)
    }
}

/// The longest packet of media, of which all others are the beginning: they have room for a number.
fn packet() -> Bytes {
    let mut packet = BytesMut::new();
    RtpHeader { ssrc: 1, ..RtpHeader::default() }
        .write(&[(TRANSPORT_ID, &[0; 2])], &mut packet)
        .expect("a header that can be written, into a buffer that grows");
    packet.resize(PAYLOAD + HEADERS, 0);
    packet.freeze()
}

impl FlowOutcome {
    /// The time in the link's queue that a share of the packets sent from one time to another does not exceed, 0.5 for
    /// the median.
    pub fn queueing(&self, from: Time, to: Time, share: f64) -> Duration {
        let sent = self.packets.iter().filter(|packet| packet.0 >= from && packet.0 < to);
        let mut waits: Vec<u32> = sent.map(|packet| packet.2).collect();
        waits.sort_unstable();
        let at = (waits.len() as f64 * share) as usize;
        Duration::from_micros(waits.get(at.min(waits.len().saturating_sub(1))).copied().unwrap_or(0).into())
    }

    /// How long after a time the estimate was first in a range of bit/s.
    pub fn found(&self, after: Time, range: impl std::ops::RangeBounds<u64>) -> Option<Duration> {
        let step = Duration::from_millis(ESTIMATES);
        let first = after.since_start().as_millis() as usize / ESTIMATES as usize;
        let at = self.estimates.iter().skip(first).position(|estimate| range.contains(estimate))?;
        Some(step * at as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn time(seconds: u64) -> Time {
        Time::from_secs(seconds)
    }

    #[test]
    fn a_steady_link_is_used_to_nine_tenths_without_a_long_queue() {
        for bitrate in [300_000, 1_000_000, 3_000_000, 8_000_000] {
            let flow = Flow::new(Trace::constant(bitrate), LinkConfig::default());
            let outcome = flow.run(60 * SECOND);
            let used = flow.used(&outcome, time(10), time(60));
            let (median, long) =
                (outcome.queueing(time(10), time(60), 0.5), outcome.queueing(time(10), time(60), 0.95));
            assert!(used >= 0.9, "{bitrate}: {used}");
            assert!(long < Duration::from_millis(100), "{bitrate}: {median:?} {long:?}");
            assert_eq!(outcome.lost, 0);
            // Messages take little of the way back, and no more than a fiftieth below 1 Mbit/s.
            let share = if bitrate < 1_000_000 { 0.02 } else { 0.01 };
            assert!((outcome.feedback as f64) < share * bitrate as f64 / 8.0 * 60.0);
        }
    }

    #[test]
    fn a_link_that_halves_is_found_within_half_a_second_and_one_that_doubles_within_four() {
        for bitrate in [300_000, 1_000_000, 3_000_000, 8_000_000] {
            for second in [30, 33, 37] {
                let step = |to| {
                    let steps = [(second * SECOND, bitrate), (20 * SECOND, to)];
                    let flow = Flow::new(Trace::steps(&steps), LinkConfig::default());
                    flow.run((second + 10) * SECOND)
                };
                let at = time(u64::from(second));
                let halved = step(bitrate / 2).found(at, ..=bitrate / 2);
                assert!(halved.is_some_and(|found| found <= SECOND / 2), "{bitrate} at {at:?}: {halved:?}");
                let doubled = step(2 * bitrate).found(at, 2 * bitrate * 9 / 10..);
                assert!(doubled.is_some_and(|found| found <= 4 * SECOND), "{bitrate} at {at:?}: {doubled:?}");
            }
        }
    }

    #[test]
    fn random_loss_of_up_to_five_in_a_hundred_costs_little() {
        for (loss, least) in [(0.01, 0.85), (0.05, 0.75)] {
            let link = LinkConfig { loss, ..LinkConfig::default() };
            let flow = Flow::new(Trace::constant(3_000_000), link);
            let outcome = flow.run(40 * SECOND);
            let used = flow.used(&outcome, time(10), time(40));
            assert!(used > least, "{used} at {loss}");
        }
    }

    #[test]
    fn a_link_that_stops_is_used_again_soon() {
        let steps = [(20 * SECOND, 3_000_000), (2 * SECOND, 1000), (20 * SECOND, 3_000_000)];
        let flow = Flow::new(Trace::steps(&steps), LinkConfig::default());
        let outcome = flow.run(40 * SECOND);
        let found = outcome.found(time(22), 2_400_000..);
        assert!(found.is_some_and(|found| found < 8 * SECOND), "{found:?}");
        assert_eq!(outcome, flow.run(40 * SECOND), "the same flow has the same outcome");
    }

    #[test]
    fn a_slow_link_of_bursts_that_fades_and_stops_has_no_queue_of_many_seconds() {
        // 500 kbit/s in bursts of four packets, 30 kbit/s, bursts, nothing, bursts.
        let (mut lines, mut now) = (String::new(), 0);
        for (until, burst, every) in
            [(15_000, 4, 96), (30_000, 1, 400), (35_000, 4, 96), (39_000, 0, 100), (45_000, 4, 96)]
        {
            while now + every <= until {
                now += every;
                (0..burst).for_each(|_| lines += &format!("{now}\n"));
            }
            now = until;
        }
        let flow = Flow::new(Trace::parse(&lines).unwrap(), LinkConfig::default());
        let outcome = flow.run(44 * SECOND);
        let long = outcome.queueing(time(0), time(44), 0.95);
        assert!(long < 2 * SECOND, "{long:?}, and was 9.3 s when base layers were sent all the same");
    }
}
