//! Packets that go from the packetizer through a relay and a network to the frame buffer.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::rtp::descriptor::DependencyDescriptor;
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::reassembler::{Abandoned, Accepted, Rejected};
use layercast::rtp::{
    DecodableUnit, FrameBuffer, FrameBufferConfig, FrameBufferEvent, OutgoingFrame, Packetizer,
    PacketizerConfig, Packets, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent,
    ReassemblerStatistics, SentPackets,
};
use layercast::structure::{DecodeTarget, LayerId, Refresh, ScalabilityMode};
use proptest::prelude::*;

use crate::chance::Chance;
use crate::relay::Relay;
use crate::{Model, Sender, Sent, all, any_case, at};

/// Dependency Descriptor's id.
const DESCRIPTOR_ID: u8 = 4;

fn packetizer(first_sequence_number: u16) -> Packetizer {
    let config = PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID, 45, 0x1234_5678);
    Packetizer::new(PacketizerConfig { first_sequence_number, ..config })
}

fn reassembler_config() -> ReassemblerConfig {
    let config = ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID);
    ReassemblerConfig { adopt_structures: true, start_within: Duration::from_millis(10), ..config }
}

/// Gives a frame `size` bytes, which begin with its number.
fn fill(sent: &mut Sent, size: u64, chance: &mut Chance) {
    let mut payload = sent.frame.payload.to_vec();
    payload.extend((0..size).map(|_| chance.below(256) as u8));
    sent.frame.payload = payload.into();
}

fn packetize(packetizer: &mut Packetizer, sent: &Sent) -> Vec<Bytes> {
    let mut packets = Packets::new();
    let frame = OutgoingFrame {
        payload: &sent.frame.payload,
        descriptor: &sent.descriptor,
        timestamp: sent.frame.timestamp,
        end_of_picture: sent.frame.end_of_picture,
    };
    packetizer.packetize(&frame, &mut packets).unwrap();
    packets.drain().collect()
}

/// Packets in, temporal units out.
struct Receiver {
    reassembler: Reassembler,
    buffer: FrameBuffer,
    /// As they were sent, by frame number.
    payloads: BTreeMap<u16, Bytes>,
    units: Vec<DecodableUnit>,
    refreshes: Vec<Refresh>,
}

impl Receiver {
    fn new(config: FrameBufferConfig, target: DecodeTarget) -> Self {
        Self {
            reassembler: Reassembler::new(reassembler_config()),
            buffer: FrameBuffer::new(config, target),
            payloads: BTreeMap::new(),
            units: vec![],
            refreshes: vec![],
        }
    }

    fn run(&mut self, now: Time) -> Result<(), TestCaseError> {
        while let Some(event) = self.reassembler.poll(now) {
            let ReassemblerEvent::Frame(frame) = event else { continue };
            let sent = self.payloads.get(&frame.descriptor.frame_number);
            prop_assert_eq!(sent, Some(&frame.payload));
            let inserted = self.buffer.insert(now, frame.into());
            prop_assert!(matches!(inserted, Ok(()) | Err(DropReason::Late)), "{:?}", inserted);
        }
        if let Some(settled) = self.reassembler.settled() {
            self.buffer.settle(settled);
        }
        if self.reassembler.needs_structure() {
            self.buffer.request_key_frame(now);
        }
        while let Some(event) = self.buffer.poll(now) {
            match event {
                FrameBufferEvent::Unit(unit) => self.units.push(unit),
                FrameBufferEvent::Refresh(refresh) => self.refreshes.push(refresh),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What happens on the network, by time and order.
enum Happening {
    Arrives(Bytes),
    Nacked(Vec<u16>),
    Tick,
}

/// A network that delays, loses and duplicates.
struct Network {
    chance: Chance,
    queue: BTreeMap<(Time, u64), Happening>,
    count: u64,
    /// One packet in so many is lost; none, if 0.
    loss: u64,
    duplicates: bool,
    jitter: u64,
}

impl Network {
    fn at(&mut self, time: Time, happening: Happening) {
        self.count += 1;
        self.queue.insert((time, self.count), happening);
    }

    fn send(&mut self, now: Time, packet: &Bytes) {
        for _ in 0..1 + if self.duplicates { self.chance.below(2) } else { 0 } {
            if self.loss == 0 || !self.chance.once_in(self.loss) {
                let delay = Duration::from_micros(15_000 + self.chance.below(self.jitter + 1));
                self.at(now + delay, Happening::Arrives(packet.clone()));
            }
        }
    }

    fn next(&mut self) -> Option<(Time, Happening)> {
        self.queue.pop_first().map(|((time, _), happening)| (time, happening))
    }
}

/// Sends pictures through a relay and a network to a receiver; what went wrong is an error.
fn journey(
    (mode, target, seed): (ScalabilityMode, DecodeTarget, u64),
    loss: u64,
    pictures: u32,
) -> Result<(), TestCaseError> {
    let mut chance = Chance(seed);
    let mut sender = Sender::new(mode, seed as u16);
    let mut packetizer = packetizer(!(seed as u16) | 0xff00);
    let mut relay = Relay::new(target, DESCRIPTOR_ID, 0xfff0 | seed as u16, seed as u32);
    let mut sent_packets = SentPackets::new(4096);
    let config = FrameBufferConfig { skip_after: Duration::from_secs(1), ..FrameBufferConfig::default() };
    let mut receiver = Receiver::new(config, target);
    let mut network = Network {
        chance: Chance(!seed),
        queue: BTreeMap::new(),
        count: 0,
        loss,
        duplicates: seed % 2 == 0,
        jitter: 1000 * chance.below(8),
    };
    let (mut all_sent, mut needed) = (vec![], vec![]);
    for n in 0..pictures {
        // A loss shows between an earlier and a later packet: the first and the last ones arrive.
        network.loss = if n > 0 && n + 8 < pictures { loss } else { 0 };
        let mut sent = sender.picture(chance.once_in(30), all(mode));
        let mut packets = vec![];
        for sent in &mut sent {
            let size = if chance.once_in(3) { 8000 } else { 1500 };
            fill(sent, chance.below(size), &mut chance);
            packets.extend(packetize(&mut packetizer, sent));
            receiver.payloads.insert(sent.frame.frame_number, sent.frame.payload.clone());
            if sent.plan.needed_by.contains(target) {
                needed.push(sent.plan.frame_number);
            }
        }
        for packet in packets.iter().filter_map(|packet| relay.forward(at(n), packet)) {
            network.send(at(n), &packet);
            sent_packets.insert(at(n), packet);
        }
        prop_assert_eq!(relay.poll(at(n)), None);
        all_sent.extend(sent);
    }
    for n in 0..u64::from(pictures) * 8 + 500 {
        network.at(Time::from_millis(5 * n), Happening::Tick);
    }
    network.loss = loss;
    let mut missing = vec![];
    while let Some((now, happening)) = network.next() {
        match happening {
            Happening::Arrives(packet) => {
                let taken = receiver.reassembler.push(now, packet);
                prop_assert!(
                    matches!(taken, Ok(_) | Err(Rejected::Duplicate | Rejected::Late)),
                    "{:?}",
                    taken
                );
            }
            Happening::Nacked(missing) => {
                for number in missing {
                    for packet in sent_packets.resend(now, number) {
                        network.send(now, packet);
                    }
                }
            }
            Happening::Tick => {}
        }
        receiver.run(now)?;
        receiver.reassembler.nacks(now, &mut missing);
        if !missing.is_empty() {
            network.at(now + Duration::from_millis(15), Happening::Nacked(missing.clone()));
        }
    }
    let mut model = Model::new(&all_sent);
    for unit in &receiver.units {
        let timestamp = unit.timestamp.wrapping_sub(seed as u32);
        let mut unit = unit.clone();
        unit.timestamp = timestamp;
        model.decode(&unit)?;
    }
    let statistics = receiver.reassembler.statistics();
    prop_assert_eq!(receiver.reassembler.bytes() + receiver.buffer.bytes(), 0, "{:?}", statistics);
    prop_assert_eq!(model.decoded, needed, "{} {}: {:?}", mode, target, statistics);
    prop_assert_eq!(receiver.refreshes, []);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn packets_of_every_decode_target_arrive_in_any_order(case in any_case()) {
        journey(case, 0, 40)?;
    }

    #[test]
    fn what_is_lost_is_asked_for_until_it_comes(case in any_case()) {
        journey(case, 20, 60)?;
    }

    #[test]
    fn packets_of_garbage_do_no_harm(seed in any::<u64>()) {
        let mut chance = Chance(seed);
        let config = ReassemblerConfig {
            max_packets: 64,
            max_bytes: 20_000,
            max_waiting: 4,
            ..reassembler_config()
        };
        let mut reassembler = Reassembler::new(config);
        let mut sender = Sender::new(ScalabilityMode::L3T3, 0);
        let mut packetizer = packetizer(seed as u16);
        let mut frames = 0;
        for n in 0..60 {
            let mut packets = vec![];
            for mut sent in sender.picture(chance.once_in(8), all(ScalabilityMode::L3T3)) {
                fill(&mut sent, chance.below(4000), &mut chance);
                packets.extend(packetize(&mut packetizer, &sent));
            }
            for packet in packets {
                let mut packet = packet.to_vec();
                // Damage in the headers above all.
                for _ in 0..chance.below(3) {
                    let end = if chance.once_in(2) { 24.min(packet.len()) } else { packet.len() };
                    let at = chance.below(end as u64) as usize;
                    packet[at] ^= 1 << chance.below(8);
                }
                if chance.once_in(10) {
                    packet.truncate(chance.below(packet.len() as u64) as usize);
                }
                // Whatever the outcome, the limits hold.
                let _ = reassembler.push(at(n), packet.into());
                prop_assert!(reassembler.bytes() <= 20_000 && reassembler.len() <= 64);
                let mut missing = vec![];
                reassembler.nacks(at(n), &mut missing);
                prop_assert!(missing.len() <= 64);
                while let Some(event) = reassembler.poll(at(n)) {
                    frames += usize::from(matches!(event, ReassemblerEvent::Frame(_)));
                }
            }
        }
        let _ = frames;
        while reassembler.poll(at(200)).is_some() {}
        // The packet after the newest is asked for a bounded number of times.
        while let Some(now) = reassembler.next_timeout() {
            reassembler.nacks(now.max(at(200)), &mut vec![]);
        }
    }
}

#[test]
fn a_packet_has_the_descriptor_and_no_more_than_its_size() {
    let mut chance = Chance(5);
    let mut sender = Sender::new(ScalabilityMode::L3T3, 0);
    let mut packetizer = packetizer(65_530);
    let mut sequence_number = 65_530_u16;
    for n in 0..30 {
        for mut sent in sender.picture(n == 20, all(ScalabilityMode::L3T3)) {
            let size = [0, 1, 1160, 1170, 1180, 5000, 20_000][chance.below(7) as usize];
            fill(&mut sent, size, &mut chance);
            let packets = packetize(&mut packetizer, &sent);
            let mut payload = vec![];
            let last = packets.len() - 1;
            for (at, packet) in packets.iter().enumerate() {
                assert!(packet.len() <= 1200, "{}", packet.len());
                let rtp = RtpPacket::read(packet).unwrap();
                assert_eq!(rtp.header.sequence_number, sequence_number);
                sequence_number = sequence_number.wrapping_add(1);
                assert_eq!(rtp.header.marker, at == last && sent.frame.end_of_picture);
                let descriptor = rtp.extension(DESCRIPTOR_ID).unwrap().unwrap();
                let read = DependencyDescriptor::read(descriptor, Some(&sent.frame.structure)).unwrap();
                assert_eq!((read.start_of_frame, read.end_of_frame), (at == 0, at == last));
                assert_eq!(read.structure.is_some(), at == 0 && sent.descriptor.structure.is_some());
                assert_eq!(read.frame_number, sent.frame.frame_number);
                assert!(at == 0 || descriptor.len() == 3);
                payload.extend_from_slice(&rtp.payload[1..]);
            }
            assert_eq!(payload, sent.frame.payload);
            // As few as can be, and for a large frame near to full.
            assert!(packets.len() <= sent.frame.payload.len() / 1150 + 1);
        }
    }
    assert_eq!(packetizer.sequence_number(), sequence_number);
}

/// Somebody changed the frame number of one packet. Neither what was before it of its frame nor what comes behind it can be
/// whole any more, and nothing waits for that.
#[test]
fn a_packet_of_another_frame_within_a_frame_holds_nothing_up() {
    let mut chance = Chance(1);
    let mode = ScalabilityMode::L1T1;
    for (reverse, changed) in [(false, 1), (false, 2), (true, 1), (true, 2), (false, 0), (false, 3)] {
        let (mut sender, mut packetizer) = (Sender::new(mode, 0), packetizer(100));
        let mut reassembler = Reassembler::new(reassembler_config());
        let mut whole = 0;
        for n in 0..10 {
            let mut sent = sender.picture(false, all(mode)).remove(0);
            fill(&mut sent, 4000, &mut chance);
            let mut packets = packetize(&mut packetizer, &sent);
            assert_eq!(packets.len(), 4);
            if n == 4 {
                let mut packet = packets[changed].to_vec();
                let at =
                    RtpPacket::read(&packet).unwrap().extension_range(DESCRIPTOR_ID).unwrap().unwrap().start;
                packet[at + 1] ^= 0x40;
                packets[changed] = packet.into();
            }
            if reverse {
                packets.reverse();
            }
            for packet in packets {
                reassembler.push(at(n), packet).unwrap();
                while let Some(event) = reassembler.poll(at(n)) {
                    whole += u32::from(matches!(event, ReassemblerEvent::Frame(_)));
                }
            }
        }
        assert_eq!((whole, reassembler.len(), reassembler.bytes()), (9, 0, 0), "{reverse} {changed}");
    }
}

/// The packets of three pictures, one each, and a reassembler that has the first and the last of them.
fn without_the_second() -> (Reassembler, Bytes) {
    let (mut sender, mut packetizer) = (Sender::new(ScalabilityMode::L1T1, 0), packetizer(100));
    let mut reassembler = Reassembler::new(reassembler_config());
    let mut picture = || {
        let sent = sender.picture(false, all(ScalabilityMode::L1T1)).remove(0);
        packetize(&mut packetizer, &sent).remove(0)
    };
    let packets = [picture(), picture(), picture()];
    for packet in [&packets[0], &packets[2]] {
        reassembler.push(at(0), packet.clone()).unwrap();
        while reassembler.poll(at(1)).is_some() {}
    }
    (reassembler, packets[1].clone())
}

#[test]
fn a_packet_without_payload_closes_its_gap() {
    for with_descriptor in [true, false] {
        let (mut reassembler, packet) = without_the_second();
        assert_eq!((reassembler.settled(), reassembler.len()), (Some(1), 2));
        let mut empty = packet[..RtpPacket::read(&packet).unwrap().payload_range.start].to_vec();
        if !with_descriptor {
            empty.truncate(12);
            empty[0] &= !0x10;
        }
        assert_eq!(reassembler.push(at(1), empty.into()), Ok(Accepted::New));
        assert!(reassembler.poll(at(1)).is_none());
        let statistics = reassembler.statistics();
        assert_eq!((reassembler.settled(), reassembler.len(), statistics.lost), (Some(3), 0, 0));
        assert_eq!(reassembler.push(at(1), packet), Err(Rejected::Late));
    }
}

/// A relay can send them whenever it likes: nothing is polled over and over for it, and what comes later counts.
#[test]
fn a_stream_may_begin_with_packets_without_payload() {
    let (mut sender, mut packetizer) = (Sender::new(ScalabilityMode::L1T1, 0), packetizer(100));
    let mut picture = || {
        let sent = sender.picture(false, all(ScalabilityMode::L1T1)).remove(0);
        packetize(&mut packetizer, &sent).remove(0)
    };
    let empty = |packet: &Bytes, number: u16| {
        let mut packet = packet[..RtpPacket::read(packet).unwrap().payload_range.start].to_vec();
        RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(number);
        Bytes::from(packet)
    };
    let packets = [picture(), picture()];
    for (before, after) in
        [(vec![99], vec![]), (vec![], vec![99]), (vec![], vec![97]), (vec![98, 97], vec![99])]
    {
        let mut reassembler = Reassembler::new(reassembler_config());
        let mut whole = 0;
        let first = (!after.is_empty()).then(|| (1, packets[0].clone()));
        let before = before.iter().map(|&number| (0, empty(&packets[0], number)));
        let after = after.iter().map(|&number| (1, empty(&packets[0], number)));
        let late = packets.iter().map(|packet| (4, packet.clone()));
        for (n, packet) in before.chain(first).chain(after).chain(late) {
            let taken = reassembler.push(at(n), packet);
            assert!(matches!(taken, Ok(_) | Err(Rejected::Duplicate | Rejected::Late)), "{taken:?}");
            while let Some(event) = reassembler.poll(at(n)) {
                whole += u32::from(matches!(event, ReassemblerEvent::Frame(_)));
            }
            assert!(reassembler.next_timeout().is_none_or(|next| next > at(n)));
        }
        while let Some(next) = reassembler.next_timeout().filter(|next| *next < at(100)) {
            assert!(reassembler.poll(next).is_none());
            let mut missing = vec![];
            reassembler.nacks(next, &mut missing);
            assert!(reassembler.next_timeout().is_none_or(|after| after > next), "{next:?}");
        }
        assert_eq!((whole, reassembler.len()), (2, 0));
    }
}

#[test]
fn what_is_missing_before_a_frame_that_was_handed_on_is_not_asked_for() {
    let (mut reassembler, packet) = without_the_second();
    let mut missing = vec![];
    reassembler.nacks(at(1), &mut missing);
    assert_eq!(missing, [101]);
    reassembler.pass(0);
    assert_eq!(reassembler.len(), 2, "it comes after that one");
    reassembler.pass(2);
    reassembler.nacks(at(9), &mut missing);
    assert_eq!((missing.len(), reassembler.len(), reassembler.settled()), (0, 0, Some(3)));
    assert_eq!(reassembler.push(at(9), packet), Err(Rejected::Late));
}

#[test]
fn what_a_packet_was_is_told() {
    let ms = Time::from_millis;
    let mut chance = Chance(1);
    let mode = ScalabilityMode::L1T1;
    let mut sender = Sender::new(mode, 0);
    let mut packetizer = packetizer(100);
    let mut frames = vec![];
    for _ in 0..20 {
        let mut sent = sender.picture(false, all(mode)).remove(0);
        fill(&mut sent, 2500, &mut chance);
        frames.push(packetize(&mut packetizer, &sent));
    }
    let mut reassembler = Reassembler::new(reassembler_config());
    let mut nacks = vec![];
    let mut events = vec![];
    let mut poll = |reassembler: &mut Reassembler, now| {
        events.clear();
        events.extend(std::iter::from_fn(|| reassembler.poll(now)));
        (events.iter().filter(|event| matches!(event, ReassemblerEvent::Frame(_))).count(), events.len())
    };
    // The second packet comes first, the first at once after it.
    for at in [1, 0, 2] {
        assert_eq!(reassembler.push(ms(0), frames[0][at].clone()), Ok(Accepted::New));
    }
    assert_eq!((poll(&mut reassembler, ms(0)), reassembler.settled()), ((1, 1), None));
    assert_eq!((poll(&mut reassembler, ms(10)), reassembler.settled()), ((0, 0), Some(1)));
    assert_eq!(reassembler.push(ms(10), frames[0][1].clone()), Err(Rejected::Late));
    // Of the second frame the middle is missing; the third is whole all the same.
    for packet in [&frames[1][0], &frames[1][2], &frames[2][0], &frames[2][1], &frames[2][2]] {
        assert_eq!(reassembler.push(ms(20), packet.clone()), Ok(Accepted::New));
    }
    assert_eq!(reassembler.push(ms(20), frames[2][1].clone()), Err(Rejected::Duplicate));
    assert_eq!((poll(&mut reassembler, ms(20)), reassembler.settled()), ((1, 1), Some(1)));
    reassembler.nacks(ms(29), &mut nacks);
    assert!(nacks.is_empty());
    let mut asked = vec![];
    for now in 30..1000 {
        reassembler.nacks(ms(now), &mut nacks);
        asked.extend(nacks.iter().map(|number| (now, *number)));
    }
    assert_eq!(asked, [30, 130, 230, 330, 430, 530, 630, 730, 830, 930].map(|time| (time, 104)));
    assert_eq!(reassembler.push(ms(1000), frames[1][1].clone()), Ok(Accepted::Recovered));
    assert_eq!((poll(&mut reassembler, ms(1000)), reassembler.settled()), ((1, 1), Some(3)));
    // A frame without its end is given up, the next one is not.
    for packet in [&frames[3][0], &frames[3][1], &frames[4][0], &frames[4][1], &frames[4][2]] {
        assert_eq!(reassembler.push(ms(1100), packet.clone()), Ok(Accepted::New));
    }
    assert_eq!(poll(&mut reassembler, ms(1100)), (1, 1));
    assert_eq!(reassembler.next_timeout(), Some(ms(1110)));
    assert_eq!((poll(&mut reassembler, ms(2100)), reassembler.settled()), ((0, 1), Some(5)));
    assert_eq!(reassembler.push(ms(2100), frames[3][2].clone()), Err(Rejected::Late));
    assert!(reassembler.is_empty() && reassembler.bytes() == 0);
    // Numbers far away: the first is not believed, the second is.
    let far = |packet: &Bytes, number: u16| {
        let mut packet = packet.to_vec();
        RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(number);
        Bytes::from(packet)
    };
    assert_eq!(reassembler.push(ms(2200), far(&frames[5][0], 9000)), Err(Rejected::OutOfRange(9000)));
    assert_eq!(reassembler.push(ms(2200), far(&frames[5][0], 19_000)), Err(Rejected::OutOfRange(19_000)));
    assert_eq!(reassembler.push(ms(2200), far(&frames[5][1], 19_001)), Ok(Accepted::New));
    assert!(matches!(reassembler.poll(ms(2200)), Some(ReassemblerEvent::Restarted)));
    let ReassemblerStatistics { packets, recovered, duplicates, late, missing, lost, nacks, .. } =
        reassembler.statistics();
    assert_eq!([packets, recovered, duplicates, late, missing, lost, nacks], [16, 1, 1, 2, 2, 1, 10]);
    let ReassemblerStatistics { frames, abandoned, .. } = reassembler.statistics();
    assert_eq!([frames, abandoned], [4, 1]);
}

#[test]
fn a_structure_counts_once_it_is_adopted() {
    let ms = Time::from_millis;
    let mode = ScalabilityMode::L2T1;
    let mut sender = Sender::new(mode, 0);
    let mut packetizer = packetizer(0);
    let config = ReassemblerConfig { adopt_structures: false, ..reassembler_config() };
    let mut reassembler = Reassembler::new(config);
    let frames: Vec<Sent> = (0..3).flat_map(|_| sender.picture(false, all(mode))).collect();
    let numbers = |reassembler: &mut Reassembler, now| -> Vec<u16> {
        std::iter::from_fn(|| reassembler.poll(now))
            .filter_map(|event| match event {
                ReassemblerEvent::Frame(frame) => Some(frame.descriptor.frame_number),
                _ => None,
            })
            .collect()
    };
    for sent in &frames[..4] {
        for packet in packetize(&mut packetizer, sent) {
            reassembler.push(ms(0), packet).unwrap();
        }
    }
    assert_eq!(numbers(&mut reassembler, ms(20)), [0]);
    assert_eq!(reassembler.settled(), Some(1));
    reassembler.adopt(ms(20), frames[0].frame.structure.clone());
    assert_eq!(numbers(&mut reassembler, ms(20)), [1, 2, 3]);
    assert_eq!(reassembler.settled(), Some(4));
    assert_eq!(reassembler.bytes(), 0);

    // Without one, frames wait for it only so long.
    let mut reassembler = Reassembler::new(config);
    for sent in &frames[4..] {
        for packet in packetize(&mut packetizer, sent) {
            reassembler.push(ms(0), packet).unwrap();
        }
    }
    assert!(reassembler.poll(ms(20)).is_none() && reassembler.bytes() > 0);
    assert_eq!(reassembler.next_timeout(), Some(ms(1000)));
    let abandoned =
        |event| matches!(event, Some(ReassemblerEvent::Abandoned { reason: Abandoned::NoStructure, .. }));
    assert!(abandoned(reassembler.poll(ms(1000))) && abandoned(reassembler.poll(ms(1000))));
    assert!(reassembler.poll(ms(1000)).is_none() && reassembler.bytes() == 0);
}

#[test]
fn who_joins_in_the_middle_asks_for_a_key_frame() {
    let mode = ScalabilityMode::L2T2;
    let mut sender = Sender::new(mode, 0);
    let mut packetizer = packetizer(0);
    let mut receiver = Receiver::new(FrameBufferConfig::default(), LayerId::new(1, 1));
    let mut shown = vec![];
    for n in 0..30 {
        let now = at(n);
        let sent = sender.picture(n == 20, all(mode));
        for sent in &sent {
            receiver.payloads.insert(sent.frame.frame_number, sent.frame.payload.clone());
            for packet in packetize(&mut packetizer, sent).iter().filter(|_| n >= 5) {
                receiver.reassembler.push(now, packet.clone()).unwrap();
                receiver.run(now).unwrap();
            }
        }
        shown.extend(receiver.units.drain(..).map(|unit| (n, unit.frames.len())));
    }
    assert_eq!(shown, (20..30).map(|n| (n, 2)).collect::<Vec<_>>());
    // From soon after the first frame on, and not after the key frame.
    assert_eq!(receiver.refreshes, [Refresh::KEY; 2]);
}

#[test]
fn sent_packets_are_kept_for_a_while() {
    let packet = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Bytes::from(vec![0x80, 0, high, low])
    };
    let mut sent = SentPackets::new(3);
    (65_530..65_535).chain(0..2).for_each(|number| sent.insert(Time::ZERO, packet(number)));
    sent.insert(Time::ZERO, Bytes::from_static(&[0x80]));
    let kept: Vec<u16> = (0..=u16::MAX).filter(|n| sent.resend(Time::ZERO, *n).count() == 1).collect();
    assert_eq!(kept, [0, 1, 65_531, 65_534]);
    assert!(sent.resend(Time::from_secs(1), 1).eq([&packet(1)]));
}
