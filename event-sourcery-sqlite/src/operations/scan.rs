//! Reading across streams.

use std::ops::ControlFlow::{self, Break, Continue};

use event_sourcery::backend::{Filter, PageRoom, ScanPage, Segments, StoredRecord};
use event_sourcery::{Error, Position, Result};
use rusqlite::Row;

use super::Operations;
use super::search::{Found, PATIENCE, Search};
use crate::rows::{self, EventReader};
use crate::sql::Sql;

/// How many times its own length a page looks at one event after the other, before it asks the directory for the names
/// that it wants.
const NEAR: usize = 64;

impl Operations<'_> {
    /// The settled position. There is one writer at a time, so whatever is committed is settled; the highest position
    /// ever given stays on record when its event is deleted.
    pub(crate) fn position(&self) -> Result<Position> {
        let drawn = self.first(&self.sql.position, [], |row| row.get(0))?.unwrap_or(0);
        self.look.at(drawn, self.sql)?;
        Ok(Position::from_i64(drawn))
    }

    /// A position that this store has not given: of another store, or of this one before it was restored.
    pub(super) fn refuse_beyond_end(&self, position: Position) -> Result<()> {
        let end = self.position()?;
        if position > end { Err(Error::BeyondEnd { position, end }) } else { Ok(()) }
    }
}

/// A page of events in position order, in the making.
pub(crate) struct Page {
    after: Position,
    segments: Option<Segments>,
    room: PageRoom,
    reader: EventReader,
    records: Vec<StoredRecord>,
    /// How many of them have got their tags.
    tagged: usize,
    has_more: bool,
}

impl Found for Page {
    fn sql(sql: &Sql) -> &str {
        &sql.scan
    }

    fn take(&mut self, _: Operations<'_>, row: &Row<'_>) -> Result<ControlFlow<()>> {
        if rows::is_outside(row, 8, self.segments) {
            return Ok(Continue(()));
        }
        if self.room.events() > 0 {
            let record = self.reader.record(row);
            if self.room.take(&record.event) {
                self.records.push(record);
                return Ok(Continue(()));
            }
        }
        self.has_more = true;
        Ok(Break(()))
    }

    fn complete(&mut self, operations: Operations<'_>) -> Result<()> {
        let new = self.records.get_mut(self.tagged..).unwrap_or_default();
        operations.tag(new, |record| &mut record.event)?;
        self.tagged = self.records.len();
        Ok(())
    }
}

impl Search<Page> {
    /// Reads a page of at most so many events, up to a position that is settled, or up to what is settled now.
    pub(crate) fn for_page(after: Position, up_to: Option<Position>, filter: Filter, limit: usize) -> Self {
        let (reader, records, segments) = (EventReader::default(), Vec::new(), filter.segments);
        let (room, tagged, has_more) = (PageRoom::of(limit), 0, false);
        let page = Page { after, segments, room, reader, records, tagged, has_more };
        let near = i64::try_from(limit.saturating_mul(NEAR)).unwrap_or(i64::MAX);
        Self::new(filter, (after, up_to), near, Some(PATIENCE), page)
    }

    /// The page, once the search is at its end.
    pub(crate) fn page(self) -> ScanPage {
        let (reached, is_cut, end) = (self.reached(), self.is_cut, self.end);
        let Page { after, records, has_more: is_full, .. } = self.found;
        let next = match records.last() {
            Some(last) if is_full => Some(last.event.position),
            _ if is_cut => Some(reached),
            _ => end,
        };
        ScanPage::new(records, next.map_or(after, |next| next.max(after)), is_full || is_cut)
    }
}
