//! What of a stream was sent to a receiver again.

use crate::Time;
use crate::congestion::PathState;
use crate::rtp::history::{LastSent, ResendBudget, Trip};

/// Packets that are remembered to have been sent again, or after later ones, a power of two.
const REMEMBERED: usize = 256;

/// When packets were sent, so that nobody gets one over and over, or one that is on its way.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// The packet of sequence number n is at n modulo the length, if it was sent again or after later ones. Made with the
    /// first of them.
    sent: Vec<Option<(u16, LastSent)>>,
    /// The packet after which no other was sent, and when it was.
    newest: Option<(u16, Time)>,
    pub budget: ResendBudget,
}

impl Again {
    fn place(&mut self, number: u16) -> &mut Option<(u16, LastSent)> {
        if self.sent.is_empty() {
            self.sent = vec![None; REMEMBERED];
        }
        &mut self.sent[usize::from(number) % REMEMBERED]
    }

    /// A packet goes out for the first time. If later ones have overtaken it, its receiver asks for it though it is on its
    /// way.
    pub fn handle_first(&mut self, now: Time, number: u16) {
        match self.newest.filter(|(newest, _)| newest.wrapping_sub(number) < 1 << 15) {
            Some(_) => self.handle_sent(now, number),
            None => self.newest = Some((number, now)),
        }
    }

    /// A packet goes out, though its receiver may ask for it already.
    pub fn handle_sent(&mut self, now: Time, number: u16) {
        *self.place(number) = Some((number, LastSent { at: now, again: 0 }));
    }

    /// How often a packet is to be sent that is asked for.
    pub fn answer(&mut self, now: Time, number: u16, bytes: usize, path: &PathState) -> usize {
        let trip = Trip { round_trip: path.round_trip, queue: path.queueing_delay.unwrap_or_default() };
        let known = self.place(number).filter(|(sent, _)| *sent == number);
        // Whoever waits for the end of a frame asks for the newest one without having seen a later one. Others went out a
        // round trip ago, or they would not be asked for.
        let newest = self.newest.filter(|(newest, _)| *newest == number);
        let newest = newest.map(|(_, at)| LastSent { at, again: 0 });
        let mut last = known.map(|(_, last)| last).or(newest).unwrap_or_default();
        let copies = self.budget.answer(now, &mut last, bytes, trip);
        if copies > 0 {
            *self.place(number) = Some((number, last));
        }
        copies
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_packet_that_others_overtook_is_not_sent_again_while_it_is_on_its_way() {
        let (ms, round_trip) = (Time::from_millis, Some(Duration::from_millis(80)));
        let path = PathState { round_trip, ..PathState::default() };
        let mut again = Again::default();
        again.budget.grow(10_000);
        for (at, number) in [(0, 65_534), (1, 2), (20, 65_535), (21, 0)] {
            again.handle_first(ms(at), number);
        }
        let mut sends = |now, number| again.answer(ms(now), number, 100, &path) > 0;
        // Asked for when packet 2 came, and received 40 ms after that.
        assert!(!sends(79, 65_535));
        // Packet 1 is lost: nobody has sent it after packet 2.
        assert!(sends(81, 1));
        assert!(sends(91, 0) && !sends(110, 0));
        assert!(sends(111, 0));
    }
}
