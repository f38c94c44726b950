//! How the bench judges whether a bitrate is kept.

use layercast_compare::track::{Taken, Track};

/// 20 s at 30 pictures a second, each to take 1000 bits.
fn track(bits: impl Fn(f64) -> u64, bound: impl Fn(f64) -> bool) -> Track {
    let mut track = Track::default();
    for n in 0..600 {
        let at = f64::from(n) / 30.0;
        track.push(Taken { at, bits: bits(at), budget: 1000.0, bound: bound(at) });
    }
    track
}

#[test]
fn a_stream_that_keeps_its_bitrate() {
    let track = track(|_| 1000, |_| false);
    assert_eq!(track.total(), 1.0);
    let [free, bound] = track.windows();
    // From 1 to 15 s, each 0.25 s.
    assert_eq!((free.count, free.range, bound.count), (57, (1.0, 1.0), 0));
}

#[test]
fn the_first_second_counts_overall_but_in_no_window() {
    let track = track(|at| if at < 1.0 { 3000 } else { 1000 }, |_| false);
    assert!((track.total() - 1.1).abs() < 1e-9);
    assert_eq!(track.windows()[0].range, (1.0, 1.0));
    assert_eq!(track.share(0.0, 1.0), 3.0);
}

#[test]
fn windows_at_a_bound_are_told_apart() {
    let track = track(|at| if at < 10.0 { 1000 } else { 500 }, |at| at >= 10.0);
    let [free, bound] = track.windows();
    assert_eq!(free.count + bound.count, 57);
    assert!(free.range.0 > 0.74 && free.range.1 == 1.0, "{free:?}");
    assert!(bound.range.0 == 0.5 && bound.range.1 < 0.76, "{bound:?}");
}

#[test]
fn pictures_without_a_frame_of_the_target_are_no_frames_at_a_bound() {
    let coded = |at: f64| ((at * 30.0).round() as u64).is_multiple_of(4);
    let track = track(|at| if coded(at) { 4000 } else { 0 }, coded);
    assert_eq!(track.windows()[0].count, 0);
}
