//! What was settled once stays settled: for the next process, in the next cluster, and when events are deleted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_sourcery::{Error, EventStore, RawEvent, StreamId};
use event_sourcery_postgres::sqlx::postgres::PgPoolOptions;
use event_sourcery_postgres::{PostgresBackend, sqlx};
use postgres_cluster::Cluster;

use super::{Reader, append, draw, settled};
use crate::scene::{Scene, Store, event, events, length, until};

/// Leaves a hole that stays.
async fn leave_a_hole(scene: &Scene) {
    let mut rolled_back = scene.begin().await;
    draw(&scene.store, &mut rolled_back, 1).await;
    rolled_back.rollback().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_starts_again_knows_at_once_what_was_settled_while_a_transaction_is_open() {
    let scene = Scene::new().await;
    leave_a_hole(&scene).await;
    assert_eq!(append(&scene.store).await, 2);
    Reader::of(&scene.store).comes_to_see(&[2]).await;
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [3]);
    assert_eq!(append(&scene.store).await, 4);
    assert_eq!(settled(&scene.store).await, 2);

    let restarted = scene.another_store().await;

    assert_eq!(settled(&restarted).await, 2, "by the first look");
    let mut reader = Reader::of(&restarted);
    reader.sees_only(&[2]).await;
    late.commit().await.unwrap();
    reader.comes_to_see(&[2, 3, 4]).await;
}

/// What tells the newest event is compared with what another connection has told, which may write times in another way.
#[tokio::test]
async fn a_history_is_the_same_however_its_connections_write_times() {
    let mut cluster = Cluster::start(&[]);
    let (database, is_german) = (cluster.create_database(), Arc::new(AtomicBool::new(false)));
    let style = Arc::clone(&is_german);
    let pool = PgPoolOptions::new().after_connect(move |connection, _| {
        let is_german = style.load(Ordering::SeqCst);
        let set = if is_german { "SET DateStyle = 'German'" } else { "SET DateStyle = 'ISO'" };
        Box::pin(async move { sqlx::Executor::execute(connection, sqlx::raw_sql(set)).await.map(drop) })
    });
    let pool = pool.connect_lazy(&database.url()).unwrap();
    let store = EventStore::new(PostgresBackend::from_pool(pool).await.unwrap());
    assert_eq!(append(&store).await, 1);
    Reader::of(&store).comes_to_see(&[1]).await;
    is_german.store(true, Ordering::SeqCst);
    cluster.stop_fast();
    cluster.start_again();
    Reader::of(&store).comes_to_see(&[1]).await;
}

/// As where all tables were emptied, and no sequence. Nothing is put on record then, and what is above the newest event is not handed out.
#[tokio::test]
async fn readers_miss_nothing_where_the_rows_are_gone_that_keep_what_is_settled() {
    let scene = Scene::new().await;
    scene.run("TRUNCATE event_sourcery_settled, event_sourcery_event_blocks_listed").await;
    let mut reader = Reader::of(&scene.store);
    assert_eq!(append(&scene.store).await, 1);
    leave_a_hole(&scene).await;
    reader.comes_to_see(&[1]).await;
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [3]);
    assert_eq!(append(&scene.store).await, 4);
    reader.sees_only(&[1]).await;
    late.commit().await.unwrap();
    reader.comes_to_see(&[1, 3, 4]).await;
    Reader::of(&scene.another_store().await).comes_to_see(&[1, 3, 4]).await;
}

/// The copy's tables have the very numbers of the original's, and its server was started at the same time.
#[tokio::test]
async fn a_reader_is_told_of_an_older_copy_that_took_the_place_of_its_database_and_went_on() {
    let scene = Scene::new().await;
    scene.pool.close().await;
    let (server, name) = (postgres_cluster::Server::shared(), scene.database.name());
    let psql = |sql: &str| server.psql("postgres", sql);
    let appends = async |store: &Store| {
        for _ in 0..4 {
            until(async || store.append(&StreamId::random(), event()).await.is_ok()).await;
        }
        until(async || store.position().await.is_ok()).await;
    };
    appends(&scene.store).await;
    psql(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    psql(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    appends(&scene.store).await;
    psql(&format!("DROP DATABASE {name} WITH (FORCE)"));
    psql(&format!("ALTER DATABASE {name}_copy RENAME TO {name}"));
    let another = scene.another_store().await;
    for _ in 0..3 {
        appends(&another).await;
    }
    until(async || matches!(scene.store.position().await, Err(Error::HistoryReplaced { .. }))).await;
}

#[tokio::test]
async fn what_another_process_has_settled_is_settled_here() {
    let scene = Scene::new().await;
    let another = scene.another_store().await;
    leave_a_hole(&scene).await;
    assert_eq!(append(&scene.store).await, 2);
    let mut from_there = Reader::of(&another);
    from_there.comes_to_see(&[2]).await;
    let mut late = scene.begin().await;
    draw(&scene.store, &mut late, 1).await;
    append(&scene.store).await;
    assert_eq!(settled(&scene.store).await, 2, "by its first look");
    late.rollback().await.unwrap();
    from_there.comes_to_see(&[2, 4]).await;
}

#[tokio::test]
async fn the_position_does_not_go_back_when_the_newest_events_are_deleted() {
    let scene = Scene::new().await;
    let (kept, gone) = (StreamId::random(), StreamId::random());
    scene.store.append(&kept, event()).await.unwrap();
    scene.store.append(&gone, events(3)).await.unwrap();
    let mut reader = Reader::of(&scene.store);
    reader.comes_to_see(&[1, 2, 3, 4]).await;
    scene.store.delete_stream(&gone).await.unwrap();

    assert_eq!(settled(&scene.store).await, 4);
    let restarted = scene.another_store().await;
    assert_eq!(settled(&restarted).await, 4);
    assert_eq!(append(&restarted).await, 5);
    reader.comes_to_see(&[1, 2, 3, 4, 5]).await;
    Reader::of(&restarted).comes_to_see(&[1, 5]).await;
}

#[tokio::test]
async fn events_deleted_before_anybody_looked_hold_up_nobody() {
    let scene = Scene::new().await;
    let gone = StreamId::random();
    scene.store.append(&gone, events(3)).await.unwrap();
    assert_eq!(append(&scene.store).await, 4);
    scene.store.delete_stream(&gone).await.unwrap();
    Reader::of(&scene.store).comes_to_see(&[4]).await;
}

#[tokio::test]
async fn the_position_does_not_go_back_when_the_newest_events_are_deleted_and_the_server_crashes() {
    let mut cluster = Cluster::start(&[]);
    let scene = Scene::on(cluster.create_database()).await;
    let gone = StreamId::random();
    scene.store.append(&gone, events(5)).await.unwrap();
    assert_eq!(settled(&scene.store).await, 5);
    scene.store.delete_stream(&gone).await.unwrap();
    cluster.kill();
    cluster.start_again();
    let restarted = scene.another_store().await;
    let position = settled(&restarted).await;
    assert!(position >= 5, "{position}");
    let appended = append(&restarted).await;
    assert!(appended > position, "{appended} is not above {position}");
    Reader::of(&restarted).comes_to_see(&[appended]).await;
}

/// The server writes the progress of a sequence ahead, 32 positions at a time, and makes it durable with the next
/// commit. Without one, it draws the same positions again after a crash: nobody may have passed them.
async fn with_a_hole_that_nobody_has_made_durable() -> (Cluster, Scene, Reader, Vec<i64>) {
    // What nobody commits is not written by the way.
    let cluster = Cluster::start(&[("wal_writer_delay", "10s")]);
    let mut scene = Scene::on(cluster.create_database()).await;
    // A notification's commit would have the log written too.
    let quiet = PostgresBackend::options(scene.database.url()).notifications(false);
    scene.store = EventStore::new(quiet.open().await.unwrap());
    let mut reader = Reader::of(&scene.store);
    scene.store.append(&StreamId::random(), events(33)).await.unwrap();
    let expected: Vec<_> = (1..=33).collect();
    reader.comes_to_see(&expected).await;
    // The server writes whole pages of the log by itself: what comes now fits in a new one.
    scene.run("SELECT pg_switch_wal()").await;
    leave_a_hole(&scene).await;
    (cluster, scene, reader, expected)
}

#[tokio::test]
async fn a_position_that_is_drawn_again_after_a_crash_of_the_server_is_handed_out() {
    let (mut cluster, scene, mut reader, mut expected) = with_a_hole_that_nobody_has_made_durable().await;
    cluster.kill();
    cluster.start_again();

    let restarted = scene.another_store().await;
    expected.push(append(&restarted).await);
    assert_eq!(expected.last(), Some(&34), "it was drawn again");
    reader.comes_to_see(&expected).await;
    Reader::of(&restarted).comes_to_see(&expected).await;
}

#[tokio::test]
async fn a_position_that_a_reader_has_passed_is_not_drawn_again_after_a_crash_of_the_server() {
    let (mut cluster, scene, mut reader, mut expected) = with_a_hole_that_nobody_has_made_durable().await;
    reader.sees_only(&expected).await;
    let passed = settled(&scene.store).await;
    assert!(passed > 33, "the hole was passed: {passed}");
    cluster.kill();
    cluster.start_again();

    let restarted = scene.another_store().await;
    let appended = append(&restarted).await;
    assert!(appended > passed, "{appended} is not above {passed}");
    expected.push(appended);
    reader.comes_to_see(&expected).await;
    Reader::of(&restarted).comes_to_see(&expected).await;
}

/// Transaction ids begin anew in the new cluster; positions do not.
#[tokio::test]
async fn a_store_restored_into_a_new_cluster_goes_on_where_it_was() {
    let scene = Scene::new().await;
    let (stream, unversioned) = (StreamId::from_name("invoices/1003").unwrap(), StreamId::random());
    leave_a_hole(&scene).await;
    scene.store.append(&stream, events(2)).await.unwrap();
    scene.store.append(&unversioned, event()).no_versioning().await.unwrap();
    Reader::of(&scene.store).comes_to_see(&[2, 3, 4]).await;
    // Not settled when it is dumped: a position below it is drawn, and never comes.
    let mut late = scene.begin().await;
    assert_eq!(draw(&scene.store, &mut late, 1).await, [5]);
    scene.store.append(&stream, event()).expected_version(2).await.unwrap();
    let before = scene.store.load_stream::<RawEvent>(&stream).await.unwrap();
    let dump = postgres_cluster::Server::shared().dump(scene.database.name());
    late.commit().await.unwrap();

    let cluster = Cluster::start(&[]);
    let restored = cluster.create_database();
    cluster.restore(restored.name(), &dump);
    let options = event_sourcery_postgres::PostgresBackend::options(restored.url());
    assert_eq!(options.migration().await.unwrap(), "", "nothing is to be migrated");
    let restored = Scene::on(restored).await;

    let mut reader = Reader::of(&restored.store);
    reader.comes_to_see(&[2, 3, 4, 6]).await;
    assert_eq!(settled(&restored.store).await, 6);
    let after = restored.store.load_stream::<RawEvent>(&stream).await.unwrap();
    assert_eq!(
        after.iter().map(|event| (event.version, event.uuid, event.created_at)).collect::<Vec<_>>(),
        before.iter().map(|event| (event.version, event.uuid, event.created_at)).collect::<Vec<_>>()
    );
    let appended = restored.store.append(&stream, event()).expected_version(3).await.unwrap();
    assert_eq!((appended.last_version, appended.position.to_i64()), (Some(4), 7));
    restored.store.append(&unversioned, event()).no_versioning().await.unwrap();
    let mut late = restored.begin().await;
    assert_eq!(draw(&restored.store, &mut late, 1).await, [9]);
    assert_eq!(append(&restored.store).await, 10);
    reader.comes_to_see(&[2, 3, 4, 6, 7, 8]).await;
    late.commit().await.unwrap();
    reader.comes_to_see(&[2, 3, 4, 6, 7, 8, 9, 10]).await;
    assert_eq!(length(&restored.store, &stream).await, 4);
}

#[tokio::test]
async fn reading_goes_on_where_the_position_may_be_read_and_not_be_put_on_record() {
    let scene = Scene::new().await;
    leave_a_hole(&scene).await;
    assert_eq!(append(&scene.store).await, 2);
    let reading = format!("{}?options=-c%20default_transaction_read_only%3Don", scene.database.url());
    let reading = crate::scene::open(&reading).await;
    Reader::of(&reading).comes_to_see(&[2]).await;
    let recorded = sqlx::query_scalar("SELECT position FROM event_sourcery_settled");
    assert_eq!(recorded.fetch_one(&scene.pool).await.ok(), Some(0_i64), "it could not write it down");
}

/// As when a store is adopted, or was written by others for long. `position()` is asked for once.
#[tokio::test]
async fn a_long_history_that_others_wrote_is_settled_by_the_first_look() {
    let scene = Scene::new().await;
    append(&scene.store).await;
    scene.database.psql(
        "INSERT INTO event_sourcery_events (uuid, name, data, event_context, created_at, db_stream_id)
         SELECT gen_random_uuid(), 'Old', '{}', '{}', now(), s.id FROM event_sourcery_streams s, generate_series(1, 120000);
         DELETE FROM event_sourcery_events WHERE id = 70000",
    );
    let another = scene.another_store().await;
    assert_eq!(settled(&another).await, 120_001);
    assert_eq!(settled(&scene.store).await, 120_001);
}
