//! The delivery service of a genuine group damages, cuts, splices, repeats and invents messages, and hands them to the
//! wrong calls. Nothing that no member wrote is taken, nothing changes a group but what it accepts, and the group goes
//! on: members leave, join and change their keys. Half of the groups have an organizer.
#![no_main]

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::mls::{Group, Login, MlsError, Outcome, Processed};
use layercast::e2ee::{Agreement, KeyRing};
use layercast_fuzz::{Input, damage, timed};
use libfuzzer_sys::fuzz_target;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Messages that are handed over at most.
const STEPS: usize = 32;

fuzz_target!(|data: &[u8]| {
    let agreement = Agreement::default();
    let login = |name: &str| Login::new(name.as_bytes(), DAY).unwrap();
    let (bobs, carols, dave) = (login("bob"), login("carol"), login("dave"));
    let key_packages = [bobs.key_package().unwrap(), carols.key_package().unwrap()];
    let daves = dave.key_package().unwrap();
    let organized = data.len().is_multiple_of(2);
    let create = if organized { Login::create_as_organizer } else { Login::create };
    let mut alice = create(login("alice"), agreement).unwrap();
    let invitation = alice.add(&[&key_packages[0], &key_packages[1]]).unwrap();
    alice.merge().unwrap();
    let mut bob = bobs.join(agreement, &invitation.welcome).unwrap();
    let mut carol = carols.join(agreement, &invitation.welcome).unwrap();
    // Bob's commit is not going to be the one that counts.
    let commit = bob.update().unwrap().commit;
    bob.discard().unwrap();
    let leave = carol.leave().unwrap();
    let [first, second] = key_packages;
    let genuine = [commit, leave, invitation.commit, invitation.welcome, daves, first, second];

    let mut input = Input::new(data);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let step = input.byte();
        let mut message = genuine[usize::from(step & 7) % genuine.len()].clone();
        damage(&mut message, input.bytes(), &input.pick(&genuine)[..]);
        let is_genuine = genuine.contains(&message);
        let member = if step & 8 == 0 { &mut alice } else { &mut bob };
        let before = state(member);
        match step >> 4 & 3 {
            0 | 1 => match timed("MLS message", || member.process(&message)) {
                Ok(Processed::Leaving(_) | Processed::Commit(_)) => assert!(is_genuine, "a forgery"),
                Ok(_) => {}
                Err(error) => check(&error),
            },
            2 => match timed("key package", || member.add(&[&message])) {
                Ok(commit) => {
                    assert!(!organized || step & 8 == 0, "Bob is not the organizer");
                    assert!(is_genuine && commit.change.added.iter().all(|added| added.name == b"dave"));
                    member.discard().unwrap();
                }
                Err(error) => check(&error),
            },
            _ => {
                // None of the welcomes is for this login.
                let refused = timed("welcome", || login("dave").join(agreement, &message).map(drop));
                check(&refused.unwrap_err());
            }
        }
        assert!(state(member) == before, "nothing was accepted");
    }

    // Carol leaves, if her message came through to both.
    let heard = [&mut alice, &mut bob].map(|member| {
        let _ = member.process(&genuine[1]);
        member.commit().map(|commit| !commit.change.removed.is_empty()).unwrap_or_default()
    });
    for member in [&mut alice, &mut bob] {
        member.discard().unwrap();
    }
    assert_eq!(heard, [true, true], "a message that was damaged on the way can be delivered once more");
    let commit = alice.commit().unwrap();
    alice.merge().unwrap();
    follow(&mut bob, &commit.commit);
    assert_eq!(follow(&mut carol, &commit.commit), Outcome::Removed);
    // Dave joins, and opens what Alice seals.
    let invitation = alice.add(&[&genuine[4]]).unwrap();
    alice.merge().unwrap();
    follow(&mut bob, &invitation.commit);
    let dave = dave.join(agreement, &invitation.welcome).unwrap();
    for member in [&bob, &dave] {
        assert_eq!(member.code().unwrap(), alice.code().unwrap());
        assert_eq!(member.organizer(), alice.organizer());
        let mut keys = KeyRing::new(agreement, DAY);
        member.enter(Time::ZERO, &mut keys).unwrap();
        assert_eq!(member.grant().unwrap(), alice.grant().unwrap());
    }
});

/// What must not change.
fn state(group: &Group) -> (u64, String, usize) {
    (group.epoch(), group.code().unwrap().to_string(), group.members().count())
}

/// Every error says what is wrong.
fn check(error: &MlsError) {
    assert!(!error.to_string().is_empty());
    if let MlsError::Refused { source, .. } = error {
        assert!(!source.to_string().is_empty());
    }
}

fn follow(group: &mut Group, commit: &[u8]) -> Outcome {
    let Ok(Processed::Commit(pending)) = group.process(commit) else { panic!("the commit is genuine") };
    group.accept(pending).unwrap()
}
