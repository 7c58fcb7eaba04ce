//! Reading across streams.

use event_sourcery::backend::{ScanPage, ScanRequest};
use event_sourcery::{Position, Result};

use super::Operations;
use crate::rows::EventReader;

impl Operations<'_> {
    /// The settled position. There is one writer at a time, so whatever is committed is settled; the highest position
    /// ever given stays on record when its event is deleted.
    pub(crate) fn position(&self) -> Result<Position> {
        let last = self.first(&self.sql.position, [], |row| row.get(0))?;
        Ok(last.map_or(Position::START, Position::from_i64))
    }

    /// A page of events in position order. Runs in a read transaction, so that the settled position is that of the page.
    pub(crate) fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        let ScanRequest { after, filter, limit, .. } = request;
        let names = filter.names.as_ref().map(|names| json_array(names.iter().map(|name| &**name)));
        let one_more = i64::try_from(*limit).unwrap_or(i64::MAX).saturating_add(1);
        let settled = self.position()?;
        let mut statement = self.statement(&self.sql.scan)?;
        let tenant = filter.tenant.as_ref().map(|tenant| tenant.as_str());
        let category = filter.category.as_ref().map(|category| category.as_str());
        let mut rows = statement
            .query((after.to_i64(), tenant, category, names, one_more))
            .map_err(|error| self.failed(error))?;
        let (mut reader, mut records) = (EventReader::default(), Vec::new());
        while let Some(row) = rows.next().map_err(|error| self.failed(error))? {
            if records.len() == *limit {
                let next = records
                    .last()
                    .map_or(*after, |last: &event_sourcery::backend::StoredRecord| last.event.position);
                return Ok(ScanPage { records, next, has_more: true });
            }
            records.push(reader.record(row)?);
        }
        Ok(ScanPage { records, next: settled.max(*after), has_more: false })
    }
}

/// Names as the JSON array that `json_each` takes.
pub(super) fn json_array<'n>(names: impl Iterator<Item = &'n str>) -> String {
    serde_json::Value::from_iter(names).to_string()
}
