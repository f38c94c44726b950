//! A relay says whatever it likes to a participant, who types commands meanwhile. Each line of the input is a message of the
//! relay, a command, or a step: `.` answers the oldest request as it should be, `!` cuts the connection, `+N` lets so many
//! milliseconds pass. The participant comes to rest after each, holds what it may hold, and what it says can be read.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use layercast::e2ee::{OpenError, SenderKeys};
use layercast::select::{DemandMessage, MAX_STREAMS};
use layercast::{Size, Time};
use layercast_attend::circle::Circle;
use layercast_attend::commands::Command;
use layercast_attend::media::Failure;
use layercast_attend::{Attendee, Config, Entry, Media, Output};
use layercast_fuzz::timed;
use layercast_meeting::{
    Admission, Answer, FromRelay, Kind, LinkDescription, MeetingId, Numbered, ParticipantId, Published,
    Request, Role, Secret, Session, Stream, Text,
};
use libfuzzer_sys::fuzz_target;

/// Lines that are taken.
const LINES: usize = 60;
/// Outputs in a row: one for each of its people and streams, which the lines bring, and what a participant does by itself.
const OUTPUTS: usize = 2000;

/// Media that are not there.
#[derive(Default)]
struct Quiet(Vec<Stream>);

impl Media for Quiet {
    const REFRESHES_LAYERS: bool = true;

    fn send(&mut self, _: usize, _: Published, track: u16, keys: &mut SenderKeys) -> Result<(), Failure> {
        keys.video(track)?;
        Ok(())
    }

    fn rekey(&mut self, _: usize, track: u16, keys: &mut SenderKeys) -> Result<(), Failure> {
        keys.video(track)?;
        Ok(())
    }

    fn stop(&mut self, _: usize) {}

    fn stop_all(&mut self) {}

    fn demand(&mut self, _: usize, _: &DemandMessage) {}

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.0.iter()
    }

    fn receive(&mut self, now: Time, stream: Stream, _: &Circle) -> Result<(), Failure> {
        self.end(now, stream.stream);
        if self.0.len() < MAX_STREAMS {
            self.0.push(stream);
        }
        Ok(())
    }

    fn end(&mut self, _: Time, stream: u32) {
        self.0.retain(|it| it.stream != stream);
    }

    fn end_all(&mut self, _: Time) {
        self.0.clear();
    }

    fn enter(&mut self, _: Time, _: &Circle) {}

    fn forget(&mut self, _: Time) {
        self.0.clear();
    }

    fn closed(&self, _: Time) -> Vec<(Stream, Duration, OpenError)> {
        Vec::new()
    }

    fn withhold(&mut self, _: Time, stream: u32, _: bool) {
        assert!(self.0.iter().any(|it| it.stream == stream), "it is told of a stream that is there");
    }
}

fn text() -> Text {
    Text::new("Ann").unwrap()
}

fn link() -> LinkDescription {
    let (ufrag, password, fingerprint) = ("u".into(), Secret::new("p".into()), String::new());
    LinkDescription { ufrag, password, fingerprint, addresses: Vec::new() }
}

/// What an honest relay answers.
fn answer(request: &Request, id: u32) -> Answer {
    match request {
        Request::Login { .. } | Request::Session { .. } => {
            Answer::Session(Session { token: Secret::new("s".into()), expires_in: 60 })
        }
        Request::Join { .. } => Answer::Joined(Admission {
            participant: ParticipantId(1),
            role: Role::Organizer,
            token: Secret::new("t".into()),
            title: text(),
            region: text(),
            storage: String::new(),
        }),
        Request::Link(_) => Answer::Link(link()),
        Request::Publish { .. } => Answer::Published(Published { stream: id, ssrc: id }),
        _ => Answer::Done,
    }
}

/// Polls until there is nothing to do.
fn drain(attendee: &mut Attendee<Quiet>, now: Time, requests: &mut VecDeque<Numbered>) {
    for _ in 0..OUTPUTS {
        match attendee.poll(now) {
            Output::Timeout(_) => return,
            Output::MakeLink => {
                attendee.handle_link(now, link());
                attendee.handle_link_state(now, true);
            }
            Output::Request(request) => {
                assert_eq!(Numbered::parse(&request.to_text()).as_ref().ok(), Some(&request));
                requests.push_back(request);
            }
            Output::Notice(notice) => assert!(!notice.to_string().is_empty()),
            _ => {}
        }
    }
    panic!("it does not come to rest");
}

fuzz_target!(|data: &[u8]| {
    let mut attendee = Attendee::new(
        Config {
            meeting: MeetingId(text()),
            entry: Entry::Account(text(), Secret::new("p".into())),
            name: text(),
            identity: None,
            guest_limit: data.len().is_multiple_of(2).then_some(0),
            window: Size::new(64, 36),
            cpu_budget: None,
            admit_all: true,
            unix: u64::MAX - 5,
        },
        Quiet::default(),
    );
    attendee.add_source(Kind::Camera, Some(1080), true);
    attendee.add_source(Kind::Audio, None, true);
    let (mut now, mut requests) = (Time::ZERO, VecDeque::new());
    attendee.handle_connected();
    drain(&mut attendee, now, &mut requests);
    for line in String::from_utf8_lossy(data).lines().take(LINES) {
        match line.as_bytes() {
            b"." => {
                let Some(Numbered { id, request }) = requests.pop_front() else { continue };
                let result = Ok(answer(&request, id));
                attendee.handle_message(now, FromRelay::Answer { id, result });
            }
            b"!" => {
                attendee.handle_disconnected(now, "lost");
                requests.clear();
                drain(&mut attendee, now, &mut requests);
                attendee.handle_connected();
            }
            [b'+', millis @ ..] => {
                let millis = str::from_utf8(millis).ok().and_then(|millis| millis.parse::<u32>().ok());
                now += Duration::from_millis(millis.unwrap_or(20).into());
            }
            _ => match (FromRelay::parse(line), Command::parse(line)) {
                (Ok(message), _) => timed("message", || attendee.handle_message(now, message)),
                (_, Some(command)) => attendee.handle_command(now, command),
                _ => {}
            },
        }
        drain(&mut attendee, now, &mut requests);
        // A relay that never answers is no reason to keep what was asked.
        requests.truncate(1000);
    }
});
