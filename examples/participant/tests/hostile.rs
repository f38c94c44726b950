//! A relay, and a member with keys, that say whatever they like.

use bytes::Bytes;
use layercast::{Size, Time};
use layercast_meeting::{
    Admission, Answer, Arrival, Asked, Audience, Event, FromRelay, Group, Kind, Layers, LinkDescription,
    MeetingId, MlsMessage, ParticipantId, Published, Refusal, Rights, Role, Secret, Stream, Text,
};
use layercast_participant::commands::Command;
use layercast_participant::seat::{Entry, Seat, SeatConfig, SeatOutput, VideoSource};
use proptest::prelude::*;

fn text() -> Text {
    Text::new("somebody").unwrap()
}

fn seat() -> Seat {
    let mut camera = VideoSource::camera(Size::new(64, 36));
    camera.frame_rate = 10;
    Seat::new(SeatConfig {
        meeting: MeetingId(text()),
        entry: Entry::Invitation(Secret::new("code".into())),
        name: text(),
        identity: None,
        camera: Some(camera),
        screen: None,
        guest_limit: Some(0),
        audio: true,
        window: Size::new(64, 36),
        cpu_budget: None,
        admit_all: true,
        unix: u64::MAX - 5,
    })
}

fn participant() -> impl Strategy<Value = ParticipantId> {
    (0..5_u32).prop_map(ParticipantId)
}

fn bytes() -> impl Strategy<Value = layercast_meeting::Bytes> {
    proptest::collection::vec(any::<u8>(), 0..60).prop_map(layercast_meeting::Bytes)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Organizer), Just(Role::Member), Just(Role::Guest)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Camera), Just(Kind::Screen), Just(Kind::Audio), Just(Kind::Data)]
}

fn rights() -> impl Strategy<Value = Rights> {
    any::<[bool; 3]>().prop_map(|[voice, camera, share]| Rights { voice, camera, share })
}

fn group() -> impl Strategy<Value = Group> {
    prop_oneof![4 => Just(Group::Meeting), 1 => Just(Group::Insiders)]
}

fn event() -> impl Strategy<Value = Event> {
    let stream = (participant(), 0..6_u32, 0..6_u32, kind(), 0..4_u32, any::<u16>());
    prop_oneof![
        (participant(), role(), bytes(), proptest::option::of(bytes()), any::<[bool; 2]>()).prop_map(
            |(participant, role, key_package, insiders_key_package, [outsider, known])| {
                Event::Waiting(Asked {
                    participant,
                    role,
                    name: text(),
                    key_package,
                    insiders_key_package,
                    outsider,
                    known,
                })
            }
        ),
        (rights(), 0..4_u64, any::<bool>()).prop_map(|(rights, messages, begins)| Event::Admitted {
            rights,
            messages,
            begins
        }),
        (participant(), role(), rights()).prop_map(|(participant, role, rights)| Event::Arrived(Arrival {
            participant,
            role,
            name: text(),
            rights
        })),
        participant().prop_map(|participant| Event::Left { participant }),
        participant().prop_map(|participant| Event::Away { participant }),
        (participant(), rights()).prop_map(|(participant, rights)| Event::Rights { participant, rights }),
        participant().prop_map(|participant| Event::Organizer { participant }),
        (participant(), any::<Option<u8>>()).prop_map(|(participant, max_spatial_id)| {
            Event::CameraLimited { participant, audience: Audience::All, max_spatial_id }
        }),
        Just(Event::GroupLost),
        (group(), any::<u64>(), participant(), bytes()).prop_map(
            |(group, number, from, message)| Event::Mls(MlsMessage { group, number, from, message })
        ),
        (group(), any::<u64>(), bytes()).prop_map(|(group, number, message)| Event::Welcome {
            group,
            number,
            message
        }),
        stream.prop_map(|(participant, stream, ssrc, kind, member, track)| {
            Event::Published(Stream { participant, stream, ssrc, kind, member, track })
        }),
        (0..6_u32).prop_map(|stream| Event::Unpublished { stream }),
        bytes().prop_map(|demand| Event::Demand { demand }),
        (0..6_u32, any::<Option<(u8, u8)>>(), ".{0,12}").prop_map(|(stream, target, reason)| Event::Layers {
            layers: vec![Layers { stream, target, reason }]
        }),
        (participant(), bytes()).prop_map(|(participant, message)| Event::Said { participant, message }),
        Just(Event::Closing),
    ]
}

fn answer() -> impl Strategy<Value = Result<Answer, Refusal>> {
    let link = LinkDescription {
        ufrag: "u".into(),
        password: Secret::new("p".into()),
        fingerprint: String::new(),
        addresses: vec![],
    };
    let admission = |(participant, role)| Admission {
        participant,
        role,
        token: Secret::new("t".into()),
        title: text(),
        region: text(),
        storage: String::new(),
    };
    prop_oneof![
        4 => Just(Ok(Answer::Done)),
        4 => (participant(), role()).prop_map(move |of| Ok(Answer::Joined(admission(of)))),
        4 => (0..6_u32, 0..6_u32).prop_map(|(stream, ssrc)| Ok(Answer::Published(Published { stream, ssrc }))),
        2 => Just(Ok(Answer::Link(link))),
        1 => prop_oneof![Just(Refusal::StaleEpoch), Just(Refusal::NotNow), Just(Refusal::NotAllowed)].prop_map(Err),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Event(Event),
    Answer(u32, Result<Answer, Refusal>),
    Packet(Vec<u8>),
    Link(bool),
    Lost,
    Picture,
    Wait(u16),
    Command(&'static str),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => event().prop_map(Step::Event),
        6 => (0..12_u32, answer()).prop_map(|(id, answer)| Step::Answer(id, answer)),
        2 => proptest::collection::vec(any::<u8>(), 0..80).prop_map(Step::Packet),
        1 => any::<bool>().prop_map(Step::Link),
        1 => Just(Step::Lost),
        2 => Just(Step::Picture),
        2 => any::<u16>().prop_map(Step::Wait),
        2 => prop::sample::select(vec!["mute", "unmute", "who", "code", "admit 1", "remove 1", "hand-over 2", "window 0x0", "limit all 0"])
            .prop_map(Step::Command),
    ]
}

/// Polls until there is nothing to do, which comes soon.
fn drain(seat: &mut Seat, now: Time) {
    for _ in 0..2000 {
        match seat.poll(now) {
            SeatOutput::Timeout(_) => return,
            SeatOutput::MakeLink => {
                let password = Secret::new("p".into());
                let (ufrag, fingerprint) = ("u".into(), String::new());
                seat.handle_link(now, LinkDescription { ufrag, password, fingerprint, addresses: vec![] });
            }
            _ => {}
        }
    }
    panic!("it does not come to rest");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_relay_brings_a_seat_down(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut seat, mut now) = (seat(), Time::ZERO);
        let picture = layercast::picture::Picture::new(Size::new(64, 36));
        seat.handle_connected();
        drain(&mut seat, now);
        for step in steps {
            match step {
                Step::Event(event) => seat.handle_message(now, FromRelay::Event(event)),
                Step::Answer(id, result) => seat.handle_message(now, FromRelay::Answer { id, result }),
                Step::Packet(packet) => seat.handle_packet(now, now, Bytes::from(packet)),
                Step::Link(up) => seat.handle_link_state(now, up),
                Step::Lost => {
                    seat.handle_disconnected(now, "lost");
                    drain(&mut seat, now);
                    seat.handle_connected();
                }
                Step::Picture => {
                    seat.handle_picture(now, 0, &picture.view()).unwrap();
                }
                Step::Wait(ms) => now += std::time::Duration::from_millis(ms.into()),
                Step::Command(line) => seat.handle_command(now, Command::parse(line).unwrap()),
            }
            drain(&mut seat, now);
        }
    }
}
