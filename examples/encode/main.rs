//! Codes a Y4M video as the layers of a scalability mode, at a constant quantizer or a bitrate.

#[path = "../common/mod.rs"]
mod common;
mod script;
mod timeline;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use layercast::Time;
use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::encoder::{Bitrate, Content, DEFAULT_SPEED, RateConfig, SvcConfig, SvcEncoder, TemporalUnit};
use layercast::picture::Picture;
use layercast::quality::Quality;
use layercast::structure::ScalabilityMode;

use common::receivers::Receivers;
use common::report::{self, Duration, Row};
use common::video::Source;
use common::{Result, at, exit_code, progress, warn_of_debug_build};
use script::Script;
use timeline::Timeline;

/// Codes a video as the layers of a scalability mode and says what each decode target costs
/// and how close to the source it is.
#[derive(Parser)]
#[command(allow_missing_positional = true)]
struct Args {
    /// A Y4M video (8-bit 4:2:0); if not given, a video call drawn by code, at 1280x720.
    input: Option<PathBuf>,
    /// The IVF file to write.
    output: PathBuf,
    /// Scalability mode, as W3C webrtc-svc names it.
    #[arg(long, default_value = "L3T3")]
    mode: ScalabilityMode,
    /// Quantizer index (base_q_idx), 1 (best) to 255, if there is no bitrate.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// The bitrate to keep, of all layers together, in 1000 bits a second.
    #[arg(long, value_name = "KBPS", conflicts_with = "qp")]
    bitrate: Option<f64>,
    /// The bitrates to keep, of each layer by itself: S0T0=40,S0T1=20, in 1000 bits a second.
    #[arg(long, value_name = "LAYERS", conflicts_with_all = ["qp", "bitrate"])]
    layer_bitrates: Option<String>,
    /// Leaves pictures out where the largest quantizer still takes too many bits, highest temporal layer first.
    #[arg(long)]
    drop_frames: bool,
    /// Changes to make on the way, a line of JSON each: {"at": 5, "bitrate": 300}. Others are layer_bitrates,
    /// quantizer, "wanted": ["S0T2"], "refresh": [1], "key": true.
    #[arg(long, value_name = "FILE", conflicts_with = "verify")]
    script: Option<PathBuf>,
    /// Writes what each frame took to this CSV file.
    #[arg(long, value_name = "FILE")]
    pictures: Option<PathBuf>,
    /// Draws bits, buffer, quantizer and quality over time into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Pictures to code: all of a file and 300 of the drawn call, if not given.
    #[arg(long)]
    frames: Option<u64>,
    /// Threads to code with; all of the machine's where not given.
    #[arg(long)]
    threads: Option<usize>,
    /// log2 of the tile columns, which threads can share; by the width where not given.
    #[arg(long)]
    tile_columns_log2: Option<u8>,
    /// 0 takes the fewest bits, 8 the least time.
    #[arg(long, default_value_t = DEFAULT_SPEED)]
    speed: u8,
    /// What the pictures show.
    #[arg(long, value_enum, default_value_t = Shown::Automatic)]
    content: Shown,
    /// The same as --content screen.
    #[arg(long, conflicts_with = "content")]
    screen: bool,
    /// Also decodes every decode target with the layers above it dropped. The exit code is 1 where a sample
    /// differs from the coder's own reconstruction.
    #[arg(long)]
    verify: bool,
    /// Appends a line with the rate, quality and speed to this file.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// The video's name in that line; if not given, that of its file, or "scene".
    #[arg(long)]
    clip: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Shown {
    Camera,
    Screen,
    /// Found out by the coder.
    Automatic,
}

const CSV_HEADER: &str = "clip,encoder,mode,speed,threads,frames,fps,target_kbps,actual_kbps,y_psnr_avg_db,y_ssim,encode_frames_per_s";

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    }
    if args.output.extension().is_some_and(|extension| extension == "y4m") {
        return at(&args.output, Err("the output is an IVF file"));
    }
    warn_of_debug_build();
    let input = Source::open(args.input.as_deref())?;
    let mut session = Session::new(args, &input)?;
    let limit = args.frames.unwrap_or(input.default_frames);
    let bar = progress("coding", Some(limit).filter(|&limit| limit < u64::MAX));
    for picture in input.pictures.take(usize::try_from(limit)?) {
        session.picture(&picture?)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let duration = Duration { pictures: session.pictures, frame_rate: input.frame_rate };
    if session.pictures == 0 {
        return Err(format!("no pictures in {}", input.name).into());
    }
    let fps = session.pictures as f64 / session.seconds;
    report::print(&session.rows, duration);
    session.print_bitrates();
    at(&args.output, session.file.finish())?;
    println!();
    println!(
        "{} pictures, {:.1} kbit/s, coded at {fps:.1} pictures/s by {} thread(s)",
        session.pictures,
        duration.kbps(session.bytes),
        rayon::current_num_threads(),
    );
    if let (Some(path), Some(top)) = (&args.csv, session.rows.last()) {
        let clip = match &args.clip {
            Some(clip) => clip.clone(),
            None => input.name.clone(),
        };
        let line = format!(
            "{clip},layercast,{},{},{},{},{},{},{:.1},{:.6},{:.6},{fps:.1}",
            args.mode,
            args.speed,
            rayon::current_num_threads(),
            session.pictures,
            session.pictures as f64 / duration.seconds(),
            args.bitrate.map_or(format!("q{}", args.qp), |kbps| kbps.to_string()),
            duration.kbps(session.bytes),
            top.quality.y_psnr(),
            top.quality.y_ssim(),
        );
        at(path, append(path, &line))?;
    }
    if let Some(path) = &args.plot {
        at(path, session.timeline.draw(path, &format!("{} as {}", input.name, args.mode)))?;
        println!("drawn: {}", path.display());
    }
    if let Some(receivers) = &session.receivers {
        println!("{}", receivers.verdict()?);
    }
    Ok(())
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() == 0 {
        writeln!(file, "{CSV_HEADER}")?;
    }
    writeln!(file, "{line}")
}

/// A video being coded, and all that is counted on the way.
struct Session {
    encoder: SvcEncoder,
    file: IvfWriter<BufWriter<File>>,
    rows: Vec<Row>,
    receivers: Option<Receivers>,
    pictures: u64,
    bytes: usize,
    /// Spent in the coder.
    seconds: f64,
    /// From a picture to the next.
    interval: std::time::Duration,
    script: Script,
    timeline: Timeline,
    /// Bits that each decode target was to take so far.
    budgets: Vec<f64>,
}

impl Session {
    fn new(args: &Args, input: &Source) -> Result<Self> {
        let size = input.size;
        let mut config = SvcConfig::new(size, args.mode);
        config.quantizer = args.qp;
        config.speed = args.speed;
        config.content = match args.content {
            _ if args.screen => Content::Screen,
            Shown::Camera => Content::Camera,
            Shown::Screen => Content::Screen,
            Shown::Automatic => Content::Automatic,
        };
        let bitrate = match (args.bitrate, &args.layer_bitrates) {
            (Some(kbps), _) => Some(Bitrate::Total(script::bits(kbps))),
            (None, Some(layers)) => Some(Bitrate::Layers(script::layer_bitrates(layers)?)),
            (None, None) => None,
        };
        config.rate = bitrate.map(|bitrate| {
            let mut rate = RateConfig::new(bitrate);
            rate.drop_pictures = args.drop_frames;
            rate
        });
        config.tile_columns_log2 = args.tile_columns_log2;
        let encoder = SvcEncoder::new(config)?;
        let rate = input.frame_rate;
        let header = IvfHeader {
            width: u16::try_from(size.width)?,
            height: u16::try_from(size.height)?,
            timebase_denominator: u32::try_from(rate.num)?,
            timebase_numerator: u32::try_from(rate.den)?,
            frame_count: 0,
        };
        let file = BufWriter::new(at(&args.output, File::create(&args.output))?);
        let structure = args.mode.structure();
        Ok(Self {
            encoder,
            file: at(&args.output, IvfWriter::new(file, &header))?,
            rows: structure.decode_targets().map(Row::new).collect(),
            receivers: args.verify.then(|| Receivers::new(args.mode)).transpose()?,
            pictures: 0,
            bytes: 0,
            seconds: 0.0,
            script: Script::read(args.script.as_deref())?,
            timeline: Timeline::new(args.pictures.as_deref())?,
            budgets: vec![0.0; structure.decode_targets().count()],
            interval: std::time::Duration::from_secs_f64(rate.den as f64 / rate.num as f64),
        })
    }

    fn picture(&mut self, picture: &Picture) -> Result<()> {
        let captured = Time::new(self.interval.mul_f64(self.pictures as f64));
        let seconds = captured.since_start().as_secs_f64();
        let (options, changes) = self.script.apply(seconds, &mut self.encoder)?;
        let start = Instant::now();
        let unit = self.encoder.encode(&picture.view(), captured, options)?;
        let bytes = unit.to_bytes();
        self.seconds += start.elapsed().as_secs_f64();
        self.bytes += bytes.len();
        self.file.write(self.pictures, &bytes)?;
        self.pictures += 1;
        let quality = self.count(picture, &unit)?;
        let structure = self.encoder.config().mode.structure();
        self.timeline.picture(&self.encoder, structure, seconds, &unit, &quality, changes)?;
        if let Some(bitrates) = self.encoder.bitrates() {
            for (row, budget) in self.rows.iter().zip(&mut self.budgets) {
                *budget += bitrates.of_target(structure, row.target) as f64 * self.interval.as_secs_f64();
            }
        }
        if let Some(receivers) = &mut self.receivers {
            receivers.receive(&self.encoder, &unit, &bytes)?;
        }
        Ok(())
    }

    /// Adds the frames to the decode targets that need them, and the pictures to those that show them.
    /// Returns the quality of each frame.
    fn count(&mut self, picture: &Picture, unit: &TemporalUnit) -> Result<Vec<Quality>> {
        let mut all = Vec::with_capacity(unit.frames.len());
        for row in &mut self.rows {
            row.count(unit);
        }
        for layer in unit.frames.iter().map(|frame| frame.plan.layer) {
            let shown = self.encoder.reconstruction(layer.spatial_id).ok_or("no reconstruction")?;
            let source = self.encoder.source(layer.spatial_id).unwrap_or(picture);
            let shows = |row: &&mut Row| {
                row.target.spatial_id == layer.spatial_id && row.target.temporal_id >= layer.temporal_id
            };
            for row in self.rows.iter_mut().filter(shows) {
                row.show(source, &shown)?;
            }
            let mut quality = Quality::default();
            quality.add(source.view(), shown.view())?;
            all.push(quality);
        }
        Ok(all)
    }

    /// Says how each decode target kept its bitrate, if there was one.
    fn print_bitrates(&self) {
        if self.budgets.iter().all(|&budget| budget == 0.0) {
            return;
        }
        println!();
        println!("| target | to keep, kbit/s | kept |");
        println!("| ------ | --------------: | ---: |");
        for (row, &budget) in self.rows.iter().zip(&self.budgets) {
            let seconds = self.interval.as_secs_f64() * self.pictures as f64;
            let kept = 8.0 * row.bytes as f64 / budget;
            println!("| {:6} | {:15.1} | {kept:4.2} |", row.target.to_string(), budget / seconds / 1000.0);
        }
    }
}
