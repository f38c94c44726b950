//! A descriptor comes back as it is written again, by its own structure or by a known one.
#![no_main]

use std::sync::{Arc, LazyLock};

use layercast::Size;
use layercast::rtp::descriptor::{DependencyDescriptor, DependencyStructure};
use layercast::structure::ScalabilityMode;
use layercast_fuzz::timed;
use libfuzzer_sys::fuzz_target;

static STRUCTURE: LazyLock<Arc<DependencyStructure>> = LazyLock::new(|| {
    Arc::new(DependencyStructure::of_mode(ScalabilityMode::L3T3KeyShift, Size::new(1280, 720)))
});

fuzz_target!(|data: &[u8]| {
    for known in [None, Some(&**STRUCTURE)] {
        let Ok(read) = timed("descriptor", || DependencyDescriptor::read(data, known)) else { continue };
        let holds = read.structure.clone().unwrap_or_else(|| Arc::clone(&STRUCTURE));
        let Ok(frame) = read.dependencies(&holds) else { continue };
        for chain in 0..holds.chains {
            holds.is_in_chain(&frame, chain, holds.all_decode_targets());
        }
        for target in 0..holds.decode_targets {
            holds.decode_target_layer(target);
        }
        let mut again = vec![];
        read.write(&holds, &mut again).unwrap();
        assert_eq!(DependencyDescriptor::read(&again, Some(&holds)), Ok(read.clone()));
        read.canonical(&holds, &mut again).unwrap();
    }
});
