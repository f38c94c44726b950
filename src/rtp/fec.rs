//! Forward error correction: a parity packet for a few packets, from which any one of them that is lost can be made.
//!
//! The parity packets are FlexFEC (RFC 8627) with rows (section 4.2.2.2: the variant with F = 1 and D = 0): one protects
//! packets that follow each other in their sequence numbers. They are a stream of their own, with an SSRC and a payload
//! type of its own, and are made of packets as they are on the wire, sealed or not, so that a relay can make them too.
//!
//! They have no Dependency Descriptor, and name the packets by their sequence numbers. A relay that drops layers
//! renumbers what it forwards, so it drops the parity packets that come to it, and makes its own of what it sends if the
//! next hop wants them.
//!
//! The transport-wide number of a packet is written when the packet is sent, and differs with each retransmission: it
//! counts as zero, and a packet that is made has zero there.
//!
//! A [`Protector`] makes parity packets and a [`Recoverer`] lost ones. Whoever can forge a parity packet can forge the
//! packet that is made of it as well, no more: a sealed frame with such a packet fails to open.

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::packet::{PacketError, RtpHeader, RtpPacket};
use super::reassembler::MAX_PACKET;

/// Bytes of the fixed RTP header, which is not protected as it is: parity packets have its fields in their own header.
const FIXED: usize = 12;
/// Bytes of the FEC header for one stream (section 4.2.2.2).
const FEC_HEADER: usize = 12;
/// Packets that one parity packet protects at most, as it is made here.
pub const MAX_PROTECTED: usize = 10;
/// Packets that are kept to make others of. A power of two.
const MAX_KEPT: usize = 256;
/// Parity packets kept that lack more than one packet.
const MAX_PENDING: usize = 32;

/// What tells parity packets from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct FecStream {
    /// Synchronization source of the parity packets.
    pub ssrc: u32,
    /// Their payload type, 0 to 127.
    pub payload_type: u8,
    /// Synchronization source of the protected packets.
    pub protected_ssrc: u32,
    /// Identifier of the header extension of the protected packets that counts as zero, 1 to 255, if they have one.
    pub transport_id: Option<u8>,
}

/// The exclusive or of packets: the fields of their fixed headers, their lengths, and what is behind the fixed headers.
#[derive(Debug, Default)]
struct Parity {
    /// The first two bytes of the fixed header, the length of what is behind it, and the timestamp, as they lie in the
    /// FEC header.
    head: [u8; 8],
    rest: Vec<u8>,
}

impl Parity {
    fn clear(&mut self) {
        self.head = [0; 8];
        self.rest.clear();
    }

    /// Takes a packet in. It has a whole fixed header, and at most [`MAX_PACKET`] bytes. The extension counts as zero.
    fn add(&mut self, packet: &[u8], extension: Option<u8>) {
        let Some((fixed, rest)) = packet.split_first_chunk::<FIXED>() else { return };
        let [high, low] = (rest.len() as u16).to_be_bytes();
        let head = [fixed[0], fixed[1], high, low, fixed[4], fixed[5], fixed[6], fixed[7]];
        self.add_parts(head, rest);
        let range = extension.and_then(|id| RtpPacket::read(packet).ok()?.extension_range(id).ok()?);
        for at in range.into_iter().flatten() {
            self.rest[at - FIXED] ^= packet[at];
        }
    }

    fn add_parts(&mut self, head: [u8; 8], rest: &[u8]) {
        self.head.iter_mut().zip(head).for_each(|(sum, byte)| *sum ^= byte);
        self.rest.resize(self.rest.len().max(rest.len()), 0);
        self.rest.iter_mut().zip(rest).for_each(|(sum, byte)| *sum ^= byte);
    }

    /// The packet of a sequence number, if it is all that is left. `None` if it cannot be: a version or a length that no
    /// packet has.
    fn packet(&self, sequence_number: u16, ssrc: u32) -> Option<Bytes> {
        let [first, second, high, low, timestamp @ ..] = self.head;
        let rest = self.rest.get(..usize::from(u16::from_be_bytes([high, low])))?;
        let mut packet = BytesMut::with_capacity(FIXED + rest.len());
        // R and F lie where the version was.
        packet.put_slice(&[0x80 | first & 0x3f, second]);
        packet.put_u16(sequence_number);
        packet.put_slice(&timestamp);
        packet.put_u32(ssrc);
        packet.put_slice(rest);
        Some(packet.freeze())
    }
}

/// Makes parity packets.
#[derive(Debug)]
pub struct Protector {
    stream: FecStream,
    sequence_number: u16,
    /// The first packet and how many there are.
    first: u16,
    count: usize,
    timestamp: u32,
    parity: Parity,
    block: BytesMut,
}

impl Protector {
    /// Makes the parity packets of a stream.
    pub fn new(stream: FecStream, first_sequence_number: u16) -> Self {
        Self {
            stream,
            sequence_number: first_sequence_number,
            first: 0,
            count: 0,
            timestamp: 0,
            parity: Parity::default(),
            block: BytesMut::new(),
        }
    }

    /// Protects the packets, which follow each other in their sequence numbers, by as few parity packets as can be, and
    /// puts those into `parity`. Bytes that are no RTP packet or too long for one are passed over.
    pub fn protect<'a>(&mut self, packets: impl ExactSizeIterator<Item = &'a [u8]>, parity: &mut Vec<Bytes>) {
        let groups = packets.len().div_ceil(MAX_PROTECTED).max(1);
        let each = packets.len().div_ceil(groups);
        for packet in packets {
            let &[_, _, high, low, a, b, c, d, ..] = packet else { continue };
            if !(FIXED..=MAX_PACKET).contains(&packet.len()) {
                continue;
            }
            let number = u16::from_be_bytes([high, low]);
            if number != self.first.wrapping_add(self.count as u16) || self.count == each {
                parity.extend(self.finish());
                self.first = number;
            }
            self.timestamp = u32::from_be_bytes([a, b, c, d]);
            self.parity.add(packet, self.stream.transport_id);
            self.count += 1;
        }
        parity.extend(self.finish());
    }

    /// The parity packet of what was taken in, if that was anything.
    fn finish(&mut self) -> Option<Bytes> {
        let count = u8::try_from(std::mem::take(&mut self.count)).ok().filter(|count| *count > 0)?;
        let header = RtpHeader {
            payload_type: self.stream.payload_type,
            sequence_number: self.sequence_number,
            timestamp: self.timestamp,
            ssrc: self.stream.ssrc,
            // Section 4.2.1: the stream that is protected.
            csrcs: [self.stream.protected_ssrc].into_iter().collect(),
            ..RtpHeader::default()
        };
        header.write(&[], &mut self.block).ok()?;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let [first, head @ ..] = self.parity.head;
        self.block.put_u8(0x40 | first & 0x3f);
        self.block.put_slice(&head);
        self.block.put_u16(self.first);
        self.block.put_slice(&[count, 0]);
        self.block.put_slice(&self.parity.rest);
        self.parity.clear();
        Some(self.block.split().freeze())
    }
}

/// Why a parity packet is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FecError {
    /// It is no RTP packet.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// It is longer than any packet with the parity of others.
    #[error("a parity packet of {0} bytes is too large")]
    TooLarge(usize),
    /// Its header is cut short.
    #[error("the header of a parity packet is cut short")]
    End,
    /// It is of a variant that is not read: a mask, a retransmission, columns, or several streams (section 4.2.2).
    #[error("a parity packet of another variant")]
    Variant,
    /// It protects another stream.
    #[error("a parity packet for SSRC {0}")]
    OtherStream(u32),
}

/// A parity packet that lacks more than one packet.
#[derive(Debug)]
struct Pending {
    first: u16,
    count: u8,
    head: [u8; 8],
    rest: Bytes,
}

/// Makes lost packets of parity packets and those that came.
///
/// It keeps the last 256 packets and the last 32 parity packets that cannot be used yet.
#[derive(Debug)]
pub struct Recoverer {
    ssrc: u32,
    transport_id: Option<u8>,
    /// The packet of sequence number n is at n modulo the length.
    kept: Vec<Bytes>,
    pending: VecDeque<Pending>,
    parity: Parity,
}

impl Recoverer {
    /// Makes packets of SSRC `ssrc`, in which the header extension of identifier `transport_id` counts as zero.
    pub fn new(ssrc: u32, transport_id: Option<u8>) -> Self {
        Self {
            ssrc,
            transport_id,
            kept: vec![Bytes::new(); MAX_KEPT],
            pending: VecDeque::new(),
            parity: Parity::default(),
        }
    }

    /// Takes a packet of the protected stream that came, or was recovered. Bytes that are no RTP packet, or too long for
    /// one, are passed over.
    pub fn handle_packet(&mut self, packet: Bytes) {
        if let Some(number) = sequence_number(&packet).filter(|_| packet.len() <= MAX_PACKET) {
            self.kept[usize::from(number) % MAX_KEPT] = packet;
        }
    }

    /// Takes a parity packet.
    ///
    /// # Errors
    /// [`FecError`]; nothing of it is kept then.
    pub fn handle_parity(&mut self, packet: &Bytes) -> Result<(), FecError> {
        if packet.len() > MAX_PACKET + 2 * FIXED {
            return Err(FecError::TooLarge(packet.len()));
        }
        let rtp = RtpPacket::read(packet)?;
        let [ssrc] = rtp.header.csrcs[..] else { return Err(FecError::Variant) };
        if ssrc != self.ssrc {
            return Err(FecError::OtherStream(ssrc));
        }
        let mut payload = packet.slice(rtp.payload_range);
        if payload.len() < FEC_HEADER {
            return Err(FecError::End);
        }
        let mut head = [0; 8];
        payload.copy_to_slice(&mut head);
        let (first, count, rows) = (payload.get_u16(), payload.get_u8(), payload.get_u8());
        // R = 0 and F = 1. L = 0 is reserved, and more rows than one are columns.
        if head[0] >> 6 != 1 || count == 0 || rows > 1 {
            return Err(FecError::Variant);
        }
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { first, count, head, rest: payload });
        Ok(())
    }

    /// A lost packet, if one can be made now. The caller hands it in as if it had come, and polls until there is none.
    pub fn poll(&mut self) -> Option<Bytes> {
        while let Some((at, lost)) = self.ready() {
            let Some(Pending { first, count, head, rest }) = self.pending.remove(at) else { break };
            let Some(lost) = lost else { continue };
            self.parity.clear();
            self.parity.add_parts(head, &rest);
            let others = (0..count).map(|n| first.wrapping_add(n.into())).filter(|number| *number != lost);
            for number in others {
                self.parity.add(&self.kept[usize::from(number) % MAX_KEPT], self.transport_id);
            }
            if let Some(packet) = self.parity.packet(lost, self.ssrc) {
                return Some(packet);
            }
        }
        None
    }

    /// A parity packet that lacks no packet, or one, which is told too.
    fn ready(&self) -> Option<(usize, Option<u16>)> {
        let is_lost =
            |number: &u16| sequence_number(&self.kept[usize::from(*number) % MAX_KEPT]) != Some(*number);
        self.pending.iter().enumerate().find_map(|(at, Pending { first, count, .. })| {
            let mut lost = (0..*count).map(|n| first.wrapping_add(n.into())).filter(is_lost);
            match (lost.next(), lost.next()) {
                (_, Some(_)) => None,
                (lost, None) => Some((at, lost)),
            }
        })
    }
}

fn sequence_number(packet: &[u8]) -> Option<u16> {
    packet.first_chunk::<FIXED>().map(|fixed| u16::from_be_bytes([fixed[2], fixed[3]]))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SSRC: u32 = 0x0708_090a;
    const STREAM: FecStream =
        FecStream { ssrc: 0xfec, payload_type: 49, protected_ssrc: SSRC, transport_id: Some(5) };

    fn packet(sequence_number: u16, fields: (bool, u8, u32), extension: &[u8], payload: &[u8]) -> Bytes {
        let (marker, payload_type, timestamp) = fields;
        let payload_type = payload_type & 127;
        let header = RtpHeader {
            marker,
            payload_type,
            sequence_number,
            timestamp,
            ssrc: SSRC,
            ..RtpHeader::default()
        };
        let mut packet = vec![];
        header.write(&[(4, extension)], &mut packet).unwrap();
        packet.extend_from_slice(payload);
        packet.into()
    }

    fn protect(packets: &[Bytes]) -> Vec<Bytes> {
        let mut parity = vec![];
        Protector::new(STREAM, 7).protect(packets.iter().map(|packet| &packet[..]), &mut parity);
        parity
    }

    #[test]
    fn a_parity_packet_lies_as_the_standard_draws_it() {
        let a = packet(0xfffe, (false, 98, 0x0102_0304), &[9], &[1, 2, 3]);
        let b = packet(0xffff, (true, 98, 0x0102_0304), &[8], &[5]);
        let [parity] = &protect(&[a.clone(), b.clone()])[..] else { panic!() };
        let header = [0x81, 49, 0, 7, 1, 2, 3, 4, 0, 0, 0xf, 0xec, 7, 8, 9, 10];
        // P, X and CC are the same in both, the marker is not; lengths of 11 and 9.
        let fec = [0x40, 0x80, 0, 11 ^ 9, 0, 0, 0, 0, 0xff, 0xfe, 2, 0];
        let rest = [0, 0, 0, 0, 0, 9 ^ 8, 0, 0, 1 ^ 5, 2, 3];
        assert_eq!(parity[..], [&header[..], &fec, &rest].concat());
    }

    #[test]
    fn long_pictures_have_groups_of_the_same_size() {
        for (packets, expected) in [(1, vec![1]), (10, vec![10]), (11, vec![6, 5]), (25, vec![9, 9, 7])] {
            let packets: Vec<_> =
                (0..packets).map(|n| packet(65_530_u16.wrapping_add(n), (false, 1, 2), &[1], &[3])).collect();
            let counts: Vec<u8> = protect(&packets).iter().map(|parity| parity[26]).collect();
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn what_is_no_parity_of_the_stream_is_refused() {
        let parity = protect(&[packet(1, (true, 98, 1), &[1], &[2])]).remove(0).to_vec();
        let with = |at: usize, byte: u8| {
            let mut parity = parity.clone();
            parity[at] = byte;
            Recoverer::new(SSRC, Some(5)).handle_parity(&parity.into())
        };
        assert_eq!(with(16, parity[16]), Ok(()));
        assert_eq!(with(16, 0), Err(FecError::Variant));
        assert_eq!(with(16, 0xc0), Err(FecError::Variant));
        assert_eq!(with(26, 0), Err(FecError::Variant));
        assert_eq!(with(27, 2), Err(FecError::Variant));
        assert_eq!(with(0, 0x80), Err(FecError::Variant));
        assert_eq!(with(15, 0), Err(FecError::OtherStream(0x0708_0900)));
        let mut recoverer = Recoverer::new(SSRC, Some(5));
        for len in 0..28 {
            assert!(recoverer.handle_parity(&parity[..len].to_vec().into()).is_err());
        }
        let large = [&parity[..], &[0; 2048]].concat();
        assert_eq!(recoverer.handle_parity(&large.into()), Err(FecError::TooLarge(parity.len() + 2048)));
    }

    #[test]
    fn a_bounded_number_of_packets_is_kept() {
        let mut recoverer = Recoverer::new(SSRC, Some(5));
        let pair = |n: u16| [2 * n, 2 * n + 1].map(|number| packet(number, (true, 98, 1), &[1], &[2; 900]));
        for n in 0..1000 {
            recoverer.handle_parity(&protect(&pair(n)).remove(0)).unwrap();
            assert_eq!(recoverer.poll(), None);
            assert!(recoverer.pending.len() <= MAX_PENDING && recoverer.kept.len() == MAX_KEPT);
        }
        // Of an old pair, and of a new one.
        recoverer.handle_packet(pair(10)[0].clone());
        assert_eq!(recoverer.poll(), None);
        recoverer.handle_packet(pair(990)[0].clone());
        assert_eq!(recoverer.poll(), Some(pair(990)[1].clone()));
        assert_eq!(recoverer.poll(), None);
    }

    #[test]
    fn the_number_on_the_path_does_not_matter() {
        let numbered = |n: u16, number: u8| {
            let header = RtpHeader { sequence_number: n, ssrc: SSRC, ..RtpHeader::default() };
            let mut packet = vec![];
            header.write(&[(4, &[7]), (5, &[number, number])], &mut packet).unwrap();
            packet.extend_from_slice(&n.to_be_bytes());
            Bytes::from(packet)
        };
        let parity = protect(&[numbered(1, 0), numbered(2, 0)]).remove(0);
        let mut recoverer = Recoverer::new(SSRC, Some(5));
        recoverer.handle_parity(&parity).unwrap();
        recoverer.handle_packet(numbered(2, 99));
        assert_eq!(recoverer.poll(), Some(numbered(1, 0)));
    }

    proptest! {
        #[test]
        fn any_one_packet_comes_back(
            first in any::<u16>(),
            parts in vec((any::<(bool, u8, u32)>(), vec(any::<u8>(), 1..=16), vec(any::<u8>(), 0..1500)), 1..40),
            lost in any::<proptest::sample::Index>(),
            late in any::<bool>(),
        ) {
            let packets: Vec<Bytes> = (0..)
                .zip(&parts)
                .map(|(n, (fields, extension, payload))| packet(first.wrapping_add(n), *fields, extension, payload))
                .collect();
            let lost = lost.index(packets.len());
            let mut recoverer = Recoverer::new(SSRC, Some(5));
            let arriving = (0..).zip(&packets).filter(|(n, _)| *n != lost).map(|(_, packet)| packet.clone());
            if !late {
                arriving.clone().for_each(|packet| recoverer.handle_packet(packet));
            }
            for parity in protect(&packets) {
                recoverer.handle_parity(&parity).unwrap();
            }
            if late {
                // In a group of one its parity is enough; in others it is not.
                arriving.for_each(|packet| recoverer.handle_packet(packet));
            }
            prop_assert_eq!(recoverer.poll(), Some(packets[lost].clone()));
            recoverer.handle_packet(packets[lost].clone());
            prop_assert_eq!(recoverer.poll(), None);
            prop_assert!(recoverer.pending.is_empty());
        }

        #[test]
        fn any_bytes_are_taken_or_refused(
            packets in vec((any::<bool>(), any::<u16>(), vec(any::<u8>(), 0..60)), 0..40),
        ) {
            let mut recoverer = Recoverer::new(SSRC, Some(5));
            for (is_parity, number, mut bytes) in packets {
                if is_parity {
                    // Of this stream, as far as the first bytes say.
                    let csrc = SSRC.to_be_bytes();
                    let head = [0x81, 49, 0, 7, 1, 2, 3, 4, 0, 0, 0xf, 0xec, csrc[0], csrc[1], csrc[2], csrc[3], 0x40];
                    bytes = [&head[..], &bytes].concat();
                    let _ = recoverer.handle_parity(&bytes.into());
                } else {
                    let number = number % 300;
                    recoverer.handle_packet(packet(number, (true, 98, 1), &[1], &bytes));
                }
                while let Some(packet) = recoverer.poll() {
                    prop_assert!(packet.len() <= MAX_PACKET + 2 * FIXED);
                    recoverer.handle_packet(packet);
                }
                prop_assert!(recoverer.pending.len() <= MAX_PENDING);
            }
        }
    }
}
