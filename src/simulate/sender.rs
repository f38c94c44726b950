//! A sender: the product's, which codes pictures of the sizes and times of a table.

use std::sync::Arc;

use bytes::Bytes;

use super::video::CodedVideo;
use crate::Time;
use crate::e2ee::{Agreement, Grant, SenderKeys};
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::session::{PAYLOAD_TYPE, SenderOutput, VideoSender, VideoSenderConfig};
use crate::structure::{DecodeTargets, PictureRequest, Planner, Refresh};

/// SSRC of a stream: 0 is nobody's.
pub(super) fn ssrc_of(stream: usize) -> u32 {
    stream as u32 + 1
}

/// What a frame carries in place of coded content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub picture: u64,
    pub captured: Time,
}

impl Stamp {
    /// Its bytes.
    const SIZE: usize = 16;

    fn write(self, payload: &mut [u8]) {
        let micros = self.captured.since_start().as_micros() as u64;
        payload[..8].copy_from_slice(&self.picture.to_be_bytes());
        payload[8..Self::SIZE].copy_from_slice(&micros.to_be_bytes());
    }

    pub fn read(payload: &[u8]) -> Option<Self> {
        let [picture, micros] = [payload.get(..8)?, payload.get(8..Self::SIZE)?]
            .map(|bytes| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        Some(Self { picture, captured: Time::from_micros(micros) })
    }
}

/// What a receiver has to know of a sender.
#[derive(Debug, Clone)]
pub(super) struct SenderParts {
    pub ssrc: u32,
    pub grant: Grant,
}

/// Codes pictures with the sizes and times of a [`CodedVideo`].
#[derive(Debug)]
pub(super) struct Sender {
    table: Arc<CodedVideo>,
    planner: Planner,
    sender: VideoSender,
    ssrc: u32,
    grant: Grant,
    /// Where in the table it starts, so that senders do not move in step.
    offset: usize,
    /// Pictures since the last key picture.
    since_key: usize,
    requests: u8,
    /// All that was coded: bytes and time on one core.
    pub bytes: u64,
    pub encode_us: u64,
    /// Kept so that frames do not allocate.
    payloads: Vec<Vec<u8>>,
}

impl Sender {
    /// A sender whose stream has this SSRC.
    pub fn new(table: Arc<CodedVideo>, ssrc: u32, offset: usize) -> Self {
        // Whole cycles, so that sizes stay with their temporal layers.
        let cycle = table.mode().structure().cycle.len();
        let size = table.size();
        let keys = SenderKeys::fresh(Agreement::default(), ssrc, 0).ok().and_then(|mut keys| {
            let sealer = keys.video(0).ok()?;
            Some((sealer, keys.grant().clone()))
        });
        let (sealer, grant) =
            keys.expect("the system has random numbers, and there are more key ids than streams");
        // Nothing is lost on the way to the relay, and nothing has to be paced.
        let config = VideoSenderConfig { path: None, history: 1, ..VideoSenderConfig::new(ssrc) };
        Self {
            planner: Planner::new(table.mode(), size),
            sender: VideoSender::without_encoder(config, Some(sealer)),
            ssrc,
            grant,
            offset: offset * cycle,
            since_key: 0,
            requests: 0,
            bytes: 0,
            encode_us: 0,
            payloads: Vec::new(),
            table,
        }
    }

    /// What a receiver has to know.
    pub fn parts(&self) -> SenderParts {
        SenderParts { ssrc: self.ssrc, grant: self.grant.clone() }
    }

    /// The relay asks for a refresh.
    pub fn request(&mut self, now: Time, refresh: Refresh) {
        self.requests = self.requests.wrapping_add(1);
        // Spatial layer 0 of independent layers is refreshed without the others.
        let is_key = refresh.contains(0) && !self.table.is_simulcast();
        let refresh = if is_key { Refresh::KEY } else { refresh };
        let message =
            RtcpMessage::refresh(refresh, self.table.top(), 1, self.ssrc, self.requests, PAYLOAD_TYPE);
        let mut packet = bytes::BytesMut::new();
        let Ok(()) = rtcp::write(&[message], &mut packet) else { unreachable!("the buffer grows") };
        self.sender.handle_feedback(now, &packet);
    }

    /// Codes the picture of now.
    pub fn capture(&mut self, now: Time, wanted: DecodeTargets) {
        let refresh = self.sender.next_refresh(now);
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        if plan.key {
            self.since_key = 0;
        }
        self.payloads.resize_with(plan.frames.len(), Vec::new);
        for (frame, payload) in plan.frames.iter().zip(&mut self.payloads) {
            let spatial_id = frame.layer.spatial_id;
            let bytes = match (plan.key, frame.temporal_ref.is_none()) {
                (true, _) => self.table.key_bytes(spatial_id),
                (false, true) => self.table.refresh_bytes(spatial_id),
                (false, false) => self.table.frame_bytes(spatial_id, self.offset + self.since_key - 1),
            };
            self.bytes += u64::from(bytes);
            self.encode_us += u64::from(self.table.encode_us(spatial_id));
            payload.clear();
            payload.resize((bytes as usize).max(Stamp::SIZE), 0);
            Stamp { picture: plan.picture_number, captured: now }.write(payload);
        }
        self.since_key += 1;
        let payloads = self.payloads.iter().map(|payload| &payload[..]);
        let Ok(()) = self.sender.handle_coded(now, &plan, payloads) else {
            unreachable!("the planner begins with a key picture, and its frames are there");
        };
    }

    /// The next packet that goes to the relay.
    pub fn poll(&mut self, now: Time) -> Option<Bytes> {
        loop {
            match self.sender.poll(now) {
                SenderOutput::Transmit(packet) if !rtcp::is_rtcp(&packet) => return Some(packet),
                // The relay makes reports of its own.
                SenderOutput::Transmit(_) => {}
                SenderOutput::Timeout(_) => return None,
                _ => {}
            }
        }
    }
}
