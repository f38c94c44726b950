//! Ciphertexts come back from their pieces; other pieces are joined or refused. The first byte says how large
//! pieces are.
#![no_main]

use bytes::Bytes;
use layercast::rtp::payload::sframe::{join, split};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&size, data)) = data.split_first() else { return };
    let size = usize::from(size) + 2;
    let any: Vec<Bytes> = data.chunks(size).map(Bytes::copy_from_slice).collect();
    if let Ok((ciphertext, _)) = join(&any) {
        assert_eq!(ciphertext.len() + any.len(), data.len());
    }
    let pieces = split(Bytes::copy_from_slice(data), size, false);
    let payloads: Vec<Bytes> =
        pieces.map(|(header, piece)| [&[header.to_byte()], &piece[..]].concat().into()).collect();
    assert_eq!(join(&payloads), Ok((Bytes::copy_from_slice(data), false)));
});
