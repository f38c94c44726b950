//! Lists the frames of an AV1 file with their layers and references.

mod common;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use layercast::bitstream::{FrameInfo, FrameType};
use layercast::structure::LayerId;
use serde::Serialize;

use common::stream::Stream;
use common::{Result, at, exit_code, progress};

/// Says what is in an AV1 file (IVF or Section 5): each frame with its layer, size, references and bytes.
#[derive(Parser)]
struct Args {
    /// The AV1 file.
    input: PathBuf,
    /// Writes JSON: an array of the frames.
    #[arg(long)]
    json: bool,
}

/// A frame, as it is told.
#[derive(Serialize)]
struct Line {
    /// Number of the temporal unit, and its time in units of the file's time base.
    temporal_unit: usize,
    pts: u64,
    frame_type: &'static str,
    spatial_id: u8,
    temporal_id: u8,
    width: u32,
    height: u32,
    shown: bool,
    order_hint: u32,
    base_q_idx: u8,
    /// The reference slots read, each once, and those written.
    reads: Vec<u8>,
    writes: Vec<u8>,
    bytes: usize,
}

impl Line {
    fn new(temporal_unit: usize, pts: u64, frame: &FrameInfo) -> Self {
        let (header, layer) = (&frame.header, frame.layer());
        let (frame_type, reads) = match header.frame_type {
            _ if header.show_existing_frame => ("show", vec![header.frame_to_show_map_idx]),
            FrameType::Key => ("key", vec![]),
            FrameType::Inter => ("inter", header.ref_frame_idx.to_vec()),
            FrameType::IntraOnly => ("intra", vec![]),
            FrameType::Switch => ("switch", header.ref_frame_idx.to_vec()),
        };
        Self {
            temporal_unit,
            pts,
            frame_type,
            spatial_id: layer.spatial_id,
            temporal_id: layer.temporal_id,
            width: header.upscaled_width,
            height: header.frame_height,
            shown: header.show_frame || header.show_existing_frame,
            order_hint: header.order_hint,
            base_q_idx: header.quantization.base_q_idx,
            reads: (0..8).filter(|slot| reads.contains(slot)).collect(),
            writes: (0..8).filter(|slot| header.refresh_frame_flags >> slot & 1 != 0).collect(),
            bytes: frame.size,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:6} {:8} {:6} {:5} {:>9} {:4} {:3} {:8} {:8} {:8}{}",
            self.temporal_unit,
            self.pts,
            self.frame_type,
            LayerId::new(self.spatial_id, self.temporal_id).to_string(),
            format!("{}x{}", self.width, self.height),
            self.order_hint,
            self.base_q_idx,
            digits(&self.reads),
            digits(&self.writes),
            self.bytes,
            if self.shown { "" } else { "  not shown" },
        )
    }
}

/// Slots as one digit each.
fn digits(slots: &[u8]) -> String {
    if slots.is_empty() { "-".into() } else { slots.iter().map(u8::to_string).collect() }
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let stream = Stream::read(&args.input)?;
    let bar = progress("reading", Some(stream.units.len() as u64));
    let frames = at(&args.input, stream.frames())?;
    bar.finish_and_clear();
    let units = stream.units.iter().zip(&frames).enumerate();
    let lines: Vec<Line> = units
        .flat_map(|(n, (unit, frames))| frames.iter().map(move |frame| Line::new(n, unit.pts, frame)))
        .collect();
    let mut out = io::stdout().lock();
    if args.json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&lines)?)?);
    }
    writeln!(out, "  unit      pts type   layer      size hint   q reads    writes      bytes")?;
    for line in &lines {
        line.write(&mut out)?;
    }
    Ok(write_layers(&mut out, &lines, stream.units.len())?)
}

/// Frames and bytes of each layer.
fn write_layers(out: &mut impl Write, lines: &[Line], units: usize) -> io::Result<()> {
    let mut layers: BTreeMap<(u8, u8), (usize, usize)> = BTreeMap::new();
    for line in lines {
        let (frames, bytes) = layers.entry((line.spatial_id, line.temporal_id)).or_default();
        *frames += 1;
        *bytes += line.bytes;
    }
    writeln!(out, "\n{units} temporal units")?;
    for ((spatial_id, temporal_id), (frames, bytes)) in layers {
        writeln!(out, "{} {frames:6} frames {bytes:10} bytes", LayerId::new(spatial_id, temporal_id))?;
    }
    Ok(())
}
