//! Congestion control allocates memory for each feedback message, and none for each packet. This test has a process of
//! its own, because it counts the allocations of the whole process.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::congestion::{
    Estimator, FeedbackConfig, FeedbackGenerator, PacedPacket, Pacer, PacerConfig, PacerOutput, PacketClass,
    PathPacket, Probe, SendPath, SendPathConfig, SendPathOutput, SentLog,
};
use layercast::rtp::RtpHeader;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The fewest allocations of three runs: the test harness has a thread of its own, which may allocate meanwhile.
fn fewest(packets: u64) -> ([u64; 2], u64) {
    let runs: [_; 3] = std::array::from_fn(|_| allocations(packets));
    (std::array::from_fn(|part| runs.iter().map(|(counts, _)| counts[part]).min().unwrap()), runs[0].1)
}

/// Allocations of ten seconds in which so many packets are sent each 10 ms: of sending and of receiving. Also counts
/// the messages.
fn allocations(packets: u64) -> ([u64; 2], u64) {
    let mut pacer = Pacer::new(PacerConfig::default(), 100_000_000);
    let (mut log, mut estimator) = (SentLog::new(), Estimator::new(100_000_000));
    let mut generator = FeedbackGenerator::new(FeedbackConfig::new(1, 2));
    let (mut counts, mut messages, mut arrived) = ([0; 2], 0, Vec::with_capacity(1000));
    for n in 0..1400 {
        if n == 400 {
            (counts, messages) = ([0; 2], 0);
        }
        let now = Time::from_millis(10 * n);
        let before = dhat::HeapStats::get().total_blocks;
        for _ in 0..packets {
            let class = if n % 4 == 0 { PacketClass::Base } else { PacketClass::Media };
            pacer.handle_packet(now, PacedPacket { class, frame: n, bytes: 1200, packet: () });
        }
        if n % 100 == 0 {
            pacer.start_probe(now, Probe { bitrate: 10_000_000, duration: Duration::from_millis(20) });
        }
        loop {
            match pacer.poll(now) {
                PacerOutput::Packet { packet, probe } => {
                    arrived.push((log.push(now, packet.bytes, probe), packet.bytes))
                }
                PacerOutput::Padding { bytes, probe } => {
                    arrived.push((log.push(now, bytes, Some(probe)), bytes))
                }
                PacerOutput::Timeout(_) => break,
                output => panic!("{output:?}"),
            }
        }
        let sent = dhat::HeapStats::get().total_blocks;
        counts[0] += sent - before;
        for (number, bytes) in arrived.drain(..) {
            // One in 50 is lost.
            if number % 50 != 7 {
                generator.handle_packet(now, number, bytes);
            }
        }
        while let Some(message) = generator.poll(now) {
            messages += 1;
            let reports = log.handle_feedback(now, &message).unwrap();
            estimator.report(now, reports);
            assert!(estimator.bitrate() > 0);
        }
        counts[1] += dhat::HeapStats::get().total_blocks - sent;
    }
    (counts, messages)
}

/// Allocations of sending packets of 1200 bytes over a path for ten seconds, so many each 10 ms. Those that went out are
/// kept for a second, as a history does. Also counts them.
fn path_allocations(packets: u64) -> (u64, u64) {
    let mut path = SendPath::new(SendPathConfig::new(100_000_000), Some(3));
    let mut packet = Vec::new();
    RtpHeader::default().write(&[(3, &[0; 2])], &mut packet).unwrap();
    packet.resize(1200, 0);
    let packet = Bytes::from(packet);
    let (mut kept, mut allocated, mut count) = (VecDeque::with_capacity(1 << 16), 0, 0);
    for n in 0..1400 {
        let now = Time::from_millis(10 * n);
        let before = dhat::HeapStats::get().total_blocks;
        for _ in 0..packets {
            let packet = packet.clone();
            path.handle_packet(now, PathPacket { class: PacketClass::Media, frame: n, packet });
        }
        loop {
            match path.poll(now) {
                SendPathOutput::Transmit(packet) => kept.push_back((now, packet.packet)),
                SendPathOutput::Timeout(_) => break,
                _ => {}
            }
        }
        if n >= 400 {
            allocated += dhat::HeapStats::get().total_blocks - before;
            count += packets;
        }
        while kept.front().is_some_and(|(at, _)| *at + Duration::from_secs(1) < now) {
            kept.pop_front();
        }
    }
    (allocated, count)
}

#[test]
fn nothing_is_allocated_per_packet() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let ([few_sent, few], few_messages) = fewest(2);
    let ([many_sent, many], many_messages) = fewest(20);
    println!("{few} for {few_messages} messages of 2 packets, {many} for {many_messages} of 20");
    assert_eq!((few_sent, many_sent), (0, 0));
    // The message, and the lists in it, which grow by doubling.
    assert!(few_messages > 100 && many_messages > 100);
    assert!(few <= 12 * few_messages && many <= 16 * many_messages);
    // A path copies packets into blocks, each of which holds some 50.
    for packets in [2, 20] {
        let (allocated, count) = path_allocations(packets);
        println!("{allocated} for {count} packets of a path");
        assert!(allocated <= count / 20, "{allocated} for {count} packets");
    }
}
