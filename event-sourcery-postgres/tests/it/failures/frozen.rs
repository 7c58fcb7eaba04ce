//! A server that takes connections and does not answer: stopped, or behind a network that swallows everything.

use std::time::{Duration, Instant};

use event_sourcery::{Error, EventStore, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::Cluster;

use crate::scene::{event, until};

/// Idle connections are trusted for a second.
const NO_LONGER_TRUSTED: Duration = Duration::from_millis(1200);

/// How long a call may take that needs a connection: five seconds are given to get one.
const IN_TIME: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_call_to_a_frozen_server_is_unavailable_in_time_and_works_when_it_goes_on() {
    let cluster = Cluster::start(&[]);
    for own_pool in [false, true] {
        let database = cluster.create_database();
        // As sqlx makes it: it would wait for half a minute.
        let backend = match own_pool {
            true => PostgresBackend::from_pool(sqlx::PgPool::connect(&database.url()).await.unwrap()).await,
            false => PostgresBackend::connect(database.url()).await,
        };
        let store = EventStore::new(backend.unwrap());
        store.append(&StreamId::random(), event()).await.unwrap();
        store.position().await.unwrap();
        tokio::time::sleep(NO_LONGER_TRUSTED).await;
        cluster.freeze();
        let began = Instant::now();
        let (position, append) =
            tokio::join!(store.position(), store.append(&StreamId::random(), event()).into_future());
        cluster.thaw();
        for refused in [position.map(drop), append.map(drop)] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::Unavailable { .. }) && refused.is_retryable(), "{refused:?}");
        }
        assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
        until(async || store.append(&StreamId::random(), event()).await.is_ok()).await;
    }
}
