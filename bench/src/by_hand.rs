//! The yardstick: the same rows in the same tables, as a good engineer writes them with rusqlite and no library.
//!
//! One connection on the calling thread, cached statements, WAL, `synchronous=FULL`, foreign keys on. An append is one
//! `BEGIN IMMEDIATE` .. `COMMIT`; a conflict is a stream row that is there already, or not at the version expected.

use std::path::Path;

use event_sourcery::StreamId;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Result;
use crate::invoice::InvoiceEvent;

const INSERT_STREAM: &str = "
    INSERT INTO event_sourcery_streams (uuid, name, category, tenant_id, version) VALUES (?1, ?2, '', '', ?3)";
const UPDATE_STREAM: &str = "
    UPDATE event_sourcery_streams SET version = ?3
    WHERE uuid = ?1 AND category = '' AND tenant_id = '' AND version = ?2
    RETURNING id";
const INSERT_EVENT: &str = "
    INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
    VALUES (?1, ?2, ?3, ?4, '{}', ?5, ?6)";
const LOAD: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at
    FROM event_sourcery_streams s JOIN event_sourcery_events e ON e.db_stream_id = s.id
    WHERE s.uuid = ?1 AND s.category = '' AND s.tenant_id = ''
    ORDER BY e.version";

const READ_ALL: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at,
           e.id, s.uuid, s.name, s.category, s.tenant_id
    FROM event_sourcery_events e JOIN event_sourcery_streams s ON s.id = e.db_stream_id
    WHERE e.id > ?1 ORDER BY e.id LIMIT ?2";
/// The events come first, as in the library's query: their order is the answer's.
const READ_SOME: &str = "
    SELECT e.version, e.uuid, e.name, e.data, e.event_context, e.created_at,
           e.id, s.uuid, s.name, s.category, s.tenant_id
    FROM event_sourcery_events e CROSS JOIN event_sourcery_streams s ON s.id = e.db_stream_id
    WHERE e.id > ?1 AND s.category = ?3 AND e.name = ?4 ORDER BY e.id LIMIT ?2";

pub struct ByHand {
    connection: Connection,
}

impl ByHand {
    /// Opens a file whose tables exist.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection })
    }

    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `work` in one transaction.
    pub fn transaction(&self, work: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let result = work(self);
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        self.connection.prepare_cached(end)?.execute([])?;
        result
    }

    /// Appends within the open transaction, to a stream that has to be at the version expected; 0: not there yet.
    pub fn append(&self, stream: &StreamId, expected: u64, events: &[InvoiceEvent]) -> Result<()> {
        let uuid = stream.uuid().simple().to_string();
        let last = expected + events.len() as u64;
        let stream: i64 = if expected == 0 {
            self.connection.prepare_cached(INSERT_STREAM)?.execute((&uuid, stream.name(), last))?;
            self.connection.last_insert_rowid()
        } else {
            self.connection
                .prepare_cached(UPDATE_STREAM)?
                .query_row((&uuid, expected, last), |row| row.get(0))?
        };
        let mut insert = self.connection.prepare_cached(INSERT_EVENT)?;
        for (version, event) in (expected + 1..).zip(events) {
            let (name, data) = match event {
                InvoiceEvent::Issued(issued) => ("InvoiceIssued", serde_json::to_string(issued)?),
                InvoiceEvent::Paid(paid) => ("InvoicePaid", serde_json::to_string(paid)?),
            };
            let id = Uuid::now_v7().simple().to_string();
            let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
            insert.execute((version, id, name, data, now, stream))?;
        }
        Ok(())
    }

    /// Loads a stream, in order: one query.
    pub fn load(&self, stream: &StreamId) -> Result<Vec<LoadedEvent>> {
        let mut statement = self.connection.prepare_cached(LOAD)?;
        let mut rows = statement.query([stream.uuid().simple().to_string()])?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            events.push(LoadedEvent::read(row)?);
        }
        Ok(events)
    }

    /// The events behind a position, in order.
    pub fn page(&self, after: i64, size: i64) -> Result<Vec<ReadEvent>> {
        self.read_page(READ_ALL, (after, size))
    }

    /// [`page`](Self::page), of one category and type.
    pub fn page_of(&self, after: i64, size: i64, category: &str, name: &str) -> Result<Vec<ReadEvent>> {
        self.read_page(READ_SOME, (after, size, category, name))
    }

    fn read_page(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<ReadEvent>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(values)?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            events.push(ReadEvent::read(row)?);
        }
        Ok(events)
    }
}

/// What the library's `Recorded` tells about an event.
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
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            event: LoadedEvent::read(row)?,
            position: row.get(6)?,
            stream: Uuid::try_parse(row.get_ref(7)?.as_str()?)?,
            stream_name: row.get(8)?,
            category: row.get(9)?,
            tenant: row.get(10)?,
        })
    }
}

/// What the library's `WrappedEvent` tells about an event.
#[derive(Debug)]
#[expect(dead_code, reason = "read from the store, and not asked for")]
pub struct LoadedEvent {
    pub event: InvoiceEvent,
    pub version: Option<u64>,
    pub uuid: Uuid,
    pub created_at: Timestamp,
    pub context: LoadedContext,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read from the store, and not asked for")]
pub struct LoadedContext {
    correlation_id: Option<Uuid>,
    causation_id: Option<Uuid>,
    #[serde(default)]
    components: Map<String, Value>,
}

impl LoadedEvent {
    fn read(row: &Row<'_>) -> Result<Self> {
        let data = row.get_ref(3)?.as_str()?;
        let event = match row.get_ref(2)?.as_str()? {
            "InvoiceIssued" => InvoiceEvent::Issued(serde_json::from_str(data)?),
            "InvoicePaid" => InvoiceEvent::Paid(serde_json::from_str(data)?),
            unknown => return Err(format!("no event is named {unknown:?}").into()),
        };
        Ok(Self {
            event,
            version: row.get(0)?,
            uuid: Uuid::try_parse(row.get_ref(1)?.as_str()?)?,
            created_at: Offset::UTC.to_timestamp(row.get_ref(5)?.as_str()?.parse::<DateTime>()?)?,
            context: serde_json::from_str(row.get_ref(4)?.as_str()?)?,
        })
    }
}
