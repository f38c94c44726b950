//! The packets that were sent last, to be sent again.

use std::time::Duration;

use bytes::Bytes;

use crate::Time;

/// For each byte that is sent again, bytes that have to be sent for the first time.
const SHARE: usize = 2;

/// The packets that were sent last, for receivers that ask for a retransmission (a NACK, RFC 4585).
///
/// A pacer that lets important packets overtake others makes gaps in which nothing was lost: their receiver asks for what
/// is still on its way. So a packet does not go out again before a request can have been made because it is missing, which
/// takes a round trip.
///
/// A request of 1200 bytes can name 5049 packets, so whoever asks must not get all that they ask for: all packets together
/// stay within a budget of bytes. It grows by half of what is sent for the first time, up to what may be sent again at once;
/// so it needs no rate, and follows the stream's own. A packet goes out again at most once in a round trip. While more than
/// half of the budget is left, half of one is enough, since the answer may be lost too, and half of the time of a queue on the
/// way; while nearly all of it is left and there is no queue, a quarter is enough for the second and the third answer, and later
/// ones go out twice. So where little is lost packets come soon, and where much is lost, or somebody asks for everything, what
/// is left goes to those that did not come. Each receiver should have a history of its own, or one can use up what others need.
#[derive(Debug)]
pub struct SentPackets {
    /// The packet of sequence number n is at n modulo the length, which is a power of two.
    packets: Vec<Sent>,
    round_trip: Option<RoundTrips>,
    budget: ResendBudget,
}

/// Bytes that may be sent again: half of what is sent for the first time, up to what may be sent again at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResendBudget {
    left: usize,
    most: usize,
}

impl Default for ResendBudget {
    fn default() -> Self {
        Self { left: SentPackets::MAX_BURST, most: SentPackets::MAX_BURST }
    }
}

impl ResendBudget {
    /// So many bytes are sent for the first time.
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.left = self.most.min(self.left.saturating_add(bytes / SHARE));
    }

    /// How often a packet of so many bytes goes out that is asked for at `now`: 0 to 2 times.
    pub(crate) fn answer(&mut self, now: Time, last: &mut LastSent, bytes: usize, path: Trip) -> usize {
        let quick = self.left > self.most / 8 * 7 && !path.has_queue();
        let wait = match last.again {
            0 => first_wait(path),
            1..IN_VAIN if quick => next_wait(path, 4),
            _ if self.left > self.most / 2 => next_wait(path, 2),
            _ => next_wait(path, 1),
        };
        if now - last.at < wait || self.left < bytes {
            return 0;
        }
        let copies = if quick && last.again >= IN_VAIN && self.left >= 2 * bytes { 2 } else { 1 };
        self.left -= copies * bytes;
        *last = LastSent { at: now, again: last.again.saturating_add(1) };
        copies
    }
}

/// When a packet was sent last, and how often it was sent again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastSent {
    pub at: Time,
    pub again: u8,
}

/// The round trip to whoever asks for packets, as far as it is known, and how much of it is a queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trip {
    pub round_trip: Option<Duration>,
    pub queue: Duration,
}

impl Trip {
    /// Whether packets wait on the way.
    fn has_queue(self) -> bool {
        self.queue > NO_QUEUE
    }
}

#[derive(Debug, Clone, Default)]
struct Sent {
    packet: Bytes,
    last: LastSent,
}

/// Of a packet that is asked for once more after it went out again so often, the answers were lost: they go out within half a
/// round trip, and the next one not before a whole round trip.
const IN_VAIN: u8 = 3;

/// Round trips differ by so much without a queue.
const NO_QUEUE: Duration = Duration::from_millis(10);

/// Round trips are shorter than this, as far as it matters here.
const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(1);
/// The shortest of them is that of this time and of as much before it, since a path may become a longer one.
const SHORTEST_FOR: Duration = Duration::from_secs(10);
/// The least time from one answer to the next, on whatever path.
const LEAST_WAIT: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
struct RoundTrips {
    last: Duration,
    /// The shortest since a time, and in the period before it.
    shortest: Duration,
    before: Duration,
    since: Time,
}

impl RoundTrips {
    fn new(now: Time, round_trip: Duration) -> Self {
        Self { last: round_trip, shortest: round_trip, before: round_trip, since: now }
    }

    fn set(&mut self, now: Time, round_trip: Duration) {
        self.last = round_trip;
        self.shortest = self.shortest.min(round_trip);
        if now - self.since >= SHORTEST_FOR {
            *self = Self { before: self.shortest, ..Self::new(now, round_trip) };
        }
    }

    /// How much longer the last one was than without a queue.
    fn queue(&self) -> Duration {
        self.last.saturating_sub(self.shortest.min(self.before))
    }
}

/// A round trip may have become so much shorter since it was measured, or a quarter of it if that is less.
const SHORTER: Duration = Duration::from_millis(10);

/// A packet that was sent for the first time goes out again at the earliest after about a round trip: no request because of its
/// loss comes sooner. What is sent again sooner than that is what others overtook, as base layers do a refresh that waits in
/// the pacer: on a full path it made the wait longer, so that more was asked for. If part of the round trip is a queue, the
/// packet may find a longer one than was measured, while requests for it go on: it has half as long as that more.
fn first_wait(path: Trip) -> Duration {
    path.round_trip.map_or(Duration::ZERO, |round_trip| match path.has_queue() {
        true => round_trip + path.queue.min(round_trip) / 2,
        false => round_trip - SHORTER.min(round_trip / 4),
    })
}

/// The time from one answer to the next, if there may be so many of them in a round trip. If part of the round trip is a queue,
/// it is half of that longer, since each answer makes the queue longer.
fn next_wait(Trip { round_trip, queue }: Trip, answers: u32) -> Duration {
    let wait = round_trip.map(|round_trip| match answers {
        1 => round_trip,
        _ => round_trip / answers + queue.min(round_trip) / 2,
    });
    wait.map_or(SentPackets::INTERVAL, |wait| wait.max(LEAST_WAIT))
}

impl SentPackets {
    /// Bytes that may be sent again at once, unless [`set_max_burst`](Self::set_max_burst) says otherwise: 100 ms of 20
    /// Mbit/s.
    pub const MAX_BURST: usize = 256 << 10;

    /// From one time that a packet goes out again to the next at least, unless
    /// [`set_round_trip`](Self::set_round_trip) says otherwise.
    pub const INTERVAL: Duration = Duration::from_millis(50);

    /// Keeps up to `count` packets, rounded up to a power of two from 1 to 32768. A second of video is about right:
    /// a packet asked for later would come too late.
    pub fn new(count: usize) -> Self {
        Self {
            packets: vec![Sent::default(); count.clamp(1, 1 << 15).next_power_of_two()],
            round_trip: None,
            budget: ResendBudget::default(),
        }
    }

    /// Sets the round-trip time to whoever asks for packets, as it was measured last. What it is longer than the
    /// shortest of some 10 s is taken for a queue.
    pub fn set_round_trip(&mut self, now: Time, round_trip: Duration) {
        let round_trip = round_trip.min(LONGEST_ROUND_TRIP);
        self.round_trip.get_or_insert_with(|| RoundTrips::new(now, round_trip)).set(now, round_trip);
    }

    /// Sets how many bytes may be sent again at once: as many as may be lost in a round trip.
    pub fn set_max_burst(&mut self, bytes: usize) {
        self.budget.most = bytes;
        self.budget.left = self.budget.left.min(bytes);
    }

    /// Keeps a packet that is sent for the first time at `now`. It takes the place of one long sent. Bytes that are no RTP
    /// packet are not kept.
    pub fn insert(&mut self, now: Time, packet: Bytes) {
        if let Some(sequence_number) = sequence_number(&packet) {
            self.budget.grow(packet.len());
            let at = usize::from(sequence_number) % self.packets.len();
            self.packets[at] = Sent { packet, last: LastSent { at: now, again: 0 } };
        }
    }

    /// Whether the packet of a sequence number was sent and is still kept.
    pub fn contains(&self, number: u16) -> bool {
        sequence_number(&self.packets[usize::from(number) % self.packets.len()].packet) == Some(number)
    }

    /// The packet of a sequence number that is asked for at `now`, as often as it is to be sent again: once, or twice if it was
    /// in vain before. Not at all if it is not kept any more, was sent too short a time ago, or is more than the budget has left.
    pub fn resend(&mut self, now: Time, number: u16) -> impl Iterator<Item = &Bytes> {
        let at = usize::from(number) % self.packets.len();
        let sent = &mut self.packets[at];
        let queue = self.round_trip.map_or(Duration::ZERO, |round_trip| round_trip.queue());
        let trip = Trip { round_trip: self.round_trip.map(|round_trip| round_trip.last), queue };
        let copies = match sequence_number(&sent.packet) {
            Some(kept) if kept == number => self.budget.answer(now, &mut sent.last, sent.packet.len(), trip),
            _ => 0,
        };
        std::iter::repeat_n(&sent.packet, copies)
    }
}

fn sequence_number(packet: &[u8]) -> Option<u16> {
    packet.get(2..4).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u16, size: usize) -> Bytes {
        let [high, low] = number.to_be_bytes();
        let mut packet = vec![0; size];
        packet[..4].copy_from_slice(&[0x80, 0, high, low]);
        packet.into()
    }

    fn history(numbers: std::ops::Range<u16>, size: usize) -> SentPackets {
        let mut sent = SentPackets::new(numbers.len());
        numbers.for_each(|number| sent.insert(Time::ZERO, packet(number, size)));
        sent
    }

    #[test]
    fn a_packet_goes_out_again_twice_after_a_quarter_of_a_round_trip() {
        let ms = Time::from_millis;
        let mut sent = history(0..8, 100);
        sent.set_round_trip(ms(0), Duration::from_millis(160));
        assert_eq!(sent.resend(ms(150), 5).next(), Some(&packet(5, 100)));
        assert_eq!(sent.resend(ms(189), 5).next(), None);
        assert_eq!(sent.resend(ms(189), 6).next(), Some(&packet(6, 100)));
        assert_eq!(sent.resend(ms(190), 5).next(), Some(&packet(5, 100)));
        assert_eq!(sent.resend(ms(230), 5).next(), Some(&packet(5, 100)));
        assert_eq!(sent.resend(ms(309), 5).next(), None);
        assert_eq!(sent.resend(ms(310), 5).next(), Some(&packet(5, 100)));
        // Another packet in its place has not gone out again.
        sent.insert(ms(160), packet(13, 100));
        assert_eq!(sent.resend(ms(310), 5).next(), None);
        assert_eq!(sent.resend(ms(310), 13).next(), Some(&packet(13, 100)));
        // Half of the 160 ms without a queue, and of the 100 ms of the queue.
        sent.set_round_trip(ms(320), Duration::from_millis(260));
        assert_eq!(sent.resend(ms(489), 13).next(), None);
        assert_eq!(sent.resend(ms(490), 13).next(), Some(&packet(13, 100)));
        // It stays so for 20 s: the path has become longer.
        for now in [10_000, 20_000] {
            sent.set_round_trip(ms(now), Duration::from_millis(260));
        }
        sent.insert(ms(20_000), packet(5, 100));
        assert_eq!(sent.resend(ms(20_250), 5).next(), Some(&packet(5, 100)));
        assert_eq!(sent.resend(ms(20_314), 5).next(), None);
        assert_eq!(sent.resend(ms(20_315), 5).next(), Some(&packet(5, 100)));
    }

    /// Its receiver asks for it because others overtook it, and it is on its way.
    #[test]
    fn a_packet_does_not_go_out_again_before_it_can_be_missing() {
        let ms = Time::from_millis;
        let mut sent = history(0..8, 100);
        // As long as the round trip is not known, whoever asks gets it.
        assert_eq!(sent.resend(ms(1), 4).next(), Some(&packet(4, 100)));
        sent.set_round_trip(ms(1), Duration::from_millis(160));
        assert_eq!(sent.resend(ms(149), 5).next(), None);
        assert_eq!(sent.resend(ms(150), 5).next(), Some(&packet(5, 100)));
    }

    /// It was overtaken while it waited, so that it is asked for all the time, and it waits in the queue of the path for longer
    /// than others did.
    #[test]
    fn a_packet_in_a_queue_is_waited_for_half_of_that_longer() {
        let ms = Time::from_millis;
        let mut sent = history(0..8, 100);
        sent.set_round_trip(ms(0), Duration::from_millis(80));
        assert_eq!(sent.resend(ms(70), 4).next(), Some(&packet(4, 100)));
        sent.insert(ms(1000), packet(5, 100));
        sent.set_round_trip(ms(1100), Duration::from_millis(200));
        for now in 1100..1260 {
            assert_eq!(sent.resend(ms(now), 5).next(), None, "{now}");
        }
        assert_eq!(sent.resend(ms(1260), 5).next(), Some(&packet(5, 100)));
    }

    /// Three answers went out within half a round trip, and were lost.
    #[test]
    fn what_is_asked_for_a_fourth_time_goes_out_twice_while_nearly_all_of_the_budget_is_left() {
        let ms = Time::from_millis;
        let mut sent = history(0..256, 1000);
        sent.set_round_trip(ms(0), Duration::from_millis(100));
        let counts = [100, 125, 150, 175, 200, 250].map(|now| sent.resend(ms(now), 5).count());
        assert_eq!(counts, [1, 1, 1, 0, 2, 2]);
        // An eighth of the budget is gone.
        assert_eq!((10..40).map(|number| sent.resend(ms(300), number).count()).sum::<usize>(), 30);
        let counts = [325, 350, 375, 400, 450].map(|now| sent.resend(ms(now), 10).count());
        assert_eq!(counts, [0, 1, 0, 1, 1]);
        // Half of it is gone: what is left is for what is known not to have come.
        let half = (100..220).map(|number| sent.resend(ms(500), number).count()).sum::<usize>();
        assert!(half > 100, "{half}");
        let counts = [550, 600, 650, 700].map(|now| sent.resend(ms(now), 100).count());
        assert_eq!(counts, [0, 1, 0, 1]);
    }

    /// Finding 10: a million requests get what one may.
    #[test]
    fn requests_get_no_more_than_the_budget() {
        let mut sent = history(0..4096, 1200);
        let again = |requests: usize, now: Time, sent: &mut SentPackets| -> usize {
            let numbers = (0..requests).map(|n| n as u16 % 4096);
            numbers.map(|number| sent.resend(now, number).map(Bytes::len).sum::<usize>()).sum()
        };
        let burst = again(1_000_000, Time::ZERO, &mut sent);
        assert!(burst <= SentPackets::MAX_BURST && burst > SentPackets::MAX_BURST - 1200, "{burst}");
        assert_eq!(again(1_000_000, Time::from_secs(1), &mut sent), 0);
        // Half of what was sent since, and no more than the burst after whatever time.
        (4096..4196).for_each(|number| sent.insert(Time::ZERO, packet(number % 4096, 1200)));
        assert_eq!(again(1_000_000, Time::from_secs(2), &mut sent) / 1200, 50);
        (0..4096).for_each(|number| sent.insert(Time::ZERO, packet(number, 1200)));
        assert!(again(1_000_000, Time::from_secs(9), &mut sent) <= SentPackets::MAX_BURST);
        // Of smaller bursts too.
        sent.set_max_burst(5000);
        (0..4096).for_each(|number| sent.insert(Time::ZERO, packet(number, 1200)));
        assert_eq!(again(1_000_000, Time::from_secs(10), &mut sent), 4800);
    }

    #[test]
    fn no_more_is_kept_than_asked_for() {
        for (asked, kept) in [(0, 1), (3, 4), (4096, 4096), (usize::MAX, 32768)] {
            assert_eq!(SentPackets::new(asked).packets.len(), kept);
        }
    }
}
