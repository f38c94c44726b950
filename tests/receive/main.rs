//! The receiving side, in virtual time and without a codec. Frames of planned pictures are dropped, lost, late and out
//! of order; none reaches a decoder that lacks a frame which it refers to. The same is tried with packets.

#[path = "../common/chance.rs"]
mod chance;
mod frames;
mod limits;
mod order;
mod packets;
#[path = "../common/relay.rs"]
mod relay;

use std::time::Duration;

use bytes::Bytes;
use layercast::rtp::descriptor::{DependencyDescriptor, Describer};
use layercast::rtp::{DecodableUnit, OpenedFrame};
use layercast::structure::{
    DecodeTarget, DecodeTargets, FramePlan, PictureRequest, Planner, Refresh, ScalabilityMode,
};
use layercast::{Size, Time};
use proptest::prelude::*;

/// From one picture to the next.
const PICTURE: Duration = Duration::from_millis(33);
/// The same in ticks of the RTP clock.
const TICKS: u32 = 3000;

/// When picture `n` is sent.
fn at(n: u32) -> Time {
    Time::ZERO + PICTURE * n
}

/// A frame that is sent, and what an AV1 decoder needs to have to decode it.
#[derive(Debug, Clone)]
struct Sent {
    plan: FramePlan,
    descriptor: DependencyDescriptor,
    frame: OpenedFrame,
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
            let frame = OpenedFrame {
                frame_number: descriptor.frame_number,
                order: None,
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

    fn decode(&mut self, unit: &DecodableUnit) -> Result<(), TestCaseError> {
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

fn any_case() -> impl Strategy<Value = (ScalabilityMode, DecodeTarget, u64)> {
    let cases: Vec<_> = modes_and_targets().collect();
    (0..cases.len(), any::<u64>()).prop_map(move |(at, seed)| (cases[at].0, cases[at].1, seed))
}
