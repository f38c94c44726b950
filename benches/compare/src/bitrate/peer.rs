//! Beside libaom's constant bitrate.

use std::time::Instant;

use layercast::encoder::{Bitrate, LayerBitrates, SvcConfig};
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::Clip;
use layercast_compare::coders::libaom::{Libaom, l3t3_bitrates, version};
use layercast_compare::track::{Taken, Track};
use layercast_examples::Result;

use super::kept::{range, shares};
use super::player::{Made, Player};
use super::{Point, bd_cells, bitrates, controlled};
use crate::quality;

const SPEED: u8 = 9;
/// Its control may use all quantizers, as ours may.
const LARGEST: u8 = 63;

pub const HEAD: &str = "\
## Beside libaom's constant bitrate

Four bitrates each. L3T3 has the same split of layers for both, that of libaom's example: 1, 2 and 6 ninths for the spatial
layers, 50, 20 and 30 % of it for the temporal layers. Bits are those at equal quality of the highest decode target
(BD-rate), against libaom's; shares are bits over target of each decode target, as above, windows at a bound included.

| clip | mode | encoder | kbit/s | bits, Y-PSNR | bits, SSIM | over all | windows | pictures/s |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// Of one layer, and of three by three.
pub fn rows(clip: &Clip, seconds: f64) -> Result<String> {
    let mut rows = String::new();
    for mode in [ScalabilityMode::L1T1, ScalabilityMode::L3T3] {
        let (mut anchor, mut test) = (Stream::default(), Stream::default());
        for kbps in bitrates(clip.size()) {
            anchor.add(clip, seconds, libaom(clip, mode, kbps, seconds)?)?;
            test.add(clip, seconds, Player::play(clip, ours(clip, mode, kbps), seconds)?)?;
        }
        for (name, bits, stream) in [
            ("ours".into(), bd_cells(&anchor.points, &test.points), &test),
            (format!("libaom {} speed {SPEED}", version()), "– | –".into(), &anchor),
        ] {
            let (all, [free, bound]) = shares(stream.tracks.iter());
            let (first, last) = (&stream.points[0], &stream.points[stream.points.len() - 1]);
            rows += &format!(
                "| {} | {mode} | {name} | {:.0} to {:.0} | {bits} | {} | {} | {:.0} |\n",
                clip.name,
                first.kbps,
                last.kbps,
                range(all),
                range(free.and(bound).range),
                stream.pictures as f64 / stream.time,
            );
        }
    }
    Ok(rows)
}

/// What one encoder made at all bitrates.
#[derive(Default)]
struct Stream {
    points: Vec<Point>,
    tracks: Vec<Track>,
    pictures: usize,
    /// In seconds.
    time: f64,
}

impl Stream {
    fn add(&mut self, clip: &Clip, seconds: f64, made: Made) -> Result<()> {
        let quality = quality(clip.played(seconds).map(|(picture, _)| picture), &made.units)?;
        let point = Point { kbps: made.kbps(seconds), y_psnr: quality.y_psnr(), y_ssim: quality.y_ssim() };
        self.points.push(point);
        self.pictures += made.units.len();
        self.time += made.times.iter().map(|time| time.as_secs_f64()).sum::<f64>();
        self.tracks.extend(made.tracks.into_iter().map(|(_, track)| track));
        Ok(())
    }
}

fn split(mode: ScalabilityMode, kbps: u32) -> LayerBitrates {
    if mode == ScalabilityMode::L3T3 {
        return l3t3_bitrates(kbps);
    }
    let mut bitrates = LayerBitrates::default();
    let layer = mode.structure().decode_targets().next();
    layer.into_iter().for_each(|layer| bitrates.set(layer, u64::from(kbps) * 1000));
    bitrates
}

fn ours(clip: &Clip, mode: ScalabilityMode, kbps: u32) -> SvcConfig {
    controlled(clip.size(), mode, Bitrate::Layers(split(mode, kbps)))
}

fn libaom(clip: &Clip, mode: ScalabilityMode, kbps: u32, seconds: f64) -> Result<Made> {
    let mut coder = match mode {
        ScalabilityMode::L3T3 => Libaom::l3t3(clip, SPEED, kbps, LARGEST)?,
        _ => Libaom::constant_bitrate(clip, SPEED, kbps, LARGEST)?,
    };
    let structure = mode.structure();
    let bitrates = split(mode, kbps);
    let interval = clip.frame_rate.den as f64 / clip.frame_rate.num as f64;
    let tracks = structure.decode_targets().map(|target| (target, Track::default())).collect();
    let mut made = Made { tracks, ..Made::default() };
    for (picture, captured) in clip.played(seconds) {
        let start = Instant::now();
        let frames = coder.code_layers(picture)?;
        made.times.push(start.elapsed());
        for (target, track) in &mut made.tracks {
            let needed = frames.iter().filter(|(layer, _)| {
                layer.spatial_id <= target.spatial_id && layer.temporal_id <= target.temporal_id
            });
            track.push(Taken {
                at: captured.since_start().as_secs_f64(),
                bits: needed.map(|(_, data)| 8 * data.len() as u64).sum(),
                budget: bitrates.of_target(structure, *target) as f64 * interval,
                bound: false,
            });
        }
        made.units.push(frames.into_iter().flat_map(|(_, data)| data).collect());
    }
    Ok(made)
}
