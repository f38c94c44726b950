//! A selector with reports of anybody: nothing but what is on offer is chosen, kept or shown, within the budget, and no
//! stream is asked for more than a refresh a second. Each report follows the time that has passed, its length and
//! kilobits of the path.
#![no_main]

use std::time::Duration;

use layercast::select::{
    DemandConfig, DemandFold, Network, Offer, ReceiverId, ReceiverReport, Selector, SelectorConfig, StreamId,
};
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};
use libfuzzer_sys::fuzz_target;

const MODES: [ScalabilityMode; 3] = [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3];

fuzz_target!(|data: &[u8]| {
    let config = SelectorConfig::default();
    let mut selector = Selector::new(config);
    let mut folds = [(); MODES.len()].map(|()| DemandFold::new(DemandConfig::default()));
    for (stream, mode) in (0..).zip(MODES) {
        let offer = Offer::new(mode, Size::new(1280, 720), 30.0, |target| {
            100_000 * (1 + u64::from(target.spatial_id)) + 20_000 * u64::from(target.temporal_id)
        });
        selector.set_offer(Time::ZERO, StreamId(stream), &offer);
    }
    let mut asked = [None::<Time>; MODES.len()];
    let (mut now, mut rest) = (Time::ZERO, data);
    while let [time, size, kilobits, after @ ..] = rest {
        let (report, after) = after.split_at(after.len().min(usize::from(*size)));
        rest = after;
        now += Duration::from_millis(u64::from(*time) * 8);
        let available_bitrate = (*kilobits > 0).then(|| 10_000 * u64::from(*kilobits));
        selector.set_network(now, Network { available_bitrate, ..Network::default() });
        if let Ok(report) = ReceiverReport::read(report) {
            selector.set_report(now, &report);
        }
        let decision = selector.decide(now);
        assert_eq!(decision.streams.len(), MODES.len());
        let total = decision.streams.iter().map(|stream| stream.bitrate).sum::<u64>();
        assert_eq!(decision.total_bitrate, total);
        assert!(decision.budget.is_none_or(|budget| !decision.fits || total <= budget));
        for ((decided, fold), asked) in decision.streams.iter().zip(&mut folds).zip(&mut asked) {
            if !decided.refresh.is_none() {
                assert!(decided.target.is_some());
                assert!(asked.is_none_or(|asked| now - asked >= config.refresh_interval));
                *asked = Some(now);
            }
            fold.set_receiver(now, ReceiverId(1), decided);
            let wanted = fold.demand(now).wanted();
            assert!(decided.target.is_none_or(|target| wanted.contains(target)));
        }
    }
});
