//! Python's worker at work on the outbox: while streams are deleted, and beside a worker of ours.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use event_sourcery::StreamId;
use event_sourcery::outbox::{BoxFuture, OutboxEntry, PublishError, Publisher};
use reference::invoicing::paid;
use reference::{Expected, Python, SharedDatabase as _, append, event, with};

use tokio::sync::Semaphore;

use super::postgres::Postgres;
use crate::scene::until;

/// Nobody waits for the worker.
const AT_ONCE: Duration = Duration::from_secs(10);

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap().in_category("invoices").unwrap()
}

/// Two events that are in the outbox.
async fn promised() -> (Postgres, Python, event_sourcery::EventStore) {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    let create = append(&stream(), Expected::Version(0), &[event(&paid("1")), event(&paid("2"))]);
    python.told(&with(create, "outbox", true));
    (database, python, rust)
}

fn entries(database: &Postgres) -> Option<i64> {
    database.number("SELECT count(*) FROM event_sourcery_outbox_entries")
}

/// The positions of the entries, each with the category that whoever publishes it looks up.
fn categories(database: &Postgres) -> Vec<String> {
    database.texts(
        "SELECT o.position || ' ' || d.category FROM event_sourcery_outbox_entries o
         JOIN event_sourcery_outbox_of_deleted d USING (position) ORDER BY 1",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_events_knew_of_an_entry_is_kept() {
    let (database, mut python, rust) = promised().await;
    rust.delete_stream(&stream()).await.unwrap();
    assert_eq!(categories(&database), ["1 invoices", "2 invoices"]);
    assert_eq!(python.publish().len(), 2);
    assert_eq!(entries(&database), Some(0));
    rust.append(&stream(), paid("1")).await.unwrap();
    rust.delete_stream(&stream()).await.unwrap();
    let kept = database.number("SELECT count(*) FROM event_sourcery_outbox_of_deleted");
    assert_eq!(kept, Some(0), "what was published is forgotten");
}

/// The worker holds the entries, and publishes by appending to the stream that is deleted: neither waits for the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_no_worker_that_holds_the_entries() {
    for worker_fails in [false, true] {
        let (database, mut python, rust) = promised().await;
        python.begin();
        assert_eq!(python.publish().len(), 2);

        tokio::time::timeout(AT_ONCE, rust.delete_stream(&stream())).await.unwrap().unwrap();

        python.append(&stream(), Expected::Version(0), &[event(&paid("again"))]).unwrap();
        if worker_fails {
            python.rollback();
            assert_eq!(categories(&database), ["1 invoices", "2 invoices"], "whoever tries again finds it");
        } else {
            python.commit();
            assert_eq!(entries(&database), Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_to_be_dropped_that_a_worker_holds_are_dropped_once_it_has_failed() {
    let (database, mut python, rust) = promised().await;
    python.begin();
    assert_eq!(python.publish().len(), 2);

    tokio::time::timeout(AT_ONCE, rust.delete_stream(&stream()).drop_outbox()).await.unwrap().unwrap();

    python.rollback();
    assert_eq!(entries(&database), Some(2), "they were being published");
    // Of whatever stream.
    rust.delete_stream(&StreamId::random()).await.unwrap();
    rust.append(&stream(), paid("1")).await.unwrap();
    rust.delete_stream(&stream()).await.unwrap();
    assert_eq!(entries(&database), Some(0));
    assert_eq!(python.publish().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_nobody_holds_are_dropped_beside_some_that_are_held() {
    let (database, mut python, rust) = promised().await;
    let other = StreamId::random();
    python.begin();
    python.publish();
    let mut second = Python::start(&database.url());
    second.told(&with(append(&other, Expected::Version(0), &[event(&paid("1"))]), "outbox", true));

    tokio::time::timeout(AT_ONCE, rust.delete_stream(&other).drop_outbox()).await.unwrap().unwrap();

    python.rollback();
    assert_eq!(entries(&database), Some(2));
    assert_eq!(python.publish().len(), 2);
}

/// A publisher that notes the versions that it is handed, and is at work until it gets a permit for each.
#[derive(Clone)]
struct Gate {
    handed: Arc<Mutex<Vec<Option<u64>>>>,
    permits: Arc<Semaphore>,
}

impl Gate {
    fn with_permits(permits: usize) -> Self {
        Self { handed: Arc::default(), permits: Arc::new(Semaphore::new(permits)) }
    }

    fn handed(&self) -> Vec<Option<u64>> {
        self.handed.lock().unwrap().clone()
    }
}

impl Publisher for Gate {
    fn publish<'a>(&'a self, entries: &'a [OutboxEntry]) -> BoxFuture<'a, Vec<Result<(), PublishError>>> {
        Box::pin(async move {
            let versions = entries.iter().map(|entry| entry.recorded().wrapped_event.version);
            self.handed.lock().unwrap().extend(versions);
            let permits = u32::try_from(entries.len()).unwrap();
            self.permits.acquire_many(permits).await.unwrap().forget();
            entries.iter().map(|_| Ok(())).collect()
        })
    }
}

/// Each passes over what the other one is publishing.
#[tokio::test(flavor = "multi_thread")]
async fn what_pythons_worker_is_publishing_ours_leaves_alone_and_publishes_where_that_fails() {
    for worker_fails in [false, true] {
        let (database, mut python, rust) = promised().await;
        let post = Gate::with_permits(100);
        python.begin();
        assert_eq!(python.publish().len(), 2);

        rust.outbox().run(&post).await.unwrap();
        assert!(post.handed().is_empty());

        if worker_fails {
            python.rollback()
        } else {
            python.commit()
        }
        until(async || {
            rust.outbox().run(&post).await.unwrap();
            entries(&database) == Some(0) && rust.outbox().blocked().await.unwrap().is_empty()
        })
        .await;
        assert_eq!(post.handed(), if worker_fails { vec![Some(1), Some(2)] } else { vec![] });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ours_is_publishing_pythons_worker_leaves_alone() {
    let (database, mut python, rust) = promised().await;
    let post = Gate::with_permits(0);
    let worker = tokio::spawn(rust.outbox().run_forever(post.clone()));
    until(async || post.handed() == [Some(1)]).await;

    assert_eq!(python.publish().len(), 0, "both are held, though one is handed over at a time");

    post.permits.add_permits(2);
    until(async || entries(&database) == Some(0)).await;
    assert_eq!(post.handed(), [Some(1), Some(2)]);
    worker.abort();
}

/// The locks go with the connection: nobody has to wait for a lease to end.
#[tokio::test(flavor = "multi_thread")]
async fn what_ours_was_publishing_when_it_was_killed_pythons_worker_publishes() {
    let (database, mut python, rust) = promised().await;
    let post = Gate::with_permits(0);
    let worker = tokio::spawn(rust.outbox().run_forever(post.clone()));
    until(async || post.handed() == [Some(1)]).await;
    worker.abort();
    drop(worker.await);

    until(async || !python.publish().is_empty()).await;
    assert_eq!(entries(&database), Some(0));
}
