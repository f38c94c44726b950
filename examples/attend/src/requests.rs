//! The requests that the relay has not answered yet.

use std::collections::BTreeMap;

use layercast_meeting::{Asked, Numbered, ParticipantId, Request};

/// What a request was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// To open a session.
    Login,
    /// To join.
    Join,
    /// To make the link.
    Link,
    /// To announce the stream of a source, by its place.
    Publish(usize),
    /// A commit.
    Commit,
    /// To let somebody in, as the organizer saw it at the door.
    Admit(Box<Asked>),
    /// To make an invitation.
    Invite,
    /// To hand over.
    HandOver(ParticipantId),
    /// To say our state.
    Say,
    /// Something whose answer changes nothing here.
    Other(&'static str),
}

/// Numbers requests, and knows what answers are about.
#[derive(Debug, Default)]
pub struct Requests {
    last: u32,
    open: BTreeMap<u32, Purpose>,
}

impl Requests {
    /// Numbers a request.
    pub fn number(&mut self, purpose: Purpose, request: Request) -> Numbered {
        self.last = self.last.wrapping_add(1);
        self.open.insert(self.last, purpose);
        Numbered { id: self.last, request }
    }

    /// What the answer of this number is about. It is told once.
    pub fn answered(&mut self, id: u32) -> Option<Purpose> {
        self.open.remove(&id)
    }

    /// Whether there is such a request.
    pub fn is_open(&self, purpose: &Purpose) -> bool {
        self.open.values().any(|open| open == purpose)
    }

    /// The connection is gone: nothing is answered any more.
    pub fn forget(&mut self) {
        self.open.clear();
    }
}
