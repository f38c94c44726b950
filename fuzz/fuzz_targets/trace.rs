//! Any text is a trace or an error; a trace's opportunities are in order and start over.
#![no_main]

use layercast::Time;
use layercast::simulate::{Link, LinkConfig, Trace};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|text: &str| {
    if let Ok(trace) = Trace::parse(text) {
        let mut link = Link::new(trace, LinkConfig::default());
        let (mut now, mut last) = (Time::ZERO, Time::ZERO);
        for bytes in [1, 1500, 0, 9000, 700] {
            if let Some(arrived) = link.send(now, bytes) {
                assert!(arrived >= now && arrived >= last);
                last = arrived;
            }
            now += Duration::from_millis(7);
        }
    }
});
