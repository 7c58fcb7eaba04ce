//! eventcore, on SQLite and PostgreSQL.
//!
//! Appends go to its store directly, without its commands, which would read the stream first. It has no context beside the payload, so the
//! event carries it. What begins reads pages of its reader, as its projections do.

use std::path::Path;
use std::time::Duration;

use eventcore_postgres::PostgresEventStore;
use eventcore_sqlite::SqliteEventStore;
use eventcore_sqlite::rusqlite::Connection;
use eventcore_types::{
    BatchSize, Event, EventFilter, EventPage, EventReader, EventStore, StreamId, StreamVersion, StreamWrites,
};
use futures_util::TryStreamExt as _;
use peer_harness::{CAUSATION_ID, CORRELATION_ID, Invoice, Peer, Place, Result, UnboundedSender, serve};
use serde::{Deserialize, Serialize};

/// How many events a page of the reader has.
const PAGE: usize = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct InvoiceIssued {
    stream: StreamId,
    invoice_number: String,
    customer: String,
    currency: String,
    total_cents: i64,
    correlation_id: String,
    causation_id: String,
}

impl Event for InvoiceIssued {
    fn stream_id(&self) -> &StreamId {
        &self.stream
    }

    fn event_type_name() -> &'static str {
        "InvoiceIssued"
    }
}

struct EventCore<S> {
    store: S,
}

impl<S> Peer for EventCore<S>
where
    S: EventStore + EventReader<Error: std::error::Error + Send + Sync + 'static> + Send + 'static,
{
    async fn append(&self, stream: &str, version: u64, invoices: Vec<Invoice>) -> Result<()> {
        let stream = StreamId::try_new(stream)?;
        let mut writes =
            StreamWrites::new().register_stream(stream.clone(), StreamVersion::new(version as usize))?;
        for Invoice { invoice_number, customer, currency, total_cents } in invoices {
            writes = writes.append(InvoiceIssued {
                stream: stream.clone(),
                invoice_number,
                customer,
                currency,
                total_cents,
                correlation_id: CORRELATION_ID.to_owned(),
                causation_id: CAUSATION_ID.to_owned(),
            })?;
        }
        self.store.append_events(writes).await?;
        Ok(())
    }

    async fn load(&self, stream: &str) -> Result<usize> {
        let events = self.store.read_stream::<InvoiceIssued>(StreamId::try_new(stream)?).await?;
        Ok(events.try_collect::<Vec<_>>().await?.len())
    }

    async fn catch_up(&self) -> Result<usize> {
        let (mut page, mut read) = (EventPage::first(BatchSize::new(PAGE)), 0);
        loop {
            let events = self.store.read_events::<InvoiceIssued>(EventFilter::all(), page).await?;
            read += events.len();
            let Some(next) = page.next_from_results(&events) else { return Ok(read) };
            page = next;
        }
    }

    /// As its projections do that go on: pages behind the last event, and a look again after a while.
    async fn follow(&self, heard: UnboundedSender<String>) -> Result<()> {
        let mut page = EventPage::first(BatchSize::new(PAGE));
        loop {
            let events = self.store.read_events::<InvoiceIssued>(EventFilter::all(), page).await?;
            match page.next_from_results(&events) {
                Some(next) => page = next,
                None => tokio::time::sleep(BETWEEN_LOOKS).await,
            }
            for (event, _) in events {
                heard.send(event.invoice_number)?;
            }
        }
    }
}

async fn on_sqlite(path: &Path) -> Result<EventCore<SqliteEventStore>> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let store = SqliteEventStore::from_connection(connection);
    store.migrate().await?;
    Ok(EventCore { store })
}

/// With ten connections, its default.
async fn on_postgres(url: &str) -> Result<EventCore<PostgresEventStore>> {
    let store = PostgresEventStore::new(url).await?;
    store.migrate().await;
    Ok(EventCore { store })
}

fn main() -> Result<()> {
    match Place::from_arguments()? {
        Place::Sqlite(path) => serve(on_sqlite(&path)),
        Place::Postgres(url) => serve(on_postgres(&url)),
    }
}
