//! A file of OBUs: its temporal units are the file, and can be written.
#![no_main]

use layercast::bitstream::section5::{temporal_units, write_temporal_unit};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut again = vec![];
    for unit in temporal_units(data) {
        let Ok(unit) = unit else { return };
        write_temporal_unit(&mut again, unit).unwrap();
    }
    assert_eq!(again, data);
});
