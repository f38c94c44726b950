//! Two receivers send their relay any reports, over paths of any kind, while the offers change. Nothing but what is on
//! offer is chosen, kept or shown, within the budget; no stream is asked for more than a refresh a second; and the
//! sender is told to code what the receivers get.
#![no_main]

use std::time::Duration;

use layercast::select::{
    DemandConfig, DemandFold, DemandMessage, MAX_BITRATE, Network, Offer, ReceiverId, ReceiverReport,
    Selector, SelectorConfig, StreamId,
};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

const MODES: [ScalabilityMode; 3] = [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3];

/// The selector of a receiver, and when it last asked for a refresh of each stream.
struct Watcher {
    selector: Selector,
    asked: [Option<Time>; MODES.len()],
}

fuzz_target!(|data: &[u8]| {
    let config = SelectorConfig::default();
    let mut folds = [(); MODES.len()].map(|()| DemandFold::new(DemandConfig::default()));
    let mut watchers =
        [(); 2].map(|()| Watcher { selector: Selector::new(config), asked: [None; MODES.len()] });
    for (stream, mode) in (0..).zip(MODES) {
        for watcher in &mut watchers {
            watcher.selector.set_offer(Time::ZERO, StreamId(stream), &offer(mode, 20));
        }
    }
    let (mut now, mut input) = (Time::ZERO, Input::new(data));
    while !input.is_empty() {
        let step = input.byte();
        now += input.pause();
        let index = usize::from(step & 1);
        let Watcher { selector, asked } = &mut watchers[index];
        match step >> 1 & 7 {
            0..=2 => {
                let bytes = input.bytes();
                timed("report", || {
                    if let Ok(report) = ReceiverReport::read(bytes) {
                        selector.set_report(now, &report);
                    }
                });
            }
            3 | 4 => {
                let available_bitrate = 10_000 * u64::from(input.u16());
                let loss = Some(f32::from(input.byte()) / 255.0);
                let queueing_delay = Some(input.pause());
                let round_trip = Some(input.pause());
                let network =
                    Network { available_bitrate: Some(available_bitrate), loss, queueing_delay, round_trip };
                selector.set_network(now, network);
            }
            5 => {
                let stream = u32::from(input.byte() % 3);
                let offer = offer(MODES[stream as usize], input.byte().into());
                selector.set_offer(now, StreamId(stream), &offer);
            }
            6 => {
                for fold in &mut folds {
                    fold.remove_receiver(now, ReceiverId(step.into()));
                }
            }
            _ => {
                // Nothing is known of the path for a while.
                selector
                    .set_network(now, Network { queueing_delay: Some(Duration::MAX), ..Network::default() });
            }
        }
        let decision = timed("decision", || selector.decide(now));
        assert_eq!(decision.streams.len(), MODES.len());
        let total = decision.streams.iter().map(|stream| stream.bitrate).sum::<u64>();
        assert_eq!(decision.total_bitrate, total);
        assert!(decision.budget.is_none_or(|budget| !decision.fits || total <= budget));
        for ((decided, fold), asked) in decision.streams.iter().zip(&mut folds).zip(asked) {
            if !decided.refresh.is_none() {
                assert!(decided.target.is_some());
                assert!(asked.is_none_or(|asked| now - asked >= config.refresh_interval));
                *asked = Some(now);
            }
            assert!(decided.target.is_some() || (decided.bitrate, decided.room) == (0, 0));
            assert!(decided.room <= MAX_BITRATE);
            fold.set_receiver(now, ReceiverId(index as u32), decided);
            let demand = timed("demand", || fold.demand(now)).clone();
            assert!(decided.target.is_none_or(|target| demand.wanted().contains(target)));
            let (message, mut written) = (DemandMessage { stream: decided.stream, demand }, vec![]);
            message.write(&mut written).unwrap();
            let read = DemandMessage::read(&written).unwrap();
            assert_eq!(read.demand.wanted(), message.demand.wanted());
        }
    }
});

/// Layers of 100 kbit/s and more.
fn offer(mode: ScalabilityMode, step: u64) -> Offer {
    Offer::new(mode, Size::new(1280, 720), 30.0, |target| {
        100_000 * (1 + u64::from(target.spatial_id)) + 1000 * step * u64::from(target.temporal_id)
    })
}
