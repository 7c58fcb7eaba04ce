//! Snapshots.

use event_sourcery::backend::SnapshotRequest;
use event_sourcery::{Error, Result};

use super::Operations;
use super::append::record_values;
use crate::rows::hex;

impl Operations<'_> {
    /// Stores a snapshot for a version that the stream has reached.
    pub(crate) fn save_snapshot(&self, request: &SnapshotRequest) -> Result<()> {
        let SnapshotRequest { tenant, stream, version, record, .. } = request;
        let row = self.find_stream(tenant, stream)?;
        request.check(self.state_of(row)?)?;
        let Some(row) = row else { return Err(Error::Closed) };
        if self.first(&self.sql.snapshot_exists, [hex(record.id)], |_| Ok(()))?.is_some() {
            return Err(Error::DuplicateEvent { event_id: record.id, stream: stream.clone() });
        }
        self.execute(&self.sql.insert_snapshot, record_values(record, Some(*version), row.id))?;
        Ok(())
    }
}
