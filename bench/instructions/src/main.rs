//! A hot path, so many times, to be counted by valgrind: see `scripts/instructions`. Nobody wants the spans.

use std::hint::black_box;

use event_sourcery::{Event, EventStore, MemoryBackend, Next, StreamId};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(name = "invoice issued")]
struct InvoiceIssued {
    number: String,
    customer: String,
    lines: Vec<Line>,
    paid: bool,
}

#[derive(Serialize, Deserialize)]
struct Line {
    article: String,
    quantity: u32,
    cents: i64,
}

fn invoice(number: usize) -> InvoiceIssued {
    let line = |line| Line { article: format!("article {line}"), quantity: 3, cents: 12_995 };
    let (number, customer) = (format!("INV-{number:08}"), "Ada Lovelace, 12 St James's Square".to_owned());
    InvoiceIssued { number, customer, lines: (0..3).map(line).collect(), paid: false }
}

/// How many events are there to be delivered: more than are counted.
const THERE: usize = 8_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (path, count) = (std::env::args().nth(1), std::env::args().nth(2));
    let count = count.and_then(|count| count.parse().ok()).expect("how many");
    match path.as_deref() {
        Some("append") => append(&memory(), count).await,
        Some("load") => load(&memory(), count).await,
        Some("delivered") => deliver(&memory(), count).await,
        Some("decode") => decode(count),
        #[cfg(feature = "sqlite")]
        Some("sqlite") => {
            let folder = tempfile::tempdir().expect("a folder");
            let options = event_sourcery_sqlite::SqliteOptions::new(folder.path().join("events.db"));
            let options = options.synchronous(event_sourcery_sqlite::Synchronous::Off);
            append(&EventStore::new(options.open().await.expect("a store")).erased(), count).await;
        }
        other => panic!("append, load, delivered or decode, or with that feature sqlite, not {other:?}"),
    }
}

fn memory() -> EventStore {
    let store = EventStore::new(MemoryBackend::new()).erased();
    #[cfg(feature = "keys")]
    let store = if std::env::args().nth(3).is_some() { with_keys(store) } else { store };
    store
}

/// A handle that encrypts what is marked: nothing is.
#[cfg(feature = "keys")]
fn with_keys(store: EventStore) -> EventStore {
    use event_sourcery::privacy::{Encryption, MasterKey};

    let encryption = Encryption::new(MasterKey::from_bytes([7; 32]));
    store.with_encryption(encryption).expect("it keeps keys")
}

fn stream(number: usize) -> StreamId {
    StreamId::from_name(format!("invoice {number}")).expect("a name")
}

/// Each creates a stream.
async fn append(store: &EventStore, count: usize) {
    for number in 0..count {
        store.append(&stream(number), invoice(number)).await.expect("it is appended");
    }
}

/// Each of a stream of ten events.
async fn load(store: &EventStore, count: usize) {
    let stream = stream(0);
    store.append(&stream, (0..10).map(invoice).collect::<Vec<_>>()).await.expect("they are appended");
    for _ in 0..count {
        let events = store.load_stream::<InvoiceIssued>(&stream).await.expect("it is loaded");
        assert_eq!(events.len(), 10);
    }
}

/// To a subscriber that begins.
async fn deliver(store: &EventStore, count: usize) {
    append(store, THERE).await;
    let mut events = store.subscribe::<InvoiceIssued>().stream();
    for _ in 0..count {
        let next = events.try_next().await.expect("it is delivered");
        assert!(matches!(next, Some(Next::Event(_))), "more are delivered than there are");
    }
}

fn decode(count: usize) {
    let data = invoice(0).encode().expect("it is encoded");
    for _ in 0..count {
        let decoded = InvoiceIssued::decode_stored("invoice issued", 1, black_box(&data));
        black_box(decoded.expect("it is decoded"));
    }
}
