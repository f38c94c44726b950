//! The selector's messages: what reads is written the same way again, and is taken by a selector.
#![no_main]

use layercast::Time;
use layercast::select::{DemandMessage, ReceiverReport, Selector, SelectorConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut out = Vec::new();
    if let Ok(report) = ReceiverReport::read(data) {
        report.write(&mut out).unwrap();
        assert_eq!(ReceiverReport::read(&out), Ok(report.clone()));
        let mut selector = Selector::new(SelectorConfig::default());
        selector.set_report(Time::ZERO, &report);
        assert_eq!(selector.decide(Time::ZERO).total_bitrate, 0);
    }
    out.clear();
    if let Ok(message) = DemandMessage::read(data) {
        message.write(&mut out).unwrap();
        assert_eq!(DemandMessage::read(&out), Ok(message));
    }
});
