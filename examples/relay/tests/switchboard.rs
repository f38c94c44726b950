//! What one thread of the relay does with datagrams: links are made, packets go from one to the other, and whoever is removed
//! gets none and brings none.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast::Size;
use layercast::relay::RoomConfig;
use layercast::select::{Priority, ReceiverReport, StreamId, Window};
use layercast_link::{Certificate, Description, Link, Media, Output as LinkOutput};
use layercast_meeting::wire::{BROWSER_FEEDBACK_SSRC, FEEDBACK_SSRC, RELAY_SSRC, payload_type};
use layercast_meeting::{Bytes as Report, Kind, Layers, ParticipantId};
use layercast_relay::media::{Output, Switchboard};
use layercast_relay::media_api::{LinkReply, MediaCommand, MediaEvent, MeetingKey};

const MEETING: MeetingKey = MeetingKey(1);
const RELAY: &str = "192.0.2.1:8443";

struct Person {
    id: ParticipantId,
    address: SocketAddr,
    local: Description,
    link: Option<Link>,
    got: Vec<Bytes>,
}

struct World {
    now: Instant,
    board: Switchboard,
    people: Vec<Person>,
    certificate: Certificate,
    claims: Vec<Output>,
    told: Vec<(ParticipantId, Vec<Layers>)>,
}

impl World {
    fn new(people: u32) -> Self {
        let (now, certificate) = (Instant::now(), Certificate::generate().unwrap());
        let relay = Certificate::generate().unwrap();
        let mut board = Switchboard::new(3, now, relay, vec![RELAY.parse().unwrap()], RoomConfig::default());
        board.handle_command(now, MediaCommand::OpenMeeting { meeting: MEETING });
        let people = (0..people)
            .map(|id| Person {
                id: ParticipantId(id),
                address: SocketAddr::from(([198, 51, 100, id as u8 + 1], 4000)),
                local: Description::new(&certificate).unwrap(),
                link: None,
                got: Vec::new(),
            })
            .collect();
        let mut world = Self { now, board, people, certificate, claims: Vec::new(), told: Vec::new() };
        for at in 0..world.people.len() {
            let participant = world.people[at].id;
            world.board.handle_command(now, MediaCommand::Join { meeting: MEETING, participant });
            world.ask_for_link(at);
        }
        world
    }

    /// Signalling: the participant's end goes to the relay, and the relay's comes back.
    fn ask_for_link(&mut self, at: usize) {
        let Person { id, local, .. } = &self.people[at];
        let description = local.to_message(&[]);
        let (participant, reply) = (*id, LinkReply(at as u64));
        let command = MediaCommand::Link { meeting: MEETING, participant, description, reply };
        self.board.handle_command(self.now, command);
        self.serve();
    }

    fn serve(&mut self) {
        let (mut out, relay) = (Vec::new(), RELAY.parse().unwrap());
        loop {
            match self.board.poll(self.now, &mut out) {
                Output::Transmit { to, length } => {
                    let datagram = out.split_off(out.len() - length);
                    let Some(person) = self.people.iter_mut().find(|person| person.address == to) else {
                        continue;
                    };
                    let Some(link) = &mut person.link else { continue };
                    if let Some(Media::Rtp(packet) | Media::Rtcp(packet)) =
                        link.handle_datagram(self.now, relay, &datagram)
                    {
                        person.got.push(packet);
                    }
                }
                Output::Event(MediaEvent::Link { reply, result }) => {
                    let remote = result.unwrap();
                    assert!(remote.ufrag.starts_with("03"), "the fragment begins with the thread's number");
                    let end = Description::from_message(&remote).unwrap();
                    let person = &mut self.people[reply.0 as usize];
                    let (now, certificate) = (self.now, &self.certificate);
                    let link = Link::participant(now, certificate, &person.local, &end, &remote.addresses);
                    let mut link = link.unwrap();
                    for ssrc in (1000..1100).chain([RELAY_SSRC]) {
                        link.expect_ssrc(ssrc).unwrap();
                    }
                    person.link = Some(link);
                }
                Output::Event(MediaEvent::Layers { participant, layers, .. }) => {
                    self.told.push((participant, layers));
                }
                Output::Event(MediaEvent::Demand { .. }) => {}
                Output::Event(event) => panic!("{event:?}"),
                output @ (Output::Claim(_) | Output::Release(_)) => self.claims.push(output),
                Output::Timeout(_) => return,
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(5);
            for at in 0..self.people.len() {
                let Person { address, link: Some(link), .. } = &mut self.people[at] else { continue };
                let mut datagrams = Vec::new();
                loop {
                    match link.poll(self.now) {
                        LinkOutput::Transmit(transmit) => datagrams.push(transmit.datagram),
                        LinkOutput::Timeout(_) | LinkOutput::Closed(_) => break,
                        _ => {}
                    }
                }
                let address = *address;
                for datagram in datagrams {
                    self.board.handle_datagram(self.now, address, &datagram);
                }
            }
            self.serve();
        }
    }

    fn send(&mut self, at: usize, packet: &[u8]) {
        let person = &mut self.people[at];
        let datagram = person.link.as_mut().unwrap().protect_rtp(packet).unwrap();
        self.board.handle_datagram(self.now, person.address, &datagram);
        self.serve();
    }

    fn publish(&mut self, at: usize, stream: u32, ssrc: u32) {
        self.publish_kind(at, stream, ssrc, Kind::Audio);
    }

    fn publish_kind(&mut self, at: usize, stream: u32, ssrc: u32, kind: Kind) {
        let participant = self.people[at].id;
        let layer_refresh = false;
        let command =
            MediaCommand::Publish { meeting: MEETING, participant, stream, ssrc, kind, layer_refresh };
        self.board.handle_command(self.now, command);
    }

    fn look(&mut self, at: usize, windows: Vec<(StreamId, Window)>) {
        let mut report = Vec::new();
        ReceiverReport { windows, ..Default::default() }.write(&mut report).unwrap();
        let (participant, report) = (self.people[at].id, Report(report));
        self.board.handle_command(self.now, MediaCommand::Report { meeting: MEETING, participant, report });
    }

    fn sound(&self) -> Vec<usize> {
        self.people.iter().map(sound).collect()
    }
}

fn audio(ssrc: u32, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type(Kind::Audio)];
    packet.extend(number.to_be_bytes());
    packet.extend((u32::from(number) * 960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(b"sealed sound");
    packet
}

fn sound(person: &Person) -> usize {
    person.got.iter().filter(|packet| packet.ends_with(b"sealed sound")).count()
}

#[test]
fn packets_go_from_one_to_all_others_and_nobody_else() {
    let mut world = World::new(3);
    world.run(Duration::from_secs(1));
    assert_eq!(world.board.statistics().links, 3);
    assert_eq!(world.claims.iter().filter(|claim| matches!(claim, Output::Claim(_))).count(), 3);
    world.publish(0, 1, 1000);
    for number in 0..10 {
        world.send(0, &audio(1000, number));
        world.run(Duration::from_millis(20));
    }
    assert_eq!(world.sound(), [0, 10, 10]);
}

/// A sender that says so is asked for a key picture by FIR, and for a layer by LRR. Others, as browsers are, by PLI.
#[test]
fn a_sender_is_asked_for_pictures_as_it_takes_it() {
    for (layer_refresh, format) in [(false, 1), (true, 4)] {
        let mut world = World::new(2);
        world.run(Duration::from_secs(1));
        let (meeting, participant, kind) = (MEETING, world.people[0].id, Kind::Camera);
        let (stream, ssrc) = (1, 1000);
        let command = MediaCommand::Publish { meeting, participant, stream, ssrc, kind, layer_refresh };
        world.board.handle_command(world.now, command);
        // A descriptor without the structure that it is read by.
        let mut packet = vec![0x90, payload_type(kind), 0, 1, 0, 0, 0, 0];
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0xbe, 0xde, 0, 1, 0x42, 0, 0, 9, 0x10, 0x30, 1]);
        world.send(0, &packet);
        world.run(Duration::from_millis(50));
        let asked = world.people[0].got.iter().filter(|packet| packet[1] == 206);
        assert_eq!(asked.map(|packet| packet[0] & 31).collect::<Vec<_>>(), [format]);
    }
}

/// A browser that receives reports with SSRCs that nobody announced: 1 for video, another for sound.
#[test]
fn the_feedback_of_browsers_is_taken() {
    let mut world = World::new(2);
    world.run(Duration::from_secs(1));
    let before = world.board.statistics().received;
    for (n, ssrc) in [FEEDBACK_SSRC, BROWSER_FEEDBACK_SSRC, 0x1234_5678].into_iter().enumerate() {
        let report = [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat();
        let person = &mut world.people[1];
        let datagram = person.link.as_mut().unwrap().protect_rtcp(&report).unwrap();
        world.board.handle_datagram(world.now, person.address, &datagram);
        assert_eq!(world.board.statistics().received - before, (n as u64 + 1).min(2));
    }
}

#[test]
fn whoever_is_removed_gets_nothing_and_brings_nothing_from_that_step_on() {
    let mut world = World::new(3);
    world.run(Duration::from_secs(1));
    world.publish(0, 1, 1000);
    world.publish(1, 2, 1002);
    world.send(0, &audio(1000, 0));
    world.send(1, &audio(1002, 0));
    world.run(Duration::from_millis(50));
    assert_eq!(world.sound(), [1, 1, 2]);
    let command = MediaCommand::Leave { meeting: MEETING, participant: ParticipantId(1) };
    world.board.handle_command(world.now, command);
    let strangers = world.board.statistics().strangers;
    for number in 1..10 {
        world.send(0, &audio(1000, number));
        world.send(1, &audio(1002, number));
        world.run(Duration::from_millis(20));
    }
    assert_eq!(world.sound(), [1, 1, 11]);
    // The removed one's datagrams belong to nobody, feedback and all.
    assert!(world.board.statistics().strangers - strangers >= 9);
    assert!(world.claims.contains(&Output::Release(world.people[1].address)));
}

#[test]
fn whoever_watches_is_told_what_comes_and_why_no_more_when_that_changes() {
    let mut world = World::new(2);
    world.run(Duration::from_secs(1));
    world.publish_kind(0, 1, 1000, Kind::Camera);
    world.look(1, vec![(StreamId(1), Window::new(Size::new(640, 360), Priority::Pinned))]);
    let mut camera = audio(1000, 0);
    camera[1] = payload_type(Kind::Camera);
    world.send(0, &camera);
    world.run(Duration::from_secs(2));
    let gets =
        |target, reason: &str| (ParticipantId(1), vec![Layers { stream: 1, target, reason: reason.into() }]);
    assert_eq!(world.told.last(), Some(&gets(Some((0, 0)), "full")));
    assert!(world.told.iter().all(|(participant, _)| *participant == ParticipantId(1)), "{:?}", world.told);
    let count = world.told.len();
    world.run(Duration::from_secs(2));
    assert_eq!(world.told.len(), count, "{:?}", world.told);
    world.look(1, vec![]);
    world.run(Duration::from_secs(1));
    assert_eq!(world.told.last(), Some(&gets(None, "hidden")));
}

#[test]
fn a_link_made_anew_takes_the_place_of_the_one_before() {
    let mut world = World::new(2);
    world.run(Duration::from_secs(1));
    world.publish(0, 1, 1000);
    world.send(0, &audio(1000, 0));
    world.run(Duration::from_millis(50));
    // The participant's program starts again, at another address.
    world.people[1].address.set_port(4001);
    world.people[1].local = Description::new(&world.certificate).unwrap();
    world.ask_for_link(1);
    world.run(Duration::from_secs(1));
    assert_eq!(world.board.statistics().links, 2);
    world.send(0, &audio(1000, 1));
    world.run(Duration::from_millis(50));
    assert_eq!(world.sound(), [0, 2]);
}

#[test]
fn a_stream_that_was_published_before_a_link_goes_over_it() {
    let mut world = World::new(2);
    world.publish(0, 1, 1000);
    world.run(Duration::from_secs(1));
    world.send(0, &audio(1000, 0));
    world.run(Duration::from_millis(50));
    assert_eq!(world.sound(), [0, 1]);
}

#[test]
fn garbage_from_anywhere_is_counted_and_dropped() {
    let mut world = World::new(2);
    world.run(Duration::from_secs(1));
    let before = world.board.statistics();
    let mut datagram = vec![0; 200];
    for n in 0..10_000_u32 {
        datagram[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_le_bytes());
        let from = SocketAddr::from(([203, 0, (n >> 8) as u8, n as u8], 1 + (n % 999) as u16));
        world.board.handle_datagram(world.now, from, &datagram);
        // The same, as if it were from somebody in the meeting.
        world.board.handle_datagram(world.now, world.people[0].address, &datagram);
    }
    world.run(Duration::from_secs(1));
    let after = world.board.statistics();
    assert_eq!(after.strangers - before.strangers, 10_000);
    assert_eq!((after.links, after.participants), (2, 2));
    world.publish(0, 1, 1000);
    world.send(0, &audio(1000, 0));
    world.run(Duration::from_millis(50));
    assert_eq!(world.sound(), [0, 1]);
}

#[test]
fn a_meeting_that_is_closed_leaves_nothing() {
    let mut world = World::new(3);
    world.run(Duration::from_secs(1));
    world.board.handle_command(world.now, MediaCommand::CloseMeeting { meeting: MEETING });
    world.run(Duration::from_millis(50));
    let statistics = world.board.statistics();
    assert_eq!((statistics.meetings, statistics.participants, statistics.links), (0, 0, 0));
    // Whoever asks for a link to it is told that there is none.
    let (participant, reply) = (ParticipantId(0), LinkReply(9));
    let description = world.people[0].local.to_message(&[]);
    let command = MediaCommand::Link { meeting: MEETING, participant, description, reply };
    world.board.handle_command(world.now, command);
    let output = world.board.poll(world.now, &mut Vec::new());
    assert!(matches!(output, Output::Event(MediaEvent::Link { result: Err(_), .. })), "{output:?}");
}
