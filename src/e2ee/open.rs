//! Opening: SFrame in, bytes out, or the reason why not.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use sframe::frame::validation::{
    FrameValidation, ReplayAttackProtection, ReplayAttackProtectionError, ReplayToken, Tolerance,
    UnvalidatedFrame,
};
use sframe::header::SframeHeader;

use super::agreement::{Agreement, Binding};
use super::attest::{AttestationChecker, SframeDigest};
use super::cipher::Cipher;
use super::header::{Context, Header};
use super::keys::KeySource;
use super::label::{Described, PageFrame, Relabelled, SealedUnit, Unwrapped, difference, label_of};
use super::seal::MAX_FRAMES;
use crate::Time;
use crate::rtp::descriptor::{DependencyDescriptor, DependencyStructure, DescriptorError};
use crate::rtp::frame::{OpenedFrame, ReceivedFrame, SealedOrder};
use crate::rtp::payload::av1::{self, Av1PayloadError};
use crate::structure::LayerId;

/// How many frames (or packets, if these are sealed) of one key may come late and still be told from replays.
const REPLAY_WINDOW: usize = 2048;

/// How far a counter may be ahead of the newest, in frames that are missing in between: so far that no frame of the
/// sender that is on its way leaves the replay window.
const MAX_JUMP: u64 = REPLAY_WINDOW as u64 / 2;

/// Frames that no sender seals in a millisecond, by which the jump may be longer after a pause.
const FRAMES_PER_MS: u64 = 10;

/// Frames of all layers that one may be behind the newest: 20 seconds of 90 a second.
const MAX_BEHIND: u32 = 2048;

/// Frame numbers that may be missing for the newest to move on at once; more of them count with the time, one a
/// millisecond.
const MAX_AHEAD: u32 = 512;

/// Keys of a stream that are held at a time: four layers in four epochs.
const MAX_KEYS: usize = 16;

/// Why an SFrame was not opened.
///
/// If no key was tried ([`is_early`](Self::is_early)), the frame is as it was and may be tried again, say once
/// the key has come; else it is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It ends within its header or its tag.
    #[error("the SFrame is cut short")]
    Malformed,
    /// It is authentic, and has no label in it: its sender has agreed on another [`Binding`].
    #[error("nothing that binds the frame is sealed in it")]
    Unlabelled,
    /// It is of another sender than this stream is.
    #[error("sealed by sender {found}, not {expected}")]
    WrongSender {
        /// Whose stream it is.
        expected: u32,
        /// Who sealed it, by the key id.
        found: u64,
    },
    /// It is of another stream of the sender, such as the audio in place of the video.
    #[error("sealed for context {}", .found.0)]
    WrongStream {
        /// Its context, by the key id.
        found: Context,
    },
    /// There is no such key: the epoch is over or has not begun here, or the key was not granted to us.
    #[error("no key {key_id:#x}")]
    UnknownKey {
        /// KID of the header.
        key_id: u64,
    },
    /// No frame that brings a structure has been opened yet.
    #[error("no dependency structure has been opened yet")]
    NoStructure,
    /// The descriptor does not fit the structure.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// What a page sees of a frame is not what the call has agreed to bind ([`Binding::Page`]).
    #[error("the call has agreed on another binding than pages have")]
    Binding,
    /// The payloads that were sealed packet by packet make no frame.
    #[error(transparent)]
    Payload(#[from] Av1PayloadError),
    /// It was opened before.
    #[error("replayed: counter {counter} was opened before")]
    Replayed {
        /// CTR of the header.
        counter: u64,
    },
    /// It is so late that it cannot be told from a replay.
    #[error("counter {counter} is too old to tell it from a replay")]
    TooOld {
        /// CTR of the header.
        counter: u64,
    },
    /// Its counter is farther ahead than the sender can be by now: somebody else with the key sealed it. It may be
    /// tried again later.
    #[error("counter {counter} is too far ahead")]
    TooFar {
        /// CTR of the header.
        counter: u64,
    },
    /// It is authentic, and more than 2048 frames behind the newest of its stream: a relay withheld it.
    #[error("{behind} frames behind the newest")]
    Stale {
        /// How many frames.
        behind: u32,
    },
    /// Payload or header were changed, or (with [`Binding::Metadata`] and [`Binding::Page`]) the descriptor; or it was
    /// sealed with another key.
    #[error("not authentic")]
    NotAuthentic,
    /// The payload is the sender's, but a field of the descriptor that came with it is not.
    #[error("relabelled: another {0} than the sender sealed")]
    Relabelled(#[from] Relabelled),
}

impl OpenError {
    /// Whether the frame was refused before a key was tried, and is as it was.
    /// ([`open_received`](VideoOpener::open_received) takes its frame in any case.)
    pub fn is_early(self) -> bool {
        match self {
            Self::NotAuthentic
            | Self::Relabelled(_)
            | Self::Unlabelled
            | Self::Stale { .. }
            | Self::Payload(_) => false,
            Self::Malformed
            | Self::WrongSender { .. }
            | Self::WrongStream { .. }
            | Self::UnknownKey { .. }
            | Self::NoStructure
            | Self::Descriptor(_)
            | Self::Binding
            | Self::Replayed { .. }
            | Self::TooOld { .. }
            | Self::TooFar { .. } => true,
        }
    }
}

/// Opens the SFrames that one sender seals for one context, such as audio frames or data messages.
///
/// Keep it for as long as the stream lasts: it remembers which were opened before, and refuses replays.
#[derive(Debug)]
pub struct Opener {
    held: HeldKeys,
    context: Context,
}

impl Opener {
    /// For the sender with this index.
    pub fn new(agreement: Agreement, sender: u32, context: Context) -> Self {
        Self { held: HeldKeys::new(agreement, sender), context }
    }

    /// Has the attestations of the frames checked that are opened from now on. The program keeps a clone of the checker,
    /// hands it the sender's messages, and asks it for verdicts.
    pub fn check_attestations(&mut self, checker: AttestationChecker) {
        self.held.checker = Some(checker);
    }

    /// Opens `frame`, an SFrame, in place, at the time `now`. `metadata` has to be that of the sender.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        metadata: &[u8],
        frame: &mut BytesMut,
    ) -> Result<(), OpenError> {
        self.open_counted(now, keys, metadata, frame).map(drop)
    }

    /// Opens a frame, and gives the epoch of its key and the frame's counter.
    pub(crate) fn open_counted(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        metadata: &[u8],
        frame: &mut BytesMut,
    ) -> Result<(u64, u64), OpenError> {
        let header = Header::read(frame).ok_or(OpenError::Malformed)?;
        let context = self.held.context_of(header)?;
        if context != self.context {
            return Err(OpenError::WrongStream { found: context });
        }
        let opened = self.held.decrypt(now, keys, header, metadata, frame)?;
        let epoch = self.held.keys[opened.key].epoch;
        self.held.record(now, opened, 0);
        Ok((epoch, header.counter))
    }
}

/// Opens the frames of one video stream, and compares the descriptors that came with them to those that the sender
/// sealed.
#[derive(Debug)]
pub struct VideoOpener {
    held: HeldKeys,
    stream: u16,
    described: Option<Described>,
    newest: Option<Newest>,
    /// Kept so that frames do not allocate.
    label: Vec<u8>,
}

/// The newest frame that was opened, of any layer.
#[derive(Debug, Clone, Copy)]
struct Newest {
    /// With other keys a sender may count anew.
    epoch: u64,
    number: Unwrapped,
    at: Time,
    /// How many more numbers may be missing then.
    spare: u32,
}

impl Newest {
    /// The newest once a frame came, or how far that is behind. A frame that is far ahead moves the newest by as
    /// much as its sender can have sealed since: whoever has a key could otherwise make all that follows stale.
    fn with(newest: Option<Self>, now: Time, epoch: u64, number: Unwrapped) -> Result<Self, u32> {
        let Some(newest) = newest.filter(|newest| newest.epoch >= epoch) else {
            return Ok(Self { epoch, number, at: now, spare: MAX_AHEAD });
        };
        if newest.epoch > epoch {
            // Keys of an epoch before: over as soon as the app says.
            return Ok(newest);
        }
        if let Some(behind) = number.behind(newest.number) {
            return if behind > MAX_BEHIND { Err(behind) } else { Ok(newest) };
        }
        let pause = u32::try_from((now - newest.at).as_millis()).unwrap_or(u32::MAX);
        let allowed = newest.spare.saturating_add(pause).saturating_add(1);
        let moved = number.ahead(newest.number).min(allowed);
        let spare = (allowed - moved).min(MAX_AHEAD);
        Ok(Self { epoch, number: newest.number.advanced(moved), at: now, spare })
    }
}

impl VideoOpener {
    /// For video stream `stream` of the sender with this index.
    pub fn new(agreement: Agreement, sender: u32, stream: u16) -> Self {
        Self {
            held: HeldKeys::new(agreement, sender),
            stream,
            described: None,
            newest: None,
            label: Vec::new(),
        }
    }

    /// Has the attestations of the frames checked that are opened from now on. The program keeps a clone of the checker,
    /// hands it the sender's messages, and asks it for verdicts.
    pub fn check_attestations(&mut self, checker: AttestationChecker) {
        self.held.checker = Some(checker);
    }

    /// The structure by which descriptors are read: the last that an opened frame brought along.
    pub fn structure(&self) -> Option<&Arc<DependencyStructure>> {
        self.described.as_ref().map(Described::structure)
    }

    /// Opens `frame`, an SFrame, in place, at the time `now`. `descriptor` is the one that came with its (first)
    /// packet. If this is `Ok`, it is the sender's but for the first and last packet of the frame and the active
    /// decode targets, and a structure that it brings is trusted from then on.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        frame: &mut BytesMut,
    ) -> Result<(), OpenError> {
        self.open_in_order(now, keys, descriptor, unit, frame).map(drop)
    }

    /// Opens a frame and says where the sender's order has it, if that is sealed with it.
    fn open_in_order(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        frame: &mut BytesMut,
    ) -> Result<Option<SealedOrder>, OpenError> {
        let (header, sealed_layer) = self.header(frame)?;
        let brought = Described::brought(self.described.as_ref(), descriptor)?;
        let described = brought.as_ref().or(self.described.as_ref()).ok_or(OpenError::NoStructure)?;
        described.label(self.held.agreement.binding, descriptor, unit, &mut self.label)?;
        let layer = described.layer(descriptor)?;
        let came = (descriptor.frame_number, layer);
        let order = self.open_labelled(now, keys, (header, sealed_layer), came, frame)?;
        if brought.is_some() {
            self.described = brought;
        }
        Ok(order)
    }

    /// Opens `frame`, an SFrame, in place, at the time `now`, as a script of a web page can, which sees no descriptor.
    /// `page` is what it sees of the frame that came. If this is `Ok`, that is the sender's.
    ///
    /// # Errors
    /// [`OpenError`]. A browser may hand a page a frame twice at the beginning of a stream:
    /// [`OpenError::Replayed`] is no attack then.
    pub fn open_page(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        page: &PageFrame<'_>,
        frame: &mut BytesMut,
    ) -> Result<(), OpenError> {
        if self.held.agreement.binding != Binding::Page {
            return Err(OpenError::Binding);
        }
        let sealed = self.header(frame)?;
        self.label.clear();
        page.label(&mut self.label)?;
        self.open_labelled(now, keys, sealed, (page.frame_number, page.layer), frame).map(drop)
    }

    /// The header of an SFrame of this stream, and the spatial layer whose key it names.
    fn header(&self, frame: &[u8]) -> Result<(Header, u8), OpenError> {
        let header = Header::read(frame).ok_or(OpenError::Malformed)?;
        let context = self.held.context_of(header)?;
        let layer = context.spatial_id_of(self.stream).ok_or(OpenError::WrongStream { found: context })?;
        Ok((header, layer))
    }

    /// Opens a frame whose label is written, that of what came with it: a frame number and a layer.
    fn open_labelled(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        (header, sealed_layer): (Header, u8),
        (frame_number, layer): (u16, LayerId),
        frame: &mut BytesMut,
    ) -> Result<Option<SealedOrder>, OpenError> {
        let binding = self.held.agreement.binding;
        let label = &self.label[..];
        let metadata = if matches!(binding, Binding::Metadata | Binding::Page) { label } else { &[] };
        let opened = self.held.decrypt(now, keys, header, metadata, frame)?;
        let mut number = None;
        if binding != Binding::None {
            let Some((&round, rest)) = frame.split_last() else { return Err(OpenError::Unlabelled) };
            let rest = rest.len();
            number = Some(Unwrapped::new(round, frame_number));
            frame.truncate(rest);
        }
        if binding == Binding::Inside {
            let Some(sealed) = label_of(frame) else {
                frame.clear();
                return Err(OpenError::Unlabelled);
            };
            if sealed != label {
                let difference = difference(label, sealed);
                frame.clear();
                return Err(difference.into());
            }
            frame.truncate(frame.len() - label.len());
        }
        // The holder of one layer's key alone must not seal another layer.
        if sealed_layer != layer.spatial_id {
            frame.clear();
            return Err(Relabelled::SpatialLayer.into());
        }
        let epoch = self.held.keys[opened.key].epoch;
        if let Some(number) = number {
            match Newest::with(self.newest, now, epoch, number) {
                Ok(newest) => self.newest = Some(newest),
                Err(behind) => {
                    frame.clear();
                    return Err(OpenError::Stale { behind });
                }
            }
        }
        self.held.record(now, opened, frame_number);
        Ok(number.map(|number| SealedOrder { epoch, number: number.value() }))
    }

    /// Opens a frame that a reassembler completed, at the time `now`, for a frame buffer. Its dependencies are read
    /// by the sender's structure. If it starts a sequence, the reassembler has to adopt that structure.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_received(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        mut received: ReceivedFrame,
    ) -> Result<OpenedFrame, OpenError> {
        let mut order = None;
        if received.pieces.is_empty() {
            (received.payload, order) =
                self.open_shared(now, keys, &received.descriptor, SealedUnit::Frame, received.payload)?;
        } else {
            let mut payloads = std::mem::take(&mut received.pieces);
            let last = payloads.len() - 1;
            for (index, payload) in payloads.iter_mut().enumerate() {
                let place = u16::try_from(index).map_err(|_| OpenError::Malformed)?;
                let unit = SealedUnit::Packet { index: place, last: index == last };
                (*payload, order) =
                    self.open_shared(now, keys, &received.descriptor, unit, std::mem::take(payload))?;
            }
            received.payload = av1::join(&payloads)?;
        }
        received.structure = Arc::clone(self.structure().ok_or(OpenError::NoStructure)?);
        received.dependencies = received.descriptor.dependencies(&received.structure)?;
        Ok(OpenedFrame { order, ..received.into() })
    }

    /// Opens an SFrame, in place if nobody else has a share of its bytes.
    fn open_shared(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        sframe: Bytes,
    ) -> Result<(Bytes, Option<SealedOrder>), OpenError> {
        let mut sframe = BytesMut::from(sframe);
        let order = self.open_in_order(now, keys, descriptor, unit, &mut sframe)?;
        Ok((sframe.freeze(), order))
    }
}

/// The keys of one sender that were needed so far, each with its replay window.
struct HeldKeys {
    agreement: Agreement,
    sender: u32,
    keys: Vec<HeldKey>,
    /// Epochs before this one are over and do not come back: their replay windows are gone.
    first_epoch: u64,
    checker: Option<AttestationChecker>,
    /// Kept so that frames do not allocate.
    aad: Vec<u8>,
}

struct HeldKey {
    key_id: u64,
    epoch: u64,
    cipher: Cipher,
    window: ReplayAttackProtection,
    /// The highest counter that was opened, when, and how many more may be missing then.
    newest: Option<(u64, Time, u64)>,
}

impl HeldKey {
    /// How many counters are skipped if this one comes now, and how many may be. Both are 0 if none is.
    fn skips(&self, now: Time, counter: u64) -> (u64, u64) {
        let Some((newest, at, spare)) = self.newest.filter(|&(newest, ..)| counter > newest) else {
            return (0, MAX_JUMP);
        };
        let pause = u64::try_from((now - at).as_millis()).unwrap_or(u64::MAX);
        (counter - newest - 1, spare.saturating_add(pause.saturating_mul(FRAMES_PER_MS)))
    }

    fn record(&mut self, now: Time, token: ReplayToken, counter: u64) {
        self.window.record(token);
        let (skipped, spare) = self.skips(now, counter);
        if self.newest.is_none_or(|(newest, ..)| counter > newest) {
            self.newest = Some((counter, now, spare.saturating_sub(skipped).min(MAX_JUMP)));
        }
    }
}

/// A frame that was decrypted, to be recorded once it is accepted.
struct Opened {
    key: usize,
    token: ReplayToken,
    counter: u64,
    /// If attestations are checked.
    digest: Option<SframeDigest>,
}

impl HeldKeys {
    fn new(agreement: Agreement, sender: u32) -> Self {
        Self { agreement, sender, keys: Vec::new(), first_epoch: 0, checker: None, aad: Vec::new() }
    }

    /// The context that a frame was sealed for, if it is this sender's.
    fn context_of(&self, header: Header) -> Result<Context, OpenError> {
        let layout = self.agreement.layout;
        let (expected, found) = (self.sender, layout.sender(header.key_id));
        if found != u64::from(expected) {
            return Err(OpenError::WrongSender { expected, found });
        }
        Ok(layout.context(header.key_id))
    }

    /// Decrypts a frame and leaves its plaintext.
    fn decrypt(
        &mut self,
        now: Time,
        keys: &impl KeySource,
        header: Header,
        metadata: &[u8],
        frame: &mut BytesMut,
    ) -> Result<Opened, OpenError> {
        let tag_size = self.agreement.suite.tag_len();
        let plaintext = frame.len().checked_sub(header.size + tag_size).ok_or(OpenError::Malformed)?;
        let index = self.find(now, keys, header.key_id)?;
        let key = &self.keys[index];
        let (skipped, spare) = key.skips(now, header.counter);
        if header.counter >= MAX_FRAMES || skipped > spare {
            return Err(OpenError::TooFar { counter: header.counter });
        }
        let sframe_header = SframeHeader::new(header.key_id, header.counter);
        let token = key.window.screen(UnvalidatedFrame::new(&sframe_header, &[])).map_err(|e| match e {
            ReplayAttackProtectionError::DuplicatedFrame { counter, .. } => OpenError::Replayed { counter },
            ReplayAttackProtectionError::CounterTooOld { counter, .. } => OpenError::TooOld { counter },
            ReplayAttackProtectionError::KeyIdMismatch { key_id, .. } => OpenError::UnknownKey { key_id },
        })?;
        let digest = self.checker.is_some().then(|| SframeDigest::with_header(header, metadata, frame));
        self.aad.clear();
        self.aad.extend_from_slice(&frame[..header.size]);
        self.aad.extend_from_slice(metadata);
        frame.advance(header.size);
        if key.cipher.open(header.counter, &mut self.aad, frame).is_err() {
            frame.clear();
            return Err(OpenError::NotAuthentic);
        }
        frame.truncate(plaintext);
        Ok(Opened { key: index, token, counter: header.counter, digest })
    }

    fn record(&mut self, now: Time, opened: Opened, frame_number: u16) {
        let key = &mut self.keys[opened.key];
        key.record(now, opened.token, opened.counter);
        if let (Some(checker), Some(digest)) = (&self.checker, opened.digest) {
            checker.insert(now, key.epoch, digest, frame_number);
        }
    }

    /// The place of a key, which is derived if it is new.
    fn find(&mut self, now: Time, keys: &impl KeySource, key_id: u64) -> Result<usize, OpenError> {
        let unknown = OpenError::UnknownKey { key_id };
        let held = self.keys.iter().position(|key| key.key_id == key_id);
        let epoch = keys.epoch(now, key_id);
        if let Some(index) = held {
            if epoch == Some(self.keys[index].epoch) {
                return Ok(index);
            }
            let over = self.keys.swap_remove(index).epoch;
            self.end(over);
        }
        let epoch = epoch.filter(|&epoch| epoch >= self.first_epoch).ok_or(unknown)?;
        if self.keys.len() == MAX_KEYS {
            let oldest = self.keys.iter().map(|key| key.epoch).min().expect("it is full");
            if epoch <= oldest {
                return Err(unknown);
            }
            self.end(oldest);
        }
        let base_key = keys.base_key(key_id, epoch).ok_or(unknown)?;
        let cipher = Cipher::new(self.agreement.suite, key_id, &base_key);
        let window = ReplayAttackProtection::new(key_id, Tolerance::new(REPLAY_WINDOW));
        self.keys.push(HeldKey { key_id, epoch, cipher, window, newest: None });
        Ok(self.keys.len() - 1)
    }

    /// Ends an epoch and all before it.
    fn end(&mut self, epoch: u64) {
        self.first_epoch = self.first_epoch.max(epoch.saturating_add(1));
        self.keys.retain(|key| key.epoch >= self.first_epoch);
    }
}

impl std::fmt::Debug for HeldKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<_> = self.keys.iter().map(|key| (key.key_id, key.epoch)).collect();
        f.debug_struct("HeldKeys").field("sender", &self.sender).field("held", &held).finish_non_exhaustive()
    }
}
