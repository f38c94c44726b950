//! The properties of a room and of the streams in it.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::conduct::Allowance;
use super::forwarder::ForwarderConfig;
use crate::congestion::SendPathConfig;
use crate::select::{DemandConfig, Offer, SelectorConfig, StreamId};

/// A participant of a room. The numbers are the app's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::exhaustive_structs, reason = "a number")]
pub struct ParticipantId(pub u32);

/// What a stream carries.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "few are made")]
pub enum StreamKind {
    /// A camera or a screen, in layers that are chosen for each receiver. A stream without descriptors is forwarded whole.
    Video {
        /// The layers, as the sender tells them. Their bitrates are replaced by those that pass. If there is none, the relay
        /// makes one of the descriptors.
        offer: Option<Offer>,
        /// Whether the sender takes layer refresh requests (LRR, RFC 9627), as `session::VideoSender` does. Others, such as
        /// browsers, are asked for key pictures instead, by picture loss indications (PLI).
        layer_refresh: bool,
    },
    /// Sound: it is forwarded to all at once, as it comes.
    Audio,
    /// Messages: they are forwarded to all, as they come.
    Data,
}

/// A stream that a participant sends.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::exhaustive_structs, reason = "apps build it")]
pub struct StreamConfig {
    /// Its number, which no other stream of the room has.
    pub id: StreamId,
    /// Synchronization source of its packets, which no other stream of the room has. Receivers get it by the same.
    pub ssrc: u32,
    /// What it carries.
    pub kind: StreamKind,
}

impl StreamConfig {
    /// Video in any mode: the relay takes its layers from the Dependency Descriptor and measures their bitrates. Its sender
    /// understands LRR, as `session::VideoSender` does.
    pub fn video(id: StreamId, ssrc: u32) -> Self {
        Self { id, ssrc, kind: StreamKind::Video { offer: None, layer_refresh: true } }
    }

    /// Audio, which goes to all others.
    pub fn audio(id: StreamId, ssrc: u32) -> Self {
        Self { id, ssrc, kind: StreamKind::Audio }
    }
}

/// The properties of a [`Room`](super::Room). [`RoomConfig::default`] makes one whose fields can then be changed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RoomConfig {
    /// Identifier of the Dependency Descriptor's header extension, 1 to 255; 4 by default, as in `session`.
    pub descriptor_id: u8,
    /// Identifier of the transport-wide number's header extension, 1 to 255; 3 by default, as in `session`.
    pub transport_id: u8,
    /// Identifier of abs-send-time, for receivers that want it.
    pub send_time_id: Option<u8>,
    /// The relay's own synchronization source, for what it asks for.
    pub ssrc: u32,
    /// How layers are chosen.
    pub selector: SelectorConfig,
    /// How long layers are still coded that nobody wants any more.
    pub demand: DemandConfig,
    /// How forwarders ask for refreshes.
    pub forwarder: ForwarderConfig,
    /// The path to a receiver, as it begins: 300 kbit/s by default. A receiver whose path carries less loses packets until
    /// that is found out, within a second or two; one whose path carries more gets higher layers as probes succeed. A receiver has
    /// to answer with transport-wide feedback ([`ReceivePath`](crate::congestion::ReceivePath); a `VideoReceiver` does so): one that
    /// does not gets hardly more than the lowest layers, as nothing proves that its path carries more.
    pub path: SendPathConfig,
    /// From one request for a refresh of a stream to the next at least; 1 s by default.
    pub refresh_interval: Duration,
    /// From one decision about a receiver to the next at most; 200 ms by default.
    pub decide_interval: Duration,
    /// Bytes of a stream's last packets that are kept for retransmissions, and for how long; 1 MB and 1.5 s by default.
    pub cache_bytes: usize,
    /// How long they are kept.
    pub cache_time: Duration,
    /// Participants at most; 1000 by default.
    pub max_participants: usize,
    /// Streams of one participant at most; 8 by default.
    pub max_streams: usize,
    /// Video streams that one participant watches at most, the hidden ones that it watched before included; 64 by default.
    pub max_windows: usize,
    /// What one participant may send.
    pub allowance: Allowance,
}

impl Default for RoomConfig {
    fn default() -> Self {
        let mut path = SendPathConfig::default();
        path.pacer.most_bytes = 400_000;
        Self {
            descriptor_id: 4,
            transport_id: 3,
            send_time_id: None,
            ssrc: RandomState::new().hash_one("relay") as u32,
            selector: SelectorConfig::default(),
            demand: DemandConfig::default(),
            forwarder: ForwarderConfig::default(),
            path,
            refresh_interval: Duration::from_secs(1),
            decide_interval: Duration::from_millis(200),
            cache_bytes: 1_000_000,
            cache_time: Duration::from_millis(1500),
            max_participants: 1000,
            max_streams: 8,
            max_windows: 64,
            allowance: Allowance::default(),
        }
    }
}
