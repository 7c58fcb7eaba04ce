//! A way in: reads the events of another event store, and writes them into one of ours, in memory, on SQLite or on PostgreSQL.
//!
//! | from | SQLite | PostgreSQL |
//! |---|---|---|
//! | `eventsourcing` for Python, 9.5 | [`SqliteSource::eventsourcing`] | [`PostgresSource::eventsourcing`] |
//! | Emmett for SQLite 0.38, for PostgreSQL 0.42 | [`SqliteSource::emmett`] | [`PostgresSource::emmett`] |
//! | message-db 1.3 | | [`PostgresSource::message_db`] |
//! | cqrs-es 0.5 | [`SqliteSource::cqrs_es`] | [`PostgresSource::cqrs_es`] |
//! | mire 0.4 | [`SqliteSource::mire`] | [`PostgresSource::mire`] |
//!
//! For another one, implement [`Source`].
//!
//! ```no_run
//! use event_sourcery::EventStore;
//! use event_sourcery_import::{Import, Mapping, SqliteSource, TypeRule};
//! # async fn example(store: EventStore) -> Result<(), event_sourcery_import::ImportError> {
//! let source = || SqliteSource::eventsourcing("bank.sqlite");
//! let mapping = Mapping::new("bank").category_of("accounts").type_names(TypeRule::LastPart);
//!
//! let planned = Import::new(source().await?, &store, mapping.clone()).dry_run().await?;
//! assert_eq!(planned.left_out.count, 0, "{:?}", planned.left_out.first);
//!
//! let imported = Import::new(source().await?, &store, mapping.clone()).run().await?; // while the old program writes
//! // Stop the old program.
//! Import::new(source().await?, &store, mapping.clone()).after(imported.mark).run().await?;
//! assert!(Import::new(source().await?, &store, mapping).compare().await?.is_equal());
//! # Ok(()) }
//! ```
//!
//! # What is kept
//!
//! Types (under the names that the mapping gives them), payloads, metadata, times, versions, the order within each stream; the order
//! across streams, where the source has one, except where a stream was written against it: then the stream's own order counts.
//! None of these layouts has tags. `eventsourcing` keeps those of its boundaries (`eventsourcing.dcb`) in tables of their own, without
//! streams: those are not read.
//! Numbers of positions are given by the destination.
//!
//! | of an event | becomes |
//! |---|---|
//! | its id | the id, if it is a UUID that no other event has |
//! | no such id | the version 5 UUID of source, stream and version, the same in each run; what its id was stands in the context |
//! | its version | the version, counted from 1. Holes: see [`Holes`] |
//! | its metadata | the key `metadata` of the context, as it is: [`Context::root`](event_sourcery::Context::root) reads it |
//! | a correlation or causation id in it | those of the context too, if the mapping names the key |
//! | where it was | the key `imported` of the context: `from`, `version`, `position` |
//! | no time, no type, a payload that is no JSON object | left out and reported, unless the mapping says what to take |
//!
//! What is not an event is not carried over: snapshots, checkpoints of readers, read models.
//!
//! # While the old program writes
//!
//! A run reads up to a horizon below which nothing can appear any more. What makes that certain, each source says: on SQLite there is
//! one writer at a time; on PostgreSQL, whoever may still commit a lower number holds a lock that is looked at. What lies above is for
//! the next run. Rows that are rewritten or erased later are found by the [last step](Import::compare), which trusts no number.

mod comparing;
mod error;
#[cfg(test)]
mod fuzz;
mod ids;
mod import;
mod mapped;
mod mapping;
#[cfg(feature = "postgres")]
mod postgres;
mod report;
mod source;
#[cfg(feature = "sqlite")]
mod sqlite;
mod writing;

pub use self::error::{Cause, ImportError, Result};
pub use self::import::Import;
pub use self::mapping::{
    CategoryRule, Holes, Mapping, PayloadRule, StreamRule, TenantRule, TimeRule, TypeRule,
};
#[cfg(feature = "postgres")]
pub use self::postgres::PostgresSource;
pub use self::report::{Compared, Imported, Planned, Problem, Problems};
pub use self::source::{
    ForeignEvent, ForeignStream, ForeignTime, Mark, Order, PAGE_BYTES, Source, StreamCount,
};
#[cfg(feature = "sqlite")]
pub use self::sqlite::SqliteSource;
