//! The table of what each decode target costs and what it looks like.

use layercast::Size;
#[cfg(feature = "encoder")]
use layercast::encoder::TemporalUnit;
use layercast::picture::Picture;
use layercast::quality::{Quality, QualityError};
use layercast::structure::DecodeTarget;
use y4m::Ratio;

/// One line of the table: what a receiver of one decode target gets.
pub struct Row {
    /// What the receiver shows.
    pub target: DecodeTarget,
    /// Width and height in luma samples.
    pub size: Size,
    /// Bytes of the frames of this very layer.
    pub own_bytes: usize,
    /// Bytes of all frames that the decode target needs.
    pub bytes: usize,
    /// Of the pictures that it shows.
    pub quality: Quality,
}

impl Row {
    /// Nothing received yet.
    pub fn new(target: DecodeTarget) -> Self {
        Self { target, size: Size::default(), own_bytes: 0, bytes: 0, quality: Quality::default() }
    }

    /// Adds the frames of a temporal unit that the decode target needs.
    #[cfg(feature = "encoder")]
    pub fn count(&mut self, unit: &TemporalUnit) {
        for frame in &unit.frames {
            if frame.plan.layer == self.target {
                self.own_bytes += frame.data.len();
            }
            if frame.plan.needed_by.contains(self.target) {
                self.bytes += frame.data.len();
            }
        }
    }

    /// Adds a picture that is shown, and what it is made from.
    pub fn show(&mut self, source: &Picture, shown: &Picture) -> Result<(), QualityError> {
        self.size = shown.size();
        self.quality.add(source.view(), shown.view())
    }
}

/// How long so many pictures last.
#[derive(Clone, Copy)]
pub struct Duration {
    /// Pictures of the source.
    pub pictures: u64,
    /// Pictures per second of the source.
    pub frame_rate: Ratio,
}

impl Duration {
    /// Seconds.
    pub fn seconds(self) -> f64 {
        self.pictures as f64 * self.frame_rate.den as f64 / self.frame_rate.num as f64
    }

    /// 1000 bits a second.
    pub fn kbps(self, bytes: usize) -> f64 {
        bytes as f64 * 8.0 / 1000.0 / self.seconds()
    }

    /// Of a row's pictures, each second.
    pub fn rate(self, row: &Row) -> f64 {
        row.quality.frames() as f64 / self.seconds()
    }
}

/// Prints the table.
pub fn print(rows: &[Row], duration: Duration) {
    println!("| target | size      |  fps | layer kbit/s | kbit/s | Y-PSNR dB |   SSIM |");
    println!("| ------ | --------- | ---: | -----------: | -----: | --------: | -----: |");
    for row in rows {
        println!(
            "| {:6} | {:9} | {:4.1} | {:12.1} | {:6.1} | {:9.2} | {:.4} |",
            row.target.to_string(),
            row.size.to_string(),
            duration.rate(row),
            duration.kbps(row.own_bytes),
            duration.kbps(row.bytes),
            row.quality.y_psnr(),
            row.quality.y_ssim(),
        );
    }
}
