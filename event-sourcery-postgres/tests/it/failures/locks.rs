//! Somebody forgot a transaction: who waits for it is told in time, and nobody else notices.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, Start, StreamId, TenantId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx;
use futures_util::future::join_all;

use crate::scene::{Scene, Store, Tx, event};

const PATIENCE: Duration = Duration::from_secs(4);

/// What is refused in time may take as much longer on a busy machine.
const SLACK: Duration = Duration::from_secs(8);

async fn store(scene: &Scene) -> Store {
    EventStore::new(
        PostgresBackend::options(scene.database.url()).lock_timeout(PATIENCE).open().await.unwrap(),
    )
}

/// Streams that one transaction holds.
async fn held(scene: &Scene, count: usize) -> (Tx, Vec<StreamId>) {
    let streams: Vec<_> = (0..count).map(|_| StreamId::random()).collect();
    let mut forgotten = scene.begin().await;
    for stream in &streams {
        scene.store.append(stream, event()).await.unwrap();
        let within = scene.store.within(&mut forgotten);
        within.append(stream, event()).expected_version(1).await.unwrap();
    }
    (forgotten, streams)
}

fn is_busy<T: std::fmt::Debug>(result: event_sourcery::Result<T>) {
    let refused = result.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited, .. } if waited >= PATIENCE), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_transaction_over_many_streams_takes_the_connections_from_nobody() {
    let scene = Scene::new().await;
    let store = store(&scene).await;
    let (forgotten, streams) = held(&scene, 30).await;
    let began = Instant::now();
    let waiting: Vec<_> = streams
        .iter()
        .map(|stream| {
            let (store, stream) = (store.clone(), stream.clone());
            tokio::spawn(async move { store.append(&stream, event()).expected_version(1).await })
        })
        .collect();
    scene.until_waiting(2).await;

    let tenant = store.for_tenant(TenantId::new("acme").unwrap());
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let (stream, since) = (StreamId::random(), Instant::now());
        tenant.append(&stream, event()).await.unwrap();
        tenant.append(&stream, event()).expected_version(1).and(&StreamId::random(), event()).await.unwrap();
        assert_eq!(tenant.load_stream::<RawEvent>(&stream).await.unwrap().len(), 2);
        slowest = slowest.max(since.elapsed());
    }
    println!("the slowest of the others took {slowest:?}");
    assert!(slowest < PATIENCE, "{slowest:?}");

    join_all(waiting).await.into_iter().for_each(|refused| is_busy(refused.unwrap()));
    assert!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    forgotten.rollback().await.unwrap();
    store.append(&streams[0], event()).expected_version(1).await.unwrap();
}

/// They share statements, which find their streams held. Were each to try for a moment by itself, they would have all connections
/// that write for seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn however_many_appends_wait_for_held_streams_another_tenants_append_is_answered() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).lock_timeout(Duration::from_secs(60));
    let store = EventStore::new(options.open().await.unwrap());
    let streams: Vec<_> = (0..1000).map(|_| StreamId::random()).collect();
    let appends = streams.iter().map(|stream| store.append(stream, event()).into_future());
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    let mut forgotten = scene.begin().await;
    let hold = "SELECT FROM event_sourcery_streams FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut *forgotten).await.unwrap();
    let waiting: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let store = store.clone();
            tokio::spawn(async move { store.append(&stream, event()).expected_version(1).await })
        })
        .collect();
    scene.until_waiting(2).await;

    let tenant = store.for_tenant(TenantId::new("acme").unwrap());
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let since = Instant::now();
        tenant.append(&StreamId::random(), event()).await.unwrap();
        slowest = slowest.max(since.elapsed());
    }
    println!("the slowest of the other's took {slowest:?}");
    assert!(slowest < PATIENCE, "{slowest:?}");

    assert!(waiting.iter().all(|append| !append.is_finished()));
    forgotten.rollback().await.unwrap();
    for appended in join_all(waiting).await {
        appended.unwrap().unwrap();
    }
}

/// Those behind the first wait in the process.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_wait_for_one_stream_each_is_busy_in_time() {
    let scene = Scene::new().await;
    let store = store(&scene).await;
    let (forgotten, streams) = held(&scene, 1).await;
    let began = Instant::now();
    let waiting = (0..50).map(|_| store.append(&streams[0], event()).expected_version(1).into_future());
    join_all(waiting).await.into_iter().for_each(is_busy);
    assert!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    drop(forgotten);
}

#[tokio::test]
async fn whatever_waits_for_a_lock_is_busy_in_time() {
    let scene = Scene::new().await;
    let store = store(&scene).await;
    let (forgotten, streams) = held(&scene, 1).await;
    let stream = &streams[0];
    let began = Instant::now();
    let several = store.append(stream, event()).expected_version(1).and(&StreamId::random(), event());
    let (deleted, several) = tokio::join!(store.delete_stream(stream).into_future(), several.into_future());
    is_busy(deleted);
    is_busy(several);
    drop(forgotten);

    let durable = || store.subscribe::<RawEvent>().durable("all");
    durable().reset(Start::Beginning).await.unwrap();
    let mut locked = scene.begin().await;
    let lock =
        "LOCK TABLE event_sourcery_subscription_segments, event_sourcery_settled, event_sourcery_snapshots";
    sqlx::raw_sql(lock).execute(&mut *locked).await.unwrap();
    let (reset, position, status, snapshot) = tokio::join!(
        async { durable().reset(Start::Beginning).await },
        store.position(),
        async { durable().status().await },
        store.save_snapshot(stream, 1, event()).into_future(),
    );
    is_busy(reset);
    is_busy(position);
    is_busy(status);
    is_busy(snapshot);
    assert!(began.elapsed() < PATIENCE * 2 + SLACK, "{:?}", began.elapsed());
    drop(locked);
}
