//! A room in virtual time whose participants lose nothing, and what it costs to serve them.
#![allow(dead_code)] // Each test takes a part of it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use layercast::Size;
use layercast::Time;
use layercast::congestion::{FeedbackConfig, FeedbackGenerator};
use layercast::relay::{ParticipantId, Room, RoomConfig, RoomOutput};
use layercast::rtp::rtcp;
use layercast::select::{Priority, ReceiverReport, StreamId, Window};

use super::camera::{Camera, FRAME_RATE};

/// From the relay to a receiver, and back.
const DELAY: Duration = Duration::from_millis(10);
/// Bytes that are written before the program sends them.
const BATCH: usize = 64 << 10;
/// Bytes of a packet, for the feedback's bound on itself alone.
const PACKET: usize = 650;

/// What it took to serve a room for a time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// RTP packets that went out.
    pub packets: u64,
    pub bytes: u64,
    /// Packets that came in.
    pub came: u64,
    /// For a packet that comes in, and for those that go out at once.
    pub forwarding: Duration,
    /// For all that is due between packets: pacing, probes, decisions of the selectors, demand.
    pub timers: Duration,
    /// For feedback.
    pub reports: Duration,
    /// Allocations for packets that came in and for those that went out at once, and for what is due between them.
    pub allocations: [u64; 2],
}

struct Person {
    id: ParticipantId,
    camera: Option<Camera>,
    feedback: FeedbackGenerator,
    /// The transport-wide number of the next packet to it.
    number: u16,
}

/// A room and its participants.
pub struct Audience {
    pub room: Room,
    pub now: Time,
    people: Vec<Person>,
    /// Where packets are written, which a program has once for all its rooms.
    pub out: Vec<u8>,
    wake: Option<Time>,
    pictures: u64,
    /// When which participant was sent an RTP packet.
    sent: Vec<(Time, u32)>,
    sent_bytes: u64,
    /// The allocations of this process, if somebody counts them.
    pub allocations: fn() -> u64,
    /// What came out for senders.
    asked: Vec<(u32, Vec<u8>)>,
}

impl Audience {
    /// A room of `people`, of whom the first `senders` have a camera of 600 kbit/s, and who all have windows of a size
    /// for all cameras but their own. Their paths carry `bitrate`. A single camera codes all layers, as if somebody
    /// watched each of them; others code what is wanted.
    pub fn new(people: u32, senders: u32, window: Size, bitrate: u64) -> Self {
        let mut config = RoomConfig::default();
        config.max_participants = people as usize;
        config.path.start = bitrate;
        let mut room = Room::new(config);
        let mut audience = Vec::new();
        for id in 0..people {
            room.join(Time::ZERO, ParticipantId(id)).unwrap();
            let camera = (id < senders).then(|| Camera::new(id, senders > 1));
            if let Some(camera) = &camera {
                room.publish(Time::ZERO, ParticipantId(id), camera.config()).unwrap();
            }
            audience.push(Person {
                id: ParticipantId(id),
                camera,
                feedback: FeedbackGenerator::new(FeedbackConfig::new(id, 0)),
                number: 0,
            });
        }
        for id in 0..people {
            let others = (0..senders).filter(|sender| *sender != id);
            let windows = others.map(|id| (StreamId(id), Window::new(window, Priority::Thumbnail)));
            let report = ReceiverReport { windows: windows.collect(), ..ReceiverReport::default() };
            room.handle_report(Time::ZERO, ParticipantId(id), &report);
        }
        Self {
            room,
            now: Time::ZERO,
            people: audience,
            out: Vec::with_capacity(2 * BATCH),
            wake: Some(Time::ZERO),
            pictures: 0,
            sent: Vec::with_capacity(1 << 16),
            sent_bytes: 0,
            allocations: || 0,
            asked: Vec::new(),
        }
    }

    /// Goes on for the time of one picture.
    pub fn step(&mut self, cost: &mut Cost) {
        let start = self.now;
        self.pictures += 1;
        let end = Time::from_micros(self.pictures * 1_000_000 / FRAME_RATE);
        // Cameras do not run in step.
        let senders = self.people.iter().filter(|person| person.camera.is_some()).count();
        for sender in 0..senders {
            let at = start + (end - start) * sender as u32 / senders as u32;
            let Person { id, camera: Some(camera), .. } = &mut self.people[sender] else { continue };
            camera.take_picture(at);
            let (id, packets) = (*id, std::iter::from_fn(|| camera.poll(at)).collect::<Vec<_>>());
            cost.came += packets.len() as u64;
            // Reports of senders are not media.
            let (reports, packets): (Vec<_>, Vec<_>) =
                packets.into_iter().partition(|packet| rtcp::is_rtcp(packet));
            self.pass(at, cost);
            self.hear(at, reports.into_iter().map(|report| (id, report)), cost);
            let (came, allocated) = (Instant::now(), (self.allocations)());
            for packet in packets {
                self.room.handle_packet(at, id, &packet);
                self.poll();
            }
            cost.forwarding += came.elapsed();
            cost.allocations[0] += (self.allocations)() - allocated;
        }
        self.pass(end, cost);
        self.answer(end, cost);
    }

    /// Goes on for a time.
    pub fn run(&mut self, time: Duration) -> Cost {
        let (end, mut cost) = (self.now + time, Cost::default());
        while self.now < end {
            self.step(&mut cost);
        }
        cost
    }

    /// Does what is due until a time.
    fn pass(&mut self, end: Time, cost: &mut Cost) {
        let (began, allocated) = (Instant::now(), (self.allocations)());
        while let Some(wake) = self.wake.filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.poll();
        }
        self.now = end;
        cost.timers += began.elapsed();
        cost.allocations[1] += (self.allocations)() - allocated;
    }

    fn poll(&mut self) {
        loop {
            match self.room.poll(self.now, &mut self.out) {
                RoomOutput::Transmit { to, length } => {
                    let start = self.out.len() - length;
                    // RTCP: RFC 5761, section 4.
                    if (192..224).contains(&self.out[start + 1]) {
                        self.asked.push((to.0, self.out[start..].to_vec()));
                    } else {
                        self.sent.push((self.now, to.0));
                        self.sent_bytes += length as u64;
                    }
                    if self.out.len() > BATCH {
                        self.out.clear();
                    }
                }
                RoomOutput::Demand { to, message } => {
                    if let Some(camera) = &mut self.people[to.0 as usize].camera {
                        camera.handle_demand(&message);
                    }
                }
                RoomOutput::Timeout(at) => {
                    self.wake = at;
                    return;
                }
                output => panic!("{output:?}"),
            }
        }
    }

    /// Gives the receivers what was sent to them, and the room what they report.
    fn answer(&mut self, now: Time, cost: &mut Cost) {
        cost.packets += self.sent.len() as u64;
        cost.bytes += std::mem::take(&mut self.sent_bytes);
        for (at, to) in self.sent.drain(..) {
            let person = &mut self.people[to as usize];
            person.feedback.handle_packet(at + DELAY, person.number, PACKET);
            person.number = person.number.wrapping_add(1);
        }
        for (to, packet) in self.asked.drain(..) {
            if let Some(camera) = &mut self.people[to as usize].camera {
                camera.handle_feedback(now, &packet);
            }
        }
        let mut packets = Vec::new();
        for person in &mut self.people {
            while let Some(message) = person.feedback.poll(now) {
                let mut packet = BytesMut::new();
                rtcp::write(&[message], &mut packet).unwrap();
                packets.push((person.id, packet.freeze()));
            }
        }
        self.hear(now, packets.into_iter(), cost);
    }

    /// Gives the room reports.
    fn hear(&mut self, now: Time, reports: impl Iterator<Item = (ParticipantId, Bytes)>, cost: &mut Cost) {
        let began = Instant::now();
        for (id, report) in reports {
            self.room.handle_packet(now, id, &report);
            self.poll();
        }
        cost.reports += began.elapsed();
    }
}
