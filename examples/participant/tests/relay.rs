//! What a relay can do to a meeting: go down, lose words, and lie.

mod common;

use std::time::Duration;

use common::{World, config, no_counter_comes_twice, three};
use layercast_meeting::{Arrival, Asked, Bytes, Event, ParticipantId, Rights, Role, Text};
use layercast_participant::notice::Notice;
use layercast_participant::seat::SeatConfig;

#[test]
fn a_relay_that_comes_back_finds_everybody_as_they_were() {
    let mut world = three(3000);
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
    let mut world = three(3000);
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
    let mut world = three(3000);
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
    let mut world = three(3000);
    world.command(0, "remove 3");
    world.break_connections(&[0], Duration::from_millis(200));
    world.run(5000);
    assert_eq!((world.guests[0].epoch(), world.guests[1].epoch()), (Some(3), Some(3)));
    assert_eq!(world.guests[0].code(), world.guests[1].code());
}

#[test]
fn a_relay_that_swaps_commits_is_found_out() {
    let mut world = three(3000);
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
    let mut world = three(3000);
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

/// What a relay says to let itself in: that somebody who was in comes back, with a key package of its own.
fn comes_back(participant: u32) -> Event {
    use layercast::e2ee::mls::Login;
    let login = Login::new(b"Cleo", Duration::from_secs(3600)).unwrap();
    Event::Waiting(Asked {
        participant: ParticipantId(participant),
        role: Role::Guest,
        name: Text::new("Cleo").unwrap(),
        key_package: Bytes(login.key_package().unwrap()),
        insiders_key_package: None,
        outsider: true,
        known: true,
    })
}

#[test]
fn a_relay_cannot_say_that_it_was_let_in_before() {
    let mut world = World::new();
    // The organizer is asked about each.
    world.join(SeatConfig { admit_all: false, ..config("Ann", "organizer") });
    world.run(300);
    world.join(config("Cleo", "guest"));
    world.run(600);
    world.command(0, "admit 2");
    world.run(2000);
    let (epoch, members) = (world.guests[0].epoch(), world.guests[0].code());
    assert_eq!(epoch, Some(1));
    // As one who is in, and as one whom the organizer never saw.
    world.say(0, comes_back(2));
    world.say(
        0,
        Event::Arrived(Arrival {
            participant: ParticipantId(99),
            role: Role::Guest,
            name: Text::new("Cleo").unwrap(),
            rights: Rights::of(Role::Guest),
        }),
    );
    world.say(0, comes_back(99));
    world.run(4000);
    assert_eq!(
        (world.guests[0].epoch(), world.guests[0].code()),
        (epoch, members),
        "nobody is added or removed"
    );
    let waiting = world.guests[0].told(|notice| match notice {
        Notice::Waiting { participant, .. } => Some(*participant),
        _ => None,
    });
    assert_eq!(waiting, [2, 2, 99], "the organizer is asked");
}

#[test]
fn a_guest_makes_no_group_whatever_the_relay_says() {
    let mut world = three(3000);
    let rights = Rights::of(Role::Guest);
    world.say(2, Event::GroupLost);
    world.say(2, Event::Admitted { rights, messages: 0, begins: true });
    world.run(3400);
    assert_ne!(world.guests[2].epoch(), Some(0), "a group of its own");
    let organizer = |notice: &Notice| matches!(notice, Notice::Organizer { own: true, .. }).then_some(());
    assert!(world.guests[2].told(organizer).is_empty());
}

#[test]
fn a_stream_that_the_relay_gives_to_somebody_else_is_not_opened() {
    let mut world = three(3000);
    let of_bob = world.desk.streams(ParticipantId(2))[0];
    // Ann's index in the group, as if it were Bob's.
    world.say(
        2,
        Event::Published(layercast_meeting::Stream { stream: 77, ssrc: 7777, member: 0, track: 9, ..of_bob }),
    );
    world.run(3500);
    let refused = world.guests[2].told(|notice| match notice {
        Notice::Refused { what, .. } => Some(what.clone()),
        _ => None,
    });
    assert_eq!(refused, ["stream 77"]);
}
