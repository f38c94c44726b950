//! Which addresses a peer has proven by connectivity checks (RFC 8445), and which of them packets go to.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use is::stun::{StunMessage, StunPacket};
use is::{
    Candidate, DefaultSha1HmacProvider, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol,
    Sha1HmacProvider,
};

use crate::link::{Description, Transmit};
use crate::stun;

/// Without a check for so long, a peer has withdrawn its consent to get packets (RFC 7675, section 5.1).
pub(crate) const CONSENT: Duration = Duration::from_secs(30);
/// Addresses of a peer that a relay remembers; the one that was checked longest ago gives way to a new one.
const MAX_PATHS: usize = 8;
/// A nominated address without checks for so long gives way to one of a lower priority. Checks come every 3 s at least.
const STALE: Duration = Duration::from_secs(8);
/// Addresses of a relay that are tried, and addresses that answers may say that the participant has.
const MAX_ADDRESSES: usize = 16;
/// Bytes of the longest answer: header, address of IPv6 or error, integrity, fingerprint.
const MAX_ANSWER: usize = 128;

/// One end's half of ICE.
pub(crate) enum Ice {
    Lite(Box<Responder>),
    Full(Box<Checker>),
}

impl Ice {
    /// Takes a STUN message. Whether it was the peer's: then [`poll`](Self::poll) may have something to send.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> bool {
        match self {
            Self::Lite(responder) => responder.handle(now, from, datagram),
            Self::Full(checker) => checker.handle(now, from, datagram),
        }
        .is_some()
    }

    /// Whether the peer has proven by a check that it is at an address.
    pub fn admits(&self, from: SocketAddr) -> bool {
        match self {
            Self::Lite(responder) => responder.paths.iter().any(|path| path.address == from),
            Self::Full(checker) => checker.proven.contains(&from),
        }
    }

    /// Where packets go.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Lite(responder) => responder.address(),
            Self::Full(checker) => checker.address,
        }
    }

    /// An authentic packet of the peer came from an address that it has checked from.
    pub fn prove(&mut self, from: SocketAddr) {
        if let Self::Lite(responder) = self {
            responder.prove(from);
        }
    }

    /// The next message to send.
    pub fn poll(&mut self) -> Option<Transmit> {
        match self {
            Self::Lite(responder) => responder.answer.take(),
            Self::Full(checker) => {
                let message = checker.agent.poll_transmit()?;
                Some(Transmit { to: message.destination, datagram: Vec::from(message.contents).into() })
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Self::Full(checker) = self
            && now >= checker.wake
        {
            checker.agent.handle_timeout(now);
            checker.take_events(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`is_lost`](Self::is_lost) is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        match self {
            Self::Lite(responder) => responder.last_check.map(|last| last + CONSENT),
            Self::Full(checker) => Some(checker.wake),
        }
    }

    /// Whether the peer was there and has not shown itself for too long.
    pub fn is_lost(&self, now: Instant) -> bool {
        match self {
            Self::Lite(responder) => responder.last_check.is_some_and(|last| now >= last + CONSENT),
            Self::Full(checker) => checker.lost,
        }
    }
}

/// The lite half (RFC 8445, section 2.5): it answers checks and sends none.
///
/// `is` has a lite mode too. It keeps every address that a peer ever checked from, and follows a peer to a new address
/// only when the checks from the old one have ceased for 15 s. A lite agent needs no candidates, pairs or timers, so
/// this is made of the messages of `is` alone.
pub(crate) struct Responder {
    local: Description,
    paths: Vec<Path>,
    /// Where packets go, and whether an authentic packet came from there.
    selected: Option<SocketAddr>,
    is_proven: bool,
    /// Where they go as soon as an authentic packet comes from there.
    nominated: Option<SocketAddr>,
    last_check: Option<Instant>,
    answer: Option<Transmit>,
}

/// An address that a check with our password came from.
#[derive(Debug, Clone, Copy)]
struct Path {
    address: SocketAddr,
    priority: u32,
    checked: Instant,
}

impl Responder {
    pub fn new(local: Description) -> Self {
        Self {
            local,
            paths: Vec::new(),
            selected: None,
            is_proven: false,
            nominated: None,
            last_check: None,
            answer: None,
        }
    }

    /// `None` if the message is not the peer's.
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<()> {
        // Whoever does not know the username is turned away before anything is allocated.
        if stun::ufrag_of(datagram) != Some(&*self.local.ufrag) || !stun::is_check(datagram) {
            return None;
        }
        // The second half of the username is the peer's, which may be known only later (RFC 8445, section 7.3): the password
        // says that it is the peer.
        let message = StunMessage::parse(datagram).ok()?;
        if !message.is_binding_request()
            || message.split_username().is_none_or(|(own, _)| own != self.local.ufrag)
            || !message.verify(self.local.password.as_bytes(), sha1_hmac)
        {
            return None;
        }
        // A lite agent is the controlled one, whatever the tie-breakers are (section 6.1.1).
        if message.ice_controlled().is_some() {
            return self.answer(from, StunMessage::binding_role_conflict_reply(message.trans_id()));
        }
        let priority = message.prio().unwrap_or_default();
        self.record(Path { address: from, priority, checked: now });
        if message.use_candidate() {
            self.nominate(now, from, priority);
        }
        // Consent is that of where packets go: nobody else can give it.
        if self.address() == Some(from) {
            self.last_check = Some(now);
        }
        self.answer(from, StunMessage::binding_reply(message.trans_id(), from))
    }

    fn record(&mut self, path: Path) {
        if let Some(known) = self.paths.iter_mut().find(|known| known.address == path.address) {
            *known = path;
        } else if self.paths.len() < MAX_PATHS {
            self.paths.push(path);
        } else if let Some(oldest) = self
            .paths
            .iter_mut()
            .filter(|known| Some(known.address) != self.selected)
            .min_by_key(|known| known.checked)
        {
            *oldest = path;
        }
    }

    /// A peer behind a NAT that gave it another address nominates that with the same priority as before; one with two
    /// addresses keeps the better one.
    ///
    /// Whoever copies a check can send it from anywhere. So packets go elsewhere only when a packet that nobody has copied
    /// came from there, or when the checks from where they go have ceased.
    fn nominate(&mut self, now: Instant, from: SocketAddr, priority: u32) {
        let selected =
            self.selected.and_then(|selected| self.paths.iter().find(|path| path.address == selected));
        match selected {
            Some(selected) if selected.address == from => self.nominated = None,
            Some(selected) if self.is_proven && now < selected.checked + STALE => {
                if priority >= selected.priority {
                    self.nominated = Some(from);
                }
            }
            _ => self.selected = Some(from),
        }
    }

    fn prove(&mut self, from: SocketAddr) {
        if !self.is_proven || self.nominated == Some(from) {
            (self.selected, self.is_proven, self.nominated) = (Some(from), true, None);
        }
    }

    /// Before an address is nominated, it is the one that was checked first.
    fn address(&self) -> Option<SocketAddr> {
        self.selected.or_else(|| self.paths.first().map(|path| path.address))
    }

    fn answer(&mut self, to: SocketAddr, message: StunMessage<'_>) -> Option<()> {
        let mut bytes = [0; MAX_ANSWER];
        let length = message.to_bytes(Some(self.local.password.as_bytes()), &mut bytes, sha1_hmac).ok()?;
        self.answer = Some(Transmit { to, datagram: Bytes::copy_from_slice(bytes.get(..length)?) });
        Some(())
    }
}

/// The full half, which controls: it checks each address of a relay until one answers, and goes on checking that one.
pub(crate) struct Checker {
    agent: IceAgent,
    relay: Vec<SocketAddr>,
    /// Addresses of the relay that have answered.
    proven: Vec<SocketAddr>,
    /// Addresses that answers say that this end has. The agent keeps each, so that they are counted.
    mapped: Vec<SocketAddr>,
    address: Option<SocketAddr>,
    lost: bool,
    wake: Instant,
}

impl Checker {
    /// `None` if no address can be checked.
    pub fn new(
        now: Instant,
        local: &Description,
        remote: &Description,
        addresses: &[SocketAddr],
    ) -> Option<Self> {
        let credentials = |of: &Description| IceCreds { ufrag: of.ufrag.clone(), pass: of.password.clone() };
        let mut agent = IceAgent::new(credentials(local));
        agent.set_controlling(true);
        agent.set_remote_credentials(credentials(remote));
        let mut relay = Vec::new();
        for &address in addresses.iter().take(MAX_ADDRESSES) {
            let Ok(candidate) = Candidate::host(address, "udp") else { continue };
            // The relay learns this end's address by its checks, so that nobody has to know it beforehand. The agent
            // wants one for each version of IP: these are for documents (RFC 5737, RFC 3849).
            let own = if address.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
            let own = own.parse().ok().and_then(|own| Candidate::host(own, "udp").ok())?;
            agent.add_local_candidate(own);
            agent.add_remote_candidate(candidate);
            relay.push(address);
        }
        let (proven, mapped) = (Vec::new(), Vec::new());
        (!relay.is_empty()).then_some(Self {
            agent,
            relay,
            proven,
            mapped,
            address: None,
            lost: false,
            wake: now,
        })
    }

    /// `None` if the message is not the peer's.
    fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<()> {
        // A relay has the addresses that signalling named, and no other.
        if !self.relay.contains(&from) || !stun::is_check(datagram) {
            return None;
        }
        let message =
            StunMessage::parse(datagram).ok().filter(|message| self.agent.accepts_message(message))?;
        if let Some(mapped) = message.mapped_address().filter(|mapped| !self.mapped.contains(mapped)) {
            if self.mapped.len() == MAX_ADDRESSES {
                return None;
            }
            self.mapped.push(mapped);
        }
        let own = self.agent.local_candidates().find(|own| own.addr().is_ipv4() == from.is_ipv4())?;
        let packet = StunPacket { proto: Protocol::Udp, source: from, destination: own.addr(), message };
        self.agent.handle_packet(now, packet);
        self.take_events(now);
        Some(())
    }

    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceAgentEvent::DiscoveredRecv { source, .. } => self.proven.push(source),
                IceAgentEvent::NominatedSend { destination, .. } => self.address = Some(destination),
                IceAgentEvent::IceConnectionStateChange(state) => {
                    self.lost = state == IceConnectionState::Disconnected;
                }
                IceAgentEvent::IceRestart(_) => {}
            }
        }
        self.wake = self.agent.poll_timeout().unwrap_or(now);
    }
}

fn sha1_hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    DefaultSha1HmacProvider.sha1_hmac(key, payloads)
}
