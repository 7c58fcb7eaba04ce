//! Tags, and whether a boundary has moved.
//!
//! Whoever appends an event with a tag locks the row of the tag before a position is drawn, and until the transaction ends. So, within a
//! tag, positions are given in the order of the commits. Tags are locked in one order, before streams.
//!
//! - An item with tags has one of them for its guard: the one with the lowest version when it was read. Every event that matches carries
//!   the guard, and raises its version. An append locks the guard, whether its events have it or not:
//!   - The version, in the newest row, is the one that was read: nobody has committed such an event since, and nobody does before the
//!     transaction has ended. So the same statement goes on to write.
//!   - It is another one: what the read has not seen stands above the last position that the guard had then. A statement that begins when
//!     the guard is locked sees all that was committed by then.
//! - An item without tags locks the table: nobody appends meanwhile. What the read has not seen stands above what was settled then, and
//!   is none of those that it has seen there.
//! - A deletion leaves nothing to be found. So it locks the tags of its events, raises them, and lets nothing hold that was read before: it
//!   leaves a random number on each (`exact_from`). For items without tags, a mark tells which deletions there were. What was read behind
//!   one that is taken back holds no more, whatever is deleted then: it has another number.
//! - Everyone has the table before anything else, or one of two would wait for the other's.
//!
//! A transaction that takes an append back takes the version back too, and another one raises it to the same number, with a later position:
//! none is given twice. So a version that was read by who may have written it is not compared: the position is. And the last event that it
//! has read of the item has to be there. What a transaction has written last is taken back first, and nobody else adds to the tag before it
//! ends: while that event is there, whatever was read is. Of items without tags, all that was seen and may be taken back has to be there.
//!
//! A version that is raised for nothing (by an append that finds its stream changed) takes whoever has read it the longer way, and moves
//! no boundary.

use event_sourcery::backend::{AppendRequest, Boundary, Requirement};
use event_sourcery::{Error, Query as EventQuery, QueryItem, Result};
use uuid::Uuid;

use super::Operations;
use super::held_tags::{HeldTags, bind_lists};
use crate::failure::Failure;
use crate::rows::value;
use crate::sql::Statement;

/// So many tags are locked in the statement that appends; each is compared with what is expected of all of them.
const MOST_AT_ONCE: usize = 128;

/// How far an item was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    /// By one of its tags: which, its version, and its last position; where the transaction that has read it may have written that
    /// version, and take it back, the position of the last event that it has read, or 0; and what tells since when the tag is exact.
    Guard { tag: usize, version: i64, last: i64, own: Option<i64>, exact: i64 },
    /// All of the tenant's events: up to which position, what tells which streams were deleted, whether the transaction that has read it
    /// had written anything, and what was seen above the position.
    Whole { settled: i64, deletions: i64, is_own: bool, seen: Vec<i64> },
}

/// What an append needs to know of one item.
struct Held<'r> {
    boundary: &'r Boundary,
    item: &'r QueryItem,
    mark: Mark,
}

impl Operations<'_> {
    /// Refuses boundaries that were not read from a store like this one, and those that cannot be checked where the transaction may not
    /// see the newest events.
    pub(super) async fn refuse_boundaries(&mut self, request: &AppendRequest) -> Result<()> {
        let held = held(request)?;
        if !self.joined || !asks_for_all(&held) {
            return Ok(());
        }
        let row = self.row(self.sql.tags.isolation.query()).await.map_err(|failure| self.failed(failure))?;
        let isolation = row.map(|row| value::<String>(&row, 0)).transpose();
        if isolation.map_err(|error| self.failed(error))?.as_deref() == Some("read committed") {
            return Ok(());
        }
        let operation = "boundaries of queries without tags in a transaction that is not READ COMMITTED";
        Err(Error::unsupported("postgres", operation))
    }

    /// What locks the table for an append: before everything else that it locks.
    pub(super) fn table_lock(&self, request: &AppendRequest) -> &Statement {
        let sql = &self.sql.tags;
        if asks_for_all(&held(request).unwrap_or_default()) { &sql.lock_all_events } else { &sql.lock_events }
    }

    /// Locks what the request's events are tagged with, and what its boundaries are guarded by: until the transaction ends, nobody
    /// else adds to them.
    pub(super) async fn hold_tags(&mut self, request: &AppendRequest) -> Result<(), Failure> {
        let tags = HeldTags::of([request]);
        if tags.is_empty() {
            return Ok(());
        }
        let hold = tags.bind(self.sql.tags.hold.query().bind(request.tenant.as_str()));
        self.execute(hold).await.map(drop)
    }

    /// The query of a boundary that has moved.
    pub(super) async fn moved(&mut self, request: &AppendRequest) -> Result<Option<EventQuery>, Failure> {
        for held in held(request).unwrap_or_default() {
            let (tenant, names) = (request.tenant.as_str(), names(held.item));
            let sql = &self.sql.tags;
            let look = match &held.mark {
                Mark::Guard { last, own, exact, .. } => {
                    let (guard, _) = held.guard().unwrap_or_default();
                    let look = sql.tagged_moved.query().bind(tenant).bind(guard).bind(names);
                    look.bind(tags(held.item)).bind(*last).bind(*exact).bind(own.unwrap_or(0))
                }
                Mark::Whole { settled, deletions, is_own, seen } => {
                    let own = if *is_own { seen.clone() } else { Vec::new() };
                    let look = sql.whole_moved.query().bind(tenant).bind(names);
                    look.bind(*settled).bind(seen.clone()).bind(*deletions).bind(own)
                }
            };
            let row = self.row(look).await?.ok_or(sqlx::Error::RowNotFound)?;
            if value(&row, 0)? {
                return Ok(Some(held.boundary.query().clone()));
            }
        }
        Ok(None)
    }

    /// Gives the request's events, which are written, their tags.
    pub(super) async fn enter_tags(&mut self, request: &AppendRequest) -> Result<(), Failure> {
        let events = request.streams.iter().flat_map(|part| &part.events);
        let tagged: Vec<_> = events.filter(|event| !event.tags.is_empty()).collect();
        if tagged.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = tagged.iter().map(|event| event.id).collect();
        let enter = self.sql.tags.enter.query().bind(request.tenant.as_str()).bind(ids);
        self.execute(bind_lists(enter, tagged)).await.map(drop)
    }
}

/// Whether an append has tags, or depends on what was read by them.
pub(super) fn is_tagged(request: &AppendRequest) -> bool {
    let mut events = request.streams.iter().flat_map(|part| &part.events);
    events.any(|event| !event.tags.is_empty()) || has_boundaries(request)
}

/// Whether the statement that appends can lock its tags, and compare the versions of those that its boundaries are guarded by.
pub(super) fn fits_one_statement(request: &AppendRequest) -> bool {
    let events = request.streams.iter().flat_map(|part| &part.events);
    let tags: usize = events.map(|event| event.tags.len()).sum();
    let is_compared = |held: &Held<'_>| matches!(held.mark, Mark::Guard { own: None, .. });
    held(request).is_ok_and(|held| tags + held.len() <= MOST_AT_ONCE && held.iter().all(is_compared))
}

/// The tags that an append locks.
pub(crate) fn locked_tags(request: &AppendRequest) -> Vec<&str> {
    if is_tagged(request) { HeldTags::of([request]).into_values() } else { Vec::new() }
}

/// The tags that an append's boundaries are guarded by, and the versions that they had.
pub(super) fn guards(request: &AppendRequest) -> Vec<(&str, i64)> {
    let held = held(request).unwrap_or_default();
    held.iter().filter_map(|held| held.guard()).collect()
}

/// Whether an append depends on what was read by a query.
pub(super) fn has_boundaries(request: &AppendRequest) -> bool {
    boundaries(request).next().is_some()
}

fn asks_for_all(held: &[Held<'_>]) -> bool {
    held.iter().any(|held| matches!(held.mark, Mark::Whole { .. }))
}

fn boundaries(request: &AppendRequest) -> impl Iterator<Item = &Boundary> {
    request.requirements.iter().filter_map(|requirement| match requirement {
        Requirement::Boundary(boundary) => Some(boundary),
        _ => None,
    })
}

/// Each item of the request's boundaries, with how far it was read.
fn held(request: &AppendRequest) -> Result<Vec<Held<'_>>> {
    let mut all = Vec::new();
    for boundary in boundaries(request) {
        let items = boundary.query().items();
        let marks: Vec<_> = boundary.mark().split('|').filter(|mark| !mark.is_empty()).collect();
        let held: Option<Vec<_>> = items
            .iter()
            .zip(&marks)
            .map(|(item, mark)| Some(Held { boundary, item, mark: Mark::of(item, mark)? }))
            .collect();
        match held {
            Some(held) if marks.len() == items.len() => all.extend(held),
            _ => {
                let problem = "it was read from another store: read it from this one".to_owned();
                return Err(Error::InvalidOption { option: "unless_moved", problem });
            }
        }
    }
    Ok(all)
}

pub(super) fn names(item: &QueryItem) -> Option<Vec<&str>> {
    (!item.names().is_empty()).then(|| item.names().iter().map(|name| &**name).collect())
}

pub(super) fn tags(item: &QueryItem) -> Vec<&str> {
    item.tags().iter().map(|tag| tag.as_str()).collect()
}

impl<'r> Held<'r> {
    /// The tag that guards it, and the version that this had.
    fn guard(&self) -> Option<(&'r str, i64)> {
        match self.mark {
            Mark::Guard { tag, version, .. } => Some((self.item.tags().get(tag)?.as_str(), version)),
            Mark::Whole { .. } => None,
        }
    }
}

impl Mark {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Guard { tag, version, last, own, exact } => {
                format!("g,{tag},{version},{last},{},{exact}", own.unwrap_or(-1))
            }
            Self::Whole { settled, deletions, is_own, seen } => {
                let seen: String = seen.iter().map(|position| format!(",{position}")).collect();
                format!("w,{settled},{deletions},{}{seen}", i64::from(*is_own))
            }
        }
    }

    fn of(item: &QueryItem, text: &str) -> Option<Self> {
        let (kind, numbers) = text.split_once(',')?;
        let numbers: Vec<i64> =
            numbers.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
        match (kind, numbers.as_slice()) {
            ("g", [tag, version, last, own, exact]) => {
                let tag = usize::try_from(*tag).ok().filter(|tag| *tag < item.tags().len())?;
                let (version, last, own, exact) =
                    (*version, *last, Some(*own).filter(|own| *own >= 0), *exact);
                Some(Self::Guard { tag, version, last, own, exact })
            }
            ("w", [settled, deletions, is_own, seen @ ..]) if item.tags().is_empty() => {
                let (settled, deletions, is_own) = (*settled, *deletions, *is_own != 0);
                Some(Self::Whole { settled, deletions, is_own, seen: seen.to_vec() })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use event_sourcery::Tag;

    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_another_stores_is_none() {
        let of_all = QueryItem::new();
        let tagged = QueryItem::new().tagged(Tag::new("course", "c1").unwrap());
        for own in [None, Some(0), Some(9)] {
            let guard = Mark::Guard { tag: 0, version: 3, last: 9, own, exact: -4 };
            assert_eq!(Mark::of(&tagged, &guard.text()), Some(guard));
        }
        for seen in [vec![], vec![7, 9]] {
            let whole = Mark::Whole { settled: 5, deletions: -1, is_own: seen.is_empty(), seen };
            assert_eq!(Mark::of(&of_all, &whole.text()), Some(whole));
        }
        let foreign =
            [(&tagged, "g,1,3,9,0,0"), (&tagged, "w,5,1"), (&of_all, "g,0,3,9,0,0"), (&tagged, "5/0/0")];
        for (item, foreign) in foreign {
            assert_eq!(Mark::of(item, foreign), None, "{foreign}");
        }
    }
}
