//! Frames of video, and the descriptors that they are bound to.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::*;
use crate::rtp::FrameDependencies;
use crate::structure::LayerId;

#[test]
fn frames_come_back_in_every_suite_and_binding() {
    let (_, descriptors) = call(ScalabilityMode::L3T3Key, 9);
    for suite in SUITES {
        for binding in [Binding::Inside, Binding::Metadata, Binding::Page, Binding::None] {
            let agreed = agreed(suite, binding);
            let mut keys = SenderKeys::fresh(agreed, 200, 77).unwrap();
            let ring = ring(agreed, &[keys.grant()]);
            let (mut sealer, mut opener) = (keys.video(3).unwrap(), VideoOpener::new(agreed, 200, 3));
            for (index, descriptor) in descriptors.iter().enumerate() {
                let frame = vec![index as u8; index * 50];
                let mut sealed = seal(&mut sealer, descriptor, &frame);
                assert!(index < 2 || !sealed.windows(frame.len()).any(|window| window == frame));
                let mut again = sealed.clone();
                opener.open(NOW, &ring, descriptor, SealedUnit::Frame, &mut sealed).unwrap();
                assert_eq!(sealed, frame);
                let replayed = opener.open(NOW, &ring, descriptor, SealedUnit::Frame, &mut again);
                assert!(matches!(replayed, Err(OpenError::Replayed { .. })));
            }
            assert_eq!(opener.structure(), descriptors[0].structure.as_ref());
        }
    }
}

/// A script of a page computes the same, and a relay is found out if it changes what the page sees.
#[test]
fn a_page_can_open_what_is_bound_for_it() {
    let (describer, descriptors) = call(ScalabilityMode::L3T3Key, 9);
    let structure = describer.structure().unwrap();
    let agreed = agreed(CipherSuite::Aes256GcmSha512_128, Binding::Page);
    let mut keys = SenderKeys::fresh(agreed, 1, 0).unwrap();
    let ring = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.video(0).unwrap();
    let mut opener = VideoOpener::new(agreed, 1, 0);
    let mut page = [0, 1, 2].map(|spatial_id| Opener::new(agreed, 1, Context::video(0, spatial_id)));
    for descriptor in &descriptors {
        let sealed = seal(&mut sealer, descriptor, b"a frame");
        let FrameDependencies { layer, frame_diffs, .. } = descriptor.dependencies(structure).unwrap();
        let mut diffs = frame_diffs.to_vec();
        diffs.sort_unstable();
        let mut metadata = descriptor.frame_number.to_be_bytes().to_vec();
        metadata.extend([layer.spatial_id, layer.temporal_id, diffs.len() as u8]);
        metadata.extend(diffs.iter().flat_map(|diff| diff.to_be_bytes()));
        let mut opened = sealed.clone();
        page[usize::from(layer.spatial_id)].open(NOW, &ring, &metadata, &mut opened).unwrap();
        assert_eq!(opened[..], *b"a frame\0", "the round is behind the frame");

        let mut renumbered = descriptor.clone();
        renumbered.frame_number ^= 256;
        let mut other_references = descriptor.clone();
        other_references.custom_frame_diffs = Some([77].into_iter().collect());
        for relabelled in [renumbered, other_references] {
            let refused = opener.open(NOW, &ring, &relabelled, SealedUnit::Frame, &mut sealed.clone());
            assert_eq!(refused, Err(OpenError::NotAuthentic));
        }
        for unit in
            [SealedUnit::Packet { index: 0, last: true }, SealedUnit::Packet { index: 0, last: false }]
        {
            let refused = opener.open(NOW, &ring, descriptor, unit, &mut sealed.clone());
            assert_eq!(refused, Err(OpenError::NotAuthentic));
        }
        opener.open(NOW, &ring, descriptor, SealedUnit::Frame, &mut sealed.clone()).unwrap();
    }
}

/// A page and a receiver with descriptors open each other's frames, over the wrap of the frame number too.
#[test]
fn a_page_and_others_open_each_other_s_frames() {
    let (describer, descriptors) = call(ScalabilityMode::L3T3, 9);
    let structure = describer.structure().unwrap();
    let agreed = agreed(CipherSuite::Aes256GcmSha512_128, Binding::Page);
    let mut keys = [1, 2].map(|sender| SenderKeys::fresh(agreed, sender, 0).unwrap());
    let ring = ring(agreed, &[keys[0].grant(), keys[1].grant()]);
    let [mut page, mut native] = keys.each_mut().map(|keys| keys.video(0).unwrap());
    let (mut from_page, mut at_page) = (VideoOpener::new(agreed, 1, 0), VideoOpener::new(agreed, 2, 0));
    for (index, descriptor) in descriptors.iter().enumerate() {
        let descriptor =
            &DependencyDescriptor { frame_number: (65_530 + index) as u16, ..descriptor.clone() };
        let FrameDependencies { layer, mut frame_diffs, .. } = descriptor.dependencies(structure).unwrap();
        frame_diffs.reverse();
        let seen = PageFrame { frame_number: descriptor.frame_number, layer, frame_diffs: &frame_diffs };
        let mut sealed = BytesMut::new();
        page.seal_page(&seen, b"a frame", &mut sealed).unwrap();
        from_page.open(NOW, &ring, descriptor, SealedUnit::Frame, &mut sealed).unwrap();
        assert_eq!(sealed[..], *b"a frame");

        let sealed = seal(&mut native, descriptor, b"another");
        let number = seen.frame_number ^ 256;
        let other_diffs = [&frame_diffs[..], &[9]].concat();
        for lie in [
            PageFrame { frame_number: number, ..seen },
            PageFrame { layer: LayerId::new(layer.spatial_id, layer.temporal_id ^ 1), ..seen },
            PageFrame { layer: LayerId::new(layer.spatial_id ^ 1, layer.temporal_id), ..seen },
            PageFrame { frame_diffs: &other_diffs, ..seen },
        ] {
            let refused = at_page.open_page(NOW, &ring, &lie, &mut sealed.clone());
            assert_eq!(refused, Err(OpenError::NotAuthentic), "{lie:?}");
        }
        let (mut opened, mut again) = (sealed.clone(), sealed);
        at_page.open_page(NOW, &ring, &seen, &mut opened).unwrap();
        assert_eq!(opened[..], *b"another");
        let replayed = at_page.open_page(NOW, &ring, &seen, &mut again);
        assert!(matches!(replayed, Err(OpenError::Replayed { .. })));
    }
}

#[test]
fn a_page_seals_nothing_that_no_frame_can_be() {
    let agreed = agreed(CipherSuite::Aes256GcmSha512_128, Binding::Page);
    let mut sealer = SenderKeys::fresh(agreed, 1, 0).unwrap().video(0).unwrap();
    let (frame_number, layer, mut out) = (0, LayerId::new(0, 0), BytesMut::new());
    for page in [
        PageFrame { frame_number, layer: LayerId::new(4, 0), frame_diffs: &[] },
        PageFrame { frame_number, layer: LayerId::new(0, 8), frame_diffs: &[] },
        PageFrame { frame_number, layer, frame_diffs: &[1; 256] },
    ] {
        assert!(matches!(sealer.seal_page(&page, b"", &mut out), Err(SealError::Descriptor(_))));
    }
    let page = PageFrame { frame_number, layer, frame_diffs: &[] };
    let agreed = Agreement { binding: Binding::Inside, ..agreed };
    let mut keys = SenderKeys::fresh(agreed, 1, 0).unwrap();
    assert_eq!(keys.video(0).unwrap().seal_page(&page, b"", &mut out), Err(SealError::Binding));
    let opened =
        VideoOpener::new(agreed, 1, 0).open_page(NOW, &ring(agreed, &[keys.grant()]), &page, &mut out);
    assert_eq!((opened, out.len()), (Err(OpenError::Binding), 0));
}

/// Sealing adds 3 to 6 bytes of header, 16 of tag, 8 of label.
#[test]
fn bytes_added_to_a_frame() {
    let (_, descriptors) = call(ScalabilityMode::L3T3, 30);
    for (binding, label) in
        [(Binding::Inside, 8), (Binding::Metadata, 1), (Binding::Page, 1), (Binding::None, 0)]
    {
        let mut keys = SenderKeys::fresh(agreed(CipherSuite::Aes256GcmSha512_128, binding), 5, 2).unwrap();
        let mut sealer = keys.video(0).unwrap();
        for (index, descriptor) in descriptors.iter().enumerate() {
            let added = seal(&mut sealer, descriptor, &[0; 1000]).len() - 1000;
            let first = index == 0 && binding == Binding::Inside;
            // Layers above the base have a key id of two bytes; counters above 7 have a byte of their own.
            assert!(first || (label + 18..=label + 20).contains(&added), "{index}: {added}");
        }
    }
}

#[test]
fn room_for_the_header() {
    let mut keys = SenderKeys::fresh(Agreement::default(), 0, 0).unwrap();
    let mut sealer = keys.video(0).unwrap();
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let mut frame = BytesMut::zeroed(MAX_HEADER - 1);
    let refused = sealer.seal_in_place(&descriptors[0], SealedUnit::Frame, &mut frame);
    assert_eq!((refused, frame.len()), (Err(SealError::NoRoom), MAX_HEADER - 1));
    frame.put_u8(0);
    sealer.seal_in_place(&descriptors[0], SealedUnit::Frame, &mut frame).unwrap();
    assert_eq!(Header::read(&frame).unwrap().counter, 0);
}

/// The error names the field that a relay changed.
#[test]
fn relabelled_frames_are_named() {
    use OpenError::Relabelled as R;
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 1, 1).unwrap();
    let ring = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.video(0).unwrap();
    let (mut describer, descriptors) = call(ScalabilityMode::L3T3, 5);
    let mut opener = VideoOpener::new(agreed, 1, 0);
    let mut open = |descriptor: &DependencyDescriptor, unit, sealed: &BytesMut| {
        opener.open(NOW, &ring, descriptor, unit, &mut sealed.clone())
    };
    let sealed: Vec<_> = descriptors.iter().map(|it| seal(&mut sealer, it, b"frame")).collect();

    // Nothing is trusted before the key frame, and the frame may be tried again behind it.
    assert_eq!(open(&descriptors[4], SealedUnit::Frame, &sealed[4]), Err(OpenError::NoStructure));
    // A structure of somebody else's making.
    let mut forged = descriptors[0].clone();
    let mut structure = (**forged.structure.as_ref().unwrap()).clone();
    structure.resolutions[0] = Size::new(16, 16);
    forged.structure = Some(Arc::new(structure));
    assert_eq!(open(&forged, SealedUnit::Frame, &sealed[0]), Err(R(Relabelled::Structure)));
    assert_eq!(open(&descriptors[4], SealedUnit::Frame, &sealed[4]), Err(OpenError::NoStructure));
    open(&descriptors[0], SealedUnit::Frame, &sealed[0]).unwrap();

    let template = |spatial_id, temporal_id, than| {
        let structure = describer.structure().unwrap();
        let layer = crate::structure::LayerId::new(spatial_id, temporal_id);
        let found = structure.templates.iter().enumerate().position(|(index, template)| {
            template.layer == layer && structure.template_id_offset + index as u8 != than
        });
        structure.template_id_offset + found.unwrap() as u8
    };
    let honest = &descriptors[3];
    let LayerOf { spatial_id, temporal_id } = layer_of(&describer, honest);
    assert_eq!((spatial_id, temporal_id), (0, 2));
    let changed = |change: &dyn Fn(&mut DependencyDescriptor)| {
        let mut descriptor = honest.clone();
        change(&mut descriptor);
        descriptor
    };
    let cases = [
        (changed(&|it| it.frame_number ^= 0x100), Relabelled::FrameNumber),
        (changed(&|it| it.template_id = template(1, 2, 64)), Relabelled::SpatialLayer),
        (changed(&|it| it.template_id = template(0, 1, 64)), Relabelled::TemporalLayer),
        (changed(&|it| it.template_id = template(0, 2, honest.template_id)), Relabelled::Dependencies),
        (changed(&|it| it.custom_frame_diffs = Some([1].into_iter().collect())), Relabelled::Dependencies),
        (changed(&|it| it.custom_chain_diffs = Some([1; 3].into_iter().collect())), Relabelled::Dependencies),
        (changed(&|it| it.structure = descriptors[0].structure.clone()), Relabelled::Structure),
    ];
    for (descriptor, what) in cases {
        assert_eq!(open(&descriptor, SealedUnit::Frame, &sealed[3]), Err(R(what)));
    }
    let packet = SealedUnit::Packet { index: 0, last: true };
    assert_eq!(open(honest, packet, &sealed[3]), Err(R(Relabelled::Unit)));
    // Payloads changed places between two layers of a picture, and between two pictures.
    assert_eq!(open(honest, SealedUnit::Frame, &sealed[4]), Err(R(Relabelled::FrameNumber)));
    let mut payload = sealed[3].clone();
    *payload.last_mut().unwrap() ^= 1;
    assert_eq!(open(honest, SealedUnit::Frame, &payload), Err(OpenError::NotAuthentic));
    assert_eq!(open(honest, SealedUnit::Frame, &payload.split_to(12)), Err(OpenError::Malformed));

    // What a relay may do.
    let allowed = changed(&|it| {
        it.start_of_frame ^= true;
        it.end_of_frame ^= true;
        it.active_decode_targets = Some(1);
    });
    assert_eq!(open(&allowed, SealedUnit::Frame, &sealed[3]), Ok(()));

    // Another structure holds from another key frame on; frames of the last one are not read by it.
    let mut planner = Planner::new(ScalabilityMode::L3T3, Size::new(640, 360));
    let wanted = DecodeTargets::all(ScalabilityMode::L3T3.structure());
    let next = describer.describe(&planner.next(PictureRequest { wanted, ..Default::default() })).unwrap();
    open(&next[0], SealedUnit::Frame, &seal(&mut sealer, &next[0], b"key")).unwrap();
    let late = open(&descriptors[4], SealedUnit::Frame, &sealed[4]);
    assert!(matches!(late, Err(OpenError::Descriptor(_) | R(Relabelled::Structure))), "{late:?}");
}

struct LayerOf {
    spatial_id: u8,
    temporal_id: u8,
}

fn layer_of(describer: &Describer, descriptor: &DependencyDescriptor) -> LayerOf {
    let layer = describer.structure().unwrap().template(descriptor.template_id).unwrap().layer;
    LayerOf { spatial_id: layer.spatial_id, temporal_id: layer.temporal_id }
}

/// An observer with the base layer's key alone opens the base layer, and cannot seal a frame of another.
#[test]
fn an_observer_of_the_base_layer() {
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 9, 4).unwrap();
    let part = keys.grant().part(&agreed, 9, Context::video(0, 0)).unwrap().unwrap();
    let part = Grant::from_bytes(&part.to_bytes()).unwrap();
    let observer = ring(agreed, &[&part]);
    // The part has no part, and is not for others.
    assert_eq!(part.part(&agreed, 9, Context::video(0, 1)), Ok(None));
    assert_eq!(part.part(&agreed, 9, Context::video(1, 0)), Ok(None));
    assert_eq!(part.part(&agreed, 8, Context::video(0, 0)), Ok(None));
    let rfc = Agreement { schedule: Schedule::Rfc9605, ..agreed };
    assert_eq!(keys.grant().part(&rfc, 9, Context::video(0, 0)), Ok(None));

    let member = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.video(0).unwrap();
    let mut audio = keys.sealer(Context::audio(0)).unwrap();
    let (describer, descriptors) = call(ScalabilityMode::L3T3, 6);
    let [mut opener, mut guesser, mut members] = [(); 3].map(|()| VideoOpener::new(agreed, 9, 0));
    for descriptor in &descriptors {
        let mut sealed = seal(&mut sealer, descriptor, b"frame");
        // The base layer's key under another layer's key id: what an observer could try.
        let mut guess = sealed.clone();
        let key_id = Header::read(&sealed).unwrap().key_id;
        members.open(NOW, &member, descriptor, SealedUnit::Frame, &mut sealed.clone()).unwrap();
        let opened = opener.open(NOW, &observer, descriptor, SealedUnit::Frame, &mut sealed);
        if layer_of(&describer, descriptor).spatial_id == 0 {
            assert_eq!((opened, &sealed[..]), (Ok(()), &b"frame"[..]));
        } else {
            assert_eq!(opened, Err(OpenError::UnknownKey { key_id }));
        }
        let opened =
            guesser.open(NOW, &One(part.base_key.clone()), descriptor, SealedUnit::Frame, &mut guess);
        let is_base = layer_of(&describer, descriptor).spatial_id == 0;
        assert_eq!(opened, if is_base { Ok(()) } else { Err(OpenError::NotAuthentic) });
    }
    let mut sealed = BytesMut::new();
    audio.seal(b"", b"audio", &mut sealed).unwrap();
    let mut opener = Opener::new(agreed, 9, Context::audio(0));
    assert!(matches!(opener.open(NOW, &observer, b"", &mut sealed), Err(OpenError::UnknownKey { .. })));
    opener.open(NOW, &member, b"", &mut sealed).unwrap();

    // A frame of the top layer, sealed with the base layer's key.
    for binding in [Binding::Inside, Binding::Metadata, Binding::Page, Binding::None] {
        let agreed = super::agreed(agreed.suite, binding);
        let mut keys = SenderKeys::fresh(agreed, 9, 4).unwrap();
        let (mut sealer, mut forger) = (keys.video(0).unwrap(), keys.video(1).unwrap());
        let base = keys.grant().part(&agreed, 9, Context::video(0, 0)).unwrap().unwrap();
        let key_id = agreed.layout.key_id(Context::video(0, 0), 9, 4).unwrap();
        let mut opener = VideoOpener::new(agreed, 9, 0);
        let member = ring(agreed, &[keys.grant()]);
        let mut honest = seal(&mut sealer, &descriptors[0], b"key frame");
        opener.open(NOW, &member, &descriptors[0], SealedUnit::Frame, &mut honest).unwrap();
        seal(&mut forger, &descriptors[0], b"to know the structure");
        let mut by_observer = Sealer::new(agreed.suite, key_id, &base.base_key);
        by_observer.set_counter(1000);
        forger.set_layer(2, by_observer);
        let mut forged = seal(&mut forger, &descriptors[2], b"forged");
        let opened = opener.open(NOW, &member, &descriptors[2], SealedUnit::Frame, &mut forged);
        assert_eq!(opened, Err(OpenError::Relabelled(Relabelled::SpatialLayer)), "{binding:?}");
    }
}

#[test]
fn swaps_between_senders_streams_and_epochs() {
    let agreed = Agreement::default();
    let mut alice = SenderKeys::fresh(agreed, 1, 0).unwrap();
    let mut bob = SenderKeys::fresh(agreed, 2, 0).unwrap();
    let mut next = SenderKeys::fresh(agreed, 1, 1).unwrap();
    let ring = ring(agreed, &[alice.grant(), bob.grant()]);
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let key = &descriptors[0];
    let mut opener = VideoOpener::new(agreed, 1, 0);
    let mut open =
        |frame: &BytesMut| opener.open(NOW, &ring, key, SealedUnit::Frame, &mut frame.clone()).unwrap_err();
    let sealed = seal(&mut bob.video(0).unwrap(), key, b"bob's");
    assert_eq!(open(&sealed), OpenError::WrongSender { expected: 1, found: 2 });
    let sealed = seal(&mut alice.video(1).unwrap(), key, b"her screen");
    assert_eq!(open(&sealed), OpenError::WrongStream { found: Context::video(1, 0) });
    let mut sealed = BytesMut::new();
    alice.sealer(Context::audio(0)).unwrap().seal(b"", b"her voice", &mut sealed).unwrap();
    assert_eq!(open(&sealed), OpenError::WrongStream { found: Context::audio(0) });
    let sealed = seal(&mut next.video(0).unwrap(), key, b"tomorrow's");
    let key_id = agreed.layout.key_id(Context::video(0, 0), 1, 1).unwrap();
    assert_eq!(open(&sealed), OpenError::UnknownKey { key_id });
    // Under a key id that is not its own.
    let mut sealed = seal(&mut bob.video(1).unwrap(), key, b"bob's");
    let alices = seal(&mut alice.video(0).unwrap(), key, b"hers");
    let (size, alices_size) = (Header::read(&sealed).unwrap().size, Header::read(&alices).unwrap().size);
    let mut forged = BytesMut::from(&alices[..alices_size]);
    forged.unsplit(sealed.split_off(size));
    assert_eq!(open(&forged), OpenError::NotAuthentic);
}

/// Finding 5: an upper layer that a relay withheld is refused when its frame numbers come around, whether the same
/// sealer goes on with them or counts anew.
#[test]
fn withheld_layers_are_stale() {
    for binding in [Binding::Inside, Binding::Metadata, Binding::Page] {
        let agreed = agreed(CipherSuite::Aes256GcmSha512_128, binding);
        let mut keys = SenderKeys::fresh(agreed, 1, 1).unwrap();
        let ring = ring(agreed, &[keys.grant()]);
        let (mut sealer, mut opener) = (keys.video(0).unwrap(), VideoOpener::new(agreed, 1, 0));
        let (_, descriptors) = call(ScalabilityMode::L2T1, 2);
        let [key, upper_of_key, base, upper] = &descriptors[..] else { panic!("two layers of two pictures") };
        let mut now = NOW;
        let mut open = |descriptor: &DependencyDescriptor, sealed: &BytesMut| {
            now += Duration::from_millis(10);
            opener.open(now, &ring, descriptor, SealedUnit::Frame, &mut sealed.clone())
        };
        let numbered = |of: &DependencyDescriptor, number: u32| {
            let mut descriptor = of.clone();
            descriptor.frame_number = number as u16;
            descriptor
        };
        for descriptor in [key, upper_of_key] {
            assert_eq!(open(descriptor, &seal(&mut sealer, descriptor, b"key")), Ok(()));
        }
        // The base goes on for a round, and one frame of the upper layer is kept back.
        let first = u32::from(base.frame_number);
        let withheld = numbered(upper, first + 1);
        let mut kept = BytesMut::new();
        let late = [1000, 3000].map(|ahead| numbered(upper, first + ahead + 1));
        let mut lates = Vec::new();
        for number in (first..first + 65536 + 10).step_by(2) {
            let descriptor = numbered(base, number);
            let sealed = seal(&mut sealer, &descriptor, b"base");
            assert_eq!(open(&descriptor, &sealed), Ok(()));
            match number - first {
                0 => kept = seal(&mut sealer, &withheld, b"withheld"),
                1000 => lates.push(seal(&mut sealer, &late[0], b"late")),
                3000 => lates.push(seal(&mut sealer, &late[1], b"late")),
                4000 => {
                    assert_eq!(open(&late[0], &lates[0]), Err(OpenError::Stale { behind: 2999 }));
                    assert_eq!(open(&late[1], &lates[1]), Ok(()));
                }
                _ => {}
            }
        }
        assert_eq!(open(&withheld, &kept), Err(OpenError::Stale { behind: 65536 + 8 - 1 }), "{binding:?}");
        // The sender counts anew, and is heard.
        let anew = numbered(base, first);
        assert_eq!(open(&anew, &seal(&mut sealer, &anew, b"base")), Ok(()));
        let upper = numbered(upper, first + 1);
        assert_eq!(open(&upper, &seal(&mut sealer, &upper, b"upper")), Ok(()));
    }
}

/// Finding 4: one who has the key of a layer does not make the sender's frames stale by a number far ahead.
#[test]
fn a_number_far_ahead_makes_nothing_stale() {
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 1, 1).unwrap();
    let ring = ring(agreed, &[keys.grant()]);
    let (_, descriptors) = call(ScalabilityMode::L1T1, 300);
    let mut observer = SenderKeys::new(agreed, 1, keys.grant().clone(), None).video(0).unwrap();
    seal(&mut observer, &descriptors[0], b"to know the structure");
    let part = keys.grant().part(&agreed, 1, Context::video(0, 0)).unwrap().unwrap();
    let Scope::KeyId(key_id) = part.scope else { panic!("{:?}", part.scope) };
    let mut forger = Sealer::new(agreed.suite, key_id, &part.base_key);
    forger.set_counter(500);
    observer.set_layer(0, forger);
    let (mut sealer, mut opener) = (keys.video(0).unwrap(), VideoOpener::new(agreed, 1, 0));
    let mut now = NOW;
    for (index, descriptor) in descriptors.iter().enumerate() {
        now += Duration::from_millis(16);
        let mut sealed = seal(&mut sealer, descriptor, b"frame");
        assert_eq!(opener.open(now, &ring, descriptor, SealedUnit::Frame, &mut sealed), Ok(()), "{index}");
        if index == 100 {
            let mut forged = descriptor.clone();
            forged.frame_number = forged.frame_number.wrapping_add(30_000);
            let mut sealed = seal(&mut observer, &forged, b"forged");
            assert_eq!(opener.open(now, &ring, &forged, SealedUnit::Frame, &mut sealed), Ok(()));
        }
    }
}

/// Finding 14: an error is early if the frame is as it was, and else the frame is empty.
#[test]
fn early_errors_leave_the_frame() {
    // Two who agreed on different bindings, and frames without anything in them.
    let bindings = [Binding::Inside, Binding::Metadata, Binding::Page, Binding::None];
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let mut unlabelled = 0;
    for (sealed_by, opened_by) in bindings.iter().flat_map(|a| bindings.iter().map(move |b| (*a, *b))) {
        for size in [0, 1, 3, 40] {
            let suite = CipherSuite::Aes128CtrHmacSha256_32;
            let mut keys = SenderKeys::fresh(agreed(suite, sealed_by), 1, 1).unwrap();
            let ring = ring(agreed(suite, opened_by), &[keys.grant()]);
            let sealed = seal(&mut keys.video(0).unwrap(), &descriptors[0], &vec![200; size]);
            for cut in [0, 1, sealed.len() - 4, sealed.len()] {
                let whole = BytesMut::from(&sealed[cut..]);
                let mut frame = whole.clone();
                let mut opener = VideoOpener::new(agreed(suite, opened_by), 1, 0);
                let opened = opener.open(NOW, &ring, &descriptors[0], SealedUnit::Frame, &mut frame);
                if let Err(error) = opened {
                    unlabelled += usize::from(error == OpenError::Unlabelled);
                    assert_eq!(error.is_early(), frame == whole, "{error}");
                    assert!(error.is_early() || frame.is_empty());
                }
            }
        }
    }
    assert!(unlabelled > 0);
}
