//! The receiving side, in virtual time and without a codec: frames of planned pictures that are dropped, lost,
//! late and out of order never reach a decoder that does not have what they refer to.

#[path = "common/chance.rs"]
mod chance;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use chance::Chance;
use layercast::rtp::descriptor::{DecodeTargetIndication, Describer, FrameDependencies};
use layercast::rtp::frame_buffer::{
    DropReason, Event, Frame, FrameBuffer, FrameBufferConfig, Request, Unit,
};
use layercast::structure::{
    DecodeTarget, DecodeTargets, FramePlan, LayerId, PictureRequest, Planner, ScalabilityMode,
};
use proptest::prelude::*;

/// From one picture to the next.
const PICTURE: Duration = Duration::from_millis(33);
/// The same in ticks of the RTP clock.
const TICKS: u32 = 3000;

/// A frame that is sent, and what an AV1 decoder needs to have to decode it.
#[derive(Debug, Clone)]
struct Sent {
    plan: FramePlan,
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
        let describer = Describer::new(mode, 1280, 720);
        Self { planner: Planner::new(mode), describer, slots: [u64::MAX; 8], first_number, timestamp: 0 }
    }

    fn picture(&mut self, key: bool, wanted: DecodeTargets) -> Vec<Sent> {
        let plan = self.planner.next(PictureRequest { key, wanted });
        let descriptors = self.describer.describe(&plan, wanted);
        let structure = self.describer.structure().clone();
        self.timestamp = self.timestamp.wrapping_add(TICKS);
        let last = plan.frames.len().saturating_sub(1);
        let mut frames = vec![];
        for (at, (plan, descriptor)) in plan.frames.into_iter().zip(descriptors).enumerate() {
            let slots = plan.temporal_ref.into_iter().chain(plan.inter_layer_ref);
            let refers_to = slots.map(|slot| (slot, self.slots[usize::from(slot)])).collect();
            for slot in (0..8).filter(|slot| plan.refresh_frame_flags >> slot & 1 != 0) {
                self.slots[slot] = plan.frame_number;
            }
            let frame = Frame {
                frame_number: descriptor.frame_number.wrapping_add(self.first_number),
                timestamp: self.timestamp,
                end_of_picture: at == last,
                starts_sequence: descriptor.structure.is_some(),
                active_decode_targets: descriptor.active_decode_targets,
                dependencies: descriptor.dependencies(&structure).unwrap(),
                structure: structure.clone(),
                payload: Bytes::copy_from_slice(&plan.frame_number.to_be_bytes()),
            };
            frames.push(Sent { plan, frame, refers_to });
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
            let number = u64::from_be_bytes(frame.payload[..].try_into().unwrap());
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
    ScalabilityMode::all().flat_map(|mode| mode.structure().decode_targets().map(move |target| (mode, target)))
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
        arrivals.sort_by_key(|(time, frame)| (frame.payload[..] != [0; 8], *time));
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
                structure: Describer::new(mode, 64, 64).structure().clone(),
                dependencies,
                payload: vec![0; size].into(),
            };
            (frame, settle, polled)
        },
    )
}
