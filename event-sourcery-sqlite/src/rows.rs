//! Rows of the shared layout, read into the library's plain data.

#[cfg(test)]
mod fuzz;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use event_sourcery::backend::{
    BlockedAt, BlockedStream, Member, Names, SegmentRecord, Segments, StoredEvent, StoredRecord, SubjectKey,
    WrappedKey, lost_stream_id, quoted, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Position, StreamId, TenantId, Version};
use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::{FromSql, ValueRef};
use uuid::Uuid;

use crate::time;

/// Reads the events of one answer; keeps one copy of each event name, and of each category and tenant.
#[derive(Default)]
pub(crate) struct EventReader {
    names: Names,
    of_streams: Names,
}

impl EventReader {
    /// The event, or snapshot, in the first eight columns: position, version, id, name, payload, context, time, schema
    /// version. Where some of it cannot be read, the rest is told.
    pub(crate) fn event(&mut self, row: &Row<'_>) -> StoredEvent {
        self.read(row).unwrap_or_else(|problem| {
            StoredEvent::new(
                Position::from_i64(column(row, 0).unwrap_or(0)),
                column(row, 1).unwrap_or(None),
                text(row, 2).and_then(uuid).unwrap_or_default(),
                self.names.copy_of(text(row, 3).unwrap_or_default()),
                Box::default(),
                text(row, 6).and_then(timestamp).unwrap_or_default(),
            )
            .with_schema_version(column(row, 7).unwrap_or(1))
            .with_unreadable(problem)
        })
    }

    /// The event, and its stream in the next four columns: UUID, name, category, tenant. One whose stream cannot be told is
    /// nobody's.
    pub(crate) fn record(&mut self, row: &Row<'_>) -> StoredRecord {
        let mut event = self.event(row);
        let (stream, tenant) = stream_and_tenant(row, 8, &mut self.of_streams).unwrap_or_else(|problem| {
            event.unreadable = Some(format!("the row of its stream: {problem}").into());
            (lost_stream_id(event.position), stored_tenant_id(""))
        });
        StoredRecord::new(stream, tenant, event)
    }

    fn read(&mut self, row: &Row<'_>) -> Result<StoredEvent, String> {
        let context = text(row, 5)?;
        let context = if context == "{}" { Cow::Borrowed("{}") } else { Cow::Owned(context.to_owned()) };
        let event = StoredEvent::new(
            Position::from_i64(column(row, 0)?),
            column::<Option<Version>>(row, 1)?,
            uuid(text(row, 2)?)?,
            self.names.copy_of(text(row, 3)?),
            text(row, 4)?.into(),
            timestamp(text(row, 6)?)?,
        );
        Ok(event.with_context(context).with_schema_version(column(row, 7)?))
    }
}

/// The stream in four columns from this one on: UUID, name, category, tenant.
pub(crate) fn stream_and_tenant(
    row: &Row<'_>,
    first: usize,
    names: &mut Names,
) -> Result<(StreamId, TenantId), String> {
    let uuid = stream_uuid(row, first)?;
    let stream = names.stream_id(uuid, nullable(row, first + 1)?, text(row, first + 2)?);
    Ok((stream, names.tenant_id(text(row, first + 3)?)))
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

/// A segment: position, token, member, end of the lease. A lease of which one of the last two cannot be read has ended.
pub(crate) fn segment(row: &Row<'_>) -> Result<SegmentRecord, String> {
    let member = nullable(row, 2).and_then(|member| member.map(uuid).transpose());
    let leased_until = text(row, 3).and_then(timestamp).unwrap_or_default();
    let segment = SegmentRecord::new(Position::from_i64(column(row, 0)?), column(row, 1)?);
    Ok(segment.with_member(member.unwrap_or_default(), leased_until))
}

/// A member: its id, until when it counts, how long its leases last, which presence vouches for it, and when that was renewed.
pub(crate) fn member(row: &Row<'_>) -> Result<Member, String> {
    let lasting = Duration::from_millis(u64::try_from(column::<i64>(row, 2)?).unwrap_or(0));
    let member = Member::new(uuid(text(row, 0)?)?, timestamp(text(row, 1)?)?, lasting);
    let member = member.with_presence(column(row, 3).unwrap_or_default());
    let renewed = text(row, 4).and_then(timestamp).ok();
    Ok(renewed.map_or(member, |renewed| member.renewed_at(renewed)))
}

/// A presence: its number, and when it was renewed. One whose time cannot be read is told of as never renewed.
pub(crate) fn presence(row: &Row<'_>) -> Result<(i64, Timestamp), String> {
    Ok((column(row, 0)?, text(row, 1).and_then(timestamp).unwrap_or_default()))
}

/// The id of a member, if it can be read.
pub(crate) fn member_id(row: &Row<'_>) -> Result<Option<Uuid>, String> {
    Ok(text(row, 0).and_then(uuid).ok())
}

/// A blocked stream of a subscription of so many segments: the stream's four columns, its own in their order, and the id and name of
/// the event. What can be done
/// without is left out where it cannot be read: the other streams are not to wait for it. Without a time to be tried again, it is
/// parked.
pub(crate) fn blocked_stream(row: &Row<'_>, of: u16) -> Result<BlockedStream, String> {
    let uuid = stream_uuid(row, 0)?;
    let stream = stored_stream_id(uuid, nullable(row, 1).unwrap_or_default(), text(row, 2)?);
    let segment = column(row, 4).unwrap_or_else(|_| Segments::number_of(uuid, of));
    let since = text(row, 10).and_then(timestamp).unwrap_or_default();
    let blocked =
        BlockedStream::new(stored_tenant_id(text(row, 3)?), stream, segment, blocked_at(row, 5)?, since);
    Ok(blocked
        .with_attempts(column(row, 7).unwrap_or(0))
        .with_error(column::<String>(row, 8).unwrap_or_default())
        .with_retry_at(text(row, 9).and_then(timestamp).ok())
        .with_event(text(row, 11).and_then(self::uuid).ok(), text(row, 12).map(Arc::from).ok()))
}

/// What a stream is blocked by, in two columns from this one on.
pub(crate) fn blocked_at(row: &Row<'_>, first: usize) -> Result<BlockedAt, String> {
    let position: i64 = column(row, first + 1)?;
    let after = column(row, first).unwrap_or_else(|_| position.saturating_sub(1));
    Ok(BlockedAt::new(Position::from_i64(after), Position::from_i64(position)))
}

/// The key of a subject, in the first four columns: its id, what it is wrapped with, its bytes, whether it was shredded.
pub(crate) fn subject_key(row: &Row<'_>, subject: Arc<str>) -> Result<SubjectKey, String> {
    let id = uuid(text(row, 0)?)?;
    if column(row, 3)? {
        return Ok(SubjectKey::shredded(subject, id));
    }
    let bytes = row.get_ref(2).map_err(|error| error.to_string())?;
    let bytes = bytes.as_blob().map_err(|error| format!("the bytes of a key: {error}"))?;
    Ok(SubjectKey::new(subject, id, WrappedKey::new(text(row, 1)?.into(), bytes.into())))
}

/// Whose key it is, in two columns from this one on.
pub(crate) fn tenant_and_subject<'r>(row: &'r Row<'_>, first: usize) -> Result<(&'r str, &'r str), String> {
    Ok((text(row, first)?, text(row, first + 1)?))
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
