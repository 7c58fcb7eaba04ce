//! Calls whose future is dropped half-way: whatever they leave behind, later calls are not drawn into it.

use std::time::Duration;

use event_sourcery::{EventStore, StreamId};
use event_sourcery_postgres::{PostgresBackend, sqlx};

use crate::scene::{Scene, event, length};

/// Moments at which a call is given up: from before its first statement to after its last.
fn moments() -> impl Iterator<Item = Duration> {
    (0..80).map(|number| Duration::from_micros(number * 50))
}

#[tokio::test]
async fn an_append_after_one_that_was_given_up_is_committed() {
    let scene = Scene::new().await;
    let one_connection = PostgresBackend::options(scene.database.url()).max_connections(1);
    let store = EventStore::new(one_connection.open().await.unwrap());
    for moment in moments() {
        let (one, two, gone) = (StreamId::random(), StreamId::random(), StreamId::random());
        let _ = tokio::time::timeout(moment, store.append(&one, event()).and(&two, event())).await;
        let _ = tokio::time::timeout(moment, store.delete_stream(&gone)).await;
        let _ =
            tokio::time::timeout(moment, store.load_stream::<event_sourcery::RawEvent>(&one).versions(1..))
                .await;
        let after = StreamId::random();
        store.append(&after, event()).await.unwrap();
        assert_eq!(length(&scene.store, &after).await, 1, "given up after {moment:?}");
        assert_eq!(length(&scene.store, &one).await, length(&scene.store, &two).await, "half of it is there");
    }
}

#[tokio::test]
async fn a_transaction_in_which_a_call_was_given_up_is_still_taken_back_as_a_whole() {
    let scene = Scene::new().await;
    scene.run("CREATE TABLE own (number INT)").await;
    let pool = scene.store.backend().pool().clone();
    for moment in moments() {
        let stream = StreamId::random();
        let mut tx = pool.begin().await.unwrap();
        let _ = tokio::time::timeout(moment, store_append(&scene, &mut tx, &stream)).await;
        sqlx::query("INSERT INTO own VALUES (1)").execute(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        let own: i64 = sqlx::query_scalar("SELECT count(*) FROM own").fetch_one(&pool).await.unwrap();
        assert_eq!((own, length(&scene.store, &stream).await), (0, 0), "given up after {moment:?}");
    }
}

async fn store_append(scene: &Scene, tx: &mut sqlx::Transaction<'_, sqlx::Postgres>, stream: &StreamId) {
    scene.store.within(tx).append(stream, event()).await.unwrap();
}
