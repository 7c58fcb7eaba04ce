//! How far read models have followed a stream: the cursors of [projectors](crate::Projector).

use std::sync::Arc;

use crate::position::Position;
use crate::stream_id::{StreamId, TenantId};
use crate::version::Version;

/// Which cursor: a projector has one for each stream that it follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CursorId {
    /// The projector's name.
    pub projector: Arc<str>,
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
}

impl CursorId {
    /// The cursor of this projector for this tenant's stream.
    #[must_use]
    pub const fn new(projector: Arc<str>, tenant: TenantId, stream: StreamId) -> Self {
        Self { projector, tenant, stream }
    }
}

/// How far a stream was projected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cursor {
    /// The version that was projected last.
    pub version: Version,
    /// Where its event stood. It tells the stream from one of the same id that was made after this one was deleted.
    /// [`Position::START`] where that is not known, because the event was gone when the cursor was taken over.
    pub position: Position,
}

impl Cursor {
    /// Up to this version, whose event stood there.
    #[must_use]
    pub const fn new(version: Version, position: Position) -> Self {
        Self { version, position }
    }
}

/// A cursor that nobody else moves until the transaction ends, and what the stream is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HeldCursor {
    /// The cursor; `None` where nothing of the stream was projected.
    pub cursor: Option<Cursor>,
    /// Where the event stands that has the cursor's version now; `None` where there is none.
    pub at_cursor: Option<Position>,
    /// The version of the event at the position asked about; `None` where the stream has no such event.
    pub version: Option<Version>,
}

impl HeldCursor {
    /// How far the stream was projected, where the event of that version stands now, and the version of the event that was asked
    /// about.
    #[must_use]
    pub const fn new(cursor: Option<Cursor>, at_cursor: Option<Position>, version: Option<Version>) -> Self {
        Self { cursor, at_cursor, version }
    }
}

/// Which cursors a projector gives up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ForgetRequest {
    /// The projector's name.
    pub projector: Arc<str>,
    /// Only those of this tenant's streams; `None`: of everybody's.
    pub tenant: Option<TenantId>,
}

impl ForgetRequest {
    /// All cursors of this projector.
    #[must_use]
    pub const fn new(projector: Arc<str>) -> Self {
        Self { projector, tenant: None }
    }

    /// Only those of this tenant's streams.
    #[must_use]
    pub fn with_tenant(self, tenant: TenantId) -> Self {
        Self { tenant: Some(tenant), ..self }
    }
}
