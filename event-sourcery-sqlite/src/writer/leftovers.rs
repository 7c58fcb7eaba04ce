//! What is left of deleted streams: removed between the calls, a few events at a time.
//!
//! What something of the user's holds on to, a foreign key or a trigger of his, cannot be removed. It stays hidden, and is passed over:
//! the others go. It is tried again once more is left, and when the file is opened again.

use std::cell::Cell;
use std::time::Duration;

use event_sourcery::Error;

use super::group::COMMIT;
use super::{WriterThread, roll_back};
use crate::failure::Failure;

/// How long it waits for another process's lock: somebody may come meanwhile.
const BUSY: Duration = Duration::from_millis(10);

impl WriterThread {
    /// Removes some of what is left of deleted streams, in a transaction of its own; tells whether it could, or has passed it over.
    /// Where it could not, the next call is waited for.
    pub(super) fn remove_some(&self) -> bool {
        let at = Cell::new(None);
        let removed = self.try_to_remove_some(&at);
        roll_back(&self.connection);
        self.checkpointer.after_commit(&self.connection);
        let Err(failure) = removed else { return true };
        if let Some(stream) = at.get().filter(|_| failure.is_constraint()) {
            self.pass_over(stream, failure);
            return true;
        }
        match failure.into_error(BUSY) {
            Error::Busy { .. } => {}
            error => tracing::warn!(
                error = error.in_full(),
                "what is left of a deleted stream could not be removed, and is tried again after the next call"
            ),
        }
        false
    }

    /// Tells of which stream.
    fn try_to_remove_some(&self, at: &Cell<Option<i64>>) -> Result<(), Failure> {
        self.connection.busy_timeout(BUSY)?;
        self.run_alone("BEGIN IMMEDIATE")?;
        let (operations, held) = (self.operations(), self.held.take());
        let found = operations.hidden_beside(&held);
        self.held.set(held);
        let Some(stream) = found? else {
            drop(self.held.take());
            self.leftovers.set(false);
            return Ok(());
        };
        at.set(Some(stream));
        operations.remove_some(stream)?;
        self.run_alone(COMMIT)
    }

    fn pass_over(&self, stream: i64, failure: Failure) {
        let mut held = self.held.take();
        held.insert(stream);
        self.held.set(held);
        let tables = self.operations().referring_tables().unwrap_or_default().join(", ");
        tracing::warn!(
            error = failure.into_error(BUSY).in_full(),
            tables,
            "what is left of a deleted stream cannot be removed, as long as rows of these tables refer to it, or a trigger is against it"
        );
    }

    fn run_alone(&self, sql: &str) -> Result<(), Failure> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
