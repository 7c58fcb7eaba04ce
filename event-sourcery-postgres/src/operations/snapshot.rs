//! Snapshots.

use super::{Known, Operations};
use crate::failure::Failure;
use crate::values::{self, Jsonb, UtcTimestamp, stored_version};
use event_sourcery::backend::{SnapshotRequest, StateRequest, StreamState};
use event_sourcery::{Error, Result};

impl Operations<'_> {
    /// Stores a snapshot for a version that the stream has reached.
    pub(crate) async fn save_snapshot(&mut self, request: &SnapshotRequest) -> Result<()> {
        self.send(request.record.data.len());
        let tables = self.sql.tables();
        match self.insert_snapshot(request).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.snapshot_refused(request).await),
            Err(failure) if failure.is_unique_violation(tables) => {
                let stream = request.stream.clone();
                Err(Error::duplicate_event(request.record.id, stream))
            }
            Err(failure) if failure.is_foreign_key_violation(tables) => {
                Err(self.snapshot_refused(request).await)
            }
            Err(failure) if failure.is_about_a_value() => match self.not_storable(&[&request.record]).await {
                Some(error) => Err(error),
                None => Err(self.failed(failure)),
            },
            Err(failure) => Err(self.failed_committing(failure)),
        }
    }

    /// Keeps the state of an aggregate, if the event is there that it was taken behind.
    pub(crate) async fn save_state(&mut self, request: &StateRequest) -> Result<()> {
        let StateRequest { tenant, stream, name, format, behind, made_of, data, created_at, .. } = request;
        self.send(data.len());
        let query = Self::about(&self.sql.save_state, tenant, stream).bind(*name).bind(i32::from(*format));
        let query = query.bind(stored_version(behind.version)).bind(behind.id);
        let query = query.bind(made_of.map(|event| stored_version(event.version)));
        let query = query.bind(made_of.map(|event| event.id));
        let query = query.bind(Jsonb(data)).bind(UtcTimestamp(*created_at));
        match self.execute(query).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.failed_committing(failure)),
        }
    }

    /// Whether the stream has reached the version, and the snapshot is stored.
    async fn insert_snapshot(&mut self, request: &SnapshotRequest) -> Result<bool, Failure> {
        let SnapshotRequest { tenant, stream, version, record, .. } = request;
        // The column holds 32 bits, and no stream is longer.
        let version = i32::try_from(stored_version(*version)).unwrap_or(i32::MAX);
        let query = Self::about(&self.sql.insert_snapshot, tenant, stream).bind(version);
        let query = values::bind_event(query, record);
        if !self.joined {
            return Ok(self.execute(query).await? == 1);
        }
        self.begin().await?;
        let stored = self.execute(query).await.map(|rows| (rows == 1).then_some(()));
        Ok(self.end(stored).await?.is_some())
    }

    /// Why the stream does not take the snapshot.
    async fn snapshot_refused(&mut self, request: &SnapshotRequest) -> Error {
        let SnapshotRequest { tenant, stream, .. } = request;
        let query = self.sql.append.states.query().bind([stream.uuid()].as_slice());
        let query = query.bind([stream.stored_category()].as_slice()).bind(tenant.as_str());
        let rows = match self.rows(query.bind([None::<&str>].as_slice()).bind(Vec::<uuid::Uuid>::new())).await
        {
            Ok(rows) => rows,
            Err(failure) => return self.failed(failure),
        };
        let state = rows.first().map(Known::read).transpose();
        match state.map(|known| known.map_or(StreamState::Missing, |known| known.state)) {
            Ok(state) => match request.check(state) {
                Err(mismatch) => mismatch,
                // The stream has reached the version in the meantime, or was created anew.
                Ok(()) => Error::serialization_failure("the stream changed at the same time"),
            },
            Err(error) => self.failed(error),
        }
    }
}
