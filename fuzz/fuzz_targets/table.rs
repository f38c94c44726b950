//! Any text is a table of a coded video or an error.
#![no_main]

use layercast::simulate::CodedVideo;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(video) = text.parse::<CodedVideo>() {
        assert!(video.bitrate(video.top()) > 0);
        assert!(!video.offer().layers().is_empty());
    }
});
