//! Who a peer is: a self-signed certificate, and its fingerprint, which signalling carries.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use dimpl::{Config, DtlsCertificate};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use sha2::{Digest, Sha256};

use crate::link::CONNECT_WITHIN;

/// The wait for the first repeat of a flight of the handshake; it doubles with each repeat.
const FIRST_REPEAT: Duration = Duration::from_millis(250);
/// With [`FIRST_REPEAT`] they reach beyond [`CONNECT_WITHIN`].
const REPEATS: usize = 6;

/// A self-signed certificate with its private key: ECDSA with the curve P-256, as browsers make them (RFC 8827, section
/// 6.5). It is made once and shared by all links of a program; a clone is the same certificate.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    keys: DtlsCertificate,
    fingerprint: Fingerprint,
    config: Arc<Config>,
}

impl Certificate {
    /// Makes a certificate and a key pair.
    ///
    /// # Errors
    ///
    /// The operating system has no random numbers, or the certificate could not be written.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |error: rcgen::Error| CertificateError(error.to_string());
        let key_pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let mut parameters = CertificateParams::new(Vec::new()).map_err(failed)?;
        // Whoever sees a handshake reads it, so it says nothing of the person.
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "WebRTC");
        let certificate = parameters.self_signed(&key_pair).map_err(failed)?.der().to_vec();
        let config = Config::builder()
            // The address has answered for itself by ICE, so that a round trip for a cookie proves nothing more.
            .use_server_cookie(false)
            .flight_start_rto(FIRST_REPEAT)
            .flight_retries(REPEATS)
            .handshake_timeout(CONNECT_WITHIN)
            .build()
            .map_err(|error| CertificateError(error.to_string()))?;
        let fingerprint = Fingerprint::of(&certificate);
        let keys = DtlsCertificate { certificate, private_key: key_pair.serialize_der() };
        Ok(Self(Arc::new(Inner { keys, fingerprint, config: Arc::new(config) })))
    }

    /// The SHA-256 fingerprint of this certificate, for the peer.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    pub(crate) fn keys(&self) -> DtlsCertificate {
        self.0.keys.clone()
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.config)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.0.fingerprint).finish()
    }
}

/// A certificate could not be made; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no certificate: {0}")]
pub struct CertificateError(String);

/// The SHA-256 hash of a certificate. As text it is the value of SDP's attribute `fingerprint` (RFC 8122, section 5):
/// `sha-256` and 32 bytes in hexadecimal, with colons between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256")?;
        self.0
            .iter()
            .zip(" :::::::::::::::::::::::::::::::".chars())
            .try_for_each(|(byte, before)| write!(f, "{before}{byte:02X}"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads what [`Display`](fmt::Display) writes. The name of the hash and the digits may be in either case.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (hash, bytes) = text.trim().split_once(' ').ok_or(FingerprintError::Malformed)?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return Err(FingerprintError::Hash);
        }
        let (mut fingerprint, mut parts) = ([0; 32], bytes.trim_start().split(':'));
        for byte in &mut fingerprint {
            let part = parts.next().ok_or(FingerprintError::Malformed)?;
            if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(FingerprintError::Malformed);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| FingerprintError::Malformed)?;
        }
        if parts.next().is_some() { Err(FingerprintError::Malformed) } else { Ok(Self(fingerprint)) }
    }
}

/// A text that is not a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The hash is not `sha-256`.
    #[error("the hash of a fingerprint is not sha-256")]
    Hash,
    /// There are not 32 bytes in hexadecimal behind the name of the hash.
    #[error("a fingerprint has 32 bytes in hexadecimal, with colons between them")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_written() {
        let fingerprint = Certificate::generate().unwrap().fingerprint();
        let text = fingerprint.to_string();
        assert_eq!(text.len(), "sha-256 ".len() + 32 * 3 - 1);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
        // The hash of no bytes, which FIPS 180-4's examples have.
        let empty = Fingerprint::of(b"").to_string();
        assert!(empty.starts_with("sha-256 E3:B0:C4:42:98:FC:1C:14"), "{empty}");
    }

    #[test]
    fn other_texts_are_no_fingerprints() {
        let text = Fingerprint::of(b"").to_string();
        assert_eq!(text.replace("256", "1").parse::<Fingerprint>(), Err(FingerprintError::Hash));
        for text in
            [&text[..text.len() - 3], &format!("{text}:00"), &text.replace("E3", "+3"), "", "sha-256 "]
        {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError::Malformed), "{text}");
        }
    }
}
