//! Durable subscriptions, for as long as the process lives.

use std::collections::HashMap;

use jiff::Timestamp;

use super::journal::{Done, Journal};
use super::state::{State, StreamKey, key};
use crate::backend::{
    Backlog, BlockedRequest, BlockedStream, Filter, ProgressRequest, StreamProgress, SubscriptionChange,
    SubscriptionId, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::position::Position;

/// What is kept of each subscription.
#[derive(Default)]
pub(super) struct Subscriptions {
    records: HashMap<SubscriptionId, SubscriptionRecord>,
    blocked: HashMap<SubscriptionId, HashMap<StreamKey, BlockedStream>>,
}

impl Subscriptions {
    pub(super) fn find(&self, id: &SubscriptionId) -> Option<&SubscriptionRecord> {
        self.records.get(id)
    }

    pub(super) fn blocked(&self, request: &BlockedRequest) -> Vec<BlockedStream> {
        let now = Timestamp::now();
        let is_due = |blocked: &BlockedStream| blocked.retry_at.is_some_and(|at| at <= now);
        let wanted = |blocked: &&BlockedStream| {
            blocked.position > request.after
                && (!request.due || is_due(blocked))
                && request.segments.is_none_or(|segments| segments.contains(blocked.segment))
        };
        let all = self.blocked.get(&request.subscription).into_iter().flat_map(HashMap::values);
        let mut found: Vec<_> = all.filter(wanted).cloned().collect();
        found.sort_by_key(|blocked| blocked.position);
        found.truncate(request.limit);
        found
    }

    /// Puts a subscription, and gives what was there.
    pub(super) fn put(
        &mut self,
        id: &SubscriptionId,
        record: Option<SubscriptionRecord>,
    ) -> Option<SubscriptionRecord> {
        match record {
            Some(record) => self.records.insert(id.clone(), record),
            None => self.records.remove(id),
        }
    }

    /// Puts a blocked stream, or frees it, and gives what was there.
    pub(super) fn put_blocked(
        &mut self,
        id: &SubscriptionId,
        stream: &StreamKey,
        blocked: Option<BlockedStream>,
    ) -> Option<BlockedStream> {
        let streams = self.blocked.entry(id.clone()).or_default();
        match blocked {
            Some(blocked) => streams.insert(stream.clone(), blocked),
            None => streams.remove(stream),
        }
    }
}

impl State {
    pub(super) fn change_subscription(
        &mut self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        journal: &mut Journal,
    ) -> Option<SubscriptionRecord> {
        let record = change.apply(self.subscriptions.find(id).cloned(), Timestamp::now());
        if change.frees_streams() {
            let blocked = self.subscriptions.blocked.get(id);
            let streams: Vec<_> = blocked.into_iter().flat_map(HashMap::keys).cloned().collect();
            for stream in streams {
                self.put_blocked(id, stream, None, journal);
            }
        }
        self.put_subscription(id, record.clone(), journal);
        record
    }

    /// Writes progress. What refused progress has done is left for the journal to take back.
    pub(super) fn progress(&mut self, request: &ProgressRequest, journal: &mut Journal) -> Result<()> {
        let ProgressRequest { subscription: id, leases, position, streams } = request;
        let lost = || Error::LeaseLost { subscription: id.name.to_string() };
        if !leases.is_empty() {
            let mut record = self.subscriptions.find(id).cloned().ok_or_else(lost)?;
            for lease in leases {
                let segment = record.segments.get_mut(usize::from(lease.segment));
                let segment = segment.filter(|segment| segment.token == lease.token).ok_or_else(lost)?;
                segment.position = segment.position.max(position.unwrap_or(Position::START));
            }
            self.put_subscription(id, Some(record), journal);
        }
        for progress in streams {
            let (tenant, stream) = progress.stream();
            let stream = key(tenant, stream);
            let blocked = self.subscriptions.blocked.get(id).and_then(|streams| streams.get(&stream));
            let at = blocked.map(BlockedStream::at);
            match progress {
                StreamProgress::Block(blocked) if !self.has_event(&stream, blocked.position) => {}
                StreamProgress::Block(blocked) if at.is_none() => {
                    self.put_blocked(id, stream, Some(blocked.clone()), journal);
                }
                StreamProgress::Change(was, blocked) if at == Some(*was) => {
                    self.put_blocked(id, stream, Some(blocked.clone()), journal);
                }
                StreamProgress::Free(was, ..) if at == Some(*was) => {
                    self.put_blocked(id, stream, None, journal);
                }
                StreamProgress::Waits(..) if at.is_some() => {}
                _ => return Err(lost()),
            }
        }
        Ok(())
    }

    /// No subscription waits for a stream that is gone.
    pub(super) fn free_everywhere(&mut self, stream: &StreamKey, journal: &mut Journal) {
        let blocking = self.subscriptions.blocked.iter().filter(|(_, streams)| streams.contains_key(stream));
        let ids: Vec<_> = blocking.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.put_blocked(&id, stream.clone(), None, journal);
        }
    }

    pub(super) fn backlog(&self, after: Position, filter: &Filter) -> Backlog {
        let mut backlog = Backlog::default();
        for event in self.events_after(after, filter) {
            backlog.events += 1;
            backlog.oldest = backlog.oldest.or(Some(event.created_at));
        }
        backlog
    }

    fn put_subscription(
        &mut self,
        id: &SubscriptionId,
        record: Option<SubscriptionRecord>,
        journal: &mut Journal,
    ) {
        let before = self.subscriptions.put(id, record);
        journal.note(Done::Subscription { id: id.clone(), before });
    }

    fn put_blocked(
        &mut self,
        id: &SubscriptionId,
        stream: StreamKey,
        blocked: Option<BlockedStream>,
        journal: &mut Journal,
    ) {
        let before = self.subscriptions.put_blocked(id, &stream, blocked);
        journal.note(Done::Blocked { id: id.clone(), stream, before });
    }
}
