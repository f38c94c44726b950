//! OBUs cover the data without gaps, and come back as they were written.
#![no_main]

use layercast::bitstream::{obus, write_obu};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut end = 0;
    for obu in obus(data) {
        let Ok(obu) = obu else { return };
        assert_eq!(obu.offset, end);
        end += obu.bytes.len();
        let mut again = vec![];
        write_obu(&mut again, obu.header, obu.payload).unwrap();
        let read = obus(&again).next().unwrap().unwrap();
        assert_eq!((read.header, read.payload), (obu.header, obu.payload));
    }
    assert_eq!(end, data.len());
});
