//! The time of one receiver's decision, and of 10,000 receivers'.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_main};
use layercast::select::{
    Cpu, DecodeTime, Network, Offer, Priority, Selector, SelectorConfig, StreamId, Window,
};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

const RECEIVERS: u64 = 10_000;
/// Streams that each of the many receivers watches.
const WATCHED: u32 = 12;

/// A receiver of `streams` streams of L3T3 that all differ, one of them pinned.
fn receiver(streams: u32, cpu: bool) -> Selector {
    let mut selector = Selector::new(SelectorConfig::default());
    for stream in 0..streams {
        selector.set_offer(Time::ZERO, StreamId(stream), &offer(stream));
        let (width, priority) =
            if stream == 0 { (1280, Priority::Pinned) } else { (480, Priority::Thumbnail) };
        selector.set_window(Time::ZERO, StreamId(stream), window(width, priority));
    }
    if cpu {
        let frame = DecodeTime { luma_samples: 1280 * 720, time: Duration::from_millis(4) };
        let cpu = Cpu { decode_times: [frame].into_iter().collect(), ..Cpu::default() };
        selector.set_cpu(Time::ZERO, &cpu);
    }
    selector
}

fn window(width: u32, priority: Priority) -> Window {
    Window::new(Size::new(width, width * 9 / 16), priority)
}

fn offer(stream: u32) -> Offer {
    Offer::new(ScalabilityMode::L3T3, Size::new(1280, 720), 30.0, |target| {
        let spatial = [54_000, 141_000, 328_000][usize::from(target.spatial_id)];
        let temporal = [100, 128, 157][usize::from(target.temporal_id)];
        spatial * temporal / 100 + 1000 * u64::from(stream)
    })
}

/// An estimate that never rests.
fn network(tick: u64, streams: u32) -> Network {
    let share = 100_000 + 7_919 * tick % 150_000;
    Network {
        available_bitrate: Some(share * u64::from(streams)),
        loss: Some(0.01),
        round_trip: Some(Duration::from_millis(60)),
        queueing_delay: Some(Duration::from_millis(10)),
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("select");
    for (name, cpu) in [("decide", false), ("decide_with_cpu", true)] {
        for streams in [1, 9, 49] {
            let mut selector = receiver(streams, cpu);
            let mut tick = 0;
            group.bench_function(BenchmarkId::new(name, streams), |bencher| {
                bencher.iter(|| {
                    tick += 1;
                    let now = Time::from_millis(100 * tick);
                    selector.set_network(now, network(tick, streams));
                    selector.decide(now).total_bitrate
                })
            });
        }
    }
    // Everything is new at once: windows and measured bitrates too.
    let offers: Vec<Offer> = (0..49).map(offer).collect();
    let mut selector = receiver(49, true);
    let mut tick = 0;
    group.bench_function(BenchmarkId::new("all_inputs_and_decide", 49), |bencher| {
        bencher.iter(|| {
            tick += 1;
            let now = Time::from_millis(100 * tick);
            for (stream, offer) in (0..).map(StreamId).zip(&offers) {
                selector.set_offer(now, stream, offer);
                // A window that grew may rise at once, through all of its layers.
                selector.set_window(now, stream, window(640 + (tick % 640) as u32, Priority::Thumbnail));
            }
            selector.set_network(now, network(tick, 49));
            selector.decide(now).total_bitrate
        })
    });
    let mut receivers: Vec<Selector> = (0..RECEIVERS).map(|_| receiver(WATCHED, true)).collect();
    let mut tick = 0;
    group.throughput(Throughput::Elements(RECEIVERS)).sample_size(10);
    group.bench_function(BenchmarkId::new("receivers_of_12", RECEIVERS), |bencher| {
        bencher.iter(|| {
            tick += 1;
            let now = Time::from_millis(100 * tick);
            let decide = |selector: &mut Selector| {
                selector.set_network(now, network(tick, WATCHED));
                selector.decide(now).total_bitrate
            };
            receivers.iter_mut().map(decide).sum::<u64>()
        })
    });
    group.finish();
}

fn benches() {
    bench(&mut Criterion::default().configure_from_args());
}

criterion_main!(benches);
