//! The progress of durable subscriptions, and the streams that wait.

use event_sourcery::backend::{
    BlockedRequest, BlockedStream, ProgressRequest, StreamProgress, SubscriptionId, lost_stream_id,
};
use event_sourcery::{Error, Result};
use jiff::Timestamp;
use rusqlite::{Row, params};

use super::subscription::key;
use super::{Operations, json_array, left_out};
use crate::rows::{self, hex};
use crate::time;

impl Operations<'_> {
    /// Writes progress, all or nothing. A lost lease is found before anything is written.
    pub(crate) fn progress(&self, request: &ProgressRequest) -> Result<()> {
        let ProgressRequest { subscription, leases, position, streams, outbox, .. } = request;
        let (tenant, name) = key(subscription);
        self.atomically(|| {
            for lease in leases {
                let held =
                    self.first(&self.sql.lease_holds, (tenant, name, lease.segment, lease.token), |_| Ok(()));
                if held?.is_none() {
                    return Err(lost(subscription));
                }
            }
            for progress in streams {
                self.write_stream(subscription, progress)?;
            }
            if let Some(outbox) = outbox {
                self.publish(outbox)?;
            }
            if subscription.is_outbox() {
                self.forget_passed(streams)?;
            }
            let Some(position) = position else { return Ok(()) };
            if subscription.is_outbox() {
                let segments = json_array(leases.iter().map(|lease| lease.segment));
                self.execute(&self.sql.outbox.pass_entries, (tenant, name, segments, position.to_i64()))?;
            }
            for lease in leases {
                self.execute(&self.sql.reach, (tenant, name, lease.segment, position.to_i64()))?;
            }
            Ok(())
        })
    }

    /// Writes what becomes of a stream, if it is what the request says.
    fn write_stream(&self, subscription: &SubscriptionId, progress: &StreamProgress) -> Result<()> {
        let (tenant, stream) = progress.stream();
        let (subscription_tenant, name) = key(subscription);
        let key = (subscription_tenant, name, hex(stream.uuid()), stream.stored_category(), tenant.as_str());
        // One that cannot be read blocks nothing, and can be written anew.
        let blocked_at =
            self.first(&self.sql.blocked_at, key.clone(), |row| Ok(rows::blocked_at(row, 0).ok()))?;
        let blocked_at = blocked_at.flatten();
        match progress {
            StreamProgress::Block(blocked) if !self.has_what_blocks(subscription, blocked)? => Ok(()),
            StreamProgress::Block(blocked) if blocked_at.is_none() => self.block(subscription, blocked),
            StreamProgress::Change(was, blocked) if blocked_at == Some(*was) => {
                self.block(subscription, blocked)
            }
            StreamProgress::Free(was, ..) if blocked_at == Some(*was) => {
                self.execute(&self.sql.free, key).map(drop)
            }
            StreamProgress::Waits(..) if blocked_at.is_some() => Ok(()),
            _ => Err(lost(subscription)),
        }
    }

    /// What was published of streams that were tried again is not looked for in the outbox any more.
    fn forget_passed(&self, streams: &[StreamProgress]) -> Result<()> {
        for progress in streams {
            let up_to = match progress {
                StreamProgress::Change(_, blocked) => blocked.after.to_i64(),
                StreamProgress::Free(..) => i64::MAX,
                StreamProgress::Block(_) | StreamProgress::Waits(..) => continue,
            };
            let (_, stream) = progress.stream();
            self.execute(&self.sql.outbox.forget_passed, (hex(stream.uuid()), up_to))?;
        }
        Ok(())
    }

    /// Whether the event that a stream is blocked by is there; of the outbox, whether the entry is.
    fn has_what_blocks(&self, subscription: &SubscriptionId, blocked: &BlockedStream) -> Result<bool> {
        if subscription.is_outbox() { self.entry_waits(blocked.position) } else { self.has_event(blocked) }
    }

    /// Whether the event that a stream is blocked by is there, in this stream. Of a lost one, there is no more to tell.
    fn has_event(&self, blocked: &BlockedStream) -> Result<bool> {
        if blocked.stream == lost_stream_id(blocked.position) {
            return Ok(self
                .first(&self.sql.time_of_event, [blocked.position.to_i64()], |_| Ok(()))?
                .is_some());
        }
        let Some(row) = self.find_stream(&blocked.tenant, &blocked.stream)? else { return Ok(false) };
        let at = (blocked.position.to_i64(), row.id);
        Ok(self.first(&self.sql.version_at, at, |_| Ok(()))?.is_some())
    }

    fn block(&self, subscription: &SubscriptionId, blocked: &BlockedStream) -> Result<()> {
        let (subscription_tenant, name) = key(subscription);
        let BlockedStream { tenant, stream, segment, after, position, .. } = blocked;
        let BlockedStream { attempts, error, retry_at, since, .. } = blocked;
        let values = params![
            subscription_tenant,
            name,
            hex(stream.uuid()),
            stream.stored_category(),
            tenant.as_str(),
            stream.name(),
            segment,
            after.to_i64(),
            position.to_i64(),
            attempts,
            error,
            retry_at.map(time::to_text),
            time::to_text(*since),
        ];
        self.execute(&self.sql.block, values).map(drop)
    }

    /// Streams that wait, by the position of the event that failed. What cannot be read is passed over.
    pub(crate) fn blocked_streams(&self, request: &BlockedRequest) -> Result<Vec<BlockedStream>> {
        let mut request = request.clone();
        let segments = request.segments;
        let of = match segments {
            Some(segments) => segments.of(),
            None => self.count_segments(&request.subscription)?,
        };
        let wanted = request.limit;
        loop {
            let rows = self.blocked_rows(&request, of)?;
            let is_last = rows.len() < request.limit;
            let read = rows.into_iter().flatten();
            let mut found: Vec<_> =
                read.filter(|blocked| segments.is_none_or(|all| all.contains(blocked.segment))).collect();
            if is_last || found.len() >= wanted {
                found.truncate(wanted);
                return Ok(found);
            }
            // Not behind the last one: others may stand where it does.
            request.limit = request.limit.saturating_mul(2);
        }
    }

    fn count_segments(&self, subscription: &SubscriptionId) -> Result<u16> {
        let count = self.first(&self.sql.count_segments, key(subscription), |row| row.get(0))?;
        Ok(count.unwrap_or_default())
    }

    /// The next rows, at most as many as are asked for: what each says, as far as it can be read.
    fn blocked_rows(&self, request: &BlockedRequest, of: u16) -> Result<Vec<Option<BlockedStream>>> {
        let BlockedRequest { subscription, segments, stream, due, after, limit, errors, .. } = request;
        let (tenant, name) = key(subscription);
        let (after, limit) = (after.to_i64(), i64::try_from(*limit).unwrap_or(i64::MAX));
        let segments = segments.map(|segments| json_array(segments.numbers()));
        let now = due.then(|| time::to_text(Timestamp::now()));
        let read = |row: &Row<'_>| {
            let blocked = rows::blocked_stream(row, of);
            Ok(blocked.map_err(|problem| left_out(subscription, "blocked_streams", &problem)).ok())
        };
        match (stream, now) {
            (Some((of, stream)), now) => {
                let (uuid, category, of) = (hex(stream.uuid()), stream.stored_category(), of.as_str());
                let values = params![tenant, name, after, segments, limit, errors, uuid, category, of, now];
                self.all_rows(&self.sql.blocked_stream, values, read)
            }
            (None, Some(now)) => {
                let values = (tenant, name, after, segments, limit, errors, now);
                self.all_rows(&self.sql.due, values, read)
            }
            (None, None) => {
                let values = (tenant, name, after, segments, limit, errors);
                self.all_rows(&self.sql.blocked, values, read)
            }
        }
    }
}

fn lost(subscription: &SubscriptionId) -> Error {
    Error::lease_lost(&*subscription.name)
}
