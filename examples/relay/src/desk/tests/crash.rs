//! The relay dies in the middle of a meeting, and another starts on the same file.

use std::path::Path;

use layercast_meeting::{Answer, Audience, Credential, EndReason, Event, Kind, Refusal, Request, Right};
use tempfile::TempDir;

use super::{Call, Rig, config, secret, text};
use crate::media_api::MediaCommand;
use crate::store::Store;

fn call(directory: &Path) -> Call {
    Call::over(Store::open(directory).unwrap(), config())
}

/// What kill -9 leaves: nothing but the file. Connections get numbers that the dead relay did not give.
fn restart(call: &mut Call, directory: &TempDir) {
    let last = call.rig.last;
    call.rig = Rig::over(Store::open(directory.path()).unwrap(), config());
    call.rig.last = last;
}

#[test]
fn participants_come_back_and_those_removed_stay_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(directory.path());
    let code = call.rig.invite(call.organizer.at, &call.meeting);
    let removed = call.rig.connect();
    let removed = call.rig.seat(removed, &call.meeting, Credential::Invitation(code.clone())).unwrap();
    call.remove(removed.id).unwrap();
    let allow = Request::Allow { participant: call.guest.id, right: Right::Share, allowed: true };
    call.rig.ask(call.organizer.at, allow).unwrap();
    let limit = Request::LimitCamera { audience: Audience::Guests, max_spatial_id: Some(1) };
    call.rig.ask(call.organizer.at, limit).unwrap();
    call.rig.ask(call.organizer.at, Request::Lock { locked: true }).unwrap();
    call.rig.commit(&call.organizer, 2, &[]).unwrap();

    let before = call.rig.publish(&call.member, Kind::Camera).unwrap();
    restart(&mut call, &directory);
    let guest = call.rig.come_back(&call.meeting, &call.guest, 2).unwrap();
    assert!(matches!(call.rig.media[..2], [MediaCommand::OpenMeeting { .. }, MediaCommand::Join { .. }]));
    let events = call.rig.events(guest.at);
    let Event::Admitted { rights, messages: 3, begins: false } = events[0] else { panic!("{events:?}") };
    assert!(rights.share);
    assert!(events.contains(&Event::Locked { locked: true }));
    assert!(events.iter().any(|event| matches!(event, Event::CameraLimited { max_spatial_id: Some(1), .. })));
    assert!(matches!(events.last(), Some(Event::Mls(message)) if message.number == 3));
    assert!(call.rig.publish(&guest, Kind::Screen).unwrap() > before, "no stream has the number of another");

    let organizer = call.rig.come_back(&call.meeting, &call.organizer, 3).unwrap();
    assert_eq!(call.rig.commit(&organizer, 2, &[]), Err(Refusal::StaleEpoch), "epochs go on");
    assert_eq!(call.rig.commit(&organizer, 3, &[]), Ok(Answer::Done));
    assert_eq!(call.rig.come_back(&call.meeting, &removed, 0).err(), Some(Refusal::Removed));
    let stranger = call.rig.connect();
    let again = call.rig.seat(stranger, &call.meeting, Credential::Invitation(code));
    assert_eq!(again.err(), Some(Refusal::Invitation));

    // One who waited knocks again with its token, and those who do not come back have left.
    let waits = call.rig.connect();
    let credential = Credential::Return(call.waits.token.clone());
    assert!(call.rig.seat(waits, &call.meeting, credential).is_ok());
    call.rig.clear();
    call.rig.pass(61);
    assert_eq!(call.rig.events(organizer.at), [Event::Left { participant: call.member.id }]);
}

#[test]
fn sessions_and_planned_meetings_outlive_the_relay_and_a_running_one_ends_if_nobody_comes() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(directory.path());
    let planned = call.rig.plan(call.organizer.at);
    restart(&mut call, &directory);
    call.rig.pass(602);
    assert_eq!(call.rig.come_back(&call.meeting, &call.member, 2).err(), Some(Refusal::NoMeeting));
    let olga = call.rig.login("Olga");
    assert!(call.rig.seat(olga, &planned, Credential::Account).is_ok());
}

#[test]
fn an_account_that_is_forgotten_is_put_out_of_the_running_meeting_and_out_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    // A name that nothing else has in it.
    let name = "Maximiliane Quendolin";
    let mut call = call(directory.path());
    call.rig.account(name);
    let at = call.rig.login(name);
    let member = call.rig.seat(at, &call.meeting, Credential::Account).unwrap();
    call.admit(member.id).unwrap();
    call.rig.clear();

    // As the command does it, in another process.
    let mut others = Store::open(directory.path()).unwrap();
    let erasure = others.forget(directory.path(), name).unwrap().unwrap();
    assert_eq!((erasure.erased.accounts, erasure.erased.sessions, erasure.erased.roster), (1, 1, 1));
    assert!(erasure.remains.is_clean(), "{erasure:?}");
    assert_eq!(erasure.remains.occurrences, 0);
    assert!(erasure.remains.searched_bytes > 0);

    call.rig.pass(1);
    assert!(call.rig.closed.contains(&at));
    assert!(call.rig.events(call.organizer.at).contains(&Event::Left { participant: member.id }));
    assert!(matches!(call.rig.media[..], [MediaCommand::Leave { .. }]));
    assert_eq!(call.rig.come_back(&call.meeting, &member, 0).err(), Some(Refusal::NoParticipant));
    let again = call.rig.connect();
    let login = Request::Login { account: text(name), password: secret("password") };
    assert_eq!(call.rig.ask(again, login), Err(Refusal::WrongCredentials));
}

#[test]
fn the_meetings_of_an_organizer_that_is_forgotten_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(directory.path());
    let mut others = Store::open(directory.path()).unwrap();
    assert_eq!(others.forget(directory.path(), "Olga").unwrap().unwrap().erased.meetings, 1);
    // Even the next request finds it so.
    let plan = Request::Plan { title: text("Mine") };
    assert_eq!(call.rig.ask(call.organizer.at, plan), Err(Refusal::NoSession));
    assert!(call.rig.events(call.member.at).contains(&Event::Ended { why: EndReason::Forgotten }));
}

#[test]
fn a_name_in_somebody_elses_title_is_named_and_not_called_erased() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(directory.path());
    call.rig.account("Quendolin");
    call.rig.ask(call.organizer.at, Request::Plan { title: text("Talk with Quendolin") }).unwrap();
    let mut others = Store::open(directory.path()).unwrap();
    let remains = others.forget(directory.path(), "Quendolin").unwrap().unwrap().remains;
    assert_eq!(remains.columns, [("meetings.title".to_owned(), 1)]);
    assert_eq!(remains.occurrences, 1);
}

#[test]
fn nothing_of_a_meeting_that_is_over_is_left_in_the_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut call = call(directory.path());
    let holds = |text: &str| {
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|file| std::fs::read(file).unwrap())
            .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    let id = call.meeting.0.as_str().to_owned();
    assert!(holds("Budget") && holds(&id) && holds("commit 1"));
    call.rig.ask(call.organizer.at, Request::End).unwrap();
    assert!(!holds("Budget") && !holds(&id) && !holds("commit 1"));
}
