//! A descriptor comes back as it is written again, by its own structure or by a known one.
#![no_main]

use std::sync::Arc;

use layercast::Size;
use layercast::rtp::descriptor::{DependencyDescriptor, DependencyStructure};
use layercast::structure::ScalabilityMode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let structure =
        Arc::new(DependencyStructure::of_mode(ScalabilityMode::L3T3KeyShift, Size::new(1280, 720)));
    for known in [None, Some(&structure)] {
        let Ok(read) = DependencyDescriptor::read(data, known.map(|known| &**known)) else { continue };
        let holds = read.structure.clone().unwrap_or_else(|| Arc::clone(&structure));
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
