//! Tests of the estimator.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::arrivals::MAX_ARRIVALS;
use super::*;

/// A queue before a link of constant bitrate.
struct Link {
    free: Time,
    queue: Duration,
    /// One packet of so many gets lost.
    lost: u64,
    count: u64,
}

impl Link {
    fn send(&mut self, now: Time, bytes: usize, bitrate: u64) -> Option<Time> {
        self.count += 1;
        let start = self.free.max(now);
        if start - now > self.queue || self.lost > 0 && self.count.is_multiple_of(self.lost) {
            return None;
        }
        self.free = start + Duration::from_secs_f64(bytes as f64 * 8.0 / bitrate as f64);
        Some(self.free + Duration::from_millis(30))
    }
}

/// Sends at the estimate, at most `most` bit/s, for a time, over a link of the bit/s of each second. The receiver's
/// clock is an hour ahead. Returns the estimate at each second.
fn drive(links: impl Fn(u64) -> u64, lost: u64, most: u64, seconds: u64, probe_at: Option<u64>) -> Vec<u64> {
    let mut link = Link { free: Time::ZERO, queue: Duration::from_millis(500), lost, count: 0 };
    let mut estimator = Estimator::new(300_000);
    let (mut estimates, mut pending, mut budget) = (vec![], VecDeque::new(), 0.0);
    let tick = Duration::from_millis(5);
    for n in 0..seconds * 200 {
        let now = Time::ZERO + tick * n as u32;
        let probing = probe_at.filter(|at| (at * 200..at * 200 + 40).contains(&n));
        let rate = if probing.is_some() { 2 * most } else { estimator.bitrate().min(most) };
        budget += rate as f64 * tick.as_secs_f64() / 8.0;
        while budget >= 1000.0 {
            budget -= 1000.0;
            let arrived = link.send(now, 1000, links(n / 200));
            let probe = probing.map(|at| at as u32);
            pending.push_back(PacketReport { sent: now, arrived, bytes: 1000, probe });
        }
        if n % 10 == 0 {
            // A loss is known once a later packet has arrived.
            let back = Duration::from_millis(30);
            let reported = pending
                .iter()
                .rposition(|p: &PacketReport| p.arrived.is_some_and(|at| at + back <= now))
                .map_or(0, |at| at + 1);
            let mut report: Vec<_> = pending.drain(..reported).collect();
            for packet in &mut report {
                packet.arrived = packet.arrived.map(|at| at + Duration::from_secs(3600));
            }
            if report.is_empty() {
                estimator.silence(now, pending.front().map(|packet| packet.sent))
            } else {
                estimator.report(now, &report)
            }
        }
        if n % 200 == 199 {
            estimates.push(estimator.bitrate());
            let path = estimator.path(now, pending.front().map(|p| p.sent));
            assert!(path.queueing_delay.is_none_or(|queue| queue < Duration::from_millis(700)), "{path:?}");
            assert!(path.round_trip.is_none_or(|time| time < Duration::from_millis(900)), "{path:?}");
        }
    }
    estimates
}

#[test]
fn it_finds_what_a_link_carries_and_follows_it_down() {
    let links = |second| if second < 40 { 2_000_000 } else { 600_000 };
    let estimates = drive(links, 0, 10_000_000, 59, None);
    let late = &estimates[30..39];
    assert!(late.iter().all(|rate| (1_300_000..2_300_000).contains(rate)), "{late:?}");
    let after = &estimates[43..];
    assert!(after.iter().all(|rate| (300_000..750_000).contains(rate)), "{after:?}");
}

/// A key picture, paced above what the path carries, after seconds in which little was sent.
#[test]
fn a_burst_after_a_calm_while_is_measured_by_its_own_packets() {
    let (mut link, mut pending) =
        (Link { free: Time::ZERO, queue: Duration::from_millis(500), lost: 0, count: 0 }, VecDeque::new());
    let mut estimator = Estimator::new(1_400_000);
    let (mut budget, mut lowest) = (0.0, u64::MAX);
    for n in 0..800 {
        let now = Time::from_millis(5 * n);
        let rate = if (600..640).contains(&n) { 2_100_000.0 } else { 300_000.0 };
        budget += rate * 0.005 / 8.0;
        while budget >= 1000.0 {
            budget -= 1000.0;
            let arrived = link.send(now, 1000, 1_500_000);
            pending.push_back(PacketReport { sent: now, arrived, bytes: 1000, probe: None });
        }
        if n % 10 == 0 {
            let reported = pending.iter().take_while(|packet| packet.arrived.is_some_and(|at| at <= now));
            let report: Vec<_> = pending.drain(..reported.count()).collect();
            estimator.report(now, &report);
            lowest = lowest.min(estimator.bitrate());
        }
    }
    assert!(estimator.over_used().is_some(), "the burst is over-use");
    assert!(lowest > 1_100_000, "{lowest}");
}

#[test]
fn it_grows_no_further_than_half_above_what_is_sent_until_a_probe_proves_more() {
    let without = drive(|_| 5_000_000, 0, 500_000, 30, None);
    assert!((600_000..800_000).contains(&without[29]), "{without:?}");
    let with = drive(|_| 5_000_000, 0, 500_000, 30, Some(20));
    assert!((850_000..1_100_000).contains(&with[22]), "{with:?}");
}

#[test]
fn a_probe_that_finds_less_lowers_it() {
    // 400 kbit/s are sent, so that the estimate grows to half above that; 500 are carried.
    let estimates = drive(|_| 500_000, 0, 400_000, 30, Some(25));
    let (before, after) = (estimates[24], estimates[26]);
    assert!(before > 575_000 && (400_000..550_000).contains(&after), "{estimates:?}");
}

#[test]
fn heavy_loss_lowers_it_and_light_loss_does_not() {
    let lossy = |lost| drive(|_| 5_000_000, lost, 2_000_000, 40, None)[39];
    assert!(lossy(100) > 1_500_000, "{}", lossy(100));
    assert!(lossy(4) < 300_000, "{}", lossy(4));
}

/// At 2 % of random loss three of twenty packets are lost now and then.
#[test]
fn a_few_packets_lost_by_chance_are_no_congestion() {
    let mut estimator = Estimator::new(300_000);
    let mut report = |from: u64, lost: &[u64]| {
        let sent = |n: u64| Time::from_millis(25 * n);
        let packets = (from..from + 20).map(|n| PacketReport {
            sent: sent(n),
            arrived: (!lost.contains(&n)).then(|| sent(n) + Duration::from_millis(30)),
            bytes: 800,
            probe: None,
        });
        let packets: Vec<_> = packets.collect();
        estimator.report(sent(from + 20) + Duration::from_millis(60), &packets);
        (estimator.bitrate(), estimator.over_used())
    };
    report(0, &[]);
    let (before, _) = report(20, &[]);
    assert!(report(40, &[41, 47, 55]).0 >= before);
    assert!(report(60, &[]).0 >= before);
    assert_eq!(report(80, &[]).1, None);
    // Six of forty are more than chance.
    let (before, _) = report(100, &[101, 107, 115]);
    let (after, over_used) = report(120, &[121, 127, 135]);
    assert!(after < before && over_used.is_some(), "{before} {after}");
}

#[test]
fn silence_lowers_it() {
    let second = Time::from_secs(1);
    let mut estimator = Estimator::new(1_000_000);
    estimator.silence(Time::from_millis(250), Some(Time::ZERO));
    assert_eq!(estimator.bitrate(), 1_000_000);
    estimator.silence(second, Some(Time::ZERO));
    estimator.silence(Time::from_secs(2), Some(Time::ZERO));
    assert_eq!(estimator.bitrate(), 640_000);
    assert_eq!(estimator.over_used(), Some(Time::from_secs(2)));
    // After a pause the first packets have their time.
    estimator.silence(Time::from_secs(10), Some(Time::from_millis(9900)));
    estimator.silence(Time::from_secs(20), None);
    assert_eq!(estimator.bitrate(), 640_000);
}

#[test]
fn a_receiver_clock_that_runs_fast_is_no_queue() {
    let mut estimator = Estimator::new(1_000_000);
    for n in 0..60 * 60 * 20 {
        let sent = Time::from_millis(50 * n);
        // 200 ppm.
        let arrived = Some(sent + Duration::from_micros(30_000 + 10 * n));
        estimator.report(
            sent + Duration::from_millis(60),
            &[PacketReport { sent, arrived, bytes: 1000, probe: None }],
        );
        let queue = estimator.path(sent, Some(sent)).queueing_delay.unwrap();
        assert!(queue <= Duration::from_millis(4), "{queue:?} after {sent:?}");
    }
}

#[test]
fn a_higher_wish_is_probed_every_few_seconds() {
    let mut estimator = Estimator::new(1_000_000);
    estimator.start = None;
    assert_eq!(estimator.probe(Time::ZERO), None, "nothing more is wanted");
    estimator.set_wanted(3_000_000);
    let probes = (0..100).filter(|n| estimator.probe(Time::from_millis(100 * n)).is_some());
    assert_eq!(probes.collect::<Vec<_>>(), [0, 35, 70]);
}

proptest! {
    /// Whatever the reports say, the estimate is a number within bounds, and little memory is held.
    #[test]
    fn any_reports_are_taken(
        reports in proptest::collection::vec(
            (any::<u64>(), proptest::option::of(any::<u64>()), 0..2000usize, proptest::option::of(0..3u32)),
            0..300,
        ),
        times in proptest::collection::vec(any::<u64>(), 1..10),
    ) {
        let mut estimator = Estimator::new(1_000_000);
        estimator.set_wanted(u64::MAX);
        let reports: Vec<_> = reports
            .into_iter()
            .map(|(sent, arrived, bytes, probe)| PacketReport {
                sent: Time::from_micros(sent),
                arrived: arrived.map(Time::from_micros),
                bytes,
                probe,
            })
            .collect();
        for (now, reports) in times.iter().zip(reports.chunks(50)) {
            let now = Time::from_micros(*now);
            estimator.report(now, reports);
            estimator.silence(now, Some(Time::from_micros(7)));
            let _ = estimator.probe(now);
            let path = estimator.path(now, Some(Time::from_micros(7)));
            prop_assert!(path.bitrate >= 30_000 && path.bitrate < 1 << 40, "{path:?}");
            prop_assert!(estimator.arrivals.len() <= MAX_ARRIVALS);
        }
    }
}

/// A path that was gone for five seconds and is as it was: it is probed for that at once, and no further than that is safe.
#[test]
fn a_path_that_returns_is_probed_at_once() {
    let mut estimator = Estimator::new(800_000);
    estimator.start = None;
    let report = |at: u64| PacketReport {
        sent: Time::from_millis(at - 60),
        arrived: Some(Time::from_millis(at - 30)),
        bytes: 1000,
        probe: None,
    };
    estimator.report(Time::from_millis(1000), &[report(1000)]);
    for at in 1000..6000 {
        estimator.silence(Time::from_millis(at), Some(Time::from_millis(1001)));
        assert_eq!(estimator.probe(Time::from_millis(at)), None, "while nothing arrives");
    }
    let low = estimator.bitrate();
    assert!(low < 200_000, "{low}");
    estimator.report(Time::from_millis(6000), &[report(6000)]);
    let probe = estimator.probe(Time::from_millis(6001)).unwrap();
    assert!((AFTER_DROP * 790_000.0..=AFTER_DROP * 810_000.0).contains(&(probe.bitrate as f64)), "{probe:?}");
    assert!(probe.duration <= PROBE_FOR);
    assert_eq!(estimator.probe(Time::from_millis(6500)), None, "once");
}

/// A relay probes a path as soon as there is something to send; the other end may still be at its handshake.
#[test]
fn probes_of_the_start_are_made_again_if_they_came_before_the_other_end() {
    for probes_arrive in [false, true] {
        let ms = Time::from_millis;
        let mut estimator = Estimator::new(300_000);
        for at in [0, 50] {
            assert!(estimator.probe(ms(at)).is_some());
        }
        let packet = |sent: u64, probe| PacketReport {
            sent: ms(sent),
            arrived: Some(ms(sent + 40)),
            bytes: 1000,
            probe,
        };
        let mut packets = vec![];
        if probes_arrive {
            packets.extend((0..5).map(|n| packet(9 * n, Some(0))));
            packets.extend((0..9).map(|n| packet(50 + 5 * n, Some(1))));
        }
        packets.extend((0..10).map(|n| packet(400 + 30 * n, None)));
        estimator.report(ms(760), &packets);
        let again = estimator.probe(ms(770)).map(|probe| probe.bitrate);
        assert_eq!(again == Some(900_000), !probes_arrive, "{again:?}");
        // Once only: the next reports have packets without probes too.
        if !probes_arrive {
            assert!(estimator.probe(ms(780)).is_some_and(|probe| probe.bitrate == 1_800_000));
            estimator.report(ms(1100), &[packet(1000, None)]);
            assert_eq!(estimator.probe(ms(1110)), None);
        }
    }
}

#[test]
fn after_a_drop_a_path_is_probed_within_a_twentieth_of_the_time_that_it_has_lasted() {
    let mut estimator = Estimator::new(2_000_000);
    estimator.start = None;
    estimator.set_wanted(5_000_000);
    estimator.lower(Time::from_secs(1), 400_000.0);
    estimator.dropped = None;
    let ticks = (0..120_000).step_by(100).map(Time::from_millis);
    let probed: Vec<_> = ticks.filter(|now| estimator.probe(*now).is_some()).collect();
    for pair in probed.windows(2) {
        let lasted = (pair[1] - Time::from_secs(1)).as_secs_f64();
        let most = (lasted / 20.0).clamp(1.0, 3.5);
        assert!((pair[1] - pair[0]).as_secs_f64() <= most + 0.1, "{pair:?}");
    }
    assert!((40..60).contains(&probed.len()), "{}", probed.len());
}

#[test]
fn a_short_queue_lowers_the_estimate_only_if_as_much_is_sent() {
    // Packets of 1000 bytes each so many ms, a queue, and the estimate after it.
    let over_used = |step: usize, queue: u64| {
        let mut estimator = Estimator::new(1_400_000);
        for at in (0..1000).step_by(step) {
            estimator.arrivals.push(Time::from_millis(at), 1000, Duration::from_millis(queue));
        }
        estimator.updated = Some(Time::from_millis(950));
        estimator.control(Time::from_millis(1000), Usage::Over, Duration::from_millis(queue));
        assert!(estimator.over_used().is_some());
        estimator.bitrate()
    };
    // 400 kbit/s are sent: a burst of them, and a path that carries less.
    assert_eq!(over_used(20, 30), 1_400_000);
    assert!(over_used(20, 60) < 400_000);
    // 1.3 Mbit/s.
    assert!(over_used(6, 30) < 1_200_000);
}
