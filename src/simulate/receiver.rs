//! A receiver's window on one stream: the product's receiver, and what a viewer sees of it.

use std::sync::Arc;

use bytes::Bytes;

use super::model::{FREEZE, LATE};
use super::outcome::WindowOutcome;
use super::sender::{SenderParts, Stamp};
use super::video::{AGES, CodedVideo};
use crate::Time;
use crate::e2ee::{Agreement, KeyRing, VideoOpener};
use crate::rtp::DecodableUnit;
use crate::select::Window;
use crate::session::{ReceiverOutput, VideoReceiver, VideoReceiverConfig};
use crate::structure::LayerId;

/// One stream at one receiver.
#[derive(Debug)]
pub(super) struct WindowReceiver {
    receiver: VideoReceiver,
    pub screen: Screen,
    /// When to poll again.
    pub timeout: Option<Time>,
}

impl WindowReceiver {
    pub fn new(video: Arc<CodedVideo>, parts: &SenderParts) -> Self {
        let SenderParts { ssrc, grant } = parts;
        let config = VideoReceiverConfig {
            // All windows of a receiver share a path.
            transport_id: None,
            ..VideoReceiverConfig::new(*ssrc, video.top())
        };
        let agreement = Agreement::default();
        let mut keys = KeyRing::new(agreement, Default::default());
        keys.add(Time::ZERO, grant.clone());
        let opener = VideoOpener::new(agreement, *ssrc, 0);
        Self {
            receiver: VideoReceiver::without_decoder(config, Some((opener, keys))),
            screen: Screen::new(video),
            timeout: None,
        }
    }

    /// The relay tells that the receiver gets another decode target, or nothing.
    pub fn set_target(&mut self, now: Time, target: Option<LayerId>) {
        if let Some(target) = target {
            self.receiver.set_target(target);
        }
        self.screen.set_target(now, target);
    }

    /// A packet arrived.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
        self.receiver.handle_packet(now, packet);
    }

    /// Shows what there is to show, and gives out the packets for the relay.
    pub fn poll(&mut self, now: Time) -> Option<Bytes> {
        loop {
            match self.receiver.poll(now) {
                ReceiverOutput::Transmit(packet) => return Some(packet),
                ReceiverOutput::Unit(unit) => self.screen.show(now, &unit),
                ReceiverOutput::Timeout(timeout) => {
                    self.timeout = timeout;
                    return None;
                }
                _ => {}
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    picture: u64,
    spatial_id: u8,
    at: Time,
}

/// What the viewer of a window sees.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    video: Arc<CodedVideo>,
    window: Window,
    shown: Option<Shown>,
    /// When the window became visible or hidden, and up to when all is counted.
    opened: Time,
    counted: Time,
    paused: bool,
    temporal_id: u8,
    /// Milliseconds from capture to screen of each picture shown.
    pub delays: Vec<u16>,
    pub seen: WindowOutcome,
}

impl Screen {
    fn new(video: Arc<CodedVideo>) -> Self {
        Self {
            video,
            window: Window::default(),
            shown: None,
            opened: Time::ZERO,
            counted: Time::ZERO,
            paused: true,
            temporal_id: 0,
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

    /// Takes the decode target that comes from now on.
    fn set_target(&mut self, now: Time, target: Option<LayerId>) {
        self.count(now);
        self.paused = target.is_none();
        if let Some(target) = target {
            self.temporal_id = target.temporal_id;
        }
    }

    fn show(&mut self, now: Time, unit: &DecodableUnit) {
        let Some(top) = unit.frames.last() else { return };
        let Some(Stamp { picture, captured }) = Stamp::read(&top.payload) else { return };
        let spatial_id = top.layer.spatial_id;
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
    use crate::rtp::rtcp::{self, RtcpMessage};
    use crate::select::Priority;
    use crate::simulate::sender::Sender;
    use crate::structure::{DecodeTargets, ScalabilityMode};

    const MS: Duration = Duration::from_millis(1);

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    struct Shower {
        sender: Sender,
        receiver: WindowReceiver,
        /// Besides reports.
        asked: Vec<RtcpMessage>,
    }

    impl Shower {
        fn new() -> Self {
            let video = Arc::new(CodedVideo::scene());
            let sender = Sender::new(video.clone(), 1, 0);
            let mut receiver = WindowReceiver::new(video.clone(), &sender.parts());
            receiver.set_target(Time::ZERO, Some(video.top()));
            let window = Window::new(Size::new(1280, 720), Priority::Thumbnail);
            receiver.screen.set_window(Time::ZERO, window);
            Self { sender, receiver, asked: vec![] }
        }

        /// Picture `n`, 33 ms each, arrives after 20 ms.
        fn picture(&mut self, n: u64) {
            let now = ms(33 * n);
            self.sender.capture(now, DecodeTargets::all(ScalabilityMode::L3T3.structure()));
            let now = now + 20 * MS;
            while let Some(packet) = self.sender.poll(now) {
                self.receiver.handle_packet(now, packet);
                self.poll(now);
            }
        }

        fn poll(&mut self, now: Time) {
            while let Some(packet) = self.receiver.poll(now) {
                let messages = rtcp::read(&packet).map(|message| message.unwrap());
                self.asked.extend(
                    messages.filter(|message| !matches!(message, RtcpMessage::ReceiverReport { .. })),
                );
            }
        }
    }

    #[test]
    fn all_layers_in_time_are_the_best_there_is() {
        let mut all = Shower::new();
        (0..60).for_each(|n| all.picture(n));
        all.receiver.screen.finish(ms(60 * 33));
        let seen = &all.receiver.screen.seen;
        assert_eq!((seen.pictures, seen.switches, seen.freezes.len()), (60, 0, 0));
        assert_eq!(seen.visible, 60 * 33 * MS);
        let ssim = CodedVideo::scene().ssim(2, 720)[0];
        assert!((seen.ssim / seen.live - f64::from(ssim)).abs() < 1e-3);
        assert!(all.receiver.screen.delays.iter().all(|&delay| delay == 20));
        assert!(all.asked.is_empty());
    }

    #[test]
    fn a_gap_is_a_freeze() {
        let mut all = Shower::new();
        (0..10).for_each(|n| all.picture(n));
        // The sender pauses for 20 pictures.
        (30..40).for_each(|n| all.picture(n));
        all.receiver.screen.finish(ms(40 * 33));
        let seen = &all.receiver.screen.seen;
        assert_eq!(seen.freezes, [(ms(9 * 33 + 20), ms(30 * 33 + 20))]);
        assert_eq!(seen.stalled, 21 * 33 * MS);
        assert!(seen.live < seen.visible.as_secs_f64() - 0.25);
    }

    #[test]
    fn a_smaller_picture_is_a_switch() {
        let mut all = Shower::new();
        (0..10).for_each(|n| all.picture(n));
        all.receiver.set_target(ms(330), Some(LayerId::new(0, 2)));
        (10..20).for_each(|n| all.picture(n));
        all.receiver.screen.finish(ms(20 * 33));
        let layers = &all.receiver.screen.seen.layers;
        let layers: Vec<_> = layers.iter().map(|(at, layer)| (*at, layer.unwrap().spatial_id)).collect();
        assert_eq!(layers, [(ms(20), 2), (ms(350), 0)]);
    }
}
