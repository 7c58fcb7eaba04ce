//! Durable subscriptions as a whole: read, and changed by one at a time.

use std::time::Duration;

use event_sourcery::backend::{
    Kept, Member, SegmentRecord, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use event_sourcery::{Position, Result};
use jiff::Timestamp;
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use uuid::Uuid;

use super::Operations;
use crate::failure::Failure;
use crate::rows::value;
use crate::settled::Run;
use crate::sql::Statement;
use crate::values::UtcTimestamp;

/// What a subscription is now.
type Changed = Option<SubscriptionRecord>;

impl Operations<'_> {
    /// A subscription as it stands.
    pub(crate) async fn subscription(&mut self, id: &SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        let query = of_subscription(&self.sql.subscriptions.subscription, id);
        let rows = self.rows(query).await.map_err(|failure| self.failed(failure))?;
        let read = Read::from(&rows).map_err(|error| self.failed(error))?;
        Ok(read.record)
    }

    /// Changes a subscription, in a transaction: what it is now; nothing in another run of the server than this, where one is
    /// given. Changes wait for each other, even where there is no subscription yet, and for those who write its checkpoints.
    pub(crate) async fn change_subscription(
        &mut self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        run: Option<&Run>,
    ) -> Result<Option<Changed>> {
        self.try_change(id, change, run).await.map_err(|failure| self.failed_committing(failure))
    }

    async fn try_change(
        &mut self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        run: Option<&Run>,
    ) -> Result<Option<Changed>, Failure> {
        self.begin().await?;
        let changed = self.change_under_lock(id, change, run).await;
        self.end(changed).await
    }

    async fn change_under_lock(
        &mut self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        run: Option<&Run>,
    ) -> Result<Option<Changed>, Failure> {
        let sql = &self.sql.subscriptions;
        let lock = of_subscription(&sql.lock_subscription, id).bind(run.and_then(Run::looked_at));
        let locked = self.row(lock).await?;
        let is_in_run: Option<bool> = locked.map(|row| value(&row, 1)).transpose()?;
        if is_in_run != Some(true) {
            return Ok(None);
        }
        // In a statement of its own: it has to see what those wrote whose lock had to be waited for.
        let rows = self.rows(of_subscription(&sql.subscription_to_change, id)).await?;
        let Read { record: before, now } = Read::from(&rows)?;
        let after = change.apply(before.clone(), now).map(in_microseconds);
        match &after {
            Some(after) if before.as_ref() != Some(after) => {
                self.write_subscription(id, before.as_ref(), after).await?;
            }
            None if before.is_some() => {
                self.execute(of_subscription(&sql.forget_subscription, id)).await?;
            }
            _ => {}
        }
        if change.frees_streams() {
            self.execute(of_subscription(&sql.free_all_streams, id)).await?;
        }
        Ok(Some(after))
    }

    /// Writes what is different now.
    async fn write_subscription(
        &mut self,
        id: &SubscriptionId,
        before: Option<&SubscriptionRecord>,
        after: &SubscriptionRecord,
    ) -> Result<(), Failure> {
        let (old_segments, old_members) = before.map_or((&[] as &[_], &[] as &[_]), |before| {
            (before.segments.as_slice(), before.members.as_slice())
        });
        let (mut numbers, mut positions, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        let (mut holders, mut times) = (Vec::new(), Vec::new());
        for (number, segment) in after.segments.iter().enumerate() {
            if old_segments.get(number) == Some(segment) {
                continue;
            }
            numbers.push(i32::try_from(number).unwrap_or(i32::MAX));
            positions.push(segment.position.to_i64());
            tokens.push(segment.token);
            holders.push(segment.member);
            times.push(UtcTimestamp(segment.leased_until));
        }
        let kept = after
            .kept
            .as_ref()
            .filter(|kept| before.is_none_or(|before| before.kept.as_ref() != Some(*kept)));
        if let Some(kept) = kept {
            let text = kept.to_text().map_err(|error| sqlx::Error::Encode(error.into()))?;
            self.execute(of_subscription(&self.sql.subscriptions.write_kept, id).bind(text)).await?;
        }
        let is_gone = |old: &&Member| after.members.iter().all(|member| member.id != old.id);
        let gone: Vec<Uuid> = old_members.iter().filter(is_gone).map(|old| old.id).collect();
        let (mut members, mut until, mut lasting) = (Vec::new(), Vec::new(), Vec::new());
        for member in after.members.iter().filter(|member| !old_members.contains(member)) {
            members.push(member.id);
            until.push(UtcTimestamp(member.until));
            lasting.push(i64::try_from(member.lasting.as_millis()).unwrap_or(i64::MAX));
        }
        let query = of_subscription(&self.sql.subscriptions.write_subscription, id);
        let query = query.bind(numbers).bind(positions).bind(tokens).bind(holders).bind(times);
        self.execute(query.bind(gone).bind(members).bind(until).bind(lasting)).await?;
        Ok(())
    }
}

/// A statement with a subscription's key bound: tenant, name.
pub(super) fn of_subscription<'q>(
    statement: &Statement,
    id: &'q SubscriptionId,
) -> Query<'q, Postgres, PgArguments> {
    statement.query().bind(id.tenant.as_str()).bind(&*id.name)
}

/// What the rows of a subscription say.
struct Read {
    record: Option<SubscriptionRecord>,
    /// The store's time, if it was asked for.
    now: Timestamp,
}

impl Read {
    fn from(rows: &[PgRow]) -> Result<Self, sqlx::Error> {
        let (mut segments, mut members, mut now) = (Vec::new(), Vec::new(), Timestamp::UNIX_EPOCH);
        let mut kept = None;
        for row in rows {
            if let Some(text) = value::<Option<&str>>(row, 5)? {
                kept = Some(Kept::from_text(text).map_err(|error| sqlx::Error::Decode(error.into()))?);
                continue;
            }
            // A lease, or a member, whose end cannot be told is gone.
            let time = value::<UtcTimestamp>(row, 4).map(|time| time.0);
            match (value::<Option<i32>>(row, 0)?, value::<Option<Uuid>>(row, 3)?) {
                (Some(number), member) => {
                    let position = Position::from_i64(value(row, 1)?);
                    let (token, leased_until) = (value(row, 2)?, time.unwrap_or_default());
                    let segment = SegmentRecord::new(position, token).with_member(member, leased_until);
                    segments.push((number, segment));
                }
                (None, Some(id)) => {
                    let lasting = Duration::from_millis(u64::try_from(value::<i64>(row, 2)?).unwrap_or(0));
                    members.push(Member::new(id, time.unwrap_or_default(), lasting));
                }
                (None, None) => now = time?,
            }
        }
        segments.sort_by_key(|(number, _)| *number);
        members.sort_by_key(|member| member.id);
        let segments: Vec<_> = segments.into_iter().map(|(_, segment)| segment).collect();
        let record = (!segments.is_empty()).then_some(SubscriptionRecord::new(segments, members, kept));
        Ok(Self { record, now })
    }
}

/// A subscription with its times as they will be read.
fn in_microseconds(mut record: SubscriptionRecord) -> SubscriptionRecord {
    for segment in &mut record.segments {
        segment.leased_until = UtcTimestamp(segment.leased_until).rounded();
    }
    for member in &mut record.members {
        member.until = UtcTimestamp(member.until).rounded();
        member.lasting = Duration::from_millis(u64::try_from(member.lasting.as_millis()).unwrap_or(u64::MAX));
    }
    record
}
