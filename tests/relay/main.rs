//! Rooms in virtual time, with the product's senders and receivers around them.

#[path = "../common/chance.rs"]
mod chance;
mod world;

use std::time::Duration;

use layercast::relay::{ParticipantId, RoomConfig};
use layercast::select::{Cap, StreamId};
use layercast::structure::LayerId;
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

/// Each pair of decode targets in these modes: the switch happens, nothing undecodable is handed on, and a key picture is
/// coded only where the structure has no other way.
#[test]
fn every_change_of_target_is_made() {
    for mode in [L1T3, L2T2, L3T3, L3T3Key, L2T2KeyShift, S3T3] {
        let targets: Vec<_> = mode.structure().decode_targets().collect();
        for from in &targets {
            for to in &targets {
                switch(mode, *from, *to);
            }
        }
    }
}

fn switch(mode: ScalabilityMode, from: LayerId, to: LayerId) {
    let mut world = pair(3, mode, Link::new(20), Link::new(20));
    let cap = |target: LayerId| Cap {
        max_spatial_id: Some(target.spatial_id),
        max_temporal_id: Some(target.temporal_id),
        ..Cap::default()
    };
    let receiver = ParticipantId(2);
    world.room.set_cap(world.now, receiver, None, cap(from));
    // Somebody else sees all layers, so that what the receiver leaves is not left out by the sender.
    let other = world.join(3, Link::new(20), Link::new(20));
    world.show(other, 7);
    world.report(other, &[(7, SIZE)]);
    world.run(Duration::from_secs(14));
    assert_eq!(world.room.current(receiver, StreamId(7)), Some(from), "{mode} {from}");
    let keys = world.keys(0);
    world.room.set_cap(world.now, receiver, None, cap(to));
    let changed = world.now;
    world.poll_room();
    world.run(Duration::from_secs(3));
    let name = format!("{mode} {from} -> {to}");
    assert_eq!(world.room.current(receiver, StreamId(7)), Some(to), "{name}");
    let screen = &world.people[1].screens[0];
    let after: Vec<_> =
        screen.shown.iter().filter(|shown| shown.at > changed + Duration::from_millis(1200)).collect();
    assert!(after.iter().all(|shown| shown.spatial_id == to.spatial_id), "{name}");
    let structure = mode.structure();
    let share = |target: LayerId| {
        let of = structure.cycle.iter().filter(|picture| structure.needed_by(picture, target.spatial_id).contains(target));
        of.count() as f64 / structure.cycle.len() as f64
    };
    let expected = share(to) * 1.8 * 30.0;
    assert!((after.len() as f64 - expected).abs() < 5.0, "{name}: {} pictures, not {expected}", after.len());
    // Freezes: a picture of the lower frame rate, and in the way up in time nothing at all.
    let longest = (1.0 / share(from).min(share(to)) * 34.0) as u64 + 70;
    assert!(screen.gap(changed - Duration::from_secs(1), world.now) <= longest, "{name}: {} ms", screen.gap(changed, world.now));
    // In the KEY modes nothing else leads to another layer; and a layer refresh request cannot name S0 alone (RFC 9627).
    let other_layer = from.spatial_id != to.spatial_id;
    let is_key = other_layer && (mode.to_string().contains("KEY") || mode == S3T3 && to.spatial_id == 0);
    assert_eq!(world.keys(0) - keys, u64::from(is_key), "{name}");
    assert_eq!(screen.key_requests, 0, "{name}: the receiver asks for nothing");
}
