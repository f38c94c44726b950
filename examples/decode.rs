//! Takes layers out of an AV1 file and decodes them.

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use layercast::bitstream::FrameInfo;
use layercast::structure::LayerId;
use y4m::Ratio;

use common::receiver::Receiver;
use common::stream::Stream;
use common::{Result, at, exit_code, progress, video};

/// Drops the layers of an AV1 file (IVF or Section 5) above the ones asked for, decodes the rest and writes the
/// highest spatial layer that is left.
#[derive(Parser)]
struct Args {
    /// The AV1 file.
    input: PathBuf,
    /// The Y4M file to write.
    output: PathBuf,
    /// The highest spatial layer to keep, 0 to 3.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(..=3))]
    spatial: u8,
    /// The highest temporal layer to keep, 0 to 7.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(..=7))]
    temporal: u8,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let stream = Stream::read(&args.input)?;
    let frames = at(&args.input, stream.frames())?;
    let layers = || frames.iter().flatten().map(|frame| frame.layer());
    let spatial = layers().map(|layer| layer.spatial_id).max().unwrap_or(0);
    let temporal = layers().map(|layer| layer.temporal_id).max().unwrap_or(0);
    let target = LayerId::new(args.spatial.min(spatial), args.temporal.min(temporal));
    let frame_rate = frame_rate(&stream, &frames, target);
    let mut receiver = Receiver::new(target)?;
    let mut output = None;
    let mut pictures = 0;
    let bar = progress("decoding", Some(stream.units.len() as u64));
    for unit in &stream.units {
        bar.inc(1);
        let Some(picture) = at(&args.input, receiver.receive(&unit.data))? else { continue };
        pictures += 1;
        let size = picture.size();
        let output = match &mut output {
            Some(output) => output,
            none => none.insert(video::Writer::create(&args.output, size, frame_rate)?),
        };
        at(&args.output, output.write(&picture))?;
    }
    bar.finish_and_clear();
    match output {
        Some(output) => {
            println!("{pictures} pictures of {}, {} bytes of {target}", output.size(), receiver.received());
            at(&args.output, output.finish())
        }
        None => at(&args.input, Err("no pictures")),
    }
}

/// Pictures per second of a decode target: as the times say on average.
fn frame_rate(stream: &Stream, frames: &[Vec<FrameInfo>], target: LayerId) -> Ratio {
    let shows = |frames: &[FrameInfo]| {
        frames
            .iter()
            .map(FrameInfo::layer)
            .any(|layer| layer.spatial_id == target.spatial_id && layer.temporal_id <= target.temporal_id)
    };
    let shown = stream.units.iter().zip(frames).filter(|(_, frames)| shows(frames));
    let times: Vec<u64> = shown.map(|(unit, _)| unit.pts).collect();
    let span = match times.as_slice() {
        [first, .., last] => last.saturating_sub(*first),
        _ => 0,
    };
    let intervals = if span > 0 { times.len() as u64 - 1 } else { 1 };
    let (num, den) = stream.time_base;
    reduced(u128::from(den) * u128::from(intervals), u128::from(num) * u128::from(span.max(1)))
}

/// The fraction in its smallest numbers.
fn reduced(num: u128, den: u128) -> Ratio {
    let (mut a, mut b) = (num, den);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let a = a.max(1);
    Ratio::new((num / a) as usize, (den / a) as usize)
}
