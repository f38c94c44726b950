use super::*;
use md5::{Digest, Md5};

fn md5(picture: &Picture) -> String {
    let mut md5 = Md5::new();
    for plane in 0..3 {
        md5.update(picture.plane(plane));
    }
    md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The mean of squared differences of luma.
fn difference(a: &Picture, b: &Picture) -> f64 {
    let sum: u64 = a.plane(0).iter().zip(b.plane(0)).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    sum as f64 / a.plane(0).len() as f64
}

#[test]
fn a_picture_is_the_same_everywhere() {
    for (width, height, n, expected) in [
        (320, 180, 0, "3937f1bb272f8bbb03120b4cf83c94f9"),
        (320, 180, 75, "16b3fe8eb66d1fc5cc370bbaebf676be"),
        (318, 182, 1_000_000_000_000, "c2cf60002574df96f894bfd937e122fc"),
        (66, 66, 12, "ef5d5479c5ab38cd764ae0a1a765a03d"),
        (90, 160, 3, "3ab54b05efe47a1edbbadabf304d58e1"),
        (1, 1, 0, "b7e17a58543bc4c876445f915bc1af16"),
    ] {
        let scene = Scene::new(Size::new(width, height));
        let picture = scene.picture(n);
        assert_eq!(md5(&picture), expected, "{width}x{height}, picture {n}");
        assert_eq!(scene.picture(n), picture);
    }
}

#[test]
fn every_size_works() {
    for (width, height) in [(1, 1), (1, 64), (64, 1), (2, 3), (17, 9), (66, 66), (318, 182), (181, 321)] {
        let size = Size::new(width, height);
        let scene = Scene::new(size);
        assert_eq!(scene.size(), size);
        for n in [0, 1, u64::from(u32::MAX), u64::MAX] {
            let picture = scene.picture(n);
            assert_eq!(picture.size(), size);
        }
    }
}

#[test]
fn the_wall_has_noise_only_and_the_person_moves() {
    let scene = Scene::new(Size::new(320, 180));
    let pictures: Vec<_> = (0..90).map(|n| scene.picture(n)).collect();
    let noise = f64::from(2.0 * LUMA_NOISE * LUMA_NOISE);
    for pair in pictures.windows(2) {
        let moved = difference(&pair[0], &pair[1]);
        assert!((noise..100.0).contains(&moved), "{moved}");
    }
    assert!(difference(&pictures[0], &pictures[60]) > 40.0);

    // The upper left corner is wall.
    let corner = |picture: &Picture| -> Vec<f64> {
        picture.plane(0).chunks(320).take(25).flat_map(|row| &row[..80]).map(|&s| s.into()).collect()
    };
    let mut square = 0.0;
    for pair in pictures.windows(2) {
        let pair = corner(&pair[0]).into_iter().zip(corner(&pair[1]));
        square += pair.map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / (80.0 * 25.0);
    }
    // Rounding to samples adds a twelfth to each of the two.
    let deviation = (square / 89.0 / 2.0 - 1.0 / 12.0).sqrt();
    assert!((deviation - f64::from(LUMA_NOISE)).abs() < 0.03, "{deviation}");
}

#[test]
fn the_sine_is_one() {
    for i in -2000..2000 {
        let turns = f64::from(i) / 617.0;
        assert!((f64::from(sine(turns)) - (turns * std::f64::consts::TAU).sin()).abs() < 1.2e-3, "{turns}");
    }
}
