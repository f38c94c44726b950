//! Something that the participant sends.

use std::time::Duration;

use layercast::encoder::{Bitrate, Content, RateConfig, SvcConfig};
use layercast::picture::Colours;
use layercast::session::{AudioSender, VideoSender};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};
use layercast_meeting::Published;

/// The slowest speed of the encoder.
const SPEED: u8 = 6;

/// A camera or a screen.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSource {
    /// Of the pictures.
    pub size: Size,
    /// The layers.
    pub mode: ScalabilityMode,
    /// Pictures a second.
    pub frame_rate: u32,
    /// What they show.
    pub content: Content,
    /// What their samples mean. A browser takes pictures that do not tell for BT.709.
    pub colours: Colours,
    /// The most that it takes of the path, in bit/s.
    pub max_bitrate: u64,
}

impl VideoSource {
    /// A camera in three sizes at three frame rates: 700 kbit/s at 640x360, and more or less at other sizes. Its colours are
    /// those of BT.601, as cameras have them.
    pub fn camera(size: Size) -> Self {
        let share = size.samples() as f64 / (640.0 * 360.0);
        let max_bitrate = (700_000.0 * share.powf(0.75)) as u64;
        let (mode, content, colours) = (ScalabilityMode::L3T3, Content::Camera, Colours::BT601_525);
        Self { size, mode, frame_rate: 30, content, colours, max_bitrate }
    }

    /// A screen at three frame rates, of 10 pictures a second. Spatial layers would blur its text at the same bitrate.
    pub fn screen(size: Size) -> Self {
        let mode = ScalabilityMode::L1T3;
        Self { mode, frame_rate: 10, content: Content::Screen, ..Self::camera(size) }
    }

    /// From one picture to the next.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(1) / self.frame_rate.max(1)
    }

    pub(super) fn encoder(&self) -> SvcConfig {
        let mut config = SvcConfig::new(self.size, self.mode);
        config.speed = SPEED;
        (config.content, config.colours) = (self.content, self.colours);
        let mut rate = RateConfig::new(Bitrate::Total(self.max_bitrate));
        rate.drop_pictures = true;
        config.rate = Some(rate);
        config
    }
}

#[allow(clippy::large_enum_variant, reason = "a participant sends three things at most")]
pub(super) enum Sender {
    Video(Box<VideoSender>),
    Audio(AudioSender),
}

/// What is sent of a source.
#[derive(Default)]
pub(super) struct Sending {
    pub(super) video: Option<VideoSource>,
    /// What the relay calls it; `None` while it is not announced.
    pub(super) live: Option<Published>,
    pub(super) sender: Option<Sender>,
    /// When the first picture was captured, and then its RTP timestamp.
    pub(super) first: Option<Time>,
    pub(super) clock: Option<(u32, Time)>,
    /// Bytes of packets.
    pub(super) bytes: u64,
    /// How long the pictures were coded for.
    pub(super) coding: Duration,
    pub(super) has_begun: bool,
}

/// The counts of a source.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SourceCounts {
    /// Bytes of packets.
    pub bytes: u64,
    /// Pictures coded.
    pub pictures: u64,
    /// Pictures left out, since packets waited.
    pub skipped: u64,
    /// The estimate of the path in bit/s, of the source that has it.
    pub path: Option<u64>,
    /// How long the pictures were coded for.
    pub coding: Duration,
    /// The level of effort, and how many layers are given up for want of time (`layercast::encoder::EffortGovernor`).
    pub effort: Option<(usize, usize)>,
}

#[cfg(test)]
mod tests {
    use layercast::bitstream::{HeaderReader, SequenceHeader};
    use layercast::encoder::SvcEncoder;

    use super::*;

    fn sequence(source: &VideoSource) -> SequenceHeader {
        let encoder = SvcEncoder::new(source.encoder()).unwrap();
        let mut reader = HeaderReader::new();
        assert_eq!(reader.temporal_unit(&encoder.sequence_header()).count(), 0);
        reader.sequence().unwrap().clone()
    }

    /// Whoever shows pictures that do not tell has to guess, and browsers guess BT.709.
    #[test]
    fn the_sequence_header_says_what_the_samples_mean() {
        let size = Size::new(160, 90);
        for source in [VideoSource::camera(size), VideoSource::screen(size)] {
            let colours = sequence(&source).color_config;
            let description = colours.color_description.unwrap();
            let numbers = [
                description.color_primaries,
                description.transfer_characteristics,
                description.matrix_coefficients,
            ];
            assert_eq!((numbers, colours.color_range), ([6, 6, 6], false));
        }
        let source = VideoSource { colours: Colours::BT709, ..VideoSource::camera(size) };
        assert_eq!(sequence(&source).color_config.color_description.unwrap().matrix_coefficients, 1);
    }
}
