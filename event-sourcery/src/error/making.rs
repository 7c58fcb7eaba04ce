//! The errors that a backend makes. Their variants can get facts; so nobody outside of the library makes one by its fields.

use std::time::Duration;

use uuid::Uuid;

use super::{Error, Source, whole};
use crate::query::Query;
use crate::stream_id::StreamId;

/// For those who write a backend: each makes one variant.
///
/// ```
/// use event_sourcery::Error;
///
/// let error = Error::backend("postgres", std::io::Error::other("a row of the table is damaged"));
/// assert_eq!(error.to_string(), "the postgres backend failed");
/// assert_eq!(error.in_full(), "the postgres backend failed: a row of the table is damaged");
/// ```
impl Error {
    /// [`StreamNameTaken`](Self::StreamNameTaken): the name that a stream was to have belongs to this UUID.
    #[must_use]
    pub fn stream_name_taken(stream: StreamId, name: impl Into<String>, holder: Uuid) -> Self {
        Self::StreamNameTaken { stream, name: name.into(), holder }
    }

    /// [`DuplicateEvent`](Self::DuplicateEvent): this id is in use already.
    #[must_use]
    pub const fn duplicate_event(event_id: Uuid, stream: StreamId) -> Self {
        Self::DuplicateEvent { event_id, stream }
    }

    /// [`BoundaryMoved`](Self::BoundaryMoved): what matches this query is not what was read.
    #[must_use]
    pub const fn boundary_moved(query: Query) -> Self {
        Self::BoundaryMoved { query }
    }

    /// [`Unsupported`](Self::Unsupported): the backend of this name cannot do this.
    #[must_use]
    pub const fn unsupported(backend: &'static str, operation: &'static str) -> Self {
        Self::Unsupported { backend, operation }
    }

    /// [`SerializationFailure`](Self::SerializationFailure), with the database's own error.
    #[must_use]
    pub fn serialization_failure(source: impl Into<Source>) -> Self {
        Self::SerializationFailure { source: source.into() }
    }

    /// [`Busy`](Self::Busy), after so long; zero where there was no room.
    #[must_use]
    pub const fn busy(waited: Duration) -> Self {
        Self::Busy { waited }
    }

    /// [`Unavailable`](Self::Unavailable), with the driver's or the database's own error. Only where nothing was written.
    #[must_use]
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable { source: source.into() }
    }

    /// [`OutcomeUnknown`](Self::OutcomeUnknown), with the driver's own error.
    #[must_use]
    pub fn outcome_unknown(source: impl Into<Source>) -> Self {
        Self::OutcomeUnknown { source: source.into() }
    }

    /// [`LeaseLost`](Self::LeaseLost), of the subscription of this name.
    #[must_use]
    pub fn lease_lost(subscription: impl Into<String>) -> Self {
        Self::LeaseLost { subscription: subscription.into() }
    }

    /// [`RolledBack`](Self::RolledBack), with the database's own error.
    #[must_use]
    pub fn rolled_back(source: impl Into<Source>) -> Self {
        Self::RolledBack { source: source.into() }
    }

    /// [`StorageFull`](Self::StorageFull), with the database's own error.
    #[must_use]
    pub fn storage_full(source: impl Into<Source>) -> Self {
        Self::StorageFull { source: source.into() }
    }

    /// [`ReadOnly`](Self::ReadOnly), and what forbids writing.
    #[must_use]
    pub fn read_only(problem: impl Into<String>) -> Self {
        Self::ReadOnly { problem: problem.into() }
    }

    /// [`Backend`](Self::Backend): anything else that the database of the backend of this name has reported.
    #[must_use]
    pub fn backend(backend: &'static str, source: impl Into<Source>) -> Self {
        Self::Backend { backend, source: source.into() }
    }

    /// [`Bug`](Self::Bug): what cannot happen, in a few words.
    #[must_use]
    pub const fn bug(what: &'static str) -> Self {
        Self::Bug { what }
    }

    /// This error with all that it was caused by, on one line: for logs, which see no sources. At most 4,000 characters.
    #[must_use]
    pub fn in_full(&self) -> String {
        whole(self)
    }
}
