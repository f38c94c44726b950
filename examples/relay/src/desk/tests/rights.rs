//! For each right its permitted and its forbidden use.

use layercast_meeting::{
    Answer, Audience, Credential, Event, Group, Kind, ParticipantId, Refusal, Request, Right, Rights, Role,
};

use super::{Call, Person, bytes, description, text};
use crate::media_api::MediaCommand;

const NOBODY: ParticipantId = ParticipantId(99);

type Make = fn(&Call) -> Request;

/// What is asked, and what the organizer, a member, a guest, one who waits and a stranger are told.
type Row = (&'static str, Make, [Result<(), Refusal>; 5]);

const OK: Result<(), Refusal> = Ok(());

const fn no(refusal: Refusal) -> Result<(), Refusal> {
    Err(refusal)
}

/// A request of the organizer, with what the organizer itself is told.
const fn chair(result: Result<(), Refusal>) -> [Result<(), Refusal>; 5] {
    let refused = no(Refusal::NotOrganizer);
    [result, refused, refused, no(Refusal::NotNow), no(Refusal::NotNow)]
}

/// A request of everybody who is in.
const INSIDE: [Result<(), Refusal>; 5] = [OK, OK, OK, no(Refusal::NotNow), no(Refusal::NotNow)];

fn publish(kind: Kind) -> Request {
    Request::Publish { kind, member: 0, track: 0, layer_refresh: false }
}

fn commit(call: &Call, added: bool) -> Request {
    Request::Commit {
        group: Group::Meeting,
        epoch: 2,
        message: bytes("commit"),
        welcome: added.then(|| bytes("welcome")),
        added: if added { vec![call.member.id] } else { Vec::new() },
        removed: Vec::new(),
    }
}

fn table() -> Vec<Row> {
    vec![
        ("admit", |call| Request::Admit { participant: call.waits.id }, chair(OK)),
        ("admit again", |call| Request::Admit { participant: call.member.id }, chair(no(Refusal::NotNow))),
        ("admit nobody", |_| Request::Admit { participant: NOBODY }, chair(no(Refusal::NoParticipant))),
        ("remove one who waits", |call| Request::Remove { participant: call.waits.id }, chair(OK)),
        ("remove nobody", |_| Request::Remove { participant: NOBODY }, chair(no(Refusal::NoParticipant))),
        (
            "remove the organizer",
            |call| Request::Remove { participant: call.organizer.id },
            chair(no(Refusal::NotAllowed)),
        ),
        (
            "allow",
            |call| Request::Allow { participant: call.guest.id, right: Right::Share, allowed: true },
            chair(OK),
        ),
        (
            "allow one who waits",
            |call| Request::Allow { participant: call.waits.id, right: Right::Share, allowed: true },
            chair(no(Refusal::NotNow)),
        ),
        ("lock", |_| Request::Lock { locked: true }, chair(OK)),
        ("hand over", |call| Request::HandOver { participant: call.member.id }, chair(OK)),
        (
            "hand over to a guest",
            |call| Request::HandOver { participant: call.guest.id },
            chair(no(Refusal::NotAllowed)),
        ),
        (
            "hand over to one who waits",
            |call| Request::HandOver { participant: call.waits.id },
            chair(no(Refusal::NotNow)),
        ),
        ("end", |_| Request::End, chair(OK)),
        (
            "limit cameras",
            |_| Request::LimitCamera { audience: Audience::All, max_spatial_id: Some(0) },
            INSIDE,
        ),
        (
            "limit cameras beyond AV1",
            |_| Request::LimitCamera { audience: Audience::All, max_spatial_id: Some(8) },
            [
                no(Refusal::Malformed),
                no(Refusal::Malformed),
                no(Refusal::Malformed),
                no(Refusal::NotNow),
                no(Refusal::NotNow),
            ],
        ),
        ("commit that adds", |call| commit(call, true), chair(OK)),
        ("commit", |call| commit(call, false), chair(OK)),
        (
            "begin the group of insiders",
            |_| Request::Commit {
                group: Group::Insiders,
                epoch: 0,
                message: bytes("commit"),
                welcome: None,
                added: Vec::new(),
                removed: Vec::new(),
            },
            chair(OK),
        ),
        (
            "propose",
            |_| Request::Propose { group: Group::Meeting, epoch: 2, message: bytes("leave") },
            INSIDE,
        ),
        (
            "propose to a group that one is not in",
            |_| Request::Propose { group: Group::Insiders, epoch: 0, message: bytes("leave") },
            [
                no(Refusal::NotAllowed),
                no(Refusal::NotAllowed),
                no(Refusal::NotAllowed),
                no(Refusal::NotNow),
                no(Refusal::NotNow),
            ],
        ),
        ("send sound", |_| publish(Kind::Audio), INSIDE),
        ("send a camera", |_| publish(Kind::Camera), INSIDE),
        ("send messages", |_| publish(Kind::Data), INSIDE),
        (
            "share",
            |_| publish(Kind::Screen),
            [OK, OK, no(Refusal::NotAllowed), no(Refusal::NotNow), no(Refusal::NotNow)],
        ),
        (
            "end a stream of nobody",
            |_| Request::Unpublish { stream: 77 },
            [
                no(Refusal::NoStream),
                no(Refusal::NoStream),
                no(Refusal::NoStream),
                no(Refusal::NotNow),
                no(Refusal::NotNow),
            ],
        ),
        ("report", |_| Request::Report { report: bytes("report") }, INSIDE),
        ("link", |_| Request::Link(description()), INSIDE),
        ("leave", |_| Request::Leave, [OK, OK, OK, OK, no(Refusal::NotNow)]),
        (
            "plan",
            |_| Request::Plan { title: text("Another") },
            [OK, OK, no(Refusal::NoSession), OK, no(Refusal::NoSession)],
        ),
        (
            "invite",
            |call| Request::Invite { meeting: call.meeting.clone() },
            [
                OK,
                no(Refusal::NotOrganizer),
                no(Refusal::NoSession),
                no(Refusal::NotOrganizer),
                no(Refusal::NoSession),
            ],
        ),
        (
            "appoint during the meeting",
            |call| Request::Appoint { meeting: call.meeting.clone(), account: text("Eve") },
            [
                no(Refusal::NotNow),
                no(Refusal::NotOrganizer),
                no(Refusal::NoSession),
                no(Refusal::NotOrganizer),
                no(Refusal::NoSession),
            ],
        ),
    ]
}

#[test]
fn each_right_has_its_permitted_and_its_forbidden_use() {
    for (name, make, expected) in table() {
        for (role, expected) in expected.into_iter().enumerate() {
            let mut call = Call::new();
            let stranger = call.rig.connect();
            let connections = [call.organizer.at, call.member.at, call.guest.at, call.waits.at, stranger];
            let request = make(&call);
            let result = call.rig.ask(connections[role], request).map(drop);
            assert_eq!(result, expected, "{name} by {role}");
            if let Err(refusal) = expected {
                assert_eq!(
                    call.rig.log.last().and_then(|event| event.refusal),
                    Some(refusal),
                    "{name} by {role}"
                );
                let told = [&call.organizer, &call.member, &call.guest, &call.waits].map(|person| person.at);
                for connection in told {
                    assert_eq!(call.rig.events(connection), [], "{name} by {role} reached somebody");
                }
                assert_eq!(call.rig.media, [], "{name} by {role} reached the media");
            }
        }
    }
}

#[test]
fn a_right_that_is_taken_stops_the_stream_and_one_given_lets_it_go_on() {
    let mut call = Call::new();
    let camera = call.rig.publish(&call.guest, Kind::Camera).unwrap();
    let meeting = match call.rig.media.last() {
        Some(MediaCommand::Publish { meeting, .. }) => *meeting,
        other => panic!("{other:?}"),
    };
    for allowed in [false, true] {
        call.rig.clear();
        let request = Request::Allow { participant: call.guest.id, right: Right::Camera, allowed };
        call.rig.ask(call.organizer.at, request).unwrap();
        assert_eq!(call.rig.media, [MediaCommand::SetMuted { meeting, stream: camera, muted: !allowed }]);
        let rights = Rights { voice: true, camera: allowed, share: false };
        for person in [&call.organizer, &call.member, &call.guest] {
            let event = Event::Rights { participant: call.guest.id, rights };
            assert_eq!(call.rig.events(person.at), [event]);
        }
        let again = call.rig.publish(&call.guest, Kind::Camera);
        assert_eq!(again.is_ok(), allowed);
    }
}

#[test]
fn a_guest_shares_once_the_organizer_allows_it() {
    let mut call = Call::new();
    assert_eq!(call.rig.publish(&call.guest, Kind::Screen), Err(Refusal::NotAllowed));
    assert_eq!(call.rig.refused("publish"), Some(Refusal::NotAllowed));
    let request = Request::Allow { participant: call.guest.id, right: Right::Share, allowed: true };
    call.rig.ask(call.organizer.at, request).unwrap();
    assert!(call.rig.publish(&call.guest, Kind::Screen).is_ok());
}

#[test]
fn whoever_is_removed_gets_no_more_media_and_is_told() {
    let mut call = Call::new();
    let stream = call.rig.publish(&call.guest, Kind::Camera).unwrap();
    call.rig.clear();
    call.remove(call.guest.id).unwrap();
    assert!(
        matches!(call.rig.media[..], [MediaCommand::Leave { participant, .. }] if participant == call.guest.id)
    );
    let removed = Event::Removed { participant: call.guest.id };
    assert_eq!(call.rig.events(call.guest.at), std::slice::from_ref(&removed));
    assert!(call.rig.closed.contains(&call.guest.at));
    assert_eq!(call.rig.events(call.member.at), [Event::Unpublished { stream }, removed]);
}

#[test]
fn the_new_organizer_may_remove_the_first_who_may_nothing_more() {
    let mut call = Call::new();
    call.rig.ask(call.organizer.at, Request::HandOver { participant: call.member.id }).unwrap();
    let events = call.rig.events(call.member.at);
    assert_eq!(events[0], Event::Organizer { participant: call.member.id });
    assert!(matches!(&events[1], Event::Waiting(asked) if asked.participant == call.waits.id));
    assert_eq!(call.admit(call.waits.id), Err(Refusal::NotOrganizer));
    let remove = Request::Remove { participant: call.organizer.id };
    assert_eq!(call.rig.ask(call.member.at, remove), Ok(Answer::Done));
    let back = call.rig.login("Olga");
    assert_eq!(call.rig.seat(back, &call.meeting, Credential::Account).err(), Some(Refusal::Removed));
}

#[test]
fn the_role_may_go_to_one_who_is_away_and_comes_back() {
    let mut call = Call::new();
    call.rig.cut(call.member.at);
    call.rig.ask(call.organizer.at, Request::HandOver { participant: call.member.id }).unwrap();
    call.rig.pass(100);
    let back = call.rig.come_back(&call.meeting, &call.member, 2).unwrap();
    let events = call.rig.events(back.at);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Waiting(asked) if asked.participant == call.waits.id))
    );
    assert_eq!(call.rig.ask(back.at, Request::Lock { locked: true }), Ok(Answer::Done));
}

#[test]
fn the_planner_may_appoint_another_before_the_meeting() {
    let mut call = Call::new();
    let (rig, olga) = (&mut call.rig, call.organizer.at);
    let planned = rig.plan(olga);
    let appoint = |account| Request::Appoint { meeting: planned.clone(), account: text(account) };
    assert_eq!(rig.ask(olga, appoint("Nobody")), Err(Refusal::NoAccount));
    let eve = rig.login("Eve");
    let waiting = rig.join(eve, &planned, Credential::Account, true, 0).unwrap();
    assert_eq!(waiting.role, Role::Member);
    assert_eq!(rig.ask(olga, appoint("Eve")), Ok(Answer::Done));
    assert!(matches!(rig.events(eve)[..], [Event::Admitted { begins: true, .. }]), "let in at once");
    assert_eq!(rig.ask(olga, appoint("Max")), Err(Refusal::NotOrganizer));
}

fn caps(call: &mut Call) -> Vec<(ParticipantId, u32, Option<u8>)> {
    let commands = std::mem::take(&mut call.rig.media).into_iter();
    commands
        .filter_map(|command| match command {
            MediaCommand::Cap { participant, stream, max_spatial_id, .. } => {
                Some((participant, stream, max_spatial_id))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_stricter_limit_of_a_camera_counts_and_owners_see_themselves() {
    let mut call = Call::new();
    let people = [&call.organizer, &call.member, &call.guest, &call.waits].map(Clone::clone);
    let [organizer, member, guest, waits] = &people;
    let limit = |call: &mut Call, by: &Person, audience, max_spatial_id| {
        call.rig.ask(by.at, Request::LimitCamera { audience, max_spatial_id }).unwrap();
        caps(call)
    };
    let camera = call.rig.publish(member, Kind::Camera).unwrap();
    call.rig.publish(member, Kind::Screen).unwrap();
    assert_eq!(caps(&mut call), []);
    assert_eq!(limit(&mut call, member, Audience::Guests, Some(1)), [(guest.id, camera, Some(1))]);
    assert_eq!(
        limit(&mut call, organizer, Audience::All, Some(0)),
        [(organizer.id, camera, Some(0)), (guest.id, camera, Some(0))],
        "for everybody but the owner"
    );
    assert_eq!(limit(&mut call, guest, Audience::All, Some(0)), [], "the guest has no camera");
    // One who comes in later is limited before anything flows.
    call.admit(waits.id).unwrap();
    let joined = call.rig.media.iter().position(|c| matches!(c, MediaCommand::Join { .. })).unwrap();
    assert!(matches!(call.rig.media[joined + 1], MediaCommand::Cap { max_spatial_id: Some(0), .. }));
    call.rig.media.clear();
    assert_eq!(
        limit(&mut call, organizer, Audience::All, None),
        [(organizer.id, camera, None), (waits.id, camera, None), (guest.id, camera, Some(1))]
    );
    // A camera that comes later is limited too.
    let another = call.rig.publish(guest, Kind::Camera).unwrap();
    let limited = [organizer.id, member.id, waits.id].map(|viewer| (viewer, another, Some(0)));
    assert_eq!(caps(&mut call), limited);
}

#[test]
fn nobody_sends_under_the_index_of_another_or_under_two() {
    let mut call = Call::new();
    let publish = |member| Request::Publish { kind: Kind::Audio, member, track: 7, layer_refresh: false };
    call.rig.ask(call.member.at, publish(1)).unwrap();
    assert_eq!(call.rig.ask(call.guest.at, publish(1)), Err(Refusal::NotAllowed));
    assert_eq!(call.rig.ask(call.member.at, publish(2)), Err(Refusal::NotAllowed));
    assert!(call.rig.ask(call.guest.at, publish(2)).is_ok());
}

#[test]
fn streams_are_not_published_without_end() {
    let mut call = Call::new();
    let guest = call.guest.clone();
    let mut published = 0;
    while let Ok(stream) = call.rig.publish(&guest, Kind::Audio) {
        call.rig.ask(guest.at, Request::Unpublish { stream }).unwrap();
        published += 1;
        assert!(published < 100);
    }
    assert_eq!(published, 24);
    call.rig.jump(2);
    assert!(call.rig.publish(&guest, Kind::Audio).is_ok());
}
