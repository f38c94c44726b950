//! A participant of a meeting: the state machine that takes part ([`seat`]), and what it needs of a machine around it.
//!
//! The seat is an [`Attendee`](layercast_attend::Attendee) with its media. It does no I/O: the relay's messages, packets and
//! pictures go in with the time, and requests, packets, pictures to decode and notices come out. The program around it holds the WebSocket, the link, the cameras and the decoders.

pub mod address;
pub mod seat;
pub mod shell;

pub use layercast_attend::{commands, notice};
