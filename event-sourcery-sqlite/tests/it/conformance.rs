//! The contract on SQLite.

use std::path::PathBuf;
use std::time::Duration;

use event_sourcery::{Durable, Event, Listening, RawEvent, Result};
use event_sourcery_conformance::{
    self as conformance, Answer, Ear, Ending, FaultyBackend, Fixture, Reaction, Step,
};
use event_sourcery_sqlite::SqliteBackend;
use tempfile::TempDir;

struct SqliteFixture {
    folder: TempDir,
}

impl SqliteFixture {
    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }
}

impl Fixture for SqliteFixture {
    type Backend = SqliteBackend;

    async fn create() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    async fn connect(&self) -> SqliteBackend {
        Self::connect_to(self.address()).await
    }

    fn address(&self) -> String {
        self.path().into_os_string().into_string().unwrap()
    }

    async fn connect_to(address: String) -> SqliteBackend {
        // Four processes and a slow disk: waiting is not what is tested.
        SqliteBackend::options(address).busy_timeout(Duration::from_secs(60)).open().await.unwrap()
    }

    async fn transaction(
        &self,
        backend: &SqliteBackend,
        steps: Vec<Step>,
        ending: Ending,
    ) -> Result<Vec<Result<Answer>>> {
        conformance::run_steps(backend, steps, ending).await
    }

    async fn run_exactly_once(
        durable: Durable<FaultyBackend<SqliteBackend>, RawEvent>,
        reaction: Reaction,
    ) -> Result<()> {
        conformance::run_in_transaction(durable, reaction).await
    }

    fn listen<E: Event>(backend: &SqliteBackend, ear: Ear<E>) -> Result<Listening> {
        conformance::listen_in_transaction(backend, ear)
    }
}

event_sourcery_conformance::conformance!(SqliteFixture);
