//! A bandwidth estimator: Google congestion control, at the sender of a path.
//!
//! This is the algorithm of draft-ietf-rmcat-gcc-02 with its recommended values: packets are grouped into bursts (5.2),
//! the trend of their one-way delay is compared with an adaptive threshold (5.4), which drives an additive and
//! multiplicative rate control (5.5), and losses drive a second one (6).
//!
//! Some things are as in the later implementations of it, since the draft leaves them open or they have replaced it: the
//! arrival-time filter (5.3) is a linear regression over the last 20 bursts in place of a Kalman filter (Carlucci et
//! al., "Congestion Control for Web Real-Time Communication", IEEE/ACM Transactions on Networking 25(5), 2017); a
//! probe's result replaces the estimate; the estimator asks for probes at the start and after a large drop; and silence
//! counts as congestion.
//!
//! Other things are its own, because the goals of `docs/SIMULATION.md` were missed without them:
//!
//! - A queue of 50 ms that lasts counts as over-use, however slowly it has grown: the trend alone does not see an estimate
//!   that is above the capacity by one part in fifty. A queue that stays the same although less is sent is not ours, and
//!   becomes the new measure.
//! - A queue of 100 ms does not have to last, since it takes a stop or a large drop to make one.
//! - After over-use the arriving bits are counted over 200 ms in place of 500 ms if that is less, so that a drop of the
//!   capacity is found with the first reduction. The longer the queue, the lower the estimate goes. If the path has
//!   stopped, they are counted from its return on: a stop says nothing of what the path carries after it.
//! - If less is sent than the estimate, a queue below 50 ms holds the estimate and does not lower it: it is that of a burst, and
//!   what arrives is what was sent.
//! - A burst after a calm while, such as a key picture, is measured by those of its packets that waited: before them little
//!   was sent, which says nothing of what the path carries.
//! - Packets that come out of a queue arrive as fast as the path carries them. If that is more than the estimate, as after
//!   a fade that has passed, the estimate rises to it at once.
//! - If the streams want more than the estimate, a short probe looks for more every 3.5 s, and every second after a large
//!   drop, since a path that has just become much worse is likely to change again. The longer the drop has lasted, the longer
//!   it may last: from 20 s on, the time between probes is a twentieth of that, until it is 3.5 s. The queue that a probe makes itself is
//!   not taken for congestion. It waits until that queue and the one before it are short enough together, which matters
//!   below 500 kbit/s, where a probe needs more time.
//! - If packets wait less than they did though as much is sent, the path may have become faster: it is probed at once.
//! - A probe that fills the path and finds less than the estimate lowers it: the estimate grows to half above what is sent,
//!   and nothing else tells that the path does not carry that.
//! - The probes of the start are made again if the first report has later packets and none of theirs: the other end was not
//!   there yet when they came, as while DTLS connects.
//! - A path that was silent may carry what it did before: it is probed for that with the first report that comes after the
//!   silence.
//! - Losses of 2 to 10 % hold the estimate where it is, but up to 5 % they do not keep it from being probed: packets that
//!   get lost by chance say nothing of what the path carries. Three of twenty may be chance as well: such a share counts once
//!   five packets are lost.
//! - At such bitrates 200 ms hold a few packets, so that it matters whether the first of them counts. Their rate is taken
//!   between the first arrival and the last.

use std::time::Duration;

use super::arrivals::{Arrivals, BEGINS, QUEUED};
use super::relief::Relief;
use super::trend::{Trend, Usage, seconds};
use super::types::{PacketReport, PathState, Probe};
use crate::Time;

/// Packets sent within this time are one burst, `burst_time`.
const BURST: Duration = Duration::from_millis(5);
/// `beta`: over-use lowers the estimate to this share of the arrival rate.
const BETA: f64 = 0.85;
/// Each second of a queue above the first lowers the estimate by this share more, up to the last.
const CALM_QUEUE: Duration = Duration::from_millis(100);
const DRAINED_IN: f64 = 1.0;
const MOST_DRAINED: f64 = 0.2;
/// Losses of more than this share are congestion.
const MOST_LOSS: f64 = 0.1;
/// Up to this share a probe may show that they are not ours.
const PROBED_LOSS: f64 = 0.05;
/// Fewer lost packets than this may be chance, however large a share of a few packets they are: packets are counted on until
/// as many are lost, or no more than [`PROBED_LOSS`].
const FEW_LOST: u64 = 5;
/// Losses are counted over this.
const LOSS_WINDOW: Duration = Duration::from_millis(500);
/// Silence for this long, with packets under way, is congestion.
const SILENCE: Duration = Duration::from_millis(500);
/// Loss and queues are known for this time, and a round trip, after the last report.
const FRESH: Duration = Duration::from_millis(500);
/// Reports are at most this far apart. Before any report has come, a path is taken to be no slower than this.
const REPORT_EVERY: Duration = Duration::from_millis(50);
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(400);
/// The lowest delay is that of this time and of as much before it, since the clocks of two machines drift apart (at 200
/// ppm by 4 ms at most), and the path may become a longer one.
const LOWEST_DELAY_FOR: Duration = Duration::from_secs(10);
/// A queue in which every packet of the reports of a while has waited for so long is over-use, however slowly it has
/// grown.
const LONG_QUEUE: Duration = Duration::from_millis(50);
const LONG_FOR: Duration = Duration::from_millis(80);
/// One of so long is over-use at once.
const VERY_LONG_QUEUE: Duration = Duration::from_millis(100);
/// Such a queue drains once the estimate is below this share of what arrives.
const DRAINS: f64 = 0.95;
/// If it stays the same for so long nevertheless, it is not ours: the path has become longer, or others fill the queue.
const STANDING: Duration = Duration::from_secs(2);
/// A probe makes a queue of its own if the path does not carry it. For so long after its last packet the trend is not
/// looked at, and a queue is long from the second length on.
const PROBE_SHADOW: Duration = Duration::from_millis(200);
const LONG_PROBE_QUEUE: Duration = Duration::from_millis(100);
/// The lowest estimate, in bit/s.
const LOWEST: f64 = 30_000.0;
/// At the start these multiples of the estimate are probed, one right after the other, since key pictures wait; then
/// twice as much as long as this share arrives, which is known after the longest time.
const START_PROBES: [f64; 2] = [3.0, 6.0];
const START_PROBE_FOR: Duration = Duration::from_millis(40);
/// Both of them have been sent by then.
const START_PROBED: Duration = Duration::from_millis(100);
const START_PROBE_ARRIVED: f64 = 0.7;
const START_PROBE_WAIT: Duration = Duration::from_secs(1);
const MOST_PROBED: f64 = 10_000_000.0;
const PROBE_FOR: Duration = Duration::from_millis(100);
/// A probe is over this time, and a round trip, after its last packet.
const PROBE_WAIT: Duration = Duration::from_millis(250);
/// After a drop below the first share of the estimate before it, the estimator probes the second share of
/// that, once the path has been calm for a while, unless that takes too long; and seldom.
const DROP: f64 = 0.66;
const AFTER_DROP: f64 = 0.85;
const CALM: Duration = Duration::from_millis(800);
/// Such a probe may fail, so that it is no longer than that it makes a queue of this length on a path that carries the
/// estimate, or than the least it takes to measure.
const RECOVERY_QUEUE: f64 = 0.2;
const LEAST_RECOVERY_PROBE: Duration = Duration::from_millis(15);
const DROP_FORGOTTEN: Duration = Duration::from_secs(5);
const RECOVERY_EVERY: Duration = Duration::from_secs(5);
/// After silence no more than this multiple of the estimate is probed for at once.
const RETURN_GROWTH: f64 = 6.0;
/// If the streams want more than the estimate, the estimator probes this multiple of it so often, if the path was not
/// over-used a while before, and again at once if the probe has raised the estimate.
const GROWTH: f64 = 2.0;
const PROBE_EVERY: Duration = Duration::from_millis(3500);
/// If packets wait less than before, such a probe comes at once, for so many times the estimate, but no earlier than this after
/// another, and than [`PROBE_EVERY`] after another of its kind.
const RELIEF_GROWTH: f64 = 3.0;
const RELIEF_AFTER: Duration = Duration::from_millis(500);
const GROWTH_PROBE_FOR: Duration = Duration::from_millis(30);
/// After a large drop it probes so often, and after a longer while less often: the time until a rise is found is at most this
/// share of the time that the drop has lasted.
const ROUGH_PROBE_EVERY: Duration = Duration::from_secs(1);
const FOUND_IN: u32 = 20;
/// A probe of twice what the path carries makes a queue as long as it takes, on top of the one that is there. It is not
/// begun if both are longer than this.
const LONGEST_PROBED_QUEUE: Duration = Duration::from_millis(100);
/// At low bitrates it takes longer until there are enough packets to measure.
pub(super) const PROBE_BITS: f64 = 8.0 * 6000.0;
/// A result below this multiple of the estimate is within what a measurement is off, by a probe or by a queue.
const PROBE_GAIN: f64 = 1.15;
const LONGEST_GROWTH_PROBE: Duration = Duration::from_millis(80);
const GROWTH_CALM: Duration = Duration::from_millis(500);

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

/// When an estimator has something to do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outlook {
    probe_at: Option<Time>,
    /// When the path was last heard of, and how long silence is borne.
    heard: Time,
    patience: Duration,
}

impl Outlook {
    /// When [`silence`](Estimator::silence) or [`probe`](Estimator::probe) has something to do at the earliest; `None` if neither
    /// has. A time that is over means that it does not depend on the time.
    pub(super) fn next_timeout(&self, under_way: Option<Time>) -> Option<Time> {
        let silence = under_way.map(|sent| self.heard.max(sent) + self.patience);
        Time::first([silence, self.probe_at])
    }
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
    arrivals: Arrivals,
    relief: Relief,
    /// Packets and lost ones since the loss-based estimate was last changed.
    counted: (u64, u64),
    counted_since: Time,
    loss: f64,
    round_trip: Option<Duration>,
    lowest_round_trip: Option<Duration>,
    /// Lowest delays in µs by two clocks: since a time, and in the period before it.
    lowest_delay: Option<(Time, i64, i64)>,
    queueing: Duration,
    probe: Option<ProbeCount>,
    shadow_until: Time,
    /// Since when there is a long queue of about this length.
    standing: Option<(Time, Duration)>,
    long_since: Option<Time>,
    heard: Time,
    /// When the last report came.
    reported: Time,
    over_used: Option<Time>,
    /// Probes of the start that were asked for, and the last of them in bit/s; `None` once it is over.
    start: Option<(usize, f64)>,
    /// When that last one was asked for, and how many probes were concluded.
    start_asked: Time,
    concluded: usize,
    started_with: f64,
    /// The time of a large drop, and the estimate before it.
    dropped: Option<(Time, f64)>,
    /// When the last large drop was, and the last probe for what it took.
    rough: Option<Time>,
    recovered: Option<Time>,
    /// The estimate before the silence that lasts, and that before a silence from which the path has just returned.
    silent_from: Option<f64>,
    returned: Option<f64>,
    returned_at: Time,
    /// Bit/s that the streams would use, and when the last probe was asked for.
    wanted: f64,
    probed: Option<Time>,
    /// When the last probe was asked for because packets waited less.
    relieved: Option<Time>,
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
            arrivals: Arrivals::default(),
            relief: Relief::default(),
            counted: (0, 0),
            counted_since: Time::ZERO,
            loss: 0.0,
            round_trip: None,
            lowest_round_trip: None,
            lowest_delay: None,
            queueing: Duration::ZERO,
            probe: None,
            shadow_until: Time::ZERO,
            standing: None,
            long_since: None,
            heard: Time::ZERO,
            reported: Time::ZERO,
            over_used: None,
            start: Some((0, 0.0)),
            start_asked: Time::ZERO,
            concluded: 0,
            started_with: bitrate as f64,
            dropped: None,
            rough: None,
            recovered: None,
            silent_from: None,
            returned: None,
            returned_at: Time::ZERO,
            wanted: 0.0,
            probed: None,
            relieved: None,
        }
    }

    /// Sets the bit/s that the streams could use if the path carried it; 0 at first. As long as the estimate is below
    /// that, the estimator asks for a probe of twice the estimate every 3.5 s.
    pub fn set_wanted(&mut self, bitrate: u64) {
        self.wanted = bitrate as f64;
    }

    /// A probe that the estimator asks for itself. Call it while none is being sent.
    pub fn probe(&mut self, now: Time) -> Option<Probe> {
        self.finish_probe(now, &[]);
        if let Some((asked, _)) = self.start {
            let known = self.concluded >= asked || now >= self.start_asked + START_PROBE_WAIT;
            if asked >= START_PROBES.len() && !known {
                return None;
            }
            if let Some(bitrate) = self.start_probe() {
                (self.probed, self.start_asked) = (Some(now), now);
                return Some(Probe { bitrate: bitrate as u64, duration: START_PROBE_FOR });
            }
        }
        if self.probe.is_some() {
            return None;
        }
        if let Some(bitrate) = self.recovery_probe(now) {
            self.probed = Some(now);
            let share = (self.estimate() / bitrate.max(LOWEST)).min(1.0);
            let duration =
                Duration::from_secs_f64(RECOVERY_QUEUE * share).clamp(LEAST_RECOVERY_PROBE, PROBE_FOR);
            return Some(Probe { bitrate: bitrate as u64, duration });
        }
        self.growth_probe(now)
    }

    /// Whether the estimator still makes the probes of a path's start.
    pub(super) fn is_starting(&self) -> bool {
        self.start.is_some()
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

    /// The first report has come. If the probes of the start got lost before it, they told nothing.
    fn start_anew(&mut self, packets: &[PacketReport]) {
        let asked = self.probed.is_some();
        let later = |packet: &PacketReport| packet.sent > self.start_asked + START_PROBED;
        if asked && packets.iter().all(|packet| packet.probe.is_none()) && packets.iter().any(later) {
            self.start = Some((0, 0.0));
        }
    }

    fn recovery_probe(&mut self, now: Time) -> Option<f64> {
        if let Some(from) = self.returned.take().filter(|from| self.delay_based < AFTER_DROP * from) {
            (self.dropped, self.recovered) = (None, Some(now));
            return Some((AFTER_DROP * from).min(RETURN_GROWTH * self.delay_based));
        }
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

    fn growth_probe(&mut self, now: Time) -> Option<Probe> {
        let every = self
            .rough
            .map_or(PROBE_EVERY, |at| ((now - at) / FOUND_IN).clamp(ROUGH_PROBE_EVERY, PROBE_EVERY));
        let relieved = self.is_relieved(now);
        let due = relieved || self.probed.is_none_or(|at| now >= at + every);
        let calm = self.over_used.is_none_or(|at| now >= at + GROWTH_CALM);
        let (estimate, limited) = (self.estimate(), self.loss > PROBED_LOSS);
        if self.start.is_some() || estimate >= self.wanted || limited || !due || !calm {
            return None;
        }
        let bitrate = if relieved { RELIEF_GROWTH } else { GROWTH } * estimate;
        let enough = Duration::from_secs_f64(PROBE_BITS / bitrate.max(LOWEST));
        let duration = enough.clamp(GROWTH_PROBE_FOR, LONGEST_GROWTH_PROBE);
        if self.queueing + duration > LONGEST_PROBED_QUEUE {
            return None;
        }
        self.probed = Some(now);
        if relieved {
            self.relieved = Some(now);
        }
        Some(Probe { bitrate: bitrate as u64, duration })
    }

    /// Whether packets wait less than before, and it is time to probe for the reason.
    fn is_relieved(&self, now: Time) -> bool {
        let due = self.relieved.is_none_or(|at| now >= at + PROBE_EVERY)
            && self.probed.is_none_or(|at| now >= at + RELIEF_AFTER);
        due && self.lowest_delay.is_some_and(|(_, lowest, before)| self.relief.is_there(lowest.min(before)))
    }

    /// Lowers the estimate, and remembers the one before a large drop.
    fn lower(&mut self, now: Time, to: f64) {
        let to = to.min(self.delay_based).max(LOWEST);
        let before = self.dropped.filter(|(at, _)| now <= *at + DROP_FORGOTTEN);
        let from = before.map_or(self.delay_based, |(_, from)| from.max(self.delay_based));
        self.dropped = before;
        if to < DROP * from {
            self.dropped = Some((before.map_or(now, |(at, _)| at), from));
            self.rough = Some(now);
        }
        self.delay_based = to;
        self.over_used = Some(now);
    }

    /// Takes a report, which came at `now`, of packets in the order that they were sent.
    pub fn report(&mut self, now: Time, packets: &[PacketReport]) {
        self.heard = now;
        if self.reported == Time::ZERO {
            self.start_anew(packets);
        }
        self.reported = now;
        let mut usage = Usage::Normal;
        let (mut least_waited, mut most_waited): (Option<Duration>, Option<Duration>) = (None, None);
        if self.silent_from.is_some() && packets.iter().any(|packet| packet.arrived.is_some()) {
            self.returned = self.silent_from.take();
            self.returned_at = now;
        }
        for packet in packets {
            let Some(arrived) = packet.arrived else {
                // What was lost while nothing arrived has been taken for congestion already.
                let counts = u64::from(packet.sent >= self.returned_at);
                self.counted = (self.counted.0 + counts, self.counted.1 + counts);
                continue;
            };
            self.counted.0 += 1;
            let waited = self.arrived(now, packet, arrived);
            least_waited = Some(least_waited.map_or(waited, |least| least.min(waited)));
            most_waited = most_waited.max(Some(waited));
            if packet.probe.is_some() {
                self.shadow_until = packet.sent + PROBE_SHADOW;
            }
            if packet.sent < self.shadow_until {
                // Nothing is compared with what comes before it.
                (self.burst, self.before) = (None, None);
            } else if let Some(signal) = self.detect(packet.sent, arrived) {
                // Over-use within a report is not undone by its later packets.
                if usage != Usage::Over {
                    usage = signal;
                }
            }
            let round_trip = now - packet.sent;
            self.round_trip = Some(round_trip);
            self.lowest_round_trip =
                Some(self.lowest_round_trip.map_or(round_trip, |lowest| lowest.min(round_trip)));
        }
        // A mean over packets takes its time when they are few. A queue that none of them has met has gone.
        self.queueing = self.queueing.min(most_waited.unwrap_or(self.queueing));
        let queue = least_waited.unwrap_or_default();
        if self.is_long(now, queue, packets) {
            let higher = self.delay_based > DRAINS * self.arrivals.latest_rate();
            usage = if higher || usage == Usage::Over { Usage::Over } else { Usage::Under };
        }
        self.control(now, usage, queue);
        if usage != Usage::Over {
            self.rise_to_drain(now);
        }
        self.count_loss(now);
        self.finish_probe(now, packets);
    }

    /// The path carries at least what comes out of its queue.
    fn rise_to_drain(&mut self, now: Time) {
        let carries = BETA * self.arrivals.drain_rate(QUEUED).unwrap_or(0.0);
        if carries > PROBE_GAIN * self.delay_based {
            self.delay_based = carries;
            self.probed = Some(now);
        }
    }

    /// Whether a queue in which every packet of a report has waited for at least `queue` is too long.
    fn is_long(&mut self, now: Time, queue: Duration, packets: &[PacketReport]) -> bool {
        let shadowed = packets.last().is_some_and(|last| last.sent < self.shadow_until);
        if queue < if shadowed { LONG_PROBE_QUEUE } else { LONG_QUEUE } {
            (self.standing, self.long_since) = (None, None);
            return false;
        }
        let long_since = *self.long_since.get_or_insert(now);
        let (since, before) = *self.standing.get_or_insert((now, queue));
        if queue > before + before / 4 || queue < before - before / 4 {
            self.standing = Some((now, queue));
        } else if now >= since + STANDING {
            self.standing = None;
            self.lowest_delay = None;
            return false;
        }
        now >= long_since + LONG_FOR || queue >= VERY_LONG_QUEUE && !shadowed
    }

    /// Says when the oldest packet was sent that is under way at `now`, of which no report has come
    /// ([`SentLog::under_way`](super::SentLog::under_way)).
    pub fn silence(&mut self, now: Time, under_way: Option<Time>) {
        let Some(sent) = under_way else { return };
        if now - self.heard.max(sent) >= SILENCE + self.round_trip.unwrap_or_default() {
            self.heard = now;
            self.silent_from.get_or_insert(self.delay_based);
            self.lower(now, 0.8 * self.delay_based);
        }
    }

    /// When there is something to do, as long as no report comes.
    pub(super) fn outlook(&self) -> Outlook {
        let is_busy =
            self.start.is_some() || self.probe.is_some() || self.dropped.is_some() || self.returned.is_some();
        // Of a path that is rough the probes are more frequent.
        let grows = self.estimate() < self.wanted;
        let growth = grows.then(|| self.probed.map_or(Time::ZERO, |at| at + ROUGH_PROBE_EVERY));
        Outlook {
            probe_at: if is_busy { Some(Time::ZERO) } else { growth },
            heard: self.heard,
            patience: SILENCE + self.round_trip.unwrap_or_default(),
        }
    }

    /// How much the path carries, in bit/s.
    pub fn bitrate(&self) -> u64 {
        self.estimate() as u64
    }

    /// Bytes that are under way at most if the path carries the estimate and reports come within `report` of a round
    /// trip.
    pub(super) fn window(&self, report: Duration) -> usize {
        let time = self.lowest_round_trip.unwrap_or(UNKNOWN_ROUND_TRIP) + report;
        (self.estimate() / 8.0 * time.as_secs_f64()) as usize
    }

    /// The last round trip, with the time until its report.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    fn estimate(&self) -> f64 {
        self.delay_based.min(self.loss_based)
    }

    /// When the path was last over-used.
    pub fn over_used(&self) -> Option<Time> {
        self.over_used
    }

    /// The state of the path at `now`. `under_way` is when the oldest packet was sent of which no report has come
    /// ([`SentLog::under_way`](super::SentLog::under_way)); it waits at least since its report was due. A path over
    /// which nothing comes has neither loss nor a queue to tell of.
    pub fn path(&mut self, now: Time, under_way: Option<Time>) -> PathState {
        let fresh = under_way.is_some() || now < self.reported + FRESH + self.round_trip.unwrap_or_default();
        let due = self.lowest_round_trip.unwrap_or(UNKNOWN_ROUND_TRIP) + REPORT_EVERY;
        if under_way.is_none() {
            self.queueing = Duration::ZERO;
        }
        let waits = under_way.map_or(Duration::ZERO, |sent| now - (sent + due));
        PathState {
            bitrate: self.bitrate(),
            round_trip: self.round_trip,
            loss: fresh.then_some(self.loss as f32),
            queueing_delay: fresh.then_some(self.queueing.max(waits)),
        }
    }

    /// Counts a packet that arrived. Returns how long it has waited.
    fn arrived(&mut self, now: Time, packet: &PacketReport, arrived: Time) -> Duration {
        let waited = self.waited(packet.sent, arrived);
        self.arrivals.push(arrived, packet.bytes, waited);
        if packet.sent >= self.shadow_until && packet.probe.is_none() {
            self.relief.push(arrived, packet.bytes, micros(arrived) - micros(packet.sent));
        }
        self.queueing = self.queueing.mul_f64(0.9) + waited.mul_f64(0.1);
        if let Some(number) = packet.probe {
            let new = ProbeCount {
                number,
                sent: (packet.sent, packet.sent),
                arrived: (arrived, arrived),
                first_bytes: packet.bytes,
                last_bytes: 0,
                bytes: 0,
            };
            if self.probe.is_some_and(|probe| probe.number != number) {
                self.conclude_probe(now);
            }
            let probe = self.probe.get_or_insert(new);
            probe.sent.1 = probe.sent.1.max(packet.sent);
            probe.arrived.1 = probe.arrived.1.max(arrived);
            probe.last_bytes = packet.bytes;
            probe.bytes += packet.bytes;
        }
        waited
    }

    /// How long a packet waited, compared with the one that waited least.
    fn waited(&mut self, sent: Time, arrived: Time) -> Duration {
        // The two clocks have different starts, so the difference means nothing by itself.
        let delay = micros(arrived) - micros(sent);
        let (since, mut lowest, mut before) = self.lowest_delay.unwrap_or((sent, delay, delay));
        lowest = lowest.min(delay);
        self.lowest_delay = Some((since, lowest, before));
        if sent >= since + LOWEST_DELAY_FOR {
            before = lowest;
            self.lowest_delay = Some((sent, delay, before));
        }
        Duration::from_micros((delay - lowest.min(before)).max(0) as u64)
    }

    /// Section 5.2: a packet that begins a new burst ends the one before, which is then compared with its own
    /// predecessor.
    fn detect(&mut self, sent: Time, arrived: Time) -> Option<Usage> {
        let new = Burst { first_sent: sent, last_sent: sent, arrived };
        let Some(burst) = &mut self.burst else {
            self.burst = Some(new);
            return None;
        };
        // A late packet says nothing of the queue as it is now.
        if sent < burst.first_sent {
            return None;
        }
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
    fn control(&mut self, now: Time, usage: Usage, queue: Duration) {
        let Some(rate) = self.arrivals.rate(self.updated.is_some()) else { return };
        let since = self.updated.map_or(Duration::ZERO, |updated| now - updated);
        self.updated = Some(now);
        match usage {
            // What arrives is all that was sent, and says nothing of what the path carries. If that is less, the queue gets long.
            Usage::Over if queue < LONG_QUEUE && rate < BETA * self.delay_based => {
                self.over_used = Some(now);
                self.state = State::Hold;
            }
            Usage::Over => {
                let kbps = rate / 1000.0;
                let (mean, variance) = self.capacity.unwrap_or((kbps, 0.4 * kbps));
                let off = kbps - mean;
                let mean = mean + 0.05 * off;
                self.capacity =
                    Some((mean, (0.95 * (variance + 0.05 * off * off)).clamp(0.4 * mean, 2.5 * mean)));
                // What arrives since the path got worse, and the longer the queue the more is left to drain it.
                let rate = rate.min(self.arrivals.latest_rate());
                // Nor less than what waited arrives at: before a burst little was sent.
                let rate = rate.max(self.arrivals.drain_rate(BEGINS).unwrap_or(0.0));
                let drain = (queue.saturating_sub(CALM_QUEUE).as_secs_f64() / DRAINED_IN).min(MOST_DRAINED);
                self.lower(now, (BETA - drain) * rate);
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
            if share > PROBED_LOSS && lost < FEW_LOST {
                return;
            }
            self.loss = share;
            self.counted = (0, 0);
            self.counted_since = now;
            if share > MOST_LOSS {
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
        self.conclude_probe(now);
    }

    fn conclude_probe(&mut self, now: Time) {
        let Some(probe) = self.probe.take() else { return };
        self.concluded += 1;
        let span = |(from, to): (Time, Time)| (to - from).as_secs_f64();
        let rate = |bytes: usize, over: f64| bytes as f64 * 8.0 / over.max(1e-3);
        let sent = rate(probe.bytes - probe.last_bytes, span(probe.sent));
        let arrived = rate(probe.bytes - probe.first_bytes, span(probe.arrived));
        if span(probe.sent) < 0.01 || span(probe.arrived) < 0.01 {
            return;
        }
        // If less arrives than was sent, the queue has grown: the path carries a little less than what
        // arrives.
        let fills = arrived < 0.9 * sent;
        let result = if fills { 0.95 * arrived } else { arrived.min(sent) };
        let congested = self.over_used.is_some_and(|at| now - at < Duration::from_millis(300));
        if result > PROBE_GAIN * self.estimate() && !congested {
            // The next one comes at once, for what the path may carry besides.
            self.probed = None;
            if result > self.delay_based {
                self.delay_based = result;
                self.capacity = None;
            }
            if self.loss <= PROBED_LOSS {
                self.loss_based = result;
            }
        } else if fills && PROBE_GAIN * result < self.estimate() {
            // More was sent than the path carries, so that it was full.
            self.delay_based = result.max(LOWEST);
        }
    }
}

/// Microseconds since the start.
fn micros(time: Time) -> i64 {
    // Sums of two of them fit as well.
    time.since_start().as_micros().min(1 << 60) as i64
}

#[cfg(test)]
mod tests;
