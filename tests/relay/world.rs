//! A room with participants around it, in virtual time: every packet goes through a link that loses, delays and fills, and
//! each machine is driven as the program that links the crate drives it. Frames stand for coded pictures by their sizes,
//! and name the frames that they refer to, so that each receiver can be held to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use layercast::congestion::{FeedbackConfig, ReceivePath};
use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::relay::*;
use layercast::rtp::{DecodableUnit, RtpPacket};
use layercast::select::{Offer, Priority, ReceiverReport, StreamId, Window};
use layercast::session::*;
use layercast::structure::{DecodeTargets, FrameKind, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

use crate::chance::Chance;

/// From one picture to the next.
pub const PICTURE: Duration = Duration::from_micros(33_333);
/// Of the pictures of all senders.
pub const SIZE: Size = Size::new(640, 360);
/// What IP and UDP add to a packet.
const OVERHEAD: usize = 38;

/// One direction of a participant's path.
#[derive(Clone, Copy)]
pub struct Link {
    pub delay: Duration,
    /// Packets lost, and overtaken by others, in percent.
    pub loss: u64,
    pub reorder: u64,
    /// Bit/s, if there is a limit, and the longest queue before it.
    pub capacity: Option<u64>,
    pub queue: Duration,
    /// Nothing arrives.
    pub dead: bool,
    pub free: Time,
}

impl Link {
    pub fn new(delay: u64) -> Self {
        let (delay, queue) = (Duration::from_millis(delay), Duration::from_millis(300));
        Self { delay, loss: 0, reorder: 0, capacity: None, queue, dead: false, free: Time::ZERO }
    }

    pub fn lossy(delay: u64, loss: u64) -> Self {
        Self { loss, ..Self::new(delay) }
    }

    pub fn slow(delay: u64, capacity: u64) -> Self {
        Self { capacity: Some(capacity), ..Self::new(delay) }
    }

    /// When a packet arrives that is sent now.
    fn send(&mut self, now: Time, bytes: usize, chance: &mut Chance) -> Option<Time> {
        if self.dead || self.loss > 0 && chance.below(100) < self.loss {
            return None;
        }
        let mut leaves = now;
        if let Some(capacity) = self.capacity {
            let free = self.free.max(now);
            if free - now > self.queue {
                return None;
            }
            leaves = free + Duration::from_secs_f64((bytes + OVERHEAD) as f64 * 8.0 / capacity as f64);
            self.free = leaves;
        }
        let late = self.reorder > 0 && chance.below(100) < self.reorder;
        Some(leaves + self.delay + if late { Duration::from_millis(15) } else { Duration::ZERO })
    }
}

/// A stream that a participant sends.
pub struct Camera {
    pub stream: StreamId,
    pub ssrc: u32,
    pub planner: Planner,
    pub sender: VideoSender,
    /// Bytes of a T0 frame of the lowest layer, and the time from one picture to the next.
    pub frame_size: usize,
    pub interval: Duration,
    keys: SenderKeys,
    pub pictures: u64,
}

/// A picture that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub captured: Time,
    pub at: Time,
    pub spatial_id: u8,
}

/// A stream that a participant shows.
pub struct Screen {
    pub ssrc: u32,
    pub receiver: VideoReceiver,
    pub shown: Vec<Shown>,
    /// Frames that were handed on, by the number that their sender gave them.
    decoded: BTreeSet<u64>,
    /// Requests for key pictures.
    pub key_requests: u64,
    pub refused: u64,
    wake: Option<Time>,
}

pub struct Person {
    pub id: ParticipantId,
    pub cameras: Vec<Camera>,
    pub screens: Vec<Screen>,
    path: ReceivePath,
    pub up: Link,
    pub down: Link,
    pub expelled: Option<Misconduct>,
    wakes: Option<Time>,
    /// It is in the room no more: nothing comes from it, and nothing may go to it.
    pub gone: bool,
    /// How much faster its clock is than the room's, in parts per million.
    pub drift: i64,
}

enum Event {
    Picture(usize, usize),
    ToRoom(ParticipantId, Bytes),
    ToPerson(ParticipantId, Bytes),
    Wake(usize, Time),
}

pub struct World {
    pub room: Room,
    pub people: Vec<Person>,
    pub chance: Chance,
    pub now: Time,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    buffer: Vec<u8>,
    room_wake: Option<Time>,
    /// RTP packets that left the room, and their bytes, by receiver.
    pub left: BTreeMap<ParticipantId, (u64, u64)>,
    /// Whether senders take layer refresh requests.
    pub layer_refresh: bool,
    /// Whether the room is told what their layers take.
    pub offers: bool,
    /// All RTP packets that left the room, if they are kept.
    pub kept: Option<Vec<(Time, ParticipantId, Bytes)>>,
    /// Whether packets are changed on their way to the room, and how many were.
    pub tampers: bool,
    pub tampered: u64,
}

impl World {
    pub fn new(seed: u64, config: RoomConfig) -> Self {
        Self {
            room: Room::new(config),
            people: Vec::new(),
            chance: Chance(seed),
            now: Time::ZERO,
            events: BTreeMap::new(),
            count: 0,
            buffer: Vec::new(),
            room_wake: None,
            left: BTreeMap::new(),
            layer_refresh: true,
            offers: true,
            kept: None,
            tampers: false,
            tampered: 0,
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }

    /// Somebody joins. Returns their place.
    pub fn join(&mut self, id: u32, up: Link, down: Link) -> usize {
        let id = ParticipantId(id);
        self.room.join(self.now, id).unwrap();
        let path = ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(1000 + id.0, 0));
        let (cameras, screens) = (Vec::new(), Vec::new());
        self.people.push(Person {
            id,
            cameras,
            screens,
            path,
            up,
            down,
            expelled: None,
            wakes: None,
            gone: false,
            drift: 0,
        });
        self.people.len() - 1
    }

    /// A participant sends a stream from now on.
    pub fn publish(&mut self, person: usize, stream: u32, mode: ScalabilityMode) {
        let ssrc = 0x5eed_0000 + stream * 16;
        let mut keys = SenderKeys::fresh(Agreement::default(), stream % 256, 0).unwrap();
        let mut config = VideoSenderConfig::new(ssrc);
        // Uplinks are not what is judged here, apart from their losses.
        config.path = None;
        let sender = VideoSender::without_encoder(config, Some(keys.video(0).unwrap()));
        let offer = Offer::new(mode, SIZE, 30.0, |target| 100_000 << (2 * target.spatial_id));
        let offer = self.offers.then_some(offer);
        let kind = StreamKind::Video { offer, layer_refresh: self.layer_refresh };
        let id = self.people[person].id;
        self.room.publish(self.now, id, StreamConfig { id: StreamId(stream), ssrc, kind }).unwrap();
        let planner = Planner::new(mode, SIZE);
        let (stream, frame_size) = (StreamId(stream), 600);
        self.people[person].cameras.push(Camera {
            stream,
            ssrc,
            planner,
            sender,
            frame_size,
            interval: PICTURE,
            keys,
            pictures: 0,
        });
        let camera = self.people[person].cameras.len() - 1;
        self.at(self.now + Duration::from_micros(100), Event::Picture(person, camera));
    }

    /// A participant shows a stream from now on, as far as it is forwarded.
    pub fn show(&mut self, person: usize, stream: u32) {
        let camera = self.people.iter().flat_map(|person| &person.cameras);
        let camera = camera.into_iter().find(|camera| camera.stream == StreamId(stream)).unwrap();
        let mut config = VideoReceiverConfig::new(camera.ssrc, LayerId::new(3, 7));
        config.transport_id = None;
        config.own_ssrc = 1000 + self.people[person].id.0;
        let mut ring = KeyRing::new(Agreement::default(), Duration::from_secs(5));
        ring.add(Time::ZERO, camera.keys.grant().clone());
        let opener = VideoOpener::new(Agreement::default(), stream % 256, 0);
        let (ssrc, receiver) = (camera.ssrc, VideoReceiver::without_decoder(config, Some((opener, ring))));
        self.people[person].screens.push(Screen {
            ssrc,
            receiver,
            shown: Vec::new(),
            decoded: BTreeSet::new(),
            key_requests: 0,
            refused: 0,
            wake: None,
        });
    }

    /// A participant reports its windows.
    pub fn report(&mut self, person: usize, windows: &[(u32, Size)]) {
        let windows = windows.iter().map(|&(stream, size)| {
            (StreamId(stream), Window { visible: size.width > 0, ..Window::new(size, Priority::Thumbnail) })
        });
        let report = ReceiverReport { windows: windows.collect(), ..ReceiverReport::default() };
        let id = self.people[person].id;
        self.room.handle_report(self.now, id, &report);
        self.poll_room();
    }

    /// Goes on until a time.
    pub fn run_until(&mut self, end: Time) {
        loop {
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let Some(next) = event.into_iter().chain(self.room_wake).min().filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            if event == Some(next) {
                match self.events.pop_first().unwrap().1 {
                    Event::Picture(person, camera) => self.picture(person, camera),
                    Event::ToRoom(from, packet) => {
                        self.room.handle_packet(self.now, from, &packet);
                        self.poll_room();
                    }
                    Event::ToPerson(to, packet) => self.arrive(to, packet),
                    Event::Wake(place, time) => {
                        if self.people[place].wakes == Some(time) {
                            self.people[place].wakes = None;
                            self.poll_person(place);
                        }
                    }
                }
            } else {
                self.poll_room();
            }
        }
        self.now = end;
    }

    pub fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn picture(&mut self, person: usize, index: usize) {
        let now = self.now;
        if self.people[person].gone {
            return;
        }
        let drift = self.people[person].drift;
        let Some(camera) = self.people[person].cameras.get_mut(index) else { return };
        let refresh = camera.sender.next_refresh(now);
        let wanted = camera.sender.wanted().unwrap_or_else(|| DecodeTargets::all(camera.planner.structure()));
        let plan = camera.planner.next(PictureRequest { refresh, wanted });
        let payloads: Vec<Vec<u8>> =
            plan.frames.iter().map(|frame| toy(camera, frame, plan.key, now)).collect();
        camera.pictures += u64::from(!payloads.is_empty());
        let micros = now.since_start().as_micros() as i64;
        let captured = Time::from_micros((micros + micros * drift / 1_000_000) as u64);
        camera.sender.handle_coded(captured, &plan, payloads.iter().map(Vec::as_slice)).unwrap();
        let interval = camera.interval;
        self.poll_camera(person, index);
        self.at(now + interval, Event::Picture(person, index));
    }

    /// Somebody leaves, or is removed. What they sent before may still be on its way.
    pub fn leave(&mut self, person: usize) {
        let id = self.people[person].id;
        self.room.leave(self.now, id);
        self.people[person].gone = true;
        self.people[person].screens.clear();
        self.poll_room();
    }

    fn poll_camera(&mut self, person: usize, index: usize) {
        let now = self.now;
        loop {
            let Person { id, cameras, up, .. } = &mut self.people[person];
            let SenderOutput::Transmit(packet) = cameras[index].sender.poll(now) else { break };
            let id = *id;
            let mut packet = packet;
            if self.tampers && self.chance.below(2) == 0 && !layercast::rtp::rtcp::is_rtcp(&packet) {
                packet = tamper(&packet, &mut self.chance);
                self.tampered += 1;
            }
            if let Some(arrives) = up.send(now, packet.len(), &mut self.chance) {
                self.at(arrives, Event::ToRoom(id, packet));
            }
        }
    }

    /// A packet that a participant makes up reaches the room.
    pub fn inject(&mut self, person: usize, packet: &[u8]) {
        let id = self.people[person].id;
        self.room.handle_packet(self.now, id, packet);
        self.poll_room();
    }

    pub fn poll_room(&mut self) {
        let now = self.now;
        loop {
            self.buffer.clear();
            match self.room.poll(now, &mut self.buffer) {
                RoomOutput::Transmit { to, length } => {
                    assert_eq!(length, self.buffer.len());
                    let packet = Bytes::copy_from_slice(&self.buffer);
                    if !layercast::rtp::rtcp::is_rtcp(&packet) {
                        let left = self.left.entry(to).or_default();
                        *left = (left.0 + 1, left.1 + packet.len() as u64);
                        self.kept.iter_mut().for_each(|kept| kept.push((now, to, packet.clone())));
                    }
                    let Some(person) = self.people.iter_mut().find(|person| person.id == to) else {
                        continue;
                    };
                    if let Some(arrives) = person.down.send(now, packet.len(), &mut self.chance) {
                        self.at(arrives, Event::ToPerson(to, packet));
                    }
                }
                RoomOutput::Demand { to, message } => {
                    let cameras = self.people.iter_mut().filter(|person| person.id == to);
                    for camera in cameras.flat_map(|person| &mut person.cameras) {
                        if camera.stream == message.stream {
                            camera.sender.handle_demand(&message);
                        }
                    }
                }
                RoomOutput::Expelled { participant, reason } => {
                    let person = self.people.iter_mut().find(|person| person.id == participant);
                    person.unwrap().expelled = Some(reason);
                }
                RoomOutput::Timeout(at) => {
                    assert!(at.is_none_or(|at| at > now), "a timeout that is over: {at:?} at {now:?}");
                    self.room_wake = at;
                    break;
                }
                _ => {}
            }
        }
    }

    fn arrive(&mut self, to: ParticipantId, packet: Bytes) {
        let now = self.now;
        let Some(place) = self.people.iter().position(|person| person.id == to) else { return };
        let person = &mut self.people[place];
        if layercast::rtp::rtcp::is_rtcp(&packet) {
            for camera in &mut person.cameras {
                camera.sender.handle_feedback(now, &packet);
            }
            for index in 0..self.people[place].cameras.len() {
                self.poll_camera(place, index);
            }
            let person = &mut self.people[place];
            for screen in &mut person.screens {
                screen.receiver.handle_packet(now, packet.clone());
            }
        } else {
            person.path.handle_packet(now, &packet);
            let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            if let Some(screen) = person.screens.iter_mut().find(|screen| screen.ssrc == ssrc) {
                screen.receiver.handle_packet(now, packet);
                screen.wake = Some(now);
            }
        }
        self.poll_person(place);
    }

    fn poll_person(&mut self, place: usize) {
        let now = self.now;
        let person = &mut self.people[place];
        let mut packets = Vec::new();
        while let Some(packet) = person.path.poll(now) {
            packets.push(packet);
        }
        for screen in &mut person.screens {
            if screen.wake.is_none_or(|wake| wake > now) {
                continue;
            }
            loop {
                match screen.receiver.poll(now) {
                    ReceiverOutput::Transmit(packet) => {
                        screen.key_requests += u64::from(matches!(&packet[1], 206) && packet[0] & 31 != 10);
                        packets.push(packet);
                    }
                    ReceiverOutput::Unit(unit) => screen.take(now, &unit),
                    ReceiverOutput::Refused(_) => screen.refused += 1,
                    ReceiverOutput::Timeout(at) => {
                        screen.wake = at;
                        break;
                    }
                    _ => {}
                }
            }
        }
        let wakes = person.screens.iter().filter_map(|screen| screen.wake);
        let wake = wakes.chain(person.path.next_timeout()).min();
        let (id, mut up) = (person.id, person.up);
        for packet in packets {
            if let Some(arrives) = up.send(now, packet.len(), &mut self.chance) {
                self.at(arrives, Event::ToRoom(id, packet));
            }
        }
        self.people[place].up = up;
        if let Some(wake) = wake.map(|wake| wake.max(now + Duration::from_micros(10)))
            && self.people[place].wakes.is_none_or(|wakes| wake < wakes)
        {
            self.people[place].wakes = Some(wake);
            self.at(wake, Event::Wake(place, wake));
        }
    }

    /// Key pictures that a camera has coded.
    pub fn keys(&self, person: usize) -> u64 {
        self.people[person].cameras[0].sender.statistics().key_pictures
    }
}

/// A packet with a bit changed that a receiver is not to believe: in the payload, or in the descriptor but for its flags.
fn tamper(packet: &[u8], chance: &mut Chance) -> Bytes {
    let rtp = RtpPacket::read(packet).unwrap();
    let (payload, descriptor) =
        (rtp.payload_range.clone(), rtp.extension_range(DESCRIPTOR_ID).unwrap().unwrap());
    let mut packet = packet.to_vec();
    let at = match chance.below(3) {
        // The numbers of the frame. All else in a descriptor of three bytes are flags and the template.
        0 => descriptor.start + 1 + chance.below(2) as usize,
        _ => payload.start + chance.below(payload.len() as u64) as usize,
    };
    packet[at] ^= 1 << chance.below(8);
    packet.into()
}

/// A frame that names itself and those that it refers to.
fn toy(camera: &Camera, frame: &layercast::structure::FramePlan, key: bool, now: Time) -> Vec<u8> {
    let LayerId { spatial_id, temporal_id } = frame.layer;
    let share = [4, 2, 1][usize::from(temporal_id.min(2))];
    let size = (camera.frame_size << (2 * spatial_id)) * share / 4 * if key { 4 } else { 1 };
    let mut payload = Vec::with_capacity(size.max(80));
    payload.extend(frame.frame_number.to_be_bytes());
    payload.extend((now.since_start().as_micros() as u64).to_be_bytes());
    payload.push(frame.depends_on.len() as u8 | u8::from(frame.kind == FrameKind::Key) << 7);
    for number in &frame.depends_on {
        payload.extend(number.to_be_bytes());
    }
    payload.resize(size.max(80), spatial_id);
    payload
}

impl Screen {
    /// Holds a unit to what a decoder needs.
    fn take(&mut self, now: Time, unit: &DecodableUnit) {
        let mut captured = Time::ZERO;
        for frame in &unit.frames {
            let word = |at: usize| u64::from_be_bytes(frame.payload[at..at + 8].try_into().unwrap());
            let (number, references) = (word(0), usize::from(frame.payload[16] & 0x7f));
            captured = Time::from_micros(word(8));
            let (filled, spatial_id) = (17 + 8 * references, frame.layer.spatial_id);
            assert!(
                frame.payload[filled..].iter().all(|byte| *byte == spatial_id),
                "{number} is not as it was sent"
            );
            if frame.payload[16] & 0x80 != 0 {
                self.decoded.clear();
            }
            for reference in 0..references {
                let reference = word(17 + 8 * reference);
                assert!(
                    self.decoded.contains(&reference),
                    "{now:?}: {number} ({:?}) refers to {reference}, which never came; last {:?}, {:?}",
                    frame.layer,
                    self.decoded.iter().rev().take(10).collect::<Vec<_>>(),
                    unit.target,
                );
            }
            self.decoded.insert(number);
        }
        let spatial_id = unit.frames.last().unwrap().layer.spatial_id;
        match self.shown.last_mut() {
            Some(last) if last.captured == captured => last.spatial_id = spatial_id,
            last => {
                assert!(last.is_none_or(|last| last.captured < captured), "in order");
                self.shown.push(Shown { captured, at: now, spatial_id });
            }
        }
    }

    /// The longest time from one picture to the next within a span, in ms, up to its end.
    pub fn gap(&self, from: Time, to: Time) -> u64 {
        let shown = self.shown.iter().map(|shown| shown.at).filter(|at| from <= *at && *at <= to);
        let all: Vec<Time> = [from].into_iter().chain(shown).chain([to]).collect();
        all.windows(2).map(|pair| (pair[1] - pair[0]).as_millis() as u64).max().unwrap_or(0)
    }

    /// Pictures shown since a time.
    pub fn count_all(&self, from: Time) -> usize {
        self.shown.iter().filter(|shown| shown.at >= from).count()
    }

    /// Pictures shown of a spatial layer since a time.
    pub fn count(&self, spatial_id: u8, from: Time) -> usize {
        self.shown.iter().filter(|shown| shown.at >= from && shown.spatial_id == spatial_id).count()
    }
}
