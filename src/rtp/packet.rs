//! RTP packets (RFC 3550, section 5.1) and their header extensions (RFC 8285).
//!
//! [`RtpPacket`] borrows a packet that was received, [`RtpHeader`] writes one, and [`RtpPacketMut`] changes one in place:
//! a relay gives it another sequence number, timestamp or SSRC, and whoever sends it a transport-wide number.

use std::ops::Range;

use bytes::BufMut;

use super::list::List;

/// Length of the fixed header, in bytes.
const FIXED: usize = 12;

/// "Defined by profile" of one-byte extensions.
const ONE_BYTE: u16 = 0xbede;

/// The same of two-byte extensions; the low 4 bits are the application's.
const TWO_BYTE: u16 = 0x1000;

/// Why bytes are no RTP packet, or a header is not to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// The packet ends within its header or extensions.
    #[error("the packet ends within its header")]
    End,
    /// Not version 2.
    #[error("RTP version {version}")]
    Version {
        /// The version.
        version: u8,
    },
    /// Padding of no byte or of more bytes than there are.
    #[error("{padding} bytes of padding")]
    Padding {
        /// The number that the last byte says.
        padding: u8,
    },
    /// An extension that reaches beyond the extensions' end.
    #[error("a header extension that does not fit")]
    ExtensionLength,
    /// A payload type above 127.
    #[error("payload type {payload_type}")]
    PayloadType {
        /// The payload type.
        payload_type: u8,
    },
    /// Id 0, which is padding, an element of more than 255 bytes, or more elements than an extension header
    /// can hold; or an element that is not there to be written over.
    #[error("a header extension that cannot be written")]
    Extension,
    /// The buffer to write to is too small.
    #[error("no space for a header of {size} bytes")]
    Space {
        /// Bytes needed.
        size: usize,
    },
}

/// The fields of an RTP header, without its extensions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct RtpHeader {
    /// In video: the last packet of its temporal unit.
    pub marker: bool,
    /// Format of the payload, 0 to 127.
    pub payload_type: u8,
    /// Higher by 1 for each packet, modulo 2^16.
    pub sequence_number: u16,
    /// In ticks of the media clock, which runs at 90 kHz for video.
    pub timestamp: u32,
    /// Synchronization source: the sender of the stream.
    pub ssrc: u32,
    /// Contributing sources.
    pub csrcs: List<u32, 15>,
}

impl RtpHeader {
    /// Length of the header with these extensions, in bytes.
    ///
    /// # Errors
    /// [`PacketError`], if [`write`](Self::write) refuses them for another reason than space.
    pub fn size(&self, extensions: &[(u8, &[u8])]) -> Result<usize, PacketError> {
        if self.payload_type > 127 {
            return Err(PacketError::PayloadType { payload_type: self.payload_type });
        }
        let words = match extension_form(extensions)? {
            None => 0,
            Some(form) => 1 + form.size.div_ceil(4),
        };
        Ok(FIXED + 4 * (self.csrcs.len() + words))
    }

    /// Appends the header with header extensions, each an id and its bytes: in the one-byte form if that
    /// can say them (ids to 14, lengths of 1 to 16), else in the two-byte form. The payload follows it.
    ///
    /// # Errors
    /// [`PacketError::PayloadType`], [`PacketError::Extension`] and [`PacketError::Space`]; nothing is written then.
    pub fn write(&self, extensions: &[(u8, &[u8])], into: &mut impl BufMut) -> Result<(), PacketError> {
        let size = self.size(extensions)?;
        if into.remaining_mut() < size {
            return Err(PacketError::Space { size });
        }
        let form = extension_form(extensions)?;
        into.put_u8(2 << 6 | u8::from(form.is_some()) << 4 | self.csrcs.len() as u8);
        into.put_u8(u8::from(self.marker) << 7 | self.payload_type);
        into.put_u16(self.sequence_number);
        into.put_u32(self.timestamp);
        into.put_u32(self.ssrc);
        for &csrc in &self.csrcs {
            into.put_u32(csrc);
        }
        if let Some(form) = form {
            into.put_u16(if form.two_byte { TWO_BYTE } else { ONE_BYTE });
            into.put_u16(form.size.div_ceil(4) as u16);
            for (id, data) in extensions {
                if form.two_byte {
                    into.put_u8(*id);
                    into.put_u8(data.len() as u8);
                } else {
                    into.put_u8(id << 4 | (data.len() - 1) as u8);
                }
                into.put_slice(data);
            }
            into.put_bytes(0, form.size.next_multiple_of(4) - form.size);
        }
        Ok(())
    }
}

/// How extensions are written, and their length in bytes without padding.
struct Form {
    two_byte: bool,
    size: usize,
}

/// The form of these extensions; `None` if there are none.
fn extension_form(extensions: &[(u8, &[u8])]) -> Result<Option<Form>, PacketError> {
    if extensions.is_empty() {
        return Ok(None);
    }
    if extensions.iter().any(|(id, data)| *id == 0 || data.len() > 255) {
        return Err(PacketError::Extension);
    }
    let two_byte = extensions.iter().any(|(id, data)| *id > 14 || !(1..=16).contains(&data.len()));
    let head = if two_byte { 2 } else { 1 };
    let size: usize = extensions.iter().map(|(_, data)| head + data.len()).sum();
    if size.div_ceil(4) > usize::from(u16::MAX) {
        return Err(PacketError::Extension);
    }
    Ok(Some(Form { two_byte, size }))
}

/// A received packet, borrowed from its buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RtpPacket<'a> {
    /// Its header.
    pub header: RtpHeader,
    /// Its header extensions.
    pub extensions: Extensions<'a>,
    /// Its payload, without padding.
    pub payload: &'a [u8],
    /// The range of the payload in the packet, for a share of a `Bytes`.
    pub payload_range: Range<usize>,
}

impl<'a> RtpPacket<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`PacketError`], if it is none.
    pub fn read(packet: &'a [u8]) -> Result<Self, PacketError> {
        let fixed: &[u8; FIXED] = packet.first_chunk().ok_or(PacketError::End)?;
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(PacketError::Version { version });
        }
        let mut at = FIXED;
        let mut word = || {
            let word = packet.get(at..at + 4).ok_or(PacketError::End)?;
            at += 4;
            Ok(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        let mut csrcs = List::new();
        for _ in 0..fixed[0] & 15 {
            csrcs.push(word()?);
        }
        let mut extensions = Extensions::default();
        if fixed[0] & 0x10 != 0 {
            let head = word()?;
            let end = at + 4 * (head & 0xffff) as usize;
            let data = packet.get(at..end).ok_or(PacketError::End)?;
            extensions = Extensions { profile: (head >> 16) as u16, data };
            at = end;
        }
        let padding = match packet.last() {
            Some(&padding) if fixed[0] & 0x20 != 0 => {
                if padding == 0 || usize::from(padding) > packet.len() - at {
                    return Err(PacketError::Padding { padding });
                }
                padding
            }
            _ => 0,
        };
        let payload_range = at..packet.len() - usize::from(padding);
        Ok(Self {
            header: RtpHeader {
                marker: fixed[1] & 0x80 != 0,
                payload_type: fixed[1] & 0x7f,
                sequence_number: u16::from_be_bytes([fixed[2], fixed[3]]),
                timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
                csrcs,
            },
            extensions,
            payload: &packet[payload_range.clone()],
            payload_range,
        })
    }

    /// The bytes of the first header extension of an id.
    ///
    /// # Errors
    /// [`PacketError::ExtensionLength`], if an element before it does not fit.
    pub fn extension(&self, id: u8) -> Result<Option<&'a [u8]>, PacketError> {
        Ok(self.extensions_until(id)?.map(|(data, _)| data))
    }

    /// The range of those bytes in the packet.
    ///
    /// # Errors
    /// As [`extension`](Self::extension).
    pub fn extension_range(&self, id: u8) -> Result<Option<Range<usize>>, PacketError> {
        Ok(self.extensions_until(id)?.map(|(data, rest)| {
            let end = self.payload_range.start - rest.data.len();
            end - data.len()..end
        }))
    }

    /// The header extensions, as ids and ranges in the packet.
    #[cfg(feature = "relay")]
    pub(crate) fn extension_ranges(&self) -> impl Iterator<Item = Result<(u8, Range<usize>), PacketError>> {
        let (mut extensions, end) = (self.extensions, self.payload_range.start);
        std::iter::from_fn(move || {
            let element = extensions.next()?;
            Some(element.map(|(id, data)| {
                let end = end - extensions.data.len();
                (id, end - data.len()..end)
            }))
        })
    }

    /// The bytes of the first header extension of an id, and the extensions behind it.
    fn extensions_until(&self, id: u8) -> Result<Option<(&'a [u8], Extensions<'a>)>, PacketError> {
        let mut extensions = self.extensions;
        while let Some(element) = extensions.next() {
            let (found, data) = element?;
            if found == id {
                return Ok(Some((data, extensions)));
            }
        }
        Ok(None)
    }
}

/// The header extensions of a packet, as an iterator over ids and their bytes: of the one-byte and the
/// two-byte form, and none if a profile has extensions of another form. It ends behind an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions<'a> {
    profile: u16,
    data: &'a [u8],
}

impl<'a> Extensions<'a> {
    fn next_element(&mut self) -> Option<Result<(u8, &'a [u8]), PacketError>> {
        while let [0, rest @ ..] = self.data {
            self.data = rest;
        }
        let &first = self.data.first()?;
        let (id, len, at) = match self.profile {
            // RFC 8285, section 4.2: id 15, and id 0 with a length, end the extensions.
            ONE_BYTE if !(1..=14).contains(&(first >> 4)) => return None,
            ONE_BYTE => (first >> 4, usize::from(first & 15) + 1, 1),
            profile if profile & 0xfff0 == TWO_BYTE => match self.data.get(1) {
                Some(&len) => (first, usize::from(len), 2),
                None => return Some(Err(PacketError::ExtensionLength)),
            },
            _ => return None,
        };
        match self.data.get(at..at + len) {
            Some(element) => {
                self.data = &self.data[at + len..];
                Some(Ok((id, element)))
            }
            None => Some(Err(PacketError::ExtensionLength)),
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<(u8, &'a [u8]), PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_element();
        if !matches!(next, Some(Ok(_))) {
            self.data = &[];
        }
        next
    }
}

/// A packet in its sender's or relay's hands: the fields that may change on the way, changed in place.
#[derive(Debug)]
pub struct RtpPacketMut<'a> {
    /// At least [`FIXED`] bytes.
    packet: &'a mut [u8],
}

impl<'a> RtpPacketMut<'a> {
    /// Takes a packet.
    ///
    /// # Errors
    /// [`PacketError::End`] below 12 bytes, and [`PacketError::Version`].
    pub fn new(packet: &'a mut [u8]) -> Result<Self, PacketError> {
        let fixed: &[u8; FIXED] = packet.first_chunk().ok_or(PacketError::End)?;
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(PacketError::Version { version });
        }
        Ok(Self { packet })
    }

    /// Sets the marker: a relay that drops the last layer has the last packet it keeps say so.
    pub fn set_marker(&mut self, marker: bool) {
        self.packet[1] = self.packet[1] & 0x7f | u8::from(marker) << 7;
    }

    /// Sets the payload type, 0 to 127; the highest bit is ignored.
    pub fn set_payload_type(&mut self, payload_type: u8) {
        self.packet[1] = self.packet[1] & 0x80 | payload_type & 0x7f;
    }

    /// The sequence number.
    pub fn sequence_number(&self) -> u16 {
        u16::from_be_bytes([self.packet[2], self.packet[3]])
    }

    /// Sets the sequence number.
    pub fn set_sequence_number(&mut self, sequence_number: u16) {
        self.packet[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    }

    /// Sets the timestamp, in ticks of the media clock.
    pub fn set_timestamp(&mut self, timestamp: u32) {
        self.packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Sets the synchronization source.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
    }

    /// Writes `data` over the first header extension of an id, such as a number that is known only when the packet is
    /// sent. The extension has to be there with the same length, since nothing in the packet moves.
    ///
    /// # Errors
    /// [`PacketError::Extension`], if there is no extension of this id and length, and whatever else
    /// [`RtpPacket::read`] says. The packet is as it was then.
    pub fn set_extension(&mut self, id: u8, data: &[u8]) -> Result<(), PacketError> {
        let range = RtpPacket::read(self.packet)?.extension_range(id)?;
        let range = range.filter(|range| range.len() == data.len()).ok_or(PacketError::Extension)?;
        self.packet[range].copy_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(header: &RtpHeader, extensions: &[(u8, &[u8])]) -> Vec<u8> {
        let mut packet = Vec::new();
        header.write(extensions, &mut packet).unwrap();
        assert_eq!(header.size(extensions), Ok(packet.len()));
        packet
    }

    fn header() -> RtpHeader {
        RtpHeader {
            marker: true,
            payload_type: 98,
            sequence_number: 0x0102,
            timestamp: 0x0304_0506,
            ssrc: 0x0708_090a,
            csrcs: List::new(),
        }
    }

    #[test]
    fn headers_lie_as_the_standards_draw_them() {
        let fixed = [0xe2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        assert_eq!(written(&header(), &[]), [&[0x80], &fixed[..]].concat());
        // RFC 8285, section 4.2, its example: lengths of 1, 2 and 4 bytes.
        let one_byte = written(&header(), &[(1, &[1]), (2, &[2, 2]), (3, &[3, 3, 3, 3])]);
        let expected = [0xbe, 0xde, 0, 3, 0x10, 1, 0x21, 2, 2, 0x33, 3, 3, 3, 3, 0, 0];
        assert_eq!(one_byte, [&[0x90], &fixed[..], &expected].concat());
        let two_byte = written(&header(), &[(1, &[]), (2, &[2]), (16, &[3, 3, 3, 3])]);
        let expected = [0x10, 0, 0, 3, 1, 0, 2, 1, 2, 16, 4, 3, 3, 3, 3, 0];
        assert_eq!(two_byte, [&[0x90], &fixed[..], &expected].concat());
        let csrcs = [1, 2].into_iter().collect();
        let packet = written(&RtpHeader { csrcs, ..header() }, &[]);
        assert_eq!(packet, [&[0x82], &fixed[..], &[0, 0, 0, 1, 0, 0, 0, 2]].concat());
    }

    #[test]
    fn extensions_end_where_the_standard_says() {
        let elements = |profile: u16, data: &'static [u8]| Extensions { profile, data }.collect::<Vec<_>>();
        assert_eq!(elements(ONE_BYTE, &[0, 0x10, 7, 0, 0x20, 8]).len(), 2);
        assert_eq!(elements(ONE_BYTE, &[0x10, 7, 0xf0, 0, 0x20, 8]), [Ok((1, &[7][..]))]);
        assert_eq!(elements(ONE_BYTE, &[0x10, 7, 0x01, 0, 0x20, 8]), [Ok((1, &[7][..]))]);
        assert_eq!(elements(ONE_BYTE, &[0x13, 7, 0, 0]), [Err(PacketError::ExtensionLength)]);
        assert_eq!(elements(0x100f, &[9, 1, 7, 0]), [Ok((9, &[7][..]))]);
        assert_eq!(elements(TWO_BYTE, &[9, 2, 7]), [Err(PacketError::ExtensionLength)]);
        assert_eq!(elements(TWO_BYTE, &[9]), [Err(PacketError::ExtensionLength)]);
        assert_eq!(elements(0x1234, &[0x10, 7, 0, 0]), []);
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let packet = written(&header(), &[(1, &[1])]);
        for len in 0..packet.len() {
            assert_eq!(RtpPacket::read(&packet[..len]), Err(PacketError::End));
        }
        let with = |at: usize, byte: u8| {
            let mut packet = packet.clone();
            packet[at] = byte;
            RtpPacket::read(&packet).err()
        };
        assert_eq!(with(0, 0x40), Some(PacketError::Version { version: 1 }));
        assert_eq!(with(0, 0xb0), Some(PacketError::Padding { padding: 0 }));
        assert_eq!(with(15, 2), Some(PacketError::End));
        let mut padded = [&packet[..], &[9, 0, 2]].concat();
        padded[0] |= 0x20;
        let read = RtpPacket::read(&padded).unwrap();
        assert_eq!((read.payload, read.payload_range), (&[9][..], 20..21));
        padded[22] = 4;
        assert_eq!(RtpPacket::read(&padded), Err(PacketError::Padding { padding: 4 }));
        let refused = |extensions: &[(u8, &[u8])]| header().size(extensions).err();
        assert_eq!(refused(&[(0, &[1])]), Some(PacketError::Extension));
        assert_eq!(refused(&[(1, &[0; 256])]), Some(PacketError::Extension));
        let high = RtpHeader { payload_type: 128, ..header() };
        assert_eq!(high.size(&[]), Err(PacketError::PayloadType { payload_type: 128 }));
        let mut short = [0; 11];
        assert_eq!(header().write(&[], &mut &mut short[..]), Err(PacketError::Space { size: 12 }));
    }

    proptest! {
        #[test]
        fn packets_come_back_and_are_relayed(
            fields in any::<(bool, u8, u16, u32, u32)>(),
            relayed in any::<(bool, u8, u16, u32, u32)>(),
            csrcs in vec(any::<u32>(), 0..=15),
            extensions in vec((1..=255u8, vec(any::<u8>(), 0..=255)), 0..5),
            small in vec((1..=14u8, vec(any::<u8>(), 1..=16)), 0..5),
            payload in vec(any::<u8>(), 0..50),
        ) {
            for extensions in [extensions, small] {
                let (marker, payload_type, sequence_number, timestamp, ssrc) = fields;
                let mut header = RtpHeader {
                    marker,
                    payload_type: payload_type & 127,
                    sequence_number,
                    timestamp,
                    ssrc,
                    csrcs: csrcs.iter().copied().collect(),
                };
                let borrowed: Vec<(u8, &[u8])> =
                    extensions.iter().map(|(id, data)| (*id, &data[..])).collect();
                let mut packet = written(&header, &borrowed);
                packet.extend_from_slice(&payload);
                let read = RtpPacket::read(&packet).unwrap();
                prop_assert_eq!(&read.header, &header);
                prop_assert_eq!(read.payload, &payload);
                prop_assert_eq!(&packet[read.payload_range.clone()], &payload);
                prop_assert_eq!(read.extensions.collect::<Result<Vec<_>, _>>(), Ok(borrowed.clone()));
                for (id, _) in &borrowed {
                    let first = borrowed.iter().find(|(other, _)| other == id).map(|(_, data)| *data);
                    prop_assert_eq!(read.extension(*id), Ok(first));
                }
                let mut packet_mut = RtpPacketMut::new(&mut packet).unwrap();
                packet_mut.set_marker(relayed.0);
                packet_mut.set_payload_type(relayed.1);
                packet_mut.set_sequence_number(relayed.2);
                packet_mut.set_timestamp(relayed.3);
                packet_mut.set_ssrc(relayed.4);
                header.marker = relayed.0;
                header.payload_type = relayed.1 & 127;
                (header.sequence_number, header.timestamp, header.ssrc) = (relayed.2, relayed.3, relayed.4);
                prop_assert_eq!(&packet, &[written(&header, &borrowed), payload.clone()].concat());
                // An extension is written over in place, and only by one as long.
                let Some(&(id, data)) = borrowed.first() else { continue };
                let new = vec![relayed.1; data.len()];
                let mut packet_mut = RtpPacketMut::new(&mut packet).unwrap();
                prop_assert_eq!(packet_mut.set_extension(id, &[&new[..], &[1]].concat()), Err(PacketError::Extension));
                prop_assert_eq!(packet_mut.set_extension(id, &new), Ok(()));
                let changed = [&[(id, &new[..])], &borrowed[1..]].concat();
                prop_assert_eq!(packet, [written(&header, &changed), payload.clone()].concat());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in vec(any::<u8>(), 0..80),
            profile in proptest::option::of(prop_oneof![Just(ONE_BYTE), Just(TWO_BYTE)]),
        ) {
            if let (Some(profile), 16..) = (profile, bytes.len()) {
                bytes[0] = 0x90;
                bytes[12..14].copy_from_slice(&profile.to_be_bytes());
                bytes[14] = 0;
                bytes[15] &= 7;
            }
            if let Ok(packet) = RtpPacket::read(&bytes) {
                prop_assert!(packet.payload.len() <= bytes.len());
                prop_assert!(packet.extensions.count() <= bytes.len());
            }
            prop_assert_eq!(RtpPacketMut::new(&mut bytes.clone()).is_ok(), bytes.len() >= 12 && bytes[0] >> 6 == 2);
            if let Ok(mut packet) = RtpPacketMut::new(&mut bytes.clone()) {
                let is_there = RtpPacket::read(&bytes)
                    .is_ok_and(|packet| packet.extension(1).is_ok_and(|data| data.is_some_and(|data| data.len() == 2)));
                prop_assert_eq!(packet.set_extension(1, &[7, 7]).is_ok(), is_there);
            }
        }
    }
}
