//! The group of a call.

use bytes::BytesMut;

use super::*;
use crate::e2ee::mls::{Commit, Group, Identity, Login, MlsError, Outcome, PendingCommit, Processed};

/// A member of a call, with the keys of every epoch that it was in.
struct Member {
    group: Group,
    ring: KeyRing,
}

fn login(name: &str) -> Login {
    Login::new(name.as_bytes(), DAY).unwrap()
}

/// A commit that another member made.
pub(super) fn pending(group: &mut Group, commit: &[u8]) -> PendingCommit {
    match group.process(commit).unwrap() {
        Processed::Commit(pending) => pending,
        other => panic!("{other:?}"),
    }
}

/// Processes a commit and accepts it.
pub(super) fn follow(group: &mut Group, commit: &[u8]) -> Outcome {
    let pending = pending(group, commit);
    group.accept(pending).unwrap()
}

/// Delivers a commit of the first member to all, and adds each one's new keys.
fn deliver(members: &mut [Member], commit: &Commit, now: Time) {
    members[0].group.merge().unwrap();
    for member in &mut members[1..] {
        let epoch = member.group.epoch() + 1;
        assert_eq!(follow(&mut member.group, &commit.commit), Outcome::Epoch(epoch));
    }
    for member in members {
        member.group.enter(now, &mut member.ring).unwrap();
    }
}

fn join(login: Login, agreed: Agreement, commit: &Commit, now: Time) -> Member {
    let group = login.join(agreed, &commit.welcome).unwrap();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    ring.add(now, group.grant().unwrap());
    Member { group, ring }
}

/// Newcomers cannot read the past and leavers cannot read the future.
#[test]
fn joining_and_leaving() {
    let agreed = Agreement::default();
    let group = login("alice").create(agreed).unwrap();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    ring.add(NOW, group.grant().unwrap());
    let mut members = vec![Member { group, ring }];
    let mut frames = Vec::new();
    let mut say = |alice: &mut Group| {
        let mut sealed = BytesMut::new();
        let mut sealer = alice.sender_keys().unwrap().sealer(Context::audio(0)).unwrap();
        sealer.seal(b"", format!("epoch {}", alice.epoch()).as_bytes(), &mut sealed).unwrap();
        frames.push(sealed);
    };
    say(&mut members[0].group);
    for name in ["bob", "carol"] {
        let newcomer = login(name);
        let commit = members[0].group.add(&[&newcomer.key_package().unwrap()]).unwrap();
        deliver(&mut members, &commit, NOW);
        members.push(join(newcomer, agreed, &commit, NOW));
        say(&mut members[0].group);
    }
    let names: Vec<_> = members[2].group.members().map(|member| member.name).collect();
    assert_eq!(names, [&b"alice"[..], b"bob", b"carol"]);
    let code = members[0].group.code().unwrap();
    assert!(members.iter().all(|member| member.group.code().unwrap() == code));
    assert_eq!(code.to_string().len(), 12 * 6 - 1);

    // Bob goes, Carol stays.
    let proposal = members[1].group.leave().unwrap();
    for index in [0, 2] {
        let processed = members[index].group.process(&proposal).unwrap();
        assert!(matches!(processed, Processed::Leaving(bob) if bob.name == b"bob"));
    }
    let commit = members[0].group.commit().unwrap();
    let mut bob = members.remove(1);
    deliver(&mut members, &commit, NOW);
    assert_eq!(follow(&mut bob.group, &commit.commit), Outcome::Removed);
    assert!(bob.group.grant().is_err() && bob.group.sender_keys().is_err() && bob.group.code().is_err());
    assert_ne!(members[0].group.code().unwrap(), code);
    say(&mut members[0].group);

    let opens = |ring: &KeyRing| {
        let open = |frame: &BytesMut| {
            let mut opener = Opener::new(agreed, 0, Context::audio(0));
            opener.open(NOW, ring, b"", &mut frame.clone()).is_ok()
        };
        frames.iter().map(open).collect::<Vec<_>>()
    };
    assert_eq!(opens(&members[0].ring), [true, true, true, true]);
    assert_eq!(opens(&bob.ring), [false, true, true, false]);
    assert_eq!(opens(&members[1].ring), [false, false, true, true]);

    // Nor with another epoch's key under the key id of the one that he lacks.
    let bobs = bob.ring.base_key(2, 2).unwrap();
    let mut opener = Opener::new(agreed, 0, Context::audio(0));
    let opened = opener.open(NOW, &One(bobs), b"", &mut frames[3].clone());
    assert_eq!(opened, Err(OpenError::NotAuthentic));
}

#[test]
fn commits_that_cross() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let bob = login("bob");
    let commit = alice.add(&[&bob.key_package().unwrap()]).unwrap();
    assert!(alice.add(&[]).is_err(), "one commit at a time");
    alice.discard().unwrap();
    let commit_again = alice.add(&[&login("other").key_package().unwrap()]).unwrap();
    assert_ne!(commit, commit_again);
    alice.discard().unwrap();
    let bobs_key_package = bob.key_package().unwrap();
    let commit = alice.add(&[&bobs_key_package]).unwrap();
    alice.merge().unwrap();
    assert!(matches!(alice.merge(), Err(MlsError::Unexpected)));
    let mut bob = bob.join(agreed, &commit.welcome).unwrap();

    let (alices, bobs) = (alice.update().unwrap(), bob.update().unwrap());
    // Alice's was first.
    let epoch = alice.merge().unwrap();
    assert_eq!(follow(&mut bob, &alices.commit), Outcome::Epoch(epoch));
    assert!(alice.process(&bobs.commit).is_err());
    assert_eq!(bob.code().unwrap(), alice.code().unwrap());
    assert!(matches!(bob.merge(), Err(MlsError::Unexpected)));
    // Both sides still have one group.
    let removed = alice.remove(&[bob.member()]).unwrap();
    alice.merge().unwrap();
    assert_eq!(follow(&mut bob, &removed.commit), Outcome::Removed);
    assert!(alice.remove(&[7]).is_err());
}

#[test]
fn strangers_and_noise_are_refused() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let (bob, eve) = (login("bob"), login("eve"));
    let commit = alice.add(&[&bob.key_package().unwrap()]).unwrap();
    alice.merge().unwrap();
    assert!(matches!(eve.join(agreed, &commit.welcome), Err(MlsError::Refused { .. })));
    assert!(matches!(login("eve").join(agreed, b"noise"), Err(MlsError::Malformed(_))));
    assert!(matches!(login("eve").join(agreed, &commit.commit), Err(MlsError::Malformed(_))));
    let mut bob = bob.join(agreed, &commit.welcome).unwrap();
    for at in 0..commit.commit.len() {
        let mut bytes = commit.commit.clone();
        bytes[at] ^= 0x40;
        assert!(bob.process(&bytes).is_err() && alice.add(&[&bytes]).is_err());
    }
    assert!(matches!(bob.process(&commit.welcome), Err(MlsError::Unexpected)));
    assert_eq!(bob.code().unwrap(), alice.code().unwrap());

    // A key package that somebody changed, or whose time is over.
    let key_package = login("carol").key_package().unwrap();
    let mut changed = key_package.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(alice.add(&[&changed]).is_err());
    assert!(alice.add(&[&key_package]).is_ok());
    alice.discard().unwrap();
    assert!(Group::members(&alice).count() == 2);
}

/// Two people and an attacker between them: each side sees another code.
#[test]
fn one_in_the_middle_is_seen() {
    let agreed = Agreement::default();
    let mut alice = login("alice").create(agreed).unwrap();
    let (as_bob, bob) = (login("bob"), login("bob"));
    let to_alice = alice.add(&[&as_bob.key_package().unwrap()]).unwrap();
    alice.merge().unwrap();
    let mut as_alice = login("alice").create(agreed).unwrap();
    let to_bob = as_alice.add(&[&bob.key_package().unwrap()]).unwrap();
    as_alice.merge().unwrap();
    as_bob.join(agreed, &to_alice.welcome).unwrap();
    let bob = bob.join(agreed, &to_bob.welcome).unwrap();
    assert_ne!(alice.code().unwrap(), bob.code().unwrap());
    assert_ne!(alice.code().unwrap().to_string(), bob.code().unwrap().to_string());
}

/// The longest lifetime is one that members take.
#[test]
fn the_longest_lifetime() {
    let mut alice = Login::new(b"alice", Duration::MAX).unwrap().create(Agreement::default()).unwrap();
    let bob = Login::new(b"bob", Duration::MAX).unwrap();
    alice.add(&[&bob.key_package().unwrap()]).unwrap();
}

/// Who keeps an identity is recognised in the next call, and after leaving this one.
#[test]
fn an_identity_lasts() {
    let agreed = Agreement::default();
    let identity = Identity::new().unwrap();
    let kept = identity.as_bytes().to_vec();
    let mut seen = Vec::new();
    let mut alice = login("alice").create(agreed).unwrap();
    for _ in 0..2 {
        let bob = Login::with_identity(b"bob", DAY, &Identity::from_bytes(&kept).unwrap());
        let commit = alice.add(&[&bob.key_package().unwrap()]).unwrap();
        seen.push(commit.change.added[0].fingerprint);
        alice.merge().unwrap();
        let fingerprint = bob.fingerprint();
        let bob = bob.join(agreed, &commit.welcome).unwrap();
        assert_eq!(bob.members().nth(1).unwrap().fingerprint, fingerprint);
        // The same once more, under another name, while he is there.
        let again = Login::with_identity(b"rob", DAY, &identity);
        assert!(matches!(alice.add(&[&again.key_package().unwrap()]), Err(MlsError::Refused { .. })));
        alice.remove(&[bob.member()]).unwrap();
        alice.merge().unwrap();
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], Login::with_identity(b"bob", DAY, &identity).fingerprint());
    // The digits are those of name and key.
    assert_ne!(seen[0], Login::with_identity(b"rob", DAY, &identity).fingerprint());
    assert_ne!(seen[0], login("bob").fingerprint());
    assert!(format!("{identity:?}").ends_with("(..)"));
}
