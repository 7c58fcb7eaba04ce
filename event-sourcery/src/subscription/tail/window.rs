//! The newest events themselves, as many as are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::backend::{Filter, PageRoom, ScanPage, StoredRecord};
use crate::position::Position;
use crate::subscription::deletions::{AsOf, Deletions};
use crate::subscription::feed::Page;

/// How many events are kept, for subscribers that are a little behind.
pub(super) const KEPT: usize = 8_192;

/// How many bytes of payload and context they may have, however few they are.
const KEPT_BYTES: usize = 8 << 20;

/// All events of the store above a position, up to another.
pub(super) struct Window {
    records: VecDeque<Arc<StoredRecord>>,
    bytes: usize,
    from: Position,
    pub(super) to: Position,
    /// Whether there was more when it was read.
    has_more: bool,
    /// No stream of these was deleted after it was read, up to then.
    as_of: AsOf,
}

impl Window {
    pub(super) fn at(position: Position) -> Self {
        let (records, as_of) = (VecDeque::new(), AsOf::default());
        Self { records, bytes: 0, from: position, to: position, has_more: false, as_of }
    }

    /// Where a stream was deleted of which something is kept, nothing is: whoever wants it reads it again.
    pub(super) fn leave_out_deleted(&mut self, deletions: &Deletions) {
        let now = deletions.now();
        if deletions.concern(self.records.iter().map(|record| (&record.tenant, &record.stream)), self.as_of) {
            *self = Self::at(self.to);
        }
        self.as_of = now;
    }

    /// At most `limit` events above a position that pass a filter; `None` where they are not kept here.
    pub(super) fn page(&self, after: Position, filter: &Filter, limit: usize) -> Option<Page> {
        if after < self.from || after >= self.to {
            return None;
        }
        let first = self.records.partition_point(|record| record.event.position <= after);
        let (mut room, mut is_cut) = (PageRoom::of(limit), false);
        let mut fits = |record: &&Arc<StoredRecord>| {
            is_cut = !room.take(&record.event);
            !is_cut
        };
        let wanted = self.records.range(first..).filter(|record| filter.takes(record));
        let records: Vec<_> = wanted.take_while(&mut fits).cloned().collect();
        let next = match records.last() {
            Some(last) if is_cut => last.event.position,
            _ => self.to,
        };
        Some(Page { records, next, at_end: !is_cut && !self.has_more, as_of: self.as_of })
    }

    /// Keeps a page that was read as of then.
    pub(super) fn extend(&mut self, page: ScanPage, as_of: AsOf, deletions: &Deletions) {
        self.leave_out_deleted(deletions);
        if deletions.concern(page.records.iter().map(|record| (&record.tenant, &record.stream)), as_of) {
            *self = Self { has_more: page.has_more, as_of: self.as_of, ..Self::at(page.next) };
            return;
        }
        self.bytes += page.size();
        self.records.extend(page.records.into_iter().map(Arc::new));
        (self.to, self.has_more) = (page.next, page.has_more);
        while self.records.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.bytes -= oldest.event.size();
            self.from = oldest.event.position;
        }
    }
}
