//! Packets that are sealed one by one, on their way out.

use std::hash::{BuildHasher, RandomState};

use bytes::{BufMut, Bytes, BytesMut};

use super::sender::SendError;
use crate::e2ee::{SealError, Sealer};
use crate::rtp::payload::sframe::PayloadHeader;
use crate::rtp::{PacketizeError, RtpHeader};

/// Memory for packets is taken in blocks of this size.
const BLOCK: usize = 16 << 10;

/// Bytes sealed behind the body of a packet: a label, and the packet's number.
const MAX_LABEL: usize = 3;

/// Seals the packets of one stream of audio or data, and writes them.
#[derive(Debug)]
pub(super) struct Outgoing {
    sealer: Sealer,
    /// Of the next packet.
    header: RtpHeader,
    /// Of the next packet: 0 for the first. It is sealed with the packet.
    number: u16,
    /// Timestamp of the time 0.
    first_timestamp: u32,
    transport_id: Option<u8>,
    max_packet: usize,
    packetized: bool,
    block: BytesMut,
}

impl Outgoing {
    /// `packetized` says that a packet's payload is sealed, and not a whole frame.
    pub(super) fn new(
        ssrc: u32,
        payload_type: u8,
        transport_id: Option<u8>,
        max_packet: usize,
        packetized: bool,
        sealer: Sealer,
    ) -> Self {
        let random = RandomState::new().hash_one(ssrc);
        // Below 2^15, as those of `PacketizerConfig::new`.
        let sequence_number = random as u16 >> 1;
        Self {
            sealer,
            header: RtpHeader { payload_type, sequence_number, ssrc, ..RtpHeader::default() },
            number: 0,
            first_timestamp: (random >> 32) as u32,
            transport_id,
            max_packet,
            packetized,
            block: BytesMut::with_capacity(BLOCK),
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.header.ssrc
    }

    /// Goes on with another sealer.
    pub(super) fn set_sealer(&mut self, sealer: Sealer) {
        self.sealer = sealer;
    }

    /// Bytes that can be sealed in a packet, besides a label of one byte.
    ///
    /// # Errors
    /// [`PacketizeError`], if packets have no room at all.
    pub(super) fn room(&self) -> Result<usize, PacketizeError> {
        let extension = self.extension();
        let headers = self.header.size(extension.as_slice())? + 1;
        let max_packet = self.max_packet;
        let room = max_packet.checked_sub(headers + self.sealer.overhead() + MAX_LABEL);
        room.filter(|room| *room > 0).ok_or(PacketizeError::Room { headers, max_packet })
    }

    /// The number of the next packet, by which [`go_back`](Self::go_back) takes packets back.
    pub(super) fn next_number(&self) -> u16 {
        self.number
    }

    /// Takes packets back that are not going to be sent: the next one is that of this number.
    pub(super) fn go_back(&mut self, number: u16) {
        let back = self.number.wrapping_sub(number);
        self.number = number;
        self.header.sequence_number = self.header.sequence_number.wrapping_sub(back);
    }

    /// The next packet. `label`, a byte or none, is sealed behind `body`. `timestamp` counts from an origin of the
    /// caller's.
    ///
    /// # Errors
    /// [`SendError`]; there is no such packet then.
    pub(super) fn packet(
        &mut self,
        marker: bool,
        timestamp: u32,
        body: &[u8],
        label: Option<u8>,
    ) -> Result<Bytes, SendError> {
        self.block.clear();
        self.block.reserve(self.max_packet);
        let timestamp = self.first_timestamp.wrapping_add(timestamp);
        let header = RtpHeader { marker, timestamp, ..self.header.clone() };
        header
            .write(self.extension().as_slice(), &mut self.block)
            .map_err(|error| SendError::Packetize(error.into()))?;
        put_payload(&mut self.sealer, self.packetized, self.number, body, label, &mut self.block)?;
        self.number = self.number.wrapping_add(1);
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        Ok(self.block.split().freeze())
    }

    /// The header extension of the transport-wide number, which whoever sends the packet writes over.
    fn extension(&self) -> Option<(u8, &'static [u8])> {
        self.transport_id.map(|id| (id, &[0; 2][..]))
    }
}

/// Appends the payload of a packet: a byte that says what is sealed, and the SFrame of `body`, the label and the number.
///
/// # Errors
/// [`SealError`].
pub(super) fn put_payload(
    sealer: &mut Sealer,
    packetized: bool,
    number: u16,
    body: &[u8],
    label: Option<u8>,
    out: &mut BytesMut,
) -> Result<(), SealError> {
    out.put_u8(PayloadHeader { start: true, end: true, packetized }.to_byte());
    let [high, low] = number.to_be_bytes();
    match label {
        Some(label) => sealer.append(&[], body, &[label, high, low], out),
        None => sealer.append(&[], body, &[high, low], out),
    }
}

/// The counts of a sender of audio or data since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutgoingStatistics {
    /// Audio frames or messages sent.
    pub frames: u64,
    /// Packets sent for the first time.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmissions: u64,
    /// Bytes that came as feedback and are none.
    pub malformed: u64,
}
