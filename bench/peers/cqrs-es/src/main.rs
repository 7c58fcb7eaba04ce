//! cqrs-es, with sqlite-es and postgres-es.
//!
//! Appends go to its event store directly, without its command and its aggregate: both would load the stream first. Its pool for SQLite
//! has `synchronous=NORMAL`; this one has `FULL`, like every store that is measured. It has no subscription: what begins reads a replay.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::{EventStoreAggregateContext, PersistedEventRepository, PersistedEventStore};
use cqrs_es::{Aggregate, DomainEvent, EventStore as _};
use peer_harness::{CAUSATION_ID, CONNECTIONS, CORRELATION_ID, Invoice, Peer, Place, Result, serve};
use postgres_es::PostgresEventRepository;
use serde::{Deserialize, Serialize};
use sqlite_es::SqliteEventRepository;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// The tables as its documentation asks the user to make them.
const SQLITE_TABLES: &str = "
    CREATE TABLE events (
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence integer CHECK (sequence >= 0) NOT NULL,
        event_type text NOT NULL, event_version text NOT NULL, payload text NOT NULL, metadata text NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    ) STRICT";
const POSTGRES_TABLES: &str = "
    CREATE TABLE events (
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint CHECK (sequence >= 0) NOT NULL,
        event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
        PRIMARY KEY (aggregate_type, aggregate_id, sequence)
    )";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum InvoiceEvent {
    InvoiceIssued(Invoice),
}

impl DomainEvent for InvoiceEvent {
    fn event_type(&self) -> String {
        "InvoiceIssued".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Invoices;

impl Aggregate for Invoices {
    const TYPE: &'static str = "invoices";
    type Command = ();
    type Event = InvoiceEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(&mut self, _: (), _: &(), _: &EventSink<Self>) -> Result<(), Infallible> {
        Ok(())
    }

    fn apply(&mut self, _: InvoiceEvent) {}
}

struct CqrsEs<R: PersistedEventRepository> {
    store: PersistedEventStore<R, Invoices>,
    replay: R,
}

impl<R: PersistedEventRepository + 'static> CqrsEs<R> {
    fn new(store: R, replay: R) -> Self {
        Self { store: PersistedEventStore::new_event_store(store), replay }
    }
}

impl<R: PersistedEventRepository + 'static> Peer for CqrsEs<R> {
    async fn append(&self, stream: &str, version: u64, invoices: Vec<Invoice>) -> Result<()> {
        let context = EventStoreAggregateContext {
            aggregate_id: stream.to_owned(),
            aggregate: Invoices,
            current_sequence: version as usize,
            current_snapshot: None,
        };
        let metadata = [("correlation_id", CORRELATION_ID), ("causation_id", CAUSATION_ID)];
        let metadata: HashMap<_, _> =
            metadata.into_iter().map(|(key, id)| (key.to_owned(), id.to_owned())).collect();
        let events = invoices.into_iter().map(InvoiceEvent::InvoiceIssued).collect();
        self.store.commit(events, context, metadata).await?;
        Ok(())
    }

    async fn load(&self, stream: &str) -> Result<usize> {
        Ok(self.store.load_events(stream).await?.len())
    }

    async fn catch_up(&self) -> Result<usize> {
        let (mut events, mut read) = (self.replay.stream_all_events::<Invoices>().await?, 0);
        while let Some(event) = events.next::<Invoices>(&[]).await {
            event?;
            read += 1;
        }
        Ok(read)
    }
}

async fn on_sqlite(path: &Path) -> Result<CqrsEs<SqliteEventRepository>> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Writers wait for one another at the file: with its default, of 5 s, some would give up.
        .busy_timeout(Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?;
    sqlx::raw_sql(SQLITE_TABLES).execute(&pool).await?;
    Ok(CqrsEs::new(SqliteEventRepository::new(pool.clone()), SqliteEventRepository::new(pool)))
}

async fn on_postgres(url: &str) -> Result<CqrsEs<PostgresEventRepository>> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    sqlx::raw_sql(POSTGRES_TABLES).execute(&pool).await?;
    Ok(CqrsEs::new(PostgresEventRepository::new(pool.clone()), PostgresEventRepository::new(pool)))
}

fn main() -> Result<()> {
    match Place::from_arguments()? {
        Place::Sqlite(path) => serve(on_sqlite(&path)),
        Place::Postgres(url) => serve(on_postgres(&url)),
    }
}
