//! The sending end of a video stream.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{DESCRIPTOR_ID, PAYLOAD_TYPE, payload_format};
use crate::Time;
use crate::e2ee::{SealError, SealedUnit, SenderKeyError, SenderKeys, VideoSealer};
#[cfg(feature = "encoder")]
use crate::encoder::{EncodeError, EncodeOptions, SvcConfig, SvcEncoder};
#[cfg(feature = "encoder")]
use crate::picture::PictureView;
use crate::relay::RefreshRequests;
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::rtp::{
    Describer, DescriptorError, OutgoingFrame, PacketizeError, Packetizer, PacketizerConfig, Packets,
    SentPackets,
};
use crate::structure::{DecodeTargets, PicturePlan, Refresh};

/// What the two ends of a stream have agreed on, and the limits of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoSenderConfig {
    /// Synchronization source of the packets.
    pub ssrc: u32,
    /// RTP payload type, 0 to 127.
    pub payload_type: u8,
    /// Identifier of the Dependency Descriptor's header extension, 1 to 255.
    pub descriptor_id: u8,
    /// Bytes of a packet at most, from the RTP header on.
    pub max_packet: usize,
    /// Whether sealed frames travel as browsers send and take them: see [`opaque`](crate::rtp::payload::opaque). The
    /// keys' agreement then says [`Binding::Page`](crate::e2ee::Binding::Page). Frames in the clear are the same in any case.
    pub opaque: bool,
    /// Packets kept to be sent again.
    pub history: usize,
    /// The shortest time from one refresh on request to the next, however many receivers ask: a key picture costs as
    /// many bits as ten others.
    pub refresh_interval: Duration,
}

impl VideoSenderConfig {
    /// A stream of this SSRC: [`PAYLOAD_TYPE`], [`DESCRIPTOR_ID`], packets of 1200 bytes, 4096 of them kept, and a
    /// refresh every 300 ms.
    pub fn new(ssrc: u32) -> Self {
        Self {
            ssrc,
            payload_type: PAYLOAD_TYPE,
            descriptor_id: DESCRIPTOR_ID,
            max_packet: 1200,
            opaque: false,
            history: 4096,
            refresh_interval: Duration::from_millis(300),
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
    /// A packet to be sent.
    Transmit(Bytes),
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
    /// Packets sent for the first time.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets sent again.
    pub retransmissions: u64,
    /// Refreshes that receivers asked for.
    pub refreshes: u64,
    /// Bytes that came as feedback and are none.
    pub malformed: u64,
}

/// Sends one video stream: codes, describes, seals and packetizes pictures, and answers the feedback of receivers.
pub struct VideoSender {
    #[cfg(feature = "encoder")]
    encoder: Option<Box<SvcEncoder>>,
    ssrc: u32,
    describer: Describer,
    sealer: Option<VideoSealer>,
    packetizer: Packetizer,
    history: SentPackets,
    requests: RefreshRequests,
    wanted: Option<DecodeTargets>,
    /// Timestamp of the time 0 (RFC 3550, section 5.1: random).
    first_timestamp: u32,
    queue: VecDeque<Bytes>,
    statistics: SenderStatistics,
    /// Kept so that frames do not allocate.
    packets: Packets,
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
        Ok(Self { encoder: Some(Box::new(encoder)), ..Self::without_encoder(config, sealer) })
    }

    /// A sender of frames that another encoder codes, such as hardware, or that come from a file.
    pub fn without_encoder(config: VideoSenderConfig, sealer: Option<VideoSealer>) -> Self {
        let format = payload_format(sealer.is_some(), config.opaque);
        let VideoSenderConfig { ssrc, payload_type, descriptor_id, max_packet, history, .. } = config;
        let packetizer = PacketizerConfig::new(format, descriptor_id, payload_type, ssrc);
        Self {
            #[cfg(feature = "encoder")]
            encoder: None,
            ssrc,
            describer: Describer::new(),
            sealer,
            packetizer: Packetizer::new(PacketizerConfig { max_packet, ..packetizer }),
            history: SentPackets::new(history),
            requests: RefreshRequests::new(config.refresh_interval),
            wanted: None,
            first_timestamp: RandomState::new().hash_one(ssrc) as u32,
            queue: VecDeque::new(),
            statistics: SenderStatistics::default(),
            packets: Packets::new(),
            sealed: BytesMut::new(),
        }
    }

    /// The encoder, to change its quantizer.
    #[cfg(feature = "encoder")]
    pub fn encoder_mut(&mut self) -> Option<&mut SvcEncoder> {
        self.encoder.as_deref_mut()
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
    /// that none of them needs are neither coded nor sent.
    pub fn set_wanted(&mut self, wanted: Option<DecodeTargets>) {
        self.wanted = wanted;
    }

    /// The decode targets that somebody watches; `None` for all.
    pub fn wanted(&self) -> Option<DecodeTargets> {
        self.wanted
    }

    /// Takes a picture that was captured at `now`, codes and sends it.
    ///
    /// # Errors
    /// [`SendError`]. After [`SendError::Encode`] the sender is as it was.
    #[cfg(feature = "encoder")]
    pub fn handle_picture(&mut self, now: Time, picture: &PictureView<'_>) -> Result<(), SendError> {
        let refresh = self.next_refresh(now);
        let timestamp = i64::from(self.timestamp(now));
        let encoder = self.encoder.as_mut().ok_or(SendError::NoEncoder)?;
        let unit = match encoder.encode(picture, timestamp, EncodeOptions { refresh, wanted: self.wanted }) {
            Ok(unit) => unit,
            Err(error) => {
                self.requests.handle_request(refresh);
                return Err(error.into());
            }
        };
        self.handle_coded(now, &unit.plan, unit.frames.iter().map(|frame| &frame.data[..]))
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
        for packet in self.packets.drain() {
            self.statistics.packets += 1;
            self.statistics.bytes += packet.len() as u64;
            self.history.insert(packet.clone());
            self.queue.push_back(packet);
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
        for (index, (descriptor, payload)) in descriptors.iter().zip(payloads).enumerate() {
            let mut frame =
                OutgoingFrame { payload, descriptor, timestamp, end_of_picture: index + 1 == count };
            if let Some(sealer) = &mut self.sealer {
                self.sealed.clear();
                sealer.seal(descriptor, SealedUnit::Frame, payload, &mut self.sealed)?;
                frame.payload = &self.sealed;
            }
            self.packetizer.packetize(&frame, &mut self.packets)?;
        }
        Ok(())
    }

    /// Takes an RTCP packet of a receiver, or of the relay in between: what is to be sent again (NACK), and what is to
    /// be coded anew with the next picture (PLI, FIR, LRR). What is asked of other SSRCs is passed over.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        let ssrc = self.ssrc;
        for message in rtcp::read(packet) {
            match message {
                Ok(RtcpMessage::Nack { lost, media_ssrc, .. }) if media_ssrc == ssrc => {
                    for number in lost.iter().flat_map(|lost| lost.sequence_numbers()) {
                        if let Some(packet) = self.history.resend(now, number) {
                            self.statistics.retransmissions += 1;
                            self.queue.push_back(packet.clone());
                        }
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
                Ok(_) => {}
                Err(_) => self.statistics.malformed += 1,
            }
        }
    }

    /// The next packet to be sent at `now`, or how long there is none. Nothing is held back yet: packets come out at
    /// once, and the timeout is `None`.
    pub fn poll(&mut self, now: Time) -> SenderOutput {
        let _ = now;
        match self.queue.pop_front() {
            Some(packet) => SenderOutput::Transmit(packet),
            None => SenderOutput::Timeout(None),
        }
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

impl std::fmt::Debug for VideoSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoSender")
            .field("wanted", &self.wanted)
            .field("queued", &self.queue.len())
            .field("statistics", &self.statistics)
            .finish_non_exhaustive()
    }
}
