//! Rate control: how well a bitrate is kept, what it costs against a constant quantizer in bits and in time, and, with
//! the feature `libaom`, both beside libaom's constant bitrate.

mod cost;
mod kept;
#[cfg(feature = "libaom")]
mod peer;
mod player;
mod speed;

use std::path::PathBuf;

use clap::ValueEnum;
use layercast::Size;
use layercast::encoder::{Bitrate, Content, RateConfig, SvcConfig};
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::clips_of;
use layercast_compare::curve::bd_rate;
use layercast_examples::{Result, at, progress};

/// Measures rate control: how a bitrate is kept, and what that costs in bits and time against a constant quantizer. With
/// the feature libaom, beside its constant bitrate.
#[derive(clap::Args)]
pub struct Args {
    /// Y4M files, one or several; the built-in scene at two sizes if there are none.
    #[arg(long, num_args = 1..)]
    clip: Vec<PathBuf>,
    /// The first pictures of each clip that are played forth and back.
    #[arg(long, default_value_t = 60)]
    pictures: usize,
    /// How long each clip is played.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// What is measured, separated by commas.
    #[arg(long, value_delimiter = ',', default_values_t = Part::ALL)]
    parts: Vec<Part>,
    /// How often the time of each picture is measured; the fastest counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where bitrate.md goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
}

/// A part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// How well the bitrate of each decode target is kept.
    Kept,
    /// Jumps of the bitrate.
    Jumps,
    /// Bits at equal quality against a constant quantizer.
    Cost,
    /// Time against a constant quantizer.
    Speed,
    /// Bits at equal quality, and how the bitrate is kept, beside libaom.
    Libaom,
}

impl Part {
    const ALL: [Self; 5] = [Self::Kept, Self::Jumps, Self::Cost, Self::Speed, Self::Libaom];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.to_possible_value();
        f.write_str(name.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Measures all that was asked for, prints it and writes it.
pub fn run(args: &Args) -> Result<()> {
    let bar = progress("clips", Some(args.clip.len().max(2) as u64 * args.parts.len() as u64));
    let clips = clips_of(&args.clip, args.pictures)?;
    let mut report = String::new();
    for part in &args.parts {
        let mut section = String::new();
        for clip in &clips {
            section += &match part {
                Part::Kept => kept::rows(clip, args.seconds)?,
                Part::Jumps => kept::jumps(clip)?,
                Part::Cost => cost::rows(clip, args.seconds)?,
                Part::Speed => speed::rows(clip, args.seconds, args.rounds)?,
                #[cfg(feature = "libaom")]
                Part::Libaom => peer::rows(clip, args.seconds)?,
                #[cfg(not(feature = "libaom"))]
                Part::Libaom => String::new(),
            };
            bar.inc(1);
        }
        if !section.is_empty() {
            report += &format!("{}{section}\n", part.head());
        }
    }
    bar.finish_and_clear();
    print!("{report}");
    at(&args.out, std::fs::create_dir_all(&args.out))?;
    let path = args.out.join("bitrate.md");
    at(&path, std::fs::write(&path, report))?;
    println!("bitrate.md is in {}", args.out.display());
    Ok(())
}

impl Part {
    /// What the part measures, and the head of its table.
    fn head(self) -> &'static str {
        match self {
            Self::Kept => kept::HEAD,
            Self::Jumps => kept::JUMPS_HEAD,
            Self::Cost => cost::HEAD,
            Self::Speed => speed::HEAD,
            #[cfg(feature = "libaom")]
            Self::Libaom => peer::HEAD,
            #[cfg(not(feature = "libaom"))]
            Self::Libaom => "",
        }
    }
}

/// Four bitrates in kbit/s that fit pictures of this size.
fn bitrates(size: Size) -> [u32; 4] {
    match size.samples() {
        ..=230_400 => [100, 300, 700, 1500],
        230_401..=921_600 => [300, 700, 1500, 3000],
        _ => [600, 1200, 2400, 4000],
    }
}

fn constant(size: Size, mode: ScalabilityMode, quantizer: u8) -> SvcConfig {
    let mut config = config(size, mode);
    config.quantizer = quantizer;
    config
}

fn controlled(size: Size, mode: ScalabilityMode, bitrate: Bitrate) -> SvcConfig {
    let mut config = config(size, mode);
    config.rate = Some(RateConfig::new(bitrate));
    config
}

fn config(size: Size, mode: ScalabilityMode) -> SvcConfig {
    let mut config = SvcConfig::new(size, mode);
    config.content = Content::Automatic;
    config
}

/// Bits and quality of one stream.
#[derive(Clone, Copy)]
struct Point {
    kbps: f64,
    y_psnr: f64,
    y_ssim: f64,
}

/// BD-rates against the anchor, by Y-PSNR and by SSIM, as two cells.
fn bd_cells(anchor: &[Point], test: &[Point]) -> String {
    let cell = |quality: fn(&Point) -> f64| {
        let curve =
            |points: &[Point]| points.iter().map(|point| (quality(point), point.kbps)).collect::<Vec<_>>();
        bd_rate(&curve(anchor), &curve(test)).map_or("–".into(), |percent| format!("{percent:+.1} %"))
    };
    format!("{} | {}", cell(|p| p.y_psnr), cell(|p| p.y_ssim))
}
