//! The forms in which the receivers of a stream get a packet: most of them get the same one.

use arrayvec::ArrayVec;
use bytes::{BufMut, Bytes, BytesMut};

use super::cache::Packet;
use crate::rtp::descriptor::DependencyDescriptor;
use crate::rtp::{RtpPacket, packet::RtpPacketMut};

/// Header extensions of a packet at most, beyond which it is forwarded as it is.
const MAX_EXTENSIONS: usize = 16;
/// Bytes of a header extension at most (RFC 8285).
const MAX_EXTENSION: usize = 255;
/// Bytes of the blocks that packets are written into.
const BLOCK: usize = 64 << 10;

/// The identifiers of the header extensions that a relay reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExtensionIds {
    pub descriptor: u8,
    pub transport: u8,
    /// abs-send-time.
    pub send_time: Option<u8>,
}

/// A packet but for its sequence number, its marker bit and what is known only when it is sent.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    pub bytes: Bytes,
    /// Where the transport-wide number is, and the time of sending; 0 if there is none.
    pub number_at: u16,
    pub send_time_at: u16,
}

/// Makes the forms of one packet after the other, each once.
#[derive(Debug)]
pub(super) struct Variants {
    ids: ExtensionIds,
    made: ArrayVec<(Option<u32>, Variant), 8>,
    block: BytesMut,
    descriptor: Vec<u8>,
}

impl Variants {
    pub fn new(ids: ExtensionIds) -> Self {
        Self { ids, made: ArrayVec::new(), block: BytesMut::new(), descriptor: Vec::new() }
    }

    /// Another packet follows.
    pub fn clear(&mut self) {
        self.made.clear();
    }

    /// The form with a mask of active decode targets, or with the sender's.
    pub fn get(&mut self, packet: &Packet, mask: Option<u32>) -> &Variant {
        let at = match self.made.iter().position(|(made, _)| *made == mask) {
            Some(at) => at,
            None => {
                let variant = self.make(packet, mask);
                if self.made.is_full() {
                    self.made.clear();
                }
                self.made.push((mask, variant));
                self.made.len() - 1
            }
        };
        &self.made[at].1
    }

    fn make(&mut self, packet: &Packet, mask: Option<u32>) -> Variant {
        let bytes = self.rewrite(packet, mask).unwrap_or_else(|| packet.bytes.clone());
        let at = |id: Option<u8>, len: usize| {
            let range = RtpPacket::read(&bytes).ok()?.extension_range(id?).ok()??;
            u16::try_from(range.start).ok().filter(|_| range.len() == len)
        };
        let number_at = at(Some(self.ids.transport), 2).unwrap_or(0);
        let send_time_at = at(self.ids.send_time, 3).unwrap_or(0);
        Variant { bytes, number_at, send_time_at }
    }

    /// The packet with another descriptor and with room for what is written later; `None` if it can stay as it is.
    fn rewrite(&mut self, packet: &Packet, mask: Option<u32>) -> Option<Bytes> {
        let ExtensionIds { descriptor: descriptor_id, transport, send_time } = self.ids;
        let rtp = RtpPacket::read(&packet.bytes).ok()?;
        let has = |id: u8| rtp.extension(id).ok().flatten().is_some();
        let mask = mask.zip(packet.frame.as_ref());
        if mask.is_none() && has(transport) && send_time.is_none_or(has) {
            return None;
        }
        self.descriptor.clear();
        if let Some((mask, (.., sequence))) = mask {
            let known = &*sequence.structure;
            let descriptor = rtp.extension(descriptor_id).ok()??;
            let mut descriptor = DependencyDescriptor::read(descriptor, Some(known)).ok()?;
            descriptor.active_decode_targets = Some(mask);
            descriptor.write(known, &mut self.descriptor).ok()?;
            if self.descriptor.len() > MAX_EXTENSION {
                return None;
            }
        }
        let mut extensions = ArrayVec::<(u8, &[u8]), MAX_EXTENSIONS>::new();
        for extension in rtp.extensions {
            let (id, data) = extension.ok()?;
            let is_written = id == descriptor_id && !self.descriptor.is_empty();
            let data = if is_written { &self.descriptor } else { data };
            extensions.try_push((id, data)).ok()?;
        }
        if !has(transport) {
            extensions.try_push((transport, &[0; 2])).ok()?;
        }
        if let Some(id) = send_time.filter(|id| !has(*id)) {
            extensions.try_push((id, &[0; 3])).ok()?;
        }
        let size = rtp.header.size(&extensions).ok()? + packet.bytes.len() - rtp.payload_range.start;
        if self.block.capacity() < size {
            self.block.reserve(BLOCK.max(size));
        }
        rtp.header.write(&extensions, &mut self.block).ok()?;
        // Padding stays where it is, and the bit that says so.
        self.block[0] |= packet.bytes[0] & 0x20;
        self.block.put_slice(&packet.bytes[rtp.payload_range.start..]);
        Some(self.block.split().freeze())
    }
}

/// Writes a packet as a retransmission (RFC 4588): of another SSRC and payload type, with its sequence number before the
/// payload.
pub(super) fn write_rtx(
    packet: &[u8],
    (ssrc, payload_type): (u32, u8),
    number: u16,
    out: &mut Vec<u8>,
) -> Option<()> {
    let rtp = RtpPacket::read(packet).ok()?;
    let (start, original) = (out.len(), rtp.header.sequence_number);
    out.extend_from_slice(&packet[..rtp.payload_range.start]);
    out.put_u16(original);
    out.extend_from_slice(&packet[rtp.payload_range.start..]);
    let mut written = RtpPacketMut::new(&mut out[start..]).ok()?;
    written.set_ssrc(ssrc);
    written.set_payload_type(payload_type);
    written.set_sequence_number(number);
    Some(())
}
