//! Receivers that take the standards at their word, as Chromium does: a picture is what the marker bit ends, and nothing is
//! decoded of one that has no end. They do not ask for key pictures, or so late that it is of no use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use layercast::congestion::SendPathConfig;
use layercast::relay::{FrameReader, ParticipantId, RoomConfig};
use layercast::rtp::RtpPacket;
use layercast::select::{Cap, StreamId};
use layercast::session::DESCRIPTOR_ID;
use layercast::structure::ScalabilityMode::{self, *};
use layercast::{Size, Time};

use crate::pair;
use crate::world::{Link, SIZE, World};

const RECEIVER: ParticipantId = ParticipantId(2);

struct Held {
    timestamp: u32,
    ends_picture: bool,
    spatial_id: u8,
    references: Vec<u64>,
}

/// The frames of the first picture that can be decoded.
fn picture(held: &BTreeMap<u64, Held>, decoded: &BTreeSet<u64>) -> Option<Vec<u64>> {
    let (mut frames, mut timestamp) = (Vec::new(), None);
    for (number, frame) in held {
        if timestamp != Some(frame.timestamp) {
            (frames, timestamp) = (Vec::new(), Some(frame.timestamp));
        }
        frames.push(*number);
        let is_there = |needed: &u64| decoded.contains(needed) || frames.contains(needed);
        if frame.ends_picture && frames.iter().all(|number| held[number].references.iter().all(is_there)) {
            return Some(frames);
        }
    }
    None
}

/// When which layer is shown of the packets that left the room.
fn shown(packets: &[(Time, ParticipantId, Bytes)]) -> Vec<(Time, u8)> {
    let (mut reader, mut held) = (FrameReader::new(), BTreeMap::new());
    let (mut decoded, mut shown) = (BTreeSet::new(), Vec::new());
    for (at, _, packet) in packets.iter().filter(|(_, to, _)| *to == RECEIVER) {
        let rtp = RtpPacket::read(packet).unwrap();
        let Some(descriptor) = rtp.extension(DESCRIPTOR_ID).unwrap() else { continue };
        let frame = reader.read(descriptor).unwrap();
        if !frame.end_of_frame {
            continue;
        }
        let diffs = frame.dependencies().frame_diffs.iter();
        held.insert(
            frame.number,
            Held {
                timestamp: rtp.header.timestamp,
                ends_picture: rtp.header.marker,
                spatial_id: frame.layer.spatial_id,
                references: diffs.map(|diff| frame.number - u64::from(*diff)).collect(),
            },
        );
        while let Some(frames) = picture(&held, &decoded) {
            let last = frames[frames.len() - 1];
            shown.push((*at, held[&last].spatial_id));
            held = held.split_off(&(last + 1));
            decoded.extend(frames);
        }
    }
    shown
}

/// Goes from one layer to another in a call whose sender takes layer refresh requests or not. How many key pictures that costs.
fn switch(mode: ScalabilityMode, from: u8, to: u8, layer_refresh: bool) -> u64 {
    let mut config = RoomConfig::default();
    // A path that need not be found out about first.
    config.path = SendPathConfig::new(20_000_000);
    let mut world = World::new(3, config);
    world.layer_refresh = layer_refresh;
    world.kept = Some(Vec::new());
    // So far away that a picture of temporal layer 0 goes on before what is asked for comes.
    let sender = world.join(1, Link::new(80), Link::new(80));
    world.publish(sender, 7, mode);
    for id in [2, 3] {
        // Somebody else sees all layers, so that what the receiver leaves is not left out by the sender.
        let receiver = world.join(id, Link::new(20), Link::new(20));
        world.show(receiver, 7);
        world.report(receiver, &[(7, SIZE)]);
    }
    let cap = |spatial_id: u8| Cap { max_spatial_id: Some(spatial_id), ..Cap::default() };
    world.room.set_cap(world.now, RECEIVER, None, cap(from));
    world.run(Duration::from_secs(5));
    assert_eq!(world.room.current(RECEIVER, StreamId(7)).map(|layer| layer.spatial_id), Some(from));
    let keys = world.keys(0);
    world.room.set_cap(world.now, RECEIVER, None, cap(to));
    let changed = world.now;
    world.poll_room();
    world.run(Duration::from_secs(3));
    let shown = shown(world.kept.as_deref().unwrap());
    let name = format!("{mode} S{from} -> S{to}, {layer_refresh}");
    let times: Vec<Time> =
        shown.iter().map(|(at, _)| *at).filter(|at| *at > changed - Duration::from_secs(1)).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.max().unwrap() <= Duration::from_millis(210), "{name}: {:?}", shown.len());
    assert!(*times.last().unwrap() > world.now - Duration::from_millis(150), "{name}");
    let settled = changed + Duration::from_millis(500);
    let after: Vec<u8> = shown.iter().filter(|(at, _)| *at > settled).map(|(_, layer)| *layer).collect();
    assert!(after.len() > 70 && after.iter().all(|layer| *layer == to), "{name}: {after:?}");
    world.keys(0) - keys
}

/// Up and down, in modes whose lower layers go on below the one that is shown and in modes where they do not.
#[test]
fn pictures_go_on_for_receivers_that_wait_for_the_end_of_each() {
    for mode in [L3T3, L3T3Key, S3T3, L2T2KeyShift] {
        let top = mode.structure().spatial_layers - 1;
        for (from, to) in [(0, top), (top, 0), (0, 1), (top, top - 1)] {
            switch(mode, from, to, true);
            // Who takes no request for a layer is asked for a key picture, and only if something is needed. A layer of an S
            // mode that nobody watched may be brought by the sender when it is told that somebody does.
            let keys = switch(mode, from, to, false);
            let expected = u64::from(!(mode == L3T3 && from > to));
            let may_be_brought = mode == S3T3 && to < top;
            assert!(keys == expected || may_be_brought && keys == 0, "{mode} S{from} -> S{to}: {keys}");
        }
    }
}

/// Their windows come and go, and their paths carry now more, now less.
#[test]
fn pictures_go_on_while_windows_and_paths_change() {
    let mut world = pair(5, L3T3, Link::new(20), Link::new(20));
    world.kept = Some(Vec::new());
    world.run(Duration::from_secs(10));
    let start = world.now;
    for (n, width) in [160, 640, 320, 640, 160, 320, 160, 640].into_iter().enumerate() {
        world.report(1, &[(7, Size::new(width, width * 9 / 16))]);
        world.run(Duration::from_millis(700 + 130 * n as u64));
    }
    let shown = shown(world.kept.as_deref().unwrap());
    let gaps = shown.windows(2).filter(|pair| pair[0].0 > start).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.max().unwrap() < Duration::from_millis(200));
    assert_eq!(shown.last().map(|(_, layer)| *layer), Some(2));
}

/// What Chromium says of what it gets and sends: reports with descriptions, REMB, XR, transport-wide feedback, requests.
#[test]
fn what_browsers_say_is_no_misconduct() {
    let mut world = pair(6, L1T3, Link::new(20), Link::new(20));
    world.run(Duration::from_secs(2));
    let ssrc = (0x5eed_0000_u32 + 7 * 16).to_be_bytes();
    let keys = world.keys(0);
    // A receiver report of a block, with SSRC 1; SDES with a CNAME; REMB of 1 Mbit/s for one stream.
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    report.extend(ssrc);
    report.extend([0; 20]);
    report.extend([0x81, 202, 0, 3, 0, 0, 0, 1, 1, 4, b'n', b'a', b'm', b'e', 0, 0]);
    report.extend([0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x0b, 0xd0, 0x90]);
    report.extend(ssrc);
    // Of the receivers of sound: an empty report, and XR with a receiver reference time (RFC 3611).
    let sound = [0x80, 201, 0, 1, 0xfa, 0x17, 0xfa, 0x17];
    let times = [&[0x80, 207, 0, 4, 0xfa, 0x17, 0xfa, 0x17, 4, 0, 0, 2][..], &[7; 8]].concat();
    // Transport-wide feedback of one packet that came.
    let feedback =
        [&[0x8f, 205, 0, 5, 0, 0, 0, 1][..], &ssrc, &[0, 1, 0, 1, 0, 0, 1, 0, 0x20, 1, 8, 0]].concat();
    // A sender of nothing says goodbye, and asks for temporary bitrates (RFC 5104).
    let goodbye = [&[0x81, 203, 0, 1, 0, 0, 0, 1][..]].concat();
    let limit = [&[0x83, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0][..], &ssrc, &[0x1a, 0, 0, 40]].concat();
    for packet in [&report[..], &sound, &times, &feedback, &goodbye, &limit] {
        assert!(layercast::rtp::rtcp::read(packet).all(|message| message.is_ok()), "{packet:?}");
        world.inject(1, packet);
    }
    let statistics = world.room.participant_statistics(world.now, RECEIVER).unwrap();
    assert_eq!((statistics.refused, world.people[1].expelled), (0, None));
    // Picture loss, from an SSRC that nobody announced.
    let lost = [&[0x81, 206, 0, 2, 0xfa, 0x17, 0xfa, 0x17][..], &ssrc].concat();
    world.inject(1, &lost);
    world.run(Duration::from_millis(200));
    assert_eq!(world.keys(0) - keys, 1);
}
