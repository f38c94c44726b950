//! Frames whose keys have not come yet.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;
use crate::rtp::ReceivedFrame;

/// Frames held at most: the layers of 28 pictures with nine frames in four.
const MAX_FRAMES: usize = 128;
/// Bytes of payload held at most.
const MAX_BYTES: usize = 2 << 20;

/// Holds frames that are sealed with a key of an epoch that has not begun here, in the order in which they came.
///
/// A sender goes over to a new epoch as soon as it has the commit, and the commit may reach a receiver after the first
/// frames.
#[derive(Debug)]
pub(super) struct HeldFrames {
    frames: VecDeque<(Time, ReceivedFrame)>,
    bytes: usize,
    patience: Duration,
}

fn size(frame: &ReceivedFrame) -> usize {
    frame.payload.len() + frame.pieces.iter().map(bytes::Bytes::len).sum::<usize>()
}

impl HeldFrames {
    /// Holds each frame for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, patience }
    }

    /// Holds a frame. Gives it back if there is no room.
    pub(super) fn insert(&mut self, now: Time, frame: ReceivedFrame) -> Result<(), ReceivedFrame> {
        let bytes = self.bytes + size(&frame);
        if self.frames.len() >= MAX_FRAMES || bytes > MAX_BYTES {
            return Err(frame);
        }
        self.bytes = bytes;
        self.frames.push_back((now + self.patience, frame));
        Ok(())
    }

    /// Takes the frames out whose keys are there, in the order in which they came.
    pub(super) fn take_known(&mut self, is_known: impl Fn(&ReceivedFrame) -> bool) -> Vec<ReceivedFrame> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.frames).into_iter().partition(|(_, frame)| is_known(frame));
        self.frames = unknown.into();
        self.bytes = self.frames.iter().map(|(_, frame)| size(frame)).sum();
        known.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Takes a frame out that has waited long enough.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<ReceivedFrame> {
        self.frames.front().filter(|(until, _)| *until <= now)?;
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= size(&frame);
        Some(frame)
    }

    /// Forgets all frames.
    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.bytes = 0;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Of frame numbers up to `settled`, below which nothing more comes, the one up to which nothing is held either.
    pub(super) fn settled(&self, settled: u16) -> u16 {
        let behind = |(_, frame): &(Time, ReceivedFrame)| {
            let behind = settled.wrapping_sub(frame.descriptor.frame_number);
            (behind < 1 << 15).then_some(behind)
        };
        settled.wrapping_sub(self.frames.iter().filter_map(behind).max().unwrap_or(0))
    }

    /// When the first of them has waited long enough.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.frames.front().map(|(until, _)| *until)
    }
}
