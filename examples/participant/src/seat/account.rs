//! What came of a stream: the figures that people see.

use std::collections::BTreeMap;
use std::time::Duration;

use layercast::e2ee::OpenError;
use layercast::structure::LayerId;
use layercast::{Size, Time};
use serde::Serialize;

/// A pause between two pictures that people see as a freeze.
pub const FREEZE: Duration = Duration::from_millis(500);
/// Milliseconds of delay that are told apart.
const MAX_DELAY: usize = 5000;

/// The counts of a stream since its start.
#[derive(Debug, Clone, Default)]
pub struct Account {
    since: Time,
    /// Bytes of packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Pictures, frames of sound or messages that were opened.
    pub opened: u64,
    /// Pictures shown.
    pub shown: u64,
    /// What did not open, by the reason.
    pub closed: BTreeMap<String, u64>,
    /// What else was not shown.
    pub refused: u64,
    /// What the decoder refused.
    pub undecoded: u64,
    /// The last picture.
    pub last: Option<(Time, LayerId, Size)>,
    /// Whether pictures are to come.
    watched: bool,
    /// The longest pause between pictures, and how many were longer than [`FREEZE`].
    pub longest: Duration,
    /// How many.
    pub freezes: u64,
    /// Pictures by their delay in milliseconds.
    delays: Vec<u32>,
    /// An RTP timestamp of the sender, and the microseconds since 1970 that it is of.
    clock: Option<(u32, u64)>,
    /// Microseconds since 1970 of the time 0 here.
    unix: u64,
    /// Since when nothing opened for want of the right key, and the last reason.
    closed_since: Option<(Time, OpenError)>,
    end: Option<Time>,
}

/// The figures of a stream, since the start or since the last time.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Figures {
    /// Pictures shown, or frames or messages that came.
    pub count: u64,
    /// In a second.
    pub rate: f64,
    /// kbit/s.
    pub kbps: f64,
    /// The pause between two pictures, in milliseconds, that was the longest.
    pub longest_ms: u64,
    /// Pauses of more than 500 ms.
    pub freezes: u64,
    /// Half of the pictures had less delay than this, in milliseconds, if the clocks of both machines agree.
    pub delay_p50_ms: Option<u32>,
    /// 95 % had less.
    pub delay_p95_ms: Option<u32>,
}

impl Account {
    /// A stream that begins.
    pub fn new(now: Time) -> Self {
        Self { since: now, ..Self::default() }
    }

    /// Takes the sender's clock: an RTP timestamp, and when that was, in microseconds since 1970.
    pub fn set_clock(&mut self, timestamp: u32, at: u64, own_zero: u64) {
        (self.clock, self.unix) = (Some((timestamp, at)), own_zero);
    }

    /// Whether pictures are to come. A pause begins to count with the next picture.
    pub fn set_watched(&mut self, watched: bool) {
        if !watched {
            self.last = None;
        }
        self.watched = watched;
    }

    pub(super) fn handle_packet(&mut self, _now: Time, bytes: usize) {
        self.bytes += bytes as u64;
        self.packets += 1;
    }

    pub(super) fn handle_opened(&mut self) {
        self.opened += 1;
        self.closed_since = None;
    }

    pub(super) fn handle_closed(&mut self, now: Time, error: OpenError) {
        // What comes before the first number is the reason.
        let mut why = error.to_string();
        why.truncate(why.find(|c: char| c.is_ascii_digit()).unwrap_or(why.len()));
        why.truncate(why.trim_end().len());
        if self.closed.len() < 32 || self.closed.contains_key(&why) {
            *self.closed.entry(why).or_default() += 1;
        }
        if matches!(error, OpenError::NotAuthentic | OpenError::UnknownKey { .. }) {
            let since = self.closed_since.map_or(now, |(since, _)| since);
            self.closed_since = Some((since, error));
        }
    }

    /// Since when nothing opens for want of the right key, and why the last of it did not.
    pub fn closed_since(&self) -> Option<(Time, OpenError)> {
        self.closed_since
    }

    pub(super) fn handle_shown(&mut self, now: Time, timestamp: u32, target: LayerId, size: Size) {
        self.shown += 1;
        if let Some((before, ..)) = self.last.filter(|_| self.watched) {
            self.pause(now - before);
        }
        self.last = Some((now, target, size));
        let Some((zero, at)) = self.clock else { return };
        // Timestamps come around after 13 hours, and a picture may be older than the clock.
        let ticks = i64::from(timestamp.wrapping_sub(zero) as i32);
        let captured = (at as i64).saturating_add(ticks * 100 / 9);
        let shown = self.unix.saturating_add(now.since_start().as_micros() as u64) as i64;
        let delay = usize::try_from(shown.saturating_sub(captured) / 1000).unwrap_or(0).min(MAX_DELAY);
        if self.delays.len() <= delay {
            self.delays.resize(delay + 1, 0);
        }
        self.delays[delay] += 1;
    }

    fn pause(&mut self, pause: Duration) {
        self.longest = self.longest.max(pause);
        self.freezes += u64::from(pause > FREEZE);
    }

    pub(super) fn end(&mut self, now: Time) {
        self.end = Some(now);
    }

    /// All figures since `before`, which was the state at that time; since the start if there is none.
    pub fn figures(&self, now: Time, before: Option<(Time, &Self)>) -> Figures {
        let none = Self::default();
        let (since, before) = before.unwrap_or((self.since, &none));
        let end = self.end.unwrap_or(now);
        let seconds = (end - since).as_secs_f64().max(0.001);
        // The last picture may have been the last.
        let waiting = self.last.filter(|_| self.watched).map_or(Duration::ZERO, |(at, ..)| end - at);
        let count = |it: &Self| if self.shown > 0 { it.shown } else { it.opened };
        let count = count(self).saturating_sub(count(before));
        let mut delays = self.delays.clone();
        delays.iter_mut().zip(&before.delays).for_each(|(all, before)| *all = all.saturating_sub(*before));
        Figures {
            count,
            rate: count as f64 / seconds,
            kbps: self.bytes.saturating_sub(before.bytes) as f64 / 125.0 / seconds,
            longest_ms: self.longest.max(waiting).as_millis() as u64,
            freezes: self.freezes.saturating_sub(before.freezes) + u64::from(waiting > FREEZE),
            delay_p50_ms: quantile(&delays, 0.5),
            delay_p95_ms: quantile(&delays, 0.95),
        }
    }
}

fn quantile(counts: &[u32], share: f64) -> Option<u32> {
    let total: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    let wanted = (total as f64 * share).ceil() as u64;
    let mut seen = 0;
    let place = counts.iter().position(|count| {
        seen += u64::from(*count);
        seen >= wanted
    });
    place.filter(|_| total > 0).map(|delay| delay as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_and_delays_are_those_of_the_pictures() {
        let mut account = Account::new(Time::ZERO);
        account.set_watched(true);
        account.set_clock(u32::MAX - 899, 1_000_000, 500_000);
        // Captured at 1.0 s, 1.1 s and so on, by a clock in which the time 0 here is 0.5 s: shown 40 ms later, and once 700.
        for (n, late) in [(0, 40), (1, 40), (2, 40), (3, 700), (12, 40)] {
            let timestamp = (u32::MAX - 899).wrapping_add(9000 * n);
            let now = Time::from_millis(500 + 100 * u64::from(n) + late);
            account.handle_shown(now, timestamp, LayerId::new(1, 2), Size::new(320, 180));
        }
        let figures = account.figures(Time::from_secs(2), None);
        assert_eq!((figures.count, figures.rate), (5, 2.5));
        assert_eq!((figures.longest_ms, figures.freezes), (760, 1));
        assert_eq!((figures.delay_p50_ms, figures.delay_p95_ms), (Some(40), Some(700)));
        account.set_watched(false);
        account.set_watched(true);
        account.handle_shown(Time::from_secs(60), 0, LayerId::new(1, 2), Size::new(320, 180));
        assert_eq!(account.freezes, 1, "nobody watched");
    }
}
