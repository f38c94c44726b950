//! The effort governor: with how much effort, and for which decode targets, the machine has time to code.
//!
//! The governor knows how much time each speed takes in relation to the others ([`TIMES`]), and learns from each picture
//! how fast the machine is at present. So it knows beforehand what another level, or other layers, will take.

use std::collections::VecDeque;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::config::MAX_SPEED;
use super::effort::{Class, Speeds, TIMES};
use crate::Time;
use crate::picture::{Size, plane_size};
use crate::structure::{DecodeTargets, FrameTemplate, LayerId, PicturePlan, ScalabilityMode, Structure};

/// Pictures by which the machine is judged: half a second at 30 pictures/s.
const WINDOW: usize = 16;
/// Of each class the longest in so many is passed over, since a thread that the system suspends is no sign of load; two long ones
/// are.
const PASSED_OVER: usize = 1;
/// The usual one is exceeded by so many of as many.
const MIDDLE: usize = (WINDOW - 1) / 2;
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
/// target. A picture then has time until the next one that is coded. When there has been room for 5 s it goes
/// back: to a slower level at one stroke, and by one layer at a time, the last one given up first, so that the four of
/// `L3T3` take 20 s and more. Each step back that does not last doubles that time, up to a minute.
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
    /// The last pictures; key pictures are left out.
    window: VecDeque<Sample>,
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

/// A picture that was coded.
#[derive(Debug, Clone, Copy)]
struct Sample {
    class: Class,
    /// In seconds, as is the interval.
    took: f64,
    work: f64,
    interval: f64,
}

impl Sample {
    /// Seconds that the picture would have taken with other work, where a unit of it usually takes `pace`. Less work takes less
    /// in proportion. More takes more at the usual pace: if the picture waited for the processor, it would not have waited
    /// longer.
    fn takes(&self, work: f64, pace: f64) -> f64 {
        if work > self.work { self.took + (work - self.work) * pace } else { self.took * work / self.work }
    }
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
        let class = class_of(&samples);
        let (took, interval) = (took.as_secs_f64(), interval.as_secs_f64());
        self.window.push_back(Sample { class, took, work, interval });
        let median = exceeded_by(MIDDLE, self.window.iter().map(|sample| sample.took / sample.work));
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
        let hurry = (1.0 + self.share) / 2.0;
        let settled = self.last_step.is_none_or(|last| now - last >= HOLD);
        if self.takes(self.step) > if settled { self.share } else { hurry } {
            let step = self.slowest(0, |step| self.takes(step) <= self.share * HEADROOM);
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
        let least = self.step.given_up.saturating_sub(1);
        let step = self.slowest(least, |step| self.takes(step) <= self.share * ROOM);
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
        let interval = self.interval();
        let (samples, until_next) = self.costs[step.given_up].key;
        let allowed = interval * until_next * (1.0 + self.share) / 2.0;
        while speeds.key < MAX_SPEED && self.seconds(&samples, speeds) > allowed {
            speeds.key += 1;
        }
        speeds
    }

    /// The share of its time that the picture takes which takes most of it, but for those that are passed over. Key pictures do
    /// not count: they have speeds of their own.
    fn takes(&self, step: Step) -> f64 {
        let speeds = Speeds::LEVELS[step.level].max(Speeds::uniform(self.slowest));
        let pictures = self.costs[step.given_up].cycle.iter();
        let takes = pictures.map(|(samples, until_next)| self.seconds(samples, speeds) / until_next);
        takes.fold(0.0, f64::max) / self.interval()
    }

    /// Seconds for a picture, as the last ones of its class took, but for those that are passed over; if there are none, as all
    /// did.
    fn seconds(&self, samples: &Samples, speeds: Speeds) -> f64 {
        let (work, class) = (self.work(samples, speeds), class_of(samples));
        let has_class = self.window.iter().any(|sample| sample.class == class);
        let of_class = |sample: &&Sample| !has_class || sample.class == class;
        let judged = || self.window.iter().filter(of_class);
        let pace = exceeded_by(MIDDLE, judged().map(|sample| sample.took / sample.work));
        exceeded_by(PASSED_OVER, judged().map(|sample| sample.takes(work, pace)))
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

    /// The mean interval.
    fn interval(&self) -> f64 {
        self.window.iter().map(|sample| sample.interval).sum::<f64>() / self.window.len() as f64
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

/// The greatest figure but for so many of sixteen.
fn exceeded_by(passed_over: usize, figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: ArrayVec<f64, WINDOW> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    let passed_over = (passed_over * figures.len()).div_ceil(WINDOW);
    figures[figures.len() - 1 - passed_over.min(figures.len() - 1)]
}

/// The class of a picture's frames, which all have the same but for those of key pictures.
fn class_of(samples: &Samples) -> Class {
    let classes = [Class::Key, Class::Base, Class::Middle, Class::Top];
    classes.into_iter().find(|&class| samples[class as usize] > 0.0).unwrap_or(Class::Base)
}

fn luma_samples(size: Size) -> f64 {
    let (width, height) = plane_size(size, 0);
    width as f64 * height as f64
}

#[cfg(test)]
mod tests;
