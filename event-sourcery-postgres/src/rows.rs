//! Rows of the shared layout, read into the library's plain data.

mod entries;

use std::borrow::Cow;

use event_sourcery::backend::{
    Names, StoredEvent, StoredRecord, lost_stream_id, stored_tag, stored_tenant_id,
};
use event_sourcery::{Position, StreamId, Tag, TenantId, Version};
use jiff::Timestamp;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Postgres, Row as _, Type, ValueRef as _};
use uuid::Uuid;

use crate::values::{JSONB_VERSION, UtcTimestamp};

/// Reads the events of one answer; keeps one copy of each event name, and of each category and tenant.
#[derive(Default)]
pub(crate) struct EventReader {
    names: Names,
    of_streams: Names,
}

impl EventReader {
    /// The event, or snapshot, in the first eight columns: position (none: a snapshot), version, UUID, name, payload,
    /// context, time, schema version. Where some of it cannot be read, the rest is told.
    pub(crate) fn event(&mut self, row: &PgRow) -> StoredEvent {
        self.read(row).unwrap_or_else(|problem| {
            StoredEvent::new(
                position(row).unwrap_or(Position::START),
                version(row, 1).unwrap_or(None),
                fixed::<16>(row, 2).unwrap_or(None).map(Uuid::from_bytes).unwrap_or_default(),
                self.names.copy_of(text(row, 3).unwrap_or_default()),
                Box::default(),
                time(row).unwrap_or_default(),
            )
            .with_schema_version(schema_version(row).unwrap_or(1))
            .with_unreadable(problem)
        })
    }

    /// The event, and its stream in the next four columns: UUID, name, category, tenant. One whose stream cannot be told is
    /// nobody's.
    pub(crate) fn record(&mut self, row: &PgRow) -> StoredRecord {
        let mut event = self.event(row);
        let (stream, tenant) = stream_and_tenant(row, &mut self.of_streams).unwrap_or_else(|problem| {
            event.unreadable = Some(format!("the row of its stream: {problem}").into());
            (lost_stream_id(event.position), stored_tenant_id(""))
        });
        StoredRecord::new(stream, tenant, event)
    }

    fn read(&mut self, row: &PgRow) -> Result<StoredEvent, String> {
        let context = json(row, 5)?;
        let id = fixed::<16>(row, 2)?.ok_or("it has no id")?;
        let context = if context == "{}" { Cow::Borrowed("{}") } else { Cow::Owned(context.to_owned()) };
        let event = StoredEvent::new(
            position(row)?,
            version(row, 1)?,
            Uuid::from_bytes(id),
            self.names.copy_of(text(row, 3)?),
            json(row, 4)?.into(),
            time(row)?,
        );
        let event = event.with_context(context).with_schema_version(schema_version(row)?);
        Ok(event.with_tags(tags(row)?))
    }
}

/// The tags, in the column of that name. Snapshots have none, nor have events that others have written.
fn tags(row: &PgRow) -> Result<Vec<Tag>, String> {
    let Ok(tags) = row.try_get_raw("tags") else { return Ok(Vec::new()) };
    if tags.is_null() {
        return Ok(Vec::new());
    }
    let tags = <Vec<String> as Decode<'_, Postgres>>::decode(tags);
    let tags = tags.map_err(|error| format!("its tags: {error}"))?;
    Ok(tags.iter().map(|tag| stored_tag(tag)).collect())
}

/// None, where it is a snapshot's.
fn position(row: &PgRow) -> Result<Position, String> {
    Ok(Position::from_i64(fixed::<8>(row, 0)?.map_or(0, i64::from_be_bytes)))
}

fn time(row: &PgRow) -> Result<Timestamp, String> {
    let time = UtcTimestamp::from_stored(i64::from_be_bytes(present(fixed::<8>(row, 6)?)?));
    Ok(time.ok_or("its time is outside of the calendar that this program knows")?.0)
}

fn schema_version(row: &PgRow) -> Result<u32, String> {
    let version = i32::from_be_bytes(present(fixed::<4>(row, 7)?)?);
    u32::try_from(version).map_err(|_| "the version of its form is negative".to_owned())
}

fn stream_and_tenant(row: &PgRow, names: &mut Names) -> Result<(StreamId, TenantId), String> {
    let uuid = Uuid::from_bytes(present(fixed::<16>(row, 8)?)?);
    let name = bytes(row, 9)?.map(utf8).transpose()?;
    Ok((names.stream_id(uuid, name, text(row, 10)?), names.tenant_id(text(row, 11)?)))
}

/// How many bytes the payload and the context of an event have.
pub(crate) fn size(row: &PgRow) -> usize {
    [4, 5].into_iter().filter_map(|index| bytes(row, index).ok().flatten()).map(<[u8]>::len).sum()
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
