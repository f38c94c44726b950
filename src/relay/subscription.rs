//! One receiver's share of one stream, packet by packet.

use arrayvec::ArrayVec;

use super::forwarder::{Forward, Forwarder, ForwarderConfig};
use super::frames::RelayFrame;
use super::rewrite::SequenceMap;
use crate::Time;
use crate::rtp::packet::{PacketError, RtpPacketMut};
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// Changes of the mask that are remembered. A packet that is sent again is not older than some seconds.
const MAX_MASKS: usize = 16;

/// What a receiver gets of a packet: the same ciphertext with other header fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forwarded {
    /// The sequence number.
    pub sequence_number: u16,
    /// Whether the packet is the last of its picture for this receiver, so that its marker bit is to be set. A marker bit
    /// that the sender set stays set.
    pub end_of_picture: bool,
    /// The mask of active decode targets that belongs into the descriptor; `None` if that is as the sender
    /// has it.
    pub active_decode_targets: Option<u32>,
}

impl Forwarded {
    /// The packet as the sender has it, under this number.
    pub(super) fn as_is(sequence_number: u16) -> Self {
        Self { sequence_number, end_of_picture: false, active_decode_targets: None }
    }
}

/// What one receiver gets of one stream: a [`Forwarder`] decides on each packet, and a [`SequenceMap`] numbers what is
/// forwarded.
///
/// # The mask
///
/// The descriptors of a stream from which layers are dropped have to say so (A.8.2, active_decode_targets_bitmask), or a
/// receiver would wait for these layers. Unless all decode targets can be decoded, each packet carries the mask.
#[derive(Debug, Clone)]
pub struct Subscription {
    forwarder: Forwarder,
    numbers: SequenceMap,
    /// The masks, and the frames from which on they hold.
    masks: ArrayVec<(u64, Option<u32>), MAX_MASKS>,
}

impl Subscription {
    /// A subscription that drops everything until it has a target.
    pub fn new(config: ForwarderConfig) -> Self {
        Self { forwarder: Forwarder::new(config), numbers: SequenceMap::new(), masks: ArrayVec::new() }
    }

    /// Sets what the receiver is to get from the next frame on: see [`Forwarder::set_target`]. While the stream is paused
    /// its packets need not be handed in.
    pub fn set_target(&mut self, now: Time, target: Option<DecodeTarget>) {
        if target.is_none() {
            self.numbers.pause();
        }
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

    /// Whether a frame has come, whether it was forwarded or not.
    pub fn has_begun(&self) -> bool {
        self.forwarder.has_begun()
    }

    /// Takes a packet of a frame, and says what the receiver gets of it; `None` if it gets nothing.
    pub fn handle_frame(&mut self, now: Time, frame: &RelayFrame, sequence_number: u16) -> Option<Forwarded> {
        match self.forwarder.handle_frame(now, frame) {
            Forward::Drop => {
                self.numbers.drop(sequence_number);
                None
            }
            Forward::Send { end_of_picture } => {
                let sequence_number = self.numbers.forward(sequence_number)?;
                let active_decode_targets = self.mask(frame);
                Some(Forwarded { sequence_number, end_of_picture, active_decode_targets })
            }
        }
    }

    /// The number by which the receiver misses a packet that was dropped: it was lost on its way to the relay, and later ones
    /// went on before that was known to be dropped too.
    pub(super) fn missed(&self, sequence_number: u16) -> Option<u16> {
        self.forwarder.target().and_then(|_| self.numbers.forwarded_as(sequence_number))
    }

    /// Whether the receiver does not get a frame, though it may ask for its packets.
    pub(super) fn is_dropped(&self, frame: u64) -> bool {
        self.forwarder.is_dropped(frame)
    }

    /// Takes a packet that has no descriptor, or is not to be chosen from: the receiver gets it if the stream is not
    /// paused.
    pub fn handle_whole(&mut self, sequence_number: u16) -> Option<Forwarded> {
        self.forwarder.target()?;
        self.numbers.forward(sequence_number).map(Forwarded::as_is)
    }

    /// What a receiver that asks for a packet again gets, which is what it was to get before; `None` if it was not to get
    /// it. `frame` is the number of the packet's frame and whether the packet ends it.
    pub fn again(&self, sequence_number: u16, frame: Option<(u64, bool)>) -> Option<Forwarded> {
        let sequence_number = self.numbers.forwarded_as(sequence_number)?;
        let ends = |(number, end): (u64, bool)| end && self.forwarder.ended_picture(number);
        Some(Forwarded {
            sequence_number,
            end_of_picture: frame.is_some_and(ends),
            active_decode_targets: frame.and_then(|(number, _)| self.mask_of(number)),
        })
    }

    /// Takes a packet of a frame, and makes of it what the receiver gets: the sequence number, and the marker bit at the
    /// end of a picture, change in place. `false` if the receiver does not get it. The mask of active decode targets stays
    /// as it is, since it would make the packet longer: the receiver has to be told of its target by other means.
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
        let forwarded = self.handle_frame(now, frame, packet.sequence_number());
        if let Some(forwarded) = forwarded {
            packet.set_sequence_number(forwarded.sequence_number);
            if forwarded.end_of_picture {
                packet.set_marker(true);
            }
        }
        Ok(forwarded.is_some())
    }

    /// A frame is lost on the way to the receiver: see [`Forwarder::handle_loss`].
    pub fn handle_loss(&mut self, now: Time, frame: u64, layer: LayerId) {
        self.forwarder.handle_loss(now, frame, layer);
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

    /// The mask of a frame that is forwarded.
    fn mask(&mut self, frame: &RelayFrame) -> Option<u32> {
        let Some(&(number, last)) = self.masks.last().filter(|(number, _)| *number <= frame.number) else {
            if self.masks.is_empty() {
                self.masks.push((frame.number, self.mask_now(frame, None)));
            }
            return self.mask_of(frame.number);
        };
        if number == frame.number {
            return last;
        }
        let mask = self.mask_now(frame, last);
        if mask != last {
            if self.masks.is_full() {
                self.masks.remove(0);
            }
            self.masks.push((frame.number, mask));
        }
        mask
    }

    /// The mask from a frame on, after the one before it.
    fn mask_now(&self, frame: &RelayFrame, last: Option<u32>) -> Option<u32> {
        let mask = self.forwarder.active_decode_targets();
        // A structure makes all targets active, and nothing has to be said as long as that is true.
        let is_told = mask == frame.structure().all_decode_targets() && (last.is_none() || frame.key);
        (!is_told).then_some(mask)
    }

    fn mask_of(&self, frame: u64) -> Option<u32> {
        self.masks.iter().rev().find(|(from, _)| *from <= frame).and_then(|(_, mask)| *mask)
    }
}
