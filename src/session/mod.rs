//! The two ends of a stream of video, audio or messages: pictures in and packets out, packets in and pictures out.
//!
//! A [`VideoSender`] codes pictures, describes, seals and packetizes them, sends packets again that a receiver misses,
//! and does what receivers ask for. It paces its packets by an estimate of what the path carries. A [`VideoReceiver`]
//! puts packets together, opens frames as soon as their keys are there, asks for what is missing, tells what arrived,
//! and gives out pictures in order. They speak to browsers too, if they agree on that ([`VideoSenderConfig::opaque`]).
//!
//! An [`AudioSender`] seals the frames of an audio coder in a packet each, and an [`AudioReceiver`] gives them out in
//! order and says where some are lost. A [`DataSender`] and a [`DataReceiver`] carry messages, in order or not, with
//! losses made good or not. These four always seal, and neither code nor play audio. A [`LipSync`] says by how much pictures
//! are to be held back to be shown with the sound that belongs to them.
//!
//! # How to drive them
//!
//! None of them opens a socket or reads a clock. The program
//!
//! 1. hands in one thing, with the time: `handle_*(now, ..)`;
//! 2. polls until it is told to wait: `poll(now)` gives packets to be sent and pictures, frames or messages that came,
//!    and then `Timeout`;
//! 3. waits for the next packet or picture, but no longer than until that timeout, and polls again.
//!
//! RTP and RTCP may share a port, and a receiver tells them apart (RFC 5761, section 4). A sender is handed RTCP only.
//!
//! # One path, many streams
//!
//! Congestion control is about a path, not about a stream. A sender has a path of its own
//! ([`VideoSenderConfig::path`](VideoSenderConfig)), and takes the packets of all other streams over the same path:
//! [`VideoSender::handle_packet`]. Those of a second camera come from a sender without a path, by
//! [`VideoSender::next_packet`]. The transport-wide feedback of all of them goes to the sender that has the path. Several
//! receivers of one path share a [`ReceivePath`](crate::congestion::ReceivePath): it takes every packet that comes, and
//! they are configured without a [`transport_id`](VideoReceiverConfig). A relay is the end of two paths, which its
//! [`Room`](crate::relay::Room) has, without anything of this module.
//!
//! Nothing that comes from the network is an error of a call: a packet that came twice, late or damaged is counted, and
//! what a program may want to know of it is an event.
//!
//! ```
//! # #[cfg(all(feature = "encoder", feature = "decoder"))] {
//! use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
//! use layercast::encoder::SvcConfig;
//! use layercast::session::*;
//! use layercast::structure::{LayerId, ScalabilityMode::L2T2};
//! use layercast::{Size, Time, scene::Scene};
//!
//! let agreement = Agreement::default();
//! let mut keys = SenderKeys::fresh(agreement, 1, 0)?; // A call has them from `mls::Group::sender_keys`.
//! let size = Size::new(320, 180);
//! let config = VideoSenderConfig::new(0x5eed);
//! let mut sender = VideoSender::new(config, SvcConfig::new(size, L2T2), Some(keys.video(0)?))?;
//! let mut ring = KeyRing::new(agreement, std::time::Duration::from_secs(5));
//! ring.add(Time::ZERO, keys.grant().clone());
//! let config = VideoReceiverConfig::new(0x5eed, LayerId::new(1, 1));
//! let mut receiver = VideoReceiver::new(config, Some((VideoOpener::new(agreement, 1, 0), ring)))?;
//!
//! let camera = Scene::new(size);
//! let mut shown = 0;
//! for ms in 0..500 {
//!     let now = Time::from_millis(ms); // A program waits for what comes, and for the timeouts.
//!     if ms % 33 == 0 && ms < 330 {
//!         sender.handle_picture(now, &camera.picture(ms / 33).view())?;
//!     }
//!     loop {
//!         match sender.poll(now) {
//!             SenderOutput::Transmit(packet) => receiver.handle_packet(now, packet), // The network is in between.
//!             SenderOutput::Timeout(_) => break,
//!             _ => {}
//!         }
//!     }
//!     loop {
//!         match receiver.poll(now) {
//!             ReceiverOutput::Picture(picture) => shown += usize::from(picture.picture.size() == size),
//!             ReceiverOutput::Transmit(feedback) => sender.handle_feedback(now, &feedback),
//!             ReceiverOutput::Timeout(_) => break,
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(shown, 10);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audio;
mod data;
#[cfg(feature = "encoder")]
mod follow;
mod held;
mod incoming;
mod lip_sync;
mod outgoing;
mod playout;
mod receiver;
mod redundancy;
mod sender;
mod sequence;
mod unsent;

pub use audio::{
    AudioLevel, AudioOutput, AudioReceiver, AudioReceiverConfig, AudioSender, AudioSenderConfig,
    OutgoingAudio, PageAudioOpener, PageAudioSealer, ReceivedAudio,
};
pub use data::{DataOutput, DataReceiver, DataReceiverConfig, DataSender, DataSenderConfig};
pub use incoming::IncomingStatistics;
pub use lip_sync::LipSync;
pub use outgoing::OutgoingStatistics;
#[cfg(feature = "decoder")]
pub use receiver::ShownPicture;
pub use receiver::{ReceiverOutput, ReceiverStatistics, Refused, VideoReceiver, VideoReceiverConfig};
pub use redundancy::Redundancy;
pub use sender::{SendError, SenderOutput, SenderStatistics, VideoSender, VideoSenderConfig};

use crate::rtp::PayloadFormat;

/// Identifier of the Dependency Descriptor's header extension, unless the two ends agree on another one.
pub const DESCRIPTOR_ID: u8 = 4;

/// Identifier of the transport-wide number's header extension, unless the two ends agree on another one.
pub const TRANSPORT_ID: u8 = 3;

/// RTP payload type of the video, unless the two ends agree on another one.
pub const PAYLOAD_TYPE: u8 = 45;

/// RTP payload type of the parity packets, unless the two ends agree on another one.
pub const FEC_PAYLOAD_TYPE: u8 = 49;
/// RTP payload type of audio, unless the two ends agree on another one: that of Opus in browsers.
pub const AUDIO_PAYLOAD_TYPE: u8 = 111;

/// RTP payload type of data messages, unless the two ends agree on another one.
pub const DATA_PAYLOAD_TYPE: u8 = 46;

/// The payload format of a video stream whose frames are sealed or not, and if so, as browsers do it or not.
fn payload_format(sealed: bool, opaque: bool) -> PayloadFormat {
    match (sealed, opaque) {
        (false, _) => PayloadFormat::Av1,
        (true, false) => PayloadFormat::Sframe,
        (true, true) => PayloadFormat::Opaque,
    }
}
