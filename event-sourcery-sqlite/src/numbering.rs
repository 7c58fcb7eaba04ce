//! Whether the store's positions go on above all that were given before.
//!
//! AUTOINCREMENT gives the number above the highest id there is, and above the highest one on record in `sqlite_sequence`. Where
//! that record was set back or deleted, and the newest events with it, the next events get positions that readers have passed,
//! and are never handed over. What was given before is known from checkpoints and from the directory of names: they are asked
//! when the file is opened. After that, each look is compared with the highest position that an earlier look of this process has
//! found, and each append too: it costs a comparison. Other tables have no such record: their numbers are above the highest that is
//! there, whatever happens.

use std::sync::atomic::{AtomicI64, Ordering};

use event_sourcery::Error;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::operations::BLOCK;
use crate::sql::Sql;

/// The highest position that this process has seen committed.
#[derive(Debug, Default)]
pub(crate) struct Seen(AtomicI64);

/// What was seen before a transaction began, and so has to be there in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'c> {
    seen: &'c Seen,
    before: i64,
    /// Whether what the transaction sees is committed: that of a writer may still be taken back.
    is_committed: bool,
}

impl Seen {
    /// For a transaction that reads, and that has not begun.
    pub(crate) fn before_reading(&self) -> Look<'_> {
        Look { seen: self, before: self.0.load(Ordering::Acquire), is_committed: true }
    }

    /// For a transaction that writes: nobody commits beside it.
    pub(crate) fn before_writing(&self) -> Look<'_> {
        Look { is_committed: false, ..self.before_reading() }
    }
}

impl Look<'_> {
    /// Refuses a store that has drawn no higher position than this, while a higher one was seen.
    pub(crate) fn at(&self, drawn: i64, sql: &Sql) -> Result<(), Error> {
        if drawn < self.before {
            return Err(went_back(sql, drawn, self.before, "a position that was read"));
        }
        if self.is_committed {
            self.seen.0.fetch_max(drawn, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Refuses new events where the last position was given: SQLite would say that the disk is full.
    pub(crate) fn has_room(&self) -> Result<(), Error> {
        if self.before < i64::MAX {
            return Ok(());
        }
        let repair = "append to a new store: there are no higher positions".to_owned();
        Err(Error::NumbersUsedUp { last: self.before, repair })
    }

    /// Refuses a position that was seen before, for a new event.
    pub(crate) fn given(&self, position: i64, sql: &Sql) -> Result<(), Error> {
        if position > self.before {
            return Ok(());
        }
        Err(went_back(sql, position.saturating_sub(1), self.before, "a position that was read"))
    }
}

/// The error for a file whose next positions were given before; `None` for one that goes on above them.
pub(crate) fn check(connection: &Connection, sql: &Sql) -> Result<Option<Error>, Failure> {
    // In one statement: others may be writing.
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (drawn, checkpoint, listed): (i64, i64, i64) = connection.query_row(&sql.numbering, [BLOCK], read)?;
    let (highest, evidence) = if listed > checkpoint {
        (listed, "the directory of event names")
    } else {
        (checkpoint, "a checkpoint")
    };
    Ok((drawn < highest).then(|| went_back(sql, drawn, highest, evidence)))
}

fn went_back(sql: &Sql, drawn: i64, highest: i64, evidence: &'static str) -> Error {
    let events = &sql.events_name;
    // Others may draw meanwhile: it never takes the record back.
    let repair = format!(
        "INSERT INTO sqlite_sequence (name, seq) SELECT '{events}', 0
         WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{events}');
         UPDATE sqlite_sequence SET seq = max(seq, {highest}) WHERE name = '{events}'"
    );
    Error::NumberingWentBack { drawn, highest, evidence, repair }
}
