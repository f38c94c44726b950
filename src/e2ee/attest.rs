//! Attestations: a sender signs what it sealed, so that nobody else with its keys passes for it.
//!
//! The keys of SFrame are symmetric: everybody who can open a frame could have sealed it (RFC 9605, section 7.2, "No
//! Per-Sender Authentication"; the RFC has no signatures). Members of a call may agree that senders attest their
//! frames: twice a second an [`Attester`] signs the hashes of the SFrames sealed since, with the signature key of its
//! MLS login. An [`AttestationChecker`] says of each opened frame within a second whether its sender attested it. The
//! frame is shown meanwhile, so a forgery is found out and not prevented.
//!
//! # What is signed
//! Not the tags. Whoever has the key of AES-GCM finds another frame with the same tag by one multiplication, since GHASH
//! is linear; and tags by HMAC are short: those of 4 bytes take a key holder 2^32 tries.
//!
//! Signed are hashes. `digest` is SHA-256(length of the metadata in 8 bytes, metadata, SFrame), and 12 bytes of
//! SHA-256(salt, digest) are sent. The SFrame's header names key and counter, and these make one plaintext of a
//! ciphertext. So the hash stands for the frame, its place in the stream and what binds it to its descriptor (nothing,
//! with [`Binding::None`](super::Binding)).
//!
//! 12 bytes suffice. An attacker has to find another SFrame for one given hash, which takes 2^96 tries; another frame's
//! hash is of no use, since its header differs. Collisions, at 2^48 tries, would serve somebody who chooses what the
//! sender seals, bit for bit. But the sender draws the salt once the frames are sealed, so they would have to be
//! collisions of the whole digest, at 2^128. The sender itself may sign two frames for one place; it gains nothing by
//! it that it could not do with other frames.
//!
//! # Messages
//! Numbers are big-endian.
//!
//! | field | bytes | |
//! | --- | --- | --- |
//! | version | 1 | 1 |
//! | epoch | 8 | of the group, in full |
//! | salt | 8 | random |
//! | runs, 1 or more: | | frames of one key whose counters follow one another, in ascending order |
//! | — header | 1 to 17 | key id and counter of the first, as an SFrame header (RFC 9605, section 4.3) |
//! | — count | 1 | at least 1; all runs together at most [`MAX_IN_MESSAGE`] |
//! | — hashes | 12 each | |
//! | signature | 64 | Ed25519 |
//!
//! The signature is that of SignWithLabel (RFC 9420, section 5.1.2) with the label `layercast 1.0 Attestation`, so it
//! is no signature of anything else in MLS. Its content is the length of the group id in 8 bytes, the group id, the
//! sender's index in 4 bytes, and the message up to the signature. So a message holds for one group, epoch and sender,
//! and the key ids in it each for one stream. It has no number: a sender uses no counter of a key twice, so a message
//! that comes again says the same again.
//!
//! A frame is attested by its own hash alone. So frames may be lost, layers dropped, and messages may come in any
//! order, again, or before their frames. If a message is lost, its frames stay unattested: messages should travel
//! where lost ones are sent again.
//!
//! # In the clear or sealed
//! A message says nothing about the frames that their headers do not say. But whoever knows the signature keys of
//! logins, such as the delivery service of MLS, finds out by it which login sends. Therefore it should be sealed as a
//! message of [`Context::attestation`](super::Context::attestation), 20 bytes more. Members can show others a frame and
//! prove by the signature who sent it.
//!
//! ```
//! use bytes::BytesMut;
//! use layercast::Time;
//! use layercast::e2ee::attest::{AttestationChecker, DELAY, INTERVAL, Verdict};
//! use layercast::e2ee::mls::Login;
//! use layercast::e2ee::{Agreement, Context, KeyRing, Opener};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut group = Login::new(b"alice", Duration::from_secs(3600))?.create(Agreement::default())?;
//! // The sender. All that is sealed with these keys is attested.
//! let attester = group.attester(INTERVAL);
//! let mut keys = group.sender_keys()?;
//! keys.attest(attester.clone());
//! let mut sframe = BytesMut::new();
//! keys.sealer(Context::audio(0))?.seal(b"", b"a frame of audio", &mut sframe)?;
//! assert_eq!(attester.poll(Time::ZERO)?, None);
//! let message = attester.poll(Time::ZERO + INTERVAL)?.unwrap();
//!
//! // The receiver. One checker serves all streams of a sender.
//! let checker = AttestationChecker::new(DELAY);
//! checker.enter(group.sender(0).unwrap());
//! let mut ring = KeyRing::new(Agreement::default(), Duration::from_secs(5));
//! group.enter(Time::ZERO, &mut ring)?;
//! let mut opener = Opener::new(Agreement::default(), 0, Context::audio(0));
//! opener.check_attestations(checker.clone());
//! opener.open(Time::ZERO, &ring, b"", &mut sframe)?;
//! checker.handle(Time::ZERO, &message)?;
//! assert_eq!(checker.poll(Time::ZERO).unwrap().verdict, Verdict::Attested);
//! # Ok(())
//! # }
//! ```

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::header::{Header, MAX_HEADER};
use super::primitives::{self, Sha256};
use crate::Time;

/// The interval at which an [`Attester`] signs, by default: half a second.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// How long an [`AttestationChecker`] waits for the attestation of a frame, by default: a second.
pub const DELAY: Duration = Duration::from_secs(1);

/// The most SFrames that one message attests. So it fits into a packet if their counters follow one another.
pub const MAX_IN_MESSAGE: usize = 80;

/// The label of the signatures, in SignWithLabel of RFC 9420, section 5.1.2.
pub(super) const LABEL: &str = "layercast 1.0 Attestation";

const VERSION: u8 = 1;
const SALT: usize = 8;
/// Version, epoch and salt.
const START: usize = 1 + 8 + SALT;
/// Bytes of a hash in a message.
const HASH: usize = 12;
const SIGNATURE: usize = 64;
/// The longest message: each frame with a header of its own.
const MAX_MESSAGE: usize = START + MAX_IN_MESSAGE * (MAX_HEADER + 1 + HASH) + SIGNATURE;

/// Frames that an attester keeps for a program that does not poll it.
const MAX_UNSIGNED: usize = 10 * MAX_IN_MESSAGE;

/// Frames that a checker holds until they are attested.
const MAX_WAITING: usize = 1024;

/// Messages that a checker holds for frames that come after them.
const MAX_HELD: usize = 16;

/// Epochs whose attestations a checker takes.
const MAX_EPOCHS: usize = 4;

/// What attestations tell an SFrame by: its key and counter, and a hash of all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SframeDigest {
    key_id: u64,
    counter: u64,
    hash: [u8; 32],
}

impl SframeDigest {
    /// Of an SFrame as it is sent, and of the metadata that it was sealed with. `None` if it ends within its header.
    pub fn new(metadata: &[u8], sframe: &[u8]) -> Option<Self> {
        Header::read(sframe).map(|header| Self::with_header(header, metadata, sframe))
    }

    pub(super) fn with_header(header: Header, metadata: &[u8], sframe: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(&(metadata.len() as u64).to_be_bytes());
        hash.update(metadata);
        hash.update(sframe);
        Self { key_id: header.key_id, counter: header.counter, hash: hash.finish() }
    }

    /// KID of its header.
    pub fn key_id(&self) -> u64 {
        self.key_id
    }

    /// CTR of its header.
    pub fn counter(&self) -> u64 {
        self.counter
    }

    /// What is sent of the hash.
    fn salted(&self, salt: [u8; SALT]) -> [u8; HASH] {
        let mut hash = Sha256::new();
        hash.update(&salt);
        hash.update(&self.hash);
        *hash.finish().first_chunk().expect("SHA-256 has 32 bytes")
    }
}

/// The signature key of a login.
pub(super) trait Sign: Send + Sync {
    /// Signs by SignWithLabel of RFC 9420, section 5.1.2, with [`LABEL`].
    fn sign_attestation(&self, content: Vec<u8>) -> Option<[u8; SIGNATURE]>;
}

/// A message could not be signed: the system has no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attestation could not be signed")]
#[non_exhaustive]
pub struct SigningFailed;

/// Signs what a sender sealed: see the [module](self). [`Group::attester`](super::mls::Group::attester) makes it, and
/// [`SenderKeys::attest`](super::SenderKeys::attest) has all sealers tell it what they sealed.
///
/// Its clones are the same attester: sealers have some, and the program polls another.
#[derive(Clone)]
pub struct Attester(Arc<Mutex<Signing>>);

struct Signing {
    signer: Arc<dyn Sign>,
    group_id: Vec<u8>,
    member: u32,
    interval: Duration,
    /// With the epoch of each.
    unsigned: Vec<(u64, SframeDigest)>,
    /// When the first of them was seen.
    since: Option<Time>,
}

/// What stands behind a lock is whole between two calls, also if one of them panicked.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attester {
    pub(super) fn new(signer: Arc<dyn Sign>, group_id: Vec<u8>, member: u32, interval: Duration) -> Self {
        let unsigned = Vec::with_capacity(MAX_IN_MESSAGE);
        Self(Arc::new(Mutex::new(Signing { signer, group_id, member, interval, unsigned, since: None })))
    }

    /// Notes an SFrame that was sealed with the keys of an epoch, as sealers do for each. An attester that is not polled
    /// keeps 800 frames; those that come after them are not attested.
    pub fn add(&self, epoch: u64, frame: SframeDigest) {
        let unsigned = &mut lock(&self.0).unsigned;
        if unsigned.len() < MAX_UNSIGNED {
            unsigned.push((epoch, frame));
        }
    }

    /// The next message, if one is due at the time `now`: the interval is over since the first poll after the first
    /// frame, or there are [`MAX_IN_MESSAGE`], or the epoch is over. To be called after each picture until it returns
    /// `None`.
    ///
    /// # Errors
    /// [`SigningFailed`]. The frames are kept.
    pub fn poll(&self, now: Time) -> Result<Option<Vec<u8>>, SigningFailed> {
        lock(&self.0).poll(now)
    }

    /// When [`poll`](Self::poll) has a message at the latest; `None` if nothing waits, or nothing was polled since.
    pub fn next_timeout(&self) -> Option<Time> {
        let signing = lock(&self.0);
        signing.since.map(|since| since + signing.interval)
    }
}

impl Signing {
    fn poll(&mut self, now: Time) -> Result<Option<Vec<u8>>, SigningFailed> {
        let Some(&(epoch, _)) = self.unsigned.first() else { return Ok(None) };
        let since = *self.since.get_or_insert(now);
        let of_epoch = self.unsigned.iter().take_while(|(of, _)| *of == epoch).count();
        let is_due =
            of_epoch >= MAX_IN_MESSAGE || of_epoch < self.unsigned.len() || now >= since + self.interval;
        if !is_due {
            return Ok(None);
        }
        let count = of_epoch.min(MAX_IN_MESSAGE);
        let message = self.sign(epoch, count)?;
        self.unsigned.drain(..count);
        self.since = (!self.unsigned.is_empty()).then_some(now);
        Ok(Some(message))
    }

    /// Writes and signs a message about the first frames.
    fn sign(&mut self, epoch: u64, count: usize) -> Result<Vec<u8>, SigningFailed> {
        let mut salt = [0; SALT];
        primitives::fill(&mut salt).ok_or(SigningFailed)?;
        let frames = &mut self.unsigned[..count];
        frames.sort_unstable_by_key(|(_, frame)| (frame.key_id, frame.counter));
        let mut message = vec![VERSION];
        message.extend_from_slice(&epoch.to_be_bytes());
        message.extend_from_slice(&salt);
        let follow = |(_, a): &(u64, SframeDigest), (_, b): &(u64, SframeDigest)| {
            a.key_id == b.key_id && a.counter.checked_add(1) == Some(b.counter)
        };
        for run in frames.chunk_by(follow) {
            let (_, first) = run[0];
            message.extend_from_slice(&Header::encode(first.key_id, first.counter));
            message.push(run.len() as u8);
            run.iter().for_each(|(_, frame)| message.extend_from_slice(&frame.salted(salt)));
        }
        let content = content(&self.group_id, self.member, &message);
        let signature = self.signer.sign_attestation(content).ok_or(SigningFailed)?;
        message.extend_from_slice(&signature);
        Ok(message)
    }
}

impl fmt::Debug for Attester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signing = lock(&self.0);
        f.debug_struct("Attester")
            .field("member", &signing.member)
            .field("unsigned", &signing.unsigned.len())
            .finish_non_exhaustive()
    }
}

/// What a signature is about.
fn content(group_id: &[u8], member: u32, message: &[u8]) -> Vec<u8> {
    [&(group_id.len() as u64).to_be_bytes()[..], group_id, &member.to_be_bytes(), message].concat()
}

/// Whose signatures an [`AttestationChecker`] takes in one epoch: [`Group::sender`](super::mls::Group::sender) makes it.
/// An observer gets it, with its grant, from a member whom it relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // Observers build it of what a member tells them.
pub struct SenderIdentity {
    /// The id of the group.
    pub group_id: Vec<u8>,
    /// The epoch.
    pub epoch: u64,
    /// The sender's index.
    pub member: u32,
    /// The sender's signature key (Ed25519, 32 bytes).
    pub signature_key: Vec<u8>,
}

impl SenderIdentity {
    /// Verifies a message, whose signature is at its end.
    fn has_signed(&self, message: &[u8]) -> bool {
        let Some((message, signature)) = message.split_last_chunk::<SIGNATURE>() else { return false };
        // SignContent: label and content, each behind its length (RFC 9420, section 2.1.2).
        let mut signed = Vec::new();
        let content = content(&self.group_id, self.member, message);
        for field in [[b"MLS 1.0 ", LABEL.as_bytes()].concat(), content] {
            match field.len() {
                size @ ..0x40 => signed.push(size as u8),
                size @ ..0x4000 => signed.extend_from_slice(&(0x4000 | size as u16).to_be_bytes()),
                size => signed.extend_from_slice(&(0x8000_0000 | size as u32).to_be_bytes()),
            }
            signed.extend_from_slice(&field);
        }
        primitives::verify(&self.signature_key, &signed, signature)
    }
}

/// Why a message attests nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttestationError {
    /// The bytes are no attestation.
    #[error("no attestation")]
    Malformed,
    /// The checker does not know whose signature to expect in this epoch: [`AttestationChecker::enter`] tells it.
    #[error("an attestation of epoch {epoch}, which is over or not known yet")]
    UnknownEpoch {
        /// The epoch.
        epoch: u64,
    },
    /// The signature is not that of the sender: somebody else made the message or changed it, or it is of another
    /// group or sender.
    #[error("an attestation that the sender did not sign")]
    NotSigned,
}

/// Whether the sender of a frame is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The sender signed this very frame.
    Attested,
    /// The sender signed another frame with this key and counter: somebody else with the key sealed this one.
    Forged,
    /// No attestation of the frame came in time. It was lost or withheld, or somebody else sealed the frame.
    Unattested,
}

/// A frame that was opened, and the verdict on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedFrame {
    /// The epoch of its key.
    pub epoch: u64,
    /// KID of its header; its context says of which stream and spatial layer it is.
    pub key_id: u64,
    /// CTR of its header.
    pub counter: u64,
    /// As its descriptor has it, or what else was given to [`AttestationChecker::insert`]; 0 by an
    /// [`Opener`](super::Opener).
    pub frame_number: u16,
    /// The verdict.
    pub verdict: Verdict,
}

/// Says of the frames of one sender whether the sender attested them: see the [module](self).
///
/// It holds at most 1024 frames that wait and 16 messages, whatever a peer sends. A frame more, and the oldest gets its
/// verdict early. [`VideoOpener::check_attestations`](super::VideoOpener::check_attestations) and
/// [`Opener::check_attestations`](super::Opener::check_attestations) have openers tell it what they opened.
///
/// Its clones are the same checker: openers have some, and the program asks another.
#[derive(Debug, Clone)]
pub struct AttestationChecker(Arc<Mutex<Checking>>);

#[derive(Debug)]
struct Checking {
    delay: Duration,
    /// By epoch, the oldest first.
    senders: Vec<SenderIdentity>,
    /// Opened and not attested so far, the oldest first.
    waiting: VecDeque<Waiting>,
    verdicts: VecDeque<CheckedFrame>,
    /// Verified messages, the oldest first, for frames that come after them.
    held: VecDeque<Held>,
}

#[derive(Debug)]
struct Waiting {
    epoch: u64,
    frame: SframeDigest,
    frame_number: u16,
    since: Time,
}

#[derive(Debug)]
struct Held {
    batch: Batch,
    since: Time,
}

impl Waiting {
    fn checked(&self, verdict: Verdict) -> CheckedFrame {
        let SframeDigest { key_id, counter, .. } = self.frame;
        CheckedFrame { epoch: self.epoch, key_id, counter, frame_number: self.frame_number, verdict }
    }

    /// The verdict that a verified message allows.
    fn checked_by(&self, batch: &Batch) -> Option<CheckedFrame> {
        let hash = batch.hash(self.epoch, &self.frame)?;
        let is_same = self.frame.salted(batch.salt) == hash;
        Some(self.checked(if is_same { Verdict::Attested } else { Verdict::Forged }))
    }
}

impl AttestationChecker {
    /// A checker that waits for attestations for `delay`, say [`DELAY`]: longer than the interval of the
    /// [`Attester`] and the way of a message together. It takes none before [`enter`](Self::enter).
    pub fn new(delay: Duration) -> Self {
        Self(Arc::new(Mutex::new(Checking {
            delay,
            senders: Vec::new(),
            waiting: VecDeque::new(),
            verdicts: VecDeque::new(),
            held: VecDeque::new(),
        })))
    }

    /// Takes the signatures of a sender for one epoch more. The four latest epochs are kept.
    pub fn enter(&self, sender: SenderIdentity) {
        let senders = &mut lock(&self.0).senders;
        senders.retain(|held| held.epoch != sender.epoch);
        let at = senders.partition_point(|held| held.epoch < sender.epoch);
        senders.insert(at, sender);
        if senders.len() > MAX_EPOCHS {
            senders.remove(0);
        }
    }

    /// Notes a frame at the time `now`, as openers do for each. It must have been opened with the key of `epoch`; its
    /// digest has to be taken before. `frame_number` comes back with the verdict.
    pub fn insert(&self, now: Time, epoch: u64, frame: SframeDigest, frame_number: u16) {
        lock(&self.0).insert(now, epoch, frame, frame_number);
    }

    /// Takes a message of untrusted origin at the time `now`.
    ///
    /// # Errors
    /// [`AttestationError`], if it does not come from the sender. It then changes nothing.
    pub fn handle(&self, now: Time, message: &[u8]) -> Result<(), AttestationError> {
        lock(&self.0).handle(now, message)
    }

    /// The next verdict at the time `now`. To be called until it returns `None`, after each frame and message. Each
    /// frame gets one verdict, which is final. Of more than 1024 verdicts that nobody asks for the oldest are lost.
    pub fn poll(&self, now: Time) -> Option<CheckedFrame> {
        let mut checking = lock(&self.0);
        checking.expire(now);
        checking.verdicts.pop_front()
    }

    /// When [`poll`](Self::poll) has a verdict at the latest.
    pub fn next_timeout(&self) -> Option<Time> {
        let checking = lock(&self.0);
        checking.waiting.front().map(|waiting| waiting.since + checking.delay)
    }
}

impl Checking {
    fn insert(&mut self, now: Time, epoch: u64, frame: SframeDigest, frame_number: u16) {
        self.expire(now);
        let waiting = Waiting { epoch, frame, frame_number, since: now };
        if let Some(checked) = self.held.iter().find_map(|held| waiting.checked_by(&held.batch)) {
            self.decide(checked);
            return;
        }
        if self.waiting.len() == MAX_WAITING {
            let oldest = self.waiting.pop_front().expect("it is full");
            self.decide(oldest.checked(Verdict::Unattested));
        }
        self.waiting.push_back(waiting);
    }

    fn handle(&mut self, now: Time, message: &[u8]) -> Result<(), AttestationError> {
        self.expire(now);
        if self.held.iter().any(|held| held.batch.message == message) {
            return Ok(());
        }
        let batch = Batch::read(message).ok_or(AttestationError::Malformed)?;
        let sender = self.senders.iter().find(|sender| sender.epoch == batch.epoch);
        let sender = sender.ok_or(AttestationError::UnknownEpoch { epoch: batch.epoch })?;
        if !sender.has_signed(message) {
            return Err(AttestationError::NotSigned);
        }
        for _ in 0..self.waiting.len() {
            let waiting = self.waiting.pop_front().expect("counted");
            match waiting.checked_by(&batch) {
                Some(checked) => self.decide(checked),
                None => self.waiting.push_back(waiting),
            }
        }
        if self.held.len() == MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(Held { batch, since: now });
        Ok(())
    }

    fn expire(&mut self, now: Time) {
        let delay = self.delay;
        while self.waiting.front().is_some_and(|waiting| now >= waiting.since + delay) {
            let over = self.waiting.pop_front().expect("it has a front");
            self.decide(over.checked(Verdict::Unattested));
        }
        self.held.retain(|held| now < held.since + delay);
    }

    fn decide(&mut self, checked: CheckedFrame) {
        if self.verdicts.len() == MAX_WAITING {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(checked);
    }
}

/// A message, read.
#[derive(Debug)]
struct Batch {
    message: Vec<u8>,
    epoch: u64,
    salt: [u8; SALT],
    runs: Vec<Run>,
}

/// Frames of one key whose counters follow one another.
#[derive(Debug)]
struct Run {
    key_id: u64,
    first: u64,
    count: u8,
    /// Where their hashes begin in the message.
    at: usize,
}

impl Run {
    /// Key id, and the counter behind the last. Of each run it is not above those of the next one's first frame.
    fn end(&self) -> (u64, u64) {
        (self.key_id, self.first + u64::from(self.count))
    }
}

impl Batch {
    fn read(message: &[u8]) -> Option<Self> {
        let size = message.len().checked_sub(SIGNATURE).filter(|_| message.len() <= MAX_MESSAGE)?;
        let signed = &message[..size];
        let (&VERSION, rest) = signed.split_first()? else { return None };
        let (epoch, rest) = rest.split_first_chunk()?;
        let (salt, mut rest) = rest.split_first_chunk()?;
        let (mut runs, mut frames): (Vec<Run>, _) = (Vec::new(), 0);
        while !rest.is_empty() {
            let Header { key_id, counter: first, size } = Header::read(rest)?;
            let (&count, behind) = rest[size..].split_first()?;
            first.checked_add(count.into())?;
            frames += usize::from(count);
            let is_next = runs.last().is_none_or(|run| run.end() <= (key_id, first));
            if count == 0 || frames > MAX_IN_MESSAGE || !is_next {
                return None;
            }
            let at = signed.len() - behind.len();
            rest = behind.split_at_checked(usize::from(count) * HASH)?.1;
            runs.push(Run { key_id, first, count, at });
        }
        let (epoch, salt) = (u64::from_be_bytes(*epoch), *salt);
        (!runs.is_empty()).then(|| Self { message: message.to_vec(), epoch, salt, runs })
    }

    /// The hash of a frame, if this is about it.
    fn hash(&self, epoch: u64, frame: &SframeDigest) -> Option<[u8; HASH]> {
        if epoch != self.epoch {
            return None;
        }
        let SframeDigest { key_id, counter, .. } = *frame;
        // The first that ends behind it.
        let run = self.runs.get(self.runs.partition_point(|run| run.end() <= (key_id, counter)))?;
        let place = counter.checked_sub(run.first).filter(|_| run.key_id == key_id)?;
        self.message[run.at + place as usize * HASH..].first_chunk().copied()
    }
}
