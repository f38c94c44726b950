//! A stream, as all know it, and as its sender codes it.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use layercast::e2ee::SenderKeys;
use layercast::encoder::{Bitrate, RateConfig, SvcConfig};
use layercast::picture::Picture;
use layercast::relay::{FrameReader, StreamConfig, StreamKind};
use layercast::rtp::RtpPacket;
use layercast::select::{Offer, StreamId};
use layercast::session::{DESCRIPTOR_ID, ShownPicture, VideoSender, VideoSenderConfig};
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time, congestion::SendPathConfig};
use layercast_examples::Result;

use crate::content::Pictures;
use crate::script::Content;

/// Reconstructions that are kept: more pictures than any is late.
const KEPT: usize = 75;
/// Bytes of ciphertext that are kept, to show what the relay sees.
const CIPHERTEXT: usize = 160 * 90;
/// The speed of the encoder.
const SPEED: u8 = 6;
/// What senders take their paths to carry at first.
const START: u64 = 1_000_000;

/// A stream that is being sent.
pub struct Stream {
    pub name: String,
    /// The place of its sender among the people.
    pub owner: usize,
    /// The sender's index in the group.
    pub member: u32,
    /// Its number among the sender's streams.
    pub number: u16,
    pub ssrc: u32,
    pub mode: ScalabilityMode,
    pub size: Size,
    pub fps: u32,
    pub content: Content,
    pub max_bitrate: u64,
    pub pictures: Pictures,
    pub interval: Duration,
    pub published: Time,
    /// Pictures captured.
    pub captured: u64,
    /// When its sender went on with other keys.
    pub rekeyed: Vec<Time>,
    /// RTP timestamp of the time 0, once a packet was sent.
    zero: Option<u32>,
    coded: VecDeque<Coded>,
    reader: FrameReader,
    seen: HashSet<u64>,
    pub sent: Sent,
    /// The last bytes of payload that reached the relay.
    pub ciphertext: VecDeque<u8>,
}

/// What the encoder made of a picture.
struct Coded {
    captured: Time,
    layers: Vec<Picture>,
}

/// What a sender has coded and sent.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Bytes of packets, and of each layer: a row for each spatial layer.
    pub bytes: u64,
    pub layers: [[u64; 3]; 3],
    /// Luma samples of the frames, and of all frames that the mode has.
    pub samples: u64,
    pub all_samples: u64,
    /// Bytes of the packets of a sender that codes all layers always, of the same pictures at the same bitrate;
    /// in real time there is no time for it.
    pub all_bytes: Option<u64>,
    /// When it was decided which layers are coded, as their sizes in use: `None` for nothing.
    pub wanted: Vec<(Time, Option<LayerId>)>,
    pub key_pictures: u64,
}

impl Stream {
    /// The highest decode target.
    pub fn top(&self) -> LayerId {
        let structure = self.mode.structure();
        LayerId::new(structure.spatial_layers - 1, structure.temporal_layers - 1)
    }

    /// What the room is told of the stream. The bitrates are guesses that the room replaces.
    pub fn config(&self, id: usize) -> StreamConfig {
        let fps = self.fps as f32;
        let structure = self.mode.structure();
        let offer = Offer::new(self.mode, self.size, fps, |target| {
            let share = structure.layer_size(self.size, target.spatial_id).samples() as f64;
            let temporal = 0.5_f64.powi(i32::from(structure.temporal_layers - 1 - target.temporal_id));
            let share = (share / self.size.samples() as f64).powf(0.75) * temporal.sqrt();
            (self.max_bitrate as f64 * share) as u64
        });
        let kind = StreamKind::Video { offer: Some(offer), layer_refresh: true };
        StreamConfig { id: StreamId(id as u32), ssrc: self.ssrc, kind }
    }

    /// Its encoder's configuration.
    pub fn encoder(&self) -> SvcConfig {
        let mut config = SvcConfig::new(self.size, self.mode);
        config.speed = SPEED;
        let mut rate = RateConfig::new(Bitrate::Total(self.max_bitrate));
        rate.drop_pictures = true;
        config.rate = Some(rate);
        config
    }

    /// Its sender, with a path of its own or not.
    pub fn sender(&self, keys: &mut SenderKeys, has_path: bool) -> Result<VideoSender> {
        let mut config = VideoSenderConfig::new(self.ssrc);
        config.path = has_path.then(|| SendPathConfig::new(START));
        config.max_bitrate = Some(self.max_bitrate);
        Ok(VideoSender::new(config, self.encoder(), Some(keys.video(self.number)?))?)
    }

    /// Keeps what the encoder made of a picture.
    pub fn keep(&mut self, captured: Time, layers: Vec<Picture>) {
        self.coded.push_back(Coded { captured, layers });
        self.coded.drain(..self.coded.len().saturating_sub(KEPT));
    }

    /// Takes a packet that its sender sends.
    pub fn send(&mut self, packet: &[u8]) {
        let Ok(rtp) = RtpPacket::read(packet) else { return };
        if self.zero.is_none()
            && let Some(first) = self.coded.front()
        {
            self.zero = Some(rtp.header.timestamp.wrapping_sub(ticks(first.captured)));
        }
        self.sent.bytes += packet.len() as u64;
        let Ok(Some(descriptor)) = rtp.extension(DESCRIPTOR_ID) else { return };
        let Ok(frame) = self.reader.read(descriptor) else { return };
        let layer = frame.layer;
        let (spatial, temporal) = (usize::from(layer.spatial_id), usize::from(layer.temporal_id));
        self.sent.layers[spatial.min(2)][temporal.min(2)] += packet.len() as u64;
        if self.seen.insert(frame.number) {
            let size = self.mode.structure().layer_size(self.size, layer.spatial_id);
            self.sent.samples += size.samples();
        }
    }

    /// Takes the payload of a packet as it reaches the relay.
    pub fn keep_ciphertext(&mut self, payload: &[u8]) {
        self.ciphertext.extend(payload);
        self.ciphertext.drain(..self.ciphertext.len().saturating_sub(CIPHERTEXT));
    }

    /// When a picture of this RTP timestamp was captured.
    pub fn captured(&self, timestamp: u32) -> Option<Time> {
        let ticks = u64::from(timestamp.wrapping_sub(self.zero?));
        Some(Time::from_micros((ticks * 100).div_ceil(9)))
    }

    /// Whether a picture is what the encoder made, sample for sample.
    pub fn is_right(&self, shown: &ShownPicture) -> bool {
        let Some(zero) = self.zero else { return false };
        let of = self.coded.iter().find(|coded| ticks(coded.captured).wrapping_add(zero) == shown.timestamp);
        of.is_some_and(|coded| coded.layers.contains(&shown.picture))
    }
}

/// RTP clock of a time.
fn ticks(time: Time) -> u32 {
    (time.since_start().as_micros() * 9 / 100) as u32
}

impl Stream {
    #[allow(clippy::too_many_arguments, reason = "it is a line of the script")]
    pub fn new(
        name: &str,
        (owner, member, number): (usize, u32, u16),
        ssrc: u32,
        mode: ScalabilityMode,
        size: Size,
        fps: u32,
        (content, pictures): (Content, Pictures),
        max_bitrate: u64,
        published: Time,
    ) -> Self {
        Self {
            name: name.into(),
            owner,
            member,
            number,
            ssrc,
            mode,
            size,
            fps,
            content,
            max_bitrate,
            pictures,
            interval: Duration::from_secs(1) / fps,
            published,
            captured: 0,
            rekeyed: Vec::new(),
            zero: None,
            coded: VecDeque::new(),
            reader: FrameReader::new(),
            seen: HashSet::new(),
            sent: Sent::default(),
            ciphertext: VecDeque::new(),
        }
    }
}
