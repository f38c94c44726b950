//! The packets that were sent last, to be sent again.

use bytes::Bytes;

/// The packets that were sent last, for receivers that ask for a retransmission (a NACK, RFC 4585).
#[derive(Debug)]
pub struct SentPackets {
    /// The packet of sequence number n is at n modulo the length, which is a power of two.
    packets: Vec<Bytes>,
}

impl SentPackets {
    /// Keeps up to `count` packets, rounded up to a power of two from 1 to 32768. A second of video is about right:
    /// a packet asked for later would come too late.
    pub fn new(count: usize) -> Self {
        Self { packets: vec![Bytes::new(); count.clamp(1, 1 << 15).next_power_of_two()] }
    }

    /// Keeps a packet, which takes the place of one long sent. Bytes that are no RTP packet are not kept.
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
