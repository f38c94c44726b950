use std::time::Duration;

use super::*;
use crate::picture::Size;
use crate::structure::{DecodeTarget, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode, Structure};

const SIZE: Size = Size::new(640, 360);

/// A coder whose frames take bits by a formula: what a real one does, without its pictures.
struct Coder {
    planner: Planner,
    rate: BitrateController,
    structure: &'static Structure,
    now: Time,
    noise: u32,
    /// How hard the pictures are to code.
    complexity: f64,
    /// The step below which four times as many bits are coded: the pictures have noise.
    noise_step: f64,
    /// Of each picture: when, and for each decode target the bits that it took and those it was to take.
    taken: Vec<(Time, Vec<(f64, f64)>)>,
    lowest_buffer: f64,
    key_milliseconds: f64,
    left_out: Vec<u8>,
}

impl Coder {
    fn new(mode: ScalabilityMode, config: RateConfig) -> Self {
        Self {
            planner: Planner::new(mode, SIZE),
            rate: BitrateController::new(config, mode, SIZE),
            structure: mode.structure(),
            now: Time::ZERO,
            noise: 1,
            complexity: 1.0,
            noise_step: 0.0,
            taken: Vec::new(),
            lowest_buffer: f64::MAX,
            key_milliseconds: 0.0,
            left_out: Vec::new(),
        }
    }

    /// A factor around 1.
    fn noise(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.7 + 0.6 * f64::from(self.noise >> 8) / f64::from(1 << 24)
    }

    fn picture(&mut self, wanted: DecodeTargets, refresh: Refresh) {
        let Some(highest) = self.rate.admits(self.now, wanted) else {
            self.planner.skip(PictureRequest { refresh, wanted });
            self.left_out.push(0);
            self.note(&[]);
            return;
        };
        let limited = wanted.iter().filter(|target| target.temporal_id <= highest).collect();
        let plan = self.planner.next(PictureRequest { refresh, wanted: limited });
        if plan.frames.is_empty() {
            self.left_out.push(highest + 1);
        }
        let budgets = self.rate.plan(self.now, &plan, |frame| {
            let novelty = if frame.temporal_ref.is_some() { 2.0 } else { 3.0 };
            Source { novelty, coarsest: None }
        });
        let mut frames = Vec::new();
        for (frame, budget) in plan.frames.iter().zip(budgets) {
            let samples = self.structure.layer_size(SIZE, frame.layer.spatial_id).samples() as f64;
            let cost = if frame.temporal_ref.is_some() { 2.0 } else { 20.0 } * self.complexity * self.noise();
            let bits = |q: Quantizer| {
                let step = quantizer::step(q.qindex);
                let cost = if step < self.noise_step { 4.0 * cost } else { cost };
                (200.0 + samples * cost * step.powf(-1.4)) as u64
            };
            let mut budget = budget;
            let (tried_at, tried) = (budget.q.qindex, bits(budget.q));
            while budget.again(bits(budget.q)) {}
            frames.push(CodedBits { qindex: budget.q.qindex, bits: bits(budget.q), tried_at, tried });
        }
        self.rate.coded(&plan, frames.iter().copied());
        let bits: Vec<_> =
            plan.frames.iter().zip(&frames).map(|(plan, coded)| (plan.clone(), coded.bits)).collect();
        self.note(&bits);
        if plan.key {
            let sum: u64 = frames.iter().map(|frame| frame.bits).sum();
            let milliseconds = 1000.0 * sum as f64 / self.rate.bitrates().total() as f64;
            self.key_milliseconds = self.key_milliseconds.max(milliseconds);
        }
    }

    /// The budgets of a picture of a screen, whose frames show nothing new but in temporal layers from `moves` on.
    fn screen(&mut self, moves: u8) -> Vec<(LayerId, FrameBudget)> {
        let wanted = DecodeTargets::all(self.structure);
        let plan = self.planner.next(PictureRequest { refresh: Refresh::NONE, wanted });
        let source = |frame: &FramePlan| Source {
            novelty: if frame.layer.temporal_id < moves { 0.0 } else { 5.0 },
            coarsest: frame.temporal_ref.map(|_| 200),
        };
        let budgets = self.rate.plan(self.now, &plan, source);
        self.now += Duration::from_secs(1) / 30;
        let nothing = |budget: &FrameBudget| {
            let qindex = budget.q.qindex;
            CodedBits { qindex, bits: 150, tried_at: qindex, tried: 150 }
        };
        self.rate.coded(&plan, budgets.iter().map(nothing));
        plan.frames.iter().map(|frame| frame.layer).zip(budgets).collect()
    }

    fn note(&mut self, frames: &[(FramePlan, u64)]) {
        let row = self.structure.decode_targets().map(|target| {
            let bits =
                frames.iter().filter(|(frame, _)| frame.needed_by.contains(target)).map(|(_, bits)| bits);
            self.lowest_buffer =
                self.rate.buffer(target).map_or(self.lowest_buffer, |l| l.min(self.lowest_buffer));
            (bits.sum::<u64>() as f64, self.rate.bitrates().of_target(self.structure, target) as f64 / 30.0)
        });
        let row = row.collect();
        self.taken.push((self.now, row));
        self.now += Duration::from_secs(1) / 30;
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..30 * seconds {
            self.picture(DecodeTargets::all(self.structure), Refresh::NONE);
        }
    }

    /// What each decode target took of its bitrate between two times in seconds.
    fn shares(&self, from: f64, to: f64) -> Vec<f64> {
        let within = |time: &Time| (from..to).contains(&time.since_start().as_secs_f64());
        let targets = self.structure.decode_targets().count();
        let of = |target: usize| {
            let rows = self.taken.iter().filter(|(time, _)| within(time));
            let (bits, budget) = rows
                .fold((0.0, 0.0), |(bits, budget), (_, row)| (bits + row[target].0, budget + row[target].1));
            bits / budget
        };
        (0..targets).map(of).collect()
    }

    fn assert_kept(&self, from: f64, to: f64, by: f64) {
        for share in self.shares(from, to) {
            assert!((1.0 - by..=1.0 + by).contains(&share), "{from} to {to} s: {:?}", self.shares(from, to));
        }
    }
}

fn layers(mode: ScalabilityMode, total: u64) -> LayerBitrates {
    let structure = mode.structure();
    let mut bitrates = LayerBitrates::default();
    let weight =
        |layer: LayerId| [1, 2, 4][usize::from(layer.spatial_id)] * [4, 2, 3][usize::from(layer.temporal_id)];
    let sum: u64 = structure.decode_targets().map(weight).sum();
    for layer in structure.decode_targets() {
        bitrates.set(layer, total * weight(layer) / sum);
    }
    bitrates
}

#[test]
fn every_decode_target_keeps_its_bitrate() {
    use ScalabilityMode::*;
    for mode in [L1T1, L1T3, L3T3, L3T3Key, S3T3, L2T2] {
        for bitrate in [Bitrate::Total(700_000), Bitrate::Layers(layers(mode, 700_000))] {
            let mut coder = Coder::new(mode, RateConfig::new(bitrate));
            coder.run(20);
            coder.assert_kept(0.0, 20.0, 0.05);
            for start in 1..=15 {
                coder.assert_kept(f64::from(start), f64::from(start) + 5.0, 0.1);
            }
            assert!(coder.lowest_buffer >= 0.0, "{mode} {bitrate:?}: {}", coder.lowest_buffer);
            assert!(coder.key_milliseconds <= 400.0, "{mode} {bitrate:?}: {}", coder.key_milliseconds);
        }
    }
}

#[test]
fn a_new_bitrate_is_kept_within_a_second() {
    let mut coder = Coder::new(ScalabilityMode::L3T3, RateConfig::new(Bitrate::Total(400_000)));
    coder.run(5);
    for (bitrate, start) in [(1_600_000, 5.0), (400_000, 10.0)] {
        coder.rate.set_config(RateConfig::new(Bitrate::Total(bitrate)));
        coder.run(5);
        coder.assert_kept(start + 1.0, start + 5.0, 0.1);
        let first = *coder.shares(start, start + 1.0).last().unwrap();
        assert!((0.75..1.25).contains(&first), "{first}");
    }
}

#[test]
fn harder_pictures_take_no_more() {
    let mut coder = Coder::new(ScalabilityMode::L1T3, RateConfig::new(Bitrate::Total(500_000)));
    coder.run(5);
    coder.complexity = 6.0;
    coder.run(10);
    assert!(coder.lowest_buffer >= 0.0, "{}", coder.lowest_buffer);
    coder.assert_kept(6.0, 11.0, 0.1);
    coder.assert_kept(10.0, 15.0, 0.1);
}

#[test]
fn layers_that_nobody_wants_leave_their_bits_to_the_others() {
    let mut coder = Coder::new(ScalabilityMode::L3T3, RateConfig::new(Bitrate::Total(120_000)));
    let wanted = DecodeTargets::only(&[LayerId::new(1, 2)]);
    for _ in 0..300 {
        coder.picture(wanted, Refresh::NONE);
    }
    let bitrates = *coder.rate.bitrates();
    assert_eq!(
        bitrates.of_target(coder.structure, LayerId::new(2, 2)),
        bitrates.of_target(coder.structure, LayerId::new(1, 2))
    );
    assert!((118_000..=120_000).contains(&bitrates.total()), "{}", bitrates.total());
    let share = coder.shares(1.0, 10.0)[5];
    assert!((0.95..1.05).contains(&share), "{share}");
}

#[test]
fn a_decode_target_takes_no_more_than_its_receivers_can() {
    let limits =
        vec![(LayerId::new(0, 2), 60_000), (LayerId::new(1, 1), 200_000), (LayerId::new(1, 2), 260_000)];
    let config = RateConfig { limits, ..RateConfig::new(Bitrate::Total(1_500_000)) };
    let mut coder = Coder::new(ScalabilityMode::L3T3, config);
    coder.run(10);
    let of = |target: DecodeTarget| coder.rate.bitrates().of_target(coder.structure, target);
    assert!(of(LayerId::new(0, 2)) <= 60_000 && of(LayerId::new(1, 2)) <= 260_000);
    assert!(of(LayerId::new(2, 2)) > 1_490_000, "the highest layer has what the others leave");
    coder.assert_kept(1.0, 10.0, 0.1);
}

#[test]
fn pictures_are_left_out_highest_temporal_layer_first_and_only_if_that_is_allowed() {
    for (drop_pictures, complexity) in [(false, 9.0), (true, 9.0), (true, 50.0), (true, 0.5)] {
        let config = RateConfig { drop_pictures, ..RateConfig::new(Bitrate::Total(60_000)) };
        let mut coder = Coder::new(ScalabilityMode::L1T3, config);
        coder.complexity = complexity;
        coder.run(10);
        match (drop_pictures, complexity) {
            (true, 9.0) => {
                assert_eq!(coder.left_out[0], 2, "{:?}", coder.left_out);
                let whole = coder.left_out.iter().filter(|&&layer| layer == 0).count();
                assert!(whole * 10 < coder.left_out.len(), "{:?}", coder.left_out);
                let share = coder.shares(2.0, 10.0)[2];
                assert!((0.75..1.1).contains(&share), "{share}");
            }
            (true, 50.0) => assert!(coder.left_out.contains(&0), "whole pictures are left out too"),
            _ => assert!(coder.left_out.is_empty(), "{drop_pictures} {complexity}: {:?}", coder.left_out),
        }
    }
}

#[test]
fn a_receiver_who_can_take_little_costs_the_others_no_pictures() {
    // Less than the layer takes at the largest quantizer.
    let limits = vec![(LayerId::new(0, 2), 5_000), (LayerId::new(1, 2), 1_000_000)];
    let config = RateConfig { limits, drop_pictures: true, ..RateConfig::new(Bitrate::Total(1_000_000)) };
    let mut coder = Coder::new(ScalabilityMode::L2T3, config);
    coder.complexity = 9.0;
    let wanted = DecodeTargets::only(&[LayerId::new(0, 2), LayerId::new(1, 2)]);
    (0..300).for_each(|_| coder.picture(wanted, Refresh::NONE));
    assert!(coder.rate.buffer(LayerId::new(0, 2)).is_some_and(|level| level < 0.0));
    assert!(coder.left_out.is_empty(), "{:?}", coder.left_out);
    // Alone it is the one whose bitrate is kept.
    (0..60).for_each(|_| coder.picture(DecodeTargets::only(&[LayerId::new(0, 2)]), Refresh::NONE));
    assert!(!coder.left_out.is_empty());
}

#[test]
fn pictures_may_come_at_any_time() {
    let mut coder = Coder::new(ScalabilityMode::L1T2, RateConfig::new(Bitrate::Total(400_000)));
    coder.run(3);
    // Every other picture is missing, then there is a pause of ten seconds, then two pictures come at once.
    let start = coder.now;
    let mut bits = 0.0;
    for n in 0..150 {
        coder.now += Duration::from_secs(1) / 30;
        coder.picture(DecodeTargets::all(coder.structure), Refresh::NONE);
        bits += if n >= 30 { coder.taken.last().unwrap().1[1].0 } else { 0.0 };
    }
    let seconds = (coder.now - start).as_secs_f64() * 0.8;
    assert!((0.9..1.1).contains(&(bits / seconds / 400_000.0)), "{}", bits / seconds);
    coder.now += Duration::from_secs(10);
    let before = coder.now;
    coder.run(1);
    let rows = coder.taken.iter().filter(|(time, _)| *time >= before);
    let after: f64 = rows.map(|(_, row)| row[1].0).sum();
    assert!(after < 2.0 * 400_000.0, "a pause saves no bits for later: {after}");
    coder.now = coder.taken.last().unwrap().0;
    coder.picture(DecodeTargets::all(coder.structure), Refresh::NONE);
    assert!(coder.lowest_buffer >= 0.0);
}

#[test]
fn a_key_picture_in_the_middle_fits_too() {
    let mut coder = Coder::new(ScalabilityMode::L3T3, RateConfig::new(Bitrate::Total(800_000)));
    for second in 0..12 {
        let refresh = if second % 4 == 3 { Refresh::KEY } else { Refresh::NONE };
        coder.picture(DecodeTargets::all(coder.structure), refresh);
        coder.run(1);
    }
    assert!(coder.key_milliseconds <= 400.0, "{}", coder.key_milliseconds);
    assert!(coder.lowest_buffer >= 0.0, "{}", coder.lowest_buffer);
}

#[test]
fn a_bitrate_may_be_kept_from_the_middle_of_a_stream_on() {
    let mut coder = Coder::new(ScalabilityMode::L3T3, RateConfig::new(Bitrate::Total(800_000)));
    for _ in 0..6 {
        let wanted = DecodeTargets::all(coder.structure);
        coder.planner.next(PictureRequest { refresh: Refresh::NONE, wanted });
    }
    coder.run(6);
    coder.assert_kept(1.0, 6.0, 0.1);
    assert!(coder.lowest_buffer >= 0.0, "{}", coder.lowest_buffer);
}

#[test]
fn the_bits_of_a_screen_that_stands_still_go_to_frames_that_others_refer_to() {
    let total = 1_000_000;
    let mut coder = Coder::new(ScalabilityMode::L1T3, RateConfig::new(Bitrate::Total(total)));
    coder.run(2);
    let lowest = |coder: &Coder| coder.rate.bitrates().get(LayerId::new(0, 0));
    let before = lowest(&coder);
    assert!(before < total * 7 / 10, "{before}");
    let mut refined = Vec::new();
    for _ in 0..24 {
        for (layer, budget) in coder.screen(3) {
            assert!(lowest(&coder) > total * 9 / 10);
            if layer.temporal_id > 0 {
                assert_eq!(budget.refine, Some(0));
                continue;
            }
            assert!(quantizer::step(budget.q.qindex) * 3.5 < quantizer::step(200));
            refined.extend(budget.refine);
        }
    }
    // Half of the buffer of 600 ms stays for what moves next.
    assert!(refined.is_sorted() && refined[0] < refined[5] && refined[5] <= total * 3 / 10, "{refined:?}");
    // A higher layer that shows something new gets its own bits back.
    let moving = (0..4).map(|_| (coder.screen(1), lowest(&coder))).find(|(f, _)| f[0].0.temporal_id == 2);
    let (frames, lowest) = moving.unwrap();
    assert!(lowest < total * 7 / 10 && frames[0].1.refine == Some(0), "{lowest}");
}

#[test]
fn noise_that_is_coded_from_some_quantizer_on_does_not_keep_a_bitrate_from_being_used() {
    let kbps = 150;
    let mut coder = Coder::new(ScalabilityMode::L1T1, RateConfig::new(Bitrate::Total(1000 * kbps)));
    // At this step pictures take half of the bitrate.
    let samples = SIZE.samples() as f64;
    coder.noise_step = (2.0 * samples / (0.5 * 1000.0 * kbps as f64 / 30.0 - 200.0)).powf(1.0 / 1.4);
    coder.run(15);
    let share = coder.shares(5.0, 15.0)[0];
    assert!((0.9..1.1).contains(&share), "{share}");
}
