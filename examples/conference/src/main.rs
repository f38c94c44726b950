//! A whole call in one process: cameras and a screen, keys, a relay, links, and receivers of all kinds.

mod call;
mod content;
mod everything;
mod image;
mod moments;
mod outcome;
mod page;
mod path;
mod person;
mod script;
mod stream;
mod summary;
mod terminal;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use layercast_examples::{Result, at, exit_code, warn_of_debug_build};

use call::{Call, Options};
use outcome::Outcome;

/// Holds a call: cameras and a shared screen, coded under rate control and sealed with keys agreed by MLS; a relay
/// without keys; links whose capacity changes; receivers that join, resize, lose bandwidth and are removed.
///
/// Every picture that anybody sees is compared with the encoder's reconstruction, sample for sample. Fails if one
/// differs, if somebody could read what they hold no key for, or if a picture froze for longer than the script explains.
/// Time is virtual: links take as long as they are told to, and coding takes none.
#[derive(Parser)]
struct Args {
    /// What happens, and when: a line of JSON for each event. `examples/conference/src/script.jsonl` is the built-in one.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Goes by the clock. Senders are told how long coding takes, and spare effort if the machine is too slow.
    #[arg(long)]
    real_time: bool,
    /// Where the page is written to.
    #[arg(long, value_name = "FILE", default_value = "target/demo/conference.html")]
    page: PathBuf,
}

fn main() -> ExitCode {
    let mut failed = false;
    let code = exit_code(run(&Args::parse(), &mut failed));
    if failed { ExitCode::FAILURE } else { code }
}

fn run(args: &Args, failed: &mut bool) -> Result<()> {
    warn_of_debug_build();
    let lines = match &args.script {
        Some(path) => at(path, script::parse(&at(path, std::fs::read_to_string(path))?))?,
        None => script::parse(script::BUILT_IN)?,
    };
    let started = Instant::now();
    let call = Call::new(lines, Options { real_time: args.real_time });
    let outcome = match std::io::stdout().is_terminal() {
        true => terminal::run(call)?,
        false => terminal::run_with_bar(call)?,
    };
    if let Some(folder) = args.page.parent() {
        at(folder, std::fs::create_dir_all(folder))?;
    }
    at(&args.page, std::fs::write(&args.page, page::page(&outcome)?))?;
    let failures = outcome.failures();
    tell(&outcome, &failures);
    println!("It took {:.0} s. The page: {}", started.elapsed().as_secs_f64(), args.page.display());
    *failed = !failures.is_empty();
    Ok(())
}

fn tell(outcome: &Outcome, failures: &[String]) {
    summary::print(outcome);
    println!();
    for stream in &outcome.streams {
        let (sent, all) = (stream.sent.bytes, stream.sent.all_bytes);
        let share = all.map_or(String::new(), |all| {
            format!(
                ", {:.0} % of what coding all layers all the time would take",
                sent as f64 * 100.0 / all.max(1) as f64
            )
        });
        println!("{}: {} kB sent{share}", stream.name, summary::grouped(sent / 1000));
    }
    if let Some(behind) = outcome.behind {
        println!("The machine was behind the clock by {} ms at most.", behind.as_millis());
        if outcome.is_too_slow() {
            println!("That is too much to hold the call in real time: its freezes do not count.");
        }
    }
    println!();
    match failures {
        [] => println!(
            "Every picture was right, nobody read what they had no key for, and all freezes are explained."
        ),
        _ => failures.iter().for_each(|failure| println!("FAILED: {failure}")),
    }
}
