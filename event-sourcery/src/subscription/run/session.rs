//! What a member knows while its leases stay the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::debts::Debts;
use super::due::Due;
use super::failures::Failures;
use super::sizes::Sizes;
use super::turns::Turns;
use crate::backend::{self, BlockedAt, BlockedStream, Filter, Kept, Lease, Segments, StoredRecord};
use crate::event::Event;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::subscription::deletions::AsOf;
use crate::subscription::feed::Feed;
use crate::subscription::guarded::whole;
use crate::wrapped_event::Recorded;

/// How often is looked, at least, for blocked streams that somebody has asked to be tried again.
pub(super) const LOOK: Duration = Duration::from_millis(500);

/// How often that pause doubles while nobody has: a process that has parked streams, and nothing to do, should not wake.
const DOUBLINGS: u32 = 3;

/// How soon is looked again for one that should be due by now: the clock here may be ahead of the store's.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// After so long, one that should be due is taken to be gone, or parked.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// So many streams are held back at a time: each has a row, and is tried by itself.
const MOST_HELD_BACK: usize = 1_024;

/// What a runner knows while its leases stay the same.
pub(super) struct Session {
    /// How many segments there are.
    pub(super) of: u16,
    pub(super) held: BTreeMap<u16, Held>,
    /// The checkpoints that the store was told of when the leases were last asked for.
    pub(super) told: Vec<(Lease, Position)>,
    /// What the subscription is run for, and what was handled above its checkpoints.
    pub(super) kept: Kept,
    /// The events that are read: those that it is run for.
    pub(super) wanted: Filter,
    /// When the leases were last asked for.
    pub(super) asked: Instant,
    /// The store's clock then.
    pub(super) clock: Timestamp,
    /// Whether the presence did not vouch when they were due: the member has to ask for them itself.
    pub(super) asks: bool,
    /// Streams of these segments that may be blocked, and others that were: nobody else blocks them. When they are tried
    /// again, by the store's clock, as far as is known.
    pub(super) blocked: HashMap<Key, Waiting>,
    /// Those of them that were held back, and whose turn has not come.
    pub(super) held_back: HashSet<Key>,
    /// When to look for blocked streams that are due.
    pub(super) look_at: Instant,
    /// How often in a row that was in vain.
    pub(super) looked_in_vain: u32,
    /// Those that were found.
    pub(super) due: Due,
    pub(super) turns: Turns,
    /// Whose fresh events are held back, so that those of others come first.
    pub(super) debts: Debts,
    pub(super) feed: Feed,
    /// Whether there was nothing more behind what is pending.
    pub(super) at_end: bool,
    /// What was read and is not handled.
    pub(super) pending: VecDeque<Arc<StoredRecord>>,
    /// When that was read.
    pub(super) as_of: AsOf,
    /// How many to take next.
    pub(super) sizes: Sizes,
    /// How many streams to try again together next.
    pub(super) together: Sizes,
    /// What has failed and is not on record yet.
    pub(super) failures: Arc<Failures>,
}

/// A stream and whose it is.
pub(super) type Key = (TenantId, StreamId);

/// What a stream waits for, as far as is known.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    pub(super) at: BlockedAt,
    pub(super) retry_at: Option<Timestamp>,
}

impl From<&BlockedStream> for Waiting {
    fn from(blocked: &BlockedStream) -> Self {
        Self { at: blocked.at(), retry_at: blocked.retry_at }
    }
}

/// A segment that is ours.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// How far it is handled, or waits for a blocked stream. The checkpoint may be further back.
    pub(super) position: Position,
}

/// An event that was taken from what is pending.
#[derive(Clone)]
pub(super) struct Taken {
    pub(super) record: Arc<StoredRecord>,
    pub(super) lease: Lease,
    /// Whether it is to be handled; otherwise it waits for a blocked stream.
    pub(super) is_handled: bool,
}

/// What was taken to be handed over.
pub(super) struct Load<E> {
    pub(super) taken: Vec<Taken>,
    pub(super) events: Vec<Recorded<E>>,
    /// Streams that wait from here on, because their tenant's events are held back. Nothing is handed over then.
    pub(super) held_back: Vec<BlockedStream>,
    /// The event that ended it, because it is not for the handler.
    pub(super) ended_by: Option<(Arc<StoredRecord>, Obstacle)>,
}

/// Why an event is not for the handler.
pub(super) enum Obstacle {
    /// It cannot be decoded, for this reason.
    Undecodable(String),
    /// It is for members that know its name, which this one does not.
    Unknown,
    /// It was passed unasked, and stands before the event that its stream waits for.
    Overtaken(BlockedAt),
}

impl Session {
    pub(super) fn held_of(&self, record: &StoredRecord) -> Option<Held> {
        self.held.get(&Segments::number_of(record.stream.uuid(), self.of)).copied()
    }

    /// The store's clock.
    pub(super) fn now(&self) -> Timestamp {
        backend::later(self.clock, self.asked.elapsed())
    }

    /// Notes what a stream is blocked by now; `None`: it is free.
    pub(super) fn note(&mut self, was: &BlockedStream, to: Option<&BlockedStream>) {
        self.looked_in_vain = 0;
        let key = (was.tenant.clone(), was.stream.clone());
        match to {
            Some(to) => drop(self.blocked.insert(key, to.into())),
            None => drop(self.blocked.remove(&key)),
        }
    }

    /// What a stream waits for, as far as is known.
    pub(super) fn waiting(&self, tenant: &TenantId, stream: &StreamId) -> Option<Waiting> {
        self.blocked.get(&(tenant.clone(), stream.clone())).copied()
    }

    /// Where the last event stands that a stream is blocked by.
    pub(super) fn last_blocked(&self) -> Position {
        self.blocked.values().map(|waiting| waiting.at.position).max().unwrap_or(Position::START)
    }

    /// Says when to look again for blocked streams, where those that were due have been tried.
    pub(super) fn look_again(&mut self) {
        match self.due.end_round() {
            Some(true) => self.look_at = Instant::now(),
            Some(false) => self.look_at = self.next_look(),
            None => {}
        }
    }

    /// When to look again for blocked streams, once those that were due have been tried: when the next one is, or for one
    /// that somebody asks for.
    fn next_look(&self) -> Instant {
        let now = self.now();
        let expected = self.blocked.values().filter_map(|waiting| waiting.retry_at);
        let expected = expected.filter(|at| backend::later(*at, GIVEN_UP) > now);
        let pause = expected.min().map(|at| match Duration::try_from(at.duration_since(now)) {
            Ok(left) if !left.is_zero() => left,
            _ => LOOK_AGAIN,
        });
        let longest = LOOK * 2_u32.pow(self.looked_in_vain.min(DOUBLINGS));
        Instant::now() + pause.unwrap_or(longest).min(longest)
    }

    pub(super) fn reached(&self) -> Vec<(Lease, Position)> {
        self.held.values().map(|held| (held.lease, held.position)).collect()
    }

    /// Whether there is nothing to ask the store for but that the leases go on.
    pub(super) fn has_nothing_to_tell(&self) -> bool {
        self.reached() == self.told
    }

    pub(super) fn reach(&mut self, segment: u16, position: Position) {
        if let Some(held) = self.held.get_mut(&segment) {
            held.position = held.position.max(position);
        }
    }

    /// Nothing up to here is left to be handled, in any segment.
    pub(super) fn pass(&mut self, position: Position) {
        for held in self.held.values_mut() {
            held.position = held.position.max(position);
        }
    }

    /// Whether nothing is left to be handed over for now, once what was taken is handled.
    pub(super) fn has_caught_up(&self) -> bool {
        self.pending.is_empty() && self.at_end
    }

    /// So many events of those that were handed over are handled, and none has failed.
    pub(super) fn went_well(&mut self, handled: usize, handed_over: usize) {
        if handled < handed_over || self.has_caught_up() {
            self.sizes.begin_anew();
        } else {
            self.sizes.handled(handled);
        }
        if !self.sizes.are_parts() {
            self.debts.nobody_has_failed();
        }
    }

    /// Once nothing is pending, all that was read is passed.
    pub(super) fn pass_page(&mut self) {
        if self.pending.is_empty() {
            self.pass(self.feed.cursor());
        }
    }

    /// Where a stream was deleted of which something is pending, it is read again.
    pub(super) fn leave_out_deleted(&mut self) {
        if self.feed.is_outdated(&mut self.pending, &mut self.as_of) {
            self.at_end = false;
        }
    }

    /// Takes events to hand over, and those between them that have to wait. `known` is what this member was made for.
    pub(super) fn take<E: Event>(&mut self, most: usize, known: &Filter) -> Load<E> {
        let (taken, events, held_back) = (Vec::new(), Vec::new(), Vec::new());
        let mut load = Load { taken, events, held_back, ended_by: None };
        while load.events.len() < most {
            let Some(record) = self.pending.pop_front() else { break };
            let position = record.event.position;
            let Some(held) = self.held_of(&record).filter(|held| held.position < position) else { continue };
            let waiting = self.waiting(&record.tenant, &record.stream);
            let was_handled = self.was_handled(held.lease.segment, &record);
            let was_left_out = self.was_left_out(held.lease.segment, &record);
            let is_held_back =
                self.held_back.len() < MOST_HELD_BACK && self.debts.are_owed_by(&record.tenant);
            match waiting {
                _ if self.kept.was_present(position) || was_left_out => continue,
                None if was_handled => continue,
                Some(waiting) if was_handled && position <= waiting.at.after => continue,
                Some(waiting) if !was_handled && position < waiting.at.position => {
                    load.ended_by = Some((record, Obstacle::Overtaken(waiting.at)));
                    break;
                }
                None if !known.passes_event(&record.tenant, &record.stream, &record.event) => {
                    load.ended_by = Some((record, Obstacle::Unknown));
                    break;
                }
                None if is_held_back && load.events.is_empty() => {
                    load.held_back.push(self.hold_back(&record, held));
                }
                // What is handed over, and what is held back, is kept one after the other.
                None if is_held_back || !load.held_back.is_empty() => {
                    self.pending.push_front(record);
                    break;
                }
                None => match Recorded::decode(&record) {
                    Ok(event) => load.events.push(event),
                    Err(error) => {
                        load.ended_by = Some((record, Obstacle::Undecodable(whole(&error))));
                        break;
                    }
                },
                Some(_) => {}
            }
            load.taken.push(Taken { record, lease: held.lease, is_handled: waiting.is_none() });
        }
        load
    }

    /// The stream waits from here on: for this event, which was not tried yet.
    fn hold_back(&mut self, record: &StoredRecord, held: Held) -> BlockedStream {
        let error = "it was not tried yet: other events of its tenant have just failed".to_owned();
        let blocked = BlockedStream { error, ..self.blocked_by(record, held) };
        self.note(&blocked, Some(&blocked));
        self.held_back.insert((blocked.tenant.clone(), blocked.stream.clone()));
        self.look_at = Instant::now();
        blocked
    }

    /// The stream of an event, blocked by it, to be tried at once.
    pub(super) fn blocked_by(&self, record: &StoredRecord, held: Held) -> BlockedStream {
        let now = self.now();
        BlockedStream {
            tenant: record.tenant.clone(),
            stream: record.stream.clone(),
            segment: held.lease.segment,
            after: self.handled_up_to(held),
            position: record.event.position,
            attempts: 0,
            error: String::new(),
            retry_at: Some(now),
            since: now,
            event_id: Some(record.event.id),
            event_name: Some(Arc::clone(&record.event.name)),
        }
    }

    /// Whether an event was handled before the checkpoint of its segment was moved back, or waited then.
    fn was_handled(&self, segment: u16, record: &StoredRecord) -> bool {
        let StoredRecord { tenant, stream, event } = record;
        self.kept.was_handled(segment, tenant, stream, event)
    }

    /// Whether an event had been passed when it was first asked for, and is left out.
    fn was_left_out(&self, segment: u16, record: &StoredRecord) -> bool {
        let StoredRecord { tenant, stream, event } = record;
        self.kept.was_left_out(segment, tenant, stream, event)
    }

    /// Up to where a segment is handled, but for what was passed unasked.
    pub(super) fn handled_up_to(&self, held: Held) -> Position {
        held.position.max(self.kept.handled_up_to(held.lease.segment))
    }

    pub(super) fn put_back(&mut self, taken: &[Taken]) {
        for item in taken.iter().rev() {
            self.pending.push_front(Arc::clone(&item.record));
        }
    }

    /// Progress that was kept.
    pub(super) fn consumed(&mut self, taken: &[Taken]) {
        let Some(last) = taken.last() else { return };
        let segments: BTreeSet<u16> = taken.iter().map(|item| item.lease.segment).collect();
        for segment in segments {
            self.reach(segment, last.record.event.position);
        }
    }
}
