//! Calls whose future is dropped half-way: whatever they leave behind, later calls are not drawn into it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use event_sourcery::{EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};

use crate::scene::{Scene, event, length};

/// A call is polled once, twice, and so on: each time it is given up one step later, the last times not at all.
const MOST_POLLS: usize = 40;

async fn give_up<T>(work: impl IntoFuture<Output = T>, after: usize) {
    let mut work = pin!(work.into_future());
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        let over = work.as_mut().poll(context).is_ready();
        if over || polls == after { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn an_append_after_one_that_was_given_up_is_committed() {
    let scene = Scene::new().await;
    let one_connection = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(one_connection.open().await.unwrap());
    for polls in 1..MOST_POLLS {
        let (one, two, gone) = (StreamId::random(), StreamId::random(), StreamId::random());
        give_up(store.append(&one, event()).and(&two, event()), polls).await;
        give_up(store.delete_stream(&gone), polls).await;
        give_up(store.load_stream::<RawEvent>(&one).versions(1..), polls).await;
        let after = StreamId::random();
        store.append(&after, event()).await.unwrap();
        assert_eq!(length(&scene.store, &after).await, 1, "given up after {polls} polls");
        assert_eq!(length(&scene.store, &one).await, length(&scene.store, &two).await, "half of it is there");
    }
}

#[tokio::test]
async fn a_transaction_in_which_a_call_was_given_up_is_still_taken_back_as_a_whole() {
    let scene = Scene::new().await;
    scene.run("CREATE TABLE own (number INT)").await;
    let pool = scene.store.backend().pool().clone();
    for number in 0..2 * MOST_POLLS {
        let stream = StreamId::random();
        let mut tx = pool.begin().await.unwrap();
        let moment = Duration::from_micros(50 * number as u64);
        let append = scene.store.within(&mut tx).append(&stream, event());
        // By time and by polls: each finds moments that the other one misses.
        if number % 2 == 0 {
            let _ = tokio::time::timeout(moment, append.into_future()).await;
        } else {
            give_up(append, number / 2 + 1).await;
        }
        sqlx::query("INSERT INTO own VALUES (1)").execute(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        let own: i64 = sqlx::query_scalar("SELECT count(*) FROM own").fetch_one(&pool).await.unwrap();
        assert_eq!((own, length(&scene.store, &stream).await), (0, 0), "given up after {moment:?}");
    }
}
