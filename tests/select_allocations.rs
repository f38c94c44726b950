//! A selector that knows its streams takes new inputs and decides without allocating memory.

use std::time::Duration;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use layercast::select::{
    Cpu, DecodeTime, DemandConfig, DemandFold, Network, Offer, Priority, ReceiverId, Selector,
    SelectorConfig, StreamId, Window,
};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn a_decision_allocates_nothing() {
    let mut selector = Selector::new(SelectorConfig::default());
    let mut fold = DemandFold::new(DemandConfig::default());
    let offer = Offer::new(ScalabilityMode::L3T3, Size::new(1280, 720), 30.0, |target| {
        60_000 * (1 + 2 * u64::from(target.spatial_id)) * (3 + u64::from(target.temporal_id))
    });
    let window = |width: u32| Window::new(Size::new(width, width * 9 / 16), Priority::Thumbnail);
    let frame = DecodeTime { luma_samples: 640 * 360, time: Duration::from_millis(2) };
    let cpu = Cpu { decode_times: [frame].into_iter().collect(), cores: Some(8.0), load: None };
    for stream in 0..49 {
        selector.set_offer(Time::ZERO, StreamId(stream), &offer);
        selector.set_window(Time::ZERO, StreamId(stream), window(320));
    }
    let first = *selector.decide(Time::ZERO).stream(StreamId(7)).expect("a stream that is known");
    fold.set_receiver(Time::ZERO, ReceiverId(1), &first);
    let mut targets = 0;
    for step in 1..200u64 {
        let now = Time::from_millis(100 * step);
        assert_no_alloc(|| {
            let stream = StreamId((step % 49) as u32);
            let available_bitrate = Some(12_000_000 + 200_000 * (step % 70));
            selector.set_network(now, Network { available_bitrate, ..Network::default() });
            selector.set_cpu(now, &cpu);
            selector.set_window(now, stream, window(160 + 20 * (step % 50) as u32));
            selector.set_offer(now, stream, &offer);
            let decision = selector.decide(now);
            targets += decision.streams.iter().filter(|stream| stream.target.is_some()).count();
            fold.set_receiver(now, ReceiverId(1), &decision.streams[7]);
            assert!(fold.demand(now).layers().len() <= 9);
        });
    }
    assert!(targets > 49 * 100, "most streams are shown most of the time, and {targets} were");
}
