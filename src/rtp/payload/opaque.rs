//! Encrypted frames in the payload format of AV1, as browsers send and take them.
//!
//! A browser hands each coded frame to a script of the page, an encoded transform, and puts what comes back into packets
//! as AV1. Its packetizer reads OBUs: it would alter a bare ciphertext or drop it. So the script hands back one OBU with
//! the whole SFrame ciphertext (RFC 9605) behind its header:
//!
//! ```text
//! +--------------+---------------------------------+
//! | obu_header() | SFrame: header, ciphertext, tag |
//! +--------------+---------------------------------+
//! ```
//!
//! The header is one byte: obu_type is OBU_SEQUENCE_HEADER in the first frame of a coded video sequence, so that relays
//! that look for it find it, and else OBU_FRAME; there is neither an extension nor a size. On the wire the OBU is cut
//! into payloads of one element each (AV1 RTP specification, section 4.4). At the other end the browser hands the script
//! the OBU with a size behind its header.
//!
//! What the script is given to seal begins with a temporal delimiter in Chromium, so the frame that is opened does too
//! ([`drop_delimiter`]).
//!
//! Chromium 156 does it so: `test-vectors/others` has a capture.

use bytes::{Buf, Bytes, BytesMut};

use super::av1::{N, W_MAX, W_SHIFT, Y, Z};
use crate::bitstream::{ObuType, leb128, obus};

/// Why payloads are not the pieces of one OBU with a ciphertext in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpaquePayloadError {
    /// A payload without an element, or no payload.
    #[error("an empty payload")]
    Empty,
    /// Z or Y is not that of the only OBU's payload in this place.
    #[error("payload {index}: a wrong Z or Y bit")]
    Fragment {
        /// Index of the payload.
        index: usize,
    },
    /// A payload of more than one OBU element, or with an element that does not fill it.
    #[error("payload {index}: more or less than one OBU element")]
    Element {
        /// Index of the payload.
        index: usize,
    },
    /// An OBU with the forbidden bit, an extension or a size.
    #[error("an OBU header of {0:#04x}")]
    Header(
        /// The byte.
        u8,
    ),
}

/// The header of the OBU around a ciphertext. `new_sequence` says that a coded video sequence begins with the frame.
pub fn obu_header(new_sequence: bool) -> u8 {
    let obu_type = if new_sequence { ObuType::SequenceHeader } else { ObuType::Frame };
    u8::from(obu_type) << 3
}

/// The aggregation header of a payload with one piece of an OBU: `start` in the first payload, `end` in the last.
pub(crate) const fn aggregation_header(start: bool, end: bool, new_sequence: bool) -> u8 {
    let (z, y) = (if start { 0 } else { Z }, if end { 0 } else { Y });
    let n = if start && new_sequence { N } else { 0 };
    z | y | 1 << W_SHIFT | n
}

/// The piece of the OBU in a payload.
fn piece(payload: &[u8], index: usize, is_last: bool) -> Result<&[u8], OpaquePayloadError> {
    let (&header, rest) = payload.split_first().ok_or(OpaquePayloadError::Empty)?;
    if (header & Z != 0) != (index > 0) || (header & Y != 0) == is_last {
        return Err(OpaquePayloadError::Fragment { index });
    }
    let wrong = OpaquePayloadError::Element { index };
    let element = match usize::from(header >> W_SHIFT) & W_MAX {
        0 => {
            let (size, at) = leb128(rest).map_err(|_| wrong)?;
            let element = &rest[at..];
            if u64::from(size) != element.len() as u64 {
                return Err(wrong);
            }
            element
        }
        1 => rest,
        _ => return Err(wrong),
    };
    if element.is_empty() { Err(OpaquePayloadError::Empty) } else { Ok(element) }
}

/// Puts the ciphertext of a frame together from its payloads, which are in order and all there, in a block of its own.
///
/// # Errors
/// [`OpaquePayloadError`], if they are not the pieces of one OBU.
pub fn join<'a>(payloads: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Bytes, OpaquePayloadError> {
    let most = payloads.clone().map(<[u8]>::len).sum();
    let mut ciphertext = BytesMut::with_capacity(most);
    let mut payloads = payloads.enumerate().peekable();
    payloads.peek().ok_or(OpaquePayloadError::Empty)?;
    while let Some((index, payload)) = payloads.next() {
        let mut piece = piece(payload, index, payloads.peek().is_none())?;
        if index == 0 {
            let (&header, behind) = piece.split_first().ok_or(OpaquePayloadError::Empty)?;
            // The forbidden bit, obu_extension_flag and obu_has_size_field.
            if header & 0x86 != 0 {
                return Err(OpaquePayloadError::Header(header));
            }
            piece = behind;
        }
        ciphertext.extend_from_slice(piece);
    }
    Ok(ciphertext.freeze())
}

/// Drops the temporal delimiter from the beginning of a frame's OBUs, if there is one. A decoder wants one for all frames
/// of a picture.
pub fn drop_delimiter(frame: &mut Bytes) {
    if let Some(Ok(first)) = obus(frame).next()
        && first.header.obu_type == ObuType::TemporalDelimiter
    {
        let size = first.bytes.len();
        frame.advance(size);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::rtp::payload::av1;

    fn joined<P: AsRef<[u8]>>(payloads: &[P]) -> Result<Bytes, OpaquePayloadError> {
        join(payloads.iter().map(AsRef::as_ref))
    }

    /// Payloads of one OBU in pieces of `size` bytes.
    fn payloads(ciphertext: &[u8], size: usize, new_sequence: bool) -> Vec<Vec<u8>> {
        let obu = [&[obu_header(new_sequence)], ciphertext].concat();
        let count = obu.len().div_ceil(size);
        let header = |index| aggregation_header(index == 0, index + 1 == count, new_sequence);
        obu.chunks(size).enumerate().map(|(index, piece)| [&[header(index)], piece].concat()).collect()
    }

    #[test]
    fn pieces_lie_as_chromium_writes_them() {
        // The aggregation headers and the OBU headers of the capture.
        let cut = payloads(&[7; 5], 2, true);
        assert_eq!(cut, [&[0x58, 0x08, 7][..], &[0xd0, 7, 7], &[0x90, 7, 7]]);
        assert_eq!(payloads(&[7], 9, false), [[0x10, 0x30, 7]]);
        // A length in front of the only element is as good.
        assert_eq!(joined(&[&[0x00, 2, 0x30, 7]]).unwrap()[..], [7]);
        assert_eq!(joined(&[&[0x40, 2, 0x30, 7][..], &[0x80, 1, 8]]).unwrap()[..], [7, 8]);
    }

    #[test]
    fn what_is_not_one_obu_is_refused() {
        use OpaquePayloadError::*;
        let refused = |payloads: &[&[u8]]| joined(payloads).unwrap_err();
        assert_eq!(refused(&[]), Empty);
        assert_eq!(refused(&[&[]]), Empty);
        assert_eq!(refused(&[&[0x10]]), Empty);
        assert_eq!(refused(&[&[0x50, 0x30], &[0x90]]), Empty);
        assert_eq!(refused(&[&[0x50, 0x30, 7]]), Fragment { index: 0 });
        assert_eq!(refused(&[&[0x90, 0x30, 7]]), Fragment { index: 0 });
        assert_eq!(refused(&[&[0x10, 0x30, 7], &[0x90, 7]]), Fragment { index: 0 });
        assert_eq!(refused(&[&[0x50, 0x30, 7], &[0x10, 0x30, 7]]), Fragment { index: 1 });
        assert_eq!(refused(&[&[0x20, 2, 0x30, 7, 0x30, 7]]), Element { index: 0 });
        assert_eq!(refused(&[&[0x00, 2, 0x30, 7, 2, 0x30, 7]]), Element { index: 0 });
        assert_eq!(refused(&[&[0x00, 9, 0x30, 7]]), Element { index: 0 });
        assert_eq!(refused(&[&[0x00, 0x80]]), Element { index: 0 });
        for header in [0xb0, 0x34, 0x32] {
            assert_eq!(refused(&[&[0x10, header, 1, 7]]), Header(header));
        }
    }

    #[test]
    fn a_delimiter_is_dropped_from_the_beginning() {
        for (frame, left) in [
            (&[0x12, 0, 0x32, 1, 5][..], &[0x32, 1, 5][..]),
            (&[0x32, 1, 5, 0x12, 0], &[0x32, 1, 5, 0x12, 0]),
            (&[0x12, 0], &[]),
            (&[0x12, 9], &[0x12, 9]),
            (&[], &[]),
        ] {
            let mut frame = Bytes::copy_from_slice(frame);
            drop_delimiter(&mut frame);
            assert_eq!(frame, left);
        }
    }

    proptest! {
        #[test]
        fn ciphertexts_come_back_and_are_av1_to_others(
            ciphertext in vec(any::<u8>(), 1..3000),
            size in 1..1300usize,
            new_sequence in any::<bool>(),
        ) {
            let cut = payloads(&ciphertext, size, new_sequence);
            prop_assert_eq!(&joined(&cut).unwrap()[..], &ciphertext[..]);
            let mut unit = vec![];
            prop_assert_eq!(av1::depacketize(&cut, &mut unit), Ok(new_sequence));
            let read: Vec<_> = obus(&unit).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].payload, &ciphertext[..]);
        }

        #[test]
        fn any_payloads_are_joined_or_refused(list in vec(vec(any::<u8>(), 0..9), 0..4)) {
            if let Ok(ciphertext) = joined(&list) {
                prop_assert!(ciphertext.len() < list.iter().map(Vec::len).sum());
            }
        }
    }
}
