//! The capacity of a receiver's processor, in luma samples a second.

use std::time::Duration;

use super::config::SelectorConfig;
use super::input::Cpu;
use super::path::influence;
use crate::Time;

/// A load counts in full up to this age.
const LOAD_FRESH: Duration = Duration::from_secs(10);
/// It does not count from this age on.
const LOAD_GONE: Duration = Duration::from_secs(60);
/// Loads below this say too little about the capacity.
const IDLE: f64 = 0.05;

#[derive(Debug, Clone, Default)]
pub(super) struct Processor {
    /// By decode times, which do not age: they belong to the machine.
    timed: Option<f64>,
    /// By loads, and when the last came.
    loaded: Option<(f64, Time)>,
}

impl Processor {
    /// `in_use` are the samples a second that were being decoded when `cpu` was measured.
    pub fn set(&mut self, now: Time, cpu: &Cpu, in_use: u64, config: &SelectorConfig) {
        let share = f64::from(config.cpu_share.clamp(0.0, 1.0));
        let samples: f64 = cpu.decode_times.iter().map(|frame| f64::from(frame.luma_samples)).sum();
        let seconds: f64 = cpu.decode_times.iter().map(|frame| frame.time.as_secs_f64()).sum();
        let cores = cpu.cores.filter(|cores| *cores > 0.0 && cores.is_finite()).unwrap_or(1.0);
        if samples > 0.0 && seconds > 0.0 {
            self.timed = Some(samples / seconds * f64::from(cores) * share);
        }
        let Some(load) = cpu.load.filter(|load| load.is_finite()) else { return };
        let load = f64::from(load);
        if load < IDLE {
            self.loaded = None;
        }
        // Where nothing is decoded, a load tells nothing of what decoding takes.
        if load < IDLE || in_use == 0 {
            return;
        }
        let capacity = in_use as f64 / load * share;
        let known = self.loaded.map(|(known, _)| known);
        // An overload counts at once; spare time raises the capacity little by little.
        let capacity = match known {
            Some(known) if capacity > known => known + (capacity - known) / 8.0,
            _ => capacity,
        };
        self.loaded = Some((capacity, now));
    }

    /// Samples a second that the receiver may have to decode; `None` if no limit is known. A load alone leaves `least`: what
    /// is still high then is what other work takes.
    pub fn capacity(&self, now: Time, least: u64) -> Option<u64> {
        let loaded = self.loaded.and_then(|(capacity, at)| {
            let counts = influence(now - at, LOAD_FRESH, LOAD_GONE);
            (counts > 0.0).then(|| (capacity / counts).max(least as f64))
        });
        let capacity = match (self.timed, loaded) {
            (Some(timed), Some(loaded)) => timed.min(loaded),
            (timed, loaded) => timed.or(loaded)?,
        };
        Some(capacity as u64)
    }
}
