//! The arithmetic of the comparison that `make bench` prints.

use layercast_compare::curve::{Pair, bd_rate, mean_ratio, pairs};

/// Quality and rate.
const ANCHOR: [(f64, f64); 6] =
    [(33.9, 256.5), (35.8, 433.0), (37.6, 691.2), (39.7, 1219.7), (42.4, 2306.0), (44.4, 3757.9)];
const TEST: [(f64, f64); 6] =
    [(32.9, 185.2), (35.1, 330.0), (37.3, 560.4), (39.6, 1010.8), (41.1, 1400.1), (44.8, 3469.3)];
/// Its rate falls once while the quality rises.
const UNEVEN: [(f64, f64); 4] = [(30.0, 100.0), (32.0, 220.0), (33.0, 210.0), (36.0, 500.0)];

#[test]
fn bd_rates_are_those_of_another_implementation() {
    // Worked out by a script with the same interpolation.
    let cases: [(&[_], &[_], f64); 4] = [
        (&ANCHOR, &TEST, -13.870581112400327),
        (&TEST, &ANCHOR, 16.104347726415845),
        (&ANCHOR, &UNEVEN, -7.4519140221845355),
        (&UNEVEN, &TEST, -0.6965191870079934),
    ];
    for (anchor, test, percent) in cases {
        let found = bd_rate(anchor, test).unwrap();
        assert!((found - percent).abs() < 1e-9, "{found} and {percent}");
    }
}

#[test]
fn bd_rate_of_a_multiple_of_the_bits() {
    let half = ANCHOR.map(|(quality, rate)| (quality, rate / 2.0));
    assert!((bd_rate(&ANCHOR, &half).unwrap() + 50.0).abs() < 1e-9);
    let mut shuffled = half;
    shuffled.reverse();
    assert_eq!(bd_rate(&ANCHOR, &half), bd_rate(&ANCHOR, &shuffled));
}

#[test]
fn curves_with_nothing_in_common_have_no_bd_rate() {
    let better = ANCHOR.map(|(quality, rate)| (quality + 20.0, rate));
    assert_eq!(bd_rate(&ANCHOR, &better), None);
    assert_eq!(bd_rate(&ANCHOR, &TEST[..2]), None);
    // The same point three times.
    assert_eq!(bd_rate(&ANCHOR, &[TEST[0]; 3]), None);
}

#[test]
fn pairs_lie_on_both_curves() {
    let anchor = [(1.0, 10.0), (3.0, 30.0), (7.0, 40.0)];
    let test = [(9.0, 10.0), (2.0, 80.0), (5.0, 50.0)];
    let expected = [(2.0, 20.0, 80.0), (4.5, 33.75, 55.0), (7.0, 40.0, 30.0)];
    let expected = expected.map(|(x, anchor, test)| Pair { x, anchor, test });
    assert_eq!(pairs(&anchor, &test, 3), expected);
    assert_eq!(pairs(&anchor, &[(8.0, 1.0), (9.0, 1.0)], 3), []);
    assert_eq!(pairs(&anchor[..1], &test, 3), []);
}

#[test]
fn ratios_have_a_geometric_mean() {
    assert!((mean_ratio([0.5, 8.0].into_iter()).unwrap() - 2.0).abs() < 1e-12);
    assert_eq!(mean_ratio([].into_iter()), None);
}
