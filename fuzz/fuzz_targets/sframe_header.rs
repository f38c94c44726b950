//! An SFrame header that can be read means the same once it is written anew; so do a grant and an identity.
#![no_main]

use layercast::e2ee::mls::Identity;
use layercast::e2ee::{Grant, Header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(header) = Header::read(data) {
        let written = Header::encode(header.key_id, header.counter);
        assert!(written.len() <= header.size && header.size <= data.len());
        assert_eq!(Header::read(&written), Some(Header { size: written.len(), ..header }));
    }
    if let Ok(grant) = Grant::from_bytes(data) {
        assert_eq!(&grant.to_bytes()[..], data);
    }
    if let Ok(identity) = Identity::from_bytes(data) {
        assert_eq!(identity.as_bytes(), data);
    }
});
