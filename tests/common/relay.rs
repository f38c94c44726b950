//! A relay between sender and receiver.

use bytes::Bytes;
use layercast::rtp::descriptor::{DecodeTargetIndication, DependencyDescriptor, DependencyStructure};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::structure::DecodeTarget;

/// A relay: drops what a decode target does not need and renumbers the rest, under an SSRC and timestamps of its own.
pub struct Relay {
    descriptor_id: u8,
    sequence_number: u16,
    timestamp_offset: u32,
}

impl Relay {
    /// A relay whose first packet has this sequence number, and whose timestamps are later by this.
    pub fn new(descriptor_id: u8, sequence_number: u16, timestamp_offset: u32) -> Self {
        Self { descriptor_id, sequence_number, timestamp_offset }
    }

    /// The packets of a picture's frames, in order, as far as they are needed.
    pub fn forward(
        &mut self,
        packets: &[Bytes],
        structure: &DependencyStructure,
        target: DecodeTarget,
    ) -> Vec<Bytes> {
        let target = structure.decode_target(target).unwrap();
        let mut forwarded: Vec<Vec<u8>> = vec![];
        for packet in packets {
            let rtp = RtpPacket::read(packet).unwrap();
            let descriptor = rtp.extension(self.descriptor_id).unwrap().unwrap();
            let descriptor = DependencyDescriptor::read(descriptor, Some(structure)).unwrap();
            let dependencies = descriptor.dependencies(structure).unwrap();
            let indication = dependencies.decode_target_indications[usize::from(target)];
            if indication == DecodeTargetIndication::NotPresent {
                continue;
            }
            let timestamp = rtp.header.timestamp.wrapping_add(self.timestamp_offset);
            let mut packet = packet.to_vec();
            let mut rewrite = RtpPacketMut::new(&mut packet).unwrap();
            rewrite.set_sequence_number(self.sequence_number);
            rewrite.set_timestamp(timestamp);
            rewrite.set_ssrc(7);
            self.sequence_number = self.sequence_number.wrapping_add(1);
            forwarded.push(packet);
        }
        if let Some(last) = forwarded.last_mut() {
            RtpPacketMut::new(last).unwrap().set_marker(true);
        }
        forwarded.into_iter().map(Bytes::from).collect()
    }
}
