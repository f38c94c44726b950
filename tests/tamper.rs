//! A relay tampers with 100,000 packets, and the receiver accepts none of them.
//!
//! The relay has all packets of a call of two senders in two epochs. It changes them in many ways, puts the frames
//! together again as a receiver does, and the receiver opens them. The test also makes the changes that a relay is
//! allowed to make, and the receiver has to accept those.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use layercast::e2ee::*;
use layercast::rtp::descriptor::{DependencyDescriptor, DependencyStructure, Describer};
use layercast::rtp::packet::{RtpPacket, RtpPacketMut};
use layercast::rtp::payload::sframe;
use layercast::rtp::{OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

const NOW: Time = Time::ZERO;
const DESCRIPTOR: u8 = 3;
const MODES: [ScalabilityMode; 2] = [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key];

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// The packets of one frame, and what is in it.
#[derive(Clone)]
struct Frame {
    sender: u32,
    epoch: u64,
    packets: Vec<Bytes>,
    payload: Vec<u8>,
}

/// The frames of a sender in an epoch.
fn send(agreed: Agreement, sender: u32, epoch: u64, random: &mut Random) -> (Grant, Vec<Frame>) {
    let mut keys = SenderKeys::fresh(agreed, sender, epoch).unwrap();
    let mut sealer = keys.video(0).unwrap();
    let config = PacketizerConfig {
        max_packet: 150,
        ..PacketizerConfig::new(PayloadFormat::Sframe, DESCRIPTOR, 96, sender)
    };
    let mut packetizer = Packetizer::new(config);
    let mode = MODES[epoch as usize % 2];
    let (mut planner, mut describer) = (Planner::new(mode, Size::new(640, 360)), Describer::new());
    let wanted = DecodeTargets::all(mode.structure());
    let mut frames = Vec::new();
    for _ in 0..12 {
        let picture = planner.next(PictureRequest { wanted, ..Default::default() });
        for descriptor in describer.describe(&picture).unwrap() {
            let payload: Vec<u8> = (0..1 + random.below(200)).map(|_| random.below(256) as u8).collect();
            let mut sealed = BytesMut::new();
            sealer.seal(&descriptor, SealedUnit::Frame, &payload, &mut sealed).unwrap();
            let mut packets = Packets::new();
            let frame = OutgoingFrame {
                payload: &sealed,
                descriptor: &descriptor,
                timestamp: 3000 * frames.len() as u32,
                end_of_picture: true,
            };
            packetizer.packetize(&frame, &mut packets).unwrap();
            let packets = packets.drain().collect();
            frames.push(Frame { sender, epoch, packets, payload });
        }
    }
    (keys.grant().clone(), frames)
}

/// A receiver of one sender in one epoch: whether it takes a frame, and what it makes of it.
fn receive(
    opener: &mut VideoOpener,
    keys: &KeyRing,
    structure: &DependencyStructure,
    packets: &[Bytes],
) -> Result<BytesMut, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut payloads = Vec::new();
    let mut first: Option<DependencyDescriptor> = None;
    for packet in packets {
        let packet = RtpPacket::read(packet).map_err(|e| text(&e))?;
        let bytes = packet.extension(DESCRIPTOR).map_err(|e| text(&e))?.ok_or("no descriptor")?;
        let descriptor = DependencyDescriptor::read(bytes, Some(structure)).map_err(|e| text(&e))?;
        if first.as_ref().is_some_and(|first| {
            (first.frame_number, first.template_id) != (descriptor.frame_number, descriptor.template_id)
        }) {
            return Err("packets of two frames".into());
        }
        first.get_or_insert(descriptor);
        payloads.push(Bytes::copy_from_slice(packet.payload));
    }
    let (sframe, packetized) = sframe::join(&payloads).map_err(|e| text(&e))?;
    let unit = if packetized { SealedUnit::Packet { index: 0, last: true } } else { SealedUnit::Frame };
    let mut frame = BytesMut::from(&sframe[..]);
    let first = first.ok_or("no packet")?;
    opener.open(NOW, keys, &first, unit, &mut frame).map_err(|e| text(&e))?;
    Ok(frame)
}

/// Where in a packet the descriptor lies.
fn descriptor_range(packet: &Bytes) -> std::ops::Range<usize> {
    let parsed = RtpPacket::read(packet).unwrap();
    let bytes = parsed.extension(DESCRIPTOR).unwrap().unwrap();
    let at = bytes.as_ptr() as usize - packet.as_ptr() as usize;
    at..at + bytes.len()
}

fn flip(packet: &mut Bytes, byte: usize, bit: usize) {
    let mut bytes = BytesMut::from(&packet[..]);
    bytes[byte] ^= 1 << bit;
    *packet = bytes.freeze();
}

#[test]
fn none_of_100_000_tampered_packets_is_accepted() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut tampered = [0usize; 8];
    let mut reasons = std::collections::BTreeMap::<String, usize>::new();
    for binding in [Binding::Inside, Binding::Metadata, Binding::Page] {
        let agreed = Agreement { binding, ..Agreement::default() };
        let mut ring = KeyRing::new(agreed, Duration::from_secs(5));
        let mut sent = Vec::new();
        for sender in 0..2 {
            for epoch in 0..2 {
                let (grant, frames) = send(agreed, sender, epoch, &mut random);
                ring.add(NOW, grant);
                sent.push(frames);
            }
        }
        let all: Vec<&Frame> = sent.iter().flatten().collect();
        // With `Binding::Page`, what a relay says may be the same to a page although it is not the same.
        let is_same = |structure: &DependencyStructure, packets: &[Bytes], payloads_of: &Frame| {
            let of = |frames: &&Vec<Frame>| {
                (frames[0].sender, frames[0].epoch) == (payloads_of.sender, payloads_of.epoch)
            };
            let theirs = structure_of(&sent.iter().find(of).unwrap()[0]);
            binding == Binding::Page
                && page_s_view(structure, &packets[0]) == page_s_view(&theirs, &payloads_of.packets[0])
        };
        for frames in &sent {
            let structure = structure_of(&frames[0]);
            let mut opener = VideoOpener::new(agreed, frames[0].sender, 0);
            let accepted = receive(&mut opener, &ring, &structure, &frames[0].packets).unwrap();
            assert_eq!(accepted, frames[0].payload);
            // Every second frame arrives after the tampering, so that there is something to disturb.
            for frame in frames[1..].iter().step_by(2) {
                receive(&mut opener, &ring, &structure, &frame.packets).unwrap();
            }
            let mut left = 8334;
            while left > 0 {
                // One that is still to come: it is not refused just because it came before.
                let index = 2 + 2 * random.below((frames.len() - 1) / 2);
                let (mut packets, honest) = (frames[index].packets.clone(), &frames[index]);
                let at = random.below(packets.len());
                let kind = random.below(tampered.len());
                match kind {
                    // A bit of the payload, its header included; or of the descriptor.
                    0 => {
                        let range = RtpPacket::read(&packets[at]).unwrap().payload_range;
                        // The reserved bits of the payload header mean nothing.
                        let (byte, bit) = (random.below(range.len()), random.below(8));
                        let bit = if byte == 0 { 5 + bit % 3 } else { bit };
                        flip(&mut packets[at], range.start + byte, bit);
                    }
                    1 => {
                        let range = descriptor_range(&packets[at]);
                        // Start and end of the frame are the relay's to say, as are the others' descriptors
                        // where a frame's first is the one that counts.
                        let (byte, bit) = (random.below(range.len().min(3)), random.below(8));
                        let bit = if byte == 0 { bit % 6 } else { bit };
                        flip(&mut packets[0], descriptor_range(&honest.packets[0]).start + byte, bit);
                        if descriptor_range(&packets[0]).len() > 3 {
                            continue;
                        }
                        let changed = packets[0].slice(descriptor_range(&honest.packets[0]));
                        for packet in &mut packets[1..] {
                            let range = descriptor_range(packet);
                            let mut bytes = BytesMut::from(&packet[..]);
                            bytes[range.start..][..3].copy_from_slice(&changed[..3]);
                            *packet = bytes.freeze();
                        }
                        if is_same(&structure, &packets, honest) {
                            continue;
                        }
                    }
                    // Any bit of the RTP header or extension that changes how the packet is read.
                    2 => {
                        let byte = *[0, 12, 13, 14, 15, 16].get(random.below(6)).unwrap();
                        flip(&mut packets[at], byte, random.below(8));
                        if same_reading(&packets[at], &honest.packets[at]) {
                            continue;
                        }
                    }
                    // The payloads of another frame: of this stream, another sender, another epoch.
                    3 => {
                        let other = all[random.below(all.len())];
                        if std::ptr::eq(other, honest) {
                            continue;
                        }
                        packets = with_payloads(honest, other);
                        if is_same(&structure, &packets, other) {
                            continue;
                        }
                    }
                    // One packet of another frame.
                    4 => {
                        let other = all[random.below(all.len())];
                        let by = other.packets[random.below(other.packets.len())].clone();
                        if packets.len() == 1 || packets.contains(&by) {
                            continue;
                        }
                        packets[at] = by;
                    }
                    // Another sender's or epoch's frame as it is, or this one's that came before.
                    5 => {
                        let other = all[random.below(all.len())];
                        let place = frames.iter().position(|frame| std::ptr::eq(frame, other));
                        // One that is to come is no replay.
                        if place.is_some_and(|place| place != 0 && place % 2 == 0) {
                            continue;
                        }
                        if (other.sender, other.epoch) != (honest.sender, honest.epoch)
                            && other.sender == honest.sender
                        {
                            // Of the same sender's other epoch: under this epoch's descriptors.
                            packets = with_payloads(honest, other);
                            if is_same(&structure, &packets, other) {
                                continue;
                            }
                        } else {
                            packets = other.packets.clone();
                        }
                    }
                    // Packets left out, doubled, or in another order.
                    6 => {
                        match random.below(3) {
                            0 => drop(packets.remove(at)),
                            1 => packets.insert(at, packets[at].clone()),
                            _ => packets.reverse(),
                        }
                        if packets == honest.packets {
                            continue;
                        }
                    }
                    // The end cut off.
                    _ => {
                        let range = RtpPacket::read(&packets[at]).unwrap().payload_range;
                        let end = range.start + random.below(range.len());
                        packets[at].truncate(end);
                    }
                }
                match receive(&mut opener, &ring, &structure, &packets) {
                    Ok(_) => panic!("{binding:?}: accepted, of kind {kind}: frame {index}, packet {at}"),
                    Err(reason) => {
                        let reason: String = reason.chars().filter(|c| !c.is_ascii_digit()).collect();
                        *reasons.entry(reason).or_default() += 1;
                    }
                }
                tampered[kind] += 1;
                left -= 1;
            }
            // None of it did any harm: what had not come before still opens, after what relays do all day.
            for frame in frames[2..].iter().step_by(2) {
                let mut packets = frame.packets.clone();
                for (number, packet) in packets.iter_mut().enumerate() {
                    let mut bytes = BytesMut::from(&packet[..]);
                    let mut rtp = RtpPacketMut::new(&mut bytes).unwrap();
                    rtp.set_sequence_number(7000 + number as u16);
                    rtp.set_timestamp(1);
                    rtp.set_ssrc(0xdead_beef);
                    *packet = bytes.freeze();
                }
                let opened = receive(&mut opener, &ring, &structure, &packets).unwrap();
                assert_eq!(opened, frame.payload);
                assert!(receive(&mut opener, &ring, &structure, &packets).is_err());
            }
        }
    }
    println!("{tampered:?}: {reasons:#?}");
    assert!(tampered.iter().sum::<usize>() >= 100_000);
    assert!(tampered.iter().all(|&count| count > 5000), "{tampered:?}");
}

fn structure_of(key: &Frame) -> Arc<DependencyStructure> {
    let bytes = &key.packets[0][descriptor_range(&key.packets[0])];
    DependencyDescriptor::read(bytes, None).unwrap().structure.unwrap()
}

/// What a page sees of a frame, by its first packet.
fn page_s_view(structure: &DependencyStructure, packet: &Bytes) -> Option<(u16, LayerId, Vec<u16>)> {
    let descriptor = DependencyDescriptor::read(&packet[descriptor_range(packet)], Some(structure)).ok()?;
    let frame = descriptor.dependencies(structure).ok()?;
    let mut diffs = frame.frame_diffs.to_vec();
    diffs.sort_unstable();
    Some((descriptor.frame_number, frame.layer, diffs))
}

/// Whether a receiver cannot tell the two apart, apart from what a relay may change.
fn same_reading(a: &Bytes, b: &Bytes) -> bool {
    let (Ok(a), Ok(b)) = (RtpPacket::read(a), RtpPacket::read(b)) else { return false };
    a.payload == b.payload && a.extension(DESCRIPTOR) == b.extension(DESCRIPTOR)
}

/// The headers of one frame with the payloads of another.
fn with_payloads(headers: &Frame, payloads: &Frame) -> Vec<Bytes> {
    let header = &headers.packets[0];
    let header = &header[..RtpPacket::read(header).unwrap().payload_range.start];
    let joined = payloads.packets.iter().map(|packet| {
        let mut bytes = BytesMut::from(header);
        bytes.extend_from_slice(RtpPacket::read(packet).unwrap().payload);
        bytes.freeze()
    });
    joined.collect()
}
