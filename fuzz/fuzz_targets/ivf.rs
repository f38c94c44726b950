//! An IVF file, as frames and as temporal units.
#![no_main]

use layercast::bitstream::{IvfReader, obus};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(reader) = IvfReader::new(data) else { return };
    let bytes: usize = reader.map_while(Result::ok).map(|frame| frame.data.len()).sum();
    assert!(bytes <= data.len());
    let Ok(reader) = IvfReader::new(data) else { return };
    for unit in reader.temporal_units().map_while(Result::ok) {
        assert!(obus(&unit.data).all(|obu| obu.is_ok_and(|obu| obu.has_size_field)));
    }
});
