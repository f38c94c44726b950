//! What people type while a meeting runs.

use layercast::Size;
use layercast_meeting::{Audience, Kind, ParticipantId, Right};

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Sends nothing of this kind for now, or nothing at all.
    Mute(Option<Kind>),
    /// Sends it again.
    Unmute(Option<Kind>),
    /// The size of the windows that others are shown in; nobody is shown if it is 0x0.
    Window(Size),
    /// Lets somebody in.
    Admit(ParticipantId),
    /// Puts somebody out.
    Remove(ParticipantId),
    /// Gives a right, or takes it.
    Allow(ParticipantId, Right, bool),
    /// Makes somebody the organizer.
    HandOver(ParticipantId),
    /// Nobody new may knock, or anybody may.
    Lock(bool),
    /// The highest spatial layer of cameras that some get; all if there is none.
    Limit(Audience, Option<u8>),
    /// Makes an invitation.
    Invite,
    /// Raises a hand, or lowers it.
    Hand(bool),
    /// Lists who is in the meeting.
    Who,
    /// Shows the digits that people compare.
    Code,
    /// Ends the meeting for all.
    End,
    /// Leaves.
    Quit,
}

/// All commands, for people.
pub const HELP: &str = "mute|unmute [voice|camera|share], window WxH, admit N, remove N, allow|deny N voice|camera|share, \
    hand-over N, lock, unlock, limit guests|outsiders|all LAYER|off, invite, hand up|down, who, code, end, link KBPS, help, quit";

impl Command {
    /// Reads a line. `None` if it is no command.
    pub fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_whitespace().collect();
        Some(match words[..] {
            ["mute"] => Self::Mute(None),
            ["mute", what] => Self::Mute(Some(kind(what)?)),
            ["unmute"] => Self::Unmute(None),
            ["unmute", what] => Self::Unmute(Some(kind(what)?)),
            ["window", size] => Self::Window(size_of(size)?),
            ["admit", who] => Self::Admit(participant(who)?),
            ["remove", who] => Self::Remove(participant(who)?),
            ["allow", who, what] => Self::Allow(participant(who)?, right(what)?, true),
            ["deny", who, what] => Self::Allow(participant(who)?, right(what)?, false),
            ["hand-over", who] => Self::HandOver(participant(who)?),
            ["lock"] => Self::Lock(true),
            ["unlock"] => Self::Lock(false),
            ["limit", whose, "off"] => Self::Limit(audience(whose)?, None),
            ["limit", whose, layer] => {
                Self::Limit(audience(whose)?, Some(layer.parse().ok().filter(|layer| *layer < 4)?))
            }
            ["invite"] => Self::Invite,
            ["hand", "up"] => Self::Hand(true),
            ["hand", "down"] => Self::Hand(false),
            ["who"] => Self::Who,
            ["code"] => Self::Code,
            ["end"] => Self::End,
            ["quit"] => Self::Quit,
            _ => return None,
        })
    }
}

/// Whether a line asks which commands there are.
pub fn is_help(line: &str) -> bool {
    ["help", "?"].contains(&line.trim())
}

/// Reads `link KBPS`, which changes what the emulated path carries: no matter of the seat. `None` if it is something else.
pub fn link_kbps(line: &str) -> Option<u32> {
    let mut words = line.split_whitespace();
    let kbps = words.next().filter(|word| *word == "link").and_then(|_| words.next())?;
    kbps.parse().ok().filter(|kbps| *kbps > 0 && words.next().is_none())
}

fn participant(text: &str) -> Option<ParticipantId> {
    text.parse().ok().map(ParticipantId)
}

/// Reads `WxH`.
pub fn size_of(text: &str) -> Option<Size> {
    let (width, height) = text.split_once('x')?;
    Some(Size::new(width.parse().ok()?, height.parse().ok()?))
}

fn right(text: &str) -> Option<Right> {
    Some(match text {
        "voice" => Right::Voice,
        "camera" => Right::Camera,
        "share" => Right::Share,
        _ => return None,
    })
}

fn kind(text: &str) -> Option<Kind> {
    right(text).map(|right| match right {
        Right::Voice => Kind::Audio,
        Right::Camera => Kind::Camera,
        Right::Share => Kind::Screen,
    })
}

fn audience(text: &str) -> Option<Audience> {
    Some(match text {
        "guests" => Audience::Guests,
        "outsiders" => Audience::Outsiders,
        "all" => Audience::All,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        let ann = ParticipantId(7);
        let read = [
            ("mute", Command::Mute(None)),
            ("unmute share", Command::Unmute(Some(Kind::Screen))),
            ("window 320x180", Command::Window(Size::new(320, 180))),
            ("window 0x0", Command::Window(Size::new(0, 0))),
            ("  admit   7 ", Command::Admit(ann)),
            ("deny 7 camera", Command::Allow(ann, Right::Camera, false)),
            ("limit guests 1", Command::Limit(Audience::Guests, Some(1))),
            ("limit all off", Command::Limit(Audience::All, None)),
            ("unlock", Command::Lock(false)),
        ];
        for (line, command) in read {
            assert_eq!(Command::parse(line), Some(command), "{line}");
        }
        for line in [
            "",
            "remove",
            "remove ann",
            "remove -1",
            "limit all 4",
            "window 320",
            "mute everything",
            "quit now",
        ] {
            assert_eq!(Command::parse(line), None, "{line}");
        }
        assert_eq!(["help", " ? ", "helpless", ""].map(is_help), [true, true, false, false]);
        let read = ["link 400", "link 0", "link", "link 1 2", "mute"].map(link_kbps);
        assert_eq!(read, [Some(400), None, None, None, None]);
    }
}
