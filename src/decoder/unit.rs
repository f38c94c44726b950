//! Just so much of a temporal unit as is needed to hand it to the decoder: where each layer's OBUs are, and
//! whether decoding can start here.

use std::ops::Range;

const OBU_SEQUENCE_HEADER: u8 = 1;
const OBU_TEMPORAL_DELIMITER: u8 = 2;
const OBU_FRAME_HEADER: u8 = 3;
const OBU_TILE_GROUP: u8 = 4;
const OBU_FRAME: u8 = 6;
const OBU_REDUNDANT_FRAME_HEADER: u8 = 7;

/// More than four layers need, even where metadata lie between their frames.
const MAX_PARTS: usize = 64;

/// OBUs in a row that belong to one spatial layer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub spatial_id: u8,
    pub range: Range<usize>,
}

/// A temporal unit cut at the borders of its spatial layers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub parts: Vec<Part>,
    /// There are a sequence header and a key frame.
    pub starts_sequence: bool,
}

/// Cuts a temporal unit. What says nothing about the samples (metadata, padding, reserved OBU types) is left out.
pub(super) fn split(data: &[u8]) -> Result<Unit, &'static str> {
    let mut unit = Unit { parts: Vec::new(), starts_sequence: false };
    let mut reduced_still_picture_header = None;
    let mut at = 0;
    while at < data.len() {
        let obu = Obu::parse(&data[at..])?;
        let range = at..at + obu.len;
        match obu.obu_type {
            OBU_TEMPORAL_DELIMITER if at > 0 => return Err("a second temporal unit"),
            OBU_SEQUENCE_HEADER => {
                let first = obu.payload.first().ok_or("an empty sequence header")?;
                reduced_still_picture_header = Some(first & 0x08 != 0);
            }
            OBU_FRAME_HEADER | OBU_FRAME => {
                let first = obu.payload.first().ok_or("an empty frame header")?;
                // show_existing_frame is 0, and so is frame_type: KEY_FRAME; see 5.9.2. There must be a sequence
                // header before it.
                let key_frame = |reduced| reduced || first & 0xe0 == 0;
                unit.starts_sequence |= reduced_still_picture_header.is_some_and(key_frame);
            }
            OBU_TEMPORAL_DELIMITER | OBU_TILE_GROUP | OBU_REDUNDANT_FRAME_HEADER => {}
            _ => {
                at = range.end;
                continue;
            }
        }
        at = range.end;
        let parts = unit.parts.len();
        match unit.parts.last_mut() {
            Some(part) if part.spatial_id == obu.spatial_id && part.range.end == range.start => {
                part.range.end = range.end;
            }
            _ if parts == MAX_PARTS => return Err("the layers' OBUs are mixed up"),
            _ => unit.parts.push(Part { spatial_id: obu.spatial_id, range }),
        }
    }
    if unit.parts.is_empty() { Err("no frame") } else { Ok(unit) }
}

struct Obu<'a> {
    obu_type: u8,
    spatial_id: u8,
    payload: &'a [u8],
    /// Header and payload, in bytes.
    len: usize,
}

impl<'a> Obu<'a> {
    /// Reads `obu_header` and `obu_size` (5.3.1 to 5.3.3). Without a size an OBU ends where the data end.
    fn parse(data: &'a [u8]) -> Result<Self, &'static str> {
        let mut rest = data.iter().copied();
        let mut next = || rest.next().ok_or("an OBU header ends early");
        let header = next()?;
        if header & 0x80 != 0 {
            return Err("obu_forbidden_bit is set");
        }
        let spatial_id = if header & 0x04 != 0 { next()? >> 3 & 3 } else { 0 };
        let size = if header & 0x02 != 0 { Some(leb128(&mut next)?) } else { None };
        let start = data.len() - rest.len();
        let size = size.unwrap_or(data.len() - start);
        let payload = data[start..].get(..size).ok_or("an OBU ends early")?;
        Ok(Self { obu_type: header >> 3 & 15, spatial_id, payload, len: start + size })
    }
}

/// A `leb128()` (4.10.5): at most 8 bytes and 32 bits.
fn leb128(mut next: impl FnMut() -> Result<u8, &'static str>) -> Result<usize, &'static str> {
    let mut value = 0u64;
    for i in 0..8 {
        let byte = next()?;
        value |= u64::from(byte & 0x7f) << (i * 7);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| "a leb128 is above 32 bits")?;
            return usize::try_from(value).map_err(|_| "a leb128 is above the address space");
        }
    }
    Err("a leb128 has more than 8 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(unit, Unit { parts: vec![part(0, 0..11), part(1, 14..18)], starts_sequence: true });
        assert!(!split(&data[6..]).unwrap().starts_sequence, "there is no sequence header");
        assert!(!split(&data[..6]).unwrap().starts_sequence, "there is no frame");
    }

    #[test]
    fn damage_is_named() {
        assert_eq!(split(&[]), Err("no frame"));
        assert_eq!(split(&[0x80]), Err("obu_forbidden_bit is set"));
        assert_eq!(split(&[0x16]), Err("an OBU header ends early"));
        assert_eq!(split(&[0x32, 3, 0, 0]), Err("an OBU ends early"));
        assert_eq!(split(&[0x0a, 0]), Err("an empty sequence header"));
        assert_eq!(split(&[0x32, 0]), Err("an empty frame header"));
        assert_eq!(split(&[0x32, 255, 255, 255, 255, 255, 0]), Err("a leb128 is above 32 bits"));
        assert_eq!(
            split(&[0x32, 128, 128, 128, 128, 128, 128, 128, 128, 0]),
            Err("a leb128 has more than 8 bytes")
        );
        assert_eq!(split(&[0x12, 0, 0x32, 1, 0, 0x12, 0]), Err("a second temporal unit"));
        let mixed_up = [[0x36, 0x00, 1, 0], [0x36, 0x08, 1, 0]].concat().repeat(33);
        assert_eq!(split(&mixed_up), Err("the layers' OBUs are mixed up"));
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
