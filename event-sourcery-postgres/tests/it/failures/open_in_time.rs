//! A store is opened in bounded time, whatever is in the way.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use futures_util::future::join_all;
use postgres_cluster::{Cluster, Server};
use tokio::time::timeout;

use crate::crashes::proxy::{Lost, Proxy};
use crate::scene::{Scene, event};

const PATIENCE: Duration = Duration::from_secs(4);

/// What the tests give a call until it has to have ended: generous, and less than a system takes to give a connection up.
const IN_TIME: Duration = Duration::from_secs(90);

#[tokio::test]
async fn what_somebody_has_locked_is_waited_for_and_no_longer_than_by_any_other_call() {
    let scene = Scene::new().await;
    scene.store.append(&StreamId::random(), event()).await.unwrap();
    let open = || PostgresBackend::options(scene.database.url()).lock_timeout(PATIENCE).open();
    let mut locking = scene.begin().await;
    sqlx::raw_sql("LOCK TABLE event_sourcery_events").execute(&mut *locking).await.unwrap();
    let began = Instant::now();
    let refused = open().await.unwrap_err();
    assert!(matches!(refused, Error::Busy { waited, .. } if waited >= PATIENCE), "{refused:?}");
    assert!(began.elapsed() < PATIENCE + Duration::from_secs(8), "{:?}", began.elapsed());

    let (opened, ()) = tokio::join!(open(), async {
        tokio::time::sleep(PATIENCE / 3).await;
        locking.rollback().await.unwrap();
    });
    opened.expect("the lock was given back in time");
}

/// Whether the n-th of the statements by which a store is opened was lost, with the way to the server, in silence.
async fn opened_with_a_loss_at(n: i64, is_new: bool) -> bool {
    let database = Server::shared().create_database();
    if !is_new {
        PostgresBackend::connect(database.url()).await.unwrap();
    }
    let url = Server::shared().url("postgres");
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().parse().unwrap();
    let proxy = Proxy::to(port, Lost::AnswerInSilence).await;
    proxy.cut(n);
    let opening = PostgresBackend::options(proxy.url(database.name())).open();
    match timeout(IN_TIME, opening).await.expect("it waits for an answer that does not come") {
        Ok(_) => {}
        Err(refused) => {
            assert!(matches!(refused, Error::Unavailable { .. } | Error::Busy { .. }), "{n}: {refused:?}");
        }
    }
    let was_lost = proxy.has_cut();
    // Whatever had come of it, it can be opened.
    let store = EventStore::new(PostgresBackend::connect(database.url()).await.unwrap());
    store.append(&StreamId::random(), event()).await.unwrap();
    was_lost
}

#[tokio::test]
async fn a_way_that_dies_in_silence_while_a_store_is_opened_makes_it_unavailable_in_time() {
    for is_new in [true, false] {
        let lost = join_all((1..=60).step_by(4).map(|n| opened_with_a_loss_at(n, is_new))).await;
        assert!(lost.iter().filter(|lost| **lost).count() > 8, "{lost:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_frozen_while_a_store_is_opened_makes_it_unavailable_in_time() {
    let cluster = Cluster::start(&[]);
    let database = cluster.create_database();
    drop(PostgresBackend::connect(database.url()).await.unwrap());
    let mut locking = sqlx::PgPool::connect(&database.url()).await.unwrap().begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE event_sourcery_layout").execute(&mut *locking).await.unwrap();
    let opening = PostgresBackend::options(database.url()).lock_timeout(IN_TIME).open();
    let (opened, ()) = tokio::join!(timeout(IN_TIME, opening), async {
        // It waits for the lock by now, again and again.
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.freeze();
    });
    cluster.thaw();
    let refused = opened.expect("it waits for an answer that does not come").unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }) && refused.is_retryable(), "{refused:?}");
}
