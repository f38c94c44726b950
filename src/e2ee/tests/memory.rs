//! What a key leaves behind. Linux shows a process its own memory as a file.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::*;
use crate::e2ee::cipher::Cipher;
use crate::e2ee::mls::Identity;
use crate::e2ee::secret::wipe_stack;

/// How much of the stack is searched: more than any function here uses.
const SEARCHED: usize = 64 << 10;

/// Runs in a frame of its own above what is searched, and finds `secret` in the stack below.
#[inline(never)]
fn found_below(secret: &[u8], memory: &File, stack: &mut [u8]) -> bool {
    let here = 0_u8;
    let end = std::ptr::from_ref(std::hint::black_box(&here)) as usize;
    memory.read_exact_at(stack, (end - SEARCHED) as u64).unwrap();
    stack.windows(secret.len()).any(|bytes| bytes == secret)
}

/// Finding 15: no copy of a key is left on the stack once its cipher was made, nor once it is dropped.
#[test]
fn no_key_is_left_on_the_stack() {
    let memory = File::open("/proc/self/mem").unwrap();
    let mut stack = vec![0; SEARCHED];
    let agreed = Agreement::default();
    let keys = SenderKeys::fresh(agreed, 0, 0).unwrap();
    let base_key = &keys.grant().base_key;
    // sframe_key of RFC 9605, section 4.4.2, on the heap.
    let mut label = b"SFrame 1.0 Secret key ".to_vec();
    label.extend(7_u64.to_be_bytes());
    label.extend((agreed.suite as u16).to_be_bytes());
    let mut key = vec![0; 32];
    base_key.expand(agreed.suite, b"", &label, &mut key);

    // It is found if nobody wipes it: the test searches for the right bytes in the right place.
    wipe_stack();
    let cipher = Cipher::on_stack(agreed.suite, 7, base_key);
    assert!(found_below(&key[..16], &memory, &mut stack));
    drop(cipher);
    wipe_stack();
    assert!(!found_below(&key[..16], &memory, &mut stack));
    let cipher = Cipher::new(agreed.suite, 7, base_key);
    assert!(!found_below(&key[..16], &memory, &mut stack));
    drop(cipher);
    assert!(!found_below(&key[..16], &memory, &mut stack));
    let derived = keys.grant().part(&agreed, 0, Context(0)).unwrap().unwrap();
    let derived = derived.base_key.expose().to_vec();
    assert!(!found_below(&derived[..16], &memory, &mut stack));
    let identity = Identity::new().unwrap();
    assert!(!found_below(&identity.as_bytes()[..16], &memory, &mut stack));
    let identity = Identity::from_bytes(identity.as_bytes()).unwrap();
    assert!(!found_below(&identity.as_bytes()[..16], &memory, &mut stack));
}
