//! What a participant of a meeting and the relay say to each other, beside the media: messages in JSON, over a WebSocket.
//!
//! The participant sends a [`Request`] with a number of its own, and the relay answers each with an [`Answer`] of the same
//! number, in order. What happens in the meeting comes as an [`Event`]. Both come wrapped as [`FromRelay`].
//!
//! # The way into a meeting
//! 1. [`Request::Login`] with a name and a password, or [`Request::Session`] with the token of an earlier login. Guests
//!    skip it.
//! 2. Somebody plans a meeting: [`Request::Plan`]. Its planner is its organizer, until it names another.
//! 3. [`Request::Join`]. Whoever is neither the organizer nor a participant who comes back waits: the organizer sees
//!    [`Event::Waiting`], and lets the person in with [`Request::Admit`].
//! 4. The organizer's commit of MLS that adds the person goes to the group, the welcome to the person
//!    ([`Request::Commit`]). The relay orders commits: it takes one for each epoch, and keeps messages for those who are
//!    away for a moment.
//! 5. [`Request::Link`] exchanges what the link for the media needs. [`Request::Publish`] announces a stream, and the relay
//!    gives it its number and SSRC.
//!
//! # What the relay learns, and what it is believed
//! It learns the names that people choose for the meeting, since it passes them to the organizer at the door, and keys of
//! MLS, which are public. It does not learn the codes that people compare, nor any key of the media. Nothing that it says
//! about people is believed: a participant shows the names of the MLS group, whose members vouch for it, and obeys the
//! organizer whom the group's state names.
//!
//! # Sizes
//! A message has at most [`MAX_MESSAGE`] bytes. Texts have at most [`MAX_TEXT`] bytes, MLS messages [`MAX_MLS`], and what
//! is said [`MAX_SAID`].

mod bytes;
mod event;
mod names;
mod parse;
mod request;
mod secret;
pub mod wire;

pub use bytes::Bytes;
pub use event::{
    Admission, Answer, Arrival, Asked, EndReason, Event, FromRelay, Layers, MlsMessage, Published, Refusal,
    Session, Stream,
};
pub use names::{Audience, Group, Kind, MeetingId, ParticipantId, Right, Rights, Role};
pub use parse::{MAX_MESSAGE, MAX_MLS, MAX_SAID, MAX_TEXT, ProtocolError, Text};
pub use request::{Credential, LinkDescription, Numbered, Request};
pub use secret::Secret;
