//! Receivers ask a sender for any refreshes and layers in any order. Every frame that is planned refers to frames that
//! all of its receivers were sent, and its descriptor says so.
#![no_main]

use std::collections::HashMap;

use layercast::Size;
use layercast::rtp::descriptor::{DependencyDescriptor, Describer};
use layercast::structure::{DecodeTarget, DecodeTargets, PictureRequest, Planner, Refresh, ScalabilityMode};
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

/// Pictures that are planned at most.
const PICTURES: usize = 512;

fuzz_target!(|data: &[u8]| {
    let modes: Vec<_> = ScalabilityMode::all().collect();
    let mut input = Input::new(data);
    let size = Size::new(640, 360);
    let (mut planner, mut describer) = (Planner::new(*input.pick(&modes), size), Describer::new());
    // The decode targets of the frames since the last key picture.
    let mut sent: HashMap<u64, DecodeTargets> = HashMap::new();
    let mut last = None;
    for _ in 0..PICTURES {
        if input.is_empty() {
            break;
        }
        let step = input.byte();
        if step >= 0xf8 {
            planner.restart(*input.pick(&modes), Size::new(640 + u32::from(step & 1), 360));
        }
        let refresh = match step & 7 {
            0 => Refresh::KEY,
            1 | 2 => Refresh::layers((0..4).filter(|layer| step >> (3 + layer) & 1 != 0)),
            _ => Refresh::NONE,
        };
        let all: Vec<DecodeTarget> = planner.structure().decode_targets().collect();
        let bits = if step & 8 == 0 { u16::MAX } else { input.u16() };
        let wanted = (0..).zip(&all).filter(|(bit, _)| bits >> bit & 1 != 0).map(|(_, target)| *target);
        let request = PictureRequest { refresh, wanted: wanted.collect() };
        let plan = timed("picture", || planner.next(request));
        if plan.key {
            sent.clear();
        }
        let descriptors = timed("descriptors", || describer.describe(&plan)).unwrap();
        assert_eq!(descriptors.len(), plan.frames.len());
        for (frame, descriptor) in plan.frames.iter().zip(&descriptors) {
            assert!(last.is_none_or(|last| last < frame.frame_number), "numbers rise");
            last = Some(frame.frame_number);
            let structure = describer.structure().unwrap();
            let mut bytes = vec![];
            descriptor.write(structure, &mut bytes).unwrap();
            assert_eq!(DependencyDescriptor::read(&bytes, Some(structure)).as_ref(), Ok(descriptor));
            let dependencies = descriptor.dependencies(structure).unwrap();
            assert_eq!(dependencies.layer, frame.layer);
            let diffs = dependencies.frame_diffs.iter().map(|diff| frame.frame_number - u64::from(*diff));
            for needed in diffs.chain(frame.depends_on.iter().copied()) {
                let of = sent.get(&needed).expect("a frame that was sent");
                assert!(
                    frame.needed_by.intersection(request.wanted).iter().all(|target| of.contains(target))
                );
            }
            sent.insert(frame.frame_number, frame.needed_by);
        }
    }
});
