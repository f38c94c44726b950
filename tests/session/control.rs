//! Coded pictures whose size, mode and colours change on the way.

use std::time::Duration;

use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::encoder::{EncodeError, SvcConfig};
use layercast::picture::Colours;
use layercast::scene::Scene;
use layercast::select::{DemandMessage, LayerDemand, StreamId};
use layercast::session::*;
use layercast::structure::{DecodeTargets, LayerId, ScalabilityMode};
use layercast::{Size, Time};

use crate::call::{SSRC, captured};

const SIZE: Size = Size::new(128, 96);
const TURNED: Size = Size::new(96, 128);

/// A sender and a receiver with nothing in between.
struct Ends {
    sender: VideoSender,
    receiver: VideoReceiver,
}

impl Ends {
    fn new() -> Self {
        let agreement = Agreement::default();
        let mut keys = SenderKeys::fresh(agreement, 1, 0).unwrap();
        let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
        ring.add(Time::ZERO, keys.grant().clone());
        let opener = VideoOpener::new(agreement, 1, 0);
        let mut config = VideoSenderConfig::new(SSRC);
        config.path = None;
        let encoder = SvcConfig::new(SIZE, ScalabilityMode::L3T3);
        let receiver = VideoReceiverConfig::new(SSRC, LayerId::new(2, 2));
        Self {
            sender: VideoSender::new(config, encoder, Some(keys.video(0).unwrap())).unwrap(),
            receiver: VideoReceiver::new(receiver, Some((opener, ring))).unwrap(),
        }
    }

    /// Sends a picture, and gives what is shown of it.
    fn picture(&mut self, n: u64, size: Size) -> ShownPicture {
        let now = captured(n);
        self.sender.handle_picture(now, &Scene::new(size).picture(n).view()).unwrap();
        while let SenderOutput::Transmit(packet) = self.sender.poll(now) {
            self.receiver.handle_packet(now, packet);
        }
        let mut shown = vec![];
        loop {
            match self.receiver.poll(now) {
                ReceiverOutput::Picture(picture) => shown.push(picture),
                ReceiverOutput::Refused(refused) => panic!("picture {n}: {refused}"),
                ReceiverOutput::Timeout(_) => break,
                _ => {}
            }
        }
        assert_eq!(shown.len(), 1, "picture {n}");
        shown.remove(0)
    }

    /// Whether it is what the encoder coded.
    fn is_exact(&mut self, shown: &ShownPicture) -> bool {
        let encoder = self.sender.encoder_mut().unwrap();
        encoder.reconstruction(shown.target.spatial_id).is_some_and(|expected| expected == shown.picture)
    }
}

#[test]
fn every_picture_is_shown_whatever_its_size_and_mode() {
    let mut ends = Ends::new();
    let mut shown = vec![];
    for n in 0..36 {
        let encoder = ends.sender.encoder_mut().unwrap();
        match n {
            12 => encoder.set_mode(ScalabilityMode::L1T3).unwrap(),
            18 => encoder.set_mode(ScalabilityMode::S2T2).unwrap(),
            24 => encoder.set_mode(ScalabilityMode::L3T3Key).unwrap(),
            30 => encoder.set_colours(Colours::JPEG).unwrap(),
            _ => {}
        }
        let picture = ends.picture(n, if (6..21).contains(&n) { TURNED } else { SIZE });
        assert!(ends.is_exact(&picture), "picture {n}");
        assert_eq!(picture.colours, if n < 30 { Colours::UNSPECIFIED } else { Colours::JPEG });
        shown.push((picture.picture.size(), picture.target));
    }
    let expected = [(SIZE, 2, 2), (TURNED, 2, 2), (TURNED, 0, 2), (TURNED, 1, 1), (SIZE, 1, 1), (SIZE, 2, 2)];
    let pictures = [6, 6, 6, 3, 3, 12];
    let expected = expected.iter().zip(pictures).flat_map(|((size, spatial_id, temporal_id), pictures)| {
        std::iter::repeat_n((*size, LayerId::new(*spatial_id, *temporal_id)), pictures)
    });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    assert_eq!(ends.sender.statistics().key_pictures, 7);
}

#[test]
fn a_demand_made_in_another_mode_is_met_by_the_nearest_layers() {
    let mut ends = Ends::new();
    ends.sender.set_wanted(Some(DecodeTargets::only(&[LayerId::new(2, 1)])));
    ends.picture(0, SIZE);
    ends.sender.encoder_mut().unwrap().set_mode(ScalabilityMode::L1T2).unwrap();
    assert_eq!(ends.picture(1, SIZE).target, LayerId::new(0, 1));
    // The relay's demand may have been on its way.
    let demand = [LayerDemand { target: LayerId::new(1, 2), bitrate: 1_000_000 }].into_iter().collect();
    ends.sender.handle_demand(&DemandMessage { stream: StreamId(4), demand });
    assert_eq!(ends.picture(2, SIZE).picture.size(), SIZE);
}

#[test]
fn a_lone_layer_is_shown_without_those_below_and_beside_them() {
    let mut ends = Ends::new();
    let (highest, lowest) = (LayerId::new(2, 2), LayerId::new(0, 2));
    for n in 0..32 {
        // Somebody else watches the highest layer all the time, and the receiver goes over to the lowest.
        let wanted = if (4..10).contains(&n) { [highest; 2] } else { [highest, lowest] };
        ends.sender.set_wanted(Some(DecodeTargets::only(&wanted)));
        if n == 14 {
            ends.receiver.set_target(lowest);
        }
        let picture = ends.picture(n, SIZE);
        let target = if n < 14 { highest } else { lowest };
        assert_eq!(picture.target, target, "picture {n}");
        assert!(ends.is_exact(&picture), "picture {n}");
    }
    let statistics = ends.sender.statistics();
    assert_eq!((statistics.key_pictures, statistics.refreshes), (1, 0));
}

#[test]
fn a_picture_that_the_encoder_refuses_costs_nothing() {
    let mut ends = Ends::new();
    ends.picture(0, SIZE);
    let small = Size::new(8, 8);
    let refused = ends.sender.handle_picture(captured(1), &Scene::new(small).picture(1).view());
    assert!(matches!(refused, Err(SendError::Encode(EncodeError::Size(size))) if size == small));
    ends.picture(1, SIZE);
    assert_eq!(ends.sender.statistics().key_pictures, 1);
}
