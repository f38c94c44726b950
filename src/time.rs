//! A point in time, told from a span.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time, counted from any start that the caller chooses.
///
/// Nothing in the crate reads a clock: the caller says what time it is, as the first argument of every call that
/// depends on it. All machines that exchange times in a process need the same start. A span between two points is
/// a [`Duration`]. Sums and differences saturate, so that no value of either panics. The last point that can be told is 584 years
/// after the start.
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
pub struct Time {
    /// Nanoseconds since the start. One word, as times are compared several times for each packet.
    nanoseconds: u64,
}

/// A span in nanoseconds, or as many as can be told.
const fn nanoseconds(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(span.subsec_nanos() as u64)
}

impl Time {
    /// The start.
    pub const ZERO: Self = Self { nanoseconds: 0 };

    /// The last point in time that can be told: nothing comes later.
    pub const MAX: Self = Self { nanoseconds: u64::MAX };

    /// The point `since_start` after the start.
    pub const fn new(since_start: Duration) -> Self {
        Self { nanoseconds: nanoseconds(since_start) }
    }

    /// The point so many seconds after the start.
    pub const fn from_secs(seconds: u64) -> Self {
        Self { nanoseconds: seconds.saturating_mul(1_000_000_000) }
    }

    /// The point so many milliseconds after the start.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self { nanoseconds: milliseconds.saturating_mul(1_000_000) }
    }

    /// The point so many microseconds after the start.
    pub const fn from_micros(microseconds: u64) -> Self {
        Self { nanoseconds: microseconds.saturating_mul(1_000) }
    }

    /// The first of some points, if there are any.
    #[cfg(feature = "congestion")]
    pub(crate) fn first(points: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        // Nothing waits for the last point that can be told: without branches it is as good as none.
        let first = points.into_iter().fold(Self::MAX, |first, point| first.min(point.unwrap_or(Self::MAX)));
        (first < Self::MAX).then_some(first)
    }

    /// The span from the start to here.
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.since_start().fmt(f)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self { nanoseconds: self.nanoseconds.saturating_add(nanoseconds(span)) }
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
        Self { nanoseconds: self.nanoseconds.saturating_sub(nanoseconds(span)) }
    }
}

impl Sub for Time {
    type Output = Duration;

    /// The span since an earlier point; none where that is later.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
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
        assert_eq!(Time::new(Duration::MAX), Time::MAX);
        assert_eq!(Time::MAX - Time::ZERO, Duration::from_nanos(u64::MAX));
        let mut now = Time::from_micros(1_500);
        now += Duration::from_millis(2);
        assert_eq!(now.since_start(), Duration::from_micros(3_500));
        assert_eq!(format!("{now:?}"), "3.5ms");
    }
}
