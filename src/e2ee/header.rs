//! The SFrame header (RFC 9605, section 4.3), and what is in a key id (section 5.2).

use arrayvec::ArrayVec;
use sframe::mls::{MlsKeyId, MlsKeyIdBitRange};

/// The longest SFrame header, in bytes.
pub const MAX_HEADER: usize = 17;

/// The SFrame header: which key, and which counter of it.
///
/// Read here and not by the crate `sframe`, which allocates for every field that does not fit the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// KID.
    pub key_id: u64,
    /// CTR.
    pub counter: u64,
    /// Bytes that the header takes, 1 to [`MAX_HEADER`].
    pub size: usize,
}

impl Header {
    /// Reads the header at the beginning of an SFrame ciphertext; none where it ends within the header.
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
    pub fn encode(key_id: u64, counter: u64) -> ArrayVec<u8, MAX_HEADER> {
        let mut header = ArrayVec::new();
        header.push(0);
        for (shift, value) in [(4, key_id), (0, counter)] {
            if value < 8 {
                header[0] |= (value as u8) << shift;
            } else {
                let size = 8 - value.leading_zeros() as usize / 8;
                header[0] |= (8 | (size as u8 - 1)) << shift;
                header.extend(value.to_be_bytes()[8 - size..].iter().copied());
            }
        }
        header
    }
}

/// What one key is for: one spatial layer of a video stream, the audio of a stream, its data messages.
///
/// It is the context value of section 5.2, which stands above sender and epoch in the key id. The camera's
/// are the smallest, so that they make the shortest headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Context(
    /// The value itself, for peers that divide it in another way.
    pub u64,
);

impl Context {
    /// Spatial layer `spatial_id` (at most 3) of video stream `stream`: say 0 for the camera, 1 for the screen.
    ///
    /// # Panics
    /// Where `spatial_id` is above 3.
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

    /// The spatial layer that it is of video stream `stream`.
    pub(super) fn spatial_id_of(self, stream: u16) -> Option<u8> {
        let spatial_id = self.0.checked_sub(u64::from(stream) << 3)?;
        (spatial_id < 4).then_some(spatial_id as u8)
    }
}

/// How many bits of a key id are for the epoch (E) and how many for the sender (S), from the lowest; the
/// context has the rest. RFC 9605, section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyIdLayout(MlsKeyIdBitRange);

/// The value does not fit into its part of the key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id has no room for context {} and sender {sender}", context.0)]
pub struct KeyIdError {
    /// The context.
    pub context: Context,
    /// The sender's index.
    pub sender: u32,
}

impl KeyIdLayout {
    /// `epoch_bits` (E) tell 2^E epochs apart, `sender_bits` (S) 2^S senders; none where the two leave no bit
    /// for the context.
    pub fn new(epoch_bits: u8, sender_bits: u8) -> Option<Self> {
        MlsKeyIdBitRange::try_new(epoch_bits, sender_bits).ok().map(Self)
    }

    /// The key id of a context and a sender in an epoch, of which it has the lowest bits.
    ///
    /// # Errors
    /// Where sender or context is too large for its part.
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
