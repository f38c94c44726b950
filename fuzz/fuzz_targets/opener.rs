//! What nobody sealed is not opened, whatever descriptor comes with it.
#![no_main]

use std::time::Duration;

use bytes::BytesMut;
use layercast::Time;
use layercast::e2ee::{Agreement, Binding, Grant, KeyRing, PageFrame, SealedUnit, VideoOpener};
use layercast::rtp::descriptor::DependencyDescriptor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, size], data)) = data.split_first_chunk() else { return };
    let Some((descriptor, frame)) = data.split_at_checked(size.into()) else { return };
    let Ok(descriptor) = DependencyDescriptor::read(descriptor, None) else { return };
    let binding = [Binding::Inside, Binding::Metadata, Binding::None, Binding::Page][usize::from(choice % 4)];
    let agreed = Agreement { binding, ..Agreement::default() };
    let mut keys = KeyRing::new(agreed, Duration::ZERO);
    // For the whole group, in epoch 0.
    keys.add(Time::ZERO, Grant::from_bytes(&[[0; 17], [7; 17]].concat()).unwrap());
    let mut opener = VideoOpener::new(agreed, 0, 0);
    let unit = match choice & 0x80 {
        0 => SealedUnit::Frame,
        _ => SealedUnit::Packet { index: choice.into(), last: choice & 0x40 != 0 },
    };
    let mut frame = BytesMut::from(frame);
    // What a page sees of the same frame.
    let structure = descriptor.structure.as_ref();
    if let Some(dependencies) = structure.and_then(|structure| descriptor.dependencies(structure).ok()) {
        let page = PageFrame {
            frame_number: descriptor.frame_number,
            layer: dependencies.layer,
            frame_diffs: &dependencies.frame_diffs,
        };
        assert!(opener.open_page(Time::ZERO, &keys, &page, &mut frame.clone()).is_err());
    }
    assert!(opener.open(Time::ZERO, &keys, &descriptor, unit, &mut frame).is_err());
    assert!(opener.structure().is_none());
});
