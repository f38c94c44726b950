//! Frames of any bytes and sizes become packets of the size that was agreed on, or are refused; a reassembler makes the
//! same frames of them in any order, and what was sent can be sent again.
#![no_main]

use bytes::Bytes;
use layercast::Size;
use layercast::Time;
use layercast::rtp::descriptor::Describer;
use layercast::rtp::{
    OutgoingFrame, Packetizer, PacketizerConfig, Packets, PayloadFormat, Reassembler, ReassemblerConfig,
    ReassemblerEvent, RtpPacket, SentPackets,
};
use layercast::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};
use layercast_fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let format = *input.pick(&[PayloadFormat::Sframe, PayloadFormat::Av1, PayloadFormat::Opaque]);
    let (descriptor_id, max_packet) = (input.byte(), usize::from(input.u16()) % 1500);
    let config = PacketizerConfig::new(format, descriptor_id, input.byte(), 1);
    let mut packetizer =
        Packetizer::new(PacketizerConfig { first_sequence_number: input.u16(), max_packet, ..config });
    let config =
        ReassemblerConfig { adopt_structures: true, ..ReassemblerConfig::new(format, descriptor_id) };
    let mut reassembler = Reassembler::new(config);
    let mut history = SentPackets::new(input.byte().into());
    let (mut planner, mut describer) =
        (Planner::new(ScalabilityMode::L2T2, Size::new(640, 360)), Describer::new());
    let wanted = DecodeTargets::all(planner.structure());
    while !input.is_empty() {
        let plan = planner.next(PictureRequest { wanted, ..PictureRequest::default() });
        for descriptor in describer.describe(&plan).unwrap() {
            let (order, times) = (input.byte(), 1 + usize::from(input.byte() % 16));
            let payload = input.bytes().repeat(times);
            let frame = OutgoingFrame {
                payload: &payload,
                descriptor: &descriptor,
                timestamp: 1,
                end_of_picture: order & 1 != 0,
            };
            let mut packets = Packets::new();
            if packetizer.packetize(&frame, &mut packets).is_err() {
                assert!(packets.is_empty());
                // The receiver cannot do without the first frame of a sequence.
                if descriptor.structure.is_some() {
                    return;
                }
                continue;
            }
            let mut packets: Vec<Bytes> = packets.drain().collect();
            assert!(!packets.is_empty() && packets.iter().all(|packet| packet.len() <= max_packet));
            for packet in &packets {
                history.insert(Time::ZERO, packet.clone());
                let number = RtpPacket::read(packet).unwrap().header.sequence_number;
                // Nothing else comes out, and that until the budget is used up.
                assert!(history.resend(Time::ZERO, number).all(|again| again == packet));
            }
            // A lone packet more than 64 numbers ahead is not believed.
            if packets.len() <= 64 {
                if order & 2 != 0 {
                    packets.reverse();
                }
                let middle = usize::from(order) % packets.len();
                packets.rotate_left(middle);
            }
            for packet in packets {
                reassembler.push(Time::ZERO, packet).unwrap();
            }
            let frame = reassembler.poll(Time::ZERO);
            let Some(ReassemblerEvent::Frame(frame)) = frame else { panic!("{frame:?}") };
            assert_eq!(frame.descriptor.frame_number, descriptor.frame_number);
            assert_eq!(frame.marker, order & 1 != 0);
            if format != PayloadFormat::Av1 {
                assert_eq!(frame.payload, payload);
            }
        }
    }
});
