//! A network does to the datagrams of two links what it can: it loses, repeats, reorders, damages and invents them, and
//! sends them from other addresses. No packet comes out that did not go in, and none twice; a link sends datagrams of its
//! own to nobody but the peer and those who copied its checks; and each ends up connected or closed.
#![no_main]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast_fuzz::{Input, damage, timed};
use layercast_link::{
    Certificate, Description, Link, Media, Output, Rtx, State, is_binding_request, ufrag_of,
};
use libfuzzer_sys::fuzz_target;

/// Datagrams that are kept, to be sent again.
const KEPT: usize = 512;

static CERTIFICATES: LazyLock<[Certificate; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Certificate::generate().unwrap()));
/// The relay's, the participant's, and two of nobody.
static ADDRESSES: LazyLock<[SocketAddr; 4]> = LazyLock::new(|| {
    ["203.0.113.1:3478", "198.51.100.7:4000", "192.0.2.66:666", "[2001:db8::66]:666"]
        .map(|text| text.parse().unwrap())
});

struct Ends {
    now: Instant,
    links: [Link; 2],
    /// Datagrams of both, with the end that they are for.
    sent: Vec<(usize, Bytes)>,
    /// The next one that goes on in order.
    next: usize,
    /// Packets that each end has protected, and those that it got.
    protected: [HashSet<Bytes>; 2],
    opened: [HashSet<Bytes>; 2],
    number: u16,
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let now = Instant::now();
    let relay = Description::with_ufrag("w0p0", &CERTIFICATES[0]).unwrap();
    let participant = Description::new(&CERTIFICATES[1]).unwrap();
    let mut ends = Ends {
        now,
        links: [
            Link::relay(now, &CERTIFICATES[0], &relay, &participant).unwrap(),
            Link::participant(now, &CERTIFICATES[1], &participant, &relay, &ADDRESSES[..1]).unwrap(),
        ],
        sent: Vec::new(),
        next: 0,
        protected: Default::default(),
        opened: Default::default(),
        number: 0,
    };
    for link in &mut ends.links {
        link.expect_ssrc(1).unwrap();
        link.expect_rtx(2, Rtx { ssrc: 1, payload_type: 45 }).unwrap();
        link.send_rtx(1, Rtx { ssrc: 2, payload_type: 46 });
    }
    if input.byte() & 1 == 1 {
        ends.go_on(40);
        assert_eq!(ends.links.each_ref().map(Link::state), [State::Connected; 2]);
    }
    while !input.is_empty() {
        let step = input.byte();
        let kept = ends.sent.len().checked_sub(1 + usize::from(step >> 3));
        match step % 8 {
            // As it should be.
            0 => ends.go_on(1 + usize::from(step >> 3)),
            // One of the last is lost, or comes once more, from its sender or not.
            1 => ends.next = ends.sent.len(),
            2 => {
                if let Some((to, datagram)) = kept.map(|at| ends.sent[at].clone()) {
                    ends.deliver(to, ADDRESSES[usize::from(input.byte()) % 4], &datagram);
                }
            }
            3 => {
                if let Some((to, datagram)) = kept.map(|at| ends.sent[at].clone()) {
                    let mut datagram = datagram.to_vec();
                    let other = ends.sent[usize::from(input.byte()) % ends.sent.len()].1.clone();
                    damage(&mut datagram, input.bytes(), &other);
                    ends.deliver(to, ADDRESSES[usize::from(input.byte()) % 4], &datagram);
                }
            }
            4 => {
                let from = ADDRESSES[usize::from(input.byte()) % 4];
                ends.deliver(usize::from(step >> 3) % 2, from, input.bytes());
            }
            5 => ends.protect(usize::from(step >> 3) % 2, input.byte(), input.bytes()),
            6 => {
                ends.now += input.pause();
                ends.poll();
            }
            _ => {
                let link = &mut ends.links[usize::from(step >> 3) % 2];
                match input.byte() {
                    0 => link.close(ends.now),
                    byte if byte & 1 == 0 => link.forget_ssrc(u32::from(byte >> 1)),
                    // As a stream of its own, 2 would come as what it is, and not as what it carries.
                    5 => link.expect_rtx(2, Rtx { ssrc: 1, payload_type: 45 }).unwrap(),
                    byte => link.expect_ssrc(u32::from(byte >> 1)).unwrap(),
                }
                ends.poll();
            }
        }
    }
    ends.now += Duration::from_secs(11);
    ends.poll();
    assert!(ends.links.iter().all(|link| matches!(link.state(), State::Connected | State::Closed)));
});

impl Ends {
    /// All datagrams arrive, and so many steps of 25 ms go by.
    fn go_on(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now += Duration::from_millis(25);
            self.poll();
            while let Some((to, datagram)) = self.sent.get(self.next).cloned() {
                self.next += 1;
                self.deliver(to, ADDRESSES[1 - to], &datagram);
            }
        }
    }

    fn deliver(&mut self, to: usize, from: SocketAddr, datagram: &[u8]) {
        assert!(ufrag_of(datagram).is_none() || is_binding_request(datagram));
        match timed("datagram", || self.links[to].handle_datagram(self.now, from, datagram)) {
            Some(Media::Rtp(packet) | Media::Rtcp(packet)) => {
                assert!(self.protected[1 - to].contains(&packet), "nobody has sent {packet:?}");
                // Retransmissions carry a packet as often as they like.
                let is_retransmission = datagram[8..12] == [0, 0, 0, 2];
                assert!(is_retransmission || self.opened[to].insert(packet), "{datagram:?} again");
            }
            None => self.poll(),
        }
    }

    fn protect(&mut self, from: usize, kind: u8, payload: &[u8]) {
        let link = &mut self.links[from];
        let sealed = if kind & 1 == 0 {
            self.number = self.number.wrapping_add(1);
            let number = self.number.wrapping_sub(u16::from(kind & 2) * u16::from(kind >> 2));
            let mut packet = [&[0x90, 45][..], &number.to_be_bytes(), &[0, 0, 0, kind, 0, 0, 0, 1]].concat();
            packet.extend([0xbe, 0xde, 0, 1, 0x21, 7, kind, 0]);
            packet.extend_from_slice(payload);
            link.protect_rtp(&packet).map(|sealed| (packet, sealed))
        } else {
            self.number = self.number.wrapping_add(1);
            let words = self.number.to_be_bytes();
            let packet = [&[0x80, 204, 0, 2, 0, 0, 0, 1, 0, 0, words[0], words[1]][..], payload].concat();
            link.protect_rtcp(&packet).map(|sealed| (packet, sealed))
        };
        if let Ok((packet, sealed)) = sealed {
            self.protected[from].insert(packet.into());
            self.send(1 - from, sealed);
        }
        // Whatever it is, an error and no panic.
        let _ = (self.links[from].protect_rtp(payload), self.links[from].protect_rtcp(payload));
    }

    fn send(&mut self, to: usize, datagram: Bytes) {
        if self.sent.len() < KEPT {
            self.sent.push((to, datagram));
        }
    }

    fn poll(&mut self) {
        for from in [0, 1] {
            for count in 0.. {
                assert!(count < 1000, "polling does not end");
                match self.links[from].poll(self.now) {
                    Output::Transmit(transmit) => {
                        // A participant knows where the relay is.
                        assert!(from == 0 || transmit.to == ADDRESSES[0]);
                        self.send(1 - from, transmit.datagram);
                    }
                    Output::Timeout(at) => {
                        assert!(at > self.now);
                        break;
                    }
                    _ => {}
                }
            }
        }
    }
}
