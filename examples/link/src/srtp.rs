//! Media under the keys of a handshake: SRTP and SRTCP (RFC 3711), by AES-GCM (RFC 7714) if both ends have it.

use std::collections::{HashMap, HashSet};

use bytes::{Buf, Bytes, BytesMut};
use dimpl::{KeyingMaterial, SrtpProfile};
use rtc_srtp::context::Context;
use rtc_srtp::crypto::default_provider;
use rtc_srtp::option::ContextOption;
use rtc_srtp::protection_profile::ProtectionProfile;

use crate::link::{MAX_DATAGRAM, ProtectError, Rtx, TooManySsrcs};
use crate::window::{Place, Window};

/// SSRCs of each direction in the life of a link. One that is forgotten counts, since its numbers are remembered.
pub(crate) const MAX_SSRCS: usize = 4096;
/// Bytes that protection adds to a packet at most: the tag, and the index of RTCP.
const OVERHEAD: usize = 20;
/// The part of an RTP header that each packet has, and of an RTCP packet up to its SSRC.
const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;
/// The flag and the index behind an RTCP packet.
const SRTCP_INDEX: usize = 4;
/// The number of the original packet, in front of a retransmission's payload (RFC 4588, section 4).
const ORIGINAL_NUMBER: usize = 2;

/// What the owner of a link has said of the SSRCs that come and go.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    /// Which SSRCs may come. Those that are not expected any more stay, with `None`.
    expected: HashMap<u32, Option<Expected>>,
    /// The stream of retransmissions of a stream that is sent.
    rtx: HashMap<u32, Rtx>,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Media,
    /// Retransmissions of this stream.
    RtxOf(Rtx),
}

impl Streams {
    pub fn expect(&mut self, ssrc: u32) -> Result<(), TooManySsrcs> {
        self.insert(ssrc, Expected::Media)
    }

    pub fn expect_rtx(&mut self, ssrc: u32, original: Rtx) -> Result<(), TooManySsrcs> {
        self.insert(ssrc, Expected::RtxOf(original))
    }

    pub fn forget(&mut self, ssrc: u32) {
        self.rtx.remove(&ssrc);
        if let Some(expected) = self.expected.get_mut(&ssrc) {
            *expected = None;
        }
    }

    pub fn send_rtx(&mut self, ssrc: u32, rtx: Rtx) {
        self.rtx.insert(ssrc, rtx);
    }

    fn insert(&mut self, ssrc: u32, expected: Expected) -> Result<(), TooManySsrcs> {
        if self.expected.len() >= MAX_SSRCS && !self.expected.contains_key(&ssrc) {
            return Err(TooManySsrcs);
        }
        self.expected.insert(ssrc, Some(expected));
        Ok(())
    }

    fn get(&self, ssrc: u32) -> Option<Expected> {
        *self.expected.get(&ssrc)?
    }
}

/// Both directions of a connected link.
///
/// A context of `rtc-srtp` makes a state for each SSRC before it authenticates a packet, and never removes one; so only
/// SSRCs of [`Streams`] get there.
pub(crate) struct Srtp {
    outgoing: Context,
    incoming: Context,
    /// Bytes behind the index of an RTCP packet.
    rtcp_tag: usize,
    /// Numbers of each SSRC that were sent.
    sent: HashMap<u32, Window>,
    /// SSRCs that have sent RTCP.
    reporters: HashSet<u32>,
    /// Retransmissions of each SSRC so far.
    repeats: HashMap<u32, u16>,
    /// A retransmission that is being written.
    scratch: Vec<u8>,
}

impl Srtp {
    /// Of the keys that a handshake agreed on (RFC 5764, section 4.2). `None` if they do not fit the profile.
    pub fn new(material: &KeyingMaterial, profile: SrtpProfile, is_client: bool) -> Option<Self> {
        let profile = match profile {
            SrtpProfile::AEAD_AES_128_GCM => ProtectionProfile::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => ProtectionProfile::AeadAes256Gcm,
            SrtpProfile::AES128_CM_SHA1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
            _ => return None,
        };
        let (client_key, rest) = material.split_at_checked(profile.key_len())?;
        let (server_key, rest) = rest.split_at_checked(profile.key_len())?;
        let (client_salt, server_salt) = rest.split_at_checked(profile.salt_len())?;
        let (client, server) = ((client_key, client_salt), (server_key, server_salt));
        let (own, peer) = if is_client { (client, server) } else { (server, client) };
        let provider = default_provider().ok()?;
        let context = |(key, salt): (&[u8], &[u8])| {
            let window =
                |bits| -> Option<ContextOption> { Some(Box::new(move || Box::new(Window::incoming(bits)))) };
            Context::new(key, salt, profile, window(16), window(31), provider.crypto()).ok()
        };
        Some(Self {
            outgoing: context(own)?,
            incoming: context(peer)?,
            rtcp_tag: profile.rtcp_auth_tag_len(),
            sent: HashMap::new(),
            reporters: HashSet::new(),
            repeats: HashMap::new(),
            scratch: Vec::new(),
        })
    }

    pub fn protect_rtp(&mut self, streams: &Streams, packet: &[u8]) -> Result<Bytes, ProtectError> {
        let header = RtpHeader::read(packet).ok_or(ProtectError::Malformed)?;
        let sent = window_of(&mut self.sent, header.ssrc)?;
        match sent.place(header.number.into()) {
            Place::New if packet.len() + OVERHEAD > MAX_DATAGRAM => Err(ProtectError::TooLong),
            Place::New => {
                sent.insert(header.number.into());
                seal(&mut self.outgoing, packet, header)
            }
            Place::Ahead => Err(ProtectError::Jump),
            Place::Seen => {
                let rtx = streams.rtx.get(&header.ssrc).ok_or(ProtectError::Repeated)?;
                self.protect_again(*rtx, packet, header)
            }
        }
    }

    /// Seals a packet whose number was sealed before as a retransmission with a number of its own (RFC 4588).
    fn protect_again(&mut self, rtx: Rtx, packet: &[u8], header: RtpHeader) -> Result<Bytes, ProtectError> {
        if packet.len() + ORIGINAL_NUMBER + OVERHEAD > MAX_DATAGRAM {
            return Err(ProtectError::TooLong);
        }
        let count = self.repeats.entry(rtx.ssrc).or_default();
        let sent = window_of(&mut self.sent, rtx.ssrc)?;
        if sent.place((*count).into()) != Place::New {
            return Err(ProtectError::Repeated);
        }
        sent.insert((*count).into());
        let (head, payload) = packet.split_at(header.length);
        self.scratch.clear();
        self.scratch.extend_from_slice(head);
        self.scratch[1] = head[1] & 0x80 | rtx.payload_type & 0x7f;
        self.scratch[2..4].copy_from_slice(&count.to_be_bytes());
        self.scratch[8..12].copy_from_slice(&rtx.ssrc.to_be_bytes());
        self.scratch.extend_from_slice(&header.number.to_be_bytes());
        self.scratch.extend_from_slice(payload);
        let header = RtpHeader { ssrc: rtx.ssrc, number: *count, ..header };
        *count = count.wrapping_add(1);
        seal(&mut self.outgoing, &self.scratch, header)
    }

    pub fn protect_rtcp(&mut self, packet: &[u8]) -> Result<Bytes, ProtectError> {
        if packet.len() + OVERHEAD > MAX_DATAGRAM {
            return Err(ProtectError::TooLong);
        }
        let ssrc = reporter(packet).ok_or(ProtectError::Malformed)?;
        if !self.reporters.contains(&ssrc) {
            if self.reporters.len() >= MAX_SSRCS {
                return Err(TooManySsrcs.into());
            }
            self.reporters.insert(ssrc);
        }
        Ok(self.outgoing.encrypt_rtcp(packet).map_err(|_| ProtectError::Malformed)?.freeze())
    }

    /// The packet of a datagram that is authentic, of an expected SSRC, and was not there before.
    pub fn open_rtp(&mut self, streams: &Streams, datagram: &[u8]) -> Option<Bytes> {
        let header = RtpHeader::read(datagram)?;
        let expected = streams.get(header.ssrc)?;
        let packet = self.incoming.decrypt_rtp_with_header(datagram, &header.as_rtc()).ok()?;
        let packet = match expected {
            Expected::Media => packet,
            Expected::RtxOf(original) => restore(packet, header, original),
        };
        Some(packet.freeze())
    }

    pub fn open_rtcp(&mut self, streams: &Streams, datagram: &[u8]) -> Option<Bytes> {
        streams.get(reporter(datagram)?)?;
        // A packet says whether it is encrypted (RFC 3711, section 3.4). `rtc-srtp` does not authenticate those that are not
        // (in counter mode), or takes them for encrypted ones (AES-GCM).
        let flag = datagram.len().checked_sub(SRTCP_INDEX + self.rtcp_tag).and_then(|at| datagram.get(at))?;
        if flag & 0x80 == 0 {
            return None;
        }
        Some(self.incoming.decrypt_rtcp(datagram).ok()?.freeze())
    }
}

fn window_of(sent: &mut HashMap<u32, Window>, ssrc: u32) -> Result<&mut Window, ProtectError> {
    if sent.len() >= MAX_SSRCS && !sent.contains_key(&ssrc) {
        return Err(TooManySsrcs.into());
    }
    Ok(sent.entry(ssrc).or_insert_with(|| Window::outgoing(16)))
}

fn seal(context: &mut Context, packet: &[u8], header: RtpHeader) -> Result<Bytes, ProtectError> {
    let sealed = context.encrypt_rtp_with_header(packet, &header.as_rtc());
    Ok(sealed.map_err(|_| ProtectError::Malformed)?.freeze())
}

/// Makes the original packet of a retransmission. One without an original, which is padding, stays as it is.
fn restore(mut packet: BytesMut, header: RtpHeader, original: Rtx) -> BytesMut {
    let padding =
        if packet[0] & 0x20 == 0 { 0 } else { packet.last().map_or(0, |&bytes| usize::from(bytes)) };
    if packet.len() < header.length + ORIGINAL_NUMBER + padding {
        return packet;
    }
    packet[1] = packet[1] & 0x80 | original.payload_type & 0x7f;
    packet.copy_within(header.length..header.length + ORIGINAL_NUMBER, 2);
    packet[8..12].copy_from_slice(&original.ssrc.to_be_bytes());
    packet.copy_within(..header.length, ORIGINAL_NUMBER);
    packet.advance(ORIGINAL_NUMBER);
    packet
}

/// The sender of an RTCP packet.
fn reporter(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<RTCP_HEADER>().filter(|header| header[0] >> 6 == 2)?;
    Some(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

/// What SRTP needs of an RTP header (RFC 3550, section 5.1).
#[derive(Debug, Clone, Copy)]
struct RtpHeader {
    ssrc: u32,
    number: u16,
    /// Bytes before the payload.
    length: usize,
}

impl RtpHeader {
    fn read(packet: &[u8]) -> Option<Self> {
        let fixed = packet.first_chunk::<RTP_HEADER>().filter(|fixed| fixed[0] >> 6 == 2)?;
        let mut length = RTP_HEADER + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(length + 2..length + 4)?;
            length += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        (length <= packet.len()).then_some(Self {
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            number: u16::from_be_bytes([fixed[2], fixed[3]]),
            length,
        })
    }

    /// A header of the same length, SSRC and number, which are all that a cipher takes from it. `rtc-rtp` would read the
    /// extensions, copy each, and compute another length than theirs for some: packets with an element of ID 15, and
    /// those whose last element is longer than the extension.
    fn as_rtc(self) -> rtc_rtp::Header {
        rtc_rtp::Header {
            version: 2,
            sequence_number: self.number,
            ssrc: self.ssrc,
            extension: self.length > RTP_HEADER,
            extensions_padding: self.length.saturating_sub(RTP_HEADER + 4),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key 00 to 0f and salt a0 to ab, for both directions.
    fn srtp() -> Srtp {
        let (key, salt): (Vec<u8>, Vec<u8>) = ((0..16).collect(), (0xa0..0xac).collect());
        let material = KeyingMaterial::new(&[&*key, &key, &salt, &salt].concat());
        Srtp::new(&material, SrtpProfile::AEAD_AES_128_GCM, true).unwrap()
    }

    /// The packets with which libsrtp tests this profile, which other implementations agree on.
    #[test]
    fn packets_are_sealed_as_libsrtp_does() {
        let mut streams = Streams::default();
        streams.expect(0xcafe_babe).unwrap();
        let rtp = [&b"\x80\x0f\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"[..], &[0xab; 16]].concat();
        let sealed =
            b"\x80\x0f\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe\xc5\x00\x2e\xde\x04\xcf\xdd\x2e\xb9\x11\x59\
            \xe0\x88\x0a\xa0\x6e\xd2\x97\x68\x26\xf7\x96\xb2\x01\xdf\x31\x31\xa1\x27\xe8\xa3\x92";
        assert_eq!(srtp().protect_rtp(&streams, &rtp).unwrap(), sealed[..]);
        assert_eq!(srtp().open_rtp(&streams, sealed).unwrap(), rtp);

        let rtcp = [&b"\x81\xc8\x00\x0b\xca\xfe\xba\xbe"[..], &[0xab; 16]].concat();
        let sealed =
            b"\x81\xc8\x00\x0b\xca\xfe\xba\xbe\xc9\x8b\x8b\x5d\xf0\x39\x2a\x55\x85\x2b\x6c\x21\xac\x8e\x70\
            \x25\xc5\x2c\x6f\xbe\xa2\xb3\xb4\x46\xea\x31\x12\x3b\xa8\x8c\xe6\x1e\x80\x00\x00\x01";
        assert_eq!(srtp().protect_rtcp(&rtcp).unwrap(), sealed[..]);
        assert_eq!(srtp().open_rtcp(&streams, sealed).unwrap(), rtcp);
    }

    /// The profile that every browser has (RFC 8827, section 6.5), and libsrtp's packet for it.
    #[test]
    fn packets_are_sealed_without_aes_gcm_too() {
        let key = b"\xe1\xf9\x7a\x0d\x3e\x01\x8b\xe0\xd6\x4f\xa3\x2c\x06\xde\x41\x39";
        let salt = b"\x0e\xc6\x75\xad\x49\x8a\xfe\xeb\xb6\x96\x0b\x3a\xab\xe6";
        let material = KeyingMaterial::new(&[&key[..], key, salt, salt].concat());
        let srtp = || Srtp::new(&material, SrtpProfile::AES128_CM_SHA1_80, true).unwrap();
        let mut streams = Streams::default();
        streams.expect(0xcafe_babe).unwrap();
        let rtp = [&b"\x80\x0f\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe"[..], &[0xab; 16]].concat();
        let sealed =
            b"\x80\x0f\x12\x34\xde\xca\xfb\xad\xca\xfe\xba\xbe\x4e\x55\xdc\x4c\xe7\x99\x78\xd8\x8c\xa4\xd2\
            \x15\x94\x9d\x24\x02\xb7\x8d\x6a\xcc\x99\xea\x17\x9b\x8d\xbb";
        assert_eq!(srtp().protect_rtp(&streams, &rtp).unwrap(), sealed[..]);
        let mut receiver = srtp();
        assert_eq!(receiver.open_rtp(&streams, sealed).unwrap(), rtp);
        assert_eq!(receiver.open_rtp(&streams, sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[at] ^= 1;
            assert_eq!(srtp().open_rtp(&streams, &altered), None, "byte {at}");
            assert_eq!(srtp().open_rtp(&streams, &sealed[..at]), None);
        }
        let rtcp = [&b"\x81\xc8\x00\x05\xca\xfe\xba\xbe"[..], &[0xab; 16]].concat();
        let sealed = srtp().protect_rtcp(&rtcp).unwrap();
        assert_eq!(receiver.open_rtcp(&streams, &sealed).unwrap(), rtcp);
        assert_eq!(receiver.open_rtcp(&streams, &sealed), None);
        for at in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[at] ^= 0x80;
            assert_eq!(srtp().open_rtcp(&streams, &altered), None, "byte {at}");
            assert_eq!(srtp().open_rtcp(&streams, &sealed[..at]), None);
        }
    }

    #[test]
    fn keys_that_do_not_fit_are_refused() {
        let material = KeyingMaterial::new(&[1; 60]);
        assert!(Srtp::new(&material, SrtpProfile::AEAD_AES_256_GCM, true).is_none());
    }
}
