//! What the relay keeps: accounts and sessions, planned and running meetings, and their history if the operator wants it.
//!
//! SQLite in one file, in WAL mode. What [`data`](crate::data) says about each column is tested to be complete.
//!
//! # What a crash may take
//! Nothing that was answered: each method is one transaction, and the desk answers after it. `synchronous` is `FULL`. With
//! `NORMAL`, WAL would survive the death of the process as well, but the loss of power could undo the last transactions,
//! and somebody whom the organizer removed would be back in. A transaction costs one flush of the disk, and the desk has
//! few of them: none for a media packet, a login that fails or a report.
//!
//! # What is gone is gone
//! `secure_delete` overwrites what is deleted with zeros, and the end of a meeting empties the log of the WAL too. What a
//! disk keeps of overwritten blocks is beyond the reach of a program: that takes an encrypted disk.

mod accounts;
mod admin;
mod meetings;

use std::path::Path;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use sha2::{Digest as _, Sha256};

pub use accounts::{Account, AccountToVerify, Credentials};
pub use admin::{Counts, Erasure, Remains};
pub use meetings::{
    CameraLimit, CommitRecord, HistoryRule, LogBounds, MeetingRecord, NewParticipant, RosterEntry, State,
    StoredMessage,
};

/// The file of the database in the data directory.
pub const FILE: &str = "relay.sqlite";

/// One script for each version of the schema, from version 0.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/1.sql")];

/// How long a statement waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// Why the store could not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// SQLite failed.
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is of a later version of the relay.
    #[error("the database is of version {0}, which this relay does not know")]
    Later(usize),
    /// There is an account of this name.
    #[error("there is an account of this name already")]
    NameTaken,
    /// The file could not be read.
    #[error("the database's file could not be read: {0}")]
    File(#[from] std::io::Error),
}

/// SHA-256 of a token or a code. Those are random and long, so that nothing slower is needed; passwords are not stored so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a token or a code.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&self.0[..]))
    }
}

impl FromSql for Hash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

/// An account's number. None comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(crate) i64);

impl ToSql for AccountId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for AccountId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self)
    }
}

/// The database. Several processes may have it open: a relay that runs, and commands of its operator.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    /// `data_version` of SQLite, when it was last asked for.
    seen_version: i64,
}

impl Store {
    /// Opens the database in a directory, makes it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Later`] for a file of a later relay, and whatever SQLite says.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        // SQLite would make it readable for all.
        crate::files::touch_private(&path)?;
        let db = Connection::open(path)?;
        db.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
        Self::from_connection(db)
    }

    /// A database in memory, for tests.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::from_connection(Connection::open_in_memory()?)
    }

    fn from_connection(mut db: Connection) -> Result<Self, StoreError> {
        db.busy_timeout(BUSY)?;
        db.pragma_update(None, "synchronous", "full")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
        db.pragma_update(None, "trusted_schema", false)?;
        db.set_prepared_statement_cache_capacity(64);
        migrate(&mut db)?;
        let seen_version = db.pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(Self { db, seen_version })
    }

    /// Whether another process wrote to the database since this was last asked.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn was_changed_by_others(&mut self) -> Result<bool, StoreError> {
        let version = self.db.pragma_query_value(None, "data_version", |row| row.get(0))?;
        Ok(std::mem::replace(&mut self.seen_version, version) != version)
    }

    /// A transaction that holds the right to write from its start: one that asked for it later could be refused in the
    /// middle.
    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        Ok(self.db.transaction_with_behavior(TransactionBehavior::Immediate)?)
    }

    /// Empties the log of the WAL, which holds deleted pages for a while. If another process reads, that waits for the next
    /// time.
    fn checkpoint(&self) -> Result<(), StoreError> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let db = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: usize = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let later = MIGRATIONS.get(version..).ok_or(StoreError::Later(version))?;
    if later.is_empty() {
        return Ok(());
    }
    for script in later {
        db.execute_batch(script)?;
    }
    db.pragma_update(None, "user_version", MIGRATIONS.len())?;
    db.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_later_relay_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        store.db.pragma_update(None, "user_version", MIGRATIONS.len() + 1).unwrap();
        drop(store);
        assert!(matches!(Store::open(directory.path()), Err(StoreError::Later(2))));
    }

    #[test]
    fn the_file_is_for_the_relay_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.file_name());
        }
        drop(store);
    }

    #[test]
    fn another_process_that_writes_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let mut mine = Store::open(directory.path()).unwrap();
        let mut others = Store::open(directory.path()).unwrap();
        assert!(!mine.was_changed_by_others().unwrap());
        others.add_account("Ann", "hash", false, 0).unwrap();
        assert!(mine.was_changed_by_others().unwrap());
        assert!(!mine.was_changed_by_others().unwrap());
        mine.add_account("Bob", "hash", false, 0).unwrap();
        assert!(!mine.was_changed_by_others().unwrap());
    }
}
