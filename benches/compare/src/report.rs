//! The figures as tables.

use std::fmt::Write;

use layercast::structure::ScalabilityMode;

use crate::{Curve, Point};
use layercast_compare::coders::clip::Clip;
use layercast_compare::curve::{Pair, bd_rate, mean_ratio, pairs};

/// Bitrates, and qualities, at which speeds are compared; the one in the middle is told.
const PLACES: u32 = 5;

impl Point {
    /// Pictures a second.
    fn fps(&self) -> f64 {
        self.quality.frames() as f64 / self.time.as_secs_f64()
    }
}

impl Curve<'_> {
    /// As pairs of two figures of each point.
    pub fn pairs(&self, x: impl Fn(&Point) -> f64, y: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (x(point), y(point))).collect()
    }

    /// The least and the most of a figure.
    fn range(&self, of: impl Fn(&Point) -> f64) -> (f64, f64) {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        self.points.iter().map(of).fold(start, |(low, high), value| (low.min(value), high.max(value)))
    }

    fn ours(&self) -> bool {
        self.series.encoder == crate::LAYERCAST
    }
}

/// What all points are, and how the curves compare.
pub fn markdown(measured: &[(&Clip, Vec<Curve<'_>>)], repeat: usize) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_series(&mut out, measured, repeat).and_then(|()| write_comparisons(&mut out, measured));
    out
}

fn write_series(out: &mut String, measured: &[(&Clip, Vec<Curve<'_>>)], repeat: usize) -> std::fmt::Result {
    let sizes: Vec<_> = measured.iter().map(|(clip, _)| format!("{} ({})", clip.name, clip.size())).collect();
    let pictures = measured.first().map_or(0, |(clip, _)| clip.pictures.len());
    writeln!(out, "{}: {pictures} pictures, one thread, fastest of {repeat} runs.\n", sizes.join(", "))?;
    writeln!(out, "| clip | encoder | mode | kbit/s | Y-PSNR dB | SSIM | pictures/s |")?;
    writeln!(out, "| --- | --- | --- | ---: | ---: | ---: | ---: |")?;
    for (clip, curve) in all(measured) {
        let (kbps, psnr) = (curve.range(|p| p.kbps), curve.range(|p| p.quality.y_psnr()));
        let (ssim, fps) = (curve.range(|p| p.quality.y_ssim()), curve.range(Point::fps));
        writeln!(
            out,
            "| {} | {} | {} | {:.0} to {:.0} | {:.1} to {:.1} | {:.3} to {:.3} | {} to {} |",
            clip.name,
            curve.series.encoder(),
            curve.series.mode,
            kbps.0,
            kbps.1,
            psnr.0,
            psnr.1,
            ssim.0,
            ssim.1,
            short(fps.0),
            short(fps.1),
        )?;
    }
    Ok(())
}

fn write_comparisons(out: &mut String, measured: &[(&Clip, Vec<Curve<'_>>)]) -> std::fmt::Result {
    out.push_str(
        "\nBits for the same quality (BD-rate), and how many times as fast at the same bitrate, the same Y-PSNR and, \
         where both have it, the same quantizer index: the mean, and the least and most.\n\n\
         | clip | encoder, mode | against | bits, Y-PSNR | bits, SSIM | pictures/s at kbit/s | same bitrate | \
         same Y-PSNR | same quantizer |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for (clip, curves) in measured {
        for test in curves {
            for anchor in curves.iter().filter(|anchor| compared(test, anchor)) {
                writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} |",
                    clip.name,
                    test.series.name(),
                    anchor.series.name(),
                    percent(anchor, test, |p| p.quality.y_psnr()),
                    percent(anchor, test, |p| p.quality.y_ssim()),
                    speed_cells(anchor, test),
                )?;
            }
        }
    }
    Ok(())
}

/// Ours with others in the same mode, a preset with the first one, others with each other, and layers with one layer
/// of the same encoder.
fn compared(test: &Curve<'_>, anchor: &Curve<'_>) -> bool {
    let (a, b) = (test.series, anchor.series);
    let first_preset = anchor.ours() && b.speed == crate::PRESETS[0].0;
    if a.encoder() == b.encoder() {
        return a.mode != b.mode && b.mode == ScalabilityMode::L1T1;
    }
    a.mode == b.mode
        && match (test.ours(), anchor.ours()) {
            (true, true) => first_preset,
            (true, false) => true,
            (false, true) => false,
            (false, false) => a.encoder == "rav1e",
        }
}

fn percent(anchor: &Curve<'_>, test: &Curve<'_>, quality: impl Fn(&Point) -> f64) -> String {
    let pairs = |curve: &Curve<'_>| curve.pairs(&quality, |p| p.kbps);
    bd_rate(&pairs(anchor), &pairs(test)).map_or("–".into(), |percent| format!("{percent:+.1} %"))
}

/// Speeds in the middle of the common bitrates, and how many times as fast the test is over all of them, over the
/// common qualities, and at equal settings.
fn speed_cells(anchor: &Curve<'_>, test: &Curve<'_>) -> String {
    let over = |x: fn(&Point) -> f64| pairs(&anchor.pairs(x, Point::fps), &test.pairs(x, Point::fps), PLACES);
    let at_rates = over(|p| p.kbps.ln());
    let middle = at_rates
        .get(at_rates.len() / 2)
        .map(|pair| format!("{} : {} at {:.0}", short(pair.test), short(pair.anchor), pair.x.exp()));
    let at_qualities = over(|p| p.quality.y_psnr());
    let at_setting = |point: &Point| {
        let other = anchor.points.iter().find(|other| other.setting == point.setting)?;
        Some(Pair { x: 0.0, anchor: other.fps(), test: point.fps() })
    };
    let at_settings: Vec<_> = test.points.iter().filter_map(at_setting).collect();
    [middle, times(&at_rates), times(&at_qualities), times(&at_settings)]
        .map(|cell| cell.unwrap_or("–".into()))
        .join(" | ")
}

/// The mean ratio, and the least and most of it.
fn times(pairs: &[Pair]) -> Option<String> {
    let ratios = || pairs.iter().map(|pair| pair.test / pair.anchor);
    let (low, high) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    mean_ratio(ratios()).map(|mean| format!("{mean:.2} ({low:.2} to {high:.2})"))
}

/// Three digits.
fn short(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// One line a point.
pub fn csv(measured: &[(&Clip, Vec<Curve<'_>>)]) -> String {
    let mut out = String::from(
        "clip,encoder,mode,speed,threads,frames,fps,target_kbps,actual_kbps,y_psnr_avg_db,y_ssim,encode_frames_per_s\n",
    );
    for (clip, curve) in all(measured) {
        for point in &curve.points {
            out += &format!(
                "{},{},{},{},1,{},{},{},{:.1},{:.6},{:.6},{:.1}\n",
                clip.name,
                curve.series.encoder.replace(' ', "-"),
                curve.series.mode,
                curve.series.speed,
                clip.pictures.len(),
                clip.frame_rate.num as f64 / clip.frame_rate.den as f64,
                point.setting,
                point.kbps,
                point.quality.y_psnr(),
                point.quality.y_ssim(),
                point.fps(),
            );
        }
    }
    out
}

fn all<'a, 'b>(measured: &'a [(&Clip, Vec<Curve<'b>>)]) -> impl Iterator<Item = (&'a Clip, &'a Curve<'b>)> {
    measured.iter().flat_map(|(clip, curves)| curves.iter().map(move |curve| (*clip, curve)))
}
