//! Tags for events that are stored already.

use uuid::Uuid;

use crate::position::Position;
use crate::stream_id::TenantId;
use crate::tag::Tag;

/// Which of a tenant's events get which tags.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TagRequest {
    /// Whose events.
    pub tenant: TenantId,
    /// The events, each once.
    pub events: Vec<EventTags>,
}

/// An event, and tags that it is to have besides those that it has.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventTags {
    /// Where it stands.
    pub position: Position,
    /// Its id: another event at the position is not meant.
    pub id: Uuid,
    /// The tags, each once.
    pub tags: Vec<Tag>,
}

impl TagRequest {
    /// These events of the tenant's.
    #[must_use]
    pub const fn new(tenant: TenantId, events: Vec<EventTags>) -> Self {
        Self { tenant, events }
    }
}

impl EventTags {
    /// These tags for the event of this id at this position.
    #[must_use]
    pub const fn new(position: Position, id: Uuid, tags: Vec<Tag>) -> Self {
        Self { position, id, tags }
    }
}
