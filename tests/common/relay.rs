//! A relay between sender and receiver.
#![allow(dead_code)] // Each test takes a part of it.

use bytes::Bytes;
use layercast::Time;
use layercast::relay::{Forward, Forwarder, ForwarderConfig, FrameReader};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::structure::{DecodeTarget, Refresh};

/// A relay before one receiver: it forwards what a decode target needs, under an SSRC, sequence numbers and timestamps
/// of its own.
pub struct Relay {
    descriptor_id: u8,
    reader: FrameReader,
    forwarder: Forwarder,
    sequence_number: u16,
    timestamp_offset: u32,
}

impl Relay {
    /// A relay whose first packet has this sequence number, and whose timestamps are later by this.
    pub fn new(target: DecodeTarget, descriptor_id: u8, sequence_number: u16, timestamp_offset: u32) -> Self {
        let mut forwarder = Forwarder::new(ForwarderConfig::default());
        forwarder.set_target(Time::ZERO, Some(target));
        Self { descriptor_id, reader: FrameReader::new(), forwarder, sequence_number, timestamp_offset }
    }

    /// The packet as the receiver gets it, if it needs it.
    pub fn forward(&mut self, now: Time, packet: &Bytes) -> Option<Bytes> {
        let rtp = RtpPacket::read(packet).unwrap();
        let frame = self.reader.read(rtp.extension(self.descriptor_id).unwrap().unwrap()).unwrap();
        let Forward::Send { end_of_picture } = self.forwarder.handle_frame(now, &frame) else { return None };
        let timestamp = rtp.header.timestamp.wrapping_add(self.timestamp_offset);
        let mut packet = packet.to_vec();
        let mut rewrite = RtpPacketMut::new(&mut packet).unwrap();
        rewrite.set_sequence_number(self.sequence_number);
        rewrite.set_timestamp(timestamp);
        rewrite.set_ssrc(7);
        if end_of_picture {
            rewrite.set_marker(true);
        }
        self.sequence_number = self.sequence_number.wrapping_add(1);
        Some(packet.into())
    }

    /// What it asks the sender for.
    pub fn poll(&mut self, now: Time) -> Option<Refresh> {
        self.forwarder.poll(now)
    }
}
