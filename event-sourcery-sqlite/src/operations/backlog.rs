//! What a reader has still before it.

use std::ops::ControlFlow::{self, Break, Continue};

use event_sourcery::backend::{Backlog, BacklogRequest, Segments};
use event_sourcery::{Position, Result};
use rusqlite::Row;

use super::Operations;
use super::search::{Found, PATIENCE, Search};
use crate::rows;
use crate::sql::Sql;

/// The count of what is found.
pub(crate) struct Count {
    segments: Option<Segments>,
    most: Option<u64>,
    /// Where the last of them stands.
    last: Position,
    backlog: Backlog,
}

impl Found for Count {
    fn sql(sql: &Sql) -> &str {
        &sql.count
    }

    fn take(&mut self, operations: Operations<'_>, row: &Row<'_>) -> Result<ControlFlow<()>> {
        if rows::is_outside(row, 1, self.segments) {
            return Ok(Continue(()));
        }
        if self.most == Some(self.backlog.events) {
            self.backlog.cut_off = Some(self.last);
            return Ok(Break(()));
        }
        self.last = Position::from_i64(row.get(0).map_err(|error| operations.failed(error))?);
        if self.backlog.events == 0 {
            self.backlog.oldest = time_of(operations, row)?;
        }
        self.backlog.events += 1;
        Ok(Continue(()))
    }
}

/// The time of an event, if it can be read. It stands behind the payload: to read it for every event that is counted would be
/// slow.
fn time_of(operations: Operations<'_>, row: &Row<'_>) -> Result<Option<jiff::Timestamp>> {
    let position: i64 = row.get(0).map_err(|error| operations.failed(error))?;
    let time = |row: &Row<'_>| Ok(row.get_ref(0)?.as_str().ok().and_then(|time| rows::timestamp(time).ok()));
    Ok(operations.first(&operations.sql.time_of_event, [position], time)?.flatten())
}

impl Search<Count> {
    /// Counts what is above a position, up to what is settled.
    pub(crate) fn for_backlog(request: BacklogRequest) -> Self {
        let BacklogRequest { after, up_to, filter, most, .. } = request;
        let count = Count { segments: filter.segments, most, last: after, backlog: Backlog::default() };
        Self::new(filter, (after, up_to), 0, most.map(|_| PATIENCE), count)
    }

    /// The backlog, once the search is at its end.
    pub(crate) fn backlog(self) -> Backlog {
        let cut_off = self.is_cut.then(|| self.reached());
        self.found.backlog.with_cut_off(self.found.backlog.cut_off.or(cut_off))
    }
}
