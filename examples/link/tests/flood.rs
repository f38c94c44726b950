//! What strangers send costs a relay nothing that stays. This test has a process of its own, because it counts the
//! allocations of the whole process.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use common::End::Relay;
use common::{Call, rtp};
use layercast_link::{Link, Output, State, is_binding_request, ufrag_of};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const STRANGERS: u32 = 10_000;
const DATAGRAMS: u32 = 100_000;

fn stranger(n: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + n % STRANGERS)), 1024 + (n % 7) as u16)
}

/// Bytes that look random.
fn noise(n: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(n) << 20 | 1;
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}

/// Blocks that were allocated meanwhile, those that stay, and the bytes that stay.
fn cost(link: &mut Link, datagrams: &[(SocketAddr, Vec<u8>)], now: std::time::Instant) -> (u64, i64, i64) {
    let before = dhat::HeapStats::get();
    for (from, datagram) in datagrams {
        assert_eq!(ufrag_of(datagram).is_some(), is_binding_request(datagram) && datagram.len() > 40);
        assert_eq!(link.handle_datagram(now, *from, datagram), None);
        assert!(matches!(link.poll(now), Output::Timeout(_)));
    }
    let after = dhat::HeapStats::get();
    (
        after.total_blocks - before.total_blocks,
        after.curr_blocks as i64 - before.curr_blocks as i64,
        after.curr_bytes as i64 - before.curr_bytes as i64,
    )
}

#[test]
fn a_flood_of_garbage_allocates_nothing() {
    let profiler = dhat::Profiler::builder().testing().build();
    let mut call = Call::connected();
    call.relay.expect_ssrc(1).unwrap();
    let (now, peer) = (call.now, call.participant_address);
    call.poll(Relay);
    let check =
        call.capture.iter().find(|datagram| is_binding_request(&datagram.bytes)).unwrap().bytes.clone();
    let sealed = call.participant.protect_rtp(&rtp(1, 1, 400)).unwrap();

    // From strangers: noise under each first byte, media, and checks for another link.
    let mut other = check.to_vec();
    let at = other.windows(8).position(|bytes| bytes == b"w00p0007").unwrap();
    other[at] = b'x';
    let garbage: Vec<_> = (0..DATAGRAMS)
        .map(|n| {
            let mut bytes = match n % 4 {
                0 => sealed.to_vec(),
                1 => other.clone(),
                _ => noise(n, (n % 300) as usize),
            };
            if let Some(first) = bytes.first_mut().filter(|_| n % 4 > 1) {
                *first = (n / 4) as u8;
            }
            (stranger(n), bytes)
        })
        .collect();
    assert_eq!(cost(&mut call.relay, &garbage, now), (0, 0, 0));

    // From strangers who have seen the username, but do not know the password.
    let forged: Vec<_> = (0..DATAGRAMS / 10)
        .map(|n| {
            let mut bytes = check.to_vec();
            bytes[8..12].copy_from_slice(&n.to_be_bytes());
            (stranger(n), bytes)
        })
        .collect();
    assert_eq!(cost(&mut call.relay, &forged, now), (0, 0, 0));

    // From the peer's own address, by whoever can write it into a datagram: packets of 10,000 streams, and of one that is
    // expected. Each of that one is decrypted into a buffer; nothing stays.
    let spoofed: Vec<_> = (0..DATAGRAMS / 10)
        .map(|n| {
            let mut bytes = sealed.to_vec();
            bytes[8..12].copy_from_slice(&(n % 100 * 50 + 1).to_be_bytes());
            bytes[20] ^= 1;
            (peer, bytes)
        })
        .collect();
    let (total, blocks, bytes) = cost(&mut call.relay, &spoofed, now);
    assert!(total <= u64::from(DATAGRAMS / 1000) + 10, "{total} allocations");
    // The state of the one stream is made by the first packet.
    assert!(blocks <= 2 && bytes < 2000, "{blocks} blocks of {bytes} bytes");

    // The peer itself, which has the password, from 10,000 addresses.
    let before = dhat::HeapStats::get().curr_bytes;
    for n in 0..STRANGERS {
        call.relay.handle_datagram(now, stranger(n), &check);
        while !matches!(call.relay.poll(now), Output::Timeout(_)) {}
    }
    let grown = dhat::HeapStats::get().curr_bytes as i64 - before as i64;
    assert!(grown < 4096, "{grown} bytes stay");
    assert_eq!(call.relay.state(), State::Connected);
    drop(profiler);
}
