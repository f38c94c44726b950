//! When a picture is to be shown.

use std::time::Duration;

use crate::Time;

/// Ticks of the RTP clock in a second.
const CLOCK: i64 = 90_000;
/// The fastest path and the latest pictures are taken over the last one to two of these. Clocks that differ by 200 parts
/// in a million drift apart by 2 ms in that time.
const WINDOW: Duration = Duration::from_secs(5);
/// The delay shrinks by one part in this of the time that has passed: 10 ms in a second.
const SHRINK: u32 = 100;

/// Gives each picture a time to be shown, so that pictures follow each other as they were captured although some come
/// late.
///
/// The delay above the fastest path grows at once when a picture comes later than that, and shrinks slowly once
/// pictures come earlier. It has a bound; a picture that comes later still is shown at once.
#[derive(Debug)]
pub(super) struct Playout {
    max_delay: Duration,
    min_delay: Duration,
    /// Above the fastest path.
    delay: Duration,
    /// The newest timestamp, counted on beyond 32 bits.
    newest: Option<i64>,
    /// The least time from capture to arrival in microseconds, and the latest picture above that, in this window and in
    /// the one before. The origin is arbitrary.
    windows: [Option<(i64, Duration)>; 2],
    window_ends: Time,
    /// The last picture.
    last: Option<(Time, Time)>,
}

impl Playout {
    /// A delay of at most `max_delay`; none at all if that is 0.
    pub(super) fn new(max_delay: Duration) -> Self {
        Self {
            max_delay,
            min_delay: Duration::ZERO,
            delay: Duration::ZERO,
            newest: None,
            windows: [None; 2],
            window_ends: Time::ZERO,
            last: None,
        }
    }

    /// Delays pictures by this at least, such as to show them with sound that comes later.
    pub(super) fn set_min_delay(&mut self, min_delay: Duration) {
        self.min_delay = min_delay;
    }

    /// The delay above the fastest path.
    pub(super) fn delay(&self) -> Duration {
        self.delay.max(self.min_delay)
    }

    /// When to show a picture of this RTP timestamp that can be decoded at `now`.
    pub(super) fn handle_picture(&mut self, now: Time, timestamp: u32) -> Time {
        let ticks = match self.newest {
            None => i64::from(timestamp),
            Some(newest) => newest + i64::from(timestamp.wrapping_sub(newest as u32) as i32),
        };
        self.newest = Some(self.newest.map_or(ticks, |newest| newest.max(ticks)));
        let captured = ticks * 1_000_000 / CLOCK;
        let arrived = i64::try_from(now.since_start().as_micros()).unwrap_or(i64::MAX);
        let transit = arrived.saturating_sub(captured);

        if now >= self.window_ends {
            self.windows = [None, self.windows[0]];
            self.window_ends = now + WINDOW;
        }
        let fastest = self.fastest().map_or(transit, |fastest| fastest.min(transit));
        let late = Duration::from_micros(transit.saturating_sub(fastest).unsigned_abs());
        let (_, latest) = self.windows[0].unwrap_or((fastest, Duration::ZERO));
        self.windows[0] = Some((fastest, latest.max(late)));

        let passed = self.last.map_or(Duration::ZERO, |(arrived, _)| now - arrived);
        let floor = self.windows.iter().flatten().map(|(_, late)| *late).max().unwrap_or_default();
        self.delay = self.delay.saturating_sub(passed / SHRINK).max(floor).min(self.max_delay);

        let due = captured.saturating_add(fastest).max(0).unsigned_abs();
        let due = Time::ZERO + Duration::from_micros(due) + self.delay();
        let due = due.max(now).max(self.last.map_or(Time::ZERO, |(_, shown)| shown));
        // A stream that begins anew with other timestamps is not waited for.
        let due = due.min(now + self.max_delay.max(self.min_delay));
        self.last = Some((now, due));
        due
    }

    /// Forgets the path, for a stream that begins anew.
    pub(super) fn reset(&mut self) {
        let min_delay = self.min_delay;
        *self = Self { min_delay, ..Self::new(self.max_delay) };
    }

    fn fastest(&self) -> Option<i64> {
        self.windows.iter().flatten().map(|(fastest, _)| *fastest).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICTURE: Duration = Duration::from_millis(33);

    /// Pictures every 33 ms that take `transit(n)` ms. Gives the times from capture to showing, in ms.
    fn shown(max_delay: Duration, pictures: u32, drift: f64, transit: impl Fn(u32) -> u64) -> Vec<f64> {
        let mut playout = Playout::new(max_delay);
        let mut arrived = Time::ZERO;
        (0..pictures)
            .map(|n| {
                let captured = Time::from_secs(10) + PICTURE * n;
                // Pictures come in order.
                arrived = arrived.max(captured + Duration::from_millis(transit(n)));
                let ticks = (PICTURE * n).as_secs_f64() * 90_000.0 * (1.0 + drift);
                let due = playout.handle_picture(arrived, 0xffff_0000_u32.wrapping_add(ticks as u32));
                assert!(due >= arrived && due <= arrived + max_delay);
                (due - captured).as_secs_f64() * 1e3
            })
            .collect()
    }

    #[test]
    fn without_a_delay_pictures_are_shown_as_they_come() {
        let delays = shown(Duration::ZERO, 300, 0.0, |n| 50 + 10 * u64::from(n % 3));
        assert!((0..).zip(&delays).all(|(n, delay)| (delay - f64::from(50 + 10 * (n % 3))).abs() < 0.01));
    }

    #[test]
    fn jitter_is_taken_out_and_the_delay_comes_down_again() {
        let jitter = |n: u32| 50 + if n < 600 { u64::from(n * 7 % 41) } else { 0 };
        let delays = shown(Duration::from_millis(200), 1500, 0.0, jitter);
        let steady = &delays[60..600];
        assert!(steady.iter().all(|delay| (delay - 90.0).abs() < 1.0), "{steady:?}");
        // After two windows without jitter, 10 ms a second.
        assert!(delays[1400..].iter().all(|delay| *delay < 52.0), "{:?}", &delays[1400..]);
    }

    #[test]
    fn a_late_picture_is_shown_at_once_and_the_delay_has_its_bound() {
        let delays = shown(Duration::from_millis(100), 100, 0.0, |n| if n == 50 { 350 } else { 50 });
        assert!((delays[50] - 350.0).abs() < 0.1, "{}", delays[50]);
        assert!(delays[70..].iter().all(|delay| (delay - 150.0).abs() < 2.0), "{:?}", &delays[70..]);
    }

    #[test]
    fn clocks_that_drift_move_nothing() {
        for drift in [200e-6, -200e-6] {
            let delays = shown(Duration::from_millis(200), 20_000, drift, |n| 50 + u64::from(n % 2) * 10);
            let (least, most) =
                delays[100..].iter().fold((f64::MAX, 0.0_f64), |(l, m), d| (l.min(*d), m.max(*d)));
            assert!(least >= 59.0 && most <= 66.0, "{least} to {most}");
        }
    }
}
