//! One direction of a participant's path.

use std::time::Duration;

use layercast::Time;
use layercast::congestion::SendPathConfig;
use layercast::simulate::{Link, LinkConfig, Trace};

use crate::script::LinkSpec;

/// A link, whose properties may change while packets are on their way.
pub struct Path {
    link: Link,
    overhead: usize,
    /// When the last packet arrives. None overtakes another.
    arrival: Time,
}

impl Path {
    pub fn new(spec: &LinkSpec) -> Self {
        Self { link: link(spec), overhead: SendPathConfig::default().overhead, arrival: Time::ZERO }
    }

    /// What is in the queue of the link before still arrives.
    pub fn change(&mut self, spec: &LinkSpec) {
        self.link = link(spec);
    }

    /// Sends a packet. Returns when it arrives, or `None` if it is lost.
    pub fn send(&mut self, now: Time, bytes: usize) -> Option<Time> {
        let arrives = self.link.send(now, bytes + self.overhead)?.max(self.arrival);
        self.arrival = arrives;
        Some(arrives)
    }

    /// One way, through empty queues.
    pub fn delay(&self) -> Duration {
        self.link.delay()
    }

    /// Mean bit/s that it carries.
    pub fn capacity(&self, from: Time, to: Time) -> u64 {
        self.link.trace().bitrate(from, to)
    }
}

fn link(spec: &LinkSpec) -> Link {
    let bitrate = spec.kbps * 1000;
    let trace = match spec.lte_seed {
        Some(seed) => Trace::lte(seed, bitrate, Duration::from_secs(60)),
        None => Trace::constant(bitrate),
    };
    let mut config = LinkConfig::default();
    config.delay = Duration::from_millis(spec.delay_ms);
    (config.queue, config.loss) = (spec.queue_kb * 1000, spec.loss / 100.0);
    Link::new(trace, config)
}
