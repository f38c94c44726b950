//! Between samples of video and red, green and blue, by ITU-R BT.601 in limited range.

use layercast::Size;
use layercast::picture::Picture;

/// The pixel of a luma sample and the chroma samples that belong to it.
fn pixel(luma: u8, cb: u8, cr: u8) -> [u8; 3] {
    let luma = (f32::from(luma) - 16.0) * 1.164;
    let (cb, cr) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    let rgb = [luma + 1.596 * cr, luma - 0.392 * cb - 0.813 * cr, luma + 2.017 * cb];
    rgb.map(|value| value.round().clamp(0.0, 255.0) as u8)
}

/// The pixels of a picture, row by row.
pub fn pixels(picture: &Picture) -> impl Iterator<Item = [u8; 3]> + '_ {
    let [luma, cb, cr] = picture.planes();
    (0..luma.height()).flat_map(move |y| {
        let (luma, cb, cr) = (luma.row(y), cb.row(y / 2), cr.row(y / 2));
        luma.iter().enumerate().map(move |(x, &luma)| pixel(luma, cb[x / 2], cr[x / 2]))
    })
}

/// A picture of so many pixels, row by row. Chroma is that of the upper left pixel of four.
pub fn picture(size: Size, pixels: &[[u8; 3]]) -> Picture {
    let mut picture = Picture::new(size);
    let width = size.width as usize;
    let weigh = |rgb: [u8; 3], weights: [f32; 3], zero: f32| {
        let sum: f32 = rgb.iter().zip(weights).map(|(&value, weight)| f32::from(value) * weight).sum();
        (zero + sum).round().clamp(16.0, 240.0) as u8
    };
    let [luma, cb, cr] = picture.planes_mut();
    for (luma, &rgb) in luma.iter_mut().zip(pixels) {
        *luma = weigh(rgb, [0.257, 0.504, 0.098], 16.0);
    }
    let corners = pixels.chunks(2 * width).flat_map(|rows| rows[..width].iter().step_by(2));
    for ((cb, cr), &rgb) in cb.iter_mut().zip(cr).zip(corners) {
        *cb = weigh(rgb, [-0.148, -0.291, 0.439], 128.0);
        *cr = weigh(rgb, [0.439, -0.368, -0.071], 128.0);
    }
    picture
}
