//! PostgreSQL for [Event Sourcery](event_sourcery): events in the transaction that writes your own rows.
//!
//! ```
//! use event_sourcery::{Event, EventStore, StreamId};
//! use event_sourcery_postgres::PostgresBackend;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize, Debug, PartialEq)]
//! struct InvoicePaid {
//!     invoice_number: String,
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let database = postgres_cluster::Server::shared().create_database();
//! # let url = database.url();
//! let store = EventStore::new(PostgresBackend::connect(&url).await?);
//! let stream = StreamId::from_name("invoices/1003")?;
//! store.append(&stream, InvoicePaid { invoice_number: "1003".into() }).await?;
//! assert_eq!(store.load_stream::<InvoicePaid>(&stream).await?.len(), 1);
//! # Ok::<(), event_sourcery::Error>(()) }).unwrap();
//! ```

mod append;
mod append_sql;
mod at_work;
mod backend;
mod beginning;
mod blocked;
mod connections;
mod cursor_sql;
mod database;
mod failure;
mod hand_over;
mod holders;
mod holding;
mod inbox;
mod key_sql;
mod layout;
mod lease;
mod listening;
mod look_sql;
mod numbering;
mod operations;
mod options;
mod outbox_sql;
mod page_sizes;
mod patience;
mod places;
mod pooler;
mod pools;
mod reported;
mod rights;
mod rows;
mod runtimes;
mod scans;
mod session;
mod settled;
mod settled_sql;
mod sql;
mod subscription_sql;
mod tables;
mod tag_sql;
mod taking_back;
mod transaction;
mod values;
mod waiting;
mod wakeups;

pub use backend::PostgresBackend;
pub use event_sourcery::backend::Holder;
pub use failure::classify;
pub use inbox::Inbox;
pub use options::PostgresOptions;
pub use rights::Rights;
pub use sqlx;
pub use transaction::PostgresTransaction;
