//! TLS: the certificate, and what is spoken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use crate::files;

const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A file is no PEM file of what it should be.
    #[error("{0}: {1}")]
    Pem(PathBuf, rustls::pki_types::pem::Error),
    /// There is no certificate in the file.
    #[error("{0}: no certificate")]
    Empty(PathBuf),
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate and the key are not fit for TLS.
    #[error("the certificate or its key is not fit: {0}")]
    Unfit(#[from] rustls::Error),
}

/// SHA-256 of a certificate, by which participants know it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// What a server does TLS with.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// Of its certificate.
    pub fingerprint: Fingerprint,
}

impl Tls {
    /// With the certificate and the key of PEM files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| TlsError::File(path.into(), error));
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Pem(certificate.into(), error))?;
        let first = chain.first().ok_or_else(|| TlsError::Empty(certificate.into()))?;
        let fingerprint = Fingerprint(Sha256::digest(first).into());
        let key =
            PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| TlsError::Pem(key.into(), error))?;
        // Ring's provider has suites with forward secrecy and authenticated encryption only.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), fingerprint })
    }

    /// With a certificate of the relay's own, which is made in the directory at the first start.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn self_signed(directory: &Path, names: Vec<String>) -> Result<Self, TlsError> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        if !certificate.exists() || !key.exists() {
            let made = rcgen::generate_simple_self_signed(names)?;
            let write = |path: &Path, text: String| {
                files::write_private(path, text.as_bytes())
                    .map_err(|error| TlsError::File(path.into(), error))
            };
            write(&key, made.signing_key.serialize_pem())?;
            write(&certificate, made.cert.pem())?;
        }
        Self::from_files(&certificate, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificate_is_made_once_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let first = Tls::self_signed(directory.path(), vec!["localhost".into()]).unwrap();
        let again = Tls::self_signed(directory.path(), vec!["localhost".into()]).unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        let mode = directory.path().join(KEY).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
