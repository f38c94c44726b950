//! An encoder whose pictures change their size holds no more memory for it. This test has a process of its own, because
//! it counts the memory of the whole process.

use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;
use layercast::{Size, Time};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn a_change_of_size_or_mode_leaves_nothing_behind() {
    let sizes = [Size::new(64, 48), Size::new(48, 64), Size::new(96, 80)];
    let pictures = sizes.map(|size| Scene::new(size).picture(0));
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut encoder = SvcEncoder::new(SvcConfig::new(sizes[0], ScalabilityMode::L3T3)).unwrap();
    let mut round = || {
        for picture in &pictures {
            for mode in [ScalabilityMode::L3T3, ScalabilityMode::S2T1] {
                encoder.set_mode(mode).unwrap();
                for _ in 0..3 {
                    encoder.encode(&picture.view(), Time::ZERO, EncodeOptions::default()).unwrap();
                }
            }
        }
        dhat::HeapStats::get().curr_bytes
    };
    let first = (0..3).map(|_| round()).max().unwrap();
    let last = (0..20).map(|_| round()).last().unwrap();
    // Each thread keeps a little.
    assert!(last <= first + first / 100, "{first} bytes after 3 rounds, {last} after 23");
}
