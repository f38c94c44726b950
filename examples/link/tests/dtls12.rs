//! A relay's link and a peer that is made of other parts: browsers of these years speak DTLS 1.2.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{CERTIFICATES, address, descriptions, rtcp, rtp};
use dimpl::{Config, Dtls, DtlsCertificate, SrtpProfile};
use is::stun::{StunMessage, TransId};
use is::{DefaultSha1HmacProvider, Sha1HmacProvider};
use layercast_link::{Description, Fingerprint, Link, Media, Output, State};
use rcgen::{CertificateParams, KeyPair};
use rtc_srtp::context::Context;
use rtc_srtp::crypto::default_provider;
use rtc_srtp::protection_profile::ProtectionProfile;

#[test]
fn a_peer_with_dtls_1_2_connects() {
    let key_pair = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([]).unwrap().self_signed(&key_pair).unwrap().der().to_vec();
    let [relay, participant] = descriptions();
    let participant = Description { fingerprint: Fingerprint::of(&certificate), ..participant };
    let mut now = Instant::now();
    let peer = address("198.51.100.7:40000");
    let mut link = Link::relay(now, &CERTIFICATES[0], &relay, &participant).unwrap();
    let mut replies = Vec::<bytes::Bytes>::new();

    // A check that nominates.
    let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
    let username = format!("{}:{}", relay.ufrag, participant.ufrag);
    let check = StunMessage::binding_request(&username, TransId::new(), true, 1, 1 << 30, true);
    let mut bytes = [0; 200];
    let length = check.to_bytes(Some(relay.password.as_bytes()), &mut bytes, hmac).unwrap();
    assert_eq!(link.handle_datagram(now, peer, &bytes[..length]), None);
    let Output::Transmit(answer) = link.poll(now) else { panic!("no answer") };
    let message = StunMessage::parse(&answer.datagram).unwrap();
    assert!(message.is_successful_binding_response() && message.verify(relay.password.as_bytes(), hmac));
    assert_eq!((answer.to, message.mapped_address()), (peer, Some(peer)));

    let keys = DtlsCertificate { certificate, private_key: key_pair.serialize_der() };
    let mut dtls = Dtls::new_12(Arc::new(Config::default()), keys, now);
    dtls.set_active(true);
    let (mut material, mut buffer) = (None, vec![0; 4096]);
    for _ in 0..20 {
        now += Duration::from_millis(20);
        dtls.handle_timeout(now).unwrap();
        for reply in replies.drain(..) {
            dtls.handle_packet(&reply).unwrap();
        }
        loop {
            match dtls.poll_output(&mut buffer) {
                dimpl::Output::Packet(packet) => assert_eq!(link.handle_datagram(now, peer, packet), None),
                dimpl::Output::PeerCert(certificate) => {
                    assert_eq!(Fingerprint::of(certificate), relay.fingerprint)
                }
                dimpl::Output::KeyingMaterial(keys, profile) => material = Some((keys.to_vec(), profile)),
                dimpl::Output::Timeout(_) => break,
                _ => {}
            }
        }
        loop {
            match link.poll(now) {
                Output::Transmit(transmit) => replies.push(transmit.datagram),
                Output::Closed(reason) => panic!("{reason}"),
                Output::Timeout(_) => break,
                _ => {}
            }
        }
    }
    assert_eq!(link.state(), State::Connected);

    // RFC 5764, section 4.2: the client's key, the server's, and their salts.
    let (material, profile) = material.unwrap();
    assert_eq!(profile, SrtpProfile::AEAD_AES_256_GCM);
    let provider = default_provider().unwrap();
    let context = |key: usize, salt: usize| {
        let (key, salt) = (&material[key..key + 32], &material[salt..salt + 12]);
        Context::new(key, salt, ProtectionProfile::AeadAes256Gcm, None, None, provider.crypto()).unwrap()
    };
    let (mut outgoing, mut incoming) = (context(0, 64), context(32, 76));
    link.expect_ssrc(1).unwrap();
    let (packet, report) = (rtp(1, 5, 500), rtcp(1, b"layers, all."));
    let sealed = outgoing.encrypt_rtp(&packet).unwrap();
    assert_eq!(link.handle_datagram(now, peer, &sealed), Some(Media::Rtp(packet.clone().into())));
    let sealed = outgoing.encrypt_rtcp(&report).unwrap();
    assert_eq!(link.handle_datagram(now, peer, &sealed), Some(Media::Rtcp(report.clone().into())));
    assert_eq!(incoming.decrypt_rtp(&link.protect_rtp(&packet).unwrap()).unwrap(), packet);
    assert_eq!(incoming.decrypt_rtcp(&link.protect_rtcp(&report).unwrap()).unwrap(), report);
}
