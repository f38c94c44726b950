//! A point in time, told from a span.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time, counted from any start that the caller chooses.
///
/// Nothing in the crate reads a clock: the caller says what time it is, as the first argument of every call that
/// depends on it. All machines that exchange times in a process need the same start. A span between two points is
/// a [`Duration`]. Sums and differences saturate, so that no value of either panics.
///
/// ```
/// # use std::time::Duration;
/// # use layercast::Time;
/// let now = Time::from_millis(1500);
/// assert_eq!(now + Duration::from_millis(500), Time::from_secs(2));
/// assert_eq!(now - Time::from_secs(1), Duration::from_millis(500));
/// assert_eq!(Time::from_secs(1) - now, Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(Duration);

impl Time {
    /// The start.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The last point in time that can be told: nothing comes later.
    pub const MAX: Self = Self(Duration::MAX);

    /// The point `since_start` after the start.
    pub const fn new(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// The point so many seconds after the start.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The point so many milliseconds after the start.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// The point so many microseconds after the start.
    pub const fn from_micros(microseconds: u64) -> Self {
        Self(Duration::from_micros(microseconds))
    }

    /// The span from the start to here.
    pub const fn since_start(self) -> Duration {
        self.0
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// The point a span earlier, the start at the earliest.
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

impl Sub for Time {
    type Output = Duration;

    /// The span since an earlier point; none where that is later.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_saturate() {
        assert_eq!(Time::MAX + Duration::from_secs(1), Time::MAX);
        assert_eq!(Time::from_secs(1) - Duration::MAX, Time::ZERO);
        assert_eq!(Time::from_secs(1) - Time::MAX, Duration::ZERO);
        assert_eq!(Time::MAX - Time::ZERO, Duration::MAX);
        let mut now = Time::from_micros(1_500);
        now += Duration::from_millis(2);
        assert_eq!(now.since_start(), Duration::from_micros(3_500));
        assert_eq!(format!("{now:?}"), "3.5ms");
    }
}
