//! A sender with transport-wide feedback of anybody, and a receiver with packets of any numbers at any times. Nothing
//! panics, each packet is reported once at most, and the sender understands what the receiver makes of packets.
//!
//! Each step is a kind, a length and that many bytes.
#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use layercast::Time;
use layercast::congestion::feedback::transport_number;
use layercast::congestion::{Estimator, FeedbackConfig, FeedbackError, FeedbackGenerator, SentLog};
use layercast::rtp::RtcpMessage;
use layercast::rtp::rtcp::{read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut log = SentLog::new();
    let mut estimator = Estimator::new(1_000_000);
    let mut generator = FeedbackGenerator::new(FeedbackConfig::new(1, 2));
    let (mut now, mut reported) = (Time::ZERO, HashSet::new());
    let mut rest = data;
    while let [kind, size, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*size)));
        rest = after;
        let mut messages = vec![];
        match kind & 3 {
            // Packets are sent, and some arrive.
            0 => {
                for byte in bytes {
                    now += Duration::from_micros(u64::from(*byte) * 40 + 1);
                    let number = log.push(now, 1200, (byte & 1 == 0).then_some(u32::from(*kind)));
                    if byte & 2 == 0 {
                        generator.handle_packet(now, number, 1200);
                    }
                }
            }
            // Packets of other numbers arrive.
            1 => {
                for number in bytes.chunks(2).filter_map(transport_number) {
                    now += Duration::from_millis(u64::from(number & 63));
                    generator.handle_packet(now, number, 100);
                }
            }
            // A packet of any bytes, and a feedback message with any lists.
            2 => messages.extend(read(bytes).map_while(Result::ok)),
            _ => messages.push(RtcpMessage::Other { count: 15, packet_type: 205, body: bytes.to_vec() }),
        }
        let mut count = 0;
        while let Some(message) = generator.poll(now) {
            count += 1;
            assert!(count <= 2048, "polling comes to an end");
            let mut packet = vec![];
            write(&[message], &mut packet).unwrap();
            messages.extend(read(&packet).map(Result::unwrap));
        }
        let foreign = messages.len() - count;
        for (at, message) in messages.iter().enumerate() {
            match log.handle_feedback(now, message) {
                Ok(reports) => {
                    for report in reports {
                        assert!(report.sent <= now && reported.insert(report.sent));
                    }
                    estimator.report(now, reports);
                }
                Err(error) => assert!(
                    at < foreign || matches!(error, FeedbackError::NotSent { .. }),
                    "{error} of our own message"
                ),
            }
        }
        assert!(estimator.bitrate() >= 30_000);
    }
});
