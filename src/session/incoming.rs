//! Packets that are sealed one by one, on their way in.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

use super::held::{HeldFrames, is_known};
use super::receiver::Refused;
use super::sequence::Number;
use crate::Time;
use crate::e2ee::{KeyRing, OpenError, Opener};
use crate::rtp::payload::sframe;
use crate::rtp::reassembler::{Abandoned, MAX_PACKET, Rejected};
use crate::rtp::{ReassemblerStatistics, RtpPacket};

/// Opens the packets of one stream of audio or data, as soon as their keys are there.
#[derive(Debug)]
pub(super) struct Incoming {
    ssrc: u32,
    /// Whether a packet's payload was sealed, and not a whole frame.
    packetized: bool,
    opener: Opener,
    keys: KeyRing,
    held: HeldFrames<Bytes>,
    /// Held packets whose keys have come.
    known: VecDeque<Bytes>,
    /// Whether keys may have come since the held packets were tried.
    new_keys: bool,
    refused: VecDeque<Refused>,
    duplicates: u64,
    late: u64,
    opened_late: u64,
}

/// A packet that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) number: Number,
    /// Of the RTP header, as the timestamp.
    pub(super) sequence_number: u16,
    pub(super) timestamp: u32,
    /// What was sealed, without the number.
    pub(super) body: BytesMut,
    /// Bytes of the packet, which the body may keep.
    pub(super) size: usize,
}

impl Incoming {
    /// Packets whose keys are not there are held for `key_wait`.
    pub(super) fn new(
        ssrc: u32,
        packetized: bool,
        opener: Opener,
        keys: KeyRing,
        key_wait: Duration,
    ) -> Self {
        Self {
            ssrc,
            packetized,
            opener,
            keys,
            held: HeldFrames::new(key_wait),
            known: VecDeque::new(),
            new_keys: false,
            refused: VecDeque::new(),
            duplicates: 0,
            late: 0,
            opened_late: 0,
        }
    }

    pub(super) fn keys_mut(&mut self) -> &mut KeyRing {
        self.new_keys = true;
        &mut self.keys
    }

    pub(super) fn into_opener(self) -> Opener {
        self.opener
    }

    /// The counts of the packets that were opened, with those that were not.
    pub(super) fn statistics(&self, opened: ReassemblerStatistics) -> IncomingStatistics {
        let mut packets = opened;
        packets.duplicates += self.duplicates;
        packets.late += self.late;
        IncomingStatistics { packets, held: self.opened_late, round_trip: None }
    }

    /// Takes a packet. Gives it back opened, if that can be done now.
    pub(super) fn handle_packet(&mut self, now: Time, packet: Bytes) -> Option<Opened> {
        let size = packet.len();
        if size > MAX_PACKET {
            self.refuse(Refused::Packet(Rejected::TooLarge(size)));
            return None;
        }
        let rtp = match RtpPacket::read(&packet) {
            Ok(rtp) => rtp,
            Err(error) => {
                self.refuse(Refused::Packet(error.into()));
                return None;
            }
        };
        if rtp.header.ssrc != self.ssrc {
            return None;
        }
        if sframe::check(std::iter::once(rtp.payload)) != Ok(self.packetized) {
            self.refuse(Refused::Abandoned(Abandoned::Payload));
            return None;
        }
        if is_known(now, &self.keys, &rtp.payload[1..]) {
            return self.open(now, packet);
        }
        // If there is no room, the opener says what is wrong.
        let packet = self.held.insert(now, packet)?;
        self.open(now, packet)
    }

    /// The next packet that was held and can be opened at `now`.
    pub(super) fn poll(&mut self, now: Time) -> Option<Opened> {
        if std::mem::take(&mut self.new_keys) {
            let is_known = |packet: &Bytes| {
                let sealed = RtpPacket::read(packet).ok().and_then(|rtp| rtp.payload.get(1..));
                sealed.is_some_and(|sealed| is_known(now, &self.keys, sealed))
            };
            self.known.extend(self.held.take_known(is_known));
        }
        while let Some(packet) = self.known.pop_front() {
            if let Some(opened) = self.open(now, packet) {
                self.opened_late += 1;
                return Some(opened);
            }
        }
        while let Some(packet) = self.held.pop_expired(now) {
            if let Some(opened) = self.open(now, packet) {
                return Some(opened);
            }
        }
        None
    }

    /// What was refused, one by one.
    pub(super) fn pop_refused(&mut self) -> Option<Refused> {
        self.refused.pop_front()
    }

    /// When to poll again, if nothing comes before.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.held.next_timeout()
    }

    /// Tells of something that came and is of no use.
    pub(super) fn refuse(&mut self, refused: Refused) {
        self.refused.push_back(refused);
    }

    fn open(&mut self, now: Time, packet: Bytes) -> Option<Opened> {
        let rtp = RtpPacket::read(&packet).ok()?;
        let (sequence_number, timestamp) = (rtp.header.sequence_number, rtp.header.timestamp);
        let (size, sealed) = (packet.len(), rtp.payload_range);
        // It is opened in place, if nobody else has a share of its bytes.
        let mut body = BytesMut::from(packet);
        body.truncate(sealed.end);
        body.advance(sealed.start + 1);
        let (epoch, counter) = match self.opener.open_counted(now, &self.keys, &[], &mut body) {
            Ok(counted) => counted,
            Err(OpenError::Replayed { .. }) => {
                self.duplicates += 1;
                return None;
            }
            Err(OpenError::TooOld { .. }) => {
                self.late += 1;
                return None;
            }
            Err(error) => {
                self.refuse(Refused::Frame(error));
                return None;
            }
        };
        let Some((_, &number)) = body.split_last_chunk() else {
            self.refuse(Refused::Frame(OpenError::Unlabelled));
            return None;
        };
        body.truncate(body.len() - 2);
        let number = u16::from_be_bytes(number);
        // A sender begins with 0, as the counter of a key does.
        let number = Number { number, epoch, anew: counter as u16 == number };
        Some(Opened { number, sequence_number, timestamp, body, size })
    }
}

/// The counts of a receiver of audio or data since its start, and what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IncomingStatistics {
    /// The counts of packets, and of whole audio frames or messages.
    pub packets: ReassemblerStatistics,
    /// Packets that were opened only after their key had come.
    pub held: u64,
    /// The round-trip time to whoever sends packets again, once it is measured.
    pub round_trip: Option<Duration>,
}
