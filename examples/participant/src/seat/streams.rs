//! The media of the seat: what is sent and received over the link.

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::{OpenError, SenderKeys};
use layercast::select::DemandMessage;
use layercast_attend::Media;
use layercast_attend::circle::Circle;
use layercast_attend::media::Failure;
use layercast_meeting::{Published, Stream};

use super::downlink::Downlink;
use super::uplink::Uplink;

/// Both ways.
pub struct Streams {
    pub(super) uplink: Uplink,
    pub(super) downlink: Downlink,
    /// Microseconds since 1970 at the time 0.
    unix: u64,
}

impl Streams {
    /// Nothing yet. Coding a picture may take so long.
    pub(super) fn new(unix: u64, coding: Option<Duration>) -> Self {
        Self { uplink: Uplink::new(coding), downlink: Downlink::default(), unix }
    }
}

impl Media for Streams {
    const REFRESHES_LAYERS: bool = true;

    fn send(
        &mut self,
        place: usize,
        published: Published,
        track: u16,
        keys: &mut SenderKeys,
    ) -> Result<(), Failure> {
        self.uplink.publish(place, published, track, keys)
    }

    fn rekey(&mut self, place: usize, track: u16, keys: &mut SenderKeys) -> Result<(), Failure> {
        self.uplink.rekey(place, track, keys)
    }

    fn stop(&mut self, place: usize) {
        self.uplink.stop(place);
    }

    fn stop_all(&mut self) {
        self.uplink.reset();
    }

    fn demand(&mut self, place: usize, message: &DemandMessage) {
        self.uplink.handle_demand(place, message);
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.downlink.feeds().map(|feed| &feed.stream)
    }

    fn receive(&mut self, now: Time, stream: Stream, circle: &Circle) -> Result<(), Failure> {
        Ok(self.downlink.publish(now, stream, circle)?)
    }

    fn end(&mut self, now: Time, stream: u32) {
        self.downlink.unpublish(now, stream);
    }

    fn end_all(&mut self, now: Time) {
        self.downlink.reset(now);
    }

    fn enter(&mut self, now: Time, circle: &Circle) {
        self.downlink.enter(now, circle);
    }

    fn forget(&mut self, now: Time) {
        self.downlink.forget(now);
    }

    fn closed(&self, now: Time) -> Vec<(Stream, Duration, OpenError)> {
        let closed = self.downlink.feeds().filter_map(|feed| {
            let (since, error) = feed.account.closed_since()?;
            Some((feed.stream, now - since, error))
        });
        closed.collect()
    }

    fn clocks(&self) -> Vec<(u32, u32, Time)> {
        self.uplink.clocks().collect()
    }

    fn set_clock(&mut self, stream: u32, timestamp: u32, at: u64) {
        if let Some(feed) = self.downlink.feed_mut(stream) {
            feed.account.set_clock(timestamp, at, self.unix);
        }
    }

    fn withhold(&mut self, now: Time, stream: u32, withheld: bool) {
        self.downlink.withhold(now, stream, withheld);
    }

    fn set_watched(&mut self, stream: u32, watched: bool) {
        if let Some(feed) = self.downlink.feed_mut(stream) {
            feed.account.set_watched(watched);
        }
    }
}
