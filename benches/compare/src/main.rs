//! This crate's encoder beside rav1e's and, with the feature `libaom`, libaom's: speed, bits and quality of all,
//! in one run and on one thread.
//!
//! Every encoder codes every clip at several rates, in turns, several times over; the fastest time of each counts.
//! Only the encoder's own calls are timed. Quality is that of what the decoder of this crate makes of the stream,
//! of the highest spatial layer, against the source; rates are those of all layers together.
//!
//! The command `bitrate` measures rate control.

mod bitrate;
mod plot;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use layercast::decoder::{Decoder, DecoderConfig};
use layercast::encoder::SvcConfig;
use layercast::picture::Picture;
use layercast::quality::Quality;
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::{Clip, clips};
use layercast_compare::coders::rav1e::{self, Rav1e};
use layercast_compare::coders::{Coder, Layercast};
use layercast_examples::{Result, at, exit_code, progress};

/// Measures this crate's encoder beside others. Clips are the Y4M files that LAYERCAST_Y4M names, separated as in
/// PATH, or the built-in scene.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Pictures of each clip.
    #[arg(long, default_value_t = 60)]
    pictures: usize,
    /// How often each stream is coded; its fastest time counts.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Only the encoders and modes in whose name, as in "layercast speed 2 L3T3", one of these occurs; separated by
    /// commas.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Speeds of libaom, 5 to 11.
    #[cfg(feature = "libaom")]
    #[arg(long, value_delimiter = ',', default_value = "9")]
    libaom_speeds: Vec<u8>,
    /// Where compare.md, compare.csv and rd.svg go.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

#[derive(clap::Subcommand)]
enum Command {
    Bitrate(bitrate::Args),
}

/// Quantizer indices of this crate's encoder and of rav1e's.
const QUANTIZERS: [u8; 6] = [50, 80, 110, 140, 170, 200];
/// Levels of libaom's constant quality.
#[cfg(feature = "libaom")]
const QUALITY_LEVELS: [u8; 6] = [16, 24, 32, 40, 48, 56];
/// Bitrates of libaom's layers in kbit/s, for 640x360 at 30 pictures a second; others in proportion.
#[cfg(feature = "libaom")]
const BITRATES: [u32; 5] = [150, 300, 600, 1200, 2400];

/// Quantizers of libaom's layers, of 0 to 63: about as far apart as ours.
#[cfg(feature = "libaom")]
const LIBAOM_QUANTIZERS: [u8; 6] = [13, 20, 28, 35, 43, 50];

/// The encoder of this crate.
const LAYERCAST: &str = "layercast";
/// It as it is measured: name of the preset and what it sets. All are compared with the first.
const PRESETS: [(&str, SetPreset); 4] =
    [("2", |_| ()), ("0", |c| c.speed = 0), ("1", |c| c.speed = 1), ("3", |c| c.speed = 3)];
/// The modes that it is measured in.
const MODES: [ScalabilityMode; 3] = [ScalabilityMode::L1T1, ScalabilityMode::L1T3, ScalabilityMode::L3T3];

type SetPreset = fn(&mut SvcConfig);
type MakeCoder = Box<dyn Fn(&Clip) -> Result<Box<dyn Coder>>>;

/// One encoder in one mode.
struct Series {
    encoder: String,
    speed: String,
    mode: ScalabilityMode,
    /// What it is set to, and the encoder with that setting, from many bits to few or the other way round.
    settings: Vec<(String, MakeCoder)>,
}

/// One stream.
struct Point {
    setting: String,
    kbps: f64,
    quality: Quality,
    /// The encoder's, the fastest so far.
    time: Duration,
}

/// What the streams of one encoder and mode of one clip came out as.
struct Curve<'a> {
    series: &'a Series,
    points: Vec<Point>,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    if let Some(Command::Bitrate(args)) = &args.command {
        return bitrate::run(args);
    }
    let clips = clips(args.pictures)?;
    let series: Vec<Vec<Series>> = clips.iter().map(|clip| selected(args, clip)).collect();
    let runs = series.iter().flatten().map(|series| series.settings.len()).sum::<usize>() * args.repeat;
    let bar = progress("coding", Some(runs as u64));
    let mut measured = Vec::new();
    for (clip, series) in clips.iter().zip(&series) {
        measured.push((clip, measure(clip, series, args.repeat, || bar.inc(1))?));
    }
    bar.finish_and_clear();
    at(&args.out, std::fs::create_dir_all(&args.out))?;
    let markdown = report::markdown(&measured, args.repeat);
    print!("{markdown}");
    for (name, text) in [("compare.md", markdown), ("compare.csv", report::csv(&measured))] {
        let path = args.out.join(name);
        at(&path, std::fs::write(&path, text))?;
    }
    let path = args.out.join("rd.svg");
    at(&path, plot::svg(&path, &measured))?;
    println!("\ncompare.md, compare.csv and rd.svg are in {}", args.out.display());
    Ok(())
}

/// All that is to be measured on the clip.
fn selected(
    args: &Args,
    #[cfg_attr(not(feature = "libaom"), expect(unused_variables))] clip: &Clip,
) -> Vec<Series> {
    let mut all = layercast_series();
    all.push(rav1e_series());
    #[cfg(feature = "libaom")]
    all.extend(args.libaom_speeds.iter().flat_map(|&speed| libaom_series(clip, speed)));
    all.retain(|series| {
        args.only.is_empty() || args.only.iter().any(|only| series.name().contains(only.as_str()))
    });
    all
}

fn layercast_series() -> Vec<Series> {
    let series = |(preset, set): (&str, SetPreset), mode: ScalabilityMode| {
        let setting = |quantizer: u8| -> (String, MakeCoder) {
            let make = move |clip: &Clip| -> Result<Box<dyn Coder>> {
                let mut config = SvcConfig::new(clip.size(), mode);
                config.quantizer = quantizer;
                set(&mut config);
                Ok(Box::new(Layercast::new(config)?))
            };
            (format!("q{quantizer}"), Box::new(make))
        };
        let settings = QUANTIZERS.map(setting).into();
        Series { encoder: LAYERCAST.into(), speed: preset.into(), mode, settings }
    };
    PRESETS.iter().flat_map(|&preset| MODES.map(|mode| series(preset, mode))).collect()
}

fn rav1e_series() -> Series {
    let setting = |quantizer: u8| -> (String, MakeCoder) {
        let make =
            move |clip: &Clip| -> Result<Box<dyn Coder>> { Ok(Box::new(Rav1e::new(clip, quantizer)?)) };
        (format!("q{quantizer}"), Box::new(make))
    };
    Series {
        encoder: "rav1e".into(),
        speed: rav1e::SPEED.to_string(),
        mode: ScalabilityMode::L1T1,
        settings: QUANTIZERS.map(setting).into(),
    }
}

#[cfg(feature = "libaom")]
fn libaom_series(clip: &Clip, speed: u8) -> [Series; 3] {
    use layercast_compare::coders::libaom::{EXAMPLE_LARGEST, Libaom, version};

    let quality = |level: u8| -> (String, MakeCoder) {
        let make = move |clip: &Clip| -> Result<Box<dyn Coder>> {
            Ok(Box::new(Libaom::constant_quality(clip, speed, level)?))
        };
        (format!("cq{level}"), Box::new(make))
    };
    let rate = |kbps: u32| -> (String, MakeCoder) {
        let make = move |clip: &Clip| -> Result<Box<dyn Coder>> {
            Ok(Box::new(Libaom::l3t3(clip, speed, kbps, EXAMPLE_LARGEST)?))
        };
        (format!("{kbps} kbit/s"), Box::new(make))
    };
    let quantizer = |quantizer: u8| -> (String, MakeCoder) {
        let make = move |clip: &Clip| -> Result<Box<dyn Coder>> {
            Ok(Box::new(Libaom::l3t3_constant(clip, speed, quantizer)?))
        };
        (format!("quantizer {quantizer}"), Box::new(make))
    };
    let samples = |size: layercast::Size, rate: f64| size.samples() as f64 * rate;
    let rate_of_pictures = clip.frame_rate.num as f64 / clip.frame_rate.den as f64;
    let scale = samples(clip.size(), rate_of_pictures) / samples(layercast::Size::new(640, 360), 30.0);
    let bitrates = BITRATES.map(|kbps| (f64::from(kbps) * scale).round() as u32);
    let series = |name: &str, mode, settings| Series {
        encoder: format!("libaom {}{name}", version()),
        speed: speed.to_string(),
        mode,
        settings,
    };
    [
        series("", ScalabilityMode::L1T1, QUALITY_LEVELS.map(quality).into()),
        series(" constant bitrate", ScalabilityMode::L3T3, bitrates.map(rate).into()),
        series(" constant quantizer", ScalabilityMode::L3T3, LIBAOM_QUANTIZERS.map(quantizer).into()),
    ]
}

impl Series {
    /// As in "rav1e speed 10".
    fn encoder(&self) -> String {
        format!("{} speed {}", self.encoder, self.speed)
    }

    /// As in "rav1e speed 10 L1T1".
    fn name(&self) -> String {
        format!("{} {}", self.encoder(), self.mode)
    }
}

/// Codes the clip in turns: all encoders at one setting, then all at the next, so that whatever else the machine
/// does meets all alike.
fn measure<'a>(clip: &Clip, series: &'a [Series], repeat: usize, done: impl Fn()) -> Result<Vec<Curve<'a>>> {
    let mut curves: Vec<_> = series.iter().map(|series| Curve { series, points: Vec::new() }).collect();
    let most = series.iter().map(|series| series.settings.len()).max().unwrap_or(0);
    for turn in 0..repeat {
        for n in 0..most {
            for curve in &mut curves {
                let Some((setting, make)) = curve.series.settings.get(n) else { continue };
                let failed = |error| format!("{}, {setting}, {}: {error}", curve.series.name(), clip.name);
                let mut coder = make(clip).map_err(failed)?;
                let (units, time) = code(clip, &mut *coder).map_err(failed)?;
                if turn == 0 {
                    let quality = quality(clip.pictures.iter(), &units).map_err(failed)?;
                    let kbps = kbps(clip, &units);
                    curve.points.push(Point { setting: setting.clone(), kbps, quality, time });
                } else {
                    let point = &mut curve.points[n];
                    point.time = point.time.min(time);
                }
                done();
            }
        }
    }
    Ok(curves)
}

/// The clip's temporal units, and the time that the encoder took for them.
fn code(clip: &Clip, coder: &mut dyn Coder) -> Result<(Vec<Bytes>, Duration)> {
    let mut units = Vec::with_capacity(clip.pictures.len());
    let start = Instant::now();
    for picture in &clip.pictures {
        coder.code(picture, &mut units)?;
    }
    coder.finish(&mut units)?;
    Ok((units, start.elapsed()))
}

/// Of the highest spatial layer as it is decoded.
fn quality<'a>(mut sources: impl Iterator<Item = &'a Picture>, units: &[Bytes]) -> Result<Quality> {
    let mut decoder = Decoder::new(DecoderConfig::default())?;
    let mut quality = Quality::default();
    for unit in units {
        for shown in decoder.decode(unit, 0)? {
            let source = sources.next().ok_or("more pictures come out than went in")?;
            quality.add(source.view(), shown.picture.view())?;
        }
    }
    match sources.count() {
        0 => Ok(quality),
        missing => Err(format!("{missing} pictures did not come out").into()),
    }
}

fn kbps(clip: &Clip, units: &[Bytes]) -> f64 {
    let bits = units.iter().map(|unit| unit.len() * 8).sum::<usize>() as f64;
    let seconds = clip.pictures.len() as f64 * clip.frame_rate.den as f64 / clip.frame_rate.num as f64;
    bits / seconds / 1000.0
}
