//! The whole journey, for every mode and decode target: pictures are coded, sealed and put into packets, a relay drops
//! the upper layers, the network reorders and doubles packets, and the decoded pictures equal the encoder's
//! reconstruction.

mod common;
#[path = "common/relay.rs"]
mod relay;

use std::time::Duration;

use bytes::Bytes;
use common::call::{DESCRIPTOR_ID, Happened, Incoming, Outgoing};
use common::chance::Chance;
use layercast::decoder::{Decoder, DecoderConfig, Output};
use layercast::e2ee::{Agreement, Binding, KeyRing, SenderKeys, VideoOpener};
use layercast::picture::Picture;
use layercast::rtp::packetizer::Packets;
use layercast::rtp::reassembler::Rejected;
use layercast::scene::Scene;
use layercast::structure::{DecodeTarget, ScalabilityMode};
use layercast::{Size, Time};
use relay::Relay;

const SIZE: Size = Size::new(128, 72);
const PICTURES: u64 = 10;
const PICTURE: Duration = Duration::from_millis(33);
/// The same in ticks of the RTP clock.
const TICKS: u32 = 3000;

/// A picture in packets, and what the coder reconstructed of each spatial layer that it has.
struct Sent {
    packets: Vec<Bytes>,
    shown: Vec<(DecodeTarget, Picture)>,
}

/// Codes and sends the pictures; the second key picture comes unasked for.
fn send(mode: ScalabilityMode, outgoing: &mut Outgoing) -> Vec<Sent> {
    let scene = Scene::new(SIZE);
    let mut encoder = common::encoder(SIZE, mode, 60);
    let code = |n: u64| {
        let options = layercast::encoder::EncodeOptions { refresh: common::key_if(n == 6), wanted: None };
        let unit = encoder.encode(&scene.picture(n).view(), Scene::time(n), options).unwrap();
        let mut packets = Packets::new();
        let payloads = unit.frames.iter().map(|frame| &frame.data[..]);
        outgoing.send(&unit.plan, payloads, n as u32 * TICKS, &mut packets).unwrap();
        let packets: Vec<Bytes> = packets.drain().collect();
        assert!(packets.iter().all(|packet| packet.len() <= 1200));
        let layers = unit.frames.iter().map(|frame| frame.plan.layer);
        let shown = layers.map(|layer| (layer, encoder.reconstruction(layer.spatial_id).unwrap())).collect();
        Sent { packets, shown }
    };
    (0..PICTURES).map(code).collect()
}

/// What a receiver of a decode target shows, by the RTP timestamp.
fn receive(sent: &[Sent], mut incoming: Incoming, target: DecodeTarget) -> Vec<(u32, Picture)> {
    let mut chance = Chance(u64::from(target.spatial_id) << 8 | u64::from(target.temporal_id));
    let mut relay = Relay::new(target, DESCRIPTOR_ID, 0xfffa, 0);
    let mut arrivals = vec![];
    for (n, picture) in (0..).zip(sent) {
        let now = Time::ZERO + PICTURE * n;
        for packet in picture.packets.iter().filter_map(|packet| relay.forward(now, packet)) {
            for _ in 0..1 + chance.below(2) {
                let delay = Duration::from_micros(chance.below(60_000));
                arrivals.push((now + delay, packet.clone()));
            }
        }
    }
    assert_eq!(relay.poll(Time::ZERO + PICTURE * sent.len() as u32), None, "{target}");
    arrivals.sort_by_key(|(time, _)| *time);
    let config = DecoderConfig { output: Output::AllLayers, ..DecoderConfig::default() };
    let mut decoder = Decoder::new(config).unwrap();
    let mut pictures = vec![];
    let mut happened = vec![];
    let end = (Time::ZERO + PICTURE * 2 * sent.len() as u32, None);
    for (now, packet) in arrivals.into_iter().map(|(now, packet)| (now, Some(packet))).chain([end]) {
        if let Some(packet) = packet {
            let taken = incoming.push(now, packet);
            assert!(matches!(taken, Ok(_) | Err(Rejected::Duplicate | Rejected::Late)), "{taken:?}");
        }
        incoming.poll(now, &mut happened);
        for happened in happened.drain(..) {
            let Happened::Unit(unit) = happened else { panic!("{target}: {happened:?}") };
            let shown = decoder.decode(&unit.to_bytes(), 0).unwrap();
            let shown = shown.into_iter().find(|shown| shown.spatial_id == target.spatial_id);
            pictures.extend(shown.map(|shown| (unit.timestamp, shown.picture)));
        }
    }
    pictures
}

/// The pictures of every mode, sealed in this way, or not; by frame or by packet.
fn journey(agreed: Option<Agreement>, by_packet: bool) {
    for mode in ScalabilityMode::all() {
        let mut keys = agreed.map(|agreed| (agreed, SenderKeys::fresh(agreed, 3, 0).unwrap()));
        let sealer = keys.as_mut().map(|(_, keys)| keys.video(0).unwrap());
        let mut outgoing = Outgoing::new(sealer, 65_500);
        outgoing.by_packet = by_packet;
        let sent = send(mode, &mut outgoing);
        for target in mode.structure().decode_targets() {
            let opener = keys.as_ref().map(|(agreed, keys)| {
                let mut ring = KeyRing::new(*agreed, Duration::from_secs(1));
                ring.add(Time::ZERO, keys.grant().clone());
                (VideoOpener::new(*agreed, 3, 0), ring)
            });
            let pictures = receive(&sent, Incoming::new(target, opener), target);
            let shows = |layer: DecodeTarget| {
                layer.spatial_id == target.spatial_id && layer.temporal_id <= target.temporal_id
            };
            let expected = (0..).zip(&sent).flat_map(|(n, sent)| {
                let shown = sent.shown.iter().filter(|(layer, _)| shows(*layer));
                shown.map(move |(_, picture)| (n * TICKS, picture))
            });
            let expected: Vec<_> = expected.collect();
            let times = |pictures: &[(u32, Picture)]| pictures.iter().map(|(t, _)| *t).collect::<Vec<_>>();
            let expected_times: Vec<u32> = expected.iter().map(|(time, _)| *time).collect();
            assert_eq!(times(&pictures), expected_times, "{mode} {target}");
            let same = pictures.iter().zip(&expected).all(|((_, shown), (_, picture))| shown == *picture);
            assert!(same, "{mode} {target}: a picture differs from the coder's");
        }
    }
}

#[test]
fn sealed_pictures_arrive_as_they_were_coded() {
    journey(Some(Agreement::default()), false);
}

#[test]
fn so_do_those_sealed_packet_by_packet() {
    journey(Some(Agreement::default()), true);
}

#[test]
fn so_do_those_bound_by_metadata() {
    journey(Some(Agreement { binding: Binding::Metadata, ..Agreement::default() }), false);
}

#[test]
fn so_do_those_in_the_clear() {
    journey(None, false);
}
