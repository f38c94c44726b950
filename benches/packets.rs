//! From a frame to encrypted packets and back, beside the cipher alone, in one run.
//!
//! All figures are of payload bytes a second: of the frame, not of what is on the wire.

#![allow(missing_docs)] // criterion_group! makes a public function.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use criterion::{Bencher, Criterion, Throughput, criterion_group, criterion_main};
use layercast::e2ee::attest::{AttestationChecker, DELAY, INTERVAL, SframeDigest};
use layercast::e2ee::mls::Login;
use layercast::e2ee::*;
use layercast::rtp::{
    DependencyDescriptor, Describer, OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat,
    Reassembler, ReassemblerConfig, ReassemblerEvent,
};
use layercast::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const DESCRIPTOR: u8 = 3;
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];

/// Descriptors of a call without end, all of one spatial layer.
struct Call(Planner, Describer);

impl Call {
    fn new() -> Self {
        Self(Planner::new(ScalabilityMode::L1T3, Size::new(1280, 720)), Describer::new())
    }

    fn next(&mut self) -> DependencyDescriptor {
        let wanted = DecodeTargets::all(ScalabilityMode::L1T3.structure());
        let picture = self.0.next(PictureRequest { wanted, ..Default::default() });
        self.1.describe(&picture).expect("a key picture came first").remove(0)
    }
}

fn packetizer() -> Packetizer {
    Packetizer::new(PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR, 96, 1))
}

fn packetize(
    packetizer: &mut Packetizer,
    descriptor: &DependencyDescriptor,
    payload: &[u8],
    packets: &mut Packets,
) {
    let frame = OutgoingFrame { payload, descriptor, timestamp: 0, end_of_picture: true };
    packetizer.packetize(&frame, packets).unwrap();
}

/// Measures what `work` makes of a buffer that holds `content` each time.
fn in_place(b: &mut Bencher<'_>, content: &[u8], mut work: impl FnMut(&mut BytesMut)) {
    b.iter_custom(|rounds| {
        let mut taken = Duration::ZERO;
        let mut buffer = BytesMut::with_capacity(2 * content.len() + 256);
        for _ in 0..rounds {
            buffer.clear();
            buffer.reserve(content.len() + 128);
            buffer.extend_from_slice(content);
            let start = Instant::now();
            work(black_box(&mut buffer));
            taken += start.elapsed();
        }
        taken
    })
}

fn bench(c: &mut Criterion) {
    let agreed = Agreement::default();
    for size in SIZES {
        let mut group = c.benchmark_group(format!("{} kB", size / 1000));
        group.throughput(Throughput::Bytes(size as u64)).measurement_time(Duration::from_secs(3));
        let frame = vec![0x5a; size];

        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
        let nonce = || Nonce::assume_unique_for_key([3; 12]);
        group.bench_function("AES-256-GCM, seal", |b| {
            in_place(b, &frame, |buffer| {
                let _ = cipher.seal_in_place_separate_tag(nonce(), Aad::from([1; 4]), buffer).unwrap();
            })
        });
        let mut sealed = frame.clone();
        cipher.seal_in_place_append_tag(nonce(), Aad::from([1; 4]), &mut sealed).unwrap();
        group.bench_function("AES-256-GCM, open", |b| {
            in_place(b, &sealed, |buffer| {
                cipher.open_in_place(nonce(), Aad::from([1; 4]), buffer).unwrap();
            })
        });

        let mut call = Call::new();
        let mut sealer = SenderKeys::fresh(agreed, 0, 0).unwrap().video(0).unwrap();
        let mut packetizer_ = packetizer();
        let (mut sealed, mut packets) = (BytesMut::new(), Packets::new());
        // The planner's work is not measured, so one descriptor has to do for all frames after the first.
        sealer.seal(&call.next(), SealedUnit::Frame, &frame, &mut sealed).unwrap();
        let descriptor = call.next();
        // The coder has written the frame behind room for the header.
        let plain = [&[0; MAX_HEADER][..], &frame].concat();
        group.bench_function("encrypt", |b| {
            in_place(b, &plain, |buffer| {
                sealer.seal_in_place(&descriptor, SealedUnit::Frame, buffer).unwrap()
            })
        });
        packetize(&mut packetizer_, &Call::new().next(), &frame, &mut packets);
        group.bench_function("encrypt and packetize", |b| {
            in_place(b, &plain, |buffer| {
                packets.clear();
                sealer.seal_in_place(&descriptor, SealedUnit::Frame, buffer).unwrap();
                packetize(&mut packetizer_, &descriptor, buffer, &mut packets);
            })
        });
        group.bench_function("encrypt a copy and packetize", |b| {
            in_place(b, &frame, |buffer| {
                packets.clear();
                sealed.clear();
                sealer.seal(&descriptor, SealedUnit::Frame, buffer, &mut sealed).unwrap();
                packetize(&mut packetizer_, &descriptor, &sealed, &mut packets);
            })
        });

        let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
        let (mut sealer, mut call, mut packetizer_) = (keys.video(0).unwrap(), Call::new(), packetizer());
        let mut ring = KeyRing::new(agreed, Duration::ZERO);
        ring.add(Time::ZERO, keys.grant().clone());
        let mut opener = VideoOpener::new(agreed, 0, 0);
        let mut reassembler = Reassembler::new(ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR));
        group.bench_function("depacketize and decrypt", |b| {
            b.iter_custom(|rounds| {
                let mut taken = Duration::ZERO;
                let (mut sealed, mut packets) = (BytesMut::new(), Packets::new());
                for _ in 0..rounds {
                    sealed.clear();
                    let descriptor = call.next();
                    sealer.seal(&descriptor, SealedUnit::Frame, &frame, &mut sealed).unwrap();
                    packetize(&mut packetizer_, &descriptor, &sealed, &mut packets);
                    let packets: Vec<Bytes> = packets.drain().collect();
                    let start = Instant::now();
                    for packet in packets {
                        reassembler.push(Time::ZERO, packet).unwrap();
                    }
                    while let Some(event) = reassembler.poll(Time::ZERO) {
                        let ReassemblerEvent::Frame(received) = event else { panic!("{event:?}") };
                        let frame = opener.open_received(Time::ZERO, &ring, received).unwrap();
                        if frame.starts_sequence {
                            reassembler.adopt(Time::ZERO, frame.structure.clone());
                        }
                        black_box(frame);
                    }
                    taken += start.elapsed();
                }
                taken
            })
        });
        group.finish();

        let mut call = Call::new();
        let (mut sealer, mut packetizer_) =
            (SenderKeys::fresh(agreed, 0, 0).unwrap().video(0).unwrap(), packetizer());
        for _ in 0..2 {
            packets.clear();
            sealed.clear();
            let descriptor = call.next();
            sealer.seal(&descriptor, SealedUnit::Frame, &frame, &mut sealed).unwrap();
            packetize(&mut packetizer_, &descriptor, &sealed, &mut packets);
        }
        let wire: usize = packets.iter().map(<[u8]>::len).sum();
        println!(
            "{size} bytes in {} packets: {} bytes more by SFrame, {:.1} a packet in all\n",
            packets.len(),
            sealed.len() - size,
            (wire - size) as f64 / packets.len() as f64
        );
    }
}

/// What attestations cost a picture of three layers at sender and receiver, 30 pictures a second: hashing all layers,
/// and a share of a signature twice a second.
fn attestations(c: &mut Criterion) {
    let second = Duration::from_secs(1);
    let group = Login::new(b"alice", second).unwrap().create(Agreement::default()).unwrap();
    let epoch = group.epoch();
    for kbits in [600, 2500] {
        // Each layer has twice the bits of the one below.
        let picture: usize = 1000 * kbits / 8 / 30;
        let layers = [1, 2, 4].map(|share| picture * share / 7);
        let pictures = move || {
            (0_u64..).map(move |number| {
                let frame = |layer: usize| {
                    let header = Header::encode(layer as u64, number);
                    [&header[..], &vec![number as u8; layers[layer]]].concat()
                };
                (Time::ZERO + second * number as u32 / 30, [0, 1, 2].map(frame))
            })
        };
        let mut measured = c.benchmark_group(format!("attest a picture at {kbits} kbit/s"));
        measured.bench_function("send", |b| {
            b.iter_custom(|rounds| {
                let (attester, mut taken) = (group.attester(INTERVAL), Duration::ZERO);
                for (now, frames) in pictures().take(rounds as usize) {
                    let start = Instant::now();
                    for frame in &frames {
                        attester.add(epoch, SframeDigest::new(b"", black_box(frame)).unwrap());
                    }
                    black_box(attester.poll(now).unwrap());
                    taken += start.elapsed();
                }
                taken
            })
        });
        measured.bench_function("receive", |b| {
            b.iter_custom(|rounds| {
                let (attester, mut taken) = (group.attester(INTERVAL), Duration::ZERO);
                let checker = AttestationChecker::new(DELAY);
                checker.enter(group.sender(0).unwrap());
                for (now, frames) in pictures().take(rounds as usize) {
                    for frame in &frames {
                        attester.add(epoch, SframeDigest::new(b"", frame).unwrap());
                    }
                    let message = attester.poll(now).unwrap();
                    let start = Instant::now();
                    for frame in &frames {
                        let digest = SframeDigest::new(b"", black_box(frame)).unwrap();
                        checker.insert(now, epoch, digest, 0);
                    }
                    if let Some(message) = message {
                        checker.handle(now, &message).unwrap();
                    }
                    while let Some(checked) = checker.poll(now) {
                        black_box(checked);
                    }
                    taken += start.elapsed();
                }
                taken
            })
        });
        measured.finish();
    }
}

criterion_group!(benches, bench, attestations);
criterion_main!(benches);
