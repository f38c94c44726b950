//! The two ends of a stream of data messages.
//!
//! A packet holds a message or a piece of one: a byte of the SFrame payload format (draft-ietf-avtcore-rtp-sframe, with
//! the bit T) and an SFrame with the key of [`Context::data`]. In it are the piece, a byte that says whether it is the
//! first and the last of its message (the bits S and E of the same format), and the number of the packet, 2 bytes in
//! network byte order, from 0 on. The number is sealed, so a relay can neither swap pieces nor join those of different
//! messages.
//!
//! Missing packets are asked for by NACKs (RFC 4585), and not acknowledged one by one, so that what a relay forwards to
//! many costs the sender no more.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::DATA_PAYLOAD_TYPE;
use super::incoming::{Incoming, IncomingStatistics, Opened};
use super::outgoing::{Outgoing, OutgoingStatistics};
use super::receiver::Refused;
use super::sender::{SendError, SenderOutput};
use super::sequence::{MAX_NUMBERS, Sequence, Slot};
use crate::Time;
use crate::e2ee::{Context, KeyRing, OpenError, Opener, Sealer, SenderKeyError, SenderKeys};
use crate::rtp::payload::sframe::PayloadHeader;
use crate::rtp::reassembler::{NackConfig, retry_after};
use crate::rtp::round_trip::RoundTrip;
use crate::rtp::rtcp::{self, Lost, RtcpMessage};
use crate::rtp::{PacketizeError, ReassemblerStatistics, RtpPacket, SentPackets};

/// Packets of a message at most. A receiver holds twice as many.
const MAX_PACKETS: usize = MAX_NUMBERS / 2;
/// From the last packet to its first repetition. Each later interval is twice as long as the one before.
const REPEAT_AFTER: Duration = Duration::from_millis(50);
/// Repetitions of the last packet.
const REPEATS: u8 = 4;
/// A stream of which a packet below this number comes first is taken from its beginning.
const BEGINNING: u16 = 64;
/// Ticks of the RTP clock in a millisecond.
const TICKS: u128 = 90;

/// What the two ends of a stream of messages have agreed on, and the limits of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataSenderConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// The identifier of the header extension for transport-wide numbers, 1 to 255; `None` for packets without. Packets
    /// have the number 0, which whoever sends them writes over.
    pub transport_id: Option<u8>,
    /// Bytes of a packet at most, from the RTP header on.
    pub max_packet: usize,
    /// Bytes of a message at most.
    pub max_message: usize,
    /// Packets kept to be sent again; 0 for a stream of which nothing is sent again.
    pub history: usize,
}

impl DataSenderConfig {
    /// A stream of this SSRC whose losses are made good: [`DATA_PAYLOAD_TYPE`], no transport-wide numbers, packets of
    /// 1200 bytes, of which 1024 are kept, and messages of up to 64 KiB.
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            payload_type: DATA_PAYLOAD_TYPE,
            transport_id: None,
            max_packet: 1200,
            max_message: 64 << 10,
            history: 1024,
        }
    }

    /// The same with nothing sent again.
    pub fn best_effort(ssrc: u32) -> Self {
        Self { history: 0, ..Self::new(ssrc) }
    }
}

/// Sends one stream of messages: cuts them into packets, seals each packet, and answers requests for packets.
///
/// A receiver finds out that a packet is missing by a later one. So the last packet is repeated a few times, unless
/// another one follows it soon.
#[derive(Debug)]
pub struct DataSender {
    outgoing: Outgoing,
    max_message: usize,
    history: Option<SentPackets>,
    queue: VecDeque<Bytes>,
    last: Option<Repeat>,
    statistics: OutgoingStatistics,
}

/// The last packet, until it has been repeated often enough.
#[derive(Debug)]
struct Repeat {
    packet: Bytes,
    at: Time,
    interval: Duration,
    left: u8,
}

impl DataSender {
    /// A sender with the sealer of [`Context::data`].
    pub fn new(config: DataSenderConfig, sealer: Sealer) -> Self {
        let DataSenderConfig { ssrc, payload_type, transport_id, max_packet, max_message, history } = config;
        Self {
            outgoing: Outgoing::new(ssrc, payload_type, transport_id, max_packet, true, sealer),
            max_message,
            history: (history > 0).then(|| SentPackets::new(history)),
            queue: VecDeque::new(),
            last: None,
            statistics: OutgoingStatistics::default(),
        }
    }

    /// The counts since the start.
    pub fn statistics(&self) -> OutgoingStatistics {
        self.statistics
    }

    /// Goes on with the keys of another epoch, from the next message on.
    ///
    /// # Errors
    /// As [`SenderKeys::sealer`]; the keys are then the old ones.
    pub fn rekey(&mut self, keys: &mut SenderKeys, stream: u16) -> Result<(), SenderKeyError> {
        self.outgoing.set_sealer(keys.sealer(Context::data(stream))?);
        Ok(())
    }

    /// Takes a message, of any bytes or none, and sends it.
    ///
    /// # Errors
    /// [`SendError::Seal`], and [`SendError::Packetize`] for a message above [`DataSenderConfig::max_message`] or of more
    /// than 512 packets. Nothing of it is sent then.
    pub fn handle_message(&mut self, now: Time, message: &[u8]) -> Result<(), SendError> {
        let (size, room) = (message.len(), self.outgoing.room()?);
        if size > self.max_message || size > room.saturating_mul(MAX_PACKETS) {
            return Err(PacketizeError::TooLarge { size }.into());
        }
        let (number, queued) = (self.outgoing.next_number(), self.queue.len());
        if let Err(error) = self.cut(now, message, room) {
            self.outgoing.go_back(number);
            self.queue.truncate(queued);
            return Err(error);
        }
        self.statistics.frames += 1;
        for packet in self.queue.iter().skip(queued) {
            self.statistics.packets += 1;
            self.statistics.bytes += packet.len() as u64;
            if let Some(history) = &mut self.history {
                history.insert(now, packet.clone());
            }
        }
        if self.history.is_some() {
            self.last = self.queue.back().map(|packet| Repeat {
                packet: packet.clone(),
                at: now + REPEAT_AFTER,
                interval: REPEAT_AFTER,
                left: REPEATS,
            });
        }
        Ok(())
    }

    fn cut(&mut self, now: Time, message: &[u8], room: usize) -> Result<(), SendError> {
        let timestamp = (now.since_start().as_millis() * TICKS) as u32;
        let count = message.len().div_ceil(room).max(1);
        let mut rest = message;
        for index in 0..count {
            // Pieces of about the same size.
            let (piece, behind) = rest.split_at(rest.len().div_ceil(count - index));
            rest = behind;
            let (start, end) = (index == 0, index + 1 == count);
            let place = PayloadHeader { start, end, packetized: false }.to_byte();
            self.queue.push_back(self.outgoing.packet(end, timestamp, piece, Some(place))?);
        }
        Ok(())
    }

    /// Takes an RTCP packet of a receiver, or of the relay in between: what is to be sent again (NACK). What is asked of
    /// other SSRCs is passed over.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        let ssrc = self.outgoing.ssrc();
        for message in rtcp::read(packet) {
            match (message, &mut self.history) {
                (Ok(RtcpMessage::Nack { lost, media_ssrc, .. }), Some(history)) if media_ssrc == ssrc => {
                    for number in lost.iter().flat_map(|lost| lost.sequence_numbers()) {
                        for packet in history.resend(now, number) {
                            self.statistics.retransmissions += 1;
                            self.queue.push_back(packet.clone());
                        }
                    }
                }
                (Ok(_), _) => {}
                (Err(_), _) => self.statistics.malformed += 1,
            }
        }
    }

    /// The next packet to be sent at `now`, or how long there is none.
    pub fn poll(&mut self, now: Time) -> SenderOutput {
        if let Some(packet) = self.queue.pop_front() {
            return SenderOutput::Transmit(packet);
        }
        let Some(last) = &mut self.last else { return SenderOutput::Timeout(None) };
        if last.at > now {
            return SenderOutput::Timeout(Some(last.at));
        }
        self.statistics.retransmissions += 1;
        let packet = last.packet.clone();
        last.interval *= 2;
        last.at = now + last.interval;
        last.left -= 1;
        if last.left == 0 {
            self.last = None;
        }
        SenderOutput::Transmit(packet)
    }
}

/// What the two ends of a stream of messages have agreed on, and the patience of its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataReceiverConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// The receiver's own synchronization source, for its feedback.
    pub own_ssrc: u32,
    /// Bytes of a message at most. Larger ones are not put together.
    pub max_message: usize,
    /// Whether messages come in the order in which they were sent. A message then waits for those before it; if not, it
    /// comes as soon as it is whole.
    pub ordered: bool,
    /// Whether missing packets are asked for.
    pub repair: bool,
    /// How long a packet that is missing is waited for, once a later one came.
    pub give_up: Duration,
    /// How long a packet waits for the key that it is sealed with.
    pub key_wait: Duration,
    /// The round-trip time to whoever sends packets again, before it has been measured.
    pub round_trip: Duration,
}

impl DataReceiverConfig {
    /// A stream of this SSRC in order, whose losses are made good: messages of up to 64 KiB, 5 s of waiting for packets
    /// and 2 s for keys, and a round trip of 100 ms.
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            own_ssrc: 1,
            max_message: 64 << 10,
            ordered: true,
            repair: true,
            give_up: Duration::from_secs(5),
            key_wait: Duration::from_secs(2),
            round_trip: Duration::from_millis(100),
        }
    }

    /// The same without asking for packets: missing ones are waited for 30 ms, as others may have overtaken them.
    pub fn best_effort(ssrc: u32) -> Self {
        Self { repair: false, give_up: Duration::from_millis(30), ..Self::new(ssrc) }
    }
}

/// What a receiver of messages has for the program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataOutput {
    /// A message.
    Message(Bytes),
    /// An RTCP packet to be sent to the relay or the sender.
    Transmit(Bytes),
    /// Packets were lost for good, and with them the messages that they are of: in an ordered stream those between the
    /// message before and the one behind.
    Lost {
        /// How many packets.
        packets: u64,
    },
    /// Something that came and is no packet of the stream.
    Refused(Refused),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// A packet of a message.
#[derive(Debug)]
struct Piece {
    /// Of its key. No message goes on from one epoch to another.
    epoch: u64,
    start: bool,
    end: bool,
    bytes: BytesMut,
}

/// Receives one stream of messages: opens packets, puts them together, and asks for those that are missing.
///
/// ```
/// use layercast::Time;
/// use layercast::e2ee::{Agreement, Context, KeyRing, Opener, SenderKeys};
/// use layercast::session::*;
///
/// let agreement = Agreement::default();
/// let mut keys = SenderKeys::fresh(agreement, 1, 0)?; // A call has them from `mls::Group::sender_keys`.
/// let mut sender = DataSender::new(DataSenderConfig::new(8), keys.sealer(Context::data(0))?);
/// let mut ring = KeyRing::new(agreement, std::time::Duration::from_secs(5));
/// ring.add(Time::ZERO, keys.grant().clone());
/// let opener = Opener::new(agreement, 1, Context::data(0));
/// let mut receiver = DataReceiver::new(DataReceiverConfig::new(8), opener, ring);
///
/// let now = Time::ZERO;
/// sender.handle_message(now, &[7; 5000])?;
/// while let SenderOutput::Transmit(packet) = sender.poll(now) {
///     receiver.handle_packet(now, packet); // In a call the network is in between.
/// }
/// let mut messages = vec![];
/// loop {
///     match receiver.poll(now) {
///         DataOutput::Message(message) => messages.push(message),
///         DataOutput::Transmit(feedback) => sender.handle_feedback(now, &feedback),
///         DataOutput::Timeout(_) => break,
///         _ => {}
///     }
/// }
/// assert_eq!(messages, [vec![7; 5000]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DataReceiver {
    config: DataReceiverConfig,
    incoming: Incoming,
    sequence: Sequence<Piece>,
    round_trip: RoundTrip,
    /// From the number sealed with a packet to its sequence number: a relay may have changed those.
    offset: u16,
    messages: u64,
    abandoned: u64,
    /// Kept so that packets do not allocate.
    missing: Vec<u16>,
}

/// What there is of a message, from a packet on.
enum Run {
    /// Packets that make a message.
    Whole(usize),
    /// Packets of which no message is going to be made.
    Broken(usize),
    /// Packets of a message that others may still complete.
    Open(usize),
}

impl DataReceiver {
    /// A receiver with the opener of [`Context::data`] and the keys.
    pub fn new(config: DataReceiverConfig, opener: Opener, keys: KeyRing) -> Self {
        let nack = NackConfig {
            retry_after: config.round_trip * 3 / 4,
            give_up: config.give_up,
            // Their number is bounded by the time.
            max_requests: if config.repair { u8::MAX } else { 0 },
            ..NackConfig::default()
        };
        Self {
            config,
            incoming: Incoming::new(config.ssrc, true, opener, keys, config.key_wait),
            sequence: Sequence::new(nack, BEGINNING),
            round_trip: RoundTrip::new(),
            offset: 0,
            messages: 0,
            abandoned: 0,
            missing: Vec::new(),
        }
    }

    /// The counts since the start.
    pub fn statistics(&self) -> IncomingStatistics {
        let (frames, abandoned) = (self.messages, self.abandoned);
        let packets = ReassemblerStatistics { frames, abandoned, ..self.sequence.statistics() };
        IncomingStatistics { round_trip: self.round_trip.smoothed(), ..self.incoming.statistics(packets) }
    }

    /// The keys, to which those of a new epoch are added. Packets that wait for them are opened at the next poll.
    pub fn keys_mut(&mut self) -> &mut KeyRing {
        self.incoming.keys_mut()
    }

    /// Ends the receiver, and gives back the opener, which knows what it has opened: another receiver of the same stream
    /// goes on with it.
    pub fn into_opener(self) -> Opener {
        self.incoming.into_opener()
    }

    /// Takes a measurement of the round-trip time to whoever sends packets again, such as that of ICE. Retransmissions
    /// are measured anyway.
    pub fn handle_round_trip(&mut self, round_trip: Duration) {
        self.round_trip.measure(round_trip);
        self.adapt();
    }

    /// Takes an RTP packet of the stream, as it came. What is wrong with one is told by [`DataOutput::Refused`]; those
    /// that came twice or too late are counted only, and those of another SSRC are passed over.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
        let header = RtpPacket::read(&packet).ok().map(|packet| packet.header);
        if let Some(header) = header.filter(|header| header.ssrc == self.config.ssrc) {
            self.round_trip.handle_arrival(now, header.sequence_number);
            self.adapt();
        }
        if let Some(opened) = self.incoming.handle_packet(now, packet) {
            self.insert(now, opened);
        }
    }

    /// What there is to take, to send or to tell at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> DataOutput {
        while let Some(opened) = self.incoming.poll(now) {
            self.insert(now, opened);
        }
        if let Some(refused) = self.incoming.pop_refused() {
            return DataOutput::Refused(refused);
        }
        self.sequence.tick(now);
        loop {
            if let Some(packets) = self.sequence.pop_lost() {
                return DataOutput::Lost { packets };
            }
            let Some((packets, whole)) = self.next_message() else { break };
            if let Some(message) = self.take(packets, whole) {
                return DataOutput::Message(message);
            }
        }
        self.ask(now).unwrap_or_else(|| {
            let timeouts = [self.sequence.next_timeout(), self.incoming.next_timeout()];
            DataOutput::Timeout(timeouts.into_iter().flatten().min())
        })
    }

    fn adapt(&mut self) {
        if let Some(timeout) = self.round_trip.timeout() {
            self.sequence.set_retry_after(retry_after(timeout));
        }
    }

    fn insert(&mut self, now: Time, opened: Opened) {
        let Opened { number, sequence_number, mut body, size, .. } = opened;
        let Some((&place, piece)) = body.split_last() else {
            return self.incoming.refuse(Refused::Frame(OpenError::Unlabelled));
        };
        let (length, PayloadHeader { start, end, .. }) = (piece.len(), PayloadHeader::from_byte(place));
        body.truncate(length);
        let piece = Piece { epoch: number.epoch, start, end, bytes: body };
        if self.sequence.insert(now, number, piece, size) {
            self.offset = sequence_number.wrapping_sub(number.number);
        }
    }

    /// The packets that can be taken out, and whether they make a message.
    fn next_message(&self) -> Option<(Range<usize>, bool)> {
        let slots = self.sequence.slots();
        let mut at = 0;
        while at < slots.len() {
            match (&slots[at], self.config.ordered) {
                (Slot::Here(..), ordered) => match self.run(at) {
                    Run::Whole(count) => return Some((at..at + count, true)),
                    Run::Broken(count) => return Some((at..at + count, false)),
                    Run::Open(_) if ordered => return None,
                    Run::Open(count) => at += count,
                },
                (Slot::Missing(_), true) => return None,
                _ => at += 1,
            }
        }
        None
    }

    /// What there is of a message from the packet at `first` on.
    fn run(&self, first: usize) -> Run {
        let (mut size, mut epoch) = (0, None);
        for (count, slot) in self.sequence.slots().range(first..).enumerate() {
            match slot {
                Slot::Here(piece, _) => {
                    if piece.start != (count == 0) || piece.epoch != *epoch.get_or_insert(piece.epoch) {
                        return Run::Broken(count.max(1));
                    }
                    size += piece.bytes.len();
                    if size > self.config.max_message {
                        return Run::Broken(count + 1);
                    }
                    if piece.end {
                        return Run::Whole(count + 1);
                    }
                }
                Slot::Missing(_) => return Run::Open(count),
                Slot::Lost | Slot::Taken => return Run::Broken(count),
            }
        }
        Run::Open(self.sequence.slots().len() - first)
    }

    /// Takes packets out, and gives the message that they make.
    fn take(&mut self, packets: Range<usize>, whole: bool) -> Option<Bytes> {
        let count = packets.len();
        let mut pieces = packets.filter_map(|at| self.sequence.take(at));
        if !whole {
            let mut abandoned = 0;
            pieces.for_each(|piece| abandoned += u64::from(piece.start));
            self.abandoned += abandoned;
            return None;
        }
        let first = pieces.next()?.bytes;
        let message = if count == 1 {
            first
        } else {
            let mut message = BytesMut::with_capacity((first.len() * count).min(self.config.max_message));
            message.extend_from_slice(&first);
            pieces.for_each(|piece| message.extend_from_slice(&piece.bytes));
            message
        };
        self.messages += 1;
        Some(message.freeze())
    }

    /// Asks for the packets that are missing.
    fn ask(&mut self, now: Time) -> Option<DataOutput> {
        self.sequence.nacks(now, &mut self.missing);
        if self.missing.is_empty() {
            return None;
        }
        self.missing.iter_mut().for_each(|number| *number = number.wrapping_add(self.offset));
        self.round_trip.handle_request(now, &self.missing);
        let DataReceiverConfig { ssrc: media_ssrc, own_ssrc: sender_ssrc, .. } = self.config;
        let lost = Lost::of(self.missing.iter().copied());
        let mut packet = BytesMut::new();
        rtcp::write(&[RtcpMessage::Nack { sender_ssrc, media_ssrc, lost }], &mut packet)
            .expect("a message that can be written, into a buffer that grows");
        Some(DataOutput::Transmit(packet.freeze()))
    }
}
