//! A sender with a path of its own, and RTCP of anybody: requests, reports and feedback about whatever packets. Nothing
//! panics, polling comes to an end and says when to come back, transport-wide numbers have no gap, and what waits has its
//! bound. A receiver that gets some of the packets, and any others, does the same.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use layercast::congestion::{PacketClass, PathPacket, SendPathConfig};
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::is_rtcp;
use layercast::session::{
    ReceiverOutput, SenderOutput, TRANSPORT_ID, VideoReceiver, VideoReceiverConfig, VideoSender,
    VideoSenderConfig,
};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};
use layercast_fuzz::Input;
use libfuzzer_sys::fuzz_target;

/// A frame in the clear: one OBU with a size, whose contents nobody looks at.
const FRAME: [u8; 40] = {
    let mut frame = [0; 40];
    (frame[0], frame[1]) = (0x32, 38);
    frame
};

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let mut config = VideoSenderConfig::new(7);
    config.path = (input.byte() & 1 == 0).then(|| SendPathConfig::new(input.u64() % 20_000_000));
    let has_path = config.path.is_some();
    let mut sender = VideoSender::without_encoder(config, None);
    let config = VideoReceiverConfig::new(7, LayerId::new(1, 1));
    let mut receiver = VideoReceiver::without_decoder(config, None);
    let mut planner = Planner::new(ScalabilityMode::L2T2, Size::new(64, 64));
    let (mut now, mut next_number) = (Time::ZERO, 0u16);
    while !input.is_empty() {
        match input.byte() % 6 {
            0 => {
                let refresh = sender.next_refresh(now);
                let wanted = DecodeTargets::all(planner.structure());
                let plan = planner.next(PictureRequest { refresh, wanted });
                sender.handle_coded(now, &plan, plan.frames.iter().map(|_| &FRAME[..])).unwrap();
            }
            1 => now += input.pause(),
            2 => sender.handle_feedback(now, input.bytes()),
            3 => {
                // Transport-wide feedback, and reports, that are right but for their contents.
                let (kind, mut body) = (input.byte(), input.bytes().to_vec());
                body.resize(body.len().next_multiple_of(4).max(24), 0);
                let head = match kind % 3 {
                    0 => [0x8f, 205],
                    1 => [0x81, 201],
                    _ => [0x80, 200],
                };
                let packet = [&head[..], &(body.len() as u16 / 4).to_be_bytes(), &body].concat();
                sender.handle_feedback(now, &packet);
                receiver.handle_packet(now, packet.into());
            }
            4 => {
                let packet = PathPacket {
                    class: *input.pick(&[PacketClass::Audio, PacketClass::Media]),
                    frame: input.u64(),
                    packet: Bytes::copy_from_slice(input.bytes()),
                };
                sender.handle_packet(now, packet);
            }
            _ => receiver.handle_packet(now, Bytes::copy_from_slice(input.bytes())),
        }
        let lost = input.byte();
        let mut count = 0;
        loop {
            count += 1;
            assert!(count < 100_000, "polling comes to an end");
            match sender.poll(now) {
                SenderOutput::Transmit(packet) => {
                    if let Ok(rtp) = RtpPacket::read(&packet)
                        && has_path
                        && (rtp.header.ssrc == 7 || rtp.payload.is_empty())
                        && !is_rtcp(&packet)
                        && let Ok(Some([high, low])) = rtp.extension(TRANSPORT_ID)
                    {
                        let number = u16::from_be_bytes([*high, *low]);
                        // Packets of other streams may have numbers too.
                        assert!(number.wrapping_sub(next_number) < 2048, "{number} after {next_number}");
                        next_number = number.wrapping_add(1);
                    }
                    if lost & 3 != 3 {
                        receiver.handle_packet(now, packet);
                    }
                }
                SenderOutput::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now));
                    break;
                }
                _ => {}
            }
        }
        if let Some(path) = sender.path() {
            assert!(path.queued_bytes() <= 1_000_000 && path.bitrate() < 1 << 40);
        }
        loop {
            match receiver.poll(now) {
                ReceiverOutput::Transmit(packet) => sender.handle_feedback(now, &packet),
                ReceiverOutput::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now));
                    break;
                }
                _ => {}
            }
        }
        now += Duration::from_millis(1);
    }
});
