//! A decoder of the program's own that refuses a temporal unit.

use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::encoder::SvcConfig;
use layercast::scene::Scene;
use layercast::session::{
    ReceiverOutput, SenderOutput, VideoReceiver, VideoReceiverConfig, VideoSender, VideoSenderConfig,
};
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time};

#[test]
fn what_was_not_decoded_costs_a_key_picture_and_no_more() {
    let (agreement, size) = (Agreement::default(), Size::new(64, 36));
    let mut keys = SenderKeys::fresh(agreement, 1, 0).unwrap();
    let encoder = SvcConfig::new(size, ScalabilityMode::L1T1);
    let config = VideoSenderConfig::new(7);
    let mut sender = VideoSender::new(config, encoder, Some(keys.video(0).unwrap())).unwrap();
    let mut ring = KeyRing::new(agreement, std::time::Duration::from_secs(5));
    ring.add(Time::ZERO, keys.grant().clone());
    let opener = Some((VideoOpener::new(agreement, 1, 0), ring));
    let mut receiver =
        VideoReceiver::without_decoder(VideoReceiverConfig::new(7, LayerId::new(0, 0)), opener);
    let (camera, mut shown) = (Scene::new(size), Vec::new());
    for ms in 0..1000 {
        let now = Time::from_millis(ms);
        if ms % 100 == 0 {
            sender.handle_picture(now, &camera.picture(ms / 33).view()).unwrap();
        }
        if ms == 250 {
            receiver.handle_decode_error(now);
        }
        while let SenderOutput::Transmit(packet) = sender.poll(now) {
            receiver.handle_packet(now, packet);
        }
        loop {
            match receiver.poll(now) {
                ReceiverOutput::Unit(_) => shown.push(ms),
                ReceiverOutput::Transmit(feedback) => sender.handle_feedback(now, &feedback),
                ReceiverOutput::Timeout(_) => break,
                _ => {}
            }
        }
    }
    assert_eq!(sender.statistics().key_pictures, 2);
    assert_eq!(shown.len(), 10, "the next picture is the key picture: {shown:?}");
}
