//! How often each receiver's own requests for a refresh reach the sender.

use std::time::Duration;

use crate::Time;
use crate::structure::Refresh;

/// A receiver that asks again within this time after its request went on was not helped by it.
const SOON: Duration = Duration::from_millis(1500);
/// So many requests in a row go on after the first wait, for key pictures are lost too. Each further one waits for twice as long.
const PATIENCE: u32 = 20;
/// The longest that one waits who is not helped.
const LONGEST: Duration = Duration::from_secs(16);

#[derive(Debug, Clone, Copy)]
struct Asker {
    receiver: usize,
    /// When its last request went on.
    granted: Time,
    /// What it asked for since, which waits.
    waiting: Refresh,
    /// Whether it has asked since, soon after.
    unhelped: bool,
    /// How many in a row did not help.
    tries: u32,
}

impl Asker {
    /// When its next request goes on.
    fn due(&self, first: Duration) -> Time {
        let doublings = (self.tries + 1).saturating_sub(PATIENCE).min(8);
        self.granted + (first * (1 << doublings)).min(LONGEST.max(first))
    }
}

/// Hands on what the receivers of a stream ask for, and less and less often what one asks for that no refresh helps.
///
/// All receivers pay for a refresh. One that cannot show the stream, for want of a key or since its decoder fails, asks for
/// one without end: it is heard each second twenty times, then after 2, 4, 8 and every 16 s. Another whose last refresh helped
/// it for some seconds is heard at once.
#[derive(Debug)]
pub(super) struct Askers {
    first: Duration,
    /// In the order of the receivers.
    askers: Vec<Asker>,
    next: Option<Time>,
}

impl Askers {
    /// The first wait is `first`.
    pub fn new(first: Duration) -> Self {
        Self { first, askers: Vec::new(), next: None }
    }

    /// Takes what a receiver asks for. Returns what goes on at once.
    pub fn handle_request(&mut self, now: Time, receiver: usize, refresh: Refresh) -> Refresh {
        let at = match self.askers.binary_search_by_key(&receiver, |asker| asker.receiver) {
            Ok(at) => at,
            Err(at) => {
                let asker =
                    Asker { receiver, granted: now, waiting: Refresh::NONE, unhelped: false, tries: 0 };
                self.askers.insert(at, asker);
                return refresh;
            }
        };
        let asker = &mut self.askers[at];
        asker.unhelped |= now - asker.granted < SOON;
        if !asker.unhelped {
            (asker.granted, asker.tries) = (now, 0);
            return refresh;
        }
        asker.waiting = asker.waiting.union(refresh);
        let due = asker.due(self.first);
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
        self.poll(now)
    }

    /// What has waited for long enough at `now`.
    pub fn poll(&mut self, now: Time) -> Refresh {
        let mut all = Refresh::NONE;
        if self.next.is_none_or(|next| now < next) {
            return all;
        }
        for asker in self.askers.iter_mut().filter(|asker| !asker.waiting.is_none()) {
            if asker.due(self.first) <= now {
                all = all.union(std::mem::take(&mut asker.waiting));
                (asker.granted, asker.unhelped, asker.tries) = (now, false, asker.tries.saturating_add(1));
            }
        }
        self.find_next();
        all
    }

    /// A key frame came, which is all that anybody waits for.
    pub fn handle_key(&mut self) {
        if self.next.take().is_some() {
            self.askers.iter_mut().for_each(|asker| asker.waiting = Refresh::NONE);
        }
    }

    /// Forgets a receiver.
    pub fn remove(&mut self, receiver: usize) {
        self.askers.retain(|asker| asker.receiver != receiver);
        self.find_next();
    }

    /// When to poll again.
    pub fn next_timeout(&self) -> Option<Time> {
        self.next
    }

    fn find_next(&mut self) {
        let waiting = self.askers.iter().filter(|asker| !asker.waiting.is_none());
        self.next = waiting.map(|asker| asker.due(self.first)).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);

    /// Seconds at which requests go on, of a receiver that asks at these.
    fn grants(asked: impl Iterator<Item = f64>) -> Vec<f64> {
        let (mut askers, mut granted, mut asked) = (Askers::new(FIRST), vec![], asked.peekable());
        for milliseconds in 0..120_000u64 {
            let (now, seconds) = (Time::from_millis(milliseconds), milliseconds as f64 / 1000.0);
            let due = askers.next_timeout().is_some_and(|at| at <= now);
            let mut refresh = if due { askers.poll(now) } else { Refresh::NONE };
            if asked.next_if(|at| *at <= seconds).is_some() {
                refresh = refresh.union(askers.handle_request(now, 7, Refresh::KEY));
            }
            if !refresh.is_none() {
                granted.push(seconds);
            }
        }
        granted
    }

    #[test]
    fn one_whom_no_refresh_helps_is_heard_less_and_less_often() {
        let late = [22.0, 26.0, 34.0, 50.0, 66.0, 82.0, 98.0, 114.0];
        let expected: Vec<f64> = (0..=20).map(f64::from).chain(late).collect();
        assert_eq!(grants((0..600).map(|n| f64::from(n) / 5.0)), expected);
    }

    #[test]
    fn one_whom_a_refresh_helped_is_heard_at_once() {
        let every_three_seconds = || (0..40).map(|n| f64::from(n) * 3.0);
        assert_eq!(grants(every_three_seconds()), every_three_seconds().collect::<Vec<_>>());
        // One that could not be helped for a while is a new one after that.
        let asked = (0..50).map(|n| f64::from(n) / 5.0).chain([20.0, 21.0]);
        let expected: Vec<f64> = (0..=10).map(f64::from).chain([20.0, 21.0]).collect();
        assert_eq!(grants(asked), expected);
    }

    #[test]
    fn receivers_do_not_wait_for_each_other_and_nobody_after_a_key_frame() {
        let mut askers = Askers::new(FIRST);
        let at = Time::from_millis;
        assert_eq!(askers.handle_request(at(0), 1, Refresh::KEY), Refresh::KEY);
        assert_eq!(askers.handle_request(at(500), 1, Refresh::layer(1)), Refresh::NONE);
        assert_eq!(askers.handle_request(at(500), 2, Refresh::layer(2)), Refresh::layer(2));
        assert_eq!(askers.next_timeout(), Some(at(1000)));
        assert_eq!(askers.poll(at(1000)), Refresh::layer(1));
        assert_eq!(askers.handle_request(at(1100), 1, Refresh::KEY), Refresh::NONE);
        askers.handle_key();
        assert_eq!((askers.next_timeout(), askers.poll(at(60_000))), (None, Refresh::NONE));
        assert_eq!(askers.handle_request(at(60_000), 1, Refresh::KEY), Refresh::KEY);
        assert_eq!(askers.handle_request(at(60_100), 1, Refresh::KEY), Refresh::NONE);
        askers.remove(1);
        assert_eq!(askers.next_timeout(), None);
    }
}
