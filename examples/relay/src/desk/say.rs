//! What participants say to each other: sealed end to end, passed on, and not kept.

use layercast_meeting::{Bytes, Event, MAX_SAID, ParticipantId, Refusal};

use super::meeting::SAYINGS;
use super::{ConnectionId, DONE, Desk, Handled, Now};

impl Desk {
    pub(super) fn say(&mut self, now: Now, connection: ConnectionId, message: Bytes) -> Handled {
        let (meeting, number) = self.place(connection)?;
        if message.0.len() > MAX_SAID {
            return Err(Refusal::Malformed.into());
        }
        let participant = meeting.participants.get_mut(&number).ok_or(Refusal::NotNow)?;
        if !participant.sayings.take(SAYINGS, now.at) {
            return Err(Refusal::TooMany.into());
        }
        let to = meeting.present_but(Some(number));
        self.send(to, Event::Said { participant: ParticipantId(number), message });
        DONE
    }
}
