//! The relay of a meeting.

pub mod media;
pub mod media_api;
