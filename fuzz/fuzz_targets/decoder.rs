//! A decoder takes temporal units of anybody: genuine ones with damage, and any bytes. It decodes no more than its
//! limits, and a genuine key picture after them.
//!
//! The input is a list of steps: a kind, a length and that many bytes. It starts from the test vectors, of which
//! the bytes are damage in threes (a position in 16 bits, and the value there).
#![no_main]

use std::sync::LazyLock;

use layercast::Size;
use layercast::bitstream::section5;
use layercast::decoder::{DecodeError, Decoder, DecoderConfig, MAX_FRAMES, Output};
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

const SIZE: Size = Size::new(186, 110);

/// The temporal units of three streams.
static UNITS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let streams: [&[u8]; 3] = [
        include_bytes!("../../test-vectors/L1T2.obu"),
        include_bytes!("../../test-vectors/L3T3.obu"),
        include_bytes!("../../test-vectors/S2T2.obu"),
    ];
    let units = streams.into_iter().flat_map(section5::temporal_units);
    units.map(|unit| unit.unwrap().to_vec()).collect()
});

fuzz_target!(|data: &[u8]| {
    let config = DecoderConfig {
        output: Output::AllLayers,
        max_size: SIZE,
        max_unit_size: 1 << 16,
        ..DecoderConfig::default()
    };
    let mut decoder = Decoder::new(config).unwrap();
    decoder.set_layer_sizes(&[SIZE; 4]);
    let mut input = Input::new(data);
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        let (kind, bytes) = (input.byte(), input.bytes());
        let mut unit = UNITS[usize::from(kind) % UNITS.len()].clone();
        match kind >> 6 {
            0 => unit = bytes.to_vec(),
            // A bomb, perhaps: what the bytes name, in one temporal unit.
            1 => unit.extend(bytes.iter().flat_map(|byte| &UNITS[usize::from(*byte) % UNITS.len()][2..])),
            _ => {
                for &[high, low, value] in bytes.as_chunks().0 {
                    let at = usize::from(u16::from_be_bytes([high, low])) % unit.len();
                    unit[at] = value;
                }
            }
        }
        let waits = decoder.needs_key_frame();
        match timed("temporal unit", || decoder.decode(&unit, 7)) {
            Ok(pictures) => {
                assert!(pictures.len() <= 4.min(MAX_FRAMES) && !decoder.needs_key_frame());
                for decoded in pictures {
                    let size = decoded.picture.size();
                    assert!(size.width <= SIZE.width && size.height <= SIZE.height);
                }
            }
            Err(DecodeError::NeedKeyFrame) => assert!(waits),
            Err(_) => assert!(decoder.needs_key_frame()),
        }
    }
    assert_eq!(decoder.decode(&UNITS[0], 8).unwrap().len(), 1);
});
