//! One receiver: its path, and the choice of what it gets.

use std::time::Duration;

use super::config::RoomConfig;
use super::downlink::{Downlink, Rtx};
use crate::Time;
use crate::congestion::{PathState, Probe};
use crate::select::{Cap, Decision, Network, Offer, Priority, ReceiverReport, Selector, StreamId, Window};

/// A path is probed for no more than this.
const MOST_WANTED: u64 = 50_000_000;

/// A video stream that the receiver has reported a window of.
#[derive(Debug)]
struct Shown {
    stream: StreamId,
    /// Its place in the room, and its slot on the path.
    place: usize,
    slot: usize,
    window: Window,
    /// Bit/s of the layer that fills the window.
    wanted: u64,
}

/// One receiver: its path, and the choice of what it gets.
#[derive(Debug)]
pub(super) struct Receiver {
    pub downlink: Downlink,
    selector: Selector,
    report: ReceiverReport,
    /// What the app limits.
    limits: Vec<(Option<StreamId>, Cap)>,
    /// Share of `total` that it may have, if the relay is overloaded.
    share: f32,
    total: u64,
    shown: Vec<Shown>,
    interval: Duration,
    /// Share of the path that the selector leaves free.
    headroom: f64,
    decide_at: Option<Time>,
    estimate: u64,
}

impl Receiver {
    pub fn new(config: &RoomConfig) -> Self {
        let has_send_time = config.send_time_id.is_some();
        Self {
            downlink: Downlink::new(config.path, config.transport_id, has_send_time),
            selector: Selector::new(config.selector),
            report: ReceiverReport::default(),
            limits: Vec::new(),
            share: 1.0,
            total: 0,
            shown: Vec::new(),
            interval: config.decide_interval,
            headroom: f64::from(config.selector.headroom.clamp(0.0, 0.9)),
            decide_at: None,
            estimate: config.path.start,
        }
    }

    pub fn set_report(&mut self, report: &ReceiverReport) {
        self.report = report.clone();
    }

    /// Whether the last report has a window of a stream.
    pub fn shows(&self, stream: StreamId) -> bool {
        self.report.windows.iter().any(|(id, _)| *id == stream)
    }

    pub fn set_cap(&mut self, stream: Option<StreamId>, cap: Cap) {
        self.limits.retain(|(limited, _)| *limited != stream);
        if cap != Cap::default() {
            self.limits.push((stream, cap));
        }
    }

    pub fn set_share(&mut self, now: Time, share: f32) {
        self.share = share;
        self.set_total_cap(now);
        self.decide_at = Some(now);
    }

    pub fn set_rtx(&mut self, place: usize, rtx: Option<Rtx>) {
        if let Some(slot) = self.downlink.slot_of(place) {
            self.downlink.set_rtx(slot, rtx);
        }
    }

    /// Takes the report anew. `lookup` gives the place of a stream, its layers, and whether its sender speaks. Returns the
    /// places of streams that had to make room, whose packets are not to be handed in any more.
    pub fn apply<'a>(
        &mut self,
        now: Time,
        config: &RoomConfig,
        lookup: impl Fn(StreamId) -> Option<(usize, Option<&'a Offer>, bool)>,
    ) -> Vec<usize> {
        let mut left = Vec::new();
        for shown in &mut self.shown {
            shown.window = Window::default();
        }
        let mut report = ReceiverReport { cpu: self.report.cpu.take(), ..ReceiverReport::default() };
        for index in 0..self.report.windows.len() {
            let (stream, mut window) = self.report.windows[index];
            let Some((place, offer, speaks)) = lookup(stream) else { continue };
            if speaks && window.priority == Priority::Thumbnail {
                window.priority = Priority::ActiveSpeaker;
            }
            let Some(shown) = self.show(config, stream, place, window, &mut left) else { continue };
            if let Some(offer) = offer {
                self.set_offer(now, shown, offer);
            }
            report.windows.push((stream, window));
            report.caps.push((Some(stream), self.cap(Some(stream))));
        }
        report.caps.push((None, self.total_cap()));
        self.selector.set_report(now, &report);
        self.decide_at = Some(now);
        left
    }

    /// The entry of a stream, which is made if the window can be seen and there is room.
    fn show(
        &mut self,
        config: &RoomConfig,
        stream: StreamId,
        place: usize,
        window: Window,
        left: &mut Vec<usize>,
    ) -> Option<usize> {
        let known = self.shown.iter().position(|shown| shown.stream == stream);
        let at = match known {
            Some(at) => at,
            None if !window.visible => return None,
            None => {
                if self.shown.len() >= config.max_windows {
                    let is_seen = |stream: StreamId| {
                        self.report.windows.iter().any(|(id, window)| *id == stream && window.visible)
                    };
                    let hidden = self.shown.iter().position(|shown| !is_seen(shown.stream))?;
                    let hidden = self.shown.swap_remove(hidden);
                    self.downlink.remove(hidden.slot);
                    self.selector.remove_stream(hidden.stream);
                    left.push(hidden.place);
                }
                let slot = self.downlink.add(place, Some(config.forwarder));
                self.shown.push(Shown { stream, place, slot, window, wanted: 0 });
                self.shown.len() - 1
            }
        };
        self.shown[at].window = window;
        Some(at)
    }

    fn set_offer(&mut self, now: Time, at: usize, offer: &Offer) {
        let shown = &mut self.shown[at];
        shown.wanted = fills(&shown.window, offer);
        self.selector.set_offer(now, shown.stream, offer);
    }

    /// Takes the layers of a stream as they were measured. `true` if the report named the stream before there was anything
    /// to choose from, so that it has to be applied anew.
    pub fn handle_offer(&mut self, now: Time, place: usize, offer: &Offer) -> bool {
        let Some(at) = self.shown.iter().position(|shown| shown.place == place) else { return false };
        self.set_offer(now, at, offer);
        let Shown { stream, window, .. } = &self.shown[at];
        window.visible && !self.selector.shows(*stream)
    }

    fn cap(&self, stream: Option<StreamId>) -> Cap {
        let of = |caps: &[(Option<StreamId>, Cap)]| {
            caps.iter().filter(|(of, _)| *of == stream).fold(Cap::default(), |all, (_, cap)| all.and(*cap))
        };
        of(&self.report.caps).and(of(&self.limits))
    }

    fn total_cap(&self) -> Cap {
        let share = (self.share < 1.0).then(|| (self.total as f64 * f64::from(self.share)) as u64);
        self.cap(None).and(Cap { max_bitrate: share, ..Cap::default() })
    }

    fn set_total_cap(&mut self, now: Time) {
        let cap = self.total_cap();
        self.selector.set_cap(now, None, cap);
    }

    /// Forgets a stream. Says whether the receiver had it.
    pub fn remove_stream(&mut self, now: Time, place: usize, stream: StreamId) -> bool {
        self.shown.retain(|shown| shown.place != place);
        self.selector.remove_stream(stream);
        self.limits.retain(|(limited, _)| *limited != Some(stream));
        let slot = self.downlink.slot_of(place);
        if let Some(slot) = slot {
            self.downlink.remove(slot);
            self.decide_at = Some(now);
        }
        slot.is_some()
    }

    /// The estimate has changed: if it fell, what is sent does not wait for the next decision.
    pub fn handle_bitrate(&mut self, now: Time) {
        let estimate = self.downlink.state(now).bitrate;
        if estimate < self.estimate {
            self.decide_at = Some(now);
        }
        self.estimate = estimate;
    }

    /// Whether a decision is due.
    pub fn is_due(&self, now: Time) -> bool {
        self.decide_at.is_some_and(|at| at <= now)
    }

    pub fn decide(&mut self, now: Time) {
        // Sound and messages have their share of the path first.
        let whole = self.downlink.whole_bitrate(now);
        let path = self.downlink.state(now);
        self.selector
            .set_network(now, network(PathState { bitrate: path.bitrate.saturating_sub(whole), ..path }));
        let wanted: u64 =
            self.shown.iter().filter(|shown| shown.window.visible).map(|shown| shown.wanted).sum();
        let wanted = (wanted as f64 / (1.0 - self.headroom)) as u64;
        self.downlink.set_wanted(wanted.saturating_add(whole).min(MOST_WANTED));
        let Decision { total_bitrate, probe, .. } = self.selector.decide(now);
        if self.share == 1.0 {
            self.total = *total_bitrate;
        }
        if let Some(probe) = *probe {
            let bitrate = probe.bitrate.saturating_add(whole);
            self.downlink.start_probe(now, Probe { bitrate, duration: probe.duration });
        }
        // Nobody waits for a decision while there is nothing to decide on.
        self.decide_at = (!self.shown.is_empty()).then_some(now + self.interval);
    }

    /// The last decision.
    pub fn decision(&self) -> &Decision {
        self.selector.decision()
    }

    /// When to poll again, but for the path.
    pub fn next_timeout(&self) -> Option<Time> {
        [self.decide_at, self.downlink.next_refresh()].into_iter().flatten().min()
    }
}

/// The state of a path, as selectors take it.
pub(crate) fn network(path: PathState) -> Network {
    let PathState { bitrate, round_trip, loss, queueing_delay } = path;
    Network { available_bitrate: Some(bitrate), round_trip, loss, queueing_delay }
}

/// Bit/s of the smallest layer that fills a window, or of the largest.
fn fills(window: &Window, offer: &Offer) -> u64 {
    if !window.visible {
        return 0;
    }
    let is_enough = |width: u32, height: u32| width >= window.size.width || height >= window.size.height;
    let highest = |spatial_id: u8| {
        let of_layer = offer.layers().iter().filter(|layer| layer.target.spatial_id == spatial_id);
        of_layer.map(|layer| layer.bitrate).max()
    };
    let enough = offer.layers().iter().filter(|layer| is_enough(layer.size.width, layer.size.height));
    let spatial_id = enough.map(|layer| layer.target.spatial_id).min();
    let largest = offer.layers().iter().map(|layer| layer.target.spatial_id).max();
    spatial_id.or(largest).and_then(highest).unwrap_or(0)
}
