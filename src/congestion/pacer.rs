//! Spreads packets over time, so that no burst of them fills the queues of the network: a leaky bucket with classes of
//! packets, probes, and an end to waiting.
//!
//! A frame of video comes all at once, and a key frame can be ten times as large as the others. The pacer sends packets
//! at [`PacerConfig::factor`] times the estimate, important ones first. Audio does not wait. Packets that have waited
//! for [`PacerConfig::longest_wait`] are dropped with all others of their frame, and the caller hears of it: such a
//! frame would come too late, and the encoder has to send less.
//!
//! # Probes
//!
//! While a probe is on, the pacer sends at the probe's bitrate. If it has no packets to send, it asks for padding:
//! [`PacerOutput::Padding`]. Padding packets carry transport-wide numbers as well, and may be anything that receivers
//! throw away: repeats of the last packets as RTX (RFC 4588) if that was agreed on, since a repeat may take the place of
//! one that got lost, or packets of nothing but RTP padding, which hold 255 bytes of it each. A packet sent again as it
//! was is of no use: SRTP takes it for an attack, and no feedback tells of it.

use std::collections::VecDeque;
use std::time::Duration;

use super::types::Probe;
use crate::Time;

/// Packets are sent at this multiple of the estimate at most.
const MOST: f64 = 2.5;
/// What is due within this time goes out together, so that a caller is not woken for each packet.
const BURST: Duration = Duration::from_millis(5);
/// The bucket holds the bytes of this time at most: after a burst of audio, video goes on soon.
const MOST_DEBT: Duration = Duration::from_millis(500);
/// A caller that polls late, since it was coding a picture, gets what was due in this time at once.
const MOST_LATE: Duration = Duration::from_millis(100);
/// A probe has at least so many packets, or it would measure nothing; but it lasts at most for this multiple of its
/// duration.
const PROBE_PACKETS: u32 = 5;
const PROBE_STRETCH: u32 = 4;
/// Packets of the base layer are dropped after this multiple of [`PacerConfig::longest_wait`]: all others need them, so that
/// another one would have to be sent in their place.
const BASE_WAITS: u32 = 2;
/// Bytes of a padding packet at most, and at least.
const PADDING: usize = 1200;
const LEAST_PADDING: usize = 100;
/// Dropped frames that are told of; older ones are forgotten if the caller does not poll.
const MOST_DROPPED: usize = 1024;

/// How a packet is treated, the most important ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PacketClass {
    /// Is sent at once.
    Audio,
    /// A packet that is sent again. Somebody waits for it.
    Retransmission,
    /// Of a frame that all others need: spatial layer 0 of temporal layer 0.
    Base,
    /// Of any other frame.
    Media,
}

/// A packet to be paced. `T` is the packet itself, or whatever stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct PacedPacket<T> {
    /// How it is treated.
    pub class: PacketClass,
    /// A number of the frame that it belongs to, by the caller's own count over all streams of the path.
    pub frame: u64,
    /// Its bytes on the wire.
    pub bytes: usize,
    /// The packet.
    pub packet: T,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacerOutput<T> {
    /// A packet to send now.
    Packet {
        /// The packet.
        packet: PacedPacket<T>,
        /// The probe that it is part of, for [`SentLog::push`](super::SentLog::push).
        probe: Option<u32>,
    },
    /// A padding packet to send now.
    Padding {
        /// Its bytes on the wire. The pacer counts them as sent. If there is nothing to pad with, leave it out.
        bytes: usize,
        /// The probe that it is part of.
        probe: u32,
    },
    /// A frame whose packets were dropped, in part or all of them.
    Dropped {
        /// The number of the frame.
        frame: u64,
        /// The class of the packets.
        class: PacketClass,
    },
    /// Nothing now. Poll again at this time, or after the next packet or probe.
    Timeout(Option<Time>),
}

/// The properties of a [`Pacer`]. [`PacerConfig::default`] makes one whose fields can then be changed.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PacerConfig {
    /// Packets are sent at this multiple of the estimate, 1 to 2.5.
    pub factor: f64,
    /// Packets are dropped after this time, those of [`PacketClass::Base`] after twice as much.
    pub longest_wait: Duration,
    /// Bytes that wait at most.
    pub most_bytes: usize,
}

impl Default for PacerConfig {
    /// 1.5 times the estimate, 400 ms, and 1 MB.
    fn default() -> Self {
        Self { factor: 1.5, longest_wait: Duration::from_millis(400), most_bytes: 1_000_000 }
    }
}

#[derive(Debug, Clone, Copy)]
struct Waiting<T> {
    since: Time,
    packet: PacedPacket<T>,
}

#[derive(Debug, Clone, Copy)]
struct Probing {
    number: u32,
    probe: Probe,
    started: Option<Time>,
    bytes: usize,
    packets: u32,
}

/// Spreads the packets of one path over time.
#[derive(Debug)]
pub struct Pacer<T> {
    config: PacerConfig,
    /// Bytes a second that the path carries, at which packets go, and at which they go at most.
    carried: f64,
    paced: f64,
    most: f64,
    /// By class.
    longest_waits: [Duration; 4],
    /// What is sent in a second of each byte that waits, so that all go within half of the longest wait.
    drains: f64,
    /// By class.
    queues: [VecDeque<Waiting<T>>; 4],
    queued: usize,
    /// Bytes sent that are still to be paid for, at the time of the last payment; below 0 are those that were due
    /// before it and still wait.
    debt: f64,
    paid: Time,
    probing: Option<Probing>,
    /// Packets of this class and of less important ones are held back.
    held: Option<PacketClass>,
    probes: u32,
    /// Frames that were dropped since the caller polled, and the last one of each class: what comes of it later is
    /// dropped as well.
    dropped: VecDeque<(u64, PacketClass)>,
    last_dropped: [Option<u64>; 4],
}

impl<T> Pacer<T> {
    /// A pacer for a path that carries `bitrate`, in bit/s.
    pub fn new(config: PacerConfig, bitrate: u64) -> Self {
        let mut pacer = Self {
            config,
            carried: 0.0,
            paced: 0.0,
            most: 0.0,
            longest_waits: [1, 1, BASE_WAITS, 1].map(|waits| config.longest_wait.saturating_mul(waits)),
            drains: 2.0 / config.longest_wait.as_secs_f64().max(1e-3),
            queues: [const { VecDeque::new() }; 4],
            queued: 0,
            debt: 0.0,
            paid: Time::ZERO,
            probing: None,
            held: None,
            probes: 0,
            dropped: VecDeque::new(),
            last_dropped: [None; 4],
        };
        pacer.set_bitrate(Time::ZERO, bitrate);
        pacer
    }

    /// Sets the estimate of what the path carries, in bit/s.
    pub fn set_bitrate(&mut self, now: Time, bitrate: u64) {
        self.pay(now);
        self.carried = bitrate as f64 / 8.0;
        (self.paced, self.most) = (self.config.factor.clamp(1.0, MOST) * self.carried, MOST * self.carried);
    }

    /// Takes a packet to be sent. If there is no room for it, the oldest frames of the least important class are
    /// dropped, or its own frame if none is less important.
    pub fn handle_packet(&mut self, now: Time, packet: PacedPacket<T>) {
        // Time in which nothing waited is of no use later.
        self.pay(now);
        while self.queued + packet.bytes > self.config.most_bytes && self.queued > 0 {
            let class = (packet.class as usize..4).rev().find(|&class| !self.queues[class].is_empty());
            match class {
                Some(class) => self.drop_first(class),
                None => self.drop_frame(packet.class, packet.frame),
            }
            if class.is_none() {
                break;
            }
        }
        if self.last_dropped[packet.class as usize] == Some(packet.frame) {
            return;
        }
        self.queued += packet.bytes;
        self.queues[packet.class as usize].push_back(Waiting { since: now, packet });
    }

    /// Takes a packet as [`handle_packet`](Self::handle_packet) does, if [`poll`](Self::poll) would give it next. `false` if it has to
    /// wait, or is of a frame that was dropped.
    #[cfg(feature = "relay")]
    pub(super) fn passes(&mut self, now: Time, packet: &PacedPacket<T>) -> bool {
        if !self.is_idle() || self.last_dropped[packet.class as usize] == Some(packet.frame) {
            return false;
        }
        self.pay(now);
        let passes = self.debt <= self.rate() * BURST.as_secs_f64();
        if passes {
            self.sent(now, packet.bytes);
        }
        passes
    }

    /// Starts a probe, in place of one that is on. Returns its number.
    pub fn start_probe(&mut self, now: Time, probe: Probe) -> u32 {
        self.pay(now);
        let number = self.probes;
        self.probes = self.probes.wrapping_add(1);
        self.probing = Some(Probing { number, probe, started: None, bytes: 0, packets: 0 });
        number
    }

    /// Holds packets of a class back, and all less important ones; `None` holds no more. Audio does not wait in any case.
    pub fn set_held(&mut self, held: Option<PacketClass>) {
        self.held = held;
    }

    /// Whether a probe is on.
    pub fn is_probing(&self) -> bool {
        self.probing.is_some()
    }

    /// Whether it has nothing to do until something is handed in.
    #[cfg(feature = "relay")]
    pub(super) fn is_idle(&self) -> bool {
        self.queued == 0 && self.probing.is_none() && self.dropped.is_empty()
    }

    /// Bytes of the packets that wait.
    pub fn queued_bytes(&self) -> usize {
        self.queued
    }

    /// How long the packets that wait would take at the estimate.
    pub fn queued_time(&self) -> Duration {
        Duration::from_secs_f64(self.queued as f64 / self.carried.max(0.125))
    }

    /// What to do at `now`. Call it again until it returns [`PacerOutput::Timeout`].
    pub fn poll(&mut self, now: Time) -> PacerOutput<T> {
        self.drop_old(now);
        if let Some((frame, class)) = self.dropped.pop_front() {
            return PacerOutput::Dropped { frame, class };
        }
        self.pay(now);
        if !self.queues[PacketClass::Audio as usize].is_empty() {
            return self.send(now, PacketClass::Audio as usize);
        }
        self.end_probe(now);
        let classes = self.held.map_or(self.queues.len(), |held| held as usize);
        let class = self.queues[..classes].iter().position(|queue| !queue.is_empty());
        if class.is_none() && self.probing.is_none() {
            return PacerOutput::Timeout(None);
        }
        let rate = self.rate();
        // A probe below the rate at which packets that wait go out anyway does not hold them back.
        let probe = self.next_of_probe(now).filter(|(bitrate, _)| class.is_none() || *bitrate >= rate);
        if let Some((_, at)) = probe {
            if now < at {
                return PacerOutput::Timeout(Some(at));
            }
            return match class {
                Some(class) => self.send(now, class),
                None => self.pad(now),
            };
        }
        let Some(class) = class else { return PacerOutput::Timeout(None) };
        // What is due within a burst goes out now.
        let burst = rate * BURST.as_secs_f64();
        if self.debt <= burst {
            return self.send(now, class);
        }
        let wait = Duration::from_secs_f64((self.debt / rate).min(1.0)).max(Duration::from_micros(100));
        PacerOutput::Timeout(Some(now + wait))
    }

    /// Bytes a second.
    fn rate(&self) -> f64 {
        // A queue that could not be sent in half of the longest wait is sent faster, but no faster than that.
        let drain = self.queued as f64 * self.drains;
        self.paced.max(drain.min(self.most)).max(1.0)
    }

    fn pay(&mut self, now: Time) {
        if now > self.paid {
            let passed = (now - self.paid).as_secs_f64();
            self.paid = now;
            let rate = self.rate();
            self.debt = (self.debt - passed * rate).max(-rate * MOST_LATE.as_secs_f64());
        }
        if self.queued == 0 {
            self.debt = self.debt.max(0.0);
        }
    }

    /// Bytes a second of a probe, and when its next packet is due.
    fn next_of_probe(&self, now: Time) -> Option<(f64, Time)> {
        let Probing { probe, started, bytes, .. } = self.probing?;
        let due = Duration::from_secs_f64((bytes as f64 * 8.0 / probe.bitrate.max(1) as f64).min(1e6));
        Some((probe.bitrate as f64 / 8.0, started.unwrap_or(now) + due))
    }

    /// Ends a probe that has sent its bytes, or had its time.
    fn end_probe(&mut self, now: Time) {
        let Some(Probing { probe, started: Some(started), bytes, packets, .. }) = self.probing else {
            return;
        };
        let goal = (probe.bitrate as f64 * probe.duration.as_secs_f64() / 8.0) as usize;
        let sent = bytes >= goal && packets >= PROBE_PACKETS;
        if sent || now >= started + probe.duration.saturating_mul(PROBE_STRETCH) {
            self.probing = None;
        }
    }

    fn pad(&mut self, now: Time) -> PacerOutput<T> {
        let Some(probing) = self.probing else { return PacerOutput::Timeout(None) };
        let goal = probing.probe.bitrate as f64 * probing.probe.duration.as_secs_f64() / 8.0;
        let left = (goal as usize).saturating_sub(probing.bytes);
        let share = goal as usize / PROBE_PACKETS as usize;
        let bytes = left.min(share).clamp(LEAST_PADDING, PADDING);
        let number = probing.number;
        self.sent(now, bytes);
        PacerOutput::Padding { bytes, probe: number }
    }

    fn send(&mut self, now: Time, class: usize) -> PacerOutput<T> {
        let Some(Waiting { packet, .. }) = self.queues[class].pop_front() else {
            return PacerOutput::Timeout(None);
        };
        self.queued -= packet.bytes;
        let probe = self.probing.map(|probing| probing.number);
        self.sent(now, packet.bytes);
        PacerOutput::Packet { packet, probe }
    }

    fn sent(&mut self, now: Time, bytes: usize) {
        let most = self.rate() * MOST_DEBT.as_secs_f64();
        self.debt = (self.debt + bytes as f64).min(most.max(bytes as f64));
        if let Some(probing) = &mut self.probing {
            probing.started.get_or_insert(now);
            probing.bytes += bytes;
            probing.packets += 1;
        }
    }

    fn drop_old(&mut self, now: Time) {
        if self.queued == 0 {
            return;
        }
        for class in 1..4 {
            let longest_wait = self.longest_waits[class];
            while self.queues[class].front().is_some_and(|first| first.since + longest_wait < now) {
                self.drop_first(class);
            }
        }
    }

    /// Drops the frame of the first packet of a class.
    fn drop_first(&mut self, class: usize) {
        if let Some(first) = self.queues[class].front() {
            self.drop_frame(first.packet.class, first.packet.frame);
        }
    }

    /// Drops the frames of media that wait and of whose numbers `drops` says so, for a caller that needs them no more.
    pub fn drop_frames(&mut self, drops: impl Fn(u64) -> bool) {
        let class = PacketClass::Media as usize;
        while let Some(frame) =
            self.queues[class].iter().map(|waiting| waiting.packet.frame).find(|frame| drops(*frame))
        {
            self.drop_frame(PacketClass::Media, frame);
        }
    }

    fn drop_frame(&mut self, class: PacketClass, frame: u64) {
        let queued = &mut self.queued;
        self.queues[class as usize].retain(|waiting| {
            let stays = waiting.packet.frame != frame;
            if !stays {
                *queued -= waiting.packet.bytes;
            }
            stays
        });
        if self.last_dropped[class as usize] != Some(frame) {
            self.last_dropped[class as usize] = Some(frame);
            if self.dropped.len() >= MOST_DROPPED {
                self.dropped.pop_front();
            }
            self.dropped.push_back((frame, class));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn ms(since_start: u64) -> Time {
        Time::from_millis(since_start)
    }

    fn packet(class: PacketClass, frame: u64, bytes: usize) -> PacedPacket<()> {
        PacedPacket { class, frame, bytes, packet: () }
    }

    /// Polls each ms of a time. Returns what came out, and when.
    fn run(pacer: &mut Pacer<()>, from: u64, to: u64) -> Vec<(u64, PacerOutput<()>)> {
        let mut outputs = Vec::new();
        for now in from..to {
            loop {
                match pacer.poll(ms(now)) {
                    PacerOutput::Timeout(at) => {
                        assert!(at.is_none_or(|at| at > ms(now)), "{at:?} at {now} ms");
                        break;
                    }
                    output => outputs.push((now, output)),
                }
            }
        }
        outputs
    }

    fn sent(outputs: &[(u64, PacerOutput<()>)]) -> Vec<(u64, PacketClass, u64)> {
        let sent = |(now, output): &(u64, PacerOutput<()>)| match output {
            PacerOutput::Packet { packet, .. } => Some((*now, packet.class, packet.frame)),
            _ => None,
        };
        outputs.iter().filter_map(sent).collect()
    }

    #[test]
    fn held_media_waits_and_all_else_goes_on() {
        let mut pacer = Pacer::new(PacerConfig::default(), 1_000_000);
        pacer.set_held(Some(PacketClass::Media));
        for class in [PacketClass::Media, PacketClass::Base, PacketClass::Retransmission, PacketClass::Audio]
        {
            pacer.handle_packet(ms(0), packet(class, class as u64, 1000));
        }
        let classes = |outputs: &[(u64, PacerOutput<()>)]| sent(outputs).len();
        assert_eq!(classes(&run(&mut pacer, 0, 100)), 3);
        pacer.set_held(None);
        assert_eq!(classes(&run(&mut pacer, 100, 200)), 1);
        // What is held for too long is dropped like all else.
        pacer.set_held(Some(PacketClass::Media));
        pacer.handle_packet(ms(200), packet(PacketClass::Media, 9, 1000));
        let outputs = run(&mut pacer, 200, 700);
        assert!(matches!(outputs[..], [(601, PacerOutput::Dropped { frame: 9, .. })]), "{outputs:?}");
    }

    #[test]
    fn a_large_frame_is_spread_at_a_multiple_of_the_estimate() {
        // 1.5 times 800 kbit/s are 150 bytes a ms.
        let mut pacer = Pacer::new(PacerConfig::default(), 800_000);
        (0..20).for_each(|_| pacer.handle_packet(ms(0), packet(PacketClass::Media, 1, 1000)));
        assert_eq!(pacer.queued_time(), Duration::from_millis(200));
        let sent = sent(&run(&mut pacer, 0, 300));
        assert_eq!(sent.len(), 20);
        let last = sent.last().unwrap().0;
        assert!((115..=130).contains(&last), "{last}");
        // No ms has more than a burst and a packet.
        for now in 0..300 {
            let bytes = 1000 * sent.iter().filter(|sent| sent.0 == now).count();
            assert!(bytes <= 750 + 1000, "{bytes} at {now}");
        }
        assert_eq!(pacer.queued_bytes(), 0);
    }

    #[test]
    fn a_caller_that_comes_late_gets_what_was_due() {
        // 150 bytes a ms; the caller codes for 40 ms at a time.
        let mut pacer = Pacer::new(PacerConfig::default(), 800_000);
        let mut counts = vec![];
        for n in 0..5 {
            (0..4).for_each(|_| pacer.handle_packet(ms(1000 + 40 * n), packet(PacketClass::Media, n, 1000)));
            counts.push(sent(&run(&mut pacer, 1000 + 40 * n, 1001 + 40 * n)).len());
        }
        assert_eq!(counts, [1, 6, 5, 1, 6], "what waits is made up for, and no time in which nothing waited");
    }

    #[test]
    fn audio_does_not_wait_and_the_important_goes_first() {
        let mut pacer = Pacer::new(PacerConfig::default(), 80_000);
        let classes =
            [PacketClass::Media, PacketClass::Base, PacketClass::Retransmission, PacketClass::Audio];
        for (frame, class) in (0..).zip(classes) {
            pacer.handle_packet(ms(0), packet(class, frame, 1000));
            pacer.handle_packet(ms(0), packet(class, frame, 1000));
        }
        let sent = sent(&run(&mut pacer, 0, 400));
        assert_eq!(sent.iter().map(|sent| sent.2).collect::<Vec<_>>()[..7], [3, 3, 2, 2, 1, 1, 0]);
        assert_eq!([sent[0].0, sent[1].0], [0, 0]);
        assert!(sent[2].0 > 50);
    }

    #[test]
    fn what_waits_too_long_is_dropped_by_whole_frames() {
        // 15 bytes a ms: 400 ms are 6 packets, 10 at most with the queue this long.
        let mut pacer = Pacer::new(PacerConfig::default(), 80_000);
        for frame in 0..4 {
            (0..4).for_each(|_| pacer.handle_packet(ms(frame), packet(PacketClass::Media, frame, 1000)));
        }
        let outputs = run(&mut pacer, 4, 1000);
        let dropped: Vec<_> = outputs
            .iter()
            .filter_map(|(now, output)| match output {
                PacerOutput::Dropped { frame, class: PacketClass::Media } => Some((*now, *frame)),
                _ => None,
            })
            .collect();
        assert_eq!(dropped, [(403, 2), (404, 3)]);
        assert_eq!(sent(&outputs).iter().filter(|sent| sent.2 < 2).count(), 8);
        assert_eq!(pacer.queued_bytes(), 0);
    }

    #[test]
    fn a_full_queue_drops_the_least_important() {
        let config = PacerConfig { most_bytes: 5000, ..PacerConfig::default() };
        let mut pacer = Pacer::new(config, 80_000);
        for frame in 0..2 {
            (0..2).for_each(|_| pacer.handle_packet(ms(0), packet(PacketClass::Media, frame, 1000)));
        }
        (0..4).for_each(|_| pacer.handle_packet(ms(0), packet(PacketClass::Base, 9, 1000)));
        // Its own frame, since nothing is less important, and all that comes of it.
        (0..3).for_each(|_| pacer.handle_packet(ms(0), packet(PacketClass::Media, 10, 1000)));
        let dropped = |frame| PacerOutput::Dropped { frame, class: PacketClass::Media };
        assert_eq!([0, 1, 10].map(|_| pacer.poll(ms(0))), [0, 1, 10].map(dropped));
        assert_eq!(pacer.queued_bytes(), 4000);
        // Nothing is dropped that could be sent.
        assert_eq!(sent(&run(&mut pacer, 0, 300)).len(), 4);
    }

    #[test]
    fn a_probe_is_sent_at_its_bitrate_with_padding_where_media_is_missing() {
        let mut pacer = Pacer::new(PacerConfig::default(), 500_000);
        let number =
            pacer.start_probe(ms(0), Probe { bitrate: 2_000_000, duration: Duration::from_millis(100) });
        (0..5).for_each(|_| pacer.handle_packet(ms(0), packet(PacketClass::Media, 1, 1200)));
        let outputs = run(&mut pacer, 0, 200);
        let (mut media, mut padding, mut last) = (0, 0, 0);
        for (now, output) in &outputs {
            match *output {
                PacerOutput::Packet { packet, probe } => {
                    assert_eq!(probe, Some(number));
                    media += packet.bytes;
                }
                PacerOutput::Padding { bytes, probe } => {
                    assert_eq!(probe, number);
                    padding += bytes;
                }
                output => panic!("{output:?}"),
            }
            last = *now;
        }
        assert_eq!(media, 6000);
        assert!((19_000..=20_200).contains(&padding), "{padding}");
        assert!((90..=101).contains(&last), "{last}");
        assert!(!pacer.is_probing());
        // A slow one has enough packets nevertheless.
        pacer.start_probe(ms(300), Probe { bitrate: 100_000, duration: Duration::from_millis(40) });
        assert!(run(&mut pacer, 300, 600).len() >= 5);
    }

    proptest! {
        /// Packets of any class and size: each comes out once or is dropped, none waits for longer than it may, and no
        /// more than the rate is sent.
        #[test]
        fn packets_come_out_in_time_or_are_dropped(
            packets in vec((0..4u8, 1..1500usize, 0..30u64), 1..200),
            bitrate in prop_oneof![Just(0), 1000..50_000_000u64, Just(u64::MAX)],
            probe in proptest::option::of((any::<u64>(), any::<u64>())),
        ) {
            let config = PacerConfig { most_bytes: 50_000, ..PacerConfig::default() };
            let mut pacer = Pacer::new(config, bitrate);
            if let Some((bitrate, duration)) = probe {
                pacer.start_probe(ms(0), Probe { bitrate, duration: Duration::from_micros(duration) });
            }
            let (mut now, mut came, mut gone) = (ms(0), 0, 0);
            for (frame, (class, bytes, passed)) in packets.into_iter().enumerate() {
                now += Duration::from_millis(passed);
                let class = match class {
                    0 => PacketClass::Audio,
                    1 => PacketClass::Retransmission,
                    2 => PacketClass::Base,
                    _ => PacketClass::Media,
                };
                let packet = PacedPacket { class, frame: frame as u64 / 3, bytes, packet: (now, frame) };
                pacer.handle_packet(now, packet);
                came += 1;
                prop_assert!(pacer.queued_bytes() <= 50_000);
                for _ in 0..1000 {
                    match pacer.poll(now) {
                        PacerOutput::Packet { packet, .. } => {
                            gone += 1;
                            let waited = now - packet.packet.0;
                            let longest = match packet.class {
                                PacketClass::Audio => Duration::MAX,
                                PacketClass::Base => config.longest_wait * BASE_WAITS,
                                _ => config.longest_wait,
                            };
                            prop_assert!(waited <= longest);
                        }
                        PacerOutput::Timeout(at) => {
                            prop_assert!(at.is_none_or(|at| at > now), "{:?} at {:?}", at, now);
                            break;
                        }
                        _ => {}
                    }
                }
            }
            let waiting: usize = pacer.queues.iter().map(VecDeque::len).sum();
            prop_assert!(gone + waiting <= came);
            let bytes: usize = pacer.queues.iter().flatten().map(|waiting| waiting.packet.bytes).sum();
            prop_assert_eq!(bytes, pacer.queued_bytes());
        }
    }
}
