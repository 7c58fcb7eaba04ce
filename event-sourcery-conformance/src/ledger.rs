//! What the cases are about: ledgers in which numbers are noted, and the small words in which they say so.

use std::time::Duration;

use event_sourcery::backend::{
    AppendRequest, DeleteRequest, Expectation, Filter, Kept, LoadRequest, NewRecord, ScanRequest, Scope,
    SnapshotRequest, Span, StreamAppend,
};
use event_sourcery::{
    AppendPosition, Appended, Category, Event, EventStore, Position, RawEvent, Recorded, StreamId, TenantId,
    Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::subject::Subject;

/// How long an append that nothing holds up may take to be settled.
const PATIENCE: Duration = Duration::from_secs(60);

/// An event of a ledger.
#[derive(Event, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[event(name = "noted")]
pub(super) struct Noted {
    pub(super) number: u64,
}

/// A noted event, as a type reads it whose code panics on some numbers.
#[derive(Event, Serialize, Deserialize, Debug, PartialEq, Eq)]
#[event(name = "noted")]
pub(super) struct Fragile {
    #[serde(deserialize_with = "Fragile::even")]
    pub(super) number: u64,
}

impl Fragile {
    pub(super) fn even<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let number = u64::deserialize(deserializer)?;
        assert!(number.is_multiple_of(2), "{number} is odd");
        Ok(number)
    }
}

/// A snapshot of a ledger.
#[derive(Event, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[event(name = "summed")]
pub(super) struct Summed {
    pub(super) sum: u64,
}

/// A ledger, as a caller reads it who knows its snapshot.
#[derive(Event, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ledger {
    Noted(Noted),
    Summed(Summed),
}

pub(super) fn noted(number: u64) -> Noted {
    Noted { number }
}

pub(super) fn notes(numbers: impl IntoIterator<Item = u64>) -> Vec<Noted> {
    numbers.into_iter().map(noted).collect()
}

pub(super) fn ledger(name: &str) -> StreamId {
    StreamId::from_name(format!("ledgers/{name}")).unwrap()
}

pub(super) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(super) fn category(name: &str) -> Category {
    Category::new(name).unwrap()
}

/// What a ledger is asked for through a store.
pub(super) trait Ledgers {
    /// A versioned ledger that holds the numbers from 1 on.
    async fn with_ledger(&self, stream: &StreamId, length: u64) -> Appended;

    /// The numbers in a ledger, whatever snapshots there are.
    async fn numbers(&self, stream: &StreamId) -> Vec<u64>;

    /// The versions in a ledger.
    async fn versions(&self, stream: &StreamId) -> Vec<Option<Version>>;

    /// The ids of the events in a ledger.
    async fn ids(&self, stream: &StreamId) -> Vec<Uuid>;

    /// Waits until an append is settled. The backend's timing is its own, within [`PATIENCE`].
    async fn settled(&self, append: AppendPosition);

    /// Everything in the store, as this handle sees it, once an append is settled.
    async fn records(&self, append: AppendPosition) -> Vec<Recorded<RawEvent>>;

    async fn records_after(&self, position: Position) -> Vec<Recorded<RawEvent>>;
}

impl Ledgers for EventStore {
    async fn with_ledger(&self, stream: &StreamId, length: u64) -> Appended {
        self.append(stream, notes(1..=length)).await.unwrap()
    }

    async fn numbers(&self, stream: &StreamId) -> Vec<u64> {
        let events = self.load_stream::<Noted>(stream).full_history().await.unwrap();
        events.into_iter().map(|wrapped| wrapped.event.number).collect()
    }

    async fn versions(&self, stream: &StreamId) -> Vec<Option<Version>> {
        let events = self.load_stream::<RawEvent>(stream).full_history().await.unwrap();
        events.into_iter().map(|wrapped| wrapped.version).collect()
    }

    async fn ids(&self, stream: &StreamId) -> Vec<Uuid> {
        let events = self.load_stream::<RawEvent>(stream).full_history().await.unwrap();
        events.into_iter().map(|wrapped| wrapped.uuid).collect()
    }

    async fn settled(&self, append: AppendPosition) {
        let settled = async {
            while !append.is_covered_by(self.position().await.unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("an acknowledged append is settled in time");
    }

    async fn records(&self, append: AppendPosition) -> Vec<Recorded<RawEvent>> {
        self.settled(append).await;
        self.records_after(Position::START).await
    }

    async fn records_after(&self, position: Position) -> Vec<Recorded<RawEvent>> {
        let mut events = self.read_all::<RawEvent>().after(position).stream();
        let mut records = Vec::new();
        while let Some(record) = events.try_next().await.unwrap() {
            records.push(record);
        }
        records
    }
}

/// The number in a record of a ledger.
pub(super) fn number(record: &Recorded<RawEvent>) -> u64 {
    serde_json::from_str::<Noted>(record.wrapped_event.event.data().get()).unwrap().number
}

/// A record as the store would make it.
pub(super) fn record(number: u64) -> NewRecord {
    let created_at = jiff::Timestamp::from_microsecond(jiff::Timestamp::now().as_microsecond()).unwrap();
    NewRecord::new(Uuid::now_v7(), "noted", format!(r#"{{"number":{number}}}"#), created_at)
}

pub(super) fn part(stream: &StreamId, expectation: Expectation, numbers: &[u64]) -> StreamAppend {
    let events = numbers.iter().copied().map(record).collect();
    StreamAppend::new(stream.clone(), expectation, events)
}

/// What an append answers that finds itself made already, where it answered this when it was made.
pub(super) fn repeated(mut appended: Appended) -> Appended {
    appended.repeated = true;
    appended
}

/// A request to append to one stream of the default tenant.
pub(super) fn append_request(stream: &StreamId, expectation: Expectation, numbers: &[u64]) -> AppendRequest {
    AppendRequest::new(TenantId::DEFAULT, vec![part(stream, expectation, numbers)])
}

pub(super) fn load_request(stream: &StreamId, span: Span) -> LoadRequest {
    LoadRequest::new(TenantId::DEFAULT, stream.clone(), span)
}

pub(super) fn delete_request(stream: &StreamId) -> DeleteRequest {
    DeleteRequest::new(TenantId::DEFAULT, stream.clone())
}

pub(super) fn snapshot_request(stream: &StreamId, version: Version, sum: u64) -> SnapshotRequest {
    let mut record = record(0);
    (record.name, record.data) = ("summed".into(), format!(r#"{{"sum":{sum}}}"#));
    SnapshotRequest::new(TenantId::DEFAULT, stream.clone(), version, record)
}

/// What a subscription of notes keeps that begins there.
pub(super) fn kept(began: Position) -> Kept {
    let filter = Filter::new().with_names([std::sync::Arc::<str>::from("noted")]);
    Kept::new(Scope::of(&filter), began, Vec::new())
}

pub(super) fn scan_request(after: Position, limit: usize) -> ScanRequest {
    ScanRequest::new(after, limit)
}

impl Subject {
    /// Asserts that the store, as a whole, holds as many events as it did.
    pub(super) async fn holds(&self, events: usize) {
        let records = self.store().records_after(Position::START).await;
        assert_eq!(records.len(), events, "events in the whole store: {records:?}");
    }
}

/// Asserts that a call was refused, with these facts.
macro_rules! assert_refused {
    ($result:expr, $refusal:pat $(if $facts:expr)? $(,)?) => {
        match $result {
            Err($refusal) $(if $facts)? => {}
            other => panic!("expected the refusal {}, got {other:?}", stringify!($refusal $(if $facts)?)),
        }
    };
}
