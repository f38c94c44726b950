//! The encoders that the benches measure, behind one interface, and the clips they code.

pub mod clip;
#[cfg(feature = "libaom")]
pub mod libaom;
pub mod rav1e;

use bytes::Bytes;
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::picture::Picture;
use layercast::scene::Scene;

use layercast_examples::Result;

/// An encoder at work on one clip.
pub trait Coder {
    /// Codes a picture. Appends the temporal units that are ready.
    fn code(&mut self, picture: &Picture, units: &mut Vec<Bytes>) -> Result<()>;

    /// Appends the temporal units that were still held back.
    fn finish(&mut self, _units: &mut Vec<Bytes>) -> Result<()> {
        Ok(())
    }
}

/// This crate's encoder.
pub struct Layercast {
    encoder: SvcEncoder,
    picture: u64,
}

impl Layercast {
    /// Ready for the first picture.
    pub fn new(config: SvcConfig) -> Result<Self> {
        Ok(Self { encoder: SvcEncoder::new(config)?, picture: 0 })
    }
}

impl Coder for Layercast {
    fn code(&mut self, picture: &Picture, units: &mut Vec<Bytes>) -> Result<()> {
        let unit =
            self.encoder.encode(&picture.view(), Scene::time(self.picture), EncodeOptions::default())?;
        self.picture += 1;
        units.push(unit.to_bytes());
        Ok(())
    }
}
