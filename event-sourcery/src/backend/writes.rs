//! Writes beside appends: deleting, and snapshots.

use super::append::StreamState;
use super::records::NewRecord;
use crate::error::{Error, Result};
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
