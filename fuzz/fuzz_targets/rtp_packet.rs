//! What is read of a packet lies within it, and its header comes back as it is written again.
#![no_main]

use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(packet) = RtpPacket::read(data) else { return };
    assert_eq!(&data[packet.payload_range.clone()], packet.payload);
    let extensions: Vec<_> = packet.extensions.filter_map(Result::ok).collect();
    let mut again = vec![];
    // Id 0 is padding, and longer elements than 255 bytes do not exist: what is read can be written.
    packet.header.write(&extensions, &mut again).unwrap();
    again.extend_from_slice(packet.payload);
    let read = RtpPacket::read(&again).unwrap();
    assert_eq!((&read.header, read.payload), (&packet.header, packet.payload));
    assert_eq!(read.extensions.collect::<Result<Vec<_>, _>>().unwrap(), extensions);
    RtpPacketMut::new(&mut again).unwrap().set_sequence_number(7);
    assert_eq!(RtpPacket::read(&again).unwrap().header.sequence_number, 7);
});
