//! The receiving end of a video stream.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::held::{self, HeldFrames};
use super::playout::Playout;
use super::{DESCRIPTOR_ID, PAYLOAD_TYPE, TRANSPORT_ID, payload_format};
use crate::Time;
use crate::congestion::{FeedbackConfig, ReceivePath};
#[cfg(feature = "decoder")]
use crate::decoder::{DecodeError, DecodedPicture, Decoder, DecoderConfig};
use crate::e2ee::{KeyRing, OpenError, VideoOpener};
#[cfg(feature = "decoder")]
use crate::picture::{Colours, Picture};
use crate::rtp::fec::{FecError, Recoverer};
use crate::rtp::frame_buffer::DropReason;
use crate::rtp::payload::opaque;
use crate::rtp::reassembler::{Abandoned, Accepted, NackConfig, REPEAT, Rejected, retry_after};
use crate::rtp::reporter::ReceiverReports;
use crate::rtp::round_trip::RoundTrip;
use crate::rtp::rtcp::{self, Lost, RtcpMessage};
use crate::rtp::{
    DecodableUnit, FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame, Reassembler,
    ReassemblerConfig, ReassemblerEvent, ReassemblerStatistics, ReceivedFrame, RtpHeader, RtpPacket,
    SentPackets,
};
use crate::structure::{DecodeTarget, Refresh};

/// A frame is waited for as long as this at least: a sender may be busy with a picture when it is asked.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// One of the lowest layer's chain is waited for as long as this at least.
const MIN_GIVE_UP: Duration = Duration::from_millis(300);

/// What the two ends of a stream have agreed on, and what the receiver shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoReceiverConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// Identifier of the transport-wide number's header extension, 1 to 255. Packets that carry one are answered.
    /// `None` if that is done elsewhere, such as by a [`ReceivePath`] that several receivers share.
    pub transport_id: Option<u8>,
    /// Synchronization source of the parity packets. A receiver takes them if they come.
    pub fec_ssrc: u32,
    /// Whether sealed frames travel as browsers send and take them: see [`opaque`](crate::rtp::payload::opaque). The
    /// keys' agreement then says [`Binding::Page`](crate::e2ee::Binding::Page).
    pub opaque: bool,
    /// The receiver's own synchronization source, for its feedback.
    pub own_ssrc: u32,
    /// The most that is shown: layers above it are dropped if they come. Behind a relay that chooses layers by the window, it is
    /// the highest decode target of the stream, and need not follow the window.
    pub target: DecodeTarget,
    /// How long a picture is held back at most, so that pictures follow each other as they were captured although some
    /// come late; 0 to show each as soon as it can be decoded.
    pub max_delay: Duration,
    /// How long a frame waits for the key that it is sealed with.
    pub key_wait: Duration,
    /// How long a packet is asked for and its frame is waited for at most, before a key picture is all that helps. On a
    /// fast path it is five round trips, and a refresh is asked for after half that time.
    pub give_up: Duration,
    /// The round-trip time to whoever sends packets again, before it has been measured.
    pub round_trip: Duration,
}

impl VideoReceiverConfig {
    /// A stream of this SSRC: [`PAYLOAD_TYPE`], [`DESCRIPTOR_ID`], [`TRANSPORT_ID`], pictures as soon as they can be
    /// decoded, 2 s of waiting for keys and 1 s for packets, and a round trip of 100 ms.
    pub fn new(ssrc: u32, target: DecodeTarget) -> Self {
        Self {
            ssrc,
            payload_type: PAYLOAD_TYPE,
            descriptor_id: DESCRIPTOR_ID,
            transport_id: Some(TRANSPORT_ID),
            fec_ssrc: ssrc.wrapping_add(1),
            opaque: false,
            own_ssrc: 1,
            target,
            max_delay: Duration::ZERO,
            key_wait: Duration::from_secs(2),
            give_up: Duration::from_secs(1),
            round_trip: Duration::from_millis(100),
        }
    }
}

/// A decoded picture.
#[cfg(feature = "decoder")]
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShownPicture {
    /// The samples.
    pub picture: Picture,
    /// RTP timestamp: the time of capture, in ticks of 90 kHz from an origin of the sender's.
    pub timestamp: u32,
    /// The decode target that it was decoded for: below the wanted one while that is inactive or broken. A single
    /// picture may be smaller than its target, if its upper layer was lost and no other picture needs that.
    pub target: DecodeTarget,
    /// What the samples mean, as the sender says.
    pub colours: Colours,
}

/// Something that came and is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// A packet that is none of the stream's.
    #[error("packet: {0}")]
    Packet(Rejected),
    /// A parity packet that is of no use.
    #[error("parity packet: {0}")]
    Parity(FecError),
    /// A frame that its sender did not seal so.
    #[error("frame: {0}")]
    Frame(OpenError),
    /// A frame that is not going to be whole.
    #[error("frame: {0}")]
    Abandoned(Abandoned),
    /// A frame that cannot be decoded, since others are missing.
    #[error("frame: {0}")]
    Dropped(DropReason),
    /// A temporal unit that the decoder refuses. A key picture is asked for.
    #[cfg(feature = "decoder")]
    #[error("decoder: {0}")]
    Decode(DecodeError),
}

/// What a receiver has for the program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "it is moved once")]
#[non_exhaustive]
pub enum ReceiverOutput {
    /// A picture to be shown now.
    #[cfg(feature = "decoder")]
    Picture(ShownPicture),
    /// A temporal unit to be decoded and shown now, if the receiver has no decoder.
    Unit(DecodableUnit),
    /// An RTCP packet to be sent to the relay or the sender.
    Transmit(Bytes),
    /// Something that came and is not shown.
    Refused(Refused),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// The counts of a receiver since its start, and what it measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReceiverStatistics {
    /// The counts of packets and frames.
    pub packets: ReassemblerStatistics,
    /// Temporal units given out, decoded or not.
    pub units: u64,
    /// Refreshes asked for.
    pub refreshes: u64,
    /// Packets that were made of parity packets before they came.
    pub recovered: u64,
    /// Frames that were opened only after their key had come.
    pub held: u64,
    /// The round-trip time to whoever sends packets again, once it is measured.
    pub round_trip: Option<Duration>,
    /// How long pictures are held back now, above the fastest path.
    pub delay: Duration,
}

/// Receives one video stream: puts packets together, opens, orders and decodes frames, and asks for what is missing.
pub struct VideoReceiver {
    config: VideoReceiverConfig,
    reassembler: Reassembler,
    /// Once the first parity packet has come.
    recoverer: Option<Recoverer>,
    opener: Option<(VideoOpener, KeyRing)>,
    held: HeldFrames,
    /// Whether keys may have come since the held frames were tried.
    new_keys: bool,
    buffer: FrameBuffer,
    path: Option<ReceivePath>,
    reports: ReceiverReports,
    round_trip: RoundTrip,
    playout: Playout,
    /// Units and when they are due, in order.
    due: VecDeque<(Time, DecodableUnit)>,
    #[cfg(feature = "decoder")]
    decoder: Option<Decoder>,
    outputs: VecDeque<ReceiverOutput>,
    /// Refreshes asked for, modulo 256.
    requests: u8,
    statistics: ReceiverStatistics,
    /// Kept so that packets do not allocate.
    missing: Vec<u16>,
    /// When the last request for packets is made once more.
    repeat_at: Option<Time>,
}

impl VideoReceiver {
    /// A receiver with a decoder of its own. Without an opener and keys it takes a stream in the clear.
    ///
    /// # Errors
    /// [`DecodeError`], if no decoder can be made.
    #[cfg(feature = "decoder")]
    pub fn new(
        config: VideoReceiverConfig,
        opener: Option<(VideoOpener, KeyRing)>,
    ) -> Result<Self, DecodeError> {
        let decoder = Decoder::new(DecoderConfig::default())?;
        Ok(Self { decoder: Some(decoder), ..Self::without_decoder(config, opener) })
    }

    /// A receiver that gives out temporal units for another decoder.
    pub fn without_decoder(config: VideoReceiverConfig, opener: Option<(VideoOpener, KeyRing)>) -> Self {
        let format = payload_format(opener.is_some(), config.opaque);
        let reassembler = ReassemblerConfig::new(format, config.descriptor_id);
        let mut receiver = Self {
            config,
            reassembler: Reassembler::new(reassembler),
            recoverer: None,
            opener,
            held: HeldFrames::new(config.key_wait),
            new_keys: false,
            buffer: FrameBuffer::new(FrameBufferConfig::default(), config.target),
            path: config
                .transport_id
                .map(|id| ReceivePath::new(id, FeedbackConfig::new(config.own_ssrc, config.ssrc))),
            reports: ReceiverReports::default(),
            round_trip: RoundTrip::new(),
            playout: Playout::new(config.max_delay),
            due: VecDeque::new(),
            #[cfg(feature = "decoder")]
            decoder: None,
            outputs: VecDeque::new(),
            requests: 0,
            statistics: ReceiverStatistics::default(),
            missing: Vec::new(),
            repeat_at: None,
        };
        receiver.set_waiting(config.round_trip * 3 / 2);
        receiver
    }

    /// The counts since the start.
    pub fn statistics(&self) -> ReceiverStatistics {
        ReceiverStatistics {
            packets: self.reassembler.statistics(),
            round_trip: self.round_trip.smoothed(),
            delay: self.playout.delay(),
            ..self.statistics
        }
    }

    /// The keys, to which those of a new epoch are added. Frames that wait for them are opened at the next poll. `None`
    /// for a stream in the clear.
    pub fn keys_mut(&mut self) -> Option<&mut KeyRing> {
        self.new_keys = true;
        self.opener.as_mut().map(|(_, keys)| keys)
    }

    /// Ends the receiver, and gives back the opener, which knows what it has opened: another receiver of the same stream
    /// goes on with it. `None` for a stream in the clear.
    pub fn into_opener(self) -> Option<VideoOpener> {
        self.opener.map(|(opener, _)| opener)
    }

    /// Sets the layers to be shown, from the next picture on.
    pub fn set_target(&mut self, target: DecodeTarget) {
        self.buffer.set_target(target);
    }

    /// The layers to be shown.
    pub fn target(&self) -> DecodeTarget {
        self.buffer.target()
    }

    /// Takes a measurement of the round-trip time to whoever sends packets again, such as that of ICE. Retransmissions
    /// are measured anyway.
    pub fn handle_round_trip(&mut self, round_trip: Duration) {
        self.round_trip.measure(round_trip);
        self.adapt();
    }

    /// The program's own decoder refuses a [`ReceiverOutput::Unit`]: what is left of the stream refers to what the decoder has
    /// forgotten, and a key picture is asked for. A receiver with a decoder does so by itself.
    pub fn handle_decode_error(&mut self, now: Time) {
        self.due.clear();
        self.buffer.restart(now);
    }

    /// Holds pictures back by this at least, such as to show them with sound that comes later.
    pub fn set_min_delay(&mut self, min_delay: Duration) {
        self.playout.set_min_delay(min_delay);
    }

    /// Takes a packet of the path as it came: RTP, parity packets among it, or a sender's RTCP (RFC 5761, section 4,
    /// tells them apart). What is wrong with one of the stream is told by [`ReceiverOutput::Refused`]; those that came
    /// twice or too late are counted only. Of those of another SSRC, such as padding, it is only told that they
    /// arrived.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
        if rtcp::is_rtcp(&packet) {
            return self.handle_rtcp(now, &packet);
        }
        if let Some(path) = &mut self.path {
            path.handle_packet(now, &packet);
        }
        let rtp = RtpPacket::read(&packet).ok();
        // One without payload stands for another, of which parity packets were made.
        let is_empty = rtp.as_ref().is_some_and(|rtp| rtp.payload.is_empty());
        let header = rtp.map(|packet| packet.header);
        match header.as_ref().map(|header| header.ssrc) {
            Some(ssrc) if ssrc == self.config.fec_ssrc => self.handle_parity(&packet),
            Some(ssrc) if ssrc != self.config.ssrc => return,
            _ => {
                if let Some(recoverer) = self.recoverer.as_mut().filter(|_| !is_empty) {
                    recoverer.handle_packet(packet.clone());
                }
                self.take(now, header, packet);
            }
        }
        while let Some(packet) = self.recoverer.as_mut().and_then(Recoverer::poll) {
            self.recover(now, packet);
        }
    }

    fn handle_parity(&mut self, packet: &Bytes) {
        let VideoReceiverConfig { ssrc, transport_id, .. } = self.config;
        let recoverer = self.recoverer.get_or_insert_with(|| Recoverer::new(ssrc, transport_id));
        if let Err(error) = recoverer.handle_parity(packet) {
            self.refuse(Refused::Parity(error));
        }
    }

    /// Takes a packet that was made of others.
    fn recover(&mut self, now: Time, packet: Bytes) {
        if self.reassembler.push(now, packet.clone()).is_ok() {
            self.statistics.recovered += 1;
        }
        if let Some(recoverer) = &mut self.recoverer {
            recoverer.handle_packet(packet);
        }
    }

    fn take(&mut self, now: Time, header: Option<RtpHeader>, packet: Bytes) {
        if let Some(header) = &header {
            self.reports.handle_packet(now, header);
        }
        let sequence_number = header.map(|header| header.sequence_number);
        match self.reassembler.push(now, packet) {
            Ok(Accepted::Recovered) | Err(Rejected::Duplicate | Rejected::Late) => {
                if let Some(number) = sequence_number {
                    self.round_trip.handle_arrival(now, number);
                    self.adapt();
                }
            }
            Ok(_) => {}
            Err(rejected) => self.refuse(Refused::Packet(rejected)),
        }
    }

    /// Takes the sender reports: the round trip that the sender measures goes by them.
    fn handle_rtcp(&mut self, now: Time, packet: &[u8]) {
        for message in rtcp::read(packet) {
            match message {
                Ok(RtcpMessage::SenderReport { ssrc, info, .. }) if ssrc == self.config.ssrc => {
                    self.reports.handle_report(now, &info);
                }
                _ => {}
            }
        }
    }

    /// What there is to show, to send or to tell at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> ReceiverOutput {
        if self.outputs.is_empty() {
            self.open_held(now);
            self.receive(now);
            self.order(now);
            self.ask(now);
            self.report(now);
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        while self.due.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, unit)) = self.due.pop_front() else { break };
            self.statistics.units += 1;
            if let Some(output) = self.show(now, unit) {
                return output;
            }
        }
        ReceiverOutput::Timeout(self.next_timeout())
    }

    fn next_timeout(&self) -> Option<Time> {
        let due = self.due.front().map(|(due, _)| *due);
        let machines =
            [self.reassembler.next_timeout(), self.buffer.next_timeout(), self.held.next_timeout()];
        let path = self.path.as_ref().and_then(ReceivePath::next_timeout);
        machines.into_iter().chain([due, path, self.reports.next_timeout(), self.repeat_at]).flatten().min()
    }

    fn refuse(&mut self, refused: Refused) {
        self.outputs.push_back(ReceiverOutput::Refused(refused));
    }

    /// Sets all that depends on the round-trip time.
    fn adapt(&mut self) {
        if let Some(timeout) = self.round_trip.timeout() {
            self.set_waiting(timeout);
        }
    }

    /// A retransmission takes this long if nothing is lost. A packet is asked for four times in that time. A frame is waited
    /// for until two retransmissions have failed; the lowest layer's chain, without which nothing can be shown, as long again.
    fn set_waiting(&mut self, retransmission: Duration) {
        let give_up = (retransmission * 5).max(MIN_GIVE_UP).min(self.config.give_up);
        let nack = NackConfig { retry_after: retry_after(retransmission), give_up, ..NackConfig::default() };
        self.reassembler.set_nack(nack);
        let wait = (retransmission * 5 / 2).max(MIN_WAIT).min(give_up);
        self.buffer.set_config(FrameBufferConfig {
            give_up,
            refresh_after: wait,
            skip_after: wait,
            request_interval: wait,
            ..FrameBufferConfig::default()
        });
    }

    /// Opens the frames whose keys may have come, and gives up those that waited too long.
    fn open_held(&mut self, now: Time) {
        if std::mem::take(&mut self.new_keys) {
            let keys = self.opener.as_ref().map(|(_, keys)| keys);
            for frame in self.held.take_known(|frame| is_known(now, keys, frame)) {
                self.statistics.held += 1;
                self.open(now, frame);
            }
        }
        while let Some(frame) = self.held.pop_expired(now) {
            self.open(now, frame);
        }
    }

    /// Takes the whole frames of the reassembler.
    fn receive(&mut self, now: Time) {
        while let Some(event) = self.reassembler.poll(now) {
            match event {
                ReassemblerEvent::Frame(frame) => {
                    let keys = self.opener.as_ref().map(|(_, keys)| keys);
                    let frame = match is_known(now, keys, &frame) {
                        true => Some(frame),
                        // If there is no room, the opener says what is wrong.
                        false => self.held.insert(now, frame),
                    };
                    if let Some(frame) = frame {
                        self.open(now, frame);
                    }
                }
                ReassemblerEvent::Abandoned { reason, .. } => self.refuse(Refused::Abandoned(reason)),
                // A relay can make this happen. Sealed frames tell by themselves in which order they are.
                ReassemblerEvent::Restarted if self.opener.is_some() => {}
                ReassemblerEvent::Restarted => {
                    self.buffer.reset();
                    self.playout.reset();
                }
            }
        }
    }

    fn open(&mut self, now: Time, received: ReceivedFrame) {
        let mut opened = match &mut self.opener {
            None => OpenedFrame::from(received),
            Some((opener, keys)) => match opener.open_received(now, keys, received) {
                Ok(frame) => {
                    if frame.starts_sequence {
                        self.reassembler.adopt(now, frame.structure.clone());
                    }
                    frame
                }
                Err(error) => return self.refuse(Refused::Frame(error)),
            },
        };
        if self.config.opaque {
            opaque::drop_delimiter(&mut opened.payload);
        }
        if let Err(reason) = self.buffer.insert(now, opened) {
            self.refuse(Refused::Dropped(reason));
        }
    }

    /// Takes what can be decoded out of the frame buffer, and asks for refreshes.
    fn order(&mut self, now: Time) {
        if let Some(settled) = self.reassembler.settled() {
            self.buffer.settle(self.held.settled(settled));
        }
        if self.reassembler.needs_structure() && self.held.len() == 0 {
            self.buffer.request_key_frame(now);
        }
        while let Some(event) = self.buffer.poll(now) {
            match event {
                FrameBufferEvent::Unit(unit) => {
                    if let Some(frame) = unit.frames.first() {
                        self.reassembler.pass(frame.frame_number);
                    }
                    let due = self.playout.handle_picture(now, unit.timestamp);
                    self.due.push_back((due, unit));
                }
                FrameBufferEvent::Refresh(refresh) => self.request(refresh),
                FrameBufferEvent::Dropped { reason: DropReason::NotNeeded, .. } => {}
                FrameBufferEvent::Dropped { reason, .. } => self.refuse(Refused::Dropped(reason)),
            }
        }
    }

    /// Asks for the packets that are missing.
    fn ask(&mut self, now: Time) {
        let next = self.reassembler.nacks(now, &mut self.missing);
        let repeats = self.repeat_at.is_some_and(|at| at <= now);
        if self.missing.is_empty() && next.is_none() && !repeats {
            return;
        }
        self.round_trip.handle_request(now, &self.missing);
        self.repeat_at = (!self.missing.is_empty()).then_some(now + REPEAT);
        self.reassembler.asked(now, SentPackets::INTERVAL, &mut self.missing);
        // It may not have been sent yet, so that its arrival measures nothing.
        self.missing.extend(next);
        if self.missing.is_empty() {
            return;
        }
        let lost = Lost::of(self.missing.iter().copied());
        self.send(RtcpMessage::Nack {
            sender_ssrc: self.config.own_ssrc,
            media_ssrc: self.config.ssrc,
            lost,
        });
    }

    /// Tells what has arrived.
    fn report(&mut self, now: Time) {
        while let Some(packet) = self.path.as_mut().and_then(|path| path.poll(now)) {
            self.outputs.push_back(ReceiverOutput::Transmit(packet));
        }
        if let Some(report) = self.reports.poll(now, self.config.own_ssrc, self.config.ssrc) {
            self.send(report);
        }
    }

    fn request(&mut self, refresh: Refresh) {
        self.statistics.refreshes += 1;
        self.requests = self.requests.wrapping_add(1);
        let VideoReceiverConfig { ssrc, payload_type, own_ssrc, .. } = self.config;
        let (number, target) = (self.requests, self.buffer.target());
        self.send(RtcpMessage::refresh(refresh, target, own_ssrc, ssrc, number, payload_type));
    }

    fn send(&mut self, message: RtcpMessage) {
        let mut packet = BytesMut::new();
        rtcp::write(&[message], &mut packet)
            .expect("a message that can be written, into a buffer that grows");
        self.outputs.push_back(ReceiverOutput::Transmit(packet.freeze()));
    }

    #[cfg(feature = "decoder")]
    fn show(&mut self, now: Time, unit: DecodableUnit) -> Option<ReceiverOutput> {
        let Some(decoder) = &mut self.decoder else { return Some(ReceiverOutput::Unit(unit)) };
        let DecodableUnit { timestamp, target, .. } = unit;
        // A sender may be hostile: it gets no more memory than its pictures need.
        decoder.set_layer_sizes(&unit.structure.resolutions);
        match decoder.decode(&unit.to_bytes(), timestamp.into()) {
            Ok(pictures) => pictures.into_iter().next_back().map(|decoded| {
                let DecodedPicture { picture, colours, .. } = decoded;
                ReceiverOutput::Picture(ShownPicture { picture, timestamp, target, colours })
            }),
            Err(error) => {
                self.handle_decode_error(now);
                Some(ReceiverOutput::Refused(Refused::Decode(error)))
            }
        }
    }

    #[cfg(not(feature = "decoder"))]
    fn show(&mut self, _: Time, unit: DecodableUnit) -> Option<ReceiverOutput> {
        Some(ReceiverOutput::Unit(unit))
    }
}

/// Whether the key of a frame is there, or none is needed.
fn is_known(now: Time, keys: Option<&KeyRing>, frame: &ReceivedFrame) -> bool {
    let sframe = frame.pieces.first().unwrap_or(&frame.payload);
    keys.is_none_or(|keys| held::is_known(now, keys, sframe))
}

impl std::fmt::Debug for VideoReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoReceiver")
            .field("target", &self.buffer.target())
            .field("held", &self.held.len())
            .field("due", &self.due.len())
            .field("statistics", &self.statistics())
            .finish_non_exhaustive()
    }
}
