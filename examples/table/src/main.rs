//! Codes a video and writes what the call simulator knows of it: frame sizes, quality, time.

use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use image::GrayImage;
use image::imageops::{self, FilterType};
use layercast::Size;
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder, TemporalUnit};
use layercast::picture::Picture;
use layercast::quality::Quality;
use layercast::scene::Scene;
use layercast::structure::{DecodeTargets, LayerId, Refresh, ScalabilityMode};
use layercast_examples::video::Source;
use layercast_examples::{Result, at, exit_code, progress};

/// Codes a video and writes the table that the example `simulate` takes: the bytes of every frame, the quality
/// of every spatial layer in windows of three sizes, and the time to code it.
#[derive(Parser)]
struct Args {
    /// A Y4M video (8-bit 4:2:0); where not given, a video call drawn by code, at 1280x720.
    input: Option<PathBuf>,
    /// The table to write.
    #[arg(long)]
    output: PathBuf,
    /// Scalability mode, as W3C webrtc-svc names it.
    #[arg(long, default_value = "L3T3")]
    mode: ScalabilityMode,
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// Pictures to code after the key picture, rounded down to whole cycles of the structure.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u64).range(8..))]
    frames: u64,
}

/// How many pictures a picture may be old for its quality to be measured.
const AGES: usize = 13;
/// Of so many pictures one is measured: quality is slow.
const MEASURE_EVERY: usize = 4;

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
    let structure = args.mode.structure();
    let cycle = structure.cycle.len() as u64;
    let count = usize::try_from(args.frames / cycle * cycle + 1)?;
    let source = Source::open(args.input.as_deref())?;
    let (rate, name) = (source.frame_rate.num as f64 / source.frame_rate.den as f64, source.name);
    let pictures = source.pictures.take(count).collect::<Result<Vec<_>>>()?;
    let whole = (pictures.len().saturating_sub(1)) as u64 / cycle * cycle;
    if whole == 0 {
        return Err("too few pictures".into());
    }
    let pictures = &pictures[..usize::try_from(whole)? + 1];
    let mut out = at(&args.output, std::fs::File::create(&args.output))?;
    let size = pictures[0].size();
    let Size { width, height } = size;
    let mut text = format!(
        "# {name}, {} pictures, quantizer index {}, coded by layercast {}\n\
         # table --mode {} --qp {} --frames {}\n\
         video,{},{width},{height},{rate}\n",
        pictures.len(),
        args.qp,
        env!("CARGO_PKG_VERSION"),
        args.mode,
        args.qp,
        args.frames,
        args.mode,
    );
    let new = || -> Result<SvcEncoder> {
        let mut config = SvcConfig::new(size, args.mode);
        config.quantizer = args.qp;
        Ok(SvcEncoder::new(config)?)
    };
    text += &sizes_and_quality(new()?, pictures)?;
    for spatial_id in 0..structure.spatial_layers {
        text += &refresh(new()?, pictures, spatial_id)?;
    }
    text += &times(&new, pictures)?;
    at(&args.output, out.write_all(text.as_bytes()))
}

fn bytes(unit: &TemporalUnit, spatial_id: u8) -> Option<usize> {
    unit.frames.iter().find(|frame| frame.plan.layer.spatial_id == spatial_id).map(|frame| frame.data.len())
}

fn join(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(",")
}

/// The frames of each spatial layer in the pictures of whole cycles, those of the key picture, and what the
/// reconstructions look like in windows of the layers' sizes when the scene is 0 to 12 pictures further.
fn sizes_and_quality(mut encoder: SvcEncoder, pictures: &[Picture]) -> Result<String> {
    let structure = encoder.config().mode.structure();
    let size = pictures[0].size();
    let windows: Vec<Size> = (0..structure.spatial_layers).map(|s| structure.layer_size(size, s)).collect();
    let layers = usize::from(structure.spatial_layers);
    let mut sizes = vec![Vec::new(); layers];
    let mut keys = vec![0; layers];
    let mut quality = vec![vec![vec![Quality::default(); AGES]; windows.len()]; layers];
    // Newest last: of each layer its picture at the size of each window.
    let mut history: VecDeque<Vec<Vec<Picture>>> = VecDeque::new();
    let bar = progress("coding and comparing", Some(pictures.len() as u64));
    for (n, picture) in pictures.iter().enumerate() {
        let unit = encoder.encode(&picture.view(), Scene::time(n as u64), EncodeOptions::default())?;
        for s in 0..layers {
            let bytes = bytes(&unit, s as u8).ok_or("a layer without a frame")?;
            if n == 0 { keys[s] = bytes } else { sizes[s].push(bytes) }
        }
        let mut shown = Vec::new();
        for s in 0..layers {
            let picture = encoder.reconstruction(s as u8).ok_or("no reconstruction")?;
            shown.push(windows.iter().map(|&size| scaled(&picture, size)).collect::<Result<Vec<_>>>()?);
        }
        history.push_back(shown);
        if history.len() > AGES {
            history.pop_front();
        }
        if n >= AGES && n % MEASURE_EVERY == 0 {
            for (w, &size) in windows.iter().enumerate() {
                let source = scaled(picture, size)?;
                for (age, shown) in history.iter().rev().enumerate() {
                    for s in 0..layers {
                        quality[s][w][age].add(source.view(), shown[s][w].view())?;
                    }
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut text = String::new();
    for s in 0..layers {
        text += &format!("frames,{s},{}\n", join(sizes[s].iter().map(usize::to_string)));
        text += &format!("key,{s},{}\n", keys[s]);
    }
    for (s, quality) in quality.iter().enumerate() {
        for (w, quality) in quality.iter().enumerate() {
            let values = join(quality.iter().map(|quality| format!("{:.4}", quality.y_ssim())));
            text += &format!("ssim,{s},{},{values}\n", windows[w].height);
        }
    }
    Ok(text)
}

/// The luma of a picture at another size; chroma is not compared.
fn scaled(picture: &Picture, size: Size) -> Result<Picture> {
    let luma = GrayImage::from_raw(picture.size().width, picture.size().height, picture.plane(0).to_vec())
        .ok_or("a plane that is no picture")?;
    let scaled = imageops::resize(&luma, size.width, size.height, FilterType::CatmullRom);
    let mut picture = Picture::new(size);
    picture.plane_mut(0).copy_from_slice(scaled.as_raw());
    Ok(picture)
}

/// The mean bytes of a spatial layer's frame that does not refer to earlier pictures of it.
fn refresh(mut encoder: SvcEncoder, pictures: &[Picture], spatial_id: u8) -> Result<String> {
    let structure = encoder.config().mode.structure();
    let cycle = structure.cycle.len();
    let (mut sum, mut count) = (0, 0);
    for (n, picture) in pictures.iter().enumerate() {
        // Every fourth cycle begins with a refresh.
        let refresh = n > 0 && n % (4 * cycle) == 0;
        let refresh = if refresh { Refresh::layer(spatial_id) } else { Refresh::NONE };
        let unit = encoder.encode(
            &picture.view(),
            Scene::time(n as u64),
            EncodeOptions { refresh, wanted: None },
        )?;
        let fresh = unit.frames.iter().find(|frame| frame.plan.layer.spatial_id == spatial_id);
        if let Some(fresh) = fresh
            && n > 0
            && fresh.plan.temporal_ref.is_none()
        {
            sum += fresh.data.len();
            count += 1;
        }
    }
    // A short clip has its first key picture only.
    Ok(sum.checked_div(count).map_or_else(String::new, |mean| format!("refresh,{spatial_id},{mean}\n")))
}

/// Microseconds for a frame of each spatial layer, on one thread: what coding takes longer with the layer than
/// without.
fn times(new: &dyn Fn() -> Result<SvcEncoder>, pictures: &[Picture]) -> Result<String> {
    let mut text = String::new();
    let mut below = 0;
    let structure = new()?.config().mode.structure();
    let predicted = structure.cycle.iter().any(|p| p.iter().any(|frame| frame.inter_layer_ref.is_some()));
    for spatial_id in 0..structure.spatial_layers {
        let top = LayerId::new(spatial_id, structure.temporal_layers - 1);
        let options = EncodeOptions { wanted: Some(DecodeTargets::only(&[top])), ..EncodeOptions::default() };
        let mut encoder = new()?;
        let mut total = 0;
        for (n, picture) in pictures.iter().enumerate() {
            let start = Instant::now();
            encoder.encode(&picture.view(), Scene::time(n as u64), options)?;
            if n > 0 {
                total += start.elapsed().as_micros();
            }
        }
        let frame = total / (pictures.len() as u128 - 1);
        text += &format!("encode,{spatial_id},{}\n", frame.saturating_sub(below));
        below = if predicted { frame } else { 0 };
    }
    Ok(text)
}
