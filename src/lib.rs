//! A real-time AV1 Scalable Video Coding (SVC) engine for video calls that stay end-to-end encrypted.
//!
//! The modules are the stages of the pipeline. A [`picture`] goes in at one end and is coded by the `encoder` as the
//! layers of a scalability [`structure`], each a frame of a [`bitstream`]. `e2ee` seals the frames, `rtp` puts them
//! into packets and gets them out again, the `decoder` makes pictures of them. `select` says which layers who gets,
//! and which are coded at all; `simulate` lives whole calls through. Each of those not linked here is a feature of its
//! name, on by default.

#![deny(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

pub mod bitstream;
#[cfg(feature = "decoder")]
pub mod decoder;
#[cfg(feature = "e2ee")]
pub mod e2ee;
#[cfg(feature = "encoder")]
pub mod encoder;
pub mod picture;
pub mod quality;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(feature = "rtp")]
pub mod rtp;
pub mod scene;
#[cfg(feature = "select")]
pub mod select;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod structure;
mod time;

pub use picture::Size;
pub use time::Time;

/// The README's examples are tests.
#[cfg(all(doctest, feature = "encoder", feature = "decoder", feature = "e2ee", feature = "select"))]
#[doc = include_str!("../README.md")]
struct Readme;
