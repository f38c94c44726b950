//! Any text is a table of a coded video or an error.
#![no_main]

use layercast::simulate::Table;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(table) = text.parse::<Table>() {
        assert!(table.bitrate(table.top()) > 0);
        assert!(!table.offer().layers.is_empty());
    }
});
