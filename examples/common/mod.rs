//! What the examples share.
#![allow(dead_code)] // Each example takes a part of it.

#[cfg(feature = "decoder")]
#[path = "../../tests/common/receiver.rs"]
pub mod receiver;
#[cfg(all(feature = "encoder", feature = "decoder"))]
#[path = "../../tests/common/receivers.rs"]
pub mod receivers;
pub mod report;
pub mod rgb;
pub mod stream;
pub mod video;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

/// What an example gives; the error is only told.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Tells an error and turns it into the exit code.
pub fn exit_code(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(error)
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Puts the file's name before the error of an attempt to open, read or write it.
pub fn at<T, E: std::fmt::Display>(path: &Path, result: std::result::Result<T, E>) -> Result<T> {
    result.map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Warns that the program was built without optimization, if it was.
pub fn warn_of_debug_build() {
    if cfg!(debug_assertions) {
        eprintln!("warning: this is a debug build, which codes many times slower than `cargo run --release`");
    }
}

/// A progress bar of `total` steps, or one without an end; it is only drawn on a terminal.
pub fn progress(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg} [{bar:40}] {pos}/{len} ({eta})"),
        None => (ProgressBar::new_spinner(), "{spinner} {msg} {pos} ({elapsed})"),
    };
    // The template is right or wrong for good: the bar has its default look where it is wrong.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(what)
}
