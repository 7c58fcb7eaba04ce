//! A durable subscription as it is stored, and the streams that are blocked in it.

use std::time::Duration;

use event_sourcery::backend::{
    BlockedAt, BlockedStream, Kept, Member, SegmentRecord, SubscriptionRecord, stored_stream_id,
    stored_tenant_id,
};
use event_sourcery::{Error, Position, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::NAME;

/// A subscription, or that there is none any more.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sheet {
    /// What its rows have to have: it is raised where all of them are freed.
    pub(crate) round: u64,
    #[serde(default)]
    record: Option<Record>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    segments: Vec<Segment>,
    members: Vec<Taking>,
    #[serde(default)]
    kept: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Segment {
    position: Position,
    token: i64,
    member: Option<Uuid>,
    leased_until: Timestamp,
}

/// A member that takes part.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Taking {
    id: Uuid,
    until: Timestamp,
    lasting: Duration,
    presence: Option<i64>,
}

/// A stream that is blocked in a subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) round: u64,
    tenant: String,
    category: String,
    stream: Uuid,
    name: Option<String>,
    segment: u16,
    after: Position,
    position: Position,
    attempts: u32,
    error: String,
    retry_at: Option<Timestamp>,
    since: Timestamp,
}

impl Sheet {
    pub(crate) fn of(round: u64, record: Option<&SubscriptionRecord>) -> Result<Self> {
        Ok(Self { round, record: record.map(Record::of).transpose()? })
    }

    pub(crate) fn record(&self) -> Result<Option<SubscriptionRecord>> {
        self.record.as_ref().map(Record::record).transpose()
    }
}

impl Record {
    fn of(record: &SubscriptionRecord) -> Result<Self> {
        let segment = |segment: &SegmentRecord| Segment {
            position: segment.position,
            token: segment.token,
            member: segment.member,
            leased_until: segment.leased_until,
        };
        let taking = |member: &Member| Taking {
            id: member.id,
            until: member.until,
            lasting: member.lasting,
            presence: member.presence,
        };
        let kept = record.kept.as_ref().map(Kept::to_text).transpose();
        Ok(Self {
            segments: record.segments.iter().map(segment).collect(),
            members: record.members.iter().map(taking).collect(),
            kept: kept.map_err(|problem| Error::backend(NAME, problem))?,
        })
    }

    fn record(&self) -> Result<SubscriptionRecord> {
        let segment = |segment: &Segment| {
            let record = SegmentRecord::new(segment.position, segment.token);
            record.with_member(segment.member, segment.leased_until)
        };
        let member = |taking: &Taking| {
            Member::new(taking.id, taking.until, taking.lasting).with_presence(taking.presence)
        };
        let kept = self.kept.as_deref().map(Kept::from_text).transpose();
        Ok(SubscriptionRecord::new(
            self.segments.iter().map(segment).collect(),
            self.members.iter().map(member).collect(),
            kept.map_err(|problem| Error::backend(NAME, problem))?,
        ))
    }
}

impl Row {
    pub(crate) fn of(round: u64, blocked: &BlockedStream) -> Self {
        Self {
            round,
            tenant: blocked.tenant.as_str().to_owned(),
            category: blocked.stream.stored_category().to_owned(),
            stream: blocked.stream.uuid(),
            name: blocked.stream.name().map(str::to_owned),
            segment: blocked.segment,
            after: blocked.after,
            position: blocked.position,
            attempts: blocked.attempts,
            error: blocked.error.clone(),
            retry_at: blocked.retry_at,
            since: blocked.since,
        }
    }

    pub(crate) const fn at(&self) -> BlockedAt {
        BlockedAt::new(self.after, self.position)
    }

    pub(crate) fn blocked(self) -> BlockedStream {
        let (tenant, stream) = (
            stored_tenant_id(&self.tenant),
            stored_stream_id(self.stream, self.name.as_deref(), &self.category),
        );
        BlockedStream::new(tenant, stream, self.segment, self.at(), self.since)
            .with_attempts(self.attempts)
            .with_error(self.error)
            .with_retry_at(self.retry_at)
    }
}

#[cfg(test)]
mod tests {
    use event_sourcery::backend::Scope;
    use event_sourcery::{StreamId, TenantId};

    use super::*;
    use crate::message::text;

    #[test]
    fn a_subscription_is_read_as_it_was_written() {
        let until: Timestamp = "2026-02-03T04:05:06.123456789Z".parse().unwrap();
        let at = Position::from_i64;
        let id = Uuid::from_u128(1);
        let member = Member::new(id, until, Duration::new(1, 2)).with_presence(Some(0));
        let segments = vec![
            SegmentRecord::new(at(7), i64::MIN).with_member(Some(id), until),
            SegmentRecord::new(at(8), 5).with_member(None, until),
        ];
        let kept = Kept::new(Scope::default(), at(3), vec![(at(4), at(5))]);
        let record = SubscriptionRecord::new(segments, vec![member], Some(kept));
        let written = text(&Sheet::of(4, Some(&record)).unwrap()).unwrap();
        let read: Sheet = serde_json::from_slice(&written).unwrap();
        assert_eq!((read.round, read.record().unwrap()), (4, Some(record)));
        let none: Sheet = serde_json::from_slice(&text(&Sheet::of(5, None).unwrap()).unwrap()).unwrap();
        assert_eq!((none.round, none.record().unwrap()), (5, None));
    }

    #[test]
    fn a_blocked_stream_is_read_as_it_was_written() {
        let (tenant, stream) = (TenantId::new("t").unwrap(), StreamId::from_name("1").unwrap());
        let place = BlockedAt::new(Position::from_i64(2), Position::from_i64(4));
        let blocked = BlockedStream::new(tenant, stream, 3, place, Timestamp::UNIX_EPOCH)
            .with_attempts(9)
            .with_error("no")
            .with_retry_at(Some(Timestamp::UNIX_EPOCH));
        let row: Row = serde_json::from_slice(&text(&Row::of(6, &blocked)).unwrap()).unwrap();
        assert_eq!((row.round, row.at(), row.blocked()), (6, place, blocked));
    }
}
