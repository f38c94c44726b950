//! What the fuzz targets share: how inputs are taken apart, genuine streams, a receiver, and seeds.

mod call;
mod input;
pub mod seeds;

pub use call::{Picture, Receiver, Sender, VIDEO_SIZE, Video, videos};
pub use input::{Input, damage, timed};
