//! What can be read of a room.

use super::Room;
use crate::Time;
use crate::congestion::PathState;
use crate::relay::config::ParticipantId;
use crate::relay::statistics::{ParticipantStatistics, RoomStatistics};
use crate::relay::upstream::StreamStatistics;
use crate::select::{Decision, Offer, StreamId};
use crate::structure::DecodeTarget;

impl Room {
    /// The counts of the room.
    pub fn statistics(&self) -> RoomStatistics {
        self.statistics
    }

    /// What goes to a participant, and how its path is at `now`.
    pub fn participant_statistics(
        &mut self,
        now: Time,
        participant: ParticipantId,
    ) -> Option<ParticipantStatistics> {
        let at = *self.places.get(&participant)?;
        let participant = self.participants[at].as_mut()?;
        let downlink = &mut participant.receiver.downlink;
        let sent = downlink.sent;
        Some(ParticipantStatistics {
            packets: sent.packets,
            bytes: sent.bytes,
            retransmissions: sent.again,
            padding: sent.padding,
            frames_dropped: sent.frames_dropped,
            queued: downlink.queued_bytes(),
            refused: participant.conduct.refused,
            path: downlink.state(now),
        })
    }

    /// What came of a stream.
    pub fn stream_statistics(&self, stream: StreamId) -> Option<StreamStatistics> {
        Some(self.streams[*self.stream_places.get(&stream)?].as_ref()?.statistics)
    }

    /// The layers of a stream, with their bitrates as they pass.
    pub fn offer(&self, stream: StreamId) -> Option<&Offer> {
        self.streams[*self.stream_places.get(&stream)?].as_ref()?.offer.as_ref()
    }

    /// The last decision about a participant.
    pub fn decision(&self, participant: ParticipantId) -> Option<&Decision> {
        let at = *self.places.get(&participant)?;
        Some(self.participants[at].as_ref()?.receiver.decision())
    }

    /// What a participant gets of a stream now: another target than the decision's until that can be entered.
    pub fn current(&self, participant: ParticipantId, stream: StreamId) -> Option<DecodeTarget> {
        let (at, place) = (*self.places.get(&participant)?, *self.stream_places.get(&stream)?);
        let downlink = &self.participants[at].as_ref()?.receiver.downlink;
        downlink.subscription(downlink.slot_of(place)?)?.current()
    }

    /// The path to a participant at `now`.
    pub fn path(&mut self, now: Time, participant: ParticipantId) -> Option<PathState> {
        let at = *self.places.get(&participant)?;
        Some(self.participants[at].as_mut()?.receiver.downlink.state(now))
    }
}
