//! Messages come back as they are written again.
#![no_main]

use layercast::rtp::rtcp::{RtcpMessage, read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let messages: Vec<RtcpMessage> = read(data).map_while(Result::ok).collect();
    for message in &messages {
        if let RtcpMessage::Nack { lost, .. } = message {
            assert!(lost.iter().flat_map(|entry| entry.sequence_numbers()).count() <= 17 * lost.len());
        }
    }
    let mut again = vec![];
    write(&messages, &mut again).unwrap();
    assert_eq!(read(&again).collect::<Result<Vec<_>, _>>().unwrap(), messages);
});
