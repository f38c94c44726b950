//! Sealing: bytes in, SFrame out.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use sframe::frame::{FrameCounter, MonotonicCounter};

use super::agreement::{Agreement, Binding, CipherSuite};
use super::attest::{Attester, SframeDigest};
use super::cipher::Cipher;
use super::header::{Header, MAX_HEADER};
use super::label::{Described, PageFrame, SealedUnit, Unwrapped};
use super::secret::BaseKey;
use crate::rtp::descriptor::{DependencyDescriptor, DependencyStructure, DescriptorError};

/// Frames that a key seals at most: 20 years of 100 frames a second. By then AES-GCM has covered 2^49 blocks, even
/// with frames of 100 kB, and an attacker can tell its output from random bytes with a probability of 2^-31.
pub const MAX_FRAMES: u64 = 1 << 36;

/// Why nothing was sealed. No counter was used up, and the buffer is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key has sealed [`MAX_FRAMES`]: the sender needs keys of another epoch.
    #[error("the key has sealed all that it may")]
    Exhausted,
    /// No frame before this one brought a structure along.
    #[error("the first descriptor has no dependency structure")]
    NoStructure,
    /// The descriptor does not fit its structure.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// What a page sees of a frame is not what the call has agreed to bind ([`Binding::Page`]).
    #[error("the call has agreed on another binding than pages have")]
    Binding,
    /// The buffer does not begin with [`MAX_HEADER`] bytes of room.
    #[error("no room for the header")]
    NoRoom,
}

/// One key and its counter: seals the frames of one context, such as audio frames or data messages.
///
/// It cannot be copied, and its counter only goes up, so that no nonce is used twice.
#[derive(Debug)]
pub struct Sealer {
    cipher: Cipher,
    key_id: u64,
    counter: MonotonicCounter,
    tag_size: usize,
    /// Who is told what was sealed, and of which epoch the key is.
    attester: Option<(Attester, u64)>,
    /// Kept so that frames do not allocate.
    aad: Vec<u8>,
}

impl Sealer {
    pub(super) fn new(suite: CipherSuite, key_id: u64, base_key: &BaseKey) -> Self {
        Self {
            cipher: Cipher::new(suite, key_id, base_key),
            key_id,
            counter: MonotonicCounter::new(MAX_FRAMES - 1),
            tag_size: suite.tag_len(),
            attester: None,
            aad: Vec::new(),
        }
    }

    /// Tells an attester what is sealed with this key, which is of `epoch`.
    pub(super) fn attest(&mut self, attester: Attester, epoch: u64) {
        self.attester = Some((attester, epoch));
    }

    fn note(&self, metadata: &[u8], sframe: &[u8]) {
        if let Some((attester, epoch)) = &self.attester {
            attester.add(*epoch, SframeDigest::new(metadata, sframe).expect("a sealed frame has a header"));
        }
    }

    /// The key id in the headers.
    pub fn key_id(&self) -> u64 {
        self.key_id
    }

    /// Seals a message and appends the SFrame to `out`. `metadata` is authenticated and not sent: the receiver
    /// has to know it (RFC 9605, section 4.4.3).
    ///
    /// # Errors
    /// [`SealError::Exhausted`].
    pub fn seal(&mut self, metadata: &[u8], message: &[u8], out: &mut BytesMut) -> Result<(), SealError> {
        self.append(metadata, message, b"", out)
    }

    /// Seals in place: `frame` is [`MAX_HEADER`] bytes of any value and the message, and becomes the SFrame.
    ///
    /// # Errors
    /// [`SealError::Exhausted`], [`SealError::NoRoom`].
    pub fn seal_in_place(&mut self, metadata: &[u8], frame: &mut BytesMut) -> Result<(), SealError> {
        self.turn(metadata, b"", frame)
    }

    /// How many bytes at most an SFrame is longer than the message that is sealed in it.
    pub fn overhead(&self) -> usize {
        MAX_HEADER + self.tag_size
    }

    /// Seals a message as [`seal`](Self::seal) does, with a label behind it.
    pub(crate) fn append(
        &mut self,
        metadata: &[u8],
        message: &[u8],
        label: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        let counter = self.counter.try_next().map_err(|_| SealError::Exhausted)?;
        let header = Header::encode(self.key_id, counter);
        out.reserve(header.len() + message.len() + label.len() + self.tag_size);
        let begin = out.len();
        out.extend_from_slice(&header);
        let at = out.len();
        out.extend_from_slice(message);
        self.encrypt(counter, &header, metadata, label, out, at);
        self.note(metadata, &out[begin..]);
        Ok(())
    }

    fn turn(&mut self, metadata: &[u8], label: &[u8], frame: &mut BytesMut) -> Result<(), SealError> {
        if frame.len() < MAX_HEADER {
            return Err(SealError::NoRoom);
        }
        let counter = self.counter.try_next().map_err(|_| SealError::Exhausted)?;
        let header = Header::encode(self.key_id, counter);
        let unused = MAX_HEADER - header.len();
        frame[unused..MAX_HEADER].copy_from_slice(&header);
        self.encrypt(counter, &header, metadata, label, frame, MAX_HEADER);
        frame.advance(unused);
        self.note(metadata, frame);
        Ok(())
    }

    /// Encrypts `frame` from `at` on, with the label behind it, and appends the tag.
    fn encrypt(
        &mut self,
        counter: u64,
        header: &[u8],
        metadata: &[u8],
        label: &[u8],
        frame: &mut BytesMut,
        at: usize,
    ) {
        frame.reserve(label.len() + self.tag_size);
        frame.extend_from_slice(label);
        let end = frame.len();
        frame.resize(end + self.tag_size, 0);
        self.aad.clear();
        self.aad.extend_from_slice(header);
        self.aad.extend_from_slice(metadata);
        let (data, tag) = frame[at..].split_at_mut(end - at);
        self.cipher.seal(counter, &mut self.aad, data, tag);
    }

    #[cfg(test)]
    pub(super) fn set_counter(&mut self, counter: u64) {
        self.counter = MonotonicCounter::with_start_value(counter, MAX_FRAMES - 1);
    }
}

/// Seals the frames of a video stream: each spatial layer with a key of its own, each frame bound to what its
/// Dependency Descriptor says.
#[derive(Debug)]
pub struct VideoSealer {
    layers: [Sealer; 4],
    binding: Binding,
    described: Option<Described>,
    /// The newest frame.
    newest: Option<Unwrapped>,
    /// Kept so that frames do not allocate.
    label: Vec<u8>,
}

impl VideoSealer {
    pub(super) fn new(agreement: Agreement, layers: [Sealer; 4]) -> Self {
        Self { layers, binding: agreement.binding, described: None, newest: None, label: Vec::new() }
    }

    pub(super) fn set_layers(&mut self, layers: [Sealer; 4]) {
        self.layers = layers;
    }

    /// The structure by which descriptors are read: the last that a frame brought along.
    pub fn structure(&self) -> Option<&Arc<DependencyStructure>> {
        self.described.as_ref().map(Described::structure)
    }

    /// How many bytes at most an SFrame is longer than the frame or packet's payload that is sealed in it.
    ///
    /// # Errors
    /// [`SealError::NoStructure`], [`SealError::Descriptor`].
    pub fn overhead(
        &mut self,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
    ) -> Result<usize, SealError> {
        let (spatial_id, _) = self.prepare(descriptor, unit)?;
        let (_, label) = self.binding.place(&self.label);
        Ok(MAX_HEADER + label.len() + self.layers[spatial_id].tag_size)
    }

    /// Seals a frame, or the payload of one packet, and appends the SFrame to `out`. `descriptor` is the one that
    /// goes with its (first) packet. A relay may change which packets are the first and the last of the frame, and
    /// which decode targets are active: those fields are not bound.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &mut self,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        frame: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        let (spatial_id, brought) = self.prepare(descriptor, unit)?;
        let (metadata, label) = self.binding.place(&self.label);
        self.layers[spatial_id].append(metadata, frame, label, out)?;
        self.keep(descriptor, brought);
        Ok(())
    }

    /// Seals in place: `frame` is [`MAX_HEADER`] bytes of any value and the frame, and becomes the SFrame.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal_in_place(
        &mut self,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
        frame: &mut BytesMut,
    ) -> Result<(), SealError> {
        let (spatial_id, brought) = self.prepare(descriptor, unit)?;
        let (metadata, label) = self.binding.place(&self.label);
        self.layers[spatial_id].turn(metadata, label, frame)?;
        self.keep(descriptor, brought);
        Ok(())
    }

    /// Seals a frame as a script of a web page can, which sees no descriptor, and appends the SFrame to `out`. A receiver
    /// with the descriptor opens it by [`VideoOpener::open`](super::VideoOpener::open).
    ///
    /// # Errors
    /// [`SealError::Exhausted`], [`SealError::Binding`], and [`SealError::Descriptor`] for a layer that AV1 does not have or
    /// more than 255 differences.
    pub fn seal_page(
        &mut self,
        page: &PageFrame<'_>,
        frame: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SealError> {
        if self.binding != Binding::Page {
            return Err(SealError::Binding);
        }
        self.label.clear();
        page.label(&mut self.label)?;
        self.label.push(Unwrapped::next(self.newest, page.frame_number).round());
        let (metadata, label) = self.binding.place(&self.label);
        self.layers[usize::from(page.layer.spatial_id)].append(metadata, frame, label, out)?;
        self.count(page.frame_number);
        Ok(())
    }

    /// Writes the label. Returns the spatial layer, and the structure that the frame brings along.
    fn prepare(
        &mut self,
        descriptor: &DependencyDescriptor,
        unit: SealedUnit,
    ) -> Result<(usize, Option<Described>), SealError> {
        let brought = Described::brought(self.described.as_ref(), descriptor)?;
        let described = brought.as_ref().or(self.described.as_ref()).ok_or(SealError::NoStructure)?;
        described.label(self.binding, descriptor, unit, &mut self.label)?;
        self.label.push(Unwrapped::next(self.newest, descriptor.frame_number).round());
        let spatial_id = described.layer(descriptor)?.spatial_id.into();
        if spatial_id >= self.layers.len() {
            return Err(DescriptorError::Layer.into());
        }
        Ok((spatial_id, brought))
    }

    #[cfg(test)]
    pub(super) fn set_layer(&mut self, spatial_id: usize, sealer: Sealer) {
        self.layers[spatial_id] = sealer;
    }

    fn keep(&mut self, descriptor: &DependencyDescriptor, brought: Option<Described>) {
        self.count(descriptor.frame_number);
        if brought.is_some() {
            self.described = brought;
        }
    }

    /// A frame of this number was sealed.
    fn count(&mut self, frame_number: u16) {
        let number = Unwrapped::next(self.newest, frame_number);
        if self.newest.is_none_or(|newest| number.behind(newest).is_none()) {
            self.newest = Some(number);
        }
    }
}
