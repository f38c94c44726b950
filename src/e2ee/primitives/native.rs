//! By ring.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{self, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{self, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::{ED25519, NotAuthentic};

/// Fills `bytes` with random numbers of the system. `None` if it has none.
pub(in crate::e2ee) fn fill(bytes: &mut [u8]) -> Option<()> {
    SystemRandom::new().fill(bytes).ok()
}

/// The public key of a seed of Ed25519.
#[inline(never)]
pub(in crate::e2ee) fn public_key(seed: &[u8]) -> Option<[u8; ED25519]> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    pair.public_key().as_ref().try_into().ok()
}

/// Whether a signature of Ed25519 is that of a message.
pub(in crate::e2ee) fn verify(public_key: &[u8], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&signature::ED25519, public_key).verify(message, signature).is_ok()
}

/// SHA-256 of bytes that come in pieces.
pub(in crate::e2ee) struct Sha256(digest::Context);

impl Sha256 {
    pub(in crate::e2ee) fn new() -> Self {
        Self(digest::Context::new(&SHA256))
    }

    pub(in crate::e2ee) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(in crate::e2ee) fn finish(self) -> [u8; 32] {
        self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// A key of AES-GCM, its schedule kept, in one place on the heap: a key that moves leaves a copy behind.
pub(in crate::e2ee) struct AesGcm(Box<LessSafeKey>);

impl AesGcm {
    /// Of 16 or 32 bytes.
    pub(in crate::e2ee) fn new(key: &[u8]) -> Self {
        let algorithm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key).expect("the suite's key has the algorithm's length");
        Self(Box::new(LessSafeKey::new(key)))
    }

    /// Encrypts `data` in place. `None` above the cipher's limit of 64 GiB.
    pub(in crate::e2ee) fn seal(&self, nonce: [u8; 12], aad: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Decrypts `data`, the tag at its end, in place.
    pub(in crate::e2ee) fn open(
        &self,
        nonce: [u8; 12],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<(), NotAuthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(aad), data).map(|_| ()).map_err(|_| NotAuthentic)
    }
}

impl Drop for AesGcm {
    /// ring does not wipe its keys. An all-zero key written over one leaves nothing of it in its place.
    fn drop(&mut self) {
        let algorithm = self.0.algorithm();
        let zero = UnboundKey::new(algorithm, &[0; 32][..algorithm.key_len()]);
        *self.0 = LessSafeKey::new(zero.expect("a key of the algorithm's length"));
        std::hint::black_box(self);
    }
}
