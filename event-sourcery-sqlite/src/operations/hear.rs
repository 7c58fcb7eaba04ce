//! Those who listen to an append, called between its write and the end of its transaction.

use event_sourcery::backend::{Hearing, Listener, Written};
use event_sourcery::{Error, Result};

use super::Operations;
use crate::backend::SqliteBackend;
use crate::transaction::SqliteTransaction;
use crate::writer::Ending;

impl Operations<'_> {
    /// Calls those who listen to what was written. A listener that ends the transaction, which others may share, or is kept from it,
    /// has failed.
    pub(super) fn tell(
        &self,
        hearing: &Hearing<'_, dyn Listener<SqliteBackend>>,
        written: &[Written],
    ) -> Result<()> {
        let call = || {
            let mut transaction = SqliteTransaction::of(Operations { depth: self.depth + 1, ..*self });
            hearing.call(written, &hearing.consecutive(written), &mut transaction)
        };
        let Some(guard) = self.guard else { return call() };
        let (told, ending) = guard.watch(call);
        let is_over = self.connection.is_autocommit();
        match ending {
            Ending::Left if !is_over => return told,
            // Whoever owns the transaction sees by that that it is over. A new one was begun in its place.
            Ending::Ended if !is_over => {
                self.connection.execute_batch("ROLLBACK").map_err(|error| self.failed(error))?;
            }
            _ => {}
        }
        told.and(Err(ended_by_listener()))
    }
}

fn ended_by_listener() -> Error {
    let problem = "the transaction ended inside a listener, and nothing of it is kept: leave its end to the store, and pass on \
                   the errors that you get";
    Error::backend("sqlite", problem)
}
