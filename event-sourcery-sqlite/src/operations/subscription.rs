//! Durable subscriptions: their segments and their members.

use event_sourcery::Result;
use std::time::Duration;

use event_sourcery::backend::{
    Kept, Member, PresenceRecord, SegmentRecord, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use jiff::Timestamp;

use super::{Operations, left_out, unreadable};
use crate::rows::{self, hex};
use crate::time;

impl Operations<'_> {
    /// A subscription as it stands. Runs in a transaction, so that all of it is of one moment. A member that cannot be read is
    /// gone. A checkpoint that cannot be read is an error: nobody knows where to go on.
    pub(crate) fn subscription(&self, id: &SubscriptionId) -> Result<Option<SubscriptionRecord>> {
        let segments = self.all_rows(&self.sql.segments, key(id), rows::segment)?;
        if segments.is_empty() {
            return Ok(None);
        }
        let members = self.all_rows(&self.sql.members, key(id), |row| {
            Ok(rows::member(row).map_err(|problem| left_out(id, "subscription_members", &problem)).ok())
        })?;
        let members = members.into_iter().flatten().collect();
        let kept = self.first(&self.sql.kept, key(id), |row| row.get::<_, String>(0))?;
        let kept = kept.map(|text| Kept::from_text(&text)).transpose();
        let kept = kept.map_err(|error| unreadable(format!("what the subscription {id} keeps: {error}")))?;
        Ok(Some(SubscriptionRecord::new(segments, members, kept)))
    }

    /// Writes what a change makes of a subscription at this time, and tells it.
    pub(crate) fn change_subscription(
        &self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        now: Timestamp,
    ) -> Result<Option<SubscriptionRecord>> {
        let now = time::as_stored(now);
        self.atomically(|| {
            let before = self.subscription(id)?;
            let after = change.apply(before.clone(), now).map(as_stored);
            match &after {
                Some(after) => self.write_subscription(id, before, after)?,
                None => {
                    self.execute(&self.sql.delete_segments, key(id))?;
                    self.execute(&self.sql.delete_members, key(id))?;
                    self.execute(&self.sql.delete_kept, key(id))?;
                }
            }
            if change.frees_streams() {
                self.execute(&self.sql.free_all, key(id))?;
            }
            if let Some(presence) = after.as_ref().and_then(|after| change.renews(after)) {
                self.put_presence(presence, now)?;
            }
            Ok(after)
        })
    }

    /// Renews a presence, or makes it. Those that vouch for nobody are forgotten.
    fn put_presence(&self, presence: i64, renewed: Timestamp) -> Result<()> {
        let values = (presence, time::to_text(renewed));
        if self.execute(&self.sql.renew_presence, (values.0, &values.1))? == 0 {
            self.execute(&self.sql.make_presence, values)?;
            self.execute(&self.sql.forget_presences, [presence])?;
        }
        Ok(())
    }

    /// Renews a presence, if it is there: one row, for all members that it vouches for.
    pub(crate) fn renew_presence(&self, presence: i64) -> Result<Option<PresenceRecord>> {
        self.atomically(|| {
            let renewed = time::as_stored(Timestamp::now());
            if self.execute(&self.sql.renew_presence, (presence, time::to_text(renewed)))? == 0 {
                return Ok(None);
            }
            let members = self.all_rows(&self.sql.vouched_for, [presence], rows::member_id)?;
            let others = self.all_rows(&self.sql.other_presences, [presence], rows::presence)?;
            let members = members.into_iter().flatten().collect();
            Ok(Some(PresenceRecord::new(renewed, members).with_others(others)))
        })
    }

    /// Writes the rows that differ.
    fn write_subscription(
        &self,
        id: &SubscriptionId,
        before: Option<SubscriptionRecord>,
        after: &SubscriptionRecord,
    ) -> Result<()> {
        let (old_segments, old_members, old_kept) =
            before.map(|record| (record.segments, record.members, record.kept)).unwrap_or_default();
        if let Some(kept) = after.kept.as_ref().filter(|kept| old_kept.as_ref() != Some(*kept)) {
            let text = kept.to_text().map_err(|error| unreadable(error.to_string()))?;
            let (tenant, name) = key(id);
            self.execute(&self.sql.write_kept, (tenant, name, text))?;
        }
        let mut old_segments = old_segments.iter();
        for (number, segment) in (0..).zip(&after.segments) {
            if old_segments.next() != Some(segment) {
                self.write_segment(id, number, segment)?;
            }
        }
        let is_kept = |member: &&Member| old_members.iter().any(|old| member.is_kept_as(old));
        for member in after.members.iter().filter(|member| !is_kept(member)) {
            self.write_member(id, member)?;
        }
        let gone = |old: &&Member| after.members.iter().all(|member| member.id != old.id);
        for member in old_members.iter().filter(gone) {
            let (tenant, name) = key(id);
            self.execute(&self.sql.delete_member, (tenant, name, hex(member.id)))?;
        }
        Ok(())
    }

    fn write_segment(&self, id: &SubscriptionId, number: u16, segment: &SegmentRecord) -> Result<()> {
        let (tenant, name) = key(id);
        let SegmentRecord { position, token, member, leased_until, .. } = segment;
        let (member, leased_until) = (member.map(hex), time::to_text(*leased_until));
        let values = (tenant, name, number, position.to_i64(), token, member, leased_until);
        self.execute(&self.sql.write_segment, values)?;
        Ok(())
    }

    fn write_member(&self, id: &SubscriptionId, member: &Member) -> Result<()> {
        let (tenant, name) = key(id);
        let lasting = i64::try_from(member.lasting.as_millis()).unwrap_or(i64::MAX);
        let values = (tenant, name, hex(member.id), time::to_text(member.until), lasting, member.presence);
        self.execute(&self.sql.write_member, values)?;
        Ok(())
    }
}

/// What the rows of a subscription have in common.
pub(super) fn key(id: &SubscriptionId) -> (&str, &str) {
    (id.tenant.as_str(), &id.name)
}

/// A subscription as it reads back.
fn as_stored(mut record: SubscriptionRecord) -> SubscriptionRecord {
    for segment in &mut record.segments {
        segment.leased_until = time::as_stored(segment.leased_until);
    }
    for member in &mut record.members {
        member.until = time::as_stored(member.until);
        member.lasting = Duration::from_millis(u64::try_from(member.lasting.as_millis()).unwrap_or(u64::MAX));
    }
    record
}
