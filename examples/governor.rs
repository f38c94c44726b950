//! Codes pictures as a camera gives them, loads the machine in the middle, and counts the pictures that are late.

mod common;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use layercast::encoder::{EffortGovernor, EncodeOptions, SvcConfig, SvcEncoder};
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

use common::{Result, exit_code, warn_of_debug_build};

/// Codes a video call drawn by code in real time, with an effort governor or without, and loads the machine from the
/// middle on. A picture is late if it is not done when the next one that is coded is captured.
#[derive(Parser)]
struct Args {
    /// Scalability mode, as W3C webrtc-svc names it.
    #[arg(long, default_value = "L3T3")]
    mode: ScalabilityMode,
    /// Width of the pictures, in samples; the height is 9/16 of it.
    #[arg(long, default_value_t = 1280)]
    width: u32,
    /// Pictures per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
    /// Seconds to run.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Threads that do nothing but compute in the second half; as many as the machine has cores, if not given, so that the
    /// encoder has half of each.
    #[arg(long)]
    load: Option<usize>,
    /// Threads to code with; all of the machine's, if not given.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Codes at the default speed all the time.
    #[arg(long)]
    fixed: bool,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let size = Size::new(args.width, args.width * 9 / 16);
    let mut config = SvcConfig::new(size, args.mode);
    config.threads = args.threads;
    let mut governor = EffortGovernor::new(config.speed, EffortGovernor::SHARE);
    let mut encoder = SvcEncoder::new(config)?;
    // Drawn beforehand, so that drawing is no load.
    let scene = Scene::new(size);
    let pictures: Vec<_> = (0..60).map(|n| scene.picture(n)).collect();
    let cores = thread::available_parallelism()?.get();
    let (busy, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..args.load.unwrap_or(cores) {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match busy.load(Ordering::Relaxed) {
                        true => std::hint::spin_loop(),
                        false => thread::sleep(Duration::from_millis(5)),
                    }
                }
            });
        }
        let result = camera(args, &mut governor, &mut encoder, &pictures, &busy);
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// Codes each picture when it is due, or as soon as the one before is done.
fn camera(
    args: &Args,
    governor: &mut EffortGovernor,
    encoder: &mut SvcEncoder,
    pictures: &[layercast::picture::Picture],
    busy: &AtomicBool,
) -> Result<()> {
    let interval = Duration::from_secs(1) / args.fps.max(1);
    let start = Instant::now();
    let (mut late, mut coded, mut bytes, mut longest) = (0, 0, 0, Duration::ZERO);
    println!("second  coded  late  longest  kbit/s  level  layers given up");
    for n in 0..args.fps * args.seconds {
        busy.store(n >= args.fps * args.seconds / 2, Ordering::Relaxed);
        let due = interval * n;
        // Whether the picture before was done in time is known once there is something to code.
        let behind = start.elapsed() > due;
        thread::sleep(due.saturating_sub(start.elapsed()));
        // There and back again, so that no cut comes in between.
        let at = n as usize % (2 * pictures.len() - 2);
        let picture = &pictures[at.min(2 * pictures.len() - 2 - at)];
        let mut options = EncodeOptions::default();
        if !args.fixed {
            options.wanted = governor.decide(Time::new(due), None);
            encoder.set_speeds(governor.speeds())?;
        }
        let begun = Instant::now();
        let unit = encoder.encode(&picture.view(), Time::new(due), options)?;
        let took = begun.elapsed();
        governor.handle_picture(&unit.plan, took, interval);
        if !unit.frames.is_empty() {
            coded += 1;
            late += u32::from(behind);
        }
        bytes += unit.frames.iter().map(|frame| frame.data.len()).sum::<usize>();
        longest = longest.max(took);
        if (n + 1) % args.fps == 0 {
            println!(
                "{:>6}  {coded:>5}  {late:>4}  {:>4} ms  {:>6}  {:>5}  {}{}",
                (n + 1) / args.fps,
                longest.as_millis(),
                bytes / 125,
                governor.level(),
                governor.given_up(),
                if busy.load(Ordering::Relaxed) { "  loaded" } else { "" },
            );
            (late, coded, bytes, longest) = (0, 0, 0, Duration::ZERO);
        }
    }
    Ok(())
}
