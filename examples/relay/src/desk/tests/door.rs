//! Who comes in, who comes back, who leaves and who does not come in.

use layercast_meeting::{Answer, Credential, EndReason, Event, Kind, Layers, Refusal, Request, Role};

use super::{Call, Rig, bytes, config, text};
use crate::media_api::{MediaCommand, MediaEvent};
use crate::store::{HistoryRule, State, Store};

#[test]
fn the_organizer_is_in_at_once_and_others_wait_for_it() {
    let mut rig = Rig::new();
    rig.account("Olga");
    rig.account("Max");
    let olga = rig.login("Olga");
    let meeting = rig.plan(olga);
    let max = rig.login("Max");
    let waits = rig.join(max, &meeting, Credential::Account, true, 0).unwrap();
    assert_eq!(waits.role, Role::Member);
    assert_eq!(waits.region, text("a cellar in Graz"));
    assert!(waits.storage.contains("Nothing of the meeting is kept"));
    assert_eq!(rig.events(max), []);
    assert_eq!(rig.media, [], "nothing flows for those who wait");

    let organizer = rig.join(olga, &meeting, Credential::Account, false, 0).unwrap();
    assert_eq!(organizer.role, Role::Organizer);
    let events = rig.events(olga);
    assert!(matches!(events[0], Event::Admitted { begins: true, messages: 0, .. }));
    assert!(
        matches!(&events[1], Event::Waiting(asked) if asked.participant == waits.participant && !asked.known)
    );
    assert!(matches!(rig.media[..], [MediaCommand::OpenMeeting { .. }, MediaCommand::Join { .. }]));

    rig.ask(olga, Request::Admit { participant: waits.participant }).unwrap();
    let events = rig.events(max);
    assert!(matches!(events[0], Event::Admitted { begins: false, .. }), "the organizer makes the group");
    assert!(matches!(&events[1], Event::Arrived(arrival) if arrival.role == Role::Organizer));
    assert!(matches!(&rig.events(olga)[..], [Event::Arrived(arrival)] if arrival.role == Role::Member));
}

#[test]
fn an_invitation_serves_once() {
    let mut call = Call::new();
    let code = call.rig.invite(call.organizer.at, &call.meeting);
    let other = call.rig.plan(call.organizer.at);
    let [first, second] = [call.rig.connect(), call.rig.connect()];
    let credential = Credential::Invitation(code);
    assert_eq!(call.rig.seat(first, &other, credential.clone()).err(), Some(Refusal::Invitation));
    assert_eq!(call.rig.join(first, &call.meeting, credential.clone(), false, 0), Err(Refusal::Malformed));
    assert!(call.rig.seat(first, &call.meeting, credential.clone()).is_ok());
    assert_eq!(call.rig.seat(second, &call.meeting, credential).err(), Some(Refusal::Invitation));
    assert_eq!(call.rig.refused("join"), Some(Refusal::Invitation));
}

#[test]
fn nobody_who_was_removed_comes_back() {
    let mut call = Call::new();
    let code = call.rig.invite(call.organizer.at, &call.meeting);
    let guest = call.rig.connect();
    let guest = call.rig.seat(guest, &call.meeting, Credential::Invitation(code.clone())).unwrap();
    for whom in [guest.id, call.member.id, call.waits.id] {
        call.remove(whom).unwrap();
    }
    let max = call.rig.login("Max");
    let wim = call.rig.login("Wim");
    let stranger = call.rig.connect();
    let attempts = [
        (stranger, Credential::Return(guest.token), Refusal::Removed),
        (stranger, Credential::Invitation(code), Refusal::Invitation),
        (max, Credential::Return(call.member.token.clone()), Refusal::Removed),
        (max, Credential::Account, Refusal::Removed),
        (wim, Credential::Account, Refusal::Removed),
        (wim, Credential::Return(call.waits.token.clone()), Refusal::Removed),
    ];
    call.rig.clear();
    for (connection, credential, refusal) in attempts {
        assert_eq!(call.rig.seat(connection, &call.meeting, credential).err(), Some(refusal));
        assert_eq!(call.rig.refused("join"), Some(refusal));
    }
    assert_eq!(call.rig.media, []);
}

#[test]
fn a_locked_meeting_takes_nobody_new_but_those_who_come_back() {
    let mut call = Call::new();
    let code = call.rig.invite(call.organizer.at, &call.meeting);
    call.rig.ask(call.organizer.at, Request::Lock { locked: true }).unwrap();
    assert_eq!(call.rig.events(call.member.at), [Event::Locked { locked: true }]);
    let eve = call.rig.login("Eve");
    let stranger = call.rig.connect();
    assert_eq!(call.rig.seat(eve, &call.meeting, Credential::Account).err(), Some(Refusal::Locked));
    let by_invitation = Credential::Invitation(code);
    assert_eq!(call.rig.seat(stranger, &call.meeting, by_invitation.clone()).err(), Some(Refusal::Locked));
    call.rig.cut(call.guest.at);
    let back = call.rig.come_back(&call.meeting, &call.guest, 2).unwrap();
    let events = call.rig.events(back.at);
    assert!(events.contains(&Event::Locked { locked: true }));
    // The invitation was not used up.
    call.rig.ask(call.organizer.at, Request::Lock { locked: false }).unwrap();
    assert!(call.rig.seat(stranger, &call.meeting, by_invitation).is_ok());
}

#[test]
fn one_whose_connection_is_lost_is_away_and_comes_back_to_what_it_had() {
    let mut call = Call::new();
    let own = call.rig.publish(&call.guest, Kind::Camera).unwrap();
    call.rig.clear();
    call.rig.cut(call.guest.at);
    assert_eq!(call.rig.events(call.member.at), [Event::Away { participant: call.guest.id }]);
    call.rig.pass(30);
    call.rig.commit(&call.organizer, 2, &[]).unwrap();
    let back = call.rig.come_back(&call.meeting, &call.guest, 2).unwrap();
    assert_eq!(back.id, call.guest.id);
    let events = call.rig.events(back.at);
    assert!(matches!(events[0], Event::Admitted { messages: 3, begins: false, .. }));
    assert!(events.iter().any(|event| matches!(event, Event::Published(stream) if stream.stream == own)));
    assert!(matches!(events.last(), Some(Event::Mls(message)) if message.number == 3));
    assert_eq!(call.rig.media, [], "its link and its streams went on");
}

#[test]
fn a_connection_that_hangs_gives_way_to_the_new_one() {
    let mut call = Call::new();
    let back = call.rig.come_back(&call.meeting, &call.guest, 2).unwrap();
    assert!(call.rig.closed.contains(&call.guest.at));
    // The end of the old one is told late, and changes nothing.
    call.rig.cut(call.guest.at);
    assert!(call.rig.publish(&back, Kind::Audio).is_ok());
}

#[test]
fn one_who_is_away_for_too_long_has_left_and_knocks_again() {
    let mut call = Call::new();
    call.rig.cut(call.guest.at);
    call.rig.cut(call.waits.at);
    call.rig.clear();
    call.rig.pass(61);
    let left = [call.guest.id, call.waits.id].map(|participant| Event::Left { participant });
    let mut told = call.rig.events(call.organizer.at);
    told.sort_by_key(|event| format!("{event:?}"));
    assert_eq!(told, left);
    assert!(matches!(call.rig.media[..], [MediaCommand::Leave { .. }]));
    assert_eq!(call.rig.come_back(&call.meeting, &call.guest, 2).err(), Some(Refusal::NotNow));
    let connection = call.rig.connect();
    let credential = Credential::Return(call.guest.token.clone());
    let back = call.rig.seat(connection, &call.meeting, credential).unwrap();
    assert_eq!(back.id, call.guest.id);
    let events = call.rig.events(call.organizer.at);
    assert!(matches!(&events[..], [Event::Waiting(asked)] if asked.known));
    assert_eq!(call.rig.events(connection), []);
}

#[test]
fn one_who_lost_its_group_is_at_the_door_again() {
    let mut call = Call::new();
    let stream = call.rig.publish(&call.guest, Kind::Camera).unwrap();
    call.rig.clear();
    let connection = call.rig.connect();
    let credential = Credential::Return(call.guest.token.clone());
    let back = call.rig.seat(connection, &call.meeting, credential).unwrap();
    assert!(matches!(call.rig.media[..], [MediaCommand::Leave { .. }]));
    let told = call.rig.events(call.organizer.at);
    assert_eq!(told[..2], [Event::Unpublished { stream }, Event::Away { participant: back.id }]);
    assert!(matches!(&told[2], Event::Waiting(asked) if asked.known && asked.participant == back.id));
    // One commit puts the old member out and the new one in. It takes no other decision.
    let request = Request::Commit {
        group: layercast_meeting::Group::Meeting,
        epoch: 2,
        message: bytes("anew"),
        welcome: Some(bytes("welcome")),
        added: vec![back.id],
        removed: vec![back.id],
    };
    call.rig.ask(call.organizer.at, request).unwrap();
    let events = call.rig.events(connection);
    assert!(matches!(events[0], Event::Admitted { messages: 3, .. }));
    assert!(matches!(events.last(), Some(Event::Welcome { number: 3, .. })));
    assert!(call.rig.media.iter().any(|command| matches!(command, MediaCommand::Join { .. })));
    call.rig.commit(&call.organizer, 3, &[]).unwrap();
    assert!(matches!(&call.rig.events(connection)[..], [Event::Mls(message)] if message.number == 4));
}

#[test]
fn an_account_that_joins_again_has_one_place() {
    let mut call = Call::new();
    let max = call.rig.login("Max");
    let again = call.rig.seat(max, &call.meeting, Credential::Account).unwrap();
    assert_eq!(again.id, call.member.id);
    assert!(call.rig.closed.contains(&call.member.at));
    let old = call.rig.come_back(&call.meeting, &call.member, 2);
    assert_eq!(old.err(), Some(Refusal::NoParticipant), "the old token is no more");
}

#[test]
fn an_organizer_without_its_group_begins_anew() {
    let mut call = Call::new();
    call.rig.publish(&call.guest, Kind::Camera).unwrap();
    call.rig.clear();
    call.rig.cut(call.organizer.at);
    let olga = call.rig.login("Olga");
    let organizer = call.rig.seat(olga, &call.meeting, Credential::Account).unwrap();
    assert_eq!(organizer.id, call.organizer.id);
    assert!(matches!(call.rig.events(olga)[0], Event::Admitted { begins: true, messages: 2, .. }));
    for person in [&call.member, &call.guest] {
        let events = call.rig.events(person.at);
        assert_eq!(events.last(), Some(&Event::GroupLost));
    }
    let leave = call.rig.media.iter().filter(|command| matches!(command, MediaCommand::Leave { .. })).count();
    assert_eq!(leave, 3);
    assert_eq!(call.rig.publish(&call.guest, Kind::Audio), Err(Refusal::NotNow));
    assert_eq!(call.rig.come_back(&call.meeting, &call.guest, 2).err(), Some(Refusal::NotNow));
    // It knocks anew by the same connection, a while later.
    call.rig.pass(30);
    let credential = Credential::Return(call.guest.token.clone());
    let back = call.rig.seat(call.guest.at, &call.meeting, credential).unwrap();
    assert!(
        matches!(&call.rig.events(olga)[..], [Event::Waiting(asked)] if asked.known && asked.participant == back.id)
    );
    call.organizer = organizer.clone();
    call.admit(back.id).unwrap();
    call.rig.commit(&organizer, 0, &[&back]).unwrap();
    assert!(matches!(call.rig.events(back.at).last(), Some(Event::Welcome { number: 3, .. })));
}

#[test]
fn an_organizer_who_comes_back_in_time_finds_its_meeting() {
    let mut call = Call::new();
    call.rig.cut(call.organizer.at);
    call.rig.pass(300);
    let back = call.rig.come_back(&call.meeting, &call.organizer, 2).unwrap();
    let events = call.rig.events(back.at);
    assert!(matches!(events[0], Event::Admitted { begins: false, .. }));
    assert!(events.iter().any(|event| matches!(event, Event::Waiting(_))));
    assert!(!call.rig.events(call.member.at).contains(&Event::GroupLost));
}

#[test]
fn a_meeting_ends_for_all_and_nothing_of_it_is_left() {
    let mut call = Call::new();
    call.rig.ask(call.organizer.at, Request::End).unwrap();
    for person in [&call.organizer, &call.member, &call.guest, &call.waits] {
        assert_eq!(call.rig.events(person.at), [Event::Ended { why: EndReason::Organizer }]);
    }
    assert!(matches!(call.rig.media[..], [MediaCommand::CloseMeeting { .. }]));
    assert_eq!(call.rig.come_back(&call.meeting, &call.guest, 2).err(), Some(Refusal::NoMeeting));
    assert_eq!(call.rig.desk.store.meeting(call.meeting.0.as_str()).unwrap(), None);
    let export = call.rig.desk.store.export("Max").unwrap().unwrap();
    assert_eq!(export["history"], serde_json::json!([]));
    assert_eq!(export["takes_part"], serde_json::json!([]));
}

#[test]
fn history_is_kept_for_its_days_if_the_operator_wants_it() {
    let config = super::DeskConfig { history: HistoryRule::Days(2), ..config() };
    let mut call = Call::over(Store::in_memory().unwrap(), config);
    call.rig.ask(call.organizer.at, Request::End).unwrap();
    let history = |call: &Call, name| {
        let export = call.rig.desk.store.export(name).unwrap().unwrap();
        export["history"].as_array().unwrap().len()
    };
    assert_eq!(history(&call, "Max"), 1);
    assert_eq!(history(&call, "Wim"), 0, "it was never in");
    call.rig.jump(2 * 24 * 60 * 60 - 10);
    call.rig.pass(1);
    assert_eq!(history(&call, "Max"), 1);
    call.rig.jump(60 * 60);
    call.rig.pass(1);
    assert_eq!(history(&call, "Max"), 0);
}

#[test]
fn a_meeting_ends_when_nobody_is_in_it() {
    let mut call = Call::new();
    for person in [&call.organizer, &call.member, &call.guest] {
        call.rig.ask(person.at, Request::Leave).unwrap();
    }
    let left: Vec<_> = call.rig.log.iter().filter(|event| event.what == "leave").collect();
    assert!(left.iter().all(|event| event.meeting.is_some()) && left.len() == 3);
    assert_eq!(left[2].participant, Some(call.guest.id.0));
    call.rig.pass(599);
    assert!(call.rig.desk.store.meeting(call.meeting.0.as_str()).unwrap().is_some());
    call.rig.pass(2);
    assert!(call.rig.desk.store.meeting(call.meeting.0.as_str()).unwrap().is_none());
    assert_eq!(call.rig.events(call.waits.at), [Event::Ended { why: EndReason::Empty }]);
}

#[test]
fn what_the_media_side_says_reaches_whom_it_concerns() {
    let mut call = Call::new();
    call.rig.publish(&call.guest, Kind::Camera).unwrap();
    let Some(&MediaCommand::Publish { meeting, .. }) = call.rig.media.first() else { panic!() };
    call.rig.clear();
    let demand = MediaEvent::Demand { meeting, participant: call.guest.id, demand: bytes("less") };
    call.rig.desk.handle_media(call.rig.now, demand);
    call.rig.drain();
    assert_eq!(call.rig.events(call.guest.at), [Event::Demand { demand: bytes("less") }]);
    let layers = vec![Layers { stream: 1, target: Some((2, 1)), reason: "window".into() }];
    let gets = MediaEvent::Layers { meeting, participant: call.guest.id, layers: layers.clone() };
    call.rig.desk.handle_media(call.rig.now, gets);
    call.rig.drain();
    assert_eq!(call.rig.events(call.guest.at).last(), Some(&Event::Layers { layers }));
    let expelled = MediaEvent::Expelled { meeting, participant: call.guest.id, reason: "flood".into() };
    call.rig.desk.handle_media(call.rig.now, expelled);
    call.rig.drain();
    assert_eq!(call.rig.events(call.guest.at)[0], Event::Expelled { reason: "flood".into() });
    assert!(call.rig.closed.contains(&call.guest.at));
    assert!(call.rig.events(call.member.at).contains(&Event::Left { participant: call.guest.id }));
    assert_eq!(call.rig.media, [], "the media side has let go of it already");
    let id = call.meeting.0.as_str();
    let roster = call.rig.desk.store.meeting(id).unwrap().unwrap().roster;
    assert_eq!(roster.iter().find(|p| p.participant == call.guest.id.0).unwrap().state, State::Left);
}

#[test]
fn a_link_that_the_media_side_does_not_make_fails_in_time() {
    let mut call = Call::new();
    call.rig.obliging = false;
    let numbered = |id, request| layercast_meeting::Numbered { id, request };
    let (now, at) = (call.rig.now, call.guest.at);
    call.rig.desk.handle_request(now, at, numbered(1, Request::Link(super::description())));
    call.rig.desk.handle_request(now, at, numbered(2, Request::Leave));
    call.rig.drain();
    assert_eq!(call.rig.inbox.get(&at), None, "answers come in order");
    call.rig.pass(6);
    use layercast_meeting::FromRelay;
    let inbox = call.rig.inbox.remove(&at).unwrap();
    let answers: Vec<_> = inbox.into_iter().filter(|m| matches!(m, FromRelay::Answer { .. })).collect();
    let expected = [
        FromRelay::Answer { id: 1, result: Err(Refusal::Failed) },
        FromRelay::Answer { id: 2, result: Ok(Answer::Done) },
    ];
    assert_eq!(answers, expected);
}
