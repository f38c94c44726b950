use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use sframe::header::SframeHeader;
use zeroize::Zeroizing;

use super::mls::{Commit, Group, Login, MlsError, Processed};
use super::*;
use crate::rtp::descriptor::{DependencyDescriptor, Describer};
use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};

const SUITES: [CipherSuite; 5] = [
    CipherSuite::AesCtr128HmacSha256_80,
    CipherSuite::AesCtr128HmacSha256_64,
    CipherSuite::AesCtr128HmacSha256_32,
    CipherSuite::AesGcm128Sha256,
    CipherSuite::AesGcm256Sha512,
];

const NOW: Duration = Duration::ZERO;
const OVERLAP: Duration = Duration::from_secs(5);

fn agreed(suite: CipherSuite, binding: Binding) -> Agreement {
    Agreement { suite, binding, ..Agreement::default() }
}

/// A ring that holds these grants.
fn ring(agreed: Agreement, grants: &[&Grant]) -> KeyRing {
    let mut ring = KeyRing::new(agreed, OVERLAP);
    grants.iter().for_each(|grant| ring.add((*grant).clone(), NOW));
    ring
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A field of a vector, which is a line of the file. (A crate that reads JSON would be in scope of every test
/// here, and add its own comparisons to them.)
fn field<'a>(row: &'a str, name: &str) -> &'a str {
    let (_, value) = row.split_once(&format!("\"{name}\": ")).unwrap();
    value.trim_start_matches('"').split(['"', ',', '}']).next().unwrap()
}

fn vectors<'a>(file: &'a str, with: &str) -> Vec<&'a str> {
    file.lines().filter(|line| line.contains(with)).collect()
}

const VECTORS: &str = include_str!("../../test-vectors/rfc9605/vectors.json");

#[test]
fn headers_of_the_rfc() {
    let vectors = vectors(VECTORS, "encoded");
    assert_eq!(vectors.len(), 289);
    for vector in vectors {
        let encoded = hex(field(vector, "encoded"));
        let (kid, ctr) = (field(vector, "kid").parse().unwrap(), field(vector, "ctr").parse().unwrap());
        assert_eq!(Header::encode(kid, ctr)[..], encoded);
        let header = Header { key_id: kid, counter: ctr, size: encoded.len() };
        assert_eq!(Header::read(&encoded), Some(header));
        for end in 0..encoded.len() {
            assert_eq!(Header::read(&encoded[..end]), None);
        }
    }
}

/// One base key for all key ids, of any epoch.
struct One(BaseKey);

impl KeySource for One {
    fn epoch(&self, key_id: u64, _: Duration) -> Option<u64> {
        Some(KeyIdLayout::default().epoch(key_id))
    }

    fn base_key(&self, _: u64, _: u64) -> Option<BaseKey> {
        Some(self.0.clone())
    }
}

#[test]
fn ciphertexts_of_the_rfc() {
    let vectors = vectors(VECTORS, "metadata");
    assert_eq!(vectors.len(), SUITES.len());
    for vector in vectors {
        let number = |name| field(vector, name).parse::<u64>().unwrap();
        let bytes = |name| hex(field(vector, name));
        let suite = SUITES[number("cipher_suite") as usize - 1];
        assert_eq!(suite as u64, number("cipher_suite"));
        let (metadata, plaintext, ciphertext) = (bytes("metadata"), bytes("pt"), bytes("ct"));
        let base_key = BaseKey::new(Zeroizing::new(bytes("base_key")));
        let (key_id, counter) = (number("kid"), number("ctr"));
        let mut sealer = Sealer::new(suite, key_id, &base_key);
        sealer.set_counter(counter);
        let mut sealed = BytesMut::new();
        sealer.seal(&metadata, &plaintext, &mut sealed).unwrap();
        assert_eq!(sealed[..], ciphertext);

        sealer.set_counter(counter);
        let mut in_place = BytesMut::zeroed(MAX_HEADER);
        in_place.extend_from_slice(&plaintext);
        sealer.seal_in_place(&metadata, &mut in_place).unwrap();
        assert_eq!(in_place, sealed);

        let (layout, agreed) = (KeyIdLayout::default(), agreed(suite, Binding::None));
        let sender = layout.sender(key_id) as u32;
        let mut opener = Opener::new(agreed, sender, layout.context(key_id));
        opener.open(&One(base_key), NOW, &metadata, &mut sealed).unwrap();
        assert_eq!(sealed[..], plaintext);
    }
}

#[test]
fn keys_by_ssrc_as_in_the_draft() {
    let vectors = vectors(include_str!("../../test-vectors/rfc9605/per-ssrc.json"), "stream_key");
    for vector in &vectors {
        let base_key = BaseKey::new(Zeroizing::new(hex(field(vector, "base_key"))));
        let suite = SUITES[field(vector, "cipher_suite").parse::<usize>().unwrap() - 1];
        let stream_key = base_key.for_ssrc(suite, field(vector, "ssrc").parse().unwrap());
        assert_eq!(stream_key.expose(), hex(field(vector, "stream_key")));
    }
    assert_eq!(vectors.len(), 2 * SUITES.len());
}

/// The examples of RFC 9605, section 5.2: E of 4 bits, S of 6.
#[test]
fn key_ids_of_the_rfc() {
    let layout = KeyIdLayout::new(4, 6).unwrap();
    let examples = [
        (14, 3, 0, 0x3e),
        (14, 7, 0, 0x7e),
        (14, 20, 0, 0x14e),
        (15, 3, 0, 0x3f),
        (15, 5, 0, 0x5f),
        (16, 2, 2, 0x820),
        (16, 2, 3, 0xc20),
        (17, 33, 0, 0x211),
        (17, 51, 0, 0x331),
    ];
    for (epoch, sender, context, key_id) in examples {
        let context = Context(context);
        assert_eq!(layout.key_id(context, sender, epoch), Ok(key_id));
        assert_eq!(layout.context(key_id), context);
        assert_eq!((layout.sender(key_id), layout.epoch(key_id)), (sender.into(), epoch % 16));
    }
    let context = Context(0);
    assert_eq!(layout.key_id(context, 64, 0), Err(KeyIdError { context, sender: 64 }));
    assert_eq!(KeyIdLayout::new(32, 32), None);
}

proptest! {
    /// As the crate `sframe` reads it.
    #[test]
    fn header_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let theirs = SframeHeader::deserialize(&bytes).ok();
        let ours = Header::read(&bytes);
        prop_assert_eq!(ours.map(|header| header.key_id), theirs.map(|header| header.key_id()));
        prop_assert_eq!(ours.map(|header| header.counter), theirs.map(|header| header.counter()));
        prop_assert_eq!(ours.map(|header| header.size), theirs.map(|header| header.len()));
    }

    #[test]
    fn header_comes_back(key_id: u64, counter: u64, behind in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = Header::encode(key_id, counter).to_vec();
        let size = bytes.len();
        bytes.extend(behind);
        prop_assert_eq!(Header::read(&bytes), Some(Header { key_id, counter, size }));
    }

    /// No bytes are opened, and none are a panic.
    #[test]
    fn noise_is_not_opened(noise in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..3) {
        let agreed = Agreement::default();
        let keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
        let (_, descriptors) = call(ScalabilityMode::L3T3, 2);
        let mut opener = VideoOpener::new(agreed, 0, 0);
        let mut frame = BytesMut::from(&noise[..]);
        let ring = ring(agreed, &[keys.grant()]);
        prop_assert!(opener.open(&ring, NOW, &descriptors[at], Unit::Frame, &mut frame).is_err());
        let mut frame = BytesMut::from(&noise[..]);
        let mut opener = Opener::new(agreed, 0, Context(0));
        prop_assert!(opener.open(&ring, NOW, b"", &mut frame).is_err());
    }

    #[test]
    fn grants_come_back(epoch: u64, value: u64, kind in 0..3, key in prop::collection::vec(any::<u8>(), 16..65)) {
        let scope = match kind {
            0 => Scope::Group,
            1 => Scope::Sender(value as u32),
            _ => Scope::KeyId(value),
        };
        let grant = Grant { epoch, scope, base_key: BaseKey::new(Zeroizing::new(key)) };
        let bytes = grant.to_bytes();
        prop_assert_eq!(Grant::from_bytes(&bytes), Ok(grant));
        prop_assert_eq!(Grant::from_bytes(&bytes[..20]), Err(GrantError));
    }

    #[test]
    fn grants_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        if let Ok(grant) = Grant::from_bytes(&bytes) {
            prop_assert_eq!(&grant.to_bytes()[..], &bytes[..]);
        }
    }
}

/// The descriptors of a call's first pictures, and who described them.
fn call(mode: ScalabilityMode, pictures: usize) -> (Describer, Vec<DependencyDescriptor>) {
    let mut planner = Planner::new(mode, crate::Size::new(1280, 720));
    let mut describer = Describer::new();
    let wanted = DecodeTargets::all(mode.structure());
    let descriptors = (0..pictures)
        .flat_map(|_| {
            let picture = planner.next(PictureRequest { wanted, ..Default::default() });
            describer.describe(&picture).unwrap()
        })
        .collect();
    (describer, descriptors)
}

fn seal(sealer: &mut VideoSealer, descriptor: &DependencyDescriptor, frame: &[u8]) -> BytesMut {
    let mut sealed = BytesMut::new();
    sealer.seal(descriptor, Unit::Frame, frame, &mut sealed).unwrap();
    sealed
}

#[test]
fn frames_come_back_in_every_suite_and_binding() {
    let (_, descriptors) = call(ScalabilityMode::L3T3Key, 9);
    for suite in SUITES {
        for binding in [Binding::Inside, Binding::Metadata, Binding::None] {
            let agreed = agreed(suite, binding);
            let mut keys = SenderKeys::fresh(agreed, 200, 77).unwrap();
            let ring = ring(agreed, &[keys.grant()]);
            let (mut sealer, mut opener) = (keys.video(3).unwrap(), VideoOpener::new(agreed, 200, 3));
            for (index, descriptor) in descriptors.iter().enumerate() {
                let frame = vec![index as u8; index * 50];
                let mut sealed = seal(&mut sealer, descriptor, &frame);
                assert!(index < 2 || !sealed.windows(frame.len()).any(|window| window == frame));
                let mut again = sealed.clone();
                opener.open(&ring, NOW, descriptor, Unit::Frame, &mut sealed).unwrap();
                assert_eq!(sealed, frame);
                let replayed = opener.open(&ring, NOW, descriptor, Unit::Frame, &mut again);
                assert!(matches!(replayed, Err(OpenError::Replayed { .. })));
            }
            assert_eq!(opener.structure(), descriptors[0].structure.as_ref());
        }
    }
}

/// What sealing adds: 3 to 6 bytes of header, 16 of tag, 7 of label.
#[test]
fn bytes_added_to_a_frame() {
    let (_, descriptors) = call(ScalabilityMode::L3T3, 30);
    for (binding, label) in [(Binding::Inside, 7), (Binding::Metadata, 0), (Binding::None, 0)] {
        let mut keys = SenderKeys::fresh(agreed(CipherSuite::AesGcm256Sha512, binding), 5, 2).unwrap();
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
    let refused = sealer.seal_in_place(&descriptors[0], Unit::Frame, &mut frame);
    assert_eq!((refused, frame.len()), (Err(SealError::NoRoom), MAX_HEADER - 1));
    frame.put_u8(0);
    sealer.seal_in_place(&descriptors[0], Unit::Frame, &mut frame).unwrap();
    assert_eq!(Header::read(&frame).unwrap().counter, 0);
}

/// Whatever a relay changes has a name.
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
        opener.open(&ring, NOW, descriptor, unit, &mut sealed.clone())
    };
    let sealed: Vec<_> = descriptors.iter().map(|it| seal(&mut sealer, it, b"frame")).collect();

    // Nothing is trusted before the key frame, and the frame may be tried again behind it.
    assert_eq!(open(&descriptors[4], Unit::Frame, &sealed[4]), Err(OpenError::NoStructure));
    // A structure of somebody else's making.
    let mut forged = descriptors[0].clone();
    let mut structure = (**forged.structure.as_ref().unwrap()).clone();
    structure.resolutions[0] = crate::Size::new(16, 16);
    forged.structure = Some(Arc::new(structure));
    assert_eq!(open(&forged, Unit::Frame, &sealed[0]), Err(R(Relabelled::Structure)));
    assert_eq!(open(&descriptors[4], Unit::Frame, &sealed[4]), Err(OpenError::NoStructure));
    open(&descriptors[0], Unit::Frame, &sealed[0]).unwrap();

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
        assert_eq!(open(&descriptor, Unit::Frame, &sealed[3]), Err(R(what)));
    }
    let packet = Unit::Packet { index: 0, last: true };
    assert_eq!(open(honest, packet, &sealed[3]), Err(R(Relabelled::Unit)));
    // Payloads changed places between two layers of a picture, and between two pictures.
    assert_eq!(open(honest, Unit::Frame, &sealed[4]), Err(R(Relabelled::FrameNumber)));
    let mut payload = sealed[3].clone();
    *payload.last_mut().unwrap() ^= 1;
    assert_eq!(open(honest, Unit::Frame, &payload), Err(OpenError::NotAuthentic));
    assert_eq!(open(honest, Unit::Frame, &payload.split_to(12)), Err(OpenError::Malformed));

    // What a relay may do.
    let allowed = changed(&|it| {
        it.start_of_frame ^= true;
        it.end_of_frame ^= true;
        it.active_decode_targets = Some(1);
    });
    assert_eq!(open(&allowed, Unit::Frame, &sealed[3]), Ok(()));

    // Another structure holds from another key frame on; frames of the last one are not read by it.
    let mut planner = Planner::new(ScalabilityMode::L3T3, crate::Size::new(640, 360));
    let wanted = DecodeTargets::all(ScalabilityMode::L3T3.structure());
    let next = describer.describe(&planner.next(PictureRequest { wanted, ..Default::default() })).unwrap();
    open(&next[0], Unit::Frame, &seal(&mut sealer, &next[0], b"key")).unwrap();
    let late = open(&descriptors[4], Unit::Frame, &sealed[4]);
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

/// Whoever has the base layer's key alone opens the base layer, and cannot seal a frame of another.
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
        members.open(&member, NOW, descriptor, Unit::Frame, &mut sealed.clone()).unwrap();
        let opened = opener.open(&observer, NOW, descriptor, Unit::Frame, &mut sealed);
        if layer_of(&describer, descriptor).spatial_id == 0 {
            assert_eq!((opened, &sealed[..]), (Ok(()), &b"frame"[..]));
        } else {
            assert_eq!(opened, Err(OpenError::UnknownKey { key_id }));
        }
        let opened = guesser.open(&One(part.base_key.clone()), NOW, descriptor, Unit::Frame, &mut guess);
        let is_base = layer_of(&describer, descriptor).spatial_id == 0;
        assert_eq!(opened, if is_base { Ok(()) } else { Err(OpenError::NotAuthentic) });
    }
    let mut sealed = BytesMut::new();
    audio.seal(b"", b"audio", &mut sealed).unwrap();
    let mut opener = Opener::new(agreed, 9, Context::audio(0));
    assert!(matches!(opener.open(&observer, NOW, b"", &mut sealed), Err(OpenError::UnknownKey { .. })));
    opener.open(&member, NOW, b"", &mut sealed).unwrap();

    // A frame of the top layer, sealed with the base layer's key.
    for binding in [Binding::Inside, Binding::Metadata, Binding::None] {
        let agreed = super::tests::agreed(agreed.suite, binding);
        let mut keys = SenderKeys::fresh(agreed, 9, 4).unwrap();
        let (mut sealer, mut forger) = (keys.video(0).unwrap(), keys.video(1).unwrap());
        let base = keys.grant().part(&agreed, 9, Context::video(0, 0)).unwrap().unwrap();
        let key_id = agreed.layout.key_id(Context::video(0, 0), 9, 4).unwrap();
        let mut opener = VideoOpener::new(agreed, 9, 0);
        let member = ring(agreed, &[keys.grant()]);
        let mut honest = seal(&mut sealer, &descriptors[0], b"key frame");
        opener.open(&member, NOW, &descriptors[0], Unit::Frame, &mut honest).unwrap();
        seal(&mut forger, &descriptors[0], b"to know the structure");
        let mut by_observer = Sealer::new(agreed.suite, key_id, &base.base_key);
        by_observer.set_counter(1000);
        forger.set_layer(2, by_observer);
        let mut forged = seal(&mut forger, &descriptors[2], b"forged");
        let opened = opener.open(&member, NOW, &descriptors[2], Unit::Frame, &mut forged);
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
        |frame: &BytesMut| opener.open(&ring, NOW, key, Unit::Frame, &mut frame.clone()).unwrap_err();
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

/// A ring's epochs overlap for a while, and no longer.
#[test]
fn epochs_end() {
    let agreed = Agreement::default();
    let at = Duration::from_secs;
    let mut ring = KeyRing::new(agreed, at(5));
    let mut senders: Vec<_> = (0..23).map(|epoch| SenderKeys::fresh(agreed, 1, epoch).unwrap()).collect();
    let mut opener = Opener::new(agreed, 1, Context::data(0));
    let mut sealers: Vec<_> = senders.iter_mut().map(|keys| keys.sealer(Context::data(0)).unwrap()).collect();
    let mut open = |ring: &KeyRing, epoch: usize, now| {
        let mut sealed = BytesMut::new();
        sealers[epoch].seal(b"", b"data", &mut sealed).unwrap();
        opener.open(ring, now, b"", &mut sealed)
    };
    let unknown = |opened| matches!(opened, Err(OpenError::UnknownKey { .. }));
    ring.add(senders[0].grant().clone(), at(0));
    assert!(open(&ring, 0, at(100)).is_ok());
    assert!(unknown(open(&ring, 1, at(100))));
    ring.add(senders[1].grant().clone(), at(100));
    assert!(open(&ring, 0, at(104)).is_ok() && open(&ring, 1, at(104)).is_ok());
    assert!(unknown(open(&ring, 0, at(105))) && open(&ring, 1, at(105)).is_ok());
    // Once over it does not come back, even if somebody adds it again: the replay window is gone.
    ring.add(senders[0].grant().clone(), at(106));
    assert!(unknown(open(&ring, 0, at(106))));

    // Epoch 17 has the key id of epoch 1, which it ends at once.
    ring.add(senders[17].grant().clone(), at(107));
    assert!(open(&ring, 17, at(107)).is_ok());
    assert_eq!(open(&ring, 1, at(107)), Err(OpenError::NotAuthentic));
    // No more than four are held, whatever the overlap.
    for sender in &senders[18..23] {
        ring.add(sender.grant().clone(), at(107));
    }
    let key_id = |epoch| agreed.layout.key_id(Context::data(0), 1, epoch).unwrap();
    let held: Vec<_> = (0..23).filter(|&epoch| ring.base_key(key_id(epoch), epoch).is_some()).collect();
    assert_eq!(held, [19, 20, 21, 22]);
    ring.expire(at(200));
    let held: Vec<_> = (0..23).filter(|&epoch| ring.base_key(key_id(epoch), epoch).is_some()).collect();
    assert_eq!(held, [22]);
}

/// Packets may come late, but not that late; and what was never opened leaves no trace.
#[test]
fn the_replay_window() {
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let ring = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.sealer(Context::data(0)).unwrap();
    let sealed: Vec<_> = (0..3000u32)
        .map(|_| {
            let mut sealed = BytesMut::new();
            sealer.seal(b"", b"", &mut sealed).unwrap();
            sealed
        })
        .collect();
    let mut opener = Opener::new(agreed, 0, Context::data(0));
    let mut open = |index: usize| opener.open(&ring, NOW, b"", &mut sealed[index].clone());
    assert_eq!(open(2999), Ok(()));
    assert_eq!(open(3000 - 2048), Ok(()));
    assert_eq!(open(3000 - 2049), Err(OpenError::TooOld { counter: 3000 - 2049 }));
    let mut expected: Vec<_> = (3000 - 2047..2999).collect();
    expected.reverse();
    assert!(expected.iter().all(|&index| open(index) == Ok(())));
    for &index in &expected {
        assert_eq!(open(index), Err(OpenError::Replayed { counter: index as u64 }));
    }
    let mut far = Header::encode(agreed.layout.key_id(Context::data(0), 0, 0).unwrap(), 1 << 30).to_vec();
    far.extend([0; 16]);
    let mut opener = Opener::new(agreed, 0, Context::data(0));
    assert_eq!(opener.open(&ring, NOW, b"", &mut BytesMut::from(&far[..])), Err(OpenError::NotAuthentic));
    assert_eq!(opener.open(&ring, NOW, b"", &mut sealed[0].clone()), Ok(()));
}

/// Tries all there is to make a key and counter repeat.
#[test]
fn no_nonce_repeats() {
    let agreed = Agreement::default();
    let mut seen = HashSet::new();
    let mut seal_some = |base: &[u8], sealer: &mut VideoSealer, descriptors: &[DependencyDescriptor]| {
        for descriptor in descriptors {
            let header = Header::read(&seal(sealer, descriptor, b"")).unwrap();
            assert!(seen.insert((base.to_vec(), header.key_id, header.counter)));
        }
    };
    let (_, descriptors) = call(ScalabilityMode::S3T3, 20);
    let mut group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
    for _ in 0..3 {
        // A second set of keys of the epoch, and a second counter of a key, are not to be had.
        let mut keys = group.sender_keys().unwrap();
        assert!(matches!(group.sender_keys(), Err(MlsError::InUse { .. })));
        let base = keys.grant().base_key.clone();
        let mut sealer = keys.video(0).unwrap();
        let used = SenderKeyError::InUse(Context::video(0, 0));
        assert_eq!(keys.video(0).unwrap_err(), used);
        assert_eq!(keys.sealer(Context::video(0, 0)).unwrap_err(), used);
        assert_eq!(sealer.rekey(&mut keys, 0), Err(used));
        seal_some(base.expose(), &mut sealer, &descriptors);
        seal_some(base.expose(), &mut sealer, &descriptors);
        drop((sealer, keys));
        // Not even when all of it is gone.
        assert!(matches!(group.sender_keys(), Err(MlsError::InUse { .. })));
        group.update().unwrap();
        group.merge().unwrap();
    }
    // Started again under the same index and epoch: the keys are others.
    for _ in 0..3 {
        let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
        let base = keys.grant().base_key.clone();
        seal_some(base.expose(), &mut keys.video(0).unwrap(), &descriptors);
    }
    for _ in 0..3 {
        let mut group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
        let mut keys = group.sender_keys().unwrap();
        let base = keys.grant().base_key.clone();
        seal_some(base.expose(), &mut keys.video(0).unwrap(), &descriptors);
    }
    assert_eq!(seen.len(), 3 * 4 * descriptors.len());

    // At its end the counter stays there; an error uses none up.
    let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let mut sealer = keys.sealer(Context::data(0)).unwrap();
    sealer.set_counter(MAX_FRAMES - 2);
    let mut out = BytesMut::new();
    assert_eq!(sealer.seal_in_place(b"", &mut BytesMut::new()), Err(SealError::NoRoom));
    assert_eq!(
        [(); 4].map(|()| sealer.seal(b"", b"", &mut out)),
        [Ok(()), Ok(()), Err(SealError::Exhausted), Err(SealError::Exhausted)]
    );
    let first = Header::read(&out).unwrap();
    let second = Header::read(&out[first.size + 16..]).unwrap();
    assert_eq!((first.counter, second.counter), (MAX_FRAMES - 2, MAX_FRAMES - 1));
    assert_eq!(out.len(), 2 * (first.size + 16));
}

#[test]
fn secrets_are_not_shown() {
    let agreed = Agreement::default();
    let keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let shown = format!("{keys:?} {:?}", keys.grant().base_key);
    let bytes = keys.grant().base_key.expose();
    assert!(shown.contains("BaseKey(..)") && !shown.contains(&format!("{}, {}", bytes[0], bytes[1])));
    let group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
    assert!(format!("{:?}", group.code().unwrap()).contains(".."));
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Members of a call, with what each received.
struct Member {
    group: Group,
    ring: KeyRing,
}

fn login(name: &str) -> Login {
    Login::new(name.as_bytes(), DAY).unwrap()
}

/// Delivers a commit of the first member to all, and adds each one's new keys.
fn deliver(members: &mut [Member], commit: &Commit, now: Duration) {
    members[0].group.merge().unwrap();
    for member in &mut members[1..] {
        let epoch = member.group.epoch() + 1;
        assert_eq!(member.group.process(&commit.commit).unwrap(), Processed::Epoch(epoch));
    }
    for member in members {
        member.ring.add(member.group.grant().unwrap(), now);
    }
}

fn join(login: Login, agreed: Agreement, commit: &Commit, now: Duration) -> Member {
    let group = login.join(agreed, &commit.welcome).unwrap();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    ring.add(group.grant().unwrap(), now);
    Member { group, ring }
}

/// The one who joins cannot read what was, the one who left cannot read what follows.
#[test]
fn joining_and_leaving() {
    let agreed = Agreement::default();
    let group = login("alice").create(agreed).unwrap();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    ring.add(group.grant().unwrap(), NOW);
    let mut members = vec![Member { group, ring }];
    let mut frames = Vec::new();
    let mut say = |alice: &mut Group| {
        let mut sealed = BytesMut::new();
        let mut sealer = alice.sender_keys().unwrap().sealer(Context::audio(0)).unwrap();
        sealer.seal(b"", format!("epoch {}", alice.epoch()).as_bytes(), &mut sealed).unwrap();
        frames.push(sealed);
    };
    say(&mut members[0].group);
    for name in ["bob", "carol"] {
        let newcomer = login(name);
        let commit = members[0].group.add(&[&newcomer.key_package().unwrap()]).unwrap();
        deliver(&mut members, &commit, NOW);
        members.push(join(newcomer, agreed, &commit, NOW));
        say(&mut members[0].group);
    }
    let names: Vec<_> = members[2].group.members().map(|(_, name)| name).collect();
    assert_eq!(names, [&b"alice"[..], b"bob", b"carol"]);
    let code = members[0].group.code().unwrap();
    assert!(members.iter().all(|member| member.group.code().unwrap() == code));
    assert_eq!(code.to_string().len(), 12 * 6 - 1);

    // Bob goes, Carol stays.
    let proposal = members[1].group.leave().unwrap();
    assert_eq!(members[0].group.process(&proposal).unwrap(), Processed::Proposal);
    assert_eq!(members[2].group.process(&proposal).unwrap(), Processed::Proposal);
    let commit = members[0].group.commit().unwrap();
    let mut bob = members.remove(1);
    deliver(&mut members, &commit, NOW);
    assert_eq!(bob.group.process(&commit.commit).unwrap(), Processed::Removed);
    assert!(bob.group.grant().is_err() && bob.group.sender_keys().is_err() && bob.group.code().is_err());
    assert_ne!(members[0].group.code().unwrap(), code);
    say(&mut members[0].group);

    let opens = |ring: &KeyRing| {
        let open = |frame: &BytesMut| {
            let mut opener = Opener::new(agreed, 0, Context::audio(0));
            opener.open(ring, NOW, b"", &mut frame.clone()).is_ok()
        };
        frames.iter().map(open).collect::<Vec<_>>()
    };
    assert_eq!(opens(&members[0].ring), [true, true, true, true]);
    assert_eq!(opens(&bob.ring), [false, true, true, false]);
    assert_eq!(opens(&members[1].ring), [false, false, true, true]);

    // Nor with another epoch's key under the key id of the one that he lacks.
    let bobs = bob.ring.base_key(2, 2).unwrap();
    let mut opener = Opener::new(agreed, 0, Context::audio(0));
    let opened = opener.open(&One(bobs), NOW, b"", &mut frames[3].clone());
    assert_eq!(opened, Err(OpenError::NotAuthentic));
}

#[test]
fn commits_that_cross() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let bob = login("bob");
    let commit = alice.add(&[&bob.key_package().unwrap()]).unwrap();
    assert!(alice.add(&[]).is_err(), "one commit at a time");
    alice.discard().unwrap();
    let commit_again = alice.add(&[&login("other").key_package().unwrap()]).unwrap();
    assert_ne!(commit, commit_again);
    alice.discard().unwrap();
    let bobs_key_package = bob.key_package().unwrap();
    let commit = alice.add(&[&bobs_key_package]).unwrap();
    alice.merge().unwrap();
    assert!(matches!(alice.merge(), Err(MlsError::Unexpected)));
    let mut bob = bob.join(agreed, &commit.welcome).unwrap();

    let (alices, bobs) = (alice.update().unwrap(), bob.update().unwrap());
    // Alice's was first.
    let epoch = alice.merge().unwrap();
    assert_eq!(bob.process(&alices.commit).unwrap(), Processed::Epoch(epoch));
    assert!(alice.process(&bobs.commit).is_err());
    assert_eq!(bob.code().unwrap(), alice.code().unwrap());
    assert!(matches!(bob.merge(), Err(MlsError::Unexpected)));
    // Both sides still have one group.
    let removed = alice.remove(&[bob.member()]).unwrap();
    alice.merge().unwrap();
    assert_eq!(bob.process(&removed.commit).unwrap(), Processed::Removed);
    assert!(alice.remove(&[7]).is_err());
}

#[test]
fn strangers_and_noise_are_refused() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let (bob, eve) = (login("bob"), login("eve"));
    let commit = alice.add(&[&bob.key_package().unwrap()]).unwrap();
    alice.merge().unwrap();
    assert!(matches!(eve.join(agreed, &commit.welcome), Err(MlsError::Refused { .. })));
    assert!(matches!(login("eve").join(agreed, b"noise"), Err(MlsError::Malformed(_))));
    assert!(matches!(login("eve").join(agreed, &commit.commit), Err(MlsError::Malformed(_))));
    let mut bob = bob.join(agreed, &commit.welcome).unwrap();
    for at in 0..commit.commit.len() {
        let mut bytes = commit.commit.clone();
        bytes[at] ^= 0x40;
        assert!(bob.process(&bytes).is_err() && alice.add(&[&bytes]).is_err());
    }
    assert!(matches!(bob.process(&commit.welcome), Err(MlsError::Unexpected)));
    assert_eq!(bob.code().unwrap(), alice.code().unwrap());

    // A key package that somebody changed, or whose time is over.
    let key_package = login("carol").key_package().unwrap();
    let mut changed = key_package.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(alice.add(&[&changed]).is_err());
    assert!(alice.add(&[&key_package]).is_ok());
    alice.discard().unwrap();
    assert!(Group::members(&alice).count() == 2);
}

/// A group of two and one in the middle: each side sees another code.
#[test]
fn one_in_the_middle_is_seen() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let (as_bob, bob) = (login("bob"), login("bob"));
    let to_alice = alice.add(&[&as_bob.key_package().unwrap()]).unwrap();
    alice.merge().unwrap();
    let mut as_alice = login("alice").create(agreed).unwrap();
    let to_bob = as_alice.add(&[&bob.key_package().unwrap()]).unwrap();
    as_alice.merge().unwrap();
    as_bob.join(agreed, &to_alice.welcome).unwrap();
    let bob = bob.join(agreed, &to_bob.welcome).unwrap();
    assert_ne!(alice.code().unwrap(), bob.code().unwrap());
    assert_ne!(alice.code().unwrap().to_string(), bob.code().unwrap().to_string());
}

/// A grant that a key server sends again, or late, does not end the one that holds.
#[test]
fn a_late_grant_does_not_end_the_newest() {
    let agreed = Agreement::default();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    let mut senders: Vec<_> = [5, 6].map(|epoch| SenderKeys::fresh(agreed, 1, epoch).unwrap()).into();
    ring.add(senders[1].grant().clone(), NOW);
    ring.add(senders[0].grant().clone(), NOW);
    let mut opener = Opener::new(agreed, 1, Context::data(0));
    let mut sealer = senders[1].sealer(Context::data(0)).unwrap();
    for now in [NOW, NOW + 2 * OVERLAP] {
        let mut sealed = BytesMut::new();
        sealer.seal(b"", b"data", &mut sealed).unwrap();
        assert_eq!(opener.open(&ring, now, b"", &mut sealed), Ok(()));
    }
}
