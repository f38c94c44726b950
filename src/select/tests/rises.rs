//! When spatial layers rise again, and what counts as a rise that has failed.

use super::*;

/// The first of these times, in ms, at which the stream has a target on a path of so many kbit/s, looked at each 100 ms.
fn reaches(s: &mut Selector, times: std::ops::Range<u64>, kilobits: u64, target: Option<LayerId>) -> u64 {
    times.step_by(100).find(|now| at(s, ms(*now), kilobits).target == target).expect("it is reached")
}

/// A selector that fell once, and when it rose again on a path of 600 kbit/s.
fn risen() -> (Selector, u64) {
    let mut s = selector_with(SelectorConfig { max_switches: 8, ..SelectorConfig::default() });
    assert_eq!(at(&mut s, ms(0), 600).target, layer(2, 2));
    assert_eq!(at(&mut s, ms(100), 300).target, layer(1, 2));
    let rise = reaches(&mut s, 200..20_000, 600, layer(2, 2));
    (s, rise)
}

#[test]
fn a_path_that_carries_twice_as_much_as_in_its_congestion_is_believed_soon() {
    let config = SelectorConfig { max_switches: 8, ..SelectorConfig::default() };
    let back = |s: &mut Selector, from: u64| reaches(s, from..from + 90_000, 700, layer(2, 2));
    let mut s = selector_with(config);
    assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
    assert_eq!(at(&mut s, ms(100), 300).target, layer(1, 2));
    let first = back(&mut s, 200);
    assert!((1500..2500).contains(&first), "after {first} ms");
    // It was believed too soon: the next wait is that of a rise that failed.
    assert_eq!(at(&mut s, ms(first + 500), 300).target, layer(1, 2));
    let second = back(&mut s, first + 600);
    assert!((20_000..23_000).contains(&(second - first)), "{first} ms, then {second} ms");
}

#[test]
fn a_rise_that_failed_is_no_reason_to_wait_on_a_path_that_carries_twice_what_it_took() {
    for (kilobits, wait) in [(1200, 500..3000), (900, 19_000..23_000)] {
        let (mut s, rise) = risen();
        // 507 kbit/s were in use.
        assert_eq!(at(&mut s, ms(rise + 500), 300).target, layer(1, 2));
        let back = reaches(&mut s, rise + 600..rise + 60_000, kilobits, layer(2, 2));
        assert!(wait.contains(&(back - rise)), "{kilobits}: {rise} ms, then {back} ms");
    }
}

#[test]
fn an_estimate_that_rises_while_the_lowest_of_a_second_counts_is_not_what_the_path_carried_in_its_congestion()
{
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
    // Not even the lowest layer fits, until the path carries as much as before.
    for now in (100..5000).step_by(100) {
        assert_eq!(at(&mut s, ms(now), 50).target, layer(0, 0));
    }
    let mut ticks = (5000..9000).step_by(100);
    let back = ticks.find(|now| at(&mut s, ms(*now), 1000).target == layer(2, 2));
    assert!(back.is_some_and(|back| back < 7000), "{back:?}");
}

#[test]
fn two_streams_rise_at_once_and_a_third_waits() {
    let mut s = selector();
    for id in [8, 9] {
        s.set_offer(ms(0), StreamId(id), &offer(ScalabilityMode::L3T3));
        s.set_window(ms(0), StreamId(id), window(1280, 720));
    }
    let high = |decision: &Decision| {
        decision.streams.iter().filter(|stream| stream.target.is_some_and(|it| it.spatial_id > 0)).count()
    };
    s.set_network(ms(0), path(300));
    assert_eq!(high(s.decide(ms(0))), 0);
    let mut counts = vec![];
    for now in (100..3000).step_by(100) {
        s.set_network(ms(now), path(2000));
        counts.push(high(s.decide(ms(now))));
    }
    counts.dedup();
    assert_eq!(counts, [0, 2, 3]);
}

/// After a rise to 507 kbit/s has failed on a path that carries 350, the layer below falls too, for a moment.
#[test]
fn a_rise_that_failed_bars_no_rise_to_what_was_in_use_before_it() {
    let config = SelectorConfig { max_switches: 8, ..SelectorConfig::default() };
    let mut s = selector_with(config);
    assert_eq!(at(&mut s, ms(0), 340).target, layer(1, 2));
    let rise = reaches(&mut s, 100..5000, 600, layer(2, 2));
    assert_eq!(at(&mut s, ms(rise + 500), 340).target, layer(1, 2));
    assert_eq!(at(&mut s, ms(rise + 700), 125).target, layer(0, 2));
    let back = reaches(&mut s, rise + 800..rise + 60_000, 340, layer(1, 2));
    assert!((1500..3000).contains(&(back - rise)), "{back} after {rise}");
    let higher = reaches(&mut s, back + 100..rise + 60_000, 600, layer(2, 2));
    assert!((19_000..23_000).contains(&(higher - rise)), "{higher} after {rise}");
}

#[test]
fn a_path_that_has_become_much_worse_makes_no_failure_of_a_rise() {
    // 225 kbit/s were in use before the rise. The path falls to more than half of that, and to less.
    for (kilobits, wait) in [(150, 19_000..23_000), (100, 1500..3000)] {
        let (mut s, rise) = risen();
        for now in (rise + 100..rise + 1000).step_by(100) {
            at(&mut s, ms(now), kilobits);
        }
        let back = reaches(&mut s, rise + 1000..rise + 60_000, 600, layer(2, 2));
        assert!(wait.contains(&(back - rise)), "{kilobits}: {rise} ms, then {back} ms");
    }
}

#[test]
fn the_queue_of_a_refresh_is_no_failure_of_the_rise() {
    let queue = |delay: u64| Network { queueing_delay: Some(Duration::from_millis(delay)), ..path(700) };
    let mut s = selector();
    s.set_network(ms(0), path(300));
    assert_eq!(s.decide(ms(0)).streams[0].target, layer(1, 2));
    let rise = reaches(&mut s, 100..5000, 700, layer(2, 2));
    // Of 665 kbit/s 333 are left to drain such a queue, where the layers need 507.
    for now in (rise + 100..rise + 900).step_by(100) {
        s.set_network(ms(now), queue(250));
        assert_eq!(s.decide(ms(now)).streams[0].target, layer(2, 2), "{} ms after the rise", now - rise);
    }
    // One that stays is no refresh's any more.
    for now in (rise + 1000..rise + 1500).step_by(100) {
        s.set_network(ms(now), queue(250));
        s.decide(ms(now));
    }
    assert_ne!(s.decision().streams[0].target, layer(2, 2));
    // An estimate that falls below what is in use counts at any time.
    let mut s = selector();
    s.set_network(ms(0), path(300));
    s.decide(ms(0));
    let rise = reaches(&mut s, 100..5000, 700, layer(2, 2));
    assert_eq!(at(&mut s, ms(rise + 300), 300).target, layer(1, 2));
}

#[test]
fn the_steps_of_one_fall_are_one_switch() {
    for (pause, is_back) in [(500, true), (2500, false)] {
        let config = SelectorConfig { max_switches: 3, ..SelectorConfig::default() };
        let mut s = selector_with(config);
        assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
        assert_eq!(at(&mut s, ms(1000), 300).target, layer(1, 2));
        for now in (1100..1000 + pause).step_by(100) {
            at(&mut s, ms(now), 300);
        }
        assert_eq!(at(&mut s, ms(1000 + pause), 100).target, layer(0, 2));
        let mut ticks = (1100 + pause..20_000).step_by(100);
        let back = ticks.any(|now| at(&mut s, ms(now), 1000).target == layer(2, 2));
        assert_eq!(back, is_back, "{pause} ms");
    }
}
