//! Traces: the capacity of a link over time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oorandom::Rand64;

use super::model::{LTE_FADE, LTE_FADE_LEFT, LTE_FADE_RARITY, LTE_RETURN, LTE_SPREAD, LTE_STEP};
use crate::Time;

/// Bytes that one delivery opportunity carries.
pub const OPPORTUNITY_BYTES: usize = 1500;

/// The most delivery opportunities of one trace.
pub const MAX_OPPORTUNITIES: usize = 1 << 22;

/// Why a text is not a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// A line is not a whole number of milliseconds below 2^32.
    #[error("line {line} is no time in milliseconds")]
    Number {
        /// Counted from 1.
        line: usize,
    },
    /// A time is earlier than the one before it.
    #[error("line {line} is earlier than the line before")]
    Order {
        /// Counted from 1.
        line: usize,
    },
    /// More than [`MAX_OPPORTUNITIES`].
    #[error("more than {MAX_OPPORTUNITIES} lines")]
    Long,
    /// No line, or the last is time 0, so that the trace has no length.
    #[error("the trace has no length")]
    Empty,
}

/// A link's capacity: the times at which a packet of up to [`OPPORTUNITY_BYTES`] can cross it, over and over.
///
/// This is the format of the Mahimahi project: a line for each opportunity, its time in milliseconds; a time
/// that repeats is that many opportunities; the last time is the length of the trace, which then starts over.
#[derive(Clone, PartialEq, Eq)]
pub struct Trace {
    opportunities: Arc<[u32]>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} opportunities in {:?})", self.opportunities.len(), self.period())
    }
}

impl Trace {
    /// Reads a trace. Empty lines are passed over.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut opportunities: Vec<u32> = Vec::new();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_number = at + 1;
            let time = line.trim().parse().map_err(|_| TraceError::Number { line: line_number })?;
            if opportunities.last().is_some_and(|&last| time < last) {
                return Err(TraceError::Order { line: line_number });
            }
            if opportunities.len() == MAX_OPPORTUNITIES {
                return Err(TraceError::Long);
            }
            opportunities.push(time);
        }
        match opportunities.last() {
            None | Some(0) => Err(TraceError::Empty),
            Some(_) => Ok(Self { opportunities: opportunities.into() }),
        }
    }

    /// A link that always carries the same bit/s, at least 1000 and at most 1 Gbit/s.
    pub fn constant(bitrate: u64) -> Self {
        Self::steps(&[(Duration::from_secs(12), bitrate)])
    }

    /// A link whose bitrate changes step by step: each step lasts for its duration and carries its bit/s,
    /// from 1000 bit/s to 1 Gbit/s. The trace ends at [`MAX_OPPORTUNITIES`].
    pub fn steps(steps: &[(Duration, u64)]) -> Self {
        let mut opportunities = Vec::new();
        let (mut time, mut bits) = (0, 0);
        let packet = 8 * OPPORTUNITY_BYTES as u64;
        for &(duration, bitrate) in steps {
            let bitrate = bitrate.clamp(1000, 1_000_000_000);
            for _ in 0..duration.as_millis().min(1 << 31) {
                if opportunities.len() >= MAX_OPPORTUNITIES {
                    break;
                }
                time += 1;
                // In 1/1000 bit, so that no bitrate is rounded.
                bits += bitrate;
                while bits >= 1000 * packet && opportunities.len() < MAX_OPPORTUNITIES {
                    bits -= 1000 * packet;
                    opportunities.push(time);
                }
            }
        }
        if opportunities.is_empty() {
            opportunities.push(time.max(1));
        }
        Self { opportunities: opportunities.into() }
    }

    /// A link as LTE is while driving: a random walk about `bitrate` that returns to it in some seconds, with
    /// fades down to a tenth now and then. The same seed gives the same trace.
    pub fn lte(seed: u64, bitrate: u64, duration: Duration) -> Self {
        let mut random = Rand64::new(u128::from(seed));
        // A sum of uniform numbers is close enough to a normal one.
        let mut normal = move |spread: f64| {
            let sum: f64 = (0..12).map(|_| random.rand_float()).sum();
            (sum - 6.0) * spread
        };
        let (mut walk, mut fade) = (0.0, 0.0);
        let steps: Vec<(Duration, u64)> = (0..duration.as_millis() / LTE_STEP.as_millis())
            .map(|_| {
                walk += -LTE_RETURN * walk + normal(LTE_SPREAD);
                fade *= LTE_FADE_LEFT;
                if normal(1.0) > LTE_FADE_RARITY {
                    fade = LTE_FADE;
                }
                (LTE_STEP, (bitrate as f64 * (walk + fade).exp()) as u64)
            })
            .collect();
        Self::steps(&steps)
    }

    /// The trace's length, after which it starts over.
    pub fn period(&self) -> Duration {
        Duration::from_millis(u64::from(self.opportunities[self.opportunities.len() - 1]))
    }

    /// The time of opportunity `index`, counted from 0 over all repetitions.
    pub(super) fn time(&self, index: u64) -> Time {
        let len = self.opportunities.len() as u64;
        let within = Duration::from_millis(u64::from(self.opportunities[(index % len) as usize]));
        Time::ZERO + self.period() * (index / len) as u32 + within
    }

    /// The first opportunity at or after `time`.
    pub(super) fn first_from(&self, time: Time) -> u64 {
        let time = time.since_start().as_nanos();
        let period = self.period().as_nanos();
        let (mut rounds, mut rest) = (time / period, time % period);
        if rest == 0 && rounds > 0 {
            // A round's last opportunities are at the time where the next round starts.
            (rounds, rest) = (rounds - 1, period);
        }
        let rest = rest.div_ceil(1_000_000) as u32;
        let at = self.opportunities.partition_point(|&opportunity| opportunity < rest);
        rounds as u64 * self.opportunities.len() as u64 + at as u64
    }

    /// Mean bit/s from one time until before another; 0 if the second is not later than the first.
    pub fn bitrate(&self, from: Time, to: Time) -> u64 {
        if to <= from {
            return 0;
        }
        let opportunities = self.first_from(to).saturating_sub(self.first_from(from));
        let bits = (opportunities * 8 * OPPORTUNITY_BYTES as u64) as f64;
        (bits / (to - from).as_secs_f64()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_trace_starts_over_at_its_end() {
        let trace = Trace::parse("0\n2\n2\n\n10\n").unwrap();
        assert_eq!(trace.period(), 10 * MS);
        let times: Vec<Time> = (0..9).map(|index| trace.time(index)).collect();
        assert_eq!(times, [0, 2, 2, 10, 10, 12, 12, 20, 20].map(Time::from_millis));
        for (from, first) in [(0, 0), (1, 1), (2, 1), (3, 3), (10, 3), (11, 5), (20, 7)] {
            assert_eq!(trace.first_from(Time::from_millis(from)), first, "from {from} ms");
        }
        // The time where the second ends has the last opportunity of the hundredth round.
        assert_eq!(trace.bitrate(Time::ZERO, Time::from_secs(1)), (4 * 100 - 1) * 12000);
    }

    #[test]
    fn what_is_no_trace_is_told_with_its_line() {
        assert_eq!(Trace::parse("1\n\nx"), Err(TraceError::Number { line: 3 }));
        assert_eq!(Trace::parse("5\n4"), Err(TraceError::Order { line: 2 }));
        assert_eq!(Trace::parse("-1"), Err(TraceError::Number { line: 1 }));
        assert_eq!(Trace::parse(""), Err(TraceError::Empty));
        assert_eq!(Trace::parse("0\n0"), Err(TraceError::Empty));
        assert_eq!(Trace::parse(&"1\n".repeat(MAX_OPPORTUNITIES + 1)), Err(TraceError::Long));
    }

    #[test]
    fn made_traces_carry_what_they_are_made_for() {
        let second = Duration::from_secs(1);
        let constant = Trace::constant(1_500_000).bitrate(Time::ZERO, Time::from_secs(60));
        assert!(constant.abs_diff(1_500_000) <= 200, "{constant}");
        let steps = Trace::steps(&[(5 * second, 1_000_000), (5 * second, 200_000)]);
        let low = steps.bitrate(Time::from_secs(6), Time::from_secs(10));
        assert!(low.abs_diff(200_000) <= 3000, "{low}");
        let high = steps.bitrate(Time::from_secs(10), Time::from_secs(15));
        assert!(high.abs_diff(1_000_000) <= 3000, "starts over: {high}");
        let lte = Trace::lte(1, 4_000_000, 60 * second);
        assert_eq!(lte, Trace::lte(1, 4_000_000, 60 * second));
        assert_ne!(lte, Trace::lte(2, 4_000_000, 60 * second));
        let mean = lte.bitrate(Time::ZERO, Time::from_secs(60));
        assert!((1_500_000..8_000_000).contains(&mean), "{mean}");
        let lowest = (0..59).map(|s| lte.bitrate(Time::from_secs(s), Time::from_secs(s + 1))).min().unwrap();
        assert!(lowest < mean / 3, "{lowest} of {mean}");
        assert_eq!(Trace::steps(&[]).period(), MS);
    }

    proptest! {
        #[test]
        fn any_text_is_a_trace_or_an_error(text in "[0-9 \n\r-]{0,80}|\\PC{0,40}") {
            if let Ok(trace) = Trace::parse(&text) {
                prop_assert!(trace.period() >= MS);
                for index in 0..50 {
                    prop_assert!(trace.time(index) <= trace.time(index + 1));
                    let first = trace.first_from(trace.time(index));
                    prop_assert!(first <= index && trace.time(first) == trace.time(index));
                }
            }
        }
    }
}
