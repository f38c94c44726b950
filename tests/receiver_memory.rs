//! What a peer can make a receiver hold, as the allocator counts it. This test has a process of its own, because it
//! counts the allocations of the whole process.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use layercast::e2ee::{Agreement, KeyRing, SealedUnit, SenderKeys, VideoOpener};
use layercast::rtp::descriptor::{
    DecodeTargetIndication, DependencyDescriptor, DependencyStructure, Describer, Template,
};
use layercast::rtp::reassembler::{MAX_PACKET, Rejected};
use layercast::rtp::{
    FrameBuffer, FrameBufferConfig, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent,
    ReceivedFrame, RtpHeader,
};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const DESCRIPTOR_ID: u8 = 4;
const NOW: Time = Time::from_millis(500);

fn held() -> usize {
    dhat::HeapStats::get().curr_bytes
}

/// Sends frames of any content.
#[derive(Default)]
struct Attacker {
    sequence_number: u16,
    /// Bytes of junk in the header of each packet.
    junk: usize,
}

impl Attacker {
    fn packet(&mut self, descriptor: &[u8], frame_number: u16, payload: &[u8]) -> Bytes {
        let sequence_number = self.sequence_number;
        self.sequence_number = self.sequence_number.wrapping_add(1);
        let header = RtpHeader { sequence_number, timestamp: frame_number.into(), ..RtpHeader::default() };
        let junk = vec![9; self.junk];
        let mut extensions = vec![(DESCRIPTOR_ID, descriptor)];
        extensions.extend(junk.chunks(255).map(|junk| (9, junk)));
        let mut packet = vec![];
        header.write(&extensions, &mut packet).unwrap();
        packet.extend_from_slice(payload);
        assert!(packet.len() <= MAX_PACKET, "{}", packet.len());
        Bytes::copy_from_slice(&packet)
    }

    /// The packets of a frame with these payloads, made one by one.
    fn frame<'a>(
        &'a mut self,
        descriptor: &'a DependencyDescriptor,
        known: &'a DependencyStructure,
        payloads: &'a [Vec<u8>],
    ) -> impl Iterator<Item = Bytes> + 'a {
        payloads.iter().enumerate().map(move |(at, payload)| {
            let descriptor = DependencyDescriptor {
                start_of_frame: at == 0,
                end_of_frame: at + 1 == payloads.len(),
                structure: descriptor.structure.clone().filter(|_| at == 0),
                ..descriptor.clone()
            };
            let mut bytes = vec![];
            descriptor.write(known, &mut bytes).unwrap();
            self.packet(&bytes, descriptor.frame_number, payload)
        })
    }
}

/// A structure with all templates that there can be, each frame of which refers to the one before it.
fn large_structure(width: u32) -> DependencyStructure {
    let template = Template {
        layer: LayerId::default(),
        decode_target_indications: [DecodeTargetIndication::Required].into_iter().collect(),
        frame_diffs: [1].into_iter().collect(),
        chain_diffs: Default::default(),
    };
    DependencyStructure {
        template_id_offset: 0,
        decode_targets: 1,
        templates: vec![template; 64],
        chains: 0,
        protected_by: Default::default(),
        resolutions: [Size::new(width, 1)].into_iter().collect(),
    }
}

/// The payloads of an OBU of this type, cut into so many packets of up to `size` bytes.
fn obu(obu_type: u8, packets: usize, size: usize) -> Vec<Vec<u8>> {
    let payload = |at: usize| {
        let (first, last) = (at == 0, at + 1 == packets);
        let mut payload = vec![7; size];
        payload[0] = u8::from(!first) << 7 | u8::from(!last) << 6 | 0x10;
        if first {
            payload[1] = obu_type << 3;
        }
        payload
    };
    (0..packets).map(payload).collect()
}

const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;

fn started(config: ReassemblerConfig) -> Reassembler {
    let mut reassembler = Reassembler::new(config);
    // Single packets of frames that cannot be read, so that the time in which the stream may begin earlier passes.
    let mut attacker = Attacker { sequence_number: u16::MAX, junk: 0 };
    reassembler.push(Time::ZERO, attacker.packet(&[0xc0, 0xff, 0xff], 0xffff, &[0xc0])).unwrap();
    while reassembler.poll(NOW).is_some() {}
    reassembler
}

fn poll(reassembler: &mut Reassembler) -> Vec<ReceivedFrame> {
    let events = std::iter::from_fn(|| reassembler.poll(NOW));
    let frame = |event| match event {
        ReassemblerEvent::Frame(frame) => Some(frame),
        _ => None,
    };
    events.filter_map(frame).collect()
}

/// Frames packet by packet, and a relay that blows up the headers: they wait for a structure that never comes.
fn frames_that_wait(config: ReassemblerConfig) -> usize {
    let before = held();
    let mut reassembler = started(config);
    let mut attacker = Attacker { sequence_number: 0, junk: 1800 };
    let (structure, mut most) = (large_structure(1), 0);
    for n in 0..70 {
        let descriptor = DependencyDescriptor { frame_number: n, ..Default::default() };
        let payloads = vec![vec![0xe0, 1]; 500];
        for packet in attacker.frame(&descriptor, &structure, &payloads) {
            reassembler.push(NOW, packet).unwrap();
            poll(&mut reassembler);
            most = most.max(held() - before);
        }
    }
    most
}

/// Every second packet of the largest that there can be.
fn frames_that_lack_packets(config: ReassemblerConfig) -> usize {
    let before = held();
    let mut reassembler = started(config);
    let mut attacker = Attacker::default();
    let mut most = 0;
    for _ in 0..4000 {
        attacker.sequence_number += 1;
        let number = attacker.sequence_number;
        let descriptor = [0, (number >> 8) as u8, number as u8];
        let packet = attacker.packet(&descriptor, number, &[0; MAX_PACKET - 20]);
        assert_eq!(packet.len(), MAX_PACKET);
        reassembler.push(NOW, packet).unwrap();
        poll(&mut reassembler);
        most = most.max(held() - before);
    }
    most
}

/// A whole frame, as large as it can be, is handed on. Nothing of it stays behind.
fn large_frames(format: PayloadFormat) -> usize {
    let config = ReassemblerConfig::new(format, DESCRIPTOR_ID);
    let structure = Arc::new(large_structure(1));
    let mut reassembler = started(config);
    reassembler.adopt(NOW, Arc::clone(&structure));
    poll(&mut reassembler);
    let packets = config.max_bytes / MAX_PACKET;
    let payloads = if format == PayloadFormat::Av1 {
        obu(FRAME, packets, MAX_PACKET - 20)
    } else {
        // Each sealed on its own, so that a frame consists of shares of its packets.
        vec![vec![0xe0; MAX_PACKET - 20]; packets]
    };
    let (mut attacker, mut before) = (Attacker::default(), held());
    for n in 0..3 {
        let descriptor = DependencyDescriptor { frame_number: n, ..Default::default() };
        for packet in attacker.frame(&descriptor, &structure, &payloads) {
            reassembler.push(NOW, packet).unwrap();
        }
        assert_eq!(poll(&mut reassembler).len(), 1);
        if n == 0 {
            // What is kept to be used again.
            before = held().min(before + 256 * config.max_packets);
        }
    }
    held() - before
}

/// Frames of which OBUs are dropped that are not decoded: a frame buffer holds what is left.
fn frames_of_which_little_is_left() -> usize {
    let before = held();
    let mut reassembler = started(ReassemblerConfig::new(PayloadFormat::Av1, DESCRIPTOR_ID));
    let structure = Arc::new(large_structure(1));
    reassembler.adopt(NOW, Arc::clone(&structure));
    poll(&mut reassembler);
    let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
    let mut attacker = Attacker::default();
    let mut payloads = obu(TILE_LIST, 250, MAX_PACKET - 20);
    payloads.push(vec![0x10, FRAME << 3, 1]);
    for n in 0..60 {
        let descriptor = DependencyDescriptor { frame_number: 2 * n, ..Default::default() };
        for packet in attacker.frame(&descriptor, &structure, &payloads) {
            reassembler.push(NOW, packet).unwrap();
        }
        for frame in poll(&mut reassembler) {
            buffer.insert(NOW, frame.into()).unwrap();
        }
    }
    assert_eq!(buffer.len(), 60);
    held() - before
}

/// All of a receiver at its limits at once: opener, frame buffer, and a reassembler that puts a frame together.
fn everything_at_once() {
    // The keys of four layers in four epochs.
    let agreed = Agreement::default();
    let mut ring = KeyRing::new(agreed, Duration::from_secs(60));
    let mut opener = VideoOpener::new(agreed, 1, 0);
    let mode = ScalabilityMode::L3T1;
    let wanted = DecodeTargets::all(mode.structure());
    for epoch in 0..4 {
        let mut keys = SenderKeys::fresh(agreed, 1, epoch).unwrap();
        ring.add(NOW, keys.grant().clone());
        let mut sealer = keys.video(0).unwrap();
        let plan =
            Planner::new(mode, Size::new(64, 64)).next(PictureRequest { wanted, ..Default::default() });
        for descriptor in Describer::new().describe(&plan).unwrap() {
            let mut sealed = BytesMut::new();
            sealer.seal(&descriptor, SealedUnit::Frame, &[1; 100], &mut sealed).unwrap();
            opener.open(NOW, &ring, &descriptor, SealedUnit::Frame, &mut sealed).unwrap();
        }
    }

    let config = ReassemblerConfig::new(PayloadFormat::Av1, DESCRIPTOR_ID);
    let mut reassembler = started(config);
    let limits = FrameBufferConfig::default();
    let mut buffer = FrameBuffer::new(limits, LayerId::default());
    let mut attacker = Attacker::default();
    let packets = limits.max_bytes / limits.max_frames / 2000;
    let payloads = obu(FRAME, packets, 1900);
    for n in 0..limits.max_frames as u16 {
        // Each brings a structure of its own, and waits for a frame before it.
        let structure = Arc::new(large_structure(1 + u32::from(n)));
        let structure = Some(structure);
        let descriptor = DependencyDescriptor { frame_number: 2 * n, structure, ..Default::default() };
        for packet in attacker.frame(&descriptor, &large_structure(1), &payloads) {
            reassembler.push(NOW, packet).unwrap();
        }
        for frame in poll(&mut reassembler) {
            buffer.insert(NOW, frame.into()).unwrap();
        }
    }
    assert!(
        buffer.len() == limits.max_frames && buffer.bytes() > limits.max_bytes * 9 / 10,
        "{}",
        buffer.bytes()
    );
    let payloads = obu(FRAME, config.max_bytes / MAX_PACKET, MAX_PACKET - 20);
    let descriptor = DependencyDescriptor { frame_number: 2000, ..Default::default() };
    for packet in attacker.frame(&descriptor, &large_structure(1), &payloads) {
        reassembler.push(NOW, packet).unwrap();
    }
    let whole = poll(&mut reassembler);
    assert_eq!(whole.len(), 1);
    while let Some(event) = buffer.poll(NOW + Duration::from_secs(9)) {
        drop(event);
    }
}

#[test]
fn a_receiver_holds_no_more_than_its_limits() {
    let _profiler = dhat::Profiler::builder().testing().build();
    for format in [PayloadFormat::Sframe, PayloadFormat::Av1] {
        let config =
            ReassemblerConfig { adopt_structures: false, ..ReassemblerConfig::new(format, DESCRIPTOR_ID) };
        let limit = config.max_bytes + 256 * config.max_packets;
        let lacking = frames_that_lack_packets(config);
        assert!(lacking <= limit && lacking > config.max_bytes * 9 / 10, "{format:?}: {lacking} of {limit}");
        println!("{format:?}: {lacking} bytes of packets whose frames are not whole; the limit is {limit}");
    }
    let config = ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID);
    let limit = config.max_bytes + 256 * config.max_packets;
    let waiting = frames_that_wait(config);
    assert!(waiting <= limit, "{waiting} of {limit}");
    println!("{waiting} bytes at most while frames wait for their structure");
    for format in [PayloadFormat::Sframe, PayloadFormat::Av1] {
        let left = large_frames(format);
        assert!(left < 1000, "{format:?}: {left}");
    }
    let little = frames_of_which_little_is_left();
    assert!(little < 256 * 2048 + 100_000, "{little}");

    everything_at_once();
    let most = dhat::HeapStats::get().max_bytes;
    println!("{most} bytes at most by all of a receiver");
    assert!(most < 32 << 20, "{most}");

    // Nothing larger than a packet is held at all.
    let mut reassembler = started(config);
    let large = Bytes::from(vec![0x80; MAX_PACKET + 1]);
    assert_eq!(reassembler.push(NOW, large), Err(Rejected::TooLarge(MAX_PACKET + 1)));
}
