//! Genuine attestations as they are and changed, other bytes, and frames that the sender sealed or did not, in any order.
//! Each frame gets one verdict, and none that the sender did not seal is attested. Each step takes three bytes of the
//! data.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::attest::{AttestationChecker, DELAY, INTERVAL, SenderIdentity, SframeDigest, Verdict};
use layercast::e2ee::mls::Login;
use layercast::e2ee::{Agreement, Header};
use libfuzzer_sys::fuzz_target;

const FRAMES: u8 = 200;

static SENT: LazyLock<(SenderIdentity, Vec<Vec<u8>>)> = LazyLock::new(|| {
    let login = Login::new(b"alice", Duration::from_secs(3600)).unwrap();
    let group = login.create(Agreement::default()).unwrap();
    let attester = group.attester(INTERVAL);
    (0..FRAMES).for_each(|number| attester.add(group.epoch(), frame(number, true)));
    let mut messages = Vec::new();
    for now in [Time::ZERO, Time::ZERO + INTERVAL] {
        messages.extend(std::iter::from_fn(|| attester.poll(now).unwrap()));
    }
    (group.sender(0).unwrap(), messages)
});

/// Frames of three layers in turn.
fn frame(number: u8, genuine: bool) -> SframeDigest {
    let header = Header::encode((number % 3).into(), (number / 3).into());
    SframeDigest::new(b"", &[&header[..], &[genuine.into()]].concat()).unwrap()
}

fuzz_target!(|data: &[u8]| {
    let (sender, messages) = &*SENT;
    let checker = AttestationChecker::new(DELAY);
    checker.enter(sender.clone());
    let (mut now, mut inserted, mut checked) = (Time::ZERO, [[0_u32; 2]; 256], 0);
    let mut verdicts = |checker: &AttestationChecker, now, inserted: &[[u32; 2]; 256]| {
        while let Some(it) = checker.poll(now) {
            checked += 1;
            let [forged, genuine] = inserted[usize::from(it.frame_number)];
            match it.verdict {
                Verdict::Attested => assert!(genuine > 0),
                Verdict::Forged => assert!(forged > 0),
                _ => {}
            }
        }
    };
    for (step, bytes) in data.chunks_exact(3).enumerate() {
        let [what, number, value] = *bytes else { unreachable!("chunks of three") };
        let message = &messages[usize::from(number) % messages.len()];
        match what % 5 {
            0 => checker.handle(now, message).unwrap(),
            1 => {
                let mut changed = message.clone();
                let at = usize::from(u16::from_be_bytes([number, value])) % changed.len();
                changed[at] ^= what | 1;
                assert!(checker.handle(now, &changed).is_err());
            }
            2 => assert!(checker.handle(now, &data[3 * step..]).is_err()),
            3 => {
                let number = number % FRAMES;
                let genuine = value % 2 == 0;
                inserted[usize::from(number)][usize::from(genuine)] += 1;
                checker.insert(now, sender.epoch, frame(number, genuine), number.into());
            }
            _ => now += Duration::from_millis(4 * u64::from(value)),
        }
        verdicts(&checker, now, &inserted);
    }
    verdicts(&checker, now + DELAY, &inserted);
    assert_eq!(checked, inserted.as_flattened().iter().sum::<u32>());
});
