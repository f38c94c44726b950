//! What a relay's room takes for each packet that it forwards, on one core.
#![allow(missing_docs)] // criterion_group! makes a public function.

#[path = "../tests/common/audience.rs"]
mod audience;
#[path = "../tests/common/camera.rs"]
mod camera;

use std::hint::black_box;
use std::time::{Duration, Instant};

use audience::{Audience, Cost};
use camera::{Camera, FRAME_RATE};
use criterion::{Criterion, criterion_group, criterion_main};
use layercast::relay::{ForwarderConfig, FrameReader, Subscription};
use layercast::rtp::RtpPacket;
use layercast::session::DESCRIPTOR_ID;
use layercast::structure::LayerId;
use layercast::{Size, Time};

/// What a receiver's path carries: so much that pacing, which is meant to take time, does not.
const BITRATE: u64 = 50_000_000;
const FULL: Size = Size::new(1280, 720);
const TILE: Size = Size::new(480, 270);
/// Until estimates and targets have settled.
const SETTLES: Duration = Duration::from_secs(6);

/// Measures what rooms take for a packet that they forward.
fn rooms(criterion: &mut Criterion, name: &str, mut rooms: Vec<Audience>) {
    for room in &mut rooms {
        room.run(SETTLES);
    }
    let mut at = 0;
    let mut out = Vec::new();
    std::mem::swap(&mut rooms[0].out, &mut out);
    // In turn, so that each finds the caches as the others left them.
    let mut measure = |rounds: u64, of: fn(&Cost) -> Duration| {
        let mut cost = Cost::default();
        while cost.packets < rounds {
            std::mem::swap(&mut rooms[at].out, &mut out);
            rooms[at].step(&mut cost);
            std::mem::swap(&mut rooms[at].out, &mut out);
            at = (at + 1) % rooms.len();
        }
        of(&cost).mul_f64(rounds as f64 / cost.packets as f64)
    };
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    group.bench_function("forward a packet", |b| {
        b.iter_custom(|rounds| measure(rounds, |cost| cost.forwarding))
    });
    group.bench_function("its share of timers", |b| {
        b.iter_custom(|rounds| measure(rounds, |cost| cost.timers))
    });
    group.bench_function("its share of a report", |b| {
        b.iter_custom(|rounds| measure(rounds, |cost| cost.reports))
    });
    group.finish();
}

/// Measures the decision alone.
fn decisions(criterion: &mut Criterion, name: &str, receivers: usize) {
    let mut camera = Camera::new(0, false);
    let (mut reader, mut pictures) = (FrameReader::new(), 0);
    let mut subscriptions = vec![Subscription::new(ForwarderConfig::default()); receivers];
    for subscription in &mut subscriptions {
        subscription.set_target(Time::ZERO, Some(LayerId::new(2, 2)));
    }
    let mut group = criterion.benchmark_group(name);
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    group.bench_function("decide alone", |b| {
        b.iter_custom(|rounds| {
            let (mut taken, mut forwarded) = (Duration::ZERO, 0);
            while forwarded < rounds {
                let now = Time::from_micros(pictures * 1_000_000 / FRAME_RATE);
                camera.take_picture(now);
                pictures += 1;
                while let Some(packet) = camera.poll(now) {
                    let rtp = RtpPacket::read(&packet).unwrap();
                    // Sender reports have none.
                    let Some(descriptor) = rtp.extension(DESCRIPTOR_ID).unwrap() else { continue };
                    let frame = reader.read(descriptor).unwrap();
                    let began = Instant::now();
                    for subscription in &mut subscriptions {
                        let packet = subscription.handle_frame(now, &frame, rtp.header.sequence_number);
                        forwarded += u64::from(black_box(packet).is_some());
                    }
                    taken += began.elapsed();
                }
            }
            taken.mul_f64(rounds as f64 / forwarded as f64)
        })
    });
    group.finish();
}

fn bench(criterion: &mut Criterion) {
    for receivers in [1, 10, 100, 1000] {
        let name = format!("L3T3 to {receivers}");
        decisions(criterion, &name, receivers as usize);
        rooms(criterion, &name, vec![Audience::new(receivers + 1, 1, FULL, BITRATE)]);
    }
    let of_twelve = || Audience::new(12, 12, TILE, BITRATE);
    rooms(criterion, "a room of 12", vec![of_twelve()]);
    rooms(criterion, "20 rooms of 12", (0..20).map(|_| of_twelve()).collect());
}

criterion_group!(benches, bench);
criterion_main!(benches);
