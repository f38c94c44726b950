//! One sender that follows what its path carries, over one link to one receiver, in virtual time.

#[path = "../common/mod.rs"]
mod common;
mod draw;
mod outcome;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use layercast::picture::Picture;
use layercast::scene::Scene;
use layercast::simulate::{LinkConfig, Trace};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

use common::video::Reader;
use common::{Result, at, exit_code, progress, warn_of_debug_build};
use outcome::Outcome;
use run::{Rate, Run};

/// Sends coded video over a simulated link whose capacity changes, to a receiver that decodes it, and says what the
/// receiver sees and how late.
///
/// The same is done with the bitrate split as the encoder learns it, with a fixed split, and at constant quantizers
/// without rate control, of which the one that looks best in the end is printed. Time is virtual, and coding takes none.
#[derive(Parser)]
struct Args {
    /// A Y4M video (8-bit 4:2:0), of which the first 300 pictures are played forth and back at 30 a second; if not
    /// given, a video call drawn by code, at 640x360.
    input: Option<PathBuf>,
    /// The link's capacity: a trace in Mahimahi's format. Without it a link is drawn as LTE is while driving.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// The mean capacity of a drawn link, in 1000 bits a second.
    #[arg(long, value_name = "KBPS", default_value_t = 1500)]
    bitrate: u64,
    /// Another number draws another link.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds to send.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Scalability modes, as W3C webrtc-svc names them.
    #[arg(long, value_delimiter = ',', default_values = ["L1T3", "L3T3"])]
    modes: Vec<ScalabilityMode>,
    /// The most that the encoder takes, in 1000 bits a second; if not given, what it finds enough for the pictures' size.
    #[arg(long, value_name = "KBPS")]
    most: Option<u64>,
    /// The constant quantizers (base_q_idx) to choose from with hindsight.
    #[arg(long, value_delimiter = ',', default_values_t = [60u8, 80, 120, 160, 200])]
    quantizers: Vec<u8>,
    /// Prints all constant quantizers, not only the best.
    #[arg(long)]
    all: bool,
    /// From the sender to the receiver, without the queue, in milliseconds.
    #[arg(long, default_value_t = 30)]
    delay: u64,
    /// The way back, in milliseconds.
    #[arg(long, default_value_t = 50)]
    back: u64,
    /// Bytes that the link's queue holds.
    #[arg(long, default_value_t = 150_000)]
    queue: usize,
    /// While packets wait for longer than this at the sender, or twice this with those in the link's queue, pictures are
    /// left out, in milliseconds.
    #[arg(long, value_name = "MS")]
    max_queue: Option<u64>,
    /// Draws capacity, estimate, delay and quality over time into this SVG file: those of the first mode.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Writes a line for each second of each run into this CSV file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

const SIZE: Size = Size::new(640, 360);
/// Pictures that are kept, to be played forth and back.
const PICTURES: usize = 300;

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let clip: Vec<Picture> = match &args.input {
        Some(path) => at(path, Reader::open(path)?.take(PICTURES).collect::<Result<_>>())?,
        None => {
            let scene = Scene::new(SIZE);
            (0..PICTURES as u64).map(|n| scene.picture(n)).collect()
        }
    };
    if clip.is_empty() || args.seconds == 0 {
        return Err("there is nothing to send".into());
    }
    let seconds = Duration::from_secs(args.seconds);
    let (trace, name) = match &args.trace {
        Some(path) => {
            let trace = at(path, Trace::parse(&at(path, std::fs::read_to_string(path))?))?;
            (trace, path.file_name().unwrap_or_default().to_string_lossy().into_owned())
        }
        None => {
            let name = format!("a drawn link of {} kbit/s, seed {}", args.bitrate, args.seed);
            (Trace::lte(args.seed, args.bitrate * 1000, seconds), name)
        }
    };
    let mut link = LinkConfig::default();
    (link.delay, link.queue) = (Duration::from_millis(args.delay), args.queue);
    let template = Run {
        clip: &clip,
        link,
        back: Duration::from_millis(args.back),
        seconds,
        max_queue: args.max_queue.map(Duration::from_millis),
        most: args.most.map(|most| most * 1000),
        mode: ScalabilityMode::L1T3,
        rate: Rate::Learned,
        trace,
    };
    let carried = template.trace.bitrate(Time::ZERO, Time::ZERO + seconds) / 1000;
    println!("{} over {name}, {} s, {carried} kbit/s on average:\n", clip[0].size(), args.seconds);
    println!("{}", Outcome::heads());
    let bar = progress("runs", Some((args.modes.len() * (2 + args.quantizers.len())) as u64));
    let mut csv = String::from(outcome::CSV_HEADS);
    for (index, &mode) in args.modes.iter().enumerate() {
        let run = |rate| {
            let outcome = Run { mode, rate, ..template.clone() }.run();
            bar.inc(1);
            outcome
        };
        let mut printed = vec![run(Rate::Learned)?, run(Rate::Fixed)?];
        let mut constant: Vec<Outcome> =
            args.quantizers.iter().map(|&q| run(Rate::Constant(q))).collect::<Result<_>>()?;
        if !args.all {
            let best = constant.into_iter().max_by(|a, b| a.on_screen().total_cmp(&b.on_screen()));
            constant = best.into_iter().collect();
        }
        printed.extend(constant);
        for outcome in &printed {
            println!("{outcome}");
            outcome.csv(&mut csv);
        }
        if let (0, Some(path)) = (index, &args.svg) {
            draw::draw(path, &format!("{mode} over {name}"), &printed)?;
        }
    }
    bar.finish_and_clear();
    args.csv.as_ref().map_or(Ok(()), |path| at(path, std::fs::write(path, csv)))
}
