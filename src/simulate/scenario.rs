//! Scenarios: calls to simulate, with windows that change.

use std::time::Duration;

use super::call::{Call, ReceiverSpec, Script};
use super::link::LinkConfig;
use super::trace::Trace;
use super::video::CodedVideo;
use crate::select::{DemandConfig, Priority, SelectorConfig, StreamId, Window};
use crate::{Size, Time};

/// A visible window; its height follows from 16:9.
fn window(width: u32, priority: Priority) -> Window {
    Window::new(Size::new(width, width * 9 / 16), priority)
}

fn hidden() -> Window {
    Window { visible: false, ..window(16, Priority::Thumbnail) }
}

impl Call {
    /// A call of one receiver, for which all senders encode everything.
    fn to_one(name: &str, trace: Trace, link: LinkConfig, duration: Duration, scripts: Vec<Script>) -> Self {
        let watches: Vec<_> = (0..).map(StreamId).zip(scripts).collect();
        Self {
            name: name.to_owned(),
            duration,
            video: CodedVideo::scene(),
            simulcast: CodedVideo::scene_simulcast(),
            streams: watches.len() as u32,
            receivers: vec![ReceiverSpec { trace, link, watches }],
            on_demand: false,
            demand: DemandConfig::default(),
            selector: SelectorConfig::default(),
        }
    }

    /// `streams` streams (1 to 49) to one receiver, in windows that share a screen of 1920x1080 for the whole
    /// call; a single one has 1280x720.
    pub fn gallery(trace: Trace, link: LinkConfig, duration: Duration, streams: u32) -> Self {
        let streams = streams.clamp(1, 49);
        let columns = (1..8).find(|n| n * n >= streams).unwrap_or(7);
        let shown = match streams {
            1 => window(1280, Priority::ActiveSpeaker),
            _ => window(1920 / columns, Priority::Thumbnail),
        };
        let script = vec![(Time::ZERO, shown)];
        Self::to_one("gallery", trace, link, duration, vec![script; streams as usize])
    }

    /// The same, with windows that change: after a quarter of the call one stream is the speaker, with a
    /// window of 1280x720 and all others small; after a half another is, and every third other window is
    /// hidden; for the last quarter all are back.
    pub fn speakers(trace: Trace, link: LinkConfig, duration: Duration, streams: u32) -> Self {
        let mut call = Self::gallery(trace, link, duration, streams);
        call.name = "speakers".to_owned();
        let streams = call.streams;
        for (n, (_, script)) in (0..).zip(&mut call.receivers[0].watches) {
            let first = script[0].1;
            let (large, small) = (window(1280, Priority::ActiveSpeaker), window(320, Priority::Thumbnail));
            let speaks = |which: u32| n == which % streams;
            script.push((Time::ZERO + duration / 4, if speaks(3) { large } else { small }));
            let second = match (speaks(5), n % 3) {
                (true, _) => large,
                (false, 0) => hidden(),
                (false, _) => small,
            };
            script.push((Time::ZERO + duration / 2, second));
            script.push((Time::ZERO + duration / 4 * 3, first));
        }
        call
    }

    /// A call of `people` (2 to 25), each of whom sends a camera and sees all others: for a third of the time
    /// in a gallery, then with one of them pinned at 1280x720 and the others small, then with somebody's
    /// screen at 1280x720 (which is one more stream) beside a column of four, the others scrolled out of
    /// sight. Every path carries `bitrate` on average, with fades of its own as [`Trace::lte`] draws them
    /// from `seed`.
    pub fn meeting(people: u32, bitrate: u64, seed: u64, duration: Duration, on_demand: bool) -> Self {
        let people = people.clamp(2, 25);
        let columns = (1..6).find(|n| n * n >= people - 1).unwrap_or(5);
        let (pinned, then) = (Time::ZERO + duration / 3, Time::ZERO + duration / 3 * 2);
        let receiver = |r: u32| {
            let others = (0..people).filter(|&n| n != r);
            let mut watches: Vec<_> = others
                .enumerate()
                .map(|(place, n)| {
                    // Not everybody pins the same: most the first, some the second.
                    let pins = if r % 4 == 3 { 1 } else { 0 };
                    let middle = if n == pins {
                        window(1280, Priority::Pinned)
                    } else {
                        window(320, Priority::Thumbnail)
                    };
                    let last = if place < 4 { window(320, Priority::Thumbnail) } else { hidden() };
                    let gallery = window(1920 / columns, Priority::Thumbnail);
                    (StreamId(n), vec![(Time::ZERO, gallery), (pinned, middle), (then, last)])
                })
                .collect();
            if r != 0 {
                let screen = vec![(Time::ZERO, hidden()), (then, window(1280, Priority::ScreenShare))];
                watches.push((StreamId(people), screen));
            }
            let seed = seed.wrapping_mul(1000).wrapping_add(u64::from(r));
            let link = LinkConfig { seed, ..LinkConfig::default() };
            ReceiverSpec { trace: Trace::lte(seed, bitrate, duration), link, watches }
        };
        let receivers = (0..people).map(receiver).collect();
        let call = Self::to_one("meeting", Trace::constant(bitrate), LinkConfig::default(), duration, vec![]);
        Self { streams: people + 1, receivers, on_demand, ..call }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Policy, Summary};

    const SECOND: Duration = Duration::from_secs(1);

    fn run(call: &Call, policy: Policy) -> crate::simulate::Outcome {
        let outcome = call.run(policy);
        for receiver in &outcome.receivers {
            for (_, seen) in &receiver.windows {
                assert!(seen.stalled <= seen.visible && seen.paused <= seen.visible);
                assert!(seen.ssim <= seen.live && seen.live <= seen.visible.as_secs_f64() + 1e-6);
            }
        }
        outcome
    }

    /// Whether nothing froze but at the start, when the estimate is still far below what the path carries and the key
    /// pictures of all streams wait for each other.
    fn is_start(freezes: &[(Time, Time)]) -> bool {
        freezes.iter().all(|(_, end)| *end < Time::from_secs(2))
    }

    #[test]
    fn a_wide_path_shows_everything_without_a_stall() {
        for policy in Policy::ALL {
            let call = Call::gallery(Trace::constant(30_000_000), LinkConfig::default(), 20 * SECOND, 4);
            let outcome = run(&call, policy);
            let receiver = &outcome.receivers[0];
            for (_, seen) in &receiver.windows {
                assert!(is_start(&seen.freezes), "{policy:?} {:?}", seen.freezes);
                assert_eq!(seen.visible, 20 * SECOND);
                let last = seen.layers.last().and_then(|(_, layer)| *layer).map(|layer| layer.spatial_id);
                assert_eq!(last, Some(if policy == Policy::Lowest { 0 } else { 2 }), "{policy:?}");
            }
            // All key pictures at once at the start may be more than the queue holds.
            assert!(receiver.lost * 50 < receiver.packets, "{policy:?}");
        }
    }

    #[test]
    fn a_call_of_nine_starts_without_a_freeze() {
        for bitrate in [2_500_000, 30_000_000] {
            let call = Call::gallery(Trace::constant(bitrate), LinkConfig::default(), 3 * SECOND, 9);
            for policy in [Policy::Selector, Policy::Lowest] {
                for (_, seen) in &run(&call, policy).receivers[0].windows {
                    assert_eq!(seen.freezes, [], "{policy:?} at {bitrate}");
                }
            }
        }
    }

    #[test]
    fn a_path_that_stops_for_a_second_is_found_again_soon() {
        let steps = [(10 * SECOND, 4_000_000), (SECOND, 1000), (10 * SECOND, 4_000_000)];
        let call = Call::gallery(Trace::steps(&steps), LinkConfig::default(), 20 * SECOND, 9);
        for policy in [Policy::Selector, Policy::Lowest] {
            for (_, seen) in &run(&call, policy).receivers[0].windows {
                let late = Time::from_millis(if policy == Policy::Lowest { 11_500 } else { 12_500 });
                assert!(seen.freezes.iter().all(|(_, end)| *end < late), "{policy:?} {:?}", seen.freezes);
            }
        }
    }

    #[test]
    fn a_path_too_narrow_for_all_layers_stalls_those_who_send_them_all() {
        let call = Call::gallery(Trace::constant(1_000_000), LinkConfig::default(), 60 * SECOND, 4);
        let outcome = run(&call, Policy::Lowest);
        for (_, seen) in &outcome.receivers[0].windows {
            assert!(is_start(&seen.freezes), "{:?}", seen.freezes);
        }
        let stalled = |policy| {
            let outcome = run(&call, policy);
            outcome.receivers[0].windows.iter().map(|(_, seen)| seen.stalled).sum::<Duration>()
        };
        assert!(stalled(Policy::Fixed) > 200 * SECOND, "{:?}", stalled(Policy::Fixed));
        assert!(stalled(Policy::Selector) < stalled(Policy::Greedy) / 4, "{:?}", stalled(Policy::Selector));
    }

    #[test]
    fn over_lte_the_selector_stalls_least_of_those_who_use_the_link_and_switches_seldom() {
        // Sums over links: stalled share, SSIM seen.
        let mut sums = Policy::ALL.map(|policy| (policy, 0.0, 0.0));
        let allowed = f64::from(SelectorConfig::default().max_switches);
        for seed in [21, 22, 23] {
            let trace = Trace::lte(seed, 4_000_000, 60 * SECOND);
            let call = Call::gallery(trace, LinkConfig::default(), 60 * SECOND, 9);
            for (policy, stalled, seen) in &mut sums {
                let summary = Summary::new(&run(&call, *policy));
                assert!(*policy != Policy::Selector || summary.decided_switches <= allowed);
                assert!(summary.net_share <= summary.stalled_share);
                *stalled += summary.stalled_share;
                *seen += summary.seen;
            }
        }
        let (_, stalled, seen) = sums[0];
        for (policy, other_stalled, other_seen) in &sums[1..] {
            let lowest = *policy == Policy::Lowest;
            assert!(lowest || stalled * 1.5 < *other_stalled, "{policy:?}: {stalled} {other_stalled}");
            assert!(lowest || seen > *other_seen, "{policy:?}: {seen} {other_seen}");
        }
    }

    #[test]
    fn the_same_call_has_the_same_outcome() {
        let link = LinkConfig { loss: 0.02, ..LinkConfig::default() };
        let call = Call::speakers(Trace::lte(7, 3_000_000, 30 * SECOND), link, 30 * SECOND, 9);
        for policy in Policy::ALL {
            assert_eq!(run(&call, policy), run(&call, policy));
        }
    }

    #[test]
    fn random_loss_is_repaired_by_sending_again() {
        let link = LinkConfig { loss: 0.01, ..LinkConfig::default() };
        let call = Call::gallery(Trace::constant(5_000_000), link, 60 * SECOND, 1);
        let outcome = run(&call, Policy::Allocator);
        let seen = &outcome.receivers[0].windows[0].1;
        assert!(outcome.receivers[0].lost > 20);
        assert!(seen.stalled < SECOND, "{:?}", seen.freezes);
        assert!(seen.live > 58.0, "{}", seen.live);
    }

    #[test]
    fn hidden_windows_cost_nothing_and_count_for_nothing() {
        let duration = 20 * SECOND;
        let mut call = Call::gallery(Trace::constant(5_000_000), LinkConfig::default(), duration, 2);
        call.receivers[0].watches[1].1 = vec![(Time::ZERO, hidden())];
        for policy in [Policy::Selector, Policy::Greedy, Policy::Allocator, Policy::Simulcast] {
            let outcome = run(&call, policy);
            let windows = &outcome.receivers[0].windows;
            assert_eq!((windows[1].1.visible, windows[1].1.pictures), (Duration::ZERO, 0), "{policy:?}");
            assert!(windows[0].1.pictures > 550, "{policy:?}");
        }
    }

    #[test]
    fn demand_saves_what_nobody_watches() {
        let outcome =
            |on_demand| run(&Call::meeting(6, 3_000_000, 1, 30 * SECOND, on_demand), Policy::Selector);
        let (demand, all) = (outcome(true), outcome(false));
        let sum = |outcome: &crate::simulate::Outcome| outcome.sent_bytes.iter().sum::<u64>();
        assert!(sum(&demand) < sum(&all) * 7 / 10, "{} of {}", sum(&demand), sum(&all));
        assert!(demand.encode_time.iter().sum::<Duration>() < all.encode_time.iter().sum::<Duration>());
        let stalled = |outcome: &crate::simulate::Outcome| {
            let windows = outcome.receivers.iter().flat_map(|receiver| &receiver.windows);
            windows.map(|(_, seen)| seen.stalled.as_secs_f64() / 30.0).sum::<f64>()
        };
        assert!(stalled(&demand) < stalled(&all) + 3.0, "{} {}", stalled(&demand), stalled(&all));
    }
}
