//! What the owners of two links see of each other.

mod common;

use std::time::Duration;

use common::End::{Participant, Relay};
use common::{CERTIFICATES, Call, address, descriptions, rtcp, rtp};
use layercast_link::{
    Closed, Description, Fingerprint, Link, LinkError, Media, ProtectError, Rtx, State, is_binding_request,
    ufrag_of,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_ends_connect_in_a_few_round_trips() {
    let mut call = Call::new();
    call.run(2 * SECOND);
    assert_eq!(call.states(), [State::Connected; 2]);
    assert_eq!(call.connected.len(), 2);
    for (end, after) in &call.connected {
        assert!(*after <= Duration::from_millis(500), "{end:?} after {after:?}");
    }
    assert_eq!(call.relay.address(), Some(call.participant_address));
    assert_eq!(call.participant.address(), Some(call.relay_address));
}

#[test]
fn two_ends_connect_though_a_fifth_of_all_datagrams_is_lost() {
    for _ in 0..5 {
        let mut call = Call::new();
        call.is_lossy = true;
        call.run(9 * SECOND);
        assert_eq!(call.states(), [State::Connected; 2], "{:?}", call.closed);
    }
}

#[test]
fn packets_arrive_byte_for_byte() {
    let mut call = Call::connected();
    let mut expected = Vec::new();
    for (from, to) in [(Relay, Participant), (Participant, Relay)] {
        call.link(to).expect_ssrc(1).unwrap();
        call.link(to).expect_ssrc(2).unwrap();
        // Three of a stream, with the largest; one with contributing sources, one without an extension, one without payload.
        let mut odd = rtp(2, 9, 100);
        odd[0] |= 3;
        odd.splice(12..12, [1; 12]);
        let plain = [&[0x80, 96, 0, 10, 0, 0, 0, 1, 0, 0, 0, 2][..], b"payload"].concat();
        let empty = plain[..12].iter().copied().map(|byte| if byte == 10 { 11 } else { byte }).collect();
        let packets = [rtp(1, 100, 1), rtp(1, 101, 1100), rtp(1, 102, 2000), odd, plain, empty];
        for packet in packets {
            call.send_rtp(from, &packet);
            expected.push((to, Media::Rtp(packet.into())));
        }
        let report = rtcp(2, b"layers, all.");
        call.send_rtcp(from, &report);
        expected.push((to, Media::Rtcp(report.into())));
    }
    call.run(SECOND);
    assert_eq!(call.media, expected);
}

#[test]
fn nobody_on_the_path_reads_what_goes_over_it() {
    let mut call = Call::new();
    call.run(2 * SECOND);
    let (payload, text) = ([0xc3; 64], b"layers, all.");
    call.relay.expect_ssrc(1).unwrap();
    for number in 0..20 {
        let packet = [&rtp(1, number, 0)[..], &payload].concat();
        call.send_rtp(Participant, &packet);
        call.send_rtcp(Participant, &rtcp(1, text));
    }
    call.run(SECOND);
    assert_eq!(call.media.len(), 40);
    assert!(call.capture.len() > 50);
    for datagram in &call.capture {
        assert!(!datagram.bytes.windows(8).any(|bytes| bytes == [0xc3; 8]));
        assert!(!datagram.bytes.windows(8).any(|bytes| bytes == b"layers, "));
    }
}

#[test]
fn a_certificate_that_signalling_did_not_name_is_refused() {
    let [relay, participant] = descriptions();
    let other = |of: &Description| Description { fingerprint: CERTIFICATES[2].fingerprint(), ..of.clone() };
    // Each end is told a fingerprint that is not the other's.
    for (end, told) in
        [(Participant, [&other(&relay), &participant]), (Relay, [&relay, &other(&participant)])]
    {
        let mut call = Call::with([&relay, &participant], told);
        call.run(5 * SECOND);
        assert!(call.closed.contains(&(end, Closed::WrongFingerprint)), "{:?}", call.closed);
        assert!(call.connected.iter().all(|(connected, _)| *connected != end), "{:?}", call.connected);
        assert_eq!(call.link(end).protect_rtp(&rtp(1, 1, 10)), Err(ProtectError::NotConnected));
    }
}

#[test]
fn a_wrong_password_gets_no_answer_and_no_handshake() {
    let [relay, participant] = descriptions();
    let wrong = Description { password: participant.password.clone(), ..relay.clone() };
    let mut call = Call::with([&relay, &participant], [&wrong, &participant]);
    call.run(11 * SECOND);
    assert!(call.capture.iter().all(|datagram| datagram.to == Relay), "the relay has sent something");
    assert!(call.capture.iter().all(|datagram| is_binding_request(&datagram.bytes)), "more than checks");
    assert_eq!(call.closed.len(), 2);
    assert!(call.closed.iter().all(|(_, reason)| *reason == Closed::TimedOut));
    assert!(call.connected.is_empty() && call.relay.address().is_none());
}

#[test]
fn a_handshake_is_not_looked_at_before_a_check() {
    let mut call = Call::connected();
    let hello = call.capture.iter().find(|datagram| datagram.bytes[0] == 22).unwrap().bytes.clone();
    // Another link of the same relay, which is sent the first message of a handshake at once.
    let [relay, participant] = descriptions();
    call.relay = Link::relay(call.now, &CERTIFICATES[0], &relay, &participant).unwrap();
    let sent = call.capture.len();
    call.deliver(Relay, call.participant_address, &hello);
    call.poll(Relay);
    assert_eq!((call.relay.state(), call.capture.len()), (State::Checking, sent));
}

#[test]
fn what_is_repeated_or_altered_does_not_arrive() {
    let mut call = Call::connected();
    call.relay.expect_ssrc(1).unwrap();
    let from = call.participant_address;
    let (packet, report) = (rtp(1, 5, 300), rtcp(1, b"layers, all."));
    let sealed = call.participant.protect_rtp(&packet).unwrap();
    let sealed_report = call.participant.protect_rtcp(&report).unwrap();
    for sealed in [&sealed, &sealed_report] {
        // Each bit of the first bytes and of the last ones, and some between them.
        let bytes = sealed.len();
        for at in (0..bytes).filter(|at| *at < 24 || *at + 24 > bytes || at % 16 == 0) {
            for bit in 0..8 {
                let mut altered = sealed.to_vec();
                altered[at] ^= 1 << bit;
                assert_eq!(call.deliver(Relay, from, &altered), None, "bit {bit} of byte {at}");
            }
        }
        for end in 0..bytes {
            assert_eq!(call.deliver(Relay, from, &sealed[..end]), None);
        }
    }
    // From another address it is not looked at.
    assert_eq!(call.deliver(Relay, address("192.0.2.66:40000"), &sealed), None);
    // The altered ones have not spoilt those that are genuine, which arrive once.
    assert_eq!(call.deliver(Relay, from, &sealed), Some(Media::Rtp(packet.into())));
    assert_eq!(call.deliver(Relay, from, &sealed_report), Some(Media::Rtcp(report.into())));
    for sealed in [&sealed, &sealed_report] {
        assert_eq!(call.deliver(Relay, from, sealed), None);
    }
}

#[test]
fn a_forged_first_packet_does_not_make_a_stream_refused() {
    let mut call = Call::connected();
    call.relay.expect_ssrc(1).unwrap();
    let from = call.participant_address;
    assert_eq!(call.deliver(Relay, from, &rtp(1, 20_000, 100)), None);
    let sealed = call.participant.protect_rtp(&rtp(1, 5, 100)).unwrap();
    assert_eq!(call.deliver(Relay, from, &sealed), Some(Media::Rtp(rtp(1, 5, 100).into())));
}

#[test]
fn only_expected_streams_arrive_and_none_again() {
    let mut call = Call::connected();
    let from = call.participant_address;
    let sealed: Vec<_> = (0..4).map(|n| call.participant.protect_rtp(&rtp(1, n, 10)).unwrap()).collect();
    let report = call.participant.protect_rtcp(&rtcp(1, b"layers, all.")).unwrap();
    assert_eq!(call.deliver(Relay, from, &sealed[0]), None);
    assert_eq!(call.deliver(Relay, from, &report), None);
    call.relay.expect_ssrc(1).unwrap();
    assert!(call.deliver(Relay, from, &sealed[0]).is_some());
    assert!(call.deliver(Relay, from, &report).is_some());
    call.relay.forget_ssrc(1);
    assert_eq!(call.deliver(Relay, from, &sealed[1]), None);
    call.relay.expect_ssrc(1).unwrap();
    assert!(call.deliver(Relay, from, &sealed[1]).is_some());
    assert_eq!(call.deliver(Relay, from, &sealed[0]), None);
}

#[test]
fn streams_go_on_when_their_numbers_wrap() {
    let mut call = Call::connected();
    call.participant.expect_ssrc(1).unwrap();
    let from = call.relay_address;
    for n in (30_000..230_000_u32).step_by(50) {
        // Two of 50, the second one first.
        for number in [n as u16 + 7, n as u16] {
            let packet = rtp(1, number, 10);
            let sealed = call.relay.protect_rtp(&packet).unwrap();
            assert_eq!(call.deliver(Participant, from, &sealed), Some(Media::Rtp(packet.into())), "{n}");
        }
    }
}

#[test]
fn a_number_is_sealed_once_and_sent_again_as_a_retransmission() {
    let mut call = Call::connected();
    let (from, lost) = (call.relay_address, rtp(1, 8, 200));
    call.participant.expect_ssrc(1).unwrap();
    let first = call.relay.protect_rtp(&lost).unwrap();
    // The same packet with another number of the path, as congestion control has it.
    let mut again = lost.clone();
    again[18] ^= 0x40;
    assert_eq!(call.relay.protect_rtp(&again), Err(ProtectError::Repeated));
    call.relay.send_rtx(1, Rtx { ssrc: 2, payload_type: 97 });
    call.participant.expect_rtx(2, Rtx { ssrc: 1, payload_type: 45 }).unwrap();
    for _ in 0..3 {
        let sealed = call.relay.protect_rtp(&again).unwrap();
        assert_eq!(sealed.len(), first.len() + 2);
        assert_eq!((sealed[1], &sealed[8..12]), (0x80 | 97, &[0, 0, 0, 2][..]));
        assert_eq!(call.deliver(Participant, from, &sealed), Some(Media::Rtp(again.clone().into())));
        assert_eq!(call.deliver(Participant, from, &sealed), None);
    }
    // Padding under the SSRC of retransmissions carries no packet.
    let mut padding = rtp(2, 77, 0);
    padding[0] |= 0x20;
    padding.extend([0, 0, 0, 4]);
    let sealed = call.relay.protect_rtp(&padding).unwrap();
    assert_eq!(call.deliver(Participant, from, &sealed), Some(Media::Rtp(padding.into())));
}

#[test]
fn what_is_no_packet_is_not_protected() {
    let mut call = Call::connected();
    let link = &mut call.relay;
    let mut long = rtp(1, 1, 10);
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    for bytes in [&b""[..], b"\x80", &[0; 40], &rtp(1, 1, 0)[..19], &long] {
        assert_eq!(link.protect_rtp(bytes), Err(ProtectError::Malformed));
    }
    for bytes in [&b""[..], &[0x80, 201, 0, 1], &[0; 8]] {
        assert_eq!(link.protect_rtcp(bytes), Err(ProtectError::Malformed));
    }
    assert_eq!(link.protect_rtp(&rtp(1, 1, 2020)), Err(ProtectError::TooLong));
    assert_eq!(link.protect_rtcp(&[0x80; 2040]), Err(ProtectError::TooLong));
    assert!(link.protect_rtp(&rtp(1, 1, 10)).is_ok());
    assert_eq!(link.protect_rtp(&rtp(1, 20_000, 10)), Err(ProtectError::Jump));
    assert!(link.protect_rtp(&rtp(1, 2, 10)).is_ok());
    // Sender and receiver have as many SSRCs as they can have, and those that were there go on.
    for ssrc in 2..=4096 {
        link.protect_rtp(&rtp(ssrc, 1, 10)).unwrap();
        link.expect_ssrc(ssrc).unwrap();
    }
    assert!(matches!(link.protect_rtp(&rtp(5000, 1, 10)), Err(ProtectError::TooManySsrcs(_))));
    assert!(link.expect_ssrc(1).is_ok() && link.expect_ssrc(5000).is_err());
    assert!(link.protect_rtp(&rtp(1, 3, 10)).is_ok());
}

#[test]
fn a_peer_is_followed_to_another_address_by_a_check_and_a_packet() {
    let mut call = Call::connected();
    call.relay.expect_ssrc(1).unwrap();
    call.participant.expect_ssrc(1).unwrap();
    let old = call.participant_address;
    call.participant_address = address("198.51.100.99:50123");
    // Before it has checked from there, its packets are not looked at.
    call.send_rtp(Participant, &rtp(1, 0, 10));
    call.run(Duration::from_millis(60));
    assert_eq!((call.media.len(), call.relay.address()), (0, Some(old)));
    call.run(4 * SECOND);
    assert_eq!(call.relay.address(), Some(old));
    call.send_rtp(Participant, &rtp(1, 1, 10));
    call.run(SECOND);
    assert_eq!(call.relay.address(), Some(call.participant_address));
    call.send_rtp(Relay, &rtp(1, 1, 10));
    call.run(SECOND);
    assert_eq!(call.media.len(), 2);
    assert_eq!((call.connected.len(), call.closed.len()), (2, 0));
}

#[test]
fn a_silent_peer_is_followed_when_its_old_address_is_silent_too() {
    let mut call = Call::connected();
    call.participant_address = address("198.51.100.99:50123");
    call.run(12 * SECOND);
    assert_eq!(call.relay.address(), Some(call.participant_address));
    assert_eq!(call.closed, []);
}

#[test]
fn a_copied_check_moves_nobody() {
    let mut call = Call::connected();
    let (old, other) = (call.participant_address, address("192.0.2.66:666"));
    let checks = call.capture.iter().filter(|datagram| is_binding_request(&datagram.bytes));
    let checks: Vec<_> = checks.map(|datagram| datagram.bytes.clone()).collect();
    for check in &checks {
        for at in 0..check.len() {
            let mut altered = check.to_vec();
            altered[at] ^= 1;
            call.deliver(Relay, other, &altered);
        }
        call.deliver(Relay, other, check);
    }
    call.run(20 * SECOND);
    assert_eq!((call.relay.address(), call.states()), (Some(old), [State::Connected; 2]));
}

#[test]
fn links_end_when_the_peer_is_gone_or_says_so() {
    // The path is cut.
    let mut call = Call::connected();
    call.participant_address = address("198.51.100.200:1");
    let cut = call.relay_address;
    call.relay_address = address("203.0.113.200:1");
    call.run(35 * SECOND);
    assert_eq!(call.closed.len(), 2, "{:?} {cut}", call.closed);
    assert!(call.closed.iter().all(|(_, reason)| *reason == Closed::Lost), "{:?}", call.closed);

    for (end, other) in [(Relay, Participant), (Participant, Relay)] {
        let mut call = Call::connected();
        let now = call.now;
        call.link(end).close(now);
        call.run(SECOND);
        assert_eq!(call.closed, [(other, Closed::ByPeer)]);
        assert_eq!(call.states(), [State::Closed; 2]);
    }
}

#[test]
fn links_stay_while_nobody_sends() {
    let mut call = Call::connected();
    call.is_lossy = true;
    call.run(120 * SECOND);
    assert_eq!((call.states(), call.closed.len()), ([State::Connected; 2], 0));
}

#[test]
fn the_worker_is_in_the_checks() {
    let call = Call::connected();
    let checks: Vec<_> = call.capture.iter().filter(|datagram| is_binding_request(&datagram.bytes)).collect();
    assert!(!checks.is_empty());
    assert!(checks.iter().all(|check| ufrag_of(&check.bytes) == Some("w00p0007")));
    let others = call.capture.iter().filter(|datagram| !is_binding_request(&datagram.bytes));
    assert!(others.map(|datagram| ufrag_of(&datagram.bytes)).all(|ufrag| ufrag.is_none()));
}

#[test]
fn descriptions_are_random_and_checked() {
    let [one, other] = [(); 2].map(|()| Description::new(&CERTIFICATES[0]).unwrap());
    assert!(one.ufrag != other.ufrag && one.password != other.password);
    // 24 characters of 64.
    assert_eq!((one.password.len(), one.fingerprint), (24, CERTIFICATES[0].fingerprint()));
    for ufrag in ["abc", "a:bc", "a b c", "ümlaut"] {
        assert_eq!(Description::with_ufrag(ufrag, &CERTIFICATES[0]), Err(LinkError::Ufrag));
    }
    let now = std::time::Instant::now();
    let short = Description { password: "short".into(), fingerprint: Fingerprint::of(b""), ..one.clone() };
    assert_eq!(Link::relay(now, &CERTIFICATES[0], &one, &short).err(), Some(LinkError::Password));
    let nowhere = [address("0.0.0.0:1")];
    let link = Link::participant(now, &CERTIFICATES[0], &one, &other, &nowhere);
    assert_eq!(link.err(), Some(LinkError::Addresses));
}
