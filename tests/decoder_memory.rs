//! A decoder of a long call holds hardly more memory than one of a short call.

use layercast::bitstream::section5;
use layercast::decoder::{Decoder, DecoderConfig, Output};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn a_picture_leaves_no_more_behind_than_rav1d_does() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for stream in
        [&include_bytes!("../test-vectors/L3T3.obu")[..], include_bytes!("../test-vectors/S2T2.obu")]
    {
        let config = DecoderConfig { output: Output::AllLayers, ..DecoderConfig::default() };
        let mut decoder = Decoder::new(config).unwrap();
        let mut pictures = 0;
        let mut play = || {
            for unit in section5::temporal_units(stream) {
                pictures += decoder.decode(unit.unwrap(), 0).unwrap().len();
            }
            (pictures, dhat::HeapStats::get().curr_blocks)
        };
        // The library keeps what it will use again.
        let (before, short) = [play(), play(), play()][2];
        let (after, long) = (0..10).map(|_| play()).last().unwrap();
        // One block for each picture: see the limits in SECURITY.md.
        assert!(
            long - short <= after - before,
            "{short} blocks after {before} pictures, {long} after {after}"
        );
    }
}
