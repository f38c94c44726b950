//! A relay does to a genuine sealed stream what it can: it loses, delays, repeats, reorders, damages and invents
//! packets. The receiver opens nothing but what was sealed, holds no more than its limits, and once the packets come by
//! another relay it shows the next key picture, if the frames were bound to their descriptors.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::e2ee::{Agreement, Binding};
use layercast::rtp::OpenedFrame;
use layercast_fuzz::{Input, Receiver, Sender, damage, videos};
use libfuzzer_sys::fuzz_target;

/// Pictures that are sent at most.
const PICTURES: u64 = 24;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let video = input.pick(videos());
    let binding = *input.pick(&[Binding::Inside, Binding::Metadata, Binding::None, Binding::Page]);
    let by_packet = input.byte() & 1 != 0;
    let agreement = Agreement { binding, ..Agreement::default() };
    let mut sender = Sender::new(video, agreement);
    let target = sender.target();
    let mut receiver = Receiver::new(agreement, target);
    let mut now = Time::ZERO;
    receiver.keys.add(now, sender.keys().grant().clone());
    let mut frames: Vec<(u16, &[u8])> = vec![];
    // The packets that were sent, and how many of them the relay has forwarded in order.
    let (mut sent, mut forwarded): (Vec<Bytes>, usize) = (vec![], 0);
    let mut pictures = 0;
    while !input.is_empty() {
        let step = input.byte();
        let one = |place: u16| sent.len().checked_sub(1 + usize::from(place)).map(|at| &sent[at]);
        let packet = match step % 9 {
            0 | 1 if pictures < PICTURES => {
                pictures += 1;
                now += Duration::from_millis(33);
                let picture = sender.picture();
                frames.extend(
                    picture
                        .plan
                        .frames
                        .iter()
                        .zip(picture.payloads)
                        .map(|(plan, payload)| (plan.frame_number as u16, &payload[..])),
                );
                sender.send(&picture, by_packet, &mut sent);
                None
            }
            2 => one(input.byte().into()).cloned(),
            3 => one(input.u16() % 512).map(|packet| {
                let mut packet = packet.to_vec();
                let other = one(input.byte().into()).cloned().unwrap_or_default();
                damage(&mut packet, input.bytes(), &other);
                packet.into()
            }),
            4 => Some(Bytes::copy_from_slice(input.bytes())),
            5 => {
                now += input.pause();
                None
            }
            6 => {
                match input.byte() {
                    byte @ ..0x40 => receiver.set_target(byte),
                    0x40..0x80 => receiver.buffer.restart(now),
                    0x80..0xa0 => receiver.reconnect(),
                    0xa0.. => {
                        sender.rekey();
                        receiver.keys.add(now, sender.keys().grant().clone());
                    }
                }
                None
            }
            // The next ones, of which some are lost.
            kind => {
                let (count, lost) = (usize::from(input.byte()), if kind == 7 { 0 } else { input.byte() });
                for (at, packet) in sent.iter().enumerate().skip(forwarded).take(count) {
                    forwarded = at + 1;
                    if lost >> (at % 8) & 1 == 0 {
                        receiver.handle(now, Some(packet.clone()), |frame| {
                            check(frame, &frames, binding, by_packet)
                        });
                    }
                }
                None
            }
        };
        receiver.handle(now, packet, |frame| check(frame, &frames, binding, by_packet));
    }
    // What the old relay made of the active decode targets does not outlive a key picture.
    now += Duration::from_secs(3);
    receiver.buffer.set_target(target);
    receiver.reconnect();
    sender.start_again();
    let picture = sender.picture();
    let mut packets = vec![];
    sender.send(&picture, by_packet, &mut packets);
    let mut shown = vec![];
    for packet in packets {
        shown.extend(receiver.handle(now, Some(packet), |_| {}));
    }
    shown.extend(receiver.handle(now + Duration::from_secs(3), None, |_| {}));
    // With `Binding::None` the relay may have moved the frame numbers on, so that this one seems to be late.
    let is_shown = shown.iter().any(|shown| shown.spatial_id == target.spatial_id);
    assert!(is_shown || binding == Binding::None, "the key picture is shown");
});

/// What was opened was sealed. With [`Binding::None`] the relay may say anything of it, and of frames that are sealed packet
/// by packet it may join the packets of several.
fn check(opened: &OpenedFrame, frames: &[(u16, &[u8])], binding: Binding, by_packet: bool) {
    if binding == Binding::None && by_packet {
        return;
    }
    let sealed = |(number, payload): &(u16, &[u8])| {
        (binding == Binding::None || *number == opened.frame_number) && opened.payload == payload
    };
    assert!(frames.iter().any(sealed), "frame {} was never sealed", opened.frame_number);
}
