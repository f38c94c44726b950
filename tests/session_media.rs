//! Audio, messages and video in the browsers' form in virtual time: senders, a network or a relay in between, and
//! receivers.

#[path = "common/chance.rs"]
mod chance;
#[path = "common/relay.rs"]
mod relay;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chance::Chance;
use layercast::Time;
use layercast::e2ee::{Agreement, Context, KeyRing, Opener, SenderKeys};
use layercast::rtp::rtcp::{self, Lost, RtcpMessage};
use layercast::rtp::{RtpPacket, RtpPacketMut};
use layercast::session::*;

const SSRC: u32 = 0x5eed;
/// One way.
const DELAY: Duration = Duration::from_millis(50);
/// How late a packet is that others overtake.
const OVERTAKEN: Duration = Duration::from_millis(15);
const FRAME: Duration = Duration::from_millis(20);

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// What the network does, in percent of the packets.
#[derive(Clone, Copy, Default)]
struct Faults {
    loss: u64,
    reorder: u64,
    twice: u64,
}

/// What happens next.
enum Event {
    ToReceiver(Bytes),
    ToSender(Bytes),
    /// The sender has something to send.
    Send(u32),
    /// The commit with the keys of the next epoch reaches the receiver.
    Keys(SenderKeys),
}

/// What is going to happen, in order.
struct Timeline {
    faults: Faults,
    chance: Chance,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    /// Packets to the receiver that were lost.
    lost: u64,
}

impl Timeline {
    fn new(faults: Faults) -> Self {
        Self { faults, chance: Chance(11), events: BTreeMap::new(), count: 0, lost: 0 }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }

    /// A packet goes on its way.
    fn transmit(&mut self, now: Time, make: fn(Bytes) -> Event, packet: Bytes) {
        let Faults { loss, reorder, twice } = self.faults;
        if self.chance.below(100) < loss {
            self.lost += 1;
            return;
        }
        let late = if self.chance.below(100) < reorder { OVERTAKEN } else { Duration::ZERO };
        self.at(now + DELAY + late, make(packet.clone()));
        if self.chance.below(100) < twice {
            self.at(now + DELAY + late + OVERTAKEN, make(packet));
        }
    }

    /// The next event, or the time at which somebody wants to be woken before it.
    fn next(&mut self, wake: [Option<Time>; 2]) -> Option<(Time, Option<Event>)> {
        let next = self.events.first_key_value().map(|((time, _), _)| *time);
        let now = wake.into_iter().flatten().chain(next).min()?;
        let event = if next == Some(now) { self.events.pop_first().map(|(_, event)| event) } else { None };
        Some((now, event))
    }
}

fn keys_of(sender: u32, epoch: u64) -> SenderKeys {
    SenderKeys::fresh(Agreement::default(), sender, epoch).unwrap()
}

fn receiving(keys: &SenderKeys, context: Context) -> (Opener, KeyRing) {
    let mut ring = KeyRing::new(Agreement::default(), Duration::from_secs(5));
    ring.add(Time::ZERO, keys.grant().clone());
    (Opener::new(Agreement::default(), keys.sender(), context), ring)
}

mod audio {
    use super::*;

    /// What a receiver gave out, and when.
    #[derive(Debug, PartialEq)]
    enum Heard {
        Frame { number: u32, at: Time, timestamp: u32, level: Option<AudioLevel> },
        Lost(u64),
    }

    struct Call {
        line: Timeline,
        sender: AudioSender,
        receiver: AudioReceiver,
        heard: Vec<Heard>,
        refused: Vec<Refused>,
        /// Frames that are sent after a pause of ten others.
        pauses: Vec<u32>,
        sent: Vec<Bytes>,
    }

    fn level(number: u32) -> AudioLevel {
        AudioLevel { below: (number % 128) as u8, voice: number.is_multiple_of(3) }
    }

    fn payload(number: u32) -> Vec<u8> {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(40 + number as usize % 100, 7);
        payload
    }

    impl Call {
        fn new(faults: Faults) -> (Self, SenderKeys) {
            let mut keys = keys_of(1, 0);
            let (opener, ring) = receiving(&keys, Context::audio(0));
            let sealer = keys.sealer(Context::audio(0)).unwrap();
            let call = Self {
                line: Timeline::new(faults),
                sender: AudioSender::new(AudioSenderConfig::new(SSRC), sealer),
                receiver: AudioReceiver::new(AudioReceiverConfig::new(SSRC), opener, ring),
                heard: vec![],
                refused: vec![],
                pauses: vec![],
                sent: vec![],
            };
            (call, keys)
        }

        /// When a frame is captured.
        fn captured(&self, number: u32) -> Time {
            let pauses = self.pauses.iter().filter(|after| **after <= number).count() as u32;
            Time::ZERO + FRAME * (number + 10 * pauses)
        }

        fn timestamp(&self, number: u32) -> u32 {
            (self.captured(number).since_start().as_millis() * 48) as u32
        }

        fn run(&mut self, frames: u32) {
            for n in 0..frames {
                self.line.at(self.captured(n), Event::Send(n));
            }
            let mut wake = None;
            while let Some((now, event)) = self.line.next([wake, None]) {
                match event {
                    Some(Event::Send(number)) => {
                        let frame = OutgoingAudio {
                            payload: &payload(number),
                            timestamp: self.timestamp(number),
                            after_pause: number == 0 || self.pauses.contains(&number),
                            level: level(number),
                        };
                        self.sender.handle_frame(now, &frame).unwrap();
                        while let SenderOutput::Transmit(packet) = self.sender.poll(now) {
                            self.sent.push(packet.clone());
                            self.line.transmit(now, Event::ToReceiver, packet);
                        }
                    }
                    Some(Event::ToReceiver(packet)) => self.receiver.handle_packet(now, packet),
                    Some(Event::Keys(keys)) => {
                        self.receiver.keys_mut().add(now, keys.grant().clone());
                    }
                    Some(Event::ToSender(_)) => unreachable!("receivers of audio ask for nothing"),
                    None => {}
                }
                wake = self.poll(now);
                assert!(wake.is_none_or(|wake| wake > now), "a timeout that is over at {now:?}");
            }
        }

        fn poll(&mut self, now: Time) -> Option<Time> {
            loop {
                match self.receiver.poll(now) {
                    AudioOutput::Frame(frame) => {
                        let number = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                        assert_eq!(frame.payload, payload(number));
                        let (timestamp, level) = (frame.timestamp, frame.level);
                        self.heard.push(Heard::Frame { number, at: now, timestamp, level });
                    }
                    AudioOutput::Lost { frames } => self.heard.push(Heard::Lost(frames)),
                    AudioOutput::Refused(refused) => self.refused.push(refused),
                    AudioOutput::Timeout(at) => return at,
                    other => panic!("{other:?}"),
                }
            }
        }

        /// The numbers of the frames that were heard. Lost ones are in their places between them.
        fn numbers(&self) -> Vec<u32> {
            let (mut numbers, mut next) = (vec![], 0);
            for heard in &self.heard {
                match heard {
                    Heard::Lost(frames) => next += *frames as u32,
                    Heard::Frame { number, timestamp, level: heard_level, .. } => {
                        // Nobody can tell how many were lost before the first.
                        if numbers.is_empty() {
                            next = *number;
                        }
                        assert_eq!((*number, *heard_level), (next, Some(level(*number))));
                        let first = RtpPacket::read(&self.sent[0]).unwrap().header.timestamp;
                        assert_eq!(*timestamp, first.wrapping_add(self.timestamp(*number)));
                        numbers.push(*number);
                        next += 1;
                    }
                }
            }
            numbers
        }
    }

    #[test]
    fn frames_come_in_order_and_lost_ones_are_told_in_their_places() {
        let (mut call, _) = Call::new(Faults { loss: 5, reorder: 5, twice: 5 });
        call.run(3000);
        let heard = call.numbers().len() as u64;
        let statistics = call.receiver.statistics().packets;
        // A packet that others overtook is not lost.
        assert_eq!((heard, statistics.frames), (3000 - call.line.lost, heard));
        assert!(call.line.lost > 100 && statistics.lost <= call.line.lost, "{statistics:?}");
        assert!(statistics.duplicates > 100 && statistics.late == 0, "{statistics:?}");
        for frame in &call.heard {
            let Heard::Frame { number, at, .. } = frame else { continue };
            let delay = *at - call.captured(*number);
            let most = DELAY + FRAME + Duration::from_millis(30);
            assert!(delay >= DELAY && delay <= most, "{number}: {delay:?}");
        }
        assert_eq!(call.refused, []);
    }

    #[test]
    fn a_pause_is_no_loss() {
        let (mut call, _) = Call::new(Faults::default());
        call.pauses = vec![30, 31, 60];
        call.run(90);
        assert_eq!(call.numbers(), (0..90).collect::<Vec<_>>());
        assert!(call.heard.iter().all(|heard| !matches!(heard, Heard::Lost(_))));
        let after_pause: Vec<usize> = call
            .sent
            .iter()
            .enumerate()
            .filter(|(_, packet)| RtpPacket::read(packet).unwrap().header.marker)
            .map(|(number, _)| number)
            .collect();
        assert_eq!(after_pause, [0, 30, 31, 60]);
    }

    #[test]
    fn a_commit_that_comes_late_loses_nothing() {
        let (mut call, _) = Call::new(Faults { reorder: 20, ..Faults::default() });
        call.run(20);
        let mut next = keys_of(1, 1);
        call.sender.rekey(&mut next, 0).unwrap();
        assert!(call.sender.rekey(&mut next, 0).is_err(), "each key is given out once");
        call.line.at(ms(1000), Event::Keys(next));
        // The clock goes on from there.
        for n in 20..60 {
            call.line.at(call.captured(n), Event::Send(n));
        }
        call.run(0);
        assert_eq!(call.numbers(), (0..60).collect::<Vec<_>>());
        assert!(call.receiver.statistics().held > 20, "{:?}", call.receiver.statistics());
        assert_eq!(call.refused, []);
    }

    #[test]
    fn a_sender_that_starts_anew_is_heard_at_once() {
        let (mut call, _) = Call::new(Faults { reorder: 20, ..Faults::default() });
        call.run(200);
        // Its program has lost the numbers, and has keys of a later epoch.
        let mut keys = keys_of(1, 1);
        let sealer = keys.sealer(Context::audio(0)).unwrap();
        call.receiver.keys_mut().add(ms(4000), keys.grant().clone());
        call.sender = AudioSender::new(AudioSenderConfig::new(SSRC), sealer);
        for n in 200..300 {
            call.line.at(call.captured(n), Event::Send(n));
        }
        call.run(0);
        let heard: Vec<u32> = call
            .heard
            .iter()
            .map(|heard| match heard {
                Heard::Frame { number, .. } => *number,
                Heard::Lost(frames) => panic!("{frames} lost"),
            })
            .collect();
        // If the first one is overtaken it is late, as nobody knows that there was one before.
        assert!(heard.is_sorted() && heard.len() >= 299, "{heard:?}");
    }

    #[test]
    fn keys_that_never_come_are_not_waited_for_forever() {
        let (mut call, _) = Call::new(Faults::default());
        call.sender.rekey(&mut keys_of(1, 1), 0).unwrap();
        call.run(300);
        assert_eq!((call.numbers(), call.refused.len()), (vec![], 300));
    }

    #[test]
    fn loudness_is_left_out_on_request_and_never_in_the_clear() {
        let mut keys = keys_of(1, 0);
        let (opener, ring) = receiving(&keys, Context::audio(0));
        let mut config = AudioSenderConfig::new(SSRC);
        config.levels = false;
        let mut sender = AudioSender::new(config, keys.sealer(Context::audio(0)).unwrap());
        let mut config = AudioReceiverConfig::new(SSRC);
        config.levels = false;
        let mut receiver = AudioReceiver::new(config, opener, ring);
        let frame =
            OutgoingAudio { payload: b"opus", timestamp: 0, after_pause: true, level: AudioLevel::SILENCE };
        sender.handle_frame(Time::ZERO, &frame).unwrap();
        let SenderOutput::Transmit(packet) = sender.poll(Time::ZERO) else { panic!() };
        assert_eq!(RtpPacket::read(&packet).unwrap().extensions.count(), 0);
        receiver.handle_packet(Time::ZERO, packet);
        let AudioOutput::Frame(got) = receiver.poll(Time::ZERO) else { panic!() };
        assert_eq!((&got.payload[..], got.level), (&b"opus"[..], None));
    }

    #[test]
    fn frames_that_cannot_be_sent_leave_no_gap() {
        let (mut call, _) = Call::new(Faults::default());
        let frame =
            |payload| OutgoingAudio { payload, timestamp: 0, after_pause: false, level: AudioLevel::SILENCE };
        assert!(call.sender.handle_frame(Time::ZERO, &frame(&[])).is_err());
        assert!(call.sender.handle_frame(Time::ZERO, &frame(&[0; 1190])).is_err());
        call.run(10);
        assert_eq!(call.numbers(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_heard_but_what_was_sent() {
        let mut chance = Chance(3);
        let (mut call, _) = Call::new(Faults::default());
        // Frames of another stream of the same sender, and of another sender, under this stream's SSRC.
        let mut others = vec![];
        for (sender, stream) in [(1, 1), (2, 0)] {
            let sealer = keys_of(sender, 0).sealer(Context::audio(stream)).unwrap();
            let mut sender = AudioSender::new(AudioSenderConfig::new(SSRC), sealer);
            for n in 0..50 {
                let (level, payload) = (level(n), payload(n));
                let frame = OutgoingAudio { payload: &payload, timestamp: 0, after_pause: false, level };
                sender.handle_frame(Time::ZERO, &frame).unwrap();
                let SenderOutput::Transmit(packet) = sender.poll(Time::ZERO) else { panic!() };
                others.push(packet);
            }
        }
        let mut tampered = 0;
        for number in 0..400 {
            let now = call.captured(number);
            let (level, payload) = (level(number), payload(number));
            let timestamp = call.timestamp(number);
            let frame = OutgoingAudio { payload: &payload, timestamp, after_pause: false, level };
            call.sender.handle_frame(now, &frame).unwrap();
            let SenderOutput::Transmit(packet) = call.sender.poll(now) else { panic!() };
            call.sent.push(packet.clone());
            for _ in 0..10 {
                let mut forged = BytesMut::from(&packet[..]);
                match chance.below(5) {
                    0 => {
                        let at = 13 + chance.below(forged.len() as u64 - 13) as usize;
                        forged[at] ^= 1 << chance.below(8);
                    }
                    1 => forged.truncate(chance.below(forged.len() as u64) as usize),
                    2 => forged = BytesMut::from(&others[chance.below(100) as usize][..]),
                    3 => forged.extend_from_slice(&[0; 3]),
                    // One that came before.
                    _ => {
                        forged = BytesMut::from(&call.sent[chance.below(u64::from(number) + 1) as usize][..])
                    }
                }
                if forged == packet {
                    continue;
                }
                tampered += 1;
                call.receiver.handle_packet(now, forged.freeze());
                call.poll(now);
            }
            // What a relay may change; and it may say that the frames are in another order, to no avail.
            let mut relayed = BytesMut::from(&packet[..]);
            let mut header = RtpPacketMut::new(&mut relayed).unwrap();
            header.set_sequence_number(chance.below(65_536) as u16);
            header.set_marker(chance.once_in(2));
            call.receiver.handle_packet(now, relayed.freeze());
            call.poll(now);
        }
        assert!(tampered > 3000);
        assert_eq!(call.numbers(), (0..400).collect::<Vec<_>>());
        let statistics = call.receiver.statistics().packets;
        assert!(call.refused.len() > 2000 && statistics.duplicates > 500, "{statistics:?}");
        // One of another SSRC is nobody's business. (Those that wait for an unknown key are refused first.)
        call.poll(ms(20_000));
        let refused = call.refused.len();
        let mut other = BytesMut::from(&call.sent[0][..]);
        RtpPacketMut::new(&mut other).unwrap().set_ssrc(1);
        call.receiver.handle_packet(ms(20_000), other.freeze());
        call.poll(ms(20_000));
        assert_eq!(call.refused.len(), refused);
    }
}

mod data {
    use super::*;

    struct Call {
        line: Timeline,
        sender: DataSender,
        receiver: DataReceiver,
        /// From one message to the next.
        interval: Duration,
        /// Bytes of each message.
        size: fn(u32) -> usize,
        got: Vec<(u32, Time)>,
        lost: u64,
        refused: Vec<Refused>,
        sent: Vec<Bytes>,
        nacks: u64,
        /// What a relay adds to sequence numbers.
        renumbered: u16,
    }

    fn message(number: u32, size: usize) -> Vec<u8> {
        let mut message = number.to_be_bytes().to_vec();
        message.extend((4..size).map(|at| (at as u32 ^ number) as u8));
        message
    }

    impl Call {
        fn new(faults: Faults, sends: DataSenderConfig, receives: DataReceiverConfig) -> (Self, SenderKeys) {
            let mut keys = keys_of(1, 0);
            let (opener, ring) = receiving(&keys, Context::data(0));
            let call = Self {
                line: Timeline::new(faults),
                sender: DataSender::new(sends, keys.sealer(Context::data(0)).unwrap()),
                receiver: DataReceiver::new(receives, opener, ring),
                interval: Duration::from_millis(30),
                size: |number| 10 + number as usize * 97 % 4000,
                got: vec![],
                lost: 0,
                refused: vec![],
                sent: vec![],
                nacks: 0,
                renumbered: 0,
            };
            (call, keys)
        }

        fn repaired(faults: Faults, ordered: bool) -> Self {
            let mut receives = DataReceiverConfig::new(SSRC);
            receives.ordered = ordered;
            Self::new(faults, DataSenderConfig::new(SSRC), receives).0
        }

        fn sent_at(&self, number: u32) -> Time {
            Time::ZERO + self.interval * number
        }

        fn run(&mut self, messages: std::ops::Range<u32>) {
            for n in messages {
                self.line.at(self.sent_at(n), Event::Send(n));
            }
            let mut wake = [None; 2];
            while let Some((now, event)) = self.line.next(wake) {
                match event {
                    Some(Event::Send(number)) => {
                        let message = message(number, (self.size)(number));
                        self.sender.handle_message(now, &message).unwrap();
                    }
                    Some(Event::ToReceiver(packet)) => self.receiver.handle_packet(now, packet),
                    Some(Event::ToSender(packet)) => self.sender.handle_feedback(now, &packet),
                    Some(Event::Keys(keys)) => {
                        self.receiver.keys_mut().add(now, keys.grant().clone());
                    }
                    None => {}
                }
                wake[0] = loop {
                    match self.sender.poll(now) {
                        SenderOutput::Transmit(packet) => {
                            self.sent.push(packet.clone());
                            let mut relayed = BytesMut::from(&packet[..]);
                            let number = RtpPacket::read(&packet).unwrap().header.sequence_number;
                            let mut header = RtpPacketMut::new(&mut relayed).unwrap();
                            header.set_sequence_number(number.wrapping_add(self.renumbered));
                            self.line.transmit(now, Event::ToReceiver, relayed.freeze());
                        }
                        SenderOutput::Timeout(at) => break at,
                        other => panic!("{other:?}"),
                    }
                };
                wake[1] = self.poll(now);
                assert!(wake.iter().flatten().all(|wake| *wake > now), "a timeout that is over at {now:?}");
            }
        }

        fn poll(&mut self, now: Time) -> Option<Time> {
            loop {
                match self.receiver.poll(now) {
                    DataOutput::Message(got) => {
                        let number = u32::from_be_bytes(got[..4].try_into().unwrap());
                        assert_eq!(got, message(number, (self.size)(number)));
                        self.got.push((number, now));
                    }
                    DataOutput::Transmit(packet) => {
                        self.nacks += 1;
                        let packet = self.translated(&packet);
                        self.line.transmit(now, Event::ToSender, packet);
                    }
                    DataOutput::Lost { packets } => self.lost += packets,
                    DataOutput::Refused(refused) => self.refused.push(refused),
                    DataOutput::Timeout(at) => return at,
                    other => panic!("{other:?}"),
                }
            }
        }

        /// A request as the relay hands it on, with the sender's own sequence numbers.
        fn translated(&self, packet: &[u8]) -> Bytes {
            let Some(Ok(RtcpMessage::Nack { sender_ssrc, media_ssrc, lost })) = rtcp::read(packet).next()
            else {
                panic!("no NACK");
            };
            let numbers = lost.iter().flat_map(|lost| lost.sequence_numbers());
            let lost = Lost::of(numbers.map(|number| number.wrapping_sub(self.renumbered)));
            let mut translated = BytesMut::new();
            rtcp::write(&[RtcpMessage::Nack { sender_ssrc, media_ssrc, lost }], &mut translated).unwrap();
            translated.freeze()
        }

        fn numbers(&self) -> Vec<u32> {
            self.got.iter().map(|(number, _)| *number).collect()
        }

        fn slowest(&self) -> Duration {
            self.got.iter().map(|(number, at)| *at - self.sent_at(*number)).max().unwrap()
        }
    }

    #[test]
    fn no_message_is_lost_at_twenty_percent() {
        for renumbered in [0, 40_000] {
            let mut call = Call::repaired(Faults { loss: 20, reorder: 5, twice: 5 }, true);
            call.renumbered = renumbered;
            call.run(0..400);
            assert_eq!(call.numbers(), (0..400).collect::<Vec<_>>());
            let statistics = call.receiver.statistics();
            assert!(call.line.lost > 200 && call.nacks > 50, "{statistics:?}");
            assert_eq!((call.lost, statistics.packets.lost, statistics.packets.frames), (0, 0, 400));
            // It finds out how long a retransmission takes.
            let round_trip = statistics.round_trip.unwrap();
            assert!(round_trip > Duration::from_millis(80) && round_trip < DELAY * 3, "{round_trip:?}");
            assert!(call.slowest() < Duration::from_secs(2), "{:?}", call.slowest());
            assert_eq!(call.refused, []);
        }
    }

    #[test]
    fn without_an_order_no_message_waits_for_another() {
        let faults = Faults { loss: 20, reorder: 5, twice: 5 };
        let median = |ordered| {
            let mut call = Call::repaired(faults, ordered);
            call.size = |number| 10 + number as usize % 500;
            call.run(0..400);
            let mut numbers = call.numbers();
            assert_eq!(numbers.is_sorted(), ordered);
            numbers.sort_unstable();
            assert_eq!((numbers, call.lost), ((0..400).collect(), 0));
            let mut delays: Vec<_> =
                call.got.iter().map(|(number, at)| *at - call.sent_at(*number)).collect();
            delays.sort_unstable();
            delays[delays.len() / 2]
        };
        assert_eq!(median(false), DELAY);
        assert!(median(true) > DELAY * 2);
    }

    #[test]
    fn a_lone_message_does_not_wait_for_the_next_one() {
        let mut slowest = Duration::ZERO;
        for seed in 0..40 {
            let mut call = Call::repaired(Faults { loss: 20, ..Faults::default() }, true);
            call.line.chance = Chance(seed);
            call.size = |_| 5000;
            call.run(0..1);
            assert_eq!(call.numbers(), [0], "{seed}");
            slowest = slowest.max(call.slowest());
        }
        assert!(slowest < Duration::from_millis(1500), "{slowest:?}");
    }

    #[test]
    fn best_effort_asks_for_nothing_and_waits_for_nothing() {
        let receives = DataReceiverConfig::best_effort(SSRC);
        let (mut call, _) = Call::new(
            Faults { loss: 5, reorder: 5, twice: 5 },
            DataSenderConfig::best_effort(SSRC),
            receives,
        );
        call.run(0..1000);
        let numbers = call.numbers();
        assert!(numbers.is_sorted() && numbers.len() > 850 && numbers.len() < 1000, "{}", numbers.len());
        assert_eq!((call.nacks, call.sender.statistics().retransmissions), (0, 0));
        // All is told of, but perhaps for what was lost at the end.
        assert!(call.line.lost - call.lost <= 2, "{} {}", call.line.lost, call.lost);
        let most = DELAY + OVERTAKEN + call.interval + Duration::from_millis(30);
        assert!(call.slowest() <= most, "{:?}", call.slowest());
    }

    #[test]
    fn a_commit_that_comes_late_loses_nothing() {
        let mut call = Call::repaired(Faults { loss: 5, reorder: 5, twice: 0 }, true);
        // The held packets have a number.
        call.size = |number| 10 + number as usize * 97 % 2000;
        call.run(0..10);
        let mut next = keys_of(1, 1);
        call.sender.rekey(&mut next, 0).unwrap();
        call.line.at(ms(1000), Event::Keys(next));
        call.interval = Duration::from_millis(60);
        call.run(10..60);
        assert_eq!(call.numbers(), (0..60).collect::<Vec<_>>());
        assert!(call.receiver.statistics().held > 5);
        assert_eq!(call.lost, 0);
    }

    /// The first packets of a sender that counts anew have the numbers of others that came before.
    #[test]
    fn a_sender_that_starts_anew_is_understood_at_once() {
        let mut call = Call::repaired(Faults::default(), true);
        let sent = |sender: &mut DataSender, byte| {
            sender.handle_message(Time::ZERO, &[byte; 2000]).unwrap();
            let mut packets = vec![];
            while let SenderOutput::Transmit(packet) = sender.poll(Time::ZERO) {
                packets.push(packet);
            }
            packets
        };
        let before = sent(&mut call.sender, 1);
        let mut keys = keys_of(1, 1);
        let sealer = keys.sealer(Context::data(0)).unwrap();
        call.receiver.keys_mut().add(Time::ZERO, keys.grant().clone());
        let after = sent(&mut DataSender::new(DataSenderConfig::new(SSRC), sealer), 2);
        assert_eq!((before.len(), after.len()), (2, 2));
        let (mut messages, mut lost) = (vec![], 0);
        // Pieces from before and after make no message.
        for packet in [&before[0], &after[1], &before[1], &after[0]] {
            call.receiver.handle_packet(Time::ZERO, packet.clone());
            loop {
                match call.receiver.poll(Time::ZERO) {
                    DataOutput::Message(message) => messages.push(message),
                    DataOutput::Lost { packets } => lost += packets,
                    DataOutput::Timeout(_) => break,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!((messages, lost), (vec![Bytes::from(vec![2; 2000])], 1));
    }

    #[test]
    fn messages_have_their_size() {
        let mut call = Call::repaired(Faults::default(), true);
        for size in [0, 1, 64 << 10] {
            call.sender.handle_message(Time::ZERO, &vec![7; size]).unwrap();
        }
        let packets = call.sender.statistics().packets;
        assert!(call.sender.handle_message(Time::ZERO, &vec![7; (64 << 10) + 1]).is_err());
        assert_eq!(call.sender.statistics().packets, packets, "nothing of it is sent");
        let mut sizes = vec![];
        while let SenderOutput::Transmit(packet) = call.sender.poll(Time::ZERO) {
            call.receiver.handle_packet(Time::ZERO, packet);
            while let DataOutput::Message(message) = call.receiver.poll(Time::ZERO) {
                sizes.push(message.len());
            }
        }
        assert_eq!(sizes, [0, 1, 64 << 10]);

        // A receiver that agreed on less puts none of it together, and goes on.
        let mut receives = DataReceiverConfig::new(SSRC);
        receives.max_message = 3000;
        let (mut call, _) = Call::new(Faults::default(), DataSenderConfig::new(SSRC), receives);
        call.size = |number| if number == 3 { 30_000 } else { 3000 };
        call.run(0..6);
        assert_eq!(call.numbers(), [0, 1, 2, 4, 5]);
        assert_eq!(call.receiver.statistics().packets.abandoned, 1);
    }

    #[test]
    fn nothing_is_taken_but_what_was_sent() {
        let mut chance = Chance(5);
        for ordered in [true, false] {
            let mut call = Call::repaired(Faults::default(), ordered);
            call.size = |number| 10 + number as usize * 397 % 4000;
            let mut packets: Vec<Bytes> = vec![];
            for number in 0..60 {
                call.sender.handle_message(Time::ZERO, &message(number, (call.size)(number))).unwrap();
                while let SenderOutput::Transmit(packet) = call.sender.poll(Time::ZERO) {
                    packets.push(packet);
                }
            }
            let sealer = keys_of(1, 0).sealer(Context::data(1)).unwrap();
            let mut stranger = DataSender::new(DataSenderConfig::new(SSRC), sealer);
            stranger.handle_message(Time::ZERO, &[7; 40_000]).unwrap();
            let mut others = vec![];
            while let SenderOutput::Transmit(packet) = stranger.poll(Time::ZERO) {
                others.push(packet);
            }
            for (at, packet) in packets.iter().enumerate() {
                for _ in 0..20 {
                    let mut forged = BytesMut::from(&packet[..]);
                    match chance.below(4) {
                        0 => {
                            let at = 13 + chance.below(forged.len() as u64 - 13) as usize;
                            forged[at] ^= 1 << chance.below(8);
                        }
                        1 => forged.truncate(chance.below(forged.len() as u64) as usize),
                        2 => {
                            let other = &others[chance.below(others.len() as u64) as usize];
                            forged = BytesMut::from(&other[..]);
                        }
                        _ => forged = BytesMut::from(&packets[chance.below(at as u64 + 1) as usize][..]),
                    }
                    if forged == packet {
                        continue;
                    }
                    call.receiver.handle_packet(Time::ZERO, forged.freeze());
                    call.poll(Time::ZERO);
                }
                // A relay that numbers packets anew joins no pieces of different messages.
                let mut relayed = BytesMut::from(&packet[..]);
                let number = chance.below(65_536) as u16;
                RtpPacketMut::new(&mut relayed).unwrap().set_sequence_number(number);
                call.receiver.handle_packet(Time::ZERO, relayed.freeze());
                call.poll(Time::ZERO);
            }
            assert_eq!((call.numbers(), call.lost), ((0..60).collect(), 0));
            assert!(call.refused.len() > 500);
        }
    }
}

/// Video in the browsers' form.
mod video {
    use layercast::Size;
    use layercast::e2ee::{Binding, VideoOpener};
    use layercast::rtp::SentPackets;
    use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};

    use super::relay::Relay;
    use super::*;

    const PICTURE: Duration = Duration::from_millis(33);
    const RELAYED: u32 = 7;
    const TARGET: LayerId = LayerId::new(1, 2);

    /// The only bytes that a layer of a picture has.
    fn payload(number: u32, spatial_id: u8) -> Vec<u8> {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(500 + 1700 * usize::from(spatial_id) + number as usize * 37 % 900, spatial_id);
        payload
    }

    struct Call {
        chance: Chance,
        planner: Planner,
        sender: VideoSender,
        relay: Relay,
        forwarded: SentPackets,
        receiver: VideoReceiver,
        shown: Vec<u32>,
        refused: usize,
        asked: Vec<Bytes>,
    }

    impl Call {
        fn new() -> Self {
            let agreement = Agreement { binding: Binding::Page, ..Agreement::default() };
            let mut keys = SenderKeys::fresh(agreement, 1, 0).unwrap();
            let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
            ring.add(Time::ZERO, keys.grant().clone());
            let mut sends = VideoSenderConfig::new(SSRC);
            sends.path = None;
            sends.opaque = true;
            let mut receives = VideoReceiverConfig::new(RELAYED, TARGET);
            receives.opaque = true;
            let opener = VideoOpener::new(agreement, 1, 0);
            Self {
                chance: Chance(17),
                planner: Planner::new(ScalabilityMode::L3T3, Size::new(640, 360)),
                sender: VideoSender::without_encoder(sends, Some(keys.video(0).unwrap())),
                relay: Relay::new(TARGET, DESCRIPTOR_ID, 65_000, 12_345),
                forwarded: SentPackets::new(1024),
                receiver: VideoReceiver::without_decoder(receives, Some((opener, ring))),
                shown: vec![],
                refused: 0,
                asked: vec![],
            }
        }

        /// The packets of a picture as the relay forwards them.
        fn picture(&mut self, now: Time, number: u32) -> Vec<Bytes> {
            let refresh = self.sender.next_refresh(now);
            let wanted = DecodeTargets::all(self.planner.structure());
            let plan = self.planner.next(PictureRequest { refresh, wanted });
            let payloads: Vec<_> =
                plan.frames.iter().map(|frame| payload(number, frame.layer.spatial_id)).collect();
            self.sender.handle_coded(now, &plan, payloads.iter().map(Vec::as_slice)).unwrap();
            let mut packets = vec![];
            while let SenderOutput::Transmit(packet) = self.sender.poll(now) {
                if !rtcp::is_rtcp(&packet) {
                    packets.extend(self.relay.forward(now, &packet));
                }
            }
            packets.iter().for_each(|packet| self.forwarded.insert(now, packet.clone()));
            packets
        }

        fn receive(&mut self, now: Time, packet: Bytes) {
            self.receiver.handle_packet(now, packet);
            self.poll(now);
        }

        fn poll(&mut self, now: Time) {
            loop {
                match self.receiver.poll(now) {
                    ReceiverOutput::Unit(unit) => {
                        for frame in &unit.frames {
                            let number = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                            assert_eq!(frame.payload, payload(number, frame.layer.spatial_id));
                            if frame.layer.spatial_id == TARGET.spatial_id {
                                assert!(self.shown.last().is_none_or(|last| *last < number));
                                self.shown.push(number);
                            }
                        }
                    }
                    ReceiverOutput::Transmit(packet) => self.asked.push(packet),
                    ReceiverOutput::Refused(_) => self.refused += 1,
                    ReceiverOutput::Timeout(_) => return,
                    other => panic!("{other:?}"),
                }
            }
        }

        /// The packets that the receiver asked for, from the relay. Requests for pictures go to the sender.
        fn answers(&mut self, now: Time) -> Vec<Bytes> {
            let asked = std::mem::take(&mut self.asked);
            let mut numbers = vec![];
            for message in asked.iter().flat_map(|packet| rtcp::read(packet)) {
                let mut message = message.unwrap();
                match &mut message {
                    RtcpMessage::Nack { lost, .. } => {
                        numbers.extend(lost.iter().flat_map(|lost| lost.sequence_numbers()));
                        continue;
                    }
                    RtcpMessage::Fir { requests, .. } => requests.iter_mut().for_each(|r| r.ssrc = SSRC),
                    RtcpMessage::Lrr { requests, .. } => requests.iter_mut().for_each(|r| r.ssrc = SSRC),
                    // Transport-wide feedback and reports are for the relay.
                    RtcpMessage::Other { packet_type: 205, .. } | RtcpMessage::ReceiverReport { .. } => {
                        continue;
                    }
                    other => panic!("{other:?}"),
                }
                let mut translated = vec![];
                rtcp::write(&[message], &mut translated).unwrap();
                self.sender.handle_feedback(now, &translated);
            }
            let mut again = vec![];
            numbers.into_iter().for_each(|number| again.extend(self.forwarded.resend(now, number).cloned()));
            again
        }
    }

    #[test]
    fn it_goes_through_a_relay_and_losses_are_made_good() {
        let mut call = Call::new();
        let mut lost = 0;
        for number in 0..300 {
            let now = Time::ZERO + PICTURE * number;
            for packet in call.answers(now) {
                call.receive(now, packet);
            }
            for packet in call.picture(now, number) {
                if number > 2 && call.chance.below(100) < 10 {
                    lost += 1;
                } else {
                    call.receive(now, packet);
                }
            }
            call.poll(now + PICTURE / 2);
        }
        // What was lost of the last pictures comes in time.
        for n in 0..20 {
            let now = Time::ZERO + PICTURE * (300 + n);
            call.poll(now);
            for packet in call.answers(now) {
                call.receive(now, packet);
            }
        }
        let statistics = call.receiver.statistics().packets;
        // Nothing tells of what is lost at the end.
        assert!(lost > 100 && call.shown.len() >= 298, "{} shown, {statistics:?}", call.shown.len());
        assert_eq!((call.refused, statistics.lost, statistics.abandoned), (0, 0, 0));
        assert_eq!(call.sender.statistics().refreshes, 0);
    }

    #[test]
    fn nothing_is_shown_but_what_was_sent() {
        let mut call = Call::new();
        let (mut tampered, mut before) = (0, vec![]);
        for number in 0..900 {
            let now = Time::ZERO + PICTURE * number;
            let packets = call.picture(now, number);
            let (bit, kind) = (1 << call.chance.below(8), call.chance.below(6));
            // A packet of each eighth picture is tampered with, and comes in its own place.
            let at = call.chance.below(packets.len() as u64) as usize;
            for (index, packet) in packets.iter().enumerate() {
                let mut forged = BytesMut::from(&packet[..]);
                let rtp = RtpPacket::read(packet).unwrap();
                let descriptor = rtp.extension_range(DESCRIPTOR_ID).unwrap().unwrap();
                let payload = rtp.payload_range.clone();
                if number % 8 == 7 && index == at {
                    let spot = call.chance.below(payload.len() as u64 - 1) as usize + 1;
                    match kind {
                        0 | 1 => forged[payload.start + spot] ^= bit,
                        2 => forged.truncate(payload.start + spot),
                        // Another frame number; another payload.
                        3 => forged[descriptor.start + 2] ^= bit,
                        4 => {
                            let other: &Bytes = &before[call.chance.below(before.len() as u64) as usize];
                            let other = RtpPacket::read(other).unwrap();
                            forged.truncate(payload.start);
                            forged.extend_from_slice(other.payload);
                        }
                        _ => forged[payload.start] ^= bit,
                    }
                    tampered += usize::from(forged != packet);
                }
                call.receive(now, forged.freeze());
            }
            call.answers(now);
            before = packets;
        }
        assert!(tampered > 100 && call.refused >= tampered, "{tampered} {}", call.refused);
        // It goes on after each.
        assert!(
            call.shown.len() > 400 && call.shown.last().is_some_and(|last| *last > 880),
            "{:?}",
            call.shown
        );
    }
}
