//! One receiver's share of one stream, packet by packet.

use super::forwarder::{Forward, Forwarder, ForwarderConfig};
use super::frames::RelayFrame;
use super::rewrite::SequenceMap;
use crate::Time;
use crate::rtp::packet::{PacketError, RtpPacketMut};
use crate::structure::{DecodeTarget, Refresh};

/// What one receiver gets of one stream: a [`Forwarder`] decides on each packet, and a [`SequenceMap`] numbers what is
/// forwarded.
#[derive(Debug, Clone)]
pub struct Subscription {
    forwarder: Forwarder,
    numbers: SequenceMap,
}

impl Subscription {
    /// A subscription that drops everything until it has a target.
    pub fn new(config: ForwarderConfig) -> Self {
        Self { forwarder: Forwarder::new(config), numbers: SequenceMap::new() }
    }

    /// Sets what the receiver is to get from the next frame on: see [`Forwarder::set_target`].
    pub fn set_target(&mut self, now: Time, target: Option<DecodeTarget>) {
        self.forwarder.set_target(now, target);
    }

    /// What the receiver is to get.
    pub fn target(&self) -> Option<DecodeTarget> {
        self.forwarder.target()
    }

    /// What it gets now: see [`Forwarder::current`].
    pub fn current(&self) -> Option<DecodeTarget> {
        self.forwarder.current()
    }

    /// Takes a packet of a frame, and makes of it what the receiver gets: the sequence number, and the marker bit at the
    /// end of a picture, change in place. `false` if the receiver does not get it.
    ///
    /// # Errors
    /// [`PacketError`], if the bytes are no RTP packet.
    pub fn handle_packet(
        &mut self,
        now: Time,
        frame: &RelayFrame,
        packet: &mut [u8],
    ) -> Result<bool, PacketError> {
        let mut packet = RtpPacketMut::new(packet)?;
        let number = packet.sequence_number();
        let forwarded = match self.forwarder.handle_frame(now, frame) {
            Forward::Drop => {
                self.numbers.drop(number);
                None
            }
            Forward::Send { end_of_picture } => {
                if end_of_picture {
                    packet.set_marker(true);
                }
                self.numbers.forward(number)
            }
        };
        if let Some(forwarded) = forwarded {
            packet.set_sequence_number(forwarded);
        }
        Ok(forwarded.is_some())
    }

    /// The sender's number of the packet that the receiver knows by `forwarded`: see [`SequenceMap::original`].
    pub fn original(&self, forwarded: u16) -> Option<u16> {
        self.numbers.original(forwarded)
    }

    /// The refresh to ask the sender for at `now`: see [`Forwarder::poll`].
    pub fn poll(&mut self, now: Time) -> Option<Refresh> {
        self.forwarder.poll(now)
    }

    /// When to poll again, if nothing comes before.
    pub fn next_timeout(&self) -> Option<Time> {
        self.forwarder.next_timeout()
    }
}
