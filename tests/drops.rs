//! A relay drops a receiver's layers and adds them again at random, whenever the structure allows it; the receiver
//! sees no drift.

mod common;

use common::chance::Chance;
use layercast::Size;
use layercast::bitstream::write_temporal_delimiter;
use layercast::decoder::{Decoder, DecoderConfig, Output};
use layercast::encoder::{EncodeOptions, LayerFrame, SvcEncoder, TemporalUnit};
use layercast::scene::Scene;
use layercast::structure::{LayerId, ScalabilityMode};

/// The layers that a relay forwards to one receiver.
struct Relay {
    chance: Chance,
    target: LayerId,
}

impl Relay {
    /// Takes a layer less at any time; one more temporal layer at a switch point of it, and the spatial layers
    /// at a key picture.
    fn switch(&mut self, unit: &TemporalUnit) {
        let LayerId { spatial_id, temporal_id } = &mut self.target;
        if unit.plan.key {
            *spatial_id = 2;
        } else if self.chance.once_in(12) {
            *spatial_id = self.chance.below(u64::from(*spatial_id) + 1) as u8;
        }
        if self.chance.once_in(6) {
            *temporal_id = self.chance.below(u64::from(*temporal_id) + 1) as u8;
        }
        let next = *temporal_id + 1;
        let up = |frame: &LayerFrame| frame.plan.layer.temporal_id == next && frame.plan.is_switch_point;
        if unit.frames.iter().all(up) && self.chance.once_in(2) {
            *temporal_id = next;
        }
    }

    /// The frames forwarded. What no other frame refers to may be dropped at any time.
    fn forward<'a>(&mut self, unit: &'a TemporalUnit) -> Vec<&'a LayerFrame> {
        let Self { chance, target } = self;
        let frames = unit.frames.iter().filter(|frame| {
            let LayerId { spatial_id, temporal_id } = frame.plan.layer;
            let dropped = frame.plan.refresh_frame_flags == 0 && chance.once_in(4);
            spatial_id <= target.spatial_id && temporal_id <= target.temporal_id && !dropped
        });
        frames.collect()
    }
}

/// Decodes the frames, and holds each picture against the coder's.
fn receive(decoder: &mut Decoder, frames: &[&LayerFrame], encoder: &SvcEncoder, picture: u64) {
    let mut unit = vec![];
    write_temporal_delimiter(&mut unit);
    frames.iter().for_each(|frame| unit.extend_from_slice(&frame.data));
    let shown = decoder.decode(&unit, 0).unwrap_or_else(|error| panic!("picture {picture}: {error}"));
    let shown_layers: Vec<u8> = shown.iter().map(|shown| shown.spatial_id).collect();
    let layers: Vec<u8> = frames.iter().map(|frame| frame.plan.layer.spatial_id).collect();
    assert_eq!(shown_layers, layers, "picture {picture}");
    for shown in shown {
        let expected = encoder.reconstruction(shown.spatial_id);
        assert!(Some(shown.picture) == expected, "picture {picture}: layer {} drifts", shown.spatial_id);
    }
}

#[test]
fn random_drops_do_no_harm() {
    let scene = Scene::new(Size::new(320, 180));
    let mut encoder = common::encoder(Size::new(320, 180), ScalabilityMode::L3T3, 120);
    let config = DecoderConfig { output: Output::AllLayers, ..DecoderConfig::default() };
    let mut decoder = Decoder::new(config).unwrap();
    let mut relay = Relay { chance: Chance(1), target: LayerId::new(2, 2) };
    let (mut shown, mut targets) = (0, std::collections::BTreeSet::new());
    for n in 0..300 {
        let options =
            EncodeOptions { refresh: common::key_if(relay.chance.once_in(25)), ..EncodeOptions::default() };
        let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
        relay.switch(&unit);
        targets.insert(relay.target);
        let frames = relay.forward(&unit);
        if !frames.is_empty() {
            receive(&mut decoder, &frames, &encoder, n);
            shown += 1;
        }
    }
    assert_eq!(targets.len(), 9, "every decode target has had its turn");
    assert!((100..300).contains(&shown), "{shown} pictures");
}
