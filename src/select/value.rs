//! The value of a decode target to its viewer, by the model of the module's documentation.
//!
//! The model uses only sums, products, quotients and square roots, which IEEE 754 defines to the last bit, so
//! that every machine decides alike.

use super::input::{LayerOffer, LayerQuality, Priority, Window};

/// A target that shows a window of 1280x720 at priority 1 in full, at 30 pictures a second.
const ONE: f64 = 65536.0;

/// The most that a target is worth: products with [`MAX_BITRATE`](super::MAX_BITRATE) fit 64 bits.
pub(super) const MAX_VALUE: u32 = 1 << 22;

/// The value of a stream as a multiple of that of a thumbnail of the same size.
fn weight(priority: Priority) -> f64 {
    match priority {
        Priority::Thumbnail => 1.0,
        Priority::ActiveSpeaker => 2.0,
        Priority::ScreenShare | Priority::Pinned => 4.0,
    }
}

/// The value of `layer` in `window`, at least 1. `quality` is the [`quality`] of its spatial layer.
pub(super) fn value(layer: &LayerOffer, quality: f64, window: &Window) -> u32 {
    let (width, height) = (f64::from(layer.size.width), f64::from(layer.size.height));
    // Window pixels for each sample, a side: the whole picture is fitted in.
    let scale = (f64::from(window.size.width) / width).min(f64::from(window.size.height) / height);
    let area = (width * height * scale * scale / (1280.0 * 720.0)).sqrt().clamp(0.125, 2.0);
    let detail = (1.0 / scale).min(1.0);
    let rate = f64::from(layer.frame_rate).min(60.0);
    let seen = match window.priority {
        // Text is read or it is not; a page that turns late is still read.
        Priority::ScreenShare => detail * detail * rate / (rate + 2.0) * (32.0 / 30.0),
        // A face is known at any size, and talks by its motion.
        _ => detail * (2.0 - detail) * rate / (rate + 10.0) * (40.0 / 30.0),
    };
    let value = ONE * weight(window.priority) * area * seen * quality;
    (value as u32).clamp(1, MAX_VALUE)
}

/// The quality of the pictures of a spatial layer, 0 to 1, as measured, or else guessed from the bits of a
/// picture. `layer` is its target of the highest frame rate, which stands for all its temporal layers: their
/// pictures are the same.
pub(super) fn quality(layer: &LayerOffer) -> f64 {
    match layer.quality {
        Some(LayerQuality::Ssim(ssim)) if ssim.is_finite() => {
            let ssim = f64::from(ssim.clamp(0.1, 1.0));
            ssim * ssim * ssim * ssim
        }
        Some(LayerQuality::Psnr(psnr)) if psnr.is_finite() => {
            ((f64::from(psnr) - 20.0) / 20.0).clamp(0.05, 1.0)
        }
        _ => {
            // A sample costs less in a larger picture: by its fourth root.
            let samples = layer.size.samples() as f64;
            let bits = layer.bitrate as f64 / f64::from(layer.frame_rate);
            let bits = bits / (samples.sqrt() * samples.sqrt().sqrt());
            (bits / (bits + 0.1)).max(0.05)
        }
    }
}
