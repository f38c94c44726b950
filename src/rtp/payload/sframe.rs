//! Encrypted frames as RTP payload: draft-ietf-avtcore-rtp-sframe, sections 4 and 5, in its text with the T
//! bit, which is that of -02.
//!
//! An SFrame ciphertext (RFC 9605) is cut into pieces, each behind one byte that says whether it is the first
//! or the last, and whether a frame as the coder has it was encrypted, or a packet's payload. The payload type
//! names the format of that, as if nothing was encrypted.

use bytes::{Bytes, BytesMut};

/// The byte before each piece: the SFrame payload descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct PayloadHeader {
    /// S: the piece is the first of its ciphertext.
    pub start: bool,
    /// E: the piece is the last of its ciphertext.
    pub end: bool,
    /// T: a packet's payload was encrypted, and not a whole frame.
    pub packetized: bool,
}

/// Why payloads are not the pieces of a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SframePayloadError {
    /// A payload without a byte, or no payload.
    #[error("no payload header")]
    Empty,
    /// S is missing in the first payload, or set in another.
    #[error("payload {index}: a wrong S bit")]
    Start {
        /// Index of the payload.
        index: usize,
    },
    /// E is missing in the last payload, or set in another.
    #[error("payload {index}: a wrong E bit")]
    End {
        /// Index of the payload.
        index: usize,
    },
    /// The payloads differ in T.
    #[error("payload {index}: another T bit than the first")]
    Mixed {
        /// Index of the payload.
        index: usize,
    },
}

impl PayloadHeader {
    /// Reads the byte; its 5 reserved bits are ignored.
    pub const fn from_byte(byte: u8) -> Self {
        Self { start: byte & 0x80 != 0, end: byte & 0x40 != 0, packetized: byte & 0x20 != 0 }
    }

    /// The byte, with reserved bits of 0.
    pub const fn to_byte(self) -> u8 {
        (self.start as u8) << 7 | (self.end as u8) << 6 | (self.packetized as u8) << 5
    }
}

/// Cuts a ciphertext into payloads of at most `max_payload` bytes, the byte before each piece included. They
/// are as equal in size as can be, and share the ciphertext's buffer. An empty ciphertext is one empty piece.
///
/// # Panics
/// If `max_payload` is below 2, which no piece fits.
pub fn split(
    ciphertext: Bytes,
    max_payload: usize,
    packetized: bool,
) -> impl ExactSizeIterator<Item = (PayloadHeader, Bytes)> {
    assert!(max_payload >= 2, "payloads of {max_payload} bytes");
    let len = ciphertext.len();
    let pieces = len.div_ceil(max_payload - 1).max(1);
    // The first `longer` pieces are a byte longer than the others.
    let (size, longer) = (len / pieces, len % pieces);
    (0..pieces).map(move |index| {
        let at = |index: usize| index * size + index.min(longer);
        let header = PayloadHeader { start: index == 0, end: index + 1 == pieces, packetized };
        (header, ciphertext.slice(at(index)..at(index + 1)))
    })
}

/// Looks whether payloads, which are in order and all there, are the pieces of one ciphertext, and whether a packet's
/// payload was encrypted.
///
/// # Errors
/// [`SframePayloadError`], if they are not.
pub fn check<'a>(payloads: impl Iterator<Item = &'a [u8]>) -> Result<bool, SframePayloadError> {
    let mut packetized = None;
    let mut payloads = payloads.enumerate().peekable();
    while let Some((index, payload)) = payloads.next() {
        let header = PayloadHeader::from_byte(*payload.first().ok_or(SframePayloadError::Empty)?);
        if header.start != (index == 0) {
            return Err(SframePayloadError::Start { index });
        }
        if header.end != payloads.peek().is_none() {
            return Err(SframePayloadError::End { index });
        }
        if header.packetized != *packetized.get_or_insert(header.packetized) {
            return Err(SframePayloadError::Mixed { index });
        }
    }
    packetized.ok_or(SframePayloadError::Empty)
}

/// Puts a ciphertext together from its payloads, which are in order and all there: it, and whether a packet's
/// payload was encrypted. A single payload is not copied.
///
/// # Errors
/// [`SframePayloadError`], if they are not the pieces of one ciphertext.
pub fn join(payloads: &[Bytes]) -> Result<(Bytes, bool), SframePayloadError> {
    let packetized = check(payloads.iter().map(|payload| &payload[..]))?;
    if let [payload] = payloads {
        return Ok((payload.slice(1..), packetized));
    }
    let mut ciphertext = BytesMut::with_capacity(payloads.iter().map(|payload| payload.len() - 1).sum());
    for payload in payloads {
        ciphertext.extend_from_slice(&payload[1..]);
    }
    Ok((ciphertext.freeze(), packetized))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn payloads(ciphertext: &[u8], max_payload: usize, packetized: bool) -> Vec<Bytes> {
        let pieces = split(Bytes::copy_from_slice(ciphertext), max_payload, packetized);
        pieces.map(|(header, piece)| [&[header.to_byte()], &piece[..]].concat().into()).collect()
    }

    #[test]
    fn pieces_say_where_they_are() {
        let cut = payloads(&[1, 2, 3, 4, 5, 6, 7], 4, false);
        let expected: [&[u8]; 3] = [&[0x80, 1, 2, 3], &[0, 4, 5], &[0x40, 6, 7]];
        assert_eq!(cut, expected);
        assert_eq!(payloads(&[9], 1200, true), [&[0xe0, 9][..]]);
        // Reserved bits are nobody's business.
        assert_eq!(join(&[Bytes::from_static(&[0xff, 9])]), Ok((Bytes::from_static(&[9]), true)));
    }

    #[test]
    fn what_is_not_one_ciphertext_is_refused() {
        let cut = payloads(&[1, 2, 3, 4, 5, 6, 7], 4, false);
        let join = |list: &[&[u8]]| {
            let list: Vec<Bytes> = list.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
            super::join(&list).err()
        };
        assert_eq!(join(&[&cut[0], &cut[1], &cut[2]]), None);
        assert_eq!(join(&[&cut[1], &cut[2]]), Some(SframePayloadError::Start { index: 0 }));
        assert_eq!(join(&[&cut[0], &cut[0], &cut[2]]), Some(SframePayloadError::Start { index: 1 }));
        assert_eq!(join(&[&cut[0], &cut[1]]), Some(SframePayloadError::End { index: 1 }));
        assert_eq!(join(&[&cut[0], &cut[2], &cut[2]]), Some(SframePayloadError::End { index: 1 }));
        assert_eq!(join(&[&cut[0], &[0x60, 6]]), Some(SframePayloadError::Mixed { index: 1 }));
        assert_eq!(join(&[&cut[0], &[], &cut[2]]), Some(SframePayloadError::Empty));
        assert_eq!(join(&[]), Some(SframePayloadError::Empty));
    }

    proptest! {
        #[test]
        fn ciphertexts_come_back(
            ciphertext in vec(any::<u8>(), 0..3000),
            max_payload in 2..1300usize,
            packetized in any::<bool>(),
        ) {
            let cut = payloads(&ciphertext, max_payload, packetized);
            prop_assert!(cut.iter().all(|payload| payload.len() <= max_payload));
            prop_assert_eq!(cut.len(), ciphertext.len().div_ceil(max_payload - 1).max(1));
            prop_assert_eq!(join(&cut), Ok((ciphertext.into(), packetized)));
        }

        #[test]
        fn any_payloads_are_joined_or_refused(list in vec(vec(any::<u8>(), 0..4), 0..4)) {
            let list: Vec<Bytes> = list.into_iter().map(Bytes::from).collect();
            if let Ok((ciphertext, _)) = join(&list) {
                prop_assert_eq!(ciphertext.len() + list.len(), list.iter().map(Bytes::len).sum::<usize>());
            }
        }
    }
}
