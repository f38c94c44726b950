//! Neither sending nor receiving allocates memory for each packet: frames of many packets take no more allocations
//! than frames of few. This test has a process of its own, because it counts the allocations of the whole process.

use bytes::{Bytes, BytesMut};
use layercast::rtp::{
    Describer, FrameBuffer, FrameBufferConfig, FrameBufferEvent, OutgoingFrame, Packetizer, PacketizerConfig,
    Packets, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent,
};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FRAMES: u64 = 1000;

/// The fewest allocations of three runs: the test harness has a thread of its own, which may allocate meanwhile.
fn fewest(size: usize) -> ([u64; 3], usize) {
    let runs: [_; 3] = std::array::from_fn(|_| allocations(size));
    (std::array::from_fn(|part| runs.iter().map(|(counts, _)| counts[part]).min().unwrap()), runs[0].1)
}

/// Allocations of [`FRAMES`] frames of so many bytes: packetizing, reassembling, and the frame buffer.
fn allocations(size: usize) -> ([u64; 3], usize) {
    let mode = ScalabilityMode::L1T3;
    let wanted = DecodeTargets::all(mode.structure());
    let (mut planner, mut describer) = (Planner::new(mode, Size::new(64, 64)), Describer::new());
    let mut packetizer = Packetizer::new(PacketizerConfig::new(PayloadFormat::Sframe, 4, 45, 1));
    let config = ReassemblerConfig::new(PayloadFormat::Sframe, 4);
    let mut reassembler = Reassembler::new(ReassemblerConfig { adopt_structures: true, ..config });
    let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::new(0, 2));
    let (payload, mut packets) = (vec![7; size], Packets::new());
    // What comes in is in one buffer too, as a socket would fill it.
    let mut datagrams = BytesMut::new();
    let (mut counts, mut count, mut units) = ([0; 3], 0, 0);
    for n in 0..FRAMES + 16 {
        if n == 16 {
            counts = [0; 3];
        }
        let now = Time::from_millis(33 * n);
        let plan = planner.next(PictureRequest { wanted, ..Default::default() });
        let descriptor = describer.describe(&plan).unwrap().remove(0);
        let frame = OutgoingFrame {
            payload: &payload,
            descriptor: &descriptor,
            timestamp: n as u32 * 3000,
            end_of_picture: true,
        };
        let before = dhat::HeapStats::get().total_blocks;
        packetizer.packetize(&frame, &mut packets).unwrap();
        let packetized = dhat::HeapStats::get().total_blocks;
        counts[0] += packetized - before;
        count = packets.len();
        datagrams.reserve(packets.iter().map(<[u8]>::len).sum());
        let incoming: Vec<Bytes> = packets
            .iter()
            .map(|packet| {
                datagrams.extend_from_slice(packet);
                datagrams.split().freeze()
            })
            .collect();
        packets.clear();

        let before = dhat::HeapStats::get().total_blocks;
        for packet in incoming {
            reassembler.push(now, packet).unwrap();
        }
        let event = reassembler.poll(now);
        counts[1] += dhat::HeapStats::get().total_blocks - before;
        let Some(ReassemblerEvent::Frame(frame)) = event else { panic!("{event:?}") };
        let before = dhat::HeapStats::get().total_blocks;
        buffer.insert(now, frame.into()).unwrap();
        let event = buffer.poll(now);
        counts[2] += dhat::HeapStats::get().total_blocks - before;
        units += u64::from(matches!(event, Some(FrameBufferEvent::Unit(_))));
    }
    assert_eq!(units, FRAMES + 16);
    (counts, count)
}

#[test]
fn nothing_is_allocated_per_packet() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let (small, packets_small) = fewest(1000);
    let (medium, packets_medium) = fewest(12_000);
    let (large, packets_large) = fewest(100_000);
    println!(
        "{small:?} {medium:?} {large:?} for {FRAMES} frames of 1, {packets_medium}, {packets_large} packets"
    );
    assert_eq!((packets_small, packets_medium, packets_large), (1, 11, 85));
    // Packets go out in one block that is used again. What comes in is put together in a block of its own, which the
    // receiver opens in place and hands on.
    assert_eq!([small, medium, large], [[0, FRAMES, 0]; 3]);
}
