//! The streams in `test-vectors`: the encoder writes the same bytes, and the decoder returns the same samples.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use common::receiver::Receiver;
use layercast::Size;
use layercast::bitstream::section5;
use layercast::encoder::EncodeOptions;
use layercast::picture::Picture;
use layercast::scene::Scene;
use layercast::structure::ScalabilityMode;
use md5::{Digest, Md5};

const SIZE: Size = Size::new(186, 110);
/// A key picture and two periods of the longest cycle.
const PICTURES: u64 = 9;
/// Pictures of the scene from one that is coded to the next: there has to be motion.
const STEP: u64 = 6;
const QUANTIZER: u8 = 80;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test-vectors")
}

fn file_name(mode: ScalabilityMode) -> String {
    format!("{mode}.obu")
}

fn encode(mode: ScalabilityMode, pictures: &[Picture]) -> Vec<u8> {
    let mut encoder = common::encoder(SIZE, mode, QUANTIZER);
    let mut stream = vec![];
    for (n, picture) in pictures.iter().enumerate() {
        let unit = encoder.encode(&picture.view(), Scene::time(n as u64), EncodeOptions::default()).unwrap();
        section5::write_temporal_unit(&mut stream, &unit.to_bytes()).unwrap();
    }
    stream
}

fn hex(md5: Md5) -> String {
    md5.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The lines of the manifest for one stream: its file, then its decode targets.
fn manifest(mode: ScalabilityMode, stream: &[u8]) -> String {
    let file = hex(Md5::new_with_prefix(stream));
    let mut lines = format!("{file} {}\n", file_name(mode));
    for target in mode.structure().decode_targets() {
        let mut receiver = Receiver::new(target).unwrap();
        let mut md5 = Md5::new();
        let mut shown = 0;
        for unit in section5::temporal_units(stream) {
            let Some(picture) = receiver.receive(unit.unwrap()).unwrap() else { continue };
            (0..3).for_each(|plane| md5.update(picture.plane(plane)));
            shown += 1;
        }
        writeln!(lines, "{} {} {target} {shown} pictures", hex(md5), file_name(mode)).unwrap();
    }
    lines
}

#[test]
fn streams_and_their_pictures_are_as_ever() {
    let scene = Scene::new(SIZE);
    let pictures: Vec<Picture> = (0..PICTURES).map(|n| scene.picture(n * STEP)).collect();
    let coded = ScalabilityMode::all().map(|mode| (mode, encode(mode, &pictures)));
    let path = folder().join("MANIFEST");
    if std::env::var_os("LAYERCAST_BLESS").is_some() {
        let mut lines = String::new();
        for (mode, stream) in coded {
            fs::write(folder().join(file_name(mode)), &stream).unwrap();
            lines += &manifest(mode, &stream);
        }
        fs::write(&path, lines).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap();
    let mut decoded = String::new();
    let mut different = vec![];
    for (mode, stream) in coded {
        let committed = fs::read(folder().join(file_name(mode))).unwrap();
        decoded += &manifest(mode, &committed);
        if stream != committed {
            different.push(mode.to_string());
        }
    }
    assert_eq!(decoded, expected, "the committed streams decode to other samples");
    assert!(different.is_empty(), "coded to other bytes: {different:?} (see test-vectors/README.md)");
}
