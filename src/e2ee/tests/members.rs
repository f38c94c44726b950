//! Members that mean harm.

use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::*;
use openmls::schedule::PreSharedKeyId;

use super::mls::{follow, pending};
use super::*;
use crate::e2ee::mls::{Breach, Group, Login, MAX_LIFETIME, MlsError, Outcome, Processed, Rules};

/// A group whose first member adds the others in one commit.
pub(super) fn group<const N: usize>(names: [&str; N]) -> [Group; N] {
    group_by(Login::create, names)
}

/// The same, however the first one founds it.
pub(super) fn group_by<const N: usize>(
    found: fn(Login, Agreement) -> Result<Group, MlsError>,
    names: [&str; N],
) -> [Group; N] {
    let agreed = Agreement::default();
    let mut logins = names.map(|name| Login::new(name.as_bytes(), DAY).unwrap()).into_iter();
    let mut first = found(logins.next().unwrap(), agreed).unwrap();
    let rest: Vec<_> = logins.collect();
    let key_packages: Vec<_> = rest.iter().map(|login| login.key_package().unwrap()).collect();
    let commit = first.add(&key_packages.iter().map(|it| &it[..]).collect::<Vec<_>>()).unwrap();
    first.merge().unwrap();
    let mut groups = vec![first];
    groups.extend(rest.into_iter().map(|login| login.join(agreed, &commit.welcome).unwrap()));
    groups.try_into().unwrap_or_else(|_| panic!("as many as names"))
}

pub(super) fn names(group: &Group) -> Vec<Vec<u8>> {
    group.members().map(|member| member.name).collect()
}

pub(super) fn key_package(name: &str) -> Vec<u8> {
    Login::new(name.as_bytes(), DAY).unwrap().key_package().unwrap()
}

pub(super) fn their_key_package(group: &mut Group, bytes: &[u8]) -> KeyPackage {
    let (_, provider, _) = group.parts();
    let message = MlsMessageIn::tls_deserialize_exact(bytes).unwrap();
    let MlsMessageBodyIn::KeyPackage(key_package) = message.extract() else { panic!("no key package") };
    key_package.validate(provider.crypto(), ProtocolVersion::Mls10).unwrap()
}

/// A commit as a member makes it who keeps no rule.
pub(super) fn commit_anyhow(
    group: &mut Group,
    what: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
) -> Vec<u8> {
    let (group, provider, signer) = group.parts();
    let bundle = what(group.commit_builder())
        .load_psks(provider.storage())
        .unwrap()
        .build(provider.rand(), provider.crypto(), signer, |_| true)
        .unwrap()
        .stage_commit(provider)
        .unwrap();
    bundle.commit().tls_serialize_detached().unwrap()
}

/// Finding 1: proposals that no commit can include, or that remove and add others, are not kept.
#[test]
fn proposals_of_others_do_not_stop_the_group() {
    let [mut alice, mut bob, mut mallory] = group(["alice", "bob", "mallory"]);
    let (alices, mallorys) = (alice.member(), mallory.member());
    let mut proposals = Vec::new();
    {
        let carol = their_key_package(&mut mallory, &key_package("carol"));
        let (group, provider, signer) = mallory.parts();
        let id = PreSharedKeyId::external(b"unknown to the others".to_vec(), vec![0; 32]);
        id.store(provider, &[1; 32]).unwrap();
        proposals.push(group.propose_pre_shared_key(provider, signer, id).unwrap().0);
        proposals.push(group.propose_remove_member(provider, signer, LeafNodeIndex::new(alices)).unwrap().0);
        proposals.push(group.propose_add_member(provider, signer, &carol).unwrap().0);
        proposals.push(group.propose_self_update(provider, signer, LeafNodeParameters::default()).unwrap().0);
    }
    for proposal in proposals {
        let bytes = proposal.tls_serialize_detached().unwrap();
        for member in [&mut alice, &mut bob] {
            let refused = member.process(&bytes);
            let breach = Breach::Proposal;
            assert!(
                matches!(refused, Err(MlsError::Forbidden { member, breach: b }) if member == mallorys && b == breach)
            );
        }
    }
    for _ in 0..3 {
        let updated = alice.update().unwrap();
        assert!(updated.change.added.is_empty() && updated.change.removed.is_empty());
        alice.discard().unwrap();
    }
    let added = alice.add(&[&key_package("dave")]).unwrap();
    alice.merge().unwrap();
    assert_eq!(follow(&mut bob, &added.commit), Outcome::Epoch(alice.epoch()));
    let removed = bob.remove(&[mallorys]).unwrap();
    bob.merge().unwrap();
    assert_eq!(follow(&mut alice, &removed.commit), Outcome::Epoch(bob.epoch()));
    assert_eq!(names(&alice), [&b"alice"[..], b"bob", b"dave"]);

    // A wish to leave is kept once, however often it comes, and no commit fails by it.
    for _ in 0..3 {
        let leave = bob.leave().unwrap();
        assert!(
            matches!(alice.process(&leave).unwrap(), Processed::Leaving(member) if member.name == b"bob")
        );
    }
    assert_eq!(alice.parts().0.pending_proposals().count(), 1);
    // Our own wish does not keep us from a commit of something else.
    assert!(bob.update().unwrap().change.removed.is_empty());
    bob.discard().unwrap();
    let removed = alice.remove(&[bob.member()]).unwrap();
    assert_eq!(removed.change.removed.len(), 1);
    alice.merge().unwrap();
    assert_eq!(follow(&mut bob, &removed.commit), Outcome::Removed);
}

/// Finding 2: what a commit does is shown before it takes effect, and the app decides.
#[test]
fn a_change_is_shown_before_it_takes_effect() {
    let [mut alice, mut bob, mut carol] = group(["alice", "bob", "carol"]);
    let before: Vec<_> = alice.members().collect();
    let epoch = alice.epoch();
    let [dave, erin] = ["dave", "erin"].map(|name| Login::new(name.as_bytes(), DAY).unwrap());
    let packages = [dave.key_package().unwrap(), erin.key_package().unwrap()];
    let leave = bob.leave().unwrap();
    carol.process(&leave).unwrap();
    alice.process(&leave).unwrap();
    let commit = carol.add(&[&packages[0], &packages[1]]).unwrap();
    let shown = pending(&mut alice, &commit.commit);
    let change = shown.change().clone();
    assert_eq!(change, commit.change);
    assert_eq!((change.epoch, change.committer.name.as_slice()), (epoch + 1, &b"carol"[..]));
    assert_eq!(change.removed, before[1..2]);
    let added: Vec<_> = change.added.iter().map(|it| (it.index, it.name.clone(), it.fingerprint)).collect();
    assert_eq!(added, [(1, b"dave".to_vec(), dave.fingerprint()), (3, b"erin".to_vec(), erin.fingerprint())]);
    assert_eq!((change.renamed, shown.removes_us()), (None, false));
    // Not yet; nor for another member than the one who processed it.
    assert_eq!((alice.members().collect::<Vec<_>>(), alice.epoch()), (before.clone(), epoch));
    carol.merge().unwrap();
    let for_bob = pending(&mut bob, &commit.commit);
    assert!(for_bob.removes_us());
    assert!(matches!(alice.accept(for_bob), Err(MlsError::Unexpected)));
    assert_eq!(alice.accept(shown).unwrap(), Outcome::Epoch(epoch + 1));
    let after: Vec<_> = alice.members().collect();
    assert_eq!(
        after,
        [before[0].clone(), change.added[0].clone(), before[2].clone(), change.added[1].clone()]
    );
    assert_eq!(after, carol.members().collect::<Vec<_>>());
    assert_eq!(after[0].fingerprint.to_string().len(), 12 * 6 - 1);
    assert_ne!(after[0].fingerprint, after[1].fingerprint);
    // The fingerprint of a login outlasts its epochs.
    alice.update().unwrap();
    alice.merge().unwrap();
    assert_eq!(alice.members().next().unwrap().fingerprint, before[0].fingerprint);
}

/// Finding 2: names are not taken over, unless the app says so.
#[test]
fn names_are_not_taken_over() {
    // A member for another of the same name, in one commit.
    let [mut alice, mut bob, mut mallory] = group(["alice", "bob", "mallory"]);
    let ghost = their_key_package(&mut mallory, &key_package("bob"));
    let bobs = LeafNodeIndex::new(bob.member());
    let swap = commit_anyhow(&mut mallory, |it| it.propose_removals([bobs]).propose_adds([ghost]));
    let shown = pending(&mut alice, &swap);
    let change = shown.change().clone();
    assert_eq!(
        (change.added[0].name.as_slice(), change.removed[0].name.as_slice()),
        (&b"bob"[..], &b"bob"[..])
    );
    assert_ne!(change.added[0].fingerprint, change.removed[0].fingerprint);
    let epoch = alice.epoch();
    let in_use = |refused| match refused {
        Err(MlsError::Forbidden { breach: Breach::NameInUse { name }, .. }) => name == b"bob",
        _ => false,
    };
    assert!(in_use(alice.accept(shown).map(|_| ())));
    assert_eq!((alice.epoch(), names(&alice)), (epoch, names(&bob)));
    // An app that says so, whose members come back under their names.
    bob.set_rules(Rules { share_names: true, ..Rules::default() });
    assert_eq!(follow(&mut bob, &swap), Outcome::Removed);

    // Nor do we add a second one, and no honest update carries one along.
    let [mut alice, mut bob, mut mallory] = group(["alice", "bob", "mallory"]);
    assert!(in_use(alice.add(&[&key_package("bob")]).map(|_| ())));
    assert!(in_use(alice.add(&[&key_package("dave"), &key_package("bob")]).map(|_| ())));
    alice.add(&[&key_package("dave")]).unwrap();
    alice.discard().unwrap();

    // The attacker under somebody else's name, by an update of its own; the same name with another key.
    for name in [&b"bob"[..], b"mallory"] {
        let new = Login::new(name, DAY).unwrap();
        let (group, provider, signer) = mallory.parts();
        let (credential, new_signer) = new.parts();
        let signer_of = NewSignerBundle { signer: new_signer, credential_with_key: credential.clone() };
        let bundle = group
            .commit_builder()
            .load_psks(provider.storage())
            .unwrap()
            .build_with_new_signer(provider.rand(), provider.crypto(), signer, signer_of, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        let commit = bundle.commit().tls_serialize_detached().unwrap();
        mallory.discard().unwrap();
        let shown = pending(&mut alice, &commit);
        let (before, after) = shown.change().renamed.clone().unwrap();
        assert_eq!((before.name.as_slice(), after.name.as_slice()), (&b"mallory"[..], name));
        assert_eq!((before.index, after.fingerprint), (after.index, new.fingerprint()));
        let refused = alice.accept(shown);
        assert!(matches!(refused, Err(MlsError::Forbidden { breach: Breach::Renamed { .. }, .. })));
        // An app may allow other names and keys, and still not somebody else's name.
        bob.set_rules(Rules { rename: true, ..Rules::default() });
        let shown = pending(&mut bob, &commit);
        if name == b"bob" {
            assert!(in_use(bob.accept(shown).map(|_| ())));
        } else {
            assert!(bob.accept(shown).is_ok());
        }
    }
    assert_eq!(names(&alice), [&b"alice"[..], b"bob", b"mallory"]);
}

/// A commit has nothing in it but members and keys.
#[test]
fn commits_of_anything_else_are_refused() {
    let [mut alice, mut mallory] = group(["alice", "mallory"]);
    let commit =
        commit_anyhow(&mut mallory, |it| it.propose_group_context_extensions(Extensions::empty()).unwrap());
    let refused = alice.process(&commit);
    assert!(
        matches!(refused, Err(MlsError::Forbidden { member: 1, breach: Breach::Content })),
        "{refused:?}"
    );
}

/// Finding 9: a key package that is over soon, or never, is not taken, and nobody is shut out by one that is over.
#[test]
fn lifetimes_have_bounds() {
    let agreed = Agreement::default();
    let mut alice = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
    let lasting =
        |seconds: u64| Login::new(b"bob", Duration::from_secs(seconds)).unwrap().key_package().unwrap();
    let refused = |refused| matches!(refused, Err(MlsError::Lifetime { name }) if name == b"bob");
    assert!(refused(alice.add(&[&lasting(2)])) && refused(alice.add(&[&lasting(0)])));
    let never = Login::new(b"bob", DAY).unwrap().key_package_for(Lifetime::init(0, u64::MAX));
    let year = Login::new(b"bob", DAY).unwrap().key_package_for(Lifetime::new(366 * 86400));
    assert!(refused(alice.add(&[&never])) && refused(alice.add(&[&year])));
    for lasting in [lasting(90), lasting(MAX_LIFETIME.as_secs()), lasting(u64::MAX)] {
        alice.add(&[&lasting]).unwrap();
        alice.discard().unwrap();
    }

    // One who keeps no rule adds somebody whose time is over at once: others still join.
    let mallory = Login::new(b"mallory", DAY).unwrap();
    let mut mallory = mallory.create(agreed).unwrap();
    let brief = Login::new(b"brief", DAY).unwrap().key_package_for(Lifetime::new(2));
    let brief = their_key_package(&mut mallory, &brief);
    commit_anyhow(&mut mallory, |it| it.propose_adds([brief]));
    mallory.merge().unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    let carol = Login::new(b"carol", DAY).unwrap();
    let commit = mallory.add(&[&carol.key_package().unwrap()]).unwrap();
    mallory.merge().unwrap();
    assert_eq!(carol.join(agreed, &commit.welcome).unwrap().members().count(), 3);
}

/// Finding 7: a removed member's keys are over within a round trip, those of one who stays after the overlap.
#[test]
fn a_removed_member_is_soon_silent() {
    let agreed = Agreement::default();
    let [mut alice, bob] = group(["alice", "bob"]);
    let ms = Time::from_millis;
    let mut ring = KeyRing::new(agreed, OVERLAP);
    let holds = |ring: &KeyRing, now, epoch: u64| {
        let key_id = agreed.layout.key_id(Context::audio(0), 0, epoch).unwrap();
        ring.epoch(now, key_id) == Some(epoch)
    };
    alice.enter(ms(0), &mut ring).unwrap();
    let first = alice.epoch();
    alice.update().unwrap();
    alice.merge().unwrap();
    alice.enter(ms(1000), &mut ring).unwrap();
    assert!(holds(&ring, ms(5999), first) && holds(&ring, ms(5999), first + 1));
    // Bob knows both epochs. An update behind his removal does not give him more time.
    alice.remove(&[bob.member()]).unwrap();
    alice.merge().unwrap();
    alice.update().unwrap();
    alice.merge().unwrap();
    alice.enter(ms(2000), &mut ring).unwrap();
    let round_trip = ms(2000) + ROUND_TRIP;
    for epoch in [first, first + 1] {
        assert!(holds(&ring, ms(2499), epoch) && !holds(&ring, round_trip, epoch));
    }
    assert!(holds(&ring, ms(100_000), first + 3));
    // Entering again does not give more time either.
    alice.enter(ms(2400), &mut ring).unwrap();
    assert!(!holds(&ring, round_trip, first));
}
