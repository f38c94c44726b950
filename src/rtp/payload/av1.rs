//! AV1 as RTP payload (AV1 RTP specification 1.0, sections 4 and 5), for streams that are not encrypted.
//!
//! A payload is an aggregation header and OBU elements: OBUs without obu_size, or fragments of them. This
//! module makes the one of the other, and drops temporal delimiters and tile lists on both ways.

use arrayvec::ArrayVec;
use bytes::{BufMut, Bytes, BytesMut};

use crate::bitstream::{self, ObuType, leb128, obus, write_obu};
use crate::structure::LayerId;

/// Z: the first element goes on with one of the payload before.
pub(super) const Z: u8 = 0x80;

/// Y: the last element goes on in the payload behind.
pub(super) const Y: u8 = 0x40;

/// The position of W, the number of elements, or 0 if each has its length in front.
pub(super) const W_SHIFT: u32 = 4;

/// The most elements that W can count.
pub(super) const W_MAX: usize = 3;

/// N: the payload is the first of a coded video sequence.
pub(super) const N: u8 = 0x08;

/// OBUs and fragments of OBUs that payloads put together may have, beside one for each payload. A frame has a few, and
/// one for each tile at most, of which the highest level of AV1 allows 128 (A.3).
pub const MAX_OBUS: usize = 1024;

/// Why bytes are no AV1 stream or payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Av1PayloadError {
    /// An OBU that is none.
    #[error(transparent)]
    Obu(#[from] bitstream::BitstreamError),
    /// A payload without elements, or an OBU without a byte.
    #[error("an empty payload or OBU")]
    Empty,
    /// An element that reaches beyond its payload.
    #[error("an OBU element that does not fit its payload")]
    Element,
    /// An OBU whose obu_size is not the element's.
    #[error("an OBU that does not fill its element")]
    Size,
    /// A fragment without that before or behind it: Z and Y of neighbours differ.
    #[error("a fragment of an OBU is missing")]
    Fragment,
    /// N and Z at once: a coded video sequence does not begin within an OBU.
    #[error("a coded video sequence that begins within an OBU")]
    Sequence,
    /// More than [`MAX_OBUS`] OBUs, or fragments of them.
    #[error("more OBUs than a frame has")]
    TooMany,
}

/// Cuts the OBUs of a frame, or of a temporal unit, into payloads of at most `max_payload` bytes.
/// `new_sequence` says that a coded video sequence begins with them: with a key frame's sequence header.
///
/// OBUs share a payload if they fit and are not of different layers; an OBU that does not fit is cut.
///
/// # Errors
/// [`Av1PayloadError::Obu`], if `unit` is not a series of OBUs.
///
/// # Panics
/// If `max_payload` is below 2, which no element fits.
pub fn packetize(unit: &[u8], max_payload: usize, new_sequence: bool) -> Result<Vec<Bytes>, Av1PayloadError> {
    packetize_behind(unit, (max_payload, max_payload), new_sequence)
}

/// [`packetize`], with less room in the first payload than in the others: behind a descriptor that brings its structure.
pub(crate) fn packetize_behind(
    unit: &[u8],
    (first_payload, max_payload): (usize, usize),
    new_sequence: bool,
) -> Result<Vec<Bytes>, Av1PayloadError> {
    assert!(first_payload.min(max_payload) >= 2, "payloads of {first_payload} and {max_payload} bytes");
    let mut packets = Packets {
        buffer: BytesMut::with_capacity(unit.len() + unit.len() / max_payload + 16),
        done: Vec::with_capacity(unit.len() / max_payload + 1),
        elements: Vec::new(),
        layer: None,
        flags: if new_sequence { N } else { 0 },
    };
    for obu in obus(unit) {
        let obu = obu?;
        if is_dropped(obu.header.obu_type) {
            continue;
        }
        if obu.header.extension.is_some() && packets.layer.is_some_and(|of| Some(of) != obu.header.extension)
        {
            packets.flush(0);
        }
        // The header without obu_has_size_field; reserved bits are 0 (AV1 5.3.2 and 5.3.3).
        let mut head: ArrayVec<u8, 2> = [obu.bytes[0] & 0x7c].into_iter().collect();
        if obu.header.extension.is_some() {
            head.push(obu.bytes[1] & 0xf8);
        }
        let mut rest = Element { head, body: obu.payload };
        loop {
            let is_first = packets.done.is_empty();
            let room = packets.room(if is_first { first_payload } else { max_payload });
            if room == 0 {
                packets.flush(0);
                continue;
            }
            packets.layer = packets.layer.or(obu.header.extension);
            if rest.len() <= room {
                packets.elements.push(rest);
                break;
            }
            packets.elements.push(rest.split_to(room));
            packets.flush(Y);
        }
    }
    packets.flush(0);
    Ok(packets.done)
}

/// Puts OBUs together from payloads, which are in order and all there, and appends them with obu_size, as a
/// decoder takes them. Gives whether a coded video sequence begins with the first payload.
///
/// # Errors
/// [`Av1PayloadError`], if they are not the payloads of whole OBUs; nothing is appended then.
pub fn depacketize<P: AsRef<[u8]>>(
    payloads: impl IntoIterator<Item = P>,
    into: &mut Vec<u8>,
) -> Result<bool, Av1PayloadError> {
    let before = into.len();
    let result = append_obus(payloads, into);
    if result.is_err() {
        into.truncate(before);
    }
    result
}

/// Puts the OBUs of a frame together as [`depacketize`] does, in a block of no more than a few bytes beyond their size.
///
/// # Errors
/// [`Av1PayloadError`].
pub fn join(payloads: &[Bytes]) -> Result<Bytes, Av1PayloadError> {
    // An OBU gets an obu_size where its element had a length, but for the last one of each payload.
    let most: usize = payloads.iter().map(|payload| payload.len() + 3).sum();
    let mut obus = Vec::with_capacity(most);
    depacketize(payloads, &mut obus)?;
    // OBUs that are dropped must not count with the frame that is kept.
    if obus.len() + obus.len() / 8 < most {
        obus.shrink_to_fit();
    }
    Ok(obus.into())
}

fn append_obus<P: AsRef<[u8]>>(
    payloads: impl IntoIterator<Item = P>,
    into: &mut Vec<u8>,
) -> Result<bool, Av1PayloadError> {
    let mut new_sequence = None;
    // The fragments of an OBU that is not whole yet.
    let mut begun: Option<Vec<u8>> = None;
    let mut left = MAX_OBUS;
    for payload in payloads {
        let (&header, mut rest) = payload.as_ref().split_first().ok_or(Av1PayloadError::Empty)?;
        if header & Z != 0 && header & N != 0 {
            return Err(Av1PayloadError::Sequence);
        }
        new_sequence.get_or_insert(header & N != 0);
        if begun.is_some() != (header & Z != 0) {
            return Err(Av1PayloadError::Fragment);
        }
        let count = usize::from(header >> W_SHIFT) & W_MAX;
        for index in 1.. {
            if count == 0 && rest.is_empty() && index == 1 {
                return Err(Av1PayloadError::Empty);
            }
            let element;
            if index == count {
                (element, rest) = (rest, &[]);
            } else {
                let (size, at) = leb128(rest).map_err(|_| Av1PayloadError::Element)?;
                let size = usize::try_from(size).map_err(|_| Av1PayloadError::Element)?;
                (element, rest) = rest[at..].split_at_checked(size).ok_or(Av1PayloadError::Element)?;
            }
            let is_last = if count == 0 { rest.is_empty() } else { index == count };
            if index > 1 {
                left = left.checked_sub(1).ok_or(Av1PayloadError::TooMany)?;
            }
            let goes_on = is_last && header & Y != 0;
            match (&mut begun, goes_on) {
                (Some(begun), true) => begun.extend_from_slice(element),
                (None, true) => begun = Some(element.to_vec()),
                (Some(held), false) => {
                    held.extend_from_slice(element);
                    append_obu(held, into)?;
                    begun = None;
                }
                (None, false) => append_obu(element, into)?,
            }
            if is_last {
                break;
            }
        }
    }
    if begun.is_some() {
        return Err(Av1PayloadError::Fragment);
    }
    new_sequence.ok_or(Av1PayloadError::Empty)
}

/// Appends one OBU, unless it is of a type that is dropped.
fn append_obu(element: &[u8], into: &mut Vec<u8>) -> Result<(), Av1PayloadError> {
    let obu = obus(element).next().ok_or(Av1PayloadError::Empty)??;
    if obu.bytes.len() != element.len() {
        return Err(Av1PayloadError::Size);
    }
    if !is_dropped(obu.header.obu_type) {
        write_obu(into, obu.header, obu.payload)?;
    }
    Ok(())
}

/// Section 5: neither is sent, and receivers ignore them.
fn is_dropped(obu_type: ObuType) -> bool {
    matches!(obu_type, ObuType::TemporalDelimiter | ObuType::TileList)
}

/// An OBU without size, or a fragment of one.
struct Element<'a> {
    head: ArrayVec<u8, 2>,
    body: &'a [u8],
}

impl Element<'_> {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Takes the first `n` bytes.
    fn split_to(&mut self, n: usize) -> Self {
        let of_head = n.min(self.head.len());
        let head = self.head.drain(..of_head).collect();
        let (body, rest) = self.body.split_at(n - of_head);
        self.body = rest;
        Self { head, body }
    }
}

/// Payloads written, and the one that is being filled.
struct Packets<'a> {
    buffer: BytesMut,
    done: Vec<Bytes>,
    elements: Vec<Element<'a>>,
    /// The layer of its elements, once one has an extension header.
    layer: Option<LayerId>,
    /// Z and N.
    flags: u8,
}

impl Packets<'_> {
    /// How many bytes one more element may have.
    fn room(&self, max_payload: usize) -> usize {
        // All that are there are not the last then, and have a length in front.
        let used: usize = self.elements.iter().map(|element| element.len() + leb128_len(element.len())).sum();
        let left = max_payload.saturating_sub(1 + used);
        if self.elements.len() < W_MAX { left } else { left.saturating_sub(leb128_len(left)) }
    }

    /// Writes the payload, if there is something in it; `y` is the flag or 0.
    fn flush(&mut self, y: u8) {
        if self.elements.is_empty() {
            return;
        }
        let count = self.elements.len();
        let w = if count > W_MAX { 0 } else { count };
        self.buffer.put_u8(self.flags | y | (w as u8) << W_SHIFT);
        for (index, element) in self.elements.iter().enumerate() {
            if index + 1 != w {
                put_leb128(&mut self.buffer, element.len());
            }
            self.buffer.put_slice(&element.head);
            self.buffer.put_slice(element.body);
        }
        self.done.push(self.buffer.split().freeze());
        self.elements.clear();
        self.layer = None;
        self.flags = if y == 0 { 0 } else { Z };
    }
}

/// Bytes of leb128().
fn leb128_len(value: usize) -> usize {
    (value.checked_ilog2().unwrap_or(0) / 7 + 1) as usize
}

fn put_leb128(into: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        into.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::bitstream::{ObuHeader, write_temporal_delimiter};

    /// spatial_id and temporal_id of an extension header.
    type Layer = Option<(u8, u8)>;

    fn header(obu_type: ObuType, layer: Layer) -> ObuHeader {
        ObuHeader { obu_type, extension: layer.map(|(s, t)| LayerId::new(s, t)) }
    }

    fn unit(list: &[(ObuType, Layer, usize)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (n, (obu_type, layer, len)) in list.iter().enumerate() {
            write_obu(&mut out, header(*obu_type, *layer), &vec![n as u8 + 1; *len]).unwrap();
        }
        out
    }

    #[test]
    fn elements_lie_as_the_specification_draws_them() {
        // Section 4.4: two elements of 200 and 100 bytes in a payload of 303.
        let sent = unit(&[(ObuType::SequenceHeader, None, 199), (ObuType::Frame, Some((0, 0)), 98)]);
        let packets = packetize(&sent, 1200, true).unwrap();
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].len(), 303);
        assert_eq!(packets[0][..4], [0x28, 0xc8, 0x01, 0x08]);
        assert_eq!(packets[0][203..207], [0x34, 0x00, 2, 2]);
        // One element; then more than W can count.
        let one = packetize(&unit(&[(ObuType::Frame, None, 2)]), 1200, false).unwrap();
        assert_eq!(one, [&[0x10, 0x30, 1, 1][..]]);
        let four = packetize(&unit(&[(ObuType::Metadata, None, 1); 4]), 1200, false).unwrap();
        assert_eq!(four, [&[0x00, 2, 0x28, 1, 2, 0x28, 2, 2, 0x28, 3, 2, 0x28, 4][..]]);
    }

    #[test]
    fn fragments_know_their_neighbours() {
        let packets = packetize(&unit(&[(ObuType::Frame, Some((1, 2)), 7)]), 4, true).unwrap();
        let expected: [&[u8]; 3] = [&[0x58, 0x34, 0x48, 1], &[0xd0, 1, 1, 1], &[0x90, 1, 1, 1]];
        assert_eq!(packets, expected);
    }

    /// Section 5.1: `TD SH MD MD(0,0) FH(0,0) TG(0,0) MD(0,1) FH(0,1) TG(0,1)`.
    #[test]
    fn layers_do_not_share_payloads_and_delimiters_go() {
        let (s0, s1) = (Some((0, 0)), Some((1, 0)));
        let mut sent = Vec::new();
        write_temporal_delimiter(&mut sent);
        sent.extend(unit(&[
            (ObuType::SequenceHeader, None, 9),
            (ObuType::Metadata, None, 5),
            (ObuType::Metadata, s0, 5),
            (ObuType::FrameHeader, s0, 8),
            (ObuType::TileGroup, s0, 40),
            (ObuType::Metadata, s1, 5),
            (ObuType::FrameHeader, s1, 8),
            (ObuType::TileList, s1, 8),
            (ObuType::TileGroup, s1, 40),
        ]));
        let packets = packetize(&sent, 1200, true).unwrap();
        let types = |packet: &Bytes| {
            let mut whole = Vec::new();
            depacketize([packet], &mut whole).unwrap();
            obus(&whole).map(|obu| obu.unwrap().header).collect::<Vec<_>>()
        };
        assert_eq!(packets.len(), 2);
        assert_eq!(
            types(&packets[0]),
            [
                header(ObuType::SequenceHeader, None),
                header(ObuType::Metadata, None),
                header(ObuType::Metadata, s0),
                header(ObuType::FrameHeader, s0),
                header(ObuType::TileGroup, s0)
            ]
        );
        assert_eq!(
            types(&packets[1]),
            [header(ObuType::Metadata, s1), header(ObuType::FrameHeader, s1), header(ObuType::TileGroup, s1)]
        );
    }

    #[test]
    fn what_is_not_whole_obus_is_refused() {
        let packets = packetize(&unit(&[(ObuType::Frame, None, 9)]), 5, false).unwrap();
        let refused = |list: &[&[u8]]| {
            let mut whole = vec![7];
            let error = depacketize(list, &mut whole).err();
            assert_eq!(whole[0], 7);
            assert!(error.is_none() || whole.len() == 1);
            error
        };
        let all: Vec<&[u8]> = packets.iter().map(|packet| &packet[..]).collect();
        assert_eq!(refused(&all), None);
        assert_eq!(refused(&all[1..]), Some(Av1PayloadError::Fragment));
        assert_eq!(refused(&all[..2]), Some(Av1PayloadError::Fragment));
        assert_eq!(refused(&[all[0], all[0]]), Some(Av1PayloadError::Fragment));
        assert_eq!(refused(&[]), Some(Av1PayloadError::Empty));
        assert_eq!(refused(&[&[]]), Some(Av1PayloadError::Empty));
        assert_eq!(refused(&[&[0x00]]), Some(Av1PayloadError::Empty));
        assert_eq!(refused(&[&[0x10]]), Some(Av1PayloadError::Empty));
        assert_eq!(refused(&[&[0x20, 9, 0x30]]), Some(Av1PayloadError::Element));
        assert_eq!(refused(&[&[0x00, 0x80]]), Some(Av1PayloadError::Element));
        assert_eq!(refused(&[&[0x98, 0x30]]), Some(Av1PayloadError::Sequence));
        // obu_size within an element is taken, where it is right.
        assert_eq!(refused(&[&[0x10, 0x32, 1, 5]]), None);
        assert_eq!(refused(&[&[0x10, 0x32, 1, 5, 6]]), Some(Av1PayloadError::Size));
        assert_eq!(
            refused(&[&[0x10, 0x32, 3, 5]]),
            Some(Av1PayloadError::Obu(bitstream::BitstreamError::End))
        );
    }

    proptest! {
        #[test]
        fn units_come_back(
            list in vec((1..=8u32, proptest::option::of((0..4u8, 0..8u8)), 0..400usize), 0..9),
            max_payload in 2..600usize,
            new_sequence in any::<bool>(),
        ) {
            let types = [
                ObuType::SequenceHeader, ObuType::TemporalDelimiter, ObuType::FrameHeader, ObuType::TileGroup,
                ObuType::Metadata, ObuType::Frame, ObuType::TileList, ObuType::Padding,
            ];
            let list: Vec<_> =
                list.into_iter().map(|(code, layer, len)| (types[code as usize - 1], layer, len)).collect();
            let sent = unit(&list);
            let packets = packetize(&sent, max_payload, new_sequence).unwrap();
            prop_assert!(packets.iter().all(|packet| packet.len() <= max_payload));
            let mut whole = Vec::new();
            for obu in obus(&sent).map(Result::unwrap).filter(|obu| !is_dropped(obu.header.obu_type)) {
                whole.extend_from_slice(obu.bytes);
            }
            let mut got = Vec::new();
            let result = depacketize(&packets, &mut got);
            prop_assert_eq!(result, if packets.is_empty() { Err(Av1PayloadError::Empty) } else { Ok(new_sequence) });
            prop_assert_eq!(got, whole);
        }

        #[test]
        fn any_payloads_are_read_or_refused(list in vec(vec(any::<u8>(), 0..20), 0..4)) {
            let mut whole = Vec::new();
            if depacketize(&list, &mut whole).is_ok() {
                prop_assert!(obus(&whole).all(|obu| obu.is_ok()));
            } else {
                prop_assert!(whole.is_empty());
            }
        }
    }
}
