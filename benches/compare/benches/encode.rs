//! Pictures a second of the layered coder, beside rav1e's own loop at its fastest, in one run and on one thread.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_main};
use layercast::encoder::SvcConfig;
use layercast::structure::ScalabilityMode;
use layercast_compare::coders::clip::{Clip, clips};
use layercast_compare::coders::rav1e::{self, Rav1e};
use layercast_compare::coders::{Coder, Layercast};

/// Pictures coded in one go, the first of which is a key picture.
const PICTURES: usize = 30;
const QUANTIZER: u8 = 100;

/// Codes the clip; gives the bytes.
fn bytes(clip: &Clip, mut coder: impl Coder) -> usize {
    let mut units = Vec::new();
    for picture in &clip.pictures {
        coder.code(picture, &mut units).expect("a picture of the coder's size");
    }
    coder.finish(&mut units).expect("the last pictures");
    units.iter().map(Bytes::len).sum()
}

fn layercast(clip: &Clip, mode: ScalabilityMode) -> usize {
    let mut config = SvcConfig::new(clip.size(), mode);
    config.quantizer = QUANTIZER;
    bytes(clip, Layercast::new(config).expect("a configuration that the coder takes"))
}

fn rav1e_loop(clip: &Clip) -> usize {
    bytes(clip, Rav1e::new(clip, QUANTIZER).expect("a configuration that rav1e takes"))
}

fn encode(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first thread pool");
    for clip in clips(PICTURES).unwrap_or_else(|error| panic!("{error}")) {
        let mut group = criterion.benchmark_group(format!("encode {}", clip.name));
        group.throughput(Throughput::Elements(clip.pictures.len() as u64)).sample_size(10);
        for mode in [ScalabilityMode::L1T1, ScalabilityMode::L3T3] {
            let id = BenchmarkId::new("layercast", mode);
            group.bench_with_input(id, &mode, |b, &mode| b.iter(|| black_box(layercast(&clip, mode))));
        }
        let id = BenchmarkId::new(format!("rav1e speed {}", rav1e::SPEED), ScalabilityMode::L1T1);
        group.bench_function(id, |b| b.iter(|| black_box(rav1e_loop(&clip))));
        group.finish();
    }
}

#[allow(missing_docs)]
mod group {
    use super::encode;
    criterion::criterion_group!(benches, encode);
}
use group::benches;

criterion_main!(benches);
