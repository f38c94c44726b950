//! Layers that guests do not open.

use bytes::BytesMut;

use super::mls::follow;
use super::*;
use crate::e2ee::mls::{Commit, Group, Identity, Login, MlsError};

const CAMERA: u16 = 0;
const SCREEN: u16 = 1;
/// Guests see the base layer of a camera.
const CAP: GuestCap = GuestCap { stream: CAMERA, spatial_id: 0 };

/// One who takes part, with the group of the insiders or without.
struct Person {
    call: Group,
    insiders: Option<Group>,
    ring: KeyRing,
}

impl Person {
    fn new(call: Group, insiders: Option<Group>, agreed: Agreement) -> Self {
        let mut person = Self { call, insiders, ring: KeyRing::new(agreed, OVERLAP) };
        person.enter(NOW);
        person
    }

    fn enter(&mut self, now: Time) {
        if let Some(insiders) = &self.insiders {
            self.call.set_insiders(insiders).unwrap();
        }
        self.call.enter(now, &mut self.ring).unwrap();
    }

    /// Processes a commit of another.
    fn follow(&mut self, now: Time, commit: &Commit) {
        follow(&mut self.call, &commit.commit);
        self.enter(now);
    }

    /// Commits in the call's group.
    fn commit(&mut self, now: Time, what: impl FnOnce(&mut Group) -> Result<Commit, MlsError>) -> Commit {
        let commit = what(&mut self.call).unwrap();
        self.call.merge().unwrap();
        self.enter(now);
        commit
    }

    /// The layers that it opens of a sender's frames, or why not: by spatial layer.
    fn opens(
        &self,
        now: Time,
        agreed: Agreement,
        stream: u16,
        frames: &[(DependencyDescriptor, BytesMut)],
    ) -> [Result<(), OpenError>; 3] {
        let mut opener = VideoOpener::new(agreed, 0, stream);
        let mut opened = [Ok(()); 3];
        for (descriptor, frame) in frames {
            let context = agreed.layout.context(Header::read(frame).unwrap().key_id);
            let layer = usize::from(context.spatial_id_of(stream).unwrap());
            let result = opener.open(now, &self.ring, descriptor, SealedUnit::Frame, &mut frame.clone());
            opened[layer] = opened[layer].and(result);
        }
        opened
    }
}

/// Alice, whose camera has a cap, Bob, who is an insider too, and Greta, a guest; and all messages that made it so.
fn call_with_a_guest(agreed: Agreement) -> ([Person; 3], Vec<Vec<u8>>) {
    let [alice, bob] = [(); 2].map(|()| Identity::new().unwrap());
    let alices = Login::with_identity(b"alice", DAY, &alice);
    let bobs = Login::with_identity(b"bob", DAY, &bob);
    let mut insiders = alices.create_as_organizer(agreed).unwrap();
    let invited = insiders.add(&[&bobs.key_package().unwrap()]).unwrap();
    insiders.merge().unwrap();
    let bobs_insiders = bobs.join(agreed, &invited.welcome).unwrap();

    let alices = Login::with_identity(b"alice", DAY, &alice).with_guest_caps(&[CAP]).unwrap();
    let bobs = Login::with_identity(b"bob", DAY, &bob);
    let gretas = Login::new(b"greta", DAY).unwrap();
    let mut call = alices.create_as_organizer(agreed).unwrap();
    let commit = call.add(&[&bobs.key_package().unwrap(), &gretas.key_package().unwrap()]).unwrap();
    call.merge().unwrap();
    let [bob, greta] = [bobs, gretas].map(|login| login.join(agreed, &commit.welcome).unwrap());
    let people = [
        Person::new(call, Some(insiders), agreed),
        Person::new(bob, Some(bobs_insiders), agreed),
        Person::new(greta, None, agreed),
    ];
    (people, vec![invited.commit, invited.welcome, commit.commit, commit.welcome])
}

/// Frames of all layers, sealed by this sealer.
fn frames(sealer: &mut VideoSealer) -> Vec<(DependencyDescriptor, BytesMut)> {
    let (_, descriptors) = call(ScalabilityMode::L3T3, 5);
    let sealed = descriptors.iter().map(|descriptor| seal(sealer, descriptor, b"a frame"));
    let sealed: Vec<_> = sealed.collect();
    descriptors.into_iter().zip(sealed).collect()
}

const ALL: [Result<(), OpenError>; 3] = [Ok(()); 3];

fn is_base_only(opened: [Result<(), OpenError>; 3]) -> bool {
    opened[0].is_ok() && opened[1..].iter().all(|it| matches!(it, Err(OpenError::UnknownKey { .. })))
}

fn is_forged(opened: [Result<(), OpenError>; 3]) -> bool {
    opened[0].is_ok() && opened[1..].iter().all(|it| *it == Err(OpenError::NotAuthentic))
}

#[test]
fn guests_open_up_to_the_cap() {
    for schedule in [Schedule::PerKeyId, Schedule::Rfc9605] {
        let agreed = Agreement { schedule, ..Agreement::default() };
        let ([mut alice, bob, mut greta], messages) = call_with_a_guest(agreed);
        assert!([&alice, &bob, &greta].iter().all(|it| it.call.guest_cap(0, CAMERA) == Some(0)));
        assert_eq!((greta.call.guest_cap(0, SCREEN), greta.call.guest_cap(1, CAMERA)), (None, None));
        let mut keys = alice.call.sender_keys().unwrap();
        let camera = frames(&mut keys.video(CAMERA).unwrap());
        let screen = frames(&mut keys.video(SCREEN).unwrap());
        for insider in [&alice, &bob] {
            assert_eq!(insider.opens(NOW, agreed, CAMERA, &camera), ALL);
            assert_eq!(insider.opens(NOW, agreed, SCREEN, &screen), ALL);
        }
        assert!(is_base_only(greta.opens(NOW, agreed, CAMERA, &camera)));
        assert_eq!(greta.opens(NOW, agreed, SCREEN, &screen), ALL);
        // She need not wait for a key of it.
        for (stream, spatial_id, withheld) in [(CAMERA, 0, false), (CAMERA, 1, true), (SCREEN, 1, false)] {
            let context = Context::video(stream, spatial_id);
            let key_id = agreed.layout.key_id(context, 0, greta.call.epoch()).unwrap();
            assert_eq!(greta.ring.is_for_insiders(NOW, key_id), withheld);
            assert!(!bob.ring.is_for_insiders(NOW, key_id));
            let next = agreed.layout.key_id(context, 0, greta.call.epoch() + 1).unwrap();
            assert!(!greta.ring.is_for_insiders(NOW, next), "a commit may bring it");
        }

        // With all messages of both groups, she has no part in the insiders'.
        for message in &messages {
            assert!(greta.call.process(message).is_err());
            assert!(Login::new(b"greta", DAY).unwrap().join(agreed, message).is_err());
        }
        // Nor by what she has of the call's keys, as if there were no cap.
        let mut ring = KeyRing::new(agreed, OVERLAP);
        ring.add(NOW, greta.call.grant().unwrap());
        let kept = std::mem::replace(&mut greta.ring, ring);
        assert!(is_forged(greta.opens(NOW, agreed, CAMERA, &camera)));
        // Nor with another group under the same names.
        greta.ring = kept;
        let own = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
        greta.call.set_insiders(&own).unwrap();
        greta.call.enter(NOW, &mut greta.ring).unwrap();
        assert!(is_forged(greta.opens(NOW, agreed, CAMERA, &camera)));
    }
}

/// A guest seals what she has keys for, in the name of anybody. What is above the cap is not among it.
#[test]
fn a_guest_seals_nothing_above_the_cap() {
    let agreed = Agreement::default();
    let ([_, mut bob, greta], _) = call_with_a_guest(agreed);
    let mut keys = SenderKeys::new(agreed, 0, greta.call.grant().unwrap(), None);
    let mut sealer = keys.video(CAMERA).unwrap();
    let forged = frames(&mut sealer);
    assert!(is_forged(bob.opens(NOW, agreed, CAMERA, &forged)));
    // Upper layers under the key of the base layer.
    let mut keys = SenderKeys::new(agreed, 0, greta.call.grant().unwrap(), None);
    let mut base = keys.sealer(Context::video(CAMERA, 0)).unwrap();
    for _ in 0..20 {
        base.seal(b"", b"", &mut BytesMut::new()).unwrap();
    }
    sealer.set_layer(1, base);
    let (_, descriptors) = call(ScalabilityMode::L3T3, 1);
    let mut opener = VideoOpener::new(agreed, 0, CAMERA);
    let mut open = |descriptor: &DependencyDescriptor, frame: &BytesMut| {
        opener.open(NOW, &bob.ring, descriptor, SealedUnit::Frame, &mut frame.clone())
    };
    assert_eq!(open(&forged[0].0, &forged[0].1), Ok(()));
    let frame = seal(&mut sealer, &descriptors[0], b"");
    assert_eq!(open(&descriptors[0], &frame), Ok(()));
    let frame = seal(&mut sealer, &descriptors[1], b"");
    assert_eq!(open(&descriptors[1], &frame), Err(Relabelled::SpatialLayer.into()));
    // And keys of her own for them, sent to Bob.
    let key_id = agreed.layout.key_id(Context::video(CAMERA, 1), 0, bob.call.epoch()).unwrap();
    let scope = Scope::KeyId(key_id);
    let grant = Grant { epoch: bob.call.epoch(), scope, base_key: BaseKey::random(agreed.suite).unwrap() };
    assert_eq!(bob.ring.add_from(NOW, 2, grant), Err(GrantRefused::Scope { giver: 2 }));
}

/// Who is removed from both groups opens nothing more, and who becomes a guest what guests open, with whatever it kept.
#[test]
fn insiders_come_and_go() {
    let agreed = Agreement::default();
    for demoted in [true, false] {
        let ([mut alice, mut bob, mut greta], _) = call_with_a_guest(agreed);
        let ms = Time::from_millis;
        // Greta becomes an insider: in the insiders' group first, then with the next epoch of the call.
        let before = frames(&mut alice.call.sender_keys().unwrap().video(CAMERA).unwrap());
        let gretas = Login::new(b"greta", DAY).unwrap();
        let insiders = alice.insiders.as_mut().unwrap();
        let commit = insiders.add(&[&gretas.key_package().unwrap()]).unwrap();
        insiders.merge().unwrap();
        follow(bob.insiders.as_mut().unwrap(), &commit.commit);
        greta.insiders = Some(gretas.join(agreed, &commit.welcome).unwrap());
        let commit = alice.commit(ms(0), Group::update);
        [&mut bob, &mut greta].into_iter().for_each(|it| it.follow(ms(0), &commit));
        let after = frames(&mut alice.call.sender_keys().unwrap().video(CAMERA).unwrap());
        for person in [&bob, &greta] {
            assert_eq!(person.opens(ms(0), agreed, CAMERA, &after), ALL);
        }
        assert_eq!(bob.opens(ms(0), agreed, CAMERA, &before), ALL);
        assert!(is_base_only(greta.opens(ms(0), agreed, CAMERA, &before)));

        // Bob goes.
        let insiders = alice.insiders.as_mut().unwrap();
        let bobs = insiders.members().find(|it| it.name == b"bob").unwrap().index;
        let commit = insiders.remove(&[bobs]).unwrap();
        insiders.merge().unwrap();
        follow(greta.insiders.as_mut().unwrap(), &commit.commit);
        // His own insiders' group stays as it was, if he so likes.
        let what = if demoted { Group::update } else { |it: &mut Group| it.remove(&[1]) };
        let commit = alice.commit(ms(10), what);
        greta.follow(ms(10), &commit);
        let frames = frames(&mut alice.call.sender_keys().unwrap().video(CAMERA).unwrap());
        assert_eq!(greta.opens(ms(10), agreed, CAMERA, &frames), ALL);
        if demoted {
            bob.follow(ms(10), &commit);
            assert!(is_forged(bob.opens(ms(10), agreed, CAMERA, &frames)));
        } else {
            follow(&mut bob.call, &commit.commit);
            assert!(bob.call.set_insiders(bob.insiders.as_ref().unwrap()).is_err());
            assert!(bob.call.enter(ms(10), &mut bob.ring).is_err());
            let opened = bob.opens(ms(10), agreed, CAMERA, &frames);
            assert!(opened.iter().all(Result::is_err));
            assert!(matches!(opened[0], Err(OpenError::UnknownKey { .. })));
        }
    }
}

/// Epochs of both groups begin while frames are on their way: each frame is opened, early ones once the keys are there.
#[test]
fn a_new_epoch_loses_no_frame() {
    let agreed = Agreement::default();
    let ([mut alice, mut bob, mut greta], _) = call_with_a_guest(agreed);
    let mut sealer = alice.call.sender_keys().unwrap().video(CAMERA).unwrap();
    let mut openers = [(); 2].map(|()| VideoOpener::new(agreed, 0, CAMERA));
    let (_, descriptors) = call(ScalabilityMode::L3T3, 60);
    let mut waiting: Vec<(usize, &DependencyDescriptor, BytesMut)> = Vec::new();
    let mut commits = Vec::new();
    let mut opened = [[0; 3]; 2];
    for (at, descriptor) in descriptors.iter().enumerate() {
        let now = Time::from_millis(at as u64 * 11);
        // The commits come two pictures after the first frames of their epoch.
        if at % 30 == 6 && at > 6 {
            let commit = commits.pop().unwrap();
            bob.follow(now, &commit);
            greta.follow(now, &commit);
        }
        if at % 30 == 0 && at > 0 {
            // The insiders' group moves twice as often.
            for _ in 0..2 {
                let insiders = alice.insiders.as_mut().unwrap();
                let update = insiders.update().unwrap();
                insiders.merge().unwrap();
                follow(bob.insiders.as_mut().unwrap(), &update.commit);
            }
            commits.push(alice.commit(now, Group::update));
            sealer.rekey(&mut alice.call.sender_keys().unwrap(), CAMERA).unwrap();
        }
        let frame = seal(&mut sealer, descriptor, b"a frame");
        waiting.extend([(0, descriptor, frame.clone()), (1, descriptor, frame)]);
        waiting.retain_mut(|(who, descriptor, frame)| {
            let context = agreed.layout.context(Header::read(frame).unwrap().key_id);
            let layer = usize::from(context.spatial_id_of(CAMERA).unwrap());
            let ring = [&bob.ring, &greta.ring][*who];
            match openers[*who].open(now, ring, descriptor, SealedUnit::Frame, frame) {
                Ok(()) => opened[*who][layer] += 1,
                Err(error) => {
                    assert!(matches!(error, OpenError::UnknownKey { .. }), "{error}");
                    return true;
                }
            }
            false
        });
    }
    assert_eq!(opened, [[60, 60, 60], [60, 0, 0]]);
}

/// Nothing is sealed for guests by mistake, and caps change with an epoch.
#[test]
fn caps_hold_or_nothing_is_sealed() {
    let agreed = Agreement::default();
    let ([mut alice, mut bob, mut greta], _) = call_with_a_guest(agreed);
    let is_in_use = |taken| matches!(taken, Err(MlsError::InUse { .. }));
    assert!(is_in_use(alice.call.set_insiders(alice.insiders.as_ref().unwrap())));
    // Other commits leave the caps as they are. Without the insiders of the epoch there is no key above them.
    for what in [Group::update, Group::commit] {
        let commit = what(&mut alice.call).unwrap();
        alice.call.merge().unwrap();
        [&mut bob, &mut greta].into_iter().for_each(|it| it.follow(NOW, &commit));
    }
    assert_eq!(bob.call.guest_cap(0, CAMERA), Some(0));
    let mut keys = alice.call.sender_keys().unwrap();
    let refused = SenderKeyError::Insiders(Context::video(CAMERA, 1));
    assert_eq!(keys.video(CAMERA).unwrap_err(), refused);
    assert!(keys.video(SCREEN).is_ok() && keys.sealer(Context::audio(0)).is_ok());
    assert!(is_in_use(alice.call.set_insiders(alice.insiders.as_ref().unwrap())));

    // Guests are to see more of the camera, and less of the screen.
    let caps = [GuestCap { stream: CAMERA, spatial_id: 1 }, GuestCap { stream: SCREEN, spatial_id: 0 }];
    let commit = alice.commit(NOW, |it| it.set_guest_caps(&caps));
    [&mut bob, &mut greta].into_iter().for_each(|it| it.follow(NOW, &commit));
    let mut keys = alice.call.sender_keys().unwrap();
    let camera = frames(&mut keys.video(CAMERA).unwrap());
    let opened = greta.opens(NOW, agreed, CAMERA, &camera);
    assert!(opened[0].is_ok() && opened[1].is_ok() && opened[2].is_err());
    assert!(is_base_only(greta.opens(NOW, agreed, SCREEN, &frames(&mut keys.video(SCREEN).unwrap()))));
    assert_eq!(bob.opens(NOW, agreed, CAMERA, &camera), ALL);
    let too_many = [CAP; MAX_GUEST_CAPS + 1];
    assert!(matches!(alice.call.set_guest_caps(&too_many), Err(MlsError::TooManyCaps)));

    // None any more.
    let commit = alice.commit(NOW, |it| it.set_guest_caps(&[]));
    [&mut bob, &mut greta].into_iter().for_each(|it| it.follow(NOW, &commit));
    let mut keys = alice.call.sender_keys().unwrap();
    let camera = frames(&mut keys.video(CAMERA).unwrap());
    assert_eq!(greta.opens(NOW, agreed, CAMERA, &camera), ALL);
}
