//! Payloads in the browsers' form give one ciphertext or are refused, and what they give is what a reader of AV1 finds in
//! them. Before each payload is its length.
#![no_main]

use bytes::Bytes;
use layercast::bitstream::obus;
use layercast::rtp::payload::av1;
use layercast::rtp::payload::opaque::{drop_delimiter, join};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut payloads = vec![];
    let mut rest = data;
    while let Some((&len, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(behind.len().min(len.into()));
        payloads.push(payload);
        rest = behind;
    }
    let mut frame = Bytes::copy_from_slice(data);
    drop_delimiter(&mut frame);
    assert!(data.ends_with(&frame));
    let Ok(ciphertext) = join(payloads.iter().copied()) else { return };
    let mut unit = vec![];
    // It has no notion of a sequence that begins within an OBU, and drops some types.
    if av1::depacketize(&payloads, &mut unit).is_ok() && !unit.is_empty() {
        let read: Vec<_> = obus(&unit).map(Result::unwrap).collect();
        assert!(read.len() == 1 && read[0].payload == ciphertext);
    }
});
