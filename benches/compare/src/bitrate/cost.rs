//! What rate control costs in bits.

use layercast::encoder::{Bitrate, SvcConfig};
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::Clip;
use layercast_examples::Result;

use super::player::Player;
use super::{Point, bd_cells, constant, controlled};
use crate::quality;

pub const MODES: [ScalabilityMode; 3] = [ScalabilityMode::L1T1, ScalabilityMode::L1T3, ScalabilityMode::L3T3];
/// From many bits to few.
const QUANTIZERS: [u8; 4] = [50, 80, 110, 135];

pub const HEAD: &str = "\
## What rate control costs in bits

Bits at equal quality of the highest decode target (BD-rate) against a constant quantizer: four quantizers, and the
bitrates that they give, kept by rate control.

| clip | mode | kbit/s | bits, Y-PSNR | bits, SSIM |
| --- | --- | ---: | ---: | ---: |
";

/// Of the clip in each mode.
pub fn rows(clip: &Clip, seconds: f64) -> Result<String> {
    let mut rows = String::new();
    for mode in MODES {
        let (mut anchor, mut test) = (Vec::new(), Vec::new());
        for quantizer in QUANTIZERS {
            let point = point(clip, constant(clip.size(), mode, quantizer), seconds)?;
            let bitrate = Bitrate::Total((point.kbps * 1000.0) as u64);
            anchor.push(point);
            test.push(self::point(clip, controlled(clip.size(), mode, bitrate), seconds)?);
        }
        let (low, high) = (anchor[anchor.len() - 1].kbps, anchor[0].kbps);
        rows +=
            &format!("| {} | {mode} | {low:.0} to {high:.0} | {} |\n", clip.name, bd_cells(&anchor, &test));
    }
    Ok(rows)
}

/// What comes out of the clip.
pub(super) fn point(clip: &Clip, config: SvcConfig, seconds: f64) -> Result<Point> {
    let made = Player::play(clip, config, seconds)?;
    let quality = quality(clip.played(seconds).map(|(picture, _)| picture), &made.units)?;
    Ok(Point { kbps: made.kbps(seconds), y_psnr: quality.y_psnr(), y_ssim: quality.y_ssim() })
}
