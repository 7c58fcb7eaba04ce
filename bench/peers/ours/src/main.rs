//! Event Sourcery for Rust.

use event_sourcery::{Context, Event, EventStore, Next, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_sqlite::SqliteBackend;
use peer_harness::{
    CAUSATION_ID, CONNECTIONS, CORRELATION_ID, Invoice, Peer, Place, Result, UnboundedSender, serve,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Event, Serialize, Deserialize)]
struct InvoiceIssued {
    invoice_number: String,
    customer: String,
    currency: String,
    total_cents: i64,
}

impl From<Invoice> for InvoiceIssued {
    fn from(invoice: Invoice) -> Self {
        let Invoice { invoice_number, customer, currency, total_cents } = invoice;
        Self { invoice_number, customer, currency, total_cents }
    }
}

struct Ours {
    store: EventStore,
}

impl Ours {
    fn new(store: EventStore) -> Result<Self> {
        let context = Context::new()
            .with_correlation_id(Uuid::try_parse(CORRELATION_ID)?)
            .with_causation_id(Uuid::try_parse(CAUSATION_ID)?);
        Ok(Self { store: store.with_context(context) })
    }
}

impl Peer for Ours {
    async fn append(&self, stream: &str, version: u64, invoices: Vec<Invoice>) -> Result<()> {
        let events: Vec<_> = invoices.into_iter().map(InvoiceIssued::from).collect();
        self.store.append(&StreamId::from_name(stream)?, events).expected_version(version).await?;
        Ok(())
    }

    async fn load(&self, stream: &str) -> Result<usize> {
        Ok(self.store.load_stream::<InvoiceIssued>(&StreamId::from_name(stream)?).await?.len())
    }

    async fn catch_up(&self) -> Result<usize> {
        let (mut events, mut read) = (self.store.subscribe::<InvoiceIssued>().stream(), 0);
        while let Some(Next::Event(_)) = events.try_next().await? {
            read += 1;
        }
        Ok(read)
    }

    async fn follow(&self, heard: UnboundedSender<String>) -> Result<()> {
        let mut events = self.store.subscribe::<InvoiceIssued>().stream();
        while let Some(next) = events.try_next().await? {
            if let Next::Event(recorded) = next {
                heard.send(recorded.into_event().invoice_number)?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    match Place::from_arguments()? {
        Place::Sqlite(path) => serve(async {
            let backend = SqliteBackend::open(&path).await?;
            Ours::new(EventStore::new(backend).erased())
        }),
        Place::Postgres(url) => serve(async {
            let backend = PostgresBackend::options(&url).max_connections(CONNECTIONS).open().await?;
            Ours::new(EventStore::new(backend).erased())
        }),
    }
}
