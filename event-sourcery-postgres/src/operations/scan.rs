//! Reading across streams.

use std::ops::ControlFlow::{Break, Continue};
use std::time::{Duration, Instant};

use event_sourcery::backend::{Backlog, BacklogRequest, Filter, PageRoom, ScanPage, ScanRequest};
use event_sourcery::{Position, Result};
use sqlx::postgres::PgRow;

use super::Operations;
use super::directory::Stretch;
use crate::rows::{self, EventReader, value};
use crate::scans::{self, Only};
use crate::settled::Run;
use crate::sql::{Statement, statements};
use crate::tables::Tables;
use crate::values::UtcTimestamp;

/// How many positions are looked at first for each event that is wanted. Mostly the page is full then, and whatever the
/// server thinks of the best way, there is not much to read.
const NEAR: i64 = 64;

/// How many blocks of the directory are looked at next, and at most when that was not enough again and again: a name that is
/// not so rare fills its page with a few.
const FEWEST_BLOCKS: i64 = 4;
const MOST_BLOCKS: i64 = 512;

/// How many positions are looked at in one statement, where the directory does not help: some tenths of a second. With a quarter
/// of them each statement looks the streams up anew, and to catch up with a category takes half as long again.
const FAR: i64 = 524_288;

/// How many events are few, together with the streams that have none: they are found by their streams. Of streams that have more,
/// every event is looked at.
pub(super) const FEW: i64 = 16_384;

/// How many of them are read in one statement.
const FEW_AT_ONCE: usize = 1_024;

/// How long a page looks for events before it is handed over as it is.
const PATIENCE: Duration = Duration::from_millis(100);

statements! {
    /// The statements about scans that have one text for every filter.
    ScanSql;
    /// The first event above a position.
    next_event: "
        SELECT e.id FROM {events} e WHERE e.id > $1 ORDER BY e.id LIMIT 1";
    /// What stands above a position, as stretches without a hole.
    stretches_above: "
        SELECT min(e.id), max(e.id)
        FROM (SELECT o.id, o.id - row_number() OVER (ORDER BY o.id) AS stretch FROM {events} o WHERE o.id > $1) e
        GROUP BY e.stretch ORDER BY min(e.id)";
}

/// The events of a page, and one more if there is one.
struct Found {
    rows: Vec<PgRow>,
    /// Whether there may be more behind the last of them, because they have as many bytes as a page holds.
    is_cut: bool,
    /// Everything up to here was looked at, unless the page is full.
    up_to: i64,
    /// In which run of the server, if all of it was read in one.
    read_in: Option<String>,
}

impl Operations<'_> {
    /// A page of events in position order, up to this position, which was settled in this run of the server. Nothing in
    /// another run: there it may not be, or may be the position of something else.
    pub(crate) async fn scan(
        &mut self,
        request: &ScanRequest,
        up_to: Position,
        run: &Run,
    ) -> Result<Option<ScanPage>> {
        let ScanRequest { after, filter, limit, .. } = request;
        let (after, limit) = (*after, *limit);
        if after >= up_to {
            return Ok(Some(ScanPage::new(Vec::new(), after, false)));
        }
        let sizes = &self.sql.page_sizes;
        // One more, to see whether there are more.
        let asked = sizes.next(&after).unwrap_or(usize::MAX).min(limit.saturating_add(1));
        let Found { rows, is_cut, up_to: reached, read_in } =
            self.page(after, up_to, filter, asked - 1, PATIENCE).await?;
        if read_in.as_deref() != Some(run.name()) {
            return Ok(None);
        }
        let mut reader = EventReader::default();
        let (is_full, reached) = (is_cut || rows.len() >= asked, Position::from_i64(reached));
        let records: Vec<_> = rows.iter().take(limit).map(|row| reader.record(row)).collect();
        let next = match records.last() {
            Some(last) if is_full => last.event.position,
            _ => reached.max(after),
        };
        if is_full {
            sizes.note(&next, limit, asked, records.iter().map(|record| &record.event));
        }
        Ok(Some(ScanPage::new(records, next, is_full || reached < up_to)))
    }

    /// The events of a page, and one more if there is one. They may be the next ones, or far away, or too far away.
    async fn page(
        &mut self,
        after: Position,
        up_to: Position,
        filter: &Filter,
        limit: usize,
        patience: Duration,
    ) -> Result<Found> {
        let begun = Instant::now();
        let (mut after, up_to) = (after.to_i64(), up_to.to_i64());
        let (mut rows, mut read_in, mut bytes) = (Vec::new(), None, 0);
        let one_more = stored_count(limit).saturating_add(1);
        let near = after.saturating_add(one_more.saturating_mul(NEAR).min(FAR));
        let (mut stretch, mut blocks) = (Stretch::of_all(up_to.min(near)), FEWEST_BLOCKS);
        let (mut few, mut is_first) = (None, true);
        while after < up_to {
            let mut text = self.sql.scans.page(filter, &stretch.only);
            if self.spares_payloads {
                text = text.without_payloads();
            }
            let missing = one_more - stored_count(rows.len());
            let query = scans::bind(&text, after, stretch.up_to, filter, &stretch.only).bind(missing);
            let mut run = None;
            let take = |row: PgRow| {
                if run.is_none() {
                    run = Some(value::<String>(&row, 3).ok());
                    return Continue(());
                }
                bytes += rows::size(&row);
                rows.push(row);
                if bytes < PageRoom::BYTES { Continue(()) } else { Break(()) }
            };
            let at_most = usize::try_from(missing).unwrap_or(usize::MAX).saturating_add(1);
            self.each_row(query, at_most, take).await.map_err(|failure| self.failed(failure))?;
            let run = run.flatten();
            if read_in.get_or_insert_with(|| run.clone()) != &run {
                // The server was replaced between two statements.
                return Ok(Found { rows, is_cut: false, up_to: after, read_in: None });
            }
            if bytes >= PageRoom::BYTES {
                return Ok(Found { rows, is_cut: true, up_to: after, read_in: read_in.flatten() });
            }
            after = stretch.up_to;
            if after >= up_to || stored_count(rows.len()) == one_more || begun.elapsed() >= patience {
                break;
            }
            if std::mem::take(&mut is_first) {
                few = self.few(after, up_to, filter).await?;
            }
            if let Some(few) = &mut few {
                stretch = next_of(few, up_to);
                continue;
            }
            stretch = self.next_stretch(after, up_to, filter, blocks).await?;
            if matches!(stretch.only, Only::Everything) {
                // Whatever lies between: a store may begin at any position, and have holes of any length.
                after = self.next_event(after).await?.map_or(up_to, |next| next - 1);
                stretch.up_to = stretch.up_to.min(after.saturating_add(FAR)).max(after.min(up_to));
            }
            blocks = MOST_BLOCKS.min(blocks * 2);
        }
        Ok(Found { rows, is_cut: false, up_to: after.min(up_to), read_in: read_in.flatten() })
    }

    /// Where the events of the streams that a filter asks for stand, in their order, if they are few.
    async fn few(&mut self, above: i64, up_to: i64, filter: &Filter) -> Result<Option<Vec<i64>>> {
        let Some(text) = self.sql.scans.few(filter) else { return Ok(None) };
        let query = scans::bind(&text, above, up_to, filter, &Only::Everything).bind(self.few + 1);
        let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
        let few =
            row.map(|row| value(&row, 0)).transpose().map_err(|error: sqlx::Error| self.failed(error))?;
        Ok(few.flatten())
    }

    /// Where the first event above a position stands.
    async fn next_event(&mut self, above: i64) -> Result<Option<i64>> {
        let query = self.sql.scan.next_event.query().bind(above);
        let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
        row.map(|row| value(&row, 0)).transpose().map_err(|error: sqlx::Error| self.failed(error))
    }

    /// What was committed above a position, as stretches from the first to the last.
    pub(crate) async fn stretches_above(&mut self, above: Position) -> Result<Vec<(Position, Position)>> {
        let query = self.sql.scan.stretches_above.query().bind(above.to_i64());
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        let stretch = |row: &PgRow| -> Result<_, sqlx::Error> {
            Ok((Position::from_i64(value(row, 0)?), Position::from_i64(value(row, 1)?)))
        };
        rows.iter().map(stretch).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    /// Counts what lies between two positions, both of them settled.
    pub(crate) async fn backlog(&mut self, request: &BacklogRequest, settled: Position) -> Result<Backlog> {
        let BacklogRequest { after, up_to, filter, most, .. } = request;
        let end = up_to.map_or(settled, |up_to| up_to.min(settled)).to_i64();
        let (begun, mut after, mut backlog) = (Instant::now(), after.to_i64(), Backlog::default());
        let mut few = self.few(after, end, filter).await?;
        // Mostly the first stretch holds as many as are counted.
        let mut most_positions = most.map_or(i64::MAX, |most| stored_count(most).saturating_add(1));
        while after < end {
            let up_to = end.min(after.saturating_add(most_positions));
            let stretch = match &mut few {
                Some(few) => next_of(few, end),
                None => self.next_stretch(after, up_to, filter, MOST_BLOCKS).await?,
            };
            let text = self.sql.scans.backlog(filter, &stretch.only);
            let missing = most.map_or(i64::MAX, |most| stored_count(most - backlog.events));
            let query = scans::bind(&text, after, stretch.up_to, filter, &stretch.only).bind(missing);
            let row = self.row(query).await.map_err(|failure| self.failed(failure))?;
            let Some(row) = row else { break };
            let (events, last): (i64, Option<i64>) = (|| Ok((value(&row, 0)?, value(&row, 2)?)))()
                .map_err(|error: sqlx::Error| self.failed(error))?;
            // A time that cannot be read is an error of whoever reads the event.
            let oldest: Option<UtcTimestamp> = value(&row, 1).unwrap_or_default();
            if backlog.events == 0 {
                backlog.oldest = oldest.map(|oldest| oldest.0);
            }
            backlog.events += u64::try_from(events).unwrap_or(0);
            let is_full = events == missing;
            after = if is_full { last.unwrap_or(stretch.up_to) } else { stretch.up_to };
            if after < end && (is_full || most.is_some() && begun.elapsed() >= PATIENCE) {
                backlog.cut_off = Some(Position::from_i64(after));
                break;
            }
            most_positions = most_positions.saturating_mul(2);
        }
        Ok(backlog)
    }
}

/// The next of few events.
fn next_of(few: &mut Vec<i64>, up_to: i64) -> Stretch {
    let rest = few.split_off(few.len().min(FEW_AT_ONCE));
    let next = std::mem::replace(few, rest);
    let up_to = next.last().copied().filter(|_| !few.is_empty()).unwrap_or(up_to);
    Stretch { up_to, only: Only::At(next) }
}

fn stored_count(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
