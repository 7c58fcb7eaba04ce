//! Clause 4.4: who delays nobody, however long its transaction stays open.

use event_sourcery::{RawEvent, StreamId};
use event_sourcery_postgres::sqlx;

use super::{Reader, append, draw};
use crate::scene::{Scene, Tx, insert_invoice, length, open, pool};

/// Leaves a hole, so that the locks have to be asked, and appends above it.
async fn append_above_a_hole(scene: &Scene) -> i64 {
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    rolled_back.rollback().await.unwrap();
    append(&scene.store).await
}

async fn delays_nobody(scene: &Scene, bystander: Tx) {
    let mut reader = Reader::of(&scene.store);
    let mut positions = Vec::new();
    for _ in 0..3 {
        positions.push(append_above_a_hole(scene).await);
        reader.comes_to_see(&positions).await;
    }
    bystander.rollback().await.unwrap();
}

#[tokio::test]
async fn clause_4_4_a_transaction_that_wrote_other_tables_only_delays_nobody() {
    let scene = Scene::new().await.with_own_table().await;
    let mut bystander = scene.begin_at("SERIALIZABLE").await;
    insert_invoice(&mut bystander, "1003").await;
    sqlx::query("LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE").execute(&mut *bystander).await.unwrap();
    delays_nobody(&scene, bystander).await;
}

#[tokio::test]
async fn a_transaction_that_only_reads_events_delays_nobody() {
    let scene = Scene::new().await;
    let stream = StreamId::random();
    scene.store.append(&stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
    scene.store.delete_stream(&stream).await.unwrap();
    let mut bystander = scene.begin_at("REPEATABLE READ").await;
    scene.store.within(&mut bystander).load_stream::<RawEvent>(&stream).await.unwrap();
    sqlx::query("SELECT * FROM event_sourcery_events FOR KEY SHARE").execute(&mut *bystander).await.unwrap();
    delays_nobody(&scene, bystander).await;
}

/// The copy's tables have the very numbers of the original's.
#[tokio::test]
async fn a_transaction_that_appends_in_a_copy_of_the_database_delays_nobody() {
    let scene = Scene::new().await;
    scene.pool.close().await;
    scene.store.backend().pool().close().await;
    scene.is_left_by_stores().await;
    let (name, copy) = (scene.database.name().to_owned(), format!("{}_copy", scene.database.name()));
    let server = postgres_cluster::Server::shared();
    server.psql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {name}"));
    let relation = "SELECT 'event_sourcery_events'::regclass::oid::bigint";
    assert_eq!(server.psql(&copy, relation), scene.database.psql(relation), "they are the same number");
    let (in_copy, copied) = (pool(&server.url(&copy)), open(&server.url(&copy)).await);
    let scene = Scene::on(scene.database).await;

    let mut bystander = in_copy.begin().await.unwrap();
    draw(&copied, &mut bystander, 1).await;
    delays_nobody(&scene, bystander).await;

    in_copy.close().await;
    server.psql("postgres", &format!("DROP DATABASE {copy} WITH (FORCE)"));
}

#[tokio::test]
async fn a_transaction_that_appends_to_a_store_of_another_prefix_delays_nobody() {
    let scene = Scene::new().await;
    let billing =
        event_sourcery_postgres::PostgresBackend::options(scene.database.url()).table_prefix("billing_");
    let billing = event_sourcery::EventStore::new(billing.open().await.unwrap());
    let mut bystander = scene.begin().await;
    draw(&billing, &mut bystander, 1).await;
    delays_nobody(&scene, bystander).await;
}

#[tokio::test]
async fn a_transaction_that_deleted_a_stream_loses_nothing_and_is_waited_for_at_most() {
    let scene = Scene::new().await;
    let mut reader = Reader::of(&scene.store);
    let stream = StreamId::random();
    scene.store.append(&stream, RawEvent::new("Happened", "{}").unwrap()).await.unwrap();
    reader.comes_to_see(&[1]).await;
    let mut deleting = scene.begin().await;
    scene.store.within(&mut deleting).delete_stream(&stream).await.unwrap();
    assert_eq!(append(&scene.store).await, 2);
    reader.comes_to_see(&[1, 2]).await;
    deleting.commit().await.unwrap();
    assert_eq!(length(&scene.store, &stream).await, 0);
    assert_eq!(append_above_a_hole(&scene).await, 4);
    reader.comes_to_see(&[1, 2, 4]).await;
}
