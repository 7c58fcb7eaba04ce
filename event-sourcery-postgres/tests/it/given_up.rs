//! Calls whose future is dropped half-way: whatever they leave behind, later calls are not drawn into it.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::FutureExt as _;
use tokio::task::yield_now;

use crate::scene::{AT_THE_GATE, GATE, Scene, event, length, until};

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

#[tokio::test]
async fn an_append_that_was_given_up_before_its_turn_is_not_written() {
    let scene = Scene::new().await;
    let one_connection = PostgresBackend::options(scene.database.url()).max_connections(1);
    let one_connection = one_connection.acquire_timeout(Duration::from_secs(60));
    let store = EventStore::new(one_connection.open().await.unwrap());
    scene.database.psql(GATE);
    for _ in 0..3 {
        let before = scene.events().await;
        scene.run("INSERT INTO gate VALUES (TRUE)").await;
        let (first, stream) = (store.clone(), StreamId::random());
        let first = tokio::spawn(async move { first.append(&stream, event()).await });
        until(async || scene.number(AT_THE_GATE).await == 1).await;
        // Some of them wait for the connection, the others to share a statement.
        let streams: Vec<_> = (0..20).map(|_| StreamId::random()).collect();
        let mut waiting: Vec<_> = streams.iter().map(|to| store.append(to, event()).into_future()).collect();
        for append in &mut waiting {
            give_up(append, 1).await;
        }
        drop(waiting);
        scene.run("DELETE FROM gate").await;
        first.await.unwrap().unwrap();
        store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(scene.events().await, before + 2);
    }
}

#[tokio::test]
async fn what_waits_for_its_turn_has_a_bound_and_those_who_give_up_make_room() {
    const LARGE: usize = 4 << 20;
    let scene = Scene::new().await;
    let one_connection = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(one_connection.open().await.unwrap());
    let large = || RawEvent::new("Large", format!(r#"{{"x":"{}"}}"#, "y".repeat(LARGE))).unwrap();
    scene.database.psql(GATE);
    scene.run("INSERT INTO gate VALUES (TRUE)").await;
    let (first, stream) = (store.clone(), StreamId::random());
    let first = tokio::spawn(async move { first.append(&stream, event()).await });
    until(async || scene.number(AT_THE_GATE).await == 1).await;
    let streams: Vec<_> = (0..40).map(|_| StreamId::random()).collect();
    for _ in 0..2 {
        // All together: who has waited for a moment does so for the connection.
        let mut appends: Vec<_> =
            streams.iter().map(|stream| store.append(stream, large()).into_future()).collect();
        for append in &mut appends {
            give_up(append, 1).await;
        }
        for _ in 0..10 {
            yield_now().await;
        }
        let (mut waiting, mut refused) = (Vec::new(), 0);
        for mut append in appends {
            match append.as_mut().now_or_never() {
                None => waiting.push(append),
                Some(Err(Error::Busy { .. })) => refused += 1,
                other => panic!("{other:?}"),
            }
        }
        // A few wait for the connection, and have nothing to do with the queue.
        assert!(refused > 0 && (15..30).contains(&waiting.len()), "{} wait", waiting.len());
        // The last first: with its turn, one of the first would begin a batch of the others.
        while waiting.pop().is_some() {}
    }
    scene.run("DELETE FROM gate").await;
    first.await.unwrap().unwrap();
}
