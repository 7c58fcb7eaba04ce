//! Appending.

use event_sourcery::backend::{
    AppendOutcome, AppendRequest, NewRecord, PresentEvent, Requirement, StreamAppend, StreamState, Written,
};
use event_sourcery::{AppendPosition, Error, Result, StreamId, TenantId, Version};
use uuid::Uuid;

use super::{Operations, StreamRow};
use crate::rows::{self, EventReader, hex};
use crate::time;

impl Operations<'_> {
    /// Appends all or nothing. With savepoints, a refusal leaves the transaction as it was.
    pub(crate) fn append(&self, request: &AppendRequest) -> Result<AppendOutcome> {
        let changes = self.connection.total_changes();
        let refused = match self.atomically(|| self.write_and_tell(request)) {
            Ok(written) => return Ok(AppendOutcome::Written(written)),
            Err(refused) => refused,
        };
        let written_still = !self.savepoints && self.connection.total_changes() != changes;
        if written_still || self.connection.is_autocommit() {
            return Err(refused);
        }
        if self.give_up_ids(request)? {
            return self.append(request);
        }
        let present = self.present(request)?;
        if present.is_empty() { Err(refused) } else { Ok(AppendOutcome::Present(present)) }
    }

    fn write_and_tell(&self, request: &AppendRequest) -> Result<Vec<Written>> {
        let hearing = match self.listeners {
            Some(listeners) => listeners.wanting(request, self.depth)?,
            None => None,
        };
        let written = self.write(request)?;
        if let Some(hearing) = hearing {
            self.tell(&hearing, &written)?;
        }
        Ok(written)
    }

    fn write(&self, request: &AppendRequest) -> Result<Vec<Written>> {
        self.look.has_room()?;
        for requirement in &request.requirements {
            match requirement {
                Requirement::Stream(requirement) => {
                    let row = self.find_stream(&request.tenant, &requirement.stream)?;
                    requirement.check(self.state_of(row)?)?;
                }
                Requirement::Key(requirement) => {
                    requirement.check(self.key(&request.tenant, &requirement.subject)?.as_ref())?;
                }
                Requirement::Boundary(boundary) => self.check_boundary(&request.tenant, boundary)?,
                _ => return Err(Error::unsupported("sqlite", "this requirement")),
            }
        }
        let written = request.streams.iter().map(|part| self.append_to(request, part));
        let written = written.collect::<Result<Vec<_>>>()?;
        self.shred(request)?;
        Ok(written)
    }

    fn append_to(&self, request: &AppendRequest, part: &StreamAppend) -> Result<Written> {
        let tenant = &request.tenant;
        let row = self.find_stream(tenant, &part.stream)?;
        let state = self.state_of(row)?;
        let first_version = part.check(state)?;
        let last_version = first_version.map(|first| part.last_version(first));
        let stream = match row {
            None => self.insert_stream(tenant, &part.stream, last_version)?,
            Some(row) => self.update_stream(tenant, &part.stream, row, state, last_version)?,
        };
        let (mut insert, mut last_position) = (self.statement(&self.sql.insert_event)?, 0);
        for (number, event) in (0..).zip(&part.events) {
            let version = first_version.map(|first| first.saturating_add(number));
            let values = record_values(event, version, stream);
            insert.execute(values).map_err(|error| self.failed(error))?;
            last_position = self.connection.last_insert_rowid();
            if let Some(guard) = self.guard {
                guard.wrote(last_position);
            }
            self.store_tags(tenant, event, last_position)?;
            if request.outbox.contains(&event.id) {
                self.enter(event, (tenant, &part.stream), (version, last_position), stream)?;
            }
        }
        self.look.given(last_position, self.sql)?;
        let last_position = AppendPosition::from_i64(last_position);
        Ok(Written::new(first_version, last_position))
    }

    fn insert_stream(&self, tenant: &TenantId, stream: &StreamId, version: Option<Version>) -> Result<i64> {
        self.claim_name(tenant, stream)?;
        let (uuid, category) = (hex(stream.uuid()), stream.stored_category());
        let values = (uuid, stream.name(), category, tenant.as_str(), version);
        self.execute(&self.sql.insert_stream, values)?;
        let id = self.connection.last_insert_rowid();
        // SQLite may give a deleted stream's number again; the reference leaves its snapshots behind. States of aggregates do
        // not count without their events.
        self.execute(&self.sql.delete_snapshots, [id])?;
        Ok(id)
    }

    fn update_stream(
        &self,
        tenant: &TenantId,
        stream: &StreamId,
        row: StreamRow,
        state: StreamState,
        version: Option<Version>,
    ) -> Result<i64> {
        if state == StreamState::Missing {
            self.execute(&self.sql.delete_snapshots, [row.id])?;
            self.execute(&self.sql.delete_states, [row.id])?;
        }
        match stream.name() {
            Some(name) if !row.named => {
                self.claim_name(tenant, stream)?;
                self.execute(&self.sql.name_stream, (row.id, version, name))?;
            }
            _ => {
                self.execute(&self.sql.update_version, (row.id, version))?;
            }
        }
        Ok(row.id)
    }

    /// Refuses a name that another stream has. A row without events is no stream and gives its name up.
    fn claim_name(&self, tenant: &TenantId, stream: &StreamId) -> Result<()> {
        let Some(name) = stream.name() else { return Ok(()) };
        let holder =
            self.first(&self.sql.name_holder, (name, stream.stored_category(), tenant.as_str()), |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?))
            })?;
        let Some((id, uuid)) = holder else { return Ok(()) };
        let holder = rows::uuid(&uuid).unwrap_or_default();
        if holder == stream.uuid() {
            return Ok(());
        }
        if self.state_of(Some(StreamRow { id, named: true }))? == StreamState::Missing {
            self.execute(&self.sql.delete_snapshots, [id])?;
            self.execute(&self.sql.delete_states, [id])?;
            self.execute(&self.sql.delete_stream, [id])?;
            return Ok(());
        }
        Err(Error::stream_name_taken(stream.clone(), name, holder))
    }

    /// Those of the request's events that are in the store already.
    fn present(&self, request: &AppendRequest) -> Result<Vec<PresentEvent>> {
        let mut reader = EventReader::default();
        request.event_ids().filter_map(|id| self.present_event(id, &mut reader).transpose()).collect()
    }

    fn present_event(&self, id: Uuid, reader: &mut EventReader) -> Result<Option<PresentEvent>> {
        let found = self.first(&self.sql.event_by_id, [hex(id)], |row| {
            Ok((reader.record(row), row.get::<_, i64>(12)?))
        })?;
        let Some((record, stream)) = found else { return Ok(None) };
        let position = record.event.position.to_i64();
        let previous =
            self.first(&self.sql.event_before, [stream, position], |row| row.get::<_, String>(0))?;
        Ok(Some(PresentEvent::new(record, previous.and_then(|uuid| rows::uuid(&uuid).ok()))))
    }
}

/// The values of an event or a snapshot, in the order of the columns.
pub(super) fn record_values(
    record: &NewRecord,
    version: Option<Version>,
    stream: i64,
) -> (Option<Version>, String, &str, &str, &str, String, i64, u32) {
    let NewRecord { id, name, data, context, created_at, schema_version, .. } = record;
    (version, hex(*id), name, data, context, time::to_text(*created_at), stream, *schema_version)
}
