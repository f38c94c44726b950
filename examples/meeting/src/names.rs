//! Who and what the messages speak of.

use serde::{Deserialize, Serialize};

use crate::Text;

/// A meeting: text that cannot be guessed, since whoever knows it may knock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MeetingId(pub Text);

/// A participant of a meeting. The relay counts them; no number comes again in the same meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParticipantId(pub u32);

/// What somebody is in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Lets people in and puts them out, gives rights and takes them.
    Organizer,
    /// Has an account.
    Member,
    /// Came by an invitation, without an account.
    Guest,
}

/// Something that a participant may be allowed to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Sound.
    Voice,
    /// A camera.
    Camera,
    /// A screen.
    Share,
}

/// What a participant may send. Everybody may view, and send messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// Sound.
    pub voice: bool,
    /// A camera.
    pub camera: bool,
    /// A screen.
    pub share: bool,
}

impl Rights {
    /// What somebody may send at first. Guests may not share.
    pub fn of(role: Role) -> Self {
        Self { voice: true, camera: true, share: role != Role::Guest }
    }

    /// Whether it is allowed.
    pub fn has(self, right: Right) -> bool {
        match right {
            Right::Voice => self.voice,
            Right::Camera => self.camera,
            Right::Share => self.share,
        }
    }

    /// Gives or takes a right.
    pub fn set(&mut self, right: Right, allowed: bool) {
        match right {
            Right::Voice => self.voice = allowed,
            Right::Camera => self.camera = allowed,
            Right::Share => self.share = allowed,
        }
    }
}

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person, or whatever else a camera shows.
    Camera,
    /// A shared screen.
    Screen,
    /// Sound.
    Audio,
    /// Messages.
    Data,
}

impl Kind {
    /// The right that it takes to send it.
    pub fn right(self) -> Option<Right> {
        match self {
            Self::Camera => Some(Right::Camera),
            Self::Screen => Some(Right::Share),
            Self::Audio => Some(Right::Voice),
            Self::Data => None,
        }
    }
}

/// For whom the layers of a camera are limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Those without an account.
    Guests,
    /// Guests, and accounts that the operator marked as being of another organization.
    Outsiders,
    /// Everybody but the camera's owner.
    All,
}

/// A group of MLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// All participants.
    Meeting,
    /// Those who may see all layers of cameras that are limited for the others.
    Insiders,
}
