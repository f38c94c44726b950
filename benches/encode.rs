//! Pictures a second of the layered coder, beside rav1e's own loop at its fastest, in one run and on one thread.

#[path = "../examples/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::path::Path;

use common::video;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_main};
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::picture::Picture;
use layercast::scene::{FRAME_RATE, Scene};
use layercast::structure::ScalabilityMode;
use rav1e::prelude::{Config, EncoderConfig, EncoderStatus, Rational, SpeedSettings};

/// Pictures coded in one go, the first of which is a key picture.
const PICTURES: u64 = 30;
const QUANTIZER: u8 = 100;

/// Codes the pictures with a new coder; gives the bytes.
fn layercast(pictures: &[Picture], mode: ScalabilityMode) -> usize {
    let mut config = SvcConfig::new(pictures[0].width(), pictures[0].height(), mode);
    config.quantizer = QUANTIZER;
    let mut encoder = SvcEncoder::new(config).expect("a configuration that the coder takes");
    let mut code = |(n, picture): (usize, &Picture)| {
        let unit = encoder.encode(&picture.view(), n as i64, EncodeOptions::default());
        unit.expect("a picture of the coder's size").to_bytes().len()
    };
    pictures.iter().enumerate().map(&mut code).sum()
}

/// The same with rav1e at speed 10, which codes one layer.
fn rav1e(pictures: &[Picture]) -> usize {
    let encoder = EncoderConfig {
        width: pictures[0].width(),
        height: pictures[0].height(),
        time_base: Rational::new(1, FRAME_RATE.into()),
        low_latency: true,
        error_resilient: false,
        min_key_frame_interval: 0,
        max_key_frame_interval: 10_000,
        quantizer: QUANTIZER.into(),
        speed_settings: SpeedSettings::from_preset(10),
        ..EncoderConfig::default()
    };
    let config = Config::new().with_encoder_config(encoder).with_threads(1);
    let mut context = config.new_context::<u8>().expect("a configuration that rav1e takes");
    let mut bytes = 0;
    for picture in pictures {
        let mut frame = context.new_frame();
        for (p, plane) in frame.planes.iter_mut().enumerate() {
            let width = picture.view().planes()[p].width();
            plane.copy_from_raw_u8(picture.plane(p), width, 1);
        }
        context.send_frame(frame).expect("room for a picture");
        bytes += packets(&mut context);
    }
    context.flush();
    bytes + packets(&mut context)
}

/// Takes the packets that are there; gives their bytes.
fn packets(context: &mut rav1e::Context<u8>) -> usize {
    let mut bytes = 0;
    loop {
        match context.receive_packet() {
            Ok(packet) => bytes += packet.data.len(),
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::NeedMoreData | EncoderStatus::LimitReached) => return bytes,
            Err(error) => panic!("rav1e: {error}"),
        }
    }
}

/// What is coded: the built-in scene at two sizes, or the Y4M files that `LAYERCAST_Y4M` names, separated as in
/// `PATH`.
fn clips() -> Vec<(String, Vec<Picture>)> {
    if let Some(paths) = std::env::var_os("LAYERCAST_Y4M") {
        return std::env::split_paths(&paths).map(|path| clip(&path)).collect();
    }
    let scene = |(width, height)| {
        let scene = Scene::new(width, height);
        (format!("scene {width}x{height}"), (0..PICTURES).map(|n| scene.picture(n)).collect())
    };
    [(640, 360), (1280, 720)].map(scene).into()
}

/// The first pictures of a Y4M file.
fn clip(path: &Path) -> (String, Vec<Picture>) {
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let reader = video::Reader::open(path).unwrap_or_else(|error| panic!("{error}"));
    let pictures: common::Result<_> = reader.take(PICTURES as usize).collect();
    (name, pictures.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn encode(criterion: &mut Criterion) {
    rayon::ThreadPoolBuilder::new().num_threads(1).build_global().expect("the first thread pool");
    for (name, pictures) in clips() {
        let mut group = criterion.benchmark_group(format!("encode {name}"));
        group.throughput(Throughput::Elements(pictures.len() as u64)).sample_size(10);
        for mode in [ScalabilityMode::L1T1, ScalabilityMode::L3T3] {
            let id = BenchmarkId::new("layercast", mode);
            group.bench_with_input(id, &mode, |b, &mode| b.iter(|| black_box(layercast(&pictures, mode))));
        }
        let id = BenchmarkId::new("rav1e speed 10", "L1T1");
        group.bench_function(id, |b| b.iter(|| black_box(rav1e(&pictures))));
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
