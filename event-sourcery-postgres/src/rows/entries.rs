//! Rows of the outbox. What an entry says stands in JSON that others write too: each part of it may be anything, and what cannot be
//! read of one entry stops that entry alone.

use std::str::FromStr;

use event_sourcery::backend::{
    StoredEvent, StoredRecord, lost_stream_id, quoted, stored_stream_id, stored_tenant_id,
};
use event_sourcery::{Position, StreamId, TenantId};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{EventReader, bytes, json, position, text, utf8};
use crate::values::UtcTimestamp;

/// How many characters the one form of a UUID has that SQL takes for one, too.
const HYPHENATED: usize = 36;

impl EventReader {
    /// The entry of an event, in the columns of [`record`](EventReader::record), of which version, UUID, time, version of the form and
    /// the stream's UUID are texts.
    pub(crate) fn entry(&mut self, row: &PgRow) -> StoredRecord {
        let position = position(row).unwrap_or(Position::START);
        let mut event = self.read_entry(row, position).unwrap_or_else(|problem| {
            let name = self.names.copy_of(text(row, 3).unwrap_or_default());
            StoredEvent::new(position, None, Uuid::nil(), name, Box::default(), Timestamp::default())
                .with_unreadable(problem)
        });
        let (stream, tenant) = stream_of(row).unwrap_or_else(|problem| {
            event.unreadable = Some(format!("the stream of the entry: {problem}").into());
            (lost_stream_id(position), stored_tenant_id(""))
        });
        StoredRecord::new(stream, tenant, event)
    }

    fn read_entry(&mut self, row: &PgRow, position: Position) -> Result<StoredEvent, String> {
        let (version, context) = (number(row, 1)?, json(row, 5)?.to_owned());
        let event = StoredEvent::new(
            position,
            version,
            uuid(text(row, 2)?)?,
            self.names.copy_of(text(row, 3)?),
            json(row, 4)?.into(),
            time(text(row, 6)?)?,
        );
        Ok(event.with_context(context).with_schema_version(number(row, 7)?.unwrap_or(1)))
    }
}

fn stream_of(row: &PgRow) -> Result<(StreamId, TenantId), String> {
    let (uuid, name) = (uuid(text(row, 8)?)?, bytes(row, 9)?.map(utf8).transpose()?);
    Ok((stored_stream_id(uuid, name, text(row, 10)?), stored_tenant_id(text(row, 11)?)))
}

/// A number as JSON writes it; `None` where there is none.
fn number<N: FromStr>(row: &PgRow, index: usize) -> Result<Option<N>, String> {
    let Some(said) = bytes(row, index)?.map(utf8).transpose()? else { return Ok(None) };
    said.parse().map(Some).map_err(|_| format!("{} is no number that may stand there", quoted(said)))
}

fn uuid(said: &str) -> Result<Uuid, String> {
    let uuid = Uuid::try_parse(said).ok().filter(|_| said.len() == HYPHENATED);
    uuid.ok_or_else(|| format!("its id {} is no UUID", quoted(said)))
}

/// In UTC, unless it names an offset.
fn time(said: &str) -> Result<Timestamp, String> {
    let refused = || format!("its time {} is none", quoted(said));
    let parts = Pieces::parse(said).map_err(|_| refused())?;
    let at = parts.time().map(|time| DateTime::from_parts(parts.date(), time)).ok_or_else(refused)?;
    let offset = match parts.to_numeric_offset() {
        None if parts.time_zone_annotation().is_some() => return Err(refused()),
        offset => offset.unwrap_or(Offset::UTC),
    };
    offset.to_timestamp(at).map(|time| UtcTimestamp(time).rounded()).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_an_entry_is_read_as_both_languages_write_it() {
        for (said, expected) in [
            ("2025-03-16T10:03:02", "2025-03-16T10:03:02Z"),
            ("2025-03-16T10:03:02.138667", "2025-03-16T10:03:02.138667Z"),
            ("2025-03-16T10:03:02.138667+02:00", "2025-03-16T08:03:02.138667Z"),
            ("2025-03-16T10:03:02-03:30", "2025-03-16T13:33:02Z"),
            ("2025-03-16T10:03:02+00:00", "2025-03-16T10:03:02Z"),
        ] {
            assert_eq!(time(said).unwrap(), expected.parse::<Timestamp>().unwrap(), "{said}");
        }
        for none in ["", "never", "2025-13-16T10:03:02", "2025-03-16", "infinity"] {
            assert!(time(none).is_err(), "{none}");
        }
    }

    #[test]
    fn what_sql_takes_for_no_uuid_is_none() {
        let uuid = Uuid::from_u128(7);
        assert_eq!(super::uuid(&uuid.hyphenated().to_string()).unwrap(), uuid);
        for none in [uuid.simple().to_string(), uuid.braced().to_string(), "7".to_owned()] {
            assert!(super::uuid(&none).is_err(), "{none}");
        }
    }
}
