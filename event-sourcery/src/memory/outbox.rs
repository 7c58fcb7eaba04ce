//! The outbox, for as long as the process lives.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;

use super::journal::{Done, Journal};
use super::state::{State, StreamKey, key};
use crate::backend::{self, HeldEntries, OutboxProgress, OutboxRequest, PageRoom, ScanPage, StoredRecord};
use crate::position::Position;

/// An entry: the record of its event as it was appended.
#[derive(Clone)]
pub(super) struct Entry {
    record: StoredRecord,
    /// When it was published, where it is kept after that.
    published: Option<Timestamp>,
}

/// The entries, by the positions of their events.
#[derive(Default)]
pub(super) struct Outbox(BTreeMap<Position, Entry>);

impl Outbox {
    /// Puts an entry, or takes it away, and gives what was there.
    pub(super) fn put(&mut self, position: Position, entry: Option<Entry>) -> Option<Entry> {
        match entry {
            Some(entry) => self.0.insert(position, entry),
            None => self.0.remove(&position),
        }
    }

    /// The entry of an event that is being appended.
    pub(super) fn enter(&mut self, record: StoredRecord, journal: &mut Journal) {
        let position = record.event.position;
        self.put(position, Some(Entry { record, published: None }));
        journal.note(Done::Entry { position, before: None });
    }

    /// Whether there is an entry that was not published.
    pub(super) fn waits(&self, position: Position) -> bool {
        self.0.get(&position).is_some_and(|entry| entry.published.is_none())
    }

    fn change(&mut self, position: Position, entry: Option<Entry>, journal: &mut Journal) {
        let before = self.put(position, entry);
        journal.note(Done::Entry { position, before });
    }
}

impl State {
    /// A page of entries.
    pub(super) fn outbox(&self, request: &OutboxRequest) -> ScanPage {
        let settled = self.position();
        let end = request.up_to.map_or(settled, |up_to| up_to.min(settled));
        if end <= request.after {
            return ScanPage { records: Vec::new(), next: request.after, has_more: false };
        }
        let range = (Bound::Excluded(request.after), Bound::Included(end));
        let wanted =
            self.outbox.0.range(range).map(|(_, entry)| entry).filter(|entry| is_wanted(request, entry));
        let (mut room, mut is_full) = (PageRoom::of(request.limit), false);
        let fits = |entry: &&Entry| {
            is_full = !room.take(&entry.record.event);
            !is_full
        };
        let records: Vec<_> = wanted.take_while(fits).map(|entry| entry.record.clone()).collect();
        let next = match records.last() {
            Some(last) if is_full => last.event.position,
            _ => end,
        };
        ScanPage { records, next, has_more: is_full }
    }

    /// Those of the entries that are there. Nothing keeps others from them: who publishes them has a lease.
    pub(super) fn held_entries(&self, positions: &[Position]) -> HeldEntries {
        let waits = |position: &&Position| self.outbox.waits(**position);
        HeldEntries::new(positions.iter().filter(waits).copied().collect(), Vec::new())
    }

    /// Writes what becomes of entries.
    pub(super) fn publish(&mut self, progress: &OutboxProgress, journal: &mut Journal) {
        let now = Timestamp::now();
        for position in &progress.done {
            let Some(entry) = self.outbox.0.get(position).filter(|entry| entry.published.is_none()) else {
                continue;
            };
            let kept = progress.keep.map(|_| Entry { published: Some(now), ..entry.clone() });
            self.outbox.change(*position, kept, journal);
        }
        let Some(keep) = progress.keep else { return };
        let is_over = |entry: &Entry| entry.published.is_some_and(|at| backend::later(at, keep) <= now);
        let over = self.outbox.0.iter().filter(|(_, entry)| is_over(entry)).map(|(position, _)| *position);
        for position in over.collect::<Vec<_>>() {
            self.outbox.change(position, None, journal);
        }
    }

    /// Drops what a stream has in the outbox. If it waits there, it is looked at again: for what is left, if anything.
    pub(super) fn drop_entries(&mut self, stream: &StreamKey, journal: &mut Journal) {
        let is_its = |entry: &Entry| key(&entry.record.tenant, &entry.record.stream) == *stream;
        let entries = self.outbox.0.iter().filter(|(_, entry)| is_its(entry)).map(|(position, _)| *position);
        for position in entries.collect::<Vec<_>>() {
            self.outbox.change(position, None, journal);
        }
        self.look_at_again(stream, journal);
    }
}

fn is_wanted(request: &OutboxRequest, entry: &Entry) -> bool {
    let StoredRecord { stream, tenant, .. } = &entry.record;
    entry.published.is_none()
        && request.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
        && request.segments.is_none_or(|segments| segments.contain(stream.uuid()))
        && request.stream.as_ref().is_none_or(|(of, wanted)| of == tenant && wanted == stream)
}
