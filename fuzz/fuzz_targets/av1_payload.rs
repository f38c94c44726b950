//! Payloads give whole OBUs, and OBUs come back from the payloads they are cut into. The first byte says how
//! large these are; payloads to be read are told apart by a length before each.
#![no_main]

use layercast::bitstream::obus;
use layercast::rtp::payload::av1::{depacketize, packetize};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&size, data)) = data.split_first() else { return };
    let mut payloads = vec![];
    let mut rest = data;
    while let Some((&len, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(behind.len().min(len.into()));
        payloads.push(payload);
        rest = behind;
    }
    let mut unit = vec![];
    if depacketize(&payloads, &mut unit).is_err() {
        assert!(unit.is_empty());
        unit = data.to_vec();
    }
    let Ok(packets) = packetize(&unit, usize::from(size) + 2, false) else { return };
    assert!(packets.iter().all(|packet| packet.len() <= usize::from(size) + 2));
    let mut whole = vec![];
    if !packets.is_empty() {
        depacketize(&packets, &mut whole).unwrap();
    }
    assert!(obus(&whole).all(|obu| obu.is_ok()));
    let again = packetize(&whole, usize::from(size) + 2, false).unwrap();
    assert_eq!(again, packets);
});
