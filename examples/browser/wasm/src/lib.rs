//! What the worker of a web page holds: a participant of a meeting, whose protocol, groups and keys are those of every other
//! participant, and the sealing and opening of the frames that the browser codes and shows.
//!
//! [`seat::PageSeat`] is the whole of it, and knows no browser. On WebAssembly the class `Seat` hands it to JavaScript.

pub mod config;
pub mod frame;
#[cfg(target_arch = "wasm32")]
mod js;
pub mod media;
pub mod output;
pub mod seat;
