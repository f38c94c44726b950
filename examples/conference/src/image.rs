//! Between the pictures of video and those of pages.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use layercast::Size;
use layercast::picture::{Picture, plane_size};
use layercast_examples::Result;
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvPlanarImage, YuvPlanarImageMut, YuvRange, YuvStandardMatrix,
};

/// The matrix and the range of all pictures of this call.
const MATRIX: YuvStandardMatrix = YuvStandardMatrix::Bt601;
const RANGE: YuvRange = YuvRange::Limited;

/// A picture made of pixels in red, green and blue.
pub fn from_rgb(size: Size, rgb: &[u8]) -> Result<Picture> {
    let Size { width, height } = size;
    let mut image = YuvPlanarImageMut::<u8>::alloc(width, height, YuvChromaSubsampling::Yuv420);
    yuv::rgb_to_yuv420(&mut image, rgb, 3 * width, RANGE, MATRIX, YuvConversionMode::Balanced)?;
    let mut picture = Picture::new(size);
    let planes = [
        (image.y_plane.borrow(), image.y_stride),
        (image.u_plane.borrow(), image.u_stride),
        (image.v_plane.borrow(), image.v_stride),
    ];
    for (plane, (from, stride)) in planes.into_iter().enumerate() {
        let (width, _) = plane_size(size, plane);
        let rows = picture.plane_mut(plane).chunks_exact_mut(width).zip(from.chunks(stride as usize));
        rows.for_each(|(to, from)| to.copy_from_slice(&from[..width]));
    }
    Ok(picture)
}

/// A picture as the address of a PNG.
pub fn data_uri(picture: &Picture) -> Result<String> {
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
    let mut rgb = vec![0; 3 * (width * height) as usize];
    yuv::yuv420_to_rgb(&image, &mut rgb, 3 * width, RANGE, MATRIX)?;
    encode(width, height, png::ColorType::Rgb, &rgb)
}

/// Bytes as grey pixels, as the address of a PNG. What is missing stays black.
pub fn noise_uri(Size { width, height }: Size, bytes: &[u8]) -> Result<String> {
    let mut pixels = bytes.to_vec();
    pixels.resize((width * height) as usize, 0);
    encode(width, height, png::ColorType::Grayscale, &pixels)
}

fn encode(width: u32, height: u32, colour: png::ColorType, pixels: &[u8]) -> Result<String> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(file)))
}
