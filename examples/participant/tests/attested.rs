//! Members sign what they seal, so that whoever seals in another's name is found out.

mod common;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::{World, config, three};
use layercast::e2ee::mls::Login;
use layercast::e2ee::{Context, Header, KeySource, Opener};
use layercast::rtp::{RtpHeader, RtpPacket};
use layercast_meeting::{Asked, Event, Kind, ParticipantId, Role, Stream, Text};
use layercast_participant::notice::Notice;
use layercast_participant::seat::circle::agreement;
use sframe::CipherSuite;
use sframe::frame::{MediaFrameView, MonotonicCounter};
use sframe::key::EncryptionKey;

const ANN: ParticipantId = ParticipantId(1);

/// What somebody is told of who sends: when, in milliseconds, in whose name, and whether it is forged, unproven or proven.
fn told(world: &World, place: usize) -> Vec<(u64, String, &'static str)> {
    let of = |(at, notice): &(layercast::Time, Notice)| {
        let (who, verdict) = match notice {
            Notice::Forged { who, what } => (format!("{who}'s {what}"), "forged"),
            Notice::Unproven { who, what } => (format!("{who}'s {what}"), "unproven"),
            Notice::Proven { who, what } => (format!("{who}'s {what}"), "proven"),
            Notice::NotAttested { name } => (name.clone(), "silent"),
            _ => return None,
        };
        Some((at.since_start().as_millis() as u64, who, verdict))
    };
    world.guests[place].notices.iter().filter_map(of).collect()
}

fn stream_of(world: &World, who: ParticipantId, kind: Kind) -> Stream {
    world.desk.streams(who).into_iter().find(|stream| stream.kind == kind).unwrap()
}

fn heard(world: &World, place: usize, stream: &Stream) -> u64 {
    world.guests[place].heard.get(&stream.stream).copied().unwrap_or_default()
}

/// Pictures of a stream that somebody saw between two times, in milliseconds.
fn pictures(world: &World, place: usize, stream: &Stream, from: u64, to: u64) -> usize {
    let shown = world.guests[place].shown.get(&stream.stream);
    let is_then = |at: &layercast::Time| (from..to).contains(&(at.since_start().as_millis() as u64));
    shown.map_or(0, |shown| shown.iter().filter(|(at, _)| is_then(at)).count())
}

/// Seals a frame of sound in a member's name with the keys that somebody has, in a packet of a stream.
fn forge(world: &World, by: usize, stream: &Stream, header: RtpHeader, counter: u64, number: u16) -> Bytes {
    let circle = world.guests[by].seat.circle();
    let epoch = circle.group().unwrap().epoch();
    let key_id = agreement().layout.key_id(Context::audio(stream.track), stream.member, epoch).unwrap();
    let base_key = circle.ring(world.now).unwrap().base_key(key_id, epoch).unwrap();
    let key = EncryptionKey::derive_from(CipherSuite::AesGcm256Sha512, key_id, base_key.expose()).unwrap();
    // How loud it is, and its number, are sealed behind it.
    let mut plain = b"a frame of sound".to_vec();
    plain.push(1);
    plain.extend_from_slice(&number.to_be_bytes());
    let mut counter = MonotonicCounter::with_start_value(counter, u64::MAX);
    let sealed = MediaFrameView::try_new(&mut counter, &plain).unwrap().encrypt(&key).unwrap();
    let mut packet = BytesMut::new();
    header.write(&[], &mut packet).unwrap();
    packet.extend_from_slice(&[0xc0]);
    packet.extend_from_slice(sealed.as_ref());
    packet.freeze()
}

/// The same for frame `n` of a stream of whoever forges it.
fn forge_frame(world: &World, by: usize, stream: &Stream, n: u16) -> Bytes {
    let header = RtpHeader {
        payload_type: 111,
        ssrc: stream.ssrc,
        sequence_number: n,
        timestamp: 960 * u32::from(n),
        ..RtpHeader::default()
    };
    forge(world, by, stream, header, n.into(), n)
}

#[test]
fn honest_people_are_proven() {
    let mut world = three(2000);
    world.run(6000);
    world.join(config("Dan", "guest"));
    world.run(7000);
    // With the next epoch everybody has other keys.
    world.command(0, "remove 3");
    world.run(12_000);
    for place in [0, 1, 3] {
        assert_eq!(told(&world, place), []);
        assert!(world.guests[place].pictures(10_000, 12_000) >= 38);
        let seat = &world.guests[place].seat;
        for feed in seat.feeds() {
            // But for those of the last second, which it is too early to judge.
            let counts = seat.circle().attested().counts(&feed.stream);
            assert!(counts.unattested + counts.forged == 0 && counts.attested >= 40, "{counts:?}");
        }
    }
}

/// Of a program that signs nothing, nothing is expected.
#[test]
fn one_who_does_not_sign_is_told_of_and_shown() {
    let mut world = three(4000);
    let login = Login::new(b"Eve", Duration::from_secs(3600)).unwrap();
    let eve = Asked {
        participant: ParticipantId(9),
        role: Role::Guest,
        name: Text::new("Eve").unwrap(),
        key_package: layercast_meeting::Bytes(login.key_package().unwrap()),
        insiders_key_package: None,
        outsider: true,
        known: false,
    };
    world.say(0, Event::Waiting(eve));
    world.run(5000);
    let member = world.guests[1].seat.circle().group().unwrap().members().last().unwrap().index;
    let voice = Stream {
        participant: ParticipantId(9),
        stream: 99,
        ssrc: 0x9999,
        kind: Kind::Audio,
        member,
        track: 0,
    };
    world.say(1, Event::Published(voice));
    world.run(5100);
    for n in 0..50 {
        let packet = forge_frame(&world, 2, &voice, n);
        world.replay(1, &[packet]);
        world.run(5200 + 100 * u64::from(n));
    }
    assert_eq!(heard(&world, 1, &voice), 50);
    for place in [0, 1, 2] {
        let all = told(&world, place);
        assert!(matches!(&all[..], [(_, who, "silent")] if who == "Eve"), "{all:?}");
    }
}

/// Cleo knows all keys, and is quicker than Ann: her frames have the counters that Ann's next ones would have.
#[test]
fn one_who_seals_in_anothers_name_is_found_out() {
    let mut world = three(4000);
    let (voice, camera) = (stream_of(&world, ANN, Kind::Audio), stream_of(&world, ANN, Kind::Camera));
    let packets = world.guests[2].captured.iter().rev().map(|(_, packet)| packet);
    let last =
        packets.filter_map(|packet| RtpPacket::read(packet).ok()).find(|it| it.header.ssrc == voice.ssrc);
    let last = last.unwrap();
    let counter = Header::read(&last.payload[1..]).unwrap().counter;
    // Cleo listens too, so that she knows how Ann counts.
    let mut frame = BytesMut::from(&last.payload[1..]);
    let ring = world.guests[2].seat.circle().ring(world.now).unwrap();
    Opener::new(agreement(), voice.member, Context::audio(voice.track))
        .open(world.now, &ring, b"", &mut frame)
        .unwrap();
    let number = u16::from_be_bytes(*frame.last_chunk().unwrap());
    let forged: Vec<_> = (2..5)
        .map(|n: u16| {
            let mut header = last.header.clone();
            header.sequence_number = header.sequence_number.wrapping_add(n);
            header.timestamp = header.timestamp.wrapping_add(960 * u32::from(n));
            forge(&world, 2, &voice, header, counter + u64::from(n), number.wrapping_add(n))
        })
        .collect();
    world.replay(1, &forged);
    world.run(5400);
    let name = format!("Ann's stream {} (voice)", voice.stream);
    let all = told(&world, 1);
    assert!(matches!(&all[..], [(at, who, "forged")] if *at < 5100 && *who == name), "{all:?}");
    let before = heard(&world, 1, &voice);
    world.run(9000);
    assert_eq!(heard(&world, 1, &voice), before, "it is heard no more");
    assert!(pictures(&world, 1, &camera, 6000, 9000) >= 29, "her camera goes on");
    assert_eq!(told(&world, 1), all, "it is told once");
    assert!(told(&world, 0).is_empty() && told(&world, 2).is_empty(), "nobody else got it");
    // Ann begins anew, with other keys.
    world.command(0, "mute voice");
    world.run(9500);
    world.command(0, "unmute voice");
    world.run(12_000);
    let anew = stream_of(&world, ANN, Kind::Audio);
    assert!(heard(&world, 1, &anew) >= 20, "{}", heard(&world, 1, &anew));
}

/// The relay helps Cleo: it announces a stream in Ann's name that Ann does not send.
#[test]
fn a_stream_that_nobody_signs_for_is_not_heard_for_long() {
    let mut world = three(4000);
    let voice = Stream { stream: 99, ssrc: 0x9999, track: 9, ..stream_of(&world, ANN, Kind::Audio) };
    world.say(1, Event::Published(voice));
    world.run(4100);
    for n in 0..400 {
        let packet = forge_frame(&world, 2, &voice, n);
        world.replay(1, &[packet]);
        let now = world.now + Duration::from_millis(20);
        world.run(now.since_start().as_millis() as u64);
    }
    let all = told(&world, 1);
    assert!(
        matches!(&all[..], [(at, who, "unproven")] if *at < 8000 && who == "Ann's stream 99 (voice)"),
        "{all:?}"
    );
    let heard = heard(&world, 1, &voice);
    assert!((100..200).contains(&heard), "{heard} of 400 frames");
}

/// A relay that withholds what Ann signs, or the network between: nothing is shown of her until it comes again.
#[test]
fn what_is_signed_for_again_is_shown_again() {
    let mut world = three(4000);
    let camera = stream_of(&world, ANN, Kind::Camera);
    world.desk.silences = Some(ANN);
    world.run(9000);
    for place in [1, 2] {
        let mut all: Vec<_> =
            told(&world, place).into_iter().map(|(_, who, verdict)| (who, verdict)).collect();
        all.sort();
        let names = world.desk.streams(ANN).into_iter().zip(["camera", "voice"]);
        let expected = names.map(|(it, kind)| (format!("Ann's stream {} ({kind})", it.stream), "unproven"));
        assert_eq!(all, expected.collect::<Vec<_>>());
        assert_eq!(pictures(&world, place, &camera, 8200, 9000), 0);
        let other = stream_of(&world, ParticipantId(3 - place as u32 + 1), Kind::Camera);
        assert!(pictures(&world, place, &other, 6000, 9000) >= 29, "others are shown");
    }
    world.desk.silences = None;
    world.run(14_000);
    for place in [1, 2] {
        assert!(pictures(&world, place, &camera, 13_000, 14_000) >= 9);
        let proven = told(&world, place).into_iter().filter(|(.., verdict)| *verdict == "proven").count();
        assert_eq!(proven, 2);
    }
}
