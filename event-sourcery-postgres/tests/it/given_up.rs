//! Calls whose future is dropped half-way: whatever they leave behind, later calls are not drawn into it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use event_sourcery::{Error, Event, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::scene::{AT_THE_GATE, GATE, OWN, Scene, Store, event, length, until};

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

/// A type that may have snapshots.
#[derive(Event, Serialize, Deserialize, Debug)]
enum Light {
    SwitchedOn,
}

/// What a store with a few connections of its own opens.
#[derive(Default)]
struct Opened {
    connections: AtomicU32,
    /// Whether it takes long.
    slowly: AtomicBool,
}

/// How many connections it has at most.
const FEW: u32 = 4;

/// How long it takes to open a connection slowly: longer than a call has.
const SLOWLY: Duration = Duration::from_secs(1);

/// What is answered at all is answered by then.
const AT_ONCE: Duration = Duration::from_secs(20);

impl Opened {
    fn number(&self) -> u32 {
        self.connections.load(Ordering::SeqCst)
    }

    /// A store, and what it opens.
    async fn by_a_store(scene: &Scene) -> (Store, Arc<Self>) {
        let opened = Arc::new(Self::default());
        let counts = Arc::clone(&opened);
        let pool = PgPoolOptions::new().max_connections(FEW).after_connect(move |_, _| {
            counts.connections.fetch_add(1, Ordering::SeqCst);
            let takes = if counts.slowly.load(Ordering::SeqCst) { SLOWLY } else { Duration::ZERO };
            Box::pin(async move {
                sleep(takes).await;
                Ok(())
            })
        });
        let pool = pool.connect_lazy(&scene.database.url()).unwrap();
        (EventStore::new(PostgresBackend::from_pool(pool).await.unwrap()), opened)
    }
}

/// Each is given up while the server is at work on it. Closed, its connection would be replaced by another one.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_given_up_again_and_again_use_few_connections_and_others_go_on() {
    let scene = Scene::new().await;
    let (store, opened) = Opened::by_a_store(&scene).await;
    let stream = StreamId::random();
    store.append(&stream, Light::SwitchedOn).await.unwrap();
    // Whoever loads a stream from its snapshot waits for it, and nobody else.
    let mut locking = scene.begin().await;
    sqlx::raw_sql("LOCK TABLE event_sourcery_snapshots").execute(&mut *locking).await.unwrap();
    let before = opened.number();
    for _ in 0..50 {
        let load = timeout(Duration::from_millis(30), store.load_stream::<Light>(&stream).into_future());
        assert!(load.await.is_err(), "it waits for the lock");
        let appended = timeout(AT_ONCE, store.append(&StreamId::random(), event()).into_future());
        appended.await.expect("it goes on").unwrap();
    }
    let taken = opened.number() - before;
    assert!(taken <= 2 * FEW, "{taken} connections");
    locking.rollback().await.unwrap();
    assert_eq!(length(&store, &stream).await, 1);
}

/// The server stays at work on each of them. It is asked for no more than there are places, and those who read have theirs.
#[tokio::test(flavor = "multi_thread")]
async fn appends_that_are_given_up_again_and_again_leave_the_server_no_more_than_a_few() {
    let scene = Scene::new().await;
    let (store, opened) = Opened::by_a_store(&scene).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    scene.database.psql(GATE);
    scene.run("INSERT INTO gate VALUES (TRUE)").await;
    let (before, began) = (opened.number(), Instant::now());
    // Not as long as it is waited for what was given up.
    while began.elapsed() < Duration::from_secs(2) {
        let append = store.append(&StreamId::random(), event());
        let append = timeout(Duration::from_millis(20), append.into_future());
        assert!(append.await.is_err(), "it waits at the gate");
        timeout(AT_ONCE, store.position()).await.expect("it goes on").unwrap();
    }
    let taken = opened.number() - before;
    assert!(taken <= 2 * FEW, "{taken} connections");
    assert!(scene.number(AT_THE_GATE).await < i64::from(FEW));
    scene.run("DELETE FROM gate").await;
    store.append(&StreamId::random(), event()).await.unwrap();
}

/// Each call would begin to open one anew, and come to nothing for ever.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_have_less_time_than_a_connection_takes_come_to_something_all_the_same() {
    let scene = Scene::new().await;
    let (store, opened) = Opened::by_a_store(&scene).await;
    store.append(&StreamId::random(), event()).await.unwrap();
    opened.slowly.store(true, Ordering::SeqCst);
    let others =
        format!("FROM pg_stat_activity WHERE datname = current_database() AND application_name <> '{OWN}'");
    scene.run(&format!("SELECT pg_terminate_backend(pid) {others}")).await;
    until(async || scene.number(&format!("SELECT count(*) {others}")).await == 0).await;
    let before = opened.number();
    let stream = StreamId::random();
    until(async || {
        let length = timeout(SLOWLY / 2, store.load_stream::<RawEvent>(&stream).into_future());
        matches!(length.await, Ok(Ok(_)))
    })
    .await;
    let taken = opened.number() - before;
    assert!(taken <= 2 * FEW, "{taken} connections");
}
