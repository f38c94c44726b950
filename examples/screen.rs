//! A shared screen: RGBA pictures are converted, coded with their colours told, decoded, and converted back.

mod common;

use std::process::ExitCode;

use clap::Parser;
use layercast::decoder::{DecodedPicture, Decoder, DecoderConfig};
use layercast::encoder::{Content, EncodeOptions, SvcConfig, SvcEncoder};
use layercast::picture::{Colours, PictureView};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};
use yuv::{
    YuvBiPlanarImageMut, YuvChromaSubsampling, YuvConversionMode, YuvPlanarImage, YuvRange,
    YuvStandardMatrix, rgba_to_yuv_nv12, yuv420_to_rgba,
};

use common::{Result, exit_code, warn_of_debug_build};

/// Draws a window that moves over a desktop, in RGBA as screens are captured, and codes it. The crate takes pictures as
/// I420 or NV12; crate `yuv` converts the samples, and the stream says how they are to be converted back.
#[derive(Parser)]
struct Args {
    /// Pictures to code.
    #[arg(long, default_value_t = 30)]
    pictures: u32,
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 60)]
    qp: u8,
}

const SIZE: Size = Size::new(1280, 720);

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let mut config = SvcConfig::new(SIZE, ScalabilityMode::L1T3);
    config.quantizer = args.qp;
    config.colours = Colours::SRGB;
    config.content = Content::Screen;
    let (mut encoder, mut decoder) = (SvcEncoder::new(config)?, Decoder::new(DecoderConfig::default())?);
    let (mut bytes, mut error, mut samples) = (0, 0, 0);
    for n in 0..args.pictures {
        let screen = draw(n);
        let unit = encode(&mut encoder, &screen, n)?;
        bytes += unit.len();
        for picture in decoder.decode(&unit, n.into())? {
            let shown = to_rgba(&picture)?;
            let errors = screen.iter().zip(&shown).map(|(a, b)| u64::from(a.abs_diff(*b)));
            error += errors.sum::<u64>();
            samples += screen.len() as u64;
        }
    }
    println!(
        "{} pictures of {SIZE} in {bytes} bytes; red, green, blue and alpha are off by {:.2} of 255 on average",
        args.pictures,
        error as f64 / samples.max(1) as f64
    );
    Ok(())
}

/// Converts a picture to NV12 by the matrix and the range that [`Colours::SRGB`] names, and codes it.
fn encode(encoder: &mut SvcEncoder, screen: &[u8], n: u32) -> Result<bytes::Bytes> {
    let mut nv12 = YuvBiPlanarImageMut::<u8>::alloc(SIZE.width, SIZE.height, YuvChromaSubsampling::Yuv420);
    let mode = YuvConversionMode::Balanced;
    rgba_to_yuv_nv12(&mut nv12, screen, 4 * SIZE.width, YuvRange::Full, YuvStandardMatrix::Bt709, mode)?;
    let planes = [nv12.y_plane.borrow(), nv12.uv_plane.borrow()];
    let view = PictureView::nv12(SIZE, planes, [nv12.y_stride as usize, nv12.uv_stride as usize])?;
    let unit = encoder.encode(&view, Time::from_millis(u64::from(n) * 33), EncodeOptions::default())?;
    Ok(unit.to_bytes())
}

/// Converts a decoded picture as its stream says.
fn to_rgba(DecodedPicture { picture, colours, .. }: &DecodedPicture) -> Result<Vec<u8>> {
    let range = if colours.full_range { YuvRange::Full } else { YuvRange::Limited };
    let matrix = match colours.matrix {
        1 => YuvStandardMatrix::Bt709,
        5 | 6 => YuvStandardMatrix::Bt601,
        other => return Err(format!("matrix {other} is for others to convert").into()),
    };
    let Size { width, height } = picture.size();
    let half = width.div_ceil(2);
    let image = YuvPlanarImage {
        y_plane: picture.plane(0),
        y_stride: width,
        u_plane: picture.plane(1),
        u_stride: half,
        v_plane: picture.plane(2),
        v_stride: half,
        width,
        height,
    };
    let mut rgba = vec![0; 4 * (width * height) as usize];
    yuv420_to_rgba(&image, &mut rgba, 4 * width, range, matrix)?;
    Ok(rgba)
}

/// A window with lines of text on a desktop of two colours.
fn draw(n: u32) -> Vec<u8> {
    let (left, top) = (100 + 8 * n % 500, 80 + 2 * n % 200);
    let pixel = |x: u32, y: u32| {
        let (in_x, in_y) = (x.wrapping_sub(left), y.wrapping_sub(top));
        match (in_x, in_y) {
            (0..600, 0..24) => [40, 60, 160, 255],
            (20..580, 40..380) if in_y % 16 < 9 && (in_x * 7 + in_y / 16 * 13) % 29 < 17 => [20, 20, 20, 255],
            (0..600, 0..400) => [250, 250, 245, 255],
            _ => [(x / 8) as u8, 120, (y / 4) as u8, 255],
        }
    };
    (0..SIZE.height).flat_map(|y| (0..SIZE.width).flat_map(move |x| pixel(x, y))).collect()
}
