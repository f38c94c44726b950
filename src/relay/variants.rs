//! The forms in which the receivers of a stream get a packet: most of them get the same one.

use arrayvec::ArrayVec;
use bytes::{BufMut, Bytes, BytesMut};

use super::cache::Packet;
use super::extensions::{ExtensionIds, Places};
use crate::rtp::RtpPacket;
use crate::rtp::descriptor::DependencyDescriptor;
use crate::rtp::packet::RtpPacketMut;

/// Header extensions of a packet at most, beyond which it is forwarded as it is.
const MAX_EXTENSIONS: usize = 16;
/// Bytes of a header extension at most (RFC 8285).
const MAX_EXTENSION: usize = 255;
/// Bytes of the blocks that packets are written into.
const BLOCK: usize = 64 << 10;

/// A packet but for its sequence number, its marker bit and what is known only when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Variant {
    pub bytes: Bytes,
    pub places: Places,
}

impl Variant {
    /// The same without payload, for a receiver that asks for the packet though it does not get its frame. One with padding
    /// stays as it is.
    pub fn without_payload(&self) -> Self {
        let bytes = match RtpPacket::read(&self.bytes) {
            Ok(rtp) if self.bytes[0] & 0x20 == 0 => self.bytes.slice(..rtp.payload_range.start),
            _ => self.bytes.clone(),
        };
        Self { bytes, places: self.places }
    }
}

/// Makes the forms of one packet after the other, each once.
#[derive(Debug)]
pub(crate) struct Variants {
    pub ids: ExtensionIds,
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
    pub fn get(&mut self, packet: &Packet, mask: Option<u32>) -> Variant {
        if self.is_whole(packet, mask) {
            return as_is(packet);
        }
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
        self.made[at].1.clone()
    }

    fn make(&mut self, packet: &Packet, mask: Option<u32>) -> Variant {
        let Ok(rtp) = RtpPacket::read(&packet.bytes) else { return as_is(packet) };
        let Some(bytes) = self.rewrite(packet, &rtp, mask) else { return as_is(packet) };
        match RtpPacket::read(&bytes) {
            Ok(rewritten) => Variant { places: self.ids.find(&rewritten).places, bytes: bytes.clone() },
            Err(_) => as_is(packet),
        }
    }

    /// Whether a packet has all that is written into the one with a mask.
    fn is_whole(&self, packet: &Packet, mask: Option<u32>) -> bool {
        let Places { number_at, send_time_at } = packet.places;
        let has_all = number_at > 0 && (send_time_at > 0 || self.ids.send_time.is_none());
        has_all && (mask.is_none() || packet.frame.is_none())
    }

    /// The packet with another descriptor and with room for what is written later; `None` if it can stay as it is.
    fn rewrite(&mut self, packet: &Packet, rtp: &RtpPacket<'_>, mask: Option<u32>) -> Option<Bytes> {
        let ExtensionIds { descriptor: descriptor_id, transport, send_time } = self.ids;
        let has = |id: u8| rtp.extension(id).ok().flatten().is_some();
        let mask = mask.zip(packet.frame.as_ref());
        if mask.is_none() && has(transport) && send_time.is_none_or(has) {
            return None;
        }
        self.descriptor.clear();
        if let Some((mask, frame)) = mask {
            let known = &*frame.sequence.structure;
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

/// A packet as its sender has it.
fn as_is(packet: &Packet) -> Variant {
    Variant { bytes: packet.bytes.clone(), places: packet.places }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::FrameReader;
    use crate::relay::cache::PacketCache;
    use crate::rtp::RtpHeader;
    use crate::rtp::descriptor::Describer;
    use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode::L3T3};
    use crate::{Size, Time};
    use std::time::Duration;

    const IDS: ExtensionIds = ExtensionIds { descriptor: 4, transport: 3, send_time: Some(2) };

    /// The packets of two pictures, each with its descriptor, by a relay that knows extensions by these ids.
    fn packets(ids: ExtensionIds) -> Vec<(Packet, DependencyDescriptor)> {
        let (mut planner, mut describer) = (Planner::new(L3T3, Size::new(640, 360)), Describer::new());
        let (mut reader, mut cache) = (FrameReader::new(), PacketCache::new(100_000, Duration::from_secs(1)));
        let mut packets = vec![];
        for _ in 0..2 {
            let wanted = DecodeTargets::all(planner.structure());
            let plan = planner.next(PictureRequest { wanted, ..Default::default() });
            for descriptor in describer.describe(&plan).unwrap() {
                let frame = reader.handle_descriptor(&descriptor).unwrap();
                let mut written = vec![];
                descriptor.write(frame.structure(), &mut written).unwrap();
                let sequence_number = packets.len() as u16;
                let header = RtpHeader { ssrc: 7, sequence_number, payload_type: 45, ..RtpHeader::default() };
                let mut packet = vec![];
                header.write(&[(4, &written), (3, &[0; 2])], &mut packet).unwrap();
                packet.extend_from_slice(&[9; 100]);
                let places = ids.find(&RtpPacket::read(&packet).unwrap()).places;
                let packet = cache.keep(Time::ZERO, sequence_number, &packet, places, Some(&frame)).clone();
                packets.push((packet, descriptor));
            }
        }
        packets
    }

    #[test]
    fn a_mask_is_written_and_all_else_stays() {
        let ids = ExtensionIds { send_time: None, ..IDS };
        let mut variants = Variants::new(ids);
        for (packet, descriptor) in packets(ids) {
            let known = std::sync::Arc::clone(&packet.frame.as_ref().unwrap().sequence.structure);
            variants.clear();
            let same = variants.get(&packet, None);
            assert_eq!(same.bytes.as_ptr(), packet.bytes.as_ptr(), "nothing is copied");
            let masked = variants.get(&packet, Some(0b111));
            let again = variants.get(&packet, Some(0b111));
            assert_eq!(masked.bytes.as_ptr(), again.bytes.as_ptr(), "it is made once");
            let (before, after) =
                (RtpPacket::read(&packet.bytes).unwrap(), RtpPacket::read(&masked.bytes).unwrap());
            assert_eq!((before.header, before.payload), (after.header.clone(), after.payload));
            let read =
                DependencyDescriptor::read(after.extension(4).unwrap().unwrap(), Some(&known)).unwrap();
            assert_eq!(read, DependencyDescriptor { active_decode_targets: Some(0b111), ..descriptor });
            let number_at = usize::from(masked.places.number_at);
            assert_eq!(after.extension_range(3).unwrap(), Some(number_at..number_at + 2));
        }
    }

    #[test]
    fn extensions_that_the_sender_has_not_are_made() {
        let ids = ExtensionIds { transport: 5, ..IDS };
        let mut variants = Variants::new(ids);
        let (packet, _) = packets(ids).remove(0);
        let variant = variants.get(&packet, None);
        let read = RtpPacket::read(&variant.bytes).unwrap();
        let (number_at, send_time_at) =
            (usize::from(variant.places.number_at), usize::from(variant.places.send_time_at));
        assert_eq!(read.extension_range(5).unwrap(), Some(number_at..number_at + 2));
        assert_eq!(read.extension_range(2).unwrap(), Some(send_time_at..send_time_at + 3));
        assert_eq!(read.payload, [9; 100]);
    }

    #[test]
    fn a_retransmission_lies_as_rfc_4588_draws_it() {
        let (packet, _) = packets(IDS).remove(3);
        let mut out = vec![1, 2, 3];
        write_rtx(&packet.bytes, (99, 46), 1234, &mut out).unwrap();
        let (before, after) = (RtpPacket::read(&packet.bytes).unwrap(), RtpPacket::read(&out[3..]).unwrap());
        let RtpHeader { ssrc, payload_type, sequence_number, timestamp, .. } = after.header;
        assert_eq!((ssrc, payload_type, sequence_number), (99, 46, 1234));
        assert_eq!(timestamp, before.header.timestamp);
        assert_eq!(after.payload[..2], 3u16.to_be_bytes());
        assert_eq!(&after.payload[2..], before.payload);
    }
}
