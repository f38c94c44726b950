//! Encoders that keep to what the path carries.

use bytes::Bytes;
use layercast::congestion::{PacketClass, PathPacket, SendPathConfig};
use layercast::encoder::SvcConfig;
use layercast::scene::Scene;
use layercast::select::{DemandMessage, LayerDemand, StreamId};
use layercast::session::*;
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time};

use crate::call::{SSRC, captured};

const SIZE: Size = Size::new(320, 180);
const CARRIED: u64 = 120_000;

/// A sender over a path that carries as much as it did at the start.
fn sender(follow_path: bool) -> VideoSender {
    let mut config = VideoSenderConfig::new(SSRC);
    config.path = Some(SendPathConfig::new(CARRIED));
    config.transport_id = None;
    config.follow_path = follow_path;
    VideoSender::new(config, SvcConfig::new(SIZE, ScalabilityMode::L2T2), None).unwrap()
}

/// Sends three seconds of pictures, and gives the bit/s of the last two. `audio` is handed in with each picture.
fn run(sender: &mut VideoSender, audio: usize) -> f64 {
    let scene = Scene::new(SIZE);
    let mut bytes = 0;
    for now in (0..3000).map(Time::from_millis) {
        if let Some(n) =
            (0..90).find(|&n| now <= captured(n) && captured(n) < now + std::time::Duration::from_millis(1))
        {
            if audio > 0 {
                let packet = Bytes::from(vec![0; audio]);
                sender.handle_packet(now, PathPacket { class: PacketClass::Audio, frame: 0, packet });
            }
            sender.handle_picture(now, &scene.picture(n).view()).unwrap();
        }
        while let SenderOutput::Transmit(packet) = sender.poll(now) {
            bytes += if now >= Time::from_secs(1) { packet.len() } else { 0 };
        }
    }
    8.0 * bytes as f64 / 2.0
}

#[test]
fn a_stream_takes_what_its_path_carries_and_no_more() {
    let mut sender = sender(true);
    let taken = run(&mut sender, 0);
    assert!((0.7..1.0).contains(&(taken / CARRIED as f64)), "{taken}");
    assert_eq!(sender.statistics().skipped, 0);
}

#[test]
fn other_streams_of_the_path_leave_the_video_less() {
    // 50 bytes with each picture are 12 kbit/s.
    let mut alone = sender(true);
    run(&mut alone, 0);
    let mut shared = sender(true);
    run(&mut shared, 50);
    let bitrate = |sender: &mut VideoSender| sender.encoder_mut().unwrap().bitrates().unwrap().total() as f64;
    let less = bitrate(&mut alone) - bitrate(&mut shared);
    assert!((7_000.0..14_000.0).contains(&less), "{less}");
    assert_eq!(shared.statistics().skipped, 0);
}

#[test]
fn receivers_limit_what_a_decode_target_takes() {
    let mut sender = sender(true);
    let layers = [(LayerId::new(0, 1), 25_000), (LayerId::new(1, 1), 80_000)];
    let demand = layers.map(|(target, bitrate)| LayerDemand { target, bitrate }).into_iter().collect();
    sender.handle_demand(&DemandMessage { stream: StreamId(SSRC), demand });
    let taken = run(&mut sender, 0);
    assert!((0.7..1.0).contains(&(taken / 80_000.0)), "{taken}");
    let structure = ScalabilityMode::L2T2.structure();
    let bitrates = *sender.encoder_mut().unwrap().bitrates().unwrap();
    assert!(
        layers.iter().all(|&(target, limit)| bitrates.of_target(structure, target) <= limit),
        "{bitrates:?}"
    );
}

#[test]
fn a_program_may_set_the_quantizer_itself() {
    let mut sender = sender(false);
    run(&mut sender, 0);
    assert_eq!(sender.encoder_mut().unwrap().bitrates(), None);
}
