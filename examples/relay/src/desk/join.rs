//! The door of a meeting: who waits, who is in at once, who comes back, and who leaves.

use layercast_meeting::{
    Admission, Answer, Credential, EndReason, Event, MeetingId, ParticipantId, Refusal, Rights, Role, Secret,
    Text,
};

use super::group::LOG_PART;
use super::limits::Bucket;
use super::meeting::{KNOCKS, KeyPackages, Meeting, Participant, SAYINGS, STREAMS};
use super::{ConnectionId, DONE, Desk, Failure, Handled, Now};
use crate::media_api::{MediaCommand, MeetingKey};
use crate::secrets;
use crate::store::{AccountId, Hash, HistoryRule, NewParticipant, State, StoreError};

/// The longest key package, in bytes. One of layercast has some 400, and less than this with the longest name and all caps.
/// Those of all who may be at the door have to fit into what may wait for the organizer's connection.
const MAX_KEY_PACKAGE: usize = 1024;

/// Who knocks, once the credential is believed.
enum Who {
    /// Somebody new.
    New { account: Option<AccountId>, outsider: bool, invitation: Option<Hash> },
    /// Somebody of the roster, with its token, or by its account without one.
    Known { number: u32, token: Option<Secret> },
}

impl Desk {
    #[allow(clippy::too_many_arguments, reason = "the fields of the request")]
    pub(super) fn join(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: &MeetingId,
        credential: &Credential,
        name: Text,
        keys: Option<KeyPackages>,
        seen: u64,
    ) -> Handled {
        if self.connections.get(&connection).is_none_or(|state| state.place.is_some()) {
            return Err(Refusal::NotNow.into());
        }
        // The session comes first, so that the door tells strangers nothing.
        let session = match credential {
            Credential::Account => Some(self.credentials(now, connection)?),
            Credential::Invitation(_) | Credential::Return(_) => None,
        };
        let packages = keys.iter().flat_map(|keys| [Some(&keys.meeting), keys.insiders.as_ref()]).flatten();
        if packages.into_iter().any(|package| package.0.len() > MAX_KEY_PACKAGE) {
            return Err(Refusal::Malformed.into());
        }
        let key = self.load(now, id.0.as_str())?.ok_or(Refusal::NoMeeting)?;
        let meeting = self.meetings.get(&key).ok_or(Refusal::NoMeeting)?;
        let who = match (credential, session) {
            (Credential::Account, Some(session)) => match meeting.of_account(session.account) {
                Some(number) => Who::Known { number, token: None },
                None => {
                    Who::New { account: Some(session.account), outsider: session.outsider, invitation: None }
                }
            },
            (Credential::Invitation(code), _) => {
                let hash = Hash::of(code.expose());
                if !self.store.invitation_is_open(hash, &meeting.id)? {
                    return Err(Refusal::Invitation.into());
                }
                Who::New { account: None, outsider: true, invitation: Some(hash) }
            }
            (Credential::Return(token), _) => {
                let hash = Hash::of(token.expose());
                let number = meeting.participants.iter().find(|(_, p)| p.token == hash);
                let number = *number.ok_or(Refusal::NoParticipant)?.0;
                Who::Known { number, token: Some(token.clone()) }
            }
            (Credential::Account, None) => return Err(Refusal::NoSession.into()),
        };
        match who {
            Who::New { account, outsider, invitation } => {
                let new = (account, outsider, invitation);
                self.join_new(now, connection, key, new, name, keys)
            }
            Who::Known { number, token } => {
                self.join_known(now, connection, key, (number, token), name, keys, seen)
            }
        }
    }

    fn join_new(
        &mut self,
        now: Now,
        connection: ConnectionId,
        key: MeetingKey,
        (account, outsider, invitation): (Option<AccountId>, bool, Option<Hash>),
        name: Text,
        keys: Option<KeyPackages>,
    ) -> Handled {
        let meeting = self.meetings.get(&key).ok_or(Refusal::NoMeeting)?;
        let role = match account {
            None => Role::Guest,
            Some(account) if account == meeting.organizer => Role::Organizer,
            Some(_) => Role::Member,
        };
        let is_organizer = role == Role::Organizer;
        if !is_organizer {
            if meeting.locked {
                return Err(Refusal::Locked.into());
            }
            if keys.is_none() {
                return Err(Refusal::Malformed.into());
            }
            if meeting.participants.len() >= self.config.roster {
                return Err(Refusal::TooMany.into());
            }
        }
        if is_organizer {
            self.lose_group(now, key, None)?;
        }
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
        let token = secrets::token()?;
        let state = if is_organizer { State::In } else { State::Waiting };
        let rights = Rights::of(role);
        let hash = Hash::of(token.expose());
        let new = NewParticipant { account, outsider, token: hash, state, rights, invitation };
        let number = self.store.join(&meeting.id, &new, now.unix)?.ok_or(Refusal::Invitation)?;
        let participant = Participant {
            account,
            outsider,
            token: hash,
            state,
            was_in: is_organizer,
            rights,
            since: [None; 2],
            name: Some(name),
            keys,
            connection: Some(connection),
            absent_since: now.at,
            in_media: false,
            knocks: Bucket::new(KNOCKS),
            streams: Bucket::new(STREAMS),
            sayings: Bucket::new(SAYINGS),
        };
        meeting.participants.insert(number, participant);
        self.arrive(now, connection, key, number, token, 0)
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of the request")]
    fn join_known(
        &mut self,
        now: Now,
        connection: ConnectionId,
        key: MeetingKey,
        (number, token): (u32, Option<Secret>),
        name: Text,
        keys: Option<KeyPackages>,
        seen: u64,
    ) -> Handled {
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
        let participant = meeting.participants.get_mut(&number).ok_or(Refusal::NoParticipant)?;
        if participant.state == State::Removed {
            return Err(Refusal::Removed.into());
        }
        if !participant.knocks.take(KNOCKS, now.at) {
            return Err(Refusal::TooMany.into());
        }
        let meeting = self.meetings.get(&key).ok_or(Refusal::NoMeeting)?;
        let participant = meeting.participants.get(&number).ok_or(Refusal::NoParticipant)?;
        let is_organizer = meeting.role(participant) == Role::Organizer;
        let keeps_group = token.is_some() && keys.is_none();
        if keeps_group && !meeting.can_resume(participant, seen) {
            return Err(Refusal::NotNow.into());
        }
        if !keeps_group && !is_organizer {
            if keys.is_none() {
                return Err(Refusal::NotNow.into());
            }
            if meeting.locked && participant.state == State::Left {
                return Err(Refusal::Locked.into());
            }
        }
        if !keeps_group && is_organizer {
            self.lose_group(now, key, Some(number))?;
        }
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
        let (token, new_token) = match token {
            Some(token) => (token, None),
            None => {
                let token = secrets::token()?;
                let hash = Hash::of(token.expose());
                (token, Some(hash))
            }
        };
        let state = if keeps_group || is_organizer { State::In } else { State::Waiting };
        if !keeps_group {
            self.store.renew(&meeting.id, number, new_token, state, now.unix)?;
        }
        let was_present = meeting.participants.get(&number).is_some_and(Participant::is_present);
        self.take_over(now, key, number);
        if !keeps_group {
            self.leave_media(key, number);
        }
        if was_present && state == State::Waiting {
            let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
            let to = meeting.present_but(Some(number));
            if to.is_empty() {
                meeting.empty_since = now.at;
            }
            self.send(to, Event::Away { participant: ParticipantId(number) });
        }
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
        let participant = meeting.participants.get_mut(&number).ok_or(Refusal::NoParticipant)?;
        participant.state = state;
        participant.name = Some(name);
        participant.connection = Some(connection);
        if let Some(hash) = new_token {
            participant.token = hash;
        }
        if !keeps_group {
            participant.keys = keys;
            participant.since = [None; 2];
        }
        self.arrive(now, connection, key, number, token, seen)
    }

    /// Somebody is at the door, or in if its state says so.
    fn arrive(
        &mut self,
        now: Now,
        connection: ConnectionId,
        key: MeetingKey,
        number: u32,
        token: Secret,
        seen: u64,
    ) -> Handled {
        let meeting = self.meetings.get(&key).ok_or(Refusal::NoMeeting)?;
        let participant = meeting.participants.get(&number).ok_or(Refusal::NoParticipant)?;
        let admission = Admission {
            participant: ParticipantId(number),
            role: meeting.role(participant),
            token,
            title: meeting.title.clone(),
            region: self.config.region.clone(),
            storage: storage(self.config.history),
        };
        let is_in = participant.state == State::In;
        if let Some(state) = self.connections.get_mut(&connection) {
            state.place = Some((key, number));
        }
        if is_in {
            self.enter(now, key, number, seen);
        } else if let (Some(organizer), Some(asked)) = (meeting.organizer_connection(), meeting.asked(number))
        {
            self.send(vec![organizer], asked);
        }
        Ok(Some(Answer::Joined(admission)))
    }

    /// Somebody whom the store has as being in comes in, or comes back: it and the others are told, and its media flows.
    pub(super) fn enter(&mut self, now: Now, key: MeetingKey, number: u32, seen: u64) {
        let Some(meeting) = self.meetings.get_mut(&key) else { return };
        let is_new_to_media = !std::mem::replace(&mut meeting.in_media, true);
        meeting.has_started = true;
        let Some(participant) = meeting.participants.get_mut(&number) else { return };
        let Some(connection) = participant.connection else { return };
        participant.state = State::In;
        participant.was_in = true;
        participant.keys = None;
        let joins_media = !std::mem::replace(&mut participant.in_media, true);
        // Who founds the meeting may have begun the group of the insiders alone.
        let (rights, since) = (participant.rights, participant.since[0].or(participant.since[1]));
        let meeting = &*meeting;

        let mut commands = Vec::new();
        if is_new_to_media {
            commands.push(MediaCommand::OpenMeeting { meeting: key });
        }
        if joins_media {
            commands.push(MediaCommand::Join { meeting: key, participant: ParticipantId(number) });
            let caps = meeting.caps_of_viewer(number);
            commands.extend(caps.map(|(stream, max)| meeting.cap_command(number, stream, Some(max))));
        }

        let is_organizer = meeting.organizer_number() == Some(number);
        let begins = is_organizer && meeting.epochs[0] == 0;
        let mut events = vec![Event::Admitted { rights, messages: meeting.last_message, begins }];
        let others: Vec<_> = meeting.participants.iter().filter(|(n, _)| **n != number).collect();
        for (other, participant) in &others {
            if participant.state == State::In {
                events.extend(meeting.arrival(**other));
                if participant.connection.is_none() && participant.name.is_some() {
                    events.push(Event::Away { participant: ParticipantId(**other) });
                }
            }
        }
        events.extend(meeting.streams.values().map(|stream| Event::Published(*stream)));
        events.extend(meeting.limit_events());
        if meeting.locked {
            events.push(Event::Locked { locked: true });
        }
        if is_organizer {
            events.extend(others.iter().filter_map(|(other, _)| meeting.asked(**other)));
        }
        let arrival = meeting.arrival(number);
        let present = meeting.present_but(Some(number));
        // Nothing if it is in no group yet.
        let from = since.map(|since| since.max(seen)).filter(|from| *from < meeting.last_message);

        commands.into_iter().for_each(|command| self.media(command));
        for event in events {
            self.send(vec![connection], event);
        }
        if let (Some(from), Some(state)) = (from, self.connections.get_mut(&connection)) {
            state.unsent = Some(from);
            self.send_log(now, connection, LOG_PART);
        }
        if let Some(arrival) = arrival {
            self.send(present, arrival);
        }
    }

    /// The organizer has no group any more, or has none yet while others are in: everybody else is at the door, and knocks
    /// anew.
    fn lose_group(&mut self, now: Now, key: MeetingKey, organizer: Option<u32>) -> Result<(), StoreError> {
        let Some(meeting) = self.meetings.get_mut(&key) else { return Ok(()) };
        let others = meeting.participants.iter().filter(|(number, _)| Some(**number) != organizer);
        let inside: Vec<u32> = others.filter(|(_, p)| p.state == State::In).map(|(n, _)| *n).collect();
        if meeting.epochs == [0; 2] && inside.is_empty() {
            return Ok(());
        }
        self.store.lose_group(&meeting.id, organizer)?;
        meeting.epochs = [0; 2];
        meeting.proposed.clear();
        meeting.log.clear();
        meeting.log_bytes = 0;
        for participant in meeting.participants.values_mut() {
            participant.since = [None; 2];
        }
        for number in inside {
            self.leave_media(key, number);
            let Some(meeting) = self.meetings.get_mut(&key) else { return Ok(()) };
            let Some(participant) = meeting.participants.get_mut(&number) else { continue };
            participant.state = State::Waiting;
            // Its key package belonged to a group that is gone.
            participant.keys = None;
            if let Some(connection) = participant.connection.take() {
                participant.absent_since = now.at;
                self.unseat(connection);
                self.send(vec![connection], Event::GroupLost);
            }
        }
        Ok(())
    }

    /// Somebody who comes back takes its place from the connection that it had.
    fn take_over(&mut self, now: Now, key: MeetingKey, number: u32) {
        let participant = self.meetings.get_mut(&key).and_then(|m| m.participants.get_mut(&number));
        let Some(connection) = participant.and_then(|participant| participant.connection.take()) else {
            return;
        };
        self.unseat(connection);
        self.close(now, connection);
    }

    /// A connection is at no meeting any more.
    pub(super) fn unseat(&mut self, connection: ConnectionId) {
        if let Some(state) = self.connections.get_mut(&connection) {
            (state.place, state.unsent) = (None, None);
        }
    }

    /// Somebody's media ends: no packet goes to it or comes from it after this.
    pub(super) fn leave_media(&mut self, key: MeetingKey, number: u32) {
        let Some(meeting) = self.meetings.get_mut(&key) else { return };
        let Some(participant) = meeting.participants.get_mut(&number) else { return };
        let was_in_media = std::mem::take(&mut participant.in_media);
        let ended = meeting.streams.extract_if(.., |_, stream| stream.participant.0 == number);
        let ended: Vec<u32> = ended.map(|(stream, _)| stream).collect();
        let others = meeting.present_but(Some(number));
        if was_in_media {
            self.media(MediaCommand::Leave { meeting: key, participant: ParticipantId(number) });
        }
        for stream in ended {
            self.send(others.clone(), Event::Unpublished { stream });
        }
    }

    /// The connection of somebody is gone.
    pub(super) fn lose_connection(&mut self, now: Now, key: MeetingKey, number: u32) {
        let Some(meeting) = self.meetings.get_mut(&key) else { return };
        let Some(participant) = meeting.participants.get_mut(&number) else { return };
        let was_present = participant.is_present();
        participant.connection = None;
        participant.absent_since = now.at;
        let event = Event::Away { participant: ParticipantId(number) };
        let to = match participant.state {
            State::In => meeting.present_but(Some(number)),
            State::Waiting => meeting.organizer_connection().into_iter().collect(),
            State::Left | State::Removed => return,
        };
        if was_present && meeting.is_empty() {
            meeting.empty_since = now.at;
        }
        self.send(to, event);
    }

    pub(super) fn leave(&mut self, now: Now, connection: ConnectionId) -> Handled {
        let place = self.connections.get(&connection).and_then(|state| state.place);
        let (key, number) = place.ok_or(Refusal::NotNow)?;
        self.depart(now, key, number)?;
        self.unseat(connection);
        DONE
    }

    /// Somebody leaves, or has been away for too long.
    pub(super) fn depart(&mut self, now: Now, key: MeetingKey, number: u32) -> Result<(), Failure> {
        let meeting = self.meetings.get(&key).ok_or(Refusal::NoMeeting)?;
        let participant = meeting.participants.get(&number).ok_or(Refusal::NoParticipant)?;
        let (was_in, was_present) = (participant.state == State::In, participant.is_present());
        self.store.set_state(&meeting.id, number, State::Left, now.unix)?;
        self.leave_media(key, number);
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NoMeeting)?;
        if let Some(participant) = meeting.participants.get_mut(&number) {
            participant.state = State::Left;
            participant.keys = None;
            participant.connection = None;
            participant.absent_since = now.at;
        }
        if was_present && meeting.is_empty() {
            meeting.empty_since = now.at;
        }
        let to = if was_in {
            meeting.present_but(None)
        } else {
            meeting.organizer_connection().into_iter().collect()
        };
        self.send(to, Event::Left { participant: ParticipantId(number) });
        Ok(())
    }

    /// A meeting is over for all.
    pub(super) fn finish(&mut self, now: Now, key: MeetingKey, why: EndReason) -> Result<(), StoreError> {
        let Some(meeting) = self.meetings.get(&key) else { return Ok(()) };
        self.store.end_meeting(&meeting.id, self.config.history, now.unix)?;
        self.dissolve(key, why);
        Ok(())
    }

    /// Forgets a meeting that the store no longer has.
    pub(super) fn dissolve(&mut self, key: MeetingKey, why: EndReason) {
        let Some(meeting) = self.meetings.remove(&key) else { return };
        self.by_id.remove(&meeting.id);
        if meeting.in_media {
            self.media(MediaCommand::CloseMeeting { meeting: key });
        }
        let connections: Vec<_> = connections(&meeting).collect();
        connections.iter().for_each(|connection| self.unseat(*connection));
        self.send(connections, Event::Ended { why });
    }
}

fn connections(meeting: &Meeting) -> impl Iterator<Item = ConnectionId> {
    meeting.participants.values().filter_map(|participant| participant.connection)
}

/// What a participant is told about what is kept.
pub(super) fn storage(rule: HistoryRule) -> String {
    let during = "During the meeting the relay stores who takes part (by number and account), what each may do, and \
                  encrypted messages of MLS; it deletes them when the meeting ends.";
    match rule {
        HistoryRule::Off => format!("{during} Nothing of the meeting is kept after that."),
        HistoryRule::Days(days) => format!(
            "{during} The title, the times and the names of the accounts that took part are kept for {days} days."
        ),
    }
}
