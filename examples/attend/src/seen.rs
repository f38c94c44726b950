//! What was opened in the running epoch, beyond the life of a stream's receiver: a relay that announces a stream anew must not
//! have frames opened twice.
//!
//! An opener knows which frames it opened. When the connection is lost, the relay names the streams that go on again, so their
//! openers are put aside and taken up. A stream that has ended does not come back: its sender uses no track twice in an epoch.
//! With the next epoch all of this is forgotten, since a new receiver has no keys of those before.

use std::collections::{BTreeMap, BTreeSet};

use layercast::e2ee::{Opener, VideoOpener};
use layercast_meeting::{Kind, Stream};

/// Openers that are put aside at most.
const MAX_ASIDE: usize = 1024;
/// Streams of one member that have ended in an epoch. One who has more of them is not heard until the next.
const MAX_ENDED: usize = 1024;

/// The opener of a stream.
#[derive(Debug)]
pub enum AnyOpener {
    /// Of a camera or a screen.
    Video(Box<VideoOpener>),
    /// Of sound or messages.
    Packets(Opener),
}

/// Streams whose frames are sealed with the same keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Cameras and screens.
    Video,
    /// Sound.
    Audio,
    /// Messages.
    Data,
}

fn class(kind: Kind) -> Class {
    match kind {
        Kind::Camera | Kind::Screen => Class::Video,
        Kind::Audio => Class::Audio,
        Kind::Data => Class::Data,
    }
}

/// What a stream's keys are derived for, besides the epoch.
pub type Place = (u32, (Class, u16));

/// The place of a stream, whatever number and SSRC the relay gives it.
pub fn place(stream: &Stream) -> Place {
    (stream.member, (class(stream.kind), stream.track))
}

/// Why a stream that the relay announces is not taken: its frames could be shown twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Repeated {
    /// It has ended in this epoch.
    #[error("the relay announces anew what has ended: it is not opened, so that nothing is shown twice")]
    Ended,
    /// It comes under another number.
    #[error("the relay announces it as stream {0} too: it is not opened, so that nothing is shown twice")]
    Twice(u32),
}

/// What was opened in an epoch.
#[derive(Debug, Default)]
pub struct Seen {
    /// By the member. Only members of the group count, of whom there are so many.
    ended: BTreeMap<u32, BTreeSet<(Class, u16)>>,
    aside: BTreeMap<Place, AnyOpener>,
}

impl Seen {
    /// Whether a stream has ended in this epoch.
    pub fn has_ended(&self, place: Place) -> bool {
        let (member, track) = place;
        self.ended.get(&member).is_some_and(|ended| ended.contains(&track) || ended.len() >= MAX_ENDED)
    }

    /// A stream that was opened has ended.
    pub fn end(&mut self, place: Place) {
        let (member, track) = place;
        self.aside.remove(&place);
        let ended = self.ended.entry(member).or_default();
        if ended.len() < MAX_ENDED {
            ended.insert(track);
        }
    }

    /// Keeps the opener of a stream that may go on.
    pub fn put_aside(&mut self, place: Place, opener: AnyOpener) {
        if self.aside.len() < MAX_ASIDE {
            self.aside.insert(place, opener);
        } else {
            self.end(place);
        }
    }

    /// The opener of a stream that goes on.
    pub fn take(&mut self, place: Place) -> Option<AnyOpener> {
        self.aside.remove(&place)
    }

    /// Another epoch began, or the group is another.
    pub fn clear(&mut self) {
        self.ended.clear();
        self.aside.clear();
    }
}

#[cfg(test)]
mod tests {
    use layercast::e2ee::{Agreement, Context};
    use layercast_meeting::ParticipantId;

    use super::*;

    fn stream(kind: Kind, member: u32, track: u16) -> Stream {
        Stream { participant: ParticipantId(1), stream: 1, ssrc: 1, kind, member, track }
    }

    fn opener(track: u16) -> AnyOpener {
        AnyOpener::Packets(Opener::new(Agreement::default(), 1, Context::audio(track)))
    }

    #[test]
    fn a_camera_is_no_screen_with_the_same_keys() {
        let mut seen = Seen::default();
        seen.end(place(&stream(Kind::Camera, 1, 0)));
        assert!(seen.has_ended(place(&stream(Kind::Screen, 1, 0))));
        for other in [stream(Kind::Audio, 1, 0), stream(Kind::Camera, 1, 1), stream(Kind::Camera, 2, 0)] {
            assert!(!seen.has_ended(place(&other)), "{other:?}");
        }
        seen.clear();
        assert!(!seen.has_ended(place(&stream(Kind::Camera, 1, 0))));
    }

    #[test]
    fn it_holds_a_bounded_number_and_forgets_none() {
        let mut seen = Seen::default();
        for track in 0..2 * MAX_ASIDE as u16 {
            seen.put_aside(place(&stream(Kind::Audio, 1, track)), opener(track));
        }
        assert_eq!((seen.aside.len(), seen.ended[&1].len()), (MAX_ASIDE, MAX_ENDED));
        for track in 0..2 * MAX_ASIDE as u16 {
            let place = place(&stream(Kind::Audio, 1, track));
            assert!(seen.take(place).is_some() != (track >= MAX_ASIDE as u16));
            assert!(seen.has_ended(place), "one with so many streams has no more");
        }
        assert!(!seen.has_ended(place(&stream(Kind::Audio, 2, 0))), "others have");
    }
}
