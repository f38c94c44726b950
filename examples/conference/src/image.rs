//! Pictures of the page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use layercast::Size;
use layercast::picture::Picture;
use layercast_examples::{Result, rgb};

/// A picture as the address of a PNG.
pub fn data_uri(picture: &Picture) -> Result<String> {
    let Size { width, height } = picture.size();
    let pixels: Vec<u8> = rgb::pixels(picture).flatten().collect();
    encode(width, height, png::ColorType::Rgb, &pixels)
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
