//! Frames as a browser's transforms see them.

use layercast::bitstream::{leb128, write_leb128};

/// OBU types of AV1 (section 6.2.2) in which an SFrame goes: relays take a frame with a sequence header for a key frame.
const SEQUENCE_HEADER: u8 = 1;
const FRAME: u8 = 6;
const HAS_EXTENSION: u8 = 1 << 2;
const HAS_SIZE: u8 = 1 << 1;

/// The header of the one OBU that holds an SFrame: no extension and no size.
pub fn obu_header(is_key: bool) -> u8 {
    (if is_key { SEQUENCE_HEADER } else { FRAME }) << 3
}

/// The SFrame in the OBU that a browser makes of packets, with the OBU's size or without. `None` if it is not one OBU.
pub fn sframe_in(obu: &[u8]) -> Option<&[u8]> {
    let (&header, rest) = obu.split_first()?;
    if header & (0x80 | HAS_EXTENSION) != 0 {
        return None;
    }
    if header & HAS_SIZE == 0 {
        return Some(rest);
    }
    let (size, bytes) = leb128(rest).ok()?;
    let sframe = rest.get(bytes..)?;
    (sframe.len() == size as usize).then_some(sframe)
}

/// The OBU as a browser hands it to the transform of a receiver, of what its sender's transform gave.
pub fn as_received(sent: &[u8]) -> Vec<u8> {
    let Some((header, sframe)) = sent.split_first() else { return Vec::new() };
    let mut obu = vec![header | HAS_SIZE];
    write_leb128(&mut obu, sframe.len() as u32);
    obu.extend_from_slice(sframe);
    obu
}

/// What the metadata of a frame says: frame number, and differences to the frames that it refers to. `None` if no descriptor
/// could say it.
pub fn numbers(frame_id: f64, dependencies: &[f64], differences: &mut Vec<u16>) -> Option<u16> {
    // Numbers of JavaScript are whole below 2^53.
    let whole = |value: f64| ((0.0..9e15).contains(&value) && value.fract() == 0.0).then_some(value as u64);
    let frame_id = whole(frame_id)?;
    differences.clear();
    for dependency in dependencies {
        let difference = frame_id.checked_sub(whole(*dependency)?).filter(|difference| *difference > 0)?;
        differences.push(u16::try_from(difference).ok()?);
    }
    Some(frame_id as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sframe_comes_out_of_its_obu() {
        for (is_key, sframe) in [(true, vec![7; 200]), (false, vec![])] {
            let sent = [&[obu_header(is_key)], &sframe[..]].concat();
            assert_eq!(sframe_in(&sent), Some(&sframe[..]));
            assert_eq!(sframe_in(&as_received(&sent)), Some(&sframe[..]));
        }
        assert_eq!(as_received(&[8, 1, 2, 3]), [10, 3, 1, 2, 3]);
        // Forbidden bit, extension, sizes that are not those of what follows.
        for none in [&[][..], &[0x88, 1], &[12, 0, 1], &[10], &[10, 2, 1], &[10, 1, 1, 1], &[10, 0xff]] {
            assert_eq!(sframe_in(none), None);
        }
    }

    #[test]
    fn frame_numbers_and_differences() {
        let mut differences = Vec::new();
        assert_eq!(numbers(65_537.0, &[65_536.0, 65_531.0], &mut differences), Some(1));
        assert_eq!(differences, [1, 6]);
        for (frame_id, dependency) in [
            (5.0, 5.0),
            (5.0, 6.0),
            (70_000.0, 1.0),
            (5.5, 1.0),
            (5.0, -1.0),
            (f64::NAN, 1.0),
            (5.0, f64::NAN),
        ] {
            assert_eq!(numbers(frame_id, &[dependency], &mut differences), None, "{frame_id} {dependency}");
        }
    }
}
