//! Groups with an organizer.

use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::*;

use super::members::{commit_anyhow, group_by, key_package, names, their_key_package};
use super::mls::{follow, pending};
use super::*;
use crate::e2ee::mls::{Breach, Commit, Group, Login, MlsError, Outcome, Processed, Rules};

/// The type of the extension, which is on the wire.
const TYPE: u16 = 0xf4c0;

fn login(name: &str) -> Login {
    Login::new(name.as_bytes(), DAY).unwrap()
}

/// A group whose organizer adds the others in one commit.
fn organized<const N: usize>(names: [&str; N]) -> [Group; N] {
    group_by(Login::create_as_organizer, names)
}

fn organizer(group: &Group) -> Vec<u8> {
    group.organizer().unwrap().name
}

/// Whether something was refused because of what this member did.
fn is_breach<T>(refused: Result<T, MlsError>, of: u32, what: &Breach) -> bool {
    matches!(refused, Err(MlsError::Forbidden { member, breach }) if member == of && breach == *what)
}

/// Delivers a commit of ours to the others.
fn deliver<const N: usize>(committer: &mut Group, commit: &Commit, others: [&mut Group; N]) {
    committer.merge().unwrap();
    for other in others {
        assert_eq!(follow(other, &commit.commit), Outcome::Epoch(committer.epoch()));
        assert_eq!(other.code().unwrap(), committer.code().unwrap());
    }
}

/// An extension of a group's context that names the owner of this key as the organizer, as anybody can write it.
fn naming(key: Vec<u8>) -> Extensions<GroupContext> {
    let required = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(TYPE)], &[], &[]);
    let list = [Extension::RequiredCapabilities(required), Extension::Unknown(TYPE, UnknownExtension(key))];
    Extensions::from_vec(list.into()).unwrap()
}

/// A commit of removals, additions and another context, as a member makes it who keeps no rule.
fn forge(
    group: &mut Group,
    remove: &[u32],
    add: &[&KeyPackage],
    context: Option<Extensions<GroupContext>>,
) -> Vec<u8> {
    let commit = commit_anyhow(group, |it| {
        let it = it
            .propose_removals(remove.iter().copied().map(LeafNodeIndex::new))
            .propose_adds(add.iter().copied().cloned());
        match context {
            Some(extensions) => it.propose_group_context_extensions(extensions).unwrap(),
            None => it,
        }
    });
    group.discard().unwrap();
    commit
}

/// Who plans a meeting makes another its organizer, who may then remove the first.
#[test]
fn the_organizer_hands_over() {
    let [mut alice, mut bob, mut carol] = organized(["alice", "bob", "carol"]);
    assert!([&alice, &bob, &carol].iter().all(|group| organizer(group) == b"alice"));
    assert_eq!(bob.organizer(), alice.members().next());
    // What is not the others' business.
    let add = bob.add(&[&key_package("dave")]);
    assert!(is_breach(add, 1, &Breach::Adds));
    assert!(is_breach(bob.remove(&[2]), 1, &Breach::Removes));
    assert!(is_breach(bob.hand_over(1), 1, &Breach::Appoints));
    // The organizer stays until it has handed over to somebody who is there.
    assert!(is_breach(alice.leave(), 0, &Breach::NoOrganizer));
    assert!(is_breach(alice.hand_over(7), 0, &Breach::NoOrganizer));

    let commit = alice.hand_over(1).unwrap();
    assert_eq!(commit.change.organizer.as_ref().map(|it| &it.name[..]), Some(&b"bob"[..]));
    let shown = pending(&mut bob, &commit.commit);
    assert_eq!(shown.change(), &commit.change);
    // Not before the commit takes effect.
    assert_eq!((organizer(&alice), organizer(&bob)), (b"alice".to_vec(), b"alice".to_vec()));
    bob.accept(shown).unwrap();
    deliver(&mut alice, &commit, [&mut carol]);
    assert!([&alice, &bob, &carol].iter().all(|group| organizer(group) == b"bob"));

    assert!(is_breach(alice.hand_over(0), 0, &Breach::Appoints));
    assert!(is_breach(alice.remove(&[1]), 0, &Breach::Removes));
    let dave = login("dave");
    let commit = bob.add(&[&dave.key_package().unwrap()]).unwrap();
    deliver(&mut bob, &commit, [&mut alice, &mut carol]);
    let mut dave = dave.join(Agreement::default(), &commit.welcome).unwrap();
    assert_eq!(dave.organizer(), bob.organizer());
    let commit = bob.remove(&[0]).unwrap();
    assert_eq!((commit.change.removed.len(), commit.change.left.len()), (1, 0));
    assert_eq!(follow(&mut alice, &commit.commit), Outcome::Removed);
    deliver(&mut bob, &commit, [&mut carol, &mut dave]);
    assert_eq!(names(&dave), [&b"bob"[..], b"carol", b"dave"]);
    assert_eq!(organizer(&dave), b"bob");
}

/// Everybody renews its keys, and lets others leave who want to.
#[test]
fn what_everybody_may_do() {
    let [mut alice, mut bob, mut carol, mut dave] = organized(["alice", "bob", "carol", "dave"]);
    let commit = carol.update().unwrap();
    deliver(&mut carol, &commit, [&mut alice, &mut bob, &mut dave]);
    let leave = dave.leave().unwrap();
    for group in [&mut alice, &mut bob, &mut carol] {
        assert!(matches!(group.process(&leave).unwrap(), Processed::Leaving(dave) if dave.name == b"dave"));
    }
    // Who wants to leave is not made the organizer, and an addition that is refused does not lose the wish.
    assert!(is_breach(alice.hand_over(3), 0, &Breach::NoOrganizer));
    assert!(is_breach(bob.add(&[&key_package("erin")]), 1, &Breach::Adds));
    let commit = bob.update().unwrap();
    assert_eq!(commit.change.left, commit.change.removed);
    assert_eq!(commit.change.left[0].name, b"dave");
    assert_eq!(follow(&mut dave, &commit.commit), Outcome::Removed);
    deliver(&mut bob, &commit, [&mut alice, &mut carol]);
    assert_eq!(names(&alice), [&b"alice"[..], b"bob", b"carol"]);
}

/// A member who keeps no rule adds, removes, and appoints: all refuse it, and the group goes on.
#[test]
fn a_member_does_not_play_the_organizer() {
    let [mut alice, mut bob, mut mallory] = organized(["alice", "bob", "mallory"]);
    let [alices, bobs, mallorys] = [&alice, &bob, &mallory].map(Group::member);
    let key_of =
        |group: &Group, index| group.members().find(|member| member.index == index).unwrap().signature_key;
    let ghost = their_key_package(&mut mallory, &key_package("ghost"));
    let (own, bobs_key, ghosts) = (
        key_of(&mallory, mallorys),
        key_of(&mallory, bobs),
        ghost.leaf_node().signature_key().as_slice().to_vec(),
    );
    let mut more = naming(own.clone());
    more.add(Extension::ExternalSenders(vec![])).unwrap();
    let it = &mut mallory;
    let forged = [
        (forge(it, &[], &[&ghost], None), Breach::Adds),
        (forge(it, &[bobs], &[&ghost], None), Breach::Adds),
        (forge(it, &[bobs], &[], None), Breach::Removes),
        (forge(it, &[alices], &[], None), Breach::Removes),
        (forge(it, &[], &[], Some(naming(own.clone()))), Breach::Appoints),
        (forge(it, &[], &[], Some(naming(bobs_key))), Breach::Appoints),
        (forge(it, &[], &[&ghost], Some(naming(ghosts))), Breach::Appoints),
        // No organizer, and one beside whom strangers may propose.
        (forge(it, &[], &[], Some(Extensions::empty())), Breach::Content),
        (forge(it, &[], &[], Some(more)), Breach::Content),
    ];
    let (epoch, before) = (alice.epoch(), names(&alice));
    for (commit, breach) in &forged {
        for group in [&mut alice, &mut bob] {
            assert!(is_breach(group.process(commit), mallorys, breach), "{breach:?}");
            assert_eq!(
                (group.epoch(), names(group), organizer(group)),
                (epoch, before.clone(), b"alice".into())
            );
        }
    }
    // The rules of an app allow no more.
    bob.set_rules(Rules { rename: true, share_names: true });
    let commit = forge(&mut mallory, &[], &[], Some(naming(own)));
    assert!(is_breach(bob.process(&commit), mallorys, &Breach::Appoints));

    // Proposals are refused as in every group.
    let proposal = {
        let (group, provider, signer) = mallory.parts();
        let removal = group.propose_remove_member(provider, signer, LeafNodeIndex::new(alices)).unwrap().0;
        removal.tls_serialize_detached().unwrap()
    };
    assert!(is_breach(alice.process(&proposal), mallorys, &Breach::Proposal));

    let commit = alice.remove(&[mallorys]).unwrap();
    deliver(&mut alice, &commit, [&mut bob]);
    assert_eq!(names(&bob), [&b"alice"[..], b"bob"]);
}

/// The organizer itself does not leave a group without one, nor changes what else stands in its context.
#[test]
fn a_group_keeps_an_organizer() {
    let [mut alice, mut bob] = organized(["alice", "bob"]);
    let stranger = login("stranger").parts().0.signature_key.as_slice().to_vec();
    let ghost = their_key_package(&mut alice, &key_package("ghost"));
    let ghosts = ghost.leaf_node().signature_key().as_slice().to_vec();
    let bobs_key = bob.members().nth(1).unwrap().signature_key;
    let mut refused = |extensions: Extensions<GroupContext>, remove: &[u32], add: &[&KeyPackage], breach| {
        let commit = forge(&mut alice, remove, add, Some(extensions));
        assert!(is_breach(bob.process(&commit), 0, &breach), "{breach:?}");
    };
    refused(naming(stranger), &[], &[], Breach::NoOrganizer);
    refused(naming(vec![]), &[], &[], Breach::NoOrganizer);
    refused(naming(ghosts), &[], &[&ghost], Breach::NoOrganizer);
    refused(naming(bobs_key.clone()), &[1], &[], Breach::NoOrganizer);
    refused(Extensions::empty(), &[], &[], Breach::Content);
    let mut more = naming(bobs_key);
    more.add(Extension::ExternalSenders(vec![])).unwrap();
    refused(more, &[], &[], Breach::Content);

    // Its wish to leave is not kept, so that no commit of others fails by it.
    let [mut alice, mut bob, mut carol] = organized(["alice", "bob", "carol"]);
    let leave = {
        let (group, provider, signer) = alice.parts();
        group.leave_group(provider, signer).unwrap().tls_serialize_detached().unwrap()
    };
    assert!(is_breach(bob.process(&leave), 0, &Breach::NoOrganizer));
    let commit = bob.update().unwrap();
    deliver(&mut bob, &commit, [&mut carol]);
}

/// A member who is not the organizer invites nobody, even behind the others' backs; and who joins sees who is.
#[test]
fn a_joiner_sees_the_organizer() {
    let agreed = Agreement::default();
    let [_alice, _bob, mut mallory] = organized(["alice", "bob", "mallory"]);
    let dave = login("dave");
    let daves = their_key_package(&mut mallory, &dave.key_package().unwrap());
    let (group, provider, signer) = mallory.parts();
    let (_, welcome, _) = group.add_members(provider, signer, &[daves]).unwrap();
    let welcome = welcome.tls_serialize_detached().unwrap();
    assert!(matches!(dave.join(agreed, &welcome), Err(MlsError::NotOrganizers)));

    // A group of his own has another organizer.
    let dave = login("dave");
    let mut false_one = login("alice").create_as_organizer(agreed).unwrap();
    let invitation = false_one.add(&[&dave.key_package().unwrap()]).unwrap();
    let dave = dave.join(agreed, &invitation.welcome).unwrap();
    assert_eq!(organizer(&dave), b"alice");
    assert_ne!(dave.organizer().unwrap().fingerprint, _alice.organizer().unwrap().fingerprint);
}

/// A group without an organizer gets none.
#[test]
fn a_group_without_an_organizer() {
    let [mut alice, mut mallory] = super::members::group(["alice", "mallory"]);
    assert_eq!((alice.organizer(), mallory.organizer()), (None, None));
    assert!(is_breach(alice.hand_over(1), 0, &Breach::Appoints));
    let own = mallory.members().nth(1).unwrap().signature_key;
    let commit = forge(&mut mallory, &[], &[], Some(naming(own)));
    assert!(is_breach(alice.process(&commit), 1, &Breach::Content));
    let commit = mallory.add(&[&key_package("dave")]).unwrap();
    deliver(&mut mallory, &commit, [&mut alice]);
}
