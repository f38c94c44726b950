//! What it takes to protect an RTP packet and to open it again, beside AES-GCM alone over the same bytes.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use layercast_link::{Certificate, Description, Link, Media, Output, State};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of a packet before it is protected, and of its header.
const PACKET: usize = 1100;
const HEADER: usize = 20;

fn packet(number: u16) -> Vec<u8> {
    let mut packet = vec![7; PACKET];
    packet[..2].copy_from_slice(&[0x90, 45]);
    packet[2..4].copy_from_slice(&number.to_be_bytes());
    packet[8..12].copy_from_slice(&[0, 0, 0, 1]);
    packet[12..16].copy_from_slice(&[0xbe, 0xde, 0, 1]);
    packet
}

/// Two ends on a path without delay, and the addresses of both.
struct Call {
    now: Instant,
    ends: [Link; 2],
    addresses: [SocketAddr; 2],
}

impl Call {
    fn connected(certificates: &[Certificate; 2]) -> Self {
        let now = Instant::now();
        let [relay, participant] = [0, 1].map(|end| Description::new(&certificates[end]).unwrap());
        let addresses: [SocketAddr; 2] =
            ["203.0.113.1:3478", "198.51.100.7:4000"].map(|text| text.parse().unwrap());
        let ends = [
            Link::relay(now, &certificates[0], &relay, &participant).unwrap(),
            Link::participant(now, &certificates[1], &participant, &relay, &addresses[..1]).unwrap(),
        ];
        let mut call = Self { now, ends, addresses };
        while call.ends.iter().any(|end| end.state() != State::Connected) {
            call.step();
        }
        call.ends.iter_mut().for_each(|end| end.expect_ssrc(1).unwrap());
        call
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(10);
        for end in [0, 1] {
            loop {
                match self.ends[end].poll(self.now) {
                    Output::Transmit(transmit) => {
                        self.ends[1 - end].handle_datagram(self.now, self.addresses[end], &transmit.datagram);
                    }
                    Output::Timeout(_) => break,
                    _ => {}
                }
            }
        }
    }
}

fn bench(criterion: &mut Criterion) {
    let certificates = [(); 2].map(|()| Certificate::generate().unwrap());
    let mut group = criterion.benchmark_group("link");
    group.throughput(Throughput::Bytes(PACKET as u64));

    let mut call = Call::connected(&certificates);
    let mut clear = packet(0);
    let mut number = 0_u16;
    group.bench_function("protect", |bencher| {
        bencher.iter(|| {
            clear[2..4].copy_from_slice(&number.to_be_bytes());
            number = number.wrapping_add(1);
            black_box(call.ends[0].protect_rtp(&clear).unwrap())
        });
    });

    let mut call = Call::connected(&certificates);
    let mut number = 0_u16;
    let (now, from) = (call.now, call.addresses[0]);
    group.bench_function("open", |bencher| {
        let [relay, participant] = &mut call.ends;
        bencher.iter_batched(
            || {
                clear[2..4].copy_from_slice(&number.to_be_bytes());
                number = number.wrapping_add(1);
                relay.protect_rtp(&clear).unwrap()
            },
            |sealed: Bytes| match participant.handle_datagram(now, from, &sealed) {
                Some(Media::Rtp(packet)) => packet,
                other => panic!("{other:?}"),
            },
            BatchSize::SmallInput,
        );
    });

    // The profile that two links agree on.
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[3; 32]).unwrap());
    let (header, mut payload) = (packet(0)[..HEADER].to_vec(), vec![7; PACKET - HEADER]);
    let nonce = || Nonce::assume_unique_for_key([5; 12]);
    group.bench_function("ring_seal", |bencher| {
        bencher.iter(|| key.seal_in_place_separate_tag(nonce(), Aad::from(&header), &mut payload).unwrap());
    });
    let mut sealed = payload.clone();
    key.seal_in_place_append_tag(nonce(), Aad::from(&header), &mut sealed).unwrap();
    let mut buffer = sealed.clone();
    group.bench_function("ring_open", |bencher| {
        bencher.iter(|| {
            // Opening is in place, so that it needs a copy each time.
            buffer.copy_from_slice(&sealed);
            key.open_in_place(nonce(), Aad::from(&header), &mut buffer).unwrap().len()
        });
    });

    // Both ends, from nothing to connected.
    group.throughput(Throughput::Elements(1)).sample_size(20);
    group.bench_function("connect", |bencher| bencher.iter(|| Call::connected(&certificates)));

    // What a stranger sends.
    let mut call = Call::connected(&certificates);
    let (now, stranger) = (call.now, "192.0.2.66:666".parse().unwrap());
    let sealed = call.ends[1].protect_rtp(&packet(0)).unwrap();
    group.bench_function("refuse_media", |bencher| {
        bencher.iter(|| call.ends[0].handle_datagram(now, stranger, black_box(&sealed)));
    });
}

fn benches() {
    bench(&mut Criterion::default().configure_from_args());
}

criterion_main!(benches);
