//! What no policy can help: the stalls that the link alone makes.

use std::time::Duration;

use super::call::{Call, ReceiverSpec, UPLINK, camera_offset};
use super::receiver::{FREEZE, LATE};
use super::trace::OPPORTUNITY_BYTES;

/// A window as the oracle sees it.
struct Watched {
    /// When it becomes visible or hidden, in order.
    changes: Vec<(Duration, bool)>,
    next: usize,
    /// When it was last shown a picture, or became visible; `None` while it is hidden.
    shown: Option<Duration>,
    /// When its stream's first picture is captured, and the number of the next one to be sent.
    offset: Duration,
    picture: u64,
}

impl Watched {
    /// Ends a gap at `now`, and gives the time that it stalled.
    fn end_gap(&self, now: Duration) -> Duration {
        let gap = self.shown.map_or(Duration::ZERO, |from| now.saturating_sub(from));
        if gap > FREEZE { gap } else { Duration::ZERO }
    }

    /// Makes the changes up to `now`; gives the time stalled before a window was hidden.
    fn change(&mut self, now: Duration) -> Duration {
        let mut stalled = Duration::ZERO;
        while let Some(&(at, visible)) = self.changes.get(self.next).filter(|(at, _)| *at <= now) {
            self.next += 1;
            if visible != self.shown.is_some() {
                stalled += self.end_gap(at);
                self.shown = visible.then_some(at);
            }
        }
        stalled
    }
}

/// Stalled time of all windows of a receiver for which the link alone answers: that of a relay which knew the
/// trace beforehand and sent one picture after the other to the window that has waited longest, the newest of its
/// stream, each as small as the smallest of the lowest decode target and as if it could be decoded by itself.
pub(super) fn unavoidable(call: &Call, spec: &ReceiverSpec) -> Duration {
    let bytes = call.table.least_bytes();
    let period = Duration::from_secs_f64(1.0 / f64::from(call.table.frame_rate()));
    let mut windows: Vec<Watched> = spec
        .watches
        .iter()
        .map(|(stream, script)| Watched {
            changes: script.iter().map(|(at, window)| (*at, window.visible)).collect(),
            next: 0,
            shown: None,
            offset: camera_offset(stream.0) + UPLINK,
            picture: 0,
        })
        .collect();
    let mut stalled = Duration::ZERO;
    let mut sending: Option<(usize, Duration, usize)> = None;
    let times = (0..).map(|index| spec.trace.time(index)).take_while(|time| *time < call.duration);
    for now in times {
        stalled += windows.iter_mut().map(|window| window.change(now)).sum::<Duration>();
        let mut room = OPPORTUNITY_BYTES;
        while room > 0 {
            let Some((w, captured, rest)) =
                sending.take().or_else(|| newest(&mut windows, now, period, bytes))
            else {
                break;
            };
            let sent = rest.min(room);
            room -= sent;
            if sent < rest {
                sending = Some((w, captured, rest - sent));
                continue;
            }
            let arrives = now + spec.link.delay;
            let window = &mut windows[w];
            if arrives <= captured + LATE && arrives < call.duration && window.shown.is_some() {
                stalled += window.end_gap(arrives);
                window.shown = Some(arrives);
            }
        }
    }
    for window in &mut windows {
        stalled += window.change(call.duration);
        stalled += window.end_gap(call.duration);
    }
    stalled
}

/// Of the windows that have a picture to come, the one that has waited longest; when the newest was captured.
fn newest(
    windows: &mut [Watched],
    now: Duration,
    period: Duration,
    bytes: usize,
) -> Option<(usize, Duration, usize)> {
    let newest =
        |window: &Watched| (now.checked_sub(window.offset)?.as_nanos() / period.as_nanos()).try_into().ok();
    let waits = windows.iter().enumerate().filter_map(|(w, window)| {
        let picture: u64 = newest(window).filter(|picture| *picture >= window.picture)?;
        Some((window.shown?, w, picture))
    });
    let (_, w, picture) = waits.min()?;
    windows[w].picture = picture + 1;
    let captured = windows[w].offset - UPLINK + period.mul_f64(picture as f64);
    Some((w, captured, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{LinkConfig, Policy, Trace};

    const SECOND: Duration = Duration::from_secs(1);

    fn stalls(steps: &[(Duration, u64)], streams: u32) -> (f64, f64) {
        let trace = Trace::steps(steps);
        let call = Call::gallery(trace, LinkConfig::default(), 60 * SECOND, streams);
        let stalled = call.run(Policy::Lowest).receivers[0]
            .windows
            .iter()
            .map(|(_, seen)| seen.stalled.as_secs_f64())
            .sum();
        (unavoidable(&call, &call.receivers[0]).as_secs_f64(), stalled)
    }

    #[test]
    fn a_link_that_carries_the_lowest_layers_makes_no_stall() {
        assert_eq!(stalls(&[(60 * SECOND, 3_000_000)], 9).0, 0.0);
    }

    #[test]
    fn an_outage_stalls_every_window_for_as_long_as_it_lasts() {
        // 1000 bit/s are nothing.
        let (unavoidable, stalled) =
            stalls(&[(20 * SECOND, 3_000_000), (3 * SECOND, 1000), (37 * SECOND, 3_000_000)], 4);
        assert!((4.0 * 3.0..4.0 * 3.4).contains(&unavoidable), "{unavoidable}");
        assert!(unavoidable <= stalled, "{unavoidable} {stalled}");
    }

    #[test]
    fn a_link_for_some_of_the_windows_stalls_the_rest() {
        let (unavoidable, stalled) = stalls(&[(60 * SECOND, 60_000)], 9);
        assert!(unavoidable > 100.0 && unavoidable <= stalled, "{unavoidable} {stalled}");
    }
}
