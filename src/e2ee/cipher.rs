//! The key of one key id: RFC 9605, sections 4.4.2 to 4.4.4.

use sframe::crypto::{
    DecryptionBufferView, EncryptionBufferView, get_hkdf_key_expand_label, get_hkdf_salt_expand_label,
};
use sframe::key::{DecryptionKey, EncryptionKey};
use zeroize::{Zeroize, Zeroizing};

use super::agreement::CipherSuite;
use super::primitives::{AesGcm, NotAuthentic};
use super::secret::{BaseKey, wipe_stack};

/// sframe_key and sframe_salt, ready for use.
pub(super) enum Cipher {
    /// AES-GCM.
    Gcm { key: AesGcm, salt: [u8; 12] },
    /// AES-CTR with HMAC, by RustCrypto.
    Ctr { seal: Box<EncryptionKey>, open: Box<DecryptionKey> },
}

impl Cipher {
    pub(super) fn new(suite: CipherSuite, key_id: u64, base_key: &BaseKey) -> Self {
        let cipher = Self::on_stack(suite, key_id, base_key);
        wipe_stack();
        cipher
    }

    #[inline(never)]
    pub(super) fn on_stack(suite: CipherSuite, key_id: u64, base_key: &BaseKey) -> Self {
        let their_suite = theirs(suite);
        match suite {
            CipherSuite::Aes128GcmSha256_128 | CipherSuite::Aes256GcmSha512_128 => {}
            CipherSuite::Aes128CtrHmacSha256_80
            | CipherSuite::Aes128CtrHmacSha256_64
            | CipherSuite::Aes128CtrHmacSha256_32 => {
                let seal = EncryptionKey::derive_from(their_suite, key_id, base_key.expose());
                let open = DecryptionKey::derive_from(their_suite, key_id, base_key.expose());
                let fits = "HKDF gives a key and a salt of every suite's length";
                return Self::Ctr { seal: Box::new(seal.expect(fits)), open: Box::new(open.expect(fits)) };
            }
        }
        let mut key = Zeroizing::new([0; 32]);
        let key = &mut key[..suite.key_len()];
        let mut salt = [0; 12];
        base_key.expand(suite, b"", &get_hkdf_key_expand_label(key_id, their_suite), key);
        base_key.expand(suite, b"", &get_hkdf_salt_expand_label(key_id, their_suite), &mut salt);
        Self::Gcm { key: AesGcm::new(key), salt }
    }

    /// Encrypts `data` in place and writes its tag. The counter must be new.
    pub(super) fn seal(&self, counter: u64, aad: &mut [u8], data: &mut [u8], tag: &mut [u8]) {
        let sealed = "no frame comes near the 64 GiB that the ciphers have as their limit";
        match self {
            Self::Gcm { key, salt } => {
                tag.copy_from_slice(&key.seal(nonce(salt, counter), aad, data).expect(sealed));
            }
            Self::Ctr { seal, .. } => {
                seal.encrypt(EncryptionBufferView { aad, data, tag }, counter).expect(sealed);
            }
        }
    }

    /// Decrypts `data`, the tag at its end, in place. If it is not authentic, `data` holds nothing of use
    /// afterwards.
    pub(super) fn open(&self, counter: u64, aad: &mut [u8], data: &mut [u8]) -> Result<(), NotAuthentic> {
        match self {
            Self::Gcm { key, salt } => key.open(nonce(salt, counter), aad, data),
            Self::Ctr { open, .. } => {
                open.decrypt(DecryptionBufferView { aad, data }, counter).map_err(|_| NotAuthentic)
            }
        }
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Drop for Cipher {
    /// Keys wipe themselves.
    fn drop(&mut self) {
        if let Self::Gcm { salt, .. } = self {
            salt.zeroize();
        }
    }
}

/// The suite as the crate `sframe` names it.
fn theirs(suite: CipherSuite) -> sframe::CipherSuite {
    match suite {
        CipherSuite::Aes128CtrHmacSha256_80 => sframe::CipherSuite::AesCtr128HmacSha256_80,
        CipherSuite::Aes128CtrHmacSha256_64 => sframe::CipherSuite::AesCtr128HmacSha256_64,
        CipherSuite::Aes128CtrHmacSha256_32 => sframe::CipherSuite::AesCtr128HmacSha256_32,
        CipherSuite::Aes128GcmSha256_128 => sframe::CipherSuite::AesGcm128Sha256,
        CipherSuite::Aes256GcmSha512_128 => sframe::CipherSuite::AesGcm256Sha512,
    }
}

/// 4.4.3: the salt, exclusive-or the counter in big-endian.
fn nonce(salt: &[u8; 12], counter: u64) -> [u8; 12] {
    let mut nonce = *salt;
    for (byte, counter) in nonce[4..].iter_mut().zip(counter.to_be_bytes()) {
        *byte ^= counter;
    }
    nonce
}
