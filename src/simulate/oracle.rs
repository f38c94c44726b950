//! What somebody could do who knows the link beforehand: the stalls that the link alone makes, and the best pictures.

use std::time::Duration;

use super::call::{Call, ReceiverSpec};
use super::model::{FREEZE, LATE, UPLINK, camera_offset};
use super::trace::OPPORTUNITY_BYTES;
use super::video::CodedVideo;
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

/// The SSIM that the windows of a receiver have at best, in seconds times megapixels.
///
/// The call is cut into stretches as long as a picture may be late. In each of them every window gets the decode target that
/// makes the sum largest, as long as all together take no more bits than the link carries in the stretch. Changes, losses,
/// retransmissions and key pictures cost nothing, packets wait nowhere, and a window that gets nothing goes on with its last
/// picture. The last window's target may be taken for a part of the stretch. So a policy can come near this and not beyond it,
/// but for bits that it moves from one stretch to the next.
pub(super) fn best(call: &Call, spec: &ReceiverSpec) -> f64 {
    let video = &call.video;
    let end = Time::ZERO + call.duration;
    // Whether each window got something in the stretch before.
    let mut served = vec![false; spec.watches.len()];
    let mut best = 0.0;
    let mut from = Time::ZERO;
    while from < end {
        let to = (from + LATE).min(end);
        let seconds = (to - from).as_secs_f64();
        let mut steps = Vec::new();
        for (w, (_, script)) in spec.watches.iter().enumerate() {
            let window = script.iter().take_while(|(at, _)| *at <= from).last().map(|(_, window)| window);
            let Some(window) = window.filter(|window| window.visible) else { continue };
            let (rows, area) = (window.size.height, window.size.samples() as f64 / 1e6);
            let old = &video.ssim(video.top().spatial_id, rows)[1..];
            let still = if served[w] { old.iter().sum::<f32>() / old.len() as f32 } else { 0.0 };
            let still = f64::from(still);
            best += still * area * seconds;
            steps.extend(hull(video, rows, still).map(|(bits, gain)| (bits, gain * area, w)));
        }
        steps.sort_by(|a, b| (b.1 / b.0).total_cmp(&(a.1 / a.0)));
        served.fill(false);
        let mut left = spec.trace.bitrate(from, to) as f64;
        for (bits, gain, w) in steps {
            let share = (left / bits).min(1.0);
            best += gain * share * seconds;
            left -= bits * share;
            served[w] |= share > 0.0;
        }
        from = to;
    }
    best
}

/// The steps from nothing to the highest decode target in a window of `rows`, as bit/s and SSIM beyond the step before; those
/// that are worth their bits, the best first.
fn hull(video: &CodedVideo, rows: u32, still: f64) -> impl Iterator<Item = (f64, f64)> {
    let targets = video.mode().structure().decode_targets();
    let mut points: Vec<(f64, f64)> =
        targets.map(|target| (video.bitrate(target) as f64, video.ssim_at(target, rows))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut at = (0.0, still);
    std::iter::from_fn(move || {
        let slope = |point: &(f64, f64)| (point.1 - at.1) / (point.0 - at.0);
        points.retain(|point| point.0 > at.0 && point.1 > at.1);
        let next = *points.iter().max_by(|a, b| slope(a).total_cmp(&slope(b)))?;
        let step = (next.0 - at.0, next.1 - at.1);
        at = next;
        Some(step)
    })
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

    #[test]
    fn nobody_shows_more_than_the_oracle_and_a_wide_link_shows_nearly_as_much() {
        let seen = |bitrate: u64, policy| {
            let trace = Trace::steps(&[(60 * SECOND, bitrate), (2 * SECOND, 1000), (58 * SECOND, bitrate)]);
            let call = Call::gallery(trace, LinkConfig::default(), 60 * SECOND, 4);
            let outcome = call.run(policy);
            let seen: f64 = outcome.receivers[0].windows.iter().map(|(_, seen)| seen.ssim_area).sum();
            seen / best(&call, &call.receivers[0])
        };
        for bitrate in [200_000, 1_000_000, 20_000_000] {
            for policy in [Policy::Selector, Policy::Greedy, Policy::Lowest] {
                let share = seen(bitrate, policy);
                assert!(share < 1.0, "{policy:?} at {bitrate}: {share}");
            }
        }
        let share = seen(20_000_000, Policy::Fixed);
        assert!(share > 0.989, "{share}");
    }
}
