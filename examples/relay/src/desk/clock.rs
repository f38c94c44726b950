//! What time brings, and what other processes do to the database.

use std::time::Duration;

use layercast_meeting::{EndReason, Event, ParticipantId, Refusal, Role};

use super::{AuditEvent, Desk, DeskOutput, Now, Pending};
use crate::media_api::MeetingKey;
use crate::store::{State, StoreError};

/// How often the desk looks for what is over.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the store is rid of what is kept no longer.
const RETENTION: Duration = Duration::from_secs(60 * 60);
/// How long the media side may take to make a link.
const LINK: Duration = Duration::from_secs(5);

impl Desk {
    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        if now.at < self.next_sweep {
            return;
        }
        self.next_sweep = now.at + SWEEP;
        self.log_unlogged();
        if now.at >= self.next_retention {
            self.next_retention = now.at + RETENTION;
            if let Err(error) = self.store.enforce_retention(self.config.history, now.unix) {
                self.out.push_back(DeskOutput::Log(AuditEvent::failed("retention", &error)));
            }
            self.compare_with_store(now);
        } else {
            self.notice_others(now);
        }
        self.end_waits(now);
        let keys: Vec<_> = self.meetings.keys().copied().collect();
        for key in keys {
            if let Err(error) = self.sweep(now, key) {
                self.out.push_back(DeskOutput::Log(AuditEvent::failed("sweep", &error)));
            }
        }
        for state in self.connections.values_mut() {
            if state.session.is_some() || state.place.is_some() {
                state.idle_since = now.at;
            }
        }
        let idle = self.config.idle;
        let idle = self.connections.iter().filter(|(_, state)| {
            state.session.is_none()
                && state.place.is_none()
                && now.at.saturating_sub(state.idle_since) >= idle
        });
        let idle: Vec<_> = idle.map(|(connection, _)| *connection).collect();
        idle.into_iter().for_each(|connection| self.close(now, connection));
    }

    fn end_waits(&mut self, now: Now) {
        let late = self.connections.values().filter_map(|state| match state.pending {
            Some((_, Pending::Link(reply, since))) if now.at.saturating_sub(since) >= LINK => Some(reply),
            _ => None,
        });
        let late: Vec<_> = late.collect();
        late.into_iter().for_each(|reply| self.answer_link(now, reply, Err(Refusal::Failed.into())));
    }

    fn sweep(&mut self, now: Now, key: MeetingKey) -> Result<(), StoreError> {
        let Some(meeting) = self.meetings.get(&key) else { return Ok(()) };
        let grace = self.config.grace;
        // Nobody but the organizer could bring the organizer back, so it is waited for.
        let gone = meeting.participants.iter().filter(|(_, p)| {
            matches!(p.state, State::In | State::Waiting)
                && p.connection.is_none()
                && now.at.saturating_sub(p.absent_since) >= grace
                && !(p.state == State::In && meeting.role(p) == Role::Organizer)
        });
        let gone: Vec<u32> = gone.map(|(number, _)| *number).collect();
        let is_over = meeting.is_empty() && now.at.saturating_sub(meeting.empty_since) >= self.config.empty;
        let is_unused = !meeting.has_started && meeting.participants.values().all(|p| p.connection.is_none());
        if meeting.has_started && is_over {
            self.log(now, "over", Some(key), None, None);
            return self.finish(now, key, EndReason::Empty);
        }
        for number in gone {
            // It fails if the database does: then it is tried again.
            if self.depart(now, key, number).is_ok() {
                self.log(now, "lost", Some(key), Some(number), None);
            }
        }
        if is_unused && let Some(meeting) = self.meetings.remove(&key) {
            self.by_id.remove(&meeting.id);
        }
        Ok(())
    }

    /// Looks whether an operator's command changed the database.
    pub(super) fn notice_others(&mut self, now: Now) {
        match self.store.was_changed_by_others() {
            Ok(false) => {}
            Ok(true) => self.compare_with_store(now),
            Err(error) => self.out.push_back(DeskOutput::Log(AuditEvent::failed("database", &error))),
        }
    }

    /// Sessions, accounts and meetings that the database no longer has are over.
    fn compare_with_store(&mut self, now: Now) {
        if let Err(error) = self.try_to_compare(now) {
            self.out.push_back(DeskOutput::Log(AuditEvent::failed("database", &error)));
        }
    }

    fn try_to_compare(&mut self, now: Now) -> Result<(), StoreError> {
        for state in self.connections.values_mut() {
            if let Some(hash) = state.session
                && self.store.session(hash, now.unix)?.is_none()
            {
                state.session = None;
            }
        }
        let keys: Vec<_> = self.meetings.keys().copied().collect();
        for key in keys {
            let Some(meeting) = self.meetings.get_mut(&key) else { continue };
            let Some((organizer, _)) = self.store.organizer(&meeting.id)? else {
                self.log(now, "over", Some(key), None, None);
                self.dissolve(key, EndReason::Forgotten);
                continue;
            };
            meeting.organizer = organizer;
            let accounts = meeting.participants.iter().filter_map(|(number, p)| Some((*number, p.account?)));
            let mut forgotten = Vec::new();
            for (number, account) in accounts {
                if !self.store.has_account(account)? {
                    forgotten.push(number);
                }
            }
            forgotten.into_iter().for_each(|number| self.forget(now, key, number));
        }
        Ok(())
    }

    /// The account of a participant is no more.
    fn forget(&mut self, now: Now, key: MeetingKey, number: u32) {
        self.leave_media(key, number);
        let Some(meeting) = self.meetings.get_mut(&key) else { return };
        let Some(participant) = meeting.participants.remove(&number) else { return };
        meeting.limits.retain(|(owner, _), _| *owner != number);
        if participant.is_present() && meeting.is_empty() {
            meeting.empty_since = now.at;
        }
        let to = match participant.state {
            State::In => meeting.present_but(None),
            State::Waiting => meeting.organizer_connection().into_iter().collect(),
            State::Left | State::Removed => return,
        };
        self.send(to, Event::Left { participant: ParticipantId(number) });
        if let Some(connection) = participant.connection {
            self.unseat(connection);
            self.close(now, connection);
        }
        self.log(now, "forgotten", Some(key), Some(number), None);
    }
}
