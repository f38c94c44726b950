//! Links and streams, and what the media side says.

use layercast_meeting::{
    Answer, Bytes, Event, Kind, LinkDescription, ParticipantId, Published, Refusal, Stream,
};

use super::meeting::STREAMS;
use super::{ConnectionId, DONE, Desk, Handled, Now, Pending};
use crate::media_api::{LinkReply, MAX_REPORT, MediaCommand, MediaEvent, MeetingKey};

/// Streams that somebody may send at once.
const MAX_STREAMS: usize = 8;
/// The SSRC of a meeting's first stream. Each stream takes two: its own, and one for retransmissions.
const FIRST_SSRC: u32 = 0x1000;
/// Bounds of a description: RFC 8839, section 5.4, has at most 256 characters for both.
const MAX_CREDENTIAL: usize = 256;
const MAX_FINGERPRINT: usize = 128;
const MAX_ADDRESSES: usize = 16;

impl Desk {
    pub(super) fn link(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: u32,
        description: LinkDescription,
    ) -> Handled {
        let (meeting, number) = self.place(connection)?;
        let key = meeting.key;
        if description.ufrag.len() > MAX_CREDENTIAL
            || description.password.expose().len() > MAX_CREDENTIAL
            || description.fingerprint.len() > MAX_FINGERPRINT
            || description.addresses.len() > MAX_ADDRESSES
        {
            return Err(Refusal::Malformed.into());
        }
        self.last_link += 1;
        let reply = LinkReply(self.last_link);
        let state = self.connections.get_mut(&connection).ok_or(Refusal::NotNow)?;
        state.pending = Some((id, Pending::Link(reply, now.at)));
        self.links.insert(reply, connection);
        let participant = ParticipantId(number);
        self.media(MediaCommand::Link { meeting: key, participant, description, reply });
        Ok(None)
    }

    pub(super) fn publish(
        &mut self,
        now: Now,
        connection: ConnectionId,
        (kind, layer_refresh): (Kind, bool),
        member: u32,
        track: u16,
    ) -> Handled {
        let (meeting, number) = self.place(connection)?;
        let participant = meeting.participants.get(&number).ok_or(Refusal::NotNow)?;
        if kind.right().is_some_and(|right| !participant.rights.has(right)) {
            return Err(Refusal::NotAllowed.into());
        }
        if meeting.streams.values().filter(|stream| stream.participant.0 == number).count() >= MAX_STREAMS {
            return Err(Refusal::TooMany.into());
        }
        // One who names another's index in the group would be taken for the other by those who believe it.
        let lies = |stream: &Stream| (stream.participant.0 == number) != (stream.member == member);
        if meeting.streams.values().any(lies) {
            return Err(Refusal::NotAllowed.into());
        }
        let participant = meeting.participants.get_mut(&number).ok_or(Refusal::NotNow)?;
        if !participant.streams.take(STREAMS, now.at) {
            return Err(Refusal::TooMany.into());
        }
        let number_of_stream = meeting.last_stream.checked_add(1).ok_or(Refusal::TooMany)?;
        let ssrc = number_of_stream.checked_mul(2).and_then(|n| n.checked_add(FIRST_SSRC));
        let ssrc = ssrc.ok_or(Refusal::TooMany)?;
        meeting.last_stream = number_of_stream;
        let participant = ParticipantId(number);
        let stream = Stream { participant, stream: number_of_stream, ssrc, kind, member, track };
        meeting.streams.insert(number_of_stream, stream);
        let key = meeting.key;
        let caps = meeting.caps_of_stream(&stream);
        let caps: Vec<_> =
            caps.map(|(viewer, max)| meeting.cap_command(viewer, number_of_stream, Some(max))).collect();
        let to = meeting.present_but(Some(number));
        self.media(MediaCommand::Publish {
            meeting: key,
            participant,
            stream: number_of_stream,
            ssrc,
            kind,
            layer_refresh,
        });
        caps.into_iter().for_each(|command| self.media(command));
        self.send(to, Event::Published(stream));
        Ok(Some(Answer::Published(Published { stream: number_of_stream, ssrc })))
    }

    pub(super) fn unpublish(&mut self, connection: ConnectionId, stream: u32) -> Handled {
        let (meeting, number) = self.place(connection)?;
        let is_own = meeting.streams.get(&stream).is_some_and(|stream| stream.participant.0 == number);
        if !is_own {
            return Err(Refusal::NoStream.into());
        }
        meeting.streams.remove(&stream);
        let (key, to) = (meeting.key, meeting.present_but(Some(number)));
        self.media(MediaCommand::Unpublish { meeting: key, stream });
        self.send(to, Event::Unpublished { stream });
        DONE
    }

    pub(super) fn report(&mut self, connection: ConnectionId, report: Bytes) -> Handled {
        let (meeting, number) = self.place(connection)?;
        if report.0.len() > MAX_REPORT {
            return Err(Refusal::Malformed.into());
        }
        let (meeting, participant) = (meeting.key, ParticipantId(number));
        self.media(MediaCommand::Report { meeting, participant, report });
        DONE
    }

    /// The media side says something.
    pub fn handle_media(&mut self, now: Now, event: MediaEvent) {
        match event {
            MediaEvent::Link { reply, result } => {
                let result = result.map(|link| Some(Answer::Link(link))).map_err(|_| Refusal::Failed.into());
                self.answer_link(now, reply, result);
            }
            MediaEvent::Demand { meeting, participant, demand } => {
                let connection = self.seat(meeting, participant);
                self.send(connection.into_iter().collect(), Event::Demand { demand });
            }
            MediaEvent::Layers { meeting, participant, layers } => {
                let connection = self.seat(meeting, participant);
                self.send(connection.into_iter().collect(), Event::Layers { layers });
            }
            MediaEvent::Expelled { meeting, participant, reason } => {
                let Some(participants) = self.meetings.get_mut(&meeting).map(|m| &mut m.participants) else {
                    return;
                };
                let Some(expelled) = participants.get_mut(&participant.0).filter(|p| p.in_media) else {
                    return;
                };
                // The media side has let go of it already.
                expelled.in_media = false;
                let connection = expelled.connection;
                self.log(now, "expelled", Some(meeting), Some(participant.0), None);
                self.send(connection.into_iter().collect(), Event::Expelled { reason });
                if self.depart(now, meeting, participant.0).is_err() {
                    self.log(now, "expelled", Some(meeting), Some(participant.0), Some(Refusal::Failed));
                }
                if let Some(connection) = connection {
                    self.close(now, connection);
                }
            }
        }
    }

    pub(super) fn answer_link(&mut self, now: Now, reply: LinkReply, result: Handled) {
        let Some(connection) = self.links.remove(&reply) else { return };
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let is_it = |pending: &mut (u32, Pending)| matches!(pending.1, Pending::Link(r, _) if r == reply);
        let Some((id, _)) = state.pending.take_if(is_it) else { return };
        let at = self.out.len();
        self.answer(now, connection, id, ("link", None), at, result);
        self.go_on(now, connection);
    }

    /// The connection of somebody who is in.
    fn seat(&self, meeting: MeetingKey, participant: ParticipantId) -> Option<ConnectionId> {
        let participant = self.meetings.get(&meeting)?.participants.get(&participant.0)?;
        participant.is_present().then_some(participant.connection)?
    }
}
