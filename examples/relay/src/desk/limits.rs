//! How often something may be done.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

/// A token bucket: so many at once, and so many a second on average.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub burst: f64,
    pub per_second: f64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    left: f64,
    since: Duration,
}

impl Bucket {
    pub fn new(rate: Rate) -> Self {
        Self { left: rate.burst, since: Duration::ZERO }
    }

    /// Whether there is one left, which is then taken.
    pub fn take(&mut self, rate: Rate, at: Duration) -> bool {
        let passed = at.saturating_sub(self.since).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.since = self.since.max(at);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }

    fn give_back(&mut self, rate: Rate) {
        self.left = (self.left + 1.0).min(rate.burst);
    }
}

/// A bucket for each of an unbounded number of keys, in bounded memory: keys that fall on the same place share it. Where a
/// key falls is secret.
#[derive(Debug)]
pub(super) struct Buckets {
    rate: Rate,
    hasher: RandomState,
    buckets: Vec<Bucket>,
}

const PLACES: usize = 8192;

impl Buckets {
    pub fn new(rate: Rate) -> Self {
        Self { rate, hasher: RandomState::new(), buckets: vec![Bucket::new(rate); PLACES] }
    }

    pub fn take(&mut self, key: impl Hash, at: Duration) -> bool {
        let place = self.place(key);
        self.buckets[place].take(self.rate, at)
    }

    pub fn give_back(&mut self, key: impl Hash) {
        let place = self.place(key);
        self.buckets[place].give_back(self.rate);
    }

    fn place(&self, key: impl Hash) -> usize {
        (self.hasher.hash_one(key) % PLACES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time() {
        let rate = Rate { burst: 2.0, per_second: 1.0 };
        let mut bucket = Bucket::new(rate);
        let at = Duration::from_secs(10);
        assert!(bucket.take(rate, at) && bucket.take(rate, at) && !bucket.take(rate, at));
        assert!(bucket.take(rate, at + Duration::from_secs(1)));
        // Time that runs back gives nothing.
        assert!(!bucket.take(rate, at));
        assert!(!bucket.take(rate, at + Duration::from_secs(1)));
    }
}
