//! Reading by a query, and whether a boundary has moved.
//!
//! One lock covers the store, so positions are given in the order of the commits, and none is given twice: what a read has not seen
//! stands above the last position that there was.
//!
//! - A deletion leaves no event to be found: so the last ones are counted.
//! - What a transaction has read of its own may be taken back. The last thing is taken back first, so that what was read is whole while
//!   the last event of it is there. Where that was deleted instead, the deletion has moved the boundary anyway.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{State, log};
use crate::backend::{Boundary, EventTags, ReadRecords, ReadRequest, TagRequest};
use crate::error::{Error, Result};
use crate::memory::tags::LastDeletions;
use crate::position::Position;
use crate::query::QueryItem;
use crate::stream_id::TenantId;

/// How far was read.
struct Mark {
    position: Position,
    /// Where the last event stands that was read; the start: there was none.
    last: Position,
    deletions: LastDeletions,
}

impl State {
    /// Everything that matches, and the boundary behind it.
    pub(in crate::memory) fn read(&self, request: &ReadRequest) -> ReadRecords {
        let ReadRequest { tenant, query } = request;
        let mut found = BTreeMap::new();
        for item in query.items() {
            let matching = self.matching(tenant, item, Position::START);
            found.extend(matching.map(|entry| (entry.event.position, entry)));
        }
        let last = found.last_key_value().map_or(Position::START, |(position, _)| *position);
        let records = found.into_values().map(|entry| self.record(entry)).collect();
        let mark = Mark { position: self.position(), last, deletions: self.tags.last_deletions(tenant) };
        ReadRecords::new(records, Boundary::new(tenant.clone(), query.clone(), mark.text()))
    }

    /// Whether nothing has come, or gone, that matches.
    pub(super) fn check_boundary(&self, tenant: &TenantId, boundary: &Boundary) -> Result<()> {
        let Some(mark) = Mark::of(boundary).filter(|mark| mark.position <= self.position()) else {
            let problem = "it was read from another store: read it from this one".to_owned();
            return Err(Error::InvalidOption { option: "unless_moved", problem });
        };
        let deletions = self.tags.last_deletions(tenant);
        let is_gone = mark.last != Position::START && self.log.get(mark.last).is_none();
        let has_news = boundary.query().items().iter().any(|item| {
            let was_deleted = if item.tags().is_empty() {
                deletions.of_any != mark.deletions.of_any
            } else {
                deletions.of_tagged != mark.deletions.of_tagged
            };
            was_deleted || self.matching(tenant, item, mark.position).next().is_some()
        });
        if is_gone || has_news { Err(Error::boundary_moved(boundary.query().clone())) } else { Ok(()) }
    }

    /// Gives events tags that they have not; tells how many lacked some.
    pub(in crate::memory) fn tag_stored(&mut self, request: &TagRequest) -> u64 {
        let mut tagged = 0;
        for EventTags { position, id, tags } in &request.events {
            let Some(entry) = self.log.get_mut(*position) else { continue };
            let (tenant, event) = (entry.stream.tenant(), &mut entry.event);
            let missing: Vec<_> = tags.iter().filter(|tag| !event.tags.contains(tag)).cloned().collect();
            if event.id != *id || *tenant != request.tenant || missing.is_empty() {
                continue;
            }
            self.tags.enter(&request.tenant, &missing, *position);
            event.tags.extend(missing);
            if let Some(stream) = self.streams.get_mut(&entry.stream) {
                stream.is_tagged = true;
            }
            tagged += 1;
        }
        if tagged > 0 {
            self.tags.note_tagging(&request.tenant);
        }
        tagged
    }

    /// The events above a position that an item matches, in order. Without tags, every event is looked at.
    fn matching<'s>(
        &'s self,
        tenant: &'s TenantId,
        item: &'s QueryItem,
        after: Position,
    ) -> Box<dyn Iterator<Item = &'s log::Entry> + 's> {
        let is_meant = move |entry: &&log::Entry| {
            entry.stream.tenant() == tenant && item.matches(&entry.event.name, &entry.event.tags)
        };
        if item.tags().is_empty() {
            return Box::new(self.log.between(after, self.position()).filter(is_meant));
        }
        let above: (Bound<Position>, Bound<Position>) = (Bound::Excluded(after), Bound::Unbounded);
        let positions = self.tags.rarest(tenant, item.tags()).into_iter();
        let positions = positions.flat_map(move |of_tag| of_tag.range::<Position, _>(above));
        Box::new(positions.filter_map(|position| self.log.get(*position)).filter(is_meant))
    }
}

impl Mark {
    fn text(&self) -> String {
        let LastDeletions { of_any, of_tagged } = self.deletions;
        format!("{}/{}/{of_any}/{of_tagged}", self.position, self.last)
    }

    fn of(boundary: &Boundary) -> Option<Self> {
        let mut parts = boundary.mark().split('/');
        let (position, last) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (of_any, of_tagged) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let deletions = LastDeletions { of_any, of_tagged };
        parts.next().is_none().then_some(Self { position, last, deletions })
    }
}
