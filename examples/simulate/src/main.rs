//! Simulates a call over a recorded or drawn link, under every policy that decides which layers a receiver gets.

mod rise;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use layercast::Time;
use layercast::simulate::{Call, CodedVideo, Flow, LinkConfig, Outcome, Policy, Report, Scale, Trace, View};
use layercast_examples::{Result, at, exit_code};

/// Simulates a call in virtual time, under the crate's selector and the policies it is compared with, and prints
/// what became of it.
#[derive(Parser)]
struct Args {
    /// The capacity of the link to the receiver: a Mahimahi trace (a time in milliseconds for each 1500 bytes).
    /// Without one, a link like LTE is drawn.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Mean bit/s of the link that is drawn.
    #[arg(long, default_value_t = 4_000_000)]
    bitrate: u64,
    /// Streams that the receiver watches; people in a meeting. By default 9 and 12.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=49))]
    streams: Option<u32>,
    /// What the windows do. By default a gallery under each policy and, unless there is a trace, a meeting.
    #[arg(long, value_enum)]
    scenario: Option<Scenario>,
    /// Seconds; by default those of the trace, at most 300.
    #[arg(long)]
    seconds: Option<u64>,
    /// Milliseconds that a packet takes in each direction besides its wait in the queue.
    #[arg(long, default_value_t = 30)]
    delay: u64,
    /// Bytes that the queue before the link holds.
    #[arg(long, default_value_t = 150_000)]
    queue: usize,
    /// Share of the packets that are lost behind the link, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Seed of that loss, and of a link that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The coded video of the streams, as the example `table` writes it; by default the crate's scene.
    #[arg(long, requires = "simulcast_table")]
    table: Option<PathBuf>,
    /// The same video as independent encodings (`table --mode S3T3`).
    #[arg(long, requires = "table")]
    simulcast_table: Option<PathBuf>,
    /// Prints the estimate of each 100 ms, in kbit/s, below each row of the scenario `flow`.
    #[arg(long)]
    estimates: bool,
    /// Writes a page (.html) with all figures, or a picture (.svg) of the selector and of the greedy policy.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Scenario {
    /// All windows as large as each other.
    Gallery,
    /// A speaker, then another; some windows hidden; a gallery before and after.
    Speakers,
    /// Everybody sends and watches: a gallery, then a pinned speaker, then a shared screen. Senders that encode on
    /// demand are compared with senders that encode everything.
    Meeting,
    /// One sender that uses all that the link carries, to judge congestion control: over the trace, or over links that
    /// stay as they are, halve and double.
    Flow,
    /// A gallery over 1.5 Mbit/s that drop to 400 kbit/s and rise again, 40 ms each way: how soon the streams are back. `--seed`
    /// is the number of calls in each row.
    Rise,
    /// Calls of 12, 49 and 500 people, in a gallery and with a speaker: what senders and the relay are spared by layers on
    /// demand. It is computed from decisions, and not simulated packet by packet.
    Scale,
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
    if args.scenario == Some(Scenario::Flow) {
        flows(args, recorded);
        return Ok(());
    }
    if args.scenario == Some(Scenario::Rise) {
        return rise::print(args.seed.clamp(1, 1000));
    }
    if args.scenario == Some(Scenario::Scale) {
        return scale(args);
    }
    let longest = recorded.as_ref().map_or(Duration::from_secs(120), Trace::period);
    let duration = args.seconds.map_or(longest.min(Duration::from_secs(300)), Duration::from_secs);
    let trace = recorded.unwrap_or_else(|| Trace::lte(args.seed, args.bitrate, duration));
    let mut link = LinkConfig::default();
    link.delay = Duration::from_millis(args.delay);
    (link.queue, link.loss, link.seed) = (args.queue, args.loss, args.seed);
    let name = args.trace.as_ref().and_then(|path| path.file_name());
    let name = name.map_or_else(
        || format!("a drawn link of {} kbit/s, seed {}", args.bitrate / 1000, args.seed),
        |name| name.to_string_lossy().into_owned(),
    );
    let mut outcomes = Vec::new();
    if args.scenario != Some(Scenario::Meeting) {
        let streams = args.streams.unwrap_or(9);
        let call = match args.scenario {
            Some(Scenario::Speakers) => Call::speakers(trace, link, duration, streams),
            _ => Call::gallery(trace, link, duration, streams),
        };
        let call = with_tables(args, call)?;
        println!("{streams} streams over {name}, {} s:\n", duration.as_secs());
        outcomes.extend(Policy::ALL.iter().map(|&policy| call.run(policy)));
        println!("{}", Report(&outcomes));
    }
    let alone = args.scenario == Some(Scenario::Meeting);
    if alone || args.scenario.is_none() && args.trace.is_none() {
        let call = Call::meeting(args.streams.unwrap_or(12), args.bitrate, args.seed, duration, true);
        outcomes.extend(meeting(with_tables(args, call)?));
    }
    println!("{}", Report::legend());
    let Some(path) = &args.report else { return Ok(()) };
    let page = if path.extension().is_some_and(|extension| extension == "svg") {
        outcomes.retain(|outcome| matches!(outcome.policy, Policy::Selector | Policy::Greedy));
        Report(&outcomes[..outcomes.len().min(2)]).svg()
    } else {
        Report(&outcomes).html(&name)
    };
    at(path, std::fs::write(path, page))
}

/// Prints how well congestion control uses a link.
fn flows(args: &Args, recorded: Option<Trace>) {
    let mut link = LinkConfig::default();
    link.delay = Duration::from_millis(args.delay);
    (link.queue, link.loss, link.seed) = (args.queue, args.loss, args.seed);
    println!(
        "| link                | used % | padding % | queue ms p50 | p95 | lost % | skipped | found ms |"
    );
    println!(
        "| ------------------- | -----: | --------: | -----------: | --: | -----: | ------: | -------: |"
    );
    let row = |name: &str, flow: &Flow, from: u64, to: u64, step: Option<(u64, bool)>| {
        let outcome = flow.run(Duration::from_secs(to));
        let (from, to) = (Time::from_secs(from), Time::from_secs(to));
        let padding: usize = outcome.packets.iter().filter(|packet| packet.3).map(|packet| packet.1).sum();
        let bytes: usize = outcome.packets.iter().map(|packet| packet.1).sum();
        let found = step.map_or(String::new(), |(second, up)| {
            let at = Time::from_secs(second);
            let carries = flow.trace.bitrate(at, at + Duration::from_secs(5));
            let found = match up {
                true => outcome.found(at, carries * 9 / 10..),
                false => outcome.found(at, ..=carries),
            };
            found.map_or_else(|| "never".to_owned(), |found| found.as_millis().to_string())
        });
        println!(
            "| {name:19} | {:6.1} | {:9.1} | {:12.0} | {:3.0} | {:6.2} | {:7} | {found:>8} |",
            100.0 * flow.used(&outcome, from, to),
            100.0 * padding as f64 / bytes as f64,
            outcome.queueing(from, to, 0.5).as_secs_f64() * 1e3,
            outcome.queueing(from, to, 0.95).as_secs_f64() * 1e3,
            100.0 * outcome.lost as f64 / (outcome.lost as f64 + outcome.packets.len() as f64),
            outcome.skipped + outcome.dropped,
        );
        if args.estimates {
            for (at, estimate) in outcome.estimates.iter().enumerate().step_by(10) {
                println!("{:.1} {}", at as f64 / 100.0, estimate / 1000);
            }
        }
    };
    if let Some(trace) = recorded {
        let seconds = args.seconds.unwrap_or(trace.period().as_secs());
        row("trace", &Flow::new(trace, link), 0, seconds, None);
        return;
    }
    let seconds = args.seconds.unwrap_or(60);
    for kilobits in [300, 1000, 3000, 8000] {
        let bitrate = 1000 * kilobits;
        let steady = Flow::new(Trace::constant(bitrate), link);
        row(&format!("{kilobits} kbit/s"), &steady, 10, seconds, None);
        for (name, to, up) in [("halves", bitrate / 2, false), ("doubles", 2 * bitrate, true)] {
            // At several times of the estimate's saw teeth.
            for second in [30, 33, 37] {
                let steps = [(Duration::from_secs(second), bitrate), (Duration::from_secs(20), to)];
                let flow = Flow::new(Trace::steps(&steps), link);
                row(&format!("{kilobits}, {name}"), &flow, second, second + 15, Some((second, up)));
            }
        }
    }
    let drawn = Duration::from_secs(120);
    row("drawn LTE", &Flow::new(Trace::lte(args.seed, args.bitrate, drawn), link), 0, 120, None);
}

/// Prints what calls of several sizes take, by what their senders code.
fn scale(args: &Args) -> Result<()> {
    let link = LinkConfig::default();
    // The streams of a call, for their tables alone.
    let call = with_tables(args, Call::gallery(Trace::constant(args.bitrate), link, Duration::ZERO, 1))?;
    println!(
        "| people, view | senders code | uplink kbit/s | coding ms/s | into the relay Mbit/s | out of it | SSIM | dark % |"
    );
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for people in [12, 49, 500] {
        for (name, view) in [("gallery", View::Gallery), ("speaker", View::Speaker)] {
            let scale = Scale { people, view, bitrate: args.bitrate };
            for (scheme, outcome) in scale.run(&call.video, &call.simulcast) {
                println!(
                    "| {people}, {name} | {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.4} | {:.1} |",
                    scheme.name(),
                    outcome.uplink / 1e3,
                    outcome.coding * 1e3,
                    outcome.relay_in / 1e6,
                    outcome.relay_out / 1e6,
                    outcome.ssim,
                    100.0 * outcome.dark,
                );
            }
        }
    }
    Ok(())
}

fn with_tables(args: &Args, mut call: Call) -> Result<Call> {
    if let (Some(layered), Some(simulcast)) = (&args.table, &args.simulcast_table) {
        call.video = read(layered)?;
        call.simulcast = read(simulcast)?;
        if call.video.is_simulcast() || !call.simulcast.is_simulcast() {
            return Err("the first table has to be of an L mode, the second of an S mode".into());
        }
    }
    Ok(call)
}

fn read(path: &std::path::Path) -> Result<CodedVideo> {
    at(path, at(path, std::fs::read_to_string(path))?.parse())
}

/// The selector with senders on demand, and with senders that send everything.
fn meeting(mut call: Call) -> [Outcome; 2] {
    println!(
        "A meeting of {}: gallery, a pinned speaker, a shared screen. A camera in the mean:\n",
        call.receivers.len()
    );
    println!("| cameras send | uplink kbit/s | coding ms/s |");
    println!("| ------------ | ------------: | ----------: |");
    let demand = call.run(Policy::Selector);
    call.on_demand = false;
    let all = call.run(Policy::Selector);
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
        "\nOn demand saves {:.1} % of the uplink and {:.1} % of the coding time. All receivers:\n",
        saved(on_demand.0, everything.0),
        saved(on_demand.1, everything.1),
    );
    let outcomes = [demand, all];
    println!("{}", Report(&outcomes));
    outcomes
}
