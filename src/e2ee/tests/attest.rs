//! Senders that attest their frames, and others that forge them.

use std::ops::Range;
use std::time::Instant;

use proptest::prelude::*;

use super::members::group;
use super::mls::follow;
use super::*;
use crate::e2ee::attest::*;
use crate::e2ee::cipher::Cipher;
use crate::e2ee::mls::{Group, Login};

/// The camera of the sender, who is the first in its group.
const CAMERA: (u32, u16) = (0, 0);

/// 30 pictures a second of three spatial layers.
fn time_of(picture: usize) -> Time {
    Time::from_micros(33_333 * picture as u64)
}

fn milliseconds(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

struct Sent {
    at: Time,
    descriptor: DependencyDescriptor,
    sframe: BytesMut,
}

struct Message {
    at: Time,
    bytes: Vec<u8>,
    /// What it attests, by the places among the frames sent.
    frames: Range<usize>,
}

fn attested(group: &mut Group) -> (VideoSealer, Attester) {
    let (mut keys, attester) = (group.sender_keys().unwrap(), group.attester(INTERVAL));
    keys.attest(attester.clone());
    (keys.video(CAMERA.1).unwrap(), attester)
}

/// What a sender of L3T3 sends, and then nothing for a while.
fn send(
    (mut sealer, attester): (VideoSealer, Attester),
    descriptors: &[DependencyDescriptor],
) -> (Vec<Sent>, Vec<Message>) {
    let (mut frames, mut messages) = (Vec::new(), Vec::new());
    let mut sign = |at, sent: usize| {
        while let Some(bytes) = attester.poll(at).unwrap() {
            let from = messages.last().map_or(0, |message: &Message| message.frames.end);
            messages.push(Message { at, bytes, frames: from..sent });
        }
    };
    for (picture, layers) in descriptors.chunks(3).enumerate() {
        for descriptor in layers {
            let sframe = seal(&mut sealer, descriptor, format!("the truth of picture {picture}").as_bytes());
            frames.push(Sent { at: time_of(picture), descriptor: descriptor.clone(), sframe });
        }
        sign(time_of(picture), frames.len());
    }
    if let Some(at) = attester.next_timeout() {
        sign(at, frames.len());
    }
    (frames, messages)
}

struct Receiver {
    opener: VideoOpener,
    checker: AttestationChecker,
    ring: KeyRing,
}

impl Receiver {
    fn new(group: &Group) -> Self {
        let mut receiver = Self::with(Agreement::default(), group.sender(CAMERA.0).unwrap());
        group.enter(NOW, &mut receiver.ring).unwrap();
        receiver
    }

    fn with(agreed: Agreement, sender: SenderIdentity) -> Self {
        let mut opener = VideoOpener::new(agreed, CAMERA.0, CAMERA.1);
        let checker = AttestationChecker::new(DELAY);
        checker.enter(sender);
        opener.check_attestations(checker.clone());
        Self { opener, checker, ring: KeyRing::new(agreed, OVERLAP) }
    }

    fn open(&mut self, now: Time, frame: &Sent) -> Result<BytesMut, OpenError> {
        let mut opened = frame.sframe.clone();
        self.opener.open(now, &self.ring, &frame.descriptor, SealedUnit::Frame, &mut opened)?;
        Ok(opened)
    }

    fn verdicts(&self, now: Time) -> Vec<CheckedFrame> {
        std::iter::from_fn(|| self.checker.poll(now)).collect()
    }
}

/// How many verdicts there are of each kind.
fn count(verdicts: &[CheckedFrame]) -> [usize; 3] {
    [Verdict::Attested, Verdict::Forged, Verdict::Unattested]
        .map(|verdict| verdicts.iter().filter(|checked| checked.verdict == verdict).count())
}

#[test]
fn frames_are_attested_within_a_second() {
    let [mut alice, bob] = group(["alice", "bob"]);
    let (_, descriptors) = call(ScalabilityMode::L3T3, 40);
    let (frames, messages) = send(attested(&mut alice), &descriptors);
    assert_eq!(messages.iter().map(|message| message.frames.len()).sum::<usize>(), frames.len());
    let mut receiver = Receiver::new(&bob);
    let (mut messages, mut checked) = (messages.iter().peekable(), Vec::new());
    for frame in &frames {
        receiver.open(frame.at, frame).unwrap();
        while let Some(message) = messages.next_if(|message| message.at <= frame.at) {
            receiver.checker.handle(message.at, &message.bytes).unwrap();
        }
        for verdict in receiver.verdicts(frame.at) {
            let sent = &frames[checked.len()];
            // The first poll after the interval is that of the next picture.
            assert!(frame.at - sent.at <= INTERVAL + milliseconds(34));
            assert_eq!((verdict.frame_number, verdict.epoch), (sent.descriptor.frame_number, alice.epoch()));
            let header = Header::read(&sent.sframe).unwrap();
            assert_eq!((verdict.key_id, verdict.counter), (header.key_id, header.counter));
            checked.push(verdict);
        }
    }
    let last = messages.next().unwrap();
    assert!(messages.next().is_none());
    receiver.checker.handle(last.at, &last.bytes).unwrap();
    checked.extend(receiver.verdicts(last.at));
    assert_eq!(count(&checked), [frames.len(), 0, 0]);
    assert_eq!(receiver.checker.next_timeout(), None);
}

/// The metadata, which is not part of the SFrame, is attested too, and so are frames sealed packet by packet.
#[test]
fn metadata_and_packets_are_attested() {
    let [alice, bob] = group(["alice", "bob"]);
    let agreed = Agreement { binding: Binding::Metadata, ..Agreement::default() };
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let mut keys = SenderKeys::new(agreed, CAMERA.0, alice.grant().unwrap(), None);
    let attester = alice.attester(INTERVAL);
    keys.attest(attester.clone());
    let mut sealer = keys.video(CAMERA.1).unwrap();
    let mut receiver = Receiver::with(agreed, bob.sender(CAMERA.0).unwrap());
    bob.enter(NOW, &mut receiver.ring).unwrap();
    for index in 0..4 {
        let unit = SealedUnit::Packet { index, last: index == 3 };
        let mut sframe = BytesMut::from(&[&[0; MAX_HEADER][..], b"a packet"].concat()[..]);
        sealer.seal_in_place(&descriptors[0], unit, &mut sframe).unwrap();
        receiver.opener.open(NOW, &receiver.ring, &descriptors[0], unit, &mut sframe).unwrap();
    }
    assert_eq!(attester.poll(NOW), Ok(None));
    let message = attester.poll(attester.next_timeout().unwrap()).unwrap().unwrap();
    receiver.checker.handle(NOW, &message).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [4, 0, 0]);

    let sframe = b"\x00 whatever is sealed";
    let digest = |metadata| SframeDigest::new(metadata, sframe);
    assert_ne!(digest(b""), digest(b"metadata"));
    assert_ne!(SframeDigest::new(b"\x00 ", b"whatever"), SframeDigest::new(b"", b"\x00 whatever"));
    assert_eq!(SframeDigest::new(b"", b"\xff"), None);
}

/// A member has all keys and passes for nobody: neither with frames in the place of the sender's, nor with frames that
/// the sender never sealed, nor with attestations of its own.
#[test]
fn a_member_who_forges_is_caught() {
    let [mut alice, bob, mallory] = group(["alice", "bob", "mallory"]);
    let (_, descriptors) = call(ScalabilityMode::L3T3, 30);
    let (before, ahead) = descriptors.split_at(60);
    let (frames, messages) = send(attested(&mut alice), before);
    let grant = mallory.grant().unwrap();
    let mut keys = SenderKeys::new(Agreement::default(), CAMERA.0, grant, None);
    let attester = mallory.attester(INTERVAL);
    keys.attest(attester.clone());
    let mut forger = keys.video(CAMERA.1).unwrap();
    let (mut forged, mut own) = (Vec::new(), Vec::new());
    for (place, descriptor) in descriptors.iter().enumerate() {
        let at = time_of(place / 3);
        let sframe = seal(&mut forger, descriptor, b"a lie");
        forged.push(Sent { at, descriptor: descriptor.clone(), sframe });
        own.extend(attester.poll(at).unwrap());
    }

    let mut receiver = Receiver::new(&bob);
    let theirs = |place: usize| place >= 60 || (30..45).contains(&place);
    for (place, lie) in forged.iter().enumerate() {
        if theirs(place) {
            assert_eq!(receiver.open(lie.at, lie).unwrap(), b"a lie"[..]);
        }
        if let Some(frame) = frames.get(place) {
            let opened = receiver.open(frame.at, frame);
            assert_eq!(matches!(opened, Err(OpenError::Replayed { .. })), theirs(place), "{opened:?}");
        }
        for message in own.iter().filter(|_| place % 10 == 0) {
            assert_eq!(receiver.checker.handle(NOW, message), Err(AttestationError::NotSigned));
        }
    }
    let now = frames[59].at;
    messages.iter().for_each(|message| receiver.checker.handle(now, &message.bytes).unwrap());
    let verdicts = receiver.verdicts(now);
    assert_eq!(count(&verdicts), [45, 15, 0]);
    for checked in verdicts {
        let place = before.iter().position(|it| it.frame_number == checked.frame_number).unwrap();
        assert_eq!(checked.verdict == Verdict::Forged, theirs(place));
    }
    let end = receiver.checker.next_timeout().unwrap();
    assert_eq!(end, forged[60].at + DELAY);
    assert_eq!(receiver.verdicts(end - milliseconds(1)), []);
    assert_eq!(count(&receiver.verdicts(end + DELAY)), [0, 0, ahead.len()]);
}

/// An observer has the key of one layer, and a member of another group nothing.
#[test]
fn an_observer_who_forges_is_caught() {
    let [mut alice, bob] = group(["alice", "bob"]);
    let agreed = Agreement::default();
    let (_, descriptors) = call(ScalabilityMode::L3T3, 10);
    let (frames, messages) = send(attested(&mut alice), &descriptors);
    let layer = Context::video(CAMERA.1, 0);
    let part = bob.grant().unwrap().part(&agreed, CAMERA.0, layer).unwrap().unwrap();
    let mut forger = SenderKeys::fresh(agreed, CAMERA.0, bob.epoch()).unwrap().video(CAMERA.1).unwrap();
    forger.set_layer(0, SenderKeys::new(agreed, CAMERA.0, part, None).sealer(layer).unwrap());

    let mut receiver = Receiver::new(&bob);
    for frame in &frames {
        let sframe = seal(&mut forger, &frame.descriptor, b"a lie");
        let forged = Sent { at: frame.at, descriptor: frame.descriptor.clone(), sframe };
        let is_of_layer =
            Header::read(&frame.sframe).map(|it| agreed.layout.context(it.key_id)) == Some(layer);
        assert_eq!(receiver.open(frame.at, &forged).is_ok(), is_of_layer);
        assert_eq!(receiver.open(frame.at, frame).is_ok(), !is_of_layer);
    }
    receiver.checker.handle(frames[29].at, &messages[0].bytes).unwrap();
    assert_eq!(count(&receiver.verdicts(frames[29].at)), [20, 10, 0]);
}

/// A product in the field of GCM, where the first bit is the coefficient of 1.
fn product(a: u128, mut b: u128) -> u128 {
    let mut sum = 0;
    for bit in (0..128).rev() {
        sum ^= if a >> bit & 1 == 1 { b } else { 0 };
        b = b >> 1 ^ if b & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    sum
}

/// Why tags are not what is signed: a key holder makes another frame of the same header and tag in no time.
#[test]
fn a_tag_stands_for_nothing_among_key_holders() {
    let [mut alice, bob, mallory] = group(["alice", "bob", "mallory"]);
    let agreed = Agreement::default();
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let (mut sealer, attester) = attested(&mut alice);
    let truth = b"I pay nothing.  (some of the picture can change) the rest cannot";
    let sframe = seal(&mut sealer, &descriptors[0], truth);
    let message = attester.poll(NOW).unwrap();
    let message = message.or_else(|| attester.poll(NOW + INTERVAL).unwrap()).unwrap();

    let header = Header::read(&sframe).unwrap();
    let base_key = mallory.grant().unwrap().base_key(&agreed, header.key_id).unwrap();
    let cipher = Cipher::new(agreed.suite, header.key_id, &base_key);
    // Two blocks whose ciphertexts differ by 1 have tags that differ by the square of GHASH's key.
    let [zero, one] = [0, 1_u128 << 127].map(|block: u128| {
        let (mut data, mut tag) = (block.to_be_bytes(), [0; 16]);
        cipher.seal(header.counter, &mut [], &mut data, &mut tag);
        u128::from_be_bytes(tag)
    });
    let square = zero ^ one;
    let lie = b"I pay 1000 euro.";
    let first = u128::from_be_bytes(*lie) ^ u128::from_be_bytes(*truth.first_chunk().unwrap());
    let mut forged = sframe.clone();
    for (block, change) in [(0, first), (2, product(first, square))] {
        let at = header.size + 16 * block;
        forged[at..at + 16].iter_mut().zip(change.to_be_bytes()).for_each(|(byte, change)| *byte ^= change);
    }
    let tag = sframe.len() - agreed.suite.tag_len();
    assert_eq!((&forged[..header.size], &forged[tag..]), (&sframe[..header.size], &sframe[tag..]));

    let mut receiver = Receiver::new(&bob);
    let frame = Sent { at: NOW, descriptor: descriptors[0].clone(), sframe: forged };
    let opened = receiver.open(NOW, &frame).unwrap();
    assert_eq!((&opened[..16], &opened[48..]), (&lie[..], &truth[48..]));
    receiver.checker.handle(NOW, &message).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [0, 1, 0]);
}

/// One attester and one checker serve all streams of a sender, but attestations themselves are not attested.
#[test]
fn all_streams_of_a_sender_are_attested_together() {
    let [mut alice, bob] = group(["alice", "bob"]);
    let (mut keys, attester) = (alice.sender_keys().unwrap(), alice.attester(INTERVAL));
    keys.attest(attester.clone());
    let mut receiver = Receiver::new(&bob);
    let contexts = [Context::audio(0), Context::data(7), Context::attestation(0)];
    for context in contexts {
        let mut sealer = keys.sealer(context).unwrap();
        let mut opener = Opener::new(Agreement::default(), CAMERA.0, context);
        if context != contexts[2] {
            opener.check_attestations(receiver.checker.clone());
        }
        for _ in 0..3 {
            let mut sframe = BytesMut::new();
            sealer.seal(b"metadata", b"a frame", &mut sframe).unwrap();
            opener.open(NOW, &receiver.ring, b"metadata", &mut sframe).unwrap();
        }
    }
    let (_, descriptors) = call(ScalabilityMode::L1T1, 1);
    let sframe = seal(&mut keys.video(CAMERA.1).unwrap(), &descriptors[0], b"a picture");
    receiver.open(NOW, &Sent { at: NOW, descriptor: descriptors[0].clone(), sframe }).unwrap();
    assert_eq!(attester.poll(NOW), Ok(None));
    let message = attester.poll(NOW + INTERVAL).unwrap().unwrap();
    assert_eq!(attester.poll(NOW + INTERVAL), Ok(None));
    receiver.checker.handle(NOW, &message).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [7, 0, 0]);
}

/// Whether a member attests is in its leaf, and stays there.
#[test]
fn members_say_whether_they_attest() {
    let login = |name: &[u8]| Login::new(name, Duration::from_secs(3600)).unwrap();
    let (agreed, bob) = (Agreement::default(), login(b"bob"));
    let mut alice = login(b"alice").with_attestations().create(agreed).unwrap();
    let welcome = alice.add(&[&bob.key_package().unwrap()]).unwrap().welcome;
    alice.merge().unwrap();
    let mut bob = bob.join(agreed, &welcome).unwrap();
    let cap = GuestCap { stream: 0, spatial_id: 1 };
    let commit = alice.set_guest_caps(&[cap]).unwrap();
    alice.merge().unwrap();
    follow(&mut bob, &commit.commit);
    assert_eq!(bob.guest_cap(0, 0), Some(1));
    assert_eq!([0, 1, 2].map(|member| bob.attests(member)), [true, false, false]);
}

/// Whatever a network and a relay do, each frame that was opened gets one verdict: attested if its message came, and
/// never forged.
#[test]
fn losses_dropped_layers_and_reordering_do_no_harm() {
    let [mut alice, bob] = group(["alice", "bob"]);
    let (_, descriptors) = call(ScalabilityMode::L3T3, 40);
    let (frames, messages) = send(attested(&mut alice), &descriptors);
    // The first frame brings the structure.
    let others: Vec<usize> = (1..frames.len() + messages.len()).collect();
    let lost = prop::collection::vec(prop::bool::weighted(0.3), frames.len() + messages.len());
    let order = Just(others).prop_shuffle();
    proptest!(ProptestConfig::with_cases(64), |(order in order, lost in lost, layers in 1_usize..=3, again: bool)| {
        let mut receiver = Receiver::new(&bob);
        receiver.open(NOW, &frames[0]).unwrap();
        let (mut opened, mut came) = (vec![0], vec![]);
        for (step, &place) in order.iter().enumerate() {
            let now = Time::from_millis(step as u64);
            if lost[place] {
                continue;
            }
            if let Some(message) = place.checked_sub(frames.len()).map(|number| &messages[number]) {
                receiver.checker.handle(now, &message.bytes).unwrap();
                if again {
                    receiver.checker.handle(now, &message.bytes).unwrap();
                }
                came.push(message.frames.clone());
            } else if place % 3 < layers {
                receiver.open(now, &frames[place]).unwrap();
                opened.push(place);
            }
        }
        let mut found = receiver.verdicts(Time::from_millis(order.len() as u64) + DELAY);
        found.sort_by_key(|checked| checked.frame_number);
        opened.sort_unstable();
        prop_assert_eq!(found.len(), opened.len());
        for (checked, place) in found.iter().zip(opened) {
            let is_attested = came.iter().any(|frames| frames.contains(&place));
            let expected = if is_attested { Verdict::Attested } else { Verdict::Unattested };
            prop_assert_eq!(checked.frame_number, frames[place].descriptor.frame_number);
            prop_assert_eq!(checked.verdict, expected);
        }
    });
}

/// Frames of the old keys and of the new ones are attested, each in its epoch, and a message holds in no other epoch,
/// group or name.
#[test]
fn an_attestation_holds_for_one_epoch_group_and_sender() {
    let [mut alice, mut bob] = group(["alice", "bob"]);
    let (_, descriptors) = call(ScalabilityMode::L1T1, 2);
    let (mut sealer, attester) = attested(&mut alice);
    let mut receiver = Receiver::new(&bob);
    let before = bob.sender(CAMERA.0).unwrap();
    let frame = |sealer: &mut VideoSealer, place: usize| {
        let sframe = seal(sealer, &descriptors[place], b"a frame");
        Sent { at: NOW, descriptor: descriptors[place].clone(), sframe }
    };
    let first = frame(&mut sealer, 0);
    assert_eq!(attester.poll(NOW), Ok(None));
    let commit = alice.update().unwrap();
    alice.merge().unwrap();
    follow(&mut bob, &commit.commit);
    let mut keys = alice.sender_keys().unwrap();
    keys.attest(attester.clone());
    sealer.rekey(&mut keys, CAMERA.1).unwrap();
    let second = frame(&mut sealer, 1);
    // The message of the epoch that is over is due at once.
    let first_message = attester.poll(NOW).unwrap().unwrap();
    assert_eq!(attester.poll(NOW), Ok(None));
    let second_message = attester.poll(NOW + INTERVAL).unwrap().unwrap();

    bob.enter(NOW, &mut receiver.ring).unwrap();
    receiver.open(NOW, &first).unwrap();
    receiver.open(NOW, &second).unwrap();
    let epoch = bob.epoch();
    let unknown = AttestationError::UnknownEpoch { epoch };
    assert_eq!(receiver.checker.handle(NOW, &second_message), Err(unknown));
    receiver.checker.handle(NOW, &first_message).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [1, 0, 0]);
    receiver.checker.enter(bob.sender(CAMERA.0).unwrap());
    receiver.checker.handle(NOW, &second_message).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [1, 0, 0]);

    let mut other_epoch = first_message.clone();
    other_epoch[8] += 1;
    let of = |sender: SenderIdentity, message: &[u8]| {
        let checker = AttestationChecker::new(DELAY);
        checker.enter(sender);
        checker.handle(NOW, message)
    };
    assert_eq!(of(before.clone(), &first_message), Ok(()));
    assert_eq!(of(bob.sender(CAMERA.0).unwrap(), &other_epoch), Err(AttestationError::NotSigned));
    let group_id = b"another group".to_vec();
    for other in [
        SenderIdentity { group_id, ..before.clone() },
        SenderIdentity { member: 1, ..before.clone() },
        SenderIdentity { signature_key: bob.sender(1).unwrap().signature_key, ..before.clone() },
        SenderIdentity { signature_key: Vec::new(), ..before.clone() },
    ] {
        assert_eq!(of(other, &first_message), Err(AttestationError::NotSigned));
    }
    assert_eq!(bob.sender(2), None);

    // Four epochs are kept, the latest.
    for epoch in [7, 3, 9, 8, before.epoch, 4] {
        receiver.checker.enter(SenderIdentity { epoch, ..before.clone() });
    }
    let over = AttestationError::UnknownEpoch { epoch: before.epoch };
    let later = NOW + 2 * DELAY;
    assert_eq!(receiver.checker.handle(later, &first_message), Err(over));
}

/// A message with any one bit changed, or cut short, is refused, and so are other bytes.
#[test]
fn what_is_not_signed_is_refused() {
    let [mut alice, bob] = group(["alice", "bob"]);
    let (_, descriptors) = call(ScalabilityMode::L3T3, 5);
    let (frames, messages) = send(attested(&mut alice), &descriptors);
    let mut receiver = Receiver::new(&bob);
    frames.iter().for_each(|frame| assert!(receiver.open(NOW, frame).is_ok()));
    let genuine = &messages[0].bytes;
    for at in 0..genuine.len() {
        let mut changed = genuine.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(receiver.checker.handle(NOW, &changed).is_err(), "byte {at}");
        assert!(receiver.checker.handle(NOW, &genuine[..at]).is_err(), "{at} bytes");
    }
    assert_eq!(receiver.verdicts(NOW), []);
    proptest!(|(noise in prop::collection::vec(any::<u8>(), 0..200), start in 0_usize..100)| {
        let noise = [&genuine[..start], &noise].concat();
        prop_assert!(Receiver::new(&bob).checker.handle(NOW, &noise).is_err());
    });
    receiver.checker.handle(NOW, genuine).unwrap();
    assert_eq!(count(&receiver.verdicts(NOW)), [15, 0, 0]);
}

/// Frames whose counters do not follow one another, so that messages are as long as can be.
fn scattered(number: u64) -> SframeDigest {
    SframeDigest::new(b"", &Header::encode(u64::MAX, u64::MAX - 1 - 2 * number)).unwrap()
}

/// What a checker holds and does has a limit, whatever comes, and so has an attester that is not polled.
#[test]
fn checkers_and_attesters_have_limits() {
    let [alice, bob] = group(["alice", "bob"]);
    let epoch = alice.epoch();
    let attester = alice.attester(INTERVAL);
    (0..2000).for_each(|number| attester.add(epoch, scattered(number)));
    let messages: Vec<_> = std::iter::from_fn(|| attester.poll(NOW).unwrap()).collect();
    assert_eq!(messages.len(), 800 / MAX_IN_MESSAGE);
    assert!(messages.iter().all(|message| message.len() <= 2481));

    let checker = AttestationChecker::new(DELAY);
    checker.enter(bob.sender(CAMERA.0).unwrap());
    let fill = |checker: &AttestationChecker| {
        (0..1024).for_each(|number| checker.insert(NOW, epoch, scattered(number), number as u16));
    };
    fill(&checker);
    assert_eq!(checker.poll(NOW), None);
    checker.insert(NOW, epoch, scattered(5000), 5000);
    let early = checker.poll(NOW).unwrap();
    assert_eq!((early.frame_number, early.verdict), (0, Verdict::Unattested));
    assert_eq!(checker.poll(NOW), None);

    // The dearest messages: with a wrong signature; and the sender's own, each frame a run of its own.
    let cost = |message: &[u8], expected: Result<(), AttestationError>| {
        let once = |_| {
            let checker = AttestationChecker::new(DELAY);
            checker.enter(bob.sender(CAMERA.0).unwrap());
            fill(&checker);
            let start = Instant::now();
            assert_eq!(checker.handle(NOW, message), expected);
            start.elapsed()
        };
        (0..10).map(once).min().unwrap()
    };
    let mut wrong = messages[0].clone();
    *wrong.last_mut().unwrap() ^= 1;
    let [hostile, genuine] = [cost(&wrong, Err(AttestationError::NotSigned)), cost(&messages[0], Ok(()))];
    println!("{hostile:?} for a hostile message, {genuine:?} for the longest of the sender's own");
    assert!(hostile < milliseconds(1) && genuine < milliseconds(1), "{hostile:?}, {genuine:?}");

    // Messages are held for frames that come later, the last 16 of them.
    let checker = AttestationChecker::new(DELAY);
    checker.enter(bob.sender(CAMERA.0).unwrap());
    for number in 0..17 {
        attester.add(epoch, scattered(number));
        assert_eq!(attester.poll(NOW + INTERVAL * number as u32), Ok(None));
        let message = attester.poll(NOW + INTERVAL * (number as u32 + 1)).unwrap().unwrap();
        checker.handle(NOW, &message).unwrap();
    }
    (0..17).for_each(|number| checker.insert(NOW, epoch, scattered(number), number as u16));
    let verdicts: Vec<_> = std::iter::from_fn(|| checker.poll(NOW + DELAY)).collect();
    assert_eq!(count(&verdicts), [16, 0, 1]);
    // And for a while.
    checker.insert(NOW + DELAY, epoch, scattered(16), 0);
    assert_eq!(checker.poll(NOW + DELAY), None);
}

/// What attestations cost on the wire, sealed and with the headers of RTP, UDP and IPv4: below 2 % of 600 kbit/s.
#[test]
fn attestations_take_less_than_two_percent() {
    let [mut alice, _] = group(["alice", "bob"]);
    let seconds = 20;
    let (_, descriptors) = call(ScalabilityMode::L3T3, 30 * seconds);
    let (mut keys, attester) = (alice.sender_keys().unwrap(), alice.attester(INTERVAL));
    keys.attest(attester.clone());
    let sealer = keys.video(CAMERA.1).unwrap();
    let mut messages_sealer = keys.sealer(Context::attestation(CAMERA.1)).unwrap();
    let (_, messages) = send((sealer, attester), &descriptors);
    let per_cent = |bytes: usize| (8 * bytes) as f64 / (600_000 * seconds) as f64 * 100.0;
    let bare: usize = messages.iter().map(|message| message.bytes.len()).sum();
    let mut sealed = BytesMut::new();
    messages.iter().for_each(|it| messages_sealer.seal(b"", &it.bytes, &mut sealed).unwrap());
    let wire = sealed.len() + messages.len() * (12 + 8 + 20);
    println!(
        "L3T3, 30 pictures/s: {} messages in {seconds} s, of {} bytes at most; {:.2} % of 600 kbit/s, {:.2} % sealed, {:.2} % in packets",
        messages.len(),
        messages.iter().map(|it| it.bytes.len()).max().unwrap(),
        per_cent(bare),
        per_cent(sealed.len()),
        per_cent(wire),
    );
    assert!(per_cent(wire) < 2.0);
}
