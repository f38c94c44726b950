//! What a relay has in its memory: ciphertext, and neither a key nor what was coded. Linux shows the memory of a process to the
//! one that started it, so the relay runs in a process of its own.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use layercast::e2ee::{Agreement, SenderKeys};
use layercast::relay::{ParticipantId, Room, RoomConfig, RoomOutput, StreamConfig, StreamKind};
use layercast::select::{Offer, Priority, ReceiverReport, StreamId, Window};
use layercast::session::{SenderOutput, VideoSender, VideoSenderConfig};
use layercast::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode::L3T3};
use layercast::{Size, Time};

const SIZE: Size = Size::new(640, 360);
const SSRC: u32 = 0x5eed;
/// Says to this program that it is the relay.
const RELAY: &str = "LAYERCAST_TEST_RELAY";

/// The relay: takes packets from standard input, each behind its length, and stays as it is until that ends.
#[test]
fn relay_process() {
    if std::env::var_os(RELAY).is_none() {
        return;
    }
    let mut room = Room::new(RoomConfig::default());
    let (ann, bob) = (ParticipantId(1), ParticipantId(2));
    room.join(Time::ZERO, ann).unwrap();
    room.join(Time::ZERO, bob).unwrap();
    let kind =
        StreamKind::Video { offer: Some(Offer::new(L3T3, SIZE, 30.0, |_| 10_000)), layer_refresh: true };
    room.publish(Time::ZERO, ann, StreamConfig { id: StreamId(1), ssrc: SSRC, kind }).unwrap();
    let windows = vec![(StreamId(1), Window::new(SIZE, Priority::Pinned))];
    room.handle_report(Time::ZERO, bob, &ReceiverReport { windows, ..ReceiverReport::default() });
    let (mut input, mut length, mut forwarded) = (std::io::stdin().lock(), [0; 4], 0);
    let (mut out, mut now) = (vec![], Time::ZERO);
    while input.read_exact(&mut length).is_ok() {
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            eprintln!("forwarded {forwarded}");
            continue;
        }
        let mut packet = vec![0; length];
        input.read_exact(&mut packet).unwrap();
        now += Duration::from_millis(11);
        room.handle_packet(now, ann, &packet);
        loop {
            match room.poll(now, &mut out) {
                RoomOutput::Transmit { to, .. } => forwarded += u32::from(to == bob),
                RoomOutput::Timeout(_) => break,
                _ => {}
            }
        }
    }
}

/// How often each pattern is in the memory of a process.
fn search(process: &str, patterns: &[&[u8]]) -> Vec<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = vec![0; patterns.len()];
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (start, end) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        // Some pages belong to the kernel and cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for (pattern, found) in patterns.iter().zip(&mut found) {
            let first = pattern[0];
            let mut rest = &bytes[..];
            while let Some(at) = rest.iter().position(|byte| *byte == first) {
                *found += usize::from(rest[at..].starts_with(pattern));
                rest = &rest[at + 1..];
            }
        }
    }
    found
}

#[test]
fn a_relay_has_neither_keys_nor_pictures_in_its_memory() {
    let mut relay = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "relay_process", "--nocapture"])
        .env(RELAY, "")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to_relay = relay.stdin.take().unwrap();
    let mut keys = SenderKeys::fresh(Agreement::default(), 1, 0).unwrap();
    let mut config = VideoSenderConfig::new(SSRC);
    config.path = None;
    let mut sender = VideoSender::without_encoder(config, Some(keys.video(0).unwrap()));
    let mut planner = Planner::new(L3T3, SIZE);
    // What stands for a picture: found nowhere by chance.
    let content: Vec<u8> = (0..64u8).map(|n| n.wrapping_mul(181) ^ 0x5a).collect();
    let mut ciphertext = vec![];
    for n in 0..12 {
        let now = Time::from_millis(33 * n);
        let wanted = DecodeTargets::all(planner.structure());
        let plan = planner.next(PictureRequest { wanted, ..PictureRequest::default() });
        let payload = content.repeat(8);
        sender.handle_coded(now, &plan, plan.frames.iter().map(|_| &payload[..])).unwrap();
        while let SenderOutput::Transmit(packet) = sender.poll(now) {
            to_relay.write_all(&(packet.len() as u32).to_be_bytes()).unwrap();
            to_relay.write_all(&packet).unwrap();
            ciphertext = packet[packet.len() - 64..].to_vec();
        }
    }
    to_relay.write_all(&[0; 4]).unwrap();
    let mut lines = BufReader::new(relay.stderr.take().unwrap()).lines();
    let forwarded = lines.find_map(|line| line.unwrap().strip_prefix("forwarded ").map(str::to_owned));
    assert!(forwarded.unwrap().parse::<u32>().unwrap() >= 10);

    // The key is behind the fields of the grant.
    let grant = keys.grant().to_bytes();
    let key = &grant[grant.len() - 16..];
    let patterns = [key, &content[..], &ciphertext[..]];
    let own = search("self", &patterns);
    assert!(own.iter().all(|found| *found > 0), "the search finds what is there: {own:?}");
    let found = search(&relay.id().to_string(), &patterns);
    assert_eq!(found[..2], [0, 0], "a key or a picture is in the relay's memory");
    assert!(found[2] > 0, "its cache has the last packets");
    drop(to_relay);
    assert!(relay.wait().unwrap().success());
}
