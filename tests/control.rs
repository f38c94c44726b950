//! What may change from one picture to the next: size, mode, colours, quantizer, bitrate, demand, and the time between
//! pictures.

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::chance::Chance;
use common::receivers::Receivers;
use common::watcher::{Watcher, random_targets};
use layercast::bitstream::{ColorDescription, HeaderReader, SequenceHeader, obus};
use layercast::decoder::{Decoder, DecoderConfig};
use layercast::encoder::{Bitrate, EncodeError, EncodeOptions, SvcConfig, SvcEncoder, TemporalUnit};
use layercast::picture::{Colours, Picture, PictureView};
use layercast::rtp::Describer;
use layercast::scene::Scene;
use layercast::structure::{DecodeTarget, DecodeTargets, LayerId, Refresh, ScalabilityMode};
use layercast::{Size, Time};

const SIZE: Size = Size::new(98, 66);

fn encode(encoder: &mut SvcEncoder, n: u64, size: Size) -> Result<TemporalUnit, EncodeError> {
    encoder.encode(&Scene::new(size).picture(n).view(), Scene::time(n), EncodeOptions::default())
}

/// The sequence header that a key picture begins with.
fn sequence(unit: &TemporalUnit) -> SequenceHeader {
    let obu = obus(&unit.frames[0].data).next().unwrap().unwrap();
    SequenceHeader::parse(obu.payload).unwrap()
}

#[test]
fn a_picture_of_another_size_is_a_key_picture_that_every_receiver_takes() {
    for mode in [
        ScalabilityMode::L1T1,
        ScalabilityMode::L1T3,
        ScalabilityMode::L3T3,
        ScalabilityMode::L3T3Key,
        ScalabilityMode::S3T3,
    ] {
        let mut encoder = common::encoder(SIZE, mode, 100);
        let mut receivers = Receivers::new(mode).unwrap();
        let mut next_frame = 0;
        // It is turned and turned back, grows, and shrinks.
        for (n, size) in
            [(98, 66), (66, 98), (66, 98), (98, 66), (98, 66), (98, 66), (161, 97), (16, 17), (16, 17)]
                .map(|(width, height)| Size::new(width, height))
                .into_iter()
                .enumerate()
        {
            let unit = encode(&mut encoder, n as u64, size).unwrap();
            assert_eq!(unit.plan.key, [0, 1, 3, 6, 7].contains(&n), "{mode}: picture {n}");
            assert_eq!((unit.plan.size, encoder.config().size), (size, size));
            assert_eq!(unit.plan.picture_number, n as u64);
            let numbers = unit.frames.iter().map(|frame| frame.plan.frame_number);
            assert!(numbers.clone().all(|number| number >= next_frame), "{mode}: picture {n}");
            next_frame = numbers.max().unwrap() + 1;
            let shown = receivers.receive(&encoder, &unit, &unit.to_bytes()).unwrap();
            assert!(!shown.is_empty(), "{mode}: picture {n}");
        }
        receivers.verdict().unwrap_or_else(|error| panic!("{mode}: {error}"));
    }
}

#[test]
fn what_the_encoder_refuses_leaves_it_unchanged() {
    let mut encoder = common::encoder(SIZE, ScalabilityMode::L2T1, 100);
    encode(&mut encoder, 0, SIZE).unwrap();
    let before = (encoder.config().clone(), encoder.sequence_header());
    let small = Size::new(15, 66);
    assert_eq!(encode(&mut encoder, 1, small).err(), Some(EncodeError::Size(small)));
    let rgb = Colours { matrix: 0, ..Colours::SRGB };
    assert!(matches!(encoder.set_colours(rgb), Err(EncodeError::Header(_))));
    encoder.set_mode(ScalabilityMode::L2T1).unwrap();
    encoder.set_colours(Colours::UNSPECIFIED).unwrap();
    assert_eq!((encoder.config().clone(), encoder.sequence_header()), before);
    let unit = encode(&mut encoder, 1, SIZE).unwrap();
    assert_eq!((unit.plan.key, unit.plan.picture_number), (false, 1));
}

#[test]
fn nobody_has_to_watch_while_the_size_changes() {
    let mut encoder = common::encoder(SIZE, ScalabilityMode::L3T3, 100);
    encode(&mut encoder, 0, SIZE).unwrap();
    let (size, nobody) =
        (Size::new(66, 98), EncodeOptions { wanted: Some(DecodeTargets::NONE), ..EncodeOptions::default() });
    let picture = Picture::new(size);
    let unit = encoder.encode(&picture.view(), Scene::time(1), nobody).unwrap();
    assert!(unit.frames.is_empty() && !unit.plan.key && encoder.reconstruction(0).is_none());
    let unit = encode(&mut encoder, 2, size).unwrap();
    assert!(unit.plan.key && sequence(&unit).max_frame_width == 66);
}

#[test]
fn another_mode_goes_on_with_a_key_picture() {
    let mut encoder = common::encoder(SIZE, ScalabilityMode::L3T3, 100);
    encode(&mut encoder, 0, SIZE).unwrap();
    encode(&mut encoder, 1, SIZE).unwrap();
    encoder.set_mode(ScalabilityMode::L1T3).unwrap();
    let unit = encode(&mut encoder, 2, SIZE).unwrap();
    assert_eq!((unit.plan.key, unit.plan.mode, unit.frames.len()), (true, ScalabilityMode::L1T3, 1));
    assert_eq!((unit.plan.picture_number, unit.plan.frames[0].frame_number), (2, 6));
    assert_eq!(sequence(&unit).operating_points.len(), 3);
    assert!(!encode(&mut encoder, 3, SIZE).unwrap().plan.key);
}

#[test]
fn wider_pictures_have_more_tile_columns() {
    let columns = |tile_columns_log2, sizes: &[Size]| {
        let mut config = SvcConfig::new(sizes[0], ScalabilityMode::L1T1);
        config.tile_columns_log2 = tile_columns_log2;
        let mut encoder = SvcEncoder::new(config).unwrap();
        let mut reader = HeaderReader::new();
        let mut columns = vec![];
        for (n, size) in (0..).zip(sizes) {
            let bytes = encode(&mut encoder, n, *size).unwrap().to_bytes();
            columns.extend(
                reader.temporal_unit(&bytes).map(|frame| frame.unwrap().header.tile_info.tile_cols_log2),
            );
        }
        columns
    };
    let sizes = [640, 1280, 640].map(|width| Size::new(width, 32));
    assert_eq!(columns(None, &sizes), [0, 2, 0]);
    assert_eq!(columns(Some(1), &sizes), [1, 1, 1]);
}

#[test]
fn colours_are_told_by_the_sequence_header() {
    for colours in [Colours::BT601_625, Colours::BT601_525, Colours::BT709, Colours::JPEG, Colours::SRGB] {
        let mut encoder = common::encoder(SIZE, ScalabilityMode::L2T2, 100);
        let mut decoder = Decoder::new(DecoderConfig::default()).unwrap();
        let mut told = |unit: &TemporalUnit| decoder.decode(&unit.to_bytes(), 0).unwrap()[0].colours;
        let unit = encode(&mut encoder, 0, SIZE).unwrap();
        assert_eq!(sequence(&unit).color_config.color_description, None);
        assert_eq!(told(&unit), Colours::UNSPECIFIED);
        encoder.set_colours(colours).unwrap();
        for n in 1..3 {
            let unit = encode(&mut encoder, n, SIZE).unwrap();
            assert_eq!((unit.plan.key, told(&unit)), (n == 1, colours));
            if n == 1 {
                let config = sequence(&unit).color_config;
                let description = ColorDescription {
                    color_primaries: colours.primaries,
                    transfer_characteristics: colours.transfer,
                    matrix_coefficients: colours.matrix,
                };
                let told = (config.color_description, config.color_range);
                assert_eq!(told, (Some(description), colours.full_range));
            }
        }
    }
}

/// The samples of a picture as NV12: the rows of luma, and of chroma with the samples of U and V in turn, each followed by
/// a gap.
fn to_nv12(picture: &Picture) -> ([Vec<u8>; 2], [usize; 2]) {
    let [luma, u, v] = picture.planes();
    let (mut y, mut uv) = (vec![], vec![]);
    for row in luma.rows() {
        y.extend_from_slice(row);
        y.extend([7; 5]);
    }
    for (u, v) in u.rows().zip(v.rows()) {
        uv.extend(u.iter().zip(v).flat_map(|(u, v)| [*u, *v]));
        uv.extend([7; 3]);
    }
    ([y, uv], [luma.width() + 5, 2 * u.width() + 3])
}

#[test]
fn nv12_is_coded_as_i420_is() {
    for (mode, size) in [
        (ScalabilityMode::L1T1, SIZE),
        (ScalabilityMode::L3T3, SIZE),
        (ScalabilityMode::L3T3, Size::new(97, 65)),
        (ScalabilityMode::S2T1, Size::new(99, 64)),
    ] {
        let lowest = DecodeTargets::only(&[LayerId::new(0, 2)]);
        let scene = Scene::new(size);
        let (mut planar, mut interleaved) =
            (common::encoder(size, mode, 60), common::encoder(size, mode, 60));
        for n in 0..6 {
            let wanted = (n > 3).then_some(lowest.nearest(mode.structure()));
            let options = EncodeOptions { wanted, ..EncodeOptions::default() };
            let picture = scene.picture(n);
            let expected = planar.encode(&picture.view(), Scene::time(n), options).unwrap();
            let ([y, uv], strides) = to_nv12(&picture);
            let view = PictureView::nv12(size, [&y, &uv], strides).unwrap();
            assert!(view.to_picture() == picture);
            let unit = interleaved.encode(&view, Scene::time(n), options).unwrap();
            assert!(!unit.frames.is_empty() && unit.to_bytes() == expected.to_bytes(), "{mode}: picture {n}");
        }
    }
}

/// A stream whose sender changes something before every few pictures.
struct Script {
    chance: Chance,
    encoder: SvcEncoder,
    describer: Describer,
    scenes: HashMap<Size, Scene>,
    size: Size,
    wanted: DecodeTargets,
    refresh: Refresh,
    now: Time,
    number: u64,
    watchers: Vec<(Watcher, Watched)>,
    counts: Counts,
}

#[derive(Default)]
struct Watched {
    /// The picture since which the target is wanted.
    since: u64,
    /// The last picture that was shown.
    shown: u64,
}

#[derive(Debug, Default)]
struct Counts {
    sizes: u64,
    modes: u64,
    key: u64,
    watched: u64,
}

impl Script {
    fn new(seed: u64) -> Self {
        let mode = ScalabilityMode::L3T3;
        let all = mode.structure().decode_targets();
        Self {
            chance: Chance(seed),
            encoder: common::encoder(SIZE, mode, 120),
            describer: Describer::new(),
            scenes: HashMap::new(),
            size: SIZE,
            wanted: DecodeTargets::all(mode.structure()),
            refresh: Refresh::NONE,
            now: Time::ZERO,
            number: 0,
            watchers: all.map(|target| (Watcher::new(target), Watched::default())).collect(),
            counts: Counts::default(),
        }
    }

    fn change(&mut self) {
        let structure = self.encoder.config().mode.structure();
        match self.chance.below(20) {
            0..6 => self.wanted = random_targets(structure, &mut self.chance),
            6..8 => self.encoder.set_quantizer(1 + self.chance.below(255) as u8).unwrap(),
            8 => self.encoder.set_bitrate(Bitrate::Total(20_000 << self.chance.below(8))).unwrap(),
            9..11 => {
                let side =
                    |least, chance: &mut Chance| least + 16 * chance.below(4) as u32 + chance.below(2) as u32;
                self.size = Size::new(side(64, &mut self.chance), side(48, &mut self.chance));
                self.counts.sizes += 1;
            }
            11..13 => {
                let modes: Vec<_> = ScalabilityMode::all().collect();
                let mode = modes[self.chance.below(modes.len() as u64) as usize];
                self.encoder.set_mode(mode).unwrap();
                self.wanted = self.wanted.nearest(mode.structure());
                self.counts.modes += 1;
            }
            13..16 => self.refresh = Refresh::layers((0..3).filter(|_| self.chance.once_in(2))),
            16 => self.refresh = Refresh::KEY,
            17..19 => self.now += Duration::from_micros(self.chance.below(2_000_000)),
            _ => {
                let colours = [Colours::UNSPECIFIED, Colours::BT709, Colours::SRGB, Colours::JPEG];
                self.encoder.set_colours(colours[self.chance.below(4) as usize]).unwrap();
            }
        }
    }

    fn picture(&mut self) {
        let mode = self.encoder.config().mode;
        let structure = mode.structure();
        let scene = self.scenes.entry(self.size).or_insert_with(|| Scene::new(self.size));
        let options = EncodeOptions { refresh: self.refresh, wanted: Some(self.wanted) };
        self.now += Duration::from_micros(1 + self.chance.below(66_666));
        let unit = self.encoder.encode(&scene.picture(self.number).view(), self.now, options).unwrap();
        self.refresh = Refresh::NONE;
        assert_eq!(
            (unit.plan.picture_number, unit.plan.mode, unit.plan.size),
            (self.number, mode, self.size)
        );
        let descriptors = self.describer.describe(&unit.plan).unwrap();
        assert_eq!(descriptors.len(), unit.frames.len());
        self.counts.key += u64::from(unit.plan.key);
        for (watcher, watched) in &mut self.watchers {
            // A target that is wanted shows every picture that it has, from the next of temporal layer 0 on.
            let shows = watcher.receive(&self.encoder, &unit);
            let is_wanted = self.wanted.contains(watcher.target());
            if shows {
                watched.shown = self.number;
                self.counts.watched += u64::from(is_wanted);
            }
            if !is_wanted {
                watched.since = self.number + 1;
                continue;
            }
            let waits = self.number - watched.since.max(watched.shown);
            let target: DecodeTarget = watcher.target();
            assert!(
                waits <= 2 * structure.cycle.len() as u64,
                "{mode}: {target} stands still at picture {}",
                self.number
            );
        }
        self.number += 1;
    }
}

/// Five hundred changes. All that is decoded is what the encoder reconstructed: the watchers compare every sample.
fn changes(seed: u64) {
    let mut script = Script::new(seed);
    for _ in 0..500 {
        script.change();
        for _ in 0..1 + script.chance.below(3) {
            script.picture();
        }
    }
    let counts = script.counts;
    assert!(counts.sizes > 30 && counts.modes > 30 && counts.watched > 500, "{counts:?}");
}

#[test]
fn five_hundred_changes() {
    changes(1);
}

#[test]
fn five_hundred_other_changes() {
    changes(2);
}

#[test]
fn five_hundred_changes_more() {
    changes(3);
}

#[test]
fn the_last_five_hundred_changes() {
    changes(4);
}

#[test]
fn targets_that_a_mode_lacks_become_the_nearest() {
    let l2t2 = ScalabilityMode::L2T2.structure();
    let wanted = DecodeTargets::only(&[LayerId::new(2, 2), LayerId::new(0, 2), LayerId::new(1, 0)]);
    let nearest = DecodeTargets::only(&[LayerId::new(1, 1), LayerId::new(0, 1), LayerId::new(1, 0)]);
    assert_eq!(wanted.nearest(l2t2), nearest);
    assert_eq!(DecodeTargets::NONE.nearest(l2t2), DecodeTargets::NONE);
}
