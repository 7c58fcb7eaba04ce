//! What those who look inside ask, and what they are told: see [`Inspect`](super::Inspect).

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::cursors::{Cursor, CursorId};
use super::listing::Mark;
use super::records::StoredEvent;
use crate::error::Result;
use crate::position::Position;
use crate::stream_id::{Category, StreamId, TenantId};
use crate::version::Version;

/// How many rows a page looks at where no index serves what is asked for.
pub const LOOKS_AT: usize = 8_192;

/// How many streams are counted for a tenant, or for a category. Where there are more, the count is not exact.
pub const COUNTS_TO: usize = 1_000;

/// Which streams to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StreamsRequest {
    /// Only this tenant's; `None`: those of all tenants.
    pub tenant: Option<TenantId>,
    /// Only those of this category.
    pub category: Option<Category>,
    /// Those alone whose name begins so, by tenant, category and name; where it is empty, all that have a name. `None`: all, those
    /// that were begun last first.
    pub named: Option<String>,
    /// Where to go on; `None`: at the beginning.
    pub from: Option<Mark>,
    /// At most this many, at least 1.
    pub limit: usize,
}

impl StreamsRequest {
    /// The newest streams of all tenants, this many: those that were begun last come first.
    #[must_use]
    pub const fn newest(limit: usize) -> Self {
        Self { tenant: None, category: None, named: None, from: None, limit }
    }

    /// The first streams, this many, whose name begins with this prefix, by tenant, category and name.
    #[must_use]
    pub fn named(prefix: impl Into<String>, limit: usize) -> Self {
        Self { named: Some(prefix.into()), ..Self::newest(limit) }
    }

    /// Only this tenant's.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Only those of this category.
    #[must_use]
    pub fn with_category(self, category: Category) -> Self {
        Self { category: Some(category), ..self }
    }

    /// From this mark on; `None`: from the beginning.
    #[must_use]
    pub fn with_from(self, from: Option<Mark>) -> Self {
        Self { from, ..self }
    }
}

/// A stream, and its last event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StreamSummary {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream, with its name, if it has one.
    pub stream: StreamId,
    /// Where its last event stands.
    pub position: Position,
    /// The version of that event, and of the stream; `None` in a stream without versions.
    pub version: Option<Version>,
    /// The stored name of that event's type.
    pub event_name: Arc<str>,
    /// When that event happened.
    pub created_at: Timestamp,
    /// What of that event's row cannot be read; then the rest is told as far as it can be.
    pub unreadable: Option<Box<str>>,
}

impl StreamSummary {
    /// This tenant's stream, whose last event is that. What else there is in the event does not count.
    #[must_use]
    pub fn new(tenant: TenantId, stream: StreamId, last: &StoredEvent) -> Self {
        Self {
            tenant,
            stream,
            position: last.position,
            version: last.version,
            event_name: Arc::clone(&last.name),
            created_at: last.created_at,
            unreadable: last.unreadable.clone(),
        }
    }
}

/// Which events of all streams to look for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventsRequest {
    /// Only this tenant's; `None`: everybody's.
    pub tenant: Option<TenantId>,
    /// Only this category's.
    pub category: Option<Category>,
    /// Only these stored names.
    pub names: Option<Arc<[Arc<str>]>>,
    /// Only those whose context has one of these as correlation id or causation id. Others that have it elsewhere in their context
    /// may be told too. None at all: whatever their context.
    pub related_to: Arc<[Uuid]>,
    /// Onwards, instead of back.
    pub onwards: bool,
    /// Behind which position, in that direction; `None`: from the end, or from the beginning.
    pub from: Option<Mark>,
    /// At most this many, at least 1, and no more than there is [room](super::PageRoom) for.
    pub limit: usize,
}

impl EventsRequest {
    /// The newest events of all tenants, this many, the last one first.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        let (tenant, category, names, from) = (None, None, None, None);
        Self { tenant, category, names, related_to: Arc::default(), onwards: false, from, limit }
    }

    /// The first events of all tenants, this many, in their order.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { onwards: true, ..Self::newest(limit) }
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

    /// Only those whose context has one of these as correlation id or causation id.
    #[must_use]
    pub fn with_related_to(self, ids: impl Into<Arc<[Uuid]>>) -> Self {
        Self { related_to: ids.into(), ..self }
    }

    /// From this mark on; `None`: from the beginning.
    #[must_use]
    pub fn with_from(self, from: Option<Mark>) -> Self {
        Self { from, ..self }
    }
}

/// Which of a stream's events to read, the last one first.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackwardsRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Before which of its events; `None`: from its end. Nothing stands before an event that is not there any more.
    pub from: Option<Mark>,
    /// At most this many, at least 1, and no more than there is [room](super::PageRoom) for.
    pub limit: usize,
}

impl BackwardsRequest {
    /// The last events of this tenant's stream, this many.
    #[must_use]
    pub const fn new(tenant: TenantId, stream: StreamId, limit: usize) -> Self {
        Self { tenant, stream, from: None, limit }
    }

    /// From this mark on; `None`: from the end.
    #[must_use]
    pub fn with_from(self, from: Option<Mark>) -> Self {
        Self { from, ..self }
    }
}

/// Which cursors of projectors to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CursorsRequest {
    /// Only those of this tenant's streams; `None`: of everybody's.
    pub tenant: Option<TenantId>,
    /// Only those of this projector.
    pub projector: Option<Arc<str>>,
    /// Only those of this stream: of the tenant's that is asked for, or of the default one's.
    pub stream: Option<StreamId>,
    /// Where to go on; `None`: at the beginning.
    pub from: Option<Mark>,
    /// At most this many, at least 1.
    pub limit: usize,
}

impl CursorsRequest {
    /// The first cursors of all tenants, this many.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { tenant: None, projector: None, stream: None, from: None, limit }
    }

    /// Only those of this tenant's streams.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }

    /// Only those of this projector.
    #[must_use]
    pub fn with_projector(self, projector: impl Into<Arc<str>>) -> Self {
        Self { projector: Some(projector.into()), ..self }
    }

    /// Only those of this stream.
    #[must_use]
    pub fn with_stream(self, stream: StreamId) -> Self {
        Self { stream: Some(stream), ..self }
    }

    /// From this mark on; `None`: from the beginning.
    #[must_use]
    pub fn with_from(self, from: Option<Mark>) -> Self {
        Self { from, ..self }
    }

    /// Below or at which number of a stream it goes on, and behind which projector there.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a mark of another listing.
    pub fn begins(&self) -> Result<(i64, &str)> {
        let Some(from) = &self.from else { return Ok((i64::MAX, "")) };
        let [number, projector] = from.parts()?;
        Ok((number.parse().map_err(|_| Mark::foreign())?, projector))
    }
}

/// How far a projector has followed a stream, and how far that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CursorSummary {
    /// The projector, and the stream.
    pub id: CursorId,
    /// How far it was projected.
    pub cursor: Cursor,
    /// The version of the stream now; `None` where it has none.
    pub version: Option<Version>,
}

impl CursorSummary {
    /// This cursor, of a stream that is at this version.
    #[must_use]
    pub const fn new(id: CursorId, cursor: Cursor, version: Option<Version>) -> Self {
        Self { id, cursor, version }
    }
}
