//! Cuts a temporal unit into the OBUs of each spatial layer, and finds out whether decoding can start with
//! it. That is all the decoder library needs to be told.

use std::ops::Range;

use super::error::DecodeError;
use crate::bitstream::{ObuType, obus};

/// More than four layers need, even if metadata stand between their frames.
const MAX_PARTS: usize = 64;

/// One for each layer of four. Each costs the library an allocation.
const MAX_SEQUENCE_HEADERS: usize = 4;

/// OBUs in a row that belong to one spatial layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub spatial_id: u8,
    pub range: Range<usize>,
}

/// A temporal unit cut at the borders of its spatial layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CutUnit {
    pub parts: Vec<Part>,
    /// The unit has a sequence header and a key frame.
    pub starts_sequence: bool,
}

/// Cuts a temporal unit and leaves out OBUs that do not affect the samples (metadata, padding, reserved
/// types).
pub(super) fn split(data: &[u8]) -> Result<CutUnit, DecodeError> {
    let mut unit = CutUnit { parts: Vec::new(), starts_sequence: false };
    let mut reduced_still_picture_header = None;
    let mut sequence_headers = 0;
    for obu in obus(data) {
        let obu = obu?;
        let first = || obu.payload.first().ok_or(DecodeError::Malformed("an empty header"));
        match obu.header.obu_type {
            ObuType::TemporalDelimiter if obu.offset > 0 => {
                return Err(DecodeError::Malformed("a second temporal unit"));
            }
            ObuType::SequenceHeader if sequence_headers == MAX_SEQUENCE_HEADERS => {
                return Err(DecodeError::Malformed("too many sequence headers"));
            }
            ObuType::SequenceHeader => {
                sequence_headers += 1;
                reduced_still_picture_header = Some(first()? & 0x08 != 0);
            }
            ObuType::FrameHeader | ObuType::Frame => {
                let first = first()?;
                // show_existing_frame is 0, and so is frame_type: KEY_FRAME; see 5.9.2. There must be a
                // sequence header before it.
                let key_frame = |reduced| reduced || first & 0xe0 == 0;
                unit.starts_sequence |= reduced_still_picture_header.is_some_and(key_frame);
            }
            ObuType::TemporalDelimiter | ObuType::TileGroup | ObuType::RedundantFrameHeader => {}
            _ => continue,
        }
        let spatial_id = obu.header.layer().spatial_id;
        let range = obu.offset..obu.offset + obu.bytes.len();
        let parts = unit.parts.len();
        match unit.parts.last_mut() {
            Some(part) if part.spatial_id == spatial_id && part.range.end == range.start => {
                part.range.end = range.end;
            }
            _ if parts == MAX_PARTS => return Err(DecodeError::Malformed("the layers' OBUs are mixed up")),
            _ => unit.parts.push(Part { spatial_id, range }),
        }
    }
    if unit.parts.is_empty() { Err(DecodeError::Malformed("no frame")) } else { Ok(unit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitstream::BitstreamError;
    use proptest::prelude::*;

    #[test]
    fn layers_are_cut_apart() {
        let data = [
            &[0x12, 0][..],               // temporal delimiter
            &[0x0a, 2, 0x00, 0x40],       // sequence header
            &[0x36, 0x00, 2, 0x10, 0x55], // key frame, spatial layer 0
            &[0x2a, 1, 0x80],             // metadata
            &[0x34, 0x28, 0x30, 0x66],    // inter frame, temporal layer 1, spatial layer 1, to the end
        ]
        .concat();
        let part = |spatial_id, range| Part { spatial_id, range };
        let unit = split(&data).unwrap();
        assert_eq!(unit, CutUnit { parts: vec![part(0, 0..11), part(1, 14..18)], starts_sequence: true });
        assert!(!split(&data[6..]).unwrap().starts_sequence, "there is no sequence header");
        assert!(!split(&data[..6]).unwrap().starts_sequence, "there is no frame");
    }

    #[test]
    fn damage_is_named() {
        let malformed = |data: &[u8], why| assert_eq!(split(data), Err(DecodeError::Malformed(why)));
        malformed(&[], "no frame");
        malformed(&[0x0a, 0], "an empty header");
        malformed(&[0x32, 0], "an empty header");
        malformed(&[0x12, 0, 0x32, 1, 0, 0x12, 0], "a second temporal unit");
        malformed(&[0x0a, 1, 0].repeat(5), "too many sequence headers");
        assert_eq!(split(&[0x32, 3, 0, 0]), Err(DecodeError::Obu(BitstreamError::End)));
        let mixed_up = [[0x36, 0x00, 1, 0], [0x36, 0x08, 1, 0]].concat().repeat(33);
        malformed(&mixed_up, "the layers' OBUs are mixed up");
    }

    proptest! {
        #[test]
        fn parts_lie_in_order_within_the_data(data: Vec<u8>) {
            if let Ok(unit) = split(&data) {
                let mut end = 0;
                for Part { spatial_id, range } in unit.parts {
                    prop_assert!(spatial_id < 4 && end <= range.start && range.start < range.end);
                    end = range.end;
                }
                prop_assert!(end <= data.len());
            }
        }
    }
}
