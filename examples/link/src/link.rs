//! A link: ICE, DTLS and SRTP joined.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::{Dtls, Error, UnexpectedMessageError};
use ring::rand::{SecureRandom, SystemRandom};

use crate::certificate::{Certificate, Fingerprint};
use crate::ice::{Checker, Ice, Responder};
use crate::srtp::{Srtp, Streams};

/// Longer datagrams are neither taken nor sent, in bytes.
pub const MAX_DATAGRAM: usize = 2048;
/// A link that is not connected so long after it was made closes.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// What a record of DTLS, or a certificate, may take.
const MAX_RECORD: usize = 1 << 16;
/// A closed link has nothing to do at any time.
const NEVER: Duration = Duration::from_secs(86_400);
/// The characters of ICE (RFC 8839, section 5.4): 64, so that each of a password has 6 bits.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// 24 characters of a password are 144 bits (RFC 8445, section 5.3, wants 128), and 8 of a username fragment 48 bits.
const PASSWORD: usize = 24;
const UFRAG: usize = 8;

/// What one end of a link tells the other by signalling, besides the addresses of a relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Description {
    /// The username fragment of ICE: 4 to 256 letters, digits, `+` or `/` (RFC 8839, section 5.4).
    pub ufrag: String,
    /// The password of ICE: 22 to 256 of the same characters.
    pub password: String,
    /// Of the certificate.
    pub fingerprint: Fingerprint,
}

impl Description {
    /// The description of an end with this certificate. The username fragment and the password are random.
    ///
    /// # Errors
    ///
    /// The operating system has no random numbers.
    pub fn new(certificate: &Certificate) -> Result<Self, LinkError> {
        Self::with_ufrag(random_text(UFRAG)?, certificate)
    }

    /// One whose username fragment the caller has chosen, so that [`ufrag_of`](crate::ufrag_of) tells where a datagram
    /// belongs. The password is random.
    ///
    /// # Errors
    ///
    /// The fragment is not one, or the operating system has no random numbers.
    pub fn with_ufrag(ufrag: impl Into<String>, certificate: &Certificate) -> Result<Self, LinkError> {
        let description = Self {
            ufrag: ufrag.into(),
            password: random_text(PASSWORD)?,
            fingerprint: certificate.fingerprint(),
        };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), LinkError> {
        let is_text = |text: &str, least| {
            (least..=256).contains(&text.len()) && text.bytes().all(|byte| ICE_CHARS.contains(&byte))
        };
        if !is_text(&self.ufrag, 4) {
            Err(LinkError::Ufrag)
        } else if !is_text(&self.password, 22) {
            Err(LinkError::Password)
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Description {
    /// Says all but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ufrag, fingerprint, .. } = self;
        f.debug_struct("Description")
            .field("ufrag", ufrag)
            .field("fingerprint", fingerprint)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    /// Says how far the link is, and where its packets go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.state)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

fn random_text(length: usize) -> Result<String, LinkError> {
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).map_err(|_| LinkError::Random)?;
    Ok(bytes.iter().map(|&byte| char::from(ICE_CHARS[usize::from(byte % 64)])).collect())
}

/// A link could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A username fragment is not 4 to 256 letters, digits, `+` or `/`.
    #[error("a username fragment has 4 to 256 letters, digits, + or /")]
    Ufrag,
    /// A password is not 22 to 256 letters, digits, `+` or `/`.
    #[error("a password of ICE has 22 to 256 letters, digits, + or /")]
    Password,
    /// No address of the relay is one that datagrams can be sent to.
    #[error("no address of the relay can be reached by UDP")]
    Addresses,
    /// The operating system has no random numbers.
    #[error("the operating system has no random numbers")]
    Random,
}

/// How far a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The ends look for addresses by which they reach each other.
    Checking,
    /// They agree on keys.
    Handshaking,
    /// Media may go.
    Connected,
    /// It is over.
    Closed,
}

/// Why a link is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The ends have not connected within [`CONNECT_WITHIN`].
    #[error("the peer could not be reached in time")]
    TimedOut,
    /// The peer's certificate is not the one that signalling named.
    #[error("the peer has another certificate than signalling named")]
    WrongFingerprint,
    /// DTLS failed.
    #[error("the handshake failed: {0}")]
    Handshake(String),
    /// The peer does not protect media, or not by a profile of this end.
    #[error("the ends have no way in common to protect media")]
    NoCommonProfile,
    /// The peer has not been heard of for too long (RFC 7675).
    #[error("the peer is gone")]
    Lost,
    /// The peer has closed the link.
    #[error("the peer has closed the link")]
    ByPeer,
}

/// What a link has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// A datagram of ICE or DTLS is to be sent.
    Transmit(Transmit),
    /// The peer has proven that it has the certificate that signalling named; media may go. It comes once.
    Connected,
    /// The link is over, and has nothing more to say.
    Closed(Closed),
    /// There is nothing to do before that time, unless a datagram comes.
    Timeout(Instant),
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes.
    pub to: SocketAddr,
    /// Its bytes.
    pub datagram: Bytes,
}

/// A packet of the peer, authenticated and decrypted, byte for byte as the peer had it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Media {
    /// An RTP packet.
    Rtp(Bytes),
    /// An RTCP packet, compound or not.
    Rtcp(Bytes),
}

/// The SSRC and the payload type by which a stream is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtx {
    /// Synchronization source.
    pub ssrc: u32,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
}

/// A packet cannot be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectError {
    /// The link is not connected.
    #[error("the link is not connected")]
    NotConnected,
    /// The bytes are no RTP or RTCP packet.
    #[error("these bytes are no packet")]
    Malformed,
    /// The packet would be longer than [`MAX_DATAGRAM`].
    #[error("a protected packet would be longer than {MAX_DATAGRAM} bytes")]
    TooLong,
    /// The number was sent before, or is too old to tell, and the stream has no retransmissions
    /// ([`Link::send_rtx`]).
    #[error("a packet of this number was sent before")]
    Repeated,
    /// The number is more than 16,383 ahead of the highest one before.
    #[error("the sequence number is too far ahead")]
    Jump,
    /// More SSRCs were sent than a link can have in its life.
    #[error(transparent)]
    TooManySsrcs(#[from] TooManySsrcs),
}

/// More SSRCs than a link can have in its life: 4096 in each direction, and those that were forgotten count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link can have 4096 SSRCs in each direction")]
pub struct TooManySsrcs;

/// One end of a link. The [crate's documentation](crate) says how it is used.
pub struct Link {
    certificate: Certificate,
    remote: Fingerprint,
    ice: Ice,
    /// A relay's comes to be by the first record from an address that has been checked.
    dtls: Option<Dtls>,
    /// Of the handshake, before it is known whether it succeeds.
    handshake: Handshake,
    srtp: Option<Srtp>,
    streams: Streams,
    state: State,
    outputs: VecDeque<Output>,
    opened: Instant,
    wake: Instant,
    scratch: Vec<u8>,
}

#[derive(Default)]
struct Handshake {
    /// Where its last message came from, and its next one goes: it may be under way before an address is nominated.
    peer: Option<SocketAddr>,
    is_complete: bool,
    is_verified: bool,
    srtp: Option<Srtp>,
}

impl Link {
    /// The relay's end: it answers checks (ICE-lite) and is the server of the handshake. `local` is the description that
    /// the participant got, with this certificate's fingerprint. Of `remote` only the fingerprint counts, since the lite
    /// end sends no checks: a browser, which chooses its username fragment and its password when it has the relay's, may
    /// name others.
    ///
    /// # Errors
    ///
    /// A description has a username fragment or a password that ICE does not allow.
    pub fn relay(
        now: Instant,
        certificate: &Certificate,
        local: &Description,
        remote: &Description,
    ) -> Result<Self, LinkError> {
        let ice = Ice::Lite(Box::new(Responder::new(local.clone())));
        Self::new(now, certificate, local, remote, ice)
    }

    /// A participant's end: it checks the addresses of the relay, at most the first 16, and is the client of the
    /// handshake. `local` is the description that the relay got, with this certificate's fingerprint.
    ///
    /// # Errors
    ///
    /// A description has a username fragment or a password that ICE does not allow, or no address can be reached.
    pub fn participant(
        now: Instant,
        certificate: &Certificate,
        local: &Description,
        remote: &Description,
        addresses: &[SocketAddr],
    ) -> Result<Self, LinkError> {
        let checker = Checker::new(now, local, remote, addresses).ok_or(LinkError::Addresses)?;
        Self::new(now, certificate, local, remote, Ice::Full(Box::new(checker)))
    }

    fn new(
        now: Instant,
        certificate: &Certificate,
        local: &Description,
        remote: &Description,
        ice: Ice,
    ) -> Result<Self, LinkError> {
        local.check()?;
        remote.check()?;
        Ok(Self {
            certificate: certificate.clone(),
            remote: remote.fingerprint,
            ice,
            dtls: None,
            handshake: Handshake::default(),
            srtp: None,
            streams: Streams::default(),
            state: State::Checking,
            outputs: VecDeque::new(),
            opened: now,
            wake: now,
            scratch: Vec::new(),
        })
    }

    /// How far the link is.
    pub fn state(&self) -> State {
        self.state
    }

    /// When the link was made.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Where protected packets go now. A relay follows a participant to another address when a check with the right
    /// password and an authentic packet came from there, or when checks from the old one have ceased.
    pub fn address(&self) -> Option<SocketAddr> {
        self.ice.address()
    }

    /// Takes packets of an SSRC from now on; RTP and RTCP of others are dropped. The SSRC of RTCP is the one that sends
    /// it, which a browser that sends no media sets to 1.
    ///
    /// # Errors
    ///
    /// The link has had as many SSRCs as it can have.
    pub fn expect_ssrc(&mut self, ssrc: u32) -> Result<(), TooManySsrcs> {
        self.streams.expect(ssrc)
    }

    /// Takes retransmissions (RFC 4588) of a stream under an SSRC of their own, and hands on the packets that they carry.
    ///
    /// # Errors
    ///
    /// The link has had as many SSRCs as it can have.
    pub fn expect_rtx(&mut self, ssrc: u32, original: Rtx) -> Result<(), TooManySsrcs> {
        self.streams.expect_rtx(ssrc, original)
    }

    /// Drops what comes under an SSRC from now on, and sends nothing of it again. If it is expected again, packets that were there stay refused.
    pub fn forget_ssrc(&mut self, ssrc: u32) {
        self.streams.forget(ssrc);
    }

    /// Has packets of a stream that [`protect_rtp`](Self::protect_rtp) gets again go as retransmissions (RFC 4588) with
    /// this SSRC and payload type.
    pub fn send_rtx(&mut self, ssrc: u32, rtx: Rtx) {
        self.streams.send_rtx(ssrc, rtx);
    }

    /// Takes a datagram, of any bytes and from anywhere. What it is, its first byte says (RFC 7983); media comes back at
    /// once. If none comes back, [`poll`](Self::poll) may have something to say.
    ///
    /// A socket for both versions of IP gives addresses of IPv4 as if they were of IPv6; they want
    /// [`IpAddr::to_canonical`](std::net::IpAddr::to_canonical) before they come here.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Media> {
        if self.state == State::Closed || datagram.len() > MAX_DATAGRAM {
            return None;
        }
        match datagram.first()? {
            0..=3 if self.ice.handle(now, from, datagram) => self.drain(now),
            20..=63 if self.ice.admits(from) => self.handle_dtls(now, from, datagram),
            128..=191 if self.ice.admits(from) => {
                let srtp = self.srtp.as_mut()?;
                // RFC 5761, section 4.
                let media = if datagram.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
                    srtp.open_rtcp(&self.streams, datagram).map(Media::Rtcp)
                } else {
                    srtp.open_rtp(&self.streams, datagram).map(Media::Rtp)
                }?;
                self.ice.prove(from);
                return Some(media);
            }
            _ => {}
        }
        None
    }

    /// What there is to say at a time: to be called until it returns [`Output::Timeout`], after each datagram that was no
    /// media, and at that time at the latest.
    pub fn poll(&mut self, now: Instant) -> Output {
        if self.outputs.is_empty() && now >= self.wake {
            self.handle_timeout(now);
        }
        self.outputs.pop_front().unwrap_or(Output::Timeout(self.wake))
    }

    /// Protects an RTP packet, of the SSRCs that this end sends. It goes to [`address`](Self::address).
    ///
    /// No two packets of one SSRC and number may be sealed, or else whoever sees both can forge packets. So a number that
    /// was sealed before goes as a retransmission ([`send_rtx`](Self::send_rtx)) or not at all. A stream should
    /// begin with a number below 32,768 (RFC 3711, section 3.3.1).
    ///
    /// # Errors
    ///
    /// [`ProtectError`] says which; nothing has changed then.
    pub fn protect_rtp(&mut self, packet: &[u8]) -> Result<Bytes, ProtectError> {
        self.srtp.as_mut().ok_or(ProtectError::NotConnected)?.protect_rtp(&self.streams, packet)
    }

    /// Protects an RTCP packet, compound or not. It goes to [`address`](Self::address).
    ///
    /// # Errors
    ///
    /// [`ProtectError`] says which; nothing has changed then.
    pub fn protect_rtcp(&mut self, packet: &[u8]) -> Result<Bytes, ProtectError> {
        self.srtp.as_mut().ok_or(ProtectError::NotConnected)?.protect_rtcp(packet)
    }

    /// Closes the link, and tells the peer if they are connected. [`poll`](Self::poll) has the datagrams of that, and no
    /// [`Output::Closed`].
    pub fn close(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        if let Some(dtls) = &mut self.dtls {
            // An error says that there is nobody to tell.
            let _ = dtls.handle_timeout(now).and_then(|()| dtls.close());
        }
        self.drain(now);
        self.end(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.state == State::Closed {
            self.wake = now + NEVER;
            return;
        }
        self.ice.handle_timeout(now);
        if self.state != State::Connected && now >= self.opened + CONNECT_WITHIN {
            return self.fail(now, Closed::TimedOut);
        }
        if self.ice.is_lost(now) {
            return self.fail(now, Closed::Lost);
        }
        if let Some(Err(error)) = self.dtls.as_mut().map(|dtls| dtls.handle_timeout(now)) {
            return self.fail(now, Closed::Handshake(error.to_string()));
        }
        self.drain(now);
    }

    fn handle_dtls(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.start_handshake(now);
        let was_connected = self.state == State::Connected;
        if !was_connected {
            self.handshake.peer = Some(from);
        }
        let Some(dtls) = &mut self.dtls else { return };
        match dtls.handle_timeout(now).and_then(|()| dtls.handle_packet(datagram)) {
            // A client that has not seen the server's first message takes any other for an error, and goes on.
            Ok(())
            | Err(Error::UnexpectedMessage(UnexpectedMessageError::UnrecognizedAutoServerResponse)) => {
                self.drain(now);
                if !was_connected && self.state == State::Connected {
                    self.ice.prove(from);
                }
            }
            Err(error) => self.fail(now, Closed::Handshake(error.to_string())),
        }
    }

    fn start_handshake(&mut self, now: Instant) {
        if self.dtls.is_none() {
            let mut dtls = Dtls::new_auto(self.certificate.config(), self.certificate.keys(), now);
            dtls.set_active(self.is_client());
            self.dtls = Some(dtls);
            self.state = State::Handshaking;
        }
    }

    fn is_client(&self) -> bool {
        matches!(self.ice, Ice::Full(_))
    }

    /// Takes what the parts have to say, and the time when they will have more.
    fn drain(&mut self, now: Instant) {
        if self.state == State::Closed {
            return;
        }
        while let Some(transmit) = self.ice.poll() {
            self.outputs.push_back(Output::Transmit(transmit));
        }
        let mut wake = self.ice.next_timeout();
        if let Some(to) = self.ice.address() {
            if self.is_client() {
                self.start_handshake(now);
            }
            let to = self.handshake.peer.filter(|_| self.state == State::Handshaking).unwrap_or(to);
            match self.drain_dtls(to) {
                Ok(timeout) => wake = wake.into_iter().chain(timeout).min(),
                Err(reason) => return self.fail(now, reason),
            }
        }
        if self.state != State::Connected {
            wake = wake.into_iter().chain([self.opened + CONNECT_WITHIN]).min();
        }
        // A part that asks for a time that is over gets the next millisecond, so that polling ends.
        self.wake = wake.unwrap_or(now + NEVER).max(now + Duration::from_millis(1));
    }

    fn drain_dtls(&mut self, to: SocketAddr) -> Result<Option<Instant>, Closed> {
        let Some(dtls) = &mut self.dtls else { return Ok(None) };
        self.scratch.resize(self.scratch.len().max(MAX_DATAGRAM), 0);
        let timeout = loop {
            match dtls.poll_output(&mut self.scratch) {
                dimpl::Output::Packet(datagram) => {
                    let datagram = Bytes::copy_from_slice(datagram);
                    self.outputs.push_back(Output::Transmit(Transmit { to, datagram }));
                }
                dimpl::Output::BufferTooSmall { needed } if needed <= MAX_RECORD => {
                    self.scratch.resize(needed, 0)
                }
                dimpl::Output::BufferTooSmall { .. } => {
                    return Err(Closed::Handshake("a message is too long".into()));
                }
                dimpl::Output::PeerCert(certificate) => {
                    if Fingerprint::of(certificate) != self.remote {
                        return Err(Closed::WrongFingerprint);
                    }
                    self.handshake.is_verified = true;
                }
                dimpl::Output::KeyingMaterial(material, profile) => {
                    let is_client = dtls.is_active();
                    self.handshake.srtp = Srtp::new(&material, profile, is_client);
                }
                dimpl::Output::Connected => self.handshake.is_complete = true,
                dimpl::Output::CloseNotify => return Err(Closed::ByPeer),
                dimpl::Output::Timeout(at) => break at,
                // Data channels are not spoken.
                _ => {}
            }
        };
        if self.handshake.is_complete && self.state == State::Handshaking {
            if !self.handshake.is_verified {
                return Err(Closed::WrongFingerprint);
            }
            self.srtp = Some(self.handshake.srtp.take().ok_or(Closed::NoCommonProfile)?);
            self.state = State::Connected;
            self.outputs.push_back(Output::Connected);
        }
        Ok(Some(timeout))
    }

    fn fail(&mut self, now: Instant, reason: Closed) {
        self.outputs.push_back(Output::Closed(reason));
        self.end(now);
    }

    fn end(&mut self, now: Instant) {
        self.state = State::Closed;
        self.wake = now + NEVER;
        (self.dtls, self.srtp) = (None, None);
        self.handshake = Handshake::default();
    }
}
