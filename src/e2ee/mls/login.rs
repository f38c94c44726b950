//! Who takes part in a call.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;

use super::attests;
use super::error::{MlsError, refused};
use super::insiders;
use super::organizer::EXTENSION;
use crate::e2ee::attest::{LABEL, Sign};
use crate::e2ee::roster::Fingerprint;
use crate::e2ee::secret::Identity;
use crate::e2ee::upper::GuestCap;

/// The suite that every implementation of MLS has: X25519, AES-128-GCM, SHA-256, Ed25519.
pub(super) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// The longest lifetime of a [`Login`], and of a key package that [`Group::add`](super::Group::add) takes: 84 days.
pub const MAX_LIFETIME: Duration = Duration::from_secs(84 * 24 * 60 * 60);

/// What every leaf states about itself, so that every group may have an organizer, and every member caps for guests and
/// attestations.
pub(super) fn capabilities() -> Capabilities {
    let extensions = [EXTENSION, insiders::EXTENSION, attests::EXTENSION];
    Capabilities::new(None, Some(&[SUITE]), Some(&extensions), None, None)
}

/// A person about to take part in one call: a name, and a key pair, made for the call or kept by the app.
///
/// It cannot be copied or stored, and the group uses it up: a member who comes back needs another.
pub struct Login {
    pub(super) provider: OpenMlsRustCrypto,
    /// Shared with attesters.
    pub(super) signer: Arc<SignatureKeyPair>,
    pub(super) credential: CredentialWithKey,
    lifetime: Duration,
    /// Of our leaf.
    pub(super) extensions: Extensions<LeafNode>,
}

impl Login {
    /// A new key pair under a name, which the others see and the app has to vouch for. It can be used to join
    /// for `lifetime`, to the second and [`MAX_LIFETIME`] at most, by the system's clock. A call may last longer.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(name: &[u8], lifetime: Duration) -> Result<Self, MlsError> {
        let identity = Identity::new().map_err(refused("making a key pair"))?;
        Ok(Self::with_identity(name, lifetime, &identity))
    }

    /// As [`new`](Self::new), with a key pair that the app keeps: under the same name the person has the same
    /// [`fingerprint`](Self::fingerprint) in every call.
    ///
    /// A group has one member of an identity at most: who comes back can be added once it was removed. An identity may be
    /// in several groups at a time.
    pub fn with_identity(name: &[u8], lifetime: Duration, identity: &Identity) -> Self {
        let (private, public) = identity.keys();
        let scheme = SUITE.signature_algorithm();
        let signer = SignatureKeyPair::from_raw(scheme, private.to_vec(), public.to_vec());
        let credential = CredentialWithKey {
            credential: BasicCredential::new(name.to_vec()).into(),
            signature_key: signer.public().into(),
        };
        let provider = OpenMlsRustCrypto::default();
        Self { provider, signer: signer.into(), credential, lifetime, extensions: Extensions::empty() }
    }

    /// With caps of what guests open of our own video streams, before a group is created or a key package made. In the
    /// call [`Group::set_guest_caps`](super::Group::set_guest_caps) changes them.
    ///
    /// # Errors
    /// [`MlsError::TooManyCaps`].
    pub fn with_guest_caps(mut self, caps: &[GuestCap]) -> Result<Self, MlsError> {
        insiders::state(&mut self.extensions, caps)?;
        Ok(self)
    }

    /// With the word that we attest all that we seal ([`SenderKeys::attest`](crate::e2ee::SenderKeys::attest)), before a group
    /// is created or a key package made. The others have it from [`Group::attests`](super::Group::attests), signed.
    pub fn with_attestations(mut self) -> Self {
        attests::state(&mut self.extensions);
        self
    }

    /// The digits of this login, which the others see as [`Member::fingerprint`](super::Member::fingerprint).
    pub fn fingerprint(&self) -> Fingerprint {
        let CredentialWithKey { credential, signature_key } = &self.credential;
        Fingerprint::new(signature_key.as_slice(), credential.serialized_content())
    }

    /// A KeyPackage as an MLSMessage: a member needs it to add us, and can use it once.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn key_package(&self) -> Result<Vec<u8>, MlsError> {
        self.key_package_lasting(self.lifetime())
    }

    fn key_package_lasting(&self, lifetime: Lifetime) -> Result<Vec<u8>, MlsError> {
        let bundle = KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(capabilities())
            .leaf_node_extensions(self.extensions.clone())
            .build(SUITE, &self.provider, &*self.signer, self.credential.clone())
            .map_err(refused("making a key package"))?;
        encode(&MlsMessageOut::from(bundle.into_key_package()))
    }

    #[cfg(test)]
    pub(crate) fn key_package_for(&self, lifetime: Lifetime) -> Vec<u8> {
        self.key_package_lasting(lifetime).unwrap()
    }

    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&CredentialWithKey, &SignatureKeyPair) {
        (&self.credential, &self.signer)
    }

    /// From now on. openmls adds to the seconds since 1970 without a check.
    pub(super) fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.lifetime.min(MAX_LIFETIME).as_secs())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("credential", &self.credential.credential).finish_non_exhaustive()
    }
}

impl Sign for SignatureKeyPair {
    fn sign_attestation(&self, content: Vec<u8>) -> Option<[u8; 64]> {
        let signature = Attestation(content).sign(self).ok()?;
        // Behind its length.
        signature.tls_serialize_detached().ok()?.last_chunk().copied()
    }
}

/// What an attester signs.
struct Attestation(Vec<u8>);

impl Signable for Attestation {
    type SignedOutput = Signature;

    fn unsigned_payload(&self) -> Result<Vec<u8>, tls_codec::Error> {
        Ok(self.0.clone())
    }

    fn label(&self) -> &str {
        LABEL
    }
}

pub(super) fn encode(message: &MlsMessageOut) -> Result<Vec<u8>, MlsError> {
    message.tls_serialize_detached().map_err(refused("writing a message"))
}

pub(super) fn decode(bytes: &[u8], what: &'static str) -> Result<MlsMessageIn, MlsError> {
    MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| MlsError::Malformed(what))
}
