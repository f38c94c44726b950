//! A receiver's window on one stream: decodes the frames that it can, shows pictures, and measures their
//! quality.

use std::collections::VecDeque;
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::model::{BLOCKED, FREEZE, GIVEN_UP, LATE, REQUEST_DISTANCE};
use super::outcome::WindowOutcome;
use super::sender::Frame;
use super::video::{AGES, CodedVideo};
use crate::Time;
use crate::select::Window;
use crate::structure::LayerId;

/// Which of the latest 128 frames of a stream something is true of.
#[derive(Debug, Clone, Default)]
struct Recent {
    /// Number of the frame after the newest.
    end: u64,
    /// Bit i is frame `end - 1 - i`.
    bits: u128,
}

impl Recent {
    fn insert(&mut self, number: u64) {
        if number >= self.end {
            self.bits = self.bits.checked_shl((number + 1 - self.end) as u32).unwrap_or(0);
            self.end = number + 1;
        }
        if self.end - 1 - number < 128 {
            self.bits |= 1 << (self.end - 1 - number);
        }
    }

    fn contains(&self, number: u64) -> bool {
        number < self.end && self.end - 1 - number < 128 && self.bits >> (self.end - 1 - number) & 1 != 0
    }
}

#[derive(Debug, Clone)]
struct Pending {
    number: u64,
    picture: u64,
    captured: Time,
    layer: LayerId,
    depends_on: ArrayVec<u64, 2>,
    missing: usize,
    /// When its last packet arrived.
    complete: Option<Time>,
    /// When its first packet arrived.
    begun: Option<Time>,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    picture: u64,
    spatial_id: u8,
    at: Time,
}

/// One stream at one receiver.
#[derive(Debug, Clone)]
pub(super) struct StreamReceiver {
    video: Arc<CodedVideo>,
    pending: VecDeque<Pending>,
    decoded: Recent,
    window: Window,
    shown: Option<Shown>,
    /// When the window became visible or hidden, and up to when all is counted.
    opened: Time,
    counted: Time,
    paused: bool,
    temporal_id: u8,
    requested: Option<Time>,
    /// Milliseconds from capture to screen of each picture shown.
    pub delays: Vec<u16>,
    pub seen: WindowOutcome,
}

impl StreamReceiver {
    pub fn new(video: Arc<CodedVideo>) -> Self {
        Self {
            video,
            pending: VecDeque::new(),
            decoded: Recent::default(),
            window: Window::default(),
            shown: None,
            opened: Time::ZERO,
            counted: Time::ZERO,
            paused: true,
            temporal_id: 0,
            requested: None,
            delays: Vec::new(),
            seen: WindowOutcome::default(),
        }
    }

    pub fn set_window(&mut self, now: Time, window: Window) {
        self.count(now);
        if window.visible != self.window.visible {
            self.end_gap(now);
            self.mark(now, None);
            self.shown = None;
            self.opened = now;
        }
        self.window = window;
    }

    /// Takes the decode target that the relay forwards from now on.
    pub fn set_target(&mut self, now: Time, target: Option<LayerId>) {
        self.count(now);
        self.paused = target.is_none();
        if let Some(target) = target {
            self.temporal_id = target.temporal_id;
        }
    }

    /// Expects a frame, which is on its way in a number of packets.
    pub fn expect(&mut self, frame: &Frame, packets: usize) {
        self.pending.push_back(Pending {
            number: frame.plan.frame_number,
            picture: frame.picture,
            captured: frame.captured,
            layer: frame.plan.layer,
            depends_on: frame.plan.depends_on.iter().copied().collect(),
            missing: packets,
            complete: None,
            begun: None,
        });
    }

    /// A packet of a frame arrived, each of them once.
    pub fn packet(&mut self, now: Time, number: u64) {
        let Ok(at) = self.pending.binary_search_by_key(&number, |frame| frame.number) else { return };
        let frame = &mut self.pending[at];
        frame.begun.get_or_insert(now);
        frame.missing = frame.missing.saturating_sub(1);
        if frame.missing == 0 {
            frame.complete = Some(now);
            self.decode(now, at);
        }
    }

    /// Decodes the frames that it can, from one on.
    fn decode(&mut self, now: Time, from: usize) {
        let mut at = from;
        while let Some(frame) = self.pending.get(at) {
            if frame.complete.is_some() && frame.depends_on.iter().all(|&n| self.decoded.contains(n)) {
                let Pending { number, picture, captured, layer, .. } = *frame;
                self.decoded.insert(number);
                self.pending.remove(at);
                if layer.temporal_id == 0 {
                    // Frames that still wait before it in its layer come too late.
                    self.pending
                        .retain(|old| old.layer.spatial_id != layer.spatial_id || old.number > number);
                    at = self.pending.partition_point(|frame| frame.number < number);
                }
                self.show(now, picture, layer.spatial_id, captured);
            } else {
                at += 1;
            }
        }
    }

    fn show(&mut self, now: Time, picture: u64, spatial_id: u8, captured: Time) {
        if !self.window.visible || now - captured > LATE {
            return;
        }
        match &mut self.shown {
            Some(shown) if shown.picture > picture => return,
            // A larger picture of the same time takes the smaller one's place before anybody has seen it.
            Some(shown) if shown.picture == picture => {
                shown.spatial_id = shown.spatial_id.max(spatial_id);
                return;
            }
            _ => {}
        }
        self.count(now);
        self.end_gap(now);
        if let Some(shown) = self.shown {
            self.mark(shown.at, Some(shown.spatial_id));
        }
        self.shown = Some(Shown { picture, spatial_id, at: now });
        self.seen.pictures += 1;
        self.delays.push((now - captured).as_millis() as u16);
    }

    /// Notes that the window began to show a layer, or nothing, at a time.
    fn mark(&mut self, at: Time, spatial_id: Option<u8>) {
        let layer = spatial_id.map(|spatial_id| LayerId::new(spatial_id, self.temporal_id));
        let last = self.seen.layers.last().and_then(|(_, layer)| *layer);
        if layer != last {
            let changed = last.is_some_and(|last| spatial_id.is_some_and(|s| s != last.spatial_id));
            self.seen.switches += u64::from(changed);
            self.seen.layers.push((at, layer));
        }
    }

    fn end_gap(&mut self, now: Time) {
        let from = self.shown.map_or(self.opened, |shown| shown.at);
        if self.window.visible && now - from > FREEZE {
            self.seen.stalled += now - from;
            self.seen.freezes.push((from, now));
        }
    }

    /// Counts the time until now.
    fn count(&mut self, now: Time) {
        let from = std::mem::replace(&mut self.counted, now);
        if !self.window.visible || now <= from {
            return;
        }
        let passed = (now - from).as_secs_f64();
        let area = self.window.size.samples() as f64 / 1e6;
        self.seen.visible += now - from;
        self.seen.visible_area += area * passed;
        if self.paused {
            self.seen.paused += now - from;
        }
        let Some(shown) = self.shown else { return };
        let ssim = self.video.ssim(shown.spatial_id, self.window.size.height);
        let picture = 1.0 / f64::from(self.video.frame_rate());
        let (start, end) = ((from - shown.at).as_secs_f64(), (now - shown.at).as_secs_f64());
        for (age, &ssim) in ssim.iter().enumerate().take(AGES) {
            let (begins, ends) = (age as f64 * picture, (age + 1) as f64 * picture);
            let over = end.min(ends) - start.max(begins);
            if over > 0.0 {
                self.seen.live += over;
                self.seen.ssim += over * f64::from(ssim);
                self.seen.ssim_area += over * f64::from(ssim) * area;
            }
        }
    }

    /// The spatial layer to request because frames wait in vain, if any.
    pub fn blocked(&mut self, now: Time) -> Option<u8> {
        while self.pending.front().is_some_and(|frame| frame.captured + GIVEN_UP < now) {
            self.pending.pop_front();
        }
        if self.requested.is_some_and(|at| now < at + REQUEST_DISTANCE) {
            return None;
        }
        let waits = |frame: &&Pending| {
            frame.layer.temporal_id == 0 && frame.begun.is_some_and(|begun| begun + BLOCKED < now)
        };
        let spatial_id = self.pending.iter().filter(waits).map(|frame| frame.layer.spatial_id).min()?;
        self.requested = Some(now);
        Some(spatial_id)
    }

    /// Counts all until the end of the call.
    pub fn finish(&mut self, now: Time) {
        self.count(now);
        self.end_gap(now);
        if let Some(shown) = self.shown {
            self.mark(shown.at, Some(shown.spatial_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Size;
    use crate::select::Priority;
    use crate::simulate::sender::Sender;
    use crate::structure::{DecodeTargets, Refresh};

    const MS: Duration = Duration::from_millis(1);

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    struct Shower {
        sender: Sender,
        receiver: StreamReceiver,
    }

    impl Shower {
        fn new() -> Self {
            let video = Arc::new(CodedVideo::scene());
            let mut receiver = StreamReceiver::new(video.clone());
            receiver.set_target(Time::ZERO, Some(video.top()));
            let window = Window::new(Size::new(1280, 720), Priority::Thumbnail);
            receiver.set_window(Time::ZERO, window);
            Self { sender: Sender::new(video, 0), receiver }
        }

        /// Picture `n`, 33 ms each, of which the spatial layers up to `layers` arrive.
        fn picture(&mut self, n: u32, layers: usize) {
            let now = ms(33 * u64::from(n));
            self.sender.capture(now, DecodeTargets::all(CodedVideo::scene().mode().structure()));
            for (s, frame) in self.sender.frames.clone().iter().enumerate() {
                self.receiver.expect(frame, 1);
                if s < layers {
                    self.receiver.packet(now + 20 * MS, frame.plan.frame_number);
                }
            }
        }
    }

    #[test]
    fn all_layers_in_time_are_the_best_there_is() {
        let mut all = Shower::new();
        (0..60).for_each(|n| all.picture(n, 3));
        all.receiver.finish(ms(60 * 33));
        let seen = &all.receiver.seen;
        assert_eq!((seen.pictures, seen.switches, seen.freezes.len()), (60, 0, 0));
        assert_eq!(seen.visible, 60 * 33 * MS);
        let ssim = CodedVideo::scene().ssim(2, 720)[0];
        assert!((seen.ssim / seen.live - f64::from(ssim)).abs() < 1e-3);
        assert!(all.receiver.delays.iter().all(|&delay| delay == 20));
    }

    #[test]
    fn a_lost_layer_is_not_shown_until_it_is_refreshed() {
        let mut all = Shower::new();
        (0..40).for_each(|n| {
            if n == 24 {
                all.sender.request(Refresh::layer(2));
            }
            // Picture 12 is of temporal layer 0.
            all.picture(n, if n == 12 { 2 } else { 3 });
        });
        assert_eq!(all.receiver.blocked(ms(40 * 33)), None, "it was refreshed");
        all.receiver.finish(ms(40 * 33));
        let layers: Vec<_> =
            all.receiver.seen.layers.iter().map(|(at, l)| (*at, l.unwrap().spatial_id)).collect();
        assert_eq!(layers, [(ms(20), 2), (ms(416), 1), (ms(812), 2)]);
        assert_eq!(all.receiver.seen.switches, 2);
    }

    #[test]
    fn a_gap_is_a_freeze_and_a_late_picture_does_not_end_it() {
        let mut all = Shower::new();
        (0..10).for_each(|n| all.picture(n, 3));
        (10..30).for_each(|n| all.picture(n, 0));
        let number = all.receiver.pending[0].number;
        // All of picture 10, 600 ms late.
        (0..3).for_each(|s| all.receiver.packet(ms(930), number + s));
        all.sender.request(Refresh::KEY);
        (30..40).for_each(|n| all.picture(n, 3));
        all.receiver.finish(ms(40 * 33));
        let seen = &all.receiver.seen;
        assert_eq!(seen.freezes, [(ms(9 * 33 + 20), ms(30 * 33 + 20))]);
        assert_eq!(seen.stalled, 21 * 33 * MS);
        assert!(seen.live < seen.visible.as_secs_f64() - 0.25);
    }

    #[test]
    fn a_frame_that_waits_in_vain_is_asked_for() {
        let mut all = Shower::new();
        (0..4).for_each(|n| all.picture(n, 3));
        all.picture(4, 1);
        (5..20).for_each(|n| all.picture(n, 3));
        assert_eq!(all.receiver.blocked(ms(700)), Some(1), "the lowest layer that waits");
        assert_eq!(all.receiver.blocked(ms(740)), None, "asked already");
    }

    #[test]
    fn the_latest_frames_are_remembered() {
        let mut recent = Recent::default();
        for number in [0, 3, 2, 130] {
            recent.insert(number);
        }
        let held: Vec<u64> = (0..200).filter(|&number| recent.contains(number)).collect();
        assert_eq!(held, [3, 130], "frames before the latest 128 are forgotten");
    }
}
