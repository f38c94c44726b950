//! Meetings: planned, running and over.

use layercast_meeting::{Audience, Group, Rights};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{AccountId, Hash, Store, StoreError};

/// Invitations that a meeting may have at once, used and unused.
const MAX_INVITATIONS: i64 = 2000;

/// A planned meeting that nobody attends is deleted after 90 days, in seconds.
const PLANNED: u64 = 90 * DAY;
const DAY: u64 = 24 * 60 * 60;

/// Where somebody of a roster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// At the door.
    Waiting,
    /// In the meeting, or away for a moment.
    In,
    /// Left, or away for too long: may knock again.
    Left,
    /// Removed by the organizer, for good.
    Removed,
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let code = match self {
            Self::Waiting => 0,
            Self::In => 1,
            Self::Left => 2,
            Self::Removed => 3,
        };
        Ok(ToSqlOutput::from(code))
    }
}

impl FromSql for State {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Waiting),
            1 => Ok(Self::In),
            2 => Ok(Self::Left),
            3 => Ok(Self::Removed),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

fn audience_code(audience: Audience) -> i64 {
    match audience {
        Audience::Guests => 0,
        Audience::Outsiders => 1,
        Audience::All => 2,
    }
}

fn audience(code: i64) -> rusqlite::Result<Audience> {
    match code {
        0 => Ok(Audience::Guests),
        1 => Ok(Audience::Outsiders),
        2 => Ok(Audience::All),
        other => Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    }
}

/// A planned or running meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeetingRecord {
    /// Its title.
    pub title: String,
    /// Whose account its organizer has.
    pub organizer: AccountId,
    /// Nobody new may knock.
    pub locked: bool,
    /// Somebody has been in it.
    pub has_started: bool,
    /// The number of the last message of MLS.
    pub last_message: u64,
    /// The epochs of the meeting's group and of that of insiders.
    pub epochs: [u64; 2],
    /// Everybody who knocked or was in.
    pub roster: Vec<RosterEntry>,
    /// Limits of cameras.
    pub limits: Vec<CameraLimit>,
    /// Numbers and bytes of the messages that are kept, in order.
    pub log: Vec<(u64, usize)>,
}

/// Somebody of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RosterEntry {
    /// The number.
    pub participant: u32,
    /// The account, if it has one.
    pub account: Option<AccountId>,
    /// It has no account, or one of another organization.
    pub outsider: bool,
    /// Of the token by which it comes back.
    pub token: Hash,
    /// Where it is.
    pub state: State,
    /// It was let in before.
    pub was_in: bool,
    /// What it may send.
    pub rights: Rights,
    /// The numbers of the messages by which it came into the meeting's group and that of insiders.
    pub since: [Option<u64>; 2],
}

/// Somebody who comes to a meeting for the first time.
#[derive(Debug, Clone, Copy)]
pub struct NewParticipant {
    /// As in [`RosterEntry`].
    pub account: Option<AccountId>,
    /// As in [`RosterEntry`].
    pub outsider: bool,
    /// As in [`RosterEntry`].
    pub token: Hash,
    /// As in [`RosterEntry`].
    pub state: State,
    /// As in [`RosterEntry`].
    pub rights: Rights,
    /// The invitation that is used up.
    pub invitation: Option<Hash>,
}

/// A limit of cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CameraLimit {
    /// Whose camera; 0 for all cameras.
    pub owner: u32,
    /// For whom.
    pub audience: Audience,
    /// The highest spatial layer.
    pub max_spatial_id: u8,
}

/// A message of MLS that is to be kept.
#[derive(Debug, Clone, Copy)]
pub struct CommitRecord<'a> {
    /// Its group.
    pub group: Group,
    /// Who brought it.
    pub sender: u32,
    /// The message.
    pub message: &'a [u8],
    /// Whether it is a commit, which ends an epoch; a proposal otherwise.
    pub is_commit: bool,
    /// Who begins the group by it, and is its member without a welcome.
    pub founder: Option<u32>,
    /// Whom it adds. Those who wait are in by it.
    pub added: &'a [u32],
    /// Whom it removes.
    pub removed: &'a [u32],
    /// Messages up to this number are dropped.
    pub drop_through: u64,
}

/// How many messages of MLS a meeting keeps for those who were away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogBounds {
    /// At most so many messages.
    pub messages: usize,
    /// At most so many bytes.
    pub bytes: usize,
}

/// A kept message of MLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its group.
    pub group: Group,
    /// Its number in the meeting.
    pub number: u64,
    /// Who brought it.
    pub sender: u32,
    /// The message.
    pub message: Vec<u8>,
}

/// Whether meetings that are over are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HistoryRule {
    /// They are not.
    #[default]
    Off,
    /// For so many days.
    Days(u32),
}

fn epoch_column(group: Group) -> &'static str {
    match group {
        Group::Meeting => "meeting_epoch",
        Group::Insiders => "insiders_epoch",
    }
}

fn since_column(group: Group) -> &'static str {
    match group {
        Group::Meeting => "meeting_since",
        Group::Insiders => "insiders_since",
    }
}

impl Store {
    /// Plans a meeting; `now` in Unix seconds. Whether the account was there still.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn plan(
        &mut self,
        id: &str,
        title: &str,
        organizer: AccountId,
        now: u64,
    ) -> Result<bool, StoreError> {
        let insert = "INSERT INTO meetings (id, title, organizer, created)
            SELECT ?1, ?2, id, ?4 FROM accounts WHERE id = ?3";
        Ok(self.db.execute(insert, params![id, title, organizer, now])? > 0)
    }

    /// How many meetings an account plans or holds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn meetings_of(&self, organizer: AccountId) -> Result<u64, StoreError> {
        let mut query = self.db.prepare_cached("SELECT count(*) FROM meetings WHERE organizer = ?1")?;
        Ok(query.query_row([organizer], |row| row.get(0))?)
    }

    /// Makes another account the organizer.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_organizer(&mut self, id: &str, organizer: AccountId) -> Result<(), StoreError> {
        self.db.execute("UPDATE meetings SET organizer = ?2 WHERE id = ?1", params![id, organizer])?;
        Ok(())
    }

    /// The organizer's account of a meeting, and whether it has started.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn organizer(&self, id: &str) -> Result<Option<(AccountId, bool)>, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT organizer, started IS NOT NULL FROM meetings WHERE id = ?1")?;
        Ok(query.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// Meetings that somebody has been in, which went on when the relay ended.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn started_meetings(&self) -> Result<Vec<String>, StoreError> {
        let mut query = self.db.prepare("SELECT id FROM meetings WHERE started IS NOT NULL")?;
        let ids = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(ids)
    }

    /// A meeting with its roster.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn meeting(&self, id: &str) -> Result<Option<MeetingRecord>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT title, organizer, locked, started IS NOT NULL, last_message, meeting_epoch, insiders_epoch
             FROM meetings WHERE id = ?1",
        )?;
        let found = query.query_row([id], |row| {
            Ok(MeetingRecord {
                title: row.get(0)?,
                organizer: row.get(1)?,
                locked: row.get(2)?,
                has_started: row.get(3)?,
                last_message: row.get(4)?,
                epochs: [row.get(5)?, row.get(6)?],
                roster: Vec::new(),
                limits: Vec::new(),
                log: Vec::new(),
            })
        });
        let Some(mut meeting) = found.optional()? else { return Ok(None) };
        let mut query = self.db.prepare_cached(
            "SELECT participant, account, outsider, token, state, was_in, voice, camera, share, meeting_since,
             insiders_since FROM roster WHERE meeting = ?1 ORDER BY participant",
        )?;
        let roster = query.query_map([id], |row| {
            Ok(RosterEntry {
                participant: row.get(0)?,
                account: row.get(1)?,
                outsider: row.get(2)?,
                token: row.get(3)?,
                state: row.get(4)?,
                was_in: row.get(5)?,
                rights: Rights { voice: row.get(6)?, camera: row.get(7)?, share: row.get(8)? },
                since: [row.get(9)?, row.get(10)?],
            })
        })?;
        meeting.roster = roster.collect::<Result<_, _>>()?;
        let mut query = self
            .db
            .prepare_cached("SELECT owner, audience, max_spatial_id FROM camera_limits WHERE meeting = ?1")?;
        let limits = query.query_map([id], |row| {
            let audience = audience(row.get(1)?)?;
            Ok(CameraLimit { owner: row.get(0)?, audience, max_spatial_id: row.get(2)? })
        })?;
        meeting.limits = limits.collect::<Result<_, _>>()?;
        let mut query = self.db.prepare_cached(
            "SELECT number, length(message) FROM messages WHERE meeting = ?1 ORDER BY number",
        )?;
        let log = query.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        meeting.log = log.collect::<Result<_, _>>()?;
        Ok(Some(meeting))
    }

    /// Keeps an invitation. Whether the meeting has room for one more.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn add_invitation(&mut self, hash: Hash, meeting: &str) -> Result<bool, StoreError> {
        let insert = "INSERT INTO invitations (hash, meeting)
            SELECT ?1, ?2 WHERE (SELECT count(*) FROM invitations WHERE meeting = ?2) < ?3";
        Ok(self.db.execute(insert, params![hash, meeting, MAX_INVITATIONS])? > 0)
    }

    /// Whether an invitation to this meeting is there and was not used.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn invitation_is_open(&self, hash: Hash, meeting: &str) -> Result<bool, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT used FROM invitations WHERE hash = ?1 AND meeting = ?2")?;
        let used: Option<bool> = query.query_row(params![hash, meeting], |row| row.get(0)).optional()?;
        Ok(used == Some(false))
    }

    /// Takes somebody into the roster, and uses the invitation up. The participant's number, or nothing if the invitation
    /// was used or the meeting is gone. `now` is in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn join(&mut self, meeting: &str, new: &NewParticipant, now: u64) -> Result<Option<u32>, StoreError> {
        let tx = self.begin()?;
        if let Some(hash) = new.invitation {
            let used = "UPDATE invitations SET used = 1 WHERE hash = ?1 AND meeting = ?2 AND used = 0";
            if tx.execute(used, params![hash, meeting])? == 0 {
                return Ok(None);
            }
        }
        let count =
            "UPDATE meetings SET participants = participants + 1 WHERE id = ?1 RETURNING participants";
        let Some(number) = tx.query_row(count, [meeting], |row| row.get(0)).optional()? else {
            return Ok(None);
        };
        let insert =
            "INSERT INTO roster (meeting, participant, account, outsider, token, state, voice, camera, share)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let Rights { voice, camera, share } = new.rights;
        tx.execute(
            insert,
            params![meeting, number, new.account, new.outsider, new.token, new.state, voice, camera, share],
        )?;
        // For what goes with the state.
        set_state(&tx, meeting, number, new.state, now)?;
        tx.commit()?;
        Ok(Some(number))
    }

    /// Somebody is elsewhere now. Whoever waits again has lost its groups; `now` is in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_state(
        &mut self,
        meeting: &str,
        participant: u32,
        state: State,
        now: u64,
    ) -> Result<(), StoreError> {
        let tx = self.begin()?;
        set_state(&tx, meeting, participant, state, now)?;
        tx.commit()?;
        Ok(())
    }

    /// Somebody comes back in another state, with another token if it lost the one that it had. Its groups are lost;
    /// `now` is in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn renew(
        &mut self,
        meeting: &str,
        participant: u32,
        token: Option<Hash>,
        state: State,
        now: u64,
    ) -> Result<(), StoreError> {
        let tx = self.begin()?;
        // Whoever waits has no group, and whoever lost it has none either.
        set_state(&tx, meeting, participant, State::Waiting, now)?;
        set_state(&tx, meeting, participant, state, now)?;
        if let Some(token) = token {
            let update = "UPDATE roster SET token = ?3 WHERE meeting = ?1 AND participant = ?2";
            tx.execute(update, params![meeting, participant, token])?;
        }
        tx.commit()?;
        Ok(())
    }

    /// Somebody's rights are others.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_rights(&mut self, meeting: &str, participant: u32, rights: Rights) -> Result<(), StoreError> {
        let update =
            "UPDATE roster SET voice = ?3, camera = ?4, share = ?5 WHERE meeting = ?1 AND participant = ?2";
        self.db.execute(update, params![meeting, participant, rights.voice, rights.camera, rights.share])?;
        Ok(())
    }

    /// Locks or opens a meeting.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_locked(&mut self, meeting: &str, locked: bool) -> Result<(), StoreError> {
        self.db.execute("UPDATE meetings SET locked = ?2 WHERE id = ?1", params![meeting, locked])?;
        Ok(())
    }

    /// The groups are lost: their messages are dropped, epochs begin anew, and everybody who is in is at the door, but for
    /// `stays`. Messages keep their count.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn lose_group(&mut self, meeting: &str, stays: Option<u32>) -> Result<(), StoreError> {
        let tx = self.begin()?;
        tx.execute("DELETE FROM messages WHERE meeting = ?1", [meeting])?;
        tx.execute("UPDATE meetings SET meeting_epoch = 0, insiders_epoch = 0 WHERE id = ?1", [meeting])?;
        tx.execute(
            "UPDATE roster SET meeting_since = NULL, insiders_since = NULL,
             state = iif(state = ?2 AND participant IS NOT ?3, ?4, state) WHERE meeting = ?1",
            params![meeting, State::In, stays, State::Waiting],
        )?;
        tx.commit()?;
        Ok(())
    }

    /// Keeps a message of MLS, with what a commit does to its group. The message's number.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn append(&mut self, meeting: &str, record: &CommitRecord<'_>) -> Result<u64, StoreError> {
        let tx = self.begin()?;
        let number: u64 = tx.query_row(
            "UPDATE meetings SET last_message = last_message + 1 WHERE id = ?1 RETURNING last_message",
            [meeting],
            |row| row.get(0),
        )?;
        tx.prepare_cached(
            "INSERT INTO messages (meeting, number, insiders, sender, message) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            meeting,
            number,
            record.group == Group::Insiders,
            record.sender,
            record.message
        ])?;
        if record.is_commit {
            let epoch = epoch_column(record.group);
            tx.execute(&format!("UPDATE meetings SET {epoch} = {epoch} + 1 WHERE id = ?1"), [meeting])?;
        }
        let since = since_column(record.group);
        let update = format!("UPDATE roster SET {since} = ?3 WHERE meeting = ?1 AND participant = ?2");
        // One commit may remove somebody who lost its group, and add it anew.
        for removed in record.removed {
            tx.execute(&update, params![meeting, removed, None::<u64>])?;
        }
        if let Some(founder) = record.founder {
            tx.execute(&update, params![meeting, founder, number - 1])?;
        }
        for added in record.added {
            tx.execute(&update, params![meeting, added, number])?;
            let lets_in =
                "UPDATE roster SET state = ?3 WHERE meeting = ?1 AND participant = ?2 AND state = ?4";
            tx.execute(lets_in, params![meeting, added, State::In, State::Waiting])?;
        }
        if record.drop_through > 0 {
            let drop = "DELETE FROM messages WHERE meeting = ?1 AND number <= ?2";
            tx.execute(drop, params![meeting, record.drop_through])?;
        }
        tx.commit()?;
        Ok(number)
    }

    /// The messages of MLS after a number, in order: so many as make up `bytes`, and one at least if there is one.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn messages_after(
        &self,
        meeting: &str,
        number: u64,
        bytes: usize,
    ) -> Result<Vec<StoredMessage>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT number, insiders, sender, message FROM messages WHERE meeting = ?1 AND number > ?2
             ORDER BY number",
        )?;
        let mut rows = query.query(params![meeting, number])?;
        let (mut messages, mut sum) = (Vec::new(), 0);
        while sum < bytes
            && let Some(row) = rows.next()?
        {
            let group = if row.get(1)? { Group::Insiders } else { Group::Meeting };
            let message: Vec<u8> = row.get(3)?;
            sum += message.len();
            messages.push(StoredMessage { group, number: row.get(0)?, sender: row.get(2)?, message });
        }
        Ok(messages)
    }

    /// Sets a limit of cameras, or lifts it.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_limit(
        &mut self,
        meeting: &str,
        owner: u32,
        audience: Audience,
        max_spatial_id: Option<u8>,
    ) -> Result<(), StoreError> {
        let audience = audience_code(audience);
        if let Some(max) = max_spatial_id {
            let insert = "INSERT OR REPLACE INTO camera_limits (meeting, owner, audience, max_spatial_id)
                VALUES (?1, ?2, ?3, ?4)";
            self.db.execute(insert, params![meeting, owner, audience, max])?;
        } else {
            let delete = "DELETE FROM camera_limits WHERE meeting = ?1 AND owner = ?2 AND audience = ?3";
            self.db.execute(delete, params![meeting, owner, audience])?;
        }
        Ok(())
    }

    /// A meeting is over: nothing of it is kept but what the rule says. `now` is in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn end_meeting(&mut self, meeting: &str, rule: HistoryRule, now: u64) -> Result<(), StoreError> {
        let tx = self.begin()?;
        if rule != HistoryRule::Off {
            let insert = "INSERT INTO history (title, started, ended)
                SELECT title, started, ?2 FROM meetings WHERE id = ?1 AND started IS NOT NULL";
            if tx.execute(insert, params![meeting, now])? > 0 {
                let history = tx.last_insert_rowid();
                let people = "INSERT INTO history_people (history, name)
                    SELECT DISTINCT ?2, name FROM roster JOIN accounts ON accounts.id = account
                    WHERE meeting = ?1 AND was_in";
                tx.execute(people, params![meeting, history])?;
            }
        }
        // All that is of the meeting goes with it.
        tx.execute("DELETE FROM meetings WHERE id = ?1", [meeting])?;
        tx.commit()?;
        self.checkpoint()
    }

    /// Deletes what is kept no longer: history beyond the rule's days, sessions that are over, and planned meetings that
    /// nobody attended within 90 days. How many rows that was. `now` is in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn enforce_retention(&mut self, rule: HistoryRule, now: u64) -> Result<usize, StoreError> {
        let tx = self.begin()?;
        let mut gone = match rule {
            HistoryRule::Off => tx.execute("DELETE FROM history", [])?,
            HistoryRule::Days(days) => {
                let before = now.saturating_sub(u64::from(days) * DAY);
                tx.execute("DELETE FROM history WHERE ended <= ?1", [before])?
            }
        };
        gone += tx.execute("DELETE FROM sessions WHERE expires <= ?1", [now])?;
        let planned = "DELETE FROM meetings WHERE started IS NULL AND created <= ?1";
        gone += tx.execute(planned, [now.saturating_sub(PLANNED)])?;
        tx.commit()?;
        if gone > 0 {
            self.checkpoint()?;
        }
        Ok(gone)
    }
}

fn set_state(
    tx: &Transaction<'_>,
    meeting: &str,
    participant: u32,
    state: State,
    now: u64,
) -> Result<(), StoreError> {
    let is_in = state == State::In;
    let waits = state == State::Waiting;
    tx.execute(
        "UPDATE roster SET state = ?3, was_in = was_in OR ?4, meeting_since = iif(?5, NULL, meeting_since),
         insiders_since = iif(?5, NULL, insiders_since) WHERE meeting = ?1 AND participant = ?2",
        params![meeting, participant, state, is_in, waits],
    )?;
    if is_in {
        let started = "UPDATE meetings SET started = ?2 WHERE id = ?1 AND started IS NULL";
        tx.execute(started, params![meeting, now])?;
    }
    Ok(())
}
