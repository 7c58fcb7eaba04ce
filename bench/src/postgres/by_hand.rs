//! The yardstick: the same rows in the same tables, as a good engineer writes them with sqlx and no library.
//!
//! An append is one statement: a CTE that creates the stream's row, or updates it where it is at the version expected, and
//! the insert of what comes from it. One event comes in parameters, several by `unnest`. A pool that does not ping before
//! it hands out; statements prepared once a connection; payloads encoded by serde into the message, and decoded from it.

use event_sourcery::StreamId;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Encode, Executor, PgPool, Postgres, Row as _, Type};
use uuid::Uuid;

use crate::Result;
use crate::by_hand::{LoadedContext, LoadedEvent};
use crate::invoice::InvoiceEvent;

const CREATE: &str = "
    WITH stream AS (
        INSERT INTO event_sourcery_streams (uuid, name, category, tenant_id, version)
        VALUES ($1, $2, '', '', 1) RETURNING id
    )
    INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
    SELECT 1, $3, $4, $5, '{}'::jsonb, $6, stream.id FROM stream";
const EXTEND: &str = "
    WITH stream AS (
        UPDATE event_sourcery_streams SET version = $2 + 1
        WHERE uuid = $1 AND category = '' AND tenant_id = '' AND version = $2 RETURNING id
    )
    INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
    SELECT $2 + 1, $3, $4, $5, '{}'::jsonb, $6, stream.id FROM stream";
const CREATE_WITH_MANY: &str = "
    WITH stream AS (
        INSERT INTO event_sourcery_streams (uuid, name, category, tenant_id, version)
        VALUES ($1, $2, '', '', $3) RETURNING id
    )
    INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
    SELECT e.version, e.uuid, e.name, e.data, '{}'::jsonb, e.created_at, stream.id
    FROM stream, unnest($4::int[], $5::uuid[], $6::text[], $7::jsonb[], $8::timestamp[])
        AS e (version, uuid, name, data, created_at)";
const LOAD: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at
    FROM event_sourcery_streams s JOIN event_sourcery_events e ON e.db_stream_id = s.id
    WHERE s.uuid = $1 AND s.category = '' AND s.tenant_id = ''
    ORDER BY e.version";
const READ_ALL: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at,
           e.id, s.uuid, s.name, s.category, s.tenant_id
    FROM event_sourcery_events e JOIN event_sourcery_streams s ON s.id = e.db_stream_id
    WHERE e.id > $1 ORDER BY e.id LIMIT $2";

const READ_SOME: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at,
           e.id, s.uuid, s.name, s.category, s.tenant_id
    FROM event_sourcery_events e JOIN event_sourcery_streams s ON s.id = e.db_stream_id
    WHERE e.id > $1 AND s.category = $3 AND e.name = $4 ORDER BY e.id LIMIT $2";

#[derive(Clone)]
pub struct ByHand {
    pool: PgPool,
}

impl ByHand {
    /// Works on a database whose tables exist.
    pub const fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Appends one event, to a stream that has to be at the version expected; 0: not there yet.
    pub async fn append(&self, stream: &StreamId, expected: u64, event: &InvoiceEvent) -> Result<()> {
        append_on(&self.pool, stream, expected, event).await
    }

    /// Creates a stream with several events.
    pub async fn create_with_many(&self, stream: &StreamId, events: &[InvoiceEvent]) -> Result<()> {
        let now = Utc(Timestamp::now());
        let count = i32::try_from(events.len())?;
        let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
        let query = sqlx::query(CREATE_WITH_MANY)
            .bind(stream.uuid())
            .bind(stream.name())
            .bind(i64::from(count))
            .bind((1..=count).collect::<Vec<_>>())
            .bind(ids)
            .bind(events.iter().map(name).collect::<Vec<_>>())
            .bind(events.iter().map(|event| Json(Payload(event))).collect::<Vec<_>>())
            .bind(vec![now; events.len()]);
        let done = query.execute(&self.pool).await?;
        if done.rows_affected() == u64::from(count.unsigned_abs()) {
            Ok(())
        } else {
            Err("a conflict".into())
        }
    }

    /// Loads a stream, in order: one query.
    pub async fn load(&self, stream: &StreamId) -> Result<Vec<LoadedEvent>> {
        let query = sqlx::query(LOAD).bind(stream.uuid());
        Ok(query.try_map(|row| read(&row)).fetch_all(&self.pool).await?)
    }

    /// The events behind a position, in order.
    pub async fn page(&self, after: i64, size: i64) -> Result<Vec<ReadEvent>> {
        let query = sqlx::query(READ_ALL).bind(after).bind(size);
        Ok(query.try_map(|row| ReadEvent::read(&row)).fetch_all(&self.pool).await?)
    }

    /// [`page`](Self::page), of one category and type.
    pub async fn page_of(&self, after: i64, size: i64, category: &str, name: &str) -> Result<Vec<ReadEvent>> {
        let query = sqlx::query(READ_SOME).bind(after).bind(size).bind(category).bind(name);
        Ok(query.try_map(|row| ReadEvent::read(&row)).fetch_all(&self.pool).await?)
    }
}

/// [`ByHand::append`], on a connection or a pool.
pub async fn append_on<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    stream: &StreamId,
    expected: u64,
    event: &InvoiceEvent,
) -> Result<()> {
    let expected = i32::try_from(expected)?;
    let query = if expected == 0 {
        sqlx::query(CREATE).bind(stream.uuid()).bind(stream.name())
    } else {
        sqlx::query(EXTEND).bind(stream.uuid()).bind(expected)
    };
    let query = query.bind(Uuid::now_v7()).bind(name(event)).bind(Json(Payload(event)));
    let done = query.bind(Utc(Timestamp::now())).execute(executor).await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err("a conflict".into()) }
}

/// An event with its place in the store.
#[derive(Debug)]
#[expect(dead_code, reason = "read from the store, and not asked for")]
pub struct ReadEvent {
    pub event: LoadedEvent,
    pub position: i64,
    pub stream: Uuid,
    pub stream_name: Option<String>,
    pub category: String,
    pub tenant: String,
}

impl ReadEvent {
    fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            event: read(row)?,
            position: row.try_get(6)?,
            stream: row.try_get(7)?,
            stream_name: row.try_get(8)?,
            category: row.try_get(9)?,
            tenant: row.try_get(10)?,
        })
    }
}

fn read(row: &PgRow) -> Result<LoadedEvent, sqlx::Error> {
    let event = match row.try_get::<&str, _>(2)? {
        "InvoiceIssued" => InvoiceEvent::Issued(row.try_get::<Json<_>, _>(3)?.0),
        "InvoicePaid" => InvoiceEvent::Paid(row.try_get::<Json<_>, _>(3)?.0),
        unknown => return Err(sqlx::Error::Decode(format!("no event is named {unknown:?}").into())),
    };
    Ok(LoadedEvent {
        event,
        version: row.try_get::<Option<i32>, _>(0)?.map(|version| u64::from(version.unsigned_abs())),
        uuid: row.try_get(1)?,
        created_at: row.try_get::<Utc, _>(5)?.0,
        context: row.try_get::<Json<LoadedContext>, _>(4)?.0,
    })
}

const fn name(event: &InvoiceEvent) -> &'static str {
    match event {
        InvoiceEvent::Issued(_) => "InvoiceIssued",
        InvoiceEvent::Paid(_) => "InvoicePaid",
    }
}

/// An event's payload, written into the message without a copy in between.
struct Payload<'e>(&'e InvoiceEvent);

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            InvoiceEvent::Issued(issued) => issued.serialize(serializer),
            InvoiceEvent::Paid(paid) => paid.serialize(serializer),
        }
    }
}

/// A time, in a column without time zone.
#[derive(Clone, Copy)]
struct Utc(Timestamp);

/// From 1970 to where PostgreSQL counts from.
const EPOCH: SignedDuration = SignedDuration::from_secs(946_684_800);

impl Type<Postgres> for Utc {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1114))
    }
}

impl PgHasArrayType for Utc {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1115))
    }
}

impl Encode<'_, Postgres> for Utc {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let microseconds = (self.0 - EPOCH).as_microsecond();
        Encode::<Postgres>::encode(microseconds, buffer)
    }
}

impl Decode<'_, Postgres> for Utc {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let microseconds = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(Timestamp::from_microsecond(microseconds)? + EPOCH))
    }
}
