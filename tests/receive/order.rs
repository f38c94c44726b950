//! Frames whose sender's order is sealed with them, and frames in the clear, after a pause, a restart, or in the hands of
//! a relay that holds them back.

use std::time::Duration;

use layercast::Time;
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::{FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame, SealedOrder};
use layercast::structure::{LayerId, Refresh, ScalabilityMode};

use crate::{Sender, all, at};

const MODE: ScalabilityMode = ScalabilityMode::L1T1;

/// A sender of one frame a picture, whose order is sealed, or whose frames are in the clear.
struct Ordered {
    sender: Sender,
    epoch: Option<u64>,
}

impl Ordered {
    fn new(epoch: Option<u64>) -> Self {
        Self { sender: Sender::new(MODE, 0), epoch }
    }

    fn next(&mut self, key: bool) -> OpenedFrame {
        let sent = self.sender.picture(key, all(MODE)).remove(0);
        let number = sent.plan.frame_number as u32;
        let order = self.epoch.map(|epoch| SealedOrder { epoch, number });
        OpenedFrame { order, ..sent.frame }
    }

    /// Goes on for so many pictures of which nobody hears.
    fn pause(&mut self, pictures: u64) {
        (0..pictures).for_each(|_| drop(self.next(false)));
    }
}

fn buffer() -> FrameBuffer {
    FrameBuffer::new(FrameBufferConfig::default(), LayerId::default())
}

/// Numbers of the frames shown at `now`, and whether a key picture is asked for.
fn shown(now: Time, buffer: &mut FrameBuffer) -> (Vec<u16>, bool) {
    let (mut numbers, mut asked) = (vec![], false);
    while let Some(event) = buffer.poll(now) {
        match event {
            FrameBufferEvent::Unit(unit) => {
                numbers.extend(unit.frames.iter().map(|frame| frame.frame_number))
            }
            FrameBufferEvent::Refresh(refresh) => {
                assert_eq!(refresh, Refresh::KEY);
                asked = true;
            }
            _ => {}
        }
    }
    (numbers, asked)
}

/// Sends pictures `range`, each of which is shown at once.
fn play(sender: &mut Ordered, buffer: &mut FrameBuffer, range: std::ops::Range<u32>) {
    for n in range {
        let frame = sender.next(false);
        let number = frame.frame_number;
        buffer.insert(at(n), frame).unwrap();
        assert_eq!(shown(at(n), buffer), (vec![number], false), "picture {n}");
    }
}

/// Finding 6: a key picture that was held back comes too late, however far back it is, and what follows is shown.
#[test]
fn a_key_picture_that_was_held_back_is_not_shown() {
    for far in [1, 4096, 4097, 6000, 65_536] {
        let (mut sender, mut buffer) = (Ordered::new(Some(7)), buffer());
        play(&mut sender, &mut buffer, 0..10);
        let held_back = sender.next(true);
        buffer.settle(held_back.frame_number.wrapping_add(1));
        // What follows is decoded by another key picture.
        let key = sender.next(true);
        let number = key.frame_number;
        buffer.insert(at(11), key).unwrap();
        buffer.settle(number.wrapping_add(1));
        assert_eq!(shown(at(11), &mut buffer), (vec![number], false));
        play(&mut sender, &mut buffer, 12..12 + far);
        let now = at(12 + far);
        // In an epoch before it is as late as in the same one.
        for epoch in [7, 6] {
            let order = held_back.order.map(|order| SealedOrder { epoch, ..order });
            let held_back = OpenedFrame { order, ..held_back.clone() };
            assert_eq!(buffer.insert(now, held_back), Err(DropReason::Late), "{far} frames back");
        }
        assert_eq!(shown(now, &mut buffer), (vec![], false));
        play(&mut sender, &mut buffer, 12 + far..22 + far);
    }
}

/// A sender whose program starts anew joins again, and so has keys of a later epoch.
#[test]
fn a_sender_that_starts_anew_is_shown() {
    for before in [1, 50, 4096, 5000, 65_540] {
        let (mut sender, mut buffer) = (Ordered::new(Some(1)), buffer());
        play(&mut sender, &mut buffer, 0..before);
        let old = [false, true].map(|key| sender.next(key));
        let mut anew = Ordered::new(Some(2));
        play(&mut anew, &mut buffer, before..before + 20);
        // What is on the way of before is of no use any more.
        let now = at(before + 20);
        for frame in old {
            assert_eq!(buffer.insert(now, frame), Err(DropReason::Late), "after {before}");
        }
        assert_eq!(shown(now, &mut buffer), (vec![], false));
        play(&mut anew, &mut buffer, before + 20..before + 40);
    }
}

#[test]
fn if_its_first_key_picture_is_lost_another_is_asked_for() {
    let (mut sender, mut buffer) = (Ordered::new(Some(1)), buffer());
    play(&mut sender, &mut buffer, 0..500);
    let mut anew = Ordered::new(Some(2));
    anew.next(true);
    assert_eq!(buffer.insert(at(500), anew.next(false)), Err(DropReason::Late));
    assert_eq!(shown(at(500), &mut buffer), (vec![], true));
    let key = anew.next(true);
    buffer.insert(at(502), key).unwrap();
    assert_eq!(shown(at(502), &mut buffer), (vec![2], false));
    play(&mut anew, &mut buffer, 503..600);
}

#[test]
fn epochs_change_without_a_key_picture() {
    let (mut sender, mut buffer) = (Ordered::new(Some(1)), buffer());
    play(&mut sender, &mut buffer, 0..100);
    let late = sender.next(false);
    sender.epoch = Some(2);
    let newer = sender.next(false);
    // The last frame of the old epoch is overtaken, and waited for.
    buffer.insert(at(101), newer).unwrap();
    assert_eq!(shown(at(101), &mut buffer), (vec![], false));
    buffer.insert(at(101), late).unwrap();
    assert_eq!(shown(at(101), &mut buffer), (vec![100, 101], false));
    play(&mut sender, &mut buffer, 102..200);
}

/// After whatever pause the buffer asks for a key picture, and shows what follows it.
#[test]
fn a_pause_of_any_length_ends_with_a_key_picture() {
    for epoch in [Some(3), None] {
        for pause in [4097, 61_440, 65_535, 65_600] {
            let (mut sender, mut buffer) = (Ordered::new(epoch), buffer());
            play(&mut sender, &mut buffer, 0..4200);
            sender.pause(pause);
            // The pause in time, of 30 pictures a second.
            let mut n = 4200 + pause as u32;
            let frame = sender.next(false);
            let settled = frame.frame_number.wrapping_add(1);
            buffer.insert(at(n), frame).unwrap();
            buffer.settle(settled);
            assert_eq!(shown(at(n), &mut buffer), (vec![], true), "{epoch:?} {pause}");
            n += 3;
            let key = sender.next(true);
            let number = key.frame_number;
            buffer.insert(at(n), key).unwrap();
            assert_eq!(shown(at(n), &mut buffer), (vec![number], false), "{epoch:?} {pause}");
            play(&mut sender, &mut buffer, n + 1..n + 100);
        }
    }
}

/// In the clear the numbers are all there is: a key picture far back is of a sender that counts anew.
#[test]
fn in_the_clear_a_key_picture_far_back_starts_anew() {
    for (before, taken) in [(4096, false), (4097, true), (5000, true), (30_000, true)] {
        let (mut sender, mut buffer) = (Ordered::new(None), buffer());
        play(&mut sender, &mut buffer, 0..before);
        let mut anew = Ordered::new(None);
        let frame = anew.next(true);
        if taken {
            buffer.insert(at(before), frame).unwrap();
            assert_eq!(shown(at(before), &mut buffer), (vec![0], false));
            play(&mut anew, &mut buffer, before + 1..before + 20);
        } else {
            assert_eq!(buffer.insert(at(before), frame), Err(DropReason::Late));
        }
    }
}

/// One frame forged by somebody with the key does not make those of the sender late.
#[test]
fn a_number_far_ahead_is_not_believed_while_frames_come() {
    let ahead = |frame: &OpenedFrame, by: u32| {
        let order = frame.order.map(|order| SealedOrder { number: (order.number + by) & 0xff_ffff, ..order });
        OpenedFrame { frame_number: frame.frame_number.wrapping_add(by as u16), order, ..frame.clone() }
    };
    let (mut sender, mut buffer) = (Ordered::new(Some(1)), buffer());
    play(&mut sender, &mut buffer, 0..100);
    let key = sender.next(true);
    // 64 may be missing, and 33 more after 33 ms; this is number 100, and 99 the last.
    for (by, expected) in [
        (97, Err(DropReason::TooFar)),
        (10_000, Err(DropReason::TooFar)),
        (1 << 22, Err(DropReason::TooFar)),
        (96, Ok(())),
    ] {
        let mut other = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
        let mut again = Ordered::new(Some(1));
        play(&mut again, &mut other, 0..100);
        assert_eq!(other.insert(at(100), ahead(&key, by)), expected, "{by} ahead");
    }
    assert_eq!(buffer.insert(at(100), ahead(&key, 10_000)), Err(DropReason::TooFar));
    buffer.insert(at(100), key.clone()).unwrap();
    assert_eq!(shown(at(100), &mut buffer), (vec![100], false));
    play(&mut sender, &mut buffer, 101..200);
    // A sender that counts on from far ahead is heard once the last frame is a second ago.
    let late = at(199) + Duration::from_secs(1);
    assert_eq!(buffer.insert(late - Duration::from_millis(1), ahead(&key, 10_000)), Err(DropReason::TooFar));
    buffer.insert(late, ahead(&key, 10_000)).unwrap();
    buffer.settle(10_101);
    assert_eq!(shown(late, &mut buffer), (vec![10_100], false));
}
