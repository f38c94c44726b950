//! The figures as tables.

use std::fmt::Write;

use layercast::structure::ScalabilityMode;

use crate::coders::clip::Clip;
use crate::curve::{Speeds, bd_rate, mean_ratio, speeds};
use crate::{Curve, Point};

/// Bitrates at which speeds are compared.
const RATES: u32 = 5;

/// Of one point or of all pictures of it.
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
        self.series.encoder == "layercast"
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
    let sizes: Vec<_> = measured
        .iter()
        .map(|(clip, _)| format!("{} ({}x{})", clip.name, clip.size().0, clip.size().1))
        .collect();
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
    writeln!(
        out,
        "\nBits for the same quality (BD-rate), and speed at the same bitrate and, where both have it, at the same \
         quantizer index.\n"
    )?;
    writeln!(
        out,
        "| clip | encoder, mode | against | bits, Y-PSNR | bits, SSIM | pictures/s at kbit/s | times as fast | \
         same quantizer |"
    )?;
    writeln!(out, "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")?;
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

/// Speeds in the middle of the common bitrates, their ratio over all of them, and that at equal settings.
fn speed_cells(anchor: &Curve<'_>, test: &Curve<'_>) -> String {
    let pairs = |curve: &Curve<'_>| curve.pairs(|p| p.kbps, Point::fps);
    let speeds = speeds(&pairs(anchor), &pairs(test), RATES);
    let ratio = |speeds: &Speeds| speeds.test / speeds.anchor;
    let mut out = match (speeds.get(speeds.len() / 2), mean_ratio(speeds.iter().map(ratio))) {
        (Some(middle), Some(mean)) => {
            let start = (f64::INFINITY, f64::NEG_INFINITY);
            let range = speeds.iter().map(ratio).fold(start, |(low, high), r| (low.min(r), high.max(r)));
            format!(
                "{} : {} at {:.0} | {mean:.2} ({:.2} to {:.2})",
                short(middle.test),
                short(middle.anchor),
                middle.kbps,
                range.0,
                range.1
            )
        }
        _ => "– | –".to_owned(),
    };
    let equal = |point: &Point| {
        let other = anchor.points.iter().find(|other| other.setting == point.setting)?;
        Some(point.fps() / other.fps())
    };
    let equal: Vec<f64> = test.points.iter().filter_map(equal).collect();
    out += &mean_ratio(equal.into_iter()).map_or(" | –".into(), |mean| format!(" | {mean:.2}"));
    out
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
