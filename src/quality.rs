//! How close decoded pictures are to their originals: PSNR and SSIM of luma, as ffmpeg's filters `psnr` and `ssim`
//! compute them, so that figures can be compared with those of others.

use crate::picture::{PictureView, PlaneView, Size};

/// Side of the blocks whose sums make up SSIM, in samples. A window of SSIM is two blocks wide and high.
const BLOCK: usize = 4;

/// Why two pictures cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QualityError {
    /// The pictures have different sizes.
    #[error("a picture of {test} samples is compared with one of {reference}")]
    Size {
        /// Width and height of the reference, in luma samples.
        reference: Size,
        /// Width and height of the picture under test, in luma samples.
        test: Size,
    },
    /// The pictures are smaller than a window of SSIM.
    #[error("a picture of {0} is smaller than SSIM's window of 8x8")]
    Small(Size),
}

/// The quality of the pictures added so far. They may have different sizes, as those of layers do; each picture has
/// the same weight.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    frames: u64,
    /// Sums over the pictures of the mean squared error and of the mean SSIM.
    squared_error: f64,
    ssim: f64,
}

impl Quality {
    /// Adds a picture and its original.
    ///
    /// # Errors
    /// [`QualityError`] if they differ in size or are smaller than 8x8. Nothing is added then.
    pub fn add(&mut self, reference: PictureView<'_>, test: PictureView<'_>) -> Result<(), QualityError> {
        let size = test.size();
        if reference.size() != size {
            return Err(QualityError::Size { reference: reference.size(), test: size });
        }
        let (reference, test) = (reference.luma(), test.luma());
        if test.width().min(test.height()) < 2 * BLOCK {
            return Err(QualityError::Small(size));
        }
        self.frames += 1;
        self.squared_error += mean_squared_error(reference, test);
        self.ssim += mean_ssim(reference, test);
        Ok(())
    }

    /// Number of pictures added.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// PSNR of luma in dB, from the mean of the squared error over all pictures. It is infinite if all of them equal
    /// their originals, and if there are none.
    pub fn y_psnr(&self) -> f64 {
        let mean = self.squared_error / self.frames.max(1) as f64;
        10.0 * (255.0 * 255.0 / mean).log10()
    }

    /// SSIM of luma, the mean over all pictures. It is 1 if all of them equal their originals, and if there are
    /// none.
    pub fn y_ssim(&self) -> f64 {
        if self.frames == 0 { 1.0 } else { self.ssim / self.frames as f64 }
    }
}

fn mean_squared_error(reference: PlaneView<'_>, test: PlaneView<'_>) -> f64 {
    let row = |(a, b): (&[u8], &[u8])| -> u64 {
        a.iter().zip(b).map(|(&a, &b)| u64::from(u32::from(a.abs_diff(b)).pow(2))).sum()
    };
    let sum: u64 = reference.rows().zip(test.rows()).map(row).sum();
    sum as f64 / (reference.width() * reference.height()) as f64
}

/// Sums over the samples of a block or window.
#[derive(Clone, Copy, Default)]
struct Sums {
    reference: i64,
    test: i64,
    /// Of the squares of both.
    squares: i64,
    products: i64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            reference: self.reference + other.reference,
            test: self.test + other.test,
            squares: self.squares + other.squares,
            products: self.products + other.products,
        }
    }

    /// SSIM of a window of 64 samples, in ffmpeg's integers: means as sums of 64, variances as 64 times 63 of them.
    fn ssim(self) -> f64 {
        const C1: i64 = (0.01 * 0.01 * 255.0 * 255.0 * 64.0 + 0.5) as i64;
        const C2: i64 = (0.03 * 0.03 * 255.0 * 255.0 * 64.0 * 63.0 + 0.5) as i64;
        let Self { reference, test, squares, products } = self;
        let means = 2 * reference * test + C1;
        let mean_squares = reference * reference + test * test + C1;
        let variances = squares * 64 - reference * reference - test * test + C2;
        let covariance = 2 * (products * 64 - reference * test) + C2;
        (means as f64 * covariance as f64) / (mean_squares as f64 * variances as f64)
    }
}

/// The mean over windows of 8x8 samples, which are 4 samples apart in both directions. Samples beyond the last whole
/// block at the right and the bottom do not count.
fn mean_ssim(reference: PlaneView<'_>, test: PlaneView<'_>) -> f64 {
    let (columns, rows) = (reference.width() / BLOCK, reference.height() / BLOCK);
    let mut above = vec![Sums::default(); columns];
    let mut below = above.clone();
    let mut sum = 0.0;
    for row in 0..rows {
        std::mem::swap(&mut above, &mut below);
        below.fill(Sums::default());
        for y in row * BLOCK..(row + 1) * BLOCK {
            let samples = reference.row(y).chunks_exact(BLOCK).zip(test.row(y).chunks_exact(BLOCK));
            for (block, (a, b)) in below.iter_mut().zip(samples) {
                for (&a, &b) in a.iter().zip(b) {
                    let (a, b) = (i64::from(a), i64::from(b));
                    let sample = Sums { reference: a, test: b, squares: a * a + b * b, products: a * b };
                    *block = block.plus(sample);
                }
            }
        }
        if row > 0 {
            let pairs = above.windows(2).zip(below.windows(2));
            sum += pairs.map(|(a, b)| a[0].plus(a[1]).plus(b[0]).plus(b[1]).ssim()).sum::<f64>();
        }
    }
    sum / ((columns - 1) * (rows - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;

    /// A slope with a waviness, of which `coarse` loses the lower bits.
    fn picture(width: usize, height: usize, t: usize, coarse: u8) -> Picture {
        let mut picture = Picture::new(Size::new(width as u32, height as u32));
        for (i, sample) in picture.plane_mut(0).iter_mut().enumerate() {
            let (x, y) = (i % width, i / width);
            *sample = (x + 2 * y + (x * x + y * (t + 3)) % 61) as u8 & !coarse;
        }
        picture
    }

    fn quality(pairs: &[(Picture, Picture)]) -> Quality {
        let mut quality = Quality::default();
        for (reference, test) in pairs {
            quality.add(reference.view(), test.view()).unwrap();
        }
        quality
    }

    #[test]
    fn figures_are_those_of_ffmpeg() {
        let pairs =
            [(0, 15), (1, 3), (2, 63)].map(|(t, coarse)| (picture(45, 38, t, 0), picture(45, 38, t, coarse)));
        let quality = quality(&pairs);
        assert_eq!(quality.frames(), 3);
        // What ffmpeg's filters say of these three pictures.
        assert!((quality.y_psnr() - 21.425555).abs() < 1e-6, "{}", quality.y_psnr());
        assert!((quality.y_ssim() - 0.845676).abs() < 1e-6, "{}", quality.y_ssim());
    }

    #[test]
    fn the_same_picture_is_perfect() {
        let same = picture(64, 48, 5, 0);
        for quality in [Quality::default(), quality(&[(same.clone(), same)])] {
            assert_eq!((quality.y_psnr(), quality.y_ssim()), (f64::INFINITY, 1.0));
        }
    }

    #[test]
    fn black_and_white_are_as_far_apart_as_can_be() {
        let plain = |value| {
            let mut picture = Picture::new(Size::new(8, 8));
            picture.plane_mut(0).fill(value);
            picture
        };
        let quality = quality(&[(plain(0), plain(255))]);
        assert_eq!(quality.y_psnr(), 0.0);
        assert!((0.0..0.001).contains(&quality.y_ssim()));
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let mut quality = Quality::default();
        let mut add = |a: Picture, b: Picture| quality.add(a.view(), b.view());
        let error = add(picture(64, 48, 0, 0), picture(64, 46, 0, 0));
        assert_eq!(error, Err(QualityError::Size { reference: Size::new(64, 48), test: Size::new(64, 46) }));
        let error = add(picture(8, 7, 0, 0), picture(8, 7, 0, 0));
        assert_eq!(error, Err(QualityError::Small(Size::new(8, 7))));
        assert_eq!(quality.frames(), 0);
    }
}
