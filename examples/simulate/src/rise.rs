//! A path that drops and rises: how soon the streams of a receiver are back, and how long its windows stand still.

use std::time::Duration;

use layercast::Time;
use layercast::simulate::{Call, CodedVideo, LinkConfig, Policy, ReceiverOutcome, Trace};
use layercast_examples::Result;

/// The crate's scene.
const SCENE: &str = include_str!("../../../src/simulate/scene-l3t3.csv");
const WIDE: u64 = 1_500_000;
const NARROW: u64 = 400_000;
/// A rise has been followed when what is sent holds at a share of what it was before the drop for so many seconds.
const BACK: f64 = 0.9;
const HOLDS: f64 = 3.0;
/// Seconds of a call, and of one of its samples.
const CALL: u64 = 100;
const SAMPLE: f64 = 0.5;
/// A stall that begins so long before the drop belongs to it: a picture that was late already.
const EDGE: f64 = 0.1;

/// Streams in a gallery, and the share of the scene's bitrate that each has.
const CALLS: [(u32, f64); 6] = [(1, 1.0), (2, 1.0), (3, 1.0), (5, 1.0), (2, 0.35), (3, 0.35)];

/// The scene with frames of another size.
fn scene(share: f64) -> Result<CodedVideo> {
    let mut text = String::new();
    for line in SCENE.lines() {
        let mut fields = line.splitn(3, ',');
        let (kind, layer, sizes) = (fields.next(), fields.next(), fields.next());
        match (kind, layer, sizes) {
            (Some(kind @ ("frames" | "key" | "refresh")), Some(layer), Some(sizes)) => {
                let sizes: std::result::Result<Vec<_>, _> = sizes
                    .split(',')
                    .filter(|size| !size.is_empty())
                    .map(|size| size.parse().map(|size: f64| ((size * share) as u32).max(20).to_string()))
                    .collect();
                text += &format!("{kind},{layer},{}\n", sizes?.join(","));
            }
            _ => text += &format!("{line}\n"),
        }
    }
    Ok(text.parse()?)
}

/// Where a call's path drops and rises, in seconds: at other times in each call, as probes go by the clock.
fn times(seed: u64) -> (f64, f64) {
    let part = |golden: f64| (seed as f64 * golden).fract();
    (40.0 + 3.5 * part(0.618_034), 60.0 + 3.5 * part(0.754_878))
}

/// Seconds until the receiver gets what it did before the drop, if ever.
fn follows(receiver: &ReceiverOutcome, drop: f64, rise: f64) -> Option<f64> {
    let end = |sample: usize| (sample + 1) as f64 * SAMPLE;
    let mean = |from: f64, to: f64| {
        let (mut sum, mut count) = (0.0, 0.0);
        for (at, sample) in receiver.samples.iter().enumerate() {
            if end(at) > from && end(at) <= to {
                (sum, count) = (sum + sample.media as f64, count + 1.0);
            }
        }
        sum / f64::max(count, 1.0)
    };
    let usual = BACK * mean(drop - 10.0, drop);
    let mut ends = (0..receiver.samples.len()).map(end);
    ends.find(|at| *at >= rise && mean(*at, *at + HOLDS) >= usual).map(|at| at - rise)
}

/// Prints a row for each call, with and without loss, over so many seeds.
pub fn print(seeds: u64) -> Result<()> {
    println!(
        "| streams | loss | s of stall: before | at 400 kbit/s | after | rise followed in s, each seed | mean |"
    );
    println!("| --- | --- | ---: | ---: | ---: | --- | ---: |");
    for (streams, share) in CALLS {
        for loss in [0.0, 0.02] {
            let (mut stalls, mut found) = ([0.0; 3], vec![]);
            for seed in 1..=seeds {
                let (drop, rise) = times(seed);
                let seconds = Duration::from_secs_f64;
                let trace = Trace::steps(&[
                    (seconds(drop), WIDE),
                    (seconds(rise - drop), NARROW),
                    (seconds(CALL as f64), WIDE),
                ]);
                let mut link = LinkConfig::default();
                link.delay = Duration::from_millis(40);
                (link.queue, link.loss, link.seed) = (56_000, loss, seed);
                let mut call = Call::gallery(trace, link, Duration::from_secs(CALL), streams);
                call.video = scene(share)?;
                let outcome = call.run(Policy::Selector);
                let receiver = &outcome.receivers[0];
                for (from, to) in receiver.windows.iter().flat_map(|(_, window)| &window.freezes) {
                    let from_start = |time: &Time| time.since_start().as_secs_f64();
                    let (from, to) = (from_start(from), from_start(to));
                    let part = usize::from(from >= drop - EDGE) + usize::from(from >= rise);
                    stalls[part] += (to - from) / seeds as f64 / f64::from(streams);
                }
                found.push(follows(receiver, drop, rise));
            }
            found.sort_by_key(|time| time.map_or(u64::MAX, |time| (time * 1e3) as u64));
            let known: Vec<f64> = found.iter().flatten().copied().collect();
            let each: Vec<_> =
                found.iter().map(|time| time.map_or("never".into(), |time| format!("{time:.1}"))).collect();
            let mean = match known.len() == found.len() {
                true => format!("{:.1}", known.iter().sum::<f64>() / known.len() as f64),
                false => "-".into(),
            };
            let share = if share < 1.0 { format!(" of {:.0} %", 100.0 * share) } else { String::new() };
            let [before, narrow, after] = stalls;
            let loss = 100.0 * loss;
            println!(
                "| {streams}{share} | {loss:.0} % | {before:.2} | {narrow:.2} | {after:.2} | {} | {mean} |",
                each.join(" ")
            );
        }
    }
    Ok(())
}
