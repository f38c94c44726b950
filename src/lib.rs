//! A real-time AV1 Scalable Video Coding (SVC) engine for video calls that stay end-to-end encrypted.
//!
//! The modules are the stages of the pipeline: a [`picture`] goes in at one end, is coded as the
//! layers of a scalability [`structure`], and comes out as the OBUs of a [`bitstream`].

#![deny(unsafe_code)]

pub mod bitstream;
#[cfg(feature = "decoder")]
pub mod decoder;
#[cfg(feature = "e2ee")]
pub mod e2ee;
#[cfg(feature = "encoder")]
pub mod encoder;
pub mod picture;
pub mod quality;
#[cfg(feature = "rtp")]
pub mod rtp;
pub mod scene;
#[cfg(feature = "select")]
pub mod select;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod structure;

/// The README's examples are tests.
#[cfg(all(doctest, feature = "encoder", feature = "decoder"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the draft about the selector.
#[cfg(all(doctest, feature = "select"))]
#[doc = include_str!("../docs/select-draft.md")]
struct SelectDraft;
