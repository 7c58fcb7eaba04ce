//! Writes beside appends: deleting, and snapshots.

use std::fmt;

use jiff::Timestamp;
use uuid::Uuid;

use super::append::StreamState;
use super::records::NewRecord;
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::stream_id::{StreamId, TenantId};
use crate::version::Version;

/// Which stream to delete.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// Whether to drop what is still in the outbox; otherwise it is published.
    pub drop_outbox: bool,
}

impl DeleteRequest {
    /// Deletes this tenant's stream; what is in the outbox is still published.
    #[must_use]
    pub const fn new(tenant: TenantId, stream: StreamId) -> Self {
        Self { tenant, stream, drop_outbox: false }
    }

    /// Whether to drop what is still in the outbox.
    #[must_use]
    pub fn with_drop_outbox(self, drop_outbox: bool) -> Self {
        Self { drop_outbox, ..self }
    }
}

/// A snapshot to store.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SnapshotRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// The version that the snapshot stands for.
    pub version: Version,
    /// The snapshot.
    pub record: NewRecord,
}

impl SnapshotRequest {
    /// A snapshot of this tenant's stream that stands for this version.
    #[must_use]
    pub const fn new(tenant: TenantId, stream: StreamId, version: Version, record: NewRecord) -> Self {
        Self { tenant, stream, version, record }
    }

    /// Whether the stream has reached the snapshot's version.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotVersionMismatch`].
    pub fn check(&self, state: StreamState) -> Result<()> {
        if matches!(state, StreamState::Versioned(reached) if (1..=reached).contains(&self.version)) {
            return Ok(());
        }
        let (stream, version) = (self.stream.clone(), self.version);
        Err(Error::SnapshotVersionMismatch { stream, version, actual: state.version() })
    }
}

/// The state of an aggregate behind one of its events, to be kept as a snapshot that only the aggregate reads.
///
/// One is kept for each stream, name and format: the one behind the latest event that is still there. `Debug` does not show it.
#[derive(Clone)]
#[non_exhaustive]
pub struct StateRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// The name of the state.
    pub name: &'static str,
    /// The version of its format.
    pub format: u16,
    /// The last event that it stands for.
    pub behind: EventAt,
    /// An earlier event that it was made of, if more than one is known: the state counts for no stream without it.
    pub made_of: Option<EventAt>,
    /// The text of a JSON object.
    pub data: String,
    /// When it was taken.
    pub created_at: Timestamp,
}

impl StateRequest {
    /// The state of this name and version of its format, behind this event of a tenant's stream.
    #[must_use]
    pub const fn new(
        tenant: TenantId,
        stream: StreamId,
        (name, format): (&'static str, u16),
        behind: EventAt,
        data: String,
        created_at: Timestamp,
    ) -> Self {
        Self { tenant, stream, name, format, behind, made_of: None, data, created_at }
    }

    /// The same, made of this event too; `None`: no other is known.
    #[must_use]
    pub fn with_made_of(self, made_of: Option<EventAt>) -> Self {
        Self { made_of, ..self }
    }
}

impl fmt::Debug for StateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, stream, name, format, behind, made_of, data, created_at } = self;
        f.debug_struct("StateRequest")
            .field("tenant", tenant)
            .field("stream", stream)
            .field("name", name)
            .field("format", format)
            .field("behind", behind)
            .field("made_of", made_of)
            .field("data", &Hidden(data))
            .field("created_at", created_at)
            .finish()
    }
}

/// An event, by its place in a versioned stream and its id: it tells the stream from one of the same id that was created
/// after it was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventAt {
    /// Its version.
    pub version: Version,
    /// Its id.
    pub id: Uuid,
}

impl EventAt {
    /// The event of this version and this id.
    #[must_use]
    pub const fn new(version: Version, id: Uuid) -> Self {
        Self { version, id }
    }
}
