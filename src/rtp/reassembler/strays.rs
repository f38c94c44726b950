//! Packets whose sequence numbers are not believed.

use bytes::Bytes;

use super::event::Rejected;

/// So many packets that are too late, if they follow each other and nothing else comes, are of a stream that starts anew.
pub(super) const LATE_RUN: usize = 8;

/// The last packets that were refused for their sequence numbers, each the next of the one before: fewer than
/// [`LATE_RUN`]. If one that is believed follows them, they were its stream's.
#[derive(Debug, Default)]
pub(super) struct Strays {
    packets: Vec<Bytes>,
    /// The number after the last.
    next: u16,
    believed: bool,
}

impl Strays {
    /// How many of them come just before this sequence number.
    pub(super) fn before(&self, sequence_number: u16) -> usize {
        if sequence_number == self.next { self.packets.len() } else { 0 }
    }

    /// Takes a packet that was refused.
    pub(super) fn handle_rejected(&mut self, sequence_number: u16, packet: &Bytes, rejected: &Rejected) {
        if !matches!(rejected, Rejected::OutOfRange(_) | Rejected::Late) {
            return;
        }
        if self.before(sequence_number) == 0 {
            self.packets.clear();
        }
        self.packets.push(packet.clone());
        self.next = sequence_number.wrapping_add(1);
    }

    /// The packet that is taken now follows them.
    pub(super) fn believe(&mut self) {
        self.believed = true;
    }

    /// Another packet is taken.
    pub(super) fn forget_unless_believed(&mut self) {
        if !self.believed {
            self.packets.clear();
        }
    }

    /// Takes them out, if they are believed.
    pub(super) fn take_believed(&mut self) -> Vec<Bytes> {
        if std::mem::take(&mut self.believed) { std::mem::take(&mut self.packets) } else { Vec::new() }
    }
}
