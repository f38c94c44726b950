//! One stream, nine decode targets: codes a video as L3T3, takes out every decode target and shows them all.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use embedded_graphics::mono_font::{MonoTextStyle, ascii::FONT_10X20};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage};
use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::picture::Picture;
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;
use layercast_examples::receivers::Receivers;
use layercast_examples::report::{self, Duration, Row};
use layercast_examples::rgb;
use layercast_examples::video::Source;
use layercast_examples::{Result, at, exit_code, progress, warn_of_debug_build};

/// Codes a video as L3T3, takes out each of the nine decode targets, decodes it and compares it with the video.
/// Prints what each costs and looks like, and writes the stream and a picture of all nine.
#[derive(Parser)]
struct Args {
    /// A Y4M video (8-bit 4:2:0); where not given, a video call drawn by code, at 1280x720.
    input: Option<PathBuf>,
    /// Pictures to code.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// Where to write to.
    #[arg(long, default_value = "target/picture")]
    output: PathBuf,
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    at(&args.output, std::fs::create_dir_all(&args.output))?;
    warn_of_debug_build();
    let mut source = Source::open(args.input.as_deref())?;
    let stream = args.output.join("L3T3.ivf");
    let mut coded = Coded::new(args, &source, &stream)?;
    let bar = progress("coding and decoding", Some(args.frames));
    for picture in source.pictures.by_ref().take(usize::try_from(args.frames)?) {
        coded.picture(&picture?)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    let duration = Duration { pictures: coded.pictures, frame_rate: source.frame_rate };
    let size = source.size;
    println!("{} pictures of {size}, coded once as L3T3, and what each decode target is:\n", coded.pictures);
    report::print(&coded.rows, duration);
    println!("\n{}", coded.receivers.verdict()?);
    let picture = args.output.join("L3T3.png");
    at(&picture, sheet(&coded, duration, source.size).save(&picture))?;
    at(&stream, coded.file.finish())?;
    println!("wrote {} and {}", stream.display(), picture.display());
    Ok(())
}

/// The video being coded, and what came of it so far.
struct Coded {
    encoder: SvcEncoder,
    file: IvfWriter<BufWriter<File>>,
    receivers: Receivers,
    rows: Vec<Row>,
    /// What each decode target showed of the last picture that all of them show.
    shown: Vec<Picture>,
    pictures: u64,
}

impl Coded {
    fn new(args: &Args, source: &Source, stream: &Path) -> Result<Self> {
        let mode = ScalabilityMode::L3T3;
        let size = source.size;
        let mut config = SvcConfig::new(size, mode);
        config.quantizer = args.qp;
        let header = IvfHeader {
            width: u16::try_from(size.width)?,
            height: u16::try_from(size.height)?,
            timebase_denominator: u32::try_from(source.frame_rate.num)?,
            timebase_numerator: u32::try_from(source.frame_rate.den)?,
            frame_count: 0,
        };
        let file = BufWriter::new(at(stream, File::create(stream))?);
        Ok(Self {
            encoder: SvcEncoder::new(config)?,
            file: at(stream, IvfWriter::new(file, &header))?,
            receivers: Receivers::new(mode)?,
            rows: mode.structure().decode_targets().map(Row::new).collect(),
            shown: vec![],
            pictures: 0,
        })
    }

    fn picture(&mut self, picture: &Picture) -> Result<()> {
        let unit =
            self.encoder.encode(&picture.view(), Scene::time(self.pictures), EncodeOptions::default())?;
        let bytes = unit.to_bytes();
        self.file.write(self.pictures, &bytes)?;
        self.pictures += 1;
        let shown = self.receivers.receive(&self.encoder, &unit, &bytes)?;
        for row in &mut self.rows {
            row.count(&unit);
            if let Some((target, shown)) = shown.iter().find(|(target, _)| *target == row.target) {
                row.show(self.encoder.source(target.spatial_id).unwrap_or(picture), shown)?;
            }
        }
        if shown.len() == self.rows.len() {
            self.shown = shown.into_iter().map(|(_, picture)| picture).collect();
        }
        Ok(())
    }
}

// ---- The picture of all decode targets ----

const BACKGROUND: Rgb<u8> = Rgb([24, 26, 30]);
const TEXT: Rgb<u8> = Rgb([235, 235, 235]);

/// All decode targets at their true sizes: a column for each temporal layer, a row for each spatial layer, the
/// largest on top.
fn sheet(coded: &Coded, duration: Duration, size: layercast::Size) -> RgbImage {
    let zoom = (size.width / 420).max(1);
    let (gap, label) = (12 * zoom, 28 * zoom);
    let structure = coded.encoder.config().mode.structure();
    let columns = u32::from(structure.temporal_layers);
    let heights = coded.rows.iter().filter(|row| row.target.temporal_id == 0).map(|row| row.size.height);
    let height = heights.map(|height| label + height + gap).sum::<u32>() + gap;
    let mut image = RgbImage::from_pixel(columns * (size.width + gap) + gap, height, BACKGROUND);
    let mut top = gap;
    for spatial_id in (0..structure.spatial_layers).rev() {
        let row = coded.rows.iter().zip(&coded.shown).filter(|(row, _)| row.target.spatial_id == spatial_id);
        let mut bottom = top;
        for (row, picture) in row {
            let left = gap + u32::from(row.target.temporal_id) * (size.width + gap);
            let mut text = Canvas { image: &mut image, origin: (left, top), zoom };
            text.write(&caption(row, duration));
            draw(&mut image, (left, top + label), picture);
            bottom = top + label + row.size.height + gap;
        }
        top = bottom;
    }
    image
}

fn caption(row: &Row, duration: Duration) -> String {
    let (rate, kbps) = (duration.rate(row), duration.kbps(row.bytes));
    format!("{} {} {rate:.1} fps {kbps:.0} kbit/s", row.target, row.size)
}

/// Draws a picture at the place of its upper left corner.
fn draw(image: &mut RgbImage, origin: (u32, u32), picture: &Picture) {
    for (at, pixel) in (0..).zip(rgb::pixels(picture)) {
        let width = picture.size().width;
        image.put_pixel(origin.0 + at % width, origin.1 + at / width, Rgb(pixel));
    }
}

/// A place to write on an image, with pixels of `zoom` times `zoom`.
struct Canvas<'a> {
    image: &'a mut RgbImage,
    origin: (u32, u32),
    zoom: u32,
}

impl Canvas<'_> {
    fn write(&mut self, text: &str) {
        let style = MonoTextStyle::new(&FONT_10X20, BinaryColor::On);
        let Ok(_) = Text::with_baseline(text, Point::zero(), style, Baseline::Top).draw(self);
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        let (left, top) = self.origin;
        Size::new((self.image.width() - left) / self.zoom, (self.image.height() - top) / self.zoom)
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Self::Error> {
        let bounds = self.bounding_box();
        for Pixel(point, colour) in pixels {
            if colour.is_off() || !bounds.contains(point) {
                continue;
            }
            let (left, top) =
                (self.origin.0 + point.x as u32 * self.zoom, self.origin.1 + point.y as u32 * self.zoom);
            for y in top..top + self.zoom {
                for x in left..left + self.zoom {
                    self.image.put_pixel(x, y, TEXT);
                }
            }
        }
        Ok(())
    }
}
