//! What a copy, an export and a comparison tell.

use std::collections::HashSet;

use uuid::Uuid;

use super::carried::{difference, not_carried};
use crate::backend::StoredRecord;
use crate::error::Error;
use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};

/// How many of each kind are described; all are counted.
const DESCRIBED: usize = 100;

/// What a copy has done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Copied {
    /// The events that were written.
    pub written: u64,
    /// The events that were there already.
    pub present: u64,
    /// Of those that were written, the events something of which is encrypted. Without [`with_keys`](super::Copy::with_keys) nobody
    /// can read that at the destination.
    pub sealed: u64,
    /// The events whose tags were left out, as [was asked](super::Copy::without_tags): those too that were there already.
    pub untagged: u64,
    /// The data subjects whose keys are at the destination as they are at the source.
    pub keys: u64,
    /// The data subjects who have another key at the destination. It stays, and does not open what was copied.
    pub other_keys: u64,
    /// How many streams were deleted at the destination because they are not at the source any more.
    pub deleted: u64,
    /// Which those were: the first hundred.
    pub deleted_streams: Vec<(TenantId, StreamId)>,
    /// The events at the destination that are not at the source, and were left there.
    pub extra: u64,
    /// How many events were not carried over.
    pub left_out: u64,
    /// Which those were, and why: the first hundred.
    pub described: Vec<LeftOut>,
    /// Up to where the source was read.
    pub up_to: Position,
    /// The streams that have a former life at the destination, behind which nothing is written.
    in_the_way: HashSet<(TenantId, StreamId)>,
}

impl Copied {
    pub(super) fn new() -> Self {
        Self {
            written: 0,
            present: 0,
            sealed: 0,
            untagged: 0,
            keys: 0,
            other_keys: 0,
            deleted: 0,
            deleted_streams: Vec::new(),
            extra: 0,
            left_out: 0,
            described: Vec::new(),
            up_to: Position::START,
            in_the_way: HashSet::new(),
        }
    }

    pub(super) fn is_in_the_way(&self, record: &StoredRecord) -> bool {
        // Mostly, there is none.
        if self.in_the_way.is_empty() {
            return false;
        }
        self.in_the_way.contains(&(record.tenant.clone(), record.stream.clone()))
    }

    pub(super) fn put_in_the_way(&mut self, record: &StoredRecord) {
        self.in_the_way.insert((record.tenant.clone(), record.stream.clone()));
    }

    /// Whether every event was carried over, and nothing else was found at the destination.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.left_out == 0 && self.extra == 0 && self.other_keys == 0
    }

    pub(super) fn wrote(&mut self, records: &[StoredRecord]) {
        self.written += records.len() as u64;
        self.sealed += records.iter().filter(|record| record.event.is_sealed()).count() as u64;
    }

    /// An event that was there already, if it is the same one.
    pub(super) fn found(&mut self, record: &StoredRecord, there: &StoredRecord) {
        match difference(record, there) {
            None => self.present += 1,
            Some(problem) => self.left_out(record, not_carried(record, problem)),
        }
    }

    pub(super) fn left_out(&mut self, record: &StoredRecord, problem: Error) {
        self.left_out += 1;
        describe(&mut self.described, record, problem);
    }

    pub(super) fn deleted(&mut self, record: &StoredRecord) {
        self.deleted += 1;
        if self.deleted_streams.len() < DESCRIBED {
            self.deleted_streams.push((record.tenant.clone(), record.stream.clone()));
        }
    }
}

/// An event that was not carried over.
#[derive(Debug)]
#[non_exhaustive]
pub struct LeftOut {
    /// Whose stream it is in.
    pub tenant_id: TenantId,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its id, as far as that can be read.
    pub uuid: Uuid,
    /// Where it stands at the source.
    pub position: Position,
    /// Why.
    pub problem: Error,
}

fn describe(described: &mut Vec<LeftOut>, record: &StoredRecord, problem: Error) {
    if described.len() < DESCRIBED {
        let StoredRecord { stream, tenant, event } = record;
        let (tenant_id, stream_id) = (tenant.clone(), stream.clone());
        described.push(LeftOut { tenant_id, stream_id, uuid: event.id, position: event.position, problem });
    }
}

/// What an export has written.
#[derive(Debug)]
#[non_exhaustive]
pub struct Exported {
    /// The events that were written.
    pub events: u64,
    /// How many events were left out, because they cannot be read.
    pub left_out: u64,
    /// Which those were: the first hundred.
    pub described: Vec<LeftOut>,
    /// Up to where the store was read.
    pub up_to: Position,
}

impl Exported {
    pub(super) const fn new() -> Self {
        Self { events: 0, left_out: 0, described: Vec::new(), up_to: Position::START }
    }

    pub(super) fn left_out(&mut self, record: &StoredRecord, problem: Error) {
        self.left_out += 1;
        describe(&mut self.described, record, problem);
    }
}

/// What a comparison has found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compared {
    /// The events that are at the destination as they are at the source, and in the same order.
    pub same: u64,
    /// The events that are there, and stand elsewhere among the others.
    pub displaced: u64,
    /// The events that are there, and are other ones.
    pub different: u64,
    /// The events that are not there.
    pub missing: u64,
    /// The events at the destination that are not at the source.
    pub extra: u64,
    /// The events that cannot be read: at the source, or at the destination.
    pub unreadable: u64,
    /// The data subjects whose keys are not at the destination, if they were asked for:
    /// [`with_keys`](super::Copy::with_keys).
    pub missing_keys: u64,
    /// The first hundred of what is not the same.
    pub differences: Vec<Difference>,
    /// Up to where the source was read.
    pub up_to: Position,
    /// Whether nothing was committed at the source above that, which an open transaction keeps readers from.
    pub is_settled: bool,
    /// Positions at the source, in their order, each with the one at the destination, as far as it is known.
    positions: Vec<(Position, Position)>,
    /// Of how many it is.
    known: usize,
    /// Where the last event that was met stands at the destination.
    last: Position,
}

impl Compared {
    /// Nothing yet, for readers who are at these positions.
    pub(super) fn new(mut checkpoints: Vec<Position>) -> Self {
        checkpoints.sort_unstable();
        Self {
            same: 0,
            displaced: 0,
            different: 0,
            missing: 0,
            extra: 0,
            unreadable: 0,
            missing_keys: 0,
            differences: Vec::new(),
            up_to: Position::START,
            is_settled: false,
            positions: checkpoints.into_iter().map(|at_source| (at_source, Position::START)).collect(),
            known: 0,
            last: Position::START,
        }
    }

    /// Whether the two are equal: event by event, in streams, versions, order and content, and the keys that were asked for. They are
    /// so as long as nobody writes to either.
    #[must_use]
    pub const fn is_equal(&self) -> bool {
        let events = self.displaced == 0 && self.different == 0 && self.missing == 0 && self.extra == 0;
        events && self.unreadable == 0 && self.missing_keys == 0 && self.is_settled
    }

    /// Where a reader goes on at the destination that has read up to a position at the source, one that was
    /// [asked for](super::Copy::checkpoints): everything that he has read stands at or below it, and nothing that he has not. `None`
    /// where it was not asked for, and where the two are not equal: then no position says that.
    #[must_use]
    pub fn position(&self, at_source: Position) -> Option<Position> {
        let mut positions = self.positions.iter();
        let found = positions.find(|(old, _)| *old == at_source).map(|(_, new)| *new);
        found.filter(|_| self.is_equal() && at_source <= self.up_to)
    }

    /// An event that is there.
    pub(super) fn meet(&mut self, record: &StoredRecord, there: &StoredRecord) {
        while let Some((old, new)) = self.positions.get_mut(self.known)
            && *old < record.event.position
        {
            *new = self.last;
            self.known += 1;
        }
        if let Some(problem) = difference(record, there) {
            self.note(record, DifferenceKind::Different(problem));
        } else if there.event.position > self.last {
            self.same += 1;
        } else {
            self.note(record, DifferenceKind::Displaced);
        }
        self.last = self.last.max(there.event.position);
    }

    /// There are no more.
    pub(super) fn end(&mut self) {
        for (_, new) in self.positions.iter_mut().skip(self.known) {
            *new = self.last;
        }
    }

    pub(super) fn note(&mut self, record: &StoredRecord, kind: DifferenceKind) {
        let count = match kind {
            DifferenceKind::Displaced => &mut self.displaced,
            DifferenceKind::Different(_) => &mut self.different,
            DifferenceKind::Missing => &mut self.missing,
            DifferenceKind::Extra => &mut self.extra,
            DifferenceKind::Unreadable => &mut self.unreadable,
        };
        *count += 1;
        if self.differences.len() < DESCRIBED {
            let StoredRecord { stream, tenant, event } = record;
            let (tenant_id, stream_id) = (tenant.clone(), stream.clone());
            let (uuid, position) = (event.id, event.position);
            self.differences.push(Difference { tenant_id, stream_id, uuid, position, kind });
        }
    }
}

/// An event that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Whose stream it is in.
    pub tenant_id: TenantId,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its id, as far as that can be read.
    pub uuid: Uuid,
    /// Where it stands: at the source, or at the destination where it is there alone.
    pub position: Position,
    /// What is not the same.
    pub kind: DifferenceKind,
}

/// How an event differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DifferenceKind {
    /// It stands elsewhere among the others.
    Displaced,
    /// The event of its id is another one: how.
    Different(&'static str),
    /// It is not at the destination.
    Missing,
    /// It is not at the source.
    Extra,
    /// It cannot be read.
    Unreadable,
}
