//! A receiver of one decode target.

use layercast::bitstream::Extractor;
use layercast::decoder::{DecodeError, Decoder, DecoderConfig, Output};
use layercast::picture::Picture;
use layercast::structure::DecodeTarget;

/// Drops the layers above its decode target and decodes what is left.
pub struct Receiver {
    target: DecodeTarget,
    extractor: Extractor,
    decoder: Decoder,
    received: usize,
}

impl Receiver {
    /// A receiver that waits for its first key frame.
    ///
    /// The decoder gives the pictures of all spatial layers and the choice is made here: in the modes whose
    /// spatial layers take turns, a temporal unit may have a picture of a lower layer only.
    pub fn new(target: DecodeTarget) -> Result<Self, DecodeError> {
        let config = DecoderConfig { output: Output::AllLayers, ..DecoderConfig::default() };
        Ok(Self { target, extractor: Extractor::new(target), decoder: Decoder::new(config)?, received: 0 })
    }

    /// What the receiver shows.
    pub fn target(&self) -> DecodeTarget {
        self.target
    }

    /// Bytes of all that was left of the temporal units.
    pub fn received(&self) -> usize {
        self.received
    }

    /// The picture of a temporal unit, `None` where it has none for this decode target.
    pub fn receive(&mut self, unit: &[u8]) -> Result<Option<Picture>, Box<dyn std::error::Error>> {
        let Some(unit) = self.extractor.temporal_unit(unit)? else { return Ok(None) };
        self.received += unit.len();
        let pictures = self.decoder.decode(&unit, 0)?;
        let shown = pictures.into_iter().find(|picture| picture.spatial_id == self.target.spatial_id);
        Ok(shown.map(|shown| shown.picture))
    }
}
