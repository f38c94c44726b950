//! Meetings in virtual time, over the real protocol and the relay's own room.

mod common;

use std::time::Duration;

use common::{SIZE, World, config};
use layercast::Time;
use layercast_meeting::{Kind, ParticipantId};
use layercast_participant::notice::Notice;

/// An organizer, a member and a guest, all in by 2 s.
fn three() -> World {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(config("Bob", "member"));
    world.join(config("Cleo", "guest"));
    world.run(2000);
    world
}

#[test]
fn three_see_and_hear_each_other() {
    let mut world = three();
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

#[test]
fn who_was_removed_opens_nothing_that_follows() {
    let mut world = three();
    world.run(4000);
    world.command(0, "remove 3");
    world.run(4200);
    let (left, last) = (&world.guests[2], world.now);
    assert!(left.ended);
    assert!(
        left.shown.values().flatten().all(|(at, _)| last - *at >= Duration::from_millis(100)),
        "within 100 ms"
    );
    world.run(8000);
    assert_eq!(
        (world.guests[0].epoch(), world.guests[1].epoch(), world.guests[2].epoch()),
        (Some(3), Some(3), None)
    );
    assert!(world.guests[1].pictures(5000, 8000) >= 29, "those who stay go on");
    let own =
        world.guests[2].told(|notice| matches!(notice, Notice::Removed { own: true, .. }).then_some(()));
    assert_eq!(own.len(), 1);
}

#[test]
fn what_is_sent_follows_the_windows() {
    let mut world = three();
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
