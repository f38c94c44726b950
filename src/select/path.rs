//! The path to a receiver: how much it has proven to carry, and when to probe for more.

use std::time::Duration;

use super::config::SelectorConfig;
use super::decision::Probe;
use super::input::{MAX_BITRATE, Network};
use crate::Time;

/// No stream rises on a bandwidth estimate older than this.
const ESTIMATE_FRESH: Duration = Duration::from_secs(2);
/// Loss, queueing delay and round-trip time count in full up to this age.
const SYMPTOM_FRESH: Duration = Duration::from_secs(2);
/// They do not count from this age on.
const SYMPTOM_GONE: Duration = Duration::from_secs(10);
/// Queues shorter than this come and go by themselves.
const CALM_QUEUE: Duration = Duration::from_millis(100);
/// The time, in seconds, in which a longer queue is to drain: it takes its share of the budget, at most half.
const DRAIN: f64 = 0.25;
/// A fall within this time after a rise makes the rise a failure.
const TRIAL: Duration = Duration::from_secs(10);
/// For so long after a rise its refresh may fill the path.
const REFRESHES: Duration = Duration::from_secs(1);
/// A path that carries so many times as much as when it was last congested is another path by now: after this time streams
/// rise, without waiting for [`SelectorConfig::up_hold`]. The same goes for what was in use when a rise failed.
const RECOVERED: u64 = 2;
const RECOVERED_FOR: Duration = Duration::from_millis(1500);
/// A path that carries less than one part in so many of what was in use before a rise has become worse by itself: an estimator
/// takes a third off at most of what such a path lets through.
const WORSE: u64 = 2;
/// Streams rise one after the other, so many of them in [`SelectorConfig::settle`].
const NEXT_RISE: u32 = 4;
/// A probe succeeds if the estimate reaches this share of its bitrate.
const PROBE_MET: f64 = 0.97;

/// The time between probes while not even the minimum service fits.
const SHORT_PROBE: Duration = Duration::from_secs(2);

/// The influence of an input at `age`: 1 up to `fresh`, then less in proportion, 0 from `gone` on.
pub(super) fn influence(age: Duration, fresh: Duration, gone: Duration) -> f64 {
    let left = gone.saturating_sub(age).as_secs_f64() / (gone - fresh).as_secs_f64();
    left.min(1.0)
}

/// Time of one bucket of [`Minima`].
const BUCKET: Duration = Duration::from_millis(250);
const BUCKETS: u64 = 64;

/// Lowest values of the last 16 s, in buckets of time.
#[derive(Debug, Clone)]
struct Minima {
    buckets: [u64; BUCKETS as usize],
    /// Number of the newest bucket since the start of time.
    newest: u64,
}

impl Minima {
    fn observe(&mut self, now: Time, value: u64) {
        let bucket = (now.since_start().as_millis() / BUCKET.as_millis()) as u64;
        let skipped = bucket.saturating_sub(self.newest);
        self.newest += skipped;
        for back in 0..skipped.min(BUCKETS) {
            *self.bucket(self.newest - back) = u64::MAX;
        }
        let newest = self.bucket(self.newest);
        *newest = value.min(*newest);
    }

    fn bucket(&mut self, number: u64) -> &mut u64 {
        &mut self.buckets[(number % BUCKETS) as usize]
    }

    /// The lowest value of the last `span`, as far as they are remembered.
    fn lowest(&self, span: Duration) -> u64 {
        let span = (span.as_millis() / BUCKET.as_millis()).min(u128::from(BUCKETS - 1)) as u64;
        let numbers = self.newest.saturating_sub(span)..=self.newest;
        numbers.map(|number| self.buckets[(number % BUCKETS) as usize]).min().unwrap_or(u64::MAX)
    }
}

/// A probe that was asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    bitrate: u64,
    /// The estimate before it.
    before: u64,
    /// When its result has to be there.
    until: Time,
}

/// A rise of a spatial layer that is on trial, and the bit/s that were in use before it.
#[derive(Debug, Clone, Copy)]
struct Trial {
    at: Time,
    before: u64,
}

/// A rise that has failed: the bit/s that were in use before it and at its end, and until when that counts.
#[derive(Debug, Clone, Copy)]
struct Failed {
    until: Time,
    before: u64,
    took: u64,
}

/// The bits that there are to share out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Bit/s that may be used now.
    pub now: u64,
    /// Of these, bit/s that the path has carried for long enough for higher spatial layers. No stream rises
    /// if it is `None`.
    pub proven: Option<u64>,
    /// Bit/s that may be used to keep spatial layers, in spite of a queue.
    pub keep: u64,
    /// Bit/s including the reserve against loss.
    pub unprotected: u64,
}

/// The path's recent past.
#[derive(Debug, Clone)]
pub(super) struct Path {
    network: Network,
    /// When the state of the network last came, and when it last had an estimate.
    symptoms_at: Time,
    estimate_at: Time,
    minima: Minima,
    /// No spatial layer rises before this.
    ready_at: Time,
    /// Nor before this, unless the path has recovered from the congestion.
    held_until: Time,
    /// Bit/s that it carried when it was last congested.
    carried: u64,
    /// A rise has failed: until a time, none goes beyond the use before it, unless the path carries much more than the bit/s
    /// that were in use when it failed.
    failed: Option<Failed>,
    /// The last rise, until it has lasted or failed.
    trial: Option<Trial>,
    /// Number of rises that failed one after the other.
    failures: u32,
    /// Bit/s that a probe has met since the last congestion.
    probed: u64,
    asked: Option<Asked>,
    next_probe_at: Time,
    failed_probes: u32,
    /// When the last probe was asked for.
    asked_at: Time,
    /// Whether the path ever carried less than was in use.
    was_congested: bool,
}

impl Path {
    pub fn new() -> Self {
        Self {
            network: Network::default(),
            symptoms_at: Time::ZERO,
            estimate_at: Time::ZERO,
            minima: Minima { buckets: [u64::MAX; BUCKETS as usize], newest: 0 },
            ready_at: Time::ZERO,
            held_until: Time::ZERO,
            carried: 0,
            failed: None,
            trial: None,
            failures: 0,
            probed: 0,
            asked: None,
            next_probe_at: Time::ZERO,
            failed_probes: 0,
            asked_at: Time::ZERO,
            was_congested: false,
        }
    }

    pub fn set(&mut self, now: Time, network: Network, config: &SelectorConfig) {
        if network.available_bitrate.is_some() {
            self.estimate_at = now;
        }
        self.symptoms_at = now;
        let available_bitrate = network.available_bitrate.or(self.network.available_bitrate);
        self.network = Network { available_bitrate, ..network };
        self.observe(now, config);
    }

    /// The influence of loss, queue and round-trip time at `now`.
    fn symptoms(&self, now: Time) -> f64 {
        influence(now - self.symptoms_at, SYMPTOM_FRESH, SYMPTOM_GONE)
    }

    /// Share of packets lost, less the older it is.
    pub fn loss(&self, now: Time) -> f64 {
        let loss = self.network.loss.filter(|loss| loss.is_finite()).unwrap_or(0.0);
        f64::from(loss.clamp(0.0, 1.0)) * self.symptoms(now)
    }

    /// Share of the bits that is reserved for redundancy: above the threshold, twice the share lost.
    pub fn reserve(&self, now: Time, config: &SelectorConfig) -> f64 {
        let loss = self.loss(now);
        if loss > f64::from(config.loss_threshold) { (2.0 * loss).min(0.5) } else { 0.0 }
    }

    fn queue(&self, now: Time) -> Duration {
        let delay = self.network.queueing_delay.unwrap_or_default().as_secs_f64();
        Duration::try_from_secs_f64(delay * self.symptoms(now)).unwrap_or(Duration::MAX)
    }

    /// Whether the refresh of a rise may still fill the path.
    fn refreshes(&self, now: Time) -> bool {
        self.trial.is_some_and(|rise| now - rise.at < REFRESHES)
    }

    /// Bit/s that streams and redundancy may use by the latest estimate; and the part of it that lets the
    /// queue drain.
    fn usable(&self, now: Time, config: &SelectorConfig) -> Option<(u64, u64)> {
        let available = self.network.available_bitrate?.min(MAX_BITRATE) as f64;
        let available = available * (1.0 - f64::from(config.headroom.clamp(0.0, 1.0)));
        // The longer the queue the more is left to drain it, at most half of the bits.
        let queue = self.queue(now).saturating_sub(CALM_QUEUE).as_secs_f64();
        let drain = if self.refreshes(now) { 0.0 } else { (queue / DRAIN).min(0.5) };
        Some((available as u64, (available * (1.0 - drain)) as u64))
    }

    /// Whether the path carries so many bit/s by the latest estimate.
    fn carries(&self, now: Time, bits: u64, config: &SelectorConfig) -> bool {
        self.usable(now, config).is_some_and(|(_, draining)| self.unreserved(now, draining, config) >= bits)
    }

    /// What redundancy leaves of so many bit/s.
    fn unreserved(&self, now: Time, bits: u64, config: &SelectorConfig) -> u64 {
        (bits as f64 * (1.0 - self.reserve(now, config))) as u64
    }

    fn observe(&mut self, now: Time, config: &SelectorConfig) -> Option<(u64, u64)> {
        let (usable, draining) = self.usable(now, config)?;
        self.minima.observe(now, self.unreserved(now, draining, config));
        Some((self.unreserved(now, usable, config), draining))
    }

    /// The bits to share out at `now`; `None` if the path is unknown.
    pub fn budget(&mut self, now: Time, config: &SelectorConfig) -> Option<Budget> {
        let (keep, unprotected) = self.observe(now, config)?;
        let lowest = self.minima.lowest(config.settle);
        self.judge_probe(now, config);
        let fresh = now - self.estimate_at <= ESTIMATE_FRESH;
        // As careful as the settings, and no more.
        let lasts = RECOVERED_FOR.min(config.up_hold).max(config.settle);
        let grown = |from: u64| self.minima.lowest(lasts) >= from.saturating_mul(RECOVERED);
        let recovered = grown(self.carried);
        let held = now < self.held_until && !recovered;
        let failed = self.failed.filter(|failed| now < failed.until && !grown(failed.took));
        let most = failed.map_or(u64::MAX, |failed| failed.before);
        let ready = now >= self.ready_at && !held;
        let proven = (fresh && ready).then(|| {
            let span = match (self.was_congested, recovered) {
                (false, _) => config.settle,
                (true, true) => lasts,
                (true, false) => config.up_hold,
            };
            self.minima.lowest(span).max(self.probed.min(lowest)).min(most)
        });
        Some(Budget { now: lowest, proven, keep, unprotected })
    }

    /// Takes the result of a decision: whether the path carried less than was in use, whether a spatial layer
    /// fell because of that, and whether one rose.
    pub fn decided(
        &mut self,
        now: Time,
        in_use: u64,
        congested: bool,
        fell: bool,
        rose: u32,
        config: &SelectorConfig,
    ) {
        // What the latest estimate carries is no congestion, though the lowest one of `settle` still counts.
        let congested = congested && !self.carries(now, in_use, config);
        let failed = congested && fell;
        if !failed && self.trial.take_if(|rise| now - rise.at > TRIAL).is_some() {
            self.failures = self.failures.saturating_sub(1);
        }
        // The refresh makes a queue, and the estimate is lower until that has drained. If the path does not carry the rise, a
        // layer falls.
        if congested && (fell || !self.refreshes(now)) {
            self.probed = 0;
            // A queue that drains takes its share for a while, which says nothing of the path.
            let usable = self.usable(now, config).map_or(0, |(usable, _)| usable);
            let goes_on = self.was_congested && now + config.up_hold <= self.held_until + config.settle;
            self.carried = if goes_on { self.carried.min(usable) } else { usable };
            self.was_congested = true;
            self.held_until = now + config.up_hold;
            if let Some(rise) = self.trial.take_if(|_| failed) {
                self.failures = (self.failures + 1).min(16);
                let until = now + backed_off(self.failures, config);
                self.failed = Some(Failed { until, before: rise.before, took: in_use });
            }
            // Not even what was in use before the rise would have lasted: it is the path that has become worse.
            if self.failed.is_some_and(|it| self.carried.saturating_mul(WORSE) < it.before) {
                self.failed = None;
                self.failures = self.failures.saturating_sub(1);
            }
            let barred_until = self.failed.map_or(Time::ZERO, |failed| failed.until);
            self.next_probe_at = self.next_probe_at.max(self.held_until).max(barred_until);
        }
        if rose > 0 {
            self.trial = Some(Trial { at: now, before: in_use });
            self.ready_at = self.ready_at.max(now + (config.settle / NEXT_RISE).saturating_mul(rose));
        }
    }

    fn judge_probe(&mut self, now: Time, config: &SelectorConfig) {
        let Some(asked) = self.asked else { return };
        let estimate = self.network.available_bitrate.unwrap_or(0);
        if estimate as f64 >= asked.bitrate as f64 * PROBE_MET {
            self.probed = self.minima.lowest(Duration::ZERO);
            self.failed_probes = 0;
            self.next_probe_at = now;
        } else if now < asked.until {
            return;
        } else if estimate > asked.before + asked.before / 20 {
            // The estimate rises, though not far enough yet.
            self.next_probe_at = now;
        } else {
            self.failed_probes = (self.failed_probes + 1).min(16);
            self.next_probe_at = self.next_probe_at.max(now + backed_off(self.failed_probes, config));
        }
        self.asked = None;
    }

    /// A probe for `wanted` bit/s of streams, if it is time for one. `short` says that not even the minimum
    /// service fits, when probes come more often.
    pub fn probe(&mut self, now: Time, wanted: u64, short: bool, config: &SelectorConfig) -> Option<Probe> {
        let estimate = self.network.available_bitrate?;
        let ready = self.next_probe_at.max(self.ready_at);
        let at = if short { self.asked_at + SHORT_PROBE } else { ready };
        // The queue of a probe beside that of a refresh would make the rise fail.
        let ready = now >= at && self.asked.is_none() && !self.refreshes(now);
        let fresh = now - self.estimate_at <= ESTIMATE_FRESH;
        let calm = self.queue(now) <= CALM_QUEUE && self.loss(now) <= f64::from(config.loss_threshold);
        let share = 1.0 - f64::from(config.headroom.clamp(0.0, 0.9));
        let bitrate = (wanted as f64 / share * 1.02) as u64;
        if !ready || !fresh || !calm || estimate >= bitrate {
            return None;
        }
        let round_trip = self.network.round_trip.unwrap_or(Duration::from_millis(100));
        let duration = round_trip
            .saturating_mul(4)
            .clamp(config.probe_duration, config.probe_duration.saturating_mul(4));
        self.asked_at = now;
        self.asked = Some(Asked { bitrate, before: estimate, until: now + duration + round_trip + BUCKET });
        Some(Probe { bitrate, duration })
    }
}

/// The time to wait after a number of failures in a row.
fn backed_off(failures: u32, config: &SelectorConfig) -> Duration {
    config.up_hold.saturating_mul(1 << failures.min(16)).min(config.max_hold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_probed_while_a_rise_fills_it_with_its_refresh() {
        let (ms, config) = (Time::from_millis, SelectorConfig::default());
        let mut path = Path::new();
        let mut probe = |now: u64, rose: u32| {
            let network = Network { available_bitrate: Some(1_000_000), ..Network::default() };
            path.set(ms(now), network, &config);
            path.decided(ms(now), 500_000, false, false, rose, &config);
            path.probe(ms(now), 2_000_000, false, &config).is_some()
        };
        assert!(!probe(5000, 1));
        for now in (5100..6000).step_by(100) {
            assert!(!probe(now, 0), "{now}");
        }
        assert!(probe(6000, 0));
    }

    #[test]
    fn an_estimate_that_has_risen_by_now_is_no_congestion() {
        let (ms, config) = (Time::from_millis, SelectorConfig::default());
        // Whether a layer may rise two seconds after a decision at which 400 kbit/s were in use.
        let may_rise = |at_decision: u64, later: u64| {
            let mut path = Path::new();
            let estimate = |path: &mut Path, now: u64, bits: u64| {
                path.set(ms(now), Network { available_bitrate: Some(bits), ..Network::default() }, &config);
            };
            estimate(&mut path, 500, 300_000);
            estimate(&mut path, 950, at_decision);
            let congested = path.budget(ms(1000), &config).is_some_and(|budget| budget.now < 400_000);
            assert!(congested);
            path.decided(ms(1000), 400_000, congested, false, 0, &config);
            for now in (1100..=3000).step_by(100) {
                estimate(&mut path, now, later);
            }
            path.budget(ms(3000), &config).is_some_and(|budget| budget.proven.is_some())
        };
        assert!(may_rise(1_000_000, 1_000_000));
        assert!(may_rise(500_000, 700_000));
        assert!(!may_rise(400_000, 700_000));
        // It carries twice as much by then.
        assert!(may_rise(400_000, 1_000_000));
    }
}
