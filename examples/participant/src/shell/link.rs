//! The participant's end of the link: ICE, DTLS and SRTP over one UDP socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use bytes::Bytes;
use layercast::rtp::rtcp::is_rtcp;
use layercast_examples::Result;
use layercast_link::{Certificate, Description, Link, Media, Output, ProtectError, TooManySsrcs};
use layercast_meeting::wire::{PADDING_SSRC, RELAY_SSRC};
use layercast_meeting::{Kind, LinkDescription};

use super::shaper::{Path, Shaper};

/// What the link has for its owner.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// It is up.
    Up,
    /// It is down, for this reason.
    Down(String),
}

/// The link, or what will be one.
pub struct Wire {
    socket: UdpSocket,
    certificate: Certificate,
    local: Option<Description>,
    link: Option<Link>,
    /// The SSRCs of the others' streams that are expected.
    expected: BTreeMap<u32, Kind>,
    up: Shaper,
    down: Shaper,
    /// Datagrams that are on their way.
    leaving: VecDeque<(Instant, SocketAddr, Bytes)>,
    arriving: VecDeque<(Instant, SocketAddr, Bytes)>,
    counts: Counts,
    /// Packets that the link did not take.
    pub unprotected: u64,
}

/// What one way of the path did since the start, with media and all else.
#[derive(Debug, Clone, Copy, Default)]
pub struct WayCounts {
    /// Bytes of datagrams that were to go this way.
    pub offered: u64,
    /// Bytes of those that were not lost.
    pub carried: u64,
    /// Datagrams that were lost, in the queue or at random.
    pub lost: u64,
}

impl WayCounts {
    fn count(&mut self, bytes: usize, passed: Option<Instant>) -> Option<Instant> {
        self.offered += bytes as u64;
        match passed {
            Some(_) => self.carried += bytes as u64,
            None => self.lost += 1,
        }
        passed
    }
}

/// What both ways did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// kbit/s that each carries at most.
    pub capacity_kbps: Option<u32>,
    /// From the relay.
    pub down: WayCounts,
    /// To it.
    pub up: WayCounts,
}

impl Wire {
    /// A link over this socket, by such a path each way.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(socket: UdpSocket, path: Path) -> Result<Self> {
        Ok(Self {
            socket,
            certificate: Certificate::generate()?,
            local: None,
            link: None,
            expected: BTreeMap::new(),
            up: Shaper::new(path, 1),
            down: Shaper::new(path, 2),
            leaving: VecDeque::new(),
            arriving: VecDeque::new(),
            counts: Counts { capacity_kbps: path.kbps, ..Counts::default() },
            unprotected: 0,
        })
    }

    /// Changes what the path carries each way.
    pub fn set_kbps(&mut self, kbps: u32) {
        self.up.set_kbps(kbps);
        self.down.set_kbps(kbps);
        self.counts.capacity_kbps = Some(kbps);
    }

    /// What went over the path since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Makes a new end, for the relay to know.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn describe(&mut self) -> Result<LinkDescription> {
        let local = Description::new(&self.certificate)?;
        let description = local.to_message(&[]);
        (self.local, self.link) = (Some(local), None);
        self.expected.clear();
        Ok(description)
    }

    /// Takes the relay's end.
    ///
    /// # Errors
    /// If it is none.
    pub fn connect(&mut self, now: Instant, relay: &LinkDescription) -> Result<()> {
        let local = self.local.as_ref().ok_or("the relay answered twice")?;
        let remote = Description::from_message(relay)?;
        let mut link = Link::participant(now, &self.certificate, local, &remote, &relay.addresses)?;
        link.expect_ssrc(RELAY_SSRC)?;
        link.expect_ssrc(PADDING_SSRC)?;
        self.link = Some(link);
        self.expected.clear();
        Ok(())
    }

    /// Drops the link.
    pub fn close(&mut self, now: Instant) {
        if let Some(link) = &mut self.link {
            link.close(now);
            while let Output::Transmit(transmit) = link.poll(now) {
                // It is the last word, and may get lost.
                let _ = self.socket.send_to(&transmit.datagram, transmit.to);
            }
        }
        self.link = None;
    }

    /// Takes the streams of the others, and no more, and sends one's own with retransmissions.
    ///
    /// # Errors
    /// If the link has had as many streams as it can have in its life: another is to be made.
    pub fn set_streams(
        &mut self,
        others: impl Iterator<Item = (u32, Kind)>,
        own: impl Iterator<Item = u32>,
    ) -> std::result::Result<(), TooManySsrcs> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let wanted: BTreeMap<u32, Kind> = others.collect();
        if wanted != self.expected {
            for ssrc in self.expected.keys().filter(|ssrc| !wanted.contains_key(ssrc)) {
                link.forget_stream(*ssrc);
            }
            for (&ssrc, &kind) in wanted.iter().filter(|(ssrc, _)| !self.expected.contains_key(ssrc)) {
                link.expect_stream(ssrc, kind)?;
            }
            self.expected = wanted;
        }
        for ssrc in own {
            link.send_stream(ssrc);
        }
        Ok(())
    }

    /// Sends a packet of media.
    pub fn send(&mut self, now: Instant, packet: &[u8]) {
        let Some(link) = &mut self.link else { return };
        let protected = match is_rtcp(packet) {
            true => link.protect_rtcp(packet),
            false => link.protect_rtp(packet),
        };
        match (protected, link.address()) {
            (Ok(datagram), Some(to)) => self.leave(now, to, datagram),
            (Err(ProtectError::NotConnected), _) | (Ok(_), None) => {}
            (Err(error), _) => {
                self.unprotected += 1;
                tracing::debug!(%error, "a packet was not sent");
            }
        }
    }

    fn leave(&mut self, now: Instant, to: SocketAddr, datagram: Bytes) {
        match self.counts.up.count(datagram.len(), self.up.pass(now, datagram.len())) {
            Some(at) if at <= now => transmit(&self.socket, to, &datagram),
            Some(at) => self.leaving.push_back((at, to, datagram)),
            None => {}
        }
    }

    /// Takes a datagram, which may still be on its way.
    pub fn arrive(&mut self, now: Instant, from: SocketAddr, datagram: Bytes) -> Option<Bytes> {
        match self.counts.down.count(datagram.len(), self.down.pass(now, datagram.len()))? {
            at if at <= now => self.take(now, from, &datagram),
            at => {
                self.arriving.push_back((at, from, datagram));
                None
            }
        }
    }

    fn take(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Bytes> {
        match self.link.as_mut()?.handle_datagram(now, from, datagram)? {
            Media::Rtp(packet) | Media::Rtcp(packet) => Some(packet),
        }
    }

    /// A packet that has come by the path by now.
    pub fn next_packet(&mut self, now: Instant) -> Option<Bytes> {
        while self.arriving.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, from, datagram) = self.arriving.pop_front()?;
            if let Some(packet) = self.take(now, from, &datagram) {
                return Some(packet);
            }
        }
        None
    }

    /// Sends what is due, and says what became of the link and when to poll again.
    pub fn poll(&mut self, now: Instant) -> (Option<Event>, Option<Instant>) {
        while self.leaving.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, to, datagram)) = self.leaving.pop_front() else { break };
            transmit(&self.socket, to, &datagram);
        }
        loop {
            let due = || {
                [self.leaving.front(), self.arriving.front()].into_iter().flatten().map(|(at, ..)| *at).min()
            };
            let Some(link) = &mut self.link else { return (None, due()) };
            match link.poll(now) {
                Output::Transmit(to_send) => self.leave(now, to_send.to, to_send.datagram),
                Output::Connected => return (Some(Event::Up), Some(now)),
                Output::Closed(why) => {
                    self.link = None;
                    return (Some(Event::Down(why.to_string())), Some(now));
                }
                Output::Timeout(at) => return (None, Some(due().map_or(at, |due| due.min(at)))),
                _ => {}
            }
        }
    }
}

fn transmit(socket: &UdpSocket, to: SocketAddr, datagram: &[u8]) {
    // A full queue or a path that is down loses datagrams, as any network does.
    if let Err(error) = socket.send_to(datagram, to) {
        tracing::debug!(%error, "a datagram was not sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_had_too_many_streams_is_followed_by_another() {
        let now = Instant::now();
        let relay = Description::new(&Certificate::generate().unwrap()).unwrap();
        let relay = relay.to_message(&["127.0.0.1:9".parse().unwrap()]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut wire =
            Wire::new(socket, Path { kbps: None, delay: Default::default(), loss_percent: 0.0 }).unwrap();
        let mut streams = (0..).map(|n: u32| 0x1000 + 2 * n);
        for _ in 0..2 {
            wire.describe().unwrap();
            wire.connect(now, &relay).unwrap();
            let mut set = |ssrc| wire.set_streams([(ssrc, Kind::Audio)].into_iter(), std::iter::empty());
            let ends = streams.by_ref().take(5000).position(|ssrc| set(ssrc).is_err());
            assert!(ends.is_some_and(|streams| streams > 2000), "{ends:?}");
        }
    }
}
