//! A sender: pictures at their times, as the frames that somebody wants.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::model::KEY_DISTANCE;
use super::video::CodedVideo;
use crate::Time;
use crate::structure::{DecodeTargets, LayerId, PictureRequest, Planner, Refresh};

/// One frame, as the relay gets it.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    /// Among all frames of the stream, from 0.
    pub number: u64,
    pub picture: u64,
    pub captured: Time,
    pub layer: LayerId,
    pub bytes: usize,
    pub depends_on: ArrayVec<u64, 2>,
    pub needed_by: DecodeTargets,
}

/// Codes pictures with the sizes and times of a [`CodedVideo`].
#[derive(Debug, Clone)]
pub(super) struct Sender {
    table: Arc<CodedVideo>,
    simulcast: bool,
    planner: Planner,
    /// Where in the table it starts, so that senders do not move in step.
    offset: usize,
    /// What was asked for since the last picture.
    refresh: Refresh,
    /// Number of the next picture, of the last key picture, and pictures since that.
    pictures: u64,
    last_key: Option<u64>,
    since_key: usize,
    pub frames: ArrayVec<Frame, 4>,
    /// All that was coded: bytes and time on one core.
    pub bytes: u64,
    pub encode_us: u64,
}

impl Sender {
    pub fn new(table: Arc<CodedVideo>, offset: usize) -> Self {
        // Whole cycles, so that sizes stay with their temporal layers.
        let cycle = table.mode().structure().cycle.len();
        let size = table.size();
        Self {
            simulcast: table.is_simulcast(),
            planner: Planner::new(table.mode(), size),
            offset: offset * cycle,
            refresh: Refresh::NONE,
            pictures: 0,
            last_key: None,
            since_key: 0,
            frames: ArrayVec::new(),
            bytes: 0,
            encode_us: 0,
            table,
        }
    }

    /// A receiver cannot go on, or start, without a frame of this spatial layer that refers to no earlier one.
    /// Of the lowest layer that is a key picture, unless the layers are encodings of their own.
    pub fn request(&mut self, spatial_id: u8) {
        let key = spatial_id == 0 && !self.simulcast;
        self.refresh = self.refresh.union(if key { Refresh::KEY } else { Refresh::layer(spatial_id) });
    }

    /// Codes the picture of now; the frames are in `frames`.
    pub fn capture(&mut self, now: Time, wanted: DecodeTargets) {
        self.frames.clear();
        let waits =
            self.refresh.is_key() && self.last_key.is_some_and(|last| self.pictures < last + KEY_DISTANCE);
        let refresh = if waits { Refresh::NONE } else { std::mem::take(&mut self.refresh) };
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        self.pictures += 1;
        if plan.key {
            self.last_key = Some(plan.picture_number);
            self.refresh = Refresh::NONE;
            self.since_key = 0;
        }
        for frame in plan.frames {
            let LayerId { spatial_id, .. } = frame.layer;
            let mut depends_on: ArrayVec<u64, 2> = frame.depends_on.iter().copied().collect();
            if self.simulcast && plan.key {
                // The encodings of a simulcast are streams of their own, each with its own key frame.
                depends_on.clear();
            }
            let fresh = frame.temporal_ref.is_none();
            let bytes = match (plan.key, fresh) {
                (true, _) => self.table.key_bytes(spatial_id),
                (false, true) => self.table.refresh_bytes(spatial_id),
                (false, false) => self.table.frame_bytes(spatial_id, self.offset + self.since_key - 1),
            };
            let needed_by = if self.simulcast {
                frame.needed_by.iter().filter(|target| target.spatial_id == spatial_id).collect()
            } else {
                frame.needed_by
            };
            self.bytes += u64::from(bytes);
            self.encode_us += u64::from(self.table.encode_us(spatial_id));
            self.frames.push(Frame {
                number: frame.frame_number,
                picture: plan.picture_number,
                captured: now,
                layer: frame.layer,
                bytes: bytes as usize,
                depends_on,
                needed_by,
            });
        }
        self.since_key += 1;
    }
}
