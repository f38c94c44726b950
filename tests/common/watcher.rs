//! A receiver of one decode target that goes by the plans of the frames.

use std::collections::BTreeSet;

use layercast::bitstream::write_temporal_delimiter;
use layercast::decoder::{Decoder, DecoderConfig, Output};
use layercast::encoder::{LayerFrame, SvcEncoder, TemporalUnit};
use layercast::structure::{DecodeTarget, DecodeTargets, Structure};

use super::chance::Chance;

/// Takes the frames that its decode target needs as soon as it has what they refer to.
pub struct Watcher {
    target: DecodeTarget,
    decoder: Decoder,
    /// Numbers of the frames received.
    received: BTreeSet<u64>,
}

impl Watcher {
    pub fn new(target: DecodeTarget) -> Self {
        let config = DecoderConfig { output: Output::AllLayers, ..DecoderConfig::default() };
        Self { target, decoder: Decoder::new(config).unwrap(), received: BTreeSet::new() }
    }

    /// What it watches.
    pub fn target(&self) -> DecodeTarget {
        self.target
    }

    fn takes(&mut self, frame: &LayerFrame) -> bool {
        let plan = &frame.plan;
        let takes = plan.needed_by.contains(self.target)
            && plan.depends_on.iter().all(|number| self.received.contains(number));
        if takes {
            self.received.insert(plan.frame_number);
        }
        takes
    }

    /// Holds all that it decodes against the coder's reconstruction; says whether it shows its own layer.
    pub fn receive(&mut self, encoder: &SvcEncoder, unit: &TemporalUnit) -> bool {
        let mut bytes = vec![];
        write_temporal_delimiter(&mut bytes);
        let mut layers = vec![];
        for frame in &unit.frames {
            if self.takes(frame) {
                bytes.extend_from_slice(&frame.data);
                layers.push(frame.plan.layer.spatial_id);
            }
        }
        if layers.is_empty() {
            return false;
        }
        let (target, number) = (self.target, unit.plan.picture_number);
        let decoded = self.decoder.decode(&bytes, 0);
        let decoded = decoded.unwrap_or_else(|error| panic!("picture {number}, {target}: {error}"));
        assert!(decoded.iter().map(|shown| shown.spatial_id).eq(layers.iter().copied()));
        for shown in decoded {
            let expected = encoder.reconstruction(shown.spatial_id);
            assert!(Some(shown.picture) == expected, "picture {number}, {target}: S{}", shown.spatial_id);
        }
        layers.last() == Some(&target.spatial_id)
    }
}

/// What none to three receivers watch.
pub fn random_targets(structure: &Structure, chance: &mut Chance) -> DecodeTargets {
    let all: Vec<DecodeTarget> = structure.decode_targets().collect();
    (0..chance.below(4)).map(|_| all[chance.below(all.len() as u64) as usize]).collect()
}
