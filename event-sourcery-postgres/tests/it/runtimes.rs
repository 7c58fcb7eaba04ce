//! A store that several runtimes use, some of which end, or are driven no more.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use event_sourcery::{EventStore, Next, RawEvent, Result, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::future::join_all;
use postgres_cluster::{Database, Server};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::scene::{
    AT_THE_GATE, GATE, Scene, Store, WAIT_FOR_LOCKS, event, events, length, open, pool, until,
};

/// More than run alone, so that the others share statements.
const AT_ONCE: usize = 40;

/// An answer that has not come by then is taken for one that never comes.
const PATIENCE: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// So many appends at once, each to a stream of its own, on this runtime.
fn append(store: &Store, appends: usize, runtime: &Runtime) -> Vec<(StreamId, JoinHandle<Result<()>>)> {
    let streams = (0..appends).map(|_| StreamId::random());
    let append = |stream: StreamId| {
        let (store, to) = (store.clone(), stream.clone());
        (stream, runtime.spawn(async move { store.append(&to, event()).await.map(drop) }))
    };
    streams.map(append).collect()
}

/// All of them are answered, and written once.
async fn are_written(store: &Store, appends: Vec<(StreamId, JoinHandle<Result<()>>)>) {
    let (streams, answers): (Vec<_>, Vec<_>) = appends.into_iter().unzip();
    let answers = tokio::time::timeout(PATIENCE, join_all(answers)).await.expect("they are answered");
    for (stream, answer) in streams.iter().zip(answers) {
        answer.unwrap().unwrap();
        assert_eq!(length(store, stream).await, 1);
    }
}

/// Looks for ever how far the store is settled, on this runtime. It never finds less than somebody else had found before.
fn look_on(store: &Store, found: &Arc<AtomicI64>, runtime: &Runtime) {
    let (store, found) = (store.clone(), Arc::clone(found));
    runtime.spawn(async move {
        loop {
            let before = found.load(Ordering::SeqCst);
            if let Ok(position) = store.position().await {
                assert!(position.to_i64() >= before, "{position:?} after {before}");
            }
        }
    });
}

/// An answer that comes at once, or never.
async fn at_once<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), answer).await.expect("it is answered")
}

fn opened(database: &Database, runtime: &Runtime) -> Store {
    runtime.block_on(open(&database.url()))
}

#[test]
fn a_store_goes_on_after_the_runtime_that_opened_it_and_each_that_used_it_has_ended() {
    let database = Server::shared().create_database();
    let first = runtime();
    let store = opened(&database, &first);
    drop(first);
    for _ in 0..3 {
        let runtime = runtime();
        let appends = append(&store, AT_ONCE, &runtime);
        runtime.block_on(are_written(&store, appends));
    }
}

#[test]
fn a_store_goes_on_beside_a_runtime_that_opened_it_and_is_driven_no_more() {
    let database = Server::shared().create_database();
    let (first, second) = (runtime(), runtime());
    let store = opened(&database, &first);
    let appends = append(&store, AT_ONCE, &second);
    second.block_on(are_written(&store, appends));
    drop(first);
}

#[test]
fn appends_beside_those_of_a_runtime_that_ends_are_answered() {
    let database = Server::shared().create_database();
    let lasting = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let few = PostgresBackend::options(database.url()).max_connections(3);
    let few = few.lock_timeout(PATIENCE).acquire_timeout(PATIENCE);
    let store = EventStore::new(lasting.block_on(few.open()).unwrap());
    database.psql(GATE);
    for _ in 0..5 {
        database.psql("INSERT INTO gate VALUES (TRUE)");
        let ending = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let ended = append(&store, 8, &ending);
        let appends = append(&store, 8, &lasting);
        // As many as may write.
        lasting.block_on(until(async || database.psql(AT_THE_GATE) == "2"));
        ending.shutdown_background();
        database.psql("DELETE FROM gate");
        lasting.block_on(are_written(&store, appends));
        drop(ended);
    }
}

/// What a look needs. Whoever looks waits for it.
const LOOKED_AT: &str = "LOCK TABLE event_sourcery_settled";

/// Returns once somebody waits for a lock, as seen from this runtime.
async fn until_somebody_waits(database: &Database) {
    let pool = pool(&database.url());
    let waiting = async || sqlx::query_scalar::<_, i64>(WAIT_FOR_LOCKS).fetch_one(&pool).await.unwrap();
    until(async || waiting().await > 0).await;
}

#[test]
fn a_position_is_told_while_a_runtime_is_driven_no_more_that_was_looking_for_it() {
    let scene_on = runtime();
    let scene = scene_on.block_on(Scene::new());
    let (left_alone, other) = (runtime(), runtime());
    look_on(&scene.store, &Arc::default(), &left_alone);
    let mut locking = scene_on.block_on(scene.begin());
    scene_on.block_on(sqlx::raw_sql(LOOKED_AT).execute(&mut *locking)).unwrap();
    left_alone.block_on(until_somebody_waits(&scene.database));
    scene_on.block_on(locking.rollback()).unwrap();
    other.block_on(async {
        scene.store.append(&StreamId::random(), event()).await.unwrap();
        assert_eq!(at_once(scene.store.position()).await.unwrap().to_i64(), 1);
        let mut all = scene.store.subscribe::<RawEvent>().stream();
        assert!(at_once(all.try_next()).await.unwrap().is_some());
    });
}

#[tokio::test]
async fn a_position_is_told_while_a_call_is_polled_no_more_that_was_looking_for_it() {
    let scene = Scene::new().await;
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    let mut locking = scene.begin().await;
    sqlx::raw_sql(LOOKED_AT).execute(&mut *locking).await.unwrap();
    let mut left_alone = pin!(scene.store.position());
    until(async || {
        poll_fn(|context| Poll::Ready(left_alone.as_mut().poll(context).is_pending())).await
            && scene.number(WAIT_FOR_LOCKS).await > 0
    })
    .await;
    locking.rollback().await.unwrap();
    assert_eq!(at_once(scene.store.position()).await.unwrap().to_i64(), 1);
}

#[test]
fn what_a_runtime_finds_that_is_driven_now_and_then_takes_nothing_back() {
    let database = Server::shared().create_database();
    let (now_and_then, other, found) = (runtime(), runtime(), Arc::default());
    let store = opened(&database, &other);
    look_on(&store, &found, &now_and_then);
    for number in 1..=300 {
        now_and_then.block_on(async { tokio::time::sleep(Duration::from_micros(100 * (number % 7))).await });
        other.block_on(async {
            store.append(&StreamId::random(), event()).await.unwrap();
            let position = store.position().await.unwrap().to_i64();
            assert_eq!(position, i64::try_from(number).unwrap());
            found.store(position, Ordering::SeqCst);
        });
    }
}

#[test]
fn appends_are_answered_beside_those_of_a_runtime_that_is_driven_no_more() {
    let database = Server::shared().create_database();
    let (left_alone, other) = (runtime(), runtime());
    let many = PostgresBackend::options(database.url()).max_connections(40);
    let store = EventStore::new(other.block_on(many.open()).unwrap());
    let begun = append(&store, AT_ONCE, &left_alone);
    // Each has begun: some at once, and the others wait behind them.
    left_alone.block_on(tokio::task::yield_now());
    let appends = append(&store, AT_ONCE, &other);
    other.block_on(at_once(are_written(&store, appends)));
    left_alone.block_on(are_written(&store, begun));
}

#[test]
fn a_subscription_goes_on_where_it_is_polled_when_another_runtime_is_to_read_ahead() {
    let database = Server::shared().create_database();
    let other = runtime();
    let store = opened(&database, &other);
    other.block_on(store.append(&StreamId::random(), events(3_000)).into_future()).unwrap();
    for has_ended in [true, false] {
        let begun_on = runtime();
        let mut all = begun_on.block_on(async {
            let mut all = store.subscribe::<RawEvent>().stream();
            assert!(all.try_next().await.unwrap().is_some());
            all
        });
        let left_alone = (!has_ended).then_some(begun_on);
        other.block_on(async {
            for _ in 1..3_000 {
                assert!(at_once(all.try_next()).await.unwrap().is_some());
            }
            assert!(matches!(at_once(all.try_next()).await.unwrap(), Some(Next::CaughtUp(_))));
        });
        drop(left_alone);
    }
}

#[test]
fn many_appends_to_one_stream_that_wait_when_their_runtime_ends_are_dropped_one_after_the_other() {
    const WAITING: usize = 5_000;
    let database = Server::shared().create_database();
    let lasting = runtime();
    let store = opened(&database, &lasting);
    database.psql(GATE);
    database.psql("INSERT INTO gate VALUES (TRUE)");
    let ending = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (stream, sent) = (StreamId::random(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..WAITING {
        let (store, stream, sent) = (store.clone(), stream.clone(), Arc::clone(&sent));
        ending.spawn(async move {
            let mut append = pin!(store.append(&stream, event()).no_versioning().into_future());
            poll_fn(|context| {
                sent.fetch_add(1, Ordering::Relaxed);
                append.as_mut().poll(context)
            })
            .await
        });
    }
    lasting.block_on(until(async || sent.load(Ordering::Relaxed) >= WAITING));
    drop(ending);
    database.psql("DELETE FROM gate");
    lasting.block_on(async { store.append(&stream, event()).no_versioning().await.unwrap() });
}
