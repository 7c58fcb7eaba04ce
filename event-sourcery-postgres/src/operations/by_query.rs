//! Reading by a query.

use std::collections::BTreeMap;

use event_sourcery::Result;
use event_sourcery::backend::{Boundary, ReadRecords, ReadRequest};
use sqlx::postgres::PgRow;

use super::Operations;
use super::tags::{Mark, names, tags};
use crate::failure::Failure;
use crate::rows::{EventReader, value};
use crate::tag_sql::by_query;

/// What was read of an item.
#[derive(Default)]
struct ItemRead {
    /// How far: see [`by_query`].
    mark: Option<Mark>,
    /// The positions of its events.
    positions: Vec<i64>,
}

impl Operations<'_> {
    /// Everything that matches, and the boundary behind it: in one statement, so as of one moment.
    pub(crate) async fn read(&mut self, request: &ReadRequest) -> Result<ReadRecords> {
        self.try_read(request).await.map_err(|failure| self.failed(failure))
    }

    async fn try_read(&mut self, request: &ReadRequest) -> Result<ReadRecords, Failure> {
        let ReadRequest { tenant, query, .. } = request;
        let items = query.items();
        let (mut found, mut reader) = (BTreeMap::new(), EventReader::default());
        let mut read: Vec<_> = items.iter().map(|_| ItemRead::default()).collect();
        let rows = if items.is_empty() { Vec::new() } else { self.rows_of(request).await? };
        for row in &rows {
            let number: i64 = value(row, 13)?;
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let Some(item) = read.get_mut(number) else { continue };
            if value::<Option<i64>>(row, 0)?.is_none() {
                item.mark = mark(row)?;
                continue;
            }
            let record = reader.record(row);
            let position = record.event.position;
            item.positions.push(position.to_i64());
            found.insert(position, record);
        }
        let marks = read.into_iter().map(|read| Some(read.mark()?.text()));
        let marks: Vec<_> = marks.collect::<Option<_>>().ok_or(sqlx::Error::RowNotFound)?;
        let boundary = Boundary::new(tenant.clone(), query.clone(), marks.join("|"));
        Ok(ReadRecords::new(found.into_values().collect(), boundary))
    }

    async fn rows_of(&mut self, request: &ReadRequest) -> Result<Vec<PgRow>, Failure> {
        let items = request.query.items();
        let statement = by_query(self.sql.tables(), items.iter().map(|item| !item.tags().is_empty()));
        let query = statement.query().bind(request.tenant.as_str());
        let query = items.iter().fold(query, |query, item| query.bind(tags(item)).bind(names(item)));
        self.rows(query).await
    }
}

impl ItemRead {
    fn mark(self) -> Option<Mark> {
        let mut mark = self.mark?;
        match &mut mark {
            Mark::Guard { own: Some(own), .. } => *own = self.positions.into_iter().max().unwrap_or(0),
            Mark::Guard { .. } => {}
            Mark::Whole { settled, seen, .. } => {
                seen.extend(self.positions.into_iter().filter(|position| *position > *settled));
            }
        }
        Some(mark)
    }
}

/// The row that says how far an item was read: by which of its tags, counted from 1, or by none.
fn mark(row: &PgRow) -> Result<Option<Mark>, sqlx::Error> {
    let is_own: bool = value(row, 17)?;
    let Some(place) = value::<Option<i64>>(row, 14)? else {
        let (settled, deletions) = (value(row, 15)?, value(row, 16)?);
        return Ok(Some(Mark::Whole { settled, deletions, is_own, seen: Vec::new() }));
    };
    let (version, last, exact) = (value(row, 15)?, value(row, 16)?, value(row, 18)?);
    let tag = place.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    let own = is_own.then_some(0);
    Ok(tag.map(|tag| Mark::Guard { tag, version, last, own, exact }))
}
