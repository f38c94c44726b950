//! The last packets of a stream, as they came, for all its receivers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::extensions::Places;
use super::frames::{RelayFrame, Sequence};
use crate::Time;
use crate::structure::LayerId;

/// Packets that are kept at most, a power of two: more than a receiver asks for again.
const PACKETS: usize = 1024;
/// Bytes of the blocks that packets are copied into: one allocation for about 50 packets.
const BLOCK: usize = 64 << 10;

/// A packet of a sender as all receivers share it.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// From its RTP header on.
    pub bytes: Bytes,
    pub sequence_number: u16,
    pub places: Places,
    /// `None` without a descriptor.
    pub frame: Option<PacketFrame>,
}

/// What is kept of the frame that a packet belongs to.
#[derive(Debug, Clone)]
pub(crate) struct PacketFrame {
    pub number: u64,
    pub layer: LayerId,
    /// Whether the packet is the last of it.
    pub ends: bool,
    /// What its descriptor is read by.
    pub sequence: Arc<Sequence>,
}

impl From<&RelayFrame> for PacketFrame {
    fn from(frame: &RelayFrame) -> Self {
        Self {
            number: frame.number,
            layer: frame.layer,
            ends: frame.end_of_frame,
            sequence: Arc::clone(&frame.sequence),
        }
    }
}

/// The packets that came last, bounded in number, bytes and time.
#[derive(Debug)]
pub(crate) struct PacketCache {
    /// The packet of sequence number n is at n modulo the length.
    packets: Vec<Option<Packet>>,
    /// Sequence numbers in the order of arrival.
    order: VecDeque<(Time, u16)>,
    bytes: usize,
    max_bytes: usize,
    max_age: Duration,
    block: BytesMut,
}

impl PacketCache {
    pub fn new(max_bytes: usize, max_age: Duration) -> Self {
        let packets = vec![None; PACKETS];
        Self { packets, order: VecDeque::new(), bytes: 0, max_bytes, max_age, block: BytesMut::new() }
    }

    /// Keeps a packet of the stream, and gives what all receivers share of it.
    pub fn keep(
        &mut self,
        now: Time,
        sequence_number: u16,
        packet: &[u8],
        places: Places,
        frame: Option<&RelayFrame>,
    ) -> &Packet {
        let frame = frame.map(PacketFrame::from);
        let packet = Packet { bytes: self.copy(packet), sequence_number, places, frame };
        self.insert(now, packet)
    }

    /// Copies a packet, so that nothing but its own bytes is kept.
    fn copy(&mut self, packet: &[u8]) -> Bytes {
        if self.block.capacity() < packet.len() {
            self.block.reserve(BLOCK.max(packet.len()));
        }
        self.block.extend_from_slice(packet);
        self.block.split().freeze()
    }

    fn insert(&mut self, now: Time, packet: Packet) -> &Packet {
        let (number, size) = (packet.sequence_number, packet.bytes.len());
        let too_old = |cache: &Self| cache.order.front().is_some_and(|(at, _)| now - *at > cache.max_age);
        while !self.order.is_empty()
            && (self.bytes + size > self.max_bytes || self.order.len() >= PACKETS || too_old(self))
        {
            self.pop();
        }
        let place = &mut self.packets[usize::from(number) % PACKETS];
        if let Some(old) = place.take() {
            self.bytes -= old.bytes.len();
        }
        self.bytes += size;
        self.order.push_back((now, number));
        place.insert(packet)
    }

    fn pop(&mut self) {
        let Some((_, number)) = self.order.pop_front() else { return };
        let place = &mut self.packets[usize::from(number) % PACKETS];
        // Another packet may have taken its place.
        if let Some(old) = place.take_if(|packet| packet.sequence_number == number) {
            self.bytes -= old.bytes.len();
        }
    }

    pub fn get(&self, number: u16) -> Option<&Packet> {
        self.packets[usize::from(number) % PACKETS].as_ref().filter(|packet| packet.sequence_number == number)
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn keep(cache: &mut PacketCache, now: Time, sequence_number: u16, size: usize) {
        cache.keep(now, sequence_number, &vec![sequence_number as u8; size], Places::default(), None);
    }

    #[test]
    fn packets_are_kept_for_a_time_and_within_their_bytes() {
        let mut cache = PacketCache::new(10_000, Duration::from_secs(1));
        for number in 0..20 {
            keep(&mut cache, Time::from_millis(100 * u64::from(number)), number, 1000);
        }
        assert_eq!(cache.bytes(), 10_000);
        assert!(cache.get(9).is_none());
        assert_eq!(cache.get(10).map(|packet| packet.bytes[0]), Some(10));
        keep(&mut cache, Time::from_millis(2700), 20, 10);
        assert_eq!((cache.get(16).is_some(), cache.get(17).is_some()), (false, true));
        assert_eq!(cache.bytes(), 3010);
    }

    proptest! {
        #[test]
        fn it_never_holds_more(packets in vec((any::<u16>(), 0..2000usize, 0..100u64), 0..3000)) {
            let mut cache = PacketCache::new(100_000, Duration::from_secs(2));
            let mut now = Time::ZERO;
            for (number, size, passed) in packets {
                now += Duration::from_millis(passed);
                keep(&mut cache, now, number, size);
                let held: usize = cache.packets.iter().flatten().map(|packet| packet.bytes.len()).sum();
                prop_assert!(cache.bytes() == held && held <= 100_000);
                prop_assert!(cache.get(number).is_some());
            }
        }
    }
}
