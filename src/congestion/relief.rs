//! Whether packets wait less than they did, though as much is sent: the path carries more than before.

use std::time::Duration;

use super::arrivals::BEGINS;
use crate::Time;

/// Packets that arrive within this time share a bucket.
const BUCKET: Duration = Duration::from_millis(125);
/// The last buckets, the newest of which still fills, are compared with the rest of so many.
const BUCKETS: usize = 16;
const RECENT: usize = 3;
/// So many packets at least make a mean of the last buckets, and of the rest.
const FEW: u32 = 5;
const ENOUGH: u32 = 20;
/// As much arrives as before if it is at least this share: frames differ.
const AS_MUCH: f64 = 0.7;
/// Packets wait less if it is at most this share of the earlier wait.
const LESS: f64 = 0.4;

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    packets: u32,
    bytes: usize,
    /// The sum of their delays, in µs.
    delay: i64,
}

/// The delays of the packets of the last two seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Relief {
    buckets: [Bucket; BUCKETS],
    newest: u64,
}

impl Relief {
    /// Takes a packet that was under way for so many µs, from one clock to the other.
    pub fn push(&mut self, arrived: Time, bytes: usize, delay: i64) {
        let number = (arrived.since_start().as_micros() / BUCKET.as_micros()) as u64;
        let passed = number.saturating_sub(self.newest).min(BUCKETS as u64);
        for back in 0..passed {
            self.buckets[((number - back) % BUCKETS as u64) as usize] = Bucket::default();
        }
        self.newest = self.newest.max(number);
        if self.newest - number < BUCKETS as u64 {
            let bucket = &mut self.buckets[(number % BUCKETS as u64) as usize];
            bucket.packets = bucket.packets.saturating_add(1);
            bucket.bytes = bucket.bytes.saturating_add(bytes);
            bucket.delay = bucket.delay.saturating_add(delay);
        }
    }

    /// Whether packets wait less of late. `lowest` is the delay, in µs, of the packet that waited least.
    pub fn is_there(&self, lowest: i64) -> bool {
        let (recent, before) = (self.sum(0..RECENT), self.sum(RECENT..BUCKETS));
        if recent.packets < FEW || before.packets < ENOUGH {
            return false;
        }
        let waits = |of: &Bucket| (of.delay / i64::from(of.packets)).saturating_sub(lowest) as f64;
        let before_waits = waits(&before);
        let as_much =
            recent.bytes as f64 / RECENT as f64 >= AS_MUCH * before.bytes as f64 / (BUCKETS - RECENT) as f64;
        as_much && before_waits >= BEGINS.as_micros() as f64 && waits(&recent) <= LESS * before_waits
    }

    /// The buckets of these ages together; 0 is the newest.
    fn sum(&self, ages: std::ops::Range<usize>) -> Bucket {
        let mut sum = Bucket::default();
        for age in ages {
            let at = self.newest.saturating_sub(age as u64) % BUCKETS as u64;
            let Bucket { packets, bytes, delay } = self.buckets[at as usize];
            sum.packets = sum.packets.saturating_add(packets);
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.delay = sum.delay.saturating_add(delay);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds of 40 packets a second, of which those from 1700 ms on take a delay of their own, and of a share of the
    /// earlier bytes.
    fn relief(before_ms: i64, after_ms: i64, bytes: usize) -> bool {
        let mut relief = Relief::default();
        for at in (0..2000).step_by(25) {
            let (delay, bytes) = if at < 1700 { (before_ms, 1000) } else { (after_ms, bytes) };
            relief.push(Time::from_millis(10_000 + at), bytes, 1000 * delay);
        }
        relief.is_there(40_000)
    }

    #[test]
    fn a_wait_that_ends_while_as_much_is_sent_is_found() {
        assert!(relief(60, 42, 1000));
        assert!(relief(60, 42, 800));
        assert!(!relief(60, 42, 400), "less is sent");
        assert!(!relief(60, 55, 1000), "they wait");
        assert!(!relief(45, 40, 1000), "they did not wait before");
        assert!(!Relief::default().is_there(0));
    }

    #[test]
    fn a_clock_that_goes_anywhere_is_survived() {
        let mut relief = Relief::default();
        for n in 0u64..5000 {
            let at = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % [3000, 1 << 50][(n % 2) as usize];
            relief.push(Time::from_millis(at), 1000, if n % 3 == 0 { i64::MIN } else { i64::MAX });
            relief.is_there(if n % 5 == 0 { i64::MAX } else { i64::MIN });
        }
    }
}
