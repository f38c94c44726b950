//! The bytes of keys: no other file of this room sees them, but for the moment in which a cipher is made of them.

use std::fmt;
use std::ops::{Deref, RangeInclusive};

use hkdf::Hkdf;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::agreement::{Agreement, CipherSuite, Schedule};
use super::header::{Context, KeyIdError};
use super::primitives::{self, ED25519};

/// The lengths of a base key in a [`Grant`], in bytes: up to Nh of SHA-512.
const BASE_KEY_LENGTHS: RangeInclusive<usize> = 16..=64;

/// base_key of RFC 9605, section 4.4.1, from which sframe_key and sframe_salt of a key id are derived.
///
/// It is wiped when it is dropped, compared in constant time, and does not show in Debug output.
#[derive(Clone)]
pub struct BaseKey(Zeroizing<Vec<u8>>);

impl BaseKey {
    /// A key that was agreed elsewhere: [`CipherSuite::key_len`] bytes as RFC 9605, section 5, makes them, or any
    /// other number. The vector is taken over and wiped with the key.
    pub fn new(key: Vec<u8>) -> Self {
        Self(Zeroizing::new(key))
    }

    /// A new key, from the random numbers of the system.
    ///
    /// # Errors
    /// If the system has none.
    pub fn random(suite: CipherSuite) -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new(vec![0; suite.key_len()]);
        primitives::fill(&mut key).ok_or(NoRandomness)?;
        Ok(Self(key))
    }

    /// The bytes, to be handed to those that shall have the key and to nobody else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The base key of one RTP stream, by draft-ietf-avtcore-rtp-sframe-02, "SFrame SDP RTP Key Management".
    /// `ssrc` is the sender's own: a relay that rewrites it has to let the receiver know.
    pub fn for_ssrc(&self, suite: CipherSuite, ssrc: u32) -> Self {
        self.derive(suite, &ssrc.to_be_bytes(), b"SFrame 1.0 RTP Stream", suite.hash_len())
    }

    /// The base key of the layers that insiders open, of this one, which all members have, and a secret of the insiders:
    /// by HKDF, which needs both.
    pub(super) fn for_insiders(&self, suite: CipherSuite, insiders: &Self) -> Self {
        self.derive(suite, &insiders.0, b"layercast 1.0 Upper Layers", suite.key_len())
    }

    /// The base key of one key id alone, from which no other's can be found.
    fn for_key_id(&self, suite: CipherSuite, key_id: u64) -> Self {
        let mut label = *b"layercast 1.0 Base Key ........";
        let at = label.len() - 8;
        label[at..].copy_from_slice(&key_id.to_be_bytes());
        self.derive(suite, b"", &label, suite.key_len())
    }

    fn derive(&self, suite: CipherSuite, salt: &[u8], label: &[u8], size: usize) -> Self {
        let mut key = Zeroizing::new(vec![0; size]);
        self.expand(suite, salt, label, &mut key);
        Self(key)
    }

    /// HKDF with the suite's hash.
    pub(super) fn expand(&self, suite: CipherSuite, salt: &[u8], label: &[u8], out: &mut [u8]) {
        self.expand_on_stack(suite, salt, label, out);
        wipe_stack();
    }

    #[inline(never)]
    fn expand_on_stack(&self, suite: CipherSuite, salt: &[u8], label: &[u8], out: &mut [u8]) {
        let fits = "a key is far shorter than what HKDF can give";
        if suite.hash_len() == 64 {
            Hkdf::<Sha512>::new(Some(salt), &self.0).expand(label, out).expect(fits);
        } else {
            Hkdf::<Sha256>::new(Some(salt), &self.0).expand(label, out).expect(fits);
        }
    }
}

/// Overwrites the stack below the caller, where the functions that it called before left their variables. Libraries
/// pass keys by value, and each move leaves a copy behind.
#[inline(never)]
pub(super) fn wipe_stack() {
    std::hint::black_box(&mut [0_u8; 16 << 10]);
}

impl PartialEq for BaseKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for BaseKey {}

impl fmt::Debug for BaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BaseKey(..)")
    }
}

/// The system has no random numbers to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers")]
#[non_exhaustive]
pub struct NoRandomness;

/// A key pair that outlives a call: an app that keeps it lets the others recognise a person in every call, by the same
/// [`Fingerprint`](super::mls::Fingerprint) under the same name.
///
/// Who has the bytes can pose as the person. Keep them where the system keeps passwords, or encrypted. Members of several
/// calls can tell that it is the same person, and so can whoever sees its key packages.
///
/// It is wiped when it is dropped, and does not show in Debug output.
#[derive(Clone)]
pub struct Identity(Zeroizing<Vec<u8>>);

/// The bytes are no [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no key pair of an identity")]
#[non_exhaustive]
pub struct IdentityError;

impl Identity {
    /// A new key pair of Ed25519, from the random numbers of the system.
    ///
    /// # Errors
    /// If the system has none.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new(vec![0; 2 * ED25519]);
        let (seed, public) = bytes.split_at_mut(ED25519);
        primitives::fill(seed).ok_or(NoRandomness)?;
        let written = primitives::public_key(seed).map(|key| public.copy_from_slice(&key));
        wipe_stack();
        written.map(|()| Self(bytes)).ok_or(NoRandomness)
    }

    /// 64 bytes, to be kept by the app: the seed (RFC 8032, section 5.1.5) and the public key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the bytes that [`as_bytes`](Self::as_bytes) gave.
    ///
    /// # Errors
    /// If they are others, such as by damage: the two keys have to belong together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let (seed, public) = bytes.split_at_checked(ED25519).ok_or(IdentityError)?;
        let belongs = primitives::public_key(seed).is_some_and(|key| key == public);
        wipe_stack();
        belongs.then(|| Self(Zeroizing::new(bytes.to_vec()))).ok_or(IdentityError)
    }

    /// The private key and the public one.
    pub(super) fn keys(&self) -> (&[u8], &[u8]) {
        self.0.split_at(ED25519)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Which key ids a [`Grant`] opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Those of every sender of the group.
    Group,
    /// All of one sender, by its index.
    Sender(u32),
    /// One alone, say that of one spatial layer of one sender.
    KeyId(u64),
}

/// The right to open what is sealed in one epoch, within its scope. One member of a call hands it to another,
/// or to an observer, over a channel that is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Its form as bytes has these fields and no others.
pub struct Grant {
    /// The epoch, in full.
    pub epoch: u64,
    /// Which key ids it opens.
    pub scope: Scope,
    /// The key: for a [`Scope::KeyId`] the one of that key id, else that from which the key ids' are derived.
    pub base_key: BaseKey,
}

/// The bytes are no [`Grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no grant of a key")]
#[non_exhaustive]
pub struct GrantError;

/// A [`Grant`] as bytes. They are wiped when dropped, and do not show in Debug output.
#[derive(Clone)]
pub struct GrantBytes(Zeroizing<Vec<u8>>);

impl Deref for GrantBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for GrantBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantBytes(..)")
    }
}

impl Grant {
    /// The part of this grant that opens one context of one sender, and nothing else: an observer who is to see
    /// the base layer gets that of [`Context::video`] with spatial layer 0. `None` if this grant does not include
    /// it, or if the [`Schedule`] knows no such parts.
    ///
    /// The observer could also seal that layer in the sender's name: see the
    /// [module](super#senders-are-not-proven-by-their-keys).
    ///
    /// # Errors
    /// If the key id has no room for sender or context.
    pub fn part(
        &self,
        agreement: &Agreement,
        sender: u32,
        context: Context,
    ) -> Result<Option<Self>, KeyIdError> {
        let key_id = agreement.layout.key_id(context, sender, self.epoch)?;
        let base_key = match agreement.schedule {
            Schedule::PerKeyId => self.base_key(agreement, key_id),
            Schedule::Rfc9605 => None,
        };
        Ok(base_key.map(|base_key| Self { epoch: self.epoch, scope: Scope::KeyId(key_id), base_key }))
    }

    /// The base key of a key id, if the grant includes it.
    pub(super) fn base_key(&self, agreement: &Agreement, key_id: u64) -> Option<BaseKey> {
        match self.scope {
            Scope::KeyId(granted) => (granted == key_id).then(|| self.base_key.clone()),
            Scope::Sender(sender) if u64::from(sender) != agreement.layout.sender(key_id) => None,
            Scope::Sender(_) | Scope::Group => Some(match agreement.schedule {
                Schedule::PerKeyId => self.base_key.for_key_id(agreement.suite, key_id),
                Schedule::Rfc9605 => self.base_key.clone(),
            }),
        }
    }

    /// As bytes: epoch, scope, key.
    pub fn to_bytes(&self) -> GrantBytes {
        let (kind, value) = match self.scope {
            Scope::Group => (0, 0),
            Scope::Sender(sender) => (1, u64::from(sender)),
            Scope::KeyId(key_id) => (2, key_id),
        };
        // In one piece from the start: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(17 + self.base_key.0.len()));
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        bytes.push(kind);
        bytes.extend_from_slice(&value.to_be_bytes());
        bytes.extend_from_slice(&self.base_key.0);
        GrantBytes(bytes)
    }

    /// Reads the bytes that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// If the bytes are no grant.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GrantError> {
        let (epoch, rest) = bytes.split_first_chunk().ok_or(GrantError)?;
        let (&kind, rest) = rest.split_first().ok_or(GrantError)?;
        let (value, key) = rest.split_first_chunk().ok_or(GrantError)?;
        let value = u64::from_be_bytes(*value);
        let scope = match kind {
            0 if value == 0 => Scope::Group,
            1 => Scope::Sender(u32::try_from(value).map_err(|_| GrantError)?),
            2 => Scope::KeyId(value),
            _ => return Err(GrantError),
        };
        if !BASE_KEY_LENGTHS.contains(&key.len()) {
            return Err(GrantError);
        }
        Ok(Self { epoch: u64::from_be_bytes(*epoch), scope, base_key: BaseKey::new(key.to_vec()) })
    }
}
