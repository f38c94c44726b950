//! One sender over one link, with all that congestion control consists of: pacer, transport-wide numbers, feedback
//! messages, log and estimator. The sender codes as much as the estimate says.

use std::collections::VecDeque;
use std::time::Duration;

use oorandom::Rand64;

use super::link::{Link, LinkConfig};
use super::model::{FLOW_SIZES, FLOW_SKIP, FLOW_SPREAD, HEADERS, PAYLOAD, START};
use super::trace::Trace;
use crate::Time;
use crate::congestion::{
    Estimator, FeedbackConfig, FeedbackGenerator, PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass,
    SentLog,
};
use crate::rtp::RtcpMessage;

/// The flow is looked at in steps of this.
const TICK: Duration = Duration::from_millis(1);
/// The estimator is asked for probes in steps of this.
const PROBES: u64 = 10;

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
        let mut estimator = Estimator::new(START);
        estimator.set_wanted(self.most);
        let mut pacer = Pacer::new(self.pacer, START);
        let mut log = SentLog::new();
        let mut generator = FeedbackGenerator::new(FeedbackConfig::new(1, 2));
        // What is under way: packets with their numbers and bytes, and messages.
        let mut there: VecDeque<(Time, u16, usize)> = VecDeque::new();
        let mut back: VecDeque<(Time, RtcpMessage)> = VecDeque::new();
        let (mut pictures, mut next_picture) = (0, Time::ZERO);
        for tick in 0..(duration.as_millis() / TICK.as_millis()) as u64 {
            let now = Time::from_millis(tick);
            if now >= next_picture {
                next_picture += Duration::from_micros(33_333);
                let base = pictures % FLOW_SIZES.len();
                let spread = 1.0 + FLOW_SPREAD * (2.0 * random.rand_float() - 1.0);
                let bits = estimator.bitrate().min(self.most) as f64 / 30.0 * FLOW_SIZES[base] * spread;
                pictures += 1;
                if pacer.queued_time() > FLOW_SKIP {
                    outcome.skipped += 1;
                } else {
                    let bytes = ((bits / 8.0) as usize).max(HEADERS + 1);
                    let packets = bytes.div_ceil(PAYLOAD + HEADERS);
                    for _ in 0..packets {
                        let class = if base == 0 { PacketClass::Base } else { PacketClass::Media };
                        let bytes = bytes.div_ceil(packets);
                        pacer.handle_packet(
                            now,
                            PacedPacket { class, frame: pictures as u64, bytes, packet: () },
                        );
                    }
                }
            }
            loop {
                let (bytes, probe, padding) = match pacer.poll(now) {
                    PacerOutput::Packet { packet, probe } => (packet.bytes, probe, false),
                    PacerOutput::Padding { bytes, probe } => (bytes, Some(probe), true),
                    PacerOutput::Dropped { .. } => {
                        outcome.dropped += 1;
                        continue;
                    }
                    PacerOutput::Timeout(_) => break,
                };
                let number = log.push(now, bytes, probe);
                match link.send(now, bytes) {
                    Some(arrives) => {
                        let waited = (arrives - (now + link.delay())).as_micros() as u32;
                        outcome.packets.push((now, bytes, waited, padding));
                        there.push_back((arrives, number, bytes));
                    }
                    None => outcome.lost += 1,
                }
            }
            while let Some(&(arrives, number, bytes)) = there.front().filter(|(arrives, ..)| *arrives <= now)
            {
                there.pop_front();
                generator.handle_packet(arrives, number, bytes);
            }
            while let Some(message) = generator.poll(now) {
                if let RtcpMessage::Other { body, .. } = &message {
                    outcome.feedback += 4 + body.len() as u64;
                }
                back.push_back((now + link.delay(), message));
            }
            while let Some((_, message)) = back.front().filter(|(arrives, _)| *arrives <= now) {
                if let Ok(reports) = log.handle_feedback(now, message) {
                    estimator.report(now, reports);
                }
                back.pop_front();
            }
            if tick % PROBES == 0 {
                estimator.silence(now, log.under_way());
                if !pacer.is_probing()
                    && let Some(probe) = estimator.probe(now)
                {
                    pacer.start_probe(now, probe);
                }
                outcome.estimates.push(estimator.bitrate());
            }
            pacer.set_bitrate(now, estimator.bitrate());
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
        let step = Duration::from_millis(PROBES);
        let first = after.since_start().as_millis() as usize / PROBES as usize;
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
    fn a_link_that_halves_is_found_within_half_a_second_and_one_that_doubles_within_five() {
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
                assert!(doubled.is_some_and(|found| found <= 5 * SECOND), "{bitrate} at {at:?}: {doubled:?}");
            }
        }
    }

    #[test]
    fn random_loss_of_one_in_a_hundred_costs_little() {
        let link = LinkConfig { loss: 0.01, ..LinkConfig::default() };
        let flow = Flow::new(Trace::constant(3_000_000), link);
        let outcome = flow.run(40 * SECOND);
        let used = flow.used(&outcome, time(10), time(40));
        assert!(used > 0.8, "{used}");
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
}
