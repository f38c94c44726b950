//! Epochs, replays, and nonces.

use std::collections::HashSet;

use bytes::BytesMut;

use super::*;
use crate::e2ee::cipher::Cipher;
use crate::e2ee::mls::{Login, MlsError};

/// A ring's epochs overlap for a while, and no longer.
#[test]
fn epochs_end() {
    let agreed = Agreement::default();
    let at = Time::from_secs;
    let mut ring = KeyRing::new(agreed, OVERLAP);
    let mut senders: Vec<_> = (0..23).map(|epoch| SenderKeys::fresh(agreed, 1, epoch).unwrap()).collect();
    let mut opener = Opener::new(agreed, 1, Context::data(0));
    let mut sealers: Vec<_> = senders.iter_mut().map(|keys| keys.sealer(Context::data(0)).unwrap()).collect();
    let mut open = |ring: &KeyRing, epoch: usize, now| {
        let mut sealed = BytesMut::new();
        sealers[epoch].seal(b"", b"data", &mut sealed).unwrap();
        opener.open(now, ring, b"", &mut sealed)
    };
    let unknown = |opened| matches!(opened, Err(OpenError::UnknownKey { .. }));
    ring.add(at(0), senders[0].grant().clone());
    assert!(open(&ring, 0, at(100)).is_ok());
    assert!(unknown(open(&ring, 1, at(100))));
    ring.add(at(100), senders[1].grant().clone());
    assert!(open(&ring, 0, at(104)).is_ok() && open(&ring, 1, at(104)).is_ok());
    assert!(unknown(open(&ring, 0, at(105))) && open(&ring, 1, at(105)).is_ok());
    // Once over it does not come back, even if somebody adds it again: the replay window is gone.
    ring.add(at(106), senders[0].grant().clone());
    assert!(unknown(open(&ring, 0, at(106))));

    // Epoch 17 has the key id of epoch 1, which it ends at once.
    ring.add(at(107), senders[17].grant().clone());
    assert!(open(&ring, 17, at(107)).is_ok());
    assert_eq!(open(&ring, 1, at(107)), Err(OpenError::NotAuthentic));
    // No more than four are held, whatever the overlap.
    for sender in &senders[18..23] {
        ring.add(at(107), sender.grant().clone());
    }
    let key_id = |epoch| agreed.layout.key_id(Context::data(0), 1, epoch).unwrap();
    let held: Vec<_> = (0..23).filter(|&epoch| ring.base_key(key_id(epoch), epoch).is_some()).collect();
    assert_eq!(held, [19, 20, 21, 22]);
    ring.expire(at(200));
    let held: Vec<_> = (0..23).filter(|&epoch| ring.base_key(key_id(epoch), epoch).is_some()).collect();
    assert_eq!(held, [22]);
}

/// With the longest overlap an epoch never ends.
#[test]
fn the_longest_overlap() {
    let agreed = Agreement::default();
    let mut ring = KeyRing::new(agreed, Duration::MAX);
    for epoch in 0..2 {
        ring.add(Time::from_secs(1), SenderKeys::fresh(agreed, 1, epoch).unwrap().grant().clone());
    }
    let key_id = agreed.layout.key_id(Context::data(0), 1, 0).unwrap();
    assert_eq!(ring.epoch(Time::from_secs(1 << 34), key_id), Some(0));
}

/// A grant that a key server sends again, or late, does not end the one that holds.
#[test]
fn a_late_grant_does_not_end_the_newest() {
    let agreed = Agreement::default();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    let mut senders: Vec<_> = [5, 6].map(|epoch| SenderKeys::fresh(agreed, 1, epoch).unwrap()).into();
    ring.add(NOW, senders[1].grant().clone());
    ring.add(NOW, senders[0].grant().clone());
    let mut opener = Opener::new(agreed, 1, Context::data(0));
    let mut sealer = senders[1].sealer(Context::data(0)).unwrap();
    for now in [NOW, NOW + 2 * OVERLAP] {
        let mut sealed = BytesMut::new();
        sealer.seal(b"", b"data", &mut sealed).unwrap();
        assert_eq!(opener.open(now, &ring, b"", &mut sealed), Ok(()));
    }
}

/// Packets may come late, but not too late; and a frame that is not authentic leaves no trace.
#[test]
fn the_replay_window() {
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let ring = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.sealer(Context::data(0)).unwrap();
    let sealed: Vec<_> = (0..3000u32)
        .map(|_| {
            let mut sealed = BytesMut::new();
            sealer.seal(b"", b"", &mut sealed).unwrap();
            sealed
        })
        .collect();
    let mut opener = Opener::new(agreed, 0, Context::data(0));
    let mut open = |index: usize| opener.open(NOW, &ring, b"", &mut sealed[index].clone());
    assert_eq!(open(2999), Ok(()));
    assert_eq!(open(3000 - 2048), Ok(()));
    assert_eq!(open(3000 - 2049), Err(OpenError::TooOld { counter: 3000 - 2049 }));
    let mut expected: Vec<_> = (3000 - 2047..2999).collect();
    expected.reverse();
    assert!(expected.iter().all(|&index| open(index) == Ok(())));
    for &index in &expected {
        assert_eq!(open(index), Err(OpenError::Replayed { counter: index as u64 }));
    }
    let mut far = Header::encode(agreed.layout.key_id(Context::data(0), 0, 0).unwrap(), 1 << 30).to_vec();
    far.extend([0; 16]);
    let mut opener = Opener::new(agreed, 0, Context::data(0));
    assert_eq!(opener.open(NOW, &ring, b"", &mut BytesMut::from(&far[..])), Err(OpenError::NotAuthentic));
    assert_eq!(opener.open(NOW, &ring, b"", &mut sealed[0].clone()), Ok(()));
}

/// Tries every way to make a key and counter repeat.
#[test]
fn no_nonce_repeats() {
    let agreed = Agreement::default();
    let mut seen = HashSet::new();
    let mut seal_some = |base: &[u8], sealer: &mut VideoSealer, descriptors: &[DependencyDescriptor]| {
        for descriptor in descriptors {
            let header = Header::read(&seal(sealer, descriptor, b"")).unwrap();
            assert!(seen.insert((base.to_vec(), header.key_id, header.counter)));
        }
    };
    let (_, descriptors) = call(ScalabilityMode::S3T3, 20);
    let mut group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
    for _ in 0..3 {
        // A second set of keys of the epoch, and a second counter of a key, are not to be had.
        let mut keys = group.sender_keys().unwrap();
        assert!(matches!(group.sender_keys(), Err(MlsError::InUse { .. })));
        let base = keys.grant().base_key.clone();
        let mut sealer = keys.video(0).unwrap();
        let used = SenderKeyError::InUse(Context::video(0, 0));
        assert_eq!(keys.video(0).unwrap_err(), used);
        assert_eq!(keys.sealer(Context::video(0, 0)).unwrap_err(), used);
        assert_eq!(sealer.rekey(&mut keys, 0), Err(used));
        seal_some(base.expose(), &mut sealer, &descriptors);
        seal_some(base.expose(), &mut sealer, &descriptors);
        drop((sealer, keys));
        // Not even when all of it is gone.
        assert!(matches!(group.sender_keys(), Err(MlsError::InUse { .. })));
        group.update().unwrap();
        group.merge().unwrap();
    }
    // Started again under the same index and epoch: the keys are others.
    for _ in 0..3 {
        let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
        let base = keys.grant().base_key.clone();
        seal_some(base.expose(), &mut keys.video(0).unwrap(), &descriptors);
    }
    for _ in 0..3 {
        let mut group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
        let mut keys = group.sender_keys().unwrap();
        let base = keys.grant().base_key.clone();
        seal_some(base.expose(), &mut keys.video(0).unwrap(), &descriptors);
    }
    assert_eq!(seen.len(), 3 * 4 * descriptors.len());

    // At its end the counter stays there; an error uses none up.
    let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let mut sealer = keys.sealer(Context::data(0)).unwrap();
    sealer.set_counter(MAX_FRAMES - 2);
    let mut out = BytesMut::new();
    assert_eq!(sealer.seal_in_place(b"", &mut BytesMut::new()), Err(SealError::NoRoom));
    assert_eq!(
        [(); 4].map(|()| sealer.seal(b"", b"", &mut out)),
        [Ok(()), Ok(()), Err(SealError::Exhausted), Err(SealError::Exhausted)]
    );
    let first = Header::read(&out).unwrap();
    let second = Header::read(&out[first.size + 16..]).unwrap();
    assert_eq!((first.counter, second.counter), (MAX_FRAMES - 2, MAX_FRAMES - 1));
    assert_eq!(out.len(), 2 * (first.size + 16));
}

#[test]
fn secrets_are_not_shown() {
    let agreed = Agreement::default();
    let keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let shown = format!("{keys:?} {:?}", keys.grant().base_key);
    let bytes = keys.grant().base_key.expose();
    assert!(shown.contains("BaseKey(..)") && !shown.contains(&format!("{}, {}", bytes[0], bytes[1])));
    let group = Login::new(b"alice", DAY).unwrap().create(agreed).unwrap();
    assert!(format!("{:?}", group.code().unwrap()).contains(".."));
}

/// Findings 4 and 13: who has the key may seal with any counter. None shuts out the sender's own frames, or makes the
/// opener forget which it opened.
#[test]
fn counters_have_bounds() {
    let agreed = Agreement::default();
    let mut keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let context = Context::data(0);
    let part = keys.grant().part(&agreed, 0, context).unwrap().unwrap();
    let Scope::KeyId(key_id) = part.scope else { panic!("{:?}", part.scope) };
    let cipher = Cipher::new(agreed.suite, key_id, &part.base_key);
    let forge = |counter: u64| {
        let mut frame = BytesMut::from(&Header::encode(key_id, counter)[..]);
        let mut aad = frame.to_vec();
        let (mut data, mut tag) = (*b"forged", [0; 16]);
        cipher.seal(counter, &mut aad, &mut data, &mut tag);
        frame.extend_from_slice(&data);
        frame.extend_from_slice(&tag);
        frame
    };
    let ring = ring(agreed, &[keys.grant()]);
    let mut sealer = keys.sealer(context).unwrap();
    let mut opener = Opener::new(agreed, 0, context);
    let mut open = |now: Time, frame: &BytesMut| opener.open(now, &ring, b"", &mut frame.clone());
    let mut say = || {
        let mut sealed = BytesMut::new();
        sealer.seal(b"", b"data", &mut sealed).unwrap();
        sealed
    };
    let ms = Time::from_millis;
    // Not even as the first.
    for counter in [1 << 36, 1 << 40, (1 << 63) - 1, 1 << 63, u64::MAX] {
        assert_eq!(open(ms(0), &forge(counter)), Err(OpenError::TooFar { counter }));
    }
    let first = say();
    assert_eq!(open(ms(0), &first), Ok(()));
    let too_far = |counter| Err(OpenError::TooFar { counter });
    assert_eq!(open(ms(16), &forge(1 << 40)), too_far(1 << 40));
    assert_eq!(open(ms(16), &forge((1 << 36) - 1)), too_far((1 << 36) - 1));
    assert_eq!(open(ms(16), &forge(1024 + 160 + 2)), too_far(1024 + 160 + 2));
    // As far as that goes, the sender is still heard; and once only.
    assert_eq!(open(ms(16), &forge(1024 + 160 + 1)), Ok(()));
    assert_eq!(open(ms(16), &forge(2 * 1024)), too_far(2 * 1024));
    for at in 17..1000 {
        assert_eq!(open(ms(at), &say()), Ok(()));
    }
    assert_eq!(open(ms(1000), &first), Err(OpenError::Replayed { counter: 0 }));
    // A pause in which the sender sealed 10 frames a millisecond.
    assert_eq!(open(ms(61_000), &forge(600_000)), Ok(()));

    // A frame that comes before its time may be tried again.
    let early = OpenError::TooFar { counter: 0 };
    assert!(early.is_early());
}

/// Finding 12: no member puts a key in the place of the group's or of another member's, and no epoch is the last.
#[test]
fn grants_of_members() {
    let agreed = Agreement::default();
    let grant = |epoch, scope| Grant { epoch, scope, base_key: BaseKey::random(agreed.suite).unwrap() };
    let key_id = |sender, epoch| agreed.layout.key_id(Context::audio(0), sender, epoch).unwrap();
    let mut ring = KeyRing::new(agreed, OVERLAP);
    let groups = grant(5, Scope::Group);
    assert!(ring.add(NOW, groups.clone()));
    // The keys of others, under the group's epoch or another.
    let scopes = [Scope::Group, Scope::Sender(1), Scope::KeyId(key_id(1, 6))];
    for scope in scopes {
        let refused = ring.add_from(NOW, 2, grant(6, scope));
        assert_eq!(refused, Err(GrantRefused::Scope { giver: 2 }));
        assert_eq!(ring.epoch(NOW, key_id(1, 6)), None);
    }
    // Its own: not in the place of the group's.
    assert_eq!(ring.add_from(NOW, 2, grant(5, Scope::Sender(2))), Ok(()));
    assert_eq!(ring.add_from(NOW, 2, grant(5, Scope::KeyId(key_id(2, 5)))), Ok(()));
    assert!(ring.add(NOW, grant(5, Scope::KeyId(key_id(1, 5)))));
    for sender in [1, 2] {
        let expected = groups.base_key(&agreed, key_id(sender, 5));
        assert_eq!(ring.base_key(key_id(sender, 5), 5), expected);
    }
    let own = grant(6, Scope::Sender(2));
    assert_eq!(ring.add_from(NOW, 2, own.clone()), Ok(()));
    assert_eq!(ring.base_key(key_id(2, 6), 6), own.base_key(&agreed, key_id(2, 6)));
    // Again, older, another of the same epoch.
    assert_eq!(ring.add_from(NOW, 2, own), Ok(()));
    for epoch in [5, 6] {
        let refused = ring.add_from(NOW, 2, grant(epoch, Scope::Sender(2)));
        assert_eq!(refused, Err(GrantRefused::Older { epoch }));
    }
    // The last epochs there are lock nobody out.
    for epoch in [u64::MAX, 1 << 48, 6 + (1 << 16) + 1] {
        let refused = ring.add_from(NOW, 2, grant(epoch, Scope::Sender(2)));
        assert_eq!(refused, Err(GrantRefused::Epoch { epoch }));
    }
    assert!(!ring.add(NOW, grant(u64::MAX, Scope::Group)) && !ring.add(NOW, grant(1 << 48, Scope::Group)));
    assert!(ring.add(NOW, grant(6, Scope::Group)));
    assert_eq!(ring.add_from(NOW, 2, grant(6 + (1 << 16), Scope::Sender(2))), Ok(()));
    // One member does not fill the ring.
    let given: Vec<_> = (0..100)
        .map(|stream| {
            let key_id = agreed.layout.key_id(Context::data(stream), 3, 6).unwrap();
            ring.add_from(NOW, 3, grant(6, Scope::KeyId(key_id)))
        })
        .collect();
    assert_eq!(given.iter().filter(|given| given.is_ok()).count(), 64);
    assert_eq!(given.last(), Some(&Err(GrantRefused::TooMany { giver: 3 })));
}
