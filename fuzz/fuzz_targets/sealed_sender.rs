//! A malicious sender has keys: it seals any frames under any descriptors, counters, numbers and labels. The receiver
//! holds no more than its limits and decodes no more than its limits.
#![no_main]

use bytes::{Bytes, BytesMut};
use layercast::Time;
use layercast::e2ee::{Agreement, Binding, Context, Grant, Header, KeyRing, KeySource, SealedUnit};
use layercast::rtp::descriptor::{DependencyDescriptor, DependencyStructure};
use layercast::rtp::{OpenedFrame, OutgoingFrame};
use layercast_fuzz::{Input, Receiver, Sender, damage, videos};
use libfuzzer_sys::fuzz_target;
use sframe::CipherSuite;
use sframe::frame::{EncryptedFrameView, MediaFrameView, MonotonicCounter};
use sframe::key::{DecryptionKey, EncryptionKey};

const SUITE: CipherSuite = CipherSuite::AesGcm256Sha512;
/// Frames that are sent at most.
const FRAMES: usize = 600;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let binding = *input.pick(&[Binding::Inside, Binding::Metadata, Binding::None, Binding::Page]);
    let agreement = Agreement { binding, ..Agreement::default() };
    let mut sender = Sender::new(input.pick(videos()), agreement);
    let mut receiver = Receiver::new(agreement, sender.target());
    let mut now = Time::ZERO;
    let grant = sender.keys().grant().clone();
    receiver.keys.add(now, grant.clone());
    let forger = Forger::new(agreement, grant);
    let mut picture = sender.picture();
    let mut number = 0_u16;
    let mut sent_frames = 0;
    while !input.is_empty() && sent_frames < FRAMES {
        let step = input.byte();
        match step % 8 {
            0 => picture = sender.picture(),
            1 => now += input.pause(),
            2 => {
                sender.start_again();
                picture = sender.picture();
            }
            _ => {}
        }
        // As they come from the planner, and then as the input says.
        let at = usize::from(step >> 5) % picture.payloads.len();
        let (mut descriptor, mut payload) = (picture.descriptors[at].clone(), picture.payloads[at].clone());
        if step % 8 >= 4 {
            descriptor = damaged(&descriptor, sender.structure(), input.bytes()).unwrap_or(descriptor);
        }
        let (mut count, mut stride) = (1, 0);
        match step % 8 {
            5 => payload = input.bytes().to_vec(),
            6 => damage(&mut payload, input.bytes(), &input.pick(&videos()[0].pictures[1])[..]),
            // Many small frames, whose numbers are this far apart.
            7 => {
                (count, stride) = (1 + usize::from(input.byte()), input.u16());
                payload.truncate(input.byte().into());
            }
            _ => {}
        }
        let forgery = (step % 8 == 3).then(|| (input.byte(), input.u64(), input.bytes()));
        let mut packets = vec![];
        for _ in 0..count {
            sent_frames += 1;
            if stride > 0 {
                number = number.wrapping_add(stride);
                descriptor.frame_number = number;
            } else {
                number = descriptor.frame_number;
            }
            let mut sealed = BytesMut::new();
            if sender.sealer.seal(&descriptor, SealedUnit::Frame, &payload, &mut sealed).is_err() {
                break;
            }
            if let Some((counter_bits, counter, label)) = forgery {
                sealed = forger.forge(&sealed, counter >> (counter_bits % 64), label);
            }
            let frame = OutgoingFrame {
                payload: &sealed,
                descriptor: &descriptor,
                timestamp: picture.timestamp,
                end_of_picture: at + 1 == picture.payloads.len(),
            };
            if !sender.packetize(&frame, &mut packets) {
                break;
            }
        }
        for packet in packets {
            receiver.handle(now, Some(packet), check);
        }
        receiver.handle(now, None::<Bytes>, check);
    }
});

/// What was opened is in itself sound.
fn check(opened: &OpenedFrame) {
    let targets = usize::from(opened.structure.decode_targets);
    assert_eq!(opened.dependencies.decode_target_indications.len(), targets);
    assert_eq!(opened.dependencies.chain_diffs.len(), usize::from(opened.structure.chains));
}

/// A descriptor that is damaged, if it can be read all the same.
fn damaged(
    descriptor: &DependencyDescriptor,
    structure: &DependencyStructure,
    how: &[u8],
) -> Option<DependencyDescriptor> {
    let mut bytes = vec![];
    descriptor.write(structure, &mut bytes).unwrap();
    damage(&mut bytes, how, &[]);
    DependencyDescriptor::read(&bytes, Some(structure)).ok()
}

/// Seals with another implementation, which leaves counters and labels to its caller.
struct Forger {
    keys: Vec<(EncryptionKey, DecryptionKey)>,
}

impl Forger {
    fn new(agreement: Agreement, grant: Grant) -> Self {
        let mut ring = KeyRing::new(agreement, Default::default());
        ring.add(Time::ZERO, grant);
        let keys = (0..4).map(|spatial_id| {
            let key_id = agreement.layout.key_id(Context::video(0, spatial_id), 3, 0).unwrap();
            let base_key = ring.base_key(key_id, 0).unwrap();
            let seals = EncryptionKey::derive_from(SUITE, key_id, base_key.expose()).unwrap();
            let opens = DecryptionKey::derive_from(SUITE, key_id, base_key.expose()).unwrap();
            (seals, opens)
        });
        Self { keys: keys.collect() }
    }

    /// Seals what is in `sealed` once more, under a counter, with the bytes at its end changed: those are the label.
    fn forge(&self, sealed: &[u8], counter: u64, change: &[u8]) -> BytesMut {
        let header = Header::read(sealed).unwrap();
        let (seals, opens) = self.keys.iter().find(|(seals, _)| seals.key_id() == header.key_id).unwrap();
        // With `Binding::Metadata` the label is not in the frame, and only nonsense comes of it.
        let opened = EncryptedFrameView::try_new(sealed).unwrap().decrypt(opens);
        let mut plain = opened.map(|frame| frame.payload().to_vec()).unwrap_or_default();
        let end = plain.len().saturating_sub(24);
        let mut tail = plain.split_off(end);
        damage(&mut tail, change, &[]);
        plain.append(&mut tail);
        let mut counter = MonotonicCounter::with_start_value(counter, u64::MAX);
        let frame = MediaFrameView::try_new(&mut counter, &plain).unwrap();
        BytesMut::from(frame.encrypt(seals).unwrap().as_ref())
    }
}
