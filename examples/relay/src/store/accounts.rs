//! Accounts and sessions.

use layercast_meeting::Secret;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{AccountId, Hash, Store, StoreError};

/// An account without what only a login needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its name.
    pub name: String,
    /// The operator marked it as being of another organization.
    pub outsider: bool,
    /// When it was made, in Unix seconds.
    pub created: u64,
}

/// An account with the hash of its password.
#[derive(Debug)]
pub struct AccountToVerify {
    /// Its number.
    pub id: AccountId,
    /// Argon2id as a PHC string.
    pub password: Secret,
}

/// What a login stored: by which somebody is known to be an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub account: AccountId,
    /// It is of another organization.
    pub outsider: bool,
    /// When the session ends, in Unix seconds.
    pub expires: u64,
}

/// So many sessions of an account go on at once: the one that ends first makes room for another.
const MAX_SESSIONS: i64 = 32;

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account { id: row.get(0)?, name: row.get(1)?, outsider: row.get(2)?, created: row.get(3)? })
}

impl Store {
    /// Makes an account. `password` is its Argon2id hash as a PHC string, `now` is in Unix seconds.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub fn add_account(
        &mut self,
        name: &str,
        password: &str,
        outsider: bool,
        now: u64,
    ) -> Result<AccountId, StoreError> {
        let insert = "INSERT INTO accounts (name, password, outsider, created) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO NOTHING";
        match self.db.execute(insert, params![name, password, outsider, now])? {
            0 => Err(StoreError::NameTaken),
            _ => Ok(AccountId(self.db.last_insert_rowid())),
        }
    }

    /// All accounts by name.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let mut query = self.db.prepare("SELECT id, name, outsider, created FROM accounts ORDER BY name")?;
        let accounts = query.query_map([], account)?.collect::<Result<_, _>>()?;
        Ok(accounts)
    }

    /// The account of a name.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        let mut query =
            self.db.prepare_cached("SELECT id, name, outsider, created FROM accounts WHERE name = ?1")?;
        Ok(query.query_row([name], account).optional()?)
    }

    /// What a login compares.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn account_to_verify(&self, name: &str) -> Result<Option<AccountToVerify>, StoreError> {
        let mut query = self.db.prepare_cached("SELECT id, password FROM accounts WHERE name = ?1")?;
        let found = query.query_row([name], |row| {
            Ok(AccountToVerify { id: row.get(0)?, password: Secret::new(row.get(1)?) })
        });
        Ok(found.optional()?)
    }

    /// Whether the account is there still.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn has_account(&self, account: AccountId) -> Result<bool, StoreError> {
        let mut query = self.db.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1")?;
        Ok(query.exists([account])?)
    }

    /// Gives an account another password, and ends its sessions. Whether there is such an account.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<bool, StoreError> {
        let tx = self.begin()?;
        let changed = tx.execute("UPDATE accounts SET password = ?2 WHERE name = ?1", [name, password])?;
        let of_account = "DELETE FROM sessions WHERE account = (SELECT id FROM accounts WHERE name = ?1)";
        tx.execute(of_account, [name])?;
        tx.commit()?;
        Ok(changed > 0)
    }

    /// Opens a session, which ends at `expires` in Unix seconds. Whether the account was there still.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn add_session(&mut self, hash: Hash, account: AccountId, expires: u64) -> Result<bool, StoreError> {
        let tx = self.begin()?;
        let insert =
            "INSERT INTO sessions (hash, account, expires) SELECT ?1, id, ?3 FROM accounts WHERE id = ?2";
        let added = tx.execute(insert, params![hash, account, expires])? > 0;
        let oldest = "DELETE FROM sessions WHERE account = ?1 AND hash NOT IN
            (SELECT hash FROM sessions WHERE account = ?1 ORDER BY expires DESC LIMIT ?2)";
        tx.execute(oldest, params![account, MAX_SESSIONS])?;
        tx.commit()?;
        Ok(added)
    }

    /// The session of a token, if it goes on at `now` in Unix seconds.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn session(&self, hash: Hash, now: u64) -> Result<Option<Credentials>, StoreError> {
        let mut query = self.db.prepare_cached(
            "SELECT accounts.id, outsider, expires FROM sessions JOIN accounts ON accounts.id = account
             WHERE hash = ?1 AND expires > ?2",
        )?;
        let found = query.query_row(params![hash, now], |row| {
            Ok(Credentials { account: row.get(0)?, outsider: row.get(1)?, expires: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub fn end_session(&mut self, hash: Hash) -> Result<(), StoreError> {
        self.db.execute("DELETE FROM sessions WHERE hash = ?1", [hash])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_end_by_time_and_by_another_password() {
        let mut store = Store::in_memory().unwrap();
        let ann = store.add_account("Ann", "a", true, 0).unwrap();
        let hash = Hash::of("token");
        assert!(store.add_session(hash, ann, 100).unwrap());
        let open = Credentials { account: ann, outsider: true, expires: 100 };
        assert_eq!(store.session(hash, 99).unwrap(), Some(open));
        assert_eq!(store.session(hash, 100).unwrap(), None);
        assert!(store.set_password("Ann", "b").unwrap());
        assert_eq!(store.session(hash, 99).unwrap(), None);
        assert!(!store.set_password("Bob", "b").unwrap());
    }

    #[test]
    fn an_account_has_a_bounded_number_of_sessions() {
        let mut store = Store::in_memory().unwrap();
        let ann = store.add_account("Ann", "a", false, 0).unwrap();
        for n in 0..40 {
            store.add_session(Hash::of(&n.to_string()), ann, 100 + n).unwrap();
        }
        let open = (0..40).filter(|n| store.session(Hash::of(&n.to_string()), 0).unwrap().is_some());
        assert_eq!(open.collect::<Vec<_>>(), (8..40).collect::<Vec<u64>>());
    }

    #[test]
    fn a_name_is_taken_once() {
        let mut store = Store::in_memory().unwrap();
        store.add_account("Ann", "a", false, 0).unwrap();
        assert!(matches!(store.add_account("Ann", "b", false, 0), Err(StoreError::NameTaken)));
    }
}
