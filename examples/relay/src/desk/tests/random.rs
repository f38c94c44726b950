//! Whatever is asked, by whomever: nothing panics, and what must hold holds.

use std::collections::BTreeSet;

use layercast_meeting::{
    Answer, Audience, Bytes, Credential, Event, FromRelay, Group, Kind, Numbered, ParticipantId, Request,
    Right, Role, Secret,
};
use proptest::prelude::*;

use super::{Call, ConnectionId, Rig, bytes, description, secret, text};
use crate::media_api::{MediaCommand, MediaEvent, MeetingKey};
use crate::store::State;

const NAMES: [&str; 3] = ["Olga", "Max", "Wim"];

#[derive(Debug, Clone)]
enum Step {
    Ask(usize, Ask),
    Cut(usize),
    Pass(u64),
    Expel(u32),
}

/// A request, but for what only the run knows.
#[derive(Debug, Clone)]
enum Ask {
    Plain(Box<Request>),
    Login(usize),
    Plan,
    Invite,
    Appoint(usize),
    Join(How, bool, u64),
    /// A commit of the right epoch.
    Commit(Group, Vec<ParticipantId>, Vec<ParticipantId>),
}

#[derive(Debug, Clone)]
enum How {
    Account,
    Invitation(usize),
    Return(usize),
}

fn participant() -> impl Strategy<Value = ParticipantId> {
    (0u32..7).prop_map(ParticipantId)
}

fn group() -> impl Strategy<Value = Group> {
    prop_oneof![3 => Just(Group::Meeting), 1 => Just(Group::Insiders)]
}

fn plain() -> impl Strategy<Value = Request> {
    let kind = prop_oneof![Just(Kind::Camera), Just(Kind::Screen), Just(Kind::Audio), Just(Kind::Data)];
    let right = prop_oneof![Just(Right::Voice), Just(Right::Camera), Just(Right::Share)];
    let audience = prop_oneof![Just(Audience::Guests), Just(Audience::Outsiders), Just(Audience::All)];
    let some = || prop::collection::vec(participant(), 0..3);
    prop_oneof![
        6 => participant().prop_map(|participant| Request::Admit { participant }),
        2 => participant().prop_map(|participant| Request::Remove { participant }),
        1 => participant().prop_map(|participant| Request::HandOver { participant }),
        1 => (participant(), right, any::<bool>())
            .prop_map(|(participant, right, allowed)| Request::Allow { participant, right, allowed }),
        1 => any::<bool>().prop_map(|locked| Request::Lock { locked }),
        1 => Just(Request::Leave),
        1 => Just(Request::Logout),
        1 => (audience, prop::option::of(0u8..9))
            .prop_map(|(audience, max_spatial_id)| Request::LimitCamera { audience, max_spatial_id }),
        2 => (group(), 0u64..6, some(), some()).prop_map(|(group, epoch, added, removed)| Request::Commit {
            group,
            epoch,
            message: bytes("commit"),
            welcome: (!added.is_empty()).then(|| bytes("welcome")),
            added,
            removed,
        }),
        1 => (group(), 0u64..6)
            .prop_map(|(group, epoch)| Request::Propose { group, epoch, message: bytes("proposal") }),
        3 => kind.prop_map(|kind| Request::Publish { kind, member: 0, track: 0, layer_refresh: false }),
        1 => (0u32..6).prop_map(|stream| Request::Unpublish { stream }),
        1 => Just(Request::Link(description())),
        1 => Just(Request::Report { report: Bytes(vec![0; 40]) }),
        1 => Just(Request::Session { token: secret("none") }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        3 => Just(How::Account),
        2 => (0usize..3).prop_map(How::Invitation),
        4 => (0usize..8).prop_map(How::Return),
    ];
    let ask = prop_oneof![
        10 => plain().prop_map(|request| Ask::Plain(Box::new(request))),
        2 => (0..NAMES.len()).prop_map(Ask::Login),
        1 => Just(Ask::Plan),
        1 => Just(Ask::Invite),
        1 => (0..NAMES.len()).prop_map(Ask::Appoint),
        6 => (group(), prop::collection::vec(participant(), 0..3), prop::collection::vec(participant(), 0..2))
            .prop_map(|(group, added, removed)| Ask::Commit(group, added, removed)),
        6 => (how, prop::bool::weighted(0.7), 0u64..4).prop_map(|(how, keys, seen)| Ask::Join(how, keys, seen)),
    ];
    prop_oneof![
        20 => (0usize..5, ask).prop_map(|(by, ask)| Step::Ask(by, ask)),
        2 => (0usize..5).prop_map(Step::Cut),
        1 => prop_oneof![Just(1u64), Just(30), Just(61)].prop_map(Step::Pass),
        1 => (0u32..7).prop_map(Step::Expel),
    ]
}

/// What is known from outside: who was removed, and whose media flows.
#[derive(Default)]
struct Seen {
    removed: BTreeSet<u32>,
    in_media: BTreeSet<u32>,
    key: Option<MeetingKey>,
}

impl Seen {
    /// Follows the commands, none of which may be about somebody who is not in.
    fn follow(&mut self, command: &MediaCommand) {
        let inside =
            |participant: &ParticipantId| assert!(self.in_media.contains(&participant.0), "{command:?}");
        match command {
            MediaCommand::OpenMeeting { meeting } => self.key = Some(*meeting),
            MediaCommand::CloseMeeting { .. } => {
                self.in_media.clear();
                self.removed.clear();
            }
            MediaCommand::Join { participant, .. } => {
                assert!(self.in_media.insert(participant.0), "{command:?} twice");
                assert!(!self.removed.contains(&participant.0), "{command:?} after its removal");
            }
            MediaCommand::Leave { participant, .. } => {
                assert!(self.in_media.remove(&participant.0), "{command:?}")
            }
            MediaCommand::Link { participant, .. }
            | MediaCommand::Publish { participant, .. }
            | MediaCommand::Cap { participant, .. }
            | MediaCommand::Report { participant, .. } => inside(participant),
            MediaCommand::Unpublish { .. } | MediaCommand::SetMuted { .. } => {}
        }
    }
}

fn check(rig: &Rig, seen: &Seen) {
    for meeting in rig.desk.meetings.values() {
        let roles = meeting.participants.values().map(|participant| meeting.role(participant));
        assert!(roles.filter(|role| *role == Role::Organizer).count() <= 1, "two organizers");
        let record = rig.desk.store.meeting(&meeting.id).unwrap().expect("the store has the meeting");
        assert_eq!(record.organizer, meeting.organizer);
        assert_eq!(record.epochs, meeting.epochs);
        assert_eq!(record.last_message, meeting.last_message);
        assert_eq!(record.log, Vec::from(meeting.log.clone()));
        assert_eq!(record.locked, meeting.locked);
        assert_eq!(record.roster.len(), meeting.participants.len());
        for entry in &record.roster {
            let participant = &meeting.participants[&entry.participant];
            assert_eq!(
                (entry.account, entry.token, entry.state, entry.was_in, entry.rights, entry.since),
                (
                    participant.account,
                    participant.token,
                    participant.state,
                    participant.was_in,
                    participant.rights,
                    participant.since
                ),
                "the store and the memory are of one mind"
            );
            if seen.removed.contains(&entry.participant) {
                assert_eq!(entry.state, State::Removed);
            }
            assert_eq!(participant.in_media, seen.in_media.contains(&entry.participant));
            assert!(!participant.in_media || participant.state == State::In);
        }
        for stream in meeting.streams.values() {
            assert!(meeting.participants[&stream.participant.0].in_media);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_what_must_hold_holds(steps in prop::collection::vec(step(), 1..120)) {
        let Call { mut rig, meeting, organizer, member, guest, waits } = Call::new();
        let mut codes = vec![rig.invite(organizer.at, &meeting)];
        let people = [organizer, member, guest, waits];
        let mut tokens: Vec<Secret> = people.iter().map(|person| person.token.clone()).collect();
        let mut connections: Vec<ConnectionId> = people.iter().map(|person| person.at).collect();
        connections.push(rig.connect());
        let mut seen = Seen { in_media: BTreeSet::from([1, 2, 3]), ..Seen::default() };
        seen.key = rig.desk.meetings.keys().next().copied();
        for step in steps {
            match step {
                Step::Ask(by, ask) => {
                    let by = connections[by];
                    let request = match ask {
                        Ask::Plain(request) => *request,
                        Ask::Login(name) => {
                            Request::Login { account: text(NAMES[name]), password: secret("password") }
                        }
                        Ask::Plan => Request::Plan { title: text("Another") },
                        Ask::Invite => Request::Invite { meeting: meeting.clone() },
                        Ask::Appoint(name) => {
                            Request::Appoint { meeting: meeting.clone(), account: text(NAMES[name]) }
                        }
                        Ask::Commit(group, added, removed) => Request::Commit {
                            group,
                            epoch: rig.desk.meetings.values().next().map_or(0, |meeting| {
                                meeting.epochs[super::super::meeting::group_index(group)]
                            }),
                            message: bytes("commit"),
                            welcome: (!added.is_empty()).then(|| bytes("welcome")),
                            added,
                            removed,
                        },
                        Ask::Join(how, with_keys, seen) => {
                            let pick = |from: &[Secret], at: usize| {
                                from.get(at).cloned().unwrap_or_else(|| secret("none"))
                            };
                            Request::Join {
                                meeting: meeting.clone(),
                                credential: match how {
                                    How::Account => Credential::Account,
                                    How::Invitation(at) => Credential::Invitation(pick(&codes, at)),
                                    How::Return(at) => Credential::Return(pick(&tokens, at)),
                                },
                                name: text("Somebody"),
                                key_package: with_keys.then(|| bytes("keys")),
                                insiders_key_package: None,
                                seen,
                            }
                        }
                    };
                    rig.desk.handle_request(rig.now, by, Numbered { id: 7, request });
                }
                Step::Cut(which) => {
                    rig.desk.handle_close(rig.now, connections[which]);
                    connections[which] = rig.connect();
                }
                Step::Pass(seconds) => rig.pass(seconds),
                Step::Expel(whom) => {
                    if let Some(meeting) = seen.key {
                        let (participant, reason) = (ParticipantId(whom), "flood".to_owned());
                        // The media side expels only those whom it has, and forgets them.
                        if seen.in_media.remove(&whom) {
                            rig.desk.handle_media(rig.now, MediaEvent::Expelled { meeting, participant, reason });
                        }
                    }
                }
            }
            rig.drain();
            for command in std::mem::take(&mut rig.media) {
                seen.follow(&command);
            }
            for message in std::mem::take(&mut rig.inbox).into_values().flatten() {
                match message {
                    FromRelay::Answer { result: Ok(Answer::Joined(admission)), .. } => tokens.push(admission.token),
                    FromRelay::Answer { result: Ok(Answer::Invitation(code)), .. } => codes.push(code),
                    FromRelay::Event(Event::Removed { participant }) => {
                        seen.removed.insert(participant.0);
                    }
                    _ => {}
                }
            }
            for connection in &mut connections {
                if rig.closed.contains(connection) {
                    *connection = rig.connect();
                }
            }
            check(&rig, &seen);
        }
    }
}
