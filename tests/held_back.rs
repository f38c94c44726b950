//! A relay holds a key picture back for more than two minutes and delivers it then, under the numbers of a packet that is
//! new. Nobody sees it, and all that follows is shown.

#[path = "common/call.rs"]
#[allow(dead_code)] // This test takes a part of it.
mod call;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use call::{DESCRIPTOR_ID, Happened, Incoming, PAYLOAD_TYPE, SSRC};
use layercast::e2ee::{Agreement, KeyRing, OpenError, SealedUnit, SenderKeys, VideoOpener, VideoSealer};
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::packet::RtpPacketMut;
use layercast::rtp::reassembler::Rejected;
use layercast::rtp::{Describer, OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode};
use layercast::{Size, Time};

const MODE: ScalabilityMode = ScalabilityMode::L1T1;

struct Sender {
    planner: Planner,
    describer: Describer,
    sealer: VideoSealer,
    packetizer: Packetizer,
}

impl Sender {
    fn new(sealer: VideoSealer) -> Self {
        let config = PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID, PAYLOAD_TYPE, SSRC);
        Self {
            planner: Planner::new(MODE, Size::new(640, 360)),
            describer: Describer::new(),
            sealer,
            packetizer: Packetizer::new(config),
        }
    }

    /// The packet of the next picture, whose payload is its number.
    fn next(&mut self, key: bool) -> Bytes {
        let refresh = if key { Refresh::KEY } else { Refresh::NONE };
        let wanted = DecodeTargets::all(MODE.structure());
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let descriptor = self.describer.describe(&plan).unwrap().remove(0);
        let (mut payload, mut packets) = (BytesMut::new(), Packets::new());
        let number = plan.picture_number.to_be_bytes();
        self.sealer.seal(&descriptor, SealedUnit::Frame, &number, &mut payload).unwrap();
        let timestamp = plan.picture_number as u32 * 3000;
        let frame =
            OutgoingFrame { payload: &payload, descriptor: &descriptor, timestamp, end_of_picture: true };
        self.packetizer.packetize(&frame, &mut packets).unwrap();
        packets.drain().next().unwrap()
    }
}

/// Finding 6. The epochs overlap for so long that the key picture of the old one can still be opened.
#[test]
fn a_key_picture_that_a_relay_held_back_is_not_shown() {
    for restarts in [false, true] {
        let agreed = Agreement::default();
        let mut keys = [1, 2].map(|epoch| SenderKeys::fresh(agreed, 3, epoch).unwrap());
        let mut ring = KeyRing::new(agreed, Duration::from_secs(600));
        keys.iter().for_each(|keys| assert!(ring.add(Time::ZERO, keys.grant().clone())));
        let mut sender = Sender::new(keys[0].video(0).unwrap());
        let opener = VideoOpener::new(agreed, 3, 0);
        let mut incoming = Incoming::new(LayerId::default(), Some((opener, ring)));
        let mut happened = vec![];
        let mut held_back = None;
        // The relay numbers what it forwards.
        let mut next = 1000_u16;
        let mut forward = |packet: &Bytes, number: u16| {
            let mut packet = packet.to_vec();
            RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(number);
            next = number.wrapping_add(1);
            (Bytes::from(packet), next)
        };
        let mut sequence_number = 1000;
        for n in 0..4300_u64 {
            let now = Time::from_millis(33 * n);
            if n == 12 {
                sender.sealer.rekey(&mut keys[1], 0).unwrap();
            }
            let packet = sender.next(n == 10 || n == 11);
            if n == 10 {
                held_back = Some(packet);
                continue;
            }
            let (packet, after) = forward(&packet, sequence_number);
            sequence_number = after;
            incoming.push(now, packet).unwrap();
            incoming.poll(now, &mut happened);
            let units: Vec<_> = happened
                .drain(..)
                .map(|happened| match happened {
                    Happened::Unit(unit) => {
                        u64::from_be_bytes(unit.frames[0].payload[..].try_into().unwrap())
                    }
                    other => panic!("{n}: {other:?}"),
                })
                .collect();
            assert_eq!(units, [n]);
            if n != 4200 {
                continue;
            }
            let held_back = held_back.take().unwrap();
            if restarts {
                // Two packets far from all others make the reassembler start anew.
                let far = sequence_number.wrapping_add(10_000);
                let (packet, after) = forward(&held_back, far);
                assert_eq!(incoming.push(now, packet), Err(Rejected::OutOfRange(far)));
                sequence_number = after;
            }
            let (packet, after) = forward(&held_back, sequence_number);
            sequence_number = after;
            incoming.push(now, packet).unwrap();
            incoming.poll(now, &mut happened);
            let dropped = std::mem::take(&mut happened);
            // The first of two packets far from all others is taken with the second, and is the same frame here.
            let again = |happened: &[Happened]| match happened {
                [] => !restarts,
                [Happened::Refused(OpenError::Replayed { .. })] => restarts,
                _ => false,
            };
            assert!(
                matches!(&dropped[..], [Happened::Dropped(DropReason::Late), rest @ ..] if again(rest)),
                "{dropped:?}"
            );
        }
    }
}
