//! How the backend fails: with an error that says what to do, and nothing half done.

mod busy;
mod clocks;
mod closures;
mod dropping;
mod foreign_files;
mod migrating;
mod opening;
mod prefixes;
mod read_only;
mod replaced;
mod stopping;
mod unfit;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_sqlite::SqliteBackend;
use event_sourcery_sqlite::rusqlite::Connection;
use tempfile::TempDir;

/// A folder for one store.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("events.db")
    }

    pub(crate) async fn store(&self) -> EventStore<SqliteBackend> {
        EventStore::new(SqliteBackend::open(self.path()).await.unwrap())
    }

    /// A connection that is not the store's.
    pub(crate) fn foreign_connection(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }
}

fn event() -> RawEvent {
    RawEvent::new("Happened", "{}").unwrap()
}

async fn length(store: &EventStore<SqliteBackend>, stream: &StreamId) -> usize {
    store.load_stream::<RawEvent>(stream).await.unwrap().len()
}
