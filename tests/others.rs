//! Data of other implementations, in `test-vectors/others`: the crate reads it as they mean it, and writes it as they do.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use layercast::bitstream::{FrameType, HeaderReader, ObuType, obus};
use layercast::rtp::descriptor::{DecodeTargetIndication, DependencyDescriptor, DependencyStructure};
use layercast::rtp::payload::av1;
use layercast::rtp::{
    OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat, Reassembler, ReassemblerConfig,
    ReassemblerEvent, ReceivedFrame, RtpPacket,
};
use layercast::{Size, Time};
use serde_json::Value;

/// The identifier of the Dependency Descriptor's extension in Chromium's captures.
const CHROMIUM_DESCRIPTOR_ID: u8 = 13;

fn text(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("test-vectors/others").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.trim().chars().map(|digit| digit.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn hex_of(value: &Value) -> Vec<u8> {
    bytes(value.as_str().unwrap())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<u64> {
    list(value).iter().map(|number| number.as_u64().unwrap()).collect()
}

fn size(value: &Value) -> Size {
    let [width, height] = numbers(value)[..] else { panic!("{value} is no size") };
    Size::new(width as u32, height as u32)
}

/// A list of the crate as numbers, as the vectors have them.
fn widened<T: Copy + Into<u64>>(list: &[T]) -> Vec<u64> {
    list.iter().map(|&number| number.into()).collect()
}

fn symbols(indications: &[DecodeTargetIndication]) -> String {
    indications
        .iter()
        .map(|indication| match indication {
            DecodeTargetIndication::NotPresent => '-',
            DecodeTargetIndication::Discardable => 'D',
            DecodeTargetIndication::Switch => 'S',
            DecodeTargetIndication::Required => 'R',
        })
        .collect()
}

/// Holds a structure against its description.
fn compare_structure(structure: &DependencyStructure, expected: &Value, name: &str) {
    assert_eq!(expected["template_id_offset"], structure.template_id_offset, "{name}");
    assert_eq!(expected["decode_targets"], structure.decode_targets, "{name}");
    assert_eq!(expected["chains"], structure.chains, "{name}");
    assert_eq!(numbers(&expected["protected_by"]), widened(&structure.protected_by), "{name}");
    assert_eq!(list(&expected["templates"]).len(), structure.templates.len(), "{name}");
    for (template, expected) in structure.templates.iter().zip(list(&expected["templates"])) {
        assert_eq!(expected["sid"], template.layer.spatial_id, "{name}");
        assert_eq!(expected["tid"], template.layer.temporal_id, "{name}");
        assert_eq!(expected["dti"], symbols(&template.decode_target_indications), "{name}");
        assert_eq!(numbers(&expected["fdiffs"]), widened(&template.frame_diffs), "{name}");
        assert_eq!(numbers(&expected["chain_fdiffs"]), widened(&template.chain_diffs), "{name}");
    }
    for (target, layer) in (0..).zip(list(&expected["decode_target_layers"])) {
        let ours = structure.decode_target_layer(target);
        assert_eq!(numbers(layer), widened(&[ours.spatial_id, ours.temporal_id]), "{name}");
    }
    let resolutions = &expected["resolutions"];
    let resolutions =
        if resolutions.is_null() { vec![] } else { list(resolutions).iter().map(size).collect() };
    assert_eq!(structure.resolutions[..], resolutions[..], "{name}");
}

#[test]
fn descriptors_are_read_and_written_as_their_senders_mean_them() {
    let mut count = 0;
    for sequence in list(&json("descriptors.json")) {
        let name = sequence["name"].as_str().unwrap();
        let mut known: Option<Arc<DependencyStructure>> = None;
        for entry in list(&sequence["descriptors"]) {
            let (sent, expected) = (hex_of(&entry["hex"]), &entry["decoded"]);
            let read = DependencyDescriptor::read(&sent, known.as_deref()).unwrap();
            assert_eq!(expected["start"], read.start_of_frame, "{name}");
            assert_eq!(expected["end"], read.end_of_frame, "{name}");
            assert_eq!(expected["template_id"], read.template_id, "{name}");
            assert_eq!(expected["frame_number"], read.frame_number, "{name}");
            let flags = &expected["flags"];
            assert_eq!(flags["structure"], read.structure.is_some(), "{name}");
            assert_eq!(flags["active_dt"], read.active_decode_targets.is_some(), "{name}");
            assert_eq!(flags["custom_dtis"], read.custom_indications.is_some(), "{name}");
            assert_eq!(flags["custom_fdiffs"], read.custom_frame_diffs.is_some(), "{name}");
            assert_eq!(flags["custom_chains"], read.custom_chain_diffs.is_some(), "{name}");
            let mut active = read.active_decode_targets;
            if let Some(structure) = &read.structure {
                compare_structure(structure, &expected["structure"], name);
                active = active.or(Some(structure.all_decode_targets()));
                known = Some(Arc::clone(structure));
            }
            assert_eq!(expected["active_decode_targets"].as_u64(), active.map(u64::from), "{name}");
            let structure = known.as_ref().unwrap();
            let frame = read.dependencies(structure).unwrap();
            let expected = &expected["frame"];
            assert_eq!(expected["sid"], frame.layer.spatial_id, "{name}");
            assert_eq!(expected["tid"], frame.layer.temporal_id, "{name}");
            assert_eq!(expected["dti"], symbols(&frame.decode_target_indications), "{name}");
            assert_eq!(numbers(&expected["fdiffs"]), widened(&frame.frame_diffs), "{name}");
            assert_eq!(numbers(&expected["chain_fdiffs"]), widened(&frame.chain_diffs), "{name}");
            let resolution = &expected["resolution"];
            assert_eq!((!resolution.is_null()).then(|| size(resolution)), frame.resolution, "{name}");
            let mut written = vec![];
            read.write(structure, &mut written).unwrap();
            assert_eq!(written, sent, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 31);
}

#[test]
fn packets_are_read_and_written() {
    let packets = json("rtp_packets.json");
    let mut known: Option<(&str, Arc<DependencyStructure>)> = None;
    for entry in list(&packets["packets"]) {
        let (name, packet) = (entry["name"].as_str().unwrap(), hex_of(&entry["hex"]));
        let read = RtpPacket::read(&packet).unwrap();
        let id = entry["ext_id_dd"].as_u64().unwrap() as u8;
        if let Some(ssrc) = entry["ssrc"].as_str() {
            assert_eq!(format!("{:08x}", read.header.ssrc), ssrc, "{name}");
        }
        let from = entry["structure_from"].as_str();
        let structure = known.as_ref().filter(|(name, _)| Some(*name) == from).map(|(_, known)| &**known);
        let descriptor = read.extension(id).unwrap().unwrap();
        let descriptor = DependencyDescriptor::read(descriptor, structure).unwrap();
        let structure = descriptor.structure.as_deref().or(structure).unwrap();
        // The peer lists the active layers: spatial and temporal id, height, and a frame rate that it guesses.
        if let Some(layers) = entry["layers"].as_array() {
            let active = descriptor.active_decode_targets.unwrap_or(structure.all_decode_targets());
            let targets: Vec<u8> = (0..structure.decode_targets).filter(|t| active >> t & 1 != 0).collect();
            assert_eq!(targets.len(), layers.len(), "{name}");
            for (target, layer) in targets.into_iter().zip(layers) {
                let ours = structure.decode_target_layer(target);
                assert_eq!(layer[0], ours.spatial_id, "{name}");
                assert_eq!(layer[1], ours.temporal_id, "{name}");
                let Size { width, height } = structure.resolutions[usize::from(ours.spatial_id)];
                assert_eq!(layer[2], width.min(height), "{name}");
            }
        }
        let extensions: Vec<_> = read.extensions.collect::<Result<_, _>>().unwrap();
        let mut again = vec![];
        read.header.write(&extensions, &mut again).unwrap();
        again.extend_from_slice(read.payload);
        let again = RtpPacket::read(&again).unwrap();
        assert_eq!((&again.header, again.payload), (&read.header, read.payload), "{name}");
        assert_eq!(again.extensions.collect::<Result<Vec<_>, _>>().unwrap(), extensions, "{name}");
        if let Some(structure) = descriptor.structure {
            known = Some((name, structure));
        }
    }
    assert_eq!(list(&packets["packets"]).len(), 5);
}

#[test]
fn payloads_are_put_together_as_libwebrtc_does() {
    let cases = json("av1_assemble.json");
    for case in list(&cases["cases"]) {
        let payloads: Vec<Vec<u8>> = list(&case["payloads"]).iter().map(hex_of).collect();
        let mut assembled = vec![];
        av1::depacketize(&payloads, &mut assembled).unwrap();
        assert_eq!(assembled, hex_of(&case["assembled"]), "{}", case["name"]);
    }
    assert_eq!(list(&cases["cases"]).len(), 12);
    assert_eq!(av1::depacketize([bytes("9808")], &mut vec![]), Err(av1::Av1PayloadError::Sequence));
}

/// The whole frames of a capture, whose packets come `order`ed.
fn reassembled(name: &str, format: PayloadFormat, order: impl FnOnce(&mut [Bytes])) -> Vec<ReceivedFrame> {
    let mut packets: Vec<Bytes> = text(name).lines().map(|line| bytes(line).into()).collect();
    assert_eq!(packets.len(), 200);
    order(&mut packets);
    let config = ReassemblerConfig::new(format, CHROMIUM_DESCRIPTOR_ID);
    let mut reassembler = Reassembler::new(ReassemblerConfig { adopt_structures: true, ..config });
    let mut frames = vec![];
    for packet in packets {
        reassembler.push(Time::ZERO, packet).unwrap();
        while let Some(event) = reassembler.poll(Time::ZERO) {
            match event {
                ReassemblerEvent::Frame(frame) => frames.push(frame),
                other => panic!("{other:?}"),
            }
        }
    }
    frames.sort_by_key(|frame| frame.descriptor.frame_number);
    frames
}

/// Every descriptor of a capture is written as Chromium wrote it.
fn check_descriptors(name: &str) {
    let mut known: Option<Arc<DependencyStructure>> = None;
    for packet in text(name).lines().map(bytes) {
        let packet = RtpPacket::read(&packet).unwrap();
        let sent = packet.extension(CHROMIUM_DESCRIPTOR_ID).unwrap().unwrap();
        let read = DependencyDescriptor::read(sent, known.as_deref()).unwrap();
        known = read.structure.clone().or(known);
        let mut written = vec![];
        read.write(known.as_ref().unwrap(), &mut written).unwrap();
        assert_eq!(written, sent);
    }
}

/// The packets in another order: each eight of them the other way round, behind the first packet.
fn shuffled(packets: &mut [Bytes]) {
    packets[1..].chunks_mut(8).for_each(<[Bytes]>::reverse);
}

#[test]
fn chromium_s_packets_become_frames() {
    let name = "chrome-L3T3-plain.rtp.hex";
    check_descriptors(name);
    let frames = reassembled(name, PayloadFormat::Av1, |_| {});
    let payloads =
        |frames: &[ReceivedFrame]| -> Vec<_> { frames.iter().map(|f| f.payload.clone()).collect() };
    assert_eq!(payloads(&frames), payloads(&reassembled(name, PayloadFormat::Av1, shuffled)));
    // The last frame's end was not captured.
    let numbers: Vec<_> = frames.iter().map(|frame| frame.descriptor.frame_number).collect();
    assert_eq!(numbers, (1..=73).collect::<Vec<u16>>());
    for pair in frames.windows(2) {
        assert_eq!(pair[0].marker, pair[0].timestamp != pair[1].timestamp, "the last of its picture");
    }
    let mut reader = HeaderReader::new();
    for frame in &frames {
        let number = frame.descriptor.frame_number;
        let key = frame.descriptor.structure.is_some();
        let read: Vec<_> = reader.temporal_unit(&frame.payload).collect::<Result<_, _>>().unwrap();
        let [info] = &read[..] else { panic!("{} frames in frame {number}", read.len()) };
        assert_eq!(info.layer(), frame.dependencies.layer, "{number}");
        assert_eq!(info.header.frame_type == FrameType::Key, key, "{number}");
        assert_eq!(
            obus(&frame.payload).next().unwrap().unwrap().header.obu_type == ObuType::SequenceHeader,
            key
        );
    }
}

/// The capture of sealed frames.
const SEALED: &str = "chrome-L3T3_KEY-sealed.rtp.hex";

/// The SFrames of the sealed capture: each is the payload of one OBU.
fn sealed() -> Vec<(ReceivedFrame, Bytes)> {
    check_descriptors(SEALED);
    let frames = reassembled(SEALED, PayloadFormat::Av1, shuffled);
    let sframe = |frame: ReceivedFrame| {
        let mut obus = obus(&frame.payload).map(Result::unwrap);
        let (obu, none) = (obus.next().unwrap(), obus.next());
        assert_eq!(none, None);
        let first = frame.descriptor.structure.is_some();
        let obu_type = if first { ObuType::SequenceHeader } else { ObuType::Frame };
        assert_eq!((obu.header.obu_type, obu.header.extension), (obu_type, None));
        let sframe = Bytes::copy_from_slice(obu.payload);
        (frame, sframe)
    };
    frames.into_iter().map(sframe).collect()
}

#[test]
fn chromium_s_sealed_frames_are_an_sframe_in_an_obu_each() {
    let sealed = sealed();
    let numbers: Vec<_> = sealed.iter().map(|(frame, _)| frame.descriptor.frame_number).collect();
    assert_eq!(numbers, (1..=73).collect::<Vec<u16>>());
    // Key id 1 and a counter, in one byte or more.
    assert!(sealed.iter().all(|(_, sframe)| sframe[0] >> 4 == 1));
}

/// The format for it takes the SFrames out, and puts them into packets as Chromium did.
#[test]
fn chromium_s_sealed_frames_are_opaque_payloads() {
    let sealed = sealed();
    let frames = reassembled(SEALED, PayloadFormat::Opaque, shuffled);
    assert_eq!(frames.len(), sealed.len());
    for (frame, (_, sframe)) in frames.iter().zip(&sealed) {
        assert_eq!(frame.payload, sframe, "frame {}", frame.descriptor.frame_number);
    }

    let packets: Vec<Vec<u8>> = text(SEALED).lines().map(bytes).collect();
    let payloads = |frame: &ReceivedFrame| -> Vec<&[u8]> {
        let read = packets.iter().map(|packet| RtpPacket::read(packet).unwrap());
        let number = |packet: &RtpPacket<'_>| {
            let descriptor = packet.extension(CHROMIUM_DESCRIPTOR_ID).unwrap().unwrap();
            u16::from_be_bytes([descriptor[1], descriptor[2]])
        };
        read.filter(|read| number(read) == frame.descriptor.frame_number).map(|read| read.payload).collect()
    };
    let config = PacketizerConfig::new(PayloadFormat::Opaque, CHROMIUM_DESCRIPTOR_ID, 45, 1);
    let mut packetizer = Packetizer::new(config);
    let mut same = 0;
    for frame in &frames {
        let mut ours = Packets::new();
        let outgoing = OutgoingFrame {
            payload: &frame.payload,
            descriptor: &frame.descriptor,
            timestamp: frame.timestamp,
            end_of_picture: frame.marker,
        };
        packetizer.packetize(&outgoing, &mut ours).unwrap();
        let ours: Vec<_> = ours.iter().map(|packet| RtpPacket::read(packet).unwrap().payload).collect();
        let theirs = payloads(frame);
        if ours.len() == 1 && theirs.len() == 1 {
            assert_eq!(ours, theirs, "frame {}", frame.descriptor.frame_number);
            same += 1;
        } else if ours.len() > 1 && theirs.len() > 1 {
            // They divide the bytes in another way.
            assert_eq!(ours[0][..2], theirs[0][..2], "frame {}", frame.descriptor.frame_number);
            assert_eq!(ours[ours.len() - 1][0], theirs[theirs.len() - 1][0]);
        }
    }
    assert_eq!(same, 36, "frames of one packet");
}

/// The one key of the capture.
#[cfg(feature = "e2ee")]
struct Page;

#[cfg(feature = "e2ee")]
impl layercast::e2ee::KeySource for Page {
    fn epoch(&self, _: Time, key_id: u64) -> Option<u64> {
        (key_id == 1).then_some(1)
    }

    fn base_key(&self, _: u64, _: u64) -> Option<layercast::e2ee::BaseKey> {
        Some(layercast::e2ee::BaseKey::new((0..32).collect()))
    }
}

/// Sealed anew with keys of ours, in the same form, Chromium's frames go through the whole of a receiver, and it shows the
/// same pictures as without encryption.
#[cfg(all(feature = "session", feature = "decoder"))]
#[test]
fn chromium_s_frames_are_shown() {
    use bytes::BytesMut;
    use layercast::e2ee::{Agreement, Binding, KeyRing, Opener, SealedUnit, SenderKeys, VideoOpener};
    use layercast::session::{ReceiverOutput, VideoReceiver, VideoReceiverConfig};
    use layercast::structure::LayerId;

    const SSRC: u32 = 9;
    let agreement = Agreement { binding: Binding::Page, ..Agreement::default() };
    let shown = |sealed_for_us: bool| {
        let mut keys = SenderKeys::fresh(agreement, 3, 0).unwrap();
        let mut sealer = keys.video(0).unwrap();
        let mut ring = KeyRing::new(agreement, std::time::Duration::from_secs(5));
        ring.add(Time::ZERO, keys.grant().clone());
        let opener = sealed_for_us.then(|| (VideoOpener::new(agreement, 3, 0), ring));
        let mut config = VideoReceiverConfig::new(SSRC, LayerId::new(2, 2));
        config.opaque = true;
        let mut receiver = VideoReceiver::new(config, opener).unwrap();
        let format = if sealed_for_us { PayloadFormat::Opaque } else { PayloadFormat::Av1 };
        let mut packetizer =
            Packetizer::new(PacketizerConfig::new(format, layercast::session::DESCRIPTOR_ID, 45, SSRC));
        let mut from_page = Opener::new(Agreement::default(), 0, layercast::e2ee::Context::video(0, 0));
        let mut pictures = vec![];
        for (frame, sframe) in sealed() {
            let mut opened = BytesMut::from(&sframe[..]);
            from_page.open(Time::ZERO, &Page, &metadata(&frame), &mut opened).unwrap();
            if sealed_for_us {
                let mut again = BytesMut::new();
                sealer.seal(&frame.descriptor, SealedUnit::Frame, &opened, &mut again).unwrap();
                opened = again;
            }
            let mut packets = Packets::new();
            let outgoing = OutgoingFrame {
                payload: &opened,
                descriptor: &frame.descriptor,
                timestamp: frame.timestamp,
                end_of_picture: frame.marker,
            };
            packetizer.packetize(&outgoing, &mut packets).unwrap();
            let now = Time::from_millis(11 * u64::from(frame.descriptor.frame_number));
            for packet in packets.drain() {
                receiver.handle_packet(now, packet);
                loop {
                    match receiver.poll(now) {
                        ReceiverOutput::Picture(shown) => pictures.push(shown.picture),
                        ReceiverOutput::Timeout(_) => break,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        pictures
    };
    let sealed = shown(true);
    assert!(sealed.len() >= 24 && sealed[23].size() == Size::new(1280, 720), "{} pictures", sealed.len());
    assert!(sealed == shown(false));
}

/// Chromium empties its queue before a key picture: a frame is cut short, and the sequence numbers go on as if it was not. The
/// capture ends within a frame, and is sent twice. Nothing is asked for, and the key picture is shown at once.
#[cfg(feature = "session")]
#[test]
fn a_frame_that_chromium_cuts_short_before_a_key_picture_stops_nothing() {
    use layercast::rtp::rtcp::{self, RtcpMessage};
    use layercast::session::{ReceiverOutput, VideoReceiver, VideoReceiverConfig};
    use layercast::structure::LayerId;

    let packets: Vec<Vec<u8>> = text("chrome-L3T3-plain.rtp.hex").lines().map(bytes).collect();
    let ssrc = RtpPacket::read(&packets[0]).unwrap().header.ssrc;
    let mut config = VideoReceiverConfig::new(ssrc, LayerId::new(2, 2));
    (config.descriptor_id, config.transport_id) = (CHROMIUM_DESCRIPTOR_ID, None);
    let mut receiver = VideoReceiver::without_decoder(config, None);
    let first_timestamp = RtpPacket::read(&packets[0]).unwrap().header.timestamp;
    let mut rounds: [Vec<LayerId>; 2] = Default::default();
    // The second round begins four seconds after the first, with the numbers after its.
    let (mut now, frames, ticks) = (Time::ZERO, 74, 360_000);
    for round in 0..2 {
        for packet in &packets {
            let mut packet = packet.clone();
            let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(200 * round as u16);
            let timestamp = u32::from_be_bytes(packet[4..8].try_into().unwrap()).wrapping_add(ticks * round);
            packet[2..4].copy_from_slice(&number.to_be_bytes());
            packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            let at =
                RtpPacket::read(&packet).unwrap().extension_range(CHROMIUM_DESCRIPTOR_ID).unwrap().unwrap();
            let frame = u16::from_be_bytes([packet[at.start + 1], packet[at.start + 2]]);
            let frame = frame.wrapping_add(frames * round as u16);
            packet[at.start + 1..at.start + 3].copy_from_slice(&frame.to_be_bytes());
            now += std::time::Duration::from_millis(4);
            receiver.handle_packet(now, packet.into());
            loop {
                match receiver.poll(now) {
                    ReceiverOutput::Unit(unit) => {
                        let since = unit.timestamp.wrapping_sub(first_timestamp);
                        rounds[(since / ticks) as usize].push(unit.target);
                    }
                    ReceiverOutput::Transmit(packet) => {
                        for message in rtcp::read(&packet).map(Result::unwrap) {
                            assert!(matches!(message, RtcpMessage::ReceiverReport { .. }), "{message:?}");
                        }
                    }
                    ReceiverOutput::Timeout(_) => break,
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    // 24 whole pictures each, the first three in two layers, and what there is of the one that is cut short.
    for targets in rounds {
        assert!(
            targets.len() >= 24 && targets[3..24].iter().all(|target| target.spatial_id == 2),
            "{targets:?}"
        );
    }
}

/// What a page sees of a frame, as the capture's bound it.
#[cfg(feature = "e2ee")]
fn metadata(frame: &ReceivedFrame) -> Vec<u8> {
    let layer = frame.dependencies.layer;
    let mut diffs = frame.dependencies.frame_diffs.to_vec();
    diffs.sort_unstable();
    let mut metadata = frame.descriptor.frame_number.to_be_bytes().to_vec();
    metadata.extend([layer.spatial_id, layer.temporal_id, diffs.len() as u8]);
    metadata.extend(diffs.iter().flat_map(|diff| diff.to_be_bytes()));
    metadata
}

/// They open with the key that the page had, and what the page bound to them.
#[cfg(feature = "e2ee")]
#[test]
fn chromium_s_sealed_frames_open() {
    use bytes::BytesMut;
    use layercast::e2ee::{Agreement, Context, OpenError, Opener};

    let mut opener = Opener::new(Agreement::default(), 0, Context::video(0, 0));
    let mut reader = HeaderReader::new();
    for (frame, sframe) in sealed() {
        let mut metadata = metadata(&frame);
        let mut opened = BytesMut::from(&sframe[..]);
        opener.open(Time::ZERO, &Page, &metadata, &mut opened).unwrap();
        let read: Vec<_> = reader.temporal_unit(&opened).collect::<Result<_, _>>().unwrap();
        let [info] = &read[..] else { panic!("{} frames", read.len()) };
        assert_eq!(info.layer(), frame.dependencies.layer);
        // A relay that says it is another frame is found out.
        metadata[1] ^= 1;
        let mut relabelled = BytesMut::from(&sframe[..]);
        let mut another = Opener::new(Agreement::default(), 0, Context::video(0, 0));
        let refused = another.open(Time::ZERO, &Page, &metadata, &mut relabelled);
        assert_eq!(refused, Err(OpenError::NotAuthentic));
    }
}
