//! Pages at the desk of a relay, in virtual time. All that they say to each other is text.
#![allow(dead_code, reason = "each test takes a part of it")]

use std::net::Ipv4Addr;
use std::time::Duration;

use layercast::Time;
use layercast_meeting::{
    Answer, Event, FromRelay, Group, Kind, LinkDescription, MeetingId, Numbered, ParticipantId, Request,
    Secret, Text,
};
use layercast_page::frame::as_received;
use layercast_page::output::{GroupState, OtherStream, OwnStream, PageOutput};
use layercast_page::seat::{Metadata, PageSeat};
use layercast_relay::desk::{ConnectionId, Desk, DeskConfig, DeskOutput, Now};
use layercast_relay::media_api::{MediaCommand, MediaEvent};
use layercast_relay::store::Store;

/// The person who plans the meeting.
const PLANNER: ConnectionId = ConnectionId(1000);
const START: u64 = 1_800_000_000;

/// A page, and what it was told.
pub struct Page {
    pub seat: PageSeat,
    pub outputs: Vec<PageOutput>,
    /// Whether the relay keeps commits back, and which it has kept.
    pub holds_commits: bool,
    held: Vec<String>,
}

/// The meeting.
pub struct World {
    pub desk: Desk,
    pub now: Time,
    pub pages: Vec<Page>,
    pub meeting: MeetingId,
    /// Whom a relay names in the place of each other, as those who say something.
    pub confuses: Option<[ParticipantId; 2]>,
    /// Of what somebody asked for itself.
    answers: Vec<FromRelay>,
    last: u32,
}

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

/// The relay's end of every link.
fn description() -> LinkDescription {
    LinkDescription {
        ufrag: "ufrag".into(),
        password: Secret::new("password".into()),
        fingerprint: "sha-256 00".into(),
        addresses: vec!["192.0.2.1:7".parse().unwrap()],
    }
}

impl World {
    /// Nobody is there. Ann has planned a meeting; Bob has an account too.
    pub fn new() -> Self {
        let mut store = Store::in_memory().unwrap();
        // Passwords are stored as they are, so that no test waits for Argon2.
        ["Ann", "Bob"].iter().for_each(|name| {
            store.add_account(name, "password", false, START).unwrap();
        });
        let config = DeskConfig::new(text("a cellar"), Secret::new("no password fits".into()));
        let desk = Desk::new(now(Time::ZERO), store, config).unwrap();
        let meeting = MeetingId(text("none"));
        let mut world = Self {
            desk,
            now: Time::ZERO,
            pages: Vec::new(),
            meeting,
            confuses: None,
            answers: Vec::new(),
            last: 0,
        };
        world.desk.handle_open(now(world.now), PLANNER, Ipv4Addr::LOCALHOST.into());
        world.ask(Request::Login { account: text("Ann"), password: Secret::new("password".into()) });
        let Answer::Planned(meeting) = world.ask(Request::Plan { title: text("Plans") }) else { panic!() };
        world.meeting = meeting;
        world
    }

    fn ask(&mut self, request: Request) -> Answer {
        self.last += 1;
        self.desk.handle_request(now(self.now), PLANNER, Numbered { id: self.last, request });
        self.drain();
        match self.answers.pop() {
            Some(FromRelay::Answer { result, .. }) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Somebody opens the page: with an account, or with an invitation if the name is none of those. `more` are fields of the
    /// configuration.
    pub fn open(&mut self, name: &str, more: &str) -> usize {
        let entry = if ["Ann", "Bob"].contains(&name) {
            format!(r#"{{"account":["{name}","password"]}}"#)
        } else {
            let meeting = self.meeting.clone();
            let Answer::Invitation(code) = self.ask(Request::Invite { meeting }) else { panic!() };
            format!(r#"{{"invitation":"{}"}}"#, code.expose())
        };
        let meeting = &self.meeting.0;
        let config = format!(r#"{{"meeting":"{meeting}","name":"{name}","entry":{entry}{more}}}"#);
        let seat = PageSeat::new(&config, START * 1_000_000).unwrap();
        let place = self.pages.len();
        self.pages.push(Page { seat, outputs: Vec::new(), holds_commits: false, held: Vec::new() });
        self.desk.handle_open(now(self.now), ConnectionId(place as u64), Ipv4Addr::LOCALHOST.into());
        self.pages[place].seat.handle_connected(self.now);
        self.run(40);
        place
    }

    /// Ann, who organizes and lets everybody in, Bob, and Cleo, who is a guest: all send a camera and sound.
    pub fn three(more_of_ann: &str) -> Self {
        let mut world = Self::new();
        world.open("Ann", &format!(r#","admit_all":true{more_of_ann}"#));
        world.open("Bob", "");
        world.open("Cleo", "");
        for place in 0..3 {
            world.command(place, r#"{"do":"publish","kind":"camera","size":[1280,720]}"#);
            world.command(place, r#"{"do":"publish","kind":"audio"}"#);
        }
        world.run(100);
        world
    }

    /// The WebSocket of somebody is closed.
    pub fn lose(&mut self, place: usize) {
        self.desk.handle_close(now(self.now), ConnectionId(place as u64));
        self.pages[place].seat.handle_disconnected(self.now, "lost");
        self.run(40);
    }

    /// It is open again.
    pub fn come_back(&mut self, place: usize) {
        self.desk.handle_open(now(self.now), ConnectionId(place as u64), Ipv4Addr::LOCALHOST.into());
        self.pages[place].seat.handle_connected(self.now);
        self.run(100);
    }

    pub fn command(&mut self, place: usize, json: &str) {
        self.pages[place].seat.handle_command(self.now, json).unwrap();
    }

    /// Goes on for so many milliseconds.
    pub fn run(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        loop {
            while self.step() {}
            if self.now >= end {
                return;
            }
            self.now += Duration::from_millis(20);
            self.desk.handle_timeout(now(self.now));
        }
    }

    /// Whether anything happened.
    fn step(&mut self) -> bool {
        let mut happened = self.drain();
        for place in 0..self.pages.len() {
            let page = &mut self.pages[place];
            let mut outputs = page.seat.poll(self.now);
            assert!(matches!(outputs.pop(), Some(PageOutput::Timeout(_))), "the last says until when");
            for output in &outputs {
                happened = true;
                match output {
                    PageOutput::Send(text) => {
                        let request = Numbered::parse(text).unwrap();
                        self.desk.handle_request(now(self.now), ConnectionId(place as u64), request);
                    }
                    PageOutput::MakeLink(_) => {
                        let link =
                            r#"{"ufrag":"u","password":"p","fingerprint":"sha-256 11","addresses":[]}"#;
                        page.seat.handle_link(self.now, link).unwrap();
                    }
                    PageOutput::Link(link) => {
                        assert_eq!(*link, description());
                        page.seat.handle_link_state(self.now, true);
                    }
                    _ => {}
                }
            }
            page.outputs.extend(outputs);
        }
        happened
    }

    fn drain(&mut self) -> bool {
        let mut happened = false;
        loop {
            match self.desk.poll(now(self.now)) {
                DeskOutput::Send { to, message } => {
                    for ConnectionId(place) in to {
                        self.deliver(place as usize, &message);
                    }
                }
                DeskOutput::Verify { job, hash, password } => {
                    self.desk.handle_verified(now(self.now), job, hash == password);
                }
                DeskOutput::Media(MediaCommand::Link { reply, .. }) => {
                    let result = Ok(description());
                    self.desk.handle_media(now(self.now), MediaEvent::Link { reply, result });
                }
                DeskOutput::Timeout(_) => return happened,
                _ => {}
            }
            happened = true;
        }
    }

    fn deliver(&mut self, place: usize, message: &FromRelay) {
        let mut message = message.clone();
        if let (FromRelay::Event(Event::Said { participant, .. }), Some([a, b])) =
            (&mut message, self.confuses)
        {
            *participant = if *participant == a { b } else { a };
        }
        let message = &message;
        let Some(page) = self.pages.get_mut(place) else { return self.answers.push(message.clone()) };
        let is_commit =
            matches!(message, FromRelay::Event(Event::Mls(message)) if message.group == Group::Meeting);
        if page.holds_commits && is_commit {
            page.held.push(message.to_text());
        } else {
            page.seat.handle_message(self.now, &message.to_text()).unwrap();
        }
    }

    /// The commits that were kept from somebody come.
    pub fn let_through(&mut self, place: usize) {
        let page = &mut self.pages[place];
        page.holds_commits = false;
        for message in std::mem::take(&mut page.held) {
            page.seat.handle_message(self.now, &message).unwrap();
        }
        self.run(0);
    }

    /// A stream of one's own, as it was last announced.
    pub fn own(&self, place: usize, kind: Kind) -> OwnStream {
        let streams = self.pages[place].outputs.iter().rev();
        let find = |output: &PageOutput| match output {
            PageOutput::Published(own) if own.kind == kind => Some(*own),
            _ => None,
        };
        streams.filter_map(find).next().expect("it is sent")
    }

    /// The streams that a page knows of.
    pub fn streams(&self, place: usize) -> Vec<OtherStream> {
        let mut streams: Vec<OtherStream> = Vec::new();
        for output in &self.pages[place].outputs {
            match output {
                PageOutput::Stream(stream) => {
                    streams.retain(|it| it.stream != stream.stream);
                    streams.push(stream.clone());
                }
                PageOutput::StreamEnded(stream) => streams.retain(|it| it.stream != *stream),
                _ => {}
            }
        }
        streams
    }

    /// The group that a page was last told of.
    pub fn group(&self, place: usize) -> Option<GroupState> {
        let find = |output: &PageOutput| match output {
            PageOutput::Group(group) => Some(group.clone()),
            _ => None,
        };
        self.pages[place].outputs.iter().rev().find_map(find).flatten()
    }

    /// The lines of a page's notices, by their kind.
    pub fn told(&self, place: usize, kind: &str) -> Vec<String> {
        let told = self.pages[place].outputs.iter().filter_map(|output| match output {
            PageOutput::Notice(told) => Some(told),
            _ => None,
        });
        let is_it = |json: &serde_json::Value| json["notice"] == kind;
        told.filter(|told| is_it(&serde_json::to_value(told).unwrap()))
            .map(|told| told.text.clone())
            .collect()
    }

    /// The number of somebody.
    pub fn number(&self, place: usize) -> ParticipantId {
        let people = self.pages[place].seat.attendee().people();
        people.into_iter().find(|person| person.own).expect("it is in").participant
    }
}

fn now(at: Time) -> Now {
    Now { unix: START + at.since_start().as_secs(), at: at.since_start() + Duration::from_secs(1000) }
}

/// A frame of a layer: the metadata that both browsers have, and its bytes.
#[derive(Debug, Clone)]
pub struct Frame {
    pub id: u64,
    pub layer: (u8, u8),
    pub dependencies: Vec<f64>,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The frames of picture `n` of three layers.
    pub fn picture(n: u64) -> [Self; 3] {
        [0, 1, 2].map(|spatial_id: u8| {
            let id = 3 * n + u64::from(spatial_id);
            let before = (n > 0).then_some(id as f64 - 3.0);
            let below = (spatial_id > 0).then_some(id as f64 - 1.0);
            let payload = vec![id as u8; 100 << spatial_id];
            Self {
                id,
                layer: (spatial_id, 0),
                dependencies: before.into_iter().chain(below).collect(),
                payload,
            }
        })
    }

    pub fn metadata(&self) -> Metadata<'_> {
        let (spatial_id, temporal_id) = self.layer;
        Metadata { frame_id: self.id as f64, dependencies: &self.dependencies, spatial_id, temporal_id }
    }

    /// As the sender's browser sends it, and a receiver's gets it.
    pub fn sealed(&self, world: &mut World, by: usize) -> Vec<u8> {
        let stream = world.own(by, Kind::Camera).stream;
        let is_key = self.id < 3;
        let seat = &mut world.pages[by].seat;
        let sent = seat.seal_video(stream, self.metadata(), is_key, &self.payload).unwrap();
        as_received(sent)
    }

    /// What opens at somebody.
    pub fn opened(
        &self,
        world: &mut World,
        of: usize,
        at: usize,
        obu: &[u8],
    ) -> Result<Vec<u8>, &'static str> {
        let (now, stream) = (world.now, world.own(of, Kind::Camera).stream);
        world.pages[at].seat.open_video(now, stream, self.metadata(), obu).map(<[u8]>::to_vec)
    }
}
