//! Writes beside appends: deleting, and snapshots.

use jiff::Timestamp;

use super::append::StreamState;
use super::records::NewRecord;
use crate::error::{Error, Result};
use crate::position::AppendPosition;
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
/// One is kept for each stream, name and format: the one behind the highest position.
#[derive(Debug, Clone)]
pub struct StateRequest {
    /// Whose stream.
    pub tenant: TenantId,
    /// The stream.
    pub stream: StreamId,
    /// The name of the state.
    pub name: &'static str,
    /// The version of its format.
    pub format: u16,
    /// The version of the last event that it stands for.
    pub version: Version,
    /// The position of that event. It tells the stream from one of the same id that was created after it was deleted.
    pub position: AppendPosition,
    /// The text of a JSON object.
    pub data: String,
    /// When it was taken.
    pub created_at: Timestamp,
}
