//! rav1e's own loop, which codes one layer, at its fastest.

use bytes::Bytes;
use layercast::picture::Picture;
use rav1e::Context;
use rav1e::prelude::{Config, EncoderConfig, EncoderStatus, Rational, SpeedSettings};

use super::Coder;
use super::clip::Clip;
use layercast_examples::Result;

/// Its fastest speed.
pub const SPEED: u8 = 10;

/// rav1e at [`SPEED`] and low latency, with one tile and one thread.
pub struct Rav1e {
    context: Context<u8>,
}

impl Rav1e {
    /// Ready for the clip's first picture; the quantizer index is 1 to 255.
    pub fn new(clip: &Clip, quantizer: u8) -> Result<Self> {
        let encoder = EncoderConfig {
            width: clip.size().width as usize,
            height: clip.size().height as usize,
            time_base: Rational::new(clip.frame_rate.den as u64, clip.frame_rate.num as u64),
            low_latency: true,
            error_resilient: false,
            min_key_frame_interval: 0,
            max_key_frame_interval: 10_000,
            quantizer: quantizer.into(),
            speed_settings: SpeedSettings::from_preset(SPEED),
            ..EncoderConfig::default()
        };
        let config = Config::new().with_encoder_config(encoder).with_threads(1);
        Ok(Self { context: config.new_context()? })
    }

    /// Appends the packets that are there.
    fn packets(&mut self, units: &mut Vec<Bytes>) -> Result<()> {
        loop {
            match self.context.receive_packet() {
                Ok(packet) => units.push(packet.data.into()),
                Err(EncoderStatus::Encoded) => {}
                Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Coder for Rav1e {
    fn code(&mut self, picture: &Picture, units: &mut Vec<Bytes>) -> Result<()> {
        let mut frame = self.context.new_frame();
        for ((p, plane), view) in frame.planes.iter_mut().enumerate().zip(picture.planes()) {
            plane.copy_from_raw_u8(picture.plane(p), view.width(), 1);
        }
        self.context.send_frame(frame)?;
        self.packets(units)
    }

    fn finish(&mut self, units: &mut Vec<Bytes>) -> Result<()> {
        self.context.flush();
        self.packets(units)
    }
}
