//! The effort governor: with how much effort, and for which decode targets, the machine has time to code.
//!
//! The governor knows how much time each speed takes in relation to the others ([`TIMES`]), and learns from each picture
//! how fast the machine is at present. So it knows beforehand what another level, or other layers, will take.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::MAX_SPEED;
use super::effort::{Class, Speeds, TIMES};
use crate::Time;
use crate::picture::{Size, plane_size};
use crate::structure::{DecodeTargets, FrameTemplate, LayerId, PicturePlan, ScalabilityMode, Structure};

/// Pictures by which the machine is judged: half a second at 30 pictures/s. The longest of them is passed over, since a
/// thread that the system suspends is no sign of load; two long ones of sixteen are.
const WINDOW: usize = 16;
/// Pictures before anything is decided. The first ones find cold caches.
const FIRST: usize = 4;
/// A faster level has to take this share of what is allowed at most, so that noise does not call for the next one.
const HEADROOM: f64 = 0.9;
/// A slower level has to take this share of what is allowed at most, all the time that is waited for it.
const ROOM: f64 = 0.85;
/// How long there has to be room for a slower level or another layer before it comes back, and for how long nothing but a
/// picture that threatens to be late calls for the next step.
const HOLD: Duration = Duration::from_secs(5);
/// That time doubles whenever a step back did not last for twice as long. This is the longest.
const LONGEST_HOLD: Duration = Duration::from_secs(60);
/// After a pause as long as this, what was seen before it says nothing of how long there has been room.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest interval that is believed, and the longest that a picture may take, however rarely pictures come: a
/// picture that is coded for longer reaches its viewers late.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));
/// How many times as long as a frame of the middle layers those of the four classes take at the same speed, before it
/// is known. Key pictures are taken for slow, since there is one before anything is known.
const WEIGHTS: [f64; 4] = [3.0, 1.6, 1.0, 0.75];
/// The bounds of such a weight.
const WEIGHT: (f64, f64) = (0.05, 20.0);
/// The number of pictures after a key picture by which it is told how much longer that took.
const AFTER_KEY: u32 = 8;

/// Moves an encoder along a scale of effort, so that pictures are coded in the time that there is for them.
///
/// It is told how long each picture took and how long it might have taken. If that is too long, it moves to a faster one
/// of [`Speeds::LEVELS`], at once and as far as necessary. If the fastest level does not suffice, it gives up layers: the
/// highest temporal layer, the next one, and so on; then the highest spatial layer, and so on; never the lowest decode
/// target. A picture then has time until the next one that is coded. When there has been room for some seconds it goes
/// back: to a slower level at one stroke, and by one layer at a time, the last one given up first.
///
/// It reads no clock and does no more than arithmetic. Its decisions depend on what it is told alone.
///
/// ```
/// # use layercast::{Size, Time, encoder::*, picture::Picture, structure::ScalabilityMode};
/// # use std::time::{Duration, Instant};
/// let config = SvcConfig::new(Size::new(64, 64), ScalabilityMode::L1T3);
/// let mut governor = EffortGovernor::new(config.speed, EffortGovernor::SHARE);
/// let mut encoder = SvcEncoder::new(config)?;
/// let picture = Picture::new(Size::new(64, 64));
/// let interval = Duration::from_secs(1) / 30;
/// for now in (0..9).map(|n| Time::new(interval * n)) {
///     let wanted = governor.decide(now, None); // `None`: somebody watches all of them.
///     encoder.set_speeds(governor.speeds())?;
///     let start = Instant::now();
///     let unit = encoder.encode(&picture.view(), now, EncodeOptions { wanted, ..EncodeOptions::default() })?;
///     governor.handle_picture(&unit.plan, start.elapsed(), interval);
/// }
/// # Ok::<(), layercast::encoder::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EffortGovernor {
    /// Of the interval to the next picture, what coding may take.
    share: f64,
    /// The slowest speed of each class.
    slowest: u8,
    step: Step,
    speeds: Speeds,
    /// Seconds that a unit of work took and the intervals, of the last pictures; key pictures are left out.
    window: VecDeque<(f64, f64)>,
    /// For each class, how much longer its frames take than others of the same size at the same speed.
    weights: [f64; 4],
    /// For each class, how many pictures of it have been seen, up to `FIRST`.
    seen: [usize; 4],
    /// The last key picture: seconds for a unit of work, and the pictures since.
    key: Option<(f64, u32)>,
    /// Whether a key picture has been judged.
    key_known: bool,
    /// What the costs below are those of.
    asked: Option<Asked>,
    /// What there is to code with each number of layers given up.
    costs: Vec<Cost>,
    /// Since when there has been room for a slower step.
    room_since: Option<Time>,
    hold: Duration,
    last_step: Option<Time>,
    /// The last step back, if none to less effort has followed.
    last_back: Option<Time>,
    last_decision: Option<Time>,
}

/// What to do without, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    given_up: usize,
    /// Of [`Speeds::LEVELS`].
    level: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Asked {
    mode: ScalabilityMode,
    size: Size,
    wanted: Option<DecodeTargets>,
}

/// The luma samples to code in one picture, for each class.
type Samples = [f64; 4];

/// What there is to code.
#[derive(Debug, Clone, PartialEq)]
struct Cost {
    wanted: DecodeTargets,
    /// Of the key picture and the pictures after it, the samples and how many intervals later the next picture is coded.
    /// Those of which nothing is coded are left out.
    key: (Samples, f64),
    cycle: Vec<(Samples, f64)>,
}

impl EffortGovernor {
    /// The share of the time from a picture to the next that most programs should allow: if the load of the machine
    /// doubles from one picture to the next, that one still is in time.
    pub const SHARE: f64 = 0.45;

    /// A governor that has seen no picture. It codes no frame at a slower speed than `slowest`, 0 to [`MAX_SPEED`], and
    /// begins with it. `share` is what coding may take of the time to the next picture, 0.05 to 1; what is beyond is
    /// taken for the nearest.
    pub fn new(slowest: u8, share: f64) -> Self {
        let slowest = slowest.min(MAX_SPEED);
        let mut governor = Self {
            share: if share.is_nan() { Self::SHARE } else { share.clamp(0.05, 1.0) },
            slowest,
            step: Step { given_up: 0, level: 0 },
            speeds: Speeds::uniform(slowest),
            window: VecDeque::with_capacity(WINDOW),
            weights: WEIGHTS,
            seen: [0; 4],
            key: None,
            key_known: false,
            asked: None,
            costs: Vec::new(),
            room_since: None,
            hold: HOLD,
            last_step: None,
            last_back: None,
            last_decision: None,
        };
        governor.step = governor.slowest_step();
        governor
    }

    /// Takes note of a picture that was coded at [`speeds`](Self::speeds): it took `took`, and `interval` is the time
    /// from its capture to that of the next picture of the camera, whatever is coded of it. If the program does not know
    /// when that will come, it tells what the camera usually needs. Pictures without frames are passed over.
    pub fn handle_picture(&mut self, picture: &PicturePlan, took: Duration, interval: Duration) {
        let structure = picture.mode.structure();
        let mut samples = [0.0; 4];
        for frame in &picture.frames {
            let size = structure.layer_size(picture.size, frame.layer.spatial_id);
            samples[Class::of(picture, frame) as usize] += luma_samples(size);
        }
        let work = self.work(&samples, self.speeds);
        if work <= 0.0 {
            return;
        }
        match self.asked {
            Some(asked) if asked.mode == picture.mode && asked.size == picture.size => {}
            _ => self.ask(Asked { mode: picture.mode, size: picture.size, wanted: None }),
        }
        let pace = took.as_secs_f64() / work;
        if picture.key {
            self.key = Some((pace, 0));
            return;
        }
        let interval = interval.clamp(INTERVALS.0, INTERVALS.1);
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        self.window.push_back((pace, interval.as_secs_f64()));
        let median = self.paces()[self.window.len() / 2];
        if median > 0.0 && self.window.len() >= FIRST {
            self.weigh(&samples, pace / median);
            self.judge_key(median);
        }
    }

    /// Decides about the picture that comes next, captured at `now`: returns the decode targets to code it for, and sets
    /// the [`speeds`](Self::speeds). `wanted` are those that somebody watches; `None` for all, and `None` comes back if
    /// all are to be coded. Watchers of a layer that is given up are left the highest one below it.
    pub fn decide(&mut self, now: Time, wanted: Option<DecodeTargets>) -> Option<DecodeTargets> {
        let Some(asked) = self.asked else { return wanted };
        if asked.wanted != wanted {
            self.ask(Asked { wanted, ..asked });
        }
        if self.last_decision.is_none_or(|last| now - last >= PAUSE) {
            self.room_since = None;
        }
        self.last_decision = Some(now);
        if self.window.len() >= FIRST {
            self.step(now);
        }
        self.speeds = self.speeds_at(self.step);
        match self.step.given_up {
            0 => wanted,
            given_up => Some(self.costs[given_up].wanted),
        }
    }

    /// The speeds of the next picture: those of the [`level`](Self::level), none below the slowest; and for a key
    /// picture the slowest at which it is likely to be in time.
    pub fn speeds(&self) -> Speeds {
        self.speeds
    }

    /// The level of the next picture, as an index of [`Speeds::LEVELS`].
    pub fn level(&self) -> usize {
        self.step.level
    }

    /// How many layers are given up: temporal layers first, then spatial ones.
    pub fn given_up(&self) -> usize {
        self.step.given_up
    }

    /// Moves to a faster step if pictures take too long, and to a slower one if there has been room for it.
    fn step(&mut self, now: Time) {
        let (pace, interval) = self.pace_and_interval();
        // Shares of the interval.
        let takes = |step: Step| self.longest(step) * pace / interval;
        let hurry = (1.0 + self.share) / 2.0;
        let settled = self.last_step.is_none_or(|last| now - last >= HOLD);
        if takes(self.step) > if settled { self.share } else { hurry } {
            let step = self.slowest(0, |step| takes(step) <= self.share * HEADROOM);
            if step > self.step {
                self.hold = match self.last_back.take() {
                    Some(back) if now - back < self.hold * 2 => (self.hold * 2).min(LONGEST_HOLD),
                    Some(_) => HOLD,
                    None => self.hold,
                };
                (self.step, self.last_step, self.room_since) = (step, Some(now), None);
            }
            return;
        }
        let step =
            self.slowest(self.step.given_up.saturating_sub(1), |step| takes(step) <= self.share * ROOM);
        if step >= self.step {
            self.room_since = None;
        } else if now - *self.room_since.get_or_insert(now) >= self.hold {
            if self.last_back.is_some() {
                self.hold = HOLD; // The last step back has lasted.
            }
            (self.step, self.last_step, self.last_back) = (step, Some(now), Some(now));
            self.room_since = None;
        }
    }

    /// The slowest step that suffices; the fastest if none does. No fewer than `least` layers are given up.
    fn slowest(&self, least: usize, suffices: impl Fn(Step) -> bool) -> Step {
        let levels = self.slowest_step().level..Speeds::LEVELS.len();
        let mut fastest = self.slowest_step();
        for given_up in least..self.costs.len() {
            // It is no use to give up what nobody watches.
            if given_up > least && self.costs[given_up] == self.costs[given_up - 1] {
                continue;
            }
            for level in levels.clone() {
                fastest = Step { given_up, level };
                if suffices(fastest) {
                    return fastest;
                }
            }
        }
        fastest
    }

    /// Nothing given up, at the last level that is no faster than the slowest speed.
    fn slowest_step(&self) -> Step {
        let slowest = Speeds::uniform(self.slowest);
        let level = Speeds::LEVELS.iter().rposition(|level| level.max(slowest) == slowest).unwrap_or(0);
        Step { given_up: 0, level }
    }

    /// The speeds of a level, and of key pictures those at which they are likely to be in time.
    fn speeds_at(&self, step: Step) -> Speeds {
        let mut speeds = Speeds::LEVELS[step.level].max(Speeds::uniform(self.slowest));
        if self.window.len() < FIRST {
            return speeds;
        }
        let (pace, interval) = self.pace_and_interval();
        let (samples, until_next) = self.costs[step.given_up].key;
        let allowed = interval * until_next * (1.0 + self.share) / 2.0;
        while speeds.key < MAX_SPEED && self.work(&samples, speeds) * pace > allowed {
            speeds.key += 1;
        }
        speeds
    }

    /// The work of the picture that takes longest for its time. Key pictures do not count: they have speeds of their own.
    fn longest(&self, step: Step) -> f64 {
        let speeds = Speeds::LEVELS[step.level].max(Speeds::uniform(self.slowest));
        let pictures = self.costs[step.given_up].cycle.iter();
        pictures.map(|(samples, until_next)| self.work(samples, speeds) / until_next).fold(0.0, f64::max)
    }

    /// Samples as they weigh: by their class and by the speed.
    fn work(&self, samples: &Samples, speeds: Speeds) -> f64 {
        let of_class = |class: Class| {
            let time = TIMES[usize::from(speeds.of_class(class))][class as usize];
            samples[class as usize] * time * self.weights[class as usize]
        };
        [Class::Key, Class::Base, Class::Middle, Class::Top].map(of_class).iter().sum()
    }

    /// Learns from a picture, which took `ratio` times as long as was to be expected of it beside the others, how much
    /// longer frames of its class take.
    fn weigh(&mut self, samples: &Samples, ratio: f64) {
        let classes = [Class::Base, Class::Middle, Class::Top];
        let mut classes = classes.into_iter().filter(|&class| samples[class as usize] > 0.0);
        let (Some(class), None) = (classes.next(), classes.next()) else { return };
        let seen = &mut self.seen[class as usize];
        // At first quickly; and then by so little that load, which comes and goes between pictures of one class and
        // those of another, does not count.
        let factor = if *seen < FIRST {
            *seen += 1;
            ratio.clamp(0.4, 2.5).powf(0.5)
        } else if (1.0 / 1.5..1.5).contains(&ratio) {
            ratio.powf(1.0 / 16.0)
        } else {
            return;
        };
        // The weight of base frames stands still, so that not all weights drift together.
        let mut change = |class: Class, factor: f64| {
            let weight = &mut self.weights[class as usize];
            *weight = (*weight * factor).clamp(WEIGHT.0, WEIGHT.1);
        };
        match class {
            Class::Key => {}
            Class::Base => {
                change(Class::Middle, 1.0 / factor);
                change(Class::Top, 1.0 / factor);
            }
            Class::Middle | Class::Top => change(class, factor),
        }
    }

    /// Learns how much longer the last key picture took than those after it, if there are enough.
    fn judge_key(&mut self, median: f64) {
        let Some((pace, after)) = &mut self.key else { return };
        *after += 1;
        if *after < AFTER_KEY {
            return;
        }
        let weight = &mut self.weights[Class::Key as usize];
        let seen = (*weight * *pace / median).clamp(WEIGHT.0, WEIGHT.1);
        *weight = if self.key_known { (*weight + seen) / 2.0 } else { seen };
        (self.key, self.key_known) = (None, true);
    }

    /// Seconds for a unit of work, which one picture in the window alone exceeded, and the mean interval.
    fn pace_and_interval(&self) -> (f64, f64) {
        let intervals = self.window.iter().map(|sample| sample.1);
        (self.paces()[self.window.len() - 2], intervals.sum::<f64>() / self.window.len() as f64)
    }

    /// Seconds for a unit of work of the pictures in the window, from short to long.
    fn paces(&self) -> Vec<f64> {
        let mut paces: Vec<f64> = self.window.iter().map(|sample| sample.0).collect();
        paces.sort_unstable_by(f64::total_cmp);
        paces
    }

    /// Finds out what there is to code.
    fn ask(&mut self, asked: Asked) {
        let structure = asked.mode.structure();
        let wanted = asked.wanted.unwrap_or_else(|| DecodeTargets::all(structure));
        let layers = usize::from(structure.spatial_layers + structure.temporal_layers) - 2;
        self.costs =
            (0..=layers).map(|given_up| Cost::new(structure, asked.size, wanted, given_up)).collect();
        // Another mode may have fewer layers.
        self.step.given_up = self.step.given_up.min(layers);
        self.asked = Some(asked);
    }
}

impl Cost {
    fn new(structure: &Structure, size: Size, wanted: DecodeTargets, given_up: usize) -> Self {
        let highest = (structure.spatial_layers - 1, structure.temporal_layers - 1);
        let temporal = given_up.min(usize::from(highest.1));
        let (spatial, temporal) = (highest.0 - (given_up - temporal) as u8, highest.1 - temporal as u8);
        let left =
            |target: LayerId| LayerId::new(target.spatial_id.min(spatial), target.temporal_id.min(temporal));
        let wanted = wanted.intersection(DecodeTargets::all(structure)).iter().map(left).collect();
        let samples = |picture: &[FrameTemplate], key: bool| {
            let mut samples = [0.0; 4];
            for LayerId { spatial_id, temporal_id } in picture.iter().map(|frame| frame.layer) {
                if !structure.needed_by(picture, spatial_id).intersection(wanted).is_empty() {
                    let class = Class::new(key, temporal_id, structure.temporal_layers);
                    samples[class as usize] += luma_samples(structure.layer_size(size, spatial_id));
                }
            }
            samples
        };
        let cycle: Vec<Samples> = structure.cycle.iter().map(|picture| samples(picture, false)).collect();
        let is_coded = |at: usize| cycle[at % cycle.len()].iter().sum::<f64>() > 0.0;
        // If nothing is coded, nothing is late.
        let until_next = |from: usize| (1..=cycle.len()).find(|n| is_coded(from + n - 1)).unwrap_or(1) as f64;
        let coded = (0..cycle.len()).filter(|&at| is_coded(at));
        let cycle = coded.map(|at| (cycle[at], until_next(at + 1))).collect();
        Self { wanted, key: (samples(structure.key, true), until_next(0)), cycle }
    }
}

fn luma_samples(size: Size) -> f64 {
    let (width, height) = plane_size(size, 0);
    width as f64 * height as f64
}

#[cfg(test)]
mod tests {
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
        let mut machine = Machine::new(ScalabilityMode::L3T3, 0.024);
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
}
