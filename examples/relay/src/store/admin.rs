//! What the operator does for somebody who asks about data: a copy of it, and its end (GDPR, articles 15, 17 and 20).

use std::path::Path;

use rusqlite::params;
use serde::Serialize;
use serde_json::{Value, json};

use super::{FILE, Store, StoreError};

/// What was erased with an account, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The account.
    pub accounts: usize,
    /// Its sessions.
    pub sessions: usize,
    /// Meetings that it was the organizer of, with all that was of them.
    pub meetings: usize,
    /// Places in rosters of meetings.
    pub roster: usize,
    /// Its name in the history of meetings.
    pub history_people: usize,
}

/// What is left of a name in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remains {
    /// Columns that have the name somewhere in them, with the number of rows: titles that somebody wrote, say.
    pub columns: Vec<(String, usize)>,
    /// How many bytes of the database's files were searched.
    pub searched_bytes: u64,
    /// How often they have the name.
    pub occurrences: usize,
    /// The schema's own text has it, as it does with a name like `id`.
    pub is_in_schema: bool,
    /// The log of the WAL could not be emptied, since another process was reading.
    pub was_busy: bool,
}

impl Remains {
    /// No row, no free page and no log has the name, beyond the columns that are named and the schema's own text.
    pub fn is_clean(&self) -> bool {
        !self.was_busy && (self.occurrences == 0 || self.is_in_schema || !self.columns.is_empty())
    }
}

/// What became of an account that is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// What was erased.
    pub erased: Counts,
    /// What was found afterwards.
    pub remains: Remains,
}

impl Store {
    /// Everything about an account, but for the hash of its password and those of its tokens, which are of no use elsewhere.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn export(&self, name: &str) -> Result<Option<Value>, StoreError> {
        let Some(account) = self.account(name)? else { return Ok(None) };
        let rows = |sql: &str, fields: &[&str]| -> Result<Vec<Value>, StoreError> {
            let mut query = self.db.prepare(sql)?;
            let mut rows = query.query(params![account.id])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let mut value = serde_json::Map::new();
                for (at, field) in fields.iter().enumerate() {
                    let column = match row.get_ref(at)? {
                        rusqlite::types::ValueRef::Integer(number) => json!(number),
                        rusqlite::types::ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                        _ => Value::Null,
                    };
                    value.insert((*field).into(), column);
                }
                found.push(Value::Object(value));
            }
            Ok(found)
        };
        Ok(Some(json!({
            "format": "layercast-relay account export, version 1; times in Unix seconds",
            "account": { "name": account.name, "outsider": account.outsider, "created": account.created },
            "sessions": rows("SELECT expires FROM sessions WHERE account = ?1", &["expires"])?,
            "organizes": rows(
                "SELECT id, title, created, started, locked FROM meetings WHERE organizer = ?1",
                &["meeting", "title", "created", "started", "locked"],
            )?,
            "takes_part": rows(
                "SELECT meeting, title, participant, state, was_in, voice, camera, share
                 FROM roster JOIN meetings ON id = meeting WHERE account = ?1",
                &["meeting", "title", "participant", "state", "was_in", "voice", "camera", "share"],
            )?,
            "camera_limits": rows(
                "SELECT l.meeting, audience, max_spatial_id FROM camera_limits l JOIN roster r
                 ON r.meeting = l.meeting AND r.participant = l.owner WHERE account = ?1",
                &["meeting", "audience", "max_spatial_id"],
            )?,
            "mls_messages": rows(
                "SELECT m.meeting, number, length(message) FROM messages m JOIN roster r
                 ON r.meeting = m.meeting AND r.participant = m.sender WHERE account = ?1",
                &["meeting", "number", "bytes"],
            )?,
            "history": rows(
                "SELECT title, started, ended FROM history JOIN history_people ON history = history.id
                 JOIN accounts ON accounts.name = history_people.name WHERE accounts.id = ?1",
                &["title", "started", "ended"],
            )?,
        })))
    }

    /// Erases an account, its sessions, its meetings and its name in the history, rewrites the database without what was
    /// deleted, and searches all of it for the name. Nothing if there is no such account and no history of it.
    ///
    /// # Errors
    /// Whatever SQLite or the file system says. What was erased stays erased.
    pub fn forget(&mut self, directory: &Path, name: &str) -> Result<Option<Erasure>, StoreError> {
        let tx = self.begin()?;
        let by_account = |table: &str, column: &str| -> Result<usize, StoreError> {
            let sql = format!(
                "SELECT count(*) FROM {table} WHERE {column} = (SELECT id FROM accounts WHERE name = ?1)"
            );
            Ok(tx.query_row(&sql, [name], |row| row.get(0))?)
        };
        let mut erased = Counts {
            accounts: 0,
            sessions: by_account("sessions", "account")?,
            meetings: by_account("meetings", "organizer")?,
            roster: by_account("roster", "account")?,
            history_people: tx.execute("DELETE FROM history_people WHERE name = ?1", [name])?,
        };
        // Limits are known by the participant's number, which goes with the roster.
        tx.execute(
            "DELETE FROM camera_limits WHERE (meeting, owner) IN (SELECT meeting, participant FROM roster
             WHERE account = (SELECT id FROM accounts WHERE name = ?1))",
            [name],
        )?;
        erased.accounts = tx.execute("DELETE FROM accounts WHERE name = ?1", [name])?;
        tx.commit()?;
        if erased.accounts == 0 && erased.history_people == 0 {
            return Ok(None);
        }
        self.db.execute_batch("VACUUM")?;
        let remains = self.remains(directory, name)?;
        Ok(Some(Erasure { erased, remains }))
    }

    fn remains(&self, directory: &Path, name: &str) -> Result<Remains, StoreError> {
        let was_busy =
            self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))?;
        let mut columns = Vec::new();
        for (table, column) in self.columns()? {
            let sql = format!(
                "SELECT count(*) FROM {table} WHERE instr(CAST({column} AS BLOB), CAST(?1 AS BLOB)) > 0"
            );
            let rows = self.db.query_row(&sql, [name], |row| row.get(0))?;
            if rows > 0 {
                columns.push((format!("{table}.{column}"), rows));
            }
        }
        let in_schema = "SELECT count(*) > 0 FROM sqlite_schema WHERE instr(type || name || tbl_name || coalesce(sql, ''), ?1)";
        let is_in_schema = self.db.query_row(in_schema, [name], |row| row.get(0))?;
        let (mut searched_bytes, mut occurrences) = (0, 0);
        for file in [FILE.to_owned(), format!("{FILE}-wal"), format!("{FILE}-shm")] {
            let bytes = match std::fs::read(directory.join(file)) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            searched_bytes += bytes.len() as u64;
            occurrences +=
                bytes.windows(name.len().max(1)).filter(|window| *window == name.as_bytes()).count();
        }
        Ok(Remains { columns, searched_bytes, occurrences, is_in_schema, was_busy })
    }

    /// All columns of all tables.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn columns(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut query = self.db.prepare(
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' ORDER BY t.rowid, c.cid",
        )?;
        let columns = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(columns.collect::<Result<_, _>>()?)
    }
}
