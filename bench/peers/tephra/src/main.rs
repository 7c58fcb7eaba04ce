//! tephra, embedded: an engine of its own, whose log is a folder.
//!
//! It has no streams: a stream is a tag here, and an append to it is refused where an event with the tag stands behind the last that the
//! caller knows: this program remembers where that stands. Payloads are bytes; these are JSON, with the context within.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use peer_harness::{CAUSATION_ID, CORRELATION_ID, Invoice, Peer, Place, Result, serve};
use serde::{Deserialize, Serialize};
use tephra::{
    AppendCondition, Event, EventType, Position, Query, QueryItem, SegmentConfig, SegmentSet, Tag, Tags,
    WriteCoordinator, WriteHandle, WriterConfig,
};

/// As in its documentation.
const SEGMENT: usize = 256 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct InvoiceIssued {
    invoice_number: String,
    customer: String,
    currency: String,
    total_cents: i64,
    correlation_id: String,
    causation_id: String,
}

struct Tephra {
    handle: WriteHandle,
    issued: EventType,
    /// The last position of each stream that is known.
    last: Mutex<HashMap<String, Position>>,
    _coordinator: Mutex<WriteCoordinator>,
}

impl Tephra {
    fn open(folder: &Path) -> Result<Self> {
        let set = SegmentSet::open(folder, SegmentConfig::new(SEGMENT))?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
        let (issued, last) = (EventType::new("InvoiceIssued")?, Mutex::default());
        Ok(Self { handle, issued, last, _coordinator: Mutex::new(coordinator) })
    }

    fn known(&self, stream: &str) -> Position {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(stream).copied().unwrap_or(Position::ZERO)
    }

    fn remember(&self, stream: &str, position: Position) {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).insert(stream.to_owned(), position);
    }

    /// How many events there are, each decoded; and where the last of them stands.
    fn read(&self, query: &Query) -> Result<(usize, Position)> {
        let (mut count, mut last) = (0, Position::ZERO);
        let mut events = self.handle.read(query, Position::ZERO, None);
        while let Some(event) = events.next() {
            let event = event?;
            std::hint::black_box(serde_json::from_slice::<InvoiceIssued>(event.event.data())?);
            (count, last) = (count + 1, event.position);
        }
        Ok((count, last))
    }
}

fn tags(stream: &str) -> Result<Tags> {
    Ok(Tags::new([Tag::new(format!("invoice:{stream}"))?])?)
}

fn of_stream(stream: &str) -> Result<Query> {
    Ok(Query::item(QueryItem::with_tags(tags(stream)?)))
}

impl Peer for Tephra {
    async fn append(&self, stream: &str, version: u64, invoices: Vec<Invoice>) -> Result<()> {
        let known = if version == 0 { Position::ZERO } else { self.known(stream) };
        let tags = tags(stream)?;
        let mut events = Vec::with_capacity(invoices.len());
        for Invoice { invoice_number, customer, currency, total_cents } in invoices {
            let payload = serde_json::to_vec(&InvoiceIssued {
                invoice_number,
                customer,
                currency,
                total_cents,
                correlation_id: CORRELATION_ID.to_owned(),
                causation_id: CAUSATION_ID.to_owned(),
            })?;
            events.push(Event::new(&self.issued, &tags, &payload)?);
        }
        let condition = AppendCondition::new(of_stream(stream)?).after(known);
        let written = self.handle.append_async(events, Some(condition)).await?;
        self.remember(stream, written.last);
        Ok(())
    }

    async fn load(&self, stream: &str) -> Result<usize> {
        let (count, last) = self.read(&of_stream(stream)?)?;
        self.remember(stream, last);
        Ok(count)
    }

    async fn catch_up(&self) -> Result<usize> {
        Ok(self.read(&Query::all())?.0)
    }
}

fn main() -> Result<()> {
    match Place::from_arguments()? {
        Place::Sqlite(path) => serve(async { Tephra::open(&path) }),
        Place::Postgres(_) => Err("it is an engine of its own".into()),
    }
}
