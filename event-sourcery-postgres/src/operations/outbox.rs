//! The outbox: entries are read, held while they are published, and go after that.

use std::ops::ControlFlow::{Break, Continue};
use std::time::Duration;

use event_sourcery::backend::{
    HeldEntries, OutboxProgress, OutboxRequest, PageRoom, ProgressRequest, ScanPage, StreamProgress,
};
use event_sourcery::{Position, Result, TenantId};
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::Operations;
use crate::failure::Failure;
use crate::rows::{self, EventReader, value};
use crate::settled::Run;

impl Operations<'_> {
    /// A page of entries, up to this position, which was settled in this run of the server. Nothing in another run.
    pub(crate) async fn outbox(
        &mut self,
        request: &OutboxRequest,
        up_to: Position,
        run: &Run,
    ) -> Result<Option<ScanPage>> {
        let OutboxRequest { after, tenant, segments, stream, limit, .. } = request;
        let sql = &self.sql.outbox;
        let statement = if stream.is_some() { &sql.entries_of_stream } else { &sql.entries };
        let asked = limit.saturating_add(1);
        let of = segments.map(|segments| i32::from(segments.of()));
        let numbers = segments.map(|segments| segments.numbers().map(i32::from).collect::<Vec<_>>());
        let query = statement.query().bind(after.to_i64()).bind(up_to.to_i64());
        let query = query.bind(tenant.as_ref().map(TenantId::as_str)).bind(of).bind(numbers);
        let mut query = query.bind(i64::try_from(asked).unwrap_or(i64::MAX));
        if let Some((tenant, stream)) = stream {
            query = query.bind(stream.uuid()).bind(stream.stored_category()).bind(tenant.as_str());
        }
        let (mut rows, mut read_in, mut bytes) = (Vec::new(), None, 0);
        let take = |row: PgRow| {
            if read_in.is_none() {
                read_in = Some(value::<String>(&row, 3).ok());
                return Continue(());
            }
            bytes += rows::size(&row);
            rows.push(row);
            if bytes < PageRoom::BYTES { Continue(()) } else { Break(()) }
        };
        let read = self.each_row(query, asked.saturating_add(1), take).await;
        read.map_err(|failure| self.failed(failure))?;
        if read_in.flatten().as_deref() != Some(run.name()) {
            return Ok(None);
        }
        let is_full = bytes >= PageRoom::BYTES || rows.len() > *limit;
        let mut reader = EventReader::default();
        let records: Vec<_> = rows.iter().take(*limit).map(|row| reader.entry(row)).collect();
        let next = match records.last() {
            Some(last) if is_full => last.event.position,
            _ => up_to.max(*after),
        };
        Ok(Some(ScanPage::new(records, next, is_full)))
    }

    /// Which entries are there, and which of them nobody else is publishing: those are locked until the transaction ends.
    pub(crate) async fn hold_entries(&mut self, positions: &[Position]) -> Result<HeldEntries> {
        let positions: Vec<i64> = positions.iter().map(|position| position.to_i64()).collect();
        let query = self.sql.outbox.hold_entries.query().bind(positions);
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        let (mut free, mut taken) = (Vec::new(), Vec::new());
        for row in &rows {
            let position: i64 = value(row, 0).map_err(|error| self.failed(error))?;
            let is_free: bool = value(row, 1).map_err(|error| self.failed(error))?;
            let those = if is_free { &mut free } else { &mut taken };
            those.push(Position::from_i64(position));
        }
        Ok(HeldEntries::new(free, taken))
    }

    /// Puts down which entries of blocked streams the checkpoints pass, from where one of them was, and which of them are gone since.
    pub(super) async fn pass_entries(
        &mut self,
        progress: &ProgressRequest,
        from: Option<i64>,
    ) -> Result<(), Failure> {
        let ProgressRequest { subscription, leases, position, streams, .. } = progress;
        let sql = &self.sql.outbox;
        if let Some((from, to)) = from.zip(*position) {
            let segments: Vec<_> = leases.iter().map(|lease| i32::from(lease.segment)).collect();
            let query = sql.pass_entries.query().bind(subscription.tenant.as_str()).bind(segments);
            self.execute(query.bind(from).bind(to.to_i64())).await?;
        }
        let tried_again = streams.iter().filter_map(|progress| match progress {
            StreamProgress::Change(_, blocked) => Some((blocked.stream.uuid(), blocked.after.to_i64())),
            StreamProgress::Free(_, _, stream) => Some((stream.uuid(), i64::MAX)),
            StreamProgress::Block(_) | StreamProgress::Waits(..) => None,
        });
        let (uuids, up_to): (Vec<Uuid>, Vec<i64>) = tried_again.unzip();
        if uuids.is_empty() {
            return Ok(());
        }
        self.execute(sql.forget_passed.query().bind(uuids).bind(up_to)).await.map(drop)
    }

    /// Writes what becomes of entries.
    pub(super) async fn publish(&mut self, progress: &OutboxProgress) -> Result<(), Failure> {
        let OutboxProgress { done, keep, .. } = progress;
        let (sql, done): (_, Vec<i64>) =
            (&self.sql.outbox, done.iter().map(|position| position.to_i64()).collect());
        let Some(keep) = keep else {
            return self.execute(sql.delete_entries.query().bind(done)).await.map(drop);
        };
        self.execute(sql.mark_entries.query().bind(done)).await?;
        // An interval of PostgreSQL's ends far behind that.
        let keep = keep.min(&Duration::from_secs(100 * 365 * 24 * 3_600)).as_micros();
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        self.execute(sql.forget_kept.query().bind(keep)).await.map(drop)
    }
}
