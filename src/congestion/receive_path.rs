//! The receiving end of one path.

use bytes::{Bytes, BytesMut};

use super::feedback::{FeedbackConfig, FeedbackGenerator, transport_number};
use crate::Time;
use crate::rtp::{RtcpMessage, RtpPacket, rtcp};

/// Answers the packets of all streams of one path with transport-wide feedback.
///
/// One path has one, whatever the number of its streams: the numbers are those of the path, and so is the feedback. It
/// takes every RTP packet that comes, also of streams that nobody knows, such as padding.
#[derive(Debug)]
pub struct ReceivePath {
    transport_id: u8,
    generator: FeedbackGenerator,
}

impl ReceivePath {
    /// A path over which nothing came. `transport_id` is the identifier of the number's header extension
    /// ([`EXTENSION_URI`](super::feedback::EXTENSION_URI)).
    pub fn new(transport_id: u8, config: FeedbackConfig) -> Self {
        Self { transport_id, generator: FeedbackGenerator::new(config) }
    }

    /// Takes a packet as it came. Bytes that are no RTP packet, or that carry no number, are passed over.
    pub fn handle_packet(&mut self, now: Time, packet: &[u8]) {
        if let Ok(rtp) = RtpPacket::read(packet) {
            let extension = rtp.extension(self.transport_id).ok().flatten();
            self.handle_number(now, extension, packet.len());
        }
    }

    /// The same for a packet of so many bytes with this in the extension of the number.
    pub(crate) fn handle_number(&mut self, now: Time, extension: Option<&[u8]>, bytes: usize) {
        if let Some(number) = extension.and_then(transport_number) {
            self.generator.handle_packet(now, number, bytes);
        }
    }

    /// The RTCP packet that is to be sent to the other end at `now`, if any. Call it again until it returns `None`.
    pub fn poll(&mut self, now: Time) -> Option<Bytes> {
        let message = self.generator.poll(now)?;
        let size = match &message {
            RtcpMessage::Other { body, .. } => 4 + body.len(),
            _ => 0,
        };
        let mut packet = BytesMut::with_capacity(size);
        rtcp::write(&[message], &mut packet).ok()?;
        Some(packet.freeze())
    }

    /// When the next one is due; `None` while no packet has come since the last one.
    pub fn next_timeout(&self) -> Option<Time> {
        self.generator.next_timeout()
    }
}
