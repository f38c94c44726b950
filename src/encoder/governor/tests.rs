//! A machine under load, and the governor that it has.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::structure::{PictureRequest, Planner, Refresh};

const CAMERA: Duration = Duration::from_nanos(1_000_000_000 / 30);
const SIZE: Size = Size { width: 640, height: 360 };

/// A machine that codes pictures one after the other, each after it was captured, and the governor that it has.
struct Machine {
    governor: EffortGovernor,
    planner: Planner,
    chance: oorandom::Rand32,
    wanted: Option<DecodeTargets>,
    /// Seconds that an idle machine needs for a base frame of all layers at speed 2.
    seconds: f64,
    /// How much longer a key picture takes than a base one.
    key: f64,
    pictures: u32,
    due: Time,
    /// When it is done with the last picture.
    done: Time,
    /// Until when a picture has delayed others that was coded as fast as can be.
    excused: Time,
    /// What happened: time, step, and whether the picture before was late.
    log: Vec<(Time, Step, bool)>,
}

impl Machine {
    fn new(mode: ScalabilityMode, seconds: f64) -> Self {
        Self {
            governor: EffortGovernor::new(2, EffortGovernor::SHARE),
            planner: Planner::new(mode, SIZE),
            chance: oorandom::Rand32::new(14),
            wanted: None,
            seconds,
            key: 3.0,
            pictures: 0,
            due: Time::ZERO,
            done: Time::ZERO,
            excused: Time::ZERO,
            log: Vec::new(),
        }
    }

    /// Codes the next picture of the camera under this load; `delay` is spent waiting in between.
    fn picture(&mut self, load: f64, delay: Duration, interval: Duration) {
        let structure = self.planner.structure();
        let targets = self.governor.decide(self.due, self.wanted);
        let wanted = targets.or(self.wanted).unwrap_or_else(|| DecodeTargets::all(structure));
        // A receiver asks for a key picture every 10 s.
        let refresh = if self.pictures % 300 == 299 { Refresh::KEY } else { Refresh::NONE };
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let whole = structure.decode_targets().map(|target| target.spatial_id).max().unwrap();
        let whole: f64 = (0..=whole).map(|s| luma_samples(structure.layer_size(SIZE, s))).sum();
        let mut work = 0.0;
        for frame in &plan.frames {
            let class = Class::of(&plan, frame);
            // What the classes take is another on this machine than the governor believes at first.
            let weight = [self.key, 1.0, 0.6, 0.45][class as usize];
            let speed = self.governor.speeds().of_class(class);
            let samples = luma_samples(structure.layer_size(SIZE, frame.layer.spatial_id)) / whole;
            work += samples * weight * TIMES[usize::from(speed)][class as usize];
        }
        let noise = 0.9 + 0.2 * f64::from(self.chance.rand_float());
        let took = Duration::from_secs_f64(self.seconds * load * work * noise) + delay;
        let late = !plan.frames.is_empty() && self.done > self.due && self.excused < self.done;
        self.log.push((self.due, self.governor.step, late));
        if !plan.frames.is_empty() {
            // Whoever waits for one that is excused is, too.
            let behind = self.done > self.due && self.excused == self.done;
            self.done = self.done.max(self.due) + took;
            let fastest = self.governor.slowest(0, |_| false);
            let as_fast_as_can_be =
                plan.key && self.governor.speeds().key == MAX_SPEED || self.governor.step == fastest;
            if as_fast_as_can_be || behind {
                self.excused = self.done;
            }
        }
        self.governor.handle_picture(&plan, took, interval);
        self.due += interval;
        self.pictures += 1;
    }

    /// The camera's pictures until then.
    fn run(&mut self, until: u64, load: impl Fn(f64) -> f64) {
        while self.due < Time::from_secs(until) {
            let load = load(self.due.since_start().as_secs_f64());
            self.picture(load, Duration::ZERO, CAMERA);
        }
    }

    fn late(&self) -> Vec<Time> {
        self.log.iter().filter(|(_, _, late)| *late).map(|(now, ..)| *now).collect()
    }

    /// The times of the steps down, which are to less effort, and of those back.
    fn steps(&self) -> (Vec<Time>, Vec<Time>) {
        let changes = |is: fn(&Step, &Step) -> bool| {
            self.log.windows(2).filter(|w| is(&w[1].1, &w[0].1)).map(|w| w[1].0).collect()
        };
        (changes(|a, b| a > b), changes(|a, b| a < b))
    }
}

/// The most points in any 5 s.
fn densest(times: &[Time]) -> usize {
    let within = |from: Time| times.iter().filter(|&&at| at >= from && at - from < HOLD).count();
    times.iter().map(|&from| within(from)).max().unwrap_or(0)
}

const MODES: [ScalabilityMode; 8] = [
    ScalabilityMode::L1T1,
    ScalabilityMode::L1T2,
    ScalabilityMode::L1T3,
    ScalabilityMode::L2T2KeyShift,
    ScalabilityMode::L3T1,
    ScalabilityMode::L3T3,
    ScalabilityMode::L3T3Key,
    ScalabilityMode::S3T3,
];

#[test]
fn no_picture_is_late_when_the_load_doubles() {
    for mode in MODES {
        // From a machine with time to spare to one that is too slow for most of them.
        for milliseconds in [2.0, 8.0, 12.0, 14.0, 20.0, 35.0, 60.0] {
            let mut machine = Machine::new(mode, milliseconds / 1e3);
            machine.run(60, |now| if now < 30.0 { 1.0 } else { 2.0 });
            let late: Vec<_> = machine.late().into_iter().filter(|&at| at > Time::from_secs(1)).collect();
            assert_eq!(late, [], "{mode}, {milliseconds} ms");
        }
    }
}

/// Others use the processor too: one picture in six waits for it. Of few layers that take little time, the wait is a multiple;
/// with all layers it is as long as before, and there is time for it.
#[test]
fn pictures_that_wait_for_the_processor_do_not_keep_layers_from_coming_back() {
    for mode in MODES {
        for seed in 0..8 {
            let mut machine = Machine::new(mode, 0.003);
            machine.chance = oorandom::Rand32::new(seed);
            // At first there is time for nothing.
            machine.run(3, |_| 200.0);
            assert!(machine.governor.given_up() > 0 || mode == ScalabilityMode::L1T1);
            while machine.due < Time::from_secs(60) {
                let waits = machine.chance.rand_range(0..6) == 0;
                let wait = Duration::from_millis(if waits { 7 } else { 0 });
                machine.picture(1.0, wait, CAMERA);
            }
            assert_eq!(machine.governor.given_up(), 0, "{mode}, {seed}");
        }
    }
}

#[test]
fn a_machine_with_time_to_spare_keeps_all_layers_at_the_speed_configured() {
    for mode in MODES {
        let mut machine = Machine::new(mode, 0.006);
        machine.run(60, |_| 1.0);
        assert_eq!(machine.steps(), (vec![], vec![]));
        assert_eq!(machine.governor.speeds(), Speeds::uniform(2));
    }
}

#[test]
fn a_load_that_alternates_makes_it_step_once() {
    for mode in MODES {
        for period in [1.0, 0.5, 2.0] {
            let mut machine = Machine::new(mode, 0.012);
            machine.run(60, |now| if ((now / period) as u64).is_multiple_of(2) { 1.0 } else { 2.0 });
            let (down, back) = machine.steps();
            assert!(!down.is_empty(), "{mode}: the load is too high");
            assert!(densest(&down) <= 1 && back.is_empty(), "{mode}, {period} s: {down:?}, {back:?}");
        }
    }
}

#[test]
fn a_step_back_that_does_not_last_is_tried_more_and_more_seldom() {
    let mut machine = Machine::new(ScalabilityMode::L3T3, 0.012);
    machine.run(300, |now| if ((now / 6.0) as u64).is_multiple_of(2) { 2.0 } else { 1.0 });
    let (_, back) = machine.steps();
    assert!(back.len() <= 2, "{back:?}");
}

#[test]
fn layers_come_back_one_by_one_in_reverse_order() {
    let mut machine = Machine::new(ScalabilityMode::L3T3, 0.009);
    machine.run(40, |now| if now < 10.0 { 200.0 } else { 1.0 });
    let given_up = |machine: &Machine| {
        let mut given_up: Vec<_> = machine.log.iter().map(|(_, step, _)| step.given_up).collect();
        given_up.dedup();
        given_up
    };
    assert_eq!(given_up(&machine), [0, 4, 3, 2, 1, 0]);
    let (down, back) = machine.steps();
    assert!(down.last() < back.first(), "{down:?} {back:?}");
    assert_eq!(machine.governor.step, machine.governor.slowest_step());
}

#[test]
fn layers_are_given_up_from_the_highest_temporal_one_on() {
    let mut machine = Machine::new(ScalabilityMode::L3T3, 0.012);
    machine.picture(1.0, Duration::ZERO, CAMERA);
    let left = |given_up: usize| {
        let costs = &machine.governor.costs[given_up];
        costs.wanted.iter().last().unwrap()
    };
    let expected = [(2, 2), (2, 1), (2, 0), (1, 0), (0, 0)].map(|(s, t)| LayerId::new(s, t));
    assert_eq!([0, 1, 2, 3, 4].map(left), expected);
    // Who watches a layer that is given up is left the one below.
    let wanted = DecodeTargets::only(&[LayerId::new(2, 2), LayerId::new(0, 1)]);
    let cost = Cost::new(ScalabilityMode::L3T3.structure(), SIZE, wanted, 3);
    assert_eq!(cost.wanted, DecodeTargets::only(&[LayerId::new(1, 0), LayerId::new(0, 0)]));
}

#[test]
fn one_picture_that_takes_long_means_nothing() {
    for delay in [30, 100, 2000].map(Duration::from_millis) {
        let mut machine = Machine::new(ScalabilityMode::L3T3, 0.012);
        // The first picture, a key picture, and one of each temporal layer.
        for long in [0, 299, 400, 501, 602] {
            while machine.pictures < long {
                machine.picture(1.0, Duration::ZERO, CAMERA);
            }
            machine.picture(1.0, delay, CAMERA);
        }
        machine.run(60, |_| 1.0);
        assert_eq!(machine.steps(), (vec![], vec![]), "{delay:?}");
    }
}

#[test]
fn pictures_may_come_irregularly() {
    let mut machine = Machine::new(ScalabilityMode::L3T3, 0.009);
    for _ in 0..900 {
        let interval = CAMERA.mul_f64(0.5 + f64::from(machine.chance.rand_float()));
        machine.picture(1.0, Duration::ZERO, interval);
    }
    assert_eq!(machine.steps(), (vec![], vec![]));
    // And seldom, as of a shared screen.
    for _ in 0..20 {
        machine.picture(1.0, Duration::ZERO, Duration::from_secs(3));
    }
    assert_eq!(machine.steps(), (vec![], vec![]));
}

#[test]
fn demand_that_changes_is_no_load() {
    let mut machine = Machine::new(ScalabilityMode::L3T3, 0.026);
    machine.run(10, |_| 1.0);
    let full = machine.governor.step;
    assert!(full > machine.governor.slowest_step());
    // Nobody wants the higher layers: there is time for more effort, after a while.
    machine.wanted = Some(DecodeTargets::only(&[LayerId::new(0, 2)]));
    machine.run(20, |_| 1.0);
    assert_eq!(machine.governor.step, machine.governor.slowest_step());
    // They come back, and the first picture with them has the speed that it needs.
    machine.wanted = None;
    let before = machine.log.len();
    machine.run(30, |_| 1.0);
    assert!(machine.log[before].1 >= full, "{:?}, {full:?}", machine.log[before]);
    assert!(machine.late().iter().all(|&at| at < Time::from_secs(1)), "{:?}", machine.late());
}

#[test]
fn key_pictures_have_speeds_of_their_own() {
    // Base pictures need 0.35 of the interval, key pictures 1.05.
    let mut machine = Machine::new(ScalabilityMode::L1T1, 0.35 / 30.0);
    machine.run(60, |_| 1.0);
    let speeds = machine.governor.speeds();
    assert!(speeds.key > 2, "{speeds:?}");
    assert_eq!(Speeds { key: 2, ..speeds }, Speeds::uniform(2));
}

#[test]
fn the_governor_starts_at_the_speed_configured() {
    for slowest in 0..=u8::MAX {
        let mut governor = EffortGovernor::new(slowest, f64::NAN);
        assert_eq!(governor.speeds(), Speeds::uniform(slowest.min(MAX_SPEED)));
        assert_eq!(governor.decide(Time::ZERO, None), None);
        assert_eq!(governor.speeds(), Speeds::uniform(slowest.min(MAX_SPEED)));
    }
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0u64..200_000_000).prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_nanos),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_it_is_told_it_stays_on_the_scale(
        mode in 0..MODES.len(),
        share in any::<f64>(),
        slowest in any::<u8>(),
        pictures in vec((any_duration(), any_duration(), any_duration(), 0u32..1 << 24, any::<bool>()), 0..300),
    ) {
        let mut governor = EffortGovernor::new(slowest, share);
        let mut planner = Planner::new(MODES[mode], SIZE);
        let mut now = Time::ZERO;
        for (gap, took, interval, bits, key) in pictures {
            now += gap;
            let asked = planner.structure().decode_targets().enumerate();
            let asked: DecodeTargets = asked.filter(|(n, _)| bits >> n & 1 != 0).map(|(_, t)| t).collect();
            let wanted = governor.decide(now, Some(asked)).unwrap();
            prop_assert_eq!(wanted.is_empty(), asked.is_empty());
            prop_assert!(governor.level() < Speeds::LEVELS.len());
            let speeds = governor.speeds();
            prop_assert!(speeds.check().is_ok() && speeds.max(Speeds::uniform(slowest.min(MAX_SPEED))) == speeds);
            let refresh = if key { Refresh::KEY } else { Refresh::NONE };
            let plan = planner.next(PictureRequest { refresh, wanted });
            governor.handle_picture(&plan, took, interval);
        }
    }

    #[test]
    fn it_comes_back_step_by_step_and_stays(
        mode in 0..MODES.len(),
        milliseconds in 0.5f64..8.0,
        load in 1f64..60.0,
        seed in any::<u64>(),
    ) {
        let mut machine = Machine::new(MODES[mode], milliseconds / 1e3);
        machine.chance = oorandom::Rand32::new(seed);
        machine.run(10, |_| load);
        let from = machine.log.len();
        machine.run(50, |_| 1.0);
        // The samples of the load are still in the window.
        let after: Vec<_> = machine.log[from + WINDOW..].iter().map(|(_, step, _)| *step).collect();
        prop_assert!(after.is_sorted_by(|a, b| a >= b), "{:?}", after);
        prop_assert_eq!(machine.governor.step, machine.governor.slowest_step());
    }

    #[test]
    fn it_does_not_oscillate(
        mode in 0..MODES.len(),
        milliseconds in 2f64..40.0,
        high in 1f64..2.5,
        seed in any::<u64>(),
    ) {
        let mut machine = Machine::new(MODES[mode], milliseconds / 1e3);
        machine.chance = oorandom::Rand32::new(seed);
        machine.run(40, |now| if (now as u64).is_multiple_of(2) { 1.0 } else { high });
        let (down, back) = machine.steps();
        // Where it stands is found in the first two seconds.
        let down: Vec<_> = down.into_iter().filter(|&at| at > Time::from_secs(2)).collect();
        prop_assert!(densest(&down) <= 1 && densest(&back) <= 1, "{:?} {:?}", down, back);
    }
}
