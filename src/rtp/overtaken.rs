//! Whether packets that are missing come by themselves.

use std::time::Duration;

/// A missing packet counts for this share of the mean.
const WEIGHT: f32 = 1.0 / 16.0;
/// If fewer come by themselves than this share, each of them may be asked for.
const FEW: f32 = 0.25;
/// Packets overtake each other by so much on most paths, such as where they are spread over queues.
const AT_ONCE: Duration = Duration::from_millis(2);

/// Learns how many of the missing packets have only been overtaken by others, and come while a request for them waits.
///
/// A request that waits spares the sender those. It costs the others the time of the wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Overtaken {
    /// Of the packets that were missing and came.
    share: f32,
}

impl Overtaken {
    /// All of them may be, until some were lost.
    pub(crate) fn new() -> Self {
        Self { share: 1.0 }
    }

    /// A packet came that had been missing for so long, where requests wait for `most`.
    pub(crate) fn handle_arrival(&mut self, missing: Duration, most: Duration) {
        let came = if missing <= most { 1.0 } else { 0.0 };
        self.share += (came - self.share) * WEIGHT;
    }

    /// How long a request waits: for `most`, if that spares enough.
    pub(crate) fn wait(&self, most: Duration) -> Duration {
        if self.share < FEW { most.min(AT_ONCE) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_wait_where_packets_come_by_themselves() {
        let most = Duration::from_millis(10);
        let wait = |overtaken: u64| {
            let mut learned = Overtaken::new();
            for n in 0..200 {
                let missing = if n % 10 < overtaken { 5 } else { 110 };
                learned.handle_arrival(Duration::from_millis(missing), most);
            }
            learned.wait(most).as_millis()
        };
        assert_eq!((wait(0), wait(1), wait(5), wait(10)), (2, 2, 10, 10));
        assert_eq!(Overtaken::new().wait(most), most);
        assert_eq!(Overtaken { share: 0.0 }.wait(Duration::ZERO), Duration::ZERO);
    }
}
