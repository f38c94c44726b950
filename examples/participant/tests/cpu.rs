//! Machines with little time for pictures.

mod common;

use std::time::Duration;

use common::{SIZE, World, config};
use layercast::Size;
use layercast_participant::seat::SeatConfig;

const CODING: Duration = Duration::from_millis(8);
const DECODING: Duration = Duration::from_millis(6);

/// Two, of whom the second one has so much time for a picture, after 10 s.
fn two(budget: Option<Duration>) -> World {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    let slow = world.join(SeatConfig { cpu_budget: budget, ..config("Bob", "member") });
    (world.guests[slow].coding, world.guests[slow].decoding) = (Some(CODING), Some(DECODING));
    world.run(10_000);
    world
}

/// What somebody saw of the other in the last 4 s: the pictures, and the largest.
fn seen(world: &World, viewer: usize) -> (usize, Option<Size>) {
    let shown = world.guests[viewer].shown.values().flatten();
    let sizes = shown.filter(|(at, _)| at.since_start() > Duration::from_secs(6)).map(|(_, size)| *size);
    (world.guests[viewer].pictures(6000, 10_000), sizes.max_by_key(|size| size.samples()))
}

/// The layers that the second one gives up for want of time.
fn given_up(world: &World) -> usize {
    world.guests[1].seat.sources().find_map(|(_, _, counts)| counts.effort).unwrap().1
}

#[test]
fn what_takes_more_than_the_budget_is_neither_coded_nor_asked_for() {
    let free = two(None);
    assert_eq!(given_up(&free), 0, "8 of 100 ms is little");
    for viewer in [0, 1] {
        let (pictures, largest) = seen(&free, viewer);
        assert!(pictures >= 38 && largest == Some(SIZE), "{pictures} pictures, {largest:?}");
    }
    // 30 times as much in a second for decoding, of which 10 pictures would take 60 ms.
    let tight = two(Some(Duration::from_millis(1)));
    assert!(given_up(&tight) > 0);
    let (coded, _) = seen(&tight, 0);
    assert!((8..=22).contains(&coded), "{coded} pictures");
    let (decoded, largest) = seen(&tight, 1);
    assert!((8..=22).contains(&decoded) || largest != Some(SIZE), "{decoded} pictures, {largest:?}");
}
