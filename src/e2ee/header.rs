//! The SFrame header (RFC 9605, section 4.3), and the parts of a key id (section 5.2).

use std::ops::Deref;

use sframe::mls::{MlsKeyId, MlsKeyIdBitRange};

/// The longest SFrame header, in bytes.
pub const MAX_HEADER: usize = 17;

/// The SFrame header: which key, and which counter of it.
///
/// This reads it and not the crate `sframe`, which allocates for every field that does not fit the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // The fields of the RFC.
pub struct Header {
    /// KID.
    pub key_id: u64,
    /// CTR.
    pub counter: u64,
    /// Bytes that the header takes, 1 to [`MAX_HEADER`].
    pub size: usize,
}

impl Header {
    /// Reads the header at the beginning of an SFrame ciphertext. `None` if the bytes end within it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&config, mut rest) = bytes.split_first()?;
        let mut field = |bits: u8| {
            let value = bits & 7;
            if bits & 8 == 0 {
                return Some(u64::from(value));
            }
            let (field, behind) = rest.split_at_checked(usize::from(value) + 1)?;
            rest = behind;
            Some(field.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
        };
        let (key_id, counter) = (field(config >> 4)?, field(config & 15)?);
        Some(Self { key_id, counter, size: bytes.len() - rest.len() })
    }

    /// The shortest header of a key id and a counter.
    pub fn encode(key_id: u64, counter: u64) -> HeaderBytes {
        let mut header = HeaderBytes { bytes: [0; MAX_HEADER], size: 1 };
        for (shift, value) in [(4, key_id), (0, counter)] {
            if value < 8 {
                header.bytes[0] |= (value as u8) << shift;
            } else {
                let size = 8 - value.leading_zeros() as usize / 8;
                header.bytes[0] |= (8 | (size as u8 - 1)) << shift;
                header.bytes[header.size..][..size].copy_from_slice(&value.to_be_bytes()[8 - size..]);
                header.size += size;
            }
        }
        header
    }
}

/// A [`Header`] as bytes, 1 to [`MAX_HEADER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderBytes {
    /// 0 from `size` on.
    bytes: [u8; MAX_HEADER],
    size: usize,
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// What one key is for: one spatial layer of a video stream, the audio of a stream, its data messages,
/// its attestations.
///
/// It is the context value of section 5.2, which stands above sender and epoch in the key id. Stream 0 has the
/// smallest values and so the shortest headers: it should be the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs)] // A number of the RFC.
pub struct Context(
    /// The value itself, for peers that divide it in another way.
    pub u64,
);

impl Context {
    /// Spatial layer `spatial_id` (at most 3) of video stream `stream`: say 0 for the camera, 1 for the screen.
    ///
    /// # Panics
    /// If `spatial_id` is above 3.
    pub const fn video(stream: u16, spatial_id: u8) -> Self {
        assert!(spatial_id < 4, "no such spatial layer");
        Self((stream as u64) << 3 | spatial_id as u64)
    }

    /// The audio of stream `stream`.
    pub const fn audio(stream: u16) -> Self {
        Self((stream as u64) << 3 | 4)
    }

    /// The data messages of stream `stream`.
    pub const fn data(stream: u16) -> Self {
        Self((stream as u64) << 3 | 5)
    }

    /// The attestations of stream `stream`: what an [`Attester`](super::attest::Attester) says about its frames.
    pub const fn attestation(stream: u16) -> Self {
        Self((stream as u64) << 3 | 6)
    }

    /// Whether it is that of attestations, which nobody attests.
    pub(super) fn is_attestation(self) -> bool {
        self.0 & 7 == 6
    }

    /// Its spatial layer, if it is one of video stream `stream`.
    pub(super) fn spatial_id_of(self, stream: u16) -> Option<u8> {
        let (found, spatial_id) = self.spatial_layer()?;
        (found == stream).then_some(spatial_id)
    }

    /// Its video stream and spatial layer, if it has one.
    pub(super) fn spatial_layer(self) -> Option<(u16, u8)> {
        let stream = u16::try_from(self.0 >> 3).ok()?;
        let spatial_id = (self.0 & 7) as u8;
        (spatial_id < 4).then_some((stream, spatial_id))
    }
}

/// How many bits of a key id are for the epoch (E) and how many for the sender (S), from the lowest; the
/// context has the rest. RFC 9605, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIdLayout(MlsKeyIdBitRange);

/// A value does not fit into its part of the key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("a key id has no room for context {} and sender {sender}", context.0)]
pub struct KeyIdError {
    /// The context.
    pub context: Context,
    /// The sender's index.
    pub sender: u32,
}

impl KeyIdLayout {
    /// `epoch_bits` (E) tell 2^E epochs apart, `sender_bits` (S) 2^S senders. `None` if the two leave no bit for
    /// the context.
    pub fn new(epoch_bits: u8, sender_bits: u8) -> Option<Self> {
        MlsKeyIdBitRange::try_new(epoch_bits, sender_bits).ok().map(Self)
    }

    /// The key id of a context and a sender in an epoch, of which it holds the lowest bits.
    ///
    /// # Errors
    /// If sender or context is too large for its part.
    pub fn key_id(self, context: Context, sender: u32, epoch: u64) -> Result<u64, KeyIdError> {
        match MlsKeyId::try_new(context.0, epoch, sender, self.0) {
            Ok(key_id) => Ok(key_id.into()),
            Err(_) => Err(KeyIdError { context, sender }),
        }
    }

    /// The context of a key id.
    pub fn context(self, key_id: u64) -> Context {
        Context(MlsKeyId::from_key_id(key_id, self.0).context_id())
    }

    /// The sender's index of a key id.
    pub fn sender(self, key_id: u64) -> u64 {
        MlsKeyId::from_key_id(key_id, self.0).member_index()
    }

    /// The lowest bits of the epoch of a key id.
    pub fn epoch(self, key_id: u64) -> u64 {
        MlsKeyId::from_key_id(key_id, self.0).epoch_lsb()
    }
}

impl Default for KeyIdLayout {
    /// 16 epochs and 256 senders: two bytes of key id for the first streams of each sender.
    fn default() -> Self {
        Self(MlsKeyIdBitRange::new(4, 8))
    }
}
