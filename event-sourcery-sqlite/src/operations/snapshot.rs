//! Snapshots.

use event_sourcery::backend::{SnapshotRequest, StateRequest};
use event_sourcery::{Error, Result};

use super::Operations;
use super::append::record_values;
use crate::rows::hex;
use crate::time;

impl Operations<'_> {
    /// Stores a snapshot for a version that the stream has reached.
    pub(crate) fn save_snapshot(&self, request: &SnapshotRequest) -> Result<()> {
        let SnapshotRequest { tenant, stream, version, record, .. } = request;
        let row = self.find_stream(tenant, stream)?;
        request.check(self.state_of(row)?)?;
        let Some(row) = row else { return Err(Error::bug("a stream without a row has a version")) };
        let exists = self.first(&self.sql.snapshot_exists, [hex(record.id)], |_| Ok(()))?.is_some();
        if exists && !self.give_up_snapshot(record.id)? {
            return Err(Error::duplicate_event(record.id, stream.clone()));
        }
        self.execute(&self.sql.insert_snapshot, record_values(record, Some(*version), row.id))?;
        Ok(())
    }

    /// Keeps the state of an aggregate, if the event is there that it was taken behind.
    pub(crate) fn save_state(&self, request: &StateRequest) -> Result<()> {
        let StateRequest { tenant, stream, name, format, behind, made_of, data, created_at, .. } = request;
        let Some(row) = self.find_stream(tenant, stream)? else { return Ok(()) };
        let (made_at, made_of) = made_of.map(|event| (event.version, hex(event.id))).unzip();
        let created_at = time::to_text(*created_at);
        let behind = (behind.version, hex(behind.id));
        let values = (row.id, *name, format, behind.0, behind.1, made_at, made_of, data, created_at);
        self.execute(&self.sql.save_state, values)?;
        Ok(())
    }
}
