//! The settings of a selector.

use std::time::Duration;

/// How careful a selector is. [`SelectorConfig::default`] makes one whose fields can then be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SelectorConfig {
    /// Share of the available bitrate that stays free, 0 to 1.
    pub headroom: f32,
    /// Share of the processor's time for decoding that streams may use, 0 to 1.
    pub cpu_share: f32,
    /// Share of lost packets above which the selector reserves bits for redundancy, 0 to 1.
    pub loss_threshold: f32,
    /// How long the path has to carry more before the selector uses it; at most 15 s.
    pub settle: Duration,
    /// How long the path has to carry more before a spatial layer rises; at most 15 s. If it is twice as much as in the last
    /// congestion, 1.5 s are enough.
    pub up_hold: Duration,
    /// The longest wait after congestion. A failed rise or probe doubles the wait, which starts at
    /// [`Self::up_hold`].
    pub max_hold: Duration,
    /// The least length of a probe. It is four round trips if that is longer, up to four times this.
    pub probe_duration: Duration,
    /// How long the minimum service goes on above the budget before the selector pauses streams.
    pub patience: Duration,
    /// For so long after the first decision every stream gets its minimum service, even above the budget. An estimate of
    /// that time is a guess, and what is sent shows what the path carries.
    pub start: Duration,
    /// The most spatial switches a minute that path and processor may cause in a stream. Falls within 2 s of each other are
    /// one. A stream rises only if that leaves a switch to fall with; with the last one it falls to the lowest layer.
    pub max_switches: u8,
    /// The shortest time from one refresh of a stream that the decisions ask for to the next.
    pub refresh_interval: Duration,
    /// The bonus of the spatial layer in use, as a share of its best value, 0 to 1. A switch down has to be
    /// worth more than that.
    pub switch_cost: f32,
}

impl Default for SelectorConfig {
    fn default() -> Self {
        Self {
            headroom: 0.05,
            cpu_share: 0.8,
            loss_threshold: 0.05,
            settle: Duration::from_secs(1),
            up_hold: Duration::from_secs(10),
            max_hold: Duration::from_secs(60),
            probe_duration: Duration::from_millis(500),
            patience: Duration::from_secs(60),
            start: Duration::from_secs(2),
            max_switches: 6,
            refresh_interval: Duration::from_secs(1),
            switch_cost: 0.3,
        }
    }
}
