//! A room with participants who send what they like: genuine packets of any order and damage, RTCP and bytes of their own, reports
//! of windows, at any time. The room puts out no more than it may hold, wakes nobody without end, and goes on.
#![no_main]

use std::time::Duration;

use layercast::relay::{ParticipantId, Room, RoomConfig, RoomOutput, StreamConfig, StreamKind};
use layercast::rtp::descriptor::Describer;
use layercast::rtp::{OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat};
use layercast::select::{Cap, Offer, ReceiverReport, StreamId};
use layercast::structure::{DecodeTargets, PictureRequest, Planner, Refresh, ScalabilityMode};
use layercast::{Size, Time};
use layercast_fuzz::{Input, damage, timed};
use libfuzzer_sys::fuzz_target;

const MODES: [ScalabilityMode; 4] =
    [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3, ScalabilityMode::L1T2];
const SIZE: Size = Size::new(1280, 720);
const PEOPLE: u32 = 3;
/// Bytes that wait for one receiver at most, and a packet above that.
const MOST_QUEUED: usize = 400_000 + 4096;

fn ssrc(stream: u32) -> u32 {
    0x100 + stream
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mode = *input.pick(&MODES);
    let mut room = Room::new(RoomConfig::default());
    let mut now = Time::ZERO;
    for id in 0..PEOPLE {
        room.join(now, ParticipantId(id)).unwrap();
        let offer = (id == 1).then(|| Offer::new(mode, SIZE, 30.0, |_| 100_000));
        let layer_refresh = id != 3;
        let kind = if id == 2 { StreamKind::Audio } else { StreamKind::Video { offer, layer_refresh } };
        room.publish(now, ParticipantId(id), StreamConfig { id: StreamId(id), ssrc: ssrc(id), kind })
            .unwrap();
    }
    let (mut planner, mut describer) = (Planner::new(mode, SIZE), Describer::new());
    let config = PacketizerConfig::new(PayloadFormat::Sframe, 4, 45, ssrc(1));
    let mut packetizer = Packetizer::new(config);
    let mut sent: Vec<Vec<u8>> = vec![];
    let mut out = vec![];
    while !input.is_empty() {
        let kind = input.byte();
        let from = ParticipantId(u32::from(kind >> 6) % PEOPLE);
        match kind % 10 {
            // A picture of somebody honest.
            0 | 1 => {
                now += Duration::from_millis(33);
                let (wanted, refresh) = (DecodeTargets::all(planner.structure()), Refresh::NONE);
                let plan = planner.next(PictureRequest { refresh, wanted });
                let mut packets = Packets::new();
                for descriptor in &describer.describe(&plan).unwrap() {
                    let payload = [7; 1500];
                    let frame =
                        OutgoingFrame { payload: &payload, descriptor, timestamp: 0, end_of_picture: true };
                    packetizer.packetize(&frame, &mut packets).unwrap();
                }
                for packet in packets.drain() {
                    timed("packet", || room.handle_packet(now, ParticipantId(1), &packet));
                    sent.push(packet.to_vec());
                }
            }
            2 => {
                let place = usize::from(input.byte());
                if let Some(packet) = sent.len().checked_sub(1 + place).map(|at| sent[at].clone()) {
                    let mut packet = packet;
                    let other = sent.first().cloned().unwrap_or_default();
                    damage(&mut packet, input.bytes(), &other);
                    timed("packet", || room.handle_packet(now, from, &packet));
                }
            }
            3 => timed("packet", || room.handle_packet(now, from, input.bytes())),
            // RTCP about a stream that is there.
            4 => {
                let (head, body) = (input.byte(), input.bytes());
                let mut packet = vec![0x80 | head & 0x1f, 200 + head % 8, 0, 0, 0, 0, 0, 9];
                packet.extend(ssrc(u32::from(head) % PEOPLE).to_be_bytes());
                packet.extend_from_slice(body);
                packet.resize(packet.len().next_multiple_of(4), 0);
                let words = (packet.len() / 4 - 1) as u16;
                packet[2..4].copy_from_slice(&words.to_be_bytes());
                timed("RTCP", || room.handle_packet(now, from, &packet));
            }
            5 => {
                if let Ok(report) = ReceiverReport::read(input.bytes()) {
                    timed("report", || room.handle_report(now, from, &report));
                }
            }
            6 => now += input.pause(),
            7 => {
                let byte = input.byte();
                let cap = Cap { max_spatial_id: Some(byte & 3), ..Cap::default() };
                room.set_cap(now, from, Some(StreamId(u32::from(byte >> 4))), cap);
                room.set_speaker(now, Some(from));
                room.handle_load(now, f32::from(byte) / 100.0);
                room.set_muted(StreamId(u32::from(byte >> 6)), byte & 4 != 0);
            }
            8 => {
                room.leave(now, from);
                // Those who were put out may come back, without their streams.
                let _ = room.join(now, from);
            }
            _ => {
                let id = StreamId(u32::from(input.byte() % 8));
                room.unpublish(now, id);
                let kind = StreamKind::Video { offer: None, layer_refresh: id.0.is_multiple_of(2) };
                let _ = room.publish(now, from, StreamConfig { id, ssrc: ssrc(id.0), kind });
            }
        }
        let mut outputs = 0;
        loop {
            out.clear();
            match room.poll(now, &mut out) {
                RoomOutput::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now), "a timeout that is over");
                    break;
                }
                RoomOutput::Transmit { length, .. } => assert!(length == out.len() && length <= 4096),
                _ => {}
            }
            outputs += 1;
            assert!(outputs < 20_000, "the room never waits");
        }
        for id in 0..PEOPLE {
            if let Some(statistics) = room.participant_statistics(now, ParticipantId(id)) {
                assert!(statistics.queued <= MOST_QUEUED, "{statistics:?}");
            }
        }
    }
});
