//! How long packets take.

use std::time::Duration;

/// How long packets took, in steps of 10 µs.
#[derive(Clone)]
pub struct Delays {
    counts: Vec<u64>,
    pub packets: u64,
}

impl Delays {
    const STEP: u64 = 10;
    const STEPS: usize = 50_000;

    pub fn new() -> Self {
        Self { counts: vec![0; Self::STEPS], packets: 0 }
    }

    pub fn push(&mut self, delay: Duration) {
        let step = (delay.as_micros() as u64 / Self::STEP) as usize;
        self.counts[step.min(Self::STEPS - 1)] += 1;
        self.packets += 1;
    }

    /// Counts what another has counted too.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.packets += other.packets;
    }

    /// In how long a share of the packets came.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut left = (self.packets as f64 * share) as u64;
        let step = self.counts.iter().position(|&count| {
            let is_it = count > left;
            left = left.saturating_sub(count);
            is_it
        });
        Duration::from_micros(step.map_or(0, |step| step as u64 * Self::STEP))
    }
}
