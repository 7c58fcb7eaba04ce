//! An event store: events in streams, with or without optimistic concurrency; snapshots, tenants, subscriptions and aggregates. It works
//! the same in memory, on SQLite and on PostgreSQL, and with less on NATS JetStream, which one public test suite checks.
//!
//! ```
//! use event_sourcery::{Error, Event, EventStore, MemoryBackend, StreamId};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
//! struct InvoicePaid {
//!     invoice_number: String,
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = EventStore::new(MemoryBackend::new()); // or SqliteBackend::open("invoices.db").await?
//! let stream = StreamId::from_name("invoices/1003")?;
//!
//! store.append(&stream, InvoicePaid { invoice_number: "1003".into() }).await?; // creates the stream
//!
//! let events = store.load_stream::<InvoicePaid>(&stream).await?;
//! let last = events.last().and_then(|event| event.version);
//!
//! let another = || InvoicePaid { invoice_number: "1003".into() };
//! let refused = store.append(&stream, another()).await;
//! assert!(matches!(refused, Err(Error::Conflict { expected: 0, actual: 1, .. })));
//! store.append(&stream, another()).expected_version(last).await?;
//! # Ok::<(), Error>(()) }).unwrap();
//! ```
//!
//! Where to go from here:
//! - [`EventStore`] is the handle: [`append`](EventStore::append), [`load_stream`](EventStore::load_stream),
//!   [`delete_stream`](EventStore::delete_stream), [`save_snapshot`](EventStore::save_snapshot),
//!   [`read_all`](EventStore::read_all), [`for_tenant`](EventStore::for_tenant).
//! - [`subscribe`](EventStore::subscribe) lets you react to events as they come: one by one, in batches, or in a
//!   [durable](Subscribe::durable) handler that resumes where it stopped. See [*react to events*](guide::react_to_events).
//! - [`Projector`] keeps a read model complete, stream by stream, and [`Durable::wait_for`] waits until it shows what was just
//!   written. See [*read models*](guide::read_models).
//! - [`EventStore::listen`] calls your code inside the transactions that append. See
//!   [*listen inside the transaction*](guide::listen_inside_the_transaction).
//! - [`EventStore::with_outbox`] stores the events that are to be published together with their append, and [`outbox`] publishes
//!   them. See [*publish events*](guide::publish_events).
//! - [`Event`] is what you derive for your types. Stored events stay readable while the types change: see
//!   [*evolving events*](guide::evolving_events).
//! - [`EventStore::with_encryption`] encrypts the fields that you mark, and [`EventStore::shred`] forgets a data subject. See
//!   [*data privacy*](guide::data_privacy) and [`privacy`].
//! - [`EventStore::look`] shows what the store holds, page by page, without knowing any event type. See
//!   [*look inside*](guide::look_inside).
//! - [`copy`] moves all events to another database, while they go on being written, and says when the two are equal. See
//!   [*move to another database*](guide::move_to_another_database).
//! - [`telemetry`] has the spans that a store makes, what measures it, and how a trace goes on where an event is handled. See
//!   [*traces and metrics*](guide::traces_and_metrics).
//! - Publishers for brokers are crates of their own; an inbox receives at the other end. See
//!   [*publishers and inboxes*](guide::publishers_and_inboxes).
//! - [`EventStore::decide`] decides across streams: on events that are found by their tags, and that nobody may have added to. See
//!   [*decide across streams*](guide::decide_across_streams).
//! - The [`guide`] has a page for each task.
//! - The other backends are crates of their own, `event-sourcery-sqlite`, `event-sourcery-postgres` and `event-sourcery-nats`. To write
//!   another, implement [`backend`], and test it with the crate `event-sourcery-conformance`. See
//!   [*write a backend*](guide::write_a_backend).
//!
//! # Features
//!
//! - `derive` (on by default): `#[derive(Event)]`.
//! - `testing`: helpers for your own tests, under `dev-dependencies`: given, when, then; a lock on the stored form of events; and a
//!   backend that fails on purpose.

mod aggregate;
mod append;
pub mod backend;
mod context;
pub mod copy;
mod decide;
mod delete;
mod derive_support;
mod enricher;
mod error;
mod event;
mod events;
#[cfg(test)]
mod fuzz;
mod hidden;
mod kit;
mod limits;
mod listener;
mod load;
pub mod look;
mod memory;
mod new_event;
pub mod outbox;
mod panics;
mod payload;
mod position;
pub mod privacy;
mod projection;
mod query;
mod read;
mod read_all;
mod retry;
mod snapshot;
mod store;
mod stream_id;
mod subscription;
mod tag;
mod tag_stored;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod upcast;
mod verify;
mod version;
mod within;
mod wrapped_event;

pub use aggregate::{
    Aggregate, CommandError, Emitting, Execute, Executed, LoadAggregate, Place, Repository, RepositoryOn,
    SnapshotState, WrappedAggregate, deciding,
};
pub use append::{Append, Appended, FromAppended};
pub use backend::{BlockedStream, Boundary, Listening};
pub use context::{Context, ContextComponent};
pub use decide::{Decide, Fold, Folds, NewEvents, Select};
pub use delete::DeleteStream;
pub use enricher::Enriching;
pub use error::{DecodeError, Error, NameKind, NameProblem, PayloadError, Result, Source};
pub use event::{Event, RawEvent};
pub use events::Events;
pub use listener::{Heard, Listen, ListenerTransaction};
pub use load::LoadStream;
pub use memory::{MemoryBackend, MemoryTransaction};
pub use new_event::{IntoEvent, IntoEvents, NewEvent};
pub use position::{AppendPosition, Position};
pub use projection::{Projected, Projection, Projector};
pub use query::{Query, QueryItem};
pub use read::{ReadQuery, Selection};
pub use read_all::ReadAll;
pub use snapshot::SaveSnapshot;
pub use store::EventStore;
pub use stream_id::{Category, StreamId, TenantId};
pub use subscription::{
    Batch, Batches, Durable, HandlerTransaction, Mended, Next, Passed, Start, Status, Subscribe, Subscription,
};
pub use tag::{Tag, Tags};
pub use tag_stored::{TagStored, Tagged};
pub use upcast::{Split, StoredForm, Successor, Upcaster};
pub use verify::{Verification, Verified, Verify, VerifyFailure};
pub use version::Version;
pub use within::{InTransaction, Joined, OnStore, Within};
pub use wrapped_event::{Recorded, WrappedEvent};
pub use {jiff, uuid};

#[cfg(feature = "derive")]
pub use event_sourcery_macros::Event;

/// What the code generated by `#[derive(Event)]` calls.
#[doc(hidden)]
pub mod __private {
    pub use crate::derive_support::*;
}

/// What the conformance kit calls.
#[doc(hidden)]
pub mod __kit {
    pub use crate::kit::*;
}

// The crate `pages` of the workspace compiles and runs its code, page by page.
#[cfg(not(doctest))]
pub mod guide;
