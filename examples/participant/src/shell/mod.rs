//! What the seat needs of the machine: a WebSocket, a socket for the link, cameras, decoders, files and a terminal.
//!
//! One thread drives the seat and the link, and codes pictures. Others wait for the WebSocket, for datagrams, for the next
//! picture of a camera and the next frame of sound, and for what people type; one decodes. All of them send to one channel.

pub mod args;
pub mod link;
pub mod plan;
pub mod print;
pub mod record;
pub mod run;
pub mod shaper;
pub mod show;
pub mod socket;
pub mod sound;
pub mod threads;
pub mod tls;
pub mod video;
