//! A real-time AV1 Scalable Video Coding (SVC) engine for video calls that stay end-to-end encrypted.
//!
//! A sender codes each camera picture once, as layers of several sizes and frame rates, and encrypts every layer. A
//! relay (SFU) without a key forwards to each receiver the layers that the receiver has room for. Senders code only
//! the layers that somebody watches.
//!
//! # The pipeline
//!
//! The modules are its stages, in this order:
//!
//! | module | what it does | feature |
//! | --- | --- | --- |
//! | [`picture`] | holds camera pictures and decoded pictures | |
//! | [`structure`] | plans the layers of each picture, and what each frame refers to | |
//! | `encoder` | codes a picture as those layers | `encoder` |
//! | [`bitstream`] | reads and writes AV1 headers and files | |
//! | `e2ee` | seals and opens the frames of each layer, agrees on keys | `e2ee` |
//! | `rtp` | makes packets of frames, and frames of packets | `rtp` |
//! | `congestion` | estimates what a path carries, and paces packets to it | `congestion` |
//! | `relay` | decides which frames go on to a receiver, and what to ask the sender for | `relay` |
//! | `decoder` | makes pictures of frames | `decoder` |
//! | `select` | decides which layers each receiver gets, and which are coded at all | `select` |
//! | `session` | joins the parts of one end: an object that sends a stream of video, audio or messages, and one that receives it | `session` |
//! | `simulate` | runs whole calls in virtual time | `simulate` |
//!
//! [`quality`] compares pictures, and [`scene`] draws a video call to try things with. All features are on by default;
//! one more, `dav1d`, decodes by the system's libdav1d in place of `re_rav1d`.
//!
//! # Quick start
//!
//! ```
//! # #[cfg(all(feature = "encoder", feature = "decoder"))] {
//! use layercast::decoder::{Decoder, DecoderConfig};
//! use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
//! use layercast::structure::ScalabilityMode;
//! use layercast::{Size, bitstream, scene::Scene};
//!
//! let size = Size::new(320, 180);
//! let camera = Scene::new(size); // A camera hands over `PictureView`s of its own buffers.
//! let mut encoder = SvcEncoder::new(SvcConfig::new(size, ScalabilityMode::L2T2))?;
//! let mut decoder = Decoder::new(DecoderConfig::default())?;
//! for n in 0..3 {
//!     let unit = encoder.encode(&camera.picture(n).view(), Scene::time(n), EncodeOptions::default())?;
//!     let mut small = Vec::new();
//!     bitstream::write_temporal_delimiter(&mut small);
//!     for frame in unit.frames.iter().filter(|frame| frame.plan.layer.spatial_id == 0) {
//!         small.extend_from_slice(&frame.data); // The lower layer can be decoded without the upper one.
//!     }
//!     assert_eq!(decoder.decode(&small, n as i64)?[0].picture.size(), Size::new(160, 90));
//! }
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A call needs more than a coder: `session` has senders and receivers with encryption, packets and retransmissions in them,
//! and `relay::Room` is what stands between. `README.md` has a whole call of these in one loop, and `examples/` has programs.
//!
//! # Time and errors
//!
//! The crate opens no socket and reads no clock, except that MLS checks by the system's clock whether key packages have
//! expired. A caller tells the [`Time`] as the first argument, `now`,
//! of every call that depends on it. Machines that have something to say later follow one habit: the caller hands them
//! something, calls `poll` until it returns `Timeout`, and comes back at that time at the latest. Small machines that
//! `session` and `relay::Room` are made of return `None` in its place, and tell the time by `next_timeout`.
//!
//! No input from the network makes the crate panic; each module has error types of its own.
//!
//! # Speed
//!
//! Encoding and decoding need an optimized build. A plain debug build codes about 55 times slower than release, unless
//! the program's own `Cargo.toml` optimizes its dependencies:
//!
//! ```toml
//! [profile.dev.package]
//! "*" = { opt-level = 3 }
//! # Its assertions check each access to each picture, and capture a backtrace each time if RUST_BACKTRACE is set.
//! re_rav1d = { opt-level = 3, debug-assertions = false }
//! ```
//!
//! # Further reading
//!
//! The repository has `ARCHITECTURE.md` (the modules, and what each may not do), `SECURITY.md` (the threat model) and
//! `docs/` (design and measurements).

#![deny(unsafe_code)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

pub mod bitstream;
#[cfg(feature = "congestion")]
pub mod congestion;
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
#[cfg(feature = "session")]
pub mod session;
#[cfg(feature = "simulate")]
pub mod simulate;
pub mod structure;
mod time;

pub use picture::Size;
pub use time::Time;

/// The README's examples are tests.
#[cfg(all(doctest, feature = "encoder", feature = "decoder", feature = "session"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the other documents.
#[cfg(all(doctest, feature = "select"))]
#[doc = include_str!("../docs/SELECT.md")]
struct Documents;
