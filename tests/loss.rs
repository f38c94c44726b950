//! A decoder that misses temporal units, or gets damaged ones, goes on at the next key frame.

mod common;

use common::chance::Chance;
use layercast::Size;
use layercast::decoder::{DecodeError, Decoder, DecoderConfig};
use layercast::encoder::{EncodeOptions, SvcEncoder};
use layercast::picture::Picture;
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;

const SIZE: Size = Size::new(98, 66);
/// Pictures from one key picture to the next.
const KEY_INTERVAL: u64 = 10;
const PICTURES: u64 = 60;

/// A temporal unit and what a decoder shows of it.
struct Coded {
    key: bool,
    bytes: Vec<u8>,
    picture: Picture,
}

fn clip(mode: ScalabilityMode) -> Vec<Coded> {
    let scene = Scene::new(SIZE);
    let mut encoder = common::encoder(SIZE, mode, 100);
    (0..PICTURES).map(|n| code(&mut encoder, &scene, n)).collect()
}

fn code(encoder: &mut SvcEncoder, scene: &Scene, n: u64) -> Coded {
    let options =
        EncodeOptions { refresh: common::key_if(n.is_multiple_of(KEY_INTERVAL)), ..EncodeOptions::default() };
    let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
    let top = encoder.config().mode.structure().spatial_layers - 1;
    Coded {
        key: unit.plan.key,
        bytes: unit.to_bytes().to_vec(),
        picture: encoder.reconstruction(top).unwrap(),
    }
}

/// The decoder's picture, which is the coder's while all is well.
fn expect(decoder: &mut Decoder, coded: &Coded) {
    let shown = decoder.decode(&coded.bytes, 0).unwrap();
    assert!(shown.len() == 1 && shown[0].picture == coded.picture);
}

#[test]
fn a_lost_temporal_unit_is_made_good_by_the_next_key_frame() {
    for mode in [ScalabilityMode::L1T1, ScalabilityMode::L1T3, ScalabilityMode::L3T3] {
        let mut decoder = Decoder::new(DecoderConfig::default()).unwrap();
        let mut chance = Chance(3);
        let (mut waits, mut lost, mut refused) = (false, 0, 0);
        for coded in &clip(mode) {
            if chance.once_in(8) {
                // The transport knows of the loss.
                decoder.reset();
                (waits, lost) = (true, lost + 1);
                continue;
            }
            waits &= !coded.key;
            if waits {
                assert_eq!(decoder.decode(&coded.bytes, 0), Err(DecodeError::NeedKeyFrame));
                refused += 1;
            } else {
                expect(&mut decoder, coded);
            }
        }
        assert!(lost > 3 && refused > 3, "{mode}: {lost} lost, {refused} refused");
    }
}

#[test]
fn a_loss_that_nobody_knows_of_is_over_at_the_next_key_frame() {
    let clip = clip(ScalabilityMode::L3T3);
    for lost in 0..KEY_INTERVAL as usize {
        let mut decoder = Decoder::new(DecoderConfig::default()).unwrap();
        for (n, coded) in clip.iter().enumerate() {
            if n < lost || n >= KEY_INTERVAL as usize {
                expect(&mut decoder, coded);
            } else if n > lost {
                // There may be an error or a wrong picture of the right size.
                if let Ok(shown) = decoder.decode(&coded.bytes, 0) {
                    assert_eq!(shown[0].picture.size(), SIZE);
                }
            }
        }
    }
}

#[test]
fn damage_does_no_harm_beyond_the_next_key_frame() {
    for mode in [ScalabilityMode::L1T2, ScalabilityMode::L3T3, ScalabilityMode::S3T3] {
        let clip = clip(mode);
        for seed in 0..12 {
            let mut decoder = Decoder::new(DecoderConfig::default()).unwrap();
            let mut chance = Chance(seed);
            let (mut intact, mut errors, mut right) = (true, 0, 0);
            for coded in &clip {
                if chance.once_in(10) {
                    errors += usize::from(decoder.decode(&damaged(&coded.bytes, &mut chance), 0).is_err());
                    intact = false;
                    continue;
                }
                intact |= coded.key;
                if intact {
                    expect(&mut decoder, coded);
                    right += 1;
                } else {
                    let needs_key_frame = decoder.needs_key_frame();
                    let result = decoder.decode(&coded.bytes, 0);
                    assert!(!needs_key_frame || result == Err(DecodeError::NeedKeyFrame));
                }
            }
            assert!(right > 10 && right < clip.len(), "{mode}: {right} right, {errors} errors");
        }
    }
}

/// Changes some bytes, and cuts off the end now and then.
fn damaged(bytes: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 + chance.below(255) as u8;
    }
    if chance.once_in(3) {
        bytes.truncate(1 + chance.below(bytes.len() as u64) as usize);
    }
    bytes
}
