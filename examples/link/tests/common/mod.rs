//! A relay and a participant on a path in memory, in virtual time.
#![allow(dead_code)]

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast_link::{Certificate, Closed, Description, Link, Media, Output, State};

pub static CERTIFICATES: LazyLock<[Certificate; 3]> =
    LazyLock::new(|| [(); 3].map(|()| Certificate::generate().unwrap()));

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The one that sends to a relay, or the relay itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Relay,
    Participant,
}
use End::{Participant, Relay};

#[derive(Debug, Clone)]
pub struct Datagram {
    pub at: Instant,
    pub to: End,
    /// Where it comes from, and where it goes.
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub bytes: Bytes,
}

pub struct Call {
    pub now: Instant,
    pub start: Instant,
    pub relay: Link,
    pub participant: Link,
    pub relay_address: SocketAddr,
    pub participant_address: SocketAddr,
    pub delay: Duration,
    /// Of five datagrams one is lost.
    pub is_lossy: bool,
    /// The number of datagrams so far, and what decides which of five is lost.
    sent: u64,
    pub flying: Vec<Datagram>,
    /// All that was sent, lost or not.
    pub capture: Vec<Datagram>,
    pub media: Vec<(End, Media)>,
    pub connected: Vec<(End, Duration)>,
    pub closed: Vec<(End, Closed)>,
}

/// The descriptions of a relay and a participant with the certificates 0 and 1.
pub fn descriptions() -> [Description; 2] {
    let relay = Description::with_ufrag("w00p0007", &CERTIFICATES[0]).unwrap();
    [relay, Description::new(&CERTIFICATES[1]).unwrap()]
}

impl Call {
    pub fn new() -> Self {
        let [relay, participant] = descriptions();
        Self::with([&relay, &participant], [&relay, &participant])
    }

    /// What each end thinks of itself, and what the other one was told.
    pub fn with(own: [&Description; 2], told: [&Description; 2]) -> Self {
        let now = Instant::now();
        let relay_address = address("203.0.113.1:3478");
        Self {
            now,
            start: now,
            relay: Link::relay(now, &CERTIFICATES[0], own[0], told[1]).unwrap(),
            participant: Link::participant(now, &CERTIFICATES[1], own[1], told[0], &[relay_address]).unwrap(),
            relay_address,
            participant_address: address("198.51.100.7:40000"),
            delay: Duration::from_millis(50),
            is_lossy: false,
            sent: 0,
            flying: Vec::new(),
            capture: Vec::new(),
            media: Vec::new(),
            connected: Vec::new(),
            closed: Vec::new(),
        }
    }

    pub fn connected() -> Self {
        let mut call = Self::new();
        call.run(Duration::from_secs(2));
        assert_eq!(call.states(), [State::Connected; 2]);
        call
    }

    pub fn states(&self) -> [State; 2] {
        [self.relay.state(), self.participant.state()]
    }

    pub fn link(&mut self, end: End) -> &mut Link {
        match end {
            Relay => &mut self.relay,
            Participant => &mut self.participant,
        }
    }

    /// Puts a datagram of an end on the path.
    pub fn send(&mut self, from: End, destination: SocketAddr, bytes: Bytes) {
        let (source, to) = match from {
            Relay => (self.relay_address, Participant),
            Participant => (self.participant_address, Relay),
        };
        let datagram = Datagram { at: self.now + self.delay, to, source, destination, bytes };
        self.capture.push(datagram.clone());
        self.sent += 1;
        // One of each five, and not always the same one.
        let lost = (self.sent / 5).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        if !(self.is_lossy && self.sent % 5 == lost % 5) {
            self.flying.push(datagram);
        }
    }

    /// Sends a packet from one end to the other.
    pub fn send_rtp(&mut self, from: End, packet: &[u8]) -> Bytes {
        let link = self.link(from);
        let (sealed, to) = (link.protect_rtp(packet).unwrap(), link.address().unwrap());
        self.send(from, to, sealed.clone());
        sealed
    }

    pub fn send_rtcp(&mut self, from: End, packet: &[u8]) -> Bytes {
        let link = self.link(from);
        let (sealed, to) = (link.protect_rtcp(packet).unwrap(), link.address().unwrap());
        self.send(from, to, sealed.clone());
        sealed
    }

    /// Hands an end a datagram, as it came.
    pub fn deliver(&mut self, to: End, source: SocketAddr, bytes: &[u8]) -> Option<Media> {
        let now = self.now;
        self.link(to).handle_datagram(now, source, bytes)
    }

    /// Takes all that an end has to say; when it has more.
    pub fn poll(&mut self, end: End) -> Instant {
        loop {
            let now = self.now;
            match self.link(end).poll(now) {
                Output::Transmit(transmit) => self.send(end, transmit.to, transmit.datagram),
                Output::Connected => self.connected.push((end, self.now - self.start)),
                Output::Closed(reason) => self.closed.push((end, reason)),
                Output::Timeout(at) => return at,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets so much time go by.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mut next = self.poll(Relay).min(self.poll(Participant));
            assert!(next > self.now, "an end wants to be polled at once, for ever");
            if let Some(arrival) = self.flying.iter().map(|datagram| datagram.at).min() {
                next = next.min(arrival);
            }
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            let (due, flying) = self.flying.drain(..).partition(|datagram| datagram.at <= self.now);
            self.flying = flying;
            for Datagram { to, source, destination, bytes, .. } in due {
                let there = if to == Relay { self.relay_address } else { self.participant_address };
                if destination == there
                    && let Some(media) = self.deliver(to, source, &bytes)
                {
                    self.media.push((to, media));
                }
            }
        }
    }
}

/// An RTP packet with an extension of one element, and a payload of so many bytes.
pub fn rtp(ssrc: u32, number: u16, payload: usize) -> Vec<u8> {
    let mut packet = vec![0x90, 0x80 | 45];
    packet.extend(number.to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x21, 0xaa, (number >> 8) as u8, 0]);
    packet.extend((0..payload).map(|n| (n as u8).wrapping_mul(37) ^ 0x5a));
    packet
}

/// A receiver report without blocks, and an application's message behind it.
pub fn rtcp(ssrc: u32, text: &[u8; 12]) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend([0x80, 204, 0, 4]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(text);
    packet
}
