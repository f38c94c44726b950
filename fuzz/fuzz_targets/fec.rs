//! Parity packets of anybody among packets of a stream: what is made of them is bounded, and with those of the stream's
//! own it is the packet that was lost.
//!
//! Each step is a kind, a length and that many bytes.
#![no_main]

use bytes::Bytes;
use layercast::rtp::RtpHeader;
use layercast::rtp::fec::{FecStream, Protector, Recoverer};
use layercast::rtp::reassembler::MAX_PACKET;
use layercast_fuzz::{Input, timed};
use libfuzzer_sys::fuzz_target;

const SSRC: u32 = 7;

fn packet(sequence_number: u16, payload: &[u8]) -> Bytes {
    let header = RtpHeader { payload_type: 45, sequence_number, ssrc: SSRC, ..RtpHeader::default() };
    let mut packet = vec![];
    header.write(&[(5, &sequence_number.to_be_bytes())], &mut packet).unwrap();
    packet.extend_from_slice(payload);
    packet.into()
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let stream = FecStream { ssrc: 8, payload_type: 49, protected_ssrc: SSRC, transport_id: Some(5) };
    let mut protector = Protector::new(stream, 0);
    let mut recoverer = Recoverer::new(SSRC, Some(5));
    let mut number = 0_u16;
    while !input.is_empty() {
        let kind = input.byte();
        let bytes = input.bytes();
        match kind & 3 {
            // A parity packet of any bytes, or one whose header is of this stream.
            0 => drop(recoverer.handle_parity(&Bytes::copy_from_slice(bytes))),
            1 => {
                let header =
                    RtpHeader { ssrc: 8, csrcs: [SSRC].into_iter().collect(), ..RtpHeader::default() };
                let mut parity = vec![];
                header.write(&[], &mut parity).unwrap();
                parity.push(0x40);
                parity.extend_from_slice(bytes);
                let _ = timed("parity", || recoverer.handle_parity(&parity.into()));
            }
            // A packet of any bytes.
            2 => recoverer.handle_packet(Bytes::copy_from_slice(bytes)),
            // A picture of which one packet is lost, but for its number on the path.
            _ => {
                let packets: Vec<Bytes> = (0..)
                    .zip(bytes.chunks(20))
                    .map(|(n, chunk)| packet(number.wrapping_add(n), chunk))
                    .collect();
                let mut parity = vec![];
                protector.protect(packets.iter().map(|packet| &packet[..]), &mut parity);
                for (at, packet) in packets.iter().enumerate() {
                    if at != usize::from(kind >> 2) {
                        recoverer.handle_packet(packet.clone());
                    }
                }
                for parity in &parity {
                    recoverer.handle_parity(parity).unwrap();
                }
                number = number.wrapping_add(packets.len() as u16);
            }
        }
        let mut made = 0;
        while let Some(packet) = timed("made", || recoverer.poll()) {
            made += 1;
            assert!(made <= 32 && packet.len() <= MAX_PACKET + 24);
            recoverer.handle_packet(packet);
        }
    }
});
