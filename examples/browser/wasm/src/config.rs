//! What the page hands in as JSON.

use layercast_meeting::{Audience, Kind, MeetingId, ParticipantId, Right, Secret, Text};
use serde::Deserialize;

/// By what right somebody comes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// With an account and its password.
    Account(Text, Secret),
    /// With the code of an invitation.
    Invitation(Secret),
}

/// What a participant comes with.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageConfig {
    /// The meeting.
    pub meeting: MeetingId,
    /// The name that the others see.
    pub name: Text,
    /// By what right.
    pub entry: Entry,
    /// Whether the organizer lets everybody in who knocks.
    #[serde(default)]
    pub admit_all: bool,
    /// The window of each stream, in pixels, until the page names windows.
    #[serde(default)]
    pub window: [u32; 2],
    /// The highest spatial layer of the camera that guests and people from outside have keys for; all if there is none.
    #[serde(default)]
    pub guest_limit: Option<u8>,
}

/// How much a window matters.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowPriority {
    /// One of many.
    Thumbnail,
    /// Of who speaks.
    ActiveSpeaker,
    /// A shared screen.
    ScreenShare,
    /// The person pinned it.
    Pinned,
}

fn yes() -> bool {
    true
}

/// A window in which a stream is shown.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageWindow {
    /// The stream's number.
    pub stream: u32,
    /// Device pixels.
    pub size: [u32; 2],
    /// How much it matters.
    pub priority: WindowPriority,
    /// Whether anything of it is to be seen.
    #[serde(default = "yes")]
    pub visible: bool,
    /// Pictures a second at most.
    #[serde(default)]
    pub max_frame_rate: Option<f32>,
}

/// What the page asks for.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum PageCommand {
    /// Sends a camera, a screen or sound, once that is possible.
    Publish {
        /// What.
        kind: Kind,
        /// The size of its pictures.
        #[serde(default)]
        size: Option<[u32; 2]>,
    },
    /// Sends it no more, or nothing at all.
    Unpublish {
        /// What.
        #[serde(default)]
        kind: Option<Kind>,
    },
    /// Which streams are shown, and how fast this machine decodes.
    Windows {
        /// All windows.
        windows: Vec<PageWindow>,
        /// Samples of a picture, and the microseconds that decoding it took.
        #[serde(default)]
        decode_times: Vec<(u32, u32)>,
        /// Of each second, the seconds that decoding may take.
        #[serde(default)]
        cores: Option<f32>,
    },
    /// Lets somebody in.
    Admit {
        /// Whom.
        participant: ParticipantId,
    },
    /// Puts somebody out.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// Makes somebody the organizer.
    HandOver {
        /// Whom.
        participant: ParticipantId,
    },
    /// Gives a right, or takes it.
    Allow {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        right: Right,
        /// Given or taken.
        allowed: bool,
    },
    /// Nobody new may knock, or anybody may.
    Lock {
        /// Locked or open.
        locked: bool,
    },
    /// Limits the layers of cameras.
    LimitCamera {
        /// For whom.
        audience: Audience,
        /// The highest spatial layer; all if there is none.
        max_spatial_id: Option<u8>,
    },
    /// Makes an invitation.
    Invite,
    /// Raises a hand, or lowers it.
    Hand {
        /// Which.
        raised: bool,
    },
    /// Ends the meeting for all.
    End,
    /// Leaves.
    Leave,
}
