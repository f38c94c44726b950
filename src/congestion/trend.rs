//! The trend of the one-way delay: whether a queue grows.

use std::collections::VecDeque;

use crate::Time;

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

/// How the path is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    Normal,
    Over,
    Under,
}

/// Seconds since the start.
pub(super) fn seconds(time: Time) -> f64 {
    time.since_start().as_secs_f64()
}

/// Sections 5.3 and 5.4: the trend of the one-way delay, against a threshold that adapts.
#[derive(Debug, Clone)]
pub(super) struct Trend {
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
    pub fn burst(&mut self, departed: f64, arrived: f64, at: Time) -> Usage {
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
