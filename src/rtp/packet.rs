//! RTP packets (RFC 3550, section 5.1) and their header extensions (RFC 8285).
//!
//! [`RtpPacket`] borrows a packet that was received, [`RtpHeader`] writes one, and [`RtpPacketMut`] is for a
//! relay: it gives a packet another sequence number, timestamp or SSRC where it lies.

use std::ops::Range;

use arrayvec::ArrayVec;
use bytes::BufMut;

/// Length of the fixed header, in bytes.
const FIXED: usize = 12;

/// "Defined by profile" of one-byte extensions.
const ONE_BYTE: u16 = 0xbede;

/// The same of two-byte extensions; the low 4 bits are the application's.
const TWO_BYTE: u16 = 0x1000;

/// Why bytes are no RTP packet, or a header is not to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
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
        /// What the last byte says.
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
    /// can hold.
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
pub struct RtpHeader {
    /// In video: the last packet of its temporal unit.
    pub marker: bool,
    /// Format of the payload, 0 to 127.
    pub payload_type: u8,
    /// Higher by 1 for each packet, modulo 2^16.
    pub sequence_number: u16,
    /// In ticks of the media clock, which runs at 90 kHz for video.
    pub timestamp: u32,
    /// Synchronization source: who sends.
    pub ssrc: u32,
    /// Contributing sources.
    pub csrcs: ArrayVec<u32, 15>,
}

impl RtpHeader {
    /// Length of the header with these extensions, in bytes.
    ///
    /// # Errors
    /// [`Error`], where [`write`](Self::write) refuses them for more than space.
    pub fn size(&self, extensions: &[(u8, &[u8])]) -> Result<usize, Error> {
        if self.payload_type > 127 {
            return Err(Error::PayloadType { payload_type: self.payload_type });
        }
        let words = match extension_form(extensions)? {
            None => 0,
            Some(form) => 1 + form.size.div_ceil(4),
        };
        Ok(FIXED + 4 * (self.csrcs.len() + words))
    }

    /// Appends the header with header extensions, each an id and its bytes: in the one-byte form where that
    /// can say them (ids to 14, lengths of 1 to 16), else in the two-byte form. The payload follows it.
    ///
    /// # Errors
    /// [`Error::PayloadType`], [`Error::Extension`] and [`Error::Space`]; nothing is written then.
    pub fn write(&self, extensions: &[(u8, &[u8])], into: &mut impl BufMut) -> Result<(), Error> {
        let size = self.size(extensions)?;
        if into.remaining_mut() < size {
            return Err(Error::Space { size });
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

/// The form of these extensions; none where there are none.
fn extension_form(extensions: &[(u8, &[u8])]) -> Result<Option<Form>, Error> {
    if extensions.is_empty() {
        return Ok(None);
    }
    if extensions.iter().any(|(id, data)| *id == 0 || data.len() > 255) {
        return Err(Error::Extension);
    }
    let two_byte = extensions.iter().any(|(id, data)| *id > 14 || !(1..=16).contains(&data.len()));
    let head = if two_byte { 2 } else { 1 };
    let size: usize = extensions.iter().map(|(_, data)| head + data.len()).sum();
    if size.div_ceil(4) > usize::from(u16::MAX) {
        return Err(Error::Extension);
    }
    Ok(Some(Form { two_byte, size }))
}

/// A packet that was received, where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RtpPacket<'a> {
    /// Its header.
    pub header: RtpHeader,
    /// Its header extensions.
    pub extensions: Extensions<'a>,
    /// Its payload, without padding.
    pub payload: &'a [u8],
    /// Where in the packet the payload lies, for a share of a buffer of `bytes`.
    pub payload_range: Range<usize>,
}

impl<'a> RtpPacket<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`Error`], where it is none.
    pub fn read(packet: &'a [u8]) -> Result<Self, Error> {
        let fixed: &[u8; FIXED] = packet.first_chunk().ok_or(Error::End)?;
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(Error::Version { version });
        }
        let mut at = FIXED;
        let mut word = || {
            let word = packet.get(at..at + 4).ok_or(Error::End)?;
            at += 4;
            Ok(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        let mut csrcs = ArrayVec::new();
        for _ in 0..fixed[0] & 15 {
            csrcs.push(word()?);
        }
        let mut extensions = Extensions::default();
        if fixed[0] & 0x10 != 0 {
            let head = word()?;
            let end = at + 4 * (head & 0xffff) as usize;
            let data = packet.get(at..end).ok_or(Error::End)?;
            extensions = Extensions { profile: (head >> 16) as u16, data };
            at = end;
        }
        let padding = match packet.last() {
            Some(&padding) if fixed[0] & 0x20 != 0 => {
                if padding == 0 || usize::from(padding) > packet.len() - at {
                    return Err(Error::Padding { padding });
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
    /// [`Error::ExtensionLength`], where an element before it does not fit.
    pub fn extension(&self, id: u8) -> Result<Option<&'a [u8]>, Error> {
        for element in self.extensions {
            let (found, data) = element?;
            if found == id {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// The header extensions of a packet, as an iterator over ids and their bytes: of the one-byte and the
/// two-byte form, and none where a profile has extensions of another form. It ends behind an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions<'a> {
    profile: u16,
    data: &'a [u8],
}

impl<'a> Extensions<'a> {
    /// The next element of the one-byte form, its length, and where its bytes begin. RFC 8285, section 4.2:
    /// id 15, and id 0 with a length, end the extensions.
    fn one_byte(&self, first: u8) -> Option<(u8, usize, usize)> {
        let id = first >> 4;
        (1..=14).contains(&id).then_some((id, usize::from(first & 15) + 1, 1))
    }

    fn next_element(&mut self) -> Option<Result<(u8, &'a [u8]), Error>> {
        while let [0, rest @ ..] = self.data {
            self.data = rest;
        }
        let &first = self.data.first()?;
        let (id, len, at) = match self.profile {
            ONE_BYTE => self.one_byte(first)?,
            profile if profile & 0xfff0 == TWO_BYTE => match self.data.get(1) {
                Some(&len) => (first, usize::from(len), 2),
                None => return Some(Err(Error::ExtensionLength)),
            },
            _ => return None,
        };
        match self.data.get(at..at + len) {
            Some(element) => {
                self.data = &self.data[at + len..];
                Some(Ok((id, element)))
            }
            None => Some(Err(Error::ExtensionLength)),
        }
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<(u8, &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_element();
        if !matches!(next, Some(Ok(_))) {
            self.data = &[];
        }
        next
    }
}

/// A packet in its sender's or relay's hands: the fields that a relay may change, changed in place.
#[derive(Debug)]
pub struct RtpPacketMut<'a> {
    fixed: &'a mut [u8; FIXED],
}

impl<'a> RtpPacketMut<'a> {
    /// Takes a packet.
    ///
    /// # Errors
    /// [`Error::End`] below 12 bytes, and [`Error::Version`].
    pub fn new(packet: &'a mut [u8]) -> Result<Self, Error> {
        let fixed: &mut [u8; FIXED] = packet.first_chunk_mut().ok_or(Error::End)?;
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(Error::Version { version });
        }
        Ok(Self { fixed })
    }

    /// Sets the marker: a relay that drops the last layer has the last packet it keeps say so.
    pub fn set_marker(&mut self, marker: bool) {
        self.fixed[1] = self.fixed[1] & 0x7f | u8::from(marker) << 7;
    }

    /// Sets the payload type, 0 to 127; the highest bit is ignored.
    pub fn set_payload_type(&mut self, payload_type: u8) {
        self.fixed[1] = self.fixed[1] & 0x80 | payload_type & 0x7f;
    }

    /// Sets the sequence number.
    pub fn set_sequence_number(&mut self, sequence_number: u16) {
        self.fixed[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    }

    /// Sets the timestamp, in ticks of the media clock.
    pub fn set_timestamp(&mut self, timestamp: u32) {
        self.fixed[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    /// Sets the synchronization source.
    pub fn set_ssrc(&mut self, ssrc: u32) {
        self.fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
    }
}
