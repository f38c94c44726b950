//! Who has which key.

use std::fmt;
use std::time::Duration;

use hkdf::Hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use sframe::CipherSuite;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Agreement;
use super::header::{Context, KeyIdError};
use super::seal::{Sealer, VideoSealer};

/// Epochs of one scope that a [`KeyRing`] holds at a time.
const MAX_EPOCHS: usize = 4;

/// The longest base key, in bytes: Nh of SHA-512.
const MAX_BASE_KEY: usize = 64;

/// base_key of RFC 9605, section 4.4.1: what sframe_key and sframe_salt of a key id are derived from.
///
/// Wiped when dropped, compared in constant time, and not to be seen in Debug output.
#[derive(Clone)]
pub struct BaseKey(Zeroizing<Vec<u8>>);

impl BaseKey {
    /// A key that was agreed elsewhere: Nk bytes of the suite as section 5 makes them, or any other number.
    pub fn new(key: Zeroizing<Vec<u8>>) -> Self {
        Self(key)
    }

    /// A key that nobody had before, from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn random(suite: CipherSuite) -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new(vec![0; suite.key_len()]);
        SystemRandom::new().fill(&mut key).map_err(|_| NoRandomness)?;
        Ok(Self(key))
    }

    /// The bytes, to be handed to those who shall have the key and to nobody else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The base key of one RTP stream, by draft-ietf-avtcore-rtp-sframe-02, "SFrame SDP RTP Key Management".
    /// `ssrc` is the sender's own: a relay that rewrites it has to let the receiver know.
    pub fn for_ssrc(&self, suite: CipherSuite, ssrc: u32) -> Self {
        self.derive(suite, &ssrc.to_be_bytes(), b"SFrame 1.0 RTP Stream", suite.hash_len())
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
        let fits = "a key is far shorter than what HKDF can give";
        if suite.hash_len() == 64 {
            Hkdf::<Sha512>::new(Some(salt), &self.0).expand(label, out).expect(fits);
        } else {
            Hkdf::<Sha256>::new(Some(salt), &self.0).expand(label, out).expect(fits);
        }
    }
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
pub struct NoRandomness;

/// How the base key of a key id comes from the base key of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Schedule {
    /// Each key id has a base key of its own, by HKDF with the label `layercast 1.0 Base Key ` and the key id
    /// in 8 bytes: who is given that of the base layer can open the base layer and nothing else.
    #[default]
    PerKeyId,
    /// RFC 9605, section 5.2, to the letter: one base key for all key ids of the epoch. For peers that know
    /// only the RFC; there is no way to give away a single layer.
    Rfc9605,
}

/// What a [`Grant`] is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every sender of the group.
    Group,
    /// All that one sender sends.
    Sender(u32),
    /// One key id, say one spatial layer of one sender.
    KeyId(u64),
}

/// The right to open what is sealed in one epoch, as far as its scope goes: what one member of a call hands to
/// another, or to an observer, over a channel that is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The epoch, in full.
    pub epoch: u64,
    /// What it is good for.
    pub scope: Scope,
    /// The key; of a [`Scope::KeyId`] the final one.
    pub base_key: BaseKey,
}

/// Bytes are no [`Grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no grant of a key")]
pub struct GrantError;

impl Grant {
    /// The part of this grant that opens one context of one sender, and nothing else: for an observer who is
    /// to see the base layer, it is that of [`Context::video`] with spatial layer 0. None where this grant does
    /// not include it, or where the [`Schedule`] knows no such parts.
    ///
    /// # Errors
    /// Where the key id has no room for sender or context.
    pub fn part(
        &self,
        agreed: &Agreement,
        sender: u32,
        context: Context,
    ) -> Result<Option<Self>, KeyIdError> {
        let key_id = agreed.layout.key_id(context, sender, self.epoch)?;
        let base_key = match agreed.schedule {
            Schedule::PerKeyId => self.base_key(agreed, key_id),
            Schedule::Rfc9605 => None,
        };
        Ok(base_key.map(|base_key| Self { epoch: self.epoch, scope: Scope::KeyId(key_id), base_key }))
    }

    /// The base key of a key id, if the grant includes it.
    fn base_key(&self, agreed: &Agreement, key_id: u64) -> Option<BaseKey> {
        match self.scope {
            Scope::KeyId(granted) => (granted == key_id).then(|| self.base_key.clone()),
            Scope::Sender(sender) if u64::from(sender) != agreed.layout.sender(key_id) => None,
            Scope::Sender(_) | Scope::Group => Some(match agreed.schedule {
                Schedule::PerKeyId => self.base_key.for_key_id(agreed.suite, key_id),
                Schedule::Rfc9605 => self.base_key.clone(),
            }),
        }
    }

    /// Whether it may open key ids such as this one, in some epoch.
    fn includes(&self, agreed: &Agreement, key_id: u64) -> bool {
        let layout = agreed.layout;
        match self.scope {
            Scope::Group => true,
            Scope::Sender(sender) => u64::from(sender) == layout.sender(key_id),
            Scope::KeyId(granted) => granted == key_id,
        }
    }

    /// Whether `next` is what follows it in a later epoch.
    fn is_followed_by(&self, agreed: &Agreement, next: &Self) -> bool {
        let layout = agreed.layout;
        match (self.scope, next.scope) {
            (Scope::KeyId(a), Scope::KeyId(b)) => {
                layout.context(a) == layout.context(b) && layout.sender(a) == layout.sender(b)
            }
            (a, b) => a == b,
        }
    }

    /// As bytes: epoch, scope, key.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
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
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// Where the bytes are no grant.
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
        if !(16..=MAX_BASE_KEY).contains(&key.len()) {
            return Err(GrantError);
        }
        let base_key = BaseKey(Zeroizing::new(key.to_vec()));
        Ok(Self { epoch: u64::from_be_bytes(*epoch), scope, base_key })
    }
}

/// Where a receiver's keys come from: a [`KeyRing`], or the key server of an app.
pub trait KeySource {
    /// The epoch, in full, that a key id means at the time `now`; none where it is unknown, over, or the key is
    /// not ours to have. Asked for every frame.
    fn epoch(&self, key_id: u64, now: Duration) -> Option<u64>;

    /// The base key of a key id in an epoch that [`epoch`](Self::epoch) named. Asked once.
    fn base_key(&self, key_id: u64, epoch: u64) -> Option<BaseKey>;
}

/// The grants that a receiver holds, a few epochs of each.
///
/// A grant holds until the same scope's next, and for a while more, since late packets are sealed with it.
#[derive(Debug)]
pub struct KeyRing {
    agreed: Agreement,
    overlap: Duration,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    grant: Grant,
    /// When it ends; not while it is the last of its scope.
    until: Option<Duration>,
}

impl KeyRing {
    /// Without keys. `overlap` is how long a grant holds after the next one came; a few seconds do.
    pub fn new(agreed: Agreement, overlap: Duration) -> Self {
        Self { agreed, overlap, held: Vec::new() }
    }

    /// Adds a grant at the time `now`. Those of the same scope and earlier epochs end `overlap` later, and at
    /// once where a key id cannot tell them from the new one, or where more than four are held. A grant older
    /// than one that is held comes too late and is not taken.
    pub fn add(&mut self, grant: Grant, now: Duration) {
        self.expire(now);
        let (agreed, until) = (self.agreed, now + self.overlap);
        let low_bits = |epoch| agreed.layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let follows = |held: &Held| held.grant.is_followed_by(&agreed, &grant);
        if self.held.iter().any(|held| follows(held) && held.grant.epoch > grant.epoch) {
            return;
        }
        self.held.retain(|held| !follows(held) || low_bits(held.grant.epoch) != low_bits(grant.epoch));
        for held in self.held.iter_mut().filter(|held| follows(held)) {
            held.until.get_or_insert(until);
        }
        while self.held.iter().filter(|held| follows(held)).count() >= MAX_EPOCHS {
            let oldest = self.held.iter().position(follows).expect("there are some");
            self.held.remove(oldest);
        }
        self.held.push(Held { grant, until: None });
    }

    /// Ends what is over at the time `now`: its keys are wiped. [`add`](Self::add) does so too.
    pub fn expire(&mut self, now: Duration) {
        self.held.retain(|held| held.until.is_none_or(|until| now < until));
    }

    fn find(&self, key_id: u64) -> impl Iterator<Item = &Held> {
        let layout = self.agreed.layout;
        let epoch_of = move |epoch| layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let low_bits = layout.epoch(key_id);
        // The narrower grants may come beside the wider ones: the newest first.
        self.held.iter().rev().filter(move |held| {
            epoch_of(held.grant.epoch) == low_bits && held.grant.includes(&self.agreed, key_id)
        })
    }
}

impl KeySource for KeyRing {
    fn epoch(&self, key_id: u64, now: Duration) -> Option<u64> {
        let alive = |held: &&Held| held.until.is_none_or(|until| now < until);
        self.find(key_id).find(alive).map(|held| held.grant.epoch)
    }

    fn base_key(&self, key_id: u64, epoch: u64) -> Option<BaseKey> {
        let held = self.find(key_id).find(|held| held.grant.epoch == epoch)?;
        held.grant.base_key(&self.agreed, key_id)
    }
}

/// The keys of one sender in one epoch.
///
/// A nonce is used once if a key has one counter. So this cannot be copied, gives out each context once, and
/// comes only from where the key is new: from [`fresh`](Self::fresh), or from an MLS group, once an epoch. A
/// sender that starts again has therefore other keys.
#[derive(Debug)]
pub struct SenderKeys {
    agreed: Agreement,
    sender: u32,
    grant: Grant,
    issued: Vec<(Context, Option<u32>)>,
}

/// Why there is no key to seal with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SenderKeyError {
    /// The context's key is in use already.
    #[error("the key of context {} is in use", .0.0)]
    InUse(Context),
    /// The key id has no room for it.
    #[error(transparent)]
    KeyId(#[from] KeyIdError),
}

impl SenderKeys {
    /// New random keys of a sender, the `epoch`th that it has: the sender keys of RFC 9605, section 5.1, for an
    /// app with a key server of its own. Hand [`grant`](Self::grant) to the server, seal, and let receivers
    /// have the grant by their [`KeySource`].
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn fresh(agreed: Agreement, sender: u32, epoch: u64) -> Result<Self, NoRandomness> {
        let base_key = BaseKey::random(agreed.suite)?;
        Ok(Self::new(agreed, sender, Grant { epoch, scope: Scope::Sender(sender), base_key }))
    }

    /// With a grant that no other SenderKeys of this sender come from.
    pub(super) fn new(agreed: Agreement, sender: u32, grant: Grant) -> Self {
        Self { agreed, sender, grant, issued: Vec::new() }
    }

    /// What receivers need.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The sender's index.
    pub fn sender(&self) -> u32 {
        self.sender
    }

    /// Seals the layers of video stream `stream`, each spatial layer with a key of its own.
    ///
    /// # Errors
    /// Where the stream is sealed already, or has no room in the key id.
    pub fn video(&mut self, stream: u16) -> Result<VideoSealer, SenderKeyError> {
        let mut layers = [None, None, None, None];
        for (spatial_id, layer) in (0..4).zip(&mut layers) {
            *layer = Some(self.sealer(Context::video(stream, spatial_id))?);
        }
        Ok(VideoSealer::new(self.agreed, layers.map(|layer| layer.expect("made above"))))
    }

    /// Seals the audio frames, data messages or other bytes of a context.
    ///
    /// # Errors
    /// Where the context is in use, or has no room in the key id.
    pub fn sealer(&mut self, context: Context) -> Result<Sealer, SenderKeyError> {
        self.issue(context, None)
    }

    /// As [`sealer`](Self::sealer), with the key that [`BaseKey::for_ssrc`] gives.
    ///
    /// # Errors
    /// As [`sealer`](Self::sealer), for this SSRC.
    pub fn sealer_for_ssrc(&mut self, context: Context, ssrc: u32) -> Result<Sealer, SenderKeyError> {
        self.issue(context, Some(ssrc))
    }

    fn issue(&mut self, context: Context, ssrc: Option<u32>) -> Result<Sealer, SenderKeyError> {
        if self.issued.contains(&(context, ssrc)) {
            return Err(SenderKeyError::InUse(context));
        }
        let (agreed, epoch) = (&self.agreed, self.grant.epoch);
        let key_id = agreed.layout.key_id(context, self.sender, epoch)?;
        let base_key = self.grant.base_key(agreed, key_id).expect("of this sender");
        let base_key = ssrc.map_or(base_key.clone(), |ssrc| base_key.for_ssrc(agreed.suite, ssrc));
        self.issued.push((context, ssrc));
        Ok(Sealer::new(agreed.suite, key_id, &base_key))
    }
}
