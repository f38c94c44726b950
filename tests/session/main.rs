//! Whole streams in virtual time, over networks that lose, delay and stop.

mod call;
#[path = "../common/chance.rs"]
mod chance;

use std::time::Duration;

use call::{Call, Event, Faults};
use layercast::Time;
use layercast::e2ee::{Agreement, SenderKeys};

#[test]
fn five_percent_of_loss_cost_no_picture() {
    let (mut call, _keys) = Call::new(Faults { loss: 5, reorder: 5, outage: None }, |_| {});
    call.run(3000);
    let summary = call.summary();
    let full = call.shown.iter().filter(|shown| shown.spatial_id == 2).count();
    assert!(call.shown.len() >= 2985 && full >= 2940, "{summary}");
    assert_eq!(call.sender.statistics().key_pictures, 1, "{summary}");
    assert!(call.delay(0.5) <= 70.0 && call.delay(0.99) <= 350.0 && call.gap() <= 450.0, "{summary}");
}

#[test]
fn at_twenty_percent_of_loss_the_picture_still_moves() {
    let (mut call, _keys) = Call::new(Faults { loss: 20, reorder: 5, outage: None }, |_| {});
    call.run(3000);
    let summary = call.summary();
    assert!(call.shown.len() >= 2750 && call.gap() <= 1500.0, "{summary}");
}

#[test]
fn after_an_outage_the_picture_moves_within_300_ms() {
    let outage = (Time::from_secs(3), Time::from_secs(5));
    let (mut call, _keys) = Call::new(Faults { outage: Some(outage), ..Faults::default() }, |_| {});
    call.run(240);
    let summary = call.summary();
    let first = call.shown.iter().find(|shown| shown.at >= outage.1).unwrap();
    assert!(first.at - outage.1 <= Duration::from_millis(300), "{first:?} {summary}");
    let last = call.shown.last().unwrap();
    assert_eq!((last.number, last.spatial_id), (239, 2), "{summary}");
}

#[test]
fn a_commit_that_comes_late_loses_nothing() {
    let (mut call, _keys) = Call::new(Faults::default(), |_| {});
    let mut next = SenderKeys::fresh(Agreement::default(), 1, 1).unwrap();
    call.sender.rekey(&mut next, 0).unwrap();
    call.at(Time::from_millis(550), Event::Keys(next));
    call.run(60);
    let summary = call.summary();
    assert_eq!(call.shown.len(), 60, "{summary}");
    assert!(call.shown.iter().all(|shown| shown.spatial_id == 2), "{summary}");
    assert!(call.receiver.statistics().held > 0, "{summary}");
    assert_eq!(call.sender.statistics().refreshes, 0, "{summary}");
}
