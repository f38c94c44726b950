//! A relay's link and the connectivity checks of a browser, bit by bit.

mod common;

use std::net::SocketAddr;
use std::time::Instant;

use common::{CERTIFICATES, address, descriptions};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use layercast_link::{Link, Output};

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const TRANSACTION: &[u8; 12] = b"a browser's.";

/// The CRC of ITU-T V.42, exclusive-or "STUN" (RFC 8489, section 14.7).
fn fingerprint(message: &[u8]) -> u32 {
    let crc = message.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 != 0 { 0xedb8_8320 } else { 0 })
    });
    !crc ^ 0x5354_554e
}

/// A message with a length that counts another attribute of so many bytes, as integrity and fingerprint are computed.
fn with_length(message: &[u8], attribute: usize) -> Vec<u8> {
    let length = (message.len() - 20 + attribute) as u16;
    [&message[..2], &length.to_be_bytes(), &message[4..]].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_be_bytes(), (value.len() as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A check with the attributes that Chromium's have, in its order.
fn check(username: &str, password: &str, nominates: bool) -> Vec<u8> {
    let mut message = [&[0, 1, 0, 0], &MAGIC_COOKIE[..], TRANSACTION].concat();
    message.extend(attribute(0x0006, username.as_bytes()));
    // GOOG-NETWORK-INFO, ICE-CONTROLLING, USE-CANDIDATE, PRIORITY.
    message.extend(attribute(0xc057, &[0, 1, 0, 10]));
    message.extend(attribute(0x802a, &0x1234_5678_9abc_def0_u64.to_be_bytes()));
    if nominates {
        message.extend(attribute(0x0025, &[]));
    }
    message.extend(attribute(0x0024, &1_853_759_231_u32.to_be_bytes()));
    let hmac = DefaultSha1HmacProvider.sha1_hmac(password.as_bytes(), &[&with_length(&message, 24)]);
    message.extend(attribute(0x0008, &hmac));
    let crc = fingerprint(&with_length(&message, 8));
    message.extend(attribute(0x8028, &crc.to_be_bytes()));
    with_length(&message, 0)
}

fn answer_to(link: &mut Link, now: Instant, from: SocketAddr, check: &[u8]) -> Option<Vec<u8>> {
    assert_eq!(link.handle_datagram(now, from, check), None);
    match link.poll(now) {
        Output::Transmit(transmit) => {
            assert_eq!(transmit.to, from);
            Some(transmit.datagram.to_vec())
        }
        Output::Timeout(_) => None,
        other => panic!("{other:?}"),
    }
}

/// A browser makes its username fragment and its password when it answers the relay's description, after it has told the
/// relay its fingerprint. The relay's half of the username and the relay's password are all that counts.
#[test]
fn a_browser_s_check_is_answered_whatever_its_own_fragment_is() {
    let [relay, told] = descriptions();
    for from in ["198.51.100.7:40000", "[2001:db8::7]:40000"].map(address) {
        let now = Instant::now();
        let mut link = Link::relay(now, &CERTIFICATES[0], &relay, &told).unwrap();
        let username = format!("{}:another", relay.ufrag);
        for wrong in [
            check(&username, &told.password, true),
            check(&format!("{}:{}", told.ufrag, relay.ufrag), &relay.password, true),
            check(&relay.ufrag, &relay.password, true),
        ] {
            assert_eq!(answer_to(&mut link, now, from, &wrong), None);
        }
        for nominates in [false, true] {
            let check = check(&username, &relay.password, nominates);
            let answer = answer_to(&mut link, now, from, &check).expect("an answer");
            // A successful response, with the transaction of the check.
            assert_eq!(answer[..2], [1, 1]);
            assert_eq!((&answer[4..8], &answer[8..20]), (&MAGIC_COOKIE[..], &TRANSACTION[..]));
            // XOR-MAPPED-ADDRESS says where the check came from.
            let family = if from.is_ipv4() { 1 } else { 2 };
            let mut mapped = vec![0, family];
            mapped.extend((from.port() ^ 0x2112).to_be_bytes());
            let mask = [&MAGIC_COOKIE[..], TRANSACTION].concat();
            let ip = match from {
                SocketAddr::V4(from) => from.ip().octets().to_vec(),
                SocketAddr::V6(from) => from.ip().octets().to_vec(),
            };
            mapped.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            assert_eq!(answer[20..20 + 4 + mapped.len()], attribute(0x0020, &mapped));
            // MESSAGE-INTEGRITY and FINGERPRINT are the last.
            let (signed, tail) = answer.split_at(answer.len() - 32);
            let hmac =
                DefaultSha1HmacProvider.sha1_hmac(relay.password.as_bytes(), &[&with_length(signed, 24)]);
            assert_eq!(tail[..24], attribute(0x0008, &hmac));
            let (checked, crc) = answer.split_at(answer.len() - 8);
            let expected = fingerprint(&with_length(checked, 8));
            assert_eq!(crc, attribute(0x8028, &expected.to_be_bytes()));
            assert_eq!(link.address(), Some(from));
        }
    }
}
