//! Every decode target of every mode is taken out of the stream and decoded, and equals the encoder's reconstruction.

mod common;

use common::receivers::Receivers;
use layercast::Size;
use layercast::encoder::{EncodeError, EncodeOptions, MAX_SPEED, Speeds, SvcConfig, SvcEncoder};
use layercast::picture::Picture;
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;

fn scene(size: Size, pictures: u64) -> Vec<Picture> {
    let scene = Scene::new(size);
    (0..pictures).map(|n| scene.picture(n)).collect()
}

/// Codes the pictures with a key picture at the start, and decodes every decode target along.
fn check(mut encoder: SvcEncoder, pictures: &[Picture]) {
    let mode = encoder.config().mode;
    let mut receivers = Receivers::new(mode).unwrap();
    for (n, picture) in pictures.iter().enumerate() {
        let unit = encoder.encode(&picture.view(), Scene::time(n as u64), EncodeOptions::default()).unwrap();
        assert_eq!(unit.plan.key, n == 0);
        let shown = receivers.receive(&encoder, &unit, &unit.to_bytes()).unwrap();
        assert!(!shown.is_empty(), "{mode}: picture {n} shows nothing");
    }
    receivers.verdict().unwrap_or_else(|error| panic!("{:?}: {error}", encoder.config()));
}

fn check_all_modes(size: Size, pictures: u64, quantizer: u8) {
    let pictures = scene(size, pictures);
    for mode in ScalabilityMode::all() {
        check(common::encoder(size, mode, quantizer), &pictures);
    }
}

#[test]
fn at_a_fine_quantizer() {
    check_all_modes(Size::new(66, 66), 9, 20);
}

#[test]
fn at_a_middling_quantizer() {
    check_all_modes(Size::new(66, 66), 9, 100);
}

#[test]
fn at_a_coarse_quantizer() {
    check_all_modes(Size::new(66, 66), 9, 200);
}

#[test]
fn at_an_odd_size_of_many_superblocks() {
    check_all_modes(Size::new(318, 182), 9, 100);
}

#[test]
fn at_the_smallest_and_other_odd_sizes() {
    for (size, quantizer) in [((16, 16), 60), ((17, 23), 100), ((131, 65), 20), ((65, 129), 200)] {
        let size = Size::new(size.0, size.1);
        let pictures = scene(size, 5);
        for mode in
            [ScalabilityMode::L1T1, ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3]
        {
            check(common::encoder(size, mode, quantizer), &pictures);
        }
    }
}

#[test]
fn with_two_tile_columns() {
    let size = Size::new(1282, 66);
    let pictures = scene(size, 5);
    for mode in
        [ScalabilityMode::L1T2, ScalabilityMode::L3T3, ScalabilityMode::L2T3Key, ScalabilityMode::S2T1]
    {
        let mut config = SvcConfig::new(size, mode);
        config.tile_columns_log2 = Some(1);
        check(SvcEncoder::new(config).unwrap(), &pictures);
    }
}

#[test]
fn at_every_speed() {
    let size = Size::new(130, 98);
    let pictures = scene(size, 5);
    for speed in 0..=MAX_SPEED {
        let mut config = SvcConfig::new(size, ScalabilityMode::L3T2);
        config.speed = speed;
        check(SvcEncoder::new(config).unwrap(), &pictures);
    }
}

#[test]
fn with_speeds_that_change_between_pictures() {
    let size = Size::new(130, 98);
    let pictures = scene(size, 16);
    for mode in [ScalabilityMode::L1T3, ScalabilityMode::L3T3, ScalabilityMode::L2T2KeyShift] {
        let coded = |speed: fn(usize) -> Speeds| {
            let mut encoder = common::encoder(size, mode, 100);
            let mut receivers = Receivers::new(mode).unwrap();
            let units = pictures.iter().enumerate().map(|(n, picture)| {
                encoder.set_speeds(speed(n)).unwrap();
                let options = EncodeOptions::default();
                let unit = encoder.encode(&picture.view(), Scene::time(n as u64), options).unwrap();
                let bytes = unit.to_bytes();
                receivers.receive(&encoder, &unit, &bytes).unwrap();
                bytes
            });
            let units: Vec<_> = units.collect();
            receivers.verdict().unwrap();
            units
        };
        // Up and down the whole scale; the same levels give the same bits.
        let level = |n: usize| Speeds::LEVELS[n * 7 % Speeds::LEVELS.len()];
        assert_eq!(coded(level), coded(level), "{mode}");
        assert_ne!(coded(level), coded(|_| Speeds::uniform(2)), "{mode}");
    }
}

#[test]
fn speeds_that_do_not_exist_change_nothing() {
    let mut encoder = common::encoder(Size::new(64, 64), ScalabilityMode::L1T3, 100);
    let wrong = Speeds { top: MAX_SPEED + 1, ..Speeds::uniform(0) };
    assert_eq!(encoder.set_speeds(wrong), Err(EncodeError::Speed(MAX_SPEED + 1)));
    assert_eq!(encoder.speeds(), Speeds::uniform(2));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    // Of several tiles and of several bands, the last of which is no whole one.
    let size = Size::new(1280, 216);
    let pictures = scene(size, 4);
    for mode in [ScalabilityMode::L3T3, ScalabilityMode::S3T3] {
        let coded = |threads| {
            let mut config = SvcConfig::new(size, mode);
            config.threads = threads;
            let mut encoder = SvcEncoder::new(config).unwrap();
            let units = pictures.iter().enumerate().map(|(n, picture)| {
                encoder
                    .encode(&picture.view(), Scene::time(n as u64), EncodeOptions::default())
                    .unwrap()
                    .to_bytes()
            });
            units.collect::<Vec<_>>()
        };
        // One thread, several, and those of rayon's global pool.
        let one = coded(1);
        for threads in [2, 5, 0] {
            assert_eq!(one, coded(threads), "{mode}, {threads} threads");
        }
    }
}

#[test]
fn with_a_quantizer_that_changes_and_key_pictures_within() {
    let size = Size::new(98, 66);
    let pictures = scene(size, 24);
    for mode in
        [ScalabilityMode::L1T3, ScalabilityMode::L3T3, ScalabilityMode::L3T2KeyShift, ScalabilityMode::S3T2]
    {
        let mut encoder = common::encoder(size, mode, 100);
        let mut receivers = Receivers::new(mode).unwrap();
        let mut chance = common::chance::Chance(7);
        for (n, picture) in pictures.iter().enumerate() {
            encoder.set_quantizer(1 + chance.below(255) as u8).unwrap();
            let options =
                EncodeOptions { refresh: common::key_if(chance.once_in(7)), ..EncodeOptions::default() };
            let unit = encoder.encode(&picture.view(), Scene::time(n as u64), options).unwrap();
            assert_eq!(unit.plan.key, n == 0 || options.refresh.is_key());
            receivers.receive(&encoder, &unit, &unit.to_bytes()).unwrap();
        }
        receivers.verdict().unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
}
