//! A relay allocates no memory for each packet that it forwards, and little for a receiver. This test has a process of its
//! own, because it counts the allocations of the whole process.

#[path = "common/audience.rs"]
mod audience;
#[path = "common/camera.rs"]
mod camera;

use std::time::Duration;

use audience::Audience;
use layercast::Size;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {}
