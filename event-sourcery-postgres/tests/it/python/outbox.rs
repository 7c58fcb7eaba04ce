//! Streams that are deleted while Python's worker publishes what they put into the outbox.

use std::time::Duration;

use event_sourcery::StreamId;
use reference::invoicing::paid;
use reference::{Expected, Python, SharedDatabase as _, append, event, with};

use super::postgres::Postgres;

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
