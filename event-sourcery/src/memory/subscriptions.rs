//! Durable subscriptions, for as long as the process lives.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use super::journal::{Done, Journal};
use super::sharded::Sharded;
use super::state::State;
use super::stream_key::{StreamKey, key};
use crate::backend::{
    Backlog, BacklogRequest, BlockedRequest, BlockedStream, Member, PresenceRecord, ProgressRequest,
    StreamProgress, SubscriptionChange, SubscriptionId, SubscriptionRecord,
};
use crate::error::{Error, Result};
use crate::position::Position;

/// What is kept of each subscription.
#[derive(Default)]
pub(super) struct Subscriptions {
    records: HashMap<SubscriptionId, SubscriptionRecord>,
    /// When each presence was renewed last. It vouches for members only where their records say so.
    presences: HashMap<i64, Timestamp>,
    blocked: HashMap<SubscriptionId, Blocked>,
}

/// The blocked streams of a subscription.
#[derive(Default)]
struct Blocked {
    streams: Sharded<StreamKey, BlockedStream>,
    /// Which of them wait for the event at a position.
    positions: BTreeMap<Position, Vec<StreamKey>>,
}

impl Blocked {
    /// Those that wait for an event above a position, in the order of those events.
    fn above(&self, position: Position) -> impl Iterator<Item = &BlockedStream> {
        let above = self.positions.range((Bound::Excluded(position), Bound::Unbounded));
        above.flat_map(|(_, streams)| streams).filter_map(|stream| self.streams.get(stream))
    }

    fn put(&mut self, stream: &StreamKey, blocked: Option<BlockedStream>) -> Option<BlockedStream> {
        let before = self.streams.remove(stream);
        if let Some(before) = &before
            && let Entry::Occupied(mut at) = self.positions.entry(before.position)
        {
            at.get_mut().retain(|other| other != stream);
            if at.get().is_empty() {
                at.remove();
            }
        }
        if let Some(blocked) = blocked {
            self.positions.entry(blocked.position).or_default().push(stream.clone());
            self.streams.insert(stream.clone(), blocked);
        }
        before
    }
}

impl Subscriptions {
    pub(super) fn ids(&self) -> impl Iterator<Item = &SubscriptionId> {
        self.records.keys()
    }

    /// A subscription whose members count for as long as their presences say.
    pub(super) fn find(&self, id: &SubscriptionId) -> Option<SubscriptionRecord> {
        let mut record = self.records.get(id)?.clone();
        for member in &mut record.members {
            if let Some(renewed) = member.vouched_for_by().and_then(|presence| self.presences.get(&presence))
            {
                *member = member.renewed_at(*renewed);
            }
        }
        Some(record)
    }

    pub(super) fn renew_presence(&mut self, presence: i64) -> Option<PresenceRecord> {
        let renewed = Timestamp::now();
        *self.presences.get_mut(&presence)? = renewed;
        let members = self.records.values().flat_map(|record| &record.members);
        let members = members.filter(|member| member.vouched_for_by() == Some(presence));
        let others = self.presences.iter().filter(|(other, _)| **other != presence);
        let others = others.map(|(other, renewed)| (*other, *renewed)).collect();
        Some(PresenceRecord::new(renewed, members.map(|member| member.id).collect()).with_others(others))
    }

    /// A presence is renewed, or made. Those that vouch for nobody are forgotten.
    fn put_presence(&mut self, presence: i64, renewed: Timestamp) {
        if self.presences.insert(presence, renewed).is_none() {
            let members = self.records.values().flat_map(|record| &record.members);
            let vouch: HashSet<_> = members.filter_map(Member::vouched_for_by).collect();
            self.presences.retain(|other, _| *other == presence || vouch.contains(other));
        }
    }

    pub(super) fn blocked(&self, request: &BlockedRequest) -> Vec<BlockedStream> {
        let Some(all) = self.blocked.get(&request.subscription) else { return Vec::new() };
        let now = Timestamp::now();
        let is_due = |blocked: &BlockedStream| blocked.retry_at.is_some_and(|at| at <= now);
        let is_wanted = |blocked: &&BlockedStream| {
            blocked.position > request.after
                && (!request.due || is_due(blocked))
                && request.segments.is_none_or(|segments| segments.contains(blocked.segment))
        };
        let mut found: Vec<_> = match &request.stream {
            Some((tenant, stream)) => {
                all.streams.get(&key(tenant, stream)).into_iter().filter(is_wanted).cloned().collect()
            }
            None => all.above(request.after).filter(is_wanted).take(request.limit).cloned().collect(),
        };
        if !request.errors {
            for blocked in &mut found {
                blocked.error.clear();
            }
        }
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
        self.blocked.entry(id.clone()).or_default().put(stream, blocked)
    }
}

impl State {
    pub(super) fn change_subscription(
        &mut self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
        journal: &mut Journal,
    ) -> Option<SubscriptionRecord> {
        let now = Timestamp::now();
        let record = change.apply(self.subscriptions.find(id), now);
        if change.frees_streams() {
            let blocked = self.subscriptions.blocked.get(id);
            let streams: Vec<_> =
                blocked.into_iter().flat_map(|blocked| blocked.streams.keys()).cloned().collect();
            for stream in streams {
                self.put_blocked(id, stream, None, journal);
            }
        }
        self.put_subscription(id, record.clone(), journal);
        if let Some(presence) = record.as_ref().and_then(|record| change.renews(record)) {
            self.subscriptions.put_presence(presence, now);
        }
        record
    }

    /// Writes progress. What refused progress has done is left for the journal to take back.
    pub(super) fn progress(&mut self, request: &ProgressRequest, journal: &mut Journal) -> Result<()> {
        let ProgressRequest { subscription: id, leases, position, streams, outbox } = request;
        let lost = || Error::LeaseLost { subscription: id.name.to_string() };
        if !leases.is_empty() {
            let mut record = self.subscriptions.find(id).ok_or_else(lost)?;
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
            let blocked = self.subscriptions.blocked.get(id).and_then(|all| all.streams.get(&stream));
            let at = blocked.map(BlockedStream::at);
            match progress {
                StreamProgress::Block(blocked) if !self.has_what_blocks(id, &stream, blocked.position) => {}
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
        if let Some(outbox) = outbox {
            self.publish(outbox, journal);
        }
        Ok(())
    }

    /// Whether the event that a stream is blocked by is there; of the outbox, whether the entry is.
    fn has_what_blocks(&self, id: &SubscriptionId, stream: &StreamKey, position: Position) -> bool {
        if id.is_outbox() { self.outbox.waits(position) } else { self.has_event(stream, position) }
    }

    /// Has the outbox try a stream again, if it waits.
    pub(super) fn look_at_again(&mut self, stream: &StreamKey, journal: &mut Journal) {
        let outboxes = self.subscriptions.blocked.iter().filter(|(id, _)| id.is_outbox());
        let waiting: Vec<_> = outboxes
            .filter_map(|(id, blocked)| Some((id.clone(), blocked.streams.get(stream)?.clone())))
            .collect();
        for (id, blocked) in waiting {
            let again = BlockedStream { attempts: 0, retry_at: Some(blocked.since), ..blocked };
            self.put_blocked(&id, stream.clone(), Some(again), journal);
        }
    }

    /// No subscription waits for a stream that is gone. What is in the outbox is still published.
    pub(super) fn free_everywhere(&mut self, stream: &StreamKey, journal: &mut Journal) {
        let blocking = self.subscriptions.blocked.iter();
        let blocking =
            blocking.filter(|(id, blocked)| !id.is_outbox() && blocked.streams.get(stream).is_some());
        let ids: Vec<_> = blocking.map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.put_blocked(&id, stream.clone(), None, journal);
        }
    }

    /// Blocked streams as they are asked for; where their errors are, with the events that failed.
    pub(super) fn blocked(&self, request: &BlockedRequest) -> Vec<BlockedStream> {
        let mut found = self.subscriptions.blocked(request);
        for blocked in &mut found {
            // Behind one that was left out, another stream's event may stand.
            let is_its_own = self.has_event(&key(&blocked.tenant, &blocked.stream), blocked.position);
            let event = self.event(blocked.position).filter(|_| request.errors && is_its_own);
            let event = event.map(|event| (event.id, Arc::clone(&event.name)));
            (blocked.event_id, blocked.event_name) = event.unzip();
        }
        found
    }

    pub(super) fn backlog(&self, request: &BacklogRequest) -> Backlog {
        let (mut backlog, mut last) = (Backlog::default(), request.after);
        let up_to = request.up_to.unwrap_or_else(|| self.position());
        for event in self.events_between(request.after, up_to, &request.filter) {
            if request.most == Some(backlog.events) {
                backlog.cut_off = Some(last);
                break;
            }
            last = event.position;
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
