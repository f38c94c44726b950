//! How a participant behaves, and when that is too much.

use std::time::Duration;

use crate::Time;

/// Strikes that are forgotten in a second, and strikes at which a participant is out.
const FORGIVEN: f64 = 20.0;
const OUT: f64 = 1000.0;

/// What a participant may send, on the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct Allowance {
    /// Bit/s of all packets.
    pub bitrate: u64,
    /// Packets a second, RTCP left out.
    pub packets: u32,
    /// RTCP packets and reports a second.
    pub reports: u32,
}

impl Default for Allowance {
    /// 50 Mbit/s in 8000 packets, and 500 reports: several times what a call with 49 windows needs.
    fn default() -> Self {
        Self { bitrate: 50_000_000, packets: 8000, reports: 500 }
    }
}

/// Why a participant was put out of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Misconduct {
    /// More packets or bytes than [`Allowance`] has.
    #[error("more packets or bytes than are allowed")]
    Flood,
    /// More RTCP packets or reports than it has.
    #[error("more reports than are allowed")]
    Reports,
    /// Packets of somebody else's SSRC.
    #[error("packets of somebody else's SSRC")]
    ForgedSsrc,
    /// Packets that are no RTP and no RTCP, or whose descriptor cannot be read.
    #[error("packets that cannot be read")]
    Malformed,
}

impl Misconduct {
    /// What one case of it counts. Of what can only be on purpose little is enough.
    fn strikes(self) -> f64 {
        match self {
            Self::Flood | Self::Reports => 1.0,
            Self::Malformed => 5.0,
            Self::ForgedSsrc => 50.0,
        }
    }
}

/// An allowance that fills with time, up to that of a second.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    rate: f64,
    level: f64,
}

impl Bucket {
    fn new(rate: f64) -> Self {
        Self { rate, level: rate }
    }

    fn fill(&mut self, seconds: f64) {
        self.level = (self.level + seconds * self.rate).min(self.rate);
    }

    fn take(&mut self, amount: f64) -> bool {
        let is_enough = self.level >= amount;
        if is_enough {
            self.level -= amount;
        }
        is_enough
    }
}

/// Bounds what a participant may send, and counts what is wrong with it.
#[derive(Debug)]
pub(super) struct Conduct {
    bits: Bucket,
    packets: Bucket,
    reports: Bucket,
    /// When they were last filled.
    filled: Time,
    strikes: f64,
    struck: Time,
    /// What was refused.
    pub refused: u64,
}

impl Conduct {
    pub fn new(allowance: Allowance) -> Self {
        Self {
            bits: Bucket::new(allowance.bitrate as f64),
            packets: Bucket::new(allowance.packets.into()),
            reports: Bucket::new(allowance.reports.into()),
            filled: Time::ZERO,
            strikes: 0.0,
            struck: Time::ZERO,
            refused: 0,
        }
    }

    /// Whether a packet of so many bytes is within the allowance.
    pub fn admits(&mut self, now: Time, bytes: usize, is_report: bool) -> Result<(), Misconduct> {
        // Packets that come at once cost no more than they must.
        if now > self.filled {
            let passed = (now - self.filled).as_secs_f64();
            self.filled = now;
            for bucket in [&mut self.bits, &mut self.packets, &mut self.reports] {
                bucket.fill(passed);
            }
        }
        if !self.bits.take(bytes as f64 * 8.0) {
            return Err(Misconduct::Flood);
        }
        match is_report {
            true if !self.reports.take(1.0) => Err(Misconduct::Reports),
            false if !self.packets.take(1.0) => Err(Misconduct::Flood),
            _ => Ok(()),
        }
    }

    /// Counts a case. `true` if that was one too many.
    pub fn strike(&mut self, now: Time, misconduct: Misconduct) -> bool {
        let passed: Duration = now - self.struck;
        self.struck = self.struck.max(now);
        self.strikes = (self.strikes - passed.as_secs_f64() * FORGIVEN).max(0.0) + misconduct.strikes();
        self.refused += 1;
        self.strikes >= OUT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_with_many_windows_is_within_the_allowance_and_a_flood_is_out_soon() {
        let mut conduct = Conduct::new(Allowance::default());
        for n in 0..60_000 {
            assert_eq!(conduct.admits(Time::from_micros(500 * n), 1200, false), Ok(()));
            if n % 5 == 0 {
                assert_eq!(conduct.admits(Time::from_micros(500 * n), 100, true), Ok(()));
            }
        }
        let start = Time::from_secs(60);
        let mut out = None;
        for n in 0..100_000 {
            let now = start + Duration::from_micros(10 * n);
            if let Err(misconduct) = conduct.admits(now, 100, false) {
                assert_eq!(misconduct, Misconduct::Flood);
                if conduct.strike(now, misconduct) {
                    out = Some(now - start);
                    break;
                }
            }
        }
        assert!(out.is_some_and(|out| out < Duration::from_millis(200)), "{out:?}");
    }

    #[test]
    fn a_thousand_reports_a_second_are_too_many_and_a_few_wrong_packets_are_forgiven() {
        let mut conduct = Conduct::new(Allowance::default());
        let mut out = None;
        for n in 0..10_000 {
            let now = Time::from_millis(n);
            if let Err(misconduct) = conduct.admits(now, 100, true)
                && conduct.strike(now, misconduct)
            {
                out = Some((misconduct, n));
                break;
            }
        }
        assert!(matches!(out, Some((Misconduct::Reports, 1000..4000))), "{out:?}");
        let mut conduct = Conduct::new(Allowance::default());
        for n in 0..3600 {
            assert!(!conduct.strike(Time::from_secs(n), Misconduct::Malformed));
        }
        assert!((0..40).any(|_| conduct.strike(Time::from_secs(3600), Misconduct::ForgedSsrc)));
    }
}
