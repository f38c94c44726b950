//! Layers of a camera that guests do not open: the relay does not forward them, and there are no keys for guests.

mod common;

use std::collections::BTreeSet;

use common::{SIZE, World, config, no_counter_comes_twice};
use layercast::Size;
use layercast::e2ee::mls::Login;
use layercast::e2ee::{GuestCap, KeyRing, VideoOpener};
use layercast_meeting::{Bytes, Event, Group, Kind, MAX_TEXT};
use layercast_participant::notice::Notice;
use layercast_participant::seat::SeatConfig;
use layercast_participant::seat::account::Account;
use layercast_participant::seat::circle::{Circle, agreement};

/// Of the base layer.
const SMALL: Size = Size::new(SIZE.width / 4, SIZE.height.div_ceil(4));

fn limited(name: &str, code: &str) -> SeatConfig {
    SeatConfig { guest_limit: Some(0), ..config(name, code) }
}

/// An organizer, a member whose camera has a limit, another member and a guest, all in by 2 s.
fn four(relay_lies: bool) -> World {
    let mut world = World::new();
    world.desk.ignores_limits = relay_lies;
    // The organizer shows others in small windows, so that the base layer is always coded.
    world.join(SeatConfig { window: if relay_lies { SMALL } else { SIZE }, ..config("Ann", "organizer") });
    world.run(300);
    world.join(limited("Bob", "member"));
    world.join(config("Cleo", "member"));
    world.join(config("Dan", "guest"));
    world.run(2000);
    world
}

/// What one got of another's camera.
fn of_camera(world: &World, viewer: usize, owner: usize) -> &Account {
    let owner = world.desk.who(owner).unwrap();
    let mut feeds = world.guests[viewer].seat.feeds();
    let feed = feeds.find(|it| it.stream.participant == owner && it.stream.kind == Kind::Camera);
    &feed.expect("it was announced").account
}

/// The sizes in which one saw another's camera between two times, in milliseconds, and how many pictures.
fn seen(world: &World, viewer: usize, owner: usize, from: u64, to: u64) -> (Vec<Size>, usize) {
    let who = world.desk.who(owner).unwrap();
    let cameras = world.desk.streams(who).into_iter().filter(|it| it.kind == Kind::Camera);
    let shown = cameras.filter_map(|camera| world.guests[viewer].shown.get(&camera.stream)).flatten();
    let shown = shown.filter(|(at, _)| (from..to).contains(&(at.since_start().as_millis() as u64)));
    let sizes: Vec<_> = shown.map(|(_, size)| *size).collect();
    let different: BTreeSet<_> = sizes.iter().map(|size| (size.width, size.height)).collect();
    (different.into_iter().map(|(width, height)| Size::new(width, height)).collect(), sizes.len())
}

fn insiders(world: &World, place: usize) -> Vec<String> {
    let group = world.guests[place].seat.circle().insiders();
    let members = group.into_iter().flat_map(|group| group.members());
    members.map(|member| String::from_utf8(member.name).unwrap()).collect()
}

#[test]
fn guests_see_a_camera_up_to_its_limit() {
    let mut world = four(false);
    world.run(7000);
    for member in [0, 2] {
        let (sizes, pictures) = seen(&world, member, 1, 4000, 7000);
        assert_eq!(sizes, [SIZE]);
        assert!(pictures >= 29, "{pictures}");
    }
    let (sizes, pictures) = seen(&world, 3, 1, 4000, 7000);
    assert_eq!(sizes, [SMALL]);
    assert!(pictures >= 29, "{pictures}");
    // The other cameras have no limit, and the guest's own is seen by all.
    for (viewer, owner) in [(3, 0), (3, 2), (1, 3), (0, 3)] {
        assert_eq!(seen(&world, viewer, owner, 4000, 7000).0, [SIZE]);
    }
    assert!(of_camera(&world, 3, 1).closed.is_empty(), "what it has no keys for does not come");
    assert_eq!(insiders(&world, 0), ["Ann", "Bob", "Cleo"]);
    assert!(world.guests[3].seat.circle().insiders().is_none());
}

#[test]
fn a_relay_that_forwards_more_brings_a_guest_nothing() {
    let mut world = four(true);
    world.run(7000);
    let (sizes, pictures) = seen(&world, 3, 1, 4000, 7000);
    assert_eq!(sizes, [SMALL]);
    assert!(pictures >= 29, "{pictures} of 30 pictures");
    let account = of_camera(&world, 3, 1);
    assert!(account.closed.values().sum::<u64>() >= 60, "{:?}", account.closed);
    let delays = account.figures(world.now, None).delay_p95_ms;
    assert!(delays.is_some_and(|delay| delay < 80), "a layer without a key holds up nothing: {delays:?}");
    assert_eq!(seen(&world, 2, 1, 4000, 7000).0, [SIZE]);
    assert!(of_camera(&world, 2, 1).closed.is_empty());
    let forked = world.guests[3].told(|notice| matches!(notice, Notice::Forked { .. }).then_some(()));
    assert!(forked.is_empty(), "no warning of a fork");
}

#[test]
fn one_who_is_removed_is_out_of_both_groups() {
    let mut world = four(false);
    world.run(4000);
    world.command(0, "remove 3");
    world.run(6000);
    for place in [0, 1] {
        assert_eq!(insiders(&world, place), ["Ann", "Bob"]);
        let members = world.guests[place].seat.circle().group().unwrap().members();
        let names: Vec<_> = members.map(|it| String::from_utf8(it.name).unwrap()).collect();
        assert_eq!(names, ["Ann", "Bob", "Dan"]);
    }
    assert!(world.guests[2].ended);
    assert_eq!(seen(&world, 0, 1, 5000, 6000).0, [SIZE], "the insiders go on with other keys");
    assert_eq!(seen(&world, 3, 1, 5000, 6000).0, [SMALL]);
}

#[test]
fn newcomers_open_all_layers_if_they_are_members() {
    let mut world = four(false);
    world.run(4000);
    world.join(config("Eve", "member"));
    world.join(config("Fay", "guest"));
    world.run(8000);
    assert_eq!(seen(&world, 4, 1, 7000, 8000).0, [SIZE]);
    assert_eq!(seen(&world, 5, 1, 7000, 8000).0, [SMALL]);
    assert_eq!(seen(&world, 2, 1, 4000, 8000).0, [SIZE], "nobody loses a layer meanwhile");
    assert_eq!(insiders(&world, 1), ["Ann", "Bob", "Cleo", "Eve"]);
}

#[test]
fn one_who_comes_back_opens_all_layers_again() {
    let mut world = four(false);
    world.run(3000);
    world.break_connections(&[1, 2], std::time::Duration::from_millis(500));
    world.run(8000);
    for (viewer, size) in [(0, SIZE), (2, SIZE), (3, SMALL)] {
        let (sizes, pictures) = seen(&world, viewer, 1, 6000, 8000);
        assert_eq!((sizes, pictures >= 19), (vec![size], true), "{viewer}");
    }
}

/// The organizer's connection is lost after each of the commits that remove one.
#[test]
fn what_the_organizer_changes_it_changes_in_both_groups() {
    for cut in [2030, 2110] {
        let mut world = four(false);
        world.desk.loses_answers = true;
        world.command(0, "remove 3");
        world.run(cut);
        world.break_connections(&[0], std::time::Duration::from_millis(300));
        world.desk.loses_answers = false;
        world.run(2800);
        world.join(config("Eve", "member"));
        world.run(5000);
        assert_eq!(insiders(&world, 0), ["Ann", "Bob", "Eve"], "{cut}");
        assert_eq!(insiders(&world, 1), insiders(&world, 0));
        assert_eq!(world.guests[1].code(), world.guests[4].code());
        assert_eq!(seen(&world, 4, 1, 4500, 5000).0, [SIZE]);
        assert_eq!(seen(&world, 3, 1, 4500, 5000).0, [SMALL]);
    }
}

#[test]
fn a_handed_over_meeting_keeps_its_insiders() {
    let mut world = four(false);
    world.command(0, "hand-over 4");
    world.run(3000);
    let refused = world.guests[0].told(|notice| match notice {
        Notice::Refused { what, .. } => Some(what.clone()),
        _ => None,
    });
    assert_eq!(refused, ["hand-over"], "a guest has no part in the insiders");
    world.command(0, "hand-over 3");
    world.run(4000);
    world.command(2, "remove 1");
    world.join(config("Eve", "member"));
    world.run(8000);
    assert_eq!(insiders(&world, 2), ["Eve", "Bob", "Cleo"]);
    assert_eq!(insiders(&world, 4), insiders(&world, 2));
    assert_eq!(seen(&world, 4, 1, 7000, 8000).0, [SIZE]);
    assert_eq!(seen(&world, 3, 1, 7000, 8000).0, [SMALL]);
}

/// A leaf states 16 caps. Whoever shows and hides its camera more often than that is still seen, and no key is used twice.
#[test]
fn a_camera_may_begin_as_often_as_one_likes() {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(limited("Bob", "member"));
    world.run(2000);
    let mut tracks = BTreeSet::new();
    for turn in 0..30 {
        world.command(1, "mute camera");
        world.run(2200 + 400 * turn);
        world.command(1, "unmute camera");
        world.run(2400 + 400 * turn);
        let streams = world.desk.streams(world.desk.who(1).unwrap());
        let camera = streams.into_iter().find(|it| it.kind == Kind::Camera).expect("it is sent");
        assert!(tracks.insert((world.guests[1].epoch(), camera.track)) && camera.track < 16);
    }
    world.run(16_000);
    assert_eq!(seen(&world, 0, 1, 15_000, 16_000).0, [SIZE]);
    let epochs: BTreeSet<_> = tracks.iter().map(|(epoch, _)| epoch).collect();
    assert!((2..=4).contains(&epochs.len()), "{tracks:?}");
    no_counter_comes_twice(&world);
}

#[test]
fn a_relay_cannot_put_somebody_else_among_the_insiders() {
    let mut world = World::new();
    world.join(limited("Ann", "organizer"));
    world.run(300);
    let other = Login::new(b"Bob", std::time::Duration::from_secs(3600)).unwrap();
    world.desk.insiders_key_package = Some(Bytes(other.key_package().unwrap()));
    world.join(config("Bob", "member"));
    world.run(5000);
    assert_eq!(insiders(&world, 0), ["Ann"]);
    assert_eq!(seen(&world, 1, 0, 3000, 5000).0, [SMALL]);
    let refused = world.guests[0].told(|notice| match notice {
        Notice::Refused { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(refused, ["the key packages for the two groups are not of the same person"]);
}

/// What is kept from guests is not sealed for a group that is anybody's.
#[test]
fn a_relay_cannot_make_insiders_of_its_own() {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(limited("Bob", "member"));
    world.run(345);
    let brought = world.desk.brought.take().expect("he knocked");
    let login = Login::new(b"Ann", std::time::Duration::from_secs(3600)).unwrap();
    let mut group = login.create_as_organizer(agreement()).unwrap();
    let message = Bytes(group.add(&[&brought.0]).unwrap().welcome);
    world.say(1, Event::Welcome { group: Group::Insiders, number: 1, message });
    world.run(3000);
    assert_eq!(world.guests[1].epoch(), Some(1));
    assert_eq!(insiders(&world, 1), ["Ann", "Bob"], "the relay's");
    assert!(!world.guests[1].seat.circle().is_insider());
    let streams = world.desk.streams(world.desk.who(1).unwrap());
    assert!(streams.iter().all(|it| it.kind != Kind::Camera));
}

/// Whoever has no keys that guests lack cannot keep anything from them: it sends no camera, and says why.
#[test]
fn a_guest_with_a_limit_sends_no_camera() {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(limited("Dan", "guest"));
    world.run(3000);
    let kinds: Vec<_> = world.desk.streams(world.desk.who(1).unwrap()).iter().map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Audio]);
    let refused = world.guests[1].told(|notice| match notice {
        Notice::Refused { what, .. } => Some(what.clone()),
        _ => None,
    });
    assert_eq!(refused, ["camera"]);
}

#[test]
fn one_is_told_what_keys_enforce() {
    let mut world = four(false);
    for line in ["limit guests 1", "limit outsiders 0", "limit all 0"] {
        world.command(1, line);
    }
    world.command(2, "limit guests 1");
    let told = |world: &World, place: usize| {
        world.guests[place].told(|notice| match notice {
            Notice::Enforced { by_keys, keys } => Some((*by_keys, *keys)),
            _ => None,
        })
    };
    assert_eq!(told(&world, 1), [(true, Some(0)), (false, Some(0))]);
    assert_eq!(told(&world, 2), [(false, None)]);
}

/// With what a guest has of the keys, nothing above the limit opens of all that reached the relay.
#[test]
fn the_keys_of_a_guest_open_the_base_layer_alone() {
    let mut world = four(true);
    world.run(6000);
    let stream = world.desk.streams(world.desk.who(1).unwrap());
    let camera = stream.into_iter().find(|it| it.kind == Kind::Camera).unwrap();
    let ring = |place: usize| -> KeyRing { world.guests[place].seat.circle().ring(world.now).unwrap() };
    let layers = |place: usize| {
        use layercast::session::{ReceiverOutput, VideoReceiver, VideoReceiverConfig};
        use layercast::structure::LayerId;
        let opener = VideoOpener::new(agreement(), camera.member, camera.track);
        let mut config = VideoReceiverConfig::new(camera.ssrc, LayerId::new(3, 7));
        config.opaque = true;
        let mut receiver = VideoReceiver::without_decoder(config, Some((opener, ring(place))));
        let mut layers = BTreeSet::new();
        for (at, packet) in &world.packets {
            receiver.handle_packet(*at, packet.clone());
            loop {
                match receiver.poll(*at) {
                    ReceiverOutput::Unit(unit) => {
                        layers.extend(unit.frames.iter().map(|it| it.layer.spatial_id));
                    }
                    ReceiverOutput::Timeout(_) => break,
                    _ => {}
                }
            }
        }
        layers
    };
    assert_eq!(layers(3), BTreeSet::from([0]));
    assert!(layers(2).contains(&2));
}

#[test]
fn the_longest_key_packages_are_taken_by_relays() {
    let caps = (0..16).map(|stream| GuestCap { stream: 65_520 + stream, spatial_id: 3 }).collect();
    let mut circle = Circle::new(&"x".repeat(MAX_TEXT), None, caps);
    let (meeting, insiders) = circle.key_packages().unwrap();
    // The desk of the relay takes no more.
    assert!(meeting.0.len() <= 1024 && insiders.0.len() <= 1024, "{} {}", meeting.0.len(), insiders.0.len());
}
