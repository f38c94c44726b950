//! A bandwidth estimator: Google congestion control, at the sender of a path.
//!
//! This is the algorithm of draft-ietf-rmcat-gcc-02 with its recommended values: packets are grouped into
//! bursts (5.2), the trend of their one-way delay is compared with an adaptive threshold (5.4), which drives
//! an additive and multiplicative rate control (5.5), and losses drive a second one (6). Three things are as
//! in the later implementations of it, since the draft leaves them open or they have replaced it: the
//! arrival-time filter (5.3) is a linear regression over the last 20 bursts in place of a Kalman filter
//! (Carlucci et al., "Congestion Control for Web Real-Time Communication", IEEE/ACM Transactions on
//! Networking 25(5), 2017); a probe's result replaces the estimate, and it asks for probes itself at the
//! start and after a large drop, as libwebrtc's does; and silence counts as congestion.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::select::{Network, Probe};

/// Packets sent within this time are one burst, `burst_time`.
const BURST: Duration = Duration::from_millis(5);
/// Bursts that the trend is taken over.
const TREND_WINDOW: usize = 20;
/// Weight of the earlier delays when a new one is smoothed.
const SMOOTHING: f64 = 0.9;
/// The trend, which is small, is multiplied by this and by the bursts seen so far, at most [`MAX_DELTAS`].
const TREND_GAIN: f64 = 4.0;
const MAX_DELTAS: u32 = 60;
/// `del_var_th(0)`, and its range, in ms.
const THRESHOLD: f64 = 12.5;
const THRESHOLD_RANGE: (f64, f64) = (6.0, 600.0);
/// A trend that is further above the threshold than this, in ms, does not move it.
const THRESHOLD_OUTLIER: f64 = 15.0;
/// `K_u` and `K_d`, by which the threshold grows and shrinks.
const K_UP: f64 = 0.01;
const K_DOWN: f64 = 0.00018;
/// `overuse_time_th`: the time, in ms, that over-use has to last.
const OVERUSE_TIME: f64 = 10.0;
/// `beta`: over-use lowers the estimate to this share of the arrival rate.
const BETA: f64 = 0.85;
/// `T`: the time that arriving bits are counted over.
const RATE_WINDOW: Duration = Duration::from_millis(500);
/// Losses are counted over this.
const LOSS_WINDOW: Duration = Duration::from_millis(500);
/// Silence for this long, with packets under way, is congestion.
const SILENCE: Duration = Duration::from_millis(500);
/// Loss and queues are known for this time, and a round trip, after the last report.
const FRESH: Duration = Duration::from_millis(500);
/// Reports are at most this far apart. Before any report has come, a path is taken to be no slower than this.
const REPORT_EVERY: Duration = Duration::from_millis(50);
const UNKNOWN_DELAY: Duration = Duration::from_millis(200);
/// The lowest estimate, in bit/s.
const LOWEST: f64 = 30_000.0;
/// At the start these multiples of the estimate are probed, then twice as much as long as this share arrives.
const START_PROBES: [f64; 2] = [3.0, 6.0];
const START_PROBE_ARRIVED: f64 = 0.7;
const MOST_PROBED: f64 = 10_000_000.0;
const PROBE_FOR: Duration = Duration::from_millis(100);
/// A probe is over this time, and a round trip, after its last packet.
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// After a drop below the first share of the estimate before it, the estimator probes the second share of
/// that, once the path has been calm for a while, unless that takes too long; and seldom.
const DROP: f64 = 0.66;
const AFTER_DROP: f64 = 0.85;
const CALM: Duration = Duration::from_millis(800);
const DROP_FORGOTTEN: Duration = Duration::from_secs(5);
const RECOVERY_EVERY: Duration = Duration::from_secs(5);

/// The fate of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Senders build it by literal.
pub struct PacketReport {
    /// When it was sent.
    pub sent: Time,
    /// When it arrived; `None` if it is lost.
    pub arrived: Option<Time>,
    /// Its bytes.
    pub bytes: usize,
    /// The number of the probe that it is part of.
    pub probe: Option<u32>,
}

/// How the path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    Normal,
    Over,
    Under,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Increase,
    Hold,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    first_sent: Time,
    last_sent: Time,
    arrived: Time,
}

/// Estimates how much a path carries from the fates of the packets sent over it.
#[derive(Debug, Clone)]
pub struct Estimator {
    burst: Option<Burst>,
    before: Option<Burst>,
    trend: Trend,
    /// The delay-based and the loss-based estimate, in bit/s.
    delay_based: f64,
    loss_based: f64,
    state: State,
    updated: Option<Time>,
    /// Mean and variance of the arrival rate at over-use, in kbit/s.
    capacity: Option<(f64, f64)>,
    arrivals: VecDeque<(Time, usize)>,
    arrived_bytes: usize,
    /// Packets and lost ones since the loss-based estimate was last changed.
    counted: (u64, u64),
    counted_since: Time,
    loss: f64,
    round_trip: Option<Duration>,
    lowest_delay: Option<Duration>,
    queueing: Duration,
    probe: Option<ProbeCount>,
    heard: Time,
    /// When the last report came.
    reported: Time,
    over_used: Option<Time>,
    /// Probes of the start that were asked for, and the last of them in bit/s; `None` once it is over.
    start: Option<(usize, f64)>,
    started_with: f64,
    /// The time of a large drop, and the estimate before it.
    dropped: Option<(Time, f64)>,
    recovered: Option<Time>,
}

/// The packets of a probe that were sent and arrived.
#[derive(Debug, Clone, Copy)]
struct ProbeCount {
    number: u32,
    sent: (Time, Time),
    arrived: (Time, Time),
    first_bytes: usize,
    last_bytes: usize,
    bytes: usize,
}

impl Estimator {
    /// An estimator that begins at `bitrate`, in bit/s.
    pub fn new(bitrate: u64) -> Self {
        Self {
            burst: None,
            before: None,
            trend: Trend::default(),
            delay_based: bitrate as f64,
            loss_based: bitrate as f64,
            state: State::Increase,
            updated: None,
            capacity: None,
            arrivals: VecDeque::new(),
            arrived_bytes: 0,
            counted: (0, 0),
            counted_since: Time::ZERO,
            loss: 0.0,
            round_trip: None,
            lowest_delay: None,
            queueing: Duration::ZERO,
            probe: None,
            heard: Time::ZERO,
            reported: Time::ZERO,
            over_used: None,
            start: Some((0, 0.0)),
            started_with: bitrate as f64,
            dropped: None,
            recovered: None,
        }
    }

    /// A probe that the estimator asks for itself. Call it while none is under way.
    pub fn probe(&mut self, now: Time) -> Option<Probe> {
        self.finish_probe(now, &[]);
        if self.probe.is_some() {
            return None;
        }
        let wanted = self.start_probe().or_else(|| self.recovery_probe(now))?;
        Some(Probe { bitrate: wanted as u64, duration: PROBE_FOR })
    }

    fn start_probe(&mut self) -> Option<f64> {
        let (asked, last) = self.start?;
        let next = match START_PROBES.get(asked) {
            Some(times) => times * self.started_with,
            None if self.delay_based >= START_PROBE_ARRIVED * last => 2.0 * last,
            None => f64::INFINITY,
        };
        let over = self.over_used.is_some() || next > MOST_PROBED;
        self.start = if over { None } else { Some((asked + 1, next)) };
        self.start.map(|(_, next)| next)
    }

    fn recovery_probe(&mut self, now: Time) -> Option<f64> {
        let (_, from) = self.dropped?;
        let calm = self.over_used.is_none_or(|at| now >= at + CALM);
        let due = self.recovered.is_none_or(|at| now >= at + RECOVERY_EVERY);
        if !calm || !due || self.delay_based >= AFTER_DROP * from {
            return None;
        }
        self.dropped = None;
        self.recovered = Some(now);
        Some(AFTER_DROP * from)
    }

    /// Lowers the estimate, and remembers the one before a large drop.
    fn lower(&mut self, now: Time, to: f64) {
        let to = to.min(self.delay_based).max(LOWEST);
        let before = self.dropped.filter(|(at, _)| now <= *at + DROP_FORGOTTEN);
        let from = before.map_or(self.delay_based, |(_, from)| from.max(self.delay_based));
        self.dropped = if to < DROP * from { Some((before.map_or(now, |(at, _)| at), from)) } else { before };
        self.delay_based = to;
        self.over_used = Some(now);
    }

    /// Takes a report, which came at `now`, of packets in the order that they were sent.
    pub fn report(&mut self, now: Time, packets: &[PacketReport]) {
        self.heard = now;
        self.reported = now;
        let mut usage = Usage::Normal;
        for packet in packets {
            self.counted.0 += 1;
            let Some(arrived) = packet.arrived else {
                self.counted.1 += 1;
                continue;
            };
            self.arrived(packet, arrived);
            if let Some(signal) = self.detect(packet.sent, arrived) {
                // Over-use within a report is not undone by its later packets.
                if usage != Usage::Over {
                    usage = signal;
                }
            }
            self.round_trip = Some(now - packet.sent);
        }
        self.control(now, usage);
        self.count_loss(now);
        self.finish_probe(now, packets);
    }

    /// Says that at `now` packets are under way of which no report has come.
    pub fn silence(&mut self, now: Time) {
        if now - self.heard >= SILENCE + self.round_trip.unwrap_or_default() {
            self.heard = now;
            self.lower(now, 0.8 * self.delay_based);
        }
    }

    /// How much the path carries, in bit/s.
    pub fn bitrate(&self) -> u64 {
        self.delay_based.min(self.loss_based) as u64
    }

    /// When the path was last over-used.
    pub fn over_used(&self) -> Option<Time> {
        self.over_used
    }

    /// The state of the path at `now`, as the selector takes it. `under_way` is when the oldest packet was
    /// sent of which no report has come; it waits at least since its report was due. A path over which
    /// nothing comes has neither loss nor a queue to tell of.
    pub fn network(&mut self, now: Time, under_way: Option<Time>) -> Network {
        let fresh = under_way.is_some() || now < self.reported + FRESH + self.round_trip.unwrap_or_default();
        let due = 2 * self.lowest_delay.unwrap_or(UNKNOWN_DELAY) + REPORT_EVERY;
        if under_way.is_none() {
            self.queueing = Duration::ZERO;
        }
        let waits = under_way.map_or(Duration::ZERO, |sent| now - (sent + due));
        Network {
            available_bitrate: Some(self.bitrate()),
            round_trip: self.round_trip,
            loss: fresh.then_some(self.loss as f32),
            queueing_delay: fresh.then_some(self.queueing.max(waits)),
        }
    }

    fn arrived(&mut self, packet: &PacketReport, arrived: Time) {
        self.arrivals.push_back((arrived, packet.bytes));
        self.arrived_bytes += packet.bytes;
        while let Some(&(first, bytes)) = self.arrivals.front()
            && first + RATE_WINDOW <= arrived
        {
            self.arrived_bytes -= bytes;
            self.arrivals.pop_front();
        }
        let delay = arrived - packet.sent;
        let lowest = self.lowest_delay.map_or(delay, |lowest| lowest.min(delay));
        self.lowest_delay = Some(lowest);
        self.queueing = self.queueing.mul_f64(0.9) + (delay - lowest).mul_f64(0.1);
        if let Some(number) = packet.probe {
            let new = ProbeCount {
                number,
                sent: (packet.sent, packet.sent),
                arrived: (arrived, arrived),
                first_bytes: packet.bytes,
                last_bytes: 0,
                bytes: 0,
            };
            let probe = self.probe.get_or_insert(new);
            if probe.number != number {
                *probe = new;
            }
            probe.sent.1 = packet.sent;
            probe.arrived.1 = arrived;
            probe.last_bytes = packet.bytes;
            probe.bytes += packet.bytes;
        }
    }

    /// Bit/s that arrive.
    fn arrival_rate(&self) -> Option<f64> {
        let (first, last) = (self.arrivals.front()?.0, self.arrivals.back()?.0);
        // At the start the window is not full yet.
        let over = (last - first).max(RATE_WINDOW / 2).max(if self.updated.is_some() {
            RATE_WINDOW
        } else {
            Duration::ZERO
        });
        Some(self.arrived_bytes as f64 * 8.0 / over.as_secs_f64())
    }

    /// Section 5.2: a packet that begins a new burst ends the one before, which is then compared with its own
    /// predecessor.
    fn detect(&mut self, sent: Time, arrived: Time) -> Option<Usage> {
        let new = Burst { first_sent: sent, last_sent: sent, arrived };
        let Some(burst) = &mut self.burst else {
            self.burst = Some(new);
            return None;
        };
        // Packets that were sent together, or arrived together after a stop of the link, are one burst.
        let behind = arrived - burst.arrived;
        let together = behind < BURST && behind < (sent - burst.last_sent);
        if sent < burst.first_sent + BURST || together {
            burst.last_sent = burst.last_sent.max(sent);
            burst.arrived = burst.arrived.max(arrived);
            return None;
        }
        let ended = std::mem::replace(burst, new);
        let before = self.before.replace(ended)?;
        let between = |from: Time, to: Time| (seconds(to) - seconds(from)) * 1e3;
        let departed = between(before.last_sent, ended.last_sent);
        Some(self.trend.burst(departed, between(before.arrived, ended.arrived), ended.arrived))
    }

    /// Section 5.5.
    fn control(&mut self, now: Time, usage: Usage) {
        let Some(rate) = self.arrival_rate() else { return };
        let since = self.updated.map_or(Duration::ZERO, |updated| now - updated);
        self.updated = Some(now);
        match usage {
            Usage::Over => {
                let kbps = rate / 1000.0;
                let (mean, variance) = self.capacity.unwrap_or((kbps, 0.4 * kbps));
                let off = kbps - mean;
                let mean = mean + 0.05 * off;
                self.capacity =
                    Some((mean, (0.95 * (variance + 0.05 * off * off)).clamp(0.4 * mean, 2.5 * mean)));
                self.lower(now, BETA * rate);
                self.state = State::Hold;
            }
            Usage::Under => self.state = State::Hold,
            Usage::Normal if self.state == State::Hold => self.state = State::Increase,
            Usage::Normal => self.increase(rate, since),
        }
    }

    fn increase(&mut self, rate: f64, since: Duration) {
        let kbps = rate / 1000.0;
        if self.capacity.is_some_and(|(mean, variance)| kbps > mean + 3.0 * variance.sqrt()) {
            self.capacity = None;
        }
        let since = since.as_secs_f64().min(1.0);
        let near = self.capacity.is_some_and(|(mean, variance)| (kbps - mean).abs() <= 3.0 * variance.sqrt());
        let higher = if near {
            let response = 0.1 + self.round_trip.unwrap_or_default().as_secs_f64();
            let frame = self.delay_based / 30.0;
            let packet = frame / (frame / (1200.0 * 8.0)).ceil();
            self.delay_based + (0.5 * (since / response).min(1.0) * packet).max(1000.0 * since)
        } else {
            self.delay_based * 1.08f64.powf(since)
        };
        // Bits that are not sent prove nothing.
        let most = (1.5 * rate + LOWEST).max(self.delay_based);
        self.delay_based = higher.min(most);
    }

    /// Section 6.
    fn count_loss(&mut self, now: Time) {
        let (packets, lost) = self.counted;
        if now - self.counted_since >= LOSS_WINDOW && packets >= 20 {
            let share = lost as f64 / packets as f64;
            self.loss = share;
            self.counted = (0, 0);
            self.counted_since = now;
            if share > 0.1 {
                self.loss_based = (self.bitrate() as f64 * (1.0 - 0.5 * share)).max(LOWEST);
                self.over_used = Some(now);
            } else if share < 0.02 {
                self.loss_based *= 1.05;
            }
        }
        // It follows the other estimate, so that it can take hold at once.
        if self.loss < 0.02 {
            self.loss_based = self.loss_based.max(self.delay_based);
        }
        self.loss_based = self.loss_based.min(self.delay_based.max(self.bitrate() as f64));
    }

    /// A probe is over with the first report that has later packets, or some time after its last packet.
    fn finish_probe(&mut self, now: Time, packets: &[PacketReport]) {
        let Some(probe) = self.probe else { return };
        let later = packets.last().is_some_and(|last| last.probe != Some(probe.number));
        let latest = probe.sent.1 + self.round_trip.unwrap_or_default() + PROBE_WAIT;
        if !later && now < latest {
            return;
        }
        self.probe = None;
        let span = |(from, to): (Time, Time)| (to - from).as_secs_f64();
        let rate = |bytes: usize, over: f64| bytes as f64 * 8.0 / over.max(1e-3);
        let sent = rate(probe.bytes - probe.last_bytes, span(probe.sent));
        let arrived = rate(probe.bytes - probe.first_bytes, span(probe.arrived));
        if span(probe.sent) < 0.01 || span(probe.arrived) < 0.01 {
            return;
        }
        // If less arrives than was sent, the queue has grown: the path carries a little less than what
        // arrives.
        let result = if arrived < 0.9 * sent { 0.95 * arrived } else { arrived.min(sent) };
        let congested = self.over_used.is_some_and(|at| now - at < Duration::from_millis(300));
        if result > self.delay_based && !congested {
            self.delay_based = result;
            self.capacity = None;
            if self.loss < 0.02 {
                self.loss_based = result;
            }
        }
    }
}

/// Seconds since the start.
fn seconds(time: Time) -> f64 {
    time.since_start().as_secs_f64()
}

/// Sections 5.3 and 5.4: the trend of the one-way delay, against a threshold that adapts.
#[derive(Debug, Clone)]
struct Trend {
    /// Arrival time and smoothed sum of delay variations, in ms.
    window: VecDeque<(f64, f64)>,
    sum: f64,
    smoothed: f64,
    bursts: u32,
    threshold: f64,
    /// For how long, in ms, and how many bursts it has been above the threshold.
    over: Option<(f64, u32)>,
    last: f64,
    updated: Option<f64>,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            window: VecDeque::with_capacity(TREND_WINDOW + 1),
            sum: 0.0,
            smoothed: 0.0,
            bursts: 0,
            threshold: THRESHOLD,
            over: None,
            last: 0.0,
            updated: None,
        }
    }
}

impl Trend {
    /// Takes the times between the departures of a burst and of the one before, and between their arrivals,
    /// in ms.
    fn burst(&mut self, departed: f64, arrived: f64, at: Time) -> Usage {
        let at = seconds(at) * 1e3;
        self.bursts = (self.bursts + 1).min(MAX_DELTAS);
        self.sum += arrived - departed;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.sum;
        self.window.push_back((at, self.smoothed));
        if self.window.len() > TREND_WINDOW {
            self.window.pop_front();
        }
        let trend = if self.window.len() == TREND_WINDOW { self.slope() } else { 0.0 };
        let trend = trend * f64::from(self.bursts) * TREND_GAIN;
        let usage = if trend > self.threshold {
            let (time, bursts) = self.over.map_or((departed / 2.0, 1), |(time, n)| (time + departed, n + 1));
            // A trend that is on its way down is not told.
            if time > OVERUSE_TIME && bursts > 1 && trend >= self.last {
                self.over = Some((0.0, 0));
                Usage::Over
            } else {
                self.over = Some((time, bursts));
                Usage::Normal
            }
        } else {
            self.over = None;
            if trend < -self.threshold { Usage::Under } else { Usage::Normal }
        };
        self.last = trend;
        self.adapt(trend, at);
        usage
    }

    fn adapt(&mut self, trend: f64, at: f64) {
        let since = (at - self.updated.unwrap_or(at)).clamp(0.0, 100.0);
        self.updated = Some(at);
        let off = trend.abs() - self.threshold;
        if off <= THRESHOLD_OUTLIER {
            let gain = if off < 0.0 { K_DOWN } else { K_UP };
            self.threshold =
                (self.threshold + since * gain * off).clamp(THRESHOLD_RANGE.0, THRESHOLD_RANGE.1);
        }
    }

    /// Of the regression line through the window: ms of delay for a ms of time.
    fn slope(&self) -> f64 {
        let count = self.window.len() as f64;
        let (sum_x, sum_y) = self.window.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
        let (mean_x, mean_y) = (sum_x / count, sum_y / count);
        let (mut above, mut below) = (0.0, 0.0);
        for &(x, y) in &self.window {
            above += (x - mean_x) * (y - mean_y);
            below += (x - mean_x) * (x - mean_x);
        }
        if below > 0.0 { above / below } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Link, LinkConfig, Trace};

    /// Sends at the estimate, at most `most` bit/s, for a time. Returns the estimate at each second.
    fn drive(trace: Trace, config: LinkConfig, most: u64, seconds: u64, probe_at: Option<u64>) -> Vec<u64> {
        let mut link = Link::new(trace, config);
        let mut estimator = Estimator::new(300_000);
        let (mut estimates, mut pending, mut budget) = (vec![], VecDeque::new(), 0.0);
        let tick = Duration::from_millis(5);
        for n in 0..seconds * 200 {
            let now = Time::ZERO + tick * n as u32;
            let probing = probe_at.filter(|at| (at * 200..at * 200 + 40).contains(&n));
            let rate = if probing.is_some() { 2 * most } else { estimator.bitrate().min(most) };
            budget += rate as f64 * tick.as_secs_f64() / 8.0;
            while budget >= 1000.0 {
                budget -= 1000.0;
                let arrived = link.send(now, 1000);
                let probe = probing.map(|at| at as u32);
                pending.push_back(PacketReport { sent: now, arrived, bytes: 1000, probe });
            }
            if n % 10 == 0 {
                // A loss is known once a later packet has arrived.
                let reported = pending
                    .iter()
                    .rposition(|p: &PacketReport| p.arrived.is_some_and(|at| at + link.delay() <= now));
                let report: Vec<_> = pending.drain(..reported.map_or(0, |at| at + 1)).collect();
                if report.is_empty() { estimator.silence(now) } else { estimator.report(now, &report) }
            }
            if n % 200 == 199 {
                estimates.push(estimator.bitrate());
            }
        }
        estimates
    }

    #[test]
    fn it_finds_what_a_link_carries_and_follows_it_down() {
        let seconds = Duration::from_secs;
        let steps = [(seconds(40), 2_000_000), (seconds(20), 600_000)];
        let estimates = drive(Trace::steps(&steps), LinkConfig::default(), 10_000_000, 59, None);
        let late = &estimates[30..39];
        assert!(late.iter().all(|rate| (1_300_000..2_300_000).contains(rate)), "{late:?}");
        let after = &estimates[43..];
        assert!(after.iter().all(|rate| (300_000..750_000).contains(rate)), "{after:?}");
    }

    #[test]
    fn it_grows_no_further_than_half_above_what_is_sent_until_a_probe_proves_more() {
        let link = || Trace::constant(5_000_000);
        let without = drive(link(), LinkConfig::default(), 500_000, 30, None);
        assert!((600_000..800_000).contains(&without[29]), "{without:?}");
        let with = drive(link(), LinkConfig::default(), 500_000, 30, Some(20));
        assert!((850_000..1_100_000).contains(&with[22]), "{with:?}");
    }

    #[test]
    fn heavy_loss_lowers_it_and_light_loss_does_not() {
        let lossy = |loss| {
            let config = LinkConfig { loss, ..LinkConfig::default() };
            drive(Trace::constant(5_000_000), config, 2_000_000, 40, None)[39]
        };
        assert!(lossy(0.01) > 1_500_000, "{}", lossy(0.01));
        assert!(lossy(0.25) < 300_000, "{}", lossy(0.25));
    }

    #[test]
    fn silence_lowers_it() {
        let second = Time::from_secs(1);
        let mut estimator = Estimator::new(1_000_000);
        estimator.silence(Time::from_millis(250));
        assert_eq!(estimator.bitrate(), 1_000_000);
        estimator.silence(second);
        estimator.silence(Time::from_secs(2));
        assert_eq!(estimator.bitrate(), 640_000);
        assert_eq!(estimator.over_used(), Some(Time::from_secs(2)));
    }
}
