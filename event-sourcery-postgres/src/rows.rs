//! Rows of the shared layout, read into the library's plain data.

use std::borrow::Cow;
use std::sync::Arc;

use event_sourcery::backend::{StoredEvent, StoredRecord, stored_stream_id, stored_tenant_id};
use event_sourcery::{Error, Position, Result, StreamId, Version};
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type, ValueRef as _};
use uuid::Uuid;

use crate::values::{JSONB_VERSION, UtcTimestamp};

/// Reads the events of one answer; keeps one copy of each event name.
#[derive(Default)]
pub(crate) struct EventReader {
    names: Vec<Arc<str>>,
}

impl EventReader {
    /// The event, or snapshot, in the first eight columns: position (none: a snapshot), version, UUID, name, payload,
    /// context, time, schema version. What cannot be read is an error that names the event.
    pub(crate) fn event(&mut self, row: &PgRow, stream: &StreamId) -> Result<StoredEvent> {
        self.read(row).map_err(|problem| Error::InvalidEvent {
            name: text(row, 3).unwrap_or_default().to_owned(),
            stream: stream.clone(),
            version: version(row, 1).ok().flatten(),
            problem,
        })
    }

    /// The event, and its stream in the next four columns: UUID, name, category, tenant.
    pub(crate) fn record(&mut self, row: &PgRow) -> Result<StoredRecord> {
        let stream = stream(row).map_err(|problem| Error::InvalidEvent {
            name: text(row, 3).unwrap_or_default().to_owned(),
            stream: StreamId::from_uuid(Uuid::nil()),
            version: version(row, 1).ok().flatten(),
            problem: format!("its stream's row: {problem}"),
        })?;
        let event = self.event(row, &stream)?;
        let tenant = stored_tenant_id(text(row, 11).unwrap_or_default());
        Ok(StoredRecord { stream, tenant, event })
    }

    fn read(&mut self, row: &PgRow) -> Result<StoredEvent, String> {
        let context = json(row, 5)?;
        let position = fixed::<8>(row, 0)?.map_or(0, i64::from_be_bytes);
        let id = fixed::<16>(row, 2)?.ok_or("it has no id")?;
        let created_at = i64::from_be_bytes(present(fixed::<8>(row, 6)?)?);
        let created_at =
            UtcTimestamp::from_stored(created_at).ok_or("its time is none of the years 1 to 9999")?;
        let schema_version = i32::from_be_bytes(present(fixed::<4>(row, 7)?)?);
        Ok(StoredEvent {
            position: Position::from_i64(position),
            version: version(row, 1)?,
            id: Uuid::from_bytes(id),
            name: self.name(text(row, 3)?),
            data: json(row, 4)?.into(),
            context: if context == "{}" { Cow::Borrowed("{}") } else { Cow::Owned(context.to_owned()) },
            created_at: created_at.0,
            schema_version: u32::try_from(schema_version).map_err(|error| error.to_string())?,
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| ***known == *name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        name
    }
}

fn stream(row: &PgRow) -> Result<StreamId, String> {
    let uuid = Uuid::from_bytes(present(fixed::<16>(row, 8)?)?);
    let name = bytes(row, 9)?.map(utf8).transpose()?;
    Ok(stored_stream_id(uuid, name, text(row, 10)?))
}

/// A value of a statement of ours, whose type is known.
pub(crate) fn value<'r, T: Decode<'r, Postgres> + Type<Postgres>>(
    row: &'r PgRow,
    index: usize,
) -> Result<T, sqlx::Error> {
    row.try_get(index)
}

/// A column's bytes; `None` for NULL. Our statements are prepared, so that every value comes in its binary form.
fn bytes(row: &PgRow, index: usize) -> Result<Option<&[u8]>, String> {
    let value = row.try_get_raw(index).map_err(|error| error.to_string())?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(Some).map_err(|error| error.to_string())
}

fn fixed<const N: usize>(row: &PgRow, index: usize) -> Result<Option<[u8; N]>, String> {
    let Some(bytes) = bytes(row, index)? else { return Ok(None) };
    bytes.try_into().map(Some).map_err(|_| format!("column {index} has {} bytes, not {N}", bytes.len()))
}

fn version(row: &PgRow, index: usize) -> Result<Option<Version>, String> {
    let Some(version) = fixed::<4>(row, index)? else { return Ok(None) };
    Version::try_from(i32::from_be_bytes(version)).map(Some).map_err(|_| "its version is negative".to_owned())
}

fn text(row: &PgRow, index: usize) -> Result<&str, String> {
    utf8(present(bytes(row, index)?)?)
}

/// A JSONB value's text.
fn json(row: &PgRow, index: usize) -> Result<&str, String> {
    match present(bytes(row, index)?)?.split_first() {
        Some((&JSONB_VERSION, text)) => utf8(text),
        _ => Err(format!("column {index} holds JSONB in a form that we do not know")),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| error.to_string())
}

fn present<T>(value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| "a column is NULL that must not be".to_owned())
}
