//! The packets that arrived last, and how much the path carries by them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::Time;

/// `T`: the time that arriving bits are counted over.
const RATE_WINDOW: Duration = Duration::from_millis(500);
/// Over-use is measured by what arrives in this time.
const SHORT_RATE_WINDOW: Duration = Duration::from_millis(200);
/// If these are fewer packets than this, and they span half of the time, their rate is taken between arrivals.
const FEW_PACKETS: usize = 8;
/// If nothing has arrived for so long, the path has stopped. What it carries is measured from its return on.
const STOPPED: Duration = Duration::from_millis(100);
/// Such a measurement takes at least so long: the first packets may come all at once.
const LEAST: Duration = Duration::from_millis(50);
/// Packets that have waited for so long came from a queue, so that they arrived as fast as the path carries them. Behind a
/// pause of [`LEAST`] others do not count.
pub(super) const QUEUED: Duration = Duration::from_millis(40);
/// While the path is over-used, shorter waits are those of a queue that begins.
pub(super) const BEGINS: Duration = Duration::from_millis(10);
/// Packets that arrive within this time of each other came together: some links serve many at once, and then none.
const TOGETHER: Duration = Duration::from_millis(2);
/// Packets that are kept at most, so that a receiver whose clock stands still costs no memory.
pub(super) const MAX_ARRIVALS: usize = 8192;

#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Time,
    bytes: usize,
    waited: Duration,
}

/// The packets that arrived in the last half second.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals {
    packets: VecDeque<Arrival>,
    bytes: usize,
}

impl Arrivals {
    /// Takes a packet, and how long it has waited in queues.
    pub fn push(&mut self, at: Time, bytes: usize, waited: Duration) {
        self.packets.push_back(Arrival { at, bytes, waited });
        self.bytes += bytes;
        while let Some(first) = self.packets.front()
            && (first.at + RATE_WINDOW <= at || self.packets.len() > MAX_ARRIVALS)
        {
            self.bytes -= first.bytes;
            self.packets.pop_front();
        }
    }

    /// The number of packets that are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Bit/s that arrive. `full` says that the packets of a whole window have had the time to come.
    pub fn rate(&self, full: bool) -> Option<f64> {
        let (first, last) = (self.packets.front()?.at, self.packets.back()?.at);
        let least = if full { RATE_WINDOW } else { RATE_WINDOW / 2 };
        Some(per_second(self.bytes, (last - first).max(least)))
    }

    /// The same of late: over [`SHORT_RATE_WINDOW`], or since the path's return if it has stopped.
    pub fn latest_rate(&self) -> f64 {
        let Some(last) = self.packets.back().map(|last| last.at) else { return 0.0 };
        let mut next = last;
        let run = self.packets.iter().rev().take_while(|packet| {
            let goes_on = next - packet.at <= STOPPED;
            next = packet.at;
            goes_on
        });
        let (count, bytes, began) =
            run.fold((0, 0, last), |(count, bytes, _), packet| (count + 1, bytes + packet.bytes, packet.at));
        if count < self.packets.len() && last < began + SHORT_RATE_WINDOW {
            return per_second(bytes, (last - began).max(LEAST));
        }
        let latest = || self.packets.iter().rev().take_while(|packet| packet.at + SHORT_RATE_WINDOW > last);
        let first = latest().map(|packet| packet.at).min().unwrap_or(last);
        let few = latest().take(FEW_PACKETS).count() < FEW_PACKETS && last - first >= SHORT_RATE_WINDOW / 2;
        let (begin, over) = if few { (Some(first), last - first) } else { (None, SHORT_RATE_WINDOW) };
        let bytes = latest().filter(|packet| Some(packet.at) != begin).map(|packet| packet.bytes).sum();
        per_second(bytes, over)
    }

    /// Bit/s at which packets last came out of a queue in which they waited for so long at least, if enough of them did just now.
    pub fn drain_rate(&self, least: Duration) -> Option<f64> {
        let newest = self.packets.back()?.at;
        let is_queued = |packet: &&Arrival| packet.waited >= least;
        let mut queued =
            self.packets.iter().rev().skip_while(|packet| !is_queued(packet)).take_while(is_queued);
        let last = *queued.next()?;
        let (mut first, mut count, mut bytes, mut together) = (last.at, 1, last.bytes, last.bytes);
        for packet in queued {
            if packet.at + SHORT_RATE_WINDOW < last.at || first - packet.at > LEAST {
                break;
            }
            together = if first - packet.at < TOGETHER { together } else { 0 } + packet.bytes;
            (first, count, bytes) = (packet.at, count + 1, bytes + packet.bytes);
        }
        let enough = count >= FEW_PACKETS && last.at + STOPPED >= newest;
        // What came with the first packet had left the queue before.
        enough.then(|| per_second(bytes - together, (last.at - first).max(LEAST)))
    }
}

/// Bit/s.
fn per_second(bytes: usize, over: Duration) -> f64 {
    bytes as f64 * 8.0 / over.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    /// Packets of 1000 bytes, one each `step` ms, which have waited for `waited` ms.
    fn push(arrivals: &mut Arrivals, times: std::ops::Range<u64>, step: usize, waited: u64) {
        for at in times.step_by(step) {
            arrivals.push(ms(at), 1000, Duration::from_millis(waited));
        }
    }

    #[test]
    fn after_a_stop_the_rate_is_that_of_the_path_as_it_is_now() {
        let mut arrivals = Arrivals::default();
        // 800 kbit/s until 300 ms, then nothing, then a burst of what has waited.
        push(&mut arrivals, 0..300, 10, 0);
        assert!((arrivals.latest_rate() - 800e3).abs() < 50e3, "{}", arrivals.latest_rate());
        push(&mut arrivals, 600..680, 2, 300);
        assert!(arrivals.latest_rate() > 3.5e6, "{}", arrivals.latest_rate());
        // A few packets at once are no more than those few in 50 ms.
        let mut arrivals = Arrivals::default();
        push(&mut arrivals, 0..300, 10, 0);
        push(&mut arrivals, 600..605, 1, 300);
        assert_eq!(arrivals.latest_rate(), 5.0 * 8000.0 / 0.05);
    }

    #[test]
    fn packets_out_of_a_queue_tell_what_the_path_carries() {
        let mut arrivals = Arrivals::default();
        push(&mut arrivals, 0..100, 10, 0);
        assert_eq!(arrivals.drain_rate(QUEUED), None, "no queue");
        push(&mut arrivals, 100..200, 5, 80);
        let rate = arrivals.drain_rate(QUEUED).unwrap();
        assert!((rate - 1.6e6).abs() < 0.1e6, "{rate}");
        // A link that serves three packets each 40 ms carries 600 kbit/s.
        let mut bursts = Arrivals::default();
        (0..5).for_each(|n| (0..3).for_each(|_| bursts.push(ms(40 * n), 1000, Duration::from_millis(80))));
        assert_eq!(bursts.drain_rate(QUEUED), Some(600e3));
        // It is known for a short time after the queue has gone.
        push(&mut arrivals, 200..290, 10, 0);
        assert_eq!(arrivals.drain_rate(QUEUED), Some(rate));
        push(&mut arrivals, 290..400, 10, 0);
        assert_eq!(arrivals.drain_rate(QUEUED), None);
    }

    #[test]
    fn a_clock_that_goes_back_or_stands_is_survived() {
        let mut arrivals = Arrivals::default();
        for n in 0..20_000 {
            arrivals.push(ms(if n % 3 == 0 { 5 } else { 1000 - n % 900 }), 1000, Duration::from_millis(50));
            if n % 100 == 0 {
                let rates = [arrivals.rate(true).unwrap(), arrivals.latest_rate()];
                assert!(rates.iter().chain(&arrivals.drain_rate(QUEUED)).all(|rate| rate.is_finite()));
            }
        }
        assert!(arrivals.packets.len() <= MAX_ARRIVALS);
    }
}
