//! What holds in any situation, tried in a million of them. Each is made from a seed, which a failure names.

use std::ops::Range;
use std::time::Duration;

use super::allocate::{Allocator, Choice, Ladder, hull};
use super::*;
use crate::structure::ScalabilityMode;
use crate::{Size, Time};

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// With a chance of 1 in `n`.
    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..of.len() as u64) as usize]
    }

    fn maybe<T>(&mut self, n: u64, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(n).then(|| some(self))
    }
}

fn offer(random: &mut Random) -> Offer {
    let mode = random.pick(&[
        ScalabilityMode::L1T1,
        ScalabilityMode::L1T3,
        ScalabilityMode::L2T2,
        ScalabilityMode::L3T3,
        ScalabilityMode::L3T3,
        ScalabilityMode::L3T3Key,
        ScalabilityMode::S3T3,
    ]);
    let (width, height) = random.pick(&[(1280, 720), (1920, 1080), (640, 360), (720, 1280)]);
    let rate = random.pick(&[30.0, 29.97, 15.0, 60.0]);
    // Either layers as they are, or whatever somebody claims.
    let wild = random.one_in(4);
    let base = random.within(20_000..200_000);
    let mut offer = Offer::new(mode, Size::new(width, height), rate, |target| match wild {
        true => random.within(0..3_000_000),
        false => {
            let spatial = [10, 26, 60][usize::from(target.spatial_id)];
            let temporal = [10, 13, 16][usize::from(target.temporal_id)];
            base * spatial * temporal / 100 + random.within(0..base)
        }
    });
    if random.one_in(3) {
        for layer in &mut offer.layers {
            layer.quality = Some(LayerQuality::Ssim(random.within(800..1000) as f32 / 1000.0));
        }
    }
    if random.one_in(50) {
        offer.layers.clear();
    }
    offer
}

fn window(random: &mut Random) -> Window {
    let (width, height) =
        random.pick(&[(1280, 720), (1920, 1080), (640, 360), (320, 180), (200, 300), (1, 1), (0, 50)]);
    Window {
        size: Size::new(width, height),
        visible: !random.one_in(8),
        max_frame_rate: random.maybe(6, |r| r.within(1..70) as f32),
        priority: random.pick(&[
            Priority::Thumbnail,
            Priority::Thumbnail,
            Priority::ActiveSpeaker,
            Priority::ScreenShare,
            Priority::Pinned,
        ]),
    }
}

fn cap(random: &mut Random) -> Cap {
    Cap {
        max_spatial_id: random.maybe(3, |r| r.within(0..3) as u8),
        max_temporal_id: random.maybe(3, |r| r.within(0..3) as u8),
        max_height: random.maybe(5, |r| r.within(100..1100) as u32),
        max_frame_rate: random.maybe(5, |r| r.within(5..40) as f32),
        max_bitrate: random.maybe(5, |r| r.within(20_000..3_000_000)),
    }
}

fn network(random: &mut Random) -> Network {
    Network {
        available_bitrate: Some(random.within(1..12_000) * random.within(1..1000)),
        round_trip: random.maybe(2, |r| Duration::from_millis(r.within(1..400))),
        loss: random.maybe(4, |r| r.within(0..40) as f32 / 100.0),
        queueing_delay: random.maybe(4, |r| Duration::from_millis(r.within(0..1500))),
    }
}

#[derive(Clone)]
struct Watched {
    id: StreamId,
    offer: Offer,
    window: Window,
    cap: Option<Cap>,
}

/// What a selector is told.
struct Situation {
    streams: Vec<Watched>,
    network: Network,
    cpu: Option<Cpu>,
    cap: Option<Cap>,
}

impl Situation {
    fn new(random: &mut Random) -> Self {
        let mut streams: Vec<Watched> = Vec::new();
        for id in 0..random.within(0..8) {
            let id = StreamId(id as u32 * 3);
            let like = streams.last().cloned().filter(|_| random.one_in(2));
            streams.push(match like {
                Some(other) => Watched { id, ..other },
                None => {
                    Watched { id, offer: offer(random), window: window(random), cap: random.maybe(5, cap) }
                }
            });
        }
        let cpu = random.maybe(3, |random| {
            let time = Duration::from_micros(random.within(100..60_000));
            Cpu {
                decode_times: [DecodeTime { luma_samples: 1280 * 720, time }].into_iter().collect(),
                ..Cpu::default()
            }
        });
        Self { streams, network: network(random), cpu, cap: random.maybe(8, cap) }
    }

    /// A selector that knows all but the network.
    fn selector(&self) -> Selector {
        let mut selector = Selector::new(measured());
        for watched in &self.streams {
            self.tell(&mut selector, watched);
        }
        self.tell_rest(&mut selector);
        selector
    }

    fn tell(&self, selector: &mut Selector, watched: &Watched) {
        let now = Time::ZERO;
        selector.set_offer(now, watched.id, &watched.offer);
        selector.set_window(now, watched.id, watched.window);
        if let Some(cap) = watched.cap {
            selector.set_cap(now, Some(watched.id), cap);
        }
    }

    fn tell_rest(&self, selector: &mut Selector) {
        if let Some(cap) = self.cap {
            selector.set_cap(Time::ZERO, None, cap);
        }
        if let Some(cpu) = &self.cpu {
            selector.set_cpu(Time::ZERO, cpu);
        }
    }
}

/// The settings of a selector whose path has been measured.
fn measured() -> SelectorConfig {
    SelectorConfig { start: Duration::ZERO, ..SelectorConfig::default() }
}

/// No bit above the budget, no layer above window, caps, processor or offer; what is said is so.
fn check_limits(situation: &Situation, decision: &Decision) {
    assert_eq!(decision.streams.len(), situation.streams.len());
    let total: u64 = decision.streams.iter().map(|stream| stream.bitrate).sum();
    assert_eq!(total, decision.total_bitrate);
    assert!(total <= decision.budget.unwrap());
    assert!(decision.budget <= situation.network.available_bitrate);
    assert!(total <= situation.cap.and_then(|cap| cap.max_bitrate).unwrap_or(u64::MAX));
    assert_eq!(
        decision.utility,
        decision.streams.iter().map(|stream| u64::from(stream.utility)).sum::<u64>()
    );
    let mut samples = 0;
    for (watched, decided) in situation.streams.iter().zip(&decision.streams) {
        assert_eq!(watched.id, decided.stream);
        let Watched { offer, window, .. } = watched;
        let hidden = !window.visible || window.size.width == 0;
        assert_eq!(decided.reason == Reason::Hidden, hidden);
        assert_eq!(decided.reason == Reason::NotOnOffer, !hidden && offer.layers.is_empty());
        let Some(target) = decided.target else {
            assert_eq!((decided.bitrate, decided.room, decided.utility), (0, 0, 0));
            assert_ne!(decided.reason, Reason::Full);
            continue;
        };
        assert!(!hidden);
        let layer = *offer.layers.iter().find(|layer| layer.target == target).expect("a layer on offer");
        samples += layer.luma_samples;
        assert_eq!(layer.bitrate.max(1), decided.bitrate);
        for cap in watched.cap.iter().chain(&situation.cap) {
            assert!(cap.max_spatial_id.is_none_or(|max| target.spatial_id <= max));
            assert!(cap.max_temporal_id.is_none_or(|max| target.temporal_id <= max));
            assert!(cap.max_height.is_none_or(|max| layer.size.height <= max));
            assert!(cap.max_frame_rate.is_none_or(|max| layer.frame_rate <= max * 1.01));
            assert!(cap.max_bitrate.is_none_or(|max| layer.bitrate <= max));
        }
        for other in &offer.layers {
            let smaller = other.size.samples() < layer.size.samples();
            let fills = other.size.width >= window.size.width || other.size.height >= window.size.height;
            assert!(!smaller || !fills, "a layer above the window");
            let slower = other.target.spatial_id == target.spatial_id && other.frame_rate < layer.frame_rate;
            let fast = window.max_frame_rate.is_some_and(|max| layer.frame_rate > max * 1.01);
            assert!(!slower || !fast, "a frame rate above the window's");
        }
        let best = offer.layers.iter().all(|other| other.bitrate <= layer.bitrate);
        assert!(decided.reason != Reason::Full || best || offer.layers.len() > 1);
        assert!(decided.room >= decided.bitrate || watched.cap.is_some_and(|cap| cap.max_bitrate.is_some()));
    }
    if let Some(cpu) = &situation.cpu {
        let frame = cpu.decode_times[0];
        let share = f64::from(SelectorConfig::default().cpu_share);
        let capacity = f64::from(frame.luma_samples) / frame.time.as_secs_f64() * share;
        assert!(samples as f64 <= capacity);
    }
    if !decision.fits {
        // Nobody has more than its minimum then.
        for (watched, decided) in situation.streams.iter().zip(&decision.streams) {
            let lowest = watched.offer.layers.iter().map(|layer| layer.bitrate.max(1)).min();
            let capped = watched.cap.is_some() || situation.cap.is_some() || situation.cpu.is_some();
            let limited = watched.window.max_frame_rate.is_some() || watched.offer.layers.len() > 1;
            assert!(decided.target.is_none() || capped || limited || Some(decided.bitrate) == lowest);
        }
    }
}

/// Runs `check` with many seeds; a failure names the seed.
fn for_seeds(seeds: Range<u64>, check: impl Fn(&mut Random) + std::panic::RefUnwindSafe) {
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| check(&mut Random(seed)));
        if let Err(panic) = outcome {
            eprintln!("with seed {seed}:");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Situations, each decided at three bitrates, and once more after it was told in another order.
fn decide_anywhere(seeds: Range<u64>) {
    for_seeds(seeds, |random| {
        let mut situation = Situation::new(random);
        let base = situation.selector();
        let mut more = situation.network.available_bitrate.unwrap();
        let mut last = (0, 0);
        for _ in 0..3 {
            situation.network.available_bitrate = Some(more);
            let mut selector = base.clone();
            selector.set_network(Time::ZERO, situation.network);
            let decision = selector.decide(Time::ZERO).clone();
            check_limits(&situation, &decision);
            assert!(decision.utility >= last.0, "{more} bit/s are worth less than {}", last.1);
            last = (decision.utility, more);
            for (a, first) in situation.streams.iter().enumerate() {
                for (b, second) in situation.streams.iter().enumerate().skip(a + 1) {
                    if first.offer == second.offer && first.window == second.window && first.cap == second.cap
                    {
                        let (a, b) = (decision.streams[a].utility, decision.streams[b].utility);
                        check_one_step(selector.ladder(first.id), a, b);
                    }
                }
            }
            more += 1 + random.within(0..more.max(2));
        }
        // Told in another order, and anew.
        let mut again = Selector::new(measured());
        again.set_network(Time::ZERO, situation.network);
        situation.tell_rest(&mut again);
        for watched in situation.streams.iter().rev() {
            situation.tell(&mut again, watched);
        }
        let decision = again.decide(Time::ZERO);
        assert_eq!((decision.utility, decision.total_bitrate), {
            let mut selector = base.clone();
            selector.set_network(Time::ZERO, situation.network);
            let first = selector.decide(Time::ZERO);
            assert_eq!(first, decision);
            (first.utility, first.total_bitrate)
        });
    });
}

/// Two choices of a ladder have no corner of its hull between them.
fn check_one_step(ladder: &Ladder, a: u32, b: u32) {
    let (low, high) = (a.min(b), a.max(b));
    let mut corners = ladder.choices().first().map(|choice| choice.value).into_iter().collect::<Vec<_>>();
    hull(ladder.choices(), |_, to, _, _| corners.push(ladder.choices()[usize::from(to)].value));
    assert!(!corners.iter().any(|corner| low < *corner && *corner < high), "more than one step apart");
}

#[test]
fn limits_hold_and_more_is_never_less() {
    std::thread::scope(|scope| {
        scope.spawn(|| decide_anywhere(0..75_000));
        decide_anywhere(75_000..150_000);
    });
}

fn ladder(random: &mut Random) -> Vec<Choice> {
    let mut choices: Vec<Choice> = (0..random.within(0..10) as u8)
        .map(|option| Choice { cost: random.within(1..1000), value: random.within(1..1000) as u32, option })
        .collect();
    choices.sort_by_key(|choice| choice.cost);
    choices
}

/// The most value that `budget` buys of the ladders, minimum service first; by trying all.
fn best_of(ladders: &[Vec<Choice>], budget: u64) -> u64 {
    let Some((first, rest)) = ladders.split_first() else { return 0 };
    if first.is_empty() {
        return best_of(rest, budget);
    }
    let minimum: u64 = rest.iter().filter_map(|ladder| Some(ladder.first()?.cost)).sum();
    let fits = |choice: &&Choice| choice.cost + minimum <= budget;
    let values =
        first.iter().filter(fits).map(|choice| u64::from(choice.value) + best_of(rest, budget - choice.cost));
    values.max().unwrap_or(0)
}

#[test]
fn more_budget_is_never_worth_less_of_any_ladders() {
    for_seeds(0..50_000, |random| {
        let kinds = [ladder(random), ladder(random), ladder(random)];
        let of: Vec<usize> = (0..random.within(1..7)).map(|_| random.within(0..3) as usize).collect();
        let mut allocator = Allocator::default();
        allocator.reserve(of.len());
        for (ladder, kind) in allocator.ladders.iter_mut().zip(&of) {
            ladder.clear();
            kinds[*kind].iter().for_each(|choice| ladder.push(*choice));
        }
        let mut last = 0;
        let mut budget = 0;
        for _ in 0..12 {
            budget += random.within(1..400);
            let fits = allocator.share(of.len(), budget);
            let chosen: Vec<_> = (0..of.len()).map(|i| allocator.chosen(i)).collect();
            let spent: u64 = chosen.iter().flatten().map(|choice| choice.cost).sum();
            let value: u64 = chosen.iter().flatten().map(|choice| u64::from(choice.value)).sum();
            assert_eq!(spent, allocator.spent);
            assert!(spent <= budget && value >= last, "{value} after {last}");
            last = value;
            for (a, kind) in of.iter().enumerate() {
                assert!(!fits || chosen[a].is_some() || kinds[*kind].is_empty());
                for b in (a + 1..of.len()).filter(|b| of[*b] == *kind) {
                    let value = |i: usize| chosen[i].map_or(0, |choice| choice.value);
                    check_one_step(&allocator.ladders[a], value(a), value(b));
                }
            }
        }
    });
}

#[test]
fn few_streams_get_nearly_the_best_there_is() {
    let (mut got, mut best) = (0, 0);
    for seed in 0..2000 {
        let random = &mut Random(seed);
        let ladders: Vec<Vec<Choice>> = (0..random.within(1..5)).map(|_| ladder(random)).collect();
        let mut allocator = Allocator::default();
        allocator.reserve(ladders.len());
        for (ladder, choices) in allocator.ladders.iter_mut().zip(&ladders) {
            choices.iter().for_each(|choice| ladder.push(*choice));
        }
        let budget = random.within(1..2500);
        if allocator.share(ladders.len(), budget) {
            let worthy: Vec<Vec<Choice>> =
                allocator.ladders.iter().map(|ladder| ladder.choices().to_vec()).collect();
            let most = best_of(&worthy, budget);
            let chosen = (0..ladders.len()).filter_map(|i| allocator.chosen(i));
            let value = chosen.map(|choice| u64::from(choice.value)).sum::<u64>();
            assert!(value <= most && (ladders.len() > 1 || value == most));
            got += value;
            best += most;
        }
    }
    assert!(got * 1000 >= best * 995, "{got} of {best}");
}

/// Inputs that never come to rest: decided ten times a second for three minutes.
#[test]
fn spatial_switches_are_bounded_whatever_the_path_does() {
    let allowed = SelectorConfig::default().max_switches;
    for_seeds(0..150, |random| {
        let mut situation = Situation::new(random);
        situation.streams.truncate(3);
        let mut selector = situation.selector();
        let period = random.within(1..200);
        let (low, high) = (random.within(50..2000), random.within(50..6000));
        let noise = random.within(1..1500);
        let mut before: Vec<Option<u8>> = vec![None; situation.streams.len()];
        let mut switches: Vec<Vec<u64>> = vec![Vec::new(); situation.streams.len()];
        let mut fallen: Vec<Option<u64>> = vec![None; situation.streams.len()];
        for tick in 0..1800 {
            let now = Time::from_millis(tick * 100);
            let kilobits = if tick / period % 2 == 0 { low } else { high } + random.within(0..noise);
            let network = Network {
                available_bitrate: Some(1000 * kilobits),
                loss: random.maybe(5, |r| r.within(0..20) as f32 / 100.0),
                queueing_delay: random.maybe(5, |r| Duration::from_millis(r.within(0..500))),
                round_trip: None,
            };
            selector.set_network(now, network);
            if random.one_in(20) {
                let load = Some(random.within(0..150) as f32 / 100.0);
                selector.set_cpu(now, &Cpu { load, ..Cpu::default() });
            }
            let decision = selector.decide(now);
            assert!(decision.total_bitrate <= kilobits * 1000 || !decision.fits);
            for (i, stream) in decision.streams.iter().enumerate() {
                let Some(target) = stream.target else { continue };
                let last = before[i].replace(target.spatial_id);
                let Some(last) = last.filter(|last| *last != target.spatial_id) else { continue };
                let fell = target.spatial_id < last;
                // Falls within 2 s are one.
                if fell && fallen[i].is_some_and(|at| tick - at < 20) {
                    switches[i].pop();
                }
                fallen[i] = fell.then_some(tick);
                switches[i].push(tick);
            }
        }
        for switches in &switches {
            let most = switches.iter().map(|end| {
                switches.iter().filter(|at| (end.saturating_sub(599)..=*end).contains(*at)).count()
            });
            assert!(most.max().unwrap_or(0) <= usize::from(allowed), "{switches:?}");
        }
    });
}
