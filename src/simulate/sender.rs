//! A sender: pictures at their times, as the frames that somebody wants.

use std::sync::Arc;

use arrayvec::ArrayVec;

use super::model::KEY_DISTANCE;
use super::video::CodedVideo;
use crate::Time;
use crate::rtp::descriptor::{DependencyDescriptor, Describer};
use crate::structure::{DecodeTargets, FramePlan, PictureRequest, Planner, Refresh};

/// One frame on its way to the relay.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub plan: FramePlan,
    pub descriptor: DependencyDescriptor,
    pub picture: u64,
    pub captured: Time,
    pub bytes: usize,
}

/// Codes pictures with the sizes and times of a [`CodedVideo`].
#[derive(Debug, Clone)]
pub(super) struct Sender {
    table: Arc<CodedVideo>,
    planner: Planner,
    describer: Describer,
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
            planner: Planner::new(table.mode(), size),
            describer: Describer::new(),
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

    /// The relay or a receiver asks for a refresh. A key picture of the `L` modes comes no sooner than
    /// [`KEY_DISTANCE`] after the last one.
    pub fn request(&mut self, refresh: Refresh) {
        let is_key = refresh.contains(0) && !self.table.is_simulcast();
        self.refresh = self.refresh.union(if is_key { Refresh::KEY } else { refresh });
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
        let Ok(descriptors) = self.describer.describe(&plan) else {
            unreachable!("the planner begins with a key picture");
        };
        for (frame, descriptor) in plan.frames.into_iter().zip(descriptors) {
            let spatial_id = frame.layer.spatial_id;
            let bytes = match (plan.key, frame.temporal_ref.is_none()) {
                (true, _) => self.table.key_bytes(spatial_id),
                (false, true) => self.table.refresh_bytes(spatial_id),
                (false, false) => self.table.frame_bytes(spatial_id, self.offset + self.since_key - 1),
            };
            self.bytes += u64::from(bytes);
            self.encode_us += u64::from(self.table.encode_us(spatial_id));
            self.frames.push(Frame {
                plan: frame,
                descriptor,
                picture: plan.picture_number,
                captured: now,
                bytes: bytes as usize,
            });
        }
        self.since_key += 1;
    }
}
