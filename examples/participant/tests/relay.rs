//! What a relay can do to a meeting: go down, lose words, and lie.

mod common;

use std::time::Duration;

use common::{World, config, no_counter_comes_twice};
use layercast_meeting::{Bytes, Event, ParticipantId};
use layercast_participant::notice::Notice;

fn three() -> World {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(config("Bob", "member"));
    world.join(config("Cleo", "guest"));
    world.run(3000);
    world
}

#[test]
fn a_relay_that_comes_back_finds_everybody_as_they_were() {
    let mut world = three();
    let code = world.guests[0].code();
    world.break_connections(&[0, 1, 2], Duration::from_millis(400));
    // One of them is told to come back a second later.
    world.desk.busy = 1;
    world.run(7000);
    for guest in &world.guests {
        assert_eq!((guest.epoch(), guest.code()), (Some(2), code.clone()), "with the groups that they had");
        assert!(guest.pictures(6000, 7000) >= 18, "{}", guest.pictures(6000, 7000));
        assert!(!guest.ended);
    }
    no_counter_comes_twice(&world);
    let forked = world.guests[1].told(|notice| matches!(notice, Notice::Forked { .. }).then_some(()));
    assert!(forked.is_empty());
}

#[test]
fn one_who_was_away_catches_up() {
    let mut world = three();
    world.break_connections(&[2], Duration::from_secs(2));
    world.join(config("Dan", "guest"));
    world.run(7000);
    for guest in &world.guests {
        assert_eq!((guest.epoch(), guest.code()), (Some(3), world.guests[0].code()));
        assert!(guest.pictures(6000, 7000) >= 28, "{}", guest.pictures(6000, 7000));
    }
    no_counter_comes_twice(&world);
}

#[test]
fn a_commit_whose_answer_was_lost_counts_once() {
    let mut world = three();
    world.desk.loses_answers = true;
    world.command(0, "remove 3");
    // The relay takes it, and is gone before it says so.
    world.run(3030);
    world.break_connections(&[0], Duration::from_millis(200));
    world.desk.loses_answers = false;
    world.run(5000);
    assert_eq!((world.guests[0].epoch(), world.guests[1].epoch()), (Some(3), Some(3)));
    assert_eq!(world.guests[0].code(), world.guests[1].code());
    assert!(world.guests[1].pictures(4500, 5000) >= 4);
}

#[test]
fn a_commit_that_never_arrived_is_made_again() {
    let mut world = three();
    world.command(0, "remove 3");
    world.break_connections(&[0], Duration::from_millis(200));
    world.run(5000);
    assert_eq!((world.guests[0].epoch(), world.guests[1].epoch()), (Some(3), Some(3)));
    assert_eq!(world.guests[0].code(), world.guests[1].code());
}

#[test]
fn a_relay_that_swaps_commits_is_found_out() {
    let mut world = three();
    world.desk.swaps = Some(Bytes(b"no commit".to_vec()));
    world.command(0, "hand-over 2");
    world.run(16_000);
    let refused = |guest: usize| {
        world.guests[guest].told(|notice| matches!(notice, Notice::CommitRefused { .. }).then_some(())).len()
    };
    assert_eq!((refused(1), refused(2)), (1, 1));
    assert_eq!(world.guests[1].epoch(), Some(2), "it stays where it was");
    let forked = world.guests[1].told(|notice| match notice {
        Notice::Forked { who, .. } => Some(who.clone()),
        _ => None,
    });
    assert_eq!(forked, ["Ann (1)"]);
}

#[test]
fn a_relay_cannot_appoint_an_organizer() {
    let mut world = three();
    world.say(1, Event::Organizer { participant: ParticipantId(2) });
    world.say(2, Event::Organizer { participant: ParticipantId(2) });
    world.run(9000);
    for guest in &world.guests[1..] {
        let differ = guest.told(|notice| match notice {
            Notice::OrganizersDiffer { relay, group } => Some((relay.clone(), group.clone())),
            _ => None,
        });
        assert_eq!(differ, [("Bob (2)".into(), "Ann".into())]);
        assert_eq!(guest.seat.circle().organizer().map(|it| it.name), Some(b"Ann".to_vec()));
    }
    world.command(1, "hand-over 3");
    world.run(10_000);
    assert_eq!(world.guests[2].epoch(), Some(2), "the appointed one cannot do anything to the group");
}
