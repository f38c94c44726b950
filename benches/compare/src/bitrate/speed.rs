//! What rate control costs in time.

use std::time::Duration;

use layercast::encoder::Bitrate;
use layercast_compare::coders::clip::Clip;
use layercast_examples::Result;

use super::cost::MODES;
use super::player::{Made, Player};
use super::{constant, controlled};

const QUANTIZER: u8 = 110;

pub const HEAD: &str = "\
## What rate control costs in time

Both encoders code each picture in turn, several times over; of each picture the fastest time counts.

| clip | mode | kbit/s | pictures/s, constant quantizer | pictures/s, rate control | time |
| --- | --- | ---: | ---: | ---: | ---: |
";

/// Of the clip in each mode.
pub fn rows(clip: &Clip, seconds: f64, rounds: usize) -> Result<String> {
    let mut rows = String::new();
    for mode in MODES {
        let constant = || constant(clip.size(), mode, QUANTIZER);
        let kbps = Player::play(clip, constant(), seconds)?.kbps(seconds);
        let controlled = || controlled(clip.size(), mode, Bitrate::Total((kbps * 1000.0) as u64));
        let mut fastest = [Vec::new(), Vec::new()];
        for _ in 0..rounds.max(1) {
            let mut players = [Player::new(clip, constant())?, Player::new(clip, controlled())?];
            for (n, (picture, captured)) in clip.played(seconds).enumerate() {
                // Neither always goes first.
                let [first, second] = if n % 2 == 0 { [0, 1] } else { [1, 0] };
                players[first].picture(picture, captured)?;
                players[second].picture(picture, captured)?;
            }
            for (fastest, player) in fastest.iter_mut().zip(players) {
                keep_fastest(fastest, player.made);
            }
        }
        let [constant, controlled] =
            fastest.map(|times| times.iter().sum::<Duration>().as_secs_f64() / times.len() as f64);
        rows += &format!(
            "| {} | {mode} | {kbps:.0} | {:.1} | {:.1} | {:+.1} % |\n",
            clip.name,
            1.0 / constant,
            1.0 / controlled,
            100.0 * (controlled / constant - 1.0),
        );
    }
    Ok(rows)
}

fn keep_fastest(fastest: &mut Vec<Duration>, made: Made) {
    if fastest.is_empty() {
        *fastest = made.times;
        return;
    }
    for (fastest, time) in fastest.iter_mut().zip(made.times) {
        *fastest = time.min(*fastest);
    }
}
