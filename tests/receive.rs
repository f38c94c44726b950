//! The receiving side, in virtual time and without a codec: frames of planned pictures that are dropped, lost,
//! late and out of order never reach a decoder that does not have what they refer to; nor do their packets.

#[path = "common/chance.rs"]
mod chance;
#[path = "common/relay.rs"]
mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use chance::Chance;
use layercast::Size;
use layercast::rtp::descriptor::{
    DecodeTargetIndication, DependencyDescriptor, Describer, FrameDependencies,
};
use layercast::rtp::frame_buffer::{DropReason, Event, Frame, FrameBuffer, FrameBufferConfig, Request, Unit};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::packetizer::{
    OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat, SentPackets,
};
use layercast::rtp::reassembler::{self, Abandoned, Accepted, Reassembler, ReassemblerConfig, Rejected};
use layercast::structure::{
    DecodeTarget, DecodeTargets, FramePlan, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode,
};
use proptest::prelude::*;
use relay::Relay;

/// From one picture to the next.
const PICTURE: Duration = Duration::from_millis(33);
/// The same in ticks of the RTP clock.
const TICKS: u32 = 3000;

/// A frame that is sent, and what an AV1 decoder needs to have to decode it.
#[derive(Debug, Clone)]
struct Sent {
    plan: FramePlan,
    descriptor: DependencyDescriptor,
    frame: Frame,
    /// The slots that it refers to, and the frames that the sender has there.
    refers_to: Vec<(u8, u64)>,
}

/// Plans pictures and describes their frames.
struct Sender {
    planner: Planner,
    describer: Describer,
    slots: [u64; 8],
    /// Added to all frame numbers.
    first_number: u16,
    timestamp: u32,
}

impl Sender {
    fn new(mode: ScalabilityMode, first_number: u16) -> Self {
        let planner = Planner::new(mode, Size::new(1280, 720));
        Self { planner, describer: Describer::new(), slots: [u64::MAX; 8], first_number, timestamp: 0 }
    }

    fn picture(&mut self, key: bool, wanted: DecodeTargets) -> Vec<Sent> {
        let plan = self
            .planner
            .next(PictureRequest { refresh: if key { Refresh::KEY } else { Refresh::NONE }, wanted });
        let descriptors = self.describer.describe(&plan).unwrap();
        let Some(structure) = self.describer.structure().cloned() else { return vec![] };
        self.timestamp = self.timestamp.wrapping_add(TICKS);
        let last = plan.frames.len().saturating_sub(1);
        let mut frames = vec![];
        for (at, (plan, mut descriptor)) in plan.frames.into_iter().zip(descriptors).enumerate() {
            descriptor.frame_number = descriptor.frame_number.wrapping_add(self.first_number);
            let slots = plan.temporal_ref.into_iter().chain(plan.inter_layer_ref);
            let refers_to = slots.map(|slot| (slot, self.slots[usize::from(slot)])).collect();
            for slot in (0..8).filter(|slot| plan.refresh_frame_flags >> slot & 1 != 0) {
                self.slots[slot] = plan.frame_number;
            }
            let frame = Frame {
                frame_number: descriptor.frame_number,
                timestamp: self.timestamp,
                end_of_picture: at == last,
                starts_sequence: descriptor.structure.is_some(),
                active_decode_targets: descriptor.active_decode_targets,
                dependencies: descriptor.dependencies(&structure).unwrap(),
                structure: structure.clone(),
                payload: Bytes::copy_from_slice(&plan.frame_number.to_be_bytes()),
            };
            frames.push(Sent { plan, descriptor, frame, refers_to });
        }
        frames
    }
}

/// What a decoder's slots hold, and what it was given.
struct Model<'a> {
    sent: &'a [Sent],
    slots: [Option<u64>; 8],
    decoded: Vec<u64>,
}

impl<'a> Model<'a> {
    fn new(sent: &'a [Sent]) -> Self {
        Self { sent, slots: [None; 8], decoded: vec![] }
    }

    fn decode(&mut self, unit: &Unit) -> Result<(), TestCaseError> {
        prop_assert!(!unit.frames.is_empty());
        let mut below = None;
        for frame in &unit.frames {
            let number = u64::from_be_bytes(frame.payload[..8].try_into().unwrap());
            let sent = &self.sent[self.sent.partition_point(|sent| sent.plan.frame_number < number)];
            prop_assert_eq!(sent.plan.frame_number, number);
            prop_assert!(self.decoded.last().is_none_or(|last| *last < number), "in order");
            prop_assert_eq!(sent.frame.timestamp, unit.timestamp);
            prop_assert!(below < Some(frame.layer.spatial_id));
            below = Some(frame.layer.spatial_id);
            if sent.refers_to.is_empty() && !sent.frame.starts_sequence {
                prop_assert!(self.slots.iter().any(Option::is_some), "intra-only before a key frame");
            }
            for (slot, holds) in &sent.refers_to {
                prop_assert_eq!(self.slots[usize::from(*slot)], Some(*holds), "{:?}", sent.plan);
            }
            for slot in (0..8).filter(|slot| sent.plan.refresh_frame_flags >> slot & 1 != 0) {
                self.slots[slot] = Some(number);
            }
            self.decoded.push(number);
        }
        Ok(())
    }
}

fn modes_and_targets() -> impl Iterator<Item = (ScalabilityMode, DecodeTarget)> {
    ScalabilityMode::all()
        .flat_map(|mode| mode.structure().decode_targets().map(move |target| (mode, target)))
}

fn all(mode: ScalabilityMode) -> DecodeTargets {
    DecodeTargets::all(mode.structure())
}

/// What a relay forwards of a picture for a decode target, its last frame marked as such.
fn forwarded(picture: &[Sent], target: DecodeTarget) -> Vec<Sent> {
    let needed = picture.iter().filter(|sent| sent.plan.needed_by.contains(target));
    let mut forwarded: Vec<Sent> = needed.cloned().collect();
    if let Some(last) = forwarded.last_mut() {
        last.frame.end_of_picture = true;
    }
    forwarded
}

fn units(buffer: &mut FrameBuffer, now: Duration) -> Vec<Unit> {
    std::iter::from_fn(|| buffer.poll(now))
        .filter_map(|event| match event {
            Event::Unit(unit) => Some(unit),
            Event::Dropped { reason: DropReason::NotNeeded, .. } => None,
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_unit_goes_out_with_its_last_frame() {
    for (mode, target) in modes_and_targets() {
        for (relayed, first_number) in [(true, 0), (false, 65_500)] {
            let mut sender = Sender::new(mode, first_number);
            let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), target);
            for n in 0..40 {
                let now = PICTURE * n;
                let sent = sender.picture(n % 17 == 0, all(mode));
                let needed = forwarded(&sent, target);
                let arriving = if relayed { &needed } else { &sent };
                let mut shown = vec![];
                for frame in arriving {
                    let number = frame.frame.frame_number;
                    // Nothing is on its way that is lower, as sequence numbers without a gap tell.
                    buffer.insert(frame.frame.clone(), now).unwrap();
                    buffer.settle(number.wrapping_add(1));
                    let units = units(&mut buffer, now);
                    if !units.is_empty() {
                        let top = needed.last().map(|needed| needed.frame.frame_number);
                        assert_eq!(top, Some(number), "{mode} {target}: at once, and no earlier");
                    }
                    shown.extend(units);
                }
                let frames: Vec<_> =
                    shown.iter().flat_map(|unit| &unit.frames).map(|f| f.payload.clone()).collect();
                let expected: Vec<_> = needed.iter().map(|sent| sent.frame.payload.clone()).collect();
                assert_eq!(frames, expected, "{mode} {target} picture {n}");
                assert!(shown.len() <= 1 && shown.iter().all(|unit| unit.target == target));
            }
            assert!(buffer.is_empty() && buffer.bytes() == 0);
        }
    }
}

#[test]
fn a_gap_is_waited_for_as_long_as_it_matters() {
    let mode = ScalabilityMode::L1T3;
    let config = FrameBufferConfig::default();
    // Picture 1 is T2, picture 2 is T1, picture 4 is T0.
    for (lost, waits) in [(1, config.skip_after), (2, config.skip_after), (4, config.give_up)] {
        let mut sender = Sender::new(mode, 0);
        let mut buffer = FrameBuffer::new(config, LayerId::new(0, 2));
        for n in 0..lost {
            buffer.insert(sender.picture(false, all(mode)).remove(0).frame, Duration::ZERO).unwrap();
            assert_eq!(units(&mut buffer, Duration::ZERO).len(), 1);
            assert!(n < lost);
        }
        sender.picture(false, all(mode));
        buffer.insert(sender.picture(false, all(mode)).remove(0).frame, Duration::ZERO).unwrap();
        assert_eq!(buffer.poll(Duration::ZERO), None);
        assert_eq!(buffer.next_timeout(), Some(waits));
        assert_eq!(buffer.poll(waits - Duration::from_millis(1)), None);
        let reason = match (buffer.poll(waits), lost) {
            (Some(Event::Unit(_)), 1) => continue,
            (Some(Event::Dropped { reason, .. }), _) => reason,
            (Some(Event::Request(Request::KeyFrame)), 4) => {
                assert!(matches!(
                    buffer.poll(waits),
                    Some(Event::Dropped { reason: DropReason::ChainBroken, .. })
                ));
                continue;
            }
            (other, _) => panic!("{other:?}"),
        };
        // T2 after the lost T1 refers to it.
        assert_eq!((reason, lost), (DropReason::MissingReference, 2));
    }
}

#[test]
fn a_broken_upper_layer_leaves_the_lower_ones_and_a_refresh_brings_it_back() {
    let mode = ScalabilityMode::L3T1;
    let top = LayerId::new(2, 0);
    let mut sender = Sender::new(mode, 0);
    let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), top);
    let mut shown = vec![];
    let mut requests = vec![];
    for n in 0..8 {
        let now = PICTURE * n;
        let below = DecodeTargets::only(&[LayerId::new(1, 0)]);
        // Picture 2 loses its upper layer; picture 5 is coded without it, and picture 6 brings it back.
        let wanted = if n == 5 { below } else { all(mode) };
        let sent = sender.picture(false, wanted);
        for (at, sent) in sent.iter().enumerate() {
            if (n, at) != (2, 2) {
                buffer.insert(sent.frame.clone(), now).unwrap();
            }
            buffer.settle(sent.frame.frame_number.wrapping_add(1));
        }
        while let Some(event) = buffer.poll(now) {
            match event {
                Event::Unit(unit) => shown.push((unit.target.spatial_id, unit.frames.len())),
                Event::Request(request) => requests.push((n, request)),
                Event::Dropped { .. } => {}
            }
        }
    }
    // Whether picture 2 lacks a frame shows with picture 3 only.
    assert_eq!(shown, [(2, 3), (2, 3), (2, 2), (1, 2), (1, 2), (1, 2), (2, 3), (2, 3)]);
    assert_eq!(requests, [(3, Request::LayerRefresh { have: LayerId::new(1, 0), want: top })]);
}

#[test]
fn requests_are_repeated_but_not_too_often() {
    let config = FrameBufferConfig::default();
    let mut sender = Sender::new(ScalabilityMode::L1T1, 0);
    let mut buffer = FrameBuffer::new(config, LayerId::default());
    sender.picture(true, all(ScalabilityMode::L1T1));
    let mut asked = vec![];
    for n in 0..60 {
        let now = PICTURE * n;
        let sent = sender.picture(false, all(ScalabilityMode::L1T1)).remove(0);
        buffer.insert(sent.frame.clone(), now).unwrap();
        buffer.settle(sent.frame.frame_number);
        while let Some(event) = buffer.poll(now) {
            match event {
                Event::Request(request) => asked.push((now, request)),
                Event::Dropped { reason, .. } => assert_eq!(reason, DropReason::ChainBroken),
                Event::Unit(unit) => panic!("{unit:?}"),
            }
        }
    }
    assert!(asked.len() > 4 && asked.iter().all(|(_, request)| *request == Request::KeyFrame), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= config.request_interval));
}

/// A frame at the time when it comes.
type Arrival = (Duration, Frame);

fn any_case() -> impl Strategy<Value = (ScalabilityMode, DecodeTarget, u64)> {
    let cases: Vec<_> = modes_and_targets().collect();
    (0..cases.len(), any::<u64>()).prop_map(move |(at, seed)| (cases[at].0, cases[at].1, seed))
}

fn random_requests(mode: ScalabilityMode, chance: &mut Chance, wanted: &mut DecodeTargets) -> bool {
    if chance.once_in(10) {
        let targets = mode.structure().decode_targets();
        *wanted = targets.filter(|_| chance.once_in(2)).collect();
    }
    chance.once_in(40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn all_that_is_needed_goes_out_whatever_the_order((mode, target, seed) in any_case()) {
        let mut chance = Chance(seed);
        let mut sender = Sender::new(mode, seed as u16);
        let (mut all_sent, mut needed, mut arrivals) = (vec![], vec![], Vec::<Arrival>::new());
        for n in 0..60 {
            let sent = sender.picture(chance.once_in(20), all(mode));
            for sent in forwarded(&sent, target) {
                needed.push(sent.plan.frame_number);
                // Overtaken by up to two pictures, and some twice.
                for _ in 0..1 + chance.below(2) {
                    let late = Duration::from_millis(chance.below(90));
                    arrivals.push((PICTURE * n + late, sent.frame.clone()));
                }
            }
            all_sent.extend(sent);
        }
        // The first of all comes first: before it nobody knows where the stream begins.
        arrivals.sort_by_key(|(time, frame)| (frame.payload[..8] != [0; 8], *time));
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), target);
        let mut model = Model::new(&all_sent);
        let end = PICTURE * 100;
        for (now, frame) in arrivals.into_iter().map(|(now, frame)| (now, Some(frame))).chain([(end, None)]) {
            if let Some(frame) = frame {
                match buffer.insert(frame, now) {
                    Ok(()) | Err(DropReason::Duplicate | DropReason::Late) => {}
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            while let Some(event) = buffer.poll(now) {
                match event {
                    Event::Unit(unit) => model.decode(&unit)?,
                    other => prop_assert!(false, "{:?}", other),
                }
            }
        }
        prop_assert_eq!(model.decoded, needed);
    }

    #[test]
    fn nothing_undecodable_goes_out_whatever_is_lost((mode, target, seed) in any_case()) {
        let mut chance = Chance(seed);
        let mut sender = Sender::new(mode, seed as u16);
        let loss = 2 + chance.below(20);
        let (mut all_sent, mut arrivals) = (vec![], Vec::<Arrival>::new());
        let mut wanted = all(mode);
        let mut relayed = target;
        for n in 0..150 {
            let key = if n < 130 { random_requests(mode, &mut chance, &mut wanted) } else { n == 130 };
            if n == 130 {
                (wanted, relayed) = (all(mode), target);
            }
            let sent = sender.picture(key, wanted);
            // A relay that switches when it likes, which it may not.
            if chance.once_in(30) && n < 130 {
                relayed = LayerId::new(chance.below(3) as u8, chance.below(3) as u8);
            }
            for sent in forwarded(&sent, relayed) {
                let lost = n < 130 && chance.once_in(loss);
                // Half of the lost ones are had again.
                let late = if lost { 100 + chance.below(200) } else { chance.below(40) };
                if !lost || chance.once_in(2) {
                    arrivals.push((PICTURE * n + Duration::from_millis(late), sent.frame));
                }
            }
            all_sent.extend(sent);
        }
        arrivals.sort_by_key(|(time, _)| *time);
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), target);
        let mut model = Model::new(&all_sent);
        let last_key = all_sent.iter().rev().find(|sent| sent.frame.starts_sequence).unwrap().plan.frame_number;
        let end = PICTURE * 250;
        for (now, frame) in arrivals.into_iter().map(|(now, frame)| (now, Some(frame))).chain([(end, None)]) {
            if now < PICTURE * 130 && chance.once_in(40) {
                buffer.set_target(LayerId::new(chance.below(3) as u8, chance.below(3) as u8));
            } else if now >= PICTURE * 130 {
                buffer.set_target(target);
            }
            if let Some(frame) = frame {
                let settled = frame.frame_number;
                // Late, where it was not waited for.
                let inserted = buffer.insert(frame, now);
                prop_assert!(matches!(inserted, Ok(()) | Err(DropReason::Late)), "{:?}", inserted);
                // What is said to be settled need not be so.
                if now < PICTURE * 130 && chance.once_in(50) {
                    buffer.settle(settled);
                }
            }
            while let Some(event) = buffer.poll(now) {
                if let Event::Unit(unit) = event {
                    model.decode(&unit)?;
                }
            }
            prop_assert!(buffer.len() <= 256);
        }
        prop_assert!(buffer.is_empty() && buffer.bytes() == 0, "{} {:?}", buffer.len(), buffer.next_timeout());
        // From a key frame on without a loss all goes out again.
        let needed: Vec<_> = all_sent.iter().filter(|sent| sent.plan.needed_by.contains(target))
            .map(|sent| sent.plan.frame_number).filter(|number| *number >= last_key).collect();
        let decoded: BTreeSet<_> = model.decoded.iter().copied().collect();
        let missing: Vec<_> = needed.iter().filter(|number| !decoded.contains(number)).collect();
        prop_assert!(missing.is_empty(), "{} {} {:?} of {:?}", mode, target, missing, needed);
    }

    #[test]
    fn garbage_does_no_harm(frames in proptest::collection::vec(any_frame(), 1..200), target in any_layer()) {
        let config = FrameBufferConfig { max_frames: 16, max_bytes: 2000, ..FrameBufferConfig::default() };
        let mut buffer = FrameBuffer::new(config, target);
        for (n, (frame, settle, polled)) in frames.into_iter().enumerate() {
            let now = PICTURE * n as u32 / 4;
            // Whatever the outcome, the limits hold.
            let _ = buffer.insert(frame, now);
            buffer.settle(settle);
            prop_assert!(buffer.len() <= 16 && buffer.bytes() <= 2000);
            for _ in 0..if polled { 1000 } else { 0 } {
                if buffer.poll(now).is_none() {
                    break;
                }
            }
            prop_assert!(!polled || buffer.poll(now).is_none(), "it comes to an end");
        }
    }
}

/// Dependency Descriptor's id.
const DESCRIPTOR_ID: u8 = 4;

fn packetizer(sequence_number: u16) -> Packetizer {
    let config = PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID, 45, 0x1234_5678);
    Packetizer::new(PacketizerConfig { sequence_number, ..config })
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
    units: Vec<Unit>,
    requests: Vec<Request>,
}

impl Receiver {
    fn new(config: FrameBufferConfig, target: DecodeTarget) -> Self {
        Self {
            reassembler: Reassembler::new(reassembler_config()),
            buffer: FrameBuffer::new(config, target),
            payloads: BTreeMap::new(),
            units: vec![],
            requests: vec![],
        }
    }

    fn run(&mut self, now: Duration) -> Result<(), TestCaseError> {
        while let Some(event) = self.reassembler.poll(now) {
            let reassembler::Event::Frame(frame) = event else { continue };
            let sent = self.payloads.get(&frame.descriptor.frame_number);
            prop_assert_eq!(sent, Some(&frame.payload));
            let inserted = self.buffer.insert(frame.into(), now);
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
                Event::Unit(unit) => self.units.push(unit),
                Event::Request(request) => self.requests.push(request),
                Event::Dropped { .. } => {}
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
    queue: BTreeMap<(Duration, u64), Happening>,
    count: u64,
    /// One packet in so many is lost; none, if 0.
    loss: u64,
    duplicates: bool,
    jitter: u64,
}

impl Network {
    fn at(&mut self, time: Duration, happening: Happening) {
        self.count += 1;
        self.queue.insert((time, self.count), happening);
    }

    fn send(&mut self, now: Duration, packet: &Bytes) {
        for _ in 0..1 + if self.duplicates { self.chance.below(2) } else { 0 } {
            if self.loss == 0 || !self.chance.once_in(self.loss) {
                let delay = Duration::from_micros(15_000 + self.chance.below(self.jitter + 1));
                self.at(now + delay, Happening::Arrives(packet.clone()));
            }
        }
    }

    fn next(&mut self) -> Option<(Duration, Happening)> {
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
    let mut relay = Relay::new(DESCRIPTOR_ID, 0xfff0 | seed as u16, seed as u32);
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
        if let Some(first) = sent.first() {
            for packet in relay.forward(&packets, &first.frame.structure, target) {
                network.send(PICTURE * n, &packet);
                sent_packets.insert(packet);
            }
        }
        all_sent.extend(sent);
    }
    for n in 0..u64::from(pictures) * 8 + 500 {
        network.at(Duration::from_millis(5 * n), Happening::Tick);
    }
    network.loss = loss;
    let mut missing = vec![];
    while let Some((now, happening)) = network.next() {
        match happening {
            Happening::Arrives(packet) => {
                let taken = receiver.reassembler.push(packet, now);
                prop_assert!(
                    matches!(taken, Ok(_) | Err(Rejected::Duplicate | Rejected::Late)),
                    "{:?}",
                    taken
                );
            }
            Happening::Nacked(missing) => {
                for packet in missing.iter().filter_map(|number| sent_packets.get(*number)) {
                    network.send(now, packet);
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
        model.decode(&Unit { timestamp, ..unit.clone() })?;
    }
    let statistics = receiver.reassembler.statistics();
    prop_assert_eq!(receiver.reassembler.bytes() + receiver.buffer.bytes(), 0, "{:?}", statistics);
    prop_assert_eq!(model.decoded, needed, "{} {}: {:?}", mode, target, statistics);
    prop_assert_eq!(receiver.requests, []);
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
                let _ = reassembler.push(packet.into(), PICTURE * n);
                prop_assert!(reassembler.bytes() <= 20_000 && reassembler.len() <= 64);
                let mut missing = vec![];
                reassembler.nacks(PICTURE * n, &mut missing);
                prop_assert!(missing.len() <= 64);
                while let Some(event) = reassembler.poll(PICTURE * n) {
                    frames += usize::from(matches!(event, reassembler::Event::Frame(_)));
                }
            }
        }
        let _ = frames;
        while reassembler.poll(PICTURE * 200).is_some() {}
        prop_assert!(reassembler.next_timeout().is_none(), "{:?}", reassembler);
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

#[test]
fn what_a_packet_was_is_told() {
    let ms = Duration::from_millis;
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
        (events.iter().filter(|event| matches!(event, reassembler::Event::Frame(_))).count(), events.len())
    };
    // The second packet comes first, the first at once after it.
    for at in [1, 0, 2] {
        assert_eq!(reassembler.push(frames[0][at].clone(), ms(0)), Ok(Accepted::New));
    }
    assert_eq!((poll(&mut reassembler, ms(0)), reassembler.settled()), ((1, 1), None));
    assert_eq!((poll(&mut reassembler, ms(10)), reassembler.settled()), ((0, 0), Some(1)));
    assert_eq!(reassembler.push(frames[0][1].clone(), ms(10)), Err(Rejected::Late));
    // Of the second frame the middle is missing; the third is whole all the same.
    for packet in [&frames[1][0], &frames[1][2], &frames[2][0], &frames[2][1], &frames[2][2]] {
        assert_eq!(reassembler.push(packet.clone(), ms(20)), Ok(Accepted::New));
    }
    assert_eq!(reassembler.push(frames[2][1].clone(), ms(20)), Err(Rejected::Duplicate));
    assert_eq!((poll(&mut reassembler, ms(20)), reassembler.settled()), ((1, 1), Some(1)));
    reassembler.nacks(ms(29), &mut nacks);
    assert!(nacks.is_empty());
    let mut asked = vec![];
    for now in 30..1000 {
        reassembler.nacks(ms(now), &mut nacks);
        asked.extend(nacks.iter().map(|number| (now, *number)));
    }
    assert_eq!(asked, [30, 130, 280, 505, 843].map(|time| (time, 104)));
    assert_eq!(reassembler.push(frames[1][1].clone(), ms(1000)), Ok(Accepted::Recovered));
    assert_eq!((poll(&mut reassembler, ms(1000)), reassembler.settled()), ((1, 1), Some(3)));
    // A frame without its end is given up, the next one is not.
    for packet in [&frames[3][0], &frames[3][1], &frames[4][0], &frames[4][1], &frames[4][2]] {
        assert_eq!(reassembler.push(packet.clone(), ms(1100)), Ok(Accepted::New));
    }
    assert_eq!(poll(&mut reassembler, ms(1100)), (1, 1));
    assert_eq!(reassembler.next_timeout(), Some(ms(1110)));
    assert_eq!((poll(&mut reassembler, ms(2100)), reassembler.settled()), ((0, 1), Some(5)));
    assert_eq!(reassembler.push(frames[3][2].clone(), ms(2100)), Err(Rejected::Late));
    assert!(reassembler.is_empty() && reassembler.bytes() == 0);
    // Numbers far away: the first is not believed, the second is.
    let far = |packet: &Bytes, number: u16| {
        let mut packet = packet.to_vec();
        RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(number);
        Bytes::from(packet)
    };
    assert_eq!(reassembler.push(far(&frames[5][0], 9000), ms(2200)), Err(Rejected::OutOfRange(9000)));
    assert_eq!(reassembler.push(far(&frames[5][0], 19_000), ms(2200)), Err(Rejected::OutOfRange(19_000)));
    assert_eq!(reassembler.push(far(&frames[5][1], 19_001), ms(2200)), Ok(Accepted::New));
    assert!(matches!(reassembler.poll(ms(2200)), Some(reassembler::Event::Restarted)));
    let expected = reassembler::Statistics {
        packets: 15,
        recovered: 1,
        duplicates: 1,
        late: 2,
        missing: 2,
        lost: 1,
        nacks: 5,
        frames: 4,
        abandoned: 1,
    };
    assert_eq!(reassembler.statistics(), expected);
}

#[test]
fn a_structure_counts_once_it_is_adopted() {
    let ms = Duration::from_millis;
    let mode = ScalabilityMode::L2T1;
    let mut sender = Sender::new(mode, 0);
    let mut packetizer = packetizer(0);
    let config = ReassemblerConfig { adopt_structures: false, ..reassembler_config() };
    let mut reassembler = Reassembler::new(config);
    let frames: Vec<Sent> = (0..3).flat_map(|_| sender.picture(false, all(mode))).collect();
    let numbers = |reassembler: &mut Reassembler, now| -> Vec<u16> {
        std::iter::from_fn(|| reassembler.poll(now))
            .filter_map(|event| match event {
                reassembler::Event::Frame(frame) => Some(frame.descriptor.frame_number),
                _ => None,
            })
            .collect()
    };
    for sent in &frames[..4] {
        for packet in packetize(&mut packetizer, sent) {
            reassembler.push(packet, ms(0)).unwrap();
        }
    }
    assert_eq!(numbers(&mut reassembler, ms(20)), [0]);
    assert_eq!(reassembler.settled(), Some(1));
    reassembler.adopt(frames[0].frame.structure.clone(), ms(20));
    assert_eq!(numbers(&mut reassembler, ms(20)), [1, 2, 3]);
    assert_eq!(reassembler.settled(), Some(4));
    assert_eq!(reassembler.bytes(), 0);

    // Without one, frames wait for it only so long.
    let mut reassembler = Reassembler::new(config);
    for sent in &frames[4..] {
        for packet in packetize(&mut packetizer, sent) {
            reassembler.push(packet, ms(0)).unwrap();
        }
    }
    assert!(reassembler.poll(ms(20)).is_none() && reassembler.bytes() > 0);
    assert_eq!(reassembler.next_timeout(), Some(ms(1000)));
    let abandoned =
        |event| matches!(event, Some(reassembler::Event::Abandoned { reason: Abandoned::NoStructure, .. }));
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
        let now = PICTURE * n;
        let sent = sender.picture(n == 20, all(mode));
        for sent in &sent {
            receiver.payloads.insert(sent.frame.frame_number, sent.frame.payload.clone());
            for packet in packetize(&mut packetizer, sent).iter().filter(|_| n >= 5) {
                receiver.reassembler.push(packet.clone(), now).unwrap();
                receiver.run(now).unwrap();
            }
        }
        shown.extend(receiver.units.drain(..).map(|unit| (n, unit.frames.len())));
    }
    assert_eq!(shown, (20..30).map(|n| (n, 2)).collect::<Vec<_>>());
    // From soon after the first frame on, and not after the key frame.
    assert_eq!(receiver.requests, [Request::KeyFrame; 2]);
}

#[test]
fn sent_packets_are_kept_for_a_while() {
    let packet = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Bytes::from(vec![0x80, 0, high, low])
    };
    let mut sent = SentPackets::new(3);
    (65_530..65_535).chain(0..2).for_each(|number| sent.insert(packet(number)));
    sent.insert(Bytes::from_static(&[0x80]));
    let kept: Vec<u16> = (0..=u16::MAX).filter(|number| sent.get(*number).is_some()).collect();
    assert_eq!(kept, [0, 1, 65_531, 65_534]);
    assert_eq!(sent.get(1), Some(&packet(1)));
}

fn any_layer() -> impl Strategy<Value = LayerId> {
    (0..4u8, 0..4u8).prop_map(|(s, t)| LayerId::new(s, t))
}

/// Any frame at all, of a structure that is ours or has nothing in it.
fn any_frame() -> impl Strategy<Value = (Frame, u16, bool)> {
    let indication = (0..4u8).prop_map(|indication| match indication {
        0 => DecodeTargetIndication::NotPresent,
        1 => DecodeTargetIndication::Discardable,
        2 => DecodeTargetIndication::Switch,
        _ => DecodeTargetIndication::Required,
    });
    let dependencies = (
        any_layer(),
        proptest::collection::vec(indication, 0..12),
        proptest::collection::vec(prop_oneof![1..8u16, any::<u16>()], 0..4),
        proptest::collection::vec(any::<u8>(), 0..4),
    );
    let numbers = (prop_oneof![0..40u16, any::<u16>()], 0..6u32, prop_oneof![0..40u16, any::<u16>()]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), proptest::option::of(any::<u32>()));
    (numbers, flags, dependencies, 0..3usize, 0..600usize).prop_map(
        |((frame_number, timestamp, settle), (end, key, polled, active), dependencies, mode, size)| {
            let mode = [ScalabilityMode::L3T3, ScalabilityMode::L1T1, ScalabilityMode::S2T3][mode];
            let (layer, indications, frame_diffs, chain_diffs) = dependencies;
            let dependencies = FrameDependencies {
                layer,
                decode_target_indications: indications.into_iter().collect(),
                frame_diffs: frame_diffs.into_iter().collect(),
                chain_diffs: chain_diffs.into_iter().collect(),
                resolution: None,
            };
            let frame = Frame {
                frame_number,
                timestamp,
                end_of_picture: end,
                starts_sequence: key,
                active_decode_targets: active,
                structure: std::sync::Arc::new(layercast::rtp::descriptor::DependencyStructure::of_mode(
                    mode,
                    Size::new(64, 64),
                )),
                dependencies,
                payload: vec![0; size].into(),
            };
            (frame, settle, polled)
        },
    )
}
