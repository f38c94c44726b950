//! What is left of a temporal unit has only the layers that were asked for, and stays as it is.
#![no_main]

use layercast::bitstream::{Extractor, ObuType, obus};
use layercast::structure::LayerId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, unit)) = data.split_first() else { return };
    let mut extractor = Extractor::new(LayerId { temporal_id: choice & 7, spatial_id: choice >> 3 & 3 });
    extractor.rewrite_operating_points = choice & 0x80 == 0;
    let Ok(Some(left)) = extractor.temporal_unit(unit) else { return };
    for obu in obus(&left) {
        let obu = obu.unwrap();
        let is_sequence = obu.header.obu_type == ObuType::SequenceHeader;
        assert!(obu.has_size_field && (is_sequence || extractor.keeps(obu.header.layer())));
    }
    assert_eq!(extractor.temporal_unit(&left), Ok(Some(left)));
});
