//! What the members of a call agree on before it starts.

use super::header::KeyIdLayout;

/// What all members of a call agree on before it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs)] // Apps build it with `..Agreement::default()`.
pub struct Agreement {
    /// How frames are encrypted: AES-256-GCM with SHA-512 by default.
    pub suite: CipherSuite,
    /// How a key id is divided.
    pub layout: KeyIdLayout,
    /// How the keys of an epoch are derived.
    pub schedule: Schedule,
    /// How video frames are bound to their descriptors.
    pub binding: Binding,
}

/// The cipher suites of RFC 9605, section 4.5. Their values are those of the IANA registry (section 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[repr(u16)]
pub enum CipherSuite {
    /// AES_128_CTR_HMAC_SHA256_80: AES-128 in counter mode, a tag of 10 bytes by HMAC with SHA-256.
    Aes128CtrHmacSha256_80 = 1,
    /// AES_128_CTR_HMAC_SHA256_64: AES-128 in counter mode, a tag of 8 bytes by HMAC with SHA-256.
    Aes128CtrHmacSha256_64 = 2,
    /// AES_128_CTR_HMAC_SHA256_32: AES-128 in counter mode, a tag of 4 bytes by HMAC with SHA-256.
    Aes128CtrHmacSha256_32 = 3,
    /// AES_128_GCM_SHA256_128: AES-128 in Galois/counter mode, a tag of 16 bytes, keys by SHA-256.
    Aes128GcmSha256_128 = 4,
    /// AES_256_GCM_SHA512_128: AES-256 in Galois/counter mode, a tag of 16 bytes, keys by SHA-512.
    #[default]
    Aes256GcmSha512_128 = 5,
}

impl CipherSuite {
    /// Nh: the output of the hash function, in bytes.
    pub const fn hash_len(self) -> usize {
        match self {
            Self::Aes128CtrHmacSha256_80
            | Self::Aes128CtrHmacSha256_64
            | Self::Aes128CtrHmacSha256_32
            | Self::Aes128GcmSha256_128 => 32,
            Self::Aes256GcmSha512_128 => 64,
        }
    }

    /// Nk: the key of the encryption, in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128CtrHmacSha256_80 | Self::Aes128CtrHmacSha256_64 | Self::Aes128CtrHmacSha256_32 => 48,
            Self::Aes128GcmSha256_128 => 16,
            Self::Aes256GcmSha512_128 => 32,
        }
    }

    /// Nt: the tag behind each ciphertext, in bytes.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128CtrHmacSha256_80 => 10,
            Self::Aes128CtrHmacSha256_64 => 8,
            Self::Aes128CtrHmacSha256_32 => 4,
            Self::Aes128GcmSha256_128 | Self::Aes256GcmSha512_128 => 16,
        }
    }
}

/// How the base key of a key id comes from the base key of its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Schedule {
    /// Each key id has a base key of its own, by HKDF with the label `layercast 1.0 Base Key ` and the key id
    /// in 8 bytes: an observer with the base key of the base layer can open the base layer and nothing else.
    #[default]
    PerKeyId,
    /// RFC 9605, section 5.2, to the letter: one base key for all key ids of the epoch. For peers that know
    /// only the RFC; a single layer cannot be granted.
    Rfc9605,
}

/// How a video frame is bound to its Dependency Descriptor: to frame number, layer, dependencies and the
/// structure by which they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Binding {
    /// The fields are sealed with the frame, in 8 bytes for most: the receiver can say which was changed.
    #[default]
    Inside,
    /// The fields are SFrame metadata (RFC 9605, section 4.4.3), but for a byte that is sealed with the frame, which
    /// tells the rounds of the frame number apart. The receiver can say that something was changed.
    Metadata,
    /// What a script of a web page can see of a frame, for calls with browsers, is SFrame metadata: frame number (2
    /// bytes), spatial layer (1), temporal layer (1), the number of frame differences (1) and the differences in
    /// ascending order (2 each), in network byte order. The byte for the rounds is sealed behind the frame, as with
    /// [`Metadata`](Self::Metadata); a page counts them itself. The receiver can say that something was changed.
    ///
    /// The structure, decode target indications and chains are not bound: no page sees them. A relay that lies about them
    /// can stop the picture, which it can anyway, but cannot have frames decoded that do not belong together.
    Page,
    /// The fields are not bound: for peers that know only RFC 9605. The spatial layer alone is, by its key. If packets are
    /// sealed one by one, a relay can also join packets of several frames to one.
    None,
}

impl Binding {
    /// The label and the round behind it, divided into metadata and what is sealed with the frame.
    pub(super) fn place(self, label: &[u8]) -> (&[u8], &[u8]) {
        match self {
            Self::Inside => (&[], label),
            Self::Metadata | Self::Page => label.split_at(label.len() - 1),
            Self::None => (&[], &[]),
        }
    }
}
