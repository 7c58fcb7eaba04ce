//! What is left of deleted streams, and is removed a few events at a time.
//!
//! There is one writer: while it removed a million events, everybody would wait. So a stream that is too long to be removed in a
//! moment is hidden in the commit that deletes it. Its row gets another UUID, no name, and a category and a tenant that hold a
//! NUL, which no name does. The mark is nowhere else: a crash leaves either the stream or what is hidden.
//!
//! - Whoever asks for the stream finds none, Event Sourcery for Python too, and appending to it begins another one.
//! - Whoever reads across streams leaves hidden ones out (`Search`), as long as there are any: one look at an index tells.
//! - The ids of events and of snapshots that are left are given up to whoever appends them.
//! - Entries of the outbox are no part of it. What hidden rows tell of their category is not taken for it (`category_at`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use event_sourcery::Result;
use event_sourcery::backend::AppendRequest;
use rusqlite::OptionalExtension as _;
use uuid::Uuid;

use super::Operations;
use crate::failure::Failure;
use crate::rows::hex;

/// How long the writer removes before others have their turn.
const STEP: Duration = Duration::from_millis(5);

/// How many rows are removed before it is looked at the time: each may be some megabytes.
const PIECE: usize = 16;

impl Operations<'_> {
    /// Removes a stream's rows, as many as it comes to in that time; tells whether all are gone.
    pub(super) fn remove(&self, stream: i64, patience: Duration) -> Result<bool, Failure> {
        let until = Instant::now() + patience;
        let snapshots = (&self.sql.some_snapshots, [Some(&self.sql.delete_snapshot), None]);
        let events = (&self.sql.some_events, [Some(&self.sql.delete_event), Some(&self.sql.tags.untag)]);
        for (some, deletes) in [snapshots, events] {
            // One by one: what SQLite knows of the table may be old, and a scan would be made for each piece.
            while self.remove_piece(stream, some, deletes)? == PIECE {
                if Instant::now() >= until {
                    return Ok(false);
                }
            }
        }
        self.connection.prepare_cached(&self.sql.delete_stream)?.execute([stream])?;
        Ok(true)
    }

    fn remove_piece(&self, stream: i64, some: &str, deletes: [Option<&String>; 2]) -> Result<usize, Failure> {
        let mut some = self.connection.prepare_cached(some)?;
        let rows = some.query_map((stream, PIECE), |row| row.get::<_, i64>(0))?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        for delete in deletes.into_iter().flatten() {
            let mut delete = self.connection.prepare_cached(delete)?;
            for row in &rows {
                delete.execute([*row])?;
            }
        }
        Ok(rows.len())
    }

    /// Leaves the rest of a deleted stream to the writer.
    pub(super) fn hide(&self, stream: i64) -> Result<()> {
        self.execute(&self.sql.hide_stream, [stream])?;
        if let Some(leftovers) = self.leftovers {
            leftovers.set(true);
        }
        Ok(())
    }

    fn hidden_stream(&self) -> Result<Option<i64>> {
        self.first(&self.sql.hidden_stream, [], |row| row.get(0))
    }

    /// Whether something is left of deleted streams.
    pub(crate) fn has_leftovers(&self) -> Result<bool> {
        Ok(self.hidden_stream()?.is_some())
    }

    /// The first hidden stream that is none of these.
    pub(crate) fn hidden_beside(&self, held: &BTreeSet<i64>) -> Result<Option<i64>, Failure> {
        let mut next = self.connection.prepare_cached(&self.sql.hidden_behind)?;
        let mut behind = i64::MIN;
        loop {
            let found: Option<i64> = next.query_row([behind], |row| row.get(0)).optional()?;
            match found {
                Some(stream) if held.contains(&stream) => behind = stream,
                found => return Ok(found),
            }
        }
    }

    /// Removes some of what is left of a stream.
    pub(crate) fn remove_some(&self, stream: i64) -> Result<(), Failure> {
        self.remove(stream, STEP).map(drop)
    }

    /// Tables of the user's whose foreign keys refer to what goes with a stream.
    pub(crate) fn referring_tables(&self) -> Result<Vec<String>, Failure> {
        let mut tables = self.connection.prepare_cached(&self.sql.referring_tables)?;
        let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
        Ok(tables.collect::<rusqlite::Result<Vec<_>>>()?)
    }

    /// Takes the ids of a request from what is left of deleted streams; tells whether that had any of them.
    pub(super) fn give_up_ids(&self, request: &AppendRequest) -> Result<bool> {
        if !self.has_leftovers()? {
            return Ok(false);
        }
        let mut given_up = 0;
        for id in request.event_ids() {
            self.execute(&self.sql.tags.untag_given_up, [hex(id)])?;
            given_up += self.execute(&self.sql.give_up_event, [hex(id)])?;
        }
        Ok(given_up > 0)
    }

    /// The same with the id of a snapshot.
    pub(super) fn give_up_snapshot(&self, id: Uuid) -> Result<bool> {
        Ok(self.execute(&self.sql.give_up_snapshot, [hex(id)])? > 0)
    }
}
