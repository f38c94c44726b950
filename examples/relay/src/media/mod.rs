//! The media side of the relay: links, rooms, and the threads and sockets that they run on.
//!
//! - [`Switchboard`] is what one thread does, without its sockets and its clock: it brings datagrams to the link of whom they
//!   are from, what is in them to the room, and what the room sends back to links. It holds no key of the media.
//! - [`Media`] is the threads. Each has a socket of its own on the same port; the kernel spreads peers over them. A meeting
//!   lives on one thread. A datagram of a peer whose meeting lives on another thread is handed over: threads tell each other
//!   the addresses of their peers ([`Output::Claim`]), and the user fragment of a link begins with its thread's number, so
//!   that a check from an unknown address finds its way. No lock is on the path of a packet.
//!
//! What the desk, which decides who may do what, and this side tell each other is in [`media_api`](crate::media_api).

mod switchboard;
mod threads;
mod ufrag;

pub use switchboard::{Output, Statistics, Switchboard};
pub use threads::{Media, MediaError, Totals};
