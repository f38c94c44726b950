//! A camera without a coder: sealed packets of frames that have the sizes of a real encode.
#![allow(dead_code)] // Each test takes a part of it.

use bytes::Bytes;
use layercast::e2ee::{Agreement, SenderKeys};
use layercast::relay::{StreamConfig, StreamKind};
use layercast::select::{DemandMessage, Offer, StreamId};
use layercast::session::{SenderOutput, VideoSender, VideoSenderConfig};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

/// Pictures a second.
pub const FRAME_RATE: u64 = 30;
/// Bytes of the frames of each layer, `BYTES[spatial][temporal]`: those of the demo's `L3T3` at 1280x720, 611 kbit/s.
const BYTES: [[usize; 3]; 3] = [[1007, 275, 160], [1780, 443, 259], [4035, 843, 479]];
/// How much larger frames of key pictures are.
const KEY: usize = 4;

/// Codes all layers of `L3T3` at 600 kbit/s, or those that are wanted.
pub struct Camera {
    pub stream: StreamId,
    ssrc: u32,
    sender: VideoSender,
    planner: Planner,
    on_demand: bool,
    /// Frames are cut from it.
    content: Vec<u8>,
}

impl Camera {
    /// The camera of a stream. It codes what is wanted alone, or everything.
    pub fn new(stream: u32, on_demand: bool) -> Self {
        let ssrc = 0x5eed_0000 + stream * 16;
        let mut keys = SenderKeys::fresh(Agreement::default(), stream, 0).unwrap();
        let mut config = VideoSenderConfig::new(ssrc);
        // Packets of a picture come at once: how an uplink spreads them is not what is measured.
        config.path = None;
        let sender = VideoSender::without_encoder(config, Some(keys.video(0).unwrap()));
        let planner = Planner::new(ScalabilityMode::L3T3, Size::new(1280, 720));
        Self { stream: StreamId(stream), ssrc, sender, planner, on_demand, content: vec![0x5a; 1 << 15] }
    }

    /// How it is published.
    pub fn config(&self) -> StreamConfig {
        let bitrate = |target: LayerId| {
            let rates = [7.5, 7.5, 15.0];
            let layers = (0..=target.spatial_id).flat_map(|spatial_id| {
                (0..=target.temporal_id).map(move |temporal_id| (spatial_id, temporal_id))
            });
            let bits = layers.map(|(spatial_id, temporal_id): (u8, u8)| {
                BYTES[usize::from(spatial_id)][usize::from(temporal_id)] as f64
                    * 8.0
                    * rates[usize::from(temporal_id)]
            });
            bits.sum::<f64>() as u64
        };
        let offer = Offer::new(ScalabilityMode::L3T3, Size::new(1280, 720), FRAME_RATE as f32, bitrate);
        StreamConfig {
            id: self.stream,
            ssrc: self.ssrc,
            kind: StreamKind::Video { offer: Some(offer), layer_refresh: true },
        }
    }

    /// Takes a picture at `now`. Its packets come out of [`poll`](Self::poll).
    pub fn take_picture(&mut self, now: Time) {
        let refresh = self.sender.next_refresh(now);
        let all = DecodeTargets::all(self.planner.structure());
        let wanted = self.sender.wanted().filter(|_| self.on_demand).unwrap_or(all);
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let payloads = plan.frames.iter().map(|frame| {
            let LayerId { spatial_id, temporal_id } = frame.layer;
            let bytes = BYTES[usize::from(spatial_id)][usize::from(temporal_id)];
            &self.content[..if plan.key { KEY * bytes } else { bytes }]
        });
        self.sender.handle_coded(now, &plan, payloads).unwrap();
    }

    /// The next packet that is to be sent at `now`.
    pub fn poll(&mut self, now: Time) -> Option<Bytes> {
        match self.sender.poll(now) {
            SenderOutput::Transmit(packet) => Some(packet),
            _ => None,
        }
    }

    /// Takes what the relay asks for.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        self.sender.handle_feedback(now, packet);
    }

    /// Takes what the relay says is wanted.
    pub fn handle_demand(&mut self, message: &DemandMessage) {
        self.sender.handle_demand(message);
    }
}
