//! From the frames of a picture to packets.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::descriptor::{DependencyDescriptor, DependencyStructure, DescriptorError};
use super::list::List;
use super::packet::{PacketError, RtpHeader, RtpPacket, RtpPacketMut};
use super::payload::av1::{self, Av1PayloadError};
use super::payload::{PayloadFormat, opaque, sframe};

/// Room for payload at least, in bytes: a payload header and enough for the frame to come to an end.
const MIN_ROOM: usize = 16;

/// The properties that the packets of a stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct PacketizerConfig {
    /// How frames are put into packets.
    pub format: PayloadFormat,
    /// The identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// The identifier of the transport-wide number's header extension
    /// (draft-holmer-rmcat-transport-wide-cc-extensions-01), 1 to 255 and another one than the descriptor's; `None` for
    /// packets without. The packets hold the number 0, for
    /// [`RtpPacketMut::set_extension`](super::RtpPacketMut::set_extension) to write over just before they are sent.
    pub transport_id: Option<u8>,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Synchronization source.
    pub ssrc: u32,
    /// The sequence number of the first packet.
    pub first_sequence_number: u16,
    /// Bytes of a packet at most, from the RTP header on: 1200 pass through nearly every network.
    pub max_packet: usize,
}

impl PacketizerConfig {
    /// Packets of up to 1200 bytes without transport-wide numbers, from a random sequence number on, as RFC 3550,
    /// section 5.1 wants it.
    ///
    /// The number is below 2^15, so that a receiver of SRTP that loses the first packets does not miss a wrap
    /// (RFC 3711, section 3.3.1). It is drawn from the standard library's hash keys, which the operating system
    /// provides. On a platform without such a source, such as `wasm32-unknown-unknown`, it is the same in every run,
    /// and the caller should set [`first_sequence_number`](Self::first_sequence_number).
    pub fn new(format: PayloadFormat, descriptor_id: u8, payload_type: u8, ssrc: u32) -> Self {
        let random = RandomState::new().hash_one(ssrc);
        let first_sequence_number = random as u16 >> 1;
        Self {
            format,
            descriptor_id,
            transport_id: None,
            payload_type,
            ssrc,
            first_sequence_number,
            max_packet: 1200,
        }
    }
}

/// A frame to be sent.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct OutgoingFrame<'a> {
    /// Its bytes: an SFrame ciphertext, or OBUs without temporal delimiters.
    pub payload: &'a [u8],
    /// Its descriptor. The packetizer sets start and end of the frame in each packet.
    pub descriptor: &'a DependencyDescriptor,
    /// RTP timestamp, in ticks of 90 kHz: the same for all frames of a picture.
    pub timestamp: u32,
    /// Whether it is the last frame of its picture: its last packet gets the marker bit.
    pub end_of_picture: bool,
}

/// Why a frame cannot be put into packets. No packet of it is made then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketizeError {
    /// No frame before it had a structure, nor has it one.
    #[error("the first frame needs a dependency structure")]
    NoStructure,
    /// The frame has no bytes.
    #[error("a frame without bytes")]
    Empty,
    /// The headers leave no room for payload.
    #[error("headers of {headers} bytes leave no room in packets of {max_packet}")]
    Room {
        /// RTP header, extension and payload header, in bytes.
        headers: usize,
        /// The largest packet, in bytes.
        max_packet: usize,
    },
    /// A payload that was encrypted on its own does not fit a packet.
    #[error("a sealed payload of {size} bytes, which is more than there is room")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// The packets are for whole frames, and the payloads were encrypted one by one.
    #[error("sealed payloads in a format for whole frames")]
    Clear,
    /// The descriptor cannot be written.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// The RTP header cannot be written.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// The payload is not made of OBUs.
    #[error(transparent)]
    Av1(#[from] Av1PayloadError),
}

/// Packets that lie in one block of memory, one behind the other, ready to be sent.
///
/// The block is used again once nobody shares it any more. In a steady state this allocates nothing per packet, and
/// at most one block each time that packets are [drained](Self::drain).
#[derive(Debug, Default)]
pub struct Packets {
    block: BytesMut,
    /// The end of each packet in the block.
    ends: Vec<usize>,
}

impl Packets {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The packets, in the order of their sequence numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.block[std::mem::replace(&mut start, end)..end])
    }

    /// Takes the packets out as shares of the block, to be kept, such as in [`SentPackets`](super::SentPackets).
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        let block = self.block.split().freeze();
        let mut start = 0;
        self.ends.drain(..).map(move |end| block.slice(std::mem::replace(&mut start, end)..end))
    }

    /// Forgets the packets.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    fn truncate(&mut self, count: usize) {
        self.ends.truncate(count);
        self.block.truncate(self.ends.last().copied().unwrap_or(0));
    }
}

/// Puts frames into packets.
#[derive(Debug)]
pub struct Packetizer {
    config: PacketizerConfig,
    /// Of the next packet.
    sequence_number: u16,
    structure: Option<Arc<DependencyStructure>>,
    /// The descriptor of a frame's first packet, and of its others.
    descriptors: [Vec<u8>; 2],
    /// The bytes before the payload.
    head: Vec<u8>,
}

impl Packetizer {
    /// A packetizer that has sent nothing.
    pub fn new(config: PacketizerConfig) -> Self {
        let sequence_number = config.first_sequence_number;
        Self { config, sequence_number, structure: None, descriptors: Default::default(), head: Vec::new() }
    }

    /// The next packet's sequence number.
    pub fn sequence_number(&self) -> u16 {
        self.sequence_number
    }

    /// Appends the packets of a frame to `packets`.
    ///
    /// The descriptor is in each of them, its structure in the first only.
    ///
    /// # Errors
    /// [`PacketizeError`]; there are no packets then.
    pub fn packetize(
        &mut self,
        frame: &OutgoingFrame<'_>,
        packets: &mut Packets,
    ) -> Result<(), PacketizeError> {
        self.append(frame, None, packets)
    }

    /// Appends a packet for each payload of a frame that was encrypted on its own: the T bit of
    /// draft-ietf-avtcore-rtp-sframe. The payloads are those of the frame's packets in the clear
    /// ([`av1::packetize`]), encrypted; the frame's own payload is not looked at.
    ///
    /// # Errors
    /// [`PacketizeError`], and [`PacketizeError::TooLarge`] for a payload above [`room`](Self::room); there
    /// are no packets then.
    pub fn packetize_sealed(
        &mut self,
        frame: &OutgoingFrame<'_>,
        payloads: &[Bytes],
        packets: &mut Packets,
    ) -> Result<(), PacketizeError> {
        self.append(frame, Some(payloads), packets)
    }

    /// Bytes of payload at most in each packet of a frame with this descriptor, behind the payload header of
    /// [`PayloadFormat::Sframe`] and [`PayloadFormat::Opaque`].
    ///
    /// # Errors
    /// [`PacketizeError`], if such a frame cannot be put into packets.
    pub fn room(&self, descriptor: &DependencyDescriptor) -> Result<usize, PacketizeError> {
        let structure =
            descriptor.structure.as_ref().or(self.structure.as_ref()).ok_or(PacketizeError::NoStructure)?;
        let mut bytes = Vec::new();
        descriptor.write(structure, &mut bytes)?;
        Ok(self.room_of(&RtpHeader::default(), &bytes)?.1)
    }

    /// Bytes of the headers, that of the payload included, and of the room behind them.
    fn room_of(&self, header: &RtpHeader, descriptor: &[u8]) -> Result<(usize, usize), PacketizeError> {
        let PacketizerConfig { format, descriptor_id, transport_id, max_packet, .. } = self.config;
        let payload_header = match format {
            PayloadFormat::Sframe | PayloadFormat::Opaque => 1,
            PayloadFormat::Av1 => 0,
        };
        let headers = header.size(&extensions(descriptor_id, descriptor, transport_id))? + payload_header;
        let room = max_packet.checked_sub(headers).filter(|room| *room >= MIN_ROOM);
        room.map(|room| (headers, room)).ok_or(PacketizeError::Room { headers, max_packet })
    }

    fn append(
        &mut self,
        frame: &OutgoingFrame<'_>,
        sealed: Option<&[Bytes]>,
        packets: &mut Packets,
    ) -> Result<(), PacketizeError> {
        let before = packets.len();
        if let Err(error) = self.write(frame, sealed, packets) {
            packets.truncate(before);
            return Err(error);
        }
        if let Some(structure) = &frame.descriptor.structure {
            self.structure = Some(Arc::clone(structure));
        }
        let count = (packets.len() - before) as u16;
        self.sequence_number = self.sequence_number.wrapping_add(count);
        Ok(())
    }

    fn write(
        &mut self,
        frame: &OutgoingFrame<'_>,
        sealed: Option<&[Bytes]>,
        packets: &mut Packets,
    ) -> Result<(), PacketizeError> {
        let descriptor = frame.descriptor;
        let structure =
            descriptor.structure.as_ref().or(self.structure.as_ref()).ok_or(PacketizeError::NoStructure)?;
        let [first, rest] = &mut self.descriptors;
        first.clear();
        descriptor.write(structure, first)?;
        // Without a structure all packets have the same.
        let new_sequence = descriptor.structure.is_some();
        if new_sequence {
            rest.clear();
            DependencyDescriptor { structure: None, ..descriptor.clone() }.write(structure, rest)?;
        }

        let PacketizerConfig { format, descriptor_id, transport_id, payload_type, ssrc, .. } = self.config;
        let sequence_number = self.sequence_number;
        let (timestamp, csrcs) = (frame.timestamp, Default::default());
        let header = RtpHeader { marker: false, payload_type, sequence_number, timestamp, ssrc, csrcs };
        let [first, rest] = &self.descriptors;
        let (first_headers, first_room) = self.room_of(&header, first)?;
        let (headers, room) =
            if new_sequence { self.room_of(&header, rest)? } else { (first_headers, first_room) };
        let mut writer = Writer {
            header,
            end_of_picture: frame.end_of_picture,
            format,
            packetized: sealed.is_some(),
            new_sequence,
            descriptor_id,
            transport_id,
            head: &mut self.head,
            descriptor_at: 0,
            packets,
        };
        writer.head(first)?;
        let rest = new_sequence.then_some(&rest[..]);
        match (format, sealed) {
            (PayloadFormat::Sframe | PayloadFormat::Opaque, None) => {
                let (mut payload, len) = (frame.payload, frame.payload.len());
                let obu_header = usize::from(format == PayloadFormat::Opaque);
                let first_room = first_room - obu_header;
                let count = 1 + len.saturating_sub(first_room).div_ceil(room);
                writer.packets.block.reserve(len + first_headers + obu_header + (count - 1) * headers);
                // Pieces of about the same size.
                let pieces = (0..count).map(|index| {
                    let size = payload.len().div_ceil(count - index);
                    let (piece, after) =
                        payload.split_at(size.min(if index == 0 { first_room } else { room }));
                    payload = after;
                    piece
                });
                writer.write(rest, pieces.filter(|piece| !piece.is_empty()))
            }
            (PayloadFormat::Sframe, Some(payloads)) => {
                if let Some(payload) = payloads.iter().find(|payload| payload.len() > first_room.min(room)) {
                    return Err(PacketizeError::TooLarge { size: payload.len() });
                }
                writer.write(rest, payloads.iter().map(|payload| &payload[..]))
            }
            (PayloadFormat::Av1, None) => {
                let payloads = av1::packetize_behind(frame.payload, (first_room, room), new_sequence)?;
                writer.write(rest, payloads.iter().map(|payload| &payload[..]))
            }
            (PayloadFormat::Av1 | PayloadFormat::Opaque, Some(_)) => Err(PacketizeError::Clear),
        }
    }
}

/// The header extensions of a packet.
fn extensions(descriptor_id: u8, descriptor: &[u8], transport_id: Option<u8>) -> List<(u8, &[u8]), 2> {
    let transport = transport_id.map(|id| (id, &[0; 2][..]));
    [Some((descriptor_id, descriptor)), transport].into_iter().flatten().collect()
}

/// Writes the packets of a frame.
struct Writer<'a> {
    header: RtpHeader,
    end_of_picture: bool,
    format: PayloadFormat,
    /// Each packet's payload was encrypted on its own.
    packetized: bool,
    new_sequence: bool,
    descriptor_id: u8,
    transport_id: Option<u8>,
    head: &'a mut Vec<u8>,
    /// The start of the descriptor in the head.
    descriptor_at: usize,
    packets: &'a mut Packets,
}

impl Writer<'_> {
    /// Writes the bytes before the payload of the next packets.
    fn head(&mut self, descriptor: &[u8]) -> Result<(), PacketizeError> {
        self.head.clear();
        let extensions = extensions(self.descriptor_id, descriptor, self.transport_id);
        self.header.write(&extensions, self.head)?;
        let range = RtpPacket::read(self.head)?.extension_range(self.descriptor_id)?;
        self.descriptor_at = range.map_or(self.head.len(), |range| range.start);
        if self.format != PayloadFormat::Av1 {
            self.head.push(0);
        }
        Ok(())
    }

    /// Writes a packet for each payload. From the second one on the descriptor is `rest`, if that is given.
    fn write<'p>(
        &mut self,
        rest: Option<&[u8]>,
        payloads: impl Iterator<Item = &'p [u8]>,
    ) -> Result<(), PacketizeError> {
        let mut payloads = payloads.peekable();
        payloads.peek().ok_or(PacketizeError::Empty)?;
        let mut start = true;
        while let Some(payload) = payloads.next() {
            self.packet(start, payloads.peek().is_none(), payload)?;
            if let Some(rest) = rest.filter(|_| start) {
                self.head(rest)?;
            }
            start = false;
        }
        Ok(())
    }

    /// Writes the next packet; `start` for the first of the frame, `end` for the last.
    fn packet(&mut self, start: bool, end: bool, payload: &[u8]) -> Result<(), PacketizeError> {
        let mut header = RtpPacketMut::new(self.head)?;
        header.set_marker(end && self.end_of_picture);
        header.set_sequence_number(self.header.sequence_number);
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        let flags = &mut self.head[self.descriptor_at];
        *flags = *flags & 0x3f | u8::from(start) << 7 | u8::from(end) << 6;
        let payload_header = match self.format {
            PayloadFormat::Sframe => {
                let packetized = self.packetized;
                let (start, end) = (start || packetized, end || packetized);
                Some(sframe::PayloadHeader { start, end, packetized }.to_byte())
            }
            PayloadFormat::Opaque => Some(opaque::aggregation_header(start, end, self.new_sequence)),
            PayloadFormat::Av1 => None,
        };
        if let (Some(header), Some(byte)) = (payload_header, self.head.last_mut()) {
            *byte = header;
        }
        let Packets { block, ends } = &mut *self.packets;
        block.extend_from_slice(self.head);
        if start && self.format == PayloadFormat::Opaque {
            block.extend_from_slice(&[opaque::obu_header(self.new_sequence)]);
        }
        block.extend_from_slice(payload);
        ends.push(block.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Size;
    use crate::rtp::Describer;
    use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};

    #[test]
    fn first_sequence_numbers_are_random() {
        let numbers: BTreeSet<u16> = (0..64)
            .map(|_| PacketizerConfig::new(PayloadFormat::Sframe, 4, 45, 1).first_sequence_number)
            .collect();
        assert!(numbers.len() > 48 && numbers.iter().all(|number| *number < 1 << 15), "{numbers:?}");
    }

    /// The structure is in the first packet alone, and costs the others nothing.
    #[test]
    fn only_the_first_packet_of_a_key_picture_has_less_room() {
        let mut planner = Planner::new(ScalabilityMode::L3T3, Size::new(1280, 720));
        let wanted = DecodeTargets::all(planner.structure());
        let plan = planner.next(PictureRequest { wanted, ..Default::default() });
        let descriptor = Describer::new().describe(&plan).unwrap().remove(0);
        // OBU_FRAME of 20,000 bytes, which is as good for the formats that do not look into it.
        let payload = [&[0x32, 0xa0, 0x9c, 0x01][..], &[7; 20_000]].concat();
        for format in [PayloadFormat::Sframe, PayloadFormat::Opaque, PayloadFormat::Av1] {
            let config = PacketizerConfig { max_packet: 1180, ..PacketizerConfig::new(format, 4, 45, 1) };
            let (mut packetizer, mut packets) = (Packetizer::new(config), Packets::new());
            let frame = OutgoingFrame {
                payload: &payload,
                descriptor: &descriptor,
                timestamp: 0,
                end_of_picture: false,
            };
            packetizer.packetize(&frame, &mut packets).unwrap();
            let sizes: Vec<_> = packets
                .iter()
                .map(|packet| (packet.len(), RtpPacket::read(packet).unwrap().payload.len()))
                .collect();
            assert!(sizes.iter().all(|(packet, _)| *packet <= 1180), "{format:?}: {sizes:?}");
            // As few packets as 20,004 bytes need, of which each has 12 bytes of header and 8 of extension.
            assert_eq!(sizes.len(), 18, "{format:?}: {sizes:?}");
            assert!(sizes[1..].iter().any(|(_, payload)| *payload > sizes[0].1), "{format:?}: {sizes:?}");
        }
    }

    #[test]
    fn a_transport_wide_number_can_be_written_into_each_packet() {
        for mode in [ScalabilityMode::L1T1, ScalabilityMode::L3T3] {
            let mut planner = Planner::new(mode, Size::new(640, 360));
            let wanted = DecodeTargets::all(planner.structure());
            let mut describer = Describer::new();
            let config = PacketizerConfig::new(PayloadFormat::Sframe, 4, 45, 1);
            let mut packetizer = Packetizer::new(PacketizerConfig { transport_id: Some(3), ..config });
            let mut packets = Packets::new();
            for _ in 0..4 {
                let plan = planner.next(PictureRequest { wanted, ..Default::default() });
                for descriptor in describer.describe(&plan).unwrap() {
                    let frame = OutgoingFrame {
                        payload: &[7; 3000],
                        descriptor: &descriptor,
                        timestamp: 0,
                        end_of_picture: false,
                    };
                    packetizer.packetize(&frame, &mut packets).unwrap();
                }
            }
            let mut long = 0;
            for (number, packet) in (500u16..).zip(packets.drain()) {
                assert!(packet.len() <= 1200);
                let before = RtpPacket::read(&packet).unwrap();
                let descriptor = before.extension(4).unwrap().unwrap();
                long += usize::from(descriptor.len() > 16);
                let mut sent = packet.to_vec();
                RtpPacketMut::new(&mut sent).unwrap().set_extension(3, &number.to_be_bytes()).unwrap();
                let after = RtpPacket::read(&sent).unwrap();
                assert_eq!(after.extension(3), Ok(Some(&number.to_be_bytes()[..])));
                assert_eq!(after.extension(4), Ok(Some(descriptor)));
                assert_eq!((&after.header, after.payload), (&before.header, before.payload));
            }
            // Only the descriptor with the structure needs the extensions' form of two bytes.
            assert_eq!(long, usize::from(mode == ScalabilityMode::L3T3));
        }
    }
}
