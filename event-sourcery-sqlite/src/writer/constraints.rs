//! Whether a deferred constraint is violated, before the commit, at which SQLite says so.
//!
//! SQLite counts the violations that are open, and tells how many by `sqlite3_db_status`, which safe code cannot call. But it
//! looks for rows that wait for a new key only while there are any violations. So a key of our own is changed, in a table that
//! lives with the connection, and the row that refers to it tells when it is looked at: once for the key that goes, and once
//! more for the one that comes, if anything is violated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Null;

const TABLES: &str = "
    CREATE TEMP TABLE event_sourcery_deferred_keys (id INTEGER PRIMARY KEY, key INTEGER UNIQUE);
    CREATE TEMP TABLE event_sourcery_deferred_rows (
        id INTEGER PRIMARY KEY,
        key AS (event_sourcery_looked_at(id))
            REFERENCES event_sourcery_deferred_keys (key) DEFERRABLE INITIALLY DEFERRED
    );
    INSERT INTO event_sourcery_deferred_keys VALUES (1, 1);
    INSERT INTO event_sourcery_deferred_rows VALUES (1);";

const CHANGE_KEY: &str = "UPDATE temp.event_sourcery_deferred_keys SET key = -key WHERE id = 1";

/// The deferred constraints of what a connection writes to.
#[derive(Debug)]
pub(super) struct Constraints {
    /// How often the row was looked at.
    looks: Arc<AtomicU32>,
}

impl Constraints {
    pub(super) fn install(connection: &Connection) -> rusqlite::Result<Self> {
        let looks = Arc::<AtomicU32>::default();
        let count = Arc::clone(&looks);
        let flags = FunctionFlags::SQLITE_UTF8
            | FunctionFlags::SQLITE_DETERMINISTIC
            | FunctionFlags::SQLITE_INNOCUOUS;
        connection.create_scalar_function("event_sourcery_looked_at", 1, flags, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Null)
        })?;
        connection.execute_batch(TABLES)?;
        Ok(Self { looks })
    }

    /// Whether the open transaction could not be committed as it is.
    pub(super) fn are_violated(&self, connection: &Connection) -> rusqlite::Result<bool> {
        self.looks.store(0, Ordering::Relaxed);
        connection.prepare_cached(CHANGE_KEY)?.execute([])?;
        Ok(self.looks.load(Ordering::Relaxed) > 1)
    }
}
