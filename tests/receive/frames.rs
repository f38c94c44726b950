//! Frames that go straight into the frame buffer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use layercast::rtp::descriptor::{DecodeTargetIndication, DependencyStructure, FrameDependencies};
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::{
    DecodableUnit, FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame, SealedOrder,
};
use layercast::structure::{DecodeTargets, LayerId, Refresh, ScalabilityMode};
use layercast::{Size, Time};
use proptest::prelude::*;

use crate::chance::Chance;
use crate::{Model, PICTURE, Sender, all, any_case, at, forwarded, modes_and_targets};

fn units(now: Time, buffer: &mut FrameBuffer) -> Vec<DecodableUnit> {
    std::iter::from_fn(|| buffer.poll(now))
        .filter_map(|event| match event {
            FrameBufferEvent::Unit(unit) => Some(unit),
            FrameBufferEvent::Dropped { reason: DropReason::NotNeeded, .. } => None,
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
                let now = at(n);
                let sent = sender.picture(n % 17 == 0, all(mode));
                let needed = forwarded(&sent, target);
                let arriving = if relayed { &needed } else { &sent };
                let mut shown = vec![];
                for frame in arriving {
                    let number = frame.frame.frame_number;
                    // Nothing is on its way that is lower, as sequence numbers without a gap tell.
                    buffer.insert(now, frame.frame.clone()).unwrap();
                    buffer.settle(number.wrapping_add(1));
                    let units = units(now, &mut buffer);
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
            buffer.insert(Time::ZERO, sender.picture(false, all(mode)).remove(0).frame).unwrap();
            assert_eq!(units(Time::ZERO, &mut buffer).len(), 1);
            assert!(n < lost);
        }
        sender.picture(false, all(mode));
        buffer.insert(Time::ZERO, sender.picture(false, all(mode)).remove(0).frame).unwrap();
        assert_eq!(buffer.poll(Time::ZERO), None);
        assert_eq!(buffer.next_timeout(), Some(Time::ZERO + waits));
        assert_eq!(buffer.poll(Time::ZERO + waits - Duration::from_millis(1)), None);
        let reason = match (buffer.poll(Time::ZERO + waits), lost) {
            (Some(FrameBufferEvent::Unit(_)), 1) => continue,
            (Some(FrameBufferEvent::Dropped { reason, .. }), _) => reason,
            (Some(FrameBufferEvent::Refresh(Refresh::KEY)), 4) => {
                assert!(matches!(
                    buffer.poll(Time::ZERO + waits),
                    Some(FrameBufferEvent::Dropped { reason: DropReason::ChainBroken, .. })
                ));
                continue;
            }
            (other, _) => panic!("{other:?}"),
        };
        // T2 after the lost T1 refers to it.
        assert_eq!((reason, lost), (DropReason::MissingReference, 2));
    }
}

/// Picture 4 has the first lost frame: of S0, or of S1.
#[test]
fn a_broken_chain_is_asked_for_anew_and_still_waited_for() {
    let mode = ScalabilityMode::L2T1;
    let ms = Duration::from_millis;
    let config = FrameBufferConfig { refresh_after: ms(300), ..FrameBufferConfig::default() };
    let now = |after: u64| at(4) + ms(after);
    for lost in [0, 1] {
        let mut sender = Sender::new(mode, 0);
        let mut buffer = FrameBuffer::new(config, LayerId::new(1, 0));
        let mut pictures = (0..6).map(|_| sender.picture(false, all(mode)));
        for n in 0..4 {
            for sent in pictures.next().unwrap() {
                buffer.insert(at(n), sent.frame).unwrap();
            }
            assert_eq!(units(at(n), &mut buffer).len(), 1);
        }
        let mut broken = pictures.next().unwrap();
        let missing = broken.remove(lost).frame;
        for sent in broken.into_iter().chain(pictures.next().unwrap()) {
            buffer.insert(now(0), sent.frame).unwrap();
        }
        assert_eq!((buffer.poll(now(0)), buffer.next_timeout()), (None, Some(now(300))));
        let events: Vec<_> = std::iter::from_fn(|| buffer.poll(now(300))).collect();
        if lost == 1 {
            // The lower layer goes on: the picture itself, as far as it has come, and the one that refers to it.
            let shown = |event: &FrameBufferEvent| match event {
                FrameBufferEvent::Unit(unit) => Some(unit.target.spatial_id),
                _ => None,
            };
            assert_eq!(events.iter().filter_map(shown).collect::<Vec<_>>(), [1, 0]);
            assert!(events.contains(&FrameBufferEvent::Refresh(Refresh::layer(1))), "{events:?}");
            continue;
        }
        assert_eq!(events, [FrameBufferEvent::Refresh(Refresh::KEY)]);
        assert_eq!(buffer.next_timeout(), Some(now(300) + config.request_interval));
        buffer.insert(now(350), missing).unwrap();
        assert_eq!(units(now(350), &mut buffer).len(), 2);
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
        let now = at(n);
        let below = DecodeTargets::only(&[LayerId::new(0, 0), LayerId::new(1, 0)]);
        // Picture 2 loses its upper layer; picture 5 is coded without it, and picture 6 brings it back.
        let wanted = if n == 5 { below } else { all(mode) };
        let sent = sender.picture(false, wanted);
        for (at, sent) in sent.iter().enumerate() {
            if (n, at) != (2, 2) {
                buffer.insert(now, sent.frame.clone()).unwrap();
            }
            buffer.settle(sent.frame.frame_number.wrapping_add(1));
        }
        while let Some(event) = buffer.poll(now) {
            match event {
                FrameBufferEvent::Unit(unit) => shown.push((unit.target.spatial_id, unit.frames.len())),
                FrameBufferEvent::Refresh(refresh) => requests.push((n, refresh)),
                _ => {}
            }
        }
    }
    // Whether picture 2 lacks a frame shows with picture 3 only.
    assert_eq!(shown, [(2, 3), (2, 3), (2, 2), (1, 2), (1, 2), (1, 2), (2, 3), (2, 3)]);
    assert_eq!(requests, [(3, Refresh::layer(2))]);
}

#[test]
fn requests_are_repeated_but_not_too_often() {
    let config = FrameBufferConfig::default();
    let mut sender = Sender::new(ScalabilityMode::L1T1, 0);
    let mut buffer = FrameBuffer::new(config, LayerId::default());
    sender.picture(true, all(ScalabilityMode::L1T1));
    let mut asked = vec![];
    for n in 0..60 {
        let now = at(n);
        let sent = sender.picture(false, all(ScalabilityMode::L1T1)).remove(0);
        buffer.insert(now, sent.frame.clone()).unwrap();
        buffer.settle(sent.frame.frame_number);
        while let Some(event) = buffer.poll(now) {
            match event {
                FrameBufferEvent::Refresh(refresh) => asked.push((now, refresh)),
                FrameBufferEvent::Dropped { reason, .. } => assert_eq!(reason, DropReason::ChainBroken),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(asked.len() > 4 && asked.iter().all(|(_, refresh)| refresh.is_key()), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= config.request_interval));
}

/// A frame at the time when it comes.
type Arrival = (Time, OpenedFrame);

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
                    arrivals.push((at(n) + late, sent.frame.clone()));
                }
            }
            all_sent.extend(sent);
        }
        // The first of all comes first: before it nobody knows where the stream begins.
        arrivals.sort_by_key(|(time, frame)| (frame.payload[..8] != [0; 8], *time));
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), target);
        let mut model = Model::new(&all_sent);
        let end = at(100);
        for (now, frame) in arrivals.into_iter().map(|(now, frame)| (now, Some(frame))).chain([(end, None)]) {
            if let Some(frame) = frame {
                match buffer.insert(now, frame) {
                    Ok(()) | Err(DropReason::Duplicate | DropReason::Late) => {}
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            while let Some(event) = buffer.poll(now) {
                match event {
                    FrameBufferEvent::Unit(unit) => model.decode(&unit)?,
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
                    arrivals.push((at(n) + Duration::from_millis(late), sent.frame));
                }
            }
            all_sent.extend(sent);
        }
        arrivals.sort_by_key(|(time, _)| *time);
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), target);
        let mut model = Model::new(&all_sent);
        let last_key = all_sent.iter().rev().find(|sent| sent.frame.starts_sequence).unwrap().plan.frame_number;
        let end = at(250);
        for (now, frame) in arrivals.into_iter().map(|(now, frame)| (now, Some(frame))).chain([(end, None)]) {
            if now < at(130) && chance.once_in(40) {
                buffer.set_target(LayerId::new(chance.below(3) as u8, chance.below(3) as u8));
            } else if now >= at(130) {
                buffer.set_target(target);
            }
            if let Some(frame) = frame {
                let settled = frame.frame_number;
                // Late, where it was not waited for.
                let inserted = buffer.insert(now, frame);
                prop_assert!(matches!(inserted, Ok(()) | Err(DropReason::Late)), "{:?}", inserted);
                // What is said to be settled need not be so.
                if now < at(130) && chance.once_in(50) {
                    buffer.settle(settled);
                }
            }
            while let Some(event) = buffer.poll(now) {
                if let FrameBufferEvent::Unit(unit) = event {
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
            let now = Time::ZERO + PICTURE * n as u32 / 4;
            // Whatever the outcome, the limits hold.
            let _ = buffer.insert(now, frame);
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
fn any_frame() -> impl Strategy<Value = (OpenedFrame, u16, bool)> {
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
    let order = proptest::option::of((0..3u64, 0..3u32));
    let numbers = (prop_oneof![0..40u16, any::<u16>()], order, 0..6u32, prop_oneof![0..40u16, any::<u16>()]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), proptest::option::of(any::<u32>()));
    (numbers, flags, dependencies, 0..3usize, 0..600usize).prop_map(
        |((frame_number, order, timestamp, settle), (end, key, polled, active), dependencies, mode, size)| {
            let mode = [ScalabilityMode::L3T3, ScalabilityMode::L1T1, ScalabilityMode::S2T3][mode];
            let (layer, indications, frame_diffs, chain_diffs) = dependencies;
            let dependencies = FrameDependencies {
                layer,
                decode_target_indications: indications.into_iter().collect(),
                frame_diffs: frame_diffs.into_iter().collect(),
                chain_diffs: chain_diffs.into_iter().collect(),
                resolution: None,
            };
            let frame = OpenedFrame {
                frame_number,
                order: order.map(|(epoch, round)| SealedOrder {
                    epoch,
                    number: round << 16 | u32::from(frame_number),
                }),
                timestamp,
                end_of_picture: end,
                starts_sequence: key,
                active_decode_targets: active,
                structure: Arc::new(DependencyStructure::of_mode(mode, Size::new(64, 64))),
                dependencies,
                payload: vec![0; size].into(),
            };
            (frame, settle, polled)
        },
    )
}
