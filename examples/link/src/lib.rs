//! A WebRTC link without sockets, clocks and threads: it carries RTP and RTCP packets, whole, between a relay (SFU) and a
//! participant, over ICE and DTLS-SRTP. A browser can be the participant, and layercast's native participant is one.
//!
//! ```text
//!   RTP, RTCP ──▶ Link::protect_* ──▶ ┌─────┐ ──▶ Link::handle_datagram ──▶ RTP, RTCP
//!                                     │ UDP │
//!   ICE, DTLS ◀─▶ Link::poll      ◀─▶ └─────┘ ◀─▶ Link::handle_datagram, Link::poll
//! ```
//!
//! It is made of parts of str0m, the ICE of [`is`] and the DTLS of [`dimpl`], and of the SRTP of [`rtc_srtp`]. str0m's own
//! session answers NACKs, paces, and numbers packets for congestion control, and has no layer refresh request. layercast's
//! `relay::Room` and `session` do all of this, and would do it twice.
//!
//! # Use
//!
//! Each end makes a [`Certificate`] once and a [`Description`] for each link; signalling carries the descriptions, and the
//! relay's addresses. Then one end is [`Link::relay`] and the other [`Link::participant`]. Datagrams go to
//! [`Link::handle_datagram`], which returns media at once; what is to be sent comes from [`Link::poll`]. A server that
//! gets a datagram from an unknown address finds its link by [`ufrag_of`].
//!
//! A link does not come back: when it is [`Output::Closed`], or when the participant's network changes to one that has no
//! way to the same addresses, both ends make a new one.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use layercast_link::{Certificate, Description, Link, Media, Output, State};
//!
//! let certificates = [Certificate::generate()?, Certificate::generate()?];
//! // The relay writes into the fragment where datagrams of this link belong: to worker 3.
//! let relay = Description::with_ufrag("w3p0017", &certificates[0])?;
//! let participant = Description::new(&certificates[1])?;
//! let addresses = ["203.0.113.1:3478".parse()?, "198.51.100.7:40000".parse()?];
//!
//! let mut now = Instant::now();
//! let mut links = [
//!     Link::relay(now, &certificates[0], &relay, &participant)?,
//!     Link::participant(now, &certificates[1], &participant, &relay, &addresses[..1])?,
//! ];
//! while links.iter().any(|link| link.state() != State::Connected) {
//!     for (from, to) in [(0, 1), (1, 0)] {
//!         while let Output::Transmit(transmit) = links[from].poll(now) {
//!             assert_eq!(transmit.to, addresses[to]);
//!             links[to].handle_datagram(now, addresses[from], &transmit.datagram);
//!         }
//!     }
//!     now += Duration::from_millis(10);
//! }
//!
//! let packet = b"\x80\x60\0\x01\0\0\0\0\0\0\0\x07hello";
//! links[1].expect_ssrc(7)?;
//! let datagram = links[0].protect_rtp(packet)?;
//! let media = links[1].handle_datagram(now, addresses[0], &datagram);
//! assert_eq!(media, Some(Media::Rtp(packet[..].into())));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Retransmissions
//!
//! AES-GCM seals a number of a stream once: whoever has two packets under one nonce can forge others. A packet that is sent
//! again is no repeat, since its header has another number of the path (transport-wide congestion control). So the link
//! sends it as RFC 4588 has it, under an SSRC and a number of their own, and the other end makes the original of it
//! ([`Link::send_rtx`], [`Link::expect_rtx`]). What sends and receives streams does not notice. Without that,
//! [`ProtectError::Repeated`] comes back.
//!
//! # What an attacker can do
//!
//! - *Anyone* can send datagrams. Those of strangers, with every first byte, are dropped without an allocation, an answer or
//!   a line in a log. DTLS and media are looked at only if they come from an address that has been checked with the right
//!   password.
//! - Who *sees the path* learns SSRCs, sequence numbers, sizes and times, and header extensions, which SRTP does not
//!   encrypt. Copies of checks from another address get an answer there, and no more: packets follow a participant to
//!   another address only when an authentic packet came from there, or the old address has been silent for 8 s.
//! - Who *writes the path* can keep the ends from connecting, as a handshake has no keys yet, and can drop what they like.
//!   They cannot read, alter, add or repeat packets: the peer has to have the certificate whose fingerprint signalling
//!   carried, so that this is as good as the signalling is.
//! - The *peer* gets through the packets it likes, of the SSRCs that the owner of the link expects. It cannot make a relay's
//!   link remember more than 8 of its addresses, 4096 SSRCs, and one handshake.
//!
//! DTLS is 1.3 or 1.2. Two links agree on the profile AEAD_AES_256_GCM. A browser may get AEAD_AES_128_GCM (RFC 7714), or
//! SRTP_AES128_CM_SHA1_80, which every browser has (RFC 8827, section 6.5): libwebrtc names it first, and the server of
//! `dimpl` takes what a client of DTLS 1.3 names first.

mod certificate;
mod ice;
mod link;
mod meeting;
mod srtp;
mod stun;
mod window;

pub use certificate::{Certificate, CertificateError, Fingerprint, FingerprintError};
pub use link::{
    CONNECT_WITHIN, Closed, Description, Link, LinkError, MAX_DATAGRAM, Media, Output, ProtectError, Rtx,
    State, TooManySsrcs, Transmit,
};
pub use stun::{is_binding_request, ufrag_of};
