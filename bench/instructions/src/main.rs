//! So many appends, one after the other, to be counted by valgrind: see `scripts/instructions`. Nobody wants their spans.

use event_sourcery::{Event, EventStore, MemoryBackend, StreamId};
use event_sourcery_sqlite::{SqliteOptions, Synchronous};
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

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (backend, appends) = (std::env::args().nth(1), std::env::args().nth(2));
    let appends = appends.and_then(|appends| appends.parse().ok()).expect("how many appends");
    let folder = tempfile::tempdir().expect("a folder");
    let loads = backend.as_deref() == Some("loads");
    let store: EventStore = match backend.as_deref() {
        Some("memory" | "loads") => EventStore::new(MemoryBackend::new()).erased(),
        Some("sqlite") => {
            let options = SqliteOptions::new(folder.path().join("events.db")).synchronous(Synchronous::Off);
            EventStore::new(options.open().await.expect("a store")).erased()
        }
        other => panic!("memory, loads or sqlite, not {other:?}"),
    };
    for number in 0..appends {
        let stream = StreamId::from_name(format!("invoice {number}")).expect("a name");
        store.append(&stream, invoice(number)).await.expect("it is appended");
        if loads {
            let events = store.load_stream::<InvoiceIssued>(&stream).await.expect("it is loaded");
            assert_eq!(events.len(), 1);
        }
    }
}
