//! A receiver for each decode target, whose pictures are compared with the encoder's reconstruction.

use std::error::Error;

use layercast::encoder::{SvcEncoder, TemporalUnit};
use layercast::picture::Picture;
use layercast::structure::{DecodeTarget, ScalabilityMode};

use super::receiver::Receiver;

/// Receivers of all decode targets, whose pictures have to be those that the coder reconstructed.
pub struct Receivers {
    receivers: Vec<Receiver>,
    compared: u64,
    different: Vec<String>,
}

impl Receivers {
    /// One of each decode target of the mode.
    pub fn new(mode: ScalabilityMode) -> Result<Self, Box<dyn Error>> {
        let receivers = mode.structure().decode_targets().map(Receiver::new).collect::<Result<_, _>>()?;
        Ok(Self { receivers, compared: 0, different: vec![] })
    }

    /// Hands all of them the temporal unit that the coder made last, and gives what they show of it.
    pub fn receive(
        &mut self,
        encoder: &SvcEncoder,
        unit: &TemporalUnit,
        bytes: &[u8],
    ) -> Result<Vec<(DecodeTarget, Picture)>, Box<dyn Error>> {
        let mut all = vec![];
        for receiver in &mut self.receivers {
            let target = receiver.target();
            let number = unit.plan.picture_number;
            let shown = receiver.receive(bytes).map_err(|e| format!("picture {number}: {target}: {e}"))?;
            let coded = unit.frames.iter().any(|frame| {
                let layer = frame.plan.layer;
                layer.spatial_id == target.spatial_id && layer.temporal_id <= target.temporal_id
            });
            let expected = if coded { encoder.reconstruction(target.spatial_id) } else { None };
            self.compared += u64::from(coded);
            if shown != expected {
                self.different.push(format!("{target} of picture {number}"));
            }
            all.extend(shown.map(|picture| (target, picture)));
        }
        Ok(all)
    }

    /// How many pictures were compared.
    ///
    /// # Errors
    /// The pictures that were not what the coder reconstructed.
    pub fn verdict(&self) -> Result<String, Box<dyn Error>> {
        let Self { compared, different, .. } = self;
        match different.as_slice() {
            [] => Ok(format!("all {compared} decoded pictures are what the coder reconstructed")),
            [first, ..] => {
                let count = different.len();
                Err(format!("{count} of {compared} pictures differ from the coder's, first {first}").into())
            }
        }
    }
}
