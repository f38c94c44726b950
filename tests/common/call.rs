//! The two ends of a video stream: from the layers of pictures to packets, and from packets to temporal units.

use bytes::{Bytes, BytesMut};
use layercast::Time;
use layercast::e2ee::{KeyRing, OpenError, SealError, SealedUnit, VideoOpener, VideoSealer};
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::payload::av1::{self, Av1PayloadError};
use layercast::rtp::reassembler::{Abandoned, Accepted, Rejected};
use layercast::rtp::{
    DecodableUnit, Describer, DescriptorError, FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame,
    OutgoingFrame, PacketizeError, Packetizer, PacketizerConfig, Packets, PayloadFormat, Reassembler,
    ReassemblerConfig, ReassemblerEvent, ReceivedFrame,
};
use layercast::structure::{DecodeTarget, PicturePlan, Refresh};

/// Identifier of the Dependency Descriptor's header extension, which sender and receiver agree on.
pub const DESCRIPTOR_ID: u8 = 4;
/// RTP payload type.
pub const PAYLOAD_TYPE: u8 = 45;
/// SSRC of the video.
pub const SSRC: u32 = 0x6c61_7963;

/// Why a picture cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// A frame cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A picture cannot be described.
    #[error(transparent)]
    Describe(#[from] DescriptorError),
    /// A frame cannot be put into packets.
    #[error(transparent)]
    Packetize(#[from] PacketizeError),
    /// A frame is not made of OBUs.
    #[error(transparent)]
    Av1(#[from] Av1PayloadError),
}

/// The sending end.
pub struct Outgoing {
    describer: Describer,
    sealer: Option<VideoSealer>,
    /// Whether each packet's payload is sealed on its own, and not the whole frame.
    pub by_packet: bool,
    packetizer: Packetizer,
    sealed: BytesMut,
}

impl Outgoing {
    /// An end that seals, or sends in the clear where there is no sealer.
    pub fn new(sealer: Option<VideoSealer>, first_sequence_number: u16) -> Self {
        let format = if sealer.is_some() { PayloadFormat::Sframe } else { PayloadFormat::Av1 };
        let config = PacketizerConfig::new(format, DESCRIPTOR_ID, PAYLOAD_TYPE, SSRC);
        let packetizer = Packetizer::new(PacketizerConfig { first_sequence_number, ..config });
        Self { describer: Describer::new(), sealer, by_packet: false, packetizer, sealed: BytesMut::new() }
    }

    /// Appends the packets of a picture: its frames' bytes are `payloads`, in the plan's order.
    pub fn send<'a>(
        &mut self,
        plan: &PicturePlan,
        payloads: impl IntoIterator<Item = &'a [u8]>,
        timestamp: u32,
        packets: &mut Packets,
    ) -> Result<(), SendError> {
        let descriptors = self.describer.describe(plan)?;
        let count = descriptors.len();
        for (index, (descriptor, payload)) in descriptors.iter().zip(payloads).enumerate() {
            let end_of_picture = index + 1 == count;
            let frame = OutgoingFrame { payload, descriptor, timestamp, end_of_picture };
            match &mut self.sealer {
                Some(_) if self.by_packet => self.seal_by_packet(&frame, packets)?,
                Some(sealer) => {
                    self.sealed.clear();
                    sealer.seal(descriptor, SealedUnit::Frame, payload, &mut self.sealed)?;
                    self.packetizer.packetize(&OutgoingFrame { payload: &self.sealed, ..frame }, packets)?;
                }
                None => self.packetizer.packetize(&frame, packets)?,
            }
        }
        Ok(())
    }

    fn seal_by_packet(&mut self, frame: &OutgoingFrame<'_>, packets: &mut Packets) -> Result<(), SendError> {
        let Some(sealer) = &mut self.sealer else { return Ok(()) };
        let descriptor = frame.descriptor;
        let room = self.packetizer.room(descriptor)?;
        let overhead = sealer.overhead(descriptor, SealedUnit::Packet { index: 0, last: true })?;
        let payloads = av1::packetize(
            frame.payload,
            room.saturating_sub(overhead).max(2),
            descriptor.structure.is_some(),
        )?;
        let mut sealed = vec![];
        for (index, payload) in (0..).zip(&payloads) {
            let unit = SealedUnit::Packet { index, last: usize::from(index) + 1 == payloads.len() };
            sealer.seal(descriptor, unit, payload, &mut self.sealed)?;
            sealed.push(self.sealed.split().freeze());
        }
        Ok(self.packetizer.packetize_sealed(frame, &sealed, packets)?)
    }
}

/// What came of packets.
#[derive(Debug)]
pub enum Happened {
    /// A temporal unit to be decoded.
    Unit(DecodableUnit),
    /// Something to ask the sender for.
    Refresh(Refresh),
    /// A frame is not what the sender sealed.
    Refused(OpenError),
    /// A frame is not going to be whole.
    Abandoned(Abandoned),
    /// A frame is not handed on.
    Dropped(DropReason),
}

/// The receiving end.
pub struct Incoming {
    /// From packets to frames.
    pub reassembler: Reassembler,
    /// From frames to temporal units.
    pub buffer: FrameBuffer,
    opener: Option<(VideoOpener, KeyRing)>,
}

impl Incoming {
    /// An end that opens what was sealed, or takes what is in the clear where there is no opener.
    pub fn new(target: DecodeTarget, opener: Option<(VideoOpener, KeyRing)>) -> Self {
        let format = if opener.is_some() { PayloadFormat::Sframe } else { PayloadFormat::Av1 };
        Self {
            reassembler: Reassembler::new(ReassemblerConfig::new(format, DESCRIPTOR_ID)),
            buffer: FrameBuffer::new(FrameBufferConfig::default(), target),
            opener,
        }
    }

    /// Takes a packet.
    pub fn push(&mut self, now: Time, packet: Bytes) -> Result<Accepted, Rejected> {
        self.reassembler.push(now, packet)
    }

    /// What there is to tell at `now`.
    pub fn poll(&mut self, now: Time, happened: &mut Vec<Happened>) {
        while let Some(event) = self.reassembler.poll(now) {
            match event {
                ReassemblerEvent::Frame(frame) => match self.open(now, frame) {
                    Ok(frame) => {
                        let dropped = self.buffer.insert(now, frame).err();
                        happened.extend(dropped.map(Happened::Dropped));
                    }
                    Err(error) => happened.push(Happened::Refused(error)),
                },
                ReassemblerEvent::Abandoned { reason, .. } => happened.push(Happened::Abandoned(reason)),
                // Of sealed frames the buffer knows the order, whatever the packets' numbers are.
                ReassemblerEvent::Restarted if self.opener.is_none() => self.buffer.reset(),
                _ => {}
            }
        }
        if let Some(settled) = self.reassembler.settled() {
            self.buffer.settle(settled);
        }
        if self.reassembler.needs_structure() {
            self.buffer.request_key_frame(now);
        }
        while let Some(event) = self.buffer.poll(now) {
            happened.push(match event {
                FrameBufferEvent::Unit(unit) => Happened::Unit(unit),
                FrameBufferEvent::Refresh(refresh) => Happened::Refresh(refresh),
                FrameBufferEvent::Dropped { reason, .. } => Happened::Dropped(reason),
                _ => continue,
            });
        }
    }

    /// When to poll again if nothing comes before.
    pub fn next_timeout(&self) -> Option<Time> {
        self.reassembler.next_timeout().into_iter().chain(self.buffer.next_timeout()).min()
    }

    fn open(&mut self, now: Time, received: ReceivedFrame) -> Result<OpenedFrame, OpenError> {
        let Some((opener, keys)) = &mut self.opener else { return Ok(received.into()) };
        let frame = opener.open_received(now, keys, received)?;
        if frame.starts_sequence {
            self.reassembler.adopt(now, frame.structure.clone());
        }
        Ok(frame)
    }
}
