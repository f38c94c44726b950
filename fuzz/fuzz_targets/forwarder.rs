//! A relay with descriptors of anybody: genuine ones of any order and damage, and any bytes. It forwards or drops each
//! packet, the same way each time it comes, and asks for a refresh once in an interval at most.
//!
//! Each step is a kind, a length and that many bytes.
#![no_main]

use std::time::Duration;

use layercast::relay::{Forwarder, ForwarderConfig, FrameReader, RefreshRequests};
use layercast::rtp::descriptor::Describer;
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode};
use layercast::{Size, Time};
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

const MODES: [ScalabilityMode; 3] = [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mode = *input.pick(&MODES);
    let (mut planner, mut describer) = (Planner::new(mode, Size::new(1280, 720)), Describer::new());
    let (mut reader, mut requests) = (FrameReader::new(), RefreshRequests::default());
    let config = ForwarderConfig::default();
    let mut forwarder = Forwarder::new(config);
    let (mut now, mut refresh) = (Time::ZERO, Refresh::NONE);
    let mut asked: [Option<Time>; 2] = [None; 2];
    while !input.is_empty() {
        let (kind, bytes) = (input.byte(), input.bytes());
        let mut descriptors = vec![];
        match kind & 3 {
            0 => descriptors.push(bytes.to_vec()),
            1 => {
                let layer = bytes.first().filter(|byte| **byte < 32);
                forwarder.set_target(now, layer.map(|byte| LayerId::new(byte & 3, byte >> 2)));
            }
            // Frames of a picture, in the order and with the damage that the bytes say.
            _ => {
                now += Duration::from_millis(33);
                let wanted = DecodeTargets::all(planner.structure());
                let plan = planner.next(PictureRequest { refresh: std::mem::take(&mut refresh), wanted });
                let sent = describer.describe(&plan).unwrap();
                let Some(structure) = describer.structure() else { continue };
                for descriptor in &sent {
                    let mut written = vec![];
                    descriptor.write(structure, &mut written).unwrap();
                    descriptors.push(written);
                }
                if kind & 1 != 0 {
                    for (descriptor, &[at, value]) in descriptors.iter_mut().zip(bytes.as_chunks().0) {
                        let at = usize::from(at) % descriptor.len();
                        descriptor[at] ^= value;
                    }
                }
                if kind & 4 != 0 {
                    descriptors.reverse();
                }
            }
        }
        for descriptor in &descriptors {
            let Ok(frame) = timed("descriptor", || reader.read(descriptor)) else { continue };
            requests.handle_frame(&frame);
            let first = timed("frame", || forwarder.handle_frame(now, &frame));
            let again = forwarder.handle_frame(now, &frame);
            assert_eq!(first, again, "a retransmission goes where the packet went");
        }
        let intervals = [config.request_interval, Duration::from_secs(1)];
        let needed = forwarder.poll(now);
        requests.handle_request(needed.unwrap_or_default());
        let passed_on = requests.poll(now);
        refresh = refresh.union(passed_on.unwrap_or_default());
        for ((said, asked), interval) in [needed, passed_on].into_iter().zip(&mut asked).zip(intervals) {
            if said.is_some() {
                assert!(asked.is_none_or(|asked| now - asked >= interval));
                *asked = Some(now);
            }
        }
    }
});
