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

use std::time::{Duration, Instant};

use event_sourcery::Result;
use event_sourcery::backend::AppendRequest;
use uuid::Uuid;

use super::Operations;
use crate::rows::hex;

/// How long the writer removes before others have their turn.
const STEP: Duration = Duration::from_millis(5);

/// How many rows are removed before it is looked at the time: each may be some megabytes.
const PIECE: usize = 16;

impl<'c> Operations<'c> {
    /// Removes a stream's rows, as many as it comes to in that time; tells whether all are gone.
    pub(super) fn remove(&self, stream: i64, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        let snapshots = (&self.sql.some_snapshots, &self.sql.delete_snapshot);
        let events = (&self.sql.some_events, &self.sql.delete_event);
        for (some, delete) in [snapshots, events] {
            // One by one: what SQLite knows of the table may be old, and a scan would be made for each piece.
            while self.remove_piece(stream, some, delete)? == PIECE {
                if Instant::now() >= until {
                    return Ok(false);
                }
            }
        }
        self.execute(&self.sql.delete_stream, [stream])?;
        Ok(true)
    }

    fn remove_piece(&self, stream: i64, some: &'c str, delete: &'c str) -> Result<usize> {
        let rows = self
            .all_rows(some, (stream, PIECE), |row| row.get::<_, i64>(0).map_err(|error| error.to_string()))?;
        for row in &rows {
            self.execute(delete, [*row])?;
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

    /// Removes some of what is left; tells whether there may be more.
    pub(crate) fn remove_some(&self) -> Result<bool> {
        let Some(stream) = self.hidden_stream()? else { return Ok(false) };
        self.remove(stream, STEP)?;
        Ok(true)
    }

    /// Takes the ids of a request from what is left of deleted streams; tells whether that had any of them.
    pub(super) fn give_up_ids(&self, request: &AppendRequest) -> Result<bool> {
        if !self.has_leftovers()? {
            return Ok(false);
        }
        let mut given_up = 0;
        for id in request.event_ids() {
            given_up += self.execute(&self.sql.give_up_event, [hex(id)])?;
        }
        Ok(given_up > 0)
    }

    /// The same with the id of a snapshot.
    pub(super) fn give_up_snapshot(&self, id: Uuid) -> Result<bool> {
        Ok(self.execute(&self.sql.give_up_snapshot, [hex(id)])? > 0)
    }
}
