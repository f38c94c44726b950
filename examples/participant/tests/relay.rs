//! What a relay can do to a meeting: go down, lose words, and lie.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{World, config, no_counter_comes_twice, three};
use layercast::e2ee::mls::Login;
use layercast::rtp::RtpPacket;
use layercast_meeting::{Arrival, Asked, Event, Kind, ParticipantId, Rights, Role, Stream, Text};
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

/// What came to somebody of a stream so far.
fn captured(world: &World, place: usize, ssrc: u32) -> Vec<Bytes> {
    let of_stream = |packet: &&Bytes| RtpPacket::read(packet).is_ok_and(|it| it.header.ssrc == ssrc);
    world.guests[place].captured.iter().map(|(_, packet)| packet).filter(of_stream).cloned().collect()
}

/// All that one got, by the stream's number: pictures, frames of sound, and messages.
fn opened(world: &World, place: usize, stream: u32) -> u64 {
    let seat = &world.guests[place].seat;
    let live = seat.feeds().filter(|feed| feed.stream.stream == stream).map(|feed| feed.account.opened);
    let ended = seat.ended_feeds().iter().filter(|(of, _)| of.stream == stream);
    live.chain(ended.map(|(_, account)| account.opened)).sum()
}

#[test]
fn a_stream_that_is_announced_anew_shows_nothing_twice() {
    let mut world = three(4000);
    let streams = world.desk.streams(ParticipantId(1));
    let kinds: Vec<_> = streams.iter().map(|stream| stream.kind).collect();
    assert_eq!(kinds, [Kind::Camera, Kind::Audio]);
    let packets: Vec<_> = streams.iter().map(|stream| captured(&world, 2, stream.ssrc)).collect();
    assert!(packets.iter().all(|packets| !packets.is_empty()));
    let before: Vec<_> = streams.iter().map(|stream| opened(&world, 2, stream.stream)).collect();
    // Once as it was, once under another number, and once beside itself.
    for (round, stream) in streams.iter().enumerate() {
        let again = Stream { stream: stream.stream + 100 * round as u32, ..*stream };
        if round < 2 {
            world.say(2, Event::Unpublished { stream: stream.stream });
        }
        world.say(2, Event::Published(again));
    }
    world.run(4030);
    packets.iter().for_each(|packets| world.replay(2, packets));
    world.run(4600);
    for (round, (stream, before)) in streams.iter().zip(before).enumerate().take(2) {
        let again =
            opened(&world, 2, stream.stream) + u64::from(round > 0) * opened(&world, 2, stream.stream + 100);
        assert!(again <= before + 2, "{:?}: {again} after {before}", stream.kind);
    }
    let refused = world.guests[2].told(|notice| match notice {
        Notice::Refused { what, why } if why.contains("twice") => Some(what.clone()),
        _ => None,
    });
    let expected = [0, 101, 202]
        .into_iter()
        .zip(&streams)
        .map(|(add, it)| format!("stream {}", it.stream + add / 101 * 100));
    assert_eq!(refused, expected.collect::<Vec<_>>());
    // In the next epoch keys are others, and the stream may be taken again.
    world.command(0, "remove 2");
    world.run(6000);
    world.say(2, Event::Published(streams[0]));
    world.run(7000);
    assert!(world.guests[2].pictures(6200, 7000) >= 6, "{}", world.guests[2].pictures(6200, 7000));
}

#[test]
fn one_who_comes_back_is_shown_nothing_twice() {
    let mut world = three(4000);
    let streams = world.desk.streams(ParticipantId(1));
    let packets: Vec<_> = streams.iter().map(|stream| captured(&world, 2, stream.ssrc)).collect();
    let sums = |world: &World| -> Vec<u64> { streams.iter().map(|it| opened(world, 2, it.stream)).collect() };
    let before = sums(&world);
    world.break_connections(&[2], Duration::from_millis(100));
    world.run(4210);
    packets.iter().for_each(|packets| world.replay(2, packets));
    world.run(4400);
    for ((stream, after), before) in streams.iter().zip(sums(&world)).zip(before) {
        assert!(after <= before + 5, "{:?}: {after} after {before}", stream.kind);
    }
    let feeds: Vec<_> = world.guests[2].seat.feeds().filter(|feed| streams.contains(&feed.stream)).collect();
    let came: u64 = feeds.iter().map(|feed| feed.account.packets).sum();
    assert!(came as usize > packets.iter().map(Vec::len).sum(), "they came to the same streams: {came}");
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
    world.desk.swaps = Some(layercast_meeting::Bytes(b"no commit".to_vec()));
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

/// Somebody at the door, with a key package of its own.
fn knocks(participant: u32, name: &str, known: bool) -> Event {
    let login = Login::new(name.as_bytes(), Duration::from_secs(3600)).unwrap();
    Event::Waiting(Asked {
        participant: ParticipantId(participant),
        role: Role::Guest,
        name: Text::new(name).unwrap(),
        key_package: layercast_meeting::Bytes(login.key_package().unwrap()),
        insiders_key_package: None,
        outsider: true,
        known,
    })
}

/// What a relay says to let itself in: that somebody who was in comes back.
fn comes_back(participant: u32) -> Event {
    knocks(participant, "Cleo", true)
}

/// Whom one knows in the group.
fn members(world: &World, place: usize) -> Vec<String> {
    let members = world.guests[place].seat.circle().group().unwrap().members();
    members.map(|it| String::from_utf8(it.name).unwrap()).collect()
}

/// What was refused, and why.
fn refused(world: &World, place: usize, what: &str) -> Vec<String> {
    world.guests[place].told(|notice| match notice {
        Notice::Refused { what: of, why } if of == what => Some(why.clone()),
        _ => None,
    })
}

/// An organizer who looks at everybody, and somebody at the door.
fn at_the_door(name: &str) -> World {
    let mut world = World::new();
    world.join(SeatConfig { admit_all: false, ..config("Ann", "organizer") });
    world.run(300);
    world.join(config(name, "guest"));
    world.run(600);
    world
}

#[test]
fn one_who_changes_its_name_while_it_is_let_in_is_not_added() {
    let mut world = at_the_door("Cleo");
    world.command(0, "admit 2");
    // It comes before the relay's answer.
    world.say(0, knocks(2, "Boss", false));
    world.run(1500);
    assert_eq!(members(&world, 0), ["Ann", "Cleo"], "it is whom the organizer saw");
    assert!(world.guests[1].pictures(1000, 1500) > 0);
}

#[test]
fn one_who_has_just_changed_its_name_is_looked_at_again() {
    let mut world = at_the_door("Cleo");
    world.say(0, knocks(2, "Boss", false));
    world.run(700);
    world.command(0, "admit 2");
    world.run(1500);
    assert_eq!(members(&world, 0), ["Ann"]);
    let why = refused(&world, 0, "admit");
    assert!(why.len() == 1 && why[0].contains("another name"), "{why:?}");
    world.command(0, "admit 2");
    world.run(2500);
    assert_eq!(members(&world, 0), ["Ann", "Boss"], "the organizer means it");
}

#[test]
fn one_whose_name_is_taken_stays_at_the_door() {
    let mut world = at_the_door("Bob");
    world.command(0, "admit 2");
    world.run(1500);
    world.join(config("Bob", "guest"));
    world.run(2000);
    world.command(0, "admit 3");
    world.run(3000);
    let why = refused(&world, 0, "admit");
    assert!(why.len() == 1 && why[0].contains("stays at the door") && why[0].contains("twice"), "{why:?}");
    assert!(!world.guests[2].ended, "it was not removed");
    assert_eq!(members(&world, 0), ["Ann", "Bob"]);
}

#[test]
fn a_relay_that_holds_back_a_removal_is_told_of() {
    let mut world = three(3000);
    world.desk.refuse_commits = 35;
    world.command(0, "remove 3");
    world.run(10_000);
    let told = world.guests[0].told(|notice| match notice {
        Notice::HeldBack { what, who, times } => Some((what.clone(), who.clone(), *times)),
        _ => None,
    });
    let expected = |times| ("remove".to_owned(), Some("Cleo (3)".to_owned()), times);
    assert_eq!(told, [expected(10), expected(20)]);
    assert_eq!(world.guests[0].epoch(), Some(2));
    world.run(17_000);
    assert_eq!(world.guests[0].epoch(), Some(3), "it went on trying");
}

#[test]
fn one_whose_link_is_refused_makes_another() {
    let mut world = World::new();
    world.desk.refuse_links = 2;
    world.join(config("Ann", "organizer"));
    world.run(2500);
    world.join(config("Bob", "member"));
    world.run(8000);
    for guest in &world.guests {
        assert!(guest.pictures(7000, 8000) >= 5, "{}", guest.pictures(7000, 8000));
    }
    let failed = world.guests[0].told(|notice| match notice {
        Notice::LinkFailed { seconds, .. } => Some(*seconds),
        _ => None,
    });
    assert_eq!(failed, [1, 2]);
}

#[test]
fn a_relay_cannot_say_that_it_was_let_in_before() {
    let mut world = at_the_door("Cleo");
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
