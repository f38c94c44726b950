//! The primitives that this room takes from libraries: random numbers, Ed25519, SHA-256 and AES-GCM.
//!
//! They are those of ring. In browsers they are those of RustCrypto, since ring contains C: a program that is compiled for
//! WebAssembly would need another compiler. Both give the same bytes.

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod browser;
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
mod native;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
pub(super) use browser::{AesGcm, Sha256, fill, public_key, verify};
#[cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
pub(super) use native::{AesGcm, Sha256, fill, public_key, verify};

/// Bytes of a seed and of a public key of Ed25519.
pub(super) const ED25519: usize = 32;

/// The bytes were not sealed with this key, nonce and additional data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;
