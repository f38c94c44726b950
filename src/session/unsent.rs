//! What stands in place of packets that are never sent.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::rtp::{RtpHeader, RtpPacket};

/// Frames that are remembered at most: those that may still wait on the path.
const MAX_FRAMES: usize = 256;

/// Remembers the sequence numbers of frames. If a frame waited too long and is dropped, its numbers leave a gap, whose packets a
/// receiver asks and waits for in vain. It gets packets without payload under these numbers.
#[derive(Debug)]
pub(super) struct Unsent {
    transport_id: Option<u8>,
    frames: VecDeque<Frame>,
}

#[derive(Debug)]
struct Frame {
    number: u64,
    /// Of its first packet.
    header: RtpHeader,
    packets: u16,
}

impl Unsent {
    /// Packets have room for the path's number, in the header extension of this identifier.
    pub(super) fn new(transport_id: Option<u8>) -> Self {
        Self { transport_id, frames: VecDeque::new() }
    }

    /// A packet of a frame is handed to the path. Packets come in the order of their numbers.
    pub(super) fn insert(&mut self, number: u64, packet: &[u8]) {
        if let Some(frame) = self.frames.back_mut().filter(|frame| frame.number == number) {
            frame.packets += 1;
            return;
        }
        let Ok(RtpPacket { header, .. }) = RtpPacket::read(packet) else { return };
        if self.frames.len() == MAX_FRAMES {
            self.frames.pop_front();
        }
        self.frames.push_back(Frame { number, header, packets: 1 });
    }

    /// For each number of a frame that is dropped, a packet without payload.
    pub(super) fn take(&mut self, number: u64) -> impl Iterator<Item = (u16, Bytes)> + use<> {
        let at = self.frames.iter().position(|frame| frame.number == number);
        let frame = at.and_then(|at| self.frames.remove(at));
        let extension = self.transport_id.map(|id| (id, &[0; 2][..]));
        frame.into_iter().flat_map(move |Frame { header, packets, .. }| {
            (0..packets).filter_map(move |n| {
                let sequence_number = header.sequence_number.wrapping_add(n);
                let mut packet = BytesMut::new();
                let header = RtpHeader { marker: false, sequence_number, ..header.clone() };
                header.write(extension.as_slice(), &mut packet).ok()?;
                Some((sequence_number, packet.freeze()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence_number: u16) -> Bytes {
        let header = RtpHeader {
            marker: true,
            payload_type: 45,
            sequence_number,
            timestamp: 7,
            ssrc: 9,
            ..RtpHeader::default()
        };
        let mut packet = BytesMut::new();
        header.write(&[(3, &[0, 0])], &mut packet).unwrap();
        packet.extend_from_slice(&[1; 100]);
        packet.freeze()
    }

    #[test]
    fn each_number_of_a_dropped_frame_gets_a_packet_without_payload() {
        let mut unsent = Unsent::new(Some(3));
        for (frame, number) in [(5, 65_534), (6, 65_535), (6, 0), (6, 1), (7, 2)] {
            unsent.insert(frame, &packet(number));
        }
        let taken: Vec<_> = unsent.take(6).collect();
        assert_eq!(taken.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [65_535, 0, 1]);
        for (number, packet) in &taken {
            let rtp = RtpPacket::read(packet).unwrap();
            let RtpHeader { marker, payload_type, sequence_number, timestamp, ssrc, .. } = rtp.header;
            assert_eq!((marker, payload_type, sequence_number), (false, 45, *number));
            assert_eq!((timestamp, ssrc, rtp.payload.len()), (7, 9, 0));
            assert_eq!(rtp.extension(3), Ok(Some(&[0; 2][..])));
        }
        assert_eq!(unsent.take(6).count(), 0);
        assert_eq!(unsent.take(7).count(), 1);
    }

    #[test]
    fn it_remembers_a_bounded_number_of_frames() {
        let mut unsent = Unsent::new(Some(3));
        (0..1000).for_each(|frame| unsent.insert(frame, &packet(frame as u16)));
        assert_eq!(unsent.frames.len(), MAX_FRAMES);
        assert_eq!((unsent.take(743).count(), unsent.take(744).count()), (0, 1));
    }
}
