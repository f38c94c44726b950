//! Material of the tests, which stand in a file for each theme.

mod any_bytes;
mod attest;
mod keys;
mod members;
mod memory;
mod mls;
mod organizer;
mod rfc;
mod upper;
mod video;

use std::time::Duration;

use bytes::BytesMut;

use super::*;
use crate::rtp::descriptor::{DependencyDescriptor, Describer};
use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};
use crate::{Size, Time};

const SUITES: [CipherSuite; 5] = [
    CipherSuite::Aes128CtrHmacSha256_80,
    CipherSuite::Aes128CtrHmacSha256_64,
    CipherSuite::Aes128CtrHmacSha256_32,
    CipherSuite::Aes128GcmSha256_128,
    CipherSuite::Aes256GcmSha512_128,
];

const NOW: Time = Time::ZERO;
const OVERLAP: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn agreed(suite: CipherSuite, binding: Binding) -> Agreement {
    Agreement { suite, binding, ..Agreement::default() }
}

/// A ring that holds these grants.
fn ring(agreed: Agreement, grants: &[&Grant]) -> KeyRing {
    let mut ring = KeyRing::new(agreed, OVERLAP);
    grants.iter().for_each(|grant| assert!(ring.add(NOW, (*grant).clone())));
    ring
}

/// One base key for all key ids, of any epoch.
struct One(BaseKey);

impl KeySource for One {
    fn epoch(&self, _: Time, key_id: u64) -> Option<u64> {
        Some(KeyIdLayout::default().epoch(key_id))
    }

    fn base_key(&self, _: u64, _: u64) -> Option<BaseKey> {
        Some(self.0.clone())
    }
}

/// The descriptors of a call's first pictures, and who described them.
fn call(mode: ScalabilityMode, pictures: usize) -> (Describer, Vec<DependencyDescriptor>) {
    let mut planner = Planner::new(mode, Size::new(1280, 720));
    let mut describer = Describer::new();
    let wanted = DecodeTargets::all(mode.structure());
    let descriptors = (0..pictures)
        .flat_map(|_| {
            let picture = planner.next(PictureRequest { wanted, ..Default::default() });
            describer.describe(&picture).unwrap()
        })
        .collect();
    (describer, descriptors)
}

fn seal(sealer: &mut VideoSealer, descriptor: &DependencyDescriptor, frame: &[u8]) -> BytesMut {
    let mut sealed = BytesMut::new();
    sealer.seal(descriptor, SealedUnit::Frame, frame, &mut sealed).unwrap();
    sealed
}
