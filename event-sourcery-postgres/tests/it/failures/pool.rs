//! Pools without a free connection.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use futures_util::future::join_all;

use crate::scene::{Scene, Store, event, length};

const TIMEOUT: Duration = Duration::from_millis(200);

async fn is_busy_in_time<T: std::fmt::Debug>(call: impl Future<Output = event_sourcery::Result<T>>) {
    let began = Instant::now();
    let refused = call.await.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited } if waited >= TIMEOUT), "{refused:?}");
    assert!(refused.is_retryable());
    let waited = began.elapsed();
    assert!(waited >= TIMEOUT && waited < TIMEOUT + Duration::from_secs(5), "{waited:?}");
}

async fn is_busy_until_a_connection_is_given_back(store: Store) {
    let stream = StreamId::random();
    store.append(&stream, event()).await.unwrap();
    let held = store.backend().pool().acquire().await.unwrap();
    is_busy_in_time(store.append(&stream, event()).expected_version(1).into_future()).await;
    is_busy_in_time(store.append(&stream, event()).and(&StreamId::random(), event()).into_future()).await;
    is_busy_in_time(store.load_stream::<RawEvent>(&stream).into_future()).await;
    is_busy_in_time(store.position()).await;
    is_busy_in_time(store.delete_stream(&stream).into_future()).await;
    is_busy_in_time(store.backend().begin()).await;
    drop(held);
    store.append(&stream, event()).expected_version(1).await.unwrap();
    assert_eq!(length(&store, &stream).await, 2);
}

#[tokio::test]
async fn a_call_without_a_free_connection_is_busy_in_time_and_succeeds_when_there_is_one() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(1).acquire_timeout(TIMEOUT);
    is_busy_until_a_connection_is_given_back(EventStore::new(options.open().await.unwrap())).await;
}

#[tokio::test]
async fn a_pool_of_the_callers_is_used_with_its_own_time_out() {
    let scene = Scene::new().await;
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT);
    let pool = options.connect_lazy(&scene.database.url()).unwrap();
    is_busy_until_a_connection_is_given_back(EventStore::new(
        PostgresBackend::from_pool(pool).await.unwrap(),
    ))
    .await;
}

/// Those that queue up to share a statement wait no longer than the others.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_appends_wait_for_a_connection_each_is_busy_in_time() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(1).acquire_timeout(TIMEOUT);
    let store = EventStore::new(options.open().await.unwrap());
    let held = store.backend().pool().acquire().await.unwrap();
    let began = Instant::now();
    let appends = (0..200).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&StreamId::random(), event()).await })
    });
    for refused in join_all(appends).await {
        let refused = refused.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    }
    println!("refused within {:?}, where {TIMEOUT:?} was asked", began.elapsed());
    assert!(began.elapsed() < TIMEOUT * 20, "{:?}", began.elapsed());
    drop(held);
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.events().await, 1);
}

#[tokio::test]
async fn a_closed_pool_is_a_closed_store() {
    let store = Scene::new().await.store;
    store.backend().pool().close().await;
    let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
    assert!(matches!(refused, Error::Closed), "{refused:?}");
}
