//! Meetings in virtual time, over the real protocol and the relay's own room.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{SIZE, World, config, three};
use layercast::Time;
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::{self, RtcpMessage};
use layercast_meeting::{Kind, ParticipantId};
use layercast_participant::notice::Notice;

#[test]
fn three_see_and_hear_each_other() {
    let mut world = three(2000);
    world.run(8000);
    let codes: Vec<_> = world.guests.iter().map(|guest| guest.code()).collect();
    assert!(codes[0].is_some() && codes.iter().all(|code| *code == codes[0]));
    for guest in &world.guests {
        assert_eq!(guest.epoch(), Some(2), "one was added after the other");
        assert_eq!(guest.shown.len(), 2);
        for shown in guest.shown.values() {
            let late: Vec<_> = shown.iter().filter(|(at, _)| *at > Time::from_secs(3)).collect();
            assert!(late.len() >= 48, "{} of 50 pictures", late.len());
            assert!(late.iter().all(|(_, size)| *size == SIZE));
        }
        assert!(
            guest.heard.values().all(|heard| *heard >= 55) && guest.heard.len() == 2,
            "{:?}",
            guest.heard
        );
        let feeds = guest.seat.feeds().filter(|feed| feed.stream.kind == Kind::Camera);
        for feed in feeds {
            let figures = feed.account.figures(world.now, None);
            assert_eq!(figures.freezes, 0);
            // Twice 20 ms of the network; the clocks came by sealed messages.
            assert!(figures.delay_p95_ms.is_some_and(|delay| (40..80).contains(&delay)), "{figures:?}");
        }
    }
    let names: Vec<String> = [1, 2, 3].map(|id| world.guests[2].seat.name_of(ParticipantId(id))).into();
    assert_eq!(names[..2], ["Ann (1)", "Bob (2)"]);
    let fingerprints = world.guests[0].told(|notice| match notice {
        Notice::Newcomer { name, fingerprint } => Some((name.clone(), fingerprint.len())),
        _ => None,
    });
    assert_eq!(fingerprints, [("Bob".into(), 71), ("Cleo".into(), 71)]);
}

/// Pages and natives read each other: pictures are one OBU with an SFrame, sound is an SFrame, and reports say which timestamps
/// of the two belong together.
#[test]
fn what_goes_out_has_the_form_of_browsers() {
    let mut world = three(2000);
    world.run(6000);
    let streams = world.desk.streams(ParticipantId(1));
    let ssrc_of = |kind: Kind| streams.iter().find(|stream| stream.kind == kind).unwrap().ssrc;
    let (camera, audio) = (ssrc_of(Kind::Camera), ssrc_of(Kind::Audio));
    let (mut frames, mut sounds, mut reporters) = (0, 0, BTreeSet::new());
    for (_, packet) in &world.packets {
        if rtcp::is_rtcp(packet) {
            reporters.extend(rtcp::read(packet).filter_map(|message| match message {
                Ok(RtcpMessage::SenderReport { ssrc, .. }) => Some(ssrc),
                _ => None,
            }));
            continue;
        }
        let rtp = RtpPacket::read(packet).unwrap();
        if rtp.header.ssrc == camera {
            assert!(packet.len() <= 1180, "{}", packet.len());
            // One element; the OBU begins in the first packet of a frame, and is a sequence header or a frame.
            assert_eq!(rtp.payload[0] & 0x30, 0x10);
            if rtp.payload[0] & 0x80 == 0 {
                assert!(matches!(rtp.payload[1], 0x08 | 0x30), "{:#x}", rtp.payload[1]);
                frames += 1;
            }
        } else if rtp.header.ssrc == audio {
            assert_eq!(rtp.payload[0], 0xc0);
            sounds += 1;
        }
    }
    assert!(frames > 50 && sounds > 20, "{frames} {sounds}");
    assert!(reporters.contains(&camera) && reporters.contains(&audio), "{reporters:?}");
}

#[test]
fn what_is_sent_follows_the_windows() {
    let mut world = three(2000);
    world.run(5000);
    world.command(1, "window 40x22");
    world.command(2, "window 40x22");
    // A layer that nobody wants is coded for 4 s more.
    world.run(11_000);
    let layers = |world: &World| {
        let (_, source, _) =
            world.guests[0].seat.sources().find(|(_, source, _)| source.kind == Kind::Camera).unwrap();
        source.demand.iter().map(|layer| layer.spatial_id).collect::<Vec<_>>()
    };
    assert_eq!(layers(&world), [0]);
    let small = world.guests[1].shown.values().flatten().next_back().map(|(_, size)| size.width);
    assert_eq!(small, Some(40));
    world.command(1, "window 0x0");
    world.command(2, "window 0x0");
    world.run(17_000);
    assert_eq!(layers(&world), [0; 0]);
    assert_eq!(world.guests[1].pictures(16_000, 17_000), 0);
    world.command(1, "window 160x90");
    world.run(18_000);
    assert_eq!(layers(&world).last(), Some(&2));
    assert!(world.guests[1].pictures(17_400, 18_000) > 8, "both cameras again");
}

#[test]
fn who_was_removed_opens_nothing_that_follows() {
    let mut world = three(2000);
    world.run(4000);
    world.command(0, "remove 3");
    world.run(4200);
    let (left, last) = (&world.guests[2], world.now);
    assert!(left.ended);
    assert!(
        left.shown.values().flatten().all(|(at, _)| last - *at >= Duration::from_millis(100)),
        "within 100 ms"
    );
    let own = left.told(|notice| matches!(notice, Notice::Removed { own: true, .. }).then_some(()));
    assert_eq!(own.len(), 1);
    world.run(8000);
    assert_eq!((world.guests[0].epoch(), world.guests[1].epoch()), (Some(3), Some(3)));
    assert!(world.guests[1].pictures(5000, 8000) >= 29, "those who stay go on");
    // All that reached the relay, with the keys that the removed one has, and with those of one who stayed.
    let opened =
        |place: usize, from, to| world.open(place, 0, Time::from_millis(from)..Time::from_millis(to));
    assert!(opened(2, 3000, 4000) > 8, "it has the keys of the time when it was in");
    assert_eq!(opened(2, 4200, 8000), 0);
    let gone = world.guests[1].told(|notice| match notice {
        Notice::Gone { name } => Some(name.clone()),
        _ => None,
    });
    assert_eq!(gone, ["Cleo"]);
}

#[test]
fn the_organizer_takes_and_gives_rights() {
    let mut world = three(2000);
    world.run(3000);
    world.command(0, "deny 3 camera");
    world.run(3500);
    let cameras = |world: &World| {
        world.guests[1]
            .seat
            .feeds()
            .filter(|it| it.stream.participant.0 == 3 && it.stream.kind == Kind::Camera)
            .count()
    };
    assert_eq!(cameras(&world), 0);
    world.command(0, "allow 3 camera");
    world.run(5500);
    assert_eq!(cameras(&world), 1);
    assert_eq!(world.guests[1].pictures(4500, 5500), 20, "both cameras");
    // Whoever is not the organizer is refused, by the relay and by its own program.
    world.command(1, "deny 3 voice");
    world.command(1, "remove 3");
    world.run(6000);
    let refused = world.guests[1].told(|notice| match notice {
        Notice::Refused { what, .. } => Some(what.clone()),
        _ => None,
    });
    assert_eq!(refused, ["voice", "remove"]);
    assert_eq!((world.guests[0].epoch(), world.guests[2].ended), (Some(2), false));
}

#[test]
fn what_is_muted_ends_and_begins_anew() {
    let mut world = three(2000);
    world.run(3000);
    world.command(0, "mute");
    world.run(4000);
    let of_ann =
        |world: &World| world.guests[1].seat.feeds().filter(|it| it.stream.participant.0 == 1).count();
    assert_eq!(of_ann(&world), 0, "nothing");
    assert_eq!(world.guests[1].pictures(3200, 4000), 8, "those of Cleo");
    world.command(0, "unmute camera");
    world.run(5000);
    assert_eq!(of_ann(&world), 1);
    assert!(world.guests[1].pictures(4000, 5000) >= 18);
}

#[test]
fn a_commit_that_comes_too_late_is_made_again() {
    let mut world = three(2000);
    world.desk.refuse_commits = 2;
    world.command(0, "remove 2");
    world.run(4000);
    assert_eq!((world.guests[0].epoch(), world.guests[2].epoch()), (Some(3), Some(3)));
    assert_eq!(world.guests[0].code(), world.guests[2].code());
}

#[test]
fn a_handed_over_meeting_has_another_organizer() {
    let mut world = three(2000);
    world.command(0, "hand-over 2");
    world.run(3000);
    for guest in &world.guests {
        let organizer = guest.seat.circle().organizer().map(|organizer| organizer.name);
        assert_eq!(organizer.as_deref(), Some(&b"Bob"[..]));
    }
    world.command(1, "remove 1");
    world.run(5000);
    assert!(world.guests[0].ended, "who made the group may be removed by the next organizer");
    assert_eq!((world.guests[1].epoch(), world.guests[2].epoch()), (Some(4), Some(4)));
    world.join(config("Dan", "guest"));
    world.run(7000);
    assert_eq!(world.guests[3].code(), world.guests[1].code());
    assert!(world.guests[3].pictures(6000, 7000) >= 15);
}
