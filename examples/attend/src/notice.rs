//! What the participant is told: one line for each event, for people or as JSON.

use std::fmt;

use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the names and the lines say")]
pub enum Notice {
    /// At the door, or in at once.
    Joined { participant: u32, role: String, title: String, region: String, storage: String },
    /// One is in.
    Admitted { rights: String },
    /// Somebody knocks. The organizer lets in by the number.
    Waiting { participant: u32, role: String, name: String, outsider: bool },
    /// An epoch began.
    Epoch { epoch: u64, members: usize },
    /// A member is new in the group.
    Newcomer { name: String, fingerprint: String },
    /// A member is among those who open all layers, from the next epoch on.
    Insider { name: String, own: bool },
    /// A member is not in the group any more.
    Gone { name: String },
    /// The group has another organizer.
    Organizer { name: String, own: bool },
    /// The relay says that the organizer is somebody whom the group does not name.
    OrganizersDiffer { relay: String, group: String },
    /// Somebody is in, as the relay says.
    Arrived { participant: u32, role: String },
    /// Somebody's connection was lost.
    Away { who: String },
    /// Somebody left.
    Left { who: String },
    /// Somebody was removed.
    Removed { who: String, own: bool },
    /// Rights changed.
    Rights { who: String, rights: String, own: bool },
    /// The meeting was locked or opened.
    Locked { locked: bool },
    /// The layers of cameras were limited.
    CameraLimited { who: String, audience: String, layer: Option<u8> },
    /// Of a limit that was asked for: whether keys keep more from guests, or the relay alone enforces it.
    Enforced { by_keys: bool, keys: Option<u8> },
    /// A stream began.
    Published { stream: u32, who: String, kind: String, ssrc: u32 },
    /// A stream of one's own began.
    Sending { stream: u32, kind: String, ssrc: u32 },
    /// A stream ended.
    Unpublished { stream: u32 },
    /// What of a stream of one's own is coded from now on.
    Demand { stream: u32, kind: String, layers: Vec<String> },
    /// What the relay forwards of a stream to us, and what keeps it from more.
    Layers { stream: u32, target: Option<String>, reason: String },
    /// A commit was not accepted.
    CommitRefused { why: String },
    /// Somebody was let in and could not be added to the group, and so was removed for good.
    NotAdded { participant: u32, name: String, why: String },
    /// The relay takes no commit, and says each time that another was first, though none came.
    HeldBack { what: String, who: Option<String>, times: u32 },
    /// The group is a new one, with another organizer than before. Nothing is sent until the person says so.
    OtherOrganizer { name: String, fingerprint: String },
    /// The relay refused a request.
    Refused { what: String, why: String },
    /// Somebody's packets do not open.
    Forked { who: String, why: String },
    /// Somebody else in the group seals frames in a member's name: proven by what that signs.
    Forged { who: String, what: String },
    /// Most of what comes in a member's name was not signed by it.
    Unproven { who: String, what: String },
    /// It was again.
    Proven { who: String, what: String },
    /// A member does not sign what it sends.
    NotAttested { name: String },
    /// A large camera is shown to guests.
    Reflections { rows: u32 },
    /// An invitation was made.
    Invitation { link: String },
    /// A meeting was planned. The link has no code: accounts use it.
    Planned { link: String },
    /// The digits that people compare.
    Code { code: String, own: String },
    /// Somebody is in.
    Person { participant: u32, name: String, fingerprint: String, role: String, rights: String, own: bool },
    /// The connection to the relay is there.
    Connected { again: bool },
    /// It was lost.
    Disconnected { why: String },
    /// The link for the media is up.
    LinkUp,
    /// There is no link, and another is made after a while.
    LinkFailed { why: String, seconds: u64 },
    /// The relay goes down soon.
    Closing,
    /// The relay put one out.
    Expelled { reason: String },
    /// The organizer lost the group.
    GroupLost,
    /// It is over, and why.
    Ended { why: String },
    /// The relay was not reached, for this reason.
    NotReached { why: String },
    /// Which commands there are.
    Help { commands: String },
    /// What was typed is no command.
    NoCommand { line: String },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { participant, role, title, region, storage } => {
                write!(
                    f,
                    "participant {participant} of \"{title}\", as {role}. The relay is in {region}. {storage}"
                )
            }
            Self::Admitted { rights } => write!(f, "in the meeting, with the rights: {rights}"),
            Self::Waiting { participant, role, name, outsider } => {
                let outside = if *outsider { ", from outside the organization" } else { "" };
                write!(
                    f,
                    "{participant} waits at the door: \"{name}\" ({role}{outside}). Type: admit {participant}"
                )
            }
            Self::Epoch { epoch, members } => write!(f, "epoch {epoch} begins, with {members} members"),
            Self::Newcomer { name, fingerprint } => {
                write!(f, "{name} is new in the group. Fingerprint: {fingerprint}")
            }
            Self::Insider { own: true, .. } => write!(f, "you have keys of all layers of all cameras"),
            Self::Insider { name, .. } => {
                write!(
                    f,
                    "{name} is neither a guest nor from outside, and has keys of all layers of all cameras"
                )
            }
            Self::Gone { name } => write!(f, "{name} is no longer in the group, and gets no key from now on"),
            Self::Organizer { own: true, .. } => write!(f, "you are the organizer"),
            Self::Organizer { name, .. } => write!(f, "{name} is the organizer"),
            Self::OrganizersDiffer { relay, group } => write!(
                f,
                "the relay names another organizer than the group: {relay} in place of {group}, whom this program obeys"
            ),
            Self::Arrived { participant, role } => write!(f, "participant {participant} ({role}) is here"),
            Self::Away { who } => write!(f, "{who} has lost the connection"),
            Self::Left { who } => write!(f, "{who} left"),
            Self::Removed { own: true, .. } => write!(f, "the organizer removed you"),
            Self::Removed { who, .. } => write!(f, "the organizer removed {who}"),
            Self::Rights { rights, own: true, .. } => write!(f, "you may now send: {rights}"),
            Self::Rights { who, rights, .. } => write!(f, "{who} may now send: {rights}"),
            Self::Locked { locked: true } => write!(f, "the meeting is locked: nobody new may knock"),
            Self::Locked { locked: false } => write!(f, "the meeting is open"),
            Self::CameraLimited { who, audience, layer: Some(layer) } => {
                write!(f, "{who} limits cameras to spatial layer {layer} for {audience}")
            }
            Self::CameraLimited { who, audience, layer: None } => {
                write!(f, "{who} lifts the limit of cameras for {audience}")
            }
            Self::Enforced { by_keys, keys } => {
                let who = if *by_keys { "keys are stricter" } else { "the relay enforces this; keys do not" };
                match keys {
                    Some(layer) => write!(f, "{who}: guests have keys of your camera up to layer {layer}"),
                    None => write!(f, "{who}: guests have keys of all layers"),
                }
            }
            Self::Published { stream, who, kind, .. } => write!(f, "{who} sends stream {stream}: {kind}"),
            Self::Sending { stream, kind, .. } => write!(f, "sending stream {stream}: {kind}"),
            Self::Unpublished { stream } => write!(f, "stream {stream} has ended"),
            Self::Demand { stream, kind, layers } if layers.is_empty() => {
                write!(f, "nobody watches stream {stream} ({kind}): nothing of it is coded")
            }
            Self::Demand { stream, kind, layers } => {
                write!(
                    f,
                    "others watch stream {stream} ({kind}) as {}: nothing else is coded",
                    layers.join(", ")
                )
            }
            Self::Layers { stream, target, reason } => {
                let what = target.as_deref().unwrap_or("nothing");
                let why = match reason.as_str() {
                    "full" => "that is all there is",
                    "window" => "the window shows no more",
                    "cap" => "a limit keeps the rest back",
                    "cpu" => "this machine decodes no more",
                    "network" => "the path carries no more",
                    "loss" => "the path loses packets",
                    "proving" => "whether the path carries more is being found out",
                    "hidden" => "it is not shown",
                    "not_on_offer" => "nothing is coded",
                    _ => "the relay does not say why",
                };
                write!(f, "of stream {stream} the relay forwards {what}: {why}")
            }
            Self::OtherOrganizer { name, fingerprint } => write!(
                f,
                "this is ANOTHER GROUP, whose organizer is {name}, fingerprint {fingerprint}. Compare it before you type unmute: \
                 nothing is sent until then"
            ),
            Self::NotAdded { participant, name, why } => write!(
                f,
                "{name} ({participant}) was let in and cannot be in the group: {why}. It is removed, and cannot come back with the \
                 same invitation or account"
            ),
            Self::HeldBack { what, who, times } => {
                let whom = who.as_ref().map(|who| format!(" ({who})")).unwrap_or_default();
                write!(
                    f,
                    "{what}{whom}: NOT DONE, and the keys are the old ones. {times} times the relay has said that another change of \
                     the group was first, and none came. It goes on trying. If that lasts, end the meeting"
                )
            }
            Self::CommitRefused { why } => write!(f, "a change of the group was refused: {why}"),
            Self::Refused { what, why } => write!(f, "{what}: {why}"),
            Self::Forked { who, why } => write!(f, "the group may be forked: {who}: {why}. Compare the code"),
            Self::Forged { who, what } => write!(
                f,
                "SOMEBODY ELSE in the meeting sends in the name of {who}: {what}. It is not shown any more. {who} can mute and unmute \
                 to send it anew"
            ),
            Self::Unproven { who, what } => write!(
                f,
                "nothing proves that {who} sends this: {what}. It is not shown until {who} signs for it again"
            ),
            Self::Proven { who, what } => write!(f, "{who} signs for this again: {what}. It is shown"),
            Self::NotAttested { name } => write!(
                f,
                "{name}'s program does not sign what it sends: others in the meeting could send in this name, unnoticed"
            ),
            Self::Reflections { rows } => write!(
                f,
                "guests see a camera of {rows} rows: glasses may reflect what is on the screen, legibly. `limit guests 1` helps"
            ),
            Self::Invitation { link } => write!(f, "invitation for one guest: {link}"),
            Self::Planned { link } => write!(f, "planned, for people with an account: {link}"),
            Self::Code { code, own } => write!(f, "code of the meeting: {code}; your own fingerprint: {own}"),
            Self::Person { participant, name, fingerprint, role, rights, own } => {
                let own = if *own { " (you)" } else { "" };
                write!(f, "{participant}: {name}{own}, {role}, may send {rights}. Fingerprint: {fingerprint}")
            }
            Self::Connected { again: false } => write!(f, "connected to the relay"),
            Self::Connected { again: true } => write!(f, "connected to the relay again"),
            Self::Disconnected { why } => {
                write!(f, "the connection to the relay was lost: {why}. Trying again")
            }
            Self::LinkUp => write!(f, "the link for pictures and sound is up"),
            Self::LinkFailed { why, seconds } => {
                write!(f, "no link for pictures and sound: {why}. Another is made in {seconds} s")
            }
            Self::Closing => write!(f, "the relay goes down for a moment"),
            Self::Expelled { reason } => write!(f, "the relay closed the link: {reason}"),
            Self::GroupLost => write!(f, "the organizer lost the group: joining anew"),
            Self::Ended { why } => write!(f, "the end: {why}"),
            Self::NotReached { why } => write!(f, "{why}. Trying again"),
            Self::Help { commands } => write!(f, "commands: {commands}"),
            Self::NoCommand { line } => {
                write!(f, "not understood: {line}. Commands are: {}", crate::commands::HELP)
            }
        }
    }
}
