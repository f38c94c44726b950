//! A genuine sender, whose pictures are those of the test vectors, and a receiver with small limits.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use layercast::bitstream::{ObuType, obus, section5};
use layercast::decoder::{DecodeError, DecodedPicture, Decoder, DecoderConfig, MAX_FRAMES, Output};
use layercast::e2ee::{Agreement, KeyRing, SealedUnit, SenderKeys, VideoOpener, VideoSealer};
use layercast::rtp::descriptor::{DependencyDescriptor, DependencyStructure, Describer};
use layercast::rtp::payload::av1;
use layercast::rtp::{
    FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame, OutgoingFrame, Packetizer,
    PacketizerConfig, Packets, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent,
};
use layercast::structure::{
    DecodeTarget, DecodeTargets, LayerId, PicturePlan, PictureRequest, Planner, Refresh, ScalabilityMode,
};
use layercast::{Size, Time};

use crate::timed;

/// The size of the test vectors' pictures.
pub const VIDEO_SIZE: Size = Size::new(186, 110);

const DESCRIPTOR_ID: u8 = 4;
const MAX_PACKET: usize = 480;
const MAX_PACKETS: usize = 128;
const MAX_BYTES: usize = 32 << 10;
const MAX_HELD: usize = 24;
const SENDER: u32 = 3;

/// A test vector.
pub struct Video {
    pub mode: ScalabilityMode,
    /// The frames of each picture, lowest spatial layer first.
    pub pictures: Vec<Vec<Vec<u8>>>,
}

impl Video {
    fn new(mode: ScalabilityMode, stream: &[u8]) -> Self {
        let unit = |unit: &[u8]| {
            let mut frames: Vec<Vec<u8>> = vec![];
            let mut layer = None;
            for obu in obus(unit).map(Result::unwrap) {
                match obu.header.obu_type {
                    ObuType::TemporalDelimiter => {}
                    ObuType::SequenceHeader => frames.push(obu.bytes.to_vec()),
                    _ if layer.is_none() && !frames.is_empty() => {
                        layer = Some(obu.header.layer());
                        frames[0].extend_from_slice(obu.bytes);
                    }
                    _ if layer == Some(obu.header.layer()) => {
                        frames.last_mut().unwrap().extend_from_slice(obu.bytes);
                    }
                    _ => {
                        layer = Some(obu.header.layer());
                        frames.push(obu.bytes.to_vec());
                    }
                }
            }
            frames
        };
        let pictures = section5::temporal_units(stream).map(|bytes| unit(bytes.unwrap())).collect();
        Self { mode, pictures }
    }
}

/// Test vectors of modes that have little in common.
pub fn videos() -> &'static [Video] {
    static VIDEOS: LazyLock<[Video; 4]> = LazyLock::new(|| {
        [
            Video::new(ScalabilityMode::L3T3, include_bytes!("../../test-vectors/L3T3.obu")),
            Video::new(ScalabilityMode::L3T3Key, include_bytes!("../../test-vectors/L3T3_KEY.obu")),
            Video::new(ScalabilityMode::S2T2, include_bytes!("../../test-vectors/S2T2.obu")),
            Video::new(ScalabilityMode::L1T2, include_bytes!("../../test-vectors/L1T2.obu")),
        ]
    });
    &*VIDEOS
}

/// A picture to be sent.
pub struct Picture {
    pub plan: PicturePlan,
    pub descriptors: Vec<DependencyDescriptor>,
    pub payloads: &'static [Vec<u8>],
    pub timestamp: u32,
}

/// Sends a test vector over and over. Where it starts again there is a key picture.
pub struct Sender {
    video: &'static Video,
    agreement: Agreement,
    planner: Planner,
    describer: Describer,
    packetizer: Packetizer,
    keys: SenderKeys,
    pub sealer: VideoSealer,
    epoch: u64,
    next: usize,
    timestamp: u32,
}

impl Sender {
    pub fn new(video: &'static Video, agreement: Agreement) -> Self {
        let config = PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID, 96, 7);
        let config = PacketizerConfig { first_sequence_number: 65_500, max_packet: MAX_PACKET, ..config };
        let mut keys = SenderKeys::fresh(agreement, SENDER, 0).unwrap();
        Self {
            video,
            agreement,
            planner: Planner::new(video.mode, VIDEO_SIZE),
            describer: Describer::new(),
            packetizer: Packetizer::new(config),
            sealer: keys.video(0).unwrap(),
            keys,
            epoch: 0,
            next: 0,
            timestamp: 0,
        }
    }

    /// The highest decode target.
    pub fn target(&self) -> DecodeTarget {
        self.video.mode.structure().decode_targets().max().unwrap()
    }

    /// The keys of this epoch.
    pub fn keys(&self) -> &SenderKeys {
        &self.keys
    }

    /// The structure by which descriptors are written and read. A picture was made before.
    pub fn structure(&self) -> &DependencyStructure {
        self.describer.structure().unwrap()
    }

    /// Goes on with other keys.
    pub fn rekey(&mut self) {
        self.epoch += 1;
        self.keys = SenderKeys::fresh(self.agreement, SENDER, self.epoch).unwrap();
        self.sealer.rekey(&mut self.keys, 0).unwrap();
    }

    /// The next picture is to be a key picture.
    pub fn start_again(&mut self) {
        self.next = 0;
    }

    /// The next picture.
    pub fn picture(&mut self) -> Picture {
        let refresh = if self.next == 0 { Refresh::KEY } else { Refresh::NONE };
        let wanted = DecodeTargets::all(self.planner.structure());
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let payloads = &self.video.pictures[self.next];
        assert_eq!(plan.frames.len(), payloads.len(), "the vector is of this structure");
        self.next = (self.next + 1) % self.video.pictures.len();
        self.timestamp = self.timestamp.wrapping_add(3000);
        let descriptors = self.describer.describe(&plan).unwrap();
        Picture { plan, descriptors, payloads, timestamp: self.timestamp }
    }

    /// Seals a picture and puts it into packets.
    pub fn send(&mut self, picture: &Picture, by_packet: bool, sent: &mut Vec<Bytes>) {
        let frames = picture.descriptors.iter().zip(picture.payloads);
        for (index, (descriptor, payload)) in frames.enumerate() {
            let frame = OutgoingFrame {
                payload,
                descriptor,
                timestamp: picture.timestamp,
                end_of_picture: index + 1 == picture.payloads.len(),
            };
            if by_packet { self.send_pieces(&frame, sent) } else { self.send_frame(&frame, sent) }
        }
    }

    fn send_frame(&mut self, frame: &OutgoingFrame<'_>, sent: &mut Vec<Bytes>) {
        let mut sealed = BytesMut::new();
        self.sealer.seal(frame.descriptor, SealedUnit::Frame, frame.payload, &mut sealed).unwrap();
        assert!(self.packetize(&OutgoingFrame { payload: &sealed, ..*frame }, sent));
    }

    fn send_pieces(&mut self, frame: &OutgoingFrame<'_>, sent: &mut Vec<Bytes>) {
        let descriptor = frame.descriptor;
        let room = self.packetizer.room(descriptor).unwrap();
        let unit = SealedUnit::Packet { index: 0, last: true };
        let room = room - self.sealer.overhead(descriptor, unit).unwrap();
        let payloads = av1::packetize(frame.payload, room, descriptor.structure.is_some()).unwrap();
        let mut pieces = vec![];
        for (index, payload) in (0..).zip(&payloads) {
            let mut sealed = BytesMut::new();
            let unit = SealedUnit::Packet { index, last: usize::from(index) + 1 == payloads.len() };
            self.sealer.seal(descriptor, unit, payload, &mut sealed).unwrap();
            pieces.push(sealed.freeze());
        }
        let mut packets = Packets::new();
        self.packetizer.packetize_sealed(frame, &pieces, &mut packets).unwrap();
        sent.extend(packets.drain());
    }

    /// Puts any frame into packets, if that can be done.
    pub fn packetize(&mut self, frame: &OutgoingFrame<'_>, sent: &mut Vec<Bytes>) -> bool {
        let mut packets = Packets::new();
        let done = self.packetizer.packetize(frame, &mut packets).is_ok();
        sent.extend(packets.drain());
        done
    }
}

/// A receiver of the sender's video, whose limits are small.
pub struct Receiver {
    pub reassembler: Reassembler,
    pub opener: VideoOpener,
    pub keys: KeyRing,
    pub buffer: FrameBuffer,
    decoder: Decoder,
    missing: Vec<u16>,
}

impl Receiver {
    pub fn new(agreement: Agreement, target: DecodeTarget) -> Self {
        let config = DecoderConfig {
            output: Output::AllLayers,
            max_size: VIDEO_SIZE,
            max_unit_size: MAX_BYTES,
            ..DecoderConfig::default()
        };
        let limits =
            FrameBufferConfig { max_frames: MAX_HELD, max_bytes: MAX_BYTES, ..FrameBufferConfig::default() };
        Self {
            reassembler: reassembler(),
            opener: VideoOpener::new(agreement, SENDER, 0),
            keys: KeyRing::new(agreement, Duration::from_secs(1)),
            buffer: FrameBuffer::new(limits, target),
            decoder: Decoder::new(config).unwrap(),
            missing: vec![],
        }
    }

    /// The packets come by another way from now on.
    pub fn reconnect(&mut self) {
        self.reassembler = reassembler();
    }

    /// Takes a packet, and says what was decoded. `opened` sees the frames that were opened.
    pub fn handle(
        &mut self,
        now: Time,
        packet: Option<Bytes>,
        mut opened: impl FnMut(&OpenedFrame),
    ) -> Vec<DecodedPicture> {
        let mut units = vec![];
        timed("packet", || {
            if let Some(packet) = packet {
                // Whatever the outcome, the limits hold.
                let _ = self.reassembler.push(now, packet);
            }
            self.reassembler.nacks(now, &mut self.missing);
            while let Some(event) = self.reassembler.poll(now) {
                match event {
                    ReassemblerEvent::Frame(frame) => {
                        let Ok(frame) = self.opener.open_received(now, &self.keys, frame) else { continue };
                        opened(&frame);
                        if frame.starts_sequence {
                            self.reassembler.adopt(now, frame.structure.clone());
                            self.decoder.set_layer_sizes(&frame.structure.resolutions);
                        }
                        let _ = self.buffer.insert(now, frame);
                    }
                    ReassemblerEvent::Restarted => self.buffer.reset(),
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
                if let FrameBufferEvent::Unit(unit) = event {
                    units.push(unit);
                }
            }
        });
        assert!(self.missing.len() <= MAX_PACKETS);
        assert!(self.reassembler.len() <= MAX_PACKETS && self.reassembler.bytes() <= MAX_BYTES);
        assert!(self.buffer.len() <= MAX_HELD && self.buffer.bytes() <= MAX_BYTES);
        let mut pictures = vec![];
        for unit in units {
            assert!(!unit.frames.is_empty() && unit.frames.is_sorted_by_key(|frame| frame.layer.spatial_id));
            assert!(
                unit.frames.iter().all(|frame| frame.layer.spatial_id <= self.buffer.target().spatial_id)
            );
            let waits = self.decoder.needs_key_frame();
            match timed("temporal unit", || self.decoder.decode(&unit.to_bytes(), unit.timestamp.into())) {
                Ok(decoded) => {
                    assert!(decoded.len() <= MAX_FRAMES.min(4) && !self.decoder.needs_key_frame());
                    for DecodedPicture { picture, .. } in &decoded {
                        let Size { width, height } = picture.size();
                        assert!(width <= VIDEO_SIZE.width && height <= VIDEO_SIZE.height);
                    }
                    pictures.extend(decoded);
                }
                Err(error) => {
                    assert!(waits || error != DecodeError::NeedKeyFrame);
                    self.buffer.restart(now);
                }
            }
        }
        pictures
    }

    /// Sets the layer to be shown.
    pub fn set_target(&mut self, byte: u8) {
        self.buffer.set_target(LayerId::new(byte & 3, byte >> 2 & 3));
    }
}

fn reassembler() -> Reassembler {
    let config = ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID);
    Reassembler::new(ReassemblerConfig {
        max_packets: MAX_PACKETS,
        max_bytes: MAX_BYTES,
        max_waiting: 8,
        ..config
    })
}
