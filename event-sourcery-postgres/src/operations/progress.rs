//! The progress of durable subscriptions: checkpoints, and streams that wait for a failed event.

use event_sourcery::backend::{
    BlockedAt, BlockedRequest, BlockedStream, Lease, ProgressRequest, StreamProgress, SubscriptionId,
    lost_stream_id, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Error, Position, Result, StreamId, TenantId};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use super::Operations;
use super::subscription::of_subscription;
use crate::failure::Failure;
use crate::rows::value;
use crate::sql::Statement;
use crate::values::UtcTimestamp;

/// A statement of ours with values bound.
type Bound<'q> = Query<'q, Postgres, PgArguments>;

impl Operations<'_> {
    /// Writes progress, all or nothing. Checkpoints alone are one statement. In the caller's transaction, a refusal leaves
    /// the transaction as it was.
    pub(crate) async fn progress(&mut self, request: &ProgressRequest) -> Result<()> {
        let made = if request.streams.is_empty() {
            self.reach(request).await
        } else {
            self.reach_with_streams(request).await
        };
        match made {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::LeaseLost { subscription: request.subscription.name.to_string() }),
            Err(failure) => Err(self.failed_committing(failure)),
        }
    }

    async fn reach_with_streams(&mut self, request: &ProgressRequest) -> Result<bool, Failure> {
        self.begin().await?;
        let made = self.reach_and_change_streams(request).await.map(|made| made.then_some(()));
        Ok(self.end(made).await?.is_some())
    }

    async fn reach_and_change_streams(&mut self, request: &ProgressRequest) -> Result<bool, Failure> {
        if !self.reach(request).await? {
            return Ok(false);
        }
        // In one order for all, so that two of them do not wait for each other.
        let mut streams: Vec<_> = request.streams.iter().collect();
        streams.sort_by_key(|progress| {
            let (tenant, stream) = progress.stream();
            (stream.uuid(), stream.stored_category(), tenant.as_str())
        });
        for progress in streams {
            if !self.change_stream(&request.subscription, progress).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the leases hold. If they do, their checkpoints are where they are to be.
    async fn reach(&mut self, request: &ProgressRequest) -> Result<bool, Failure> {
        let ProgressRequest { subscription, leases, position, .. } = request;
        if leases.is_empty() {
            return Ok(true);
        }
        let (segments, tokens): (Vec<i32>, Vec<i64>) =
            leases.iter().map(|Lease { segment, token }| (i32::from(*segment), *token)).unzip();
        let query = of_subscription(&self.sql.subscriptions.reach, subscription);
        let query = query.bind(segments).bind(tokens).bind(position.map(Position::to_i64));
        let Some(row) = self.row(query).await? else { return Ok(false) };
        Ok(value(&row, 0)?)
    }

    /// Whether the stream was as it had to be, and is changed.
    async fn change_stream(
        &mut self,
        id: &SubscriptionId,
        progress: &StreamProgress,
    ) -> Result<bool, Failure> {
        let sql = &self.sql.subscriptions;
        let (tenant, stream) = progress.stream();
        let about = |statement| about_blocked(statement, id, tenant, stream);
        let query = match progress {
            StreamProgress::Block(blocked) if *stream == lost_stream_id(blocked.position) => {
                bind_blocked(about(&sql.block_lost), blocked)
            }
            StreamProgress::Block(blocked) => bind_blocked(about(&sql.block), blocked),
            StreamProgress::Change(was, blocked) => {
                bind_at(bind_blocked(about(&sql.change_blocked), blocked), *was)
            }
            StreamProgress::Free(was, ..) => bind_at(about(&sql.free), *was),
            StreamProgress::Waits(..) => about(&sql.keep_blocked),
        };
        Ok(self.execute(query).await? == 1)
    }

    /// Streams that wait for a failed event.
    pub(crate) async fn blocked_streams(&mut self, request: &BlockedRequest) -> Result<Vec<BlockedStream>> {
        let BlockedRequest { subscription, segments, due, after, limit } = request;
        let segments: Option<Vec<i32>> = segments.map(|segments| segments.numbers().map(i32::from).collect());
        let sql = &self.sql.subscriptions;
        let statement = if *due { &sql.due_streams } else { &sql.blocked_streams };
        let query = of_subscription(statement, subscription);
        let query = query.bind(after.to_i64()).bind(segments);
        let query = query.bind(i64::try_from(*limit).unwrap_or(i64::MAX));
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        rows.iter().map(blocked).collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }
}

/// A statement about a blocked stream, its key bound as $1 to $5.
fn about_blocked<'q>(
    statement: &Statement,
    id: &'q SubscriptionId,
    tenant: &'q TenantId,
    stream: &'q StreamId,
) -> Bound<'q> {
    Operations::about(statement, tenant, stream).bind(id.tenant.as_str()).bind(&*id.name)
}

/// Binds what there is to know of a blocked stream beside its key, as $6 to $13.
fn bind_blocked<'q>(query: Bound<'q>, blocked: &'q BlockedStream) -> Bound<'q> {
    query
        .bind(i32::from(blocked.segment))
        .bind(blocked.stream.name())
        .bind(blocked.after.to_i64())
        .bind(blocked.position.to_i64())
        .bind(i64::from(blocked.attempts))
        // PostgreSQL has no text with a NUL in it.
        .bind(blocked.error.replace('\0', "\u{fffd}"))
        .bind(blocked.retry_at.map(UtcTimestamp))
        .bind(UtcTimestamp(blocked.since))
}

fn bind_at(query: Bound<'_>, at: BlockedAt) -> Bound<'_> {
    query.bind(at.after.to_i64()).bind(at.position.to_i64())
}

/// A row of `blocked_streams`. A time that cannot be read is left out: the other streams are not to wait for it. Without a time to
/// be tried again, it is parked.
fn blocked(row: &PgRow) -> Result<BlockedStream, sqlx::Error> {
    let (name, category): (Option<&str>, &str) = (value(row, 1)?, value(row, 2)?);
    let time = |index| value::<UtcTimestamp>(row, index).map(|time| time.0);
    Ok(BlockedStream {
        tenant: stored_tenant_id(value(row, 3)?),
        stream: stored_stream_id(value(row, 0)?, name, category),
        segment: u16::try_from(value::<i32>(row, 4)?).unwrap_or(u16::MAX),
        after: Position::from_i64(value(row, 5)?),
        position: Position::from_i64(value(row, 6)?),
        attempts: u32::try_from(value::<i64>(row, 7)?).unwrap_or(u32::MAX),
        error: value(row, 8)?,
        retry_at: time(9).ok(),
        since: time(10).unwrap_or_default(),
    })
}
