//! By RustCrypto, and the random numbers of the browser.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce, Tag};
use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};
use sha2::Digest;

use super::{ED25519, NotAuthentic};

/// Fills `bytes` with random numbers of the browser. `None` if it has none.
pub(in crate::e2ee) fn fill(bytes: &mut [u8]) -> Option<()> {
    getrandom::fill(bytes).ok()
}

/// The public key of a seed of Ed25519.
#[inline(never)]
pub(in crate::e2ee) fn public_key(seed: &[u8]) -> Option<[u8; ED25519]> {
    let seed: &[u8; ED25519] = seed.try_into().ok()?;
    Some(SigningKey::from_bytes(seed).verifying_key().to_bytes())
}

/// Whether a signature of Ed25519 is that of a message.
pub(in crate::e2ee) fn verify(public_key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = public_key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
    key.is_some_and(|key| key.verify(message, &Signature::from_bytes(signature)).is_ok())
}

/// SHA-256 of bytes that come in pieces.
pub(in crate::e2ee) struct Sha256(sha2::Sha256);

impl Sha256 {
    pub(in crate::e2ee) fn new() -> Self {
        Self(sha2::Sha256::new())
    }

    pub(in crate::e2ee) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(in crate::e2ee) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A key of AES-GCM, its schedule kept, in one place on the heap. It is wiped when it is dropped.
pub(in crate::e2ee) enum AesGcm {
    Of128(Box<Aes128Gcm>),
    Of256(Box<Aes256Gcm>),
}

impl AesGcm {
    /// Of 16 or 32 bytes.
    pub(in crate::e2ee) fn new(key: &[u8]) -> Self {
        let fits = "the suite's key has the algorithm's length";
        if key.len() == 16 {
            Self::Of128(Box::new(Aes128Gcm::new_from_slice(key).expect(fits)))
        } else {
            Self::Of256(Box::new(Aes256Gcm::new_from_slice(key).expect(fits)))
        }
    }

    /// Encrypts `data` in place. `None` above the cipher's limit of 64 GiB.
    pub(in crate::e2ee) fn seal(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
        let (nonce, data) = (Nonce::from(nonce), data.into());
        let tag = match self {
            Self::Of128(key) => key.encrypt_inout_detached(&nonce, aad, data),
            Self::Of256(key) => key.encrypt_inout_detached(&nonce, aad, data),
        };
        tag.ok().map(Into::into)
    }

    /// Decrypts `data`, the tag at its end, in place.
    pub(in crate::e2ee) fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let (data, tag) = data.split_last_chunk_mut::<16>().ok_or(NotAuthentic)?;
        let (nonce, data, tag) = (Nonce::from(nonce), data.into(), Tag::from(*tag));
        let opened = match self {
            Self::Of128(key) => key.decrypt_inout_detached(&nonce, aad, data, &tag),
            Self::Of256(key) => key.decrypt_inout_detached(&nonce, aad, data, &tag),
        };
        opened.map_err(|_| NotAuthentic)
    }
}
