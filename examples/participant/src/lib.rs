//! A participant of a meeting: the state machine that takes part ([`seat`]), and what it needs of a machine around it.
//!
//! The seat does no I/O. The relay's messages, packets and pictures go in with the time, and requests, packets, pictures to
//! decode and notices come out. The program around it holds the WebSocket, the link, the cameras and the decoders.

pub mod address;
pub mod commands;
pub mod notice;
pub mod seat;
pub mod shell;
