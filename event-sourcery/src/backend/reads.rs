//! Reads: of one stream, and across streams.

use std::sync::Arc;

use uuid::Uuid;

use super::records::{StoredEvent, StoredRecord, is_lost_stream_id};
use super::segments::Segments;
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::{Category, StreamId, TenantId};
use crate::tag::Tag;
use crate::version::Version;

/// What to load of a stream.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoadRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Which part of it.
    pub span: Span,
    /// At most this many events, at least 1, and no more than there is [room](super::PageRoom) for; `None`: all of them.
    pub limit: Option<usize>,
}

impl LoadRequest {
    /// A whole part of a stream, without a limit.
    #[must_use]
    pub const fn new(tenant: TenantId, stream: StreamId, span: Span) -> Self {
        Self { tenant, stream, span, limit: None }
    }

    /// At most this many events, at least 1.
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit: Some(limit), ..self }
    }
}

/// Which part of a stream to load.
///
/// Exhaustive on purpose: a backend that took an unknown span for another one would answer with the wrong events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// All of it, except that the newest snapshot of one of these names, at or below the version given, stands in for
    /// the events up to its version. A snapshot above the stream's version, or older than the stream's first event, was
    /// left over by a deleted stream and does not count.
    FromSnapshot {
        /// The names of the snapshots that the caller decodes.
        names: &'static [&'static str],
        /// The highest version that counts.
        up_to: Version,
    },
    /// All of it, except that the state that an aggregate was last [saved](super::Backend::save_state) with stands in for the
    /// events up to its version. The state counts only if the event that it was taken behind is still there, at its
    /// version, with its id, which is the state's id too.
    FromState {
        /// The name of the state.
        name: &'static str,
        /// The version of its format; others do not count.
        format: u16,
    },
    /// The full history.
    Full,
    /// The versions from `start` to below `stop`. Refused where there are none.
    Versions {
        /// The first version.
        start: Version,
        /// The version after the last.
        stop: Version,
    },
    /// The events after this one: how a long stream is read in pages. Nothing where the stream has no event at this
    /// position: it was deleted, and [`first_position`](LoadedStream::first_position) tells whether it was created again.
    After(Position),
    /// The last event alone.
    Last,
    /// The event of this id alone, if it is in this stream.
    Event(Uuid),
}

impl Span {
    /// What of it stands behind an event that was read.
    pub(crate) const fn behind(self, position: Position, version: Option<Version>) -> Self {
        match (self, version) {
            (Self::Versions { stop, .. }, Some(version)) => {
                Self::Versions { start: version.saturating_add(1), stop }
            }
            _ => Self::After(position),
        }
    }
}

/// What was loaded of a stream.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct LoadedStream {
    /// The snapshot, or the state, that stands in for the events up to its version.
    pub snapshot: Option<StoredEvent>,
    /// The events, in order.
    pub events: Vec<StoredEvent>,
    /// Whether the limit, or the room, cut off events.
    pub has_more: bool,
    /// The position of the stream's first event, if the request had a limit: it tells a stream from one of the same id
    /// that was created after it was deleted.
    pub first_position: Option<Position>,
}

impl LoadedStream {
    /// These events, in order, and no more of them.
    #[must_use]
    pub const fn new(events: Vec<StoredEvent>) -> Self {
        Self { snapshot: None, events, has_more: false, first_position: None }
    }

    /// With what stands in for the events up to its version.
    #[must_use]
    pub fn with_snapshot(self, snapshot: Option<StoredEvent>) -> Self {
        Self { snapshot, ..self }
    }

    /// With whether there are more, and where the stream's first event stands: what a request with a limit is told.
    #[must_use]
    pub fn with_page(self, has_more: bool, first_position: Option<Position>) -> Self {
        Self { has_more, first_position, ..self }
    }

    /// How many bytes its events have.
    pub(crate) fn size(&self) -> usize {
        self.snapshot.iter().chain(&self.events).map(StoredEvent::size).sum()
    }

    /// The version of the last event that was loaded; `None` without events, or without versions.
    #[must_use]
    pub fn last_version(&self) -> Option<Version> {
        self.events.last().and_then(|event| event.version)
    }

    /// The same; an error where nobody can read what it is.
    pub(crate) fn readable_version(&self, stream: &StreamId) -> Result<Option<Version>> {
        match self.events.last() {
            Some(last) if last.version.is_none() => last.check(stream).map(|()| None),
            last => Ok(last.and_then(|last| last.version)),
        }
    }
}

/// What to read across streams.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanRequest {
    /// Only events above this position.
    pub after: Position,
    /// Only events up to this position; `None`: up to what is settled now. A page up to what
    /// [`Backend::wait_beyond`](super::Backend::wait_beyond) has told is whole. One up to a position beyond it, where there may
    /// be nothing at all, has what is there by now, and its `next` says nothing.
    pub up_to: Option<Position>,
    /// Only these events.
    pub filter: Filter,
    /// At most this many events, at least 1, and no more than there is [room](super::PageRoom) for. A page may hold fewer of them,
    /// and say that there are more.
    pub limit: usize,
}

impl ScanRequest {
    /// At most this many events above this position, at least 1, up to what is settled now.
    #[must_use]
    pub fn new(after: Position, limit: usize) -> Self {
        Self { after, up_to: None, filter: Filter::default(), limit }
    }

    /// Only events up to this position.
    #[must_use]
    pub fn with_up_to(self, position: Position) -> Self {
        Self { up_to: Some(position), ..self }
    }

    /// Only events that pass.
    #[must_use]
    pub fn with_filter(self, filter: Filter) -> Self {
        Self { filter, ..self }
    }
}

/// Which events a reader across streams wants.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Only this tenant's; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Only this category's.
    pub category: Option<Category>,
    /// Only these stored names.
    pub names: Option<Arc<[Arc<str>]>>,
    /// Only those of streams in these segments.
    pub segments: Option<Segments>,
    /// Only those that have all of these tags, and those that cannot be read, of which nobody can tell. A backend does not look at
    /// them: the store leaves the others out.
    pub tags: Vec<Tag>,
}

impl Filter {
    /// Every event.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this tenant's.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Only this category's.
    #[must_use]
    pub fn with_category(self, category: Category) -> Self {
        Self { category: Some(category), ..self }
    }

    /// Only those of these stored names.
    #[must_use]
    pub fn with_names(self, names: impl Into<Arc<[Arc<str>]>>) -> Self {
        Self { names: Some(names.into()), ..self }
    }

    /// Only those of streams in these segments.
    #[must_use]
    pub fn with_segments(self, segments: Segments) -> Self {
        Self { segments: Some(segments), ..self }
    }

    /// Only those that have all of these tags.
    #[must_use]
    pub fn with_tags(self, tags: Vec<Tag>) -> Self {
        Self { tags, ..self }
    }

    /// Whether an event passes, whatever its tags are.
    #[must_use]
    pub fn passes(&self, tenant: &TenantId, stream: &StreamId, name: &str) -> bool {
        self.is_of(tenant, stream)
            && self.names.as_ref().is_none_or(|names| names.iter().any(|wanted| **wanted == *name))
    }

    /// The same of an event as it was read. Where its [name is lost](StoredEvent::has_lost_its_name), it may be any of those that are
    /// asked for.
    #[must_use]
    pub fn passes_event(&self, tenant: &TenantId, stream: &StreamId, event: &StoredEvent) -> bool {
        if event.has_lost_its_name() {
            self.is_of(tenant, stream)
        } else {
            self.passes(tenant, stream, &event.name)
        }
    }

    /// Whether it asks for this stream.
    fn is_of(&self, tenant: &TenantId, stream: &StreamId) -> bool {
        self.tenant.as_ref().is_none_or(|wanted| wanted == tenant)
            && self.category.as_ref().is_none_or(|wanted| stream.category() == Some(wanted))
            && self.segments.is_none_or(|segments| segments.contain(stream.uuid()))
    }

    /// Whether an event passes as it was read. One whose stream is lost is nobody's, in no category: it does not pass where either
    /// is asked for, as it is in no answer to such a [`ScanRequest`].
    pub(crate) fn takes(&self, record: &StoredRecord) -> bool {
        let is_lost = record.event.unreadable.is_some() && is_lost_stream_id(&record.stream);
        let asks_whose = self.tenant.is_some() || self.category.is_some();
        !(is_lost && asks_whose) && self.wants(&record.tenant, &record.stream, &record.event)
    }

    /// Whether an event passes, and has the tags.
    pub(crate) fn wants(&self, tenant: &TenantId, stream: &StreamId, event: &StoredEvent) -> bool {
        self.passes_event(tenant, stream, event) && self.finds_tags_on(event)
    }

    /// Whether an event has the tags, or cannot be read.
    pub(crate) fn finds_tags_on(&self, event: &StoredEvent) -> bool {
        event.unreadable.is_some() || self.tags.iter().all(|tag| event.tags.contains(tag))
    }
}

/// What is there at some moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Present {
    /// The settled position.
    pub position: Position,
    /// Which positions above it hold events that were committed: stretches from the first to the last, in order. Between
    /// them, others may still appear.
    pub above: Vec<(Position, Position)>,
}

impl Present {
    /// This settled position, and these stretches of committed events above it.
    #[must_use]
    pub const fn new(position: Position, above: Vec<(Position, Position)>) -> Self {
        Self { position, above }
    }
}

impl ScanPage {
    /// These events, where to read on from, and whether there may be more.
    #[must_use]
    pub const fn new(records: Vec<StoredRecord>, next: Position, has_more: bool) -> Self {
        Self { records, next, has_more }
    }

    /// How many bytes its events have.
    pub(crate) fn size(&self) -> usize {
        self.records.iter().map(|record| record.event.size()).sum()
    }
}

/// A page of a scan.
///
/// A page takes a bounded time: it may end after a long stretch with fewer events than were asked for, or none, and say that
/// there are more, whether or not one of them passes the filter. It moves on all the same, so that whoever reads page after
/// page comes to the end, keeps what he has passed, and can do something else in between.
#[derive(Debug)]
#[non_exhaustive]
pub struct ScanPage {
    /// The events, in position order.
    pub records: Vec<StoredRecord>,
    /// Where to read on from: at or above the last event, and settled. Above where the request began, if there are more.
    pub next: Position,
    /// Whether there may be more, because the limit, the room, or the bound on the time, cut them off.
    pub has_more: bool,
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::backend::lost_stream_id;

    fn event(name: &str) -> StoredEvent {
        let position = Position::from_i64(7);
        StoredEvent::new(position, None, Uuid::nil(), name.into(), "{}".into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_event_whose_name_is_lost_may_be_any_and_keeps_its_stream_and_its_tenant() {
        let (acme, globex) = (TenantId::stored("acme"), TenantId::stored("globex"));
        let (stream, paid) = (StreamId::random(), Filter::new().with_names([Arc::from("paid")]));
        let of = |filter: &Filter, tenant: &TenantId, event: StoredEvent| {
            filter.takes(&StoredRecord::new(stream.clone(), tenant.clone(), event))
        };
        let lost = || event("").with_unreadable("it is no message");
        assert!(of(&paid, &acme, lost()) && of(&paid, &acme, event("paid")));
        assert!(!of(&paid, &acme, event("")) && !of(&paid, &acme, event("sent").with_unreadable("its time")));
        let of_acme = paid.with_tenant(acme.clone());
        assert!(of(&of_acme, &acme, lost()) && !of(&of_acme, &globex, lost()));
        let nobodys = StoredRecord::new(lost_stream_id(Position::from_i64(7)), acme, lost());
        assert!(!of_acme.takes(&nobodys));
    }
}
