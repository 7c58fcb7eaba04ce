//! Stores that may be read and not written.

use event_sourcery::{Error, EventStore, Position, RawEvent, StreamId};
use event_sourcery_postgres::PostgresBackend;

use crate::scene::{Scene, Store, event, length};

async fn reads_and_refuses_to_write(store: Store, stream: &StreamId) {
    assert_eq!(length(&store, stream).await, 1);
    assert!(store.position().await.unwrap() > Position::START);
    let mut all = store.read_all::<RawEvent>().stream();
    assert!(all.try_next().await.unwrap().is_some());
    let several = store.append(&StreamId::random(), event()).and(&StreamId::random(), event());
    let refused = [
        store.append(&StreamId::random(), event()).await.map(drop),
        store.append(stream, event()).expected_version(1).await.map(drop),
        store.append(&StreamId::random(), event()).no_versioning().await.map(drop),
        several.await.map(drop),
        store.delete_stream(stream).await,
        store.save_snapshot(stream, 1, event()).await,
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::ReadOnly { .. }), "{number}: {refused:?}");
    }
}

/// A setting of many who do maintenance, or mistrust a program.
#[tokio::test]
async fn a_connection_that_is_read_only_by_default_reads_and_is_refused_as_read_only() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, event()).await.unwrap();
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", scene.database.url());
    for migrate in [true, false] {
        let backend = PostgresBackend::options(&url).migrate(migrate).open().await.unwrap();
        reads_and_refuses_to_write(EventStore::new(backend), &stream).await;
    }
    assert_eq!(scene.events().await, 1);
}

#[tokio::test]
async fn an_empty_database_that_is_read_only_is_said_to_be_so() {
    let database = postgres_cluster::Server::shared().create_database();
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", database.url());
    let refused = PostgresBackend::connect(&url).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused:?}");
    assert_eq!(
        database.psql("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
        "0"
    );
}
