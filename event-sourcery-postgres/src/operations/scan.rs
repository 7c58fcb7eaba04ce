//! Reading across streams.

use event_sourcery::backend::{ScanPage, ScanRequest};
use event_sourcery::{Position, Result};

use super::Operations;
use crate::rows::EventReader;

impl Operations<'_> {
    /// A page of events in position order, up to what is settled.
    pub(crate) async fn scan(&mut self, request: &ScanRequest, settled: Position) -> Result<ScanPage> {
        let ScanRequest { after, filter, limit, .. } = request;
        let names: Option<Vec<&str>> =
            filter.names.as_ref().map(|names| names.iter().map(|name| &**name).collect());
        let one_more = i64::try_from(*limit).unwrap_or(i64::MAX).saturating_add(1);
        let query = self.sql.scan.query().bind(after.to_i64()).bind(settled.to_i64());
        let query = query
            .bind(filter.tenant.as_ref().map(|tenant| tenant.as_str()))
            .bind(filter.category.as_ref().map(|category| category.as_str()))
            .bind(names)
            .bind(one_more);
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        let mut reader = EventReader::default();
        let records = rows.iter().take(*limit).map(|row| reader.record(row)).collect::<Result<Vec<_>>>()?;
        let has_more = rows.len() > *limit;
        let next = match records.last() {
            Some(last) if has_more => last.event.position,
            _ => settled.max(*after),
        };
        Ok(ScanPage { records, next, has_more })
    }
}
