//! The sending end of a video stream.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

#[cfg(feature = "encoder")]
use super::follow::Follow;
use super::redundancy::Redundancy;
use super::unsent::Unsent;
use super::{DESCRIPTOR_ID, FEC_PAYLOAD_TYPE, PAYLOAD_TYPE, TRANSPORT_ID, payload_format};
use crate::Time;
use crate::congestion::{
    FeedbackError, PacketClass, PathPacket, PathState, SendPath, SendPathConfig, SendPathOutput,
};
use crate::e2ee::{SealError, SealedUnit, SenderKeyError, SenderKeys, VideoSealer};
#[cfg(feature = "encoder")]
use crate::encoder::{EffortGovernor, EncodeError, EncodeOptions, SvcConfig, SvcEncoder};
#[cfg(feature = "encoder")]
use crate::picture::PictureView;
use crate::relay::RefreshRequests;
use crate::rtp::fec::{FecStream, Protector};
use crate::rtp::reporter::{self, SenderReports};
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::rtp::{
    Describer, DescriptorError, OutgoingFrame, PacketizeError, Packetizer, PacketizerConfig, Packets,
    ReportBlock, RtpPacket, SentPackets,
};
use crate::select::DemandMessage;
use crate::structure::{DecodeTargets, FramePlan, LayerId, PicturePlan, Refresh};

/// Of the number of a frame on the path: a packet that is sent again, a parity packet, and a frame of a key picture. The
/// bits below are the spatial layers that are broken without the frame.
const AGAIN: u64 = 1 << 31;
const PARITY: u64 = 1 << 30;
const KEY: u64 = 1 << 7;

/// What the two ends of a stream have agreed on, and the limits of its sender.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct VideoSenderConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// Identifier of the transport-wide number's header extension, 1 to 255; `None` for packets without, if the other
    /// end sends no transport-wide feedback, or the program's stack adds the number.
    pub transport_id: Option<u8>,
    /// How packets are paced, and how it is estimated what the path carries. `None` if packets are to come out at
    /// once: the program's stack does it, or the packets go over another sender's path.
    pub path: Option<SendPathConfig>,
    /// While the packets that wait would take longer than this at the estimate, or twice this together with those in the
    /// queues of the path, as far as its reports tell, pictures are left out.
    pub max_queue: Duration,
    /// Bytes of a packet at most, from the RTP header on.
    pub max_packet: usize,
    /// Whether sealed frames travel as browsers send and take them: see [`opaque`](crate::rtp::payload::opaque). The
    /// keys' agreement then says [`Binding::Page`](crate::e2ee::Binding::Page). Frames in the clear are the same in any
    /// case.
    pub opaque: bool,
    /// Packets kept to be sent again.
    pub history: usize,
    /// How much of the stream is protected by parity packets.
    pub redundancy: Redundancy,
    /// Synchronization source and payload type of the parity packets.
    pub fec: (u32, u8),
    /// Whether the encoder keeps to what the path carries, if the path is the sender's own: of the bitrate that
    /// [`SvcConfig::rate`] has, only the proportions of the layers count then, if it gives them one by one. Otherwise the
    /// encoder's configuration says what it keeps.
    #[cfg(feature = "encoder")]
    pub follow_path: bool,
    /// The most that the encoder takes of the path, in bit/s; `None` for [`SvcEncoder::highest_bitrate`].
    #[cfg(feature = "encoder")]
    pub max_bitrate: Option<u64>,
    /// The shortest time from one refresh on request to the next, however many receivers ask: a key picture costs as
    /// many bits as ten others.
    pub refresh_interval: Duration,
    /// Of the time from a picture to the next, the share that coding may take, 0.05 to 1, if the sender is told how long
    /// it takes ([`VideoSender::handle_encode_time`]).
    #[cfg(feature = "encoder")]
    pub coding_share: f64,
}

impl VideoSenderConfig {
    /// A stream of this SSRC: [`PAYLOAD_TYPE`], [`DESCRIPTOR_ID`], [`TRANSPORT_ID`], a path of its own, no picture while
    /// packets of 200 ms wait, packets of 1200 bytes, 4096 of them kept, no parity packets, those of the next SSRC with
    /// [`FEC_PAYLOAD_TYPE`], a refresh every 300 ms, and a share of coding of 0.45.
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            payload_type: PAYLOAD_TYPE,
            descriptor_id: DESCRIPTOR_ID,
            transport_id: Some(TRANSPORT_ID),
            path: Some(SendPathConfig::default()),
            max_queue: Duration::from_millis(200),
            max_packet: 1200,
            opaque: false,
            history: 4096,
            redundancy: Redundancy::None,
            fec: (ssrc.wrapping_add(1), FEC_PAYLOAD_TYPE),
            #[cfg(feature = "encoder")]
            follow_path: true,
            #[cfg(feature = "encoder")]
            max_bitrate: None,
            refresh_interval: Duration::from_millis(300),
            #[cfg(feature = "encoder")]
            coding_share: EffortGovernor::SHARE,
        }
    }
}

/// Why a picture was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The encoder refused its configuration or the picture.
    #[cfg(feature = "encoder")]
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The sender was made for frames of another encoder, and has none of its own.
    #[error("the sender has no encoder")]
    NoEncoder,
    /// The picture cannot be described, such as one of another size that is no key picture.
    #[error(transparent)]
    Describe(#[from] DescriptorError),
    /// A frame cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A frame cannot be put into packets.
    #[error(transparent)]
    Packetize(#[from] PacketizeError),
    /// There are more or fewer payloads than frames in the plan.
    #[error("{payloads} payloads for {frames} frames")]
    Payloads {
        /// Frames of the plan.
        frames: usize,
        /// Payloads given.
        payloads: usize,
    },
}

/// What a sender wants of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SenderOutput {
    /// A packet to be sent: RTP, or an RTCP report.
    Transmit(Bytes),
    /// The path carries about so many bit/s, of all its streams together. It is told when it changes by 5 %.
    Bitrate(u64),
    /// Packets of another stream that were handed in have waited too long and are gone: those of the frame of this
    /// number. If another [`VideoSender`] made them, it is to be told: [`VideoSender::handle_dropped`].
    Dropped(u64),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Time>),
}

/// The counts of a sender since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SenderStatistics {
    /// Pictures sent; those of which no layer is wanted do not count.
    pub pictures: u64,
    /// Of these, key pictures.
    pub key_pictures: u64,
    /// Pictures left out, since packets still waited to be sent.
    pub skipped: u64,
    /// Packets sent for the first time.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmissions: u64,
    /// Their bytes.
    pub retransmitted_bytes: u64,
    /// Parity packets sent.
    pub parity: u64,
    /// Their bytes.
    pub parity_bytes: u64,
    /// Refreshes that receivers asked for.
    pub refreshes: u64,
    /// Frames whose packets waited too long, so that some or all of them were not sent.
    pub dropped: u64,
    /// Bytes that came as feedback and are none.
    pub malformed: u64,
    /// The round-trip time to whoever receives the packets, by its last report.
    pub round_trip: Option<Duration>,
    /// Its last report.
    pub report: Option<ReportBlock>,
}

#[cfg(feature = "encoder")]
impl SenderStatistics {
    /// Bytes of all packets, with so many more for each.
    fn wire_bytes(&self, overhead: usize) -> u64 {
        let packets = self.packets + self.retransmissions + self.parity;
        self.bytes + self.retransmitted_bytes + self.parity_bytes + packets * overhead as u64
    }
}

/// Sends one video stream: codes, describes, seals and packetizes pictures, and answers the feedback of receivers.
pub struct VideoSender {
    #[cfg(feature = "encoder")]
    encoder: Option<Box<SvcEncoder>>,
    /// There is one once the sender is told how long coding takes.
    #[cfg(feature = "encoder")]
    governor: Option<EffortGovernor>,
    #[cfg(feature = "encoder")]
    coding_share: f64,
    /// The plan of the last picture, unless it was left out.
    #[cfg(feature = "encoder")]
    coded: Option<PicturePlan>,
    /// Whether it has not been told yet how long that took.
    #[cfg(feature = "encoder")]
    untimed: bool,
    ssrc: u32,
    describer: Describer,
    sealer: Option<VideoSealer>,
    packetizer: Packetizer,
    history: SentPackets,
    unsent: Unsent,
    redundancy: Redundancy,
    /// Of all packets, as last told and smoothed.
    loss: f64,
    protector: Protector,
    parity: Vec<Bytes>,
    requests: RefreshRequests,
    wanted: Option<DecodeTargets>,
    /// Timestamp of the time 0 (RFC 3550, section 5.1: random).
    first_timestamp: u32,
    /// Packets that come out at once: all of them if there is no path.
    queue: VecDeque<PathPacket>,
    path: Option<SendPath>,
    max_queue: Duration,
    #[cfg(feature = "encoder")]
    follow: Option<Follow>,
    reports: SenderReports,
    statistics: SenderStatistics,
    /// Kept so that frames do not allocate.
    packets: Packets,
    /// For each frame of the picture, how many packets it and those before it have.
    ends: Vec<usize>,
    sealed: BytesMut,
}

impl VideoSender {
    /// A sender with an encoder of its own. Without a sealer it sends in the clear.
    ///
    /// # Errors
    /// [`SendError::Encode`], if the encoder refuses its configuration.
    #[cfg(feature = "encoder")]
    pub fn new(
        config: VideoSenderConfig,
        encoder: SvcConfig,
        sealer: Option<VideoSealer>,
    ) -> Result<Self, SendError> {
        let encoder = SvcEncoder::new(encoder)?;
        let follows = config.follow_path && config.path.is_some();
        let follow = follows.then(|| Follow::new(config.max_bitrate));
        Ok(Self { encoder: Some(Box::new(encoder)), follow, ..Self::without_encoder(config, sealer) })
    }

    /// A sender of frames that another encoder codes, such as hardware, or that come from a file.
    pub fn without_encoder(config: VideoSenderConfig, sealer: Option<VideoSealer>) -> Self {
        let format = payload_format(sealer.is_some(), config.opaque);
        let VideoSenderConfig { ssrc, payload_type, transport_id, max_packet, .. } = config;
        let packetizer = PacketizerConfig {
            transport_id,
            max_packet,
            ..PacketizerConfig::new(format, config.descriptor_id, payload_type, ssrc)
        };
        let fec =
            FecStream { ssrc: config.fec.0, payload_type: config.fec.1, protected_ssrc: ssrc, transport_id };
        Self {
            #[cfg(feature = "encoder")]
            encoder: None,
            #[cfg(feature = "encoder")]
            governor: None,
            #[cfg(feature = "encoder")]
            coding_share: config.coding_share,
            #[cfg(feature = "encoder")]
            coded: None,
            #[cfg(feature = "encoder")]
            untimed: false,
            ssrc,
            describer: Describer::new(),
            sealer,
            packetizer: Packetizer::new(packetizer),
            history: SentPackets::new(config.history),
            unsent: Unsent::new(transport_id),
            redundancy: config.redundancy,
            loss: 0.0,
            protector: Protector::new(fec, RandomState::new().hash_one(ssrc) as u16 >> 1),
            parity: Vec::new(),
            requests: RefreshRequests::new(config.refresh_interval),
            wanted: None,
            first_timestamp: RandomState::new().hash_one(ssrc) as u32,
            queue: VecDeque::new(),
            path: config.path.map(|path| SendPath::new(path, transport_id)),
            max_queue: config.max_queue,
            #[cfg(feature = "encoder")]
            follow: None,
            reports: SenderReports::default(),
            statistics: SenderStatistics::default(),
            packets: Packets::new(),
            ends: Vec::new(),
            sealed: BytesMut::new(),
        }
    }

    /// The encoder, to change its quantizer, mode or colours. Receivers take another mode as they do another size of the
    /// pictures: with the next picture, which is a key picture.
    #[cfg(feature = "encoder")]
    pub fn encoder_mut(&mut self) -> Option<&mut SvcEncoder> {
        self.encoder.as_deref_mut()
    }

    /// What decides how much effort pictures are worth, and which layers there is no time for; `None` as long as nobody
    /// tells how long coding takes ([`handle_encode_time`](Self::handle_encode_time)).
    #[cfg(feature = "encoder")]
    pub fn governor(&self) -> Option<&EffortGovernor> {
        self.governor.as_ref()
    }

    /// What the last call of [`handle_picture`](Self::handle_picture) coded: the picture's layers, and whether it is a key
    /// picture. `None` before the first, and after a picture that was left out or not coded. The plan has no frames if
    /// nobody watches, or if the encoder left the picture out to keep its bitrate.
    #[cfg(feature = "encoder")]
    pub fn coded(&self) -> Option<&PicturePlan> {
        self.coded.as_ref()
    }

    /// The path, if it is the sender's own: its estimate, and what waits.
    pub fn path(&self) -> Option<&SendPath> {
        self.path.as_ref()
    }

    /// The same, to say how much the streams could use.
    pub fn path_mut(&mut self) -> Option<&mut SendPath> {
        self.path.as_mut()
    }

    /// All that is known of the path at `now`, if it is the sender's own.
    pub fn path_state(&mut self, now: Time) -> Option<PathState> {
        self.path.as_mut().map(|path| path.state(now))
    }

    /// The counts since the start.
    pub fn statistics(&self) -> SenderStatistics {
        self.statistics
    }

    /// Goes on with the keys of another epoch, from the next frame on. Does nothing in the clear.
    ///
    /// # Errors
    /// As [`SenderKeys::video`]; the keys are then the old ones.
    pub fn rekey(&mut self, keys: &mut SenderKeys, stream: u16) -> Result<(), SenderKeyError> {
        match &mut self.sealer {
            Some(sealer) => sealer.rekey(keys, stream),
            None => Ok(()),
        }
    }

    /// Sets the decode targets that somebody watches, as `select::Demand::wanted` tells them; `None` for all. Layers
    /// that none of them needs are neither coded nor sent. Of targets that the encoder's mode does not have, the nearest
    /// are coded ([`DecodeTargets::nearest`]): receivers learn of another mode only from what is sent.
    pub fn set_wanted(&mut self, wanted: Option<DecodeTargets>) {
        self.wanted = wanted;
    }

    /// The decode targets that somebody watches; `None` for all.
    pub fn wanted(&self) -> Option<DecodeTargets> {
        self.wanted
    }

    /// Does what a relay asks for on behalf of all receivers: sets the decode targets that somebody watches. The
    /// program hands in the messages about this stream.
    pub fn handle_demand(&mut self, message: &DemandMessage) {
        self.wanted = Some(message.demand.wanted());
        #[cfg(feature = "encoder")]
        if let Some(follow) = &mut self.follow {
            follow.limits =
                message.demand.layers().iter().map(|layer| (layer.target, layer.bitrate)).collect();
        }
    }

    /// Sets how much of the stream is protected by parity packets, from the next picture on.
    pub fn set_redundancy(&mut self, redundancy: Redundancy) {
        self.redundancy = redundancy;
    }

    /// Takes the share of packets that the path loses, 0 to 1, for [`Redundancy::Adaptive`]. Receiver reports tell it
    /// anyway.
    pub fn handle_loss(&mut self, loss: f64) {
        self.loss += (loss.clamp(0.0, 1.0) - self.loss) / 4.0;
    }

    /// Takes a packet of another stream of the same path, such as audio, so that both are paced and numbered together.
    /// Without a path it comes out at once.
    pub fn handle_packet(&mut self, now: Time, packet: PathPacket) {
        #[cfg(feature = "encoder")]
        if let Some(follow) = &mut self.follow {
            follow.others.add(packet.packet.len());
        }
        match &mut self.path {
            Some(path) => path.handle_packet(now, packet),
            None => self.queue.push_back(packet),
        }
    }

    /// The next packet of a sender without a path, for the path of another sender
    /// ([`handle_packet`](Self::handle_packet)). A program that does so still polls for the timeout.
    pub fn next_packet(&mut self) -> Option<PathPacket> {
        self.queue.pop_front()
    }

    /// Takes the number of a frame that another sender's path has dropped ([`SenderOutput::Dropped`]). What is broken
    /// without it is coded anew, and on a path of its own packets without payload take the place of those that are never sent.
    /// Numbers of other streams are passed over.
    pub fn handle_dropped(&mut self, now: Time, frame: u64) {
        if frame >> 32 == u64::from(self.ssrc) && frame & (AGAIN | PARITY) == 0 {
            self.statistics.dropped += 1;
            let broken = (0..4u8).filter(|spatial_id| frame >> spatial_id & 1 != 0);
            let refresh = if frame & KEY != 0 { Refresh::KEY } else { Refresh::layers(broken) };
            self.requests.handle_request(refresh);
            let Some(path) = &mut self.path else { return };
            for (number, packet) in self.unsent.take(frame) {
                if self.history.contains(number) {
                    continue;
                }
                // Whoever loses it asks for it, as for any other.
                self.history.insert(now, packet.clone());
                let class = PacketClass::Retransmission;
                path.handle_packet(now, PathPacket { class, frame: frame | AGAIN, packet });
            }
        }
    }

    /// Takes a picture that was captured at `now`, codes and sends it; or leaves it out, if the path is behind. Pictures
    /// may have any size that [`SvcEncoder::encode`] takes; another one than the last is sent as a key picture.
    ///
    /// # Errors
    /// [`SendError`]. After [`SendError::Encode`] the sender is as it was.
    #[cfg(feature = "encoder")]
    pub fn handle_picture(&mut self, now: Time, picture: &PictureView<'_>) -> Result<(), SendError> {
        self.coded = None;
        if self.is_behind(now) {
            self.statistics.skipped += 1;
            return Ok(());
        }
        let refresh = self.next_refresh(now);
        let encoder = self.encoder.as_mut().ok_or(SendError::NoEncoder)?;
        if let (Some(follow), Some(path)) = (&mut self.follow, &mut self.path) {
            follow.follow(now, path, self.statistics.wire_bytes(path.overhead()), encoder)?;
        }
        let structure = encoder.config().mode.structure();
        let mut wanted = self.wanted.map(|wanted| wanted.nearest(structure));
        if let Some(governor) = &mut self.governor {
            wanted = governor.decide(now, wanted);
            encoder.set_speeds(governor.speeds())?;
        }
        let unit = match encoder.encode(picture, now, EncodeOptions { refresh, wanted }) {
            Ok(unit) => unit,
            Err(error) => {
                self.requests.handle_request(refresh);
                return Err(error.into());
            }
        };
        if let Some(follow) = &mut self.follow {
            follow.frames.add(unit.frames.iter().map(|frame| frame.data.len()).sum());
        }
        self.handle_coded(now, &unit.plan, unit.frames.iter().map(|frame| &frame.data[..]))?;
        (self.coded, self.untimed) = (Some(unit.plan), true);
        Ok(())
    }

    /// Takes how long the last call of [`handle_picture`](Self::handle_picture) took, and how long it is from that picture
    /// to the next one of the camera, such as 1/30 s. The sender reads no clock, so the program measures it.
    ///
    /// From the first call on an [`EffortGovernor`] adapts the effort to the machine: if pictures take too long, they are
    /// coded at faster speeds, and if these do not suffice, layers that somebody watches are left out, the highest temporal
    /// layer first. The speed in the encoder's configuration is the slowest. A program that never calls this has constant
    /// speeds, and all layers that are watched. Nothing is learned from pictures that were left out.
    #[cfg(feature = "encoder")]
    pub fn handle_encode_time(&mut self, took: Duration, interval: Duration) {
        let (Some(encoder), Some(plan)) = (&self.encoder, &self.coded) else { return };
        if !std::mem::take(&mut self.untimed) {
            return;
        }
        let (slowest, share) = (encoder.config().speed, self.coding_share);
        let governor = self.governor.get_or_insert_with(|| EffortGovernor::new(slowest, share));
        governor.handle_picture(plan, took, interval);
    }

    /// Whether packets wait for so long, here or in the queues of the path, that another encoder should leave the next
    /// picture out: it would come late, and all that follow with it.
    pub fn is_behind(&mut self, now: Time) -> bool {
        self.path.as_mut().is_some_and(|path| {
            let ahead = path.state(now).queueing_delay.unwrap_or_default();
            let waits = path.queued_time();
            waits > self.max_queue || waits + ahead > self.max_queue * 2
        })
    }

    /// The layers that another encoder is to code anew with its next picture. It is told once.
    pub fn next_refresh(&mut self, now: Time) -> Refresh {
        self.requests.poll(now).unwrap_or(Refresh::NONE)
    }

    /// Takes a picture that was captured at `now` and coded as `plan` has it. `payloads` are the OBUs of its frames in
    /// the plan's order, without temporal delimiters.
    ///
    /// # Errors
    /// [`SendError`]. No packet of the picture is sent then, and the next one should be a key picture.
    pub fn handle_coded<'a>(
        &mut self,
        now: Time,
        plan: &PicturePlan,
        payloads: impl ExactSizeIterator<Item = &'a [u8]>,
    ) -> Result<(), SendError> {
        if payloads.len() != plan.frames.len() {
            return Err(SendError::Payloads { frames: plan.frames.len(), payloads: payloads.len() });
        }
        let timestamp = self.timestamp(now);
        if let Err(error) = self.packetize(plan, payloads, timestamp) {
            self.packets.clear();
            return Err(error);
        }
        self.statistics.pictures += u64::from(!plan.frames.is_empty());
        self.statistics.key_pictures += u64::from(plan.key);
        if self.redundancy.protects(self.loss, plan) {
            self.protector.protect(self.packets.iter(), &mut self.parity);
        }
        let mut ends = self.ends.iter().zip(&plan.frames).peekable();
        for (at, packet) in self.packets.drain().enumerate() {
            while ends.next_if(|(end, _)| **end <= at).is_some() {}
            let Some((_, frame)) = ends.peek() else { break };
            let is_base = frame.layer == LayerId::default();
            let class = if is_base { PacketClass::Base } else { PacketClass::Media };
            let packet = PathPacket { class, frame: path_frame(self.ssrc, plan.key, frame), packet };
            match &mut self.path {
                Some(path) => {
                    self.unsent.insert(packet.frame, &packet.packet);
                    path.handle_packet(now, packet);
                }
                None => {
                    self.history.insert(now, packet.packet.clone());
                    count(now, &packet, &mut self.reports, &mut self.statistics);
                    self.queue.push_back(packet);
                }
            }
        }
        for packet in self.parity.drain(..) {
            let frame = u64::from(self.ssrc) << 32 | PARITY | u64::from(plan.picture_number as u16);
            let packet = PathPacket { class: PacketClass::Media, frame, packet };
            match &mut self.path {
                Some(path) => path.handle_packet(now, packet),
                None => {
                    count(now, &packet, &mut self.reports, &mut self.statistics);
                    self.queue.push_back(packet);
                }
            }
        }
        Ok(())
    }

    fn packetize<'a>(
        &mut self,
        plan: &PicturePlan,
        payloads: impl Iterator<Item = &'a [u8]>,
        timestamp: u32,
    ) -> Result<(), SendError> {
        let descriptors = self.describer.describe(plan)?;
        let count = descriptors.len();
        self.ends.clear();
        for (index, (descriptor, payload)) in descriptors.iter().zip(payloads).enumerate() {
            let mut frame =
                OutgoingFrame { payload, descriptor, timestamp, end_of_picture: index + 1 == count };
            if let Some(sealer) = &mut self.sealer {
                self.sealed.clear();
                sealer.seal(descriptor, SealedUnit::Frame, payload, &mut self.sealed)?;
                frame.payload = &self.sealed;
            }
            self.packetizer.packetize(&frame, &mut self.packets)?;
            self.ends.push(self.packets.len());
        }
        Ok(())
    }

    /// Takes an RTCP packet of a receiver, or of the relay in between: what is to be sent again (NACK), what is to be
    /// coded anew with the next picture (PLI, FIR, LRR), what has arrived (transport-wide feedback), and reports. What is
    /// about other SSRCs is passed over, apart from transport-wide feedback, which is about the path.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        let ssrc = self.ssrc;
        for message in rtcp::read(packet) {
            match message {
                Ok(RtcpMessage::Nack { lost, media_ssrc, .. }) if media_ssrc == ssrc => {
                    for number in lost.iter().flat_map(|lost| lost.sequence_numbers()) {
                        self.resend(now, number);
                    }
                }
                Ok(RtcpMessage::Pli { media_ssrc, .. }) if media_ssrc == ssrc => self.request(Refresh::KEY),
                Ok(RtcpMessage::Fir { requests, .. }) => {
                    let own = requests.iter().filter(|request| request.ssrc == ssrc);
                    own.for_each(|_| self.request(Refresh::KEY));
                }
                Ok(RtcpMessage::Lrr { requests, .. }) => {
                    let own = requests.iter().filter(|request| request.ssrc == ssrc);
                    own.for_each(|request| self.request(request.refresh()));
                }
                Ok(RtcpMessage::SenderReport { blocks, .. } | RtcpMessage::ReceiverReport { blocks, .. }) => {
                    blocks
                        .iter()
                        .filter(|block| block.ssrc == ssrc)
                        .for_each(|block| self.report(now, block));
                }
                Ok(message) => {
                    if let Some(path) = &mut self.path {
                        match path.handle_feedback(now, &message) {
                            Ok(()) | Err(FeedbackError::Type) => {}
                            Err(_) => self.statistics.malformed += 1,
                        }
                    }
                }
                Err(_) => self.statistics.malformed += 1,
            }
        }
    }

    fn resend(&mut self, now: Time, number: u16) {
        if self.statistics.round_trip.is_none()
            && let Some(round_trip) = self.path.as_mut().and_then(|path| path.state(now).round_trip)
        {
            self.history.set_round_trip(now, round_trip);
        }
        let frame = u64::from(self.ssrc) << 32 | AGAIN | u64::from(number);
        for packet in self.history.resend(now, number) {
            let packet = PathPacket { class: PacketClass::Retransmission, frame, packet: packet.clone() };
            match &mut self.path {
                Some(path) => path.handle_packet(now, packet),
                None => {
                    count(now, &packet, &mut self.reports, &mut self.statistics);
                    self.queue.push_back(packet);
                }
            }
        }
    }

    /// Takes what whoever receives the packets reports of them.
    fn report(&mut self, now: Time, block: &ReportBlock) {
        self.statistics.report = Some(*block);
        if let Some(round_trip) = reporter::round_trip(now, block) {
            self.statistics.round_trip = Some(round_trip);
            self.history.set_round_trip(now, round_trip);
        }
        self.handle_loss(f64::from(block.fraction_lost) / 256.0);
    }

    /// What there is to send or to tell at `now`. The program polls until it is told to wait.
    pub fn poll(&mut self, now: Time) -> SenderOutput {
        if let Some(packet) = self.queue.pop_front() {
            return SenderOutput::Transmit(packet.packet);
        }
        if let Some(report) = self.reports.poll(now, self.ssrc, self.timestamp(now)) {
            let mut packet = BytesMut::new();
            rtcp::write(&[report], &mut packet)
                .expect("a message that can be written, into a buffer that grows");
            return SenderOutput::Transmit(packet.freeze());
        }
        while let Some(path) = &mut self.path {
            match path.poll(now) {
                SendPathOutput::Transmit(packet) => return self.transmit(now, packet),
                SendPathOutput::Dropped { frame, class } if frame >> 32 == u64::from(self.ssrc) => {
                    if class != PacketClass::Retransmission {
                        self.handle_dropped(now, frame);
                    }
                }
                SendPathOutput::Dropped { frame, .. } => return SenderOutput::Dropped(frame),
                SendPathOutput::Bitrate(bitrate) => return SenderOutput::Bitrate(bitrate),
                SendPathOutput::Timeout(at) => {
                    return SenderOutput::Timeout(at.into_iter().chain(self.reports.next_timeout()).min());
                }
            }
        }
        SenderOutput::Timeout(self.reports.next_timeout())
    }

    /// A packet of the path goes out. Only now can it be asked for: a receiver that misses what waits behind packets of
    /// another class gets it anyway.
    fn transmit(&mut self, now: Time, packet: PathPacket) -> SenderOutput {
        let is_own = packet.frame >> 32 == u64::from(self.ssrc);
        if is_own {
            if packet.class != PacketClass::Retransmission && packet.frame & PARITY == 0 {
                self.history.insert(now, packet.packet.clone());
            }
            count(now, &packet, &mut self.reports, &mut self.statistics);
        }
        SenderOutput::Transmit(packet.packet)
    }

    fn request(&mut self, refresh: Refresh) {
        self.statistics.refreshes += 1;
        self.requests.handle_request(refresh);
    }

    /// RTP timestamp of a time: ticks of 90 kHz.
    fn timestamp(&self, time: Time) -> u32 {
        let ticks = time.since_start().as_micros() * 9 / 100;
        self.first_timestamp.wrapping_add(ticks as u32)
    }
}

/// The number of a frame on the path: the stream's SSRC, the frame's own number, and what is broken if it is dropped.
/// A frame above temporal layer 0 breaks nothing that the next frames of temporal layer 0 do not mend.
fn path_frame(ssrc: u32, key: bool, frame: &FramePlan) -> u64 {
    let broken = frame.needed_by.iter().map(|target| 1 << target.spatial_id).fold(0, |bits, bit| bits | bit);
    let broken = if frame.layer.temporal_id == 0 { broken } else { 0 };
    let key = if key { KEY } else { 0 };
    u64::from(ssrc) << 32 | u64::from(frame.frame_number as u16) << 8 | key | broken
}

/// Counts a packet of the stream, or of its parity packets, that goes out.
fn count(now: Time, packet: &PathPacket, reports: &mut SenderReports, statistics: &mut SenderStatistics) {
    let bytes = packet.packet.len() as u64;
    let (packets, sum) = if packet.frame & PARITY != 0 {
        (&mut statistics.parity, &mut statistics.parity_bytes)
    } else if packet.class == PacketClass::Retransmission {
        (&mut statistics.retransmissions, &mut statistics.retransmitted_bytes)
    } else {
        (&mut statistics.packets, &mut statistics.bytes)
    };
    (*packets, *sum) = (*packets + 1, *sum + bytes);
    // Parity packets are a stream of their own.
    if packet.frame & PARITY == 0 {
        let payload = RtpPacket::read(&packet.packet).map_or(0, |packet| packet.payload.len());
        reports.handle_packet(now, payload);
    }
}

impl std::fmt::Debug for VideoSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoSender")
            .field("wanted", &self.wanted)
            .field("queued", &self.queue.len())
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "encoder"))]
mod tests;
