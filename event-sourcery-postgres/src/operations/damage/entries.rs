//! Entries of the outbox that the server cannot give.
//!
//! All that an entry says stands in its JSON: whose it is, too. Where that is lost, its event tells that, as long as it is there. So the
//! entry stops its stream, and those of others are published.

use event_sourcery::backend::{
    OutboxRequest, ScanPage, StoredEvent, StoredRecord, lost_stream_id, stored_tenant_id,
};
use event_sourcery::{Position, Result, TenantId};
use jiff::Timestamp;
use uuid::Uuid;

use super::super::Operations;
use crate::database::FEW;
use crate::rows::{EventReader, value};
use crate::settled::Run;

impl Operations<'_> {
    /// A page of entries, as [`outbox`](Self::outbox) reads it, of which some are lost. These stand in it as what cannot be read. A few are
    /// looked at in one page, or as many as it takes to find one of the stream that is asked for.
    pub(crate) async fn whole_entries(
        &mut self,
        request: &OutboxRequest,
        up_to: Position,
        run: &Run,
    ) -> Result<Option<ScanPage>> {
        let (mut after, most) = (request.after, request.limit.min(FEW));
        loop {
            let positions = self.entry_positions(request, (after, up_to), most).await?;
            let Some(records) = self.entries_at(request, up_to, &positions, run).await? else {
                return Ok(None);
            };
            match positions.last().copied().map(Position::from_i64).filter(|_| positions.len() >= most) {
                None => return Ok(Some(ScanPage::new(records, up_to.max(request.after), false))),
                Some(last) if request.stream.is_some() && records.is_empty() => after = last,
                Some(last) => return Ok(Some(ScanPage::new(records, last, true))),
            }
        }
    }

    async fn entry_positions(
        &mut self,
        request: &OutboxRequest,
        (after, up_to): (Position, Position),
        most: usize,
    ) -> Result<Vec<i64>> {
        let sql = &self.sql.outbox;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let query = match &request.stream {
            Some((_, stream)) => {
                let query = sql.entry_positions_of_stream.query();
                query.bind(after.to_i64()).bind(up_to.to_i64()).bind(most).bind(stream.uuid())
            }
            None => sql.entry_positions.query().bind(after.to_i64()).bind(up_to.to_i64()).bind(most),
        };
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        let positions: Result<_, sqlx::Error> = rows.iter().map(|row| value(row, 0)).collect();
        positions.map_err(|error| self.failed(error))
    }

    /// What can be had of the entries at these positions, as far as it is asked for: by halves, as [`whole`](Self::whole) does it. Nothing
    /// in another run.
    async fn entries_at(
        &mut self,
        request: &OutboxRequest,
        up_to: Position,
        positions: &[i64],
        run: &Run,
    ) -> Result<Option<Vec<StoredRecord>>> {
        let OutboxRequest { tenant, segments, .. } = request;
        let of = segments.map(|segments| i32::from(segments.of()));
        let numbers = segments.map(|segments| segments.numbers().map(i32::from).collect::<Vec<_>>());
        // That of no entry tells the run, also where every other fails.
        let (mut left, none): (Vec<&[i64]>, &[i64]) = (vec![positions], &[]);
        left.push(none);
        let (mut records, mut reader) = (Vec::new(), EventReader::default());
        while let Some(part) = left.pop() {
            let query = self.sql.outbox.entries_at.query().bind(request.after.to_i64()).bind(up_to.to_i64());
            let query = query.bind(tenant.as_ref().map(TenantId::as_str)).bind(of).bind(numbers.clone());
            match self.rows(query.bind(i64::MAX).bind(part)).await {
                Ok(rows) => {
                    let mut rows = rows.iter();
                    let read_in = rows.next().and_then(|row| value::<String>(row, 3).ok());
                    if read_in.as_deref() != Some(run.name()) {
                        return Ok(None);
                    }
                    records.extend(rows.map(|row| reader.entry(row)));
                }
                Err(failure) if failure.is_damage() && !part.is_empty() => match part {
                    [position] => {
                        let problem = format!("the server cannot give it: {}", failure.message());
                        let record = self.lost_entry(*position, problem, &mut reader).await?;
                        records.extend(Some(record).filter(|record| is_asked_for(request, record)));
                    }
                    many => {
                        let (first, second) = many.split_at(many.len() / 2);
                        left.extend([first, second]);
                    }
                },
                Err(failure) => return Err(self.failed(failure)),
            }
        }
        records.retain(|record| is_of_stream(request, record));
        records.sort_by_key(|record| record.event.position);
        Ok(Some(records))
    }

    /// What the event of an entry tells of it: whose it is, and which. Where that is gone, nobody knows.
    async fn lost_entry(
        &mut self,
        position: i64,
        problem: String,
        reader: &mut EventReader,
    ) -> Result<StoredRecord> {
        let query = self.sql.outbox.event_of_entry.without_payloads().query().bind(position);
        let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
        let nobodys = || {
            let position = Position::from_i64(position);
            let (nameless, time) = ("".into(), Timestamp::default());
            let event = StoredEvent::new(position, None, Uuid::nil(), nameless, Box::default(), time);
            StoredRecord::new(lost_stream_id(position), stored_tenant_id(""), event)
        };
        let mut record = row.map_or_else(nobodys, |row| reader.record(&row));
        record.event.unreadable = Some(problem.into());
        Ok(record)
    }
}

/// What SQL says of an entry whose JSON is there: whether its tenant and its segment are asked for.
fn is_asked_for(request: &OutboxRequest, record: &StoredRecord) -> bool {
    let OutboxRequest { tenant, segments, .. } = request;
    tenant.as_ref().is_none_or(|tenant| record.tenant == *tenant)
        && segments.is_none_or(|segments| segments.contain(record.stream.uuid()))
}

fn is_of_stream(request: &OutboxRequest, record: &StoredRecord) -> bool {
    request.stream.as_ref().is_none_or(|(tenant, stream)| {
        record.tenant == *tenant
            && record.stream.uuid() == stream.uuid()
            && record.stream.stored_category() == stream.stored_category()
    })
}
