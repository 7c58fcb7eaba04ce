//! Files of ten million events: built once, kept for the next run.

use std::fs;
use std::path::{Path, PathBuf};

use event_sourcery::StreamId;
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;

use crate::Result;
use crate::bench::{Bench, open};
use crate::invoice::InvoiceEvent;

const EVENTS: u64 = 10_000_000;
/// Rows a transaction while building.
const ROWS: u64 = 250_000;

pub struct LargeStore {
    path: PathBuf,
    events: u64,
    streams: u64,
}

impl LargeStore {
    pub async fn find_or_build(bench: &Bench, streams: u64) -> Result<Self> {
        let share = bench.shortened as u64;
        Self::find_or_build_of(bench, EVENTS / share, (streams / share).max(10)).await
    }

    pub async fn find_or_build_of(bench: &Bench, events: u64, streams: u64) -> Result<Self> {
        let path = bench.folder.join(format!("{events}-events-in-{streams}-streams.db"));
        let store = Self { path, events, streams };
        if !store.path.exists() {
            store.build(bench).await?;
        }
        Ok(store)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version that every stream is at.
    pub const fn version(&self) -> u64 {
        self.events / self.streams
    }

    /// So many streams, from all over the store.
    pub fn some_streams(&self, count: usize) -> Result<Vec<StreamId>> {
        let count = self.streams.min(count as u64);
        (0..count).map(|number| stream((number * 7_919) % self.streams)).collect()
    }

    /// Takes out what was appended since it was built, so that the next run finds the same store.
    pub fn restore(&self) -> Result<()> {
        let connection = Connection::open(&self.path)?;
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;
            UPDATE event_sourcery_streams SET version = {version}
            WHERE id IN (SELECT db_stream_id FROM event_sourcery_events WHERE id > {events});
            DELETE FROM event_sourcery_events WHERE id > {events};
            DELETE FROM event_sourcery_streams WHERE id > {streams};
            UPDATE sqlite_sequence SET seq = {events} WHERE name = 'event_sourcery_events';
            COMMIT;
            PRAGMA wal_checkpoint(TRUNCATE);",
            version = self.version(),
            events = self.events,
            streams = self.streams,
        ))?;
        Ok(())
    }

    /// Event by event into each stream in turn, as time would do it; without syncs and journal.
    async fn build(&self, bench: &Bench) -> Result<()> {
        eprintln!("building {}: it takes minutes, once", self.path.display());
        let building = bench.fresh("building")?;
        drop(open(&building).await?);
        let connection = Connection::open(&building)?;
        connection.execute_batch(
            "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -2000000;
            PRAGMA locking_mode = exclusive; PRAGMA temp_store = memory;",
        )?;
        for first in (0..self.streams).step_by(ROWS as usize) {
            self.insert_streams(&connection, first..(first + ROWS).min(self.streams))?;
        }
        for first in (0..self.events).step_by(ROWS as usize) {
            self.insert_events(&connection, first..(first + ROWS).min(self.events))?;
        }
        drop(connection);
        let connection = Connection::open(&building)?;
        connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(()))?;
        drop(connection);
        fs::File::open(&building)?.sync_all()?;
        Ok(fs::rename(building, &self.path)?)
    }

    fn insert_streams(&self, connection: &Connection, numbers: std::ops::Range<u64>) -> Result<()> {
        connection.execute_batch("BEGIN")?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO event_sourcery_streams (id, uuid, name, category, tenant_id, version)
            VALUES (?1, ?2, ?3, '', '', ?4)",
        )?;
        for number in numbers {
            let stream = stream(number)?;
            let uuid = stream.uuid().simple().to_string();
            insert.execute((number + 1, uuid, stream.name(), self.version()))?;
        }
        Ok(connection.execute_batch("COMMIT")?)
    }

    fn insert_events(&self, connection: &Connection, numbers: std::ops::Range<u64>) -> Result<()> {
        connection.execute_batch("BEGIN")?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO event_sourcery_events (version, uuid, name, data, event_context, created_at, db_stream_id)
            VALUES (?1, ?2, ?3, ?4, '{}', ?5, ?6)",
        )?;
        for number in numbers {
            let (name, data) = match InvoiceEvent::nth(number) {
                InvoiceEvent::Issued(issued) => ("InvoiceIssued", serde_json::to_string(&issued)?),
                InvoiceEvent::Paid(paid) => ("InvoicePaid", serde_json::to_string(&paid)?),
            };
            let (version, stream) = (number / self.streams + 1, number % self.streams + 1);
            let now = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S.%6f").to_string();
            insert.execute((version, Uuid::now_v7().simple().to_string(), name, data, now, stream))?;
        }
        Ok(connection.execute_batch("COMMIT")?)
    }
}

fn stream(number: u64) -> Result<StreamId> {
    Ok(StreamId::from_name(format!("invoices/{number}"))?)
}
