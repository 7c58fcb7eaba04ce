//! Reading across streams.

use event_sourcery::backend::{Backlog, Filter, ScanPage, ScanRequest};
use event_sourcery::{Position, Result};
use sqlx::postgres::PgRow;

use super::Operations;
use super::directory::Stretch;
use crate::rows::{EventReader, value};
use crate::scans;
use crate::values::UtcTimestamp;

/// How many positions are looked at first for each event that is wanted. Mostly the page is full then, and whatever the
/// server thinks of the best way, there is not much to read.
const NEAR: i64 = 64;

/// How many blocks of the directory are looked at next, and at most when that was not enough again and again: a name that is
/// not so rare fills its page with a few.
const FEWEST_BLOCKS: i64 = 4;
const MOST_BLOCKS: i64 = 512;

impl Operations<'_> {
    /// A page of events in position order, up to this position, which is settled.
    pub(crate) async fn scan(&mut self, request: &ScanRequest, up_to: Position) -> Result<ScanPage> {
        let ScanRequest { after, filter, limit, .. } = request;
        let (after, limit) = (*after, *limit);
        let rows = self.page(after, up_to, filter, limit).await?;
        let mut reader = EventReader::default();
        let records = rows.iter().take(limit).map(|row| reader.record(row)).collect::<Result<Vec<_>>>()?;
        let has_more = rows.len() > limit;
        let next = match records.last() {
            Some(last) if has_more => last.event.position,
            _ => up_to.max(after),
        };
        Ok(ScanPage { records, next, has_more })
    }

    /// The events of a page, and one more if there is one. They may be the next ones, or far away.
    async fn page(
        &mut self,
        after: Position,
        up_to: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<Vec<PgRow>> {
        let (mut after, up_to) = (after.to_i64(), up_to.to_i64());
        let (mut rows, one_more) = (Vec::new(), stored_count(limit).saturating_add(1));
        let near = after.saturating_add(one_more.saturating_mul(NEAR));
        let (mut stretch, mut blocks) = (Stretch::of_all(up_to.min(near)), FEWEST_BLOCKS);
        while after < up_to {
            let text = self.sql.scans.page(filter, stretch.blocks.is_some());
            let missing = one_more - stored_count(rows.len());
            let query =
                scans::bind(text, after, stretch.up_to, filter, stretch.blocks.as_deref()).bind(missing);
            rows.extend(self.rows(query).await.map_err(|failure| self.failed(failure))?);
            after = stretch.up_to;
            if after >= up_to || stored_count(rows.len()) == one_more {
                break;
            }
            stretch = self.next_stretch(after, up_to, filter, blocks).await?;
            blocks = MOST_BLOCKS.min(blocks * 2);
        }
        Ok(rows)
    }

    /// What lies between two positions, both of them settled.
    pub(crate) async fn backlog(
        &mut self,
        after: Position,
        up_to: Position,
        filter: &Filter,
    ) -> Result<Backlog> {
        let (mut after, up_to, mut backlog) = (after.to_i64(), up_to.to_i64(), Backlog::default());
        while after < up_to {
            let stretch = self.next_stretch(after, up_to, filter, MOST_BLOCKS).await?;
            let text = self.sql.scans.backlog(filter, stretch.blocks.is_some());
            let query = scans::bind(text, after, stretch.up_to, filter, stretch.blocks.as_deref());
            let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
            let Some(row) = row else { break };
            let events: i64 = value(&row, 0).map_err(|error| self.failed(error))?;
            // A time that cannot be read is an error of whoever reads the event.
            let oldest: Option<UtcTimestamp> = value(&row, 1).unwrap_or_default();
            if backlog.events == 0 {
                backlog.oldest = oldest.map(|oldest| oldest.0);
            }
            backlog.events += u64::try_from(events).unwrap_or(0);
            after = stretch.up_to;
        }
        Ok(backlog)
    }
}

fn stored_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
