//! A participant of a meeting, from the shell.

use std::process::ExitCode;

use clap::Parser;
use layercast_participant::shell::args::Args;
use layercast_participant::shell::run::run;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    layercast_examples::exit_code(run(&Args::parse()))
}
