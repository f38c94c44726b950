//! Random datagrams, and altered real ones, at each state of both ends.

mod common;

use std::cell::RefCell;
use std::time::Duration;

use common::End::{self, Participant, Relay};
use common::{Call, Datagram, rtcp, rtp};
use layercast_link::{Closed, Media, State};
use proptest::prelude::*;

thread_local! {
    /// All datagrams of a call that connects and carries media.
    static REAL: RefCell<Vec<Datagram>> = RefCell::new({
        let mut call = Call::connected();
        call.send_rtp(Participant, &rtp(1, 1, 100));
        call.send_rtcp(Participant, &rtcp(1, b"layers, all."));
        call.send_rtp(Relay, &rtp(1, 1, 100));
        call.capture
    });
}

#[derive(Debug, Clone)]
enum Bytes {
    /// The first byte says what kind, or nothing.
    Noise(u8, Vec<u8>),
    /// Datagram number so much of another call, and of this one, with bytes altered, and cut.
    Old(prop::sample::Index, Vec<(prop::sample::Index, u8)>, prop::sample::Index),
    Own(prop::sample::Index, Vec<(prop::sample::Index, u8)>, prop::sample::Index),
}

fn bytes() -> impl Strategy<Value = Bytes> {
    let altered = || prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4);
    prop_oneof![
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(first, rest)| Bytes::Noise(first, rest)),
        (any::<prop::sample::Index>(), altered(), any::<prop::sample::Index>())
            .prop_map(|(which, altered, cut)| Bytes::Old(which, altered, cut)),
        (any::<prop::sample::Index>(), altered(), any::<prop::sample::Index>())
            .prop_map(|(which, altered, cut)| Bytes::Own(which, altered, cut)),
    ]
}

fn change(datagram: &[u8], altered: &[(prop::sample::Index, u8)], cut: &prop::sample::Index) -> Vec<u8> {
    let mut bytes = datagram.to_vec();
    for (at, by) in altered {
        let at = at.index(bytes.len());
        bytes[at] ^= by;
    }
    // Every other one stays whole.
    let length = cut.index(2 * bytes.len()) + 1;
    bytes.truncate(length);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Nothing of it comes out as media, nobody is connected to whoever sent it, and none but the peer is answered.
    #[test]
    fn none_of_it_is_taken_for_the_peers(
        steps in prop::collection::vec((bytes(), any::<bool>(), any::<bool>(), 0_u64..120), 1..60),
    ) {
        let mut call = Call::new();
        call.relay.expect_ssrc(1).unwrap();
        call.participant.expect_ssrc(1).unwrap();
        let stranger = common::address("192.0.2.66:666");
        for (bytes, to_relay, is_spoofed, wait) in steps {
            let to: End = if to_relay { Relay } else { Participant };
            let datagram = match &bytes {
                Bytes::Noise(first, rest) => [&[*first][..], rest].concat(),
                Bytes::Old(which, altered, cut) => {
                    REAL.with_borrow(|real| change(&which.get(real).bytes, altered, cut))
                }
                Bytes::Own(which, altered, cut) if !call.capture.is_empty() => {
                    change(&which.get(&call.capture).bytes, altered, cut)
                }
                Bytes::Own(..) => continue,
            };
            let peer = if to == Relay { call.participant_address } else { call.relay_address };
            let source = if is_spoofed { peer } else { stranger };
            prop_assert_eq!(call.deliver(to, source, &datagram), None);
            call.run(Duration::from_millis(wait));
        }
        prop_assert!(call.media.is_empty());
        // Whoever writes the peer's address into datagrams, or copies its checks, can disturb a handshake, which nothing
        // protects before its end, but no more.
        call.run(Duration::from_secs(12));
        prop_assert!(call.states().iter().all(|state| matches!(state, State::Connected | State::Closed)));
        prop_assert!(call.closed.iter().all(|(_, reason)| {
            matches!(reason, Closed::Handshake(_) | Closed::TimedOut | Closed::Lost)
        }), "{:?}", call.closed);
        if call.states() == [State::Connected; 2] {
            prop_assert_eq!(call.relay.address(), Some(call.participant_address));
            let packet = rtp(1, 9, 50);
            call.send_rtp(Participant, &packet);
            call.run(Duration::from_millis(100));
            prop_assert_eq!(call.media.pop(), Some((Relay, Media::Rtp(packet.into()))));
        }
    }

    /// Strangers, who cannot write the peer's address into datagrams, disturb nothing at all.
    #[test]
    fn strangers_disturb_nothing(
        steps in prop::collection::vec((bytes(), any::<bool>(), 0_u64..40), 1..60),
    ) {
        let mut call = Call::new();
        let stranger = common::address("192.0.2.66:666");
        for (bytes, to_relay, wait) in steps {
            let datagram = match &bytes {
                Bytes::Noise(first, rest) => [&[*first][..], rest].concat(),
                Bytes::Old(which, altered, cut) => {
                    REAL.with_borrow(|real| change(&which.get(real).bytes, altered, cut))
                }
                Bytes::Own(..) => continue,
            };
            prop_assert_eq!(call.deliver(if to_relay { Relay } else { Participant }, stranger, &datagram), None);
            call.run(Duration::from_millis(wait));
        }
        call.run(Duration::from_secs(2));
        prop_assert_eq!(call.states(), [State::Connected; 2]);
        prop_assert!(call.capture.iter().all(|datagram| datagram.destination != stranger));
        prop_assert!(call.connected.iter().all(|(_, after)| *after < Duration::from_millis(500)));
    }
}
