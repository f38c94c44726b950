//! A meeting in virtual time: seats, a relay's desk that does what people do at it, and the room of layercast between them.
#![allow(dead_code, reason = "each test takes a part of it")]

mod desk;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use layercast::e2ee::{Header, VideoOpener};
use layercast::picture::Picture;
use layercast::relay::{Room, RoomConfig, RoomOutput};
use layercast::rtp::RtpPacket;
use layercast::rtp::payload::sframe::PayloadHeader;
use layercast::rtp::rtcp::is_rtcp;
use layercast::scene::Scene;
use layercast::select::DemandMessage;
use layercast::session::{ReceiverOutput, VideoReceiver, VideoReceiverConfig};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use layercast_meeting::wire::RELAY_SSRC;
use layercast_meeting::{
    Answer, Event as Said, FromRelay, Kind, LinkDescription, MeetingId, Numbered, ParticipantId, Request,
    Secret, Text,
};
use layercast_participant::commands::Command;
use layercast_participant::notice::Notice;
use layercast_participant::seat::circle::agreement;
use layercast_participant::seat::{Entry, Seat, SeatConfig, SeatOutput, VideoSource};

pub use desk::Desk;

/// From a seat to the relay, and back.
pub const DELAY: Duration = Duration::from_millis(20);
/// Of the cameras.
pub const SIZE: Size = Size::new(160, 90);
const FRAME_RATE: u32 = 10;

enum Event {
    ToDesk(usize, String),
    ToSeat(usize, String),
    Up(usize, Bytes),
    Down(usize, Bytes),
    Capture(usize),
    LinkUp(usize),
    Connect(usize),
}

/// A participant, and what it was told and shown.
pub struct Guest {
    pub seat: Seat,
    pub notices: Vec<(Time, Notice)>,
    /// Of each stream, when a picture was shown, and its size.
    pub shown: BTreeMap<u32, Vec<(Time, Size)>>,
    /// Frames of sound, by the stream.
    pub heard: BTreeMap<u32, u64>,
    /// RTP packets as they came.
    pub captured: Vec<(Time, Bytes)>,
    pub ended: bool,
    /// How long its machine codes and decodes a picture, if it measures that.
    pub coding: Option<Duration>,
    pub decoding: Option<Duration>,
    wake: Option<Time>,
    connected: bool,
    captures: u64,
}

/// The meeting.
pub struct World {
    pub now: Time,
    pub desk: Desk,
    pub room: Room,
    pub guests: Vec<Guest>,
    /// What reached the relay in each second, of all packets.
    pub packets: Vec<(Time, Bytes)>,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    room_wake: Option<Time>,
    pictures: Vec<Picture>,
}

/// What a participant comes with, unless a test says otherwise.
pub fn config(name: &str, code: &str) -> SeatConfig {
    let mut camera = VideoSource::camera(SIZE);
    camera.frame_rate = FRAME_RATE;
    SeatConfig {
        meeting: MeetingId(Text::new("meeting").unwrap()),
        entry: match code {
            "guest" => Entry::Invitation(Secret::new(code.into())),
            account => Entry::Account(Text::new(account).unwrap(), Secret::new(code.into())),
        },
        name: Text::new(name).unwrap(),
        identity: None,
        camera: Some(camera),
        screen: None,
        guest_limit: None,
        audio: true,
        window: SIZE,
        cpu_budget: None,
        admit_all: true,
        unix: 1_700_000_000_000_000,
    }
}

/// An organizer, a member and a guest, who are all in by 2 s, at a time in milliseconds.
pub fn three(until: u64) -> World {
    let mut world = World::new();
    world.join(config("Ann", "organizer"));
    world.run(300);
    world.join(config("Bob", "member"));
    world.join(config("Cleo", "guest"));
    world.run(until);
    world
}

impl World {
    /// Nobody is there.
    pub fn new() -> Self {
        let scene = Scene::new(SIZE);
        let mut room = RoomConfig::default();
        room.ssrc = RELAY_SSRC;
        Self {
            now: Time::ZERO,
            desk: Desk::default(),
            room: Room::new(room),
            guests: Vec::new(),
            packets: Vec::new(),
            events: BTreeMap::new(),
            count: 0,
            room_wake: None,
            pictures: (0..40).map(|n| scene.picture(3 * n)).collect(),
        }
    }

    /// Somebody comes. Whoever has the account "organizer" is one, and who has none is a guest.
    pub fn join(&mut self, config: SeatConfig) -> usize {
        let place = self.guests.len();
        self.guests.push(Guest {
            seat: Seat::new(config),
            notices: Vec::new(),
            shown: BTreeMap::new(),
            heard: BTreeMap::new(),
            captured: Vec::new(),
            ended: false,
            coding: None,
            decoding: None,
            wake: None,
            connected: false,
            captures: 0,
        });
        self.at(self.now, Event::Connect(place));
        // Cameras do not run in step.
        self.at(self.now + Duration::from_millis(7 * place as u64), Event::Capture(place));
        place
    }

    fn at(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Somebody types a command.
    pub fn command(&mut self, place: usize, line: &str) {
        let command = Command::parse(line).unwrap_or_else(|| panic!("{line} is a command"));
        self.guests[place].seat.handle_command(self.now, command);
        self.poll();
    }

    /// The connection of somebody is gone, or those of all and what the relay remembers of the media. They come back after
    /// `away`.
    pub fn break_connections(&mut self, places: &[usize], away: Duration) {
        for &place in places {
            self.guests[place].connected = false;
            self.guests[place].seat.handle_disconnected(self.now, "cut");
            if let Some(who) = self.desk.disconnect(place) {
                self.room.leave(self.now, layercast::relay::ParticipantId(who.0));
            }
            self.at(self.now + away, Event::Connect(place));
        }
        self.events.retain(|_, event| match event {
            Event::ToDesk(place, _)
            | Event::ToSeat(place, _)
            | Event::Up(place, _)
            | Event::Down(place, _)
            | Event::LinkUp(place) => !places.contains(place),
            _ => true,
        });
        self.deliver();
    }

    /// The relay says something that it should not.
    pub fn say(&mut self, place: usize, event: Said) {
        self.at(self.now + DELAY, Event::ToSeat(place, FromRelay::Event(event).to_text()));
    }

    /// The relay sends somebody packets again, in the order in which they first came.
    pub fn replay(&mut self, place: usize, packets: &[Bytes]) {
        for (n, packet) in packets.iter().enumerate() {
            let at = self.now + DELAY + Duration::from_micros(100 * n as u64);
            self.at(at, Event::Down(place, packet.clone()));
        }
    }

    /// Goes on until a time, in milliseconds.
    pub fn run(&mut self, until: u64) {
        let until = Time::from_millis(until);
        self.poll();
        loop {
            let wakes = self.guests.iter().filter_map(|guest| guest.wake);
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let next = wakes.chain(event).chain(self.room_wake).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let event = entry.remove();
                self.handle(event);
            }
            self.poll();
        }
        self.now = until;
    }

    /// How many temporal units of somebody's camera open, of all that reached the relay in a time, with the keys that somebody
    /// has now.
    pub fn open(&self, with: usize, owner: usize, time: Range<Time>) -> usize {
        let owner = self.desk.who(owner).expect("somebody sits there");
        let stream =
            self.desk.streams(owner).into_iter().find(|it| it.kind == Kind::Camera).expect("a camera");
        let ring = self.guests[with].seat.circle().ring(time.start).expect("it is or was in the group");
        let opener = VideoOpener::new(agreement(), stream.member, stream.track);
        let mut config = VideoReceiverConfig::new(stream.ssrc, LayerId::new(3, 7));
        config.opaque = true;
        let mut receiver = VideoReceiver::without_decoder(config, Some((opener, ring)));
        let mut opened = 0;
        // Structure and references come with the first picture.
        for (at, packet) in &self.packets {
            receiver.handle_packet(*at, packet.clone());
            loop {
                match receiver.poll(*at) {
                    ReceiverOutput::Unit(_) if time.contains(at) => opened += 1,
                    ReceiverOutput::Timeout(_) => break,
                    _ => {}
                }
            }
        }
        opened
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::ToDesk(from, text) => {
                let request = Numbered::parse(&text).expect("a request of the protocol");
                self.desk.handle(now, &mut self.room, from, request);
                self.room_wake = Some(now);
                self.deliver();
            }
            Event::ToSeat(to, text) => {
                let message = FromRelay::parse(&text).expect("a message of the protocol");
                self.guests[to].seat.handle_message(now, message);
                self.guests[to].wake = Some(now);
            }
            Event::Up(from, packet) => {
                self.packets.push((now, packet.clone()));
                if let Some(who) = self.desk.seated(from) {
                    self.room.handle_packet(now, layercast::relay::ParticipantId(who.0), &packet);
                    self.room_wake = Some(now);
                }
            }
            Event::Down(to, packet) => {
                let guest = &mut self.guests[to];
                guest.captured.push((now, packet.clone()));
                guest.seat.handle_packet(now, now, packet);
                guest.wake = Some(now);
            }
            Event::Capture(place) => self.capture(place),
            Event::LinkUp(place) => {
                self.guests[place].seat.handle_link_state(now, true);
                self.guests[place].wake = Some(now);
            }
            Event::Connect(place) => {
                let guest = &mut self.guests[place];
                guest.connected = true;
                guest.seat.handle_connected();
                guest.wake = Some(now);
            }
        }
    }

    fn capture(&mut self, place: usize) {
        let now = self.now;
        let guest = &mut self.guests[place];
        if guest.ended {
            return;
        }
        guest.captures += 1;
        if let Some(camera) = guest.seat.place_of(Kind::Camera) {
            let picture = &self.pictures[guest.captures as usize % self.pictures.len()];
            let coded = guest.seat.handle_picture(now, camera, &picture.view());
            if let (true, Some(took)) = (coded.expect("a picture of the camera's size"), guest.coding) {
                guest.seat.handle_encode_time(camera, took);
            }
        }
        // Sound comes in as many frames as the camera has pictures, to be quick.
        guest.seat.handle_audio(now, b"a frame of sound", guest.captures as u32 * 960).expect("a frame");
        guest.wake = Some(now);
        self.at(now + Duration::from_secs(1) / FRAME_RATE, Event::Capture(place));
    }

    /// Brings what the desk says.
    fn deliver(&mut self) {
        for (to, message) in self.desk.take() {
            if self.guests[to].connected {
                let is_login = matches!(message, FromRelay::Answer { result: Ok(Answer::Session(_)), .. });
                let delay = if is_login { Duration::ZERO } else { DELAY };
                self.at(self.now + delay, Event::ToSeat(to, message.to_text()));
            }
        }
    }

    fn poll(&mut self) {
        let now = self.now;
        for place in 0..self.guests.len() {
            self.poll_seat(place);
        }
        if self.room_wake.is_some_and(|wake| wake <= now) {
            self.poll_room();
        }
    }

    fn poll_seat(&mut self, place: usize) {
        let now = self.now;
        loop {
            let guest = &mut self.guests[place];
            match guest.seat.poll(now) {
                SeatOutput::Request(request) => {
                    // A login takes no time, so that all come in the order in which they join.
                    let logs_in = matches!(request.request, Request::Login { .. } | Request::Session { .. });
                    let order = Duration::from_micros(100 * place as u64);
                    let delay = if logs_in { Duration::ZERO } else { DELAY + order };
                    self.at(now + delay, Event::ToDesk(place, request.to_text()));
                }
                SeatOutput::Packet(packet) => self.at(now + DELAY, Event::Up(place, packet)),
                SeatOutput::MakeLink => {
                    guest.seat.handle_link(now, link());
                }
                SeatOutput::Link(_) => self.at(now + DELAY, Event::LinkUp(place)),
                SeatOutput::Unit(stream, unit) => {
                    let layer = unit.frames.iter().last().expect("a unit has a frame").layer;
                    let size = unit.structure.resolutions[usize::from(layer.spatial_id)];
                    guest.shown.entry(stream).or_default().push((now, size));
                    guest.seat.handle_decoded(now, stream, unit.timestamp, (layer, size), guest.decoding);
                }
                SeatOutput::Audio(stream, frame) => {
                    assert_eq!(frame.payload, b"a frame of sound"[..]);
                    *guest.heard.entry(stream).or_default() += 1;
                }
                SeatOutput::Notice(notice) => guest.notices.push((now, notice)),
                SeatOutput::Ended => guest.ended = true,
                SeatOutput::Timeout(at) => {
                    guest.wake = at.map(|at| at.max(now + Duration::from_micros(100)));
                    return;
                }
                SeatOutput::Invitation(_) => {}
            }
        }
    }

    fn poll_room(&mut self) {
        let now = self.now;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match self.room.poll(now, &mut buffer) {
                RoomOutput::Transmit { to, .. } => {
                    if let Some(place) = self.desk.place_of(ParticipantId(to.0)) {
                        self.at(now + DELAY, Event::Down(place, Bytes::copy_from_slice(&buffer)));
                    }
                }
                RoomOutput::Demand { to, message } => self.demand(ParticipantId(to.0), &message),
                RoomOutput::Expelled { participant, reason } => {
                    panic!("{participant:?} was put out: {reason:?}")
                }
                RoomOutput::Timeout(at) => {
                    self.room_wake = at.map(|at| at.max(now + Duration::from_micros(100)));
                    return;
                }
                _ => {}
            }
        }
    }

    fn demand(&mut self, to: ParticipantId, message: &DemandMessage) {
        let mut demand = Vec::new();
        message.write(&mut demand).expect("a demand that can be written");
        self.desk.tell(to, Said::Demand { demand: layercast_meeting::Bytes(demand) });
        self.deliver();
    }
}

fn link() -> LinkDescription {
    let (ufrag, password) = ("u".into(), Secret::new("p".into()));
    LinkDescription { ufrag, password, fingerprint: "sha-256 00".into(), addresses: Vec::new() }
}

impl Guest {
    /// The notices of a kind.
    pub fn told<T>(&self, pick: impl Fn(&Notice) -> Option<T>) -> Vec<T> {
        self.notices.iter().filter_map(|(_, notice)| pick(notice)).collect()
    }

    /// The group's epoch here.
    pub fn epoch(&self) -> Option<u64> {
        self.seat.circle().group().map(|group| group.epoch())
    }

    /// The meeting's digits here.
    pub fn code(&self) -> Option<String> {
        self.seat.circle().group().map(|group| group.code().unwrap().to_string())
    }

    /// Pictures of all streams between two times, in milliseconds.
    pub fn pictures(&self, from: u64, to: u64) -> usize {
        let span = Time::from_millis(from)..Time::from_millis(to);
        self.shown.values().flatten().filter(|(at, _)| span.contains(at)).count()
    }
}

/// No key seals two things under one counter, whoever sees all packets.
pub fn no_counter_comes_twice(world: &World) {
    let mut seen: BTreeMap<(u64, u64), Vec<u8>> = BTreeMap::new();
    for (_, packet) in world.packets.iter().filter(|(_, packet)| !is_rtcp(packet)) {
        let Ok(rtp) = RtpPacket::read(packet) else { continue };
        let payload = rtp.payload;
        let Some((&first, rest)) = payload.split_first() else { continue };
        let sframe = match rtp.header.payload_type {
            // The first packet of a frame: the aggregation header has no Z, and behind it is the OBU's header.
            45 if first & 0x80 == 0 => &rest[1..],
            // A frame of sound or a message is in one packet by itself.
            111 | 46 if PayloadHeader::from_byte(first).start => rest,
            _ => continue,
        };
        let header = Header::read(sframe).expect("an SFrame");
        let before = seen.entry((header.key_id, header.counter)).or_insert_with(|| payload.to_vec());
        assert_eq!(before[..], payload[..], "key id {:#x}, counter {}", header.key_id, header.counter);
    }
    assert!(seen.len() > 100);
}
