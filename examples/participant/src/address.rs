//! The link that invites somebody to a meeting: `https://HOST:PORT/m/MEETING#code=CODE&cert=SHA256`.
//!
//! Browsers and proxies do not see what stands behind the `#`, so that the code of the invitation reaches the relay only.

use std::fmt;

use layercast_meeting::{MeetingId, Secret, Text};

/// Where a relay is, and how it proves that it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAddress {
    /// The name or address, and the port if it is not 443.
    pub host: String,
    /// The port.
    pub port: u16,
    /// SHA-256 of the relay's certificate. Without it, an authority has to vouch for the certificate.
    pub certificate: Option<[u8; 32]>,
}

/// A meeting at a relay, maybe with the code of an invitation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingLink {
    /// The relay.
    pub relay: RelayAddress,
    /// The meeting.
    pub meeting: MeetingId,
    /// The code, which serves once.
    pub code: Option<Secret>,
}

/// Why a text is no such link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It does not begin with `https://`.
    #[error("a link begins with https://")]
    Scheme,
    /// There is no host, or the port is none.
    #[error("no host and port after https://")]
    Host,
    /// There is no `/m/MEETING`.
    #[error("no meeting: /m/MEETING is to follow the host")]
    Meeting,
    /// The certificate is not 64 hexadecimal digits.
    #[error("cert= takes 64 hexadecimal digits")]
    Certificate,
}

/// Reads 64 hexadecimal digits.
pub fn read_digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(digest)
}

/// Writes them.
pub fn write_digest(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn authority(text: &str) -> Result<(String, u16), LinkError> {
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| LinkError::Host)?),
        _ => (text, 443),
    };
    match host.is_empty() || host.contains(['/', '?', '#', '@']) {
        true => Err(LinkError::Host),
        false => Ok((host.into(), port)),
    }
}

impl RelayAddress {
    /// Reads `https://HOST:PORT`, maybe with `#cert=SHA256`.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let rest = text.strip_prefix("https://").ok_or(LinkError::Scheme)?;
        let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (host, port) = authority(place.trim_end_matches('/'))?;
        let certificate = field(fragment, "cert").map(|hex| read_digest(hex).ok_or(LinkError::Certificate));
        Ok(Self { host, port, certificate: certificate.transpose()? })
    }
}

impl MeetingLink {
    /// Reads a link.
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let rest = text.strip_prefix("https://").ok_or(LinkError::Scheme)?;
        let (place, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (place, meeting) = place.split_once("/m/").ok_or(LinkError::Meeting)?;
        let (host, port) = authority(place)?;
        let meeting = Text::new(meeting).filter(|meeting| !meeting.as_str().contains('/'));
        let certificate = field(fragment, "cert").map(|hex| read_digest(hex).ok_or(LinkError::Certificate));
        let code = field(fragment, "code").map(|code| Secret::new(code.into()));
        Ok(Self {
            relay: RelayAddress { host, port, certificate: certificate.transpose()? },
            meeting: MeetingId(meeting.ok_or(LinkError::Meeting)?),
            code,
        })
    }
}

fn field<'a>(fragment: &'a str, name: &str) -> Option<&'a str> {
    let fields = fragment.split('&').filter_map(|field| field.split_once('='));
    fields.filter(|(found, _)| *found == name).map(|(_, value)| value).find(|value| !value.is_empty())
}

impl fmt::Display for MeetingLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { relay, meeting, code } = self;
        write!(f, "https://{}:{}/m/{}", relay.host, relay.port, meeting.0)?;
        let code = code.as_ref().map(|code| format!("code={}", code.expose()));
        let certificate = relay.certificate.as_ref().map(|digest| format!("cert={}", write_digest(digest)));
        let fields: Vec<_> = code.into_iter().chain(certificate).collect();
        match fields.is_empty() {
            true => Ok(()),
            false => write!(f, "#{}", fields.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_read_as_it_was_written() {
        let digest: String = "ab".repeat(32);
        let text = format!("https://relay.example:8443/m/q7Xn2#code=s3cret&cert={digest}");
        let link = MeetingLink::parse(&text).unwrap();
        assert_eq!((link.relay.host.as_str(), link.relay.port), ("relay.example", 8443));
        assert_eq!(link.relay.certificate, Some([0xab; 32]));
        assert_eq!(link.code.as_ref().map(Secret::expose), Some("s3cret"));
        assert_eq!(link.to_string(), text);
        let plain = MeetingLink::parse("https://[::1]/m/q7").unwrap();
        assert_eq!((plain.relay.host.as_str(), plain.relay.port, plain.code), ("[::1]", 443, None));
        let relay = RelayAddress::parse(&format!("https://127.0.0.1:1#cert={digest}")).unwrap();
        assert_eq!((relay.host.as_str(), relay.port, relay.certificate), ("127.0.0.1", 1, Some([0xab; 32])));
    }

    #[test]
    fn what_is_no_link_is_refused() {
        let error = |text| MeetingLink::parse(text).unwrap_err();
        assert_eq!(error("http://relay/m/q7"), LinkError::Scheme);
        assert_eq!(error("https:///m/q7"), LinkError::Host);
        assert_eq!(error("https://relay:port/m/q7"), LinkError::Host);
        assert_eq!(error("https://relay/q7"), LinkError::Meeting);
        assert_eq!(error("https://relay/m/q7/x"), LinkError::Meeting);
        assert_eq!(error("https://relay/m/q7#cert=ab"), LinkError::Certificate);
    }
}
