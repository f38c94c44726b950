//! Logins, sessions, and what an account may do before a meeting.

use std::net::IpAddr;

use layercast_meeting::{Answer, MeetingId, Refusal, Secret, Session, Text};

use super::{ConnectionId, DONE, Desk, DeskOutput, Failure, Handled, JobId, Login, Now, Pending};
use crate::secrets;
use crate::store::{Credentials, Hash, State};

/// Meetings that an account may plan or hold at once.
const MAX_MEETINGS: u64 = 500;

/// Whoever has an IPv6 address has 2^64 of them.
pub(crate) fn network(remote: IpAddr) -> IpAddr {
    match remote.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

impl Desk {
    pub(super) fn login(
        &mut self,
        now: Now,
        connection: ConnectionId,
        id: u32,
        name: Text,
        password: Secret,
    ) -> Handled {
        let state = self.connections.get_mut(&connection).ok_or(Refusal::NotNow)?;
        if self.logins.len() >= self.config.verifications
            || !self.address_logins.take(network(state.remote), now.at)
            || !self.account_logins.take((name.as_str(), network(state.remote)), now.at)
            || !self.all_account_logins.take(name.as_str(), now.at)
        {
            return Err(Refusal::TooMany.into());
        }
        let found = self.store.account_to_verify(name.as_str())?;
        let (account, hash) = match found {
            Some(found) => (Some(found.id), found.password),
            None => (None, self.config.dummy_hash.clone()),
        };
        self.last_job += 1;
        let job = JobId(self.last_job);
        state.pending = Some((id, Pending::Verify));
        self.logins.insert(job, Login { connection, account, name });
        self.out.push_back(DeskOutput::Verify { job, hash, password });
        Ok(None)
    }

    pub(super) fn finish_login(&mut self, now: Now, login: &Login, is_right: bool) -> Handled {
        let account = login.account.filter(|_| is_right).ok_or(Refusal::WrongCredentials)?;
        let token = secrets::token()?;
        let hash = Hash::of(token.expose());
        let expires_in = self.config.session;
        if !self.store.add_session(hash, account, now.unix.saturating_add(expires_in))? {
            return Err(Refusal::WrongCredentials.into());
        }
        self.all_account_logins.give_back(login.name.as_str());
        if let Some(state) = self.connections.get_mut(&login.connection) {
            self.account_logins.give_back((login.name.as_str(), network(state.remote)));
            state.session = Some(hash);
        }
        Ok(Some(Answer::Session(Session { token, expires_in })))
    }

    pub(super) fn resume_session(&mut self, now: Now, connection: ConnectionId, token: &Secret) -> Handled {
        let hash = Hash::of(token.expose());
        let found = self.store.session(hash, now.unix)?.ok_or(Refusal::NoSession)?;
        let state = self.connections.get_mut(&connection).ok_or(Refusal::NotNow)?;
        state.session = Some(hash);
        let expires_in = found.expires.saturating_sub(now.unix);
        Ok(Some(Answer::Session(Session { token: token.clone(), expires_in })))
    }

    pub(super) fn logout(&mut self, now: Now, connection: ConnectionId) -> Handled {
        self.credentials(now, connection)?;
        let state = self.connections.get(&connection).ok_or(Refusal::NotNow)?;
        let hash = state.session.ok_or(Refusal::NoSession)?;
        self.store.end_session(hash)?;
        for state in self.connections.values_mut().filter(|state| state.session == Some(hash)) {
            state.session = None;
        }
        DONE
    }

    /// Whose session a connection is in, as the database says at this moment.
    pub(super) fn credentials(&self, now: Now, connection: ConnectionId) -> Result<Credentials, Failure> {
        let hash = self.connections.get(&connection).and_then(|state| state.session);
        let found = self.store.session(hash.ok_or(Refusal::NoSession)?, now.unix)?;
        Ok(found.ok_or(Refusal::NoSession)?)
    }

    pub(super) fn plan(&mut self, now: Now, connection: ConnectionId, title: &Text) -> Handled {
        let account = self.credentials(now, connection)?.account;
        if self.store.meetings_of(account)? >= MAX_MEETINGS {
            return Err(Refusal::TooMany.into());
        }
        let id = secrets::meeting_id()?;
        if !self.store.plan(&id, title.as_str(), account, now.unix)? {
            return Err(Refusal::NoSession.into());
        }
        Ok(Some(Answer::Planned(MeetingId(Text::new(&id).ok_or(Refusal::Failed)?))))
    }

    pub(super) fn appoint(
        &mut self,
        now: Now,
        connection: ConnectionId,
        meeting: &MeetingId,
        account: &Text,
    ) -> Handled {
        let id = meeting.0.as_str();
        let has_started = self.organizes(now, connection, id)?;
        if has_started {
            // The group of MLS has to say so too: that is a hand-over.
            return Err(Refusal::NotNow.into());
        }
        let account = self.store.account(account.as_str())?.ok_or(Refusal::NoAccount)?.id;
        self.store.set_organizer(id, account)?;
        let Some(meeting) = self.by_id.get(id).and_then(|key| self.meetings.get_mut(key)) else {
            return DONE;
        };
        meeting.organizer = account;
        // The new organizer may wait at the door already.
        let key = meeting.key;
        let waits = |number: &u32| {
            let participant = meeting.participants.get(number);
            participant.is_some_and(|p| p.state == State::Waiting && p.connection.is_some())
        };
        if let Some(number) = meeting.of_account(account).filter(waits) {
            self.store.set_state(id, number, State::In, now.unix)?;
            self.enter(now, key, number, 0);
        }
        DONE
    }

    pub(super) fn invite(&mut self, now: Now, connection: ConnectionId, meeting: &MeetingId) -> Handled {
        let id = meeting.0.as_str();
        self.organizes(now, connection, id)?;
        let code = secrets::code()?;
        if !self.store.add_invitation(Hash::of(code.expose()), id)? {
            return Err(Refusal::TooMany.into());
        }
        Ok(Some(Answer::Invitation(code)))
    }

    /// That the connection's account is the organizer of the meeting, and whether somebody has been in it.
    fn organizes(&self, now: Now, connection: ConnectionId, meeting: &str) -> Result<bool, Failure> {
        let account = self.credentials(now, connection)?.account;
        let (organizer, has_started) = self.store.organizer(meeting)?.ok_or(Refusal::NoMeeting)?;
        if organizer == account { Ok(has_started) } else { Err(Refusal::NotOrganizer.into()) }
    }
}
