//! What the organizer alone may do, and limits of cameras.

use layercast_meeting::{Audience, EndReason, Event, ParticipantId, Refusal, Right, Role};

use super::{ConnectionId, DONE, Desk, DeskOutput, Handled, Now};
use crate::media_api::MediaCommand;
use crate::store::State;

/// The highest spatial layer of AV1's scalability modes with room to spare.
const MAX_SPATIAL_ID: u8 = 7;

impl Desk {
    pub(super) fn admit(&mut self, now: Now, connection: ConnectionId, whom: ParticipantId) -> Handled {
        let (meeting, _) = self.chair(connection)?;
        let participant = meeting.participants.get(&whom.0).ok_or(Refusal::NoParticipant)?;
        match participant.state {
            State::Waiting if participant.connection.is_some() => {}
            State::Waiting | State::In => return Err(Refusal::NotNow.into()),
            State::Left | State::Removed => return Err(Refusal::NoParticipant.into()),
        }
        let (key, id) = (meeting.key, meeting.id.clone());
        self.store.set_state(&id, whom.0, State::In, now.unix)?;
        self.enter(now, key, whom.0, 0);
        DONE
    }

    pub(super) fn remove(&mut self, now: Now, connection: ConnectionId, whom: ParticipantId) -> Handled {
        let (meeting, organizer) = self.chair(connection)?;
        if whom.0 == organizer {
            return Err(Refusal::NotAllowed.into());
        }
        let participant = meeting.participants.get(&whom.0).ok_or(Refusal::NoParticipant)?;
        if participant.state == State::Removed {
            return Err(Refusal::NoParticipant.into());
        }
        let (key, id) = (meeting.key, meeting.id.clone());
        self.store.set_state(&id, whom.0, State::Removed, now.unix)?;
        self.leave_media(key, whom.0);
        let (meeting, _) = self.chair(connection)?;
        let participant = meeting.participants.get_mut(&whom.0).ok_or(Refusal::NoParticipant)?;
        participant.state = State::Removed;
        participant.keys = None;
        let removed = participant.connection.take();
        let mut to = meeting.present_but(None);
        to.extend(removed);
        self.send(to, Event::Removed { participant: whom });
        if let Some(connection) = removed {
            self.unseat(connection);
            self.close(now, connection);
        }
        DONE
    }

    pub(super) fn allow(
        &mut self,
        connection: ConnectionId,
        whom: ParticipantId,
        right: Right,
        allowed: bool,
    ) -> Handled {
        let (meeting, _) = self.chair(connection)?;
        let participant = meeting.participants.get(&whom.0).ok_or(Refusal::NoParticipant)?;
        match participant.state {
            State::In => {}
            State::Waiting => return Err(Refusal::NotNow.into()),
            State::Left | State::Removed => return Err(Refusal::NoParticipant.into()),
        }
        let (key, id, mut rights) = (meeting.key, meeting.id.clone(), participant.rights);
        rights.set(right, allowed);
        self.store.set_rights(&id, whom.0, rights)?;
        let (meeting, _) = self.chair(connection)?;
        if let Some(participant) = meeting.participants.get_mut(&whom.0) {
            participant.rights = rights;
        }
        let concerned =
            meeting.streams.values().filter(|s| s.participant == whom && s.kind.right() == Some(right));
        let streams: Vec<u32> = concerned.map(|stream| stream.stream).collect();
        let to = meeting.present_but(None);
        for stream in streams {
            self.media(MediaCommand::SetMuted { meeting: key, stream, muted: !allowed });
        }
        self.send(to, Event::Rights { participant: whom, rights });
        DONE
    }

    pub(super) fn lock(&mut self, connection: ConnectionId, locked: bool) -> Handled {
        let (meeting, _) = self.chair(connection)?;
        let id = meeting.id.clone();
        self.store.set_locked(&id, locked)?;
        let (meeting, _) = self.chair(connection)?;
        meeting.locked = locked;
        let to = meeting.present_but(None);
        self.send(to, Event::Locked { locked });
        DONE
    }

    pub(super) fn hand_over(&mut self, connection: ConnectionId, whom: ParticipantId) -> Handled {
        let (meeting, organizer) = self.chair(connection)?;
        let participant = meeting.participants.get(&whom.0).ok_or(Refusal::NoParticipant)?;
        match participant.state {
            // The group's state may say so already, so that it does not matter whether it is away for a moment.
            State::In => {}
            State::Waiting => return Err(Refusal::NotNow.into()),
            State::Left | State::Removed => return Err(Refusal::NoParticipant.into()),
        }
        if whom.0 == organizer {
            return DONE;
        }
        // Guests have no account by which they could be known again.
        let account = participant.account.ok_or(Refusal::NotAllowed)?;
        let (key, id, to_whom) = (meeting.key, meeting.id.clone(), participant.connection);
        self.store.set_organizer(&id, account)?;
        let Some(meeting) = self.meetings.get_mut(&key) else { return DONE };
        meeting.organizer = account;
        let asked: Vec<_> = meeting.participants.keys().filter_map(|number| meeting.asked(*number)).collect();
        let to = meeting.present_but(None);
        self.send(to, Event::Organizer { participant: whom });
        for event in asked {
            self.send(to_whom.into_iter().collect(), event);
        }
        DONE
    }

    pub(super) fn end(&mut self, now: Now, connection: ConnectionId) -> Handled {
        let (meeting, _) = self.chair(connection)?;
        let key = meeting.key;
        self.finish(now, key, EndReason::Organizer)?;
        DONE
    }

    pub(super) fn limit_camera(
        &mut self,
        connection: ConnectionId,
        audience: Audience,
        max_spatial_id: Option<u8>,
    ) -> Handled {
        let (meeting, number) = self.place(connection)?;
        if max_spatial_id.is_some_and(|max| max > MAX_SPATIAL_ID) {
            return Err(Refusal::Malformed.into());
        }
        let is_organizer =
            meeting.participants.get(&number).is_some_and(|p| meeting.role(p) == Role::Organizer);
        let owner = if is_organizer { 0 } else { number };
        let id = meeting.id.clone();
        self.store.set_limit(&id, owner, audience, max_spatial_id)?;
        let (meeting, _) = self.place(connection)?;
        let before = meeting.caps_of_owner(owner);
        match max_spatial_id {
            Some(max) => meeting.limits.insert((owner, audience), max),
            None => meeting.limits.remove(&(owner, audience)),
        };
        let after = meeting.caps_of_owner(owner);
        let cap =
            |&(viewer, stream): &(u32, u32), max| DeskOutput::Media(meeting.cap_command(viewer, stream, max));
        let lifted = before.keys().filter(|place| !after.contains_key(place)).map(|place| cap(place, None));
        let set = after.iter().filter(|(place, max)| before.get(place) != Some(max));
        let outputs: Vec<_> = lifted.chain(set.map(|(place, max)| cap(place, Some(*max)))).collect();
        let to = meeting.present_but(None);
        self.out.extend(outputs);
        self.send(to, Event::CameraLimited { participant: ParticipantId(number), audience, max_spatial_id });
        DONE
    }
}
