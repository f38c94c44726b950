//! Packets of any content become frames and temporal units, or are refused, within the limits. Before each
//! packet are the time that has passed and its length.
#![no_main]

use bytes::Bytes;
use layercast::Time;
use layercast::rtp::{
    FrameBuffer, FrameBufferConfig, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent,
};
use layercast::structure::LayerId;
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let format = match (flags & 1, flags >> 6) {
        (0, 0..3) => PayloadFormat::Sframe,
        (0, _) => PayloadFormat::Opaque,
        _ => PayloadFormat::Av1,
    };
    let config = ReassemblerConfig::new(format, 4);
    let config = ReassemblerConfig {
        adopt_structures: true,
        max_packets: 64,
        max_bytes: 4096,
        max_waiting: 4,
        ..config
    };
    let mut reassembler = Reassembler::new(config);
    let limits = FrameBufferConfig { max_frames: 16, max_bytes: 4096, ..FrameBufferConfig::default() };
    let mut buffer = FrameBuffer::new(limits, LayerId::new(flags >> 1 & 3, flags >> 3 & 7));
    let mut now = Time::ZERO;
    let mut missing = vec![];
    while !input.is_empty() {
        now += input.pause();
        let packet = input.long_bytes();
        // Whatever the outcome, the limits hold.
        let _ = timed("packet", || reassembler.push(now, Bytes::copy_from_slice(packet)));
        assert!(reassembler.len() <= 64 && reassembler.bytes() <= 4096);
        reassembler.nacks(now, &mut missing);
        assert!(missing.len() <= 64);
        while let Some(event) = reassembler.poll(now) {
            let ReassemblerEvent::Frame(frame) = event else { continue };
            let _ = buffer.insert(now, frame.into());
        }
        if let Some(settled) = reassembler.settled() {
            buffer.settle(settled);
        }
        while buffer.poll(now).is_some() {}
        assert!(buffer.len() <= 16 && buffer.bytes() <= 4096);
    }
});
