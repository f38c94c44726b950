//! Messages of MLS.

use layercast_meeting::{Answer, Bytes, Event, Group, MAX_SAID, ParticipantId, Refusal, Request};

use super::{Call, bytes, config};
use crate::store::{LogBounds, Store};

fn numbers(events: &[Event]) -> Vec<u64> {
    let message = |event: &Event| match event {
        Event::Mls(message) => Some(message.number),
        _ => None,
    };
    events.iter().filter_map(message).collect()
}

#[test]
fn of_two_commits_of_an_epoch_the_first_counts() {
    let mut call = Call::new();
    assert_eq!(call.rig.commit(&call.member, 2, &[]), Err(Refusal::NotOrganizer));
    assert_eq!(call.rig.commit(&call.organizer, 2, &[]), Ok(Answer::Done));
    assert_eq!(call.rig.commit(&call.organizer, 2, &[]), Err(Refusal::StaleEpoch));
    assert_eq!(call.rig.commit(&call.organizer, 4, &[]), Err(Refusal::StaleEpoch));
    assert_eq!(call.rig.commit(&call.organizer, 3, &[]), Ok(Answer::Done));
    for person in [&call.organizer, &call.member, &call.guest] {
        assert_eq!(numbers(&call.rig.events(person.at)), [3, 4]);
    }
    assert!(numbers(&call.rig.events(call.waits.at)).is_empty());
}

#[test]
fn a_commit_adds_only_those_who_are_in_and_brings_them_a_welcome() {
    let mut call = Call::new();
    assert_eq!(call.rig.commit(&call.organizer, 2, &[&call.waits]), Err(Refusal::NoParticipant));
    call.admit(call.waits.id).unwrap();
    call.rig.clear();
    assert_eq!(call.rig.commit(&call.organizer, 2, &[&call.waits]), Ok(Answer::Done));
    let welcome = Event::Welcome { group: Group::Meeting, number: 3, message: bytes("welcome") };
    assert_eq!(call.rig.events(call.waits.at), [welcome]);
    let without_welcome = Request::Commit {
        group: Group::Meeting,
        epoch: 3,
        message: bytes("commit"),
        welcome: None,
        added: vec![call.waits.id],
        removed: Vec::new(),
    };
    assert_eq!(call.rig.ask(call.organizer.at, without_welcome), Err(Refusal::Malformed));
}

#[test]
fn one_who_comes_back_is_sent_what_it_missed_in_parts() {
    let mut call = Call::new();
    let commit = |call: &mut Call, epoch| {
        let request = Request::Commit {
            group: Group::Meeting,
            epoch,
            message: Bytes(vec![0; 100_000]),
            welcome: None,
            added: Vec::new(),
            removed: Vec::new(),
        };
        assert_eq!(call.rig.ask(call.organizer.at, request), Ok(Answer::Done));
    };
    call.rig.cut(call.member.at);
    (2..12).for_each(|epoch| commit(&mut call, epoch));
    call.rig.clear();
    call.rig.reading = false;
    let back = call.rig.come_back(&call.meeting, &call.member, 1).unwrap();
    let events = call.rig.events(back.at);
    assert!(matches!(events[0], Event::Admitted { messages: 12, .. }));
    assert_eq!(numbers(&events), [2, 3, 4, 5]);
    assert_eq!(std::mem::take(&mut call.rig.marks), [back.at]);
    // Others get what happens meanwhile at once, and it gets that in its turn.
    commit(&mut call, 12);
    assert_eq!(numbers(&call.rig.events(call.guest.at)), [13]);
    assert_eq!(numbers(&call.rig.events(back.at)), [0; 0], "it has not read what it was sent");
    call.rig.reading = true;
    call.rig.desk.handle_sent(call.rig.now, back.at);
    call.rig.drain();
    assert_eq!(numbers(&call.rig.events(back.at)), (6..=13).collect::<Vec<_>>());
    commit(&mut call, 13);
    assert_eq!(numbers(&call.rig.events(back.at)), [14]);
}

#[test]
fn one_who_reads_too_slowly_to_follow_comes_back_with_other_keys() {
    let config = super::DeskConfig { log: LogBounds { messages: 8, bytes: 1 << 20 }, ..config() };
    let mut call = Call::over(Store::in_memory().unwrap(), config);
    let commit = |call: &mut Call, epoch| {
        let message = Bytes(vec![0; 100_000]);
        let (group, welcome) = (Group::Meeting, None);
        let request = Request::Commit { group, epoch, message, welcome, added: vec![], removed: vec![] };
        assert_eq!(call.rig.ask(call.organizer.at, request), Ok(Answer::Done));
    };
    call.rig.cut(call.member.at);
    (2..8).for_each(|epoch| commit(&mut call, epoch));
    call.rig.reading = false;
    let back = call.rig.come_back(&call.meeting, &call.member, 2).unwrap();
    assert_eq!(numbers(&call.rig.events(back.at)), [3, 4, 5]);
    (8..16).for_each(|epoch| commit(&mut call, epoch));
    call.rig.desk.handle_sent(call.rig.now, back.at);
    call.rig.drain();
    assert!(call.rig.closed.contains(&back.at), "there is a gap");
    assert_eq!(call.rig.come_back(&call.meeting, &back, 5).err(), Some(Refusal::NotNow));
}

#[test]
fn both_groups_count_together_and_have_epochs_of_their_own() {
    let mut call = Call::new();
    let commit = |epoch, added: Vec<ParticipantId>| Request::Commit {
        group: Group::Insiders,
        epoch,
        message: bytes("insiders"),
        welcome: (!added.is_empty()).then(|| bytes("welcome")),
        added,
        removed: Vec::new(),
    };
    call.rig.ask(call.organizer.at, commit(0, vec![call.member.id])).unwrap();
    assert_eq!(call.rig.ask(call.guest.at, commit(1, vec![])), Err(Refusal::NotOrganizer));
    assert_eq!(call.rig.ask(call.member.at, commit(1, vec![])), Err(Refusal::NotOrganizer));
    assert_eq!(call.rig.ask(call.organizer.at, commit(1, vec![])), Ok(Answer::Done));
    call.rig.commit(&call.organizer, 2, &[]).unwrap();
    assert_eq!(numbers(&call.rig.events(call.guest.at)), [3, 4, 5], "without gaps");
    let events = call.rig.events(call.member.at);
    assert!(matches!(events[0], Event::Welcome { group: Group::Insiders, number: 3, .. }));
    assert_eq!(numbers(&events), [3, 4, 5]);
}

#[test]
fn one_who_was_removed_from_the_group_gets_no_more_of_it() {
    let mut call = Call::new();
    let request = Request::Commit {
        group: Group::Meeting,
        epoch: 2,
        message: bytes("commit"),
        welcome: None,
        added: Vec::new(),
        removed: vec![call.guest.id],
    };
    call.rig.ask(call.organizer.at, request).unwrap();
    assert_eq!(numbers(&call.rig.events(call.guest.at)), [3], "that it was removed");
    call.rig.commit(&call.organizer, 3, &[]).unwrap();
    assert!(numbers(&call.rig.events(call.guest.at)).is_empty());
    assert_eq!(call.rig.commit(&call.guest, 4, &[]), Err(Refusal::NotOrganizer));
}

#[test]
fn messages_are_bounded_and_those_who_miss_one_need_another_welcome() {
    let config = super::DeskConfig { log: LogBounds { messages: 3, bytes: 1000 }, ..config() };
    let mut call = Call::over(Store::in_memory().unwrap(), config);
    call.rig.cut(call.guest.at);
    call.rig.cut(call.member.at);
    for epoch in 2..5 {
        call.rig.commit(&call.organizer, epoch, &[]).unwrap();
    }
    let back = call.rig.come_back(&call.meeting, &call.member, 2).unwrap();
    assert_eq!(numbers(&call.rig.events(back.at)), [3, 4, 5]);
    call.rig.commit(&call.organizer, 5, &[]).unwrap();
    assert_eq!(call.rig.come_back(&call.meeting, &call.guest, 2).err(), Some(Refusal::NotNow));
    assert!(call.rig.come_back(&call.meeting, &call.guest, 3).is_ok());
    assert_eq!(call.rig.come_back(&call.meeting, &call.guest, 9).err(), Some(Refusal::NotNow));
    let id = call.meeting.0.as_str();
    let kept = call.rig.desk.store.messages_after(id, 0, usize::MAX).unwrap();
    assert_eq!(kept.iter().map(|message| message.number).collect::<Vec<_>>(), [4, 5, 6]);
}

#[test]
fn an_organizer_that_misses_the_answer_to_its_first_commit_gets_the_commit() {
    let mut call = Call::new();
    let olga = call.rig.login("Olga");
    let meeting = call.rig.plan(olga);
    let organizer = call.rig.seat(olga, &meeting, layercast_meeting::Credential::Account).unwrap();
    call.rig.commit(&organizer, 0, &[]).unwrap();
    call.rig.cut(olga);
    let back = call.rig.come_back(&meeting, &organizer, 0).unwrap();
    let events = call.rig.events(back.at);
    assert!(matches!(events[0], Event::Admitted { messages: 1, begins: false, .. }));
    assert_eq!(numbers(&events), [1]);
}

/// The group of the insiders may begin before that of the meeting.
#[test]
fn an_organizer_goes_on_with_insiders_alone_or_begins_anew() {
    let mut call = Call::new();
    let olga = call.rig.login("Olga");
    let meeting = call.rig.plan(olga);
    let organizer = call.rig.seat(olga, &meeting, layercast_meeting::Credential::Account).unwrap();
    let begin = Request::Commit {
        group: Group::Insiders,
        epoch: 0,
        message: bytes("insiders"),
        welcome: None,
        added: Vec::new(),
        removed: Vec::new(),
    };
    assert_eq!(call.rig.ask(olga, begin.clone()), Ok(Answer::Done));
    call.rig.cut(olga);
    let back = call.rig.come_back(&meeting, &organizer, 0).unwrap();
    assert_eq!(numbers(&call.rig.events(back.at)), [1], "the commit whose answer may be lost");
    // It has lost its groups, and makes others.
    call.rig.cut(back.at);
    let olga = call.rig.login("Olga");
    let anew = call.rig.seat(olga, &meeting, layercast_meeting::Credential::Account).unwrap();
    assert_eq!(call.rig.ask(anew.at, begin), Ok(Answer::Done));
}

#[test]
fn a_member_proposes_once_an_epoch_and_little() {
    let mut call = Call::new();
    let propose =
        |message: &str| Request::Propose { group: Group::Meeting, epoch: 2, message: bytes(message) };
    assert_eq!(call.rig.ask(call.guest.at, propose(&"x".repeat(2049))), Err(Refusal::Malformed));
    assert_eq!(call.rig.ask(call.guest.at, propose("leave")), Ok(Answer::Done));
    assert_eq!(call.rig.ask(call.guest.at, propose("leave")), Err(Refusal::TooMany));
    call.rig.commit(&call.organizer, 2, &[]).unwrap();
    let again = Request::Propose { group: Group::Meeting, epoch: 3, message: bytes("leave") };
    assert_eq!(call.rig.ask(call.guest.at, again), Ok(Answer::Done));
}

#[test]
fn what_is_said_goes_to_all_others_who_are_in() {
    let mut call = Call::new();
    let say = |message: &str| Request::Say { message: bytes(message) };
    assert_eq!(call.rig.ask(call.guest.at, say("sealed")), Ok(Answer::Done));
    let said = Event::Said { participant: call.guest.id, message: bytes("sealed") };
    for person in [&call.organizer, &call.member] {
        assert_eq!(call.rig.events(person.at), std::slice::from_ref(&said));
    }
    for person in [&call.guest, &call.waits] {
        assert_eq!(call.rig.events(person.at), []);
    }
    // Nothing of it is kept for one who was away, and who was removed hears nothing more.
    call.rig.cut(call.member.at);
    call.rig.ask(call.guest.at, say("more")).unwrap();
    let back = call.rig.come_back(&call.meeting, &call.member, 2).unwrap();
    assert!(!call.rig.events(back.at).iter().any(|event| matches!(event, Event::Said { .. })));
    call.remove(call.guest.id).unwrap();
    call.rig.clear();
    assert!(call.rig.closed.contains(&call.guest.at), "nothing is taken of it any more");
    call.rig.ask(call.organizer.at, say("the others")).unwrap();
    assert_eq!(call.rig.events(call.guest.at), []);
}

#[test]
fn little_is_said_and_not_often() {
    let mut call = Call::new();
    let say = |size| Request::Say { message: Bytes(vec![0; size]) };
    assert_eq!(call.rig.ask(call.guest.at, say(MAX_SAID + 1)), Err(Refusal::Malformed));
    for _ in 0..20 {
        assert_eq!(call.rig.ask(call.guest.at, say(MAX_SAID)), Ok(Answer::Done));
    }
    assert_eq!(call.rig.ask(call.guest.at, say(1)), Err(Refusal::TooMany));
    assert_eq!(call.rig.ask(call.member.at, say(1)), Ok(Answer::Done), "others have their own");
    // A new connection brings no more.
    call.rig.cut(call.guest.at);
    let back = call.rig.come_back(&call.meeting, &call.guest, 2).unwrap();
    assert_eq!(call.rig.ask(back.at, say(1)), Err(Refusal::TooMany));
    call.rig.pass(1);
    assert_eq!(call.rig.ask(back.at, say(1)), Ok(Answer::Done));
}
