//! Both at one stream, one of them in a transaction that is still open.

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgPool;
use reference::invoicing::{numbered, paid, payments};
use reference::{Expected, SharedDatabase as _, event, payments_in_python};

use super::postgres::Postgres;

fn stream() -> StreamId {
    StreamId::from_name("invoices/1003").unwrap()
}

/// An append of Rust's to the stream that Python's open transaction appends to.
async fn append_beside(
    database: &Postgres,
    rust: &EventStore,
    expected: u64,
) -> tokio::task::JoinHandle<event_sourcery::Result<event_sourcery::Appended>> {
    let rust = rust.clone();
    let appending =
        tokio::spawn(async move { rust.append(&stream(), paid("rust")).expected_version(expected).await });
    database.until_somebody_waits_for_a_lock().await;
    appending
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_pythons_and_gets_the_conflict_when_that_is_committed() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    for version in 0..2 {
        python.begin();
        python.append(&stream(), Expected::Version(version), &[event(&paid("python"))]).unwrap();
        let appending = append_beside(&database, &rust, version).await;

        python.commit();

        let refused = appending.await.unwrap();
        assert!(
            matches!(refused, Err(Error::Conflict { expected, actual, .. }) if (expected, actual) == (version, version + 1)),
            "{refused:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_waits_for_pythons_and_is_written_when_that_is_taken_back() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    for version in 0..2 {
        python.begin();
        python.append(&stream(), Expected::Version(version), &[event(&paid("python"))]).unwrap();
        let appending = append_beside(&database, &rust, version).await;

        python.rollback();

        assert_eq!(appending.await.unwrap().unwrap().last_version, Some(version + 1));
    }
    assert_eq!(python.load(&stream()).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_to_another_stream_does_not_wait_for_python() {
    let database = Postgres::create().await;
    let (mut python, rust) = database.both().await;
    python.begin();
    python.append(&stream(), Expected::Version(0), &[event(&paid("python"))]).unwrap();

    rust.append(&StreamId::random(), paid("rust")).await.unwrap();

    python.commit();
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sees_what_joined_a_callers_transaction_when_that_is_committed() {
    let database = Postgres::create().await;
    let (mut python, _) = database.both().await;
    let rust = EventStore::new(database.backend().await);
    let callers = PgPool::connect(&database.rust_url()).await.unwrap();
    let mut transaction = callers.begin().await.unwrap();

    rust.within(&mut transaction).append(&stream(), paid("1")).await.unwrap();
    assert!(python.load(&stream()).is_empty());
    transaction.commit().await.unwrap();

    assert_eq!(payments_in_python(&python.load(&stream())), numbered(1..=1));
    python.append(&stream(), Expected::Version(1), &[event(&paid("2"))]).unwrap();
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
}

#[tokio::test(flavor = "multi_thread")]
async fn python_is_refused_when_what_joined_a_callers_transaction_was_first() {
    let database = Postgres::create().await;
    let (mut python, _) = database.both().await;
    let rust = EventStore::new(database.backend().await);
    rust.append(&stream(), paid("1")).await.unwrap();
    let callers = PgPool::connect(&database.rust_url()).await.unwrap();
    let mut transaction = callers.begin().await.unwrap();
    rust.within(&mut transaction).append(&stream(), paid("2")).expected_version(1).await.unwrap();

    python.send(&reference::append(&stream(), Expected::Version(1), &[event(&paid("python"))]));
    database.until_somebody_waits_for_a_lock().await;
    transaction.commit().await.unwrap();

    assert_eq!(python.answer().unwrap_err().error, "ConcurrentStreamWriteError");
    assert_eq!(payments(&rust.load_stream(&stream()).await.unwrap()), numbered(1..=2));
}
