//! MLS's delivery service: it orders what the groups say, and keeps it for those who are away for a moment (RFC 9750,
//! section 5.2). It reads none of it.

use layercast_meeting::{Bytes, Event, Group, MlsMessage, ParticipantId, Refusal, Role};

use super::meeting::{Meeting, Participant, group_index};
use super::{AuditEvent, ConnectionId, DONE, Desk, DeskOutput, Failure, Handled, Now, numbers};
use crate::store::{CommitRecord, LogBounds, State, StoredMessage};

/// The longest proposal, in bytes. One to leave has some 300.
const MAX_PROPOSAL: usize = 2048;

/// Of what one who comes back has missed, so many bytes are read and sent at once. The rest follows when they have left.
pub(super) const LOG_PART: usize = 256 << 10;

/// A commit, as it was brought.
pub(super) struct Commit {
    pub group: Group,
    pub epoch: u64,
    pub message: Bytes,
    pub welcome: Option<Bytes>,
    pub added: Vec<ParticipantId>,
    pub removed: Vec<ParticipantId>,
}

impl Desk {
    pub(super) fn commit(&mut self, now: Now, connection: ConnectionId, commit: Commit) -> Handled {
        let (meeting, number) = self.place(connection)?;
        let Commit { group, epoch, message, welcome, added, removed } = commit;
        let (added, removed) = (numbers(&added), numbers(&removed));
        let participant = meeting.participants.get(&number).ok_or(Refusal::NotNow)?;
        let is_organizer = meeting.role(participant) == Role::Organizer;
        // The relay cannot read a commit. If any member could bring one, a member could bring garbage: it would end the epoch
        // here, and nobody could follow.
        if !is_organizer {
            return Err(Refusal::NotOrganizer.into());
        }
        let begins = meeting.epochs[group_index(group)] == 0;
        check_epoch(meeting, group, epoch)?;
        if !begins {
            check_membership(meeting, number, group)?;
        }
        if added.is_empty() != welcome.is_none() {
            return Err(Refusal::Malformed.into());
        }
        // Whoever was in before needs a new welcome and no new decision: the commit lets it in.
        let returns = |p: &Participant| {
            group == Group::Meeting && p.state == State::Waiting && p.was_in && p.connection.is_some()
        };
        let may_be_added = |p: &Participant| p.state == State::In || returns(p);
        let is_in = |number: &u32| meeting.participants.get(number).is_some_and(may_be_added);
        if !added.iter().all(is_in) || added.contains(&number) {
            return Err(Refusal::NoParticipant.into());
        }
        let returning = added.iter().filter(|n| meeting.participants.get(n).is_some_and(returns));
        let returning: Vec<u32> = returning.copied().collect();
        let key = meeting.key;
        let record = Record {
            group,
            number,
            message: &message,
            is_commit: true,
            begins,
            added: &added,
            removed: &removed,
        };
        let (to, message_number) = self.append(connection, &record)?;

        for number in returning {
            self.enter(now, key, number, 0);
        }
        if let Some(welcome) = welcome {
            let (meeting, _) = self.place(connection)?;
            let connections = added.iter().filter_map(|n| meeting.participants.get(n)?.connection);
            let connections: Vec<_> = connections.collect();
            // A welcome comes after all that was before it.
            connections.iter().for_each(|connection| self.send_log(now, *connection, usize::MAX));
            self.send(connections, Event::Welcome { group, number: message_number, message: welcome });
        }
        self.pass_on(to, group, number, message_number, message);
        DONE
    }

    pub(super) fn propose(
        &mut self,
        connection: ConnectionId,
        group: Group,
        epoch: u64,
        message: Bytes,
    ) -> Handled {
        let (meeting, number) = self.place(connection)?;
        check_epoch(meeting, group, epoch)?;
        check_membership(meeting, number, group)?;
        if message.0.len() > MAX_PROPOSAL {
            return Err(Refusal::Malformed.into());
        }
        // To leave is proposed once. All that members bring is kept, and goes to everybody.
        if !meeting.proposed.insert((number, group)) {
            return Err(Refusal::TooMany.into());
        }
        let record = Record {
            group,
            number,
            message: &message,
            is_commit: false,
            begins: false,
            added: &[],
            removed: &[],
        };
        let (to, message_number) = self.append(connection, &record)?;
        self.pass_on(to, group, number, message_number, message);
        DONE
    }

    /// Keeps a message. Who gets it, and its number.
    fn append(
        &mut self,
        connection: ConnectionId,
        record: &Record<'_>,
    ) -> Result<(Vec<ConnectionId>, u64), Failure> {
        let bounds = self.config.log;
        let (meeting, _) = self.place(connection)?;
        let (key, id) = (meeting.key, meeting.id.clone());
        let drop_through = overflow(meeting, bounds, record.message.0.len());
        let stored = CommitRecord {
            group: record.group,
            sender: record.number,
            message: &record.message.0,
            is_commit: record.is_commit,
            founder: record.begins.then_some(record.number),
            added: record.added,
            removed: record.removed,
            drop_through,
        };
        let number = self.store.append(&id, &stored)?;
        let meeting = self.meetings.get_mut(&key).ok_or(Refusal::NotNow)?;
        let members = meeting.participants.iter().filter(|(n, p)| {
            p.state == State::In
                && (p.since[0].is_some() || **n == record.number)
                && !(record.group == Group::Meeting && record.added.contains(n) && **n != record.number)
        });
        // Who has not been sent what came before gets this with it.
        let has_all =
            |at: &ConnectionId| self.connections.get(at).is_some_and(|state| state.unsent.is_none());
        let to = members.filter_map(|(_, p)| p.connection).filter(has_all).collect();
        while meeting.log.front().is_some_and(|(number, _)| *number <= drop_through) {
            meeting.log_bytes -= meeting.log.pop_front().map_or(0, |(_, bytes)| bytes);
        }
        meeting.log.push_back((number, record.message.0.len()));
        meeting.log_bytes += record.message.0.len();
        meeting.last_message = number;
        let group = group_index(record.group);
        if record.is_commit {
            meeting.epochs[group] += 1;
            meeting.proposed.retain(|(_, of)| *of != record.group);
        }
        for removed in record.removed {
            if let Some(participant) = meeting.participants.get_mut(removed) {
                participant.since[group] = None;
            }
        }
        if record.begins
            && let Some(founder) = meeting.participants.get_mut(&record.number)
        {
            founder.since[group] = Some(number - 1);
        }
        for added in record.added {
            if let Some(participant) = meeting.participants.get_mut(added) {
                participant.since[group] = Some(number);
            }
        }
        Ok((to, number))
    }

    /// What was sent to a connection before [`DeskOutput::Mark`] has left.
    pub fn handle_sent(&mut self, now: Now, connection: ConnectionId) {
        self.send_log(now, connection, LOG_PART);
    }

    /// Sends one who comes back some of what it has missed, if there is more.
    pub(super) fn send_log(&mut self, now: Now, connection: ConnectionId, bytes: usize) {
        let Some(state) = self.connections.get_mut(&connection) else { return };
        let (Some((key, _)), Some(from)) = (state.place, state.unsent.take()) else { return };
        let Some(meeting) = self.meetings.get(&key) else { return };
        let messages = match self.store.messages_after(&meeting.id, from, bytes) {
            Ok(messages) => messages,
            Err(error) => {
                self.out.push_back(DeskOutput::Log(AuditEvent::failed("log", &error)));
                return self.close(now, connection);
            }
        };
        // What is next had to make room meanwhile: without it nobody can follow, and one comes back with another key package.
        if messages.first().is_some_and(|message| message.number != from + 1) {
            return self.close(now, connection);
        }
        let through = messages.last().map_or(from, |message| message.number);
        if through < meeting.last_message
            && let Some(state) = self.connections.get_mut(&connection)
        {
            state.unsent = Some(through);
        }
        let is_all = through >= meeting.last_message;
        for StoredMessage { group, number, sender, message } in messages {
            self.pass_on(vec![connection], group, sender, number, Bytes(message));
        }
        if !is_all {
            self.out.push_back(DeskOutput::Mark { connection });
        }
    }

    fn pass_on(&mut self, to: Vec<ConnectionId>, group: Group, from: u32, number: u64, message: Bytes) {
        let from = ParticipantId(from);
        self.send(to, Event::Mls(MlsMessage { group, number, from, message }));
    }
}

struct Record<'a> {
    group: Group,
    number: u32,
    message: &'a Bytes,
    is_commit: bool,
    begins: bool,
    added: &'a [u32],
    removed: &'a [u32],
}

fn check_epoch(meeting: &Meeting, group: Group, epoch: u64) -> Result<(), Refusal> {
    if meeting.epochs[group_index(group)] == epoch { Ok(()) } else { Err(Refusal::StaleEpoch) }
}

fn check_membership(meeting: &Meeting, number: u32, group: Group) -> Result<(), Refusal> {
    let since = meeting.participants.get(&number).and_then(|p| p.since[group_index(group)]);
    if since.is_some() { Ok(()) } else { Err(Refusal::NotAllowed) }
}

/// Up to which number messages have to go to make room for one more.
fn overflow(meeting: &Meeting, bounds: LogBounds, bytes: usize) -> u64 {
    let (mut count, mut sum) = (meeting.log.len() + 1, meeting.log_bytes + bytes);
    let mut through = 0;
    for (number, bytes) in &meeting.log {
        if count <= bounds.messages && sum <= bounds.bytes {
            break;
        }
        count -= 1;
        sum -= bytes;
        through = *number;
    }
    through
}
