//! What the machines and parsers of `rtp` hold and take at most, each at its limit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use layercast::rtp::descriptor::{
    DependencyDescriptor, DependencyStructure, DescriptorError, MAX_FRAME_DIFFS,
};
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::payload::av1::{self, Av1PayloadError, MAX_OBUS};
use layercast::rtp::reassembler::{Abandoned, Accepted, MAX_PACKET, NackConfig, Rejected};
use layercast::rtp::rtcp::{self, Lost, RtcpError, RtcpMessage};
use layercast::rtp::{
    FrameBuffer, FrameBufferConfig, FrameBufferEvent, OpenedFrame, OutgoingFrame, PacketizeError, Packetizer,
    PacketizerConfig, Packets, PayloadFormat, Reassembler, ReassemblerConfig, ReassemblerEvent, RtpHeader,
    RtpPacketMut,
};
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time};

use crate::{Sender, all};

const DESCRIPTOR_ID: u8 = 4;

/// Past the time in which the stream may still begin before its first packet.
const STARTED: Time = Time::from_millis(200);

fn ms(milliseconds: u64) -> Time {
    Time::from_millis(milliseconds)
}

/// The part of a frame that a packet has.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    First,
    Middle,
    Whole,
}

/// A packet of template 0 of a sealed frame, `size` bytes long.
fn packet(sequence_number: u16, frame_number: u16, part: Part, size: usize) -> Bytes {
    let (start, end) = (part != Part::Middle, part == Part::Whole);
    let flags = u8::from(start) << 7 | u8::from(end) << 6;
    let [high, low] = frame_number.to_be_bytes();
    let header = RtpHeader { sequence_number, timestamp: frame_number.into(), ..RtpHeader::default() };
    let mut packet = vec![];
    header.write(&[(DESCRIPTOR_ID, &[flags, high, low])], &mut packet).unwrap();
    packet.push(flags & 0xc0);
    assert!(packet.len() <= size);
    packet.resize(size, 7);
    packet.into()
}

/// A reassembler that has had packet 0, of frame 0, and knows a structure.
fn reassembler(change: impl Fn(&mut ReassemblerConfig)) -> Reassembler {
    let mut config = ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID);
    change(&mut config);
    let mut reassembler = Reassembler::new(config);
    let structure = DependencyStructure::of_mode(ScalabilityMode::L1T1, Size::new(64, 64));
    reassembler.adopt(Time::ZERO, Arc::new(structure));
    reassembler.push(Time::ZERO, packet(0, 0, Part::Whole, 100)).unwrap();
    assert_eq!(frames(&mut reassembler, STARTED), [0]);
    assert!(reassembler.is_empty() && reassembler.bytes() == 0);
    reassembler
}

fn frames(reassembler: &mut Reassembler, now: Time) -> Vec<u16> {
    let events = std::iter::from_fn(|| reassembler.poll(now));
    let frame = |event| match event {
        ReassemblerEvent::Frame(frame) => Some(frame.descriptor.frame_number),
        _ => None,
    };
    events.filter_map(frame).collect()
}

fn nacks(reassembler: &mut Reassembler, now: Time) -> Vec<u16> {
    let mut missing = vec![];
    reassembler.nacks(now, &mut missing);
    missing
}

#[test]
fn packets_have_a_size() {
    let mut reassembler = reassembler(|_| {});
    let too_large = packet(1, 1, Part::Whole, MAX_PACKET + 1);
    assert_eq!(reassembler.push(STARTED, too_large), Err(Rejected::TooLarge(2049)));
    assert_eq!(reassembler.push(STARTED, packet(1, 1, Part::Whole, MAX_PACKET)), Ok(Accepted::New));
    assert_eq!(frames(&mut reassembler, STARTED), [1]);
}

#[test]
fn a_reassembler_has_its_number_of_packets() {
    let mut reassembler = reassembler(|config| config.max_packets = 8);
    // Packet 1 is missing, and what comes after it is kept in mind.
    for n in 2..=8 {
        reassembler.push(STARTED, packet(n, n, Part::Whole, 100)).unwrap();
    }
    assert_eq!((reassembler.len(), reassembler.statistics().lost), (8, 0));
    reassembler.push(STARTED, packet(9, 9, Part::Whole, 100)).unwrap();
    assert_eq!((reassembler.len(), reassembler.statistics().lost), (0, 1));
    // More are missing than there may be packets.
    reassembler.push(STARTED, packet(40, 40, Part::Whole, 100)).unwrap();
    assert_eq!((reassembler.len(), reassembler.statistics().lost), (8, 1 + 23));
    assert_eq!(nacks(&mut reassembler, STARTED + Duration::from_millis(10)), (33..40).collect::<Vec<_>>());
}

#[test]
fn a_reassembler_has_its_number_of_bytes() {
    let mut reassembler = reassembler(|config| config.max_bytes = 10_000);
    for n in 1..=10 {
        let part = if n == 1 { Part::First } else { Part::Middle };
        reassembler.push(STARTED, packet(n, 1, part, 1000)).unwrap();
    }
    // Whole packets count, with their headers.
    assert_eq!((reassembler.len(), reassembler.bytes()), (10, 10_000));
    assert_eq!(reassembler.push(STARTED, packet(11, 1, Part::Middle, 1000)), Ok(Accepted::New));
    assert!(matches!(
        reassembler.poll(STARTED),
        Some(ReassemblerEvent::Abandoned { frame_number: 1, reason: Abandoned::Lost })
    ));
    assert_eq!(reassembler.bytes(), 0, "nor can what comes later be of use");
    reassembler.push(STARTED, packet(12, 2, Part::Whole, 1000)).unwrap();
    assert_eq!(frames(&mut reassembler, STARTED), [2]);
}

#[test]
fn so_many_frames_wait_for_their_structure() {
    let mut reassembler = reassembler(|_| {});
    // Nothing has template 9.
    let waiting = |n: u16| {
        let mut packet = packet(n, n, Part::Whole, 100).to_vec();
        let at = 12 + 4 + 1;
        packet[at] |= 9;
        Bytes::from(packet)
    };
    for n in 1..=64 {
        reassembler.push(STARTED, waiting(n)).unwrap();
        assert!(reassembler.poll(STARTED).is_none());
    }
    let bytes = reassembler.bytes();
    reassembler.push(STARTED, waiting(65)).unwrap();
    assert!(matches!(
        reassembler.poll(STARTED),
        Some(ReassemblerEvent::Abandoned { frame_number: 1, reason: Abandoned::NoStructure })
    ));
    assert_eq!(reassembler.bytes(), bytes);
    // They count among the bytes.
    let mut reassembler = self::reassembler(|config| config.max_bytes = bytes - 1);
    let abandoned = (1..=64).filter(|n| {
        reassembler.push(STARTED, waiting(*n)).unwrap();
        reassembler.poll(STARTED).is_some()
    });
    assert_eq!(abandoned.collect::<Vec<_>>(), [64]);
}

#[test]
fn three_structures_are_known() {
    let mut reassembler = reassembler(|_| {});
    let structure = |template_id_offset: u8| {
        let structure = DependencyStructure::of_mode(ScalabilityMode::L1T1, Size::new(64, 64));
        Arc::new(DependencyStructure { template_id_offset, ..structure })
    };
    // The one that the reassembler begins with has template 0.
    for (offset, known) in [(10, true), (20, true), (30, false)] {
        reassembler.adopt(STARTED, structure(offset));
        let number = u16::from(offset);
        reassembler.push(STARTED, packet(number, number, Part::Whole, 100)).unwrap();
        assert_eq!(frames(&mut reassembler, STARTED), if known { vec![number] } else { vec![] });
    }
}

/// A lone packet far ahead changes nothing for those before it, though they come over 20 seconds.
#[test]
fn a_lone_packet_far_ahead_makes_nothing_late() {
    for ahead in [65, 1000, 2047, 2500, 3000] {
        let mut reassembler = reassembler(|_| {});
        let stray = packet(ahead + 1, 9999, Part::First, 100);
        assert_eq!(reassembler.push(STARTED, stray), Err(Rejected::OutOfRange(ahead + 1)));
        assert_eq!(nacks(&mut reassembler, STARTED + Duration::from_millis(50)), [0u16; 0]);
        for n in 1..=ahead + 10 {
            let now = STARTED + Duration::from_millis(10) * n.into();
            assert!(reassembler.push(now, packet(n, n, Part::Whole, 100)).is_ok(), "{ahead}");
            assert_eq!(frames(&mut reassembler, now), [n]);
        }
        assert_eq!(reassembler.statistics().missing, 0);
    }
}

#[test]
fn jumps_have_their_limits() {
    // 64 packets may be missing before one.
    let mut started = reassembler(|_| {});
    assert_eq!(started.push(STARTED, packet(65, 65, Part::Whole, 100)), Ok(Accepted::New));
    assert_eq!(nacks(&mut started, STARTED + Duration::from_millis(10)).len(), 64);
    // More of them if the next packet follows: up to 3000, of which the newest 2046 are asked for.
    for (gap, missing, asked, restarts) in
        [(65, 66, 65, false), (2999, 3000, 2046, false), (3000, 0, 0, true)]
    {
        let mut reassembler = reassembler(|_| {});
        let first = gap + 1;
        let far = |n: u16| packet(n, n, Part::Whole, 100);
        assert_eq!(reassembler.push(STARTED, far(first)), Err(Rejected::OutOfRange(first)));
        assert_eq!(reassembler.push(STARTED, far(first + 1)), Ok(Accepted::New));
        let restarted = matches!(reassembler.poll(STARTED), Some(ReassemblerEvent::Restarted));
        assert_eq!(restarted, restarts, "{gap}");
        assert_eq!(reassembler.statistics().missing, missing);
        assert!(reassembler.len() <= 2048);
        assert_eq!(nacks(&mut reassembler, STARTED + Duration::from_millis(10)).len(), asked, "{gap}");
    }
}

/// A sender starts anew a little before the numbers where it was, so that all it sends seems to be late.
#[test]
fn a_run_of_late_packets_is_a_stream_that_starts_anew() {
    // Its timestamps begin anew too.
    let late = |n: u16| packet(0_u16.wrapping_sub(1000).wrapping_add(n), 1000 + n, Part::Whole, 100);
    let mut started = reassembler(|_| {});
    for n in 0..7 {
        assert_eq!(started.push(STARTED, late(n)), Err(Rejected::Late));
    }
    assert_eq!(started.push(STARTED, late(7)), Ok(Accepted::New));
    // Those before it are its stream's too.
    assert_eq!(frames(&mut started, STARTED), [1007, 1000, 1001, 1002, 1003, 1004, 1005, 1006]);
    assert_eq!(started.push(STARTED, late(8)), Ok(Accepted::New));
    // Not so if others come in between, as with packets that come twice.
    let mut goes_on = reassembler(|_| {});
    for n in 0..20 {
        assert_eq!(goes_on.push(STARTED, late(n)), Err(Rejected::Late));
        if n % 7 == 6 {
            assert!(goes_on.push(STARTED, packet(n / 7 + 1, n / 7 + 1, Part::Whole, 100)).is_ok());
        }
    }
}

/// A path that was congested brings many packets at once that were asked for, and given up since.
#[test]
fn a_run_of_packets_that_are_sent_again_too_late_is_no_other_stream() {
    let mut reassembler = reassembler(|_| {});
    // 1 to 40 are lost.
    let after = |n: u16| packet(40 + n, 40 + n, Part::Whole, 100);
    reassembler.push(STARTED, after(1)).unwrap();
    let late = STARTED + Duration::from_secs(2);
    frames(&mut reassembler, late);
    reassembler.push(late, after(2)).unwrap();
    for n in 1..=40 {
        let again = packet(n, n, Part::Whole, 100);
        assert_eq!(reassembler.push(late, again), Err(Rejected::Late));
    }
    reassembler.push(late, after(3)).unwrap();
    assert_eq!(frames(&mut reassembler, late), [42, 43]);
}

/// A silence is as long as packets are waited for: the path was out, and what is missing is old.
#[test]
fn what_was_lost_in_a_silence_is_not_asked_for() {
    let give_up = NackConfig::default().give_up;
    for (missing, silence, asked) in
        [(64, give_up / 2, 64), (16, give_up * 2, 16), (17, give_up, 0), (64, give_up, 0)]
    {
        let mut reassembler = reassembler(|_| {});
        reassembler.push(STARTED, packet(1, 1, Part::First, 100)).unwrap();
        let (next, now) = (missing + 2, STARTED + silence);
        reassembler.push(now, packet(next, 40, Part::Whole, 100)).unwrap();
        assert_eq!(frames(&mut reassembler, now), [40]);
        assert_eq!(
            nacks(&mut reassembler, now + Duration::from_millis(10)).len(),
            asked,
            "{missing} {silence:?}"
        );
        let statistics = reassembler.statistics();
        let lost = if asked == 0 { missing } else { 0 };
        assert_eq!((statistics.missing, statistics.lost), (missing.into(), lost.into()));
        // What comes next goes on.
        reassembler.push(now, packet(next + 1, 41, Part::Whole, 100)).unwrap();
        assert_eq!(frames(&mut reassembler, now), [41]);
        assert_eq!(reassembler.settled() == Some(42), asked == 0);
    }
}

#[test]
fn the_packet_after_the_newest_is_asked_for_until_the_picture_ends() {
    let nack = NackConfig::default();
    let mut reassembler = reassembler(|_| {});
    let mut missing = vec![];
    reassembler.push(STARTED, packet(1, 1, Part::First, 100)).unwrap();
    let asks = STARTED + nack.first_after;
    assert_eq!(reassembler.next_timeout(), Some(asks));
    assert_eq!(reassembler.nacks(asks - Duration::from_millis(1), &mut missing), None);
    assert_eq!((reassembler.nacks(asks, &mut missing), missing.len()), (Some(2), 0));
    // The one after it shows that it is missing. It is not asked for sooner because of that.
    reassembler.push(asks, packet(3, 2, Part::Whole, 100)).unwrap();
    let again = asks + nack.retry_after;
    assert_eq!(reassembler.nacks(again - Duration::from_millis(1), &mut missing), Some(4));
    assert_eq!((missing.len(), reassembler.nacks(again, &mut missing)), (0, None));
    assert_eq!(missing, [2]);
    let within = Duration::from_millis(20);
    reassembler.asked(again + within - Duration::from_millis(1), within, &mut missing);
    assert_eq!(missing, [2]);
    reassembler.asked(again + within, within, &mut missing);
    assert_eq!(missing, [0; 0]);
    // The last packet of a picture ends it.
    let mut last = packet(4, 2, Part::Whole, 100).to_vec();
    RtpPacketMut::new(&mut last).unwrap().set_marker(true);
    assert_eq!(reassembler.push(again, last.into()), Ok(Accepted::Recovered));
    assert_eq!(reassembler.nacks(again + nack.retry_after, &mut missing), None);
}

/// A path on which the packets of a picture are far from each other.
#[test]
fn packets_that_come_slowly_are_given_time() {
    let mut reassembler = reassembler(|_| {});
    let (mut now, mut missing, mut asked) = (STARTED, vec![], 0);
    for n in 1..100u16 {
        let mut packet = packet(n, n, Part::Whole, 100).to_vec();
        RtpPacketMut::new(&mut packet).unwrap().set_timestamp(1);
        reassembler.push(now, packet.into()).unwrap();
        for _ in 0..30 {
            now += Duration::from_millis(1);
            asked += u32::from(reassembler.nacks(now, &mut missing).is_some());
        }
    }
    assert!((1..10).contains(&asked), "{asked}");
}

#[test]
fn a_packet_is_asked_for_so_many_times() {
    let give_up = Duration::from_secs(1000);
    let mut reassembler = reassembler(|config| config.nack = NackConfig { give_up, ..config.nack });
    reassembler.push(STARTED, packet(2, 2, Part::Whole, 100)).unwrap();
    let asked: usize =
        (0..100_000).map(|n| nacks(&mut reassembler, STARTED + ms(10 * n).since_start()).len()).sum();
    assert_eq!(asked, 20);
}

/// Frames of one mode, each behind a first one that never comes.
fn waiting_frames() -> impl Iterator<Item = OpenedFrame> {
    let mode = ScalabilityMode::L1T1;
    let mut sender = Sender::new(mode, 0);
    sender.picture(true, all(mode));
    std::iter::from_fn(move || Some(sender.picture(false, all(mode)).remove(0).frame))
}

#[test]
fn a_frame_buffer_has_its_number_of_frames_and_bytes() {
    let FrameBufferConfig { max_frames, max_bytes, .. } = FrameBufferConfig::default();
    let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
    let mut frames = waiting_frames();
    for frame in frames.by_ref().take(max_frames) {
        buffer.insert(Time::ZERO, frame).unwrap();
    }
    assert_eq!((buffer.len(), max_frames), (256, 256));
    assert_eq!(buffer.insert(Time::ZERO, frames.next().unwrap()), Err(DropReason::Full));

    let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
    let sized = |frame, size| OpenedFrame { payload: vec![0; size].into(), ..frame };
    for (frame, size) in frames.by_ref().zip([max_bytes / 2, max_bytes / 2 - 1]) {
        buffer.insert(Time::ZERO, sized(frame, size)).unwrap();
    }
    assert_eq!(buffer.insert(Time::ZERO, sized(frames.next().unwrap(), 2)), Err(DropReason::Full));
    buffer.insert(Time::ZERO, sized(frames.next().unwrap(), 1)).unwrap();
    assert_eq!((buffer.bytes(), max_bytes), (8 << 20, 8 << 20));
    // While it is more than half full it waits for nothing.
    while buffer.poll(Time::ZERO).is_some() {}
    assert!(buffer.bytes() <= max_bytes / 2);
    while buffer.poll(ms(2000)).is_some() {}
    assert!(buffer.is_empty() && buffer.bytes() == 0);
}

#[test]
fn a_frame_refers_to_no_more_than_4096_frames_back() {
    let mode = ScalabilityMode::L1T1;
    for (diff, decodable) in [(4096, true), (4097, false)] {
        let mut sender = Sender::new(mode, 0);
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
        let mut last = None;
        for n in 0..=diff {
            let mut frame = sender.picture(false, all(mode)).remove(0).frame;
            if n == diff {
                frame.dependencies.frame_diffs = [diff].into_iter().collect();
            }
            buffer.insert(Time::ZERO, frame).unwrap();
            last = buffer.poll(Time::ZERO);
        }
        let decoded = match last {
            Some(FrameBufferEvent::Unit(_)) => true,
            Some(FrameBufferEvent::Dropped { .. } | FrameBufferEvent::Refresh(_)) => false,
            other => panic!("{other:?}"),
        };
        assert_eq!(decoded, decodable, "{diff}");
    }
}

#[test]
fn numbers_in_the_clear_hold_for_two_minutes() {
    let mode = ScalabilityMode::L1T1;
    for (pause, goes_on) in [(119_999, true), (120_000, false)] {
        let mut sender = Sender::new(mode, 0);
        let mut buffer = FrameBuffer::new(FrameBufferConfig::default(), LayerId::default());
        for now in [ms(0), ms(pause)] {
            buffer.insert(now, sender.picture(false, all(mode)).remove(0).frame).unwrap();
            let unit = matches!(buffer.poll(now), Some(FrameBufferEvent::Unit(_)));
            assert!(unit == goes_on || now == ms(0), "{pause}");
        }
    }
}

#[test]
fn payloads_have_a_number_of_obus() {
    // Payloads of a padding OBU of one byte for each element, each with its length in front.
    let payloads = |counts: &[usize]| {
        let payload = |count: &usize| {
            let mut payload = vec![0];
            (0..*count).for_each(|_| payload.extend([1, 15 << 3]));
            payload
        };
        counts.iter().map(payload).collect::<Vec<_>>()
    };
    let join = |counts: &[usize]| av1::depacketize(payloads(counts), &mut vec![]);
    assert_eq!(join(&[MAX_OBUS + 1]), Ok(false));
    assert_eq!(join(&[MAX_OBUS + 2]), Err(Av1PayloadError::TooMany));
    assert_eq!(join(&[MAX_OBUS / 2 + 1; 2]), Ok(false));
    assert_eq!(join(&[MAX_OBUS / 2 + 1, MAX_OBUS / 2 + 2]), Err(Av1PayloadError::TooMany));
}

#[test]
fn a_descriptor_names_no_more_than_16_frames() {
    // The first bytes of a packet of template 0 with frame differences of its own: each size 1, and 4 bits.
    let read = |count: usize| {
        let bits: String =
            "00010".chars().chain("010001".repeat(count).chars()).chain("00".chars()).collect();
        let mut bytes = vec![0xc0, 0, 1];
        let padded = format!("{bits:0<width$}", width = bits.len().next_multiple_of(8));
        bytes
            .extend((0..padded.len() / 8).map(|n| u8::from_str_radix(&padded[8 * n..8 * n + 8], 2).unwrap()));
        DependencyDescriptor::read(&bytes, None).map(|read| read.custom_frame_diffs.unwrap().len())
    };
    assert_eq!(read(MAX_FRAME_DIFFS), Ok(16));
    assert_eq!(read(MAX_FRAME_DIFFS + 1), Err(DescriptorError::TooManyFrameDiffs));
}

#[test]
fn a_message_of_rtcp_has_its_length() {
    let nack = |entries| {
        let lost = vec![Lost { sequence_number: 0, following: 0 }; entries];
        let mut bytes = vec![];
        rtcp::write(&[RtcpMessage::Nack { sender_ssrc: 1, media_ssrc: 2, lost }], &mut bytes)
            .map(|()| bytes.len())
    };
    assert_eq!(nack(65_533), Ok(4 + 4 * 65_535));
    assert_eq!(nack(65_534), Err(RtcpError::Value { field: "length" }));
}

#[test]
fn packets_that_go_out_have_their_size() {
    let mode = ScalabilityMode::L1T1;
    let sent = Sender::new(mode, 0).picture(true, all(mode)).remove(0);
    let packetize = |max_packet| {
        let config = PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID, 45, 1);
        let mut packetizer = Packetizer::new(PacketizerConfig { max_packet, ..config });
        let mut packets = Packets::new();
        let frame = OutgoingFrame {
            payload: &[7; 5000],
            descriptor: &sent.descriptor,
            timestamp: 0,
            end_of_picture: true,
        };
        packetizer.packetize(&frame, &mut packets)?;
        Ok(packets.iter().map(<[u8]>::len).max().unwrap_or(0))
    };
    let Err(PacketizeError::Room { headers, max_packet: 1 }) = packetize(1) else { panic!() };
    assert!(matches!(packetize(headers + 15), Err(PacketizeError::Room { .. })));
    assert_eq!(packetize(headers + 16), Ok(headers + 16));
    assert!((1000..=1200).contains(&packetize(1200).unwrap()));
}

/// A timeout that is over lets a program poll without end.
#[test]
fn no_timeout_is_over_though_the_first_packet_was_noticed_last() {
    let mut reassembler = Reassembler::new(ReassemblerConfig::new(PayloadFormat::Sframe, DESCRIPTOR_ID));
    for (at, number) in [(0, 10), (0, 13), (80, 7)] {
        reassembler.push(ms(at), packet(number, number, Part::Whole, 100)).unwrap();
        frames(&mut reassembler, ms(at));
        nacks(&mut reassembler, ms(at));
    }
    let mut now = ms(80);
    while let Some(at) = reassembler.next_timeout() {
        assert!(at > now, "{at:?} at {now:?}");
        now = at;
        frames(&mut reassembler, now);
        nacks(&mut reassembler, now);
    }
    assert!(now >= ms(80) + NackConfig::default().give_up && reassembler.is_empty(), "{now:?}");
}
