//! A relay between sender and receiver.
#![allow(dead_code)] // Each test takes a part of it.

use bytes::Bytes;
use layercast::Time;
use layercast::relay::{ForwarderConfig, FrameReader, Subscription};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::structure::{DecodeTarget, Refresh};

/// A relay before one receiver: it forwards what a decode target needs, under an SSRC, sequence numbers and timestamps
/// of its own.
pub struct Relay {
    descriptor_id: u8,
    reader: FrameReader,
    subscription: Subscription,
    /// By how much numbers are higher than those of the subscription; not known before the first packet.
    number_offset: Option<u16>,
    first_number: u16,
    timestamp_offset: u32,
}

impl Relay {
    /// A relay whose first packet has this sequence number, and whose timestamps are later by this.
    pub fn new(target: DecodeTarget, descriptor_id: u8, first_number: u16, timestamp_offset: u32) -> Self {
        let mut subscription = Subscription::new(ForwarderConfig::default());
        subscription.set_target(Time::ZERO, Some(target));
        Self {
            descriptor_id,
            reader: FrameReader::new(),
            subscription,
            number_offset: None,
            first_number,
            timestamp_offset,
        }
    }

    /// The packet as the receiver gets it, if it needs it.
    pub fn forward(&mut self, now: Time, packet: &Bytes) -> Option<Bytes> {
        let rtp = RtpPacket::read(packet).unwrap();
        let frame = self.reader.read(rtp.extension(self.descriptor_id).unwrap().unwrap()).unwrap();
        let timestamp = rtp.header.timestamp.wrapping_add(self.timestamp_offset);
        let mut packet = packet.to_vec();
        if !self.subscription.handle_packet(now, &frame, &mut packet).unwrap() {
            return None;
        }
        let mut rewrite = RtpPacketMut::new(&mut packet).unwrap();
        let number = rewrite.sequence_number();
        let offset = *self.number_offset.get_or_insert(self.first_number.wrapping_sub(number));
        rewrite.set_sequence_number(number.wrapping_add(offset));
        rewrite.set_timestamp(timestamp);
        rewrite.set_ssrc(7);
        Some(packet.into())
    }

    /// What it asks the sender for.
    pub fn poll(&mut self, now: Time) -> Option<Refresh> {
        self.subscription.poll(now)
    }
}
