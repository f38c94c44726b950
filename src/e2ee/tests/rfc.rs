//! The vectors of RFC 9605 and of the drafts.

use bytes::BytesMut;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A field of a vector, which is a line of the file. (A crate that reads JSON would be in scope of every test
/// here, and add its own comparisons to them.)
fn field<'a>(row: &'a str, name: &str) -> &'a str {
    let (_, value) = row.split_once(&format!("\"{name}\": ")).unwrap();
    value.trim_start_matches('"').split(['"', ',', '}']).next().unwrap()
}

fn vectors<'a>(file: &'a str, with: &str) -> Vec<&'a str> {
    file.lines().filter(|line| line.contains(with)).collect()
}

const VECTORS: &str = include_str!("../../../test-vectors/rfc9605/vectors.json");

#[test]
fn headers_of_the_rfc() {
    let vectors = vectors(VECTORS, "encoded");
    assert_eq!(vectors.len(), 289);
    for vector in vectors {
        let encoded = hex(field(vector, "encoded"));
        let (kid, ctr) = (field(vector, "kid").parse().unwrap(), field(vector, "ctr").parse().unwrap());
        assert_eq!(Header::encode(kid, ctr)[..], encoded);
        let header = Header { key_id: kid, counter: ctr, size: encoded.len() };
        assert_eq!(Header::read(&encoded), Some(header));
        for end in 0..encoded.len() {
            assert_eq!(Header::read(&encoded[..end]), None);
        }
    }
}

#[test]
fn ciphertexts_of_the_rfc() {
    let vectors = vectors(VECTORS, "metadata");
    assert_eq!(vectors.len(), SUITES.len());
    for vector in vectors {
        let number = |name| field(vector, name).parse::<u64>().unwrap();
        let bytes = |name| hex(field(vector, name));
        let suite = SUITES[number("cipher_suite") as usize - 1];
        assert_eq!(suite as u64, number("cipher_suite"));
        let (metadata, plaintext, ciphertext) = (bytes("metadata"), bytes("pt"), bytes("ct"));
        let base_key = BaseKey::new(bytes("base_key"));
        let (key_id, counter) = (number("kid"), number("ctr"));
        let mut sealer = Sealer::new(suite, key_id, &base_key);
        sealer.set_counter(counter);
        let mut sealed = BytesMut::new();
        sealer.seal(&metadata, &plaintext, &mut sealed).unwrap();
        assert_eq!(sealed[..], ciphertext);

        sealer.set_counter(counter);
        let mut in_place = BytesMut::zeroed(MAX_HEADER);
        in_place.extend_from_slice(&plaintext);
        sealer.seal_in_place(&metadata, &mut in_place).unwrap();
        assert_eq!(in_place, sealed);

        let (layout, agreed) = (KeyIdLayout::default(), agreed(suite, Binding::None));
        let sender = layout.sender(key_id) as u32;
        let mut opener = Opener::new(agreed, sender, layout.context(key_id));
        opener.open(NOW, &One(base_key), &metadata, &mut sealed).unwrap();
        assert_eq!(sealed[..], plaintext);
    }
}

#[test]
fn keys_by_ssrc_as_in_the_draft() {
    let vectors = vectors(include_str!("../../../test-vectors/rfc9605/per-ssrc.json"), "stream_key");
    for vector in &vectors {
        let base_key = BaseKey::new(hex(field(vector, "base_key")));
        let suite = SUITES[field(vector, "cipher_suite").parse::<usize>().unwrap() - 1];
        let stream_key = base_key.for_ssrc(suite, field(vector, "ssrc").parse().unwrap());
        assert_eq!(stream_key.expose(), hex(field(vector, "stream_key")));
    }
    assert_eq!(vectors.len(), 2 * SUITES.len());
}

/// The examples of RFC 9605, section 5.2: E of 4 bits, S of 6.
#[test]
fn key_ids_of_the_rfc() {
    let layout = KeyIdLayout::new(4, 6).unwrap();
    let examples = [
        (14, 3, 0, 0x3e),
        (14, 7, 0, 0x7e),
        (14, 20, 0, 0x14e),
        (15, 3, 0, 0x3f),
        (15, 5, 0, 0x5f),
        (16, 2, 2, 0x820),
        (16, 2, 3, 0xc20),
        (17, 33, 0, 0x211),
        (17, 51, 0, 0x331),
    ];
    for (epoch, sender, context, key_id) in examples {
        let context = Context(context);
        assert_eq!(layout.key_id(context, sender, epoch), Ok(key_id));
        assert_eq!(layout.context(key_id), context);
        assert_eq!((layout.sender(key_id), layout.epoch(key_id)), (sender.into(), epoch % 16));
    }
    let context = Context(0);
    assert_eq!(layout.key_id(context, 64, 0), Err(KeyIdError { context, sender: 64 }));
    assert_eq!(KeyIdLayout::new(32, 32), None);
}
