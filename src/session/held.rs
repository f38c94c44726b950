//! Frames and packets whose keys have not come yet.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::Time;
use crate::e2ee::{Header, KeyRing, KeySource};
use crate::rtp::ReceivedFrame;

/// Frames held at most: the layers of 28 pictures with nine frames in four, or 2.5 s of audio.
const MAX_FRAMES: usize = 128;
/// Bytes of payload held at most.
const MAX_BYTES: usize = 2 << 20;

/// Holds frames that are sealed with a key of an epoch that has not begun here, in the order in which they came.
///
/// A sender goes over to a new epoch as soon as it has the commit, and the commit may reach a receiver after the first
/// frames.
#[derive(Debug)]
pub(super) struct HeldFrames<F = ReceivedFrame> {
    frames: VecDeque<(Time, F)>,
    bytes: usize,
    patience: Duration,
}

/// What can be held: a frame of video, or a packet that was sealed on its own.
pub(super) trait Hold {
    /// Bytes that it keeps.
    fn size(&self) -> usize;
}

impl Hold for ReceivedFrame {
    fn size(&self) -> usize {
        self.payload.len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }
}

impl Hold for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

impl<F: Hold> HeldFrames<F> {
    /// Holds each frame for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, patience }
    }

    /// Holds a frame. Gives it back if there is no room.
    pub(super) fn insert(&mut self, now: Time, frame: F) -> Option<F> {
        let bytes = self.bytes + frame.size();
        if self.frames.len() >= MAX_FRAMES || bytes > MAX_BYTES {
            return Some(frame);
        }
        self.bytes = bytes;
        self.frames.push_back((now + self.patience, frame));
        None
    }

    /// Takes the frames out whose keys are there, in the order in which they came.
    pub(super) fn take_known(&mut self, is_known: impl Fn(&F) -> bool) -> Vec<F> {
        let (known, unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.frames).into_iter().partition(|(_, frame)| is_known(frame));
        self.frames = unknown.into();
        self.bytes = self.frames.iter().map(|(_, frame)| frame.size()).sum();
        known.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Takes a frame out that has waited long enough.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<F> {
        self.frames.front().filter(|(until, _)| *until <= now)?;
        let (_, frame) = self.frames.pop_front()?;
        self.bytes -= frame.size();
        Some(frame)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// When the first of them has waited long enough.
    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.frames.front().map(|(until, _)| *until)
    }
}

impl HeldFrames {
    /// Of frame numbers up to `settled`, below which nothing more comes, the one up to which nothing is held either.
    pub(super) fn settled(&self, settled: u16) -> u16 {
        let behind = |(_, frame): &(Time, ReceivedFrame)| {
            let behind = settled.wrapping_sub(frame.descriptor.frame_number);
            (behind < 1 << 15).then_some(behind)
        };
        settled.wrapping_sub(self.frames.iter().filter_map(behind).max().unwrap_or(0))
    }
}

/// Whether the key of an SFrame is there, or will not come. Bytes that are no SFrame need none.
pub(super) fn is_known(now: Time, keys: &KeyRing, sframe: &[u8]) -> bool {
    let is_known = |key_id| keys.epoch(now, key_id).is_some() || keys.is_for_insiders(now, key_id);
    Header::read(sframe).is_none_or(|header| is_known(header.key_id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Size;
    use crate::rtp::{DependencyStructure, Describer};
    use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode::L1T1};

    fn frame(size: usize) -> ReceivedFrame {
        let wanted = DecodeTargets::all(L1T1.structure());
        let plan =
            Planner::new(L1T1, Size::new(64, 64)).next(PictureRequest { wanted, ..Default::default() });
        let descriptor = Describer::new().describe(&plan).unwrap().remove(0);
        let structure = Arc::new(DependencyStructure::of_mode(L1T1, Size::new(64, 64)));
        ReceivedFrame {
            dependencies: descriptor.dependencies(&structure).unwrap(),
            descriptor,
            structure,
            payload: Bytes::from(vec![0; size]),
            pieces: vec![],
            timestamp: 0,
            marker: true,
        }
    }

    #[test]
    fn frames_that_wait_for_keys_have_their_limits() {
        let (now, patience) = (Time::ZERO, Duration::from_secs(2));
        let fill = |size: usize| {
            let mut held = HeldFrames::new(patience);
            let taken = (0..MAX_FRAMES + 1).take_while(|_| held.insert(now, frame(size)).is_none()).count();
            (held, taken)
        };
        assert_eq!(fill(10).1, MAX_FRAMES);
        let (mut held, taken) = fill(1 << 20);
        assert_eq!((taken, held.bytes), (2, MAX_BYTES));
        assert_eq!(held.next_timeout(), Some(now + patience));
        assert!(held.pop_expired(Time::from_millis(1999)).is_none());
        assert!(held.pop_expired(now + patience).is_some() && held.bytes == 1 << 20);
        assert_eq!(held.take_known(|_| true).len(), 1);
        assert_eq!((held.len(), held.bytes), (0, 0));
    }
}
