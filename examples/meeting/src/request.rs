//! What a participant says.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::parse::{parse, write};
use crate::{Audience, Bytes, Group, Kind, MeetingId, ParticipantId, ProtocolError, Right, Secret, Text};

/// A request with its number, which the answer has too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered {
    /// The number, which the participant counts.
    pub id: u32,
    /// What it asks for.
    #[serde(flatten)]
    pub request: Request,
}

impl Numbered {
    /// Reads a message.
    ///
    /// # Errors
    /// Whatever is no request within the bounds.
    pub fn parse(text: &str) -> Result<Self, ProtocolError> {
        parse(text)
    }

    /// The message as text.
    pub fn to_text(&self) -> String {
        write(self)
    }
}

/// By what right somebody knocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The session that this connection opened.
    Account,
    /// The code of an invitation, which serves once.
    Invitation(Secret),
    /// A participant of this meeting comes back, with the token that it got when it first joined.
    Return(Secret),
}

/// What one end of a link tells the other: ICE (RFC 8445) and DTLS (RFC 8842).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkDescription {
    /// The user fragment.
    pub ufrag: String,
    /// The password of ICE's checks.
    pub password: Secret,
    /// SHA-256 of the certificate, as `sha-256 AB:CD:..` (RFC 8122).
    pub fingerprint: String,
    /// Where it is reached.
    pub addresses: Vec<SocketAddr>,
}

/// What a participant asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Opens a session, which the connection is then in. Answer: [`Answer::Session`](crate::Answer).
    Login {
        /// The account.
        account: Text,
        /// Its password.
        password: Secret,
    },
    /// Goes on with a session. Answer: [`Answer::Session`](crate::Answer), with the time that is left.
    Session {
        /// Its token.
        token: Secret,
    },
    /// Ends the session, on all connections.
    Logout,
    /// Plans a meeting, with this account as its organizer. Answer: [`Answer::Planned`](crate::Answer).
    Plan {
        /// Its title.
        title: Text,
    },
    /// Makes another account the organizer of a meeting. During the meeting it is [`HandOver`](Self::HandOver).
    Appoint {
        /// The meeting.
        meeting: MeetingId,
        /// The account.
        account: Text,
    },
    /// Makes an invitation, by which one guest may knock once. Answer: [`Answer::Invitation`](crate::Answer).
    Invite {
        /// The meeting.
        meeting: MeetingId,
    },
    /// Knocks at a meeting. Answer: [`Answer::Joined`](crate::Answer), then [`Event::Admitted`](crate::Event) at once or later.
    Join {
        /// The meeting.
        meeting: MeetingId,
        /// By what right.
        credential: Credential,
        /// The name that the others see. It is that of the key package.
        name: Text,
        /// A key package of MLS for the meeting's group: nothing if one comes back who still has its group. The answer is
        /// [`Refusal::NotNow`](crate::Refusal) if the group cannot be gone on with, because it is another by now, or because the
        /// relay no longer has all messages after `seen`: come back with a key package then.
        key_package: Option<Bytes>,
        /// One for the group of insiders.
        insiders_key_package: Option<Bytes>,
        /// The number of the last [`MlsMessage`](crate::MlsMessage) that one who comes back has seen; 0 otherwise.
        seen: u64,
    },
    /// Leaves the meeting for good.
    Leave,
    /// The organizer lets somebody in.
    Admit {
        /// Who waits.
        participant: ParticipantId,
    },
    /// The organizer removes somebody, who may wait, be in the meeting, or be away. Nobody comes back from this.
    Remove {
        /// Whom.
        participant: ParticipantId,
    },
    /// The organizer gives a right, or takes it.
    Allow {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        right: Right,
        /// Given or taken.
        allowed: bool,
    },
    /// The organizer locks the meeting: nobody new may knock. Participants may come back.
    Lock {
        /// Locked or open.
        locked: bool,
    },
    /// The organizer makes another member the organizer.
    HandOver {
        /// Whom.
        participant: ParticipantId,
    },
    /// The organizer ends the meeting for all.
    End,
    /// Limits the layers of cameras: one's own, or, by the organizer, all. The stricter limit counts.
    LimitCamera {
        /// For whom.
        audience: Audience,
        /// The highest spatial layer that they get; all if there is none.
        max_spatial_id: Option<u8>,
    },
    /// The organizer brings a commit of MLS: the relay passes it on if it is of the group's epoch, and is the first. The answer is
    /// [`Refusal::StaleEpoch`](crate::Refusal) otherwise. The organizer alone may begin a group, add and remove.
    Commit {
        /// The group.
        group: Group,
        /// The epoch that the commit ends. A group begins with a commit of epoch 0.
        epoch: u64,
        /// The commit.
        message: Bytes,
        /// The welcome for those whom it adds.
        welcome: Option<Bytes>,
        /// Those whom it adds.
        added: Vec<ParticipantId>,
        /// Those whom it removes.
        removed: Vec<ParticipantId>,
    },
    /// Brings a proposal of MLS: to leave.
    Propose {
        /// The group.
        group: Group,
        /// The epoch that it is of.
        epoch: u64,
        /// The proposal.
        message: Bytes,
    },
    /// Makes the link for the media, or makes it anew. Answer: [`Answer::Link`](crate::Answer).
    Link(LinkDescription),
    /// Announces a stream. Answer: [`Answer::Published`](crate::Answer).
    Publish {
        /// What it carries.
        kind: Kind,
        /// The sender's index in the meeting's group. Receivers find out if it is a lie: nothing opens.
        member: u32,
        /// The stream's number among those of the sender, part of the key id of its frames.
        track: u16,
        /// Whether the sender of video takes requests for single layers (LRR, RFC 9627), and not only for key pictures (PLI).
        #[serde(default)]
        layer_refresh: bool,
    },
    /// Ends a stream of one's own.
    Unpublish {
        /// Its number, as given by the relay.
        stream: u32,
    },
    /// What one's windows, network and processor are like: a `ReceiverReport` of layercast.
    Report {
        /// The report.
        report: Bytes,
    },
    /// Says something to all who are in, as [`Event::Said`](crate::Event): of at most [`MAX_SAID`](crate::MAX_SAID) bytes,
    /// sealed end to end. It is passed on and not kept. Five every second, and 20 at once.
    Say {
        /// What, sealed.
        message: Bytes,
    },
}
