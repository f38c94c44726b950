//! A sender that codes in each picture only the layers that somebody watches at that moment.

mod common;

use common::chance::Chance;
use common::watcher::{Watcher, random_targets};
use layercast::Size;
use layercast::encoder::EncodeOptions;
use layercast::scene::Scene;
use layercast::structure::{DecodeTargets, LayerId, ScalabilityMode};

const SIZE: Size = Size::new(98, 66);

/// Codes 150 pictures for wanted sets that change now and then.
fn check(mode: ScalabilityMode) {
    let structure = mode.structure();
    let scene = Scene::new(SIZE);
    let mut chance = Chance(mode as u64);
    let mut encoder = common::encoder(SIZE, mode, 120);
    let mut receivers: Vec<Watcher> = structure.decode_targets().map(Watcher::new).collect();
    let mut wanted = DecodeTargets::all(structure);
    // Since when each decode target is wanted, and when it was last shown.
    let mut since = vec![0; receivers.len()];
    let mut shown = vec![0; receivers.len()];
    // Two periods: one until the next frame of temporal layer 0, one through all temporal layers.
    let patience = 2 * structure.cycle.len() as u64;
    let (mut left_out, mut watched) = (0, 0);
    for n in 0..150 {
        if chance.once_in(12) {
            wanted = random_targets(structure, &mut chance);
        }
        let options = EncodeOptions { wanted: Some(wanted), ..EncodeOptions::default() };
        let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
        for frame in &unit.frames {
            let needed_by = frame.plan.needed_by;
            assert!(!needed_by.intersection(wanted).is_empty(), "{mode}: nobody wants {}", frame.plan.layer);
        }
        left_out += usize::from(structure.spatial_layers) - unit.frames.len();
        for (i, receiver) in receivers.iter_mut().enumerate() {
            if receiver.receive(&encoder, &unit) {
                shown[i] = n;
                watched += u64::from(wanted.contains(receiver.target()));
            }
            if !wanted.contains(receiver.target()) {
                since[i] = n + 1;
                continue;
            }
            let waits = n - since[i].max(shown[i]);
            assert!(waits <= patience, "{mode}: {} stands still at picture {n}", receiver.target());
        }
    }
    assert!(left_out > 20 && watched > 40, "{mode}: {left_out} frames left out, {watched} pictures watched");
}

#[test]
fn layered_modes() {
    for mode in [ScalabilityMode::L1T3, ScalabilityMode::L2T2, ScalabilityMode::L3T1, ScalabilityMode::L3T3] {
        check(mode);
    }
}

#[test]
fn key_modes() {
    for mode in [ScalabilityMode::L2T3Key, ScalabilityMode::L3T3Key, ScalabilityMode::L3T3KeyShift] {
        check(mode);
    }
}

#[test]
fn simulcast_modes() {
    for mode in [ScalabilityMode::S2T1, ScalabilityMode::S3T3] {
        check(mode);
    }
}

#[test]
fn a_spatial_layer_comes_back_without_a_key_frame() {
    for mode in [ScalabilityMode::L2T1, ScalabilityMode::L3T1, ScalabilityMode::L2T3, ScalabilityMode::L3T3] {
        let structure = mode.structure();
        let scene = Scene::new(SIZE);
        let mut encoder = common::encoder(SIZE, mode, 100);
        let highest = LayerId::new(structure.spatial_layers - 1, structure.temporal_layers - 1);
        let lowest = LayerId::new(0, structure.temporal_layers - 1);
        let mut receiver = Watcher::new(highest);
        let mut shows = vec![];
        for n in 0..24 {
            let wanted = DecodeTargets::only(&[lowest, if (5..12).contains(&n) { lowest } else { highest }]);
            let options = EncodeOptions { wanted: Some(wanted), ..EncodeOptions::default() };
            let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
            assert_eq!(unit.plan.key, n == 0, "{mode}: picture {n}");
            shows.push(receiver.receive(&encoder, &unit));
        }
        assert!(shows[..5].iter().all(|&shows| shows), "{mode}");
        assert!(shows[5..12].iter().all(|&shows| !shows), "{mode}: a layer that nobody wants");
        assert!(shows[12 + structure.cycle.len()..].iter().all(|&shows| shows), "{mode}: {shows:?}");
    }
}

/// What is below comes back without a key picture for those who watch the highest layer.
#[test]
fn a_lone_layer_is_coded_alone_until_another_is_wanted() {
    for mode in [ScalabilityMode::L2T1, ScalabilityMode::L3T1, ScalabilityMode::L2T3, ScalabilityMode::L3T3] {
        let structure = mode.structure();
        let scene = Scene::new(SIZE);
        let mut encoder = common::encoder(SIZE, mode, 100);
        let highest = LayerId::new(structure.spatial_layers - 1, structure.temporal_layers - 1);
        let lowest = LayerId::new(0, 0);
        let mut watchers = [highest, lowest].map(Watcher::new);
        let mut shows = [0; 2];
        for n in 0..24 {
            // A frame of temporal layer 0 is due at picture 8.
            let both = (8..16).contains(&n);
            let wanted = DecodeTargets::only(&[highest, if both { lowest } else { highest }]);
            let options = EncodeOptions { wanted: Some(wanted), ..EncodeOptions::default() };
            let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
            assert_eq!(unit.plan.key, n == 0, "{mode}: picture {n}");
            let layers = if n == 0 || both { usize::from(structure.spatial_layers) } else { 1 };
            assert_eq!(unit.frames.len(), layers, "{mode}: picture {n}");
            for (watcher, shows) in watchers.iter_mut().zip(&mut shows) {
                *shows += u64::from(watcher.receive(&encoder, &unit));
            }
        }
        // The highest layer shows every picture, the lowest those of temporal layer 0 that it was coded for.
        let cycle = structure.cycle.len() as u64;
        assert_eq!(shows, [24, 1 + 8 / cycle], "{mode}");
    }
}

#[test]
fn nothing_is_coded_for_nobody() {
    let scene = Scene::new(SIZE);
    let mut encoder = common::encoder(SIZE, ScalabilityMode::L3T3, 100);
    let nobody = EncodeOptions { wanted: Some(DecodeTargets::NONE), ..EncodeOptions::default() };
    let unit = encoder.encode(&scene.picture(0).view(), Scene::time(0), nobody).unwrap();
    assert!(unit.frames.is_empty() && unit.to_bytes().is_empty() && !unit.plan.key);
    let unit = encoder.encode(&scene.picture(1).view(), Scene::time(1), EncodeOptions::default()).unwrap();
    assert!(unit.plan.key && unit.frames.len() == 3);
}
