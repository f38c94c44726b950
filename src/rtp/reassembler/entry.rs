//! The state of a packet, and of a frame that waits for its structure.

use bytes::{Bytes, BytesMut};
use std::ops::Range;

use crate::Time;

#[derive(Debug)]
pub(super) struct Missing {
    pub(super) noticed: Time,
    pub(super) next_request: Time,
    pub(super) requests: u8,
}

#[derive(Debug)]
pub(super) struct Received {
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) start: bool,
    pub(super) end: bool,
    pub(super) template_id: u8,
    pub(super) frame_number: u16,
    /// The first packet of the frame, if all from there on have come.
    pub(super) first: Option<u64>,
    pub(super) packet: Bytes,
    /// The ranges of the descriptor and the payload in the packet.
    pub(super) descriptor: Range<usize>,
    pub(super) payload: Range<usize>,
}

impl Received {
    pub(super) fn payload(&self) -> &[u8] {
        &self.packet[self.payload.clone()]
    }

    pub(super) fn is_of_frame(&self, other: &Self) -> bool {
        (self.timestamp, self.template_id, self.frame_number)
            == (other.timestamp, other.template_id, other.frame_number)
    }
}

/// The state of a sequence number.
#[derive(Debug)]
pub(super) enum Entry {
    Missing(Missing),
    Received(Received),
    /// Its frame is whole or abandoned, or it was given up; with the frame's number if that is known.
    Done(Option<u16>),
}

/// The packet of the highest sequence number.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) arrived: Time,
    pub(super) timestamp: u32,
    /// Whether it is the last one of its picture: the marker bit.
    pub(super) ends_picture: bool,
    /// Requests for the packet after it.
    pub(super) next_request: Time,
    pub(super) requests: u8,
}

impl Newest {
    /// Whether the packet after it is to be asked for.
    pub(super) fn asks_on(&self, max_requests: u8) -> bool {
        !self.ends_picture && self.requests < max_requests
    }
}

/// A whole frame that cannot be read yet.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) since: Time,
    pub(super) frame_number: u16,
    pub(super) template_id: u8,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) descriptor: Bytes,
    pub(super) payload: Bytes,
    pub(super) pieces: Vec<Bytes>,
}

impl Waiting {
    /// Moves all that the frame has of its packets into one block of its own. A share of a packet, however short, would
    /// keep the whole packet alive.
    pub(super) fn let_go_of_packets(&mut self) {
        let pieces: usize = self.pieces.iter().map(Bytes::len).sum();
        let mut block = BytesMut::with_capacity(self.descriptor.len() + pieces);
        for share in self.pieces.iter_mut().chain([&mut self.descriptor]) {
            block.extend_from_slice(share);
            *share = block.split().freeze();
        }
        self.pieces.shrink_to_fit();
    }

    /// The memory that it takes, once it has let go of its packets.
    pub(super) fn bytes(&self) -> usize {
        let shares = self.pieces.iter().map(|piece| size_of::<Bytes>() + piece.len()).sum::<usize>();
        size_of::<Self>() + self.descriptor.len() + self.payload.len() + shares
    }
}
