//! Messages between participants and a relay, of any bytes: what is read is read again as it is written.
#![no_main]

use layercast_attend::state::State;
use layercast_meeting::{FromRelay, Numbered};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(state) = State::read(data) {
        assert_eq!(State::read(&state.write()), Some(state));
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(request) = Numbered::parse(text) {
        assert_eq!(Numbered::parse(&request.to_text()).unwrap(), request);
    }
    if let Ok(message) = FromRelay::parse(text) {
        assert_eq!(FromRelay::parse(&message.to_text()).unwrap(), message);
    }
});
