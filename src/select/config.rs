//! The settings of a selector.

use std::time::Duration;

/// How careful a selector is. [`SelectorConfig::default`] makes one whose fields can then be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct SelectorConfig {
    /// Share of the available bitrate that is left free, 0 to 1.
    pub headroom: f32,
    /// Share of the processor's time for decoding that is used, 0 to 1.
    pub cpu_share: f32,
    /// Share of lost packets above which bits are kept back for redundancy, 0 to 1.
    pub loss_threshold: f32,
    /// How long the path has to carry more before more is used of it; at most 15 s.
    pub settle: Duration,
    /// How long the path has to carry more before a higher spatial layer follows; at most 15 s.
    pub up_hold: Duration,
    /// The longest pause after congestion and failures, each of which doubles [`Self::up_hold`].
    pub max_hold: Duration,
    /// The shortest time of a probe; four round trips if that is more, up to four times this.
    pub probe_duration: Duration,
    /// How long minimum service goes on that the path is said not to carry, before streams are paused.
    pub patience: Duration,
    /// How many spatial switches a minute a stream may come to because of path and processor. It rises only
    /// where one is left to fall with; with the last one it falls as low as it may have to.
    pub max_switches: u8,
    /// A lower spatial layer has to be worth a switch by this share of the best that the present one is worth.
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
            max_switches: 4,
            switch_cost: 0.3,
        }
    }
}
