//! Contract 8.6, 8.7, 8.9 and 10.2, with real processes: whoever runs a durable subscription, or publishes the outbox, is killed,
//! frozen, or stopped.

mod at_least_once;
mod exactly_once;
mod outbox;

use std::path::{Path, PathBuf};
use std::time::Duration;

use event_sourcery::backend::{SubscriptionBackend as _, SubscriptionId, SubscriptionRecord};
use event_sourcery::{Durable, EventStore, RawEvent, TenantId};
use event_sourcery_sqlite::{SqliteBackend, SqliteOptions, Synchronous};
use killed::{HAPPENED, Worker, until};
use tempfile::TempDir;

use crate::process::once_more_on;

type Store = EventStore<SqliteBackend>;

/// Short, so that others take over soon.
const LEASE: Duration = Duration::from_millis(300);
/// How many events are handled before their progress is kept.
const BATCH: usize = 8;

/// A store that several processes work on.
struct Scene {
    _folder: TempDir,
    path: PathBuf,
    store: Store,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("events.db");
        let store = open(&path).await;
        Self { _folder: folder, path, store }
    }

    /// Another process that runs this test, and finds the store's path.
    fn worker(&self, test: &str) -> Worker {
        Worker::start(once_more_on(test, &self.path))
    }

    async fn record(&self) -> Option<SubscriptionRecord> {
        self.store.backend().subscription(id()).await.unwrap()
    }

    /// Returns once everything is handled that is there now.
    async fn until_all_is_handled(&self) {
        until(async || {
            let status = subscription(&self.store).status().await.unwrap();
            status.is_some_and(|status| status.events_behind == 0)
        })
        .await;
        assert_eq!(subscription(&self.store).blocked().await.unwrap(), [], "no handler has failed");
    }
}

fn id() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "counting")
}

/// That it survives its process is asked here, not that it survives the machine.
async fn open(path: &Path) -> Store {
    let options = SqliteOptions::new(path).synchronous(Synchronous::Off);
    EventStore::new(options.open().await.expect("the store opens"))
}

fn subscription(store: &Store) -> Durable<SqliteBackend, RawEvent> {
    let durable = store.subscribe().event_names([HAPPENED]).durable("counting");
    durable.lease(LEASE).batch(BATCH)
}
