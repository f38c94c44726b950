//! How well a bitrate is kept.

use layercast::encoder::Bitrate;
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::Clip;
use layercast_compare::track::{Track, Windows};
use layercast_examples::Result;

use super::player::{Made, Player};
use super::{bitrates, controlled};

const MODES: [ScalabilityMode; 5] = [
    ScalabilityMode::L1T1,
    ScalabilityMode::L1T3,
    ScalabilityMode::L3T3,
    ScalabilityMode::L3T3Key,
    ScalabilityMode::S3T3,
];

pub const HEAD: &str = "\
## How the bitrate is kept

Bits over target of each decode target with all layers that it needs, the least and the most of all targets: over all,
and over all windows of 5 s after the first second. Windows in which half of the target's frames have the least or the
largest quantizer are told apart. The largest picture that is no key picture is in budgets of its layers, the largest key
picture in ms of the bitrate of the spatial layer that is shown, the buffer at its emptiest in ms.

| clip | mode | kbit/s | over all | windows | largest picture | key picture ms | buffer ms | pictures at a bound | windows at a bound |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

pub const JUMPS_HEAD: &str = "\
## Jumps of the bitrate

The bitrate is multiplied by 4 after 5 s and divided by 4 after 10 s. Bits over target of the highest decode target in the
first and in the second second after each jump, and of all decode targets in the 4 s from the second second on. A key
picture is one after the first picture.

| clip | mode | kbit/s | first second up | second second up | then | first second down | second second down | then | buffer ms | key pictures |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// How the clip is coded in each mode at several bitrates.
pub fn rows(clip: &Clip, seconds: f64) -> Result<String> {
    let [lowest, low, _, high] = bitrates(clip.size());
    let mut rows = String::new();
    for mode in MODES {
        for kbps in [lowest, low, high] {
            let bitrate = Bitrate::Total(u64::from(kbps) * 1000);
            let made = Player::play(clip, controlled(clip.size(), mode, bitrate), seconds)?;
            rows += &format!("| {} | {mode} | {kbps} | {} |\n", clip.name, cells(&made));
        }
    }
    Ok(rows)
}

fn cells(made: &Made) -> String {
    let (all, [free, bound]) = shares(made.tracks.iter().map(|(_, track)| track));
    format!(
        "{} | {} | {:.1} | {:.0} | {:.0} | {:.0} % | {}",
        range(all),
        range(free.range),
        made.largest,
        made.longest_key * 1000.0,
        made.lowest_buffer * 1000.0,
        100.0 * made.at_bound as f64 / made.units.len().max(1) as f64,
        at_bound(free, bound),
    )
}

/// Of all decode targets: the least and the most over all, and all windows, free and at a bound.
pub fn shares<'a>(tracks: impl Iterator<Item = &'a Track>) -> ((f64, f64), [Windows; 2]) {
    let mut all = Windows::NONE.range;
    let mut windows = [Windows::NONE; 2];
    for track in tracks {
        let total = track.total();
        all = (all.0.min(total), all.1.max(total));
        let [free, bound] = track.windows();
        windows = [windows[0].and(free), windows[1].and(bound)];
    }
    (all, windows)
}

pub fn range((low, high): (f64, f64)) -> String {
    if low > high { "–".into() } else { format!("{low:.2} to {high:.2}") }
}

fn at_bound(free: Windows, bound: Windows) -> String {
    match bound.count {
        0 => "none".into(),
        count => {
            let share = 100.0 * count as f64 / (count + free.count) as f64;
            format!("{share:.0} %: {}", range(bound.range))
        }
    }
}

/// How the clip is coded in each mode with a bitrate that jumps.
pub fn jumps(clip: &Clip) -> Result<String> {
    const UP: f64 = 5.0;
    const DOWN: f64 = 10.0;
    const END: f64 = 15.0;
    // Both bitrates fit the size.
    let kbps = bitrates(clip.size())[1] / 2;
    let bitrate = |times: u32| Bitrate::Total(u64::from(kbps * times) * 1000);
    let mut rows = String::new();
    for mode in MODES {
        let mut player = Player::new(clip, controlled(clip.size(), mode, bitrate(1)))?;
        for (picture, captured) in clip.played(END) {
            let at = captured.since_start().as_secs_f64();
            player.encoder.set_bitrate(bitrate(if (UP..DOWN).contains(&at) { 4 } else { 1 }))?;
            player.picture(picture, captured)?;
        }
        let made = player.made;
        let of = |start: f64| {
            let second = |n: f64| format!("{:.2}", made.top().share(start + n, start + n + 1.0));
            let then = made.tracks.iter().map(|(_, track)| track.share(start + 1.0, start + 5.0));
            let start = (f64::INFINITY, f64::NEG_INFINITY);
            let then = then.fold(start, |(low, high), share| (low.min(share), high.max(share)));
            format!("{} | {} | {}", second(0.0), second(1.0), range(then))
        };
        rows += &format!(
            "| {} | {mode} | {kbps}, {} | {} | {} | {:.0} | {} |\n",
            clip.name,
            kbps * 4,
            of(UP),
            of(DOWN),
            made.lowest_buffer * 1000.0,
            made.keys.len() - 1,
        );
    }
    Ok(rows)
}
