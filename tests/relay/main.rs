//! Rooms in virtual time, with the product's senders and receivers around them.

#[path = "../common/chance.rs"]
mod chance;
mod world;

use std::time::Duration;

use layercast::relay::RoomConfig;
use layercast::structure::ScalabilityMode::{self, *};
use layercast::{Size, Time};
use world::{Link, SIZE, World};

/// One sender, and one receiver over these links.
fn pair(seed: u64, mode: ScalabilityMode, up: Link, down: Link) -> World {
    let mut world = World::new(seed, RoomConfig::default());
    let sender = world.join(1, up, Link::new(20));
    world.publish(sender, 7, mode);
    let receiver = world.join(2, Link::new(20), down);
    world.show(receiver, 7);
    world.report(receiver, &[(7, SIZE)]);
    world
}

#[test]
fn a_receiver_gets_the_layers_that_fill_its_window() {
    let mut world = pair(1, L3T3, Link::new(20), Link::new(20));
    world.run(Duration::from_secs(20));
    let screen = &world.people[1].screens[0];
    assert!(screen.count(2, Time::from_secs(12)) > 200, "{:?}", screen.shown.last());
    assert!(screen.gap(Time::from_secs(1), world.now) < 120, "{}", screen.gap(Time::from_secs(1), world.now));
    // A small window gets the small layer within a picture or two, and the sender soon codes no other.
    world.report(1, &[(7, Size::new(160, 90))]);
    let small = world.now;
    world.run(Duration::from_secs(8));
    let screen = &world.people[1].screens[0];
    assert_eq!(screen.count(2, small + Duration::from_millis(200)), 0);
    assert!(screen.gap(small, world.now) < 120);
    let wanted = world.people[0].cameras[0].sender.wanted().unwrap();
    assert!(wanted.iter().all(|target| target.spatial_id == 0), "{wanted:?}");
    // A hidden one gets nothing, and nothing is coded.
    world.report(1, &[(7, Size::new(0, 0))]);
    world.run(Duration::from_secs(6));
    let pictures = world.people[0].cameras[0].pictures;
    world.run(Duration::from_secs(2));
    assert_eq!(world.people[0].cameras[0].pictures, pictures);
    // It comes back at once.
    world.report(1, &[(7, SIZE)]);
    let shown = world.now;
    world.run(Duration::from_secs(2));
    let screen = &world.people[1].screens[0];
    let first = screen.shown.iter().find(|picture| picture.at > shown).unwrap();
    assert!(first.at - shown < Duration::from_millis(200), "{first:?}");
}
