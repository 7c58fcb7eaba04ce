//! SQLite for [Event Sourcery](event_sourcery): one file, no server, durable by default.
//!
//! ```
//! use event_sourcery::{Event, EventStore, StreamId};
//! use event_sourcery_sqlite::SqliteBackend;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
//! struct InvoicePaid {
//!     invoice_number: String,
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("invoices.db");
//! let store = EventStore::new(SqliteBackend::open(path).await?);
//! let stream = StreamId::from_name("invoices/1003")?;
//! store.append(&stream, InvoicePaid { invoice_number: "1003".into() }).await?;
//! assert_eq!(store.load_stream::<InvoicePaid>(&stream).await?.len(), 1);
//! # Ok::<(), event_sourcery::Error>(()) }).unwrap();
//! ```
//!
//! # How it works
//!
//! One thread owns the writing connection. It commits whatever has queued up together (group commit): a lone append
//! pays one sync of the disk, a thousand concurrent ones share a few. Each is acknowledged after the sync; each is
//! refused alone. Closures share commits in the same way. Reads have connections of their own and see the last commit; they
//! never wait for a write.
//!
//! The file is in WAL mode with `synchronous=FULL`, so that an acknowledged append survives a power cut; see
//! [`Synchronous`] for what can be traded. The tables are those of Event Sourcery for Python: both can use one file.
//!
//! The caller's own tables may live in the same file: see [`SqliteTransaction`].

mod backend;
mod connection;
mod failure;
mod file;
mod inbox;
mod key_sql;
mod layout;
mod look_sql;
mod looking;
mod numbering;
mod operations;
mod options;
mod outbox_sql;
mod readers;
mod rows;
mod sql;
mod tag_sql;
mod time;
mod transaction;
mod watch;
mod writer;

pub use backend::SqliteBackend;
pub use inbox::Inbox;
pub use options::{SqliteOptions, Synchronous};
pub use rusqlite;
pub use transaction::SqliteTransaction;
