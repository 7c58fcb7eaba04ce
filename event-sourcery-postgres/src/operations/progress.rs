//! The progress of durable subscriptions: checkpoints, and streams that wait for a failed event.

use std::sync::Arc;

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, BlockedStream, Lease, ProgressRequest, StreamProgress, SubscriptionId,
    lost_stream_id, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Error, Position, Result};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::Operations;
use super::subscription::{column, of_subscription};
use crate::failure::{Failure, ended_before_its_time};
use crate::rows::value;
use crate::settled::Run;
use crate::sql::Statement;
use crate::values::UtcTimestamp;

/// What became of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Kept,
    /// A lease does not hold, or a stream was not as it had to be.
    Lost,
    /// The handler has ended its transaction: there is none to keep it in.
    Ended,
    /// The server left checkpoints as they were.
    Unwritten,
    /// The server runs anew, or is another one.
    InAnotherRun,
}

/// How many streams are changed by one statement at most.
const TOGETHER: usize = 1_024;

/// A statement of ours with values bound.
type Bound<'q> = Query<'q, Postgres, PgArguments>;

impl Operations<'_> {
    /// Writes progress, all or nothing; nothing in another run of the server than this. Checkpoints alone are one statement. In
    /// the caller's transaction, a refusal leaves the transaction as it was.
    pub(crate) async fn progress(&mut self, request: &ProgressRequest, run: &Run) -> Result<Option<()>> {
        let has_streams = !request.streams.is_empty() || request.subscription.is_outbox();
        let made = if !has_streams && request.outbox.is_none() {
            self.reach(request, run).await.map(|(made, _)| made)
        } else {
            self.reach_with_streams(request, run).await
        };
        match made {
            Ok(Made::Kept) => Ok(Some(())),
            Ok(Made::InAnotherRun) => Ok(None),
            Ok(Made::Lost) => Err(Error::lease_lost(&*request.subscription.name)),
            Ok(Made::Ended) => Err(ended_before_its_time()),
            Ok(Made::Unwritten) => Err(self.unwritten()),
            Err(failure) => Err(self.failed_committing(failure)),
        }
    }

    async fn reach_with_streams(&mut self, request: &ProgressRequest, run: &Run) -> Result<Made, Failure> {
        self.begin().await?;
        let made = self.reach_and_change_streams(request, run).await;
        let what = made.as_ref().map_or(Made::Lost, |made| *made);
        self.end(made.map(|made| (made == Made::Kept).then_some(()))).await?;
        Ok(what)
    }

    async fn reach_and_change_streams(
        &mut self,
        request: &ProgressRequest,
        run: &Run,
    ) -> Result<Made, Failure> {
        let (reached, from) = self.reach(request, run).await?;
        if reached != Made::Kept {
            return Ok(reached);
        }
        // Entries before the streams that wait: whoever is publishing them has locked them before he comes here, and somebody who leaves
        // one of them out would hold the stream that he wants, and wait for him.
        if let Some(outbox) = &request.outbox {
            self.publish(outbox).await?;
        }
        // In one order for all, so that two of them do not wait for each other; neighbours that are changed alike, in one statement.
        let mut streams: Vec<_> = request.streams.iter().collect();
        streams.sort_by_key(|progress| key_of(progress));
        let id = &request.subscription;
        let are_alike = |one: &&StreamProgress, next: &&StreamProgress| {
            Kind::of(id, one) == Kind::of(id, next) && key_of(one) != key_of(next)
        };
        let parts: Vec<_> = streams.chunk_by(are_alike).flat_map(|alike| alike.chunks(TOGETHER)).collect();
        for alike in parts {
            if !self.change_streams(id, alike).await? {
                return Ok(Made::Lost);
            }
        }
        if id.is_outbox() {
            self.pass_entries(request, from).await?;
        }
        Ok(Made::Kept)
    }

    /// Where the leases hold, their checkpoints are where they are to be. Tells also where the first of them was before.
    async fn reach(&mut self, request: &ProgressRequest, run: &Run) -> Result<(Made, Option<i64>), Failure> {
        let ProgressRequest { subscription, leases, position, .. } = request;
        if leases.is_empty() {
            return Ok((Made::Kept, None));
        }
        let (segments, tokens): (Vec<i32>, Vec<i64>) =
            leases.iter().map(|Lease { segment, token, .. }| (i32::from(*segment), *token)).unzip();
        let query = of_subscription(&self.sql.subscriptions.reach, subscription);
        let query = query.bind(segments).bind(tokens).bind(position.map(Position::to_i64));
        let query = query.bind(self.is_handling()).bind(run.looked_at());
        let Some(row) = self.row(query).await? else { return Ok((Made::Lost, None)) };
        let (hold, is_open): (bool, bool) = (value(&row, 0)?, value(&row, 1)?);
        let (are_written, is_in_run): (bool, bool) = (value(&row, 2)?, value(&row, 3)?);
        let made = match (is_open, is_in_run, hold, are_written) {
            (false, ..) => Made::Ended,
            (_, false, ..) => Made::InAnotherRun,
            (_, _, false, _) => Made::Lost,
            (.., false) => Made::Unwritten,
            _ => Made::Kept,
        };
        Ok((made, value(&row, 4)?))
    }

    fn unwritten(&self) -> Error {
        let place = self.sql.tables().table("subscription_segments");
        let problem = format!(
            "checkpoints in the table {place} were not written, and no error told why: look for a trigger on it that leaves rows out"
        );
        Error::ForeignLayout { place, problem }
    }

    /// Whether streams were as they had to be, and are changed: all of one kind, and no two the same, in their order.
    async fn change_streams(
        &mut self,
        id: &SubscriptionId,
        streams: &[&StreamProgress],
    ) -> Result<bool, Failure> {
        let Some(kind) = streams.first().map(|first| Kind::of(id, first)) else { return Ok(true) };
        let sql = &self.sql.subscriptions;
        let statement = match kind {
            Kind::Block => &sql.block,
            Kind::BlockLost => &sql.block_lost,
            Kind::BlockEntry => &sql.block_entry,
            Kind::Change => &sql.change_blocked,
            Kind::Free => &sql.free,
            Kind::Wait => &sql.keep_blocked,
        };
        let was: Vec<BlockedAt> = streams.iter().copied().filter_map(was).collect();
        let query = about_blocked(statement, id, streams);
        let query = match kind {
            Kind::Wait => query,
            Kind::Free => bind_at(query, &was),
            Kind::Change => bind_at(bind_blocked(query, streams), &was),
            Kind::Block | Kind::BlockLost | Kind::BlockEntry => bind_blocked(query, streams),
        };
        let rows = self.execute(query).await?;
        Ok(match kind {
            Kind::Block | Kind::BlockLost | Kind::BlockEntry => rows == 1,
            Kind::Change | Kind::Free | Kind::Wait => usize::try_from(rows) == Ok(streams.len()),
        })
    }

    /// Streams that wait for a failed event.
    pub(crate) async fn blocked_streams(&mut self, request: &BlockedRequest) -> Result<Vec<BlockedStream>> {
        let BlockedRequest { subscription, segments, stream, due, after, limit, errors, .. } = request;
        let segments: Option<Vec<i32>> = segments.map(|segments| segments.numbers().map(i32::from).collect());
        let sql = &self.sql.subscriptions;
        let statement = match stream {
            Some(_) => &sql.blocked_stream,
            None if *due => &sql.due_streams,
            None => &sql.blocked_streams,
        };
        let query = of_subscription(statement, subscription);
        let query = query.bind(after.to_i64()).bind(segments);
        let mut query = query.bind(i64::try_from(*limit).unwrap_or(i64::MAX)).bind(*errors);
        if let Some((tenant, stream)) = stream {
            query = query.bind(stream.uuid()).bind(stream.stored_category()).bind(tenant.as_str()).bind(*due);
        }
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        rows.iter().map(blocked).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }
}

/// By which statement a stream is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Block,
    /// One whose row is lost.
    BlockLost,
    /// One of the outbox.
    BlockEntry,
    Change,
    Free,
    Wait,
}

impl Kind {
    fn of(id: &SubscriptionId, progress: &StreamProgress) -> Self {
        match progress {
            StreamProgress::Block(_) if id.is_outbox() => Self::BlockEntry,
            StreamProgress::Block(blocked) if blocked.stream == lost_stream_id(blocked.position) => {
                Self::BlockLost
            }
            StreamProgress::Block(_) => Self::Block,
            StreamProgress::Change(..) => Self::Change,
            StreamProgress::Free(..) => Self::Free,
            StreamProgress::Waits(..) => Self::Wait,
        }
    }
}

/// The key of a stream: UUID, category, tenant.
fn key_of(progress: &StreamProgress) -> (Uuid, &str, &str) {
    let (tenant, stream) = progress.stream();
    (stream.uuid(), stream.stored_category(), tenant.as_str())
}

/// What a stream is taken to be blocked by, where that is to be changed.
const fn was(progress: &StreamProgress) -> Option<BlockedAt> {
    match progress {
        StreamProgress::Change(was, _) | StreamProgress::Free(was, ..) => Some(*was),
        StreamProgress::Block(_) | StreamProgress::Waits(..) => None,
    }
}

/// What a stream is to be blocked by.
const fn becomes(progress: &StreamProgress) -> Option<&BlockedStream> {
    match progress {
        StreamProgress::Block(blocked) | StreamProgress::Change(_, blocked) => Some(blocked),
        StreamProgress::Free(..) | StreamProgress::Waits(..) => None,
    }
}

/// A statement about blocked streams, their keys bound as $1 to $5.
fn about_blocked<'q>(
    statement: &Statement,
    id: &'q SubscriptionId,
    streams: &[&'q StreamProgress],
) -> Bound<'q> {
    let keys: Vec<_> = streams.iter().copied().map(key_of).collect();
    statement
        .query()
        .bind(column(&keys, |(uuid, ..)| *uuid))
        .bind(column(&keys, |(_, category, _)| *category))
        .bind(column(&keys, |(.., tenant)| *tenant))
        .bind(id.tenant.as_str())
        .bind(&*id.name)
}

/// Binds what there is to know of blocked streams beside their keys, as $6 to $13.
fn bind_blocked<'q>(query: Bound<'q>, streams: &[&'q StreamProgress]) -> Bound<'q> {
    let blocked: Vec<_> = streams.iter().copied().filter_map(becomes).collect();
    query
        .bind(column(&blocked, |blocked| i32::from(blocked.segment)))
        .bind(column(&blocked, |blocked| blocked.stream.name()))
        .bind(column(&blocked, |blocked| blocked.after.to_i64()))
        .bind(column(&blocked, |blocked| blocked.position.to_i64()))
        .bind(column(&blocked, |blocked| i64::from(blocked.attempts)))
        // PostgreSQL has no text with a NUL in it.
        .bind(column(&blocked, |blocked| blocked.error.replace('\0', "\u{fffd}")))
        .bind(column(&blocked, |blocked| blocked.retry_at.map(UtcTimestamp)))
        .bind(column(&blocked, |blocked| UtcTimestamp(blocked.since)))
}

fn bind_at<'q>(query: Bound<'q>, was: &[BlockedAt]) -> Bound<'q> {
    query.bind(column(was, |was| was.after.to_i64())).bind(column(was, |was| was.position.to_i64()))
}

/// A row of `blocked_streams`. A time that cannot be read is left out: the other streams are not to wait for it. Without a time to
/// be tried again, it is parked.
fn blocked(row: &PgRow) -> Result<BlockedStream, sqlx::Error> {
    let (name, category): (Option<&str>, &str) = (value(row, 1)?, value(row, 2)?);
    let time = |index| value::<UtcTimestamp>(row, index).map(|time| time.0);
    let stream = stored_stream_id(value(row, 0)?, name, category);
    let segment = u16::try_from(value::<i32>(row, 4)?).unwrap_or(u16::MAX);
    let at = BlockedAt::new(Position::from_i64(value(row, 5)?), Position::from_i64(value(row, 6)?));
    let since = time(10).unwrap_or_default();
    let blocked = BlockedStream::new(stored_tenant_id(value(row, 3)?), stream, segment, at, since);
    Ok(blocked
        .with_attempts(u32::try_from(value::<i64>(row, 7)?).unwrap_or(u32::MAX))
        .with_error(value::<String>(row, 8)?)
        .with_retry_at(time(9).ok())
        .with_event(value(row, 11)?, value::<Option<&str>>(row, 12)?.map(Arc::from)))
}
