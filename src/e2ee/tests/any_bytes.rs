//! Properties that hold of all bytes.

use bytes::BytesMut;
use proptest::prelude::*;
use sframe::header::SframeHeader;

use super::*;
use crate::e2ee::mls::{Identity, IdentityError};
use crate::e2ee::upper::MAX_GUEST_CAPS;

proptest! {
    /// As the crate `sframe` reads it.
    #[test]
    fn header_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let theirs = SframeHeader::deserialize(&bytes).ok();
        let ours = Header::read(&bytes);
        prop_assert_eq!(ours.map(|header| header.key_id), theirs.map(|header| header.key_id()));
        prop_assert_eq!(ours.map(|header| header.counter), theirs.map(|header| header.counter()));
        prop_assert_eq!(ours.map(|header| header.size), theirs.map(|header| header.len()));
    }

    #[test]
    fn header_comes_back(key_id: u64, counter: u64, behind in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bytes = Header::encode(key_id, counter).to_vec();
        let size = bytes.len();
        bytes.extend(behind);
        prop_assert_eq!(Header::read(&bytes), Some(Header { key_id, counter, size }));
    }

    /// No bytes are opened, and none are a panic.
    #[test]
    fn noise_is_not_opened(noise in prop::collection::vec(any::<u8>(), 0..60), at in 0usize..3) {
        let agreed = Agreement::default();
        let keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
        let (_, descriptors) = call(ScalabilityMode::L3T3, 2);
        let mut opener = VideoOpener::new(agreed, 0, 0);
        let mut frame = BytesMut::from(&noise[..]);
        let ring = ring(agreed, &[keys.grant()]);
        prop_assert!(opener.open(NOW, &ring, &descriptors[at], SealedUnit::Frame, &mut frame).is_err());
        let mut frame = BytesMut::from(&noise[..]);
        let mut opener = Opener::new(agreed, 0, Context(0));
        prop_assert!(opener.open(NOW, &ring, b"", &mut frame).is_err());
    }

    #[test]
    fn grants_come_back(epoch: u64, value: u64, kind in 0..3, key in prop::collection::vec(any::<u8>(), 16..65)) {
        let scope = match kind {
            0 => Scope::Group,
            1 => Scope::Sender(value as u32),
            _ => Scope::KeyId(value),
        };
        let grant = Grant { epoch, scope, base_key: BaseKey::new(key) };
        let bytes = grant.to_bytes();
        prop_assert_eq!(Grant::from_bytes(&bytes), Ok(grant));
        prop_assert_eq!(Grant::from_bytes(&bytes[..20]), Err(GrantError));
    }

    #[test]
    fn grants_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        if let Ok(grant) = Grant::from_bytes(&bytes) {
            prop_assert_eq!(&grant.to_bytes()[..], &bytes[..]);
        }
    }

    /// The private and the public key belong together, or they are no identity.
    #[test]
    fn identities_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..130), at in 0usize..64, bit in 0..8) {
        prop_assert!(Identity::from_bytes(&bytes).is_err());
        let identity = Identity::new().unwrap();
        let mut kept = identity.as_bytes().to_vec();
        let same = Identity::from_bytes(&kept).unwrap();
        prop_assert_eq!(same.as_bytes(), identity.as_bytes());
        prop_assert_eq!(Identity::from_bytes(&kept[..at]).err(), Some(IdentityError));
        kept[at] ^= 1_u8 << bit;
        prop_assert_eq!(Identity::from_bytes(&kept).err(), Some(IdentityError));
    }

    #[test]
    fn caps_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..90)) {
        let caps: Vec<_> = GuestCap::read(&bytes).collect();
        prop_assert_eq!(caps.len(), (bytes.len() / 3).min(MAX_GUEST_CAPS));
        prop_assert_eq!(&GuestCap::write(&caps)[..], &bytes[..3 * caps.len()]);
    }
}
