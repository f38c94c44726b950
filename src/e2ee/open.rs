//! Opening: SFrame in, bytes out, or the reason why not.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use sframe::frame::validation::{
    FrameValidation, ReplayAttackProtection, ReplayAttackProtectionError, ReplayToken, Tolerance,
    UnvalidatedFrame,
};
use sframe::header::SframeHeader;

use super::cipher::Cipher;
use super::header::{Context, Header};
use super::keys::KeySource;
use super::label::{Described, Relabelled, Unit, difference, label_of};
use super::{Agreement, Binding};
use crate::rtp::av1;
use crate::rtp::descriptor::{self, DependencyDescriptor, DependencyStructure};
use crate::rtp::frame_buffer::Frame;
use crate::rtp::reassembler::ReceivedFrame;

/// How many frames (or packets, if these are sealed) of one key may come late and still be told from replays.
const REPLAY_WINDOW: usize = 2048;

/// Keys of a stream that are held at a time: four layers in four epochs.
const MAX_KEYS: usize = 16;

/// Why an SFrame was not opened.
///
/// Where no key was tried ([`is_early`](Self::is_early)) the frame is as it was and may be tried again, say once
/// the key has come; else it is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It ends within its header, its tag or its label.
    #[error("the SFrame is cut short")]
    Malformed,
    /// It is of a sender who is not the one of this stream.
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
        /// What it was sealed for, by the key id.
        found: Context,
    },
    /// There is no such key: the epoch is over or has not begun here, or it was not given to us.
    #[error("no key {key_id:#x}")]
    UnknownKey {
        /// KID of the header.
        key_id: u64,
    },
    /// The structure that its descriptor is read by has not been opened yet.
    #[error("no dependency structure has been opened yet")]
    NoStructure,
    /// The descriptor does not fit the structure.
    #[error(transparent)]
    Descriptor(#[from] descriptor::Error),
    /// What was sealed packet by packet is no frame.
    #[error(transparent)]
    Payload(#[from] av1::Error),
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
    /// Payload or header were changed, or (with [`Binding::Metadata`]) the descriptor; or the key is another.
    #[error("not authentic")]
    NotAuthentic,
    /// The payload is the sender's, but what came with it is not what the sender said.
    #[error("relabelled: another {0} than the sender sealed")]
    Relabelled(#[from] Relabelled),
}

impl OpenError {
    /// Whether the frame was refused before a key was tried, and is as it was.
    pub fn is_early(self) -> bool {
        !matches!(self, Self::NotAuthentic | Self::Relabelled(_))
    }
}

/// Opens what one sender seals for one context, such as audio frames or data messages.
///
/// Keep it for as long as the stream lasts: it knows what was opened before.
#[derive(Debug)]
pub struct Opener {
    keys: Keys,
    context: Context,
}

impl Opener {
    /// For the sender with this index.
    pub fn new(agreed: Agreement, sender: u32, context: Context) -> Self {
        Self { keys: Keys::new(agreed, sender), context }
    }

    /// Opens `frame`, an SFrame, in place, at the time `now`; `metadata` is what the sender had.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        source: &impl KeySource,
        now: Duration,
        metadata: &[u8],
        frame: &mut BytesMut,
    ) -> Result<(), OpenError> {
        let header = Header::read(frame).ok_or(OpenError::Malformed)?;
        let context = self.keys.context_of(header)?;
        if context != self.context {
            return Err(OpenError::WrongStream { found: context });
        }
        let opened = self.keys.decrypt(source, now, header, metadata, frame)?;
        self.keys.record(opened);
        Ok(())
    }
}

/// Opens the frames of one video stream, and holds what came with them against what the sender said.
#[derive(Debug)]
pub struct VideoOpener {
    keys: Keys,
    stream: u16,
    described: Option<Described>,
    /// Kept so as not to be allocated for each frame.
    label: Vec<u8>,
}

impl VideoOpener {
    /// For video stream `stream` of the sender with this index.
    pub fn new(agreed: Agreement, sender: u32, stream: u16) -> Self {
        Self { keys: Keys::new(agreed, sender), stream, described: None, label: Vec::new() }
    }

    /// The structure by which descriptors are read: the last that an opened frame brought along.
    pub fn structure(&self) -> Option<&Arc<DependencyStructure>> {
        self.described.as_ref().map(Described::structure)
    }

    /// Opens `frame`, an SFrame, in place, at the time `now`. `descriptor` is the one that came with its (first)
    /// packet, and is the sender's if this is `Ok`, apart from first and last in frame and the active decode
    /// targets. A structure that it brings is trusted from then on.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        source: &impl KeySource,
        now: Duration,
        descriptor: &DependencyDescriptor,
        unit: Unit,
        frame: &mut BytesMut,
    ) -> Result<(), OpenError> {
        let header = Header::read(frame).ok_or(OpenError::Malformed)?;
        let context = self.keys.context_of(header)?;
        let Some(sealed_layer) = context.spatial_id_of(self.stream) else {
            return Err(OpenError::WrongStream { found: context });
        };
        let brought = Described::brought(self.described.as_ref(), descriptor)?;
        let described = brought.as_ref().or(self.described.as_ref()).ok_or(OpenError::NoStructure)?;
        described.label(descriptor, unit, &mut self.label)?;
        let layer = described.layer(descriptor)?;

        let binding = self.keys.agreed.binding;
        let (metadata, label) = binding.place(&self.label);
        let opened = self.keys.decrypt(source, now, header, metadata, frame)?;
        if binding == Binding::Inside {
            let Some(sealed) = label_of(frame) else {
                frame.clear();
                return Err(OpenError::Malformed);
            };
            if sealed != label {
                let difference = difference(label, sealed);
                frame.clear();
                return Err(difference.into());
            }
            frame.truncate(frame.len() - label.len());
        }
        // Who has the key of one layer alone must not pass for another layer.
        if sealed_layer != layer.spatial_id {
            frame.clear();
            return Err(Relabelled::SpatialLayer.into());
        }
        self.keys.record(opened);
        if brought.is_some() {
            self.described = brought;
        }
        Ok(())
    }

    /// Opens a frame that came whole, at the time `now`: what a frame buffer takes, with the meaning that its
    /// descriptor has by the sender's structure. Where it starts a sequence, that structure is what the
    /// reassembler has to adopt.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_received(
        &mut self,
        source: &impl KeySource,
        now: Duration,
        mut received: ReceivedFrame,
    ) -> Result<Frame, OpenError> {
        if received.pieces.is_empty() {
            received.payload =
                self.open_shared(source, now, &received.descriptor, Unit::Frame, received.payload)?;
        } else {
            let mut payloads = std::mem::take(&mut received.pieces);
            let last = payloads.len() - 1;
            for (index, payload) in payloads.iter_mut().enumerate() {
                let place = u16::try_from(index).map_err(|_| OpenError::Malformed)?;
                let unit = Unit::Packet { index: place, last: index == last };
                *payload =
                    self.open_shared(source, now, &received.descriptor, unit, std::mem::take(payload))?;
            }
            let mut obus = Vec::with_capacity(payloads.iter().map(Bytes::len).sum());
            av1::depacketize(&payloads, &mut obus)?;
            received.payload = obus.into();
        }
        received.structure = Arc::clone(self.structure().ok_or(OpenError::NoStructure)?);
        received.dependencies = received.descriptor.dependencies(&received.structure)?;
        Ok(received.into())
    }

    /// Opens an SFrame in place where nobody else has a share of its bytes.
    fn open_shared(
        &mut self,
        source: &impl KeySource,
        now: Duration,
        descriptor: &DependencyDescriptor,
        unit: Unit,
        sframe: Bytes,
    ) -> Result<Bytes, OpenError> {
        let mut sframe = BytesMut::from(sframe);
        self.open(source, now, descriptor, unit, &mut sframe)?;
        Ok(sframe.freeze())
    }
}

/// The keys of one sender, as far as they were needed.
struct Keys {
    agreed: Agreement,
    sender: u32,
    held: Vec<Key>,
    /// Epochs before this one are over and do not come back: their replay windows are gone.
    first_epoch: u64,
    /// Kept so as not to be allocated for each frame.
    aad: Vec<u8>,
}

struct Key {
    key_id: u64,
    epoch: u64,
    cipher: Cipher,
    window: ReplayAttackProtection,
}

/// A frame that was decrypted, to be recorded once it is accepted.
struct Opened {
    key: usize,
    token: ReplayToken,
}

impl Keys {
    fn new(agreed: Agreement, sender: u32) -> Self {
        Self { agreed, sender, held: Vec::new(), first_epoch: 0, aad: Vec::new() }
    }

    /// What a frame was sealed for, if it is this sender's.
    fn context_of(&self, header: Header) -> Result<Context, OpenError> {
        let layout = self.agreed.layout;
        let (expected, found) = (self.sender, layout.sender(header.key_id));
        if found != u64::from(expected) {
            return Err(OpenError::WrongSender { expected, found });
        }
        Ok(layout.context(header.key_id))
    }

    /// Decrypts a frame and leaves its plaintext.
    fn decrypt(
        &mut self,
        source: &impl KeySource,
        now: Duration,
        header: Header,
        metadata: &[u8],
        frame: &mut BytesMut,
    ) -> Result<Opened, OpenError> {
        let tag_size = self.agreed.suite.auth_tag_len();
        let plaintext = frame.len().checked_sub(header.size + tag_size).ok_or(OpenError::Malformed)?;
        let index = self.find(source, now, header.key_id)?;
        let key = &self.held[index];
        let sframe_header = SframeHeader::new(header.key_id, header.counter);
        let token = key.window.screen(UnvalidatedFrame::new(&sframe_header, &[])).map_err(|e| match e {
            ReplayAttackProtectionError::DuplicatedFrame { counter, .. } => OpenError::Replayed { counter },
            ReplayAttackProtectionError::CounterTooOld { counter, .. } => OpenError::TooOld { counter },
            ReplayAttackProtectionError::KeyIdMismatch { key_id, .. } => OpenError::UnknownKey { key_id },
        })?;
        self.aad.clear();
        self.aad.extend_from_slice(&frame[..header.size]);
        self.aad.extend_from_slice(metadata);
        frame.advance(header.size);
        if key.cipher.open(header.counter, &mut self.aad, frame).is_err() {
            frame.clear();
            return Err(OpenError::NotAuthentic);
        }
        frame.truncate(plaintext);
        Ok(Opened { key: index, token })
    }

    fn record(&mut self, opened: Opened) {
        self.held[opened.key].window.record(opened.token);
    }

    /// The place of a key, which is derived if it is new.
    fn find(&mut self, source: &impl KeySource, now: Duration, key_id: u64) -> Result<usize, OpenError> {
        let unknown = OpenError::UnknownKey { key_id };
        let held = self.held.iter().position(|key| key.key_id == key_id);
        let epoch = source.epoch(key_id, now);
        if let Some(index) = held {
            if epoch == Some(self.held[index].epoch) {
                return Ok(index);
            }
            let over = self.held.swap_remove(index).epoch;
            self.end(over);
        }
        let epoch = epoch.filter(|&epoch| epoch >= self.first_epoch).ok_or(unknown)?;
        if self.held.len() == MAX_KEYS {
            let oldest = self.held.iter().map(|key| key.epoch).min().expect("it is full");
            if epoch <= oldest {
                return Err(unknown);
            }
            self.end(oldest);
        }
        let base_key = source.base_key(key_id, epoch).ok_or(unknown)?;
        let cipher = Cipher::new(self.agreed.suite, key_id, &base_key);
        let window = ReplayAttackProtection::new(key_id, Tolerance::new(REPLAY_WINDOW));
        self.held.push(Key { key_id, epoch, cipher, window });
        Ok(self.held.len() - 1)
    }

    /// Ends an epoch and all before it.
    fn end(&mut self, epoch: u64) {
        self.first_epoch = self.first_epoch.max(epoch.saturating_add(1));
        self.held.retain(|key| key.epoch >= self.first_epoch);
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let held: Vec<_> = self.held.iter().map(|key| (key.key_id, key.epoch)).collect();
        f.debug_struct("Keys").field("sender", &self.sender).field("held", &held).finish_non_exhaustive()
    }
}
