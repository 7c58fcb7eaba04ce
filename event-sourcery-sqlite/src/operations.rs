//! What the store's calls do to the tables, on one connection and within a transaction that the caller has opened.

mod append;
mod backlog;
mod cursors;
mod delete;
mod directory;
mod few;
mod hear;
mod keys;
mod load;
mod looking;
mod outbox;
mod progress;
mod removal;
mod scan;
mod search;
mod snapshot;
mod subscription;
mod tags;

use std::cell::Cell;
use std::time::Duration;

use event_sourcery::backend::{StreamState, SubscriptionId};
use event_sourcery::{Error, Result, StreamId, TenantId, Version};
use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use crate::backend::Listeners;
use crate::failure::Failure;
use crate::numbering::Look;
use crate::rows::hex;
use crate::sql::Sql;
use crate::writer::Guard;

pub(crate) use self::directory::BLOCK;
pub(crate) use self::keys::TRACES;
pub(crate) use self::load::LoadProgress;
#[cfg(test)]
pub(crate) use self::load::PART;
pub(crate) use self::search::{Found, Search, Stretch};

/// A connection with the statements to run on it.
#[derive(Clone, Copy)]
pub(crate) struct Operations<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) sql: &'c Sql,
    pub(crate) busy_timeout: Duration,
    /// Whether an operation that is refused takes back alone what it has written. Without it, whoever owns the
    /// transaction has to take everything back.
    pub(crate) savepoints: bool,
    /// What was seen of the positions before.
    pub(crate) look: Look<'c>,
    /// Those who listen to what is appended; nobody does where nothing is.
    pub(crate) listeners: Option<&'c Listeners>,
    /// How many of them are at work within one another.
    pub(crate) depth: usize,
    /// What keeps closures and listeners from ending the transaction; there are none where nothing is written.
    pub(crate) guard: Option<&'c Guard>,
    /// Whether there is something left of deleted streams, as far as is known; none where nothing is deleted.
    pub(crate) leftovers: Option<&'c Cell<bool>>,
    /// Whether there may be traces of shredded keys in the log; none where nothing is shredded.
    pub(crate) traces: Option<&'c Cell<bool>>,
}

/// A row of the streams table.
#[derive(Clone, Copy)]
struct StreamRow {
    id: i64,
    named: bool,
}

impl<'c> Operations<'c> {
    /// The statement, prepared once per connection.
    fn statement(&self, sql: &str) -> Result<CachedStatement<'c>> {
        self.connection.prepare_cached(sql).map_err(|error| self.failed(error))
    }

    /// Runs a statement that changes rows, and tells how many.
    fn execute(&self, sql: &'c str, values: impl rusqlite::Params) -> Result<usize> {
        self.statement(sql)?.execute(values).map_err(|error| self.failed(error))
    }

    /// The first row of an answer, if there is one.
    fn first<T>(
        &self,
        sql: &'c str,
        values: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.statement(sql)?.query_row(values, read).optional().map_err(|error| self.failed(error))
    }

    /// All rows of an answer. What cannot be read is the backend's error.
    fn all_rows<T>(
        &self,
        sql: &'c str,
        values: impl rusqlite::Params,
        read: impl Fn(&rusqlite::Row<'_>) -> Result<T, String>,
    ) -> Result<Vec<T>> {
        let mut statement = self.statement(sql)?;
        let mut rows = statement.query(values).map_err(|error| self.failed(error))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            all.push(read(row).map_err(unreadable)?);
        }
        Ok(all)
    }

    pub(crate) fn failed(&self, failure: impl Into<Failure>) -> Error {
        failure.into().into_error(self.busy_timeout)
    }

    /// Runs statements that take no values, such as `BEGIN`.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(sql).map_err(|error| self.failed(error))?;
        statement.execute([]).map_err(|error| self.failed(error))?;
        Ok(())
    }

    fn find_stream(&self, tenant: &TenantId, stream: &StreamId) -> Result<Option<StreamRow>> {
        self.first(
            &self.sql.find_stream,
            (hex(stream.uuid()), stream.stored_category(), tenant.as_str()),
            |row| Ok(StreamRow { id: row.get(0)?, named: row.get(1)? }),
        )
    }

    /// What the stream is. Its last event tells: the row's version may have drifted, and a row without events is none.
    fn state_of(&self, row: Option<StreamRow>) -> Result<StreamState> {
        let Some(StreamRow { id, .. }) = row else { return Ok(StreamState::Missing) };
        let last = self.first(&self.sql.last_version, [id], |row| row.get::<_, Option<Version>>(0))?;
        Ok(match last {
            None => StreamState::Missing,
            Some(None) => StreamState::Unversioned,
            Some(Some(version)) => StreamState::Versioned(version),
        })
    }

    /// Runs `work` under a savepoint, if there are to be any: what is refused leaves nothing, and the transaction goes on.
    fn atomically<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.savepoints {
            return work();
        }
        self.run("SAVEPOINT event_sourcery")?;
        let result = work();
        // Where SQLite itself has rolled back everything (the disk is full), there is no savepoint left.
        if self.connection.is_autocommit() {
            return result;
        }
        if result.is_err() {
            self.run("ROLLBACK TO event_sourcery")?;
        }
        self.run("RELEASE event_sourcery")?;
        result
    }
}

/// Tells that a row of a subscription is left out: it stops nothing but what it is about.
fn left_out(subscription: &SubscriptionId, table: &str, problem: &str) {
    let subscription = &*subscription.name;
    tracing::warn!(subscription, table, problem, "a row cannot be read, and is left out");
}

/// The error for a row that is not as we write it.
fn unreadable(problem: String) -> Error {
    Error::backend("sqlite", format!("a row cannot be read: {problem}"))
}

/// Values as the JSON array that `json_each` takes.
fn json_array<T: Into<serde_json::Value>>(values: impl Iterator<Item = T>) -> String {
    serde_json::Value::from_iter(values).to_string()
}
