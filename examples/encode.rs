//! Codes a Y4M video as the layers of a scalability mode.

mod common;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use layercast::Time;
use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::encoder::{DEFAULT_SPEED, EncodeOptions, SvcConfig, SvcEncoder, TemporalUnit};
use layercast::picture::Picture;
use layercast::structure::ScalabilityMode;

use common::receivers::Receivers;
use common::report::{self, Duration, Row};
use common::video::Source;
use common::{Result, at, exit_code, progress, warn_of_debug_build};

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
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// Pictures to code: all of a file and 300 of the drawn call, if not given.
    #[arg(long)]
    frames: Option<u64>,
    /// Threads to code with; all of the machine's where not given.
    #[arg(long)]
    threads: Option<usize>,
    /// log2 of the tile columns, which threads can share; by the width where not given.
    #[arg(long)]
    tile_columns_log2: Option<u8>,
    /// 0 takes the fewest bits, 7 the least time.
    #[arg(long, default_value_t = DEFAULT_SPEED)]
    speed: u8,
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
    at(&args.output, session.file.finish())?;
    let fps = session.pictures as f64 / session.seconds;
    report::print(&session.rows, duration);
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
            "{clip},layercast,{},{},{},{},{},q{},{:.1},{:.6},{:.6},{fps:.1}",
            args.mode,
            args.speed,
            rayon::current_num_threads(),
            session.pictures,
            session.pictures as f64 / duration.seconds(),
            args.qp,
            duration.kbps(session.bytes),
            top.quality.y_psnr(),
            top.quality.y_ssim(),
        );
        at(path, append(path, &line))?;
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
}

impl Session {
    fn new(args: &Args, input: &Source) -> Result<Self> {
        let size = input.size;
        let mut config = SvcConfig::new(size, args.mode);
        config.quantizer = args.qp;
        config.speed = args.speed;
        if let Some(log2) = args.tile_columns_log2 {
            config.tile_columns_log2 = log2;
        }
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
            interval: std::time::Duration::from_secs_f64(rate.den as f64 / rate.num as f64),
        })
    }

    fn picture(&mut self, picture: &Picture) -> Result<()> {
        let start = Instant::now();
        let captured = Time::new(self.interval.mul_f64(self.pictures as f64));
        let unit = self.encoder.encode(&picture.view(), captured, EncodeOptions::default())?;
        let bytes = unit.to_bytes();
        self.seconds += start.elapsed().as_secs_f64();
        self.bytes += bytes.len();
        self.file.write(self.pictures, &bytes)?;
        self.pictures += 1;
        self.count(picture, &unit)?;
        if let Some(receivers) = &mut self.receivers {
            receivers.receive(&self.encoder, &unit, &bytes)?;
        }
        Ok(())
    }

    /// Adds the frames to the decode targets that need them, and the pictures to those that show them.
    fn count(&mut self, picture: &Picture, unit: &TemporalUnit) -> Result<()> {
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
        }
        Ok(())
    }
}
