//! Rows of the shared layout, read into the library's plain data.

#[cfg(test)]
mod fuzz;

use std::borrow::Cow;
use std::time::Duration;

use event_sourcery::backend::{
    BlockedStream, Member, Names, SegmentRecord, Segments, StoredEvent, StoredRecord, lost_stream_id, quoted,
    stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Position, StreamId, TenantId, Version};
use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use uuid::Uuid;

use crate::time;

/// Reads the events of one answer; keeps one copy of each event name.
#[derive(Default)]
pub(crate) struct EventReader {
    names: Names,
}

impl EventReader {
    /// The event, or snapshot, in the first eight columns: position, version, id, name, payload, context, time, schema
    /// version. Where some of it cannot be read, the rest is told.
    pub(crate) fn event(&mut self, row: &Row<'_>) -> StoredEvent {
        self.read(row).unwrap_or_else(|problem| StoredEvent {
            position: Position::from_i64(column(row, 0).unwrap_or(0)),
            version: column(row, 1).unwrap_or(None),
            id: text(row, 2).and_then(uuid).unwrap_or_default(),
            name: self.names.copy_of(text(row, 3).unwrap_or_default()),
            data: Box::default(),
            context: Cow::Borrowed("{}"),
            created_at: text(row, 6).and_then(timestamp).unwrap_or_default(),
            schema_version: column(row, 7).unwrap_or(1),
            unreadable: Some(problem.into()),
        })
    }

    /// The event, and its stream in the next four columns: UUID, name, category, tenant. One whose stream cannot be told is
    /// nobody's.
    pub(crate) fn record(&mut self, row: &Row<'_>) -> StoredRecord {
        let mut event = self.event(row);
        let (stream, tenant) = stream_and_tenant(row, 8).unwrap_or_else(|problem| {
            event.unreadable = Some(format!("the row of its stream: {problem}").into());
            (lost_stream_id(event.position), stored_tenant_id(""))
        });
        StoredRecord { stream, tenant, event }
    }

    fn read(&mut self, row: &Row<'_>) -> Result<StoredEvent, String> {
        let context = text(row, 5)?;
        Ok(StoredEvent {
            position: Position::from_i64(column(row, 0)?),
            version: column::<Option<Version>>(row, 1)?,
            id: uuid(text(row, 2)?)?,
            name: self.names.copy_of(text(row, 3)?),
            data: text(row, 4)?.into(),
            context: if context == "{}" { Cow::Borrowed("{}") } else { Cow::Owned(context.to_owned()) },
            created_at: timestamp(text(row, 6)?)?,
            schema_version: column(row, 7)?,
            unreadable: None,
        })
    }
}

/// The stream in four columns from this one on: UUID, name, category, tenant.
fn stream_and_tenant(row: &Row<'_>, first: usize) -> Result<(StreamId, TenantId), String> {
    let uuid = stream_uuid(row, first)?;
    let stream = stored_stream_id(uuid, nullable(row, first + 1)?, text(row, first + 2)?);
    Ok((stream, stored_tenant_id(text(row, first + 3)?)))
}

/// In the one form by which streams are found.
fn stream_uuid(row: &Row<'_>, index: usize) -> Result<Uuid, String> {
    let text = text(row, index)?;
    if text.len() != 32 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("its id {} is not written in 32 lower-case digits", quoted(text)));
    }
    uuid(text)
}

/// Whether the stream whose UUID is in this column, and what else there is of it in the next ones, is outside of these
/// segments.
pub(crate) fn is_outside(row: &Row<'_>, index: usize, segments: Option<Segments>) -> bool {
    let outside = |segments: Segments| {
        let mut rest = index + 1..row.as_ref().column_count();
        let is_nameless = |column| column == index + 1 && nullable(row, column) == Ok(None);
        let is_told = rest.all(|column| text(row, column).is_ok() || is_nameless(column));
        let stream = stream_uuid(row, index).ok().filter(|_| is_told);
        !segments.contain(stream.unwrap_or_else(|| lost_stream_id(Position::START).uuid()))
    };
    segments.is_some_and(outside)
}

/// A segment: position, token, member, end of the lease.
pub(crate) fn segment(row: &Row<'_>) -> Result<SegmentRecord, String> {
    Ok(SegmentRecord {
        position: Position::from_i64(column(row, 0)?),
        token: column(row, 1)?,
        member: nullable(row, 2)?.map(uuid).transpose()?,
        leased_until: timestamp(text(row, 3)?)?,
    })
}

/// A member: its id, until when it counts, how long its leases last.
pub(crate) fn member(row: &Row<'_>) -> Result<Member, String> {
    let lasting = Duration::from_millis(u64::try_from(column::<i64>(row, 2)?).unwrap_or(0));
    Ok(Member { id: uuid(text(row, 0)?)?, until: timestamp(text(row, 1)?)?, lasting })
}

/// A blocked stream: the stream's four columns, then its own in their order. What can be done without is left out where it cannot
/// be read: the other streams are not to wait for it. Without a time to be tried again, it is parked.
pub(crate) fn blocked_stream(row: &Row<'_>) -> Result<BlockedStream, String> {
    let (stream, tenant) = stream_and_tenant(row, 0)?;
    Ok(BlockedStream {
        tenant,
        stream,
        segment: column(row, 4)?,
        after: Position::from_i64(column(row, 5)?),
        position: Position::from_i64(column(row, 6)?),
        attempts: column(row, 7).unwrap_or(0),
        error: column(row, 8).unwrap_or_default(),
        retry_at: text(row, 9).and_then(timestamp).ok(),
        since: text(row, 10).and_then(timestamp).unwrap_or_default(),
    })
}

/// A time, in the one form or another.
pub(crate) fn timestamp(text: &str) -> Result<Timestamp, String> {
    time::from_text(text).map_err(|error| format!("its time {}: {error}", quoted(text)))
}

/// A UUID, kept as 32 hexadecimal digits.
pub(crate) fn uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| format!("its id {} is no UUID", quoted(text)))
}

/// A UUID as it is stored: 32 lower-case hexadecimal digits.
pub(crate) fn hex(uuid: Uuid) -> String {
    uuid.simple().to_string()
}

fn column<T: FromSql>(row: &Row<'_>, index: usize) -> Result<T, String> {
    row.get(index).map_err(|error| error.to_string())
}

fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str, String> {
    let value = row.get_ref(index).map_err(|error| error.to_string())?;
    value.as_str().map_err(|error| format!("column {index}: {error}"))
}

fn nullable<'r>(row: &'r Row<'_>, index: usize) -> Result<Option<&'r str>, String> {
    match row.get_ref(index) {
        Ok(ValueRef::Null) => Ok(None),
        _ => text(row, index).map(Some),
    }
}
