//! Simulates a call over a recorded or made link, under every way to decide which layers a receiver gets.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use layercast::simulate::{Call, LinkConfig, Outcome, Policy, Report, Table, Trace};

use common::{Result, at, exit_code};

/// Simulates a call in virtual time, under the crate's selector and what it is held against, and prints what
/// became of it.
#[derive(Parser)]
struct Args {
    /// The capacity of the link to the receiver: a Mahimahi trace (a time in milliseconds for each 1500 bytes).
    /// Where not given, a link like LTE is drawn.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Mean bit/s of the link that is drawn.
    #[arg(long, default_value_t = 4_000_000)]
    bitrate: u64,
    /// Streams that the receiver watches; people in a meeting.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=49))]
    streams: u32,
    /// What the windows do.
    #[arg(long, value_enum, default_value_t = Scenario::Gallery)]
    scenario: Scenario,
    /// Seconds; by default those of the trace, at most 300.
    #[arg(long)]
    seconds: Option<u64>,
    /// Milliseconds that each direction takes besides the queue.
    #[arg(long, default_value_t = 30)]
    delay: u64,
    /// Bytes that the queue before the link holds.
    #[arg(long, default_value_t = 150_000)]
    queue: usize,
    /// Share of the packets that is lost behind the link.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Decides which these are, and what a link looks like that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What the streams are coded as, as the example `table` writes it; where not given, the crate's scene.
    #[arg(long, requires = "simulcast_table")]
    table: Option<PathBuf>,
    /// The same video as encodings of their own (`table --mode S3T3`).
    #[arg(long, requires = "table")]
    simulcast_table: Option<PathBuf>,
    /// Writes a page with all of it.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Writes a picture of the selector and the greedy policy.
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scenario {
    /// All windows as large as each other.
    Gallery,
    /// A speaker, then another; some windows hidden; a gallery before and after.
    Speakers,
    /// Everybody sends and watches: a gallery, then a pinned speaker, then a shared screen. What senders send
    /// on demand is held against sending everything.
    Meeting,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    if !(0.0..=1.0).contains(&args.loss) {
        return Err("the share of lost packets is 0 to 1".into());
    }
    let recorded = match &args.trace {
        Some(path) => Some(at(path, Trace::parse(&at(path, std::fs::read_to_string(path))?))?),
        None => None,
    };
    let longest = recorded.as_ref().map_or(Duration::from_secs(120), Trace::period);
    let duration = args.seconds.map_or(longest.min(Duration::from_secs(300)), Duration::from_secs);
    let trace = recorded.unwrap_or_else(|| Trace::lte(args.seed, args.bitrate, duration));
    let link = LinkConfig {
        delay: Duration::from_millis(args.delay),
        queue: args.queue,
        loss: args.loss,
        seed: args.seed,
    };
    let mut call = match args.scenario {
        Scenario::Gallery => Call::gallery(trace, link, duration, args.streams),
        Scenario::Speakers => Call::speakers(trace, link, duration, args.streams),
        Scenario::Meeting => Call::meeting(args.streams, args.bitrate, duration, true),
    };
    if let (Some(layered), Some(simulcast)) = (&args.table, &args.simulcast_table) {
        call.table = read(layered)?;
        call.simulcast = read(simulcast)?;
        if call.table.is_simulcast() || !call.simulcast.is_simulcast() {
            return Err("the first table has to be of an L mode, the second of an S mode".into());
        }
    }
    let start = Instant::now();
    let outcomes: Vec<Outcome> = match args.scenario {
        Scenario::Meeting => meeting(&mut call)?,
        _ => Policy::ALL.iter().map(|&policy| call.run(policy)).collect(),
    };
    let took = start.elapsed();
    println!("{}", Report(&outcomes));
    println!("{} s, {} times, simulated in {:.2} s", duration.as_secs(), outcomes.len(), took.as_secs_f64());
    let name = args.trace.as_ref().and_then(|path| path.file_name());
    let name =
        name.map_or_else(|| format!("drawn, seed {}", args.seed), |n| n.to_string_lossy().into_owned());
    if let Some(path) = &args.report {
        let title = format!("{} streams over {name}", args.streams);
        at(path, std::fs::write(path, Report(&outcomes).html(&title)))?;
    }
    if let Some(path) = &args.svg {
        let shown: Vec<Outcome> =
            outcomes.into_iter().filter(|o| matches!(o.policy, Policy::Selector | Policy::Greedy)).collect();
        at(path, std::fs::write(path, Report(&shown).svg()))?;
    }
    Ok(())
}

fn read(path: &std::path::Path) -> Result<Table> {
    at(path, at(path, std::fs::read_to_string(path))?.parse())
}

/// The selector with senders on demand, and with senders that send everything.
fn meeting(call: &mut Call) -> Result<Vec<Outcome>> {
    let demand = call.run(Policy::Selector);
    call.on_demand = false;
    let all = call.run(Policy::Selector);
    println!("| cameras send | uplink kbit/s | coding ms/s |");
    println!("| ------------ | ------------: | ----------: |");
    // The last stream is the shared screen.
    let cameras = |outcome: &Outcome| {
        let people = outcome.receivers.len();
        let per_second = people as f64 * outcome.duration.as_secs_f64();
        let bytes: u64 = outcome.sent_bytes.iter().take(people).sum();
        let coding: Duration = outcome.encode_time.iter().take(people).sum();
        (bytes as f64 * 8e-3 / per_second, coding.as_secs_f64() * 1e3 / per_second)
    };
    let (on_demand, everything) = (cameras(&demand), cameras(&all));
    for (name, (uplink, coding)) in [("on demand", on_demand), ("everything", everything)] {
        println!("| {name:12} | {uplink:13.1} | {coding:11.1} |");
    }
    let saved = |part: f64, whole: f64| 100.0 * (1.0 - part / whole);
    println!(
        "\non demand saves {:.1} % of the uplink and {:.1} % of the coding time; receivers, on demand first:\n",
        saved(on_demand.0, everything.0),
        saved(on_demand.1, everything.1),
    );
    Ok(vec![demand, all])
}
