//! Contract 8.6, 8.7, 8.9 and 10.2, with real processes: whoever runs a durable subscription, or publishes the outbox, is killed,
//! frozen, or stopped, and so is the server.

mod at_least_once;
mod exactly_once;
mod folder;
mod outages;
mod outbox;
mod read_model;

use std::time::Duration;

use event_sourcery::backend::{BlockedStream, SubscriptionBackend as _, SubscriptionId, SubscriptionRecord};
use event_sourcery::{Durable, RawEvent, TenantId};
use event_sourcery_postgres::PostgresBackend;
use killed::{HAPPENED, Worker, until};

use crate::process::once_more_on;
use crate::scene::Store;

/// Short, so that others take over soon.
const LEASE: Duration = Duration::from_millis(500);
/// How many events are handled before their progress is kept.
const BATCH: usize = 8;

fn id() -> SubscriptionId {
    SubscriptionId::new(TenantId::DEFAULT, "counting")
}

/// Nobody's handler fails by itself here: what fails is tried again as often as it takes, and soon.
fn subscription(store: &Store) -> Durable<PostgresBackend, RawEvent> {
    let durable = store.subscribe().event_names([HAPPENED]).durable("counting");
    let (soon, later) = (Duration::from_millis(10), Duration::from_millis(100));
    durable.lease(LEASE).batch(BATCH).attempts(u32::MAX).pauses(soon, later)
}

/// Another process that runs a test, and finds the database's address.
fn worker(test: &str, url: &str) -> Worker {
    Worker::start(once_more_on(test, url))
}

async fn record(store: &Store) -> Option<SubscriptionRecord> {
    store.backend().subscription(id()).await.unwrap()
}

/// Returns once everything is handled that is there now.
/// However much there is, and however slow the machine: as long as it goes on.
async fn until_all_is_handled(store: &Store) {
    let mut left = unhandled(store).await;
    while left != Some((0, Vec::new())) {
        let before = left.take();
        until(async || {
            left = unhandled(store).await;
            left != before
        })
        .await;
    }
}

/// How many events are behind, and which streams wait for which of theirs; `None` while nobody has begun.
async fn unhandled(store: &Store) -> Option<(u64, Vec<BlockedStream>)> {
    let behind = subscription(store).status().await.unwrap()?.events_behind;
    Some((behind, subscription(store).blocked().await.unwrap()))
}
