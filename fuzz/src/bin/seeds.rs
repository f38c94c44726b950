//! Writes the seeds of all targets, each into the folder of its target: `seeds fuzz/corpus`.

use std::path::PathBuf;
use std::{env, fs, io};

// Code that counts what it covers is linked with what reads the counts.
use libfuzzer_sys as _;

fn main() -> io::Result<()> {
    let folder = PathBuf::from(env::args_os().nth(1).unwrap_or_else(|| "fuzz/corpus".into()));
    for (target, seeds) in layercast_fuzz::seeds::all() {
        fs::create_dir_all(folder.join(target))?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(target).join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
