//! Appends that are made in a transaction of their own because somebody listens to them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use event_sourcery::{Error, Event as _, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::future::join_all;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{OPEN, heard, invoices_and_events, listen, listen_in_silence, statement_failed};
use crate::scene::{Scene, event, until};

const INSERT: &str = "INSERT INTO invoices VALUES (gen_random_uuid())";

#[tokio::test]
async fn a_row_of_a_listener_and_the_event_are_both_there_or_neither() {
    let scene = Scene::new().await.with_own_table().await;
    listen(&scene.store, INSERT);
    scene.store.append(&StreamId::random(), [heard(), event(), heard()]).await.unwrap();
    assert_eq!(invoices_and_events(&scene).await, (2, 3));
    listen(&scene.store, "INSERT INTO invoices VALUES ('once')");
    let refused = scene.store.append(&StreamId::random(), [heard(), heard()]).await.unwrap_err();
    assert!(statement_failed(&refused).as_database_error().unwrap().is_unique_violation());
    assert_eq!(invoices_and_events(&scene).await, (2, 3));
    scene.store.append(&StreamId::random(), heard()).await.unwrap();
    assert_eq!(invoices_and_events(&scene).await, (4, 4));
}

#[tokio::test]
async fn a_listener_that_hides_a_failure_or_ends_the_transaction_is_not_taken_for_committed() {
    let scene = Scene::new().await;
    for (sql, keeps) in [
        ("SELECT 1 / 0", false),
        ("ROLLBACK", false),
        ("ROLLBACK AND CHAIN", false),
        ("ROLLBACK; BEGIN", false),
        // What is committed by then stays.
        ("COMMIT", true),
        ("COMMIT AND CHAIN", true),
    ] {
        let before = scene.events().await;
        let listening = listen_in_silence(&scene.store, sql);
        for _ in 0..3 {
            let refused = scene.store.append(&StreamId::random(), heard()).await.unwrap_err();
            assert!(
                matches!(refused, Error::RolledBack { .. } | Error::Backend { .. }),
                "{sql}: {refused:?}"
            );
        }
        listening.remove();
        scene.store.append(&StreamId::random(), heard()).await.unwrap();
        assert_eq!(scene.events().await - before, if keeps { 4 } else { 1 }, "{sql}");
        until(async || scene.number(OPEN).await == 0).await;
    }
}

/// Whatever a listener sets lasts no longer than what it has it from, and is no affair of the store's own connections.
#[tokio::test]
async fn what_a_listener_sets_does_not_reach_other_appends() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(options.open().await.unwrap());
    let sets = "SET search_path = nowhere; SET synchronous_commit = off; SET lock_timeout = 1";
    let listening = listen(&store, sets);
    store.append(&StreamId::random(), heard()).await.unwrap();
    listening.remove();
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let finds = Arc::clone(&found);
    let looks = store.listen::<RawEvent>().event_names(["Heard"]).within(move |_, tx| {
        let finds = Arc::clone(&finds);
        Box::pin(async move {
            for name in ["synchronous_commit", "lock_timeout", "idle_in_transaction_session_timeout"] {
                let show = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
                let value: String = show.fetch_one(tx.connection()).await?;
                finds.lock().unwrap().push(value);
            }
            Ok(())
        })
    });
    looks.unwrap();
    store.append(&StreamId::random(), heard()).await.unwrap();
    assert_eq!(*found.lock().unwrap(), ["on", "50ms", "10s"]);
    for _ in 0..3 {
        store.append(&StreamId::random(), event()).await.unwrap();
    }
}

/// Polls it so many times, and drops it.
async fn give_up<T>(work: impl Future<Output = T>, after: usize) {
    let mut work = pin!(work);
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        let over = work.as_mut().poll(context).is_ready();
        if over || polls == after { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn an_append_that_is_given_up_leaves_its_row_and_its_event_or_neither() {
    let scene = Scene::new().await.with_own_table().await;
    listen(&scene.store, INSERT);
    for polls in 1..30 {
        give_up(scene.store.append(&StreamId::random(), [heard(), event()]).into_future(), polls).await;
    }
    until(async || scene.number(OPEN).await == 0).await;
    let differ = "SELECT 2 * (SELECT count(*) FROM invoices) - (SELECT count(*) FROM event_sourcery_events)";
    assert_eq!(scene.number(differ).await, 0);
    scene.store.append(&StreamId::random(), heard()).await.unwrap();
}

/// A client that lost the answer repeats its append: whoever listened is not called again.
#[tokio::test]
async fn of_one_append_made_many_times_at_once_the_listener_has_written_one_row() {
    let scene = Scene::new().await.with_own_table().await;
    listen(&scene.store, INSERT);
    for _ in 0..10 {
        let (stream, id) = (StreamId::random(), Uuid::now_v7());
        let again = (0..8).map(|_| {
            let (store, stream) = (scene.store.clone(), stream.clone());
            tokio::spawn(async move { store.append(&stream, heard().with_id(id)).await })
        });
        let appended = join_all(again.collect::<Vec<_>>()).await;
        let appended: Vec<_> = appended.into_iter().map(|appended| appended.unwrap().unwrap()).collect();
        assert_eq!(appended.iter().filter(|appended| !appended.repeated).count(), 1);
    }
    assert_eq!(invoices_and_events(&scene).await, (10, 10));
}

#[tokio::test]
async fn a_listener_hears_what_a_handler_of_run_within_appends_and_is_rolled_back_with_it() {
    let scene = Scene::new().await.with_own_table().await;
    listen(&scene.store, INSERT);
    scene.store.append(&StreamId::random(), [event(), event(), event()]).await.unwrap();
    let (calls, (done, stop)) = (AtomicU64::new(0), oneshot::channel::<()>());
    let mut done = Some(done);
    let durable = scene.store.subscribe::<RawEvent>().event_names(["Happened"]).durable("effects");
    let run = durable.until(stop).run_within(async |recorded, tx| {
        tx.store().append(&StreamId::random(), heard()).await?;
        // The second one is handled twice.
        if calls.fetch_add(1, Ordering::SeqCst) == 1 {
            return Err("once more".into());
        }
        if recorded.wrapped_event.version == Some(3) {
            drop(done.take());
        }
        Ok(())
    });
    run.await.unwrap();
    assert!(calls.load(Ordering::SeqCst) > 3);
    assert_eq!(invoices_and_events(&scene).await, (3, 6));
}

/// The driver's error of a constraint that is checked at the commit.
#[tokio::test]
async fn a_constraint_of_a_listeners_row_that_fails_at_the_commit_takes_the_event_back() {
    let scene = Scene::new().await.with_own_table().await;
    scene.run("ALTER TABLE invoices ADD of text REFERENCES invoices DEFERRABLE INITIALLY DEFERRED").await;
    listen(&scene.store, "INSERT INTO invoices VALUES ('1003', 'nobody')");
    let refused = scene.store.append(&StreamId::random(), heard()).await.unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }) && !refused.is_retryable(), "{refused:?}");
    assert_eq!(invoices_and_events(&scene).await, (0, 0));
}
