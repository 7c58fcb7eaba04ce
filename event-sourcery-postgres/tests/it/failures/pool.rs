//! Connections that are all in use. The store's calls have connections of their own, which no caller can hold on to; what
//! hands a connection out takes it from the caller's pool.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::future::join_all;

use crate::scene::{Scene, Store, event, length, until};

/// Long enough to open a connection, on a busy machine too.
const TIMEOUT: Duration = Duration::from_secs(2);

async fn is_busy_in_time<T: std::fmt::Debug>(call: impl Future<Output = event_sourcery::Result<T>>) {
    let began = Instant::now();
    let refused = call.await.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited, .. } if waited >= TIMEOUT), "{refused:?}");
    assert!(refused.is_retryable());
    let waited = began.elapsed();
    assert!(waited >= TIMEOUT && waited < TIMEOUT + Duration::from_secs(5), "{waited:?}");
}

/// A transaction is refused in time. Nothing else needs the pool.
async fn goes_on_without_the_callers_pool(store: Store) {
    let stream = StreamId::random();
    store.append(&stream, event()).await.unwrap();
    let held = store.backend().pool().acquire().await.unwrap();
    is_busy_in_time(store.backend().begin()).await;
    store.append(&stream, event()).expected_version(1).await.unwrap();
    store.append(&StreamId::random(), event()).and(&StreamId::random(), event()).await.unwrap();
    assert_eq!(length(&store, &stream).await, 2);
    assert_eq!(store.position().await.unwrap().to_i64(), 4);
    let mut all = store.subscribe::<RawEvent>().stream();
    assert!(all.try_next().await.unwrap().is_some());
    store.delete_stream(&stream).await.unwrap();
    drop(held);
    until(async || store.backend().pool().num_idle() == 1).await;
    store.backend().begin().await.unwrap().commit().await.unwrap();
}

#[tokio::test]
async fn a_pool_that_is_used_up_holds_up_nothing_but_transactions() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(1).acquire_timeout(TIMEOUT);
    goes_on_without_the_callers_pool(EventStore::new(options.open().await.unwrap())).await;
}

#[tokio::test]
async fn a_pool_of_the_callers_is_used_for_transactions_with_its_own_time_out() {
    let scene = Scene::new().await;
    let options = PgPoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT);
    let pool = options.connect_lazy(&scene.database.url()).unwrap();
    goes_on_without_the_callers_pool(EventStore::new(PostgresBackend::from_pool(pool).await.unwrap())).await;
}

/// The table is locked, so that every connection of the store's is at work and waits.
#[tokio::test(flavor = "multi_thread")]
async fn however_many_appends_wait_for_a_connection_each_is_busy_in_time() {
    let scene = Scene::new().await;
    let options = PostgresBackend::options(scene.database.url()).max_connections(2).acquire_timeout(TIMEOUT);
    let store = EventStore::new(options.lock_timeout(TIMEOUT).open().await.unwrap());
    let mut held = scene.begin().await;
    sqlx::raw_sql("LOCK TABLE event_sourcery_events").execute(&mut *held).await.unwrap();
    let began = Instant::now();
    let appends = (0..200).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.append(&StreamId::random(), event()).await })
    });
    for refused in join_all(appends).await {
        let refused = refused.unwrap().unwrap_err();
        assert!(matches!(refused, Error::Busy { .. }), "{refused:?}");
    }
    println!("refused within {:?}, where twice {TIMEOUT:?} was asked", began.elapsed());
    assert!(began.elapsed() < TIMEOUT * 20, "{:?}", began.elapsed());
    held.rollback().await.unwrap();
    store.append(&StreamId::random(), event()).await.unwrap();
    assert_eq!(scene.events().await, 1);
}

#[tokio::test]
async fn a_closed_pool_is_a_closed_store() {
    let scene = Scene::new().await;
    let pool = sqlx::PgPool::connect(&scene.database.url()).await.unwrap();
    let with_pool = EventStore::new(PostgresBackend::from_pool(pool).await.unwrap());
    for store in [scene.store.clone(), with_pool] {
        store.append(&StreamId::random(), event()).await.unwrap();
        store.backend().pool().close().await;
        let refused = store.append(&StreamId::random(), event()).await.unwrap_err();
        assert!(matches!(refused, Error::Closed), "{refused:?}");
        let refused = store.backend().begin().await.unwrap_err();
        assert!(matches!(refused, Error::Closed), "{refused:?}");
    }
    scene.is_left_by_stores().await;
}
