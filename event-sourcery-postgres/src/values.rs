//! Values as PostgreSQL's binary protocol carries them: JSON and times, which the driver would want other crates for, and
//! the columns of events as arrays.

use event_sourcery::backend::NewRecord;
use jiff::Timestamp;
use sqlx::decode::Decode;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::query::Query;
use sqlx::{Postgres, Type};
use uuid::Uuid;

/// The first byte of a JSONB value: the version of its form.
pub(crate) const JSONB_VERSION: u8 = 1;

/// PostgreSQL counts time from the year 2000.
const EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// The first second of the year 1, counted from 1970.
const YEAR_1: i64 = -62_135_596_800;

/// A text that is JSON already.
pub(crate) struct Jsonb<'t>(pub(crate) &'t str);

impl Type<Postgres> for Jsonb<'_> {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(3802))
    }
}

impl PgHasArrayType for Jsonb<'_> {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(3807))
    }
}

impl Encode<'_, Postgres> for Jsonb<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.push(JSONB_VERSION);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        self.0.len() + 1
    }
}

/// A time, as TIMESTAMP WITHOUT TIME ZONE in UTC.
#[derive(Clone, Copy)]
pub(crate) struct UtcTimestamp(pub(crate) Timestamp);

impl UtcTimestamp {
    /// The time for microseconds since PostgreSQL's epoch; `None` for its infinities, and outside the years 1 to 9999.
    pub(crate) fn from_stored(microseconds: i64) -> Option<Self> {
        let since_1970 = microseconds.checked_add(EPOCH_MICROSECONDS)?;
        let (seconds, rest) = (since_1970.div_euclid(1_000_000), since_1970.rem_euclid(1_000_000));
        if seconds < YEAR_1 {
            return None;
        }
        // Not `from_microsecond`: it refuses the last second of the range.
        Timestamp::new(seconds, i32::try_from(rest).ok()? * 1_000).ok().map(Self)
    }
}

impl UtcTimestamp {
    /// The time as it will be read: in whole microseconds.
    pub(crate) fn rounded(self) -> Timestamp {
        Self::from_stored(self.to_stored()).map_or(self.0, |stored| stored.0)
    }

    fn to_stored(self) -> i64 {
        self.0.as_microsecond() - EPOCH_MICROSECONDS
    }
}

impl Type<Postgres> for UtcTimestamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1114))
    }
}

impl PgHasArrayType for UtcTimestamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1115))
    }
}

impl Encode<'_, Postgres> for UtcTimestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.to_stored().to_be_bytes());
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        size_of::<i64>()
    }
}

impl Decode<'_, Postgres> for UtcTimestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let bytes: [u8; size_of::<i64>()] = value.as_bytes()?.try_into()?;
        let time = Self::from_stored(i64::from_be_bytes(bytes));
        time.ok_or_else(|| "the time is none of the years 1 to 9999".into())
    }
}

/// Binds one event's six columns: UUID, name, payload, context, time, schema version.
pub(crate) fn bind_event<'q>(
    query: Query<'q, Postgres, PgArguments>,
    event: &'q NewRecord,
) -> Query<'q, Postgres, PgArguments> {
    query
        .bind(event.id)
        .bind(&*event.name)
        .bind(Jsonb(&event.data))
        .bind(Jsonb(&event.context))
        .bind(UtcTimestamp(event.created_at))
        .bind(stored_schema_version(event))
}

/// Events column by column, for `unnest`.
#[derive(Default)]
pub(crate) struct EventColumns<'r> {
    ids: Vec<Uuid>,
    names: Vec<&'r str>,
    data: Vec<Jsonb<'r>>,
    contexts: Vec<Jsonb<'r>>,
    times: Vec<UtcTimestamp>,
    schema_versions: Vec<i32>,
}

impl<'r> EventColumns<'r> {
    pub(crate) fn of(records: impl IntoIterator<Item = &'r NewRecord>) -> Self {
        let mut columns = Self::default();
        for record in records {
            columns.ids.push(record.id);
            columns.names.push(&record.name);
            columns.data.push(Jsonb(&record.data));
            columns.contexts.push(Jsonb(&record.context));
            columns.times.push(UtcTimestamp(record.created_at));
            columns.schema_versions.push(stored_schema_version(record));
        }
        columns
    }

    /// Binds the six columns: UUID, name, payload, context, time, schema version.
    pub(crate) fn bind<'q>(
        &self,
        query: Query<'q, Postgres, PgArguments>,
    ) -> Query<'q, Postgres, PgArguments> {
        query
            .bind(self.ids.as_slice())
            .bind(self.names.as_slice())
            .bind(self.data.as_slice())
            .bind(self.contexts.as_slice())
            .bind(self.times.as_slice())
            .bind(self.schema_versions.as_slice())
    }
}

/// A version of an event's form as PostgreSQL holds it.
pub(crate) fn stored_schema_version(record: &NewRecord) -> i32 {
    i32::try_from(record.schema_version).unwrap_or(i32::MAX)
}

/// A version as PostgreSQL holds it; no stream is longer.
pub(crate) fn stored_version(version: event_sourcery::Version) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod fuzz {
    use event_sourcery_conformance::fuzz::rounds;

    use super::UtcTimestamp;

    #[test]
    fn times_of_any_number() {
        rounds(|random| {
            let stored = random.integer();
            if let Some(time) = UtcTimestamp::from_stored(stored) {
                assert_eq!(time.to_stored(), stored);
            }
            let time = UtcTimestamp(random.time());
            if let Some(stored) = UtcTimestamp::from_stored(time.to_stored()) {
                assert_eq!(stored.0, time.rounded());
            }
        });
    }
}
