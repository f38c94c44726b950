//! From the frames of a picture to packets.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::descriptor::{self, DependencyDescriptor, DependencyStructure};
use super::packet::{self, RtpHeader};
use super::{av1, sframe};

/// Room for payload at least, in bytes: a payload header and enough for the frame to come to an end.
const MIN_ROOM: usize = 16;

/// How frames are put into packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadFormat {
    /// A frame is an SFrame ciphertext, cut into packets as it is (draft-ietf-avtcore-rtp-sframe).
    Sframe,
    /// A frame is OBUs in the clear (AV1 RTP specification, section 4).
    Av1,
}

/// What the packets of a stream have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketizerConfig {
    /// How frames are put into packets.
    pub format: PayloadFormat,
    /// The identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Synchronization source.
    pub ssrc: u32,
    /// The first packet's sequence number. It should be random (RFC 3550, section 5.1).
    pub sequence_number: u16,
    /// Bytes of a packet at most, from the RTP header on: 1200 pass through nearly every network.
    pub max_packet: usize,
}

impl PacketizerConfig {
    /// Packets of up to 1200 bytes from sequence number 0 on.
    pub fn new(format: PayloadFormat, descriptor_id: u8, payload_type: u8, ssrc: u32) -> Self {
        Self { format, descriptor_id, payload_type, ssrc, sequence_number: 0, max_packet: 1200 }
    }
}

/// A frame to be sent.
#[derive(Debug, Clone, Copy)]
pub struct OutgoingFrame<'a> {
    /// Its bytes: an SFrame ciphertext, or OBUs without temporal delimiters.
    pub payload: &'a [u8],
    /// What it means. Start and end of the frame are set here for each packet.
    pub descriptor: &'a DependencyDescriptor,
    /// RTP timestamp, in ticks of 90 kHz: the same for all frames of a picture.
    pub timestamp: u32,
    /// Whether it is the last frame of its picture: its last packet gets the marker bit.
    pub end_of_picture: bool,
}

/// Why a frame cannot be put into packets. No packet of it is made then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    /// The descriptor cannot be written.
    #[error(transparent)]
    Descriptor(#[from] descriptor::Error),
    /// The RTP header cannot be written.
    #[error(transparent)]
    Packet(#[from] packet::Error),
    /// The payload is not made of OBUs.
    #[error(transparent)]
    Av1(#[from] av1::Error),
}

/// Puts frames into packets.
///
/// The packets of a frame are parts of one block of memory, which is used again once they are all dropped: in a
/// steady state nothing is allocated per packet, and one block a frame at most.
#[derive(Debug)]
pub struct Packetizer {
    config: PacketizerConfig,
    structure: Option<Arc<DependencyStructure>>,
    block: BytesMut,
    /// The descriptor of a frame's first packet, and of its others.
    descriptors: [Vec<u8>; 2],
}

impl Packetizer {
    /// A packetizer that has sent nothing.
    pub fn new(config: PacketizerConfig) -> Self {
        Self { config, structure: None, block: BytesMut::new(), descriptors: Default::default() }
    }

    /// The next packet's sequence number.
    pub fn sequence_number(&self) -> u16 {
        self.config.sequence_number
    }

    /// Appends the packets of a frame to `packets`.
    ///
    /// The descriptor is in each of them, its structure in the first only.
    ///
    /// # Errors
    /// [`Error`]; there are no packets then.
    pub fn packetize(&mut self, frame: &OutgoingFrame<'_>, packets: &mut Vec<Bytes>) -> Result<(), Error> {
        let structure = frame.descriptor.structure.as_ref().or(self.structure.as_ref());
        let structure = structure.ok_or(Error::NoStructure)?.clone();
        let rest = DependencyDescriptor { structure: None, ..frame.descriptor.clone() };
        let [first_bytes, rest_bytes] = &mut self.descriptors;
        first_bytes.clear();
        frame.descriptor.write(&structure, first_bytes)?;
        rest_bytes.clear();
        rest.write(&structure, rest_bytes)?;

        let header = RtpHeader {
            marker: false,
            payload_type: self.config.payload_type,
            sequence_number: self.config.sequence_number,
            timestamp: frame.timestamp,
            ssrc: self.config.ssrc,
            csrcs: Default::default(),
        };
        let PacketizerConfig { descriptor_id, max_packet, .. } = self.config;
        let room = |descriptor: &[u8]| {
            let headers = header.size(&[(descriptor_id, descriptor)])?;
            let room = max_packet.checked_sub(headers).filter(|room| *room >= MIN_ROOM);
            room.map(|room| (headers, room)).ok_or(Error::Room { headers, max_packet })
        };
        let (first_headers, first_room) = room(first_bytes)?;
        let (headers, room) = room(rest_bytes)?;
        let mut writer = Writer {
            header,
            end_of_picture: frame.end_of_picture,
            descriptor_id,
            descriptors: &mut self.descriptors,
            block: &mut self.block,
            packets,
            start: true,
        };
        match self.config.format {
            PayloadFormat::Sframe => {
                let len = frame.payload.len();
                if len == 0 {
                    return Err(Error::Empty);
                }
                let (first_room, room) = (first_room - 1, room - 1);
                let others = len.saturating_sub(first_room).div_ceil(room);
                writer.block.reserve(len + first_headers + 1 + others * (headers + 1));
                // Pieces of about the same size.
                let (mut payload, mut left) = (frame.payload, others + 1);
                while left > 0 {
                    let size = payload.len().div_ceil(left).min(if writer.start { first_room } else { room });
                    let (piece, after) = payload.split_at(size);
                    (payload, left) = (after, left - 1);
                    let start = writer.start;
                    let byte = sframe::PayloadHeader { start, end: left == 0, packetized: false }.to_byte();
                    writer.packet(left == 0, &[&[byte], piece])?;
                }
            }
            PayloadFormat::Av1 => {
                let new_sequence = frame.descriptor.structure.is_some();
                let payloads = av1::packetize(frame.payload, first_room.min(room), new_sequence)?;
                let last = payloads.len().checked_sub(1).ok_or(Error::Empty)?;
                writer
                    .block
                    .reserve(first_headers + payloads.iter().map(|p| headers + p.len()).sum::<usize>());
                for (index, payload) in payloads.iter().enumerate() {
                    writer.packet(index == last, &[payload])?;
                }
            }
        }
        self.config.sequence_number = writer.header.sequence_number;
        self.structure = Some(structure);
        Ok(())
    }
}

/// Writes the packets of a frame.
struct Writer<'a> {
    header: RtpHeader,
    end_of_picture: bool,
    descriptor_id: u8,
    descriptors: &'a mut [Vec<u8>; 2],
    block: &'a mut BytesMut,
    packets: &'a mut Vec<Bytes>,
    start: bool,
}

impl Writer<'_> {
    /// Writes the next packet; `end` for the last of the frame.
    fn packet(&mut self, end: bool, payload: &[&[u8]]) -> Result<(), Error> {
        let [first, rest] = &mut *self.descriptors;
        let descriptor = if self.start { first } else { rest };
        descriptor[0] = descriptor[0] & 0x3f | u8::from(self.start) << 7 | u8::from(end) << 6;
        self.header.marker = end && self.end_of_picture;
        self.header.write(&[(self.descriptor_id, descriptor.as_slice())], self.block)?;
        payload.iter().for_each(|part| self.block.extend_from_slice(part));
        self.packets.push(self.block.split().freeze());
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        self.start = false;
        Ok(())
    }
}

/// The packets sent last, for receivers that ask for them again.
#[derive(Debug)]
pub struct SentPackets {
    /// The packet of sequence number n is at n modulo the length, which is a power of two.
    packets: Vec<Bytes>,
}

impl SentPackets {
    /// Keeps up to `count` packets, rounded up to a power of two from 1 to 32768. A second of video is about right:
    /// what is asked for later comes too late.
    pub fn new(count: usize) -> Self {
        Self { packets: vec![Bytes::new(); count.clamp(1, 1 << 15).next_power_of_two()] }
    }

    /// Keeps a packet, which takes the place of one long sent. What is no RTP packet is not kept.
    pub fn insert(&mut self, packet: Bytes) {
        if let Some(sequence_number) = sequence_number(&packet) {
            let at = usize::from(sequence_number) % self.packets.len();
            self.packets[at] = packet;
        }
    }

    /// The packet of a sequence number, if it is still kept.
    pub fn get(&self, number: u16) -> Option<&Bytes> {
        let packet = &self.packets[usize::from(number) % self.packets.len()];
        (sequence_number(packet) == Some(number)).then_some(packet)
    }
}

fn sequence_number(packet: &[u8]) -> Option<u16> {
    packet.get(2..4).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}
