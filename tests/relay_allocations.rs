//! A relay allocates no memory for each packet that it forwards, and little for a receiver. This test has a process of its
//! own, because it counts the allocations of the whole process.

#[path = "common/audience.rs"]
mod audience;
#[path = "common/camera.rs"]
mod camera;

use std::time::Duration;

use audience::Audience;
use layercast::Size;
use layercast::relay::{Room, RoomConfig};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const FULL: Size = Size::new(1280, 720);
const BITRATE: u64 = 50_000_000;

/// What a room to so many receivers allocates in three seconds, for packets and for all else but feedback; the packets that
/// it forwards; and the bytes that it holds then.
fn forward(receivers: u32) -> ([u64; 2], u64, u64) {
    let mut audience = Audience::new(receivers + 1, 1, FULL, BITRATE);
    audience.allocations = || dhat::HeapStats::get().total_blocks;
    audience.run(Duration::from_secs(6));
    let before = audience.room.statistics().forwarded;
    let cost = audience.run(Duration::from_secs(3));
    let forwarded = audience.room.statistics().forwarded - before;
    // What a sender of 30 pictures a second codes in three layers, some of them in several packets; some wait.
    assert!(forwarded > 300 * u64::from(receivers) && cost.packets.abs_diff(forwarded) < forwarded / 20);
    let held = dhat::HeapStats::get().curr_bytes;
    audience.room = Room::new(RoomConfig::default());
    (cost.allocations, forwarded, (held - dhat::HeapStats::get().curr_bytes) as u64)
}

#[test]
fn nothing_is_allocated_per_packet_and_receiver() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let ([few, few_timers], few_forwarded, few_bytes) = forward(10);
    let ([many, many_timers], many_forwarded, many_bytes) = forward(110);
    let each = (many_bytes - few_bytes) / 100;
    println!(
        "{few} and {few_timers} allocations for {few_forwarded} packets, {many} and {many_timers} for {many_forwarded}"
    );
    println!("{each} bytes a receiver");
    // A packet of the sender is copied into a block that holds some fifty, once for all receivers, and so are its forms.
    assert!(few < 50 && many < 50);
    // The sender's demand is told now and then.
    assert!(few_timers < 50 && many_timers < 50);
    assert!((1000..40_000).contains(&each), "{each} bytes a receiver");
}
