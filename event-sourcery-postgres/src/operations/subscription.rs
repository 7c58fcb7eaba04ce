//! Durable subscriptions as a whole: read, and changed by one at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use event_sourcery::backend::{
    Kept, Member, PresenceRecord, SegmentRecord, SubscriptionChange, SubscriptionId, SubscriptionRecord,
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
        let mut read = Read::default();
        rows.iter().try_for_each(|row| read.take(row)).map_err(|error| self.failed(error))?;
        let now = read.now;
        Ok(read.record().map(|record| record.as_of(now)))
    }

    /// Renews a presence, if it is there: one row, for all members that it vouches for. They all wait for it, so it does not wait long
    /// for an answer that does not come.
    pub(crate) async fn renew_presence(&mut self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.hurry();
        let query = self.sql.subscriptions.renew_presence.query().bind(presence);
        let rows = self.rows(query).await.map_err(|failure| self.failed_committing(failure))?;
        read_presence(&rows).map_err(|error| self.failed(error))
    }

    /// Changes subscriptions, none of them twice, in a transaction: what they are now; nothing in another run of the server than
    /// this, where one is given. Changes of a subscription wait for each other, even where there is none yet, and for those who
    /// write its checkpoints. All leases of a process are renewed by one such call, so it does not wait long for an answer that does not come.
    pub(crate) async fn change_subscriptions(
        &mut self,
        changes: &[(SubscriptionId, SubscriptionChange)],
        run: Option<&Run>,
    ) -> Result<Option<Vec<Changed>>> {
        self.hurry();
        self.try_change(changes, run).await.map_err(|failure| self.failed_committing(failure))
    }

    async fn try_change(
        &mut self,
        changes: &[(SubscriptionId, SubscriptionChange)],
        run: Option<&Run>,
    ) -> Result<Option<Vec<Changed>>, Failure> {
        self.begin().await?;
        let changed = self.change_under_lock(changes, run).await;
        self.end(changed).await
    }

    async fn change_under_lock(
        &mut self,
        changes: &[(SubscriptionId, SubscriptionChange)],
        run: Option<&Run>,
    ) -> Result<Option<Vec<Changed>>, Failure> {
        let sql = &self.sql.subscriptions;
        let lock = of_subscriptions(&sql.lock_subscriptions, changes).bind(run.and_then(Run::looked_at));
        let locked = self.rows(lock).await?;
        let is_in_run: Option<bool> = locked.first().map(|row| value(row, 1)).transpose()?;
        if is_in_run != Some(true) {
            return Ok(None);
        }
        // In a statement of its own: it has to see what those wrote whose lock had to be waited for.
        let rows = self.rows(of_subscriptions(&sql.subscriptions_to_change, changes)).await?;
        let (before, now) = read_several(&rows, changes.len())?;
        let both = changes.iter().zip(&before);
        let after = both.map(|((_, change), before)| change.apply(before.clone(), now).map(in_microseconds));
        let after: Vec<Changed> = after.collect();
        let mut different = Different::default();
        for (((id, change), before), after) in changes.iter().zip(&before).zip(&after) {
            match after {
                Some(after) => different.note(id, before.as_ref(), after),
                None if before.is_some() => {
                    self.execute(of_subscription(&sql.forget_subscription, id)).await?;
                }
                None => {}
            }
            if change.frees_streams() {
                self.execute(of_subscription(&sql.free_all_streams, id)).await?;
            }
        }
        self.write_subscriptions(&different).await?;
        // The last to be locked: whoever renews one alone waits for nothing else.
        let renewed = changes.iter().zip(&after);
        let renewed = renewed.filter_map(|((_, change), after)| change.renews(after.as_ref()?));
        let renewed: Vec<_> = renewed.collect::<BTreeSet<_>>().into_iter().collect();
        if !renewed.is_empty() {
            let put = self.sql.subscriptions.put_presences.query();
            self.execute(put.bind(renewed).bind(UtcTimestamp(now))).await?;
        }
        Ok(Some(after))
    }

    async fn write_subscriptions(&mut self, different: &Different<'_>) -> Result<(), Failure> {
        let Different { segments, gone, members, kept } = different;
        for (id, kept) in kept {
            let text = kept.to_text().map_err(|error| sqlx::Error::Encode(error.into()))?;
            self.execute(of_subscription(&self.sql.subscriptions.write_kept, id).bind(text)).await?;
        }
        if segments.is_empty() && gone.is_empty() && members.is_empty() {
            return Ok(());
        }
        let query = self.sql.subscriptions.write_subscriptions.query();
        let query = query
            .bind(column(segments, |(id, ..)| id.tenant.as_str()))
            .bind(column(segments, |(id, ..)| &*id.name))
            .bind(column(segments, |(_, number, _)| *number))
            .bind(column(segments, |(.., segment)| segment.position.to_i64()))
            .bind(column(segments, |(.., segment)| segment.token))
            .bind(column(segments, |(.., segment)| segment.member))
            .bind(column(segments, |(.., segment)| UtcTimestamp(segment.leased_until)))
            .bind(column(gone, |(id, _)| id.tenant.as_str()))
            .bind(column(gone, |(id, _)| &*id.name))
            .bind(column(gone, |(_, member)| *member))
            .bind(column(members, |(id, _)| id.tenant.as_str()))
            .bind(column(members, |(id, _)| &*id.name))
            .bind(column(members, |(_, member)| member.id))
            .bind(column(members, |(_, member)| UtcTimestamp(member.until)))
            .bind(column(members, |(_, member)| milliseconds(member.lasting)))
            .bind(column(members, |(_, member)| member.presence));
        self.execute(query).await?;
        Ok(())
    }
}

/// What is different now: rows to write, and members that are gone.
#[derive(Default)]
struct Different<'r> {
    segments: Vec<(&'r SubscriptionId, i32, &'r SegmentRecord)>,
    gone: Vec<(&'r SubscriptionId, Uuid)>,
    members: Vec<(&'r SubscriptionId, &'r Member)>,
    kept: Vec<(&'r SubscriptionId, &'r Kept)>,
}

impl<'r> Different<'r> {
    fn note(
        &mut self,
        id: &'r SubscriptionId,
        before: Option<&SubscriptionRecord>,
        after: &'r SubscriptionRecord,
    ) {
        let (old_segments, old_members) = before.map_or((&[] as &[_], &[] as &[_]), |before| {
            (before.segments.as_slice(), before.members.as_slice())
        });
        for (number, segment) in after.segments.iter().enumerate() {
            if old_segments.get(number) != Some(segment) {
                self.segments.push((id, i32::try_from(number).unwrap_or(i32::MAX), segment));
            }
        }
        let is_gone = |old: &&Member| after.members.iter().all(|member| member.id != old.id);
        self.gone.extend(old_members.iter().filter(is_gone).map(|old| (id, old.id)));
        let is_kept = |member: &&Member| old_members.iter().any(|old| member.is_kept_as(old));
        let new = after.members.iter().filter(|member| !is_kept(member));
        self.members.extend(new.map(|member| (id, member)));
        let was_kept = before.and_then(|before| before.kept.as_ref());
        let kept = after.kept.as_ref().filter(|kept| was_kept != Some(*kept));
        self.kept.extend(kept.map(|kept| (id, kept)));
    }
}

/// Something of each row, for a statement that takes columns.
pub(super) fn column<'r, R, T>(rows: &'r [R], of: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A statement with the keys of subscriptions bound: tenants, names.
fn of_subscriptions<'q>(
    statement: &Statement,
    changes: &'q [(SubscriptionId, SubscriptionChange)],
) -> Query<'q, Postgres, PgArguments> {
    let keys = changes.iter().map(|(id, _)| (id.tenant.as_str(), &*id.name));
    let (tenants, names): (Vec<_>, Vec<_>) = keys.unzip();
    statement.query().bind(tenants).bind(names)
}

/// A statement with a subscription's key bound: tenant, name.
pub(super) fn of_subscription<'q>(
    statement: &Statement,
    id: &'q SubscriptionId,
) -> Query<'q, Postgres, PgArguments> {
    statement.query().bind(id.tenant.as_str()).bind(&*id.name)
}

/// What the rows of a subscription say.
#[derive(Default)]
struct Read {
    segments: Vec<(i32, SegmentRecord)>,
    members: Vec<Member>,
    kept: Option<Kept>,
    now: Timestamp,
}

impl Read {
    fn take(&mut self, row: &PgRow) -> Result<(), sqlx::Error> {
        if let Some(text) = value::<Option<&str>>(row, 5)? {
            self.kept = Some(Kept::from_text(text).map_err(|error| sqlx::Error::Decode(error.into()))?);
            return Ok(());
        }
        // A lease, or a member, whose end cannot be told is gone.
        let until = value::<UtcTimestamp>(row, 4).map(|time| time.0).unwrap_or_default();
        match (value::<Option<i32>>(row, 0)?, value::<Option<Uuid>>(row, 3)?) {
            (Some(number), member) => {
                let position = Position::from_i64(value(row, 1)?);
                let segment = SegmentRecord::new(position, value(row, 2)?).with_member(member, until);
                self.segments.push((number, segment));
            }
            (None, Some(id)) => {
                let lasting = Duration::from_millis(u64::try_from(value::<i64>(row, 2)?).unwrap_or(0));
                let member = Member::new(id, until, lasting).with_presence(value(row, 6)?);
                let renewed = value::<Option<UtcTimestamp>>(row, 7).ok().flatten();
                self.members.push(renewed.map_or(member, |renewed| member.renewed_at(renewed.0)));
            }
            (None, None) => self.now = until,
        }
        Ok(())
    }

    fn record(mut self) -> Option<SubscriptionRecord> {
        self.segments.sort_by_key(|(number, _)| *number);
        self.members.sort_by_key(|member| member.id);
        let segments: Vec<_> = self.segments.into_iter().map(|(_, segment)| segment).collect();
        (!segments.is_empty()).then_some(SubscriptionRecord::new(segments, self.members, self.kept))
    }
}

/// So many subscriptions, by their places, and the store's time.
fn read_several(rows: &[PgRow], count: usize) -> Result<(Vec<Changed>, Timestamp), sqlx::Error> {
    let (mut several, mut now) = (Vec::new(), Timestamp::UNIX_EPOCH);
    several.resize_with(count, Read::default);
    for row in rows {
        let place = usize::try_from(value::<i32>(row, 8)?).unwrap_or(0);
        match place.checked_sub(1).and_then(|place| several.get_mut(place)) {
            Some(read) => read.take(row)?,
            None => now = value::<UtcTimestamp>(row, 4)?.0,
        }
    }
    Ok((several.into_iter().map(Read::record).collect(), now))
}

/// What the rows of a presence say that was renewed; none where there is none.
fn read_presence(rows: &[PgRow]) -> Result<Option<PresenceRecord>, sqlx::Error> {
    let (mut renewed, mut members, mut others) = (None, Vec::new(), Vec::new());
    for row in rows {
        // One that cannot be told was never renewed.
        let time = || value::<UtcTimestamp>(row, 0).map(|time| time.0).unwrap_or_default();
        match (value::<Option<Uuid>>(row, 1)?, value::<Option<i64>>(row, 2)?) {
            (Some(member), _) => members.push(member),
            (None, Some(other)) => others.push((other, time())),
            (None, None) => renewed = Some(time()),
        }
    }
    Ok(renewed.map(|renewed| PresenceRecord::new(renewed, members).with_others(others)))
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
