//! A path of a certain bitrate, delay and loss, for tests without the kernel's queues.

use std::time::{Duration, Instant};

use oorandom::Rand64;

/// What waits in front of the line at most; the rest is lost.
const QUEUE: Duration = Duration::from_millis(300);
/// Bytes of IP and UDP.
const HEADERS: usize = 28;

/// What a path does to datagrams. By default it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Path {
    /// kbit/s, with a queue of 300 ms in front; no limit if there is none.
    pub kbps: Option<u32>,
    /// From one end to the other, behind the queue.
    pub delay: Duration,
    /// Of a hundred datagrams, those that are lost at random.
    pub loss_percent: f64,
}

/// A path one way.
#[derive(Debug)]
pub struct Shaper {
    path: Path,
    random: Rand64,
    free_at: Option<Instant>,
}

impl Shaper {
    /// A path. Those of one seed lose the same datagrams.
    pub fn new(path: Path, seed: u64) -> Self {
        Self { path, random: Rand64::new(seed.into()), free_at: None }
    }

    /// Changes the bitrate. What waits leaves at the rate that it came at.
    pub fn set_kbps(&mut self, kbps: u32) {
        self.path.kbps = Some(kbps);
    }

    /// When a datagram that comes now is through. `None` if it is lost.
    pub fn pass(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let mut through = now;
        if let Some(kbps) = self.path.kbps {
            let start = self.free_at.map_or(now, |at| at.max(now));
            if start - now > QUEUE {
                return None;
            }
            let bits = (bytes + HEADERS) as u64 * 8;
            through = start + Duration::from_nanos(bits * 1_000_000 / u64::from(kbps.max(1)));
            self.free_at = Some(through);
        }
        // What is lost has taken its time of the line.
        let lost = self.path.loss_percent > 0.0 && self.random.rand_float() * 100.0 < self.path.loss_percent;
        (!lost).then_some(through + self.path.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kbps: u32) -> Path {
        Path { kbps: Some(kbps), ..Path::default() }
    }

    /// Of 2 Mbit/s for a second, the datagrams that a path carries: 8000 bits each.
    fn carried(line: &mut Shaper, start: Instant) -> usize {
        (0..250).filter(|n| line.pass(start + Duration::from_millis(4 * n), 972).is_some()).count()
    }

    #[test]
    fn a_line_carries_its_bitrate_and_loses_the_rest() {
        let (mut line, start) = (Shaper::new(of(400), 1), Instant::now());
        let through = carried(&mut line, start);
        assert!((62..=66).contains(&through), "{through} of 1000 bytes, of which 50 fit and 15 wait");
        line.set_kbps(800);
        let through = carried(&mut line, start + Duration::from_secs(1));
        assert!((99..=102).contains(&through), "{through}, of which 100 fit, and 15 that waited have left");
        assert_eq!(Shaper::new(Path::default(), 1).pass(start, 1000), Some(start));
    }

    #[test]
    fn a_path_delays_and_keeps_the_order() {
        let path = Path { delay: Duration::from_millis(40), ..of(8000) };
        let (mut line, start) = (Shaper::new(path, 1), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!([0, 0].map(|_| line.pass(start, 972)), [Some(at(41)), Some(at(42))]);
        line.set_kbps(16_000);
        assert_eq!(line.pass(start, 1972), Some(at(43)), "behind what waits");
        assert_eq!(line.pass(at(500), 1972), Some(at(541)));
    }

    #[test]
    fn a_path_loses_its_share_of_datagrams() {
        let path = Path { loss_percent: 2.0, ..Path::default() };
        let lost = |seed| {
            let (mut line, now) = (Shaper::new(path, seed), Instant::now());
            (0..10_000).filter(|_| line.pass(now, 1000).is_none()).collect::<Vec<_>>()
        };
        assert!((150..250).contains(&lost(1).len()), "{}", lost(1).len());
        assert_eq!(lost(1), lost(1));
        assert_ne!(lost(1), lost(2));
    }
}
