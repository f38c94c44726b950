//! Streams over a link that carries only so much, in virtual time: what a sender and a receiver make of it together, each
//! as the program that links the crate drives it. Frames are sealed, and stand for coded pictures by their sizes, which
//! follow the sender's estimate as those of a rate control would.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use layercast::congestion::{PacketClass, PathPacket, SendPathConfig};
use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::rtp::{RtpHeader, RtpPacket, rtcp};
use layercast::select::{DemandMessage, LayerDemand, StreamId};
use layercast::session::*;
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

const SSRC: u32 = 0x5eed;
const AUDIO: u32 = 0xa0d1;
const PICTURE: Duration = Duration::from_micros(33_333);
/// One way.
const DELAY: Duration = Duration::from_millis(30);
/// Bytes around a packet, and bytes that the link's queue holds.
const OVERHEAD: usize = 38;
const QUEUE: usize = 150_000;

/// A link whose capacity in bit/s is that of the last step that has begun.
struct Link {
    steps: Vec<(Time, u64)>,
    free: Time,
    queue: VecDeque<(Time, usize)>,
}

impl Link {
    fn capacity(&self, at: Time) -> u64 {
        self.steps.iter().rev().find(|(from, _)| *from <= at).unwrap().1
    }

    /// When a packet has passed, unless there is no room for it.
    fn send(&mut self, now: Time, bytes: usize) -> Option<Time> {
        while self.queue.front().is_some_and(|(left, _)| *left <= now) {
            self.queue.pop_front();
        }
        if self.queue.iter().map(|(_, bytes)| bytes).sum::<usize>() + bytes > QUEUE {
            return None;
        }
        // In steps of a ms, in which the capacity is what it is.
        let (mut at, mut bits) = (self.free.max(now), bytes as f64 * 8.0);
        loop {
            let in_step = self.capacity(at) as f64 / 1000.0;
            if bits <= in_step {
                at += Duration::from_secs_f64(bits / in_step / 1000.0);
                break;
            }
            bits -= in_step;
            at += Duration::from_millis(1);
        }
        self.free = at;
        self.queue.push_back((at, bytes));
        Some(at)
    }
}

/// A packet that arrived.
#[derive(Clone, Copy)]
struct Arrived {
    sent: Time,
    bytes: usize,
    waited: Duration,
    ssrc: u32,
}

struct Call {
    link: Link,
    planner: Planner,
    sender: VideoSender,
    receiver: VideoReceiver,
    there: VecDeque<(Time, Bytes)>,
    back: VecDeque<(Time, Bytes)>,
    /// What was sent, and what arrived or will.
    arrived: Vec<Arrived>,
    lost: usize,
    /// Each estimate that was told, and when.
    told: Vec<(Time, u64)>,
    /// Numbers of the pictures shown, and when.
    shown: Vec<(u64, Time)>,
    /// Transport-wide numbers in the order that they were sent.
    numbers: Vec<u16>,
    /// Sequence numbers of the video, each once, and how many of them came without payload.
    video: BTreeSet<u16>,
    empty: usize,
    audio: u16,
}

impl Call {
    fn new(steps: &[(u64, u64)]) -> Self {
        let mode = ScalabilityMode::L3T3;
        let agreement = Agreement::default();
        let mut keys = SenderKeys::fresh(agreement, 1, 0).unwrap();
        let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
        ring.add(Time::ZERO, keys.grant().clone());
        let mut path = SendPathConfig::default();
        path.wanted = 20_000_000;
        path.overhead = OVERHEAD;
        let mut config = VideoSenderConfig::new(SSRC);
        config.path = Some(path);
        config.max_queue = Duration::from_millis(100);
        let sender = VideoSender::without_encoder(config, Some(keys.video(0).unwrap()));
        let config = VideoReceiverConfig::new(SSRC, LayerId::new(2, 2));
        let opener = VideoOpener::new(agreement, 1, 0);
        let steps = steps.iter().map(|(second, capacity)| (Time::from_secs(*second), *capacity)).collect();
        Self {
            link: Link { steps, free: Time::ZERO, queue: VecDeque::new() },
            planner: Planner::new(mode, Size::new(1280, 720)),
            sender,
            receiver: VideoReceiver::without_decoder(config, Some((opener, ring))),
            there: VecDeque::new(),
            back: VecDeque::new(),
            arrived: vec![],
            lost: 0,
            told: vec![],
            shown: vec![],
            numbers: vec![],
            video: BTreeSet::new(),
            empty: 0,
            audio: 0,
        }
    }

    /// A picture whose frames have the sizes of a rate control that follows the estimate.
    fn picture(&mut self, now: Time, number: u64) {
        if self.sender.is_behind(now) {
            return;
        }
        let refresh = self.sender.next_refresh(now);
        let wanted = DecodeTargets::all(self.planner.structure());
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        // All else takes about a tenth: headers, tags, audio.
        let bytes = self.sender.path().unwrap().bitrate() as f64 * 0.9 / 8.0 / 30.0;
        let payloads: Vec<Vec<u8>> = plan
            .frames
            .iter()
            .map(|frame| {
                let spatial = [0.15, 0.3, 0.55][usize::from(frame.layer.spatial_id)];
                let temporal = [1.6, 1.0, 0.7][usize::from(frame.layer.temporal_id)];
                let key = if plan.key { 3.0 } else { 1.0 };
                let mut payload = vec![0; 8.max((bytes * spatial * temporal * key) as usize)];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                payload
            })
            .collect();
        self.sender.handle_coded(now, &plan, payloads.iter().map(Vec::as_slice)).unwrap();
    }

    /// A packet of sound, with room for the path's number.
    fn sound(&mut self, now: Time) {
        self.audio += 1;
        let header = RtpHeader { ssrc: AUDIO, sequence_number: self.audio, ..RtpHeader::default() };
        let mut packet = vec![];
        header.write(&[(TRANSPORT_ID, &[0; 2])], &mut packet).unwrap();
        packet.resize(packet.len() + 80, 0);
        let frame = u64::from(AUDIO) << 32 | u64::from(self.audio);
        self.sender
            .handle_packet(now, PathPacket { class: PacketClass::Audio, frame, packet: packet.into() });
    }

    fn transmit(&mut self, now: Time, packet: Bytes) {
        if !rtcp::is_rtcp(&packet) {
            let rtp = RtpPacket::read(&packet).unwrap();
            let number = rtp.extension(TRANSPORT_ID).unwrap().unwrap();
            self.numbers.push(u16::from_be_bytes(number.try_into().unwrap()));
            if rtp.header.ssrc == SSRC {
                self.video.insert(rtp.header.sequence_number);
                self.empty += usize::from(rtp.payload.is_empty());
            }
            let bytes = packet.len() + OVERHEAD;
            let Some(left) = self.link.send(now, bytes) else {
                self.lost += 1;
                return;
            };
            let waited = left - now;
            self.arrived.push(Arrived { sent: now, bytes, waited, ssrc: rtp.header.ssrc });
            self.there.push_back((left + DELAY, packet));
        } else {
            self.there.push_back((self.link.free.max(now) + DELAY, packet));
        }
    }

    fn run(&mut self, seconds: u64) {
        let (mut pictures, mut sounds) = (0, 0);
        let (mut sender_at, mut receiver_at) = (None, None);
        loop {
            let events = [PICTURE * pictures, Duration::from_millis(20) * sounds].map(Time::new);
            let queues = [self.there.front(), self.back.front()].into_iter().flatten().map(|(at, _)| *at);
            let timeouts = [sender_at, receiver_at].into_iter().flatten();
            let now = events.into_iter().chain(queues).chain(timeouts).min().unwrap();
            if now >= Time::from_secs(seconds) {
                return;
            }
            if events[0] == now {
                self.picture(now, pictures.into());
                pictures += 1;
            }
            if events[1] == now {
                self.sound(now);
                sounds += 1;
            }
            while self.there.front().is_some_and(|(at, _)| *at <= now) {
                self.receiver.handle_packet(now, self.there.pop_front().unwrap().1);
            }
            while self.back.front().is_some_and(|(at, _)| *at <= now) {
                self.sender.handle_feedback(now, &self.back.pop_front().unwrap().1);
            }
            sender_at = loop {
                match self.sender.poll(now) {
                    SenderOutput::Transmit(packet) => self.transmit(now, packet),
                    SenderOutput::Bitrate(bitrate) => self.told.push((now, bitrate)),
                    SenderOutput::Timeout(at) => break at,
                    output => panic!("{output:?}"),
                }
            };
            receiver_at = loop {
                match self.receiver.poll(now) {
                    ReceiverOutput::Transmit(packet) => self.back.push_back((now + DELAY, packet)),
                    ReceiverOutput::Unit(unit) => {
                        let payload = &unit.frames.last().unwrap().payload;
                        let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
                        self.shown.push((number, now));
                    }
                    ReceiverOutput::Timeout(at) => break at,
                    _ => {}
                }
            };
            assert!([sender_at, receiver_at].iter().flatten().all(|at| *at > now), "a timeout that is over");
        }
    }

    fn streams(&self, from: u64, to: u64) -> impl Iterator<Item = &Arrived> {
        let (from, to) = (Time::from_secs(from), Time::from_secs(to));
        let is_stream = |packet: &&Arrived| packet.ssrc == SSRC || packet.ssrc == AUDIO;
        self.arrived.iter().filter(move |packet| packet.sent >= from && packet.sent < to).filter(is_stream)
    }

    /// The share of the capacity that the streams used, without padding.
    fn used(&self, from: u64, to: u64) -> f64 {
        let bytes: usize = self.streams(from, to).map(|packet| packet.bytes).sum();
        let capacity: u64 = (from..to).map(|second| self.link.capacity(Time::from_secs(second))).sum();
        bytes as f64 * 8.0 / capacity as f64
    }

    /// The wait before the link that this share of the packets does not exceed, in ms, with the time on the link.
    fn waited(&self, from: u64, to: u64, share: f64) -> f64 {
        let mut waits: Vec<_> = self.streams(from, to).map(|packet| packet.waited).collect();
        waits.sort();
        waits[((waits.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }

    /// How long after a second the estimate was first told to be in a range.
    fn found(&self, second: u64, range: impl std::ops::RangeBounds<u64>) -> Option<Duration> {
        let after = Time::from_secs(second);
        let found = self.told.iter().find(|(at, bitrate)| *at >= after && range.contains(bitrate));
        found.map(|(at, _)| *at - after)
    }

    /// The longest time from a picture shown to the next.
    fn gap(&self, from: u64, to: u64) -> Duration {
        let (from, to) = (Time::from_secs(from), Time::from_secs(to));
        let shown = self.shown.iter().map(|(_, at)| *at).filter(|at| (from..to).contains(at));
        let times: Vec<_> = [from].into_iter().chain(shown).chain([to]).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    }

    fn summary(&self) -> String {
        format!("{} lost; {:?} {:?}", self.lost, self.sender.statistics(), self.receiver.statistics())
    }
}

#[test]
fn a_steady_link_is_used_without_a_long_queue() {
    for capacity in [1_000_000, 3_000_000, 8_000_000] {
        let mut call = Call::new(&[(0, capacity)]);
        call.run(30);
        let (used, median, long) = (call.used(10, 30), call.waited(10, 30, 0.5), call.waited(10, 30, 0.95));
        let summary = format!(
            "{capacity}: used {used:.3}, waited {median:.0} and {long:.0} ms, longest gap {:?}, {}",
            call.gap(1, 30),
            call.summary()
        );
        println!("{summary}");
        assert!(used >= 0.9, "{summary}");
        assert!(long < 100.0, "{summary}");
        // Whatever the class, no number is left out.
        assert!(call.numbers.iter().zip(0u64..).all(|(number, n)| *number == n as u16));
        // All sound arrives at once.
        let sound: Vec<_> = call.arrived.iter().filter(|packet| packet.ssrc == AUDIO).collect();
        assert_eq!(sound.len(), 1500);
        // The sender knows what the receiver reports.
        let statistics = call.sender.statistics();
        let round_trip = statistics.round_trip.unwrap();
        assert!(round_trip >= 2 * DELAY && round_trip < 4 * DELAY, "{summary}");
        assert_eq!(statistics.report.unwrap().ssrc, SSRC);
    }
}

#[test]
fn a_link_that_halves_is_found_soon_and_so_is_one_that_doubles() {
    for capacity in [1_000_000, 3_000_000, 8_000_000] {
        for (to, seconds) in [(capacity / 2, 12), (2 * capacity, 20)] {
            let mut call = Call::new(&[(0, capacity), (12, to)]);
            call.run(seconds + 6);
            let (found, within) = if to < capacity {
                (call.found(12, ..=to), Duration::from_millis(500))
            } else {
                (call.found(12, to * 9 / 10..), Duration::from_secs(5))
            };
            let summary = format!(
                "{capacity} to {to}: {found:?}, gap {:?}, {}",
                call.gap(1, seconds + 6),
                call.summary()
            );
            println!("{summary}");
            assert!(found.is_some_and(|found| found <= within), "{summary}");
        }
    }
}

/// Frames that waited too long in the pacer are gone, and the next picture does not refer to them. What a break-down does
/// to the pictures has its bounds, and a second or two after the link's return nothing is left of it.
#[test]
fn a_link_that_breaks_down_for_two_seconds_freezes_nobody_for_long() {
    for (to, gap) in [(300_000, 700), (100_000, 1600)] {
        let mut call = Call::new(&[(0, 3_000_000), (10, to), (12, 3_000_000)]);
        call.run(30);
        let gaps = [call.gap(10, 14), call.gap(14, 30)];
        let summary = format!("{to}: gaps {gaps:?}, {}", call.summary());
        println!("{summary}");
        assert!(gaps[0] <= Duration::from_millis(gap) && gaps[1] <= Duration::from_millis(300), "{summary}");
        let statistics = call.sender.statistics();
        assert!(statistics.dropped > 0 || to > 100_000, "{summary}");
        // Their numbers leave no gap that a receiver would ask and wait for.
        assert!(call.empty > 0 || statistics.dropped == 0, "{summary}");
        let numbers: Vec<u16> = call.video.iter().copied().collect();
        assert!(numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1).count() <= 1, "{summary}");
        assert!(statistics.key_pictures <= 3, "{summary}");
        // It was the sender that knew: receivers had to ask for next to nothing.
        assert!(call.receiver.statistics().refreshes <= 2, "{summary}");
        let (_, estimate) = call.told.last().unwrap();
        assert!(*estimate > 2_000_000, "{estimate}");
    }
}

fn send_picture(now: Time, sender: &mut VideoSender, planner: &mut Planner, size: usize) -> bool {
    let refresh = sender.next_refresh(now);
    let wanted = sender.wanted().unwrap_or(DecodeTargets::all(planner.structure()));
    let plan = planner.next(PictureRequest { refresh, wanted });
    // An OBU with its size, of two bytes.
    let payload = [&[0x32, size as u8 | 0x80, (size >> 7) as u8][..], &vec![0; size]].concat();
    sender.handle_coded(now, &plan, plan.frames.iter().map(|_| &payload[..])).unwrap();
    plan.key
}

#[test]
fn a_second_camera_shares_the_path_and_hears_of_what_was_dropped() {
    let mut config = VideoSenderConfig::new(1);
    config.path = Some(SendPathConfig::new(50_000));
    let mut first = VideoSender::without_encoder(config, None);
    let mut config = VideoSenderConfig::new(2);
    config.path = None;
    let mut second = VideoSender::without_encoder(config, None);
    let mut planners = [(); 2].map(|()| Planner::new(ScalabilityMode::L1T1, Size::new(640, 360)));
    let (mut numbers, mut ssrcs, mut dropped) = (vec![], vec![], 0);
    // The second key picture would take more than two seconds at 50 kbit/s, and no frame waits for more than 400 ms.
    for ms in 0..1000 {
        let now = Time::from_millis(ms);
        if ms == 0 {
            assert!(send_picture(now, &mut first, &mut planners[0], 500));
            assert!(send_picture(now, &mut second, &mut planners[1], 16_383));
        }
        while let Some(packet) = second.next_packet() {
            first.handle_packet(now, packet);
        }
        loop {
            match first.poll(now) {
                SenderOutput::Transmit(packet) if !rtcp::is_rtcp(&packet) => {
                    let rtp = RtpPacket::read(&packet).unwrap();
                    let number = rtp.extension(TRANSPORT_ID).unwrap().unwrap();
                    numbers.push(u16::from_be_bytes(number.try_into().unwrap()));
                    ssrcs.push(rtp.header.ssrc);
                }
                SenderOutput::Dropped(frame) => {
                    dropped += 1;
                    first.handle_dropped(now, frame);
                    second.handle_dropped(now, frame);
                }
                SenderOutput::Timeout(_) => break,
                _ => {}
            }
        }
    }
    assert!(numbers.iter().zip(0..).all(|(number, n)| *number == n), "one path has one row of numbers");
    assert!(ssrcs.contains(&1) && ssrcs.contains(&2));
    assert_eq!((dropped, first.statistics().dropped, second.statistics().dropped), (1, 0, 1));
    // What comes next does not refer to what is gone.
    let later = Time::from_secs(1);
    assert!(!send_picture(later, &mut first, &mut planners[0], 100));
    assert!(send_picture(later, &mut second, &mut planners[1], 100));
}

#[test]
fn demand_says_what_is_coded() {
    let mut sender = VideoSender::without_encoder(VideoSenderConfig::new(1), None);
    let target = LayerId::new(1, 0);
    let demand = [LayerDemand { target, bitrate: 500_000 }].into_iter().collect();
    sender.handle_demand(&DemandMessage { stream: StreamId(4), demand });
    assert_eq!(sender.wanted(), Some(DecodeTargets::only(&[target])));
}
