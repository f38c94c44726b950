//! The stalls that no policy can avoid, because the link alone makes them.

use std::time::Duration;

use super::call::{Call, ReceiverSpec};
use super::model::{FREEZE, LATE, UPLINK, camera_offset};
use super::trace::OPPORTUNITY_BYTES;
use crate::Time;

/// A window as the oracle sees it.
struct Watched {
    /// When it becomes visible or hidden, in order.
    changes: Vec<(Time, bool)>,
    next: usize,
    /// When it last showed a picture, or became visible; `None` while it is hidden.
    shown: Option<Time>,
    /// When its stream's first picture is captured, and the number of the next one to be sent.
    offset: Time,
    picture: u64,
}

impl Watched {
    /// Ends a gap at `now`, and gives the time that it stalled.
    fn end_gap(&self, now: Time) -> Duration {
        let gap = self.shown.map_or(Duration::ZERO, |from| now - from);
        if gap > FREEZE { gap } else { Duration::ZERO }
    }

    /// Makes the changes up to `now`; gives the time stalled before a window was hidden.
    fn change(&mut self, now: Time) -> Duration {
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

/// The stalled time of all windows of a receiver that no policy can avoid: that of an ideal relay, which
/// knows the trace beforehand and always sends, to the window that has waited longest, the newest picture of
/// its stream, as small as the smallest of the lowest decode target and decodable by itself.
pub(super) fn unavoidable(call: &Call, spec: &ReceiverSpec) -> Duration {
    let bytes = call.video.least_bytes();
    let period = Duration::from_secs_f64(1.0 / f64::from(call.video.frame_rate()));
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
    let end = Time::ZERO + call.duration;
    let mut stalled = Duration::ZERO;
    let mut sending: Option<(usize, Time, usize)> = None;
    let times = (0..).map(|index| spec.trace.time(index)).take_while(|time| *time < end);
    for now in times {
        stalled += windows.iter_mut().map(|window| window.change(now)).sum::<Duration>();
        let mut room = OPPORTUNITY_BYTES;
        while room > 0 {
            let Some((w, captured, rest)) =
                sending.take().or_else(|| newest(now, &mut windows, period, bytes))
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
            if arrives <= captured + LATE && arrives < end && window.shown.is_some() {
                stalled += window.end_gap(arrives);
                window.shown = Some(arrives);
            }
        }
    }
    for window in &mut windows {
        stalled += window.change(end);
        stalled += window.end_gap(end);
    }
    stalled
}

/// Of the windows that have a picture to come, the one that has waited longest; the time at which its newest
/// picture was captured; and the bytes of that picture.
fn newest(
    now: Time,
    windows: &mut [Watched],
    period: Duration,
    bytes: usize,
) -> Option<(usize, Time, usize)> {
    let newest = |window: &Watched| {
        let since = (now >= window.offset).then(|| now - window.offset)?;
        (since.as_nanos() / period.as_nanos()).try_into().ok()
    };
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
